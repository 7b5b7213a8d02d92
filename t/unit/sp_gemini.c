
/*
 * Copyright (C) Sallyport authors
 *
 * What a Gemini answer says, whole and as events of one stream.
 */

#include "tap.h"

#include "sp_call_id.h"
#include "sp_dialect.h"


#define EVENTS  6


typedef struct {
    const char  *name;
    const char  *events[EVENTS];     /* one: also as a whole answer */
    const char  *said;
    const char  *flags;              /* of all events, "/" behind each */
    int64_t      tokens[4];          /* prompt, completion, cached,
                                        reasoning */
} case_t;


/* what an answer has said, in one line */

typedef struct {
    char         said[2048];
    int          stop;
} said_t;


#define PARTS(parts)  "{\"candidates\":[{\"content\":{\"role\":\"model\","    \
                      "\"parts\":[" parts "]},\"index\":0}]}"
#define DONE(parts, reason)                                                   \
    "{\"candidates\":[{\"content\":{\"parts\":[" parts "],\"role\":"          \
    "\"model\"},\"finishReason\":\"" reason "\",\"index\":0}]}"
#define UNSAID  { -1, -1, -1, -1 }


static const case_t  cases[] = {

    /* text */

    { "text",
      { PARTS("{\"text\":\"a\\n\"},{\"text\":\"\"},{\"text\":\"b\"}") },
      "t0.0(||a\\n|)t0.0(||b|)", "1/", UNSAID },
    { "an end", { DONE("{\"text\":\"a\"}", "STOP") },
      "t0.0(||a|)f0.0(||STOP|)=0", "1/", UNSAID },
    { "the end first",
      { "{\"candidates\":[{\"finishReason\":\"STOP\",\"index\":1,"
        "\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}" },
      "t1.0(||a|)f1.0(||STOP|)=0", "1/", UNSAID },
    { "an end alone", { "{\"candidates\":[{\"finishReason\":\"STOP\"}]}" },
      "f0.0(||STOP|)=0", "1/", UNSAID },
    { "no reason yet", { DONE("{\"text\":\"a\"}", "") }, "t0.0(||a|)", "1/",
      UNSAID },
    { "two candidates, by their place",
      { "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}},"
        "{\"content\":{\"parts\":[{\"text\":\"b\"}]}}]}" },
      "t0.0(||a|)t1.0(||b|)", "1/", UNSAID },

    /* thoughts and signatures */

    { "a thought", { PARTS("{\"thought\":true,\"text\":\"a\"},"
                           "{\"text\":\"b\",\"thought\":false}") },
      "r0.0(||a|)t0.0(||b|)", "1/", UNSAID },
    { "signatures", { PARTS("{\"text\":\"a\",\"thoughtSignature\":\"Zm8=\"}"),
                      DONE("{\"text\":\"\",\"thoughtSignature\":\"YmE=\"}",
                           "STOP") },
      "t0.0(||a|)s0.0(||Zm8=|)s0.0(||YmE=|)f0.0(||STOP|)=0", "1/1/",
      UNSAID },

    /* calls */

    { "calls", { PARTS("{\"functionCall\":{\"name\":\"f\",\"args\":"
                       "{\"x\": [1,\"}\"]}},\"thoughtSignature\":\"Zm8=\"},"
                       "{\"functionCall\":{\"id\":\"i7\",\"name\":\"g\"}}"),
                 DONE("{\"functionCall\":{\"name\":\"h\",\"args\":null}}",
                      "STOP") },
      "c0.0(?|f|{\"x\": [1,\"}\"]}|Zm8=)c0.1(i7|g|{}|)c0.2(?|h|{}|)"
      "f0.0(||STOP|)=2", "1/1/", UNSAID },
    { "STOP behind a call", { PARTS("{\"functionCall\":{\"name\":\"f\"}}"),
                              PARTS("{\"text\":\"\"}"), DONE("", "STOP") },
      "c0.0(?|f|{}|)f0.0(||STOP|)=2", "1/1/1/", UNSAID },
    { "a call of another choice",
      { "{\"candidates\":[{\"index\":1,\"content\":{\"parts\":["
        "{\"functionCall\":{\"name\":\"f\"}}]}}]}",
        DONE("", "STOP"),
        "{\"candidates\":[{\"index\":1,\"finishReason\":\"STOP\"}]}" },
      "c1.0(?|f|{}|)f0.0(||STOP|)=0f1.0(||STOP|)=2", "1/1/1/", UNSAID },
    { "cut behind a call", { DONE("{\"functionCall\":{\"name\":\"f\"}}",
                                  "MAX_TOKENS") },
      "c0.0(?|f|{}|)f0.0(||MAX_TOKENS|)=1", "1/", UNSAID },
    { "a call without a name", { PARTS("{\"functionCall\":{\"args\":{}}}") },
      NULL, "", UNSAID },

    /* reasons */

    { "SAFETY", { DONE("", "SAFETY") }, "f0.0(||SAFETY|)=3", "1/", UNSAID },
    { "RECITATION", { DONE("", "RECITATION") }, "f0.0(||RECITATION|)=3",
      "1/", UNSAID },
    { "BLOCKLIST", { DONE("", "BLOCKLIST") }, "f0.0(||BLOCKLIST|)=3", "1/",
      UNSAID },
    { "PROHIBITED_CONTENT", { DONE("", "PROHIBITED_CONTENT") },
      "f0.0(||PROHIBITED_CONTENT|)=3", "1/", UNSAID },
    { "SPII", { DONE("", "SPII") }, "f0.0(||SPII|)=3", "1/", UNSAID },
    { "a broken call",
      { "{\"candidates\":[{\"finishReason\":\"MALFORMED_FUNCTION_CALL\","
        "\"finishMessage\":\"default_api.f(\"}]}" },
      "E(default_api.f(|MALFORMED_FUNCTION_CALL)", "e1/", UNSAID },
    { "a call of nothing", { DONE("{\"text\":\"a\"}",
                                  "UNEXPECTED_TOOL_CALL") },
      "t0.0(||a|)E(UNEXPECTED_TOOL_CALL|UNEXPECTED_TOOL_CALL)", "e1/",
      UNSAID },
    { "OTHER", { DONE("", "OTHER") }, "E(OTHER|OTHER)", "e1/", UNSAID },
    { "one that nobody knows", { DONE("", "TIRED") }, "E(TIRED|TIRED)",
      "e1/", UNSAID },

    { "an end that is repeated", { DONE("{\"text\":\"a\"}", "STOP"),
                                   DONE("{\"text\":\"\"}", "STOP"),
                                   "{\"usageMetadata\":{}}" },
      "t0.0(||a|)f0.0(||STOP|)=0", "1/1/u/", UNSAID },
    { "an end that is none", { DONE("{\"text\":\"a\"}", "STOP"),
                               DONE("{\"text\":\"b\"}", "STOP") },
      "t0.0(||a|)f0.0(||STOP|)=0E(the answer goes on behind its finish "
      "reason|)", "1/e1/", UNSAID },

    /* a prompt that is blocked */

    { "blocked", { "{\"promptFeedback\":{\"blockReason\":\"SAFETY\"},"
                   "\"usageMetadata\":{\"promptTokenCount\":4,"
                   "\"totalTokenCount\":4}}" },
      "f0.0(||SAFETY|)=3", "u1d/", { 4, 0, -1, -1 } },
    { "not blocked", { "{\"promptFeedback\":{\"safetyRatings\":[]},"
                       "\"candidates\":[{}]}" }, "", "1/", UNSAID },

    /* what nobody could be told of */

    { "an image", { PARTS("{\"text\":\"a\"},{\"inlineData\":{\"mimeType\":"
                          "\"image/png\",\"data\":\"AAAA\"}}") },
      "t0.0(||a|)E(the answer has a part that is neither text nor a call of "
      "a function|)", "e1/", UNSAID },
    { "no image", { PARTS("{\"text\":\"a\",\"inlineData\":null,"
                          "\"partMetadata\":{}}") },
      "t0.0(||a|)", "1/", UNSAID },

    /* usage: running totals */

    { "usage", { "{\"usageMetadata\":{\"promptTokenCount\":10,"
                 "\"candidatesTokenCount\":3,\"thoughtsTokenCount\":5,"
                 "\"toolUsePromptTokenCount\":2,\"cachedContentTokenCount\":"
                 "4,\"totalTokenCount\":20,\"promptTokensDetails\":[{"
                 "\"modality\":\"TEXT\",\"tokenCount\":10}]}}" },
      "", "u/", { 12, 8, 4, 5 } },
    { "usage, repeated",
      { "{\"usageMetadata\":{\"promptTokenCount\":10,"
        "\"thoughtsTokenCount\":5},\"candidates\":[{}]}",
        "{\"usageMetadata\":{\"promptTokenCount\":10,"
        "\"candidatesTokenCount\":1,\"thoughtsTokenCount\":7}}",
        "{\"usageMetadata\":{\"promptTokenCount\":10,"
        "\"candidatesTokenCount\":4}}" },
      "", "u1/u/u/", { 10, 11, -1, 7 } },
    { "usage, of nothing said yet",
      { "{\"usageMetadata\":{\"promptTokenCount\":10}}" }, "", "u/",
      { 10, -1, -1, -1 } },
    { "usage, of nothing said at all",
      { "{\"candidates\":[{\"finishReason\":\"STOP\"}],"
        "\"usageMetadata\":{\"promptTokenCount\":10}}" },
      "f0.0(||STOP|)=0", "u1/", { 10, 0, -1, -1 } },
    { "usage, beyond reason",
      { "{\"usageMetadata\":{\"promptTokenCount\":9223372036854775800,"
        "\"candidatesTokenCount\":-3,\"thoughtsTokenCount\":\"7\"}}" },
      "", "u/", UNSAID },

    /* errors */

    { "an error", { "{\"error\":{\"code\":429,\"message\":\"m\",\"status\":"
                    "\"RESOURCE_EXHAUSTED\",\"details\":[{}]}}" },
      "E(m|)", "e/", UNSAID },
    { "an error of several lines",
      { "{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"m\"\n"
        "  }\n}\n" }, "E(m|)", "e/", UNSAID },
    { "an error that is a text", { "{\"error\":\"m\"}" }, "E(|)", "e/",
      UNSAID },
    { "no error", { "{\"error\":null,\"candidates\":[{}]}" }, "", "1/",
      UNSAID },
    { "an array", { "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
                    "\"a\"}]}}]}\n,\r\n{}]" },
      "E(a JSON array came in place of an answer: \"alt=sse\" was not heard"
      "|)", "e1/", UNSAID },
    { "an array of an error", { "[{\"error\":{\"message\":\"m\"}}]" },
      "E(m|)", "e/", UNSAID },

    /* what is none */

    { "nothing", { "{}" }, "", "/", UNSAID },
    { "no JSON", { "hello" }, NULL, "", UNSAID },
    { "half of it", { "{\"candidates\":[{\"content\":{\"par" }, NULL, "",
      UNSAID },
    { "more than it", { "{} {}" }, NULL, "", UNSAID },
    { "half an array", { "[{\"candidates\":[{}]}" }, NULL, "", UNSAID },
    { "too many candidates", { "{\"candidates\":[{\"index\":128}]}" }, NULL,
      "", UNSAID },
    { "other types", { "{\"candidates\":{},\"usageMetadata\":[],"
                       "\"promptFeedback\":1}" }, "", "/", UNSAID },
    { "other types within",
      { "{\"candidates\":[1,{\"content\":[]},{\"content\":{\"parts\":[1,"
        "{\"text\":1},{\"functionCall\":1}]},\"finishReason\":1,"
        "\"index\":\"x\"}]}" }, "", "1/", UNSAID }
};


