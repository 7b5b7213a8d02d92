/*
 * Copyright (C) Sallyport authors
 */

#include "tap.h"

#include "sp_sse.h"


#define MAX_EVENTS  32


typedef struct {
    char      text[4096];      /* what the events say, one a line */
    char      raw[4096];       /* what would be forwarded */
    size_t    text_len;
    size_t    raw_len;
    size_t    grown;           /* how often memory was asked for */
} result_t;


typedef struct {
    const char  *name;
    const char  *input;
    const char  *events;
    const char  *rest;         /* of sp_sse_end(); NULL: nothing is left */
} case_t;


static const case_t  cases[] = {
    { "one event", "data: a\n\n", "[a]", NULL },
    { "two events", "data: a\n\ndata: b\n\n", "[a][b]", NULL },
    { "CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", "[a][b]", NULL },
    { "CR", "data: a\r\rdata: b\r\r", "[a][b]", NULL },
    { "mixed ends", "data: a\r\n\ndata: b\n\rdata: c\r\r\n", "[a][b][c]",
      NULL },
    { "no space", "data:a\n\n", "[a]", NULL },
    { "only one space is stripped", "data:  a\n\n", "[ a]", NULL },
    { "several lines", "data: a\ndata: b\ndata:c\n\n", "[a|b|c]", NULL },
    { "several lines, empty ones", "data:\ndata: x\ndata\n\n", "[|x|]",
      NULL },
    { "event name", "event: error\ndata: x\n\n", "error[x]", NULL },
    { "name after data", "data: x\nevent: e\n\n", "e[x]", NULL },
    { "comment", ": ping\n\ndata: a\n\n", "()[a]", NULL },
    { "comment before data", ": ping\ndata: a\n\n", "[a]", NULL },
    { "unknown fields", "id: 7\nretry: 5\nfoo\ndata: a\n\n", "[a]", NULL },
    { "empty data", "data:\n\n", "[]", NULL },
    { "blank lines", "\n\n\ndata: a\n\n\n", "()()()[a]()", NULL },
    { "byte order mark", "\xef\xbb\xbf" "data: a\n\n", "[a]", NULL },
    { "the mark counts once", "data: a\n\n\xef\xbb\xbf" "data: b\n\n",
      "[a]()", NULL },
    { "UTF-8", "data: \xe2\x82\xac\xf0\x9f\x98\x80\n\n",
      "[\xe2\x82\xac\xf0\x9f\x98\x80]", NULL },
    { "no blank line at the end", "data: a\n\ndata: [DONE]\n", "[a]",
      "[[DONE]]" },
    { "no line end at the end", "data: a\n\ndata: b", "[a]", "[b]" },
    { "colon in the value", "data: a: b\n\n", "[a: b]", NULL },
    { "an object without a field", "data: a\n\n{\n \"e\": {\n }\n}\n",
      "[a]", "~[{| \"e\": {| }|}]" },
    { "one behind a blank line", "\n{\"e\":1}\r\n\r\ndata: a\n\n",
      "()~[{\"e\":1}][a]", NULL },
    { "an array without a field", " [1,\r\n2]\r\n\r\n", "~[[1,\r|2]]",
      NULL },
    { "other text without a field", "<html>\n\nhello {\n\n", "()()", NULL },
    { "data wins", "{\"e\":1}\ndata: a\n\n", "[a]", NULL },
    { "nothing", "", "", NULL }
};


static void add(char *dst, size_t *len, const char *p, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        dst[(*len)++] = p[i];
    }

    dst[*len] = '\0';
}


static void note(result_t *r, const sp_sse_event_t *event)
{
    size_t  i;

    add(r->raw, &r->raw_len, event->raw, event->raw_len);

    if (event->name != NULL) {
        add(r->text, &r->text_len, event->name, event->name_len);
    }

    if (event->data == NULL) {
        add(r->text, &r->text_len, "()", 2);
        return;
    }

    if (event->naked) {
        add(r->text, &r->text_len, "~", 1);
    }

    add(r->text, &r->text_len, "[", 1);

    for (i = 0; i < event->data_len; i++) {
        add(r->text, &r->text_len,
            event->data[i] == '\n' ? "|" : &event->data[i], 1);
    }

    add(r->text, &r->text_len, "]", 1);
}


