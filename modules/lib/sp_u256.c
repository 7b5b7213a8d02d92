
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

#include "sp_hex.h"
#include "sp_u256.h"


void
sp_u256_set(sp_u256_t *value, uint64_t n)
{
    size_t  i;

    memset(value, 0, sizeof(sp_u256_t));

    for (i = SP_U256_LEN; n != 0; n >>= 8) {
        value->bytes[--i] = (uint8_t) n;
    }
}


int
sp_u256_get(const sp_u256_t *value, uint64_t *n)
{
    size_t    i;

    *n = 0;

    if (sp_u256_len(value) > 8) {
        return SP_ERROR;
    }

    for (i = SP_U256_LEN - 8; i < SP_U256_LEN; i++) {
        *n = *n << 8 | value->bytes[i];
    }

    return SP_OK;
}


int
sp_u256_from_bytes(sp_u256_t *value, const uint8_t *bytes, size_t len)
{
    memset(value, 0, sizeof(sp_u256_t));

    if (len > SP_U256_LEN) {
        return SP_ERROR;
    }

    if (len != 0) {
        memcpy(value->bytes + SP_U256_LEN - len, bytes, len);
    }

    return SP_OK;
}


size_t
sp_u256_len(const sp_u256_t *value)
{
    size_t  i;

    for (i = 0; i < SP_U256_LEN; i++) {
        if (value->bytes[i] != 0) {
            break;
        }
    }

    return SP_U256_LEN - i;
}


int
sp_u256_from_decimal(sp_u256_t *value, const char *text, size_t len)
{
    size_t    i, k;
    unsigned  carry;

    memset(value, 0, sizeof(sp_u256_t));

    if (len == 0 || len > SP_U256_DECIMAL_MAX
        || (text[0] == '0' && len != 1))
    {
        return SP_ERROR;
    }

    for (i = 0; i < len; i++) {

        if (text[i] < '0' || text[i] > '9') {
            goto failed;
        }

        carry = (unsigned) (text[i] - '0');

        for (k = SP_U256_LEN; k > 0; k--) {
            carry += 10U * value->bytes[k - 1];
            value->bytes[k - 1] = (uint8_t) (carry & 0xff);
            carry >>= 8;
        }

        if (carry != 0) {
            goto failed;
        }
    }

    return SP_OK;

failed:

    memset(value, 0, sizeof(sp_u256_t));

    return SP_ERROR;
}


size_t
sp_u256_to_decimal(char *text, const sp_u256_t *value)
{
    char       digits[SP_U256_DECIMAL_MAX];
    size_t     i, n;
    unsigned   rest;
    sp_u256_t  left;

    left = *value;
    n = 0;

    do {
        rest = 0;

        for (i = 0; i < SP_U256_LEN; i++) {
            rest = rest << 8 | left.bytes[i];
            left.bytes[i] = (uint8_t) (rest / 10);
            rest %= 10;
        }

        digits[n++] = (char) ('0' + rest);

    } while (sp_u256_len(&left) != 0);

    for (i = 0; i < n; i++) {
        text[i] = digits[n - 1 - i];
    }

    return n;
}


int
sp_u256_from_hex(sp_u256_t *value, const char *text, size_t len)
{
    int     digit;
    size_t  i, n;

    memset(value, 0, sizeof(sp_u256_t));

    if (len < 3 || len > SP_U256_HEX_MAX
        || text[0] != '0' || text[1] != 'x')
    {
        return SP_ERROR;
    }

    n = 0;

    for (i = len; i > 2; i--) {
        digit = sp_hex_digit(text[i - 1]);

        if (digit == -1) {
            memset(value, 0, sizeof(sp_u256_t));
            return SP_ERROR;
        }

        value->bytes[SP_U256_LEN - 1 - n / 2] |=
                                     (uint8_t) (n % 2 ? digit << 4 : digit);
        n++;
    }

    return SP_OK;
}


size_t
sp_u256_to_hex(char *text, const sp_u256_t *value)
{
    char    digits[2 * SP_U256_LEN];
    size_t  i, n;

    sp_hex_encode(digits, value->bytes, SP_U256_LEN);

    for (i = 0; i < sizeof(digits) - 1; i++) {
        if (digits[i] != '0') {
            break;
        }
    }

    n = sizeof(digits) - i;

    text[0] = '0';
    text[1] = 'x';
    memcpy(text + 2, digits + i, n);

    return n + 2;
}


int
sp_u256_hex_uint64(uint64_t *n, const char *text, size_t len)
{
    sp_u256_t  value;

    *n = 0;

    if (sp_u256_from_hex(&value, text, len) != SP_OK) {
        return SP_ERROR;
    }

    return sp_u256_get(&value, n);
}
