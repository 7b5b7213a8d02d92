
/*
 * Copyright (C) Sallyport authors
 *
 * Part of ngx_http_sp_core.h: the trace that a request belongs to (W3C Trace
 * Context), where "trace_context" is on.
 */

#ifndef _NGX_HTTP_SP_CORE_TRACE_H_INCLUDED_
#define _NGX_HTTP_SP_CORE_TRACE_H_INCLUDED_


#include "sp_trace.h"


/* lives as long as the request */

typedef struct {
    sp_trace_t                trace;     /* "span" is the request's own */
    char                      parent[SP_TRACE_SPAN];  /* the caller's span */
    ngx_str_t                 state;     /* of the caller; or empty */
    unsigned                  remote:1;  /* there is a parent */
} ngx_http_sp_trace_t;


/*
 * Of the main request: the caller's trace goes on, or one begins.  NULL: off
 * in this location, or no memory.
 */
const ngx_http_sp_trace_t *ngx_http_sp_trace(ngx_http_request_t *r);

/*
 * What a call that the request causes says of its trace: the lines of
 * "traceparent", with a span of its own, and of "tracestate", without line
 * ends.  *n is 0, 1 or 2; NGX_ERROR: no memory.  "trace" may be NULL, else
 * "span" gets that span: SP_TRACE_SPAN characters.
 */
#define NGX_HTTP_SP_TRACE_LINES  2

ngx_int_t ngx_http_sp_trace_lines(ngx_pool_t *pool,
    const ngx_http_sp_trace_t *trace, char *span, ngx_str_t *lines,
    ngx_uint_t *n);


/*
 * A part of a request that is a span of its own, below that of the request.
 * Memory of the main request.
 */

typedef struct ngx_http_sp_span_s  ngx_http_sp_span_t;

struct ngx_http_sp_span_s {
    const char               *operation; /* gen_ai.operation.name */
    const char               *error;     /* error.type; NULL: none */
    ngx_msec_t                started;   /* ngx_current_msec */
    ngx_msec_t                total;     /* where it has ended */
    const ngx_array_t        *attempts;  /* attempt_t *: calls of models that
                                            are a part of it; or NULL */
    char                      id[SP_TRACE_SPAN];
    ngx_http_sp_span_t       *next;      /* that began before it */
    unsigned                  ended:1;   /* 0: the request was over before */
};

/*
 * NULL: nobody exports spans, the trace is not sampled, or no memory; _end()
 * takes it.  Strings are static memory, words of a closed list.
 */
ngx_http_sp_span_t *ngx_http_sp_span_start(ngx_http_request_t *r,
    const char *operation);
void ngx_http_sp_span_end(ngx_http_sp_span_t *span, const char *error);

/* in a setter: spans are exported; in an end hook: those of the request */
void ngx_http_sp_conf_spans(ngx_conf_t *cf);
const ngx_http_sp_span_t *ngx_http_sp_spans(ngx_http_request_t *r);


#endif /* _NGX_HTTP_SP_CORE_TRACE_H_INCLUDED_ */
