
/*
 * Copyright (C) Sallyport authors
 *
 * Forms: read as they come, by the body's reader, and written anew out of the
 * body that NGINX has kept.
 */


#include "ngx_http_sp_core_int.h"

#include "sp_multipart.h"
#include "sp_utf8.h"


struct ngx_http_sp_form_s {
    ngx_array_t      fields;
    size_t           size;        /* of the value that is read */
    ngx_int_t        error;       /* status */
    sp_multipart_t   parser;
};


static ngx_int_t ngx_http_sp_form_late(ngx_http_request_t *r,
    ngx_http_sp_form_t *form);
static ngx_int_t ngx_http_sp_form_create(ngx_http_request_t *r,
    ngx_http_sp_form_t **out);
static ngx_int_t ngx_http_sp_form_part(ngx_http_request_t *r,
    ngx_http_sp_form_t *form);
static ngx_int_t ngx_http_sp_form_copy(ngx_http_request_t *r, ngx_str_t *dst,
    const sp_slice_t *src);
static ngx_int_t ngx_http_sp_form_data(ngx_http_request_t *r,
    ngx_http_sp_form_t *form);
static ngx_uint_t ngx_http_sp_form_is_url(const ngx_str_t *value,
    const sp_slice_t *more);
static ngx_int_t ngx_http_sp_form_part_end(ngx_http_request_t *r,
    ngx_http_sp_form_t *form);
static ngx_int_t ngx_http_sp_form_invalid(ngx_http_request_t *r,
    ngx_http_sp_form_t *form);
static ngx_int_t ngx_http_sp_form_text(ngx_http_request_t *r,
    ngx_chain_t ***ll, const void *text, size_t len);
static ngx_int_t ngx_http_sp_form_range(ngx_http_request_t *r,
    ngx_chain_t ***ll, off_t from, off_t to);
static ngx_int_t ngx_http_sp_form_cut(ngx_http_request_t *r,
    ngx_chain_t ***ll, const ngx_buf_t *b, off_t from, off_t to);
static ngx_uint_t ngx_http_sp_form_named(
    const ngx_http_sp_form_field_t *field, const ngx_str_t *name);
static ngx_int_t ngx_http_sp_form_add(ngx_http_request_t *r,
    ngx_http_sp_form_t *form, ngx_chain_t ***ll, const ngx_str_t *name,
    const ngx_str_t *value);


void
ngx_http_sp_conf_form(ngx_conf_t *cf)
{
    ngx_http_sp_core_loc_conf_t  *lcf;

    lcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_sp_core_module);
    lcf->form = 1;
}


