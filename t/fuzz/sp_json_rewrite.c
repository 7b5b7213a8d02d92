
/*
 * Copyright (C) Sallyport authors
 *
 * What nobody has changed is written as the same value, also where a long
 * string was left in the text.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sp_json.h"
#include "sp_json_rewrite.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char              *text;
    size_t             n;
    json_t            *again, *value;
    const char        *in;
    sp_json_limits_t   limits;

    in = (const char *) data;

    memset(&limits, 0, sizeof(sp_json_limits_t));
    limits.any_number = 1;

    if (sp_json_parse(in, size, &limits, &value, NULL) != SP_JSON_OK) {
        return 0;
    }

    n = sp_json_rewrite(value, in, size, NULL, 0);
    text = malloc(n + 1);

    if (n == 0
        || sp_json_rewrite(value, in, size, text, n) != n
        || sp_json_parse(text, n, &limits, &again, NULL) != SP_JSON_OK
        || !json_equal(value, again))
    {
        abort();
    }

    json_decref(value);
    json_decref(again);
    free(text);

    return 0;
}
