
/*
 * Copyright (C) Sallyport authors
 *
 * What a request came to: text, usage, how it ended.  Settled once, on every
 * exit path.
 */


#include "ngx_http_sp_llm.h"


#define NGX_HTTP_SP_LLM_TEXT  1024


/* of what was said, but is not at hand as a text */
#define ngx_http_sp_llm_tokens(len)  (((len) + 3) / 4)

static ngx_int_t ngx_http_sp_llm_note_finish(ngx_http_sp_llm_ctx_t *ctx,
    const sp_delta_t *delta);
static ngx_int_t ngx_http_sp_llm_add_text(ngx_http_sp_llm_ctx_t *ctx,
    const char *text, size_t len);
static ngx_uint_t ngx_http_sp_llm_paused(const sp_slice_t *reason);
static void ngx_http_sp_llm_end_attempt(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_finish_e finish, ngx_uint_t status);
static void ngx_http_sp_llm_estimate(ngx_http_sp_llm_ctx_t *ctx);


ngx_int_t
ngx_http_sp_llm_turn(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx,
    size_t prompt_tokens)
{
    ngx_http_sp_turn_t  *turn;

    turn = ngx_http_sp_turn(r);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    if (ctx->route.attempts->nelts == 1) {
        turn->started = ngx_current_msec;
    }

    turn->provider = ctx->attempt.target->provider->name;
    turn->model = ctx->attempt.target->name;
    turn->alias = ctx->check.model->alias;
    turn->attempts = ctx->route.attempts;
    turn->stream = ctx->check.stream;
    turn->finish = NGX_HTTP_SP_TURN_FAILED;
    turn->error = NGX_HTTP_SP_TURN_OK;

    turn->prompt_tokens = -1;
    turn->completion_tokens = -1;
    turn->cached_tokens = -1;
    turn->cache_write_tokens = -1;
    turn->reasoning_tokens = -1;
    turn->estimated_prompt_tokens = prompt_tokens;
    turn->estimated_completion_tokens = -1;
    turn->units = -1;

    if (ctx->check.chat != NULL) {
        ngx_http_sp_llm_turn_chat(r, ctx->check.chat, turn);
    }

    ctx->turn = turn;

    return NGX_OK;
}


/* what was said, to whom, and where */

void
ngx_http_sp_llm_turn_chat(ngx_http_request_t *r,
    const sp_chat_request_t *chat, ngx_http_sp_turn_t *turn)
{
    const sp_chat_message_t  *message;

    if (chat->character_id != NULL) {
        turn->character_id.data = (u_char *) chat->character_id;
        turn->character_id.len = ngx_strlen(chat->character_id);
    }

    if (chat->chat_id != NULL) {
        turn->chat_id.data = (u_char *) chat->chat_id;
        turn->chat_id.len = ngx_strlen(chat->chat_id);
    }

    if (chat->parent_id != NULL) {
        turn->parent_id.data = (u_char *) chat->parent_id;
        turn->parent_id.len = ngx_strlen(chat->parent_id);
    }

    if (chat->last_user < chat->nmessages) {
        message = &chat->messages[chat->last_user];

        turn->user_text.data = (u_char *) message->text;
        turn->user_text.len = message->len;
    }

    /* "memory": "off" is a temporary chat: neither read nor written */

    turn->store = (!chat->memory_off && ngx_http_sp_identity(r) != NULL);
}


/* usage is replaced, never added: some providers repeat running totals */

void
ngx_http_sp_llm_note(ngx_http_sp_llm_ctx_t *ctx, const sp_event_t *event)
{
    ngx_http_sp_turn_t  *turn;

    turn = ctx->turn;

    ctx->response.images += event->images;

    if (event->seconds >= 0) {
        ctx->response.totals.seconds = event->seconds;
    }

    if (turn == NULL || !event->has_usage) {
        return;
    }

    sp_event_merge(&ctx->response.totals, event);

    turn->prompt_tokens = ctx->response.totals.prompt_tokens;
    turn->completion_tokens = ctx->response.totals.completion_tokens;
    turn->cached_tokens = ctx->response.totals.cached_tokens;
    turn->cache_write_tokens = ctx->response.totals.cache_write_tokens;
    turn->reasoning_tokens = ctx->response.totals.reasoning_tokens;

    if (event->completion_tokens >= 0) {
        ctx->response.counted = ctx->response.said;
    }
}


