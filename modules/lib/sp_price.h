
/*
 * Copyright (C) Sallyport authors
 *
 * What tokens and units cost, in integers: no sum depends on how a double
 * rounds.
 */

#ifndef _SP_PRICE_H_INCLUDED_
#define _SP_PRICE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "sp_rc.h"


/* a count above it is taken for it: no sum overflows */
#define SP_PRICE_TOKENS   1000000000

/* units of a cost in one of the currency */
#define SP_PRICE_UNIT     1000000000


/* in 10^-9 of the currency for 10^6 tokens, at most 10^15 */
typedef struct {
    uint64_t    input;
    uint64_t    output;
    uint64_t    cached;          /* read from the provider's cache */
    uint64_t    cache_write;
} sp_price_t;


/* of one call; negative: not told.  The input holds those of the cache. */
typedef struct {
    int64_t     input;
    int64_t     output;
    int64_t     cached;
    int64_t     cache_write;
} sp_price_tokens_t;


/*
 * "input/output", "input/output/cached" or "input/output/cached/cache_write":
 * decimals of the currency for a million tokens, 0 to 1000000, with up to 9
 * digits behind the point.  What is left out costs as input does.  On failure
 * the price is zeroed.
 */
int sp_price_parse(sp_price_t *price, const char *text, size_t len);

/*
 * One decimal of the currency, in the same bounds, in 10^-9 of it: the price
 * of a unit.  On failure *amount is kept.
 */
int sp_price_amount(uint64_t *amount, const char *text, size_t len);

/* exact; a cost above 4 * 10^9 of the currency is taken for it */
int64_t sp_price_units(uint64_t amount, int64_t units);

/* in 10^-9 of the currency, rounded once, half up */
int64_t sp_price_cost(const sp_price_t *price,
    const sp_price_tokens_t *tokens);


#endif /* _SP_PRICE_H_INCLUDED_ */
