
/*
 * Copyright (C) Sallyport authors
 *
 * A stream of another dialect, as a Messages stream: what is said of one kind
 * is a block, and the blocks follow each other.
 */


#include <string.h>

#include "sp_anthropic.h"


#define SP_ANTHROPIC_STOP                                                     \
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"


static void sp_anthropic_write_start(sp_writer_t *w, sp_out_t *out);
static void sp_anthropic_write_call(sp_writer_t *w, const sp_delta_t *delta,
    sp_out_t *out);
static void sp_anthropic_write_signature(sp_writer_t *w,
    const sp_delta_t *delta, sp_out_t *out);
static void sp_anthropic_write_finish(sp_anthropic_writer_t *state,
    const sp_delta_t *delta);
static void sp_anthropic_write_stop(sp_anthropic_writer_t *state,
    sp_out_t *out);
static size_t sp_anthropic_write_open(sp_anthropic_writer_t *state,
    sp_anthropic_block_e block, sp_out_t *out);
static void sp_anthropic_write_delta(size_t block, const char *type,
    const char *name, const sp_delta_t *delta, sp_out_t *out);


/* several choices cannot be told apart here: there is one */

void
sp_anthropic_write_event(sp_writer_t *w, const sp_delta_t *delta,
    sp_out_t *out)
{
    sp_anthropic_writer_t *state = w->state;

    if (delta->choice != 0) {
        return;
    }

    sp_anthropic_write_start(w, out);

    switch (delta->kind) {

    case SP_DELTA_REASONING:

        if (state->block != SP_ANTHROPIC_THINKING) {
            (void) sp_anthropic_write_open(state, SP_ANTHROPIC_THINKING, out);
            sp_out_str(out, "{\"type\":\"thinking\",\"thinking\":\"\","
                            "\"signature\":\"\"}}\n\n");
        }

        sp_anthropic_write_delta(state->nblocks - 1, "thinking_delta",
                                 "thinking", delta, out);
        break;

    case SP_DELTA_SIGNATURE:
        sp_anthropic_write_signature(w, delta, out);
        break;

    case SP_DELTA_TOOL:
        sp_anthropic_write_call(w, delta, out);
        break;

    case SP_DELTA_FINISH:
        sp_anthropic_write_finish(state, delta);
        break;

    case SP_DELTA_REFUSAL:
        state->refusal = 1;

        /* fall through */

    default: /* SP_DELTA_TEXT */

        if (state->block != SP_ANTHROPIC_TEXT) {
            (void) sp_anthropic_write_open(state, SP_ANTHROPIC_TEXT, out);
            sp_out_str(out, "{\"type\":\"text\",\"text\":\"\"}}\n\n");
        }

        sp_anthropic_write_delta(state->nblocks - 1, "text_delta", "text",
                                 delta, out);
    }
}


static void
sp_anthropic_write_start(sp_writer_t *w, sp_out_t *out)
{
    sp_event_t              usage;
    sp_anthropic_writer_t  *state;

    state = w->state;

    if (state->started) {
        return;
    }

    state->started = 1;

    sp_event_init(&usage);
    usage.prompt_tokens = (w->prompt_tokens > 0) ? w->prompt_tokens : 0;

    sp_out_str(out, "event: message_start\n"
                    "data: {\"type\":\"message_start\",\"message\":{");
    sp_anthropic_write_head(w, out);
    sp_out_str(out, ",\"content\":[],\"stop_reason\":null,"
                    "\"stop_sequence\":null,\"usage\":");
    sp_anthropic_write_usage(&usage, out);
    sp_out_str(out, "}}\n\n");
}


/*
 * A provider may go on with a call after another one has begun: its block is
 * closed by then, and SDKs join by the number of the block.
 */

static void
sp_anthropic_write_call(sp_writer_t *w, const sp_delta_t *delta,
    sp_out_t *out)
{
    size_t                  block;
    sp_anthropic_writer_t  *state;

    state = w->state;

    if (state->block == SP_ANTHROPIC_TOOL && state->tool == delta->tool) {
        block = state->nblocks - 1;

    } else if (delta->tool < SP_ANTHROPIC_CALLS
               && state->calls[delta->tool] != 0)
    {
        block = state->calls[delta->tool] - 1U;

    } else {
        block = sp_anthropic_write_open(state, SP_ANTHROPIC_TOOL, out);

        state->tool = delta->tool;
        state->ncalls++;

        if (delta->tool < SP_ANTHROPIC_CALLS && block < UINT16_MAX) {
            state->calls[delta->tool] = (uint16_t) (block + 1);
        }

        sp_out_str(out, "{\"type\":\"tool_use\",\"id\":\"");
        sp_anthropic_write_id(w, delta, out);
        sp_out_str(out, "\",\"name\":\"");
        sp_out_content(out, delta->name.data, delta->name.len);
        sp_out_str(out, "\",\"input\":{}}}\n\n");
    }

    if (delta->text.len != 0) {
        sp_anthropic_write_delta(block, "input_json_delta", "partial_json",
                                 delta, out);
    }
}


/* of the reasoning that it ends; alone, of some that was not told */

