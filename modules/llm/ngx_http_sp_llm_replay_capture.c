
/*
 * Copyright (C) Sallyport authors
 *
 * The bytes of an answer as they go out, those written anew included; without
 * the words that only keep the connection alive.
 */


#include "ngx_http_sp_llm_replay.h"


#define NGX_HTTP_SP_LLM_CAPTURE  4096


static ngx_int_t ngx_http_sp_llm_capture_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static void ngx_http_sp_llm_capture_bytes(ngx_http_sp_llm_ctx_t *ctx,
    const u_char *p, size_t len);


static ngx_http_output_body_filter_pt  ngx_http_next_body_filter;


void
ngx_http_sp_llm_capture_init(void)
{
    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_sp_llm_capture_filter;
}


void
ngx_http_sp_llm_capture(ngx_http_sp_llm_ctx_t *ctx, size_t max)
{
    ngx_memzero(&ctx->capture, sizeof(ngx_http_sp_llm_capture_t));

    ctx->capture.max = max;
    ctx->capture.on = 1;
}


static ngx_int_t
ngx_http_sp_llm_capture_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t              *b;
    ngx_chain_t            *cl;
    ngx_http_sp_llm_ctx_t  *ctx;

    if (in == NULL || r != r->main || r->upstream == NULL
        || r->upstream->output.tag != (ngx_buf_tag_t) &ngx_http_sp_llm_module)
    {
        return ngx_http_next_body_filter(r, in);
    }

    ctx = ngx_http_sp_llm_find_ctx(r);

    if (ctx == NULL || !ctx->capture.on) {
        return ngx_http_next_body_filter(r, in);
    }

    for (cl = in; cl != NULL; cl = cl->next) {
        b = cl->buf;

        if (b != &ctx->keepalive.buf && ngx_buf_in_memory(b)) {
            ngx_http_sp_llm_capture_bytes(ctx, b->pos, b->last - b->pos);
        }
    }

    /*
     * Settled before its last bytes are passed, which are these: who has read
     * the answer finds it kept.
     */

    if (ctx->response.settled) {
        ctx->capture.on = 0;
        ctx->capture.whole = 1;

        if (ctx->flight != NULL) {
            ngx_http_sp_llm_flight_end(ctx->flight, ctx->turn);
        }
    }

    return ngx_http_next_body_filter(r, in);
}


static void
ngx_http_sp_llm_capture_bytes(ngx_http_sp_llm_ctx_t *ctx, const u_char *p,
    size_t len)
{
    size_t                      size;
    u_char                     *data;
    ngx_http_sp_llm_capture_t  *capture;

    capture = &ctx->capture;

    if (capture->over || len > capture->max - capture->len) {
        capture->over = 1;
        return;
    }

    if (capture->len + len > capture->size) {

        size = ngx_max(capture->size * 2, NGX_HTTP_SP_LLM_CAPTURE);
        size = ngx_min(ngx_max(size, capture->len + len), capture->max);

        data = ngx_http_sp_llm_enlarge(ctx->request->pool, capture->data,
                                       capture->len, size);
        if (data == NULL) {
            capture->over = 1;
            return;
        }

        capture->data = data;
        capture->size = size;
    }

    ngx_memcpy(capture->data + capture->len, p, len);
    capture->len += len;
}
