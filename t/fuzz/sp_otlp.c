
/*
 * Copyright (C) Sallyport authors
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "sp_otlp.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* whatever the texts are, it is JSON, as long as it was said to be */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char            *text;
    size_t           len;
    json_t          *root;
    int64_t          n;
    sp_out_t         out;
    sp_otlp_attr_t   attrs[2];
    sp_otlp_span_t   span;

    memset(&out, 0, sizeof(out));
    memset(attrs, 0, sizeof(attrs));
    memset(&span, 0, sizeof(span));

    n = 0;
    memcpy(&n, data, size < sizeof(n) ? size : sizeof(n));

    attrs[0].key = "text";
    attrs[0].type = (size % 2) ? SP_OTLP_STRING : SP_OTLP_STRINGS;
    attrs[0].text = (const char *) data;
    attrs[0].len = size;
    attrs[1].key = "number";
    attrs[1].type = (size % 3) ? SP_OTLP_INTEGER : SP_OTLP_DECIMAL;
    attrs[1].n = (size % 3) ? n : n & INT64_MAX;

    span.trace = "0af7651916cd43dd8448eb211c80319c";
    span.span = "b7ad6b7169203331";
    span.state = (const char *) data;
    span.state_len = size;
    span.verb = "chat";
    span.object = (const char *) data;
    span.object_len = size;
    span.kind = SP_OTLP_SERVER;
    span.attrs = attrs;
    span.nattrs = 2;

    sp_otlp_begin(&out, attrs, 1, "fuzz");
    sp_otlp_span(&out, &span);
    sp_otlp_end(&out);

    len = out.len;
    text = malloc(len);

    if (text == NULL) {
        return 0;
    }

    out.dst = text;
    out.size = len;
    out.len = 0;

    sp_otlp_begin(&out, attrs, 1, "fuzz");
    sp_otlp_span(&out, &span);
    sp_otlp_end(&out);

    root = json_loadb(text, len, JSON_ALLOW_NUL, NULL);

    if (out.len != len || root == NULL) {
        abort();
    }

    json_decref(root);
    free(text);

    return 0;
}
