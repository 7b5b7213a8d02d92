
/*
 * Copyright (C) Sallyport authors
 *
 * The pool: a bounded queue of tasks and the connections that run them.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_sp_pg_int.h"


/*
 * libpq's buffers and the server's caches only grow: connections are replaced
 * after this many tasks, this long, or a result this large.
 */
#define NGX_SP_PG_MAX_SERVED   10000
#define NGX_SP_PG_MAX_AGE      (30 * 60 * 1000)
#define NGX_SP_PG_MAX_RESULT   (4 * 1024 * 1024)


static void ngx_sp_pg_set_state(ngx_sp_pg_conn_t *conn,
    ngx_sp_pg_state_e state);
static const char *ngx_sp_pg_refusal(const ngx_sp_pg_t *pg);
static void ngx_sp_pg_cancel(ngx_sp_op_t *op);
static void ngx_sp_pg_dispatch_handler(ngx_event_t *ev);
static void ngx_sp_pg_retry_handler(ngx_event_t *ev);
static void ngx_sp_pg_rest(ngx_sp_pg_conn_t *conn);
static void ngx_sp_pg_shrink_handler(ngx_event_t *ev);
static void ngx_sp_pg_open_some(ngx_sp_pg_t *pg);
static ngx_int_t ngx_sp_pg_open_one(ngx_sp_pg_conn_t *conn);
static void ngx_sp_pg_start(ngx_sp_pg_conn_t *conn, ngx_sp_pg_task_t *task);
static void ngx_sp_pg_connected(ngx_sp_pg_link_t *link);
static void ngx_sp_pg_readable(ngx_sp_pg_link_t *link);
static void ngx_sp_pg_lost(ngx_sp_pg_link_t *link, const char *reason);
static void ngx_sp_pg_failure(ngx_sp_pg_t *pg, const char *reason);
static void ngx_sp_pg_complete(ngx_sp_pg_conn_t *conn);
static ngx_uint_t ngx_sp_pg_worn(ngx_sp_pg_conn_t *conn);
static void ngx_sp_pg_closed(ngx_sp_pg_conn_t *conn);
static void ngx_sp_pg_drain(ngx_sp_pg_t *pg, const char *reason);
static void ngx_sp_pg_orphan_handler(ngx_event_t *ev);


#if (NGX_DEBUG)

static const char  *ngx_sp_pg_states[] = {
    "closed", "connecting", "idle", "busy"
};

#endif


