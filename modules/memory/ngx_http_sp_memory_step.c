
/*
 * Copyright (C) Sallyport authors
 */

#include "ngx_http_sp_memory.h"


/* what is embedded and searched for: the end of a longer message */
#define NGX_HTTP_SP_MEMORY_QUERY  4000
#define NGX_HTTP_SP_MEMORY_BEFORE  500


static void ngx_http_sp_memory_forget(ngx_http_sp_memory_ctx_t *ctx);
static ngx_int_t ngx_http_sp_memory_start(ngx_http_request_t *r,
    ngx_http_sp_memory_ctx_t *ctx);
static ngx_uint_t ngx_http_sp_memory_applies(ngx_http_request_t *r,
    const sp_chat_request_t *chat);
static ngx_int_t ngx_http_sp_memory_texts(ngx_http_request_t *r,
    ngx_http_sp_memory_ctx_t *ctx);
static ngx_str_t ngx_http_sp_memory_tail(const sp_chat_message_t *message,
    size_t size);
static ngx_int_t ngx_http_sp_memory_embed(ngx_http_request_t *r,
    ngx_http_sp_memory_ctx_t *ctx);
static void ngx_http_sp_memory_embedded(ngx_sp_op_t *op);
static ngx_int_t ngx_http_sp_memory_vector(ngx_http_request_t *r,
    ngx_http_sp_memory_ctx_t *ctx);
static ngx_int_t ngx_http_sp_memory_finish(ngx_http_request_t *r,
    ngx_http_sp_memory_ctx_t *ctx);
static ngx_int_t ngx_http_sp_memory_say(ngx_http_request_t *r,
    ngx_sp_metric_t *metric, const char *text);
static void ngx_http_sp_memory_set_state(ngx_http_request_t *r,
    ngx_http_sp_memory_ctx_t *ctx, ngx_http_sp_memory_state_e state);


#if (NGX_DEBUG)

static const char *const  ngx_http_sp_memory_states[] = {
    "start", "recall", "done"
};

#endif


