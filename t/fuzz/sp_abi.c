
/*
 * Copyright (C) Sallyport authors
 *
 * Decoding never reads outside, and what is decoded encodes and decodes to
 * the same values.
 */

#include <stdlib.h>
#include <string.h>

#include "sp_abi.h"


#define VALUES  4


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char            text[128];
    size_t          i, len, n;
    uint8_t         buf[4096], kinds;
    sp_abi_value_t  again[VALUES], values[VALUES];

    if (size == 0) {
        return 0;
    }

    kinds = *data++;
    size--;

    if (sp_abi_revert(text, sizeof(text), data, size) > sizeof(text)) {
        abort();
    }

    n = 1 + kinds % VALUES;

    for (i = 0; i < n; i++) {
        values[i].type = (sp_abi_type_e) ((kinds >> (2 * i)) & 3);
        values[i].len = 1 + kinds % SP_ABI_WORD;
    }

    if (sp_abi_decode(data, size, values, n) != SP_OK) {
        return 0;
    }

    if (sp_abi_encode(buf, sizeof(buf), &len, NULL, values, n) != SP_OK) {
        return 0;
    }

    memcpy(again, values, sizeof(values));

    if (sp_abi_decode(buf, len, again, n) != SP_OK) {
        abort();
    }

    for (i = 0; i < n; i++) {
        if (again[i].len != values[i].len
            || (again[i].len != 0
                && memcmp(again[i].data, values[i].data, again[i].len) != 0))
        {
            abort();
        }
    }

    return 0;
}
