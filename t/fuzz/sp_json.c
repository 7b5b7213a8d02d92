
/*
 * Copyright (C) Sallyport authors
 *
 * Text that is accepted is UTF-8 without NUL, and is accepted again when it
 * is written out.  Whatever is escaped is a JSON string.
 */

#include <stdlib.h>
#include <string.h>

#include "sp_json.h"
#include "sp_utf8.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char              *text;
    size_t             len;
    json_t            *again, *value;
    const char        *in;
    sp_json_limits_t   limits;

    in = (const char *) data;

    memset(&limits, 0, sizeof(sp_json_limits_t));
    limits.depth = 64;

    if (sp_json_parse(in, size, NULL, &value, &len) == SP_JSON_OK) {

        if (sp_utf8_valid(in, size) != size || memchr(in, '\0', size)) {
            abort();
        }

        text = json_dumps(value, JSON_ENCODE_ANY);

        if (text != NULL) {

            if (sp_json_parse(text, strlen(text), &limits, &again, NULL)
                != SP_JSON_OK)
            {
                abort();
            }

            json_decref(again);
            free(text);
        }

        json_decref(value);

    } else if (value != NULL || len > size) {
        abort();
    }

    len = sp_json_escape(NULL, 0, in, size);
    text = malloc(len + 2);

    if (text == NULL) {
        return 0;
    }

    text[0] = '"';

    if (sp_json_escape(text + 1, len, in, size) != len) {
        abort();
    }

    text[len + 1] = '"';

    /* NUL is a character that our JSON does not have */

    if (memchr(in, '\0', size) == NULL
        && sp_json_parse(text, len + 2, NULL, &value, NULL) == SP_JSON_OK)
    {
        json_decref(value);

    } else if (memchr(in, '\0', size) == NULL) {
        abort();
    }

    free(text);

    return 0;
}
