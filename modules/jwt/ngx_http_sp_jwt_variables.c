
/*
 * Copyright (C) Sallyport authors
 *
 * $jwt_claim_<name>, $jwt_header_<name>, $jwt_payload, $jwt_error.  They are
 * empty until the token has been verified: a claim that anybody may write is
 * never read from here.
 */

#include "ngx_http_sp_jwt.h"


static ngx_int_t ngx_http_sp_jwt_claim_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_sp_jwt_header_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_sp_jwt_payload_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_sp_jwt_error_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void ngx_http_sp_jwt_set_text(ngx_http_variable_value_t *v,
    const ngx_str_t *text);
static ngx_int_t ngx_http_sp_jwt_json(ngx_http_request_t *r, json_t **value,
    const ngx_str_t *text);
static ngx_int_t ngx_http_sp_jwt_member(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, const json_t *object,
    const ngx_str_t *name);
static ngx_int_t ngx_http_sp_jwt_list(ngx_http_request_t *r,
    ngx_str_t *text, const json_t *list);
static ngx_int_t ngx_http_sp_jwt_text(ngx_http_request_t *r, ngx_str_t *text,
    const json_t *value);
static void ngx_http_sp_jwt_json_cleanup(void *data);


static ngx_http_variable_t  ngx_http_sp_jwt_variables[] = {

    { ngx_string("jwt_claim_"), NULL, ngx_http_sp_jwt_claim_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX, 0 },

    { ngx_string("jwt_header_"), NULL, ngx_http_sp_jwt_header_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX, 0 },

    { ngx_string("jwt_payload"), NULL, ngx_http_sp_jwt_payload_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("jwt_error"), NULL, ngx_http_sp_jwt_error_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


/* claims that an entry holds decoded */

static const struct {
    ngx_str_t               name;
    ngx_http_sp_jwt_part_e  part;
} ngx_http_sp_jwt_decoded[] = {
    { ngx_string("sub"), NGX_HTTP_SP_JWT_SUB },
    { ngx_string("tier"), NGX_HTTP_SP_JWT_TIER },
    { ngx_string("role"), NGX_HTTP_SP_JWT_ROLE },
    { ngx_string("wallet"), NGX_HTTP_SP_JWT_WALLET },
    { ngx_string("sid"), NGX_HTTP_SP_JWT_SID },
    { ngx_string("jti"), NGX_HTTP_SP_JWT_JTI }
};


ngx_int_t
ngx_http_sp_jwt_add_variables(ngx_conf_t *cf)
{
    return ngx_http_sp_add_variables(cf, ngx_http_sp_jwt_variables);
}


static ngx_int_t
ngx_http_sp_jwt_claim_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t               *full = (ngx_str_t *) data;

    ngx_str_t                name, text;
    ngx_uint_t               i;
    ngx_http_sp_jwt_ctx_t   *ctx;

    name.data = full->data + sizeof("jwt_claim_") - 1;
    name.len = full->len - (sizeof("jwt_claim_") - 1);

    ctx = ngx_http_sp_near_ctx(r, &ngx_http_sp_jwt_module);

    if (ctx == NULL || ctx->entry == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    for (i = 0;
         i < sizeof(ngx_http_sp_jwt_decoded)
             / sizeof(ngx_http_sp_jwt_decoded[0]);
         i++)
    {
        if (name.len != ngx_http_sp_jwt_decoded[i].name.len
            || ngx_strncmp(name.data, ngx_http_sp_jwt_decoded[i].name.data,
                           name.len) != 0)
        {
            continue;
        }

        text = ngx_http_sp_jwt_part(ctx->entry,
                                    ngx_http_sp_jwt_decoded[i].part);

        if (text.len != 0) {
            ngx_http_sp_jwt_set_text(v, &text);
            return NGX_OK;
        }
    }

    if (ctx->claims == NULL) {
        text = ngx_http_sp_jwt_part(ctx->entry, NGX_HTTP_SP_JWT_CLAIMS);

        if (ngx_http_sp_jwt_json(r, &ctx->claims, &text) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_sp_jwt_member(r, v, ctx->claims, &name);
}


static ngx_int_t
ngx_http_sp_jwt_header_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t              *full = (ngx_str_t *) data;

    ngx_str_t               name, text;
    ngx_http_sp_jwt_ctx_t  *ctx;

    name.data = full->data + sizeof("jwt_header_") - 1;
    name.len = full->len - (sizeof("jwt_header_") - 1);

    ctx = ngx_http_sp_near_ctx(r, &ngx_http_sp_jwt_module);

    if (ctx == NULL || ctx->entry == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    if (ctx->header == NULL) {
        text = ngx_http_sp_jwt_part(ctx->entry, NGX_HTTP_SP_JWT_HEADER);

        if (ngx_http_sp_jwt_json(r, &ctx->header, &text) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_sp_jwt_member(r, v, ctx->header, &name);
}


static ngx_int_t
ngx_http_sp_jwt_payload_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    size_t                  i;
    ngx_str_t               text;
    ngx_http_sp_jwt_ctx_t  *ctx;

    ctx = ngx_http_sp_near_ctx(r, &ngx_http_sp_jwt_module);

    if (ctx == NULL || ctx->entry == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    text = ngx_http_sp_jwt_part(ctx->entry, NGX_HTTP_SP_JWT_CLAIMS);

    /* line ends between the tokens of JSON are spaces as well */

    for (i = 0; i < text.len; i++) {
        if (text.data[i] < 0x20) {
            text.data[i] = ' ';
        }
    }

    ngx_http_sp_jwt_set_text(v, &text);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_jwt_error_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t               text;
    ngx_http_sp_jwt_ctx_t  *ctx;

    ctx = ngx_http_sp_near_ctx(r, &ngx_http_sp_jwt_module);

    if (ctx == NULL || ctx->error == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    text.data = (u_char *) ctx->error;
    text.len = ngx_strlen(ctx->error);
    ngx_http_sp_jwt_set_text(v, &text);

    return NGX_OK;
}


static void
ngx_http_sp_jwt_set_text(ngx_http_variable_value_t *v, const ngx_str_t *text)
{
    if (!ngx_http_sp_jwt_is_line(text)) {
        v->not_found = 1;
        return;
    }

    v->data = text->data;
    v->len = text->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
}


/* text that was accepted by sp_jwt once */

static ngx_int_t
ngx_http_sp_jwt_json(ngx_http_request_t *r, json_t **value,
    const ngx_str_t *text)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    if (sp_json_parse((const char *) text->data, text->len, NULL, value, NULL)
        != SP_JSON_OK)
    {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_sp_jwt_json_cleanup;
    cln->data = *value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_jwt_member(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    const json_t *object, const ngx_str_t *name)
{
    char           key[256];
    ngx_str_t      text;
    const json_t  *value;

    v->not_found = 1;

    if (name->len == 0 || name->len >= sizeof(key)) {
        return NGX_OK;
    }

    *ngx_cpymem(key, name->data, name->len) = '\0';

    value = json_object_get(object, key);
    if (value == NULL || json_is_null(value)) {
        return NGX_OK;
    }

    if (json_is_array(value)) {

        if (ngx_http_sp_jwt_list(r, &text, value) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (ngx_http_sp_jwt_text(r, &text, value) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_sp_jwt_set_text(v, &text);

    return NGX_OK;
}


/* an array is a list with commas */

static ngx_int_t
ngx_http_sp_jwt_list(ngx_http_request_t *r, ngx_str_t *text,
    const json_t *list)
{
    u_char     *p;
    size_t      i, len;
    ngx_str_t  *items;

    items = ngx_palloc(r->pool,
                       (json_array_size(list) + 1) * sizeof(ngx_str_t));
    if (items == NULL) {
        return NGX_ERROR;
    }

    len = 0;

    for (i = 0; i < json_array_size(list); i++) {

        if (ngx_http_sp_jwt_text(r, &items[i], json_array_get(list, i))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        len += items[i].len + 1;
    }

    p = ngx_pnalloc(r->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    for (i = 0; i < json_array_size(list); i++) {

        if (i != 0) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, items[i].data, items[i].len);
    }

    text->len = p - text->data;

    return NGX_OK;
}


/* strings live in the parsed value; everything else as JSON */

static ngx_int_t
ngx_http_sp_jwt_text(ngx_http_request_t *r, ngx_str_t *text,
    const json_t *value)
{
    if (json_is_string(value)) {
        text->data = (u_char *) json_string_value(value);
        text->len = json_string_length(value);

        return NGX_OK;
    }

    text->len = json_dumpb(value, NULL, 0, JSON_COMPACT|JSON_ENCODE_ANY);

    text->data = ngx_pnalloc(r->pool, text->len + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    (void) json_dumpb(value, (char *) text->data, text->len,
                      JSON_COMPACT|JSON_ENCODE_ANY);

    return NGX_OK;
}


static void
ngx_http_sp_jwt_json_cleanup(void *data)
{
    json_decref(data);
}
