
/*
 * Copyright (C) Sallyport authors
 */

#include "tap.h"

#include "sp_gcra.h"


static void test_limit(void);
static void test_decide(void);
static void test_never_more(void);
static void test_held(void);
static void test_all(void);


int
main(void)
{
    test_limit();
    test_decide();
    test_never_more();
    test_held();
    test_all();

    return tap_done();
}


static void
test_limit(void)
{
    size_t           i;
    sp_gcra_limit_t  limit;

    static const struct {
        int64_t      units;
        int64_t      period;
        int64_t      burst;
        int64_t      interval;      /* 0: refused */
        int64_t      capacity;
        const char  *name;
    } cases[] = {
        { 60, 60 * SP_GCRA_SECOND, 0, 1000000, 60000000, "60/m" },
        { 2000, 3600 * SP_GCRA_SECOND, 0, 1800000, 3600000000, "2000/h" },
        { 60, 60 * SP_GCRA_SECOND, 10, 1000000, 10000000, "burst 10" },
        { 7, 60 * SP_GCRA_SECOND, 1, 8571429, 8571429, "rounded up" },
        { 10000, SP_GCRA_SECOND, 0, 100, 1000000, "the highest rate" },
        { 10001, SP_GCRA_SECOND, 0, 0, 0, "above the highest rate" },
        { 0, SP_GCRA_SECOND, 0, 0, 0, "no units" },
        { -1, SP_GCRA_SECOND, 0, 0, 0, "negative units" },
        { 1, 0, 0, 0, 0, "no period" },
        { 1, SP_GCRA_MAX_PERIOD + 1, 0, 0, 0, "period too long" },
        { 1, SP_GCRA_MAX_PERIOD, SP_GCRA_MAX_UNITS, 0, 0, "overflow" },
        { 1, SP_GCRA_SECOND, -1, 0, 0, "negative burst" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        TAP_IS_INT(sp_gcra_limit(cases[i].units, cases[i].period,
                                 cases[i].burst, &limit),
                   cases[i].interval ? 0 : -1, "%s: status", cases[i].name);
        TAP_IS_INT(limit.interval, cases[i].interval, "%s: interval",
                   cases[i].name);
        TAP_IS_INT(limit.capacity, cases[i].capacity, "%s: capacity",
                   cases[i].name);
    }
}


static void
test_decide(void)
{
    size_t            i;
    sp_gcra_limit_t   limit;
    sp_gcra_result_t  r;

    /* 10 per 10 s, three at once; seconds for short */

    static const struct {
        int64_t       tat;
        int64_t       now;
        int64_t       cost;
        int           allowed;
        int64_t       new_tat;
        int64_t       remaining;
        int64_t       reset;
        int64_t       retry;
        const char   *name;
    } cases[] = {
        { 0, 100, 1, 1, 101, 2, 1, 0, "first" },
        { 101, 100, 1, 1, 102, 1, 2, 0, "second" },
        { 102, 100, 1, 1, 103, 0, 3, 0, "third" },
        { 103, 100, 1, 0, 103, 0, 3, 1, "fourth is denied" },
        { 103, 101, 1, 1, 104, 0, 3, 0, "and passes a second later" },
        { 50, 100, 1, 1, 101, 2, 1, 0, "long idle is not saved up" },
        { 0, 100, 3, 1, 103, 0, 3, 0, "cost 3" },
        { 101, 100, 3, 0, 101, 2, 1, 1, "cost 3, one too many" },
        { 0, 100, 4, 0, 0, 3, 0, -1, "cost above the burst never passes" },
        { 103, 100, 0, 1, 103, 0, 3, 0, "cost 0 looks at a full one" },
        { 0, 100, 0, 1, 0, 3, 0, 0, "cost 0 looks at a free one" },
        { 110, 100, 1, 0, 110, 0, 10, 8, "tat of a larger limit" },
        { 110, 100, 0, 1, 110, 0, 10, 0, "cost 0 and a larger limit" }
    };

    TAP_IS_INT(sp_gcra_limit(10, 10 * SP_GCRA_SECOND, 3, &limit), 0,
               "10 per 10 s, burst 3");

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sp_gcra(&limit, cases[i].tat * SP_GCRA_SECOND,
                cases[i].now * SP_GCRA_SECOND, cases[i].cost, &r);

        TAP_IS_INT(r.allowed, cases[i].allowed, "%s", cases[i].name);
        TAP_IS_INT(r.tat, cases[i].new_tat * SP_GCRA_SECOND, "%s: tat",
                   cases[i].name);
        TAP_IS_INT(r.remaining, cases[i].remaining, "%s: remaining",
                   cases[i].name);
        TAP_IS_INT(r.reset, cases[i].reset * SP_GCRA_SECOND, "%s: reset",
                   cases[i].name);
        TAP_IS_INT(r.retry, cases[i].retry < 0
                            ? -1 : cases[i].retry * SP_GCRA_SECOND,
                   "%s: retry", cases[i].name);
    }
}


