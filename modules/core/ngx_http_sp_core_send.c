
/*
 * Copyright (C) Sallyport authors
 *
 * Whole answers from memory, and their headers.
 */


#include "ngx_http_sp_core_int.h"


static void ngx_http_sp_header_known(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static ngx_uint_t ngx_http_sp_header_repeats(const ngx_str_t *name);
static void ngx_http_sp_header_drop(ngx_http_request_t *r,
    const ngx_str_t *name);


/*
 * A header that may occur once replaces the one of an earlier pass, or of an
 * upstream.
 */

ngx_int_t
ngx_http_sp_add_header(ngx_http_request_t *r, const char *name,
    const ngx_str_t *value)
{
    ngx_str_t         key;
    ngx_table_elt_t  *h;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);

    if (!ngx_http_sp_header_repeats(&key)) {
        ngx_http_sp_header_drop(r, &key);
    }

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key = key;
    h->value = *value;
    h->lowcase_key = NULL;
    ngx_http_sp_header_single(h);

    ngx_http_sp_header_known(r, h);

    return NGX_OK;
}


static void
ngx_http_sp_header_known(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    if (h->key.len == sizeof("WWW-Authenticate") - 1
        && ngx_strncasecmp(h->key.data, (u_char *) "WWW-Authenticate",
                           h->key.len)
           == 0)
    {
        r->headers_out.www_authenticate = h;
    }
}


/* those of a subrequest whose refusal is answered by another request */

ngx_int_t
ngx_http_sp_copy_headers(ngx_http_request_t *r, ngx_http_request_t *from)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *elts, *h;

    for (part = &from->headers_out.headers.part;
         part != NULL;
         part = part->next)
    {
        elts = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (elts[i].hash == 0) {
                continue;
            }

            if (!ngx_http_sp_header_repeats(&elts[i].key)) {
                ngx_http_sp_header_drop(r, &elts[i].key);
            }

            h = ngx_list_push(&r->headers_out.headers);
            if (h == NULL) {
                return NGX_ERROR;
            }

            *h = elts[i];
            ngx_http_sp_header_single(h);

            ngx_http_sp_header_known(r, h);
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_sp_header_repeats(const ngx_str_t *name)
{
    ngx_uint_t  i;

    static ngx_str_t  names[] = {
        ngx_string("Set-Cookie"),
        ngx_string("Link"),
        ngx_string("Vary"),
        ngx_null_string
    };

    for (i = 0; names[i].len != 0; i++) {
        if (name->len == names[i].len
            && ngx_strncasecmp(name->data, names[i].data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_sp_header_drop(ngx_http_request_t *r, const ngx_str_t *name)
{
    ngx_list_t       *headers;
    ngx_table_elt_t  *h;

    headers = &r->headers_out.headers;

    for (h = ngx_http_sp_next_header(headers, name, NULL);
         h != NULL;
         h = ngx_http_sp_next_header(headers, name, h))
    {
        h->hash = 0;
    }
}


ngx_table_elt_t *
ngx_http_sp_next_header(ngx_list_t *headers, const ngx_str_t *name,
    ngx_table_elt_t *h)
{
    ngx_uint_t        found, i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *elts;

    found = (h == NULL);

    for (part = &headers->part; part != NULL; part = part->next) {
        elts = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (!found) {
                found = (&elts[i] == h);

            } else if (elts[i].key.len == name->len
                       && ngx_strncasecmp(elts[i].key.data, name->data,
                                          name->len) == 0)
            {
                return &elts[i];
            }
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_sp_retry_after(ngx_http_request_t *r, time_t seconds)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, NGX_TIME_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%T", ngx_max(seconds, 1))
                - value.data;

    return ngx_http_sp_add_header(r, "Retry-After", &value);
}


/*
 * Never returns NGX_AGAIN, which would mean that an op is in flight: what
 * the socket does not take at once is NGINX's to send.
 */

ngx_int_t
ngx_http_sp_send(ngx_http_request_t *r, ngx_uint_t status,
    const char *content_type, const ngx_str_t *body)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    if (r->request_body == NULL) {
        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = body->len;

    if (content_type != NULL) {
        r->headers_out.content_type.data = (u_char *) content_type;
        r->headers_out.content_type.len = ngx_strlen(content_type);
        r->headers_out.content_type_len = r->headers_out.content_type.len;
    }

    if (body->len == 0) {
        r->header_only = 1;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    if (r->header_only) {
        return NGX_OK;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    rc = ngx_http_output_filter(r, &out);

    return (rc == NGX_AGAIN) ? NGX_OK : rc;
}


ngx_int_t
ngx_http_sp_send_json(ngx_http_request_t *r, ngx_uint_t status,
    const ngx_str_t *body)
{
    return ngx_http_sp_send(r, status, "application/json", body);
}
