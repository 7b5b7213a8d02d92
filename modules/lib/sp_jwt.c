
/*
 * Copyright (C) Sallyport authors
 */

#include <stdio.h>
#include <string.h>
#include <strings.h>


#include "sp_base64.h"
#include "sp_json.h"
#include "sp_jws.h"
#include "sp_jwt.h"


static sp_jwt_status_e sp_jwt_split(const char *token, size_t len,
    const char **first, const char **second);
static sp_jwt_status_e sp_jwt_header(sp_jwt_t *jwt);
static sp_jwt_status_e sp_jwt_type(const sp_jwt_t *jwt);
static sp_jwt_status_e sp_jwt_dates(sp_jwt_t *jwt,
    const sp_jwt_rules_t *rules);
static int sp_jwt_date(const json_t *claims, const char *name, int up,
    int64_t *seconds);
static sp_jwt_status_e sp_jwt_issuer(const sp_jwt_t *jwt,
    const sp_jwt_rules_t *rules);
static sp_jwt_status_e sp_jwt_audience(const sp_jwt_t *jwt,
    const sp_jwt_rules_t *rules);
static int sp_jwt_equal(const json_t *value, const char *text);
static int sp_jwt_sign_header(const sp_jwk_t *key, const char *typ,
    char *text, size_t size, size_t *len);


static const char *const  sp_jwt_errors[] = {
    "ok",
    "token is too large",
    "not three base64url parts",
    "header is not a JSON object with distinct names",
    "algorithm is not supported",
    "header has crit",
    "typ is not that of an access token",
    "no key for its kid and alg",
    "signature does not verify",
    "payload is not a JSON object with distinct names",
    "a registered claim has a wrong type or value",
    "no exp",
    "expired",
    "not valid yet",
    "issued in the future",
    "another issuer",
    "another audience",
    "out of memory"
};


const char *
sp_jwt_strerror(sp_jwt_status_e status)
{
    return sp_jwt_errors[status];
}


sp_jwt_status_e
sp_jwt_parse(sp_jwt_t *jwt, char *buffer, size_t size, const char *token,
    size_t len)
{
    size_t            n, used;
    uint8_t          *p;
    const char       *first, *second;
    sp_jwt_status_e   status;

    memset(jwt, 0, sizeof(sp_jwt_t));

    if (len > SP_JWT_MAX_LEN || len > size) {
        return SP_JWT_TOO_LARGE;
    }

    status = sp_jwt_split(token, len, &first, &second);
    if (status != SP_JWT_OK) {
        return status;
    }

    jwt->signing = token;
    jwt->signing_len = (size_t) (second - token);

    status = SP_JWT_MALFORMED;
    p = (uint8_t *) buffer;
    used = 0;

    if (sp_base64url_decode(p, size, &n, token, (size_t) (first - token))
        != SP_OK)
    {
        goto failed;
    }

    jwt->header_text = buffer;
    jwt->header_len = n;
    used += n;

    if (sp_base64url_decode(p + used, size - used, &n, first + 1,
                            (size_t) (second - first - 1))
        != SP_OK)
    {
        goto failed;
    }

    jwt->payload = buffer + used;
    jwt->payload_len = n;
    used += n;

    if (sp_base64url_decode(p + used, size - used, &n, second + 1,
                            (size_t) (token + len - second - 1))
        != SP_OK)
    {
        goto failed;
    }

    jwt->signature = p + used;
    jwt->signature_len = n;

    if (n == 0 || n > SP_JWT_MAX_SIG) {
        goto failed;
    }

    status = sp_jwt_header(jwt);
    if (status == SP_JWT_OK) {
        return SP_JWT_OK;
    }

failed:

    sp_jwt_clear(jwt);

    return status;
}


