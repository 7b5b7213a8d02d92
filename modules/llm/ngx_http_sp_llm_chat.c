
/*
 * Copyright (C) Sallyport authors
 *
 * "llm_chat": a message for a chat that the gateway keeps.  The body has the
 * message, and becomes that of a chat completion; its history comes later, see
 * ngx_http_sp_llm_history.c.
 */


#include "ngx_http_sp_llm.h"


static ngx_int_t ngx_http_sp_llm_chat_argument(ngx_conf_t *cf,
    ngx_http_sp_llm_loc_conf_t *llcf, ngx_str_t *value);
static ngx_int_t ngx_http_sp_llm_chat_shape(ngx_http_request_t *r,
    const json_t *body, json_t **made);
static ngx_int_t ngx_http_sp_llm_chat_members(ngx_http_request_t *r,
    const json_t *body);
static ngx_int_t ngx_http_sp_llm_chat_member(ngx_http_request_t *r,
    const char *name);
static ngx_int_t ngx_http_sp_llm_chat_content(ngx_http_request_t *r,
    const json_t *body, ngx_uint_t again);
static json_t *ngx_http_sp_llm_chat_make(const json_t *body,
    ngx_uint_t again);
static ngx_int_t ngx_http_sp_llm_chat_put(json_t *made, const char *name,
    const json_t *value);


/* llm_chat ALIAS chat=VALUE [history=NUMBER] [timeout=TIME] */

