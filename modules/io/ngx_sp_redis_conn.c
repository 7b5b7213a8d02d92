
/*
 * Copyright (C) Sallyport authors
 *
 * The connection of a worker to one redis server: CLOSED -> CONNECTING ->
 * HANDSHAKE -> READY, and DOWN after a failure.  See README.md.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_sp_redis_int.h"


#define NGX_SP_REDIS_BACKOFF_MIN  50
#define NGX_SP_REDIS_BACKOFF_MAX  500

/* a connection that lived longer was a good one: the next try is at once */
#define NGX_SP_REDIS_GOOD_LIFE    1000


static void ngx_sp_redis_set_state(ngx_sp_redis_t *redis,
    ngx_sp_redis_state_e state);
static ngx_int_t ngx_sp_redis_connect(ngx_sp_redis_t *redis);
static void ngx_sp_redis_timer_handler(ngx_event_t *ev);
static void ngx_sp_redis_trip_handler(ngx_event_t *ev);
static void ngx_sp_redis_read_handler(ngx_sp_fd_t *fd);
static void ngx_sp_redis_write_handler(ngx_sp_fd_t *fd);
static void ngx_sp_redis_close_handler(ngx_sp_fd_t *fd);
static void ngx_sp_redis_connected(ngx_sp_redis_t *redis);
static ngx_int_t ngx_sp_redis_setup(ngx_sp_redis_t *redis,
    ngx_sp_redis_kind_e kind, ngx_uint_t argc, const ngx_str_t *argv);
static ngx_int_t ngx_sp_redis_setup_reply(ngx_sp_redis_t *redis,
    ngx_sp_redis_slot_t *slot, redisReply *reply);
static void ngx_sp_redis_ready_state(ngx_sp_redis_t *redis);
static void ngx_sp_redis_read_replies(ngx_sp_redis_t *redis);
static ngx_int_t ngx_sp_redis_append(ngx_sp_redis_t *redis,
    ngx_sp_redis_slot_t *slot);
static void ngx_sp_redis_schedule(ngx_sp_redis_t *redis, const char *reason,
    ngx_uint_t good);
static void ngx_sp_redis_drop(ngx_sp_redis_t *redis, ngx_queue_t *queue,
    const char *reason);


#if (NGX_DEBUG)

static const char  *ngx_sp_redis_states[] = {
    "closed", "connecting", "handshake", "ready", "down"
};

#endif


ngx_int_t
ngx_sp_redis_init_process(ngx_sp_redis_t *redis, ngx_cycle_t *cycle)
{
    redis->log = cycle->log;
    redis->state = NGX_SP_REDIS_CLOSED;

    ngx_queue_init(&redis->waiting);
    ngx_queue_init(&redis->sent);

    redis->timer.handler = ngx_sp_redis_timer_handler;
    redis->timer.data = redis;
    redis->timer.log = redis->log;
    redis->timer.cancelable = 1;

    redis->flush.handler = ngx_sp_redis_flush_handler;
    redis->flush.data = redis;
    redis->flush.log = redis->log;

    redis->trip.handler = ngx_sp_redis_trip_handler;
    redis->trip.data = redis;
    redis->trip.log = redis->log;

    redis->fd.data = redis;
    redis->fd.read = ngx_sp_redis_read_handler;
    redis->fd.write = ngx_sp_redis_write_handler;
    redis->fd.close = ngx_sp_redis_close_handler;

    redis->started = 1;

    ngx_sp_redis_open(redis);

    return NGX_OK;
}


void
ngx_sp_redis_exit_process(ngx_sp_redis_t *redis)
{
    if (!redis->started) {
        return;
    }

    redis->started = 0;

    ngx_sp_redis_close(redis);
    ngx_sp_redis_set_state(redis, NGX_SP_REDIS_CLOSED);

    ngx_sp_redis_drop(redis, &redis->sent, "worker exits");
    ngx_sp_redis_drop(redis, &redis->waiting, "worker exits");
}


