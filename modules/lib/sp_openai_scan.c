
/*
 * Copyright (C) Sallyport authors
 *
 * Reads the members that matter out of a chat completion, or of a chunk of a
 * stream, in one pass and without building a tree: the bytes themselves are
 * passed on untouched.
 */


#include <string.h>

#include "sp_openai.h"
#include "sp_scan.h"


typedef struct {
    sp_event_t    *event;
    sp_delta_pt    sink;
    void          *data;
    int64_t        n;              /* choices so far */
    unsigned       has_choices:1;
} sp_openai_reader_t;


typedef struct {
    int64_t        index;
    sp_slice_t     text;
    sp_slice_t     reasoning;
    sp_slice_t     refusal;
    sp_slice_t     finish;
    sp_scan_t      calls;          /* pos NULL: none */
} sp_openai_choice_t;


/* of a tool call; calls are read when the number of their choice is known */

typedef struct {
    sp_openai_reader_t  *reader;
    sp_delta_t           delta;
    int64_t              n;
    int64_t              index;
} sp_openai_calls_t;


static int sp_openai_scan_root(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_openai_scan_choice(sp_scan_t *s, void *data);
static int sp_openai_scan_member(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_openai_scan_message(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_openai_emit(sp_openai_reader_t *reader,
    const sp_openai_choice_t *choice);
static int sp_openai_emit_text(sp_openai_reader_t *reader, sp_delta_e kind,
    size_t choice, const sp_slice_t *text);
static int sp_openai_scan_call(sp_scan_t *s, void *data);
static int sp_openai_scan_call_member(sp_scan_t *s, const char *key,
    size_t len, void *data);
static int sp_openai_scan_function(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_openai_scan_extra(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_openai_scan_google(sp_scan_t *s, const char *key, size_t len,
    void *data);
static sp_finish_e sp_openai_finish(const sp_slice_t *reason);
static int sp_openai_scan_usage(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_openai_scan_details(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_openai_scan_slice(sp_scan_t *s, sp_slice_t *slice);


int
sp_openai_scan_event(void *state, const sp_sse_event_t *sse, sp_delta_pt sink,
    void *data, sp_event_t *event)
{
    if (sse->data_len >= 6 && memcmp(sse->data, "[DONE]", 6) == 0) {
        sp_event_init(event);
        event->done = 1;

        return 0;
    }

    return sp_openai_scan_answer(sse->data, sse->data_len, sink, data, event);
}


int
sp_openai_scan_answer(const char *text, size_t len, sp_delta_pt sink,
    void *data, sp_event_t *event)
{
    int                  rc;
    sp_scan_t            s;
    sp_openai_reader_t   reader;

    sp_event_init(event);

    reader.event = event;
    reader.sink = sink;
    reader.data = data;
    reader.n = 0;
    reader.has_choices = 0;

    s.pos = text;
    s.last = text + len;
    s.depth = 0;

    sp_scan_space(&s);

    rc = sp_scan_object(&s, sp_openai_scan_root, &reader);

    if (rc != 0) {
        return rc;
    }

    sp_scan_space(&s);

    if (event->has_usage && reader.has_choices && !event->has_answer) {
        event->usage_only = 1;
    }

    return (s.pos == s.last) ? 0 : -1;
}


static int
sp_openai_scan_root(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_openai_reader_t *reader = data;

    if (sp_scan_is(key, len, "choices") && sp_scan_at(s, '[')) {
        reader->has_choices = 1;
        return sp_scan_array(s, sp_openai_scan_choice, reader);
    }

    if (sp_scan_is(key, len, "usage") && sp_scan_at(s, '{')) {
        reader->event->has_usage = 1;
        return sp_scan_object(s, sp_openai_scan_usage, reader->event);
    }

    if (sp_scan_is(key, len, "error") && !sp_scan_at(s, 'n')) {
        reader->event->has_error = 1;

        if (sp_scan_at(s, '{')) {
            return sp_scan_object(s, sp_openai_scan_error, reader->event);
        }
    }

    return sp_scan_skip(s);
}


static int
sp_openai_scan_choice(sp_scan_t *s, void *data)
{
    sp_openai_reader_t *reader = data;

    sp_openai_choice_t  choice;

    reader->event->has_answer = 1;

    memset(&choice, 0, sizeof(sp_openai_choice_t));
    choice.index = reader->n++;

    if (!sp_scan_at(s, '{')) {
        return sp_scan_skip(s);
    }

    if (sp_scan_object(s, sp_openai_scan_member, &choice) != 0) {
        return -1;
    }

    return (reader->sink != NULL) ? sp_openai_emit(reader, &choice) : 0;
}


static int
sp_openai_scan_member(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_openai_choice_t *choice = data;

    if (sp_scan_is(key, len, "index")) {
        return sp_scan_integer(s, &choice->index);
    }

    if ((sp_scan_is(key, len, "delta") || sp_scan_is(key, len, "message"))
        && sp_scan_at(s, '{'))
    {
        return sp_scan_object(s, sp_openai_scan_message, choice);
    }

    if (sp_scan_is(key, len, "finish_reason")) {
        return sp_openai_scan_slice(s, &choice->finish);
    }

    return sp_scan_skip(s);
}


static int
sp_openai_scan_message(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_openai_choice_t *choice = data;

    if (sp_scan_is(key, len, "content")) {
        return sp_openai_scan_slice(s, &choice->text);
    }

    if (sp_scan_is(key, len, "tool_calls") && sp_scan_at(s, '[')) {
        choice->calls = *s;
        return sp_scan_skip(s);
    }

    if (sp_scan_is(key, len, "refusal")) {
        return sp_openai_scan_slice(s, &choice->refusal);
    }

    /* compatible servers have one name or the other */

    if (sp_scan_is(key, len, "reasoning_content")
        || sp_scan_is(key, len, "reasoning"))
    {
        return sp_openai_scan_slice(s, &choice->reasoning);
    }

    return sp_scan_skip(s);
}


static int
sp_openai_emit(sp_openai_reader_t *reader, const sp_openai_choice_t *choice)
{
    int                 rc;
    size_t              index;
    sp_scan_t           s;
    sp_delta_t          delta;
    sp_openai_calls_t   calls;

    index = (size_t) choice->index;

    rc = sp_openai_emit_text(reader, SP_DELTA_REASONING, index,
                             &choice->reasoning);

    if (rc == 0) {
        rc = sp_openai_emit_text(reader, SP_DELTA_TEXT, index, &choice->text);
    }

    if (rc == 0) {
        rc = sp_openai_emit_text(reader, SP_DELTA_REFUSAL, index,
                                 &choice->refusal);
    }

    if (rc == 0 && choice->calls.pos != NULL) {
        s = choice->calls;

        memset(&calls, 0, sizeof(sp_openai_calls_t));
        calls.reader = reader;
        calls.delta.choice = index;

        rc = sp_scan_array(&s, sp_openai_scan_call, &calls);
    }

    /* some servers have an empty reason until there is one */

    if (rc != 0 || choice->finish.len == 0) {
        return rc;
    }

    memset(&delta, 0, sizeof(sp_delta_t));

    delta.kind = SP_DELTA_FINISH;
    delta.choice = index;
    delta.text = choice->finish;
    delta.finish = sp_openai_finish(&choice->finish);

    return reader->sink(reader->data, &delta);
}


static int
sp_openai_emit_text(sp_openai_reader_t *reader, sp_delta_e kind,
    size_t choice, const sp_slice_t *text)
{
    sp_delta_t  delta;

    if (text->len == 0) {
        return 0;
    }

    memset(&delta, 0, sizeof(sp_delta_t));

    delta.kind = kind;
    delta.choice = choice;
    delta.text = *text;

    return reader->sink(reader->data, &delta);
}


static int
sp_openai_scan_call(sp_scan_t *s, void *data)
{
    sp_openai_calls_t *calls = data;

    sp_delta_t  *delta;

    delta = &calls->delta;

    calls->index = calls->n++;

    delta->kind = SP_DELTA_TOOL;
    memset(&delta->id, 0, sizeof(sp_slice_t));
    memset(&delta->name, 0, sizeof(sp_slice_t));
    memset(&delta->text, 0, sizeof(sp_slice_t));
    memset(&delta->signature, 0, sizeof(sp_slice_t));

    if (!sp_scan_at(s, '{')) {
        return sp_scan_skip(s);
    }

    if (sp_scan_object(s, sp_openai_scan_call_member, calls) != 0) {
        return -1;
    }

    delta->tool = (size_t) calls->index;
    delta->no_id = (delta->name.len != 0 && delta->id.len == 0);

    return calls->reader->sink(calls->reader->data, delta);
}


static int
sp_openai_scan_call_member(sp_scan_t *s, const char *key, size_t len,
    void *data)
{
    sp_openai_calls_t *calls = data;

    if (sp_scan_is(key, len, "index")) {
        return sp_scan_integer(s, &calls->index);
    }

    if (sp_scan_is(key, len, "id")) {
        return sp_openai_scan_slice(s, &calls->delta.id);
    }

    if (sp_scan_is(key, len, "function") && sp_scan_at(s, '{')) {
        return sp_scan_object(s, sp_openai_scan_function, &calls->delta);
    }

    if (sp_scan_is(key, len, "extra_content") && sp_scan_at(s, '{')) {
        return sp_scan_object(s, sp_openai_scan_extra, &calls->delta);
    }

    return sp_scan_skip(s);
}


static int
sp_openai_scan_function(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_delta_t *delta = data;

    if (sp_scan_is(key, len, "name")) {
        return sp_openai_scan_slice(s, &delta->name);
    }

    if (sp_scan_is(key, len, "arguments")) {
        return sp_openai_scan_slice(s, &delta->text);
    }

    return sp_scan_skip(s);
}


/* a signature of Google's models, at their endpoint of this dialect */

static int
sp_openai_scan_extra(sp_scan_t *s, const char *key, size_t len, void *data)
{
    if (sp_scan_is(key, len, "google") && sp_scan_at(s, '{')) {
        return sp_scan_object(s, sp_openai_scan_google, data);
    }

    return sp_scan_skip(s);
}


static int
sp_openai_scan_google(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_delta_t *delta = data;

    if (sp_scan_is(key, len, "thought_signature")) {
        return sp_openai_scan_slice(s, &delta->signature);
    }

    return sp_scan_skip(s);
}


static sp_finish_e
sp_openai_finish(const sp_slice_t *reason)
{
    size_t  i;

    static const struct {
        const char   *name;
        sp_finish_e   finish;
    } names[] = {
        { "stop", SP_FINISH_STOP },
        { "length", SP_FINISH_LENGTH },
        { "tool_calls", SP_FINISH_TOOLS },
        { "function_call", SP_FINISH_TOOLS },
        { "content_filter", SP_FINISH_FILTER }
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (sp_scan_is(reason->data, reason->len, names[i].name)) {
            return names[i].finish;
        }
    }

    return SP_FINISH_OTHER;
}


static int
sp_openai_scan_usage(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_event_t *event = data;

    if (sp_scan_is(key, len, "prompt_tokens")) {
        return sp_scan_integer(s, &event->prompt_tokens);
    }

    if (sp_scan_is(key, len, "completion_tokens")) {
        return sp_scan_integer(s, &event->completion_tokens);
    }

    if ((sp_scan_is(key, len, "prompt_tokens_details")
         || sp_scan_is(key, len, "completion_tokens_details"))
        && sp_scan_at(s, '{'))
    {
        return sp_scan_object(s, sp_openai_scan_details, event);
    }

    return sp_scan_skip(s);
}


static int
sp_openai_scan_details(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_event_t *event = data;

    if (sp_scan_is(key, len, "cached_tokens")) {
        return sp_scan_integer(s, &event->cached_tokens);
    }

    if (sp_scan_is(key, len, "cache_write_tokens")) {
        return sp_scan_integer(s, &event->cache_write_tokens);
    }

    if (sp_scan_is(key, len, "reasoning_tokens")) {
        return sp_scan_integer(s, &event->reasoning_tokens);
    }

    return sp_scan_skip(s);
}


int
sp_openai_scan_error(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_event_t *event = data;

    if (sp_scan_is(key, len, "message")) {
        return sp_openai_scan_slice(s, &event->error);
    }

    if (sp_scan_is(key, len, "type")) {
        return sp_openai_scan_slice(s, &event->error_type);
    }

    if (sp_scan_is(key, len, "code")) {
        return sp_openai_scan_slice(s, &event->error_code);
    }

    if (sp_scan_is(key, len, "param")) {
        return sp_openai_scan_slice(s, &event->error_param);
    }

    return sp_scan_skip(s);
}


/* a value that is no string is skipped */

static int
sp_openai_scan_slice(sp_scan_t *s, sp_slice_t *slice)
{
    return sp_scan_at(s, '"') ? sp_scan_string(s, &slice->data, &slice->len)
                              : sp_scan_skip(s);
}
