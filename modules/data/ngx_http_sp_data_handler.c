
/*
 * Copyright (C) Sallyport authors
 */

#include "ngx_http_sp_data.h"

#include "sp_query.h"


#define NGX_HTTP_SP_DATA_PARAMS  32


typedef enum {
    NGX_HTTP_SP_DATA_BODY = 0,
    NGX_HTTP_SP_DATA_CALL,
    NGX_HTTP_SP_DATA_DONE
} ngx_http_sp_data_state_e;


typedef struct {
    ngx_http_sp_data_state_e   state;
    ngx_http_request_t        *request;
    ngx_sp_pg_op_t             op;
    ngx_sp_pg_query_t          query;
    ngx_str_t                  params[4];  /* method, path, query, body */
    ngx_http_sp_data_answer_t  answer;
} ngx_http_sp_data_ctx_t;


static ngx_int_t ngx_http_sp_data_read_body(ngx_http_request_t *r,
    ngx_http_sp_data_ctx_t *ctx);
static ngx_int_t ngx_http_sp_data_call(ngx_http_request_t *r,
    ngx_http_sp_data_ctx_t *ctx);
static ngx_int_t ngx_http_sp_data_query(ngx_http_request_t *r,
    ngx_str_t *json);
static void ngx_http_sp_data_done(ngx_sp_op_t *op);
static void ngx_http_sp_data_result(ngx_http_sp_data_ctx_t *ctx);
static void ngx_http_sp_data_keep(ngx_http_sp_data_ctx_t *ctx,
    ngx_str_t *dst, ngx_str_t src);
static ngx_int_t ngx_http_sp_data_answer(ngx_http_request_t *r,
    ngx_http_sp_data_ctx_t *ctx);
static void ngx_http_sp_data_set_state(ngx_http_request_t *r,
    ngx_http_sp_data_ctx_t *ctx, ngx_http_sp_data_state_e state);


#if (NGX_DEBUG)

static const char *const  ngx_http_sp_data_states[] = {
    "body", "call", "done"
};

#endif


