
/*
 * Copyright (C) Sallyport authors
 *
 * POST /v1/messages/count_tokens of Anthropic's API: how many tokens a request
 * has, by the vocabulary of its model, or estimated.  No provider is asked.
 */


#include "ngx_http_sp_llm.h"

#include "sp_anthropic.h"


static ngx_int_t ngx_http_sp_llm_count_chat(ngx_http_request_t *r,
    sp_chat_request_t **chat);
static ngx_int_t ngx_http_sp_llm_count_model(ngx_http_request_t *r,
    const sp_chat_request_t *chat, ngx_http_sp_model_t **model);
static size_t ngx_http_sp_llm_count_tokens(const sp_chat_request_t *chat,
    const ngx_http_sp_target_t *target);


/* llm_count_tokens ALIAS */

char *
ngx_http_sp_llm_count_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_llm_loc_conf_t *llcf = conf;

    ngx_str_t  *value;

    if (llcf->counted != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    llcf->counted = ngx_http_sp_model(cf, &value[1], NGX_HTTP_SP_MODEL_CHAT,
                                      0);
    if (llcf->counted == NULL) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_sp_set_content(cf, ngx_http_sp_llm_count_handler,
                                   NGX_HTTP_POST);
}


ngx_int_t
ngx_http_sp_llm_count_handler(ngx_http_request_t *r)
{
    u_char               *p;
    ngx_int_t             rc;
    ngx_str_t             text;
    sp_chat_request_t    *chat;
    ngx_http_sp_model_t  *model;

    rc = ngx_http_sp_llm_count_chat(r, &chat);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_sp_llm_count_model(r, chat, &model);

    if (rc != NGX_OK) {
        sp_chat_free(chat);
        return rc;
    }

    p = ngx_pnalloc(r->pool, sizeof("{\"input_tokens\":}\n") - 1
                             + NGX_SIZE_T_LEN);
    if (p == NULL) {
        sp_chat_free(chat);
        return NGX_ERROR;
    }

    text.data = p;
    text.len = ngx_sprintf(p, "{\"input_tokens\":%uz}\n",
                           ngx_http_sp_llm_count_tokens(chat,
                                                     model->targets.elts))
               - p;

    sp_chat_free(chat);

    return ngx_http_sp_send_json(r, NGX_HTTP_OK, &text);
}


/* as that of a message, but that no answer is asked for */

static ngx_int_t
ngx_http_sp_llm_count_chat(ngx_http_request_t *r, sp_chat_request_t **chat)
{
    json_t           *copy, *root;
    ngx_int_t         rc;
    sp_chat_error_t   error;

    rc = ngx_http_sp_json_body(r, &root);

    if (rc != NGX_OK) {
        return rc;
    }

    if (json_is_object(root) && json_object_get(root, "max_tokens") == NULL) {
        copy = json_copy(root);

        if (json_object_set_new(copy, "max_tokens", json_integer(1)) != 0) {
            json_decref(copy);
            return NGX_ERROR;
        }

    } else {
        copy = json_incref(root);
    }

    *chat = sp_anthropic.parse_request(copy, &error);

    if (*chat != NULL) {
        return NGX_OK;
    }

    if (error.code == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, error.code, "%s",
                             error.message);

    return ngx_http_sp_error_param(r, error.param);
}


static ngx_int_t
ngx_http_sp_llm_count_model(ngx_http_request_t *r,
    const sp_chat_request_t *chat, ngx_http_sp_model_t **model)
{
    ngx_str_t                    alias;
    ngx_http_sp_llm_loc_conf_t  *llcf;

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_llm_module);

    *model = llcf->counted;

    if (chat->model == NULL) {
        return NGX_OK;
    }

    alias.data = (u_char *) chat->model;
    alias.len = chat->model_len;

    *model = ngx_http_sp_find_model(r, &alias, NGX_HTTP_SP_MODEL_CHAT);

    if (*model != NULL) {
        return NGX_OK;
    }

    (void) ngx_http_sp_error(r, NGX_HTTP_NOT_FOUND, "model_not_found",
                             "the model does not exist, GET /v1/models lists "
                             "those that do");

    return ngx_http_sp_error_param(r, "model");
}


static size_t
ngx_http_sp_llm_count_tokens(const sp_chat_request_t *chat,
    const ngx_http_sp_target_t *target)
{
    size_t       i, n;
    sp_tokens_t  tokens;

    ngx_http_sp_tokens(target, &tokens);

    n = SP_TOKENS_REPLY + sp_tokens_tools(&tokens, chat);

    for (i = 0; i < chat->nmessages; i++) {
        n += sp_tokens_message(&tokens, &chat->messages[i]);
    }

    return n;
}
