/*
 * Copyright (C) Sallyport authors
 *
 * A vocabulary of a few words; what real ones say is compared with
 * gpt-tokenizer in t/bpe.
 */

#include "tap.h"

#include "sp_base64.h"
#include "sp_bpe.h"


#define BYTES   256
#define MAX     200000


typedef struct {
    const char        *text;
    sp_bpe_pattern_e   pattern;
    const char        *pieces;       /* with "|" between them */
} split_t;


typedef struct {
    const char        *text;
    size_t             line;
    const char        *reason;
} file_t;


static void test_split(void);
static void test_merge(void);
static void test_long(void);
static void test_effort(void);
static void test_files(void);

static const sp_bpe_t *words(const char *const *list);
static size_t bytes(char *text, size_t size, size_t *n);
static const sp_bpe_t *build(const char *text, size_t len,
    sp_bpe_error_t *error);
static const char *ids_of(const sp_bpe_t *bpe, const char *text, size_t len);


static sp_bpe_work_t  work;


int
main(void)
{
    test_split();
    test_merge();
    test_long();
    test_effort();
    test_files();

    return tap_done();
}


static void
test_split(void)
{
    char         got[256];
    size_t       i, n;
    const char  *end, *last, *p;

    static const split_t  table[] = {
        { "Hello, world!", SP_BPE_O200K_BASE, "Hello|,| world|!" },
        { "I'LL don't", SP_BPE_O200K_BASE, "I'LL| don't" },
        { "I'LL don't", SP_BPE_CL100K_BASE, "I|'LL| don|'t" },
        { "camelCase HTTPServer", SP_BPE_O200K_BASE,
          "camel|Case| HTTPServer" },
        { "camelCase HTTPServer", SP_BPE_CL100K_BASE,
          "camelCase| HTTPServer" },
        { "123456 7", SP_BPE_O200K_BASE, "123|456| |7" },
        { "a  b", SP_BPE_O200K_BASE, "a| | b" },
        { "a \n  b", SP_BPE_O200K_BASE, "a| \n| | b" },
        { "a\n  ", SP_BPE_O200K_BASE, "a|\n|  " },
        { "a\n  ", SP_BPE_CL100K_BASE, "a|\n  " },
        { "x //\n/y", SP_BPE_O200K_BASE, "x| //\n/|y" },
        { "x //\n/y", SP_BPE_CL100K_BASE, "x| //\n|/y" },
        { "\tx\xc2\x85y", SP_BPE_O200K_BASE, "\tx|\xc2\x85y" },
        { "A\xcc\x80" "B\xcc\x80" "C", SP_BPE_O200K_BASE,
          "A\xcc\x80" "B\xcc\x80|C" },
        { "\xcc\x80" "AB", SP_BPE_O200K_BASE, "\xcc\x80|AB" },
        { "\xcc\x80" "AB", SP_BPE_CL100K_BASE, "\xcc\x80" "AB" },
        { "a\xff\xfe" "b\xe4\xbd", SP_BPE_O200K_BASE,
          "a|\xff\xfe|b|\xe4\xbd" },
        { "a\xef\xbb\xbf" "b", SP_BPE_O200K_BASE, "a|\xef\xbb\xbf" "b" },
        { "''s", SP_BPE_CL100K_BASE, "''|s" },
        { "'", SP_BPE_O200K_BASE, "'" },
        { "'l", SP_BPE_CL100K_BASE, "'l" }
    };

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        n = 0;
        last = table[i].text + strlen(table[i].text);

        for (p = table[i].text; p < last; p = end) {
            end = sp_bpe_split(table[i].pattern, p, last);

            if (n != 0) {
                got[n++] = '|';
            }

            memcpy(got + n, p, (size_t) (end - p));
            n += (size_t) (end - p);
        }

        TAP_IS_MEM(got, n, table[i].pieces, strlen(table[i].pieces),
                   "split %zu", i);
    }
}


