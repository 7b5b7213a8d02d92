
/*
 * Copyright (C) Sallyport authors
 */

#include "sp_base64.h"
#include "sp_json.h"
#include "sp_jwt.h"

#include "tap.h"


/* RFC 8037 A.1; its thumbprint is in A.3 */

#define ED25519                                                              \
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","                                  \
    "\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\","                 \
    "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"
#define ED25519_PRINT  "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"

/* RFC 7515 A.3 */

#define P256_X  "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define P256_Y  "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define P256_D  "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
#define P256                                                                 \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"p\",\"x\":\"" P256_X        \
    "\",\"y\":\"" P256_Y "\",\"d\":\"" P256_D "\"}"

#define OCT  "{\"kty\":\"oct\",\"kid\":\"h\",\"alg\":\"HS256\",\"k\":\""     \
             "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T\"}"
#define OPS8                                                                 \
    "\"sign\",\"sign\",\"sign\",\"sign\",\"sign\",\"sign\",\"sign\",\"sign\","
#define K32  "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_"

/* RFC 7638 3.1 */

#define RSA_N                                                                \
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7"  \
    "aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXAr" \
    "wl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0" \
    "zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2N" \
    "cRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
#define RSA  "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}"
#define RSA_PRINT  "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


#define X16  "xxxxxxxxxxxxxxxx"
#define X64  X16 X16 X16 X16


typedef struct {
    const char       *text;
    const char       *message;      /* NULL: accepted; or a part of it */
    const char       *name;
} jwks_row_t;


typedef struct {
    const char       *claims;
    sp_jwt_status_e   status;
} claims_row_t;


typedef struct {
    const char       *header;
    sp_jwt_status_e   status;
} header_row_t;


static sp_jwks_t *load(const char *text);
static void round_trip(const char *jwk, const char *alg);
static sp_jwt_status_e check(const char *claims,
    const sp_jwt_rules_t *rules);
static void headers(void);
static void malformed(void);
static void confusion(void);
static void many_keys(void);
static void signatures(void);
static void operations(void);
static void public_forms(void);


