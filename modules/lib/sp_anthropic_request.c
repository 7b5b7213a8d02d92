
/*
 * Copyright (C) Sallyport authors
 *
 * Checks what the gateway itself reads of a Messages request, and what would
 * surprise it later.  Everything else is the provider's to judge.
 *
 * A system prompt is the first message here, and a result of a tool, which a
 * user's message may hold, one of its own before what else is in that.
 */


#include <stdlib.h>
#include <string.h>

#include "sp_anthropic.h"
#include "sp_chat_read.h"


typedef struct {
    sp_chat_request_t    *chat;
    sp_chat_message_t    *message;   /* the next free one */
    sp_chat_room_t        room;
} sp_anthropic_parser_t;


static const sp_chat_error_t  sp_anthropic_no_memory = { NULL, NULL, NULL };

static const sp_chat_error_t  sp_anthropic_not_object =
    { "request_not_object", NULL,
      "the request must be a JSON object" };

static const sp_chat_error_t  sp_anthropic_messages_required =
    { "messages_required", "messages",
      "\"messages\" must be an array with at least one message" };

static const sp_chat_error_t  sp_anthropic_messages_too_many =
    { "messages_too_many", "messages",
      "\"messages\" may hold at most 4096 messages and results of tools" };

static const sp_chat_error_t  sp_anthropic_message_invalid =
    { "message_invalid", "messages",
      "every message must be an object with a \"role\" string" };

static const sp_chat_error_t  sp_anthropic_role_invalid =
    { "role_invalid", "messages",
      "\"role\" must be user, assistant or system" };

static const sp_chat_error_t  sp_anthropic_content_invalid =
    { "content_invalid", "messages",
      "\"content\" must be a string or an array of at most 256 blocks with a "
      "\"type\"; those with the type text have a \"text\", no others" };

static const sp_chat_error_t  sp_anthropic_content_nul =
    { "content_nul", "messages",
      "message text must not contain U+0000" };

static const sp_chat_error_t  sp_anthropic_system_invalid =
    { "system_invalid", "system",
      "\"system\" must be a string or an array of at most 256 blocks with "
      "the type text" };

static const sp_chat_error_t  sp_anthropic_stream_invalid =
    { "stream_invalid", "stream",
      "\"stream\" must be true or false" };

static const sp_chat_error_t  sp_anthropic_max_tokens_required =
    { "max_tokens_required", "max_tokens",
      "\"max_tokens\" must be a positive integer" };


static const sp_chat_error_t *sp_anthropic_measure(const json_t *root,
    sp_chat_sizes_t *sizes);
static const sp_chat_error_t *sp_anthropic_measure_content(
    const json_t *content, sp_chat_sizes_t *sizes, unsigned results);
static const sp_chat_error_t *sp_anthropic_read_root(
    sp_anthropic_parser_t *p);
static const sp_chat_error_t *sp_anthropic_read_system(
    sp_anthropic_parser_t *p);
static const sp_chat_error_t *sp_anthropic_read_messages(
    sp_anthropic_parser_t *p);
static const sp_chat_error_t *sp_anthropic_read_message(
    sp_anthropic_parser_t *p, json_t *value, size_t source);
static sp_chat_message_t *sp_anthropic_add_message(sp_anthropic_parser_t *p,
    json_t *value, sp_chat_role_e role, size_t source);
static const sp_chat_error_t *sp_anthropic_read_results(
    sp_anthropic_parser_t *p, const json_t *content, size_t source,
    size_t *results);
static const sp_chat_error_t *sp_anthropic_read_content(
    sp_anthropic_parser_t *p, sp_chat_message_t *message,
    const json_t *content);
static const sp_chat_error_t *sp_anthropic_read_block(
    sp_anthropic_parser_t *p, sp_chat_message_t *message,
    const json_t *value);
static void sp_anthropic_read_call(sp_anthropic_parser_t *p,
    sp_chat_message_t *message, const json_t *value);
static int sp_anthropic_is_type(const json_t *block, const char *type);


