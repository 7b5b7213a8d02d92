
/*
 * Copyright (C) Sallyport authors
 *
 * What a model says, through the stream filters: a text for each choice, field
 * and tool call.  Where one is on, nothing of the provider's bytes is passed:
 * the client gets what was judged, written anew, and that is what is stored.
 */


#include "ngx_http_sp_llm.h"


/* of one answer, open at a time */
#define NGX_HTTP_SP_LLM_TEXTS  256


/* what is said after its end would not be judged with what was said before */

typedef struct {
    sp_delta_e             kind;
    size_t                 choice;
    size_t                 tool;
    ngx_http_sp_stream_t  *stream;     /* NULL: it has ended */
    ngx_http_sp_stream_t  *judged;     /* the same, also then */
    char                   half[SP_JSON_ESCAPE];
    unsigned               nhalf;      /* of a character, so far */
    unsigned               id:1;       /* of a call: told */
    unsigned               name:1;
} ngx_http_sp_llm_text_t;


static ngx_int_t ngx_http_sp_llm_sign(ngx_http_sp_llm_ctx_t *ctx,
    const sp_delta_t *delta);
static ngx_http_sp_llm_text_t *ngx_http_sp_llm_find(
    ngx_http_sp_llm_ctx_t *ctx, sp_delta_e kind, size_t choice, size_t tool);
static ngx_int_t ngx_http_sp_llm_text(ngx_http_sp_llm_ctx_t *ctx,
    const sp_delta_t *delta, ngx_http_sp_llm_text_t **found);
static ngx_http_sp_stream_t *ngx_http_sp_llm_open(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_field_e field);
static void ngx_http_sp_llm_describe(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_field_e field, ngx_http_sp_text_t *text);
static ngx_http_sp_field_e ngx_http_sp_llm_field(sp_delta_e kind);
static ngx_int_t ngx_http_sp_llm_call(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_llm_text_t *text, sp_delta_t *delta);
static ngx_int_t ngx_http_sp_llm_label(ngx_http_sp_llm_ctx_t *ctx,
    const sp_slice_t *word);
static ngx_int_t ngx_http_sp_llm_join(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_llm_text_t *text, const sp_slice_t *slice, ngx_uint_t last,
    ngx_str_t *piece);
static void ngx_http_sp_llm_signature(sp_slice_t *signature);
static ngx_int_t ngx_http_sp_llm_decode(ngx_http_sp_llm_ctx_t *ctx,
    const sp_slice_t *slice, ngx_str_t *piece);
static ngx_int_t ngx_http_sp_llm_piece(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_llm_text_t *text, const sp_delta_t *delta,
    const ngx_str_t *piece, ngx_uint_t last);
static ngx_int_t ngx_http_sp_llm_encode(ngx_http_sp_llm_ctx_t *ctx,
    sp_delta_t *delta, const ngx_str_t *text);
static ngx_int_t ngx_http_sp_llm_refuse(ngx_http_sp_llm_ctx_t *ctx,
    size_t choice);
static ngx_int_t ngx_http_sp_llm_flush(ngx_http_sp_llm_ctx_t *ctx,
    size_t choice);


/*
 * One thing that is said, or a part of it, or more than it.  NGX_DECLINED: no
 * answer of a model has that.
 */

