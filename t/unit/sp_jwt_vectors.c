
/*
 * Copyright (C) Sallyport authors
 *
 * Signatures and keys against what others made: RFC 7515 Appendix A, the JOSE
 * cookbook, Wycheproof.  Skipped where the vectors are absent.
 */

#include "sp_json.h"
#include "sp_jwt.h"

#include "tap.h"
#include "vectors.h"


#define RFC7515   "auth/rfc/rfc7515_appendix_a.json"
#define COOKBOOK  "auth/jose-cookbook/"
#define WYCHE     "auth/wycheproof/"


typedef struct {
    int  id;
    int  accept;            /* what a strict verifier does */
} disputed_t;


static void rfc7515(void);
static void cookbook(const char *path, int accept);
static void wycheproof(const char *path, const disputed_t *disputed);
static int verifies(const json_t *keys, const char *token);


/*
 * 367, 370 are byte for byte the valid 357; 372, 373 have a "?" inside of
 * base64url; 346, 350 and 347, 351 pair a key of one alg with a token of
 * another
 */

static const disputed_t  signatures[] = {
    { 367, 1 }, { 370, 1 }, { 372, 0 }, { 373, 0 },
    { 346, 0 }, { 350, 0 }, { 347, 0 }, { 351, 0 },
    { 0, 0 }
};

/* 1: symmetric and public keys together load when each names its alg */

static const disputed_t  keys[] = {
    { 1, 1 }, { 0, 0 }
};


int
main(void)
{
    rfc7515();

    cookbook(COOKBOOK "jws/4_1.rsa_v15_signature.json", 1);
    cookbook(COOKBOOK "jws/4_2.rsa-pss_signature.json", 0);
    cookbook(COOKBOOK "jws/4_4.hmac-sha2_integrity_protection.json", 1);
    cookbook(COOKBOOK "curve25519/jws.json", 1);
    cookbook(COOKBOOK "rfc7797/hmac-sha2_b64_false.json", 0);

    wycheproof(WYCHE "json_web_signature_test.json", signatures);
    wycheproof(WYCHE "json_web_key_test.json", keys);

    return tap_done();
}


static void
rfc7515(void)
{
    int           accept;
    json_t       *root;
    size_t        i;
    const char   *name;
    const json_t *jwk, *one;

    root = vectors_json(RFC7515);
    if (root == NULL) {
        return;
    }

    json_array_foreach(json_object_get(root, "cases"), i, one) {
        name = json_string_value(json_object_get(one, "name"));

        jwk = json_object_get(one, "jwk");

        if (!json_is_object(jwk)) {
            jwk = json_object_get(json_array_get(json_object_get(root,
                                                 "cases"), 0), "jwk");
        }

        /* ES512 is not supported, "none" (A.5) never */
        accept = i < 3;

        TAP_IS_INT(verifies(jwk,
                            json_string_value(json_object_get(one, "jws"))),
                   accept, "RFC 7515 %s", name);
    }

    json_decref(root);
}


static void
cookbook(const char *path, int accept)
{
    json_t       *root;
    const char   *token;
    const json_t *key;

    root = vectors_json(path);
    if (root == NULL) {
        return;
    }

    key = json_object_get(json_object_get(root, "input"), "key");
    token = json_string_value(json_object_get(json_object_get(root, "output"),
                                              "compact"));

    TAP_IS_INT(token != NULL && verifies(key, token), accept, "%s", path);

    json_decref(root);
}


static void
wycheproof(const char *path, const disputed_t *disputed)
{
    int               accept, bad, id, total, valid;
    json_t           *root;
    size_t            g, t;
    const char       *token;
    const json_t     *group, *one, *set;
    const disputed_t *d;

    root = vectors_json(path);
    if (root == NULL) {
        return;
    }

    bad = 0;
    total = 0;
    valid = 0;

    json_array_foreach(json_object_get(root, "testGroups"), g, group) {
        set = json_object_get(group, "public");

        if (set == NULL) {
            set = json_object_get(group, "private");
        }

        json_array_foreach(json_object_get(group, "tests"), t, one) {
            id = (int) json_integer_value(json_object_get(one, "tcId"));
            token = json_string_value(json_object_get(one, "jws"));
            accept = strcmp(json_string_value(json_object_get(one, "result")),
                            "valid") == 0;

            for (d = disputed; d->id != 0; d++) {
                if (d->id == id) {
                    accept = d->accept;
                }
            }

            total++;
            valid += accept;

            /* JSON serialization has no compact form at all */

            if ((token != NULL && verifies(set, token)) != accept) {
                printf("#   tcId %d: expected %s\n", id,
                       accept ? "accept" : "refuse");
                bad++;
            }
        }
    }

    TAP_IS_INT(bad, 0, "%s: %d cases, %d valid", path, total, valid);

    json_decref(root);
}


static int
verifies(const json_t *set, const char *token)
{
    int             ok;
    char           *buffer, *text;
    size_t          len;
    sp_jwt_t        jwt;
    sp_jwks_t      *jwks;
    sp_jwk_error_t  error;

    text = json_dumps(set, 0);
    jwks = sp_jwks_parse(text, strlen(text), &error);
    free(text);

    if (jwks == NULL) {
        return 0;
    }

    len = strlen(token);
    buffer = malloc(len + 1);

    ok = sp_jwt_parse(&jwt, buffer, len, token, len) == SP_JWT_OK
         && sp_jwt_verify(&jwt, (const sp_jwks_t *const *) &jwks, 1)
            == SP_JWT_OK;

    sp_jwt_clear(&jwt);
    sp_jwks_free(jwks);
    free(buffer);

    return ok;
}
