
/*
 * Copyright (C) Sallyport authors
 *
 * The admit step: who is it, which policy, do all its limits allow.
 *
 *     START -> DECIDED                  charged before with others, known to
 *                                       be used up, or no Redis
 *     START -> WAITING -> DECIDED       Redis was asked
 *     DECIDED -> START                  another pass, another location
 *
 * This is the plugin to read first: a step is called, keeps its state in its
 * context, starts an op, is called again when the op is done.
 */

#include "ngx_http_sp_quota.h"


static ngx_int_t ngx_http_sp_quota_start(ngx_http_request_t *r,
    ngx_http_sp_quota_ctx_t *ctx);
static ngx_int_t ngx_http_sp_quota_admit(ngx_http_request_t *r,
    ngx_http_sp_quota_ctx_t *ctx);
static ngx_int_t ngx_http_sp_quota_answered(ngx_http_request_t *r,
    ngx_http_sp_quota_ctx_t *ctx);
static ngx_int_t ngx_http_sp_quota_failed(ngx_http_request_t *r,
    ngx_http_sp_quota_ctx_t *ctx);
static ngx_int_t ngx_http_sp_quota_decide(ngx_http_request_t *r,
    ngx_http_sp_quota_ctx_t *ctx, ngx_http_sp_quota_result_e result);
static void ngx_http_sp_quota_set_state(ngx_http_request_t *r,
    ngx_http_sp_quota_ctx_t *ctx, ngx_http_sp_quota_state_e state);


#if (NGX_DEBUG)

static const char  *ngx_http_sp_quota_states[] = {
    "start", "waiting", "decided"
};

#endif


