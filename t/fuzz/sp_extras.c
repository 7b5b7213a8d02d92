
/*
 * Copyright (C) Sallyport authors
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sp_extras.h"


#define SIZE  4096


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* a text is cut in the same way however it is split; what is told is JSON */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char               text[SIZE], one[SIZE], all[SIZE], json[4 * SIZE];
    size_t             i, len, n;
    json_t            *value;
    sp_out_t           out, other;
    sp_extras_t        whole, split;
    sp_extras_said_t   said;

    if (size == 0 || size > 600) {
        return 0;
    }

    out.dst = text;
    out.size = sizeof(text);
    out.len = 0;

    sp_out_text(&out, (const char *) data + 1, size - 1);
    len = out.len;

    memset(&whole, 0, sizeof(sp_extras_t));
    memset(&split, 0, sizeof(sp_extras_t));

    out.dst = all;
    out.len = 0;
    other.dst = one;
    other.size = sizeof(one);
    other.len = 0;

    sp_extras_feed(&whole, text, len, &out);
    sp_extras_flush(&whole, &out);

    for (i = 0; i < len; i += n) {

        /* sp_out_text() writes escapes of two bytes and of six */

        n = (text[i] != '\\') ? 1 : (text[i + 1] == 'u') ? 6 : 2;

        if ((data[0] & 1) && text[i] != '\\') {
            while (i + n < len && text[i + n] != '\\'
                   && n < (size_t) (data[0] >> 1))
            {
                n++;
            }
        }

        sp_extras_feed(&split, text + i, n, &other);
    }

    sp_extras_flush(&split, &other);

    if (out.len > len || out.len != other.len
        || memcmp(all, one, out.len) != 0
        || whole.inside != split.inside || whole.len != split.len)
    {
        abort();
    }

    if (sp_extras_read(&whole, &said) != 0) {
        return 0;
    }

    out.dst = json;
    out.size = sizeof(json);
    out.len = 0;

    sp_extras_write(&said, &out);
    sp_extras_free(&said);

    value = json_loadb(json, out.len, 0, NULL);

    if (out.len > out.size || !json_is_object(value)) {
        abort();
    }

    json_decref(value);

    return 0;
}
