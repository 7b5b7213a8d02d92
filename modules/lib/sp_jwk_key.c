
/*
 * Copyright (C) Sallyport authors
 */

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "sp_base64.h"
#include "sp_json.h"
#include "sp_jwk_key.h"


#define SP_JWK_RSA_MIN_BITS  2048
#define SP_JWK_RSA_MAX_BITS  16384
#define SP_JWK_MAX_BYTES     (SP_JWK_RSA_MAX_BITS / 8)


typedef struct {
    const char  *member;
    const char  *param;
} sp_jwk_member_t;


static int sp_jwk_load_oct(sp_jwk_t *key, const json_t *jwk,
    const char **message);
static int sp_jwk_load_rsa(sp_jwk_t *key, const json_t *jwk,
    const char **message);
static int sp_jwk_rsa_check(const BIGNUM *n, const BIGNUM *e,
    const char **message);
static int sp_jwk_rsa_roca(const BIGNUM *n);
static int sp_jwk_load_ec(sp_jwk_t *key, const json_t *jwk,
    const char **message);
static int sp_jwk_load_okp(sp_jwk_t *key, const json_t *jwk,
    const char **message);
static int sp_jwk_check_pair(const sp_jwk_t *key, const char **message);
static EVP_PKEY *sp_jwk_build(const char *type, OSSL_PARAM_BLD *builder,
    int secret);
static int sp_jwk_bytes(const json_t *jwk, const char *member, uint8_t *dst,
    size_t size, size_t *len);
static BIGNUM *sp_jwk_number(const json_t *jwk, const char *member);
static int sp_jwk_text(const sp_jwk_t *key, char *dst, size_t size,
    size_t *len);
static int sp_jwk_put(char *dst, size_t size, size_t *len, const char *text);
static int sp_jwk_put_number(char *dst, size_t size, size_t *len,
    const sp_jwk_t *key, const char *param, size_t width);


/* the members of an RSA private key; all or none but "d" */

static const sp_jwk_member_t  sp_jwk_rsa_factors[] = {
    { "p",  OSSL_PKEY_PARAM_RSA_FACTOR1 },
    { "q",  OSSL_PKEY_PARAM_RSA_FACTOR2 },
    { "dp", OSSL_PKEY_PARAM_RSA_EXPONENT1 },
    { "dq", OSSL_PKEY_PARAM_RSA_EXPONENT2 },
    { "qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1 }
};

#define SP_JWK_RSA_FACTORS                                                   \
    (sizeof(sp_jwk_rsa_factors) / sizeof(sp_jwk_rsa_factors[0]))


int
sp_jwk_key_load(sp_jwk_t *key, const json_t *jwk, const char **message)
{
    int  rc;

    switch (key->jwa->type) {

    case SP_JWK_OCT:
        rc = sp_jwk_load_oct(key, jwk, message);
        break;

    case SP_JWK_RSA:
        rc = sp_jwk_load_rsa(key, jwk, message);
        break;

    case SP_JWK_EC:
        rc = sp_jwk_load_ec(key, jwk, message);
        break;

    default: /* SP_JWK_OKP */
        rc = sp_jwk_load_okp(key, jwk, message);
        break;
    }

    if (rc == SP_OK && key->pkey != NULL) {
        rc = sp_jwk_check_pair(key, message);
    }

    /* refused keys leave reasons in the queue of the thread */

    ERR_clear_error();

    return rc;
}


static int
sp_jwk_load_oct(sp_jwk_t *key, const json_t *jwk, const char **message)
{
    int          rc;
    size_t       len;
    uint8_t      secret[SP_JWK_MAX_BYTES];
    EVP_MAC     *mac;
    OSSL_PARAM   params[2];

    /* the parameter is not written to */
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                            (char *) (uintptr_t)
                                            key->jwa->hash, 0);
    params[1] = OSSL_PARAM_construct_end();

    if (sp_jwk_bytes(jwk, "k", secret, sizeof(secret), &len) != SP_OK) {
        *message = "\"k\" is not base64url of at most 2048 bytes";
        return SP_ERROR;
    }

    rc = SP_ERROR;

    if (len < key->jwa->hash_len) {
        *message = "\"k\" is shorter than the hash of its algorithm";
        goto done;
    }

    mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

    if (mac != NULL) {
        key->mac = EVP_MAC_CTX_new(mac);

        if (key->mac != NULL
            && EVP_MAC_init(key->mac, secret, len, params) == 1)
        {
            rc = SP_OK;
        }

        EVP_MAC_free(mac);
    }

done:

    OPENSSL_cleanse(secret, sizeof(secret));

    return rc;
}


