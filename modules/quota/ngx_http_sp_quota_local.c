
/*
 * Copyright (C) Sallyport authors
 *
 * What this machine knows of a client's limits: the answer before Redis is
 * asked, after it has answered, and in its place when it does not.
 */

#include "ngx_http_sp_quota.h"


static void ngx_http_sp_quota_prices(const ngx_http_sp_quota_ctx_t *ctx,
    int64_t *costs);
static void ngx_http_sp_quota_states(const ngx_http_sp_quota_ctx_t *ctx,
    ngx_http_sp_quota_entry_t *entry, int64_t units, int64_t now,
    int64_t *states);
static void ngx_http_sp_quota_store(const ngx_http_sp_quota_policy_t *policy,
    ngx_http_sp_quota_entry_t *entry, const int64_t *states, int64_t now);
static ngx_uint_t ngx_http_sp_quota_spent(ngx_http_sp_quota_ctx_t *ctx,
    ngx_http_sp_quota_entry_t *entry, ngx_uint_t last);
static ngx_uint_t ngx_http_sp_quota_known_denied(ngx_http_sp_quota_ctx_t *ctx,
    ngx_http_sp_quota_entry_t *entry);
static void ngx_http_sp_quota_want(ngx_http_sp_quota_ctx_t *ctx,
    ngx_http_sp_quota_entry_t *entry);


/* monotonic and the same in all processes */

int64_t
ngx_http_sp_quota_now(void)
{
    return (int64_t) ngx_current_msec * 1000;
}


ngx_int_t
ngx_http_sp_quota_known(ngx_http_sp_quota_ctx_t *ctx)
{
    ngx_int_t                   rc;
    ngx_http_sp_quota_entry_t  *entry;

    entry = ngx_http_sp_quota_lock(ctx->zone, ctx->hash, 1);

    if (ngx_http_sp_quota_spent(ctx, entry, 0)) {
        rc = NGX_OK;

    } else if (ngx_http_sp_quota_known_denied(ctx, entry)) {
        rc = ngx_http_sp_quota_spent(ctx, entry, 1) ? NGX_OK : NGX_DECLINED;

    } else {
        ngx_http_sp_quota_want(ctx, entry);
        rc = NGX_AGAIN;
    }

    ngx_http_sp_quota_unlock(ctx->zone);

    return rc;
}


void
ngx_http_sp_quota_learn(ngx_http_sp_quota_ctx_t *ctx, const int64_t *states,
    ngx_uint_t granted, int64_t now)
{
    int64_t                     left, seen[NGX_HTTP_SP_QUOTA_LIMITS];
    int64_t                     costs[NGX_HTTP_SP_QUOTA_LIMITS];
    ngx_uint_t                  i, n;
    ngx_http_sp_quota_entry_t  *entry;

    n = ctx->policy->nlimits;

    entry = ngx_http_sp_quota_lock(ctx->zone, ctx->hash, 1);

    ngx_http_sp_quota_store(ctx->policy, entry, states, now);

    if (ctx->hold != NULL) {

        if (granted == 0) {
            ctx->hold->asked = 0;

        } else if (ctx->policy->held) {
            ngx_http_sp_quota_hold_take(ctx->hold, entry);
        }
    }

    /* units kept for later are charged in Redis, and left for the client */

    left = ngx_http_sp_quota_lease_return(ctx->policy, &entry->lease,
                                          ctx->asking, granted);

    for (i = 0; i < n; i++) {
        seen[i] = states[i] - left * ctx->policy->gcra[i].interval;
    }

    ngx_http_sp_quota_prices(ctx, costs);

    /* what was charged is in the states: look; else see who denies */

    (void) sp_gcra_all(ctx->policy->gcra, seen, granted ? NULL : costs, n,
                       now, ctx->results);

    /* no more in Redis: the last units of a lease, which are paid for */

    ctx->allowed = (granted != 0 || ngx_http_sp_quota_spent(ctx, entry, 1));

    ngx_http_sp_quota_unlock(ctx->zone);
}


ngx_uint_t
ngx_http_sp_quota_paid(ngx_http_sp_quota_ctx_t *ctx)
{
    ngx_uint_t                  spent;
    ngx_http_sp_quota_entry_t  *entry;

    entry = ngx_http_sp_quota_lock(ctx->zone, ctx->hash, 0);

    spent = (entry != NULL && ngx_http_sp_quota_spent(ctx, entry, 1));

    ngx_http_sp_quota_unlock(ctx->zone);

    return spent;
}


ngx_uint_t
ngx_http_sp_quota_local(ngx_http_sp_quota_ctx_t *ctx)
{
    int64_t                     now, states[NGX_HTTP_SP_QUOTA_LIMITS];
    int64_t                     costs[NGX_HTTP_SP_QUOTA_LIMITS];
    ngx_uint_t                  allowed, i;
    ngx_http_sp_quota_entry_t  *entry;

    now = ngx_http_sp_quota_now();
    ngx_http_sp_quota_prices(ctx, costs);

    entry = ngx_http_sp_quota_lock(ctx->zone, ctx->hash, 1);

    ngx_http_sp_quota_states(ctx, entry, 0, now, states);

    allowed = sp_gcra_all(ctx->policy->gcra, states, costs,
                          ctx->policy->nlimits, now, ctx->results);

    if (allowed) {
        for (i = 0; i < ctx->policy->nlimits; i++) {
            states[i] = ctx->results[i].tat;
        }

        ngx_http_sp_quota_store(ctx->policy, entry, states, now);

        if (ctx->policy->held) {
            ngx_http_sp_quota_hold_take(ctx->hold, entry);
        }
    }

    ngx_http_sp_quota_unlock(ctx->zone);

    return allowed;
}


