/*
 * Copyright (C) Sallyport authors
 */

#include "tap.h"

#include "sp_dialect.h"
#include "sp_json.h"


typedef struct {
    const char  *json;
    int          rc;
    const char  *text;
    const char  *finish;
    int64_t      prompt;
    int64_t      completion;
    int64_t      cached;
    const char  *flags;      /* e: error, u: usage, o: only, 1: an answer */
} case_t;


static const case_t  cases[] = {
    { "{}", 0, "", "", -1, -1, -1, "" },
    { "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},"
      "\"finish_reason\":null}]}", 0, "Hi", "", -1, -1, -1, "1" },
    { "{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null,"
      "\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]}}]"
      ",\"usage\":null}", 0, "", "", -1, -1, -1, "1" },
    { " { \"choices\" : [ { \"finish_reason\" : \"stop\" , \"delta\" : { } "
      "} ] } ", 0, "", "stop", -1, -1, -1, "1" },
    { "{\"choices\":[],\"usage\":{\"prompt_tokens\":12,"
      "\"completion_tokens\":0,\"prompt_tokens_details\":"
      "{\"cached_tokens\":7},\"total_tokens\":12}}",
      0, "", "", 12, 0, 7, "uo" },
    { "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,"
      "\"message\":{\"role\":\"assistant\",\"content\":\"a\\\"b\"},"
      "\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":1,"
      "\"completion_tokens\":2}}", 0, "a\\\"b", "length", 1, 2, -1, "u1" },
    { "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"other\"}}]}",
      0, "", "", -1, -1, -1, "1" },
    { "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}},"
      "{\"index\":0,\"delta\":{\"content\":\"a\"}}]}",
      0, "a", "", -1, -1, -1, "1" },
    { "{\"error\":{\"message\":\"no\",\"type\":\"x\"}}", 0, "", "",
      -1, -1, -1, "e" },
    { "{\"error\":true}", 0, "", "", -1, -1, -1, "e" },
    { "{\"error\":null,\"choices\":[]}", 0, "", "", -1, -1, -1, "" },
    { "{\"usage\":{\"prompt_tokens\":1.5,\"completion_tokens\":-3}}",
      0, "", "", -1, -1, -1, "u" },
    { "{\"usage\":{\"prompt_tokens\":99999999999999999999}}",
      0, "", "", -1, -1, -1, "u" },
    { "{\"x\":{\"choices\":[{\"delta\":{\"content\":\"no\"}}]}}",
      0, "", "", -1, -1, -1, "" },
    { "{\"choices\":\"x\",\"usage\":[1]}", 0, "", "", -1, -1, -1, "" },
    { "{\"choices\":[1,\"x\",null]}", 0, "", "", -1, -1, -1, "1" },
    { "", -1, "", "", 0, 0, 0, "" },
    { "[DONE]", -1, "", "", 0, 0, 0, "" },
    { "[]", -1, "", "", 0, 0, 0, "" },
    { "null", -1, "", "", 0, 0, 0, "" },
    { "{", -1, "", "", 0, 0, 0, "" },
    { "{\"a\"", -1, "", "", 0, 0, 0, "" },
    { "{\"a\":}", -1, "", "", 0, 0, 0, "" },
    { "{\"a\":1,}", -1, "", "", 0, 0, 0, "" },
    { "{\"a\":1} x", -1, "", "", 0, 0, 0, "" },
    { "{\"a\":\"\\\"}", -1, "", "", 0, 0, 0, "" },
    { "{\"choices\":[{}", -1, "", "", 0, 0, 0, "" },
    { "{\"choices\":[{}}", -1, "", "", 0, 0, 0, "" },
    { "{\"a\":\"\x80\"}", 0, "", "", -1, -1, -1, "" }
};


typedef struct {
    const char  *raw;
    const char  *text;
    size_t       size;
} text_t;


