
/*
 * Copyright (C) Sallyport authors
 */

#include <stdint.h>
#include <string.h>

#include "sp_json.h"
#include "sp_json_load.h"
#include "sp_utf8.h"
#include "sp_word.h"


#define SP_JSON_DEPTH  32


static sp_json_status_e sp_json_check_bytes(const char *text, size_t len,
    size_t *offset);
static size_t sp_json_escape_char(char out[6], uint8_t c);


const char *
sp_json_strerror(sp_json_status_e status)
{
    switch (status) {

    case SP_JSON_OK:
        return "the text is valid JSON";

    case SP_JSON_UTF8:
        return "the text is not valid UTF-8";

    case SP_JSON_CODE_POINT:
        return "U+0000 and lone surrogates are not accepted in a string";

    case SP_JSON_NUMBER:
        return "a number is out of range";

    case SP_JSON_DUPLICATE_KEY:
        return "an object has the same key twice";

    case SP_JSON_TOO_DEEP:
        return "the JSON is nested too deep";

    case SP_JSON_TOO_LARGE:
        return "the JSON text is too large";

    case SP_JSON_NO_MEMORY:
        return "out of memory";

    case SP_JSON_SYNTAX:
        break;
    }

    return "the text is not valid JSON";
}


sp_json_status_e
sp_json_parse(const char *text, size_t len, const sp_json_limits_t *limits,
    json_t **value, size_t *offset)
{
    size_t             at;
    sp_json_limits_t   given;
    sp_json_status_e   status;

    *value = NULL;

    if (offset == NULL) {
        offset = &at;
    }

    *offset = 0;

    memset(&given, 0, sizeof(sp_json_limits_t));

    if (limits != NULL) {
        given = *limits;
    }

    if (given.size != 0 && len > given.size) {
        *offset = given.size;
        return SP_JSON_TOO_LARGE;
    }

    if (given.depth == 0) {
        given.depth = SP_JSON_DEPTH;
    }

    status = sp_json_check_bytes(text, len, offset);
    if (status != SP_JSON_OK) {
        return status;
    }

    return sp_json_load(text, len, &given, value, offset);
}


/* UTF-8 of the whole text, and NUL bytes, which end no string here */

static sp_json_status_e
sp_json_check_bytes(const char *text, size_t len, size_t *offset)
{
    size_t       i;
    const char  *nul;

    nul = len != 0 ? memchr(text, '\0', len) : NULL;
    if (nul != NULL) {
        *offset = (size_t) (nul - text);
        return SP_JSON_SYNTAX;
    }

    i = sp_utf8_valid(text, len);
    if (i != len) {
        *offset = i;
        return SP_JSON_UTF8;
    }

    return SP_JSON_OK;
}


int
sp_json_bulk(const json_t *value, size_t *offset, size_t *len)
{
    size_t       head, size;
    const char  *text;

    text = json_string_value(value);
    size = json_string_length(value);

    if (text == NULL || size < 2 * sizeof(size_t) + 1) {
        return 0;
    }

    head = size - 2 * sizeof(size_t) - 1;

    if (text[head] != '\0' || head > SP_JSON_BULK_HEAD) {
        return 0;
    }

    memcpy(offset, text + head + 1, sizeof(size_t));
    memcpy(len, text + head + 1 + sizeof(size_t), sizeof(size_t));

    return 1;
}


const char *
sp_json_string(const json_t *object, const char *key, size_t *len)
{
    const json_t  *value;

    *len = 0;

    value = json_object_get(object, key);
    if (!json_is_string(value)) {
        return NULL;
    }

    *len = json_string_length(value);

    return json_string_value(value);
}


const char *
sp_json_plain(const char *p, const char *last, int ascii)
{
    uint64_t  word, high;

    high = ascii ? SP_WORD_TOPS : 0;

    while ((size_t) (last - p) >= sizeof(word)) {
        memcpy(&word, p, sizeof(word));

        if (sp_word_below(word, 0x20) | sp_word_has(word, '"')
            | sp_word_has(word, '\\') | (word & high))
        {
            break;
        }

        p += sizeof(word);
    }

    while (p < last && *p != '"' && *p != '\\' && (uint8_t) *p >= 0x20
           && !(ascii && (uint8_t) *p >= 0x80))
    {
        p++;
    }

    return p;
}


size_t
sp_json_escape(char *dst, size_t size, const char *text, size_t len)
{
    char    out[6];
    size_t  copy, i, n, need;

    need = 0;
    i = 0;

    while (i < len) {

        /* most text needs no escape at all: runs of it at once */

        n = (size_t) (sp_json_plain(text + i, text + len, 1) - (text + i));

        if (n != 0) {

            if (need < size) {
                copy = size - need < n ? size - need : n;
                memcpy(dst + need, text + i, copy);
            }

            need += n;
            i += n;

            continue;
        }

        n = sp_utf8_char(text + i, len - i);

        if (n > 1) {
            memcpy(out, text + i, n);
            i += n;

        } else if (n == 1) {
            n = sp_json_escape_char(out, (uint8_t) text[i]);
            i++;

        } else {

            /* a byte that is no UTF-8: the output must stay JSON */

            memcpy(out, "\\ufffd", 6);
            n = 6;
            i++;
        }

        if (need < size) {
            copy = size - need < n ? size - need : n;
            memcpy(dst + need, out, copy);
        }

        need += n;
    }

    return need;
}


static size_t
sp_json_escape_char(char out[6], uint8_t c)
{
    size_t             i;

    static const char  from[] = "\"\\\b\f\n\r\t";
    static const char  to[] = "\"\\bfnrt";
    static const char  digits[] = "0123456789abcdef";

    if (c >= 0x20 && c != '"' && c != '\\') {
        out[0] = (char) c;
        return 1;
    }

    for (i = 0; from[i] != '\0'; i++) {
        if (c == (uint8_t) from[i]) {
            out[0] = '\\';
            out[1] = to[i];
            return 2;
        }
    }

    memcpy(out, "\\u00", 4);
    out[4] = digits[c >> 4];
    out[5] = digits[c & 0x0f];

    return 6;
}
