
/*
 * Copyright (C) Sallyport authors
 *
 * Private to ngx_sp_spool.c, the files, and ngx_sp_sink.c, the sending.
 *
 * Lines on their way into PostgreSQL.  The file is the queue:
 *
 *     append -> write(2) -> [segment ... segment] -> batch -> the sink's SQL
 *                                                      ^          | failed
 *                                                      +- wait ---+
 *
 * A segment is a file of JSON lines of one kind.  It belongs to the worker
 * that holds flock() on it; the lock of a killed worker is gone, and whoever
 * finds the segment then adopts it.
 */

#ifndef _NGX_SP_SPOOL_INT_H_INCLUDED_
#define _NGX_SP_SPOOL_INT_H_INCLUDED_


#include "ngx_sp_spool.h"


#define NGX_SP_SPOOL_SEGMENT  (4 * 1024 * 1024)


typedef struct {
    ngx_queue_t                  queue;
    ngx_fd_t                     fd;
    off_t                        size;      /* written */
    off_t                        sent;      /* stored in PostgreSQL */
    u_char                       name[NGX_MAX_PATH];
} ngx_sp_segment_t;


struct ngx_sp_sink_s {
    ngx_sp_spool_t              *spool;
    const ngx_sp_sink_conf_t    *conf;

    ngx_sp_metric_t             *accepted;
    ngx_sp_metric_t             *stored;
    ngx_sp_metric_t             *dropped;
    ngx_sp_metric_t             *adopted;
    ngx_sp_metric_t             *bytes;

    /* state of the worker, since init_process */

    ngx_queue_t                  segments;  /* oldest first */
    ngx_sp_segment_t            *current;   /* that is written, or NULL */
    off_t                        backlog;   /* bytes not yet stored */
    ngx_uint_t                   fresh;     /* lines since a batch */
    ngx_uint_t                   failures;  /* in a row */
    ngx_uint_t                   single;    /* lines to send alone */
    ngx_msec_t                   exiting;   /* since when */
    ngx_event_t                  flush;

    /* the batch in flight */

    ngx_sp_segment_t            *source;    /* NULL: none */
    ngx_uint_t                   lines;
    off_t                        end;       /* in the source */
    u_char                      *batch;
    ngx_sp_pg_op_t               op;
    ngx_sp_pg_query_t            query;
    ngx_str_t                    param;
};


/* ngx_sp_spool.c */

void ngx_sp_segment_close(ngx_sp_sink_t *sink, ngx_sp_segment_t *segment);

/* ngx_sp_sink.c */

void ngx_sp_sink_init(ngx_sp_sink_t *sink, ngx_cycle_t *cycle);
void ngx_sp_sink_exit(ngx_sp_sink_t *sink);

/* there are lines to be sent */
void ngx_sp_sink_wake(ngx_sp_sink_t *sink);


#endif /* _NGX_SP_SPOOL_INT_H_INCLUDED_ */
