
/*
 * Copyright (C) Sallyport authors
 *
 * quota: how many requests a user, or an address, may send, and how many may
 * be in flight at once.
 *
 *     _module.c   directives, variables, registration
 *     _conf.c     what the directives take
 *     _policy.c   the quota_policy block
 *     _step.c     the admit step: what happens to a request
 *     _key.c      which policy, whose limits
 *     _local.c    what this machine knows: deny cache, and without Redis
 *     _table.c    the table in shared memory that it is kept in
 *     _lease.c    several units at once for a client that asks often
 *     _redis.c    the server-side scripts: reserve and settle
 *     _hold.c     what a request holds until it ends
 *     _settle.c   tells Redis, also when that is away for a while
 *     _answer.c   header fields and the 429 answer
 */

#ifndef _NGX_HTTP_SP_QUOTA_H_INCLUDED_
#define _NGX_HTTP_SP_QUOTA_H_INCLUDED_


#include "ngx_http_sp_core.h"

#include "sp_gcra.h"


/* limits in one policy; the bits of a window in an id, 366 days in seconds */
#define NGX_HTTP_SP_QUOTA_LIMITS       8
#define NGX_HTTP_SP_QUOTA_WINDOW_BITS  25

/*
 * Shared memory lags behind Redis by a round trip.  What it says counts only
 * beyond this, so that the lag never adds up against a client.
 */
#define NGX_HTTP_SP_QUOTA_SLACK   100000    /* microseconds */


/* milliseconds */
#define NGX_HTTP_SP_QUOTA_MAX_HOLD  86400000


/* percent of a burst that one gateway may hold */
#define NGX_HTTP_SP_QUOTA_LEASE      1
#define NGX_HTTP_SP_QUOTA_MAX_LEASE  10


/*
 * What a limit counts.  A request is charged a cost of each kind: reserved
 * before it goes on, settled with what it was in the end, if that differs.
 */
typedef enum {
    NGX_HTTP_SP_QUOTA_REQUESTS = 0,
    NGX_HTTP_SP_QUOTA_CONCURRENCY,
    NGX_HTTP_SP_QUOTA_KINDS
} ngx_http_sp_quota_kind_e;


typedef int64_t  ngx_http_sp_quota_costs_t[NGX_HTTP_SP_QUOTA_KINDS];


/* what became of a request: $quota_result and a metric label */
typedef enum {
    NGX_HTTP_SP_QUOTA_NONE = 0,
    NGX_HTTP_SP_QUOTA_ALLOWED,
    NGX_HTTP_SP_QUOTA_DENIED,
    NGX_HTTP_SP_QUOTA_SHADOW,           /* would have been denied */
    NGX_HTTP_SP_QUOTA_LOCAL,            /* without Redis: allowed */
    NGX_HTTP_SP_QUOTA_LOCAL_DENIED,
    NGX_HTTP_SP_QUOTA_OPEN,
    NGX_HTTP_SP_QUOTA_CLOSED,
    NGX_HTTP_SP_QUOTA_RESULTS
} ngx_http_sp_quota_result_e;


/* quota_failure */
typedef enum {
    NGX_HTTP_SP_QUOTA_FAIL_LOCAL = 0,
    NGX_HTTP_SP_QUOTA_FAIL_OPEN,
    NGX_HTTP_SP_QUOTA_FAIL_CLOSED
} ngx_http_sp_quota_failure_e;


/* by= */
typedef enum {
    NGX_HTTP_SP_QUOTA_BY_DEFAULT = 0,   /* identity, where there is one */
    NGX_HTTP_SP_QUOTA_BY_IDENTITY,      /* else the address */
    NGX_HTTP_SP_QUOTA_BY_ADDRESS,
    NGX_HTTP_SP_QUOTA_BY_VALUE          /* of a variable, else the address */
} ngx_http_sp_quota_by_e;


typedef struct {
    ngx_http_sp_quota_kind_e      kind;
    uint32_t                      id;        /* of kind and window */
    ngx_str_t                     name;      /* "requests-60" */
    ngx_int_t                     units;
    ngx_int_t                     window;    /* seconds; 0: held */
    int64_t                       burst;     /* units that pass at once */
} ngx_http_sp_quota_limit_t;


