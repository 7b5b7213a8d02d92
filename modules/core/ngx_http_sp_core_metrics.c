
/*
 * Copyright (C) Sallyport authors
 *
 * Metrics: declared at configuration, counted in shared memory, found again
 * by name after a reload, so that workers of both generations count into the
 * same cells.
 *
 * A gauge that is added to has a cell per process: what a killed worker had
 * added goes away with it.
 */


#include "ngx_http_sp_core_int.h"


#define NGX_HTTP_SP_METRICS_LAYOUT  1
#define NGX_HTTP_SP_METRICS_SLOTS   64
#define NGX_HTTP_SP_METRICS_ZONE    "metrics"


/* upper bounds of the buckets; one more is +Inf, then sum and count */

static const ngx_msec_t  ngx_http_sp_metric_bounds[] = {
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000
};


#define NGX_HTTP_SP_METRICS_BOUNDS                                            \
    (sizeof(ngx_http_sp_metric_bounds) / sizeof(ngx_msec_t))

#define NGX_HTTP_SP_METRICS_INF    NGX_HTTP_SP_METRICS_BOUNDS
#define NGX_HTTP_SP_METRICS_SUM    (NGX_HTTP_SP_METRICS_BOUNDS + 1)
#define NGX_HTTP_SP_METRICS_COUNT  (NGX_HTTP_SP_METRICS_BOUNDS + 2)
#define NGX_HTTP_SP_METRICS_CELLS  (NGX_HTTP_SP_METRICS_BOUNDS + 3)


/* in shared memory */

typedef struct ngx_http_sp_metric_cells_s  ngx_http_sp_metric_cells_t;

struct ngx_http_sp_metric_cells_s {
    ngx_http_sp_metric_cells_t    *next;
    ngx_uint_t                     type;
    ngx_uint_t                     ncells;
    size_t                         name_len;
    size_t                         labels_len;
    u_char                        *text;      /* name, labels */
    ngx_atomic_t                   cells[1];
};


typedef struct {
    ngx_uint_t                     layout;
    ngx_http_sp_metric_cells_t    *first;
    ngx_atomic_t                   pids[NGX_HTTP_SP_METRICS_SLOTS];
} ngx_http_sp_metrics_sh_t;


struct ngx_http_sp_metric_s {
    ngx_http_sp_metrics_t         *metrics;
    ngx_http_sp_metric_type_e      type;
    ngx_str_t                      name;
    ngx_str_t                      help;
    ngx_str_t                      labels;
    ngx_http_sp_metric_cells_t    *shared;    /* NULL: before the start */
};


struct ngx_http_sp_metrics_s {
    ngx_array_t                    list;      /* metric_t *, by family */
    ngx_shm_zone_t                *zone;
    ngx_http_sp_metrics_sh_t      *sh;
    ngx_slab_pool_t               *shpool;
    ngx_int_t                      slot;      /* of this process, or -1 */
    time_t                         started;
};


static ngx_int_t ngx_http_sp_metrics_zone_init(ngx_shm_zone_t *zone,
    void *data);
static ngx_http_sp_metrics_sh_t *ngx_http_sp_metrics_former(
    ngx_shm_zone_t *zone);
static ngx_http_sp_metric_cells_t *ngx_http_sp_metrics_find(
    const ngx_http_sp_metrics_sh_t *sh, const ngx_http_sp_metric_t *metric);
static ngx_http_sp_metric_cells_t *ngx_http_sp_metrics_alloc(
    ngx_http_sp_metrics_t *metrics, const ngx_http_sp_metric_t *metric);
static ngx_uint_t ngx_http_sp_metrics_ncells(ngx_uint_t type);
static void ngx_http_sp_metrics_clear_slot(ngx_http_sp_metrics_t *metrics);
static ngx_uint_t ngx_http_sp_metrics_alive(ngx_pid_t pid);
static size_t ngx_http_sp_metric_size(const ngx_http_sp_metric_t *metric);
static u_char *ngx_http_sp_metric_print(u_char *p,
    const ngx_http_sp_metric_t *metric, ngx_uint_t head);
