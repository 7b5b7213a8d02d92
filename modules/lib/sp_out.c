
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_json.h"
#include "sp_json_load.h"
#include "sp_out.h"


static size_t sp_out_escape(const char *p, const char *last);


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
    size_t       n;
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

        n = sp_out_escape(p, last);

        if (n != 0) {
            sp_out_put(out, p, n);
            p += n;
            continue;
        }

        /* a quote, a control character, a backslash that escapes nothing */

        sp_out_text(out, p, 1);
        p++;
    }
}


/* the length of the escape at p; 0: it is none */

static size_t
sp_out_escape(const char *p, const char *last)
{
    char    c;
    size_t  i;

    if (*p != '\\' || last - p < 2) {
        return 0;
    }

    if (p[1] != 'u') {
        return (memchr("\"\\/bfnrt", p[1], 8) != NULL) ? 2 : 0;
    }

    if (last - p < 6) {
        return 0;
    }

    for (i = 2; i < 6; i++) {
        c = p[i];

        if (!((c >= '0' && c <= '9')
              || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')))
        {
            return 0;
        }
    }

    return 6;
}


void
sp_out_segment(sp_out_t *out, const char *text, size_t len)
{
    char    c, escape[3];
    size_t  i;

    static const char  digits[] = "0123456789ABCDEF";

    for (i = 0; i < len; i++) {
        c = text[i];

        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
            || (c >= 'A' && c <= 'Z') || memchr("-._~", c, 4) != NULL)
        {
            sp_out_put(out, &c, 1);
            continue;
        }

        escape[0] = '%';
        escape[1] = digits[(uint8_t) c >> 4];
        escape[2] = digits[(uint8_t) c & 0x0f];

        sp_out_put(out, escape, 3);
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
