
/*
 * Copyright (C) Sallyport authors
 *
 * Hints of a provider about the next try: Retry-After, retry-after-ms and
 * x-should-retry, which the SDKs of OpenAI and Anthropic obey.  They decide
 * how long a key or a target cools down, and go to the client where the
 * failure does.
 */


#include "ngx_http_sp_llm.h"


ngx_int_t
ngx_http_sp_llm_retry_after(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *value)
{
    if (!ctx->attempt.retry_ms) {
        ctx->attempt.entry->retry_after = ngx_http_sp_retry_hint(value, 0);
    }

    return NGX_OK;
}


/* the finer one counts, as it does for the SDKs */

ngx_int_t
ngx_http_sp_llm_retry_after_ms(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *value)
{
    ngx_msec_t  hint;

    hint = ngx_http_sp_retry_hint(value, 1);

    if (hint != 0) {
        ctx->attempt.entry->retry_after = hint;
        ctx->attempt.retry_ms = 1;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_llm_should_retry(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *value)
{
    if (value->len == 4
        && ngx_strncasecmp(value->data, (u_char *) "true", 4) == 0)
    {
        ngx_str_set(&ctx->attempt.should_retry, "true");

    } else if (value->len == 5
               && ngx_strncasecmp(value->data, (u_char *) "false", 5) == 0)
    {
        ngx_str_set(&ctx->attempt.should_retry, "false");
    }

    return NGX_OK;
}


/*
 * Of the failure that is answered.  One that says nothing has the time after
 * which a target of the model is ready; one that only the operator can mend
 * is not worth a try.
 */

ngx_int_t
ngx_http_sp_llm_pass_retry(ngx_http_sp_llm_ctx_t *ctx, ngx_uint_t status)
{
    ngx_str_t            value;
    ngx_msec_t           wait;
    ngx_http_request_t  *r;

    r = ctx->request;
    wait = ctx->attempt.entry->retry_after;

    if (ctx->attempt.retry_ms) {
        value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.len = ngx_sprintf(value.data, "%M", wait) - value.data;

        if (ngx_http_sp_add_header(r, "retry-after-ms", &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (wait == 0 && (status == NGX_HTTP_TOO_MANY_REQUESTS
                      || status == NGX_HTTP_SERVICE_UNAVAILABLE))
    {
        wait = ngx_max(ngx_http_sp_route_wait(ctx->check.model), 1);
    }

    if (wait != 0
        && ngx_http_sp_retry_after(r, (time_t) ((wait + 999) / 1000))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->attempt.failure == NGX_HTTP_SP_FAILURE_CREDENTIALS
        || ctx->attempt.failure == NGX_HTTP_SP_FAILURE_NOT_FOUND)
    {
        ngx_str_set(&ctx->attempt.should_retry, "false");
    }

    if (ctx->attempt.should_retry.len == 0) {
        return NGX_OK;
    }

    return ngx_http_sp_add_header(r, "x-should-retry",
                                  &ctx->attempt.should_retry);
}
