
/*
 * Copyright (C) Sallyport authors
 *
 * The relay: what the steps have gathered becomes the provider's request.
 */


#include "ngx_http_sp_llm.h"


static ngx_int_t ngx_http_sp_llm_chat_body(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *body);
static ngx_int_t ngx_http_sp_llm_edit(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, sp_prompt_t *prompt, ngx_str_t *body);
static ngx_int_t ngx_http_sp_llm_blocks(ngx_http_request_t *r,
    sp_prompt_t *prompt);
static size_t ngx_http_sp_llm_budget(ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_embeddings_body(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *body);
static ngx_int_t ngx_http_sp_llm_dump(ngx_http_request_t *r,
    const json_t *root, ngx_str_t *text);
static void ngx_http_sp_llm_free(void *data);
static ngx_int_t ngx_http_sp_llm_write_request(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *body);
static ngx_buf_t *ngx_http_sp_llm_write_header(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, size_t length);


ngx_int_t
ngx_http_sp_llm_handler(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_str_t               body;
    ngx_http_sp_llm_ctx_t  *ctx;

    /* a subrequest passes no steps */

    rc = ngx_http_sp_llm_check(r);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_http_sp_llm_find_ctx(r);

    /* an earlier provider may have failed before it said anything */

    ngx_memzero(&ctx->attempt, sizeof(ngx_http_sp_llm_attempt_t));

    ctx->attempt.model = ctx->check.model;

    ngx_str_null(&body);

    if (ctx->check.chat != NULL) {
        rc = ngx_http_sp_llm_chat_body(r, ctx, &body);

    } else {
        rc = ngx_http_sp_llm_embeddings_body(r, ctx, &body);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_sp_llm_write_request(r, ctx, &body) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_llm_start(r, ctx);
}


static ngx_int_t
ngx_http_sp_llm_chat_body(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx,
    ngx_str_t *body)
{
    ngx_int_t            rc;
    sp_prompt_t          prompt;
    sp_prompt_status_e   status;

    ngx_memzero(&prompt, sizeof(sp_prompt_t));

    prompt.chat = ctx->check.chat;
    prompt.budget = ngx_http_sp_llm_budget(ctx);
    prompt.system = (ctx->check.conf->system == NGX_HTTP_SP_LLM_MERGE)
                    ? SP_PROMPT_SYSTEM_MERGE : SP_PROMPT_SYSTEM_ALLOW;

    if (ngx_http_sp_llm_blocks(r, &prompt) != NGX_OK) {
        return NGX_ERROR;
    }

    status = sp_prompt_assemble(&prompt);

    if (status == SP_PROMPT_TOO_LONG) {
        rc = ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST,
                               "context_length_exceeded",
                               "the prompt has about %uz tokens, the "
                               "context leaves %uz", prompt.tokens,
                               prompt.budget);

    } else if (status != SP_PROMPT_OK
               || ngx_http_sp_llm_turn(r, ctx, prompt.tokens) != NGX_OK)
    {
        rc = NGX_ERROR;

    } else {
        rc = ngx_http_sp_llm_edit(r, ctx, &prompt, body);
    }

    sp_prompt_free(&prompt);

    return rc;
}


static ngx_int_t
ngx_http_sp_llm_edit(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx,
    sp_prompt_t *prompt, ngx_str_t *body)
{
    ngx_int_t        rc;
    ngx_str_t        text;
    sp_chat_edit_t  *edit;

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "llm: prompt of %uz tokens, dropped %uz messages, "
                   "notes %s, model \"%V\"", prompt->tokens, prompt->dropped,
                   prompt->tail_dropped ? "dropped" : "kept",
                   &ctx->attempt.model->name);

    /* it is here already: the request was parsed from it */

    rc = ngx_http_sp_body(r, &text);

    if (rc != NGX_OK) {
        return rc;
    }

    edit = &prompt->edit;

    edit->model = (char *) ctx->attempt.model->name.data;
    edit->model_len = ctx->attempt.model->name.len;
    edit->usage = ctx->attempt.model->provider->stream_usage ? 1 : 0;

    body->data = ngx_pnalloc(r->pool, sp_chat_edit_size(text.len, edit));
    if (body->data == NULL) {
        return NGX_ERROR;
    }

    body->len = sp_chat_edit(ctx->check.chat, (char *) text.data, text.len,
                             edit, (char *) body->data);

    if (body->len == 0) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "llm: a request was read in two ways");
        return NGX_ERROR;
    }

    return NGX_OK;
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


