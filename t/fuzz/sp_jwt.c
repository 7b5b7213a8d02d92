
/*
 * Copyright (C) Sallyport authors
 *
 * A token of any bytes: parsed within its buffer; what is parsed is never
 * verified by a key that nobody has, and its claims are judged all the same.
 */

#include <stdlib.h>
#include <string.h>

#include "sp_jwt.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static const char  keys[] =
    "{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":"
    "\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr8\"},"
    "{\"kty\":\"OKP\",\"alg\":\"EdDSA\",\"crv\":\"Ed25519\",\"x\":"
    "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
    "{\"kty\":\"EC\",\"alg\":\"ES256\",\"crv\":\"P-256\",\"x\":"
    "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"
    "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char               *buffer;
    sp_jwt_t            jwt;
    sp_jwk_error_t      error;
    sp_jwt_rules_t      rules;
    sp_jwt_status_e     status;
    static sp_jwks_t   *set;

    if (set == NULL) {
        set = sp_jwks_parse(keys, sizeof(keys) - 1, &error);

        if (set == NULL) {
            abort();
        }
    }

    buffer = malloc(size + 1);

    if (buffer != NULL
        && sp_jwt_parse(&jwt, buffer, size, (const char *) data, size)
           == SP_JWT_OK)
    {
        status = sp_jwt_verify(&jwt, (const sp_jwks_t *const *) &set, 1);

        if (status != SP_JWT_SIGNATURE && status != SP_JWT_NO_KEY) {
            abort();
        }

        memset(&rules, 0, sizeof(rules));
        rules.now = 1800000000;
        rules.issuer = "i";
        rules.audience = "a";

        (void) sp_jwt_claims(&jwt, &rules);

        sp_jwt_clear(&jwt);
    }

    free(buffer);

    return 0;
}
