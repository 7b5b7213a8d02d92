
/*
 * Copyright (C) Sallyport authors
 *
 * All metrics in the text format of Prometheus, version 0.0.4.
 */


#include "ngx_sp_metric_int.h"


static size_t ngx_sp_metric_size(const ngx_sp_metric_t *metric);
static u_char *ngx_sp_metric_print(u_char *p,
    const ngx_sp_metric_t *metric, ngx_uint_t head);
static u_char *ngx_sp_metric_print_histogram(u_char *p,
    const ngx_sp_metric_t *metric);
static u_char *ngx_sp_metric_print_labels(u_char *p,
    const ngx_sp_metric_t *metric, const char *le);
static ngx_atomic_int_t ngx_sp_metric_gauge(
    const ngx_sp_metric_t *metric);
static u_char *ngx_sp_metrics_print_process(u_char *p,
    const ngx_sp_metrics_t *metrics);


size_t
ngx_sp_metrics_size(const ngx_sp_metrics_t *metrics)
{
    size_t             size;
    ngx_uint_t         i;
    ngx_sp_metric_t  **elt;

    elt = metrics->list.elts;
    size = 4096;

    for (i = 0; i < metrics->list.nelts; i++) {
        size += ngx_sp_metric_size(elt[i]);
    }

    return size;
}


u_char *
ngx_sp_metrics_print(u_char *p, const ngx_sp_metrics_t *metrics)
{
    ngx_uint_t         i, head;
    ngx_sp_metric_t  **elt;

    elt = metrics->list.elts;

    p = ngx_sp_metrics_print_process(p, metrics);

    for (i = 0; i < metrics->list.nelts; i++) {
        head = (i == 0
                || elt[i]->name.len != elt[i - 1]->name.len
                || ngx_strncmp(elt[i]->name.data, elt[i - 1]->name.data,
                               elt[i]->name.len) != 0);

        p = ngx_sp_metric_print(p, elt[i], head);
    }

    return p;
}


static size_t
ngx_sp_metric_size(const ngx_sp_metric_t *metric)
{
    size_t  line;

    line = metric->name.len + metric->labels.len + NGX_INT64_LEN
           + sizeof("_bucket{,le=\"0.00025\"} .000000\n");

    if (metric->type == NGX_SP_HISTOGRAM) {
        line *= NGX_SP_METRICS_CELLS + 1;
    }

    return line + metric->help.len + 2 * metric->name.len
           + sizeof("# HELP  \n# TYPE  histogram\n");
}


static u_char *
ngx_sp_metric_print(u_char *p, const ngx_sp_metric_t *metric,
    ngx_uint_t head)
{
    static const char  *types[] = { "counter", "gauge", "histogram" };

    if (head) {
        p = ngx_sprintf(p, "# HELP %V %V\n# TYPE %V %s\n", &metric->name,
                        &metric->help, &metric->name, types[metric->type]);
    }

    switch (metric->type) {

    case NGX_SP_HISTOGRAM:
        return ngx_sp_metric_print_histogram(p, metric);

    case NGX_SP_GAUGE:
        p = ngx_sprintf(p, "%V", &metric->name);
        p = ngx_sp_metric_print_labels(p, metric, NULL);
        return ngx_sprintf(p, " %A\n", ngx_sp_metric_gauge(metric));

    default:
        p = ngx_sprintf(p, "%V", &metric->name);
        p = ngx_sp_metric_print_labels(p, metric, NULL);
        return ngx_sprintf(p, " %uA\n", metric->shared->cells[0]);
    }
}


static u_char *
ngx_sp_metric_print_histogram(u_char *p,
    const ngx_sp_metric_t *metric)
{
    ngx_uint_t           i;
    ngx_atomic_t        *cells;
    ngx_atomic_uint_t    sum, total;

    cells = metric->shared->cells;
    total = 0;

    for (i = 0; i < NGX_SP_METRICS_BOUNDS; i++) {
        total += cells[i];

        p = ngx_sprintf(p, "%V_bucket", &metric->name);
        p = ngx_sp_metric_print_labels(p, metric,
                                       ngx_sp_metric_bounds[i].le);
        p = ngx_sprintf(p, " %uA\n", total);
    }

    total += cells[NGX_SP_METRICS_INF];

    p = ngx_sprintf(p, "%V_bucket", &metric->name);
    p = ngx_sp_metric_print_labels(p, metric, "+Inf");
    p = ngx_sprintf(p, " %uA\n%V_sum", total, &metric->name);
    p = ngx_sp_metric_print_labels(p, metric, NULL);

    sum = cells[NGX_SP_METRICS_SUM];

    p = ngx_sprintf(p, " %uA.%06uA\n%V_count", sum / 1000000, sum % 1000000,
                    &metric->name);
    p = ngx_sp_metric_print_labels(p, metric, NULL);

    return ngx_sprintf(p, " %uA\n", total);
}


static u_char *
ngx_sp_metric_print_labels(u_char *p,
    const ngx_sp_metric_t *metric, const char *le)
{
    if (le == NULL) {
        return (metric->labels.len != 0)
               ? ngx_sprintf(p, "{%V}", &metric->labels) : p;
    }

    return ngx_sprintf(p, "{%V%sle=\"%s\"}", &metric->labels,
                       (metric->labels.len != 0) ? "," : "", le);
}


static ngx_atomic_int_t
ngx_sp_metric_gauge(const ngx_sp_metric_t *metric)
{
    ngx_uint_t                 i;
    ngx_atomic_t              *cells;
    ngx_atomic_int_t           value;
    ngx_atomic_uint_t          pid;
    ngx_sp_metrics_sh_t       *sh;

    cells = metric->shared->cells;
    sh = metric->metrics->sh;

    value = (ngx_atomic_int_t) cells[0];

    for (i = 0; i < NGX_SP_METRICS_SLOTS; i++) {
        pid = sh->pids[i];

        if (pid != 0
            && cells[1 + i] != 0
            && ngx_sp_metrics_alive((ngx_pid_t) pid))
        {
            value += (ngx_atomic_int_t) cells[1 + i];
        }
    }

    return value;
}


static u_char *
ngx_sp_metrics_print_process(u_char *p,
    const ngx_sp_metrics_t *metrics)
{
    ngx_uint_t         i, workers;
    ngx_atomic_uint_t  pid;

    workers = 0;

    for (i = 0; i < NGX_SP_METRICS_SLOTS; i++) {
        pid = metrics->sh->pids[i];

        if (pid != 0 && ngx_sp_metrics_alive((ngx_pid_t) pid)) {
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
