
/*
 * Copyright (C) Sallyport authors
 *
 * Options of a chat, as generationConfig, and its tools.
 */


#include <string.h>

#include "sp_gemini.h"
#include "sp_out_json.h"


static const sp_chat_error_t  sp_gemini_tool_invalid =
    { "tool_invalid", "tools",
      "every tool must be a function with a name" };

static const sp_chat_error_t  sp_gemini_choice_invalid =
    { "tool_invalid", "tool_choice",
      "a tool is chosen by its name" };

static const sp_chat_error_t  sp_gemini_verbosity =
    { "unsupported_parameter", "verbosity",
      "the model of this request writes as long as it is told by its "
      "messages: leave it out" };

static const sp_chat_error_t  sp_gemini_always_parallel =
    { "unsupported_parameter", "parallel_tool_calls",
      "the model of this request may always call several tools: leave it "
      "out" };

static const sp_chat_error_t  sp_gemini_stop_invalid =
    { "stop_invalid", "stop",
      "\"stop\" must be a string or an array of strings" };

static const sp_chat_error_t  sp_gemini_format_invalid =
    { "unsupported_parameter", "response_format",
      "\"response_format\" must be of type text, json_object or "
      "json_schema, which has a \"schema\"" };

static const sp_chat_error_t  sp_gemini_effort_invalid =
    { "unsupported_parameter", "reasoning_effort",
      "\"reasoning_effort\" must be none, minimal, low, medium or high" };


static int sp_gemini_write_choice(sp_gemini_sender_t *s);
static void sp_gemini_write_numbers(sp_gemini_sender_t *s);
static int sp_gemini_write_stop(sp_gemini_sender_t *s);
static int sp_gemini_write_format(sp_gemini_sender_t *s);
static int sp_gemini_write_effort(sp_gemini_sender_t *s);
static void sp_gemini_write_detail(sp_gemini_sender_t *s);
static const char *sp_gemini_detail(const sp_chat_request_t *chat);
static void sp_gemini_key(sp_gemini_sender_t *s, const char *name);
static void sp_gemini_string(sp_gemini_sender_t *s, const char *text);
static int sp_gemini_is(const json_t *value, const char *text);


int
sp_gemini_write_tools(sp_gemini_sender_t *s)
{
    size_t                    i;
    const sp_chat_tool_t     *tool;
    const sp_chat_request_t  *chat;

    chat = s->call->chat;

    if (chat->ntools == 0) {
        return 0;
    }

    sp_out_str(s->out, ",\"tools\":[{\"functionDeclarations\":[");

    for (i = 0; i < chat->ntools; i++) {
        tool = &chat->tools[i];

        if (tool->name == NULL) {
            return sp_gemini_refuse(s, &sp_gemini_tool_invalid);
        }

        sp_out_str(s->out, i != 0 ? ",{" : "{");
        s->items = 0;

        sp_gemini_key(s, "name");
        sp_gemini_string(s, tool->name);

        if (tool->description != NULL) {
            sp_gemini_key(s, "description");
            sp_gemini_string(s, tool->description);
        }

        if (tool->parameters != NULL) {
            sp_gemini_key(s, "parametersJsonSchema");
            sp_out_json(s->out, tool->parameters, s->call->text);
        }

        sp_out_str(s->out, "}");
    }

    sp_out_str(s->out, "]}]");

    return sp_gemini_write_choice(s);
}


/* arguments that keep to their schema are a mode of all tools */

