
/*
 * Copyright (C) Sallyport authors
 *
 * Hexadecimal text.  Both cases are read, lower case is written; nothing is
 * NUL-terminated.
 */

#ifndef _SP_HEX_H_INCLUDED_
#define _SP_HEX_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "sp_rc.h"


/* 0..15, or -1 */
int sp_hex_digit(char c);

/* Out: 2 * len characters, without "0x" */
void sp_hex_encode(char *dst, const uint8_t *src, size_t len);

/*
 * Text without "0x", of even length.
 * Out: *len bytes.  On failure (odd length, other characters, more than
 * "size" bytes) *len is 0 and dst is zeroed.
 */
int sp_hex_decode(uint8_t *dst, size_t size, size_t *len, const char *text,
    size_t text_len);

/*
 * The same for "0x"-prefixed text, the DATA of Ethereum's JSON-RPC; "0x"
 * alone is empty.
 */
int sp_hex_decode_data(uint8_t *dst, size_t size, size_t *len,
    const char *text, size_t text_len);

/* exactly "size" bytes of "0x"-prefixed text: hashes, addresses */
int sp_hex_decode_fixed(uint8_t *dst, size_t size, const char *text,
    size_t text_len);


#endif /* _SP_HEX_H_INCLUDED_ */
