
/*
 * Copyright (C) Sallyport authors
 */

#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "sp_hex.h"
#include "sp_json.h"
#include "sp_keccak.h"
#include "sp_keystore.h"


#define SP_KEYSTORE_FILE_MAX  65536
#define SP_KEYSTORE_DK_LEN    32
#define SP_KEYSTORE_SALT_MAX  256


typedef struct {
    uint8_t   salt[SP_KEYSTORE_SALT_MAX];
    size_t    salt_len;
    uint8_t   iv[16];
    uint8_t   mac[SP_KECCAK256_LEN];
    uint8_t   ciphertext[SP_KEYSTORE_KEY_LEN];
    size_t    ciphertext_len;
    uint8_t   dk[SP_KEYSTORE_DK_LEN];
} sp_keystore_t;


static const char *sp_keystore_read(sp_keystore_t *ks, json_t *root,
    const char *password, size_t password_len);
static int sp_keystore_hex(json_t *object, const char *name, uint8_t *dst,
    size_t size, size_t *len);
static int sp_keystore_text(json_t *object, const char *name,
    const char *expected);
static const char *sp_keystore_kdf(sp_keystore_t *ks, json_t *crypto,
    const char *password, size_t password_len);
static const char *sp_keystore_scrypt(sp_keystore_t *ks, json_t *params,
    const char *password, size_t password_len);
static const char *sp_keystore_pbkdf2(sp_keystore_t *ks, json_t *params,
    const char *password, size_t password_len);
static const char *sp_keystore_decrypt(const sp_keystore_t *ks,
    uint8_t *key);


int
sp_keystore_open(uint8_t key[SP_KEYSTORE_KEY_LEN], const char *text,
    size_t len, const char *password, size_t password_len,
    const char **reason)
{
    json_t            *root;
    sp_keystore_t      ks;
    sp_json_limits_t   limits;

    memset(key, 0, SP_KEYSTORE_KEY_LEN);
    memset(&ks, 0, sizeof(sp_keystore_t));

    memset(&limits, 0, sizeof(sp_json_limits_t));
    limits.size = SP_KEYSTORE_FILE_MAX;
    limits.depth = 8;

    if (sp_json_parse(text, len, &limits, &root, NULL) != SP_JSON_OK) {
        *reason = "the keystore is not valid JSON";
        return SP_ERROR;
    }

    *reason = sp_keystore_read(&ks, root, password, password_len);

    if (*reason == NULL) {
        *reason = sp_keystore_decrypt(&ks, key);
    }

    json_decref(root);
    OPENSSL_cleanse(&ks, sizeof(sp_keystore_t));

    if (*reason != NULL) {
        OPENSSL_cleanse(key, SP_KEYSTORE_KEY_LEN);
        return SP_ERROR;
    }

    return SP_OK;
}


static const char *
sp_keystore_read(sp_keystore_t *ks, json_t *root, const char *password,
    size_t password_len)
{
    size_t   len;
    json_t  *crypto, *version;

    version = json_object_get(root, "version");

    if (!json_is_integer(version) || json_integer_value(version) != 3) {
        return "the keystore is not of version 3";
    }

    crypto = json_object_get(root, "crypto");

    if (crypto == NULL) {
        crypto = json_object_get(root, "Crypto");
    }

    if (sp_keystore_text(crypto, "cipher", "aes-128-ctr") != SP_OK) {
        return "the keystore's cipher is not aes-128-ctr";
    }

    if (sp_keystore_hex(json_object_get(crypto, "cipherparams"), "iv",
                        ks->iv, sizeof(ks->iv), &len) != SP_OK
        || len != sizeof(ks->iv)
        || sp_keystore_hex(crypto, "mac", ks->mac, sizeof(ks->mac), &len)
           != SP_OK
        || len != sizeof(ks->mac)
        || sp_keystore_hex(crypto, "ciphertext", ks->ciphertext,
                           sizeof(ks->ciphertext), &ks->ciphertext_len)
           != SP_OK
        || ks->ciphertext_len == 0)
    {
        return "the keystore's iv, mac or ciphertext is missing or broken";
    }

    return sp_keystore_kdf(ks, crypto, password, password_len);
}


static int
sp_keystore_hex(json_t *object, const char *name, uint8_t *dst, size_t size,
    size_t *len)
{
    size_t       n;
    const char  *text;

    *len = 0;
    text = sp_json_string(object, name, &n);

    if (text == NULL) {
        return SP_ERROR;
    }

    return sp_hex_decode(dst, size, len, text, n);
}


