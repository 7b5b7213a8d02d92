
/*
 * Copyright (C) Sallyport authors
 *
 * What the parts of a chat cost beside their texts.
 */

#include <string.h>

#include "sp_json.h"
#include "sp_tokens.h"


/*
 * Definitions of functions, as OpenAI's cookbook counts them ("How to count
 * tokens with tiktoken"): so many for each of these, besides their words.
 */
#define SP_TOKENS_FUNCTION         7
#define SP_TOKENS_FUNCTION_CL100K  10
#define SP_TOKENS_FUNCTIONS        12
#define SP_TOKENS_PROPERTIES       3
#define SP_TOKENS_PROPERTY         3
#define SP_TOKENS_ENUM_ITEM        3

/* a member of JSON: quotes, colon, comma */
#define SP_TOKENS_MEMBER           3


static size_t sp_tokens_part(sp_tokens_t *tokens, const sp_chat_part_t *part);
static size_t sp_tokens_audio(const sp_chat_part_t *part);
static size_t sp_tokens_file(const sp_chat_part_t *part);
static size_t sp_tokens_data(const json_t *value);
static size_t sp_tokens_tool(sp_tokens_t *tokens, const sp_chat_tool_t *tool);
static size_t sp_tokens_schema(sp_tokens_t *tokens, const json_t *schema);
static size_t sp_tokens_property(sp_tokens_t *tokens, const char *name,
    const json_t *property);
static size_t sp_tokens_json(sp_tokens_t *tokens, const json_t *value);
static size_t sp_tokens_string(sp_tokens_t *tokens, const json_t *value);
static size_t sp_tokens_word(sp_tokens_t *tokens, const char *text);


size_t
sp_tokens_message(sp_tokens_t *tokens, const sp_chat_message_t *message)
{
    size_t                 i, n;
    const sp_chat_call_t  *call;

    n = SP_TOKENS_MESSAGE + sp_tokens_text(tokens, message->text,
                                           message->len);

    if (message->name != NULL) {
        n += SP_TOKENS_NAME + sp_tokens_word(tokens, message->name);
    }

    for (i = 0; i < message->nparts; i++) {

        if (message->parts[i].kind != SP_CHAT_PART_TEXT) {
            tokens->estimated = 1;
            n += sp_tokens_part(tokens, &message->parts[i]);
        }
    }

    for (i = 0; i < message->ncalls; i++) {
        call = &message->calls[i];

        tokens->estimated = 1;
        n += SP_TOKENS_CALL + sp_tokens_word(tokens, call->name)
             + sp_tokens_json(tokens, call->arguments);
    }

    return n;
}


static size_t
sp_tokens_part(sp_tokens_t *tokens, const sp_chat_part_t *part)
{
    switch (part->kind) {

    case SP_CHAT_PART_REFUSAL:
    case SP_CHAT_PART_REASONING:
        return sp_tokens_string(tokens, part->data);

    case SP_CHAT_PART_IMAGE:
        return (part->format != NULL && strcmp(part->format, "low") == 0)
               ? SP_TOKENS_LOW : SP_TOKENS_IMAGE;

    case SP_CHAT_PART_AUDIO:
        return sp_tokens_audio(part);

    case SP_CHAT_PART_FILE:
        return sp_tokens_file(part);

    default: /* SP_CHAT_PART_OTHER */
        return sp_tokens_json(tokens, part->value);
    }
}


static size_t
sp_tokens_audio(const sp_chat_part_t *part)
{
    int  mp3;

    mp3 = (part->format != NULL && strcmp(part->format, "mp3") == 0);

    return 1 + sp_tokens_data(part->data)
               / (mp3 ? SP_TOKENS_MP3 : SP_TOKENS_PCM);
}


static size_t
sp_tokens_file(const sp_chat_part_t *part)
{
    const char  *data;

    data = json_string_value(part->data);

    if (data == NULL) {
        return SP_TOKENS_FILE;
    }

    return 1 + sp_tokens_data(part->data)
               / ((strncmp(data, "data:text/", 10) == 0) ? SP_TOKENS_PLAIN
                                                         : SP_TOKENS_PAGES);
}