ngx_int_t
ngx_http_sp_form(ngx_http_request_t *r, ngx_http_sp_form_t **form)
{
    ngx_int_t                rc;
    ngx_uint_t               late;
    ngx_http_sp_form_t      *own;
    ngx_http_sp_core_ctx_t  *ctx;
    ngx_http_sp_body_ctx_t  *body;

    ctx = ngx_http_sp_core_ctx(r->main);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body = &ctx->body;

    own = body->form;

    if (own == NULL) {
        late = (body->asked || (r != r->main && !ngx_http_sp_decides(r)));

        rc = ngx_http_sp_form_create(r, &own);

        if (rc != NGX_OK) {
            return rc;
        }

        body->form = own;
        body->form_late = late ? 1 : 0;
    }

    rc = body->form_late ? ngx_http_sp_form_late(r, own)
                         : ngx_http_sp_body_wait(r);

    if (rc == NGX_OK) {
        rc = ngx_http_sp_body_limit(r, ctx->body.seen);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    *form = own;

    if (own->error == NGX_OK
        && sp_multipart_end(&own->parser) != SP_MULTIPART_OK)
    {
        own->error = ngx_http_sp_form_invalid(r, own);
    }

    return own->error;
}


/* the body was asked for as it is, before */

static ngx_int_t
ngx_http_sp_form_late(ngx_http_request_t *r, ngx_http_sp_form_t *form)
{
    ngx_int_t    rc;
    ngx_buf_t    b;
    ngx_str_t    text;
    ngx_chain_t  in;

    if (form->parser.offset != 0) {
        return NGX_OK;
    }

    rc = ngx_http_sp_body(r, &text);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memzero(&b, sizeof(ngx_buf_t));

    b.pos = text.data;
    b.last = text.data + text.len;
    b.memory = 1;

    in.buf = &b;
    in.next = NULL;

    (void) ngx_http_sp_form_feed(r, form, &in);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_form_create(ngx_http_request_t *r, ngx_http_sp_form_t **out)
{
    ngx_int_t            rc;
    ngx_table_elt_t     *h;
    ngx_http_sp_form_t  *form;

    rc = ngx_http_sp_body_encoding(r);

    if (rc != NGX_OK) {
        return rc;
    }

    form = ngx_palloc(r->main->pool, sizeof(ngx_http_sp_form_t));

    if (form == NULL
        || ngx_array_init(&form->fields, r->main->pool, 8,
                          sizeof(ngx_http_sp_form_field_t))
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    form->size = 0;
    form->error = NGX_OK;

    *out = form;

    h = r->headers_in.content_type;

    switch (sp_multipart_init(&form->parser,
                              h != NULL ? (char *) h->value.data : "",
                              h != NULL ? h->value.len : 0))
    {
    case SP_MULTIPART_OK:
        return NGX_OK;

    case SP_MULTIPART_TYPE:
        return ngx_http_sp_error(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                 "unsupported_media_type",
                                 "the Content-Type must be "
                                 "\"multipart/form-data\"");

    default: /* SP_MULTIPART_NO_BOUNDARY */
        return ngx_http_sp_form_invalid(r, form);
    }
}


ngx_array_t *
ngx_http_sp_form_fields(ngx_http_sp_form_t *form)
{
    return &form->fields;
}


/* some more of the body; NGX_OK, or a status */

ngx_int_t
ngx_http_sp_form_feed(ngx_http_request_t *r, ngx_http_sp_form_t *form,
    const ngx_chain_t *in)
{
    const char             *pos;
    sp_multipart_status_e   status;

    for ( /* void */ ; in != NULL && form->error == NGX_OK; in = in->next) {

        if (!ngx_buf_in_memory(in->buf)) {
            continue;
        }

        pos = (char *) in->buf->pos;

        do {
            status = sp_multipart_next(&form->parser, &pos,
                                       (char *) in->buf->last);
            switch (status) {

            case SP_MULTIPART_PART:
                form->error = ngx_http_sp_form_part(r, form);
                break;

            case SP_MULTIPART_DATA:
                form->error = ngx_http_sp_form_data(r, form);
                break;

            case SP_MULTIPART_PART_END:
                form->error = ngx_http_sp_form_part_end(r, form);
                break;

            case SP_MULTIPART_ERROR:
                form->error = ngx_http_sp_form_invalid(r, form);
                break;

            default: /* SP_MULTIPART_AGAIN, SP_MULTIPART_END */
                break;
            }

        } while (form->error == NGX_OK && status != SP_MULTIPART_AGAIN
                 && status != SP_MULTIPART_END);
    }

    return form->error;
}


static ngx_int_t
ngx_http_sp_form_part(ngx_http_request_t *r, ngx_http_sp_form_t *form)
{
    sp_multipart_t            *m;
    ngx_http_sp_form_field_t  *field;

    m = &form->parser;

    field = ngx_array_push(&form->fields);
    if (field == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(field, sizeof(ngx_http_sp_form_field_t));

    form->size = 0;
    field->begin = (off_t) m->begin;

    if (sp_utf8_valid(m->name.data, m->name.len) != m->name.len
        || sp_utf8_valid(m->filename.data, m->filename.len)
           != m->filename.len)
    {
        return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "invalid_utf8",
                                 "a name in the form is not UTF-8");
    }

    if (ngx_http_sp_form_copy(r, &field->name, &m->name) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return (m->filename.data == NULL)
           ? NGX_OK : ngx_http_sp_form_copy(r, &field->filename, &m->filename);
}


/* with a NUL behind it: names go into error answers */

static ngx_int_t
ngx_http_sp_form_copy(ngx_http_request_t *r, ngx_str_t *dst,
    const sp_slice_t *src)
{
    dst->data = ngx_pnalloc(r->pool, src->len + 1);
    if (dst->data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(dst->data, src->data, src->len);

    dst->data[src->len] = '\0';
    dst->len = src->len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_form_data(ngx_http_request_t *r, ngx_http_sp_form_t *form)
{
    u_char                    *p;
    size_t                     len;
    sp_slice_t                *data;
    ngx_http_sp_form_field_t  *field;

    data = &form->parser.data;
    field = form->fields.elts;
    field += form->fields.nelts - 1;

    if (field->filename.data != NULL || field->bulky) {
        return NGX_OK;
    }

    len = field->value.len + data->len;

    if (len > NGX_HTTP_SP_FORM_TEXT) {

        if (ngx_http_sp_form_is_url(&field->value, data)) {
            field->value.len = 0;
            field->bulky = 1;

            return NGX_OK;
        }

        (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "field_too_long",
                                 "a text of the form has more than %d bytes",
                                 NGX_HTTP_SP_FORM_TEXT);

        return ngx_http_sp_error_param(r, (char *) field->name.data);
    }

    if (len > form->size) {
        form->size = ngx_min(ngx_max(2 * len, 64), NGX_HTTP_SP_FORM_TEXT);

        p = ngx_pnalloc(r->pool, form->size);
        if (p == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_memcpy(p, field->value.data, field->value.len);
        field->value.data = p;
    }

    ngx_memcpy(field->value.data + field->value.len, data->data, data->len);
    field->value.len = len;

    return NGX_OK;
}


/* "data:...", of a value and more than enough behind it */

static ngx_uint_t
ngx_http_sp_form_is_url(const ngx_str_t *value, const sp_slice_t *more)
{
    size_t  i;
    u_char  c;

    static const u_char  scheme[] = "data:";

    for (i = 0; i < sizeof(scheme) - 1; i++) {
        c = (i < value->len) ? value->data[i]
                             : (u_char) more->data[i - value->len];

        if (c != scheme[i]) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_sp_form_part_end(ngx_http_request_t *r, ngx_http_sp_form_t *form)
{
    ngx_http_sp_form_field_t  *field;

    field = form->fields.elts;
    field += form->fields.nelts - 1;

    field->end = (off_t) form->parser.end;

    if (field->value.len != 0
        && (sp_utf8_valid((char *) field->value.data, field->value.len)
            != field->value.len
            || ngx_strlchr(field->value.data,
                           field->value.data + field->value.len, '\0')
               != NULL))
    {
        (void) ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "invalid_utf8",
                                 "a text of the form is not UTF-8, or has a "
                                 "NUL in it");

        return ngx_http_sp_error_param(r, (char *) field->name.data);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_form_invalid(ngx_http_request_t *r, ngx_http_sp_form_t *form)
{
    return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "form_invalid",
                             "the form cannot be read: %s",
                             sp_multipart_strerror(form->parser.error));
}


/* an edited text that would end its part is refused; or NGX_OK */

ngx_int_t
ngx_http_sp_form_edit(ngx_http_request_t *r, ngx_http_sp_form_t *form,
    ngx_http_sp_form_field_t *field, const ngx_str_t *value)
{
    sp_slice_t  text;

    if (sp_multipart_ends(&form->parser, (char *) value->data, value->len)) {
        return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "form_invalid",
                                 "the boundary of the form is part of a "
                                 "text in it");
    }

    text.data = (char *) value->data;
    text.len = value->len;

    field->edited = 1;

    return ngx_http_sp_form_copy(r, &field->value, &text);
}


ngx_chain_t *
ngx_http_sp_form_body(ngx_http_request_t *r, ngx_http_sp_form_t *form,
    const ngx_str_t *name, const ngx_str_t *value, off_t *length)
{
    off_t                      from;
    ngx_int_t                  rc;
    ngx_uint_t                 i, named;
    const ngx_str_t           *text;
    ngx_chain_t               *cl, **ll, *out;
    ngx_http_sp_form_field_t  *field;

    ll = &out;
    rc = NGX_OK;
    from = (off_t) form->parser.first;
    field = form->fields.elts;

    for (i = 0; i < form->fields.nelts; i++) {
        if (ngx_http_sp_form_named(&field[i], name)) {
            break;
        }
    }

    if (i == form->fields.nelts) {
        rc = ngx_http_sp_form_add(r, form, &ll, name, value);
    }

    for (i = 0; rc == NGX_OK && i < form->fields.nelts; i++) {
        named = ngx_http_sp_form_named(&field[i], name);

        if (!named && !field[i].edited) {
            continue;
        }

        text = named ? value : &field[i].value;

        rc = ngx_http_sp_form_range(r, &ll, from, field[i].begin);

        if (rc == NGX_OK) {
            rc = ngx_http_sp_form_text(r, &ll, text->data, text->len);
        }

        from = field[i].end;
    }

    if (rc != NGX_OK
        || ngx_http_sp_form_range(r, &ll, from, (off_t) form->parser.last)
           != NGX_OK
        || ngx_http_sp_form_text(r, &ll, CRLF, 2) != NGX_OK)
    {
        return NULL;
    }

    *ll = NULL;
    *length = 0;

    for (cl = out; cl != NULL; cl = cl->next) {
        *length += ngx_buf_size(cl->buf);
    }

    return out;
}


static ngx_uint_t
ngx_http_sp_form_named(const ngx_http_sp_form_field_t *field,
    const ngx_str_t *name)
{
    return field->name.len == name->len
           && ngx_memcmp(field->name.data, name->data, name->len) == 0;
}


/* the first one */

static ngx_int_t
ngx_http_sp_form_add(ngx_http_request_t *r, ngx_http_sp_form_t *form,
    ngx_chain_t ***ll, const ngx_str_t *name, const ngx_str_t *value)
{
    u_char      *p, *text;
    sp_slice_t   line;

    static const char  head[] = CRLF "Content-Disposition: form-data; name=\"";
    static const char  tail[] = "\"" CRLF CRLF;

    line = sp_multipart_line(&form->parser);

    text = ngx_pnalloc(r->pool, line.len + sizeof(head) - 1 + name->len
                                + sizeof(tail) - 1 + value->len + 2);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(text, line.data, line.len);
    p = ngx_cpymem(p, head, sizeof(head) - 1);
    p = ngx_cpymem(p, name->data, name->len);
    p = ngx_cpymem(p, tail, sizeof(tail) - 1);
    p = ngx_cpymem(p, value->data, value->len);
    p = ngx_cpymem(p, CRLF, 2);

    return ngx_http_sp_form_text(r, ll, text, p - text);
}


static ngx_int_t
ngx_http_sp_form_text(ngx_http_request_t *r, ngx_chain_t ***ll,
    const void *text, size_t len)
{
    ngx_buf_t  b;

    ngx_memzero(&b, sizeof(ngx_buf_t));

    b.pos = (u_char *) text;
    b.last = b.pos + len;
    b.memory = 1;

    return ngx_http_sp_form_cut(r, ll, &b, 0, (off_t) len);
}


/* bytes [from, to) of the body */

static ngx_int_t
ngx_http_sp_form_range(ngx_http_request_t *r, ngx_chain_t ***ll, off_t from,
    off_t to)
{
    off_t                 size;
    const ngx_chain_t    *cl;

    if (r->main->request_body == NULL) {
        return NGX_ERROR;
    }

    for (cl = r->main->request_body->bufs;
         cl != NULL && from < to;
         cl = cl->next)
    {
        size = ngx_buf_size(cl->buf);

        if (from < size) {

            if (ngx_http_sp_form_cut(r, ll, cl->buf, from,
                                     ngx_min(to, size))
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            from = ngx_min(to, size);
        }

        from -= size;
        to -= size;
    }

    return (from >= to) ? NGX_OK : NGX_ERROR;
}


/* bytes [from, to) of a buf */

static ngx_int_t
ngx_http_sp_form_cut(ngx_http_request_t *r, ngx_chain_t ***ll,
    const ngx_buf_t *b, off_t from, off_t to)
{
    ngx_buf_t    *part;
    ngx_chain_t  *cl;

    if (from == to) {
        return NGX_OK;
    }

    part = ngx_calloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);

    if (part == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    if (ngx_buf_in_memory(b)) {
        part->pos = b->pos + from;
        part->last = b->pos + to;
        part->start = part->pos;
        part->end = part->last;
        part->memory = 1;

    } else {
        part->file = b->file;
        part->file_pos = b->file_pos + from;
        part->file_last = b->file_pos + to;
        part->in_file = 1;
    }

    cl->buf = part;

    **ll = cl;
    *ll = &cl->next;

    return NGX_OK;
}
