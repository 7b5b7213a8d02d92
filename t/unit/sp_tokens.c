/*
 * Copyright (C) Sallyport authors
 */

#include "tap.h"

#include "sp_base64.h"
#include "sp_dialect.h"
#include "sp_json.h"
#include "sp_tokens.h"


#define LONG  "a text of some words, of which each byte is a token; no less " \
              "than the memo wants, as it begins to keep counts at 64 bytes"


typedef struct {
    const char  *text;
    size_t       least;
    size_t       most;
} estimate_t;


typedef struct {
    const char  *message;        /* JSON */
    size_t       tokens;
    int          estimated;
} message_t;


static void test_estimate(void);
static void test_memo(void);
static void test_effort(void);
static void test_messages(void);
static void test_tools(void);
static void test_bulk(void);

static const sp_bpe_t *bytes(void);
static void counter(sp_tokens_t *tokens);
static sp_chat_request_t *parse(const char *text, size_t len);
static size_t message(sp_tokens_t *tokens, const char *json);
static size_t tools(sp_tokens_t *tokens, const char *json);


static sp_bpe_work_t     work;
static sp_tokens_memo_t  memo;


int
main(void)
{
    test_estimate();
    test_memo();
    test_effort();
    test_messages();
    test_tools();
    test_bulk();

    return tap_done();
}


/* what it is off for whole texts is in t/bpe/estimate.t */

static void
test_estimate(void)
{
    char    words[960];
    size_t  i, n;

    static const estimate_t  table[] = {
        { "", 0, 0 },
        { "x", 1, 1 },
        { "Hello, world!", 3, 5 },
        { "\xe4\xbd\xa0\xe5\xa5\xbd", 1, 3 },
        { "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82", 1, 3 },
        { "\xe0\xb8\xaa\xe0\xb8\xa7\xe0\xb8\xb1\xe0\xb8\xaa", 1, 4 },
        { "\xf0\x9f\x98\x80", 1, 3 },
        { "\xff\xfe\x80\x80", 1, 8 },
        { "\xe4", 1, 2 },
        { "1234567890", 3, 6 },
        { "a b a b a b a b a b ", 10, 12 },
        { "a\nb\tc  d", 4, 8 }
    };

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        n = sp_tokens_estimate(SP_BPE_O200K_BASE, table[i].text,
                               strlen(table[i].text));

        TAP_OK(n >= table[i].least && n <= table[i].most,
               "estimate %zu: %zu", i, n);
    }

    /* 480 tokens of both */

    for (i = 0; i < sizeof(words); i++) {
        words[i] = "a b "[i % 4];
    }

    n = sp_tokens_estimate(SP_BPE_O200K_BASE, words, sizeof(words));
    TAP_OK(n >= 480 && n <= 500, "short words are tokens: %zu", n);

    memset(words, 'x', 480);
    n = sp_tokens_estimate(SP_BPE_O200K_BASE, words, sizeof(words));
    TAP_OK(n >= 240 && n <= 400, "behind a long one as well: %zu", n);

    TAP_OK(sp_tokens_estimate(SP_BPE_CL100K_BASE, table[5].text, 12)
           > sp_tokens_estimate(SP_BPE_O200K_BASE, table[5].text, 12),
           "Thai has more tokens for older models");
}


static void
test_memo(void)
{
    size_t       left;
    sp_tokens_t  tokens;

    counter(&tokens);

    tokens.memo = &memo;
    memset(memo.key, 7, sizeof(memo.key));

    TAP_IS_INT(sp_tokens_text(&tokens, LONG, sizeof(LONG) - 1),
               sizeof(LONG) - 1, "counted");

    left = tokens.effort;

    TAP_OK(left < SP_TOKENS_EFFORT, "with some effort");
    TAP_IS_INT(sp_tokens_text(&tokens, LONG, sizeof(LONG) - 1),
               sizeof(LONG) - 1, "and again");
    TAP_IS_INT(tokens.effort, left, "with none");

    (void) sp_tokens_text(&tokens, LONG, sizeof(LONG) - 2);
    TAP_OK(tokens.effort < left, "another text is not known");

    left = tokens.effort;

    (void) sp_tokens_text(&tokens, LONG, 20);
    (void) sp_tokens_text(&tokens, LONG, 20);
    TAP_OK(tokens.effort < left - 20, "a short one is not kept");
    TAP_OK(!tokens.estimated, "nothing was estimated");

    left = tokens.effort;
    tokens.bpe = bytes();

    (void) sp_tokens_text(&tokens, LONG, sizeof(LONG) - 1);
    TAP_OK(tokens.effort < left, "nor does it for another vocabulary");
}


