
/*
 * Copyright (C) Sallyport authors
 *
 * A form is the same however it is cut, and what is in a part is what stands
 * there in the body.  The first byte says how large the pieces are.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sp_multipart.h"


typedef struct {
    uint64_t               begin[SP_MULTIPART_PARTS];
    uint64_t               end[SP_MULTIPART_PARTS];
    char                   names[SP_MULTIPART_PARTS][16];
    size_t                 parts;
    size_t                 ended;
    uint64_t               first;
    uint64_t               last;
    sp_multipart_error_e   error;
} parts_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static sp_multipart_t  form;


static void
read_form(const char *text, size_t len, size_t step, parts_t *parts)
{
    char                   *piece;
    size_t                  at, n;
    uint64_t                place;
    const char             *pos;
    sp_multipart_status_e   status;

    memset(parts, 0, sizeof(parts_t));
    place = 0;

    if (sp_multipart_init(&form, "multipart/form-data; boundary=a", 31)
        != SP_MULTIPART_OK)
    {
        abort();
    }

    for (at = 0; at < len; at += n) {
        n = (step < len - at) ? step : len - at;

        piece = malloc(n);
        memcpy(piece, text + at, n);
        pos = piece;

        for ( ;; ) {
            status = sp_multipart_next(&form, &pos, piece + n);

            if (status == SP_MULTIPART_PART) {
                parts->begin[parts->parts] = form.begin;
                place = form.begin;

                n = (form.name.len < 15) ? form.name.len : 15;
                memcpy(parts->names[parts->parts++], form.name.data, n);
                n = (step < len - at) ? step : len - at;

            } else if (status == SP_MULTIPART_DATA) {

                if (form.data.len == 0 || place + form.data.len > len
                    || memcmp(text + place, form.data.data, form.data.len)
                       != 0)
                {
                    abort();
                }

                place += form.data.len;

            } else if (status == SP_MULTIPART_PART_END) {

                if (place != form.end) {
                    abort();
                }

                parts->end[parts->ended++] = form.end;

            } else {
                break;
            }
        }

        free(piece);
    }

    parts->error = sp_multipart_end(&form);

    if (parts->error == SP_MULTIPART_OK && parts->ended != parts->parts) {
        abort();
    }

    parts->first = form.first;
    parts->last = form.last;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char      *text;
    static parts_t   cut, whole;

    if (size == 0) {
        return 0;
    }

    text = (const char *) data + 1;
    size--;

    read_form(text, size, size, &whole);
    read_form(text, size, (size_t) data[0] % 64 + 1, &cut);

    if (memcmp(&whole, &cut, sizeof(parts_t)) != 0) {
        abort();
    }

    (void) sp_multipart_init(&form, text, size);

    return 0;
}
