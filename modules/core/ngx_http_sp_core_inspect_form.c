
/*
 * Copyright (C) Sallyport authors
 *
 * The texts of a form, and what its files are called, through the stream
 * filters: as the user's.  A file itself is no text.
 */


#include "ngx_http_sp_core_int.h"


static ngx_int_t ngx_http_sp_inspect_field(ngx_http_request_t *r,
    ngx_http_sp_stream_t *stream, ngx_http_sp_form_t *form,
    ngx_http_sp_form_field_t *field);
static ngx_int_t ngx_http_sp_inspect_piece(ngx_http_request_t *r,
    ngx_http_sp_stream_t *stream, const ngx_str_t *piece, ngx_uint_t fixed,
    ngx_str_t *edited);


ngx_int_t
ngx_http_sp_inspect_form(ngx_http_request_t *r, ngx_uint_t filters)
{
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ngx_array_t               *fields;
    ngx_http_sp_form_t        *form;
    ngx_http_sp_stream_t      *stream;
    ngx_http_sp_form_field_t  *field;

    rc = ngx_http_sp_form(r, &form);

    if (rc != NGX_OK) {
        return rc;
    }

    stream = ngx_http_sp_stream_create(r, filters);
    if (stream == NULL) {
        return NGX_ERROR;
    }

    fields = ngx_http_sp_form_fields(form);
    field = fields->elts;

    for (i = 0; rc == NGX_OK && i < fields->nelts; i++) {
        rc = ngx_http_sp_inspect_field(r, stream, form, &field[i]);
    }

    ngx_http_sp_stream_close(stream);

    return rc;
}


static ngx_int_t
ngx_http_sp_inspect_field(ngx_http_request_t *r,
    ngx_http_sp_stream_t *stream, ngx_http_sp_form_t *form,
    ngx_http_sp_form_field_t *field)
{
    ngx_int_t  rc;
    ngx_str_t  edited;

    rc = ngx_http_sp_inspect_piece(r, stream, &field->name, 1, &edited);

    if (rc != NGX_OK) {
        return rc;
    }

    if (field->filename.data != NULL) {
        return ngx_http_sp_inspect_piece(r, stream, &field->filename, 1,
                                         &edited);
    }

    rc = ngx_http_sp_inspect_piece(r, stream, &field->value, 0, &edited);

    if (rc != NGX_OK || edited.data == field->value.data) {
        return rc;
    }

    return ngx_http_sp_form_edit(r, form, field, &edited);
}


static ngx_int_t
ngx_http_sp_inspect_piece(ngx_http_request_t *r,
    ngx_http_sp_stream_t *stream, const ngx_str_t *piece, ngx_uint_t fixed,
    ngx_str_t *edited)
{
    ngx_http_sp_text_t  text;

    *edited = *piece;

    if (piece->len == 0) {
        return NGX_OK;
    }

    ngx_memzero(&text, sizeof(ngx_http_sp_text_t));

    text.request = r;
    text.direction = NGX_HTTP_SP_INPUT;
    text.role = SP_CHAT_USER;
    text.field = fixed ? NGX_HTTP_SP_OTHER : NGX_HTTP_SP_CONTENT;
    text.fixed = fixed ? 1 : 0;

    if (ngx_http_sp_stream_reopen(stream, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_stream_whole(stream, piece, edited);
}
