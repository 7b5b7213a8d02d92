/*
 * Copyright (C) Sallyport authors
 *
 * Answers of the Messages API: streams cut anywhere, single events, and what
 * is written of another dialect.
 */

#define _GNU_SOURCE   /* memmem() */

#include "tap.h"

#include "sp_dialect.h"


/* what was said, in one line; texts of one kind are joined */

typedef struct {
    char        said[2048];
    sp_delta_t  last;
} said_t;


static void say(said_t *said, const char *text, size_t len)
{
    size_t  n;

    n = strlen(said->said);

    (void) snprintf(said->said + n, sizeof(said->said) - n, "%.*s",
                    (int) len, text);
}


static int sink(void *data, const sp_delta_t *delta)
{
    said_t *said = data;

    static const char  kinds[] = "trxcsf";

    if (said->said[0] == '\0' || said->last.kind != delta->kind
        || said->last.tool != delta->tool || delta->id.data != NULL)
    {
        say(said, " ", 1);
        say(said, &kinds[delta->kind], 1);
        say(said, ":", 1);

        if (delta->id.data != NULL) {
            say(said, delta->id.data, delta->id.len);
            say(said, "=", 1);
            say(said, delta->name.data, delta->name.len);
            say(said, ",", 1);
        }
    }

    if (delta->text.data != NULL) {
        say(said, delta->text.data, delta->text.len);
    }

    if (delta->kind == SP_DELTA_FINISH && delta->name.len != 0) {
        say(said, "/", 1);
        say(said, delta->name.data, delta->name.len);
    }

    said->last = *delta;

    return 0;
}


#define EVENT(name, data) \
    "event: " name "\ndata: {\"type\":\"" name "\"" data "}\n\n"

static const char  stream[] =
    EVENT("message_start", ",\"message\":{\"id\":\"msg_1\",\"type\":"
          "\"message\",\"role\":\"assistant\",\"content\":[],\"model\":\"m\","
          "\"stop_reason\":null,\"usage\":{\"input_tokens\":10,"
          "\"cache_creation_input_tokens\":3,\"cache_read_input_tokens\":5,"
          "\"output_tokens\":1}}")
    EVENT("content_block_start", ",\"index\":0,\"content_block\":{\"type\":"
          "\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
    EVENT("ping", "")
    EVENT("content_block_delta", ",\"index\":0,\"delta\":{\"type\":"
          "\"thinking_delta\",\"thinking\":\"h\"}")
    EVENT("content_block_delta", ",\"index\":0,\"delta\":{\"type\":"
          "\"thinking_delta\",\"thinking\":\"m\"}")
    EVENT("content_block_delta", ",\"index\":0,\"delta\":{\"type\":"
          "\"signature_delta\",\"signature\":\"sig==\"}")
    EVENT("content_block_stop", ",\"index\":0")
    EVENT("content_block_start", ",\"index\":1,\"content_block\":{\"type\":"
          "\"redacted_thinking\",\"data\":\"red\"}")
    EVENT("content_block_stop", ",\"index\":1")
    EVENT("content_block_start", ",\"index\":2,\"content_block\":{\"type\":"
          "\"text\",\"text\":\"\"}")
    EVENT("content_block_delta", ",\"index\":2,\"delta\":{\"type\":"
          "\"text_delta\",\"text\":\"a\\n\"}")
    EVENT("content_block_delta", ",\"index\":2,\"delta\":{\"type\":"
          "\"text_delta\",\"text\":\"b\"}")
    EVENT("content_block_delta", ",\"index\":2,\"delta\":{\"type\":"
          "\"citations_delta\",\"citation\":{\"text\":\"no\"}}")
    EVENT("content_block_stop", ",\"index\":2")
    EVENT("content_block_start", ",\"index\":3,\"content_block\":{\"type\":"
          "\"tool_use\",\"id\":\"t0\",\"name\":\"f\",\"input\":{}}")
    EVENT("content_block_delta", ",\"index\":3,\"delta\":{\"type\":"
          "\"input_json_delta\",\"partial_json\":\"\"}")
    EVENT("content_block_delta", ",\"index\":3,\"delta\":{\"type\":"
          "\"input_json_delta\",\"partial_json\":\"{\\\"x\\\":\"}")
    EVENT("content_block_delta", ",\"index\":3,\"delta\":{\"type\":"
          "\"input_json_delta\",\"partial_json\":\"1}\"}")
    EVENT("content_block_stop", ",\"index\":3")
    EVENT("content_block_start", ",\"index\":4,\"content_block\":{\"type\":"
          "\"server_tool_use\",\"id\":\"s\",\"name\":\"web_search\","
          "\"input\":{}}")
    EVENT("content_block_delta", ",\"index\":4,\"delta\":{\"type\":"
          "\"input_json_delta\",\"partial_json\":\"{}\"}")
    EVENT("content_block_stop", ",\"index\":4")
    EVENT("content_block_start", ",\"index\":5,\"content_block\":{\"type\":"
          "\"tool_use\",\"id\":\"t1\",\"name\":\"g\",\"input\":{}}")
    EVENT("content_block_stop", ",\"index\":5")
    EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"tool_use\","
          "\"stop_sequence\":null},\"usage\":{\"output_tokens\":42,"
          "\"output_tokens_details\":{\"thinking_tokens\":7}}")
    EVENT("message_stop", "");

