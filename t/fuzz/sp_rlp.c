
/*
 * Copyright (C) Sallyport authors
 *
 * What the reader accepts is canonical: written again it is the same bytes.
 */

#include <stdlib.h>
#include <string.h>

#include "sp_rlp.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static void copy(sp_rlp_writer_t *w, const uint8_t *data, size_t len);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t          buf[4096];
    sp_rlp_writer_t  w;

    if (size > sizeof(buf) || sp_rlp_check(data, size, 16) != SP_OK) {
        return 0;
    }

    memset(&w, 0, sizeof(w));
    w.start = buf;
    w.size = sizeof(buf);
    copy(&w, data, size);

    if (w.overflow || w.len != size || memcmp(buf, data, size) != 0) {
        abort();
    }

    return 0;
}


static void
copy(sp_rlp_writer_t *w, const uint8_t *data, size_t len)
{
    size_t           begin;
    uint64_t         n;
    sp_u256_t        value;
    sp_rlp_item_t    item;
    sp_rlp_reader_t  r;

    r.pos = data;
    r.end = data + len;

    while (r.pos != r.end) {

        if (sp_rlp_next(&r, &item) != SP_OK) {
            abort();
        }

        (void) sp_rlp_uint(&item, &n);
        (void) sp_rlp_u256(&item, &value);

        if (!item.list) {
            sp_rlp_put_bytes(w, item.data, item.len);
            continue;
        }

        begin = sp_rlp_begin(w);
        copy(w, item.data, item.len);
        sp_rlp_end(w, begin);
    }
}
