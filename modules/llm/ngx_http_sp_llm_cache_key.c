
/*
 * Copyright (C) Sallyport authors
 *
 * What an answer depends on, as a hash: whose it is, which models may give it
 * and how they are asked, how it is judged on its way, and all that the model
 * reads.  Not the target that is asked this time: it is one of those.
 */


#include "ngx_http_sp_llm_replay.h"


static ngx_int_t ngx_http_sp_llm_key_whose(ngx_http_sp_llm_hash_t *hash,
    ngx_http_sp_llm_ctx_t *ctx, const ngx_http_sp_llm_store_t *store);
static ngx_uint_t ngx_http_sp_llm_key_private(ngx_queue_t *blocks);
static void ngx_http_sp_llm_key_targets(ngx_http_sp_llm_hash_t *hash,
    ngx_http_sp_llm_ctx_t *ctx);
static void ngx_http_sp_llm_key_provider(ngx_http_sp_llm_hash_t *hash,
    const ngx_http_sp_provider_t *provider);
static void ngx_http_sp_llm_key_headers(ngx_http_sp_llm_hash_t *hash,
    ngx_http_sp_llm_ctx_t *ctx, const sp_dialect_t *dialect);
static ngx_int_t ngx_http_sp_llm_key_filters(ngx_http_sp_llm_hash_t *hash,
    ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_key_body(ngx_http_sp_llm_hash_t *hash,
    ngx_http_sp_llm_ctx_t *ctx);
static void ngx_http_sp_llm_key_prompt(ngx_http_sp_llm_hash_t *hash,
    ngx_http_sp_llm_ctx_t *ctx);


/* NGX_DECLINED: no answer of this request is kept, or given */

ngx_int_t
ngx_http_sp_llm_cache_key(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_http_sp_llm_store_t *store, u_char *key)
{
    size_t                       len;
    u_char                       digest[NGX_HTTP_SP_LLM_HASH];
    ngx_int_t                    rc;
    ngx_http_sp_llm_hash_t       hash;
    ngx_http_sp_llm_loc_conf_t  *conf;

    conf = ctx->check.conf;

    ngx_http_sp_llm_hash_begin(&hash);

    /* another build may write another request, or another answer */

    ngx_http_sp_llm_hash_number(&hash, NGX_HTTP_SP_ABI);

    ngx_http_sp_llm_hash_number(&hash, conf->kind);
    ngx_http_sp_llm_hash_word(&hash, ctx->check.dialect->name);
    ngx_http_sp_llm_hash_number(&hash, ctx->check.stream);
    ngx_http_sp_llm_hash_number(&hash, conf->system);
    ngx_http_sp_llm_hash_number(&hash, ctx->context);

    ngx_http_sp_llm_key_targets(&hash, ctx);

    rc = ngx_http_sp_llm_key_whose(&hash, ctx, store);

    if (rc == NGX_OK) {
        rc = ngx_http_sp_llm_key_filters(&hash, ctx);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_sp_llm_key_body(&hash, ctx);
    }

    ngx_http_sp_llm_key_prompt(&hash, ctx);

    /* it gives its memory back in any case */

    if (ngx_http_sp_llm_hash_end(&hash, digest) != NGX_OK) {
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (!store->keyed) {
        ngx_memcpy(key, digest, NGX_HTTP_SP_LLM_HASH);
        return NGX_OK;
    }

    return (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, store->secret,
                      NGX_HTTP_SP_LLM_HASH, digest, NGX_HTTP_SP_LLM_HASH, key,
                      NGX_HTTP_SP_LLM_HASH, &len)
            != NULL)
           ? NGX_OK : NGX_ERROR;
}


/* what was made of a user's notes is the user's own, also where all share */

static ngx_int_t
ngx_http_sp_llm_key_whose(ngx_http_sp_llm_hash_t *hash,
    ngx_http_sp_llm_ctx_t *ctx, const ngx_http_sp_llm_store_t *store)
{
    const ngx_http_sp_identity_t  *identity;

    if (store->shared
        && !ngx_http_sp_llm_key_private(ngx_http_sp_blocks(ctx->request)))
    {
        ngx_http_sp_llm_hash_word(hash, "shared");
        return NGX_OK;
    }

    identity = ngx_http_sp_identity(ctx->request);

    if (identity == NULL) {
        return NGX_DECLINED;
    }

    ngx_http_sp_llm_hash_word(hash, "user");
    ngx_http_sp_llm_hash_add(hash, &identity->sub);

    return NGX_OK;
}


static ngx_uint_t
ngx_http_sp_llm_key_private(ngx_queue_t *blocks)
{
    ngx_queue_t          *q;
    ngx_http_sp_block_t  *block;

    if (blocks == NULL) {
        return 0;
    }

    for (q = ngx_queue_head(blocks);
         q != ngx_queue_sentinel(blocks);
         q = ngx_queue_next(q))
    {
        block = ngx_queue_data(q, ngx_http_sp_block_t, queue);

        if (block->place != NGX_HTTP_SP_PREFIX) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_sp_llm_key_targets(ngx_http_sp_llm_hash_t *hash,
    ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_uint_t                  i;
    const ngx_http_sp_model_t  *model;
    const ngx_http_sp_target_t *target;

    model = ctx->check.model;
    target = model->targets.elts;

    ngx_http_sp_llm_hash_add(hash, &model->alias);
    ngx_http_sp_llm_hash_number(hash, model->targets.nelts);

    for (i = 0; i < model->targets.nelts; i++, target++) {

        ngx_http_sp_llm_hash_add(hash, &target->name);
        ngx_http_sp_llm_hash_number(hash, target->context);
        ngx_http_sp_llm_hash_number(hash, target->weight);
        ngx_http_sp_llm_hash_number(hash, target->backup);
        ngx_http_sp_llm_hash_number(hash, target->pattern);
        ngx_http_sp_llm_hash_number(hash, target->tokenizer != NULL);

        if (target->tokenizer != NULL) {
            ngx_http_sp_llm_hash_add(hash, &target->tokenizer->name);
        }

        ngx_http_sp_llm_key_provider(hash, target->provider);
        ngx_http_sp_llm_key_headers(hash, ctx, target->provider->dialect);
    }
}


static void
ngx_http_sp_llm_key_provider(ngx_http_sp_llm_hash_t *hash,
    const ngx_http_sp_provider_t *provider)
{
    ngx_str_t                 version;
    const ngx_http_sp_key_t  *key;

    key = provider->keys.elts;

    version.data = (u_char *) provider->options.api_version;
    version.len = provider->options.api_version_len;

    ngx_http_sp_llm_hash_add(hash, &provider->name);
    ngx_http_sp_llm_hash_word(hash, provider->dialect->name);
    ngx_http_sp_llm_hash_add(hash, &provider->url);
    ngx_http_sp_llm_hash_number(hash, (uint64_t) provider->stream_usage);
    ngx_http_sp_llm_hash_number(hash, (uint64_t) provider->max_tokens);
    ngx_http_sp_llm_hash_add(hash, &version);
    ngx_http_sp_llm_hash_word(hash, provider->options.max_tokens);
    ngx_http_sp_llm_hash_number(hash, provider->options.continuous_usage);

    /* an account, and what the operator has added */

    ngx_http_sp_llm_hash_add(hash, &key->headers);
}


/* those of the client that its provider gets */

static void
ngx_http_sp_llm_key_headers(ngx_http_sp_llm_hash_t *hash,
    ngx_http_sp_llm_ctx_t *ctx, const sp_dialect_t *dialect)
{
    ngx_str_t           name;
    ngx_list_t         *headers;
    ngx_table_elt_t    *h;
    const char *const  *list;

    list = dialect->headers;
    headers = &ctx->request->headers_in.headers;

    for ( /* void */ ; list != NULL && *list != NULL; list++) {
        name.data = (u_char *) *list;
        name.len = ngx_strlen(*list);

        for (h = ngx_http_sp_next_header(headers, &name, NULL);
             h != NULL;
             h = ngx_http_sp_next_header(headers, &name, h))
        {
            ngx_http_sp_llm_hash_add(hash, &name);
            ngx_http_sp_llm_hash_add(hash, &h->value);
        }
    }

    ngx_http_sp_llm_hash_word(hash, NULL);
}


/* what was kept is what they have let pass */

static ngx_int_t
ngx_http_sp_llm_key_filters(ngx_http_sp_llm_hash_t *hash,
    ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_int_t  rc;
    ngx_str_t  policy;

    rc = ngx_http_sp_filters_policy(ctx->request, NGX_HTTP_SP_OUTPUT,
                                    &policy);

    if (rc == NGX_OK) {
        ngx_http_sp_llm_hash_add(hash, &policy);
    }

    return rc;
}


/*
 * The client's body, masks included, but for the chat that it is of: no model
 * is told, and the same question in another chat has the same answer.
 */

static ngx_int_t
ngx_http_sp_llm_key_body(ngx_http_sp_llm_hash_t *hash,
    ngx_http_sp_llm_ctx_t *ctx)
{
    size_t       len;
    ngx_int_t    rc;
    ngx_str_t    body, part;
    const char  *value;

    rc = ngx_http_sp_body(ctx->request, &body);

    if (rc != NGX_OK) {
        return rc;
    }

    part = body;

    if (ctx->check.chat != NULL
        && ctx->check.chat->chat_id != NULL
        && sp_scan_find((char *) body.data, body.len, "metadata", &value,
                        &len) == 0
        && sp_scan_find(value, len, "chat_id", &value, &len) == 0)
    {
        part.len = (u_char *) value - body.data;
        ngx_http_sp_llm_hash_add(hash, &part);

        part.data = (u_char *) value + len;
        part.len = body.data + body.len - part.data;
    }

    ngx_http_sp_llm_hash_add(hash, &part);

    return NGX_OK;
}


/* a message may come from elsewhere than the body */

static void
ngx_http_sp_llm_key_prompt(ngx_http_sp_llm_hash_t *hash,
    ngx_http_sp_llm_ctx_t *ctx)
{
    size_t                    i;
    ngx_str_t                 text;
    ngx_queue_t              *blocks, *q;
    ngx_http_sp_block_t      *block;
    const sp_chat_request_t  *chat;

    chat = ctx->check.chat;

    ngx_http_sp_llm_hash_number(hash, (chat != NULL) ? chat->nmessages : 0);

    for (i = 0; chat != NULL && i < chat->nmessages; i++) {
        text.data = (u_char *) chat->messages[i].text;
        text.len = chat->messages[i].len;

        ngx_http_sp_llm_hash_number(hash, chat->messages[i].role);
        ngx_http_sp_llm_hash_add(hash, &text);
    }

    blocks = ngx_http_sp_blocks(ctx->request);

    if (blocks == NULL) {
        return;
    }

    for (q = ngx_queue_head(blocks);
         q != ngx_queue_sentinel(blocks);
         q = ngx_queue_next(q))
    {
        block = ngx_queue_data(q, ngx_http_sp_block_t, queue);

        ngx_http_sp_llm_hash_number(hash, block->place);
        ngx_http_sp_llm_hash_add(hash, &block->name);
        ngx_http_sp_llm_hash_add(hash, &block->text);
    }
}
