
/*
 * Copyright (C) Sallyport authors
 *
 * Where a request goes: the tries of its route, one after the other, as long
 * as nothing of an answer was passed on.
 */


#include "ngx_http_sp_llm.h"


static ngx_int_t ngx_http_sp_llm_ask(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_attempt_t *attempt);
static void ngx_http_sp_llm_log_failure(const ngx_http_sp_llm_ctx_t *ctx,
    const ngx_http_sp_attempt_t *former, const ngx_http_sp_attempt_t *next);


/* by ngx_http_sp_relay_failure_e */

static const ngx_http_sp_llm_fault_t  ngx_http_sp_llm_relay_faults[] = {

    { "provider_unreachable",
      "the model provider could not be reached or closed the connection",
      0, NGX_HTTP_SP_PROVIDER_UNREACHABLE, NGX_HTTP_SP_FAILURE_UNREACHABLE },

    { "provider_unreachable",
      "the model provider could not be reached or closed the connection",
      0, NGX_HTTP_SP_PROVIDER_UNREACHABLE, NGX_HTTP_SP_FAILURE_UNREACHABLE },

    { "provider_connect_timeout",
      "the model provider could not be reached in time",
      NGX_HTTP_GATEWAY_TIME_OUT, NGX_HTTP_SP_PROVIDER_TIMEOUT,
      NGX_HTTP_SP_FAILURE_CONNECT_TIMEOUT },

    { "provider_send_timeout",
      "the model provider did not take the request in time",
      NGX_HTTP_GATEWAY_TIME_OUT, NGX_HTTP_SP_PROVIDER_TIMEOUT,
      NGX_HTTP_SP_FAILURE_SEND_TIMEOUT },

    { "provider_timeout",
      "the model provider did not answer in time",
      NGX_HTTP_GATEWAY_TIME_OUT, NGX_HTTP_SP_PROVIDER_TIMEOUT,
      NGX_HTTP_SP_FAILURE_FIRST_BYTE_TIMEOUT },

    { "provider_read_timeout",
      "the model provider did not go on in time",
      NGX_HTTP_GATEWAY_TIME_OUT, NGX_HTTP_SP_PROVIDER_TIMEOUT,
      NGX_HTTP_SP_FAILURE_READ_TIMEOUT },

    { "provider_total_timeout",
      "the model provider did not come to an end in time",
      NGX_HTTP_GATEWAY_TIME_OUT, NGX_HTTP_SP_PROVIDER_TIMEOUT,
      NGX_HTTP_SP_FAILURE_TOTAL_TIMEOUT },

    { "request_deadline_exceeded",
      "the request has taken the longest time that the gateway allows",
      NGX_HTTP_GATEWAY_TIME_OUT, NGX_HTTP_SP_PROVIDER_TIMEOUT,
      NGX_HTTP_SP_FAILURE_TOTAL_TIMEOUT },

    { "provider_unreachable",
      "the model provider could not be reached or closed the connection",
      0, NGX_HTTP_SP_PROVIDER_INVALID_ANSWER, NGX_HTTP_SP_FAILURE_ANSWER },

    { "provider_stream_cut",
      "the model provider closed the stream before its end",
      0, NGX_HTTP_SP_PROVIDER_CUT, NGX_HTTP_SP_FAILURE_CUT }
};


/* what the one that failed has answered is gone by then */

static const ngx_http_sp_llm_fault_t  ngx_http_sp_llm_no_other =
    { "provider_failed",
      "the model provider failed, and no other one can take the request",
      0, NGX_HTTP_SP_PROVIDER_ERROR, NGX_HTTP_SP_FAILURE_UNSUPPORTED };


ngx_int_t
ngx_http_sp_llm_order(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_http_sp_route_t               *route;
    const ngx_http_sp_llm_loc_conf_t  *conf;

    route = &ctx->route;
    conf = ctx->check.conf;

    route->tries = conf->tries;
    route->within = conf->retry_within;
    route->timeout = conf->timeout;

    return ngx_http_sp_route_start(route, ctx->request->pool,
                                   ctx->check.model);
}


/*
 * The only target is waited for while its host has no address; of several,
 * another one is tried.  NGX_OK also where there is none in the end.
 */

