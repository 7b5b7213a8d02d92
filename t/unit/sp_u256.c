
/*
 * Copyright (C) Sallyport authors
 */

#include "sp_u256.h"

#include "tap.h"


#define MAX_DECIMAL                                                           \
    "115792089237316195423570985008687907853269984665640564039457584007913"   \
    "129639935"
#define MAX_HEX                                                               \
    "0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"


static const struct {
    const char  *decimal;
    const char  *hex;
} cases[] = {
    { "0", "0x0" },
    { "1", "0x1" },
    { "255", "0xff" },
    { "256", "0x100" },
    { "18446744073709551615", "0xffffffffffffffff" },
    { "18446744073709551616", "0x10000000000000000" },
    { "1000000000000000000000", "0x3635c9adc5dea00000" },
    { MAX_DECIMAL, MAX_HEX },
};

static const char *bad_decimal[] = {
    "", "00", "01", "-1", "+1", " 1", "1 ", "1e3", "0x1", "1.0",
    "115792089237316195423570985008687907853269984665640564039457584007913"
    "129639936",
    "999999999999999999999999999999999999999999999999999999999999999999999"
    "999999999",
    MAX_DECIMAL "0",
};

static const char *bad_hex[] = {
    "", "0", "0x", "x1", "1", "0X1", "0xg", "0x1 ", MAX_HEX "0",
};


int
main(void)
{
    char        text[SP_U256_DECIMAL_MAX];
    size_t      i, n;
    uint64_t    number;
    sp_u256_t   a, b, zero;

    sp_u256_set(&zero, 0);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        TAP_OK(sp_u256_from_decimal(&a, cases[i].decimal,
                                    strlen(cases[i].decimal)) == SP_OK
               && sp_u256_from_hex(&b, cases[i].hex, strlen(cases[i].hex))
                  == SP_OK, "%s is read", cases[i].decimal);
        TAP_IS_MEM(a.bytes, 32, b.bytes, 32, "the same");

        n = sp_u256_to_decimal(text, &a);
        TAP_IS_MEM(text, n, cases[i].decimal, strlen(cases[i].decimal),
                   "decimal");

        n = sp_u256_to_hex(text, &a);
        TAP_IS_MEM(text, n, cases[i].hex, strlen(cases[i].hex), "hex");
    }

    for (i = 0; i < sizeof(bad_decimal) / sizeof(char *); i++) {
        TAP_OK(sp_u256_from_decimal(&a, bad_decimal[i],
                                    strlen(bad_decimal[i])) == SP_ERROR
               && memcmp(&a, &zero, sizeof(a)) == 0,
               "decimal \"%s\" is refused", bad_decimal[i]);
    }

    for (i = 0; i < sizeof(bad_hex) / sizeof(char *); i++) {
        TAP_OK(sp_u256_from_hex(&a, bad_hex[i], strlen(bad_hex[i]))
               == SP_ERROR && memcmp(&a, &zero, sizeof(a)) == 0,
               "hex \"%s\" is refused", bad_hex[i]);
    }

    sp_u256_set(&a, UINT64_MAX);
    TAP_OK(sp_u256_get(&a, &number) == SP_OK && number == UINT64_MAX,
           "64 bits fit");
    TAP_OK(sp_u256_len(&a) == 8 && sp_u256_len(&zero) == 0, "lengths");

    (void) sp_u256_from_decimal(&a, "18446744073709551616", 20);
    TAP_OK(sp_u256_get(&a, &number) == SP_ERROR && number == 0,
           "65 bits do not");
    TAP_OK(sp_u256_hex_uint64(&number, "0x7a69", 6) == SP_OK
           && number == 31337, "a quantity");
    TAP_OK(sp_u256_hex_uint64(&number, "0x10000000000000000", 19)
           == SP_ERROR && number == 0, "a quantity that does not fit");
    TAP_OK(sp_u256_from_bytes(&a, a.bytes, 33) == SP_ERROR, "33 bytes");

    return tap_done();
}
