
/*
 * Copyright (C) Sallyport authors
 *
 * POST verify: {"message", "signature"} -> a session.
 *
 *     start   everything that needs no I/O: size, grammar, domain, uri,
 *             chain, times, statement, signature
 *     redis   the nonce is taken out, once, and must be of this browser and
 *             domain; only a good signature comes here, so that a stranger
 *             cannot burn a nonce
 *     pg      user, wallet, session
 *
 * All refusals have one answer.  Redis or PostgreSQL away is 503, never a
 * sign-in.
 */

#include "ngx_http_sp_wallet.h"

#include <openssl/crypto.h>

#include "sp_hex.h"
#include "sp_uri.h"


static ngx_int_t ngx_http_sp_wallet_verify_start(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);
static ngx_int_t ngx_http_sp_wallet_verify_nonce(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);
static ngx_int_t ngx_http_sp_wallet_verify_user(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);
static const char *ngx_http_sp_wallet_judge(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx, const ngx_str_t *message,
    const ngx_str_t *signature);
static const char *ngx_http_sp_wallet_judge_place(
    ngx_http_sp_wallet_loc_conf_t *wlcf, ngx_http_sp_wallet_ctx_t *ctx,
    const sp_siwe_t *siwe);
static const char *ngx_http_sp_wallet_judge_times(const sp_siwe_t *siwe,
    time_t now);
static const char *ngx_http_sp_wallet_judge_signature(
    ngx_http_request_t *r, const sp_siwe_t *siwe, const ngx_str_t *message,
    const ngx_str_t *signature);
static ngx_int_t ngx_http_sp_wallet_sign_in(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);
static ngx_int_t ngx_http_sp_wallet_refuse(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx, const char *reason);
static ngx_str_t ngx_http_sp_wallet_member(json_t *body, const char *name);


static const ngx_sp_pg_statement_t  ngx_http_sp_wallet_sign_in_sql = {
    ngx_string("select user_id, tier, role, session_id, generation "
               "from auth.wallet_sign_in($1, $2::bigint, $3::interval, "
               "$4::interval)"),
    4
};


ngx_int_t
ngx_http_sp_wallet_verify(ngx_http_request_t *r, ngx_http_sp_wallet_ctx_t *ctx)
{
    switch (ctx->state) {

    case NGX_HTTP_SP_WALLET_START:
        return ngx_http_sp_wallet_verify_start(r, ctx);

    case NGX_HTTP_SP_WALLET_REDIS:
        return ngx_http_sp_wallet_verify_nonce(r, ctx);

    default: /* NGX_HTTP_SP_WALLET_PG */
        return ngx_http_sp_wallet_verify_user(r, ctx);
    }
}


static ngx_int_t
ngx_http_sp_wallet_verify_start(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx)
{
    json_t      *body;
    ngx_int_t    rc;
    ngx_str_t    argv[2], message, raw, signature;
    const char  *reason;

    rc = ngx_http_sp_wallet_origin(r, 0);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_sp_json_body(r, &body);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_sp_body(r, &raw);
    if (rc != NGX_OK) {
        return rc;
    }

    message = ngx_http_sp_wallet_member(body, "message");
    signature = ngx_http_sp_wallet_member(body, "signature");

    if (raw.len > NGX_HTTP_SP_WALLET_BODY
        || message.len == 0 || signature.len == 0)
    {
        return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "invalid_request",
                                 "the body is {\"message\", \"signature\"}, "
                                 "both non-empty strings");
    }

    ctx->carrier = ngx_http_sp_wallet_carrier(body);

    reason = ngx_http_sp_wallet_judge(r, ctx, &message, &signature);
    if (reason != NULL) {
        return ngx_http_sp_wallet_refuse(r, ctx, reason);
    }

    if (ngx_http_sp_wallet_nonce_key(ctx, &argv[1]) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&argv[0], "GETDEL");

    return ngx_http_sp_wallet_redis(ctx, 2, argv);
}


