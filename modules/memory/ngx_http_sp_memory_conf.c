
/*
 * Copyright (C) Sallyport authors
 *
 * The models that memory calls: names of the registry, and what only memory
 * knows of them.
 */


#include "ngx_http_sp_memory.h"


#define NGX_HTTP_SP_MEMORY_TIMEOUT     30000
#define NGX_HTTP_SP_MEMORY_JOB_LEASE   120


typedef struct {
    const char  *name;
    ngx_uint_t   min;
    ngx_uint_t   max;
    ngx_uint_t  *value;
} ngx_http_sp_memory_number_t;


static char *ngx_http_sp_memory_model(ngx_conf_t *cf,
    ngx_http_sp_memory_model_t *model, ngx_http_sp_model_kind_e kind,
    const ngx_http_sp_memory_number_t *numbers);
static ngx_int_t ngx_http_sp_memory_argument(ngx_conf_t *cf,
    ngx_http_sp_memory_model_t *model, ngx_str_t *arg,
    const ngx_http_sp_memory_number_t *numbers);


/* memory_embedder off | MODEL [dimensions=N] [timeout=TIME] [cache=N] */

char *
ngx_http_sp_memory_embedder(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_memory_main_conf_t *mmcf = conf;

    const ngx_http_sp_memory_number_t  numbers[] = {
        { "dimensions=", 1, 3900, &mmcf->embedder.dimensions },
        { "cache=", 0, 100000, &mmcf->cache },
        { NULL, 0, 0, NULL }
    };

    if (mmcf->embedder.timeout != 0) {
        return "is duplicate";
    }

    mmcf->cache = 256;

    return ngx_http_sp_memory_model(cf, &mmcf->embedder,
                                    NGX_HTTP_SP_MODEL_EMBEDDING, numbers);
}


/* memory_extractor off | MODEL [timeout=TIME] [lease=SECONDS] */

char *
ngx_http_sp_memory_extractor(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_memory_main_conf_t *mmcf = conf;

    char        *rv;
    ngx_uint_t   lease;

    const ngx_http_sp_memory_number_t  numbers[] = {
        { "lease=", 1, 100000, &lease },
        { NULL, 0, 0, NULL }
    };

    if (mmcf->extractor.timeout != 0) {
        return "is duplicate";
    }

    lease = NGX_HTTP_SP_MEMORY_JOB_LEASE;

    rv = ngx_http_sp_memory_model(cf, &mmcf->extractor,
                                  NGX_HTTP_SP_MODEL_CHAT, numbers);

    mmcf->job.lease = lease;

    return rv;
}


static char *
ngx_http_sp_memory_model(ngx_conf_t *cf, ngx_http_sp_memory_model_t *model,
    ngx_http_sp_model_kind_e kind, const ngx_http_sp_memory_number_t *numbers)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;
    model->timeout = NGX_HTTP_SP_MEMORY_TIMEOUT;
    model->file = cf->conf_file->file.name;
    model->line = cf->conf_file->line;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    model->model = ngx_http_sp_model(cf, &value[1], kind, 1);
    if (model->model == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_sp_memory_argument(cf, model, &value[i], numbers)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_sp_memory_argument(ngx_conf_t *cf, ngx_http_sp_memory_model_t *model,
    ngx_str_t *arg, const ngx_http_sp_memory_number_t *numbers)
{
    u_char                              allowed[128], *p;
    ngx_str_t                           text, *value;
    const ngx_http_sp_memory_number_t  *number;

    value = cf->args->elts;
    p = allowed;

    if (ngx_sp_conf_arg(arg, "timeout=", &text)) {
        return ngx_sp_conf_msec(cf, (char *) value[0].data, "timeout=", &text,
                                &model->timeout);
    }

    for (number = numbers; number->name != NULL; number++) {

        if (ngx_sp_conf_arg(arg, number->name, &text)) {
            return ngx_sp_conf_number(cf, (char *) value[0].data,
                                      number->name, &text, number->min,
                                      number->max, number->value);
        }

        p = ngx_slprintf(p, allowed + sizeof(allowed), "%s, ", number->name);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" in \"%V\"; the name of a "
                       "model, %*stimeout= are allowed", arg, &value[0],
                       (size_t) (p - allowed), allowed);

    return NGX_ERROR;
}


/*
 * Vectors of another model, or of another length, do not compare: the name
 * and the dimensions are kept with each of them.
 */

ngx_int_t
ngx_http_sp_memory_models(ngx_conf_t *cf, ngx_http_sp_memory_main_conf_t *mmcf)
{
    ngx_str_t             *id;
    ngx_uint_t             i;
    ngx_http_sp_model_t   *model;
    ngx_http_sp_target_t  *target;

    model = mmcf->embedder.model;
    target = model->targets.elts;

    for (i = 1; i < model->targets.nelts; i++) {
        if (target[i].name.len != target[0].name.len
            || ngx_memcmp(target[i].name.data, target[0].name.data,
                          target[0].name.len)
               != 0)
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"memory_embedder\" names model \"%V\", which is "
                          "\"%V\" of llm_provider \"%V\" and \"%V\" of "
                          "\"%V\": vectors of two models do not compare, "
                          "give it targets of one name in %V:%ui",
                          &model->alias,
                          &target[0].name, &target[0].provider->name,
                          &target[i].name, &target[i].provider->name,
                          &mmcf->embedder.file, mmcf->embedder.line);
            return NGX_ERROR;
        }
    }

    id = &mmcf->embed_model;

    id->data = ngx_pnalloc(cf->pool, target[0].name.len + 1 + NGX_INT_T_LEN);
    if (id->data == NULL) {
        return NGX_ERROR;
    }

    id->len = ngx_sprintf(id->data, "%V/%ui", &target[0].name,
                          mmcf->embedder.dimensions)
              - id->data;

    return NGX_OK;
}
