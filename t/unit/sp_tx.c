
/*
 * Copyright (C) Sallyport authors
 */

#include "sp_abi.h"
#include "sp_hex.h"
#include "sp_rlp.h"
#include "sp_tx.h"

#include "vectors.h"


typedef struct {
    uint64_t     nonce;
    const char  *raw;
    const char  *hash;
} signed_t;


/* the key 1111..., chain 31337; by ethers, for every width of the nonce */

static const signed_t  cases[] = {
    { 1ULL,
      "02f86d827a69018459682f0084b2d05e078303d090945fbdb2315678afecb367"
      "f032d93f642f64180aa38080c080a0e722428c9f151fc0889dcf3ad5f899b5ba"
      "40d73bf16b705f120b8ff0ead634cfa05c2d2deffba95930373c8e663cf8aadf"
      "7bffb90175440e4eeae4ce69ee40197a",
      "a7e777de79e400aace663517be1af4b4845f6041c57eeae9c72eb87d3680e7c7" },
    { 127ULL,
      "02f86d827a697f8459682f0084b2d05e078303d090945fbdb2315678afecb367"
      "f032d93f642f64180aa38080c001a0fa5a6f52a28f64a6ea5d60251f9074bf18"
      "00507f983451e440721c755558b0eba06331bd959cbf796b7b7d33cf45890e80"
      "4ea8fb28a2f7e713c9bdb72dfed6a51c",
      "f711ea549d2b96ec47c871ef06752275eabc75f52aa7ed6e44ed4a0243f4840f" },
    { 128ULL,
      "02f86e827a6981808459682f0084b2d05e078303d090945fbdb2315678afecb3"
      "67f032d93f642f64180aa38080c001a04b734e6003afd77d15bffa3e410c0f01"
      "2c8cf7a9caf23be1927a8ef3d3aee246a04e99966a1a3b4922d0b95dc777f1c9"
      "52ed0ee563dd143e0e756be8855b0cc96e",
      "0361543ff51683660b15bfc0ecaca4d16ea4d23a10b882e726c8acb898a3a6d0" },
    { 255ULL,
      "02f86e827a6981ff8459682f0084b2d05e078303d090945fbdb2315678afecb3"
      "67f032d93f642f64180aa38080c080a035673ca4ed136ab20fca79d8f689234f"
      "9ffd419d7c13b20a393cd030c418780ca01acbb7c56976a9d7b26afc0afe4f49"
      "6bbadc77e20ff83380fa8d976fcbe03baa",
      "28db67fa4968e4b692d2f9a749c13b88461af0156b2bbf85ca9ce0e516e4c0a4" },
    { 256ULL,
      "02f86f827a698201008459682f0084b2d05e078303d090945fbdb2315678afec"
      "b367f032d93f642f64180aa38080c080a08ce1c135d6c7f0f2a66fe02d256889"
      "6ff8d3ebff2d4eeb6e1e6cd940632f8311a03debc0a827214ca7305808516350"
      "c020dddfcf24bea7fc18a1476dc27e63586c",
      "f6aaee4be9fed7b3d901d7b3b6382aabe918dd990a8ec360a9800509d112880b" },
    { 65535ULL,
      "02f86f827a6982ffff8459682f0084b2d05e078303d090945fbdb2315678afec"
      "b367f032d93f642f64180aa38080c001a0af02d14e6bf85ce6ae3e2040b61d1a"
      "a73a1ab11b7805b9e4e740f84203446777a034f97588fa4f5f22e0c70a00b8ab"
      "63bc6ad80ef8503521af8ada8e5f88bab128",
      "e5f3631f820d5704564f271e32ae16a2ce09afad1db7c516ce93e2b630629a08" },
    { 65536ULL,
      "02f870827a69830100008459682f0084b2d05e078303d090945fbdb2315678af"
      "ecb367f032d93f642f64180aa38080c080a0cb1a5a307eba71871d1b12734c1b"
      "29162e73eef638d4a5761746caea7bf33d1da03827854e133a62dd1ad75b2157"
      "0b431946fb06ec18d9bc93faac06e6a6c7b259",
      "c6eaf0ba74cf5374b1473ef5fe0631fefc7513127ab26825c700be4f2b357275" },
    { 4294967296ULL,
      "02f872827a698501000000008459682f0084b2d05e078303d090945fbdb23156"
      "78afecb367f032d93f642f64180aa38080c001a05a0ecd3e26e084a81cd80b11"
      "cd2226ddf3744a11df06a5c6fa43b567b145b49da059808b1aef75bac2f1c1ce"
      "03ddd0ccebd95cca488cdc7ceaf6946e09af5febeb",
      "2732a830622ff6a70c1422759ef4d0c7b214339d908c8debb4bef5ac8efa662f" },
    { 9007199254740991ULL,
      "02f874827a69871fffffffffffff8459682f0084b2d05e078303d090945fbdb2"
      "315678afecb367f032d93f642f64180aa38080c080a02dbf2cff4cc5e6518382"
      "eaa8d4734a3a9409dfe1db780e4a9e90815c5d0061aaa0318b4787c26db0bfbd"
      "5516d32122a2ce2b361ceaeea6f1e4313dff427aca0401",
      "1d7686a180dda1dd12cedc9acfac44d623099b568797bc5474fa2ce353750112" },
};


