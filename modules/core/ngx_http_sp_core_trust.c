
/*
 * Copyright (C) Sallyport authors
 *
 * Whose certificates calls beside requests will trust, read with the
 * configuration.  Where no such call speaks TLS, nothing is.
 */


#include "ngx_http_sp_core_int.h"


static ngx_uint_t ngx_http_sp_trust_wanted(
    const ngx_http_sp_core_main_conf_t *mcf);
static ngx_uint_t ngx_http_sp_trust_chain(const ngx_sp_chain_t *chain);


ngx_int_t
ngx_http_sp_trust(ngx_conf_t *cf, ngx_str_t *file)
{
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    if (file->len == 0) {

        /* the directive may stand further down */

        mcf->trust = 1;
        return NGX_OK;
    }

    if (ngx_conf_full_name(cf->cycle, file, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_sp_fetch_trust(cf, &mcf->fetch, file);
}


ngx_int_t
ngx_http_sp_trust_init(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf)
{
    ngx_str_t                *file;
    ngx_uint_t                i;
    ngx_http_sp_provider_t  **provider;

    if (ngx_http_sp_trust_wanted(mcf)
        && ngx_sp_fetch_trust(cf, &mcf->fetch,
                              &mcf->fetch.trusted_certificate)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    provider = mcf->providers.elts;

    for (i = 0; i < mcf->providers.nelts; i++) {
        file = &provider[i]->endpoint.trusted_certificate;

        if (file->len != 0
            && ngx_sp_fetch_trust(cf, &mcf->fetch, file) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_sp_trust_wanted(const ngx_http_sp_core_main_conf_t *mcf)
{
    ngx_uint_t                i;
    ngx_sp_chain_t          **chain;
    ngx_http_sp_provider_t  **provider;

    if (mcf->trust || mcf->fetch.trusted_certificate.len != 0) {
        return 1;
    }

    provider = mcf->providers.elts;

    for (i = 0; i < mcf->providers.nelts; i++) {
        if (provider[i]->endpoint.ssl
            && provider[i]->endpoint.trusted_certificate.len == 0)
        {
            return 1;
        }
    }

    chain = mcf->chains.elts;

    for (i = 0; i < mcf->chains.nelts; i++) {
        if (ngx_http_sp_trust_chain(chain[i])) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_sp_trust_chain(const ngx_sp_chain_t *chain)
{
    ngx_uint_t              i;
    ngx_sp_rpc_endpoint_t  *endpoint;

    endpoint = chain->rpc.endpoints.elts;

    for (i = 0; i < chain->rpc.endpoints.nelts; i++) {
        if (ngx_strncmp(endpoint[i].url.data, "https:", 6) == 0) {
            return 1;
        }
    }

    return 0;
}
