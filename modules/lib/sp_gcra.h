
/*
 * Copyright (C) Sallyport authors
 *
 * GCRA, the generic cell rate algorithm, in integer microseconds.  The whole
 * state of a limit is one number, the "theoretical arrival time" (tat): the
 * moment at which the limit is completely free again.  A unit moves it by
 * "interval"; it may never be further ahead of now than "capacity".
 *
 * A limit of N units per period with a burst of B passes B units at once and
 * then N per period, so in any stretch of t at most B + t * N / period.
 *
 * A limit with an interval of 0 is one of units that are held until they are
 * given back: its "tat" is how many are held, its capacity how many may be.
 */

#ifndef _SP_GCRA_H_INCLUDED_
#define _SP_GCRA_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/* above it the interval, rounded up to 1 us, would be off by more than 1 % */
#define SP_GCRA_MAX_RATE    10000               /* units per second */
#define SP_GCRA_MAX_UNITS   1000000000          /* in a period or a burst */
#define SP_GCRA_MAX_PERIOD  (366 * INT64_C(86400000000))
#define SP_GCRA_SECOND      INT64_C(1000000)


typedef struct {
    int64_t       interval;    /* microseconds per unit; 0: held */
    int64_t       capacity;    /* interval * burst; units, if held */
} sp_gcra_limit_t;


typedef struct {
    int64_t       tat;         /* to be stored; unchanged when denied */
    int64_t       remaining;   /* units that would pass now */
    int64_t       reset;       /* microseconds until completely free */
    int64_t       retry;       /* until "cost" passes; 0: now; -1: never */
    int           allowed;
} sp_gcra_result_t;


/*
 * In:  units per period (microseconds), burst (0: the same as units).
 * Out: *limit; the interval is rounded up, so a limit is never exceeded.
 * Returns 0, or -1 when out of the range given by the macros above.
 */
int sp_gcra_limit(int64_t units, int64_t period, int64_t burst,
    sp_gcra_limit_t *limit);

/*
 * Decides "cost" units; cost 0 only looks.  A tat of the past or of nowhere
 * (0) is a free limit.  A tat further ahead than the capacity, left by a
 * larger limit of the same name, is a limit used up until time has caught up.
 * Nobody knows when held units come back: "retry" is a second then.
 */
void sp_gcra(const sp_gcra_limit_t *limit, int64_t tat, int64_t now,
    int64_t cost, sp_gcra_result_t *result);

/*
 * All or nothing: the results are as of sp_gcra(), but when one limit denies
 * no tat moves, and "remaining" and "reset" are those before the request.
 * "costs" are those of each limit, NULL only looks.  Returns 1 when all allow.
 */
int sp_gcra_all(const sp_gcra_limit_t *limits, const int64_t *tats,
    const int64_t *costs, size_t n, int64_t now, sp_gcra_result_t *results);


#endif /* _SP_GCRA_H_INCLUDED_ */
