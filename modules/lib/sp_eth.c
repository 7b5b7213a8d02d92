
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

#include <openssl/crypto.h>

#include "sp_eth.h"
#include "sp_hex.h"


#define SP_ETH_PERSONAL_PREFIX  "\x19" "Ethereum Signed Message:\n"


static int sp_eth_address_digits(uint8_t *address, const char *text,
    size_t len);
static int sp_eth_pubkey_address(const secp256k1_context *secp,
    uint8_t *address, const secp256k1_pubkey *pubkey);


/* the order of the curve and its half, EIP-2 */

static const uint8_t  sp_eth_n[32] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b,
    0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41
};

static const uint8_t  sp_eth_half_n[32] = {
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d,
    0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0
};

static const uint8_t  sp_eth_zero[32];


void
sp_eth_address_encode(char *text, const uint8_t address[SP_ETH_ADDRESS_LEN])
{
    size_t   i;
    uint8_t  hash[SP_KECCAK256_LEN], nibble;

    text[0] = '0';
    text[1] = 'x';
    text += 2;

    sp_hex_encode(text, address, SP_ETH_ADDRESS_LEN);
    sp_keccak256(hash, text, 2 * SP_ETH_ADDRESS_LEN);

    for (i = 0; i < 2 * SP_ETH_ADDRESS_LEN; i++) {
        nibble = (i % 2 == 0) ? hash[i / 2] >> 4 : hash[i / 2] & 0x0f;

        if (nibble >= 8 && text[i] >= 'a') {
            text[i] = (char) (text[i] - 'a' + 'A');
        }
    }
}


int
sp_eth_address_parse(uint8_t address[SP_ETH_ADDRESS_LEN], const char *text,
    size_t len)
{
    char  expected[SP_ETH_ADDRESS_TEXT_LEN];

    if (sp_eth_address_digits(address, text, len) != SP_OK) {
        return SP_ERROR;
    }

    sp_eth_address_encode(expected, address);

    if (memcmp(expected, text, SP_ETH_ADDRESS_TEXT_LEN) != 0) {
        memset(address, 0, SP_ETH_ADDRESS_LEN);
        return SP_ERROR;
    }

    return SP_OK;
}


int
sp_eth_address_parse_loose(uint8_t address[SP_ETH_ADDRESS_LEN],
    const char *text, size_t len)
{
    size_t  i;

    if (sp_eth_address_digits(address, text, len) != SP_OK) {
        return SP_ERROR;
    }

    for (i = 2; i < len; i++) {
        if (text[i] >= 'A' && text[i] <= 'F') {
            return sp_eth_address_parse(address, text, len);
        }
    }

    return SP_OK;
}


void
sp_eth_personal_hash(uint8_t hash[SP_KECCAK256_LEN], const void *message,
    size_t len)
{
    char         decimal[24], *p;
    size_t       n;
    sp_keccak_t  keccak;

    p = decimal + sizeof(decimal);
    n = len;

    do {
        *--p = (char) ('0' + n % 10);
        n /= 10;
    } while (n != 0);

    sp_keccak256_init(&keccak);
    sp_keccak256_update(&keccak, SP_ETH_PERSONAL_PREFIX,
                        sizeof(SP_ETH_PERSONAL_PREFIX) - 1);
    sp_keccak256_update(&keccak, p,
                        (size_t) (decimal + sizeof(decimal) - p));
    sp_keccak256_update(&keccak, message, len);
    sp_keccak256_final(&keccak, hash);
}


int
sp_eth_signature_parse(sp_eth_signature_t *signature, const uint8_t *bytes,
    size_t len)
{
    uint8_t  v;

    memset(signature, 0, sizeof(sp_eth_signature_t));

    if (len != SP_ETH_SIGNATURE_LEN && len != SP_ETH_SIGNATURE_LEN - 1) {
        return SP_ERROR;
    }

    memcpy(signature->r, bytes, 32);
    memcpy(signature->s, bytes + 32, 32);

    if (len == SP_ETH_SIGNATURE_LEN) {
        v = bytes[64];

        if (v >= 27) {
            v = (uint8_t) (v - 27);
        }

    } else {
        v = signature->s[0] >> 7;
        signature->s[0] &= 0x7f;
    }

    if (v > 1
        || memcmp(signature->r, sp_eth_zero, 32) == 0
        || memcmp(signature->s, sp_eth_zero, 32) == 0
        || memcmp(signature->r, sp_eth_n, 32) >= 0
        || memcmp(signature->s, sp_eth_half_n, 32) > 0)
    {
        memset(signature, 0, sizeof(sp_eth_signature_t));
        return SP_ERROR;
    }

    signature->parity = v;

    return SP_OK;
}