/* however the requests arrive: at most burst + t / interval in any stretch */

static void
test_never_more(void)
{
    int64_t           now, passed, start, tat, worst;
    uint32_t          seed, step;
    sp_gcra_limit_t   limit;
    sp_gcra_result_t  r;

    TAP_IS_INT(sp_gcra_limit(7, SP_GCRA_SECOND, 5, &limit), 0, "7/s burst 5");

    worst = 0;
    seed = 1;

    for (step = 1; step < 2000000; step *= 3) {
        start = 1700000000 * SP_GCRA_SECOND;
        now = start;
        tat = 0;
        passed = 0;

        while (now < start + 20 * SP_GCRA_SECOND && now < start + step * 5000)
        {
            sp_gcra(&limit, tat, now, 1, &r);
            tat = r.tat;
            passed += r.allowed;

            if (passed - 5 - (now - start) / limit.interval > worst) {
                worst = passed - 5 - (now - start) / limit.interval;
            }

            seed = seed * 1664525 + 1013904223;
            now += (seed >> 8) % step + 1;
        }
    }

    TAP_IS_INT(worst, 0, "never one more than burst + t / interval");

    sp_gcra(&limit, tat, now, 1000000, &r);
    TAP_IS_INT(r.retry, -1, "an absurd cost");
}


static void
test_held(void)
{
    size_t            i;
    sp_gcra_limit_t   limit;
    sp_gcra_result_t  r;

    static const struct {
        int64_t       held;
        int64_t       cost;
        int           allowed;
        int64_t       now_held;
        int64_t       remaining;
        int64_t       retry;
        const char   *name;
    } cases[] = {
        { 0, 1, 1, 1, 2, 0, "held: the first" },
        { 2, 1, 1, 3, 0, 0, "held: the last" },
        { 3, 1, 0, 3, 0, SP_GCRA_SECOND, "held: one too many" },
        { 5, 1, 0, 5, 0, SP_GCRA_SECOND, "held: the limit was larger" },
        { 3, 0, 1, 3, 0, 0, "held: a look" },
        { 5, 0, 1, 5, 0, 0, "held: a look at too many" },
        { 1, 2, 1, 3, 0, 0, "held: two at once" },
        { 2, 2, 0, 2, 1, SP_GCRA_SECOND, "held: two of one" },
        { 0, 4, 0, 0, 3, -1, "held: more than there are" }
    };

    limit.interval = 0;
    limit.capacity = 3;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sp_gcra(&limit, cases[i].held, 1000000, cases[i].cost, &r);

        TAP_IS_INT(r.allowed, cases[i].allowed, "%s", cases[i].name);
        TAP_IS_INT(r.tat, cases[i].now_held, "%s: held", cases[i].name);
        TAP_IS_INT(r.remaining, cases[i].remaining, "%s: remaining",
                   cases[i].name);
        TAP_IS_INT(r.retry, cases[i].retry, "%s: retry", cases[i].name);
        TAP_IS_INT(r.reset, 0, "%s: no reset", cases[i].name);
    }
}


static void
test_all(void)
{
    int64_t           tats[2];
    sp_gcra_limit_t   limits[2];
    sp_gcra_result_t  r[2];

    static const int64_t  one[] = { 1, 1 };
    static const int64_t  second[] = { 0, 1 };

    sp_gcra_limit(2, SP_GCRA_SECOND, 0, &limits[0]);
    sp_gcra_limit(1, 60 * SP_GCRA_SECOND, 0, &limits[1]);

    tats[0] = 0;
    tats[1] = 0;

    TAP_IS_INT(sp_gcra_all(limits, tats, one, 2, 1000000, r), 1, "both allow");
    TAP_IS_INT(r[0].tat, 1500000, "the first is charged");
    TAP_IS_INT(r[1].tat, 61000000, "the second is charged");

    tats[0] = r[0].tat;
    tats[1] = r[1].tat;

    TAP_IS_INT(sp_gcra_all(limits, tats, one, 2, 1000000, r), 0, "one denies");
    TAP_IS_INT(r[0].allowed, 1, "the first would allow");
    TAP_IS_INT(r[0].tat, 1500000, "and is not charged");
    TAP_IS_INT(r[0].remaining, 1, "and shows what is left");
    TAP_IS_INT(r[1].allowed, 0, "the second denies");
    TAP_IS_INT(r[1].retry, 60000000, "and says for how long");

    TAP_IS_INT(sp_gcra_all(limits, tats, NULL, 2, 1000000, r), 1, "a look");
    TAP_IS_INT(r[1].tat, 61000000, "charges nobody");

    limits[1].interval = 0;
    limits[1].capacity = 4;
    tats[1] = 3;

    TAP_IS_INT(sp_gcra_all(limits, tats, second, 2, 1000000, r), 1,
               "each limit has a cost of its own");
    TAP_IS_INT(r[0].tat, 1500000, "the first has none");
    TAP_IS_INT(r[1].tat, 4, "the second is held");
}
