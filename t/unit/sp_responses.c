
/*
 * Copyright (C) Sallyport authors
 */

#include "tap.h"

#include "sp_json.h"
#include "sp_responses.h"


#define DELTA(k, t)     { .kind = SP_DELTA_ ## k,                             \
                          .text = { t, sizeof(t) - 1 } }
#define CALL(n, i, f, t)                                                      \
    { .kind = SP_DELTA_TOOL, .tool = n, .id = { i, sizeof(i) - 1 },           \
      .name = { f, sizeof(f) - 1 }, .text = { t, sizeof(t) - 1 } }
#define FINISH(f)       { .kind = SP_DELTA_FINISH, .finish = SP_FINISH_ ## f }


/* what is said, and the items of the response that say it */

typedef struct {
    const char  *name;
    unsigned     late;
    sp_delta_t   deltas[8];
    const char  *output;
    const char  *end;
} stream_t;


static const stream_t  streams[] = {

    { "a text", 0, { DELTA(TEXT, "Hel"), DELTA(TEXT, "lo \\\"x\\\""),
                     FINISH(STOP) },
      "message:Hello \"x\"", "completed" },
    { "nothing", 0, { FINISH(STOP) }, "", "completed" },
    { "no end of a choice", 0, { DELTA(TEXT, "x") }, "message:x",
      "completed" },
    { "too long", 0, { DELTA(TEXT, "x"), FINISH(LENGTH) }, "message:x~",
      "incomplete max_output_tokens" },
    { "filtered", 0, { DELTA(TEXT, "x"), FINISH(FILTER) }, "message:x~",
      "incomplete content_filter" },
    { "a refusal", 0, { DELTA(REFUSAL, "n"), DELTA(REFUSAL, "o"),
                        FINISH(STOP) }, "refusal:no", "completed" },
    { "reasoning", 0, { DELTA(REASONING, "h"), DELTA(REASONING, "m"),
                        DELTA(TEXT, "x"), FINISH(STOP) },
      "reasoning:hm message:x", "completed" },
    { "reasoning that is signed", 0,
      { DELTA(REASONING, "a"), DELTA(SIGNATURE, "S"), DELTA(SIGNATURE, "1"),
        DELTA(REASONING, "b"), DELTA(TEXT, "x"), FINISH(STOP) },
      "reasoning:a(S1) reasoning:b message:x", "completed" },
    { "a signature alone", 0, { DELTA(SIGNATURE, "S"), DELTA(TEXT, "x"),
                                FINISH(STOP) },
      "reasoning:(S) message:x", "completed" },
    { "calls, one behind the other", 0,
      { DELTA(TEXT, "I look"), CALL(0, "c0", "f", ""),
        CALL(0, "", "", "{\\\"a\\\":"), CALL(0, "", "", "1}"),
        CALL(1, "c1", "g", "[]"), FINISH(TOOLS) },
      "message:I look call:c0,f,{\"a\":1} call:c1,g,[]", "completed" },
    { "calls, one in the other", 0,
      { CALL(0, "c0", "f", "{"), CALL(1, "c1", "g", "["),
        CALL(0, "", "", "}"), CALL(1, "", "", "]"), FINISH(TOOLS) },
      "call:c0,f,{} call:c1,g,[]", "completed" },
    { "a call without an id", 0, { CALL(0, "", "f", "{}"), FINISH(TOOLS) },
      "call:call_000000000000000000000000_0_0,f,{}", "completed" },
    { "texts that overlap", 1,
      { DELTA(REASONING, "h"), DELTA(TEXT, "I lo"), CALL(0, "c", "f", "{"),
        DELTA(REASONING, "m"), DELTA(TEXT, "ok"), CALL(0, "", "", "}"),
        FINISH(TOOLS) },
      "reasoning:hm message:I look call:c,f,{}", "completed" },
    { "signed, and perhaps changed", 1,
      { DELTA(REASONING, "h"), DELTA(SIGNATURE, "S"), DELTA(TEXT, "x"),
        FINISH(STOP) },
      "reasoning:h message:x", "completed" }
};