static int
sp_gemini_write_choice(sp_gemini_sender_t *s)
{
    size_t                    i;
    const char               *mode;
    const sp_chat_request_t  *chat;

    /* by sp_chat_choice_e */

    static const char  *const modes[] = { "AUTO", "NONE", "ANY", "ANY" };

    chat = s->call->chat;
    mode = modes[chat->choice];

    for (i = 0; i < chat->ntools; i++) {
        if (chat->tools[i].strict && chat->choice == SP_CHAT_CHOICE_AUTO) {
            mode = "VALIDATED";
        }
    }

    sp_out_str(s->out, ",\"toolConfig\":{\"functionCallingConfig\":"
                       "{\"mode\":\"");
    sp_out_str(s->out, mode);
    sp_out_str(s->out, "\"");

    if (chat->choice == SP_CHAT_CHOICE_NAMED) {

        if (chat->choice_name == NULL) {
            return sp_gemini_refuse(s, &sp_gemini_choice_invalid);
        }

        sp_out_str(s->out, ",\"allowedFunctionNames\":[");
        sp_gemini_string(s, chat->choice_name);
        sp_out_str(s->out, "]");
    }

    sp_out_str(s->out, "}}");

    return 0;
}


int
sp_gemini_write_config(sp_gemini_sender_t *s)
{
    const sp_chat_request_t  *chat;

    chat = s->call->chat;

    if (json_is_false(chat->options[SP_CHAT_PARALLEL_CALLS])) {
        return sp_gemini_refuse(s, &sp_gemini_always_parallel);
    }

    if (chat->options[SP_CHAT_VERBOSITY] != NULL) {
        return sp_gemini_refuse(s, &sp_gemini_verbosity);
    }

    sp_out_str(s->out, ",\"generationConfig\":{");
    s->items = 0;

    if (chat->max_tokens > 0) {
        sp_gemini_key(s, "maxOutputTokens");
        sp_out_integer(s->out, chat->max_tokens);
    }

    if (chat->n > 1) {
        sp_gemini_key(s, "candidateCount");
        sp_out_integer(s->out, chat->n);
    }

    sp_gemini_write_numbers(s);
    sp_gemini_write_detail(s);

    if (sp_gemini_write_stop(s) != 0
        || sp_gemini_write_format(s) != 0
        || sp_gemini_write_effort(s) != 0)
    {
        return -1;
    }

    sp_out_str(s->out, "}");

    return 0;
}


/* in the client's spelling where its dialect has OpenAI's name */

static void
sp_gemini_write_numbers(sp_gemini_sender_t *s)
{
    size_t         i;
    sp_slice_t     raw;
    const json_t  *value;

    static const struct {
        sp_chat_option_e   option;
        const char        *from;
        const char        *to;
    } names[] = {
        { SP_CHAT_TEMPERATURE, "temperature", "temperature" },
        { SP_CHAT_TOP_P, "top_p", "topP" },
        { SP_CHAT_PRESENCE_PENALTY, "presence_penalty", "presencePenalty" },
        { SP_CHAT_FREQUENCY_PENALTY, "frequency_penalty",
          "frequencyPenalty" },
        { SP_CHAT_SEED, "seed", "seed" }
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        value = s->call->chat->options[names[i].option];

        if (value == NULL) {
            continue;
        }

        sp_gemini_key(s, names[i].to);

        if (json_is_number(value)
            && sp_scan_find(s->call->text, s->call->len, names[i].from,
                            &raw.data, &raw.len)
               == 0)
        {
            sp_out_put(s->out, raw.data, raw.len);

        } else {
            sp_out_json(s->out, value, s->call->text);
        }
    }
}


static int
sp_gemini_write_stop(sp_gemini_sender_t *s)
{
    const json_t  *stop;

    stop = s->call->chat->options[SP_CHAT_STOP];

    if (stop == NULL) {
        return 0;
    }

    if (!json_is_string(stop) && !json_is_array(stop)) {
        return sp_gemini_refuse(s, &sp_gemini_stop_invalid);
    }

    sp_gemini_key(s, "stopSequences");
    sp_out_str(s->out, json_is_string(stop) ? "[" : "");
    sp_out_json(s->out, stop, s->call->text);
    sp_out_str(s->out, json_is_string(stop) ? "]" : "");

    return 0;
}