typedef struct {
    ngx_str_t                     name;
    ngx_str_t                     header;    /* RateLimit-Policy */
    uint32_t                      id;        /* of the name, never 0 */
    ngx_uint_t                    lease;     /* units at most; 0: none */
    ngx_msec_t                    hold;      /* of what is held, at most */
    ngx_flag_t                    held;      /* one of the limits is */
    ngx_uint_t                    nlimits;
    ngx_http_sp_quota_limit_t     limits[NGX_HTTP_SP_QUOTA_LIMITS];
    sp_gcra_limit_t               gcra[NGX_HTTP_SP_QUOTA_LIMITS];
    ngx_sp_metric_t              *decisions[NGX_HTTP_SP_QUOTA_RESULTS];
    ngx_flag_t                    shadow;
} ngx_http_sp_quota_policy_t;


typedef struct {
    ngx_array_t                   policies;  /* of pointers to policies */
    ngx_sp_redis_t               *redis;     /* NULL: this machine only */
    ngx_uint_t                    lease;     /* percent of a burst */
    ngx_shm_zone_t               *zone;
    size_t                        size;
    ngx_msec_t                    hold;
    ngx_sp_metric_t              *latency;
    ngx_sp_metric_t              *errors;
    ngx_sp_metric_t              *unsettled;
} ngx_http_sp_quota_main_conf_t;


typedef struct {
    ngx_flag_t                    enable;
    ngx_http_sp_quota_policy_t   *policy;    /* fixed, or the default */
    ngx_http_complex_value_t     *choice;    /* names the policy, or NULL */
    ngx_http_complex_value_t     *value;     /* by=$variable */
    ngx_uint_t                    by;
    ngx_uint_t                    failure;
    ngx_str_t                     scope;     /* keys of their own */
    ngx_str_t                     name;      /* of policy, to be looked up */
    ngx_str_t                     file;      /* where "quota" stands */
    ngx_uint_t                    line;
} ngx_http_sp_quota_loc_conf_t;


typedef enum {
    NGX_HTTP_SP_QUOTA_START = 0,
    NGX_HTTP_SP_QUOTA_WAITING,
    NGX_HTTP_SP_QUOTA_DECIDED
} ngx_http_sp_quota_state_e;


typedef struct ngx_http_sp_quota_hold_s  ngx_http_sp_quota_hold_t;


/* what a request has reserved by a policy: until its end, in its pool */
struct ngx_http_sp_quota_hold_s {
    ngx_http_sp_quota_policy_t   *policy;
    uint64_t                      hash;      /* whose */
    ngx_str_t                     id;        /* of the reservation */
    ngx_str_t                     key;       /* in Redis: of the limits, */
    ngx_str_t                     record;    /* of the reservation */
    ngx_str_t                     open;      /* of those in flight */
    ngx_msec_t                    epoch;     /* when it was counted here */
    ngx_http_sp_quota_hold_t     *next;

    unsigned                      asked:1;   /* Redis may know the id */
    unsigned                      local:1;   /* counted in shared memory */
};


typedef struct {
    ngx_http_sp_quota_state_e     state;
    ngx_uint_t                    pass;      /* of the request */
    ngx_http_sp_quota_result_e    result;
    ngx_http_sp_quota_policy_t   *policy;
    ngx_str_t                     subject;   /* whose limits */
    ngx_str_t                     key;       /* of both in Redis */
    uint64_t                      hash;      /* of scope and subject */
    ngx_shm_zone_t               *zone;
    ngx_http_sp_quota_costs_t     costs;
    ngx_http_sp_quota_hold_t     *hold;      /* NULL: nothing is held */
    ngx_http_sp_quota_hold_t     *holds;     /* of the main request: all */
    ngx_sp_redis_op_t             op;

    /* what Redis is asked: set by ngx_http_sp_quota_known() */

    ngx_uint_t                    units;     /* wanted */
    ngx_uint_t                    unused;    /* given back */
    ngx_msec_t                    asking;    /* 0: for this request only */
    int64_t                       floors[NGX_HTTP_SP_QUOTA_LIMITS];

    /* what is decided */

    ngx_uint_t                    valid;     /* Redis has answered */
    ngx_uint_t                    allowed;
    sp_gcra_result_t              results[NGX_HTTP_SP_QUOTA_LIMITS];
} ngx_http_sp_quota_ctx_t;


