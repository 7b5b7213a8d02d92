
/*
 * Copyright (C) Sallyport authors
 *
 * Reads a GenerateContentResponse, whole or as an event of a stream, in one
 * pass and without building a tree.
 */


#include <string.h>

#include "sp_gemini.h"


typedef struct {
    sp_event_t         *event;
    sp_gemini_state_t  *state;
    sp_delta_pt         sink;
    void               *data;
    int64_t             n;           /* candidates so far */
    unsigned            ended:1;     /* one of them is complete */
} sp_gemini_reader_t;


typedef struct {
    int64_t             index;
    sp_slice_t          finish;
    sp_slice_t          message;
    sp_scan_t           parts;       /* pos NULL: none */
} sp_gemini_candidate_t;


/* tokens as one object tells them; -1: not said */

typedef struct {
    int64_t             prompt;
    int64_t             tool_prompt;
    int64_t             candidates;
    int64_t             thoughts;
    int64_t             cached;
} sp_gemini_usage_t;


static int sp_gemini_scan(sp_scan_t *s, sp_gemini_reader_t *reader);
static int sp_gemini_scan_root(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_gemini_scan_element(sp_scan_t *s, void *data);
static int sp_gemini_scan_candidate(sp_scan_t *s, void *data);
static int sp_gemini_scan_member(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_gemini_scan_content(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_gemini_emit(sp_gemini_reader_t *reader,
    const sp_gemini_candidate_t *candidate);
static int sp_gemini_emit_finish(sp_gemini_reader_t *reader, size_t choice,
    const sp_slice_t *reason, sp_finish_e finish);
static int sp_gemini_finish(const sp_slice_t *reason, sp_finish_e *finish);
static int sp_gemini_scan_feedback(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_gemini_scan_usage(sp_scan_t *s, sp_gemini_reader_t *reader);
static int sp_gemini_scan_tokens(sp_scan_t *s, const char *key, size_t len,
    void *data);
static void sp_gemini_usage(sp_gemini_state_t *state,
    const sp_gemini_usage_t *said, sp_event_t *event);
static void sp_gemini_keep(int64_t *kept, int64_t said);
static int64_t sp_gemini_sum(int64_t a, int64_t b);
static int sp_gemini_scan_detail(sp_scan_t *s, void *data);
static int sp_gemini_scan_retry(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_gemini_scan_error(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_gemini_scan_slice(sp_scan_t *s, sp_slice_t *slice);


static const char  sp_gemini_array[] =
    "a JSON array came in place of an answer: \"alt=sse\" was not heard";


int
sp_gemini_scan_event(void *state, const sp_sse_event_t *sse, sp_delta_pt sink,
    void *data, sp_event_t *event)
{
    sp_scan_t           s;
    sp_gemini_state_t   copy;
    sp_gemini_reader_t  reader;

    memset(&reader, 0, sizeof(sp_gemini_reader_t));

    reader.event = event;
    reader.state = state;
    reader.sink = sink;
    reader.data = data;

    if (sink == NULL) {
        copy = *reader.state;
        reader.state = &copy;
    }

    s.pos = sse->data;
    s.last = sse->data + sse->data_len;

    return sp_gemini_scan(&s, &reader);
}


int
sp_gemini_scan_answer(const char *text, size_t len, sp_delta_pt sink,
    void *data, sp_event_t *event)
{
    sp_scan_t           s;
    sp_gemini_state_t   state;
    sp_gemini_reader_t  reader;

    memset(&state, 0, sizeof(sp_gemini_state_t));
    memset(&reader, 0, sizeof(sp_gemini_reader_t));

    reader.event = event;
    reader.state = &state;
    reader.sink = sink;
    reader.data = data;

    s.pos = text;
    s.last = text + len;

    return sp_gemini_scan(&s, &reader);
}


static int
sp_gemini_scan(sp_scan_t *s, sp_gemini_reader_t *reader)
{
    int          rc;
    sp_event_t  *event;

    event = reader->event;

    sp_event_init(event);

    s->depth = 0;
    sp_scan_space(s);

    if (sp_scan_at(s, '[')) {

        /* never an answer, but errors come so, too */

        reader->sink = NULL;
        event->has_error = 1;
        event->error.data = sp_gemini_array;
        event->error.len = sizeof(sp_gemini_array) - 1;

        rc = sp_scan_array(s, sp_gemini_scan_element, reader);

    } else {
        rc = sp_scan_object(s, sp_gemini_scan_root, reader);
    }

    if (rc != 0) {
        return rc;
    }

    /* a count of 0 is left out */

    if (reader->ended && event->prompt_tokens >= 0
        && event->completion_tokens < 0)
    {
        event->completion_tokens = 0;
    }

    sp_scan_space(s);

    return (s->pos == s->last) ? 0 : -1;
}


static int
sp_gemini_scan_element(sp_scan_t *s, void *data)
{
    return sp_scan_at(s, '{') ? sp_scan_object(s, sp_gemini_scan_root, data)
                              : sp_scan_skip(s);
}


static int
sp_gemini_scan_root(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_gemini_reader_t *reader = data;

    if (sp_scan_is(key, len, "candidates") && sp_scan_at(s, '[')) {
        return sp_scan_array(s, sp_gemini_scan_candidate, reader);
    }

    if (sp_scan_is(key, len, "usageMetadata") && sp_scan_at(s, '{')) {
        return sp_gemini_scan_usage(s, reader);
    }

    if (sp_scan_is(key, len, "promptFeedback") && sp_scan_at(s, '{')) {
        return sp_scan_object(s, sp_gemini_scan_feedback, reader);
    }

    if (sp_scan_is(key, len, "error") && !sp_scan_at(s, 'n')) {
        reader->event->has_error = 1;

        if (sp_scan_at(s, '{')) {
            return sp_scan_object(s, sp_gemini_scan_error, reader->event);
        }
    }

    return sp_scan_skip(s);
}


static int
sp_gemini_scan_candidate(sp_scan_t *s, void *data)
{
    sp_gemini_reader_t *reader = data;

    sp_gemini_candidate_t  candidate;

    reader->event->has_answer = 1;

    memset(&candidate, 0, sizeof(sp_gemini_candidate_t));
    candidate.index = reader->n++;

    if (!sp_scan_at(s, '{')) {
        return sp_scan_skip(s);
    }

    if (sp_scan_object(s, sp_gemini_scan_member, &candidate) != 0
        || candidate.index >= SP_CHAT_MAX_CHOICES)
    {
        return -1;
    }

    return sp_gemini_emit(reader, &candidate);
}


static int
sp_gemini_scan_member(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_gemini_candidate_t *candidate = data;

    if (sp_scan_is(key, len, "index")) {
        return sp_scan_integer(s, &candidate->index);
    }

    if (sp_scan_is(key, len, "content") && sp_scan_at(s, '{')) {
        return sp_scan_object(s, sp_gemini_scan_content, candidate);
    }

    if (sp_scan_is(key, len, "finishReason")) {
        return sp_gemini_scan_slice(s, &candidate->finish);
    }

    if (sp_scan_is(key, len, "finishMessage")) {
        return sp_gemini_scan_slice(s, &candidate->message);
    }

    return sp_scan_skip(s);
}


/* parts are read when the number of their choice is known */

static int
sp_gemini_scan_content(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_gemini_candidate_t *candidate = data;

    if (sp_scan_is(key, len, "parts") && sp_scan_at(s, '[')) {
        candidate->parts = *s;
    }

    return sp_scan_skip(s);
}


static int
sp_gemini_emit(sp_gemini_reader_t *reader,
    const sp_gemini_candidate_t *candidate)
{
    int           rc;
    size_t        choice;
    sp_scan_t     s;
    sp_finish_e   finish;
    sp_event_t   *event;

    event = reader->event;
    choice = (size_t) candidate->index;

    if (candidate->parts.pos != NULL) {
        s = candidate->parts;

        rc = sp_gemini_scan_parts(&s, reader->state, choice, reader->sink,
                                  reader->data, event);
        if (rc != 0) {
            return rc;
        }
    }

    if (candidate->finish.len == 0) {
        return 0;
    }

    reader->ended = 1;

    if (sp_gemini_finish(&candidate->finish, &finish) != 0) {

        /* a call that is broken, or a reason that nobody knows */

        event->has_error = 1;
        event->error = (candidate->message.len != 0) ? candidate->message
                                                     : candidate->finish;
        event->error_code = candidate->finish;

        return 0;
    }

    if (reader->state->ended[choice]) {
        return 0;
    }

    reader->state->ended[choice] = 1;

    if (finish == SP_FINISH_STOP && reader->state->calls[choice] != 0) {
        finish = SP_FINISH_TOOLS;
    }

    return sp_gemini_emit_finish(reader, choice, &candidate->finish, finish);
}


static int
sp_gemini_emit_finish(sp_gemini_reader_t *reader, size_t choice,
    const sp_slice_t *reason, sp_finish_e finish)
{
    sp_delta_t  delta;

    if (reader->sink == NULL) {
        return 0;
    }

    memset(&delta, 0, sizeof(sp_delta_t));

    delta.kind = SP_DELTA_FINISH;
    delta.choice = choice;
    delta.text = *reason;
    delta.finish = finish;

    return reader->sink(reader->data, &delta);
}


/* -1: the answer is not what it should have been */

static int
sp_gemini_finish(const sp_slice_t *reason, sp_finish_e *finish)
{
    size_t  i;

    static const struct {
        const char   *name;
        sp_finish_e   finish;
    } names[] = {
        { "STOP", SP_FINISH_STOP },
        { "MAX_TOKENS", SP_FINISH_LENGTH },
        { "SAFETY", SP_FINISH_FILTER },
        { "RECITATION", SP_FINISH_FILTER },
        { "LANGUAGE", SP_FINISH_FILTER },
        { "BLOCKLIST", SP_FINISH_FILTER },
        { "PROHIBITED_CONTENT", SP_FINISH_FILTER },
        { "SPII", SP_FINISH_FILTER },
        { "IMAGE_SAFETY", SP_FINISH_FILTER },
        { "IMAGE_PROHIBITED_CONTENT", SP_FINISH_FILTER },
        { "IMAGE_RECITATION", SP_FINISH_FILTER },
        { "MODEL_ARMOR", SP_FINISH_FILTER }
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (sp_scan_is(reason->data, reason->len, names[i].name)) {
            *finish = names[i].finish;
            return 0;
        }
    }

    return -1;
}


/* a prompt that is blocked has no candidates: this is all of the answer */

static int
sp_gemini_scan_feedback(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_gemini_reader_t *reader = data;

    sp_slice_t  reason;

    if (!sp_scan_is(key, len, "blockReason")) {
        return sp_scan_skip(s);
    }

    memset(&reason, 0, sizeof(sp_slice_t));

    if (sp_gemini_scan_slice(s, &reason) != 0) {
        return -1;
    }

    if (reason.len == 0) {
        return 0;
    }

    reader->ended = 1;
    reader->event->has_answer = 1;
    reader->event->done = 1;

    return sp_gemini_emit_finish(reader, 0, &reason, SP_FINISH_FILTER);
}


static int
sp_gemini_scan_usage(sp_scan_t *s, sp_gemini_reader_t *reader)
{
    sp_gemini_usage_t  said;

    said.prompt = -1;
    said.tool_prompt = -1;
    said.candidates = -1;
    said.thoughts = -1;
    said.cached = -1;

    if (sp_scan_object(s, sp_gemini_scan_tokens, &said) != 0) {
        return -1;
    }

    sp_gemini_usage(reader->state, &said, reader->event);

    return 0;
}


static int
sp_gemini_scan_tokens(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_gemini_usage_t *said = data;

    if (sp_scan_is(key, len, "promptTokenCount")) {
        return sp_scan_integer(s, &said->prompt);
    }

    if (sp_scan_is(key, len, "toolUsePromptTokenCount")) {
        return sp_scan_integer(s, &said->tool_prompt);
    }

    if (sp_scan_is(key, len, "candidatesTokenCount")) {
        return sp_scan_integer(s, &said->candidates);
    }

    if (sp_scan_is(key, len, "thoughtsTokenCount")) {
        return sp_scan_integer(s, &said->thoughts);
    }

    if (sp_scan_is(key, len, "cachedContentTokenCount")) {
        return sp_scan_integer(s, &said->cached);
    }

    return sp_scan_skip(s);
}


/*
 * Running totals, repeated with each event: the last one said counts, of each
 * count by itself.  The answer's are those of its text and of its thoughts.
 */

static void
sp_gemini_usage(sp_gemini_state_t *state, const sp_gemini_usage_t *said,
    sp_event_t *event)
{
    sp_gemini_keep(&state->prompt, said->prompt);
    sp_gemini_keep(&state->tool_prompt, said->tool_prompt);
    sp_gemini_keep(&state->candidates, said->candidates);
    sp_gemini_keep(&state->thoughts, said->thoughts);

    event->has_usage = 1;
    event->cached_tokens = said->cached;
    event->reasoning_tokens = state->thoughts - 1;

    if (state->prompt != 0) {
        event->prompt_tokens = sp_gemini_sum(state->prompt,
                                             state->tool_prompt);
    }

    if (state->candidates != 0 || state->thoughts != 0) {
        event->completion_tokens = sp_gemini_sum(state->candidates,
                                                 state->thoughts);
    }
}


static void
sp_gemini_keep(int64_t *kept, int64_t said)
{
    if (said >= 0 && said < INT64_MAX / 4) {
        *kept = said + 1;
    }
}


static int64_t
sp_gemini_sum(int64_t a, int64_t b)
{
    return a - (a != 0) + b - (b != 0);
}


static int
sp_gemini_scan_error(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_event_t *event = data;

    if (sp_scan_is(key, len, "message")) {
        return sp_gemini_scan_slice(s, &event->error);
    }

    if (sp_scan_is(key, len, "status")) {
        return sp_gemini_scan_slice(s, &event->error_type);
    }

    if (sp_scan_is(key, len, "details") && sp_scan_at(s, '[')) {
        return sp_scan_array(s, sp_gemini_scan_detail, event);
    }

    return sp_scan_skip(s);
}


static int
sp_gemini_scan_detail(sp_scan_t *s, void *data)
{
    return sp_scan_at(s, '{') ? sp_scan_object(s, sp_gemini_scan_retry, data)
                              : sp_scan_skip(s);
}


/*
 * google.rpc.RetryInfo; a duration in JSON is a number of seconds and an "s"
 */

static int
sp_gemini_scan_retry(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_event_t *event = data;

    size_t      i;
    sp_slice_t  delay;

    if (!sp_scan_is(key, len, "retryDelay")) {
        return sp_scan_skip(s);
    }

    memset(&delay, 0, sizeof(sp_slice_t));

    if (sp_gemini_scan_slice(s, &delay) != 0) {
        return -1;
    }

    for (i = 0;
         i < delay.len && (delay.data[i] == '.'
                           || (delay.data[i] >= '0' && delay.data[i] <= '9'));
         i++)
    {
        /* void */
    }

    if (i != 0 && i + 1 == delay.len && delay.data[i] == 's') {
        event->error_retry.data = delay.data;
        event->error_retry.len = i;
    }

    return 0;
}


/* a value that is no string is skipped */

static int
sp_gemini_scan_slice(sp_scan_t *s, sp_slice_t *slice)
{
    return sp_scan_at(s, '"') ? sp_scan_string(s, &slice->data, &slice->len)
                              : sp_scan_skip(s);
}
