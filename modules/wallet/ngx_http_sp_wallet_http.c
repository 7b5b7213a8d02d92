
/*
 * Copyright (C) Sallyport authors
 *
 * Cookies, origins, metrics.
 */

#include "ngx_http_sp_wallet.h"

#include <openssl/rand.h>


static ngx_str_t ngx_http_sp_wallet_variable(ngx_http_request_t *r,
    const char *prefix, const char *name);


ngx_str_t
ngx_http_sp_wallet_header(ngx_http_request_t *r, const char *name)
{
    return ngx_http_sp_wallet_variable(r, "http_", name);
}


/*
 * Over https a cookie is "__Host-name": browsers take it only from this very
 * host and never show it to another.  Over plain http, which is for
 * development on one machine, there is no such thing and it is "name".
 */

ngx_str_t
ngx_http_sp_wallet_get_cookie(ngx_http_request_t *r, const char *name,
    ngx_uint_t secure)
{
    return ngx_http_sp_wallet_variable(r, secure ? "cookie___Host-"
                                                 : "cookie_", name);
}


/*
 * NGINX's own variables find headers and cookies in every version; its lists
 * of them have changed shape over time.
 */

static ngx_str_t
ngx_http_sp_wallet_variable(ngx_http_request_t *r, const char *prefix,
    const char *name)
{
    u_char                     *p;
    ngx_str_t                   value, variable;
    ngx_uint_t                  key;
    ngx_http_variable_value_t  *v;

    ngx_str_null(&value);

    variable.len = ngx_strlen(prefix) + ngx_strlen(name);

    variable.data = ngx_pnalloc(r->pool, variable.len);
    if (variable.data == NULL) {
        return value;
    }

    p = ngx_cpymem(variable.data, prefix, ngx_strlen(prefix));
    ngx_memcpy(p, name, ngx_strlen(name));

    key = ngx_hash_key(variable.data, variable.len);

    v = ngx_http_get_variable(r, &variable, key);

    if (v != NULL && !v->not_found && v->valid) {
        value.data = v->data;
        value.len = v->len;
    }

    return value;
}


ngx_int_t
ngx_http_sp_wallet_set_cookie(ngx_http_request_t *r, const char *name,
    const ngx_str_t *value, time_t age, ngx_uint_t secure)
{
    ngx_str_t  header;

    header.data = ngx_pnalloc(r->pool, ngx_strlen(name) + value->len
                              + NGX_TIME_T_LEN
                              + sizeof("__Host-=; Path=/; Max-Age=; HttpOnly; "
                                       "SameSite=Strict; Secure"));
    if (header.data == NULL) {
        return NGX_ERROR;
    }

    header.len = ngx_sprintf(header.data, "%s%s=%V; Path=/; Max-Age=%T; "
                             "HttpOnly; SameSite=Strict%s",
                             secure ? "__Host-" : "", name, value, age,
                             secure ? "; Secure" : "")
                 - header.data;

    return ngx_http_sp_add_header(r, "Set-Cookie", &header);
}


ngx_http_sp_wallet_domain_t *
ngx_http_sp_wallet_origin_domain(ngx_http_request_t *r)
{
    ngx_str_t                       origin;
    ngx_uint_t                      i;
    ngx_http_sp_wallet_domain_t    *domain;
    ngx_http_sp_wallet_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_wallet_module);

    domain = wlcf->domains->elts;
    origin = ngx_http_sp_wallet_header(r, "origin");

    if (origin.len == 0) {
        return domain;
    }

    for (i = 0; i < wlcf->domains->nelts; i++) {
        if (origin.len == domain[i].origin.len
            && ngx_strncmp(origin.data, domain[i].origin.data, origin.len)
               == 0)
        {
            return &domain[i];
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_sp_wallet_origin(ngx_http_request_t *r, ngx_uint_t strict)
{
    ngx_str_t  origin, site;

    origin = ngx_http_sp_wallet_header(r, "origin");

    if (origin.len != 0) {

        if (ngx_http_sp_wallet_origin_domain(r) != NULL) {
            return NGX_OK;
        }

    } else {
        site = ngx_http_sp_wallet_header(r, "sec_fetch_site");

        if (site.len == 0 ? !strict
            : site.len == 11
              && ngx_strncmp(site.data, "same-origin", 11) == 0)
        {
            return NGX_OK;
        }
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "wallet: refused origin \"%V\"", &origin);

    return ngx_http_sp_error(r, NGX_HTTP_FORBIDDEN, "origin_forbidden",
                             "this origin may not sign in here; requests "
                             "with a cookie need an Origin header");
}


ngx_http_sp_wallet_carrier_e
ngx_http_sp_wallet_carrier(const json_t *body)
{
    size_t       len;
    const char  *refresh;

    refresh = sp_json_string(body, "refresh", &len);

    return (refresh != NULL && len == 4
            && ngx_strncmp(refresh, "body", 4) == 0)
           ? NGX_HTTP_SP_WALLET_IN_BODY : NGX_HTTP_SP_WALLET_COOKIE;
}


ngx_http_sp_wallet_domain_t *
ngx_http_sp_wallet_find_domain(ngx_http_sp_wallet_loc_conf_t *wlcf,
    const u_char *name, size_t len)
{
    ngx_uint_t                    i;
    ngx_http_sp_wallet_domain_t  *domain;

    domain = wlcf->domains->elts;

    for (i = 0; i < wlcf->domains->nelts; i++) {
        if (domain[i].domain.len == len
            && ngx_strncmp(domain[i].domain.data, name, len) == 0)
        {
            return &domain[i];
        }
    }

    return NULL;
}


void
ngx_http_sp_wallet_count(ngx_http_request_t *r,
    ngx_http_sp_wallet_metric_e metric)
{
    ngx_http_sp_wallet_main_conf_t  *wmcf;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_wallet_module);
    ngx_sp_metric_add(wmcf->metrics[metric], 1);
}


ngx_int_t
ngx_http_sp_wallet_random(u_char *text, size_t n)
{
    size_t         i, k;
    u_char         bytes[64];

    static u_char  digits[] =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    i = 0;

    while (i < n) {

        if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
            return NGX_ERROR;
        }

        for (k = 0; k < sizeof(bytes) && i < n; k++) {

            /* 248 = 4 * 62: the rest would make some digits likelier */

            if (bytes[k] < 248) {
                text[i++] = digits[bytes[k] % 62];
            }
        }
    }

    return NGX_OK;
}
