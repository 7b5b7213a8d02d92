
/*
 * Copyright (C) Sallyport authors
 *
 * POST refresh, POST logout, GET session.
 *
 * The refresh token comes in a cookie, which needs an Origin header, or in
 * the body.  Its HMAC is checked first: garbage never reaches the database.
 */

#include "ngx_http_sp_wallet.h"

#include <openssl/crypto.h>


static ngx_int_t ngx_http_sp_wallet_find_refresh(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx, ngx_str_t *token);
static ngx_int_t ngx_http_sp_wallet_find_cookie(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx, ngx_str_t *token);
static ngx_int_t ngx_http_sp_wallet_refresh_start(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);
static ngx_int_t ngx_http_sp_wallet_refresh_answer(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);
static ngx_uint_t ngx_http_sp_wallet_is(const ngx_str_t *value,
    const char *text);
static ngx_int_t ngx_http_sp_wallet_over(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx, const char *reason);
static ngx_int_t ngx_http_sp_wallet_forget(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);
static ngx_int_t ngx_http_sp_wallet_logout_start(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);
static ngx_int_t ngx_http_sp_wallet_logout_answer(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);


static const ngx_sp_pg_statement_t  ngx_http_sp_wallet_refresh_sql = {
    ngx_string("select outcome, user_id, tier, role, wallet, generation, "
               "idle_seconds from auth.session_refresh($1::uuid, $2::int, "
               "$3::interval, $4::interval)"),
    4
};


static const ngx_sp_pg_statement_t  ngx_http_sp_wallet_logout_sql = {
    ngx_string("select auth.session_revoke($1::uuid, $2::boolean)"),
    2
};


ngx_int_t
ngx_http_sp_wallet_refresh(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx)
{
    if (ctx->state == NGX_HTTP_SP_WALLET_START) {
        return ngx_http_sp_wallet_refresh_start(r, ctx);
    }

    if (!ngx_sp_op_finished(&ctx->pg.op)) {
        return NGX_AGAIN;
    }

    return ngx_http_sp_wallet_refresh_answer(r, ctx);
}


static ngx_int_t
ngx_http_sp_wallet_refresh_start(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx)
{
    ngx_int_t                        rc;
    ngx_str_t                        token;
    ngx_http_sp_wallet_main_conf_t  *wmcf;

    rc = ngx_http_sp_wallet_find_refresh(r, ctx, &token);
    if (rc != NGX_OK) {
        return rc;
    }

    if (token.len == 0) {
        return ngx_http_sp_wallet_over(r, ctx, "no refresh token");
    }

    if (ngx_http_sp_wallet_read_refresh(r, ctx, &token) != NGX_OK) {
        return ngx_http_sp_wallet_over(r, ctx, "refresh token is not ours");
    }

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_wallet_module);

    ctx->params[0].data = ctx->session;
    ctx->params[0].len = sizeof(ctx->session);

    if (ngx_http_sp_wallet_param(ctx, 1, "%uD", ctx->generation) != NGX_OK
        || ngx_http_sp_wallet_param(ctx, 2, "%T seconds", wmcf->refresh)
           != NGX_OK
        || ngx_http_sp_wallet_param(ctx, 3, "%d seconds",
                                    NGX_HTTP_SP_WALLET_GRACE)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sp_wallet_query(ctx, &ngx_http_sp_wallet_refresh_sql);
}


/* an empty token: there is none */

