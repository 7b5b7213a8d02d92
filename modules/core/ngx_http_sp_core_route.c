
/*
 * Copyright (C) Sallyport authors
 *
 * The order in which the targets of a model, and the keys of each, are tried.
 */


#include "ngx_http_sp_core_int.h"


/* a target and one of its keys, and when they may be asked */

typedef struct {
    ngx_uint_t                    target;
    ngx_uint_t                    key;
    ngx_msec_t                    wait;
} ngx_http_sp_choice_t;


static ngx_int_t ngx_http_sp_route_choose(const ngx_http_sp_route_t *route,
    const uint32_t *asked, ngx_http_sp_choice_t *choice);
static ngx_uint_t ngx_http_sp_route_strike(const ngx_http_sp_route_t *route,
    ngx_http_sp_failure_e failure, uint32_t *asked);
static ngx_http_sp_attempt_t *ngx_http_sp_route_attempt(
    ngx_http_sp_route_t *route, const ngx_http_sp_choice_t *choice);
static ngx_msec_t ngx_http_sp_route_key_wait(
    const ngx_http_sp_target_t *target, ngx_uint_t key);


#define ngx_http_sp_route_counts(failure)                                     \
    ((failure) != NGX_HTTP_SP_FAILURE_CREDENTIALS)

#define ngx_http_sp_route_keys(target)  (target)->provider->keys.nelts

/* NGX_HTTP_SP_PROVIDER_KEYS are bits of a word */
#define ngx_http_sp_route_all(n)                                              \
    (((n) == 32) ? 0xffffffff : ((uint32_t) 1 << (n)) - 1)


ngx_int_t
ngx_http_sp_route_start(ngx_http_sp_route_t *route, ngx_pool_t *pool,
    const ngx_http_sp_model_t *model)
{
    route->pool = pool;
    route->model = model;
    route->ntargets = model->targets.nelts;
    route->started = ngx_current_msec;
    route->tried = 0;
    route->spent = 0;
    route->forced = 0;
    route->turn = (ngx_uint_t) ngx_random();

    route->targets = ngx_palloc(pool, route->ntargets * sizeof(void *));
    route->asked = ngx_pcalloc(pool, route->ntargets * sizeof(uint32_t));

    if (route->targets == NULL || route->asked == NULL) {
        return NGX_ERROR;
    }

    if (route->attempts == NULL) {
        route->attempts = ngx_array_create(pool, 2, sizeof(void *));
        if (route->attempts == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_http_sp_model_order(model, route->targets);

    return NGX_OK;
}


ngx_http_sp_attempt_t *
ngx_http_sp_route_next(ngx_http_sp_route_t *route)
{
    ngx_http_sp_choice_t    choice;
    ngx_http_sp_attempt_t  *attempt;

    if (route->tried != 0) {
        attempt = ngx_http_sp_route_last(route);
        (void) ngx_http_sp_route_strike(route, attempt->failure,
                                        route->asked);

        route->spent += ngx_http_sp_route_counts(attempt->failure);
    }

    for ( ;; ) {

        if (ngx_http_sp_route_choose(route, route->asked, &choice)
            != NGX_OK)
        {
            return NULL;
        }

        attempt = ngx_http_sp_route_attempt(route, &choice);
        if (attempt == NULL) {
            return NULL;
        }

        if (choice.wait != 0) {
            attempt->forced = 1;
            route->forced = 1;
            break;
        }

        if (ngx_http_sp_attempt_take(attempt) == NGX_OK) {
            break;
        }

        /* another request probes it: in a moment it waits as others do */

        route->attempts->nelts--;
    }

    route->tried++;

    return attempt;
}


ngx_uint_t
ngx_http_sp_route_more(const ngx_http_sp_route_t *route,
    ngx_http_sp_failure_e failure)
{
    uint32_t                asked[NGX_HTTP_SP_MODEL_TARGETS];
    ngx_uint_t              spent;
    ngx_http_sp_choice_t    choice;
    ngx_http_sp_attempt_t  *attempt;

    spent = route->spent;

    if (route->tried != 0) {
        spent += ngx_http_sp_route_counts(failure);
    }

    if (spent >= route->tries
        || (route->timeout != 0
            && ngx_current_msec - route->started >= route->timeout))
    {
        return 0;
    }

    ngx_memcpy(asked, route->asked, route->ntargets * sizeof(uint32_t));

    if (route->tried != 0) {
        attempt = ngx_http_sp_route_last(route);

        if (ngx_current_msec - attempt->started > route->within
            || !ngx_http_sp_route_strike(route, failure, asked))
        {
            return 0;
        }
    }

    return ngx_http_sp_route_choose(route, asked, &choice) == NGX_OK
           && (choice.wait == 0 || !route->forced);
}


ngx_uint_t
ngx_http_sp_route_left(const ngx_http_sp_route_t *route)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < route->ntargets; i++) {
        n += (route->asked[i]
              != ngx_http_sp_route_all(ngx_http_sp_route_keys(
                                                        route->targets[i])));
    }

    return ngx_min(n, route->tries - ngx_min(route->spent, route->tries));
}


