
/*
 * Copyright (C) Sallyport authors
 *
 * Reads an event of a Messages stream, or a whole message, in one pass and
 * without building a tree.  What an event is, its "type" says, wherever it
 * stands; so its members are found first, and said after.
 */


#include <string.h>

#include "sp_anthropic.h"
#include "sp_scan.h"


/* members of an event, of its content_block, of its delta, or of a block */
typedef struct {
    sp_slice_t              type;
    sp_slice_t              inner;       /* type of the delta or the block */
    sp_slice_t              text;
    sp_slice_t              thinking;
    sp_slice_t              signature;
    sp_slice_t              redacted;
    sp_slice_t              json;
    sp_slice_t              input;       /* as it is written */
    sp_slice_t              id;
    sp_slice_t              name;
    sp_slice_t              reason;
    sp_slice_t              sequence;
    sp_scan_t               content;     /* of a whole message; pos NULL */
    sp_event_t             *event;
    sp_anthropic_usage_t    usage;
} sp_anthropic_found_t;


typedef struct {
    sp_delta_pt             sink;
    void                   *data;
    sp_anthropic_reader_t  *state;
    unsigned                whole:1;     /* no delta will follow */
} sp_anthropic_scanner_t;


static int sp_anthropic_scan_text(const char *text, size_t len,
    sp_anthropic_found_t *found, sp_event_t *event);
