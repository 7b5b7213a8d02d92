/*
 * Copyright (C) Sallyport authors
 */

#include "tap.h"

#include "sp_chunk.h"
#include "sp_json.h"


typedef struct {
    const char  *json;
    int          rc;
    const char  *text;
    const char  *finish;
    int64_t      prompt;
    int64_t      completion;
    int64_t      cached;
    const char  *flags;      /* e: error, u: usage, c: choices, 1: a choice */
} case_t;


static const case_t  cases[] = {
    { "{}", 0, "", "", -1, -1, -1, "" },
    { "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},"
      "\"finish_reason\":null}]}", 0, "Hi", "", -1, -1, -1, "c1" },
    { "{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null,"
      "\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]}}]"
      ",\"usage\":null}", 0, "", "", -1, -1, -1, "c1" },
    { " { \"choices\" : [ { \"finish_reason\" : \"stop\" , \"delta\" : { } "
      "} ] } ", 0, "", "stop", -1, -1, -1, "c1" },
    { "{\"choices\":[],\"usage\":{\"prompt_tokens\":12,"
      "\"completion_tokens\":0,\"prompt_tokens_details\":"
      "{\"cached_tokens\":7},\"total_tokens\":12}}",
      0, "", "", 12, 0, 7, "uc" },
    { "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,"
      "\"message\":{\"role\":\"assistant\",\"content\":\"a\\\"b\"},"
      "\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":1,"
      "\"completion_tokens\":2}}", 0, "a\\\"b", "length", 1, 2, -1, "uc1" },
    { "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"other\"}}]}",
      0, "", "", -1, -1, -1, "c1" },
    { "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}},"
      "{\"index\":0,\"delta\":{\"content\":\"a\"}}]}",
      0, "a", "", -1, -1, -1, "c1" },
    { "{\"error\":{\"message\":\"no\",\"type\":\"x\"}}", 0, "", "",
      -1, -1, -1, "e" },
    { "{\"error\":true}", 0, "", "", -1, -1, -1, "e" },
    { "{\"error\":null,\"choices\":[]}", 0, "", "", -1, -1, -1, "c" },
    { "{\"usage\":{\"prompt_tokens\":1.5,\"completion_tokens\":-3}}",
      0, "", "", -1, -1, -1, "u" },
    { "{\"usage\":{\"prompt_tokens\":99999999999999999999}}",
      0, "", "", -1, -1, -1, "u" },
    { "{\"x\":{\"choices\":[{\"delta\":{\"content\":\"no\"}}]}}",
      0, "", "", -1, -1, -1, "" },
    { "{\"choices\":\"x\",\"usage\":[1]}", 0, "", "", -1, -1, -1, "" },
    { "{\"choices\":[1,\"x\",null]}", 0, "", "", -1, -1, -1, "c1" },
    { "", -1, "", "", 0, 0, 0, "" },
    { "[DONE]", -1, "", "", 0, 0, 0, "" },
    { "[]", -1, "", "", 0, 0, 0, "" },
    { "null", -1, "", "", 0, 0, 0, "" },
    { "{", -1, "", "", 0, 0, 0, "" },
    { "{\"a\"", -1, "", "", 0, 0, 0, "" },
    { "{\"a\":}", -1, "", "", 0, 0, 0, "" },
    { "{\"a\":1,}", -1, "", "", 0, 0, 0, "" },
    { "{\"a\":1} x", -1, "", "", 0, 0, 0, "" },
    { "{\"a\":\"\\\"}", -1, "", "", 0, 0, 0, "" },
    { "{\"choices\":[{}", -1, "", "", 0, 0, 0, "" },
    { "{\"choices\":[{}}", -1, "", "", 0, 0, 0, "" },
    { "{\"a\":\"\x80\"}", 0, "", "", -1, -1, -1, "" }
};


typedef struct {
    const char  *raw;
    const char  *text;
    size_t       size;
} text_t;