static const jwks_row_t  jwks_rows[] = {
    { ED25519, NULL, "one JWK" },
    { "{\"keys\":[" ED25519 "," P256 "]}", NULL, "two keys" },
    { "{\"keys\":[" P256 "," OCT "]}", "not every", "mixed, unnamed alg" },
    { "{\"keys\":[" P256 "," P256 "]}", "same \"kid\"", "one kid twice" },
    { "{\"keys\":[]}", "no key", "empty set" },
    { "{\"keys\":{}}", "not an array", "keys is an object" },
    { "{}", "no \"keys\"", "neither" },
    { "[]", "not an object", "an array" },
    { "{\"keys\":[1]}", "not an object", "a number as a key" },
    { "nonsense", "not valid JSON", "no JSON" },
    { "{\"keys\":[],\"keys\":[]}", "twice", "duplicate name" },
    { "{\"kty\":\"oct\",\"k\":\"\"}", "shorter", "empty HMAC key" },
    { "{\"kty\":\"oct\",\"k\":\"c2hvcnQ\"}", "shorter", "short HMAC key" },
    { "{\"kty\":\"oct\"}", "\"k\"", "no HMAC key" },
    { "{\"kty\":\"oct\",\"k\":\"" K32 "=\"}", "\"k\"", "padding" },
    { "{\"kty\":\"oct\",\"use\":\"enc\",\"k\":\"" K32 "\"}", "no key for",
      "use enc" },
    { "{\"kty\":\"oct\",\"key_ops\":[\"encrypt\"],\"k\":\"" K32 "\"}",
      "no key for", "key_ops encrypt" },
    { "{\"kty\":\"oct\",\"key_ops\":\"verify\",\"k\":\"" K32 "\"}",
      "key_ops", "key_ops is a string" },
    { "{\"kty\":\"oct\",\"alg\":\"none\",\"k\":\"" K32 "\"}", "no key for",
      "alg none" },
    { "{\"kty\":\"oct\",\"alg\":\"RS256\",\"k\":\"" K32 "\"}", "no key for",
      "alg of another type" },
    { "{\"kty\":\"oct\",\"kid\":1,\"k\":\"" K32 "8\"}", "\"kid\"",
      "kid is a number" },
    { "{\"kty\":\"oct\",\"kid\":\"" X64 X64 X64 X64 "\",\"k\":\"" K32 "8\"}",
      NULL, "kid of 256 bytes" },
    { "{\"kty\":\"oct\",\"kid\":\"" X64 X64 X64 X64 "x\",\"k\":\"" K32
      "8\"}", "\"kid\"", "kid of 257 bytes" },
    { "{\"kty\":\"oct\",\"kid\":\"\",\"k\":\"" K32 "8\"}", "\"kid\"",
      "kid is empty" },
    { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X "\",\"y\":\"" P256_X
      "\"}", "P-256", "a point off the curve" },
    { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X "\",\"y\":\"" P256_Y
      "\",\"d\":\"" K32 "8\"}", "fit", "another private part" },
    { "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"\",\"y\":\"\"}",
      "no key for", "P-384 is skipped" },
    { "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" P256_X "\",\"d\":\""
      P256_D "\"}", "another public key", "Ed25519 parts do not fit" },
    { "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}", "32 bytes",
      "short Ed25519 key" },
    { "{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}", "32 bytes",
      "no Ed25519 key" },
    { "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" P256_X
      "\",\"d\":\"AA\"}", "32 bytes", "short private part" },
    { "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" P256_X
      "\",\"d\":7}", "32 bytes", "the private part is a number" },
    { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X "\"}",
      "32 bytes", "a point without y" },
    { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X
      "\",\"y\":\"AA\"}", "32 bytes", "a short y" },
    { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"" P256_Y
      "\"}", "32 bytes", "a short x" },
    { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":7,\"y\":\"" P256_Y "\"}",
      "32 bytes", "x is a number" },
    { "{\"k\":\"" K32 "8\"}", "\"kty\"", "no kty" },
    { "{\"keys\":[{\"k\":\"" K32 "8\"}]}", "\"kty\"", "no kty in a set" },
    { "{\"kty\":\"oct\",\"alg\":7,\"k\":\"" K32 "8\"}", "\"alg\"",
      "alg is a number" },
    { "{\"kty\":\"oct\",\"use\":7,\"k\":\"" K32 "8\"}", "\"use\"",
      "use is a number" },
    { "{\"kty\":\"oct\",\"key_ops\":[\"verify\",7],\"k\":\"" K32 "8\"}",
      "not a string", "a number in key_ops" },
    { "{\"kty\":\"oct\",\"key_ops\":[" OPS8 OPS8 "\"verify\"],\"k\":\"" K32
      "8\"}", "at most 16", "17 key_ops" },
    { "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\"}", "\"e\"", "RSA without e" },
    { "{\"kty\":\"RSA\",\"e\":\"AQAB\"}", "\"n\"", "RSA without n" },
    { "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAA\"}", "exponent",
      "e is even" },
    { "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAAAAAAAAAB\"}",
      "exponent", "e has 65 bits" },
    { RSA, NULL, "RSA" },
    { "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQ\"}", "exponent",
      "e is 1" },
    { "{\"kty\":\"RSA\",\"n\":\"" P256_X "\",\"e\":\"AQAB\"}", "2048",
      "RSA of 256 bits" }
};


#define NOW  1000000

