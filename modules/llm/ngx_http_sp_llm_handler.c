
/*
 * Copyright (C) Sallyport authors
 *
 * The relay: what the steps have gathered becomes the provider's request.
 */


#include "ngx_http_sp_llm.h"


static ngx_int_t ngx_http_sp_llm_chat(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_embeddings(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_media(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_form(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, sp_chat_edit_t *edit);
static size_t ngx_http_sp_llm_input(sp_tokens_t *tokens,
    const json_t *input);
static ngx_int_t ngx_http_sp_llm_blocks(ngx_http_request_t *r,
    sp_prompt_t *prompt);
static ngx_int_t ngx_http_sp_llm_write_body(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, sp_chat_edit_t *edit);
static ngx_int_t ngx_http_sp_llm_edit(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, const sp_call_t *call);
static ngx_int_t ngx_http_sp_llm_translate(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, const sp_call_t *call);
static ngx_int_t ngx_http_sp_llm_bufs(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, const sp_call_t *call,
    const sp_slice_t *pieces, size_t n);
static ngx_chain_t *ngx_http_sp_llm_link(ngx_http_request_t *r,
    const char *data, size_t len);
static ngx_int_t ngx_http_sp_llm_head(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, const sp_call_t *call, size_t length);
static void ngx_http_sp_llm_write_head(ngx_http_sp_llm_ctx_t *ctx,
    const sp_call_t *call, size_t length, sp_out_t *out);


ngx_int_t
ngx_http_sp_llm_handler(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_http_sp_llm_ctx_t  *ctx;

    /* nothing new, but where a subrequest begins behind the steps */

    rc = ngx_http_sp_llm_account(r);

    if (rc == NGX_OK) {
        rc = ngx_http_sp_llm_check(r);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_http_sp_llm_find_ctx(r);

    ctx->request = r;

    if (ngx_http_sp_llm_context(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_sp_llm_replay(ctx);

    if (rc == NGX_DECLINED) {
        rc = ngx_http_sp_llm_cache(ctx);
    }

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (ngx_http_sp_llm_order(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_sp_llm_await(ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_sp_llm_capture(ctx);

    return ngx_http_sp_llm_start(r, ctx);
}


ngx_int_t
ngx_http_sp_llm_request(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_attempt_t *entry)
{
    ngx_int_t                   rc;
    ngx_http_sp_llm_attempt_t  *attempt;

    attempt = &ctx->attempt;

    ngx_memzero(attempt, sizeof(ngx_http_sp_llm_attempt_t));

    attempt->entry = entry;
    attempt->target = entry->target;
    attempt->dialect = ngx_http_sp_llm_api(entry->target->provider->dialect,
                                           ctx->check.conf);
    attempt->translated = ((attempt->dialect != ctx->check.dialect
                            && attempt->dialect->like != ctx->check.dialect)
                           || attempt->dialect->edit == NULL);
    attempt->filtered = (ctx->check.chat != NULL
                         && (ctx->persona.extras
                             || ngx_http_sp_filters(ctx->request,
                                                    NGX_HTTP_SP_OUTPUT)
                                != 0));
    attempt->rewritten = attempt->translated || attempt->filtered;

    rc = ngx_http_sp_llm_pass_headers(ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_sp_trace_lines(ctx->request->pool,
                                ngx_http_sp_trace(ctx->request), entry->span,
                                attempt->trace, &attempt->ntrace)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    switch (ctx->check.conf->kind) {

    case NGX_HTTP_SP_MODEL_CHAT:
        return ngx_http_sp_llm_chat(ctx->request, ctx);

    case NGX_HTTP_SP_MODEL_EMBEDDING:
        return ngx_http_sp_llm_embeddings(ctx->request, ctx);

    default:
        return ngx_http_sp_llm_media(ctx->request, ctx);
    }
}


/* it is passed on but for its model */

static ngx_int_t
ngx_http_sp_llm_media(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx)
{
    sp_chat_edit_t  edit;

    if (ngx_http_sp_llm_media_turn(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&edit, sizeof(sp_chat_edit_t));

    return (ctx->check.form != NULL)
           ? ngx_http_sp_llm_form(r, ctx, &edit)
           : ngx_http_sp_llm_write_body(r, ctx, &edit);
}


/* the file goes out from where it lies */

static ngx_int_t
ngx_http_sp_llm_form(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx,
    sp_chat_edit_t *edit)
{
    off_t             length;
    sp_call_t         call;
    const ngx_str_t  *model;

    static const ngx_str_t  name = ngx_string("model");

    model = &ctx->attempt.target->name;

    edit->model = (char *) model->data;
    edit->model_len = model->len;

    ngx_memzero(&call, sizeof(sp_call_t));

    call.edit = edit;
    call.options = &ctx->attempt.target->provider->options;
    call.stream = ctx->check.stream;

    ctx->relay.body = ngx_http_sp_form_body(r, ctx->check.form, &name, model,
                                            &length);

    if (ctx->relay.body == NULL
        || ngx_http_sp_llm_head(r, ctx, &call, (size_t) length) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->relay.request->buf->flush = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_chat(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_int_t            rc;
    sp_prompt_t          prompt;
    sp_tokens_t          tokens;
    sp_prompt_status_e   status;

    ngx_memzero(&prompt, sizeof(sp_prompt_t));
    ngx_http_sp_tokens(ctx->attempt.target, &tokens);

    prompt.chat = ctx->check.chat;
    prompt.counter = &tokens;
    ngx_http_sp_llm_budget(ctx, &prompt);
    prompt.system = (ctx->check.conf->system == NGX_HTTP_SP_LLM_MERGE)
                    ? SP_PROMPT_SYSTEM_MERGE : SP_PROMPT_SYSTEM_ALLOW;

    if (ngx_http_sp_llm_blocks(r, &prompt) != NGX_OK) {
        return NGX_ERROR;
    }

    status = sp_prompt_assemble(&prompt);

    if (status == SP_PROMPT_TOO_LONG) {
        rc = ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST,
                               "context_length_exceeded",
                               "the prompt has %s%uz tokens, the "
                               "context leaves %uz",
                               tokens.estimated ? "about " : "",
                               prompt.tokens, prompt.budget);
        (void) ngx_http_sp_error_param(r,
                                  sp_dialect_messages(ctx->check.dialect));

    } else if (status != SP_PROMPT_OK
               || ngx_http_sp_llm_turn(r, ctx, prompt.tokens) != NGX_OK)
    {
        rc = NGX_ERROR;

    } else {
        ctx->counted.tokens = prompt.tokens;
        ctx->counted.estimated = tokens.estimated;

        ngx_log_debug4(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                       "llm: prompt of %uz tokens, dropped %uz messages, "
                       "notes %s, model \"%V\"", prompt.tokens,
                       prompt.dropped,
                       prompt.tail_dropped ? "dropped" : "kept",
                       &ctx->attempt.target->name);

        rc = ngx_http_sp_llm_write_body(r, ctx, &prompt.edit);
    }

    sp_prompt_free(&prompt);

    return rc;
}


static ngx_int_t
ngx_http_sp_llm_embeddings(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx)
{
    json_t          *root;
    ngx_int_t        rc;
    sp_tokens_t      tokens;
    sp_chat_edit_t   edit;

    if (ctx->attempt.translated) {
        (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST,
                                 "embeddings_unsupported",
                                 "the provider of this model has no "
                                 "embeddings that could be passed on");

        return ngx_http_sp_error_param(r, "model");
    }

    ngx_memzero(&edit, sizeof(sp_chat_edit_t));

    rc = ngx_http_sp_json_body(r, &root);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_sp_tokens(ctx->attempt.target, &tokens);

    ctx->counted.tokens = ngx_http_sp_llm_input(&tokens,
                                            json_object_get(root, "input"));
    ctx->counted.estimated = tokens.estimated;

    if (ngx_http_sp_llm_turn(r, ctx, ctx->counted.tokens) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_llm_write_body(r, ctx, &edit);
}


/* of a text, of texts, or of texts that are tokens already */

static size_t
ngx_http_sp_llm_input(sp_tokens_t *tokens, const json_t *input)
{
    size_t  i, n;

    if (json_is_string(input)) {
        return sp_tokens_text(tokens, json_string_value(input),
                              json_string_length(input));
    }

    if (!json_is_array(input)) {
        return 1;
    }

    n = 0;

    for (i = 0; i < json_array_size(input); i++) {
        n += ngx_http_sp_llm_input(tokens, json_array_get(input, i));
    }

    return n;
}


static ngx_int_t
ngx_http_sp_llm_blocks(ngx_http_request_t *r, sp_prompt_t *prompt)
{
    size_t                n, prefix, tail;
    ngx_queue_t          *all, *q;
    sp_prompt_block_t    *block, *blocks;
    ngx_http_sp_block_t  *from;

    all = ngx_http_sp_blocks(r);

    if (all == NULL) {
        return NGX_OK;
    }

    n = 0;

    for (q = ngx_queue_head(all);
         q != ngx_queue_sentinel(all);
         q = ngx_queue_next(q))
    {
        n++;
    }

    if (n == 0) {
        return NGX_OK;
    }

    blocks = ngx_palloc(r->pool, 2 * n * sizeof(sp_prompt_block_t));
    if (blocks == NULL) {
        return NGX_ERROR;
    }

    prefix = 0;
    tail = 0;

    for (q = ngx_queue_head(all);
         q != ngx_queue_sentinel(all);
         q = ngx_queue_next(q))
    {
        from = ngx_queue_data(q, ngx_http_sp_block_t, queue);

        block = (from->place == NGX_HTTP_SP_PREFIX)
                ? &blocks[prefix++] : &blocks[n + tail++];

        block->name = (char *) from->name.data;
        block->name_len = from->name.len;
        block->text = (char *) from->text.data;
        block->len = from->text.len;
    }

    prompt->prefix = blocks;
    prompt->nprefix = prefix;
    prompt->tail = blocks + n;
    prompt->ntail = tail;

    return NGX_OK;
}


/* the provider's request, out of the client's body */

static ngx_int_t
ngx_http_sp_llm_write_body(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx,
    sp_chat_edit_t *edit)
{
    ngx_int_t   rc;
    ngx_str_t   text;
    sp_call_t   call;

    /* it is here already: the request was parsed from it */

    rc = ngx_http_sp_body(r, &text);

    if (rc != NGX_OK) {
        return rc;
    }

    edit->model = (char *) ctx->attempt.target->name.data;
    edit->model_len = ctx->attempt.target->name.len;
    edit->max_tokens = ctx->attempt.target->provider->max_tokens;
    edit->usage = ctx->attempt.target->provider->stream_usage ? 1 : 0;

    call.chat = ctx->check.chat;
    call.edit = edit;
    call.options = &ctx->attempt.target->provider->options;
    call.text = (char *) text.data;
    call.len = text.len;
    call.stream = ctx->check.stream;

    return ctx->attempt.translated ? ngx_http_sp_llm_translate(r, ctx, &call)
                                   : ngx_http_sp_llm_edit(r, ctx, &call);
}


/* pieces of the client's bytes, and what is new between them */

static ngx_int_t
ngx_http_sp_llm_edit(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx,
    const sp_call_t *call)
{
    char                *dst;
    size_t               n;
    sp_slice_t          *pieces;
    const sp_dialect_t  *dialect;

    dialect = ctx->attempt.dialect;

    dst = ngx_pnalloc(r->pool, dialect->edit_size(call));
    pieces = ngx_palloc(r->pool, SP_DIALECT_PIECES(call->len)
                                 * sizeof(sp_slice_t));

    if (dst == NULL || pieces == NULL) {
        return NGX_ERROR;
    }

    n = dialect->edit(call, dst, pieces);

    if (n == 0) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "llm: a request was read in two ways");
        return NGX_ERROR;
    }

    return ngx_http_sp_llm_bufs(r, ctx, call, pieces, n);
}


static ngx_int_t
ngx_http_sp_llm_translate(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx,
    const sp_call_t *call)
{
    sp_out_t             out;
    sp_slice_t           piece;
    sp_chat_error_t      error;
    const sp_dialect_t  *dialect;

    dialect = ctx->attempt.dialect;

    ngx_memzero(&out, sizeof(sp_out_t));

    if (dialect->write_request(call, &out, &error) != 0) {
        (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, error.code, "%s",
                                 error.message);

        /* where the client has them, not the provider */

        if (error.param != NULL && ngx_strcmp(error.param, "messages") == 0) {
            error.param = sp_dialect_messages(ctx->check.dialect);
        }

        return ngx_http_sp_error_param(r, error.param);
    }

    out.dst = ngx_pnalloc(r->pool, out.len);
    if (out.dst == NULL) {
        return NGX_ERROR;
    }

    out.size = out.len;
    out.len = 0;

    (void) dialect->write_request(call, &out, &error);

    piece.data = out.dst;
    piece.len = out.len;

    return ngx_http_sp_llm_bufs(r, ctx, call, &piece, 1);
}


static ngx_int_t
ngx_http_sp_llm_bufs(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx,
    const sp_call_t *call, const sp_slice_t *pieces, size_t n)
{
    size_t         i, length;
    ngx_chain_t  **ll;

    length = 0;

    for (i = 0; i < n; i++) {
        length += pieces[i].len;
    }

    if (ngx_http_sp_llm_head(r, ctx, call, length) != NGX_OK) {
        return NGX_ERROR;
    }

    ll = &ctx->relay.request->next;

    for (i = 0; i < n; i++) {
        *ll = ngx_http_sp_llm_link(r, pieces[i].data, pieces[i].len);

        if (*ll == NULL) {
            return NGX_ERROR;
        }

        (*ll)->buf->flush = (i == n - 1);

        ll = &(*ll)->next;
    }

    return NGX_OK;
}


static ngx_chain_t *
ngx_http_sp_llm_link(ngx_http_request_t *r, const char *data, size_t len)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    b = ngx_calloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NULL;
    }

    /* from "start" it is sent again to another address */

    b->start = (u_char *) data;
    b->pos = b->start;
    b->last = b->start + len;
    b->end = b->last;
    b->memory = 1;

    cl->buf = b;
    cl->next = NULL;

    return cl;
}


static ngx_int_t
ngx_http_sp_llm_head(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx,
    const sp_call_t *call, size_t length)
{
    sp_out_t  out;

    ngx_memzero(&out, sizeof(sp_out_t));

    ngx_http_sp_llm_write_head(ctx, call, length, &out);

    out.dst = ngx_pnalloc(r->pool, out.len);
    if (out.dst == NULL) {
        return NGX_ERROR;
    }

    out.size = out.len;
    out.len = 0;

    ngx_http_sp_llm_write_head(ctx, call, length, &out);

    ctx->relay.request = ngx_http_sp_llm_link(r, out.dst, out.len);

    return (ctx->relay.request != NULL) ? NGX_OK : NGX_ERROR;
}


/* nothing of the client's header is sent on but what its dialect lists */

static void
ngx_http_sp_llm_write_head(ngx_http_sp_llm_ctx_t *ctx, const sp_call_t *call,
    size_t length, sp_out_t *out)
{
    size_t                    n;
    ngx_uint_t                i;
    const ngx_str_t          *headers, *replaced;
    const sp_dialect_t       *dialect;
    ngx_http_sp_provider_t   *provider;
    const ngx_http_sp_key_t  *key;

    key = ctx->attempt.entry->key;
    provider = ctx->attempt.target->provider;
    dialect = ctx->attempt.dialect;

    sp_out_str(out, "POST ");
    sp_out_put(out, (char *) provider->endpoint.path.data,
               provider->endpoint.path.len);
    dialect->write_path(call, out);
    sp_out_str(out, " HTTP/1.1" CRLF);

    headers = &key->headers;
    replaced = &ctx->attempt.replaced;

    if (replaced->len == 0) {
        sp_out_put(out, (char *) headers->data, headers->len);

    } else {
        n = replaced->data - headers->data;

        sp_out_put(out, (char *) headers->data, n);
        sp_out_put(out, (char *) replaced->data + replaced->len,
                   headers->len - n - replaced->len);
    }

    sp_out_put(out, (char *) ctx->attempt.headers.data,
               ctx->attempt.headers.len);

    for (i = 0; i < ctx->attempt.ntrace; i++) {
        sp_out_put(out, (char *) ctx->attempt.trace[i].data,
                   ctx->attempt.trace[i].len);
        sp_out_str(out, CRLF);
    }

    sp_out_str(out, "Accept: ");
    sp_out_str(out, call->stream ? dialect->stream_type : dialect->type);
    sp_out_str(out, CRLF "Content-Length: ");
    sp_out_integer(out, (int64_t) length);
    sp_out_str(out, CRLF CRLF);
}
