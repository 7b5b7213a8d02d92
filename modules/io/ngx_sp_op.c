
/*
 * Copyright (C) Sallyport authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_sp_op.h"


#define NGX_SP_DETACHED_POOL_SIZE  1024


/*
 * Stands before the op in the memory of a detached op.  The op itself begins
 * at an offset that keeps the alignment of the pool.
 */
typedef struct {
    ngx_sp_detached_t        *queue;
    ngx_pool_t               *pool;
} ngx_sp_detached_head_t;


#define ngx_sp_detached_offset                                                \
    ngx_align(sizeof(ngx_sp_detached_head_t), NGX_ALIGNMENT)

#define ngx_sp_detached_head(op)                                              \
    ((ngx_sp_detached_head_t *) ((u_char *) (op) - ngx_sp_detached_offset))


static void ngx_sp_op_deadline_handler(ngx_event_t *ev);
static void ngx_sp_op_posted_handler(ngx_event_t *ev);
static void ngx_sp_op_disarm(ngx_sp_op_t *op);
static void ngx_sp_detached_release(ngx_sp_op_t *op);


/* set in init_process */
static ngx_sp_op_handler_pt  ngx_sp_op_observer;


const char *
ngx_sp_op_result_name(ngx_sp_op_result_e result)
{
    switch (result) {

    case NGX_SP_OP_OK:
        return "ok";

    case NGX_SP_OP_TIMEOUT:
        return "timeout";

    case NGX_SP_OP_UNAVAILABLE:
        return "unavailable";

    case NGX_SP_OP_REJECTED:
        return "rejected";
    }

    return "unknown";
}


void
ngx_sp_op_cancel(ngx_sp_op_t *op)
{
    ngx_sp_op_handler_pt  cancel;

    if (op->state != NGX_SP_OP_PENDING) {
        return;
    }

    ngx_sp_op_disarm(op);

    op->state = NGX_SP_OP_IDLE;

    cancel = op->cancel;

    if (cancel != NULL) {
        op->cancel = NULL;
        cancel(op);
    }

    op->slot = NULL;

    if (op->join != NULL) {
        op->join->pending--;
    }
}


void
ngx_sp_op_observe(ngx_sp_op_handler_pt observer)
{
    ngx_sp_op_observer = observer;
}


void
ngx_sp_op_start(ngx_sp_op_t *op, ngx_msec_t default_timeout,
    ngx_sp_op_handler_pt cancel, void *slot)
{
    if (op->log == NULL) {
        op->log = ngx_cycle->log;
    }

    if (op->timeout == 0) {
        op->timeout = default_timeout;
    }

    op->state = NGX_SP_OP_PENDING;
    op->result = NGX_SP_OP_OK;
    ngx_str_null(&op->reason);
    op->elapsed = 0;
    op->sent = 0;

    op->cancel = cancel;
    op->slot = slot;
    op->started = ngx_current_msec;

    ngx_memzero(&op->timer, sizeof(ngx_event_t));
    ngx_memzero(&op->posted, sizeof(ngx_event_t));

    op->timer.handler = ngx_sp_op_deadline_handler;
    op->timer.data = op;
    op->timer.log = op->log;

    op->posted.handler = ngx_sp_op_posted_handler;
    op->posted.data = op;
    op->posted.log = op->log;

    if (op->join != NULL) {
        op->join->pending++;
    }

    ngx_add_timer(&op->timer, op->timeout);
}


