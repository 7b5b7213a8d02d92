
/*
 * Copyright (C) Sallyport authors
 */


#include "ngx_http_sp_core_int.h"


static ngx_int_t ngx_http_sp_core_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_sp_core_postconfiguration(ngx_conf_t *cf);
static void *ngx_http_sp_core_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_sp_core_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_sp_core_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_sp_core_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_sp_core_metrics(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_sp_core_counters(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf);
static ngx_int_t ngx_http_sp_core_init_process(ngx_cycle_t *cycle);
static void ngx_http_sp_core_exit_process(ngx_cycle_t *cycle);


/*
 * Referred to by every plugin, so that dlopen() of one that is loaded before
 * the core ends with a sentence.
 */

const char  load_ngx_http_sp_core_module_before_its_plugins = 1;


static ngx_command_t  ngx_http_sp_core_commands[] = {

    { ngx_string("redis_server"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_sp_servers_redis,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pg_server"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_sp_servers_pg,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("chain"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_sp_servers_chain,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("fetch_trusted_certificate"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_sp_core_main_conf_t, fetch.trusted_certificate),
      NULL },

    { ngx_string("fetch_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_sp_core_main_conf_t, fetch.timeout),
      NULL },

    { ngx_string("fetch_connect_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_sp_core_main_conf_t, fetch.connect_timeout),
      NULL },

    { ngx_string("fetch_max_active"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_sp_core_main_conf_t, fetch.max_active),
      NULL },

    { ngx_string("llm_provider"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_sp_provider_conf,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("llm_tokenizer"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE23,
      ngx_http_sp_tokenizer_conf,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("llm_currency"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_sp_currency_conf,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("turn_store"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE123,
      ngx_http_sp_work_store,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("turn_spool"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_sp_work_spool,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("metrics_zone_size"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_sp_core_main_conf_t, metrics_size),
      NULL },

    { ngx_string("pg_role"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_sp_pg_role_conf,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("require_scope"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF
                        |NGX_HTTP_LMT_CONF|NGX_CONF_1MORE,
      ngx_http_sp_require_scope_conf,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("trace_context"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_sp_trace_conf,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("error_format"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_sp_dialect_error_format,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("body_max_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_core_loc_conf_t, body_max_size),
      NULL },

    { ngx_string("not_found"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_sp_not_found_conf,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("health"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_sp_health_conf,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_sp_core_metrics,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_sp_core_module_ctx = {
    ngx_http_sp_core_preconfiguration,     /* preconfiguration */
    ngx_http_sp_core_postconfiguration,    /* postconfiguration */

    ngx_http_sp_core_create_main_conf,     /* create main configuration */
    ngx_http_sp_core_init_main_conf,       /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_sp_core_create_loc_conf,      /* create location configuration */
    ngx_http_sp_core_merge_loc_conf        /* merge location configuration */
};


ngx_module_t  ngx_http_sp_core_module = {
    NGX_MODULE_V1,
    &ngx_http_sp_core_module_ctx,          /* module context */
    ngx_http_sp_core_commands,             /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_sp_core_init_process,         /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_sp_core_exit_process,         /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_sp_core_preconfiguration(ngx_conf_t *cf)
{
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    if (ngx_http_sp_core_counters(cf, mcf) != NGX_OK
        || ngx_http_sp_blame_init(cf, mcf) != NGX_OK
        || ngx_http_sp_content_init(cf) != NGX_OK
        || ngx_http_sp_scope_init(cf) != NGX_OK
        || ngx_http_sp_inspect_init(cf) != NGX_OK
        || ngx_http_sp_servers_create(cf, mcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sp_variables_add(cf);
}


static ngx_int_t
ngx_http_sp_core_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_core_loc_conf_t      *clcf;
    ngx_http_sp_core_main_conf_t  *mcf;

    if (ngx_http_sp_pipeline_init(cf) != NGX_OK
        || ngx_http_sp_body_init(cf) != NGX_OK
        || ngx_http_sp_error_init(cf) != NGX_OK
        || ngx_http_sp_end_init(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    ngx_http_sp_providers_watch(mcf);

    if (ngx_sp_name_configure(cf, &mcf->names, clcf->resolver) != NGX_OK
        || ngx_http_sp_breakers_init(cf, mcf) != NGX_OK
        || ngx_http_sp_up_init(cf, mcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_sp_metrics_zone(cf, mcf->work.metrics, mcf->metrics_size,
                               &ngx_http_sp_core_module);
}


static void *
ngx_http_sp_core_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_core_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    if (ngx_http_sp_dialects_create(cf, mcf) != NGX_OK
        || ngx_http_sp_models_create(cf, mcf) != NGX_OK
        || ngx_array_init(&mcf->steps, cf->pool, 8, sizeof(void *)) != NGX_OK
        || ngx_array_init(&mcf->filters, cf->pool, 4, sizeof(void *))
           != NGX_OK
        || ngx_array_init(&mcf->ends, cf->pool, 4, sizeof(void *))
           != NGX_OK
        || ngx_array_init(&mcf->redis, cf->pool, 2, sizeof(void *)) != NGX_OK
        || ngx_array_init(&mcf->pg, cf->pool, 2, sizeof(void *)) != NGX_OK
        || ngx_array_init(&mcf->chains, cf->pool, 2, sizeof(void *)) != NGX_OK
        || ngx_array_init(&mcf->ops, cf->pool, 4, sizeof(ngx_http_sp_ops_t))
           != NGX_OK
        || ngx_array_init(&mcf->pg_roles, cf->pool, 2,
                          sizeof(ngx_http_sp_pg_role_t))
           != NGX_OK
        || ngx_array_init(&mcf->probes, cf->pool, 4,
                          sizeof(ngx_http_sp_probe_t))
           != NGX_OK)
    {
        return NULL;
    }

    if (ngx_sp_work_create(cf, &mcf->work) != NGX_OK) {
        return NULL;
    }

    mcf->fetch.timeout = NGX_CONF_UNSET_MSEC;
    mcf->fetch.connect_timeout = NGX_CONF_UNSET_MSEC;
    mcf->fetch.max_active = NGX_CONF_UNSET_UINT;
    mcf->metrics_size = NGX_CONF_UNSET_SIZE;

    return mcf;
}


static char *
ngx_http_sp_core_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_sp_core_main_conf_t *mcf = conf;

    ngx_conf_init_msec_value(mcf->fetch.timeout, 10000);
    ngx_conf_init_msec_value(mcf->fetch.connect_timeout, 2000);
    ngx_conf_init_uint_value(mcf->fetch.max_active, 256);

    if (mcf->fetch.timeout == 0
        || mcf->fetch.connect_timeout == 0
        || mcf->fetch.max_active == 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fetch_timeout\", \"fetch_connect_timeout\" and "
                           "\"fetch_max_active\" must not be 0");
        return NGX_CONF_ERROR;
    }

    if (mcf->fetch.trusted_certificate.len != 0
        && ngx_conf_full_name(cf->cycle, &mcf->fetch.trusted_certificate, 1)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_conf_init_size_value(mcf->metrics_size, 1024 * 1024);

    if (mcf->currency.len == 0) {
        ngx_str_set(&mcf->currency, "USD");
    }

    if (ngx_http_sp_models_init(cf, mcf) != NGX_OK
        || ngx_http_sp_trust_init(cf, mcf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return (ngx_sp_spool_init(cf, mcf->work.spool) == NGX_OK)
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static void *
ngx_http_sp_core_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_sp_core_loc_conf_t  *lcf;

    lcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_core_loc_conf_t));
    if (lcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     lcf->content = NULL;
     *     lcf->methods = 0;
     *     lcf->content_name = { 0, NULL };
     *     lcf->content_file = { 0, NULL };
     *     lcf->content_line = 0;
     *     lcf->health_ready = 0;
     *     lcf->health_ignore = NULL;
     */

    lcf->error_format = NGX_CONF_UNSET_UINT;
    lcf->body_max_size = NGX_CONF_UNSET_SIZE;
    lcf->trace = NGX_CONF_UNSET;
    lcf->trace_sample = NGX_CONF_UNSET_UINT;
    lcf->identity = NGX_CONF_UNSET;
    lcf->scopes = NGX_CONF_UNSET_PTR;

    return lcf;
}


static char *
ngx_http_sp_core_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_sp_core_loc_conf_t *prev = parent;
    ngx_http_sp_core_loc_conf_t *conf = child;

    if (conf->error_format == NGX_CONF_UNSET_UINT) {
        conf->error_dialect = prev->error_dialect;
    }

    ngx_conf_merge_uint_value(conf->error_format, prev->error_format,
                              NGX_HTTP_SP_ERROR_JSON);

    /* unset: what sort of bodies come here decides */

    ngx_conf_merge_size_value(conf->body_max_size, prev->body_max_size,
                              NGX_CONF_UNSET_SIZE);

    ngx_http_sp_body_merge(cf, conf);

    ngx_conf_merge_value(conf->trace, prev->trace, 0);
    ngx_conf_merge_uint_value(conf->trace_sample, prev->trace_sample, 0);
    ngx_conf_merge_value(conf->identity, prev->identity, 0);
    ngx_conf_merge_ptr_value(conf->scopes, prev->scopes, NULL);

    return ngx_http_sp_content_merge(cf, prev, conf);
}


static char *
ngx_http_sp_core_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_sp_set_content(cf, ngx_http_sp_metrics_handler,
                                   NGX_HTTP_GET|NGX_HTTP_HEAD);
}


static ngx_int_t
ngx_http_sp_core_counters(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf)
{
    ngx_str_t   none;
    ngx_uint_t  i;

    static ngx_str_t  classes[] = {
        ngx_string("class=\"other\""),
        ngx_string("class=\"1xx\""),
        ngx_string("class=\"2xx\""),
        ngx_string("class=\"3xx\""),
        ngx_string("class=\"4xx\""),
        ngx_string("class=\"5xx\"")
    };

    for (i = 0; i < 6; i++) {

        mcf->counters.requests[i] = ngx_http_sp_add_metric(cf,
            NGX_SP_COUNTER, "sallyport_requests_total",
            "Requests that a module took part in, by class of status.",
            &classes[i]);

        if (mcf->counters.requests[i] == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_str_set(&none, "");

    mcf->counters.duration = ngx_http_sp_add_metric(cf,
        NGX_SP_HISTOGRAM, "sallyport_request_seconds",
        "Time from the first byte of these requests to their end.", &none);

    return (mcf->counters.duration != NULL) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_sp_core_init_process(ngx_cycle_t *cycle)
{
    ngx_http_sp_core_main_conf_t  *mcf;

    /* the cache manager and the cache loader come here as well */

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_sp_core_module);

    if (mcf == NULL) {
        return NGX_OK;
    }

    ngx_sp_metrics_init_process(mcf->work.metrics);
    ngx_http_sp_tokenizers_notice(mcf, cycle);

    if (ngx_http_sp_servers_init_process(mcf, cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_sp_work_init_process(&mcf->work, cycle);
}


static void
ngx_http_sp_core_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_sp_core_main_conf_t  *mcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_sp_core_module);

    if (mcf == NULL) {
        return;
    }

    ngx_sp_work_exit_process(&mcf->work);
    ngx_http_sp_providers_exit_process(mcf);
    ngx_http_sp_servers_exit_process(mcf);
    ngx_sp_metrics_exit_process(mcf->work.metrics);
}