/* units that are charged in Redis, and not spent yet */
typedef struct {
    ngx_msec_t                    end;       /* of the units */
    ngx_msec_t                    asking;    /* a request asks, until then */
    uint32_t                      policy;    /* whose units these are */
    uint32_t                      size;      /* granted last */
    uint32_t                      left;
} ngx_http_sp_quota_lease_t;


/* of a client, in shared memory */
typedef struct {
    int64_t                       until;     /* it says nothing after this */
    int64_t                       tats[NGX_HTTP_SP_QUOTA_LIMITS];
    uint32_t                      ids[NGX_HTTP_SP_QUOTA_LIMITS];
    ngx_http_sp_quota_lease_t     lease;
    ngx_msec_t                    epoch;
    uint32_t                      held[2];   /* since it, and before it */
} ngx_http_sp_quota_entry_t;


extern ngx_module_t  ngx_http_sp_quota_module;


extern const ngx_str_t  ngx_http_sp_quota_results[];


/* _conf.c */

char *ngx_http_sp_quota(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_sp_quota_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_sp_quota_check_zone(ngx_conf_t *cf, void *post, void *data);
char *ngx_http_sp_quota_check_hold(ngx_conf_t *cf, void *post, void *data);

void *ngx_http_sp_quota_create_main_conf(ngx_conf_t *cf);
char *ngx_http_sp_quota_init_main_conf(ngx_conf_t *cf, void *conf);
void *ngx_http_sp_quota_create_loc_conf(ngx_conf_t *cf);
char *ngx_http_sp_quota_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);

/* _policy.c */

