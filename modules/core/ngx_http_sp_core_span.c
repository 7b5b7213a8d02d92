
/*
 * Copyright (C) Sallyport authors
 *
 * Parts of a request that are spans of its trace, for whoever exports them.
 */


#include "ngx_http_sp_core_int.h"


void
ngx_http_sp_conf_spans(ngx_conf_t *cf)
{
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    mcf->spans = 1;
}


ngx_http_sp_span_t *
ngx_http_sp_span_start(ngx_http_request_t *r, const char *operation)
{
    ngx_http_sp_span_t            *span;
    ngx_http_sp_core_ctx_t        *ctx;
    const ngx_http_sp_trace_t     *trace;
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_sp_core_module);

    if (!mcf->spans) {
        return NULL;
    }

    trace = ngx_http_sp_trace(r);

    if (trace == NULL || !(trace->trace.flags & SP_TRACE_SAMPLED)) {
        return NULL;
    }

    span = ngx_pcalloc(r->main->pool, sizeof(ngx_http_sp_span_t));

    if (span == NULL
        || ngx_http_sp_trace_id(span->id, SP_TRACE_SPAN) != NGX_OK)
    {
        return NULL;
    }

    span->operation = operation;
    span->started = ngx_current_msec;

    /* who has a trace has a context */

    ctx = ngx_http_sp_core_find_ctx(r->main);

    span->next = ctx->spans;
    ctx->spans = span;

    return span;
}


void
ngx_http_sp_span_end(ngx_http_sp_span_t *span, const char *error)
{
    if (span != NULL && !span->ended) {
        span->ended = 1;
        span->error = error;
        span->total = ngx_current_msec - span->started;
    }
}


const ngx_http_sp_span_t *
ngx_http_sp_spans(ngx_http_request_t *r)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r->main);

    return (ctx != NULL) ? ctx->spans : NULL;
}
