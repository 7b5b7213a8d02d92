
/*
 * Copyright (C) Sallyport authors
 *
 * identify: a request with a good token has an identity afterwards.
 *
 * Warm, a token costs one keyed hash and one copy out of shared memory; no
 * JSON is parsed and nothing is allocated outside of the request's pool.
 */

#include "ngx_http_sp_jwt.h"


static ngx_int_t ngx_http_sp_jwt_verify(ngx_http_request_t *r,
    ngx_http_sp_jwt_loc_conf_t *jlcf, ngx_http_sp_jwt_ctx_t *ctx,
    const ngx_str_t *token);
static ngx_int_t ngx_http_sp_jwt_identify(ngx_http_request_t *r,
    ngx_http_sp_jwt_ctx_t *ctx);
static ngx_int_t ngx_http_sp_jwt_requirements(ngx_http_request_t *r,
    ngx_http_sp_jwt_loc_conf_t *jlcf, ngx_http_sp_jwt_ctx_t *ctx);
static ngx_int_t ngx_http_sp_jwt_required(ngx_http_request_t *r,
    ngx_http_sp_jwt_require_t *require);
static ngx_int_t ngx_http_sp_jwt_refuse(ngx_http_request_t *r,
    ngx_http_sp_jwt_loc_conf_t *jlcf, ngx_http_sp_jwt_ctx_t *ctx,
    const char *reason, ngx_uint_t bad);
static ngx_int_t ngx_http_sp_jwt_challenge(ngx_http_request_t *r,
    ngx_http_sp_jwt_loc_conf_t *jlcf, ngx_uint_t bad);


