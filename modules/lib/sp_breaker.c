
/*
 * Copyright (C) Sallyport authors
 */

#include "sp_breaker.h"


/* 2^20 of any time is longer than SP_BREAKER_LONGEST */
#define SP_BREAKER_DOUBLED  20


static int64_t sp_breaker_until(int64_t now, int64_t wait);


int64_t
sp_breaker_ready(const sp_breaker_t *b, int64_t now)
{
    int64_t  until;

    if (b->until == 0) {
        return 0;
    }

    until = (b->until > now) ? b->until : b->probe;

    if (until <= now || until > now + SP_BREAKER_LONGEST) {
        return 0;
    }

    return until;
}


int
sp_breaker_take(sp_breaker_t *b, int64_t now, int64_t lease)
{
    if (b->until == 0) {
        return 0;
    }

    if (sp_breaker_ready(b, now) != 0) {
        return -1;
    }

    b->until = now;
    b->probe = sp_breaker_until(now, lease);

    return 1;
}


void
sp_breaker_release(sp_breaker_t *b)
{
    b->probe = 0;
}


void
sp_breaker_alive(sp_breaker_t *b)
{
    b->until = 0;
    b->probe = 0;
}


void
sp_breaker_pass(sp_breaker_t *b)
{
    b->until = 0;
    b->probe = 0;
    b->since = 0;
    b->fails = 0;
    b->trips = 0;
}


void
sp_breaker_fail(sp_breaker_t *b, const sp_breaker_conf_t *conf, int64_t now,
    int probe)
{
    int64_t   wait;
    uint32_t  n;

    if (probe) {
        b->probe = 0;
    }

    if (conf->max_fails == 0) {
        return;
    }

    /* a probe, and what has not been seen to the end since, has one try */

    if (b->trips == 0) {

        if (b->fails == 0 || now - b->since > conf->window
            || now < b->since)
        {
            b->fails = 0;
            b->since = now;
        }

        b->fails++;

        if (b->fails < conf->max_fails) {
            return;
        }
    }

    /* those that were under way when it opened do not make it longer */

    if (b->trips != 0 && sp_breaker_ready(b, now) != 0) {
        return;
    }

    n = (b->trips < SP_BREAKER_DOUBLED) ? b->trips : SP_BREAKER_DOUBLED;
    wait = conf->cooldown << n;

    if (wait > conf->longest) {
        wait = conf->longest;
    }

    b->trips++;
    b->until = sp_breaker_until(now, wait);
}


void
sp_breaker_hold(sp_breaker_t *b, int64_t now, int64_t wait)
{
    int64_t  until;

    until = sp_breaker_until(now, wait);

    b->probe = 0;
    b->trips++;

    if (b->until < until || b->until > now + SP_BREAKER_LONGEST) {
        b->until = until;
    }
}


int
sp_breaker_clean(const sp_breaker_t *b)
{
    return b->until == 0 && b->probe == 0 && b->fails == 0 && b->trips == 0;
}


/* never 0, which is closed */

static int64_t
sp_breaker_until(int64_t now, int64_t wait)
{
    if (wait < 1) {
        wait = 1;
    }

    if (wait > SP_BREAKER_LONGEST) {
        wait = SP_BREAKER_LONGEST;
    }

    return now + wait;
}