ngx_int_t
ngx_http_sp_llm_filter(ngx_http_sp_llm_ctx_t *ctx, const sp_delta_t *delta)
{
    ngx_int_t                    rc;
    ngx_str_t                    piece;
    ngx_uint_t                   last;
    sp_delta_t                   said;
    ngx_http_sp_llm_text_t      *text;
    ngx_http_sp_llm_response_t  *response;

    response = &ctx->response;

    if (delta->choice >= SP_CHAT_MAX_CHOICES
        || response->refused[delta->choice])
    {
        return NGX_OK;
    }

    if (delta->kind == SP_DELTA_FINISH) {
        rc = ngx_http_sp_llm_flush(ctx, delta->choice);

        if (rc != NGX_OK || response->refused[delta->choice]) {
            return rc;
        }

        said = *delta;

        /* a reason of the provider's own is not stored unjudged */

        if (said.finish == SP_FINISH_OTHER) {
            ngx_memzero(&said.text, sizeof(sp_slice_t));
        }

        return ngx_http_sp_llm_say(ctx, &said);
    }

    if (delta->kind == SP_DELTA_SIGNATURE) {
        return ngx_http_sp_llm_sign(ctx, delta);
    }

    rc = ngx_http_sp_llm_text(ctx, delta, &text);

    if (rc != NGX_OK || text->stream == NULL) {
        return rc;
    }

    said = *delta;
    ngx_http_sp_llm_signature(&said.signature);

    rc = ngx_http_sp_llm_call(ctx, text, &said);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED)
               ? ngx_http_sp_llm_refuse(ctx, delta->choice) : rc;
    }

    last = !ctx->check.stream || delta->json;

    if (delta->json) {
        piece.data = (u_char *) delta->text.data;
        piece.len = delta->text.len;

    } else if (ngx_http_sp_llm_join(ctx, text, &delta->text, last, &piece)
               != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sp_llm_piece(ctx, text, &said, &piece, last);
}


/*
 * Nobody can judge what is opaque.  It is of the reasoning before it, which
 * ends here; when that was edited, the signature is not of what was said.
 * Reasoning that begins behind it is another text.
 */

