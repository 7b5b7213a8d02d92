
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

#include "sp_base64.h"


static size_t sp_base64_encode_by(char *dst, const uint8_t *src, size_t len,
    const char *alphabet, int padded);
static int sp_base64_decode_by(uint8_t *dst, size_t size, size_t *len,
    const char *text, size_t text_len, char c62, char c63);
static unsigned sp_base64_value(char c, char c62, char c63);


#define SP_BASE64_ALNUM                                                      \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

#define SP_BASE64_BAD  64


size_t
sp_base64_encode(char *dst, const uint8_t *src, size_t len)
{
    return sp_base64_encode_by(dst, src, len, SP_BASE64_ALNUM "+/", 1);
}


size_t
sp_base64url_encode(char *dst, const uint8_t *src, size_t len)
{
    return sp_base64_encode_by(dst, src, len, SP_BASE64_ALNUM "-_", 0);
}


static size_t
sp_base64_encode_by(char *dst, const uint8_t *src, size_t len,
    const char *alphabet, int padded)
{
    char      *p;
    size_t     i, k, n;
    uint32_t   word;

    p = dst;

    for (i = 0; i < len; i += 3) {
        n = len - i < 3 ? len - i : 3;
        word = 0;

        for (k = 0; k < 3; k++) {
            word = word << 8 | (k < n ? src[i + k] : 0u);
        }

        for (k = 0; k <= n; k++) {
            *p++ = alphabet[word >> 18 & 0x3f];
            word <<= 6;
        }

        if (padded) {
            for (k = n; k < 3; k++) {
                *p++ = '=';
            }
        }
    }

    return (size_t) (p - dst);
}


int
sp_base64_decode(uint8_t *dst, size_t size, size_t *len, const char *text,
    size_t text_len)
{
    size_t  n;

    if (text_len % 4 != 0) {
        *len = 0;

        if (size != 0) {
            memset(dst, 0, size);
        }

        return SP_ERROR;
    }

    /* the length tells how much padding there must be */

    n = text_len;

    if (n != 0 && text[n - 1] == '=') {
        n--;

        if (text[n - 1] == '=') {
            n--;
        }
    }

    return sp_base64_decode_by(dst, size, len, text, n, '+', '/');
}


int
sp_base64url_decode(uint8_t *dst, size_t size, size_t *len,
    const char *text, size_t text_len)
{
    return sp_base64_decode_by(dst, size, len, text, text_len, '-', '_');
}


static int
sp_base64_decode_by(uint8_t *dst, size_t size, size_t *len,
    const char *text, size_t text_len, char c62, char c63)
{
    size_t    i, n;
    unsigned  bits, value;
    uint32_t  word;

    *len = 0;
    n = 0;
    bits = 0;
    word = 0;

    if (text_len % 4 == 1
        || text_len / 4 * 3 + (text_len % 4) * 3 / 4 > size)
    {
        goto failed;
    }

    for (i = 0; i < text_len; i++) {
        value = sp_base64_value(text[i], c62, c63);
        if (value == SP_BASE64_BAD) {
            goto failed;
        }

        word = (word << 6 | value) & 0xffff;
        bits += 6;

        if (bits >= 8) {
            bits -= 8;
            dst[n++] = (uint8_t) (word >> bits);
        }
    }

    if ((word & ((1u << bits) - 1)) != 0) {
        goto failed;
    }

    *len = n;

    return SP_OK;

failed:

    if (size != 0) {
        memset(dst, 0, size);
    }

    return SP_ERROR;
}


static unsigned
sp_base64_value(char c, char c62, char c63)
{
    if (c >= 'A' && c <= 'Z') {
        return (unsigned) (c - 'A');
    }

    if (c >= 'a' && c <= 'z') {
        return (unsigned) (c - 'a' + 26);
    }

    if (c >= '0' && c <= '9') {
        return (unsigned) (c - '0' + 52);
    }

    if (c == c62) {
        return 62;
    }

    if (c == c63) {
        return 63;
    }

    return SP_BASE64_BAD;
}
