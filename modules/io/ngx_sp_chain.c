
/*
 * Copyright (C) Sallyport authors
 *
 * The "chain" block.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_sp_chain.h"
#include "ngx_sp_conf.h"
#include "ngx_sp_secret.h"

#include "sp_u256.h"


static char *ngx_sp_chain_set_id(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_sp_chain_set_rpc(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_sp_conf_bounds_t  ngx_sp_chain_blocks = {
    1, 1000, "a number from 1 to 1000"
};

static ngx_sp_conf_bounds_t  ngx_sp_chain_times = {
    10, 3600000, "a time from 10ms to 1h"
};


static ngx_sp_conf_setting_t  ngx_sp_chain_settings[] = {

    { ngx_string("chain_id"), NGX_CONF_TAKE1, ngx_sp_chain_set_id, 0,
      0, NULL },

    { ngx_string("rpc"), NGX_CONF_TAKE1, ngx_sp_chain_set_rpc, 0,
      0, NULL },

    { ngx_string("rpc_timeout"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_sp_chain_t, rpc.timeout), &ngx_sp_chain_times },

    { ngx_string("confirmations"), NGX_CONF_TAKE1, ngx_sp_conf_number_slot, 0,
      offsetof(ngx_sp_chain_t, confirmations), &ngx_sp_chain_blocks },

      ngx_null_command
};


ngx_sp_chain_t *
ngx_sp_chain_create(ngx_conf_t *cf)
{
    ngx_str_t       *value;
    const char      *missing;
    ngx_sp_chain_t  *chain;

    if (ngx_sp_conf_name(cf) != NGX_OK) {
        return NULL;
    }

    chain = ngx_pcalloc(cf->pool, sizeof(ngx_sp_chain_t));

    if (chain == NULL
        || ngx_array_init(&chain->rpc.endpoints, cf->pool, 2,
                          sizeof(ngx_sp_rpc_endpoint_t))
           != NGX_OK)
    {
        return NULL;
    }

    value = cf->args->elts;

    chain->name = value[1];
    chain->rpc.name = value[1];
    chain->rpc.timeout = NGX_CONF_UNSET_MSEC;
    chain->confirmations = NGX_CONF_UNSET_UINT;

    if (ngx_sp_conf_block(cf, ngx_sp_chain_settings, chain) != NGX_CONF_OK) {
        return NULL;
    }

    missing = (chain->id == 0) ? "chain_id"
              : (chain->rpc.endpoints.nelts == 0) ? "rpc" : NULL;

    if (missing != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "chain \"%V\" needs \"%s\"",
                           &chain->name, missing);
        return NULL;
    }

    chain->rpc.chain_id = chain->id;

    ngx_conf_init_msec_value(chain->rpc.timeout, 5000);
    ngx_conf_init_uint_value(chain->confirmations, 1);

    return chain;
}


static char *
ngx_sp_chain_set_id(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_sp_chain_t *chain = conf;

    ngx_str_t  *value;
    sp_u256_t   word;

    if (chain->id != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (sp_u256_from_decimal(&word, (char *) value[1].data, value[1].len)
        != SP_OK
        || sp_u256_get(&word, &chain->id) != SP_OK
        || chain->id == 0 || chain->id > NGX_SP_CHAIN_ID_MAX)
    {
        return "must be a chain id in decimal, 1 to 2^53 - 1";
    }

    return NGX_CONF_OK;
}


static char *
ngx_sp_chain_set_rpc(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_sp_chain_t *chain = conf;

    ngx_str_t              *value, *url, file;
    ngx_sp_rpc_endpoint_t  *endpoint;

    value = cf->args->elts;

    endpoint = ngx_array_push(&chain->rpc.endpoints);
    if (endpoint == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(endpoint, sizeof(ngx_sp_rpc_endpoint_t));

    url = &endpoint->url;
    *url = value[1];

    /* many a provider of nodes has the key in the path: "nginx -T" shows it */

    if (ngx_sp_conf_arg(url, "url_file=", &file)
        && ngx_sp_secret_api_key(cf, &file, url) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (!(url->len > 7 && ngx_strncmp(url->data, "http://", 7) == 0)
        && !(url->len > 8 && ngx_strncmp(url->data, "https://", 8) == 0))
    {
        return "must be an http:// or https:// URL, or url_file=PATH of a "
               "file that holds one";
    }

    return NGX_CONF_OK;
}
