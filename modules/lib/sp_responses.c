
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_responses.h"


static void sp_responses_write_error(const sp_dialect_error_t *error,
    sp_out_t *out);
static void sp_responses_error_begin(const sp_dialect_error_t *error,
    const char *name, unsigned behind, sp_out_t *out);
static void sp_responses_error_members(const sp_dialect_error_t *error,
    sp_out_t *out);


/* an image, a file */

static const char  *const sp_responses_bulky[] = {
    "image_url", "file_data", NULL
};


const sp_dialect_t  sp_responses = {
    .name = "responses",
    .type = "application/json",
    .stream_type = "text/event-stream",
    .messages = "input",
    .writer_size = sizeof(sp_responses_state_t),
    .bulky = sp_responses_bulky,
    .keepalive = ": ping\n",

    .parse_request = sp_responses_parse_request,
    .need = sp_responses_need,
    .write_event = sp_responses_write_event,
    .write_end = sp_responses_write_end,
    .write_extras = sp_responses_write_extras,
    .write_answer = sp_responses_write_answer,
    .write_error = sp_responses_write_error
};


/*
 * In a stream SDKs raise what the first event holds, and other clients wait
 * for the second one
 */

static void
sp_responses_write_error(const sp_dialect_error_t *error, sp_out_t *out)
{
    if (!error->event) {
        sp_openai.write_error(error, out);
        return;
    }

    sp_responses_error_begin(error, "error", 0, out);
    sp_out_str(out, ",");
    sp_responses_error_members(error, out);
    sp_out_str(out, ",\"error\":{\"type\":\"server_error\",");
    sp_responses_error_members(error, out);
    sp_out_str(out, "}}\n\n");

    sp_responses_error_begin(error, "response.failed", 1, out);
    sp_out_str(out, ",\"response\":");

    if (error->writer != NULL && error->writer->id != NULL) {
        sp_responses_open(error->writer, "failed", out);

    } else {
        sp_out_str(out, "{\"object\":\"response\",\"status\":\"failed\"");
    }

    sp_out_str(out, ",\"error\":{");
    sp_responses_error_members(error, out);
    sp_out_str(out, "},\"incomplete_details\":null,\"output\":[],"
                    "\"usage\":null}}\n\n");
}


static void
sp_responses_error_begin(const sp_dialect_error_t *error, const char *name,
    unsigned behind, sp_out_t *out)
{
    const sp_responses_state_t  *st;

    st = (error->writer != NULL) ? error->writer->state : NULL;

    sp_out_str(out, "event: ");
    sp_out_str(out, name);
    sp_out_str(out, "\ndata: {\"type\":\"");
    sp_out_str(out, name);
    sp_out_str(out, "\",\"sequence_number\":");
    sp_out_integer(out, (st != NULL ? st->sequence : 0) + behind);
}


static void
sp_responses_error_members(const sp_dialect_error_t *error, sp_out_t *out)
{
    sp_out_str(out, "\"code\":\"");
    sp_out_text(out, error->code, strlen(error->code));
    sp_out_str(out, "\",\"message\":\"");
    sp_out_text(out, error->message, error->message_len);
    sp_out_str(out, "\",\"param\":");

    if (error->param != NULL) {
        sp_out_str(out, "\"");
        sp_out_text(out, error->param, strlen(error->param));
        sp_out_str(out, "\"");

    } else {
        sp_out_str(out, "null");
    }
}
