
/*
 * Copyright (C) Sallyport authors
 *
 * Answers of another dialect, as chat completions.
 */


#include <string.h>

#include "sp_openai.h"


static void sp_openai_write_head(const sp_writer_t *w, const char *object,
    sp_out_t *out);
static void sp_openai_write_delta(const sp_delta_t *delta, sp_out_t *out);
static void sp_openai_write_call(const sp_delta_t *delta, int chunk,
    sp_out_t *out);
static void sp_openai_write_choice(const sp_delta_t *deltas, size_t n,
    size_t choice, sp_out_t *out);
static int sp_openai_write_joined(const sp_delta_t *deltas, size_t n,
    size_t choice, sp_delta_e kind, const char *name, sp_out_t *out);
static void sp_openai_write_calls(const sp_delta_t *deltas, size_t n,
    size_t choice, sp_out_t *out);
static void sp_openai_write_usage(const sp_event_t *usage, sp_out_t *out);
static void sp_openai_write_text(const sp_delta_t *delta, sp_out_t *out);
static const char *sp_openai_finish_name(sp_finish_e finish);


/* the state is a byte for each choice: its role was said */

void
sp_openai_write_event(sp_writer_t *w, const sp_delta_t *delta, sp_out_t *out)
{
    uint8_t  *said;

    /* OpenAI's API has no place for a signature of reasoning */

    if (delta->choice >= SP_CHAT_MAX_CHOICES
        || delta->kind == SP_DELTA_SIGNATURE)
    {
        return;
    }

    said = w->state;

    sp_out_str(out, "data: ");
    sp_openai_write_head(w, "chat.completion.chunk", out);
    sp_out_str(out, ",\"choices\":[{\"index\":");
    sp_out_integer(out, (int64_t) delta->choice);
    sp_out_str(out, ",\"delta\":{");

    if (!said[delta->choice]) {
        said[delta->choice] = 1;
        sp_out_str(out, "\"role\":\"assistant\"");
        sp_out_str(out, delta->kind != SP_DELTA_FINISH ? "," : "");
    }

    if (delta->kind == SP_DELTA_FINISH) {
        sp_out_str(out, "},\"finish_reason\":\"");
        sp_out_str(out, sp_openai_finish_name(delta->finish));
        sp_out_str(out, "\"}]}\n\n");
        return;
    }

    sp_openai_write_delta(delta, out);
    sp_out_str(out, "},\"finish_reason\":null}]}\n\n");
}


static void
sp_openai_write_delta(const sp_delta_t *delta, sp_out_t *out)
{
    if (delta->kind == SP_DELTA_TOOL) {
        sp_out_str(out, "\"tool_calls\":[");
        sp_openai_write_call(delta, 1, out);
        sp_out_str(out, "]");
        return;
    }

    sp_out_str(out, delta->kind == SP_DELTA_TEXT ? "\"content\":\""
                    : delta->kind == SP_DELTA_REFUSAL ? "\"refusal\":\""
                    : "\"reasoning_content\":\"");
    sp_openai_write_text(delta, out);
    sp_out_str(out, "\"");
}


/* of a chunk: its number, and what is new; else all of it but arguments */

static void
sp_openai_write_call(const sp_delta_t *delta, int chunk, sp_out_t *out)
{
    sp_out_str(out, "{");

    if (chunk) {
        sp_out_str(out, "\"index\":");
        sp_out_integer(out, (int64_t) delta->tool);
        sp_out_str(out, ",");
    }

    if (delta->id.data != NULL) {
        sp_out_str(out, "\"id\":\"");
        sp_out_content(out, delta->id.data, delta->id.len);
        sp_out_str(out, "\",");
    }

    if (delta->name.data != NULL) {
        sp_out_str(out, "\"type\":\"function\",");
    }

    /* as Google's own endpoint of this dialect has it */

    if (delta->signature.data != NULL) {
        sp_out_str(out, "\"extra_content\":{\"google\":"
                        "{\"thought_signature\":\"");
        sp_out_content(out, delta->signature.data, delta->signature.len);
        sp_out_str(out, "\"}},");
    }

    sp_out_str(out, "\"function\":{");

    if (delta->name.data != NULL) {
        sp_out_str(out, "\"name\":\"");
        sp_out_content(out, delta->name.data, delta->name.len);
        sp_out_str(out, "\",");
    }

    sp_out_str(out, "\"arguments\":\"");

    if (chunk) {
        sp_openai_write_text(delta, out);
        sp_out_str(out, "\"}}");
    }
}


