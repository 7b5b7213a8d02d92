
/*
 * Copyright (C) Sallyport authors
 *
 * "metrics": what modules/work counts, for Prometheus.
 */


#include "ngx_http_sp_core_int.h"


ngx_int_t
ngx_http_sp_metrics_handler(ngx_http_request_t *r)
{
    ngx_str_t                      body;
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_sp_core_module);

    body.data = ngx_palloc(r->pool, ngx_sp_metrics_size(mcf->work.metrics));
    if (body.data == NULL) {
        return NGX_ERROR;
    }

    body.len = ngx_sp_metrics_print(body.data, mcf->work.metrics)
               - body.data;

    return ngx_http_sp_send(r, NGX_HTTP_OK,
                            "text/plain; version=0.0.4; charset=utf-8",
                            &body);
}
