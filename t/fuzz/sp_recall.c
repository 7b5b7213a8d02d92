
/*
 * Copyright (C) Sallyport authors
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sp_recall.h"


#define ITEMS  8


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* the input is cut at each 0xff: one item per piece */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char              *dst;
    size_t             i, len, n;
    const uint8_t     *end, *p;
    sp_recall_item_t   items[ITEMS];

    n = 0;

    while (size > 0 && n < ITEMS) {
        end = memchr(data, 0xff, size);
        p = (end == NULL) ? data + size : end;

        items[n].text = (const char *) data;
        items[n].len = (size_t) (p - data);
        items[n].day = "2026-01-01";
        items[n].role = (n & 1) ? "user" : NULL;
        n++;

        if (end == NULL) {
            break;
        }

        size -= (size_t) (end - data) + 1;
        data = end + 1;
    }

    sp_recall_choose(items, n, 300);

    len = sp_recall_block(items, n, NULL, 0);

    dst = malloc(len + 1);
    if (dst == NULL) {
        return 0;
    }

    if (sp_recall_block(items, n, dst, len) != len) {
        abort();
    }

    /* no tag, and no line but those of the items */

    for (i = 0; i < len; i++) {
        if (dst[i] == '<' || dst[i] == '>') {
            abort();
        }

        if (dst[i] == '\n' && (len - i < 4 || memcmp(dst + i, "\n- [", 4))) {
            abort();
        }
    }

    free(dst);

    return 0;
}
