
/*
 * Copyright (C) Sallyport authors
 *
 * A circuit breaker: whether what has failed lately is asked again.
 *
 *     closed      asked.  "max_fails" failures within "window", with no
 *                 success between them, open it
 *     open        not asked before "until".  Each failed probe doubles the
 *                 time, up to "longest"
 *     half open   after "until" one probe is let through.  Its success
 *                 closes, its failure opens; where nobody tells how it went,
 *                 "lease" ms later there is another one
 *
 * Zeroed memory is a closed one.  There is nothing but numbers in it, so that
 * it may be shared by processes of which one dies while it writes: the worst
 * is a time that is wrong, and no time is believed further ahead of now than
 * SP_BREAKER_LONGEST.  Times are milliseconds of one clock that never goes
 * back; the caller locks.
 */

#ifndef _SP_BREAKER_H_INCLUDED_
#define _SP_BREAKER_H_INCLUDED_


#include <stdint.h>


/* an hour: whoever asks for longer is asked again by then */
#define SP_BREAKER_LONGEST  INT64_C(3600000)


typedef struct {
    int64_t      until;        /* open until then; 0: closed */
    int64_t      probe;        /* one is under way, until then; 0: none */
    int64_t      since;        /* the first failure of "fails" */
    uint32_t     fails;        /* since the last success */
    uint32_t     trips;        /* it opened, since the last success */
} sp_breaker_t;


typedef struct {
    uint32_t     max_fails;    /* 0: it never opens */
    int64_t      window;
    int64_t      cooldown;     /* open for so long at first */
    int64_t      longest;      /* .. and at most */
} sp_breaker_conf_t;


/* 0: may be asked now; else from when on */
int64_t sp_breaker_ready(const sp_breaker_t *b, int64_t now);

/*
 * To be called before it is asked: 0, by all means; 1, as the probe, how it
 * went is to be told; -1, not now.
 */
int sp_breaker_take(sp_breaker_t *b, int64_t now, int64_t lease);

/* the probe has found nothing out */
void sp_breaker_release(sp_breaker_t *b);

/* it has begun to answer: closed, the next failure opens it again */
void sp_breaker_alive(sp_breaker_t *b);

/* it has answered to the end: nothing is left of the failures before */
void sp_breaker_pass(sp_breaker_t *b);

/* "probe": what sp_breaker_take() has returned for it */
void sp_breaker_fail(sp_breaker_t *b, const sp_breaker_conf_t *conf,
    int64_t now, int probe);

/* it has said itself when it wants to be asked again, in "wait" ms */
void sp_breaker_hold(sp_breaker_t *b, int64_t now, int64_t wait);

/* as new */
int sp_breaker_clean(const sp_breaker_t *b);


#endif /* _SP_BREAKER_H_INCLUDED_ */
