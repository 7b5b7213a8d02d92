
/*
 * Copyright (C) Sallyport authors
 *
 * "input" and "instructions", as messages.  What the assistant did in one
 * turn (its reasoning, its words, its calls) is several items here and one
 * message everywhere else.
 */


#include <stdlib.h>
#include <string.h>

#include "sp_responses.h"


/* how much of everything the one block of a request holds */
static const sp_chat_error_t  sp_responses_input_required =
    { "messages_required", "input",
      "\"input\" must be a string, or an array with at least one item" };

static const sp_chat_error_t  sp_responses_too_many =
    { "messages_too_many", "input",
      "\"input\" may hold at most 4096 items" };

static const sp_chat_error_t  sp_responses_item_invalid =
    { "message_invalid", "input",
      "every item of \"input\" must be an object with a \"type\", or with "
      "\"role\" and \"content\"" };

static const sp_chat_error_t  sp_responses_item_unsupported =
    { "unsupported_item", "input",
      "an item of \"input\" cannot be translated, allowed types: message, "
      "function_call, function_call_output and reasoning" };

static const sp_chat_error_t  sp_responses_reference =
    { "unsupported_item", "input",
      "\"input\" refers to an item by its id, but nothing is stored here: "
      "send the items themselves, with \"store\": false" };

static const sp_chat_error_t  sp_responses_role_invalid =
    { "role_invalid", "input",
      "\"role\" must be system, developer, user or assistant" };

static const sp_chat_error_t  sp_responses_content_invalid =
    { "content_invalid", "input",
      "\"content\" must be a string or an array of 1 to 256 parts with a "
      "\"type\"" };

static const sp_chat_error_t  sp_responses_part_invalid =
    { "content_invalid", "input",
      "a part of a \"content\" lacks its text or its data" };

static const sp_chat_error_t  sp_responses_part_unsupported =
    { "unsupported_content", "input",
      "a part of a \"content\" cannot be translated, allowed types: "
      "input_text, output_text, refusal, input_image and input_file" };

static const sp_chat_error_t  sp_responses_stored_file =
    { "unsupported_content", "input",
      "no file is stored or fetched here: send an \"image_url\", or the "
      "\"file_data\" itself" };

static const sp_chat_error_t  sp_responses_call_invalid =
    { "tool_call_invalid", "input",
      "a function_call must have \"call_id\", \"name\" and \"arguments\", "
      "a function_call_output \"call_id\" and \"output\"" };

static const sp_chat_error_t  sp_responses_reasoning_invalid =
    { "reasoning_invalid", "input",
      "the \"summary\" of a reasoning item must be an array of parts with a "
      "\"text\", its \"encrypted_content\" a string" };

static const sp_chat_error_t  sp_responses_unsupported =
    { "unsupported_parameter", NULL,
      "this member of an item of \"input\" cannot be translated: leave it "
      "out" };


static const sp_chat_error_t *sp_responses_measure(const json_t *input,
    sp_chat_sizes_t *sizes);
static void sp_responses_measure_item(const json_t *item,
    sp_chat_sizes_t *sizes);
static int sp_responses_read_item(sp_responses_parser_t *p, json_t *item);
static int sp_responses_read_message(sp_responses_parser_t *p, json_t *item);
static int sp_responses_read_call(sp_responses_parser_t *p, json_t *item);
static int sp_responses_read_output(sp_responses_parser_t *p, json_t *item);
static int sp_responses_read_reasoning(sp_responses_parser_t *p,
    json_t *item);
static int sp_responses_read_content(sp_responses_parser_t *p,
    sp_chat_message_t *message, json_t *content);
static int sp_responses_read_part(sp_responses_parser_t *p,
    sp_chat_message_t *message, json_t *value);
static int sp_responses_read_file(sp_responses_parser_t *p,
    sp_chat_part_t *part, json_t *value, const char *name);
static int sp_responses_check(sp_responses_parser_t *p, json_t *item,
    const char *const *names);
static sp_chat_message_t *sp_responses_begin(sp_responses_parser_t *p,
    sp_chat_role_e role, json_t *value);
static sp_chat_message_t *sp_responses_assistant(sp_responses_parser_t *p,
    json_t *value);