/* of each limit: what the request is charged */

static void
ngx_http_sp_quota_prices(const ngx_http_sp_quota_ctx_t *ctx, int64_t *costs)
{
    ngx_uint_t  i;

    for (i = 0; i < ctx->policy->nlimits; i++) {
        costs[i] = ctx->costs[ctx->policy->limits[i].kind];
    }
}


/* of each limit: its tat, as if "units" had not been charged; or the held */

static void
ngx_http_sp_quota_states(const ngx_http_sp_quota_ctx_t *ctx,
    ngx_http_sp_quota_entry_t *entry, int64_t units, int64_t now,
    int64_t *states)
{
    int64_t                          *tat;
    ngx_uint_t                        i;
    const sp_gcra_limit_t            *gcra;
    const ngx_http_sp_quota_limit_t  *limit;

    gcra = ctx->policy->gcra;
    limit = ctx->policy->limits;

    for (i = 0; i < ctx->policy->nlimits; i++) {

        if (limit[i].window == 0) {
            states[i] = ngx_http_sp_quota_held(ctx->policy, entry);
            continue;
        }

        tat = ngx_http_sp_quota_tat(entry, &limit[i]);
        states[i] = ngx_max(*tat, now) - units * gcra[i].interval;
    }
}


/* a limit never moves back, and what is free needs no memory */

static void
ngx_http_sp_quota_store(const ngx_http_sp_quota_policy_t *policy,
    ngx_http_sp_quota_entry_t *entry, const int64_t *states, int64_t now)
{
    int64_t     *tat;
    ngx_uint_t   i;

    for (i = 0; i < policy->nlimits; i++) {

        if (policy->limits[i].window == 0 || states[i] <= now) {
            continue;
        }

        tat = ngx_http_sp_quota_tat(entry, &policy->limits[i]);

        *tat = ngx_max(*tat, states[i]);
        entry->until = ngx_max(entry->until, *tat);
    }
}


/* a unit of the lease: for the client the rest of it is still unused */

static ngx_uint_t
ngx_http_sp_quota_spent(ngx_http_sp_quota_ctx_t *ctx,
    ngx_http_sp_quota_entry_t *entry, ngx_uint_t last)
{
    int64_t  now, states[NGX_HTTP_SP_QUOTA_LIMITS];

    if (ctx->hold != NULL
        || !ngx_http_sp_quota_lease_take(ctx->policy, &entry->lease, last))
    {
        return 0;
    }

    now = ngx_http_sp_quota_now();

    ngx_http_sp_quota_states(ctx, entry, entry->lease.left, now, states);

    (void) sp_gcra_all(ctx->policy->gcra, states, NULL, ctx->policy->nlimits,
                       now, ctx->results);

    return 1;
}


/*
 * Denied whatever Redis would say: it only ever knows of more requests, or of
 * fewer by what gateways give back of their leases: this one with the question
 * now, and the others' can wait
 */

static ngx_uint_t
ngx_http_sp_quota_known_denied(ngx_http_sp_quota_ctx_t *ctx,
    ngx_http_sp_quota_entry_t *entry)
{
    int64_t     costs[NGX_HTTP_SP_QUOTA_LIMITS];
    int64_t     now, states[NGX_HTTP_SP_QUOTA_LIMITS];
    ngx_uint_t  n, unused;

    n = ctx->policy->nlimits;
    now = ngx_http_sp_quota_now();
    unused = ngx_http_sp_quota_lease_unused(ctx->policy, &entry->lease);

    ngx_http_sp_quota_prices(ctx, costs);
    ngx_http_sp_quota_states(ctx, entry, unused, now, states);

    if (sp_gcra_all(ctx->policy->gcra, states, costs, n,
                    now + NGX_HTTP_SP_QUOTA_SLACK, ctx->results))
    {
        return 0;
    }

    (void) sp_gcra_all(ctx->policy->gcra, states, costs, n, now,
                       ctx->results);

    return 1;
}


/* what Redis is asked, and told */

static void
ngx_http_sp_quota_want(ngx_http_sp_quota_ctx_t *ctx,
    ngx_http_sp_quota_entry_t *entry)
{
    int64_t     interval, now, *tat;
    ngx_uint_t  i, unused;

    now = ngx_http_sp_quota_now();

    unused = ngx_http_sp_quota_lease_unused(ctx->policy, &entry->lease);
    ctx->units = ngx_http_sp_quota_lease_ask(ctx->policy, &entry->lease,
                                             &ctx->asking);
    ctx->unused = (ctx->asking != 0) ? unused : 0;

    for (i = 0; i < ctx->policy->nlimits; i++) {
        ctx->floors[i] = 0;

        if (ctx->policy->limits[i].window == 0) {
            continue;
        }

        tat = ngx_http_sp_quota_tat(entry, &ctx->policy->limits[i]);
        interval = ctx->policy->gcra[i].interval;

        *tat -= ngx_min((int64_t) ctx->unused * interval, *tat);

        /* less a lease that another gateway may have given back since */

        ctx->floors[i] = *tat - now
                         - (int64_t) ctx->policy->lease * interval
                         - NGX_HTTP_SP_QUOTA_SLACK;
        ctx->floors[i] = ngx_max(ctx->floors[i], 0);
    }
}
