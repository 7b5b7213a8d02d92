
/*
 * Copyright (C) Sallyport authors
 */

#include "tap.h"

#include "sp_price.h"


static void test_parse(void);
static void test_refused(void);
static void test_units(void);
static void test_cost(void);
static void test_bounds(void);
static int64_t cost(const char *text, int64_t input, int64_t output,
    int64_t cached, int64_t write);


int
main(void)
{
    test_parse();
    test_refused();
    test_units();
    test_cost();
    test_bounds();

    return tap_done();
}


static void
test_parse(void)
{
    sp_price_t  price;

    TAP_OK(sp_price_parse(&price, "2.5/10/1.25/3.125", 17) == SP_OK,
       "four prices");
    TAP_OK(price.input == 2500000000, "input");
    TAP_OK(price.output == 10000000000, "output");
    TAP_OK(price.cached == 1250000000, "read from the cache");
    TAP_OK(price.cache_write == 3125000000, "written to the cache");

    TAP_OK(sp_price_parse(&price, "3/15", 4) == SP_OK
       && price.cached == price.input && price.cache_write == price.input,
       "two: the cache costs as input does");
    TAP_OK(sp_price_parse(&price, "3/15/0", 6) == SP_OK
       && price.cached == 0 && price.cache_write == price.input,
       "three: 0 is a price");
    TAP_OK(sp_price_parse(&price, "0.000000001/1000000", 19) == SP_OK
       && price.input == 1 && price.output == 1000000000000000,
       "the least and the most");
}


static void
test_units(void)
{
    uint64_t  amount;

    amount = 7;

    TAP_OK(sp_price_amount(&amount, "0.000015", 8) == SP_OK
           && amount == 15000, "the price of a character");
    TAP_OK(sp_price_units(amount, 1000) == 15000000, "of 1000 of them");
    TAP_OK(sp_price_units(amount, 0) == 0 && sp_price_units(amount, -1) == 0
           && sp_price_units(0, 5) == 0, "of none, for nothing");
    TAP_OK(sp_price_amount(&amount, "1/2", 3) != SP_OK
           && sp_price_amount(&amount, "", 0) != SP_OK
           && sp_price_amount(&amount, "-1", 2) != SP_OK
           && sp_price_amount(&amount, "1000001", 7) != SP_OK
           && amount == 15000, "what is no price changes none");
    TAP_OK(sp_price_amount(&amount, "1000000", 7) == SP_OK
           && sp_price_units(amount, INT64_MAX) == 4000000000000000000,
           "the most");
    TAP_OK(sp_price_units(amount, 4000) == 4000000000000000000
           && sp_price_units(amount, 3999) == 3999000000000000000,
           "the most, exact");
}


static void
test_refused(void)
{
    size_t      i;
    sp_price_t  price;

    static const char  *const texts[] = {
        "", "/", "1", "1/", "/1", "1//1", "1/2/3/4/5", "1/2/3/4/", "a/1",
        "-1/1", "+1/1", "1e3/1", ".5/1", "1./1", "1.2.3/1", " 1/1", "1/1 ",
        "1,5/2", "0.0000000001/1", "1000000.000000001/1", "1000001/1",
        "99999999999999999999999999/1"
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        TAP_OK(sp_price_parse(&price, texts[i], strlen(texts[i])) == SP_ERROR
           && price.input == 0 && price.output == 0,
           "refused: \"%s\"", texts[i]);
    }
}


static void
test_cost(void)
{
    TAP_OK(cost("2.5/10/1.25/3.125", 1000000, 0, 0, 0) == 2500000000,
       "a million of input");
    TAP_OK(cost("2.5/10/1.25/3.125", 1000, 500, 0, 0) == 7500000,
       "input and output");
    TAP_OK(cost("2.5/10/1.25/3.125", 1000, 0, 400, 100)
       == 500 * 2500 + 400 * 1250 + 100 * 3125,
       "those of the cache are part of the input");
    TAP_OK(cost("1/2", -1, -1, -1, -1) == 0, "what is not told costs nothing");
    TAP_OK(cost("1/2/0", 10, 0, 50, 50) == 0,
       "no more from the cache than there was");
    TAP_OK(cost("1/2/0/5", 10, 0, 4, 50) == 6 * 5000,
       "nor written to it");

    /* rounded once, not by the addend */

    TAP_OK(cost("0.0000005/0.0000005", 1, 0, 0, 0) == 0, "half of 0.001");
    TAP_OK(cost("0.0005/0.0005", 1, 0, 0, 0) == 1, "half up");
    TAP_OK(cost("0.0004/0.0004", 1, 1, 0, 0) == 1, "rounded as a sum");
    TAP_OK(cost("0.075/0.3", 3, 0, 0, 0) == 225, "no double");
}


static void
test_bounds(void)
{
    TAP_OK(cost("1000000/1000000", INT64_MAX, INT64_MAX, 0, 0)
       == 2 * (int64_t) SP_PRICE_TOKENS * SP_PRICE_UNIT,
       "the most of the most");
    TAP_OK(cost("999999.999999999/999999.999999999", INT64_MAX, INT64_MAX,
            INT64_MAX, INT64_MAX) > 0, "and with a rest");
    TAP_OK(cost("1/1", INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN) == 0,
       "less than nothing is nothing");
}


static int64_t
cost(const char *text, int64_t input, int64_t output, int64_t cached,
    int64_t write)
{
    sp_price_t         price;
    sp_price_tokens_t  tokens;

    if (sp_price_parse(&price, text, strlen(text)) != SP_OK) {
        return -1;
    }

    tokens.input = input;
    tokens.output = output;
    tokens.cached = cached;
    tokens.cache_write = write;

    return sp_price_cost(&price, &tokens);
}
