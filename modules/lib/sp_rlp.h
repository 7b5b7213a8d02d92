
/*
 * Copyright (C) Sallyport authors
 *
 * RLP: a writer into the caller's memory and a strict reader.  The reader
 * accepts canonical encodings only, so that one value has one encoding.
 */

#ifndef _SP_RLP_H_INCLUDED_
#define _SP_RLP_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "sp_rc.h"
#include "sp_u256.h"


/*
 * Zero-fill, then set "start" and "size".  What does not fit is counted in
 * "overflow" and not written: test it once, at the end.
 */
typedef struct {
    uint8_t   *start;
    size_t     size;
    size_t     len;
    unsigned   overflow:1;
} sp_rlp_writer_t;


typedef struct {
    const uint8_t  *pos;
    const uint8_t  *end;
} sp_rlp_reader_t;


typedef struct {
    const uint8_t  *data;                   /* the payload, not the header */
    size_t          len;
    unsigned        list:1;
} sp_rlp_item_t;


void sp_rlp_put_bytes(sp_rlp_writer_t *w, const uint8_t *bytes, size_t len);
void sp_rlp_put_uint(sp_rlp_writer_t *w, uint64_t n);
void sp_rlp_put_u256(sp_rlp_writer_t *w, const sp_u256_t *value);

/*
 * A list is what is written between begin() and end(); end() puts the header
 * in front.  Lists nest.
 */
size_t sp_rlp_begin(sp_rlp_writer_t *w);
void sp_rlp_end(sp_rlp_writer_t *w, size_t begin);


/*
 * The next item; the reader moves behind it.  SP_ERROR at the end, on a
 * truncated item and on a non-canonical header; *item is zeroed then.
 * The items of a list are read with a reader over its payload.
 */
int sp_rlp_next(sp_rlp_reader_t *r, sp_rlp_item_t *item);

/* a byte string that is an integer without leading zeros; 0 on failure */
int sp_rlp_uint(const sp_rlp_item_t *item, uint64_t *n);
int sp_rlp_u256(const sp_rlp_item_t *item, sp_u256_t *value);

/* SP_OK: exactly one item, canonical down to "depth" nested lists */
int sp_rlp_check(const uint8_t *data, size_t len, unsigned depth);


#endif /* _SP_RLP_H_INCLUDED_ */
