
/*
 * Copyright (C) Sallyport authors
 *
 * How providers' keys and targets have done lately, in memory that workers
 * share and a reload finds again by name: of a key by what it is, so that
 * another one in its file begins anew.
 *
 * NGINX frees the lock of a worker that was killed.  What that worker may
 * have left half written is numbers, which sp_breaker believes as far as they
 * can be right; a probe that it had taken is over with its lease.
 */


#include "ngx_http_sp_core_int.h"

#include <openssl/rand.h>

#include "sp_breaker.h"
#include "sp_siphash.h"


#define NGX_HTTP_SP_BREAKER_LAYOUT  1

/* so many more than there are: those of the configuration before */
#define NGX_HTTP_SP_BREAKER_SPARE   64

#define NGX_HTTP_SP_BREAKER_ZONE    "llm_providers"

/* what the slab allocator needs beside the slots */
#define NGX_HTTP_SP_BREAKER_SLAB    (8 * ngx_pagesize)

/* the first cool-down of a limit that comes without a time */
#define NGX_HTTP_SP_BREAKER_LIMIT   1000

/* how much longer than the first one a cool-down may get */
#define NGX_HTTP_SP_BREAKER_TARGET_LONGEST  8
#define NGX_HTTP_SP_BREAKER_KEY_LONGEST     20


/* in shared memory */

typedef struct {
    uint64_t                      id[SP_SIPHASH_LEN / 8];
    ngx_uint_t                    generation;  /* 0: free */
    ngx_atomic_t                  busy;        /* 0: as new, nobody locks */
    sp_breaker_t                  state;
} ngx_http_sp_breaker_slot_t;


typedef struct {
    ngx_uint_t                    layout;
    ngx_uint_t                    generation;  /* of the configuration */
    ngx_uint_t                    n;
    u_char                        secret[SP_SIPHASH_KEY_LEN];
    ngx_http_sp_breaker_slot_t   *slots;
} ngx_http_sp_breaker_table_t;


/* configuration; "slot" is known from the start on */

struct ngx_http_sp_breaker_s {
    ngx_http_sp_provider_t       *provider;
    const ngx_http_sp_target_t   *target;      /* NULL: of a key */
    const ngx_http_sp_key_t      *key;         /* NULL: of a target */
    sp_breaker_conf_t             conf;
    uint64_t                      id[SP_SIPHASH_LEN / 8];
    ngx_http_sp_breaker_slot_t   *slot;
    ngx_slab_pool_t              *shpool;
};


static ngx_int_t ngx_http_sp_breakers_provider(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf, ngx_http_sp_provider_t *provider);
static ngx_int_t ngx_http_sp_breakers_target(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf, ngx_http_sp_target_t *target);
static ngx_http_sp_breaker_t *ngx_http_sp_breaker_add(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf, ngx_http_sp_provider_t *provider,
    const ngx_http_sp_target_t *target, const ngx_http_sp_key_t *key);
static void ngx_http_sp_breaker_configure(ngx_http_sp_breaker_t *breaker);
static ngx_int_t ngx_http_sp_breakers_zone(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf);
static ngx_int_t ngx_http_sp_breakers_init_zone(ngx_shm_zone_t *zone,
    void *data);
static ngx_http_sp_breaker_table_t *ngx_http_sp_breakers_create(
    ngx_shm_zone_t *zone);
static ngx_shm_zone_t *ngx_http_sp_breakers_former(ngx_shm_zone_t *zone);
static ngx_http_sp_breaker_slot_t *ngx_http_sp_breakers_find(
    ngx_http_sp_breaker_table_t *table, const uint64_t *id);
static ngx_int_t ngx_http_sp_breaker_identify(ngx_http_sp_breaker_t *breaker,
    const u_char *secret, ngx_log_t *log);
static ngx_uint_t ngx_http_sp_breaker_lock(ngx_http_sp_breaker_t *breaker);
static void ngx_http_sp_breaker_unlock(ngx_http_sp_breaker_t *breaker);


