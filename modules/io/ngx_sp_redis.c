
/*
 * Copyright (C) Sallyport authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_sp_redis_int.h"


/*
 * The breaker opens after this many deadlines without a reply between them,
 * when the oldest command has waited for this many times the usual timeout:
 * one slow command of another client must not open it, a stopped server must.
 */
#define NGX_SP_REDIS_MAX_MISSES     5
#define NGX_SP_REDIS_SILENT_FACTOR  3


static const char *ngx_sp_redis_refusal(const ngx_sp_redis_t *redis);
static void ngx_sp_redis_cancel(ngx_sp_op_t *op);
static void ngx_sp_redis_miss(ngx_sp_redis_t *redis);
static ngx_uint_t ngx_sp_redis_unavailable(const redisReply *reply);
static ngx_int_t ngx_sp_redis_resend(ngx_sp_redis_t *redis,
    ngx_sp_redis_slot_t *slot);


/* answers of a server that is there but cannot serve now */

static const ngx_str_t  ngx_sp_redis_busy[] = {
    ngx_string("LOADING "),
    ngx_string("BUSY "),
    ngx_string("MASTERDOWN "),
    ngx_string("READONLY "),
    ngx_string("CLUSTERDOWN "),
    ngx_string("TRYAGAIN "),
    ngx_null_string
};


void
ngx_sp_redis_command(ngx_sp_redis_t *redis, ngx_sp_redis_op_t *op,
    ngx_uint_t argc, const ngx_str_t *argv)
{
    ngx_sp_redis_slot_t  *slot;

    slot = NULL;

    if (ngx_sp_redis_refusal(redis) == NULL) {
        slot = ngx_sp_redis_format(argc, argv);
    }

    ngx_sp_redis_submit(redis, op, slot);
}


void
ngx_sp_redis_eval(ngx_sp_redis_t *redis, ngx_sp_redis_op_t *op,
    const ngx_sp_redis_script_t *script, ngx_uint_t nkeys, ngx_uint_t argc,
    const ngx_str_t *argv)
{
    ngx_sp_redis_slot_t  *slot;

    slot = NULL;

    if (ngx_sp_redis_refusal(redis) == NULL) {
        slot = ngx_sp_redis_format_evalsha(script, nkeys, argc, argv);
    }

    ngx_sp_redis_submit(redis, op, slot);
}


ngx_uint_t
ngx_sp_redis_ready(const ngx_sp_redis_t *redis)
{
    return redis->state == NGX_SP_REDIS_READY;
}


/* takes the slot over; NULL: the command is refused */

void
ngx_sp_redis_submit(ngx_sp_redis_t *redis, ngx_sp_redis_op_t *op,
    ngx_sp_redis_slot_t *slot)
{
    const char  *reason;

    op->reply = NULL;

    op->op.server = redis;

    ngx_sp_op_start(&op->op, redis->timeout, ngx_sp_redis_cancel, NULL);

    if (slot == NULL) {
        reason = ngx_sp_redis_refusal(redis);

        ngx_sp_op_finish_later(&op->op, NGX_SP_OP_UNAVAILABLE,
                               (reason != NULL) ? reason : "no memory");
        return;
    }

    slot->op = op;
    slot->redis = redis;
    op->op.slot = slot;

    ngx_queue_insert_tail(&redis->waiting, &slot->queue);
    redis->nslots++;

    ngx_sp_redis_idle(redis);

    /* commands of one turn of the event loop leave in one write */

    ngx_post_event(&redis->flush, &ngx_posted_events);
}


void
ngx_sp_redis_flush_handler(ngx_event_t *ev)
{
    ngx_sp_redis_t  *redis;

    redis = ev->data;

    if (redis->state == NGX_SP_REDIS_CLOSED) {
        ngx_sp_redis_open(redis);
        return;
    }

    if (redis->state == NGX_SP_REDIS_READY) {
        ngx_sp_redis_write(redis);
    }
}


static const char *
ngx_sp_redis_refusal(const ngx_sp_redis_t *redis)
{
    if (!redis->started) {
        return "redis is not started in this process";
    }

    if (redis->nslots >= redis->max_queue) {
        return "redis queue is full";
    }

    switch (redis->state) {

    case NGX_SP_REDIS_DOWN:
        return "redis breaker is open";

    case NGX_SP_REDIS_CONNECTING:
    case NGX_SP_REDIS_HANDSHAKE:

        /* half-open: only the probe passes; the first connection is awaited */

        return (redis->failures != 0) ? "redis breaker is open" : NULL;

    default:
        return NULL;
    }
}


