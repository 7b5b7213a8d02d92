
/*
 * Copyright (C) Sallyport authors
 *
 * RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers) on
 * every answer, and the 429.
 */

#include "ngx_http_sp_quota.h"


/* "requests-31622400";r=1000000000;t=31622400, */
#define NGX_HTTP_SP_QUOTA_ITEM  64


static int64_t ngx_http_sp_quota_seconds(int64_t us);
static ngx_int_t ngx_http_sp_quota_details(ngx_http_request_t *r,
    const ngx_http_sp_quota_ctx_t *ctx, int64_t retry, ngx_str_t *details);
static ngx_uint_t ngx_http_sp_quota_tightest(
    const ngx_http_sp_quota_ctx_t *ctx);
static u_char *ngx_http_sp_quota_item(u_char *p,
    const ngx_http_sp_quota_ctx_t *ctx, ngx_uint_t i);


ngx_int_t
ngx_http_sp_quota_headers(ngx_http_request_t *r,
    const ngx_http_sp_quota_ctx_t *ctx)
{
    u_char      *p;
    ngx_str_t    value;
    ngx_uint_t   first, i;

    p = ngx_pnalloc(r->pool, ctx->policy->nlimits * NGX_HTTP_SP_QUOTA_ITEM);
    if (p == NULL) {
        return NGX_ERROR;
    }

    first = ngx_http_sp_quota_tightest(ctx);

    value.data = p;
    p = ngx_http_sp_quota_item(p, ctx, first);

    for (i = 0; i < ctx->policy->nlimits; i++) {
        if (i != first) {
            *p++ = ',';
            *p++ = ' ';
            p = ngx_http_sp_quota_item(p, ctx, i);
        }
    }

    value.len = p - value.data;

    if (ngx_http_sp_add_header(r, "RateLimit-Policy", &ctx->policy->header)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sp_add_header(r, "RateLimit", &value);
}


ngx_int_t
ngx_http_sp_quota_deny(ngx_http_request_t *r,
    const ngx_http_sp_quota_ctx_t *ctx)
{
    int64_t     retry;
    ngx_int_t   rc;
    ngx_str_t   details;
    ngx_uint_t  i;

    const ngx_http_sp_quota_limit_t  *worst;

    worst = &ctx->policy->limits[0];
    retry = 0;

    for (i = 0; i < ctx->policy->nlimits; i++) {
        if (!ctx->results[i].allowed && ctx->results[i].retry >= retry) {
            retry = ctx->results[i].retry;
            worst = &ctx->policy->limits[i];
        }
    }

    retry = ngx_max(ngx_http_sp_quota_seconds(retry), 1);

    /* up to a tenth later, so that not all come back in the same second */

    if (ngx_http_sp_quota_details(r, ctx, retry, &details) != NGX_OK
        || ngx_http_sp_quota_headers(r, ctx) != NGX_OK
        || ngx_http_sp_retry_after(r, (time_t) retry
                                      + ngx_random()
                                        % ((ngx_uint_t) retry / 10 + 2))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (worst->window != 0) {
        rc = ngx_http_sp_error(r, NGX_HTTP_TOO_MANY_REQUESTS,
                               "quota_exceeded",
                               "more than %i requests in %i seconds, "
                               "try again in %L s",
                               worst->units, worst->window, retry);

    } else {
        rc = ngx_http_sp_error(r, NGX_HTTP_TOO_MANY_REQUESTS,
                               "quota_exceeded",
                               "more than %i requests at once, try again "
                               "when one has ended", worst->units);
    }

    ngx_http_sp_error_details(r, &details);

    return rc;
}


/* as JSON: the policy, its limits that deny, and until when */

static ngx_int_t
ngx_http_sp_quota_details(ngx_http_request_t *r,
    const ngx_http_sp_quota_ctx_t *ctx, int64_t retry, ngx_str_t *details)
{
    u_char      *p;
    size_t       size;
    ngx_uint_t   i, n;

    size = sizeof("{\"policy\":\"\",\"limits\":[],\"retry_after\":}") - 1
           + ctx->policy->name.len + NGX_INT64_LEN;

    for (i = 0; i < ctx->policy->nlimits; i++) {
        size += ctx->policy->limits[i].name.len + sizeof("\"\",") - 1;
    }

    details->data = ngx_pnalloc(r->pool, size);
    if (details->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(details->data, "{\"policy\":\"%V\",\"limits\":[",
                    &ctx->policy->name);

    n = 0;

    for (i = 0; i < ctx->policy->nlimits; i++) {
        if (!ctx->results[i].allowed) {
            p = ngx_sprintf(p, "%s\"%V\"", n++ ? "," : "",
                            &ctx->policy->limits[i].name);
        }
    }

    p = ngx_sprintf(p, "],\"retry_after\":%L}", retry);
    details->len = p - details->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_quota_value(ngx_http_request_t *r,
    const ngx_http_sp_quota_ctx_t *ctx, ngx_uint_t which, ngx_str_t *value)
{
    ngx_uint_t  i;

    switch (which) {

    case NGX_HTTP_SP_QUOTA_VAR_POLICY:
        *value = ctx->policy->name;
        return NGX_OK;

    case NGX_HTTP_SP_QUOTA_VAR_RESULT:
        *value = ngx_http_sp_quota_results[ctx->result];
        return NGX_OK;

    default:
        break;
    }

    if (ctx->result == NGX_HTTP_SP_QUOTA_OPEN
        || ctx->result == NGX_HTTP_SP_QUOTA_CLOSED)
    {
        return NGX_DECLINED;
    }

    i = ngx_http_sp_quota_tightest(ctx);

    value->data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    value->len = ngx_sprintf(value->data, "%L", ctx->results[i].remaining)
                 - value->data;

    return NGX_OK;
}


static u_char *
ngx_http_sp_quota_item(u_char *p, const ngx_http_sp_quota_ctx_t *ctx,
    ngx_uint_t i)
{
    int64_t                  seconds;
    const sp_gcra_result_t  *result;

    result = &ctx->results[i];

    if (ctx->policy->limits[i].window == 0) {

        /* nobody knows when */

        return ngx_sprintf(p, "\"%V\";r=%L", &ctx->policy->limits[i].name,
                           result->remaining);
    }

    seconds = ngx_http_sp_quota_seconds(result->allowed ? result->reset
                                                        : result->retry);

    return ngx_sprintf(p, "\"%V\";r=%L;t=%L", &ctx->policy->limits[i].name,
                       result->remaining, seconds);
}


/* the limit that denies for the longest, or has the smallest part left */

static ngx_uint_t
ngx_http_sp_quota_tightest(const ngx_http_sp_quota_ctx_t *ctx)
{
    ngx_uint_t               best, i;
    const sp_gcra_result_t  *a, *b;

    const ngx_http_sp_quota_limit_t  *limit;

    best = 0;
    limit = ctx->policy->limits;

    for (i = 1; i < ctx->policy->nlimits; i++) {
        a = &ctx->results[best];
        b = &ctx->results[i];

        if (b->retry != a->retry) {
            if (b->retry > a->retry) {
                best = i;
            }

            continue;
        }

        if ((double) b->remaining / limit[i].burst
            < (double) a->remaining / limit[best].burst)
        {
            best = i;
        }
    }

    return best;
}


/* rounded up: never tell a client to come back too early */

static int64_t
ngx_http_sp_quota_seconds(int64_t us)
{
    return (us + 999999) / 1000000;
}
