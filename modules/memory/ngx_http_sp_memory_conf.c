
/*
 * Copyright (C) Sallyport authors
 */

#include "ngx_http_sp_memory.h"


typedef struct {
    ngx_str_t                 url;
    ngx_str_t                 key_file;
    const char               *number_name;
    ngx_uint_t               *number;
} ngx_http_sp_memory_args_t;


static ngx_int_t ngx_http_sp_memory_parameter(ngx_http_sp_memory_api_t *api,
    ngx_http_sp_memory_args_t *args, const ngx_str_t *parameter);
static ngx_int_t ngx_http_sp_memory_number(const ngx_str_t *text,
    ngx_uint_t min, ngx_uint_t max, ngx_uint_t *number);
static const sp_dialect_t *ngx_http_sp_memory_dialect(ngx_conf_t *cf,
    const sp_chat_request_t *chat);
static ngx_int_t ngx_http_sp_memory_url(ngx_conf_t *cf,
    ngx_http_sp_memory_api_t *api, const ngx_str_t *base,
    const sp_chat_request_t *chat);
static ngx_int_t ngx_http_sp_memory_key(ngx_conf_t *cf,
    ngx_http_sp_memory_api_t *api, ngx_str_t *name);


ngx_http_sp_memory_api_t *
ngx_http_sp_memory_api(ngx_conf_t *cf, const sp_chat_request_t *chat,
    const char *number_name, ngx_uint_t *number)
{
    ngx_str_t                  *value;
    ngx_uint_t                  i;
    ngx_http_sp_memory_api_t   *api;
    ngx_http_sp_memory_args_t   args;

    api = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_memory_api_t));
    if (api == NULL) {
        return NULL;
    }

    api->timeout = 30000;
    ngx_str_set(&api->headers[0], "Content-Type: application/json");
    api->nheaders = 1;

    ngx_str_null(&args.url);
    ngx_str_null(&args.key_file);
    args.number_name = number_name;
    args.number = number;

    value = cf->args->elts;

    api->dialect = ngx_http_sp_memory_dialect(cf, chat);
    if (api->dialect == NULL) {
        return NULL;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_http_sp_memory_parameter(api, &args, &value[i]) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"%V\"; "
                               "\"url=\", \"model=\", \"key_file=\", "
                               "\"timeout=\", \"dimensions=\" (1 to 3900) "
                               "and \"%s\" are allowed",
                               &value[i], &value[0], number_name);
            return NULL;
        }
    }

    if (args.url.len == 0 && api->dialect->url != NULL) {
        args.url.data = (u_char *) api->dialect->url;
        args.url.len = ngx_strlen(args.url.data);
    }

    if (args.url.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" needs \"url=\"",
                           &value[0]);
        return NULL;
    }

    if (api->model.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" needs \"model=\"", &value[0]);
        return NULL;
    }

    if (ngx_http_sp_memory_url(cf, api, &args.url, chat) != NGX_OK
        || ngx_http_sp_memory_key(cf, api, &args.key_file) != NGX_OK)
    {
        return NULL;
    }

    return api;
}


/* chats are translated, embeddings have the shape of OpenAI's */

static const sp_dialect_t *
ngx_http_sp_memory_dialect(ngx_conf_t *cf, const sp_chat_request_t *chat)
{
    ngx_str_t           *value;
    const sp_dialect_t  *dialect;

    value = cf->args->elts;

    dialect = ngx_http_sp_dialect(cf, &value[1]);

    if (dialect == NULL) {
        return NULL;
    }

    if (chat != NULL ? dialect->write_request == NULL
                     : !dialect->embeddings)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "dialect \"%V\" cannot serve \"%V\"", &value[1],
                           &value[0]);
        return NULL;
    }

    return dialect;
}


