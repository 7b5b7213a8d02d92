
/*
 * Copyright (C) Sallyport authors
 *
 * Ethereum addresses (EIP-55), signed messages (EIP-191) and recovery of the
 * signer.  The secp256k1 context is the caller's; SECP256K1_CONTEXT_NONE
 * serves everything here.
 */

#ifndef _SP_ETH_H_INCLUDED_
#define _SP_ETH_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include <secp256k1.h>
#include <secp256k1_recovery.h>

#include "sp_keccak.h"
#include "sp_rc.h"


#define SP_ETH_ADDRESS_LEN       20
#define SP_ETH_ADDRESS_TEXT_LEN  42          /* "0x" and 40 digits */
#define SP_ETH_SIGNATURE_LEN     65


typedef struct {
    uint8_t   r[32];
    uint8_t   s[32];                        /* <= n / 2 */
    uint8_t   parity;                       /* 0 or 1 */
} sp_eth_signature_t;


/* Out: SP_ETH_ADDRESS_TEXT_LEN characters with the EIP-55 checksum, no NUL */
void sp_eth_address_encode(char *text,
    const uint8_t address[SP_ETH_ADDRESS_LEN]);

/*
 * "0x" and 40 digits whose case is the EIP-55 checksum.  The loose variant
 * also takes an address in lower case only, which carries no checksum.
 * On failure the address is zeroed.
 */
int sp_eth_address_parse(uint8_t address[SP_ETH_ADDRESS_LEN],
    const char *text, size_t len);
int sp_eth_address_parse_loose(uint8_t address[SP_ETH_ADDRESS_LEN],
    const char *text, size_t len);

/* personal_sign: the message is any bytes */
void sp_eth_personal_hash(uint8_t hash[SP_KECCAK256_LEN],
    const void *message, size_t len);

/*
 * 65 bytes r, s, v (v is 27, 28, 0 or 1) or 64 bytes of EIP-2098.  Refuses
 * zero and overflowing r and s, and s over n / 2: of the two signatures of
 * one message by one key exactly one is accepted.
 * On failure *signature is zeroed.
 */
int sp_eth_signature_parse(sp_eth_signature_t *signature,
    const uint8_t *bytes, size_t len);

/* 65 bytes r, s, v with v 27 or 28, the form contracts take */
void sp_eth_signature_encode(uint8_t bytes[SP_ETH_SIGNATURE_LEN],
    const sp_eth_signature_t *signature);

/* the address that signed the hash; zeroed on failure */
int sp_eth_recover(const secp256k1_context *secp,
    uint8_t address[SP_ETH_ADDRESS_LEN],
    const uint8_t hash[SP_KECCAK256_LEN],
    const sp_eth_signature_t *signature);

/* parse and recover in one call, from the wire form */
int sp_eth_recover_bytes(const secp256k1_context *secp,
    uint8_t address[SP_ETH_ADDRESS_LEN],
    const uint8_t hash[SP_KECCAK256_LEN], const uint8_t *bytes, size_t len);

/*
 * Deterministic (RFC 6979), low s.  Fails only for a key that is zero or not
 * below the order of the curve; outputs are zeroed then.
 */
int sp_eth_sign(const secp256k1_context *secp, sp_eth_signature_t *signature,
    const uint8_t hash[SP_KECCAK256_LEN], const uint8_t key[32]);
int sp_eth_key_address(const secp256k1_context *secp,
    uint8_t address[SP_ETH_ADDRESS_LEN], const uint8_t key[32]);


#endif /* _SP_ETH_H_INCLUDED_ */
