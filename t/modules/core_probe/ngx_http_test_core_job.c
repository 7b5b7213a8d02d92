
/*
 * Copyright (C) Sallyport authors
 *
 * For tests only: jobs of kind "test" do what their payload says: {"do":
 * "finish" | "retry" | "fail" | "hang" | "spool", "ms": before that}.  Every
 * run and cancellation is a line of the log; "spool" writes the payload as one
 * of kind "probe" into the spool, and finishes.
 */


#include "ngx_http_sp_core.h"


ngx_int_t ngx_http_test_core_job_kinds(ngx_conf_t *cf, ngx_sp_pg_t *pg);

static void ngx_http_test_core_job_run(ngx_sp_job_t *job);
static void ngx_http_test_core_job_cancel(ngx_sp_job_t *job);
static void ngx_http_test_core_job_awake(ngx_sp_job_t *job);
static void ngx_http_test_core_job_done(ngx_sp_op_t *op);
static ngx_int_t ngx_http_test_core_job_append(ngx_sp_job_t *job);


typedef struct {
    ngx_sp_job_t                  *job;
    ngx_sp_pg_op_t                 op;
    ngx_sp_pg_query_t              query;
    ngx_str_t                      params[2];
} ngx_http_test_core_job_t;


static const ngx_sp_job_kind_t       ngx_http_test_core_job_kind = {
    NGX_HTTP_SP_ABI,
    ngx_string("test"),
    4,                                     /* max running */
    3,                                     /* max attempts */
    3,                                     /* lease */
    ngx_http_test_core_job_run,
    ngx_http_test_core_job_cancel,
    NULL
};


/* in PostgreSQL the test has made this function */

static const ngx_sp_pg_statement_t  ngx_http_test_core_job_lines = {
    ngx_string("select gateway.test_lines($1::jsonb)"),
    1
};


static ngx_sp_sink_conf_t  ngx_http_test_core_job_sink_conf = {
    ngx_string("probe"),
    NULL,
    &ngx_http_test_core_job_lines,
    2,                                     /* batch max */
    20                                     /* flush time */
};


static ngx_sp_sink_t  *ngx_http_test_core_job_sink;


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
    ngx_http_test_core_job_sink_conf.pg = pg;

    ngx_http_test_core_job_sink = ngx_http_sp_add_sink(cf,
                                           &ngx_http_test_core_job_sink_conf);
    if (ngx_http_test_core_job_sink == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_sp_add_job_kind(cf, pg, &ngx_http_test_core_job_kind);
}


static void
ngx_http_test_core_job_run(ngx_sp_job_t *job)
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

    ngx_sp_job_sleep(job, (ngx_msec_t) ms + 1,
                     ngx_http_test_core_job_awake);
}


static void
ngx_http_test_core_job_cancel(ngx_sp_job_t *job)
{
    ngx_log_error(NGX_LOG_NOTICE, job->log, 0, "test job %V is cancelled",
                  &job->id);
}


static void
ngx_http_test_core_job_awake(ngx_sp_job_t *job)
{
    ngx_http_test_core_job_t  *ctx;

    ctx = ngx_pcalloc(job->pool, sizeof(ngx_http_test_core_job_t));
    if (ctx == NULL) {
        ngx_sp_job_retry(job, 100, "out of memory");
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

    if (ngx_sp_job_attach(job, &ctx->op.op) != NGX_OK) {
        ngx_sp_job_retry(job, 100, "out of memory");
        return;
    }

    ngx_sp_pg_submit(job->pg, &ctx->op);
}


static void
ngx_http_test_core_job_done(ngx_sp_op_t *op)
{
    ngx_sp_job_t              *job;
    ngx_http_test_core_job_t  *ctx;

    ctx = op->data;
    job = ctx->job;

    if (op->result != NGX_SP_OP_OK) {
        ngx_sp_job_retry(job, 200, "not written");
        return;
    }

    if (ngx_strstr(job->payload.data, "\"spool\"") != NULL
        && ngx_http_test_core_job_append(job) != NGX_OK)
    {
        ngx_sp_job_fail(job, "not accepted");
        return;
    }

    if (ngx_strstr(job->payload.data, "\"retry\"") != NULL) {
        ngx_sp_job_retry(job, 100, "as told");
        return;
    }

    if (ngx_strstr(job->payload.data, "\"fail\"") != NULL) {
        ngx_sp_job_fail(job, "as told");
        return;
    }

    if (ngx_strstr(job->payload.data, "\"hang\"") != NULL) {

        /* the lease is renewed as long as nobody takes it */

        ngx_sp_job_sleep(job, 3600 * 1000,
                         ngx_http_test_core_job_awake);
        return;
    }

    ngx_sp_job_finish(job);
}


static ngx_int_t
ngx_http_test_core_job_append(ngx_sp_job_t *job)
{
    ngx_str_t  line;

    line.data = ngx_pnalloc(job->pool, job->payload.len + 1);
    if (line.data == NULL) {
        return NGX_ERROR;
    }

    line.len = ngx_sprintf(line.data, "%V\n", &job->payload) - line.data;

    return ngx_sp_spool_append(ngx_http_test_core_job_sink, &line);
}