static void
test_effort(void)
{
    size_t       n;
    sp_tokens_t  tokens;

    counter(&tokens);

    tokens.memo = &memo;
    tokens.effort = 40;
    memset(&memo, 0, sizeof(memo));

    n = sp_tokens_text(&tokens, LONG, sizeof(LONG) - 1);

    TAP_OK(n > 20 && n < sizeof(LONG) - 1, "what is left is estimated: %zu",
           n);
    TAP_OK(tokens.estimated, "and that is told");

    tokens.effort = SP_TOKENS_EFFORT;

    TAP_IS_INT(sp_tokens_text(&tokens, LONG, sizeof(LONG) - 1),
               sizeof(LONG) - 1, "it was not remembered as the count");
    TAP_OK(tokens.estimated, "what was estimated before stays told");
}


static void
test_messages(void)
{
    size_t       i;
    sp_tokens_t  tokens;

    static const message_t  table[] = {
        { "{\"role\":\"user\",\"content\":\"hello\"}", 9, 0 },
        { "{\"role\":\"user\",\"name\":\"ada\","
          "\"content\":\"hello\"}", 13, 0 },
        { "{\"role\":\"user\",\"content\":[{\"type\":\"text\","
          "\"text\":\"hello\"}]}", 9, 0 },
        { "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
          "\"image_url\":{\"url\":\"https://a.example/b.png\"}}]}",
          4 + 765, 1 },
        { "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
          "\"image_url\":{\"url\":\"https://a.example/b.png\","
          "\"detail\":\"low\"}}]}", 4 + 85, 1 },
        { "{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\","
          "\"input_audio\":{\"data\":\"AAAA\",\"format\":\"wav\"}}]}",
          4 + 1, 1 },
        { "{\"role\":\"user\",\"content\":[{\"type\":\"file\","
          "\"file\":{\"file_id\":\"file-1\"}}]}", 4 + 1000, 1 },
        { "{\"role\":\"user\",\"content\":[{\"type\":\"file\","
          "\"file\":{\"file_data\":\"data:text/plain;base64,YWJjZGVmZ2hpag"
          "==\"}}]}", 4 + 1 + 39 / 5, 1 },
        { "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":"
          "[{\"id\":\"c\",\"type\":\"function\",\"function\":"
          "{\"name\":\"look\",\"arguments\":\"{\\\"a\\\":1}\"}}]}",
          4 + 5 + 4 + 7, 1 },
        { "{\"role\":\"assistant\",\"content\":[{\"type\":\"refusal\","
          "\"refusal\":\"no\"}]}", 4 + 2, 1 }
    };

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        counter(&tokens);

        TAP_IS_INT(message(&tokens, table[i].message), table[i].tokens,
                   "message %zu", i);
        TAP_IS_INT(tokens.estimated, table[i].estimated, "is it estimated");
    }
}


/* as the formula of the cookbook has it */

static void
test_tools(void)
{
    sp_tokens_t  tokens;

    counter(&tokens);

    TAP_IS_INT(tools(&tokens, "[]"), 0, "no tools");
    TAP_OK(!tokens.estimated, "nothing to estimate");

    TAP_IS_INT(tools(&tokens, "[{\"type\":\"function\",\"function\":"
                              "{\"name\":\"look\"}}]"),
               7 + 4 + 12, "a tool without parameters");
    TAP_OK(tokens.estimated, "tools are estimated");

    TAP_IS_INT(tools(&tokens, "[{\"type\":\"function\",\"function\":"
                              "{\"name\":\"look\",\"description\":\"Looks\","
                              "\"parameters\":{\"type\":\"object\","
                              "\"properties\":{\"unit\":{\"type\":\"string\","
                              "\"description\":\"Of it\","
                              "\"enum\":[\"c\",\"f\"]}}}}}]"),
               7 + 4 + 5 + 3 + (3 + 2 + 4 + 6 + 5) + 2 * (3 + 1) + 12,
               "a parameter with values");

    tokens.pattern = SP_BPE_CL100K_BASE;

    TAP_IS_INT(tools(&tokens, "[{\"type\":\"function\",\"function\":"
                              "{\"name\":\"look\"}}]"),
               10 + 4 + 12, "for older models");
}


