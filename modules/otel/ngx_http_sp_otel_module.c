
/*
 * Copyright (C) Sallyport authors
 *
 * What NGINX is told.  The end hook is registered by otel_exporter: without
 * it nothing is.
 */


#include "ngx_http_sp_otel.h"


static void ngx_http_sp_otel_exit_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_sp_otel_commands[] = {

    { ngx_string("otel_exporter"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_NOARGS,
      ngx_http_sp_otel_exporter,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otel_service_name"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_sp_otel_conf_t, service),
      NULL },

    { ngx_string("otel_resource_attr"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_sp_otel_resource_attr,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_sp_otel_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_sp_otel_create_conf,          /* create main configuration */
    ngx_http_sp_otel_init_conf,            /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_sp_otel_module = {
    NGX_MODULE_V1,
    &ngx_http_sp_otel_module_ctx,          /* module context */
    ngx_http_sp_otel_commands,             /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_sp_otel_exit_process,         /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void
ngx_http_sp_otel_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_sp_otel_exit();
}
