
/*
 * Copyright (C) Sallyport authors
 *
 * A quick builder of jansson values from text whose UTF-8 is checked already.
 * It judges nothing: what it does not take is left to jansson, which refuses
 * it or not, and says why.
 */


#include <stdlib.h>
#include <string.h>

#include "sp_json_load.h"


/* more digits than any int64_t is sure to hold */
#define SP_JSON_DIGITS  18


typedef struct {
    const char    *pos;
    const char    *last;
    unsigned       depth;        /* levels that may still be opened */
    char          *text;         /* of a string with escapes */
} sp_json_loader_t;


static json_t *sp_json_load_value(sp_json_loader_t *l);
static json_t *sp_json_load_object(sp_json_loader_t *l);
static int sp_json_load_member(sp_json_loader_t *l, json_t *object);
static json_t *sp_json_load_array(sp_json_loader_t *l);
static json_t *sp_json_load_number(sp_json_loader_t *l);
static size_t sp_json_load_digits(sp_json_loader_t *l);
static json_t *sp_json_load_word(sp_json_loader_t *l, const char *word,
    json_t *value);
static int sp_json_load_string(sp_json_loader_t *l, const char **text,
    size_t *len);
static int sp_json_load_escaped(sp_json_loader_t *l, const char *start,
    const char **text, size_t *len);
static char *sp_json_load_escape(sp_json_loader_t *l, char *dst);
static char *sp_json_load_unicode(sp_json_loader_t *l, char *dst);
static int sp_json_load_hex(sp_json_loader_t *l, unsigned *code);
static int sp_json_load_at(sp_json_loader_t *l, char c);
static void sp_json_load_space(sp_json_loader_t *l);


json_t *
sp_json_load(const char *text, size_t len, unsigned depth)
{
    json_t            *value;
    sp_json_loader_t   l;

    l.pos = text;
    l.last = text + len;
    l.depth = depth;
    l.text = NULL;

    sp_json_load_space(&l);

    value = sp_json_load_value(&l);

    sp_json_load_space(&l);

    if (l.pos != l.last) {
        json_decref(value);
        value = NULL;
    }

    free(l.text);

    return value;
}


static json_t *
sp_json_load_value(sp_json_loader_t *l)
{
    size_t       len;
    json_t      *value;
    const char  *text;

    if (l->pos == l->last) {
        return NULL;
    }

    switch (*l->pos) {

    case '{':
    case '[':
        if (l->depth == 0) {
            return NULL;
        }

        l->depth--;

        value = (*l->pos == '{') ? sp_json_load_object(l)
                                 : sp_json_load_array(l);
        l->depth++;

        return value;

    case '"':
        if (sp_json_load_string(l, &text, &len) != 0) {
            return NULL;
        }

        return json_stringn_nocheck(text, len);

    case 't':
        return sp_json_load_word(l, "true", json_true());

    case 'f':
        return sp_json_load_word(l, "false", json_false());

    case 'n':
        return sp_json_load_word(l, "null", json_null());

    default:
        return sp_json_load_number(l);
    }
}


static json_t *
sp_json_load_object(sp_json_loader_t *l)
{
    json_t  *object;

    object = json_object();
    if (object == NULL) {
        return NULL;
    }

    l->pos++;
    sp_json_load_space(l);

    if (sp_json_load_at(l, '}')) {
        return object;
    }

    for ( ;; ) {

        if (sp_json_load_member(l, object) != 0) {
            break;
        }

        sp_json_load_space(l);

        if (sp_json_load_at(l, '}')) {
            return object;
        }

        if (!sp_json_load_at(l, ',')) {
            break;
        }

        sp_json_load_space(l);
    }

    json_decref(object);

    return NULL;
}


