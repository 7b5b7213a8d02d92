
/*
 * Copyright (C) Sallyport authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_sp_conf.h"


#define NGX_SP_CONF_MSEC_MAX  (3600 * 1000)


ngx_uint_t
ngx_sp_conf_arg(const ngx_str_t *arg, const char *key, ngx_str_t *value)
{
    size_t  len;

    len = ngx_strlen(key);

    if (arg->len < len || ngx_strncmp(arg->data, key, len) != 0) {
        return 0;
    }

    value->data = arg->data + len;
    value->len = arg->len - len;

    return 1;
}


ngx_int_t
ngx_sp_conf_msec(ngx_conf_t *cf, const char *directive, const char *key,
    const ngx_str_t *value, ngx_msec_t *out)
{
    ngx_int_t  n;
    ngx_str_t  text;

    text = *value;
    n = ngx_parse_time(&text, 0);

    if (n == NGX_ERROR || n < 1 || n > NGX_SP_CONF_MSEC_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%s%V\" in \"%s\", "
                           "a time from \"1ms\" to \"1h\" is expected",
                           key, value, directive);
        return NGX_ERROR;
    }

    *out = (ngx_msec_t) n;

    return NGX_OK;
}


ngx_int_t
ngx_sp_conf_number(ngx_conf_t *cf, const char *directive, const char *key,
    const ngx_str_t *value, ngx_uint_t min, ngx_uint_t max, ngx_uint_t *out)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    if (n == NGX_ERROR || (ngx_uint_t) n < min || (ngx_uint_t) n > max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%s%V\" in \"%s\", "
                           "a number from %ui to %ui is expected",
                           key, value, directive, min, max);
        return NGX_ERROR;
    }

    *out = (ngx_uint_t) n;

    return NGX_OK;
}


ngx_int_t
ngx_sp_conf_address(ngx_conf_t *cf, const char *directive,
    const ngx_str_t *address, in_port_t default_port, ngx_str_t *ip,
    in_port_t *port)
{
    u_char           *p;
    size_t            len;
    ngx_url_t         u;
    struct sockaddr  *sa;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *address;
    u.default_port = default_port;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in address \"%V\" of \"%s\"",
                           (u.err != NULL) ? u.err : "no address",
                           address, directive);
        return NGX_ERROR;
    }

    sa = u.addrs[0].sockaddr;

    p = ngx_pnalloc(cf->pool, NGX_SOCKADDR_STRLEN + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    len = ngx_sock_ntop(sa, u.addrs[0].socklen, p, NGX_SOCKADDR_STRLEN, 0);
    p[len] = '\0';

    ip->data = p;
    ip->len = len;

    *port = ngx_inet_get_port(sa);

    return NGX_OK;
}
