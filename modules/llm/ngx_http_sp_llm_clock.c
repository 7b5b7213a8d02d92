
/*
 * Copyright (C) Sallyport authors
 *
 * How long a request takes, in microseconds: the gateway itself, the first
 * output, from one chunk to the next, all of it.
 *
 * The clock is read a few times for a request and once for what was read of a
 * stream in one piece: chunks in it have come at the same time.
 */


#include "ngx_http_sp_llm.h"


void
ngx_http_sp_llm_clock_ask(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_http_sp_turn_leave(ctx->turn);

    if (ctx->route.attempts->nelts == 1) {
        ctx->clock.asked = ctx->turn->left;
    }

    ctx->clock.chunk = 0;
}


void
ngx_http_sp_llm_clock_chunks(ngx_http_sp_llm_ctx_t *ctx)
{
    uint64_t                             now;
    ngx_uint_t                           n;
    const ngx_http_sp_target_metrics_t  *metrics;

    n = ctx->response.chunks;
    ctx->response.chunks = 0;

    now = ngx_sp_metric_clock();
    metrics = &ctx->attempt.target->metrics;

    if (ctx->clock.chunk == 0) {
        ngx_sp_metric_observe(metrics->first_chunk, now - ctx->clock.asked,
                              1);

    } else {
        ngx_sp_metric_observe(metrics->chunk, now - ctx->clock.chunk, 1);
    }

    if (n > 1) {
        ngx_sp_metric_observe(metrics->chunk, 0, n - 1);
    }

    ctx->clock.chunk = now;
}


void
ngx_http_sp_llm_clock_pass(ngx_http_sp_llm_ctx_t *ctx)
{
    const ngx_http_sp_turn_t  *turn;

    turn = ctx->turn;

    ngx_sp_metric_observe(ctx->attempt.target->metrics.overhead,
                          ngx_sp_metric_clock() - turn->begun
                          - turn->outside, 1);
}


void
ngx_http_sp_llm_clock_end(ngx_http_sp_llm_ctx_t *ctx)
{
    if (ctx->clock.asked == 0) {
        return;
    }

    ngx_sp_metric_observe(ctx->attempt.target->metrics.duration,
                          ngx_sp_metric_clock() - ctx->clock.asked, 1);
}
