
/*
 * Copyright (C) Sallyport authors
 *
 * A body behind the request, by the piece: bufs of a file that need not adjoin
 * each other, and that are sent again from where they began.  NGINX itself
 * puts the bufs of a request that is sent again to the begin of their file.
 */


#include "ngx_http_sp_relay.h"


#define NGX_HTTP_SP_RELAY_PIECE  65536


static ngx_int_t ngx_http_sp_relay_output(void *data, ngx_chain_t *in);
static ngx_int_t ngx_http_sp_relay_piece(ngx_http_sp_relay_t *relay,
    ngx_chain_t *out);
static ngx_int_t ngx_http_sp_relay_read(ngx_http_sp_relay_t *relay,
    const ngx_buf_t *from, off_t rest);


void
ngx_http_sp_relay_send_init(ngx_http_sp_relay_t *relay)
{
    ngx_http_upstream_t  *u;

    if (relay->body == NULL) {
        return;
    }

    u = relay->r->upstream;

    u->output.output_filter = ngx_http_sp_relay_output;
    u->output.filter_ctx = relay;

    ngx_http_sp_relay_send_again(relay);
}


void
ngx_http_sp_relay_send_again(ngx_http_sp_relay_t *relay)
{
    relay->send.next = relay->body;
    relay->send.sent = 0;
}


/*
 * In the place of ngx_chain_writer(), of which NGX_OK means that nothing is
 * left: the next piece may have the memory of the one before.
 */

static ngx_int_t
ngx_http_sp_relay_output(void *data, ngx_chain_t *in)
{
    ngx_int_t             rc;
    ngx_chain_t           out;
    ngx_http_upstream_t  *u;
    ngx_http_sp_relay_t  *relay;

    relay = data;
    u = relay->r->upstream;

    rc = ngx_chain_writer(&u->writer, in);

    while (rc == NGX_OK && relay->send.next != NULL) {

        if (ngx_http_sp_relay_piece(relay, &out) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = ngx_chain_writer(&u->writer, &out);
    }

    return rc;
}


static ngx_int_t
ngx_http_sp_relay_piece(ngx_http_sp_relay_t *relay, ngx_chain_t *out)
{
    off_t                      rest;
    ngx_buf_t                 *b;
    const ngx_buf_t           *from;
    ngx_http_sp_relay_send_t  *send;

    send = &relay->send;
    from = send->next->buf;
    b = &send->buf;

    rest = ngx_buf_size(from) - send->sent;

    ngx_memzero(b, sizeof(ngx_buf_t));

    b->memory = 1;

    /* TLS would keep it back, and nobody would ask for more */

    b->flush = 1;

    if (ngx_buf_in_memory(from)) {
        b->pos = from->pos + send->sent;
        b->last = from->last;

    } else if (ngx_http_sp_relay_read(relay, from, rest) != NGX_OK) {
        return NGX_ERROR;
    }

    send->sent += b->last - b->pos;

    if (send->sent == ngx_buf_size(from)) {
        send->next = send->next->next;
        send->sent = 0;
    }

    out->buf = b;
    out->next = NULL;

    return NGX_OK;
}


/* the file was written a moment ago, so it is read out of memory */

static ngx_int_t
ngx_http_sp_relay_read(ngx_http_sp_relay_t *relay, const ngx_buf_t *from,
    off_t rest)
{
    size_t                     size;
    ssize_t                    n;
    ngx_http_sp_relay_send_t  *send;

    send = &relay->send;

    if (send->data == NULL) {
        send->data = ngx_palloc(relay->r->pool, NGX_HTTP_SP_RELAY_PIECE);
        if (send->data == NULL) {
            return NGX_ERROR;
        }
    }

    size = (size_t) ngx_min(rest, NGX_HTTP_SP_RELAY_PIECE);

    n = ngx_read_file(from->file, send->data, size,
                      from->file_pos + send->sent);

    if (n == NGX_ERROR || (size_t) n != size) {
        ngx_log_error(NGX_LOG_CRIT, relay->r->connection->log, 0,
                      "relay: read %z of %uz bytes from \"%V\"",
                      n, size, &from->file->name);
        return NGX_ERROR;
    }

    send->buf.pos = send->data;
    send->buf.last = send->data + size;

    return NGX_OK;
}
