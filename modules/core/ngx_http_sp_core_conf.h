
/*
 * Copyright (C) Sallyport authors
 *
 * Part of ngx_http_sp_core.h: for configuration, and beside requests.
 */

#ifndef _NGX_HTTP_SP_CORE_CONF_H_INCLUDED_
#define _NGX_HTTP_SP_CORE_CONF_H_INCLUDED_


/* Variables */

/* in the preconfiguration; the table ends with ngx_http_null_variable */
ngx_int_t ngx_http_sp_add_variables(ngx_conf_t *cf,
    ngx_http_variable_t *table);

/* in a setter: a text with variables; NULL after logging what is wrong */
ngx_http_complex_value_t *ngx_http_sp_complex_value(ngx_conf_t *cf,
    ngx_str_t *text);


/* Servers: "redis_server" and "pg_server" of the configuration */

/* NULL after logging that the name is unknown, with file and line */
ngx_sp_redis_t *ngx_http_sp_redis(ngx_conf_t *cf, const ngx_str_t *name);
ngx_sp_pg_t *ngx_http_sp_pg(ngx_conf_t *cf, const ngx_str_t *name);

/*
 * This server has the schema of sql/: what has been over for long is deleted
 * there.  Once is enough; whoever adds a job kind need not call it.
 */
ngx_int_t ngx_http_sp_housekeeping(ngx_conf_t *cf, ngx_sp_pg_t *pg);


/* Metrics */

typedef enum {
    NGX_HTTP_SP_COUNTER = 0,
    NGX_HTTP_SP_GAUGE,
    NGX_HTTP_SP_HISTOGRAM        /* of milliseconds, fixed buckets */
} ngx_http_sp_metric_type_e;

typedef struct ngx_http_sp_metric_s  ngx_http_sp_metric_t;

/*
 * Configuration: name is "sallyport_..._total" and the like; labels come from
 * configuration only: "policy=\"free\",limit=\"requests\"" or "".  The same
 * name and labels give the same metric.  Values are in shared memory and
 * survive reloads.
 */
ngx_http_sp_metric_t *ngx_http_sp_add_metric(ngx_conf_t *cf,
    ngx_http_sp_metric_type_e type, const char *name, const char *help,
    const ngx_str_t *labels);

/*
 * A table of metrics and the fields of "conf" that keep them, up to one
 * without a name.  With a label, it and its value stand before those of the
 * table; or NULL.
 */
typedef struct {
    ngx_http_sp_metric_type_e    type;
    const char                  *name;
    const char                  *help;
    const char                  *labels;   /* or "" */
    size_t                       offset;   /* of an ngx_http_sp_metric_t * */
} ngx_http_sp_metric_slot_t;

ngx_int_t ngx_http_sp_add_metrics(ngx_conf_t *cf,
    const ngx_http_sp_metric_slot_t *table, void *conf, const char *label,
    const ngx_str_t *value);

void ngx_http_sp_metric_add(ngx_http_sp_metric_t *metric, ngx_int_t n);
void ngx_http_sp_metric_set(ngx_http_sp_metric_t *metric, ngx_int_t n);
void ngx_http_sp_metric_observe(ngx_http_sp_metric_t *metric,
    ngx_msec_t value);


/* Readiness: a reason makes /readyz 503 */

typedef const char *(*ngx_http_sp_ready_pt)(void *data);

ngx_int_t ngx_http_sp_add_ready(ngx_conf_t *cf, const char *name,
    ngx_http_sp_ready_pt handler, void *data);


/* Background jobs: rows of gateway.job, claimed with a lease */

typedef struct ngx_http_sp_job_s       ngx_http_sp_job_t;
typedef struct ngx_http_sp_job_kind_s  ngx_http_sp_job_kind_t;

typedef void (*ngx_http_sp_job_handler_pt)(ngx_http_sp_job_t *job);

struct ngx_http_sp_job_kind_s {
    ngx_uint_t                   abi;
    ngx_str_t                    name;
    ngx_uint_t                   max_running;  /* per worker */
    ngx_uint_t                   max_attempts; /* then "dead"; 0: never */
    time_t                       lease;        /* seconds, renewed by core */

    /*
     * Called once after the claim.  The state machine drives itself from
     * the done handlers of its ops and ends in exactly one of finish(),
     * retry(), fail().
     */
    ngx_http_sp_job_handler_pt   run;

    /* the lease was lost or the worker exits: stop, free, write nothing */
    ngx_http_sp_job_handler_pt   cancel;       /* or NULL */
    void                        *data;
};

struct ngx_http_sp_job_s {
    const ngx_http_sp_job_kind_t *kind;
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

/* the struct is static or configuration memory */
ngx_int_t ngx_http_sp_add_job_kind(ngx_conf_t *cf, ngx_sp_pg_t *pg,
    const ngx_http_sp_job_kind_t *kind);

/* the op is cancelled when the job ends */
ngx_int_t ngx_http_sp_job_attach(ngx_http_sp_job_t *job, ngx_sp_op_t *op);

/*
 * A timer of the job: exactly one at a time, cancelled when the job ends
 */
void ngx_http_sp_job_sleep(ngx_http_sp_job_t *job, ngx_msec_t delay,
    ngx_http_sp_job_handler_pt handler);

void ngx_http_sp_job_finish(ngx_http_sp_job_t *job);
void ngx_http_sp_job_retry(ngx_http_sp_job_t *job, ngx_msec_t delay,
    const char *reason);
void ngx_http_sp_job_fail(ngx_http_sp_job_t *job, const char *reason);


#endif /* _NGX_HTTP_SP_CORE_CONF_H_INCLUDED_ */