static const claims_row_t  claims_rows[] = {
    { "{\"exp\":1000001}", SP_JWT_OK },
    { "{\"exp\":1000000}", SP_JWT_EXPIRED },
    { "{\"exp\":1000000.9}", SP_JWT_EXPIRED },
    { "{\"exp\":1000001.5}", SP_JWT_OK },
    { "{\"exp\":0}", SP_JWT_EXPIRED },
    { "{\"exp\":-1}", SP_JWT_CLAIM_TYPE },
    { "{\"exp\":\"1000001\"}", SP_JWT_CLAIM_TYPE },
    { "{\"exp\":null}", SP_JWT_CLAIM_TYPE },
    { "{\"exp\":true}", SP_JWT_CLAIM_TYPE },
    { "{\"exp\":1e300}", SP_JWT_CLAIM_TYPE },
    { "{\"exp\":9223372036854775807}", SP_JWT_CLAIM_TYPE },
    { "{\"exp\":253402300799}", SP_JWT_OK },
    { "{}", SP_JWT_NO_EXPIRY },
    { "{\"exp\":1000001,\"nbf\":1000000}", SP_JWT_OK },
    { "{\"exp\":1000001,\"nbf\":1000001}", SP_JWT_NOT_YET },
    { "{\"exp\":1000001,\"nbf\":1000000.1}", SP_JWT_NOT_YET },
    { "{\"exp\":1000001,\"nbf\":\"x\"}", SP_JWT_CLAIM_TYPE },
    { "{\"exp\":1000001,\"iat\":1000060}", SP_JWT_OK },
    { "{\"exp\":1000001,\"iat\":1000061}", SP_JWT_FUTURE },
    { "{\"exp\":1000001,\"iat\":[]}", SP_JWT_CLAIM_TYPE },
    { "{\"exp\":1000001,\"sub\":7}", SP_JWT_CLAIM_TYPE },
    { "{\"exp\":1000001,\"iss\":7}", SP_JWT_CLAIM_TYPE },
    { "{\"exp\":1000001,\"aud\":7}", SP_JWT_CLAIM_TYPE },
    { "{\"exp\":1000001,\"aud\":[\"a\",7]}", SP_JWT_CLAIM_TYPE },
    { "{\"exp\":1000001,\"exp\":2000000}", SP_JWT_PAYLOAD },
    { "[]", SP_JWT_PAYLOAD },
    { "", SP_JWT_PAYLOAD },
    { "{\"exp\":1000001,\"sub\":\"\\u0000\"}", SP_JWT_PAYLOAD }
};


static const header_row_t  header_rows[] = {
    { "{\"alg\":\"HS256\"}", SP_JWT_OK },
    { "{\"alg\":\"none\"}", SP_JWT_ALG },
    { "{\"alg\":\"nOnE\"}", SP_JWT_ALG },
    { "{\"alg\":\"hs256\"}", SP_JWT_ALG },
    { "{\"alg\":\"HS256 \"}", SP_JWT_ALG },
    { "{\"alg\":[\"HS256\"]}", SP_JWT_ALG },
    { "{\"alg\":null}", SP_JWT_ALG },
    { "{}", SP_JWT_ALG },
    { "{\"alg\":\"HS256\",\"alg\":\"none\"}", SP_JWT_HEADER },
    { "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", SP_JWT_CRIT },
    { "{\"alg\":\"HS256\",\"crit\":[]}", SP_JWT_CRIT },
    { "{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}", SP_JWT_CRIT },
    { "{\"alg\":\"HS256\",\"kid\":7}", SP_JWT_HEADER },
    { "{\"alg\":\"HS256\",\"kid\":\"" X64 X64 X64 X64 "\"}", SP_JWT_OK },
    { "{\"alg\":\"HS256\",\"kid\":\"" X64 X64 X64 X64 "x\"}", SP_JWT_HEADER },
    { "{\"alg\":\"HS256\",\"jwk\":{},\"jku\":\"https://evil\"}", SP_JWT_OK },
    { "[\"HS256\"]", SP_JWT_HEADER },
    { "\"HS256\"", SP_JWT_HEADER },
    { "", SP_JWT_MALFORMED }
};


