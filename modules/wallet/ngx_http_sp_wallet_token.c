
/*
 * Copyright (C) Sallyport authors
 *
 * Access tokens, refresh tokens, the JWKS.
 *
 * A refresh token is "rt1_" and base64url of: id of the session (16 bytes),
 * generation (4, big-endian), HMAC-SHA-256 of both (32) under a key derived
 * from the signing key.  Nothing of it is stored.
 */

#include "ngx_http_sp_wallet.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "sp_base64.h"
#include "sp_hex.h"


#define NGX_HTTP_SP_WALLET_RAW  (16 + 4 + 32)


static ngx_int_t ngx_http_sp_wallet_access(ngx_http_request_t *r,
    const ngx_http_sp_wallet_grant_t *grant, ngx_str_t *token);
static u_char *ngx_http_sp_wallet_text(u_char *p, const char *name,
    const ngx_str_t *value);
static ngx_int_t ngx_http_sp_wallet_write_refresh(ngx_http_request_t *r,
    const ngx_http_sp_wallet_grant_t *grant, ngx_str_t *token);
static ngx_int_t ngx_http_sp_wallet_mac(
    const ngx_http_sp_wallet_secret_t *secret, const uint8_t *data,
    uint8_t *mac);
static ngx_int_t ngx_http_sp_wallet_uuid_pack(uint8_t *bytes,
    const ngx_str_t *text);
static void ngx_http_sp_wallet_uuid_text(u_char *text, const uint8_t *bytes);