static int
sp_json_load_member(sp_json_loader_t *l, json_t *object)
{
    char         key[64], *copy;
    size_t       len, size;
    json_t      *value;
    const char  *text;

    if (sp_json_load_string(l, &text, &len) != 0) {
        return -1;
    }

    /* the memory of an escaped key is used again by the value */

    copy = NULL;

    if (text == l->text) {

        if (len > sizeof(key)) {
            return -1;
        }

        copy = key;
        memcpy(copy, text, len);
    }

    sp_json_load_space(l);

    if (!sp_json_load_at(l, ':')) {
        return -1;
    }

    sp_json_load_space(l);

    value = sp_json_load_value(l);
    if (value == NULL) {
        return -1;
    }

    size = json_object_size(object);

    if (json_object_setn_new_nocheck(object, copy != NULL ? copy : text, len,
                                     value)
        != 0)
    {
        return -1;
    }

    /* a key that was there before */

    return json_object_size(object) == size + 1 ? 0 : -1;
}


static json_t *
sp_json_load_array(sp_json_loader_t *l)
{
    json_t  *array, *value;

    array = json_array();
    if (array == NULL) {
        return NULL;
    }

    l->pos++;
    sp_json_load_space(l);

    if (sp_json_load_at(l, ']')) {
        return array;
    }

    for ( ;; ) {

        value = sp_json_load_value(l);

        if (value == NULL || json_array_append_new(array, value) != 0) {
            break;
        }

        sp_json_load_space(l);

        if (sp_json_load_at(l, ']')) {
            return array;
        }

        if (!sp_json_load_at(l, ',')) {
            break;
        }

        sp_json_load_space(l);
    }

    json_decref(array);

    return NULL;
}


static json_t *
sp_json_load_number(sp_json_loader_t *l)
{
    int          minus, real;
    size_t       i, n;
    json_int_t   value;
    const char  *start;

    start = l->pos;
    minus = sp_json_load_at(l, '-');
    real = 0;

    n = sp_json_load_digits(l);

    if (n == 0 || (n > 1 && start[minus] == '0')) {
        return NULL;
    }

    if (sp_json_load_at(l, '.')) {
        real = 1;

        if (sp_json_load_digits(l) == 0) {
            return NULL;
        }
    }

    if (sp_json_load_at(l, 'e') || sp_json_load_at(l, 'E')) {
        real = 1;

        if (!sp_json_load_at(l, '-')) {
            (void) sp_json_load_at(l, '+');
        }

        if (sp_json_load_digits(l) == 0) {
            return NULL;
        }
    }

    if (real || n > SP_JSON_DIGITS) {
        return json_loadb(start, (size_t) (l->pos - start), JSON_DECODE_ANY,
                          NULL);
    }

    value = 0;

    for (i = 0; i < n; i++) {
        value = value * 10 + (start[(size_t) minus + i] - '0');
    }

    return json_integer(minus ? -value : value);
}


static size_t
sp_json_load_digits(sp_json_loader_t *l)
{
    const char  *start;

    start = l->pos;

    while (l->pos < l->last && *l->pos >= '0' && *l->pos <= '9') {
        l->pos++;
    }

    return (size_t) (l->pos - start);
}


static json_t *
sp_json_load_word(sp_json_loader_t *l, const char *word, json_t *value)
{
    size_t  len;

    len = strlen(word);

    if ((size_t) (l->last - l->pos) < len
        || memcmp(l->pos, word, len) != 0)
    {
        return NULL;
    }

    l->pos += len;

    return value;
}


/* in the source where nothing is escaped, else in l->text */

static int
sp_json_load_string(sp_json_loader_t *l, const char **text, size_t *len)
{
    const char  *p, *start;

    if (!sp_json_load_at(l, '"')) {
        return -1;
    }

    start = l->pos;

    p = sp_json_plain(start, l->last, 0);

    if (p == l->last) {
        return -1;
    }

    if (*p == '\\') {
        l->pos = p;
        return sp_json_load_escaped(l, start, text, len);
    }

    if (*p != '"') {
        return -1;
    }

    *text = start;
    *len = (size_t) (p - start);

    l->pos = p + 1;

    return 0;
}