int
main(void)
{
    size_t           i;
    sp_jwks_t       *set;
    sp_jwt_rules_t   rules;
    sp_jwk_error_t   error;

    for (i = 0; i < sizeof(jwks_rows) / sizeof(jwks_rows[0]); i++) {
        set = sp_jwks_parse(jwks_rows[i].text, strlen(jwks_rows[i].text),
                            &error);

        if (!TAP_OK(jwks_rows[i].message == NULL
                    ? set != NULL
                    : set == NULL && error.message != NULL
                      && strstr(error.message, jwks_rows[i].message) != NULL,
                    "JWKS: %s", jwks_rows[i].name))
        {
            printf("#   %s\n", error.message ? error.message : "none");
        }

        sp_jwks_free(set);
    }

    round_trip(ED25519, "EdDSA");
    round_trip(P256, "ES256");
    round_trip(OCT, "HS256");

    memset(&rules, 0, sizeof(rules));
    rules.now = NOW;
    rules.skew = 60;

    for (i = 0; i < sizeof(claims_rows) / sizeof(claims_rows[0]); i++) {
        TAP_IS_INT(check(claims_rows[i].claims, &rules),
                   claims_rows[i].status, "claims %s", claims_rows[i].claims);
    }

    rules.leeway = 5;
    TAP_IS_INT(check("{\"exp\":999996,\"nbf\":1000005}", &rules), SP_JWT_OK,
               "leeway");
    TAP_IS_INT(check("{\"exp\":999995}", &rules), SP_JWT_EXPIRED,
               "past the leeway");

    rules.no_expiry = 1;
    TAP_IS_INT(check("{}", &rules), SP_JWT_OK, "no exp where allowed");

    rules.issuer = "https://i";
    rules.audience = "a";
    TAP_IS_INT(check("{\"iss\":\"https://i\",\"aud\":\"a\"}", &rules),
               SP_JWT_OK, "issuer and audience");
    TAP_IS_INT(check("{\"iss\":\"https://i\",\"aud\":[\"b\",\"a\"]}", &rules),
               SP_JWT_OK, "audience in a list");
    TAP_IS_INT(check("{\"iss\":\"https://i/\",\"aud\":\"a\"}", &rules),
               SP_JWT_ISSUER, "another issuer");
    TAP_IS_INT(check("{\"aud\":\"a\"}", &rules), SP_JWT_ISSUER, "no issuer");
    TAP_IS_INT(check("{\"iss\":\"https://i\",\"aud\":\"A\"}", &rules),
               SP_JWT_AUDIENCE, "another audience");
    TAP_IS_INT(check("{\"iss\":\"https://i\",\"aud\":[\"b\",\"aa\"]}", &rules),
               SP_JWT_AUDIENCE, "other audiences in a list");
    TAP_IS_INT(check("{\"iss\":\"https://i\",\"aud\":[]}", &rules),
               SP_JWT_AUDIENCE, "no audience");

    headers();
    malformed();
    confusion();
    many_keys();
    signatures();
    operations();
    public_forms();

    return tap_done();
}


static sp_jwks_t *
load(const char *text)
{
    sp_jwks_t       *set;
    sp_jwk_error_t   error;

    set = sp_jwks_parse(text, strlen(text), &error);

    if (set == NULL) {
        printf("Bail out! %s\n", error.message ? error.message : "no memory");
        exit(1);
    }

    return set;
}