static sp_chat_part_t *sp_responses_add_part(sp_responses_parser_t *p,
    sp_chat_message_t *message, sp_chat_part_e kind, json_t *value);
static void sp_responses_add_text(sp_responses_parser_t *p,
    sp_chat_message_t *message, const json_t *text);
static void sp_responses_end(sp_responses_parser_t *p);


int
sp_responses_allocate(sp_responses_parser_t *p, json_t *root)
{
    sp_chat_sizes_t         sizes;
    sp_chat_request_t      *chat;
    const sp_chat_error_t  *failed;

    memset(&sizes, 0, sizeof(sp_chat_sizes_t));

    failed = sp_responses_measure(json_object_get(root, "input"), &sizes);

    if (failed != NULL) {
        return sp_responses_refuse(p, failed, NULL);
    }

    chat = sp_chat_alloc(root, &sizes, &p->room);
    if (chat == NULL) {
        return -1;
    }

    chat->max_tokens = -1;
    chat->n = 1;
    chat->include_usage = 1;

    p->chat = chat;

    return 0;
}


/* at most: items of one turn become one message */

static const sp_chat_error_t *
sp_responses_measure(const json_t *input, sp_chat_sizes_t *sizes)
{
    size_t         i;
    const json_t  *content, *item;

    /* the instructions, and an input that is a string */

    sizes->messages = 2;

    if (json_is_string(input)) {
        return NULL;
    }

    if (json_array_size(input) == 0) {
        return &sp_responses_input_required;
    }

    if (json_array_size(input) > SP_CHAT_MAX_MESSAGES) {
        return &sp_responses_too_many;
    }

    sizes->messages += json_array_size(input);

    for (i = 0; i < json_array_size(input); i++) {
        item = json_array_get(input, i);
        content = json_object_get(item, "content");

        if (json_array_size(content) > SP_CHAT_MAX_PARTS
            || json_array_size(json_object_get(item, "summary"))
               > SP_CHAT_MAX_PARTS
            || json_array_size(json_object_get(item, "output"))
               > SP_CHAT_MAX_PARTS)
        {
            return &sp_responses_content_invalid;
        }

        sp_responses_measure_item(item, sizes);
    }

    return NULL;
}


static void
sp_responses_measure_item(const json_t *item, sp_chat_sizes_t *sizes)
{
    size_t         i, k, n;
    const json_t  *list, *text;

    static const char  *const names[] = { "content", "output", "summary" };

    /* a NUL behind a text, a part of reasoning that has none, a call */

    sizes->text++;
    sizes->parts++;
    sizes->calls++;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        list = json_object_get(item, names[i]);
        n = json_array_size(list);

        sizes->text += json_string_length(list) + 1;
        sizes->parts += n;

        for (k = 0; k < n; k++) {
            text = json_object_get(json_array_get(list, k), "text");
            sizes->text += json_string_length(text) + 1;
        }
    }
}


int
sp_responses_read_input(sp_responses_parser_t *p)
{
    json_t             *input, *instructions;
    size_t              i;
    sp_chat_request_t  *chat;
    sp_chat_message_t  *message;

    chat = p->chat;
    input = json_object_get(chat->root, "input");
    instructions = sp_responses_member(chat->root, "instructions");

    p->source = SP_CHAT_BESIDE;

    if (json_string_length(instructions) != 0) {
        message = sp_responses_begin(p, SP_CHAT_SYSTEM, instructions);
        message->text = json_string_value(instructions);
        message->len = json_string_length(instructions);
    }

    if (json_is_string(input)) {
        message = sp_responses_begin(p, SP_CHAT_USER, input);
        message->text = json_string_value(input);
        message->len = json_string_length(input);
    }

    for (i = 0; i < json_array_size(input); i++) {
        p->source = i;

        if (sp_responses_read_item(p, json_array_get(input, i)) != 0) {
            return -1;
        }
    }

    sp_responses_end(p);

    chat->last_user = chat->nmessages;

    for (i = 0; i < chat->nmessages; i++) {

        if (chat->messages[i].role == SP_CHAT_USER) {
            chat->last_user = i;
        }

        if (chat->messages[i].role == SP_CHAT_SYSTEM) {
            chat->has_system = 1;
        }
    }

    return 0;
}


