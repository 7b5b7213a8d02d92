
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


#endif /* _NGX_HTTP_SP_CORE_TRACE_H_INCLUDED_ */