static int
sp_json_load_escaped(sp_json_loader_t *l, const char *start,
    const char **text, size_t *len)
{
    char   *dst;
    size_t  n;

    /* what is decoded, here or later, is no longer than the rest */

    if (l->text == NULL) {
        l->text = malloc((size_t) (l->last - start));
        if (l->text == NULL) {
            return -1;
        }
    }

    n = (size_t) (l->pos - start);

    memcpy(l->text, start, n);
    dst = l->text + n;

    while (l->pos < l->last) {

        if (*l->pos == '"') {
            l->pos++;

            *text = l->text;
            *len = (size_t) (dst - l->text);

            return 0;
        }

        if (*l->pos != '\\') {
            start = l->pos;
            l->pos = sp_json_plain(start, l->last, 0);
            n = (size_t) (l->pos - start);

            if (n == 0) {
                return -1;
            }

            memcpy(dst, start, n);
            dst += n;

            continue;
        }

        l->pos++;

        dst = sp_json_load_escape(l, dst);
        if (dst == NULL) {
            return -1;
        }
    }

    return -1;
}


static char *
sp_json_load_escape(sp_json_loader_t *l, char *dst)
{
    const char  *found;

    static const char  from[] = "\"\\/bfnrt";
    static const char  to[] = "\"\\/\b\f\n\r\t";

    if (l->pos == l->last) {
        return NULL;
    }

    if (*l->pos == 'u') {
        l->pos++;
        return sp_json_load_unicode(l, dst);
    }

    found = memchr(from, *l->pos, sizeof(from) - 1);
    if (found == NULL) {
        return NULL;
    }

    l->pos++;

    *dst++ = to[found - from];

    return dst;
}


static char *
sp_json_load_unicode(sp_json_loader_t *l, char *dst)
{
    unsigned  code, low;

    if (sp_json_load_hex(l, &code) != 0 || code == 0
        || (code >= 0xdc00 && code <= 0xdfff))
    {
        return NULL;
    }

    if (code >= 0xd800 && code <= 0xdbff) {

        if (!sp_json_load_at(l, '\\') || !sp_json_load_at(l, 'u')
            || sp_json_load_hex(l, &low) != 0
            || low < 0xdc00 || low > 0xdfff)
        {
            return NULL;
        }

        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);

        *dst++ = (char) (0xf0 | (code >> 18));
        *dst++ = (char) (0x80 | ((code >> 12) & 0x3f));
        *dst++ = (char) (0x80 | ((code >> 6) & 0x3f));
        *dst++ = (char) (0x80 | (code & 0x3f));

        return dst;
    }

    if (code < 0x80) {
        *dst++ = (char) code;
        return dst;
    }

    if (code < 0x800) {
        *dst++ = (char) (0xc0 | (code >> 6));

    } else {
        *dst++ = (char) (0xe0 | (code >> 12));
        *dst++ = (char) (0x80 | ((code >> 6) & 0x3f));
    }

    *dst++ = (char) (0x80 | (code & 0x3f));

    return dst;
}


static int
sp_json_load_hex(sp_json_loader_t *l, unsigned *code)
{
    char      c;
    unsigned  i;

    if (l->last - l->pos < 4) {
        return -1;
    }

    *code = 0;

    for (i = 0; i < 4; i++) {
        c = *l->pos++;

        if (c >= '0' && c <= '9') {
            *code = *code * 16 + (unsigned) (c - '0');

        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            *code = *code * 16 + (unsigned) ((c | 0x20) - 'a' + 10);

        } else {
            return -1;
        }
    }

    return 0;
}


/* takes the byte when it is c */

static int
sp_json_load_at(sp_json_loader_t *l, char c)
{
    if (l->pos == l->last || *l->pos != c) {
        return 0;
    }

    l->pos++;

    return 1;
}


static void
sp_json_load_space(sp_json_loader_t *l)
{
    while (l->pos < l->last
           && (*l->pos == ' ' || *l->pos == '\n'
               || *l->pos == '\r' || *l->pos == '\t'))
    {
        l->pos++;
    }
}