static u_char *ngx_http_sp_metric_print_histogram(u_char *p,
    const ngx_http_sp_metric_t *metric);
static u_char *ngx_http_sp_metric_print_labels(u_char *p,
    const ngx_http_sp_metric_t *metric, const char *le);
static ngx_atomic_int_t ngx_http_sp_metric_gauge(
    const ngx_http_sp_metric_t *metric);
static u_char *ngx_http_sp_metrics_print_process(u_char *p,
    const ngx_http_sp_metrics_t *metrics);


ngx_int_t
ngx_http_sp_metrics_create(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf)
{
    ngx_http_sp_metrics_t  *metrics;

    metrics = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_metrics_t));
    if (metrics == NULL) {
        return NGX_ERROR;
    }

    if (ngx_array_init(&metrics->list, cf->pool, 64,
                       sizeof(ngx_http_sp_metric_t *))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    metrics->slot = -1;
    metrics->started = ngx_time();

    mcf->metrics = metrics;

    return NGX_OK;
}


/* the same name and labels are the same metric */

ngx_http_sp_metric_t *
ngx_http_sp_add_metric(ngx_conf_t *cf, ngx_http_sp_metric_type_e type,
    const char *name, const char *help, const ngx_str_t *labels)
{
    size_t                         len;
    ngx_uint_t                     i, at;
    ngx_http_sp_metric_t         **elt, *metric;
    ngx_http_sp_metrics_t         *metrics;
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);
    metrics = mcf->metrics;

    len = ngx_strlen(name);

    elt = metrics->list.elts;
    at = metrics->list.nelts;

    for (i = 0; i < metrics->list.nelts; i++) {

        if (elt[i]->name.len != len
            || ngx_strncmp(elt[i]->name.data, name, len) != 0)
        {
            continue;
        }

        if (elt[i]->type != type) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "metric \"%s\" has two types", name);
            return NULL;
        }

        if (elt[i]->labels.len == labels->len
            && ngx_memcmp(elt[i]->labels.data, labels->data, labels->len)
               == 0)
        {
            return elt[i];
        }

        at = i + 1;
    }

    metric = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_metric_t));
    if (metric == NULL) {
        return NULL;
    }

    metric->metrics = metrics;
    metric->type = type;
    metric->name.data = (u_char *) name;
    metric->name.len = len;
    metric->help.data = (u_char *) help;
    metric->help.len = ngx_strlen(help);
    metric->labels = *labels;

    if (ngx_array_push(&metrics->list) == NULL) {
        return NULL;
    }

    /* families stay together, as the text format demands */

    elt = metrics->list.elts;

    for (i = metrics->list.nelts - 1; i > at; i--) {
        elt[i] = elt[i - 1];
    }

    elt[at] = metric;

    return metric;
}


ngx_int_t
ngx_http_sp_metrics_init(ngx_conf_t *cf)
{
    ngx_str_t                      name;
    ngx_shm_zone_t                *zone;
    ngx_http_sp_metrics_t         *metrics;
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);
    metrics = mcf->metrics;

    ngx_conf_init_size_value(mcf->metrics_size, 1024 * 1024);

    if (mcf->metrics_size < 8 * ngx_pagesize) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"metrics_zone_size\" must be at least %uz",
                           (size_t) (8 * ngx_pagesize));
        return NGX_ERROR;
    }

    ngx_str_set(&name, NGX_HTTP_SP_METRICS_ZONE);

    zone = ngx_shared_memory_add(cf, &name, mcf->metrics_size,
                                 &ngx_http_sp_core_module);
    if (zone == NULL) {
        return NGX_ERROR;
    }

    zone->init = ngx_http_sp_metrics_zone_init;
    zone->data = metrics;

    metrics->zone = zone;

    return NGX_OK;
}


/*
 * In the master, before the new workers are started; those of the generation
 * before go on counting meanwhile.
 */

