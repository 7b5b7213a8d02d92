
/*
 * Copyright (C) Sallyport authors
 *
 * The keys of a provider, in the order of the configuration.
 */


#include "ngx_http_sp_core_int.h"


char *
ngx_http_sp_key_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_provider_t *provider = conf;

    ngx_str_t          *value, text;
    ngx_uint_t          i;
    ngx_http_sp_key_t  *key;

    value = cf->args->elts;

    if (ngx_sp_secret_api_key(cf, &value[1], &text) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    key = provider->keys.elts;

    for (i = 0; i < provider->keys.nelts; i++) {
        if (key[i].value.len == text.len
            && ngx_memcmp(key[i].value.data, text.data, text.len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "key file \"%V\" holds the same key as "
                               "\"key_file\" number %ui of llm_provider "
                               "\"%V\"", &value[1], i + 1, &provider->name);
            return NGX_CONF_ERROR;
        }
    }

    if (provider->keys.nelts == NGX_HTTP_SP_PROVIDER_KEYS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "llm_provider \"%V\" has more than %d "
                           "\"key_file\"", &provider->name,
                           NGX_HTTP_SP_PROVIDER_KEYS);
        return NGX_CONF_ERROR;
    }

    key = ngx_http_sp_key_add(provider);
    if (key == NULL) {
        return NGX_CONF_ERROR;
    }

    key->value = text;

    return NGX_CONF_OK;
}


ngx_http_sp_key_t *
ngx_http_sp_key_add(ngx_http_sp_provider_t *provider)
{
    ngx_http_sp_key_t  *key;

    key = ngx_array_push(&provider->keys);

    if (key != NULL) {
        ngx_memzero(key, sizeof(ngx_http_sp_key_t));
    }

    return key;
}


ngx_uint_t
ngx_http_sp_key_number(const ngx_http_sp_provider_t *provider,
    const ngx_http_sp_key_t *key)
{
    const ngx_http_sp_key_t  *keys;

    keys = provider->keys.elts;

    return (key->value.len != 0) ? (ngx_uint_t) (key - keys) + 1 : 0;
}
