
/*
 * Copyright (C) Sallyport authors
 *
 * What the strict parser accepts as an object the scanner accepts as well,
 * with the same text.  Whatever it says can be written: one event for each
 * thing that is said, and a whole answer, as strict JSON.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "sp_dialect.h"
#include "sp_json.h"
#include "sp_utf8.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int fuzz_sink(void *data, const sp_delta_t *delta);
static void fuzz_compare(const json_t *root, const sp_slice_t *slice);
static int fuzz_write(void *data, const sp_delta_t *delta);
static int fuzz_vector(void *data, size_t index, const json_t *vector);
static void fuzz_check(const char *text, size_t len, int strict);


static int
fuzz_sink(void *data, const sp_delta_t *delta)
{
    if (delta->choice == 0 && delta->kind == SP_DELTA_TEXT) {
        *(sp_slice_t *) data = delta->text;
    }

    return 0;
}


/* data: 1 when what was scanned is strict JSON */

static int
fuzz_write(void *data, const sp_delta_t *delta)
{
    char         state[SP_CHAT_MAX_CHOICES];
    sp_out_t     out;
    sp_event_t   usage;
    sp_writer_t  w;

    memset(&w, 0, sizeof(sp_writer_t));
    memset(&usage, 0, sizeof(sp_event_t));
    memset(state, 0, sizeof(state));

    w.id = "i";
    w.id_len = 1;
    w.model = "m";
    w.model_len = 1;
    w.state = state;

    out.size = SP_DIALECT_EVENT + 6 * (delta->text.len + delta->id.len
                                       + delta->name.len);
    out.dst = malloc(out.size);
    out.len = 0;

    sp_openai.write_event(&w, delta, &out);

    if (out.len > out.size) {
        abort();
    }

    if (out.len != 0) {
        if (memcmp(out.dst, "data: ", 6) != 0
            || memcmp(out.dst + out.len - 2, "\n\n", 2) != 0
            || memchr(out.dst, '\r', out.len) != NULL
            || memchr(out.dst, '\n', out.len) != out.dst + out.len - 2)
        {
            abort();
        }

        fuzz_check(out.dst + 6, out.len - 8, *(int *) data);
    }

    free(out.dst);

    memset(&out, 0, sizeof(sp_out_t));
    sp_openai.write_answer(&w, delta, 1, &usage, &out);

    out.size = out.len;
    out.dst = malloc(out.size);
    out.len = 0;

    sp_openai.write_answer(&w, delta, 1, &usage, &out);
    fuzz_check(out.dst, out.len, *(int *) data);

    free(out.dst);

    return 0;
}


static void
fuzz_check(const char *text, size_t len, int strict)
{
    json_t      *root;
    sp_event_t   event;

    if (sp_openai.scan_answer(text, len, NULL, NULL, &event) != 0) {
        abort();
    }

    if (strict && sp_json_parse(text, len, NULL, &root, NULL) != SP_JSON_OK) {
        abort();
    }

    if (strict) {
        json_decref(root);
    }
}


static void
fuzz_compare(const json_t *root, const sp_slice_t *slice)
{
    char          *text;
    size_t         n;
    const json_t  *choice, *content;

    choice = json_array_get(json_object_get(root, "choices"), 0);

    if (json_object_get(choice, "index") != NULL
        || json_object_get(choice, "message") != NULL
        || json_array_size(json_object_get(root, "choices")) != 1)
    {
        return;
    }

    content = json_object_get(json_object_get(choice, "delta"), "content");

    if (!json_is_string(content)) {
        return;
    }

    text = malloc(slice->len * 3 + 1);
    n = sp_json_unescape(text, slice->len * 3, slice->data, slice->len);

    if (n != json_string_length(content)
        || memcmp(text, json_string_value(content), n) != 0)
    {
        abort();
    }

    free(text);
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
    int          rc, strict;
    char         text[64];
    size_t       n;
    json_t      *root;
    sp_slice_t   slice;
    sp_event_t   event;
    const char  *p;

    p = (const char *) data;

    /* an empty text is not said */

    slice.data = "";
    slice.len = 0;

    rc = sp_openai.scan_answer(p, size, fuzz_sink, &slice, &event);

    strict = (sp_json_parse(p, size, NULL, &root, NULL) == SP_JSON_OK
              && json_is_object(root));

    if (strict) {

        /* the scanner takes what it skips less strictly, never more so */

        if (rc == 0) {
            fuzz_compare(root, &slice);

        } else {
            abort();
        }
    }

    json_decref(root);

    (void) sp_openai.scan_answer(p, size, fuzz_write, &strict, &event);

    (void) sp_openai.scan_embed(p, size, fuzz_vector, NULL, &event);

    n = sp_json_unescape(text, sizeof(text), p, size);

    if (n > sizeof(text) || sp_utf8_valid(text, n) != n) {
        abort();
    }

    n = sp_json_unescape_half(p, size);

    if (n > size
        || (n != 0
            && (sp_json_unescape(text, sizeof(text), p + size - n, n) != 3
                || memcmp(text, "\xef\xbf\xbd", 3) != 0)))
    {
        abort();
    }

    return 0;
}