static const text_t  texts[] = {
    { "plain", "plain", 100 },
    { "", "", 100 },
    { "a\\nb\\tc\\\"d\\\\e\\/f\\r\\b\\f", "a\nb\tc\"d\\e/f\r\b\f", 100 },
    { "\\u0041\\u00e9\\u20ac", "A\xc3\xa9\xe2\x82\xac", 100 },
    { "\\ud83d\\ude00", "\xf0\x9f\x98\x80", 100 },
    { "\\ud83dx", "\xef\xbf\xbdx", 100 },
    { "\\ude00x", "\xef\xbf\xbdx", 100 },
    { "\\ud83d\\u0041", "\xef\xbf\xbd" "A", 100 },
    { "\\u0000", "\xef\xbf\xbd", 100 },
    { "\\u12", "\xef\xbf\xbd" "12", 100 },
    { "\\", "\xef\xbf\xbd", 100 },
    { "\\x", "\xef\xbf\xbd", 100 },
    { "\x80" "a", "\xef\xbf\xbd" "a", 100 },
    { "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd", 100 },
    { "\xe2\x82\xac", "\xe2\x82\xac", 3 },
    { "\xe2\x82\xac", "", 2 },
    { "ab\xe2\x82\xac", "ab", 4 },
    { "a\\u20ac", "a", 3 },
    { "abc", "ab", 2 },
    { "abc", "", 0 }
};


/* what a scan has said of choice 0, and all of it in one line */

typedef struct {
    sp_slice_t   text;
    sp_slice_t   finish;
    char         said[512];
    int          stop;
} said_t;


static void flags(const sp_event_t *event, char *p)
{
    if (event->has_error) {
        *p++ = 'e';
    }

    if (event->has_usage) {
        *p++ = 'u';
    }

    if (event->usage_only) {
        *p++ = 'o';
    }

    if (event->has_answer) {
        *p++ = '1';
    }

    *p = '\0';
}


static int sink(void *data, const sp_delta_t *delta)
{
    said_t  *said = data;

    size_t   n;

    static const char  kinds[] = "trxcsf";

    if (delta->choice == 0 && delta->kind == SP_DELTA_TEXT) {
        said->text = delta->text;
    }

    if (delta->choice == 0 && delta->kind == SP_DELTA_FINISH) {
        said->finish = delta->text;
    }

    n = strlen(said->said);

    (void) snprintf(said->said + n, sizeof(said->said) - n,
                    "%c%zu.%zu(%.*s|%.*s|%.*s%s%.*s)", kinds[delta->kind],
                    delta->choice, delta->tool,
                    (int) delta->id.len, delta->id.data ? delta->id.data : "",
                    (int) delta->name.len,
                    delta->name.data ? delta->name.data : "",
                    (int) delta->text.len,
                    delta->text.data ? delta->text.data : "",
                    delta->signature.len ? "+" : "",
                    (int) delta->signature.len,
                    delta->signature.data ? delta->signature.data : "");

    return said->stop;
}


static void test_scan(const case_t *c)
{
    int         rc;
    char        found[8], *copy;
    size_t      len;
    said_t      said;
    sp_event_t  event;

    /* without a terminating byte: reading past the end is seen */

    len = strlen(c->json);
    copy = malloc(len ? len : 1);
    memcpy(copy, c->json, len);

    memset(&said, 0, sizeof(said_t));

    rc = sp_openai.scan_answer(copy, len, sink, &said, &event);

    TAP_IS_INT(rc, c->rc, "%s", c->json);

    if (rc == 0) {
        TAP_IS_MEM(said.text.data, said.text.len, c->text, strlen(c->text),
                   "text");
        TAP_IS_MEM(said.finish.data, said.finish.len, c->finish,
                   strlen(c->finish), "finish_reason");

        flags(&event, found);
        TAP_IS_STR(found, c->flags, "flags");

        TAP_OK(event.prompt_tokens == c->prompt
               && event.completion_tokens == c->completion
               && event.cached_tokens == c->cached, "usage");
    }

    TAP_IS_INT(sp_openai.scan_answer(copy, len, NULL, NULL, &event), c->rc,
               "without a sink");

    free(copy);
}


