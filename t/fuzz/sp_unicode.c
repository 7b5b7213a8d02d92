
/*
 * Copyright (C) Sallyport authors
 *
 * Input: a split point, the text.  The view is the same however the text is
 * cut; spans lie inside the text and never go back.
 */

#include <stdlib.h>
#include <string.h>

#include "sp_unicode.h"


#define MAX_TEXT  4096
#define MAX_VIEW  (MAX_TEXT * 16)


static size_t view(const uint8_t *text, size_t len, size_t piece,
    sp_unicode_view_e kind, uint8_t *data, sp_unicode_span_t *spans);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                    i, k, n, split;
    static uint8_t            a[MAX_VIEW], b[MAX_VIEW];
    static sp_unicode_span_t  sa[MAX_VIEW], sb[MAX_VIEW];

    if (size < 1 || size > MAX_TEXT) {
        return 0;
    }

    split = data[0];
    data++;
    size--;

    for (k = 0; k < 2; k++) {
        n = view(data, size, size + 1, (sp_unicode_view_e) k, a, sa);

        if (view(data, size, split + 1, (sp_unicode_view_e) k, b, sb) != n
            || memcmp(a, b, n) != 0
            || memcmp(sa, sb, n * sizeof(sp_unicode_span_t)) != 0)
        {
            abort();
        }

        for (i = 0; i < n; i++) {
            if (sa[i].from >= sa[i].to || sa[i].to > size
                || (i > 0 && sa[i].from < sa[i - 1].from))
            {
                abort();
            }
        }
    }

    return 0;
}


static size_t
view(const uint8_t *text, size_t len, size_t piece, sp_unicode_view_e kind,
    uint8_t *data, sp_unicode_span_t *spans)
{
    size_t            i, n;
    sp_unicode_t      u;
    sp_unicode_out_t  out;

    out.data = data;
    out.spans = spans;
    out.size = MAX_VIEW;
    out.len = 0;

    sp_unicode_init(&u, kind);

    for (i = 0; i < len; i += n) {
        n = (len - i < piece) ? len - i : piece;

        if (sp_unicode_feed(&u, text + i, n, &out) != n) {
            abort();
        }
    }

    sp_unicode_finish(&u, &out);

    return out.len;
}
