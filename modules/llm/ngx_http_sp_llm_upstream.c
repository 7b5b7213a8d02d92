
/*
 * Copyright (C) Sallyport authors
 *
 * The provider's response on ngx_http_upstream: status line, header, framing
 * of the body.  What the body says is ngx_http_sp_llm_stream.c's matter.
 */


#include "ngx_http_sp_llm.h"


typedef struct {
    ngx_str_t      name;       /* lower case */
    ngx_int_t    (*handler)(ngx_http_request_t *r,
                       ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *value);
} ngx_http_sp_llm_header_t;


static ngx_int_t ngx_http_sp_llm_create_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_sp_llm_reinit_request(ngx_http_request_t *r);
static void ngx_http_sp_llm_abort_request(ngx_http_request_t *r);
static void ngx_http_sp_llm_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);
static ngx_int_t ngx_http_sp_llm_status_line(ngx_http_request_t *r);
static ngx_int_t ngx_http_sp_llm_header(ngx_http_request_t *r);
static ngx_int_t ngx_http_sp_llm_header_line(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_content_type(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *value);
static ngx_uint_t ngx_http_sp_llm_is_type(const char *type, u_char *p,
    size_t len);
static ngx_int_t ngx_http_sp_llm_content_length(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_sp_llm_content_encoding(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_sp_llm_transfer_encoding(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_sp_llm_connection(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_sp_llm_retry_after(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_sp_llm_header_done(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static void ngx_http_sp_llm_set_type(ngx_http_request_t *r,
    const char *type);
static ngx_int_t ngx_http_sp_llm_filter_init(void *data);
static ngx_int_t ngx_http_sp_llm_filter(void *data, ssize_t bytes);
static ngx_int_t ngx_http_sp_llm_end(ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_chunked(ngx_http_sp_llm_ctx_t *ctx,
    ngx_buf_t *buf);


static ngx_http_sp_llm_header_t  ngx_http_sp_llm_headers[] = {

    { ngx_string("content-type"), ngx_http_sp_llm_content_type },
    { ngx_string("content-length"), ngx_http_sp_llm_content_length },
    { ngx_string("content-encoding"), ngx_http_sp_llm_content_encoding },
    { ngx_string("transfer-encoding"), ngx_http_sp_llm_transfer_encoding },
    { ngx_string("connection"), ngx_http_sp_llm_connection },
    { ngx_string("retry-after"), ngx_http_sp_llm_retry_after },
    { ngx_null_string, NULL }
};


static ngx_http_sp_llm_fault_t  ngx_http_sp_llm_timeout =
    { "provider_timeout",
      "the model provider did not answer in time" };

static ngx_http_sp_llm_fault_t  ngx_http_sp_llm_unreachable =
    { "provider_unreachable",
      "the model provider could not be reached or closed the connection" };

static ngx_http_sp_llm_fault_t  ngx_http_sp_llm_cut =
    { "provider_stream_cut",
      "the model provider closed the stream before its end" };

static ngx_http_sp_llm_fault_t  ngx_http_sp_llm_encoded =
    { "provider_encoded",
      "the model provider sent a compressed answer that was not asked for" };

static ngx_http_sp_llm_fault_t  ngx_http_sp_llm_mistyped =
    { "provider_content_type",
      "the model provider answered with an unexpected content type" };


ngx_int_t
ngx_http_sp_llm_start(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_http_upstream_t         *u;
    ngx_http_sp_llm_provider_t  *provider;

    if (ngx_http_upstream_create(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    provider = ctx->attempt.model->provider;

    u = r->upstream;

    if (provider->ssl) {
        u->ssl = 1;
        ngx_str_set(&u->schema, "https://");

    } else {
        ngx_str_set(&u->schema, "http://");
    }

    u->output.tag = (ngx_buf_tag_t) &ngx_http_sp_llm_module;

    u->conf = &provider->upstream;

    u->create_request = ngx_http_sp_llm_create_request;
    u->reinit_request = ngx_http_sp_llm_reinit_request;
    u->process_header = ngx_http_sp_llm_status_line;
    u->abort_request = ngx_http_sp_llm_abort_request;
    u->finalize_request = ngx_http_sp_llm_finalize_request;

    u->input_filter_init = ngx_http_sp_llm_filter_init;
    u->input_filter = ngx_http_sp_llm_filter;
    u->input_filter_ctx = ctx;

    r->state = 0;

    ngx_memzero(&ctx->response, sizeof(ngx_http_sp_llm_response_t));

    if (ngx_http_sp_llm_begin(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->request = r;
    ctx->attempt.length = -1;

    /* paid back by the upstream's ngx_http_finalize_request() */

    r->main->count++;

    ngx_http_upstream_init(r);

    return NGX_DONE;
}


/* the request was written by the handler, which can still answer errors */

static ngx_int_t
ngx_http_sp_llm_create_request(ngx_http_request_t *r)
{
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = ngx_http_sp_llm_find_ctx(r);

    if (ctx == NULL) {
        return NGX_ERROR;
    }

    r->upstream->request_bufs = ctx->attempt.request_bufs;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_reinit_request(ngx_http_request_t *r)
{
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = ngx_http_sp_llm_find_ctx(r);

    if (ctx == NULL) {
        return NGX_OK;
    }

    ngx_memzero(&ctx->attempt.status, sizeof(ngx_http_status_t));
    ngx_memzero(&ctx->attempt.chunked, sizeof(ngx_http_chunked_t));

    ctx->attempt.length = -1;
    ctx->attempt.event_stream = 0;
    ctx->attempt.json_type = 0;
    ctx->attempt.encoded = 0;

    r->upstream->process_header = ngx_http_sp_llm_status_line;
    r->state = 0;

    return NGX_OK;
}


static void
ngx_http_sp_llm_abort_request(ngx_http_request_t *r)
{
    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "llm: abort request");
}


/*
 * Every exit path of the upstream passes here, once: the end of the answer,
 * timeouts, a cut connection, the client gone.
 */

static void
ngx_http_sp_llm_finalize_request(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_upstream_t            *u;
    ngx_http_sp_llm_ctx_t          *ctx;
    const ngx_http_sp_llm_fault_t  *fault;

    ctx = ngx_http_sp_llm_find_ctx(r);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "llm: finalize request: %i", rc);

    if (ctx == NULL || ctx->response.settled) {
        return;
    }

    u = r->upstream;

    if (rc == NGX_HTTP_CLIENT_CLOSED_REQUEST
        || rc == NGX_HTTP_REQUEST_TIME_OUT
        || rc == NGX_DONE
        || r->connection->error)
    {
        (void) ngx_http_sp_llm_settle(ctx, ctx->response.text_len != 0
                                           ? NGX_HTTP_SP_TURN_PARTIAL
                                           : NGX_HTTP_SP_TURN_FAILED,
                                      NGX_HTTP_CLIENT_CLOSED_REQUEST);
        return;
    }

    if (u->header_sent) {

        fault = (rc == NGX_HTTP_GATEWAY_TIME_OUT) ? &ngx_http_sp_llm_timeout
                                                  : &ngx_http_sp_llm_cut;

        ngx_http_sp_llm_late(ctx, rc, fault);

        return;
    }

    if (rc == NGX_HTTP_GATEWAY_TIME_OUT) {
        fault = &ngx_http_sp_llm_timeout;

    } else {
        fault = &ngx_http_sp_llm_unreachable;
    }

    if ((rc == NGX_HTTP_GATEWAY_TIME_OUT || rc == NGX_HTTP_BAD_GATEWAY)
        && !ctx->attempt.refused)
    {
        (void) ngx_http_sp_error(r, rc, fault->code, "%s", fault->message);
    }

    (void) ngx_http_sp_llm_settle(ctx, NGX_HTTP_SP_TURN_FAILED,
                                  rc >= NGX_HTTP_SPECIAL_RESPONSE
                                  ? (ngx_uint_t) rc
                                  : NGX_HTTP_INTERNAL_SERVER_ERROR);
}


static ngx_int_t
ngx_http_sp_llm_status_line(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_http_upstream_t    *u;
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = ngx_http_sp_llm_find_ctx(r);

    if (ctx == NULL) {
        return NGX_ERROR;
    }

    u = r->upstream;

    rc = ngx_http_parse_status_line(r, &u->buffer, &ctx->attempt.status);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc == NGX_ERROR) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "llm: provider \"%V\" sent no valid HTTP/1.x header",
                      &ctx->attempt.model->provider->name);
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    if (u->state != NULL && u->state->status == 0) {
        u->state->status = ctx->attempt.status.code;
    }

    u->headers_in.status_n = ctx->attempt.status.code;

    if (ctx->attempt.status.http_version < NGX_HTTP_VERSION_11) {
        u->headers_in.connection_close = 1;
    }

    u->process_header = ngx_http_sp_llm_header;

    return ngx_http_sp_llm_header(r);
}


static ngx_int_t
ngx_http_sp_llm_header(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = ngx_http_sp_llm_find_ctx(r);

    if (ctx == NULL) {
        return NGX_ERROR;
    }

    for ( ;; ) {

        rc = ngx_http_parse_header_line(r, &r->upstream->buffer, 1);

        if (rc == NGX_OK) {

            rc = ngx_http_sp_llm_header_line(r, ctx);

            if (rc != NGX_OK) {
                return rc;
            }

            continue;
        }

        if (rc == NGX_HTTP_PARSE_HEADER_DONE) {

            /* an interim response: the final one follows */

            if (ctx->attempt.status.code / 100 == 1) {
                (void) ngx_http_sp_llm_reinit_request(r);
                r->upstream->state->status = 0;
                return ngx_http_sp_llm_status_line(r);
            }

            return ngx_http_sp_llm_header_done(r, ctx);
        }

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        /* rc == NGX_HTTP_PARSE_INVALID_HEADER */

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "llm: provider \"%V\" sent an invalid header",
                      &ctx->attempt.model->provider->name);

        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }
}


/*
 * An allow-list: cookies, the account's limits and X-Accel-* of a provider
 * are none of the client's business
 */

static ngx_int_t
ngx_http_sp_llm_header_line(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx)
{
    size_t                     len;
    ngx_str_t                  value;
    ngx_http_sp_llm_header_t  *header;

    len = r->header_name_end - r->header_name_start;

    for (header = ngx_http_sp_llm_headers; header->name.len != 0; header++) {

        if (header->name.len != len
            || ngx_strncasecmp(header->name.data, r->header_name_start, len)
               != 0)
        {
            continue;
        }

        value.len = r->header_end - r->header_start;
        value.data = r->header_start;

        return header->handler(r, ctx, &value);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_content_type(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *value)
{
    size_t  len;

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
ngx_http_sp_llm_content_length(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *value)
{
    off_t  length;

    length = ngx_atoof(value->data, value->len);

    if (length == NGX_ERROR
        || (ctx->attempt.length != -1 && ctx->attempt.length != length))
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "llm: provider \"%V\" sent an invalid content length",
                      &ctx->attempt.model->provider->name);
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    ctx->attempt.length = length;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_content_encoding(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *value)
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
ngx_http_sp_llm_transfer_encoding(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *value)
{
    if (value->len == 7
        && ngx_strncasecmp(value->data, (u_char *) "chunked", 7) == 0)
    {
        r->upstream->headers_in.chunked = 1;
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "llm: provider \"%V\" sent an unknown transfer encoding",
                  &ctx->attempt.model->provider->name);

    return NGX_HTTP_UPSTREAM_INVALID_HEADER;
}


static ngx_int_t
ngx_http_sp_llm_connection(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx,
    ngx_str_t *value)
{
    if (ngx_strlcasestrn(value->data, value->data + value->len,
                         (u_char *) "close", 5 - 1)
        != NULL)
    {
        r->upstream->headers_in.connection_close = 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_retry_after(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx,
    ngx_str_t *value)
{
    ctx->attempt.retry_after.data = ngx_pstrdup(r->pool, value);

    if (ctx->attempt.retry_after.data == NULL) {
        return NGX_ERROR;
    }

    ctx->attempt.retry_after.len = value->len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_header_done(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    static ngx_str_t  no_cache = ngx_string("no-cache");
    static ngx_str_t  no = ngx_string("no");

    u = r->upstream;

    if (u->headers_in.chunked) {
        ctx->attempt.length = -1;
    }

    if (ctx->attempt.status.code != NGX_HTTP_OK) {

        /* called again as more of the body comes */

        u->process_header = ngx_http_sp_llm_error_body;

        return ngx_http_sp_llm_error_body(r);
    }

    if (ctx->attempt.encoded) {
        return ngx_http_sp_llm_bad_answer(r, ctx, &ngx_http_sp_llm_encoded);
    }

    if (ctx->check.stream ? !ctx->attempt.event_stream
                          : !ctx->attempt.json_type)
    {
        return ngx_http_sp_llm_bad_answer(r, ctx, &ngx_http_sp_llm_mistyped);
    }

    r->headers_out.content_type_lowcase = NULL;

    if (ctx->check.stream) {
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

    ngx_http_sp_llm_set_type(r, ctx->check.dialect->type);

    /* of a translation nobody knows it yet */

    u->headers_in.content_length_n = ctx->attempt.translated
                                     ? -1 : ctx->attempt.length;

    return NGX_OK;
}


static void
ngx_http_sp_llm_set_type(ngx_http_request_t *r, const char *type)
{
    r->headers_out.content_type.data = (u_char *) type;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;
}


static ngx_int_t
ngx_http_sp_llm_filter_init(void *data)
{
    ngx_http_sp_llm_ctx_t *ctx = data;

    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;

    if (u->headers_in.chunked) {
        u->length = 1;

    } else {
        u->length = ctx->attempt.length;
    }

    if (u->length == 0) {
        u->keepalive = !u->headers_in.connection_close;
        return ngx_http_sp_llm_end(ctx);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_filter(void *data, ssize_t bytes)
{
    ngx_http_sp_llm_ctx_t *ctx = data;

    u_char               *last, *p;
    ngx_int_t             rc;
    ngx_buf_t            *b;
    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;
    b = &u->buffer;

    p = b->last;
    b->last += bytes;
    last = b->last;

    ctx->response.slice = NULL;
    ctx->response.out = NULL;

    if (ctx->response.stopped || u->length == 0) {

        /* whatever follows the end is not looked at */

        u->keepalive = 0;
        return NGX_OK;
    }

    if (u->headers_in.chunked) {
        b->pos = p;
        rc = ngx_http_sp_llm_chunked(ctx, b);

    } else {

        if (u->length != -1) {

            if (last - p > u->length) {
                last = p + u->length;
            }

            u->length -= last - p;
        }

        rc = ngx_http_sp_llm_feed(ctx, p, last);

        if (u->length == 0 && !ctx->response.stopped) {
            u->keepalive = (last == b->last
                            && !u->headers_in.connection_close);
        }
    }

    if (rc != NGX_OK || u->length != 0 || ctx->response.stopped) {
        return rc;
    }

    return ngx_http_sp_llm_end(ctx);
}


/*
 * The body is whole.  Settled before its last byte is passed on: who has read
 * the answer finds it recorded.
 */

static ngx_int_t
ngx_http_sp_llm_end(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_http_sp_llm_complete(ctx);

    if (rc == NGX_DECLINED) {
        return ngx_http_sp_llm_fail(ctx, &ngx_http_sp_llm_cut);
    }

    return rc;
}


static ngx_int_t
ngx_http_sp_llm_chunked(ngx_http_sp_llm_ctx_t *ctx, ngx_buf_t *buf)
{
    u_char               *p;
    ngx_int_t             rc;
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = ctx->request;
    u = r->upstream;

    for ( ;; ) {

        rc = ngx_http_parse_chunked(r, buf, &ctx->attempt.chunked);

        if (rc == NGX_OK) {

            p = buf->pos;

            if (buf->last - buf->pos >= ctx->attempt.chunked.size) {
                buf->pos += (size_t) ctx->attempt.chunked.size;
                ctx->attempt.chunked.size = 0;

            } else {
                ctx->attempt.chunked.size -= buf->last - buf->pos;
                buf->pos = buf->last;
            }

            if (ngx_http_sp_llm_feed(ctx, p, buf->pos) != NGX_OK) {
                return NGX_ERROR;
            }

            if (ctx->response.stopped) {
                return NGX_OK;
            }

            continue;
        }

        if (rc == NGX_DONE) {
            u->length = 0;
            u->keepalive = (buf->pos == buf->last
                            && !u->headers_in.connection_close);
            return NGX_OK;
        }

        if (rc == NGX_AGAIN) {
            return NGX_OK;
        }

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "llm: provider \"%V\" sent an invalid chunked answer",
                      &ctx->attempt.model->provider->name);

        return ngx_http_sp_llm_fail(ctx, &ngx_http_sp_llm_cut);
    }
}
