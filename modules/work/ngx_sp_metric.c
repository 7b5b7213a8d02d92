
/*
 * Copyright (C) Sallyport authors
 *
 * Metrics: declared at configuration, counted in shared memory, found again
 * by name after a reload, so that workers of both generations count into the
 * same cells.
 *
 * A gauge that is added to has a cell per process: what a killed worker had
 * added goes away with it.
 *
 * Histograms are in microseconds here, and in seconds where they are printed.
 */


#include "ngx_sp_metric_int.h"


static ngx_int_t ngx_sp_metrics_labels(ngx_conf_t *cf, ngx_str_t *labels,
    const char *label, const ngx_str_t *value);
static ngx_int_t ngx_sp_metrics_zone_init(ngx_shm_zone_t *zone,
    void *data);
static ngx_sp_metrics_sh_t *ngx_sp_metrics_former(
    ngx_shm_zone_t *zone);
static ngx_sp_metric_cells_t *ngx_sp_metrics_find(
    const ngx_sp_metrics_sh_t *sh, const ngx_sp_metric_t *metric);
static ngx_sp_metric_cells_t *ngx_sp_metrics_alloc(
    ngx_sp_metrics_t *metrics, const ngx_sp_metric_t *metric);
static ngx_uint_t ngx_sp_metrics_ncells(ngx_uint_t type);
static void ngx_sp_metrics_clear_slot(ngx_sp_metrics_t *metrics);


/* upper bounds of the buckets; one more is +Inf, then the sum */

const ngx_sp_metric_bound_t  ngx_sp_metric_bounds[NGX_SP_METRICS_BOUNDS] = {
    { 50, "0.00005" },
    { 100, "0.0001" },
    { 250, "0.00025" },
    { 500, "0.0005" },
    { 1000, "0.001" },
    { 2500, "0.0025" },
    { 5000, "0.005" },
    { 10000, "0.01" },
    { 25000, "0.025" },
    { 50000, "0.05" },
    { 100000, "0.1" },
    { 250000, "0.25" },
    { 500000, "0.5" },
    { 1000000, "1" },
    { 2500000, "2.5" },
    { 5000000, "5" },
    { 10000000, "10" },
    { 30000000, "30" },
    { 60000000, "60" },
    { 120000000, "120" },
    { 300000000, "300" }
};


ngx_sp_metrics_t *
ngx_sp_metrics_create(ngx_conf_t *cf)
{
    ngx_sp_metrics_t       *metrics;

    metrics = ngx_pcalloc(cf->pool, sizeof(ngx_sp_metrics_t));
    if (metrics == NULL) {
        return NULL;
    }

    if (ngx_array_init(&metrics->list, cf->pool, 64,
                       sizeof(ngx_sp_metric_t *))
        != NGX_OK)
    {
        return NULL;
    }

    metrics->slot = -1;
    metrics->started = ngx_time();

    return metrics;
}


/* the same name and labels are the same metric */

