
/*
 * Copyright (C) Sallyport authors
 *
 * The content of a JSON string, decoded.  It judges nothing: what comes of a
 * provider must be readable in any case.
 */


#include <string.h>

#include "sp_json_unescape.h"
#include "sp_utf8.h"
#include "sp_word.h"


static size_t sp_json_unescape_run(const char *p, const char *last);
static size_t sp_json_unescape_cut(char *dst, size_t size, const char *p);
static int sp_json_unescape_hex(const char *p, const char *last);
static size_t sp_json_unescape_one(const char *p, const char *last,
    uint32_t *code);
static size_t sp_json_unescape_utf8(char *dst, uint32_t code);


size_t
sp_json_unescape(char *dst, size_t size, const char *text, size_t len)
{
    char         utf8[4];
    size_t       n, out, step;
    uint32_t     code;
    const char  *last, *p;

    out = 0;
    p = text;
    last = text + len;

    while (p < last) {

        if (*p != '\\') {

            n = sp_json_unescape_run(p, last);

            if (n != 0) {

                if (n > size - out) {
                    return out + sp_json_unescape_cut(dst + out, size - out,
                                                      p);
                }

                memcpy(dst + out, p, n);
                out += n;
                p += n;

                continue;
            }

            code = 0xfffd;
            step = 1;

        } else {
            step = sp_json_unescape_one(p, last, &code);
        }

        n = sp_json_unescape_utf8(utf8, code);

        if (n > size - out) {
            return out;
        }

        memcpy(dst + out, utf8, n);
        out += n;
        p += step;
    }

    return out;
}


/* how many bytes of valid characters without an escape begin here */

static size_t
sp_json_unescape_run(const char *p, const char *last)
{
    size_t       n;
    uint64_t     word;
    const char  *start;

    start = p;

    while (p < last) {

        /* eight bytes at once: ASCII without a backslash */

        if (last - p >= 8) {
            memcpy(&word, p, 8);

            if (((word & SP_WORD_TOPS) | sp_word_has(word, '\\')) == 0) {
                p += 8;
                continue;
            }
        }

        if (*p == '\\') {
            break;
        }

        if ((unsigned char) *p < 0x80) {
            p++;
            continue;
        }

        n = sp_utf8_char(p, (size_t) (last - p));
        if (n == 0) {
            break;
        }

        p += n;
    }

    return (size_t) (p - start);
}


/* copies what fits of a longer run of valid characters */

static size_t
sp_json_unescape_cut(char *dst, size_t size, const char *p)
{
    while (size != 0 && ((unsigned char) p[size] & 0xc0) == 0x80) {
        size--;
    }

    memcpy(dst, p, size);

    return size;
}


static size_t
sp_json_unescape_one(const char *p, const char *last, uint32_t *code)
{
    int  high, low;

    *code = 0xfffd;

    if (last - p < 2) {
        return 1;
    }

    switch (p[1]) {

    case 'n':
        *code = '\n';
        return 2;

    case 'r':
        *code = '\r';
        return 2;

    case 't':
        *code = '\t';
        return 2;

    case 'b':
        *code = '\b';
        return 2;

    case 'f':
        *code = '\f';
        return 2;

    case '"':
    case '\\':
    case '/':
        *code = (uint32_t) p[1];
        return 2;

    case 'u':
        break;

    default:
        return 2;
    }

    high = sp_json_unescape_hex(p + 2, last);

    if (high < 0) {
        return 2;
    }

    if (high < 0xd800 || high > 0xdfff) {

        /* U+0000 cannot be stored as text */

        if (high != 0) {
            *code = (uint32_t) high;
        }

        return 6;
    }

    if (high > 0xdbff || last - p < 8 || p[6] != '\\' || p[7] != 'u') {
        return 6;
    }

    low = sp_json_unescape_hex(p + 8, last);

    if (low < 0xdc00 || low > 0xdfff) {
        return 6;
    }

    *code = 0x10000 + (((uint32_t) high - 0xd800) << 10)
            + ((uint32_t) low - 0xdc00);

    return 12;
}


static int
sp_json_unescape_hex(const char *p, const char *last)
{
    int  digit, i, value;

    if (last - p < 4) {
        return -1;
    }

    value = 0;

    for (i = 0; i < 4; i++) {

        if (p[i] >= '0' && p[i] <= '9') {
            digit = p[i] - '0';

        } else if ((p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'f') {
            digit = (p[i] | 0x20) - 'a' + 10;

        } else {
            return -1;
        }

        value = value * 16 + digit;
    }

    return value;
}


static size_t
sp_json_unescape_utf8(char *dst, uint32_t code)
{
    if (code < 0x80) {
        dst[0] = (char) code;
        return 1;
    }

    if (code < 0x800) {
        dst[0] = (char) (0xc0 | (code >> 6));
        dst[1] = (char) (0x80 | (code & 0x3f));
        return 2;
    }

    if (code < 0x10000) {
        dst[0] = (char) (0xe0 | (code >> 12));
        dst[1] = (char) (0x80 | ((code >> 6) & 0x3f));
        dst[2] = (char) (0x80 | (code & 0x3f));
        return 3;
    }

    dst[0] = (char) (0xf0 | (code >> 18));
    dst[1] = (char) (0x80 | ((code >> 12) & 0x3f));
    dst[2] = (char) (0x80 | ((code >> 6) & 0x3f));
    dst[3] = (char) (0x80 | (code & 0x3f));

    return 4;
}


size_t
sp_json_unescape_half(const char *text, size_t len)
{
    int          high;
    size_t       n;
    const char  *p;

    if (len < SP_JSON_ESCAPE) {
        return 0;
    }

    p = text + len - SP_JSON_ESCAPE;

    if (p[0] != '\\' || p[1] != 'u') {
        return 0;
    }

    high = sp_json_unescape_hex(p + 2, text + len);

    if (high < 0xd800 || high > 0xdbff) {
        return 0;
    }

    /* a backslash before it makes text of it, unless that is text itself */

    for (n = 0; p > text && p[-1] == '\\'; p--) {
        n++;
    }

    return (n % 2 == 0) ? SP_JSON_ESCAPE : 0;
}
