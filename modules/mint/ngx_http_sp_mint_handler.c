
/*
 * Copyright (C) Sallyport authors
 *
 * The content handler:
 *
 *     POST  <location>           intake
 *     GET   <location>           one's mints, newest first
 *     GET   <location>/<id>      one of them
 *     GET   <location>/domain    what a wallet has to sign
 */


#include "ngx_http_sp_mint.h"


#define NGX_HTTP_SP_MINT_ARG_MAX  256


typedef struct {
    ngx_pool_t                *pool;
    ngx_uint_t                 submitted;    /* unsigned  submitted:1; */

    ngx_sp_pg_op_t             pg;
    ngx_sp_pg_query_t          query;
    ngx_str_t                  reply;

    ngx_str_t                  sqlstate;
    ngx_str_t                  message;
    ngx_str_t                  detail;
} ngx_http_sp_mint_reader_t;


static ngx_int_t ngx_http_sp_mint_domain(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint);
static ngx_int_t ngx_http_sp_mint_reader(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint, ngx_str_t *rest);
static ngx_int_t ngx_http_sp_mint_ask(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint, ngx_http_sp_mint_reader_t *ctx,
    ngx_str_t *rest);
static ngx_int_t ngx_http_sp_mint_tell(ngx_http_request_t *r,
    ngx_http_sp_mint_reader_t *ctx);
static ngx_int_t ngx_http_sp_mint_query(ngx_http_request_t *r,
    ngx_str_t *query);
static void ngx_http_sp_mint_reader_done(ngx_sp_op_t *op);
static ngx_str_t ngx_http_sp_mint_copy(ngx_pool_t *pool, ngx_str_t value);


static ngx_sp_pg_statement_t  ngx_http_sp_mint_read_sql = {
    ngx_string("select reply from api.call('GET', $1, $2, null)"), 2
};


ngx_int_t
ngx_http_sp_mint_handler(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_str_t                     rest;
    ngx_uint_t                    found;
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_sp_mint_loc_conf_t  *mlcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_mint_module);
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    /*
     * What follows the location, without slashes around it.  "rewrite" and
     * "try_files" may have put another uri in its place.
     */

    rest = r->uri;

    if (rest.len >= clcf->name.len
        && ngx_strncmp(rest.data, clcf->name.data, clcf->name.len) == 0)
    {
        rest.data += clcf->name.len;
        rest.len -= clcf->name.len;
        found = (rest.len == 0 || rest.data[0] == '/'
                 || clcf->name.data[clcf->name.len - 1] == '/');

    } else {
        found = 0;
    }

    if (!found) {
        return ngx_http_sp_error(r, NGX_HTTP_NOT_FOUND, "not_found",
                                 "there is no such endpoint");
    }

    if (rest.len != 0 && rest.data[0] == '/') {
        rest.data++;
        rest.len--;
    }

    if (rest.len == 0) {
        if (r->method == NGX_HTTP_POST) {
            return ngx_http_sp_mint_intake(r, mlcf->mint);
        }

    } else {
        rc = ngx_http_sp_allow(r, NGX_HTTP_GET|NGX_HTTP_HEAD);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (rest.len == 6 && ngx_strncmp(rest.data, "domain", 6) == 0) {
        return ngx_http_sp_mint_domain(r, mlcf->mint);
    }

    return ngx_http_sp_mint_reader(r, mlcf->mint, &rest);
}


/* the database's refusals in the envelope; shared with the intake */

ngx_int_t
ngx_http_sp_mint_pg_error(ngx_http_request_t *r, ngx_sp_pg_op_t *op)
{
    if (op->op.result == NGX_SP_OP_REJECTED) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) ngx_http_sp_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                             "database_unavailable",
                             "mints cannot be stored or read at the moment");
    ngx_http_sp_error_hint(r, "repeat the request with the same "
                              "Idempotency-Key");
    (void) ngx_http_sp_retry_after(r, 2);

    return NGX_HTTP_SERVICE_UNAVAILABLE;
}


