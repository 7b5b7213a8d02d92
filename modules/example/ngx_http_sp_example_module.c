
/*
 * Copyright (C) Sallyport authors
 */


#include "ngx_http_sp_example.h"


static ngx_int_t ngx_http_sp_example_preconfiguration(ngx_conf_t *cf);
static void *ngx_http_sp_example_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_sp_example_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_sp_example_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);


static ngx_conf_num_bounds_t  ngx_http_sp_example_bounds = {
    ngx_conf_check_num_bounds, 0, 1000000
};


static ngx_command_t  ngx_http_sp_example_commands[] = {

    { ngx_string("client_version_minimum"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_example_loc_conf_t, minimum),
      &ngx_http_sp_example_bounds },

      ngx_null_command
};


/* begun before that of "quota", so what is refused here is not charged */

static const ngx_http_sp_step_t  ngx_http_sp_example_admit = {
    NGX_HTTP_SP_ABI,
    ngx_string("client_version"),
    NGX_HTTP_SP_ADMIT,
    50,
    ngx_http_sp_example_step
};


static ngx_http_module_t  ngx_http_sp_example_module_ctx = {
    ngx_http_sp_example_preconfiguration,  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_sp_example_create_main_conf,  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_sp_example_create_loc_conf,   /* create location configuration */
    ngx_http_sp_example_merge_loc_conf     /* merge location configuration */
};


ngx_module_t  ngx_http_sp_example_module = {
    NGX_MODULE_V1,
    &ngx_http_sp_example_module_ctx,       /* module context */
    ngx_http_sp_example_commands,          /* module directives */
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
ngx_http_sp_example_preconfiguration(ngx_conf_t *cf)
{
    ngx_str_t                         name, none;
    ngx_http_sp_example_main_conf_t  *emcf;

    emcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_example_module);

    ngx_str_set(&name, "http_x_client_version");

    emcf->version = ngx_http_get_variable_index(cf, &name);
    if (emcf->version == NGX_ERROR) {
        return NGX_ERROR;
    }

    ngx_str_set(&none, "");

    emcf->refused = ngx_http_sp_add_metric(cf, NGX_SP_COUNTER,
        "sallyport_client_version_refused_total",
        "Requests of clients that are too old.", &none);

    if (emcf->refused == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_sp_add_step(cf, &ngx_http_sp_example_admit);
}


static void *
ngx_http_sp_example_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_example_main_conf_t));
}


static void *
ngx_http_sp_example_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_sp_example_loc_conf_t  *elcf;

    elcf = ngx_palloc(cf->pool, sizeof(ngx_http_sp_example_loc_conf_t));
    if (elcf == NULL) {
        return NULL;
    }

    elcf->minimum = NGX_CONF_UNSET_UINT;

    return elcf;
}


static char *
ngx_http_sp_example_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_sp_example_loc_conf_t *prev = parent;
    ngx_http_sp_example_loc_conf_t *conf = child;

    ngx_conf_merge_uint_value(conf->minimum, prev->minimum, 0);

    return NGX_CONF_OK;
}
