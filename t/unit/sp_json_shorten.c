/*
 * Copyright (C) Sallyport authors
 */

#include "tap.h"

#include <jansson.h>

#include "sp_json_shorten.h"


#define N  "nnnnnnnn"


typedef struct {
    const char  *name;
    const char  *before;
    size_t       bytes;        /* in the middle of it */
    const char  *after;
    const char  *left;         /* NULL: all of it */
} case_t;


static const case_t  cases[] = {
    { "nothing long", "{\"a\":\"b\",\"c\":[1,{}]}", 0, "", NULL },
    { "a string at the limit", "[\"", SP_JSON_SHORTEN, "\"]", NULL },
    { "one byte more", "[\"", SP_JSON_SHORTEN + 1, "\"]", "[\"\"]" },
    { "megabytes", "{\"url\":\"data:", 3 << 20, "\",\"usage\":{\"n\":7}}",
      "{\"url\":\"\",\"usage\":{\"n\":7}}" },
    { "an escape in it", "[\"a\\\"", 5000, "\\\"\\\\\",\"b\"]",
      "[\"\",\"b\"]" },
    { "a number is no string", "[", 0, "123456]", NULL },
    { "lines of a stream", "event: x\ndata: {\"u\":\"", 9000,
      "\"}\ndata: {\"v\":1}\n\n",
      "event: x\ndata: {\"u\":\"\"}\ndata: {\"v\":1}\n\n" },
    { "CR LF", ": it's \"odd\r\ndata: {\"u\":\"", 9000, "\"}\r\n\r\n",
      ": it's \"odd\r\ndata: {\"u\":\"\"}\r\n\r\n" },
    { "a line that ends in a string", "data: {\"u\":\"", 9000,
      "\ndata: [\"v\"]\n\n", "data: {\"u\":\"\ndata: [\"v\"]\n\n" },
    { "an escape at the end of a line", "\"\\", 0, "\n\"a\\\"b\"", NULL }
};


static void feed(sp_json_shorten_t *s, const char *text, size_t len,
    size_t piece)
{
    char    *copy;
    size_t   i, n;

    for (i = 0; i < len; i += n) {
        n = len - i < piece ? len - i : piece;

        /* memory of its own, gone right after */

        copy = malloc(n);
        memcpy(copy, text + i, n);
        sp_json_shorten(s, copy, n);
        free(copy);
    }
}


static void test_case(const case_t *c)
{
    int                ok;
    char              *dst, *text;
    size_t             a, b, i, len;
    const char        *left;
    sp_json_shorten_t  s;

    static const size_t  pieces[] = { 1, 2, 3, 7, 8, 9, 1024, 65536 };

    a = strlen(c->before);
    b = strlen(c->after);
    len = a + c->bytes + b;

    text = malloc(len + 1);
    memcpy(text, c->before, a);
    memset(text + a, 'n', c->bytes);
    memcpy(text + a + c->bytes, c->after, b + 1);

    left = c->left ? c->left : text;
    dst = malloc(4096);
    ok = 1;

    for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]) && ok; i++) {
        memset(&s, 0, sizeof(s));
        s.dst = dst;
        s.size = 4096;

        feed(&s, text, len, pieces[i]);

        ok = !s.full && s.len == strlen(left)
             && memcmp(dst, left, s.len) == 0;
    }

    TAP_OK(ok, "%s: in pieces of %zu (%.*s)", c->name, pieces[i - 1],
           (int) (s.len < 80 ? s.len : 80), dst);

    free(dst);
    free(text);
}


int main(void)
{
    char               dst[64];
    size_t             i;
    sp_json_shorten_t  s;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        test_case(&cases[i]);
    }

    /* a string that does not fit is left out, other text is not */

    memset(&s, 0, sizeof(s));
    s.dst = dst;
    s.size = sizeof(dst);

    feed(&s, "[\"" N N N N N N N N N "\",1]", 78, 5);
    TAP_IS_MEM(dst, s.len, "[\"\",1]", 6, "a string longer than the memory");
    TAP_OK(!s.full, "fits without it");

    memset(&s, 0, sizeof(s));
    s.dst = dst;
    s.size = 8;

    feed(&s, "[1,2,3,4,5,\"a\"]", 15, 4);
    TAP_OK(s.full, "numbers that do not fit are told");
    TAP_OK(s.len <= s.size, "and not written");

    return tap_done();
}
