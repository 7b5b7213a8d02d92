
/*
 * Copyright (C) Sallyport authors
 */

#include "ngx_http_sp_data.h"


static ngx_int_t ngx_http_sp_data_preconfiguration(ngx_conf_t *cf);
static void *ngx_http_sp_data_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_sp_data_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_sp_data_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_sp_data_pg_call(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_sp_data_statement(ngx_conf_t *cf,
    ngx_http_sp_data_loc_conf_t *dlcf, const ngx_str_t *schema);


static const ngx_sp_metric_slot_t  ngx_http_sp_data_metrics[] = {

    { NGX_SP_COUNTER, "sallyport_pg_call_total",
      "Requests answered by pg_call.", "",
      offsetof(ngx_http_sp_data_main_conf_t, calls) },

    { NGX_SP_COUNTER, "sallyport_pg_call_errors_total",
      "Requests of pg_call that the database could not serve (5xx).", "",
      offsetof(ngx_http_sp_data_main_conf_t, errors) },

    { NGX_SP_HISTOGRAM, "sallyport_pg_call_seconds",
      "Time of the SQL call, waiting for a connection included.", "",
      offsetof(ngx_http_sp_data_main_conf_t, duration) },

    { NGX_SP_COUNTER, NULL, NULL, NULL, 0 }
};


static ngx_command_t  ngx_http_sp_data_commands[] = {

    { ngx_string("pg_call"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_sp_data_pg_call,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pg_call_max_result"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_data_loc_conf_t, max_result),
      NULL },

    { ngx_string("pg_call_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_data_loc_conf_t, timeout),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_sp_data_module_ctx = {
    ngx_http_sp_data_preconfiguration,     /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_sp_data_create_main_conf,     /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_sp_data_create_loc_conf,      /* create location configuration */
    ngx_http_sp_data_merge_loc_conf        /* merge location configuration */
};


ngx_module_t  ngx_http_sp_data_module = {
    NGX_MODULE_V1,
    &ngx_http_sp_data_module_ctx,          /* module context */
    ngx_http_sp_data_commands,             /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_sp_data_preconfiguration(ngx_conf_t *cf)
{
    ngx_http_sp_data_main_conf_t  *dmcf;

    dmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_data_module);

    return ngx_http_sp_add_metrics(cf, ngx_http_sp_data_metrics, dmcf, NULL,
                                   NULL);
}


static void *
ngx_http_sp_data_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_data_main_conf_t));
}


static void *
ngx_http_sp_data_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_sp_data_loc_conf_t  *dlcf;

    dlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_data_loc_conf_t));
    if (dlcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     dlcf->pg = NULL;
     *     dlcf->statement = NULL;
     */

    dlcf->max_result = NGX_CONF_UNSET_SIZE;
    dlcf->timeout = NGX_CONF_UNSET_MSEC;

    return dlcf;
}


/* pg_call is a content handler: not inherited, as proxy_pass is not */

static char *
ngx_http_sp_data_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_sp_data_loc_conf_t *prev = parent;
    ngx_http_sp_data_loc_conf_t *conf = child;

    ngx_conf_merge_size_value(conf->max_result, prev->max_result,
                              1024 * 1024);
    ngx_conf_merge_msec_value(conf->timeout, prev->timeout, 2000);

    if (conf->max_result == 0 || conf->timeout == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"pg_call_max_result\" and \"pg_call_timeout\" "
                           "must not be 0");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_data_pg_call(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_data_loc_conf_t *dlcf = conf;

    ngx_str_t  *value;

    if (dlcf->pg != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    dlcf->pg = ngx_http_sp_pg(cf, &value[1]);
    if (dlcf->pg == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_sp_data_statement(cf, dlcf, &value[2]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_sp_set_content(cf, ngx_http_sp_data_handler,
                                   NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST
                                   |NGX_HTTP_PUT|NGX_HTTP_PATCH
                                   |NGX_HTTP_DELETE);
}


/* the only place where SQL is put together: from the configuration */

static ngx_int_t
ngx_http_sp_data_statement(ngx_conf_t *cf, ngx_http_sp_data_loc_conf_t *dlcf,
    const ngx_str_t *schema)
{
    u_char                 *p;
    size_t                  i, len;
    ngx_sp_pg_statement_t  *statement;

    static ngx_str_t  head = ngx_string("select status, reply, location, "
                                        "allow from ");
    static ngx_str_t  tail = ngx_string(".call($1, $2, $3::jsonb, "
                                        "$4::jsonb)");

    for (i = 0; i < schema->len; i++) {
        p = &schema->data[i];

        if ((*p < 'a' || *p > 'z') && *p != '_'
            && (i == 0 || *p < '0' || *p > '9'))
        {
            break;
        }
    }

    if (i == 0 || i != schema->len || schema->len > 63) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid schema \"%V\" in \"pg_call\": a "
                           "lower-case SQL name of up to 63 letters, digits "
                           "and underscores is allowed", schema);
        return NGX_ERROR;
    }

    statement = ngx_pcalloc(cf->pool, sizeof(ngx_sp_pg_statement_t));
    if (statement == NULL) {
        return NGX_ERROR;
    }

    len = head.len + schema->len + tail.len;

    p = ngx_pnalloc(cf->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    statement->sql.data = p;
    statement->sql.len = len;
    statement->nparams = 4;

    p = ngx_cpymem(p, head.data, head.len);
    p = ngx_cpymem(p, schema->data, schema->len);
    p = ngx_cpymem(p, tail.data, tail.len);
    *p = '\0';

    dlcf->statement = statement;

    return NGX_OK;
}
