
/*
 * Copyright (C) Sallyport authors
 *
 * Limits in shared memory: a table of fixed size, eight entries to a bucket.
 * It holds what was last known of each limit, answers for Redis when that is
 * away, and is all there is where no Redis is configured.
 *
 * There is no lock, so a worker that is killed leaves none behind: an entry
 * is a key and a word, both changed by compare-and-swap.  The word is the tat
 * of a limit or, where the key is odd, the slice of a policy.  A full bucket
 * drops the entry that is free the earliest; nothing ever fails for lack of
 * space.
 *
 * An entry changes hands in three steps: its key becomes the mark of the
 * worker that takes it, its word is emptied, the new key is set if the mark is
 * still there.  The last bits of the word count how often it
 * was emptied, so a worker that was stopped between reading and writing it
 * finds another word there, whoever owns it now, unless it slept for exactly
 * 4096 owners.  Workers that race for an entry may let one more request pass,
 * never deny one.
 */

#include "ngx_http_sp_quota.h"

#include <openssl/rand.h>

#include "sp_siphash.h"


#define NGX_HTTP_SP_QUOTA_WAYS     8
#define NGX_HTTP_SP_QUOTA_VERSION  6

/* how often a word was emptied, modulo 4096 */
#define NGX_HTTP_SP_QUOTA_COUNT_BITS  12
#define NGX_HTTP_SP_QUOTA_COUNT                                               \
    ((1 << NGX_HTTP_SP_QUOTA_COUNT_BITS) - 1)

/* a key, unlike the mark of a worker and an entry that was never used */
#define NGX_HTTP_SP_QUOTA_KEY  (1ull << 63)


typedef struct {
    ngx_atomic_t                  key;
    ngx_atomic_t                  word;
} ngx_http_sp_quota_entry_t;


typedef struct {
    ngx_uint_t                    version;
    ngx_uint_t                    mask;      /* buckets, less one */
    u_char                        secret[SP_SIPHASH_KEY_LEN];
    ngx_http_sp_quota_entry_t    *entries;
} ngx_http_sp_quota_table_t;


static ngx_int_t ngx_http_sp_quota_zone_init(ngx_shm_zone_t *zone,
    void *data);
static ngx_uint_t ngx_http_sp_quota_limit_cell(ngx_http_sp_quota_cell_t *cell,
    ngx_shm_zone_t *zone, uint64_t hash,
    const ngx_http_sp_quota_limit_t *limit, ngx_uint_t create);
static ngx_uint_t ngx_http_sp_quota_lookup(ngx_http_sp_quota_cell_t *cell,
    const ngx_http_sp_quota_table_t *table, uint64_t key, ngx_uint_t create);
static ngx_uint_t ngx_http_sp_quota_take(ngx_http_sp_quota_entry_t *entry,
    uint64_t key);
static void ngx_http_sp_quota_cell(ngx_http_sp_quota_cell_t *cell,
    ngx_http_sp_quota_entry_t *entry, uint64_t key);
static uint64_t ngx_http_sp_quota_mix(uint64_t key);
static int64_t ngx_http_sp_quota_until(ngx_http_sp_quota_entry_t *entry);
static ngx_uint_t ngx_http_sp_quota_charge(ngx_http_sp_quota_cell_t *cell,
    const sp_gcra_limit_t *gcra, int64_t now, sp_gcra_result_t *result);
static void ngx_http_sp_quota_back(ngx_http_sp_quota_cell_t *cell, int64_t us);


/* monotonic and the same in all processes */

int64_t
ngx_http_sp_quota_now(void)
{
    return (int64_t) ngx_current_msec * 1000;
}


