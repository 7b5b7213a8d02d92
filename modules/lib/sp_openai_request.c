
/*
 * Copyright (C) Sallyport authors
 *
 * Checks what the gateway itself reads of a chat completions request, and
 * what would surprise it later: types, roles, caps, UUIDs in metadata, no NUL
 * in text.  Everything else is the provider's to judge.
 */


#include <stdlib.h>
#include <string.h>

#include "sp_chat_read.h"
#include "sp_openai.h"


typedef struct {
    sp_chat_request_t    *chat;
    sp_chat_room_t        room;
} sp_openai_parser_t;


static const sp_chat_error_t  sp_openai_no_memory = { NULL, NULL, NULL };

static const sp_chat_error_t  sp_openai_not_object =
    { "request_not_object", NULL,
      "the request must be a JSON object" };

static const sp_chat_error_t  sp_openai_messages_required =
    { "messages_required", "messages",
      "\"messages\" must be an array with at least one message" };

static const sp_chat_error_t  sp_openai_messages_too_many =
    { "messages_too_many", "messages",
      "\"messages\" may hold at most 4096 messages" };

static const sp_chat_error_t  sp_openai_message_invalid =
    { "message_invalid", "messages",
      "every message must be an object with a \"role\" string" };

static const sp_chat_error_t  sp_openai_role_invalid =
    { "role_invalid", "messages",
      "\"role\" must be system, developer, user, assistant, tool or "
      "function" };

static const sp_chat_error_t  sp_openai_content_invalid =
    { "content_invalid", "messages",
      "\"content\" must be a string or an array of 1 to 256 parts with a "
      "\"type\"; only an assistant message with tool calls or a refusal "
      "may go without" };

static const sp_chat_error_t  sp_openai_content_nul =
    { "content_nul", "messages",
      "message text must not contain U+0000" };

static const sp_chat_error_t  sp_openai_stream_invalid =
    { "stream_invalid", "stream",
      "\"stream\" must be true or false" };

static const sp_chat_error_t  sp_openai_stream_options_invalid =
    { "stream_options_invalid", "stream_options",
      "\"stream_options\" must be an object, is allowed only with "
      "\"stream\": true, and its \"include_usage\" is true or false" };

static const sp_chat_error_t  sp_openai_max_tokens_invalid =
    { "max_tokens_invalid", "max_tokens",
      "\"max_tokens\" and \"max_completion_tokens\" must be positive "
      "integers" };

static const sp_chat_error_t  sp_openai_n_invalid =
    { "n_invalid", "n",
      "\"n\" must be an integer from 1 to 128" };


static const struct {
    const char           *name;
    sp_chat_role_e        role;
} sp_openai_roles[] = {
    { "system", SP_CHAT_SYSTEM },
    { "developer", SP_CHAT_SYSTEM },
    { "user", SP_CHAT_USER },
    { "assistant", SP_CHAT_ASSISTANT },
    { "tool", SP_CHAT_TOOL },
    { "function", SP_CHAT_TOOL }
};


static const sp_chat_error_t *sp_openai_measure(const json_t *messages,
    sp_chat_sizes_t *sizes);
static const sp_chat_error_t *sp_openai_read_root(sp_openai_parser_t *p);
static const sp_chat_error_t *sp_openai_read_stream(sp_chat_request_t *chat);
static const sp_chat_error_t *sp_openai_read_numbers(sp_chat_request_t *chat);
static const sp_chat_error_t *sp_openai_read_messages(sp_openai_parser_t *p);
static const sp_chat_error_t *sp_openai_read_message(sp_openai_parser_t *p,
    sp_chat_message_t *message);
static const sp_chat_error_t *sp_openai_read_parts(sp_openai_parser_t *p,
    sp_chat_message_t *message, const json_t *parts);
static int sp_openai_may_be_empty(const json_t *message);


sp_chat_request_t *
sp_openai_parse_request(json_t *root, sp_chat_error_t *error)
{
    json_t                 *messages;
    sp_openai_parser_t      p;
    sp_chat_sizes_t       sizes;
    const sp_chat_error_t  *failed;

    p.chat = NULL;

    *error = sp_openai_no_memory;

    if (root == NULL) {
        return NULL;
    }

    if (!json_is_object(root)) {
        failed = &sp_openai_not_object;
        goto failed;
    }

    messages = json_object_get(root, "messages");

    failed = sp_openai_measure(messages, &sizes);
    if (failed != NULL) {
        goto failed;
    }

    p.chat = sp_chat_alloc(root, &sizes, &p.room);
    if (p.chat == NULL) {
        failed = &sp_openai_no_memory;
        goto failed;
    }

    p.chat->nmessages = sizes.messages;

    failed = sp_openai_read_root(&p);
    if (failed != NULL) {
        goto failed;
    }

    sp_openai_parse_tools(p.chat);
    sp_openai_parse_options(p.chat);

    return p.chat;

failed:

    *error = *failed;

    free(p.chat);
    json_decref(root);

    return NULL;
}


