
/*
 * Copyright (C) Sallyport authors
 *
 * "trace_context": the caller's trace is continued, or one begins, and who is
 * called for the request hears of it.
 */


#include "ngx_http_sp_core_int.h"


/* of all lines of tracestate together; a longer one is not passed on */
#define NGX_HTTP_SP_TRACE_STATE  1024

/* a rate of sampling is in 1/10000 */
#define NGX_HTTP_SP_TRACE_RATE   10000


static ngx_int_t ngx_http_sp_trace_make(ngx_http_request_t *r,
    ngx_uint_t rate, ngx_http_sp_trace_t *trace);
static ngx_int_t ngx_http_sp_trace_parent(ngx_http_request_t *r,
    sp_trace_t *trace);
static ngx_int_t ngx_http_sp_trace_state(ngx_http_request_t *r,
    ngx_str_t *state);
static ngx_int_t ngx_http_sp_trace_sample(ngx_uint_t rate,
    sp_trace_t *trace);
static ngx_int_t ngx_http_sp_trace_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_str_t  ngx_http_sp_trace_parent_name = ngx_string("traceparent");
static ngx_str_t  ngx_http_sp_trace_state_name = ngx_string("tracestate");


static ngx_http_variable_t  ngx_http_sp_trace_variables[] = {

    { ngx_string("trace_id"), NULL, ngx_http_sp_trace_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("span_id"), NULL, ngx_http_sp_trace_variable, 1,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_sp_trace_variables_add(ngx_conf_t *cf)
{
    return ngx_http_sp_add_variables(cf, ngx_http_sp_trace_variables);
}


/* trace_context off; trace_context on [sample=RATE]; */

char *
ngx_http_sp_trace_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_core_loc_conf_t *lcf = conf;

    ngx_int_t   rate;
    ngx_str_t  *value, text;

    if (lcf->trace != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "on") != 0
        && (ngx_strcmp(value[1].data, "off") != 0 || cf->args->nelts != 2))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V%s\" in \"trace_context\", it "
                           "must be \"off\", or \"on\" with sample=RATE or "
                           "without", &value[1],
                           (cf->args->nelts != 2) ? " ..." : "");
        return NGX_CONF_ERROR;
    }

    lcf->trace = (ngx_strcmp(value[1].data, "on") == 0);
    lcf->trace_sample = 0;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    rate = ngx_sp_conf_arg(&value[2], "sample=", &text)
           ? ngx_atofp(text.data, text.len, 4) : NGX_ERROR;

    if (rate < 0 || rate > NGX_HTTP_SP_TRACE_RATE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"trace_context\", "
                           "expected sample=RATE: 0 to 1 with up to four "
                           "decimals", &value[2]);
        return NGX_CONF_ERROR;
    }

    lcf->trace_sample = (ngx_uint_t) rate;

    return NGX_CONF_OK;
}


const ngx_http_sp_trace_t *
ngx_http_sp_trace(ngx_http_request_t *r)
{
    ngx_http_sp_trace_t          *trace;
    ngx_http_sp_core_ctx_t       *ctx;
    ngx_http_sp_core_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_core_module);

    if (!lcf->trace) {
        return NULL;
    }

    ctx = ngx_http_sp_core_ctx(r->main);
    if (ctx == NULL) {
        return NULL;
    }

    if (ctx->trace != NULL) {
        return ctx->trace;
    }

    trace = ngx_pcalloc(r->main->pool, sizeof(ngx_http_sp_trace_t));

    if (trace == NULL
        || ngx_http_sp_trace_make(r->main, lcf->trace_sample, trace)
           != NGX_OK)
    {
        return NULL;
    }

    ctx->trace = trace;

    return trace;
}


/* of a trace that is not valid its tracestate is not looked at (4.3) */

