
/*
 * Copyright (C) Sallyport authors
 *
 * A vocabulary, out of the text of its file.
 */

#include "sp_base64.h"
#include "sp_bpe_int.h"


/* one line of a file */
typedef struct {
    const char  *token;          /* base64 */
    size_t       len;
    uint32_t     rank;
} sp_bpe_line_t;


static int sp_bpe_line(const char **p, const char *last,
    sp_bpe_line_t *line);
static int sp_bpe_fail(sp_bpe_error_t *error, size_t line,
    const char *reason);
static const char *sp_bpe_add(sp_bpe_t *bpe, const sp_bpe_line_t *line,
    uint32_t *offset);
static int sp_bpe_insert(sp_bpe_t *bpe, uint32_t offset, size_t len,
    uint32_t rank);
static size_t sp_bpe_lines(const char *text, size_t len);
static size_t sp_bpe_slots(size_t ntokens);


int
sp_bpe_size(const char *text, size_t len, size_t *size,
    sp_bpe_error_t *error)
{
    size_t  n;

    if (len > SP_BPE_MAX_BYTES) {
        return sp_bpe_fail(error, 0, "it is too large");
    }

    n = sp_bpe_lines(text, len);

    if (n == 0) {
        return sp_bpe_fail(error, 0, "it is empty");
    }

    if (n > SP_BPE_MAX_TOKENS) {
        return sp_bpe_fail(error, 0, "it has too many tokens");
    }

    /* a token has fewer bytes than its line */

    *size = sizeof(sp_bpe_t) + sp_bpe_slots(n) * sizeof(sp_bpe_slot_t) + len;

    return SP_OK;
}


const sp_bpe_t *
sp_bpe_build(const char *text, size_t len, sp_bpe_pattern_e pattern,
    void *block, sp_bpe_error_t *error)
{
    size_t          i, n;
    uint32_t        offset;
    sp_bpe_t       *bpe;
    const char     *last, *p, *reason;
    sp_bpe_line_t   line;

    bpe = block;

    bpe->pattern = pattern;
    bpe->mask = sp_bpe_slots(sp_bpe_lines(text, len)) - 1;
    bpe->slots = (sp_bpe_slot_t *) (bpe + 1);
    bpe->bytes = (uint8_t *) (bpe->slots + bpe->mask + 1);

    memset(bpe->byte, 0xff, sizeof(bpe->byte));
    memset(bpe->two, 0xff, sizeof(bpe->two));

    p = text;
    last = text + len;
    offset = 0;

    for (n = 1; p < last; n++) {
        reason = (sp_bpe_line(&p, last, &line) == SP_OK)
                 ? sp_bpe_add(bpe, &line, &offset)
                 : "a line is not \"base64 rank\"";

        if (reason != NULL) {
            (void) sp_bpe_fail(error, n, reason);
            return NULL;
        }
    }

    for (i = 0; i < 256; i++) {
        if (bpe->byte[i] == SP_BPE_NONE) {
            (void) sp_bpe_fail(error, 0, "not every byte is a token");
            return NULL;
        }
    }

    return bpe;
}


size_t
sp_bpe_tokens(const sp_bpe_t *bpe)
{
    return bpe->ntokens;
}


static int
sp_bpe_line(const char **p, const char *last, sp_bpe_line_t *line)
{
    uint32_t     rank;
    const char  *q;

    q = *p;

    while (q < last && *q != ' ' && *q != '\n') {
        q++;
    }

    line->token = *p;
    line->len = (size_t) (q - *p);

    if (line->len == 0 || q == last || *q == '\n') {
        return SP_ERROR;
    }

    q++;

    if (q == last || *q == '\n') {
        return SP_ERROR;
    }

    for (rank = 0; q < last && *q >= '0' && *q <= '9'; q++) {
        rank = rank * 10 + (uint32_t) (*q - '0');

        if (rank >= 2 * SP_BPE_MAX_TOKENS) {
            return SP_ERROR;
        }
    }

    if (q < last && *q++ != '\n') {
        return SP_ERROR;
    }

    line->rank = rank;
    *p = q;

    return SP_OK;
}


/* NULL, or what is wrong with the line */

static const char *
sp_bpe_add(sp_bpe_t *bpe, const sp_bpe_line_t *line, uint32_t *offset)
{
    size_t    len;
    uint8_t  *p;

    p = bpe->bytes + *offset;

    if (sp_base64_decode(p, line->len / 4 * 3, &len, line->token, line->len)
        != SP_OK
        || len > SP_BPE_MAX_TOKEN)
    {
        return "a token is not base64 of 1 to 255 bytes";
    }

    if (line->rank != bpe->ntokens) {
        return "ranks do not count from 0";
    }

    if (sp_bpe_insert(bpe, *offset, len, line->rank) != SP_OK) {
        return "a token is there twice";
    }

    if (len == 1) {
        bpe->byte[p[0]] = line->rank;

    } else if (len == 2) {
        bpe->two[p[0] << 8 | p[1]] = line->rank;
    }

    if (len > bpe->longest) {
        bpe->longest = len;
    }

    bpe->ntokens++;
    *offset += (uint32_t) len;

    return NULL;
}


static int
sp_bpe_insert(sp_bpe_t *bpe, uint32_t offset, size_t len, uint32_t rank)
{
    sp_bpe_slot_t  *slot;

    slot = sp_bpe_find(bpe, bpe->bytes + offset, len);

    if (slot->at != 0) {
        return SP_ERROR;
    }

    slot->key = sp_bpe_key(bpe->bytes + offset, len);
    slot->rank = rank;
    slot->at = sp_bpe_at(offset, len);

    return SP_OK;
}


static size_t
sp_bpe_lines(const char *text, size_t len)
{
    size_t       n;
    const char  *last, *p;

    last = text + len;

    for (n = 0; text < last; n++) {
        p = memchr(text, '\n', (size_t) (last - text));
        text = (p != NULL) ? p + 1 : last;
    }

    return n;
}


/* at least half of them stay free */

static size_t
sp_bpe_slots(size_t ntokens)
{
    size_t  n;

    n = 1024;

    while (n < 2 * ntokens) {
        n *= 2;
    }

    return n;
}


static int
sp_bpe_fail(sp_bpe_error_t *error, size_t line, const char *reason)
{
    error->line = line;
    error->reason = reason;

    return SP_ERROR;
}