static const sp_chat_error_t *
sp_openai_measure(const json_t *messages, sp_chat_sizes_t *sizes)
{
    size_t         i, k;
    const json_t  *content, *message, *part, *text;

    memset(sizes, 0, sizeof(sp_chat_sizes_t));

    if (!json_is_array(messages) || json_array_size(messages) == 0) {
        return &sp_openai_messages_required;
    }

    if (json_array_size(messages) > SP_CHAT_MAX_MESSAGES) {
        return &sp_openai_messages_too_many;
    }

    sizes->messages = json_array_size(messages);

    for (i = 0; i < json_array_size(messages); i++) {
        message = json_array_get(messages, i);
        content = json_object_get(message, "content");

        sizes->calls += json_array_size(json_object_get(message,
                                                        "tool_calls"));

        if (!json_is_array(content)) {
            continue;
        }

        if (json_array_size(content) > SP_CHAT_MAX_PARTS) {
            return &sp_openai_content_invalid;
        }

        sizes->parts += json_array_size(content);

        for (k = 0; k < json_array_size(content); k++) {
            part = json_array_get(content, k);
            text = json_object_get(part, "text");

            /* a line feed between parts, a NUL after the last one */
            sizes->text += json_string_length(text) + 1;
        }

        sizes->text += 1;
    }

    return NULL;
}


static const sp_chat_error_t *
sp_openai_read_root(sp_openai_parser_t *p)
{
    const sp_chat_error_t  *failed;

    failed = sp_chat_read_model(p->chat);
    if (failed != NULL) {
        return failed;
    }

    failed = sp_openai_read_stream(p->chat);
    if (failed != NULL) {
        return failed;
    }

    failed = sp_openai_read_numbers(p->chat);
    if (failed != NULL) {
        return failed;
    }

    failed = sp_chat_read_metadata(p->chat);
    if (failed != NULL) {
        return failed;
    }

    return sp_openai_read_messages(p);
}


static const sp_chat_error_t *
sp_openai_read_stream(sp_chat_request_t *chat)
{
    const json_t  *options, *stream, *usage;

    stream = sp_chat_member(chat->root, "stream");

    if (stream != NULL && !json_is_boolean(stream)) {
        return &sp_openai_stream_invalid;
    }

    chat->stream = json_is_true(stream) ? 1 : 0;

    options = sp_chat_member(chat->root, "stream_options");
    if (options == NULL) {
        return NULL;
    }

    if (!json_is_object(options) || !chat->stream) {
        return &sp_openai_stream_options_invalid;
    }

    usage = sp_chat_member(options, "include_usage");

    if (usage != NULL && !json_is_boolean(usage)) {
        return &sp_openai_stream_options_invalid;
    }

    chat->include_usage = json_is_true(usage) ? 1 : 0;

    return NULL;
}


static const sp_chat_error_t *
sp_openai_read_numbers(sp_chat_request_t *chat)
{
    size_t         i;
    const json_t  *value;

    static const char  *const names[] = {
        "max_tokens", "max_completion_tokens"
    };

    chat->max_tokens = -1;
    chat->n = 1;

    /* where both are given the newer name, the last, wins */

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        value = sp_chat_member(chat->root, names[i]);
        if (value == NULL) {
            continue;
        }

        if (!json_is_integer(value) || json_integer_value(value) < 1) {
            return &sp_openai_max_tokens_invalid;
        }

        chat->max_tokens = json_integer_value(value);
    }

    value = sp_chat_member(chat->root, "n");
    if (value == NULL) {
        return NULL;
    }

    if (!json_is_integer(value)
        || json_integer_value(value) < 1
        || json_integer_value(value) > SP_CHAT_MAX_CHOICES)
    {
        return &sp_openai_n_invalid;
    }

    chat->n = json_integer_value(value);

    return NULL;
}


