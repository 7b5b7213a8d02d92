
/*
 * Copyright (C) Sallyport authors
 *
 * llm_provider NAME { ... }
 */


#include "ngx_http_sp_llm.h"


static ngx_http_sp_llm_provider_t *ngx_http_sp_llm_create_provider(
    ngx_conf_t *cf);
static char *ngx_http_sp_llm_end_provider(ngx_conf_t *cf,
    ngx_http_sp_llm_main_conf_t *lmcf, ngx_http_sp_llm_provider_t *provider);
static ngx_int_t ngx_http_sp_llm_provider_headers(ngx_conf_t *cf,
    ngx_http_sp_llm_provider_t *provider);
static void ngx_http_sp_llm_write_headers(
    ngx_http_sp_llm_provider_t *provider, sp_out_t *out);
static char *ngx_http_sp_llm_dialect(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_llm_url(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_llm_key_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_llm_model(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_sp_conf_bounds_t  ngx_http_sp_llm_keepalive = {
    0, 10000, "the number of idle connections per worker, 0 to 10000"
};

static ngx_sp_conf_bounds_t  ngx_http_sp_llm_timeout = {
    1, NGX_MAX_INT_T_VALUE, "a time above 0"
};

static ngx_sp_conf_bounds_t  ngx_http_sp_llm_buffer = {
    1024, 1024 * 1024, "1k to 1m"
};


static ngx_sp_conf_setting_t  ngx_http_sp_llm_params[] = {

    { ngx_string("dialect"), NGX_CONF_TAKE1, ngx_http_sp_llm_dialect, 0,
      0, NULL },

    { ngx_string("url"), NGX_CONF_TAKE1, ngx_http_sp_llm_url, 0, 0, NULL },

    { ngx_string("upstream"), NGX_CONF_TAKE1, ngx_conf_set_str_slot, 0,
      offsetof(ngx_http_sp_llm_provider_t, upstream_name), NULL },

    { ngx_string("key_file"), NGX_CONF_TAKE1, ngx_http_sp_llm_key_file, 0,
      0, NULL },

    { ngx_string("trusted_certificate"), NGX_CONF_TAKE1, ngx_conf_set_str_slot,
      0, offsetof(ngx_http_sp_llm_provider_t, trusted_certificate), NULL },

    { ngx_string("keepalive"), NGX_CONF_TAKE1, ngx_sp_conf_number_slot, 0,
      offsetof(ngx_http_sp_llm_provider_t, keepalive),
      &ngx_http_sp_llm_keepalive },

    { ngx_string("stream_usage"), NGX_CONF_FLAG, ngx_conf_set_flag_slot, 0,
      offsetof(ngx_http_sp_llm_provider_t, stream_usage), NULL },

    { ngx_string("connect_timeout"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_http_sp_llm_provider_t, upstream.connect_timeout),
      &ngx_http_sp_llm_timeout },

    { ngx_string("send_timeout"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_http_sp_llm_provider_t, upstream.send_timeout),
      &ngx_http_sp_llm_timeout },

    { ngx_string("read_timeout"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_http_sp_llm_provider_t, upstream.read_timeout),
      &ngx_http_sp_llm_timeout },

    { ngx_string("buffer_size"), NGX_CONF_TAKE1, ngx_sp_conf_size_slot, 0,
      offsetof(ngx_http_sp_llm_provider_t, upstream.buffer_size),
      &ngx_http_sp_llm_buffer },

    { ngx_string("model"), NGX_CONF_TAKE123, ngx_http_sp_llm_model, 0,
      0, NULL },

      ngx_null_command
};


static const ngx_sp_metric_slot_t  ngx_http_sp_llm_metrics[] = {

    { NGX_SP_COUNTER, "sallyport_llm_requests_total",
      "Requests sent to a provider, by how they ended.",
      "outcome=\"complete\"", offsetof(ngx_http_sp_llm_provider_t, complete) },

    { NGX_SP_COUNTER, "sallyport_llm_requests_total",
      "Requests sent to a provider, by how they ended.", "outcome=\"partial\"",
      offsetof(ngx_http_sp_llm_provider_t, partial) },

    { NGX_SP_COUNTER, "sallyport_llm_requests_total",
      "Requests sent to a provider, by how they ended.", "outcome=\"failed\"",
      offsetof(ngx_http_sp_llm_provider_t, failed) },

    { NGX_SP_COUNTER, "sallyport_llm_unterminated_total",
      "Complete streams that a provider ended without saying so.", "",
      offsetof(ngx_http_sp_llm_provider_t, unterminated) },

    { NGX_SP_COUNTER, "sallyport_llm_tokens_total",
      "Tokens, reported or estimated.", "kind=\"prompt\"",
      offsetof(ngx_http_sp_llm_provider_t, prompt_tokens) },

    { NGX_SP_COUNTER, "sallyport_llm_tokens_total",
      "Tokens, reported or estimated.", "kind=\"completion\"",
      offsetof(ngx_http_sp_llm_provider_t, completion_tokens) },

    { NGX_SP_HISTOGRAM, "sallyport_llm_first_byte_milliseconds",
      "Time to the first text of an answer.", "",
      offsetof(ngx_http_sp_llm_provider_t, first_byte) },

    { NGX_SP_COUNTER, NULL, NULL, NULL, 0 }
};


char *
ngx_http_sp_llm_provider(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_llm_main_conf_t *lmcf = conf;

    char                         *rv;
    ngx_str_t                    *value;
    ngx_uint_t                    i;
    ngx_http_sp_llm_provider_t   *created, **provider;

    value = cf->args->elts;

    provider = lmcf->providers.elts;

    for (i = 0; i < lmcf->providers.nelts; i++) {
        if (provider[i]->name.len == value[1].len
            && ngx_strncmp(provider[i]->name.data, value[1].data,
                           value[1].len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate llm_provider \"%V\"", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    provider = ngx_array_push(&lmcf->providers);
    if (provider == NULL) {
        return NGX_CONF_ERROR;
    }

    created = ngx_http_sp_llm_create_provider(cf);
    if (created == NULL) {
        return NGX_CONF_ERROR;
    }

    *provider = created;
    created->name = value[1];

    rv = ngx_sp_conf_block(cf, ngx_http_sp_llm_params, created);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_sp_llm_end_provider(cf, lmcf, created);
}


static ngx_http_sp_llm_provider_t *
ngx_http_sp_llm_create_provider(ngx_conf_t *cf)
{
    ngx_http_upstream_conf_t    *ucf;
    ngx_http_sp_llm_provider_t  *provider;

    /*
     * set by ngx_pcalloc():
     *
     *     every string, ssl, url, models, and of upstream: buffering,
     *     ignore_client_abort, pass_request_headers, next_upstream_tries,
     *     next_upstream_timeout, cache, store, local = 0 or NULL
     */

    provider = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_llm_provider_t));
    if (provider == NULL) {
        return NULL;
    }

    provider->dialect = &sp_openai;
    provider->keepalive = NGX_CONF_UNSET;
    provider->stream_usage = NGX_CONF_UNSET;

    ucf = &provider->upstream;

    ucf->connect_timeout = NGX_CONF_UNSET_MSEC;
    ucf->send_timeout = NGX_CONF_UNSET_MSEC;
    ucf->read_timeout = NGX_CONF_UNSET_MSEC;
    ucf->buffer_size = NGX_CONF_UNSET_SIZE;

    /*
     * another address of the same provider, as long as nothing of the
     * request was sent: a request that was may have been paid for, and is
     * repeated only where the connection had ended (ngx_http_sp_llm_retry.c)
     */

    ucf->next_upstream = NGX_CONF_BITMASK_SET
                         |NGX_HTTP_UPSTREAM_FT_ERROR
                         |NGX_HTTP_UPSTREAM_FT_TIMEOUT;

    ngx_str_set(&ucf->module, "llm");

    return provider;
}


static char *
ngx_http_sp_llm_end_provider(ngx_conf_t *cf,
    ngx_http_sp_llm_main_conf_t *lmcf, ngx_http_sp_llm_provider_t *provider)
{
    ngx_http_upstream_conf_t  *ucf;

    ucf = &provider->upstream;

    if (provider->url.url.data == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "llm_provider \"%V\" has no \"url\"",
                           &provider->name);
        return NGX_CONF_ERROR;
    }

    if (provider->models == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "llm_provider \"%V\" has no \"model\"",
                           &provider->name);
        return NGX_CONF_ERROR;
    }

    if (provider->trusted_certificate.len != 0 && !provider->ssl) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"trusted_certificate\" of llm_provider \"%V\" "
                           "has no effect: its \"url\" is not https",
                           &provider->name);
        return NGX_CONF_ERROR;
    }

    if (provider->upstream_name.len != 0
        && provider->keepalive != NGX_CONF_UNSET)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"keepalive\" of llm_provider \"%V\" has no "
                           "effect: set it in upstream \"%V\"",
                           &provider->name, &provider->upstream_name);
        return NGX_CONF_ERROR;
    }

    ngx_conf_init_value(provider->keepalive, NGX_HTTP_SP_LLM_KEEPALIVE);
    ngx_conf_init_value(provider->stream_usage, 1);

    ngx_conf_init_msec_value(ucf->connect_timeout, 5000);
    ngx_conf_init_msec_value(ucf->send_timeout, 30000);
    ngx_conf_init_msec_value(ucf->read_timeout, 120000);
    ngx_conf_init_size_value(ucf->buffer_size, 32768);

    if (ngx_http_sp_llm_provider_headers(cf, provider) != NGX_OK
        || ngx_http_sp_add_metrics(cf, ngx_http_sp_llm_metrics, provider,
                                   "provider", &provider->name)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_sp_llm_connect(cf, lmcf, provider);
}


