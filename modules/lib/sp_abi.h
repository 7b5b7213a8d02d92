
/*
 * Copyright (C) Sallyport authors
 *
 * The contract ABI, as far as minting needs it: calls whose arguments are
 * words and byte strings, return values, revert reasons, the ERC-721
 * Transfer event.
 */

#ifndef _SP_ABI_H_INCLUDED_
#define _SP_ABI_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "sp_eth.h"
#include "sp_rc.h"
#include "sp_u256.h"


#define SP_ABI_WORD          32
#define SP_ABI_SELECTOR_LEN  4
#define SP_ABI_TOPICS        4


typedef enum {
    SP_ABI_UINT = 0,             /* 0..32 bytes, padded on the left */
    SP_ABI_ADDRESS,              /* 20 bytes, padded on the left */
    SP_ABI_FIXED,                /* bytesN: 1..32, padded on the right */
    SP_ABI_BYTES                 /* bytes and string */
} sp_abi_type_e;


typedef struct {
    sp_abi_type_e   type;
    const uint8_t  *data;
    size_t          len;
} sp_abi_value_t;


typedef struct {
    uint8_t         address[SP_ETH_ADDRESS_LEN];
    uint8_t         topics[SP_ABI_TOPICS][SP_ABI_WORD];
    size_t          ntopics;
} sp_abi_log_t;


typedef struct {
    uint8_t         from[SP_ETH_ADDRESS_LEN];
    uint8_t         to[SP_ETH_ADDRESS_LEN];
    sp_u256_t       token_id;
} sp_abi_transfer_t;


/* of "mint(address,string)": canonical types, no spaces */
void sp_abi_selector(uint8_t selector[SP_ABI_SELECTOR_LEN],
    const char *signature);

/*
 * selector (NULL: none) and arguments.
 * Out: *len bytes.  On failure (does not fit, wrong length of a value) *len
 * is 0 and dst is zeroed.
 */
int sp_abi_encode(uint8_t *dst, size_t size, size_t *len,
    const uint8_t *selector, const sp_abi_value_t *values, size_t n);

/*
 * In: values[].type, and for SP_ABI_FIXED the wanted len; data without
 * selector.
 * Out: values[] pointing into data: SP_ABI_UINT whole words, SP_ABI_ADDRESS
 * 20 bytes, SP_ABI_FIXED len bytes, SP_ABI_BYTES the content.  Padding must
 * be zero, offsets and lengths inside the data.
 * On failure data and len of all values are zero.
 */
int sp_abi_decode(const uint8_t *data, size_t data_len,
    sp_abi_value_t *values, size_t n);

/*
 * Revert data as text: the message of Error(string), "panic 0x11", "custom
 * error 0x1234abcd", or "no reason".  Characters outside of printable ASCII
 * become "?": the text comes from a contract and goes to logs and clients.
 * Out: at most size characters, no NUL; returns their number.
 */
size_t sp_abi_revert(char *text, size_t size, const uint8_t *data,
    size_t len);

/*
 * SP_OK when the log is an ERC-721 Transfer: four topics (ERC-20 has the
 * same first topic and three).  Zeroed otherwise.
 */
int sp_abi_transfer(const sp_abi_log_t *log, sp_abi_transfer_t *transfer);


#endif /* _SP_ABI_H_INCLUDED_ */
