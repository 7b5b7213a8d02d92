
/*
 * Copyright (C) Sallyport authors
 *
 * For tests only: jobs of kind "test" do what their payload says: {"do":
 * "finish" | "retry" | "fail" | "hang", "ms": before that}.  Every run and
 * cancellation is a line of the log.
 */


#include "ngx_http_sp_core.h"


ngx_int_t ngx_http_test_core_job_kinds(ngx_conf_t *cf, ngx_sp_pg_t *pg);

static void ngx_http_test_core_job_run(ngx_http_sp_job_t *job);
static void ngx_http_test_core_job_cancel(ngx_http_sp_job_t *job);
static void ngx_http_test_core_job_awake(ngx_http_sp_job_t *job);
static void ngx_http_test_core_job_done(ngx_sp_op_t *op);


typedef struct {
    ngx_http_sp_job_t             *job;
    ngx_sp_pg_op_t                 op;
    ngx_sp_pg_query_t              query;
    ngx_str_t                      params[2];
} ngx_http_test_core_job_t;


static const ngx_http_sp_job_kind_t  ngx_http_test_core_job_kind = {
    NGX_HTTP_SP_ABI,
    ngx_string("test"),
    4,                                     /* max running */
    3,                                     /* max attempts */
    3,                                     /* lease */
    ngx_http_test_core_job_run,
    ngx_http_test_core_job_cancel,
    NULL
};


/* what a job leaves behind is written under its fence */

static const ngx_sp_pg_statement_t  ngx_http_test_core_job_sql = {
    ngx_string("update gateway.job set result = "
               "jsonb_build_object('runs', coalesce((result->>'runs')::int, "
               "0) + 1) where id = $1::bigint and epoch = $2::bigint "
               "and state = 'running'"),
    2
};


ngx_int_t
ngx_http_test_core_job_kinds(ngx_conf_t *cf, ngx_sp_pg_t *pg)
{
    return ngx_http_sp_add_job_kind(cf, pg, &ngx_http_test_core_job_kind);
}


static void
ngx_http_test_core_job_run(ngx_http_sp_job_t *job)
{
    json_int_t   ms;
    json_t      *value;

    ngx_log_error(NGX_LOG_NOTICE, job->log, 0,
                  "test job %V runs, attempt %ui", &job->id, job->attempt);

    ms = 0;

    if (sp_json_parse((char *) job->payload.data, job->payload.len, NULL,
                      &value, NULL)
        == SP_JSON_OK)
    {
        ms = json_integer_value(json_object_get(value, "ms"));
        json_decref(value);
    }

    ngx_http_sp_job_sleep(job, (ngx_msec_t) ms + 1,
                          ngx_http_test_core_job_awake);
}


static void
ngx_http_test_core_job_cancel(ngx_http_sp_job_t *job)
{
    ngx_log_error(NGX_LOG_NOTICE, job->log, 0, "test job %V is cancelled",
                  &job->id);
}


static void
ngx_http_test_core_job_awake(ngx_http_sp_job_t *job)
{
    ngx_http_test_core_job_t  *ctx;

    ctx = ngx_pcalloc(job->pool, sizeof(ngx_http_test_core_job_t));
    if (ctx == NULL) {
        ngx_http_sp_job_retry(job, 100, "out of memory");
        return;
    }

    ctx->job = job;
    ctx->params[0] = job->id;
    ctx->params[1] = job->epoch;
    ctx->query.statement = &ngx_http_test_core_job_sql;
    ctx->query.params = ctx->params;
    ctx->op.queries = &ctx->query;
    ctx->op.nqueries = 1;
    ctx->op.op.done = ngx_http_test_core_job_done;
    ctx->op.op.data = ctx;
    ctx->op.op.log = job->log;
    ngx_str_set(&ctx->op.role, "sallyport_gateway");

    if (ngx_http_sp_job_attach(job, &ctx->op.op) != NGX_OK) {
        ngx_http_sp_job_retry(job, 100, "out of memory");
        return;
    }

    ngx_sp_pg_submit(job->pg, &ctx->op);
}


static void
ngx_http_test_core_job_done(ngx_sp_op_t *op)
{
    ngx_http_sp_job_t         *job;
    ngx_http_test_core_job_t  *ctx;

    ctx = op->data;
    job = ctx->job;

    if (op->result != NGX_SP_OP_OK) {
        ngx_http_sp_job_retry(job, 200, "not written");
        return;
    }

    if (ngx_strstr(job->payload.data, "\"retry\"") != NULL) {
        ngx_http_sp_job_retry(job, 100, "as told");
        return;
    }

    if (ngx_strstr(job->payload.data, "\"fail\"") != NULL) {
        ngx_http_sp_job_fail(job, "as told");
        return;
    }

    if (ngx_strstr(job->payload.data, "\"hang\"") != NULL) {

        /* the lease is renewed as long as nobody takes it */

        ngx_http_sp_job_sleep(job, 3600 * 1000,
                              ngx_http_test_core_job_awake);
        return;
    }

    ngx_http_sp_job_finish(job);
}
