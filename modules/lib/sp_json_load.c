
/*
 * Copyright (C) Sallyport authors
 *
 * A quick builder of jansson values from text whose UTF-8 is checked already.
 * It stops at the first byte that it cannot take: "pos" is where, "status"
 * why.
 */


#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "sp_json_load.h"
#include "sp_json_unescape.h"


/* more digits than any int64_t is sure to hold */
#define SP_JSON_DIGITS  18


typedef struct {
    const char               *start;
    const char               *pos;
    const char               *last;
    const sp_json_limits_t   *limits;
    unsigned                  depth;  /* levels that may still be opened */
    char                     *text;   /* of a string with escapes */
    sp_json_status_e          status; /* of a failure */
} sp_json_loader_t;


static json_t *sp_json_load_value(sp_json_loader_t *l);
static json_t *sp_json_load_object(sp_json_loader_t *l);
static int sp_json_load_member(sp_json_loader_t *l, json_t *object);
static int sp_json_load_pair(sp_json_loader_t *l, json_t *object,
    const char *key, size_t len, const char *start);
static int sp_json_load_is_bulky(const sp_json_loader_t *l, const char *key,
    size_t len);
static json_t *sp_json_load_bulk(sp_json_loader_t *l);
static json_t *sp_json_load_text(sp_json_loader_t *l, const char *text,
    size_t len);
static json_t *sp_json_load_array(sp_json_loader_t *l);
static json_t *sp_json_load_number(sp_json_loader_t *l);
static json_t *sp_json_load_large(sp_json_loader_t *l, const char *start);
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


sp_json_status_e
sp_json_load(const char *text, size_t len, const sp_json_limits_t *limits,
    json_t **value, size_t *offset)
{
    sp_json_loader_t  l;

    l.start = text;
    l.pos = text;
    l.last = text + len;
    l.limits = limits;
    l.depth = limits->depth;
    l.text = NULL;
    l.status = SP_JSON_SYNTAX;

    sp_json_load_space(&l);

    *value = sp_json_load_value(&l);

    if (*value != NULL) {
        sp_json_load_space(&l);

        if (l.pos != l.last) {
            json_decref(*value);
            *value = NULL;
        }
    }

    free(l.text);

    *offset = (*value != NULL) ? 0 : (size_t) (l.pos - text);

    return (*value != NULL) ? SP_JSON_OK : l.status;
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
            l->status = SP_JSON_TOO_DEEP;
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

        return sp_json_load_text(l, text, len);

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
        l->status = SP_JSON_NO_MEMORY;
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
    int          rc;
    char         key[64], *copy;
    size_t       len;
    const char  *start, *text;

    start = l->pos;

    if (sp_json_load_string(l, &text, &len) != 0) {
        return -1;
    }

    if (text != l->text) {
        return sp_json_load_pair(l, object, text, len, start);
    }

    /* the memory of an escaped key is used again by the value */

    copy = (len <= sizeof(key)) ? key : malloc(len);

    if (copy == NULL) {
        l->status = SP_JSON_NO_MEMORY;
        return -1;
    }

    memcpy(copy, text, len);

    rc = sp_json_load_pair(l, object, copy, len, start);

    if (copy != key) {
        free(copy);
    }

    return rc;
}


static int
sp_json_load_pair(sp_json_loader_t *l, json_t *object, const char *key,
    size_t len, const char *start)
{
    size_t   size;
    json_t  *value;

    sp_json_load_space(l);

    if (!sp_json_load_at(l, ':')) {
        return -1;
    }

    sp_json_load_space(l);

    value = sp_json_load_is_bulky(l, key, len) ? sp_json_load_bulk(l)
                                               : sp_json_load_value(l);
    if (value == NULL) {
        return -1;
    }

    size = json_object_size(object);

    if (json_object_setn_new_nocheck(object, key, len, value) != 0) {
        l->status = SP_JSON_NO_MEMORY;
        return -1;
    }

    if (json_object_size(object) == size) {
        l->status = SP_JSON_DUPLICATE_KEY;
        l->pos = start;
        return -1;
    }

    return 0;
}


/* the value is a string that may stay where it is */

static int
sp_json_load_is_bulky(const sp_json_loader_t *l, const char *key, size_t len)
{
    const char *const  *name;

    if (l->limits->bulky == NULL
        || l->last - l->pos <= SP_JSON_BULK
        || *l->pos != '"')
    {
        return 0;
    }

    for (name = l->limits->bulky; *name != NULL; name++) {
        if (strlen(*name) == len && memcmp(*name, key, len) == 0) {
            return 1;
        }
    }

    return 0;
}