static void
ngx_sp_redis_set_state(ngx_sp_redis_t *redis, ngx_sp_redis_state_e state)
{
    ngx_log_debug3(NGX_LOG_DEBUG_CORE, redis->log, 0,
                   "redis \"%V\": %s -> %s", &redis->name,
                   ngx_sp_redis_states[redis->state],
                   ngx_sp_redis_states[state]);

    redis->state = state;
}


void
ngx_sp_redis_open(ngx_sp_redis_t *redis)
{
    ngx_int_t  rc;

    ngx_sp_redis_set_state(redis, NGX_SP_REDIS_CONNECTING);

    rc = ngx_sp_redis_connect(redis);

    if (rc == NGX_DECLINED) {
        ngx_sp_redis_fail(redis, "its name is not resolved");
        return;
    }

    if (rc != NGX_OK) {
        ngx_sp_redis_fail(redis, (redis->context != NULL
                                  && redis->context->err)
                                 ? redis->context->errstr
                                 : "no connection could be made");
        return;
    }

    ngx_add_timer(&redis->timer, redis->connect_timeout);
}


static ngx_int_t
ngx_sp_redis_connect(ngx_sp_redis_t *redis)
{
    const u_char  *ip;
    redisContext  *context;

    if (redis->host == NULL) {
        context = redisConnectUnixNonBlock((char *) redis->path.data);

    } else {
        ip = ngx_sp_name_address(redis->host);

        if (ip == NULL) {
            return NGX_DECLINED;
        }

        context = redisConnectNonBlock((char *) ip, redis->host->port);
    }

    redis->context = context;

    if (context == NULL || context->err) {
        return NGX_ERROR;
    }

    if (redis->host != NULL) {
        (void) redisEnableKeepAlive(context);
    }

    if (ngx_sp_fd_bind(&redis->fd, context->fd, redis->log) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_sp_fd_want(&redis->fd, NGX_SP_FD_WRITE);
}


/* forgets the connection; the queues stay */

void
ngx_sp_redis_close(ngx_sp_redis_t *redis)
{
    if (redis->timer.timer_set) {
        ngx_del_timer(&redis->timer);
    }

    if (redis->trip.posted) {
        ngx_delete_posted_event(&redis->trip);
    }

    if (redis->flush.posted) {
        ngx_delete_posted_event(&redis->flush);
    }

    ngx_sp_fd_unbind(&redis->fd);

    if (redis->context != NULL) {
        redisFree(redis->context);
        redis->context = NULL;
    }

    redis->misses = 0;
}


/*
 * The connection is lost.  Commands that were written have an unknown fate
 * and are never repeated; "reason" may point into the context.
 */

void
ngx_sp_redis_fail(ngx_sp_redis_t *redis, const char *reason)
{
    u_char      *p, text[128];
    ngx_uint_t   good;
    ngx_queue_t  sent, waiting;

    (void) ngx_cpystrn(text, (u_char *) reason, sizeof(text));
    reason = (const char *) text;

    for (p = text; *p != '\0'; p++) {
        if (*p < 0x20 || *p == 0x7f) {
            *p = ' ';
        }
    }

    good = (redis->state == NGX_SP_REDIS_READY
            && ngx_current_msec - redis->since >= NGX_SP_REDIS_GOOD_LIFE);

    ngx_sp_redis_close(redis);

    ngx_queue_init(&sent);
    ngx_queue_init(&waiting);

    ngx_queue_add(&sent, &redis->sent);
    ngx_queue_init(&redis->sent);

    ngx_sp_redis_schedule(redis, reason, good);

    redis->tripped = 0;

    /* what was not written waits for a reconnect that is tried at once */

    if (redis->state == NGX_SP_REDIS_DOWN || !redis->flush.posted) {
        ngx_queue_add(&waiting, &redis->waiting);
        ngx_queue_init(&redis->waiting);
    }

    ngx_sp_redis_drop(redis, &sent, reason);
    ngx_sp_redis_drop(redis, &waiting, reason);
}


static void
ngx_sp_redis_schedule(ngx_sp_redis_t *redis, const char *reason,
    ngx_uint_t good)
{
    ngx_uint_t  level, shift;
    ngx_msec_t  delay;

    if (good) {
        redis->failures = 0;
    }

    if (ngx_exiting || ngx_quit || ngx_terminate) {

        /* no timers in a worker that leaves: the next command connects */

        redis->failures = 0;
        ngx_sp_redis_set_state(redis, NGX_SP_REDIS_CLOSED);
        return;
    }

    if (good && !redis->tripped) {

        /* an idle timeout of the server, or its restart */

        ngx_log_error(NGX_LOG_WARN, redis->log, 0,
                      "redis \"%V\" at %V: connection lost: %s",
                      &redis->name, &redis->address, reason);

        ngx_sp_redis_set_state(redis, NGX_SP_REDIS_CLOSED);
        ngx_post_event(&redis->flush, &ngx_posted_events);
        return;
    }

    if (redis->host != NULL) {
        ngx_sp_name_failed(redis->host);
    }

    level = (redis->failures == 0) ? NGX_LOG_ERR : NGX_LOG_INFO;

    ngx_log_error(level, redis->log, 0,
                  "redis \"%V\" at %V is down: %s",
                  &redis->name, &redis->address, reason);

    shift = ngx_min(redis->failures, 5);
    delay = ngx_min((ngx_msec_t) NGX_SP_REDIS_BACKOFF_MIN << shift,
                    NGX_SP_REDIS_BACKOFF_MAX);

    /* workers must not come back all at once */

    delay -= (ngx_msec_t) ngx_random() % (delay / 4);

    redis->failures++;
    ngx_sp_redis_set_state(redis, NGX_SP_REDIS_DOWN);
    ngx_add_timer(&redis->timer, delay);
}


static void
ngx_sp_redis_drop(ngx_sp_redis_t *redis, ngx_queue_t *queue,
    const char *reason)
{
    ngx_queue_t          *q;
    ngx_sp_redis_op_t    *op;
    ngx_sp_redis_slot_t  *slot;

    /* "done" may cancel any other op of the queue */

    while (!ngx_queue_empty(queue)) {
        q = ngx_queue_head(queue);
        ngx_queue_remove(q);

        slot = ngx_queue_data(q, ngx_sp_redis_slot_t, queue);
        op = slot->op;

        ngx_sp_redis_free_slot(redis, slot);

        if (op != NULL) {
            ngx_sp_op_finish(&op->op, NGX_SP_OP_UNAVAILABLE, reason);
        }
    }
}


void
ngx_sp_redis_free_slot(ngx_sp_redis_t *redis, ngx_sp_redis_slot_t *slot)
{
    if (slot->kind == NGX_SP_REDIS_COMMAND
        || slot->kind == NGX_SP_REDIS_EVALSHA)
    {
        redis->nslots--;
    }

    ngx_free(slot);
}


void
ngx_sp_redis_idle(ngx_sp_redis_t *redis)
{
    ngx_sp_fd_set_idle(&redis->fd, redis->nslots == 0);
}


static void
ngx_sp_redis_timer_handler(ngx_event_t *ev)
{
    ngx_sp_redis_t  *redis;

    redis = ev->data;

    if (redis->state == NGX_SP_REDIS_DOWN) {

        if (ngx_exiting) {
            ngx_sp_redis_set_state(redis, NGX_SP_REDIS_CLOSED);
            return;
        }

        ngx_sp_redis_open(redis);
        return;
    }

    ngx_sp_redis_fail(redis, (redis->state == NGX_SP_REDIS_CONNECTING)
                             ? "connect timed out"
                             : "no answer to the handshake in time");
}


static void
ngx_sp_redis_trip_handler(ngx_event_t *ev)
{
    ngx_sp_redis_t  *redis;

    redis = ev->data;

    if (redis->state != NGX_SP_REDIS_READY) {
        return;
    }

    redis->tripped = 1;

    ngx_sp_redis_fail(redis, "no replies, the breaker opens");
}


static void
ngx_sp_redis_close_handler(ngx_sp_fd_t *fd)
{
    ngx_sp_redis_fail(fd->data, "worker shuts down");
}


static void
ngx_sp_redis_read_handler(ngx_sp_fd_t *fd)
{
    ngx_sp_redis_t  *redis;

    redis = fd->data;

    if (redis->state == NGX_SP_REDIS_CONNECTING) {
        ngx_sp_redis_connected(redis);
        return;
    }

    if (redisBufferRead(redis->context) != REDIS_OK) {
        ngx_sp_redis_fail(redis, redis->context->errstr);
        return;
    }

    ngx_sp_redis_read_replies(redis);
}


static void
ngx_sp_redis_write_handler(ngx_sp_fd_t *fd)
{
    ngx_sp_redis_t  *redis;

    redis = fd->data;

    if (redis->state == NGX_SP_REDIS_CONNECTING) {
        ngx_sp_redis_connected(redis);
        return;
    }

    ngx_sp_redis_write(redis);
}


static void
ngx_sp_redis_connected(ngx_sp_redis_t *redis)
{
    int          err;
    socklen_t    len;
    ngx_str_t    auth[3], select[2], ping[1];
    ngx_uint_t   n;
    u_char       db[NGX_INT_T_LEN];

    err = 0;
    len = sizeof(int);

    if (getsockopt(redis->context->fd, SOL_SOCKET, SO_ERROR, &err, &len)
        == -1)
    {
        err = ngx_socket_errno;
    }

    if (err != 0) {
        ngx_sp_redis_fail(redis, strerror(err));
        return;
    }

    ngx_sp_redis_set_state(redis, NGX_SP_REDIS_HANDSHAKE);

    if (redis->password.len != 0) {
        n = 0;
        ngx_str_set(&auth[n], "AUTH");
        n++;

        if (redis->user.len != 0) {
            auth[n++] = redis->user;
        }

        auth[n++] = redis->password;

        if (ngx_sp_redis_setup(redis, NGX_SP_REDIS_SETUP, n, auth)
            != NGX_OK)
        {
            goto failed;
        }
    }

    if (redis->db != 0) {
        ngx_str_set(&select[0], "SELECT");
        select[1].data = db;
        select[1].len = ngx_sprintf(db, "%ui", redis->db) - db;

        if (ngx_sp_redis_setup(redis, NGX_SP_REDIS_SETUP, 2, select)
            != NGX_OK)
        {
            goto failed;
        }
    }

    ngx_str_set(&ping[0], "PING");

    if (ngx_sp_redis_setup(redis, NGX_SP_REDIS_SETUP_LAST, 1, ping)
        != NGX_OK)
    {
        goto failed;
    }

    ngx_sp_redis_write(redis);

    return;

failed:

    ngx_sp_redis_fail(redis, "no memory");
}


static ngx_int_t
ngx_sp_redis_setup(ngx_sp_redis_t *redis, ngx_sp_redis_kind_e kind,
    ngx_uint_t argc, const ngx_str_t *argv)
{
    ngx_sp_redis_slot_t  *slot;

    slot = ngx_sp_redis_format(argc, argv);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    slot->kind = kind;
    slot->redis = redis;

    if (ngx_sp_redis_append(redis, slot) != NGX_OK) {
        ngx_free(slot);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sp_redis_append(ngx_sp_redis_t *redis, ngx_sp_redis_slot_t *slot)
{
    if (redisAppendFormattedCommand(redis->context, (char *) slot->data,
                                    slot->last - slot->data)
        != REDIS_OK)
    {
        return NGX_ERROR;
    }

    slot->sent = 1;
    slot->time = ngx_current_msec;

    ngx_queue_insert_tail(&redis->sent, &slot->queue);

    return NGX_OK;
}


void
ngx_sp_redis_write(ngx_sp_redis_t *redis)
{
    int                   done;
    ngx_queue_t          *q;
    ngx_sp_redis_slot_t  *slot;

    if (redis->state == NGX_SP_REDIS_READY) {

        while (!ngx_queue_empty(&redis->waiting)) {
            q = ngx_queue_head(&redis->waiting);
            ngx_queue_remove(q);

            slot = ngx_queue_data(q, ngx_sp_redis_slot_t, queue);

            if (ngx_sp_redis_append(redis, slot) != NGX_OK) {
                ngx_queue_insert_head(&redis->waiting, q);
                ngx_sp_redis_fail(redis, "no memory");
                return;
            }

            slot->op->op.sent = 1;
        }
    }

    done = 0;

    if (redisBufferWrite(redis->context, &done) != REDIS_OK) {
        ngx_sp_redis_fail(redis, redis->context->errstr);
        return;
    }

    if (ngx_sp_fd_want(&redis->fd, done ? NGX_SP_FD_READ
                                        : NGX_SP_FD_READ|NGX_SP_FD_WRITE)
        != NGX_OK)
    {
        ngx_sp_redis_fail(redis, "no event could be added");
    }
}


static void
ngx_sp_redis_read_replies(ngx_sp_redis_t *redis)
{
    void                 *reply;
    ngx_int_t             rc;
    ngx_queue_t          *q;
    redisReader          *reader;
    ngx_sp_redis_slot_t  *slot;

    for ( ;; ) {
        reader = redis->context->reader;
        reply = NULL;

        if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
            ngx_sp_redis_fail(redis, reader->errstr);
            return;
        }

        if (reply == NULL) {
            break;
        }

        if (ngx_queue_empty(&redis->sent)) {
            freeReplyObject(reply);
            ngx_sp_redis_fail(redis, "a reply that nobody asked for");
            return;
        }

        q = ngx_queue_head(&redis->sent);
        ngx_queue_remove(q);
        slot = ngx_queue_data(q, ngx_sp_redis_slot_t, queue);

        rc = NGX_OK;

        if (slot->kind == NGX_SP_REDIS_COMMAND
            || slot->kind == NGX_SP_REDIS_EVALSHA)
        {
            ngx_sp_redis_reply(redis, slot, reply);

        } else {
            rc = ngx_sp_redis_setup_reply(redis, slot, reply);
        }

        freeReplyObject(reply);
        ngx_sp_redis_free_slot(redis, slot);

        if (rc != NGX_OK) {
            return;
        }
    }

    ngx_sp_redis_idle(redis);
}


/* NGX_ERROR: the connection is gone */

static ngx_int_t
ngx_sp_redis_setup_reply(ngx_sp_redis_t *redis, ngx_sp_redis_slot_t *slot,
    redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_sp_redis_fail(redis, reply->str);
        return NGX_ERROR;
    }

    if (slot->kind == NGX_SP_REDIS_SETUP_LAST) {
        ngx_sp_redis_ready_state(redis);
    }

    return NGX_OK;
}


static void
ngx_sp_redis_ready_state(ngx_sp_redis_t *redis)
{
    if (redis->timer.timer_set) {
        ngx_del_timer(&redis->timer);
    }

    if (redis->failures != 0) {
        ngx_log_error(NGX_LOG_NOTICE, redis->log, 0,
                      "redis \"%V\" at %V is back",
                      &redis->name, &redis->address);
    }

    /* "failures" stays until the connection has proved itself by its life */

    redis->misses = 0;
    redis->since = ngx_current_msec;

    ngx_sp_redis_set_state(redis, NGX_SP_REDIS_READY);

    ngx_post_event(&redis->flush, &ngx_posted_events);
}
