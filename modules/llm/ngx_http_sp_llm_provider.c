
/*
 * Copyright (C) Sallyport authors
 *
 * llm_provider NAME { ... }
 */


#include "ngx_http_sp_llm.h"


typedef struct {
    ngx_http_sp_llm_main_conf_t  *lmcf;
    ngx_http_sp_llm_provider_t   *provider;
    ngx_uint_t                    models;
} ngx_http_sp_llm_block_t;


typedef struct {
    ngx_str_t                     name;
    ngx_uint_t                    min;      /* values */
    ngx_uint_t                    max;
    char                       *(*set)(ngx_conf_t *cf,
                                      ngx_http_sp_llm_block_t *block,
                                      ngx_str_t *value);
} ngx_http_sp_llm_param_t;


static ngx_http_sp_llm_provider_t *ngx_http_sp_llm_create_provider(
    ngx_conf_t *cf);
static char *ngx_http_sp_llm_end_provider(ngx_conf_t *cf,
    ngx_http_sp_llm_block_t *block);
static ngx_int_t ngx_http_sp_llm_provider_headers(ngx_conf_t *cf,
    ngx_http_sp_llm_provider_t *provider);
static ngx_int_t ngx_http_sp_llm_provider_metrics(ngx_conf_t *cf,
    ngx_http_sp_llm_provider_t *provider);
static char *ngx_http_sp_llm_param(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf);
static char *ngx_http_sp_llm_dialect(ngx_conf_t *cf,
    ngx_http_sp_llm_block_t *block, ngx_str_t *value);
static char *ngx_http_sp_llm_url(ngx_conf_t *cf,
    ngx_http_sp_llm_block_t *block, ngx_str_t *value);
static char *ngx_http_sp_llm_upstream(ngx_conf_t *cf,
    ngx_http_sp_llm_block_t *block, ngx_str_t *value);
static char *ngx_http_sp_llm_key_file(ngx_conf_t *cf,
    ngx_http_sp_llm_block_t *block, ngx_str_t *value);
static char *ngx_http_sp_llm_trusted(ngx_conf_t *cf,
    ngx_http_sp_llm_block_t *block, ngx_str_t *value);
static char *ngx_http_sp_llm_keepalive(ngx_conf_t *cf,
    ngx_http_sp_llm_block_t *block, ngx_str_t *value);
static char *ngx_http_sp_llm_stream_usage(ngx_conf_t *cf,
    ngx_http_sp_llm_block_t *block, ngx_str_t *value);
static char *ngx_http_sp_llm_connect_timeout(ngx_conf_t *cf,
    ngx_http_sp_llm_block_t *block, ngx_str_t *value);
static char *ngx_http_sp_llm_send_timeout(ngx_conf_t *cf,
    ngx_http_sp_llm_block_t *block, ngx_str_t *value);
static char *ngx_http_sp_llm_read_timeout(ngx_conf_t *cf,
    ngx_http_sp_llm_block_t *block, ngx_str_t *value);
static char *ngx_http_sp_llm_timeout(ngx_conf_t *cf, ngx_str_t *value,
    ngx_msec_t *timeout);
static char *ngx_http_sp_llm_buffer_size(ngx_conf_t *cf,
    ngx_http_sp_llm_block_t *block, ngx_str_t *value);
static char *ngx_http_sp_llm_model(ngx_conf_t *cf,
    ngx_http_sp_llm_block_t *block, ngx_str_t *value);


static ngx_http_sp_llm_param_t  ngx_http_sp_llm_params[] = {

    { ngx_string("dialect"), 1, 1, ngx_http_sp_llm_dialect },
    { ngx_string("url"), 1, 1, ngx_http_sp_llm_url },
    { ngx_string("upstream"), 1, 1, ngx_http_sp_llm_upstream },
    { ngx_string("key_file"), 1, 1, ngx_http_sp_llm_key_file },
    { ngx_string("trusted_certificate"), 1, 1, ngx_http_sp_llm_trusted },
    { ngx_string("keepalive"), 1, 1, ngx_http_sp_llm_keepalive },
    { ngx_string("stream_usage"), 1, 1, ngx_http_sp_llm_stream_usage },
    { ngx_string("connect_timeout"), 1, 1, ngx_http_sp_llm_connect_timeout },
    { ngx_string("send_timeout"), 1, 1, ngx_http_sp_llm_send_timeout },
    { ngx_string("read_timeout"), 1, 1, ngx_http_sp_llm_read_timeout },
    { ngx_string("buffer_size"), 1, 1, ngx_http_sp_llm_buffer_size },
    { ngx_string("model"), 1, 3, ngx_http_sp_llm_model },
    { ngx_null_string, 0, 0, NULL }
};


