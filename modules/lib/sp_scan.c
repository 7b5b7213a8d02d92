
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_json_unescape.h"
#include "sp_scan.h"


#define SP_SCAN_MORE  1


typedef struct {
    const char    *name;
    const char    *value;
    size_t         len;
} sp_scan_find_t;


static int sp_scan_open(sp_scan_t *s, char open, char close);
static int sp_scan_next(sp_scan_t *s, char close);
static int sp_scan_close(sp_scan_t *s, char close);
static int sp_scan_scalar(sp_scan_t *s);
static int sp_scan_found(sp_scan_t *s, const char *key, size_t len,
    void *data);


int
sp_scan_object(sp_scan_t *s, sp_scan_member_pt member, void *data)
{
    int          rc;
    size_t       len;
    const char  *key;

    rc = sp_scan_open(s, '{', '}');

    while (rc == SP_SCAN_MORE) {

        if (sp_scan_string(s, &key, &len) != 0) {
            return -1;
        }

        sp_scan_space(s);

        if (!sp_scan_at(s, ':')) {
            return -1;
        }

        s->pos++;
        sp_scan_space(s);

        rc = member(s, key, len, data);

        if (rc != 0) {
            return rc;
        }

        rc = sp_scan_next(s, '}');
    }

    return rc;
}


int
sp_scan_array(sp_scan_t *s, sp_scan_element_pt element, void *data)
{
    int  rc;

    rc = sp_scan_open(s, '[', ']');

    while (rc == SP_SCAN_MORE) {
        rc = element(s, data);

        if (rc != 0) {
            return rc;
        }

        rc = sp_scan_next(s, ']');
    }

    return rc;
}


/* of an object or array: SP_SCAN_MORE, 0 at its end, -1 */

static int
sp_scan_open(sp_scan_t *s, char open, char close)
{
    if (!sp_scan_at(s, open) || ++s->depth > SP_SCAN_MAX_DEPTH) {
        return -1;
    }

    s->pos++;
    sp_scan_space(s);

    return sp_scan_close(s, close) ? 0 : SP_SCAN_MORE;
}


/* behind a member or element, as sp_scan_open() */

static int
sp_scan_next(sp_scan_t *s, char close)
{
    sp_scan_space(s);

    if (sp_scan_close(s, close)) {
        return 0;
    }

    if (!sp_scan_at(s, ',')) {
        return -1;
    }

    s->pos++;
    sp_scan_space(s);

    return SP_SCAN_MORE;
}


static int
sp_scan_close(sp_scan_t *s, char close)
{
    if (!sp_scan_at(s, close)) {
        return 0;
    }

    s->pos++;
    s->depth--;

    return 1;
}


int
sp_scan_string(sp_scan_t *s, const char **text, size_t *len)
{
    const char  *p, *q, *start;

    if (!sp_scan_at(s, '"')) {
        return -1;
    }

    start = s->pos + 1;

    for (p = start; /* void */ ; p++) {

        p = memchr(p, '"', (size_t) (s->last - p));

        if (p == NULL) {
            return -1;
        }

        /* an even number of backslashes before it: it ends the string */

        for (q = p; q > start && q[-1] == '\\'; q--) {
            /* void */
        }

        if (((p - q) & 1) == 0) {
            break;
        }
    }

    *text = start;
    *len = (size_t) (p - start);

    s->pos = p + 1;

    return 0;
}


int
sp_scan_integer(sp_scan_t *s, int64_t *value)
{
    int64_t      n;
    const char  *p;

    n = 0;

    for (p = s->pos; p < s->last && *p >= '0' && *p <= '9'; p++) {

        if (n > (INT64_MAX - 9) / 10) {
            return sp_scan_skip(s);
        }

        n = n * 10 + (*p - '0');
    }

    if (p == s->pos
        || (p < s->last && (*p == '.' || *p == 'e' || *p == 'E')))
    {
        return sp_scan_skip(s);
    }

    s->pos = p;
    *value = n;

    return 0;
}


int
sp_scan_skip(sp_scan_t *s)
{
    char         c;
    size_t       len;
    unsigned     depth;
    const char  *text;

    depth = 0;

    /* brackets are counted, not matched by kind: nothing in here is read */

    do {
        sp_scan_space(s);

        if (s->pos == s->last) {
            return -1;
        }

        c = *s->pos;

        switch (c) {

        case '"':
            if (sp_scan_string(s, &text, &len) != 0) {
                return -1;
            }

            break;

        case '{':
        case '[':
            if (++depth + s->depth > SP_SCAN_MAX_DEPTH) {
                return -1;
            }

            s->pos++;
            break;

        case '}':
        case ']':
            if (depth == 0) {
                return -1;
            }

            depth--;
            s->pos++;
            break;

        case ',':
        case ':':
            if (depth == 0) {
                return -1;
            }

            s->pos++;
            break;

        default:
            if (sp_scan_scalar(s) != 0) {
                return -1;
            }
        }

    } while (depth != 0);

    return 0;
}


/* a number, true, false, null */

static int
sp_scan_scalar(sp_scan_t *s)
{
    char         c;
    const char  *p;

    for (p = s->pos; p < s->last; p++) {
        c = *p;

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
              || c == '-' || c == '+' || c == '.' || c == 'E'))
        {
            break;
        }
    }

    if (p == s->pos) {
        return -1;
    }

    s->pos = p;

    return 0;
}


int
sp_scan_find(const char *text, size_t len, const char *name,
    const char **value, size_t *value_len)
{
    sp_scan_t       s;
    sp_scan_find_t  find;

    s.pos = text;
    s.last = text + len;
    s.depth = 0;

    find.name = name;
    find.value = NULL;

    sp_scan_space(&s);

    (void) sp_scan_object(&s, sp_scan_found, &find);

    if (find.value == NULL) {
        return -1;
    }

    *value = find.value;
    *value_len = find.len;

    return 0;
}


static int
sp_scan_found(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_scan_find_t *find = data;

    const char  *start;

    start = s->pos;

    if (sp_scan_skip(s) != 0) {
        return -1;
    }

    if (!sp_scan_is(key, len, find->name)) {
        return 0;
    }

    find->value = start;
    find->len = (size_t) (s->pos - start);

    return 1;
}


/* "mod\u0065l" is longer than its name, and the same key */

int
sp_scan_is_escaped(const char *key, size_t len, const char *name)
{
    char    text[64];
    size_t  n;

    n = strlen(name);

    return n < sizeof(text)
           && len <= 6 * n
           && memchr(key, '\\', len) != NULL
           && sp_json_unescape(text, n + 1, key, len) == n
           && memcmp(text, name, n) == 0;
}