ngx_int_t
ngx_http_sp_llm_await(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_sp_op_t                   *op;
    ngx_sp_name_t                 *name;
    ngx_http_sp_target_t          *targets;
    ngx_http_sp_relay_endpoint_t  *endpoint;

    op = &ctx->lookup;

    if (ngx_sp_op_pending(op)) {
        return NGX_AGAIN;
    }

    if (ctx->check.model->targets.nelts != 1) {
        return NGX_OK;
    }

    if (ngx_sp_op_finished(op)) {

        /* an error_page may lead to another model */

        op->state = NGX_SP_OP_IDLE;
        return NGX_OK;
    }

    targets = ctx->check.model->targets.elts;
    endpoint = &targets[0].provider->endpoint;
    name = ngx_http_sp_relay_unresolved(endpoint);

    if (name == NULL) {
        return NGX_OK;
    }

    ngx_memzero(op, sizeof(ngx_sp_op_t));

    op->timeout = endpoint->upstream.connect_timeout;
    op->log = ctx->request->connection->log;

    if (ngx_http_sp_op_attach(ctx->request, op) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_sp_name_submit(name, op);

    return NGX_AGAIN;
}


ngx_uint_t
ngx_http_sp_llm_more(ngx_http_sp_relay_t *relay)
{
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = relay->data;

    return ngx_http_sp_route_more(&ctx->route, ctx->attempt.failure);
}


void
ngx_http_sp_llm_failed(ngx_http_sp_relay_t *relay)
{
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = relay->data;

    if (ctx->attempt.failure == NGX_HTTP_SP_FAILURE_NONE) {
        ctx->attempt.failure = ngx_http_sp_llm_fault(relay)->failure;
    }

    ngx_http_sp_attempt_end(ctx->attempt.entry, ctx->attempt.failure);
}


const ngx_http_sp_llm_fault_t *
ngx_http_sp_llm_fault(const ngx_http_sp_relay_t *relay)
{
    return &ngx_http_sp_llm_relay_faults[relay->failure];
}


/*
 * The relay's next(): a target, and the request in its words.  One that cannot
 * take it, because its dialect has no words or its context no room for it, is
 * passed over; the client is refused where no other one is left.
 */

ngx_int_t
ngx_http_sp_llm_next(ngx_http_sp_relay_t *relay)
{
    ngx_int_t                rc;
    ngx_uint_t               asked;
    ngx_http_sp_llm_ctx_t   *ctx;
    ngx_http_sp_attempt_t   *attempt, *former;

    ctx = relay->data;
    asked = (ctx->route.tried != 0);
    former = asked ? ctx->attempt.entry : NULL;

    for ( ;; ) {
        attempt = ngx_http_sp_route_next(&ctx->route);
        if (attempt == NULL) {
            return NGX_DECLINED;
        }

        if (ctx->turn != NULL) {
            ngx_http_sp_turn_return(ctx->turn);
        }

        if (former != NULL) {
            ngx_sp_metric_add(ngx_http_sp_llm_metrics(ctx)->failed, 1);
            ngx_http_sp_llm_log_failure(ctx, former, attempt);
        }

        rc = ngx_http_sp_llm_ask(ctx, attempt);

        if (rc != NGX_HTTP_BAD_REQUEST
            || !ngx_http_sp_llm_more(relay))
        {
            break;
        }

        former = attempt;
    }

    if (rc == NGX_HTTP_BAD_REQUEST && asked) {
        ctx->attempt.fault = &ngx_http_sp_llm_no_other;
    }

    return rc;
}


static ngx_int_t
ngx_http_sp_llm_ask(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_attempt_t *attempt)
{
    ngx_int_t  rc;

    ngx_memzero(&ctx->response, sizeof(ngx_http_sp_llm_response_t));

    rc = ngx_http_sp_llm_request(ctx, attempt);

    if (rc == NGX_OK) {
        ctx->relay.endpoint = &attempt->target->provider->endpoint;
        rc = ngx_http_sp_llm_begin(ctx);
    }

    if (rc == NGX_OK) {
        ngx_http_sp_llm_clock_ask(ctx);
        return NGX_OK;
    }

    ctx->attempt.failure = (rc == NGX_HTTP_BAD_REQUEST)
                           ? NGX_HTTP_SP_FAILURE_UNSUPPORTED
                           : NGX_HTTP_SP_FAILURE_GATEWAY;

    ngx_http_sp_attempt_end(attempt, ctx->attempt.failure);

    return rc;
}


/* a key by its number, never by what it is */

static void
ngx_http_sp_llm_log_failure(const ngx_http_sp_llm_ctx_t *ctx,
    const ngx_http_sp_attempt_t *former, const ngx_http_sp_attempt_t *next)
{
    ngx_log_error(NGX_LOG_WARN, ctx->request->connection->log, 0,
                  "llm: provider \"%V\" failed, key %ui, %s, status %ui, "
                  "model \"%V\" goes to \"%V\", key %ui",
                  &former->target->provider->name,
                  ngx_http_sp_attempt_key(former),
                  ngx_http_sp_failure_name(former->failure), former->status,
                  &ctx->check.model->alias, &next->target->provider->name,
                  ngx_http_sp_attempt_key(next));
}
