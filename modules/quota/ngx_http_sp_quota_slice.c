
/*
 * Copyright (C) Sallyport authors
 *
 * Slices: a subject that asks again and again gets several units of Redis at
 * once, which are spent here, so that one hot client does not keep Redis busy.
 *
 * Units of a slice are charged before they are spent: no number of gateways
 * lets more pass than the limit, except that a unit may be spent up to
 * NGX_HTTP_SP_QUOTA_LIFE later than it was charged.  A slice is at most the
 * configured percentage of the smallest burst, one unit by default for a
 * burst below 200, and what is left at its end goes back to Redis.
 *
 * A slice is one word in shared memory, changed by compare-and-swap:
 *
 *     none -> asking -> kept -> .. -> spent -> asking twice as much -> ..
 *                        \-> past its end: the rest goes back, asking one
 */

#include "ngx_http_sp_quota.h"


/* milliseconds: of units, of "asking" (longer than a deadline of Redis) */
#define NGX_HTTP_SP_QUOTA_LIFE    100
#define NGX_HTTP_SP_QUOTA_ASKING  1000

/* what the word holds: the end in milliseconds, 10 bits of size and of left */
#define NGX_HTTP_SP_QUOTA_BITS    10
#define NGX_HTTP_SP_QUOTA_MASK    ((1 << NGX_HTTP_SP_QUOTA_BITS) - 1)

/* the largest slice */
#define NGX_HTTP_SP_QUOTA_UNITS   250

/* "left" while Redis is asked */
#define NGX_HTTP_SP_QUOTA_PENDING  NGX_HTTP_SP_QUOTA_MASK

#define ngx_http_sp_quota_slice(end, size, left)                              \
    ((ngx_atomic_uint_t) (end) << 2 * NGX_HTTP_SP_QUOTA_BITS                  \
     | (ngx_atomic_uint_t) (size) << NGX_HTTP_SP_QUOTA_BITS                   \
     | (ngx_atomic_uint_t) (left))

#define ngx_http_sp_quota_slice_end(word)                                     \
    ((word) >> 2 * NGX_HTTP_SP_QUOTA_BITS)
#define ngx_http_sp_quota_slice_size(word)                                    \
    ((word) >> NGX_HTTP_SP_QUOTA_BITS & NGX_HTTP_SP_QUOTA_MASK)
#define ngx_http_sp_quota_slice_left(word)                                    \
    ((word) & NGX_HTTP_SP_QUOTA_MASK)


static void ngx_http_sp_quota_slice_look(ngx_http_sp_quota_ctx_t *ctx,
    ngx_uint_t left);


/* in the order of the time at which a limit is free */

int64_t
ngx_http_sp_quota_slice_until(ngx_atomic_uint_t word)
{
    return (int64_t) ngx_http_sp_quota_slice_end(word) * 1000;
}


ngx_uint_t
ngx_http_sp_quota_slice_spend(ngx_http_sp_quota_ctx_t *ctx)
{
    ngx_uint_t         left;
    ngx_atomic_t      *word;
    ngx_atomic_uint_t  old;

    word = ngx_http_sp_quota_slice_word(ctx, 0);

    if (word == NULL) {
        return 0;
    }

    do {
        old = *word;
        left = ngx_http_sp_quota_slice_left(old);

        if (left == 0 || left == NGX_HTTP_SP_QUOTA_PENDING
            || ngx_http_sp_quota_slice_end(old) <= ngx_current_msec)
        {
            return 0;
        }

    } while (!ngx_atomic_cmp_set(word, old, old - 1));

    ngx_http_sp_quota_slice_look(ctx, left - 1);

    return 1;
}


void
ngx_http_sp_quota_slice_want(ngx_http_sp_quota_ctx_t *ctx, ngx_uint_t percent)
{
    ngx_uint_t          i, left, max, size;
    ngx_atomic_t       *word;
    ngx_atomic_uint_t   old, asking;

    ctx->units = 1;

    max = ngx_min(ctx->policy->burst * percent / 100,
                  NGX_HTTP_SP_QUOTA_UNITS);

    if (max < 2) {
        return;
    }

    word = ngx_http_sp_quota_slice_word(ctx, 1);
    old = *word;
    left = ngx_http_sp_quota_slice_left(old);
    size = 1;

    if (ngx_http_sp_quota_slice_end(old) > ngx_current_msec) {

        if (left != 0) {

            /* another request asks, or has just been answered */

            return;
        }

        size = ngx_min(2 * ngx_http_sp_quota_slice_size(old), max);
        size = ngx_max(size, 1);

    } else if (left > max) {

        /* still pending: that request is gone, with what it was granted */

        left = 0;
    }

    asking = ngx_http_sp_quota_slice(ngx_current_msec
                                     + NGX_HTTP_SP_QUOTA_ASKING,
                                     size, NGX_HTTP_SP_QUOTA_PENDING);

    if (!ngx_atomic_cmp_set(word, old, asking)) {
        return;
    }

    ctx->units = size;
    ctx->unused = left;
    ctx->slice = asking;

    for (i = 0; left != 0 && i < ctx->policy->nlimits; i++) {
        ngx_http_sp_quota_forget(ctx->zone, ctx->hash,
                                 &ctx->policy->limits[i],
                                 left * ctx->policy->gcra[i].interval);
    }
}


void
ngx_http_sp_quota_slice_keep(const ngx_http_sp_quota_ctx_t *ctx,
    ngx_uint_t granted)
{
    ngx_uint_t          left;
    ngx_atomic_t       *word;
    ngx_atomic_uint_t   kept;

    if (ctx->slice == 0) {
        return;
    }

    word = ngx_http_sp_quota_slice_word(ctx, 1);
    left = (granted > 1) ? granted - 1 : 0;

    kept = ngx_http_sp_quota_slice(ngx_current_msec + NGX_HTTP_SP_QUOTA_LIFE,
                                   granted, left);

    /* lost to another request only when Redis took longer than its deadline */

    (void) ngx_atomic_cmp_set(word, ctx->slice, kept);
}


/* what the limits say to the client: the slice is still unused */

static void
ngx_http_sp_quota_slice_look(ngx_http_sp_quota_ctx_t *ctx, ngx_uint_t left)
{
    int64_t                      now, tats[NGX_HTTP_SP_QUOTA_LIMITS];
    ngx_uint_t                   i;
    ngx_http_sp_quota_policy_t  *policy;

    policy = ctx->policy;
    now = ngx_http_sp_quota_now();

    for (i = 0; i < policy->nlimits; i++) {
        tats[i] = now + ngx_http_sp_quota_ahead(ctx->zone, ctx->hash,
                                                &policy->limits[i], now)
                  - (int64_t) left * policy->gcra[i].interval;
    }

    (void) sp_gcra_all(policy->gcra, tats, policy->nlimits, now, 0,
                       ctx->results);
}
