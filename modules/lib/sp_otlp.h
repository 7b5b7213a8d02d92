
/*
 * Copyright (C) Sallyport authors
 *
 * OTLP 1.x: spans as an ExportTraceServiceRequest in the JSON encoding of its
 * protocol buffers.  Names are lowerCamelCase, ids hexadecimal, 64-bit
 * integers strings, enumerations numbers
 * (opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding").
 *
 *     sp_otlp_begin()  sp_otlp_span() "," sp_otlp_span() ...  sp_otlp_end()
 */

#ifndef _SP_OTLP_H_INCLUDED_
#define _SP_OTLP_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "sp_out.h"


/* bytes of a text; what is longer is cut between two characters */
#define SP_OTLP_TEXT  1024


typedef enum {
    SP_OTLP_STRING = 0,
    SP_OTLP_STRINGS,           /* an array of this one */
    SP_OTLP_INTEGER,
    SP_OTLP_DECIMAL,           /* a double; "n" is billionths */
    SP_OTLP_BOOLEAN
} sp_otlp_type_e;


/* a text ends where it is not UTF-8 */

typedef struct {
    const char             *key;       /* ASCII, nothing to be escaped */
    sp_otlp_type_e          type;
    const char             *text;
    size_t                  len;
    int64_t                 n;
} sp_otlp_attr_t;


/* Span.SpanKind of trace.proto */

typedef enum {
    SP_OTLP_SERVER = 2,
    SP_OTLP_CLIENT = 3
} sp_otlp_kind_e;


/* ids as in sp_trace_t: SP_TRACE_ID and SP_TRACE_SPAN characters */

typedef struct {
    const char             *trace;
    const char             *span;
    const char             *parent;    /* NULL: a root */
    const char             *state;     /* tracestate */
    size_t                  state_len;
    unsigned                remote;    /* the parent is somebody else's */

    const char             *verb;      /* the name: verb, space, object */
    const char             *object;    /* or empty */
    size_t                  object_len;

    sp_otlp_kind_e          kind;
    uint64_t                start;     /* nanoseconds since 1970 */
    uint64_t                end;
    unsigned                failed;    /* STATUS_CODE_ERROR */

    const sp_otlp_attr_t   *attrs;
    size_t                  nattrs;
} sp_otlp_span_t;


/* the resource by its attributes, the scope by its name, which is ASCII */
void sp_otlp_begin(sp_out_t *out, const sp_otlp_attr_t *attrs, size_t n,
    const char *scope);
void sp_otlp_end(sp_out_t *out);

/* sampled: what is not is not exported */
void sp_otlp_span(sp_out_t *out, const sp_otlp_span_t *span);


#endif /* _SP_OTLP_H_INCLUDED_ */
