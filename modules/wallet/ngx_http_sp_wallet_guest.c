
/*
 * Copyright (C) Sallyport authors
 *
 * POST guest: {} -> a session of a new user without a wallet, where
 * "wallet_guest on" allows it.
 *
 *     start   origin and body; JSON, so that no form of another site asks
 *     pg      user and session
 */

#include "ngx_http_sp_wallet.h"


static ngx_int_t ngx_http_sp_wallet_guest_start(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);
static ngx_int_t ngx_http_sp_wallet_guest_answer(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);


static const ngx_sp_pg_statement_t  ngx_http_sp_wallet_guest_sql = {
    ngx_string("select user_id, tier, role, session_id "
               "from auth.guest_sign_in($1::interval, $2::interval)"),
    2
};


ngx_int_t
ngx_http_sp_wallet_guest(ngx_http_request_t *r, ngx_http_sp_wallet_ctx_t *ctx)
{
    if (ctx->state == NGX_HTTP_SP_WALLET_START) {
        return ngx_http_sp_wallet_guest_start(r, ctx);
    }

    if (!ngx_sp_op_finished(&ctx->pg.op)) {
        return NGX_AGAIN;
    }

    return ngx_http_sp_wallet_guest_answer(r, ctx);
}


static ngx_int_t
ngx_http_sp_wallet_guest_start(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx)
{
    json_t                          *body;
    ngx_int_t                        rc;
    ngx_http_sp_wallet_domain_t     *domain;
    ngx_http_sp_wallet_main_conf_t  *wmcf;

    rc = ngx_http_sp_wallet_origin(r, 0);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_sp_json_body(r, &body);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx->carrier = ngx_http_sp_wallet_carrier(body);

    domain = ngx_http_sp_wallet_origin_domain(r);
    ctx->secure = domain->secure;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_wallet_module);

    if (ngx_http_sp_wallet_param(ctx, 0, "%T seconds", wmcf->refresh)
        != NGX_OK
        || ngx_http_sp_wallet_param(ctx, 1, "%T seconds", wmcf->session)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sp_wallet_query(ctx, &ngx_http_sp_wallet_guest_sql);
}


static ngx_int_t
ngx_http_sp_wallet_guest_answer(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx)
{
    ngx_http_sp_wallet_grant_t       grant;
    ngx_http_sp_wallet_main_conf_t  *wmcf;

    if (ctx->pg.op.result != NGX_SP_OP_OK || ctx->rows == 0) {
        return ngx_http_sp_wallet_unavailable(r, ctx,
                                              "the guest was not made",
                                              &ctx->pg.op);
    }

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_wallet_module);

    ngx_memzero(&grant, sizeof(ngx_http_sp_wallet_grant_t));

    grant.sub = ctx->row[0];
    grant.tier = ctx->row[1];
    grant.role = ctx->row[2];
    grant.session = ctx->row[3];
    grant.idle = wmcf->refresh;

    ngx_http_sp_wallet_count(r, NGX_HTTP_SP_WALLET_GUESTS);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "wallet: guest %V signed in", &grant.sub);

    return ngx_http_sp_wallet_grant(r, ctx, &grant);
}
