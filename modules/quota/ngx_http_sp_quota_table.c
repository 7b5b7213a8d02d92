
/*
 * Copyright (C) Sallyport authors
 *
 * The table in shared memory: one entry for each client, with what this
 * machine knows of it.  It has a fixed size, eight entries to a bucket, under
 * the lock of the zone; a full bucket drops the entry that says nothing any
 * more the earliest, and nothing ever fails for lack of space.
 *
 * NGINX frees the lock of a worker that was killed.  That worker may have
 * been in the middle of a change, so nothing here is linked: whatever it left
 * behind is an entry with some numbers, of one client.
 */

#include "ngx_http_sp_quota.h"

#include <openssl/rand.h>

#include "sp_siphash.h"


#define NGX_HTTP_SP_QUOTA_WAYS     8
#define NGX_HTTP_SP_QUOTA_VERSION  8


typedef struct {
    uint64_t                      keys[NGX_HTTP_SP_QUOTA_WAYS];   /* 0: none */
    ngx_http_sp_quota_entry_t     entries[NGX_HTTP_SP_QUOTA_WAYS];
} ngx_http_sp_quota_bucket_t;


typedef struct {
    ngx_uint_t                    version;
    ngx_uint_t                    mask;      /* buckets, less one */
    u_char                        secret[SP_SIPHASH_KEY_LEN];
    ngx_http_sp_quota_bucket_t   *buckets;
} ngx_http_sp_quota_table_t;


static ngx_int_t ngx_http_sp_quota_table_init(ngx_shm_zone_t *zone,
    void *data);
static ngx_int_t ngx_http_sp_quota_table_again(ngx_shm_zone_t *zone);
static ngx_http_sp_quota_entry_t *ngx_http_sp_quota_take_place(
    ngx_http_sp_quota_bucket_t *bucket, uint64_t hash);


char *
ngx_http_sp_quota_table_add(ngx_conf_t *cf,
    ngx_http_sp_quota_main_conf_t *qmcf)
{
    ngx_str_t  name;

    ngx_str_set(&name, "quota");

    qmcf->zone = ngx_shared_memory_add(cf, &name, qmcf->size,
                                       &ngx_http_sp_quota_module);
    if (qmcf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    qmcf->zone->init = ngx_http_sp_quota_table_init;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_sp_quota_table_init(ngx_shm_zone_t *zone, void *data)
{
    size_t                      size;
    ngx_uint_t                  n;
    ngx_slab_pool_t            *shpool;
    ngx_http_sp_quota_table_t  *table;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data != NULL || zone->shm.exists) {
        zone->data = (data != NULL) ? data : shpool->data;

        return ngx_http_sp_quota_table_again(zone);
    }

    table = ngx_slab_calloc(shpool, sizeof(ngx_http_sp_quota_table_t));
    if (table == NULL) {
        return NGX_ERROR;
    }

    size = shpool->pfree * ngx_pagesize / sizeof(ngx_http_sp_quota_bucket_t);

    for (n = 1; n * 2 <= size; n *= 2) { /* void */ }

    table->buckets = ngx_slab_calloc(shpool, n
                                         * sizeof(ngx_http_sp_quota_bucket_t));
    if (table->buckets == NULL) {
        return NGX_ERROR;
    }

    if (RAND_bytes(table->secret, sizeof(table->secret)) != 1) {
        return NGX_ERROR;
    }

    table->version = NGX_HTTP_SP_QUOTA_VERSION;
    table->mask = n - 1;

    shpool->data = table;
    zone->data = table;

    return NGX_OK;
}


/* the table of the running server */

static ngx_int_t
ngx_http_sp_quota_table_again(ngx_shm_zone_t *zone)
{
    ngx_http_sp_quota_table_t  *table;

    table = zone->data;

    if (table->version == NGX_HTTP_SP_QUOTA_VERSION) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                  "quota: the shared memory of the running server has layout "
                  "%ui, this module has %d: restart instead of reload",
                  table->version, NGX_HTTP_SP_QUOTA_VERSION);

    return NGX_ERROR;
}


uint64_t
ngx_http_sp_quota_hash(ngx_shm_zone_t *zone, const ngx_str_t *scope,
    const ngx_str_t *subject)
{
    uint64_t                    a[2], b[2], hash;
    ngx_http_sp_quota_table_t  *table;

    table = zone->data;

    sp_siphash((uint8_t *) a, table->secret, subject->data, subject->len);
    sp_siphash((uint8_t *) b, table->secret, scope->data, scope->len);

    /* of different halves: a subject and a scope that are equal differ */

    hash = a[0] ^ b[1];

    return (hash != 0) ? hash : 1;
}


ngx_http_sp_quota_entry_t *
ngx_http_sp_quota_lock(ngx_shm_zone_t *zone, uint64_t hash, ngx_uint_t create)
{
    ngx_uint_t                   i;
    ngx_slab_pool_t             *shpool;
    ngx_http_sp_quota_table_t   *table;
    ngx_http_sp_quota_bucket_t  *bucket;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;
    table = zone->data;

    bucket = &table->buckets[hash & table->mask];

    ngx_shmtx_lock(&shpool->mutex);

    for (i = 0; i < NGX_HTTP_SP_QUOTA_WAYS; i++) {
        if (bucket->keys[i] == hash) {
            return &bucket->entries[i];
        }
    }

    return create ? ngx_http_sp_quota_take_place(bucket, hash) : NULL;
}


void
ngx_http_sp_quota_unlock(ngx_shm_zone_t *zone)
{
    ngx_slab_pool_t  *shpool;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    ngx_shmtx_unlock(&shpool->mutex);
}


static ngx_http_sp_quota_entry_t *
ngx_http_sp_quota_take_place(ngx_http_sp_quota_bucket_t *bucket,
    uint64_t hash)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 1; i < NGX_HTTP_SP_QUOTA_WAYS; i++) {
        if (bucket->entries[i].until < bucket->entries[n].until) {
            n = i;
        }
    }

    /* a worker that is killed here leaves no numbers of another client */

    bucket->keys[n] = 0;
    ngx_memory_barrier();

    ngx_memzero(&bucket->entries[n], sizeof(ngx_http_sp_quota_entry_t));
    ngx_memory_barrier();

    bucket->keys[n] = hash;

    return &bucket->entries[n];
}


int64_t *
ngx_http_sp_quota_tat(ngx_http_sp_quota_entry_t *entry,
    const ngx_http_sp_quota_limit_t *limit)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < NGX_HTTP_SP_QUOTA_LIMITS; i++) {

        if (entry->ids[i] == limit->id) {
            return &entry->tats[i];
        }

        if (entry->tats[i] < entry->tats[n]) {
            n = i;
        }
    }

    /* of another policy that the client had: the one that is free first */

    entry->tats[n] = 0;
    entry->ids[n] = limit->id;

    return &entry->tats[n];
}