static ngx_int_t
ngx_http_sp_wallet_verify_nonce(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx)
{
    ngx_str_t  expected;

    if (!ngx_sp_op_finished(&ctx->redis.op)) {
        return NGX_AGAIN;
    }

    if (ctx->redis.op.result != NGX_SP_OP_OK) {
        return ngx_http_sp_wallet_unavailable(r, ctx,
                                              "the nonce was not looked up",
                                              &ctx->redis.op);
    }

    if (ctx->reply.data == NULL) {
        return ngx_http_sp_wallet_refuse(r, ctx,
                                         "nonce is unknown, used or too old");
    }

    if (ngx_http_sp_wallet_nonce_value(ctx, &expected) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->reply.len != expected.len
        || CRYPTO_memcmp(ctx->reply.data, expected.data, expected.len) != 0)
    {
        return ngx_http_sp_wallet_refuse(r, ctx, "nonce is of another browser "
                                                 "or domain");
    }

    return ngx_http_sp_wallet_sign_in(r, ctx);
}


static ngx_int_t
ngx_http_sp_wallet_sign_in(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx)
{
    char                             address[SP_ETH_ADDRESS_TEXT_LEN];
    ngx_http_sp_wallet_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_wallet_module);

    sp_eth_address_encode(address, ctx->address);

    if (ngx_http_sp_wallet_param(ctx, 0, "%*s",
                                 (size_t) SP_ETH_ADDRESS_TEXT_LEN, address)
        != NGX_OK
        || ngx_http_sp_wallet_param(ctx, 1, "%uL", ctx->chain_id) != NGX_OK
        || ngx_http_sp_wallet_param(ctx, 2, "%T seconds", wmcf->refresh)
           != NGX_OK
        || ngx_http_sp_wallet_param(ctx, 3, "%T seconds", wmcf->session)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sp_wallet_query(ctx, &ngx_http_sp_wallet_sign_in_sql);
}


static ngx_int_t
ngx_http_sp_wallet_verify_user(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx)
{
    ngx_str_t                        none;
    ngx_http_sp_wallet_grant_t       grant;
    ngx_http_sp_wallet_main_conf_t  *wmcf;

    if (!ngx_sp_op_finished(&ctx->pg.op)) {
        return NGX_AGAIN;
    }

    if (ctx->pg.op.result != NGX_SP_OP_OK) {
        return ngx_http_sp_wallet_unavailable(r, ctx,
                                              "the user was not looked up",
                                              &ctx->pg.op);
    }

    if (ctx->rows == 0) {
        ctx->error = "the user is suspended";
        ngx_http_sp_wallet_count(r, NGX_HTTP_SP_WALLET_REFUSED);

        return ngx_http_sp_error(r, NGX_HTTP_FORBIDDEN, "account_suspended",
                                 "this account may not sign in");
    }

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_wallet_module);

    grant.sub = ctx->row[0];
    grant.tier = ctx->row[1];
    grant.role = ctx->row[2];
    grant.wallet = ctx->params[0];
    grant.session = ctx->row[3];
    grant.generation = 0;
    grant.idle = wmcf->refresh;

    ngx_http_sp_wallet_count(r, NGX_HTTP_SP_WALLET_ACCEPTED);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "wallet: eip155:%uL:%V signed in", ctx->chain_id,
                  &grant.wallet);

    /* a cookie from before the sign-in is of no use after it */

    ngx_str_set(&none, "");

    if (ngx_http_sp_wallet_set_cookie(r, "siwx", &none, 0,
                                      ctx->domain->secure)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sp_wallet_grant(r, ctx, &grant);
}


/* NULL: good as far as can be told without I/O; or the reason */

static const char *
ngx_http_sp_wallet_judge(ngx_http_request_t *r, ngx_http_sp_wallet_ctx_t *ctx,
    const ngx_str_t *message, const ngx_str_t *signature)
{
    sp_siwe_t                       siwe;
    const char                     *reason;
    ngx_http_sp_wallet_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_wallet_module);

    if (sp_siwe_parse(&siwe, (char *) message->data, message->len, 1, &reason)
        != SP_OK)
    {
        return reason;
    }

    reason = ngx_http_sp_wallet_judge_place(wlcf, ctx, &siwe);
    if (reason != NULL) {
        return reason;
    }

    reason = ngx_http_sp_wallet_judge_times(&siwe, ngx_time());
    if (reason != NULL) {
        return reason;
    }

    /* what the user has agreed to is ours or nothing */

    if ((siwe.statement.len != 0
         && (siwe.statement.len != wlcf->statement.len
             || ngx_memcmp(siwe.statement.data, wlcf->statement.data,
                           siwe.statement.len) != 0))
        || siwe.nresources != 0)
    {
        return "statement or resources are not those of this server";
    }

    reason = ngx_http_sp_wallet_judge_signature(r, &siwe, message, signature);
    if (reason != NULL) {
        return reason;
    }

    ctx->cookie = ngx_http_sp_wallet_get_cookie(r, "siwx",
                                                ctx->domain->secure);
    if (ctx->cookie.len == 0) {
        return "no cookie of the browser that asked for the nonce";
    }

    ctx->secure = ctx->domain->secure;
    ctx->nonce.data = (u_char *) siwe.nonce.data;
    ctx->nonce.len = siwe.nonce.len;
    ctx->chain_id = siwe.chain_id;
    ngx_memcpy(ctx->address, siwe.address, SP_ETH_ADDRESS_LEN);

    return NULL;
}