/* context - max_tokens - 5 %, since tokens are estimated */

static size_t
ngx_http_sp_llm_budget(ngx_http_sp_llm_ctx_t *ctx)
{
    size_t  budget, context;

    context = ctx->attempt.model->context;

    if (context == 0
        || (ctx->check.conf->context_size != 0
            && ctx->check.conf->context_size < context))
    {
        context = ctx->check.conf->context_size;
    }

    if (context == 0) {
        return 0;
    }

    budget = context - context / 20;

    if (ctx->check.chat->max_tokens > 0) {

        if ((size_t) ctx->check.chat->max_tokens >= budget) {
            return 1;
        }

        budget -= ctx->check.chat->max_tokens;
    }

    return budget;
}


static ngx_int_t
ngx_http_sp_llm_embeddings_body(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *body)
{
    json_t     *model, *root;
    ngx_int_t   rc;

    rc = ngx_http_sp_json_body(r, &root);

    if (rc != NGX_OK) {
        return rc;
    }

    root = json_copy(root);
    model = json_string((char *) ctx->attempt.model->name.data);

    if (json_object_set_new(root, "model", model) != 0) {
        json_decref(root);
        return NGX_ERROR;
    }

    rc = ngx_http_sp_llm_dump(r, root, body);

    json_decref(root);

    return rc;
}


static ngx_int_t
ngx_http_sp_llm_dump(ngx_http_request_t *r, const json_t *root,
    ngx_str_t *text)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    text->data = (u_char *) json_dumps(root, JSON_COMPACT);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    text->len = ngx_strlen(text->data);

    cln->handler = ngx_http_sp_llm_free;
    cln->data = text->data;

    return NGX_OK;
}


static void
ngx_http_sp_llm_free(void *data)
{
    free(data);
}


static ngx_int_t
ngx_http_sp_llm_write_request(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *body)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl, *header;

    b = ngx_calloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);
    header = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL || header == NULL) {
        return NGX_ERROR;
    }

    /* from "start" it is sent again to another address */

    b->start = body->data;
    b->pos = b->start;
    b->last = b->start + body->len;
    b->end = b->last;
    b->memory = 1;
    b->flush = 1;

    cl->buf = b;
    cl->next = NULL;

    header->buf = ngx_http_sp_llm_write_header(r, ctx, body->len);
    header->next = cl;

    if (header->buf == NULL) {
        return NGX_ERROR;
    }

    ctx->attempt.request_bufs = header;

    return NGX_OK;
}


/* nothing of the client's header is sent on */

static ngx_buf_t *
ngx_http_sp_llm_write_header(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, size_t length)
{
    size_t                       len;
    ngx_str_t                    accept, path;
    ngx_buf_t                   *b;
    ngx_http_sp_llm_provider_t  *provider;

    provider = ctx->attempt.model->provider;

    if (ctx->check.chat != NULL) {
        ngx_str_set(&path, "/chat/completions");

    } else {
        ngx_str_set(&path, "/embeddings");
    }

    if (ctx->check.stream) {
        ngx_str_set(&accept, "text/event-stream");

    } else {
        ngx_str_set(&accept, "application/json");
    }

    len = sizeof("POST  HTTP/1.1" CRLF) - 1 + provider->path.len + path.len
          + provider->headers.len
          + sizeof("Accept: " CRLF) - 1 + accept.len
          + sizeof("Content-Length: " CRLF CRLF) - 1 + NGX_SIZE_T_LEN;

    b = ngx_create_temp_buf(r->pool, len);
    if (b == NULL) {
        return NULL;
    }

    b->last = ngx_sprintf(b->last,
                          "POST %V%V HTTP/1.1" CRLF
                          "%V"
                          "Accept: %V" CRLF
                          "Content-Length: %uz" CRLF CRLF,
                          &provider->path, &path, &provider->headers,
                          &accept, length);

    return b;
}


/* GET /v1/models */

ngx_int_t
ngx_http_sp_llm_models_handler(ngx_http_request_t *r)
{
    ngx_http_sp_llm_main_conf_t  *lmcf;

    static ngx_str_t  allow = ngx_string("GET, HEAD");

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {

        if (ngx_http_sp_add_header(r, "Allow", &allow) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_http_sp_error(r, NGX_HTTP_NOT_ALLOWED,
                                 "method_not_allowed",
                                 "this endpoint takes GET");
    }

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_llm_module);

    return ngx_http_sp_send_json(r, NGX_HTTP_OK, &lmcf->listing);
}