static const sp_chat_error_t *
sp_openai_read_messages(sp_openai_parser_t *p)
{
    size_t                  i;
    const json_t           *messages;
    sp_chat_message_t      *message;
    sp_chat_request_t      *chat;
    const sp_chat_error_t  *failed;

    chat = p->chat;
    chat->last_user = chat->nmessages;

    messages = json_object_get(chat->root, "messages");

    for (i = 0; i < chat->nmessages; i++) {
        message = &chat->messages[i];
        message->value = json_array_get(messages, i);
        message->source = i;

        failed = sp_openai_read_message(p, message);
        if (failed != NULL) {
            return failed;
        }

        if (message->role == SP_CHAT_USER) {
            chat->last_user = i;
        }

        if (message->role == SP_CHAT_SYSTEM) {
            chat->has_system = 1;
        }
    }

    return NULL;
}


static const sp_chat_error_t *
sp_openai_read_message(sp_openai_parser_t *p, sp_chat_message_t *message)
{
    size_t         i, n;
    const char    *role;
    const json_t  *content;

    role = json_string_value(json_object_get(message->value, "role"));
    if (role == NULL) {
        return &sp_openai_message_invalid;
    }

    n = sizeof(sp_openai_roles) / sizeof(sp_openai_roles[0]);

    for (i = 0; i < n; i++) {
        if (strcmp(sp_openai_roles[i].name, role) == 0) {
            break;
        }
    }

    if (i == n || sp_chat_has_nul(json_object_get(message->value, "role"))) {
        return &sp_openai_role_invalid;
    }

    message->role = sp_openai_roles[i].role;
    message->text = "";
    message->len = 0;

    if (json_is_array(json_object_get(message->value, "tool_calls"))) {
        message->calls = p->room.calls;
        sp_openai_parse_calls(message);
        p->room.calls += message->ncalls;
    }

    message->call_id = json_string_value(json_object_get(message->value,
                                                         "tool_call_id"));
    message->name = json_string_value(json_object_get(message->value,
                                                      "name"));

    content = sp_chat_member(message->value, "content");

    if (content == NULL) {
        return sp_openai_may_be_empty(message->value)
               ? NULL : &sp_openai_content_invalid;
    }

    if (json_is_array(content)) {
        return sp_openai_read_parts(p, message, content);
    }

    if (!json_is_string(content)) {
        return &sp_openai_content_invalid;
    }

    if (sp_chat_has_nul(content)) {
        return &sp_openai_content_nul;
    }

    message->text = json_string_value(content);
    message->len = json_string_length(content);

    return NULL;
}


/* parts other than text (images, audio, files) pass and add no text */

static const sp_chat_error_t *
sp_openai_read_parts(sp_openai_parser_t *p, sp_chat_message_t *message,
    const json_t *parts)
{
    size_t         i;
    const char    *type;
    const json_t  *part, *text;

    if (json_array_size(parts) == 0) {
        return &sp_openai_content_invalid;
    }

    message->text = p->room.text;
    message->parts = p->room.parts;
    message->nparts = json_array_size(parts);

    for (i = 0; i < json_array_size(parts); i++) {
        part = json_array_get(parts, i);

        type = json_string_value(json_object_get(part, "type"));
        if (type == NULL) {
            return &sp_openai_content_invalid;
        }

        sp_openai_parse_part(p->room.parts++, part);

        text = json_object_get(part, "text");

        if (strcmp(type, "text") != 0) {

            /* a "text" beside another type would pass uninspected */

            if (text != NULL) {
                return &sp_openai_content_invalid;
            }

            continue;
        }

        if (!json_is_string(text)) {
            return &sp_openai_content_invalid;
        }

        if (sp_chat_has_nul(text)) {
            return &sp_openai_content_nul;
        }

        if (p->room.text != message->text) {
            *p->room.text++ = '\n';
        }

        memcpy(p->room.text, json_string_value(text),
               json_string_length(text));
        p->room.text += json_string_length(text);
    }

    message->len = (size_t) (p->room.text - message->text);

    *p->room.text++ = '\0';

    return NULL;
}


static int
sp_openai_may_be_empty(const json_t *message)
{
    const char  *role;

    role = json_string_value(json_object_get(message, "role"));

    return strcmp(role, "assistant") == 0
           && (json_is_array(json_object_get(message, "tool_calls"))
               || json_is_object(json_object_get(message, "function_call"))
               || json_is_string(json_object_get(message, "refusal")));
}
