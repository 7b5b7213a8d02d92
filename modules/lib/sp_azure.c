
/*
 * Copyright (C) Sallyport authors
 *
 * Azure OpenAI: OpenAI's requests and answers at other paths, with another
 * header for the key.  With a version of the API a model is a deployment and
 * stands in the path; without one it is the v1 API, where it stands in the
 * body as everywhere.
 */


#include "sp_openai.h"


static void sp_azure_write_path(const sp_call_t *call, sp_out_t *out);
static void sp_azure_write_headers(const char *key, size_t key_len,
    sp_out_t *out);


const sp_dialect_t  sp_azure = {
    .name = "azure",
    .type = "application/json",
    .stream_type = "text/event-stream",
    .like = &sp_openai,
    .versions = 1,

    .write_path = sp_azure_write_path,
    .write_headers = sp_azure_write_headers,
    .write_request = sp_openai_write_request,
    .edit_size = sp_openai_edit_size,
    .edit = sp_openai_edit,
    .scan_event = sp_openai_scan_event,
    .scan_answer = sp_openai_scan_answer,

    .write_embed = sp_openai_write_embed,
    .scan_embed = sp_openai_scan_embed
};


static void
sp_azure_write_path(const sp_call_t *call, sp_out_t *out)
{
    const sp_dialect_options_t  *options;

    options = call->options;

    if (options == NULL || options->api_version_len == 0) {
        sp_out_str(out, "/openai/v1");
        sp_openai.write_path(call, out);

        return;
    }

    sp_out_str(out, "/openai/deployments/");
    sp_out_segment(out, call->edit->model, call->edit->model_len);
    sp_openai.write_path(call, out);
    sp_out_str(out, "?api-version=");
    sp_out_segment(out, options->api_version, options->api_version_len);
}


static void
sp_azure_write_headers(const char *key, size_t key_len, sp_out_t *out)
{
    if (key_len != 0) {
        sp_out_str(out, "api-key: ");
        sp_out_put(out, key, key_len);
        sp_out_str(out, "\r\n");
    }
}