static void
ngx_sp_redis_cancel(ngx_sp_op_t *op)
{
    ngx_msec_t            elapsed;
    ngx_sp_redis_t       *redis;
    ngx_sp_redis_op_t    *rop;
    ngx_sp_redis_slot_t  *slot;

    rop = (ngx_sp_redis_op_t *) op;
    slot = op->slot;
    redis = slot->redis;

    op->slot = NULL;
    slot->op = NULL;
    rop->reply = NULL;

    if (!slot->sent) {
        ngx_queue_remove(&slot->queue);
        ngx_sp_redis_free_slot(redis, slot);
        ngx_sp_redis_idle(redis);
        return;
    }

    elapsed = ngx_current_msec - op->started;

    if (elapsed >= op->timeout) {
        ngx_sp_redis_miss(redis);
    }
}


static void
ngx_sp_redis_miss(ngx_sp_redis_t *redis)
{
    ngx_msec_t            silent;
    ngx_queue_t          *q;
    ngx_sp_redis_slot_t  *slot;

    redis->misses++;

    if (redis->misses < NGX_SP_REDIS_MAX_MISSES
        || redis->state != NGX_SP_REDIS_READY
        || ngx_queue_empty(&redis->sent))
    {
        return;
    }

    q = ngx_queue_head(&redis->sent);
    slot = ngx_queue_data(q, ngx_sp_redis_slot_t, queue);

    silent = ngx_current_msec - slot->time;

    if (silent >= NGX_SP_REDIS_SILENT_FACTOR * redis->timeout) {

        /* not here: closing finishes other ops */

        ngx_post_event(&redis->trip, &ngx_posted_events);
    }
}


/* the slot has left the queue; the caller frees slot and reply */

void
ngx_sp_redis_reply(ngx_sp_redis_t *redis, ngx_sp_redis_slot_t *slot,
    redisReply *reply)
{
    ngx_sp_redis_op_t  *op;

    redis->misses = 0;

    op = slot->op;

    if (op == NULL) {
        return;
    }

    if (reply->type != REDIS_REPLY_ERROR) {
        op->reply = reply;
        ngx_sp_op_finish(&op->op, NGX_SP_OP_OK, NULL);
        return;
    }

    if (slot->kind == NGX_SP_REDIS_EVALSHA
        && ngx_strncmp(reply->str, "NOSCRIPT", sizeof("NOSCRIPT") - 1) == 0)
    {
        if (ngx_sp_redis_resend(redis, slot) == NGX_OK) {
            return;
        }

        ngx_sp_op_finish(&op->op, NGX_SP_OP_UNAVAILABLE, "no memory");
        return;
    }

    if (ngx_sp_redis_unavailable(reply)) {
        ngx_sp_op_finish(&op->op, NGX_SP_OP_UNAVAILABLE, reply->str);
        return;
    }

    op->reply = reply;
    ngx_sp_op_finish(&op->op, NGX_SP_OP_REJECTED, reply->str);
}


static ngx_uint_t
ngx_sp_redis_unavailable(const redisReply *reply)
{
    const ngx_str_t  *busy;

    for (busy = ngx_sp_redis_busy; busy->len != 0; busy++) {

        if ((size_t) reply->len >= busy->len
            && ngx_strncmp(reply->str, busy->data, busy->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* the script is not in the server's cache: once more, with its source */

static ngx_int_t
ngx_sp_redis_resend(ngx_sp_redis_t *redis, ngx_sp_redis_slot_t *slot)
{
    ngx_sp_redis_op_t    *op;
    ngx_sp_redis_slot_t  *eval;

    eval = ngx_sp_redis_format_eval(slot);
    if (eval == NULL) {
        return NGX_ERROR;
    }

    op = slot->op;
    slot->op = NULL;

    eval->op = op;
    eval->redis = redis;
    op->op.slot = eval;

    ngx_queue_insert_tail(&redis->waiting, &eval->queue);
    redis->nslots++;

    ngx_post_event(&redis->flush, &ngx_posted_events);

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, redis->log, 0,
                   "redis \"%V\" script \"%V\" is not cached",
                   &redis->name, &slot->script->name);

    return NGX_OK;
}