/* what eth_signTypedData_v4 takes, but for the message */

static ngx_int_t
ngx_http_sp_mint_domain(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint)
{
    size_t     len;
    u_char    *p;
    ngx_str_t  body, name, version;

    name.len = 6 * mint->domain_name.len;
    version.len = 6 * mint->domain_version.len;
    len = name.len + version.len;

    p = ngx_pnalloc(r->pool, 2 * len + 1024);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    name.data = p;
    name.len = sp_json_escape((char *) p, name.len,
                              (char *) mint->domain_name.data,
                              mint->domain_name.len);
    p += name.len;

    version.data = p;
    version.len = sp_json_escape((char *) p, version.len,
                                 (char *) mint->domain_version.data,
                                 mint->domain_version.len);
    p += version.len;

    body.data = p;
    body.len = ngx_sprintf(p,
        "{\"domain\":{\"name\":\"%V\",\"version\":\"%V\",\"chainId\":%uL,"
        "\"verifyingContract\":\"%V\"},"
        "\"primaryType\":\"MintAuthorization\","
        "\"types\":{\"MintAuthorization\":["
        "{\"name\":\"to\",\"type\":\"address\"},"
        "{\"name\":\"uri\",\"type\":\"string\"},"
        "{\"name\":\"deadline\",\"type\":\"uint256\"},"
        "{\"name\":\"salt\",\"type\":\"bytes32\"}]},"
        "\"chain\":\"%V\"}",
        &name, &version, mint->chain->id, &mint->contract_text,
        &mint->chain->name)
        - p;

    return ngx_http_sp_send_json(r, NGX_HTTP_OK, &body);
}