static void
round_trip(const char *jwk, const char *alg)
{
    char              buffer[2048], saved, token[2048];
    size_t            i, len, refused;
    sp_jwt_t          jwt;
    sp_jwks_t        *set;
    sp_jwt_status_e   status;

    set = load(jwk);

    TAP_OK(sp_jwt_sign(&set->keys[0], "at+jwt", "{\"sub\":\"x\"}", 11, token,
                       sizeof(token), &len) == SP_OK, "%s signs", alg);

    TAP_OK(sp_jwt_parse(&jwt, buffer, sizeof(buffer), token, len) == SP_JWT_OK
           && sp_jwt_verify(&jwt, (const sp_jwks_t *const *) &set, 1)
              == SP_JWT_OK,
           "%s verifies", alg);
    TAP_IS_STR(jwt.jwa->name, alg, "alg of the header");
    TAP_IS_MEM(jwt.payload, jwt.payload_len, "{\"sub\":\"x\"}", 11,
               "payload");
    sp_jwt_clear(&jwt);

    refused = 0;

    for (i = 0; i < len; i++) {
        saved = token[i];
        token[i] = saved == 'A' ? 'B' : 'A';

        status = sp_jwt_parse(&jwt, buffer, sizeof(buffer), token, len);

        if (status == SP_JWT_OK) {
            status = sp_jwt_verify(&jwt, (const sp_jwks_t *const *) &set, 1);
        }

        refused += status != SP_JWT_OK;
        sp_jwt_clear(&jwt);
        token[i] = saved;
    }

    TAP_IS_INT(refused, len, "%s: refused with any character changed", alg);

    TAP_OK(sp_jwt_sign(&set->keys[0], "at+jwt", "{}", 2, token, 60, &len)
           == SP_ERROR && len == 0, "%s: the buffer is too small", alg);

    sp_jwks_free(set);
}


static sp_jwt_status_e
check(const char *claims, const sp_jwt_rules_t *rules)
{
    char              buffer[2048], token[2048];
    size_t            len;
    sp_jwt_t          jwt;
    sp_jwks_t        *set;
    sp_jwt_status_e   status;

    set = load(OCT);

    (void) sp_jwt_sign(&set->keys[0], "at+jwt", claims, strlen(claims), token,
                       sizeof(token), &len);

    status = sp_jwt_parse(&jwt, buffer, sizeof(buffer), token, len);

    if (status == SP_JWT_OK) {
        status = sp_jwt_verify(&jwt, (const sp_jwks_t *const *) &set, 1);
    }

    if (status == SP_JWT_OK) {
        status = sp_jwt_claims(&jwt, rules);
    }

    sp_jwt_clear(&jwt);
    sp_jwks_free(set);

    return status;
}


static void
headers(void)
{
    char             buffer[2048], token[2048];
    size_t           i, n;
    sp_jwt_t         jwt;
    sp_jwks_t       *set;
    const char      *header;
    sp_jwt_rules_t   rules;

    static const char *const  types[] = {
        "JWT", "at+jwt", "application/AT+JWT", NULL,
        "dpop+jwt", "logout+jwt", "application/secevent+jwt", "", NULL
    };

    for (i = 0; i < sizeof(header_rows) / sizeof(header_rows[0]); i++) {
        header = header_rows[i].header;

        n = sp_base64url_encode(token, (const uint8_t *) header,
                                strlen(header));
        memcpy(token + n, ".e30.AAAA", 9);

        TAP_IS_INT(sp_jwt_parse(&jwt, buffer, sizeof(buffer), token, n + 9),
                   header_rows[i].status, "header %s", header);
        sp_jwt_clear(&jwt);
    }

    set = load(OCT);
    memset(&rules, 0, sizeof(rules));
    rules.no_expiry = 1;

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {

        if (types[i] == NULL) {
            continue;
        }

        (void) sp_jwt_sign(&set->keys[0], types[i], "{}", 2, token,
                           sizeof(token), &n);
        (void) sp_jwt_parse(&jwt, buffer, sizeof(buffer), token, n);

        TAP_IS_INT(sp_jwt_claims(&jwt, &rules),
                   i < 3 ? SP_JWT_OK : SP_JWT_TYPE, "typ \"%s\"", types[i]);
        sp_jwt_clear(&jwt);
    }

    n = sp_base64url_encode(token, (const uint8_t *)
                            "{\"alg\":\"HS256\",\"typ\":7}", 23);
    memcpy(token + n, ".e30.AAAA", 9);

    (void) sp_jwt_parse(&jwt, buffer, sizeof(buffer), token, n + 9);
    TAP_IS_INT(sp_jwt_claims(&jwt, &rules), SP_JWT_TYPE, "typ is a number");
    sp_jwt_clear(&jwt);

    sp_jwks_free(set);
}


