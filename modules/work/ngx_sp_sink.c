
/*
 * Copyright (C) Sallyport authors
 *
 * A sink of the spool.  Batches of lines: read from the oldest segment, one in
 * flight at a time, passed over when PostgreSQL has them.
 */


#include "ngx_sp_spool_int.h"


#define NGX_SP_SINK_CHUNK    (256 * 1024)
#define NGX_SP_SINK_TIMEOUT  10000
#define NGX_SP_SINK_BACKOFF  5000
#define NGX_SP_SINK_GRACE    5000


static void ngx_sp_sink_flush_handler(ngx_event_t *ev);
static void ngx_sp_sink_schedule(ngx_sp_sink_t *sink, ngx_msec_t delay);
static ngx_int_t ngx_sp_sink_read(ngx_sp_sink_t *sink,
    ngx_sp_segment_t *segment);
static size_t ngx_sp_sink_take(ngx_sp_sink_t *sink, u_char *p, size_t size);
static void ngx_sp_sink_submit(ngx_sp_sink_t *sink);
static void ngx_sp_sink_done(ngx_sp_op_t *op);
static void ngx_sp_sink_stored(ngx_sp_sink_t *sink);
static void ngx_sp_sink_failed(ngx_sp_sink_t *sink);
static ngx_int_t ngx_sp_sink_rejected(ngx_sp_sink_t *sink);
static void ngx_sp_sink_advance(ngx_sp_sink_t *sink,
    ngx_sp_segment_t *segment, off_t end);


void
ngx_sp_sink_init(ngx_sp_sink_t *sink, ngx_cycle_t *cycle)
{
    sink->flush.handler = ngx_sp_sink_flush_handler;
    sink->flush.data = sink;
    sink->flush.log = cycle->log;
}


void
ngx_sp_sink_exit(ngx_sp_sink_t *sink)
{
    ngx_sp_op_cancel(&sink->op.op);

    if (sink->flush.timer_set) {
        ngx_del_timer(&sink->flush);
    }

    if (sink->batch != NULL) {
        ngx_free(sink->batch);
        sink->batch = NULL;
    }

    sink->source = NULL;
}


void
ngx_sp_sink_wake(ngx_sp_sink_t *sink)
{
    if (sink->source != NULL || sink->failures != 0) {

        /* the end of the batch, or of the wait, goes on */

        return;
    }

    if (sink->fresh < sink->conf->batch_max) {

        if (!sink->flush.timer_set) {
            ngx_sp_sink_schedule(sink, sink->conf->flush_time);
        }

        return;
    }

    ngx_sp_sink_schedule(sink, 0);
}


/*
 * The timer holds a graceful shutdown open while PostgreSQL takes lines; when
 * it does not, they are as safe on the disk.
 */

static void
ngx_sp_sink_schedule(ngx_sp_sink_t *sink, ngx_msec_t delay)
{
    if (sink->flush.timer_set) {
        ngx_del_timer(&sink->flush);
    }

    sink->flush.cancelable = (sink->failures != 0);

    if (ngx_exiting) {

        if (sink->exiting == 0) {
            sink->exiting = ngx_current_msec;
        }

        if (ngx_current_msec - sink->exiting > NGX_SP_SINK_GRACE) {
            sink->flush.cancelable = 1;
        }
    }

    ngx_add_timer(&sink->flush, delay);
}


static void
ngx_sp_sink_flush_handler(ngx_event_t *ev)
{
    ngx_queue_t       *q;
    ngx_sp_sink_t     *sink;
    ngx_sp_segment_t  *segment;

    sink = ev->data;

    if (sink->source != NULL) {
        return;
    }

    for (q = ngx_queue_head(&sink->segments);
         q != ngx_queue_sentinel(&sink->segments);
         q = ngx_queue_next(q))
    {
        segment = ngx_queue_data(q, ngx_sp_segment_t, queue);

        if (segment->sent == segment->size) {
            continue;
        }

        if (ngx_sp_sink_read(sink, segment) == NGX_OK) {
            ngx_sp_sink_submit(sink);
            return;
        }

        /* one step per turn of the loop, whatever is in the file */

        ngx_sp_sink_schedule(sink, sink->conf->flush_time);
        return;
    }
}


/*
 * Makes a JSON array of the next lines.  A last line without its end was cut
 * by the death of its writer: it was not accepted, and is passed over.
 */

static ngx_int_t
ngx_sp_sink_read(ngx_sp_sink_t *sink, ngx_sp_segment_t *segment)
{
    off_t    rest;
    size_t   len, size;
    u_char  *p;
    ssize_t  n;

    rest = segment->size - segment->sent;
    size = NGX_SP_SINK_CHUNK;

    for ( ;; ) {
        size = (size_t) ngx_min((off_t) size, rest);

        p = ngx_alloc(size + 2, ngx_cycle->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        n = pread(segment->fd, p + 1, size, segment->sent);

        if (n != (ssize_t) size) {
            ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log,
                          (n == -1) ? ngx_errno : 0,
                          "spool: read %z of %uz bytes from \"%s\", "
                          "the rest of it is given up", n, size,
                          segment->name);
            ngx_free(p);
            ngx_sp_metric_add(sink->dropped, 1);
            ngx_sp_sink_advance(sink, segment, segment->size);
            return NGX_DECLINED;
        }

        len = ngx_sp_sink_take(sink, p + 1, size);

        if (len != 0) {
            break;
        }

        ngx_free(p);

        if ((off_t) size == rest) {
            ngx_sp_sink_advance(sink, segment, segment->size);
            return NGX_DECLINED;
        }

        /* a line larger than the chunk */

        size *= 4;
    }

    p[0] = '[';
    p[len] = ']';

    sink->batch = p;
    sink->param.data = p;
    sink->param.len = len + 1;
    sink->source = segment;
    sink->end = segment->sent + len;

    return NGX_OK;
}


