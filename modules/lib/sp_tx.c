
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

#include "sp_rlp.h"
#include "sp_tx.h"


#define SP_TX_TYPE  0x02


int
sp_tx_encode(uint8_t *raw, size_t size, size_t *len, const sp_tx_t *tx,
    const sp_eth_signature_t *signature)
{
    size_t           access, list;
    sp_u256_t        number;
    sp_rlp_writer_t  w;

    *len = 0;

    if (size == 0) {
        return SP_ERROR;
    }

    memset(raw, 0, size);

    w.start = raw + 1;
    w.size = size - 1;
    w.len = 0;
    w.overflow = 0;

    list = sp_rlp_begin(&w);

    sp_rlp_put_uint(&w, tx->chain_id);
    sp_rlp_put_uint(&w, tx->nonce);
    sp_rlp_put_u256(&w, &tx->tip);
    sp_rlp_put_u256(&w, &tx->cap);
    sp_rlp_put_uint(&w, tx->gas);
    sp_rlp_put_bytes(&w, tx->to, SP_ETH_ADDRESS_LEN);
    sp_rlp_put_u256(&w, &tx->value);
    sp_rlp_put_bytes(&w, tx->data, tx->data_len);

    access = sp_rlp_begin(&w);
    sp_rlp_end(&w, access);

    if (signature != NULL) {
        sp_rlp_put_uint(&w, signature->parity);

        (void) sp_u256_from_bytes(&number, signature->r, 32);
        sp_rlp_put_u256(&w, &number);

        (void) sp_u256_from_bytes(&number, signature->s, 32);
        sp_rlp_put_u256(&w, &number);
    }

    sp_rlp_end(&w, list);

    if (w.overflow) {
        memset(raw, 0, size);
        return SP_ERROR;
    }

    raw[0] = SP_TX_TYPE;
    *len = w.len + 1;

    return SP_OK;
}


int
sp_tx_sign(const secp256k1_context *secp, uint8_t *raw, size_t size,
    size_t *len, uint8_t hash[SP_KECCAK256_LEN], const sp_tx_t *tx,
    const uint8_t key[32])
{
    uint8_t             digest[SP_KECCAK256_LEN];
    sp_eth_signature_t  signature;

    memset(hash, 0, SP_KECCAK256_LEN);

    if (sp_tx_encode(raw, size, len, tx, NULL) != SP_OK) {
        return SP_ERROR;
    }

    sp_keccak256(digest, raw, *len);

    if (sp_eth_sign(secp, &signature, digest, key) != SP_OK) {
        memset(raw, 0, size);
        *len = 0;
        return SP_ERROR;
    }

    if (sp_tx_encode(raw, size, len, tx, &signature) != SP_OK) {
        return SP_ERROR;
    }

    sp_keccak256(hash, raw, *len);

    return SP_OK;
}
