
/*
 * Copyright (C) Sallyport authors
 *
 * Keccak-f[1600] as in FIPS 202, section 3; lanes are little-endian and
 * state[x + 5 * y].
 */

#include <string.h>

#include <openssl/crypto.h>

#include "sp_keccak.h"


#define sp_rotl(v, n)  ((v) << (n) | (v) >> (64 - (n)))


static void sp_keccak_absorb(sp_keccak_t *keccak, size_t pos, uint8_t byte);
static void sp_keccak_block(uint64_t *state, const uint8_t *data);
static void sp_keccak_f(uint64_t *state);


static const uint64_t  sp_keccak_rounds[24] = {
    0x0000000000000001ULL, 0x0000000000008082ULL, 0x800000000000808aULL,
    0x8000000080008000ULL, 0x000000000000808bULL, 0x0000000080000001ULL,
    0x8000000080008081ULL, 0x8000000000008009ULL, 0x000000000000008aULL,
    0x0000000000000088ULL, 0x0000000080008009ULL, 0x000000008000000aULL,
    0x000000008000808bULL, 0x800000000000008bULL, 0x8000000000008089ULL,
    0x8000000000008003ULL, 0x8000000000008002ULL, 0x8000000000000080ULL,
    0x000000000000800aULL, 0x800000008000000aULL, 0x8000000080008081ULL,
    0x8000000000008080ULL, 0x0000000080000001ULL, 0x8000000080008008ULL
};

/* rho and pi walk the lanes in one cycle that starts at lane 1 */

static const uint8_t  sp_keccak_rho[24] = {
    1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14,
    27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44
};

static const uint8_t  sp_keccak_pi[24] = {
    10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4,
    15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1
};


void
sp_keccak256_init(sp_keccak_t *keccak)
{
    memset(keccak, 0, sizeof(sp_keccak_t));
}


void
sp_keccak256_update(sp_keccak_t *keccak, const void *data, size_t len)
{
    const uint8_t  *p;

    p = data;

    while (len != 0) {

        if (keccak->pos == 0 && len >= SP_KECCAK256_RATE) {
            sp_keccak_block(keccak->state, p);
            p += SP_KECCAK256_RATE;
            len -= SP_KECCAK256_RATE;
            continue;
        }

        sp_keccak_absorb(keccak, keccak->pos++, *p++);
        len--;

        if (keccak->pos == SP_KECCAK256_RATE) {
            sp_keccak_f(keccak->state);
            keccak->pos = 0;
        }
    }
}


void
sp_keccak256_final(sp_keccak_t *keccak, uint8_t hash[SP_KECCAK256_LEN])
{
    size_t  i;

    sp_keccak_absorb(keccak, keccak->pos, 0x01);
    sp_keccak_absorb(keccak, SP_KECCAK256_RATE - 1, 0x80);
    sp_keccak_f(keccak->state);

    for (i = 0; i < SP_KECCAK256_LEN; i++) {
        hash[i] = (uint8_t) (keccak->state[i / 8] >> (8 * (i % 8)));
    }

    OPENSSL_cleanse(keccak, sizeof(sp_keccak_t));
}


void
sp_keccak256(uint8_t hash[SP_KECCAK256_LEN], const void *data, size_t len)
{
    sp_keccak_t  keccak;

    sp_keccak256_init(&keccak);
    sp_keccak256_update(&keccak, data, len);
    sp_keccak256_final(&keccak, hash);
}


static void
sp_keccak_absorb(sp_keccak_t *keccak, size_t pos, uint8_t byte)
{
    keccak->state[pos / 8] ^= (uint64_t) byte << (8 * (pos % 8));
}


static void
sp_keccak_block(uint64_t *state, const uint8_t *data)
{
    size_t    i, k;
    uint64_t  lane;

    for (i = 0; i < SP_KECCAK256_RATE / 8; i++) {
        lane = 0;

        for (k = 8; k > 0; k--) {
            lane = lane << 8 | data[8 * i + k - 1];
        }

        state[i] ^= lane;
    }

    sp_keccak_f(state);
}


static void
sp_keccak_f(uint64_t *state)
{
    size_t    i, round, x;
    uint64_t  c[5], lane, row[5], saved;

    for (round = 0; round < 24; round++) {

        /* theta */

        for (x = 0; x < 5; x++) {
            c[x] = state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15]
                   ^ state[x + 20];
        }

        for (i = 0; i < 25; i++) {
            x = i % 5;
            state[i] ^= c[(x + 4) % 5] ^ sp_rotl(c[(x + 1) % 5], 1);
        }

        /* rho, pi */

        lane = state[1];

        for (i = 0; i < 24; i++) {
            saved = state[sp_keccak_pi[i]];
            state[sp_keccak_pi[i]] = sp_rotl(lane, sp_keccak_rho[i]);
            lane = saved;
        }

        /* chi, row by row */

        for (i = 0; i < 25; i += 5) {
            memcpy(row, &state[i], sizeof(row));

            for (x = 0; x < 5; x++) {
                state[i + x] = row[x] ^ (~row[(x + 1) % 5]
                                         & row[(x + 2) % 5]);
            }
        }

        /* iota */

        state[0] ^= sp_keccak_rounds[round];
    }
}