static void init(sp_tx_t *tx);
static void vectors(void);


int
main(void)
{
    char                text[400];
    size_t              i, len;
    uint8_t             hash[32], key[32], raw[300], zero[300];
    sp_tx_t             tx;
    secp256k1_context  *secp;

    secp = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    memset(key, 0x11, sizeof(key));
    memset(zero, 0, sizeof(zero));

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        init(&tx);
        tx.nonce = cases[i].nonce;

        TAP_OK(sp_tx_sign(secp, raw, sizeof(raw), &len, hash, &tx, key)
               == SP_OK, "nonce %llu is signed",
               (unsigned long long) tx.nonce);

        sp_hex_encode(text, raw, len);
        TAP_IS_MEM(text, 2 * len, cases[i].raw, strlen(cases[i].raw), "raw");
        sp_hex_encode(text, hash, 32);
        TAP_IS_MEM(text, 64, cases[i].hash, 64, "hash");
    }

    len = 1;
    TAP_OK(sp_tx_sign(secp, raw, 110, &len, hash, &tx, key) == SP_ERROR
           && len == 0 && memcmp(raw, zero, 110) == 0
           && memcmp(hash, zero, 32) == 0, "no room: zeroed");

    memset(key, 0, sizeof(key));
    TAP_OK(sp_tx_sign(secp, raw, sizeof(raw), &len, hash, &tx, key)
           == SP_ERROR && len == 0 && memcmp(raw, zero, sizeof(raw)) == 0,
           "bad key: zeroed");

    vectors();
    secp256k1_context_destroy(secp);

    return tap_done();
}


static void
init(sp_tx_t *tx)
{
    memset(tx, 0, sizeof(sp_tx_t));

    tx->chain_id = 31337;
    tx->gas = 250000;
    sp_u256_set(&tx->tip, 1500000000);
    sp_u256_set(&tx->cap, 3000000007);
    (void) sp_eth_address_parse(tx->to,
               "0x5FbDB2315678afecb367f032d93F642f64180aa3", 42);
}


/* type 2 of ethereum/tests: taken apart, put together again, recovered */