/* whole lines, separated by commas: their length, with the last separator */

static size_t
ngx_sp_sink_take(ngx_sp_sink_t *sink, u_char *p, size_t size)
{
    u_char      *last, *line, *lf;
    ngx_uint_t   max;

    max = (sink->single != 0) ? 1 : sink->conf->batch_max;

    line = p;
    last = p + size;

    sink->lines = 0;

    while (line < last && sink->lines < max) {

        lf = memchr(line, LF, last - line);

        if (lf == NULL) {
            break;
        }

        *lf = ',';
        line = lf + 1;
        sink->lines++;
    }

    return line - p;
}


static void
ngx_sp_sink_submit(ngx_sp_sink_t *sink)
{
    ngx_sp_pg_op_t  *op;

    op = &sink->op;

    ngx_memzero(op, sizeof(ngx_sp_pg_op_t));

    sink->query.statement = sink->conf->statement;
    sink->query.params = &sink->param;

    op->op.done = ngx_sp_sink_done;
    op->op.data = sink;
    op->op.timeout = NGX_SP_SINK_TIMEOUT;
    op->op.log = ngx_cycle->log;
    op->queries = &sink->query;
    op->nqueries = 1;
    ngx_str_set(&op->role, "sallyport_gateway");
    ngx_str_set(&op->claims, "");

    sink->fresh = 0;

    ngx_sp_pg_submit(sink->conf->pg, op);
}


static void
ngx_sp_sink_done(ngx_sp_op_t *op)
{
    ngx_sp_sink_t  *sink;

    sink = op->data;

    ngx_free(sink->batch);
    sink->batch = NULL;

    if (op->result == NGX_SP_OP_OK) {
        ngx_sp_metric_add(sink->stored, sink->lines);
        ngx_sp_sink_stored(sink);

    } else if (op->result != NGX_SP_OP_REJECTED
               || ngx_sp_sink_rejected(sink) != NGX_OK)
    {
        ngx_sp_sink_failed(sink);
        return;
    }

    if (sink->backlog != 0) {

        /* a full backlog is sent batch by batch, new lines are collected */

        ngx_sp_sink_schedule(sink,
            (sink->backlog >= NGX_SP_SINK_CHUNK
             || sink->fresh >= sink->conf->batch_max
             || sink->single != 0) ? 1 : sink->conf->flush_time);
    }
}


static void
ngx_sp_sink_stored(ngx_sp_sink_t *sink)
{
    ngx_sp_segment_t  *segment;

    segment = sink->source;

    if (sink->failures != 0) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "spool: PostgreSQL takes \"%V\" again, "
                      "%O bytes wait", &sink->conf->name, sink->backlog);
    }

    sink->source = NULL;
    sink->failures = 0;

    if (sink->single != 0) {
        sink->single--;
    }

    ngx_sp_sink_advance(sink, segment, sink->end);
}


static void
ngx_sp_sink_failed(ngx_sp_sink_t *sink)
{
    ngx_msec_t  delay;

    sink->source = NULL;

    if (sink->failures++ == 0) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "spool: PostgreSQL takes no \"%V\": %s, %V; "
                      "%O bytes wait on the disk", &sink->conf->name,
                      ngx_sp_op_result_name(sink->op.op.result),
                      &sink->op.op.reason, sink->backlog);
    }

    delay = ngx_min((ngx_msec_t) 100 << ngx_min(sink->failures, 6),
                    NGX_SP_SINK_BACKOFF);

    ngx_sp_sink_schedule(sink, delay + ngx_random() % 100);
}


/*
 * The function of a sink keeps bad lines apart itself.  What makes the whole
 * batch an error of its data (class 22) is looked for line by line, and given
 * up; anything else is to be repaired in the database, and waited for.
 */

static ngx_int_t
ngx_sp_sink_rejected(ngx_sp_sink_t *sink)
{
    ngx_sp_segment_t  *segment;

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "spool: PostgreSQL refused %ui \"%V\": %V %V",
                  sink->lines, &sink->conf->name, &sink->op.sqlstate,
                  &sink->op.message);

    if (sink->op.sqlstate.len != 5
        || ngx_strncmp(sink->op.sqlstate.data, "22", 2) != 0)
    {
        return NGX_DECLINED;
    }

    segment = sink->source;
    sink->source = NULL;

    if (sink->lines > 1) {
        sink->single = sink->lines;
        return NGX_OK;
    }

    if (sink->single != 0) {
        sink->single--;
    }

    ngx_sp_metric_add(sink->dropped, 1);
    ngx_sp_sink_advance(sink, segment, sink->end);

    return NGX_OK;
}


static void
ngx_sp_sink_advance(ngx_sp_sink_t *sink,
    ngx_sp_segment_t *segment, off_t end)
{
    sink->backlog -= end - segment->sent;

    ngx_sp_metric_add(sink->bytes,
                      -(ngx_int_t) (end - segment->sent));

    segment->sent = end;

    if (segment->sent != segment->size) {
        return;
    }

    if (segment != sink->current) {
        ngx_sp_segment_close(sink, segment);
        return;
    }

    if (ftruncate(segment->fd, 0) == 0) {
        segment->size = 0;
        segment->sent = 0;
    }
}
