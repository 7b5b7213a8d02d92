
/*
 * Copyright (C) Sallyport authors
 *
 * What has to be settled when its request is gone already: detached ops, of
 * which a worker has a bounded number.  One that Redis does not answer is sent
 * again every second, until what was reserved is over anyhow: a place of a
 * client must not stay taken because Redis was away for a moment.  To be heard
 * twice does no harm.
 */

#include "ngx_http_sp_quota.h"


/* of one worker; milliseconds */
#define NGX_HTTP_SP_QUOTA_SETTLING  4096
#define NGX_HTTP_SP_QUOTA_RETRY     1000


typedef struct {
    ngx_sp_redis_op_t               op;      /* first */
    ngx_http_sp_quota_hold_t        hold;    /* a copy */
    ngx_http_sp_quota_costs_t       costs;
    ngx_http_sp_quota_main_conf_t  *qmcf;
    ngx_msec_t                      until;
    ngx_queue_t                     queue;
} ngx_http_sp_quota_settle_t;


static ngx_int_t ngx_http_sp_quota_settle_copy(
    ngx_http_sp_quota_settle_t *settle, const ngx_http_sp_quota_hold_t *hold);
static ngx_int_t ngx_http_sp_quota_settle_str(ngx_pool_t *pool,
    ngx_str_t *str);
static void ngx_http_sp_quota_settle_send(ngx_http_sp_quota_settle_t *settle);
static void ngx_http_sp_quota_settle_done(ngx_sp_op_t *op);
static void ngx_http_sp_quota_settle_next(ngx_sp_op_t *op);
static void ngx_http_sp_quota_settle_wait(ngx_http_sp_quota_settle_t *settle);
static void ngx_http_sp_quota_settle_again(ngx_event_t *ev);


/* this worker's */
static ngx_sp_detached_t  ngx_http_sp_quota_settling = {
    NGX_HTTP_SP_QUOTA_SETTLING, 0, 0
};
static ngx_queue_t  ngx_http_sp_quota_waiting;
static ngx_event_t  ngx_http_sp_quota_retry;


void
ngx_http_sp_quota_settle(ngx_http_sp_quota_main_conf_t *qmcf,
    const ngx_http_sp_quota_hold_t *hold,
    const ngx_http_sp_quota_costs_t costs)
{
    ngx_http_sp_quota_settle_t  *settle;

    settle = ngx_sp_detached_create(&ngx_http_sp_quota_settling,
                                    sizeof(ngx_http_sp_quota_settle_t));
    if (settle == NULL) {
        ngx_sp_metric_add(qmcf->unsettled, 1);
        return;
    }

    if (ngx_http_sp_quota_settle_copy(settle, hold) != NGX_OK) {
        ngx_sp_metric_add(qmcf->unsettled, 1);
        ngx_sp_detached_discard(&settle->op.op);
        return;
    }

    ngx_memcpy(settle->costs, costs, sizeof(ngx_http_sp_quota_costs_t));

    settle->qmcf = qmcf;
    settle->until = ngx_current_msec + hold->policy->hold;

    ngx_http_sp_quota_settle_send(settle);
}


/* the policy is the configuration's, the strings were the request's */

static ngx_int_t
ngx_http_sp_quota_settle_copy(ngx_http_sp_quota_settle_t *settle,
    const ngx_http_sp_quota_hold_t *hold)
{
    ngx_pool_t  *pool;

    pool = ngx_sp_detached_pool(&settle->op.op);

    settle->hold = *hold;

    if (ngx_http_sp_quota_settle_str(pool, &settle->hold.id) != NGX_OK
        || ngx_http_sp_quota_settle_str(pool, &settle->hold.key) != NGX_OK
        || ngx_http_sp_quota_settle_str(pool, &settle->hold.record) != NGX_OK
        || ngx_http_sp_quota_settle_str(pool, &settle->hold.open) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_quota_settle_str(ngx_pool_t *pool, ngx_str_t *str)
{
    str->data = ngx_pstrdup(pool, str);

    return (str->data != NULL) ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_sp_quota_settle_send(ngx_http_sp_quota_settle_t *settle)
{
    ngx_memzero(&settle->op, sizeof(ngx_sp_redis_op_t));

    settle->op.op.done = ngx_http_sp_quota_settle_done;
    settle->op.op.wake = ngx_http_sp_quota_settle_next;
    settle->op.op.log = ngx_cycle->log;

    ngx_http_sp_quota_tell(settle->qmcf->redis, &settle->op, &settle->hold,
                           settle->costs);
}


static void
ngx_http_sp_quota_settle_done(ngx_sp_op_t *op)
{
    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, op->log, 0, "quota: settle: %s",
                   ngx_sp_op_result_name(op->result));
}


/* done has returned: the op may go, or be used again */

static void
ngx_http_sp_quota_settle_next(ngx_sp_op_t *op)
{
    ngx_http_sp_quota_settle_t  *settle;

    settle = (ngx_http_sp_quota_settle_t *) op;

    if (op->result == NGX_SP_OP_OK) {
        ngx_sp_detached_discard(op);
        return;
    }

    if (op->result == NGX_SP_OP_REJECTED || ngx_exiting
        || (ngx_msec_int_t) (settle->until - ngx_current_msec) <= 0)
    {
        ngx_sp_metric_add(settle->qmcf->unsettled, 1);
        ngx_sp_detached_discard(op);
        return;
    }

    ngx_http_sp_quota_settle_wait(settle);
}


static void
ngx_http_sp_quota_settle_wait(ngx_http_sp_quota_settle_t *settle)
{
    ngx_event_t  *ev;

    ev = &ngx_http_sp_quota_retry;

    if (ev->handler == NULL) {
        ngx_queue_init(&ngx_http_sp_quota_waiting);

        ev->handler = ngx_http_sp_quota_settle_again;
        ev->data = &ngx_http_sp_quota_waiting;
        ev->log = ngx_cycle->log;
        ev->cancelable = 1;
    }

    ngx_queue_insert_tail(&ngx_http_sp_quota_waiting, &settle->queue);

    if (!ev->timer_set) {
        ngx_add_timer(ev, NGX_HTTP_SP_QUOTA_RETRY);
    }
}


/* all at once: whoever fails again waits again */

static void
ngx_http_sp_quota_settle_again(ngx_event_t *ev)
{
    ngx_queue_t                 *q;
    ngx_http_sp_quota_settle_t  *settle;

    while (!ngx_queue_empty(&ngx_http_sp_quota_waiting)) {
        q = ngx_queue_head(&ngx_http_sp_quota_waiting);
        ngx_queue_remove(q);

        settle = ngx_queue_data(q, ngx_http_sp_quota_settle_t, queue);

        ngx_http_sp_quota_settle_send(settle);
    }
}
