
/*
 * Copyright (C) Sallyport authors
 */


#include "ngx_http_sp_llm_replay.h"

#include <openssl/crypto.h>


/* of a secret, bytes */
#define NGX_HTTP_SP_LLM_SECRET_MIN  16
#define NGX_HTTP_SP_LLM_SECRET_MAX  4096


static ngx_int_t ngx_http_sp_llm_cache_arg(ngx_conf_t *cf,
    ngx_http_sp_llm_store_t *store, ngx_str_t *arg);
static ngx_int_t ngx_http_sp_llm_cache_secret(ngx_conf_t *cf,
    ngx_http_sp_llm_store_t *store, ngx_str_t *path);
static ngx_int_t ngx_http_sp_llm_cache_metrics(ngx_conf_t *cf);


/* llm_cache off | REDIS [ttl=] [max_size=] [secret_file=] [shared] */

char *
ngx_http_sp_llm_cache_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_llm_loc_conf_t *llcf = conf;

    char  *rc;

    static const ngx_http_sp_llm_store_t  defaults = {
        .ttl = 3600 * 1000,
        .size = 262144
    };

    rc = ngx_http_sp_llm_store_conf(cf, &llcf->cache, &defaults,
                                    ngx_http_sp_llm_cache_arg);

    if (rc != NGX_CONF_OK || llcf->cache == NULL) {
        return rc;
    }

    return (ngx_http_sp_llm_cache_metrics(cf) == NGX_OK) ? NGX_CONF_OK
                                                         : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_sp_llm_cache_arg(ngx_conf_t *cf, ngx_http_sp_llm_store_t *store,
    ngx_str_t *arg)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    if (ngx_strcmp(arg->data, "shared") == 0) {
        store->shared = 1;
        return NGX_OK;
    }

    if (ngx_sp_conf_arg(arg, "secret_file=", &value)) {
        return ngx_http_sp_llm_cache_secret(cf, store, &value);
    }

    rc = ngx_http_sp_llm_store_arg(cf, store, arg);

    if (rc == NGX_DECLINED) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected ttl=TIME, "
                           "max_size=SIZE, secret_file=PATH or shared", arg);
    }

    return rc;
}


/* gateways of one Redis have the same, so it cannot be made here */

static ngx_int_t
ngx_http_sp_llm_cache_secret(ngx_conf_t *cf, ngx_http_sp_llm_store_t *store,
    ngx_str_t *path)
{
    size_t     len;
    u_char     text[NGX_HTTP_SP_LLM_SECRET_MAX];
    ngx_int_t  rc;
    ngx_str_t  part;

    if (ngx_sp_secret_read(cf, path, text, sizeof(text), &len) != NGX_OK) {
        return NGX_ERROR;
    }

    part.data = text;
    part.len = len;

    rc = ngx_http_sp_llm_replay_hash(&part, 1, store->secret);

    OPENSSL_cleanse(text, sizeof(text));

    if (len < NGX_HTTP_SP_LLM_SECRET_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" holds %uz bytes, a secret has %d or more",
                           path, len, NGX_HTTP_SP_LLM_SECRET_MIN);
        return NGX_ERROR;
    }

    store->keyed = 1;

    return rc;
}


static ngx_int_t
ngx_http_sp_llm_cache_metrics(ngx_conf_t *cf)
{
    ngx_uint_t                    i;
    ngx_http_sp_llm_main_conf_t  *lmcf;

    static const ngx_str_t  labels[] = {
        ngx_null_string,
        ngx_string("result=\"hit\""),
        ngx_string("result=\"miss\""),
        ngx_string("result=\"bypass\""),
        ngx_string("result=\"unavailable\"")
    };

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_llm_module);

    for (i = NGX_HTTP_SP_LLM_CACHE_HIT; i < NGX_HTTP_SP_LLM_CACHED; i++) {
        lmcf->cached[i] = ngx_http_sp_add_metric(cf, NGX_SP_COUNTER,
                              "sallyport_llm_cache_total",
                              "Requests where llm_cache is on, by what it "
                              "led to.", &labels[i]);

        if (lmcf->cached[i] == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