static sp_jwt_status_e
sp_jwt_split(const char *token, size_t len, const char **first,
    const char **second)
{
    const char  *last, *p;

    last = token + len;

    *first = len != 0 ? memchr(token, '.', len) : NULL;
    if (*first == NULL || *first == token) {
        return SP_JWT_MALFORMED;
    }

    if (*first - token > SP_JWT_MAX_HEADER) {
        return SP_JWT_TOO_LARGE;
    }

    p = *first + 1;

    *second = memchr(p, '.', (size_t) (last - p));
    if (*second == NULL) {
        return SP_JWT_MALFORMED;
    }

    p = *second + 1;

    if (p == last || memchr(p, '.', (size_t) (last - p)) != NULL) {
        return SP_JWT_MALFORMED;
    }

    return SP_JWT_OK;
}


static sp_jwt_status_e
sp_jwt_header(sp_jwt_t *jwt)
{
    size_t             len;
    const char        *alg;
    sp_json_limits_t   limits;
    sp_json_status_e   status;

    memset(&limits, 0, sizeof(sp_json_limits_t));
    limits.size = SP_JWT_MAX_HEADER;
    limits.depth = 8;

    status = sp_json_parse(jwt->header_text, jwt->header_len, &limits,
                           &jwt->header, NULL);
    if (status == SP_JSON_NO_MEMORY) {
        return SP_JWT_NO_MEMORY;
    }

    if (status != SP_JSON_OK || !json_is_object(jwt->header)) {
        return SP_JWT_HEADER;
    }

    /* no extension is understood, whatever it is called */

    if (json_object_get(jwt->header, "crit") != NULL) {
        return SP_JWT_CRIT;
    }

    alg = sp_json_string(jwt->header, "alg", &len);
    if (alg == NULL) {
        return SP_JWT_ALG;
    }

    jwt->jwa = sp_jwa_find(alg, len);
    if (jwt->jwa == NULL) {
        return SP_JWT_ALG;
    }

    if (json_object_get(jwt->header, "kid") == NULL) {
        return SP_JWT_OK;
    }

    jwt->kid = sp_json_string(jwt->header, "kid", &jwt->kid_len);

    if (jwt->kid == NULL || jwt->kid_len > SP_JWK_KID_LEN) {
        return SP_JWT_HEADER;
    }

    return SP_JWT_OK;
}


void
sp_jwt_clear(sp_jwt_t *jwt)
{
    json_decref(jwt->header);
    json_decref(jwt->claims);

    memset(jwt, 0, sizeof(sp_jwt_t));
}


sp_jwt_status_e
sp_jwt_verify(const sp_jwt_t *jwt, const sp_jwks_t *const *sets, size_t nsets)
{
    size_t            i, k, tries;
    const sp_jwk_t   *key;
    sp_jwt_status_e   status;

    tries = 0;
    status = SP_JWT_NO_KEY;

    for (i = 0; i < nsets; i++) {
        for (k = 0; k < sets[i]->nkeys; k++) {
            key = &sets[i]->keys[k];

            if (key->jwa != jwt->jwa || !key->verifies) {
                continue;
            }

            if (jwt->kid != NULL
                && (key->kid == NULL || key->kid_len != jwt->kid_len
                    || memcmp(key->kid, jwt->kid, jwt->kid_len) != 0))
            {
                continue;
            }

            if (tries++ == SP_JWT_MAX_TRIES) {
                return SP_JWT_SIGNATURE;
            }

            status = sp_jws_verify(key, jwt->signing, jwt->signing_len,
                                   jwt->signature, jwt->signature_len);

            if (status != SP_JWT_SIGNATURE) {
                return status;
            }
        }
    }

    return status;
}


