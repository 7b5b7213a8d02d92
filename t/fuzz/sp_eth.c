
/*
 * Copyright (C) Sallyport authors
 *
 * 32 bytes of a hash, the rest is a signature.  One that is accepted has one
 * 65-byte form, which recovers the same signer.
 */

#include <stdlib.h>
#include <string.h>

#include "sp_eth.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t             address[SP_ETH_ADDRESS_LEN], bytes[65];
    uint8_t             again[SP_ETH_ADDRESS_LEN];
    sp_eth_signature_t  signature;

    if (size < SP_KECCAK256_LEN
        || sp_eth_signature_parse(&signature, data + SP_KECCAK256_LEN,
                                  size - SP_KECCAK256_LEN) != SP_OK
        || sp_eth_recover(secp256k1_context_static, address, data,
                          &signature) != SP_OK)
    {
        return 0;
    }

    sp_eth_signature_encode(bytes, &signature);

    if (sp_eth_recover_bytes(secp256k1_context_static, again, data, bytes,
                             sizeof(bytes)) != SP_OK
        || memcmp(address, again, sizeof(again)) != 0)
    {
        abort();
    }

    return 0;
}
