
/*
 * Copyright (C) Sallyport authors
 *
 * OTLP's JSON: names, types and escapes, as the specification has them; what
 * comes from outside cannot break it.
 */

#include "sp_otlp.h"

#include <jansson.h>

#include "tap.h"


#define ID      "0af7651916cd43dd8448eb211c80319c"
#define SPAN    "b7ad6b7169203331"
#define PARENT  "00f067aa0ba902b7"


static char  text[65536];


static size_t
write_span(const sp_otlp_span_t *span)
{
    sp_out_t  count, out;

    memset(&count, 0, sizeof(count));
    sp_otlp_span(&count, span);

    memset(&out, 0, sizeof(out));
    out.dst = text;
    out.size = sizeof(text);
    sp_otlp_span(&out, span);

    TAP_IS_INT(out.len, count.len, "its length is known before");

    return out.len;
}


static void
test_attribute(const sp_otlp_attr_t *attr, const char *expected)
{
    char            want[512];
    size_t          len;
    sp_otlp_span_t  span;

    memset(&span, 0, sizeof(span));

    span.trace = ID;
    span.span = SPAN;
    span.verb = "chat";
    span.kind = SP_OTLP_CLIENT;
    span.attrs = attr;
    span.nattrs = 1;

    len = write_span(&span);

    (void) snprintf(want, sizeof(want),
                    "{\"traceId\":\"" ID "\",\"spanId\":\"" SPAN "\","
                    "\"flags\":257,\"name\":\"chat\",\"kind\":3,"
                    "\"startTimeUnixNano\":\"0\",\"endTimeUnixNano\":\"0\","
                    "\"attributes\":[{\"key\":\"k\",\"value\":{%s}}]}",
                    expected);

    TAP_IS_MEM(text, len, want, strlen(want), "%s", expected);
}


static void
test_attributes(void)
{
    size_t  i;

    static const struct {
        sp_otlp_attr_t   attr;
        const char      *expected;
    } tests[] = {
        { { "k", SP_OTLP_STRING, "v", 1, 0 }, "\"stringValue\":\"v\"" },
        { { "k", SP_OTLP_STRING, "", 0, 0 }, "\"stringValue\":\"\"" },
        { { "k", SP_OTLP_STRING, "\"\\\n\x01", 4, 0 },
          "\"stringValue\":\"\\\"\\\\\\n\\u0001\"" },
        { { "k", SP_OTLP_STRING, "a\xc3\xa9", 3, 0 },
          "\"stringValue\":\"a\xc3\xa9\"" },
        { { "k", SP_OTLP_STRING, "a\xff" "b", 3, 0 },
          "\"stringValue\":\"a\"" },
        { { "k", SP_OTLP_STRING, "a\xc3", 2, 0 }, "\"stringValue\":\"a\"" },
        { { "k", SP_OTLP_STRINGS, "stop", 4, 0 },
          "\"arrayValue\":{\"values\":[{\"stringValue\":\"stop\"}]}" },
        { { "k", SP_OTLP_INTEGER, NULL, 0, 9007199254740993 },
          "\"intValue\":\"9007199254740993\"" },
        { { "k", SP_OTLP_INTEGER, NULL, 0, INT64_MIN },
          "\"intValue\":\"-9223372036854775808\"" },
        { { "k", SP_OTLP_DECIMAL, NULL, 0, 0 },
          "\"doubleValue\":0.000000000" },
        { { "k", SP_OTLP_DECIMAL, NULL, 0, 1 },
          "\"doubleValue\":0.000000001" },
        { { "k", SP_OTLP_DECIMAL, NULL, 0, 61000001000 },
          "\"doubleValue\":61.000001000" },
        { { "k", SP_OTLP_BOOLEAN, NULL, 0, 1 }, "\"boolValue\":true" },
        { { "k", SP_OTLP_BOOLEAN, NULL, 0, 0 }, "\"boolValue\":false" },
    };

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        test_attribute(&tests[i].attr, tests[i].expected);
    }
}