static const char  stream_said[] =
    " r:hm s:sig==red t:a\\nb c:t0=f,{\\\"x\\\":1} c:t1=g,{} f:tool_use";


/* all events of a text that comes in pieces of "step" bytes */

static int read_stream(const sp_dialect_t *dialect, const char *text,
    size_t len, size_t step, sp_delta_pt to, void *data, sp_event_t *totals)
{
    int              rc;
    char             state[1024], memory[8192];
    size_t           n, used;
    sp_sse_t         sse;
    sp_event_t       event;
    const char      *pos;
    sp_sse_event_t   e;
    sp_sse_status_e  status;

    memset(state, 0, sizeof(state));
    memset(&sse, 0, sizeof(sp_sse_t));
    sp_event_init(totals);

    for (used = 0; used < len; used += n) {
        n = (len - used < step) ? len - used : step;
        pos = text + used;

        for ( ;; ) {
            status = sp_sse_next(&sse, &pos, text + used + n, &e);

            if (status == SP_SSE_AGAIN) {
                break;
            }

            if (status == SP_SSE_FULL) {
                sp_sse_memory(&sse, memory, sizeof(memory));
                continue;
            }

            if (e.data_len == 0) {
                continue;
            }

            /* who looks first changes nothing */

            rc = dialect->scan_event(state, &e, NULL, NULL, &event);

            if (rc == 0) {
                rc = dialect->scan_event(state, &e, to, data, &event);
            }

            if (rc != 0) {
                return rc;
            }

            sp_event_merge(totals, &event);
            totals->done |= event.done;
            totals->has_error |= event.has_error;

            if (event.has_error) {
                totals->error = event.error;
                totals->error_type = event.error_type;
            }
        }
    }

    return 0;
}


static void test_stream(void)
{
    size_t      step;
    said_t      said;
    sp_event_t  totals;

    for (step = 1; step < 400; step += (step < 20) ? 1 : 61) {
        memset(&said, 0, sizeof(said_t));

        if (read_stream(&sp_anthropic, stream, sizeof(stream) - 1, step, sink,
                        &said, &totals)
            != 0 || strcmp(said.said, stream_said) != 0)
        {
            break;
        }
    }

    TAP_OK(step >= 400, "a stream in pieces of any size says the same");
    TAP_IS_STR(said.said, stream_said, "what it says");
    TAP_IS_INT(totals.prompt_tokens, 18, "the input is the sum of three");
    TAP_IS_INT(totals.cached_tokens, 5, "read from the cache");
    TAP_IS_INT(totals.cache_write_tokens, 3, "written to it");
    TAP_IS_INT(totals.completion_tokens, 42, "the last output counts");
    TAP_IS_INT(totals.reasoning_tokens, 7, "reasoning is part of it");
    TAP_OK(totals.done, "message_stop is the end");
}