static void more(sp_sse_t *sse, result_t *r)
{
    char  *old, *p;

    /* exactly what is asked for: an overrun is seen by the sanitizer */

    old = sse->buf;
    p = malloc(sse->need);

    sp_sse_memory(sse, p, sse->need);
    free(old);

    r->grown++;
}


static void feed(sp_sse_t *sse, result_t *r, const char *p, size_t len)
{
    char            *copy;
    const char      *pos;
    sp_sse_event_t   event;
    sp_sse_status_e  rc;

    /* memory of its own, gone right after: nothing may point into it */

    copy = malloc(len ? len : 1);
    memcpy(copy, p, len);
    pos = copy;

    for ( ;; ) {
        rc = sp_sse_next(sse, &pos, copy + len, &event);

        if (rc == SP_SSE_AGAIN) {
            break;
        }

        if (rc == SP_SSE_FULL) {
            more(sse, r);
            continue;
        }

        note(r, &event);
    }

    free(copy);
}


static void run(const case_t *c, size_t a, size_t b, result_t *r)
{
    size_t    len;
    sp_sse_t  sse;

    memset(&sse, 0, sizeof(sp_sse_t));
    memset(r, 0, sizeof(result_t));

    len = strlen(c->input);

    feed(&sse, r, c->input, a);
    feed(&sse, r, c->input + a, b - a);
    feed(&sse, r, c->input + b, len - b);

    free(sse.buf);
}


/* empty results of a LF that was split from its CR do not matter */

static void squeeze(char *text)
{
    char  *dst;

    for (dst = text; *text != '\0'; text++) {
        if (text[0] == '(' && text[1] == ')') {
            text++;
            continue;
        }

        *dst++ = *text;
    }

    *dst = '\0';
}


static void test_end(const case_t *c)
{
    result_t         r;
    sp_sse_t         sse;
    sp_sse_event_t   event;
    sp_sse_status_e  rc;

    memset(&sse, 0, sizeof(sp_sse_t));
    memset(&r, 0, sizeof(result_t));

    feed(&sse, &r, c->input, strlen(c->input));

    memset(&r, 0, sizeof(result_t));

    while ((rc = sp_sse_end(&sse, &event)) == SP_SSE_FULL) {
        more(&sse, &r);
    }

    if (c->rest == NULL) {
        TAP_OK(rc == SP_SSE_AGAIN, "%s: nothing is left", c->name);

    } else {
        note(&r, &event);
        TAP_IS_STR(r.text, c->rest, "%s: what is left", c->name);
    }

    free(sse.buf);
}


/* lines of JSON, at every way to cut them into two */

static void test_lines(void)
{
    int              ok;
    char             buf[64], text[128];
    size_t           cut, i, len;
    sp_sse_t         sse;
    const char      *last, *pos;
    sp_sse_event_t   event;

    static const char  input[] = "{\"a\":1}\r\n\n{}\n\r\n[: 2]\r{";

    len = sizeof(input) - 1;
    ok = 1;

    for (cut = 0; cut <= len && ok; cut++) {

        memset(&sse, 0, sizeof(sp_sse_t));
        sse.lines = 1;
        sp_sse_memory(&sse, buf, sizeof(buf));

        text[0] = '\0';

        for (i = 0; i < 2; i++) {
            pos = input + (i == 0 ? 0 : cut);
            last = input + (i == 0 ? cut : len);

            while (sp_sse_next(&sse, &pos, last, &event) == SP_SSE_EVENT) {
                if (event.data != NULL) {
                    strncat(text, event.data, event.data_len);
                    strcat(text, "|");
                }
            }
        }

        ok = strcmp(text, "{\"a\":1}|{}|[: 2]|") == 0
             && sp_sse_end(&sse, &event) == SP_SSE_EVENT
             && event.data_len == 1;
    }

    TAP_OK(ok, "lines: at every split (%zu: \"%s\")", cut, text);
}


/* an event that is not gathered, at every way to cut the input into two */

