
/*
 * Copyright (C) Sallyport authors
 *
 * What NGINX and the core are told: directives, variables, the step and the
 * end hook.
 */

#include "ngx_http_sp_quota.h"


static ngx_int_t ngx_http_sp_quota_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_sp_quota_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_conf_enum_t  ngx_http_sp_quota_failures[] = {
    { ngx_string("local"), NGX_HTTP_SP_QUOTA_FAIL_LOCAL },
    { ngx_string("open"), NGX_HTTP_SP_QUOTA_FAIL_OPEN },
    { ngx_string("closed"), NGX_HTTP_SP_QUOTA_FAIL_CLOSED },
    { ngx_null_string, 0 }
};


static ngx_conf_post_t  ngx_http_sp_quota_zone_post = {
    ngx_http_sp_quota_check_zone
};

static ngx_conf_post_t  ngx_http_sp_quota_hold_post = {
    ngx_http_sp_quota_check_hold
};


static ngx_command_t  ngx_http_sp_quota_commands[] = {

    { ngx_string("quota_policy"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_sp_quota_policy,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("quota"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE123,
      ngx_http_sp_quota,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("quota_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_sp_quota_redis,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("quota_failure"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_quota_loc_conf_t, failure),
      &ngx_http_sp_quota_failures },

    { ngx_string("quota_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_sp_quota_main_conf_t, size),
      &ngx_http_sp_quota_zone_post },

    { ngx_string("quota_hold"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_sp_quota_main_conf_t, hold),
      &ngx_http_sp_quota_hold_post },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_sp_quota_module_ctx = {
    ngx_http_sp_quota_preconfiguration,    /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_sp_quota_create_main_conf,    /* create main configuration */
    ngx_http_sp_quota_init_main_conf,      /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_sp_quota_create_loc_conf,     /* create location configuration */
    ngx_http_sp_quota_merge_loc_conf       /* merge location configuration */
};


ngx_module_t  ngx_http_sp_quota_module = {
    NGX_MODULE_V1,
    &ngx_http_sp_quota_module_ctx,         /* module context */
    ngx_http_sp_quota_commands,            /* module directives */
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


static const ngx_http_sp_step_t  ngx_http_sp_quota_step = {
    NGX_HTTP_SP_ABI,
    ngx_string("quota"),
    NGX_HTTP_SP_ADMIT,
    100,
    ngx_http_sp_quota_run
};


static const ngx_http_sp_end_t  ngx_http_sp_quota_end_hook = {
    NGX_HTTP_SP_ABI,
    ngx_string("quota"),
    100,
    ngx_http_sp_quota_end
};


static ngx_http_variable_t  ngx_http_sp_quota_variables[] = {

    { ngx_string("quota_policy"), NULL, ngx_http_sp_quota_variable,
      NGX_HTTP_SP_QUOTA_VAR_POLICY, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("quota_result"), NULL, ngx_http_sp_quota_variable,
      NGX_HTTP_SP_QUOTA_VAR_RESULT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("quota_remaining"), NULL, ngx_http_sp_quota_variable,
      NGX_HTTP_SP_QUOTA_VAR_REMAINING, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


static ngx_int_t
ngx_http_sp_quota_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_sp_add_variables(cf, ngx_http_sp_quota_variables) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_sp_quota_script_init();

    if (ngx_http_sp_add_end(cf, &ngx_http_sp_quota_end_hook) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_add_step(cf, &ngx_http_sp_quota_step);
}


static ngx_int_t
ngx_http_sp_quota_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                 value;
    ngx_http_sp_quota_ctx_t  *ctx;

    ctx = ngx_http_sp_find_ctx(r, &ngx_http_sp_quota_module);

    if (ctx == NULL || ctx->state != NGX_HTTP_SP_QUOTA_DECIDED
        || ngx_http_sp_quota_value(r, ctx, data, &value) != NGX_OK)
    {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = value.data;
    v->len = value.len;
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;

    return NGX_OK;
}