static const struct {
    const char  *name;
    const char  *data;
    int          rc;
    const char  *said;
    int64_t      prompt;
    int64_t      completion;
} events[] = {
    { "an error", "{\"type\":\"error\",\"error\":{\"type\":"
      "\"overloaded_error\",\"message\":\"Overloaded\"}}", 0, "", -1, -1 },
    { "a provisional output", "{\"type\":\"message_start\",\"message\":"
      "{\"usage\":{\"input_tokens\":3,\"output_tokens\":9}}}", 0, "", 3, -1 },
    { "each sampling of a compacted context",
      "{\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"input_tokens\":"
      "1,\"output_tokens\":2,\"iterations\":[{\"input_tokens\":100,"
      "\"output_tokens\":10},{\"input_tokens\":20,\"output_tokens\":3,"
      "\"cache_read_input_tokens\":4}]}}", 0, "", 124, 13 },
    { "a stop sequence", "{\"type\":\"message_delta\",\"delta\":"
      "{\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"##\"}}", 0,
      " f:stop_sequence/##", -1, -1 },
    { "numbers nobody has", "{\"type\":\"message_delta\",\"delta\":{},"
      "\"usage\":{\"input_tokens\":900000000000000000,"
      "\"cache_read_input_tokens\":99999999999999999999,"
      "\"output_tokens\":-1}}", 0, "", 900000000000000000, -1 },
    { "nothing where a proxy has null for it",
      "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":null,"
      "\"stop_sequence\":null},\"usage\":{\"input_tokens\":null,"
      "\"cache_read_input_tokens\":null,\"output_tokens\":43,"
      "\"output_tokens_details\":null,\"server_tool_use\":null}}", 0, "",
      -1, 43 },
    { "a block that begins with all of it", "{\"type\":"
      "\"content_block_start\",\"content_block\":{\"type\":\"tool_use\","
      "\"id\":\"i\",\"name\":\"n\",\"input\":{\"a\":1}}}", 0,
      " c:i=n,{\"a\":1}", -1, -1 },
    { "arguments of no call", "{\"type\":\"content_block_delta\",\"delta\":"
      "{\"type\":\"input_json_delta\",\"partial_json\":\"x\"}}", 0, "", -1,
      -1 },
    { "members in another order", "{\"delta\":{\"text\":\"x\",\"type\":"
      "\"text_delta\"},\"type\":\"content_block_delta\"}", 0, " t:x", -1, -1 },
    { "a type nobody knows", "{\"type\":\"new\",\"delta\":{\"text\":\"x\"}}",
      0, "", -1, -1 },
    { "no type", "{}", 0, "", -1, -1 },
    { "no object", "[DONE]", -1, "", -1, -1 },
    { "half an object", "{\"type\":\"ping\"", -1, "", -1, -1 }
};


static void test_events(void)
{
    char            state[1024];
    size_t          i;
    said_t          said;
    sp_event_t      event;
    sp_sse_event_t  sse;

    for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        memset(state, 0, sizeof(state));
        memset(&said, 0, sizeof(said_t));
        memset(&sse, 0, sizeof(sp_sse_event_t));

        sse.data = events[i].data;
        sse.data_len = strlen(events[i].data);

        TAP_IS_INT(sp_anthropic.scan_event(state, &sse, sink, &said, &event),
                   events[i].rc, "%s", events[i].name);
        TAP_IS_STR(said.said, events[i].said, "%s: says", events[i].name);

        if (events[i].rc == 0) {
            TAP_IS_INT(event.prompt_tokens, events[i].prompt, "%s: input",
                       events[i].name);
            TAP_IS_INT(event.completion_tokens, events[i].completion,
                       "%s: output", events[i].name);
        }
    }

    TAP_OK(!event.done, "not the end");
}


/* Writers */

typedef struct {
    sp_writer_t  w;
    sp_out_t     out;
    const sp_dialect_t  *to;
} writing_t;


static int write_delta(void *data, const sp_delta_t *delta)
{
    writing_t *writing = data;

    size_t  before;

    before = writing->out.len;
    writing->to->write_event(&writing->w, delta, &writing->out);

    /* what the caller counts on */

    return (writing->out.len - before
            > SP_DIALECT_EVENT + 6 * (delta->text.len + delta->id.len
                                      + delta->name.len)) ? 1 : 0;
}


