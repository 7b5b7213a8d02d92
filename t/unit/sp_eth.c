
/*
 * Copyright (C) Sallyport authors
 */

#include "sp_eth.h"
#include "sp_hex.h"

#include "vectors.h"



typedef struct {
    const char  *text;
    int          strict;
    int          loose;
} address_t;


/* EIP-55's own examples, and what must not pass for one */

static const address_t addresses[] = {
    { "0x52908400098527886E0F7030069857D2E4169EE7", SP_OK, SP_OK },
    { "0xde709f2102306220921060314715629080e2fb77", SP_OK, SP_OK },
    { "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", SP_OK, SP_OK },
    { "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359", SP_OK, SP_OK },
    { "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", SP_OK, SP_OK },
    { "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb", SP_OK, SP_OK },
    { "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", SP_ERROR, SP_OK },
    { "0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED", SP_ERROR, SP_ERROR },
    { "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", SP_ERROR, SP_ERROR },
    { "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", SP_ERROR, SP_ERROR },
    { "0X5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", SP_ERROR, SP_ERROR },
    { "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe", SP_ERROR, SP_ERROR },
    { "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed0", SP_ERROR, SP_ERROR },
    { "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeg", SP_ERROR, SP_ERROR },
    { "", SP_ERROR, SP_ERROR },
};


static void check_address(const address_t *a);
static void check_signature(const secp256k1_context *secp);
static void check_bounds(void);
static void precompile(const secp256k1_context *secp);


int
main(void)
{
    char                text[43];
    size_t              i;
    uint8_t             address[20], hash[32], key[32];
    secp256k1_context  *secp;
    sp_eth_signature_t  signature;

    secp = secp256k1_context_create(SECP256K1_CONTEXT_NONE);

    for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        check_address(&addresses[i]);
    }

    check_signature(secp);
    check_bounds();
    precompile(secp);

    memset(key, 0x11, sizeof(key));
    text[42] = '\0';
    TAP_OK(sp_eth_key_address(secp, address, key) == SP_OK, "a key");
    sp_eth_address_encode(text, address);
    TAP_IS_STR(text, "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A",
               "its address");

    memset(hash, 0, sizeof(hash));
    memset(key, 0, sizeof(key));
    TAP_OK(sp_eth_key_address(secp, address, key) == SP_ERROR
           && sp_eth_sign(secp, &signature, hash, key) == SP_ERROR,
           "a key of zero");
    memset(key, 0xff, sizeof(key));
    TAP_OK(sp_eth_key_address(secp, address, key) == SP_ERROR
           && sp_eth_sign(secp, &signature, hash, key) == SP_ERROR,
           "a key over the order");

    secp256k1_context_destroy(secp);

    return tap_done();
}


static void
check_address(const address_t *a)
{
    char     text[42];
    size_t   len;
    uint8_t  address[20], zero[20];

    len = strlen(a->text);
    memset(zero, 0, sizeof(zero));

    TAP_OK(sp_eth_address_parse(address, a->text, len) == a->strict,
           "strict \"%s\"", a->text);

    if (a->strict == SP_OK) {
        sp_eth_address_encode(text, address);
        TAP_IS_MEM(text, 42, a->text, len, "and back");

    } else {
        TAP_IS_MEM(address, 20, zero, 20, "zeroed");
    }

    TAP_OK(sp_eth_address_parse_loose(address, a->text, len) == a->loose,
           "loose \"%s\"", a->text);
}


/* "hello", signed by ethers with the key 1111... */

