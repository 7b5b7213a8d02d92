
/*
 * Copyright (C) Sallyport authors
 *
 * What a character asks for beside the text of a stream: see sp_extras.h.  It
 * is taken out of what was judged, before that is stored and written, and
 * told by an event of its own behind the text.
 */


#include "ngx_http_sp_llm.h"


static ngx_int_t ngx_http_sp_llm_extras_flush(ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_extras_tell(ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_extras_judge(ngx_http_sp_llm_ctx_t *ctx,
    sp_extras_said_t *said);


/*
 * The character's text, with the words that ask the model in the place where
 * it wants them first.  An answer that is whole, has several choices or a
 * format of its own has no place for what they ask.
 */

ngx_int_t
ngx_http_sp_llm_extras_prompt(ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *text)
{
    u_char                   *last, *next, *p, *pos;
    size_t                    n;
    const sp_chat_request_t  *chat;

    static char  asked[] = SP_EXTRAS_ASKED;

    ctx->persona.extras = 0;

    n = sizeof(SP_EXTRAS_ASKED) - 1;
    pos = text->data;
    last = text->data + text->len;

    next = ngx_strlcasestrn(pos, last, (u_char *) asked, n - 1);

    if (next == NULL) {
        return NGX_OK;
    }

    chat = ctx->check.chat;

    ctx->persona.extras = (ctx->check.stream && chat->n == 1
                           && chat->options[SP_CHAT_FORMAT] == NULL);

    p = ngx_pnalloc(ctx->request->pool,
                    text->len + sizeof(SP_EXTRAS_PROMPT));
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    if (ctx->persona.extras) {
        p = ngx_cpymem(p, pos, next - pos);
        p = ngx_cpymem(p, SP_EXTRAS_PROMPT, sizeof(SP_EXTRAS_PROMPT) - 1);
        pos = next + n;
        next = ngx_strlcasestrn(pos, last, (u_char *) asked, n - 1);
    }

    while (next != NULL) {
        p = ngx_cpymem(p, pos, next - pos);
        pos = next + n;
        next = ngx_strlcasestrn(pos, last, (u_char *) asked, n - 1);
    }

    p = ngx_cpymem(p, pos, last - pos);

    text->len = p - text->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_llm_extras_begin(ngx_http_sp_llm_ctx_t *ctx)
{
    if (!ctx->persona.extras) {
        return NGX_OK;
    }

    ctx->response.extras = ngx_pcalloc(ctx->request->pool,
                                       sizeof(sp_extras_t));

    return (ctx->response.extras != NULL) ? NGX_OK : NGX_ERROR;
}


/* of the only choice */

ngx_int_t
ngx_http_sp_llm_extras(ngx_http_sp_llm_ctx_t *ctx, const sp_delta_t *delta)
{
    sp_out_t    out;
    sp_delta_t  said;

    if (delta->kind != SP_DELTA_TEXT) {

        if (ngx_http_sp_llm_extras_flush(ctx) != NGX_OK
            || ngx_http_sp_llm_say_shown(ctx, delta) != NGX_OK)
        {
            return NGX_ERROR;
        }

        return (delta->kind == SP_DELTA_FINISH
                && delta->finish == SP_FINISH_STOP)
               ? ngx_http_sp_llm_extras_tell(ctx) : NGX_OK;
    }

    out.size = delta->text.len + SP_EXTRAS_HELD;
    out.len = 0;
    out.dst = (char *) ngx_http_sp_llm_scratch(ctx, &ctx->response.shown,
                                               out.size);
    if (out.dst == NULL) {
        return NGX_ERROR;
    }

    sp_extras_feed(ctx->response.extras, delta->text.data, delta->text.len,
                   &out);

    if (out.len == 0) {
        return NGX_OK;
    }

    said = *delta;
    said.text.data = out.dst;
    said.text.len = out.len;

    return ngx_http_sp_llm_say_shown(ctx, &said);
}


/* the stream ends, also where no finish was told */

ngx_int_t
ngx_http_sp_llm_extras_end(ngx_http_sp_llm_ctx_t *ctx)
{
    return (ctx->response.extras != NULL) ? ngx_http_sp_llm_extras_flush(ctx)
                                          : NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_extras_flush(ngx_http_sp_llm_ctx_t *ctx)
{
    char        held[SP_EXTRAS_HELD];
    sp_out_t    out;
    sp_delta_t  delta;

    out.dst = held;
    out.size = SP_EXTRAS_HELD;
    out.len = 0;

    sp_extras_flush(ctx->response.extras, &out);

    if (out.len == 0) {
        return NGX_OK;
    }

    ngx_memzero(&delta, sizeof(sp_delta_t));

    delta.kind = SP_DELTA_TEXT;
    delta.text.data = held;
    delta.text.len = out.len;

    return ngx_http_sp_llm_say_shown(ctx, &delta);
}


static ngx_int_t
ngx_http_sp_llm_extras_tell(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_int_t         rc;
    sp_out_t          out;
    sp_delta_t        delta;
    sp_extras_said_t  said;

    if (ctx->check.dialect->write_extras == NULL
        || sp_extras_read(ctx->response.extras, &said) != 0)
    {
        return NGX_OK;
    }

    rc = ngx_http_sp_llm_extras_judge(ctx, &said);

    if (rc == NGX_OK) {
        ngx_memzero(&out, sizeof(sp_out_t));

        sp_extras_write(&said, &out);

        out.size = out.len;
        out.len = 0;
        out.dst = (char *) ngx_http_sp_llm_scratch(ctx, &ctx->response.shown,
                                                   out.size);
        if (out.dst == NULL) {
            rc = NGX_ERROR;

        } else {
            sp_extras_write(&said, &out);

            ngx_memzero(&delta, sizeof(sp_delta_t));

            delta.text.data = out.dst;
            delta.text.len = out.len;

            rc = ngx_http_sp_llm_write_extras(ctx, &delta);
        }
    }

    sp_extras_free(&said);

    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}


/*
 * Filters have judged the text of it, but not what escapes in its strings
 * stand for.  NGX_DECLINED: it is not told.
 */

static ngx_int_t
ngx_http_sp_llm_extras_judge(ngx_http_sp_llm_ctx_t *ctx,
    sp_extras_said_t *said)
{
    size_t     i;
    ngx_int_t  rc;

    rc = ngx_http_sp_llm_filter_word(ctx, &said->emotion, 1);

    for (i = 0; rc == NGX_OK && i < said->nactions; i++) {
        rc = ngx_http_sp_llm_filter_word(ctx, &said->actions[i], 1);
    }

    return rc;
}
