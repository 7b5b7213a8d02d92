
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_anthropic.h"


static void sp_anthropic_write_path(const sp_call_t *call, sp_out_t *out);
static void sp_anthropic_write_headers(const char *key, size_t key_len,
    sp_out_t *out);
static void sp_anthropic_write_error(const sp_dialect_error_t *error,
    sp_out_t *out);
static const char *sp_anthropic_error_type(unsigned status);


/* what a client's bytes mean, and what it asks for beside the stable API */

static const char  *const sp_anthropic_headers[] = {
    "anthropic-version", "anthropic-beta", NULL
};


/*
 * Nothing is bulky: arguments of a call are an object here, whose members may
 * have any name and are judged, and sent, whole.
 */

const sp_dialect_t  sp_anthropic = {
    .name = "anthropic",
    .type = "application/json",
    .stream_type = "text/event-stream",
    .reader_size = sizeof(sp_anthropic_reader_t),
    .writer_size = sizeof(sp_anthropic_writer_t),
    .max_tokens = 4096,
    .headers = sp_anthropic_headers,

    .parse_request = sp_anthropic_parse_request,
    .write_event = sp_anthropic_write_event,
    .write_end = sp_anthropic_write_end,
    .write_extras = sp_anthropic_write_extras,
    .write_answer = sp_anthropic_write_answer,
    .write_error = sp_anthropic_write_error,

    .write_path = sp_anthropic_write_path,
    .write_headers = sp_anthropic_write_headers,
    .write_request = sp_anthropic_write_request,
    .edit_size = sp_anthropic_edit_size,
    .edit = sp_anthropic_edit,
    .scan_event = sp_anthropic_scan_event,
    .scan_answer = sp_anthropic_scan_answer
};


static void
sp_anthropic_write_path(const sp_call_t *call, sp_out_t *out)
{
    sp_out_str(out, "/messages");
}


static void
sp_anthropic_write_headers(const char *key, size_t key_len, sp_out_t *out)
{
    if (key_len != 0) {
        sp_out_str(out, "x-api-key: ");
        sp_out_put(out, key, key_len);
        sp_out_str(out, "\r\n");
    }

    sp_out_str(out, "anthropic-version: 2023-06-01\r\n");
}


/* code and param are more than the API has: its SDKs show what they get */

static void
sp_anthropic_write_error(const sp_dialect_error_t *error, sp_out_t *out)
{
    const char  *type;

    type = (error->type != NULL) ? error->type
                                 : sp_anthropic_error_type(error->status);

    sp_out_str(out, error->event ? "event: error\ndata: " : "");
    sp_out_str(out, "{\"type\":\"error\",\"error\":{\"type\":\"");
    sp_out_text(out, type, strlen(type));
    sp_out_str(out, "\",\"message\":\"");
    sp_out_text(out, error->message, error->message_len);
    sp_out_str(out, "\",\"code\":\"");
    sp_out_text(out, error->code, strlen(error->code));

    if (error->param != NULL) {
        sp_out_str(out, "\",\"param\":\"");
        sp_out_text(out, error->param, strlen(error->param));
    }

    if (error->event) {
        sp_out_str(out, "\"}}\n\n");
        return;
    }

    sp_out_str(out, "\"},\"request_id\":\"");
    sp_out_text(out, error->request_id, error->request_id_len);
    sp_out_str(out, "\"}\n");
}


static const char *
sp_anthropic_error_type(unsigned status)
{
    size_t  i;

    static const struct {
        unsigned      status;
        const char   *type;
    } types[] = {
        { 401, "authentication_error" },
        { 402, "billing_error" },
        { 403, "permission_error" },
        { 404, "not_found_error" },
        { 408, "timeout_error" },
        { 413, "request_too_large" },
        { 429, "rate_limit_error" },
        { 503, "overloaded_error" },
        { 504, "timeout_error" },
        { 529, "overloaded_error" }
    };

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (types[i].status == status) {
            return types[i].type;
        }
    }

    return (status >= 500) ? "api_error" : "invalid_request_error";
}
