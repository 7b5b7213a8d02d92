
/*
 * Copyright (C) Sallyport authors
 *
 * Spans of this worker that wait for the collector, as text.  They are sent
 * when a batch is full, when the first one has waited for the interval, and
 * when the worker is told to end.  One call at a time; while one is made, or
 * while the collector wants to be left alone, spans gather up to the limit.
 *
 * The timer does not hold a graceful shutdown open: NGINX closes idle
 * connections then, and one that is none is ours.  Where none is free it does,
 * for the interval.
 */


#include "ngx_http_sp_otel.h"


/* requests of a worker that ends come to their ends one by one */
#define NGX_HTTP_SP_OTEL_DRAIN  50


typedef struct {
    ngx_queue_t                   queue;
    size_t                        len;
    u_char                        text[1];
} ngx_http_sp_otel_item_t;


typedef struct {
    ngx_http_sp_otel_conf_t      *conf;        /* NULL: nothing was pushed */
    ngx_queue_t                   items;
    ngx_uint_t                    nitems;
    ngx_event_t                   timer;
    ngx_connection_t             *watch;       /* NULL: none */
    unsigned                      waits:1;     /* the collector wants it */
} ngx_http_sp_otel_queue_t;


static void ngx_http_sp_otel_open(ngx_http_sp_otel_conf_t *conf);
static void ngx_http_sp_otel_watch(void);
static void ngx_http_sp_otel_unwatch(void);
static void ngx_http_sp_otel_quit(ngx_event_t *rev);
static void ngx_http_sp_otel_schedule(void);
static void ngx_http_sp_otel_arm(ngx_msec_t delay);
static void ngx_http_sp_otel_flush(ngx_event_t *ev);
static void ngx_http_sp_otel_lose(void);
static void ngx_http_sp_otel_drop(ngx_uint_t n);


/* this worker's */
static ngx_http_sp_otel_queue_t  ngx_http_sp_otel_queue;


u_char *
ngx_http_sp_otel_push(ngx_http_sp_otel_conf_t *conf, size_t len)
{
    ngx_http_sp_otel_item_t   *item;
    ngx_http_sp_otel_queue_t  *queue;

    queue = &ngx_http_sp_otel_queue;

    if (queue->conf == NULL) {
        ngx_http_sp_otel_open(conf);
    }

    item = NULL;

    if (queue->nitems < conf->batch_size * conf->batch_count) {
        item = ngx_alloc(offsetof(ngx_http_sp_otel_item_t, text) + len,
                         ngx_cycle->log);
    }

    if (item == NULL) {
        ngx_sp_metric_add(conf->dropped, 1);
        return NULL;
    }

    item->len = len;

    ngx_queue_insert_tail(&queue->items, &item->queue);
    queue->nitems++;
    ngx_sp_metric_add(conf->waiting, 1);

    ngx_http_sp_otel_schedule();

    return item->text;
}


static void
ngx_http_sp_otel_open(ngx_http_sp_otel_conf_t *conf)
{
    ngx_http_sp_otel_queue_t  *queue;

    queue = &ngx_http_sp_otel_queue;

    queue->conf = conf;
    ngx_queue_init(&queue->items);

    queue->timer.handler = ngx_http_sp_otel_flush;
    queue->timer.data = queue;
    queue->timer.log = ngx_cycle->log;
}


/* to it NGINX says that the worker ends */

static void
ngx_http_sp_otel_watch(void)
{
    ngx_connection_t          *c;
    ngx_http_sp_otel_queue_t  *queue;

    queue = &ngx_http_sp_otel_queue;

    /* none is worth the connection of a client, which NGINX would close */

    if (queue->watch != NULL || ngx_cycle->free_connection_n == 0) {
        return;
    }

    c = ngx_get_connection(0, ngx_cycle->log);
    if (c == NULL) {
        return;
    }

    /* not -1, which is a free one */

    c->fd = (ngx_socket_t) -2;
    c->idle = 1;
    c->data = queue;
    c->read->handler = ngx_http_sp_otel_quit;
    c->read->log = ngx_cycle->log;

    queue->watch = c;
}


static void
ngx_http_sp_otel_unwatch(void)
{
    ngx_connection_t          *c;
    ngx_http_sp_otel_queue_t  *queue;

    queue = &ngx_http_sp_otel_queue;
    c = queue->watch;

    if (c == NULL) {
        return;
    }

    queue->watch = NULL;

    c->fd = (ngx_socket_t) -1;
    c->idle = 0;
    ngx_free_connection(c);
}


/* what has not to wait for the collector goes now, the rest gets its try */

static void
ngx_http_sp_otel_quit(ngx_event_t *rev)
{
    ngx_http_sp_otel_queue_t  *queue;

    queue = &ngx_http_sp_otel_queue;
    queue->waits = 0;

    ngx_http_sp_otel_unwatch();

    if (queue->timer.timer_set) {
        ngx_del_timer(&queue->timer);
    }

    ngx_http_sp_otel_schedule();
}