ngx_int_t
ngx_http_sp_wallet_grant(ngx_http_request_t *r, ngx_http_sp_wallet_ctx_t *ctx,
    const ngx_http_sp_wallet_grant_t *grant)
{
    u_char                          *p;
    size_t                           size;
    ngx_str_t                        access, body, refresh;
    ngx_http_sp_wallet_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_wallet_module);

    if (ngx_http_sp_wallet_access(r, grant, &access) != NGX_OK
        || ngx_http_sp_wallet_write_refresh(r, grant, &refresh) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->carrier == NGX_HTTP_SP_WALLET_COOKIE
        && ngx_http_sp_wallet_set_cookie(r, "rt", &refresh, grant->idle,
                                         ctx->secure)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* tier and role are plain words by the checks of their columns */

    size = 256 + access.len + refresh.len + grant->sub.len + grant->tier.len
           + grant->role.len + grant->wallet.len + 2 * NGX_TIME_T_LEN;

    body.data = ngx_pnalloc(r->pool, size);
    if (body.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(body.data, "{\"access_token\":\"%V\","
                    "\"token_type\":\"Bearer\",\"expires_in\":%T,"
                    "\"sub\":\"%V\",\"tier\":\"%V\","
                    "\"role\":\"%V\",\"refresh_expires_in\":%T",
                    &access, wmcf->access, &grant->sub, &grant->tier,
                    &grant->role, grant->idle);

    /* a guest has none */

    if (grant->wallet.len != 0) {
        p = ngx_sprintf(p, ",\"wallet\":\"%V\"", &grant->wallet);
    }

    if (ctx->carrier == NGX_HTTP_SP_WALLET_IN_BODY) {
        p = ngx_sprintf(p, ",\"refresh_token\":\"%V\"", &refresh);
    }

    *p++ = '}';

    body.len = p - body.data;

    return ngx_http_sp_send_json(r, NGX_HTTP_OK, &body);
}


static ngx_int_t
ngx_http_sp_wallet_access(ngx_http_request_t *r,
    const ngx_http_sp_wallet_grant_t *grant, ngx_str_t *token)
{
    u_char                          *claims, *p;
    time_t                           now;
    ngx_str_t                        jti;
    u_char                           id[NGX_HTTP_SP_WALLET_NONCE];
    ngx_http_sp_wallet_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_wallet_module);

    if (ngx_http_sp_wallet_random(id, sizeof(id)) != NGX_OK) {
        return NGX_ERROR;
    }

    jti.data = id;
    jti.len = sizeof(id);
    now = ngx_time();

    claims = ngx_pnalloc(r->pool, NGX_HTTP_SP_WALLET_TOKEN);
    token->data = ngx_pnalloc(r->pool, 2 * NGX_HTTP_SP_WALLET_TOKEN);

    if (claims == NULL || token->data == NULL) {
        return NGX_ERROR;
    }

    /* issuer and audience are capped when they are configured */

    p = claims;
    *p++ = '{';
    p = ngx_http_sp_wallet_text(p, "iss", &wmcf->issuer);
    p = ngx_http_sp_wallet_text(p, "aud", &wmcf->audience);
    p = ngx_http_sp_wallet_text(p, "sub", &grant->sub);

    if (grant->wallet.len != 0) {
        p = ngx_http_sp_wallet_text(p, "wallet", &grant->wallet);
    }

    p = ngx_http_sp_wallet_text(p, "tier", &grant->tier);
    p = ngx_http_sp_wallet_text(p, "role", &grant->role);
    p = ngx_http_sp_wallet_text(p, "sid", &grant->session);
    p = ngx_http_sp_wallet_text(p, "jti", &jti);
    p = ngx_sprintf(p, "\"iat\":%T,\"nbf\":%T,\"exp\":%T}", now, now,
                    now + wmcf->access);

    if (sp_jwt_sign(wmcf->signer, "at+jwt", (char *) claims, p - claims,
                    (char *) token->data, 2 * NGX_HTTP_SP_WALLET_TOKEN,
                    &token->len)
        != SP_OK)
    {
        ngx_log_error(NGX_LOG_CRIT, r->connection->log, 0,
                      "wallet: an access token was not signed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static u_char *
ngx_http_sp_wallet_text(u_char *p, const char *name, const ngx_str_t *value)
{
    p = ngx_sprintf(p, "\"%s\":\"", name);
    p += sp_json_escape((char *) p, 6 * value->len, (char *) value->data,
                        value->len);
    *p++ = '"';
    *p++ = ',';

    return p;
}


static ngx_int_t
ngx_http_sp_wallet_write_refresh(ngx_http_request_t *r,
    const ngx_http_sp_wallet_grant_t *grant, ngx_str_t *token)
{
    uint8_t                          raw[NGX_HTTP_SP_WALLET_RAW];
    ngx_http_sp_wallet_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_wallet_module);

    if (ngx_http_sp_wallet_uuid_pack(raw, &grant->session) != NGX_OK) {
        return NGX_ERROR;
    }

    raw[16] = (uint8_t) (grant->generation >> 24);
    raw[17] = (uint8_t) (grant->generation >> 16);
    raw[18] = (uint8_t) (grant->generation >> 8);
    raw[19] = (uint8_t) grant->generation;

    if (ngx_http_sp_wallet_mac(wmcf->secrets.elts, raw, raw + 20) != NGX_OK) {
        return NGX_ERROR;
    }

    token->len = NGX_HTTP_SP_WALLET_REFRESH;

    token->data = ngx_pnalloc(r->pool, token->len);
    if (token->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(token->data, "rt1_", 4);
    (void) sp_base64url_encode((char *) token->data + 4, raw, sizeof(raw));

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_wallet_read_refresh(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx, const ngx_str_t *token)
{
    size_t                           len;
    uint8_t                          mac[32], raw[NGX_HTTP_SP_WALLET_RAW];
    ngx_uint_t                       i;
    ngx_http_sp_wallet_secret_t     *secret;
    ngx_http_sp_wallet_main_conf_t  *wmcf;

    if (token->len != NGX_HTTP_SP_WALLET_REFRESH
        || ngx_strncmp(token->data, "rt1_", 4) != 0
        || sp_base64url_decode(raw, sizeof(raw), &len,
                               (char *) token->data + 4, token->len - 4)
           != SP_OK
        || len != sizeof(raw))
    {
        return NGX_DECLINED;
    }

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_wallet_module);
    secret = wmcf->secrets.elts;

    for (i = 0; i < wmcf->secrets.nelts; i++) {

        if (ngx_http_sp_wallet_mac(&secret[i], raw, mac) == NGX_OK
            && CRYPTO_memcmp(mac, raw + 20, sizeof(mac)) == 0)
        {
            ngx_http_sp_wallet_uuid_text(ctx->session, raw);

            ctx->generation = (uint32_t) raw[16] << 24
                              | (uint32_t) raw[17] << 16
                              | (uint32_t) raw[18] << 8 | raw[19];

            /* the column is a signed int */

            return ctx->generation <= NGX_MAX_INT32_VALUE ? NGX_OK
                                                          : NGX_DECLINED;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_sp_wallet_mac(const ngx_http_sp_wallet_secret_t *secret,
    const uint8_t *data, uint8_t *mac)
{
    size_t  len;

    if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret->bytes,
                  sizeof(secret->bytes), data, 20, mac, 32, &len)
        == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_wallet_uuid_pack(uint8_t *bytes, const ngx_str_t *text)
{
    size_t  i, len, n;
    char    hex[32];

    n = 0;

    for (i = 0; i < text->len && n < sizeof(hex); i++) {
        if (text->data[i] != '-') {
            hex[n++] = (char) text->data[i];
        }
    }

    return sp_hex_decode(bytes, 16, &len, hex, n) == SP_OK && len == 16
           ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_sp_wallet_uuid_text(u_char *text, const uint8_t *bytes)
{
    size_t  i;

    for (i = 0; i < 16; i++) {

        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *text++ = '-';
        }

        sp_hex_encode((char *) text, bytes + i, 1);
        text += 2;
    }
}


sp_jwt_status_e
ngx_http_sp_wallet_bearer(ngx_http_request_t *r, json_t **claims)
{
    char                            *buffer;
    sp_jwt_t                         jwt;
    ngx_str_t                        token;
    sp_jwt_rules_t                   rules;
    sp_jwt_status_e                  status;
    ngx_http_sp_wallet_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_wallet_module);

    token = ngx_http_sp_wallet_header(r, "authorization");

    if (token.len < 7 || token.len > SP_JWT_MAX_LEN
        || ngx_strncasecmp(token.data, (u_char *) "Bearer ", 7) != 0)
    {
        return SP_JWT_MALFORMED;
    }

    token.data += 7;
    token.len -= 7;

    buffer = ngx_pnalloc(r->pool, token.len + 1);
    if (buffer == NULL) {
        return SP_JWT_NO_MEMORY;
    }

    ngx_memzero(&rules, sizeof(sp_jwt_rules_t));

    rules.now = ngx_time();
    rules.skew = NGX_HTTP_SP_WALLET_SKEW;
    rules.issuer = (char *) wmcf->issuer.data;
    rules.audience = (char *) wmcf->audience.data;

    status = sp_jwt_parse(&jwt, buffer, token.len + 1, (char *) token.data,
                          token.len);
    if (status != SP_JWT_OK) {
        return status;
    }

    status = sp_jwt_verify(&jwt, (const sp_jwks_t *const *) &wmcf->key->set,
                           1);

    if (status == SP_JWT_OK) {
        status = sp_jwt_claims(&jwt, &rules);
    }

    if (status == SP_JWT_OK) {
        *claims = json_incref(jwt.claims);
    }

    sp_jwt_clear(&jwt);

    return status;
}


ngx_int_t
ngx_http_sp_wallet_run_jwks(ngx_http_request_t *r)
{
    ngx_int_t                        rc;
    ngx_table_elt_t                 *etag;
    ngx_http_sp_wallet_main_conf_t  *wmcf;

    static ngx_str_t                 age =
                                        ngx_string("public, max-age=300");

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_wallet_module);

    etag = ngx_list_push(&r->headers_out.headers);
    if (etag == NULL) {
        return NGX_ERROR;
    }

    /* also the link to the next of its name, where NGINX has one */
    ngx_memzero(etag, sizeof(ngx_table_elt_t));

    etag->hash = 1;
    ngx_str_set(&etag->key, "ETag");
    etag->value = wmcf->etag;
    r->headers_out.etag = etag;

    if (ngx_http_sp_add_header(r, "Cache-Control", &age) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_send_json(r, NGX_HTTP_OK, &wmcf->jwks);
}