ngx_http_sp_attempt_t *
ngx_http_sp_route_last(const ngx_http_sp_route_t *route)
{
    ngx_http_sp_attempt_t  **attempt;

    if (route->attempts == NULL || route->attempts->nelts == 0) {
        return NULL;
    }

    attempt = route->attempts->elts;

    return attempt[route->attempts->nelts - 1];
}


/*
 * The first, in the order of targets, that is ready; else the one that will
 * be ready first.  NGX_DECLINED: all have been asked.
 */

static ngx_int_t
ngx_http_sp_route_choose(const ngx_http_sp_route_t *route,
    const uint32_t *asked, ngx_http_sp_choice_t *choice)
{
    ngx_int_t                    rc;
    ngx_uint_t                   i, k, key, n;
    ngx_msec_t                   wait;
    const ngx_http_sp_target_t  *target;

    rc = NGX_DECLINED;

    for (i = 0; i < route->ntargets; i++) {
        target = route->targets[i];
        n = ngx_http_sp_route_keys(target);

        for (k = 0; k < n; k++) {
            key = (route->turn + k) % n;

            if (asked[i] & ((uint32_t) 1 << key)) {
                continue;
            }

            wait = ngx_http_sp_route_key_wait(target, key);

            if (rc == NGX_OK && wait >= choice->wait) {
                continue;
            }

            rc = NGX_OK;

            choice->target = i;
            choice->key = key;
            choice->wait = wait;

            if (wait == 0) {
                return NGX_OK;
            }
        }
    }

    return rc;
}


/*
 * What the failure of the last try leaves: another key where it was the
 * key's, another target where it was the target's.  0: nobody else is asked.
 */

static ngx_uint_t
ngx_http_sp_route_strike(const ngx_http_sp_route_t *route,
    ngx_http_sp_failure_e failure, uint32_t *asked)
{
    ngx_uint_t                    i, n;
    const ngx_http_sp_key_t      *keys;
    const ngx_http_sp_attempt_t  *attempt;

    if (failure == NGX_HTTP_SP_FAILURE_REQUEST
        || failure == NGX_HTTP_SP_FAILURE_CLIENT
        || failure == NGX_HTTP_SP_FAILURE_GATEWAY)
    {
        return 0;
    }

    attempt = ngx_http_sp_route_last(route);

    for (i = 0; route->targets[i] != attempt->target; i++) { /* void */ }

    keys = attempt->target->provider->keys.elts;
    n = ngx_http_sp_route_keys(attempt->target);

    asked[i] |= (failure == NGX_HTTP_SP_FAILURE_CREDENTIALS
                 || failure == NGX_HTTP_SP_FAILURE_RATE_LIMIT)
                ? (uint32_t) 1 << (attempt->key - keys)
                : ngx_http_sp_route_all(n);

    return 1;
}


static ngx_http_sp_attempt_t *
ngx_http_sp_route_attempt(ngx_http_sp_route_t *route,
    const ngx_http_sp_choice_t *choice)
{
    ngx_http_sp_key_t       *keys;
    ngx_http_sp_attempt_t   *attempt, **elt;

    attempt = ngx_pcalloc(route->pool, sizeof(ngx_http_sp_attempt_t));
    elt = ngx_array_push(route->attempts);

    if (attempt == NULL || elt == NULL) {
        return NULL;
    }

    *elt = attempt;

    attempt->target = route->targets[choice->target];
    attempt->started = ngx_current_msec;
    attempt->prompt_tokens = -1;
    attempt->completion_tokens = -1;

    keys = attempt->target->provider->keys.elts;
    attempt->key = &keys[choice->key];

    return attempt;
}


ngx_msec_t
ngx_http_sp_route_wait(const ngx_http_sp_model_t *model)
{
    ngx_uint_t                   i;
    ngx_msec_t                   soonest, wait;
    const ngx_http_sp_target_t  *target;

    target = model->targets.elts;
    soonest = (ngx_msec_t) -1;

    for (i = 0; i < model->targets.nelts; i++) {
        wait = ngx_http_sp_target_wait(&target[i]);
        soonest = ngx_min(soonest, wait);
    }

    return soonest;
}


ngx_msec_t
ngx_http_sp_target_wait(const ngx_http_sp_target_t *target)
{
    ngx_uint_t  i;
    ngx_msec_t  soonest, wait;

    soonest = (ngx_msec_t) -1;

    for (i = 0; i < ngx_http_sp_route_keys(target); i++) {
        wait = ngx_http_sp_route_key_wait(target, i);
        soonest = ngx_min(soonest, wait);
    }

    return soonest;
}


/* ms until it may be asked with this key */

static ngx_msec_t
ngx_http_sp_route_key_wait(const ngx_http_sp_target_t *target,
    ngx_uint_t key)
{
    ngx_msec_t                wait;
    const ngx_http_sp_key_t  *keys;

    keys = target->provider->keys.elts;

    wait = ngx_http_sp_breaker_wait(target->breaker);
    wait = ngx_max(wait, ngx_http_sp_breaker_wait(keys[key].breaker));

    return ngx_max(wait, ngx_http_sp_breaker_wait(target->limits[key]));
}
