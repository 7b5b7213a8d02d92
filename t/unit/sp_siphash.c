
/*
 * Copyright (C) Sallyport authors
 *
 * Against OpenSSL's SipHash, every length to 255.
 */

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "sp_siphash.h"

#include "tap.h"


int
main(void)
{
    int           bad;
    size_t        i, len, size;
    uint8_t       expected[16], hash[16], in[256], key[16];
    OSSL_PARAM    params[2];

    static const uint8_t  first[16] = {
        0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6,
        0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93
    };

    for (i = 0; i < sizeof(in); i++) {
        in[i] = (uint8_t) i;
        key[i % 16] = (uint8_t) (i % 16);
    }

    size = SP_SIPHASH_LEN;
    params[0] = OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size);
    params[1] = OSSL_PARAM_construct_end();

    bad = 0;

    for (i = 0; i < sizeof(in); i++) {
        sp_siphash(hash, key, in, i);

        if (EVP_Q_mac(NULL, "SIPHASH", NULL, NULL, params, key, sizeof(key),
                      in, i, expected, sizeof(expected), &len) == NULL
            || len != sizeof(hash) || memcmp(hash, expected, len) != 0)
        {
            bad++;
        }
    }

    TAP_IS_INT(bad, 0, "agrees with OpenSSL");

    sp_siphash(hash, key, in, 0);
    TAP_IS_MEM(hash, 16, first, 16, "the authors' first vector");

    return tap_done();
}
