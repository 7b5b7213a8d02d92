
/*
 * Copyright (C) Sallyport authors
 *
 * The quick builder takes what jansson takes, and makes the same; numbers
 * that jansson cannot hold it takes as well where it is told to.
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
    json_t            *ours, *theirs;
    size_t             depth, i, offset;
    const char        *text;
    sp_json_limits_t   limits;

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

    memset(&limits, 0, sizeof(sp_json_limits_t));
    limits.depth = 100;

    (void) sp_json_load(text, size, &limits, &ours, &offset);

    theirs = json_loadb(text, size, JSON_REJECT_DUPLICATES|JSON_DECODE_ANY,
                        NULL);

    if ((ours == NULL) != (theirs == NULL)
        || (ours != NULL && !json_equal(ours, theirs))
        || offset > size)
    {
        abort();
    }

    json_decref(ours);

    limits.any_number = 1;

    if (sp_json_load(text, size, &limits, &ours, &offset) != SP_JSON_OK
        && theirs != NULL)
    {
        abort();
    }

    json_decref(ours);
    json_decref(theirs);

    return 0;
}
