
/*
 * Copyright (C) Sallyport authors
 *
 * The first bytes of a response's body, before its header goes out.  Chunks
 * are cut anywhere, within an event or a word: what they hold is put together.
 */


#include "ngx_http_sp_relay.h"


static ngx_uint_t ngx_http_sp_relay_peek_chunks(ngx_http_sp_relay_t *relay,
    ngx_str_t *piece);


ngx_uint_t
ngx_http_sp_relay_peek(ngx_http_sp_relay_t *relay, ngx_str_t *piece)
{
    ngx_buf_t  *b;

    b = &relay->r->upstream->buffer;

    if (relay->r->upstream->headers_in.chunked) {
        return ngx_http_sp_relay_peek_chunks(relay, piece);
    }

    piece->data = b->pos;
    piece->len = b->last - b->pos;

    if (relay->length != -1 && (off_t) piece->len >= relay->length) {
        piece->len = (size_t) relay->length;
        return 0;
    }

    return b->last < b->end;
}


/* on from where it was the last time; the real parser has not begun */

static ngx_uint_t
ngx_http_sp_relay_peek_chunks(ngx_http_sp_relay_t *relay, ngx_str_t *piece)
{
    size_t                     size;
    ngx_int_t                  rc;
    ngx_buf_t                  buf;
    ngx_http_sp_relay_peek_t  *peeked;

    peeked = &relay->peeked;
    buf = relay->r->upstream->buffer;

    if (peeked->data == NULL) {
        peeked->data = ngx_palloc(relay->r->pool, buf.end - buf.pos);
        if (peeked->data == NULL) {
            ngx_str_null(piece);
            return 0;
        }
    }

    buf.pos += peeked->seen;

    for ( ;; ) {
        rc = ngx_http_parse_chunked(relay->r, &buf, &peeked->chunked);

        if (rc != NGX_OK) {
            break;
        }

        size = ngx_min(buf.last - buf.pos, peeked->chunked.size);

        ngx_memcpy(peeked->data + peeked->len, buf.pos, size);

        peeked->len += size;
        peeked->chunked.size -= size;
        buf.pos += size;
    }

    peeked->seen = buf.pos - relay->r->upstream->buffer.pos;

    piece->data = peeked->data;
    piece->len = peeked->len;

    return rc == NGX_AGAIN && buf.last < buf.end;
}


void
ngx_http_sp_relay_forget_peeked(ngx_http_sp_relay_t *relay)
{
    if (relay->peeked.data != NULL) {
        (void) ngx_pfree(relay->r->pool, relay->peeked.data);
    }

    ngx_memzero(&relay->peeked, sizeof(ngx_http_sp_relay_peek_t));
}
