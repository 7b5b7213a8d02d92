
/*
 * Copyright (C) Sallyport authors
 *
 * base64 (RFC 4648 section 4, with padding) and base64url (section 5, without
 * padding).  Decoding is strict: one text for one value; other characters,
 * white space, missing or needless padding, a length of 1 mod 4 and non-zero
 * spare bits are refused.
 */

#ifndef _SP_BASE64_H_INCLUDED_
#define _SP_BASE64_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "sp_rc.h"


#define sp_base64_len(n)     (((n) + 2) / 3 * 4)
#define sp_base64url_len(n)  (((n) * 4 + 2) / 3)


/* returns the characters written: sp_base64_len(len), sp_base64url_len(len) */
size_t sp_base64_encode(char *dst, const uint8_t *src, size_t len);
size_t sp_base64url_encode(char *dst, const uint8_t *src, size_t len);

/*
 * Out: *len bytes.  On failure, also when "size" is too small, *len is 0 and
 * dst is zeroed.
 */
int sp_base64_decode(uint8_t *dst, size_t size, size_t *len,
    const char *text, size_t text_len);
int sp_base64url_decode(uint8_t *dst, size_t size, size_t *len,
    const char *text, size_t text_len);


#endif /* _SP_BASE64_H_INCLUDED_ */
