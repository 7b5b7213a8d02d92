
/*
 * Copyright (C) Sallyport authors
 *
 * What the strict parser accepts as an object the scanner accepts as well,
 * with the same text.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "sp_chunk.h"
#include "sp_json.h"
#include "sp_utf8.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_compare(const json_t *root, const sp_chunk_t *chunk);


static void
fuzz_compare(const json_t *root, const sp_chunk_t *chunk)
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

    text = malloc(chunk->text_len * 3 + 1);
    n = sp_json_unescape(text, chunk->text_len * 3, chunk->text,
                      chunk->text_len);

    if (n != json_string_length(content)
        || memcmp(text, json_string_value(content), n) != 0)
    {
        abort();
    }

    free(text);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int          rc;
    char         text[64];
    size_t       n;
    json_t      *root;
    sp_chunk_t   chunk;
    const char  *p;

    p = (const char *) data;

    rc = sp_chunk_scan(p, size, &chunk);

    if (sp_json_parse(p, size, NULL, &root, NULL) == SP_JSON_OK
        && json_is_object(root))
    {
        /* the scanner takes what it skips less strictly, never more so */

        if (rc == 0) {
            fuzz_compare(root, &chunk);

        } else {
            abort();
        }
    }

    json_decref(root);

    n = sp_json_unescape(text, sizeof(text), p, size);

    if (n > sizeof(text) || sp_utf8_valid(text, n) != n) {
        abort();
    }

    return 0;
}
