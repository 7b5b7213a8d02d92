
/*
 * Copyright (C) Sallyport authors
 */


#include "sp_gemini.h"


static void sp_gemini_write_path(const sp_call_t *call, sp_out_t *out);
static void sp_gemini_write_headers(const char *key, size_t key_len,
    sp_out_t *out);


const sp_dialect_t  sp_gemini = {
    .name = "gemini",
    .type = "application/json",
    .stream_type = "text/event-stream",
    .reader_size = sizeof(sp_gemini_state_t),
    .eof = 1,
    .hints = 1,

    .write_path = sp_gemini_write_path,
    .write_headers = sp_gemini_write_headers,
    .write_request = sp_gemini_write_request,
    .scan_event = sp_gemini_scan_event,
    .scan_answer = sp_gemini_scan_answer,

    .write_embed = sp_gemini_write_embed,
    .scan_embed = sp_gemini_scan_embed
};


/* without alt=sse a stream is one JSON array */

static void
sp_gemini_write_path(const sp_call_t *call, sp_out_t *out)
{
    sp_out_str(out, "/models/");
    sp_out_segment(out, call->edit->model, call->edit->model_len);

    if (call->chat == NULL) {
        sp_out_str(out, ":batchEmbedContents");

    } else {
        sp_out_str(out, call->stream ? ":streamGenerateContent?alt=sse"
                                     : ":generateContent");
    }
}


/* never as "key=" in the path, which logs have */

static void
sp_gemini_write_headers(const char *key, size_t key_len, sp_out_t *out)
{
    if (key_len != 0) {
        sp_out_str(out, "x-goog-api-key: ");
        sp_out_put(out, key, key_len);
        sp_out_str(out, "\r\n");
    }
}
