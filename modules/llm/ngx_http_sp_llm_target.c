
/*
 * Copyright (C) Sallyport authors
 *
 * Where a request goes: the targets of its model, by weight, then those that
 * are backups, each once.  The next one is tried as long as nothing of an
 * answer was passed on.
 */


#include "ngx_http_sp_llm.h"


ngx_int_t
ngx_http_sp_llm_order(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_http_sp_model_t  *model;

    model = ctx->check.model;

    ctx->ntargets = model->targets.nelts;
    ctx->tried = 0;

    ctx->targets = ngx_palloc(ctx->request->pool,
                              ctx->ntargets * sizeof(void *));
    if (ctx->targets == NULL) {
        return NGX_ERROR;
    }

    ngx_http_sp_model_order(model, ctx->targets);

    return NGX_OK;
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
    ngx_http_sp_relay_endpoint_t  *endpoint;

    op = &ctx->lookup;

    if (ngx_sp_op_pending(op)) {
        return NGX_AGAIN;
    }

    if (ctx->ntargets != 1) {
        return NGX_OK;
    }

    if (ngx_sp_op_finished(op)) {

        /* an error_page may lead to another model */

        op->state = NGX_SP_OP_IDLE;
        return NGX_OK;
    }

    endpoint = &ctx->targets[0]->provider->endpoint;
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

    return ctx->tried < ctx->ntargets;
}


/* the relay's next(): a target, and the request in its words */

ngx_int_t
ngx_http_sp_llm_next(ngx_http_sp_relay_t *relay)
{
    ngx_int_t                    rc;
    ngx_http_sp_llm_ctx_t       *ctx;
    ngx_http_sp_provider_t      *former;
    const ngx_http_sp_target_t  *target;

    ctx = relay->data;

    if (ctx->tried == ctx->ntargets) {
        return NGX_DECLINED;
    }

    target = ctx->targets[ctx->tried];

    if (ctx->tried != 0) {
        former = ctx->attempt.target->provider;

        ngx_sp_metric_add(ngx_http_sp_llm_metrics(ctx)->failed, 1);

        ngx_log_error(NGX_LOG_WARN, ctx->request->connection->log, 0,
                      "llm: provider \"%V\" failed, model \"%V\" goes to "
                      "\"%V\"", &former->name, &ctx->check.model->alias,
                      &target->provider->name);
    }

    ctx->tried++;

    ngx_memzero(&ctx->response, sizeof(ngx_http_sp_llm_response_t));

    rc = ngx_http_sp_llm_request(ctx, target);

    if (rc != NGX_OK) {
        return rc;
    }

    relay->endpoint = &target->provider->endpoint;

    return ngx_http_sp_llm_begin(ctx);
}
