
/*
 * Copyright (C) Sallyport authors
 *
 * Parts of a message as blocks of one.
 */


#include <string.h>

#include "sp_anthropic.h"
#include "sp_json.h"


/* a data URL is looked at up to its comma */
#define SP_ANTHROPIC_MEDIA  128


/* the string of a part: a text, or the content of JSON text */
typedef struct {
    const char   *data;
    size_t        len;
    unsigned      content:1;
} sp_anthropic_string_t;


static const sp_chat_error_t  sp_anthropic_part_unsupported =
    { "unsupported_content", "messages",
      "a part of a message is of a type that the model of this request does "
      "not take" };


static void sp_anthropic_send_string(sp_anthropic_sender_t *s,
    const char *name, const json_t *value);
static int sp_anthropic_send_reasoning(sp_anthropic_sender_t *s,
    const sp_chat_part_t *part);
static int sp_anthropic_send_source(sp_anthropic_sender_t *s,
    const sp_chat_part_t *part);
static void sp_anthropic_send_base64(sp_anthropic_sender_t *s,
    const char *media, size_t media_len, const sp_anthropic_string_t *string);
static int sp_anthropic_data_url(sp_anthropic_string_t *string, char *media,
    size_t *media_len);
static void sp_anthropic_get_data(sp_anthropic_sender_t *s,
    const json_t *data, sp_anthropic_string_t *string);
static int sp_anthropic_send_put(const char *text, size_t len, void *data);


int
sp_anthropic_send_part(sp_anthropic_sender_t *s, const sp_chat_part_t *part)
{
    if (part->kind == SP_CHAT_PART_REASONING) {
        return sp_anthropic_send_reasoning(s, part);
    }

    if (part->data == NULL) {
        return sp_anthropic_refuse(s, &sp_anthropic_part_unsupported);
    }

    sp_out_str(s->out, s->blocks++ != 0 ? "," : "");

    switch (part->kind) {

    case SP_CHAT_PART_TEXT:
    case SP_CHAT_PART_REFUSAL:
        sp_out_str(s->out, "{\"type\":\"text\"");
        sp_anthropic_send_string(s, "text", part->data);
        break;

    case SP_CHAT_PART_IMAGE:
        sp_out_str(s->out, "{\"type\":\"image\",\"source\":");

        if (sp_anthropic_send_source(s, part) != 0) {
            return -1;
        }

        break;

    case SP_CHAT_PART_FILE:
        sp_out_str(s->out, "{\"type\":\"document\",\"source\":");

        if (sp_anthropic_send_source(s, part) != 0) {
            return -1;
        }

        if (part->name != NULL) {
            sp_out_str(s->out, ",\"title\":\"");
            sp_out_text(s->out, part->name, strlen(part->name));
            sp_out_str(s->out, "\"");
        }

        break;

    default: /* SP_CHAT_PART_AUDIO, SP_CHAT_PART_OTHER */
        return sp_anthropic_refuse(s, &sp_anthropic_part_unsupported);
    }

    sp_anthropic_send_cache(s, part->cache);
    sp_out_str(s->out, "}");

    return 0;
}


static int
sp_anthropic_send_reasoning(sp_anthropic_sender_t *s,
    const sp_chat_part_t *part)
{
    sp_out_str(s->out, s->blocks++ != 0 ? "," : "");

    if (part->data == NULL) {
        sp_out_str(s->out, "{\"type\":\"redacted_thinking\"");
        sp_anthropic_send_string(s, "data", part->signature);

    } else {
        sp_out_str(s->out, "{\"type\":\"thinking\"");
        sp_anthropic_send_string(s, "thinking", part->data);
        sp_anthropic_send_string(s, "signature", part->signature);
    }

    sp_out_str(s->out, "}");

    return 0;
}


static void
sp_anthropic_send_string(sp_anthropic_sender_t *s, const char *name,
    const json_t *value)
{
    sp_out_str(s->out, ",\"");
    sp_out_str(s->out, name);
    sp_out_str(s->out, "\":\"");
    sp_out_text(s->out, json_string_value(value), json_string_length(value));
    sp_out_str(s->out, "\"");
}


/* an address, or base64 with its type; of a file that says none, a PDF's */