static char *test_grow(void *data, char *old, size_t len, size_t size);
static size_t feed(sp_writer_t *w, const stream_t *c, char *text,
    size_t size);
static void apply(const char *text, size_t len, char *output, char *end,
    char *told);
static void output_text(const json_t *output, char *text);
static void test_streams(void);
static void test_limits(void);
static void test_errors(void);
static void test_usage(void);


static char *
test_grow(void *data, char *old, size_t len, size_t size)
{
    char  *p;

    /* as exact as can be: what is written behind it is found */

    p = malloc(size);
    memcpy(p, old ? old : "", len);
    free(old);

    return p;
}


static size_t
feed(sp_writer_t *w, const stream_t *c, char *text, size_t size)
{
    size_t             need;
    sp_out_t           out;
    sp_event_t         usage;
    const sp_delta_t  *delta;

    memset(&out, 0, sizeof(sp_out_t));
    sp_event_init(&usage);

    usage.prompt_tokens = 3;
    usage.completion_tokens = 5;

    out.dst = text;
    out.size = size;

    for (delta = c->deltas;
         delta->kind != 0 || delta->text.len != 0;
         delta++)
    {
        need = out.len + sp_responses.need(w, delta);
        sp_responses.write_event(w, delta, &out);

        if (out.len > need) {
            TAP_OK(0, "%s: more than was needed", c->name);
        }
    }

    need = out.len + sp_responses.need(w, NULL);
    sp_responses.write_end(w, &usage, &out);

    if (out.len > need) {
        TAP_OK(0, "%s: more than was needed at the end", c->name);
    }

    return out.len;
}


/* what a client makes of the events: as told, and as repeated at the end */

static void
apply(const char *text, size_t len, char *output, char *end, char *told)
{
    json_t          *event, *output_of, *response;
    int64_t          sequence;
    sp_sse_t         sse;
    const char      *pos, *type;
    json_int_t       index;
    sp_sse_event_t   what;

    memset(&sse, 0, sizeof(sp_sse_t));

    pos = text;
    sequence = 0;
    output[0] = '\0';
    end[0] = '\0';
    told[0] = '\0';
    index = -1;

    while (sp_sse_next(&sse, &pos, text + len, &what) == SP_SSE_EVENT) {

        if (what.data_len == 0) {
            continue;
        }

        if (sp_json_parse(what.data, what.data_len, NULL, &event, NULL)
            != SP_JSON_OK)
        {
            TAP_OK(0, "an event is no JSON: %.*s", (int) what.data_len,
                   what.data);
            return;
        }

        type = json_string_value(json_object_get(event, "type"));

        if (json_integer_value(json_object_get(event, "sequence_number"))
            != sequence++)
        {
            TAP_OK(0, "the sequence number of %s", type);
        }

        if (strcmp(type, "response.output_item.added") == 0
            && json_integer_value(json_object_get(event, "output_index"))
               != ++index)
        {
            TAP_OK(0, "the index of %s", type);
        }

        if (strcmp(type, "response.output_item.done") == 0) {
            output_of = json_pack("[O]", json_object_get(event, "item"));
            output_text(output_of, told + strlen(told));
            strcat(told, " ");
            json_decref(output_of);
        }

        response = json_object_get(event, "response");

        if (strcmp(type, "response.completed") == 0
            || strcmp(type, "response.incomplete") == 0)
        {
            output_text(json_object_get(response, "output"), output);

            strcpy(end, json_string_value(json_object_get(response,
                                                          "status")));
            response = json_object_get(json_object_get(response,
                                          "incomplete_details"), "reason");

            if (response != NULL) {
                strcat(end, " ");
                strcat(end, json_string_value(response));
            }
        }

        json_decref(event);
    }
}


