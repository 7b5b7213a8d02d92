
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

#include "sp_abi.h"
#include "sp_hex.h"
#include "sp_keccak.h"


#define sp_abi_padded(len)  (((len) + SP_ABI_WORD - 1) & ~(size_t) 31)


static int sp_abi_encode_word(uint8_t *word, const sp_abi_value_t *value);
static int sp_abi_decode_value(const uint8_t *data, size_t data_len,
    size_t head, sp_abi_value_t *value);
static int sp_abi_size(const uint8_t *word, size_t max, size_t *n);
static size_t sp_abi_text(char *text, size_t size, const char *prefix,
    const uint8_t *data, size_t len);


static const uint8_t  sp_abi_zero[SP_ABI_WORD];

static const uint8_t  sp_abi_error[] = { 0x08, 0xc3, 0x79, 0xa0 };
static const uint8_t  sp_abi_panic[] = { 0x4e, 0x48, 0x7b, 0x71 };


/* keccak256("Transfer(address,address,uint256)") */

static const uint8_t  sp_abi_transfer_topic[SP_ABI_WORD] = {
    0xdd, 0xf2, 0x52, 0xad, 0x1b, 0xe2, 0xc8, 0x9b,
    0x69, 0xc2, 0xb0, 0x68, 0xfc, 0x37, 0x8d, 0xaa,
    0x95, 0x2b, 0xa7, 0xf1, 0x63, 0xc4, 0xa1, 0x16,
    0x28, 0xf5, 0x5a, 0x4d, 0xf5, 0x23, 0xb3, 0xef
};


void
sp_abi_selector(uint8_t selector[SP_ABI_SELECTOR_LEN], const char *signature)
{
    uint8_t  hash[SP_KECCAK256_LEN];

    sp_keccak256(hash, signature, strlen(signature));
    memcpy(selector, hash, SP_ABI_SELECTOR_LEN);
}


int
sp_abi_encode(uint8_t *dst, size_t size, size_t *len,
    const uint8_t *selector, const sp_abi_value_t *values, size_t n)
{
    size_t     i, tail, total;
    uint8_t   *args;
    sp_u256_t  word;

    *len = 0;

    if (size != 0) {
        memset(dst, 0, size);
    }

    if (n > size / SP_ABI_WORD) {
        return SP_ERROR;
    }

    total = n * SP_ABI_WORD;

    for (i = 0; i < n; i++) {
        if (values[i].type != SP_ABI_BYTES) {
            continue;
        }

        if (values[i].len > size) {
            return SP_ERROR;
        }

        total += SP_ABI_WORD + sp_abi_padded(values[i].len);
    }

    if (selector != NULL) {
        total += SP_ABI_SELECTOR_LEN;
    }

    if (total > size) {
        return SP_ERROR;
    }

    args = dst;

    if (selector != NULL) {
        memcpy(dst, selector, SP_ABI_SELECTOR_LEN);
        args += SP_ABI_SELECTOR_LEN;
    }

    tail = n * SP_ABI_WORD;

    for (i = 0; i < n; i++) {

        if (values[i].type != SP_ABI_BYTES) {

            if (sp_abi_encode_word(args + i * SP_ABI_WORD, &values[i])
                != SP_OK)
            {
                memset(dst, 0, size);
                return SP_ERROR;
            }

            continue;
        }

        sp_u256_set(&word, tail);
        memcpy(args + i * SP_ABI_WORD, word.bytes, SP_ABI_WORD);

        sp_u256_set(&word, values[i].len);
        memcpy(args + tail, word.bytes, SP_ABI_WORD);
        tail += SP_ABI_WORD;

        if (values[i].len != 0) {
            memcpy(args + tail, values[i].data, values[i].len);
            tail += sp_abi_padded(values[i].len);
        }
    }

    *len = total;

    return SP_OK;
}


int
sp_abi_decode(const uint8_t *data, size_t data_len, sp_abi_value_t *values,
    size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        values[i].data = NULL;

        if (values[i].type != SP_ABI_FIXED) {
            values[i].len = 0;
        }
    }

    if (n > data_len / SP_ABI_WORD) {
        goto failed;
    }

    for (i = 0; i < n; i++) {
        if (sp_abi_decode_value(data, data_len, i * SP_ABI_WORD, &values[i])
            != SP_OK)
        {
            goto failed;
        }
    }

    return SP_OK;

failed:

    for (i = 0; i < n; i++) {
        values[i].data = NULL;
        values[i].len = 0;
    }

    return SP_ERROR;
}


