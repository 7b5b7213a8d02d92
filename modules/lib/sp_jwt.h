
/*
 * Copyright (C) Sallyport authors
 *
 * JSON Web Tokens in JWS compact form (RFC 7515, 7519, 8725).
 *
 *     sp_jwt_parse()    bytes: characters, two dots, base64url, header
 *     sp_jwt_verify()   the signature, by keys the caller trusts
 *     sp_jwt_claims()   the payload and its times; after verify only
 *
 * The key decides the algorithm; the header may only agree with it.  Keys in
 * or named by the header (jwk, jku, x5u, x5c) are not looked at.
 */

#ifndef _SP_JWT_H_INCLUDED_
#define _SP_JWT_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "sp_jwk.h"


#define SP_JWT_MAX_LEN      (16 * 1024)
#define SP_JWT_MAX_HEADER   (8 * 1024)      /* of its base64url */
#define SP_JWT_MAX_SIG      2048            /* decoded: RSA of 16384 bits */
#define SP_JWT_MAX_TRIES    8               /* keys, when no kid is given */
#define SP_JWT_MAX_DATE     253402300799LL  /* the end of the year 9999 */


typedef enum {
    SP_JWT_OK = 0,
    SP_JWT_TOO_LARGE,
    SP_JWT_MALFORMED,
    SP_JWT_HEADER,
    SP_JWT_ALG,
    SP_JWT_CRIT,
    SP_JWT_TYPE,
    SP_JWT_NO_KEY,
    SP_JWT_SIGNATURE,
    SP_JWT_PAYLOAD,
    SP_JWT_CLAIM_TYPE,
    SP_JWT_NO_EXPIRY,
    SP_JWT_EXPIRED,
    SP_JWT_NOT_YET,
    SP_JWT_FUTURE,
    SP_JWT_ISSUER,
    SP_JWT_AUDIENCE,
    SP_JWT_NO_MEMORY
} sp_jwt_status_e;


typedef struct {
    const sp_jwa_t  *jwa;
    json_t          *header;        /* owned */
    json_t          *claims;        /* owned; NULL before sp_jwt_claims() */
    const char      *kid;           /* points into header; NULL: none */
    size_t           kid_len;

    const char      *signing;       /* points into the token */
    size_t           signing_len;

    const char      *header_text;   /* decoded; these point into "buffer" */
    size_t           header_len;
    const char      *payload;
    size_t           payload_len;
    const uint8_t   *signature;
    size_t           signature_len;

    /* set by sp_jwt_claims(); 0: not given */
    int64_t          expires;
    int64_t          not_before;
    int64_t          issued_at;
} sp_jwt_t;


typedef struct {
    int64_t          now;           /* seconds since the epoch */
    int64_t          leeway;        /* of exp and nbf */
    int64_t          skew;          /* how far in the future iat may be */
    const char      *issuer;        /* NUL-terminated; NULL: any */
    const char      *audience;      /* NUL-terminated; NULL: any */
    unsigned         no_expiry:1;   /* accept a token without exp */
} sp_jwt_rules_t;


/* short, for logs: "signature does not verify" */
const char *sp_jwt_strerror(sp_jwt_status_e status);

/*
 * In: token, and a buffer of at least "len" bytes that lives as long as *jwt.
 * Out: *jwt, to be released with sp_jwt_clear(); zeroed on failure.
 */
sp_jwt_status_e sp_jwt_parse(sp_jwt_t *jwt, char *buffer, size_t size,
    const char *token, size_t len);
void sp_jwt_clear(sp_jwt_t *jwt);

/*
 * By a key of the sets whose kid and algorithm are those of the token.  A
 * token without kid is tried with at most SP_JWT_MAX_TRIES keys.
 */
sp_jwt_status_e sp_jwt_verify(const sp_jwt_t *jwt,
    const sp_jwks_t *const *sets, size_t nsets);

/* typ, payload, registered claims, times; sets jwt->claims */
sp_jwt_status_e sp_jwt_claims(sp_jwt_t *jwt, const sp_jwt_rules_t *rules);

/*
 * The times alone, of a token verified earlier; 0: not given.
 */
sp_jwt_status_e sp_jwt_times(int64_t expires, int64_t not_before,
    int64_t issued_at, const sp_jwt_rules_t *rules);

/*
 * Out: *len characters of a token with the header alg, kid, typ.  claims is
 * JSON text.  SP_ERROR when the key cannot sign, the buffer is too small, or
 * out of memory.
 */
int sp_jwt_sign(const sp_jwk_t *key, const char *typ, const char *claims,
    size_t claims_len, char *token, size_t size, size_t *len);


#endif /* _SP_JWT_H_INCLUDED_ */
