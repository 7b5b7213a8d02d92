
/*
 * Copyright (C) Sallyport authors
 *
 * The configuration of modules/work: "turn_store", "turn_spool", and what
 * plugins add to it.
 */


#include "ngx_http_sp_core_int.h"


static const ngx_sp_pg_statement_t  ngx_http_sp_work_turns = {
    ngx_string("select gateway.store_turns($1::jsonb)"),
    1
};


/* turn_store server [batch=number] [flush=time] */

char *
ngx_http_sp_work_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_core_main_conf_t *mcf = conf;

    ngx_str_t           *value, arg;
    ngx_uint_t           i;
    ngx_sp_sink_conf_t  *sink;

    if (mcf->turns != NULL) {
        return "is duplicate";
    }

    sink = ngx_pcalloc(cf->pool, sizeof(ngx_sp_sink_conf_t));
    if (sink == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_str_set(&sink->name, "turns");
    sink->statement = &ngx_http_sp_work_turns;
    sink->batch_max = 200;
    sink->flush_time = 50;

    value = cf->args->elts;

    sink->pg = ngx_http_sp_pg(cf, &value[1]);
    if (sink->pg == NULL
        || ngx_sp_work_housekeeping(cf, &mcf->work, sink->pg) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_sp_conf_arg(&value[i], "batch=", &arg)) {

            if (ngx_sp_conf_number(cf, "turn_store", "batch=", &arg, 1, 1000,
                                   &sink->batch_max)
                != NGX_OK)
            {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_sp_conf_arg(&value[i], "flush=", &arg)) {

            if (ngx_sp_conf_msec(cf, "turn_store", "flush=", &arg,
                                 &sink->flush_time)
                != NGX_OK)
            {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"turn_store\", "
                           "\"batch=\" and \"flush=\" are allowed",
                           &value[i]);
        return NGX_CONF_ERROR;
    }

    mcf->turns = ngx_sp_spool_add_sink(cf, mcf->work.spool, mcf->work.metrics,
                                       sink);

    return (mcf->turns != NULL) ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* turn_spool path [max_size=size] */

char *
ngx_http_sp_work_spool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_core_main_conf_t *mcf = conf;

    off_t            size;
    ngx_str_t       *value, arg;
    ngx_sp_spool_t  *spool;

    spool = mcf->work.spool;

    if (spool->path->conf_file != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    spool->path->name = value[1];
    spool->path->conf_file = cf->conf_file->file.name.data;
    spool->path->line = cf->conf_file->line;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    size = NGX_ERROR;

    if (ngx_sp_conf_arg(&value[2], "max_size=", &arg)) {
        size = ngx_parse_offset(&arg);
    }

    if (size < 64 * 1024) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"turn_spool\", "
                           "\"max_size=\" of at least 64k is allowed",
                           &value[2]);
        return NGX_CONF_ERROR;
    }

    spool->max_size = size;

    return NGX_CONF_OK;
}


ngx_sp_metric_t *
ngx_http_sp_add_metric(ngx_conf_t *cf, ngx_sp_metric_type_e type,
    const char *name, const char *help, const ngx_str_t *labels)
{
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    return ngx_sp_metrics_add(cf, mcf->work.metrics, type, name, help,
                              labels);
}


ngx_int_t
ngx_http_sp_add_metrics(ngx_conf_t *cf, const ngx_sp_metric_slot_t *table,
    void *conf, const char *label, const ngx_str_t *value)
{
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    return ngx_sp_metrics_add_table(cf, mcf->work.metrics, table, conf,
                                    label, value);
}


ngx_int_t
ngx_http_sp_add_job_kind(ngx_conf_t *cf, ngx_sp_pg_t *pg,
    const ngx_sp_job_kind_t *kind)
{
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    if (ngx_http_sp_check_abi(cf, "job kind", &kind->name, kind->abi)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_sp_work_add_job_kind(cf, &mcf->work, pg, kind);
}


ngx_int_t
ngx_http_sp_housekeeping(ngx_conf_t *cf, ngx_sp_pg_t *pg)
{
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    return ngx_sp_work_housekeeping(cf, &mcf->work, pg);
}


ngx_sp_sink_t *
ngx_http_sp_add_sink(ngx_conf_t *cf, const ngx_sp_sink_conf_t *conf)
{
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    return ngx_sp_spool_add_sink(cf, mcf->work.spool, mcf->work.metrics,
                                 conf);
}