static void
output_text(const json_t *output, char *text)
{
    size_t         i;
    const char    *kind;
    const json_t  *item, *part;

    for (i = 0; i < json_array_size(output); i++) {
        item = json_array_get(output, i);
        kind = json_string_value(json_object_get(item, "type"));

        strcat(text, i != 0 ? " " : "");

        if (strcmp(kind, "function_call") == 0) {
            sprintf(text + strlen(text), "call:%s,%s,%s",
                    json_string_value(json_object_get(item, "call_id")),
                    json_string_value(json_object_get(item, "name")),
                    json_string_value(json_object_get(item, "arguments")));
            continue;
        }

        part = json_array_get(json_object_get(item, strcmp(kind, "reasoning")
                                                    ? "content" : "summary"),
                              0);

        if (json_object_get(part, "refusal") != NULL) {
            sprintf(text + strlen(text), "refusal:%s",
                    json_string_value(json_object_get(part, "refusal")));

        } else {
            sprintf(text + strlen(text), "%s:%s", kind, part == NULL ? ""
                    : json_string_value(json_object_get(part, "text")));
        }

        if (json_object_get(item, "encrypted_content") != NULL) {
            sprintf(text + strlen(text), "(%s)",
                    json_string_value(json_object_get(item,
                                                     "encrypted_content")));
        }

        if (json_object_get(item, "status") != NULL
            && strcmp(json_string_value(json_object_get(item, "status")),
                      "incomplete")
               == 0)
        {
            strcat(text, "~");
        }
    }
}


static void
test_streams(void)
{
    char                  end[64], output[512], told[512], *text;
    json_t               *root;
    size_t                i, len, n;
    sp_out_t              out;
    sp_event_t            usage;
    sp_writer_t           w;
    sp_responses_state_t  st;

    text = malloc(65536);

    for (i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        memset(&w, 0, sizeof(sp_writer_t));
        memset(&st, 0, sizeof(sp_responses_state_t));

        w.id = "R";
        w.id_len = 1;
        w.model = "m";
        w.model_len = 1;
        w.state = &st;
        w.grow = test_grow;
        w.limit = 65536;
        w.late = streams[i].late & 1;

        len = feed(&w, &streams[i], text, 65536);

        apply(text, len, output, end, told);

        TAP_IS_STR(output, streams[i].output, "%s: repeated at the end",
                   streams[i].name);
        TAP_IS_STR(end, streams[i].end, "%s: its end", streams[i].name);
        TAP_OK(strlen(told) < 2
               || strncmp(told, output, strlen(told) - 1) == 0,
               "%s: told item by item: %s", streams[i].name, told);

        free(st.text);
        free(st.items);

        /* a whole answer says the same, where nothing overlaps */

        if (streams[i].late
            || strcmp(streams[i].name, "calls, one in the other") == 0)
        {
            continue;
        }

        for (n = 0;
             streams[i].deltas[n].kind != 0
             || streams[i].deltas[n].text.len != 0;
             n++)
        {
            /* void */
        }

        sp_event_init(&usage);
        memset(&out, 0, sizeof(sp_out_t));
        out.dst = text;
        out.size = 65536;

        sp_responses.write_answer(&w, streams[i].deltas, n, &usage, &out);

        output[0] = '\0';

        if (sp_json_parse(text, out.len, NULL, &root, NULL) == SP_JSON_OK) {
            output_text(json_object_get(root, "output"), output);
            json_decref(root);
        }

        TAP_IS_STR(output, streams[i].output, "%s: as a whole answer",
                   streams[i].name);
    }

    free(text);
}


static void
test_limits(void)
{
    char                  text[8192];
    size_t                i;
    sp_out_t              out;
    sp_delta_t            delta = DELTA(TEXT, "0123456789abcdef");
    sp_event_t            usage;
    sp_writer_t           w;
    sp_responses_state_t  st;

    memset(&w, 0, sizeof(sp_writer_t));
    memset(&st, 0, sizeof(sp_responses_state_t));

    w.id = "R";
    w.id_len = 1;
    w.model = "m";
    w.model_len = 1;
    w.state = &st;
    w.grow = test_grow;
    w.limit = 2048;

    for (i = 0; i < 200 && !w.full; i++) {
        memset(&out, 0, sizeof(sp_out_t));
        out.dst = text;
        out.size = sizeof(text);

        sp_responses.write_event(&w, &delta, &out);
    }

    TAP_OK(i > 20 && i < 128, "an answer ends at the limit, after %zu", i);
    TAP_OK(st.size <= 2048, "which is kept");

    sp_event_init(&usage);
    out.len = 0;

    sp_responses.write_event(&w, &delta, &out);
    sp_responses.write_end(&w, &usage, &out);

    TAP_IS_INT(out.len, 0, "nothing is said after that");

    free(st.text);
    free(st.items);
}


