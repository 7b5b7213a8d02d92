
/*
 * Copyright (C) Sallyport authors
 *
 * A whole answer of another dialect, as a message; and what it has in common
 * with a stream.
 */


#include <stdlib.h>
#include <string.h>

#include "sp_anthropic.h"


static size_t sp_anthropic_write_block(const sp_writer_t *w,
    const sp_delta_t *deltas, size_t n, sp_out_t *out);
static size_t sp_anthropic_write_thought(const sp_delta_t *deltas, size_t n,
    sp_out_t *out);
static size_t sp_anthropic_write_tool(const sp_writer_t *w,
    const sp_delta_t *deltas, size_t n, sp_out_t *out);
static size_t sp_anthropic_write_run(const sp_delta_t *deltas, size_t n,
    sp_out_t *out);
static void sp_anthropic_write_ends(const sp_delta_t *deltas, size_t n,
    sp_out_t *out);


void
sp_anthropic_write_answer(sp_writer_t *w, const sp_delta_t *deltas, size_t n,
    const sp_event_t *usage, sp_out_t *out)
{
    size_t       i;
    sp_event_t   known;
    const char  *comma;

    sp_out_str(out, "{");
    sp_anthropic_write_head(w, out);
    sp_out_str(out, ",\"content\":[");

    comma = "";

    for (i = 0; i < n; /* void */ ) {

        if (deltas[i].choice != 0 || deltas[i].kind == SP_DELTA_FINISH
            || (deltas[i].kind == SP_DELTA_SIGNATURE
                && deltas[i].text.len == 0))
        {
            i++;
            continue;
        }

        sp_out_str(out, comma);
        comma = ",";

        i += sp_anthropic_write_block(w, &deltas[i], n - i, out);
    }

    sp_out_str(out, "]");
    sp_anthropic_write_ends(deltas, n, out);
    sp_out_str(out, ",\"usage\":");

    known = *usage;

    if (known.prompt_tokens < 0) {
        known.prompt_tokens = (w->prompt_tokens > 0) ? w->prompt_tokens : 0;
    }

    sp_anthropic_write_usage(&known, out);
    sp_out_str(out, "}");
}


/* returns how many of the deltas are in it */

static size_t
sp_anthropic_write_block(const sp_writer_t *w, const sp_delta_t *deltas,
    size_t n, sp_out_t *out)
{
    size_t  used;

    switch (deltas->kind) {

    case SP_DELTA_REASONING:
        return sp_anthropic_write_thought(deltas, n, out);

    case SP_DELTA_TOOL:
        return sp_anthropic_write_tool(w, deltas, n, out);

    case SP_DELTA_SIGNATURE:
        sp_out_str(out, "{\"type\":\"redacted_thinking\",\"data\":\"");
        sp_out_content(out, deltas->text.data, deltas->text.len);
        sp_out_str(out, "\"}");
        return 1;

    default: /* SP_DELTA_TEXT, SP_DELTA_REFUSAL */
        break;
    }

    sp_out_str(out, "{\"type\":\"text\",\"text\":\"");
    used = sp_anthropic_write_run(deltas, n, out);
    sp_out_str(out, "\"}");

    return used;
}


static size_t
sp_anthropic_write_thought(const sp_delta_t *deltas, size_t n, sp_out_t *out)
{
    size_t  used;

    sp_out_str(out, "{\"type\":\"thinking\",\"thinking\":\"");
    used = sp_anthropic_write_run(deltas, n, out);
    sp_out_str(out, "\",\"signature\":\"");

    if (used < n && deltas[used].kind == SP_DELTA_SIGNATURE
        && deltas[used].choice == 0)
    {
        sp_out_content(out, deltas[used].text.data, deltas[used].text.len);
        used++;
    }

    sp_out_str(out, "\"}");

    return used;
}


/* arguments that came as a string are JSON text within JSON text */

static size_t
sp_anthropic_write_tool(const sp_writer_t *w, const sp_delta_t *deltas,
    size_t n, sp_out_t *out)
{
    char    *text;
    size_t   i, len, size;

    size = 0;

    for (i = 0;
         i < n && deltas[i].kind == SP_DELTA_TOOL && deltas[i].choice == 0
         && deltas[i].tool == deltas->tool;
         i++)
    {
        size += 3 * deltas[i].text.len;
    }

    n = i;

    sp_out_str(out, "{\"type\":\"tool_use\",\"id\":\"");
    sp_anthropic_write_id(w, deltas, out);
    sp_out_str(out, "\",\"name\":\"");
    sp_out_content(out, deltas->name.data, deltas->name.len);
    sp_out_str(out, "\",\"input\":");

    text = malloc(size + 1);
    len = 0;

    for (i = 0; text != NULL && i < n; i++) {

        if (deltas[i].text.len == 0) {
            continue;
        }

        if (deltas[i].json) {
            memcpy(text + len, deltas[i].text.data, deltas[i].text.len);
            len += deltas[i].text.len;

        } else {
            len += sp_json_unescape(text + len, size - len,
                                    deltas[i].text.data, deltas[i].text.len);
        }
    }

    sp_anthropic_write_input(text, len, out);
    sp_out_str(out, "}");

    free(text);

    return n;
}