static void
malformed(void)
{
    char                     *big, *buffer;
    size_t                    i, n;
    sp_jwt_t                  jwt;

    static const char *const  tokens[] = {
        "", ".", "..", "...", "a", "a.b", "a.b.", ".b.c", "e30.e30.",
        "eyJhbGciOiJIUzI1NiJ9.e30", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA.AAAA",
        "eyJhbGciOiJIUzI1NiJ9.e30.AAAA.AAAA.AAAA",
        "eyJhbGciOiJIUzI1NiJ9=.e30.AAAA", "eyJhbGciOiJIUzI1NiJ9.e3 0.AAAA",
        "eyJhbGciOiJIUzI1NiJ9.e30.AA+A", "{\"payload\":\"e30\"}"
    };

    buffer = malloc(SP_JWT_MAX_LEN + 1);
    big = malloc(SP_JWT_MAX_LEN + 1);

    for (i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        TAP_IS_INT(sp_jwt_parse(&jwt, buffer, SP_JWT_MAX_LEN, tokens[i],
                                strlen(tokens[i])),
                   SP_JWT_MALFORMED, "token \"%s\"", tokens[i]);
    }

    memset(big, '.', SP_JWT_MAX_LEN + 1);
    TAP_IS_INT(sp_jwt_parse(&jwt, buffer, SP_JWT_MAX_LEN + 1, big,
                            SP_JWT_MAX_LEN + 1),
               SP_JWT_TOO_LARGE, "a token over the cap");

    memset(big, 'A', SP_JWT_MAX_LEN);
    memcpy(big + SP_JWT_MAX_HEADER + 1, ".A.", 3);
    TAP_IS_INT(sp_jwt_parse(&jwt, buffer, SP_JWT_MAX_LEN, big,
                            SP_JWT_MAX_LEN),
               SP_JWT_TOO_LARGE, "a header over the cap");

    n = (SP_JWT_MAX_SIG + 1) / 3 * 4;
    memset(big, 'A', SP_JWT_MAX_LEN);
    memcpy(big, "eyJhbGciOiJIUzI1NiJ9.e30.", 25);
    TAP_IS_INT(sp_jwt_parse(&jwt, buffer, SP_JWT_MAX_LEN, big, 25 + n - 1),
               SP_JWT_OK, "the largest signature");
    sp_jwt_clear(&jwt);
    TAP_OK(sp_jwt_parse(&jwt, buffer, SP_JWT_MAX_LEN, big, 25 + n)
           != SP_JWT_OK, "a larger one");
    sp_jwt_clear(&jwt);

    free(buffer);
    free(big);
}


/* the key decides: a token of one family never meets a key of another */

static void
confusion(void)
{
    char        buffer[2048], jwk[2048], pub[2048], token[2048];
    size_t      len;
    sp_jwt_t    jwt;
    sp_jwks_t  *evil, *set;

    set = load(RSA);

    (void) sp_jwk_public(&set->keys[0], pub, sizeof(pub), &len);
    len = sp_base64url_encode(token, (const uint8_t *) pub, len);
    (void) snprintf(jwk, sizeof(jwk), "{\"kty\":\"oct\",\"k\":\"%.*s\"}",
                    (int) len, token);

    evil = load(jwk);
    (void) sp_jwt_sign(&evil->keys[0], "JWT", "{}", 2, token, sizeof(token),
                       &len);

    TAP_OK(sp_jwt_parse(&jwt, buffer, sizeof(buffer), token, len) == SP_JWT_OK
           && sp_jwt_verify(&jwt, (const sp_jwks_t *const *) &set, 1)
              == SP_JWT_NO_KEY,
           "HS256 under a public RSA key");
    sp_jwt_clear(&jwt);
    sp_jwks_free(evil);
    sp_jwks_free(set);

    set = load(OCT);
    evil = load("{\"kty\":\"oct\",\"kid\":\"other\",\"k\":\"" K32 "8\"}");

    (void) sp_jwt_sign(&set->keys[0], "JWT", "{}", 2, token, sizeof(token),
                       &len);
    (void) sp_jwt_parse(&jwt, buffer, sizeof(buffer), token, len);

    TAP_IS_INT(sp_jwt_verify(&jwt, (const sp_jwks_t *const *) &evil, 1),
               SP_JWT_NO_KEY, "an unknown kid tries no other key");
    TAP_IS_INT(sp_jwt_verify(&jwt, NULL, 0), SP_JWT_NO_KEY, "no set at all");

    sp_jwt_clear(&jwt);
    sp_jwks_free(evil);
    sp_jwks_free(set);
}


