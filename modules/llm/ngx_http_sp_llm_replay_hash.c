
/*
 * Copyright (C) Sallyport authors
 *
 * SHA-256 of parts, each behind its length: no two lists of parts are the same
 * bytes.
 */


#include "ngx_http_sp_llm_replay.h"


static void ngx_http_sp_llm_hash_bytes(ngx_http_sp_llm_hash_t *hash,
    const void *data, size_t len);


void
ngx_http_sp_llm_hash_begin(ngx_http_sp_llm_hash_t *hash)
{
    hash->md = EVP_MD_CTX_new();

    hash->ok = (hash->md != NULL)
               && EVP_DigestInit_ex(hash->md, EVP_sha256(), NULL) == 1;
}


void
ngx_http_sp_llm_hash_add(ngx_http_sp_llm_hash_t *hash, const ngx_str_t *part)
{
    ngx_http_sp_llm_hash_number(hash, part->len);
    ngx_http_sp_llm_hash_bytes(hash, part->data, part->len);
}


void
ngx_http_sp_llm_hash_word(ngx_http_sp_llm_hash_t *hash, const char *word)
{
    ngx_str_t  part;

    part.data = (u_char *) word;
    part.len = (word != NULL) ? ngx_strlen(word) : 0;

    ngx_http_sp_llm_hash_add(hash, &part);
}


void
ngx_http_sp_llm_hash_number(ngx_http_sp_llm_hash_t *hash, uint64_t number)
{
    ngx_http_sp_llm_hash_bytes(hash, &number, sizeof(uint64_t));
}


static void
ngx_http_sp_llm_hash_bytes(ngx_http_sp_llm_hash_t *hash, const void *data,
    size_t len)
{
    hash->ok = hash->ok && EVP_DigestUpdate(hash->md, data, len) == 1;
}


ngx_int_t
ngx_http_sp_llm_hash_end(ngx_http_sp_llm_hash_t *hash, u_char *out)
{
    hash->ok = hash->ok && EVP_DigestFinal_ex(hash->md, out, NULL) == 1;

    EVP_MD_CTX_free(hash->md);

    return hash->ok ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_sp_llm_replay_hash(const ngx_str_t *parts, ngx_uint_t n, u_char *out)
{
    ngx_uint_t              i;
    ngx_http_sp_llm_hash_t  hash;

    ngx_http_sp_llm_hash_begin(&hash);

    for (i = 0; i < n; i++) {
        ngx_http_sp_llm_hash_add(&hash, &parts[i]);
    }

    return ngx_http_sp_llm_hash_end(&hash, out);
}