ngx_int_t
ngx_http_sp_data_handler(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_sp_data_ctx_t  *ctx;

    ctx = ngx_http_sp_ctx(r, &ngx_http_sp_data_module,
                          sizeof(ngx_http_sp_data_ctx_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->state == NGX_HTTP_SP_DATA_DONE) {

        /* an error_page led here again: a new call */

        ngx_memzero(ctx, sizeof(ngx_http_sp_data_ctx_t));
    }

    ctx->request = r;

    if (ctx->state == NGX_HTTP_SP_DATA_BODY) {

        rc = ngx_http_sp_data_read_body(r, ctx);
        if (rc != NGX_OK) {
            return rc;
        }

        rc = ngx_http_sp_data_call(r, ctx);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (!ngx_sp_op_finished(&ctx->op.op)) {
        return NGX_AGAIN;
    }

    ngx_http_sp_data_set_state(r, ctx, NGX_HTTP_SP_DATA_DONE);

    return ngx_http_sp_data_answer(r, ctx);
}


/* no body is SQL NULL */

static ngx_int_t
ngx_http_sp_data_read_body(ngx_http_request_t *r,
    ngx_http_sp_data_ctx_t *ctx)
{
    json_t     *value;
    ngx_int_t   rc;

    ngx_str_null(&ctx->params[3]);

    if (!(r->method & (NGX_HTTP_POST|NGX_HTTP_PUT|NGX_HTTP_PATCH
                       |NGX_HTTP_DELETE))
        || (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked))
    {
        return ngx_http_discard_request_body(r);
    }

    rc = ngx_http_sp_json_body(r, &value);
    if (rc != NGX_OK) {
        return rc;
    }

    /* the text as it came; it is known to be strict JSON now */

    return ngx_http_sp_body(r, &ctx->params[3]);
}


static ngx_int_t
ngx_http_sp_data_call(ngx_http_request_t *r, ngx_http_sp_data_ctx_t *ctx)
{
    ngx_int_t                     rc;
    ngx_sp_pg_op_t               *op;
    ngx_http_sp_data_loc_conf_t  *dlcf;

    dlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_data_module);
    op = &ctx->op;

    if (r->method == NGX_HTTP_HEAD) {
        ngx_str_set(&ctx->params[0], "GET");

    } else {
        ctx->params[0] = r->method_name;
    }

    ctx->params[1] = r->uri;

    rc = ngx_http_sp_data_query(r, &ctx->params[2]);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx->query.statement = dlcf->statement;
    ctx->query.params = ctx->params;

    op->queries = &ctx->query;
    op->nqueries = 1;
    op->read_only = !(r->method & (NGX_HTTP_POST|NGX_HTTP_PUT|NGX_HTTP_PATCH
                                   |NGX_HTTP_DELETE));

    ngx_http_sp_pg_identity(r, op);

    op->op.done = ngx_http_sp_data_done;
    op->op.data = ctx;
    op->op.log = r->connection->log;
    op->op.timeout = dlcf->timeout;

    if (ngx_http_sp_op_attach(r, &op->op) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_sp_pg_submit(dlcf->pg, op);

    ngx_http_sp_data_set_state(r, ctx, NGX_HTTP_SP_DATA_CALL);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_data_query(ngx_http_request_t *r, ngx_str_t *json)
{
    size_t              len;
    json_t             *object;
    sp_query_status_e   status;

    status = sp_query_parse((const char *) r->args.data, r->args.len,
                            NGX_HTTP_SP_DATA_PARAMS, &object);

    if (status == SP_QUERY_NO_MEMORY) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (status != SP_QUERY_OK) {
        return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "invalid_query",
                                 "%s", sp_query_strerror(status));
    }

    len = json_dumpb(object, NULL, 0, JSON_COMPACT);

    json->data = ngx_pnalloc(r->pool, ngx_max(len, 1));

    if (json->data != NULL) {
        json->len = json_dumpb(object, (char *) json->data, len,
                               JSON_COMPACT);
    }

    json_decref(object);

    if (json->data == NULL || json->len != len || len == 0) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_OK;
}


/* the core wakes the request afterwards */

static void
ngx_http_sp_data_done(ngx_sp_op_t *op)
{
    ngx_sp_pg_op_t                *pg;
    ngx_http_sp_data_ctx_t        *ctx;
    ngx_http_sp_data_answer_t     *answer;
    ngx_http_sp_data_main_conf_t  *dmcf;

    ctx = op->data;
    pg = &ctx->op;
    answer = &ctx->answer;

    dmcf = ngx_http_get_module_main_conf(ctx->request,
                                         ngx_http_sp_data_module);
    ngx_sp_metric_add(dmcf->calls, 1);
    ngx_sp_metric_observe(dmcf->duration, 1000 * op->elapsed, 1);

    answer->result = op->result;
    answer->sent = op->sent;

    if (op->result == NGX_SP_OP_OK) {
        ngx_http_sp_data_result(ctx);
        return;
    }

    if (op->result != NGX_SP_OP_REJECTED) {
        return;
    }

    if (pg->sqlstate.len == sizeof(answer->sqlstate)) {
        ngx_memcpy(answer->sqlstate, pg->sqlstate.data, pg->sqlstate.len);
    }

    ngx_http_sp_data_keep(ctx, &answer->message, pg->message);
    ngx_http_sp_data_keep(ctx, &answer->detail, pg->detail);
    ngx_http_sp_data_keep(ctx, &answer->hint, pg->hint);
}


/* exactly one row: status, body, location, allow */

static void
ngx_http_sp_data_result(ngx_http_sp_data_ctx_t *ctx)
{
    ngx_int_t                     status;
    ngx_str_t                     body, value;
    const PGresult               *result;
    ngx_http_sp_data_answer_t    *answer;
    ngx_http_sp_data_loc_conf_t  *dlcf;

    answer = &ctx->answer;
    result = ctx->query.result;

    if (PQntuples(result) != 1 || PQnfields(result) != 4) {
        answer->malformed = 1;
        return;
    }

    value = ngx_sp_pg_value(result, 0, 0);
    status = ngx_atoi(value.data, value.len);

    if (status == NGX_ERROR || status < 200 || status > 599) {
        answer->malformed = 1;
        return;
    }

    answer->status = status;

    body = ngx_sp_pg_value(result, 0, 1);

    dlcf = ngx_http_get_module_loc_conf(ctx->request,
                                        ngx_http_sp_data_module);

    if (body.len > dlcf->max_result) {
        answer->too_large = 1;
        return;
    }

    ngx_http_sp_data_keep(ctx, &answer->body, body);
    ngx_http_sp_data_keep(ctx, &answer->location,
                          ngx_sp_pg_value(result, 0, 2));
    ngx_http_sp_data_keep(ctx, &answer->allow,
                          ngx_sp_pg_value(result, 0, 3));
}


static void
ngx_http_sp_data_keep(ngx_http_sp_data_ctx_t *ctx, ngx_str_t *dst,
    ngx_str_t src)
{
    ngx_str_null(dst);

    if (src.data == NULL || src.len == 0) {
        return;
    }

    dst->data = ngx_pstrdup(ctx->request->pool, &src);

    if (dst->data == NULL) {
        ctx->answer.no_memory = 1;
        return;
    }

    dst->len = src.len;
}


static ngx_int_t
ngx_http_sp_data_answer(ngx_http_request_t *r, ngx_http_sp_data_ctx_t *ctx)
{
    ngx_int_t                   rc;
    ngx_http_sp_data_answer_t  *answer;

    static ngx_str_t  no_store = ngx_string("no-store");

    answer = &ctx->answer;

    if (answer->result != NGX_SP_OP_OK || answer->malformed
        || answer->too_large || answer->no_memory)
    {
        return ngx_http_sp_data_error(r, answer);
    }

    if (ngx_http_sp_identity(r) != NULL
        && ngx_http_sp_add_header(r, "Cache-Control", &no_store) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (answer->status == NGX_HTTP_NOT_ALLOWED) {

        rc = ngx_http_sp_add_header(r, "Allow", &answer->allow);
        if (rc != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_sp_error(r, NGX_HTTP_NOT_ALLOWED,
                                 "method_not_allowed",
                                 "%V is not allowed here; use %V",
                                 &r->method_name, &answer->allow);
    }

    if (answer->location.len > 0
        && ngx_http_sp_add_header(r, "Location", &answer->location)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_sp_send_json(r, answer->status, &answer->body);
}


static void
ngx_http_sp_data_set_state(ngx_http_request_t *r,
    ngx_http_sp_data_ctx_t *ctx, ngx_http_sp_data_state_e state)
{
    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "pg_call: %s -> %s", ngx_http_sp_data_states[ctx->state],
                   ngx_http_sp_data_states[state]);

    ctx->state = state;
}
