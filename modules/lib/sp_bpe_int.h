
/*
 * Copyright (C) Sallyport authors
 *
 * Private to sp_bpe*.c: the vocabulary as it lies in memory.
 */

#ifndef _SP_BPE_INT_H_INCLUDED_
#define _SP_BPE_INT_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sp_bpe.h"


#define SP_BPE_NONE   UINT32_MAX

/* of sp_bpe_slot_t.at */
#define sp_bpe_at(offset, len)   ((uint32_t) ((offset) << 8 | (len)))
#define sp_bpe_offset(at)        ((at) >> 8)
#define sp_bpe_len(at)           ((at) & 0xff)


typedef struct {
    uint64_t          key;       /* up to 8 bytes themselves, or a hash */
    uint32_t          rank;
    uint32_t          at;        /* where the bytes are; 0: a free slot */
} sp_bpe_slot_t;


struct sp_bpe_s {
    sp_bpe_pattern_e  pattern;
    size_t            ntokens;
    size_t            longest;           /* bytes of a token */
    uint64_t          mask;              /* slots - 1, a power of two */
    sp_bpe_slot_t    *slots;
    uint8_t          *bytes;             /* of all tokens, by rank */
    uint32_t          byte[256];         /* ranks of single bytes */
    uint32_t          two[65536];        /* of two bytes, or NONE */
};


static inline uint64_t
sp_bpe_mix(uint64_t a, uint64_t b)
{
    unsigned __int128  n;

    n = (unsigned __int128) (a ^ UINT64_C(0x9e3779b97f4a7c15))
        * (b ^ UINT64_C(0xd1b54a32d192ed03));

    return (uint64_t) n ^ (uint64_t) (n >> 64);
}


/* up to 8 bytes as a number; nothing behind them is read */

static inline uint64_t
sp_bpe_load(const uint8_t *p, size_t len)
{
    uint32_t  high, low;
    uint64_t  n;

    if (len >= 8) {
        memcpy(&n, p, 8);
        return n;
    }

    if (len >= 4) {
        memcpy(&low, p, 4);
        memcpy(&high, p + len - 4, 4);

        return low | (uint64_t) high << (8 * (len - 4));
    }

    if (len == 0) {
        return 0;
    }

    return p[0] | (uint64_t) p[len / 2] << (8 * (len / 2))
           | (uint64_t) p[len - 1] << (8 * (len - 1));
}


static inline uint64_t
sp_bpe_key(const uint8_t *p, size_t len)
{
    uint64_t  n;

    if (len <= 8) {
        return sp_bpe_load(p, len);
    }

    n = len;

    for ( /* void */ ; len > 8; p += 8, len -= 8) {
        n = sp_bpe_mix(n, sp_bpe_load(p, 8));
    }

    return sp_bpe_mix(n, sp_bpe_load(p, len));
}


/* where these bytes are, or the free slot where they belong */

static inline sp_bpe_slot_t *
sp_bpe_find(const sp_bpe_t *bpe, const uint8_t *p, size_t len)
{
    uint64_t        i, key;
    sp_bpe_slot_t  *slot;

    key = sp_bpe_key(p, len);

    for (i = sp_bpe_mix(key, len); /* void */ ; i++) {
        slot = &bpe->slots[i & bpe->mask];

        if (slot->at == 0
            || (slot->key == key && sp_bpe_len(slot->at) == len
                && (len <= 8
                    || memcmp(bpe->bytes + sp_bpe_offset(slot->at), p, len)
                       == 0)))
        {
            return slot;
        }
    }
}


/* the rank of these bytes, or NONE; len is not 0 */

static inline uint32_t
sp_bpe_rank(const sp_bpe_t *bpe, const uint8_t *p, size_t len)
{
    const sp_bpe_slot_t  *slot;

    if (len > bpe->longest) {
        return SP_BPE_NONE;
    }

    slot = sp_bpe_find(bpe, p, len);

    return (slot->at != 0) ? slot->rank : SP_BPE_NONE;
}


#endif /* _SP_BPE_INT_H_INCLUDED_ */
