
/*
 * Copyright (C) Sallyport authors
 *
 * What "wallet_auth" answers: routing, and the ops of all endpoints.
 */

#include "ngx_http_sp_wallet.h"


typedef struct {
    ngx_str_t               name;
    ngx_uint_t              methods;
    ngx_http_sp_wallet_pt   handler;
} ngx_http_sp_wallet_endpoint_t;


static ngx_int_t ngx_http_sp_wallet_route(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);
static void ngx_http_sp_wallet_redis_done(ngx_sp_op_t *op);
static void ngx_http_sp_wallet_pg_done(ngx_sp_op_t *op);


static ngx_http_sp_wallet_endpoint_t  ngx_http_sp_wallet_endpoints[] = {

    { ngx_string("nonce"), NGX_HTTP_GET, ngx_http_sp_wallet_nonce },

    { ngx_string("verify"), NGX_HTTP_POST, ngx_http_sp_wallet_verify },

    { ngx_string("guest"), NGX_HTTP_POST, ngx_http_sp_wallet_guest },

    { ngx_string("refresh"), NGX_HTTP_POST, ngx_http_sp_wallet_refresh },

    { ngx_string("logout"), NGX_HTTP_POST, ngx_http_sp_wallet_logout },

    { ngx_string("session"), NGX_HTTP_GET, ngx_http_sp_wallet_session }
};


#if (NGX_DEBUG)

static const char *const  ngx_http_sp_wallet_states[] = {
    "start", "redis", "pg"
};

#endif