sp_chat_request_t *
sp_anthropic_parse_request(json_t *root, sp_chat_error_t *error)
{
    sp_chat_sizes_t         sizes;
    sp_anthropic_parser_t   p;
    const sp_chat_error_t  *failed;

    p.chat = NULL;

    *error = sp_anthropic_no_memory;

    if (root == NULL) {
        return NULL;
    }

    failed = sp_anthropic_measure(root, &sizes);
    if (failed != NULL) {
        goto failed;
    }

    p.chat = sp_chat_alloc(root, &sizes, &p.room);
    if (p.chat == NULL) {
        failed = &sp_anthropic_no_memory;
        goto failed;
    }

    p.chat->n = 1;
    p.chat->include_usage = 1;
    p.message = p.chat->messages;

    failed = sp_anthropic_read_root(&p);
    if (failed != NULL) {
        goto failed;
    }

    sp_anthropic_parse_tools(p.chat);
    sp_anthropic_parse_options(p.chat);

    return p.chat;

failed:

    *error = *failed;

    free(p.chat);
    json_decref(root);

    return NULL;
}


/* at most: what is no message, or too many, is refused later or here */

static const sp_chat_error_t *
sp_anthropic_measure(const json_t *root, sp_chat_sizes_t *sizes)
{
    size_t                  i;
    const json_t           *messages;
    const sp_chat_error_t  *failed;

    memset(sizes, 0, sizeof(sp_chat_sizes_t));

    if (!json_is_object(root)) {
        return &sp_anthropic_not_object;
    }

    messages = json_object_get(root, "messages");

    if (!json_is_array(messages) || json_array_size(messages) == 0) {
        return &sp_anthropic_messages_required;
    }

    if (json_array_size(messages) > SP_CHAT_MAX_MESSAGES) {
        return &sp_anthropic_messages_too_many;
    }

    sizes->messages = json_array_size(messages) + 1;

    if (sp_anthropic_measure_content(json_object_get(root, "system"), sizes,
                                     0)
        != NULL)
    {
        return &sp_anthropic_system_invalid;
    }

    for (i = 0; i < json_array_size(messages); i++) {
        failed = sp_anthropic_measure_content(
                   json_object_get(json_array_get(messages, i), "content"),
                   sizes, 1);

        if (failed != NULL) {
            return failed;
        }
    }

    return (sizes->messages > SP_CHAT_MAX_MESSAGES + 1)
           ? &sp_anthropic_messages_too_many : NULL;
}


static const sp_chat_error_t *
sp_anthropic_measure_content(const json_t *content,
    sp_chat_sizes_t *sizes, unsigned results)
{
    size_t                  i;
    const json_t           *block;
    const sp_chat_error_t  *failed;

    if (!json_is_array(content)) {
        return NULL;
    }

    if (json_array_size(content) > SP_CHAT_MAX_PARTS) {
        return &sp_anthropic_content_invalid;
    }

    sizes->parts += json_array_size(content);
    sizes->calls += json_array_size(content);

    /* a NUL after the last one */

    sizes->text += 1;

    for (i = 0; i < json_array_size(content); i++) {
        block = json_array_get(content, i);

        if (results && sp_anthropic_is_type(block, "tool_result")) {
            sizes->messages++;

            failed = sp_anthropic_measure_content(
                       json_object_get(block, "content"), sizes, 0);

            if (failed != NULL) {
                return failed;
            }

            continue;
        }

        /* a line feed between texts, of which a document may have one */

        sizes->text += json_string_length(json_object_get(block, "text"))
                       + json_string_length(json_object_get(
                             json_object_get(block, "source"), "data"))
                       + 1;
    }

    return NULL;
}


