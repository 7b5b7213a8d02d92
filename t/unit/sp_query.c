
/*
 * Copyright (C) Sallyport authors
 */

#include "sp_query.h"
#include "tap.h"


typedef struct {
    const char         *text;
    sp_query_status_e   status;
    const char         *json;       /* keys sorted */
} test_t;


static const test_t  tests[] = {
    { "", SP_QUERY_OK, "{}" },
    { "&&", SP_QUERY_OK, "{}" },
    { "a=1&b=2", SP_QUERY_OK, "{\"a\": \"1\", \"b\": \"2\"}" },
    { "a", SP_QUERY_OK, "{\"a\": \"\"}" },
    { "a=&", SP_QUERY_OK, "{\"a\": \"\"}" },
    { "=x", SP_QUERY_OK, "{\"\": \"x\"}" },
    { "a=b=c", SP_QUERY_OK, "{\"a\": \"b=c\"}" },
    { "q=a+b%20c%2B", SP_QUERY_OK, "{\"q\": \"a b c+\"}" },
    { "q=%C3%A9", SP_QUERY_OK, "{\"q\": \"\xc3\xa9\"}" },
    { "q=%22%5C", SP_QUERY_OK, "{\"q\": \"\\\"\\\\\"}" },
    { "a=1&a=2", SP_QUERY_DUPLICATE, NULL },
    { "a=1&%61=2", SP_QUERY_DUPLICATE, NULL },
    { "q=%", SP_QUERY_ESCAPE, NULL },
    { "q=%4", SP_QUERY_ESCAPE, NULL },
    { "q=%zz", SP_QUERY_ESCAPE, NULL },
    { "q=%00", SP_QUERY_ESCAPE, NULL },
    { "%00=q", SP_QUERY_ESCAPE, NULL },
    { "q=%ff", SP_QUERY_UTF8, NULL },
    { "%c3=q", SP_QUERY_UTF8, NULL },
    { "q=%ed%a0%80", SP_QUERY_UTF8, NULL },
    { "a&b&c&d&e", SP_QUERY_TOO_LARGE, NULL }
};


int
main(void)
{
    char               *text, *large;
    json_t             *object;
    size_t              i;
    sp_query_status_e   status;

    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        status = sp_query_parse(tests[i].text, strlen(tests[i].text), 4,
                                &object);

        TAP_IS_INT(status, tests[i].status, "status of \"%s\"",
                   tests[i].text);

        if (tests[i].json == NULL) {
            TAP_OK(object == NULL, "no object");
            continue;
        }

        text = json_dumps(object, JSON_SORT_KEYS);
        TAP_IS_STR(text, tests[i].json, "object");
        free(text);
        json_decref(object);
    }

    large = malloc(16385);
    memset(large, 'a', 16385);

    TAP_IS_INT(sp_query_parse(large, 16385, 4, &object), SP_QUERY_TOO_LARGE,
               "16385 bytes");
    TAP_IS_INT(sp_query_parse(large, 16384, 4, &object), SP_QUERY_OK,
               "16384 bytes");
    json_decref(object);
    free(large);

    TAP_OK(strlen(sp_query_strerror(SP_QUERY_DUPLICATE)) > 0, "text");

    return tap_done();
}
