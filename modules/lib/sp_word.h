
/*
 * Copyright (C) Sallyport authors
 *
 * Eight bytes of a text at once.  Not 0: one of the bytes is such a one; which
 * one is not told, since a borrow may mark the next byte as well.
 */

#ifndef _SP_WORD_H_INCLUDED_
#define _SP_WORD_H_INCLUDED_


#include <stdint.h>


/* 0x01 and 0x80 in every byte */
#define SP_WORD_ONES  UINT64_C(0x0101010101010101)
#define SP_WORD_TOPS  (SP_WORD_ONES * 0x80)


/* the byte c */
static inline uint64_t
sp_word_has(uint64_t word, uint8_t c)
{
    word ^= SP_WORD_ONES * c;

    return (word - SP_WORD_ONES) & ~word & SP_WORD_TOPS;
}


/* one below n, which is at most 0x80 */
static inline uint64_t
sp_word_below(uint64_t word, uint8_t n)
{
    return (word - SP_WORD_ONES * n) & ~word & SP_WORD_TOPS;
}


#endif /* _SP_WORD_H_INCLUDED_ */