static const sp_chat_error_t *
sp_anthropic_read_root(sp_anthropic_parser_t *p)
{
    const json_t           *value;
    sp_chat_request_t      *chat;
    const sp_chat_error_t  *failed;

    chat = p->chat;

    failed = sp_chat_read_model(chat);
    if (failed != NULL) {
        return failed;
    }

    value = sp_chat_member(chat->root, "stream");

    if (value != NULL && !json_is_boolean(value)) {
        return &sp_anthropic_stream_invalid;
    }

    chat->stream = json_is_true(value) ? 1 : 0;

    value = json_object_get(chat->root, "max_tokens");

    if (!json_is_integer(value) || json_integer_value(value) < 1) {
        return &sp_anthropic_max_tokens_required;
    }

    chat->max_tokens = json_integer_value(value);

    failed = sp_chat_read_metadata(chat);
    if (failed != NULL) {
        return failed;
    }

    failed = sp_anthropic_read_system(p);
    if (failed != NULL) {
        return failed;
    }

    return sp_anthropic_read_messages(p);
}


static const sp_chat_error_t *
sp_anthropic_read_system(sp_anthropic_parser_t *p)
{
    size_t              i;
    json_t             *system;
    sp_chat_message_t  *message;

    system = (json_t *) sp_chat_member(p->chat->root, "system");

    if (system == NULL) {
        return NULL;
    }

    for (i = 0; i < json_array_size(system); i++) {
        if (!sp_anthropic_is_type(json_array_get(system, i), "text")) {
            return &sp_anthropic_system_invalid;
        }
    }

    message = sp_anthropic_add_message(p, system, SP_CHAT_SYSTEM,
                                       SP_CHAT_BESIDE);

    return (sp_anthropic_read_content(p, message, system) != NULL)
           ? &sp_anthropic_system_invalid : NULL;
}


static const sp_chat_error_t *
sp_anthropic_read_messages(sp_anthropic_parser_t *p)
{
    size_t                  i;
    json_t                 *messages;
    sp_chat_request_t      *chat;
    const sp_chat_error_t  *failed;

    chat = p->chat;
    messages = json_object_get(chat->root, "messages");

    for (i = 0; i < json_array_size(messages); i++) {
        failed = sp_anthropic_read_message(p, json_array_get(messages, i), i);

        if (failed != NULL) {
            return failed;
        }
    }

    chat->last_user = chat->nmessages;

    for (i = 0; i < chat->nmessages; i++) {

        if (chat->messages[i].role == SP_CHAT_USER) {
            chat->last_user = i;
        }

        if (chat->messages[i].role == SP_CHAT_SYSTEM) {
            chat->has_system = 1;
        }
    }

    return NULL;
}


static const sp_chat_error_t *
sp_anthropic_read_message(sp_anthropic_parser_t *p, json_t *value,
    size_t source)
{
    size_t                  results;
    const char             *role;
    const json_t           *content;
    sp_chat_role_e          as;
    sp_chat_message_t      *message;
    const sp_chat_error_t  *failed;

    role = json_string_value(json_object_get(value, "role"));
    if (role == NULL) {
        return &sp_anthropic_message_invalid;
    }

    if (strcmp(role, "user") == 0) {
        as = SP_CHAT_USER;

    } else if (strcmp(role, "assistant") == 0) {
        as = SP_CHAT_ASSISTANT;

    } else if (strcmp(role, "system") == 0) {
        as = SP_CHAT_SYSTEM;

    } else {
        return &sp_anthropic_role_invalid;
    }

    results = 0;
    content = json_object_get(value, "content");

    if (as == SP_CHAT_USER) {
        failed = sp_anthropic_read_results(p, content, source, &results);

        if (failed != NULL) {
            return failed;
        }
    }

    if (results != 0 && results == json_array_size(content)) {
        return NULL;
    }

    message = sp_anthropic_add_message(p, value, as, source);
    message->split = (results != 0);

    return sp_anthropic_read_content(p, message, content);
}


static sp_chat_message_t *
sp_anthropic_add_message(sp_anthropic_parser_t *p, json_t *value,
    sp_chat_role_e role, size_t source)
{
    sp_chat_message_t  *message;

    message = p->message++;
    p->chat->nmessages++;

    message->role = role;
    message->value = value;
    message->source = source;
    message->text = "";

    return message;
}


