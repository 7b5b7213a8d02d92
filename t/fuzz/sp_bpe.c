
/*
 * Copyright (C) Sallyport authors
 *
 * Input: a byte, then the text of a vocabulary or a text.  The lowest bit
 * says which, the next one the pattern.  Of a text: pieces follow each other
 * to its end, and counting piece by piece agrees with encoding the whole; an
 * estimate is within reason.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sp_base64.h"
#include "sp_bpe.h"
#include "sp_tokens.h"


#define MAX_TEXT  4096


static void read_file(const char *text, size_t len);
static void read_text(const sp_bpe_t *bpe, const char *text, size_t len);
static const sp_bpe_t *build(const char *text, size_t len,
    sp_bpe_pattern_e pattern);
static const sp_bpe_t *small(sp_bpe_pattern_e pattern);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static sp_bpe_work_t  work;

/* what the made vocabulary has beside all bytes */
static const char *const  words[] = {
    "th", "he", "the", " t", " the", "er", "aa", "aaaa", "aaaaaaaa", "  ",
    "    ", "\n\n", "ll", "'ll", "12", "123", "\xd0\xb0", "\xe4\xbd",
    "\xe4\xbd\xa0", "a\xcc\x80", "ab", "abab", "ba", "//", "xyzzy-nothing"
};

#define NWORDS  (sizeof(words) / sizeof(words[0]))


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                    *text;
    static const sp_bpe_t   *bpe[2];

    if (size < 1 || size > MAX_TEXT) {
        return 0;
    }

    if (bpe[0] == NULL) {
        bpe[0] = small(SP_BPE_CL100K_BASE);
        bpe[1] = small(SP_BPE_O200K_BASE);
    }

    /* a copy of its own: a byte too far is seen */

    text = malloc(size - 1);

    if (text == NULL && size != 1) {
        abort();
    }

    if (size != 1) {
        memcpy(text, data + 1, size - 1);
    }

    if (data[0] & 1) {
        read_file(text, size - 1);

    } else {
        read_text(bpe[data[0] >> 1 & 1], text, size - 1);
    }

    free(text);

    return 0;
}


static void
read_file(const char *text, size_t len)
{
    const sp_bpe_t  *bpe;

    bpe = build(text, len, SP_BPE_O200K_BASE);

    if (bpe != NULL) {
        read_text(bpe, text, len);
        free((void *) (uintptr_t) bpe);
    }
}


static void
read_text(const sp_bpe_t *bpe, const char *text, size_t len)
{
    size_t            at, effort, n, tokens;
    const char       *end, *last, *p;
    sp_bpe_pattern_e  i;
    static uint32_t   ids[MAX_TEXT];

    n = sp_bpe_encode(bpe, &work, text, len, ids, MAX_TEXT);

    if (n > len || (n == 0) != (len == 0)) {
        abort();
    }

    tokens = 0;

    for (at = 0; at < len; /* void */) {
        effort = 1;
        at += sp_bpe_count(bpe, &work, text + at, len - at, &tokens, &effort);

        if (effort != 0) {
            abort();
        }
    }

    if (tokens != n) {
        abort();
    }

    for (i = SP_BPE_O200K_BASE; i <= SP_BPE_CL100K_BASE; i++) {
        n = sp_tokens_estimate(i, text, len);

        if ((n == 0) != (len == 0) || n > 5 * len) {
            abort();
        }
    }

    last = text + len;

    for (p = text; p < last; p = end) {
        end = sp_bpe_split(SP_BPE_O200K_BASE, p, last);

        if (end <= p || end > last) {
            abort();
        }
    }
}


static const sp_bpe_t *
build(const char *text, size_t len, sp_bpe_pattern_e pattern)
{
    void            *block;
    size_t           size;
    const sp_bpe_t  *bpe;
    sp_bpe_error_t   error;

    if (sp_bpe_size(text, len, &size, &error) != 0) {
        return NULL;
    }

    block = calloc(1, size);

    if (block == NULL) {
        abort();
    }

    bpe = sp_bpe_build(text, len, pattern, block, &error);

    if (bpe == NULL) {
        free(block);
    }

    return bpe;
}


static const sp_bpe_t *
small(sp_bpe_pattern_e pattern)
{
    char     token[64], text[16384];
    size_t   i, len, n;
    uint8_t  byte;

    len = 0;

    for (i = 0; i < 256 + NWORDS; i++) {
        byte = (uint8_t) i;

        n = (i < 256) ? sp_base64_encode(token, &byte, 1)
                      : sp_base64_encode(token,
                                         (const uint8_t *) words[i - 256],
                                         strlen(words[i - 256]));

        len += (size_t) snprintf(text + len, sizeof(text) - len,
                                 "%.*s %zu\n", (int) n, token, i);
    }

    return build(text, len, pattern);
}
