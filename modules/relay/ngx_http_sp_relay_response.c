
/*
 * Copyright (C) Sallyport authors
 *
 * The response of an endpoint: status line, header, framing of the body
 * (RFC 9112).
 */


#include "ngx_http_sp_relay.h"


/* so many bytes of one response, and others get their turn */
#define NGX_HTTP_SP_RELAY_TURN  131072


typedef struct {
    ngx_str_t      name;       /* lower case */
    ngx_int_t    (*handler)(ngx_http_sp_relay_t *relay, ngx_str_t *value);
} ngx_http_sp_relay_header_t;


static ngx_int_t ngx_http_sp_relay_header(ngx_http_request_t *r);
static ngx_int_t ngx_http_sp_relay_header_line(ngx_http_sp_relay_t *relay);
static ngx_int_t ngx_http_sp_relay_head(ngx_http_request_t *r);
static ngx_int_t ngx_http_sp_relay_content_length(ngx_http_sp_relay_t *relay,
    ngx_str_t *value);
static ngx_int_t ngx_http_sp_relay_transfer_encoding(
    ngx_http_sp_relay_t *relay, ngx_str_t *value);
static ngx_int_t ngx_http_sp_relay_connection(ngx_http_sp_relay_t *relay,
    ngx_str_t *value);
static void ngx_http_sp_relay_yield(ngx_http_sp_relay_t *relay,
    size_t bytes);
static ngx_int_t ngx_http_sp_relay_chunked(ngx_http_sp_relay_t *relay,
    ngx_buf_t *buf);
static ngx_int_t ngx_http_sp_relay_invalid(ngx_http_sp_relay_t *relay,
    const char *what);


/* those that frame the body; the others are the owner's matter */

static ngx_http_sp_relay_header_t  ngx_http_sp_relay_headers[] = {
    { ngx_string("content-length"), ngx_http_sp_relay_content_length },
    { ngx_string("transfer-encoding"), ngx_http_sp_relay_transfer_encoding },
    { ngx_string("connection"), ngx_http_sp_relay_connection },
    { ngx_null_string, NULL }
};


void
ngx_http_sp_relay_respond(ngx_http_sp_relay_t *relay)
{
    ngx_memzero(&relay->status, sizeof(ngx_http_status_t));
    ngx_memzero(&relay->chunked, sizeof(ngx_http_chunked_t));

    relay->length = -1;
    relay->declined = 0;
    relay->invalid = 0;

    relay->r->upstream->process_header = ngx_http_sp_relay_status_line;
    relay->r->state = 0;

    relay->to->begin(relay);
}


ngx_int_t
ngx_http_sp_relay_status_line(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_http_upstream_t  *u;
    ngx_http_sp_relay_t  *relay;

    u = r->upstream;
    relay = u->input_filter_ctx;

    rc = ngx_http_parse_status_line(r, &u->buffer, &relay->status);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc == NGX_ERROR) {
        return ngx_http_sp_relay_invalid(relay, "no valid HTTP/1.x header");
    }

    if (u->state != NULL && u->state->status == 0) {
        u->state->status = relay->status.code;
    }

    u->headers_in.status_n = relay->status.code;

    if (relay->status.http_version < NGX_HTTP_VERSION_11) {
        u->headers_in.connection_close = 1;
    }

    u->process_header = ngx_http_sp_relay_header;

    return ngx_http_sp_relay_header(r);
}


static ngx_int_t
ngx_http_sp_relay_header(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_http_upstream_t  *u;
    ngx_http_sp_relay_t  *relay;

    u = r->upstream;
    relay = u->input_filter_ctx;

    for ( ;; ) {

        rc = ngx_http_parse_header_line(r, &u->buffer, 1);

        if (rc == NGX_OK) {

            rc = ngx_http_sp_relay_header_line(relay);

            if (rc != NGX_OK) {
                return rc;
            }

            continue;
        }

        if (rc == NGX_HTTP_PARSE_HEADER_DONE) {

            /* an interim response: the final one follows */

            if (relay->status.code / 100 == 1) {
                ngx_http_sp_relay_respond(relay);
                u->state->status = 0;
                return ngx_http_sp_relay_status_line(r);
            }

            if (u->headers_in.chunked) {
                relay->length = -1;
            }

            u->process_header = ngx_http_sp_relay_head;

            return ngx_http_sp_relay_head(r);
        }

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        /* rc == NGX_HTTP_PARSE_INVALID_HEADER */

        return ngx_http_sp_relay_invalid(relay, "an invalid header");
    }
}