static ngx_int_t
ngx_http_sp_metrics_zone_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_http_sp_metrics_t *former = data;

    ngx_uint_t                    i, n;
    ngx_http_sp_metric_t        **elt;
    ngx_http_sp_metrics_t        *metrics;
    ngx_http_sp_metrics_sh_t     *sh;
    ngx_http_sp_metric_cells_t   *old;

    metrics = zone->data;
    metrics->shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (former != NULL) {
        metrics->sh = former->sh;
        metrics->started = former->started;
        sh = NULL;

    } else {
        metrics->sh = ngx_slab_calloc(metrics->shpool,
                                      sizeof(ngx_http_sp_metrics_sh_t));
        if (metrics->sh == NULL) {
            goto failed;
        }

        metrics->sh->layout = NGX_HTTP_SP_METRICS_LAYOUT;
        sh = ngx_http_sp_metrics_former(zone);
    }

    elt = metrics->list.elts;

    for (i = 0; i < metrics->list.nelts; i++) {

        elt[i]->shared = ngx_http_sp_metrics_find(metrics->sh, elt[i]);

        if (elt[i]->shared != NULL) {
            continue;
        }

        elt[i]->shared = ngx_http_sp_metrics_alloc(metrics, elt[i]);

        if (elt[i]->shared == NULL) {
            goto failed;
        }

        /* the size of the zone has changed: what was counted is copied */

        old = (sh != NULL) ? ngx_http_sp_metrics_find(sh, elt[i]) : NULL;

        if (old == NULL) {
            continue;
        }

        n = (old->type == NGX_HTTP_SP_GAUGE) ? 1 : old->ncells;

        while (n-- > 0) {
            elt[i]->shared->cells[n] = old->cells[n];
        }
    }

    return NGX_OK;

failed:

    ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                  "metrics: %ui metrics do not fit, increase "
                  "\"metrics_zone_size\"", metrics->list.nelts);

    return NGX_ERROR;
}


/* the zone of the running configuration, when its size was another */

static ngx_http_sp_metrics_sh_t *
ngx_http_sp_metrics_former(ngx_shm_zone_t *zone)
{
    ngx_uint_t              i;
    ngx_list_part_t        *part;
    ngx_shm_zone_t         *old;
    ngx_http_sp_metrics_t  *metrics;

    part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;
    old = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            old = part->elts;
            i = 0;
        }

        if (&old[i] == zone || old[i].tag != zone->tag) {
            continue;
        }

        metrics = old[i].data;

        if (metrics->sh != NULL
            && metrics->sh->layout == NGX_HTTP_SP_METRICS_LAYOUT)
        {
            return metrics->sh;
        }
    }
}


static ngx_http_sp_metric_cells_t *
ngx_http_sp_metrics_find(const ngx_http_sp_metrics_sh_t *sh,
    const ngx_http_sp_metric_t *metric)
{
    ngx_http_sp_metric_cells_t  *c;

    for (c = sh->first; c != NULL; c = c->next) {

        if (c->type == metric->type
            && c->name_len == metric->name.len
            && c->labels_len == metric->labels.len
            && ngx_memcmp(c->text, metric->name.data, c->name_len) == 0
            && ngx_memcmp(c->text + c->name_len, metric->labels.data,
                          c->labels_len) == 0)
        {
            return c;
        }
    }

    return NULL;
}


static ngx_http_sp_metric_cells_t *
ngx_http_sp_metrics_alloc(ngx_http_sp_metrics_t *metrics,
    const ngx_http_sp_metric_t *metric)
{
    size_t                       size;
    ngx_uint_t                   n;
    ngx_http_sp_metric_cells_t  *c;

    n = ngx_http_sp_metrics_ncells(metric->type);

    size = sizeof(ngx_http_sp_metric_cells_t) + (n - 1) * sizeof(ngx_atomic_t);

    c = ngx_slab_calloc(metrics->shpool,
                        size + metric->name.len + metric->labels.len);
    if (c == NULL) {
        return NULL;
    }

    c->type = metric->type;
    c->ncells = n;
    c->name_len = metric->name.len;
    c->labels_len = metric->labels.len;
    c->text = (u_char *) c + size;

    ngx_memcpy(c->text, metric->name.data, metric->name.len);
    ngx_memcpy(c->text + c->name_len, metric->labels.data,
               metric->labels.len);

    c->next = metrics->sh->first;
    metrics->sh->first = c;

    return c;
}


