
/*
 * Copyright (C) Sallyport authors
 *
 * Shortened in pieces and in one piece is the same, never longer than the
 * text, and JSON where the text is.
 */

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sp_json_shorten.h"


/* first two bytes: the length of the pieces, and how often each byte is there
 * that is a small letter, so that strings are long */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char               *text;
    json_t             *json;
    size_t              i, k, len, n, piece, times;
    sp_json_shorten_t   pieces, whole;

    if (size < 2) {
        return 0;
    }

    piece = (size_t) data[0] + 1;
    times = (size_t) data[1] * 8 + 1;

    text = malloc(size * times);
    len = 0;

    for (i = 2; i < size; i++) {
        n = (data[i] >= 'g' && data[i] <= 'k') ? times : 1;

        for (k = 0; k < n; k++) {
            text[len++] = (char) data[i];
        }
    }

    memset(&pieces, 0, sizeof(sp_json_shorten_t));
    memset(&whole, 0, sizeof(sp_json_shorten_t));

    whole.size = len;
    whole.dst = malloc(len + 1);
    pieces.size = len;
    pieces.dst = malloc(len + 1);

    sp_json_shorten(&whole, text, len);

    for (i = 0; i < len; i += piece) {
        sp_json_shorten(&pieces, text + i,
                        len - i < piece ? len - i : piece);
    }

    if (whole.full || whole.len > len || whole.len != pieces.len
        || memcmp(whole.dst, pieces.dst, whole.len) != 0)
    {
        abort();
    }

    json = json_loadb(text, len, JSON_DECODE_ANY|JSON_ALLOW_NUL, NULL);

    if (json != NULL) {
        json_decref(json);

        json = json_loadb(whole.dst, whole.len,
                          JSON_DECODE_ANY|JSON_ALLOW_NUL, NULL);
        if (json == NULL) {
            abort();
        }

        json_decref(json);
    }

    free(whole.dst);
    free(pieces.dst);
    free(text);

    return 0;
}
