
/*
 * Copyright (C) Sallyport authors
 *
 * An event above llm_event_size, or a whole answer above it: models of images
 * send megabytes in one line.  Its bytes pass as they come, and what is read
 * of it is the text without its long strings, as far as that fits.
 */


#include "ngx_http_sp_llm.h"


/* what is kept of it, beside strings */
#define NGX_HTTP_SP_LLM_BRIEF  16384


static ngx_int_t ngx_http_sp_llm_brief_event(ngx_http_sp_llm_ctx_t *ctx);
static void ngx_http_sp_llm_unread(ngx_http_sp_llm_ctx_t *ctx);


/* what was gathered of an event goes out, and the rest of it as it comes */

ngx_int_t
ngx_http_sp_llm_large(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_buf_t                   *b;
    ngx_chain_t                 *cl;
    ngx_http_sp_llm_response_t  *response;

    response = &ctx->response;

    if (ngx_http_sp_llm_brief(ctx, (u_char *) response->sse.buf,
                              response->sse.len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (response->sse.len != 0) {
        cl = response->carry;
        b = cl->buf;

        b->pos = b->start;
        b->last = b->start + response->sse.len;

        response->carry = NULL;

        ngx_http_sp_llm_append(ctx, cl);
    }

    sp_sse_pass(&response->sse);

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_llm_large_part(ngx_http_sp_llm_ctx_t *ctx,
    const sp_sse_event_t *part)
{
    u_char  *last, *p;

    p = (u_char *) part->raw;
    last = p + part->raw_len;

    if (ngx_http_sp_llm_pass(ctx, p, last) != NGX_OK
        || ngx_http_sp_llm_brief(ctx, p, part->raw_len) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return part->last ? ngx_http_sp_llm_brief_event(ctx) : NGX_OK;
}


/* more of the text that is read without its long strings */

ngx_int_t
ngx_http_sp_llm_brief(ngx_http_sp_llm_ctx_t *ctx, u_char *p, size_t len)
{
    sp_json_shorten_t  *brief;

    brief = &ctx->response.brief;

    if (brief->dst == NULL) {
        brief->dst = ngx_pnalloc(ctx->request->pool, NGX_HTTP_SP_LLM_BRIEF);
        if (brief->dst == NULL) {
            return NGX_ERROR;
        }

        brief->size = NGX_HTTP_SP_LLM_BRIEF;
    }

    sp_json_shorten(brief, (char *) p, len);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_brief_event(ngx_http_sp_llm_ctx_t *ctx)
{
    char               *text;
    ngx_int_t           rc;
    sp_sse_t            sse;
    const char         *pos;
    sp_sse_event_t      event;
    sp_json_shorten_t  *brief;

    rc = NGX_OK;
    brief = &ctx->response.brief;

    text = brief->dst;
    pos = text;

    ngx_memzero(&sse, sizeof(sp_sse_t));

    sse.lines = ctx->attempt.dialect->lines;

    /* where several lines of data are joined */
    sp_sse_memory(&sse, text + brief->len, brief->size - brief->len);

    if (!brief->full
        && sp_sse_next(&sse, &pos, text + brief->len, &event) == SP_SSE_EVENT
        && event.data_len != 0)
    {
        rc = ngx_http_sp_llm_event(ctx, &event, 1);

    } else {
        ngx_http_sp_llm_unread(ctx);
    }

    /* the next one's */

    ngx_memzero(brief, sizeof(sp_json_shorten_t));

    brief->dst = text;
    brief->size = NGX_HTTP_SP_LLM_BRIEF;

    return rc;
}


/* a whole answer has ended: NGX_DECLINED, nothing can be read of it */

ngx_int_t
ngx_http_sp_llm_brief_answer(ngx_http_sp_llm_ctx_t *ctx)
{
    sp_json_shorten_t  *brief;

    brief = &ctx->response.brief;

    if (brief->full) {
        ngx_http_sp_llm_unread(ctx);
        return NGX_DECLINED;
    }

    ctx->response.json = (u_char *) brief->dst;
    ctx->response.json_len = brief->len;

    return NGX_OK;
}


static void
ngx_http_sp_llm_unread(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_log_error(NGX_LOG_WARN, ctx->request->connection->log, 0,
                  "llm: provider \"%V\" sent more than llm_event_size, of "
                  "which nothing can be accounted",
                  &ctx->attempt.target->provider->name);
}