ngx_int_t
ngx_http_sp_jwt_step(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_str_t                     token;
    ngx_http_sp_jwt_ctx_t        *ctx;
    ngx_http_sp_jwt_loc_conf_t   *jlcf;
    ngx_http_sp_jwt_main_conf_t  *jmcf;

    jlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_jwt_module);

    if (jlcf->mode == NGX_HTTP_SP_JWT_OFF) {
        return NGX_DECLINED;
    }

    jmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_jwt_module);

    ctx = ngx_http_sp_ctx(r, &ngx_http_sp_jwt_module,
                          sizeof(ngx_http_sp_jwt_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    /* after an internal redirect other keys and rules may hold */

    ctx->entry = NULL;
    ctx->error = NULL;
    ctx->claims = NULL;
    ctx->header = NULL;

    if (jlcf->keys == NULL) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "jwt: auth_jwt in %V:%ui has no key",
                      &jlcf->file, jlcf->line);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_sp_jwt_find(r, jlcf, &token);

    if (rc == NGX_ABORT) {
        return NGX_ERROR;
    }

    if (rc == NGX_ERROR) {
        return ngx_http_sp_jwt_refuse(r, jlcf, ctx,
                                      "more than one Authorization header", 1);
    }

    if (rc == NGX_DECLINED) {
        ngx_sp_metric_add(jmcf->missing, 1);

        if (jlcf->mode == NGX_HTTP_SP_JWT_REQUIRED) {
            return ngx_http_sp_jwt_refuse(r, jlcf, ctx, "no token", 0);
        }

        ctx->error = "no token";

    } else {
        rc = ngx_http_sp_jwt_verify(r, jlcf, ctx, &token);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ngx_http_sp_jwt_requirements(r, jlcf, ctx);
}


static ngx_int_t
ngx_http_sp_jwt_verify(ngx_http_request_t *r, ngx_http_sp_jwt_loc_conf_t *jlcf,
    ngx_http_sp_jwt_ctx_t *ctx, const ngx_str_t *token)
{
    ngx_int_t                     rc;
    sp_jwt_rules_t                rules;
    sp_jwt_status_e               status;
    ngx_http_sp_jwt_cache_t      *cache;
    ngx_http_sp_jwt_entry_t      *entry;
    ngx_http_sp_jwt_main_conf_t  *jmcf;
    u_char                        key[SP_SIPHASH_LEN];

    jmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_jwt_module);
    cache = jmcf->zone != NULL ? jmcf->zone->data : NULL;

    ngx_memzero(&rules, sizeof(sp_jwt_rules_t));

    rules.now = ngx_time();
    rules.leeway = jlcf->leeway;
    rules.skew = jlcf->leeway + NGX_HTTP_SP_JWT_SKEW;
    rules.issuer = (const char *) jlcf->issuer.data;
    rules.audience = (const char *) jlcf->audience.data;

    rc = NGX_DECLINED;

    if (cache != NULL) {
        ngx_http_sp_jwt_cache_key(cache, key, jlcf->policy, token);

        rc = ngx_http_sp_jwt_cache_get(cache, key, r->pool, &entry);
        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    if (rc == NGX_OK) {
        ngx_sp_metric_add(jmcf->hits, 1);

        status = sp_jwt_times(entry->expires, entry->not_before,
                              entry->issued_at, &rules);

    } else {
        ngx_sp_metric_add(jmcf->misses, 1);

        status = ngx_http_sp_jwt_check(r, jlcf, token, &rules, &entry);

        if (status == SP_JWT_OK && cache != NULL) {
            ngx_http_sp_jwt_cache_put(cache, key, entry);
        }
    }

    if (status == SP_JWT_NO_MEMORY) {
        return NGX_ERROR;
    }

    if (status != SP_JWT_OK) {
        ngx_sp_metric_add(jmcf->refused, 1);

        return ngx_http_sp_jwt_refuse(r, jlcf, ctx, sp_jwt_strerror(status),
                                      1);
    }

    ngx_sp_metric_add(jmcf->accepted, 1);

    ctx->entry = entry;

    return ngx_http_sp_jwt_identify(r, ctx);
}


/* a token without "sub" is valid, and names nobody */

static ngx_int_t
ngx_http_sp_jwt_identify(ngx_http_request_t *r, ngx_http_sp_jwt_ctx_t *ctx)
{
    ngx_http_sp_identity_t    identity;
    ngx_http_sp_jwt_entry_t  *entry;

    entry = ctx->entry;

    if (entry->len[NGX_HTTP_SP_JWT_SUB] == 0) {
        return NGX_OK;
    }

    ngx_memzero(&identity, sizeof(ngx_http_sp_identity_t));

    identity.sub = ngx_http_sp_jwt_part(entry, NGX_HTTP_SP_JWT_SUB);
    identity.tier = ngx_http_sp_jwt_part(entry, NGX_HTTP_SP_JWT_TIER);
    identity.role = ngx_http_sp_jwt_part(entry, NGX_HTTP_SP_JWT_ROLE);
    identity.wallet = ngx_http_sp_jwt_part(entry, NGX_HTTP_SP_JWT_WALLET);
    identity.session = ngx_http_sp_jwt_part(entry, NGX_HTTP_SP_JWT_SID);
    identity.token_id = ngx_http_sp_jwt_part(entry, NGX_HTTP_SP_JWT_JTI);
    identity.scope = ngx_http_sp_jwt_part(entry, NGX_HTTP_SP_JWT_SCOPE);
    identity.claims = ngx_http_sp_jwt_part(entry, NGX_HTTP_SP_JWT_CLAIMS);
    identity.expires = (time_t) entry->expires;

    return ngx_http_sp_set_identity(r, &identity);
}


static ngx_int_t
ngx_http_sp_jwt_requirements(ngx_http_request_t *r,
    ngx_http_sp_jwt_loc_conf_t *jlcf, ngx_http_sp_jwt_ctx_t *ctx)
{
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    ngx_http_sp_jwt_require_t  *require;

    if (jlcf->require == NULL) {
        return NGX_OK;
    }

    require = jlcf->require->elts;

    for (i = 0; i < jlcf->require->nelts; i++) {
        rc = ngx_http_sp_jwt_required(r, &require[i]);

        if (rc == NGX_OK) {
            continue;
        }

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (require[i].status == NGX_HTTP_UNAUTHORIZED) {
            return ngx_http_sp_jwt_refuse(r, jlcf, ctx,
                                          "auth_jwt_require is not met",
                                          ctx->entry != NULL);
        }

        ctx->error = "auth_jwt_require is not met";

        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "jwt: token refused: %s", ctx->error);

        return ngx_http_sp_error(r, NGX_HTTP_FORBIDDEN, "forbidden",
                                 "the token does not allow this");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_jwt_required(ngx_http_request_t *r,
    ngx_http_sp_jwt_require_t *require)
{
    ngx_str_t                   value;
    ngx_uint_t                  i;
    ngx_http_complex_value_t  **cv;

    cv = require->values.elts;

    for (i = 0; i < require->values.nelts; i++) {

        if (ngx_http_complex_value(r, cv[i], &value) != NGX_OK) {
            return NGX_ERROR;
        }

        if (value.len == 0 || (value.len == 1 && value.data[0] == '0')) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/*
 * One answer for all reasons: whoever tries tokens learns nothing.  The
 * reason is in the log and in $jwt_error.
 */

static ngx_int_t
ngx_http_sp_jwt_refuse(ngx_http_request_t *r, ngx_http_sp_jwt_loc_conf_t *jlcf,
    ngx_http_sp_jwt_ctx_t *ctx, const char *reason, ngx_uint_t bad)
{
    ctx->error = reason;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "jwt: token refused: %s", reason);

    if (ngx_http_sp_jwt_challenge(r, jlcf, bad) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_error(r, NGX_HTTP_UNAUTHORIZED, "unauthorized",
                             "a valid access token is required");
}


static ngx_int_t
ngx_http_sp_jwt_challenge(ngx_http_request_t *r,
    ngx_http_sp_jwt_loc_conf_t *jlcf, ngx_uint_t bad)
{
    u_char      c, *p;
    ngx_str_t   realm, value;
    ngx_uint_t  i;

    static ngx_str_t  error = ngx_string(", error=\"invalid_token\"");

    if (ngx_http_complex_value(r, jlcf->realm, &realm) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, sizeof("Bearer realm=\"\"") - 1 + 2 * realm.len
                             + error.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    p = ngx_cpymem(p, "Bearer realm=\"", sizeof("Bearer realm=\"") - 1);

    /* the realm may hold variables: it stays one quoted string */

    for (i = 0; i < realm.len; i++) {
        c = realm.data[i];

        if (c < 0x20 || c == 0x7f) {
            continue;
        }

        if (c == '"' || c == '\\') {
            *p++ = '\\';
        }

        *p++ = c;
    }

    *p++ = '"';

    if (bad) {
        p = ngx_cpymem(p, error.data, error.len);
    }

    value.len = p - value.data;

    return ngx_http_sp_add_header(r, "WWW-Authenticate", &value);
}
