
/*
 * Copyright (C) Sallyport authors
 *
 * Key files of any bytes.  The public form of a key that is taken is a key
 * that is taken, with the same name.
 */

#include <stdlib.h>
#include <string.h>

#include "sp_jwk.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char             text[SP_JWK_PUBLIC_LEN];
    size_t           i, len;
    sp_jwk_t        *key;
    sp_jwks_t       *again, *set;
    sp_jwk_error_t   error;

    set = sp_jwks_parse((const char *) data, size, &error);

    for (i = 0; set != NULL && i < set->nkeys; i++) {
        key = &set->keys[i];

        if (key->pkey == NULL) {
            continue;
        }

        if (sp_jwk_public(key, text, sizeof(text), &len) != SP_OK) {
            abort();
        }

        again = sp_jwks_parse(text, len, &error);

        if (again == NULL || again->nkeys != 1 || again->keys[0].secret
            || again->keys[0].kid_len != key->kid_len
            || memcmp(again->keys[0].kid, key->kid, key->kid_len) != 0)
        {
            abort();
        }

        sp_jwks_free(again);
    }

    sp_jwks_free(set);

    return 0;
}
