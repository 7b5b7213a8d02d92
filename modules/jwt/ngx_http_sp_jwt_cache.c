
/*
 * Copyright (C) Sallyport authors
 *
 * A set-associative table in shared memory: WAYS slots of SLOT bytes for each
 * value of the hash.  No list, no tree, no allocation after start; a slot is
 * found by looking at WAYS keys.
 */

#include "ngx_http_sp_jwt.h"

#include <openssl/rand.h>


#define NGX_HTTP_SP_JWT_LAYOUT  1        /* raise when a struct changes */
#define NGX_HTTP_SP_JWT_WAYS    4
#define NGX_HTTP_SP_JWT_SLOT    2048
#define NGX_HTTP_SP_JWT_SET     (NGX_HTTP_SP_JWT_WAYS * NGX_HTTP_SP_JWT_SLOT)


typedef struct {
    /*
     * all zero: empty.  Written last, so that a worker killed half way leaves
     * an empty slot
     */
    u_char                     key[SP_SIPHASH_LEN];
    time_t                     used;
    ngx_http_sp_jwt_entry_t    entry;
} ngx_http_sp_jwt_slot_t;


struct ngx_http_sp_jwt_cache_s {
    ngx_uint_t                 layout;
    ngx_uint_t                 sets;
    u_char                     secret[SP_SIPHASH_KEY_LEN];
    ngx_slab_pool_t           *shpool;
    u_char                    *slots;
};


#define ngx_http_sp_jwt_data_max                                             \
    (NGX_HTTP_SP_JWT_SLOT - offsetof(ngx_http_sp_jwt_slot_t, entry)          \
     - offsetof(ngx_http_sp_jwt_entry_t, data))


static ngx_http_sp_jwt_slot_t *ngx_http_sp_jwt_cache_slot(
    ngx_http_sp_jwt_cache_t *cache, const u_char *key, ngx_uint_t way);


static const u_char  ngx_http_sp_jwt_empty[SP_SIPHASH_LEN];


ngx_int_t
ngx_http_sp_jwt_cache_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_uint_t                sets;
    ngx_slab_pool_t          *shpool;
    ngx_http_sp_jwt_cache_t  *cache;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data != NULL || zone->shm.exists) {
        cache = data != NULL ? data : shpool->data;

        if (cache->layout != NGX_HTTP_SP_JWT_LAYOUT) {
            ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                          "auth_jwt_token_cache: shared memory has layout %ui,"
                          " this module needs %d: restart instead of reload",
                          cache->layout, NGX_HTTP_SP_JWT_LAYOUT);
            return NGX_ERROR;
        }

        zone->data = cache;
        return NGX_OK;
    }

    cache = ngx_slab_calloc(shpool, sizeof(ngx_http_sp_jwt_cache_t));
    if (cache == NULL) {
        return NGX_ERROR;
    }

    /* the slab's own pages take a part of the zone: try with less and less */

    shpool->log_nomem = 0;

    for (sets = zone->shm.size / NGX_HTTP_SP_JWT_SET; sets != 0; sets--) {

        /* not zeroed: fresh shared memory is, and untouched pages are free */

        cache->slots = ngx_slab_alloc(shpool, sets * NGX_HTTP_SP_JWT_SET);
        if (cache->slots != NULL) {
            break;
        }
    }

    if (sets == 0 || RAND_bytes(cache->secret, sizeof(cache->secret)) != 1) {
        return NGX_ERROR;
    }

    cache->layout = NGX_HTTP_SP_JWT_LAYOUT;
    cache->sets = sets;
    cache->shpool = shpool;

    shpool->data = cache;
    zone->data = cache;

    return NGX_OK;
}


void
ngx_http_sp_jwt_cache_key(ngx_http_sp_jwt_cache_t *cache, u_char *key,
    const u_char *policy, const ngx_str_t *token)
{
    ngx_uint_t  i;
    u_char      secret[SP_SIPHASH_KEY_LEN];

    /* the policy makes the key of its own tokens */

    for (i = 0; i < sizeof(secret); i++) {
        secret[i] = cache->secret[i] ^ policy[i];
    }

    sp_siphash(key, secret, token->data, token->len);
}


ngx_int_t
ngx_http_sp_jwt_cache_get(ngx_http_sp_jwt_cache_t *cache, const u_char *key,
    ngx_pool_t *pool, ngx_http_sp_jwt_entry_t **entry)
{
    size_t                     size;
    ngx_uint_t                 way;
    ngx_http_sp_jwt_slot_t    *slot;

    u_char                     copy[NGX_HTTP_SP_JWT_SLOT];

    size = 0;

    ngx_shmtx_lock(&cache->shpool->mutex);

    for (way = 0; way < NGX_HTTP_SP_JWT_WAYS; way++) {
        slot = ngx_http_sp_jwt_cache_slot(cache, key, way);

        if (ngx_memcmp(slot->key, key, SP_SIPHASH_LEN) == 0) {
            slot->used = ngx_time();
            size = offsetof(ngx_http_sp_jwt_entry_t, data) + slot->entry.size;
            ngx_memcpy(copy, &slot->entry, size);
            break;
        }
    }

    ngx_shmtx_unlock(&cache->shpool->mutex);

    if (size == 0) {
        return NGX_DECLINED;
    }

    *entry = ngx_palloc(pool, size);
    if (*entry == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(*entry, copy, size);

    return NGX_OK;
}


void
ngx_http_sp_jwt_cache_put(ngx_http_sp_jwt_cache_t *cache, const u_char *key,
    const ngx_http_sp_jwt_entry_t *entry)
{
    time_t                   now;
    ngx_uint_t               way;
    ngx_http_sp_jwt_slot_t  *slot, *victim;

    if (entry->size > ngx_http_sp_jwt_data_max
        || ngx_memcmp(key, ngx_http_sp_jwt_empty, SP_SIPHASH_LEN) == 0)
    {
        return;
    }

    now = ngx_time();
    victim = NULL;

    ngx_shmtx_lock(&cache->shpool->mutex);

    for (way = 0; way < NGX_HTTP_SP_JWT_WAYS; way++) {
        slot = ngx_http_sp_jwt_cache_slot(cache, key, way);

        /* another worker was first; or empty; or of no use any more */

        if (ngx_memcmp(slot->key, key, SP_SIPHASH_LEN) == 0
            || ngx_memcmp(slot->key, ngx_http_sp_jwt_empty, SP_SIPHASH_LEN)
               == 0
            || slot->entry.expires <= now)
        {
            victim = slot;
            break;
        }

        if (victim == NULL || slot->used < victim->used) {
            victim = slot;
        }
    }

    ngx_memzero(victim->key, SP_SIPHASH_LEN);
    ngx_memory_barrier();

    victim->used = now;
    ngx_memcpy(&victim->entry, entry,
               offsetof(ngx_http_sp_jwt_entry_t, data) + entry->size);

    ngx_memory_barrier();
    ngx_memcpy(victim->key, key, SP_SIPHASH_LEN);

    ngx_shmtx_unlock(&cache->shpool->mutex);
}


static ngx_http_sp_jwt_slot_t *
ngx_http_sp_jwt_cache_slot(ngx_http_sp_jwt_cache_t *cache, const u_char *key,
    ngx_uint_t way)
{
    uint64_t  hash;

    ngx_memcpy(&hash, key, sizeof(hash));

    return (ngx_http_sp_jwt_slot_t *)
               (cache->slots
                + (hash % cache->sets) * NGX_HTTP_SP_JWT_SET
                + way * NGX_HTTP_SP_JWT_SLOT);
}