static void
test_merge(void)
{
    const sp_bpe_t  *bpe;

    /* ranks from 256 on */

    static const char *const  list[] = {
        "bc", "ab", "cd", "abc", "aa", "aaaa", "xyzzy", "yz", "zy", NULL
    };

    bpe = words(list);

    TAP_IS_INT(sp_bpe_tokens(bpe), 265, "tokens");
    TAP_IS_STR(ids_of(bpe, "", 0), "", "no text");
    TAP_IS_STR(ids_of(bpe, "a", 1), "97", "a byte");
    TAP_IS_STR(ids_of(bpe, "abcd", 4), "259,100", "the lowest rank first");
    TAP_IS_STR(ids_of(bpe, "abc", 3), "259", "a piece that is a token");
    TAP_IS_STR(ids_of(bpe, "xabc", 4), "120,259", "a part that is one");
    TAP_IS_STR(ids_of(bpe, "aaa", 3), "260,97", "of one rank the leftmost");
    TAP_IS_STR(ids_of(bpe, "aaaaaaa", 7), "261,260,97", "merges of merges");
    TAP_IS_STR(ids_of(bpe, "xyzzy", 5), "262", "a token that no merge makes");
    TAP_IS_STR(ids_of(bpe, "yzy", 3), "263,121", "what was merged is gone");
    TAP_IS_STR(ids_of(bpe, "a\0b", 3), "97,0,98", "a NUL is a byte");
    TAP_IS_STR(ids_of(bpe, "\xff\xc3", 2), "255,195", "broken UTF-8");
}


/* longer than a piece may be, and not quadratic: it would take minutes */

static void
test_long(void)
{
    size_t           effort, n;
    const sp_bpe_t  *bpe;
    static char      text[MAX];

    static const char *const  list[] = { "aa", "aaaa", NULL };

    bpe = words(list);
    memset(text, 'a', MAX);

    n = 0;
    effort = SIZE_MAX;

    TAP_IS_INT(sp_bpe_count(bpe, &work, text, MAX, &n, &effort), MAX,
               "a long run, all of it");

    /* 65535 is 16383 times four and three: two tokens more */

    TAP_IS_INT(n, 3 * (16383 + 2) + (MAX - 3 * SP_BPE_PIECE + 3) / 4 + 1,
               "cut at 65535 bytes, a token or two more");
}


static void
test_effort(void)
{
    size_t           effort, n;
    const sp_bpe_t  *bpe;

    static const char *const  list[] = { "one", " two", NULL };

    bpe = words(list);

    n = 0;
    effort = 100;

    TAP_IS_INT(sp_bpe_count(bpe, &work, "one two", 7, &n, &effort), 7,
               "enough for all");
    TAP_IS_INT(n, 2, "two tokens");
    TAP_IS_INT(effort, 93, "a byte of a token costs one");

    n = 0;
    effort = 3;

    TAP_IS_INT(sp_bpe_count(bpe, &work, "one two", 7, &n, &effort), 3,
               "enough for one piece");
    TAP_IS_INT(n, 1, "one token");
    TAP_IS_INT(effort, 0, "nothing is left");

    TAP_IS_INT(sp_bpe_count(bpe, &work, "one", 3, &n, &effort), 0,
               "nothing goes without");

    effort = 1000;

    (void) sp_bpe_count(bpe, &work, "xy", 2, &n, &effort);
    TAP_OK(effort < 1000 - 2 * SP_BPE_MERGE, "merging costs more");
}