static const text_t  texts[] = {
    { "plain", "plain", 100 },
    { "", "", 100 },
    { "a\\nb\\tc\\\"d\\\\e\\/f\\r\\b\\f", "a\nb\tc\"d\\e/f\r\b\f", 100 },
    { "\\u0041\\u00e9\\u20ac", "A\xc3\xa9\xe2\x82\xac", 100 },
    { "\\ud83d\\ude00", "\xf0\x9f\x98\x80", 100 },
    { "\\ud83dx", "\xef\xbf\xbdx", 100 },
    { "\\ude00x", "\xef\xbf\xbdx", 100 },
    { "\\ud83d\\u0041", "\xef\xbf\xbd" "A", 100 },
    { "\\u0000", "\xef\xbf\xbd", 100 },
    { "\\u12", "\xef\xbf\xbd" "12", 100 },
    { "\\", "\xef\xbf\xbd", 100 },
    { "\\x", "\xef\xbf\xbd", 100 },
    { "\x80" "a", "\xef\xbf\xbd" "a", 100 },
    { "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd", 100 },
    { "\xe2\x82\xac", "\xe2\x82\xac", 3 },
    { "\xe2\x82\xac", "", 2 },
    { "ab\xe2\x82\xac", "ab", 4 },
    { "a\\u20ac", "a", 3 },
    { "abc", "ab", 2 },
    { "abc", "", 0 }
};


static void flags(const sp_chunk_t *chunk, char *p)
{
    if (chunk->has_error) {
        *p++ = 'e';
    }

    if (chunk->has_usage) {
        *p++ = 'u';
    }

    if (chunk->has_choices) {
        *p++ = 'c';
    }

    if (chunk->has_choice) {
        *p++ = '1';
    }

    *p = '\0';
}


static void test_scan(const case_t *c)
{
    int         rc;
    char        found[8], *copy;
    size_t      len;
    sp_chunk_t  chunk;

    /* without a terminating byte: reading past the end is seen */

    len = strlen(c->json);
    copy = malloc(len ? len : 1);
    memcpy(copy, c->json, len);

    rc = sp_chunk_scan(copy, len, &chunk);

    TAP_IS_INT(rc, c->rc, "%s", c->json);

    TAP_IS_MEM(chunk.text, chunk.text_len, c->text, strlen(c->text), "text");
    TAP_IS_MEM(chunk.finish, chunk.finish_len, c->finish, strlen(c->finish),
               "finish_reason");

    flags(&chunk, found);
    TAP_IS_STR(found, c->flags, "flags");

    TAP_OK(chunk.prompt_tokens == c->prompt
           && chunk.completion_tokens == c->completion
           && chunk.cached_tokens == c->cached, "usage");

    free(copy);
}


int main(void)
{
    char        buf[128], deep[400], *copy;
    size_t      i, len, n;
    sp_chunk_t  chunk;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        test_scan(&cases[i]);
    }

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        len = strlen(texts[i].raw);
        copy = malloc(len ? len : 1);
        memcpy(copy, texts[i].raw, len);

        n = sp_json_unescape(buf, texts[i].size, copy, len);

        TAP_IS_MEM(buf, n, texts[i].text, strlen(texts[i].text),
                   "text %zu in %zu bytes", i, texts[i].size);
        free(copy);
    }

    /* a stack of arrays is refused, not followed */

    memcpy(deep, "{\"a\":", 5);
    memset(deep + 5, '[', 100);
    memset(deep + 105, ']', 100);
    deep[205] = '}';

    TAP_IS_INT(sp_chunk_scan(deep, 206, &chunk), -1, "depth 101");

    memset(deep + 5, '[', 60);
    memset(deep + 65, ']', 60);
    deep[125] = '}';

    TAP_IS_INT(sp_chunk_scan(deep, 126, &chunk), 0, "depth 61");

    return tap_done();
}
