
/*
 * Copyright (C) Sallyport authors
 *
 * Slices: a subject that asks again and again gets several units of Redis at
 * once, which are spent here, so that one hot client does not keep Redis busy.
 *
 * Units of a slice are charged before they are spent: no number of gateways
 * lets more pass than the limit, except that what each holds is spent a little
 * later than it was charged.  That is at most the configured percentage of the
 * smallest burst, one unit by default for a burst below 200, and what is left
 * at the end, NGX_HTTP_SP_QUOTA_LIFE after units were granted last, goes back
 * to Redis.
 *
 * A slice is one word in shared memory, changed by compare-and-swap:
 *
 *     none -> asking -> kept -> .. -> a quarter left -> asking for more -> ..
 *                        \-> past its end: the rest goes back, asking one
 *
 * One request asks for more, and waits, while others spend the last quarter.
 */

#include "ngx_http_sp_quota.h"


/* milliseconds: of units, of "asking" (longer than a deadline of Redis) */
#define NGX_HTTP_SP_QUOTA_LIFE    100
#define NGX_HTTP_SP_QUOTA_ASKING  1000

/*
 * What it holds: 36 bits of the end, rounded up to 16 ms, which lasts for 30
 * years; 8 bits of size and of left
 */
#define NGX_HTTP_SP_QUOTA_TICK    4
#define NGX_HTTP_SP_QUOTA_BITS    8
#define NGX_HTTP_SP_QUOTA_MASK    ((1 << NGX_HTTP_SP_QUOTA_BITS) - 1)

/* the largest slice */
#define NGX_HTTP_SP_QUOTA_UNITS   250

/* "size" while Redis is asked */
#define NGX_HTTP_SP_QUOTA_PENDING  NGX_HTTP_SP_QUOTA_MASK

#define ngx_http_sp_quota_slice(end, size, left)                              \
    (((uint64_t) (end) + (1 << NGX_HTTP_SP_QUOTA_TICK) - 1)                   \
       >> NGX_HTTP_SP_QUOTA_TICK << 2 * NGX_HTTP_SP_QUOTA_BITS                \
     | (uint64_t) (size) << NGX_HTTP_SP_QUOTA_BITS                            \
     | (uint64_t) (left))

#define ngx_http_sp_quota_slice_end(slice)                                    \
    ((slice) >> 2 * NGX_HTTP_SP_QUOTA_BITS << NGX_HTTP_SP_QUOTA_TICK)
#define ngx_http_sp_quota_slice_size(slice)                                   \
    ((slice) >> NGX_HTTP_SP_QUOTA_BITS & NGX_HTTP_SP_QUOTA_MASK)
#define ngx_http_sp_quota_slice_left(slice)                                   \
    ((slice) & NGX_HTTP_SP_QUOTA_MASK)

#define ngx_http_sp_quota_slice_low(slice)                                    \
    (ngx_http_sp_quota_slice_size(slice) != NGX_HTTP_SP_QUOTA_PENDING         \
     && ngx_http_sp_quota_slice_left(slice)                                   \
        <= ngx_http_sp_quota_slice_size(slice) / 4)


static ngx_uint_t ngx_http_sp_quota_slice_rest(
    const ngx_http_sp_quota_ctx_t *ctx, uint64_t slice);
static void ngx_http_sp_quota_slice_look(ngx_http_sp_quota_ctx_t *ctx,
    ngx_uint_t left);


/* in the order of the time at which a limit is free */

int64_t
ngx_http_sp_quota_slice_until(uint64_t slice)
{
    return (int64_t) ngx_http_sp_quota_slice_end(slice) * 1000;
}


ngx_uint_t
ngx_http_sp_quota_slice_max(int64_t burst, ngx_uint_t percent)
{
    ngx_uint_t  max;

    max = (ngx_uint_t) burst * percent / 100;

    return (max < 2) ? 0 : ngx_min(max, NGX_HTTP_SP_QUOTA_UNITS);
}


ngx_uint_t
ngx_http_sp_quota_slice_spend(ngx_http_sp_quota_ctx_t *ctx, ngx_uint_t last)
{
    uint64_t                  slice;
    ngx_uint_t                left;
    ngx_http_sp_quota_cell_t  cell;

    if (!ngx_http_sp_quota_slice_cell(&cell, ctx, 0)) {
        return 0;
    }

    do {
        slice = ngx_http_sp_quota_read(&cell);
        left = ngx_http_sp_quota_slice_left(slice);

        if (left == 0
            || ngx_http_sp_quota_slice_end(slice) <= ngx_current_msec
            || (!last && ngx_http_sp_quota_slice_low(slice)))
        {
            return 0;
        }

    } while (!ngx_http_sp_quota_write(&cell, slice - 1));

    ngx_http_sp_quota_slice_look(ctx, left - 1);

    return 1;
}


