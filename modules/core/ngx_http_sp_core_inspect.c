
/*
 * Copyright (C) Sallyport authors
 *
 * Text inspectors: whoever has text asks all of them here.
 */


#include "ngx_http_sp_core_int.h"


ngx_int_t
ngx_http_sp_add_inspector(ngx_conf_t *cf,
    const ngx_http_sp_inspector_t *inspector)
{
    ngx_uint_t                        i;
    const ngx_http_sp_inspector_t   **elt;
    ngx_http_sp_core_main_conf_t     *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    if (ngx_http_sp_check_abi(cf, "inspector", &inspector->name,
                              inspector->abi)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_array_push(&mcf->inspectors) == NULL) {
        return NGX_ERROR;
    }

    elt = mcf->inspectors.elts;

    for (i = mcf->inspectors.nelts - 1;
         i > 0 && elt[i - 1]->rank > inspector->rank;
         i--)
    {
        elt[i] = elt[i - 1];
    }

    elt[i] = inspector;

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_inspect(ngx_http_request_t *r, const ngx_str_t *text,
    ngx_http_sp_inspection_t *out)
{
    ngx_uint_t                       i;
    ngx_http_sp_inspection_t         one;
    const ngx_http_sp_inspector_t  **inspector;
    ngx_http_sp_core_main_conf_t    *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_sp_core_module);

    ngx_memzero(out, sizeof(ngx_http_sp_inspection_t));

    inspector = mcf->inspectors.elts;

    for (i = 0; i < mcf->inspectors.nelts; i++) {

        ngx_memzero(&one, sizeof(ngx_http_sp_inspection_t));

        if (inspector[i]->inspect(r, text, &one) != NGX_OK) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "inspector \"%V\" failed", &inspector[i]->name);
            return NGX_ERROR;
        }

        if (one.verdict > out->verdict) {
            *out = one;
        }
    }

    return NGX_OK;
}