static int
sp_responses_read_item(sp_responses_parser_t *p, json_t *item)
{
    json_t      *value;
    size_t       i;
    const char  *type;

    static const struct {
        const char   *type;
        int         (*read)(sp_responses_parser_t *p, json_t *item);
    } items[] = {
        { "message", sp_responses_read_message },
        { "function_call", sp_responses_read_call },
        { "function_call_output", sp_responses_read_output },
        { "reasoning", sp_responses_read_reasoning }
    };

    value = sp_responses_member(item, "type");
    type = json_string_value(value);

    if (!json_is_object(item) || (value != NULL && type == NULL)) {
        return sp_responses_refuse(p, &sp_responses_item_invalid, NULL);
    }

    if (type == NULL) {
        return (json_object_get(item, "role") != NULL)
               ? sp_responses_read_message(p, item)
               : sp_responses_refuse(p, &sp_responses_item_invalid, NULL);
    }

    for (i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
        if (strcmp(items[i].type, type) == 0) {
            return items[i].read(p, item);
        }
    }

    return sp_responses_refuse(p, strcmp(type, "item_reference") == 0
                                  ? &sp_responses_reference
                                  : &sp_responses_item_unsupported, NULL);
}


static int
sp_responses_read_message(sp_responses_parser_t *p, json_t *item)
{
    size_t              i;
    const char         *role;
    sp_chat_message_t  *message;

    static const char  *const names[] = {
        "type", "id", "status", "role", "content", NULL
    };

    static const struct {
        const char       *name;
        sp_chat_role_e    role;
    } roles[] = {
        { "system", SP_CHAT_SYSTEM },
        { "developer", SP_CHAT_SYSTEM },
        { "user", SP_CHAT_USER },
        { "assistant", SP_CHAT_ASSISTANT }
    };

    if (sp_responses_check(p, item, names) != 0) {
        return -1;
    }

    role = json_string_value(json_object_get(item, "role"));

    for (i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (role != NULL && strcmp(roles[i].name, role) == 0) {
            break;
        }
    }

    if (i == sizeof(roles) / sizeof(roles[0])) {
        return sp_responses_refuse(p, &sp_responses_role_invalid, NULL);
    }

    message = (roles[i].role == SP_CHAT_ASSISTANT)
              ? sp_responses_assistant(p, item)
              : sp_responses_begin(p, roles[i].role, item);

    return sp_responses_read_content(p, message,
                                     json_object_get(item, "content"));
}


static int
sp_responses_read_call(sp_responses_parser_t *p, json_t *item)
{
    json_t             *signature;
    sp_chat_call_t     *call;
    sp_chat_message_t  *message;

    static const char  *const names[] = {
        "type", "id", "status", "call_id", "name", "arguments",
        "extra_content", NULL
    };

    if (sp_responses_check(p, item, names) != 0) {
        return -1;
    }

    message = sp_responses_assistant(p, item);

    if (message->ncalls == 0) {
        message->calls = p->room.calls;
    }

    message->ncalls++;
    call = p->room.calls++;

    call->id = json_string_value(json_object_get(item, "call_id"));
    call->name = json_string_value(json_object_get(item, "name"));
    call->arguments = json_object_get(item, "arguments");

    signature = json_object_get(json_object_get(json_object_get(item,
                                "extra_content"), "google"),
                                "thought_signature");

    call->signature = json_is_string(signature) ? signature : NULL;

    return (call->id != NULL && call->name != NULL
            && json_is_string(call->arguments))
           ? 0 : sp_responses_refuse(p, &sp_responses_call_invalid, NULL);
}


static int
sp_responses_read_output(sp_responses_parser_t *p, json_t *item)
{
    json_t             *output;
    sp_chat_message_t  *message;

    static const char  *const names[] = {
        "type", "id", "status", "call_id", "output", NULL
    };

    if (sp_responses_check(p, item, names) != 0) {
        return -1;
    }

    output = json_object_get(item, "output");

    message = sp_responses_begin(p, SP_CHAT_TOOL, item);
    message->call_id = json_string_value(json_object_get(item, "call_id"));

    if (message->call_id == NULL
        || (!json_is_string(output) && !json_is_array(output)))
    {
        return sp_responses_refuse(p, &sp_responses_call_invalid, NULL);
    }

    return sp_responses_read_content(p, message, output);
}


