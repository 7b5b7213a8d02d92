
/*
 * Copyright (C) Sallyport authors
 */

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rsa.h>

#include "sp_json.h"
#include "sp_jwk.h"
#include "sp_jwk_key.h"


/* what one JWK came to */

typedef enum {
    SP_JWK_TAKEN = 0,
    SP_JWK_SKIPPED,
    SP_JWK_REFUSED
} sp_jwk_result_e;


static const json_t *sp_jwks_list(const json_t *root, sp_jwk_error_t *error);
static int sp_jwks_load(sp_jwks_t *set, const json_t *list, const json_t *root,
    sp_jwk_error_t *error);
static int sp_jwks_check(const sp_jwks_t *set, size_t unnamed,
    sp_jwk_error_t *error);
static sp_jwk_result_e sp_jwk_load(sp_jwk_t *key, const json_t *jwk,
    const char **message);
static sp_jwk_result_e sp_jwk_alg(sp_jwk_t *key, const json_t *jwk,
    const char **message);
static sp_jwk_result_e sp_jwk_use(sp_jwk_t *key, const json_t *jwk,
    const char **message);
static sp_jwk_result_e sp_jwk_ops(sp_jwk_t *key, const json_t *ops,
    const char **message);
static int sp_jwk_kid(sp_jwk_t *key, const json_t *jwk,
    const char **message);
static int sp_jwk_prepare(sp_jwk_t *key);
static void sp_jwk_clear(sp_jwk_t *key);


static const sp_jwa_t  sp_jwa_rows[] = {
    { "HS256", SP_JWA_HS256, SP_JWK_OCT, "SHA256", 32, 0 },
    { "HS384", SP_JWA_HS384, SP_JWK_OCT, "SHA384", 48, 0 },
    { "HS512", SP_JWA_HS512, SP_JWK_OCT, "SHA512", 64, 0 },
    { "RS256", SP_JWA_RS256, SP_JWK_RSA, "SHA256", 32, 0 },
    { "RS384", SP_JWA_RS384, SP_JWK_RSA, "SHA384", 48, 0 },
    { "RS512", SP_JWA_RS512, SP_JWK_RSA, "SHA512", 64, 0 },
    { "PS256", SP_JWA_PS256, SP_JWK_RSA, "SHA256", 32, 1 },
    { "PS384", SP_JWA_PS384, SP_JWK_RSA, "SHA384", 48, 1 },
    { "PS512", SP_JWA_PS512, SP_JWK_RSA, "SHA512", 64, 1 },
    { "ES256", SP_JWA_ES256, SP_JWK_EC, "SHA256", 32, 0 },
    { "EdDSA", SP_JWA_EDDSA, SP_JWK_OKP, NULL, 0, 0 }
};

/* of a key that names no alg, by its type */

static const char *const  sp_jwa_defaults[] = {
    "HS256", "RS256", "ES256", "EdDSA"
};


const sp_jwa_t *
sp_jwa_find(const char *name, size_t len)
{
    size_t  i;

    for (i = 0; i < sizeof(sp_jwa_rows) / sizeof(sp_jwa_rows[0]); i++) {
        if (strlen(sp_jwa_rows[i].name) == len
            && memcmp(sp_jwa_rows[i].name, name, len) == 0)
        {
            return &sp_jwa_rows[i];
        }
    }

    return NULL;
}


sp_jwks_t *
sp_jwks_parse(const char *text, size_t len, sp_jwk_error_t *error)
{
    json_t            *root;
    sp_jwks_t         *set;
    const json_t      *list;
    sp_json_limits_t   limits;
    sp_json_status_e   status;

    memset(error, 0, sizeof(sp_jwk_error_t));

    memset(&limits, 0, sizeof(sp_json_limits_t));
    limits.size = SP_JWK_MAX_TEXT;
    limits.depth = 8;

    status = sp_json_parse(text, len, &limits, &root, NULL);
    if (status != SP_JSON_OK) {
        error->message = status == SP_JSON_NO_MEMORY
                         ? NULL : sp_json_strerror(status);
        return NULL;
    }

    set = NULL;

    list = sp_jwks_list(root, error);
    if (list == NULL) {
        goto done;
    }

    set = calloc(1, sizeof(sp_jwks_t));
    if (set == NULL) {
        goto done;
    }

    if (sp_jwks_load(set, list, root, error) != SP_OK) {
        sp_jwks_free(set);
        set = NULL;
    }

done:

    json_decref(root);

    return set;
}


/* the "keys" array of a set; root itself stands for a single JWK */

static const json_t *
sp_jwks_list(const json_t *root, sp_jwk_error_t *error)
{
    const json_t  *list;

    if (!json_is_object(root)) {
        error->message = "neither a JWK Set nor a JWK: not an object";
        return NULL;
    }

    list = json_object_get(root, "keys");

    if (list == NULL) {

        if (json_object_get(root, "kty") == NULL) {
            error->message = "neither a JWK Set (no \"keys\") nor a JWK "
                             "(no \"kty\")";
            return NULL;
        }

        return root;
    }

    if (!json_is_array(list)) {
        error->message = "\"keys\" is not an array";
        return NULL;
    }

    if (json_array_size(list) == 0) {
        error->message = "the JWK Set has no key";
        return NULL;
    }

    if (json_array_size(list) > SP_JWK_MAX_KEYS) {
        error->message = "the JWK Set has more than 100 keys";
        return NULL;
    }

    return list;
}