ngx_int_t
ngx_http_sp_memory_step(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_uint_t                      changes;
    ngx_http_sp_memory_ctx_t       *ctx;
    ngx_http_sp_memory_loc_conf_t  *mlcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_memory_module);

    if (!mlcf->enable || !ngx_http_sp_takes_chats(r)) {
        ctx = ngx_http_sp_find_ctx(r, &ngx_http_sp_memory_module);

        if (ctx != NULL) {
            ngx_http_sp_memory_forget(ctx);
        }

        return NGX_DECLINED;
    }

    ctx = ngx_http_sp_ctx(r, &ngx_http_sp_memory_module,
                          sizeof(ngx_http_sp_memory_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    changes = ngx_http_sp_identity_changes(r);

    if (ctx->changes != changes) {

        /* an earlier pass has looked for somebody else */

        ngx_http_sp_memory_forget(ctx);

        ngx_sp_op_cancel(&ctx->lexical.op.op);
        ngx_sp_op_cancel(&ctx->embed.op);
        ngx_sp_op_cancel(&ctx->vector.op.op);

        ngx_memzero(ctx, sizeof(ngx_http_sp_memory_ctx_t));

        ctx->changes = changes;
    }

    ctx->request = r;

    if (ctx->state == NGX_HTTP_SP_MEMORY_DONE) {

        /* once per request, also after an internal redirect */

        return NGX_OK;
    }

    if (ctx->state == NGX_HTTP_SP_MEMORY_START) {

        rc = ngx_http_sp_memory_start(r, ctx);
        if (rc != NGX_OK) {
            return rc;
        }

        if (ctx->state == NGX_HTTP_SP_MEMORY_DONE) {
            return NGX_OK;
        }
    }

    if (ngx_http_sp_memory_vector(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_sp_op_pending(&ctx->lexical.op.op)
        || ngx_sp_op_pending(&ctx->embed.op)
        || ngx_sp_op_pending(&ctx->vector.op.op))
    {
        return NGX_AGAIN;
    }

    ngx_http_sp_memory_set_state(r, ctx, NGX_HTTP_SP_MEMORY_DONE);

    return ngx_http_sp_memory_finish(r, ctx);
}


/* the turn is not this module's: an earlier pass has said that it is */

static void
ngx_http_sp_memory_forget(ngx_http_sp_memory_ctx_t *ctx)
{
    if (ctx->turn != NULL) {
        ctx->turn->memory = 0;
    }
}


static ngx_int_t
ngx_http_sp_memory_start(ngx_http_request_t *r,
    ngx_http_sp_memory_ctx_t *ctx)
{
    ngx_int_t                        rc;
    ngx_http_sp_turn_t              *turn;
    ngx_http_sp_memory_loc_conf_t   *mlcf;
    ngx_http_sp_memory_main_conf_t  *mmcf;

    mmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_memory_module);
    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_memory_module);

    rc = ngx_http_sp_chat(r, &ctx->chat);
    if (rc != NGX_OK) {
        return rc;
    }

    if (!ngx_http_sp_memory_applies(r, ctx->chat)) {
        ngx_http_sp_memory_set_state(r, ctx, NGX_HTTP_SP_MEMORY_DONE);
        return ngx_http_sp_memory_say(r, mmcf->off, "off");
    }

    turn = ngx_http_sp_turn(r);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    turn->memory = 1;
    ctx->turn = turn;

    if (ngx_http_sp_memory_texts(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->started = ngx_current_msec;
    ctx->span = ngx_http_sp_span_start(r, "search_memory");

    /* side by side: nothing of the lexical arm waits for the embedding */

    rc = ngx_http_sp_memory_recall(r, ctx, &ctx->lexical, NULL,
                                   mlcf->timeout);
    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (mmcf->embedder.model != NULL
        && ngx_http_sp_memory_embed(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_sp_memory_set_state(r, ctx, NGX_HTTP_SP_MEMORY_RECALL);

    return NGX_OK;
}


/* somebody, with a character, who did not switch it off for this request */

static ngx_uint_t
ngx_http_sp_memory_applies(ngx_http_request_t *r,
    const sp_chat_request_t *chat)
{
    return ngx_http_sp_identity(r) != NULL
           && !chat->memory_off
           && chat->character_id != NULL
           && ngx_strlen(chat->character_id) == 36
           && chat->last_user < chat->nmessages
           && chat->messages[chat->last_user].len > 0;
}


static ngx_int_t
ngx_http_sp_memory_texts(ngx_http_request_t *r,
    ngx_http_sp_memory_ctx_t *ctx)
{
    size_t              i;
    sp_chat_request_t  *chat;

    chat = ctx->chat;

    ctx->query = ngx_http_sp_memory_tail(&chat->messages[chat->last_user],
                                         NGX_HTTP_SP_MEMORY_QUERY);
    ngx_str_set(&ctx->before, "");

    for (i = chat->last_user; i > 0; i--) {

        if (chat->messages[i - 1].role == SP_CHAT_ASSISTANT) {
            ctx->before = ngx_http_sp_memory_tail(&chat->messages[i - 1],
                                                  NGX_HTTP_SP_MEMORY_BEFORE);
            break;
        }
    }

    return NGX_OK;
}


static ngx_str_t
ngx_http_sp_memory_tail(const sp_chat_message_t *message, size_t size)
{
    ngx_str_t  text;

    text.data = (u_char *) message->text;
    text.len = message->len;

    if (text.len > size) {
        text.data += text.len - size;
        text.len = size;

        /* not from the middle of a character */

        while (text.len > 0 && (*text.data & 0xc0) == 0x80) {
            text.data++;
            text.len--;
        }
    }

    return text;
}


static ngx_int_t
ngx_http_sp_memory_embed(ngx_http_request_t *r,
    ngx_http_sp_memory_ctx_t *ctx)
{
    ngx_int_t                        rc;
    ngx_http_sp_call_t              *call;
    ngx_http_sp_memory_loc_conf_t   *mlcf;
    ngx_http_sp_memory_main_conf_t  *mmcf;

    mmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_memory_module);
    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_memory_module);

    rc = ngx_http_sp_memory_cache_get(r->pool, &ctx->query, &ctx->embedding);

    if (rc == NGX_OK) {
        ngx_sp_metric_add(mmcf->cached, 1);
        return NGX_OK;
    }

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    call = &ctx->embed;

    call->model = mmcf->embedder.model;
    call->kind = NGX_HTTP_SP_CALL_EMBEDDING;
    call->pool = r->pool;
    call->user_id = ngx_http_sp_identity(r)->sub;
    call->character_id.data = (u_char *) ctx->chat->character_id;
    call->character_id.len = ngx_strlen(ctx->chat->character_id);
    call->texts = &ctx->query;
    call->ntexts = 1;
    call->dimensions = mmcf->embedder.dimensions;
    call->trace = ngx_http_sp_trace(r);
    call->span = ctx->span;

    call->op.done = ngx_http_sp_memory_embedded;
    call->op.data = ctx;
    call->op.log = r->connection->log;
    call->op.timeout = ngx_min(mlcf->timeout, mmcf->embedder.timeout);

    if (ngx_http_sp_op_attach(r, &call->op) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_sp_call_submit(call);

    return NGX_OK;
}


static void
ngx_http_sp_memory_embedded(ngx_sp_op_t *op)
{
    ngx_http_sp_memory_ctx_t  *ctx;

    ctx = op->data;

    if (op->result != NGX_SP_OP_OK) {
        ngx_log_error(NGX_LOG_WARN, op->log, 0,
                      "memory: no embedding (%s), recall is lexical",
                      ngx_sp_op_result_name(op->result));
        return;
    }

    ctx->embedding = ctx->embed.vectors[0];

    ngx_http_sp_memory_cache_put(&ctx->query, &ctx->embedding);
}


/* the second arm starts as soon as there is a vector, in what time is left */

static ngx_int_t
ngx_http_sp_memory_vector(ngx_http_request_t *r,
    ngx_http_sp_memory_ctx_t *ctx)
{
    ngx_msec_t                      elapsed;
    ngx_http_sp_memory_loc_conf_t  *mlcf;

    if (ctx->embed_done || ctx->embedding.len == 0) {
        return NGX_OK;
    }

    ctx->embed_done = 1;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_memory_module);
    elapsed = ngx_current_msec - ctx->started;

    if (elapsed >= mlcf->timeout) {
        return NGX_OK;
    }

    return ngx_http_sp_memory_recall(r, ctx, &ctx->vector, &ctx->embedding,
                                     mlcf->timeout - elapsed);
}


static ngx_int_t
ngx_http_sp_memory_finish(ngx_http_request_t *r,
    ngx_http_sp_memory_ctx_t *ctx)
{
    u_char                          *p;
    ngx_int_t                        n;
    ngx_http_sp_memory_main_conf_t  *mmcf;

    mmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_memory_module);

    ngx_sp_metric_observe(mmcf->duration,
                          1000 * (ngx_current_msec - ctx->started), 1);

    ngx_http_sp_span_end(ctx->span, (ctx->lexical.ok || ctx->vector.ok)
                                    ? NULL
                                    : ngx_sp_op_result_name(
                                               ctx->lexical.op.op.result));

    if (!ctx->lexical.ok && !ctx->vector.ok) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "memory: recall %s, going on without",
                      ngx_sp_op_result_name(ctx->lexical.op.op.result));

        return ngx_http_sp_memory_say(r, mmcf->late, "late");
    }

    if (!ctx->vector.ok) {
        ngx_sp_metric_add(mmcf->lexical, 1);
    }

    n = ngx_http_sp_memory_inject(r, ctx);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (n == 0) {
        return ngx_http_sp_memory_say(r, mmcf->none, "none");
    }

    p = ngx_pnalloc(r->pool, sizeof("used=") + NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *ngx_sprintf(p, "used=%i", n) = '\0';

    return ngx_http_sp_memory_say(r, mmcf->used, (char *) p);
}


static ngx_int_t
ngx_http_sp_memory_say(ngx_http_request_t *r, ngx_sp_metric_t *metric,
    const char *text)
{
    ngx_str_t  value;

    ngx_sp_metric_add(metric, 1);

    value.data = (u_char *) text;
    value.len = ngx_strlen(text);

    return ngx_http_sp_add_header(r, "X-Memory", &value);
}


static void
ngx_http_sp_memory_set_state(ngx_http_request_t *r,
    ngx_http_sp_memory_ctx_t *ctx, ngx_http_sp_memory_state_e state)
{
    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "memory: %s -> %s", ngx_http_sp_memory_states[ctx->state],
                   ngx_http_sp_memory_states[state]);

    ctx->state = state;
}
