
/*
 * Copyright (C) Sallyport authors
 *
 * A kept answer: a stream at once, whatever time the first one took.  No model
 * is asked, so nothing is spent, and its turn was stored already.
 */


#include "ngx_http_sp_llm_replay.h"


static ngx_int_t ngx_http_sp_llm_replay_turn(ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_replay_stream(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *body);


ngx_int_t
ngx_http_sp_llm_replay_send(ngx_http_sp_llm_ctx_t *ctx,
    const sp_replay_t *entry)
{
    char                *type;
    ngx_str_t            body;
    ngx_http_request_t  *r;

    static ngx_str_t  yes = ngx_string("true");

    r = ctx->request;

    type = ngx_pnalloc(r->pool, entry->type.len + 1);
    if (type == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn((u_char *) type, (u_char *) entry->type.data,
                       entry->type.len + 1);

    body.data = (u_char *) entry->body.data;
    body.len = entry->body.len;

    if (ngx_http_sp_llm_replay_turn(ctx) != NGX_OK
        || ngx_http_sp_add_header(r, "Idempotency-Replayed", &yes) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ctx->check.stream
           ? ngx_http_sp_llm_replay_stream(ctx, &body)
           : ngx_http_sp_send(r, NGX_HTTP_OK, type, &body);
}


static ngx_int_t
ngx_http_sp_llm_replay_turn(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_http_sp_turn_t  *turn;

    turn = ngx_http_sp_turn(ctx->request);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    turn->alias = ctx->check.model->alias;
    turn->stream = ctx->check.stream;
    turn->finish = NGX_HTTP_SP_TURN_REPLAYED;
    turn->status = NGX_HTTP_OK;

    /* what cannot be accepted is logged by the core */

    (void) ngx_http_sp_settle(ctx->request);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_replay_stream(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *body)
{
    ngx_int_t            rc;
    ngx_buf_t           *b;
    ngx_chain_t          out;
    ngx_http_request_t  *r;

    r = ctx->request;

    rc = ngx_http_sp_llm_send_stream_header(ctx);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    rc = ngx_http_output_filter(r, &out);

    return (rc == NGX_AGAIN) ? NGX_OK : rc;
}