void
sp_openai_write_end(sp_writer_t *w, const sp_event_t *usage, sp_out_t *out)
{
    if (w->usage && usage->completion_tokens >= 0) {
        sp_out_str(out, "data: ");
        sp_openai_write_head(w, "chat.completion.chunk", out);
        sp_out_str(out, ",\"choices\":[]");
        sp_openai_write_usage(usage, out);
        sp_out_str(out, "}\n\n");
    }

    sp_out_str(out, "data: [DONE]\n\n");
}


/* a chunk without choices, as that of usage: its readers expect such a one */

void
sp_openai_write_extras(sp_writer_t *w, const char *json, size_t len,
    sp_out_t *out)
{
    sp_out_str(out, "data: ");
    sp_openai_write_head(w, "chat.completion.chunk", out);
    sp_out_str(out, ",\"choices\":[],\"extras\":");
    sp_out_put(out, json, len);
    sp_out_str(out, "}\n\n");
}


void
sp_openai_write_answer(sp_writer_t *w, const sp_delta_t *deltas, size_t n,
    const sp_event_t *usage, sp_out_t *out)
{
    char    said[SP_CHAT_MAX_CHOICES];
    size_t  i, written;

    memset(said, 0, sizeof(said));

    for (i = 0; i < n; i++) {
        if (deltas[i].choice < SP_CHAT_MAX_CHOICES) {
            said[deltas[i].choice] = 1;
        }
    }

    sp_openai_write_head(w, "chat.completion", out);
    sp_out_str(out, ",\"choices\":[");

    written = 0;

    for (i = 0; i < SP_CHAT_MAX_CHOICES; i++) {

        if (said[i]) {
            sp_out_str(out, written != 0 ? "," : "");
            sp_openai_write_choice(deltas, n, i, out);
            written++;
        }
    }

    if (written == 0) {
        sp_openai_write_choice(deltas, n, 0, out);
    }

    sp_out_str(out, "]");

    if (usage->completion_tokens >= 0) {
        sp_openai_write_usage(usage, out);
    }

    sp_out_str(out, "}");
}


static void
sp_openai_write_choice(const sp_delta_t *deltas, size_t n, size_t choice,
    sp_out_t *out)
{
    size_t       i;
    sp_finish_e  finish;

    finish = SP_FINISH_STOP;

    for (i = 0; i < n; i++) {
        if (deltas[i].choice == choice && deltas[i].kind == SP_DELTA_FINISH) {
            finish = deltas[i].finish;
        }
    }

    sp_out_str(out, "{\"index\":");
    sp_out_integer(out, (int64_t) choice);
    sp_out_str(out, ",\"message\":{\"role\":\"assistant\"");

    if (!sp_openai_write_joined(deltas, n, choice, SP_DELTA_TEXT,
                                ",\"content\":\"", out))
    {
        sp_out_str(out, ",\"content\":null");
    }

    (void) sp_openai_write_joined(deltas, n, choice, SP_DELTA_REFUSAL,
                                  ",\"refusal\":\"", out);
    (void) sp_openai_write_joined(deltas, n, choice, SP_DELTA_REASONING,
                                  ",\"reasoning_content\":\"", out);

    sp_openai_write_calls(deltas, n, choice, out);

    sp_out_str(out, "},\"finish_reason\":\"");
    sp_out_str(out, sp_openai_finish_name(finish));
    sp_out_str(out, "\"}");
}