static int
sp_responses_read_reasoning(sp_responses_parser_t *p, json_t *item)
{
    json_t             *encrypted, *list, *text;
    size_t              i;
    sp_chat_part_t     *part;
    sp_chat_message_t  *message;

    static const char  *const names[] = {
        "type", "id", "status", "summary", "content", "encrypted_content",
        NULL
    };

    if (sp_responses_check(p, item, names) != 0) {
        return -1;
    }

    message = sp_responses_assistant(p, item);
    encrypted = sp_responses_member(item, "encrypted_content");
    list = sp_responses_member(item, "summary");

    /* open models tell the reasoning itself */

    if (json_array_size(list) == 0 && sp_responses_member(item, "content")) {
        list = json_object_get(item, "content");
    }

    if ((list != NULL && !json_is_array(list))
        || (encrypted != NULL && !json_is_string(encrypted)))
    {
        return sp_responses_refuse(p, &sp_responses_reasoning_invalid, NULL);
    }

    part = NULL;

    for (i = 0; i < json_array_size(list); i++) {
        text = json_object_get(json_array_get(list, i), "text");

        if (!json_is_string(text)) {
            return sp_responses_refuse(p, &sp_responses_reasoning_invalid,
                                       NULL);
        }

        part = sp_responses_add_part(p, message, SP_CHAT_PART_REASONING,
                                     json_array_get(list, i));
        part->data = text;
    }

    if (encrypted != NULL) {

        if (part == NULL) {
            part = sp_responses_add_part(p, message, SP_CHAT_PART_REASONING,
                                         item);
        }

        part->signature = encrypted;
    }

    return 0;
}


static int
sp_responses_read_content(sp_responses_parser_t *p,
    sp_chat_message_t *message, json_t *content)
{
    size_t           i;
    sp_chat_part_t  *part;

    if (json_is_string(content)) {

        if (message->role == SP_CHAT_ASSISTANT) {

            /* one of several things that were said in a turn */

            part = sp_responses_add_part(p, message, SP_CHAT_PART_TEXT,
                                         message->value);
            part->data = content;
            sp_responses_add_text(p, message, content);

            return 0;
        }

        message->text = json_string_value(content);
        message->len = json_string_length(content);

        return 0;
    }

    if (json_array_size(content) == 0) {
        return sp_responses_refuse(p, &sp_responses_content_invalid, NULL);
    }

    for (i = 0; i < json_array_size(content); i++) {
        if (sp_responses_read_part(p, message, json_array_get(content, i))
            != 0)
        {
            return -1;
        }
    }

    return 0;
}


static int
sp_responses_read_part(sp_responses_parser_t *p, sp_chat_message_t *message,
    json_t *value)
{
    size_t           i;
    const char      *type;
    sp_chat_part_t  *part;

    static const char  *const names[] = {
        "type", "text", "annotations", "logprobs", NULL
    };

    static const char  *const refusal[] = { "type", "refusal", NULL };

    static const struct {
        const char         *type;
        sp_chat_part_e      kind;
        const char         *data;
        const char *const  *names;
    } types[] = {
        { "input_text", SP_CHAT_PART_TEXT, "text", names },
        { "output_text", SP_CHAT_PART_TEXT, "text", names },
        { "refusal", SP_CHAT_PART_REFUSAL, "refusal", refusal },
        { "input_image", SP_CHAT_PART_IMAGE, "image_url", NULL },
        { "input_file", SP_CHAT_PART_FILE, "file_data", NULL }
    };

    type = json_string_value(json_object_get(value, "type"));

    if (type == NULL) {
        return sp_responses_refuse(p, &sp_responses_content_invalid, NULL);
    }

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i].type, type) == 0) {
            break;
        }
    }

    if (i == sizeof(types) / sizeof(types[0])) {
        return sp_responses_refuse(p, &sp_responses_part_unsupported, NULL);
    }

    part = sp_responses_add_part(p, message, types[i].kind, value);

    if (types[i].names == NULL) {
        return sp_responses_read_file(p, part, value, types[i].data);
    }

    if (sp_responses_check(p, value, types[i].names) != 0) {
        return -1;
    }

    part->data = json_object_get(value, types[i].data);

    if (!json_is_string(part->data)) {
        return sp_responses_refuse(p, &sp_responses_part_invalid, NULL);
    }

    if (part->kind == SP_CHAT_PART_TEXT) {
        sp_responses_add_text(p, message, part->data);
    }

    return 0;
}