char *
ngx_http_sp_llm_chat_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_llm_loc_conf_t *llcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    if (llcf->model != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    llcf->kind = NGX_HTTP_SP_MODEL_CHAT;
    llcf->model = ngx_http_sp_model(cf, &value[1], llcf->kind, 0);

    if (llcf->model == NULL) {
        return NGX_CONF_ERROR;
    }

    llcf->history = 100;
    llcf->history_timeout = 1000;

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_sp_llm_chat_argument(cf, llcf, &value[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (llcf->chat_id == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"llm_chat\" needs chat=VALUE, the id of a chat");
        return NGX_CONF_ERROR;
    }

    ngx_http_sp_conf_dialect(cf, &sp_openai);
    ngx_http_sp_conf_shape(cf, ngx_http_sp_llm_chat_shape);

    return ngx_http_sp_set_content(cf, ngx_http_sp_llm_handler, NGX_HTTP_POST);
}


static ngx_int_t
ngx_http_sp_llm_chat_argument(ngx_conf_t *cf,
    ngx_http_sp_llm_loc_conf_t *llcf, ngx_str_t *value)
{
    ngx_str_t  text;

    if (ngx_sp_conf_arg(value, "chat=", &text)) {
        llcf->chat_id = ngx_http_sp_complex_value(cf, &text);

        return (llcf->chat_id != NULL) ? NGX_OK : NGX_ERROR;
    }

    if (ngx_sp_conf_arg(value, "history=", &text)) {
        return ngx_sp_conf_number(cf, "llm_chat", "history=", &text, 2, 1000,
                                  &llcf->history);
    }

    if (ngx_sp_conf_arg(value, "timeout=", &text)) {
        return ngx_sp_conf_msec(cf, "llm_chat", "timeout=", &text,
                                &llcf->history_timeout);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"llm_chat\", expected "
                       "chat=VALUE, history=NUMBER or timeout=TIME", value);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_sp_llm_chat_shape(ngx_http_request_t *r, const json_t *body,
    json_t **made)
{
    ngx_int_t               rc;
    const json_t           *again;
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = ngx_http_sp_ctx(r, &ngx_http_sp_llm_module,
                          sizeof(ngx_http_sp_llm_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_sp_llm_chat_members(r, body);

    if (rc != NGX_OK) {
        return rc;
    }

    again = json_object_get(body, "regenerate");

    if (again != NULL && !json_is_boolean(again)) {
        (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "regenerate_invalid",
                                 "\"regenerate\" must be true or false");

        return ngx_http_sp_error_param(r, "regenerate");
    }

    ctx->history.again = json_is_true(again);

    rc = ngx_http_sp_llm_chat_content(r, body, ctx->history.again);

    if (rc != NGX_OK) {
        return rc;
    }

    *made = ngx_http_sp_llm_chat_make(body, ctx->history.again);

    return (*made != NULL) ? NGX_OK : NGX_ERROR;
}


/* what is not known here is not dropped in silence */

static ngx_int_t
ngx_http_sp_llm_chat_members(ngx_http_request_t *r, const json_t *body)
{
    const char    *name;
    ngx_uint_t     i;
    const json_t  *value;

    static const char  *known[] = {
        "content", "parent_id", "regenerate", "stream", "model", "memory",
        "max_tokens", NULL
    };

    if (!json_is_object(body)) {
        return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "request_not_object",
                                 "the request must be a JSON object");
    }

    json_object_foreach ((json_t *) body, name, value) {

        for (i = 0; known[i] != NULL; i++) {
            if (ngx_strcmp(name, known[i]) == 0) {
                break;
            }
        }

        if (known[i] == NULL) {
            return ngx_http_sp_llm_chat_member(r, name);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_chat_member(ngx_http_request_t *r, const char *name)
{
    u_char  *p;
    size_t   len;

    /* the body that has the name goes with the error */

    len = ngx_min(ngx_strlen(name), 64);

    p = ngx_pnalloc(r->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(p, (u_char *) name, len + 1);

    (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "member_unknown",
                             "known here are content, parent_id, regenerate, "
                             "stream, model, memory and max_tokens");

    return ngx_http_sp_error_param(r, (char *) p);
}


static ngx_int_t
ngx_http_sp_llm_chat_content(ngx_http_request_t *r, const json_t *body,
    ngx_uint_t again)
{
    const json_t  *content;

    content = json_object_get(body, "content");

    if (!again && content == NULL) {
        (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "content_required",
                                 "\"content\" must be there: a text, or an "
                                 "array of parts");

    } else if (again && content != NULL) {
        (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "content_unexpected",
                                 "\"regenerate\" answers a message that is "
                                 "there: leave \"content\" out");

    } else {
        return NGX_OK;
    }

    return ngx_http_sp_error_param(r, "content");
}


/*
 * OpenAI's form; values are checked as those of any chat.  In the place of a
 * message that is answered again stands an empty one until it is loaded.
 */

static json_t *
ngx_http_sp_llm_chat_make(const json_t *body, ngx_uint_t again)
{
    json_t  *content, *made, *metadata;

    content = again ? json_pack("[{s:s,s:s}]", "type", "text", "text", "")
                    : json_incref(json_object_get(body, "content"));

    metadata = json_object();

    made = json_pack("{s:[{s:s,s:o}],s:o}", "messages", "role", "user",
                     "content", content, "metadata", metadata);

    if (made == NULL
        || ngx_http_sp_llm_chat_put(made, "stream",
                                    json_object_get(body, "stream"))
        || ngx_http_sp_llm_chat_put(made, "model",
                                    json_object_get(body, "model"))
        || ngx_http_sp_llm_chat_put(made, "max_tokens",
                                    json_object_get(body, "max_tokens"))
        || ngx_http_sp_llm_chat_put(metadata, "parent_id",
                                    json_object_get(body, "parent_id"))
        || ngx_http_sp_llm_chat_put(metadata, "memory",
                                    json_object_get(body, "memory")))
    {
        json_decref(made);
        return NULL;
    }

    if (json_is_true(json_object_get(body, "stream"))
        && json_object_set_new(made, "stream_options",
                               json_pack("{s:b}", "include_usage", 1)) != 0)
    {
        json_decref(made);
        return NULL;
    }

    return made;
}


/* what is null is not there */

static ngx_int_t
ngx_http_sp_llm_chat_put(json_t *made, const char *name, const json_t *value)
{
    if (value == NULL || json_is_null(value)) {
        return NGX_OK;
    }

    return json_object_set(made, name, (json_t *) value) == 0 ? NGX_OK
                                                              : NGX_ERROR;
}