static ngx_int_t
ngx_http_sp_memory_parameter(ngx_http_sp_memory_api_t *api,
    ngx_http_sp_memory_args_t *args, const ngx_str_t *parameter)
{
    u_char     *name;
    ngx_int_t   n;
    ngx_str_t   text;

    name = parameter->data;

    text.data = (u_char *) ngx_strchr(name, '=');
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    text.data++;
    text.len = name + parameter->len - text.data;

    if (text.len == 0) {
        return NGX_ERROR;
    }

    if (ngx_strncmp(name, "url=", 4) == 0) {
        args->url = text;
        return NGX_OK;
    }

    if (ngx_strncmp(name, "model=", 6) == 0) {
        api->model = text;
        return NGX_OK;
    }

    if (ngx_strncmp(name, "key_file=", 9) == 0) {
        args->key_file = text;
        return NGX_OK;
    }

    if (ngx_strncmp(name, "timeout=", 8) == 0) {
        n = ngx_parse_time(&text, 0);

        if (n == NGX_ERROR || n == 0) {
            return NGX_ERROR;
        }

        api->timeout = n;
        return NGX_OK;
    }

    if (ngx_strncmp(name, "dimensions=", 11) == 0) {
        return ngx_http_sp_memory_number(&text, 1, 3900, &api->dimensions);
    }

    if (ngx_strncmp(name, args->number_name, ngx_strlen(args->number_name))
        == 0)
    {
        return ngx_http_sp_memory_number(&text, 0, 100000, args->number);
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_sp_memory_number(const ngx_str_t *text, ngx_uint_t min,
    ngx_uint_t max, ngx_uint_t *number)
{
    ngx_int_t  n;

    n = ngx_atoi(text->data, text->len);

    if (n == NGX_ERROR || (ngx_uint_t) n < min || (ngx_uint_t) n > max) {
        return NGX_ERROR;
    }

    *number = n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_memory_url(ngx_conf_t *cf, ngx_http_sp_memory_api_t *api,
    const ngx_str_t *base, const sp_chat_request_t *chat)
{
    sp_out_t         out;
    ngx_str_t        url;
    sp_call_t        call;
    sp_chat_edit_t   edit;

    url = *base;

    while (url.len > 0 && url.data[url.len - 1] == '/') {
        url.len--;
    }

    if (ngx_strncmp(url.data, "https://", 8) != 0
        && ngx_strncmp(url.data, "http://", 7) != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid url \"%V\": it must begin with "
                           "\"https://\" or \"http://\"", base);
        return NGX_ERROR;
    }

    ngx_memzero(&call, sizeof(sp_call_t));
    ngx_memzero(&edit, sizeof(sp_chat_edit_t));
    ngx_memzero(&out, sizeof(sp_out_t));

    edit.model = (char *) api->model.data;
    edit.model_len = api->model.len;

    call.chat = chat;
    call.edit = &edit;

    api->dialect->write_path(&call, &out);

    api->url.len = url.len + out.len;
    api->url.data = ngx_pnalloc(cf->pool, api->url.len + 1);
    if (api->url.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(api->url.data, url.data, url.len);

    out.dst = (char *) api->url.data + url.len;
    out.size = out.len;
    out.len = 0;

    api->dialect->write_path(&call, &out);
    api->url.data[api->url.len] = '\0';

    return NGX_OK;
}


/* the key is only in the headers that carry it; "name" empty: no key */

static ngx_int_t
ngx_http_sp_memory_key(ngx_conf_t *cf, ngx_http_sp_memory_api_t *api,
    ngx_str_t *name)
{
    u_char     *p, *last, *end;
    sp_out_t    out;
    ngx_str_t   key;

    ngx_str_null(&key);

    if (name->len != 0
        && ngx_sp_secret_api_key(cf, name, &key) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memzero(&out, sizeof(sp_out_t));

    api->dialect->write_headers((char *) key.data, key.len, &out);

    out.dst = ngx_pnalloc(cf->pool, out.len + 1);
    if (out.dst == NULL) {
        ngx_explicit_memzero(key.data, key.len);
        return NGX_ERROR;
    }

    out.size = out.len;
    out.len = 0;

    api->dialect->write_headers((char *) key.data, key.len, &out);

    ngx_explicit_memzero(key.data, key.len);

    p = (u_char *) out.dst;
    last = p + out.len;

    while (p < last && api->nheaders < NGX_HTTP_SP_MEMORY_HEADERS) {
        end = ngx_strlchr(p, last, CR);

        if (end == NULL) {
            return NGX_ERROR;
        }

        api->headers[api->nheaders].data = p;
        api->headers[api->nheaders].len = end - p;
        api->nheaders++;

        p = end + 2;
    }

    return (p == last) ? NGX_OK : NGX_ERROR;
}