static void begin_writing(writing_t *writing, const sp_dialect_t *to)
{
    memset(writing, 0, sizeof(writing_t));

    writing->to = to;
    writing->w.id = "i";
    writing->w.id_len = 1;
    writing->w.model = "mo\"del";
    writing->w.model_len = 6;
    writing->w.prompt_tokens = 12;
    writing->w.usage = 1;
    writing->w.state = calloc(1, to->writer_size);

    writing->out.size = 65536;
    writing->out.dst = malloc(writing->out.size);
}


static void end_writing(writing_t *writing)
{
    free(writing->w.state);
    free(writing->out.dst);
}


/* servers that speak chat completions in their own way */

static void test_odd_chunks(void)
{
    said_t      said;
    writing_t   ours;
    sp_event_t  totals;

    static const char  chunks[] =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\","
        "\"tool_calls\":[]},\"finish_reason\":null}]}\n\n"
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\","
        "\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":"
        "\"f\",\"arguments\":\"{\\\"x\\\":\"}}]},\"finish_reason\":\"\"}]}"
        "\n\n"
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":["
        "{\"index\":0,\"id\":\"c\",\"function\":{\"name\":null,"
        "\"arguments\":\"1}\"}}]},\"finish_reason\":\"stop\"}]}\n\n"
        "data: [DONE]\n\n";

    begin_writing(&ours, &sp_anthropic);
    (void) read_stream(&sp_openai, chunks, sizeof(chunks) - 1, 1000,
                       write_delta, &ours, &totals);
    sp_anthropic.write_end(&ours.w, &totals, &ours.out);

    memset(&said, 0, sizeof(said_t));
    TAP_IS_INT(read_stream(&sp_anthropic, ours.out.dst, ours.out.len, 1000,
                           sink, &said, &totals), 0, "odd chunks");
    TAP_IS_STR(said.said, " t:a c:c=f,{\\\"x\\\":1} f:tool_use",
               "are a text and a call");

    end_writing(&ours);
}


/* a stream to itself, and by way of the other dialect, says the same */

static void test_rewritten(void)
{
    said_t      said;
    writing_t   ours, theirs;
    sp_event_t  totals;

    begin_writing(&ours, &sp_anthropic);

    TAP_IS_INT(read_stream(&sp_anthropic, stream, sizeof(stream) - 1, 1000,
                           write_delta, &ours, &totals), 0, "written anew");
    sp_anthropic.write_end(&ours.w, &totals, &ours.out);

    memset(&said, 0, sizeof(said_t));
    TAP_IS_INT(read_stream(&sp_anthropic, ours.out.dst, ours.out.len, 7, sink,
                           &said, &totals), 0, "and read again");
    TAP_IS_STR(said.said, stream_said, "it says the same");
    TAP_IS_INT(totals.prompt_tokens, 18, "with the same usage");
    TAP_IS_INT(totals.cached_tokens, 5, "of the cache");
    TAP_IS_INT(totals.completion_tokens, 42, "of the answer");
    TAP_OK(totals.done, "and the end");

    end_writing(&ours);

    begin_writing(&theirs, &sp_openai);
    (void) read_stream(&sp_anthropic, stream, sizeof(stream) - 1, 1000,
                       write_delta, &theirs, &totals);
    sp_openai.write_end(&theirs.w, &totals, &theirs.out);

    begin_writing(&ours, &sp_anthropic);
    TAP_IS_INT(read_stream(&sp_openai, theirs.out.dst, theirs.out.len, 1000,
                           write_delta, &ours, &totals), 0,
               "by way of chat completions");
    sp_anthropic.write_end(&ours.w, &totals, &ours.out);

    memset(&said, 0, sizeof(said_t));
    (void) read_stream(&sp_anthropic, ours.out.dst, ours.out.len, 1000, sink,
                       &said, &totals);
    TAP_IS_STR(said.said, " r:hm t:a\\nb c:t0=f,{\\\"x\\\":1} c:t1=g,{} "
               "f:tool_use", "all but the signatures comes back");
    TAP_IS_INT(totals.completion_tokens, 42, "with its usage");
    TAP_IS_INT(totals.reasoning_tokens, 7, "of reasoning, too");

    end_writing(&ours);
    end_writing(&theirs);
}


