
/*
 * Copyright (C) Sallyport authors
 *
 * Images, audio and files of a message: bytes go as inlineData, what the
 * provider is to fetch as fileData.
 */


#include <string.h>
#include <strings.h>

#include "sp_gemini.h"
#include "sp_json.h"


/* a string of the request, perhaps left in its text */

typedef struct {
    const char    *head;       /* decoded; of a long one only its begin */
    const char    *data;
    size_t         len;
    unsigned       raw:1;      /* data has escapes */
} sp_gemini_string_t;


static const sp_chat_error_t  sp_gemini_image_invalid =
    { "unsupported_content", "messages",
      "an image must be a data URL in base64, or a URL that begins with "
      "https://, http:// or gs://" };

static const sp_chat_error_t  sp_gemini_audio_invalid =
    { "unsupported_content", "messages",
      "audio must have \"data\" in base64 and a \"format\"" };

static const sp_chat_error_t  sp_gemini_file_unknown =
    { "unsupported_content", "messages",
      "a file must have \"file_data\", or a URI as its \"file_id\": the "
      "provider of this model has no other files" };

static const sp_chat_error_t  sp_gemini_file_invalid =
    { "unsupported_content", "messages",
      "a file must be a data URL, or have a \"filename\" that tells its "
      "type, as .pdf does" };

static const sp_chat_error_t  sp_gemini_url_invalid =
    { "unsupported_content", "messages",
      "a data URL must name its type and be in base64: "
      "data:image/png;base64,..." };

static const sp_chat_error_t  sp_gemini_url_comma =
    { "unsupported_content", "messages",
      "a data URL has no plain comma before its data" };


static int sp_gemini_write_image(sp_gemini_sender_t *s,
    const sp_chat_part_t *part);
static int sp_gemini_write_audio(sp_gemini_sender_t *s,
    const sp_chat_part_t *part);
static int sp_gemini_write_file(sp_gemini_sender_t *s,
    const sp_chat_part_t *part);
static int sp_gemini_write_data_url(sp_gemini_sender_t *s,
    const sp_gemini_string_t *url);
static int sp_gemini_write_uri(sp_gemini_sender_t *s, const char *uri);
static void sp_gemini_write_inline(sp_gemini_sender_t *s, const char *type,
    size_t type_len, const char *subtype, const sp_gemini_string_t *data);
static void sp_gemini_get(const sp_gemini_sender_t *s, const json_t *value,
    sp_gemini_string_t *string);
static const char *sp_gemini_type(const char *name, size_t len);


int
sp_gemini_write_media(sp_gemini_sender_t *s, const sp_chat_part_t *part)
{
    switch (part->kind) {

    case SP_CHAT_PART_IMAGE:
        return sp_gemini_write_image(s, part);

    case SP_CHAT_PART_AUDIO:
        return sp_gemini_write_audio(s, part);

    default: /* SP_CHAT_PART_FILE */
        return sp_gemini_write_file(s, part);
    }
}


static int
sp_gemini_write_image(sp_gemini_sender_t *s, const sp_chat_part_t *part)
{
    sp_gemini_string_t  url;

    if (part->data != NULL) {
        sp_gemini_get(s, part->data, &url);

        if (part->media != NULL) {
            sp_gemini_write_inline(s, part->media, strlen(part->media), "",
                                   &url);
            return 0;
        }

        if (strncmp(url.head, "data:", 5) == 0) {
            return sp_gemini_write_data_url(s, &url);
        }

        if (!url.raw && sp_gemini_write_uri(s, url.head) == 0) {
            return 0;
        }
    }

    return sp_gemini_refuse(s, &sp_gemini_image_invalid);
}


static int
sp_gemini_write_audio(sp_gemini_sender_t *s, const sp_chat_part_t *part)
{
    sp_gemini_string_t  data;

    if (part->data == NULL || part->format == NULL) {
        return sp_gemini_refuse(s, &sp_gemini_audio_invalid);
    }

    sp_gemini_get(s, part->data, &data);
    sp_gemini_write_inline(s, "audio/", 6, part->format, &data);

    return 0;
}