static int
sp_jwk_load_rsa(sp_jwk_t *key, const json_t *jwk, const char **message)
{
    int              ok;
    size_t           factors, i;
    BIGNUM          *numbers[3 + SP_JWK_RSA_FACTORS];
    OSSL_PARAM_BLD  *builder;

    memset(numbers, 0, sizeof(numbers));

    builder = OSSL_PARAM_BLD_new();
    if (builder == NULL) {
        return SP_ERROR;
    }

    numbers[0] = sp_jwk_number(jwk, "n");
    numbers[1] = sp_jwk_number(jwk, "e");

    if (sp_jwk_rsa_check(numbers[0], numbers[1], message) != SP_OK) {
        goto done;
    }

    ok = OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, numbers[0])
         && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, numbers[1]);

    if (key->secret) {
        numbers[2] = sp_jwk_number(jwk, "d");

        ok = ok && numbers[2] != NULL
             && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_D,
                                       numbers[2]);

        factors = json_object_get(jwk, "p") == NULL ? 0 : SP_JWK_RSA_FACTORS;

        for (i = 0; ok && i < factors; i++) {
            numbers[3 + i] = sp_jwk_number(jwk, sp_jwk_rsa_factors[i].member);

            ok = numbers[3 + i] != NULL
                 && OSSL_PARAM_BLD_push_BN(builder,
                                           sp_jwk_rsa_factors[i].param,
                                           numbers[3 + i]);
        }
    }

    if (ok) {
        key->pkey = sp_jwk_build("RSA", builder, key->secret);
    }

    if (key->pkey == NULL) {
        *message = "not a valid RSA key";
    }

done:

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        BN_clear_free(numbers[i]);
    }

    OSSL_PARAM_BLD_free(builder);

    return key->pkey != NULL ? SP_OK : SP_ERROR;
}


static int
sp_jwk_rsa_check(const BIGNUM *n, const BIGNUM *e, const char **message)
{
    int  bits;

    if (n == NULL || e == NULL) {
        *message = "\"n\" or \"e\" is not base64url of a number without "
                   "leading zeros";
        return SP_ERROR;
    }

    bits = BN_num_bits(n);

    if (bits < SP_JWK_RSA_MIN_BITS || bits > SP_JWK_RSA_MAX_BITS) {
        *message = "an RSA modulus must have 2048 to 16384 bits";
        return SP_ERROR;
    }

    if (!BN_is_odd(e) || BN_is_one(e) || BN_num_bits(e) > 64) {
        *message = "an RSA exponent must be odd, above 1 and below 2^64";
        return SP_ERROR;
    }

    if (sp_jwk_rsa_roca(n)) {
        *message = "the RSA modulus has the ROCA weakness (CVE-2017-15361)";
        return SP_ERROR;
    }

    return SP_OK;
}


/*
 * The factors of a ROCA modulus are powers of 65537 modulo many small primes,
 * and so is their product; of an honest modulus this happens to hold for all
 * the primes below with a probability under 2^-27.
 */

static int
sp_jwk_rsa_roca(const BIGNUM *n)
{
    size_t                i;
    BN_ULONG              power, rest;

    static const uint8_t  primes[] = {
        11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151,
        157
    };

    for (i = 0; i < sizeof(primes); i++) {
        rest = BN_mod_word(n, primes[i]);
        power = 1;

        do {
            if (power == rest) {
                break;
            }

            power = power * 65537 % primes[i];

        } while (power != 1);

        if (power != rest) {
            return 0;
        }
    }

    return 1;
}


static int
sp_jwk_load_ec(sp_jwk_t *key, const json_t *jwk, const char **message)
{
    int              ok;
    size_t           x_len, y_len;
    BIGNUM          *d;
    uint8_t          point[65];
    OSSL_PARAM_BLD  *builder;

    point[0] = 4;
    d = NULL;

    if (sp_jwk_bytes(jwk, "x", point + 1, 32, &x_len) != SP_OK
        || sp_jwk_bytes(jwk, "y", point + 33, 32, &y_len) != SP_OK
        || x_len != 32 || y_len != 32)
    {
        *message = "\"x\" or \"y\" is not base64url of 32 bytes";
        return SP_ERROR;
    }

    builder = OSSL_PARAM_BLD_new();
    if (builder == NULL) {
        return SP_ERROR;
    }

    ok = OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME,
                                         "P-256", 0)
         && OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY,
                                             point, sizeof(point));

    if (ok && key->secret) {
        d = sp_jwk_number(jwk, "d");
        ok = d != NULL
             && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, d);
    }

    if (ok) {
        key->pkey = sp_jwk_build("EC", builder, key->secret);
    }

    BN_clear_free(d);
    OSSL_PARAM_BLD_free(builder);

    if (key->pkey == NULL) {
        *message = "not a valid P-256 key";
        return SP_ERROR;
    }

    return SP_OK;
}