#define S(text)  { text, sizeof(text) - 1 }
#define NONE     { NULL, 0 }

/* what another dialect says, and the whole of what becomes of it */

static const sp_delta_t  deltas[] = {
    { SP_DELTA_TEXT, 0, 0, S("a\\n\""), NONE, NONE, NONE, 0, 0, 0 },
    { SP_DELTA_TOOL, 0, 0, NONE, NONE, S("f"), NONE, 0, 0, 0 },
    { SP_DELTA_TOOL, 0, 0, S("{\"x\":1}"), NONE, NONE, NONE, 0, 1, 0 },
    { SP_DELTA_TEXT, 1, 0, S("of another choice"), NONE, NONE, NONE, 0, 0, 0 },
    { SP_DELTA_TOOL, 0, 1, S("{\\\"y\\\":"), S("id1"), S("g"), NONE, 0, 0, 0 },
    { SP_DELTA_TOOL, 0, 1, S("2}"), NONE, NONE, NONE, 0, 0, 0 },
    { SP_DELTA_FINISH, 0, 0, S("stop"), NONE, NONE, NONE,
      SP_FINISH_STOP, 0, 0 }
};

static const char  written[] =
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":"
    "{\"id\":\"msg_i\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"
    "\"mo\\\"del\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"
    "\"usage\":{\"input_tokens\":12,\"output_tokens\":0}}}\n\n"
    "event: content_block_start\ndata: {\"type\":\"content_block_start\","
    "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
    "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\\n\\\"\"}}"
    "\n\n"
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","
    "\"index\":0}\n\n"
    "event: content_block_start\ndata: {\"type\":\"content_block_start\","
    "\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_i_0\""
    ",\"name\":\"f\",\"input\":{}}}\n\n"
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
    "\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":"
    "\"{\\\"x\\\":1}\"}}\n\n"
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","
    "\"index\":1}\n\n"
    "event: content_block_start\ndata: {\"type\":\"content_block_start\","
    "\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"id\":\"id1\","
    "\"name\":\"g\",\"input\":{}}}\n\n"
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
    "\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":"
    "\"{\\\"y\\\":\"}}\n\n"
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
    "\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":"
    "\"2}\"}}\n\n"
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\","
    "\"index\":2}\n\n"
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":"
    "{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":"
    "{\"input_tokens\":1,\"cache_read_input_tokens\":2,\"output_tokens\":4}}"
    "\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

static const char  whole[] =
    "{\"id\":\"msg_i\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"
    "\"mo\\\"del\",\"content\":[{\"type\":\"text\",\"text\":\"a\\n\\\"\"},"
    "{\"type\":\"tool_use\",\"id\":\"toolu_i_0\",\"name\":\"f\",\"input\":"
    "{\"x\":1}},{\"type\":\"tool_use\",\"id\":\"id1\",\"name\":\"g\","
    "\"input\":{\"y\":2}}],\"stop_reason\":\"tool_use\",\"stop_sequence\":"
    "null,\"usage\":{\"input_tokens\":1,\"cache_read_input_tokens\":2,"
    "\"output_tokens\":4}}";


