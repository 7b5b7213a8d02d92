
/*
 * Copyright (C) Sallyport authors
 */


#include "ngx_http_sp_llm_replay.h"


static ngx_int_t ngx_http_sp_llm_replay_arg(ngx_conf_t *cf,
    ngx_http_sp_llm_store_t *store, ngx_str_t *arg);
static ngx_int_t ngx_http_sp_llm_replay_time(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_str_t *value, ngx_int_t min, ngx_int_t max, ngx_msec_t *time);
static ngx_int_t ngx_http_sp_llm_replay_metrics(ngx_conf_t *cf);


/* llm_idempotency off | REDIS [ttl=TIME] [wait=TIME] [max_size=SIZE] */

char *
ngx_http_sp_llm_idempotency_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_sp_llm_loc_conf_t *llcf = conf;

    char  *rc;

    static const ngx_http_sp_llm_store_t  defaults = {
        .ttl = 24 * 3600 * 1000,
        .wait = 30000,
        .size = 262144
    };

    rc = ngx_http_sp_llm_store_conf(cf, &llcf->idempotency, &defaults,
                                    ngx_http_sp_llm_replay_arg);

    if (rc != NGX_CONF_OK || llcf->idempotency == NULL) {
        return rc;
    }

    if (ngx_http_sp_llm_replay_metrics(cf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_http_sp_llm_store_init();

    return NGX_CONF_OK;
}


char *
ngx_http_sp_llm_store_conf(ngx_conf_t *cf, ngx_http_sp_llm_store_t **store,
    const ngx_http_sp_llm_store_t *defaults, ngx_http_sp_llm_store_arg_pt arg)
{
    ngx_str_t                *value;
    ngx_uint_t                i;
    ngx_http_sp_llm_store_t  *made;

    if (*store != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        *store = NULL;
        return NGX_CONF_OK;
    }

    made = ngx_palloc(cf->pool, sizeof(ngx_http_sp_llm_store_t));
    if (made == NULL) {
        return NGX_CONF_ERROR;
    }

    *made = *defaults;

    made->redis = ngx_http_sp_redis(cf, &value[1]);
    if (made->redis == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (arg(cf, made, &value[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    *store = made;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_sp_llm_replay_arg(ngx_conf_t *cf, ngx_http_sp_llm_store_t *store,
    ngx_str_t *arg)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    if (ngx_sp_conf_arg(arg, "wait=", &value)) {
        return ngx_http_sp_llm_replay_time(cf, arg, &value, 0,
                                           3600 * 1000, &store->wait);
    }

    rc = ngx_http_sp_llm_store_arg(cf, store, arg);

    if (rc == NGX_DECLINED) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected ttl=TIME, "
                           "wait=TIME or max_size=SIZE", arg);
    }

    return rc;
}


ngx_int_t
ngx_http_sp_llm_store_arg(ngx_conf_t *cf, ngx_http_sp_llm_store_t *store,
    ngx_str_t *arg)
{
    ssize_t    size;
    ngx_str_t  value;

    if (ngx_sp_conf_arg(arg, "ttl=", &value)) {
        return ngx_http_sp_llm_replay_time(cf, arg, &value, 1000,
                                           7 * 24 * 3600 * 1000, &store->ttl);
    }

    if (ngx_sp_conf_arg(arg, "max_size=", &value)) {
        size = ngx_parse_size(&value);

        if (size < 1024 || size > 16 * 1024 * 1024) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid size in \"%V\", expected 1k to 16m",
                               arg);
            return NGX_ERROR;
        }

        store->size = size;

        return NGX_OK;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_sp_llm_replay_time(ngx_conf_t *cf, ngx_str_t *arg, ngx_str_t *value,
    ngx_int_t min, ngx_int_t max, ngx_msec_t *time)
{
    ngx_int_t  msec;

    msec = ngx_parse_time(value, 0);

    if (msec == NGX_ERROR || msec < min || msec > max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time in \"%V\", expected %is to %is", arg,
                           min / 1000, max / 1000);
        return NGX_ERROR;
    }

    *time = msec;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_replay_metrics(ngx_conf_t *cf)
{
    ngx_uint_t                    i;
    ngx_http_sp_llm_main_conf_t  *lmcf;

    static const ngx_str_t  labels[] = {
        ngx_string("result=\"run\""),
        ngx_string("result=\"replayed\""),
        ngx_string("result=\"conflict\""),
        ngx_string("result=\"reused\""),
        ngx_string("result=\"unavailable\"")
    };

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_llm_module);

    for (i = 0; i < NGX_HTTP_SP_LLM_REPLAYS; i++) {
        lmcf->replays[i] = ngx_http_sp_add_metric(cf, NGX_SP_COUNTER,
                             "sallyport_llm_idempotency_total",
                             "Requests with an Idempotency-Key, by what it "
                             "led to.", &labels[i]);

        if (lmcf->replays[i] == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
