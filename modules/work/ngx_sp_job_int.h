
/*
 * Copyright (C) Sallyport authors
 *
 * Private to ngx_sp_job.c and ngx_sp_runner.c.
 */

#ifndef _NGX_SP_JOB_INT_H_INCLUDED_
#define _NGX_SP_JOB_INT_H_INCLUDED_


#include "ngx_sp_job.h"


typedef struct ngx_sp_job_op_s       ngx_sp_job_op_t;


/* one kind of jobs in one worker */

typedef struct {
    const ngx_sp_job_kind_t       *kind;
    ngx_sp_pg_t                   *pg;
    ngx_msec_t                     lease;

    ngx_sp_metric_t               *done;
    ngx_sp_metric_t               *retried;
    ngx_sp_metric_t               *failed;
    ngx_sp_metric_t               *lost;
    ngx_sp_metric_t               *released;
    ngx_sp_metric_t               *gauge;

    /* state of the worker, since init_process */

    ngx_queue_t                    jobs;
    ngx_uint_t                     running;   /* not GONE */
    ngx_uint_t                     failures;  /* of claims, in a row */
    ngx_uint_t                     room;      /* asked for */
    ngx_msec_t                     since;     /* the claim was sent */
    ngx_event_t                    poll;
    ngx_event_t                    tick;      /* looks for the exit */
    ngx_sp_pg_op_t                 op;
    ngx_sp_pg_query_t              queries[2];
    ngx_str_t                      params[4];
    ngx_str_t                      owner;
    ngx_str_t                      lease_text;
    u_char                         room_text[NGX_INT_T_LEN];
    unsigned                       again:1;   /* asked for while claiming */
    unsigned                       started:1;
} ngx_sp_runner_t;


typedef enum {
    NGX_SP_JOB_RUNNING = 0,
    NGX_SP_JOB_ENDING,
    NGX_SP_JOB_GONE
} ngx_sp_job_state_e;


/* what the plugin sees, and behind it what the core keeps */

typedef struct {
    ngx_sp_job_t                   job;       /* first */
    ngx_sp_runner_t               *runner;
    ngx_sp_job_state_e             state;
    ngx_queue_t                    queue;
    ngx_sp_job_op_t               *ops;
    ngx_msec_t                     deadline;  /* of the lease */
    ngx_msec_t                     renewing;  /* the renewal was sent */

    ngx_event_t                    start;
    ngx_event_t                    sleep;
    ngx_event_t                    renew;
    ngx_event_t                    end;
    ngx_event_t                    gone;
    ngx_sp_job_handler_pt          awake;

    ngx_sp_pg_op_t                 renew_op;
    ngx_sp_pg_query_t              renew_query;
    ngx_str_t                      renew_params[4];

    ngx_sp_pg_op_t                 end_op;
    ngx_sp_pg_query_t              end_query;
    ngx_str_t                      params[5];
    const ngx_sp_pg_statement_t   *statement;
    ngx_sp_metric_t               *metric;
    u_char                         delay[NGX_INT64_LEN];
} ngx_sp_claimed_t;


/* ngx_sp_job.c */

ngx_int_t ngx_sp_job_create(ngx_sp_runner_t *runner,
    const PGresult *result, int row, ngx_msec_t since);
void ngx_sp_job_release(ngx_sp_claimed_t *c);
void ngx_sp_job_destroy(ngx_sp_claimed_t *c);

/* ngx_sp_runner.c */

void ngx_sp_runner_claim(ngx_sp_runner_t *runner);


#endif /* _NGX_SP_JOB_INT_H_INCLUDED_ */