/* data that stayed in the text counts by its length, and is not read */

static void
test_bulk(void)
{
    char               *text;
    size_t              head, len;
    sp_tokens_t         tokens;
    sp_chat_request_t  *chat;

    static const char  begin[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
        "\"input_audio\",\"input_audio\":{\"format\":\"mp3\",\"data\":\"";
    static const char  end[] = "\"}}]}]}";

    len = 213300;
    head = sizeof(begin) - 1;
    text = malloc(head + len + sizeof(end));

    if (text == NULL) {
        exit(1);
    }

    memcpy(text, begin, head);
    memset(text + head, 'A', len);
    memcpy(text + head + len, end, sizeof(end));

    counter(&tokens);
    chat = parse(text, head + len + sizeof(end) - 1);

    TAP_IS_INT(sp_tokens_message(&tokens, &chat->messages[0]), 4 + 1 + 100,
               "ten seconds of audio");

    sp_chat_free(chat);
    free(text);
}


/* each time another one */

static const sp_bpe_t *
bytes(void)
{
    int              i;
    char             text[8192], token[8];
    void            *block;
    size_t           len, size;
    uint8_t          byte;
    sp_bpe_error_t   error;
    static void     *blocks[64];
    static size_t    nblocks;

    len = 0;

    for (i = 0; i < 256; i++) {
        byte = (uint8_t) i;
        len += (size_t) snprintf(text + len, sizeof(text) - len, "%.*s %d\n",
                                 (int) sp_base64_encode(token, &byte, 1),
                                 token, i);
    }

    if (sp_bpe_size(text, len, &size, &error) != 0
        || nblocks == sizeof(blocks) / sizeof(blocks[0]))
    {
        exit(1);
    }

    block = calloc(1, size);

    if (block == NULL) {
        exit(1);
    }

    blocks[nblocks++] = block;

    return sp_bpe_build(text, len, SP_BPE_O200K_BASE, block, &error);
}


static void
counter(sp_tokens_t *tokens)
{
    memset(tokens, 0, sizeof(sp_tokens_t));

    tokens->bpe = bytes();
    tokens->work = &work;
    tokens->effort = SP_TOKENS_EFFORT;
}


static sp_chat_request_t *
parse(const char *text, size_t len)
{
    json_t                  *root;
    sp_json_limits_t         limits;
    sp_chat_request_t       *chat;
    static sp_chat_error_t   error;

    memset(&limits, 0, sizeof(limits));
    limits.bulky = sp_openai.bulky;

    if (sp_json_parse(text, len, &limits, &root, NULL) != SP_JSON_OK) {
        exit(1);
    }

    chat = sp_openai.parse_request(root, &error);

    if (chat == NULL) {
        printf("# %s\n", error.message);
        exit(1);
    }

    return chat;
}


static size_t
message(sp_tokens_t *tokens, const char *json)
{
    int                 len;
    char                text[2048];
    size_t              n;
    sp_chat_request_t  *chat;

    len = snprintf(text, sizeof(text), "{\"messages\":[%s]}", json);
    chat = parse(text, (size_t) len);
    n = sp_tokens_message(tokens, &chat->messages[0]);

    sp_chat_free(chat);

    return n;
}


static size_t
tools(sp_tokens_t *tokens, const char *json)
{
    int                 len;
    char                text[2048];
    size_t              n;
    sp_chat_request_t  *chat;

    len = snprintf(text, sizeof(text), "{\"messages\":[{\"role\":\"user\","
                   "\"content\":\"x\"}],\"tools\":%s}", json);
    chat = parse(text, (size_t) len);
    n = sp_tokens_tools(tokens, chat);

    sp_chat_free(chat);

    return n;
}