static int
again(const secp256k1_context *secp, const uint8_t *raw, size_t raw_len,
    uint8_t *sender)
{
    size_t              i, len;
    uint8_t             built[4096], hash[32];
    sp_tx_t             tx;
    uint64_t            parity;
    sp_u256_t           r, s;
    sp_rlp_item_t       item[12], list;
    sp_rlp_reader_t     reader;
    sp_eth_signature_t  signature;

    reader.pos = raw + 1;
    reader.end = raw + raw_len;

    if (sp_rlp_check(raw + 1, raw_len - 1, 4) != SP_OK) {
        return SP_ERROR;
    }

    (void) sp_rlp_next(&reader, &list);
    reader.pos = list.data;
    reader.end = list.data + list.len;

    for (i = 0; i < 12; i++) {
        if (sp_rlp_next(&reader, &item[i]) != SP_OK) {
            return SP_ERROR;
        }
    }

    memset(&tx, 0, sizeof(tx));

    if (sp_rlp_uint(&item[0], &tx.chain_id) != SP_OK
        || sp_rlp_uint(&item[1], &tx.nonce) != SP_OK
        || sp_rlp_u256(&item[2], &tx.tip) != SP_OK
        || sp_rlp_u256(&item[3], &tx.cap) != SP_OK
        || sp_rlp_uint(&item[4], &tx.gas) != SP_OK
        || item[5].len != 20
        || sp_rlp_u256(&item[6], &tx.value) != SP_OK
        || item[8].len != 0
        || sp_rlp_uint(&item[9], &parity) != SP_OK || parity > 1
        || sp_rlp_u256(&item[10], &r) != SP_OK
        || sp_rlp_u256(&item[11], &s) != SP_OK)
    {
        return SP_ERROR;
    }

    memcpy(tx.to, item[5].data, 20);
    tx.data = item[7].data;
    tx.data_len = item[7].len;
    memcpy(signature.r, r.bytes, 32);
    memcpy(signature.s, s.bytes, 32);
    signature.parity = (uint8_t) parity;

    if (sp_tx_encode(built, sizeof(built), &len, &tx, &signature) != SP_OK
        || len != raw_len || memcmp(built, raw, len) != 0
        || sp_tx_encode(built, sizeof(built), &len, &tx, NULL) != SP_OK)
    {
        return SP_ERROR;
    }

    sp_keccak256(hash, built, len);

    return sp_eth_recover(secp, sender, hash, &signature);
}


static void
vectors(void)
{
    json_t             *root, *test, *result;
    size_t              i, len;
    uint8_t             raw[4096], sender[20], wanted[20];
    const char         *exception, *name, *text;
    secp256k1_context  *secp;

    /* refused for more than their encoding: GASLIMIT * PRICE, PRIORITY */

    static const char  *encoded[] = {
        "RLP_LEADING_ZEROS", "GASPRICE_OVERFLOW", "PRIORITY_OVERFLOW"
    };
    static const char  *files[] = {
        "GasLimitPriceProductOverflowtMinusOne", "maxFeePerGas00prefix",
        "maxFeePerGasOverflow", "maxPriorityFeePerGas00prefix",
        "maxPriorityFeePerGasOverflow"
    };

    secp = secp256k1_context_create(SECP256K1_CONTEXT_NONE);

    for (i = 0; i < sizeof(files) / sizeof(char *); i++) {
        char  path[256];

        (void) snprintf(path, sizeof(path), "chain/ethereum-tests/"
                        "TransactionTests/ttEIP1559/%s.json", files[i]);
        root = vectors_json(path);

        json_object_foreach (root, name, test) {
            text = json_string_value(json_object_get(test, "txbytes"));

            if (text == NULL) {
                continue;
            }

            (void) sp_hex_decode_data(raw, sizeof(raw), &len, text,
                                      strlen(text));
            result = json_object_get(json_object_get(test, "result"),
                                     "London");
            exception = json_string_value(json_object_get(result,
                                                          "exception"));

            if (exception != NULL) {
                TAP_OK((strstr(exception, encoded[0]) != NULL
                        || strstr(exception, encoded[1]) != NULL
                        || strstr(exception, encoded[2]) != NULL)
                       && again(secp, raw, len, sender) == SP_ERROR,
                       "%s is refused", name);
                continue;
            }

            text = json_string_value(json_object_get(result, "sender"));
            (void) sp_hex_decode_fixed(wanted, 20, text, strlen(text));

            TAP_OK(again(secp, raw, len, sender) == SP_OK
                   && memcmp(sender, wanted, 20) == 0, "%s", name);
        }

        json_decref(root);
    }

    secp256k1_context_destroy(secp);
}