/* 1 when there was such a text */

static int
sp_openai_write_joined(const sp_delta_t *deltas, size_t n, size_t choice,
    sp_delta_e kind, const char *name, sp_out_t *out)
{
    int     found;
    size_t  i;

    found = 0;

    for (i = 0; i < n; i++) {

        if (deltas[i].choice != choice || deltas[i].kind != kind) {
            continue;
        }

        if (!found) {
            sp_out_str(out, name);
            found = 1;
        }

        sp_openai_write_text(&deltas[i], out);
    }

    sp_out_str(out, found ? "\"" : "");

    return found;
}


/* a call is its first delta, and the arguments of all of them */

static void
sp_openai_write_calls(const sp_delta_t *deltas, size_t n, size_t choice,
    sp_out_t *out)
{
    int     found, open;
    size_t  i, tool;

    found = 0;
    open = 0;
    tool = 0;

    for (i = 0; i < n; i++) {

        if (deltas[i].choice != choice || deltas[i].kind != SP_DELTA_TOOL) {
            continue;
        }

        if (!open || deltas[i].tool != tool) {
            sp_out_str(out, open ? "\"}}," : "");
            sp_out_str(out, found ? "" : ",\"tool_calls\":[");
            sp_openai_write_call(&deltas[i], 0, out);
        }

        found = 1;
        open = 1;
        tool = deltas[i].tool;

        sp_openai_write_text(&deltas[i], out);
    }

    sp_out_str(out, found ? "\"}}]" : "");
}


static void
sp_openai_write_head(const sp_writer_t *w, const char *object, sp_out_t *out)
{
    sp_out_str(out, "{\"id\":\"chatcmpl-");
    sp_out_text(out, w->id, w->id_len);
    sp_out_str(out, "\",\"object\":\"");
    sp_out_str(out, object);
    sp_out_str(out, "\",\"created\":");
    sp_out_integer(out, w->created);
    sp_out_str(out, ",\"model\":\"");
    sp_out_text(out, w->model, w->model_len);
    sp_out_str(out, "\"");
}


static void
sp_openai_write_usage(const sp_event_t *usage, sp_out_t *out)
{
    int64_t  prompt;

    prompt = (usage->prompt_tokens >= 0) ? usage->prompt_tokens : 0;

    sp_out_str(out, ",\"usage\":{\"prompt_tokens\":");
    sp_out_integer(out, prompt);
    sp_out_str(out, ",\"completion_tokens\":");
    sp_out_integer(out, usage->completion_tokens);
    sp_out_str(out, ",\"total_tokens\":");
    sp_out_integer(out, (int64_t) ((uint64_t) prompt
                                   + (uint64_t) usage->completion_tokens));

    if (usage->cached_tokens >= 0) {
        sp_out_str(out, ",\"prompt_tokens_details\":{\"cached_tokens\":");
        sp_out_integer(out, usage->cached_tokens);
        sp_out_str(out, "}");
    }

    if (usage->reasoning_tokens >= 0) {
        sp_out_str(out, ",\"completion_tokens_details\":"
                        "{\"reasoning_tokens\":");
        sp_out_integer(out, usage->reasoning_tokens);
        sp_out_str(out, "}");
    }

    sp_out_str(out, "}");
}


static void
sp_openai_write_text(const sp_delta_t *delta, sp_out_t *out)
{
    if (delta->json) {
        sp_out_text(out, delta->text.data, delta->text.len);

    } else {
        sp_out_content(out, delta->text.data, delta->text.len);
    }
}


static const char *
sp_openai_finish_name(sp_finish_e finish)
{
    switch (finish) {

    case SP_FINISH_LENGTH:
        return "length";

    case SP_FINISH_TOOLS:
        return "tool_calls";

    case SP_FINISH_FILTER:
        return "content_filter";

    case SP_FINISH_STOP:
    case SP_FINISH_OTHER:
        break;
    }

    return "stop";
}
