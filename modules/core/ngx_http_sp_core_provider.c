
/*
 * Copyright (C) Sallyport authors
 *
 * llm_provider NAME { ... }
 */


#include "ngx_http_sp_core_int.h"


/* idle connections per worker and provider */
#define NGX_HTTP_SP_PROVIDER_KEEPALIVE  32


static ngx_http_sp_provider_t *ngx_http_sp_provider_create(ngx_conf_t *cf);
static char *ngx_http_sp_provider_end(ngx_conf_t *cf,
    ngx_http_sp_provider_t *provider);
static ngx_int_t ngx_http_sp_provider_check(ngx_conf_t *cf,
    ngx_http_sp_provider_t *provider);
static ngx_int_t ngx_http_sp_provider_keys(ngx_conf_t *cf,
    ngx_http_sp_provider_t *provider);
static ngx_int_t ngx_http_sp_provider_headers(ngx_conf_t *cf,
    ngx_http_sp_provider_t *provider, ngx_http_sp_key_t *key);
static void ngx_http_sp_provider_write_headers(
    ngx_http_sp_provider_t *provider, const ngx_http_sp_key_t *key,
    sp_out_t *out);
static ngx_int_t ngx_http_sp_provider_lines(ngx_conf_t *cf,
    ngx_http_sp_provider_t *provider, ngx_http_sp_key_t *key);
static ngx_int_t ngx_http_sp_provider_failures(ngx_conf_t *cf,
    ngx_http_sp_provider_t *provider);