char *ngx_http_sp_quota_policy(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_http_sp_quota_policy_t *ngx_http_sp_quota_find(
    const ngx_http_sp_quota_main_conf_t *qmcf, const ngx_str_t *name);

/* _step.c */

ngx_int_t ngx_http_sp_quota_run(ngx_http_request_t *r);

/* _key.c */

/* which policy: sets ctx->policy; NGX_OK or what the step returns */
ngx_int_t ngx_http_sp_quota_choose(ngx_http_request_t *r,
    ngx_http_sp_quota_ctx_t *ctx);

/* whose limits: sets subject, key and hash */
ngx_int_t ngx_http_sp_quota_subject(ngx_http_request_t *r,
    ngx_http_sp_quota_ctx_t *ctx);

/* _local.c: microseconds of this machine's clock */

int64_t ngx_http_sp_quota_now(void);

/*
 * Before Redis is asked: NGX_OK, a unit was charged before; NGX_DECLINED, the
 * limits are known to be used up; NGX_AGAIN, ask for ctx->units
 */
ngx_int_t ngx_http_sp_quota_known(ngx_http_sp_quota_ctx_t *ctx);

/*
 * After its answer, "states" by this machine's clock: sets ctx->allowed and
 * results.  Never moves a limit back.
 */
void ngx_http_sp_quota_learn(ngx_http_sp_quota_ctx_t *ctx,
    const int64_t *states, ngx_uint_t granted, int64_t now);

/* without an answer: 1, a unit was charged before */
ngx_uint_t ngx_http_sp_quota_paid(ngx_http_sp_quota_ctx_t *ctx);

/* without Redis: decides and charges here, 1 when all limits allow */
ngx_uint_t ngx_http_sp_quota_local(ngx_http_sp_quota_ctx_t *ctx);

/* _table.c */

char *ngx_http_sp_quota_table_add(ngx_conf_t *cf,
    ngx_http_sp_quota_main_conf_t *qmcf);
uint64_t ngx_http_sp_quota_hash(ngx_shm_zone_t *zone, const ngx_str_t *scope,
    const ngx_str_t *subject);

/*
 * The entry of a client, until unlock; NULL: there is none, only without
 * "create".  Locked in any case: nothing in between may wait, log or fail.
 */
ngx_http_sp_quota_entry_t *ngx_http_sp_quota_lock(ngx_shm_zone_t *zone,
    uint64_t hash, ngx_uint_t create);
void ngx_http_sp_quota_unlock(ngx_shm_zone_t *zone);

/* of a limit that is not held; 0 when nothing is known of it */
int64_t *ngx_http_sp_quota_tat(ngx_http_sp_quota_entry_t *entry,
    const ngx_http_sp_quota_limit_t *limit);

/* _lease.c: under the lock of the table */

/* the largest lease of a policy, in units */
ngx_uint_t ngx_http_sp_quota_lease_max(
    const ngx_http_sp_quota_policy_t *policy, ngx_uint_t percent);

/*
 * Spends a unit that was charged before: 1.  Without "last" it is 0 when there
 * are few, and nobody asks for more.
 */
ngx_uint_t ngx_http_sp_quota_lease_take(
    const ngx_http_sp_quota_policy_t *policy,
    ngx_http_sp_quota_lease_t *lease, ngx_uint_t last);

/* units that the next one to ask gives back: charged, and never spent */
ngx_uint_t ngx_http_sp_quota_lease_unused(
    const ngx_http_sp_quota_policy_t *policy,
    const ngx_http_sp_quota_lease_t *lease);

/* how many units to ask for; "asking": what return() is told */
ngx_uint_t ngx_http_sp_quota_lease_ask(
    const ngx_http_sp_quota_policy_t *policy,
    ngx_http_sp_quota_lease_t *lease, ngx_msec_t *asking);

/* of the units granted, one is this request's; how many are now left here */
ngx_uint_t ngx_http_sp_quota_lease_return(
    const ngx_http_sp_quota_policy_t *policy,
    ngx_http_sp_quota_lease_t *lease, ngx_msec_t asking, ngx_uint_t granted);

/* _redis.c */

/* reserves all limits or none; the op is done with ctx->valid set or not */
ngx_int_t ngx_http_sp_quota_ask(ngx_http_request_t *r,
    ngx_http_sp_quota_ctx_t *ctx);

/*
 * What it was in the end: the difference is charged or given back, once for
 * an id; "done" and "wake" of the op are the caller's
 */
void ngx_http_sp_quota_tell(ngx_sp_redis_t *redis, ngx_sp_redis_op_t *op,
    const ngx_http_sp_quota_hold_t *hold,
    const ngx_http_sp_quota_costs_t costs);
void ngx_http_sp_quota_script_init(void);

/* _settle.c */

/*
 * The same for a request that is gone: nobody waits for it.  What Redis does
 * not hear of, after the worker was killed for instance, stays reserved.
 */
void ngx_http_sp_quota_settle(ngx_http_sp_quota_main_conf_t *qmcf,
    const ngx_http_sp_quota_hold_t *hold,
    const ngx_http_sp_quota_costs_t costs);

/* _hold.c */

/*
 * Sets ctx->hold to what the request has by this policy, made if there is
 * nothing and "create".  It is the main request's, whichever part asks, so an
 * id that is asked for again is charged once.
 */
ngx_int_t ngx_http_sp_quota_hold(ngx_http_request_t *r,
    ngx_http_sp_quota_ctx_t *ctx, ngx_uint_t create);

/* under the lock of the table: how many are held; one more */
int64_t ngx_http_sp_quota_held(const ngx_http_sp_quota_policy_t *policy,
    ngx_http_sp_quota_entry_t *entry);
void ngx_http_sp_quota_hold_take(ngx_http_sp_quota_hold_t *hold,
    ngx_http_sp_quota_entry_t *entry);

/* the end hook: all of them are given back */
void ngx_http_sp_quota_end(ngx_http_request_t *r,
    const ngx_http_sp_outcome_t *outcome);

/* _answer.c */

ngx_int_t ngx_http_sp_quota_headers(ngx_http_request_t *r,
    const ngx_http_sp_quota_ctx_t *ctx);
ngx_int_t ngx_http_sp_quota_deny(ngx_http_request_t *r,
    const ngx_http_sp_quota_ctx_t *ctx);

typedef enum {
    NGX_HTTP_SP_QUOTA_VAR_POLICY = 0,
    NGX_HTTP_SP_QUOTA_VAR_RESULT,
    NGX_HTTP_SP_QUOTA_VAR_REMAINING
} ngx_http_sp_quota_var_e;

/* NGX_DECLINED: no such value for this request */
ngx_int_t ngx_http_sp_quota_value(ngx_http_request_t *r,
    const ngx_http_sp_quota_ctx_t *ctx, ngx_uint_t which, ngx_str_t *value);


#endif /* _NGX_HTTP_SP_QUOTA_H_INCLUDED_ */
