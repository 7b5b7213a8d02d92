
/*
 * Copyright (C) Sallyport authors
 *
 * SipHash-2-4 with 128 bits of output: a keyed hash for table keys.  Without
 * the key nobody finds two inputs of one hash.
 */

#ifndef _SP_SIPHASH_H_INCLUDED_
#define _SP_SIPHASH_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


#define SP_SIPHASH_LEN      16
#define SP_SIPHASH_KEY_LEN  16


void sp_siphash(uint8_t hash[SP_SIPHASH_LEN],
    const uint8_t key[SP_SIPHASH_KEY_LEN], const void *data, size_t len);


#endif /* _SP_SIPHASH_H_INCLUDED_ */