sp_jwt_status_e
sp_jwt_claims(sp_jwt_t *jwt, const sp_jwt_rules_t *rules)
{
    sp_json_limits_t  limits;
    sp_json_status_e  json;
    sp_jwt_status_e   status;

    memset(&limits, 0, sizeof(sp_json_limits_t));
    limits.size = SP_JWT_MAX_LEN;
    limits.depth = 32;

    status = sp_jwt_type(jwt);
    if (status != SP_JWT_OK) {
        return status;
    }

    json = sp_json_parse(jwt->payload, jwt->payload_len, &limits,
                         &jwt->claims, NULL);
    if (json == SP_JSON_NO_MEMORY) {
        return SP_JWT_NO_MEMORY;
    }

    if (json != SP_JSON_OK || !json_is_object(jwt->claims)) {
        return SP_JWT_PAYLOAD;
    }

    status = sp_jwt_dates(jwt, rules);
    if (status != SP_JWT_OK) {
        return status;
    }

    status = sp_jwt_issuer(jwt, rules);
    if (status != SP_JWT_OK) {
        return status;
    }

    return sp_jwt_audience(jwt, rules);
}


/*
 * Tokens made for something else, dpop+jwt, logout+jwt and the like, are not
 * access tokens although the same key may have signed them.
 */

static sp_jwt_status_e
sp_jwt_type(const sp_jwt_t *jwt)
{
    size_t                    i, len;
    const char               *typ;

    static const char *const  types[] = { "JWT", "at+jwt", "JOSE" };

    if (json_object_get(jwt->header, "typ") == NULL) {
        return SP_JWT_OK;
    }

    typ = sp_json_string(jwt->header, "typ", &len);
    if (typ == NULL) {
        return SP_JWT_TYPE;
    }

    if (strncasecmp(typ, "application/", 12) == 0) {
        typ += 12;
    }

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcasecmp(typ, types[i]) == 0) {
            return SP_JWT_OK;
        }
    }

    return SP_JWT_TYPE;
}


static sp_jwt_status_e
sp_jwt_dates(sp_jwt_t *jwt, const sp_jwt_rules_t *rules)
{
    if (sp_jwt_date(jwt->claims, "exp", 0, &jwt->expires) != SP_OK
        || sp_jwt_date(jwt->claims, "nbf", 1, &jwt->not_before) != SP_OK
        || sp_jwt_date(jwt->claims, "iat", 0, &jwt->issued_at) != SP_OK)
    {
        return SP_JWT_CLAIM_TYPE;
    }

    /* 0 stands for "not given", and as a date it has passed */

    if (json_object_get(jwt->claims, "exp") != NULL && jwt->expires == 0) {
        return SP_JWT_EXPIRED;
    }

    return sp_jwt_times(jwt->expires, jwt->not_before, jwt->issued_at, rules);
}


/* a NumericDate; fractions are cut, or rounded up where "up" is set */

static int
sp_jwt_date(const json_t *claims, const char *name, int up, int64_t *seconds)
{
    double         number;
    const json_t  *value;

    *seconds = 0;

    value = json_object_get(claims, name);
    if (value == NULL) {
        return SP_OK;
    }

    if (json_is_integer(value)) {

        if (json_integer_value(value) < 0
            || json_integer_value(value) > SP_JWT_MAX_DATE)
        {
            return SP_ERROR;
        }

        *seconds = json_integer_value(value);

        return SP_OK;
    }

    if (!json_is_real(value)) {
        return SP_ERROR;
    }

    number = json_real_value(value);

    if (!(number >= 0 && number <= (double) SP_JWT_MAX_DATE)) {
        return SP_ERROR;
    }

    *seconds = (int64_t) number;

    if (up && (double) *seconds < number) {
        (*seconds)++;
    }

    return SP_OK;
}


sp_jwt_status_e
sp_jwt_times(int64_t expires, int64_t not_before, int64_t issued_at,
    const sp_jwt_rules_t *rules)
{
    /* dates end with the year 9999: the sums cannot overflow */

    if (expires == 0 && !rules->no_expiry) {
        return SP_JWT_NO_EXPIRY;
    }

    if (expires != 0 && rules->now >= expires + rules->leeway) {
        return SP_JWT_EXPIRED;
    }

    if (not_before > rules->now + rules->leeway) {
        return SP_JWT_NOT_YET;
    }

    if (issued_at > rules->now + rules->skew) {
        return SP_JWT_FUTURE;
    }

    return SP_JWT_OK;
}


