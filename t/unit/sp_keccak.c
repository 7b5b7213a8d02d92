
/*
 * Copyright (C) Sallyport authors
 */

#include "sp_hex.h"
#include "sp_keccak.h"

#include "tap.h"


/* 0x61 repeated; computed with Crypt::Digest::Keccak256 */

static const struct {
    size_t       len;
    const char  *hash;
} cases[] = {
    { 0, "c5d2460186f7233c927e7db2dcc703c0"
      "e500b653ca82273b7bfad8045d85a470" },
    { 1, "3ac225168df54212a25c1c01fd35bebf"
      "ea408fdac2e31ddd6f80a4bbf9a5f1cb" },
    { 31, "66e65e3db98364fa401e7d5607575d2b"
      "f3fdb203a05bda6680f3e3592779b75a" },
    { 32, "47a01324181e85459310f8fb9b24dc09"
      "744323ebdcef26cbf98959effdc76e02" },
    { 134, "e5de5653994e2fa6729d329b65b5f332"
      "dee942a7ea54515e173824c232a4ff91" },
    { 135, "34367dc248bbd832f4e3e69dfaac2f92"
      "638bd0bbd18f2912ba4ef454919cf446" },
    { 136, "a6c4d403279fe3e0af03729caada8374"
      "b5ca54d8065329a3ebcaeb4b60aa386e" },
    { 137, "d869f639c7046b4929fc92a4d988a8b2"
      "2c55fbadb802c0c66ebcd484f1915f39" },
    { 271, "132f47effd6c8b1b299efa53fe68aece"
      "77ec8ae4eb2e294f668eec94f76001e1" },
    { 272, "cf7fcd4f705ee749930d19ca84561a9b"
      "f62516bd90a471545fa2f49fdc7e63c8" },
    { 273, "5a7b8187d2778e614097fac3097573de"
      "1fee4d972304d3360796a857029bb176" },
    { 1000, "b6a4ac1f51884d71f30fa397a5e155de"
      "3099e11fc0edef5d08b646e621e19de9" },
};


int
main(void)
{
    char         hex[64];
    size_t       i, k;
    uint8_t      data[1000], hash[32];
    sp_keccak_t  keccak;

    memset(data, 'a', sizeof(data));

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sp_keccak256(hash, data, cases[i].len);
        sp_hex_encode(hex, hash, sizeof(hash));
        TAP_IS_MEM(hex, 64, cases[i].hash, 64, "%zu bytes", cases[i].len);

        for (k = 1; k < 300; k += 67) {
            size_t  n, pos;

            sp_keccak256_init(&keccak);

            for (pos = 0; pos < cases[i].len; pos += n) {
                n = cases[i].len - pos < k ? cases[i].len - pos : k;
                sp_keccak256_update(&keccak, data + pos, n);
            }

            sp_keccak256_final(&keccak, hash);
            sp_hex_encode(hex, hash, sizeof(hash));
            TAP_IS_MEM(hex, 64, cases[i].hash, 64, "%zu bytes in steps of "
                       "%zu", cases[i].len, k);
        }
    }

    return tap_done();
}
