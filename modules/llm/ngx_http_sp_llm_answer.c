
/*
 * Copyright (C) Sallyport authors
 *
 * The provider's answer as the relay hands it over: its header, its body by
 * the piece, its end.  What the body says is ngx_http_sp_llm_stream.c's
 * matter.
 */


#include "ngx_http_sp_llm.h"
#include "sp_scan.h"


static void ngx_http_sp_llm_begin_answer(ngx_http_sp_relay_t *relay);
static ngx_int_t ngx_http_sp_llm_header(ngx_http_sp_relay_t *relay,
    const ngx_str_t *name, const ngx_str_t *value);
static ngx_int_t ngx_http_sp_llm_content_type(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *value);
static ngx_uint_t ngx_http_sp_llm_is_type(const char *type, u_char *p,
    size_t len);
static ngx_int_t ngx_http_sp_llm_content_encoding(
    ngx_http_sp_llm_ctx_t *ctx, const ngx_str_t *value);
static ngx_int_t ngx_http_sp_llm_head(ngx_http_sp_relay_t *relay);
static ngx_int_t ngx_http_sp_llm_judge(ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_begins(ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_whole(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *piece, ngx_uint_t more);
static ngx_int_t ngx_http_sp_llm_first(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *piece, ngx_uint_t more);
static sp_sse_status_e ngx_http_sp_llm_rest(ngx_http_sp_llm_ctx_t *ctx,
    sp_sse_t *sse, const char **pos, const char *last,
    sp_sse_event_t *event);
static void ngx_http_sp_llm_set_type(ngx_http_request_t *r,
    const char *type);
static ngx_int_t ngx_http_sp_llm_data(ngx_http_sp_relay_t *relay, u_char *p,
    u_char *last);
static void ngx_http_sp_llm_fresh(ngx_http_sp_relay_t *relay);
static ngx_int_t ngx_http_sp_llm_end(ngx_http_sp_relay_t *relay,
    ngx_uint_t broken);
static void ngx_http_sp_llm_done(ngx_http_sp_relay_t *relay, ngx_int_t rc);


static const ngx_http_sp_relay_handlers_t  ngx_http_sp_llm_relay = {
    ngx_http_sp_llm_next,
    ngx_http_sp_llm_failed,
    ngx_http_sp_llm_more,
    ngx_http_sp_llm_begin_answer,
    ngx_http_sp_llm_header,
    ngx_http_sp_llm_head,
    ngx_http_sp_llm_data,
    ngx_http_sp_llm_end,
    ngx_http_sp_llm_done
};


typedef struct {
    ngx_str_t      name;       /* lower case */
    ngx_int_t    (*handler)(ngx_http_sp_llm_ctx_t *ctx,
                       const ngx_str_t *value);
} ngx_http_sp_llm_header_t;


/*
 * An allow-list: cookies, the account's limits and X-Accel-* of a provider
 * are none of the client's business
 */

static const ngx_http_sp_llm_header_t  ngx_http_sp_llm_headers[] = {
    { ngx_string("content-type"), ngx_http_sp_llm_content_type },
    { ngx_string("content-encoding"), ngx_http_sp_llm_content_encoding },
    { ngx_string("retry-after"), ngx_http_sp_llm_retry_after },
    { ngx_string("retry-after-ms"), ngx_http_sp_llm_retry_after_ms },
    { ngx_string("x-should-retry"), ngx_http_sp_llm_should_retry },
    { ngx_null_string, NULL }
};


static ngx_http_sp_llm_fault_t  ngx_http_sp_llm_cut =
    { "provider_stream_cut",
      "the model provider closed the stream before its end",
      0, NGX_HTTP_SP_PROVIDER_CUT, NGX_HTTP_SP_FAILURE_CUT };

static ngx_http_sp_llm_fault_t  ngx_http_sp_llm_encoded =
    { "provider_encoded",
      "the model provider sent a compressed answer that was not asked for",
      0, NGX_HTTP_SP_PROVIDER_INVALID_ANSWER, NGX_HTTP_SP_FAILURE_ANSWER };

static ngx_http_sp_llm_fault_t  ngx_http_sp_llm_began =
    { "provider_error",
      "the model provider reported an error in place of an answer",
      0, NGX_HTTP_SP_PROVIDER_ERROR, NGX_HTTP_SP_FAILURE_ERROR };

static ngx_http_sp_llm_fault_t  ngx_http_sp_llm_empty =
    { "provider_empty_answer",
      "the model provider answered with no audio at all",
      0, NGX_HTTP_SP_PROVIDER_INVALID_ANSWER, NGX_HTTP_SP_FAILURE_ANSWER };

static ngx_http_sp_llm_fault_t  ngx_http_sp_llm_mistyped =
    { "provider_content_type",
      "the model provider answered with an unexpected content type",
      0, NGX_HTTP_SP_PROVIDER_INVALID_ANSWER, NGX_HTTP_SP_FAILURE_ANSWER };


ngx_int_t
ngx_http_sp_llm_start(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_int_t             rc;
    ngx_http_sp_relay_t  *relay;

    relay = &ctx->relay;

    ngx_memzero(relay, sizeof(ngx_http_sp_relay_t));

    relay->to = &ngx_http_sp_llm_relay;
    relay->r = r;
    relay->data = ctx;
    relay->tag = (ngx_buf_tag_t) &ngx_http_sp_llm_module;

    if (ctx->route.timeout != 0) {
        relay->deadline = ctx->route.started + ctx->route.timeout;
    }

    if (ngx_http_sp_llm_keepalive(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_sp_relay_start(relay);

    /* the request may be gone where it was taken */

    if (rc != NGX_DONE) {
        ngx_http_sp_llm_keepalive_stop(ctx);
    }

    return rc;
}


static void
ngx_http_sp_llm_begin_answer(ngx_http_sp_relay_t *relay)
{
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = relay->data;

    ctx->attempt.event_stream = 0;
    ctx->attempt.json_type = 0;
    ctx->attempt.type.len = 0;
    ctx->attempt.encoded = 0;
}


static ngx_int_t
ngx_http_sp_llm_header(ngx_http_sp_relay_t *relay, const ngx_str_t *name,
    const ngx_str_t *value)
{
    const ngx_http_sp_llm_header_t  *header;

    for (header = ngx_http_sp_llm_headers; header->name.len != 0; header++) {

        if (header->name.len == name->len
            && ngx_strncasecmp(header->name.data, name->data, name->len)
               == 0)
        {
            return header->handler(relay->data, value);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_content_type(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *value)
{
    size_t  len;

    if (ctx->check.raw) {
        return ngx_http_sp_llm_media_type(ctx, value);
    }

    for (len = 0; len < value->len; len++) {
        if (value->data[len] == ';' || value->data[len] == ' ') {
            break;
        }
    }

    ctx->attempt.event_stream = ngx_http_sp_llm_is_type(
                                          ctx->attempt.dialect->stream_type,
                                          value->data, len);
    ctx->attempt.json_type = ngx_http_sp_llm_is_type(
                                          ctx->attempt.dialect->type,
                                          value->data, len);

    return NGX_OK;
}


static ngx_uint_t
ngx_http_sp_llm_is_type(const char *type, u_char *p, size_t len)
{
    return ngx_strlen(type) == len
           && ngx_strncasecmp(p, (u_char *) type, len) == 0;
}


static ngx_int_t
ngx_http_sp_llm_content_encoding(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *value)
{
    if (value->len != 0
        && !(value->len == 8
             && ngx_strncasecmp(value->data, (u_char *) "identity", 8) == 0))
    {
        ctx->attempt.encoded = 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_head(ngx_http_sp_relay_t *relay)
{
    ngx_int_t               rc;
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = relay->data;

    ctx->attempt.entry->status = relay->status.code;

    ngx_http_sp_turn_return(ctx->turn);

    rc = ngx_http_sp_llm_judge(ctx);

    if (rc == NGX_AGAIN) {
        ngx_http_sp_turn_leave(ctx->turn);
    }

    /* NGINX sends a header next, and once only: our filter keeps it back */

    if (rc == NGX_OK && ctx->keepalive.committed) {
        relay->r->header_sent = 0;
    }

    return rc;
}


/* of the first endpoints only what will do; the last one's is answered */

static ngx_int_t
ngx_http_sp_llm_judge(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->relay.status.code != NGX_HTTP_OK) {
        return ngx_http_sp_llm_error_body(ctx);
    }

    if (ctx->attempt.encoded) {
        return ngx_http_sp_llm_bad_answer(r, ctx, &ngx_http_sp_llm_encoded);
    }

    if (ctx->check.raw ? ctx->attempt.type.len == 0
        : ctx->check.stream ? !ctx->attempt.event_stream
                            : !ctx->attempt.json_type)
    {
        return ngx_http_sp_llm_bad_answer(r, ctx, &ngx_http_sp_llm_mistyped);
    }

    rc = ngx_http_sp_llm_begins(ctx);

    if (rc == NGX_DECLINED) {
        return ngx_http_sp_llm_bad_answer(r, ctx,
                                          ctx->check.raw
                                          ? &ngx_http_sp_llm_empty
                                          : &ngx_http_sp_llm_began);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_sp_attempt_begun(ctx->attempt.entry);

    if (ctx->check.stream) {
        return ngx_http_sp_llm_stream_header(ctx);
    }

    ngx_http_sp_llm_set_type(r, ctx->check.raw
                                ? (char *) ctx->attempt.type.data
                                : ctx->check.dialect->type);

    /* of what is written anew nobody knows it yet */

    r->upstream->headers_in.content_length_n = ctx->attempt.rewritten
                                     ? -1 : ctx->relay.length;

    return NGX_OK;
}


/* the client's header of a stream; it may have been sent already */

ngx_int_t
ngx_http_sp_llm_stream_header(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    static ngx_str_t  no_cache = ngx_string("no-cache");
    static ngx_str_t  no = ngx_string("no");

    if (ctx->keepalive.committed) {
        return NGX_OK;
    }

    r = ctx->request;

    ngx_http_sp_llm_set_type(r, ctx->check.dialect->stream_type);

    if (ngx_http_sp_add_header(r, "Cache-Control", &no_cache) != NGX_OK
        || ngx_http_sp_add_header(r, "X-Accel-Buffering", &no) != NGX_OK)
    {
        return NGX_ERROR;
    }

#if (NGX_HTTP_GZIP)

    /* a compressor would hold events back */

    r->gzip_tested = 1;
    r->gzip_ok = 0;
#endif

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_llm_send_stream_header(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    r->headers_out.status = NGX_HTTP_OK;
    r->disable_not_modified = 1;

    if (ngx_http_sp_llm_stream_header(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);

    return ngx_http_send_header(r);
}


/*
 * A header alone is no answer yet: an error with status 200 is one as well.
 * Of a stream it may be said in it, where no other target may do better.
 * NGX_DECLINED: it is an error.
 */

static ngx_int_t
ngx_http_sp_llm_begins(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_str_t   piece;
    ngx_uint_t  more;

    if (!ngx_http_sp_llm_more(&ctx->relay) && ctx->check.stream) {
        return NGX_OK;
    }

    more = ngx_http_sp_relay_peek(&ctx->relay, &piece);

    if (piece.len == 0 && more) {
        return NGX_AGAIN;
    }

    if (ctx->check.chat == NULL) {
        return (ctx->check.raw && piece.len == 0) ? NGX_DECLINED : NGX_OK;
    }

    return ctx->check.stream ? ngx_http_sp_llm_first(ctx, &piece, more)
                             : ngx_http_sp_llm_whole(ctx, &piece, more);
}


/*
 * What fits into the buffer: longer ones are no errors, but answers.  The end
 * of one that ends with the connection is not told here.
 */

static ngx_int_t
ngx_http_sp_llm_whole(ngx_http_sp_llm_ctx_t *ctx, const ngx_str_t *piece,
    ngx_uint_t more)
{
    size_t       len;
    sp_event_t   what;
    const char  *error;

    if (more && (ctx->relay.length != -1
                 || ctx->request->upstream->headers_in.chunked))
    {
        return NGX_AGAIN;
    }

    /* where the answer passes as it is one look is enough, of most */

    if (!ctx->attempt.rewritten
        && !ngx_http_sp_llm_more(&ctx->relay)
        && sp_scan_find((char *) piece->data, piece->len, "error",
                        &error, &len)
           != 0)
    {
        return NGX_OK;
    }

    return (piece->len != 0
            && ctx->attempt.dialect->scan_answer((char *) piece->data,
                                                 piece->len, NULL, NULL,
                                                 &what)
               == 0
            && (what.has_error || !what.has_answer))
           ? NGX_DECLINED : NGX_OK;
}


/* of a stream the first event tells; comments are nothing that was said */

static ngx_int_t
ngx_http_sp_llm_first(ngx_http_sp_llm_ctx_t *ctx, const ngx_str_t *piece,
    ngx_uint_t more)
{
    void                *reader;
    sp_sse_t             sse;
    sp_event_t           what;
    const char          *last, *pos;
    sp_sse_event_t       event;
    sp_sse_status_e      status;
    const sp_dialect_t  *dialect;

    dialect = ctx->attempt.dialect;

    ngx_memzero(&sse, sizeof(sp_sse_t));

    sse.lines = dialect->lines;
    pos = (const char *) piece->data;
    last = pos + piece->len;

    do {
        status = (piece->len != 0) ? sp_sse_next(&sse, &pos, last, &event)
                                   : SP_SSE_AGAIN;

        if (status == SP_SSE_FULL && !more) {
            status = ngx_http_sp_llm_rest(ctx, &sse, &pos, last, &event);
        }

        if (status != SP_SSE_EVENT) {
            return more ? NGX_AGAIN : NGX_OK;
        }

    } while (event.data_len == 0);

    reader = ngx_pcalloc(ctx->request->pool, ngx_max(dialect->reader_size, 1));
    if (reader == NULL) {
        return NGX_ERROR;
    }

    return (dialect->scan_event(reader, &event, NULL, NULL, &what) != 0
            || what.has_error || event.naked)
           ? NGX_DECLINED : NGX_OK;
}


/* the body ends within its first event, as an error without "data:" does */

static sp_sse_status_e
ngx_http_sp_llm_rest(ngx_http_sp_llm_ctx_t *ctx, sp_sse_t *sse,
    const char **pos, const char *last, sp_sse_event_t *event)
{
    char  *p;

    p = ngx_pnalloc(ctx->request->pool, sse->need);
    if (p == NULL) {
        return SP_SSE_AGAIN;
    }

    sp_sse_memory(sse, p, sse->need);

    (void) sp_sse_next(sse, pos, last, event);

    return sp_sse_end(sse, event);
}


static void
ngx_http_sp_llm_set_type(ngx_http_request_t *r, const char *type)
{
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.content_type.data = (u_char *) type;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;
}


static ngx_int_t
ngx_http_sp_llm_data(ngx_http_sp_relay_t *relay, u_char *p, u_char *last)
{
    ngx_int_t               rc;
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = relay->data;

    ngx_http_sp_llm_fresh(relay);

    rc = ngx_http_sp_llm_feed(ctx, p, last);

    if (ctx->response.chunks != 0 && ctx->check.stream) {
        ngx_http_sp_llm_clock_chunks(ctx);
    }

    return rc;
}


/* bufs that were made before are with the client by now */

static void
ngx_http_sp_llm_fresh(ngx_http_sp_relay_t *relay)
{
    ngx_http_sp_llm_ctx_t  *ctx;

    if (relay->fresh) {
        ctx = relay->data;

        ctx->response.slice = NULL;
        ctx->response.out = NULL;

        relay->fresh = 0;
    }
}


/*
 * The body is whole.  Settled before its last byte is passed on: who has read
 * the answer finds it recorded.
 */

static ngx_int_t
ngx_http_sp_llm_end(ngx_http_sp_relay_t *relay, ngx_uint_t broken)
{
    ngx_int_t  rc;

    ngx_http_sp_llm_fresh(relay);

    rc = broken ? NGX_DECLINED : ngx_http_sp_llm_complete(relay->data);

    if (rc == NGX_DECLINED) {
        return ngx_http_sp_llm_fail(relay->data, &ngx_http_sp_llm_cut);
    }

    return rc;
}


static void
ngx_http_sp_llm_done(ngx_http_sp_relay_t *relay, ngx_int_t rc)
{
    ngx_http_request_t             *r;
    ngx_http_sp_llm_ctx_t          *ctx;
    const ngx_http_sp_llm_fault_t  *fault;

    r = relay->r;
    ctx = relay->data;

    ngx_http_sp_llm_keepalive_stop(ctx);

    if (ctx->keepalive.committed) {

        /* which is what NGINX ends the response by */

        r->header_sent = 1;
        r->headers_out.status = NGX_HTTP_OK;
        r->upstream->header_sent = 1;
    }

    if (ctx->response.settled) {
        return;
    }

    if (rc == NGX_HTTP_CLIENT_CLOSED_REQUEST
        || rc == NGX_HTTP_REQUEST_TIME_OUT
        || rc == NGX_DONE
        || r->connection->error)
    {
        ngx_http_sp_llm_blame(ctx, NGX_HTTP_SP_CALLER_DISCONNECTED);

        (void) ngx_http_sp_llm_settle(ctx, ctx->response.text_len != 0
                                           || ctx->response.bytes != 0
                                           ? NGX_HTTP_SP_TURN_PARTIAL
                                           : NGX_HTTP_SP_TURN_FAILED,
                                      NGX_HTTP_CLIENT_CLOSED_REQUEST);
        return;
    }

    fault = (ctx->attempt.fault != NULL) ? ctx->attempt.fault
                                         : ngx_http_sp_llm_fault(relay);

    if (r->upstream->header_sent) {
        ngx_http_sp_llm_late(ctx, rc, fault);
        return;
    }

    if ((rc == NGX_HTTP_GATEWAY_TIME_OUT || rc == NGX_HTTP_BAD_GATEWAY)
        && !ctx->attempt.refused)
    {
        ngx_http_sp_llm_blame(ctx, fault->error);

        (void) ngx_http_sp_error(r, rc, fault->code, "%s", fault->message);
    }

    if (rc < NGX_HTTP_BAD_REQUEST || rc == NGX_HTTP_INTERNAL_SERVER_ERROR) {
        ngx_http_sp_llm_blame(ctx, NGX_HTTP_SP_GATEWAY_ERROR);
    }

    (void) ngx_http_sp_llm_settle(ctx, NGX_HTTP_SP_TURN_FAILED,
                                  rc >= NGX_HTTP_SPECIAL_RESPONSE
                                  ? (ngx_uint_t) rc
                                  : NGX_HTTP_INTERNAL_SERVER_ERROR);
}
