
/*
 * Copyright (C) Sallyport authors
 *
 * What servers of one dialect differ in, as parameters of llm_provider.
 */


#include "ngx_http_sp_core_int.h"


#define NGX_HTTP_SP_API_VERSION  32


static ngx_int_t ngx_http_sp_option_useless(ngx_conf_t *cf,
    const ngx_http_sp_provider_t *provider, const char *name);


/* stream_usage on | off | continuous */

char *
ngx_http_sp_option_stream_usage(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_sp_provider_t *provider = conf;

    ngx_str_t  *value;

    if (provider->stream_usage != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    provider->stream_usage = 1;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        provider->stream_usage = 0;

    } else if (ngx_strcmp(value[1].data, "continuous") == 0) {
        provider->options.continuous_usage = 1;

    } else if (ngx_strcmp(value[1].data, "on") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" of \"stream_usage\", "
                           "expected on, off or continuous", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* max_tokens_name max_tokens | max_completion_tokens */

char *
ngx_http_sp_option_max_tokens(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_provider_t *provider = conf;

    ngx_str_t  *value;

    if (provider->options.max_tokens != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "max_tokens") != 0
        && ngx_strcmp(value[1].data, "max_completion_tokens") != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" of \"max_tokens_name\", "
                           "expected max_tokens or max_completion_tokens",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    provider->options.max_tokens = (char *) value[1].data;

    return NGX_CONF_OK;
}


/* api_version 2024-10-21 */

char *
ngx_http_sp_option_api_version(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_provider_t *provider = conf;

    u_char      c;
    size_t      i;
    ngx_str_t  *value;

    if (provider->options.api_version != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; i < value[1].len; i++) {
        c = value[1].data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-'
              || c == '.'))
        {
            break;
        }
    }

    if (i < value[1].len || i == 0 || i > NGX_HTTP_SP_API_VERSION) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" of \"api_version\", "
                           "expected 1 to %d of a-z, 0-9, \"-\" and \".\"",
                           &value[1], NGX_HTTP_SP_API_VERSION);
        return NGX_CONF_ERROR;
    }

    provider->options.api_version = (char *) value[1].data;
    provider->options.api_version_len = value[1].len;

    return NGX_CONF_OK;
}


/* at the end of the block: those that its dialect does not know */

ngx_int_t
ngx_http_sp_options_check(ngx_conf_t *cf, ngx_http_sp_provider_t *provider)
{
    const sp_dialect_t          *dialect;
    const sp_dialect_options_t  *options;

    dialect = provider->dialect;
    options = &provider->options;

    if (options->api_version != NULL && !dialect->versions) {
        return ngx_http_sp_option_useless(cf, provider, "api_version");
    }

    if (dialect->versions
        && ngx_strnstr(provider->endpoint.path.data, "/openai",
                       provider->endpoint.path.len)
           != NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"url\" of llm_provider \"%V\" must end before "
                           "\"/openai\": dialect \"%s\" adds that",
                           &provider->name, dialect->name);
        return NGX_ERROR;
    }

    if (dialect == &sp_openai || dialect->like == &sp_openai) {
        return NGX_OK;
    }

    if (options->max_tokens != NULL) {
        return ngx_http_sp_option_useless(cf, provider, "max_tokens_name");
    }

    if (options->continuous_usage) {
        return ngx_http_sp_option_useless(cf, provider,
                                          "stream_usage continuous");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_option_useless(ngx_conf_t *cf,
    const ngx_http_sp_provider_t *provider, const char *name)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%s\" of llm_provider \"%V\" has no effect with "
                       "dialect \"%s\"", name, &provider->name,
                       provider->dialect->name);

    return NGX_ERROR;
}