static ngx_int_t
ngx_http_sp_llm_sign(ngx_http_sp_llm_ctx_t *ctx, const sp_delta_t *delta)
{
    ngx_int_t                rc;
    sp_delta_t               reasoning, signature;
    ngx_http_sp_text_t       next;
    ngx_http_sp_stream_t    *stream;
    ngx_http_sp_llm_text_t  *text;

    static ngx_str_t  nothing = ngx_string("");

    signature = *delta;
    ngx_http_sp_llm_signature(&signature.text);

    text = ngx_http_sp_llm_find(ctx, SP_DELTA_REASONING, delta->choice, 0);

    if (text == NULL) {
        return (signature.text.len != 0)
               ? ngx_http_sp_llm_say(ctx, &signature) : NGX_OK;
    }

    if (text->stream != NULL) {

        ngx_memzero(&reasoning, sizeof(sp_delta_t));

        reasoning.kind = SP_DELTA_REASONING;
        reasoning.choice = delta->choice;

        rc = ngx_http_sp_llm_piece(ctx, text, &reasoning, &nothing, 1);

        if (rc != NGX_OK || ctx->response.refused[delta->choice]) {
            return rc;
        }
    }

    stream = text->judged;
    text->stream = stream;

    if (ngx_http_sp_stream_edited(stream)) {
        signature.text.len = 0;
    }

    if (ngx_http_sp_llm_say(ctx, &signature) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_sp_llm_describe(ctx, NGX_HTTP_SP_REASONING, &next);

    return ngx_http_sp_stream_reopen(stream, &next);
}


static ngx_http_sp_llm_text_t *
ngx_http_sp_llm_find(ngx_http_sp_llm_ctx_t *ctx, sp_delta_e kind,
    size_t choice, size_t tool)
{
    ngx_uint_t               i;
    ngx_array_t             *texts;
    ngx_http_sp_llm_text_t  *text;

    texts = ctx->response.texts;

    for (i = 0; texts != NULL && i < texts->nelts; i++) {
        text = texts->elts;

        if (text[i].kind == kind && text[i].choice == choice
            && text[i].tool == tool)
        {
            return &text[i];
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_sp_llm_text(ngx_http_sp_llm_ctx_t *ctx, const sp_delta_t *delta,
    ngx_http_sp_llm_text_t **found)
{
    ngx_array_t             *texts;
    ngx_http_sp_llm_text_t  *text;

    *found = ngx_http_sp_llm_find(ctx, delta->kind, delta->choice,
                                  delta->tool);
    if (*found != NULL) {
        return NGX_OK;
    }

    texts = ctx->response.texts;

    if (texts == NULL) {
        texts = ngx_array_create(ctx->request->pool, 2,
                                 sizeof(ngx_http_sp_llm_text_t));
        if (texts == NULL) {
            return NGX_ERROR;
        }

        ctx->response.texts = texts;
    }

    if (texts->nelts == NGX_HTTP_SP_LLM_TEXTS) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "llm: an answer of provider \"%V\" has more than "
                      "%d texts", &ctx->attempt.target->provider->name,
                      NGX_HTTP_SP_LLM_TEXTS);
        return NGX_DECLINED;
    }

    text = ngx_array_push(texts);
    if (text == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(text, sizeof(ngx_http_sp_llm_text_t));

    text->kind = delta->kind;
    text->choice = delta->choice;
    text->tool = delta->tool;
    text->stream = ngx_http_sp_llm_open(ctx,
                                        ngx_http_sp_llm_field(delta->kind));
    if (text->stream == NULL) {
        return NGX_ERROR;
    }

    text->judged = text->stream;

    *found = text;

    return NGX_OK;
}


static ngx_http_sp_stream_t *
ngx_http_sp_llm_open(ngx_http_sp_llm_ctx_t *ctx, ngx_http_sp_field_e field)
{
    ngx_http_sp_text_t  text;

    ngx_http_sp_llm_describe(ctx, field, &text);

    return ngx_http_sp_stream_open(&text);
}


static void
ngx_http_sp_llm_describe(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_field_e field, ngx_http_sp_text_t *text)
{
    ngx_memzero(text, sizeof(ngx_http_sp_text_t));

    text->request = ctx->request;
    text->direction = NGX_HTTP_SP_OUTPUT;
    text->role = SP_CHAT_ASSISTANT;
    text->field = field;
    text->fixed = (field == NGX_HTTP_SP_OTHER);
}


static ngx_http_sp_field_e
ngx_http_sp_llm_field(sp_delta_e kind)
{
    switch (kind) {

    case SP_DELTA_REASONING:
        return NGX_HTTP_SP_REASONING;

    case SP_DELTA_REFUSAL:
        return NGX_HTTP_SP_REFUSAL_TEXT;

    case SP_DELTA_TOOL:
        return NGX_HTTP_SP_ARGUMENTS;

    default:
        return NGX_HTTP_SP_CONTENT;
    }
}


/*
 * Id and name of a call are judged whole, and told once: a client may join
 * those of its deltas.  NGX_DECLINED: refused.
 */

static ngx_int_t
ngx_http_sp_llm_call(ngx_http_sp_llm_ctx_t *ctx, ngx_http_sp_llm_text_t *text,
    sp_delta_t *delta)
{
    ngx_int_t  rc;

    if (text->id || delta->id.len == 0) {
        ngx_memzero(&delta->id, sizeof(sp_slice_t));
    }

    if (text->name || delta->name.len == 0) {
        ngx_memzero(&delta->name, sizeof(sp_slice_t));
        delta->no_id = 0;
    }

    rc = ngx_http_sp_llm_label(ctx, &delta->id);

    if (rc == NGX_OK) {
        rc = ngx_http_sp_llm_label(ctx, &delta->name);
    }

    text->id |= (delta->id.len != 0);
    text->name |= (delta->name.len != 0);

    return rc;
}


static ngx_int_t
ngx_http_sp_llm_label(ngx_http_sp_llm_ctx_t *ctx, const sp_slice_t *word)
{
    ngx_str_t              out, piece;
    ngx_http_sp_stream_t  *stream;

    if (word->len == 0) {
        return NGX_OK;
    }

    stream = ngx_http_sp_llm_open(ctx, NGX_HTTP_SP_OTHER);

    if (stream == NULL
        || ngx_http_sp_llm_decode(ctx, word, &piece) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sp_stream_feed(stream, &piece, 1, &out);
}


/*
 * A pair of surrogates may be cut between two events: its first half waits for
 * what follows.
 */

static ngx_int_t
ngx_http_sp_llm_join(ngx_http_sp_llm_ctx_t *ctx, ngx_http_sp_llm_text_t *text,
    const sp_slice_t *slice, ngx_uint_t last, ngx_str_t *piece)
{
    char        *p;
    size_t       n;
    sp_slice_t   whole;

    whole = *slice;

    if (text->nhalf != 0 && (last || slice->len != 0)) {

        p = (char *) ngx_http_sp_llm_scratch(ctx, &ctx->response.joined,
                                             text->nhalf + slice->len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        whole.data = p;
        whole.len = text->nhalf + slice->len;

        p = (char *) ngx_cpymem(p, text->half, text->nhalf);
        ngx_memcpy(p, slice->data, slice->len);

        text->nhalf = 0;
    }

    n = last ? 0 : sp_json_unescape_half(whole.data, whole.len);

    if (n != 0) {
        whole.len -= n;
        ngx_memcpy(text->half, whole.data + whole.len, n);
        text->nhalf = (unsigned) n;
    }

    return ngx_http_sp_llm_decode(ctx, &whole, piece);
}


/* base64 has no words for a filter; what has anything else is no signature */

static void
ngx_http_sp_llm_signature(sp_slice_t *signature)
{
    size_t  i;
    u_char  c;

    for (i = 0; i < signature->len; i++) {
        c = signature->data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
              || (c >= 'A' && c <= 'Z') || c == '+' || c == '/' || c == '-'
              || c == '_' || c == '='))
        {
            signature->len = 0;
            return;
        }
    }
}


static ngx_int_t
ngx_http_sp_llm_decode(ngx_http_sp_llm_ctx_t *ctx, const sp_slice_t *slice,
    ngx_str_t *piece)
{
    u_char  *p;
    size_t   size;

    if (slice->len == 0) {
        ngx_str_set(piece, "");
        return NGX_OK;
    }

    size = 3 * slice->len;

    p = ngx_http_sp_llm_scratch(ctx, &ctx->response.decoded, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    piece->data = p;
    piece->len = sp_json_unescape((char *) p, size, slice->data, slice->len);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_piece(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_llm_text_t *text, const sp_delta_t *delta,
    const ngx_str_t *piece, ngx_uint_t last)
{
    ngx_int_t   rc;
    ngx_str_t   out;
    sp_delta_t  said;

    said = *delta;

    rc = ngx_http_sp_stream_feed(text->stream, piece, last, &out);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (last) {
        text->stream = NULL;
    }

    /* a call that begins is told, even if its arguments wait */

    if (out.len != 0 || said.id.data != NULL || said.name.data != NULL) {

        if (ngx_http_sp_llm_encode(ctx, &said, &out) != NGX_OK
            || ngx_http_sp_llm_say(ctx, &said) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return (rc == NGX_DECLINED) ? ngx_http_sp_llm_refuse(ctx, text->choice)
                                : NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_encode(ngx_http_sp_llm_ctx_t *ctx, sp_delta_t *delta,
    const ngx_str_t *text)
{
    size_t    size;
    sp_out_t  out;

    size = 6 * text->len;

    if (text->len == 0) {
        delta->text.data = "";
        delta->text.len = 0;

        return NGX_OK;
    }

    /* the deltas of a whole answer are written when all are there */

    out.dst = ctx->check.stream
              ? (char *) ngx_http_sp_llm_scratch(ctx, &ctx->response.encoded,
                                                 size)
              : ngx_pnalloc(ctx->request->pool, size);

    if (out.dst == NULL) {
        return NGX_ERROR;
    }

    out.size = size;
    out.len = 0;

    if (delta->json) {
        sp_out_put(&out, (char *) text->data, text->len);

    } else {
        sp_out_text(&out, (char *) text->data, text->len);
    }

    delta->text.data = out.dst;
    delta->text.len = out.len;

    return NGX_OK;
}


/* the choice ends here; what the provider still says of it is dropped */

static ngx_int_t
ngx_http_sp_llm_refuse(ngx_http_sp_llm_ctx_t *ctx, size_t choice)
{
    sp_delta_t  delta;

    static const char  reason[] = "content_filter";

    ctx->response.refused[choice] = 1;
    ctx->response.nrefused++;

    ngx_memzero(&delta, sizeof(sp_delta_t));

    delta.kind = SP_DELTA_FINISH;
    delta.choice = choice;
    delta.finish = SP_FINISH_FILTER;
    delta.text.data = reason;
    delta.text.len = sizeof(reason) - 1;

    return ngx_http_sp_llm_say(ctx, &delta);
}


/* the texts of a choice have ended: what was held of them may go on */

static ngx_int_t
ngx_http_sp_llm_flush(ngx_http_sp_llm_ctx_t *ctx, size_t choice)
{
    ngx_str_t                piece;
    ngx_uint_t               i;
    sp_delta_t               delta;
    ngx_array_t             *texts;
    ngx_http_sp_llm_text_t  *text;

    texts = ctx->response.texts;

    for (i = 0; texts != NULL && i < texts->nelts; i++) {
        text = texts->elts;
        text += i;

        if (text->choice != choice || text->stream == NULL
            || ctx->response.refused[choice])
        {
            continue;
        }

        ngx_memzero(&delta, sizeof(sp_delta_t));

        delta.kind = text->kind;
        delta.choice = text->choice;
        delta.tool = text->tool;

        if (ngx_http_sp_llm_join(ctx, text, &delta.text, 1, &piece) != NGX_OK
            || ngx_http_sp_llm_piece(ctx, text, &delta, &piece, 1) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* of a stream that ends without a word on some choice */

ngx_int_t
ngx_http_sp_llm_filter_end(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_uint_t               i;
    ngx_array_t             *texts;
    ngx_http_sp_llm_text_t  *text;

    texts = ctx->response.texts;

    for (i = 0; texts != NULL && i < texts->nelts; i++) {
        text = texts->elts;

        if (ngx_http_sp_llm_flush(ctx, text[i].choice) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_sp_llm_extras_end(ctx);
}


/*
 * A provider's own word on an error, as it would be shown.  NGX_DECLINED: it
 * may not be; what may be edited is *word then.
 */

ngx_int_t
ngx_http_sp_llm_filter_word(ngx_http_sp_llm_ctx_t *ctx, const char **word,
    ngx_uint_t fixed)
{
    u_char                *p;
    ngx_int_t              rc;
    ngx_str_t              out, piece;
    ngx_http_sp_stream_t  *stream;

    if (*word == NULL) {
        return NGX_OK;
    }

    stream = ngx_http_sp_llm_open(ctx, fixed ? NGX_HTTP_SP_OTHER
                                             : NGX_HTTP_SP_CONTENT);
    if (stream == NULL) {
        return NGX_ERROR;
    }

    piece.data = (u_char *) *word;
    piece.len = ngx_strlen(*word);

    rc = ngx_http_sp_stream_feed(stream, &piece, 1, &out);

    if (rc != NGX_OK || out.data == piece.data) {
        return rc;
    }

    p = ngx_pnalloc(ctx->request->pool, out.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *ngx_cpymem(p, out.data, out.len) = '\0';
    *word = (char *) p;

    return NGX_OK;
}


/* memory that each piece writes over */

u_char *
ngx_http_sp_llm_scratch(ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *scratch,
    size_t size)
{
    u_char  *p;

    if (scratch->len >= size) {
        return scratch->data;
    }

    size = ngx_max(2 * size, 256);

    p = ngx_pnalloc(ctx->request->pool, size);
    if (p == NULL) {
        return NULL;
    }

    if (scratch->data != NULL) {
        (void) ngx_pfree(ctx->request->pool, scratch->data);
    }

    scratch->data = p;
    scratch->len = size;

    return p;
}
