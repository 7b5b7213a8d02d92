
/*
 * Copyright (C) Sallyport authors
 *
 * Part of ngx_http_sp_core.h: where a request for a model goes, try by try,
 * and what became of each.
 *
 * A try is a target and one of its provider's keys.  How targets and keys
 * have done lately is in memory that all workers share, by name, through
 * reloads:
 *
 *     a key            refused (401, 402, 403)
 *     a key at a
 *     target           limited (429), until Retry-After
 *     a target         has failed max_fails times within fail_timeout
 *
 * What cools down is passed over while there is another.  Once for a request,
 * where there is none, the one that is ready first is tried all the same.
 */

#ifndef _NGX_HTTP_SP_CORE_ROUTE_H_INCLUDED_
#define _NGX_HTTP_SP_CORE_ROUTE_H_INCLUDED_


typedef struct ngx_http_sp_target_s    ngx_http_sp_target_t;
typedef struct ngx_http_sp_model_s     ngx_http_sp_model_t;
typedef struct ngx_http_sp_key_s       ngx_http_sp_key_t;
typedef struct ngx_http_sp_breaker_s   ngx_http_sp_breaker_t;


/* tries of one request, unless it says otherwise; and the longest to repeat */
#define NGX_HTTP_SP_ROUTE_TRIES   4
#define NGX_HTTP_SP_ROUTE_WITHIN  30000


/* why a try has failed: "class" of the ledger's attempts and of metrics */

typedef enum {
    NGX_HTTP_SP_FAILURE_NONE = 0,
    NGX_HTTP_SP_FAILURE_CREDENTIALS,
    NGX_HTTP_SP_FAILURE_RATE_LIMIT,
    NGX_HTTP_SP_FAILURE_OVERLOADED,      /* 503, 529 */
    NGX_HTTP_SP_FAILURE_SERVER,          /* any other status */
    NGX_HTTP_SP_FAILURE_NOT_FOUND,       /* 404: the model */
    NGX_HTTP_SP_FAILURE_REQUEST,         /* 400, 413, 422: the client's */
    NGX_HTTP_SP_FAILURE_UNREACHABLE,     /* or closed before an answer */
    NGX_HTTP_SP_FAILURE_CONNECT_TIMEOUT,
    NGX_HTTP_SP_FAILURE_SEND_TIMEOUT,
    NGX_HTTP_SP_FAILURE_FIRST_BYTE_TIMEOUT,
    NGX_HTTP_SP_FAILURE_READ_TIMEOUT,    /* between bytes */
    NGX_HTTP_SP_FAILURE_TOTAL_TIMEOUT,
    NGX_HTTP_SP_FAILURE_ANSWER,          /* not of its dialect */
    NGX_HTTP_SP_FAILURE_ERROR,           /* an error inside of an answer */
    NGX_HTTP_SP_FAILURE_CUT,
    NGX_HTTP_SP_FAILURE_UNSUPPORTED,     /* its dialect cannot say it */
    NGX_HTTP_SP_FAILURE_CLIENT,          /* the client left */
    NGX_HTTP_SP_FAILURE_GATEWAY,         /* ours: it says nothing of it */
    NGX_HTTP_SP_FAILURES
} ngx_http_sp_failure_e;


/* one try; the first part is set by whoever makes it */

typedef struct {
    ngx_uint_t                     status;      /* of HTTP; 0: none came */
    ngx_msec_t                     retry_after; /* it asks for; 0: nothing */
    int64_t                        prompt_tokens;     /* -1: not told */
    int64_t                        completion_tokens;

    const ngx_http_sp_target_t    *target;
    const ngx_http_sp_key_t       *key;
    ngx_http_sp_failure_e          failure;
    ngx_msec_t                     started;     /* ngx_current_msec */
    ngx_msec_t                     first_byte;  /* since started */
    ngx_msec_t                     total;
    char                           span[SP_TRACE_SPAN];  /* that the target was
                                                   told; zeros: none */
    unsigned                       begun:1;     /* first_byte is known */
    unsigned                       ended:1;

    /* private: what it probes */

    unsigned                       forced:1;    /* asked while it cools down */
    unsigned                       probe_target:1;
    unsigned                       probe_key:1;
    unsigned                       probe_limit:1;
} ngx_http_sp_attempt_t;


/* memory of its owner, zeroed before its first start */

typedef struct {
    ngx_uint_t                     tries;       /* at most, but for those that
                                                   find a key refused: of each
                                                   key there is one */
    ngx_msec_t                     within;      /* a longer one is the last */
    ngx_msec_t                     timeout;     /* of all; 0: none */

    const ngx_http_sp_model_t     *model;
    ngx_array_t                   *attempts;    /* attempt_t *, of all
                                                   starts */
    ngx_uint_t                     tried;       /* since this one */
    ngx_msec_t                     started;

    /* private */

    ngx_pool_t                    *pool;
    const ngx_http_sp_target_t   **targets;     /* in the order drawn */
    uint32_t                      *asked;       /* keys, by target */
    ngx_uint_t                     ntargets;
    ngx_uint_t                     spent;       /* of "tries" */
    ngx_uint_t                     turn;        /* the first key's */
    unsigned                       forced:1;
} ngx_http_sp_route_t;


/* "tries" and the like are set; attempts of a start before are kept */
ngx_int_t ngx_http_sp_route_start(ngx_http_sp_route_t *route,
    ngx_pool_t *pool, const ngx_http_sp_model_t *model);

/* the next try, begun; NULL: there is none, or no memory */
ngx_http_sp_attempt_t *ngx_http_sp_route_next(ngx_http_sp_route_t *route);

/*
 * Whether there would be one if the last try ends, or has ended, with
 * "failure"; NONE: with one of the target's.
 */
ngx_uint_t ngx_http_sp_route_more(const ngx_http_sp_route_t *route,
    ngx_http_sp_failure_e failure);

/* tries that may follow, at most */
ngx_uint_t ngx_http_sp_route_left(const ngx_http_sp_route_t *route);

/* ms until a target of the model is ready; 0: one is */
ngx_msec_t ngx_http_sp_route_wait(const ngx_http_sp_model_t *model);

/* the last one; NULL: none */
ngx_http_sp_attempt_t *ngx_http_sp_route_last(
    const ngx_http_sp_route_t *route);


/* an answer that may be passed on has begun */
void ngx_http_sp_attempt_begun(ngx_http_sp_attempt_t *attempt);

/* it is over; the second call does nothing */
void ngx_http_sp_attempt_end(ngx_http_sp_attempt_t *attempt,
    ngx_http_sp_failure_e failure);

/* of an answer with this status */
ngx_http_sp_failure_e ngx_http_sp_failure_status(ngx_uint_t status);

const char *ngx_http_sp_failure_name(ngx_http_sp_failure_e failure);

/* from 1, in the order of the configuration; 0: the provider wants none */
ngx_uint_t ngx_http_sp_attempt_key(const ngx_http_sp_attempt_t *attempt);

/*
 * Retry-After (RFC 9110, 10.2.3: seconds or a date) or, where "ms",
 * retry-after-ms: milliseconds; 0: it is none.  At most a day.
 */
ngx_msec_t ngx_http_sp_retry_hint(const ngx_str_t *value, ngx_uint_t ms);


#endif /* _NGX_HTTP_SP_CORE_ROUTE_H_INCLUDED_ */
