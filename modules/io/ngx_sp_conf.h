
/*
 * Copyright (C) Sallyport authors
 *
 * Helpers for the arguments of "redis_server" and "pg_server".  Each logs
 * what was found and what is allowed, with file and line.
 */

#ifndef _NGX_SP_CONF_H_INCLUDED_
#define _NGX_SP_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * If "arg" begins with "key" ("timeout="), *value is what follows and the
 * result is 1.  The rest stays NUL-terminated, as all of the configuration.
 */
ngx_uint_t ngx_sp_conf_arg(const ngx_str_t *arg, const char *key,
    ngx_str_t *value);

/* a time between 1 ms and an hour */
ngx_int_t ngx_sp_conf_msec(ngx_conf_t *cf, const char *directive,
    const char *key, const ngx_str_t *value, ngx_msec_t *out);

ngx_int_t ngx_sp_conf_number(ngx_conf_t *cf, const char *directive,
    const char *key, const ngx_str_t *value, ngx_uint_t min, ngx_uint_t max,
    ngx_uint_t *out);

/* numeric text of the first address, without the port; NUL-terminated */
ngx_int_t ngx_sp_conf_address(ngx_conf_t *cf, const char *directive,
    const ngx_str_t *address, in_port_t default_port, ngx_str_t *ip,
    in_port_t *port);


#endif /* _NGX_SP_CONF_H_INCLUDED_ */