static int
sp_gemini_write_format(sp_gemini_sender_t *s)
{
    const json_t  *format, *schema, *type;

    format = s->call->chat->options[SP_CHAT_FORMAT];
    type = json_object_get(format, "type");

    if (format == NULL || sp_gemini_is(type, "text")) {
        return 0;
    }

    schema = json_object_get(json_object_get(format, "json_schema"),
                             "schema");

    if (!sp_gemini_is(type, "json_object")
        && !(sp_gemini_is(type, "json_schema") && json_is_object(schema)))
    {
        return sp_gemini_refuse(s, &sp_gemini_format_invalid);
    }

    sp_gemini_key(s, "responseMimeType");
    sp_gemini_string(s, "application/json");

    if (sp_gemini_is(type, "json_schema")) {
        sp_gemini_key(s, "responseJsonSchema");
        sp_out_json(s->out, schema, s->call->text);
    }

    return 0;
}


/* models before Gemini 3 have a number of tokens in place of a level */

static int
sp_gemini_write_effort(sp_gemini_sender_t *s)
{
    size_t         i;
    const json_t  *effort;

    static const struct {
        const char   *name;
        const char   *level;
        int64_t       budget;
    } efforts[] = {
        { "none", NULL, 0 },
        { "minimal", "MINIMAL", 1024 },
        { "low", "LOW", 1024 },
        { "medium", "MEDIUM", 8192 },
        { "high", "HIGH", 24576 }
    };

    effort = s->call->chat->options[SP_CHAT_EFFORT];

    if (effort == NULL) {
        return 0;
    }

    for (i = 0; i < sizeof(efforts) / sizeof(efforts[0]); i++) {
        if (sp_gemini_is(effort, efforts[i].name)) {
            break;
        }
    }

    if (i == sizeof(efforts) / sizeof(efforts[0])) {
        return sp_gemini_refuse(s, &sp_gemini_effort_invalid);
    }

    sp_gemini_key(s, "thinkingConfig");

    if (efforts[i].level == NULL || sp_gemini_is_old(s)) {
        sp_out_str(s->out, "{\"thinkingBudget\":");
        sp_out_integer(s->out, efforts[i].budget);

    } else {
        sp_out_str(s->out, "{\"thinkingLevel\":");
        sp_gemini_string(s, efforts[i].level);
    }

    sp_out_str(s->out, efforts[i].level != NULL
                       ? ",\"includeThoughts\":true}" : "}");

    return 0;
}


/* of one image here; there it is an option of the request */

static void
sp_gemini_write_detail(sp_gemini_sender_t *s)
{
    const char  *detail;

    detail = sp_gemini_detail(s->call->chat);

    if (detail != NULL) {
        sp_gemini_key(s, "mediaResolution");
        sp_gemini_string(s, detail);
    }
}


/* the highest that is asked for; NULL: the model decides */

static const char *
sp_gemini_detail(const sp_chat_request_t *chat)
{
    int                       low, other;
    size_t                    i, k;
    const sp_chat_part_t     *part;
    const sp_chat_message_t  *message;

    low = 0;
    other = 0;

    for (i = 0; i < chat->nmessages; i++) {
        message = &chat->messages[i];

        for (k = 0; k < message->nparts; k++) {
            part = &message->parts[k];

            if (part->kind != SP_CHAT_PART_IMAGE) {
                continue;
            }

            if (part->format != NULL && strcmp(part->format, "high") == 0) {
                return "MEDIA_RESOLUTION_HIGH";
            }

            if (part->format != NULL && strcmp(part->format, "low") == 0) {
                low = 1;

            } else {
                other = 1;
            }
        }
    }

    return (low && !other) ? "MEDIA_RESOLUTION_LOW" : NULL;
}


static void
sp_gemini_key(sp_gemini_sender_t *s, const char *name)
{
    sp_gemini_next(s);
    sp_gemini_string(s, name);
    sp_out_str(s->out, ":");
}


static void
sp_gemini_string(sp_gemini_sender_t *s, const char *text)
{
    sp_out_str(s->out, "\"");
    sp_out_text(s->out, text, strlen(text));
    sp_out_str(s->out, "\"");
}


static int
sp_gemini_is(const json_t *value, const char *text)
{
    const char  *string;

    string = json_string_value(value);

    return string != NULL && strcmp(string, text) == 0;
}