static void
ngx_http_sp_otel_schedule(void)
{
    ngx_http_sp_otel_queue_t  *queue;

    queue = &ngx_http_sp_otel_queue;

    if (queue->nitems == 0) {
        ngx_http_sp_otel_unwatch();

        if (queue->timer.timer_set) {
            ngx_del_timer(&queue->timer);
        }

        return;
    }

    if (!ngx_exiting) {
        ngx_http_sp_otel_watch();
    }

    if (ngx_http_sp_otel_exporting() || queue->waits) {
        return;
    }

    if (queue->nitems >= queue->conf->batch_size) {
        ngx_http_sp_otel_arm(0);

    } else if (!queue->timer.timer_set) {
        ngx_http_sp_otel_arm(ngx_exiting ? NGX_HTTP_SP_OTEL_DRAIN
                                         : queue->conf->interval);
    }
}


static void
ngx_http_sp_otel_arm(ngx_msec_t delay)
{
    ngx_http_sp_otel_queue_t  *queue;

    queue = &ngx_http_sp_otel_queue;

    if (queue->timer.timer_set) {
        ngx_del_timer(&queue->timer);
    }

    queue->timer.cancelable = (queue->watch != NULL || queue->waits);

    ngx_add_timer(&queue->timer, delay);
}


static void
ngx_http_sp_otel_flush(ngx_event_t *ev)
{
    ngx_uint_t                 n;
    ngx_http_sp_otel_queue_t  *queue;

    queue = ev->data;
    queue->waits = 0;

    n = ngx_min(queue->nitems, queue->conf->batch_size);

    if (ngx_http_sp_otel_export(queue->conf, n) == NGX_OK) {
        return;
    }

    if (ngx_exiting) {
        ngx_http_sp_otel_give_up();
        return;
    }

    ngx_http_sp_otel_arm(queue->conf->interval);
}


size_t
ngx_http_sp_otel_copy(u_char *p, ngx_uint_t n)
{
    size_t                    len;
    ngx_queue_t              *q;
    ngx_http_sp_otel_item_t  *item;

    len = (n != 0) ? n - 1 : 0;
    q = &ngx_http_sp_otel_queue.items;

    for ( /* void */ ; n != 0; n--) {
        q = ngx_queue_next(q);
        item = ngx_queue_data(q, ngx_http_sp_otel_item_t, queue);

        len += item->len;

        if (p == NULL) {
            continue;
        }

        p = ngx_cpymem(p, item->text, item->len);

        if (n != 1) {
            *p++ = ',';
        }
    }

    return len;
}


void
ngx_http_sp_otel_sent(ngx_uint_t n, ngx_msec_t wait)
{
    ngx_http_sp_otel_queue_t  *queue;

    queue = &ngx_http_sp_otel_queue;

    ngx_sp_metric_add(queue->conf->waiting, -(ngx_int_t) n);
    ngx_http_sp_otel_drop(n);

    if (wait != 0 && queue->nitems != 0) {
        queue->waits = 1;
        ngx_http_sp_otel_arm(wait);
    }

    ngx_http_sp_otel_schedule();
}


void
ngx_http_sp_otel_give_up(void)
{
    ngx_http_sp_otel_queue_t  *queue;

    queue = &ngx_http_sp_otel_queue;

    if (queue->nitems != 0) {
        ngx_sp_metric_add(queue->conf->waiting, -(ngx_int_t) queue->nitems);
        ngx_http_sp_otel_lose();
    }

    ngx_http_sp_otel_schedule();
}


static void
ngx_http_sp_otel_lose(void)
{
    ngx_http_sp_otel_queue_t  *queue;

    queue = &ngx_http_sp_otel_queue;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "otel: %ui spans are lost: the worker ends", queue->nitems);

    ngx_sp_metric_add(queue->conf->dropped, queue->nitems);

    ngx_http_sp_otel_drop(queue->nitems);
}


static void
ngx_http_sp_otel_drop(ngx_uint_t n)
{
    ngx_queue_t               *q;
    ngx_http_sp_otel_queue_t  *queue;

    queue = &ngx_http_sp_otel_queue;
    queue->nitems -= n;

    for ( /* void */ ; n != 0; n--) {
        q = ngx_queue_head(&queue->items);
        ngx_queue_remove(q);
        ngx_free(ngx_queue_data(q, ngx_http_sp_otel_item_t, queue));
    }
}


/* what this process had added to a gauge is gone by then */

void
ngx_http_sp_otel_exit(void)
{
    if (ngx_http_sp_otel_queue.nitems != 0 && !ngx_http_sp_otel_exporting()) {
        ngx_http_sp_otel_lose();
    }

    ngx_http_sp_otel_unwatch();
}
