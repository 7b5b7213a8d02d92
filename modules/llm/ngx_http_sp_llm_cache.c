
/*
 * Copyright (C) Sallyport authors
 *
 * llm_cache: a request that is the same in all that its answer depends on is
 * given the answer of an earlier one, if that was whole.  Looked up behind all
 * steps, so whoever is refused is, and before a model is asked.  Where Redis
 * cannot tell in time the model is.
 */


#include "ngx_http_sp_llm_replay.h"


#define NGX_HTTP_SP_LLM_NO_CACHE  1
#define NGX_HTTP_SP_LLM_NO_STORE  2


static ngx_int_t ngx_http_sp_llm_cache_begin(ngx_http_sp_llm_ctx_t *ctx);
static ngx_uint_t ngx_http_sp_llm_cache_another(
    const sp_chat_request_t *chat);
static ngx_uint_t ngx_http_sp_llm_cache_control(ngx_http_request_t *r);
static ngx_uint_t ngx_http_sp_llm_cache_directive(const ngx_str_t *word);
static ngx_int_t ngx_http_sp_llm_cache_judge(ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_cache_hit(ngx_http_sp_llm_ctx_t *ctx,
    const sp_replay_t *entry);
static ngx_int_t ngx_http_sp_llm_cache_turn(ngx_http_sp_llm_ctx_t *ctx,
    const sp_replay_t *entry);
static void ngx_http_sp_llm_cache_flight(ngx_http_sp_llm_ctx_t *ctx,
    const sp_replay_t *entry);
static ngx_int_t ngx_http_sp_llm_cache_status(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_llm_cache_e status, const char *value);
static ngx_uint_t ngx_http_sp_llm_cache_whole(
    const ngx_http_sp_llm_ctx_t *ctx);


/* NGX_DECLINED: the model is asked; else as a content handler's */

ngx_int_t
ngx_http_sp_llm_cache(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_http_request_t          *r;
    ngx_http_sp_llm_cache_t     *cache;
    ngx_http_sp_llm_loc_conf_t  *conf;

    r = ctx->request;
    conf = ctx->check.conf;
    cache = ctx->cache;

    if (cache != NULL) {

        if (ngx_sp_op_pending(&cache->op.op)) {
            return NGX_AGAIN;
        }

        if (ngx_sp_op_finished(&cache->op.op)) {
            cache->op.op.state = NGX_SP_OP_IDLE;
            return ngx_http_sp_llm_cache_judge(ctx);
        }

        cache->keep = 0;
    }

    if (conf->cache == NULL
        || r != r->main
        || (conf->kind != NGX_HTTP_SP_MODEL_CHAT
            && conf->kind != NGX_HTTP_SP_MODEL_EMBEDDING))
    {
        return NGX_DECLINED;
    }

    if (cache == NULL) {
        cache = ngx_pcalloc(r->pool, sizeof(ngx_http_sp_llm_cache_t));
        if (cache == NULL) {
            return NGX_ERROR;
        }

        ctx->cache = cache;
    }

    cache->store = conf->cache;

    return ngx_http_sp_llm_cache_begin(ctx);
}


static ngx_int_t
ngx_http_sp_llm_cache_begin(ngx_http_sp_llm_ctx_t *ctx)
{
    u_char                    key[NGX_HTTP_SP_LLM_HASH];
    ngx_int_t                 rc;
    ngx_uint_t                asked;
    ngx_http_sp_llm_cache_t  *cache;

    cache = ctx->cache;

    rc = ngx_http_sp_llm_cache_key(ctx, cache->store, key);

    if (rc == NGX_DECLINED) {
        return ngx_http_sp_llm_cache_status(ctx, NGX_HTTP_SP_LLM_CACHE_BYPASS,
                                            "sallyport; fwd=bypass");
    }

    if (rc != NGX_OK) {
        return rc;
    }

    asked = ngx_http_sp_llm_cache_control(ctx->request);

    /* a receipt is of a model that was asked */

    if (ngx_http_sp_llm_receipt_wanted(ctx)
        || ngx_http_sp_llm_cache_another(ctx->check.chat))
    {
        asked = NGX_HTTP_SP_LLM_NO_STORE;
    }

    cache->keep = (asked & NGX_HTTP_SP_LLM_NO_STORE) == 0
                  && cache->status != NGX_HTTP_SP_LLM_CACHE_UNAVAILABLE;

    if (cache->known
        && ngx_memcmp(cache->key, key, NGX_HTTP_SP_LLM_HASH) == 0)
    {
        /* the handler was called again, or an error_page leads back here */

        return NGX_DECLINED;
    }

    ngx_memcpy(cache->key, key, NGX_HTTP_SP_LLM_HASH);
    cache->known = 1;

    if (asked != 0) {
        return ngx_http_sp_llm_cache_status(ctx, NGX_HTTP_SP_LLM_CACHE_BYPASS,
                                            "sallyport; fwd=request");
    }

    return (ngx_http_sp_llm_store_get(ctx->request, cache) == NGX_OK)
           ? NGX_AGAIN : NGX_ERROR;
}


/*
 * Who says which message of the chat comes before this one wants another
 * answer to it, or another branch
 */

static ngx_uint_t
ngx_http_sp_llm_cache_another(const sp_chat_request_t *chat)
{
    return chat != NULL
           && json_object_get(json_object_get(chat->root, "metadata"),
                              "parent_id")
              != NULL;
}


/* RFC 9111, 5.2.1: what a request may say that matters here */

static ngx_uint_t
ngx_http_sp_llm_cache_control(ngx_http_request_t *r)
{
    u_char           *p, *last;
    ngx_str_t         word;
    ngx_uint_t        asked;
    ngx_table_elt_t  *h;

    static ngx_str_t  name = ngx_string("Cache-Control");

    asked = 0;

    for (h = ngx_http_sp_next_header(&r->headers_in.headers, &name, NULL);
         h != NULL;
         h = ngx_http_sp_next_header(&r->headers_in.headers, &name, h))
    {
        p = h->value.data;
        last = p + h->value.len;

        while (p < last) {

            while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
                p++;
            }

            word.data = p;

            while (p < last && *p != ' ' && *p != '\t' && *p != ',') {
                p++;
            }

            word.len = p - word.data;
            asked |= ngx_http_sp_llm_cache_directive(&word);
        }
    }

    return asked;
}


