
/*
 * Copyright (C) Sallyport authors
 *
 * How many tokens of context a request gets: the location's, which may be a
 * variable such as a map of the user's tier, and the target's.
 */


#include "ngx_http_sp_llm.h"


/* what comes of a variable all requests have: one line in so many seconds */
#define NGX_HTTP_SP_LLM_CONTEXT_SILENCE  60


struct ngx_http_sp_llm_limit_s {
    ngx_http_complex_value_t  *value;      /* NULL: tokens is all */
    size_t                     tokens;     /* 0: the target's */
};


static ngx_int_t ngx_http_sp_llm_context_tokens(ngx_conf_t *cf,
    const ngx_str_t *arg, const ngx_str_t *text, size_t *tokens);
static void ngx_http_sp_llm_context_wrong(ngx_http_request_t *r,
    const ngx_str_t *value, size_t tokens);


/* llm_context_size TOKENS | $variable [default=TOKENS] */

char *
ngx_http_sp_llm_context_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_llm_loc_conf_t *llcf = conf;

    ngx_str_t                *value, text;
    ngx_http_sp_llm_limit_t  *limit;

    if (llcf->context != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    limit = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_llm_limit_t));
    if (limit == NULL) {
        return NGX_CONF_ERROR;
    }

    llcf->context = limit;

    value = cf->args->elts;

    if (ngx_strlchr(value[1].data, value[1].data + value[1].len, '$')
        != NULL)
    {
        limit->value = ngx_http_sp_complex_value(cf, &value[1]);

        if (limit->value == NULL) {
            return NGX_CONF_ERROR;
        }

    } else if (ngx_http_sp_llm_context_tokens(cf, &value[1], &value[1],
                                              &limit->tokens)
               != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (limit->value == NULL
        || !ngx_sp_conf_arg(&value[2], "default=", &text))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"llm_context_size\":"
                           " allowed is \"default=TOKENS\" after a variable",
                           &value[2]);
        return NGX_CONF_ERROR;
    }

    return (ngx_http_sp_llm_context_tokens(cf, &value[2], &text,
                                           &limit->tokens)
            == NGX_OK) ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_sp_llm_context_tokens(ngx_conf_t *cf, const ngx_str_t *arg,
    const ngx_str_t *text, size_t *tokens)
{
    ssize_t    size;
    ngx_str_t  copy;

    copy = *text;
    size = ngx_parse_size(&copy);

    if (copy.len == 0 || size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" of \"llm_context_size\": "
                           "allowed are tokens, such as 8192 or 8k, and a "
                           "variable", arg);
        return NGX_ERROR;
    }

    *tokens = (size_t) size;

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_llm_context(ngx_http_sp_llm_ctx_t *ctx)
{
    ssize_t                         size;
    ngx_str_t                       value;
    const ngx_http_sp_llm_limit_t  *limit;

    limit = ctx->check.conf->context;

    ctx->context = (limit != NULL) ? limit->tokens : 0;

    if (limit == NULL || limit->value == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(ctx->request, limit->value, &value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a tier that the map does not know */

    if (value.len == 0) {
        return NGX_OK;
    }

    size = ngx_parse_size(&value);

    if (size == NGX_ERROR) {
        ngx_http_sp_llm_context_wrong(ctx->request, &value, limit->tokens);
        return NGX_OK;
    }

    ctx->context = (size_t) size;

    return NGX_OK;
}


static void
ngx_http_sp_llm_context_wrong(ngx_http_request_t *r, const ngx_str_t *value,
    size_t tokens)
{
    static time_t  said;

    if (said != 0 && ngx_time() - said < NGX_HTTP_SP_LLM_CONTEXT_SILENCE) {
        return;
    }

    said = ngx_time();

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "llm: \"llm_context_size\" is no number of tokens: \"%V\", "
                  "its default %uz is used", value, tokens);
}


/*
 * What max_tokens leaves of the context.  5 % stay free where it is not given,
 * for some answer at all, and where tokens are estimated.
 */

void
ngx_http_sp_llm_budget(ngx_http_sp_llm_ctx_t *ctx, sp_prompt_t *prompt)
{
    size_t   context;
    int64_t  answer;

    context = ctx->attempt.target->context;

    if (context == 0 || (ctx->context != 0 && ctx->context < context)) {
        context = ctx->context;
    }

    if (context == 0) {
        return;
    }

    answer = ctx->check.chat->max_tokens;

    if (answer <= 0) {
        answer = ctx->attempt.target->provider->max_tokens;
    }

    if (answer > 0) {
        prompt->margin = context / 20;

    } else {
        answer = (int64_t) (context / 20);
    }

    prompt->budget = ((uint64_t) answer < context) ? context - (size_t) answer
                                                   : 1;
}