size_t
sp_abi_revert(char *text, size_t size, const uint8_t *data, size_t len)
{
    char            hex[SP_U256_HEX_MAX];
    sp_u256_t       code;
    sp_abi_value_t  value;

    if (len >= SP_ABI_SELECTOR_LEN
        && memcmp(data, sp_abi_error, SP_ABI_SELECTOR_LEN) == 0)
    {
        value.type = SP_ABI_BYTES;

        if (sp_abi_decode(data + SP_ABI_SELECTOR_LEN,
                          len - SP_ABI_SELECTOR_LEN, &value, 1)
            == SP_OK)
        {
            return sp_abi_text(text, size, "", value.data, value.len);
        }
    }

    if (len == SP_ABI_SELECTOR_LEN + SP_ABI_WORD
        && memcmp(data, sp_abi_panic, SP_ABI_SELECTOR_LEN) == 0)
    {
        (void) sp_u256_from_bytes(&code, data + SP_ABI_SELECTOR_LEN,
                                  SP_ABI_WORD);
        len = sp_u256_to_hex(hex, &code);

        return sp_abi_text(text, size, "panic ", (uint8_t *) hex, len);
    }

    if (len >= SP_ABI_SELECTOR_LEN) {
        sp_hex_encode(hex, data, SP_ABI_SELECTOR_LEN);

        return sp_abi_text(text, size, "custom error 0x", (uint8_t *) hex,
                           2 * SP_ABI_SELECTOR_LEN);
    }

    return sp_abi_text(text, size, "no reason", NULL, 0);
}


int
sp_abi_transfer(const sp_abi_log_t *log, sp_abi_transfer_t *transfer)
{
    size_t  pad;

    pad = SP_ABI_WORD - SP_ETH_ADDRESS_LEN;

    memset(transfer, 0, sizeof(sp_abi_transfer_t));

    if (log->ntopics != 4
        || memcmp(log->topics[0], sp_abi_transfer_topic, SP_ABI_WORD) != 0
        || memcmp(log->topics[1], sp_abi_zero, pad) != 0
        || memcmp(log->topics[2], sp_abi_zero, pad) != 0)
    {
        return SP_ERROR;
    }

    memcpy(transfer->from, log->topics[1] + pad, SP_ETH_ADDRESS_LEN);
    memcpy(transfer->to, log->topics[2] + pad, SP_ETH_ADDRESS_LEN);
    memcpy(transfer->token_id.bytes, log->topics[3], SP_ABI_WORD);

    return SP_OK;
}


static int
sp_abi_encode_word(uint8_t *word, const sp_abi_value_t *value)
{
    if (value->len > SP_ABI_WORD
        || (value->type == SP_ABI_ADDRESS
            && value->len != SP_ETH_ADDRESS_LEN)
        || (value->type == SP_ABI_FIXED && value->len == 0))
    {
        return SP_ERROR;
    }

    if (value->type == SP_ABI_FIXED) {
        memcpy(word, value->data, value->len);

    } else if (value->len != 0) {
        memcpy(word + SP_ABI_WORD - value->len, value->data, value->len);
    }

    return SP_OK;
}


static int
sp_abi_decode_value(const uint8_t *data, size_t data_len, size_t head,
    sp_abi_value_t *value)
{
    size_t          len, offset, pad;
    const uint8_t  *word;

    word = data + head;

    switch (value->type) {

    case SP_ABI_UINT:
        value->data = word;
        value->len = SP_ABI_WORD;
        return SP_OK;

    case SP_ABI_ADDRESS:
        pad = SP_ABI_WORD - SP_ETH_ADDRESS_LEN;

        if (memcmp(word, sp_abi_zero, pad) != 0) {
            return SP_ERROR;
        }

        value->data = word + pad;
        value->len = SP_ETH_ADDRESS_LEN;
        return SP_OK;

    case SP_ABI_FIXED:
        if (value->len == 0 || value->len > SP_ABI_WORD
            || memcmp(word + value->len, sp_abi_zero,
                      SP_ABI_WORD - value->len) != 0)
        {
            return SP_ERROR;
        }

        value->data = word;
        return SP_OK;

    case SP_ABI_BYTES:
        break;
    }

    /* data_len is at least one word: the head is inside */

    if (sp_abi_size(word, data_len - SP_ABI_WORD, &offset) != SP_OK
        || sp_abi_size(data + offset, data_len - offset - SP_ABI_WORD, &len)
           != SP_OK)
    {
        return SP_ERROR;
    }

    offset += SP_ABI_WORD;
    pad = sp_abi_padded(len) - len;

    if (pad > data_len - offset - len
        || memcmp(data + offset + len, sp_abi_zero, pad) != 0)
    {
        return SP_ERROR;
    }

    value->data = data + offset;
    value->len = len;

    return SP_OK;
}


/* a word that must be at most "max" */

static int
sp_abi_size(const uint8_t *word, size_t max, size_t *n)
{
    uint64_t   value;
    sp_u256_t  u256;

    (void) sp_u256_from_bytes(&u256, word, SP_ABI_WORD);

    *n = 0;

    if (sp_u256_get(&u256, &value) != SP_OK || value > max) {
        return SP_ERROR;
    }

    *n = (size_t) value;

    return SP_OK;
}


static size_t
sp_abi_text(char *text, size_t size, const char *prefix, const uint8_t *data,
    size_t len)
{
    size_t  i, n;

    n = 0;

    while (*prefix != '\0' && n < size) {
        text[n++] = *prefix++;
    }

    for (i = 0; i < len && n < size; i++) {
        text[n++] = (char) ((data[i] >= 0x20 && data[i] < 0x7f) ? data[i]
                                                                 : '?');
    }

    return n;
}
