
/*
 * Copyright (C) Sallyport authors
 *
 * The spool: lines that must reach PostgreSQL, by way of files in one
 * directory.  A line is accepted when it is in the file: it is in the page
 * cache then, and survives the worker, not the machine.  It is stored with
 * the next batch, at least once: the statement of a sink has to know a line
 * that it has seen.
 */

#ifndef _NGX_SP_SPOOL_H_INCLUDED_
#define _NGX_SP_SPOOL_H_INCLUDED_


#include "ngx_sp_metric.h"
#include "ngx_sp_pg.h"


typedef struct ngx_sp_sink_s  ngx_sp_sink_t;


typedef struct {
    ngx_path_t                  *path;
    off_t                        max_size;  /* of a kind, in a worker */
    ngx_array_t                  sinks;     /* ngx_sp_sink_t * */

    /* state of the worker, since init_process */

    ngx_uint_t                   serial;
    time_t                       complained;
    ngx_event_t                  scan;
    unsigned                     started:1;
} ngx_sp_spool_t;


/* what becomes of the lines of one kind; it lives as the configuration */

typedef struct {
    ngx_str_t                    name;      /* "turns"; without a dash */
    ngx_sp_pg_t                 *pg;
    const ngx_sp_pg_statement_t *statement; /* $1: a JSON array of lines */
    ngx_uint_t                   batch_max; /* lines */
    ngx_msec_t                   flush_time;
} ngx_sp_sink_conf_t;


/* Configuration; NULL and NGX_ERROR after logging why */

ngx_sp_spool_t *ngx_sp_spool_create(ngx_conf_t *cf);
ngx_sp_sink_t *ngx_sp_spool_add_sink(ngx_conf_t *cf, ngx_sp_spool_t *spool,
    ngx_sp_metrics_t *metrics, const ngx_sp_sink_conf_t *conf);

/* when all sinks are there; without one there is no directory */
ngx_int_t ngx_sp_spool_init(ngx_conf_t *cf, ngx_sp_spool_t *spool);

/* a worker begins and ends */
void ngx_sp_spool_init_process(ngx_sp_spool_t *spool, ngx_cycle_t *cycle);
void ngx_sp_spool_exit_process(ngx_sp_spool_t *spool);


/*
 * In: one JSON object and a LF.  NGX_OK: it is accepted; NGX_ERROR: it is
 * lost, counted and logged (full, not writable, over 16 MiB).
 */
ngx_int_t ngx_sp_spool_append(ngx_sp_sink_t *sink, const ngx_str_t *line);

/*
 * The same for a line that gives way to others: it is lost already where half
 * of max_size waits.
 */
ngx_int_t ngx_sp_spool_offer(ngx_sp_sink_t *sink, const ngx_str_t *line);

/* what was accepted does not wait for other lines of its batch */
void ngx_sp_spool_flush(ngx_sp_sink_t *sink);


#endif /* _NGX_SP_SPOOL_H_INCLUDED_ */
