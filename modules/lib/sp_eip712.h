
/*
 * Copyright (C) Sallyport authors
 *
 * EIP-712 typed data: the domain separator, and the one struct that this
 * gateway asks wallets to sign:
 *
 *     MintAuthorization(address to,string uri,uint256 deadline,bytes32 salt)
 *
 * "salt" is 32 random bytes of the client: two mints of one wallet have two
 * digests and need no order, and one digest is minted once.
 */

#ifndef _SP_EIP712_H_INCLUDED_
#define _SP_EIP712_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "sp_eth.h"
#include "sp_keccak.h"
#include "sp_u256.h"


#define SP_EIP712_MINT_TYPE  "MintAuthorization(address to,string uri,"       \
                             "uint256 deadline,bytes32 salt)"


/* NULL: the field is not part of the domain */
typedef struct {
    const char       *name;
    size_t            name_len;
    const char       *version;
    size_t            version_len;
    const sp_u256_t  *chain_id;
    const uint8_t    *contract;             /* 20 bytes */
    const uint8_t    *salt;                 /* 32 bytes */
} sp_eip712_domain_t;


typedef struct {
    uint8_t           to[SP_ETH_ADDRESS_LEN];
    const char       *uri;
    size_t            uri_len;
    sp_u256_t         deadline;             /* seconds since the epoch */
    uint8_t           salt[32];
} sp_eip712_mint_t;


void sp_eip712_domain(uint8_t separator[SP_KECCAK256_LEN],
    const sp_eip712_domain_t *domain);

/* hashStruct() of the authorization */
void sp_eip712_mint(uint8_t hash[SP_KECCAK256_LEN],
    const sp_eip712_mint_t *mint);

/* what is signed */
void sp_eip712_digest(uint8_t digest[SP_KECCAK256_LEN],
    const uint8_t separator[SP_KECCAK256_LEN],
    const uint8_t hash[SP_KECCAK256_LEN]);


#endif /* _SP_EIP712_H_INCLUDED_ */
