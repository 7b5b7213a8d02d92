
/*
 * Copyright (C) Sallyport authors
 *
 * Private to ngx_sp_metric*.c.
 */

#ifndef _NGX_SP_METRIC_INT_H_INCLUDED_
#define _NGX_SP_METRIC_INT_H_INCLUDED_


#include "ngx_sp_metric.h"


#define NGX_SP_METRICS_LAYOUT  2
#define NGX_SP_METRICS_SLOTS   64
#define NGX_SP_METRICS_ZONE    "metrics"


/* buckets with an upper bound; one more is +Inf, then the sum */
#define NGX_SP_METRICS_BOUNDS  21

#define NGX_SP_METRICS_INF    NGX_SP_METRICS_BOUNDS
#define NGX_SP_METRICS_SUM    (NGX_SP_METRICS_BOUNDS + 1)
#define NGX_SP_METRICS_CELLS  (NGX_SP_METRICS_BOUNDS + 2)


typedef struct {
    uint64_t                       usec;
    const char                    *le;        /* in seconds */
} ngx_sp_metric_bound_t;


/* in shared memory */

typedef struct ngx_sp_metric_cells_s       ngx_sp_metric_cells_t;

struct ngx_sp_metric_cells_s {
    ngx_sp_metric_cells_t         *next;
    ngx_uint_t                     type;
    ngx_uint_t                     ncells;
    size_t                         name_len;
    size_t                         labels_len;
    u_char                        *text;      /* name, labels */
    ngx_atomic_t                   cells[1];
};


typedef struct {
    ngx_uint_t                     layout;
    ngx_sp_metric_cells_t         *first;
    ngx_atomic_t                   pids[NGX_SP_METRICS_SLOTS];
} ngx_sp_metrics_sh_t;


struct ngx_sp_metric_s {
    ngx_sp_metrics_t              *metrics;
    ngx_sp_metric_type_e           type;
    ngx_str_t                      name;
    ngx_str_t                      help;
    ngx_str_t                      labels;
    ngx_sp_metric_cells_t         *shared;    /* NULL: before the start */
};


struct ngx_sp_metrics_s {
    ngx_array_t                    list;      /* metric_t *, by family */
    ngx_shm_zone_t                *zone;
    ngx_sp_metrics_sh_t           *sh;
    ngx_slab_pool_t               *shpool;
    ngx_int_t                      slot;      /* of this process, or -1 */
    time_t                         started;
};


extern const ngx_sp_metric_bound_t
    ngx_sp_metric_bounds[NGX_SP_METRICS_BOUNDS];


/* whether the process that has a slot still lives */
ngx_uint_t ngx_sp_metrics_alive(ngx_pid_t pid);


#endif /* _NGX_SP_METRIC_INT_H_INCLUDED_ */
