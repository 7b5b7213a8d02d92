
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_locale.h"


/* an extension that is private use has another "singleton" */
#define SP_LOCALE_PRIVATE  'x'


typedef struct {
    const char       *data;
    size_t            len;
    unsigned          quality;           /* thousandths; 0: not this one */
} sp_locale_range_t;


/* subtags of a tag, one after the other */
typedef struct {
    const char       *pos;
    const char       *last;
    const char       *data;              /* the one at hand; NULL: no more */
    size_t            len;
} sp_locale_subtags_t;


static int sp_locale_language(sp_locale_subtags_t *s);
static int sp_locale_variants(sp_locale_subtags_t *s);
static int sp_locale_extensions(sp_locale_subtags_t *s);
static int sp_locale_private(sp_locale_subtags_t *s);
static void sp_locale_next(sp_locale_subtags_t *s);
static int sp_locale_is(const sp_locale_subtags_t *s, size_t min, size_t max,
    int alpha);
static int sp_locale_is_range(const char *text, size_t len);
static size_t sp_locale_ranges(const char *text, size_t len,
    sp_locale_range_t *ranges);
static int sp_locale_range(const char *text, size_t len,
    sp_locale_range_t *range);
static int sp_locale_quality(const char *text, size_t len,
    unsigned *quality);
static size_t sp_locale_match(const char *text, size_t len,
    const sp_locale_tag_t *tags, size_t n, const sp_locale_range_t *ranges,
    size_t nranges);
static size_t sp_locale_shorten(const char *text, size_t len);
static int sp_locale_refused(const sp_locale_tag_t *tag,
    const sp_locale_range_t *ranges, size_t nranges);
static int sp_locale_covers(const char *range, size_t len,
    const sp_locale_tag_t *tag);
static int sp_locale_equal(const char *a, const char *b, size_t len);
static int sp_locale_is_alpha(char c);
static int sp_locale_is_digit(char c);
static char sp_locale_lower(char c);


int
sp_locale_is_tag(const char *text, size_t len)
{
    sp_locale_subtags_t  s;

    if (len == 0 || len > SP_LOCALE_MAX_TAG || !sp_locale_is_range(text, len))
    {
        return 0;
    }

    s.pos = text;
    s.last = text + len;

    sp_locale_next(&s);

    if (s.len == 1) {
        return sp_locale_private(&s);
    }

    return sp_locale_language(&s) && sp_locale_variants(&s)
           && sp_locale_extensions(&s)
           && (s.data == NULL || sp_locale_private(&s));
}


/* language, up to three extended languages, script, region */

static int
sp_locale_language(sp_locale_subtags_t *s)
{
    size_t  i, len;

    if (!sp_locale_is(s, 2, 8, 1)) {
        return 0;
    }

    len = s->len;
    sp_locale_next(s);

    for (i = 0; len <= 3 && i < 3 && sp_locale_is(s, 3, 3, 1); i++) {
        sp_locale_next(s);
    }

    if (sp_locale_is(s, 4, 4, 1)) {
        sp_locale_next(s);
    }

    if (sp_locale_is(s, 2, 2, 1)
        || (sp_locale_is(s, 3, 3, 0) && sp_locale_is_digit(s->data[0])
            && sp_locale_is_digit(s->data[1])
            && sp_locale_is_digit(s->data[2])))
    {
        sp_locale_next(s);
    }

    return 1;
}


/* none comes twice */

static int
sp_locale_variants(sp_locale_subtags_t *s)
{
    const char           *first;
    sp_locale_subtags_t   before;

    first = s->data;

    while (sp_locale_is(s, 5, 8, 0)
           || (sp_locale_is(s, 4, 4, 0) && sp_locale_is_digit(s->data[0])))
    {
        before.pos = first;
        before.last = s->data;

        for (sp_locale_next(&before);
             before.data != NULL;
             sp_locale_next(&before))
        {
            if (before.len == s->len
                && sp_locale_equal(before.data, s->data, s->len))
            {
                return 0;
            }
        }

        sp_locale_next(s);
    }

    return 1;
}