ngx_sp_metric_t *
ngx_sp_metrics_add(ngx_conf_t *cf, ngx_sp_metrics_t *metrics,
    ngx_sp_metric_type_e type, const char *name, const char *help,
    const ngx_str_t *labels)
{
    size_t                         len;
    ngx_uint_t                     i, at;
    ngx_sp_metric_t              **elt, *metric;

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

    metric = ngx_pcalloc(cf->pool, sizeof(ngx_sp_metric_t));
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
ngx_sp_metrics_add_table(ngx_conf_t *cf, ngx_sp_metrics_t *metrics,
    const ngx_sp_metric_slot_t *table, void *conf, const char *label,
    const ngx_str_t *value)
{
    ngx_str_t                         labels;
    ngx_sp_metric_t                 **metric;
    const ngx_sp_metric_slot_t       *slot;

    for (slot = table; slot->name != NULL; slot++) {

        labels.data = (u_char *) slot->labels;
        labels.len = ngx_strlen(slot->labels);

        if (label != NULL
            && ngx_sp_metrics_labels(cf, &labels, label, value) != NGX_OK)
        {
            return NGX_ERROR;
        }

        metric = (ngx_sp_metric_t **) ((u_char *) conf + slot->offset);

        *metric = ngx_sp_metrics_add(cf, metrics, slot->type, slot->name,
                                     slot->help, &labels);
        if (*metric == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sp_metrics_labels(ngx_conf_t *cf, ngx_str_t *labels, const char *label,
    const ngx_str_t *value)
{
    u_char     *p;
    ngx_str_t   own;

    own = *labels;

    p = ngx_pnalloc(cf->pool, ngx_strlen(label) + sizeof("=\"\",") - 1
                              + 2 * value->len + own.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    labels->data = p;

    p = ngx_sp_metric_label(p, label, value);
    p = ngx_sprintf(p, "%s%V", own.len != 0 ? "," : "", &own);

    labels->len = p - labels->data;

    return NGX_OK;
}


/* with what Prometheus wants to have escaped */

u_char *
ngx_sp_metric_label(u_char *p, const char *name, const ngx_str_t *value)
{
    size_t  i;

    p = ngx_sprintf(p, "%s=\"", name);

    for (i = 0; i < value->len; i++) {

        if (value->data[i] == '"' || value->data[i] == '\\') {
            *p++ = '\\';
        }

        *p++ = value->data[i];
    }

    *p++ = '"';

    return p;
}


ngx_int_t
ngx_sp_metrics_zone(ngx_conf_t *cf, ngx_sp_metrics_t *metrics, size_t size,
    void *tag)
{
    ngx_str_t        name;
    ngx_shm_zone_t  *zone;

    if (size < 8 * ngx_pagesize) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"metrics_zone_size\" must be at least %uz",
                           (size_t) (8 * ngx_pagesize));
        return NGX_ERROR;
    }

    ngx_str_set(&name, NGX_SP_METRICS_ZONE);

    zone = ngx_shared_memory_add(cf, &name, size, tag);
    if (zone == NULL) {
        return NGX_ERROR;
    }

    zone->init = ngx_sp_metrics_zone_init;
    zone->data = metrics;

    metrics->zone = zone;

    return NGX_OK;
}


/*
 * In the master, before the new workers are started; those of the generation
 * before go on counting meanwhile.
 */

static ngx_int_t
ngx_sp_metrics_zone_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_sp_metrics_t *former = data;

    ngx_uint_t                    i, n;
    ngx_sp_metric_t             **elt;
    ngx_sp_metrics_t             *metrics;
    ngx_sp_metrics_sh_t          *sh;
    ngx_sp_metric_cells_t        *old;

    metrics = zone->data;
    metrics->shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (former != NULL) {
        metrics->sh = former->sh;
        metrics->started = former->started;
        sh = NULL;

    } else {
        metrics->sh = ngx_slab_calloc(metrics->shpool,
                                      sizeof(ngx_sp_metrics_sh_t));
        if (metrics->sh == NULL) {
            goto failed;
        }

        metrics->sh->layout = NGX_SP_METRICS_LAYOUT;
        sh = ngx_sp_metrics_former(zone);
    }

    elt = metrics->list.elts;

    for (i = 0; i < metrics->list.nelts; i++) {

        elt[i]->shared = ngx_sp_metrics_find(metrics->sh, elt[i]);

        if (elt[i]->shared != NULL) {
            continue;
        }

        elt[i]->shared = ngx_sp_metrics_alloc(metrics, elt[i]);

        if (elt[i]->shared == NULL) {
            goto failed;
        }

        /* the size of the zone has changed: what was counted is copied */

        old = (sh != NULL) ? ngx_sp_metrics_find(sh, elt[i]) : NULL;

        if (old == NULL) {
            continue;
        }

        n = (old->type == NGX_SP_GAUGE) ? 1 : old->ncells;

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

static ngx_sp_metrics_sh_t *
ngx_sp_metrics_former(ngx_shm_zone_t *zone)
{
    ngx_uint_t              i;
    ngx_list_part_t        *part;
    ngx_shm_zone_t         *old;
    ngx_sp_metrics_t       *metrics;

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
            && metrics->sh->layout == NGX_SP_METRICS_LAYOUT)
        {
            return metrics->sh;
        }
    }
}


static ngx_sp_metric_cells_t *
ngx_sp_metrics_find(const ngx_sp_metrics_sh_t *sh,
    const ngx_sp_metric_t *metric)
{
    ngx_sp_metric_cells_t       *c;

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


static ngx_sp_metric_cells_t *
ngx_sp_metrics_alloc(ngx_sp_metrics_t *metrics,
    const ngx_sp_metric_t *metric)
{
    size_t                       size;
    ngx_uint_t                   n;
    ngx_sp_metric_cells_t       *c;

    n = ngx_sp_metrics_ncells(metric->type);

    size = sizeof(ngx_sp_metric_cells_t) + (n - 1) * sizeof(ngx_atomic_t);

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
ngx_sp_metrics_ncells(ngx_uint_t type)
{
    switch (type) {

    case NGX_SP_GAUGE:
        return 1 + NGX_SP_METRICS_SLOTS;

    case NGX_SP_HISTOGRAM:
        return NGX_SP_METRICS_CELLS;

    default: /* NGX_SP_COUNTER */
        return 1;
    }
}


/* takes a slot that nobody has, or whose owner has died */

void
ngx_sp_metrics_init_process(ngx_sp_metrics_t *metrics)
{
    ngx_uint_t         i;
    ngx_atomic_uint_t  pid;

    for (i = 0; i < NGX_SP_METRICS_SLOTS; i++) {

        pid = metrics->sh->pids[i];

        if (pid != 0 && ngx_sp_metrics_alive((ngx_pid_t) pid)) {
            continue;
        }

        if (ngx_atomic_cmp_set(&metrics->sh->pids[i], pid,
                               (ngx_atomic_uint_t) ngx_pid))
        {
            metrics->slot = (ngx_int_t) i;
            ngx_sp_metrics_clear_slot(metrics);
            return;
        }
    }

    /* gauges of this process then share one cell with others */
}


void
ngx_sp_metrics_exit_process(ngx_sp_metrics_t *metrics)
{
    if (metrics->slot < 0) {
        return;
    }

    ngx_sp_metrics_clear_slot(metrics);

    metrics->sh->pids[metrics->slot] = 0;
    metrics->slot = -1;
}


static void
ngx_sp_metrics_clear_slot(ngx_sp_metrics_t *metrics)
{
    ngx_sp_metric_cells_t       *c;

    for (c = metrics->sh->first; c != NULL; c = c->next) {
        if (c->type == NGX_SP_GAUGE) {
            c->cells[1 + metrics->slot] = 0;
        }
    }
}


ngx_uint_t
ngx_sp_metrics_alive(ngx_pid_t pid)
{
    return kill(pid, 0) == 0 || ngx_errno != NGX_ESRCH;
}


void
ngx_sp_metric_add(ngx_sp_metric_t *metric, ngx_int_t n)
{
    ngx_uint_t  cell;

    if (metric->shared == NULL) {
        return;
    }

    cell = 0;

    if (metric->type == NGX_SP_GAUGE && metric->metrics->slot >= 0) {
        cell = 1 + (ngx_uint_t) metric->metrics->slot;
    }

    (void) ngx_atomic_fetch_add(&metric->shared->cells[cell], n);
}


void
ngx_sp_metric_observe(ngx_sp_metric_t *metric, uint64_t usec, ngx_uint_t n)
{
    ngx_uint_t     i;
    ngx_atomic_t  *cells;

    if (metric->shared == NULL) {
        return;
    }

    cells = metric->shared->cells;

    for (i = 0; i < NGX_SP_METRICS_BOUNDS; i++) {
        if (usec <= ngx_sp_metric_bounds[i].usec) {
            break;
        }
    }

    (void) ngx_atomic_fetch_add(&cells[i], (ngx_atomic_int_t) n);
    (void) ngx_atomic_fetch_add(&cells[NGX_SP_METRICS_SUM],
                                (ngx_atomic_int_t) (usec * n));
}


uint64_t
ngx_sp_metric_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}