static ngx_int_t
ngx_http_sp_relay_head(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_http_sp_relay_t  *relay;

    relay = r->upstream->input_filter_ctx;

    rc = relay->to->head(relay);

    if (rc == NGX_OK) {
        r->upstream->conf = &relay->endpoint->flow;
    }

    relay->declined = (rc == NGX_DECLINED);

    /* which is what makes NGINX try the next peer */

    return (rc == NGX_DECLINED) ? NGX_HTTP_UPSTREAM_INVALID_HEADER : rc;
}


ngx_uint_t
ngx_http_sp_relay_peek(ngx_http_sp_relay_t *relay, ngx_str_t *piece)
{
    off_t                 rest;
    ngx_int_t             rc;
    ngx_buf_t             buf;
    ngx_http_chunked_t    chunked;
    ngx_http_upstream_t  *u;

    u = relay->r->upstream;
    buf = u->buffer;
    rest = relay->length;

    if (u->headers_in.chunked) {

        /* of the first chunk; the real parser has not begun */

        ngx_memzero(&chunked, sizeof(ngx_http_chunked_t));

        rc = ngx_http_parse_chunked(relay->r, &buf, &chunked);

        if (rc != NGX_OK) {
            ngx_str_null(piece);
            return rc == NGX_AGAIN && buf.last < buf.end;
        }

        rest = chunked.size;
    }

    piece->data = buf.pos;
    piece->len = buf.last - buf.pos;

    if (rest != -1 && (off_t) piece->len >= rest) {
        piece->len = (size_t) rest;
        return 0;
    }

    return buf.last < buf.end;
}


static ngx_int_t
ngx_http_sp_relay_header_line(ngx_http_sp_relay_t *relay)
{
    ngx_str_t                    name, value;
    ngx_http_request_t          *r;
    ngx_http_sp_relay_header_t  *header;

    r = relay->r;

    name.len = r->header_name_end - r->header_name_start;
    name.data = r->header_name_start;

    value.len = r->header_end - r->header_start;
    value.data = r->header_start;

    for (header = ngx_http_sp_relay_headers;
         header->name.len != 0;
         header++)
    {
        if (header->name.len == name.len
            && ngx_strncasecmp(header->name.data, name.data, name.len) == 0)
        {
            return header->handler(relay, &value);
        }
    }

    return relay->to->header(relay, &name, &value);
}


