
/*
 * Copyright (C) Sallyport authors
 *
 * Answers of another dialect, as a response: whole ones, and the pieces that
 * events are made of as well.
 */


#include <string.h>

#include "sp_call_id.h"
#include "sp_responses.h"


static void sp_responses_output(const sp_writer_t *w,
    const sp_delta_t *deltas, size_t n, const char *status, sp_out_t *out);
static int sp_responses_goes_on(const sp_delta_t *delta);
static int sp_responses_put(const char *text, size_t len, void *data);


void
sp_responses_write_answer(sp_writer_t *w, const sp_delta_t *deltas, size_t n,
    const sp_event_t *usage, sp_out_t *out)
{
    size_t       i;
    const char  *reason, *status;
    sp_finish_e  finish;

    finish = SP_FINISH_STOP;

    for (i = 0; i < n; i++) {
        if (deltas[i].choice == 0 && deltas[i].kind == SP_DELTA_FINISH) {
            finish = deltas[i].finish;
        }
    }

    status = sp_responses_status(finish, &reason);

    sp_responses_open(w, status, out);
    sp_out_str(out, ",\"error\":null");
    sp_responses_echo(w, reason, out);
    sp_out_str(out, ",\"output\":[");
    sp_responses_output(w, deltas, n, status, out);
    sp_out_str(out, "],\"usage\":");
    sp_responses_usage(usage, out);
    sp_out_str(out, "}");
}


static void
sp_responses_output(const sp_writer_t *w, const sp_delta_t *deltas, size_t n,
    const char *status, sp_out_t *out)
{
    size_t      i, items;
    sp_delta_e  kind;

    items = 0;

    for (i = 0; i < n; i++) {

        if (deltas[i].choice != 0 || deltas[i].kind == SP_DELTA_FINISH) {
            continue;
        }

        kind = deltas[i].kind;

        sp_out_str(out, items != 0 ? "," : "");
        sp_responses_head(w, &deltas[i], items++, out);

        if (kind != SP_DELTA_SIGNATURE) {
            sp_responses_part(kind, out);
            sp_responses_text(&deltas[i], out);

            while (i + 1 < n && sp_responses_goes_on(&deltas[i])) {
                sp_responses_text(&deltas[++i], out);
            }

            sp_responses_part_end(kind, out);
        }

        if (kind == SP_DELTA_REASONING && i + 1 < n
            && deltas[i + 1].kind == SP_DELTA_SIGNATURE
            && deltas[i + 1].choice == 0)
        {
            i++;
        }

        if (deltas[i].kind == SP_DELTA_SIGNATURE) {
            sp_responses_signature(out);
            sp_responses_text(&deltas[i], out);

            while (i + 1 < n && sp_responses_goes_on(&deltas[i])) {
                sp_responses_text(&deltas[++i], out);
            }
        }

        sp_responses_item_end(kind, deltas[i].kind == SP_DELTA_SIGNATURE,
                              status, out);
    }
}


/* the next one is of the same item */

static int
sp_responses_goes_on(const sp_delta_t *delta)
{
    return delta[1].choice == delta->choice && delta[1].kind == delta->kind
           && delta[1].tool == delta->tool;
}


void
sp_responses_open(const sp_writer_t *w, const char *status, sp_out_t *out)
{
    sp_out_str(out, "{\"id\":\"resp_");
    sp_out_text(out, w->id, w->id_len);
    sp_out_str(out, "\",\"object\":\"response\",\"created_at\":");
    sp_out_integer(out, w->created);
    sp_out_str(out, ",\"status\":\"");
    sp_out_str(out, status);
    sp_out_str(out, "\",\"model\":\"");
    sp_out_text(out, w->model, w->model_len);
    sp_out_str(out, "\",\"background\":false,\"store\":false,"
                    "\"previous_response_id\":null");
}


void
sp_responses_echo(const sp_writer_t *w, const char *reason, sp_out_t *out)
{
    size_t         i;
    const json_t  *value;

    static const struct {
        const char  *name;
        const char  *otherwise;
    } members[] = {
        { "instructions", "null" },
        { "max_output_tokens", "null" },
        { "metadata", "{}" },
        { "parallel_tool_calls", "true" },
        { "reasoning", "{\"effort\":null,\"summary\":null}" },
        { "temperature", "null" },
        { "text", "{\"format\":{\"type\":\"text\"}}" },
        { "tool_choice", "\"auto\"" },
        { "tools", "[]" },
        { "top_p", "null" },
        { "truncation", "\"disabled\"" },
        { "user", "null" }
    };

    sp_out_str(out, ",\"incomplete_details\":");

    if (reason != NULL) {
        sp_out_str(out, "{\"reason\":\"");
        sp_out_str(out, reason);
        sp_out_str(out, "\"}");

    } else {
        sp_out_str(out, "null");
    }

    for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        sp_out_str(out, ",\"");
        sp_out_str(out, members[i].name);
        sp_out_str(out, "\":");

        value = (w->chat != NULL)
                ? sp_responses_member(w->chat->root, members[i].name) : NULL;

        if (value == NULL) {
            sp_out_str(out, members[i].otherwise);

        } else {

            /* 15 digits: 0.1 is 0.1 again */

            (void) json_dump_callback(value, sp_responses_put, out,
                                      JSON_COMPACT|JSON_ENCODE_ANY
                                      |JSON_REAL_PRECISION(15));
        }
    }
}


static int
sp_responses_put(const char *text, size_t len, void *data)
{
    sp_out_put(data, text, len);

    return 0;
}