static char *ngx_http_sp_provider_dialect(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_provider_url(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_sp_conf_bounds_t  ngx_http_sp_provider_keepalive = {
    0, 10000, "the number of idle connections per worker, 0 to 10000"
};

static ngx_sp_conf_bounds_t  ngx_http_sp_provider_max_tokens = {
    1, 10000000, "the most tokens of an answer, 1 to 10000000"
};

static ngx_sp_conf_bounds_t  ngx_http_sp_provider_timeout = {
    1, NGX_MAX_INT_T_VALUE, "a time above 0"
};

static ngx_sp_conf_bounds_t  ngx_http_sp_provider_fails = {
    0, 1000, "the number of failures that open the breaker, 0 to 1000"
};

static ngx_sp_conf_bounds_t  ngx_http_sp_provider_fail_timeout = {
    10, 3600 * 1000, "a time from 10ms to 1h"
};

static ngx_sp_conf_bounds_t  ngx_http_sp_provider_cooldown = {
    0, 3600 * 1000, "a time up to 1h, or 0"
};

static ngx_sp_conf_bounds_t  ngx_http_sp_provider_buffer = {
    1024, 1024 * 1024, "1k to 1m"
};


static ngx_sp_conf_setting_t  ngx_http_sp_provider_params[] = {

    { ngx_string("dialect"), NGX_CONF_TAKE1, ngx_http_sp_provider_dialect, 0,
      0, NULL },

    { ngx_string("url"), NGX_CONF_TAKE1, ngx_http_sp_provider_url, 0,
      0, NULL },

    { ngx_string("upstream"), NGX_CONF_TAKE1, ngx_conf_set_str_slot, 0,
      offsetof(ngx_http_sp_provider_t, endpoint.upstream_name), NULL },

    { ngx_string("key_file"), NGX_CONF_TAKE1, ngx_http_sp_key_file, 0,
      0, NULL },

    { ngx_string("trusted_certificate"), NGX_CONF_TAKE1, ngx_conf_set_str_slot,
      0, offsetof(ngx_http_sp_provider_t,
               endpoint.trusted_certificate), NULL },

    { ngx_string("keepalive"), NGX_CONF_TAKE1, ngx_sp_conf_number_slot, 0,
      offsetof(ngx_http_sp_provider_t, endpoint.keepalive),
      &ngx_http_sp_provider_keepalive },

    { ngx_string("stream_usage"), NGX_CONF_TAKE1,
      ngx_http_sp_option_stream_usage, 0, 0, NULL },

    { ngx_string("max_tokens_name"), NGX_CONF_TAKE1,
      ngx_http_sp_option_max_tokens, 0, 0, NULL },

    { ngx_string("api_version"), NGX_CONF_TAKE1,
      ngx_http_sp_option_api_version, 0, 0, NULL },

    { ngx_string("max_tokens"), NGX_CONF_TAKE1, ngx_sp_conf_number_slot, 0,
      offsetof(ngx_http_sp_provider_t, max_tokens),
      &ngx_http_sp_provider_max_tokens },

    { ngx_string("connect_timeout"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_http_sp_provider_t, endpoint.upstream.connect_timeout),
      &ngx_http_sp_provider_timeout },

    { ngx_string("send_timeout"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_http_sp_provider_t, endpoint.upstream.send_timeout),
      &ngx_http_sp_provider_timeout },

    { ngx_string("first_byte_timeout"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot,
      0, offsetof(ngx_http_sp_provider_t, endpoint.upstream.read_timeout),
      &ngx_http_sp_provider_timeout },

    { ngx_string("read_timeout"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_http_sp_provider_t, endpoint.read_timeout),
      &ngx_http_sp_provider_timeout },

    { ngx_string("total_timeout"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_http_sp_provider_t, endpoint.total_timeout),
      &ngx_http_sp_provider_timeout },

    { ngx_string("max_fails"), NGX_CONF_TAKE1, ngx_sp_conf_number_slot, 0,
      offsetof(ngx_http_sp_provider_t, max_fails),
      &ngx_http_sp_provider_fails },

    { ngx_string("fail_timeout"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_http_sp_provider_t, fail_timeout),
      &ngx_http_sp_provider_fail_timeout },

    { ngx_string("cooldown"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_http_sp_provider_t, cooldown),
      &ngx_http_sp_provider_cooldown },

    { ngx_string("buffer_size"), NGX_CONF_TAKE1, ngx_sp_conf_size_slot, 0,
      offsetof(ngx_http_sp_provider_t, endpoint.upstream.buffer_size),
      &ngx_http_sp_provider_buffer },

    { ngx_string("model"), NGX_CONF_1MORE, ngx_http_sp_model_conf, 0,
      0, NULL },

      ngx_null_command
};


#define NGX_HTTP_SP_PROVIDER_REQUESTS                                         \
    "sallyport_llm_requests_total",                                           \
    "Requests sent to a provider, by what for and how they ended."

#define NGX_HTTP_SP_PROVIDER_TOKENS                                           \
    "sallyport_llm_tokens_total",                                             \
    "Tokens by what for, reported or, of requests, estimated."

#define NGX_HTTP_SP_PROVIDER_COST                                             \
    "sallyport_llm_cost_nano_total",                                          \
    "What was spent by the prices of the models, in 10^-9 of llm_currency."

#define ngx_http_sp_provider_slots(call, kind)                                \
    { NGX_SP_COUNTER, NGX_HTTP_SP_PROVIDER_REQUESTS,                          \
      "kind=\"" kind "\",outcome=\"complete\"",                               \
      offsetof(ngx_http_sp_provider_t, calls[call].complete) },               \
    { NGX_SP_COUNTER, NGX_HTTP_SP_PROVIDER_REQUESTS,                          \
      "kind=\"" kind "\",outcome=\"failed\"",                                 \
      offsetof(ngx_http_sp_provider_t, calls[call].failed) },                 \
    { NGX_SP_COUNTER, NGX_HTTP_SP_PROVIDER_TOKENS,                            \
      "kind=\"" kind "\",type=\"prompt\"",                                    \
      offsetof(ngx_http_sp_provider_t, calls[call].prompt_tokens) },          \
    { NGX_SP_COUNTER, NGX_HTTP_SP_PROVIDER_TOKENS,                            \
      "kind=\"" kind "\",type=\"completion\"",                                \
      offsetof(ngx_http_sp_provider_t, calls[call].completion_tokens) },      \
    { NGX_SP_COUNTER, NGX_HTTP_SP_PROVIDER_TOKENS,                            \
      "kind=\"" kind "\",type=\"cached\"",                                    \
      offsetof(ngx_http_sp_provider_t, calls[call].cached_tokens) },          \
    { NGX_SP_COUNTER, NGX_HTTP_SP_PROVIDER_TOKENS,                            \
      "kind=\"" kind "\",type=\"reasoning\"",                                 \
      offsetof(ngx_http_sp_provider_t, calls[call].reasoning_tokens) },       \
    { NGX_SP_COUNTER, NGX_HTTP_SP_PROVIDER_COST,                              \
      "kind=\"" kind "\"",                                                    \
      offsetof(ngx_http_sp_provider_t, calls[call].cost) }


static const ngx_sp_metric_slot_t  ngx_http_sp_provider_metrics[] = {

    ngx_http_sp_provider_slots(NGX_HTTP_SP_CALL_CHAT, "chat"),

    { NGX_SP_COUNTER, NGX_HTTP_SP_PROVIDER_REQUESTS,
      "kind=\"chat\",outcome=\"partial\"",
      offsetof(ngx_http_sp_provider_t,
               calls[NGX_HTTP_SP_CALL_CHAT].partial) },

    ngx_http_sp_provider_slots(NGX_HTTP_SP_CALL_EMBEDDING, "embedding"),
    ngx_http_sp_provider_slots(NGX_HTTP_SP_CALL_EXTRACTION, "extraction"),
    ngx_http_sp_provider_slots(NGX_HTTP_SP_CALL_IMAGE, "image"),
    ngx_http_sp_provider_slots(NGX_HTTP_SP_CALL_SPEECH, "speech"),
    ngx_http_sp_provider_slots(NGX_HTTP_SP_CALL_TRANSCRIPTION,
                               "transcription"),

    { NGX_SP_COUNTER, NGX_HTTP_SP_PROVIDER_REQUESTS,
      "kind=\"speech\",outcome=\"partial\"",
      offsetof(ngx_http_sp_provider_t,
               calls[NGX_HTTP_SP_CALL_SPEECH].partial) },

    { NGX_SP_COUNTER, NGX_HTTP_SP_PROVIDER_REQUESTS,
      "kind=\"transcription\",outcome=\"partial\"",
      offsetof(ngx_http_sp_provider_t,
               calls[NGX_HTTP_SP_CALL_TRANSCRIPTION].partial) },

    { NGX_SP_COUNTER, "sallyport_llm_unterminated_total",
      "Complete streams that a provider ended without saying so.", "",
      offsetof(ngx_http_sp_provider_t, unterminated) },

    { NGX_SP_COUNTER, NULL, NULL, NULL, 0 }
};


char *
ngx_http_sp_provider_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_core_main_conf_t *mcf = conf;

    char                     *rv;
    u_char                   *p;
    ngx_str_t                *value;
    ngx_uint_t                i;
    ngx_http_sp_provider_t   *created, **provider;

    value = cf->args->elts;

    provider = mcf->providers.elts;

    for (i = 0; i < mcf->providers.nelts; i++) {
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

    provider = ngx_array_push(&mcf->providers);
    if (provider == NULL) {
        return NGX_CONF_ERROR;
    }

    created = ngx_http_sp_provider_create(cf);
    if (created == NULL) {
        return NGX_CONF_ERROR;
    }

    *provider = created;
    created->name = value[1];

    /* it shows in logs */

    p = ngx_pnalloc(cf->pool, sizeof("llm_provider ") + value[1].len);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    created->endpoint.name.data = p;
    created->endpoint.name.len = ngx_sprintf(p, "llm_provider %V%Z",
                                             &value[1])
                                 - p - 1;

    rv = ngx_sp_conf_block(cf, ngx_http_sp_provider_params, created);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_sp_provider_end(cf, created);
}


static ngx_http_sp_provider_t *
ngx_http_sp_provider_create(ngx_conf_t *cf)
{
    ngx_http_upstream_conf_t  *ucf;
    ngx_http_sp_provider_t    *provider;

    /*
     * set by ngx_pcalloc():
     *
     *     every string, ssl, url, models, and of upstream: buffering,
     *     ignore_client_abort, pass_request_headers, next_upstream_tries,
     *     next_upstream_timeout, cache, store, local = 0 or NULL
     */

    provider = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_provider_t));
    if (provider == NULL) {
        return NULL;
    }

    provider->dialect = &sp_openai;
    provider->endpoint.keepalive = NGX_CONF_UNSET;
    provider->stream_usage = NGX_CONF_UNSET;
    provider->max_tokens = NGX_CONF_UNSET;
    provider->max_fails = NGX_CONF_UNSET_UINT;
    provider->fail_timeout = NGX_CONF_UNSET_MSEC;
    provider->cooldown = NGX_CONF_UNSET_MSEC;
    provider->endpoint.read_timeout = NGX_CONF_UNSET_MSEC;
    provider->endpoint.total_timeout = NGX_CONF_UNSET_MSEC;

    if (ngx_array_init(&provider->keys, cf->pool, 1,
                       sizeof(ngx_http_sp_key_t))
        != NGX_OK)
    {
        return NULL;
    }

    ucf = &provider->endpoint.upstream;

    ucf->connect_timeout = NGX_CONF_UNSET_MSEC;
    ucf->send_timeout = NGX_CONF_UNSET_MSEC;
    ucf->read_timeout = NGX_CONF_UNSET_MSEC;
    ucf->buffer_size = NGX_CONF_UNSET_SIZE;

    ngx_str_set(&ucf->module, "llm");

    return provider;
}


static char *
ngx_http_sp_provider_end(ngx_conf_t *cf, ngx_http_sp_provider_t *provider)
{
    ngx_http_upstream_conf_t  *ucf;

    if (ngx_http_sp_provider_check(cf, provider) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ucf = &provider->endpoint.upstream;

    ngx_conf_init_value(provider->endpoint.keepalive,
                        NGX_HTTP_SP_PROVIDER_KEEPALIVE);
    ngx_conf_init_value(provider->stream_usage, 1);
    ngx_conf_init_value(provider->max_tokens,
                        (ngx_int_t) provider->dialect->max_tokens);
    ngx_conf_init_uint_value(provider->max_fails, 5);
    ngx_conf_init_msec_value(provider->fail_timeout, 10000);
    ngx_conf_init_msec_value(provider->cooldown, 30000);

    ngx_conf_init_msec_value(ucf->connect_timeout, 5000);
    ngx_conf_init_msec_value(ucf->send_timeout, 30000);
    ngx_conf_init_msec_value(provider->endpoint.read_timeout, 120000);
    ngx_conf_init_msec_value(provider->endpoint.total_timeout, 1800000);
    ngx_conf_init_msec_value(ucf->read_timeout,
                             provider->endpoint.read_timeout);
    ngx_conf_init_size_value(ucf->buffer_size, 32768);

    if (ngx_http_sp_provider_keys(cf, provider) != NGX_OK
        || ngx_http_sp_provider_failures(cf, provider) != NGX_OK
        || ngx_http_sp_add_metrics(cf, ngx_http_sp_provider_metrics, provider,
                                   "provider", &provider->name)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_sp_relay_connect(cf, &provider->endpoint) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_sp_provider_check(ngx_conf_t *cf, ngx_http_sp_provider_t *provider)
{
    ngx_uint_t  kind, has[NGX_HTTP_SP_MODEL_KINDS];

    has[NGX_HTTP_SP_MODEL_CHAT] = 1;
    has[NGX_HTTP_SP_MODEL_EMBEDDING] = provider->dialect->write_embed != NULL;
    has[NGX_HTTP_SP_MODEL_IMAGE] = provider->dialect->images != NULL;
    has[NGX_HTTP_SP_MODEL_SPEECH] = provider->dialect->speech != NULL;
    has[NGX_HTTP_SP_MODEL_TRANSCRIPTION] =
                                   provider->dialect->transcriptions != NULL;

    if (provider->endpoint.url.url.data == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "llm_provider \"%V\" has no \"url\"",
                           &provider->name);
        return NGX_ERROR;
    }

    if (provider->models == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "llm_provider \"%V\" has no \"model\"",
                           &provider->name);
        return NGX_ERROR;
    }

    for (kind = 0; kind < NGX_HTTP_SP_MODEL_KINDS; kind++) {

        if ((provider->kinds & (1 << kind)) && !has[kind]) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "llm_provider \"%V\" cannot have a model with "
                               "kind=%s: dialect \"%s\" has none",
                               &provider->name, ngx_http_sp_model_kind(kind),
                               provider->dialect->name);
            return NGX_ERROR;
        }
    }

    if (provider->max_tokens != NGX_CONF_UNSET
        && provider->dialect->max_tokens == 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"max_tokens\" of llm_provider \"%V\" has no "
                           "effect: requests of dialect \"%s\" need none",
                           &provider->name, provider->dialect->name);
        return NGX_ERROR;
    }

    if (ngx_http_sp_options_check(cf, provider) != NGX_OK) {
        return NGX_ERROR;
    }

    if (provider->endpoint.trusted_certificate.len != 0
        && !provider->endpoint.ssl)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"trusted_certificate\" of llm_provider \"%V\" "
                           "has no effect: its \"url\" is not https",
                           &provider->name);
        return NGX_ERROR;
    }

    if (provider->endpoint.upstream_name.len != 0
        && provider->endpoint.keepalive != NGX_CONF_UNSET)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"keepalive\" of llm_provider \"%V\" has no "
                           "effect: set it in upstream \"%V\"",
                           &provider->name, &provider->endpoint.upstream_name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* what requests say with each key */