ngx_int_t
ngx_sp_pg_init_process(ngx_sp_pg_t *pg, ngx_cycle_t *cycle)
{
    ngx_uint_t         i;
    ngx_sp_pg_conn_t  *conn;

    pg->log = cycle->log;

    pg->conns = ngx_pcalloc(cycle->pool,
                            pg->max_conns * sizeof(ngx_sp_pg_conn_t));
    if (pg->conns == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_init(&pg->idle);
    ngx_queue_init(&pg->waiting);
    ngx_rbtree_init(&pg->entries, &pg->sentinel, ngx_rbtree_insert_value);

    pg->retry.handler = ngx_sp_pg_retry_handler;
    pg->retry.data = pg;
    pg->retry.log = pg->log;
    pg->retry.cancelable = 1;

    pg->shrink.handler = ngx_sp_pg_shrink_handler;
    pg->shrink.data = pg;
    pg->shrink.log = pg->log;
    pg->shrink.cancelable = 1;

    pg->dispatch.handler = ngx_sp_pg_dispatch_handler;
    pg->dispatch.data = pg;
    pg->dispatch.log = pg->log;

    for (i = 0; i < pg->max_conns; i++) {
        conn = &pg->conns[i];

        ngx_sp_pg_link_init(&conn->link, pg, conn);

        conn->link.connected = ngx_sp_pg_connected;
        conn->link.readable = ngx_sp_pg_readable;
        conn->link.lost = ngx_sp_pg_lost;

        conn->timer.handler = ngx_sp_pg_orphan_handler;
        conn->timer.data = conn;
        conn->timer.log = pg->log;
        conn->timer.cancelable = 1;
    }

    pg->started = 1;

    ngx_post_event(&pg->dispatch, &ngx_posted_events);

    if (pg->channels.nelts == 0) {
        return NGX_OK;
    }

    return ngx_sp_pg_listener_start(pg, cycle);
}


void
ngx_sp_pg_exit_process(ngx_sp_pg_t *pg)
{
    ngx_uint_t         i;
    ngx_rbtree_node_t *node;
    ngx_sp_pg_conn_t  *conn;
    ngx_sp_pg_task_t  *task;

    if (!pg->started) {
        return;
    }

    pg->started = 0;

    ngx_sp_pg_listener_stop(pg);

    for (i = 0; i < pg->max_conns; i++) {
        conn = &pg->conns[i];
        task = conn->task;
        conn->task = NULL;

        ngx_sp_pg_closed(conn);
        ngx_sp_pg_link_close(&conn->link);

        if (task != NULL) {
            ngx_sp_pg_task_fail(task, "worker exits");
        }

        if (conn->prepared != NULL) {
            ngx_free(conn->prepared);
            conn->prepared = NULL;
            conn->nprepared = 0;
        }
    }

    ngx_sp_pg_drain(pg, "worker exits");

    if (pg->retry.timer_set) {
        ngx_del_timer(&pg->retry);
    }

    if (pg->shrink.timer_set) {
        ngx_del_timer(&pg->shrink);
    }

    if (pg->dispatch.posted) {
        ngx_delete_posted_event(&pg->dispatch);
    }

    while (pg->entries.root != &pg->sentinel) {
        node = ngx_rbtree_min(pg->entries.root, &pg->sentinel);
        ngx_rbtree_delete(&pg->entries, node);
        ngx_free(node);
    }
}


ngx_uint_t
ngx_sp_pg_ready(const ngx_sp_pg_t *pg)
{
    return pg->nlive != 0;
}


void
ngx_sp_pg_submit(ngx_sp_pg_t *pg, ngx_sp_pg_op_t *op)
{
    ngx_uint_t         i;
    const char        *reason, *sqlstate;
    ngx_sp_pg_task_t  *task;

    ngx_str_null(&op->sqlstate);
    ngx_str_null(&op->message);
    ngx_str_null(&op->detail);
    ngx_str_null(&op->hint);
    op->failed = 0;

    for (i = 0; i < op->nqueries; i++) {
        op->queries[i].result = NULL;
    }

    op->op.server = pg;

    ngx_sp_op_start(&op->op, pg->timeout, ngx_sp_pg_cancel, NULL);

    reason = ngx_sp_pg_refusal(pg);

    if (reason != NULL) {
        ngx_sp_op_finish_later(&op->op, NGX_SP_OP_UNAVAILABLE, reason);
        return;
    }

    task = ngx_sp_pg_task_create(pg, op, &sqlstate);

    if (task == NULL && sqlstate == NULL) {
        ngx_sp_op_finish_later(&op->op, NGX_SP_OP_UNAVAILABLE, "no memory");
        return;
    }

    if (task == NULL) {
        op->sqlstate.data = (u_char *) sqlstate;
        op->sqlstate.len = ngx_strlen(sqlstate);
        ngx_str_set(&op->message, "a parameter contains a zero byte");

        ngx_sp_op_finish_later(&op->op, NGX_SP_OP_REJECTED,
                               (char *) op->message.data);
        return;
    }

    task->started = ngx_current_msec;
    task->timeout = op->op.timeout;
    op->op.slot = task;

    ngx_queue_insert_tail(&pg->waiting, &task->queue);
    pg->nwaiting++;

    /* not here: sending may fail, and "done" is not called from submit */

    ngx_post_event(&pg->dispatch, &ngx_posted_events);
}


static void
ngx_sp_pg_set_state(ngx_sp_pg_conn_t *conn, ngx_sp_pg_state_e state)
{
    ngx_log_debug4(NGX_LOG_DEBUG_CORE, conn->link.pg->log, 0,
                   "pg \"%V\" connection %ui: %s -> %s",
                   &conn->link.pg->name,
                   (ngx_uint_t) (conn - conn->link.pg->conns),
                   ngx_sp_pg_states[conn->state], ngx_sp_pg_states[state]);

    conn->state = state;
}


static const char *
ngx_sp_pg_refusal(const ngx_sp_pg_t *pg)
{
    if (!pg->started) {
        return "pg is not started in this process";
    }

    if (pg->nwaiting >= pg->max_queue) {
        return "pg queue is full";
    }

    if (pg->nlive == 0 && pg->failures != 0) {
        return "pg is not connected";
    }

    return NULL;
}


/*
 * Cancelled or past its deadline.  What a connection has begun is finished
 * within the deadline of the op and the answer swallowed; after the deadline
 * the connection is closed.
 */

static void
ngx_sp_pg_cancel(ngx_sp_op_t *op)
{
    ngx_msec_t         elapsed;
    ngx_sp_pg_t       *pg;
    ngx_sp_pg_conn_t  *conn;
    ngx_sp_pg_task_t  *task;

    task = op->slot;
    op->slot = NULL;

    task->op = NULL;
    pg = task->pg;
    conn = task->conn;

    if (conn == NULL) {
        ngx_queue_remove(&task->queue);
        pg->nwaiting--;
        ngx_sp_pg_task_destroy(task);
        return;
    }

    elapsed = ngx_current_msec - task->started;

    if (elapsed < task->timeout) {
        ngx_add_timer(&conn->timer, task->timeout - elapsed);
        return;
    }

    ngx_sp_pg_orphan_handler(&conn->timer);
}


static void
ngx_sp_pg_orphan_handler(ngx_event_t *ev)
{
    ngx_sp_pg_t       *pg;
    ngx_sp_pg_conn_t  *conn;
    ngx_sp_pg_task_t  *task;

    conn = ev->data;
    pg = conn->link.pg;

    task = conn->task;
    conn->task = NULL;

    ngx_log_error(NGX_LOG_WARN, pg->log, 0,
                  "pg \"%V\" at %V: no answer within %M ms, "
                  "the connection is closed",
                  &pg->name, &pg->address, task->timeout);

    ngx_sp_pg_closed(conn);
    ngx_sp_pg_link_close(&conn->link);
    ngx_sp_pg_task_destroy(task);

    ngx_post_event(&pg->dispatch, &ngx_posted_events);
}


static void
ngx_sp_pg_dispatch_handler(ngx_event_t *ev)
{
    ngx_queue_t       *q;
    ngx_sp_pg_t       *pg;
    ngx_sp_pg_conn_t  *conn;
    ngx_sp_pg_task_t  *task;

    pg = ev->data;

    while (!ngx_queue_empty(&pg->waiting) && !ngx_queue_empty(&pg->idle)) {

        q = ngx_queue_head(&pg->waiting);
        ngx_queue_remove(q);
        pg->nwaiting--;
        task = ngx_queue_data(q, ngx_sp_pg_task_t, queue);

        q = ngx_queue_head(&pg->idle);
        conn = ngx_queue_data(q, ngx_sp_pg_conn_t, queue);

        ngx_sp_pg_start(conn, task);
    }

    ngx_sp_pg_open_some(pg);
}


/*
 * One connection is kept open, more are opened when tasks wait.  While the
 * server is down there is one attempt at a time.
 */

static void
ngx_sp_pg_open_some(ngx_sp_pg_t *pg)
{
    ngx_uint_t  i, wanted;

    wanted = pg->nwaiting;

    if (wanted == 0 && pg->nlive == 0 && !ngx_exiting) {
        wanted = 1;
    }

    if (pg->failures != 0) {
        wanted = ngx_min(wanted, 1);
    }

    for (i = 0; i < pg->max_conns; i++) {

        if (pg->nconnecting >= wanted || pg->retry.timer_set) {
            return;
        }

        if (pg->conns[i].state == NGX_SP_PG_CLOSED
            && ngx_sp_pg_open_one(&pg->conns[i]) != NGX_OK)
        {
            return;
        }
    }
}


static ngx_int_t
ngx_sp_pg_open_one(ngx_sp_pg_conn_t *conn)
{
    ngx_sp_pg_t  *pg;

    pg = conn->link.pg;

    if (ngx_sp_pg_link_open(&conn->link) != NGX_OK) {
        ngx_sp_pg_failure(pg, "pg is not connected");
        return NGX_ERROR;
    }

    pg->nconnecting++;
    ngx_sp_pg_set_state(conn, NGX_SP_PG_CONNECTING);

    return NGX_OK;
}


static void
ngx_sp_pg_retry_handler(ngx_event_t *ev)
{
    ngx_sp_pg_t  *pg;

    pg = ev->data;

    ngx_sp_pg_open_some(pg);
}


/* the most recently used is used next, so that the others can be closed */

static void
ngx_sp_pg_rest(ngx_sp_pg_conn_t *conn)
{
    ngx_sp_pg_t  *pg;

    pg = conn->link.pg;

    ngx_queue_insert_head(&pg->idle, &conn->queue);
    ngx_sp_fd_set_idle(&conn->link.fd, 1);
    ngx_sp_pg_set_state(conn, NGX_SP_PG_IDLE);

    conn->rested = ngx_current_msec;

    if (pg->nlive > 1 && !pg->shrink.timer_set && !ngx_exiting) {
        ngx_add_timer(&pg->shrink, pg->idle_timeout);
    }
}


/* closes what has been idle for too long, but for one */

static void
ngx_sp_pg_shrink_handler(ngx_event_t *ev)
{
    ngx_msec_t         rested;
    ngx_sp_pg_t       *pg;
    ngx_sp_pg_conn_t  *conn;

    pg = ev->data;

    while (pg->nlive > 1 && !ngx_queue_empty(&pg->idle)) {

        conn = ngx_queue_data(ngx_queue_last(&pg->idle), ngx_sp_pg_conn_t,
                              queue);

        rested = ngx_current_msec - conn->rested;

        if (rested < pg->idle_timeout) {
            ngx_add_timer(ev, pg->idle_timeout - rested);
            return;
        }

        ngx_sp_pg_closed(conn);
        ngx_sp_pg_link_close(&conn->link);
    }
}


static void
ngx_sp_pg_start(ngx_sp_pg_conn_t *conn, ngx_sp_pg_task_t *task)
{
    ngx_queue_remove(&conn->queue);
    ngx_sp_fd_set_idle(&conn->link.fd, 0);
    ngx_sp_pg_set_state(conn, NGX_SP_PG_BUSY);

    conn->served++;

    if (ngx_sp_pg_send(conn, task) != NGX_OK) {
        ngx_sp_pg_link_fail(&conn->link, PQerrorMessage(conn->link.pgconn));
    }
}


static void
ngx_sp_pg_connected(ngx_sp_pg_link_t *link)
{
    ngx_sp_pg_t       *pg;
    ngx_sp_pg_conn_t  *conn;

    conn = link->data;
    pg = link->pg;

    if (PQenterPipelineMode(link->pgconn) == 0) {
        ngx_sp_pg_link_fail(link, PQerrorMessage(link->pgconn));
        return;
    }

    if (pg->failures != 0) {
        ngx_log_error(NGX_LOG_NOTICE, pg->log, 0, "pg \"%V\" at %V is back",
                      &pg->name, &pg->address);
    }

    pg->failures = 0;
    pg->nconnecting--;
    pg->nlive++;

    conn->served = 0;
    conn->largest = 0;

    if (conn->prepared != NULL) {
        ngx_memzero(conn->prepared, conn->nprepared);
    }

    ngx_sp_pg_rest(conn);

    ngx_post_event(&pg->dispatch, &ngx_posted_events);
}


static void
ngx_sp_pg_readable(ngx_sp_pg_link_t *link)
{
    ngx_int_t          rc;
    PGnotify          *notify;
    ngx_sp_pg_conn_t  *conn;

    conn = link->data;

    if (conn->state == NGX_SP_PG_BUSY) {
        rc = ngx_sp_pg_collect(conn);

        if (rc == NGX_OK) {
            ngx_sp_pg_complete(conn);

        } else if (rc == NGX_ERROR) {
            ngx_sp_pg_link_fail(link, "protocol violated");
        }

        return;
    }

    /* a notice, a parameter, a shutdown: parsed here, told by the notice */

    (void) PQisBusy(link->pgconn);

    for ( ;; ) {
        notify = PQnotifies(link->pgconn);

        if (notify == NULL) {
            break;
        }

        PQfreemem(notify);
    }

    if (PQstatus(link->pgconn) != CONNECTION_OK) {
        ngx_sp_pg_link_fail(link, PQerrorMessage(link->pgconn));
    }
}


/* the task has reached its sync: the transaction is over */

static void
ngx_sp_pg_complete(ngx_sp_pg_conn_t *conn)
{
    PGconn            *pgconn;
    ngx_uint_t         clean;
    ngx_sp_pg_t       *pg;
    ngx_sp_pg_task_t  *task;

    pg = conn->link.pg;
    pgconn = conn->link.pgconn;
    task = conn->task;

    clean = (PQtransactionStatus(pgconn) == PQTRANS_IDLE);

    if (clean && ngx_sp_pg_task_retry(task)) {

        if (ngx_sp_pg_send(conn, task) != NGX_OK) {
            ngx_sp_pg_link_fail(&conn->link, PQerrorMessage(pgconn));
        }

        return;
    }

    conn->task = NULL;

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    if (clean && !ngx_sp_pg_worn(conn) && !(ngx_exiting && !pg->nwaiting)) {
        ngx_sp_pg_rest(conn);

    } else {
        ngx_sp_pg_closed(conn);
        ngx_sp_pg_link_close(&conn->link);
    }

    ngx_post_event(&pg->dispatch, &ngx_posted_events);

    ngx_sp_pg_task_finish(task);
}


static ngx_uint_t
ngx_sp_pg_worn(ngx_sp_pg_conn_t *conn)
{
    return conn->served >= NGX_SP_PG_MAX_SERVED
           || conn->largest > NGX_SP_PG_MAX_RESULT
           || ngx_current_msec - conn->link.since >= NGX_SP_PG_MAX_AGE;
}


static void
ngx_sp_pg_lost(ngx_sp_pg_link_t *link, const char *reason)
{
    ngx_uint_t         good, level;
    ngx_sp_pg_t       *pg;
    ngx_sp_pg_conn_t  *conn;
    ngx_sp_pg_task_t  *task;

    conn = link->data;
    pg = link->pg;

    task = conn->task;
    conn->task = NULL;

    good = (conn->state != NGX_SP_PG_CONNECTING
            && ngx_current_msec - link->since >= NGX_SP_PG_GOOD_LIFE);

    ngx_sp_pg_closed(conn);

    if (!ngx_exiting) {
        level = (pg->failures == 0) ? NGX_LOG_ERR : NGX_LOG_INFO;

        ngx_log_error(level, pg->log, 0,
                      "pg \"%V\" at %V: connection lost: %s",
                      &pg->name, &pg->address, reason);
    }

    if (good) {
        ngx_post_event(&pg->dispatch, &ngx_posted_events);

    } else {
        ngx_sp_pg_failure(pg, reason);
    }

    if (task != NULL) {
        ngx_sp_pg_task_fail(task, reason);
    }
}


/* an attempt failed: the next one waits */

static void
ngx_sp_pg_failure(ngx_sp_pg_t *pg, const char *reason)
{
    if (!ngx_exiting) {
        pg->failures++;

        if (!pg->retry.timer_set) {
            ngx_add_timer(&pg->retry, ngx_sp_pg_backoff(pg->failures - 1));
        }
    }

    if (pg->nlive == 0 && pg->nconnecting == 0) {
        ngx_sp_pg_drain(pg, reason);
    }
}


/* the state of a connection that is or will be closed by its caller */

static void
ngx_sp_pg_closed(ngx_sp_pg_conn_t *conn)
{
    ngx_sp_pg_t  *pg;

    pg = conn->link.pg;

    switch (conn->state) {

    case NGX_SP_PG_CLOSED:
        return;

    case NGX_SP_PG_CONNECTING:
        pg->nconnecting--;
        break;

    case NGX_SP_PG_IDLE:
        ngx_queue_remove(&conn->queue);
        pg->nlive--;
        break;

    case NGX_SP_PG_BUSY:
        pg->nlive--;
        break;
    }

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    ngx_sp_pg_set_state(conn, NGX_SP_PG_CLOSED);
}


static void
ngx_sp_pg_drain(ngx_sp_pg_t *pg, const char *reason)
{
    ngx_queue_t       *q;
    ngx_sp_pg_task_t  *task;

    /* "done" may cancel other tasks, and submit new ones, which are refused */

    while (!ngx_queue_empty(&pg->waiting)) {
        q = ngx_queue_head(&pg->waiting);
        ngx_queue_remove(q);
        pg->nwaiting--;

        task = ngx_queue_data(q, ngx_sp_pg_task_t, queue);
        ngx_sp_pg_task_fail(task, reason);
    }
}