static ngx_uint_t
ngx_http_sp_metrics_ncells(ngx_uint_t type)
{
    switch (type) {

    case NGX_HTTP_SP_GAUGE:
        return 1 + NGX_HTTP_SP_METRICS_SLOTS;

    case NGX_HTTP_SP_HISTOGRAM:
        return NGX_HTTP_SP_METRICS_CELLS;
    }

    return 1;
}


/* takes a slot that nobody has, or whose owner has died */

ngx_int_t
ngx_http_sp_metrics_init_process(ngx_http_sp_core_main_conf_t *mcf,
    ngx_cycle_t *cycle)
{
    ngx_uint_t              i;
    ngx_atomic_uint_t       pid;
    ngx_http_sp_metrics_t  *metrics;

    metrics = mcf->metrics;

    for (i = 0; i < NGX_HTTP_SP_METRICS_SLOTS; i++) {

        pid = metrics->sh->pids[i];

        if (pid != 0 && ngx_http_sp_metrics_alive((ngx_pid_t) pid)) {
            continue;
        }

        if (ngx_atomic_cmp_set(&metrics->sh->pids[i], pid,
                               (ngx_atomic_uint_t) ngx_pid))
        {
            metrics->slot = (ngx_int_t) i;
            ngx_http_sp_metrics_clear_slot(metrics);
            return NGX_OK;
        }
    }

    /* gauges of this process then share one cell with others */

    return NGX_OK;
}


void
ngx_http_sp_metrics_exit_process(ngx_http_sp_core_main_conf_t *mcf)
{
    ngx_http_sp_metrics_t  *metrics;

    metrics = mcf->metrics;

    if (metrics->slot < 0) {
        return;
    }

    ngx_http_sp_metrics_clear_slot(metrics);

    metrics->sh->pids[metrics->slot] = 0;
    metrics->slot = -1;
}


static void
ngx_http_sp_metrics_clear_slot(ngx_http_sp_metrics_t *metrics)
{
    ngx_http_sp_metric_cells_t  *c;

    for (c = metrics->sh->first; c != NULL; c = c->next) {
        if (c->type == NGX_HTTP_SP_GAUGE) {
            c->cells[1 + metrics->slot] = 0;
        }
    }
}


static ngx_uint_t
ngx_http_sp_metrics_alive(ngx_pid_t pid)
{
    return kill(pid, 0) == 0 || ngx_errno != NGX_ESRCH;
}


void
ngx_http_sp_metric_add(ngx_http_sp_metric_t *metric, ngx_int_t n)
{
    ngx_uint_t  cell;

    if (metric->shared == NULL) {
        return;
    }

    cell = 0;

    if (metric->type == NGX_HTTP_SP_GAUGE && metric->metrics->slot >= 0) {
        cell = 1 + (ngx_uint_t) metric->metrics->slot;
    }

    (void) ngx_atomic_fetch_add(&metric->shared->cells[cell], n);
}


void
ngx_http_sp_metric_set(ngx_http_sp_metric_t *metric, ngx_int_t n)
{
    if (metric->shared != NULL) {
        metric->shared->cells[0] = (ngx_atomic_uint_t) n;
    }
}


void
ngx_http_sp_metric_observe(ngx_http_sp_metric_t *metric, ngx_msec_t value)
{
    ngx_uint_t     i;
    ngx_atomic_t  *cells;

    if (metric->shared == NULL) {
        return;
    }

    cells = metric->shared->cells;

    for (i = 0; i < NGX_HTTP_SP_METRICS_BOUNDS; i++) {
        if (value <= ngx_http_sp_metric_bounds[i]) {
            break;
        }
    }

    (void) ngx_atomic_fetch_add(&cells[i], 1);
    (void) ngx_atomic_fetch_add(&cells[NGX_HTTP_SP_METRICS_SUM],
                                (ngx_atomic_int_t) value);
    (void) ngx_atomic_fetch_add(&cells[NGX_HTTP_SP_METRICS_COUNT], 1);
}


