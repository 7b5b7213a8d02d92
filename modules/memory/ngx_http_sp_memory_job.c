
/*
 * Copyright (C) Sallyport authors
 *
 * What the jobs of this module have in common.
 */

#include "ngx_http_sp_memory.h"


#define NGX_HTTP_SP_MEMORY_JOB_PG  10000


json_t *
ngx_http_sp_memory_job_parse(const ngx_str_t *text)
{
    json_t  *value;

    if (text->len == 0
        || sp_json_parse((char *) text->data, text->len, NULL, &value, NULL)
           != SP_JSON_OK)
    {
        return NULL;
    }

    return value;
}


/* each op has memory of its own: the next one starts inside "done" */

ngx_int_t
ngx_http_sp_memory_job_query(ngx_sp_job_t *job,
    const ngx_sp_pg_statement_t *statement, const ngx_str_t *params,
    ngx_sp_op_handler_pt done)
{
    ngx_sp_pg_op_t     *op;
    ngx_sp_pg_query_t  *query;

    op = ngx_pcalloc(job->pool, sizeof(ngx_sp_pg_op_t));
    query = ngx_pcalloc(job->pool, sizeof(ngx_sp_pg_query_t));

    if (op == NULL || query == NULL) {
        return NGX_ERROR;
    }

    query->statement = statement;
    query->params = params;

    op->queries = query;
    op->nqueries = 1;
    ngx_str_set(&op->role, "sallyport_gateway");

    op->op.done = done;
    op->op.data = job->ctx;
    op->op.log = job->log;
    op->op.timeout = NGX_HTTP_SP_MEMORY_JOB_PG;

    if (ngx_sp_job_attach(job, &op->op) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_sp_pg_submit(job->pg, op);

    return NGX_OK;
}


ngx_http_sp_call_t *
ngx_http_sp_memory_job_call(ngx_sp_job_t *job,
    const ngx_http_sp_memory_model_t *model, ngx_http_sp_call_e kind,
    ngx_sp_op_handler_pt done)
{
    ngx_http_sp_call_t  *call;

    call = ngx_pcalloc(job->pool, sizeof(ngx_http_sp_call_t));
    if (call == NULL) {
        return NULL;
    }

    call->model = model->model;
    call->kind = kind;
    call->pool = job->pool;
    call->dimensions = model->dimensions;

    call->op.done = done;
    call->op.data = job->ctx;
    call->op.log = job->log;
    call->op.timeout = model->timeout;

    if (ngx_sp_job_attach(job, &call->op) != NGX_OK) {
        return NULL;
    }

    return call;
}


ngx_str_t
ngx_http_sp_memory_dump(ngx_pool_t *pool, const json_t *value)
{
    size_t     flags;
    ngx_str_t  text;

    ngx_str_null(&text);

    /* vectors have six digits */

    flags = JSON_COMPACT|JSON_REAL_PRECISION(6);

    text.len = json_dumpb(value, NULL, 0, flags);
    if (text.len == 0) {
        return text;
    }

    text.data = ngx_pnalloc(pool, text.len);

    if (text.data == NULL) {
        text.len = 0;
        return text;
    }

    (void) json_dumpb(value, (char *) text.data, text.len, flags);

    return text;
}


/* the one value that each of the statements returns */

ngx_str_t
ngx_http_sp_memory_job_value(ngx_sp_op_t *op)
{
    ngx_str_t              value;
    const ngx_sp_pg_op_t  *pg;

    pg = (ngx_sp_pg_op_t *) op;

    ngx_str_null(&value);

    if (PQntuples(pg->queries[0].result) == 1) {
        value = ngx_sp_pg_value(pg->queries[0].result, 0, 0);
    }

    return value;
}


/* 30 s, 2 min, 8 min, 32 min, each with up to a quarter of jitter */

void
ngx_http_sp_memory_job_again(ngx_sp_job_t *job, const char *reason)
{
    ngx_msec_t  delay;
    ngx_uint_t  n;

    n = ngx_min(job->attempt, 4);
    n = ngx_max(n, 1);

    delay = (ngx_msec_t) NGX_HTTP_SP_MEMORY_JOB_DELAY << (2 * (n - 1));
    delay += ngx_random() % (delay / 4);

    ngx_sp_job_retry(job, delay, reason);
}
