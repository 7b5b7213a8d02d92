
/*
 * Copyright (C) Sallyport authors
 *
 * Finding the token of a request, and verifying it.
 */

#include "ngx_http_sp_jwt.h"


static ngx_int_t ngx_http_sp_jwt_bearer(ngx_http_request_t *r,
    ngx_str_t *token);
static ngx_int_t ngx_http_sp_jwt_scope(ngx_pool_t *pool,
    const json_t *claims, ngx_str_t *scope);
static ngx_uint_t ngx_http_sp_jwt_is_word(const json_t *value);
static ngx_http_sp_jwt_entry_t *ngx_http_sp_jwt_pack(ngx_pool_t *pool,
    const sp_jwt_t *jwt);


static const char *const  ngx_http_sp_jwt_names[] = {
    "sub", "tier", "role", "wallet", "sid", "jti"
};


ngx_int_t
ngx_http_sp_jwt_find(ngx_http_request_t *r, ngx_http_sp_jwt_loc_conf_t *jlcf,
    ngx_str_t *token)
{
    if (jlcf->token == NULL) {
        return ngx_http_sp_jwt_bearer(r, token);
    }

    if (ngx_http_complex_value(r, jlcf->token, token) != NGX_OK) {
        return NGX_ABORT;
    }

    return token->len != 0 ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_sp_jwt_bearer(ngx_http_request_t *r, ngx_str_t *token)
{
    u_char           *p, *last;
    ngx_table_elt_t  *h;

    h = r->headers_in.authorization;
    if (h == NULL) {
        return NGX_DECLINED;
    }

    /* the first of several, in NGINX before 1.23 and after it */

    if (ngx_http_sp_next_header(&r->headers_in.headers, &h->key, h) != NULL) {
        return NGX_ERROR;
    }

    p = h->value.data;
    last = p + h->value.len;

    if (h->value.len < sizeof("Bearer") - 1
        || ngx_strncasecmp(p, (u_char *) "Bearer", sizeof("Bearer") - 1) != 0)
    {
        return NGX_DECLINED;
    }

    p += sizeof("Bearer") - 1;

    if (p < last && *p != ' ') {
        return NGX_DECLINED;
    }

    while (p < last && *p == ' ') {
        p++;
    }

    /* "Bearer" alone is a bad token, not the absence of one */

    token->data = p;
    token->len = last - p;

    return NGX_OK;
}


sp_jwt_status_e
ngx_http_sp_jwt_check(ngx_http_request_t *r, ngx_http_sp_jwt_loc_conf_t *jlcf,
    const ngx_str_t *token, const sp_jwt_rules_t *rules,
    ngx_http_sp_jwt_entry_t **entry)
{
    char             *buffer;
    sp_jwt_t          jwt;
    ngx_str_t         text;
    ngx_uint_t        i;
    sp_jwt_status_e   status;

    *entry = NULL;

    if (token->len > SP_JWT_MAX_LEN) {
        return SP_JWT_TOO_LARGE;
    }

    buffer = ngx_pnalloc(r->pool, token->len + 1);
    if (buffer == NULL) {
        return SP_JWT_NO_MEMORY;
    }

    status = sp_jwt_parse(&jwt, buffer, token->len + 1,
                          (const char *) token->data, token->len);
    if (status != SP_JWT_OK) {
        return status;
    }

    status = sp_jwt_verify(&jwt, (const sp_jwks_t *const *) jlcf->sets,
                           jlcf->keys->nelts);

    if (status == SP_JWT_OK) {
        status = sp_jwt_claims(&jwt, rules);
    }

    for (i = 0; status == SP_JWT_OK && i <= NGX_HTTP_SP_JWT_JTI; i++) {
        text.data = (u_char *) sp_json_string(jwt.claims,
                                              ngx_http_sp_jwt_names[i],
                                              &text.len);

        if (!ngx_http_sp_jwt_is_line(&text)) {
            status = SP_JWT_CLAIM_TYPE;
        }
    }

    if (status == SP_JWT_OK) {
        *entry = ngx_http_sp_jwt_pack(r->pool, &jwt);

        if (*entry == NULL) {
            status = SP_JWT_NO_MEMORY;
        }
    }

    sp_jwt_clear(&jwt);

    return status;
}


ngx_uint_t
ngx_http_sp_jwt_is_line(const ngx_str_t *text)
{
    size_t  i;

    for (i = 0; i < text->len; i++) {
        if (text->data[i] < 0x20) {
            return 0;
        }
    }

    return 1;
}


/*
 * "scope" is text, words with a space between (RFC 8693, 4.2); some issuers
 * have an array "scopes" in its place.  What is no word grants nothing.
 */

static ngx_int_t
ngx_http_sp_jwt_scope(ngx_pool_t *pool, const json_t *claims,
    ngx_str_t *scope)
{
    u_char        *p;
    size_t         i, size;
    const json_t  *list, *text, *word;

    ngx_str_null(scope);

    text = json_object_get(claims, "scope");

    if (json_is_string(text)) {
        scope->data = (u_char *) json_string_value(text);
        scope->len = json_string_length(text);

        if (!ngx_http_sp_jwt_is_line(scope)) {
            ngx_str_null(scope);
        }

        return NGX_OK;
    }

    list = json_object_get(claims, "scopes");
    size = 0;

    for (i = 0; i < json_array_size(list); i++) {
        word = json_array_get(list, i);
        size += ngx_http_sp_jwt_is_word(word) ? json_string_length(word) + 1
                                              : 0;
    }

    if (size == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    scope->data = p;

    for (i = 0; i < json_array_size(list); i++) {
        word = json_array_get(list, i);

        if (ngx_http_sp_jwt_is_word(word)) {
            p = ngx_cpymem(p, json_string_value(word),
                           json_string_length(word));
            *p++ = ' ';
        }
    }

    scope->len = size - 1;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_sp_jwt_is_word(const json_t *value)
{
    size_t       i;
    const char  *p;

    if (!json_is_string(value)) {
        return 0;
    }

    p = json_string_value(value);

    for (i = 0; i < json_string_length(value); i++) {
        if ((u_char) p[i] <= 0x20) {
            return 0;
        }
    }

    return i != 0;
}


static ngx_http_sp_jwt_entry_t *
ngx_http_sp_jwt_pack(ngx_pool_t *pool, const sp_jwt_t *jwt)
{
    u_char                   *p;
    size_t                    len[NGX_HTTP_SP_JWT_PARTS], size;
    ngx_str_t                 scope;
    ngx_uint_t                i;
    const char               *part[NGX_HTTP_SP_JWT_PARTS];
    ngx_http_sp_jwt_entry_t  *entry;

    for (i = 0; i <= NGX_HTTP_SP_JWT_JTI; i++) {
        part[i] = sp_json_string(jwt->claims, ngx_http_sp_jwt_names[i],
                                 &len[i]);
    }

    if (ngx_http_sp_jwt_scope(pool, jwt->claims, &scope) != NGX_OK) {
        return NULL;
    }

    part[NGX_HTTP_SP_JWT_SCOPE] = (char *) scope.data;
    len[NGX_HTTP_SP_JWT_SCOPE] = scope.len;
    part[NGX_HTTP_SP_JWT_HEADER] = jwt->header_text;
    len[NGX_HTTP_SP_JWT_HEADER] = jwt->header_len;
    part[NGX_HTTP_SP_JWT_CLAIMS] = jwt->payload;
    len[NGX_HTTP_SP_JWT_CLAIMS] = jwt->payload_len;

    /* each is a part of a token of at most 16 KiB, decoded once or twice */

    size = 0;

    for (i = 0; i < NGX_HTTP_SP_JWT_PARTS; i++) {
        size += len[i];
    }

    entry = ngx_palloc(pool, offsetof(ngx_http_sp_jwt_entry_t, data) + size);
    if (entry == NULL) {
        return NULL;
    }

    entry->expires = jwt->expires;
    entry->not_before = jwt->not_before;
    entry->issued_at = jwt->issued_at;
    entry->size = (uint16_t) size;

    p = entry->data;

    for (i = 0; i < NGX_HTTP_SP_JWT_PARTS; i++) {
        entry->len[i] = (uint16_t) len[i];

        if (len[i] != 0) {
            p = ngx_cpymem(p, part[i], len[i]);
        }
    }

    return entry;
}


ngx_str_t
ngx_http_sp_jwt_part(ngx_http_sp_jwt_entry_t *entry,
    ngx_http_sp_jwt_part_e part)
{
    ngx_str_t   value;
    ngx_uint_t  i;

    value.data = entry->data;

    for (i = 0; i < part; i++) {
        value.data += entry->len[i];
    }

    value.len = entry->len[part];

    return value;
}
