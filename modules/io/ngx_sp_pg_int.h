
/*
 * Copyright (C) Sallyport authors
 *
 * Private to ngx_sp_pg*.c.
 *
 *   link      one PGconn on the event loop: connects, flushes, reads
 *   conn      a link of the pool: runs one task at a time
 *   task      the copy of an op: what is sent and what came back
 *   entry     a statement of the code under the name it is prepared by
 *   listener  a link of its own that only listens
 */

#ifndef _NGX_SP_PG_INT_H_INCLUDED_
#define _NGX_SP_PG_INT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_sp_fd.h"
#include "ngx_sp_name.h"
#include "ngx_sp_pg.h"


#define NGX_SP_PG_BACKOFF_MIN  100
#define NGX_SP_PG_BACKOFF_MAX  5000

/* a connection lost sooner than that counts as a failed attempt */
#define NGX_SP_PG_GOOD_LIFE    1000

#define NGX_SP_PG_NAME_LEN     (sizeof("sp_") - 1 + 32)


typedef struct ngx_sp_pg_link_s  ngx_sp_pg_link_t;
typedef struct ngx_sp_pg_conn_s  ngx_sp_pg_conn_t;

typedef void (*ngx_sp_pg_link_pt)(ngx_sp_pg_link_t *link);
typedef void (*ngx_sp_pg_lost_pt)(ngx_sp_pg_link_t *link,
    const char *reason);


struct ngx_sp_pg_link_s {
    ngx_sp_pg_t                  *pg;
    PGconn                       *pgconn;    /* NULL: closed */
    ngx_sp_fd_t                   fd;
    ngx_event_t                   timer;     /* connect deadline */

    /*
     * None of them is called from open() or close().  "lost" is called with
     * the link closed; after "readable" the link may be closed.
     */
    ngx_sp_pg_link_pt             connected;
    ngx_sp_pg_link_pt             readable;
    ngx_sp_pg_lost_pt             lost;
    void                         *data;

    ngx_msec_t                    since;     /* connected since */
    unsigned                      ready:1;
};


typedef struct {
    ngx_rbtree_node_t             node;      /* key: the address */
    const ngx_sp_pg_statement_t  *statement;
    ngx_uint_t                    index;     /* in conn->prepared */
    u_char                        name[NGX_SP_PG_NAME_LEN + 1];
} ngx_sp_pg_entry_t;


typedef enum {
    NGX_SP_PG_RESET = 0,
    NGX_SP_PG_PARSE,
    NGX_SP_PG_QUERY,
    NGX_SP_PG_SYNC
} ngx_sp_pg_kind_e;


/* what was sent, in order: results come back in the same order */

typedef struct {
    ngx_sp_pg_kind_e              kind;
    ngx_uint_t                    query;
} ngx_sp_pg_step_t;


typedef struct {
    ngx_sp_pg_entry_t            *entry;
    const char                  **params;
    PGresult                     *result;
} ngx_sp_pg_task_query_t;


typedef struct {
    ngx_queue_t                   queue;
    ngx_pool_t                   *pool;
    ngx_sp_pg_t                  *pg;
    ngx_sp_pg_op_t               *op;        /* NULL: cancelled */
    ngx_sp_pg_conn_t             *conn;      /* NULL: waits */

    ngx_msec_t                    started;
    ngx_msec_t                    timeout;

    ngx_sp_pg_task_query_t       *queries;   /* the first is the preface */
    ngx_uint_t                    nqueries;

    ngx_sp_pg_step_t             *steps;
    ngx_uint_t                    nsteps;
    ngx_uint_t                    step;

    PGresult                     *error;
    ngx_uint_t                    failed;

    u_char                        statement_timeout[NGX_INT_T_LEN + 1];

    unsigned                      seen:1;    /* a result of this step */
    unsigned                      retried:1;
} ngx_sp_pg_task_t;


typedef enum {
    NGX_SP_PG_CLOSED = 0,
    NGX_SP_PG_CONNECTING,
    NGX_SP_PG_IDLE,
    NGX_SP_PG_BUSY
} ngx_sp_pg_state_e;