static ngx_uint_t
ngx_http_sp_llm_cache_directive(const ngx_str_t *word)
{
    ngx_uint_t  i;

    static const struct {
        ngx_str_t   word;
        ngx_uint_t  means;
    } known[] = {
        { ngx_string("no-cache"), NGX_HTTP_SP_LLM_NO_CACHE },
        { ngx_string("max-age=0"), NGX_HTTP_SP_LLM_NO_CACHE },
        { ngx_string("no-store"), NGX_HTTP_SP_LLM_NO_STORE }
    };

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (word->len == known[i].word.len
            && ngx_strncasecmp(word->data, known[i].word.data, word->len)
               == 0)
        {
            return known[i].means;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_sp_llm_cache_judge(ngx_http_sp_llm_ctx_t *ctx)
{
    sp_replay_t               entry;
    ngx_http_sp_llm_cache_t  *cache;

    cache = ctx->cache;

    if (cache->op.op.result == NGX_SP_OP_TIMEOUT
        || cache->op.op.result == NGX_SP_OP_UNAVAILABLE)
    {
        /* nor is an answer brought to who cannot take it */

        cache->keep = 0;

        return ngx_http_sp_llm_cache_status(ctx,
                                  NGX_HTTP_SP_LLM_CACHE_UNAVAILABLE,
                                  "sallyport; fwd=bypass; "
                                  "detail=unavailable");
    }

    /* what is none of ours is written over */

    if (sp_replay_read(&entry, (char *) cache->reply.data, cache->reply.len)
        != 0
        || entry.state != SP_REPLAY_ANSWER
        || ngx_memcmp(entry.fingerprint, cache->key, NGX_HTTP_SP_LLM_HASH)
           != 0)
    {
        return ngx_http_sp_llm_cache_status(ctx, NGX_HTTP_SP_LLM_CACHE_MISS,
                                            "sallyport; fwd=miss");
    }

    cache->keep = 0;

    return ngx_http_sp_llm_cache_hit(ctx, &entry);
}


static ngx_int_t
ngx_http_sp_llm_cache_hit(ngx_http_sp_llm_ctx_t *ctx,
    const sp_replay_t *entry)
{
    if (ngx_http_sp_llm_cache_status(ctx, NGX_HTTP_SP_LLM_CACHE_HIT,
                                     "sallyport; hit")
        == NGX_ERROR
        || ngx_http_sp_llm_cache_turn(ctx, entry) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->flight != NULL) {
        ngx_http_sp_llm_cache_flight(ctx, entry);
    }

    return ngx_http_sp_llm_replay_send(ctx, entry);
}


/* no model is asked, so nothing is spent; to the chat it is a turn like any */

static ngx_int_t
ngx_http_sp_llm_cache_turn(ngx_http_sp_llm_ctx_t *ctx,
    const sp_replay_t *entry)
{
    ngx_http_sp_turn_t  *turn;

    turn = ngx_http_sp_turn(ctx->request);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    turn->alias = ctx->check.model->alias;
    turn->stream = ctx->check.stream;
    turn->finish = NGX_HTTP_SP_TURN_CACHED;
    turn->error = NGX_HTTP_SP_TURN_OK;
    turn->status = NGX_HTTP_OK;

    turn->finish_reason.data = (u_char *) entry->finish.data;
    turn->finish_reason.len = entry->finish.len;
    turn->assistant_text.data = (u_char *) entry->text.data;
    turn->assistant_text.len = entry->text.len;

    if (ctx->check.chat != NULL) {
        ngx_http_sp_llm_turn_chat(ctx->request, ctx->check.chat, turn);
    }

    /* what cannot be accepted is logged by the core */

    (void) ngx_http_sp_settle(ctx->request);

    return NGX_OK;
}


/* who sends the same key again is given this answer, wherever it is from */

static void
ngx_http_sp_llm_cache_flight(ngx_http_sp_llm_ctx_t *ctx,
    const sp_replay_t *entry)
{
    ngx_str_t  *type;

    type = &ctx->request->headers_out.content_type;

    type->data = (u_char *) entry->type.data;
    type->len = entry->type.len;

    ngx_memzero(&ctx->capture, sizeof(ngx_http_sp_llm_capture_t));

    ctx->capture.data = (u_char *) entry->body.data;
    ctx->capture.len = entry->body.len;
    ctx->capture.whole = 1;

    ngx_http_sp_llm_flight_end(ctx->flight, ngx_http_sp_turn(ctx->request));
}


/* RFC 9211; NGX_DECLINED, or NGX_ERROR */

static ngx_int_t
ngx_http_sp_llm_cache_status(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_llm_cache_e status, const char *value)
{
    ngx_str_t  text;

    ctx->cache->status = status;

    text.data = (u_char *) value;
    text.len = ngx_strlen(value);

    return (ngx_http_sp_add_header(ctx->request, "Cache-Status", &text)
            == NGX_OK)
           ? NGX_DECLINED : NGX_ERROR;
}


/* the answer has ended, its last bytes are still to be passed on */

void
ngx_http_sp_llm_cache_keep(ngx_http_sp_llm_ctx_t *ctx)
{
    sp_replay_t               entry;
    const ngx_str_t          *type;
    ngx_http_sp_llm_cache_t  *cache;

    cache = ctx->cache;

    if (cache == NULL || !cache->keep) {
        return;
    }

    cache->keep = 0;

    if (!ngx_http_sp_llm_cache_whole(ctx)) {
        return;
    }

    type = &ctx->request->headers_out.content_type;

    ngx_memzero(&entry, sizeof(sp_replay_t));

    entry.state = SP_REPLAY_ANSWER;
    ngx_memcpy(entry.fingerprint, cache->key, NGX_HTTP_SP_LLM_HASH);
    entry.type.data = (char *) type->data;
    entry.type.len = type->len;
    entry.body.data = (char *) ctx->capture.data;
    entry.body.len = ctx->capture.len;
    entry.text.data = (char *) ctx->turn->assistant_text.data;
    entry.text.len = ctx->turn->assistant_text.len;
    entry.finish.data = (char *) ctx->turn->finish_reason.data;
    entry.finish.len = ctx->turn->finish_reason.len;

    ngx_http_sp_llm_store_set(cache, &entry);
}


/*
 * Each choice has come to its own end: what was cut by a limit, declined or
 * ended by a filter is no answer for others, nor is one that was refused.
 */

static ngx_uint_t
ngx_http_sp_llm_cache_whole(const ngx_http_sp_llm_ctx_t *ctx)
{
    return ctx->turn != NULL
           && ctx->turn->finish == NGX_HTTP_SP_TURN_COMPLETE
           && ctx->turn->error == NGX_HTTP_SP_TURN_OK
           && !ctx->response.curtailed
           && (ctx->check.chat == NULL || ngx_http_sp_llm_finished(ctx))
           && !ctx->capture.over
           && ctx->capture.len <= ctx->cache->store->size;
}


void
ngx_http_sp_llm_cache_end(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_http_sp_llm_main_conf_t  *lmcf;

    if (ctx->cache != NULL && ctx->cache->status != NGX_HTTP_SP_LLM_CACHE_NONE)
    {
        lmcf = ngx_http_get_module_main_conf(ctx->request,
                                             ngx_http_sp_llm_module);

        ngx_sp_metric_add(lmcf->cached[ctx->cache->status], 1);
    }
}
