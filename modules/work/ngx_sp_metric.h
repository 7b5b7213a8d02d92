
/*
 * Copyright (C) Sallyport authors
 *
 * Metrics: declared at configuration, counted in shared memory, found again
 * by name and labels after a reload.
 */

#ifndef _NGX_SP_METRIC_H_INCLUDED_
#define _NGX_SP_METRIC_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


typedef enum {
    NGX_SP_COUNTER = 0,
    NGX_SP_GAUGE,
    NGX_SP_HISTOGRAM             /* "..._seconds", fixed buckets */
} ngx_sp_metric_type_e;

typedef struct ngx_sp_metric_s   ngx_sp_metric_t;
typedef struct ngx_sp_metrics_s  ngx_sp_metrics_t;   /* all of them */


/* one of a table, which ends with one without a name */

typedef struct {
    ngx_sp_metric_type_e         type;
    const char                  *name;
    const char                  *help;
    const char                  *labels;   /* or "" */
    size_t                       offset;   /* of an ngx_sp_metric_t * */
} ngx_sp_metric_slot_t;


/*
 * Counting costs an atomic operation; before the start it does nothing.  A
 * gauge is set by one process, or added to by all: what a killed worker had
 * added goes with it.
 */

void ngx_sp_metric_add(ngx_sp_metric_t *metric, ngx_int_t n);

/* "n" times the same; microseconds */
void ngx_sp_metric_observe(ngx_sp_metric_t *metric, uint64_t usec,
    ngx_uint_t n);

/*
 * Microseconds of a clock that is never set.  ngx_current_msec costs nothing
 * and is as old as the last events: good for everything but single requests.
 */
uint64_t ngx_sp_metric_clock(void);


/* Configuration; NULL and NGX_ERROR after logging why */

ngx_sp_metrics_t *ngx_sp_metrics_create(ngx_conf_t *cf);

/*
 * name: "sallyport_..._total" and the like; labels come from configuration
 * only: "policy=\"free\",limit=\"requests\"" or "".  The same name and labels
 * give the same metric.
 */
ngx_sp_metric_t *ngx_sp_metrics_add(ngx_conf_t *cf,
    ngx_sp_metrics_t *metrics, ngx_sp_metric_type_e type, const char *name,
    const char *help, const ngx_str_t *labels);

/*
 * A table of metrics, and the fields of "conf" that keep them.  A label that
 * is not NULL stands with its value, escaped, before those of the table.
 */
ngx_int_t ngx_sp_metrics_add_table(ngx_conf_t *cf, ngx_sp_metrics_t *metrics,
    const ngx_sp_metric_slot_t *table, void *conf, const char *label,
    const ngx_str_t *value);

/* name="value", escaped: at most twice as long */
u_char *ngx_sp_metric_label(u_char *p, const char *name,
    const ngx_str_t *value);

/* the zone of "size" bytes for all that was added; tag: the module's */
ngx_int_t ngx_sp_metrics_zone(ngx_conf_t *cf, ngx_sp_metrics_t *metrics,
    size_t size, void *tag);


/* a worker begins and ends */
void ngx_sp_metrics_init_process(ngx_sp_metrics_t *metrics);
void ngx_sp_metrics_exit_process(ngx_sp_metrics_t *metrics);

/* the text of /metrics, of at most ngx_sp_metrics_size() bytes */
size_t ngx_sp_metrics_size(const ngx_sp_metrics_t *metrics);
u_char *ngx_sp_metrics_print(u_char *p, const ngx_sp_metrics_t *metrics);


#endif /* _NGX_SP_METRIC_H_INCLUDED_ */