ngx_int_t
ngx_http_sp_breakers_init(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf)
{
    ngx_uint_t                i, k;
    ngx_http_sp_model_t     **model;
    ngx_http_sp_target_t     *target;
    ngx_http_sp_provider_t  **provider;

    if (mcf->providers.nelts == 0) {
        return NGX_OK;
    }

    provider = mcf->providers.elts;

    for (i = 0; i < mcf->providers.nelts; i++) {
        if (ngx_http_sp_breakers_provider(cf, mcf, provider[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    model = mcf->models.elts;

    for (i = 0; i < mcf->models.nelts; i++) {
        target = model[i]->targets.elts;

        for (k = 0; k < model[i]->targets.nelts; k++) {
            if (ngx_http_sp_breakers_target(cf, mcf, &target[k]) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    return ngx_http_sp_breakers_zone(cf, mcf);
}


static ngx_int_t
ngx_http_sp_breakers_provider(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf, ngx_http_sp_provider_t *provider)
{
    ngx_uint_t          i;
    ngx_http_sp_key_t  *key;

    key = provider->keys.elts;

    for (i = 0; i < provider->keys.nelts; i++) {
        key[i].breaker = ngx_http_sp_breaker_add(cf, mcf, provider, NULL,
                                                 &key[i]);
        if (key[i].breaker == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_breakers_target(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf,
    ngx_http_sp_target_t *target)
{
    ngx_uint_t               i;
    ngx_http_sp_key_t       *key;
    ngx_http_sp_provider_t  *provider;

    provider = target->provider;
    key = provider->keys.elts;

    target->breaker = ngx_http_sp_breaker_add(cf, mcf, provider, target,
                                              NULL);
    target->limits = ngx_palloc(cf->pool,
                                provider->keys.nelts * sizeof(void *));

    if (target->breaker == NULL || target->limits == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < provider->keys.nelts; i++) {
        target->limits[i] = ngx_http_sp_breaker_add(cf, mcf, provider,
                                                    target, &key[i]);
        if (target->limits[i] == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* a model of a provider is the same behind each alias */

static ngx_http_sp_breaker_t *
ngx_http_sp_breaker_add(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf,
    ngx_http_sp_provider_t *provider, const ngx_http_sp_target_t *target,
    const ngx_http_sp_key_t *key)
{
    ngx_uint_t               i;
    ngx_http_sp_breaker_t   *breaker, **elt;

    elt = mcf->breakers.elts;

    for (i = 0; i < mcf->breakers.nelts; i++) {

        if (elt[i]->provider == provider
            && elt[i]->key == key
            && target != NULL
            && elt[i]->target != NULL
            && elt[i]->target->name.len == target->name.len
            && ngx_memcmp(elt[i]->target->name.data, target->name.data,
                          target->name.len)
               == 0)
        {
            return elt[i];
        }
    }

    breaker = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_breaker_t));
    elt = ngx_array_push(&mcf->breakers);

    if (breaker == NULL || elt == NULL) {
        return NULL;
    }

    *elt = breaker;

    breaker->provider = provider;
    breaker->target = target;
    breaker->key = key;

    ngx_http_sp_breaker_configure(breaker);

    return breaker;
}


static void
ngx_http_sp_breaker_configure(ngx_http_sp_breaker_t *breaker)
{
    int64_t                  cooldown;
    sp_breaker_conf_t       *conf;
    ngx_http_sp_provider_t  *provider;

    conf = &breaker->conf;
    provider = breaker->provider;
    cooldown = (int64_t) provider->cooldown;

    if (breaker->key == NULL) {
        conf->max_fails = (uint32_t) provider->max_fails;
        conf->window = (int64_t) provider->fail_timeout;
        conf->cooldown = (int64_t) provider->fail_timeout;
        conf->longest = NGX_HTTP_SP_BREAKER_TARGET_LONGEST * conf->cooldown;
        return;
    }

    conf->max_fails = (cooldown != 0);

    if (breaker->target == NULL) {
        conf->cooldown = cooldown;
        conf->longest = NGX_HTTP_SP_BREAKER_KEY_LONGEST * cooldown;

    } else {
        conf->cooldown = ngx_min(cooldown, NGX_HTTP_SP_BREAKER_LIMIT);
        conf->longest = cooldown;
    }
}


static ngx_int_t
ngx_http_sp_breakers_zone(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf)
{
    size_t           size;
    ngx_str_t        name;
    ngx_shm_zone_t  *zone;

    ngx_str_set(&name, NGX_HTTP_SP_BREAKER_ZONE);

    /* in steps, so that it is the same zone with one model more or less */

    size = (mcf->breakers.nelts + NGX_HTTP_SP_BREAKER_SPARE)
           * sizeof(ngx_http_sp_breaker_slot_t);
    size = ngx_align(size, 4 * ngx_pagesize) + NGX_HTTP_SP_BREAKER_SLAB;

    zone = ngx_shared_memory_add(cf, &name, size, &ngx_http_sp_core_module);
    if (zone == NULL) {
        return NGX_ERROR;
    }

    zone->init = ngx_http_sp_breakers_init_zone;
    zone->data = &mcf->breakers;

    return NGX_OK;
}


/* in the master; the workers of the generation before go on meanwhile */

static ngx_int_t
ngx_http_sp_breakers_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_uint_t                     i;
    ngx_array_t                   *breakers;
    ngx_slab_pool_t               *shpool;
    ngx_http_sp_breaker_t        **breaker;
    ngx_http_sp_breaker_table_t   *table;

    breakers = zone->data;
    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data == NULL && ngx_http_sp_breakers_create(zone) == NULL) {
        return NGX_ERROR;
    }

    table = shpool->data;

    if (table->layout != NGX_HTTP_SP_BREAKER_LAYOUT) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "the shared memory of the providers of the running "
                      "server has layout %ui, this module has %d: restart "
                      "instead of reload", table->layout,
                      NGX_HTTP_SP_BREAKER_LAYOUT);
        return NGX_ERROR;
    }

    ngx_shmtx_lock(&shpool->mutex);

    table->generation++;
    breaker = breakers->elts;

    for (i = 0; i < breakers->nelts; i++) {

        breaker[i]->shpool = shpool;

        if (ngx_http_sp_breaker_identify(breaker[i], table->secret,
                                         zone->shm.log)
            != NGX_OK)
        {
            break;
        }

        breaker[i]->slot = ngx_http_sp_breakers_find(table, breaker[i]->id);
        breaker[i]->slot->generation = table->generation;
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return (i == breakers->nelts) ? NGX_OK : NGX_ERROR;
}


static ngx_http_sp_breaker_table_t *
ngx_http_sp_breakers_create(ngx_shm_zone_t *zone)
{
    ngx_uint_t                    n;
    ngx_shm_zone_t               *old;
    ngx_slab_pool_t              *shpool;
    ngx_http_sp_breaker_table_t  *former, *table;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    table = ngx_slab_calloc(shpool, sizeof(ngx_http_sp_breaker_table_t));
    if (table == NULL) {
        return NULL;
    }

    /* all that fit: a reload may find this zone with some more */

    n = (zone->shm.size - NGX_HTTP_SP_BREAKER_SLAB)
        / sizeof(ngx_http_sp_breaker_slot_t);

    table->layout = NGX_HTTP_SP_BREAKER_LAYOUT;
    table->slots = ngx_slab_calloc(shpool,
                                   n * sizeof(ngx_http_sp_breaker_slot_t));

    if (table->slots == NULL
        || RAND_bytes(table->secret, SP_SIPHASH_KEY_LEN) != 1)
    {
        return NULL;
    }

    table->n = n;
    shpool->data = table;

    /* a zone of another size: what was known is copied */

    old = ngx_http_sp_breakers_former(zone);

    if (old != NULL) {
        former = ((ngx_slab_pool_t *) old->shm.addr)->data;

        if (former->layout == NGX_HTTP_SP_BREAKER_LAYOUT) {
            table->generation = former->generation;

            ngx_memcpy(table->secret, former->secret, SP_SIPHASH_KEY_LEN);
            ngx_memcpy(table->slots, former->slots,
                       ngx_min(former->n, n)
                       * sizeof(ngx_http_sp_breaker_slot_t));
        }
    }

    return table;
}


static ngx_shm_zone_t *
ngx_http_sp_breakers_former(ngx_shm_zone_t *zone)
{
    ngx_uint_t        i;
    ngx_shm_zone_t   *old;
    ngx_list_part_t  *part;

    for (part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;
         part != NULL;
         part = part->next)
    {
        old = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (&old[i] != zone
                && old[i].init == ngx_http_sp_breakers_init_zone
                && old[i].shm.addr != NULL)
            {
                return &old[i];
            }
        }
    }

    return NULL;
}


/*
 * Its own, or one that nobody has, or whose configuration is the oldest: there
 * are always more than are in use.
 */

static ngx_http_sp_breaker_slot_t *
ngx_http_sp_breakers_find(ngx_http_sp_breaker_table_t *table,
    const uint64_t *id)
{
    ngx_uint_t                   i;
    ngx_http_sp_breaker_slot_t  *oldest, *slot;

    slot = table->slots;
    oldest = slot;

    for (i = 0; i < table->n; i++) {

        if (slot[i].generation != 0
            && ngx_memcmp(slot[i].id, id, SP_SIPHASH_LEN) == 0)
        {
            return &slot[i];
        }

        if (slot[i].generation < oldest->generation) {
            oldest = &slot[i];
        }
    }

    ngx_memzero(oldest, sizeof(ngx_http_sp_breaker_slot_t));
    ngx_memcpy(oldest->id, id, SP_SIPHASH_LEN);

    return oldest;
}


static ngx_int_t
ngx_http_sp_breaker_identify(ngx_http_sp_breaker_t *breaker,
    const u_char *secret, ngx_log_t *log)
{
    u_char           *p, *text;
    size_t            size;
    const ngx_str_t  *key, *model, *provider;

    static const ngx_str_t  none = ngx_null_string;

    provider = &breaker->provider->name;
    model = (breaker->target != NULL) ? &breaker->target->name : &none;
    key = (breaker->key != NULL) ? &breaker->key->value : &none;

    size = provider->len + model->len + key->len
           + sizeof("tk") - 1 + 2 * NGX_INT64_LEN;

    text = ngx_alloc(size, log);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(text, "%d%d%uz:%uz:", breaker->target != NULL,
                    breaker->key != NULL, provider->len, model->len);
    p = ngx_cpymem(p, provider->data, provider->len);
    p = ngx_cpymem(p, model->data, model->len);
    p = ngx_cpymem(p, key->data, key->len);

    sp_siphash((uint8_t *) breaker->id, secret, text, p - text);

    ngx_explicit_memzero(text, size);
    ngx_free(text);

    return NGX_OK;
}


ngx_msec_t
ngx_http_sp_breaker_wait(const ngx_http_sp_breaker_t *breaker)
{
    int64_t  now, ready;

    if (breaker->slot == NULL || breaker->slot->busy == 0) {
        return 0;
    }

    now = (int64_t) ngx_current_msec;
    ready = sp_breaker_ready(&breaker->slot->state, now);

    return (ready != 0) ? (ngx_msec_t) (ready - now) : 0;
}


ngx_int_t
ngx_http_sp_breaker_take(ngx_http_sp_breaker_t *breaker, ngx_msec_t lease)
{
    ngx_int_t  rc;

    if (breaker->slot == NULL || breaker->slot->busy == 0
        || !ngx_http_sp_breaker_lock(breaker))
    {
        return 0;
    }

    rc = sp_breaker_take(&breaker->slot->state, (int64_t) ngx_current_msec,
                         (int64_t) lease);

    ngx_http_sp_breaker_unlock(breaker);

    return rc;
}


void
ngx_http_sp_breaker_tell(ngx_http_sp_breaker_t *breaker,
    ngx_http_sp_verdict_e verdict, ngx_uint_t probe, ngx_msec_t wait)
{
    int64_t        now;
    sp_breaker_t  *state;

    if (breaker->slot == NULL
        || (verdict == NGX_HTTP_SP_VERDICT_RELEASE && !probe)
        || (verdict != NGX_HTTP_SP_VERDICT_FAIL && breaker->slot->busy == 0)
        || !ngx_http_sp_breaker_lock(breaker))
    {
        return;
    }

    now = (int64_t) ngx_current_msec;
    state = &breaker->slot->state;

    switch (verdict) {

    case NGX_HTTP_SP_VERDICT_RELEASE:
        sp_breaker_release(state);
        break;

    case NGX_HTTP_SP_VERDICT_ALIVE:
        if (probe || state->until <= now) {
            sp_breaker_alive(state);
        }

        break;

    case NGX_HTTP_SP_VERDICT_PASS:
        if (probe || state->until <= now) {
            sp_breaker_pass(state);
        }

        break;

    default:
        if (wait != 0 && breaker->target != NULL
            && breaker->conf.max_fails != 0)
        {
            sp_breaker_hold(state, now, (int64_t) wait);

        } else {
            sp_breaker_fail(state, &breaker->conf, now, (int) probe);
        }
    }

    ngx_http_sp_breaker_unlock(breaker);
}


/* 0: a reload has given the place to another one */

static ngx_uint_t
ngx_http_sp_breaker_lock(ngx_http_sp_breaker_t *breaker)
{
    ngx_shmtx_lock(&breaker->shpool->mutex);

    if (ngx_memcmp(breaker->slot->id, breaker->id, SP_SIPHASH_LEN) == 0) {
        return 1;
    }

    ngx_shmtx_unlock(&breaker->shpool->mutex);

    return 0;
}


static void
ngx_http_sp_breaker_unlock(ngx_http_sp_breaker_t *breaker)
{
    breaker->slot->busy = !sp_breaker_clean(&breaker->slot->state);

    ngx_shmtx_unlock(&breaker->shpool->mutex);
}


const ngx_http_sp_target_t *
ngx_http_sp_breaker_target(const ngx_http_sp_breaker_t *breaker)
{
    return (breaker->key == NULL) ? breaker->target : NULL;
}
