
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

#include "sp_hex.h"


int
sp_hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }

    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }

    return -1;
}


void
sp_hex_encode(char *dst, const uint8_t *src, size_t len)
{
    size_t             i;

    static const char  digits[] = "0123456789abcdef";

    for (i = 0; i < len; i++) {
        *dst++ = digits[src[i] >> 4];
        *dst++ = digits[src[i] & 0x0f];
    }
}


int
sp_hex_decode(uint8_t *dst, size_t size, size_t *len, const char *text,
    size_t text_len)
{
    int     high, low;
    size_t  i, n;

    *len = 0;
    n = text_len / 2;

    if (text_len % 2 != 0 || n > size) {
        goto failed;
    }

    for (i = 0; i < n; i++) {
        high = sp_hex_digit(text[2 * i]);
        low = sp_hex_digit(text[2 * i + 1]);

        if (high == -1 || low == -1) {
            goto failed;
        }

        dst[i] = (uint8_t) (high << 4 | low);
    }

    *len = n;

    return SP_OK;

failed:

    if (size != 0) {
        memset(dst, 0, size);
    }

    return SP_ERROR;
}


int
sp_hex_decode_data(uint8_t *dst, size_t size, size_t *len, const char *text,
    size_t text_len)
{
    if (text_len < 2 || text[0] != '0' || text[1] != 'x') {
        *len = 0;

        if (size != 0) {
            memset(dst, 0, size);
        }

        return SP_ERROR;
    }

    return sp_hex_decode(dst, size, len, text + 2, text_len - 2);
}


int
sp_hex_decode_fixed(uint8_t *dst, size_t size, const char *text,
    size_t text_len)
{
    size_t  len;

    if (text_len != 2 * size + 2) {
        memset(dst, 0, size);
        return SP_ERROR;
    }

    return sp_hex_decode_data(dst, size, &len, text, text_len);
}
