
/*
 * Copyright (C) Sallyport authors
 *
 * Images, speech and transcriptions: requests that pass but for their model,
 * and answers that may be audio or text, of which nothing is read.
 */


#include "ngx_http_sp_llm.h"

#include "sp_json.h"


/* as the API has it */
#define NGX_HTTP_SP_LLM_IMAGES  10


static ngx_int_t ngx_http_sp_llm_check_images(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, const json_t *root);
static ngx_int_t ngx_http_sp_llm_check_speech(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, const json_t *root);
static ngx_int_t ngx_http_sp_llm_media_text(ngx_http_request_t *r,
    const json_t *root, const sp_chat_error_t *error, const char **text,
    size_t *len);
static ngx_uint_t ngx_http_sp_llm_media_takes(
    const ngx_http_sp_llm_ctx_t *ctx, const u_char *type, size_t len);


static const sp_chat_error_t  ngx_http_sp_llm_media_object =
    { "request_not_object", NULL,
      "the request must be a JSON object" };

static const sp_chat_error_t  ngx_http_sp_llm_media_model =
    { "model_invalid", "model",
      "\"model\" must be a string of 1 to 256 bytes" };

static const sp_chat_error_t  ngx_http_sp_llm_media_prompt =
    { "prompt_invalid", "prompt",
      "\"prompt\" must be a string that is not empty" };

static const sp_chat_error_t  ngx_http_sp_llm_media_input =
    { "input_invalid", "input",
      "\"input\" must be a string that is not empty" };

static const sp_chat_error_t  ngx_http_sp_llm_media_n =
    { "n_invalid", "n",
      "\"n\" must be an integer from 1 to 10" };

static const sp_chat_error_t  ngx_http_sp_llm_media_stream =
    { "stream_invalid", "stream",
      "\"stream\" must be a boolean" };

static const sp_chat_error_t  ngx_http_sp_llm_media_format =
    { "stream_format_invalid", "stream_format",
      "\"stream_format\" must be \"sse\" or \"audio\"" };


const sp_dialect_t *
ngx_http_sp_llm_api(const sp_dialect_t *dialect,
    const ngx_http_sp_llm_loc_conf_t *conf)
{
    switch (conf->kind) {

    case NGX_HTTP_SP_MODEL_IMAGE:
        return dialect->images;

    case NGX_HTTP_SP_MODEL_SPEECH:
        return dialect->speech;

    case NGX_HTTP_SP_MODEL_TRANSCRIPTION:
        return conf->translations ? dialect->translations
                                  : dialect->transcriptions;

    default:
        return dialect;
    }
}


/* the gateway reads what it needs itself, the rest is the provider's matter */

ngx_int_t
ngx_http_sp_llm_check_media(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx)
{
    size_t       len;
    json_t      *root;
    ngx_int_t    rc;
    const char  *name;

    rc = ngx_http_sp_json_body(r, &root);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!json_is_object(root)) {
        return ngx_http_sp_llm_media_invalid(r,
                                             &ngx_http_sp_llm_media_object);
    }

    name = NULL;
    len = 0;

    if (json_object_get(root, "model") != NULL) {
        name = sp_json_string(root, "model", &len);

        if (name == NULL || len == 0 || len > SP_CHAT_MAX_MODEL) {
            return ngx_http_sp_llm_media_invalid(r,
                                             &ngx_http_sp_llm_media_model);
        }
    }

    ctx->check.dialect = ngx_http_sp_llm_api(&sp_openai,
                                             ctx->check.conf);

    rc = (ctx->check.conf->kind == NGX_HTTP_SP_MODEL_IMAGE)
         ? ngx_http_sp_llm_check_images(r, ctx, root)
         : ngx_http_sp_llm_check_speech(r, ctx, root);

    return (rc == NGX_OK) ? ngx_http_sp_llm_check_model(r, ctx, name, len)
                          : rc;
}


