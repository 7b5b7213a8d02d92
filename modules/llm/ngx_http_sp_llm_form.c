
/*
 * Copyright (C) Sallyport authors
 *
 * Transcriptions and translations of audio: a form with a file in it.  What
 * the gateway reads itself is checked, the rest is the provider's matter.
 */


#include "ngx_http_sp_llm.h"


static ngx_int_t ngx_http_sp_llm_form_fields(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, const ngx_str_t **model);
static ngx_int_t ngx_http_sp_llm_form_once(ngx_http_request_t *r,
    const ngx_http_sp_form_field_t *fields,
    const ngx_http_sp_form_field_t *field);
static ngx_int_t ngx_http_sp_llm_form_file(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, const ngx_http_sp_form_field_t *field);
static ngx_int_t ngx_http_sp_llm_form_stream(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, const ngx_str_t *value);
static ngx_uint_t ngx_http_sp_llm_form_is(const ngx_str_t *text,
    const char *word);


static const sp_chat_error_t  ngx_http_sp_llm_form_model =
    { "model_invalid", "model",
      "\"model\" must be a text of 1 to 256 bytes, once" };

static const sp_chat_error_t  ngx_http_sp_llm_form_no_file =
    { "file_required", "file",
      "\"file\" must be a file with a name" };

static const sp_chat_error_t  ngx_http_sp_llm_form_empty =
    { "file_empty", "file",
      "\"file\" has no bytes" };

static const sp_chat_error_t  ngx_http_sp_llm_form_type_error =
    { "file_type_invalid", "file",
      "the name of \"file\" does not end in a type that is taken here" };

static const sp_chat_error_t  ngx_http_sp_llm_form_stream_error =
    { "stream_invalid", "stream",
      "\"stream\" must be \"true\" or \"false\"" };


/* types=LIST: ends of names, without their dot */