static sp_jwt_status_e
sp_jwt_issuer(const sp_jwt_t *jwt, const sp_jwt_rules_t *rules)
{
    const json_t  *value;

    value = json_object_get(jwt->claims, "iss");

    if (value != NULL && !json_is_string(value)) {
        return SP_JWT_CLAIM_TYPE;
    }

    if (rules->issuer != NULL && !sp_jwt_equal(value, rules->issuer)) {
        return SP_JWT_ISSUER;
    }

    value = json_object_get(jwt->claims, "sub");

    if (value != NULL && !json_is_string(value)) {
        return SP_JWT_CLAIM_TYPE;
    }

    return SP_JWT_OK;
}


static sp_jwt_status_e
sp_jwt_audience(const sp_jwt_t *jwt, const sp_jwt_rules_t *rules)
{
    int            found;
    size_t         i;
    const json_t  *item, *value;

    value = json_object_get(jwt->claims, "aud");

    if (json_is_array(value)) {
        found = 0;

        for (i = 0; i < json_array_size(value); i++) {
            item = json_array_get(value, i);

            if (!json_is_string(item)) {
                return SP_JWT_CLAIM_TYPE;
            }

            if (rules->audience != NULL
                && sp_jwt_equal(item, rules->audience))
            {
                found = 1;
            }
        }

        return rules->audience == NULL || found ? SP_JWT_OK : SP_JWT_AUDIENCE;
    }

    if (value != NULL && !json_is_string(value)) {
        return SP_JWT_CLAIM_TYPE;
    }

    if (rules->audience != NULL && !sp_jwt_equal(value, rules->audience)) {
        return SP_JWT_AUDIENCE;
    }

    return SP_JWT_OK;
}


static int
sp_jwt_equal(const json_t *value, const char *text)
{
    return json_is_string(value)
           && strcmp(json_string_value(value), text) == 0;
}


int
sp_jwt_sign(const sp_jwk_t *key, const char *typ, const char *claims,
    size_t claims_len, char *token, size_t size, size_t *len)
{
    char     header[SP_JWT_MAX_HEADER / 4];
    size_t   header_len, n, signature_len;
    uint8_t  signature[SP_JWT_MAX_SIG];

    *len = 0;

    if (sp_jwt_sign_header(key, typ, header, sizeof(header), &header_len)
        != SP_OK)
    {
        return SP_ERROR;
    }

    if (claims_len > SP_JWT_MAX_LEN
        || sp_base64url_len(header_len) + sp_base64url_len(claims_len) + 2
           > size)
    {
        return SP_ERROR;
    }

    n = sp_base64url_encode(token, (const uint8_t *) header, header_len);
    token[n++] = '.';
    n += sp_base64url_encode(token + n, (const uint8_t *) claims, claims_len);

    if (sp_jws_sign(key, token, n, signature, sizeof(signature),
                    &signature_len)
        != SP_OK)
    {
        return SP_ERROR;
    }

    if (sp_base64url_len(signature_len) + 1 > size - n) {
        return SP_ERROR;
    }

    token[n++] = '.';
    n += sp_base64url_encode(token + n, signature, signature_len);

    *len = n;

    return SP_OK;
}


static int
sp_jwt_sign_header(const sp_jwk_t *key, const char *typ, char *text,
    size_t size, size_t *len)
{
    int     n;
    size_t  kid_len;

    *len = 0;

    n = snprintf(text, size, "{\"alg\":\"%s\",\"typ\":\"%s\"%s",
                 key->jwa->name, typ, key->kid != NULL ? ",\"kid\":\"" : "}");

    if (n < 0 || (size_t) n >= size) {
        return SP_ERROR;
    }

    *len = (size_t) n;

    if (key->kid == NULL) {
        return SP_OK;
    }

    kid_len = sp_json_escape(text + n, size - *len, key->kid, key->kid_len);

    if (kid_len + 2 > size - *len) {
        return SP_ERROR;
    }

    memcpy(text + (size_t) n + kid_len, "\"}", 2);
    *len += kid_len + 2;

    return SP_OK;
}