static ngx_int_t
ngx_http_sp_wallet_find_refresh(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx, ngx_str_t *token)
{
    json_t     *body;
    ngx_int_t   rc;
    ngx_str_t   text;

    ngx_str_null(token);

    rc = ngx_http_sp_body(r, &text);
    if (rc != NGX_OK) {
        return rc;
    }

    if (text.len == 0) {
        return ngx_http_sp_wallet_find_cookie(r, ctx, token);
    }

    if (text.len > NGX_HTTP_SP_WALLET_BODY) {
        return ngx_http_sp_error(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                 "body_too_large",
                                 "the body has more than %d bytes",
                                 NGX_HTTP_SP_WALLET_BODY);
    }

    rc = ngx_http_sp_json_body(r, &body);
    if (rc != NGX_OK) {
        return rc;
    }

    token->data = (u_char *) sp_json_string(body, "refresh_token",
                                            &token->len);

    if (token->data == NULL) {
        return ngx_http_sp_wallet_find_cookie(r, ctx, token);
    }

    ctx->carrier = NGX_HTTP_SP_WALLET_IN_BODY;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_wallet_find_cookie(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx, ngx_str_t *token)
{
    ngx_uint_t                      i;
    ngx_http_sp_wallet_domain_t    *domain;
    ngx_http_sp_wallet_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_wallet_module);
    domain = wlcf->domains->elts;

    for (i = 0; i < wlcf->domains->nelts; i++) {
        *token = ngx_http_sp_wallet_get_cookie(r, "rt", domain[i].secure);

        if (token->len != 0) {
            ctx->carrier = NGX_HTTP_SP_WALLET_COOKIE;
            ctx->secure = domain[i].secure;

            return ngx_http_sp_wallet_origin(r, 1);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_wallet_refresh_answer(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx)
{
    ngx_int_t                     generation, idle;
    const ngx_str_t              *outcome;
    ngx_http_sp_wallet_grant_t    grant;
    ngx_http_sp_wallet_metric_e   metric;

    if (ctx->pg.op.result != NGX_SP_OP_OK || ctx->rows == 0) {
        return ngx_http_sp_wallet_unavailable(r, ctx,
                                              "the session was not looked up",
                                              &ctx->pg.op);
    }

    outcome = &ctx->row[0];

    if (ngx_http_sp_wallet_is(outcome, "reused")) {
        ngx_http_sp_wallet_count(r, NGX_HTTP_SP_WALLET_REUSED);

        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "wallet: session %*s...: an old refresh token was used "
                      "again, the session is over", (size_t) 8, ctx->session);

        return ngx_http_sp_wallet_over(r, ctx, "refresh token was reused");
    }

    if (ngx_http_sp_wallet_is(outcome, "rotated")) {
        metric = NGX_HTTP_SP_WALLET_ROTATED;

    } else if (ngx_http_sp_wallet_is(outcome, "repeated")) {
        metric = NGX_HTTP_SP_WALLET_REPEATED;

    } else {
        return ngx_http_sp_wallet_over(r, ctx, "the session is over");
    }

    generation = ngx_atoi(ctx->row[5].data, ctx->row[5].len);
    idle = ngx_atoi(ctx->row[6].data, ctx->row[6].len);

    if (generation == NGX_ERROR || idle == NGX_ERROR) {
        return NGX_ERROR;
    }

    grant.sub = ctx->row[1];
    grant.tier = ctx->row[2];
    grant.role = ctx->row[3];
    grant.wallet = ctx->row[4];
    grant.session = ctx->params[0];
    grant.generation = (uint32_t) generation;
    grant.idle = idle;

    ngx_http_sp_wallet_count(r, metric);

    return ngx_http_sp_wallet_grant(r, ctx, &grant);
}


static ngx_uint_t
ngx_http_sp_wallet_is(const ngx_str_t *value, const char *text)
{
    return value->len == ngx_strlen(text)
           && ngx_strncmp(value->data, text, value->len) == 0;
}


static ngx_int_t
ngx_http_sp_wallet_over(ngx_http_request_t *r, ngx_http_sp_wallet_ctx_t *ctx,
    const char *reason)
{
    ctx->error = reason;
    ngx_http_sp_wallet_count(r, NGX_HTTP_SP_WALLET_ENDED);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "wallet: refresh refused: %s", reason);

    if (ngx_http_sp_wallet_forget(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_error(r, NGX_HTTP_UNAUTHORIZED, "session_over",
                             "the session is over; sign in again");
}


static ngx_int_t
ngx_http_sp_wallet_forget(ngx_http_request_t *r, ngx_http_sp_wallet_ctx_t *ctx)
{
    ngx_str_t  none;

    if (ctx->carrier != NGX_HTTP_SP_WALLET_COOKIE) {
        return NGX_OK;
    }

    ngx_str_set(&none, "");

    return ngx_http_sp_wallet_set_cookie(r, "rt", &none, 0, ctx->secure);
}


/* 204, whatever there was; 503 when it could not be done */

ngx_int_t
ngx_http_sp_wallet_logout(ngx_http_request_t *r, ngx_http_sp_wallet_ctx_t *ctx)
{
    if (ctx->state == NGX_HTTP_SP_WALLET_START) {
        return ngx_http_sp_wallet_logout_start(r, ctx);
    }

    if (!ngx_sp_op_finished(&ctx->pg.op)) {
        return NGX_AGAIN;
    }

    if (ctx->pg.op.result != NGX_SP_OP_OK) {
        return ngx_http_sp_wallet_unavailable(r, ctx,
                                              "the session was not ended",
                                              &ctx->pg.op);
    }

    return ngx_http_sp_wallet_logout_answer(r, ctx);
}


static ngx_int_t
ngx_http_sp_wallet_logout_start(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx)
{
    size_t       len;
    json_t      *claims;
    ngx_int_t    rc;
    ngx_str_t    all, token;
    const char  *sid;

    rc = ngx_http_sp_wallet_find_refresh(r, ctx, &token);
    if (rc != NGX_OK) {
        return rc;
    }

    if (token.len == 0
        || ngx_http_sp_wallet_read_refresh(r, ctx, &token) != NGX_OK)
    {
        /* an access token of the session ends it too */

        if (ngx_http_sp_wallet_bearer(r, &claims) != SP_JWT_OK) {
            return ngx_http_sp_wallet_logout_answer(r, ctx);
        }

        sid = sp_json_string(claims, "sid", &len);

        if (sid == NULL || len != sizeof(ctx->session)) {
            json_decref(claims);
            return ngx_http_sp_wallet_logout_answer(r, ctx);
        }

        ngx_memcpy(ctx->session, sid, len);
        json_decref(claims);
    }

    ctx->params[0].data = ctx->session;
    ctx->params[0].len = sizeof(ctx->session);
    ngx_str_set(&ctx->params[1], "false");

    if (ngx_http_arg(r, (u_char *) "all", 3, &all) == NGX_OK
        && all.len == 1 && all.data[0] == '1')
    {
        ngx_str_set(&ctx->params[1], "true");
    }

    return ngx_http_sp_wallet_query(ctx, &ngx_http_sp_wallet_logout_sql);
}


static ngx_int_t
ngx_http_sp_wallet_logout_answer(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx)
{
    ngx_str_t  none;

    if (ngx_http_sp_wallet_forget(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_null(&none);

    return ngx_http_sp_send_json(r, NGX_HTTP_NO_CONTENT, &none);
}


/* what an access token of ours says; nothing is looked up */

ngx_int_t
ngx_http_sp_wallet_session(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx)
{
    size_t            len;
    json_t           *answer, *claims, *value;
    ngx_int_t         rc;
    ngx_str_t         body, challenge;
    ngx_uint_t        i;
    sp_jwt_status_e   status;

    static const char *const  names[] = {
        "sub", "wallet", "tier", "role", "sid", "exp"
    };

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    status = ngx_http_sp_wallet_bearer(r, &claims);

    if (status != SP_JWT_OK) {
        ctx->error = sp_jwt_strerror(status);
        ngx_str_set(&challenge, "Bearer");

        if (ngx_http_sp_add_header(r, "WWW-Authenticate", &challenge)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        return ngx_http_sp_error(r, NGX_HTTP_UNAUTHORIZED, "unauthorized",
                                 "a valid access token is required");
    }

    answer = json_object();

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        value = json_object_get(claims, names[i]);

        if (value != NULL
            && json_object_set(answer, names[i], value) != 0)
        {
            json_decref(answer);
            answer = NULL;
            break;
        }
    }

    json_decref(claims);

    len = json_dumpb(answer, NULL, 0, JSON_COMPACT);
    body.data = len != 0 ? ngx_pnalloc(r->pool, len) : NULL;

    if (body.data == NULL) {
        json_decref(answer);
        return NGX_ERROR;
    }

    body.len = json_dumpb(answer, (char *) body.data, len, JSON_COMPACT);
    json_decref(answer);

    return ngx_http_sp_send_json(r, NGX_HTTP_OK, &body);
}