static void test_deltas(void)
{
    said_t          said;
    sp_event_t      event;
    sp_sse_event_t  sse;

    static const char  calls[] =
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":"
        "\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\","
        "\"arguments\":\"\"}},{\"index\":0,\"function\":{\"arguments\":"
        "\"{\\\"x\"}},7]},\"index\":2},{\"index\":0,\"delta\":{\"content\":"
        "\"t\",\"reasoning_content\":\"r\",\"refusal\":\"n\"},"
        "\"finish_reason\":\"tool_calls\"}]}";

    memset(&said, 0, sizeof(said_t));
    memset(&sse, 0, sizeof(sp_sse_event_t));

    sse.data = calls;
    sse.data_len = sizeof(calls) - 1;

    TAP_IS_INT(sp_openai.scan_event(NULL, &sse, sink, &said, &event), 0,
               "an event with everything");
    TAP_IS_STR(said.said, "c2.1(a|f|)c2.0(||{\\\"x)"
               "r0.0(||r)t0.0(||t)x0.0(||n)f0.0(||tool_calls)",
               "in its order, by choice and call");

    said.stop = 5;
    TAP_IS_INT(sp_openai.scan_event(NULL, &sse, sink, &said, &event), 5,
               "a sink can stop it");

    sse.data = "[DONE]";
    sse.data_len = 6;

    TAP_OK(sp_openai.scan_event(NULL, &sse, sink, &said, &event) == 0
           && event.done && !event.has_usage, "the end");

    TAP_OK(sp_openai.scan_answer("{\"error\":{\"message\":\"m\",\"type\":"
                                 "\"t\",\"code\":\"c\",\"param\":null}}", 60,
                                 NULL, NULL, &event) == 0
           && event.error.len == 1 && event.error_type.len == 1
           && event.error_code.len == 1 && event.error_param.data == NULL,
           "an error");
}


static void test_unescape(void)
{
    char    buf[128], *copy;
    size_t  i, len, n;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        len = strlen(texts[i].raw);
        copy = malloc(len ? len : 1);
        memcpy(copy, texts[i].raw, len);

        n = sp_json_unescape(buf, texts[i].size, copy, len);

        TAP_IS_MEM(buf, n, texts[i].text, strlen(texts[i].text),
                   "text %zu in %zu bytes", i, texts[i].size);
        free(copy);
    }
}


static void test_half(void)
{
    size_t  i;

    static const struct {
        const char  *text;
        size_t       half;
    } ends[] = {
        { "", 0 },
        { "\\ud83d", 6 },
        { "a\\uDBFF", 6 },
        { "\\ud83d\\ud83d", 6 },
        { "\\\\\\ud83d", 6 },
        { "\\\\ud83d", 0 },
        { "\\ude00", 0 },
        { "\\ud83d\\ude00", 0 },
        { "\\u0041", 0 },
        { "\\ud83", 0 },
        { "9\\ud83}", 0 },
        { "xud83d", 0 },
        { "\\ud83d ", 0 }
    };

    for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        TAP_IS_INT(sp_json_unescape_half(ends[i].text,
                                         strlen(ends[i].text)),
                   ends[i].half, "half of a pair at the end: %s",
                   ends[i].text);
    }
}


/* what another dialect says, written; and read again it is the same */

#define S(text)  { text, sizeof(text) - 1 }
#define NONE     { NULL, 0 }
#define HEAD(object)                                                          \
    "{\"id\":\"chatcmpl-i\",\"object\":\"" object "\",\"created\":7,"         \
    "\"model\":\"a\\\"b\""
#define CHUNK  "data: " HEAD("chat.completion.chunk")

static const sp_delta_t  deltas[] = {
    { SP_DELTA_REASONING, 0, 0, S("hm"), NONE, NONE, NONE, 0, 0, 0 },
    { SP_DELTA_TEXT, 0, 0, S("a\\n\n\""), NONE, NONE, NONE, 0, 0, 0 },
    { SP_DELTA_TOOL, 0, 0, NONE, S("id0"), S("f"), NONE, 0, 0, 0 },
    { SP_DELTA_TOOL, 0, 0, S("{\"x\":1}"), NONE, NONE, NONE, 0, 1, 0 },
    { SP_DELTA_TOOL, 0, 1, S("{}"), S("id1"), S("g"), S("Zm8="), 0, 0, 0 },
    { SP_DELTA_TEXT, 1, 0, S("other"), NONE, NONE, NONE, 0, 0, 0 },
    { SP_DELTA_FINISH, 0, 0, S("x"), NONE, NONE, NONE,
      SP_FINISH_TOOLS, 0, 0 },
    { SP_DELTA_FINISH, 1, 0, S("x"), NONE, NONE, NONE,
      SP_FINISH_LENGTH, 0, 0 }
};

