
/*
 * Copyright (C) Sallyport authors
 *
 * Messages of any bytes: what is accepted has its fields inside of the
 * message, in their order.
 */

#include <stdlib.h>
#include <string.h>

#include "sp_siwe.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int          i;
    sp_siwe_t    siwe;
    const char  *message, *text;

    text = (const char *) data;

    for (i = 0; i < 2; i++) {

        if (sp_siwe_parse(&siwe, text, size, i, &message) != SP_OK) {

            if (message == NULL || siwe.domain.data != NULL) {
                abort();
            }

            continue;
        }

        if (siwe.domain.data < text || siwe.domain.len == 0
            || siwe.uri.data < siwe.domain.data + siwe.domain.len
            || siwe.nonce.data < siwe.uri.data + siwe.uri.len
            || siwe.nonce.len < 8
            || siwe.nonce.data + siwe.nonce.len > text + size
            || memchr(siwe.nonce.data, '\n', siwe.nonce.len) != NULL)
        {
            abort();
        }
    }

    return 0;
}