static json_t *
sp_json_load_bulk(sp_json_loader_t *l)
{
    char         stub[SP_JSON_BULK_HEAD + 1 + 2 * sizeof(size_t)], utf8[4];
    size_t       len, n, offset;
    const char  *start;

    start = ++l->pos;

    for ( ;; ) {
        l->pos = sp_json_plain(l->pos, l->last, 0);

        if (l->pos == l->last) {
            return NULL;
        }

        if (*l->pos == '"') {
            break;
        }

        if (*l->pos != '\\') {
            return NULL;
        }

        l->pos++;

        if (sp_json_load_escape(l, utf8) == NULL) {
            return NULL;
        }
    }

    len = (size_t) (l->pos - start);

    if (len <= SP_JSON_BULK) {
        l->pos = start - 1;
        return sp_json_load_value(l);
    }

    l->pos++;

    n = sp_json_unescape(stub, SP_JSON_BULK_HEAD, start, len);
    offset = (size_t) (start - l->start);

    stub[n++] = '\0';
    memcpy(stub + n, &offset, sizeof(size_t));
    memcpy(stub + n + sizeof(size_t), &len, sizeof(size_t));

    return sp_json_load_text(l, stub, n + 2 * sizeof(size_t));
}


static json_t *
sp_json_load_text(sp_json_loader_t *l, const char *text, size_t len)
{
    json_t  *value;

    value = json_stringn_nocheck(text, len);

    if (value == NULL) {
        l->status = SP_JSON_NO_MEMORY;
    }

    return value;
}


static json_t *
sp_json_load_array(sp_json_loader_t *l)
{
    json_t  *array, *value;

    array = json_array();
    if (array == NULL) {
        l->status = SP_JSON_NO_MEMORY;
        return NULL;
    }

    l->pos++;
    sp_json_load_space(l);

    if (sp_json_load_at(l, ']')) {
        return array;
    }

    for ( ;; ) {

        value = sp_json_load_value(l);

        if (value == NULL) {
            break;
        }

        if (json_array_append_new(array, value) != 0) {
            l->status = SP_JSON_NO_MEMORY;
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
        l->pos = start;
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
        return sp_json_load_large(l, start);
    }

    value = 0;

    for (i = 0; i < n; i++) {
        value = value * 10 + (start[(size_t) minus + i] - '0');
    }

    return json_integer(minus ? -value : value);
}


/* a real, or an integer of many digits: syntax is checked */

static json_t *
sp_json_load_large(sp_json_loader_t *l, const char *start)
{
    size_t   len;
    json_t  *value;

    len = (size_t) (l->pos - start);

    value = json_loadb(start, len, JSON_DECODE_ANY, NULL);

    if (value != NULL) {
        return value;
    }

    if (!l->limits->any_number) {
        l->status = SP_JSON_NUMBER;
        l->pos = start;
        return NULL;
    }

    value = json_loadb(start, len, JSON_DECODE_ANY|JSON_DECODE_INT_AS_REAL,
                       NULL);

    return (value != NULL) ? value
                           : json_real(*start == '-' ? -DBL_MAX : DBL_MAX);
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

    if (p == l->last || (*p != '"' && *p != '\\')) {
        l->pos = p;
        return -1;
    }

    if (*p == '\\') {
        l->pos = p;
        return sp_json_load_escaped(l, start, text, len);
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
            l->status = SP_JSON_NO_MEMORY;
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
    unsigned     code, low;
    const char  *start;

    start = l->pos - 2;

    if (sp_json_load_hex(l, &code) != 0) {
        return NULL;
    }

    low = 0;

    if (code >= 0xd800 && code <= 0xdbff
        && l->last - l->pos >= 2 && l->pos[0] == '\\' && l->pos[1] == 'u')
    {
        l->pos += 2;

        if (sp_json_load_hex(l, &low) != 0) {
            return NULL;
        }
    }

    if (code == 0
        || (code >= 0xd800 && code <= 0xdfff
            && (low < 0xdc00 || low > 0xdfff)))
    {
        l->status = SP_JSON_CODE_POINT;
        l->pos = start;
        return NULL;
    }

    if (low != 0) {
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
