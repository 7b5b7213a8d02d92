
/*
 * Copyright (C) Sallyport authors
 *
 * A value, written as it was spelled: only strings are taken from it, so that
 * numbers which nothing holds, and long strings that were left in the text,
 * come out as they went in.
 */


#include <stdlib.h>
#include <string.h>

#include "sp_json.h"
#include "sp_json_rewrite.h"
#include "sp_json_unescape.h"
#include "sp_out.h"
#include "sp_scan.h"


typedef struct {
    sp_out_t          *out;
    const json_t      *value;    /* of the text at hand */
    size_t             n;        /* members or elements so far */
} sp_json_rewriter_t;


static int sp_json_rewrite_value(sp_scan_t *s, sp_out_t *out,
    const json_t *value);
static int sp_json_rewrite_member(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_json_rewrite_element(sp_scan_t *s, void *data);
static int sp_json_rewrite_string(sp_scan_t *s, sp_out_t *out,
    const json_t *value);
static const json_t *sp_json_rewrite_find(const json_t *object,
    const char *key, size_t len);


size_t
sp_json_rewrite(const json_t *value, const char *text, size_t len, char *dst,
    size_t size)
{
    sp_out_t   out;
    sp_scan_t  s;

    out.dst = dst;
    out.size = size;
    out.len = 0;

    s.pos = text;
    s.last = text + len;
    s.depth = 0;

    sp_scan_space(&s);

    return (sp_json_rewrite_value(&s, &out, value) == 0) ? out.len : 0;
}


static int
sp_json_rewrite_value(sp_scan_t *s, sp_out_t *out, const json_t *value)
{
    int                  rc;
    const char          *start;
    sp_json_rewriter_t   w;

    w.out = out;
    w.value = value;
    w.n = 0;

    if (sp_scan_at(s, '{') && json_is_object(value)) {
        sp_out_put(out, "{", 1);
        rc = sp_scan_object(s, sp_json_rewrite_member, &w);
        sp_out_put(out, "}", 1);

        return rc;
    }

    if (sp_scan_at(s, '[') && json_is_array(value)) {
        sp_out_put(out, "[", 1);
        rc = sp_scan_array(s, sp_json_rewrite_element, &w);
        sp_out_put(out, "]", 1);

        return rc;
    }

    if (sp_scan_at(s, '"') && json_is_string(value)) {
        return sp_json_rewrite_string(s, out, value);
    }

    start = s->pos;

    if (json_is_string(value) || json_is_object(value)
        || json_is_array(value) || sp_scan_skip(s) != 0)
    {
        return -1;
    }

    sp_out_put(out, start, (size_t) (s->pos - start));

    return 0;
}


static int
sp_json_rewrite_member(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_json_rewriter_t *w = data;

    const json_t  *value;

    value = sp_json_rewrite_find(w->value, key, len);

    if (value == NULL) {
        return -1;
    }

    if (w->n++ != 0) {
        sp_out_put(w->out, ",", 1);
    }

    sp_out_put(w->out, "\"", 1);
    sp_out_put(w->out, key, len);
    sp_out_put(w->out, "\":", 2);

    return sp_json_rewrite_value(s, w->out, value);
}


static int
sp_json_rewrite_element(sp_scan_t *s, void *data)
{
    sp_json_rewriter_t *w = data;

    const json_t  *value;

    value = json_array_get(w->value, w->n);

    if (value == NULL) {
        return -1;
    }

    if (w->n++ != 0) {
        sp_out_put(w->out, ",", 1);
    }

    return sp_json_rewrite_value(s, w->out, value);
}


static int
sp_json_rewrite_string(sp_scan_t *s, sp_out_t *out, const json_t *value)
{
    size_t       len, n, offset;
    const char  *text;

    if (sp_scan_string(s, &text, &len) != 0) {
        return -1;
    }

    sp_out_put(out, "\"", 1);

    if (sp_json_bulk(value, &offset, &n)
        || (json_string_length(value) == len
            && memcmp(json_string_value(value), text, len) == 0
            && memchr(text, '\\', len) == NULL))
    {
        sp_out_put(out, text, len);

    } else {
        sp_out_text(out, json_string_value(value),
                    json_string_length(value));
    }

    sp_out_put(out, "\"", 1);

    return 0;
}


/* escapes in a key: decoded first */

static const json_t *
sp_json_rewrite_find(const json_t *object, const char *key, size_t len)
{
    char          *name;
    size_t         n;
    const json_t  *value;

    if (memchr(key, '\\', len) == NULL) {
        return json_object_getn(object, key, len);
    }

    name = malloc(3 * len);

    if (name == NULL) {
        return NULL;
    }

    n = sp_json_unescape(name, 3 * len, key, len);
    value = json_object_getn(object, name, n);

    free(name);

    return value;
}