char *
ngx_http_sp_llm_types_conf(ngx_conf_t *cf, ngx_http_sp_llm_loc_conf_t *llcf,
    const ngx_str_t *list)
{
    u_char     *p, *last;
    ngx_str_t  *type;

    llcf->types = ngx_array_create(cf->pool, 8, sizeof(ngx_str_t));
    if (llcf->types == NULL) {
        return NGX_CONF_ERROR;
    }

    last = list->data + list->len;

    for (p = list->data; p <= last; p++) {

        type = ngx_array_push(llcf->types);
        if (type == NULL) {
            return NGX_CONF_ERROR;
        }

        type->data = p;

        while (p < last && ((*p >= 'a' && *p <= 'z')
                            || (*p >= '0' && *p <= '9')))
        {
            p++;
        }

        type->len = p - type->data;

        if (type->len == 0 || (p != last && *p != ',')) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid list \"%V\" in \"types=\", expected "
                               "ends of names, in small letters, with commas "
                               "between them: mp3,wav", list);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_sp_llm_check_form(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_int_t         rc;
    const ngx_str_t  *model;

    rc = ngx_http_sp_form(r, &ctx->check.form);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx->check.dialect = ngx_http_sp_llm_api(&sp_openai, ctx->check.conf);
    ctx->check.images = 0;
    ctx->check.as_stream = 0;
    ctx->check.as_text = 0;
    ctx->check.raw = 0;

    rc = ngx_http_sp_llm_form_fields(r, ctx, &model);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx->check.stream = ctx->check.as_stream;

    return ngx_http_sp_llm_check_model(r, ctx,
                                       model != NULL ? (char *) model->data
                                                     : NULL,
                                       model != NULL ? model->len : 0);
}


static ngx_int_t
ngx_http_sp_llm_form_fields(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, const ngx_str_t **model)
{
    ngx_int_t                  rc;
    ngx_uint_t                 file, i;
    ngx_array_t               *all;
    const ngx_str_t           *name;
    ngx_http_sp_form_field_t  *field;

    all = ngx_http_sp_form_fields(ctx->check.form);
    field = all->elts;
    file = 0;
    rc = NGX_OK;

    *model = NULL;

    for (i = 0; rc == NGX_OK && i < all->nelts; i++) {
        name = &field[i].name;

        if (ngx_http_sp_llm_form_is(name, "file")) {
            rc = ngx_http_sp_llm_form_file(r, ctx, &field[i]);
            file = 1;

        } else if (ngx_http_sp_llm_form_is(name, "model")) {
            *model = &field[i].value;

            if (field[i].value.len == 0
                || field[i].value.len > SP_CHAT_MAX_MODEL)
            {
                rc = ngx_http_sp_llm_media_invalid(r,
                                                &ngx_http_sp_llm_form_model);
            }

        } else if (ngx_http_sp_llm_form_is(name, "stream")) {
            rc = ngx_http_sp_llm_form_stream(r, ctx, &field[i].value);

        } else if (ngx_http_sp_llm_form_is(name, "response_format")) {
            ctx->check.as_text =
                      ngx_http_sp_llm_form_is(&field[i].value, "text")
                      || ngx_http_sp_llm_form_is(&field[i].value, "srt")
                      || ngx_http_sp_llm_form_is(&field[i].value, "vtt");
        } else {
            continue;
        }

        /* what is there twice is read in two ways */

        if (rc == NGX_OK) {
            rc = ngx_http_sp_llm_form_once(r, field, &field[i]);
        }
    }

    if (rc == NGX_OK && !file) {
        rc = ngx_http_sp_llm_media_invalid(r, &ngx_http_sp_llm_form_no_file);
    }

    return rc;
}


static ngx_int_t
ngx_http_sp_llm_form_once(ngx_http_request_t *r,
    const ngx_http_sp_form_field_t *fields,
    const ngx_http_sp_form_field_t *field)
{
    const ngx_http_sp_form_field_t  *other;

    for (other = fields; other < field; other++) {

        if (other->name.len == field->name.len
            && ngx_memcmp(other->name.data, field->name.data,
                          field->name.len)
               == 0)
        {
            (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST,
                                     "duplicate_field",
                                     "\"%V\" is there twice in the form",
                                     &field->name);

            return ngx_http_sp_error_param(r, (char *) field->name.data);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_form_file(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx,
    const ngx_http_sp_form_field_t *field)
{
    u_char           *end;
    ngx_uint_t        i;
    const ngx_str_t  *name, *type;

    name = &field->filename;

    if (name->len == 0) {
        return ngx_http_sp_llm_media_invalid(r,
                                             &ngx_http_sp_llm_form_no_file);
    }

    if (field->begin == field->end) {
        return ngx_http_sp_llm_media_invalid(r, &ngx_http_sp_llm_form_empty);
    }

    if (ctx->check.conf->types == NULL) {
        return NGX_OK;
    }

    type = ctx->check.conf->types->elts;

    for (i = 0; i < ctx->check.conf->types->nelts; i++) {

        if (name->len > type[i].len) {
            end = name->data + name->len - type[i].len;

            if (end[-1] == '.'
                && ngx_strncasecmp(end, type[i].data, type[i].len) == 0)
            {
                return NGX_OK;
            }
        }
    }

    return ngx_http_sp_llm_media_invalid(r, &ngx_http_sp_llm_form_type_error);
}


static ngx_int_t
ngx_http_sp_llm_form_stream(ngx_http_request_t *r, ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *value)
{
    ctx->check.as_stream = ngx_http_sp_llm_form_is(value, "true");

    return (ctx->check.as_stream || ngx_http_sp_llm_form_is(value, "false"))
           ? NGX_OK
           : ngx_http_sp_llm_media_invalid(r,
                                         &ngx_http_sp_llm_form_stream_error);
}


static ngx_uint_t
ngx_http_sp_llm_form_is(const ngx_str_t *text, const char *word)
{
    return text->len == ngx_strlen(word)
           && ngx_strncmp(text->data, word, text->len) == 0;
}


/*
 * Some models know no streams and answer at once; some know no subtitles and
 * answer in JSON.  JSON is for who reads it by its type.
 */

void
ngx_http_sp_llm_form_type(ngx_http_sp_llm_ctx_t *ctx)
{
    if (ctx->attempt.event_stream) {
        ctx->check.stream = ctx->check.as_stream;
        ctx->check.raw = 0;

    } else {
        ctx->check.raw = (ctx->check.as_text && ctx->attempt.type.len != 0);

        if (ctx->attempt.json_type || ctx->check.raw) {
            ctx->check.stream = 0;
        }
    }

    ctx->turn->stream = ctx->check.stream;
}
