
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_json_shorten.h"
#include "sp_word.h"


static void sp_json_shorten_string(sp_json_shorten_t *s, char c);
static void sp_json_shorten_put(sp_json_shorten_t *s, char c);
static const char *sp_json_shorten_skip(const char *p, const char *last);


void
sp_json_shorten(sp_json_shorten_t *s, const char *p, size_t len)
{
    char         c;
    const char  *last;

    last = p + len;

    while (p < last && !s->full) {

        if (s->cut && !s->escaped) {
            p = sp_json_shorten_skip(p, last);

            if (p == last) {
                return;
            }
        }

        c = *p++;

        if (c == '\n' || c == '\r') {
            s->string = 0;
            s->escaped = 0;
            s->cut = 0;

            sp_json_shorten_put(s, c);

        } else if (s->string) {
            sp_json_shorten_string(s, c);

        } else {
            sp_json_shorten_put(s, c);

            s->string = (c == '"');
            s->begin = s->len;
        }
    }
}


static void
sp_json_shorten_string(sp_json_shorten_t *s, char c)
{
    if (s->escaped) {
        s->escaped = 0;

    } else if (c == '"') {
        s->string = 0;
        s->cut = 0;

        sp_json_shorten_put(s, c);

        return;

    } else if (c == '\\') {
        s->escaped = 1;
    }

    if (s->cut) {
        return;
    }

    if (s->len - s->begin == SP_JSON_SHORTEN || s->len == s->size) {
        s->len = s->begin;
        s->cut = 1;

        return;
    }

    sp_json_shorten_put(s, c);
}


static void
sp_json_shorten_put(sp_json_shorten_t *s, char c)
{
    if (s->len == s->size) {
        s->full = 1;
        return;
    }

    s->dst[s->len++] = c;
}


/* to a byte that may matter in a string, or a few bytes before it */

static const char *
sp_json_shorten_skip(const char *p, const char *last)
{
    uint64_t  word;

    while (last - p >= 8) {
        memcpy(&word, p, 8);

        if (sp_word_has(word, '"') | sp_word_has(word, '\\')
            | sp_word_has(word, '\n') | sp_word_has(word, '\r'))
        {
            break;
        }

        p += 8;
    }

    return p;
}
