
/*
 * Copyright (C) Sallyport authors
 *
 * An op is one asynchronous piece of work on redis, pg, fetch or rpc.
 *
 *  1. "done" is called exactly once for every submitted op,
 *  2. never from inside submit, and
 *  3. never after ngx_sp_op_cancel(): the adapter swallows a late answer.
 *  4. Reply memory is valid only during "done"; copy what must live longer.
 *  5. Every op has a deadline ("timeout"; 0 takes the adapter's default).
 *  6. The result is OK, TIMEOUT, UNAVAILABLE or REJECTED.  The caller, not
 *     the adapter, decides fail-open or fail-closed.
 *  7. An op that must outlive its request is detached: it owns a pool, knows
 *     no request, and counts against a bounded queue.
 *
 * Life of an op:  IDLE (zeroed) -> submit -> PENDING -> DONE
 *                                              \-> cancel -> IDLE
 *
 * The caller owns the memory of the op, usually as the first member of an
 * adapter's op (ngx_sp_redis_op_t, ngx_sp_pg_op_t and the like) inside the
 * request context.  The memory must live until "done" has returned or
 * ngx_sp_op_cancel() was called; after that no adapter touches it, whatever
 * the backend still answers.  A DONE op may be zeroed and submitted again.
 *
 * "done" does three things only: store the result, mark, wake.
 */

#ifndef _NGX_SP_OP_H_INCLUDED_
#define _NGX_SP_OP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


typedef enum {
    NGX_SP_OP_IDLE = 0,
    NGX_SP_OP_PENDING,
    NGX_SP_OP_DONE
} ngx_sp_op_state_e;


typedef enum {
    NGX_SP_OP_OK = 0,

    /* no answer before the deadline; the work may have happened */
    NGX_SP_OP_TIMEOUT,

    /*
     * not connected, breaker open, queue full, connection lost.  "sent" of
     * the op tells whether bytes may have reached the backend
     */
    NGX_SP_OP_UNAVAILABLE,

    /*
     * the backend answered and refused: a redis error reply, an SQLSTATE,
     * a body over its cap.  An HTTP status is never a rejection: fetch
     * reports it with OK
     */
    NGX_SP_OP_REJECTED
} ngx_sp_op_result_e;


typedef struct ngx_sp_op_s        ngx_sp_op_t;
typedef struct ngx_sp_join_s      ngx_sp_join_t;
typedef struct ngx_sp_detached_s  ngx_sp_detached_t;

typedef void (*ngx_sp_op_handler_pt)(ngx_sp_op_t *op);
typedef void (*ngx_sp_join_handler_pt)(ngx_sp_join_t *join);


/*
 * Several ops side by side: set op->join of each before its submit.  When the
 * last pending one is done, the handler is called once, from the event loop,
 * never from inside submit.  A cancelled op leaves the join silently: whoever
 * cancels the last one knows it.  Zero-fill, then set handler.
 */
struct ngx_sp_join_s {
    ngx_sp_join_handler_pt    handler;
    void                     *data;
    ngx_uint_t                pending;
};


struct ngx_sp_op_s {
    /* set by the caller before submit */

    ngx_sp_op_handler_pt      done;
    void                     *data;
    ngx_msec_t                timeout;
    ngx_log_t                *log;
    ngx_sp_join_t            *join;      /* or NULL */

    /* called after "done" has returned; set by ngx_http_sp_op_attach() */

    ngx_sp_op_handler_pt      wake;
    void                     *waker;

    /* set by the adapter */

    ngx_sp_op_state_e         state;
    ngx_sp_op_result_e        result;
    ngx_str_t                 reason;    /* for the log; valid in "done" */
    ngx_msec_t                elapsed;
    unsigned                  sent:1;

    /* the redis or pg server, the rpc; NULL: fetch */
    const void               *server;

    /* the adapter's own */

    ngx_sp_op_handler_pt      cancel;
    void                     *slot;
    ngx_msec_t                started;
    ngx_event_t               timer;
    ngx_event_t               posted;
    ngx_queue_t               queue;
};


#define ngx_sp_op_finished(op)  ((op)->state == NGX_SP_OP_DONE)
#define ngx_sp_op_pending(op)   ((op)->state == NGX_SP_OP_PENDING)


/* "ok", "timeout", "unavailable", "rejected": for logs and metric labels */
const char *ngx_sp_op_result_name(ngx_sp_op_result_e result);

/* idempotent; on an op that is not PENDING it does nothing */
void ngx_sp_op_cancel(ngx_sp_op_t *op);


/*
 * Called for every finished op of this worker, before its "done": for
 * counting.  NULL takes it back.
 */
void ngx_sp_op_observe(ngx_sp_op_handler_pt observer);


/*
 * Detached ops.  A queue bounds what may be in flight at once; it belongs to
 * a worker and is initialized by zero-filling and setting "max".  create()
 * returns "size" zeroed bytes that begin with an ngx_sp_op_t, allocated from
 * a pool of their own, or NULL when the queue is full (counted in "dropped";
 * the caller decides what is lost).  The pool is destroyed after "done" has
 * returned, or by discard() if the op was never submitted.  A detached op
 * holds a graceful shutdown open until its deadline at most.
 */
struct ngx_sp_detached_s {
    ngx_uint_t                max;
    ngx_uint_t                active;
    ngx_uint_t                dropped;
};

void *ngx_sp_detached_create(ngx_sp_detached_t *queue, size_t size);
ngx_pool_t *ngx_sp_detached_pool(ngx_sp_op_t *op);
void ngx_sp_detached_discard(ngx_sp_op_t *op);


/*
 * For adapters only.
 *
 * start(): IDLE -> PENDING; arms the deadline; "cancel" must forget the op.
 *          When the deadline passes, op->cancel is called and then the op is
 *          finished with TIMEOUT.
 * finish(): PENDING -> DONE; calls done, wake and join at once, so only from
 *          an event handler, never from submit.
 * finish_later(): the same from a posted event, for failures inside submit.
 */
void ngx_sp_op_start(ngx_sp_op_t *op, ngx_msec_t default_timeout,
    ngx_sp_op_handler_pt cancel, void *slot);
void ngx_sp_op_finish(ngx_sp_op_t *op, ngx_sp_op_result_e result,
    const char *reason);
void ngx_sp_op_finish_later(ngx_sp_op_t *op, ngx_sp_op_result_e result,
    const char *reason);


#endif /* _NGX_SP_OP_H_INCLUDED_ */
