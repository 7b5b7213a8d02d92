
/*
 * Copyright (C) Sallyport authors
 */

#include "sp_eip712.h"
#include "sp_hex.h"

#include "vectors.h"


static void domains(void);
static void text_field(json_t *domain, const char *name, const char **text,
    size_t *len);


/* expected values by ethers */

int
main(void)
{
    char                hex[64];
    uint8_t             address[20], digest[32], separator[32], hash[32];
    sp_u256_t           chain_id;
    sp_eip712_mint_t    mint;
    sp_eip712_domain_t  domain;

    memset(&domain, 0, sizeof(domain));
    sp_u256_set(&chain_id, 31337);
    (void) sp_eth_address_parse(address,
               "0x5FbDB2315678afecb367f032d93F642f64180aa3", 42);

    domain.name = "Sallyport Characters";
    domain.name_len = 20;
    domain.version = "1";
    domain.version_len = 1;
    domain.chain_id = &chain_id;
    domain.contract = address;

    sp_eip712_domain(separator, &domain);
    sp_hex_encode(hex, separator, 32);
    TAP_IS_MEM(hex, 64, "9aab3bdfe622a84ab1a464d7daa6b851b5d18fd767a06ba47b"
               "3958460f1bdd94", 64, "domain separator");

    memset(&mint, 0, sizeof(mint));
    (void) sp_eth_address_parse(mint.to,
               "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A", 42);
    mint.uri = "ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy5"
               "5fbzdi";
    mint.uri_len = strlen(mint.uri);
    sp_u256_set(&mint.deadline, 1767225600);
    memset(mint.salt, 0xab, 32);

    sp_eip712_mint(hash, &mint);
    sp_hex_encode(hex, hash, 32);
    TAP_IS_MEM(hex, 64, "218ad434b3992332a9e80bbfbb729af6d84a3781e62fcca4581"
               "e2c00ef283b57", 64, "struct hash");

    sp_eip712_digest(digest, separator, hash);
    sp_hex_encode(hex, digest, 32);
    TAP_IS_MEM(hex, 64, "32c6bd939cde91a7580f1e557bce20717dee58049f580a7ffce"
               "8ffaa80146922", 64, "digest");

    domains();

    return tap_done();
}


/*
 * The structs of these vectors are random and come encoded; their domains and
 * what is signed are checked here.
 */

static void
domains(void)
{
    json_t              *d, *entry, *root, *value;
    size_t               i, len;
    uint8_t              contract[20], digest[32], encoded[4096];
    uint8_t              got[32], hash[32], salt[32], separator[32];
    sp_u256_t            chain_id;
    const char          *text;
    sp_eip712_domain_t   domain;

    root = vectors_json("chain/go-ethereum/signer/core/apitypes/testdata/"
                        "typed-data.json");

    json_array_foreach (root, i, entry) {
        d = json_object_get(entry, "domain");
        memset(&domain, 0, sizeof(domain));

        text_field(d, "name", &domain.name, &domain.name_len);
        text_field(d, "version", &domain.version, &domain.version_len);

        value = json_object_get(d, "chainId");
        if (value != NULL) {
            sp_u256_set(&chain_id, (uint64_t) json_integer_value(value));
            domain.chain_id = &chain_id;
        }

        text = json_string_value(json_object_get(d, "verifyingContract"));
        if (text != NULL) {
            (void) sp_hex_decode_fixed(contract, 20, text, strlen(text));
            domain.contract = contract;
        }

        text = json_string_value(json_object_get(d, "salt"));
        if (text != NULL) {
            (void) sp_hex_decode_fixed(salt, 32, text, strlen(text));
            domain.salt = salt;
        }

        text = json_string_value(json_object_get(entry, "encoded"));
        (void) sp_hex_decode_data(encoded, sizeof(encoded), &len, text,
                                  strlen(text));
        text = json_string_value(json_object_get(entry, "digest"));
        (void) sp_hex_decode_fixed(digest, 32, text, strlen(text));

        sp_keccak256(hash, encoded, len);
        sp_eip712_domain(separator, &domain);
        sp_eip712_digest(got, separator, hash);

        TAP_OK(memcmp(got, digest, 32) == 0, "%s",
               json_string_value(json_object_get(entry, "name")));
    }

    json_decref(root);
}


static void
text_field(json_t *domain, const char *name, const char **text, size_t *len)
{
    json_t  *value;

    value = json_object_get(domain, name);

    if (value != NULL) {
        *text = json_string_value(value);
        *len = json_string_length(value);
    }
}