static ngx_int_t
ngx_http_sp_mint_reader(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint, ngx_str_t *rest)
{
    ngx_http_sp_mint_ctx_t     *mctx;
    ngx_http_sp_mint_reader_t  *ctx;

    mctx = ngx_http_sp_ctx(r, &ngx_http_sp_mint_module,
                           sizeof(ngx_http_sp_mint_ctx_t));
    if (mctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (mctx->reader == NULL) {
        mctx->reader = ngx_pcalloc(r->pool,
                                   sizeof(ngx_http_sp_mint_reader_t));
        if (mctx->reader == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ctx = mctx->reader;

    if (!ctx->submitted) {
        return ngx_http_sp_mint_ask(r, mint, ctx, rest);
    }

    if (!ngx_sp_op_finished(&ctx->pg.op)) {
        return NGX_AGAIN;
    }

    return ngx_http_sp_mint_tell(r, ctx);
}


static ngx_int_t
ngx_http_sp_mint_ask(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint, ngx_http_sp_mint_reader_t *ctx,
    ngx_str_t *rest)
{
    u_char     *p;
    ngx_str_t   params[2];

    if (ngx_http_sp_identity(r) == NULL) {
        return ngx_http_sp_error(r, NGX_HTTP_UNAUTHORIZED,
                                 "authentication_required",
                                 "sign in to see your mints");
    }

    /* as the data API names it, wherever the location is */

    p = ngx_pnalloc(r->pool, sizeof("/v1/mints/") + rest->len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    params[0].data = p;
    p = ngx_cpymem(p, "/v1/mints", sizeof("/v1/mints") - 1);

    if (rest->len != 0) {
        *p++ = '/';
        p = ngx_cpymem(p, rest->data, rest->len);
    }

    params[0].len = p - params[0].data;

    if (ngx_http_sp_mint_query(r, &params[1]) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->pool = r->pool;
    ctx->query.statement = &ngx_http_sp_mint_read_sql;
    ctx->query.params = params;
    ctx->pg.queries = &ctx->query;
    ctx->pg.nqueries = 1;
    ctx->pg.read_only = 1;
    ctx->pg.op.done = ngx_http_sp_mint_reader_done;
    ctx->pg.op.data = ctx;
    ctx->pg.op.log = r->connection->log;
    ngx_http_sp_pg_identity(r, &ctx->pg);

    if (ngx_http_sp_op_attach(r, &ctx->pg.op) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->submitted = 1;
    ngx_sp_pg_submit(mint->pg, &ctx->pg);

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_sp_mint_tell(ngx_http_request_t *r, ngx_http_sp_mint_reader_t *ctx)
{
    ngx_int_t  status;

    /* PT404 and its kin are the data API's way to answer */

    if (ctx->pg.op.result == NGX_SP_OP_REJECTED
        && ctx->sqlstate.len == 5
        && ngx_strncmp(ctx->sqlstate.data, "PT", 2) == 0
        && ctx->detail.len != 0)
    {
        status = ngx_atoi(ctx->sqlstate.data + 2, 3);

        if (status >= 400 && status < 500) {
            return ngx_http_sp_error(r, (ngx_uint_t) status,
                                     (char *) ctx->detail.data, "%V",
                                     &ctx->message);
        }
    }

    if (ctx->pg.op.result != NGX_SP_OP_OK) {
        return ngx_http_sp_mint_pg_error(r, &ctx->pg);
    }

    if (ctx->reply.len == 0) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_sp_send_json(r, NGX_HTTP_OK, &ctx->reply);
}


/* {"limit":"...","cursor":"..."}; both are URL-safe as they are */

static ngx_int_t
ngx_http_sp_mint_query(ngx_http_request_t *r, ngx_str_t *query)
{
    size_t       size;
    u_char      *last, *p;
    ngx_str_t    value;
    ngx_uint_t   i;

    static ngx_str_t  names[] = {
        ngx_string("limit"), ngx_string("cursor")
    };

    /* a byte is six at most when it is escaped */

    size = 2 * (6 * NGX_HTTP_SP_MINT_ARG_MAX + sizeof("\"cursor\":\"\","));

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    query->data = p;
    last = p + size;
    *p++ = '{';

    for (i = 0; i < 2; i++) {

        if (ngx_http_arg(r, names[i].data, names[i].len, &value) != NGX_OK) {
            continue;
        }

        /* longer than any that was given out: refused as it would be */

        value.len = ngx_min(value.len, NGX_HTTP_SP_MINT_ARG_MAX);

        if (p[-1] != '{') {
            *p++ = ',';
        }

        p = ngx_sprintf(p, "\"%V\":\"", &names[i]);
        p += sp_json_escape((char *) p, last - p, (char *) value.data,
                            value.len);
        *p++ = '"';
    }

    *p++ = '}';
    query->len = p - query->data;

    return NGX_OK;
}


static void
ngx_http_sp_mint_reader_done(ngx_sp_op_t *op)
{
    ngx_http_sp_mint_reader_t  *ctx;

    ctx = op->data;

    if (op->result == NGX_SP_OP_OK) {
        if (PQntuples(ctx->query.result) == 1) {
            ctx->reply = ngx_http_sp_mint_copy(ctx->pool,
                             ngx_sp_pg_value(ctx->query.result, 0, 0));
        }

        return;
    }

    if (op->result == NGX_SP_OP_REJECTED) {
        ctx->sqlstate = ngx_http_sp_mint_copy(ctx->pool, ctx->pg.sqlstate);
        ctx->message = ngx_http_sp_mint_copy(ctx->pool, ctx->pg.message);
        ctx->detail = ngx_http_sp_mint_copy(ctx->pool, ctx->pg.detail);
    }
}


/* NUL-terminated; empty when out of memory */

static ngx_str_t
ngx_http_sp_mint_copy(ngx_pool_t *pool, ngx_str_t value)
{
    ngx_str_t  copy;

    ngx_str_null(&copy);

    if (value.len == 0) {
        return copy;
    }

    copy.data = ngx_pnalloc(pool, value.len + 1);
    if (copy.data == NULL) {
        return copy;
    }

    copy.len = value.len;
    (void) ngx_cpystrn(copy.data, value.data, value.len + 1);

    return copy;
}