static const char *
ngx_http_sp_wallet_judge_place(ngx_http_sp_wallet_loc_conf_t *wlcf,
    ngx_http_sp_wallet_ctx_t *ctx, const sp_siwe_t *siwe)
{
    size_t       len;
    uint64_t    *chain;
    ngx_uint_t   i;

    ctx->domain = ngx_http_sp_wallet_find_domain(wlcf,
                                             (u_char *) siwe->domain.data,
                                             siwe->domain.len);
    if (ctx->domain == NULL) {
        return "domain is not configured";
    }

    if (siwe->scheme.data != NULL) {
        len = ctx->domain->origin.len - ctx->domain->domain.len - 3;

        if (siwe->scheme.len != len
            || ngx_memcmp(siwe->scheme.data, ctx->domain->origin.data, len)
               != 0)
        {
            return "scheme is not that of the domain";
        }
    }

    if (!sp_uri_within(siwe->uri.data, siwe->uri.len,
                       (char *) ctx->domain->origin.data,
                       ctx->domain->origin.len))
    {
        return "uri is of another origin";
    }

    chain = wlcf->chains->elts;

    for (i = 0; i < wlcf->chains->nelts; i++) {
        if (chain[i] == siwe->chain_id) {
            return NULL;
        }
    }

    return "chain id is not configured";
}


static const char *
ngx_http_sp_wallet_judge_times(const sp_siwe_t *siwe, time_t now)
{
    if (siwe->issued_at < now - NGX_HTTP_SP_WALLET_NONCE_TTL
        || siwe->issued_at > now + NGX_HTTP_SP_WALLET_SKEW)
    {
        return "issued at is not within the last five minutes";
    }

    if (siwe->has_expires && siwe->expires <= now) {
        return "expiration time has passed";
    }

    if (siwe->has_not_before && siwe->not_before > now) {
        return "not before is in the future";
    }

    return NULL;
}


static const char *
ngx_http_sp_wallet_judge_signature(ngx_http_request_t *r,
    const sp_siwe_t *siwe, const ngx_str_t *message,
    const ngx_str_t *signature)
{
    uint8_t                          address[SP_ETH_ADDRESS_LEN],
                                     bytes[SP_ETH_SIGNATURE_LEN],
                                     hash[SP_KECCAK256_LEN];
    ngx_http_sp_wallet_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_wallet_module);

    if (sp_hex_decode_fixed(bytes, sizeof(bytes), (char *) signature->data,
                            signature->len)
        != SP_OK)
    {
        return "signature is not \"0x\" and 65 bytes";
    }

    sp_eth_personal_hash(hash, message->data, message->len);

    if (sp_eth_recover_bytes(wmcf->secp, address, hash, bytes, sizeof(bytes))
        != SP_OK)
    {
        return "signature is out of range or not low-s";
    }

    if (ngx_memcmp(address, siwe->address, SP_ETH_ADDRESS_LEN) != 0) {
        return "signature is of another address";
    }

    return NULL;
}


static ngx_int_t
ngx_http_sp_wallet_refuse(ngx_http_request_t *r, ngx_http_sp_wallet_ctx_t *ctx,
    const char *reason)
{
    ctx->error = reason;
    ngx_http_sp_wallet_count(r, NGX_HTTP_SP_WALLET_REFUSED);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "wallet: sign-in refused: %s", reason);

    return ngx_http_sp_error(r, NGX_HTTP_UNAUTHORIZED, "sign_in_refused",
                             "the sign-in was not accepted; ask for a new "
                             "nonce and sign again");
}


static ngx_str_t
ngx_http_sp_wallet_member(json_t *body, const char *name)
{
    ngx_str_t  value;

    value.data = (u_char *) sp_json_string(body, name, &value.len);

    return value;
}
