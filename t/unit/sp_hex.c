
/*
 * Copyright (C) Sallyport authors
 */

#include "sp_hex.h"

#include "tap.h"


static const struct {
    const char  *text;
    int          rc;
    size_t       len;
    const char  *bytes;
} cases[] = {
    { "",         SP_OK,    0, "" },
    { "00",       SP_OK,    1, "\0" },
    { "fF0a",     SP_OK,    2, "\xff\x0a" },
    { "01020304", SP_OK,    4, "\1\2\3\4" },
    { "0102030405", SP_ERROR, 0, "" },
    { "0",        SP_ERROR, 0, "" },
    { "0g",       SP_ERROR, 0, "" },
    { "g0",       SP_ERROR, 0, "" },
    { "0x00",     SP_ERROR, 0, "" },
    { " 00",      SP_ERROR, 0, "" },
};


int
main(void)
{
    int      rc;
    char     text[8];
    size_t   i, len;
    uint8_t  bytes[4];

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(bytes, 0xa5, sizeof(bytes));
        rc = sp_hex_decode(bytes, sizeof(bytes), &len, cases[i].text,
                           strlen(cases[i].text));

        TAP_OK(rc == cases[i].rc, "\"%s\" is %s", cases[i].text,
               cases[i].rc == SP_OK ? "read" : "refused");
        TAP_IS_MEM(bytes, len, cases[i].bytes, cases[i].len, "bytes of it");

        if (rc != SP_OK) {
            TAP_IS_MEM(bytes, 4, "\0\0\0\0", 4, "zeroed");
        }
    }

    TAP_OK(sp_hex_decode_data(bytes, 4, &len, "0x", 2) == SP_OK && len == 0,
           "0x is empty data");
    TAP_OK(sp_hex_decode_data(bytes, 4, &len, "0X00", 4) == SP_ERROR,
           "0X is no prefix");
    TAP_OK(sp_hex_decode_data(bytes, 4, &len, "0", 1) == SP_ERROR,
           "half a prefix");
    TAP_OK(sp_hex_decode_fixed(bytes, 2, "0x1234", 6) == SP_OK, "fixed");
    TAP_OK(sp_hex_decode_fixed(bytes, 2, "0x12", 4) == SP_ERROR, "short");
    TAP_OK(sp_hex_decode_fixed(bytes, 2, "0x123456", 8) == SP_ERROR, "long");

    sp_hex_encode(text, (const uint8_t *) "\x00\xff\x1a\xb2", 4);
    TAP_IS_MEM(text, 8, "00ff1ab2", 8, "written in lower case");

    return tap_done();
}
