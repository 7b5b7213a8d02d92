
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
static ngx_int_t ngx_http_sp_llm_model_arg(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_str_t *alias, ngx_http_sp_llm_target_t *target);
static char *ngx_http_sp_llm_add_target(ngx_conf_t *cf,
    ngx_http_sp_llm_model_t *model, const ngx_http_sp_llm_target_t *target);


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
      offsetof(ngx_http_sp_llm_provider_t, endpoint.upstream_name), NULL },

    { ngx_string("key_file"), NGX_CONF_TAKE1, ngx_http_sp_llm_key_file, 0,
      0, NULL },

    { ngx_string("trusted_certificate"), NGX_CONF_TAKE1, ngx_conf_set_str_slot,
      0, offsetof(ngx_http_sp_llm_provider_t,
               endpoint.trusted_certificate), NULL },

    { ngx_string("keepalive"), NGX_CONF_TAKE1, ngx_sp_conf_number_slot, 0,
      offsetof(ngx_http_sp_llm_provider_t, endpoint.keepalive),
      &ngx_http_sp_llm_keepalive },

    { ngx_string("stream_usage"), NGX_CONF_FLAG, ngx_conf_set_flag_slot, 0,
      offsetof(ngx_http_sp_llm_provider_t, stream_usage), NULL },

    { ngx_string("connect_timeout"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_http_sp_llm_provider_t, endpoint.upstream.connect_timeout),
      &ngx_http_sp_llm_timeout },

    { ngx_string("send_timeout"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_http_sp_llm_provider_t, endpoint.upstream.send_timeout),
      &ngx_http_sp_llm_timeout },

    { ngx_string("read_timeout"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_http_sp_llm_provider_t, endpoint.upstream.read_timeout),
      &ngx_http_sp_llm_timeout },

    { ngx_string("buffer_size"), NGX_CONF_TAKE1, ngx_sp_conf_size_slot, 0,
      offsetof(ngx_http_sp_llm_provider_t, endpoint.upstream.buffer_size),
      &ngx_http_sp_llm_buffer },

    { ngx_string("model"), NGX_CONF_TAKE1234|NGX_CONF_TAKE5,
      ngx_http_sp_llm_model, 0, 0, NULL },

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
    u_char                       *p;
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

    /* it shows in logs */

    p = ngx_pnalloc(cf->pool, sizeof("llm_provider ") + value[1].len);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    created->endpoint.name.data = p;
    created->endpoint.name.len = ngx_sprintf(p, "llm_provider %V%Z",
                                             &value[1])
                                 - p - 1;

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
    provider->endpoint.keepalive = NGX_CONF_UNSET;
    provider->stream_usage = NGX_CONF_UNSET;

    ucf = &provider->endpoint.upstream;

    ucf->connect_timeout = NGX_CONF_UNSET_MSEC;
    ucf->send_timeout = NGX_CONF_UNSET_MSEC;
    ucf->read_timeout = NGX_CONF_UNSET_MSEC;
    ucf->buffer_size = NGX_CONF_UNSET_SIZE;

    ngx_str_set(&ucf->module, "llm");

    return provider;
}


