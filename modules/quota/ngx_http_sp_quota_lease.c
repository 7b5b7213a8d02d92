
/*
 * Copyright (C) Sallyport authors
 *
 * Leases: a client that asks again and again gets several units of Redis at
 * once, which are spent here, so that one hot client does not keep Redis busy.
 *
 * Units of a lease are charged before they are spent: no number of gateways
 * lets more pass than the limit, except that what each holds is spent a little
 * later than it was charged.  That is at most the configured percentage of the
 * smallest burst, one unit by default for a burst below 200, and what is left
 * at the end, NGX_HTTP_SP_QUOTA_LIFE after units were granted last, goes back
 * to Redis.
 *
 * A lease is part of the client's entry in the table, and changed under its
 * lock.  One request asks for more, and waits, while others spend the last
 * quarter.
 */

#include "ngx_http_sp_quota.h"


/* milliseconds: of units, of "asking" (longer than a deadline of Redis) */
#define NGX_HTTP_SP_QUOTA_LIFE    100
#define NGX_HTTP_SP_QUOTA_ASKING  1000

/* the largest lease */
#define NGX_HTTP_SP_QUOTA_UNITS   250


ngx_uint_t
ngx_http_sp_quota_lease_max(const ngx_http_sp_quota_policy_t *policy,
    ngx_uint_t percent)
{
    int64_t     burst;
    ngx_uint_t  i, max;

    /* what is held is given back one by one */

    if (policy->held) {
        return 0;
    }

    burst = policy->limits[0].burst;

    for (i = 1; i < policy->nlimits; i++) {
        burst = ngx_min(burst, policy->limits[i].burst);
    }

    max = (ngx_uint_t) burst * percent / 100;

    return (max < 2) ? 0 : ngx_min(max, NGX_HTTP_SP_QUOTA_UNITS);
}


ngx_uint_t
ngx_http_sp_quota_lease_take(const ngx_http_sp_quota_policy_t *policy,
    ngx_http_sp_quota_lease_t *lease, ngx_uint_t last)
{
    if (lease->policy != policy->id
        || lease->left == 0
        || lease->end <= ngx_current_msec)
    {
        return 0;
    }

    if (!last && lease->asking <= ngx_current_msec
        && lease->left <= lease->size / 4)
    {
        return 0;
    }

    lease->left--;

    return 1;
}


ngx_uint_t
ngx_http_sp_quota_lease_unused(const ngx_http_sp_quota_policy_t *policy,
    const ngx_http_sp_quota_lease_t *lease)
{
    /* more than there may be: the policy was larger before a reload */

    return (lease->policy != policy->id
            || lease->end > ngx_current_msec
            || lease->left > policy->lease)
           ? 0 : lease->left;
}


ngx_uint_t
ngx_http_sp_quota_lease_ask(const ngx_http_sp_quota_policy_t *policy,
    ngx_http_sp_quota_lease_t *lease, ngx_msec_t *asking)
{
    ngx_uint_t  size;

    *asking = 0;

    if (policy->lease == 0) {
        return 1;
    }

    if (lease->policy != policy->id) {
        ngx_memzero(lease, sizeof(ngx_http_sp_quota_lease_t));
        lease->policy = policy->id;
    }

    if (lease->asking > ngx_current_msec) {

        /* another request asks */

        return 1;
    }

    size = 1;

    if (lease->end > ngx_current_msec) {
        size = ngx_min(2 * lease->size, policy->lease);

        if (size + lease->left > policy->lease + 1) {
            size = policy->lease + 1 - ngx_min(lease->left, policy->lease);
        }

        size = ngx_max(size, 1);

    } else {
        lease->left = 0;
    }

    lease->asking = ngx_current_msec + NGX_HTTP_SP_QUOTA_ASKING;
    *asking = lease->asking;

    return size;
}


ngx_uint_t
ngx_http_sp_quota_lease_return(const ngx_http_sp_quota_policy_t *policy,
    ngx_http_sp_quota_lease_t *lease, ngx_msec_t asking, ngx_uint_t granted)
{
    ngx_uint_t  spare;

    spare = (granted > 1) ? granted - 1 : 0;

    if (asking == 0 || lease->asking != asking
        || lease->policy != policy->id)
    {
        /* Redis took too long: another request asks, these are lost */

        return spare;
    }

    lease->asking = 0;
    lease->size = granted;
    lease->left += spare;

    if (granted != 0) {
        lease->end = ngx_current_msec + NGX_HTTP_SP_QUOTA_LIFE;
    }

    return lease->left;
}
