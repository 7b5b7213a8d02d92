
/*
 * Copyright (C) Sallyport authors
 *
 * The embeddings of texts that were asked for lately.
 */


#include "ngx_http_sp_memory.h"


typedef struct {
    ngx_str_t                 text;        /* data NULL: empty */
    ngx_str_t                 vector;      /* in the same allocation */
} ngx_http_sp_memory_entry_t;


typedef struct {
    ngx_uint_t                    nentries;
    ngx_http_sp_memory_entry_t   *entries;
} ngx_http_sp_memory_cache_t;


static ngx_http_sp_memory_entry_t *ngx_http_sp_memory_cache_find(
    const ngx_str_t *text);


/*
 * Of this worker.  One model per configuration, so the text is the key; an
 * entry is replaced by the next text that falls on it.
 */
static ngx_http_sp_memory_cache_t  ngx_http_sp_memory_cache;


ngx_int_t
ngx_http_sp_memory_cache_get(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_str_t *vector)
{
    ngx_http_sp_memory_entry_t  *entry;

    entry = ngx_http_sp_memory_cache_find(text);

    if (entry == NULL || entry->text.data == NULL
        || entry->text.len != text->len
        || ngx_memcmp(entry->text.data, text->data, text->len) != 0)
    {
        return NGX_DECLINED;
    }

    /* the entry may be replaced while the request waits */

    vector->data = ngx_pstrdup(pool, &entry->vector);
    if (vector->data == NULL) {
        return NGX_ERROR;
    }

    vector->len = entry->vector.len;

    return NGX_OK;
}


void
ngx_http_sp_memory_cache_put(const ngx_str_t *text, const ngx_str_t *vector)
{
    u_char                      *data;
    ngx_http_sp_memory_entry_t  *entry;

    entry = ngx_http_sp_memory_cache_find(text);
    if (entry == NULL) {
        return;
    }

    data = ngx_alloc(text->len + vector->len, ngx_cycle->log);
    if (data == NULL) {
        return;
    }

    if (entry->text.data != NULL) {
        ngx_free(entry->text.data);
    }

    entry->text.data = data;
    entry->text.len = text->len;
    entry->vector.data = ngx_cpymem(data, text->data, text->len);
    entry->vector.len = vector->len;

    ngx_memcpy(entry->vector.data, vector->data, vector->len);
}


static ngx_http_sp_memory_entry_t *
ngx_http_sp_memory_cache_find(const ngx_str_t *text)
{
    uint32_t                     key;
    ngx_http_sp_memory_cache_t  *cache;

    cache = &ngx_http_sp_memory_cache;

    if (cache->nentries == 0) {
        return NULL;
    }

    key = ngx_murmur_hash2(text->data, text->len);

    return &cache->entries[key % cache->nentries];
}


ngx_int_t
ngx_http_sp_memory_cache_init(ngx_uint_t entries)
{
    ngx_http_sp_memory_cache_t  *cache;

    cache = &ngx_http_sp_memory_cache;

    if (entries == 0) {
        return NGX_OK;
    }

    cache->entries = ngx_calloc(entries * sizeof(ngx_http_sp_memory_entry_t),
                                ngx_cycle->log);
    if (cache->entries == NULL) {
        return NGX_ERROR;
    }

    cache->nentries = entries;

    return NGX_OK;
}


void
ngx_http_sp_memory_cache_exit(void)
{
    ngx_uint_t                   i;
    ngx_http_sp_memory_cache_t  *cache;

    cache = &ngx_http_sp_memory_cache;

    for (i = 0; i < cache->nentries; i++) {
        if (cache->entries[i].text.data != NULL) {
            ngx_free(cache->entries[i].text.data);
        }
    }

    if (cache->entries != NULL) {
        ngx_free(cache->entries);
    }

    ngx_memzero(cache, sizeof(ngx_http_sp_memory_cache_t));
}