/* without a kid keys are tried, but not without end */

static void
many_keys(void)
{
    char              buffer[2048], text[2048], token[2048];
    size_t            i, len, n;
    sp_jwt_t          jwt;
    sp_jwks_t        *set;

    n = (size_t) snprintf(text, sizeof(text), "{\"keys\":[");

    for (i = 0; i <= SP_JWT_MAX_TRIES; i++) {
        n += (size_t) snprintf(text + n, sizeof(text) - n, "%s{\"kty\":"
                               "\"oct\",\"k\":\"%c" K32 "\"}",
                               i != 0 ? "," : "", (char) ('A' + i));
    }

    (void) snprintf(text + n, sizeof(text) - n, "]}");

    set = load(text);

    for (i = SP_JWT_MAX_TRIES - 1; i <= SP_JWT_MAX_TRIES; i++) {
        (void) sp_jwt_sign(&set->keys[i], "JWT", "{}", 2, token,
                           sizeof(token), &len);
        (void) sp_jwt_parse(&jwt, buffer, sizeof(buffer), token, len);

        TAP_IS_INT(sp_jwt_verify(&jwt, (const sp_jwks_t *const *) &set, 1),
                   i < SP_JWT_MAX_TRIES ? SP_JWT_OK : SP_JWT_SIGNATURE,
                   "signed by key %zu of those without a kid", i + 1);
        sp_jwt_clear(&jwt);
    }

    sp_jwks_free(set);
}


/* the beginning of a good signature is none */

static void
signatures(void)
{
    char                      buffer[2048], token[2048];
    size_t                    i, len, n, start;
    sp_jwt_t                  jwt;
    sp_jwks_t                *set;

    static const char *const  keys[] = { ED25519, P256, OCT };

    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        set = load(keys[i]);

        (void) sp_jwt_sign(&set->keys[0], "JWT", "{}", 2, token,
                           sizeof(token), &len);
        token[len] = '\0';
        start = (size_t) (strrchr(token, '.') + 1 - token);

        /* whole groups of it, so that no bit is left over */

        for (n = start + 4; n < len; n += 4) {
            (void) sp_jwt_parse(&jwt, buffer, sizeof(buffer), token, n);

            TAP_IS_INT(sp_jwt_verify(&jwt, (const sp_jwks_t *const *) &set,
                                     1),
                       SP_JWT_SIGNATURE, "%s: %zu bytes of a signature",
                       set->keys[0].jwa->name, jwt.signature_len);
            sp_jwt_clear(&jwt);
        }

        sp_jwks_free(set);
    }
}


/* a key does what its "key_ops" say and nothing else */

