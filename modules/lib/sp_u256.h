
/*
 * Copyright (C) Sallyport authors
 *
 * 256-bit unsigned integers of the chain, as 32 big-endian bytes: what RLP,
 * ABI and EIP-712 carry.  Only what has to be read and written; nothing is
 * computed with them.
 */

#ifndef _SP_U256_H_INCLUDED_
#define _SP_U256_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "sp_rc.h"


#define SP_U256_LEN          32
#define SP_U256_DECIMAL_MAX  78              /* digits of 2^256 - 1 */
#define SP_U256_HEX_MAX      66              /* "0x" and 64 digits */


typedef struct {
    uint8_t   bytes[SP_U256_LEN];
} sp_u256_t;


void sp_u256_set(sp_u256_t *value, uint64_t n);

/* SP_ERROR and *n 0 when the value does not fit */
int sp_u256_get(const sp_u256_t *value, uint64_t *n);

/* big-endian bytes, 0 to 32 of them; zeroed on failure */
int sp_u256_from_bytes(sp_u256_t *value, const uint8_t *bytes, size_t len);

/* bytes without leading zeros; 0 for zero */
size_t sp_u256_len(const sp_u256_t *value);

/*
 * Decimal digits without sign or leading zeros ("0" is zero), below 2^256;
 * zeroed on failure.
 */
int sp_u256_from_decimal(sp_u256_t *value, const char *text, size_t len);

/* Out: at most SP_U256_DECIMAL_MAX characters, no NUL; returns their number */
size_t sp_u256_to_decimal(char *text, const sp_u256_t *value);

/*
 * QUANTITY of Ethereum's JSON-RPC: "0x0", "0x41"; leading zeros are read
 * (some nodes write them), never written.  Zeroed on failure.
 */
int sp_u256_from_hex(sp_u256_t *value, const char *text, size_t len);

/* Out: at most SP_U256_HEX_MAX characters, no NUL; returns their number */
size_t sp_u256_to_hex(char *text, const sp_u256_t *value);

/* a QUANTITY that must fit in 64 bits; *n is 0 on failure */
int sp_u256_hex_uint64(uint64_t *n, const char *text, size_t len);


#endif /* _SP_U256_H_INCLUDED_ */
