
/*
 * Copyright (C) Sallyport authors
 *
 * Spans in OTLP's JSON.
 */


#include "sp_otlp.h"

#include <string.h>

#include "sp_trace.h"
#include "sp_utf8.h"


/* Span.flags: W3C's, then whether it is known where the parent is */
#define SP_OTLP_SAMPLED     0x001
#define SP_OTLP_HAS_REMOTE  0x100
#define SP_OTLP_IS_REMOTE   0x200


static void sp_otlp_attrs(sp_out_t *out, const sp_otlp_attr_t *attrs,
    size_t n);
static void sp_otlp_value(sp_out_t *out, const sp_otlp_attr_t *attr);
static void sp_otlp_text(sp_out_t *out, const char *text, size_t len);
static void sp_otlp_decimal(sp_out_t *out, int64_t billionths);


void
sp_otlp_begin(sp_out_t *out, const sp_otlp_attr_t *attrs, size_t n,
    const char *scope)
{
    sp_out_str(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":");
    sp_otlp_attrs(out, attrs, n);
    sp_out_str(out, "},\"scopeSpans\":[{\"scope\":{\"name\":\"");
    sp_out_str(out, scope);
    sp_out_str(out, "\"},\"spans\":[");
}


void
sp_otlp_end(sp_out_t *out)
{
    sp_out_str(out, "]}]}]}");
}


void
sp_otlp_span(sp_out_t *out, const sp_otlp_span_t *span)
{
    sp_out_str(out, "{\"traceId\":\"");
    sp_out_put(out, span->trace, SP_TRACE_ID);
    sp_out_str(out, "\",\"spanId\":\"");
    sp_out_put(out, span->span, SP_TRACE_SPAN);

    if (span->parent != NULL) {
        sp_out_str(out, "\",\"parentSpanId\":\"");
        sp_out_put(out, span->parent, SP_TRACE_SPAN);
    }

    if (span->state_len != 0) {
        sp_out_str(out, "\",\"traceState\":\"");
        sp_otlp_text(out, span->state, span->state_len);
    }

    sp_out_str(out, "\",\"flags\":");
    sp_out_integer(out, SP_OTLP_SAMPLED | SP_OTLP_HAS_REMOTE
                        | (span->remote ? SP_OTLP_IS_REMOTE : 0));

    sp_out_str(out, ",\"name\":\"");
    sp_out_str(out, span->verb);

    if (span->object_len != 0) {
        sp_out_put(out, " ", 1);
        sp_otlp_text(out, span->object, span->object_len);
    }

    sp_out_str(out, "\",\"kind\":");
    sp_out_integer(out, span->kind);
    sp_out_str(out, ",\"startTimeUnixNano\":\"");
    sp_out_integer(out, (int64_t) span->start);
    sp_out_str(out, "\",\"endTimeUnixNano\":\"");
    sp_out_integer(out, (int64_t) span->end);
    sp_out_str(out, "\",\"attributes\":");
    sp_otlp_attrs(out, span->attrs, span->nattrs);
    sp_out_str(out, span->failed ? ",\"status\":{\"code\":2}}" : "}");
}


static void
sp_otlp_attrs(sp_out_t *out, const sp_otlp_attr_t *attrs, size_t n)
{
    size_t  i;

    sp_out_put(out, "[", 1);

    for (i = 0; i < n; i++) {
        sp_out_str(out, (i == 0) ? "{\"key\":\"" : ",{\"key\":\"");
        sp_out_str(out, attrs[i].key);
        sp_out_str(out, "\",\"value\":{");
        sp_otlp_value(out, &attrs[i]);
        sp_out_str(out, "}}");
    }

    sp_out_put(out, "]", 1);
}


/* AnyValue of common.proto */

static void
sp_otlp_value(sp_out_t *out, const sp_otlp_attr_t *attr)
{
    switch (attr->type) {

    case SP_OTLP_STRINGS:
        sp_out_str(out, "\"arrayValue\":{\"values\":[{\"stringValue\":\"");
        sp_otlp_text(out, attr->text, attr->len);
        sp_out_str(out, "\"}]}");
        return;

    case SP_OTLP_INTEGER:
        sp_out_str(out, "\"intValue\":\"");
        sp_out_integer(out, attr->n);
        sp_out_put(out, "\"", 1);
        return;

    case SP_OTLP_DECIMAL:
        sp_out_str(out, "\"doubleValue\":");
        sp_otlp_decimal(out, attr->n);
        return;

    case SP_OTLP_BOOLEAN:
        sp_out_str(out, attr->n ? "\"boolValue\":true"
                                : "\"boolValue\":false");
        return;

    default: /* SP_OTLP_STRING */
        sp_out_str(out, "\"stringValue\":\"");
        sp_otlp_text(out, attr->text, attr->len);
        sp_out_put(out, "\"", 1);
    }
}


static void
sp_otlp_text(sp_out_t *out, const char *text, size_t len)
{
    if (len > SP_OTLP_TEXT) {
        len = SP_OTLP_TEXT;
    }

    /* what the cut has left of a character is not valid */

    sp_out_text(out, text, sp_utf8_valid(text, len));
}


/* never negative */

static void
sp_otlp_decimal(sp_out_t *out, int64_t billionths)
{
    int      i;
    char     digits[10];
    int64_t  n;

    sp_out_integer(out, billionths / 1000000000);

    n = billionths % 1000000000;
    digits[0] = '.';

    for (i = 9; i > 0; i--) {
        digits[i] = (char) ('0' + n % 10);
        n /= 10;
    }

    sp_out_put(out, digits, sizeof(digits));
}
