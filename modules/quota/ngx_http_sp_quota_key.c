
/*
 * Copyright (C) Sallyport authors
 *
 * Which policy a request falls under, and whose limits it uses up.  What
 * comes from a variable, an API key for instance, leaves this machine as a
 * digest only.
 */

#include "ngx_http_sp_quota.h"

#include <openssl/evp.h>


/* a longer subject is stored as its digest */
#define NGX_HTTP_SP_QUOTA_SUBJECT  64


static ngx_int_t ngx_http_sp_quota_name(ngx_http_request_t *r, u_char kind,
    const ngx_str_t *value, ngx_str_t *subject);
static ngx_int_t ngx_http_sp_quota_redis_key(ngx_http_request_t *r,
    const ngx_str_t *scope, ngx_http_sp_quota_ctx_t *ctx);
static void ngx_http_sp_quota_address(ngx_http_request_t *r,
    ngx_str_t *address);


ngx_int_t
ngx_http_sp_quota_choose(ngx_http_request_t *r, ngx_http_sp_quota_ctx_t *ctx)
{
    ngx_str_t                       name;
    ngx_http_sp_quota_loc_conf_t   *qlcf;
    ngx_http_sp_quota_main_conf_t  *qmcf;

    qmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_quota_module);
    qlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_quota_module);

    ctx->policy = qlcf->policy;

    if (qlcf->choice == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, qlcf->choice, &name) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->policy = ngx_http_sp_quota_find(qmcf, &name);

    if (ctx->policy == NULL) {
        ctx->policy = qlcf->policy;
    }

    if (ctx->policy == NULL) {
        return ngx_http_sp_error(r, NGX_HTTP_FORBIDDEN,
                                 "quota_policy_unknown",
                                 "there is no quota policy for this account");
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_quota_subject(ngx_http_request_t *r, ngx_http_sp_quota_ctx_t *ctx)
{
    u_char                          kind;
    ngx_str_t                       value;
    const ngx_http_sp_identity_t   *identity;
    ngx_http_sp_quota_loc_conf_t   *qlcf;
    ngx_http_sp_quota_main_conf_t  *qmcf;

    qmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_quota_module);
    qlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_quota_module);

    ngx_str_null(&value);
    kind = 'a';

    if (qlcf->by == NGX_HTTP_SP_QUOTA_BY_IDENTITY) {
        identity = ngx_http_sp_identity(r);

        if (identity != NULL) {
            kind = 'u';
            value = identity->sub;
        }

    } else if (qlcf->by == NGX_HTTP_SP_QUOTA_BY_VALUE) {
        kind = 'v';

        if (ngx_http_complex_value(r, qlcf->value, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (value.len == 0) {
        kind = 'a';
        ngx_http_sp_quota_address(r, &value);
    }

    if (ngx_http_sp_quota_name(r, kind, &value, &ctx->subject) != NGX_OK
        || ngx_http_sp_quota_redis_key(r, &qlcf->scope, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->zone = qmcf->zone;
    ctx->hash = ngx_http_sp_quota_hash(qmcf->zone, &qlcf->scope,
                                       &ctx->subject);

    return NGX_OK;
}


/* the scripts' version and, in braces, what a cluster shards by */

static ngx_int_t
ngx_http_sp_quota_redis_key(ngx_http_request_t *r, const ngx_str_t *scope,
    ngx_http_sp_quota_ctx_t *ctx)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, sizeof("quota3:{}:") - 1 + ctx->subject.len
                             + scope->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->key.data = p;
    p = ngx_cpymem(p, "quota3:{", sizeof("quota3:{") - 1);
    p = ngx_cpymem(p, ctx->subject.data, ctx->subject.len);
    *p++ = '}';
    *p++ = ':';
    p = ngx_cpymem(p, scope->data, scope->len);
    ctx->key.len = p - ctx->key.data;

    return NGX_OK;
}


/* "u:" and the user's id, "a:" and an address, "v:" and a digest, in hex */

static ngx_int_t
ngx_http_sp_quota_name(ngx_http_request_t *r, u_char kind,
    const ngx_str_t *value, ngx_str_t *subject)
{
    u_char        digest[EVP_MAX_MD_SIZE], *p;
    unsigned int  len;

    p = ngx_pnalloc(r->pool, 2 + 2 * NGX_HTTP_SP_QUOTA_SUBJECT);
    if (p == NULL) {
        return NGX_ERROR;
    }

    subject->data = p;
    *p++ = kind;
    *p++ = ':';

    if (kind == 'v' || value->len > NGX_HTTP_SP_QUOTA_SUBJECT) {

        if (EVP_Digest(value->data, value->len, digest, &len, EVP_sha256(),
                       NULL)
            != 1)
        {
            return NGX_ERROR;
        }

        p = ngx_hex_dump(p, digest, len);

    } else if (kind == 'a') {
        p = ngx_hex_dump(p, value->data, value->len);

    } else {
        p = ngx_cpymem(p, value->data, value->len);
    }

    subject->len = p - subject->data;

    return NGX_OK;
}


/*
 * An IPv4 address, or the /64 of an IPv6 one: a household gets 2^64 of those.
 * Behind a proxy this is the client's only with ngx_http_realip_module.
 */

static void
ngx_http_sp_quota_address(ngx_http_request_t *r, ngx_str_t *address)
{
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    switch (r->connection->sockaddr->sa_family) {

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) r->connection->sockaddr;
        address->data = sin6->sin6_addr.s6_addr;
        address->len = 8;

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            address->data += 12;
            address->len = 4;
        }

        break;
#endif

    case AF_INET:
        sin = (struct sockaddr_in *) r->connection->sockaddr;
        address->data = (u_char *) &sin->sin_addr;
        address->len = 4;
        break;

    default:
        ngx_str_set(address, "unix:");
        break;
    }
}
