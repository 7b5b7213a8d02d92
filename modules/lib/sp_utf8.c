
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

#include "sp_utf8.h"


#define SP_UTF8_ASCII_MASK  0x8080808080808080ULL


/* sequences by lead byte, table 3-7 of the Unicode Standard */

typedef struct {
    uint8_t  first;         /* lead bytes first..last */
    uint8_t  last;
    uint8_t  low;           /* the second byte is low..high */
    uint8_t  high;
    uint8_t  len;
} sp_utf8_row_t;


static const sp_utf8_row_t  sp_utf8_rows[] = {
    { 0xc2, 0xdf, 0x80, 0xbf, 2 },
    { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
    { 0xe1, 0xec, 0x80, 0xbf, 3 },
    { 0xed, 0xed, 0x80, 0x9f, 3 },
    { 0xee, 0xef, 0x80, 0xbf, 3 },
    { 0xf0, 0xf0, 0x90, 0xbf, 4 },
    { 0xf1, 0xf3, 0x80, 0xbf, 4 },
    { 0xf4, 0xf4, 0x80, 0x8f, 4 }
};


size_t
sp_utf8_char(const char *text, size_t len)
{
    size_t                i, k;
    const uint8_t        *p;
    const sp_utf8_row_t  *row;

    p = (const uint8_t *) text;

    if (len == 0) {
        return 0;
    }

    if (p[0] < 0x80) {
        return 1;
    }

    for (i = 0; i < sizeof(sp_utf8_rows) / sizeof(sp_utf8_rows[0]); i++) {
        row = &sp_utf8_rows[i];

        if (p[0] < row->first || p[0] > row->last) {
            continue;
        }

        if (len < row->len || p[1] < row->low || p[1] > row->high) {
            return 0;
        }

        for (k = 2; k < row->len; k++) {
            if ((p[k] & 0xc0) != 0x80) {
                return 0;
            }
        }

        return row->len;
    }

    return 0;
}


size_t
sp_utf8_ascii(const char *text, size_t len)
{
    size_t    n;
    uint64_t  word;

    for (n = 0; len - n >= sizeof(word); n += sizeof(word)) {
        memcpy(&word, text + n, sizeof(word));

        if ((word & SP_UTF8_ASCII_MASK) != 0) {
            break;
        }
    }

    return n;
}


size_t
sp_utf8_valid(const char *text, size_t len)
{
    size_t  i, n;

    i = 0;

    while (i < len) {
        i += sp_utf8_ascii(text + i, len - i);

        if (i == len) {
            break;
        }

        n = sp_utf8_char(text + i, len - i);
        if (n == 0) {
            return i;
        }

        i += n;
    }

    return len;
}
