
/*
 * Copyright (C) Sallyport authors
 *
 * Refuses clients that are too old.
 */


#include "ngx_http_sp_example.h"


ngx_int_t
ngx_http_sp_example_step(ngx_http_request_t *r)
{
    ngx_int_t                         version;
    ngx_str_t                         value;
    ngx_http_variable_value_t        *vv;
    ngx_http_sp_example_loc_conf_t   *elcf;
    ngx_http_sp_example_main_conf_t  *emcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_example_module);

    if (elcf->minimum == 0) {
        return NGX_DECLINED;
    }

    emcf = ngx_http_get_module_main_conf(r, ngx_http_sp_example_module);

    vv = ngx_http_get_indexed_variable(r, emcf->version);
    if (vv == NULL) {
        return NGX_ERROR;
    }

    version = vv->not_found ? 0 : ngx_atoi(vv->data, vv->len);

    if (version != NGX_ERROR && (ngx_uint_t) version >= elcf->minimum) {

        ngx_str_set(&value, "supported");

        return ngx_http_sp_add_header(r, "X-Client-Status", &value);
    }

    ngx_sp_metric_add(emcf->refused, 1);

    (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "client_too_old",
                             "X-Client-Version must be %ui or later",
                             elcf->minimum);

    ngx_http_sp_error_hint(r, "reload the page");

    return NGX_HTTP_BAD_REQUEST;
}