char *
ngx_http_sp_llm_provider(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_llm_main_conf_t *lmcf = conf;

    char                         *rv;
    ngx_str_t                    *value;
    ngx_uint_t                    i;
    ngx_conf_t                    save;
    ngx_http_sp_llm_block_t       block;
    ngx_http_sp_llm_provider_t  **provider;

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

    *provider = ngx_http_sp_llm_create_provider(cf);
    if (*provider == NULL) {
        return NGX_CONF_ERROR;
    }

    (*provider)->name = value[1];

    block.lmcf = lmcf;
    block.provider = *provider;
    block.models = 0;

    save = *cf;
    cf->handler = ngx_http_sp_llm_param;
    cf->handler_conf = (void *) &block;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_sp_llm_end_provider(cf, &block);
}


static ngx_http_sp_llm_provider_t *
ngx_http_sp_llm_create_provider(ngx_conf_t *cf)
{
    ngx_http_upstream_conf_t    *ucf;
    ngx_http_sp_llm_provider_t  *provider;

    /*
     * set by ngx_pcalloc():
     *
     *     every string, ssl, url, and of upstream: buffering,
     *     ignore_client_abort, pass_request_headers, next_upstream_tries,
     *     next_upstream_timeout, cache, store, local = 0 or NULL
     */

    provider = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_llm_provider_t));
    if (provider == NULL) {
        return NULL;
    }

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
ngx_http_sp_llm_end_provider(ngx_conf_t *cf, ngx_http_sp_llm_block_t *block)
{
    ngx_http_upstream_conf_t    *ucf;
    ngx_http_sp_llm_provider_t  *provider;

    provider = block->provider;
    ucf = &provider->upstream;

    if (provider->url.url.data == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "llm_provider \"%V\" has no \"url\"",
                           &provider->name);
        return NGX_CONF_ERROR;
    }

    if (block->models == 0) {
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
        || ngx_http_sp_llm_provider_metrics(cf, provider) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_sp_llm_connect(cf, block->lmcf, provider);
}


/* the part of the request header that never changes */

