
/*
 * Copyright (C) Sallyport authors
 */

#include "tap.h"

#include "sp_unicode.h"


static void test_views(void);
static void test_splits(void);
static void test_spans(void);
static void test_room(void);

static size_t view(const char *text, size_t len, size_t split,
    sp_unicode_view_e kind, uint8_t *out, sp_unicode_span_t *spans,
    sp_unicode_t *u);


static const struct {
    const char  *text;
    const char  *joined;
    const char  *spaced;         /* NULL: the same */
    int          invisible;
    int          invalid;
} cases[] = {
    { "", "", NULL, 0, 0 },
    { "Plain Text", "plain text", NULL, 0, 0 },
    { "a \t\r\n b", "a b", NULL, 0, 0 },
    { "Stra\xc3\x9f""e", "strasse", NULL, 0, 0 },
    { "\xc3\x84rger", "\xc3\xa4rger", NULL, 0, 0 },

    /* decomposed A + diaeresis composes; two marks in either order */
    { "A\xcc\x88rger", "\xc3\xa4rger", NULL, 0, 0 },
    { "\xce\x91\xcd\x85\xcc\x94", "\xe1\xbc\x81\xce\xb9", NULL, 0, 0 },

    /* fullwidth, mathematical, circled, ligature, superscript */
    { "\xef\xbc\xa1\xef\xbc\xb3\xef\xbc\xb3", "ass", NULL, 0, 0 },
    { "\xf0\x9d\x90\x9a\xf0\x9d\x90\xac\xf0\x9d\x90\xac", "ass", NULL, 0, 0 },
    { "\xe2\x93\x90\xe2\x93\xa2\xe2\x93\xa2", "ass", NULL, 0, 0 },
    { "\xef\xac\x81x\xc2\xb2", "fix2", NULL, 0, 0 },

    /* zero width space, joiner, soft hyphen, bidi override, byte order mark */
    { "f\xe2\x80\x8bo\xe2\x80\x8d""o\xc2\xad!", "foo!", "f o o !", 1, 0 },
    { "f\xe2\x80\xaeoo\xef\xbb\xbf", "foo", "f oo ", 1, 0 },
    { "a\x01""b\x7f""c", "abc", "a b c", 1, 0 },

    /* tag characters: hidden ASCII */
    { "hi\xf3\xa0\x81\xa9\xf3\xa0\x81\xa7!", "hi!", "hiig!", 1, 0 },

    /* stacked marks on an ASCII letter */
    { "f\xcc\xb7o\xcc\xb4\xcc\x95o", "foo", NULL, 1, 0 },

    /* punctuation, no-break space, ideographic space */
    { "\xe2\x80\x9cword\xe2\x80\x99", "\"word'", NULL, 0, 0 },
    { "\xc2\xabword\xc2\xbb", " word ", NULL, 0, 0 },
    { "a\xc2\xa0\xe3\x80\x80""b", "a b", NULL, 0, 0 },
    { "a\xe2\x80\x94""b", "a-b", NULL, 0, 0 },

    /* each ideograph, syllable, emoji a word of its own */
    { "\xe4\xbb\x96\xe5\xa6\x88x", " \xe4\xbb\x96 \xe5\xa6\x88 x", NULL,
      0, 0 },
    { "a\xf0\x9f\x96\x95", "a \xf0\x9f\x96\x95 ", NULL, 0, 0 },
    { "\xed\x95\x9c", " \xed\x95\x9c ", NULL, 0, 0 },

    /* Cyrillic is folded, not replaced */
    { "\xd0\x96\xd0\x9e", "\xd0\xb6\xd0\xbe", NULL, 0, 0 },

    /* bytes that are not UTF-8: overlong, surrogate, cut, lone, too high */
    { "a\xc0\xaf""b", "ab", NULL, 0, 1 },
    { "a\xed\xa0\x80""b", "ab", NULL, 0, 1 },
    { "a\xe2\x80", "a", NULL, 0, 1 },
    { "a\xe2""b", "ab", NULL, 0, 1 },
    { "\x80\xff\xf5z", "z", NULL, 0, 1 },
    { "\xf4\x90\x80\x80z", "z", NULL, 0, 1 }
};


int
main(void)
{
    test_views();
    test_splits();
    test_spans();
    test_room();

    return tap_done();
}


