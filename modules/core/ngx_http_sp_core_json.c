
/*
 * Copyright (C) Sallyport authors
 *
 * The request body as JSON, and as a chat.
 */


#include "ngx_http_sp_core_int.h"

#include "sp_json_rewrite.h"


static ngx_uint_t ngx_http_sp_body_is_json(const ngx_str_t *type);
static ngx_int_t ngx_http_sp_body_headers(ngx_http_request_t *r);
static ngx_int_t ngx_http_sp_body_parse(ngx_http_request_t *r,
    const ngx_str_t *text, json_t **value);
static ngx_int_t ngx_http_sp_body_shape(ngx_http_request_t *r,
    ngx_http_sp_core_ctx_t *ctx);
static ngx_int_t ngx_http_sp_body_code_point(ngx_http_request_t *r,
    const ngx_str_t *text, size_t offset);
static ngx_int_t ngx_http_sp_parse_chat(ngx_http_request_t *r,
    ngx_http_sp_core_ctx_t *ctx, sp_chat_request_t **chat);


ngx_int_t
ngx_http_sp_json_body(ngx_http_request_t *r, json_t **value)
{
    ngx_int_t                rc;
    ngx_str_t                text;
    ngx_http_sp_core_ctx_t  *ctx;

    *value = NULL;

    ctx = ngx_http_sp_core_ctx(r->main);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->body.json == NULL) {

        rc = ngx_http_sp_body_headers(r);
        if (rc != NGX_OK) {
            return rc;
        }

        rc = ngx_http_sp_body(r, &text);
        if (rc != NGX_OK) {
            return rc;
        }

        rc = ngx_http_sp_body_parse(r, &text, &ctx->body.json);

        if (rc == NGX_OK) {
            rc = ngx_http_sp_body_shape(r, ctx);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    *value = ctx->body.json;

    return NGX_OK;
}


/* "application/json", "application/<any>+json"; charset only UTF-8 */

static ngx_uint_t
ngx_http_sp_body_is_json(const ngx_str_t *type)
{
    size_t   len;
    u_char  *p, *last;

    p = type->data;
    last = p + type->len;

    while (p < last && *p != ';') {
        p++;
    }

    len = p - type->data;

    while (len > 0 && type->data[len - 1] == ' ') {
        len--;
    }

    if (len < sizeof("application/json") - 1
        || ngx_strncasecmp(type->data, (u_char *) "application/", 12) != 0)
    {
        return 0;
    }

    if ((len != sizeof("application/json") - 1
         || ngx_strncasecmp(type->data + 12, (u_char *) "json", 4) != 0)
        && ngx_strncasecmp(type->data + len - 5, (u_char *) "+json", 5) != 0)
    {
        return 0;
    }

    /* the only parameter that would change the meaning of the bytes */

    p = ngx_strlcasestrn(p, last, (u_char *) "charset=", 8 - 1);

    if (p == NULL) {
        return 1;
    }

    p += 8;

    if (p < last && *p == '"') {
        p++;
    }

    return last - p >= 5
           && ngx_strncasecmp(p, (u_char *) "utf-8", 5) == 0
           && (last - p == 5 || p[5] == '"' || p[5] == ';' || p[5] == ' ');
}


static ngx_int_t
ngx_http_sp_body_headers(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    h = r->headers_in.content_type;

    if (h == NULL || !ngx_http_sp_body_is_json(&h->value)) {
        return ngx_http_sp_error(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                 "unsupported_media_type",
                                 "the Content-Type must be "
                                 "\"application/json\"");
    }

    return ngx_http_sp_body_encoding(r);
}


ngx_int_t
ngx_http_sp_body_encoding(ngx_http_request_t *r)
{
    ngx_list_t       *headers;
    ngx_table_elt_t  *h;

    static const ngx_str_t  name = ngx_string("content-encoding");

    headers = &r->headers_in.headers;

    for (h = ngx_http_sp_next_header(headers, &name, NULL);
         h != NULL;
         h = ngx_http_sp_next_header(headers, &name, h))
    {
        if (h->value.len != 8
            || ngx_strncasecmp(h->value.data, (u_char *) "identity", 8) != 0)
        {
            return ngx_http_sp_error(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                     "unsupported_encoding",
                                     "send the body without "
                                     "Content-Encoding");
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_body_parse(ngx_http_request_t *r, const ngx_str_t *text,
    json_t **value)
{
    size_t                        offset;
    const char                   *code;
    sp_json_limits_t              limits;
    sp_json_status_e              status;
    ngx_http_sp_core_loc_conf_t  *lcf;

    if (text->len == 0) {
        return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "body_required",
                                 "the request must have a JSON body");
    }

    ngx_memzero(&limits, sizeof(sp_json_limits_t));

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_core_module);

    limits.any_number = 1;

    /* of a body that gets another form nothing stays in its text */

    limits.bulky = (lcf->dialect != NULL && lcf->shape == NULL)
                   ? lcf->dialect->bulky : NULL;

    status = sp_json_parse((char *) text->data, text->len, &limits, value,
                           &offset);

    switch (status) {

    case SP_JSON_OK:
        return NGX_OK;

    case SP_JSON_UTF8:
        code = "invalid_utf8";
        break;

    case SP_JSON_CODE_POINT:
        return ngx_http_sp_body_code_point(r, text, offset);

    case SP_JSON_DUPLICATE_KEY:
        code = "duplicate_key";
        break;

    case SP_JSON_TOO_DEEP:
        code = "json_too_deep";
        break;

    case SP_JSON_NO_MEMORY:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;

    default:
        code = "invalid_json";
        break;
    }

    return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, code,
                             "%s, at byte %uz", sp_json_strerror(status),
                             offset);
}


static ngx_int_t
ngx_http_sp_body_shape(ngx_http_request_t *r, ngx_http_sp_core_ctx_t *ctx)
{
    json_t                       *made;
    ngx_int_t                     rc;
    ngx_http_sp_core_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_core_module);

    if (lcf->shape == NULL) {
        return NGX_OK;
    }

    rc = lcf->shape(r, ctx->body.json, &made);

    if (rc == NGX_OK) {
        return ngx_http_sp_reset_json_body(r, made);
    }

    /* nobody else sees it as it was */

    json_decref(ctx->body.json);
    ctx->body.json = NULL;

    return rc;
}


