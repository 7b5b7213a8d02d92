
/*
 * Copyright (C) Sallyport authors
 *
 * A request of the Responses API, as a client may send it: it is refused with
 * a code, or becomes messages that can be written for another dialect.  And
 * an answer out of any deltas: each event is strict JSON, within what the
 * writer said it needs, and what the end repeats is what the items said.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sp_json.h"
#include "sp_responses.h"


typedef struct {
    const uint8_t  *data;
    size_t          len;
} fuzz_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_request(const char *text, size_t len);
static void fuzz_answer(const uint8_t *data, size_t size);
static void fuzz_delta(fuzz_t *f, sp_delta_t *delta);
static void fuzz_slice(fuzz_t *f, sp_slice_t *slice);
static void fuzz_events(const char *text, size_t len, int64_t *sequence,
    json_t *items);
static char *fuzz_grow(void *data, char *old, size_t len, size_t size);


static void
fuzz_request(const char *text, size_t len)
{
    json_t             *root;
    size_t              i;
    sp_out_t            out;
    sp_call_t           call;
    sp_chat_edit_t      edit;
    sp_chat_error_t     error;
    sp_json_limits_t    limits;
    sp_chat_request_t  *chat;

    memset(&limits, 0, sizeof(sp_json_limits_t));
    memset(&call, 0, sizeof(sp_call_t));
    limits.bulky = sp_responses.bulky;
    limits.any_number = 1;

    if (sp_json_parse(text, len, &limits, &root, NULL) != SP_JSON_OK) {
        return;
    }

    json_incref(root);

    chat = sp_responses.parse_request(root, &error);

    if (chat == NULL) {
        if (error.code == NULL || error.message == NULL) {
            abort();
        }

        json_decref(root);
        return;
    }

    for (i = 0; i < chat->nmessages; i++) {
        if (chat->messages[i].text[chat->messages[i].len] != '\0') {
            abort();
        }
    }

    memset(&edit, 0, sizeof(sp_chat_edit_t));
    memset(&out, 0, sizeof(sp_out_t));

    edit.anchor = chat->nmessages;
    call.chat = chat;
    call.edit = &edit;
    call.text = text;
    call.len = len;
    call.stream = chat->stream;

    if (sp_openai.write_request(&call, &out, &error) == 0) {
        out.size = out.len;
        out.dst = malloc(out.size);
        out.len = 0;

        (void) sp_openai.write_request(&call, &out, &error);

        json_decref(root);

        limits.depth = 64;

        if (sp_json_parse(out.dst, out.len, &limits, &root, NULL)
            != SP_JSON_OK)
        {
            abort();
        }

        free(out.dst);
    }

    sp_chat_free(chat);
    json_decref(root);
}


/* a first byte says how the writer is set, others what is said */

static void
fuzz_answer(const uint8_t *data, size_t size)
{
    char                  *text;
    fuzz_t                 f;
    json_t                *items;
    size_t                 need;
    int64_t                sequence;
    sp_out_t               out;
    sp_delta_t             delta;
    sp_event_t             usage;
    sp_writer_t            w;
    sp_responses_state_t   st;

    memset(&w, 0, sizeof(sp_writer_t));
    memset(&st, 0, sizeof(sp_responses_state_t));

    w.id = "i";
    w.id_len = 1;
    w.model = "m";
    w.model_len = 1;
    w.state = &st;
    w.grow = fuzz_grow;
    w.late = data[0] & 1;
    w.limit = (data[0] & 2) ? 4096 : 1048576;

    f.data = data + 1;
    f.len = size - 1;
    sequence = 0;
    items = json_object();
    sp_event_init(&usage);

    for ( ;; ) {
        memset(&out, 0, sizeof(sp_out_t));

        if (f.len == 0) {
            need = sp_responses.need(&w, NULL);
            text = malloc(need);
            out.dst = text;
            out.size = need;

            sp_responses.write_end(&w, &usage, &out);

        } else {
            fuzz_delta(&f, &delta);
            need = sp_responses.need(&w, &delta);
            text = malloc(need);
            out.dst = text;
            out.size = need;

            sp_responses.write_event(&w, &delta, &out);
        }

        if (out.len > need || st.len > w.limit) {
            abort();
        }

        fuzz_events(text, out.len, &sequence, items);
        free(text);

        if (f.len == 0) {
            break;
        }
    }

    json_decref(items);
    free(st.text);
    free(st.items);
}


static void
fuzz_delta(fuzz_t *f, sp_delta_t *delta)
{
    uint8_t  c;

    memset(delta, 0, sizeof(sp_delta_t));

    c = *f->data++;
    f->len--;

    delta->kind = (sp_delta_e) (c % 6);
    delta->tool = (c >> 3) & 3;
    delta->choice = (c >> 5) == 7;
    delta->finish = (sp_finish_e) ((c >> 3) % 5);
    delta->text.data = "";
    delta->id.data = "";
    delta->name.data = "";

    fuzz_slice(f, &delta->text);

    if (delta->kind == SP_DELTA_TOOL) {
        fuzz_slice(f, &delta->id);
        fuzz_slice(f, &delta->name);
    }
}


/* the content of a JSON string was checked before */

static void
fuzz_slice(fuzz_t *f, sp_slice_t *slice)
{
    size_t  i, len;

    if (f->len == 0) {
        return;
    }

    len = *f->data++ & 31;
    f->len--;

    if (len > f->len) {
        len = f->len;
    }

    for (i = 0;
         i < len && f->data[i] >= 0x20 && f->data[i] < 0x7f
         && f->data[i] != '\\';
         i++)
    {
        /* void */
    }

    slice->data = (const char *) f->data;
    slice->len = i;

    f->data += len;
    f->len -= len;
}


static void
fuzz_events(const char *text, size_t len, int64_t *sequence, json_t *items)
{
    char             key[32];
    json_t          *event, *output;
    size_t           i;
    sp_sse_t         sse;
    const char      *pos;
    sp_sse_event_t   what;

    memset(&sse, 0, sizeof(sp_sse_t));
    pos = text;

    while (sp_sse_next(&sse, &pos, text + len, &what) == SP_SSE_EVENT) {

        if (sp_json_parse(what.data, what.data_len, NULL, &event, NULL)
            != SP_JSON_OK
            || json_integer_value(json_object_get(event, "sequence_number"))
               != (*sequence)++)
        {
            abort();
        }

        if (json_object_get(event, "item") != NULL) {
            snprintf(key, sizeof(key), "%d",
                     (int) json_integer_value(json_object_get(event,
                                                          "output_index")));
            json_object_set(items, key, json_object_get(event, "item"));
        }

        output = json_object_get(json_object_get(event, "response"),
                                 "output");

        for (i = 0; i < json_array_size(output); i++) {
            snprintf(key, sizeof(key), "%d", (int) i);

            if (!json_equal(json_array_get(output, i),
                            json_object_get(items, key)))
            {
                abort();
            }
        }

        json_decref(event);
    }

    if (pos != text + len) {
        abort();
    }
}


static char *
fuzz_grow(void *data, char *old, size_t len, size_t size)
{
    char  *p;

    p = malloc(size);

    if (len != 0) {
        memcpy(p, old, len);
    }

    free(old);

    return p;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_request((const char *) data, size);

    if (size != 0) {
        fuzz_answer(data, size);
    }

    return 0;
}