static int
sp_jwk_load_okp(sp_jwk_t *key, const json_t *jwk, const char **message)
{
    size_t   len;
    uint8_t  d[32], own[32], x[32];

    *message = "\"x\" or \"d\" is not base64url of 32 bytes";

    if (sp_jwk_bytes(jwk, "x", x, sizeof(x), &len) != SP_OK || len != 32) {
        return SP_ERROR;
    }

    if (!key->secret) {
        key->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, 32);
        *message = NULL;

        return key->pkey != NULL ? SP_OK : SP_ERROR;
    }

    if (sp_jwk_bytes(jwk, "d", d, sizeof(d), &len) != SP_OK || len != 32) {
        OPENSSL_cleanse(d, sizeof(d));
        return SP_ERROR;
    }

    key->pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, d, 32);
    OPENSSL_cleanse(d, sizeof(d));

    *message = NULL;
    len = sizeof(own);

    if (key->pkey == NULL
        || EVP_PKEY_get_raw_public_key(key->pkey, own, &len) != 1)
    {
        return SP_ERROR;
    }

    if (len != sizeof(x) || memcmp(own, x, len) != 0) {
        *message = "the private part belongs to another public key";
        return SP_ERROR;
    }

    return SP_OK;
}


/* point on the curve; factors, exponents and public part that fit */

static int
sp_jwk_check_pair(const sp_jwk_t *key, const char **message)
{
    int            rc;
    EVP_PKEY_CTX  *ctx;

    if (key->jwa->type == SP_JWK_OKP) {
        return SP_OK;
    }

    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (ctx == NULL) {
        return SP_ERROR;
    }

    rc = EVP_PKEY_public_check(ctx);

    if (rc == 1 && key->secret) {
        rc = EVP_PKEY_pairwise_check(ctx);
    }

    EVP_PKEY_CTX_free(ctx);

    if (rc != 1) {
        *message = "the parts of the key do not fit together";
        return SP_ERROR;
    }

    return SP_OK;
}


static EVP_PKEY *
sp_jwk_build(const char *type, OSSL_PARAM_BLD *builder, int secret)
{
    int            selection;
    EVP_PKEY      *pkey;
    OSSL_PARAM    *params;
    EVP_PKEY_CTX  *ctx;

    pkey = NULL;
    selection = secret ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;

    params = OSSL_PARAM_BLD_to_param(builder);
    ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);

    if (params != NULL && ctx != NULL
        && EVP_PKEY_fromdata_init(ctx) == 1
        && EVP_PKEY_fromdata(ctx, &pkey, selection, params) != 1)
    {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }

    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);

    return pkey;
}


static int
sp_jwk_bytes(const json_t *jwk, const char *member, uint8_t *dst, size_t size,
    size_t *len)
{
    size_t       text_len;
    const char  *text;

    *len = 0;

    text = sp_json_string(jwk, member, &text_len);
    if (text == NULL) {
        return SP_ERROR;
    }

    return sp_base64url_decode(dst, size, len, text, text_len);
}


/* a positive number */

static BIGNUM *
sp_jwk_number(const json_t *jwk, const char *member)
{
    size_t    len;
    BIGNUM   *number;
    uint8_t   bytes[SP_JWK_MAX_BYTES + 1];

    number = NULL;

    if (sp_jwk_bytes(jwk, member, bytes, sizeof(bytes), &len) == SP_OK
        && len != 0)
    {
        number = BN_bin2bn(bytes, (int) len, NULL);

        if (number != NULL && BN_is_zero(number)) {
            BN_free(number);
            number = NULL;
        }
    }

    OPENSSL_cleanse(bytes, sizeof(bytes));

    return number;
}


int
sp_jwk_thumbprint(const sp_jwk_t *key, char out[SP_JWK_THUMBPRINT_LEN])
{
    char      text[SP_JWK_PUBLIC_LEN];
    size_t    len;
    uint8_t   hash[32];
    unsigned  hash_len;

    memset(out, 0, SP_JWK_THUMBPRINT_LEN);

    if (sp_jwk_text(key, text, sizeof(text), &len) != SP_OK
        || EVP_Digest(text, len, hash, &hash_len, EVP_sha256(), NULL) != 1)
    {
        return SP_ERROR;
    }

    (void) sp_base64url_encode(out, hash, sizeof(hash));

    return SP_OK;
}


int
sp_jwk_public(const sp_jwk_t *key, char *dst, size_t size, size_t *len)
{
    size_t  n;

    if (sp_jwk_text(key, dst, size, len) != SP_OK) {
        goto failed;
    }

    (*len)--;                                /* the closing brace */

    if (sp_jwk_put(dst, size, len, ",\"alg\":\"") != SP_OK
        || sp_jwk_put(dst, size, len, key->jwa->name) != SP_OK
        || sp_jwk_put(dst, size, len, "\",\"use\":\"sig\",\"kid\":\"")
           != SP_OK)
    {
        goto failed;
    }

    n = sp_json_escape(dst + *len, size - *len, key->kid, key->kid_len);

    if (n > size - *len) {
        goto failed;
    }

    *len += n;

    if (sp_jwk_put(dst, size, len, "\"}") == SP_OK) {
        return SP_OK;
    }

failed:

    *len = 0;
    memset(dst, 0, size);

    return SP_ERROR;
}