static ngx_int_t
ngx_http_sp_relay_content_length(ngx_http_sp_relay_t *relay, ngx_str_t *value)
{
    off_t  length;

    length = ngx_atoof(value->data, value->len);

    if (length == NGX_ERROR
        || (relay->length != -1 && relay->length != length))
    {
        return ngx_http_sp_relay_invalid(relay, "an invalid content length");
    }

    relay->length = length;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_relay_transfer_encoding(ngx_http_sp_relay_t *relay,
    ngx_str_t *value)
{
    if (value->len == 7
        && ngx_strncasecmp(value->data, (u_char *) "chunked", 7) == 0)
    {
        relay->r->upstream->headers_in.chunked = 1;
        return NGX_OK;
    }

    return ngx_http_sp_relay_invalid(relay, "an unknown transfer encoding");
}


static ngx_int_t
ngx_http_sp_relay_connection(ngx_http_sp_relay_t *relay, ngx_str_t *value)
{
    if (ngx_strlcasestrn(value->data, value->data + value->len,
                         (u_char *) "close", 5 - 1)
        != NULL)
    {
        relay->r->upstream->headers_in.connection_close = 1;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_relay_filter_init(void *data)
{
    ngx_http_sp_relay_t *relay = data;

    ngx_http_upstream_t  *u;

    u = relay->r->upstream;

    if (u->headers_in.chunked) {
        u->length = 1;

    } else {
        u->length = relay->length;
    }

    if (u->length == 0) {
        u->keepalive = !u->headers_in.connection_close;
        return relay->to->end(relay, 0);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_relay_filter(void *data, ssize_t bytes)
{
    ngx_http_sp_relay_t *relay = data;

    u_char               *last, *p;
    ngx_int_t             rc;
    ngx_buf_t            *b;
    ngx_http_upstream_t  *u;

    u = relay->r->upstream;
    b = &u->buffer;

    relay->fresh = 1;

    p = b->last;
    b->last += bytes;
    last = b->last;

    if (relay->stopped || u->length == 0) {

        /* whatever follows the end is not looked at */

        u->keepalive = 0;
        return NGX_OK;
    }

    if (u->headers_in.chunked) {
        b->pos = p;
        rc = ngx_http_sp_relay_chunked(relay, b);

    } else {

        if (u->length != -1) {

            if (last - p > u->length) {
                last = p + u->length;
            }

            u->length -= last - p;
        }

        rc = relay->to->data(relay, p, last);

        if (u->length == 0 && !relay->stopped) {
            u->keepalive = (last == b->last
                            && !u->headers_in.connection_close);
        }
    }

    if (rc != NGX_OK || u->length != 0 || relay->stopped) {
        ngx_http_sp_relay_yield(relay, bytes);
        return rc;
    }

    return relay->to->end(relay, 0);
}


/*
 * NGINX reads and writes by turns as long as there is something to read and
 * the client takes it.  With a fast endpoint and a fast client that may be all
 * of a long response, while every other client of the worker waits.
 */

static void
ngx_http_sp_relay_yield(ngx_http_sp_relay_t *relay, size_t bytes)
{
    ngx_event_t  *rev;

    relay->turn += bytes;

    if (relay->turn < NGX_HTTP_SP_RELAY_TURN) {
        return;
    }

    relay->turn = 0;

    rev = relay->r->upstream->peer.connection->read;

    if (!rev->ready || rev->eof || rev->error) {
        return;
    }

    /* that of the turn before, where epoll told of more first */

    if (rev->posted) {
        ngx_delete_posted_event(rev);
    }

    rev->ready = 0;
    ngx_post_event(rev, &ngx_posted_next_events);
}


static ngx_int_t
ngx_http_sp_relay_chunked(ngx_http_sp_relay_t *relay, ngx_buf_t *buf)
{
    u_char               *p;
    ngx_int_t             rc;
    ngx_http_upstream_t  *u;

    u = relay->r->upstream;

    for ( ;; ) {

        rc = ngx_http_parse_chunked(relay->r, buf, &relay->chunked);

        if (rc == NGX_OK) {

            p = buf->pos;

            if (buf->last - buf->pos >= relay->chunked.size) {
                buf->pos += (size_t) relay->chunked.size;
                relay->chunked.size = 0;

            } else {
                relay->chunked.size -= buf->last - buf->pos;
                buf->pos = buf->last;
            }

            if (relay->to->data(relay, p, buf->pos) != NGX_OK) {
                return NGX_ERROR;
            }

            if (relay->stopped) {
                return NGX_OK;
            }

            continue;
        }

        if (rc == NGX_DONE) {
            u->length = 0;
            u->keepalive = (buf->pos == buf->last
                            && !u->headers_in.connection_close);
            return NGX_OK;
        }

        if (rc == NGX_AGAIN) {
            return NGX_OK;
        }

        (void) ngx_http_sp_relay_invalid(relay, "an invalid chunked body");

        return relay->to->end(relay, 1);
    }
}


static ngx_int_t
ngx_http_sp_relay_invalid(ngx_http_sp_relay_t *relay, const char *what)
{
    ngx_log_error(NGX_LOG_ERR, relay->r->connection->log, 0,
                  "%V sent %s", &relay->endpoint->name, what);

    relay->invalid = 1;

    return NGX_HTTP_UPSTREAM_INVALID_HEADER;
}