static int
sp_jwks_load(sp_jwks_t *set, const json_t *list, const json_t *root,
    sp_jwk_error_t *error)
{
    size_t            i, n, unnamed;
    sp_jwk_t         *key;
    const json_t     *jwk;
    sp_jwk_result_e   result;

    n = list == root ? 1 : json_array_size(list);
    unnamed = 0;

    set->keys = calloc(n, sizeof(sp_jwk_t));
    if (set->keys == NULL) {
        return SP_ERROR;
    }

    for (i = 0; i < n; i++) {
        jwk = list == root ? root : json_array_get(list, i);
        key = &set->keys[set->nkeys];

        error->index = i;
        error->at_key = 1;

        result = sp_jwk_load(key, jwk, &error->message);

        if (result == SP_JWK_TAKEN) {
            unnamed += json_object_get(jwk, "alg") == NULL;
            set->nkeys++;
            continue;
        }

        sp_jwk_clear(key);

        if (result == SP_JWK_REFUSED) {
            return SP_ERROR;
        }

        set->skipped++;
    }

    return sp_jwks_check(set, unnamed, error);
}


static int
sp_jwks_check(const sp_jwks_t *set, size_t unnamed, sp_jwk_error_t *error)
{
    size_t           i, k, symmetric;
    const sp_jwk_t  *a, *b;

    error->at_key = 0;
    symmetric = 0;

    if (set->nkeys == 0) {
        error->message = "no key for signatures of HS, RS, PS, ES256 or EdDSA "
                         "(kty oct, RSA, EC P-256, OKP Ed25519)";
        return SP_ERROR;
    }

    for (i = 0; i < set->nkeys; i++) {
        a = &set->keys[i];
        symmetric += a->pkey == NULL;

        for (k = 0; a->kid != NULL && k < i; k++) {
            b = &set->keys[k];

            if (b->kid != NULL && a->kid_len == b->kid_len
                && memcmp(a->kid, b->kid, a->kid_len) == 0)
            {
                error->message = "two keys have the same \"kid\"";
                return SP_ERROR;
            }
        }
    }

    if (symmetric != 0 && symmetric != set->nkeys && unnamed != 0) {
        error->message = "symmetric and public keys in one set, and not every "
                         "key names its \"alg\"";
        return SP_ERROR;
    }

    return SP_OK;
}


static sp_jwk_result_e
sp_jwk_load(sp_jwk_t *key, const json_t *jwk, const char **message)
{
    sp_jwk_result_e  result;

    *message = NULL;

    if (!json_is_object(jwk)) {
        *message = "not an object";
        return SP_JWK_REFUSED;
    }

    result = sp_jwk_alg(key, jwk, message);
    if (result != SP_JWK_TAKEN) {
        return result;
    }

    key->secret = key->jwa->type == SP_JWK_OCT
                  || json_object_get(jwk, "d") != NULL;

    result = sp_jwk_use(key, jwk, message);
    if (result != SP_JWK_TAKEN) {
        return result;
    }

    if (sp_jwk_key_load(key, jwk, message) != SP_OK
        || sp_jwk_kid(key, jwk, message) != SP_OK
        || sp_jwk_prepare(key) != SP_OK)
    {
        return SP_JWK_REFUSED;
    }

    return SP_JWK_TAKEN;
}


/*
 * The one algorithm of the key: its "alg", which must fit the type of key, or
 * the default of the type.
 */

static sp_jwk_result_e
sp_jwk_alg(sp_jwk_t *key, const json_t *jwk, const char **message)
{
    size_t              kty_len, len;
    const char         *crv, *kty, *name;
    sp_jwk_type_e       type;

    kty = sp_json_string(jwk, "kty", &kty_len);
    if (kty == NULL) {
        *message = "\"kty\" is missing or not a string";
        return SP_JWK_REFUSED;
    }

    crv = sp_json_string(jwk, "crv", &len);

    if (strcmp(kty, "oct") == 0) {
        type = SP_JWK_OCT;

    } else if (strcmp(kty, "RSA") == 0) {
        type = SP_JWK_RSA;

    } else if (strcmp(kty, "EC") == 0 && crv != NULL
               && strcmp(crv, "P-256") == 0)
    {
        type = SP_JWK_EC;

    } else if (strcmp(kty, "OKP") == 0 && crv != NULL
               && strcmp(crv, "Ed25519") == 0)
    {
        type = SP_JWK_OKP;

    } else {
        return SP_JWK_SKIPPED;
    }

    name = sp_jwa_defaults[type];
    len = strlen(name);

    if (json_object_get(jwk, "alg") != NULL) {
        name = sp_json_string(jwk, "alg", &len);

        if (name == NULL) {
            *message = "\"alg\" is not a string";
            return SP_JWK_REFUSED;
        }
    }

    key->jwa = sp_jwa_find(name, len);

    return key->jwa != NULL && key->jwa->type == type
           ? SP_JWK_TAKEN : SP_JWK_SKIPPED;
}


