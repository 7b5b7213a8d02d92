
/*
 * Copyright (C) Sallyport authors
 *
 * Hex, decimal numbers and addresses: what is read is written back the same.
 */

#include <stdlib.h>
#include <string.h>

#include "sp_eth.h"
#include "sp_hex.h"
#include "sp_u256.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char         back[SP_U256_DECIMAL_MAX];
    size_t       len;
    uint8_t      address[SP_ETH_ADDRESS_LEN], buf[256];
    uint64_t     n;
    sp_u256_t    again, value;
    const char  *text;

    text = (const char *) data;

    if (sp_hex_decode(buf, sizeof(buf), &len, text, size) == SP_OK
        && len * 2 != size)
    {
        abort();
    }

    (void) sp_hex_decode_data(buf, sizeof(buf), &len, text, size);
    (void) sp_u256_hex_uint64(&n, text, size);

    if (sp_u256_from_decimal(&value, text, size) == SP_OK) {
        len = sp_u256_to_decimal(back, &value);

        if (len != size || memcmp(back, text, len) != 0) {
            abort();
        }
    }

    if (sp_u256_from_hex(&value, text, size) == SP_OK) {
        len = sp_u256_to_hex(back, &value);

        if (sp_u256_from_hex(&again, back, len) != SP_OK
            || memcmp(&again, &value, sizeof(value)) != 0)
        {
            abort();
        }
    }

    if (sp_eth_address_parse(address, text, size) == SP_OK) {
        sp_eth_address_encode(back, address);

        if (memcmp(back, text, SP_ETH_ADDRESS_TEXT_LEN) != 0) {
            abort();
        }
    }

    (void) sp_eth_address_parse_loose(address, text, size);

    return 0;
}
