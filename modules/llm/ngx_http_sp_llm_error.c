
/*
 * Copyright (C) Sallyport authors
 *
 * A provider that refuses, before anything was passed on: its status is
 * mapped, its text is shown only where the fault is the client's.  The error
 * itself is the core's envelope.
 *
 * The upstream module knows no "answer this status instead".  A header filter
 * may refuse a response, so ours does: NGINX then finalizes with its status.
 */


#include "ngx_http_sp_llm.h"


#define NGX_HTTP_SP_LLM_MESSAGE  512
#define NGX_HTTP_SP_LLM_WORD     64


typedef struct {
    ngx_uint_t     status;        /* the provider's */
    ngx_uint_t     answer;        /* ours */
    const char    *code;
    const char    *message;
    unsigned       detail:1;      /* the provider's own words follow */
    ngx_http_sp_turn_error_e  error;
} ngx_http_sp_llm_refusal_t;


/* the provider's own words; NULL: none */

typedef struct {
    const char    *message;
    const char    *type;
    const char    *code;
    const char    *param;
} ngx_http_sp_llm_detail_t;


static ngx_int_t ngx_http_sp_llm_header_filter(ngx_http_request_t *r);
static const ngx_http_sp_llm_refusal_t *ngx_http_sp_llm_refusal(
    ngx_uint_t status);
