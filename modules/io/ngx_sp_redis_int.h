
/*
 * Copyright (C) Sallyport authors
 *
 * Private to ngx_sp_redis*.c.
 *
 * hiredis is used by its non-blocking context: the socket, the output buffer
 * and the reply parser are hiredis', the queue of expected replies is ours.
 * Its async.h would add nothing but danger: it asserts on an unsolicited
 * reply, which ends the worker, and frees contexts beneath their callbacks.
 */

#ifndef _NGX_SP_REDIS_INT_H_INCLUDED_
#define _NGX_SP_REDIS_INT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_sp_fd.h"
#include "ngx_sp_name.h"
#include "ngx_sp_redis.h"


typedef enum {
    NGX_SP_REDIS_CLOSED = 0,    /* the next command connects */
    NGX_SP_REDIS_CONNECTING,
    NGX_SP_REDIS_HANDSHAKE,     /* AUTH, SELECT, PING */
    NGX_SP_REDIS_READY,
    NGX_SP_REDIS_DOWN           /* breaker open until the next probe */
} ngx_sp_redis_state_e;


typedef enum {
    NGX_SP_REDIS_COMMAND = 0,
    NGX_SP_REDIS_EVALSHA,
    NGX_SP_REDIS_SETUP,
    NGX_SP_REDIS_SETUP_LAST
} ngx_sp_redis_kind_e;


/* one command; in "waiting" until it is written, then in "sent" */

typedef struct {
    ngx_queue_t                   queue;
    ngx_sp_redis_kind_e           kind;
    ngx_sp_redis_t               *redis;
    ngx_sp_redis_op_t            *op;       /* NULL: swallow the reply */
    const ngx_sp_redis_script_t  *script;
    ngx_msec_t                    time;     /* of sending */
    ngx_uint_t                    nargs;    /* after the script */
    u_char                       *tail;     /* key count, keys, args */
    u_char                       *last;
    unsigned                      sent:1;
    u_char                        data[1];
} ngx_sp_redis_slot_t;


struct ngx_sp_redis_s {
    /* configuration */

    ngx_str_t                     name;
    ngx_str_t                     address;  /* as configured */
    ngx_sp_name_t                *host;     /* NULL: a socket's path */
    ngx_str_t                     path;     /* Unix socket, or empty */
    ngx_str_t                     user;
    ngx_str_t                     password;
    ngx_msec_t                    timeout;
    ngx_msec_t                    connect_timeout;
    ngx_uint_t                    db;
    ngx_uint_t                    max_queue;

    /* state of the worker, since init_process */

    ngx_sp_redis_state_e          state;
    redisContext                 *context;
    ngx_sp_fd_t                   fd;
    ngx_log_t                    *log;

    ngx_queue_t                   waiting;
    ngx_queue_t                   sent;
    ngx_uint_t                    nslots;   /* of ops, in both queues */

    ngx_uint_t                    misses;   /* deadlines since a reply */
    ngx_uint_t                    failures; /* connections lost in a row */
    ngx_msec_t                    since;    /* READY since */

    ngx_event_t                   timer;    /* connect deadline, back-off */
    ngx_event_t                   flush;
    ngx_event_t                   trip;

    unsigned                      started:1;
    unsigned                      tripped:1;
};


void ngx_sp_redis_submit(ngx_sp_redis_t *redis, ngx_sp_redis_op_t *op,
    ngx_sp_redis_slot_t *slot);
void ngx_sp_redis_flush_handler(ngx_event_t *ev);

/* RESP; each returns NULL when out of memory */
ngx_sp_redis_slot_t *ngx_sp_redis_format(ngx_uint_t argc,
    const ngx_str_t *argv);
ngx_sp_redis_slot_t *ngx_sp_redis_format_evalsha(
    const ngx_sp_redis_script_t *script, ngx_uint_t nkeys, ngx_uint_t argc,
    const ngx_str_t *argv);
ngx_sp_redis_slot_t *ngx_sp_redis_format_eval(
    const ngx_sp_redis_slot_t *evalsha);

void ngx_sp_redis_free_slot(ngx_sp_redis_t *redis,
    ngx_sp_redis_slot_t *slot);

/* the connection */
void ngx_sp_redis_open(ngx_sp_redis_t *redis);
void ngx_sp_redis_close(ngx_sp_redis_t *redis);
void ngx_sp_redis_fail(ngx_sp_redis_t *redis, const char *reason);
void ngx_sp_redis_write(ngx_sp_redis_t *redis);
void ngx_sp_redis_reply(ngx_sp_redis_t *redis, ngx_sp_redis_slot_t *slot,
    redisReply *reply);
void ngx_sp_redis_idle(ngx_sp_redis_t *redis);


#endif /* _NGX_SP_REDIS_INT_H_INCLUDED_ */
