
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_json.h"
#include "sp_json_load.h"
#include "sp_out.h"


void
sp_out_put(sp_out_t *out, const char *p, size_t len)
{
    size_t  n;

    if (out->len < out->size && len != 0) {
        n = out->size - out->len;
        memcpy(out->dst + out->len, p, n < len ? n : len);
    }

    out->len += len;
}


void
sp_out_str(sp_out_t *out, const char *text)
{
    sp_out_put(out, text, strlen(text));
}


void
sp_out_text(sp_out_t *out, const char *text, size_t len)
{
    if (out->len < out->size) {
        out->len += sp_json_escape(out->dst + out->len, out->size - out->len,
                                   text, len);

    } else {
        out->len += sp_json_escape(NULL, 0, text, len);
    }
}


void
sp_out_content(sp_out_t *out, const char *text, size_t len)
{
    const char  *last, *p, *start;

    p = text;
    last = text + len;

    while (p < last) {
        start = p;
        p = sp_json_plain(p, last, 0);

        sp_out_put(out, start, (size_t) (p - start));

        if (p == last) {
            return;
        }

        if (*p == '\\' && last - p >= 2 && (unsigned char) p[1] >= 0x20) {
            sp_out_put(out, p, 2);
            p += 2;
            continue;
        }

        /* a quote, a control character, a backslash at the end */

        sp_out_text(out, p, 1);
        p++;
    }
}


void
sp_out_integer(sp_out_t *out, int64_t n)
{
    char      digits[24], *p;
    uint64_t  value;

    p = digits + sizeof(digits);
    value = (n < 0) ? 0 - (uint64_t) n : (uint64_t) n;

    do {
        *--p = (char) ('0' + value % 10);
        value /= 10;
    } while (value != 0);

    if (n < 0) {
        *--p = '-';
    }

    sp_out_put(out, p, (size_t) (digits + sizeof(digits) - p));
}