ngx_int_t
ngx_http_sp_metrics_handler(ngx_http_request_t *r)
{
    u_char                        *p;
    size_t                         size;
    ngx_str_t                      body;
    ngx_uint_t                     i, head;
    ngx_http_sp_metric_t         **elt;
    ngx_http_sp_metrics_t         *metrics;
    ngx_http_sp_core_main_conf_t  *mcf;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return ngx_http_sp_error(r, NGX_HTTP_NOT_ALLOWED,
                                 "method_not_allowed", "use GET");
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_sp_core_module);
    metrics = mcf->metrics;

    elt = metrics->list.elts;
    size = 4096;

    for (i = 0; i < metrics->list.nelts; i++) {
        size += ngx_http_sp_metric_size(elt[i]);
    }

    body.data = ngx_palloc(r->pool, size);
    if (body.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_http_sp_metrics_print_process(body.data, metrics);

    for (i = 0; i < metrics->list.nelts; i++) {
        head = (i == 0
                || elt[i]->name.len != elt[i - 1]->name.len
                || ngx_strncmp(elt[i]->name.data, elt[i - 1]->name.data,
                               elt[i]->name.len) != 0);

        p = ngx_http_sp_metric_print(p, elt[i], head);
    }

    body.len = p - body.data;

    return ngx_http_sp_send(r, NGX_HTTP_OK,
                            "text/plain; version=0.0.4; charset=utf-8",
                            &body);
}


static size_t
ngx_http_sp_metric_size(const ngx_http_sp_metric_t *metric)
{
    size_t  line;

    line = metric->name.len + metric->labels.len + NGX_INT64_LEN
           + sizeof("_bucket{,le=\"+Inf00000\"} \n");

    if (metric->type == NGX_HTTP_SP_HISTOGRAM) {
        line *= NGX_HTTP_SP_METRICS_CELLS;
    }

    return line + metric->help.len + 2 * metric->name.len
           + sizeof("# HELP  \n# TYPE  histogram\n");
}


static u_char *
ngx_http_sp_metric_print(u_char *p, const ngx_http_sp_metric_t *metric,
    ngx_uint_t head)
{
    static const char  *types[] = { "counter", "gauge", "histogram" };

    if (head) {
        p = ngx_sprintf(p, "# HELP %V %V\n# TYPE %V %s\n", &metric->name,
                        &metric->help, &metric->name, types[metric->type]);
    }

    switch (metric->type) {

    case NGX_HTTP_SP_HISTOGRAM:
        return ngx_http_sp_metric_print_histogram(p, metric);

    case NGX_HTTP_SP_GAUGE:
        p = ngx_sprintf(p, "%V", &metric->name);
        p = ngx_http_sp_metric_print_labels(p, metric, NULL);
        return ngx_sprintf(p, " %A\n", ngx_http_sp_metric_gauge(metric));

    default:
        p = ngx_sprintf(p, "%V", &metric->name);
        p = ngx_http_sp_metric_print_labels(p, metric, NULL);
        return ngx_sprintf(p, " %uA\n", metric->shared->cells[0]);
    }
}