static int
sp_keystore_text(json_t *object, const char *name, const char *expected)
{
    size_t       len;
    const char  *text;

    text = sp_json_string(object, name, &len);

    if (text == NULL || len != strlen(expected)
        || memcmp(text, expected, len) != 0)
    {
        return SP_ERROR;
    }

    return SP_OK;
}


static const char *
sp_keystore_kdf(sp_keystore_t *ks, json_t *crypto, const char *password,
    size_t password_len)
{
    json_t  *dklen, *params;

    params = json_object_get(crypto, "kdfparams");
    dklen = json_object_get(params, "dklen");

    if (!json_is_integer(dklen)
        || json_integer_value(dklen) != SP_KEYSTORE_DK_LEN)
    {
        return "the keystore's dklen is not 32";
    }

    if (sp_keystore_hex(params, "salt", ks->salt, sizeof(ks->salt),
                        &ks->salt_len)
        != SP_OK)
    {
        return "the keystore's salt is missing or broken";
    }

    if (sp_keystore_text(crypto, "kdf", "scrypt") == SP_OK) {
        return sp_keystore_scrypt(ks, params, password, password_len);
    }

    if (sp_keystore_text(crypto, "kdf", "pbkdf2") == SP_OK) {
        return sp_keystore_pbkdf2(ks, params, password, password_len);
    }

    return "the keystore's kdf is neither scrypt nor pbkdf2";
}


static const char *
sp_keystore_scrypt(sp_keystore_t *ks, json_t *params, const char *password,
    size_t password_len)
{
    json_int_t  n, p, r;

    n = json_integer_value(json_object_get(params, "n"));
    r = json_integer_value(json_object_get(params, "r"));
    p = json_integer_value(json_object_get(params, "p"));

    /*
     * bounded first, so that the product is: memory is 128 * n * r, and the
     * time p times of it
     */

    if (n < 2 || n > (1 << 24) || r < 1 || r > 64 || p < 1 || p > 16
        || 128ULL * (uint64_t) n * (uint64_t) r > SP_KEYSTORE_MEMORY)
    {
        return "the keystore's scrypt parameters are out of bounds";
    }

    if (EVP_PBE_scrypt(password, password_len, ks->salt, ks->salt_len,
                       (uint64_t) n, (uint64_t) r, (uint64_t) p,
                       2 * SP_KEYSTORE_MEMORY, ks->dk, sizeof(ks->dk))
        != 1)
    {
        return "OpenSSL refuses the keystore's scrypt parameters";
    }

    return NULL;
}


static const char *
sp_keystore_pbkdf2(sp_keystore_t *ks, json_t *params, const char *password,
    size_t password_len)
{
    json_int_t  rounds;

    if (sp_keystore_text(params, "prf", "hmac-sha256") != SP_OK) {
        return "the keystore's prf is not hmac-sha256";
    }

    rounds = json_integer_value(json_object_get(params, "c"));

    if (rounds < 1 || rounds > SP_KEYSTORE_ROUNDS || password_len > INT_MAX)
    {
        return "the keystore's pbkdf2 parameters are out of bounds";
    }

    if (PKCS5_PBKDF2_HMAC(password, (int) password_len, ks->salt,
                          (int) ks->salt_len, (int) rounds, EVP_sha256(),
                          sizeof(ks->dk), ks->dk)
        != 1)
    {
        return "OpenSSL refuses the keystore's pbkdf2 parameters";
    }

    return NULL;
}


static const char *
sp_keystore_decrypt(const sp_keystore_t *ks, uint8_t *key)
{
    int              done, n;
    size_t           pad;
    uint8_t          mac[SP_KECCAK256_LEN];
    sp_keccak_t      keccak;
    EVP_CIPHER_CTX  *cipher;

    sp_keccak256_init(&keccak);
    sp_keccak256_update(&keccak, ks->dk + 16, 16);
    sp_keccak256_update(&keccak, ks->ciphertext, ks->ciphertext_len);
    sp_keccak256_final(&keccak, mac);

    if (CRYPTO_memcmp(mac, ks->mac, sizeof(mac)) != 0) {
        return "the password does not open the keystore";
    }

    cipher = EVP_CIPHER_CTX_new();
    if (cipher == NULL) {
        return "out of memory";
    }

    pad = SP_KEYSTORE_KEY_LEN - ks->ciphertext_len;

    done = EVP_DecryptInit_ex(cipher, EVP_aes_128_ctr(), NULL, ks->dk, ks->iv)
           == 1
           && EVP_DecryptUpdate(cipher, key + pad, &n, ks->ciphertext,
                                (int) ks->ciphertext_len) == 1;

    EVP_CIPHER_CTX_free(cipher);

    return done ? NULL : "OpenSSL cannot decrypt the keystore";
}
