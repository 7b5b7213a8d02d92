
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_openai.h"


static void sp_openai_write_path(const sp_call_t *call, sp_out_t *out);
static void sp_openai_write_headers(const char *key, size_t key_len,
    sp_out_t *out);
static const char *sp_openai_error_type(unsigned status);


/* an image, audio, a file */

static const char  *const sp_openai_bulky[] = {
    "url", "data", "file_data", NULL
};


const sp_dialect_t  sp_openai = {
    .name = "openai",
    .type = "application/json",
    .stream_type = "text/event-stream",
    .writer_size = SP_CHAT_MAX_CHOICES,
    .bulky = sp_openai_bulky,
    .images = &sp_openai_images,
    .speech = &sp_openai_speech,
    .transcriptions = &sp_openai_transcriptions,
    .translations = &sp_openai_translations,

    /* with a blank line behind it a client may take it for an event */
    .keepalive = ": ping\n",

    .parse_request = sp_openai_parse_request,
    .write_event = sp_openai_write_event,
    .write_end = sp_openai_write_end,
    .write_extras = sp_openai_write_extras,
    .write_answer = sp_openai_write_answer,
    .write_error = sp_openai_write_error,

    .write_path = sp_openai_write_path,
    .write_headers = sp_openai_write_headers,
    .write_request = sp_openai_write_request,
    .edit_size = sp_openai_edit_size,
    .edit = sp_openai_edit,
    .scan_event = sp_openai_scan_event,
    .scan_answer = sp_openai_scan_answer,

    .write_embed = sp_openai_write_embed,
    .scan_embed = sp_openai_scan_embed
};


static void
sp_openai_write_path(const sp_call_t *call, sp_out_t *out)
{
    sp_out_str(out, call->chat != NULL ? "/chat/completions" : "/embeddings");
}


static void
sp_openai_write_headers(const char *key, size_t key_len, sp_out_t *out)
{
    if (key_len != 0) {
        sp_out_str(out, "Authorization: Bearer ");
        sp_out_put(out, key, key_len);
        sp_out_str(out, "\r\n");
    }
}


/* an SDK raises what stands in "error", in an event as well */

void
sp_openai_write_error(const sp_dialect_error_t *error, sp_out_t *out)
{
    const char  *type;

    type = error->type;

    if (type == NULL) {
        type = error->event ? "upstream_error"
                            : sp_openai_error_type(error->status);
    }

    sp_out_str(out, error->event ? "data: " : "");
    sp_out_str(out, "{\"error\":{\"message\":\"");
    sp_out_text(out, error->message, error->message_len);
    sp_out_str(out, "\",\"type\":\"");
    sp_out_text(out, type, strlen(type));

    if (error->param != NULL) {
        sp_out_str(out, "\",\"param\":\"");
        sp_out_text(out, error->param, strlen(error->param));
        sp_out_str(out, "\",\"code\":\"");

    } else {
        sp_out_str(out, "\",\"param\":null,\"code\":\"");
    }

    sp_out_text(out, error->code, strlen(error->code));

    if (error->event) {
        sp_out_str(out, "\"}}\n\n");
        return;
    }

    sp_out_str(out, "\",\"request_id\":\"");
    sp_out_text(out, error->request_id, error->request_id_len);
    sp_out_str(out, "\"}}\n");
}


static const char *
sp_openai_error_type(unsigned status)
{
    switch (status) {

    case 401:
        return "authentication_error";

    case 403:
        return "permission_error";

    case 429:
        return "rate_limit_error";

    default:
        return (status >= 500) ? "server_error" : "invalid_request_error";
    }
}