ngx_uint_t
ngx_http_sp_quota_slice_unused(const ngx_http_sp_quota_ctx_t *ctx)
{
    ngx_http_sp_quota_cell_t  cell;

    if (!ngx_http_sp_quota_slice_cell(&cell, ctx, 0)) {
        return 0;
    }

    return ngx_http_sp_quota_slice_rest(ctx, ngx_http_sp_quota_read(&cell));
}


static ngx_uint_t
ngx_http_sp_quota_slice_rest(const ngx_http_sp_quota_ctx_t *ctx,
    uint64_t slice)
{
    ngx_uint_t  left;

    left = ngx_http_sp_quota_slice_left(slice);

    /* more than there may be: the policy was larger before a reload */

    return (ngx_http_sp_quota_slice_end(slice) > ngx_current_msec
            || left > ctx->policy->slice)
           ? 0 : left;
}


void
ngx_http_sp_quota_slice_want(ngx_http_sp_quota_ctx_t *ctx)
{
    uint64_t                  asking, end, slice;
    ngx_uint_t                i, left, max, size, unused;
    ngx_http_sp_quota_cell_t  cell;

    ctx->units = 1;

    max = ctx->policy->slice;

    if (max == 0) {
        return;
    }

    (void) ngx_http_sp_quota_slice_cell(&cell, ctx, 1);

    slice = ngx_http_sp_quota_read(&cell);

    size = 1;
    left = 0;
    end = ngx_current_msec + NGX_HTTP_SP_QUOTA_ASKING;

    if (ngx_http_sp_quota_slice_end(slice) > ngx_current_msec) {

        if (!ngx_http_sp_quota_slice_low(slice)) {

            /* another request asks, or has just been answered */

            return;
        }

        left = ngx_http_sp_quota_slice_left(slice);

        if (left != 0) {
            end = ngx_http_sp_quota_slice_end(slice);
        }

        size = ngx_min(2 * ngx_http_sp_quota_slice_size(slice), max);
        size = ngx_max(ngx_min(size, max - left + 1), 1);
    }

    asking = ngx_http_sp_quota_slice(end, NGX_HTTP_SP_QUOTA_PENDING, left);
    unused = ngx_http_sp_quota_slice_rest(ctx, slice);

    if (!ngx_http_sp_quota_write(&cell, asking)) {
        return;
    }

    ctx->units = size;
    ctx->unused = unused;
    ctx->slice = asking;

    for (i = 0; unused != 0 && i < ctx->policy->nlimits; i++) {
        ngx_http_sp_quota_forget(ctx->zone, ctx->hash,
                                 &ctx->policy->limits[i],
                                 unused * ctx->policy->gcra[i].interval);
    }
}


ngx_uint_t
ngx_http_sp_quota_slice_keep(const ngx_http_sp_quota_ctx_t *ctx,
    ngx_uint_t granted)
{
    uint64_t                  end, slice;
    ngx_uint_t                left, spare;
    ngx_http_sp_quota_cell_t  cell;

    spare = (granted > 1) ? granted - 1 : 0;

    if (ctx->slice == 0 || !ngx_http_sp_quota_slice_cell(&cell, ctx, 0)) {
        return spare;
    }

    do {
        slice = ngx_http_sp_quota_read(&cell);
        end = ngx_http_sp_quota_slice_end(slice);

        if (ngx_http_sp_quota_slice_size(slice) != NGX_HTTP_SP_QUOTA_PENDING
            || end != ngx_http_sp_quota_slice_end(ctx->slice))
        {
            /* Redis took too long: another request asks, these are lost */

            return spare;
        }

        left = ngx_http_sp_quota_slice_left(slice) + spare;

        if (granted != 0) {
            end = ngx_current_msec + NGX_HTTP_SP_QUOTA_LIFE;
        }

    } while (!ngx_http_sp_quota_write(&cell,
                                      ngx_http_sp_quota_slice(end, granted,
                                                              left)));

    return left;
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