static char *
ngx_http_sp_llm_end_provider(ngx_conf_t *cf,
    ngx_http_sp_llm_main_conf_t *lmcf, ngx_http_sp_llm_provider_t *provider)
{
    ngx_http_upstream_conf_t  *ucf;

    ucf = &provider->endpoint.upstream;

    if (provider->endpoint.url.url.data == NULL) {
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

    if (provider->endpoint.trusted_certificate.len != 0
        && !provider->endpoint.ssl)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"trusted_certificate\" of llm_provider \"%V\" "
                           "has no effect: its \"url\" is not https",
                           &provider->name);
        return NGX_CONF_ERROR;
    }

    if (provider->endpoint.upstream_name.len != 0
        && provider->endpoint.keepalive != NGX_CONF_UNSET)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"keepalive\" of llm_provider \"%V\" has no "
                           "effect: set it in upstream \"%V\"",
                           &provider->name, &provider->endpoint.upstream_name);
        return NGX_CONF_ERROR;
    }

    ngx_conf_init_value(provider->endpoint.keepalive,
                        NGX_HTTP_SP_LLM_KEEPALIVE);
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

    return ngx_http_sp_relay_connect(cf, &provider->endpoint) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
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
    sp_out_put(out, (char *) provider->endpoint.host.data,
               provider->endpoint.host.len);
    sp_out_str(out, CRLF "Content-Type: application/json" CRLF
                    "Accept-Encoding: identity" CRLF
                    "User-Agent: sallyport" CRLF);

    provider->dialect->write_headers((char *) provider->key.data,
                                     provider->key.len, out);

    if (provider->endpoint.keepalive == 0) {
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

    ngx_str_t  *value;

    if (provider->endpoint.url.url.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    return ngx_http_sp_relay_url(cf, &provider->endpoint, &value[1])
           == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
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


/* model REAL [as=ALIAS] [context=TOKENS] [weight=NUMBER] [backup] */

static char *
ngx_http_sp_llm_model(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_llm_provider_t *provider = conf;

    ngx_str_t                    *value, alias;
    ngx_uint_t                    i;
    ngx_http_sp_llm_model_t      *model;
    ngx_http_sp_llm_target_t      target;
    ngx_http_sp_llm_main_conf_t  *lmcf;

    value = cf->args->elts;
    alias = value[1];

    ngx_memzero(&target, sizeof(ngx_http_sp_llm_target_t));

    target.name = value[1];
    target.provider = provider;
    target.weight = 1;

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_sp_llm_model_arg(cf, &value[i], &alias, &target)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_llm_module);
    model = ngx_http_sp_llm_lookup(lmcf, &alias);

    if (model == NULL) {
        model = ngx_array_push(&lmcf->models);

        if (model == NULL
            || ngx_array_init(&model->targets, cf->pool, 2,
                              sizeof(ngx_http_sp_llm_target_t))
               != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        model->alias = alias;
    }

    provider->models++;

    return ngx_http_sp_llm_add_target(cf, model, &target);
}


static ngx_int_t
ngx_http_sp_llm_model_arg(ngx_conf_t *cf, ngx_str_t *arg, ngx_str_t *alias,
    ngx_http_sp_llm_target_t *target)
{
    ssize_t    context;
    ngx_str_t  text;

    if (ngx_sp_conf_arg(arg, "as=", &text) && text.len != 0) {
        *alias = text;
        return NGX_OK;
    }

    if (ngx_sp_conf_arg(arg, "context=", &text)) {
        context = ngx_parse_size(&text);

        if (context > 0) {
            target->context = context;
            return NGX_OK;
        }
    }

    if (ngx_sp_conf_arg(arg, "weight=", &text)) {
        return ngx_sp_conf_number(cf, "model", "weight=", &text, 1, 1000,
                                  &target->weight);
    }

    if (ngx_strcmp(arg->data, "backup") == 0) {
        target->backup = 1;
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"model\", expected "
                       "as=ALIAS, context=TOKENS, weight=NUMBER or backup",
                       arg);

    return NGX_ERROR;
}


/* an alias of several targets: where one fails the next one is asked */

static char *
ngx_http_sp_llm_add_target(ngx_conf_t *cf, ngx_http_sp_llm_model_t *model,
    const ngx_http_sp_llm_target_t *target)
{
    ngx_uint_t                 i;
    ngx_http_sp_llm_target_t  *t;

    t = model->targets.elts;

    for (i = 0; i < model->targets.nelts; i++) {
        if (t[i].provider == target->provider
            && t[i].name.len == target->name.len
            && ngx_memcmp(t[i].name.data, target->name.data, t[i].name.len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "model \"%V\" is named twice for \"%V\" in "
                               "llm_provider \"%V\"", &target->name,
                               &model->alias, &target->provider->name);
            return NGX_CONF_ERROR;
        }
    }

    if (model->targets.nelts == NGX_HTTP_SP_LLM_TARGETS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" has more than %d models",
                           &model->alias, NGX_HTTP_SP_LLM_TARGETS);
        return NGX_CONF_ERROR;
    }

    t = ngx_array_push(&model->targets);
    if (t == NULL) {
        return NGX_CONF_ERROR;
    }

    *t = *target;

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
