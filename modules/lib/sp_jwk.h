
/*
 * Copyright (C) Sallyport authors
 *
 * JSON Web Keys (RFC 7517, 7518, 8037) for signatures: symmetric, RSA, EC
 * P-256, Ed25519; public or private.
 *
 * A key knows the one algorithm it is for.  The text is refused when a key
 * that we would use is weak or inconsistent: RSA below 2048 or above 16384
 * bits, a bad exponent, a ROCA modulus, a point off the curve, an HMAC key
 * shorter than the hash, a private part of another key, two keys of one kid,
 * symmetric and public keys together unless each names its alg.  Keys made
 * for something else (encryption, other curves) are skipped, never used.
 */

#ifndef _SP_JWK_H_INCLUDED_
#define _SP_JWK_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "sp_rc.h"


#define SP_JWK_MAX_KEYS        100
#define SP_JWK_MAX_TEXT        (256 * 1024)
#define SP_JWK_KID_LEN         256
#define SP_JWK_THUMBPRINT_LEN  43

/* enough for the public form of any key with any kid */
#define SP_JWK_PUBLIC_LEN      8192


typedef enum {
    SP_JWA_NONE = 0,
    SP_JWA_HS256,
    SP_JWA_HS384,
    SP_JWA_HS512,
    SP_JWA_RS256,
    SP_JWA_RS384,
    SP_JWA_RS512,
    SP_JWA_PS256,
    SP_JWA_PS384,
    SP_JWA_PS512,
    SP_JWA_ES256,
    SP_JWA_EDDSA
} sp_jwa_e;


typedef enum {
    SP_JWK_OCT = 0,
    SP_JWK_RSA,
    SP_JWK_EC,
    SP_JWK_OKP
} sp_jwk_type_e;


typedef struct {
    const char     *name;
    sp_jwa_e        alg;
    sp_jwk_type_e   type;
    const char     *hash;       /* NULL: the scheme's own */
    size_t          hash_len;
    unsigned        pss:1;
} sp_jwa_t;


typedef struct {
    const sp_jwa_t *jwa;

    /* not NUL-terminated; the thumbprint where the JWK has none; NULL: oct */
    char           *kid;
    size_t          kid_len;

    EVP_PKEY       *pkey;       /* NULL: oct */
    EVP_MD_CTX     *verifier;   /* prepared; copied for each use */
    EVP_MAC_CTX    *mac;        /* oct: keyed; copied for each use */

    unsigned        secret:1;   /* oct, or with its private part */
    unsigned        signs:1;    /* may sign */
    unsigned        verifies:1; /* may verify */
} sp_jwk_t;


typedef struct {
    sp_jwk_t       *keys;
    size_t          nkeys;
    size_t          skipped;    /* valid JWKs made for something else */
} sp_jwks_t;


typedef struct {
    const char     *message;    /* constant text; NULL: out of memory */
    size_t          index;      /* of the key in the set, from 0 */
    unsigned        at_key:1;   /* index is meant */
} sp_jwk_error_t;


/* by exact name; NULL: not known.  "none" has no row */
const sp_jwa_t *sp_jwa_find(const char *name, size_t len);

/*
 * In: a JWK Set, or one JWK.
 * Out: a set of at least one key, to be released with sp_jwks_free(), or NULL
 * and *error.
 */
sp_jwks_t *sp_jwks_parse(const char *text, size_t len,
    sp_jwk_error_t *error);
void sp_jwks_free(sp_jwks_t *set);

/* the first key that may sign and is not symmetric; NULL: none */
const sp_jwk_t *sp_jwks_signer(const sp_jwks_t *set);

/*
 * RFC 7638, base64url of SHA-256.  SP_ERROR for symmetric keys: a thumbprint
 * of theirs would help to guess them.
 */
int sp_jwk_thumbprint(const sp_jwk_t *key, char out[SP_JWK_THUMBPRINT_LEN]);

/*
 * The public members as a JSON object with alg, use and kid.  Out: *len
 * characters.  SP_ERROR for symmetric keys and when "size" is too small.
 */
int sp_jwk_public(const sp_jwk_t *key, char *dst, size_t size, size_t *len);

/*
 * 32 bytes that only the holder of the private key can compute: HMAC-SHA-256
 * of the label under the private part.  SP_ERROR for public keys.
 */
int sp_jwk_derive(const sp_jwk_t *key, const char *label, uint8_t out[32]);


#endif /* _SP_JWK_H_INCLUDED_ */