static ngx_int_t
ngx_http_sp_llm_provider_headers(ngx_conf_t *cf,
    ngx_http_sp_llm_provider_t *provider)
{
    u_char  *p;
    size_t   len;

    len = sizeof("Host: " CRLF) - 1 + provider->host.len
          + sizeof("Authorization: Bearer " CRLF) - 1 + provider->key.len
          + sizeof("Content-Type: application/json" CRLF) - 1
          + sizeof("Accept-Encoding: identity" CRLF) - 1
          + sizeof("User-Agent: sallyport" CRLF) - 1
          + sizeof("Connection: close" CRLF) - 1;

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    provider->headers.data = p;

    p = ngx_sprintf(p, "Host: %V" CRLF
                    "Content-Type: application/json" CRLF
                    "Accept-Encoding: identity" CRLF
                    "User-Agent: sallyport" CRLF, &provider->host);

    if (provider->key.len != 0) {
        p = ngx_sprintf(p, "Authorization: Bearer %V" CRLF, &provider->key);
    }

    if (provider->keepalive == 0) {
        p = ngx_cpymem(p, "Connection: close" CRLF,
                       sizeof("Connection: close" CRLF) - 1);
    }

    provider->headers.len = p - provider->headers.data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_provider_metrics(ngx_conf_t *cf,
    ngx_http_sp_llm_provider_t *provider)
{
    u_char                  *p;
    ngx_str_t                labels;
    ngx_uint_t               i;

    struct {
        ngx_http_sp_metric_t       **metric;
        ngx_http_sp_metric_type_e    type;
        const char                  *name;
        const char                  *help;
        const char                  *label;
    } metrics[] = {
        { &provider->complete, NGX_HTTP_SP_COUNTER,
          "sallyport_llm_requests_total",
          "Requests sent to a provider, by how they ended.",
          ",outcome=\"complete\"" },
        { &provider->partial, NGX_HTTP_SP_COUNTER,
          "sallyport_llm_requests_total",
          "Requests sent to a provider, by how they ended.",
          ",outcome=\"partial\"" },
        { &provider->failed, NGX_HTTP_SP_COUNTER,
          "sallyport_llm_requests_total",
          "Requests sent to a provider, by how they ended.",
          ",outcome=\"failed\"" },
        { &provider->prompt_tokens, NGX_HTTP_SP_COUNTER,
          "sallyport_llm_tokens_total",
          "Tokens, reported or estimated.", ",kind=\"prompt\"" },
        { &provider->completion_tokens, NGX_HTTP_SP_COUNTER,
          "sallyport_llm_tokens_total",
          "Tokens, reported or estimated.", ",kind=\"completion\"" },
        { &provider->first_byte, NGX_HTTP_SP_HISTOGRAM,
          "sallyport_llm_first_byte_milliseconds",
          "Time to the first text of an answer.", "" }
    };

    for (i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {

        labels.len = sizeof("provider=\"\"") - 1 + provider->name.len
                     + ngx_strlen(metrics[i].label);

        labels.data = ngx_pnalloc(cf->pool, labels.len);
        if (labels.data == NULL) {
            return NGX_ERROR;
        }

        p = ngx_sprintf(labels.data, "provider=\"%V\"%s", &provider->name,
                        metrics[i].label);
        labels.len = p - labels.data;

        *metrics[i].metric = ngx_http_sp_add_metric(cf, metrics[i].type,
                                                    metrics[i].name,
                                                    metrics[i].help,
                                                    &labels);
        if (*metrics[i].metric == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static char *
ngx_http_sp_llm_param(ngx_conf_t *cf, ngx_command_t *dummy, void *conf)
{
    ngx_http_sp_llm_block_t *block = conf;

    ngx_str_t                *value;
    ngx_http_sp_llm_param_t  *param;

    value = cf->args->elts;

    for (param = ngx_http_sp_llm_params; param->name.len != 0; param++) {

        if (param->name.len != value[0].len
            || ngx_strncmp(param->name.data, value[0].data, value[0].len)
               != 0)
        {
            continue;
        }

        if (cf->args->nelts - 1 < param->min
            || cf->args->nelts - 1 > param->max)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" takes %ui to %ui values", &value[0],
                               param->min, param->max);
            return NGX_CONF_ERROR;
        }

        return param->set(cf, block, value);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown parameter \"%V\" in llm_provider, expected "
                       "dialect, url, upstream, key_file, "
                       "trusted_certificate, keepalive, stream_usage, "
                       "connect_timeout, send_timeout, read_timeout, "
                       "buffer_size or model", &value[0]);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_sp_llm_dialect(ngx_conf_t *cf, ngx_http_sp_llm_block_t *block,
    ngx_str_t *value)
{
    if (ngx_strcmp(value[1].data, "openai") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown dialect \"%V\", allowed: openai",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    block->provider->dialect = SP_CHAT_OPENAI;

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_llm_url(ngx_conf_t *cf, ngx_http_sp_llm_block_t *block,
    ngx_str_t *value)
{
    size_t                       add;
    ngx_url_t                   *u;
    ngx_http_sp_llm_provider_t  *provider;

    provider = block->provider;
    u = &provider->url;

    if (u->url.data != NULL) {
        return "has a duplicate \"url\"";
    }

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
ngx_http_sp_llm_upstream(ngx_conf_t *cf, ngx_http_sp_llm_block_t *block,
    ngx_str_t *value)
{
    block->provider->upstream_name = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_llm_key_file(ngx_conf_t *cf, ngx_http_sp_llm_block_t *block,
    ngx_str_t *value)
{
    if (block->provider->key.len != 0) {
        return "has a duplicate \"key_file\"";
    }

    return ngx_sp_secret_api_key(cf, &value[1], &block->provider->key)
           == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_sp_llm_trusted(ngx_conf_t *cf, ngx_http_sp_llm_block_t *block,
    ngx_str_t *value)
{
    block->provider->trusted_certificate = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_llm_keepalive(ngx_conf_t *cf, ngx_http_sp_llm_block_t *block,
    ngx_str_t *value)
{
    ngx_int_t  n;

    n = ngx_atoi(value[1].data, value[1].len);

    if (n == NGX_ERROR || n > 10000) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"keepalive\" is \"%V\", expected the number of "
                           "idle connections per worker, 0 to 10000",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    block->provider->keepalive = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_llm_stream_usage(ngx_conf_t *cf, ngx_http_sp_llm_block_t *block,
    ngx_str_t *value)
{
    if (ngx_strcmp(value[1].data, "on") == 0) {
        block->provider->stream_usage = 1;

    } else if (ngx_strcmp(value[1].data, "off") == 0) {
        block->provider->stream_usage = 0;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"stream_usage\" is \"%V\", allowed: on, off",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_llm_connect_timeout(ngx_conf_t *cf,
    ngx_http_sp_llm_block_t *block, ngx_str_t *value)
{
    return ngx_http_sp_llm_timeout(cf, value,
                              &block->provider->upstream.connect_timeout);
}


static char *
ngx_http_sp_llm_send_timeout(ngx_conf_t *cf, ngx_http_sp_llm_block_t *block,
    ngx_str_t *value)
{
    return ngx_http_sp_llm_timeout(cf, value,
                              &block->provider->upstream.send_timeout);
}


static char *
ngx_http_sp_llm_read_timeout(ngx_conf_t *cf, ngx_http_sp_llm_block_t *block,
    ngx_str_t *value)
{
    return ngx_http_sp_llm_timeout(cf, value,
                              &block->provider->upstream.read_timeout);
}


static char *
ngx_http_sp_llm_timeout(ngx_conf_t *cf, ngx_str_t *value, ngx_msec_t *timeout)
{
    ngx_int_t  n;

    n = ngx_parse_time(&value[1], 0);

    if (n == NGX_ERROR || n == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is \"%V\", expected a time above 0",
                           &value[0], &value[1]);
        return NGX_CONF_ERROR;
    }

    *timeout = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_llm_buffer_size(ngx_conf_t *cf, ngx_http_sp_llm_block_t *block,
    ngx_str_t *value)
{
    ssize_t  size;

    size = ngx_parse_size(&value[1]);

    if (size == NGX_ERROR || size < 1024 || size > 1024 * 1024) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"buffer_size\" is \"%V\", expected 1k to 1m",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    block->provider->upstream.buffer_size = size;

    return NGX_CONF_OK;
}


/* model REAL [as=ALIAS] [context=TOKENS] */

static char *
ngx_http_sp_llm_model(ngx_conf_t *cf, ngx_http_sp_llm_block_t *block,
    ngx_str_t *value)
{
    ssize_t                   context;
    ngx_str_t                 alias, size;
    ngx_uint_t                i;
    ngx_http_sp_llm_model_t  *model;

    alias = value[1];
    context = 0;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "as=", 3) == 0 && value[i].len > 3) {
            alias.len = value[i].len - 3;
            alias.data = value[i].data + 3;
            continue;
        }

        if (ngx_strncmp(value[i].data, "context=", 8) == 0) {
            size.len = value[i].len - 8;
            size.data = value[i].data + 8;

            context = ngx_parse_size(&size);

            if (context > 0) {
                continue;
            }
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"model\", expected "
                           "as=ALIAS or context=TOKENS", &value[i]);
        return NGX_CONF_ERROR;
    }

    model = ngx_http_sp_llm_lookup(block->lmcf, &alias);

    if (model != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "model \"%V\" is already served by llm_provider "
                           "\"%V\": choose another name by as=", &alias,
                           &model->provider->name);
        return NGX_CONF_ERROR;
    }

    model = ngx_array_push(&block->lmcf->models);
    if (model == NULL) {
        return NGX_CONF_ERROR;
    }

    model->alias = alias;
    model->name = value[1];
    model->context = context;
    model->provider = block->provider;

    block->models++;

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