void
sp_eth_signature_encode(uint8_t bytes[SP_ETH_SIGNATURE_LEN],
    const sp_eth_signature_t *signature)
{
    memcpy(bytes, signature->r, 32);
    memcpy(bytes + 32, signature->s, 32);
    bytes[64] = (uint8_t) (27 + signature->parity);
}


int
sp_eth_recover(const secp256k1_context *secp,
    uint8_t address[SP_ETH_ADDRESS_LEN],
    const uint8_t hash[SP_KECCAK256_LEN],
    const sp_eth_signature_t *signature)
{
    uint8_t                            compact[64];
    secp256k1_pubkey                   pubkey;
    secp256k1_ecdsa_recoverable_signature  recoverable;

    memset(address, 0, SP_ETH_ADDRESS_LEN);

    if (signature->parity > 1) {
        return SP_ERROR;
    }

    memcpy(compact, signature->r, 32);
    memcpy(compact + 32, signature->s, 32);

    if (secp256k1_ecdsa_recoverable_signature_parse_compact(secp,
            &recoverable, compact, signature->parity) != 1
        || secp256k1_ecdsa_recover(secp, &pubkey, &recoverable, hash) != 1)
    {
        return SP_ERROR;
    }

    return sp_eth_pubkey_address(secp, address, &pubkey);
}


int
sp_eth_recover_bytes(const secp256k1_context *secp,
    uint8_t address[SP_ETH_ADDRESS_LEN],
    const uint8_t hash[SP_KECCAK256_LEN], const uint8_t *bytes, size_t len)
{
    sp_eth_signature_t  signature;

    if (sp_eth_signature_parse(&signature, bytes, len) != SP_OK) {
        memset(address, 0, SP_ETH_ADDRESS_LEN);
        return SP_ERROR;
    }

    return sp_eth_recover(secp, address, hash, &signature);
}


int
sp_eth_sign(const secp256k1_context *secp, sp_eth_signature_t *signature,
    const uint8_t hash[SP_KECCAK256_LEN], const uint8_t key[32])
{
    int                                recid;
    uint8_t                            compact[64];
    secp256k1_ecdsa_recoverable_signature  recoverable;

    memset(signature, 0, sizeof(sp_eth_signature_t));

    if (secp256k1_ecdsa_sign_recoverable(secp, &recoverable, hash, key, NULL,
                                         NULL) != 1)
    {
        return SP_ERROR;
    }

    (void) secp256k1_ecdsa_recoverable_signature_serialize_compact(secp,
               compact, &recid, &recoverable);

    /*
     * recid 2 and 3 mean r overflowed the order: not representable in a
     * transaction, and found about as often as a private key is guessed
     */

    if (recid > 1) {
        return SP_ERROR;
    }

    memcpy(signature->r, compact, 32);
    memcpy(signature->s, compact + 32, 32);
    signature->parity = (uint8_t) recid;

    return SP_OK;
}


int
sp_eth_key_address(const secp256k1_context *secp,
    uint8_t address[SP_ETH_ADDRESS_LEN], const uint8_t key[32])
{
    secp256k1_pubkey  pubkey;

    memset(address, 0, SP_ETH_ADDRESS_LEN);

    if (secp256k1_ec_pubkey_create(secp, &pubkey, key) != 1) {
        return SP_ERROR;
    }

    return sp_eth_pubkey_address(secp, address, &pubkey);
}


static int
sp_eth_address_digits(uint8_t *address, const char *text, size_t len)
{
    return sp_hex_decode_fixed(address, SP_ETH_ADDRESS_LEN, text, len);
}


static int
sp_eth_pubkey_address(const secp256k1_context *secp, uint8_t *address,
    const secp256k1_pubkey *pubkey)
{
    size_t   len;
    uint8_t  hash[SP_KECCAK256_LEN], point[65];

    len = sizeof(point);

    if (secp256k1_ec_pubkey_serialize(secp, point, &len, pubkey,
                                      SECP256K1_EC_UNCOMPRESSED) != 1)
    {
        return SP_ERROR;
    }

    /* without the leading 0x04 */

    sp_keccak256(hash, point + 1, sizeof(point) - 1);
    memcpy(address, hash + SP_KECCAK256_LEN - SP_ETH_ADDRESS_LEN,
           SP_ETH_ADDRESS_LEN);

    return SP_OK;
}
