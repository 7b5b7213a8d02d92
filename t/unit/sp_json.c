
/*
 * Copyright (C) Sallyport authors
 */

#include "sp_json.h"
#include "sp_json_rewrite.h"
#include "sp_utf8.h"

#include "tap.h"


typedef struct {
    const char        *text;
    sp_json_status_e   status;
    const char        *name;
} row_t;


#define DEEP32  "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
#define DIGITS400  DIGITS100 DIGITS100 DIGITS100 DIGITS100
#define DIGITS100  DIGITS20 DIGITS20 DIGITS20 DIGITS20 DIGITS20
#define DIGITS20  "01234567890123456789"
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
    { "[1e400]", SP_JSON_NUMBER, "number out of range" },
    { "[99999999999999999999]", SP_JSON_NUMBER, "integer out of range" },
    { "\"\\ud800\"", SP_JSON_CODE_POINT, "lone surrogate" },
    { "\"\\udc00\\ud800\"", SP_JSON_CODE_POINT, "swapped surrogates" },
    { "\"\\u0000\"", SP_JSON_CODE_POINT, "NUL in a string" },
    { "{\"a\\u0000b\":1}", SP_JSON_CODE_POINT, "NUL in a key" },
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
    { "\"\\ud83ex\"", SP_JSON_CODE_POINT, "high surrogate before a letter" },
    { "\"\\ud83e\\n\"", SP_JSON_CODE_POINT, "high surrogate before a LF" },
    { "\"\\ud83e\\u00g0\"", SP_JSON_SYNTAX, "high surrogate, bad digit" },
    { "\"\\ud83e\\u0041\"", SP_JSON_CODE_POINT, "high surrogate before an A" },
    { "\"\\ud83e\\ue000\"", SP_JSON_CODE_POINT,
      "high surrogate before U+E000" },
    { "\"\\ud83eudd8a\"", SP_JSON_CODE_POINT, "a pair without its backslash" },
    { "\"\\ud83e\\dd8a\"", SP_JSON_CODE_POINT, "a pair without its u" },
    { "\"\\udd8a\"", SP_JSON_CODE_POINT, "low surrogate alone" },
    { "[\"" DEEP32 "\\\"" DEEP32 "\"]", SP_JSON_OK,
      "brackets in a string" },
    { "{\"\\u0061" DEEP32 DEEP32 DEEP32 "\":[1]}", SP_JSON_OK,
      "a long key with an escape" },
    { "[9223372036854775807, -9223372036854775808]", SP_JSON_OK,
      "the longest integers" }
};


/* where the error is, for messages that say so */

typedef struct {
    const char        *text;
    size_t             offset;
} place_t;


static const place_t  places[] = {
    { "{\"a\":\"xy\\u0000\"}", 8 },
    { "{\"a\":\"xy\\ud83dz\"}", 8 },
    { "[\"\\n\\ud83d\\u0041\"]", 4 },
    { "{\"a\":1,\"b\":2,\"a\":3}", 13 },
    { "{\"a\":1,}", 7 },
    { "[1 2]", 3 },
    { "[1] x", 4 },
    { "[\"a\nb\"]", 3 },
    { "[01]", 1 },
    { "[-1e999]", 1 },
    { "[tru]", 1 }
};


static void test_places(void)
{
    size_t   i, offset;
    json_t  *value;

    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        (void) sp_json_parse(places[i].text, strlen(places[i].text), NULL,
                             &value, &offset);
        TAP_IS_INT(offset, places[i].offset, "place %zu", i);
        json_decref(value);
    }
}


static void test_numbers(void)
{
    size_t             i;
    json_t            *value;
    sp_json_limits_t   limits;

    static const char  *const numbers[] = {
        "9223372036854775808", "-9223372036854775809", "1e400", "-1e400",
        "1" DIGITS400, "123456789012345678901234567890.5"
    };

    memset(&limits, 0, sizeof(sp_json_limits_t));
    limits.any_number = 1;

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        TAP_OK(sp_json_parse(numbers[i], strlen(numbers[i]), &limits, &value,
                             NULL) == SP_JSON_OK
               && json_is_real(value)
               && (json_real_value(value) < 0) == (numbers[i][0] == '-'),
               "a real stands for %.24s", numbers[i]);
        json_decref(value);
    }

    TAP_OK(sp_json_parse("1e", 2, &limits, &value, NULL) == SP_JSON_SYNTAX,
           "a number must still be one");
}


