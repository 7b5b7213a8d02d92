
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

#include "sp_tokens.h"


static size_t sp_tokens_count(sp_tokens_t *tokens, const char *text,
    size_t len);
static sp_tokens_entry_t *sp_tokens_entry(const sp_tokens_t *tokens,
    const char *text, size_t len, uint8_t hash[SP_SIPHASH_LEN]);


size_t
sp_tokens_text(sp_tokens_t *tokens, const char *text, size_t len)
{
    size_t              n;
    uint8_t             hash[SP_SIPHASH_LEN];
    unsigned            before;
    sp_tokens_entry_t  *entry;

    if (len == 0) {
        return 0;
    }

    if (tokens->bpe == NULL) {
        tokens->estimated = 1;
        return sp_tokens_estimate(tokens->pattern, text, len);
    }

    /* nothing so long is ever counted to its end */

    if (tokens->memo == NULL || len < SP_TOKENS_MEMO_MIN
        || len > SP_TOKENS_EFFORT)
    {
        return sp_tokens_count(tokens, text, len);
    }

    entry = sp_tokens_entry(tokens, text, len, hash);

    if (entry->tokens != 0
        && memcmp(entry->hash, hash, sizeof(entry->hash)) == 0)
    {
        return entry->tokens;
    }

    before = tokens->estimated;
    tokens->estimated = 0;

    n = sp_tokens_count(tokens, text, len);

    if (!tokens->estimated && n <= UINT32_MAX) {
        memcpy(entry->hash, hash, sizeof(entry->hash));
        entry->tokens = (uint32_t) n;
    }

    tokens->estimated |= before & 1;

    return n;
}


static size_t
sp_tokens_count(sp_tokens_t *tokens, const char *text, size_t len)
{
    size_t  done, n;

    n = 0;
    done = sp_bpe_count(tokens->bpe, tokens->work, text, len, &n,
                        &tokens->effort);

    if (done != len) {
        tokens->estimated = 1;
        n += sp_tokens_estimate(tokens->pattern, text + done, len - done);
    }

    return n;
}


/* where the count of this text is or belongs */

static sp_tokens_entry_t *
sp_tokens_entry(const sp_tokens_t *tokens, const char *text, size_t len,
    uint8_t hash[SP_SIPHASH_LEN])
{
    size_t    i;
    uint32_t  place;
    uint64_t  head;

    sp_siphash(hash, tokens->memo->key, text, len);

    /* one text has a count for each vocabulary */

    memcpy(&head, hash, sizeof(head));
    head ^= (uintptr_t) tokens->bpe;
    memcpy(hash, &head, sizeof(head));

    memcpy(&place, hash + SP_SIPHASH_LEN - sizeof(place), sizeof(place));
    i = (place ^ (uint32_t) head) % SP_TOKENS_MEMO;

    return &tokens->memo->entries[i];
}