struct ngx_sp_pg_conn_s {
    ngx_queue_t                   queue;     /* in pg->idle when IDLE */
    ngx_sp_pg_state_e             state;
    ngx_sp_pg_link_t              link;
    ngx_sp_pg_task_t             *task;
    ngx_event_t                   timer;     /* of a cancelled task */
    ngx_msec_t                    rested;    /* IDLE since */
    u_char                       *prepared;  /* by entry->index */
    ngx_uint_t                    nprepared;
    ngx_uint_t                    served;
    size_t                        largest;
};


typedef struct {
    ngx_str_t                     channel;
    ngx_sp_pg_notify_pt           handler;
    void                         *data;
} ngx_sp_pg_channel_t;


typedef struct {
    ngx_sp_pg_link_t              link;
    ngx_event_t                   timer;     /* back-off, LISTEN deadline */
    ngx_uint_t                    failures;
    unsigned                      listening:1;
} ngx_sp_pg_listener_t;


struct ngx_sp_pg_s {
    /* configuration */

    ngx_str_t                     name;
    ngx_str_t                     address;   /* for the log */
    const char                  **keywords;
    const char                  **values;
    ngx_sp_name_t                *host;      /* NULL: it has no name */
    ngx_uint_t                    hostaddr;  /* in values, for the host */
    ngx_uint_t                    max_conns;
    ngx_uint_t                    max_queue;
    ngx_msec_t                    timeout;
    ngx_msec_t                    connect_timeout;
    ngx_msec_t                    idle_timeout;
    ngx_array_t                   channels;  /* ngx_sp_pg_channel_t */

    /* state of the worker, since init_process */

    ngx_log_t                    *log;
    ngx_sp_pg_conn_t             *conns;
    ngx_queue_t                   idle;      /* last used first */
    ngx_queue_t                   waiting;
    ngx_uint_t                    nwaiting;
    ngx_uint_t                    nconnecting;
    ngx_uint_t                    nlive;     /* IDLE and BUSY */
    ngx_uint_t                    failures;  /* attempts failed in a row */

    ngx_event_t                   retry;     /* back-off */
    ngx_event_t                   shrink;    /* set while there are several */
    ngx_event_t                   dispatch;  /* posted */

    ngx_rbtree_t                  entries;
    ngx_rbtree_node_t             sentinel;
    ngx_uint_t                    nentries;

    ngx_sp_pg_listener_t         *listener;

    unsigned                      started:1;
};


/* ngx_sp_pg_link.c */

void ngx_sp_pg_link_init(ngx_sp_pg_link_t *link, ngx_sp_pg_t *pg,
    void *data);
ngx_int_t ngx_sp_pg_link_open(ngx_sp_pg_link_t *link);
void ngx_sp_pg_link_close(ngx_sp_pg_link_t *link);
ngx_int_t ngx_sp_pg_link_flush(ngx_sp_pg_link_t *link);
ngx_msec_t ngx_sp_pg_backoff(ngx_uint_t failures);

/* closes and calls "lost"; "reason" may point into the connection */
void ngx_sp_pg_link_fail(ngx_sp_pg_link_t *link, const char *reason);


/* ngx_sp_pg_task.c */

ngx_sp_pg_task_t *ngx_sp_pg_task_create(ngx_sp_pg_t *pg,
    ngx_sp_pg_op_t *op, const char **sqlstate);
void ngx_sp_pg_task_destroy(ngx_sp_pg_task_t *task);
void ngx_sp_pg_task_finish(ngx_sp_pg_task_t *task);
void ngx_sp_pg_task_fail(ngx_sp_pg_task_t *task, const char *reason);
ngx_uint_t ngx_sp_pg_task_retry(ngx_sp_pg_task_t *task);
const char *ngx_sp_pg_task_sqlstate(const ngx_sp_pg_task_t *task);


/* ngx_sp_pg_exec.c */

ngx_int_t ngx_sp_pg_send(ngx_sp_pg_conn_t *conn, ngx_sp_pg_task_t *task);

/* NGX_OK: the task is complete; NGX_AGAIN; NGX_ERROR: protocol violated */
ngx_int_t ngx_sp_pg_collect(ngx_sp_pg_conn_t *conn);


/* ngx_sp_pg_listen.c */

ngx_int_t ngx_sp_pg_listener_start(ngx_sp_pg_t *pg, ngx_cycle_t *cycle);
void ngx_sp_pg_listener_stop(ngx_sp_pg_t *pg);


#endif /* _NGX_SP_PG_INT_H_INCLUDED_ */
