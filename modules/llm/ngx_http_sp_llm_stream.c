
/*
 * Copyright (C) Sallyport authors
 *
 * The provider's body on its way to the client: bytes pass as they came and
 * are only scanned.  Of a stream whole events are passed, so that the usage
 * chunk can be left out and an error event never lands inside another.
 */


#include "ngx_http_sp_llm.h"


#define NGX_HTTP_SP_LLM_CARRY  1024


static ngx_int_t ngx_http_sp_llm_feed_json(ngx_http_sp_llm_ctx_t *ctx,
    u_char *p, u_char *last);
static ngx_int_t ngx_http_sp_llm_gather(ngx_http_sp_llm_ctx_t *ctx,
    u_char *p, size_t len);
static ngx_int_t ngx_http_sp_llm_complete_json(ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_complete_stream(ngx_http_sp_llm_ctx_t *ctx);
static const ngx_http_sp_llm_fault_t *ngx_http_sp_llm_reported_as(
    const sp_event_t *event);
static ngx_int_t ngx_http_sp_llm_event_done(ngx_http_sp_llm_ctx_t *ctx,
    sp_sse_event_t *sse, ngx_uint_t passed);
static ngx_int_t ngx_http_sp_llm_stop(ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_pass_event(ngx_http_sp_llm_ctx_t *ctx,
    sp_sse_event_t *event);
static ngx_int_t ngx_http_sp_llm_grow(ngx_http_sp_llm_ctx_t *ctx);
static void ngx_http_sp_llm_last(ngx_chain_t *cl, ngx_int_t rc);
static ngx_int_t ngx_http_sp_llm_end_failed(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_http_sp_llm_fault_t *fault, ngx_uint_t status);
static void ngx_http_sp_llm_leave(ngx_http_sp_llm_ctx_t *ctx);
static ngx_uint_t ngx_http_sp_llm_is_whole(ngx_http_sp_llm_ctx_t *ctx,
    const sp_sse_event_t *event);


/* the end of an event, whatever was said of it */

static u_char  ngx_http_sp_llm_blank[] = "\n\n";


static ngx_http_sp_llm_fault_t  ngx_http_sp_llm_too_large =
    { "provider_event_too_large",
      "the model provider sent an event above the configured size",
      0, NGX_HTTP_SP_PROVIDER_INVALID_ANSWER, NGX_HTTP_SP_FAILURE_GATEWAY };

static ngx_http_sp_llm_fault_t  ngx_http_sp_llm_too_long =
    { "answer_too_large",
      "the answer is too long to be repeated in the event at its end",
      0, NGX_HTTP_SP_PROVIDER_INVALID_ANSWER, NGX_HTTP_SP_FAILURE_GATEWAY };

static ngx_http_sp_llm_fault_t  ngx_http_sp_llm_malformed =
    { "provider_invalid_event",
      "the model provider sent an event that is not valid",
      0, NGX_HTTP_SP_PROVIDER_INVALID_ANSWER, NGX_HTTP_SP_FAILURE_ANSWER };

static ngx_http_sp_llm_fault_t  ngx_http_sp_llm_reported =
    { "provider_error",
      "the model provider reported an error while answering",
      0, NGX_HTTP_SP_PROVIDER_ERROR, NGX_HTTP_SP_FAILURE_ERROR };

static ngx_http_sp_llm_fault_t  ngx_http_sp_llm_overloaded =
    { "provider_overloaded",
      "the model provider is overloaded, try again later",
      NGX_HTTP_SERVICE_UNAVAILABLE, NGX_HTTP_SP_PROVIDER_OVERLOADED,
      NGX_HTTP_SP_FAILURE_OVERLOADED };


ngx_int_t
ngx_http_sp_llm_feed(ngx_http_sp_llm_ctx_t *ctx, u_char *p, u_char *last)
{
    ngx_int_t         rc;
    const char       *pos;
    sp_sse_event_t    event;
    sp_sse_status_e   status;

    if (p == last) {
        return NGX_OK;
    }

    if (ctx->check.raw) {
        return ngx_http_sp_llm_media_feed(ctx, p, last);
    }

    if (!ctx->check.stream) {
        return ngx_http_sp_llm_feed_json(ctx, p, last);
    }

    pos = (const char *) p;

    for ( ;; ) {

        status = sp_sse_next(&ctx->response.sse, &pos, (const char *) last,
                             &event);

        switch (status) {

        case SP_SSE_AGAIN:
            return NGX_OK;

        case SP_SSE_FULL:
            rc = ngx_http_sp_llm_grow(ctx);
            break;

        case SP_SSE_PART:
            rc = ngx_http_sp_llm_large_part(ctx, &event);
            break;

        default: /* SP_SSE_EVENT */
            rc = ngx_http_sp_llm_event(ctx, &event, 0);
        }

        if (rc != NGX_OK || ctx->relay.stopped) {
            return rc;
        }
    }
}


static ngx_int_t
ngx_http_sp_llm_feed_json(ngx_http_sp_llm_ctx_t *ctx, u_char *p, u_char *last)
{
    if (ctx->attempt.rewritten) {

        if (ngx_http_sp_llm_gather(ctx, p, last - p) != NGX_OK) {
            return NGX_ERROR;
        }

        return ctx->response.overflow
               ? ngx_http_sp_llm_fail(ctx, &ngx_http_sp_llm_too_large)
               : NGX_OK;
    }

    if (ctx->response.json_len == 0 && ctx->relay.length == last - p) {

        /* whole in one piece: scanned where it is, before it goes out */

        ctx->response.json = p;
        ctx->response.json_len = last - p;

    } else if (ngx_http_sp_llm_gather(ctx, p, last - p) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_llm_pass(ctx, p, last);
}


/*
 * A copy for the scanner: the upstream's buffer is written over as soon as it
 * was sent.  Beyond the cap what is long in it is not kept.
 */

static ngx_int_t
ngx_http_sp_llm_gather(ngx_http_sp_llm_ctx_t *ctx, u_char *p, size_t len)
{
    u_char  *data;
    size_t   size;

    if (ctx->response.overflow) {
        return ngx_http_sp_llm_brief(ctx, p, len);
    }

    if (ctx->response.json_len + len > ctx->check.conf->event_size) {
        ctx->response.overflow = 1;

        if (ngx_http_sp_llm_brief(ctx, ctx->response.json,
                                  ctx->response.json_len)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        return ngx_http_sp_llm_brief(ctx, p, len);
    }

    if (ctx->response.json_size - ctx->response.json_len < len) {

        size = ctx->response.json_size * 2;

        if (size < ctx->response.json_len + len) {
            size = ctx->response.json_len + len;
        }

        /* one allocation where the provider tells the length */

        if (ctx->relay.length > 0 && (off_t) size < ctx->relay.length
            && ctx->relay.length <= (off_t) ctx->check.conf->event_size)
        {
            size = ctx->relay.length;
        }

        data = ngx_http_sp_llm_enlarge(ctx->request->pool,
                                       ctx->response.json,
                                       ctx->response.json_len, size);
        if (data == NULL) {
            return NGX_ERROR;
        }

        ctx->response.json = data;
        ctx->response.json_size = size;
    }

    ngx_memcpy(ctx->response.json + ctx->response.json_len, p, len);
    ctx->response.json_len += len;

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_llm_complete(ngx_http_sp_llm_ctx_t *ctx)
{
    if (ctx->check.raw) {
        return ngx_http_sp_llm_media_complete(ctx);
    }

    if (ctx->check.stream) {
        return ngx_http_sp_llm_complete_stream(ctx);
    }

    return ngx_http_sp_llm_complete_json(ctx);
}


static ngx_int_t
ngx_http_sp_llm_complete_json(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_int_t                    rc;
    sp_event_t                   event;
    ngx_http_sp_llm_response_t  *response;

    response = &ctx->response;

    if (response->overflow && ngx_http_sp_llm_brief_answer(ctx) != NGX_OK) {
        return ngx_http_sp_llm_settle(ctx, NGX_HTTP_SP_TURN_COMPLETE,
                                      NGX_HTTP_OK);
    }

    if (ctx->attempt.rewritten) {
        response->deltas = ngx_array_create(ctx->request->pool, 4,
                                            sizeof(sp_delta_t));
        if (response->deltas == NULL) {
            return NGX_ERROR;
        }
    }

    rc = ctx->attempt.dialect->scan_answer((char *) response->json,
                                           response->json_len,
                                           ngx_http_sp_llm_delta, ctx,
                                           &event);
    if (response->broken) {
        return NGX_ERROR;
    }

    if (rc != 0 || event.has_error
        || (ctx->check.conf->kind != NGX_HTTP_SP_MODEL_EMBEDDING
            && !event.has_answer))
    {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "llm: provider \"%V\" sent an answer that is not a "
                      "completion", &ctx->attempt.target->provider->name);

        ngx_http_sp_llm_blame(ctx, event.has_error
                                   ? NGX_HTTP_SP_PROVIDER_ERROR
                                   : NGX_HTTP_SP_PROVIDER_INVALID_ANSWER);

        if (ngx_http_sp_llm_settle(ctx, NGX_HTTP_SP_TURN_FAILED, NGX_HTTP_OK)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        /* of what is written anew there is nothing to say, and the end of
         * the connection was not the end of the answer */

        return (ctx->attempt.rewritten
                || (rc != 0 && ctx->relay.length == -1
                    && !ctx->request->upstream->headers_in.chunked))
               ? NGX_ERROR : NGX_OK;
    }

    ngx_http_sp_llm_note(ctx, &event);

    if (ctx->attempt.rewritten
        && ngx_http_sp_llm_write_answer(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sp_llm_settle(ctx, NGX_HTTP_SP_TURN_COMPLETE,
                                  NGX_HTTP_OK);
}


/*
 * Some servers leave the blank line after their last event out, some the last
 * event itself: where each choice has told its end, nothing is missing.
 */

static ngx_int_t
ngx_http_sp_llm_complete_stream(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_int_t                    rc;
    sp_sse_event_t               event;
    sp_sse_status_e              status;
    ngx_http_sp_llm_response_t  *response;

    response = &ctx->response;

    if (response->done) {
        return ngx_http_sp_llm_settle(ctx, NGX_HTTP_SP_TURN_COMPLETE,
                                      NGX_HTTP_OK);
    }

    if (response->sse.pass) {
        return NGX_DECLINED;
    }

    for ( ;; ) {
        status = sp_sse_end(&response->sse, &event);

        if (status != SP_SSE_FULL) {
            break;
        }

        rc = ngx_http_sp_llm_grow(ctx);

        if (rc != NGX_OK || ctx->relay.stopped) {
            return rc;
        }
    }

    if (status == SP_SSE_EVENT && ngx_http_sp_llm_is_whole(ctx, &event)) {

        rc = ngx_http_sp_llm_event(ctx, &event, 0);

        if (rc != NGX_OK || ctx->relay.stopped) {
            return rc;
        }

        response->slice = NULL;

        if (!ctx->attempt.rewritten
            && ngx_http_sp_llm_pass(ctx, ngx_http_sp_llm_blank,
                                ngx_http_sp_llm_blank + 2) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (response->done) {
            return NGX_OK;
        }
    }

    if (!ngx_http_sp_llm_finished(ctx)) {
        return NGX_DECLINED;
    }

    if (!ctx->attempt.dialect->eof) {
        ngx_sp_metric_add(ctx->attempt.target->provider->unterminated, 1);
    }

    response->done = 1;

    if (ngx_http_sp_llm_settle(ctx, NGX_HTTP_SP_TURN_COMPLETE, NGX_HTTP_OK)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sp_llm_write_end(ctx);
}


static ngx_uint_t
ngx_http_sp_llm_is_whole(ngx_http_sp_llm_ctx_t *ctx,
    const sp_sse_event_t *event)
{
    sp_event_t  what;

    return event->data_len != 0
           && ctx->attempt.dialect->scan_event(ctx->response.reader, event,
                                               NULL, NULL, &what)
              == 0;
}


ngx_uint_t
ngx_http_sp_llm_finished(const ngx_http_sp_llm_ctx_t *ctx)
{
    if (ctx->check.chat != NULL) {
        return ctx->response.nfinished >= ctx->check.chat->n;
    }

    return ctx->check.images != 0
           && ctx->response.images >= ctx->check.images;
}


ngx_int_t
ngx_http_sp_llm_event(ngx_http_sp_llm_ctx_t *ctx, sp_sse_event_t *sse,
    ngx_uint_t passed)
{
    ngx_int_t                    rc;
    sp_event_t                   event;
    ngx_http_sp_llm_response_t  *response;

    response = &ctx->response;

    if (response->done || sse->data_len == 0) {

        /* a comment that keeps the connection alive, or a blank line */

        return ctx->attempt.rewritten ? NGX_OK
                                      : ngx_http_sp_llm_pass_event(ctx, sse);
    }

    /* what stands there without "data:" may be an error, but says nothing */

    rc = ctx->attempt.dialect->scan_event(response->reader, sse,
                                          sse->naked ? NULL
                                                     : ngx_http_sp_llm_delta,
                                          ctx, &event);
    if (response->broken) {
        return NGX_ERROR;
    }

    if (rc != 0 || (sse->naked && !event.has_error)) {
        return ngx_http_sp_llm_fail(ctx, &ngx_http_sp_llm_malformed);
    }

    if (event.has_error) {
        return ngx_http_sp_llm_fail(ctx, ngx_http_sp_llm_reported_as(&event));
    }

    if (response->writer.full) {
        return ngx_http_sp_llm_fail(ctx, &ngx_http_sp_llm_too_long);
    }

    ngx_http_sp_llm_note(ctx, &event);

    if (event.done) {
        return ngx_http_sp_llm_event_done(ctx, sse, passed);
    }

    if (response->nrefused != 0 && ngx_http_sp_llm_finished(ctx)) {
        return ngx_http_sp_llm_stop(ctx);
    }

    /* usage that we asked for, not the client */

    if (ctx->attempt.rewritten
        || passed
        || (event.usage_only && !ctx->check.chat->include_usage))
    {
        return NGX_OK;
    }

    return ngx_http_sp_llm_pass_event(ctx, sse);
}


/* of what the provider says itself, only what a client can act on */

static const ngx_http_sp_llm_fault_t *
ngx_http_sp_llm_reported_as(const sp_event_t *event)
{
    static const char  overloaded[] = "overloaded_error";

    return (event->error_type.len == sizeof(overloaded) - 1
            && ngx_strncmp(event->error_type.data, overloaded,
                           sizeof(overloaded) - 1)
               == 0)
           ? &ngx_http_sp_llm_overloaded : &ngx_http_sp_llm_reported;
}


static ngx_int_t
ngx_http_sp_llm_event_done(ngx_http_sp_llm_ctx_t *ctx, sp_sse_event_t *sse,
    ngx_uint_t passed)
{
    ctx->response.done = 1;

    if (ngx_http_sp_llm_filter_end(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->response.writer.full) {
        return ngx_http_sp_llm_fail(ctx, &ngx_http_sp_llm_too_long);
    }

    if (ngx_http_sp_llm_settle(ctx, NGX_HTTP_SP_TURN_COMPLETE, NGX_HTTP_OK)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->attempt.rewritten) {
        return ngx_http_sp_llm_write_end(ctx);
    }

    return passed ? NGX_OK : ngx_http_sp_llm_pass_event(ctx, sse);
}


/* a filter has ended the last choice: the provider need not go on */

static ngx_int_t
ngx_http_sp_llm_stop(ngx_http_sp_llm_ctx_t *ctx)
{
    ctx->response.done = 1;

    if (ngx_http_sp_llm_settle(ctx, NGX_HTTP_SP_TURN_COMPLETE, NGX_HTTP_OK)
        != NGX_OK
        || ngx_http_sp_llm_write_end(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_sp_llm_leave(ctx);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_pass_event(ngx_http_sp_llm_ctx_t *ctx, sp_sse_event_t *event)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (!event->gathered) {
        return ngx_http_sp_llm_pass(ctx, (u_char *) event->raw,
                                    (u_char *) event->raw + event->raw_len);
    }

    /* the memory it was gathered in goes out, and comes back when sent */

    cl = ctx->response.carry;
    b = cl->buf;

    b->pos = b->start;
    b->last = b->start + event->raw_len;

    ctx->response.carry = NULL;
    sp_sse_take(&ctx->response.sse);

    ngx_http_sp_llm_append(ctx, cl);

    return NGX_OK;
}


/* more memory for an event that is split over reads */

static ngx_int_t
ngx_http_sp_llm_grow(ngx_http_sp_llm_ctx_t *ctx)
{
    size_t        size;
    ngx_buf_t    *b;
    ngx_chain_t  *cl, *old;

    if (ctx->response.sse.need > ctx->check.conf->event_size) {

        /* what is not passed as it comes must be there to be written anew */

        return ctx->attempt.rewritten
               ? ngx_http_sp_llm_fail(ctx, &ngx_http_sp_llm_too_large)
               : ngx_http_sp_llm_large(ctx);
    }

    size = NGX_HTTP_SP_LLM_CARRY;

    while (size < ctx->response.sse.need) {
        size *= 2;
    }

    cl = ngx_http_sp_llm_get_buf(ctx, size);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b = cl->buf;

    sp_sse_memory(&ctx->response.sse, (char *) b->start, b->end - b->start);

    old = ctx->response.carry;
    ctx->response.carry = cl;

    if (old != NULL) {
        old->next = ctx->request->upstream->free_bufs;
        ctx->request->upstream->free_bufs = old;
    }

    return NGX_OK;
}


/*
 * The status is out, and the provider's connection has ended.  That may be
 * the end of a body without a length, or of a stream that has told the end of
 * each choice.  Else a stream ends with an error event; any other answer is
 * cut by NGINX, which the client sees as such.
 */

void
ngx_http_sp_llm_late(ngx_http_sp_llm_ctx_t *ctx, ngx_int_t rc,
    const ngx_http_sp_llm_fault_t *fault)
{
    ngx_uint_t            whole;
    ngx_http_request_t   *r;

    r = ctx->request;

    whole = (rc == 0
             || (rc == NGX_HTTP_BAD_GATEWAY && ctx->check.stream
                 && ngx_http_sp_llm_finished(ctx)));

    if (!whole || ngx_http_sp_llm_complete(ctx) != NGX_OK) {

        if (ngx_http_sp_llm_end_failed(ctx, fault, r->headers_out.status)
            != NGX_OK)
        {
            /* nothing more goes out: not the end of a body either */

            r->connection->error = 1;

            return;
        }
    }

    ngx_http_sp_llm_last(r->upstream->out_bufs, rc);

    (void) ngx_http_output_filter(r, r->upstream->out_bufs);
}


/* after a failure NGINX does not end the response itself */

static void
ngx_http_sp_llm_last(ngx_chain_t *cl, ngx_int_t rc)
{
    if (rc == 0) {
        return;
    }

    for ( /* void */ ; cl != NULL; cl = cl->next) {
        cl->buf->last_buf = (cl->next == NULL);
    }
}


/*
 * The answer ends here, whatever the provider still sends.  Before the header
 * this is not reached; of an answer that is no stream nothing can be said any
 * more: the connection is cut.
 */

ngx_int_t
ngx_http_sp_llm_fail(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_http_sp_llm_fault_t *fault)
{
    ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                  "llm: provider \"%V\": %s",
                  &ctx->attempt.target->provider->name, fault->code);

    if (ngx_http_sp_llm_end_failed(ctx, fault, NGX_HTTP_OK) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_sp_llm_leave(ctx);

    return NGX_OK;
}


/* what was held of a stream may be said; then the fault, as its last event */

static ngx_int_t
ngx_http_sp_llm_end_failed(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_http_sp_llm_fault_t *fault, ngx_uint_t status)
{
    ngx_chain_t  *cl;

    ctx->attempt.failure = fault->failure;

    ngx_http_sp_llm_blame(ctx, fault->error);

    if ((ctx->check.stream && ngx_http_sp_llm_filter_end(ctx) != NGX_OK)
        || ngx_http_sp_llm_settle(ctx, NGX_HTTP_SP_TURN_FAILED, status)
           != NGX_OK
        || !ctx->check.stream)
    {
        return NGX_ERROR;
    }

    /* the half of an event must not be one with what follows */

    if (ctx->response.sse.pass
        && ngx_http_sp_llm_pass(ctx, ngx_http_sp_llm_blank,
                                ngx_http_sp_llm_blank + 2) != NGX_OK)
    {
        return NGX_ERROR;
    }

    cl = ngx_alloc_chain_link(ctx->request->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    cl->buf = ngx_http_sp_llm_fault_event(ctx, fault);
    if (cl->buf == NULL) {
        return NGX_ERROR;
    }

    ngx_http_sp_llm_append(ctx, cl);

    return NGX_OK;
}


/* whatever the provider still sends is not read */

static void
ngx_http_sp_llm_leave(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;

    u->length = 0;
    u->keepalive = 0;
    ctx->relay.stopped = 1;
}
