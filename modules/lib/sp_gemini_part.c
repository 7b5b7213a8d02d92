
/*
 * Copyright (C) Sallyport authors
 *
 * The parts of a candidate: text, thoughts, calls and their signatures.
 */


#include <string.h>

#include "sp_gemini.h"


typedef struct {
    sp_gemini_state_t  *state;
    size_t              choice;
    sp_delta_pt         sink;
    void               *data;
    sp_event_t         *event;
} sp_gemini_parts_t;


typedef struct {
    sp_slice_t          text;
    sp_slice_t          signature;
    sp_slice_t          id;          /* of a call */
    sp_slice_t          name;
    sp_slice_t          args;
    unsigned            thought:1;
    unsigned            call:1;
    unsigned            foreign:1;   /* nobody could be told of it */
} sp_gemini_part_t;


static int sp_gemini_scan_part(sp_scan_t *s, void *data);
static int sp_gemini_fault(sp_gemini_parts_t *parts, const char *text,
    size_t len);
static int sp_gemini_scan_part_member(sp_scan_t *s, const char *key,
    size_t len, void *data);
static int sp_gemini_is_foreign(const char *key, size_t len);
static int sp_gemini_scan_call(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_gemini_emit_call(sp_gemini_parts_t *parts,
    const sp_gemini_part_t *part);
static int sp_gemini_emit_text(sp_gemini_parts_t *parts, sp_delta_e kind,
    const sp_slice_t *text);
static int sp_gemini_scan_word(sp_scan_t *s, sp_slice_t *slice);


static const char  sp_gemini_untold[] =
    "the answer has a part that is neither text nor a call of a function";

static const char  sp_gemini_goes_on[] =
    "the answer goes on behind its finish reason";


int
sp_gemini_scan_parts(sp_scan_t *s, sp_gemini_state_t *state, size_t choice,
    sp_delta_pt sink, void *data, sp_event_t *event)
{
    sp_gemini_parts_t  parts;

    parts.state = state;
    parts.choice = choice;
    parts.sink = sink;
    parts.data = data;
    parts.event = event;

    return sp_scan_array(s, sp_gemini_scan_part, &parts);
}


static int
sp_gemini_scan_part(sp_scan_t *s, void *data)
{
    sp_gemini_parts_t *parts = data;

    int               rc;
    sp_gemini_part_t  part;

    memset(&part, 0, sizeof(sp_gemini_part_t));

    if (!sp_scan_at(s, '{')) {
        return sp_scan_skip(s);
    }

    if (sp_scan_object(s, sp_gemini_scan_part_member, &part) != 0) {
        return -1;
    }

    if (part.foreign) {
        return sp_gemini_fault(parts, sp_gemini_untold,
                               sizeof(sp_gemini_untold) - 1);
    }

    if (parts->state->ended[parts->choice]
        && (part.call || part.text.len != 0))
    {
        return sp_gemini_fault(parts, sp_gemini_goes_on,
                               sizeof(sp_gemini_goes_on) - 1);
    }

    if (part.call) {
        return sp_gemini_emit_call(parts, &part);
    }

    rc = sp_gemini_emit_text(parts, part.thought ? SP_DELTA_REASONING
                                                 : SP_DELTA_TEXT, &part.text);

    return (rc == 0) ? sp_gemini_emit_text(parts, SP_DELTA_SIGNATURE,
                                           &part.signature)
                     : rc;
}


/* who was told the end would not hear of the rest */

static int
sp_gemini_fault(sp_gemini_parts_t *parts, const char *text, size_t len)
{
    parts->event->has_error = 1;
    parts->event->error.data = text;
    parts->event->error.len = len;

    return 0;
}


static int
sp_gemini_scan_part_member(sp_scan_t *s, const char *key, size_t len,
    void *data)
{
    sp_gemini_part_t *part = data;

    if (sp_scan_is(key, len, "text")) {
        return sp_gemini_scan_word(s, &part->text);
    }

    if (sp_scan_is(key, len, "thought")) {
        part->thought = sp_scan_at(s, 't') ? 1 : 0;
        return sp_scan_skip(s);
    }

    if (sp_scan_is(key, len, "thoughtSignature")) {
        return sp_gemini_scan_word(s, &part->signature);
    }

    if (sp_scan_is(key, len, "functionCall") && sp_scan_at(s, '{')) {
        part->call = 1;
        return sp_scan_object(s, sp_gemini_scan_call, part);
    }

    if (!sp_scan_at(s, 'n') && sp_gemini_is_foreign(key, len)) {
        part->foreign = 1;
    }

    return sp_scan_skip(s);
}


/* of models and tools that were not asked for: not left out in silence */

static int
sp_gemini_is_foreign(const char *key, size_t len)
{
    size_t  i;

    static const char  *const names[] = {
        "inlineData", "fileData", "executableCode", "codeExecutionResult",
        "toolCall", "toolResponse", "functionResponse"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (sp_scan_is(key, len, names[i])) {
            return 1;
        }
    }

    return 0;
}


static int
sp_gemini_scan_call(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_gemini_part_t *part = data;

    const char  *start;

    if (sp_scan_is(key, len, "id")) {
        return sp_gemini_scan_word(s, &part->id);
    }

    if (sp_scan_is(key, len, "name")) {
        return sp_gemini_scan_word(s, &part->name);
    }

    if (!sp_scan_is(key, len, "args") || !sp_scan_at(s, '{')) {
        return sp_scan_skip(s);
    }

    start = s->pos;

    if (sp_scan_skip(s) != 0) {
        return -1;
    }

    part->args.data = start;
    part->args.len = (size_t) (s->pos - start);

    return 0;
}


/* a call comes whole, in one part; most models give it no id */

static int
sp_gemini_emit_call(sp_gemini_parts_t *parts, const sp_gemini_part_t *part)
{
    size_t       call;
    sp_delta_t   delta;
    uint16_t    *calls;

    static const char  none[] = "{}";

    calls = &parts->state->calls[parts->choice];

    if (part->name.len == 0 || *calls == UINT16_MAX) {
        return -1;
    }

    call = (*calls)++;

    if (parts->sink == NULL) {
        return 0;
    }

    memset(&delta, 0, sizeof(sp_delta_t));

    delta.kind = SP_DELTA_TOOL;
    delta.choice = parts->choice;
    delta.tool = call;
    delta.name = part->name;
    delta.signature = part->signature;
    delta.json = 1;

    if (part->id.len != 0) {
        delta.id = part->id;

    } else {
        delta.no_id = 1;
    }

    if (part->args.len != 0) {
        delta.text = part->args;

    } else {
        delta.text.data = none;
        delta.text.len = sizeof(none) - 1;
    }

    return parts->sink(parts->data, &delta);
}


static int
sp_gemini_emit_text(sp_gemini_parts_t *parts, sp_delta_e kind,
    const sp_slice_t *text)
{
    sp_delta_t  delta;

    if (text->len == 0 || parts->sink == NULL) {
        return 0;
    }

    memset(&delta, 0, sizeof(sp_delta_t));

    delta.kind = kind;
    delta.choice = parts->choice;
    delta.text = *text;

    return parts->sink(parts->data, &delta);
}


/* a value that is no string is skipped */

static int
sp_gemini_scan_word(sp_scan_t *s, sp_slice_t *slice)
{
    return sp_scan_at(s, '"') ? sp_scan_string(s, &slice->data, &slice->len)
                              : sp_scan_skip(s);
}