static const sp_chat_error_t *
sp_anthropic_read_results(sp_anthropic_parser_t *p, const json_t *content,
    size_t source, size_t *results)
{
    size_t                  i;
    json_t                 *block;
    const json_t           *inner;
    sp_chat_message_t      *message;
    const sp_chat_error_t  *failed;

    for (i = 0; i < json_array_size(content); i++) {
        block = json_array_get(content, i);

        if (!sp_anthropic_is_type(block, "tool_result")) {
            continue;
        }

        message = sp_anthropic_add_message(p, block, SP_CHAT_TOOL, source);

        message->call_id = json_string_value(json_object_get(block,
                                                             "tool_use_id"));
        message->failed = json_is_true(json_object_get(block, "is_error"))
                          ? 1 : 0;
        inner = sp_chat_member(block, "content");

        failed = (inner != NULL) ? sp_anthropic_read_content(p, message, inner)
                                 : NULL;
        if (failed != NULL) {
            return failed;
        }

        (*results)++;
    }

    return NULL;
}


static const sp_chat_error_t *
sp_anthropic_read_content(sp_anthropic_parser_t *p,
    sp_chat_message_t *message, const json_t *content)
{
    size_t                  i;
    const sp_chat_error_t  *failed;

    if (json_is_string(content)) {

        if (sp_chat_has_nul(content)) {
            return &sp_anthropic_content_nul;
        }

        message->text = json_string_value(content);
        message->len = json_string_length(content);

        return NULL;
    }

    if (!json_is_array(content)) {
        return &sp_anthropic_content_invalid;
    }

    message->text = p->room.text;
    message->parts = p->room.parts;
    message->calls = p->room.calls;

    for (i = 0; i < json_array_size(content); i++) {
        failed = sp_anthropic_read_block(p, message,
                                         json_array_get(content, i));
        if (failed != NULL) {
            return failed;
        }
    }

    message->len = (size_t) (p->room.text - message->text);

    *p->room.text++ = '\0';

    /* of calls alone "text", which is empty, is all of it */

    message->parts = (message->nparts != 0) ? message->parts : NULL;

    return NULL;
}


static const sp_chat_error_t *
sp_anthropic_read_block(sp_anthropic_parser_t *p, sp_chat_message_t *message,
    const json_t *value)
{
    const char      *type;
    const json_t    *text;
    sp_chat_part_t  *part;

    type = json_string_value(json_object_get(value, "type"));
    text = json_object_get(value, "text");

    /* a "text" beside another type would pass uninspected */

    if (type == NULL || (strcmp(type, "text") == 0) != json_is_string(text)) {
        return &sp_anthropic_content_invalid;
    }

    if (strcmp(type, "tool_result") == 0 && message->split) {
        return NULL;
    }

    if (strcmp(type, "tool_use") == 0 && message->role == SP_CHAT_ASSISTANT) {
        sp_anthropic_read_call(p, message, value);
        return NULL;
    }

    part = p->room.parts++;
    message->nparts++;

    sp_anthropic_parse_part(part, value);

    if (part->kind == SP_CHAT_PART_REASONING
        && json_string_length(part->signature) == 0)
    {
        message->bare = 1;
    }

    if (part->kind != SP_CHAT_PART_TEXT || part->data == NULL) {
        return NULL;
    }

    if (sp_chat_has_nul(part->data)) {
        return &sp_anthropic_content_nul;
    }

    if (p->room.text != message->text) {
        *p->room.text++ = '\n';
    }

    memcpy(p->room.text, json_string_value(part->data),
           json_string_length(part->data));
    p->room.text += json_string_length(part->data);

    return NULL;
}


static void
sp_anthropic_read_call(sp_anthropic_parser_t *p, sp_chat_message_t *message,
    const json_t *value)
{
    sp_chat_call_t  *call;

    call = p->room.calls++;
    message->ncalls++;

    call->id = json_string_value(json_object_get(value, "id"));
    call->name = json_string_value(json_object_get(value, "name"));
    call->arguments = json_object_get(value, "input");
}


static int
sp_anthropic_is_type(const json_t *block, const char *type)
{
    const char  *name;

    name = json_string_value(json_object_get(block, "type"));

    return name != NULL && strcmp(name, type) == 0;
}
