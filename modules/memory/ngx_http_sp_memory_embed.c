
/*
 * Copyright (C) Sallyport authors
 */

#include "ngx_http_sp_memory.h"


/* what halfvec takes in a row of one page */
#define NGX_HTTP_SP_MEMORY_DIMENSIONS  3900


typedef struct {
    ngx_str_t                 text;        /* data NULL: empty */
    ngx_str_t                 vector;      /* in the same allocation */
} ngx_http_sp_memory_entry_t;


typedef struct {
    ngx_uint_t                    nentries;
    ngx_http_sp_memory_entry_t   *entries;
} ngx_http_sp_memory_cache_t;


static json_t *ngx_http_sp_memory_embed_body(
    const ngx_http_sp_memory_api_t *api, const ngx_str_t *texts,
    ngx_uint_t n);
static ngx_int_t ngx_http_sp_memory_embed_parse(ngx_pool_t *pool,
    const ngx_http_sp_memory_api_t *api, const json_t *root,
    ngx_str_t *vectors, ngx_uint_t n);
static ngx_uint_t ngx_http_sp_memory_is_vector(const json_t *value,
    ngx_uint_t dimensions);
static ngx_http_sp_memory_entry_t *ngx_http_sp_memory_cache_find(
    const ngx_str_t *text);


/*
 * Of this worker.  One model per configuration, so the text is the key; an
 * entry is replaced by the next text that falls on it.
 */
static ngx_http_sp_memory_cache_t  ngx_http_sp_memory_cache;


ngx_int_t
ngx_http_sp_memory_embed_request(ngx_pool_t *pool,
    const ngx_http_sp_memory_api_t *api, const ngx_str_t *texts,
    ngx_uint_t n, ngx_sp_fetch_op_t *fetch)
{
    json_t  *body;

    body = ngx_http_sp_memory_embed_body(api, texts, n);
    if (body == NULL) {
        return NGX_ERROR;
    }

    /* a number takes up to 24 bytes of text */

    fetch->max_body = 4096 + n * NGX_HTTP_SP_MEMORY_DIMENSIONS * 24;

    return ngx_http_sp_memory_request(pool, api, body, fetch);
}


static json_t *
ngx_http_sp_memory_embed_body(const ngx_http_sp_memory_api_t *api,
    const ngx_str_t *texts, ngx_uint_t n)
{
    json_t      *body, *input;
    ngx_uint_t   i;

    input = json_array();

    body = json_pack("{s:s%, s:o, s:s}", "model", api->model.data,
                     api->model.len, "input", input, "encoding_format",
                     "float");
    if (body == NULL) {
        return NULL;
    }

    for (i = 0; i < n; i++) {

        if (json_array_append_new(input,
                                  json_stringn((char *) texts[i].data,
                                               texts[i].len))
            != 0)
        {
            json_decref(body);
            return NULL;
        }
    }

    if (api->dimensions != 0
        && json_object_set_new(body, "dimensions",
                               json_integer(api->dimensions))
           != 0)
    {
        json_decref(body);
        return NULL;
    }

    return body;
}


ngx_int_t
ngx_http_sp_memory_embed_response(ngx_pool_t *pool,
    const ngx_http_sp_memory_api_t *api, const ngx_sp_fetch_op_t *fetch,
    ngx_str_t *vectors, ngx_uint_t n)
{
    json_t     *root;
    ngx_int_t   rc;

    if (fetch->status != NGX_HTTP_OK) {
        return NGX_DECLINED;
    }

    if (sp_json_parse((char *) fetch->response.data, fetch->response.len,
                      NULL, &root, NULL)
        != SP_JSON_OK)
    {
        return NGX_DECLINED;
    }

    rc = ngx_http_sp_memory_embed_parse(pool, api, root, vectors, n);

    json_decref(root);

    return rc;
}


static ngx_int_t
ngx_http_sp_memory_embed_parse(ngx_pool_t *pool,
    const ngx_http_sp_memory_api_t *api, const json_t *root,
    ngx_str_t *vectors, ngx_uint_t n)
{
    json_t      *data, *item, *vector;
    json_int_t   index;
    ngx_uint_t   i;

    data = json_object_get(root, "data");

    if (!json_is_array(data) || json_array_size(data) != n) {
        return NGX_DECLINED;
    }

    for (i = 0; i < n; i++) {
        ngx_str_null(&vectors[i]);
    }

    for (i = 0; i < n; i++) {
        item = json_array_get(data, i);
        vector = json_object_get(item, "embedding");

        /* without an index: in order */

        index = json_is_integer(json_object_get(item, "index"))
                ? json_integer_value(json_object_get(item, "index"))
                : (json_int_t) i;

        if (index < 0 || index >= (json_int_t) n
            || vectors[index].data != NULL
            || !ngx_http_sp_memory_is_vector(vector, api->dimensions))
        {
            return NGX_DECLINED;
        }

        vectors[index] = ngx_http_sp_memory_dump(pool, vector);

        if (vectors[index].data == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_sp_memory_is_vector(const json_t *value, ngx_uint_t dimensions)
{
    size_t  i, n;

    n = json_array_size(value);

    if (n == 0 || n > NGX_HTTP_SP_MEMORY_DIMENSIONS
        || (dimensions != 0 && n != dimensions))
    {
        return 0;
    }

    for (i = 0; i < n; i++) {
        if (!json_is_number(json_array_get(value, i))) {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
ngx_http_sp_memory_request(ngx_pool_t *pool,
    const ngx_http_sp_memory_api_t *api, json_t *body,
    ngx_sp_fetch_op_t *fetch)
{
    fetch->body = ngx_http_sp_memory_dump(pool, body);

    json_decref(body);

    if (fetch->body.data == NULL) {
        return NGX_ERROR;
    }

    ngx_http_sp_memory_address(api, fetch);

    return NGX_OK;
}


void
ngx_http_sp_memory_address(const ngx_http_sp_memory_api_t *api,
    ngx_sp_fetch_op_t *fetch)
{
    fetch->url = api->url;
    fetch->headers = api->headers;
    fetch->nheaders = api->nheaders;
}


ngx_str_t
ngx_http_sp_memory_dump(ngx_pool_t *pool, const json_t *value)
{
    size_t     flags;
    ngx_str_t  text;

    ngx_str_null(&text);

    /* six digits are more than a halfvec holds */

    flags = JSON_COMPACT|JSON_REAL_PRECISION(6);

    text.len = json_dumpb(value, NULL, 0, flags);
    if (text.len == 0) {
        return text;
    }

    text.data = ngx_pnalloc(pool, text.len);

    if (text.data == NULL) {
        text.len = 0;
        return text;
    }

    json_dumpb(value, (char *) text.data, text.len, flags);

    return text;
}


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