static void test_write(void)
{
    size_t       i, n;
    sp_delta_t   late;
    sp_event_t   usage;
    writing_t    writing;

    begin_writing(&writing, &sp_anthropic);
    sp_event_init(&usage);

    usage.prompt_tokens = 3;
    usage.cached_tokens = 2;
    usage.completion_tokens = 4;

    n = sizeof(deltas) / sizeof(deltas[0]);

    for (i = 0; i < n; i++) {
        TAP_IS_INT(write_delta(&writing, &deltas[i]), 0, "within its bound");
    }

    sp_anthropic.write_end(&writing.w, &usage, &writing.out);

    TAP_IS_MEM(writing.out.dst, writing.out.len, written, sizeof(written) - 1,
               "a stream");

    writing.out.len = 0;
    sp_anthropic.write_answer(&writing.w, deltas, n - 2, &usage,
                              &writing.out);
    TAP_OK(memmem(writing.out.dst, writing.out.len,
                  "\"input\":{\"arguments\":\"{\\\"y\\\":\"}", 31) != NULL,
           "arguments that are no JSON are told as a string");

    writing.out.len = 0;
    sp_anthropic.write_answer(&writing.w, deltas, n, &usage, &writing.out);
    TAP_IS_MEM(writing.out.dst, writing.out.len, whole, sizeof(whole) - 1,
               "a whole answer");

    end_writing(&writing);

    /* a call that goes on after another one has begun */

    begin_writing(&writing, &sp_anthropic);

    late = deltas[2];

    (void) write_delta(&writing, &deltas[1]);
    (void) write_delta(&writing, &deltas[4]);
    writing.out.len = 0;
    (void) write_delta(&writing, &late);

    TAP_OK(memmem(writing.out.dst, writing.out.len,
                  "content_block_delta\",\"index\":0,", 31) != NULL
           && memmem(writing.out.dst, writing.out.len, "_start", 6) == NULL,
           "calls in turns keep their blocks");

    end_writing(&writing);

    /* nothing was said */

    begin_writing(&writing, &sp_anthropic);
    sp_anthropic.write_end(&writing.w, &usage, &writing.out);
    TAP_OK(memcmp(writing.out.dst, "event: message_start\n", 21) == 0
           && memmem(writing.out.dst, writing.out.len, "\"end_turn\"", 10)
              != NULL, "an answer without a word is one");

    writing.out.len = 0;
    writing.w.passed = 1;
    sp_anthropic.write_end(&writing.w, &usage, &writing.out);
    TAP_IS_MEM(writing.out.dst, writing.out.len, "event: message_stop\ndata: "
               "{\"type\":\"message_stop\"}\n\n", 51,
               "of what has passed only the end is missing");
    end_writing(&writing);
}


static void test_error(void)
{
    char                 buf[512];
    size_t               i;
    sp_out_t             out;
    sp_dialect_error_t   error;

    static const struct {
        unsigned     status;
        const char  *type;
    } types[] = {
        { 400, "invalid_request_error" }, { 401, "authentication_error" },
        { 402, "billing_error" }, { 403, "permission_error" },
        { 404, "not_found_error" }, { 413, "request_too_large" },
        { 422, "invalid_request_error" }, { 429, "rate_limit_error" },
        { 500, "api_error" }, { 502, "api_error" },
        { 503, "overloaded_error" }, { 504, "timeout_error" },
        { 529, "overloaded_error" }
    };

    static const char  body[] =
        "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\","
        "\"message\":\"a\\\"\",\"code\":\"c\",\"param\":\"p\"},"
        "\"request_id\":\"r\"}\n";
    static const char  event[] =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
        "\"api_error\",\"message\":\"a\\\"\",\"code\":\"c\"}}\n\n";

    memset(&error, 0, sizeof(sp_dialect_error_t));

    error.status = 429;
    error.code = "c";
    error.param = "p";
    error.message = "a\"";
    error.message_len = 2;
    error.request_id = "r";
    error.request_id_len = 1;

    out.dst = buf;
    out.size = sizeof(buf);
    out.len = 0;

    sp_anthropic.write_error(&error, &out);
    TAP_IS_MEM(buf, out.len, body, sizeof(body) - 1, "an error");

    error.status = 502;
    error.event = 1;
    error.param = NULL;
    out.len = 0;

    sp_anthropic.write_error(&error, &out);
    TAP_IS_MEM(buf, out.len, event, sizeof(event) - 1, "in a stream");

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        error.status = types[i].status;
        out.len = 0;

        sp_anthropic.write_error(&error, &out);
        TAP_OK(memmem(buf, out.len, types[i].type, strlen(types[i].type))
               != NULL, "%u is %s", types[i].status, types[i].type);
    }
}


int main(void)
{
    test_stream();
    test_events();
    test_rewritten();
    test_odd_chunks();
    test_write();
    test_error();

    return tap_done();
}