void
ngx_sp_op_finish(ngx_sp_op_t *op, ngx_sp_op_result_e result,
    const char *reason)
{
    void                  *waker;
    ngx_sp_join_t         *join;
    ngx_sp_op_handler_pt   wake;

    if (op->state != NGX_SP_OP_PENDING) {
        return;
    }

    ngx_sp_op_disarm(op);

    op->state = NGX_SP_OP_DONE;
    op->result = result;
    op->elapsed = ngx_current_msec - op->started;
    op->cancel = NULL;
    op->slot = NULL;

    if (reason != NULL) {
        op->reason.data = (u_char *) reason;
        op->reason.len = ngx_strlen(reason);

    } else {
        ngx_str_null(&op->reason);
    }

    ngx_log_debug3(NGX_LOG_DEBUG_CORE, op->log, 0,
                   "op %p %s %V", op, ngx_sp_op_result_name(result),
                   &op->reason);

    if (ngx_sp_op_observer != NULL) {
        ngx_sp_op_observer(op);
    }

    /* done may zero the op and submit it again */

    join = op->join;
    wake = op->wake;
    waker = op->waker;

    if (op->done != NULL) {
        op->done(op);
    }

    if (join != NULL) {
        join->pending--;

        if (join->pending == 0 && join->handler != NULL) {
            join->handler(join);
        }
    }

    if (wake != NULL) {
        op->waker = waker;
        wake(op);
    }
}


void
ngx_sp_op_finish_later(ngx_sp_op_t *op, ngx_sp_op_result_e result,
    const char *reason)
{
    if (op->state != NGX_SP_OP_PENDING) {
        return;
    }

    op->cancel = NULL;
    op->slot = NULL;
    op->result = result;

    op->reason.data = (u_char *) reason;
    op->reason.len = (reason != NULL) ? ngx_strlen(reason) : 0;

    ngx_post_event(&op->posted, &ngx_posted_events);
}


static void
ngx_sp_op_deadline_handler(ngx_event_t *ev)
{
    ngx_sp_op_t           *op;
    ngx_sp_op_handler_pt   cancel;

    op = ev->data;

    cancel = op->cancel;

    if (cancel != NULL) {
        op->cancel = NULL;
        cancel(op);
    }

    ngx_sp_op_finish(op, NGX_SP_OP_TIMEOUT, "deadline passed");
}


static void
ngx_sp_op_posted_handler(ngx_event_t *ev)
{
    ngx_sp_op_t  *op;

    op = ev->data;

    ngx_sp_op_finish(op, op->result, (const char *) op->reason.data);
}


static void
ngx_sp_op_disarm(ngx_sp_op_t *op)
{
    if (op->timer.timer_set) {
        ngx_del_timer(&op->timer);
    }

    if (op->posted.posted) {
        ngx_delete_posted_event(&op->posted);
    }
}


void *
ngx_sp_detached_create(ngx_sp_detached_t *queue, size_t size)
{
    u_char                  *p;
    ngx_pool_t              *pool;
    ngx_sp_op_t             *op;
    ngx_sp_detached_head_t  *head;

    if (queue->active >= queue->max) {
        queue->dropped++;
        return NULL;
    }

    pool = ngx_create_pool(NGX_SP_DETACHED_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        queue->dropped++;
        return NULL;
    }

    p = ngx_pcalloc(pool, ngx_sp_detached_offset + size);
    if (p == NULL) {
        ngx_destroy_pool(pool);
        queue->dropped++;
        return NULL;
    }

    head = (ngx_sp_detached_head_t *) p;
    head->queue = queue;
    head->pool = pool;

    op = (ngx_sp_op_t *) (p + ngx_sp_detached_offset);
    op->log = ngx_cycle->log;
    op->wake = ngx_sp_detached_release;
    op->waker = head;

    queue->active++;

    return op;
}


ngx_pool_t *
ngx_sp_detached_pool(ngx_sp_op_t *op)
{
    return ngx_sp_detached_head(op)->pool;
}


void
ngx_sp_detached_discard(ngx_sp_op_t *op)
{
    ngx_sp_detached_head_t  *head;

    head = ngx_sp_detached_head(op);

    ngx_sp_op_cancel(op);

    head->queue->active--;
    ngx_destroy_pool(head->pool);
}


/* done has returned: the pool goes, unless done has submitted the op again */

static void
ngx_sp_detached_release(ngx_sp_op_t *op)
{
    if (op->state == NGX_SP_OP_PENDING) {
        op->wake = ngx_sp_detached_release;
        return;
    }

    ngx_sp_detached_discard(op);
}