/* the part of the request header that never changes */

static ngx_int_t
ngx_http_sp_llm_provider_headers(ngx_conf_t *cf,
    ngx_http_sp_llm_provider_t *provider)
{
    sp_out_t  out;

    ngx_memzero(&out, sizeof(sp_out_t));

    ngx_http_sp_llm_write_headers(provider, &out);

    out.dst = ngx_pnalloc(cf->pool, out.len);
    if (out.dst == NULL) {
        return NGX_ERROR;
    }

    out.size = out.len;
    out.len = 0;

    ngx_http_sp_llm_write_headers(provider, &out);

    provider->headers.data = (u_char *) out.dst;
    provider->headers.len = out.len;

    return NGX_OK;
}


static void
ngx_http_sp_llm_write_headers(ngx_http_sp_llm_provider_t *provider,
    sp_out_t *out)
{
    sp_out_str(out, "Host: ");
    sp_out_put(out, (char *) provider->host.data, provider->host.len);
    sp_out_str(out, CRLF "Content-Type: application/json" CRLF
                    "Accept-Encoding: identity" CRLF
                    "User-Agent: sallyport" CRLF);

    provider->dialect->write_headers((char *) provider->key.data,
                                     provider->key.len, out);

    if (provider->keepalive == 0) {
        sp_out_str(out, "Connection: close" CRLF);
    }
}