ngx_int_t
ngx_http_sp_llm_note_delta(ngx_http_sp_llm_ctx_t *ctx,
    const sp_delta_t *delta)
{
    ngx_http_sp_turn_t  *turn;

    turn = ctx->turn;

    if (turn == NULL) {
        return NGX_OK;
    }

    if (delta->kind == SP_DELTA_FINISH) {
        return ngx_http_sp_llm_note_finish(ctx, delta);
    }

    if (delta->kind == SP_DELTA_REFUSAL) {
        ctx->response.curtailed = 1;
    }

    if (delta->kind != SP_DELTA_TEXT || delta->choice != 0) {
        return NGX_OK;
    }

    if (turn->first_byte == 0) {
        turn->first_byte = ngx_max(ngx_current_msec - turn->started, 1);
    }

    return ngx_http_sp_llm_add_text(ctx, delta->text.data, delta->text.len);
}


static ngx_int_t
ngx_http_sp_llm_note_finish(ngx_http_sp_llm_ctx_t *ctx,
    const sp_delta_t *delta)
{
    u_char                      *p;
    ngx_http_sp_turn_t          *turn;
    ngx_http_sp_llm_response_t  *response;

    response = &ctx->response;
    turn = ctx->turn;

    if (delta->choice < SP_CHAT_MAX_CHOICES
        && !response->finished[delta->choice])
    {
        response->finished[delta->choice] = 1;
        response->nfinished++;
    }

    if ((delta->finish != SP_FINISH_STOP && delta->finish != SP_FINISH_TOOLS)
        || ngx_http_sp_llm_paused(&delta->text))
    {
        response->curtailed = 1;
    }

    if (delta->choice != 0 || delta->text.len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(ctx->request->pool, delta->text.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    turn->finish_reason.data = p;
    turn->finish_reason.len = sp_json_unescape((char *) p, delta->text.len,
                                               delta->text.data,
                                               delta->text.len);

    return NGX_OK;
}


/* Anthropic's: the client is to ask for the rest of it */

static ngx_uint_t
ngx_http_sp_llm_paused(const sp_slice_t *reason)
{
    static const char  paused[] = "pause_turn";

    return reason->len == sizeof(paused) - 1
           && ngx_memcmp(reason->data, paused, sizeof(paused) - 1) == 0;
}


static ngx_int_t
ngx_http_sp_llm_add_text(ngx_http_sp_llm_ctx_t *ctx, const char *text,
    size_t len)
{
    size_t                       cap, need, size;
    u_char                      *data;
    ngx_http_sp_llm_response_t  *response;

    response = &ctx->response;
    cap = ctx->check.conf->answer_size;

    /* decoding makes a broken escape up to three times longer, not a text */

    need = ngx_min(response->text_len + len + 3, cap);

    if (response->text_size < need) {

        size = ngx_max(response->text_size * 2, NGX_HTTP_SP_LLM_TEXT);

        while (size < need) {
            size *= 2;
        }

        size = ngx_min(size, cap);

        data = ngx_http_sp_llm_enlarge(ctx->request->pool, response->text,
                                       response->text_len, size);
        if (data == NULL) {
            return NGX_ERROR;
        }

        response->text = data;
        response->text_size = size;
    }

    response->text_said += len;
    response->text_len += sp_json_unescape((char *) response->text
                                        + response->text_len,
                                        response->text_size
                                        - response->text_len,
                                        text, len);

    return NGX_OK;
}


/* the first one that is said of a target stays */

void
ngx_http_sp_llm_blame(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_turn_error_e error)
{
    if (ctx->turn != NULL && ctx->turn->error == NGX_HTTP_SP_TURN_OK) {
        ctx->turn->error = error;
    }
}


ngx_int_t
ngx_http_sp_llm_settle(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_finish_e finish, ngx_uint_t status)
{
    ngx_http_sp_turn_t                *turn;
    const ngx_http_sp_call_metrics_t  *metrics;

    if (ctx->response.settled) {
        return NGX_OK;
    }

    ctx->response.settled = 1;

    ngx_http_sp_llm_end_attempt(ctx, finish, status);
    ngx_http_sp_llm_clock_end(ctx);

    metrics = ngx_http_sp_llm_metrics(ctx);

    switch (finish) {

    case NGX_HTTP_SP_TURN_COMPLETE:
        ngx_sp_metric_add(metrics->complete, 1);
        break;

    case NGX_HTTP_SP_TURN_PARTIAL:
        ngx_sp_metric_add(metrics->partial, 1);
        break;

    default:
        ngx_sp_metric_add(metrics->failed, 1);
    }

    turn = ctx->turn;

    if (turn == NULL) {
        return NGX_OK;
    }

    turn->finish = finish;
    turn->status = status;
    turn->assistant_text.data = ctx->response.text;
    turn->assistant_text.len = ctx->response.text_len;

    ngx_http_sp_llm_estimate(ctx);
    ngx_http_sp_llm_media_units(ctx);
    ngx_http_sp_account(turn, ctx->attempt.target);

    if (ngx_http_sp_llm_receipt(ctx) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "llm: no memory for a receipt");
    }

    /*
     * Nothing was said yet: an error_page may still lead to another provider.
     * The core settles at the end of the request.  A turn that cannot be
     * accepted is logged by the core.
     */

    if (ctx->request->header_sent) {
        (void) ngx_http_sp_settle(ctx->request);
    }

    return NGX_OK;
}


static void
ngx_http_sp_llm_end_attempt(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_finish_e finish, ngx_uint_t status)
{
    ngx_http_sp_failure_e   failure;
    ngx_http_sp_attempt_t  *entry;

    entry = ctx->attempt.entry;
    failure = ctx->attempt.failure;

    if (ctx->turn != NULL) {
        entry->prompt_tokens = ctx->turn->prompt_tokens;
        entry->completion_tokens = ctx->turn->completion_tokens;
    }

    if (finish == NGX_HTTP_SP_TURN_COMPLETE) {
        failure = NGX_HTTP_SP_FAILURE_NONE;

    } else if (finish == NGX_HTTP_SP_TURN_PARTIAL
               || status == NGX_HTTP_CLIENT_CLOSED_REQUEST)
    {
        failure = NGX_HTTP_SP_FAILURE_CLIENT;

    } else if (failure == NGX_HTTP_SP_FAILURE_NONE) {
        failure = entry->begun ? NGX_HTTP_SP_FAILURE_ANSWER
                               : NGX_HTTP_SP_FAILURE_GATEWAY;
    }

    ngx_http_sp_attempt_end(entry, failure);
}


/*
 * What the provider has told is not touched.  An estimate is made where that
 * is not all: of an answer that was cut, of a provider that tells nothing.
 * What failed before it said anything has cost nothing, unless it was the
 * client that did not wait for it.
 */

static void
ngx_http_sp_llm_estimate(ngx_http_sp_llm_ctx_t *ctx)
{
    sp_tokens_t                        tokens;
    ngx_http_sp_turn_t                *turn;
    const ngx_http_sp_llm_response_t  *response;

    turn = ctx->turn;
    response = &ctx->response;

    if (turn->prompt_tokens >= 0
        || (turn->finish == NGX_HTTP_SP_TURN_FAILED && response->said == 0
            && turn->error != NGX_HTTP_SP_CALLER_DISCONNECTED))
    {
        turn->estimated_prompt_tokens = -1;
    }

    if (ctx->check.chat == NULL) {
        return;
    }

    if (turn->completion_tokens < 0) {

        if (response->said != 0 || turn->finish == NGX_HTTP_SP_TURN_COMPLETE)
        {
            ngx_http_sp_tokens(ctx->attempt.target, &tokens);

            turn->estimated_completion_tokens =
                sp_tokens_text(&tokens, (char *) response->text,
                               response->text_len)
                + ngx_http_sp_llm_tokens(response->said
                                         - response->text_said);
        }

        return;
    }

    /* the last of the running totals was told before the last of the text */

    if (response->said > response->counted
        && (turn->finish != NGX_HTTP_SP_TURN_COMPLETE
            || response->nrefused != 0))
    {
        turn->estimated_completion_tokens = turn->completion_tokens
            + ngx_http_sp_llm_tokens(response->said - response->counted);
    }
}
