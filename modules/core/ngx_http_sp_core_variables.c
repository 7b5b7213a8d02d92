
/*
 * Copyright (C) Sallyport authors
 */


#include "ngx_http_sp_core_int.h"


static ngx_int_t ngx_http_sp_variable_identity(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_sp_variable_error_source(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_sp_variable_error_code(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


/* they change between the phases of a request: never cached */

static ngx_http_variable_t  ngx_http_sp_variables[] = {

    { ngx_string("identity_sub"), NULL, ngx_http_sp_variable_identity,
      offsetof(ngx_http_sp_identity_t, sub), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("identity_tier"), NULL, ngx_http_sp_variable_identity,
      offsetof(ngx_http_sp_identity_t, tier), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("identity_role"), NULL, ngx_http_sp_variable_identity,
      offsetof(ngx_http_sp_identity_t, role), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("identity_scope"), NULL, ngx_http_sp_variable_identity,
      offsetof(ngx_http_sp_identity_t, scope), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("identity_wallet"), NULL, ngx_http_sp_variable_identity,
      offsetof(ngx_http_sp_identity_t, wallet), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("error_code"), NULL, ngx_http_sp_variable_error_code,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("error_source"), NULL, ngx_http_sp_variable_error_source,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_sp_variables_add(ngx_conf_t *cf)
{
    return (ngx_http_sp_add_variables(cf, ngx_http_sp_variables) == NGX_OK)
           ? ngx_http_sp_trace_variables_add(cf) : NGX_ERROR;
}


static ngx_int_t
ngx_http_sp_variable_identity(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    const ngx_str_t               *value;
    const ngx_http_sp_identity_t  *identity;

    identity = ngx_http_sp_identity(r);

    if (identity == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    value = (const ngx_str_t *) ((const char *) identity + data);

    if (value->len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;
    v->len = value->len;
    v->data = value->data;

    return NGX_OK;
}


/* the code of the error that this request was answered with */

static ngx_int_t
ngx_http_sp_variable_error_code(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r);

    if (ctx == NULL
        || ctx->error.code == NULL
        || ctx->error.status != r->headers_out.status)
    {
        v->not_found = 1;
        return NGX_OK;
    }

    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;
    v->len = ngx_strlen(ctx->error.code);
    v->data = (u_char *) ctx->error.code;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_variable_error_source(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    static ngx_str_t  sources[] = {
        ngx_null_string,
        ngx_string("gateway"),
        ngx_string("upstream")
    };

    ngx_str_t  *source;

    source = &sources[ngx_http_sp_error_source(r)];

    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = (source->len == 0);
    v->len = source->len;
    v->data = source->data;

    return NGX_OK;
}