static const char *flags(const sp_event_t *event)
{
    char         *p;
    static char   buf[8];

    p = buf;

    if (event->has_error) {
        *p++ = 'e';
    }

    if (event->has_usage) {
        *p++ = 'u';
    }

    if (event->has_answer) {
        *p++ = '1';
    }

    if (event->done) {
        *p++ = 'd';
    }

    *p++ = '/';
    *p = '\0';

    return buf;
}


static void add(said_t *said, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void add(said_t *said, const char *fmt, ...)
{
    size_t   n;
    va_list  args;

    n = strlen(said->said);

    va_start(args, fmt);
    (void) vsnprintf(said->said + n, sizeof(said->said) - n, fmt, args);
    va_end(args);
}


#define SLICE(slice)  (int) (slice).len, (slice).data ? (slice).data : ""


static int sink(void *data, const sp_delta_t *delta)
{
    said_t  *said = data;

    static const char  kinds[] = "trxcsf";

    add(said, "%c%zu.%zu(", kinds[delta->kind], delta->choice, delta->tool);
    add(said, "%.*s|%.*s|%.*s|%.*s)", delta->no_id ? 1 : (int) delta->id.len,
        delta->no_id ? "?" : delta->id.data ? delta->id.data : "",
        SLICE(delta->name), SLICE(delta->text), SLICE(delta->signature));

    if (delta->kind == SP_DELTA_FINISH) {
        add(said, "=%d", (int) delta->finish);
    }

    if (delta->json != (delta->kind == SP_DELTA_TOOL)) {
        add(said, "!");
    }

    return said->stop;
}


/* -1 when an event is none; else 0, and what all of them say */

static int stream(const case_t *c, said_t *said, char *seen,
    sp_event_t *totals)
{
    int             rc;
    char           *copy;
    void           *state;
    size_t          i;
    sp_event_t      event, looked;
    sp_sse_event_t  sse;

    state = calloc(1, sp_gemini.reader_size);
    rc = 0;

    sp_event_init(totals);
    memset(&sse, 0, sizeof(sp_sse_event_t));
    seen[0] = '\0';

    for (i = 0; i < EVENTS && c->events[i] != NULL && rc == 0; i++) {

        /* without a terminating byte: reading past the end is seen */

        sse.data_len = strlen(c->events[i]);
        copy = malloc(sse.data_len);
        memcpy(copy, c->events[i], sse.data_len);
        sse.data = copy;

        /* looking at it changes nothing */

        (void) sp_gemini.scan_event(state, &sse, NULL, NULL, &looked);

        rc = sp_gemini.scan_event(state, &sse, sink, said, &event);

        if (rc == 0) {
            if (event.has_error != looked.has_error
                || event.done != looked.done)
            {
                strcat(seen, "?");
            }

            strcat(seen, flags(&event));
            sp_event_merge(totals, &event);
        }

        if (rc == 0 && event.has_error) {
            add(said, "E(%.*s|%.*s)", SLICE(event.error),
                SLICE(event.error_code));
        }

        free(copy);
    }

    free(state);

    return rc;
}


static void test_case(const case_t *c)
{
    int         rc;
    char        seen[64];
    said_t      said;
    sp_event_t  event, totals;

    memset(&said, 0, sizeof(said_t));

    rc = stream(c, &said, seen, &totals);

    if (c->said == NULL) {
        TAP_IS_INT(rc, -1, "%s: refused", c->name);

    } else {
        TAP_IS_STR(said.said, c->said, "%s", c->name);
        TAP_IS_STR(seen, c->flags, "%s: flags", c->name);
        TAP_OK(totals.prompt_tokens == c->tokens[0]
               && totals.completion_tokens == c->tokens[1]
               && totals.cached_tokens == c->tokens[2]
               && totals.reasoning_tokens == c->tokens[3],
               "%s: usage (%lld %lld %lld %lld)", c->name,
               (long long) totals.prompt_tokens,
               (long long) totals.completion_tokens,
               (long long) totals.cached_tokens,
               (long long) totals.reasoning_tokens);
    }

    if (c->events[1] != NULL) {
        return;
    }

    memset(&said, 0, sizeof(said_t));

    rc = sp_gemini.scan_answer(c->events[0], strlen(c->events[0]), sink,
                               &said, &event);
    if (rc == 0 && event.has_error) {
        add(&said, "E(%.*s|%.*s)", SLICE(event.error),
            SLICE(event.error_code));
    }

    TAP_OK(c->said == NULL ? rc == -1 : strcmp(said.said, c->said) == 0,
           "%s: as a whole answer", c->name);
}


static void test_stop(void)
{
    size_t      i;
    said_t      said;
    sp_event_t  event;

    static const char  *const texts[] = {
        PARTS("{\"text\":\"a\"},{\"text\":\"b\"}"),
        PARTS("{\"functionCall\":{\"name\":\"f\"}},{\"text\":\"b\"}"),
        PARTS("{\"thoughtSignature\":\"a\"},{\"text\":\"b\"}"),
        "{\"promptFeedback\":{\"blockReason\":\"X\"},\"error\":{}}",
        "{\"candidates\":[{\"finishReason\":\"STOP\"}],\"error\":{}}"
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        memset(&said, 0, sizeof(said_t));
        said.stop = 7;

        TAP_IS_INT(sp_gemini.scan_answer(texts[i], strlen(texts[i]), sink,
                                         &said, &event), 7,
                   "a sink can stop it: %s", said.said);
        TAP_OK(!event.has_error, "at once");
    }
}


static void test_call_id(void)
{
    char    id[SP_CALL_ID_SIZE + 1];
    size_t  i;

    static const struct {
        const char  *from;
        size_t       choice;
        size_t       call;
        const char  *id;
    } ids[] = {
        { "01890a5d-ac96-774b-bcce-b302099a8057", 0, 0,
          "call_ac96774bbcceb302099a8057_0_0" },
        { "01890a5d-ac96-774b-bcce-b302099a8057", 127, 65534,
          "call_ac96774bbcceb302099a8057_127_65534" },
        { "xyzA7", 1, 2, "call_0000000000000000000000A7_1_2" },
        { "", 0, 10, "call_000000000000000000000000_0_10" }
    };

    static const char  *const others[] = {
        "", "call_", "call_abc", "toolu_01890a5dac96774bbcceb302_0_0",
        "call_ac96774bbcceb302099a8057", "call_ac96774bbcceb302099a8057_0",
        "call_ac96774bbcceb302099a8057_0_0x",
        "call_ac96774bbcceb302099a8057_0_",
        "call_ac96774bbcceb302099a805g_0_0"
    };

    for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        memset(id, 0, sizeof(id));

        TAP_IS_INT(sp_call_id(id, ids[i].from, strlen(ids[i].from),
                              ids[i].choice, ids[i].call),
                   strlen(ids[i].id), "the length of an id");
        TAP_IS_STR(id, ids[i].id, "%s", ids[i].id);
        TAP_OK(sp_call_id_ours(id), "is ours");
    }

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        TAP_OK(!sp_call_id_ours(others[i]), "is not: \"%s\"", others[i]);
    }
}


