
/*
 * Copyright (C) Sallyport authors
 */

#include "sp_hex.h"
#include "sp_keystore.h"

#include "vectors.h"


/* go-ethereum's "31_byte_key": scrypt with n = 2 */

#define FILE_1(kdf, params, cipher, version)                                  \
    "{\"crypto\":{\"cipher\":\"" cipher "\",\"cipherparams\":{\"iv\":"        \
    "\"e0c41130a323adc1446fc82f724bca2f\"},\"ciphertext\":\"9517cd5bdbe69076" \
    "f9bf5057248c6c050141e970efa36ce53692d5d59a3984\",\"kdf\":\"" kdf "\","   \
    "\"kdfparams\":{" params ",\"salt\":\"711f816911c92d649fb4c84b04791567"   \
    "9933555030b3552c1212609b38208c63\"},\"mac\":\"d5e116151c6aa71470e67a7d"  \
    "42c9620c75c4d23229847dcc127794f0732b0db5\"},\"version\":" version "}"

#define SCRYPT  "\"dklen\":32,\"n\":2,\"p\":1,\"r\":8"


static const struct {
    const char  *text;
    const char  *password;
    const char  *reason;
} cases[] = {
    { FILE_1("scrypt", SCRYPT, "aes-128-ctr", "3"), "foo", NULL },
    { FILE_1("scrypt", SCRYPT, "aes-128-ctr", "3"), "fop", "password" },
    { FILE_1("scrypt", SCRYPT, "aes-128-ctr", "3"), "", "password" },
    { FILE_1("scrypt", SCRYPT, "aes-128-ctr", "1"), "foo", "version 3" },
    { FILE_1("scrypt", SCRYPT, "aes-256-ctr", "3"), "foo", "aes-128-ctr" },
    { FILE_1("argon2", SCRYPT, "aes-128-ctr", "3"), "foo", "kdf" },
    { FILE_1("pbkdf2", SCRYPT, "aes-128-ctr", "3"), "foo", "prf" },
    { FILE_1("scrypt", "\"dklen\":16,\"n\":2,\"p\":1,\"r\":8",
             "aes-128-ctr", "3"), "foo", "dklen" },
    { FILE_1("scrypt", "\"dklen\":32,\"n\":1073741824,\"p\":1,\"r\":8",
             "aes-128-ctr", "3"), "foo", "out of bounds" },
    { FILE_1("scrypt", "\"dklen\":32,\"n\":-2,\"p\":1,\"r\":8",
             "aes-128-ctr", "3"), "foo", "out of bounds" },
    { FILE_1("scrypt", "\"dklen\":32,\"n\":3,\"p\":1,\"r\":8",
             "aes-128-ctr", "3"), "foo", "refuses" },
    { "{}", "foo", "version 3" },
    { "[]", "foo", "version 3" },
    { "", "foo", "JSON" },
    { "{\"version\":3}", "foo", "aes-128-ctr" },
};


static void vectors(const char *path);


int
main(void)
{
    size_t       i;
    uint8_t      key[32], zero[32];
    const char  *reason;

    memset(zero, 0, sizeof(zero));

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(key, 0xa5, sizeof(key));

        if (sp_keystore_open(key, cases[i].text, strlen(cases[i].text),
                             cases[i].password, strlen(cases[i].password),
                             &reason) == SP_OK)
        {
            TAP_OK(cases[i].reason == NULL && key[0] == 0 && key[1] == 0xfa
                   && key[31] == 0x35, "case %zu is opened", i);
            continue;
        }

        TAP_OK(cases[i].reason != NULL
               && strstr(reason, cases[i].reason) != NULL
               && memcmp(key, zero, 32) == 0, "case %zu: %s", i, reason);
    }

    vectors("chain/go-ethereum/accounts/keystore/testdata/"
            "v3_test_vector.json");
    vectors("chain/ethereum-tests/KeyStoreTests/basic_tests.json");

    return tap_done();
}


static void
vectors(const char *path)
{
    int          rc;
    char        *text;
    json_t      *entry, *json, *root;
    size_t       len;
    uint8_t      key[32], wanted[32];
    const char  *name, *password, *priv, *reason;

    root = vectors_json(path);

    json_object_foreach (root, name, entry) {
        json = json_object_get(entry, "json");

        if (json == NULL) {
            continue;
        }

        text = json_dumps(json, 0);
        password = json_string_value(json_object_get(entry, "password"));
        priv = json_string_value(json_object_get(entry, "priv"));

        rc = sp_keystore_open(key, text, strlen(text), password,
                              strlen(password), &reason);
        free(text);

        /* n = 262144 with r = 1 breaks scrypt's own bound on n */

        if (strcmp(name, "wikipage_test_vector_scrypt") == 0
            || strcmp(name, "test2") == 0)
        {
            TAP_OK(rc == SP_ERROR, "%s is refused", name);
            continue;
        }

        memset(wanted, 0, sizeof(wanted));
        (void) sp_hex_decode(wanted + 32 - strlen(priv) / 2,
                             strlen(priv) / 2, &len, priv, strlen(priv));

        TAP_OK(rc == SP_OK && memcmp(key, wanted, 32) == 0, "%s", name);
    }

    json_decref(root);
}