static char *
ngx_http_sp_llm_dialect(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_llm_provider_t *provider = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    provider->dialect = ngx_http_sp_dialect(cf, &value[1]);

    if (provider->dialect == NULL) {
        return NGX_CONF_ERROR;
    }

    if (provider->dialect->scan_event == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "providers do not speak dialect \"%V\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_llm_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_llm_provider_t *provider = conf;

    size_t      add;
    ngx_str_t  *value;
    ngx_url_t  *u;

    u = &provider->url;

    if (u->url.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strncmp(value[1].data, "https://", 8) == 0) {
        add = 8;
        provider->ssl = 1;
        u->default_port = 443;

    } else if (ngx_strncmp(value[1].data, "http://", 7) == 0) {
        add = 7;
        u->default_port = 80;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"url\" is \"%V\", expected http:// or https://",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    u->url.len = value[1].len - add;
    u->url.data = value[1].data + add;
    u->uri_part = 1;
    u->no_resolve = 1;

    if (ngx_parse_url(cf->pool, u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in \"url\" \"%V\"",
                           u->err ? u->err : "an error", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (u->family == AF_UNIX) {

        if (provider->ssl) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "https over a unix socket is not supported "
                               "in \"url\" \"%V\"", &value[1]);
            return NGX_CONF_ERROR;
        }

        ngx_str_set(&provider->host, "localhost");

    } else {
        provider->host.len = u->host.len;
        provider->host.data = u->host.data;

        /* host and port stand side by side in the url */

        if (u->port != u->default_port && !u->no_port) {
            provider->host.len += u->port_text.len + 1;
        }
    }

    provider->path = u->uri;

    while (provider->path.len != 0
           && provider->path.data[provider->path.len - 1] == '/')
    {
        provider->path.len--;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_llm_key_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_llm_provider_t *provider = conf;

    ngx_str_t  *value;

    if (provider->key.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    return ngx_sp_secret_api_key(cf, &value[1], &provider->key)
           == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* model REAL [as=ALIAS] [context=TOKENS] */

static char *
ngx_http_sp_llm_model(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_llm_provider_t *provider = conf;

    ssize_t                       context;
    ngx_str_t                    *value, alias, text;
    ngx_uint_t                    i;
    ngx_http_sp_llm_model_t      *model;
    ngx_http_sp_llm_main_conf_t  *lmcf;

    value = cf->args->elts;
    alias = value[1];
    context = 0;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_sp_conf_arg(&value[i], "as=", &text) && text.len != 0) {
            alias = text;
            continue;
        }

        if (ngx_sp_conf_arg(&value[i], "context=", &text)) {
            context = ngx_parse_size(&text);

            if (context > 0) {
                continue;
            }
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"model\", expected "
                           "as=ALIAS or context=TOKENS", &value[i]);
        return NGX_CONF_ERROR;
    }

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_llm_module);
    model = ngx_http_sp_llm_lookup(lmcf, &alias);

    if (model != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "model \"%V\" is already served by llm_provider "
                           "\"%V\": choose another name by as=", &alias,
                           &model->provider->name);
        return NGX_CONF_ERROR;
    }

    model = ngx_array_push(&lmcf->models);
    if (model == NULL) {
        return NGX_CONF_ERROR;
    }

    model->alias = alias;
    model->name = value[1];
    model->context = context;
    model->provider = provider;

    provider->models++;

    return NGX_CONF_OK;
}


ngx_http_sp_llm_model_t *
ngx_http_sp_llm_lookup(ngx_http_sp_llm_main_conf_t *lmcf,
    const ngx_str_t *alias)
{
    ngx_uint_t                i;
    ngx_http_sp_llm_model_t  *model;

    model = lmcf->models.elts;

    for (i = 0; i < lmcf->models.nelts; i++) {
        if (model[i].alias.len == alias->len
            && ngx_memcmp(model[i].alias.data, alias->data, alias->len) == 0)
        {
            return &model[i];
        }
    }

    return NULL;
}
