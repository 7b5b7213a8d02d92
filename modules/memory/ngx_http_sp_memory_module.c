
/*
 * Copyright (C) Sallyport authors
 */

#include "ngx_http_sp_memory.h"


static ngx_int_t ngx_http_sp_memory_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_sp_memory_postconfiguration(ngx_conf_t *cf);
static void *ngx_http_sp_memory_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_sp_memory_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_sp_memory_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_sp_memory_enable(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_memory_server(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_memory_weights(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_uint_t ngx_http_sp_memory_is_weight(const ngx_str_t *value);
static ngx_int_t ngx_http_sp_memory_init_process(ngx_cycle_t *cycle);
static void ngx_http_sp_memory_exit_process(ngx_cycle_t *cycle);


static const ngx_sp_metric_slot_t  ngx_http_sp_memory_metrics[] = {

    { NGX_SP_COUNTER, "sallyport_memory_recall_total",
      "Recalls by outcome.", "result=\"used\"",
      offsetof(ngx_http_sp_memory_main_conf_t, used) },

    { NGX_SP_COUNTER, "sallyport_memory_recall_total",
      "Recalls by outcome.", "result=\"none\"",
      offsetof(ngx_http_sp_memory_main_conf_t, none) },

    { NGX_SP_COUNTER, "sallyport_memory_recall_total",
      "Recalls by outcome.", "result=\"late\"",
      offsetof(ngx_http_sp_memory_main_conf_t, late) },

    { NGX_SP_COUNTER, "sallyport_memory_recall_total",
      "Recalls by outcome.", "result=\"off\"",
      offsetof(ngx_http_sp_memory_main_conf_t, off) },

    { NGX_SP_COUNTER, "sallyport_memory_lexical_total",
      "Recalls that had no vector in time.", "",
      offsetof(ngx_http_sp_memory_main_conf_t, lexical) },

    { NGX_SP_COUNTER, "sallyport_memory_embedding_cached_total",
      "Embeddings that came from the cache.", "",
      offsetof(ngx_http_sp_memory_main_conf_t, cached) },

    { NGX_SP_HISTOGRAM, "sallyport_memory_recall_seconds",
      "Time that recall added to a request.", "",
      offsetof(ngx_http_sp_memory_main_conf_t, duration) },

    { NGX_SP_COUNTER, "sallyport_memory_extractions_total",
      "Extraction jobs that have written.", "",
      offsetof(ngx_http_sp_memory_main_conf_t, extracted) },

    { NGX_SP_COUNTER, NULL, NULL, NULL, 0 }
};


static ngx_command_t  ngx_http_sp_memory_commands[] = {

    { ngx_string("memory"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_http_sp_memory_enable,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_memory_loc_conf_t, enable),
      NULL },

    { ngx_string("memory_block"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_memory_loc_conf_t, block),
      NULL },

    { ngx_string("memory_embedder"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1234,
      ngx_http_sp_memory_embedder,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("memory_extractor"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE123,
      ngx_http_sp_memory_extractor,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("memory_server"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_sp_memory_server,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("memory_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_memory_loc_conf_t, timeout),
      NULL },

    { ngx_string("memory_weights"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE123,
      ngx_http_sp_memory_weights,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_sp_memory_module_ctx = {
    ngx_http_sp_memory_preconfiguration,   /* preconfiguration */
    ngx_http_sp_memory_postconfiguration,  /* postconfiguration */

    ngx_http_sp_memory_create_main_conf,   /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_sp_memory_create_loc_conf,    /* create location configuration */
    ngx_http_sp_memory_merge_loc_conf      /* merge location configuration */
};


ngx_module_t  ngx_http_sp_memory_module = {
    NGX_MODULE_V1,
    &ngx_http_sp_memory_module_ctx,        /* module context */
    ngx_http_sp_memory_commands,           /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_sp_memory_init_process,       /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_sp_memory_exit_process,       /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static const ngx_http_sp_step_t  ngx_http_sp_memory_recall_step = {
    NGX_HTTP_SP_ABI,
    ngx_string("memory"),
    NGX_HTTP_SP_ENRICH,
    200,
    ngx_http_sp_memory_step
};


static ngx_int_t
ngx_http_sp_memory_preconfiguration(ngx_conf_t *cf)
{
    ngx_http_sp_memory_main_conf_t  *mmcf;

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_memory_module);

    if (ngx_http_sp_add_metrics(cf, ngx_http_sp_memory_metrics, mmcf, NULL,
                                NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sp_add_step(cf, &ngx_http_sp_memory_recall_step);
}


static ngx_int_t
ngx_http_sp_memory_postconfiguration(ngx_conf_t *cf)
{
    ngx_sp_job_kind_t               *job;
    ngx_http_sp_memory_main_conf_t  *mmcf;

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_memory_module);

    if (mmcf->embedder.model != NULL
        && ngx_http_sp_memory_models(cf, mmcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (mmcf->embedder.model != NULL && mmcf->pg != NULL
        && ngx_http_sp_memory_backfill_init(cf, mmcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (mmcf->extractor.model == NULL) {
        return NGX_OK;
    }

    if (mmcf->pg == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"memory_extractor\" needs \"memory_server\"");
        return NGX_ERROR;
    }

    job = &mmcf->job;

    job->abi = NGX_HTTP_SP_ABI;
    ngx_str_set(&job->name, "memory_extract");
    job->max_running = 2;
    job->max_attempts = 5;
    job->run = ngx_http_sp_memory_extract;
    job->data = mmcf;

    return ngx_http_sp_add_job_kind(cf, mmcf->pg, job);
}


static void *
ngx_http_sp_memory_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_memory_main_conf_t));
}


static void *
ngx_http_sp_memory_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_sp_memory_loc_conf_t  *mlcf;

    mlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_memory_loc_conf_t));
    if (mlcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     mlcf->weight_vector = { 0, NULL };
     *     mlcf->weight_lexical = { 0, NULL };
     *     mlcf->floor = { 0, NULL };
     */

    mlcf->enable = NGX_CONF_UNSET;
    mlcf->timeout = NGX_CONF_UNSET_MSEC;
    mlcf->block = NGX_CONF_UNSET_UINT;

    return mlcf;
}


static char *
ngx_http_sp_memory_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_sp_memory_loc_conf_t *prev = parent;
    ngx_http_sp_memory_loc_conf_t *conf = child;

    ngx_uint_t                       own;
    ngx_http_core_loc_conf_t        *clcf;
    ngx_http_sp_memory_main_conf_t  *mmcf;

    own = (conf->enable == 1);

    ngx_conf_merge_value(conf->enable, prev->enable, 0);
    ngx_conf_merge_msec_value(conf->timeout, prev->timeout, 150);
    ngx_conf_merge_uint_value(conf->block, prev->block, 800);
    ngx_conf_merge_str_value(conf->weight_vector, prev->weight_vector, "1.0");
    ngx_conf_merge_str_value(conf->weight_lexical, prev->weight_lexical,
                             "0.7");
    ngx_conf_merge_str_value(conf->floor, prev->floor, "0.25");

    if (conf->timeout == 0 || conf->block < 100 || conf->block > 100000) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"memory_timeout\" must not be 0, and "
                           "\"memory_block\" must be 100 to 100000 tokens");
        return NGX_CONF_ERROR;
    }

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_memory_module);

    if (conf->enable && mmcf->pg == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"memory on\" needs \"memory_server\" in the "
                           "\"http\" block");
        return NGX_CONF_ERROR;
    }

    /*
     * A server hands it down to locations that have no chats; the one that
     * asks for it itself has.
     */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (own && clcf->name.len > 0 && !ngx_http_sp_has_identity(cf)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"memory on\" in %V:%ui has nobody to remember: "
                      "nothing gives the requests of location \"%V\" an "
                      "identity, add \"auth_jwt\" or \"memory off\"",
                      &conf->file, conf->line, &clcf->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_memory_enable(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_memory_loc_conf_t *mlcf = conf;

    mlcf->file = cf->conf_file->file.name;
    mlcf->line = cf->conf_file->line;

    return ngx_conf_set_flag_slot(cf, cmd, conf);
}


static char *
ngx_http_sp_memory_server(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_memory_main_conf_t *mmcf = conf;

    ngx_str_t  *value;

    if (mmcf->pg != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    mmcf->pg = ngx_http_sp_pg(cf, &value[1]);

    return (mmcf->pg == NULL) ? NGX_CONF_ERROR : NGX_CONF_OK;
}


/* memory_weights [vector=1.0] [lexical=0.7] [floor=0.25] */

static char *
ngx_http_sp_memory_weights(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_memory_loc_conf_t *mlcf = conf;

    ngx_str_t   *slot, text, *value;
    ngx_uint_t   i;

    if (mlcf->weight_vector.data != NULL || mlcf->weight_lexical.data != NULL
        || mlcf->floor.data != NULL)
    {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_sp_conf_arg(&value[i], "vector=", &text)) {
            slot = &mlcf->weight_vector;

        } else if (ngx_sp_conf_arg(&value[i], "lexical=", &text)) {
            slot = &mlcf->weight_lexical;

        } else if (ngx_sp_conf_arg(&value[i], "floor=", &text)) {
            slot = &mlcf->floor;

        } else {
            goto invalid;
        }

        if (!ngx_http_sp_memory_is_weight(&text)) {
            goto invalid;
        }

        *slot = text;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" in \"memory_weights\"; "
                       "\"vector=\", \"lexical=\" and \"floor=\" with a "
                       "number from 0 to 10 are allowed", &value[i]);

    return NGX_CONF_ERROR;
}


/* "0.25" */

static ngx_uint_t
ngx_http_sp_memory_is_weight(const ngx_str_t *value)
{
    ngx_int_t  n;

    n = ngx_atofp(value->data, value->len, 3);

    return n != NGX_ERROR && n <= 10000;
}


static ngx_int_t
ngx_http_sp_memory_init_process(ngx_cycle_t *cycle)
{
    ngx_http_sp_memory_main_conf_t  *mmcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    mmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_sp_memory_module);

    if (mmcf == NULL || mmcf->embedder.model == NULL) {
        return NGX_OK;
    }

    return ngx_http_sp_memory_cache_init(mmcf->cache);
}


static void
ngx_http_sp_memory_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_sp_memory_cache_exit();
}