void
sp_responses_usage(const sp_event_t *usage, sp_out_t *out)
{
    size_t   i;
    int64_t  n, prompt;

    const struct {
        const char  *name;
        int64_t      n;
    } details[] = {
        { ",\"input_tokens_details\":{\"cached_tokens\":",
          usage->cached_tokens },
        { ",\"cache_write_tokens\":", usage->cache_write_tokens },
        { "},\"output_tokens\":", usage->completion_tokens },
        { ",\"output_tokens_details\":{\"reasoning_tokens\":",
          usage->reasoning_tokens }
    };

    if (usage->completion_tokens < 0) {
        sp_out_str(out, "null");
        return;
    }

    prompt = (usage->prompt_tokens >= 0) ? usage->prompt_tokens : 0;

    sp_out_str(out, "{\"input_tokens\":");
    sp_out_integer(out, prompt);

    for (i = 0; i < sizeof(details) / sizeof(details[0]); i++) {
        n = details[i].n;

        sp_out_str(out, details[i].name);
        sp_out_integer(out, n >= 0 ? n : 0);
    }

    sp_out_str(out, "},\"total_tokens\":");
    sp_out_integer(out, (int64_t) ((uint64_t) prompt
                                   + (uint64_t) usage->completion_tokens));
    sp_out_str(out, "}");
}


const char *
sp_responses_status(sp_finish_e finish, const char **reason)
{
    *reason = (finish == SP_FINISH_LENGTH) ? "max_output_tokens"
              : (finish == SP_FINISH_FILTER) ? "content_filter" : NULL;

    return (*reason != NULL) ? "incomplete" : "completed";
}


void
sp_responses_id(const sp_writer_t *w, sp_delta_e kind, size_t index,
    sp_out_t *out)
{
    sp_out_str(out, kind == SP_DELTA_TOOL ? "fc_"
                    : (kind == SP_DELTA_TEXT || kind == SP_DELTA_REFUSAL)
                    ? "msg_" : "rs_");
    sp_out_text(out, w->id, w->id_len);
    sp_out_str(out, "_");
    sp_out_integer(out, (int64_t) index);
}


void
sp_responses_head(const sp_writer_t *w, const sp_delta_t *delta, size_t index,
    sp_out_t *out)
{
    char  id[SP_CALL_ID_SIZE];

    sp_out_str(out, "{\"id\":\"");
    sp_responses_id(w, delta->kind, index, out);
    sp_out_str(out, "\",");

    switch (delta->kind) {

    case SP_DELTA_TEXT:
    case SP_DELTA_REFUSAL:
        sp_out_str(out, "\"type\":\"message\",\"role\":\"assistant\","
                        "\"content\":[");
        return;

    case SP_DELTA_TOOL:
        sp_out_str(out, "\"type\":\"function_call\",");

        /* as chat completions have it */

        if (delta->signature.len != 0) {
            sp_out_str(out, "\"extra_content\":{\"google\":"
                            "{\"thought_signature\":\"");
            sp_out_content(out, delta->signature.data, delta->signature.len);
            sp_out_str(out, "\"}},");
        }

        sp_out_str(out, "\"call_id\":\"");

        if (delta->id.len != 0) {
            sp_out_content(out, delta->id.data, delta->id.len);

        } else {

            /* of a server that forgets it: a result refers to it */

            sp_out_put(out, id, sp_call_id(id, w->id, w->id_len, 0, index));
        }

        sp_out_str(out, "\",\"name\":\"");
        sp_out_content(out, delta->name.data, delta->name.len);
        sp_out_str(out, "\",");
        return;

    default: /* SP_DELTA_REASONING, SP_DELTA_SIGNATURE */
        sp_out_str(out, "\"type\":\"reasoning\",\"summary\":[");
    }
}


void
sp_responses_part(sp_delta_e kind, sp_out_t *out)
{
    switch (kind) {

    case SP_DELTA_TEXT:
        sp_out_str(out, "{\"type\":\"output_text\",\"annotations\":[],"
                        "\"logprobs\":[],\"text\":\"");
        return;

    case SP_DELTA_REFUSAL:
        sp_out_str(out, "{\"type\":\"refusal\",\"refusal\":\"");
        return;

    case SP_DELTA_TOOL:
        sp_out_str(out, "\"arguments\":\"");
        return;

    default: /* SP_DELTA_REASONING */
        sp_out_str(out, "{\"type\":\"summary_text\",\"text\":\"");
    }
}


void
sp_responses_part_end(sp_delta_e kind, sp_out_t *out)
{
    sp_out_str(out, kind == SP_DELTA_TOOL ? "\"" : "\"}");
}


void
sp_responses_signature(sp_out_t *out)
{
    sp_out_str(out, "],\"encrypted_content\":\"");
}


void
sp_responses_item_end(sp_delta_e kind, int is_signed, const char *status,
    sp_out_t *out)
{
    if (kind == SP_DELTA_REASONING || kind == SP_DELTA_SIGNATURE) {
        sp_out_str(out, is_signed ? "\"}" : "]}");
        return;
    }

    sp_out_str(out, kind == SP_DELTA_TOOL ? ",\"status\":\""
                                          : "],\"status\":\"");
    sp_out_str(out, status);
    sp_out_str(out, "\"}");
}


void
sp_responses_text(const sp_delta_t *delta, sp_out_t *out)
{
    if (delta->json) {
        sp_out_text(out, delta->text.data, delta->text.len);

    } else {
        sp_out_content(out, delta->text.data, delta->text.len);
    }
}