static u_char *
ngx_http_sp_metric_print_histogram(u_char *p,
    const ngx_http_sp_metric_t *metric)
{
    u_char               bound[NGX_INT64_LEN + 1];
    ngx_uint_t           i;
    ngx_atomic_t        *cells;
    ngx_atomic_uint_t    total;

    cells = metric->shared->cells;
    total = 0;

    for (i = 0; i < NGX_HTTP_SP_METRICS_BOUNDS; i++) {
        total += cells[i];

        ngx_sprintf(bound, "%M%Z", ngx_http_sp_metric_bounds[i]);

        p = ngx_sprintf(p, "%V_bucket", &metric->name);
        p = ngx_http_sp_metric_print_labels(p, metric, (char *) bound);
        p = ngx_sprintf(p, " %uA\n", total);
    }

    /* not the count cell, which others may just have added to */

    total += cells[NGX_HTTP_SP_METRICS_INF];

    p = ngx_sprintf(p, "%V_bucket", &metric->name);
    p = ngx_http_sp_metric_print_labels(p, metric, "+Inf");
    p = ngx_sprintf(p, " %uA\n%V_sum", total, &metric->name);
    p = ngx_http_sp_metric_print_labels(p, metric, NULL);
    p = ngx_sprintf(p, " %uA\n%V_count", cells[NGX_HTTP_SP_METRICS_SUM],
                    &metric->name);
    p = ngx_http_sp_metric_print_labels(p, metric, NULL);

    return ngx_sprintf(p, " %uA\n", total);
}


static u_char *
ngx_http_sp_metric_print_labels(u_char *p,
    const ngx_http_sp_metric_t *metric, const char *le)
{
    if (le == NULL) {
        return (metric->labels.len != 0)
               ? ngx_sprintf(p, "{%V}", &metric->labels) : p;
    }

    return ngx_sprintf(p, "{%V%sle=\"%s\"}", &metric->labels,
                       (metric->labels.len != 0) ? "," : "", le);
}


static ngx_atomic_int_t
ngx_http_sp_metric_gauge(const ngx_http_sp_metric_t *metric)
{
    ngx_uint_t                 i;
    ngx_atomic_t              *cells;
    ngx_atomic_int_t           value;
    ngx_atomic_uint_t          pid;
    ngx_http_sp_metrics_sh_t  *sh;

    cells = metric->shared->cells;
    sh = metric->metrics->sh;

    value = (ngx_atomic_int_t) cells[0];

    for (i = 0; i < NGX_HTTP_SP_METRICS_SLOTS; i++) {
        pid = sh->pids[i];

        if (pid != 0
            && cells[1 + i] != 0
            && ngx_http_sp_metrics_alive((ngx_pid_t) pid))
        {
            value += (ngx_atomic_int_t) cells[1 + i];
        }
    }

    return value;
}


static u_char *
ngx_http_sp_metrics_print_process(u_char *p,
    const ngx_http_sp_metrics_t *metrics)
{
    ngx_uint_t         i, workers;
    ngx_atomic_uint_t  pid;

    workers = 0;

    for (i = 0; i < NGX_HTTP_SP_METRICS_SLOTS; i++) {
        pid = metrics->sh->pids[i];

        if (pid != 0 && ngx_http_sp_metrics_alive((ngx_pid_t) pid)) {
            workers++;
        }
    }

    p = ngx_sprintf(p,
        "# HELP sallyport_start_time_seconds When counting began, "
        "as Unix time.\n"
        "# TYPE sallyport_start_time_seconds gauge\n"
        "sallyport_start_time_seconds %T\n"
        "# HELP sallyport_workers Worker processes, "
        "those that drain included.\n"
        "# TYPE sallyport_workers gauge\n"
        "sallyport_workers %ui\n",
        metrics->started, workers);

#if (NGX_STAT_STUB)

    p = ngx_sprintf(p,
        "# HELP sallyport_connections Client connections by state.\n"
        "# TYPE sallyport_connections gauge\n"
        "sallyport_connections{state=\"reading\"} %uA\n"
        "sallyport_connections{state=\"writing\"} %uA\n"
        "sallyport_connections{state=\"waiting\"} %uA\n"
        "# HELP sallyport_connections_accepted_total "
        "Client connections accepted.\n"
        "# TYPE sallyport_connections_accepted_total counter\n"
        "sallyport_connections_accepted_total %uA\n",
        *ngx_stat_reading, *ngx_stat_writing, *ngx_stat_waiting,
        *ngx_stat_accepted);

#endif

    return p;
}