ngx_int_t
ngx_http_sp_quota_run(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_sp_quota_ctx_t       *ctx;
    ngx_http_sp_quota_loc_conf_t  *qlcf;

    qlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_quota_module);

    /* a CORS preflight is the browser's request, not the user's */

    if (!qlcf->enable || r->method == NGX_HTTP_OPTIONS) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_sp_ctx(r, &ngx_http_sp_quota_module,
                          sizeof(ngx_http_sp_quota_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (ctx->state == NGX_HTTP_SP_QUOTA_WAITING) {
        rc = ngx_http_sp_quota_answered(r, ctx);

        if (rc != NGX_OK || ctx->pass == ngx_http_sp_pass(r)) {
            return rc;
        }
    }

    /* or another location: other limits may hold there */

    return ngx_http_sp_quota_start(r, ctx);
}


static ngx_int_t
ngx_http_sp_quota_start(ngx_http_request_t *r, ngx_http_sp_quota_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_http_sp_quota_choose(r, ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_sp_quota_subject(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    /* by one policy a client is charged once for a request */

    rc = ngx_http_sp_once(r, &ngx_http_sp_quota_module,
                          ctx->hash ^ (uintptr_t) ctx->policy);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    ctx->pass = ngx_http_sp_pass(r);

    if (ctx->state == NGX_HTTP_SP_QUOTA_DECIDED) {
        ngx_memzero(&ctx->op, sizeof(ngx_sp_redis_op_t));

        ctx->valid = 0;
        ctx->allowed = 0;
    }

    ctx->costs[NGX_HTTP_SP_QUOTA_REQUESTS] = 1;
    ctx->costs[NGX_HTTP_SP_QUOTA_CONCURRENCY] = 1;

    if (ngx_http_sp_quota_hold(r, ctx, ctx->policy->held) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_quota_admit(r, ctx);
}


static ngx_int_t
ngx_http_sp_quota_admit(ngx_http_request_t *r, ngx_http_sp_quota_ctx_t *ctx)
{
    ngx_http_sp_quota_main_conf_t  *qmcf;

    qmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_quota_module);

    if (qmcf->redis == NULL) {
        ctx->allowed = ngx_http_sp_quota_local(ctx);
        return ngx_http_sp_quota_decide(r, ctx, ctx->allowed
                                                ? NGX_HTTP_SP_QUOTA_ALLOWED
                                                : NGX_HTTP_SP_QUOTA_DENIED);
    }

    if (!ngx_sp_redis_ready(qmcf->redis)) {
        return ngx_http_sp_quota_failed(r, ctx);
    }

    /* a flood of denied requests ends here and never reaches Redis */

    switch (ngx_http_sp_quota_known(ctx)) {

    case NGX_OK:
        return ngx_http_sp_quota_decide(r, ctx, NGX_HTTP_SP_QUOTA_ALLOWED);

    case NGX_DECLINED:
        return ngx_http_sp_quota_decide(r, ctx, NGX_HTTP_SP_QUOTA_DENIED);

    default:
        break;
    }

    /*
     * a subrequest that ends meanwhile drops its question, and another asks
     * it again: by its id it is charged once
     */

    if (r != r->main && ngx_http_sp_quota_hold(r, ctx, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_sp_quota_ask(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_sp_quota_set_state(r, ctx, NGX_HTTP_SP_QUOTA_WAITING);

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_sp_quota_answered(ngx_http_request_t *r,
    ngx_http_sp_quota_ctx_t *ctx)
{
    ngx_http_sp_quota_main_conf_t  *qmcf;

    if (!ngx_sp_op_finished(&ctx->op.op)) {
        return NGX_AGAIN;
    }

    qmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_quota_module);

    ngx_sp_metric_observe(qmcf->latency, 1000 * ctx->op.op.elapsed, 1);

    if (!ctx->valid) {
        ngx_sp_metric_add(qmcf->errors, 1);

        return ngx_http_sp_quota_failed(r, ctx);
    }

    return ngx_http_sp_quota_decide(r, ctx, ctx->allowed
                                            ? NGX_HTTP_SP_QUOTA_ALLOWED
                                            : NGX_HTTP_SP_QUOTA_DENIED);
}


/* Redis cannot be asked, or did not answer in time */

static ngx_int_t
ngx_http_sp_quota_failed(ngx_http_request_t *r, ngx_http_sp_quota_ctx_t *ctx)
{
    ngx_http_sp_quota_loc_conf_t  *qlcf;

    qlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_quota_module);

    if (ngx_http_sp_quota_paid(ctx)) {
        return ngx_http_sp_quota_decide(r, ctx, NGX_HTTP_SP_QUOTA_ALLOWED);
    }

    switch (qlcf->failure) {

    case NGX_HTTP_SP_QUOTA_FAIL_OPEN:
        return ngx_http_sp_quota_decide(r, ctx, NGX_HTTP_SP_QUOTA_OPEN);

    case NGX_HTTP_SP_QUOTA_FAIL_CLOSED:
        return ngx_http_sp_quota_decide(r, ctx, NGX_HTTP_SP_QUOTA_CLOSED);

    default:
        ctx->allowed = ngx_http_sp_quota_local(ctx);
        return ngx_http_sp_quota_decide(r, ctx, ctx->allowed
                                            ? NGX_HTTP_SP_QUOTA_LOCAL
                                            : NGX_HTTP_SP_QUOTA_LOCAL_DENIED);
    }
}


static ngx_int_t
ngx_http_sp_quota_decide(ngx_http_request_t *r, ngx_http_sp_quota_ctx_t *ctx,
    ngx_http_sp_quota_result_e result)
{
    if (ctx->policy->shadow && (result == NGX_HTTP_SP_QUOTA_DENIED
                                || result == NGX_HTTP_SP_QUOTA_LOCAL_DENIED))
    {
        result = NGX_HTTP_SP_QUOTA_SHADOW;
    }

    ctx->result = result;
    ngx_http_sp_quota_set_state(r, ctx, NGX_HTTP_SP_QUOTA_DECIDED);
    ngx_sp_metric_add(ctx->policy->decisions[result], 1);

    switch (result) {

    case NGX_HTTP_SP_QUOTA_SHADOW:
    case NGX_HTTP_SP_QUOTA_OPEN:

        /* no limit was enforced: none is announced */

        return NGX_OK;

    case NGX_HTTP_SP_QUOTA_CLOSED:
        (void) ngx_http_sp_retry_after(r, 1);

        return ngx_http_sp_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                 "quota_unavailable",
                                 "limits cannot be checked at the moment, "
                                 "try again");

    case NGX_HTTP_SP_QUOTA_DENIED:
    case NGX_HTTP_SP_QUOTA_LOCAL_DENIED:
        return ngx_http_sp_quota_deny(r, ctx);

    default:
        return ctx->policy->shadow ? NGX_OK
                                   : ngx_http_sp_quota_headers(r, ctx);
    }
}


static void
ngx_http_sp_quota_set_state(ngx_http_request_t *r,
    ngx_http_sp_quota_ctx_t *ctx, ngx_http_sp_quota_state_e state)
{
    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "quota: %s -> %s",
                   ngx_http_sp_quota_states[ctx->state],
                   ngx_http_sp_quota_states[state]);

    ctx->state = state;
}