/* the required public members in the order of RFC 7638 */

static int
sp_jwk_text(const sp_jwk_t *key, char *dst, size_t size, size_t *len)
{
    int  rc;

    *len = 0;

    switch (key->jwa->type) {

    case SP_JWK_RSA:
        rc = sp_jwk_put(dst, size, len, "{\"e\":\"")
             | sp_jwk_put_number(dst, size, len, key, OSSL_PKEY_PARAM_RSA_E, 0)
             | sp_jwk_put(dst, size, len, "\",\"kty\":\"RSA\",\"n\":\"")
             | sp_jwk_put_number(dst, size, len, key, OSSL_PKEY_PARAM_RSA_N,
                                 0);
        break;

    case SP_JWK_EC:
        rc = sp_jwk_put(dst, size, len,
                        "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"")
             | sp_jwk_put_number(dst, size, len, key,
                                 OSSL_PKEY_PARAM_EC_PUB_X, 32)
             | sp_jwk_put(dst, size, len, "\",\"y\":\"")
             | sp_jwk_put_number(dst, size, len, key,
                                 OSSL_PKEY_PARAM_EC_PUB_Y, 32);
        break;

    case SP_JWK_OKP:
        rc = sp_jwk_put(dst, size, len,
                        "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"")
             | sp_jwk_put_number(dst, size, len, key, NULL, 32);
        break;

    default: /* SP_JWK_OCT */
        return SP_ERROR;
    }

    return rc | sp_jwk_put(dst, size, len, "\"}");
}


static int
sp_jwk_put(char *dst, size_t size, size_t *len, const char *text)
{
    size_t  n;

    n = strlen(text);

    if (n > size - *len) {
        return SP_ERROR;
    }

    memcpy(dst + *len, text, n);
    *len += n;

    return SP_OK;
}


/* param NULL: the raw public key; width 0: no leading zeros */

static int
sp_jwk_put_number(char *dst, size_t size, size_t *len, const sp_jwk_t *key,
    const char *param, size_t width)
{
    size_t    n;
    BIGNUM   *number;
    uint8_t   bytes[SP_JWK_MAX_BYTES];

    number = NULL;
    n = sizeof(bytes);

    if (param == NULL) {

        if (EVP_PKEY_get_raw_public_key(key->pkey, bytes, &n) != 1) {
            return SP_ERROR;
        }

    } else {

        if (EVP_PKEY_get_bn_param(key->pkey, param, &number) != 1) {
            return SP_ERROR;
        }

        n = width != 0 ? width : (size_t) BN_num_bytes(number);

        if (n > sizeof(bytes) || BN_bn2binpad(number, bytes, (int) n) == -1) {
            BN_free(number);
            return SP_ERROR;
        }

        BN_free(number);
    }

    if (sp_base64url_len(n) > size - *len) {
        return SP_ERROR;
    }

    *len += sp_base64url_encode(dst + *len, bytes, n);

    return SP_OK;
}


int
sp_jwk_derive(const sp_jwk_t *key, const char *label, uint8_t out[32])
{
    int       rc;
    size_t    len;
    BIGNUM   *number;
    uint8_t   secret[SP_JWK_MAX_BYTES];

    rc = SP_ERROR;
    number = NULL;
    len = sizeof(secret);
    memset(out, 0, 32);

    if (!key->secret || key->pkey == NULL) {
        return SP_ERROR;
    }

    if (key->jwa->type == SP_JWK_OKP) {

        if (EVP_PKEY_get_raw_private_key(key->pkey, secret, &len) != 1) {
            return SP_ERROR;
        }

    } else {

        if (EVP_PKEY_get_bn_param(key->pkey,
                                  key->jwa->type == SP_JWK_RSA
                                  ? OSSL_PKEY_PARAM_RSA_D
                                  : OSSL_PKEY_PARAM_PRIV_KEY, &number) != 1)
        {
            return SP_ERROR;
        }

        len = key->jwa->type == SP_JWK_RSA ? sizeof(secret) : 32;

        if (BN_bn2binpad(number, secret, (int) len) == -1) {
            len = 0;
        }

        BN_clear_free(number);
    }

    if (len != 0
        && EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret, len,
                     (const uint8_t *) label, strlen(label), out, 32, &len)
           != NULL)
    {
        rc = SP_OK;
    }

    OPENSSL_cleanse(secret, sizeof(secret));

    return rc;
}