static sp_jwk_result_e
sp_jwk_use(sp_jwk_t *key, const json_t *jwk, const char **message)
{
    size_t         len;
    const char    *use;
    const json_t  *ops;

    key->signs = key->secret;
    key->verifies = 1;

    if (json_object_get(jwk, "use") != NULL) {
        use = sp_json_string(jwk, "use", &len);

        if (use == NULL) {
            *message = "\"use\" is not a string";
            return SP_JWK_REFUSED;
        }

        if (strcmp(use, "sig") != 0) {
            return SP_JWK_SKIPPED;
        }
    }

    ops = json_object_get(jwk, "key_ops");

    return ops == NULL ? SP_JWK_TAKEN : sp_jwk_ops(key, ops, message);
}


static sp_jwk_result_e
sp_jwk_ops(sp_jwk_t *key, const json_t *ops, const char **message)
{
    size_t        i;
    unsigned      sign, verify;
    const char   *op;

    if (!json_is_array(ops) || json_array_size(ops) > 16) {
        *message = "\"key_ops\" is not an array of at most 16";
        return SP_JWK_REFUSED;
    }

    sign = 0;
    verify = 0;

    for (i = 0; i < json_array_size(ops); i++) {
        op = json_string_value(json_array_get(ops, i));

        if (op == NULL) {
            *message = "\"key_ops\" has a value that is not a string";
            return SP_JWK_REFUSED;
        }

        sign |= strcmp(op, "sign") == 0;
        verify |= strcmp(op, "verify") == 0;
    }

    /* with a private key comes its public one, whose operation is verify */

    key->signs = key->secret && sign;
    key->verifies = (verify || (sign && key->jwa->type != SP_JWK_OCT)) != 0;

    return key->signs || key->verifies ? SP_JWK_TAKEN : SP_JWK_SKIPPED;
}


static int
sp_jwk_kid(sp_jwk_t *key, const json_t *jwk, const char **message)
{
    char         thumbprint[SP_JWK_THUMBPRINT_LEN];
    size_t       len;
    const char  *kid;

    if (json_object_get(jwk, "kid") != NULL) {
        kid = sp_json_string(jwk, "kid", &len);

        if (kid == NULL || len == 0 || len > SP_JWK_KID_LEN) {
            *message = "\"kid\" is not a string of 1 to 256 bytes";
            return SP_ERROR;
        }

    } else {

        if (key->pkey == NULL) {
            return SP_OK;
        }

        if (sp_jwk_thumbprint(key, thumbprint) != SP_OK) {
            return SP_ERROR;
        }

        kid = thumbprint;
        len = sizeof(thumbprint);
    }

    key->kid = malloc(len);
    if (key->kid == NULL) {
        return SP_ERROR;
    }

    memcpy(key->kid, kid, len);
    key->kid_len = len;

    return SP_OK;
}


/*
 * Setting up a verification costs as much as an RSA verification itself, so
 * it is done once per key; users work on copies.
 */

static int
sp_jwk_prepare(sp_jwk_t *key)
{
    int            rc;
    EVP_PKEY_CTX  *pctx;

    if (key->pkey == NULL) {
        return SP_OK;
    }

    key->verifier = EVP_MD_CTX_new();
    if (key->verifier == NULL) {
        return SP_ERROR;
    }

    rc = EVP_DigestVerifyInit_ex(key->verifier, &pctx, key->jwa->hash, NULL,
                                 NULL, key->pkey, NULL);

    if (rc == 1 && key->jwa->pss) {
        rc = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) > 0
             && EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx,
                                                 RSA_PSS_SALTLEN_DIGEST) > 0;
    }

    return rc == 1 ? SP_OK : SP_ERROR;
}


void
sp_jwks_free(sp_jwks_t *set)
{
    size_t  i;

    if (set == NULL) {
        return;
    }

    for (i = 0; i < set->nkeys; i++) {
        sp_jwk_clear(&set->keys[i]);
    }

    free(set->keys);
    free(set);
}


static void
sp_jwk_clear(sp_jwk_t *key)
{
    /* both wipe the key material they hold */

    EVP_MD_CTX_free(key->verifier);
    EVP_MAC_CTX_free(key->mac);
    EVP_PKEY_free(key->pkey);
    free(key->kid);

    memset(key, 0, sizeof(sp_jwk_t));
}


const sp_jwk_t *
sp_jwks_signer(const sp_jwks_t *set)
{
    size_t  i;

    for (i = 0; i < set->nkeys; i++) {
        if (set->keys[i].signs && set->keys[i].pkey != NULL) {
            return &set->keys[i];
        }
    }

    return NULL;
}
