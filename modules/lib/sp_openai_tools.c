
/*
 * Copyright (C) Sallyport authors
 *
 * What only translations need of a chat completions request: typed parts,
 * tools and their calls, options.  Nothing is refused here: who translates
 * judges, who passes the bytes on leaves it to the provider.
 */


#include <string.h>

#include "sp_openai.h"


static void sp_openai_parse_choice(sp_chat_request_t *chat);
static int sp_openai_is_known(const char *key);
static const json_t *sp_openai_get_string(const json_t *object,
    const char *key);
static const json_t *sp_openai_get_object(const json_t *object,
    const char *key);
static const char *sp_openai_get_text(const json_t *object, const char *key);


/* by sp_chat_option_e */

static const char  *const sp_openai_options[SP_CHAT_NOPTIONS] = {
    "temperature", "top_p", "presence_penalty", "frequency_penalty", "seed",
    "stop", "response_format", "reasoning_effort", "user",
    "parallel_tool_calls", "verbosity"
};


void
sp_openai_parse_part(sp_chat_part_t *part, const json_t *value)
{
    const char    *type;
    const json_t  *inner;

    part->value = value;
    part->kind = SP_CHAT_PART_OTHER;
    part->cache = sp_openai_get_object(value, "cache_control");

    type = sp_openai_get_text(value, "type");

    if (type == NULL) {
        return;
    }

    inner = json_object_get(value, type);

    if (strcmp(type, "text") == 0) {
        part->kind = SP_CHAT_PART_TEXT;
        part->data = sp_openai_get_string(value, "text");

    } else if (strcmp(type, "refusal") == 0) {
        part->kind = SP_CHAT_PART_REFUSAL;
        part->data = sp_openai_get_string(value, "refusal");

    } else if (strcmp(type, "image_url") == 0) {
        part->kind = SP_CHAT_PART_IMAGE;
        part->data = sp_openai_get_string(inner, "url");
        part->format = sp_openai_get_text(inner, "detail");

    } else if (strcmp(type, "input_audio") == 0) {
        part->kind = SP_CHAT_PART_AUDIO;
        part->data = sp_openai_get_string(inner, "data");
        part->format = sp_openai_get_text(inner, "format");

    } else if (strcmp(type, "file") == 0) {
        part->kind = SP_CHAT_PART_FILE;
        part->data = sp_openai_get_string(inner, "file_data");
        part->name = sp_openai_get_text(inner, "filename");
        part->id = sp_openai_get_text(inner, "file_id");
    }
}


void
sp_openai_parse_calls(sp_chat_message_t *message)
{
    size_t           i;
    json_t          *calls;
    const json_t    *function, *value;
    sp_chat_call_t  *call;

    calls = json_object_get(message->value, "tool_calls");

    message->ncalls = json_array_size(calls);

    for (i = 0; i < message->ncalls; i++) {
        value = json_array_get(calls, i);
        function = json_object_get(value, "function");
        call = &message->calls[i];

        call->id = sp_openai_get_text(value, "id");
        call->name = sp_openai_get_text(function, "name");
        call->arguments = json_object_get(function, "arguments");
        call->signature = sp_openai_get_string(
                              json_object_get(
                                  json_object_get(value, "extra_content"),
                                  "google"),
                              "thought_signature");
    }
}


void
sp_openai_parse_tools(sp_chat_request_t *chat)
{
    size_t           i;
    json_t          *tools;
    const json_t    *function, *value;
    sp_chat_tool_t  *tool;

    tools = json_object_get(chat->root, "tools");

    chat->ntools = json_array_size(tools);

    for (i = 0; i < chat->ntools; i++) {
        value = json_array_get(tools, i);
        function = json_object_get(value, "function");
        tool = &chat->tools[i];

        tool->cache = sp_openai_get_object(value, "cache_control");
        tool->strict = json_is_true(json_object_get(function, "strict"));
        tool->name = sp_openai_get_text(function, "name");
        tool->description = sp_openai_get_text(function, "description");
        tool->parameters = json_object_get(function, "parameters");
        tool->strict = json_is_true(json_object_get(function, "strict"))
                       ? 1 : 0;
    }

    sp_openai_parse_choice(chat);
}


static void
sp_openai_parse_choice(sp_chat_request_t *chat)
{
    const char    *text;
    const json_t  *choice;

    choice = json_object_get(chat->root, "tool_choice");
    text = json_string_value(choice);

    if (text != NULL && strcmp(text, "none") == 0) {
        chat->choice = SP_CHAT_CHOICE_NONE;

    } else if (text != NULL && strcmp(text, "required") == 0) {
        chat->choice = SP_CHAT_CHOICE_REQUIRED;

    } else if (json_is_object(choice)) {
        chat->choice = SP_CHAT_CHOICE_NAMED;
        chat->choice_name = sp_openai_get_text(
                              json_object_get(choice, "function"), "name");
    }
}


void
sp_openai_parse_options(sp_chat_request_t *chat)
{
    size_t         i;
    json_t        *value;
    const char    *key;

    for (i = 0; i < SP_CHAT_NOPTIONS; i++) {
        value = json_object_get(chat->root, sp_openai_options[i]);
        chat->options[i] = json_is_null(value) ? NULL : value;
    }

    chat->schema = sp_openai_get_object(
                     json_object_get(chat->options[SP_CHAT_FORMAT],
                                     "json_schema"), "schema");

    json_object_foreach(chat->root, key, value) {

        /* nothing is stored where the API does not know the word either */

        if (json_is_false(value) && strcmp(key, "store") == 0) {
            continue;
        }

        if (!json_is_null(value) && !sp_openai_is_known(key)) {
            chat->foreign = key;
            break;
        }
    }
}


static int
sp_openai_is_known(const char *key)
{
    size_t  i;

    static const char  *const names[] = {
        "model", "messages", "stream", "stream_options", "max_tokens",
        "max_completion_tokens", "n", "metadata", "tools", "tool_choice"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], key) == 0) {
            return 1;
        }
    }

    for (i = 0; i < SP_CHAT_NOPTIONS; i++) {
        if (strcmp(sp_openai_options[i], key) == 0) {
            return 1;
        }
    }

    return 0;
}


static const json_t *
sp_openai_get_string(const json_t *object, const char *key)
{
    const json_t  *value;

    value = json_object_get(object, key);

    return json_is_string(value) ? value : NULL;
}


static const json_t *
sp_openai_get_object(const json_t *object, const char *key)
{
    const json_t  *value;

    value = json_object_get(object, key);

    return json_is_object(value) ? value : NULL;
}


static const char *
sp_openai_get_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}