static void
test_views(void)
{
    size_t        i, len, n;
    uint8_t       out[4096];
    const char   *expected;
    sp_unicode_t  u;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        len = strlen(cases[i].text);
        n = view(cases[i].text, len, 0, SP_UNICODE_JOINED, out, NULL, &u);

        TAP_IS_MEM(out, n, cases[i].joined, strlen(cases[i].joined),
                   "joined %zu: \"%s\"", i, cases[i].joined);
        TAP_IS_INT(u.invisible, cases[i].invisible, "invisible %zu", i);
        TAP_IS_INT(u.invalid, cases[i].invalid, "invalid %zu", i);

        expected = cases[i].spaced ? cases[i].spaced : cases[i].joined;
        n = view(cases[i].text, len, 0, SP_UNICODE_SPACED, out, NULL, &u);

        TAP_IS_MEM(out, n, expected, strlen(expected), "spaced %zu: \"%s\"",
                   i, expected);
    }

    TAP_OK(sp_unicode_is_ascii((const uint8_t *) "plain old text", 14),
           "ASCII");
    TAP_OK(!sp_unicode_is_ascii((const uint8_t *) "plain \xc3\xa4 text", 13),
           "not ASCII within a word");
    TAP_OK(!sp_unicode_is_ascii((const uint8_t *) "plain old \x80", 11),
           "not ASCII in the tail");
}


static void
test_splits(void)
{
    size_t             i, k, len, n, split, wrong;
    uint8_t            out[4096], whole[4096];
    sp_unicode_t       u;
    sp_unicode_span_t  a[4096], b[4096];

    wrong = 0;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        len = strlen(cases[i].text);

        for (k = 0; k < 2; k++) {
            n = view(cases[i].text, len, 0, (sp_unicode_view_e) k, whole, a,
                     &u);

            for (split = 1; split <= len; split++) {
                if (view(cases[i].text, len, split, (sp_unicode_view_e) k,
                         out, b, &u) != n
                    || memcmp(out, whole, n) != 0
                    || memcmp(a, b, n * sizeof(sp_unicode_span_t)) != 0)
                {
                    wrong++;
                }
            }
        }
    }

    TAP_IS_INT(wrong, 0, "the same view and spans at every split point");
}


static void
test_spans(void)
{
    size_t             n;
    uint8_t            out[4096];
    sp_unicode_t       u;
    sp_unicode_span_t  s[4096];

    /* a, zero width space, fullwidth b, c with two marks */

    n = view("a\xe2\x80\x8b\xef\xbd\x82""c\xcc\xb7\xcc\xb4.", 13, 0,
             SP_UNICODE_JOINED, out, s, &u);

    TAP_IS_MEM(out, n, "abc.", 4, "the view");
    TAP_IS_INT(s[0].from, 0, "a from");
    TAP_IS_INT(s[0].to, 1, "a to");
    TAP_IS_INT(s[1].from, 4, "b from");
    TAP_IS_INT(s[1].to, 7, "b to");
    TAP_IS_INT(s[2].from, 7, "c from");
    TAP_IS_INT(s[2].to, 12, "c to: its marks belong to it");
}


/* the longest expansion, and more marks than a cluster takes */

static void
test_room(void)
{
    size_t            i, n;
    uint8_t           buf[SP_UNICODE_ROOM], text[1026];
    sp_unicode_t      u;
    sp_unicode_out_t  out;

    memset(text, 0, sizeof(text));
    text[0] = 'a';
    text[1] = 'z';

    for (i = 2; i < sizeof(text); i += 2) {
        text[i] = 0xcc;
        text[i + 1] = (uint8_t) (0x80 + i % 16);
    }

    sp_unicode_init(&u, SP_UNICODE_JOINED);
    memset(&out, 0, sizeof(out));
    out.data = buf;
    out.size = sizeof(buf);

    n = sp_unicode_feed(&u, text, sizeof(text), &out);
    TAP_IS_INT(n, 1, "feed stops when less than the room is left");

    out.len = 0;
    n += sp_unicode_feed(&u, text + n, sizeof(text) - n, &out);
    TAP_IS_INT(n, sizeof(text), "a thousand marks need no room");
    sp_unicode_finish(&u, &out);
    TAP_OK(out.len <= 4, "and leave nothing but their letter: %zu", out.len);

    sp_unicode_init(&u, SP_UNICODE_JOINED);
    out.len = 0;
    n = sp_unicode_feed(&u, (const uint8_t *) "\xef\xb7\xba", 3, &out);
    TAP_IS_INT(n, 3, "U+FDFA taken");
    sp_unicode_finish(&u, &out);
    TAP_IS_INT(out.len, 33, "18 code points, 3 of them spaces");
}


static size_t
view(const char *text, size_t len, size_t split, sp_unicode_view_e kind,
    uint8_t *data, sp_unicode_span_t *spans, sp_unicode_t *u)
{
    sp_unicode_out_t  out;

    out.data = data;
    out.spans = spans;
    out.size = 4096;
    out.len = 0;

    sp_unicode_init(u, kind);
    (void) sp_unicode_feed(u, (const uint8_t *) text, split, &out);
    (void) sp_unicode_feed(u, (const uint8_t *) text + split, len - split,
                           &out);
    sp_unicode_finish(u, &out);

    return out.len;
}
