
/*
 * Copyright (C) Sallyport authors
 *
 * GET nonce: what a wallet is to sign.  The nonce is kept in Redis for five
 * minutes together with the hash of a cookie of this browser and the domain;
 * POST verify takes it out again, once.
 */

#include "ngx_http_sp_wallet.h"

#include <openssl/sha.h>


static ngx_int_t ngx_http_sp_wallet_nonce_start(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);
static ngx_int_t ngx_http_sp_wallet_nonce_cookie(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);
static ngx_int_t ngx_http_sp_wallet_nonce_answer(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);
static u_char *ngx_http_sp_wallet_nonce_date(u_char *p, time_t t);


ngx_int_t
ngx_http_sp_wallet_nonce(ngx_http_request_t *r, ngx_http_sp_wallet_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (ctx->state == NGX_HTTP_SP_WALLET_START) {
        rc = ngx_http_discard_request_body(r);

        return rc == NGX_OK ? ngx_http_sp_wallet_nonce_start(r, ctx) : rc;
    }

    if (!ngx_sp_op_finished(&ctx->redis.op)) {
        return NGX_AGAIN;
    }

    /* "OK", or nil for a nonce that exists, which would be a miracle */

    if (ctx->redis.op.result != NGX_SP_OP_OK || ctx->reply.data == NULL) {
        return ngx_http_sp_wallet_unavailable(r, ctx,
                                              "the nonce was not stored",
                                              &ctx->redis.op);
    }

    return ngx_http_sp_wallet_nonce_answer(r, ctx);
}


