
/*
 * Copyright (C) Sallyport authors
 *
 * What operators see of the targets: gauges, and the readiness of models.
 */


#include "ngx_http_sp_core_int.h"


#define NGX_HTTP_SP_UP_KEY                                                    \
    "# HELP sallyport_llm_key_up Whether a key of a provider is in use.\n"    \
    "# TYPE sallyport_llm_key_up gauge\n"

#define NGX_HTTP_SP_UP_TARGET                                                 \
    "# HELP sallyport_llm_target_up Whether a provider's model is asked.\n"   \
    "# TYPE sallyport_llm_target_up gauge\n"

#define NGX_HTTP_SP_UP_LINE                                                   \
    (sizeof("sallyport_llm_target_up{provider=\"\",model=\"\"} 0\n") - 1      \
     + NGX_INT_T_LEN)


static const char *ngx_http_sp_up_models(void *data);


ngx_int_t
ngx_http_sp_up_init(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf)
{
    if (mcf->providers.nelts == 0) {
        return NGX_OK;
    }

    return ngx_http_sp_add_ready(cf, "models", ngx_http_sp_up_models, mcf);
}


/*
 * One that can answer is enough: a provider that is down is no reason to send
 * everything elsewhere, and nobody would ask it again.
 */

static const char *
ngx_http_sp_up_models(void *data)
{
    ngx_http_sp_core_main_conf_t *mcf = data;

    ngx_uint_t            i;
    ngx_http_sp_model_t  **model;

    model = mcf->models.elts;

    for (i = 0; i < mcf->models.nelts; i++) {
        if (model[i]->targets.nelts != 0
            && ngx_http_sp_route_wait(model[i]) == 0)
        {
            return NULL;
        }
    }

    return "the targets of all models cool down";
}


size_t
ngx_http_sp_up_size(const ngx_http_sp_core_main_conf_t *mcf)
{
    size_t                        size;
    ngx_uint_t                    i;
    ngx_http_sp_breaker_t       **breaker;
    ngx_http_sp_provider_t      **provider;
    const ngx_http_sp_target_t   *target;

    size = sizeof(NGX_HTTP_SP_UP_KEY NGX_HTTP_SP_UP_TARGET);

    provider = mcf->providers.elts;

    for (i = 0; i < mcf->providers.nelts; i++) {
        size += provider[i]->keys.nelts
                * (NGX_HTTP_SP_UP_LINE + 2 * provider[i]->name.len);
    }

    breaker = mcf->breakers.elts;

    for (i = 0; i < mcf->breakers.nelts; i++) {
        target = ngx_http_sp_breaker_target(breaker[i]);

        if (target != NULL) {
            size += NGX_HTTP_SP_UP_LINE
                    + 2 * (target->provider->name.len + target->name.len);
        }
    }

    return size;
}


u_char *
ngx_http_sp_up_print(u_char *p, const ngx_http_sp_core_main_conf_t *mcf)
{
    ngx_uint_t                    i, k;
    ngx_http_sp_key_t            *key;
    ngx_http_sp_breaker_t       **breaker;
    ngx_http_sp_provider_t      **provider;
    const ngx_http_sp_target_t   *target;

    if (mcf->providers.nelts == 0) {
        return p;
    }

    p = ngx_sprintf(p, NGX_HTTP_SP_UP_KEY);

    provider = mcf->providers.elts;

    for (i = 0; i < mcf->providers.nelts; i++) {
        key = provider[i]->keys.elts;

        for (k = 0; k < provider[i]->keys.nelts; k++) {
            if (key[k].value.len == 0) {
                continue;
            }

            p = ngx_sp_metric_label(p, "sallyport_llm_key_up{provider",
                                     &provider[i]->name);
            p = ngx_sprintf(p, ",key=\"%ui\"} %d\n", k + 1,
                            ngx_http_sp_breaker_wait(key[k].breaker) == 0);
        }
    }

    p = ngx_sprintf(p, NGX_HTTP_SP_UP_TARGET);

    breaker = mcf->breakers.elts;

    for (i = 0; i < mcf->breakers.nelts; i++) {
        target = ngx_http_sp_breaker_target(breaker[i]);

        if (target != NULL) {
            p = ngx_sp_metric_label(p, "sallyport_llm_target_up{provider",
                                     &target->provider->name);
            p = ngx_sp_metric_label(p, ",model", &target->name);
            p = ngx_sprintf(p, "} %d\n",
                            ngx_http_sp_target_wait(target) == 0);
        }
    }

    return p;
}
