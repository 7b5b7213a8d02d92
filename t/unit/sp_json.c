
/*
 * Copyright (C) Sallyport authors
 */

#include "sp_json.h"
#include "sp_utf8.h"

#include "tap.h"


typedef struct {
    const char        *text;
    sp_json_status_e   status;
    const char        *name;
} row_t;


#define DEEP32  "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
#define END32   "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"


static const row_t  rows[] = {
    { "{}", SP_JSON_OK, "object" },
    { " [1, 2.5e3, true, null, \"\"] ", SP_JSON_OK, "array" },
    { "\"x\"", SP_JSON_OK, "any value" },
    { "\"\xf0\x9f\xa6\x8a \\ud83e\\udd8a\"", SP_JSON_OK, "an astral fox" },
    { "", SP_JSON_SYNTAX, "empty" },
    { "[1] x", SP_JSON_SYNTAX, "trailing bytes" },
    { "[1,]", SP_JSON_SYNTAX, "trailing comma" },
    { "nul", SP_JSON_SYNTAX, "cut literal" },
    { "nulx", SP_JSON_SYNTAX, "literal with another end" },
    { "{\"a\" 1}", SP_JSON_SYNTAX, "no colon" },
    { "{1:2}", SP_JSON_SYNTAX, "a number as a key" },
    { "\"a\n", SP_JSON_SYNTAX, "a line end for a quote" },
    { "{\"a\n:1}", SP_JSON_SYNTAX, "a line end for a quote, in a key" },
    { "{\"a\":01}", SP_JSON_SYNTAX, "leading zero" },
    { "[1e400]", SP_JSON_SYNTAX, "number out of range" },
    { "[99999999999999999999]", SP_JSON_SYNTAX, "integer out of range" },
    { "\"\\ud800\"", SP_JSON_SYNTAX, "lone surrogate" },
    { "\"\\udc00\\ud800\"", SP_JSON_SYNTAX, "swapped surrogates" },
    { "\"\\u0000\"", SP_JSON_SYNTAX, "NUL in a string" },
    { "{\"a\\u0000b\":1}", SP_JSON_SYNTAX, "NUL in a key" },
    { "\"a\nb\"", SP_JSON_SYNTAX, "control character" },
    { "{\"a\":1,\"a\":2}", SP_JSON_DUPLICATE_KEY, "duplicate key" },
    { "{\"a\":{\"\\u0061\":1,\"a\":2}}", SP_JSON_DUPLICATE_KEY,
      "duplicate key, escaped" },
    { "\"\xff\"", SP_JSON_UTF8, "no UTF-8" },
    { "\"\xc0\x80\"", SP_JSON_UTF8, "overlong" },
    { "\"\xed\xa0\x80\"", SP_JSON_UTF8, "surrogate in UTF-8" },
    { "\"\xf4\x90\x80\x80\"", SP_JSON_UTF8, "above U+10FFFF" },
    { "\"\xe2\x82x\"", SP_JSON_UTF8, "sequence that goes on with a letter" },
    { "\"\xe2\x82", SP_JSON_UTF8, "cut sequence" },
    { DEEP32 END32, SP_JSON_OK, "32 deep" },
    { "[" DEEP32 END32 "]", SP_JSON_TOO_DEEP, "33 deep" },
    { "[1.]", SP_JSON_SYNTAX, "no digit after the point" },
    { "[1e]", SP_JSON_SYNTAX, "no digit in the exponent" },
    { "[-]", SP_JSON_SYNTAX, "a minus alone" },
    { "\"a\\tb\nc\"", SP_JSON_SYNTAX, "control character after an escape" },
    { "\"a\\", SP_JSON_SYNTAX, "cut escape" },
    { "\"\\x\"", SP_JSON_SYNTAX, "no such escape" },
    { "\"\\u00g0\"", SP_JSON_SYNTAX, "escape with a digit that is none" },
    { "\"\\u00", SP_JSON_SYNTAX, "cut escape of a code point" },
    { "\"\\ud83ex\"", SP_JSON_SYNTAX, "high surrogate before a letter" },
    { "\"\\ud83e\\n\"", SP_JSON_SYNTAX, "high surrogate before a LF" },
    { "\"\\ud83e\\u00g0\"", SP_JSON_SYNTAX, "high surrogate, bad digit" },
    { "\"\\ud83e\\u0041\"", SP_JSON_SYNTAX, "high surrogate before an A" },
    { "\"\\ud83e\\ue000\"", SP_JSON_SYNTAX, "high surrogate before U+E000" },
    { "\"\\ud83eudd8a\"", SP_JSON_SYNTAX, "a pair without its backslash" },
    { "\"\\ud83e\\dd8a\"", SP_JSON_SYNTAX, "a pair without its u" },
    { "\"\\udd8a\"", SP_JSON_SYNTAX, "low surrogate alone" },
    { "[\"" DEEP32 "\\\"" DEEP32 "\"]", SP_JSON_OK, "brackets in a string" }
};


int
main(void)
{
    char               out[64];
    size_t             i, n, offset;
    json_t            *value;
    sp_json_limits_t   limits;
    sp_json_status_e   status;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        status = sp_json_parse(rows[i].text, strlen(rows[i].text), NULL,
                               &value, NULL);

        TAP_OK(status == rows[i].status && (value != NULL) == (status == 0),
               "%s", rows[i].name);
        json_decref(value);
    }

    TAP_OK(sp_json_parse("[1\0]", 4, NULL, &value, NULL) == SP_JSON_SYNTAX
           && sp_json_parse("\"\0\"", 3, NULL, &value, NULL)
              == SP_JSON_SYNTAX,
           "a NUL byte");

    limits.size = 4;
    limits.depth = 1;

    TAP_OK(sp_json_parse("[123]", 5, &limits, &value, &offset)
           == SP_JSON_TOO_LARGE, "size is capped");
    TAP_OK(sp_json_parse("[[]]", 4, &limits, &value, &offset)
           == SP_JSON_TOO_DEEP && offset == 1, "depth is capped");

    (void) sp_json_parse("{\"a\":\"xyz\",\"b\":1}", 17, NULL, &value, NULL);
    TAP_IS_STR(sp_json_string(value, "a", &n), "xyz", "string member");
    TAP_IS_INT(n, 3, "its length");
    TAP_OK(sp_json_string(value, "b", &n) == NULL && n == 0, "a number");
    TAP_OK(sp_json_string(value, "c", &n) == NULL, "missing");
    json_decref(value);

    n = sp_json_escape(out, sizeof(out), "a\"\\\n\x01\xff\xc3\xa9", 8);
    TAP_IS_MEM(out, n, "a\\\"\\\\\\n\\u0001\\ufffd\xc3\xa9", 21, "escape");
    TAP_IS_INT(sp_json_escape(NULL, 0, "a\nb", 3), 4, "escaped length");

    memset(out, 'x', sizeof(out));
    TAP_OK(sp_json_escape(out, 3, "\x01", 1) == 6
           && memcmp(out, "\\u0x", 4) == 0, "escape writes no more than size");

    TAP_IS_INT(sp_utf8_valid("0123456789abcde\xc3\xa9z", 18), 18, "valid");
    TAP_IS_INT(sp_utf8_valid("0123456789abcde\xc3z", 17), 15, "offset");
    TAP_IS_INT(sp_utf8_valid("", 0), 0, "empty");

    return tap_done();
}