/* at "offset" is an escape of six bytes */

static ngx_int_t
ngx_http_sp_body_code_point(ngx_http_request_t *r, const ngx_str_t *text,
    size_t offset)
{
    u_char  digits[4];

    (void) ngx_strlow(digits, text->data + offset + 2, 4);

    if (ngx_strncmp(digits, "0000", 4) == 0) {
        return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST,
                                 "invalid_code_point",
                                 "U+0000 is not accepted in a string, at "
                                 "byte %uz: leave it out", offset);
    }

    return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "invalid_code_point",
                             "the lone surrogate \\u%*s is no character, at "
                             "byte %uz: send the pair, or U+FFFD", (size_t) 4,
                             digits, offset);
}


ngx_int_t
ngx_http_sp_rewrite_json_body(ngx_http_request_t *r)
{
    size_t                   size;
    ngx_str_t                body, text;
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r->main);

    if (ctx == NULL || ctx->body.json == NULL) {
        return NGX_ERROR;
    }

    text = ctx->body.data;

    size = sp_json_rewrite(ctx->body.json, (char *) text.data, text.len, NULL,
                           0);

    body.len = size;
    body.data = ngx_pnalloc(r->pool, size + 1);

    if (size == 0 || body.data == NULL) {
        return NGX_ERROR;
    }

    (void) sp_json_rewrite(ctx->body.json, (char *) text.data, text.len,
                           (char *) body.data, size);

    return ngx_http_sp_replace_body(r, &body);
}


ngx_int_t
ngx_http_sp_reset_json_body(ngx_http_request_t *r, json_t *value)
{
    size_t                   size;
    ngx_str_t                body;
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r->main);

    json_decref(ctx->body.json);
    ctx->body.json = value;

    size = json_dumpb(value, NULL, 0, JSON_COMPACT);

    body.len = size;
    body.data = ngx_pnalloc(r->pool, size + 1);

    if (size == 0 || body.data == NULL) {
        return NGX_ERROR;
    }

    (void) json_dumpb(value, (char *) body.data, size, JSON_COMPACT);

    if (ngx_http_sp_replace_body(r, &body) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_renew_chat(r);
}


ngx_int_t
ngx_http_sp_chat(ngx_http_request_t *r, sp_chat_request_t **chat)
{
    json_t                  *value;
    ngx_int_t                rc;
    ngx_http_sp_core_ctx_t  *ctx;

    *chat = NULL;

    rc = ngx_http_sp_json_body(r, &value);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_http_sp_core_find_ctx(r->main);

    if (ctx->body.chat == NULL) {
        ctx->body.dialect = ngx_http_sp_client_dialect(r);

        rc = ngx_http_sp_parse_chat(r, ctx, &ctx->body.chat);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    *chat = ctx->body.chat;

    return NGX_OK;
}


ngx_uint_t
ngx_http_sp_takes_chats(ngx_http_request_t *r)
{
    ngx_http_sp_core_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_core_module);

    return lcf->dialect != NULL;
}


static ngx_int_t
ngx_http_sp_parse_chat(ngx_http_request_t *r, ngx_http_sp_core_ctx_t *ctx,
    sp_chat_request_t **chat)
{
    sp_chat_error_t  error;

    *chat = ctx->body.dialect->parse_request(json_incref(ctx->body.json),
                                             &error);
    if (*chat != NULL) {
        return NGX_OK;
    }

    if (error.code == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, error.code, "%s",
                             error.message);

    return ngx_http_sp_error_param(r, error.param);
}


/*
 * Strings of the JSON were edited, which the chat points into.  Steps have the
 * chat's address, so the new one comes there.
 */

ngx_int_t
ngx_http_sp_renew_chat(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    sp_chat_request_t       *fresh, old;
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r->main);

    if (ctx->body.chat == NULL) {
        return NGX_OK;
    }

    rc = ngx_http_sp_parse_chat(r, ctx, &fresh);

    if (rc != NGX_OK) {
        return rc;
    }

    /* each has the other's arrays then */

    old = *ctx->body.chat;
    *ctx->body.chat = *fresh;
    *fresh = old;

    sp_chat_free(ctx->body.renewed);
    ctx->body.renewed = fresh;

    return NGX_OK;
}
