
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
static ngx_int_t ngx_http_sp_quota_answered(ngx_http_request_t *r,
    ngx_http_sp_quota_ctx_t *ctx);
static ngx_int_t ngx_http_sp_quota_denied(ngx_http_request_t *r,
    ngx_http_sp_quota_ctx_t *ctx);
static ngx_int_t ngx_http_sp_quota_failed(ngx_http_request_t *r,
    ngx_http_sp_quota_ctx_t *ctx);
static ngx_int_t ngx_http_sp_quota_decide(ngx_http_request_t *r,
    ngx_http_sp_quota_ctx_t *ctx, ngx_http_sp_quota_result_e result);
static ngx_uint_t ngx_http_sp_quota_known_denied(
    const ngx_http_sp_quota_main_conf_t *qmcf, ngx_http_sp_quota_ctx_t *ctx);
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
    ngx_int_t                       rc;
    ngx_http_sp_quota_main_conf_t  *qmcf;

    qmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_quota_module);

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

        ctx->unused = 0;
        ctx->slice = 0;
        ctx->valid = 0;
        ctx->allowed = 0;
    }

    if (qmcf->redis == NULL) {
        ctx->allowed = ngx_http_sp_quota_local(qmcf->zone, ctx);
        return ngx_http_sp_quota_decide(r, ctx, ctx->allowed
                                                ? NGX_HTTP_SP_QUOTA_ALLOWED
                                                : NGX_HTTP_SP_QUOTA_DENIED);
    }

    /* charged in Redis already, with an earlier request of this client */

    if (ngx_http_sp_quota_slice_spend(ctx, 0)) {
        return ngx_http_sp_quota_decide(r, ctx, NGX_HTTP_SP_QUOTA_ALLOWED);
    }

    if (!ngx_sp_redis_ready(qmcf->redis)) {
        return ngx_http_sp_quota_failed(r, ctx);
    }

    /* a flood of denied requests ends here and never reaches Redis */

    if (ngx_http_sp_quota_known_denied(qmcf, ctx)) {
        return ngx_http_sp_quota_denied(r, ctx);
    }

    ngx_http_sp_quota_slice_want(ctx);

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

    ngx_sp_metric_observe(qmcf->latency, ctx->op.op.elapsed);

    if (!ctx->valid) {
        ngx_sp_metric_add(qmcf->errors, 1);

        return ngx_http_sp_quota_failed(r, ctx);
    }

    return ctx->allowed
           ? ngx_http_sp_quota_decide(r, ctx, NGX_HTTP_SP_QUOTA_ALLOWED)
           : ngx_http_sp_quota_denied(r, ctx);
}


/* no more in Redis: the last units of a slice, which are paid for */

static ngx_int_t
ngx_http_sp_quota_denied(ngx_http_request_t *r, ngx_http_sp_quota_ctx_t *ctx)
{
    return ngx_http_sp_quota_decide(r, ctx,
                                    ngx_http_sp_quota_slice_spend(ctx, 1)
                                    ? NGX_HTTP_SP_QUOTA_ALLOWED
                                    : NGX_HTTP_SP_QUOTA_DENIED);
}


/* Redis cannot be asked, or did not answer in time */

static ngx_int_t
ngx_http_sp_quota_failed(ngx_http_request_t *r, ngx_http_sp_quota_ctx_t *ctx)
{
    ngx_http_sp_quota_loc_conf_t   *qlcf;
    ngx_http_sp_quota_main_conf_t  *qmcf;

    qmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_quota_module);
    qlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_quota_module);

    if (ngx_http_sp_quota_slice_spend(ctx, 1)) {
        return ngx_http_sp_quota_decide(r, ctx, NGX_HTTP_SP_QUOTA_ALLOWED);
    }

    switch (qlcf->failure) {

    case NGX_HTTP_SP_QUOTA_FAIL_OPEN:
        return ngx_http_sp_quota_decide(r, ctx, NGX_HTTP_SP_QUOTA_OPEN);

    case NGX_HTTP_SP_QUOTA_FAIL_CLOSED:
        return ngx_http_sp_quota_decide(r, ctx, NGX_HTTP_SP_QUOTA_CLOSED);

    default:
        ctx->allowed = ngx_http_sp_quota_local(qmcf->zone, ctx);
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


/*
 * Denied whatever Redis would say: it only ever knows of more requests, or of
 * fewer by what gateways give back of their slices: this one with the question
 * now, and the others' can wait
 */

static ngx_uint_t
ngx_http_sp_quota_known_denied(const ngx_http_sp_quota_main_conf_t *qmcf,
    ngx_http_sp_quota_ctx_t *ctx)
{
    int64_t            now, tats[NGX_HTTP_SP_QUOTA_LIMITS];
    ngx_uint_t         denied, i, unused;
    sp_gcra_result_t   result;

    denied = 0;
    now = ngx_http_sp_quota_now();
    unused = ngx_http_sp_quota_slice_unused(ctx);

    for (i = 0; i < ctx->policy->nlimits; i++) {
        tats[i] = now + ngx_http_sp_quota_ahead(qmcf->zone, ctx->hash,
                                                &ctx->policy->limits[i], now)
                  - (int64_t) unused * ctx->policy->gcra[i].interval;

        sp_gcra(&ctx->policy->gcra[i], tats[i] - NGX_HTTP_SP_QUOTA_SLACK,
                now, 1, &result);

        if (!result.allowed) {
            denied = 1;
        }
    }

    if (denied) {
        (void) sp_gcra_all(ctx->policy->gcra, tats, ctx->policy->nlimits,
                           now, 1, ctx->results);
    }

    return denied;
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
