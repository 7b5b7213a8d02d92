
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

#include "sp_query.h"


#define SP_QUERY_SIZE  16384


static sp_query_status_e sp_query_pair(const char *text, size_t len,
    char *buf, json_t *object);
static sp_query_status_e sp_query_decode(const char *text, size_t len,
    char *dst, size_t *out);
static int sp_query_hex(char c);


static const char *const  sp_query_errors[] = {
    "no error",
    "the query string has an invalid escape",
    "the query string is not UTF-8",
    "a query parameter occurs twice",
    "the query string is too large",
    "out of memory"
};


const char *
sp_query_strerror(sp_query_status_e status)
{
    return sp_query_errors[status];
}


sp_query_status_e
sp_query_parse(const char *text, size_t len, size_t max, json_t **object)
{
    char               buf[SP_QUERY_SIZE + 2];
    size_t             n;
    json_t            *root;
    const char        *amp, *end;
    sp_query_status_e  status;

    *object = NULL;

    if (len > SP_QUERY_SIZE) {
        return SP_QUERY_TOO_LARGE;
    }

    root = json_object();
    if (root == NULL) {
        return SP_QUERY_NO_MEMORY;
    }

    status = SP_QUERY_OK;
    end = text + len;

    for (n = 0; text < end; text = amp + 1) {

        amp = memchr(text, '&', (size_t) (end - text));
        if (amp == NULL) {
            amp = end;
        }

        if (amp == text) {
            continue;
        }

        if (n++ == max) {
            status = SP_QUERY_TOO_LARGE;
            break;
        }

        status = sp_query_pair(text, (size_t) (amp - text), buf, root);
        if (status != SP_QUERY_OK) {
            break;
        }

        if (amp == end) {
            break;
        }
    }

    if (status != SP_QUERY_OK) {
        json_decref(root);
        return status;
    }

    *object = root;

    return SP_QUERY_OK;
}


/* buf holds the name, its NUL, and the value: never longer than the text */

static sp_query_status_e
sp_query_pair(const char *text, size_t len, char *buf, json_t *object)
{
    char               *value;
    json_t             *string;
    size_t              name_len, value_len;
    const char         *eq;
    sp_query_status_e   status;

    eq = memchr(text, '=', len);
    name_len = (eq == NULL) ? len : (size_t) (eq - text);

    status = sp_query_decode(text, name_len, buf, &value_len);
    if (status != SP_QUERY_OK) {
        return status;
    }

    value = buf + value_len + 1;
    value_len = 0;

    if (eq != NULL) {
        status = sp_query_decode(eq + 1, len - name_len - 1, value,
                                 &value_len);
        if (status != SP_QUERY_OK) {
            return status;
        }
    }

    if (json_object_get(object, buf) != NULL) {
        return SP_QUERY_DUPLICATE;
    }

    /* both refuse what is not UTF-8 */

    string = json_stringn(value, value_len);
    if (string == NULL) {
        return SP_QUERY_UTF8;
    }

    if (json_object_set_new(object, buf, string) != 0) {
        return SP_QUERY_UTF8;
    }

    return SP_QUERY_OK;
}


static sp_query_status_e
sp_query_decode(const char *text, size_t len, char *dst, size_t *out)
{
    int     high, low;
    char    c;
    size_t  i, n;

    *out = 0;
    n = 0;

    for (i = 0; i < len; i++) {
        c = text[i];

        if (c == '+') {
            c = ' ';

        } else if (c == '%') {

            if (len - i < 3) {
                return SP_QUERY_ESCAPE;
            }

            high = sp_query_hex(text[i + 1]);
            low = sp_query_hex(text[i + 2]);

            if (high < 0 || low < 0) {
                return SP_QUERY_ESCAPE;
            }

            c = (char) (high * 16 + low);
            i += 2;
        }

        if (c == '\0') {
            return SP_QUERY_ESCAPE;
        }

        dst[n++] = c;
    }

    dst[n] = '\0';
    *out = n;

    return SP_QUERY_OK;
}


static int
sp_query_hex(char c)
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
