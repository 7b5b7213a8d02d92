
/*
 * Copyright (C) Sallyport authors
 *
 * "metrics": what modules/work counts, for Prometheus.
 */


#include "ngx_http_sp_core_int.h"


ngx_int_t
ngx_http_sp_metrics_handler(ngx_http_request_t *r)
{
    u_char                        *p;
    ngx_str_t                      body;
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_sp_core_module);

    body.data = ngx_palloc(r->pool, ngx_sp_metrics_size(mcf->work.metrics)
                                    + ngx_http_sp_up_size(mcf));
    if (body.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sp_metrics_print(body.data, mcf->work.metrics);
    p = ngx_http_sp_up_print(p, mcf);

    body.len = p - body.data;

    return ngx_http_sp_send(r, NGX_HTTP_OK,
                            "text/plain; version=0.0.4; charset=utf-8",
                            &body);
}
