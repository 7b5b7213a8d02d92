
/*
 * Copyright (C) Sallyport authors
 *
 * Input: flags, a split point, terms one per line, a NUL byte, the text.  A
 * text scanned whole, in two pieces and byte by byte gives the same hits, and
 * every hit begins inside the text.
 */

#include <stdlib.h>
#include <string.h>

#include "sp_match.h"


#define MAX_TERMS  64


typedef struct {
    const sp_match_t  *m;
    const uint8_t     *text;
    uint64_t           sum;
    uint64_t           last;
} seen_t;


static int hit(void *data, uint32_t term, uint64_t end);
static uint64_t scan(const sp_match_t *m, const uint8_t *text, size_t len,
    size_t piece);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void              *block, *work;
    size_t             bad, block_size, i, len, n, split, work_size;
    uint8_t            flags;
    uint64_t           sum;
    const uint8_t     *text;
    const sp_match_t  *m;
    sp_match_term_t    terms[MAX_TERMS];

    if (size < 3) {
        return 0;
    }

    flags = data[0];
    split = data[1];
    data += 2;
    size -= 2;

    text = memchr(data, '\0', size);

    if (text == NULL) {
        return 0;
    }

    n = 0;
    terms[0].data = data;

    for (i = 0; data + i <= text && n < MAX_TERMS; i++) {
        if (data + i == text || data[i] == '\n') {
            terms[n].len = (size_t) (data + i - terms[n].data);
            terms[n].flags = (flags >> (n % 4)) & SP_MATCH_WORD;
            n++;

            if (n < MAX_TERMS) {
                terms[n].data = data + i + 1;
            }
        }
    }

    len = size - (size_t) (text - data) - 1;
    text++;

    if (sp_match_sizes(terms, n, &block_size, &work_size, &bad) != 0) {
        return 0;
    }

    block = malloc(block_size);
    work = malloc(work_size);

    m = sp_match_build(terms, n, block, block_size, work, work_size);
    free(work);

    if (m == NULL) {
        abort();
    }

    sum = scan(m, text, len, len + 1);

    if (scan(m, text, len, 1) != sum || scan(m, text, len, split + 1) != sum) {
        abort();
    }

    free(block);

    return 0;
}


static uint64_t
scan(const sp_match_t *m, const uint8_t *text, size_t len, size_t piece)
{
    size_t           i, n;
    seen_t           seen;
    sp_match_scan_t  s;

    seen.m = m;
    seen.text = text;
    seen.sum = 0;
    seen.last = 0;

    sp_match_init(m, &s);

    for (i = 0; i < len; i += n) {
        n = (len - i < piece) ? len - i : piece;
        (void) sp_match_scan(m, &s, text + i, n, hit, &seen);

        if (sp_match_live(m, &s) > i + n) {
            abort();
        }
    }

    (void) sp_match_finish(m, &s, hit, &seen);

    return seen.sum;
}


static int
hit(void *data, uint32_t term, uint64_t end)
{
    seen_t         *seen;
    const uint8_t  *start;

    seen = data;
    start = sp_match_start(seen->m, term, seen->text, seen->text + end);

    if (end < seen->last || start >= seen->text + end) {
        abort();
    }

    seen->last = end;
    seen->sum = seen->sum * 31 + end * MAX_TERMS + term + 1;

    return 0;
}
