
/*
 * Copyright (C) Sallyport authors
 */


#include "ngx_http_sp_demo.h"


static char *ngx_http_sp_demo_model(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void *ngx_http_sp_demo_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_sp_demo_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);


static ngx_command_t  ngx_http_sp_demo_commands[] = {

    { ngx_string("demo_model"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_sp_demo_model,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_sp_demo_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_sp_demo_create_loc_conf,      /* create location configuration */
    ngx_http_sp_demo_merge_loc_conf        /* merge location configuration */
};


ngx_module_t  ngx_http_sp_demo_module = {
    NGX_MODULE_V1,
    &ngx_http_sp_demo_module_ctx,          /* module context */
    ngx_http_sp_demo_commands,             /* module directives */
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


/* demo_model [delay=TIME] */

static char *
ngx_http_sp_demo_model(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_demo_loc_conf_t *dlcf = conf;

    ngx_int_t   delay;
    ngx_str_t  *value, text;

    if (dlcf->enable != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    dlcf->enable = 1;

    value = cf->args->elts;

    if (cf->args->nelts == 2) {

        delay = NGX_ERROR;

        if (ngx_sp_conf_arg(&value[1], "delay=", &text)) {
            delay = ngx_parse_time(&text, 0);
        }

        if (delay == NGX_ERROR || delay > 60000) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", expected "
                               "delay=TIME of 0 to 60s", &value[1]);
            return NGX_CONF_ERROR;
        }

        dlcf->delay = delay;
    }

    return ngx_http_sp_set_content(cf, ngx_http_sp_demo_handler,
                                   NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST);
}


static void *
ngx_http_sp_demo_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_sp_demo_loc_conf_t  *dlcf;

    dlcf = ngx_palloc(cf->pool, sizeof(ngx_http_sp_demo_loc_conf_t));
    if (dlcf == NULL) {
        return NULL;
    }

    dlcf->enable = NGX_CONF_UNSET;
    dlcf->delay = NGX_CONF_UNSET_MSEC;

    return dlcf;
}


static char *
ngx_http_sp_demo_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_sp_demo_loc_conf_t *conf = child;

    /* a content handler is not inherited, and neither is its pace */

    ngx_conf_init_value(conf->enable, 0);
    ngx_conf_init_msec_value(conf->delay, 15);

    return NGX_CONF_OK;
}
