
/*
 * Copyright (C) Sallyport authors
 */

#include "tap.h"

#include "sp_breaker.h"


static const sp_breaker_conf_t  conf = { 3, 10000, 5000, 20000 };


static void test_closed(void);
static void test_opens(void);
static void test_probe(void);
static void test_longer(void);
static void test_late(void);
static void test_hold(void);
static void test_torn(void);


int
main(void)
{
    test_closed();
    test_opens();
    test_probe();
    test_longer();
    test_late();
    test_hold();
    test_torn();

    return tap_done();
}


static void
fail(sp_breaker_t *b, int n, int64_t now)
{
    while (n-- > 0) {
        sp_breaker_fail(b, &conf, now, 0);
    }
}


static void
test_closed(void)
{
    sp_breaker_t       b = { 0, 0, 0, 0, 0 };
    sp_breaker_conf_t  off = { 0, 10000, 5000, 20000 };

    TAP_OK(sp_breaker_clean(&b), "zeroed memory is as new");
    TAP_IS_INT(sp_breaker_ready(&b, 100), 0, "asked");
    TAP_IS_INT(sp_breaker_take(&b, 100, 1000), 0, "by everybody");
    TAP_IS_INT(sp_breaker_take(&b, 100, 1000), 0, "at once");

    fail(&b, 2, 100);
    TAP_IS_INT(sp_breaker_ready(&b, 100), 0, "two failures are too few");
    TAP_OK(!sp_breaker_clean(&b), "but are kept");

    sp_breaker_pass(&b);
    TAP_OK(sp_breaker_clean(&b), "a success forgets them");

    fail(&b, 2, 200);
    fail(&b, 2, 10201);
    TAP_IS_INT(sp_breaker_ready(&b, 10201), 0, "those before the window, too");

    sp_breaker_fail(&b, &off, 10201, 0);
    sp_breaker_fail(&b, &off, 10201, 0);
    TAP_IS_INT(sp_breaker_ready(&b, 10201), 0, "max_fails 0: never opens");
}


static void
test_opens(void)
{
    sp_breaker_t  b = { 0, 0, 0, 0, 0 };

    fail(&b, 3, 1000);
    TAP_IS_INT(sp_breaker_ready(&b, 1000), 6000, "three open it, for 5 s");
    TAP_IS_INT(sp_breaker_take(&b, 5999, 1000), -1, "not asked");
    TAP_IS_INT(sp_breaker_ready(&b, 6000), 0, "until they are over");
}


static void
test_probe(void)
{
    sp_breaker_t  b = { 0, 0, 0, 0, 0 };

    fail(&b, 3, 1000);

    TAP_IS_INT(sp_breaker_take(&b, 6000, 700), 1, "one probe");
    TAP_IS_INT(sp_breaker_take(&b, 6000, 700), -1, "and no other");
    TAP_IS_INT(sp_breaker_ready(&b, 6001), 6700, "as long as its lease");
    TAP_IS_INT(sp_breaker_take(&b, 6700, 700), 1, "its holder is dead");

    sp_breaker_release(&b);
    TAP_IS_INT(sp_breaker_take(&b, 6701, 700), 1, "the client has left it");

    sp_breaker_alive(&b);
    TAP_IS_INT(sp_breaker_take(&b, 6702, 700), 0, "it answers: closed");
    TAP_OK(!sp_breaker_clean(&b), "but is remembered");

    fail(&b, 1, 6703);
    TAP_IS_INT(sp_breaker_ready(&b, 6703), 16703, "a cut answer opens it");

    sp_breaker_pass(&b);
    TAP_OK(sp_breaker_clean(&b), "one under way has answered: as new");
}


static void
test_longer(void)
{
    int           i;
    int64_t       now;
    sp_breaker_t  b = { 0, 0, 0, 0, 0 };

    static const int64_t  waits[] = { 10000, 20000, 20000 };

    fail(&b, 3, 1000);
    now = 6000;

    for (i = 0; i < 3; i++) {
        TAP_IS_INT(sp_breaker_take(&b, now, 700), 1, "probe %d", i);
        sp_breaker_fail(&b, &conf, now, 1);
        TAP_IS_INT(sp_breaker_ready(&b, now), now + waits[i],
                   "failed: longer, up to the longest");
        now += waits[i];
    }

    b.trips = UINT32_MAX - 1;
    TAP_IS_INT(sp_breaker_take(&b, now, 700), 1, "after a very long time");
    sp_breaker_fail(&b, &conf, now, 1);
    TAP_IS_INT(sp_breaker_ready(&b, now), now + 20000, "no overflow");
}


static void
test_late(void)
{
    sp_breaker_t  b = { 0, 0, 0, 0, 0 };

    fail(&b, 13, 1000);
    TAP_IS_INT(sp_breaker_ready(&b, 1000), 6000,
               "those that were under way do not make it longer");

    TAP_IS_INT(sp_breaker_take(&b, 6000, 700), 1, "a probe");
    fail(&b, 1, 6100);
    TAP_IS_INT(sp_breaker_take(&b, 6100, 700), -1,
               "nor let a second one through");
}


static void
test_hold(void)
{
    sp_breaker_t  b = { 0, 0, 0, 0, 0 };

    sp_breaker_hold(&b, 1000, 9000);
    TAP_IS_INT(sp_breaker_ready(&b, 1000), 10000, "when it wants");

    sp_breaker_hold(&b, 1000, 10);
    TAP_IS_INT(sp_breaker_ready(&b, 1000), 10000, "the longer one counts");

    sp_breaker_hold(&b, 1000, INT64_MAX);
    TAP_IS_INT(sp_breaker_ready(&b, 1000), 1000 + SP_BREAKER_LONGEST,
               "an hour at most");

    sp_breaker_pass(&b);
    sp_breaker_hold(&b, 1000, -5);
    TAP_IS_INT(sp_breaker_ready(&b, 1000), 1001, "never before now");
}


/* half of what a dead worker was about to write */

static void
test_torn(void)
{
    sp_breaker_t  b = { INT64_MAX, 0, 0, 0, 0 };
    sp_breaker_t  p = { 5, INT64_MAX, 0, 0, 0 };

    TAP_IS_INT(sp_breaker_ready(&b, 1000), 0, "a time too far is not kept");
    TAP_IS_INT(sp_breaker_take(&b, 1000, 10), 1, "one probe");
    TAP_IS_INT(sp_breaker_take(&p, 1000, 10), 1, "nor such a probe");

    b.until = -7;
    b.probe = -7;
    TAP_IS_INT(sp_breaker_take(&b, 1000, 10), 1, "nor one before the clock");

    b.since = INT64_MAX;
    b.fails = 2;
    b.trips = 0;
    b.until = 0;
    fail(&b, 1, 1000);
    TAP_IS_INT(sp_breaker_ready(&b, 1000), 0, "a window of the future is new");
}
