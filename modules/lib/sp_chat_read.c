
/*
 * Copyright (C) Sallyport authors
 */


#include <stdlib.h>
#include <string.h>

#include "sp_chat_read.h"


static const sp_chat_error_t  sp_chat_model_invalid =
    { "model_invalid", "model",
      "\"model\" must be a string of 1 to 256 bytes" };

static const sp_chat_error_t  sp_chat_metadata_invalid =
    { "metadata_invalid", "metadata",
      "\"metadata\" must be an object" };

static const sp_chat_error_t  sp_chat_character_id_invalid =
    { "character_id_invalid", "metadata.character_id",
      "\"character_id\" must be a UUID" };

static const sp_chat_error_t  sp_chat_chat_id_invalid =
    { "chat_id_invalid", "metadata.chat_id",
      "\"chat_id\" must be a UUID" };

static const sp_chat_error_t  sp_chat_parent_id_invalid =
    { "parent_id_invalid", "metadata.parent_id",
      "\"parent_id\" must be a UUID or \"root\"" };

static const sp_chat_error_t  sp_chat_memory_invalid =
    { "memory_invalid", "metadata.memory",
      "\"memory\" must be \"on\" or \"off\"" };


static int sp_chat_is_id(const json_t *value);
static int sp_chat_is_root(const json_t *value);


sp_chat_request_t *
sp_chat_alloc(json_t *root, const sp_chat_sizes_t *sizes,
    sp_chat_room_t *room)
{
    size_t              tools;
    sp_chat_request_t  *chat;

    tools = json_array_size(json_object_get(root, "tools"));

    chat = calloc(1, sizeof(sp_chat_request_t)
                     + sizes->messages * sizeof(sp_chat_message_t)
                     + tools * sizeof(sp_chat_tool_t)
                     + sizes->parts * sizeof(sp_chat_part_t)
                     + sizes->calls * sizeof(sp_chat_call_t)
                     + sizes->text);
    if (chat == NULL) {
        return NULL;
    }

    chat->root = root;
    chat->messages = (sp_chat_message_t *) (void *) (chat + 1);
    chat->tools = (sp_chat_tool_t *) (void *) (chat->messages
                                               + sizes->messages);

    room->parts = (sp_chat_part_t *) (void *) (chat->tools + tools);
    room->calls = (sp_chat_call_t *) (void *) (room->parts + sizes->parts);
    room->text = (char *) (room->calls + sizes->calls);

    return chat;
}


const sp_chat_error_t *
sp_chat_read_model(sp_chat_request_t *chat)
{
    const json_t  *model;

    model = sp_chat_member(chat->root, "model");
    if (model == NULL) {
        return NULL;
    }

    if (!json_is_string(model)
        || json_string_length(model) == 0
        || json_string_length(model) > SP_CHAT_MAX_MODEL
        || sp_chat_has_nul(model))
    {
        return &sp_chat_model_invalid;
    }

    chat->model = json_string_value(model);
    chat->model_len = json_string_length(model);

    return NULL;
}


const sp_chat_error_t *
sp_chat_read_metadata(sp_chat_request_t *chat)
{
    const char    *memory;
    const json_t  *metadata, *value;

    metadata = sp_chat_member(chat->root, "metadata");
    if (metadata == NULL) {
        return NULL;
    }

    if (!json_is_object(metadata)) {
        return &sp_chat_metadata_invalid;
    }

    value = sp_chat_member(metadata, "character_id");

    if (value != NULL) {
        if (!sp_chat_is_id(value)) {
            return &sp_chat_character_id_invalid;
        }

        chat->character_id = json_string_value(value);
    }

    value = sp_chat_member(metadata, "chat_id");

    if (value != NULL) {
        if (!sp_chat_is_id(value)) {
            return &sp_chat_chat_id_invalid;
        }

        chat->chat_id = json_string_value(value);
    }

    value = sp_chat_member(metadata, "parent_id");

    if (value != NULL) {
        if (!sp_chat_is_id(value) && !sp_chat_is_root(value)) {
            return &sp_chat_parent_id_invalid;
        }

        chat->parent_id = json_string_value(value);
    }

    value = sp_chat_member(metadata, "memory");

    if (value != NULL) {
        memory = json_string_value(value);

        if (memory == NULL || sp_chat_has_nul(value)) {
            return &sp_chat_memory_invalid;
        }

        if (strcmp(memory, "off") == 0) {
            chat->memory_off = 1;

        } else if (strcmp(memory, "on") != 0) {
            return &sp_chat_memory_invalid;
        }
    }

    return NULL;
}


const json_t *
sp_chat_member(const json_t *object, const char *key)
{
    const json_t  *value;

    value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}


static int
sp_chat_is_id(const json_t *value)
{
    return json_is_string(value)
           && sp_chat_is_uuid(json_string_value(value),
                              json_string_length(value));
}


int
sp_chat_is_uuid(const char *text, size_t len)
{
    char    c;
    size_t  i;

    if (len != 36) {
        return 0;
    }

    for (i = 0; i < 36; i++) {
        c = text[i];

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (c != '-') {
                return 0;
            }

            continue;
        }

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')
              || (c >= 'A' && c <= 'F')))
        {
            return 0;
        }
    }

    return 1;
}


static int
sp_chat_is_root(const json_t *value)
{
    return json_string_length(value) == 4
           && memcmp(json_string_value(value), "root", 4) == 0;
}


int
sp_chat_has_nul(const json_t *value)
{
    return memchr(json_string_value(value), '\0', json_string_length(value))
           != NULL;
}
