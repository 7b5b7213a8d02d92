
/*
 * Copyright (C) Sallyport authors
 */

#include "sp_gcra.h"


static void sp_gcra_held(const sp_gcra_limit_t *limit, int64_t held,
    int64_t cost, sp_gcra_result_t *result);


int
sp_gcra_limit(int64_t units, int64_t period, int64_t burst,
    sp_gcra_limit_t *limit)
{
    limit->interval = 0;
    limit->capacity = 0;

    if (units < 1 || units > SP_GCRA_MAX_UNITS
        || period < 1 || period > SP_GCRA_MAX_PERIOD
        || burst < 0 || burst > SP_GCRA_MAX_UNITS)
    {
        return -1;
    }

    /* units / period > rate / second, without division; fits 63 bits */

    if (units * SP_GCRA_SECOND > period * SP_GCRA_MAX_RATE) {
        return -1;
    }

    if (burst == 0) {
        burst = units;
    }

    limit->interval = (period + units - 1) / units;

    if (limit->interval > 2 * SP_GCRA_MAX_PERIOD / burst) {
        limit->interval = 0;
        return -1;
    }

    limit->capacity = limit->interval * burst;

    return 0;
}


void
sp_gcra(const sp_gcra_limit_t *limit, int64_t tat, int64_t now, int64_t cost,
    sp_gcra_result_t *result)
{
    int64_t  ahead, need;

    if (limit->interval == 0) {
        sp_gcra_held(limit, tat, cost, result);
        return;
    }

    ahead = (tat > now) ? tat - now : 0;

    result->tat = tat;
    result->retry = 0;
    result->allowed = 1;

    if (cost > limit->capacity / limit->interval) {
        result->allowed = 0;
        result->retry = -1;

    } else {
        need = ahead + cost * limit->interval;

        if (need > limit->capacity && cost > 0) {
            result->allowed = 0;
            result->retry = need - limit->capacity;

        } else if (cost > 0) {
            ahead = need;
            result->tat = now + need;
        }
    }

    result->remaining = (ahead < limit->capacity)
                        ? (limit->capacity - ahead) / limit->interval : 0;
    result->reset = ahead;
}


static void
sp_gcra_held(const sp_gcra_limit_t *limit, int64_t held, int64_t cost,
    sp_gcra_result_t *result)
{
    result->retry = 0;
    result->reset = 0;
    result->allowed = 1;

    if (cost > limit->capacity) {
        result->allowed = 0;
        result->retry = -1;

    } else if (cost > 0 && cost > limit->capacity - held) {
        result->allowed = 0;
        result->retry = SP_GCRA_SECOND;

    } else {
        held += cost;
    }

    result->tat = held;
    result->remaining = (held < limit->capacity) ? limit->capacity - held : 0;
}


int
sp_gcra_all(const sp_gcra_limit_t *limits, const int64_t *tats,
    const int64_t *costs, size_t n, int64_t now, sp_gcra_result_t *results)
{
    int     allowed;
    size_t  i;

    allowed = 1;

    for (i = 0; i < n; i++) {
        sp_gcra(&limits[i], tats[i], now, (costs != NULL) ? costs[i] : 0,
                &results[i]);

        if (!results[i].allowed) {
            allowed = 0;
        }
    }

    if (allowed) {
        return 1;
    }

    for (i = 0; i < n; i++) {
        if (results[i].allowed) {
            sp_gcra(&limits[i], tats[i], now, 0, &results[i]);
        }
    }

    return 0;
}
