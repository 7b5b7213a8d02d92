
/*
 * Copyright (C) Sallyport authors
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sp_trace.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* what is written is read again as the same */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char        text[SP_TRACE_PARENT];
    size_t      n;
    sp_trace_t  trace, again;

    if (sp_trace_parse(&trace, (const char *) data, size) == SP_OK) {

        sp_trace_write(text, &trace);

        if (sp_trace_parse(&again, text, sizeof(text)) != SP_OK
            || memcmp(again.id, trace.id, SP_TRACE_ID) != 0
            || memcmp(again.span, trace.span, SP_TRACE_SPAN) != 0
            || again.flags != (trace.flags & SP_TRACE_SAMPLED))
        {
            abort();
        }
    }

    n = 0;

    if (sp_trace_state((const char *) data, size, &n) == SP_OK
        && n > SP_TRACE_MEMBERS)
    {
        abort();
    }

    return 0;
}