static ngx_int_t
ngx_http_sp_llm_check_images(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, const json_t *root)
{
    size_t         len;
    json_int_t     images;
    ngx_int_t      rc;
    const char    *text;
    const json_t  *n, *stream;

    rc = ngx_http_sp_llm_media_text(r, root, &ngx_http_sp_llm_media_prompt,
                                    &text, &len);

    if (rc != NGX_OK) {
        return rc;
    }

    n = json_object_get(root, "n");
    images = 1;

    if (n != NULL && !json_is_null(n)) {
        images = json_integer_value(n);

        if (images < 1 || images > NGX_HTTP_SP_LLM_IMAGES) {
            return ngx_http_sp_llm_media_invalid(r, &ngx_http_sp_llm_media_n);
        }
    }

    stream = json_object_get(root, "stream");

    if (stream != NULL && !json_is_boolean(stream) && !json_is_null(stream)) {
        return ngx_http_sp_llm_media_invalid(r,
                                             &ngx_http_sp_llm_media_stream);
    }

    ctx->check.stream = json_is_true(stream);
    ctx->check.images = (ngx_int_t) images;
    ctx->check.raw = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_check_speech(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, const json_t *root)
{
    size_t         len;
    ngx_int_t      rc;
    const char    *text;
    const json_t  *format;

    rc = ngx_http_sp_llm_media_text(r, root, &ngx_http_sp_llm_media_input,
                                    &text, &len);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx->check.characters = sp_prompt_length(text, len);

    format = json_object_get(root, "stream_format");
    text = json_string_value(format);

    if (format != NULL && !json_is_null(format)
        && (text == NULL || (ngx_strcmp(text, "sse") != 0
                             && ngx_strcmp(text, "audio") != 0)))
    {
        return ngx_http_sp_llm_media_invalid(r,
                                             &ngx_http_sp_llm_media_format);
    }

    ctx->check.stream = (text != NULL && ngx_strcmp(text, "sse") == 0);
    ctx->check.images = 0;
    ctx->check.raw = !ctx->check.stream;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_media_text(ngx_http_request_t *r, const json_t *root,
    const sp_chat_error_t *error, const char **text, size_t *len)
{
    *text = sp_json_string(root, error->param, len);

    return (*text != NULL && *len != 0)
           ? NGX_OK : ngx_http_sp_llm_media_invalid(r, error);
}


ngx_int_t
ngx_http_sp_llm_media_invalid(ngx_http_request_t *r,
    const sp_chat_error_t *error)
{
    (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, error->code, "%s",
                             error->message);

    return ngx_http_sp_error_param(r, error->param);
}


/* nobody counts the tokens of these but their provider */

ngx_int_t
ngx_http_sp_llm_media_turn(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx)
{
    if (ctx->check.form != NULL) {
        ctx->check.stream = ctx->check.as_stream;
        ctx->check.raw = 0;
    }

    if (ngx_http_sp_llm_turn(r, ctx, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->turn->estimated_prompt_tokens = -1;

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_llm_media_type(ngx_http_sp_llm_ctx_t *ctx, const ngx_str_t *value)
{
    size_t   len;
    u_char  *p;

    for (len = 0; len < value->len; len++) {
        if (value->data[len] == ';' || value->data[len] == ' ') {
            break;
        }
    }

    ctx->attempt.type.len = 0;

    if (!ngx_http_sp_llm_media_takes(ctx, value->data, len)) {
        return NGX_OK;
    }

    p = ngx_pnalloc(ctx->request->pool, value->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(p, value->data, value->len + 1);

    ctx->attempt.type.data = p;
    ctx->attempt.type.len = value->len;

    return NGX_OK;
}


/*
 * Audio, or bytes of which nothing is said; text as a transcript has it:
 * neither a page nor a script.
 */

static ngx_uint_t
ngx_http_sp_llm_media_takes(const ngx_http_sp_llm_ctx_t *ctx,
    const u_char *type, size_t len)
{
    ngx_uint_t  i;

    static const ngx_str_t  texts[] = {
        ngx_string("text/plain"),
        ngx_string("text/vtt"),
        ngx_string("text/srt"),
        ngx_string("application/x-subrip"),
        ngx_null_string
    };

    static const ngx_str_t  sounds[] = {
        ngx_string("application/octet-stream"),
        ngx_null_string
    };

    const ngx_str_t  *types;

    types = (ctx->check.form != NULL) ? texts : sounds;

    if (types == sounds && len > 6
        && ngx_strncasecmp((u_char *) type, (u_char *) "audio/", 6) == 0)
    {
        return 1;
    }

    for (i = 0; types[i].len != 0; i++) {
        if (types[i].len == len
            && ngx_strncasecmp((u_char *) type, types[i].data, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_sp_llm_media_feed(ngx_http_sp_llm_ctx_t *ctx, u_char *p,
    u_char *last)
{
    ngx_http_sp_turn_t  *turn;

    turn = ctx->turn;

    if (turn->first_byte == 0) {
        turn->first_byte = ngx_max(ngx_current_msec - turn->started, 1);
    }

    ctx->response.bytes += last - p;

    return ngx_http_sp_llm_pass(ctx, p, last);
}


/* no audio at all is no answer; the header is out, so the client sees a cut */

ngx_int_t
ngx_http_sp_llm_media_complete(ngx_http_sp_llm_ctx_t *ctx)
{
    return !ngx_http_sp_llm_media_empty(ctx, ctx->response.bytes)
           ? ngx_http_sp_llm_settle(ctx, NGX_HTTP_SP_TURN_COMPLETE,
                                    NGX_HTTP_OK)
           : NGX_DECLINED;
}


/* silence has a transcript, and it may be of no bytes at all */

ngx_uint_t
ngx_http_sp_llm_media_empty(const ngx_http_sp_llm_ctx_t *ctx, size_t len)
{
    return ctx->check.raw && len == 0 && ctx->check.form == NULL;
}


/* what is paid for by the piece */

void
ngx_http_sp_llm_media_units(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_http_sp_turn_t  *turn;

    turn = ctx->turn;

    if (turn->kind == NGX_HTTP_SP_CALL_IMAGE
        && (ctx->response.images != 0
            || turn->finish == NGX_HTTP_SP_TURN_COMPLETE))
    {
        turn->units = ctx->response.images;
    }

    if (turn->kind == NGX_HTTP_SP_CALL_SPEECH
        && turn->finish != NGX_HTTP_SP_TURN_FAILED)
    {
        turn->units = ctx->check.characters;
    }

    if (turn->kind == NGX_HTTP_SP_CALL_TRANSCRIPTION) {
        turn->units = ctx->response.totals.seconds;
    }
}
