
/*
 * Copyright (C) Sallyport authors
 */


#include "ngx_http_sp_demo.h"


static ngx_int_t ngx_http_sp_demo_chat(ngx_http_request_t *r);
static ngx_int_t ngx_http_sp_demo_models(ngx_http_request_t *r);
static ngx_int_t ngx_http_sp_demo_complete(ngx_http_request_t *r,
    ngx_http_sp_demo_ctx_t *ctx);
static void ngx_http_sp_demo_id(ngx_http_sp_demo_ctx_t *ctx);
static ngx_uint_t ngx_http_sp_demo_path(const ngx_str_t *uri,
    const char *end);


ngx_int_t
ngx_http_sp_demo_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    if (ngx_http_sp_demo_path(&r->uri, "/models")) {
        return ngx_http_sp_demo_models(r);
    }

    rc = ngx_http_sp_allow(r, NGX_HTTP_POST);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_sp_demo_path(&r->uri, "/chat/completions")) {
        return ngx_http_sp_demo_chat(r);
    }

    if (ngx_http_sp_demo_path(&r->uri, "/embeddings")) {
        return ngx_http_sp_demo_embeddings(r);
    }

    return ngx_http_sp_error(r, NGX_HTTP_NOT_FOUND, "not_found",
                             "the demo model serves /chat/completions, "
                             "/embeddings and /models");
}


static ngx_uint_t
ngx_http_sp_demo_path(const ngx_str_t *uri, const char *end)
{
    size_t  len;

    len = ngx_strlen(end);

    return uri->len >= len
           && ngx_strncmp(uri->data + uri->len - len, end, len) == 0;
}


static ngx_int_t
ngx_http_sp_demo_models(ngx_http_request_t *r)
{
    static ngx_str_t  body = ngx_string(
        "{\"object\":\"list\",\"data\":["
        "{\"id\":\"demo\",\"object\":\"model\",\"created\":0,"
        "\"owned_by\":\"demo\"},"
        "{\"id\":\"demo-embedding\",\"object\":\"model\",\"created\":0,"
        "\"owned_by\":\"demo\"}]}");

    return ngx_http_sp_send_json(r, NGX_HTTP_OK, &body);
}


static ngx_int_t
ngx_http_sp_demo_chat(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    sp_chat_request_t       *chat;
    ngx_http_sp_demo_ctx_t  *ctx;

    rc = ngx_http_sp_chat(r, &chat);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_http_sp_ctx(r, &ngx_http_sp_demo_module,
                          sizeof(ngx_http_sp_demo_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->chat = chat;

    ngx_http_sp_demo_id(ctx);

    if (ngx_http_sp_demo_reply(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (chat->stream) {
        return ngx_http_sp_demo_stream(r, ctx);
    }

    return ngx_http_sp_demo_complete(r, ctx);
}


static ngx_int_t
ngx_http_sp_demo_complete(ngx_http_request_t *r, ngx_http_sp_demo_ctx_t *ctx)
{
    ngx_str_t                 body;
    ngx_http_sp_demo_text_t   text;

    ngx_memzero(&text, sizeof(ngx_http_sp_demo_text_t));
    text.pool = r->pool;

    ngx_http_sp_demo_printf(&text, "{\"id\":\"%*s\","
                            "\"object\":\"chat.completion\","
                            "\"created\":%T,\"model\":\"demo\","
                            "\"choices\":[{\"index\":0,\"message\":"
                            "{\"role\":\"assistant\",\"content\":\"",
                            sizeof(ctx->id), ctx->id, ngx_time());

    ngx_http_sp_demo_add_json(&text, ctx->reply.data, ctx->reply.len);

    ngx_http_sp_demo_printf(&text, "\",\"refusal\":null},\"logprobs\":null,"
                            "\"finish_reason\":\"%s\"}],\"usage\":{"
                            "\"prompt_tokens\":%uz,"
                            "\"completion_tokens\":%uz,"
                            "\"total_tokens\":%uz}}",
                            ctx->cut ? "length" : "stop",
                            ctx->prompt_tokens, ctx->completion_tokens,
                            ctx->prompt_tokens + ctx->completion_tokens);

    if (text.failed) {
        return NGX_ERROR;
    }

    body.data = text.data;
    body.len = text.len;

    return ngx_http_sp_send_json(r, NGX_HTTP_OK, &body);
}


/* the same request gets the same id: the reply is the same, too */

static void
ngx_http_sp_demo_id(ngx_http_sp_demo_ctx_t *ctx)
{
    size_t     i;
    uint64_t   hash;

    hash = 14695981039346656037u;

    for (i = 0; i < ctx->chat->nmessages; i++) {
        hash ^= ngx_crc32_long((u_char *) ctx->chat->messages[i].text,
                               ctx->chat->messages[i].len);
        hash *= 1099511628211u;
    }

    (void) ngx_sprintf(ctx->id, "chatcmpl-demo-%016xL", hash);
}