static int
sp_locale_extensions(sp_locale_subtags_t *s)
{
    char    singleton;
    char    seen[SP_LOCALE_MAX_TAG];
    size_t  i, n;

    n = 0;

    while (s->data != NULL && s->len == 1) {
        singleton = sp_locale_lower(s->data[0]);

        if (singleton == SP_LOCALE_PRIVATE) {
            return 1;
        }

        for (i = 0; i < n; i++) {
            if (seen[i] == singleton) {
                return 0;
            }
        }

        seen[n++] = singleton;

        sp_locale_next(s);

        if (!sp_locale_is(s, 2, 8, 0)) {
            return 0;
        }

        while (sp_locale_is(s, 2, 8, 0)) {
            sp_locale_next(s);
        }
    }

    return s->data == NULL;
}


/* "x" and at least one more; of any length, which was looked at */

static int
sp_locale_private(sp_locale_subtags_t *s)
{
    if (sp_locale_lower(s->data[0]) != SP_LOCALE_PRIVATE || s->len != 1) {
        return 0;
    }

    sp_locale_next(s);

    return s->data != NULL;
}


static void
sp_locale_next(sp_locale_subtags_t *s)
{
    const char  *p;

    if (s->pos >= s->last) {
        s->data = NULL;
        s->len = 0;
        return;
    }

    s->data = s->pos;

    p = memchr(s->pos, '-', (size_t) (s->last - s->pos));

    s->len = (size_t) ((p != NULL ? p : s->last) - s->pos);
    s->pos += s->len + 1;
}


static int
sp_locale_is(const sp_locale_subtags_t *s, size_t min, size_t max, int alpha)
{
    size_t  i;

    if (s->data == NULL || s->len < min || s->len > max) {
        return 0;
    }

    for (i = 0; alpha && i < s->len; i++) {
        if (!sp_locale_is_alpha(s->data[i])) {
            return 0;
        }
    }

    return 1;
}


/* RFC 4647, 2.1, without the "*": subtags of 1 to 8 letters and digits */

static int
sp_locale_is_range(const char *text, size_t len)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < len; i++) {

        if (text[i] == '-') {
            if (n == 0) {
                return 0;
            }

            n = 0;
            continue;
        }

        if (!sp_locale_is_alpha(text[i]) && !sp_locale_is_digit(text[i])) {
            return 0;
        }

        if (++n > 8) {
            return 0;
        }
    }

    return n != 0 && sp_locale_is_alpha(text[0]);
}


size_t
sp_locale_find(const char *text, size_t len, const sp_locale_tag_t *tags,
    size_t n)
{
    char    tag[SP_LOCALE_MAX_TAG];
    size_t  i;

    if (len > SP_LOCALE_MAX_TAG) {
        return n;
    }

    for (i = 0; i < len; i++) {
        tag[i] = (text[i] == '_') ? '-' : text[i];
    }

    return sp_locale_is_tag(tag, len)
           ? sp_locale_match(tag, len, tags, n, NULL, 0) : n;
}


size_t
sp_locale_accept(const char *text, size_t len, const sp_locale_tag_t *tags,
    size_t n)
{
    size_t             best, found, i, nranges;
    unsigned           quality;
    sp_locale_range_t  ranges[SP_LOCALE_MAX_RANGES];

    if (len > SP_LOCALE_MAX_HEADER) {
        return n;
    }

    nranges = sp_locale_ranges(text, len, ranges);

    best = n;
    quality = 0;

    for (i = 0; i < nranges; i++) {

        if (ranges[i].quality <= quality || ranges[i].len == 0) {
            continue;
        }

        found = sp_locale_match(ranges[i].data, ranges[i].len, tags, n,
                                ranges, nranges);
        if (found != n) {
            best = found;
            quality = ranges[i].quality;
        }
    }

    return best;
}


static size_t
sp_locale_ranges(const char *text, size_t len, sp_locale_range_t *ranges)
{
    size_t       n;
    const char  *end, *last, *p;

    n = 0;
    last = text + len;

    for (p = text; p < last && n < SP_LOCALE_MAX_RANGES; p = end + 1) {

        end = memchr(p, ',', (size_t) (last - p));

        if (end == NULL) {
            end = last;
        }

        if (sp_locale_range(p, (size_t) (end - p), &ranges[n])) {
            n++;
        }
    }

    return n;
}


/* language-range [ OWS ";" OWS "q=" qvalue ]; an empty range is "*" */

