
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "sp_jws.h"


#define SP_JWS_ES256_LEN  64
#define SP_JWS_EDDSA_LEN  64
#define SP_JWS_DER_LEN    72        /* of two integers of 33 bytes */


static sp_jwt_status_e sp_jws_verify_mac(const sp_jwk_t *key,
    const char *text, size_t text_len, const uint8_t *signature, size_t len);
static int sp_jws_mac(const sp_jwk_t *key, const char *text, size_t text_len,
    uint8_t *out, size_t size, size_t *len);
static int sp_jws_to_der(const uint8_t *raw, uint8_t *der, size_t *len);
static int sp_jws_from_der(const uint8_t *der, size_t der_len, uint8_t *raw);


sp_jwt_status_e
sp_jws_verify(const sp_jwk_t *key, const char *text, size_t text_len,
    const uint8_t *signature, size_t len)
{
    int          rc;
    uint8_t      der[SP_JWS_DER_LEN];
    EVP_MD_CTX  *ctx;

    switch (key->jwa->type) {

    case SP_JWK_OCT:
        return sp_jws_verify_mac(key, text, text_len, signature, len);

    case SP_JWK_RSA:
        if (len != (size_t) EVP_PKEY_get_size(key->pkey)) {
            return SP_JWT_SIGNATURE;
        }

        break;

    case SP_JWK_EC:
        if (len != SP_JWS_ES256_LEN
            || sp_jws_to_der(signature, der, &len) != SP_OK)
        {
            return SP_JWT_SIGNATURE;
        }

        signature = der;
        break;

    case SP_JWK_OKP:
        if (len != SP_JWS_EDDSA_LEN) {
            return SP_JWT_SIGNATURE;
        }

        break;
    }

    ctx = EVP_MD_CTX_new();

    if (ctx == NULL || EVP_MD_CTX_copy_ex(ctx, key->verifier) != 1) {
        EVP_MD_CTX_free(ctx);
        return SP_JWT_NO_MEMORY;
    }

    rc = EVP_DigestVerify(ctx, signature, len, (const uint8_t *) text,
                          text_len);

    EVP_MD_CTX_free(ctx);

    if (rc != 1) {
        ERR_clear_error();
        return SP_JWT_SIGNATURE;
    }

    return SP_JWT_OK;
}


static sp_jwt_status_e
sp_jws_verify_mac(const sp_jwk_t *key, const char *text, size_t text_len,
    const uint8_t *signature, size_t len)
{
    size_t   mac_len;
    uint8_t  mac[EVP_MAX_MD_SIZE];

    if (len != key->jwa->hash_len) {
        return SP_JWT_SIGNATURE;
    }

    if (sp_jws_mac(key, text, text_len, mac, sizeof(mac), &mac_len)
        != SP_OK)
    {
        return SP_JWT_NO_MEMORY;
    }

    return mac_len == len && CRYPTO_memcmp(mac, signature, len) == 0
           ? SP_JWT_OK : SP_JWT_SIGNATURE;
}


static int
sp_jws_mac(const sp_jwk_t *key, const char *text, size_t text_len,
    uint8_t *out, size_t size, size_t *len)
{
    int           rc;
    EVP_MAC_CTX  *ctx;

    *len = 0;

    ctx = EVP_MAC_CTX_dup(key->mac);
    if (ctx == NULL) {
        return SP_ERROR;
    }

    rc = EVP_MAC_update(ctx, (const uint8_t *) text, text_len) == 1
         && EVP_MAC_final(ctx, out, len, size) == 1;

    EVP_MAC_CTX_free(ctx);

    return rc ? SP_OK : SP_ERROR;
}


int
sp_jws_sign(const sp_jwk_t *key, const char *text, size_t text_len,
    uint8_t *signature, size_t size, size_t *len)
{
    int            rc;
    size_t         need;
    uint8_t        der[SP_JWS_DER_LEN];
    EVP_MD_CTX    *ctx;
    EVP_PKEY_CTX  *pctx;

    *len = 0;
    rc = SP_ERROR;

    if (!key->signs) {
        return SP_ERROR;
    }

    if (key->pkey == NULL) {
        return size < key->jwa->hash_len
               ? SP_ERROR
               : sp_jws_mac(key, text, text_len, signature, size, len);
    }

    ctx = EVP_MD_CTX_new();

    if (ctx == NULL
        || EVP_DigestSignInit_ex(ctx, &pctx, key->jwa->hash, NULL, NULL,
                                 key->pkey, NULL) != 1)
    {
        goto done;
    }

    if (key->jwa->pss
        && (EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) <= 0
            || EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST)
               <= 0))
    {
        goto done;
    }

    if (key->jwa->type != SP_JWK_EC) {
        need = size;

        if (EVP_DigestSign(ctx, signature, &need, (const uint8_t *) text,
                           text_len) == 1)
        {
            *len = need;
            rc = SP_OK;
        }

        goto done;
    }

    need = sizeof(der);

    if (size >= SP_JWS_ES256_LEN
        && EVP_DigestSign(ctx, der, &need, (const uint8_t *) text, text_len)
           == 1
        && sp_jws_from_der(der, need, signature) == SP_OK)
    {
        *len = SP_JWS_ES256_LEN;
        rc = SP_OK;
    }

done:

    EVP_MD_CTX_free(ctx);
    ERR_clear_error();

    return rc;
}


/*
 * r and s as 32 bytes each to ECDSA-Sig-Value.  Zero is refused here, values
 * from the order of the curve on by OpenSSL.
 */

static int
sp_jws_to_der(const uint8_t *raw, uint8_t *der, size_t *len)
{
    size_t          i, n, skip;
    const uint8_t  *part;

    n = 2;

    for (i = 0; i < 2; i++) {
        part = raw + 32 * i;

        for (skip = 0; skip < 32 && part[skip] == 0; skip++) {
            /* void */
        }

        if (skip == 32) {
            return SP_ERROR;
        }

        der[n++] = 0x02;

        if ((part[skip] & 0x80) != 0) {
            der[n++] = (uint8_t) (33 - skip);
            der[n++] = 0;

        } else {
            der[n++] = (uint8_t) (32 - skip);
        }

        memcpy(der + n, part + skip, 32 - skip);
        n += 32 - skip;
    }

    der[0] = 0x30;
    der[1] = (uint8_t) (n - 2);
    *len = n;

    return SP_OK;
}


static int
sp_jws_from_der(const uint8_t *der, size_t der_len, uint8_t *raw)
{
    int             rc;
    ECDSA_SIG      *sig;
    const uint8_t  *p;

    p = der;

    sig = d2i_ECDSA_SIG(NULL, &p, (long) der_len);
    if (sig == NULL) {
        return SP_ERROR;
    }

    rc = BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32) == 32
         && BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32) == 32;

    ECDSA_SIG_free(sig);

    return rc ? SP_OK : SP_ERROR;
}