static const char  *const written[] = {
    ",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
    "\"reasoning_content\":\"hm\"},\"finish_reason\":null}]}\n\n",
    ",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\\n\\n\\\"\"},"
    "\"finish_reason\":null}]}\n\n",
    ",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,"
    "\"id\":\"id0\",\"type\":\"function\",\"function\":{\"name\":\"f\","
    "\"arguments\":\"\"}}]},\"finish_reason\":null}]}\n\n",
    ",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,"
    "\"function\":{\"arguments\":\"{\\\"x\\\":1}\"}}]},"
    "\"finish_reason\":null}]}\n\n",
    ",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,"
    "\"id\":\"id1\",\"type\":\"function\",\"extra_content\":{\"google\":{"
    "\"thought_signature\":\"Zm8=\"}},\"function\":{\"name\":\"g\","
    "\"arguments\":\"{}\"}}]},\"finish_reason\":null}]}\n\n",
    ",\"choices\":[{\"index\":1,\"delta\":{\"role\":\"assistant\","
    "\"content\":\"other\"},\"finish_reason\":null}]}\n\n",
    ",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":"
    "\"tool_calls\"}]}\n\n",
    ",\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":"
    "\"length\"}]}\n\n"
};


static void test_write(void)
{
    char         buf[4096], expected[2048], state[SP_CHAT_MAX_CHOICES];
    size_t       i, n;
    said_t       said;
    sp_out_t     out;
    sp_event_t   event, usage;
    sp_writer_t  w;

    static const char  end[] =
        CHUNK ",\"choices\":[],\"usage\":{\"prompt_tokens\":3,"
        "\"completion_tokens\":4,\"total_tokens\":7}}\n\ndata: [DONE]\n\n";

    n = sizeof(deltas) / sizeof(deltas[0]);

    memset(&w, 0, sizeof(sp_writer_t));
    sp_event_init(&usage);
    memset(state, 0, sizeof(state));

    w.id = "i";
    w.id_len = 1;
    w.model = "a\"b";
    w.model_len = 3;
    w.created = 7;
    w.state = state;
    w.usage = 1;

    for (i = 0; i < n; i++) {
        out.dst = buf;
        out.size = sizeof(buf);
        out.len = 0;

        sp_openai.write_event(&w, &deltas[i], &out);
        (void) snprintf(expected, sizeof(expected), "%s%s", CHUNK,
                        written[i]);

        TAP_IS_MEM(buf, out.len, expected, strlen(expected), "event %zu", i);
    }

    sp_event_init(&usage);

    usage.prompt_tokens = 3;
    usage.completion_tokens = 4;

    out.len = 0;
    sp_openai.write_end(&w, &usage, &out);
    TAP_IS_MEM(buf, out.len, end, sizeof(end) - 1, "the end, with usage");

    w.usage = 0;
    out.len = 0;
    sp_openai.write_end(&w, &usage, &out);
    TAP_IS_MEM(buf, out.len, "data: [DONE]\n\n", 14, "the end");

    out.len = 0;
    sp_openai.write_answer(&w, deltas, n, &usage, &out);

    memset(&said, 0, sizeof(said_t));

    TAP_IS_INT(sp_openai.scan_answer(buf, out.len, sink, &said, &event), 0,
               "a whole answer");
    TAP_IS_STR(said.said, "r0.0(||hm)t0.0(||a\\n\\n\\\")"
               "c0.0(id0|f|{\\\"x\\\":1})c0.1(id1|g|{}+Zm8=)"
               "f0.0(||tool_calls)t1.0(||other)f1.0(||length)",
               "and what it says");
    TAP_IS_INT(event.completion_tokens, 4, "with its usage");

    memset(&out, 0, sizeof(sp_out_t));
    sp_openai.write_answer(&w, deltas, n, &usage, &out);
    TAP_OK(out.len > 300 && out.dst == NULL, "measured");
}


/* a whole answer has the choices that were said, and one if none was */

