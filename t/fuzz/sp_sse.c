
/*
 * Copyright (C) Sallyport authors
 *
 * An event stream in pieces gives the same events as in one piece, and the
 * raw bytes of the events are the input.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sp_sse.h"


/* first byte: the length of the pieces, lines, what is not gathered */

typedef struct {
    char    *text;
    size_t   len;
    size_t   raw;
    unsigned  lines;
    size_t    most;            /* bytes of an event that is gathered */
} fuzz_result_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_run(const char *p, size_t size, size_t piece,
    fuzz_result_t *result);
static void fuzz_note(fuzz_result_t *result, const sp_sse_event_t *event,
    const char *expected);


static void
fuzz_run(const char *p, size_t size, size_t piece, fuzz_result_t *result)
{
    char            *memory, *old;
    size_t           n, seen;
    sp_sse_t         sse;
    const char      *end, *pos;
    sp_sse_event_t   event;
    sp_sse_status_e  rc;

    memset(&sse, 0, sizeof(sp_sse_t));
    sse.lines = result->lines ? 1 : 0;

    seen = 0;
    memory = NULL;

    while (seen < size) {
        n = size - seen < piece ? size - seen : piece;
        pos = p + seen;
        end = pos + n;
        seen += n;

        while ((rc = sp_sse_next(&sse, &pos, end, &event)) != SP_SSE_AGAIN) {

            if (rc == SP_SSE_FULL && sse.need > result->most) {
                if (sse.len != 0
                    && memcmp(sse.buf, p + result->raw, sse.len) != 0)
                {
                    abort();
                }

                result->raw += sse.len;
                sp_sse_pass(&sse);
                continue;
            }

            if (rc == SP_SSE_FULL) {
                old = memory;
                memory = malloc(sse.need);
                sp_sse_memory(&sse, memory, sse.need);
                free(old);
                continue;
            }

            fuzz_note(result, &event, p + result->raw);
        }

        if (pos != end) {
            abort();
        }
    }

    if (result->raw + sse.len < size) {
        abort();
    }

    free(memory);
}


static void
fuzz_note(fuzz_result_t *result, const sp_sse_event_t *event,
    const char *expected)
{
    if (memcmp(event->raw, expected, event->raw_len) != 0) {
        abort();
    }

    result->raw += event->raw_len;

    if (event->data == NULL) {
        return;
    }

    result->text = realloc(result->text, result->len + event->data_len + 1);

    memcpy(result->text + result->len, event->data, event->data_len);
    result->len += event->data_len;
    result->text[result->len++] = '\0';
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_result_t  pieces, whole;

    if (size == 0) {
        return 0;
    }

    memset(&pieces, 0, sizeof(fuzz_result_t));
    memset(&whole, 0, sizeof(fuzz_result_t));

    whole.lines = (data[0] & 16) != 0;
    pieces.lines = whole.lines;
    whole.most = SIZE_MAX;
    pieces.most = (data[0] & 32) ? 8 : SIZE_MAX;

    fuzz_run((const char *) data + 1, size - 1, size, &whole);
    fuzz_run((const char *) data + 1, size - 1,
             (size_t) (data[0] & 15) + 1, &pieces);

    /* the data of a part is not told */

    if (pieces.most == SIZE_MAX
        && (pieces.len != whole.len
            || (whole.len != 0
                && memcmp(pieces.text, whole.text, whole.len) != 0)))
    {
        abort();
    }

    free(pieces.text);
    free(whole.text);

    return 0;
}
