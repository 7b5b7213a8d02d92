
/*
 * Copyright (C) Sallyport authors
 *
 * Private to ngx_http_sp_core_spool*.c.
 *
 * Finished turns on their way into PostgreSQL.  The file is the queue:
 *
 *     settle -> write(2) -> [segment ... segment] -> batch -> store_turns()
 *                                                      ^          | failed
 *                                                      +- wait ---+
 *
 * A segment is a file of JSON lines.  It belongs to the worker that holds
 * flock() on it; the lock of a killed worker is gone, and whoever finds the
 * segment then adopts it.  A turn is accepted when its line is written: it is
 * in the page cache and survives the worker, not the machine.  Sending a turn
 * again does no harm, store_turns() knows it by its id.
 */

#ifndef _NGX_HTTP_SP_CORE_SPOOL_H_INCLUDED_
#define _NGX_HTTP_SP_CORE_SPOOL_H_INCLUDED_


#include "ngx_http_sp_core_int.h"


#define NGX_HTTP_SP_SPOOL_SEGMENT  (4 * 1024 * 1024)


typedef struct {
    ngx_queue_t                    queue;
    ngx_fd_t                       fd;
    off_t                          size;      /* written */
    off_t                          sent;      /* stored in PostgreSQL */
    u_char                         name[NGX_MAX_PATH];
} ngx_http_sp_segment_t;


struct ngx_http_sp_spool_s {
    /* configuration */

    ngx_sp_pg_t                   *pg;        /* NULL: no turn_store */
    ngx_path_t                    *path;
    off_t                          max_size;
    ngx_uint_t                     batch_max; /* turns */
    ngx_msec_t                     flush_time;
    ngx_uint_t                     sized;     /* turn_spool was given */

    ngx_http_sp_metric_t          *accepted;
    ngx_http_sp_metric_t          *stored;
    ngx_http_sp_metric_t          *dropped;
    ngx_http_sp_metric_t          *adopted;
    ngx_http_sp_metric_t          *bytes;

    /* state of the worker, since init_process */

    ngx_queue_t                    segments;  /* oldest first */
    ngx_http_sp_segment_t         *current;   /* that is written, or NULL */
    off_t                          backlog;   /* bytes not yet stored */
    ngx_uint_t                     fresh;     /* turns since a batch */
    ngx_uint_t                     serial;
    ngx_uint_t                     failures;  /* in a row */
    ngx_uint_t                     single;    /* turns to send alone */
    ngx_msec_t                     exiting;   /* since when */
    time_t                         complained;
    ngx_event_t                    flush;
    ngx_event_t                    scan;

    /* the batch in flight */

    ngx_http_sp_segment_t         *source;    /* NULL: none */
    ngx_uint_t                     turns;
    off_t                          end;       /* in the source */
    u_char                        *batch;
    ngx_sp_pg_op_t                 op;
    ngx_sp_pg_query_t              query;
    ngx_str_t                      param;

    unsigned                       started:1;
};


/* ngx_http_sp_core_spool.c */

void ngx_http_sp_segment_close(ngx_http_sp_spool_t *spool,
    ngx_http_sp_segment_t *segment);

/* ngx_http_sp_core_spool_send.c */

void ngx_http_sp_spool_send_init(ngx_http_sp_spool_t *spool,
    ngx_cycle_t *cycle);
void ngx_http_sp_spool_send_exit(ngx_http_sp_spool_t *spool);

/* there are turns to be sent */
void ngx_http_sp_spool_wake(ngx_http_sp_spool_t *spool);


#endif /* _NGX_HTTP_SP_CORE_SPOOL_H_INCLUDED_ */
