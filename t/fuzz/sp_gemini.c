
/*
 * Copyright (C) Sallyport authors
 *
 * The first byte tells what the rest is.  An answer, or events of one with a
 * line feed between them: whatever they say can be written for a client.  Or
 * a request of OpenAI's: what is written of it is strict JSON, as long as it
 * was measured.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "sp_call_id.h"
#include "sp_dialect.h"
#include "sp_json.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_answer(const char *p, size_t len);
static void fuzz_stream(const char *p, size_t len);
static int fuzz_write(void *data, const sp_delta_t *delta);
static void fuzz_request(const char *p, size_t len, int old);
static int fuzz_vector(void *data, size_t index, const json_t *vector);


static void
fuzz_answer(const char *p, size_t len)
{
    int          rc;
    json_t      *root;
    sp_event_t   event;

    rc = sp_gemini.scan_answer(p, len, NULL, NULL, &event);

    if (sp_gemini.scan_answer(p, len, fuzz_write, NULL, &event) != rc) {
        abort();
    }

    /* the scanner takes what it skips less strictly, never more so */

    if (rc != 0 && sp_json_parse(p, len, NULL, &root, NULL) == SP_JSON_OK) {

        /* but a number of a candidate, or a call, may be none */

        if (json_is_object(root)
            && json_object_get(root, "candidates") == NULL)
        {
            abort();
        }

        json_decref(root);
    }

    (void) sp_gemini.scan_embed(p, len, fuzz_vector, NULL, &event);
}


static void
fuzz_stream(const char *p, size_t len)
{
    void            *state;
    sp_event_t       event, totals;
    const char      *end, *last;
    sp_sse_event_t   sse;

    state = calloc(1, sp_gemini.reader_size);
    last = p + len;

    sp_event_init(&totals);
    memset(&sse, 0, sizeof(sp_sse_event_t));

    while (p < last) {
        end = memchr(p, '\n', (size_t) (last - p));

        if (end == NULL) {
            end = last;
        }

        sse.data = p;
        sse.data_len = (size_t) (end - p);

        if (sp_gemini.scan_event(state, &sse, fuzz_write, NULL, &event) == 0)
        {
            if (event.prompt_tokens < -1 || event.completion_tokens < -1
                || event.reasoning_tokens < -1
                || event.reasoning_tokens > event.completion_tokens)
            {
                abort();
            }

            sp_event_merge(&totals, &event);
        }

        p = (end < last) ? end + 1 : last;
    }

    free(state);
}


static int
fuzz_write(void *data, const sp_delta_t *delta)
{
    char         id[SP_CALL_ID_SIZE], state[SP_CHAT_MAX_CHOICES];
    sp_out_t     out;
    sp_delta_t   said;
    sp_event_t   usage;
    sp_writer_t  w;

    memset(&w, 0, sizeof(sp_writer_t));
    memset(state, 0, sizeof(state));

    w.id = "i";
    w.id_len = 1;
    w.model = "m";
    w.model_len = 1;
    w.state = state;

    said = *delta;

    if (said.choice >= SP_CHAT_MAX_CHOICES
        || said.no_id != (said.kind == SP_DELTA_TOOL && said.id.len == 0))
    {
        abort();
    }

    if (said.no_id) {
        said.id.data = id;
        said.id.len = sp_call_id(id, "0", 1, said.choice, said.tool);
    }

    out.size = SP_DIALECT_EVENT + 6 * (said.text.len + said.id.len
                                       + said.name.len + said.signature.len);
    out.dst = malloc(out.size);
    out.len = 0;

    sp_openai.write_event(&w, &said, &out);

    if (out.len > out.size
        || (out.len != 0
            && (memchr(out.dst, '\n', out.len) != out.dst + out.len - 2
                || sp_openai.scan_answer(out.dst + 6, out.len - 8, NULL,
                                         NULL, &usage)
                   != 0)))
    {
        abort();
    }

    free(out.dst);

    return 0;
}


static void
fuzz_request(const char *p, size_t len, int old)
{
    json_t             *root;
    sp_out_t            out;
    sp_call_t           call;
    sp_chat_edit_t      edit;
    sp_chat_error_t     error;
    sp_json_limits_t    limits;
    sp_chat_request_t  *chat;

    memset(&limits, 0, sizeof(sp_json_limits_t));
    memset(&call, 0, sizeof(sp_call_t));
    memset(&edit, 0, sizeof(sp_chat_edit_t));
    memset(&out, 0, sizeof(sp_out_t));

    limits.any_number = 1;

    if (sp_json_parse(p, len, &limits, &root, NULL) != SP_JSON_OK) {
        return;
    }

    chat = sp_openai.parse_request(root, &error);

    if (chat == NULL) {
        return;
    }

    edit.model = old ? "gemini-2.5-flash" : "gemini-3-pro";
    edit.model_len = strlen(edit.model);
    edit.anchor = chat->last_user;

    call.chat = chat;
    call.edit = &edit;
    call.text = p;
    call.len = len;

    if (sp_gemini.write_request(&call, &out, &error) != 0) {

        if (error.code == NULL || error.message == NULL) {
            abort();
        }

        sp_chat_free(chat);
        return;
    }

    out.size = out.len;
    out.dst = malloc(out.size);
    out.len = 0;

    /* arguments lie as deep as they did in a text of their own */

    limits.depth = 60;

    if (sp_gemini.write_request(&call, &out, &error) != 0
        || out.len != out.size
        || sp_json_parse(out.dst, out.len, &limits, &root, NULL)
           != SP_JSON_OK)
    {
        abort();
    }

    json_decref(root);
    free(out.dst);
    sp_chat_free(chat);
}


static int
fuzz_vector(void *data, size_t index, const json_t *vector)
{
    if (!json_is_array(vector)) {
        abort();
    }

    return 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char  *p;

    if (size == 0) {
        return 0;
    }

    p = (const char *) data + 1;
    size--;

    switch (data[0]) {

    case 'a':
        fuzz_answer(p, size);
        break;

    case 's':
        fuzz_stream(p, size);
        break;

    default:
        fuzz_request(p, size, data[0] & 1);
    }

    return 0;
}