static void test_choices(void)
{
    char         buf[2048];
    sp_out_t     out;
    sp_event_t   usage;
    sp_writer_t  w;

    static const sp_delta_t  last[] = {
        { SP_DELTA_TEXT, 127, 0, S("b"), NONE, NONE, NONE, 0, 0, 0 },
        { SP_DELTA_TEXT, 3, 0, S("a"), NONE, NONE, NONE, 0, 0, 0 },
        { SP_DELTA_TEXT, 128, 0, S("c"), NONE, NONE, NONE, 0, 0, 0 }
    };

    memset(&w, 0, sizeof(sp_writer_t));
    sp_event_init(&usage);

    out.dst = buf;
    out.size = sizeof(buf);
    out.len = 0;

    sp_openai.write_answer(&w, last, 3, &usage, &out);
    buf[out.len] = '\0';

    TAP_IS_STR(strstr(buf, "\"choices\""),
               "\"choices\":[{\"index\":3,\"message\":{\"role\":"
               "\"assistant\",\"content\":\"a\"},\"finish_reason\":"
               "\"stop\"},{\"index\":127,\"message\":{\"role\":"
               "\"assistant\",\"content\":\"b\"},\"finish_reason\":"
               "\"stop\"}]}", "choices 3 and 127");

    out.len = 0;

    sp_openai.write_answer(&w, last + 2, 1, &usage, &out);
    buf[out.len] = '\0';

    TAP_IS_STR(strstr(buf, "\"choices\""),
               "\"choices\":[{\"index\":0,\"message\":{\"role\":"
               "\"assistant\",\"content\":null},\"finish_reason\":"
               "\"stop\"}]}", "no choice");
}


static void test_error(void)
{
    char                 buf[512];
    sp_out_t             out;
    sp_dialect_error_t   error;

    static const char  whole[] =
        "{\"error\":{\"message\":\"a\\\"\",\"type\":"
        "\"rate_limit_error\",\"param\":null,\"code\":\"c\","
        "\"request_id\":\"r\"}}\n";
    static const char  event[] =
        "data: {\"error\":{\"message\":\"a\\\"\",\"type\":"
        "\"upstream_error\",\"param\":\"p\",\"code\":\"c\"}}\n\n";

    memset(&error, 0, sizeof(sp_dialect_error_t));

    error.status = 429;
    error.code = "c";
    error.message = "a\"";
    error.message_len = 2;
    error.request_id = "r";
    error.request_id_len = 1;

    out.dst = buf;
    out.size = sizeof(buf);
    out.len = 0;

    sp_openai.write_error(&error, &out);
    TAP_IS_MEM(buf, out.len, whole, sizeof(whole) - 1, "an error");

    error.event = 1;
    error.param = "p";
    out.len = 0;

    sp_openai.write_error(&error, &out);
    TAP_IS_MEM(buf, out.len, event, sizeof(event) - 1, "in a stream");
}


/* what a provider has not escaped well breaks no event of ours */

static void test_content(void)
{
    char      buf[64];
    size_t    i;
    sp_out_t  out;

    static const struct {
        const char  *raw;
        const char  *text;
    } contents[] = {
        { "a\\n\\u00e9\\\"\\/", "a\\n\\u00e9\\\"\\/" },
        { "a\nb\r\x01", "a\\nb\\r\\u0001" },
        { "a\"b", "a\\\"b" },
        { "\\x\\u12g4", "\\\\x\\\\u12g4" },
        { "\\", "\\\\" },
        { "\\u12", "\\\\u12" }
    };

    for (i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        out.dst = buf;
        out.size = sizeof(buf);
        out.len = 0;

        sp_out_content(&out, contents[i].raw, strlen(contents[i].raw));
        TAP_IS_MEM(buf, out.len, contents[i].text, strlen(contents[i].text),
                   "content %zu", i);
    }

    out.dst = buf;
    out.size = 3;
    out.len = 0;
    buf[3] = '!';

    sp_out_put(&out, "ab", 2);
    sp_out_integer(&out, -9223372036854775807 - 1);
    TAP_OK(out.len == 22 && memcmp(buf, "ab-!", 4) == 0,
           "what does not fit is counted");
}


int main(void)
{
    char        deep[400];
    size_t      i;
    sp_event_t  event;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        test_scan(&cases[i]);
    }

    test_deltas();
    test_unescape();
    test_half();
    test_choices();
    test_write();
    test_error();
    test_content();

    /* a stack of arrays is refused, not followed */

    memcpy(deep, "{\"a\":", 5);
    memset(deep + 5, '[', 100);
    memset(deep + 105, ']', 100);
    deep[205] = '}';

    TAP_IS_INT(sp_openai.scan_answer(deep, 206, NULL, NULL, &event), -1,
               "depth 101");

    memset(deep + 5, '[', 60);
    memset(deep + 65, ']', 60);
    deep[125] = '}';

    TAP_IS_INT(sp_openai.scan_answer(deep, 126, NULL, NULL, &event), 0,
               "depth 61");

    return tap_done();
}