static ngx_int_t
ngx_http_sp_wallet_nonce_start(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx)
{
    u_char                         *dst, *src;
    ngx_str_t                       argv[6], name;
    ngx_http_sp_wallet_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_wallet_module);

    ctx->domain = wlcf->domains->elts;

    if (ngx_http_arg(r, (u_char *) "domain", 6, &name) == NGX_OK) {
        src = name.data;
        dst = ngx_pnalloc(r->pool, name.len + 1);
        if (dst == NULL) {
            return NGX_ERROR;
        }

        name.data = dst;
        ngx_unescape_uri(&dst, &src, name.len, 0);
        name.len = dst - name.data;

        ctx->domain = ngx_http_sp_wallet_find_domain(wlcf, name.data,
                                                     name.len);
        if (ctx->domain == NULL) {
            return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST,
                                     "unknown_domain",
                                     "nobody signs in to this domain here");
        }
    }

    if (ngx_http_sp_wallet_nonce_cookie(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->nonce.len = NGX_HTTP_SP_WALLET_NONCE;

    ctx->nonce.data = ngx_pnalloc(r->pool, ctx->nonce.len);
    if (ctx->nonce.data == NULL
        || ngx_http_sp_wallet_random(ctx->nonce.data, ctx->nonce.len)
           != NGX_OK
        || ngx_http_sp_wallet_nonce_key(ctx, &argv[1]) != NGX_OK
        || ngx_http_sp_wallet_nonce_value(ctx, &argv[2]) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_str_set(&argv[0], "SET");
    ngx_str_set(&argv[3], "NX");
    ngx_str_set(&argv[4], "EX");
    ngx_str_set(&argv[5], "300");

    return ngx_http_sp_wallet_redis(ctx, 6, argv);
}


/* a browser that has a cookie of ours keeps it: it may have two tabs */

static ngx_int_t
ngx_http_sp_wallet_nonce_cookie(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx)
{
    u_char     *p;
    ngx_str_t   cookie;

    cookie = ngx_http_sp_wallet_get_cookie(r, "siwx", ctx->domain->secure);

    if (cookie.len != NGX_HTTP_SP_WALLET_NONCE) {
        p = ngx_pnalloc(r->pool, NGX_HTTP_SP_WALLET_NONCE);
        if (p == NULL
            || ngx_http_sp_wallet_random(p, NGX_HTTP_SP_WALLET_NONCE)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        cookie.data = p;
        cookie.len = NGX_HTTP_SP_WALLET_NONCE;
    }

    ctx->cookie = cookie;

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_wallet_nonce_key(ngx_http_sp_wallet_ctx_t *ctx, ngx_str_t *key)
{
    key->len = sizeof("siwx:n:") - 1 + ctx->nonce.len;

    key->data = ngx_pnalloc(ctx->request->pool, key->len);
    if (key->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ngx_cpymem(key->data, "siwx:n:", sizeof("siwx:n:") - 1),
               ctx->nonce.data, ctx->nonce.len);

    return NGX_OK;
}


/* the cookie itself stays with the browser */

ngx_int_t
ngx_http_sp_wallet_nonce_value(ngx_http_sp_wallet_ctx_t *ctx,
    ngx_str_t *value)
{
    u_char  *p, hash[SHA256_DIGEST_LENGTH];

    if (SHA256(ctx->cookie.data, ctx->cookie.len, hash) == NULL) {
        return NGX_ERROR;
    }

    value->len = 2 * sizeof(hash) + 1 + ctx->domain->domain.len;

    value->data = ngx_pnalloc(ctx->request->pool, value->len);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_hex_dump(value->data, hash, sizeof(hash));
    *p++ = ' ';
    ngx_memcpy(p, ctx->domain->domain.data, ctx->domain->domain.len);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_wallet_nonce_answer(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx)
{
    u_char                         *p;
    size_t                          escaped, size;
    uint64_t                       *chain;
    ngx_str_t                       body;
    ngx_uint_t                      i;
    ngx_http_sp_wallet_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_wallet_module);

    if (ngx_http_sp_wallet_set_cookie(r, "siwx", &ctx->cookie,
                                      NGX_HTTP_SP_WALLET_NONCE_TTL,
                                      ctx->domain->secure)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* domain and origin are plain by their grammar */

    escaped = sp_json_escape(NULL, 0, (char *) wlcf->statement.data,
                             wlcf->statement.len);

    size = 256 + ctx->nonce.len + ctx->domain->domain.len
           + ctx->domain->origin.len + escaped
           + wlcf->chains->nelts * (NGX_INT64_LEN + 1);

    body.data = ngx_pnalloc(r->pool, size);
    if (body.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(body.data, "{\"nonce\":\"%V\",\"domain\":\"%V\","
                    "\"uri\":\"%V\",\"version\":\"1\",\"chain_ids\":[",
                    &ctx->nonce, &ctx->domain->domain, &ctx->domain->origin);

    chain = wlcf->chains->elts;

    for (i = 0; i < wlcf->chains->nelts; i++) {
        p = ngx_sprintf(p, "%s%uL", i == 0 ? "" : ",", chain[i]);
    }

    p = ngx_sprintf(p, "],\"statement\":");

    if (wlcf->statement.len != 0) {
        *p++ = '"';
        p += sp_json_escape((char *) p, escaped,
                            (char *) wlcf->statement.data,
                            wlcf->statement.len);
        *p++ = '"';

    } else {
        p = ngx_cpymem(p, "null", 4);
    }

    p = ngx_sprintf(p, ",\"issued_at\":\"");
    p = ngx_http_sp_wallet_nonce_date(p, ngx_time());
    p = ngx_sprintf(p, "\",\"expires_at\":\"");
    p = ngx_http_sp_wallet_nonce_date(p, ngx_time()
                                         + NGX_HTTP_SP_WALLET_NONCE_TTL);
    p = ngx_sprintf(p, "\"}");

    body.len = p - body.data;

    return ngx_http_sp_send_json(r, NGX_HTTP_OK, &body);
}


static u_char *
ngx_http_sp_wallet_nonce_date(u_char *p, time_t t)
{
    ngx_tm_t  tm;

    ngx_gmtime(t, &tm);

    return ngx_sprintf(p, "%4d-%02d-%02dT%02d:%02d:%02dZ", tm.ngx_tm_year,
                       tm.ngx_tm_mon, tm.ngx_tm_mday, tm.ngx_tm_hour,
                       tm.ngx_tm_min, tm.ngx_tm_sec);
}