static void
test_errors(void)
{
    char                  text[2048];
    sp_out_t              out;
    sp_writer_t           w;
    sp_dialect_error_t    error;
    sp_responses_state_t  st;

    static const char  in_stream[] =
        "event: error\ndata: {\"type\":\"error\",\"sequence_number\":7,"
        "\"code\":\"cut\",\"message\":\"a \\\"b\\\"\",\"param\":null,"
        "\"error\":{\"type\":\"server_error\",\"code\":\"cut\","
        "\"message\":\"a \\\"b\\\"\",\"param\":null}}\n\n"
        "event: response.failed\ndata: {\"type\":\"response.failed\","
        "\"sequence_number\":8,\"response\":{\"id\":\"resp_R\","
        "\"object\":\"response\",\"created_at\":0,\"status\":\"failed\","
        "\"model\":\"m\",\"background\":false,\"store\":false,"
        "\"previous_response_id\":null,\"error\":{\"code\":\"cut\","
        "\"message\":\"a \\\"b\\\"\",\"param\":null},"
        "\"incomplete_details\":null,\"output\":[],\"usage\":null}}\n\n";

    static const char  whole[] =
        "{\"error\":{\"message\":\"a \\\"b\\\"\",\"type\":\"server_error\","
        "\"param\":null,\"code\":\"cut\",\"request_id\":\"id\"}}\n";

    memset(&error, 0, sizeof(sp_dialect_error_t));
    memset(&w, 0, sizeof(sp_writer_t));
    memset(&st, 0, sizeof(sp_responses_state_t));

    w.id = "R";
    w.id_len = 1;
    w.model = "m";
    w.model_len = 1;
    w.state = &st;
    st.sequence = 7;

    error.status = 502;
    error.code = "cut";
    error.message = "a \"b\"";
    error.message_len = 5;
    error.event = 1;
    error.writer = &w;

    memset(&out, 0, sizeof(sp_out_t));
    out.dst = text;
    out.size = sizeof(text);

    sp_responses.write_error(&error, &out);

    TAP_IS_MEM(text, out.len, in_stream, sizeof(in_stream) - 1,
               "an error in a stream, for SDKs and for who waits for its end");

    error.event = 0;
    error.request_id = "id";
    error.request_id_len = 2;
    out.len = 0;

    sp_responses.write_error(&error, &out);

    TAP_IS_MEM(text, out.len, whole, sizeof(whole) - 1,
               "an answer that is an error is OpenAI's");
}


static void
test_usage(void)
{
    char        text[256];
    sp_out_t    out;
    sp_event_t  usage;

    memset(&out, 0, sizeof(sp_out_t));
    out.dst = text;
    out.size = sizeof(text);

    sp_event_init(&usage);
    sp_responses_usage(&usage, &out);
    TAP_IS_MEM(text, out.len, "null", 4, "usage that nobody has told");

    usage.prompt_tokens = 10;
    usage.completion_tokens = 20;
    usage.cached_tokens = 3;
    usage.reasoning_tokens = 4;
    out.len = 0;

    sp_responses_usage(&usage, &out);
    text[out.len] = '\0';

    TAP_IS_STR(text, "{\"input_tokens\":10,\"input_tokens_details\":"
               "{\"cached_tokens\":3,\"cache_write_tokens\":0},"
               "\"output_tokens\":20,\"output_tokens_details\":"
               "{\"reasoning_tokens\":4},\"total_tokens\":30}",
               "usage with its details");
}


int
main(void)
{
    test_streams();
    test_limits();
    test_errors();
    test_usage();

    return tap_done();
}