/* an image or a file, which is in the request or at a URL */

static int
sp_responses_read_file(sp_responses_parser_t *p, sp_chat_part_t *part,
    json_t *value, const char *name)
{
    static const char  *const image[] = {
        "type", "image_url", "detail", "file_id", NULL
    };

    static const char  *const file[] = {
        "type", "file_data", "filename", "file_id", "file_url", NULL
    };

    if (sp_responses_check(p, value, part->kind == SP_CHAT_PART_IMAGE
                                     ? image : file)
        != 0)
    {
        return -1;
    }

    if (sp_responses_member(value, "file_id") != NULL
        || sp_responses_member(value, "file_url") != NULL)
    {
        return sp_responses_refuse(p, &sp_responses_stored_file, NULL);
    }

    part->data = json_object_get(value, name);
    part->format = json_string_value(json_object_get(value, "detail"));
    part->name = json_string_value(json_object_get(value, "filename"));

    return json_is_string(part->data)
           ? 0 : sp_responses_refuse(p, &sp_responses_part_invalid, NULL);
}


/* nothing but "names", and no text where nobody looks for one */

static int
sp_responses_check(sp_responses_parser_t *p, json_t *item,
    const char *const *names)
{
    const char  *other;

    other = sp_responses_other(item, names);

    return (other == NULL)
           ? 0 : sp_responses_refuse(p, &sp_responses_unsupported, other);
}


static sp_chat_message_t *
sp_responses_begin(sp_responses_parser_t *p, sp_chat_role_e role,
    json_t *value)
{
    sp_chat_message_t  *message;

    sp_responses_end(p);

    message = &p->chat->messages[p->chat->nmessages++];

    message->role = role;
    message->text = "";
    message->value = value;
    message->source = p->source;

    return message;
}


/* the message of the assistant's turn that the item belongs to */

static sp_chat_message_t *
sp_responses_assistant(sp_responses_parser_t *p, json_t *value)
{
    sp_chat_message_t  *last;

    if (p->chat->nmessages != 0) {
        last = &p->chat->messages[p->chat->nmessages - 1];

        if (last->role == SP_CHAT_ASSISTANT) {
            return last;
        }
    }

    return sp_responses_begin(p, SP_CHAT_ASSISTANT, value);
}


static sp_chat_part_t *
sp_responses_add_part(sp_responses_parser_t *p, sp_chat_message_t *message,
    sp_chat_part_e kind, json_t *value)
{
    sp_chat_part_t  *part;

    if (message->parts == NULL) {
        message->parts = p->room.parts;
    }

    message->nparts++;

    part = p->room.parts++;
    part->kind = kind;
    part->value = value;

    return part;
}


/* texts of a message are joined with a line feed */

static void
sp_responses_add_text(sp_responses_parser_t *p, sp_chat_message_t *message,
    const json_t *text)
{
    if (message->len == 0) {
        message->text = p->room.text;
    }

    if (p->room.text != message->text) {
        *p->room.text++ = '\n';
    }

    memcpy(p->room.text, json_string_value(text), json_string_length(text));
    p->room.text += json_string_length(text);

    message->len = (size_t) (p->room.text - message->text);
}


/* the last message is whole; one text is a text and no list of parts */

static void
sp_responses_end(sp_responses_parser_t *p)
{
    sp_chat_message_t  *message;

    if (p->chat->nmessages == 0) {
        return;
    }

    message = &p->chat->messages[p->chat->nmessages - 1];

    if (message->parts == NULL) {
        return;
    }

    *p->room.text++ = '\0';

    if (message->nparts == 1
        && message->parts[0].kind == SP_CHAT_PART_TEXT)
    {
        message->parts = NULL;
        message->nparts = 0;
    }
}