char *
ngx_http_sp_quota_zone_add(ngx_conf_t *cf,
    ngx_http_sp_quota_main_conf_t *qmcf)
{
    ngx_str_t  name;

    ngx_str_set(&name, "quota");

    qmcf->zone = ngx_shared_memory_add(cf, &name, qmcf->size,
                                       &ngx_http_sp_quota_module);
    if (qmcf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    qmcf->zone->init = ngx_http_sp_quota_zone_init;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_sp_quota_zone_init(ngx_shm_zone_t *zone, void *data)
{
    size_t                      size;
    ngx_uint_t                  n;
    ngx_slab_pool_t            *shpool;
    ngx_http_sp_quota_table_t  *table;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data != NULL || zone->shm.exists) {
        zone->data = (data != NULL) ? data : shpool->data;
        table = zone->data;

        if (table->version != NGX_HTTP_SP_QUOTA_VERSION) {
            ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                          "quota: the shared memory of the running server "
                          "has layout %ui, this module has %d: restart "
                          "instead of reload",
                          table->version, NGX_HTTP_SP_QUOTA_VERSION);
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    table = ngx_slab_calloc(shpool, sizeof(ngx_http_sp_quota_table_t));
    if (table == NULL) {
        return NGX_ERROR;
    }

    size = shpool->pfree * ngx_pagesize
           / (NGX_HTTP_SP_QUOTA_WAYS * sizeof(ngx_http_sp_quota_entry_t));

    for (n = 1; n * 2 <= size; n *= 2) { /* void */ }

    table->entries = ngx_slab_calloc(shpool, n * NGX_HTTP_SP_QUOTA_WAYS
                                         * sizeof(ngx_http_sp_quota_entry_t));
    if (table->entries == NULL) {
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


uint64_t
ngx_http_sp_quota_hash(ngx_shm_zone_t *zone, const ngx_str_t *scope,
    const ngx_str_t *subject)
{
    uint64_t                    a[2], b[2];
    ngx_http_sp_quota_table_t  *table;

    table = zone->data;

    sp_siphash((uint8_t *) a, table->secret, subject->data, subject->len);
    sp_siphash((uint8_t *) b, table->secret, scope->data, scope->len);

    /* of different halves: a subject and a scope that are equal differ */

    return a[0] ^ b[1];
}


int64_t
ngx_http_sp_quota_ahead(ngx_shm_zone_t *zone, uint64_t hash,
    const ngx_http_sp_quota_limit_t *limit, int64_t now)
{
    int64_t                   tat;
    ngx_http_sp_quota_cell_t  cell;

    if (!ngx_http_sp_quota_limit_cell(&cell, zone, hash, limit, 0)) {
        return 0;
    }

    tat = (int64_t) ngx_http_sp_quota_read(&cell);

    return (tat > now) ? tat - now : 0;
}


void
ngx_http_sp_quota_remember(ngx_shm_zone_t *zone, uint64_t hash,
    const ngx_http_sp_quota_limit_t *limit, int64_t tat, int64_t now)
{
    ngx_http_sp_quota_cell_t  cell;

    if (tat <= now) {
        return;
    }

    (void) ngx_http_sp_quota_limit_cell(&cell, zone, hash, limit, 1);

    do {
        if ((int64_t) ngx_http_sp_quota_read(&cell) >= tat) {
            return;
        }

    } while (!ngx_http_sp_quota_write(&cell, (uint64_t) tat));
}


void
ngx_http_sp_quota_forget(ngx_shm_zone_t *zone, uint64_t hash,
    const ngx_http_sp_quota_limit_t *limit, int64_t us)
{
    ngx_http_sp_quota_cell_t  cell;

    if (ngx_http_sp_quota_limit_cell(&cell, zone, hash, limit, 0)) {
        ngx_http_sp_quota_back(&cell, us);
    }
}


ngx_uint_t
ngx_http_sp_quota_local(ngx_shm_zone_t *zone, ngx_http_sp_quota_ctx_t *ctx)
{
    int64_t                      now, tats[NGX_HTTP_SP_QUOTA_LIMITS];
    ngx_uint_t                   i, n;
    ngx_http_sp_quota_cell_t     cells[NGX_HTTP_SP_QUOTA_LIMITS];
    ngx_http_sp_quota_policy_t  *policy;

    policy = ctx->policy;
    n = policy->nlimits;
    now = ngx_http_sp_quota_now();

    /* an entry is charged before the next is made, which may take its place */

    for (i = 0; i < n; i++) {
        (void) ngx_http_sp_quota_limit_cell(&cells[i], zone, ctx->hash,
                                            &policy->limits[i], 1);

        if (!ngx_http_sp_quota_charge(&cells[i], &policy->gcra[i], now,
                                      &ctx->results[i]))
        {
            break;
        }
    }

    if (i == n) {
        return 1;
    }

    /* all or nothing: give back what the limits before this one took */

    while (i-- > 0) {
        ngx_http_sp_quota_back(&cells[i], policy->gcra[i].interval);
    }

    for (i = 0; i < n; i++) {
        tats[i] = now + ngx_http_sp_quota_ahead(zone, ctx->hash,
                                                &policy->limits[i], now);
    }

    (void) sp_gcra_all(policy->gcra, tats, n, now, 1, ctx->results);

    return 0;
}


static ngx_uint_t
ngx_http_sp_quota_charge(ngx_http_sp_quota_cell_t *cell,
    const sp_gcra_limit_t *gcra, int64_t now, sp_gcra_result_t *result)
{
    do {
        sp_gcra(gcra, (int64_t) ngx_http_sp_quota_read(cell), now, 1, result);

        if (!result->allowed) {
            return 0;
        }

    } while (!ngx_http_sp_quota_write(cell, (uint64_t) result->tat));

    return 1;
}


static void
ngx_http_sp_quota_back(ngx_http_sp_quota_cell_t *cell, int64_t us)
{
    int64_t  tat;

    do {
        tat = (int64_t) ngx_http_sp_quota_read(cell);

        if (tat <= us) {
            return;
        }

    } while (!ngx_http_sp_quota_write(cell, (uint64_t) (tat - us)));
}


/* of a limit: an even key */

static ngx_uint_t
ngx_http_sp_quota_limit_cell(ngx_http_sp_quota_cell_t *cell,
    ngx_shm_zone_t *zone, uint64_t hash,
    const ngx_http_sp_quota_limit_t *limit, ngx_uint_t create)
{
    uint64_t  key;

    key = ngx_http_sp_quota_mix(hash ^ (uint64_t) limit->window) & ~1ull;

    return ngx_http_sp_quota_lookup(cell, zone->data, key, create);
}


/* of a slice: an odd key */

ngx_uint_t
ngx_http_sp_quota_slice_cell(ngx_http_sp_quota_cell_t *cell,
    const ngx_http_sp_quota_ctx_t *ctx, ngx_uint_t create)
{
    uint64_t  key;

    key = ngx_http_sp_quota_mix(ctx->hash ^ ctx->policy->id) | 1;

    return ngx_http_sp_quota_lookup(cell, ctx->zone->data, key, create);
}


static uint64_t
ngx_http_sp_quota_mix(uint64_t key)
{
    key *= 0x9e3779b97f4a7c15ull;

    return (key ^ key >> 32) | NGX_HTTP_SP_QUOTA_KEY;
}


/* never 0 with "create" */

static ngx_uint_t
ngx_http_sp_quota_lookup(ngx_http_sp_quota_cell_t *cell,
    const ngx_http_sp_quota_table_t *table, uint64_t key, ngx_uint_t create)
{
    ngx_uint_t                  i;
    ngx_http_sp_quota_entry_t  *bucket, *entry;

    bucket = &table->entries[(key >> 1 & table->mask)
                             * NGX_HTTP_SP_QUOTA_WAYS];

    for ( ;; ) {
        entry = &bucket[0];

        for (i = 0; i < NGX_HTTP_SP_QUOTA_WAYS; i++) {

            if (bucket[i].key == key) {
                ngx_http_sp_quota_cell(cell, &bucket[i], key);
                return 1;
            }

            if (ngx_http_sp_quota_until(&bucket[i])
                < ngx_http_sp_quota_until(entry))
            {
                entry = &bucket[i];
            }
        }

        if (!create) {
            return 0;
        }

        if (ngx_http_sp_quota_take(entry, key)) {
            ngx_http_sp_quota_cell(cell, entry, key);
            return 1;
        }
    }
}


/* 0: another worker was faster */

static ngx_uint_t
ngx_http_sp_quota_take(ngx_http_sp_quota_entry_t *entry, uint64_t key)
{
    ngx_atomic_uint_t  mark, old, word;

    old = entry->key;
    mark = (ngx_atomic_uint_t) ngx_pid;

    if (!ngx_atomic_cmp_set(&entry->key, old, mark)) {
        return 0;
    }

    do {
        word = entry->word;
    } while (!ngx_atomic_cmp_set(&entry->word, word,
                                 (word + 1) & NGX_HTTP_SP_QUOTA_COUNT));

    return ngx_atomic_cmp_set(&entry->key, mark, key);
}


static void
ngx_http_sp_quota_cell(ngx_http_sp_quota_cell_t *cell,
    ngx_http_sp_quota_entry_t *entry, uint64_t key)
{
    cell->owner = &entry->key;
    cell->word = &entry->word;
    cell->key = key;
    cell->old = 0;
}


uint64_t
ngx_http_sp_quota_read(ngx_http_sp_quota_cell_t *cell)
{
    /* the owner is read after it: if that is us, the word was ours, too */

    cell->old = __atomic_load_n(cell->word, __ATOMIC_ACQUIRE);

    return (*cell->owner == cell->key)
           ? cell->old >> NGX_HTTP_SP_QUOTA_COUNT_BITS : 0;
}


/* what is for an entry that is gone is dropped, as if it had been written */

ngx_uint_t
ngx_http_sp_quota_write(ngx_http_sp_quota_cell_t *cell, uint64_t value)
{
    if (*cell->owner != cell->key) {
        return 1;
    }

    return ngx_atomic_cmp_set(cell->word, cell->old,
                              value << NGX_HTTP_SP_QUOTA_COUNT_BITS
                              | (cell->old & NGX_HTTP_SP_QUOTA_COUNT));
}


/* the time at which an entry says nothing any more, in microseconds */

static int64_t
ngx_http_sp_quota_until(ngx_http_sp_quota_entry_t *entry)
{
    uint64_t                  key, value;
    ngx_http_sp_quota_cell_t  cell;

    key = entry->key;

    if (!(key & NGX_HTTP_SP_QUOTA_KEY)) {
        return 0;
    }

    ngx_http_sp_quota_cell(&cell, entry, key);
    value = ngx_http_sp_quota_read(&cell);

    return (key & 1) ? ngx_http_sp_quota_slice_until(value) : (int64_t) value;
}
