
/*
 * Copyright (C) Sallyport authors
 *
 * Blocks of a message that are parts.  Nothing is refused here: who
 * translates judges.
 */


#include <string.h>

#include "sp_anthropic.h"


static void sp_anthropic_parse_source(sp_chat_part_t *part,
    const json_t *source);
static void sp_anthropic_parse_document(sp_chat_part_t *part);
static const json_t *sp_anthropic_get_string(const json_t *object,
    const char *key);


void
sp_anthropic_parse_part(sp_chat_part_t *part, const json_t *value)
{
    const char    *type;
    const json_t  *cache;

    part->value = value;
    part->kind = SP_CHAT_PART_OTHER;

    cache = json_object_get(value, "cache_control");
    part->cache = json_is_object(cache) ? cache : NULL;

    type = json_string_value(json_object_get(value, "type"));

    if (strcmp(type, "text") == 0) {
        part->kind = SP_CHAT_PART_TEXT;
        part->data = sp_anthropic_get_string(value, "text");

    } else if (strcmp(type, "image") == 0) {
        part->kind = SP_CHAT_PART_IMAGE;
        sp_anthropic_parse_source(part, json_object_get(value, "source"));

    } else if (strcmp(type, "document") == 0) {
        sp_anthropic_parse_document(part);

    } else if (strcmp(type, "thinking") == 0) {
        part->kind = SP_CHAT_PART_REASONING;
        part->data = sp_anthropic_get_string(value, "thinking");
        part->signature = sp_anthropic_get_string(value, "signature");

    } else if (strcmp(type, "redacted_thinking") == 0) {
        part->kind = SP_CHAT_PART_REASONING;
        part->signature = sp_anthropic_get_string(value, "data");
    }
}


/* data NULL: of a kind that only this API has */

static void
sp_anthropic_parse_source(sp_chat_part_t *part, const json_t *source)
{
    const char  *type;

    type = json_string_value(json_object_get(source, "type"));

    if (type == NULL) {
        return;
    }

    if (strcmp(type, "base64") == 0) {
        part->media = json_string_value(json_object_get(source,
                                                        "media_type"));
        part->data = (part->media != NULL)
                     ? sp_anthropic_get_string(source, "data") : NULL;

    } else if (strcmp(type, "url") == 0
               && part->kind == SP_CHAT_PART_IMAGE)
    {
        part->data = sp_anthropic_get_string(source, "url");
    }
}


/*
 * One that is plain text is a text; what a model is told of it beside, or
 * should cite it for, has no name elsewhere.
 */

static void
sp_anthropic_parse_document(sp_chat_part_t *part)
{
    const char    *type;
    const json_t  *source, *value;

    value = part->value;
    source = json_object_get(value, "source");

    if (json_is_true(json_object_get(json_object_get(value, "citations"),
                                     "enabled"))
        || json_is_string(json_object_get(value, "context")))
    {
        return;
    }

    type = json_string_value(json_object_get(source, "type"));

    if (type != NULL && strcmp(type, "text") == 0) {

        if (!json_is_string(json_object_get(value, "title"))) {
            part->kind = SP_CHAT_PART_TEXT;
            part->data = sp_anthropic_get_string(source, "data");
        }

        return;
    }

    part->kind = SP_CHAT_PART_FILE;
    part->name = json_string_value(json_object_get(value, "title"));

    sp_anthropic_parse_source(part, source);
}


static const json_t *
sp_anthropic_get_string(const json_t *object, const char *key)
{
    const json_t  *value;

    value = json_object_get(object, key);

    return json_is_string(value) ? value : NULL;
}