/* bytes of a string, also of one that was left in the request's text */

static size_t
sp_tokens_data(const json_t *value)
{
    size_t  len, offset;

    return sp_json_bulk(value, &offset, &len) ? len
                                              : json_string_length(value);
}


size_t
sp_tokens_tools(sp_tokens_t *tokens, const sp_chat_request_t *chat)
{
    size_t         i, n;
    const json_t  *format;

    n = 0;

    for (i = 0; i < chat->ntools; i++) {
        n += sp_tokens_tool(tokens, &chat->tools[i]);
    }

    if (n != 0) {
        n += SP_TOKENS_FUNCTIONS;
    }

    /* {"type":"text"} says nothing to a model */

    format = json_object_get(chat->options[SP_CHAT_FORMAT], "json_schema");
    n += sp_tokens_json(tokens, format);

    if (n != 0) {
        tokens->estimated = 1;
    }

    return n;
}


static size_t
sp_tokens_tool(sp_tokens_t *tokens, const sp_chat_tool_t *tool)
{
    return ((tokens->pattern == SP_BPE_CL100K_BASE)
            ? SP_TOKENS_FUNCTION_CL100K : SP_TOKENS_FUNCTION)
           + sp_tokens_word(tokens, tool->name)
           + sp_tokens_word(tokens, tool->description)
           + sp_tokens_schema(tokens, tool->parameters);
}


/* what a JSON schema says of an object; nested ones count the same way */

static size_t
sp_tokens_schema(sp_tokens_t *tokens, const json_t *schema)
{
    size_t       n;
    json_t      *properties, *value;
    const char  *name;

    properties = json_object_get(schema, "properties");

    if (json_object_size(properties) == 0) {
        return 0;
    }

    n = SP_TOKENS_PROPERTIES;

    json_object_foreach(properties, name, value) {
        n += sp_tokens_property(tokens, name, value);
    }

    return n;
}


static size_t
sp_tokens_property(sp_tokens_t *tokens, const char *name,
    const json_t *property)
{
    size_t         i, n;
    json_t        *item;
    const json_t  *list;

    /* "name:type:description" */

    n = SP_TOKENS_PROPERTY + 2 + sp_tokens_word(tokens, name)
        + sp_tokens_json(tokens, json_object_get(property, "type"))
        + sp_tokens_string(tokens, json_object_get(property, "description"))
        + sp_tokens_schema(tokens, property)
        + sp_tokens_schema(tokens, json_object_get(property, "items"));

    list = json_object_get(property, "enum");

    json_array_foreach(list, i, item) {
        n += SP_TOKENS_ENUM_ITEM + sp_tokens_json(tokens, item);
    }

    return n;
}


/* any JSON: a string stands for itself */

static size_t
sp_tokens_json(sp_tokens_t *tokens, const json_t *value)
{
    size_t         i, n;
    json_t        *member;
    const char    *name;

    if (json_is_string(value)) {
        return sp_tokens_string(tokens, value);
    }

    n = 1;

    if (json_is_array(value)) {
        json_array_foreach(value, i, member) {
            n += 1 + sp_tokens_json(tokens, member);
        }

        return n;
    }

    if (json_is_object(value)) {
        json_object_foreach((json_t *) value, name, member) {
            n += SP_TOKENS_MEMBER + sp_tokens_word(tokens, name)
                 + sp_tokens_json(tokens, member);
        }

        return n;
    }

    return (value != NULL) ? n : 0;
}


/* a long one in the request's text is data, not words */

static size_t
sp_tokens_string(sp_tokens_t *tokens, const json_t *value)
{
    size_t  len, offset;

    if (sp_json_bulk(value, &offset, &len)) {
        return len / SP_TOKENS_PAGES;
    }

    return (value == NULL) ? 0
           : sp_tokens_text(tokens, json_string_value(value),
                            json_string_length(value));
}


static size_t
sp_tokens_word(sp_tokens_t *tokens, const char *text)
{
    return (text == NULL) ? 0 : sp_tokens_text(tokens, text, strlen(text));
}