static ngx_int_t
ngx_http_sp_provider_keys(ngx_conf_t *cf, ngx_http_sp_provider_t *provider)
{
    ngx_uint_t          i;
    ngx_http_sp_key_t  *key;

    if (provider->keys.nelts == 0
        && ngx_http_sp_key_add(provider) == NULL)
    {
        return NGX_ERROR;
    }

    key = provider->keys.elts;

    for (i = 0; i < provider->keys.nelts; i++) {
        if (ngx_http_sp_provider_headers(cf, provider, &key[i]) != NGX_OK
            || ngx_http_sp_provider_lines(cf, provider, &key[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* the part of the request header that never changes */

static ngx_int_t
ngx_http_sp_provider_headers(ngx_conf_t *cf,
    ngx_http_sp_provider_t *provider, ngx_http_sp_key_t *key)
{
    sp_out_t  out;

    ngx_memzero(&out, sizeof(sp_out_t));

    ngx_http_sp_provider_write_headers(provider, key, &out);

    out.dst = ngx_pnalloc(cf->pool, out.len);
    if (out.dst == NULL) {
        return NGX_ERROR;
    }

    out.size = out.len;
    out.len = 0;

    ngx_http_sp_provider_write_headers(provider, key, &out);

    key->headers.data = (u_char *) out.dst;
    key->headers.len = out.len;

    return NGX_OK;
}


static void
ngx_http_sp_provider_write_headers(ngx_http_sp_provider_t *provider,
    const ngx_http_sp_key_t *key, sp_out_t *out)
{
    sp_out_str(out, "Host: ");
    sp_out_put(out, (char *) provider->endpoint.host.data,
               provider->endpoint.host.len);
    sp_out_str(out, CRLF "Content-Type: application/json" CRLF
                    "Accept-Encoding: identity" CRLF
                    "User-Agent: sallyport" CRLF);

    provider->dialect->write_headers((char *) key->value.data,
                                     key->value.len, out);

    if (provider->endpoint.keepalive == 0) {
        sp_out_str(out, "Connection: close" CRLF);
    }
}


/* the same for a fetch, which writes the rest itself */

static ngx_int_t
ngx_http_sp_provider_lines(ngx_conf_t *cf, ngx_http_sp_provider_t *provider,
    ngx_http_sp_key_t *key)
{
    u_char    *p, *last, *end;
    sp_out_t   out;

    ngx_memzero(&out, sizeof(sp_out_t));

    provider->dialect->write_headers((char *) key->value.data,
                                     key->value.len, &out);

    out.dst = ngx_pnalloc(cf->pool, out.len + 1);
    if (out.dst == NULL) {
        return NGX_ERROR;
    }

    out.size = out.len;
    out.len = 0;

    provider->dialect->write_headers((char *) key->value.data,
                                     key->value.len, &out);

    ngx_str_set(&key->lines[0], "Content-Type: application/json");
    key->nlines = 1;

    p = (u_char *) out.dst;
    last = p + out.len;

    while (p < last && key->nlines < NGX_HTTP_SP_PROVIDER_HEADERS) {

        end = ngx_strlchr(p, last, CR);

        if (end == NULL) {
            break;
        }

        key->lines[key->nlines].data = p;
        key->lines[key->nlines].len = end - p;
        key->nlines++;

        p = end + 2;
    }

    return (p == last) ? NGX_OK : NGX_ERROR;
}


static char *
ngx_http_sp_provider_dialect(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_provider_t *provider = conf;

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
ngx_http_sp_provider_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_provider_t *provider = conf;

    ngx_str_t  *value;

    if (provider->endpoint.url.url.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    provider->url = value[1];

    while (provider->url.len != 0
           && provider->url.data[provider->url.len - 1] == '/')
    {
        provider->url.len--;
    }

    return ngx_http_sp_relay_url(cf, &provider->endpoint, &value[1])
           == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* its failures by class */

static ngx_int_t
ngx_http_sp_provider_failures(ngx_conf_t *cf,
    ngx_http_sp_provider_t *provider)
{
    u_char      *p;
    size_t       size;
    ngx_str_t    labels;
    ngx_uint_t   i;
    const char  *name;

    for (i = NGX_HTTP_SP_FAILURE_NONE + 1; i < NGX_HTTP_SP_FAILURES; i++) {

        name = ngx_http_sp_failure_name((ngx_http_sp_failure_e) i);
        size = sizeof("provider=\"\",class=\"\"") + provider->name.len
               + ngx_strlen(name);

        p = ngx_pnalloc(cf->pool, size);
        if (p == NULL) {
            return NGX_ERROR;
        }

        labels.data = p;
        labels.len = ngx_sprintf(p, "provider=\"%V\",class=\"%s\"",
                                 &provider->name, name)
                     - p;

        provider->failures[i] = ngx_http_sp_add_metric(cf, NGX_SP_COUNTER,
            "sallyport_llm_failures_total",
            "Tries at a provider that failed, by why.", &labels);

        if (provider->failures[i] == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_http_sp_providers_watch(ngx_http_sp_core_main_conf_t *mcf)
{
    ngx_uint_t                i;
    ngx_http_sp_provider_t  **provider;

    provider = mcf->providers.elts;

    for (i = 0; i < mcf->providers.nelts; i++) {
        ngx_http_sp_relay_watch(&provider[i]->endpoint);
    }
}


void
ngx_http_sp_providers_exit_process(ngx_http_sp_core_main_conf_t *mcf)
{
    ngx_uint_t                i;
    ngx_http_sp_provider_t  **provider;

    provider = mcf->providers.elts;

    for (i = 0; i < mcf->providers.nelts; i++) {
        ngx_http_sp_relay_disconnect(&provider[i]->endpoint);
    }
}