static ngx_int_t ngx_http_sp_llm_read_error(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *body);
static ngx_int_t ngx_http_sp_llm_read_hint(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_dechunk(ngx_http_request_t *r, u_char *p,
    u_char *last, ngx_str_t *body);
static void ngx_http_sp_llm_read_detail(ngx_http_sp_llm_ctx_t *ctx,
    ngx_str_t *body, ngx_http_sp_llm_detail_t *detail);
static void ngx_http_sp_llm_judge_detail(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_llm_detail_t *detail);
static const char *ngx_http_sp_llm_word(ngx_http_sp_llm_ctx_t *ctx,
    const sp_slice_t *slice, size_t size);
static ngx_int_t ngx_http_sp_llm_refused(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, const ngx_http_sp_llm_refusal_t *refusal,
    const ngx_http_sp_llm_detail_t *detail);
static ngx_int_t ngx_http_sp_llm_refused_late(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_http_sp_llm_refusal_t *refusal,
    const ngx_http_sp_llm_detail_t *detail);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


static const ngx_http_sp_llm_refusal_t  ngx_http_sp_llm_refusals[] = {

    { 400, NGX_HTTP_BAD_REQUEST, "provider_refused_request",
      "the model provider refused the request", 1,
      NGX_HTTP_SP_PROVIDER_REFUSED_REQUEST },

    { 401, NGX_HTTP_BAD_GATEWAY, "provider_credentials_exhausted",
      "the gateway is not authorized at the model provider", 0,
      NGX_HTTP_SP_PROVIDER_AUTH },

    { 402, NGX_HTTP_BAD_GATEWAY, "provider_credentials_exhausted",
      "the gateway is not authorized at the model provider", 0,
      NGX_HTTP_SP_PROVIDER_AUTH },

    { 403, NGX_HTTP_BAD_GATEWAY, "provider_credentials_exhausted",
      "the gateway is not authorized at the model provider", 0,
      NGX_HTTP_SP_PROVIDER_AUTH },

    { 404, NGX_HTTP_BAD_GATEWAY, "provider_model_not_found",
      "the model provider does not know the model", 0,
      NGX_HTTP_SP_PROVIDER_UNKNOWN_MODEL },

    { 408, NGX_HTTP_GATEWAY_TIME_OUT, "provider_timeout",
      "the model provider did not answer in time", 0,
      NGX_HTTP_SP_PROVIDER_TIMEOUT },

    { 413, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE, "provider_refused_request",
      "the request is too large for the model provider", 1,
      NGX_HTTP_SP_PROVIDER_REFUSED_REQUEST },

    { 422, NGX_HTTP_BAD_REQUEST, "provider_refused_request",
      "the model provider refused the request", 1,
      NGX_HTTP_SP_PROVIDER_REFUSED_REQUEST },

    { 429, NGX_HTTP_TOO_MANY_REQUESTS, "provider_rate_limited",
      "the model provider limits the rate of requests, try again later", 0,
      NGX_HTTP_SP_PROVIDER_RATE_LIMITED },

    { 503, NGX_HTTP_SERVICE_UNAVAILABLE, "provider_overloaded",
      "the model provider is overloaded, try again later", 0,
      NGX_HTTP_SP_PROVIDER_OVERLOADED },

    { 504, NGX_HTTP_GATEWAY_TIME_OUT, "provider_timeout",
      "the model provider did not answer in time", 0,
      NGX_HTTP_SP_PROVIDER_TIMEOUT },

    { 529, NGX_HTTP_SERVICE_UNAVAILABLE, "provider_overloaded",
      "the model provider is overloaded, try again later", 0,
      NGX_HTTP_SP_PROVIDER_OVERLOADED },

    { 0, NGX_HTTP_BAD_GATEWAY, "provider_failed",
      "the model provider failed", 0,
      NGX_HTTP_SP_PROVIDER_ERROR }
};


ngx_int_t
ngx_http_sp_llm_init_filter(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_sp_llm_header_filter;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_header_filter(ngx_http_request_t *r)
{
    ngx_int_t               rc, status;
    ngx_http_sp_llm_ctx_t  *ctx;

    if (r->upstream == NULL
        || r->upstream->output.tag != (ngx_buf_tag_t) &ngx_http_sp_llm_module)
    {
        return ngx_http_next_header_filter(r);
    }

    ctx = ngx_http_sp_llm_find_ctx(r);

    if (ctx == NULL) {
        return ngx_http_next_header_filter(r);
    }

    /* the error answer itself passes here next */

    status = ctx->attempt.error_status;
    ctx->attempt.error_status = 0;

    if (ctx->keepalive.committed) {
        r->header_sent = 1;
        r->headers_out.status = NGX_HTTP_OK;

        if (status == 0 && ctx->attempt.entry->begun) {
            ngx_http_sp_llm_clock_pass(ctx);
        }

        return status;
    }

    if (status != 0) {
        return status;
    }

    rc = ngx_http_next_header_filter(r);

    if (ctx->attempt.entry->begun) {
        ngx_http_sp_llm_clock_pass(ctx);
    }

    return rc;
}


/*
 * Called until the body is there or given up.  NGX_DECLINED: the next target
 * is asked, since it was none of the client's faults.
 */

ngx_int_t
ngx_http_sp_llm_error_body(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_int_t                         rc;
    ngx_str_t                         body;
    ngx_http_request_t               *r;
    ngx_http_sp_llm_detail_t          detail;
    const ngx_http_sp_llm_refusal_t  *refusal;

    r = ctx->request;

    ngx_memzero(&detail, sizeof(ngx_http_sp_llm_detail_t));

    refusal = ngx_http_sp_llm_refusal(ctx->relay.status.code);
    ctx->attempt.failure = ngx_http_sp_failure_status(ctx->relay.status.code);

    if (ngx_http_sp_llm_read_hint(r, ctx) == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (!refusal->detail && ngx_http_sp_llm_more(&ctx->relay)) {

        /* not for a fault of the client's own */

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "llm: provider \"%V\" answered %ui to model \"%V\"",
                      &ctx->attempt.target->provider->name,
                      ctx->relay.status.code, &ctx->attempt.target->name);
        return NGX_DECLINED;
    }

    if (refusal->detail && ctx->attempt.json_type && !ctx->attempt.encoded) {

        rc = ngx_http_sp_llm_read_error(r, ctx, &body);

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (rc == NGX_OK) {
            ngx_http_sp_llm_read_detail(ctx, &body, &detail);
            r->upstream->keepalive =
                                  !r->upstream->headers_in.connection_close;
        }
    }

    return ngx_http_sp_llm_refused(r, ctx, refusal, &detail);
}


static const ngx_http_sp_llm_refusal_t *
ngx_http_sp_llm_refusal(ngx_uint_t status)
{
    const ngx_http_sp_llm_refusal_t  *refusal;

    for (refusal = ngx_http_sp_llm_refusals;
         refusal->status != 0;
         refusal++)
    {
        if (refusal->status == status) {
            break;
        }
    }

    return refusal;
}


/* NGX_OK: *body is whole; NGX_AGAIN: more may come; NGX_DECLINED: never */

static ngx_int_t
ngx_http_sp_llm_read_error(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx,
    ngx_str_t *body)
{
    ngx_int_t             rc;
    ngx_buf_t            *b;
    ngx_http_upstream_t  *u;

    u = r->upstream;
    b = &u->buffer;

    if (u->headers_in.chunked) {
        rc = ngx_http_sp_llm_dechunk(r, b->pos, b->last, body);

    } else if (ctx->relay.length == -1
               || ctx->relay.length > b->end - b->pos)
    {
        return NGX_DECLINED;

    } else {
        rc = (b->last - b->pos < ctx->relay.length) ? NGX_AGAIN : NGX_OK;

        body->len = ctx->relay.length;
        body->data = b->pos;
    }

    if (rc == NGX_AGAIN && b->last == b->end) {
        return NGX_DECLINED;
    }

    return rc;
}


/* for how long to cool down, of a dialect that has no header for it */

static ngx_int_t
ngx_http_sp_llm_read_hint(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_int_t   rc;
    ngx_str_t   body, value;
    sp_event_t  event;

    if (!ctx->attempt.dialect->hints
        || (ctx->relay.status.code != NGX_HTTP_TOO_MANY_REQUESTS
            && ctx->relay.status.code != NGX_HTTP_SERVICE_UNAVAILABLE)
        || ctx->attempt.entry->retry_after != 0
        || !ctx->attempt.json_type || ctx->attempt.encoded)
    {
        return NGX_OK;
    }

    rc = ngx_http_sp_llm_read_error(r, ctx, &body);

    if (rc != NGX_OK
        || ctx->attempt.dialect->scan_answer((char *) body.data, body.len,
                                             NULL, NULL, &event)
           != 0
        || event.error_retry.len == 0)
    {
        return rc;
    }

    value.data = (u_char *) event.error_retry.data;
    value.len = event.error_retry.len;

    ctx->attempt.entry->retry_after = ngx_http_sp_retry_hint(&value, 0);

    return NGX_OK;
}


/* on a copy, from the start each time: an error body is small */

static ngx_int_t
ngx_http_sp_llm_dechunk(ngx_http_request_t *r, u_char *p, u_char *last,
    ngx_str_t *body)
{
    size_t              size;
    ngx_int_t           rc;
    ngx_buf_t           b;
    ngx_http_chunked_t  chunked;

    ngx_memzero(&b, sizeof(ngx_buf_t));
    ngx_memzero(&chunked, sizeof(ngx_http_chunked_t));

    b.pos = p;
    b.last = last;

    body->len = 0;
    body->data = ngx_pnalloc(r->pool, last - p);
    if (body->data == NULL) {
        return NGX_ERROR;
    }

    for ( ;; ) {
        rc = ngx_http_parse_chunked(r, &b, &chunked);

        if (rc == NGX_DONE) {
            return NGX_OK;
        }

        if (rc != NGX_OK) {
            (void) ngx_pfree(r->pool, body->data);
            return rc == NGX_AGAIN ? NGX_AGAIN : NGX_DECLINED;
        }

        size = ngx_min(b.last - b.pos, chunked.size);

        ngx_memcpy(body->data + body->len, b.pos, size);
        body->len += size;

        b.pos += size;
        chunked.size -= size;
    }
}


static void
ngx_http_sp_llm_read_detail(ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *body,
    ngx_http_sp_llm_detail_t *detail)
{
    sp_event_t  event;

    if (ctx->attempt.dialect->scan_answer((char *) body->data, body->len,
                                          NULL, NULL, &event)
        != 0)
    {
        return;
    }

    detail->message = ngx_http_sp_llm_word(ctx, &event.error,
                                           NGX_HTTP_SP_LLM_MESSAGE);

    if (!ctx->attempt.translated) {

        /* what an SDK of this dialect branches on */

        detail->type = ngx_http_sp_llm_word(ctx, &event.error_type,
                                            NGX_HTTP_SP_LLM_WORD);
        detail->code = ngx_http_sp_llm_word(ctx, &event.error_code,
                                            NGX_HTTP_SP_LLM_WORD);
        detail->param = ngx_http_sp_llm_word(ctx, &event.error_param,
                                             NGX_HTTP_SP_LLM_WORD);
    }

    ngx_http_sp_llm_judge_detail(ctx, detail);
}


/* an error may quote the prompt, or a model: blocked, none of it is shown */

static void
ngx_http_sp_llm_judge_detail(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_llm_detail_t *detail)
{
    if (ngx_http_sp_llm_filter_word(ctx, &detail->message, 0) != NGX_OK
        || ngx_http_sp_llm_filter_word(ctx, &detail->type, 1) != NGX_OK
        || ngx_http_sp_llm_filter_word(ctx, &detail->code, 1) != NGX_OK
        || ngx_http_sp_llm_filter_word(ctx, &detail->param, 1) != NGX_OK)
    {
        ngx_memzero(detail, sizeof(ngx_http_sp_llm_detail_t));
    }
}


/* a key, or the part of one that providers quote, never leaves: NULL */

static const char *
ngx_http_sp_llm_word(ngx_http_sp_llm_ctx_t *ctx, const sp_slice_t *slice,
    size_t size)
{
    u_char           *p;
    size_t            len;
    const ngx_str_t  *key;

    if (slice->len == 0) {
        return NULL;
    }

    p = ngx_pnalloc(ctx->request->pool, size + 1);
    if (p == NULL) {
        return NULL;
    }

    len = sp_json_unescape((char *) p, size, slice->data, slice->len);
    p[len] = '\0';

    key = &ctx->attempt.entry->key->value;

    if (key->len != 0
        && ngx_strlcasestrn(p, p + len, key->data, ngx_min(key->len, 8) - 1)
           != NULL)
    {
        return NULL;
    }

    return (char *) p;
}


static ngx_int_t
ngx_http_sp_llm_refused(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx,
    const ngx_http_sp_llm_refusal_t *refusal,
    const ngx_http_sp_llm_detail_t *detail)
{
    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "llm: provider \"%V\" answered %ui to model \"%V\"",
                  &ctx->attempt.target->provider->name,
                  ctx->relay.status.code, &ctx->attempt.target->name);

    ngx_http_sp_llm_blame(ctx, refusal->error);

    /* from now on it is known how long what has failed cools down */

    ngx_http_sp_attempt_end(ctx->attempt.entry, ctx->attempt.failure);

    ctx->attempt.refused = 1;
    ctx->attempt.error_status = refusal->answer;

    /* whatever NGINX would do by status is decided already */

    r->upstream->headers_in.status_n = refusal->answer;

    if (ctx->keepalive.committed) {
        return ngx_http_sp_llm_refused_late(ctx, refusal, detail);
    }

    (void) ngx_http_sp_error(r, refusal->answer,
                             detail->code ? detail->code : refusal->code,
                             "%s%s%s", refusal->message,
                             detail->message ? ": " : "",
                             detail->message ? detail->message : "");

    (void) ngx_http_sp_error_param(r, detail->param);
    ngx_http_sp_error_type(r, detail->type);

    return ngx_http_sp_llm_pass_retry(ctx, refusal->answer);
}


/* in a stream that has begun with a keepalive */

static ngx_int_t
ngx_http_sp_llm_refused_late(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_http_sp_llm_refusal_t *refusal,
    const ngx_http_sp_llm_detail_t *detail)
{
    size_t                    len;
    u_char                   *p;
    ngx_http_sp_llm_fault_t  *fault;

    fault = ngx_palloc(ctx->request->pool, sizeof(ngx_http_sp_llm_fault_t));
    if (fault == NULL) {
        return NGX_ERROR;
    }

    fault->status = refusal->answer;
    fault->error = refusal->error;
    fault->failure = ctx->attempt.failure;
    fault->code = detail->code ? detail->code : refusal->code;
    fault->message = refusal->message;

    ctx->attempt.fault = fault;

    if (detail->message == NULL) {
        return NGX_OK;
    }

    len = ngx_strlen(refusal->message) + 2 + ngx_strlen(detail->message) + 1;

    p = ngx_pnalloc(ctx->request->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_snprintf(p, len, "%s: %s%Z", refusal->message,
                        detail->message);

    fault->message = (char *) p;

    return NGX_OK;
}


/* an answer with status 200 that cannot be passed on */

ngx_int_t
ngx_http_sp_llm_bad_answer(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx,
    const ngx_http_sp_llm_fault_t *fault)
{
    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "llm: provider \"%V\": %s",
                  &ctx->attempt.target->provider->name, fault->code);

    ctx->attempt.failure = fault->failure;

    if (ngx_http_sp_llm_more(&ctx->relay)) {
        return NGX_DECLINED;
    }

    if (ctx->keepalive.committed) {
        ctx->attempt.fault = fault;

    } else {
        (void) ngx_http_sp_error(r, NGX_HTTP_BAD_GATEWAY, fault->code, "%s",
                                 fault->message);
    }

    ngx_http_sp_llm_blame(ctx, fault->error);

    ctx->attempt.refused = 1;
    ctx->attempt.error_status = NGX_HTTP_BAD_GATEWAY;

    r->upstream->headers_in.status_n = NGX_HTTP_BAD_GATEWAY;

    return NGX_OK;
}
