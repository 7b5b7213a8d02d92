
/*
 * Copyright (C) Sallyport authors
 *
 * Background jobs: rows of gateway.job, claimed with a lease.  Any worker of
 * any gateway may run one; killing it loses nothing and doubles nothing, as
 * long as what it does outside of PostgreSQL can be done twice.
 */

#ifndef _NGX_SP_JOB_H_INCLUDED_
#define _NGX_SP_JOB_H_INCLUDED_


#include "ngx_sp_metric.h"
#include "ngx_sp_op.h"
#include "ngx_sp_pg.h"


typedef struct ngx_sp_job_s       ngx_sp_job_t;
typedef struct ngx_sp_job_kind_s  ngx_sp_job_kind_t;

typedef void (*ngx_sp_job_handler_pt)(ngx_sp_job_t *job);

struct ngx_sp_job_kind_s {
    ngx_uint_t                   abi;      /* NGX_HTTP_SP_ABI */
    ngx_str_t                    name;
    ngx_uint_t                   max_running;  /* per worker */
    ngx_uint_t                   max_attempts; /* then "dead"; 0: never */
    time_t                       lease;        /* seconds, renewed by core */

    /*
     * Called once after the claim.  The state machine drives itself from
     * the done handlers of its ops and ends in exactly one of finish(),
     * retry(), fail().
     */
    ngx_sp_job_handler_pt        run;

    /* the lease was lost or the worker exits: stop, free, write nothing */
    ngx_sp_job_handler_pt        cancel;       /* or NULL */
    void                        *data;
};

struct ngx_sp_job_s {
    const ngx_sp_job_kind_t     *kind;
    ngx_pool_t                  *pool;     /* destroyed when the job ends */
    ngx_log_t                   *log;
    ngx_sp_pg_t                 *pg;
    ngx_str_t                    id;       /* bigint, as text */
    ngx_str_t                    lane;
    ngx_str_t                    payload;  /* JSON text */
    ngx_str_t                    result;   /* saved by an earlier attempt */
    ngx_uint_t                   attempt;  /* 1.. */
    ngx_str_t                    epoch;    /* fencing token, as text */
    void                        *ctx;      /* the plugin's */
};


/*
 * A job from where no transaction makes it necessary, the end of a request for
 * instance; else call gateway.job_enqueue() in that transaction.  All is
 * copied.  payload: JSON text; key: one that is there already is not made
 * again, empty: none.  One that is lost, because too many are on their way or
 * PostgreSQL is away, is logged.
 */
void ngx_sp_job_enqueue(ngx_sp_pg_t *pg, const ngx_sp_job_kind_t *kind,
    const ngx_str_t *payload, const ngx_str_t *key);

/* the op is cancelled when the job ends */
ngx_int_t ngx_sp_job_attach(ngx_sp_job_t *job, ngx_sp_op_t *op);

/*
 * A timer of the job: exactly one at a time, cancelled when the job ends
 */
void ngx_sp_job_sleep(ngx_sp_job_t *job, ngx_msec_t delay,
    ngx_sp_job_handler_pt handler);

void ngx_sp_job_finish(ngx_sp_job_t *job);
void ngx_sp_job_retry(ngx_sp_job_t *job, ngx_msec_t delay,
    const char *reason);
void ngx_sp_job_fail(ngx_sp_job_t *job, const char *reason);


#endif /* _NGX_SP_JOB_H_INCLUDED_ */
