
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

#include "sp_eip712.h"


static void sp_eip712_type(sp_keccak_t *keccak, unsigned *n,
    const char *field);
static void sp_eip712_string(sp_keccak_t *keccak, const char *text,
    size_t len);
static void sp_eip712_address(sp_keccak_t *keccak, const uint8_t *address);


void
sp_eip712_domain(uint8_t separator[SP_KECCAK256_LEN],
    const sp_eip712_domain_t *domain)
{
    uint8_t      hash[SP_KECCAK256_LEN];
    unsigned     n;
    sp_keccak_t  keccak;

    /* the type names the fields that are there, in this order */

    n = 0;
    sp_keccak256_init(&keccak);
    sp_keccak256_update(&keccak, "EIP712Domain(", 13);

    if (domain->name != NULL) {
        sp_eip712_type(&keccak, &n, "string name");
    }

    if (domain->version != NULL) {
        sp_eip712_type(&keccak, &n, "string version");
    }

    if (domain->chain_id != NULL) {
        sp_eip712_type(&keccak, &n, "uint256 chainId");
    }

    if (domain->contract != NULL) {
        sp_eip712_type(&keccak, &n, "address verifyingContract");
    }

    if (domain->salt != NULL) {
        sp_eip712_type(&keccak, &n, "bytes32 salt");
    }

    sp_keccak256_update(&keccak, ")", 1);
    sp_keccak256_final(&keccak, hash);

    sp_keccak256_init(&keccak);
    sp_keccak256_update(&keccak, hash, sizeof(hash));

    if (domain->name != NULL) {
        sp_eip712_string(&keccak, domain->name, domain->name_len);
    }

    if (domain->version != NULL) {
        sp_eip712_string(&keccak, domain->version, domain->version_len);
    }

    if (domain->chain_id != NULL) {
        sp_keccak256_update(&keccak, domain->chain_id->bytes, SP_U256_LEN);
    }

    if (domain->contract != NULL) {
        sp_eip712_address(&keccak, domain->contract);
    }

    if (domain->salt != NULL) {
        sp_keccak256_update(&keccak, domain->salt, 32);
    }

    sp_keccak256_final(&keccak, separator);
}


void
sp_eip712_mint(uint8_t hash[SP_KECCAK256_LEN], const sp_eip712_mint_t *mint)
{
    uint8_t      type[SP_KECCAK256_LEN];
    sp_keccak_t  keccak;

    sp_keccak256(type, SP_EIP712_MINT_TYPE, sizeof(SP_EIP712_MINT_TYPE) - 1);

    sp_keccak256_init(&keccak);
    sp_keccak256_update(&keccak, type, sizeof(type));
    sp_eip712_address(&keccak, mint->to);
    sp_eip712_string(&keccak, mint->uri, mint->uri_len);
    sp_keccak256_update(&keccak, mint->deadline.bytes, SP_U256_LEN);
    sp_keccak256_update(&keccak, mint->salt, sizeof(mint->salt));
    sp_keccak256_final(&keccak, hash);
}


void
sp_eip712_digest(uint8_t digest[SP_KECCAK256_LEN],
    const uint8_t separator[SP_KECCAK256_LEN],
    const uint8_t hash[SP_KECCAK256_LEN])
{
    sp_keccak_t  keccak;

    sp_keccak256_init(&keccak);
    sp_keccak256_update(&keccak, "\x19\x01", 2);
    sp_keccak256_update(&keccak, separator, SP_KECCAK256_LEN);
    sp_keccak256_update(&keccak, hash, SP_KECCAK256_LEN);
    sp_keccak256_final(&keccak, digest);
}


static void
sp_eip712_type(sp_keccak_t *keccak, unsigned *n, const char *field)
{
    if ((*n)++ != 0) {
        sp_keccak256_update(keccak, ",", 1);
    }

    sp_keccak256_update(keccak, field, strlen(field));
}


static void
sp_eip712_string(sp_keccak_t *keccak, const char *text, size_t len)
{
    uint8_t  hash[SP_KECCAK256_LEN];

    sp_keccak256(hash, text, len);
    sp_keccak256_update(keccak, hash, sizeof(hash));
}


static void
sp_eip712_address(sp_keccak_t *keccak, const uint8_t *address)
{
    static const uint8_t  padding[12];

    sp_keccak256_update(keccak, padding, sizeof(padding));
    sp_keccak256_update(keccak, address, SP_ETH_ADDRESS_LEN);
}