static void
test_span(void)
{
    size_t          len;
    sp_otlp_span_t  span;

    static const char  want[] =
        "{\"traceId\":\"" ID "\",\"spanId\":\"" SPAN "\","
        "\"parentSpanId\":\"" PARENT "\",\"traceState\":\"a=1,b=\\\"\","
        "\"flags\":769,\"name\":\"chat gpt\\\"4\",\"kind\":2,"
        "\"startTimeUnixNano\":\"1544712660000000000\","
        "\"endTimeUnixNano\":\"1544712661000000123\","
        "\"attributes\":[],\"status\":{\"code\":2}}";

    memset(&span, 0, sizeof(span));

    span.trace = ID;
    span.span = SPAN;
    span.parent = PARENT;
    span.state = "a=1,b=\"";
    span.state_len = 7;
    span.remote = 1;
    span.verb = "chat";
    span.object = "gpt\"4";
    span.object_len = 5;
    span.kind = SP_OTLP_SERVER;
    span.start = 1544712660000000000;
    span.end = 1544712661000000123;
    span.failed = 1;

    len = write_span(&span);

    TAP_IS_MEM(text, len, want, sizeof(want) - 1, "a span with all it can be");
}


/* a text is cut, and between two characters */

static void
test_long(void)
{
    char             model[2 * SP_OTLP_TEXT];
    size_t           i, len;
    json_t          *root;
    sp_otlp_attr_t   attr;
    sp_otlp_span_t   span;

    for (i = 0; i + 1 < sizeof(model); i += 2) {
        memcpy(model + i, "\xc3\xa9", 2);
    }

    memset(&attr, 0, sizeof(attr));
    memset(&span, 0, sizeof(span));

    attr.key = "k";
    attr.text = model + 1;         /* the first byte ends it at once */
    attr.len = sizeof(model) - 1;

    span.trace = ID;
    span.span = SPAN;
    span.verb = "chat";
    span.object = model;
    span.object_len = sizeof(model);
    span.kind = SP_OTLP_SERVER;
    span.attrs = &attr;
    span.nattrs = 1;

    len = write_span(&span);
    root = json_loadb(text, len, 0, NULL);

    TAP_OK(root != NULL, "it is JSON");
    TAP_IS_INT(json_string_length(json_object_get(root, "name")),
               5 + SP_OTLP_TEXT, "a long name is cut");

    json_decref(root);

    span.object_len = SP_OTLP_TEXT + 1;
    memcpy(model, "a", 1);
    memmove(model + 1, model + 2, sizeof(model) - 2);

    len = write_span(&span);
    root = json_loadb(text, len, 0, NULL);

    TAP_OK(root != NULL, "it is JSON");
    TAP_IS_INT(json_string_length(json_object_get(root, "name")),
               5 + SP_OTLP_TEXT - 1, "... between two characters");

    json_decref(root);
}


static void
test_envelope(void)
{
    sp_out_t        out;
    sp_otlp_attr_t  attrs[2];

    static const char  want[] =
        "{\"resourceSpans\":[{\"resource\":{\"attributes\":["
        "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"a\\\"b\"}},"
        "{\"key\":\"n\",\"value\":{\"intValue\":\"1\"}}]},"
        "\"scopeSpans\":[{\"scope\":{\"name\":\"sallyport\"},"
        "\"spans\":[]}]}]}";

    memset(attrs, 0, sizeof(attrs));

    attrs[0].key = "service.name";
    attrs[0].text = "a\"b";
    attrs[0].len = 3;
    attrs[1].key = "n";
    attrs[1].type = SP_OTLP_INTEGER;
    attrs[1].n = 1;

    memset(&out, 0, sizeof(out));
    out.dst = text;
    out.size = sizeof(text);

    sp_otlp_begin(&out, attrs, 2, "sallyport");
    sp_otlp_end(&out);

    TAP_IS_MEM(text, out.len, want, sizeof(want) - 1, "the envelope");
}


int
main(void)
{
    test_attributes();
    test_span();
    test_long();
    test_envelope();

    return tap_done();
}