static ngx_int_t
ngx_http_sp_trace_make(ngx_http_request_t *r, ngx_uint_t rate,
    ngx_http_sp_trace_t *trace)
{
    if (ngx_http_sp_trace_parent(r, &trace->trace) == NGX_OK) {

        if (ngx_http_sp_trace_state(r, &trace->state) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_memcpy(trace->parent, trace->trace.span, SP_TRACE_SPAN);
        trace->remote = 1;

    } else if (ngx_http_sp_trace_id(trace->trace.id, SP_TRACE_ID) != NGX_OK
               || ngx_http_sp_trace_sample(rate, &trace->trace) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sp_trace_id(trace->trace.span, SP_TRACE_SPAN);
}


/* of several nobody knows which one is meant */

static ngx_int_t
ngx_http_sp_trace_parent(ngx_http_request_t *r, sp_trace_t *trace)
{
    ngx_list_t       *headers;
    ngx_table_elt_t  *h;

    headers = &r->headers_in.headers;

    h = ngx_http_sp_next_header(headers, &ngx_http_sp_trace_parent_name,
                                NULL);

    if (h == NULL
        || ngx_http_sp_next_header(headers, &ngx_http_sp_trace_parent_name, h)
           != NULL
        || sp_trace_parse(trace, (char *) h->value.data, h->value.len)
           != SP_OK)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* lines are one list, in their order; one that is not valid is left out */

static ngx_int_t
ngx_http_sp_trace_state(ngx_http_request_t *r, ngx_str_t *state)
{
    size_t            len, n;
    u_char           *p;
    ngx_list_t       *headers;
    ngx_table_elt_t  *h;

    headers = &r->headers_in.headers;
    len = 0;
    n = 0;

    for (h = ngx_http_sp_next_header(headers, &ngx_http_sp_trace_state_name,
                                     NULL);
         h != NULL;
         h = ngx_http_sp_next_header(headers, &ngx_http_sp_trace_state_name,
                                     h))
    {
        len += h->value.len + 1;

        if (len > NGX_HTTP_SP_TRACE_STATE + 1
            || sp_trace_state((char *) h->value.data, h->value.len, &n)
               != SP_OK)
        {
            return NGX_OK;
        }
    }

    if (n == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    state->data = p;

    for (h = ngx_http_sp_next_header(headers, &ngx_http_sp_trace_state_name,
                                     NULL);
         h != NULL;
         h = ngx_http_sp_next_header(headers, &ngx_http_sp_trace_state_name,
                                     h))
    {
        p = ngx_cpymem(p, h->value.data, h->value.len);
        *p++ = ',';
    }

    state->len = len - 1;

    return NGX_OK;
}


/* an id of zeros is none, and this is never one */

ngx_int_t
ngx_http_sp_trace_id(char *id, size_t len)
{
    u_char  b[SP_TRACE_ID / 2];

    if (ngx_http_sp_random(b, len / 2) != NGX_OK) {
        return NGX_ERROR;
    }

    b[0] |= 0x01;

    (void) ngx_hex_dump((u_char *) id, b, len / 2);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_trace_sample(ngx_uint_t rate, sp_trace_t *trace)
{
    uint32_t  n;

    if (ngx_http_sp_random((u_char *) &n, sizeof(n)) != NGX_OK) {
        return NGX_ERROR;
    }

    trace->flags = (n % NGX_HTTP_SP_TRACE_RATE < rate) ? SP_TRACE_SAMPLED : 0;

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_trace_lines(ngx_pool_t *pool, const ngx_http_sp_trace_t *trace,
    char *span, ngx_str_t *lines, ngx_uint_t *n)
{
    u_char      *p;
    sp_trace_t   call;

    *n = 0;

    if (trace == NULL) {
        return NGX_OK;
    }

    call = trace->trace;

    p = ngx_pnalloc(pool, sizeof("traceparent: tracestate: ") - 1
                          + SP_TRACE_PARENT + trace->state.len);

    if (p == NULL || ngx_http_sp_trace_id(call.span, SP_TRACE_SPAN) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(span, call.span, SP_TRACE_SPAN);

    lines[0].data = p;
    p = ngx_sprintf(p, "%V: ", &ngx_http_sp_trace_parent_name);
    sp_trace_write((char *) p, &call);
    p += SP_TRACE_PARENT;
    lines[0].len = p - lines[0].data;

    *n = 1;

    if (trace->state.len != 0) {
        lines[1].data = p;
        p = ngx_sprintf(p, "%V: %V", &ngx_http_sp_trace_state_name,
                        &trace->state);
        lines[1].len = p - lines[1].data;

        *n = 2;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_trace_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t span)
{
    const ngx_http_sp_trace_t  *trace;

    trace = ngx_http_sp_trace(r);

    if (trace == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;
    v->len = span ? SP_TRACE_SPAN : SP_TRACE_ID;
    v->data = (u_char *) (span ? trace->trace.span : trace->trace.id);

    return NGX_OK;
}
