
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

#include "sp_rlp.h"


#define SP_RLP_STRING  0x80
#define SP_RLP_LIST    0xc0
#define SP_RLP_SHORT   55                   /* longest payload, short form */


static size_t sp_rlp_header(uint8_t *header, uint8_t base, size_t len);
static void sp_rlp_write(sp_rlp_writer_t *w, const uint8_t *bytes,
    size_t len);
static int sp_rlp_long(sp_rlp_reader_t *r, size_t n, size_t *len);


void
sp_rlp_put_bytes(sp_rlp_writer_t *w, const uint8_t *bytes, size_t len)
{
    size_t   n;
    uint8_t  header[1 + sizeof(size_t)];

    if (len != 1 || bytes[0] >= SP_RLP_STRING) {
        n = sp_rlp_header(header, SP_RLP_STRING, len);
        sp_rlp_write(w, header, n);
    }

    sp_rlp_write(w, bytes, len);
}


void
sp_rlp_put_uint(sp_rlp_writer_t *w, uint64_t n)
{
    sp_u256_t  value;

    sp_u256_set(&value, n);
    sp_rlp_put_u256(w, &value);
}


void
sp_rlp_put_u256(sp_rlp_writer_t *w, const sp_u256_t *value)
{
    size_t  len;

    len = sp_u256_len(value);

    sp_rlp_put_bytes(w, value->bytes + SP_U256_LEN - len, len);
}


size_t
sp_rlp_begin(sp_rlp_writer_t *w)
{
    return w->len;
}


void
sp_rlp_end(sp_rlp_writer_t *w, size_t begin)
{
    size_t   len, n;
    uint8_t  header[1 + sizeof(size_t)];

    if (w->overflow) {
        return;
    }

    len = w->len - begin;
    n = sp_rlp_header(header, SP_RLP_LIST, len);

    if (n > w->size - w->len) {
        w->overflow = 1;
        return;
    }

    memmove(w->start + begin + n, w->start + begin, len);
    memcpy(w->start + begin, header, n);
    w->len += n;
}


int
sp_rlp_next(sp_rlp_reader_t *r, sp_rlp_item_t *item)
{
    size_t   len;
    uint8_t  c;

    memset(item, 0, sizeof(sp_rlp_item_t));

    if (r->pos == r->end) {
        return SP_ERROR;
    }

    c = *r->pos;

    if (c < SP_RLP_STRING) {
        item->data = r->pos++;
        item->len = 1;
        return SP_OK;
    }

    r->pos++;
    item->list = (c >= SP_RLP_LIST);
    len = (size_t) (c & 0x3f);

    if (len > SP_RLP_SHORT
        && sp_rlp_long(r, len - SP_RLP_SHORT, &len) != SP_OK)
    {
        goto failed;
    }

    if (len > (size_t) (r->end - r->pos)) {
        goto failed;
    }

    /* a single byte below 0x80 is its own encoding */

    if (!item->list && len == 1 && *r->pos < SP_RLP_STRING) {
        goto failed;
    }

    item->data = r->pos;
    item->len = len;
    r->pos += len;

    return SP_OK;

failed:

    memset(item, 0, sizeof(sp_rlp_item_t));

    return SP_ERROR;
}


int
sp_rlp_uint(const sp_rlp_item_t *item, uint64_t *n)
{
    sp_u256_t  value;

    *n = 0;

    if (sp_rlp_u256(item, &value) != SP_OK) {
        return SP_ERROR;
    }

    return sp_u256_get(&value, n);
}


int
sp_rlp_u256(const sp_rlp_item_t *item, sp_u256_t *value)
{
    if (item->list || (item->len != 0 && item->data[0] == 0)) {
        memset(value, 0, sizeof(sp_u256_t));
        return SP_ERROR;
    }

    return sp_u256_from_bytes(value, item->data, item->len);
}


int
sp_rlp_check(const uint8_t *data, size_t len, unsigned depth)
{
    sp_rlp_item_t    item;
    sp_rlp_reader_t  r;

    r.pos = data;
    r.end = data + len;

    if (sp_rlp_next(&r, &item) != SP_OK || r.pos != r.end) {
        return SP_ERROR;
    }

    if (!item.list) {
        return SP_OK;
    }

    if (depth == 0) {
        return SP_ERROR;
    }

    r.pos = item.data;
    r.end = item.data + item.len;

    while (r.pos != r.end) {
        data = r.pos;

        if (sp_rlp_next(&r, &item) != SP_OK) {
            return SP_ERROR;
        }

        if (item.list
            && sp_rlp_check(data, (size_t) (r.pos - data), depth - 1)
               != SP_OK)
        {
            return SP_ERROR;
        }
    }

    return SP_OK;
}


static size_t
sp_rlp_header(uint8_t *header, uint8_t base, size_t len)
{
    size_t  i, n, rest;

    if (len <= SP_RLP_SHORT) {
        header[0] = (uint8_t) (base + len);
        return 1;
    }

    n = 0;

    for (rest = len; rest != 0; rest >>= 8) {
        n++;
    }

    header[0] = (uint8_t) (base + SP_RLP_SHORT + n);

    for (i = n; i > 0; i--) {
        header[i] = (uint8_t) (len & 0xff);
        len >>= 8;
    }

    return n + 1;
}


static void
sp_rlp_write(sp_rlp_writer_t *w, const uint8_t *bytes, size_t len)
{
    if (w->overflow || len > w->size - w->len) {
        w->overflow = 1;
        return;
    }

    if (len != 0) {
        memcpy(w->start + w->len, bytes, len);
        w->len += len;
    }
}


/* the length of "n" bytes that follows the first byte of a long form */

static int
sp_rlp_long(sp_rlp_reader_t *r, size_t n, size_t *len)
{
    size_t  i;

    if (n > sizeof(size_t) || n > (size_t) (r->end - r->pos)
        || *r->pos == 0)
    {
        return SP_ERROR;
    }

    *len = 0;

    for (i = 0; i < n; i++) {
        *len = *len << 8 | *r->pos++;
    }

    return (*len > SP_RLP_SHORT) ? SP_OK : SP_ERROR;
}
