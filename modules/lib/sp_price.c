
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

#include "sp_price.h"


#define SP_PRICE_WHOLE   1000000             /* of the currency, at most */
#define SP_PRICE_DIGITS  9
#define SP_PRICE_PER     1000000             /* tokens */


static uint64_t sp_price_count(int64_t tokens, uint64_t max);
static void sp_price_add(uint64_t *units, uint64_t *rest, uint64_t tokens,
    uint64_t amount);


int
sp_price_parse(sp_price_t *price, const char *text, size_t len)
{
    size_t       i, n;
    uint64_t     amounts[4];
    const char  *end, *last;

    memset(price, 0, sizeof(sp_price_t));

    last = text + len;

    for (n = 0; n < 4; n++) {

        end = memchr(text, '/', (size_t) (last - text));

        if (end == NULL) {
            end = last;
        }

        if (sp_price_amount(&amounts[n], text, (size_t) (end - text))
            != SP_OK)
        {
            return SP_ERROR;
        }

        if (end == last) {
            n++;
            break;
        }

        text = end + 1;
    }

    if (n < 2 || end != last) {
        return SP_ERROR;
    }

    for (i = n; i < 4; i++) {
        amounts[i] = amounts[0];
    }

    price->input = amounts[0];
    price->output = amounts[1];
    price->cached = amounts[2];
    price->cache_write = amounts[3];

    return SP_OK;
}


int
sp_price_amount(uint64_t *amount, const char *text, size_t len)
{
    size_t    i, digits, point;
    uint64_t  value;

    value = 0;
    digits = 0;
    point = len;

    for (i = 0; i < len; i++) {

        if (text[i] == '.' && point == len && digits != 0) {
            point = i;
            continue;
        }

        if (text[i] < '0' || text[i] > '9'
            || (point != len && i - point > SP_PRICE_DIGITS))
        {
            return SP_ERROR;
        }

        value = value * 10 + (uint64_t) (text[i] - '0');
        digits++;

        if (point == len && value > SP_PRICE_WHOLE) {
            return SP_ERROR;
        }
    }

    if (digits == 0 || point + 1 == len) {
        return SP_ERROR;
    }

    i = (point == len) ? 0 : len - point - 1;

    for ( /* void */ ; i < SP_PRICE_DIGITS; i++) {
        value *= 10;
    }

    if (value > (uint64_t) SP_PRICE_WHOLE * SP_PRICE_UNIT) {
        return SP_ERROR;
    }

    *amount = value;

    return SP_OK;
}


int64_t
sp_price_units(uint64_t amount, int64_t units)
{
    static const uint64_t  most = (uint64_t) 4 * SP_PRICE_UNIT * SP_PRICE_UNIT;

    if (amount == 0 || units <= 0) {
        return 0;
    }

    return ((uint64_t) units > most / amount) ? (int64_t) most
                                              : (int64_t) (amount
                                                           * (uint64_t) units);
}


int64_t
sp_price_cost(const sp_price_t *price, const sp_price_tokens_t *tokens)
{
    uint64_t  cached, input, rest, units, write;

    input = sp_price_count(tokens->input, SP_PRICE_TOKENS);
    cached = sp_price_count(tokens->cached, input);
    write = sp_price_count(tokens->cache_write, input - cached);

    units = 0;
    rest = 0;

    sp_price_add(&units, &rest, input - cached - write, price->input);
    sp_price_add(&units, &rest, cached, price->cached);
    sp_price_add(&units, &rest, write, price->cache_write);
    sp_price_add(&units, &rest,
                 sp_price_count(tokens->output, SP_PRICE_TOKENS),
                 price->output);

    return (int64_t) (units + (rest + SP_PRICE_PER / 2) / SP_PRICE_PER);
}


static uint64_t
sp_price_count(int64_t tokens, uint64_t max)
{
    if (tokens <= 0) {
        return 0;
    }

    return ((uint64_t) tokens < max) ? (uint64_t) tokens : max;
}


/* at most 2 * 10^18 units and 2 * 10^15 of the rest, of all four */

static void
sp_price_add(uint64_t *units, uint64_t *rest, uint64_t tokens,
    uint64_t amount)
{
    *units += tokens * (amount / SP_PRICE_PER);
    *rest += tokens * (amount % SP_PRICE_PER);
}