static int
sp_locale_range(const char *text, size_t len, sp_locale_range_t *range)
{
    const char  *last, *p;

    last = text + len;

    while (text < last && (*text == ' ' || *text == '\t')) {
        text++;
    }

    while (text < last && (last[-1] == ' ' || last[-1] == '\t')) {
        last--;
    }

    for (p = text; p < last && *p != ';' && *p != ' ' && *p != '\t'; p++) {
        /* void */
    }

    range->data = text;
    range->len = (size_t) (p - text);
    range->quality = 1000;

    if (range->len == 1 && *text == '*') {
        range->len = 0;

    } else if (range->len > SP_LOCALE_MAX_TAG
               || !sp_locale_is_range(text, range->len))
    {
        return 0;
    }

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    if (p == last) {
        return 1;
    }

    if (*p++ != ';') {
        return 0;
    }

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    return sp_locale_quality(p, (size_t) (last - p), &range->quality);
}


/* "q=" and 0 to 1 with at most three digits (RFC 9110, 12.4.2) */

static int
sp_locale_quality(const char *text, size_t len, unsigned *quality)
{
    size_t    i;
    unsigned  unit;

    if (len < 3 || len > 7 || sp_locale_lower(text[0]) != 'q'
        || text[1] != '=' || (text[2] != '0' && text[2] != '1')
        || (len > 3 && text[3] != '.'))
    {
        return 0;
    }

    *quality = (text[2] == '1') ? 1000 : 0;
    unit = 100;

    for (i = 4; i < len; i++) {

        if (!sp_locale_is_digit(text[i])) {
            return 0;
        }

        *quality += unit * (unsigned) (text[i] - '0');
        unit /= 10;
    }

    return *quality <= 1000;
}


static size_t
sp_locale_match(const char *text, size_t len, const sp_locale_tag_t *tags,
    size_t n, const sp_locale_range_t *ranges, size_t nranges)
{
    size_t  best, i, full;

    for (full = len; len != 0; len = sp_locale_shorten(text, len)) {
        best = n;

        for (i = 0; i < n; i++) {

            /* "zh-Hant" is not found by what is left of "zh-Hans" */

            if ((tags[i].len != len && (best != n || len != full))
                || !sp_locale_covers(text, len, &tags[i])
                || sp_locale_refused(&tags[i], ranges, nranges))
            {
                continue;
            }

            if (tags[i].len == len) {
                return i;
            }

            best = i;
        }

        if (best != n) {
            return best;
        }
    }

    return n;
}


/* RFC 4647, 3.4: without the last subtag, nor a singleton before it */

static size_t
sp_locale_shorten(const char *text, size_t len)
{
    while (len != 0 && text[--len] != '-') {
        /* void */
    }

    if (len >= 2 && text[len - 2] == '-') {
        len -= 2;
    }

    return len;
}


/* by the longest of the ranges that are for it */

static int
sp_locale_refused(const sp_locale_tag_t *tag, const sp_locale_range_t *ranges,
    size_t nranges)
{
    int     refused;
    size_t  i, len;

    refused = 0;
    len = 0;

    for (i = 0; i < nranges; i++) {

        if (ranges[i].len < len
            || !sp_locale_covers(ranges[i].data, ranges[i].len, tag))
        {
            continue;
        }

        /* of two that say the same, the last one */

        refused = (ranges[i].quality == 0);
        len = ranges[i].len;
    }

    return refused;
}


/* the tag, or more special than it; an empty one is every tag's */

static int
sp_locale_covers(const char *range, size_t len, const sp_locale_tag_t *tag)
{
    return len == 0
           || (tag->len >= len && sp_locale_equal(range, tag->data, len)
               && (tag->len == len || tag->data[len] == '-'));
}


static int
sp_locale_equal(const char *a, const char *b, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (sp_locale_lower(a[i]) != sp_locale_lower(b[i])) {
            return 0;
        }
    }

    return 1;
}


static int
sp_locale_is_alpha(char c)
{
    c = sp_locale_lower(c);

    return c >= 'a' && c <= 'z';
}


static int
sp_locale_is_digit(char c)
{
    return c >= '0' && c <= '9';
}


static char
sp_locale_lower(char c)
{
    return (c >= 'A' && c <= 'Z') ? (char) (c | 0x20) : c;
}
