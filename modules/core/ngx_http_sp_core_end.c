
/*
 * Copyright (C) Sallyport authors
 *
 * The end of a request, on every way that it can end: NGINX's LOG phase, once
 * for the main request.
 */


#include "ngx_http_sp_core_int.h"


static ngx_int_t ngx_http_sp_log_handler(ngx_http_request_t *r);
static void ngx_http_sp_outcome(ngx_http_request_t *r,
    ngx_http_sp_core_ctx_t *ctx, ngx_http_sp_outcome_t *outcome);


ngx_int_t
ngx_http_sp_end_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_sp_log_handler;

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_add_end(ngx_conf_t *cf, const ngx_http_sp_end_t *end)
{
    ngx_uint_t                      i;
    const ngx_http_sp_end_t       **elt;
    ngx_http_sp_core_main_conf_t   *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    if (ngx_http_sp_check_abi(cf, "end hook", &end->name, end->abi)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_array_push(&mcf->ends) == NULL) {
        return NGX_ERROR;
    }

    elt = mcf->ends.elts;

    for (i = mcf->ends.nelts - 1;
         i > 0 && ngx_http_sp_order(elt[i - 1]->rank, &elt[i - 1]->name,
                                    end->rank, &end->name) > 0;
         i--)
    {
        elt[i] = elt[i - 1];
    }

    elt[i] = end;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_log_handler(ngx_http_request_t *r)
{
    ngx_uint_t                      i;
    ngx_http_sp_outcome_t           outcome;
    ngx_http_sp_core_ctx_t         *ctx, *part;
    const ngx_http_sp_end_t       **end;
    ngx_http_sp_core_main_conf_t   *mcf;

    ctx = ngx_http_sp_core_find_ctx(r);

    /* subrequests come here with "log_subrequest" only */

    if (r != r->main || ctx == NULL || ctx->ended) {
        return NGX_OK;
    }

    ctx->ended = 1;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_sp_core_module);

    (void) ngx_http_sp_settle(r);

    for (part = ctx->parts; part != NULL; part = part->parts) {
        (void) ngx_http_sp_settle(part->request);
    }

    ngx_http_sp_outcome(r, ctx, &outcome);

    i = outcome.status / 100;

    ngx_sp_metric_add(mcf->counters.requests[(i > 5) ? 0 : i], 1);
    ngx_sp_metric_observe(mcf->counters.duration, 1000 * outcome.duration, 1);

    end = mcf->ends.elts;

    for (i = 0; i < mcf->ends.nelts; i++) {
        end[i]->handler(r, &outcome);
    }

    return NGX_OK;
}


static void
ngx_http_sp_outcome(ngx_http_request_t *r, ngx_http_sp_core_ctx_t *ctx,
    ngx_http_sp_outcome_t *outcome)
{
    ngx_time_t                     *tp;
    ngx_msec_int_t                  ms;
    const ngx_http_sp_step_t      **step;
    ngx_http_sp_core_main_conf_t   *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_sp_core_module);

    outcome->status = ngx_http_sp_status(r);
    outcome->source = ngx_http_sp_error_source(r);
    outcome->code = (ctx->error.status == outcome->status) ? ctx->error.code
                                                           : NULL;
    outcome->step = NULL;

    if (ctx->refusal != NULL && ctx->refusal->step < mcf->steps.nelts) {
        step = mcf->steps.elts;
        outcome->step = &step[ctx->refusal->step]->name;
    }

    outcome->filter = ctx->filter;
    outcome->turn = ctx->turn;
    outcome->received = r->request_length;
    outcome->sent = r->connection->sent;

    tp = ngx_timeofday();

    ms = (ngx_msec_int_t) ((tp->sec - r->start_sec) * 1000
                           + (tp->msec - r->start_msec));

    outcome->duration = (ngx_msec_t) ngx_max(ms, 0);
}


/* as it is logged */

ngx_uint_t
ngx_http_sp_status(ngx_http_request_t *r)
{
    return (r->err_status != 0) ? r->err_status : r->headers_out.status;
}


ngx_http_sp_source_e
ngx_http_sp_error_source(ngx_http_request_t *r)
{
    ngx_uint_t  status;

    if (ngx_http_sp_refusal(r) != NULL) {
        return NGX_HTTP_SP_GATEWAY;
    }

    status = ngx_http_sp_status(r);

    if (status < NGX_HTTP_BAD_REQUEST
        || status == NGX_HTTP_CLIENT_CLOSED_REQUEST)
    {
        return NGX_HTTP_SP_NOBODY;
    }

    return (r->upstream != NULL) ? NGX_HTTP_SP_UPSTREAM : NGX_HTTP_SP_GATEWAY;
}
