
/*
 * Copyright (C) Sallyport authors
 *
 * EIP-1559 transactions (type 2) with an empty access list.
 */

#ifndef _SP_TX_H_INCLUDED_
#define _SP_TX_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "sp_eth.h"
#include "sp_rc.h"
#include "sp_u256.h"


/* what a raw transaction is longer than its data, at most */
#define SP_TX_OVERHEAD  320


typedef struct {
    uint64_t         chain_id;
    uint64_t         nonce;
    sp_u256_t        tip;                   /* maxPriorityFeePerGas, wei */
    sp_u256_t        cap;                   /* maxFeePerGas, wei */
    uint64_t         gas;
    uint8_t          to[SP_ETH_ADDRESS_LEN];
    sp_u256_t        value;
    const uint8_t   *data;
    size_t           data_len;
} sp_tx_t;


/*
 * signature NULL: what is hashed and signed; else the raw transaction.
 * On failure (does not fit) *len is 0 and raw is zeroed.
 */
int sp_tx_encode(uint8_t *raw, size_t size, size_t *len, const sp_tx_t *tx,
    const sp_eth_signature_t *signature);

/*
 * Out: the raw transaction and its hash.  Deterministic: the same transaction
 * and key give the same bytes.
 * On failure (does not fit, bad key) everything is zeroed.
 */
int sp_tx_sign(const secp256k1_context *secp, uint8_t *raw, size_t size,
    size_t *len, uint8_t hash[SP_KECCAK256_LEN], const sp_tx_t *tx,
    const uint8_t key[32]);


#endif /* _SP_TX_H_INCLUDED_ */