static int
sp_gemini_write_file(sp_gemini_sender_t *s, const sp_chat_part_t *part)
{
    const char          *type;
    sp_gemini_string_t   data;

    if (part->data == NULL) {

        if (part->id != NULL && sp_gemini_write_uri(s, part->id) == 0) {
            return 0;
        }

        return sp_gemini_refuse(s, &sp_gemini_file_unknown);
    }

    sp_gemini_get(s, part->data, &data);

    if (strncmp(data.head, "data:", 5) == 0) {
        return sp_gemini_write_data_url(s, &data);
    }

    type = (part->media != NULL) ? part->media
           : (part->name != NULL)
           ? sp_gemini_type(part->name, strlen(part->name)) : NULL;

    if (type == NULL) {
        return sp_gemini_refuse(s, &sp_gemini_file_invalid);
    }

    sp_gemini_write_inline(s, type, strlen(type), "", &data);

    return 0;
}


/* RFC 2397: data:TYPE[;NAME=VALUE];base64,DATA */

static int
sp_gemini_write_data_url(sp_gemini_sender_t *s, const sp_gemini_string_t *url)
{
    size_t               len;
    const char          *comma, *type;
    sp_gemini_string_t   data;

    type = url->head + 5;
    comma = strchr(type, ',');

    len = strcspn(type, ";,");

    if (comma == NULL || comma - type < 7
        || strncasecmp(comma - 7, ";base64", 7) != 0 || len == 0)
    {
        return sp_gemini_refuse(s, &sp_gemini_url_invalid);
    }

    /* in the text of the request the head may have been written otherwise */

    data = *url;
    data.data = memchr(url->data, ',', url->len);

    if (data.data == NULL) {
        return sp_gemini_refuse(s, &sp_gemini_url_comma);
    }

    data.data++;
    data.len = url->len - (size_t) (data.data - url->data);

    sp_gemini_write_inline(s, type, len, "", &data);

    return 0;
}


static int
sp_gemini_write_uri(sp_gemini_sender_t *s, const char *uri)
{
    const char  *type;

    if (strncmp(uri, "https://", 8) != 0 && strncmp(uri, "http://", 7) != 0
        && strncmp(uri, "gs://", 5) != 0)
    {
        return -1;
    }

    type = sp_gemini_type(uri, strcspn(uri, "?#"));

    sp_out_str(s->out, "{\"fileData\":{");

    if (type != NULL) {
        sp_out_str(s->out, "\"mimeType\":\"");
        sp_out_str(s->out, type);
        sp_out_str(s->out, "\",");
    }

    sp_out_str(s->out, "\"fileUri\":\"");
    sp_out_text(s->out, uri, strlen(uri));
    sp_out_str(s->out, "\"}}");

    return 0;
}


static void
sp_gemini_write_inline(sp_gemini_sender_t *s, const char *type,
    size_t type_len, const char *subtype, const sp_gemini_string_t *data)
{
    sp_out_str(s->out, "{\"inlineData\":{\"mimeType\":\"");
    sp_out_text(s->out, type, type_len);
    sp_out_text(s->out, subtype, strlen(subtype));
    sp_out_str(s->out, "\",\"data\":\"");

    if (data->raw) {
        sp_out_put(s->out, data->data, data->len);

    } else {
        sp_out_text(s->out, data->data, data->len);
    }

    sp_out_str(s->out, "\"}}");
}


static void
sp_gemini_get(const sp_gemini_sender_t *s, const json_t *value,
    sp_gemini_string_t *string)
{
    size_t  len, offset;

    string->head = json_string_value(value);

    if (sp_json_bulk(value, &offset, &len)) {
        string->data = s->call->text + offset;
        string->len = len;
        string->raw = 1;

    } else {
        string->data = string->head;
        string->len = json_string_length(value);
        string->raw = 0;
    }
}


/* by the end of a name; NULL: it tells nothing */

static const char *
sp_gemini_type(const char *name, size_t len)
{
    size_t  i, n;

    static const struct {
        const char  *end;
        const char  *type;
    } types[] = {
        { ".pdf", "application/pdf" },
        { ".png", "image/png" },
        { ".jpg", "image/jpeg" },
        { ".jpeg", "image/jpeg" },
        { ".webp", "image/webp" },
        { ".heic", "image/heic" },
        { ".heif", "image/heif" },
        { ".txt", "text/plain" },
        { ".md", "text/markdown" },
        { ".csv", "text/csv" },
        { ".html", "text/html" },
        { ".xml", "text/xml" },
        { ".json", "application/json" },
        { ".mp3", "audio/mp3" },
        { ".wav", "audio/wav" },
        { ".mp4", "video/mp4" }
    };

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        n = strlen(types[i].end);

        if (len > n && strncasecmp(name + len - n, types[i].end, n) == 0) {
            return types[i].type;
        }
    }

    return NULL;
}
