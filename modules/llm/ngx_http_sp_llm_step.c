
/*
 * Copyright (C) Sallyport authors
 *
 * Refuses what will not be sent, before anything is looked up or paid for.
 */


#include "ngx_http_sp_llm.h"

#include "sp_embed.h"


static ngx_int_t ngx_http_sp_llm_check_chat(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_check_embeddings(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_check_limits(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_check_parts(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static ngx_uint_t ngx_http_sp_llm_takes(ngx_uint_t capabilities,
    sp_chat_part_e kind);


/* from here on the request is in the ledger, whoever refuses it */

ngx_int_t
ngx_http_sp_llm_account(ngx_http_request_t *r)
{
    ngx_http_sp_llm_loc_conf_t  *llcf;

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_llm_module);

    if (llcf->model == NULL) {
        return NGX_DECLINED;
    }

    return ngx_http_sp_turn_open(r, ngx_http_sp_llm_call_kind(llcf->kind));
}


ngx_http_sp_call_e
ngx_http_sp_llm_call_kind(ngx_http_sp_model_kind_e kind)
{
    switch (kind) {

    case NGX_HTTP_SP_MODEL_EMBEDDING:
        return NGX_HTTP_SP_CALL_EMBEDDING;

    case NGX_HTTP_SP_MODEL_IMAGE:
        return NGX_HTTP_SP_CALL_IMAGE;

    case NGX_HTTP_SP_MODEL_SPEECH:
        return NGX_HTTP_SP_CALL_SPEECH;

    case NGX_HTTP_SP_MODEL_TRANSCRIPTION:
        return NGX_HTTP_SP_CALL_TRANSCRIPTION;

    default: /* NGX_HTTP_SP_MODEL_CHAT */
        return NGX_HTTP_SP_CALL_CHAT;
    }
}


ngx_int_t
ngx_http_sp_llm_check(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_http_sp_llm_ctx_t       *ctx;
    ngx_http_sp_llm_loc_conf_t  *llcf;

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_llm_module);

    if (llcf->model == NULL) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_sp_ctx(r, &ngx_http_sp_llm_module,
                          sizeof(ngx_http_sp_llm_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    /* an error_page may lead to another location, with another model */

    if (ctx->check.done && ctx->check.conf == llcf) {
        return NGX_OK;
    }

    ctx->request = r;
    ctx->check.conf = llcf;
    ctx->check.dialect = ngx_http_sp_client_dialect(r);
    ctx->check.chat = NULL;
    ctx->check.form = NULL;
    ctx->check.stream = 0;

    if (llcf->kind == NGX_HTTP_SP_MODEL_CHAT) {
        rc = ngx_http_sp_llm_check_chat(r, ctx);

    } else if (llcf->kind == NGX_HTTP_SP_MODEL_EMBEDDING) {
        rc = ngx_http_sp_llm_check_embeddings(r, ctx);

    } else if (llcf->kind == NGX_HTTP_SP_MODEL_TRANSCRIPTION) {
        rc = ngx_http_sp_llm_check_form(r, ctx);

    } else {
        rc = ngx_http_sp_llm_check_media(r, ctx);
    }

    if (rc == NGX_OK) {
        ctx->check.done = 1;
    }

    return rc;
}


static ngx_int_t
ngx_http_sp_llm_check_chat(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_http_sp_chat(r, &ctx->check.chat);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx->check.stream = ctx->check.chat->stream;

    rc = ngx_http_sp_llm_check_model(r, ctx, ctx->check.chat->model,
                                     ctx->check.chat->model_len);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_sp_llm_check_parts(r, ctx);

    return (rc == NGX_OK) ? ngx_http_sp_llm_check_limits(r, ctx) : rc;
}


/* where the model's line says what it can do */

static ngx_int_t
ngx_http_sp_llm_check_parts(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx)
{
    size_t                    i, k;
    ngx_uint_t                capabilities;
    const sp_chat_message_t  *message;
    const sp_chat_request_t  *chat;

    chat = ctx->check.chat;
    capabilities = ctx->check.model->capabilities;

    if (capabilities == 0) {
        return NGX_OK;
    }

    if (chat->ntools != 0 && !(capabilities & NGX_HTTP_SP_CAN_TOOLS)) {
        (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST,
                                 "unsupported_parameter",
                                 "this model calls no tools");

        return ngx_http_sp_error_param(r, "tools");
    }

    for (i = 0; i < chat->nmessages; i++) {
        message = &chat->messages[i];

        for (k = 0; k < message->nparts; k++) {

            if (!ngx_http_sp_llm_takes(capabilities, message->parts[k].kind))
            {
                (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST,
                                         "unsupported_content",
                                         "a message has an image, audio or "
                                         "a file that this model does not "
                                         "take");

                return ngx_http_sp_error_param(r,
                                  sp_dialect_messages(ctx->check.dialect));
            }
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_sp_llm_takes(ngx_uint_t capabilities, sp_chat_part_e kind)
{
    switch (kind) {

    case SP_CHAT_PART_IMAGE:
        return (capabilities & NGX_HTTP_SP_CAN_VISION) != 0;

    case SP_CHAT_PART_AUDIO:
        return (capabilities & NGX_HTTP_SP_CAN_AUDIO) != 0;

    case SP_CHAT_PART_FILE:
        return (capabilities & NGX_HTTP_SP_CAN_FILES) != 0;

    default:
        return 1;
    }
}


static ngx_int_t
ngx_http_sp_llm_check_embeddings(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx)
{
    json_t              *root;
    ngx_int_t            rc;
    sp_chat_error_t      error;
    sp_embed_request_t   request;

    rc = ngx_http_sp_json_body(r, &root);

    if (rc != NGX_OK) {
        return rc;
    }

    if (sp_embed_parse(root, &request, &error) != 0) {
        (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, error.code, "%s",
                                 error.message);

        return ngx_http_sp_error_param(r, error.param);
    }

    return ngx_http_sp_llm_check_model(r, ctx, request.model,
                                       request.model_len);
}


/* looked up, never pasted; a request without a model gets the location's */

ngx_int_t
ngx_http_sp_llm_check_model(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx,
    const char *name, size_t len)
{
    ngx_str_t            alias;
    ngx_http_sp_turn_t  *turn;

    if (name == NULL) {
        ctx->check.model = ctx->check.conf->model;
        return NGX_OK;
    }

    alias.len = len;
    alias.data = (u_char *) name;

    ctx->check.model = ngx_http_sp_find_model(r, &alias,
                                              ctx->check.conf->kind);

    if (ctx->check.model == NULL) {

        turn = ngx_http_sp_turn(r);

        if (turn != NULL) {
            turn->error = NGX_HTTP_SP_CALLER_UNKNOWN_MODEL;
        }

        (void) ngx_http_sp_error(r, NGX_HTTP_NOT_FOUND, "model_not_found",
                                 "the model does not exist, GET /v1/models "
                                 "lists those that do");

        return ngx_http_sp_error_param(r, "model");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_check_limits(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx)
{
    size_t                       n;
    const char                  *messages;
    sp_chat_request_t           *chat;
    const sp_chat_message_t     *message;
    ngx_http_sp_llm_loc_conf_t  *llcf;

    chat = ctx->check.chat;
    llcf = ctx->check.conf;
    messages = sp_dialect_messages(ctx->check.dialect);

    if (chat->has_system && llcf->system == NGX_HTTP_SP_LLM_REFUSE) {
        (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST,
                                 "system_message_refused",
                                 "system and developer messages are not "
                                 "accepted here");

        return ngx_http_sp_error_param(r, messages);
    }

    if (chat->last_user == chat->nmessages) {
        (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST,
                                 "user_message_required",
                                 "\"%s\" must hold a message with the "
                                 "role user", messages);

        return ngx_http_sp_error_param(r, messages);
    }

    message = &chat->messages[chat->last_user];

    n = sp_prompt_length(message->text, message->len);

    if (llcf->message_limit != 0 && n > llcf->message_limit) {
        (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "message_too_long",
                                 "the last user message has %uz characters, "
                                 "allowed are %ui", n,
                                 llcf->message_limit);

        return ngx_http_sp_error_param(r, messages);
    }

    if (n == 0 && !json_is_array(json_object_get(message->value, "content")))
    {
        (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "message_empty",
                                 "the last user message is empty");

        return ngx_http_sp_error_param(r, messages);
    }

    return NGX_OK;
}
