
/*
 * Copyright (C) Sallyport authors
 *
 * The quick builder takes nothing that jansson refuses, and makes the same.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sp_json_load.h"
#include "sp_utf8.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t      *ours, *theirs;
    size_t       depth, i;
    const char  *text;

    text = (const char *) data;
    depth = 0;

    for (i = 0; i < size; i++) {
        depth += (text[i] == '[' || text[i] == '{');
    }

    if (depth > 100
        || memchr(text, '\0', size) != NULL
        || sp_utf8_valid(text, size) != size)
    {
        return 0;
    }

    ours = sp_json_load(text, size, 100);
    theirs = json_loadb(text, size, JSON_REJECT_DUPLICATES|JSON_DECODE_ANY,
                        NULL);

    if (ours != NULL && !json_equal(ours, theirs)) {
        abort();
    }

    json_decref(ours);
    json_decref(theirs);

    return 0;
}
