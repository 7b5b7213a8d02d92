
/*
 * Copyright (C) Sallyport authors
 *
 * What a request holds until it ends: its place among those in flight.  Each
 * hold has an id in Redis and a count in shared memory; both are given back by
 * the end hook, on whatever way the request ends.
 *
 * A worker that is killed gives nothing back.  In Redis an id is over after
 * "quota_hold".  Here requests are counted by the epoch in which they began,
 * as long as that: those of the epoch before count, too, older ones do not.
 */

#include "ngx_http_sp_quota.h"

#include <openssl/rand.h>


#define NGX_HTTP_SP_QUOTA_ID_LEN  16


static ngx_http_sp_quota_hold_t *ngx_http_sp_quota_hold_create(
    ngx_http_request_t *r, const ngx_http_sp_quota_ctx_t *ctx);
static void ngx_http_sp_quota_hold_return(ngx_shm_zone_t *zone,
    const ngx_http_sp_quota_hold_t *hold);
static ngx_msec_t ngx_http_sp_quota_epoch(
    const ngx_http_sp_quota_policy_t *policy,
    ngx_http_sp_quota_entry_t *entry);


ngx_int_t
ngx_http_sp_quota_hold(ngx_http_request_t *r, ngx_http_sp_quota_ctx_t *ctx,
    ngx_uint_t create)
{
    ngx_http_sp_quota_ctx_t   *main;
    ngx_http_sp_quota_hold_t  *hold;

    main = ngx_http_sp_ctx(r->main, &ngx_http_sp_quota_module,
                           sizeof(ngx_http_sp_quota_ctx_t));
    if (main == NULL) {
        return NGX_ERROR;
    }

    for (hold = main->holds; hold != NULL; hold = hold->next) {
        if (hold->hash == ctx->hash && hold->policy == ctx->policy) {
            break;
        }
    }

    if (hold == NULL && create) {
        hold = ngx_http_sp_quota_hold_create(r, ctx);

        if (hold == NULL) {
            return NGX_ERROR;
        }

        hold->next = main->holds;
        main->holds = hold;
    }

    ctx->hold = hold;

    return NGX_OK;
}


static ngx_http_sp_quota_hold_t *
ngx_http_sp_quota_hold_create(ngx_http_request_t *r,
    const ngx_http_sp_quota_ctx_t *ctx)
{
    u_char                     id[NGX_HTTP_SP_QUOTA_ID_LEN], *p;
    ngx_http_sp_quota_hold_t  *hold;

    hold = ngx_pcalloc(r->pool, sizeof(ngx_http_sp_quota_hold_t));
    if (hold == NULL) {
        return NULL;
    }

    hold->policy = ctx->policy;
    hold->hash = ctx->hash;
    hold->key = ctx->key;

    /* keys of one slot with that of the limits */

    hold->open.len = ctx->key.len + sizeof(":open") - 1;
    hold->record.len = ctx->key.len + 1 + 2 * NGX_HTTP_SP_QUOTA_ID_LEN;

    hold->open.data = ngx_pnalloc(r->pool, hold->open.len + hold->record.len);

    if (hold->open.data == NULL || RAND_bytes(id, sizeof(id)) != 1) {
        return NULL;
    }

    p = ngx_cpymem(hold->open.data, ctx->key.data, ctx->key.len);
    p = ngx_cpymem(p, ":open", sizeof(":open") - 1);

    hold->record.data = p;
    p = ngx_cpymem(p, ctx->key.data, ctx->key.len);
    *p++ = ':';

    hold->id.data = p;
    hold->id.len = ngx_hex_dump(p, id, sizeof(id)) - p;

    return hold;
}


void
ngx_http_sp_quota_end(ngx_http_request_t *r,
    const ngx_http_sp_outcome_t *outcome)
{
    ngx_http_sp_quota_ctx_t        *ctx;
    ngx_http_sp_quota_hold_t       *hold;
    ngx_http_sp_quota_main_conf_t  *qmcf;

    /* in flight no more, the request was one whatever became of it */

    static const ngx_http_sp_quota_costs_t  costs = { 1, 0 };

    ctx = ngx_http_sp_find_ctx(r, &ngx_http_sp_quota_module);

    if (ctx == NULL) {
        return;
    }

    qmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_quota_module);

    for (hold = ctx->holds; hold != NULL; hold = hold->next) {

        if (hold->local) {
            ngx_http_sp_quota_hold_return(qmcf->zone, hold);
        }

        /*
         * sent behind the question, if that still waits for its answer; one
         * that holds nothing expires
         */

        if (hold->asked && hold->policy->held) {
            ngx_http_sp_quota_settle(qmcf, hold, costs);
        }
    }
}


int64_t
ngx_http_sp_quota_held(const ngx_http_sp_quota_policy_t *policy,
    ngx_http_sp_quota_entry_t *entry)
{
    (void) ngx_http_sp_quota_epoch(policy, entry);

    return (int64_t) entry->held[0] + entry->held[1];
}


void
ngx_http_sp_quota_hold_take(ngx_http_sp_quota_hold_t *hold,
    ngx_http_sp_quota_entry_t *entry)
{
    int64_t  until;

    if (hold->local) {
        return;
    }

    hold->epoch = ngx_http_sp_quota_epoch(hold->policy, entry);
    hold->local = 1;

    entry->held[0]++;

    until = (int64_t) (hold->epoch + 2) * hold->policy->hold * 1000;
    entry->until = ngx_max(entry->until, until);
}


static void
ngx_http_sp_quota_hold_return(ngx_shm_zone_t *zone,
    const ngx_http_sp_quota_hold_t *hold)
{
    ngx_msec_t                  age;
    ngx_http_sp_quota_entry_t  *entry;

    entry = ngx_http_sp_quota_lock(zone, hold->hash, 0);

    if (entry != NULL) {
        age = ngx_http_sp_quota_epoch(hold->policy, entry) - hold->epoch;

        /* 0: the entry was forgotten since, and made anew */

        if (age < 2 && entry->held[age] > 0) {
            entry->held[age]--;
        }
    }

    ngx_http_sp_quota_unlock(zone);
}


static ngx_msec_t
ngx_http_sp_quota_epoch(const ngx_http_sp_quota_policy_t *policy,
    ngx_http_sp_quota_entry_t *entry)
{
    ngx_msec_t  epoch;

    epoch = ngx_current_msec / policy->hold;

    /* another worker has seen the clock a little later */

    if (epoch == entry->epoch || epoch + 1 == entry->epoch) {
        return entry->epoch;
    }

    entry->held[1] = (epoch == entry->epoch + 1) ? entry->held[0] : 0;
    entry->held[0] = 0;
    entry->epoch = epoch;

    return epoch;
}