/* strings of the tree, all else of the text */

static void test_rewrite(void)
{
    char              *dst;
    size_t             n;
    json_t            *value;
    sp_json_limits_t   limits;

    static const char  text[] =
        " { \"seed\" : 9223372036854775808 , \"a\\u0062\":[1e400,1.0,"
        "\"one\" , \"t\\u0077o\",null,{}], \"c\":\"\\/\" } ";
    static const char  expected[] =
        "{\"seed\":9223372036854775808,\"a\\u0062\":[1e400,1.0,"
        "\"*\\\"*\",\"two\",null,{}],\"c\":\"/\"}";

    memset(&limits, 0, sizeof(sp_json_limits_t));
    limits.any_number = 1;

    (void) sp_json_parse(text, sizeof(text) - 1, &limits, &value, NULL);

    (void) json_string_set(json_array_get(json_object_get(value, "ab"), 2),
                           "*\"*");

    n = sp_json_rewrite(value, text, sizeof(text) - 1, NULL, 0);
    dst = malloc(n + 1);

    TAP_IS_INT(sp_json_rewrite(value, text, sizeof(text) - 1, dst, n), n,
               "the size is known before");
    TAP_IS_MEM(dst, n, expected, sizeof(expected) - 1, "rewritten");
    TAP_IS_INT(sp_json_rewrite(value, "[]", 2, dst, n), 0, "another text");
    TAP_IS_INT(sp_json_rewrite(value, "{\"seed\":1,\"x\":2}", 16, dst, n), 0,
               "another member");
    TAP_IS_INT(sp_json_rewrite(value, "{\"seed\":1,\"c\":2}", 16, dst, n), 0,
               "another type");

    free(dst);
    json_decref(value);
}


/* a long string stays where it is, under these names only */

static void test_bulk(void)
{
    char              *text;
    size_t             len, offset, size;
    json_t            *value;
    const json_t      *url;
    sp_json_limits_t   limits;

    static const char  *const names[] = { "url", "data", NULL };

    memset(&limits, 0, sizeof(sp_json_limits_t));
    limits.bulky = names;

    size = 3 * SP_JSON_BULK;
    text = malloc(size);
    memset(text, 'x', size);

    memcpy(text, "{\"text\":\"", 9);
    memcpy(text + 80000, "\",\"url\":\"data:\\/;", 17);
    memcpy(text + size - 2, "\"}", 2);

    TAP_OK(sp_json_parse(text, size, &limits, &value, NULL) == SP_JSON_OK,
           "long strings");

    TAP_IS_INT(json_string_length(json_object_get(value, "text")),
               80000 - 9, "a text is in the tree");

    url = json_object_get(value, "url");

    TAP_OK(sp_json_bulk(url, &offset, &len)
           && offset == 80000 + 9 && len == size - 2 - offset,
           "the place of a url");
    TAP_OK(memcmp(json_string_value(url), "data:/;xxx", 10) == 0
           && strlen(json_string_value(url)) == SP_JSON_BULK_HEAD,
           "and its head");
    TAP_OK(!sp_json_bulk(json_object_get(value, "text"), &offset, &len),
           "an ordinary string");

    json_decref(value);

    text[size - 10] = '\n';
    TAP_OK(sp_json_parse(text, size, &limits, &value, &offset)
           == SP_JSON_SYNTAX && offset == size - 10,
           "what is not copied is checked");

    text[size - 10] = '\\';
    TAP_OK(sp_json_parse(text, size, &limits, &value, &offset)
           == SP_JSON_SYNTAX, "its escapes as well");

    free(text);
}


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

    test_places();
    test_numbers();
    test_bulk();

    memset(&limits, 0, sizeof(sp_json_limits_t));

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

    test_rewrite();

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