static int
sp_anthropic_send_source(sp_anthropic_sender_t *s,
    const sp_chat_part_t *part)
{
    char                    media[SP_ANTHROPIC_MEDIA];
    size_t                  len;
    sp_anthropic_string_t   string;

    static const char  pdf[] = "application/pdf";

    sp_anthropic_get_data(s, part->data, &string);

    if (part->media != NULL) {
        sp_anthropic_send_base64(s, part->media, strlen(part->media),
                                 &string);
        return 0;
    }

    if (string.len >= 5 && memcmp(string.data, "data:", 5) == 0) {

        if (sp_anthropic_data_url(&string, media, &len) != 0) {
            return sp_anthropic_refuse(s, &sp_anthropic_part_unsupported);
        }

        sp_anthropic_send_base64(s, media, len, &string);

    } else if (part->kind == SP_CHAT_PART_FILE) {
        sp_anthropic_send_base64(s, pdf, sizeof(pdf) - 1, &string);

    } else {
        sp_out_str(s->out, "{\"type\":\"url\"");
        sp_anthropic_send_string(s, "url", part->data);
        sp_out_str(s->out, "}");
    }

    return 0;
}


static void
sp_anthropic_send_base64(sp_anthropic_sender_t *s, const char *media,
    size_t media_len, const sp_anthropic_string_t *string)
{
    sp_out_str(s->out, "{\"type\":\"base64\",\"media_type\":\"");
    sp_out_text(s->out, media, media_len);
    sp_out_str(s->out, "\",\"data\":\"");

    if (string->content) {
        sp_out_content(s->out, string->data, string->len);

    } else {
        sp_out_text(s->out, string->data, string->len);
    }

    sp_out_str(s->out, "\"}");
}


/*
 * data:image/png;base64,iVBOR...: the type is cut off.  -1: it is not base64,
 * or has no type.
 */

static int
sp_anthropic_data_url(sp_anthropic_string_t *string, char *media,
    size_t *media_len)
{
    size_t       len;
    const char  *comma, *end, *p;

    static const char  base64[] = ";base64";

    len = (string->len < SP_ANTHROPIC_MEDIA) ? string->len
                                             : SP_ANTHROPIC_MEDIA;
    p = string->data + 5;
    comma = memchr(string->data, ',', len);

    if (comma == NULL || comma - p < (ptrdiff_t) sizeof(base64)) {
        return -1;
    }

    end = comma - (sizeof(base64) - 1);

    if (memcmp(end, base64, sizeof(base64) - 1) != 0) {
        return -1;
    }

    *media_len = string->content
                 ? sp_json_unescape(media, SP_ANTHROPIC_MEDIA, p,
                                    (size_t) (end - p))
                 : (size_t) (end - p);

    if (!string->content) {
        memcpy(media, p, *media_len);
    }

    /* of parameters, image/png;name=x.png for one, there is no place */

    end = memchr(media, ';', *media_len);

    if (end != NULL) {
        *media_len = (size_t) (end - media);
    }

    comma++;

    string->len -= (size_t) (comma - string->data);
    string->data = comma;

    return 0;
}


/* a string that is long may only be in the text of the request */

static void
sp_anthropic_get_data(sp_anthropic_sender_t *s, const json_t *data,
    sp_anthropic_string_t *string)
{
    size_t  offset;

    string->content = sp_json_bulk(data, &offset, &string->len) ? 1 : 0;

    if (string->content) {
        string->data = s->call->text + offset;

    } else {
        string->data = json_string_value(data);
        string->len = json_string_length(data);
    }
}


void
sp_anthropic_send_cache(sp_anthropic_sender_t *s, const json_t *cache)
{
    if (cache != NULL) {
        sp_out_str(s->out, ",\"cache_control\":");
        sp_anthropic_send_json(s, cache);
    }
}


void
sp_anthropic_send_json(sp_anthropic_sender_t *s, const json_t *value)
{
    (void) json_dump_callback(value, sp_anthropic_send_put, s->out,
                              JSON_COMPACT|JSON_ENCODE_ANY);
}


static int
sp_anthropic_send_put(const char *text, size_t len, void *data)
{
    sp_out_put(data, text, len);

    return 0;
}