static int sp_anthropic_scan_root(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_anthropic_scan_message(sp_scan_t *s, const char *key,
    size_t len, void *data);
static int sp_anthropic_scan_block(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_anthropic_scan_error(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_anthropic_scan_slice(sp_scan_t *s, sp_slice_t *slice);
static int sp_anthropic_event(sp_anthropic_scanner_t *scan,
    const sp_anthropic_found_t *found, sp_event_t *event);
static int sp_anthropic_begin(sp_anthropic_scanner_t *scan,
    const sp_anthropic_found_t *found);
static int sp_anthropic_delta(sp_anthropic_scanner_t *scan,
    const sp_anthropic_found_t *found);
static int sp_anthropic_stop(sp_anthropic_scanner_t *scan);
static int sp_anthropic_call(sp_anthropic_scanner_t *scan,
    const sp_anthropic_found_t *found);
static int sp_anthropic_arguments(sp_anthropic_scanner_t *scan,
    const sp_slice_t *json, unsigned raw);
static int sp_anthropic_content(sp_scan_t *s, void *data);
static int sp_anthropic_say(sp_anthropic_scanner_t *scan, sp_delta_e kind,
    const sp_slice_t *text);
static int sp_anthropic_ends(sp_anthropic_scanner_t *scan,
    const sp_anthropic_found_t *found);
static int sp_anthropic_is(const sp_slice_t *slice, const char *name);


/* by their values */

static const struct {
    const char   *name;
    sp_finish_e   finish;
} sp_anthropic_reasons[] = {
    { "end_turn", SP_FINISH_STOP },
    { "max_tokens", SP_FINISH_LENGTH },
    { "tool_use", SP_FINISH_TOOLS },
    { "refusal", SP_FINISH_FILTER },
    { "stop_sequence", SP_FINISH_STOP },
    { "pause_turn", SP_FINISH_STOP },
    { "model_context_window_exceeded", SP_FINISH_LENGTH }
};


int
sp_anthropic_scan_event(void *state, const sp_sse_event_t *sse,
    sp_delta_pt sink, void *data, sp_event_t *event)
{
    sp_anthropic_found_t    found;
    sp_anthropic_reader_t   look;
    sp_anthropic_scanner_t  scan;

    /* who only looks will come again with the same event */

    look = *(sp_anthropic_reader_t *) state;

    scan.sink = sink;
    scan.data = data;
    scan.state = (sink != NULL) ? state : &look;
    scan.whole = 0;

    if (sp_anthropic_scan_text(sse->data, sse->data_len, &found, event) != 0) {
        return -1;
    }

    return sp_anthropic_event(&scan, &found, event);
}


int
sp_anthropic_scan_answer(const char *text, size_t len, sp_delta_pt sink,
    void *data, sp_event_t *event)
{
    int                     rc;
    sp_anthropic_found_t    found;
    sp_anthropic_reader_t   state;
    sp_anthropic_scanner_t  scan;

    memset(&state, 0, sizeof(sp_anthropic_reader_t));

    scan.sink = sink;
    scan.data = data;
    scan.state = &state;
    scan.whole = 1;

    if (sp_anthropic_scan_text(text, len, &found, event) != 0) {
        return -1;
    }

    sp_anthropic_count(&state, &found.usage, event);

    if (!sp_anthropic_is(&found.type, "message")) {
        return 0;
    }

    event->has_answer = 1;

    if (sink == NULL) {
        return 0;
    }

    if (found.content.pos != NULL) {
        rc = sp_scan_array(&found.content, sp_anthropic_content, &scan);

        if (rc != 0) {
            return rc;
        }
    }

    return sp_anthropic_ends(&scan, &found);
}


static int
sp_anthropic_scan_text(const char *text, size_t len,
    sp_anthropic_found_t *found, sp_event_t *event)
{
    sp_scan_t  s;

    sp_event_init(event);

    memset(found, 0, sizeof(sp_anthropic_found_t));
    found->event = event;
    sp_anthropic_usage_init(&found->usage);

    s.pos = text;
    s.last = text + len;
    s.depth = 0;

    sp_scan_space(&s);

    if (sp_scan_object(&s, sp_anthropic_scan_root, found) != 0) {
        return -1;
    }

    sp_scan_space(&s);

    return (s.pos == s.last) ? 0 : -1;
}


static int
sp_anthropic_scan_root(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_anthropic_found_t *found = data;

    if (sp_scan_is(key, len, "type")) {
        return sp_anthropic_scan_slice(s, &found->type);
    }

    if (sp_scan_is(key, len, "error") && !sp_scan_at(s, 'n')) {
        found->event->has_error = 1;

        return sp_scan_at(s, '{')
               ? sp_scan_object(s, sp_anthropic_scan_error, found->event)
               : sp_scan_skip(s);
    }

    if (sp_scan_at(s, '{')) {

        if (sp_scan_is(key, len, "delta")
            || sp_scan_is(key, len, "content_block"))
        {
            return sp_scan_object(s, sp_anthropic_scan_block, found);
        }

        if (sp_scan_is(key, len, "message")) {
            return sp_scan_object(s, sp_anthropic_scan_message, found);
        }
    }

    return sp_anthropic_scan_message(s, key, len, data);
}


/* what a whole message has at its root, and message_start within */

static int
sp_anthropic_scan_message(sp_scan_t *s, const char *key, size_t len,
    void *data)
{
    sp_anthropic_found_t *found = data;

    if (sp_scan_is(key, len, "usage") && sp_scan_at(s, '{')) {
        found->event->has_usage = 1;
        return sp_scan_object(s, sp_anthropic_scan_usage, &found->usage);
    }

    if (sp_scan_is(key, len, "content") && sp_scan_at(s, '[')) {
        found->content = *s;
        return sp_scan_skip(s);
    }

    if (sp_scan_is(key, len, "stop_reason")) {
        return sp_anthropic_scan_slice(s, &found->reason);
    }

    if (sp_scan_is(key, len, "stop_sequence")) {
        return sp_anthropic_scan_slice(s, &found->sequence);
    }

    return sp_scan_skip(s);
}


static int
sp_anthropic_scan_block(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_anthropic_found_t *found = data;

    int          rc;
    size_t       i;
    const char  *start;

    const struct {
        const char  *name;
        sp_slice_t  *slice;
    } members[] = {
        { "type", &found->inner },
        { "text", &found->text },
        { "thinking", &found->thinking },
        { "signature", &found->signature },
        { "data", &found->redacted },
        { "partial_json", &found->json },
        { "id", &found->id },
        { "name", &found->name },
        { "stop_reason", &found->reason },
        { "stop_sequence", &found->sequence }
    };

    for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (sp_scan_is(key, len, members[i].name)) {
            return sp_anthropic_scan_slice(s, members[i].slice);
        }
    }

    start = s->pos;
    rc = sp_scan_skip(s);

    if (rc == 0 && sp_scan_is(key, len, "input")) {
        found->input.data = start;
        found->input.len = (size_t) (s->pos - start);
    }

    return rc;
}


static int
sp_anthropic_scan_error(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_event_t *event = data;

    if (sp_scan_is(key, len, "message")) {
        return sp_anthropic_scan_slice(s, &event->error);
    }

    if (sp_scan_is(key, len, "type")) {
        return sp_anthropic_scan_slice(s, &event->error_type);
    }

    return sp_scan_skip(s);
}


/* a value that is no string is skipped */

static int
sp_anthropic_scan_slice(sp_scan_t *s, sp_slice_t *slice)
{
    return sp_scan_at(s, '"') ? sp_scan_string(s, &slice->data, &slice->len)
                              : sp_scan_skip(s);
}


/* an event of another type, ping for one, says nothing */

static int
sp_anthropic_event(sp_anthropic_scanner_t *scan,
    const sp_anthropic_found_t *found, sp_event_t *event)
{
    const sp_slice_t  *type;

    type = &found->type;

    if (sp_anthropic_is(type, "content_block_delta")) {
        return sp_anthropic_delta(scan, found);
    }

    if (sp_anthropic_is(type, "content_block_start")) {
        return sp_anthropic_begin(scan, found);
    }

    if (sp_anthropic_is(type, "content_block_stop")) {
        return sp_anthropic_stop(scan);
    }

    if (sp_anthropic_is(type, "message_start")) {
        sp_anthropic_count(scan->state, &found->usage, event);

        /* provisional */

        event->completion_tokens = -1;
        event->reasoning_tokens = -1;

        return 0;
    }

    if (sp_anthropic_is(type, "message_delta")) {
        sp_anthropic_count(scan->state, &found->usage, event);
        return sp_anthropic_ends(scan, found);
    }

    if (sp_anthropic_is(type, "message_stop")) {
        event->done = 1;
    }

    return 0;
}


static int
sp_anthropic_begin(sp_anthropic_scanner_t *scan,
    const sp_anthropic_found_t *found)
{
    int                     rc;
    sp_anthropic_reader_t  *state;

    state = scan->state;
    rc = sp_anthropic_stop(scan);

    if (rc != 0) {
        return rc;
    }

    state->block = SP_ANTHROPIC_OTHER;

    if (sp_anthropic_is(&found->inner, "text")) {
        state->block = SP_ANTHROPIC_TEXT;
        return sp_anthropic_say(scan, SP_DELTA_TEXT, &found->text);
    }

    if (sp_anthropic_is(&found->inner, "thinking")) {
        state->block = SP_ANTHROPIC_THINKING;
        rc = sp_anthropic_say(scan, SP_DELTA_REASONING, &found->thinking);

        return (rc == 0) ? sp_anthropic_say(scan, SP_DELTA_SIGNATURE,
                                            &found->signature) : rc;
    }

    if (sp_anthropic_is(&found->inner, "redacted_thinking")) {
        return sp_anthropic_say(scan, SP_DELTA_SIGNATURE, &found->redacted);
    }

    if (sp_anthropic_is(&found->inner, "tool_use")) {
        state->block = SP_ANTHROPIC_TOOL;
        return sp_anthropic_call(scan, found);
    }

    return 0;
}


static int
sp_anthropic_delta(sp_anthropic_scanner_t *scan,
    const sp_anthropic_found_t *found)
{
    const sp_slice_t  *type;

    type = &found->inner;

    if (sp_anthropic_is(type, "text_delta")) {
        return sp_anthropic_say(scan, SP_DELTA_TEXT, &found->text);
    }

    if (sp_anthropic_is(type, "thinking_delta")) {
        return sp_anthropic_say(scan, SP_DELTA_REASONING, &found->thinking);
    }

    if (sp_anthropic_is(type, "signature_delta")) {
        return sp_anthropic_say(scan, SP_DELTA_SIGNATURE, &found->signature);
    }

    if (sp_anthropic_is(type, "input_json_delta")
        && scan->state->block == SP_ANTHROPIC_TOOL && found->json.len != 0)
    {
        return sp_anthropic_arguments(scan, &found->json, 0);
    }

    return 0;
}


/* a call without arguments has none of their deltas */

static int
sp_anthropic_stop(sp_anthropic_scanner_t *scan)
{
    sp_anthropic_block_e  block;

    static const sp_slice_t  empty = { "{}", 2 };

    block = scan->state->block;
    scan->state->block = SP_ANTHROPIC_NONE;

    return (block == SP_ANTHROPIC_TOOL && !scan->state->json)
           ? sp_anthropic_arguments(scan, &empty, 1) : 0;
}


/* in a stream an empty object stands for what the deltas will say */

static int
sp_anthropic_call(sp_anthropic_scanner_t *scan,
    const sp_anthropic_found_t *found)
{
    sp_delta_t  delta;

    memset(&delta, 0, sizeof(sp_delta_t));

    delta.kind = SP_DELTA_TOOL;
    delta.tool = scan->state->ncalls++;
    delta.id = found->id;
    delta.name = found->name;
    delta.no_id = (found->id.len == 0);
    delta.text.data = "";

    scan->state->json = (found->input.len > (scan->whole ? 0 : 2)
                         && found->input.data[0] == '{');

    if (scan->state->json) {
        delta.text = found->input;
        delta.json = 1;
    }

    return (scan->sink != NULL) ? scan->sink(scan->data, &delta) : 0;
}


static int
sp_anthropic_arguments(sp_anthropic_scanner_t *scan, const sp_slice_t *json,
    unsigned raw)
{
    sp_delta_t  delta;

    memset(&delta, 0, sizeof(sp_delta_t));

    delta.kind = SP_DELTA_TOOL;
    delta.tool = scan->state->ncalls - 1;
    delta.text = *json;
    delta.json = raw ? 1 : 0;

    scan->state->json = 1;

    return (scan->sink != NULL) ? scan->sink(scan->data, &delta) : 0;
}


/* a block of a whole message, as if it had come alone */

static int
sp_anthropic_content(sp_scan_t *s, void *data)
{
    sp_anthropic_scanner_t *scan = data;

    int                   rc;
    sp_event_t            event;
    sp_anthropic_found_t  found;

    memset(&found, 0, sizeof(sp_anthropic_found_t));
    found.event = &event;

    if (!sp_scan_at(s, '{')) {
        return sp_scan_skip(s);
    }

    if (sp_scan_object(s, sp_anthropic_scan_block, &found) != 0) {
        return -1;
    }

    rc = sp_anthropic_begin(scan, &found);

    return (rc == 0) ? sp_anthropic_stop(scan) : rc;
}


static int
sp_anthropic_say(sp_anthropic_scanner_t *scan, sp_delta_e kind,
    const sp_slice_t *text)
{
    sp_delta_t  delta;

    if (text->len == 0 || scan->sink == NULL) {
        return 0;
    }

    memset(&delta, 0, sizeof(sp_delta_t));

    delta.kind = kind;
    delta.text = *text;

    return scan->sink(scan->data, &delta);
}


static int
sp_anthropic_ends(sp_anthropic_scanner_t *scan,
    const sp_anthropic_found_t *found)
{
    sp_delta_t  delta;

    if (found->reason.len == 0 || scan->sink == NULL) {
        return 0;
    }

    memset(&delta, 0, sizeof(sp_delta_t));

    delta.kind = SP_DELTA_FINISH;
    delta.text = found->reason;
    delta.name = found->sequence;
    delta.finish = sp_anthropic_finish(&found->reason);

    return scan->sink(scan->data, &delta);
}


sp_finish_e
sp_anthropic_finish(const sp_slice_t *reason)
{
    size_t  i;

    for (i = 0;
         i < sizeof(sp_anthropic_reasons) / sizeof(sp_anthropic_reasons[0]);
         i++)
    {
        if (sp_anthropic_is(reason, sp_anthropic_reasons[i].name)) {
            return sp_anthropic_reasons[i].finish;
        }
    }

    return SP_FINISH_OTHER;
}


const char *
sp_anthropic_reason(const sp_delta_t *delta)
{
    size_t  i;

    for (i = 0;
         i < sizeof(sp_anthropic_reasons) / sizeof(sp_anthropic_reasons[0]);
         i++)
    {
        if (sp_anthropic_reasons[i].finish == delta->finish
            && sp_anthropic_is(&delta->text, sp_anthropic_reasons[i].name))
        {
            return sp_anthropic_reasons[i].name;
        }
    }

    /* by sp_finish_e */

    return sp_anthropic_reasons[delta->finish < SP_FINISH_OTHER
                                ? (size_t) delta->finish : 0].name;
}


static int
sp_anthropic_is(const sp_slice_t *slice, const char *name)
{
    return slice->data != NULL && sp_scan_is(slice->data, slice->len, name);
}