ngx_int_t
ngx_http_sp_wallet_run(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_http_sp_wallet_ctx_t  *ctx;

    static ngx_str_t           no_store = ngx_string("no-store");

    ctx = ngx_http_sp_ctx(r, &ngx_http_sp_wallet_module,
                          sizeof(ngx_http_sp_wallet_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (ctx->handler == NULL) {
        ctx->request = r;

        if (ngx_http_sp_add_header(r, "Cache-Control", &no_store) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = ngx_http_sp_wallet_route(r, ctx);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ctx->handler(r, ctx);
}


static ngx_int_t
ngx_http_sp_wallet_route(ngx_http_request_t *r, ngx_http_sp_wallet_ctx_t *ctx)
{
    ngx_int_t                       rc;
    ngx_str_t                       name;
    ngx_uint_t                      i;
    ngx_http_core_loc_conf_t       *clcf;
    ngx_http_sp_wallet_endpoint_t  *endpoint;
    ngx_http_sp_wallet_loc_conf_t  *wlcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_wallet_module);

    name = r->uri;

    /* what follows the prefix of the location */

    if (name.len >= clcf->name.len
        && ngx_strncmp(name.data, clcf->name.data, clcf->name.len) == 0)
    {
        name.data += clcf->name.len;
        name.len -= clcf->name.len;
    }

    if (name.len != 0 && name.data[0] == '/') {
        name.data++;
        name.len--;
    }

    for (i = 0;
         i < sizeof(ngx_http_sp_wallet_endpoints)
             / sizeof(ngx_http_sp_wallet_endpoints[0]);
         i++)
    {
        endpoint = &ngx_http_sp_wallet_endpoints[i];

        if (name.len != endpoint->name.len
            || ngx_strncmp(name.data, endpoint->name.data, name.len) != 0)
        {
            continue;
        }

        if (endpoint->handler == ngx_http_sp_wallet_guest && !wlcf->guest) {
            break;
        }

        rc = ngx_http_sp_allow(r, endpoint->methods);

        if (rc != NGX_OK) {
            return rc;
        }

        if (r->headers_in.content_length_n > NGX_HTTP_SP_WALLET_BODY) {
            return ngx_http_sp_error(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                     "body_too_large",
                                     "the body has more than %d bytes",
                                     NGX_HTTP_SP_WALLET_BODY);
        }

        ctx->handler = endpoint->handler;

        return NGX_OK;
    }

    return ngx_http_sp_not_found(r);
}


void
ngx_http_sp_wallet_set_state(ngx_http_sp_wallet_ctx_t *ctx,
    ngx_http_sp_wallet_state_e state)
{
    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ctx->request->connection->log, 0,
                   "wallet: %s -> %s", ngx_http_sp_wallet_states[ctx->state],
                   ngx_http_sp_wallet_states[state]);

    ctx->state = state;
}


ngx_int_t
ngx_http_sp_wallet_redis(ngx_http_sp_wallet_ctx_t *ctx, ngx_uint_t argc,
    const ngx_str_t *argv)
{
    ngx_http_request_t             *r;
    ngx_http_sp_wallet_loc_conf_t  *wlcf;

    r = ctx->request;
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_wallet_module);

    ngx_memzero(&ctx->redis, sizeof(ngx_sp_redis_op_t));

    ctx->redis.op.done = ngx_http_sp_wallet_redis_done;
    ctx->redis.op.data = ctx;
    ctx->redis.op.log = r->connection->log;

    if (ngx_http_sp_op_attach(r, &ctx->redis.op) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_sp_wallet_set_state(ctx, NGX_HTTP_SP_WALLET_REDIS);
    ngx_sp_redis_command(wlcf->redis, &ctx->redis, argc, argv);

    return NGX_AGAIN;
}


static void
ngx_http_sp_wallet_redis_done(ngx_sp_op_t *op)
{
    const redisReply          *reply;
    ngx_http_sp_wallet_ctx_t  *ctx;

    ctx = op->data;
    reply = ctx->redis.reply;

    ngx_str_null(&ctx->reply);

    if (op->result != NGX_SP_OP_OK
        || (reply->type != REDIS_REPLY_STRING
            && reply->type != REDIS_REPLY_STATUS))
    {
        return;
    }

    ctx->reply.data = ngx_pnalloc(ctx->request->pool, reply->len + 1);

    if (ctx->reply.data != NULL) {
        ngx_memcpy(ctx->reply.data, reply->str, reply->len);
        ctx->reply.len = reply->len;
    }
}


ngx_int_t
ngx_http_sp_wallet_param(ngx_http_sp_wallet_ctx_t *ctx, ngx_uint_t n,
    const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    p = ngx_pnalloc(ctx->request->pool, NGX_HTTP_SP_WALLET_PARAM);
    if (p == NULL) {
        return NGX_ERROR;
    }

    va_start(args, fmt);
    ctx->params[n].data = p;
    ctx->params[n].len = ngx_vslprintf(p, p + NGX_HTTP_SP_WALLET_PARAM, fmt,
                                       args)
                         - p;
    va_end(args);

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_wallet_query(ngx_http_sp_wallet_ctx_t *ctx,
    const ngx_sp_pg_statement_t *statement)
{
    ngx_http_request_t             *r;
    ngx_http_sp_wallet_loc_conf_t  *wlcf;

    r = ctx->request;
    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_wallet_module);

    ngx_memzero(&ctx->pg, sizeof(ngx_sp_pg_op_t));
    ngx_memzero(&ctx->query, sizeof(ngx_sp_pg_query_t));

    ctx->query.statement = statement;
    ctx->query.params = ctx->params;

    ctx->pg.op.done = ngx_http_sp_wallet_pg_done;
    ctx->pg.op.data = ctx;
    ctx->pg.op.log = r->connection->log;
    ctx->pg.queries = &ctx->query;
    ctx->pg.nqueries = 1;
    ngx_str_set(&ctx->pg.role, "sallyport_gateway");

    if (ngx_http_sp_op_attach(r, &ctx->pg.op) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_sp_wallet_set_state(ctx, NGX_HTTP_SP_WALLET_PG);
    ngx_sp_pg_submit(wlcf->pg, &ctx->pg);

    return NGX_AGAIN;
}


/* the first row; a value that does not fit in memory makes it none */

static void
ngx_http_sp_wallet_pg_done(ngx_sp_op_t *op)
{
    int                        columns, i;
    ngx_str_t                  value;
    ngx_http_sp_wallet_ctx_t  *ctx;

    ctx = op->data;
    ctx->rows = 0;

    if (op->result != NGX_SP_OP_OK || PQntuples(ctx->query.result) == 0) {
        return;
    }

    columns = PQnfields(ctx->query.result);

    for (i = 0;
         i < columns && i < (int) (sizeof(ctx->row) / sizeof(ctx->row[0]));
         i++)
    {
        value = ngx_sp_pg_value(ctx->query.result, 0, i);
        ctx->row[i].len = value.len;
        ctx->row[i].data = ngx_pstrdup(ctx->request->pool, &value);

        if (ctx->row[i].data == NULL && value.len != 0) {
            return;
        }
    }

    ctx->rows = 1;
}


ngx_int_t
ngx_http_sp_wallet_unavailable(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx, const char *what, ngx_sp_op_t *op)
{
    ctx->error = what;

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "wallet: %s: %s", what, ngx_sp_op_result_name(op->result));

    ngx_http_sp_wallet_count(r, NGX_HTTP_SP_WALLET_UNAVAILABLE);

    if (ngx_http_sp_retry_after(r, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                             "sign_in_unavailable",
                             "signing in is not possible at the moment");
}