static void
operations(void)
{
    char        *big, buffer[2048], token[2048];
    size_t       len;
    sp_jwt_t     jwt;
    sp_jwks_t   *set;

    set = load("{\"kty\":\"oct\",\"key_ops\":[\"sign\"],\"k\":\"" K32 "8\"}");

    TAP_OK(sp_jwt_sign(&set->keys[0], "JWT", "{}", 2, token, sizeof(token),
                       &len) == SP_OK, "a key to sign signs");
    (void) sp_jwt_parse(&jwt, buffer, sizeof(buffer), token, len);
    TAP_IS_INT(sp_jwt_verify(&jwt, (const sp_jwks_t *const *) &set, 1),
               SP_JWT_NO_KEY, "and does not verify");

    big = calloc(1, 2 * SP_JWT_MAX_LEN);
    TAP_OK(sp_jwt_sign(&set->keys[0], "JWT", big, SP_JWT_MAX_LEN + 1, big,
                       2 * SP_JWT_MAX_LEN, &len) == SP_ERROR && len == 0,
           "claims over the cap are not signed");
    free(big);
    sp_jwks_free(set);

    set = load("{\"kty\":\"oct\",\"key_ops\":[\"verify\"],\"k\":\"" K32
               "8\"}");

    TAP_IS_INT(sp_jwt_verify(&jwt, (const sp_jwks_t *const *) &set, 1),
               SP_JWT_OK, "a key to verify verifies");
    TAP_OK(sp_jwt_sign(&set->keys[0], "JWT", "{}", 2, token, sizeof(token),
                       &len) == SP_ERROR && len == 0, "and does not sign");

    sp_jwt_clear(&jwt);
    sp_jwks_free(set);
}


static void
public_forms(void)
{
    char        print[SP_JWK_THUMBPRINT_LEN], text[SP_JWK_PUBLIC_LEN];
    size_t      len;
    uint8_t     one[32], two[32];
    sp_jwks_t  *again, *set;

    set = load(ED25519);

    TAP_OK(sp_jwk_thumbprint(&set->keys[0], print) == SP_OK
           && memcmp(print, ED25519_PRINT, sizeof(print)) == 0,
           "thumbprint of RFC 8037 A.3");
    TAP_OK(sp_jwk_public(&set->keys[0], text, sizeof(text), &len) == SP_OK,
           "public form");
    text[len] = '\0';
    TAP_OK(strstr(text, "\"d\"") == NULL
           && strstr(text, "nWGxne") == NULL, "holds no private part");

    again = load(text);
    TAP_OK(!again->keys[0].secret && !again->keys[0].signs
           && again->keys[0].kid_len == sizeof(print)
           && memcmp(again->keys[0].kid, ED25519_PRINT, sizeof(print)) == 0,
           "is a JWK, its kid the thumbprint");
    TAP_OK(sp_jwk_derive(&again->keys[0], "x", one) == SP_ERROR,
           "nothing is derived from a public key");
    sp_jwks_free(again);

    TAP_OK(sp_jwk_derive(&set->keys[0], "a", one) == SP_OK
           && sp_jwk_derive(&set->keys[0], "b", two) == SP_OK
           && memcmp(one, two, 32) != 0, "labels derive different keys");
    TAP_OK(sp_jwk_public(&set->keys[0], text, 40, &len) == SP_ERROR,
           "public form: the buffer is too small");
    sp_jwks_free(set);

    set = load(RSA);
    TAP_OK(sp_jwk_thumbprint(&set->keys[0], print) == SP_OK
           && memcmp(print, RSA_PRINT, sizeof(print)) == 0,
           "thumbprint of RFC 7638 3.1");
    sp_jwks_free(set);

    set = load(P256);
    TAP_OK(sp_jwk_public(&set->keys[0], text, sizeof(text), &len) == SP_OK,
           "public form of an EC key");
    text[len] = '\0';
    TAP_OK(strstr(text, P256_X) && strstr(text, P256_Y)
           && strstr(text, "\"kid\":\"p\"") && !strstr(text, P256_D),
           "has its point and its own kid");
    TAP_OK(sp_jwk_derive(&set->keys[0], "a", one) == SP_OK, "derive from EC");
    TAP_OK(sp_jwks_signer(set) == &set->keys[0], "signer");
    sp_jwks_free(set);

    set = load(OCT);
    TAP_OK(sp_jwk_thumbprint(&set->keys[0], print) == SP_ERROR
           && sp_jwk_public(&set->keys[0], text, sizeof(text), &len)
              == SP_ERROR
           && sp_jwks_signer(set) == NULL,
           "a symmetric key has no public form and is no signer");
    sp_jwks_free(set);
}