static void test_path(const char *model, const sp_chat_request_t *chat,
    unsigned live, const char *expected)
{
    char            buf[256];
    sp_out_t        out;
    sp_call_t       call;
    sp_chat_edit_t  edit;

    memset(&call, 0, sizeof(sp_call_t));
    memset(&edit, 0, sizeof(sp_chat_edit_t));

    edit.model = model;
    edit.model_len = strlen(model);
    call.edit = &edit;
    call.chat = chat;
    call.stream = live ? 1 : 0;

    out.dst = buf;
    out.size = sizeof(buf);
    out.len = 0;

    sp_gemini.write_path(&call, &out);
    TAP_IS_MEM(buf, out.len, expected, strlen(expected), "%s", expected);
}


static int vector(void *data, size_t index, const json_t *values)
{
    add(data, "%zu:%zu ", index, json_array_size(values));

    return 0;
}


static void test_embed(void)
{
    char        buf[512];
    size_t      i;
    said_t      said;
    sp_out_t    out;
    sp_embed_t  embed;
    sp_event_t  event;

    static const sp_slice_t  texts[] = { { "a \"b\"\n", 6 }, { "c", 1 } };

    static const char  expected[] =
        "{\"requests\":[{\"model\":\"models/m\",\"content\":{\"parts\":["
        "{\"text\":\"a \\\"b\\\"\\n\"}]},\"outputDimensionality\":256},"
        "{\"model\":\"models/m\",\"content\":{\"parts\":[{\"text\":\"c\"}]},"
        "\"outputDimensionality\":256}]}";

    static const struct {
        const char  *json;
        int          rc;
        const char  *seen;
        int64_t      tokens;
    } answers[] = {
        { "{\"embeddings\":[{\"values\":[0.5,1]},{\"values\":[2]}]}", 0,
          "0:2 1:1 ", -1 },
        { "{\"embeddings\":[],\"usageMetadata\":{\"promptTokenCount\":3}}",
          0, "", 3 },
        { "{\"embeddings\":[{\"values\":1}]}", -1, "", -1 },
        { "{\"embeddings\":{}}", -1, "", -1 },
        { "{\"error\":{\"message\":\"m\"}}", -1, "", -1 },
        { "no", -1, "", -1 }
    };

    memset(&embed, 0, sizeof(sp_embed_t));

    embed.texts = texts;
    embed.n = 2;
    embed.model = "m";
    embed.model_len = 1;
    embed.dimensions = 256;

    out.dst = buf;
    out.size = sizeof(buf);
    out.len = 0;

    sp_gemini.write_embed(&embed, &out);
    TAP_IS_MEM(buf, out.len, expected, strlen(expected), "texts to embed");

    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        memset(&said, 0, sizeof(said_t));

        TAP_IS_INT(sp_gemini.scan_embed(answers[i].json,
                                        strlen(answers[i].json), vector,
                                        &said, &event),
                   answers[i].rc, "%s", answers[i].json);
        TAP_IS_STR(said.said, answers[i].seen, "its vectors");
        TAP_IS_INT(event.prompt_tokens, answers[i].tokens, "its tokens");
    }
}


int main(void)
{
    char               headers[64];
    size_t             i;
    sp_out_t           out;
    sp_chat_request_t  chat;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        test_case(&cases[i]);
    }

    test_stop();
    test_call_id();
    test_embed();

    test_path("gemini-2.5-flash", &chat, 0,
              "/models/gemini-2.5-flash:generateContent");
    test_path("gemini-2.5-flash", &chat, 1,
              "/models/gemini-2.5-flash:streamGenerateContent?alt=sse");
    test_path("a/../b?c#d%:\303\251", &chat, 0,
              "/models/a%2F..%2Fb%3Fc%23d%25%3A%C3%A9:generateContent");
    test_path("e", NULL, 0, "/models/e:batchEmbedContents");

    out.dst = headers;
    out.size = sizeof(headers);
    out.len = 0;

    sp_gemini.write_headers("k", 1, &out);
    sp_gemini.write_headers("", 0, &out);
    TAP_IS_MEM(headers, out.len, "x-goog-api-key: k\r\n", 19,
               "the key is a header");

    return tap_done();
}
