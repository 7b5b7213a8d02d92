
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

#include "sp_siphash.h"


#define sp_siphash_rotl(x, b)  ((x) << (b) | (x) >> (64 - (b)))

#define sp_siphash_round(v)                                                  \
    do {                                                                     \
        (v)[0] += (v)[1];                                                    \
        (v)[1] = sp_siphash_rotl((v)[1], 13) ^ (v)[0];                       \
        (v)[0] = sp_siphash_rotl((v)[0], 32);                                \
        (v)[2] += (v)[3];                                                    \
        (v)[3] = sp_siphash_rotl((v)[3], 16) ^ (v)[2];                       \
        (v)[0] += (v)[3];                                                    \
        (v)[3] = sp_siphash_rotl((v)[3], 21) ^ (v)[0];                       \
        (v)[2] += (v)[1];                                                    \
        (v)[1] = sp_siphash_rotl((v)[1], 17) ^ (v)[2];                       \
        (v)[2] = sp_siphash_rotl((v)[2], 32);                                \
    } while (0)


static uint64_t sp_siphash_load(const uint8_t *p);
static uint64_t sp_siphash_rest(const uint8_t *p, size_t len);
static void sp_siphash_store(uint8_t *p, uint64_t value);


void
sp_siphash(uint8_t hash[SP_SIPHASH_LEN],
    const uint8_t key[SP_SIPHASH_KEY_LEN], const void *data, size_t len)
{
    size_t          i, left;
    uint64_t        k0, k1, m, v[4];
    const uint8_t  *p;

    p = data;
    left = len;

    k0 = sp_siphash_load(key);
    k1 = sp_siphash_load(key + 8);

    v[0] = 0x736f6d6570736575ULL ^ k0;
    v[1] = 0x646f72616e646f6dULL ^ k1 ^ 0xee;
    v[2] = 0x6c7967656e657261ULL ^ k0;
    v[3] = 0x7465646279746573ULL ^ k1;

    for ( /* void */ ; left >= 8; left -= 8, p += 8) {
        m = sp_siphash_load(p);

        v[3] ^= m;
        sp_siphash_round(v);
        sp_siphash_round(v);
        v[0] ^= m;
    }

    m = sp_siphash_rest(p, left) | (uint64_t) (len & 0xff) << 56;

    v[3] ^= m;
    sp_siphash_round(v);
    sp_siphash_round(v);
    v[0] ^= m;

    v[2] ^= 0xee;

    for (i = 0; i < 4; i++) {
        sp_siphash_round(v);
    }

    sp_siphash_store(hash, v[0] ^ v[1] ^ v[2] ^ v[3]);

    v[1] ^= 0xdd;

    for (i = 0; i < 4; i++) {
        sp_siphash_round(v);
    }

    sp_siphash_store(hash + 8, v[0] ^ v[1] ^ v[2] ^ v[3]);
}


/* little-endian; written out, compilers make one load of it */

static uint64_t
sp_siphash_load(const uint8_t *p)
{
    return (uint64_t) p[0]
           | (uint64_t) p[1] << 8
           | (uint64_t) p[2] << 16
           | (uint64_t) p[3] << 24
           | (uint64_t) p[4] << 32
           | (uint64_t) p[5] << 40
           | (uint64_t) p[6] << 48
           | (uint64_t) p[7] << 56;
}


static uint64_t
sp_siphash_rest(const uint8_t *p, size_t len)
{
    size_t    i;
    uint64_t  value;

    value = 0;

    for (i = 0; i < len; i++) {
        value |= (uint64_t) p[i] << (8 * i);
    }

    return value;
}


static void
sp_siphash_store(uint8_t *p, uint64_t value)
{
    size_t  i;

    for (i = 0; i < 8; i++) {
        p[i] = (uint8_t) (value >> (8 * i));
    }
}