static void
test_files(void)
{
    char             text[8192];
    size_t           i, len, n, size;
    sp_bpe_error_t   error;

    static const file_t  table[] = {
        { "YQ==\n", 257, "a line is not \"base64 rank\"" },
        { "YWI= \n", 257, "a line is not \"base64 rank\"" },
        { " 256\n", 257, "a line is not \"base64 rank\"" },
        { "\n", 257, "a line is not \"base64 rank\"" },
        { "YWI= 256 \n", 257, "a line is not \"base64 rank\"" },
        { "YWI= 256\r\n", 257, "a line is not \"base64 rank\"" },
        { "YWI= x\n", 257, "a line is not \"base64 rank\"" },
        { "YWI= 99999999999999999999\n", 257,
          "a line is not \"base64 rank\"" },
        { "YWI 256\n", 257, "a token is not base64 of 1 to 255 bytes" },
        { "Y_I= 256\n", 257, "a token is not base64 of 1 to 255 bytes" },
        { "YWI= 257\n", 257, "ranks do not count from 0" },
        { "YWI= 256\nYWI= 257\n", 258, "a token is there twice" },
        { "YQ== 256\n", 257, "a token is there twice" }
    };

    len = bytes(text, sizeof(text), &n);

    TAP_OK(build(text, len, &error) != NULL, "bytes alone are a vocabulary");
    TAP_OK(build(text, len - 1, &error) != NULL, "no newline at the end");

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        strcpy(text + len, table[i].text);

        TAP_OK(build(text, strlen(text), &error) == NULL, "file %zu", i);
        TAP_IS_INT(error.line, table[i].line, "its line");
        TAP_IS_STR(error.reason, table[i].reason, "its reason");
    }

    TAP_OK(build("AA== 0\n", 7, &error) == NULL, "a byte is missing");
    TAP_IS_INT(error.line, 0, "in no line");
    TAP_IS_STR(error.reason, "not every byte is a token", "the reason");

    TAP_IS_INT(sp_bpe_size("", 0, &size, &error), -1, "an empty file");
    TAP_IS_STR(error.reason, "it is empty", "the reason");
    TAP_IS_INT(sp_bpe_size(text, SP_BPE_MAX_BYTES + 1, &size, &error), -1,
               "a file that is too large");
    TAP_IS_STR(error.reason, "it is too large", "the reason");
}


static const sp_bpe_t *
words(const char *const *list)
{
    char             text[16384], token[64];
    size_t           len, n;
    const sp_bpe_t  *bpe;
    sp_bpe_error_t   error;

    len = bytes(text, sizeof(text), &n);

    for ( /* void */ ; *list != NULL; list++) {
        len += (size_t) snprintf(text + len, sizeof(text) - len, "%.*s %zu\n",
                                 (int) sp_base64_encode(token,
                                     (const uint8_t *) *list, strlen(*list)),
                                 token, n++);
    }

    bpe = build(text, len, &error);

    if (bpe == NULL) {
        printf("# %zu: %s\n", error.line, error.reason);
        exit(1);
    }

    return bpe;
}


static size_t
bytes(char *text, size_t size, size_t *n)
{
    char     token[8];
    size_t   len;
    uint8_t  byte;

    len = 0;

    for (*n = 0; *n < BYTES; (*n)++) {
        byte = (uint8_t) *n;
        len += (size_t) snprintf(text + len, size - len, "%.*s %zu\n",
                                 (int) sp_base64_encode(token, &byte, 1),
                                 token, *n);
    }

    return len;
}


/* blocks live as long as the test */

static const sp_bpe_t *
build(const char *text, size_t len, sp_bpe_error_t *error)
{
    void            *block;
    size_t           size;
    const sp_bpe_t  *bpe;
    static void     *blocks[64];
    static size_t    nblocks;

    if (sp_bpe_size(text, len, &size, error) != 0) {
        return NULL;
    }

    block = calloc(1, size);

    if (block == NULL || nblocks == sizeof(blocks) / sizeof(blocks[0])) {
        exit(1);
    }

    bpe = sp_bpe_build(text, len, SP_BPE_O200K_BASE, block, error);

    if (bpe == NULL) {
        free(block);
        return NULL;
    }

    blocks[nblocks++] = block;

    return bpe;
}


static const char *
ids_of(const sp_bpe_t *bpe, const char *text, size_t len)
{
    int          used;
    size_t       i, n;
    uint32_t     ids[64];
    static char  list[512];

    used = 0;
    list[0] = '\0';
    n = sp_bpe_encode(bpe, &work, text, len, ids, 64);

    for (i = 0; i < n; i++) {
        used += snprintf(list + used, sizeof(list) - (size_t) used, "%s%u",
                         i == 0 ? "" : ",", ids[i]);
    }

    return list;
}