static void test_parts(void)
{
    int              ok;
    char             buf[16], raw[64], text[64];
    size_t           cut, i, len, n, parts;
    sp_sse_t         sse;
    const char      *last, *pos;
    sp_sse_event_t   event;
    sp_sse_status_e  rc;

    static const char  input[] = "data: a\r\n\r\ndata: 0123456789\r\n"
                                 "data: x\r\n\r\ndata: b\r\n\r\n";

    len = sizeof(input) - 1;
    ok = 1;
    parts = 0;

    for (cut = 0; cut <= len && ok; cut++) {

        memset(&sse, 0, sizeof(sp_sse_t));
        sp_sse_memory(&sse, buf, sizeof(buf));

        n = 0;
        text[0] = '\0';

        for (i = 0; i < 2; i++) {
            pos = input + (i == 0 ? 0 : cut);
            last = input + (i == 0 ? cut : len);

            while ((rc = sp_sse_next(&sse, &pos, last, &event))
                   != SP_SSE_AGAIN)
            {
                if (rc == SP_SSE_FULL) {
                    memcpy(raw + n, sse.buf, sse.len);
                    n += sse.len;

                    sp_sse_pass(&sse);
                    strcat(text, "<");
                    continue;
                }

                memcpy(raw + n, event.raw, event.raw_len);
                n += event.raw_len;

                if (rc == SP_SSE_PART) {
                    parts++;
                    strcat(text, event.last ? ">" : "");

                } else if (event.data != NULL) {
                    strncat(text, event.data, event.data_len);
                }

                if (sse.buf == NULL) {
                    sp_sse_memory(&sse, buf, sizeof(buf));
                }
            }
        }

        ok = n + sse.len == len && memcmp(raw, input, n) == 0
             && strcmp(text, "a<>b") == 0;
    }

    TAP_OK(ok, "parts: at every split (%zu: \"%s\")", cut, text);
    TAP_OK(parts > len, "parts: of one event");
}


int main(void)
{
    int             ok;
    char            buf[16], *expected;
    size_t          a, b, i, len;
    result_t        r;
    sp_sse_t        sse;
    const char     *pos, *text;
    sp_sse_event_t  event;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        len = strlen(cases[i].input);

        run(&cases[i], len, len, &r);
        TAP_IS_STR(r.text, cases[i].events, "%s", cases[i].name);

        if (cases[i].rest == NULL) {
            TAP_IS_STR(r.raw, cases[i].input, "%s: raw bytes",
                       cases[i].name);
        }

        expected = strdup(cases[i].events);
        squeeze(expected);
        ok = 1;

        /* every way to cut the input into three */

        for (a = 0; a <= len && ok; a++) {
            for (b = a; b <= len && ok; b++) {
                run(&cases[i], a, b, &r);
                squeeze(r.text);

                ok = strcmp(r.text, expected) == 0
                     && strncmp(r.raw, cases[i].input, r.raw_len) == 0
                     && (cases[i].rest != NULL
                         || r.raw_len + 1 >= strlen(cases[i].input));
            }
        }

        TAP_OK(ok, "%s: at every split (%zu, %zu of %zu: \"%s\")",
               cases[i].name, a, b, len, ok ? "ok" : r.text);

        free(expected);
        test_end(&cases[i]);
    }

    /* memory of an event in one piece is the input's */

    memset(&sse, 0, sizeof(sp_sse_t));
    text = "data: abc\n\nx";
    pos = text;

    TAP_IS_INT(sp_sse_next(&sse, &pos, text + strlen(text), &event),
               SP_SSE_EVENT, "an event in one piece");
    TAP_OK(event.raw == text && event.data == text + 6 && !event.gathered,
           "is not copied");
    TAP_OK(pos == text + 11, "the position is behind it");

    TAP_IS_INT(sp_sse_next(&sse, &pos, text + strlen(text), &event),
               SP_SSE_FULL, "the rest asks for memory");
    TAP_IS_INT(sse.need, 1, "as much as it needs");
    TAP_OK(pos == text + 11, "and consumes nothing");

    /* taken memory is not written again */

    memset(&sse, 0, sizeof(sp_sse_t));
    sp_sse_memory(&sse, buf, sizeof(buf));

    pos = "data: a\n";
    (void) sp_sse_next(&sse, &pos, pos + 8, &event);
    pos = "\ndata: b";
    TAP_IS_INT(sp_sse_next(&sse, &pos, pos + 8, &event), SP_SSE_EVENT,
               "a split event");
    TAP_OK(event.gathered, "is gathered");
    sp_sse_take(&sse);
    TAP_IS_INT(sp_sse_next(&sse, &pos, pos + 7, &event), SP_SSE_FULL,
               "taken memory is not used again");
    TAP_IS_MEM(buf, 9, "data: a\n\n", 9, "and keeps its bytes");

    test_lines();
    test_parts();

    return tap_done();
}