/* texts of one kind that follow each other */

static size_t
sp_anthropic_write_run(const sp_delta_t *deltas, size_t n, sp_out_t *out)
{
    size_t  i;

    for (i = 0;
         i < n && deltas[i].kind == deltas->kind && deltas[i].choice == 0;
         i++)
    {
        sp_out_content(out, deltas[i].text.data, deltas[i].text.len);
    }

    return i;
}


static void
sp_anthropic_write_ends(const sp_delta_t *deltas, size_t n, sp_out_t *out)
{
    size_t             i;
    unsigned           calls, refusal;
    const char        *reason;
    const sp_delta_t  *finish;

    calls = 0;
    refusal = 0;
    finish = NULL;

    for (i = 0; i < n; i++) {

        if (deltas[i].choice != 0) {
            continue;
        }

        calls |= (deltas[i].kind == SP_DELTA_TOOL);
        refusal |= (deltas[i].kind == SP_DELTA_REFUSAL);

        if (deltas[i].kind == SP_DELTA_FINISH) {
            finish = &deltas[i];
        }
    }

    reason = (finish != NULL) ? sp_anthropic_reason(finish) : "end_turn";

    if (strcmp(reason, "end_turn") == 0) {

        /* some providers end a call as they end a text */

        reason = refusal ? "refusal" : calls ? "tool_use" : "end_turn";
    }

    sp_out_str(out, ",\"stop_reason\":\"");
    sp_out_str(out, reason);

    if (finish != NULL && finish->name.len != 0) {
        sp_out_str(out, "\",\"stop_sequence\":\"");
        sp_out_content(out, finish->name.data, finish->name.len);
        sp_out_str(out, "\"");

    } else {
        sp_out_str(out, "\",\"stop_sequence\":null");
    }
}


void
sp_anthropic_write_head(const sp_writer_t *w, sp_out_t *out)
{
    sp_out_str(out, "\"id\":\"msg_");
    sp_out_text(out, w->id, w->id_len);
    sp_out_str(out, "\",\"type\":\"message\",\"role\":\"assistant\","
                    "\"model\":\"");
    sp_out_text(out, w->model, w->model_len);
    sp_out_str(out, "\"");
}


void
sp_anthropic_write_id(const sp_writer_t *w, const sp_delta_t *delta,
    sp_out_t *out)
{
    if (delta->id.len != 0) {
        sp_out_content(out, delta->id.data, delta->id.len);
        return;
    }

    sp_out_str(out, "toolu_");
    sp_out_text(out, w->id, w->id_len);
    sp_out_str(out, "_");
    sp_out_integer(out, (int64_t) delta->tool);
}


/*
 * The prompt without what the cache had of it, and what was written there;
 * message_delta says nothing of it where nothing is known.
 */

void
sp_anthropic_write_usage(const sp_event_t *usage, sp_out_t *out)
{
    int64_t  cached, prompt, written;

    cached = (usage->cached_tokens > 0) ? usage->cached_tokens : 0;
    written = (usage->cache_write_tokens > 0) ? usage->cache_write_tokens : 0;
    prompt = (usage->prompt_tokens > 0) ? usage->prompt_tokens : 0;

    prompt = (prompt > cached) ? prompt - cached : 0;
    prompt = (prompt > written) ? prompt - written : 0;

    sp_out_str(out, "{");

    if (usage->prompt_tokens >= 0) {
        sp_out_str(out, "\"input_tokens\":");
        sp_out_integer(out, prompt);
        sp_out_str(out, ",");
    }

    if (usage->cache_write_tokens >= 0) {
        sp_out_str(out, "\"cache_creation_input_tokens\":");
        sp_out_integer(out, written);
        sp_out_str(out, ",");
    }

    if (usage->cached_tokens >= 0) {
        sp_out_str(out, "\"cache_read_input_tokens\":");
        sp_out_integer(out, cached);
        sp_out_str(out, ",");
    }

    sp_out_str(out, "\"output_tokens\":");
    sp_out_integer(out, (usage->completion_tokens > 0)
                        ? usage->completion_tokens : 0);

    if (usage->reasoning_tokens >= 0) {
        sp_out_str(out, ",\"output_tokens_details\":{\"thinking_tokens\":");
        sp_out_integer(out, usage->reasoning_tokens);
        sp_out_str(out, "}");
    }

    sp_out_str(out, "}");
}
