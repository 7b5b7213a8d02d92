
/*
 * Copyright (C) Sallyport authors
 *
 * A keystore is written by the operator, but nothing in one may crash.  The
 * derivation is bounded by the library; costly parameters are kept out here.
 */

#include <string.h>

#include "sp_keystore.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t       digits, i;
    uint8_t      key[SP_KEYSTORE_KEY_LEN];
    const char  *reason;

    digits = 0;

    for (i = 0; i < size; i++) {
        if (data[i] >= '0' && data[i] <= '9') {
            digits++;

        } else {
            digits = (data[i] == ':') ? 1 : 0;
        }

        if (digits == 5) {
            return 0;
        }
    }

    (void) sp_keystore_open(key, (const char *) data, size, "foo", 3,
                            &reason);

    return 0;
}