static void
check_signature(const secp256k1_context *secp)
{
    size_t              len;
    uint8_t             address[20], bytes[65], hash[32], key[32], wanted[20];
    sp_eth_signature_t  signature;

    static const uint8_t  nobody[20];
    static const char     hello[] =
        "9208d5f86a1f5d9c1908dbb42969925675ceb388616fc5b186c248e4967a03e0"
        "2e9d28a1adcb8cce60ebcef9756dee20522a2987afea3055f4edd8380d425f89"
        "1b";

    memset(key, 0x11, sizeof(key));
    (void) sp_eth_key_address(secp, wanted, key);

    sp_eth_personal_hash(hash, "hello", 5);
    (void) sp_hex_decode(bytes, 65, &len, hello, strlen(hello));

    TAP_OK(sp_eth_recover_bytes(secp, address, hash, bytes, 65) == SP_OK
           && memcmp(address, wanted, 20) == 0, "v 27");

    bytes[64] = 0;
    TAP_OK(sp_eth_recover_bytes(secp, address, hash, bytes, 65) == SP_OK
           && memcmp(address, wanted, 20) == 0, "v 0");

    TAP_OK(sp_eth_recover_bytes(secp, address, hash, bytes, 64) == SP_OK
           && memcmp(address, wanted, 20) == 0, "EIP-2098");

    bytes[64] = 28;
    TAP_OK(sp_eth_recover_bytes(secp, address, hash, bytes, 65) != SP_OK
           || memcmp(address, wanted, 20) != 0, "another v, another signer");

    bytes[64] = 29;
    TAP_OK(sp_eth_recover_bytes(secp, address, hash, bytes, 65) == SP_ERROR,
           "v 29");
    bytes[64] = 2;
    TAP_OK(sp_eth_recover_bytes(secp, address, hash, bytes, 65) == SP_ERROR,
           "v 2");
    bytes[64] = 27;
    TAP_OK(sp_eth_recover_bytes(secp, address, hash, bytes, 66) == SP_ERROR
           && sp_eth_recover_bytes(secp, address, hash, bytes, 63) == SP_ERROR
           && sp_eth_recover_bytes(secp, address, hash, bytes, 0) == SP_ERROR,
           "other lengths");

    /* 5 is the x of no point: there is nobody who could have signed */

    memset(bytes, 0, sizeof(bytes));
    bytes[31] = 5;
    bytes[63] = 1;
    bytes[64] = 27;
    memset(address, 0xff, sizeof(address));
    TAP_OK(sp_eth_recover_bytes(secp, address, hash, bytes, 65) == SP_ERROR
           && memcmp(address, nobody, 20) == 0, "nobody's signature");

    (void) sp_eth_sign(secp, &signature, hash, key);
    sp_eth_signature_encode(bytes, &signature);
    {
        char  text[130];

        sp_hex_encode(text, bytes, 65);
        TAP_IS_MEM(text, 130, hello, 130, "signing gives the same bytes");
    }
}


static void
check_bounds(void)
{
    size_t              len;
    uint8_t             bytes[65];
    sp_eth_signature_t  signature, zero;

    static const char  *n =
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    static const char  *half =
        "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0";

    memset(&zero, 0, sizeof(zero));
    memset(bytes, 0x22, sizeof(bytes));
    bytes[64] = 27;

    (void) sp_hex_decode(bytes + 32, 32, &len, half, 64);
    TAP_OK(sp_eth_signature_parse(&signature, bytes, 65) == SP_OK,
           "s is half of n");

    bytes[63]++;
    TAP_OK(sp_eth_signature_parse(&signature, bytes, 65) == SP_ERROR
           && memcmp(&signature, &zero, sizeof(zero)) == 0,
           "s is one more: refused and zeroed");

    memset(bytes + 32, 0, 32);
    TAP_OK(sp_eth_signature_parse(&signature, bytes, 65) == SP_ERROR,
           "s is zero");

    memset(bytes + 32, 0x22, 32);
    (void) sp_hex_decode(bytes, 32, &len, n, 64);
    TAP_OK(sp_eth_signature_parse(&signature, bytes, 65) == SP_ERROR,
           "r is n");

    memset(bytes, 0, 32);
    TAP_OK(sp_eth_signature_parse(&signature, bytes, 65) == SP_ERROR,
           "r is zero");
}


/* the ecrecover precompile has no low-s rule: that case is ours to refuse */

static void
precompile(const secp256k1_context *secp)
{
    json_t      *entry, *root;
    size_t       i, len;
    uint8_t      address[20], bytes[65], in[128], wanted[32];
    const char  *expected, *input;

    root = vectors_json("auth/evm-ecrecover/ecRecover.json");

    json_array_foreach (root, i, entry) {
        int  high_v, rc;

        input = json_string_value(json_object_get(entry, "Input"));
        expected = json_string_value(json_object_get(entry, "Expected"));

        (void) sp_hex_decode(in, sizeof(in), &len, input, strlen(input));
        (void) sp_hex_decode(wanted, 32, &len, expected, strlen(expected));

        /* v is a word there: what is over a byte has no form here */

        high_v = 0;

        for (len = 32; len < 63; len++) {
            high_v |= in[len];
        }

        memcpy(bytes, in + 64, 64);
        bytes[64] = in[63];

        rc = high_v ? SP_ERROR
                    : sp_eth_recover_bytes(secp, address, in, bytes, 65);

        if (expected[0] == '\0') {
            TAP_OK(rc == SP_ERROR, "%s is refused",
                   json_string_value(json_object_get(entry, "Name")));
            continue;
        }

        if (bytes[32] >= 0x80) {
            TAP_OK(rc == SP_ERROR, "%s has a high s",
                   json_string_value(json_object_get(entry, "Name")));
            continue;
        }

        TAP_OK(rc == SP_OK && memcmp(address, wanted + 12, 20) == 0, "%s",
               json_string_value(json_object_get(entry, "Name")));
    }

    json_decref(root);
}