static void
sp_anthropic_write_signature(sp_writer_t *w, const sp_delta_t *delta,
    sp_out_t *out)
{
    sp_anthropic_writer_t  *state;

    state = w->state;

    if (delta->text.len == 0) {

        if (state->block == SP_ANTHROPIC_THINKING) {
            sp_anthropic_write_stop(state, out);
        }

        return;
    }

    if (state->block == SP_ANTHROPIC_THINKING) {
        sp_anthropic_write_delta(state->nblocks - 1, "signature_delta",
                                 "signature", delta, out);

    } else {
        (void) sp_anthropic_write_open(state, SP_ANTHROPIC_OTHER, out);

        sp_out_str(out, "{\"type\":\"redacted_thinking\",\"data\":\"");
        sp_out_content(out, delta->text.data, delta->text.len);
        sp_out_str(out, "\"}}\n\n");
    }

    sp_anthropic_write_stop(state, out);
}


/* told with the usage, which comes behind it */

static void
sp_anthropic_write_finish(sp_anthropic_writer_t *state,
    const sp_delta_t *delta)
{
    state->reason = sp_anthropic_reason(delta);

    if (delta->name.len != 0 && delta->name.len <= SP_ANTHROPIC_SEQUENCE) {
        memcpy(state->sequence, delta->name.data, delta->name.len);
        state->sequence_len = delta->name.len;
    }
}


void
sp_anthropic_write_end(sp_writer_t *w, const sp_event_t *usage,
    sp_out_t *out)
{
    const char             *reason;
    sp_anthropic_writer_t  *state;

    state = w->state;

    if (w->passed) {
        sp_out_str(out, SP_ANTHROPIC_STOP);
        return;
    }

    sp_anthropic_write_start(w, out);
    sp_anthropic_write_stop(state, out);

    reason = (state->reason != NULL) ? state->reason : "end_turn";

    if (strcmp(reason, "end_turn") == 0) {

        /* some providers end a call as they end a text */

        reason = state->refusal ? "refusal"
                 : state->ncalls != 0 ? "tool_use" : "end_turn";
    }

    sp_out_str(out, "event: message_delta\n"
                    "data: {\"type\":\"message_delta\",\"delta\":"
                    "{\"stop_reason\":\"");
    sp_out_str(out, reason);

    if (state->sequence_len != 0) {
        sp_out_str(out, "\",\"stop_sequence\":\"");
        sp_out_content(out, state->sequence, state->sequence_len);
        sp_out_str(out, "\"}");

    } else {
        sp_out_str(out, "\",\"stop_sequence\":null}");
    }

    sp_out_str(out, ",\"usage\":");
    sp_anthropic_write_usage(usage, out);
    sp_out_str(out, "}\n\n" SP_ANTHROPIC_STOP);
}


/*
 * Some clients fail at a type of event that they do not know, and those that
 * pass over a ping do not show it: it is a piece of the text that is empty.
 */

void
sp_anthropic_write_extras(sp_writer_t *w, const char *json, size_t len,
    sp_out_t *out)
{
    sp_anthropic_writer_t *state = w->state;

    if (state->block == SP_ANTHROPIC_TEXT) {
        sp_out_str(out, "event: content_block_delta\n"
                        "data: {\"type\":\"content_block_delta\",\"index\":");
        sp_out_integer(out, (int64_t) state->nblocks - 1);
        sp_out_str(out, ",\"delta\":{\"type\":\"text_delta\",\"text\":\"\"}");

    } else {
        sp_out_str(out, "event: ping\ndata: {\"type\":\"ping\"");
    }

    sp_out_str(out, ",\"extras\":");
    sp_out_put(out, json, len);
    sp_out_str(out, "}\n\n");
}


static void
sp_anthropic_write_stop(sp_anthropic_writer_t *state, sp_out_t *out)
{
    if (state->block == SP_ANTHROPIC_NONE) {
        return;
    }

    state->block = SP_ANTHROPIC_NONE;

    sp_out_str(out, "event: content_block_stop\n"
                    "data: {\"type\":\"content_block_stop\",\"index\":");
    sp_out_integer(out, (int64_t) state->nblocks - 1);
    sp_out_str(out, "}\n\n");
}


/* the number of the block; its members, and the ends, are to follow */

static size_t
sp_anthropic_write_open(sp_anthropic_writer_t *state,
    sp_anthropic_block_e block, sp_out_t *out)
{
    sp_anthropic_write_stop(state, out);

    state->block = block;

    sp_out_str(out, "event: content_block_start\n"
                    "data: {\"type\":\"content_block_start\",\"index\":");
    sp_out_integer(out, (int64_t) state->nblocks);
    sp_out_str(out, ",\"content_block\":");

    return state->nblocks++;
}


static void
sp_anthropic_write_delta(size_t block, const char *type, const char *name,
    const sp_delta_t *delta, sp_out_t *out)
{
    sp_out_str(out, "event: content_block_delta\n"
                    "data: {\"type\":\"content_block_delta\",\"index\":");
    sp_out_integer(out, (int64_t) block);
    sp_out_str(out, ",\"delta\":{\"type\":\"");
    sp_out_str(out, type);
    sp_out_str(out, "\",\"");
    sp_out_str(out, name);
    sp_out_str(out, "\":\"");

    if (delta->json) {
        sp_out_text(out, delta->text.data, delta->text.len);

    } else {
        sp_out_content(out, delta->text.data, delta->text.len);
    }

    sp_out_str(out, "\"}}\n\n");
}
