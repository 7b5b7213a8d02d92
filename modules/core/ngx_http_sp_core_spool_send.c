
/*
 * Copyright (C) Sallyport authors
 *
 * Batches of turns: read from the oldest segment, one in flight at a time,
 * passed over when PostgreSQL has them.
 */


#include "ngx_http_sp_core_spool.h"


#define NGX_HTTP_SP_SPOOL_CHUNK    (256 * 1024)
#define NGX_HTTP_SP_SPOOL_TIMEOUT  10000
#define NGX_HTTP_SP_SPOOL_BACKOFF  5000
#define NGX_HTTP_SP_SPOOL_GRACE    5000


static void ngx_http_sp_spool_flush_handler(ngx_event_t *ev);
static void ngx_http_sp_spool_schedule(ngx_http_sp_spool_t *spool,
    ngx_msec_t delay);
static ngx_int_t ngx_http_sp_spool_read(ngx_http_sp_spool_t *spool,
    ngx_http_sp_segment_t *segment);
static size_t ngx_http_sp_spool_take(ngx_http_sp_spool_t *spool, u_char *p,
    size_t size);
static void ngx_http_sp_spool_submit(ngx_http_sp_spool_t *spool);
static void ngx_http_sp_spool_done(ngx_sp_op_t *op);
static void ngx_http_sp_spool_stored(ngx_http_sp_spool_t *spool);
static void ngx_http_sp_spool_failed(ngx_http_sp_spool_t *spool);
static ngx_int_t ngx_http_sp_spool_rejected(ngx_http_sp_spool_t *spool);
static void ngx_http_sp_spool_advance(ngx_http_sp_spool_t *spool,
    ngx_http_sp_segment_t *segment, off_t end);


static const ngx_sp_pg_statement_t  ngx_http_sp_spool_sql = {
    ngx_string("select gateway.store_turns($1::jsonb)"),
    1
};


void
ngx_http_sp_spool_send_init(ngx_http_sp_spool_t *spool, ngx_cycle_t *cycle)
{
    spool->flush.handler = ngx_http_sp_spool_flush_handler;
    spool->flush.data = spool;
    spool->flush.log = cycle->log;
}


void
ngx_http_sp_spool_send_exit(ngx_http_sp_spool_t *spool)
{
    ngx_sp_op_cancel(&spool->op.op);

    if (spool->flush.timer_set) {
        ngx_del_timer(&spool->flush);
    }

    if (spool->batch != NULL) {
        ngx_free(spool->batch);
        spool->batch = NULL;
    }

    spool->source = NULL;
}


void
ngx_http_sp_spool_wake(ngx_http_sp_spool_t *spool)
{
    if (spool->source != NULL || spool->failures != 0) {

        /* the end of the batch, or of the wait, goes on */

        return;
    }

    if (spool->fresh < spool->batch_max) {

        if (!spool->flush.timer_set) {
            ngx_http_sp_spool_schedule(spool, spool->flush_time);
        }

        return;
    }

    ngx_http_sp_spool_schedule(spool, 0);
}


/*
 * The timer holds a graceful shutdown open while PostgreSQL takes turns; when
 * it does not, they are as safe on the disk.
 */

static void
ngx_http_sp_spool_schedule(ngx_http_sp_spool_t *spool, ngx_msec_t delay)
{
    if (spool->flush.timer_set) {
        ngx_del_timer(&spool->flush);
    }

    spool->flush.cancelable = (spool->failures != 0);

    if (ngx_exiting) {

        if (spool->exiting == 0) {
            spool->exiting = ngx_current_msec;
        }

        if (ngx_current_msec - spool->exiting > NGX_HTTP_SP_SPOOL_GRACE) {
            spool->flush.cancelable = 1;
        }
    }

    ngx_add_timer(&spool->flush, delay);
}


static void
ngx_http_sp_spool_flush_handler(ngx_event_t *ev)
{
    ngx_queue_t            *q;
    ngx_http_sp_spool_t    *spool;
    ngx_http_sp_segment_t  *segment;

    spool = ev->data;

    if (spool->source != NULL) {
        return;
    }

    for (q = ngx_queue_head(&spool->segments);
         q != ngx_queue_sentinel(&spool->segments);
         q = ngx_queue_next(q))
    {
        segment = ngx_queue_data(q, ngx_http_sp_segment_t, queue);

        if (segment->sent == segment->size) {
            continue;
        }

        if (ngx_http_sp_spool_read(spool, segment) == NGX_OK) {
            ngx_http_sp_spool_submit(spool);
            return;
        }

        /* one step per turn of the loop, whatever is in the file */

        ngx_http_sp_spool_schedule(spool, spool->flush_time);
        return;
    }
}


/*
 * Makes a JSON array of the next lines.  A last line without its end was cut
 * by the death of its writer: it was not accepted, and is passed over.
 */

static ngx_int_t
ngx_http_sp_spool_read(ngx_http_sp_spool_t *spool,
    ngx_http_sp_segment_t *segment)
{
    off_t    rest;
    size_t   len, size;
    u_char  *p;
    ssize_t  n;

    rest = segment->size - segment->sent;
    size = NGX_HTTP_SP_SPOOL_CHUNK;

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
                          "turn_store: read %z of %uz bytes from \"%s\", "
                          "the rest of it is given up", n, size,
                          segment->name);
            ngx_free(p);
            ngx_http_sp_metric_add(spool->dropped, 1);
            ngx_http_sp_spool_advance(spool, segment, segment->size);
            return NGX_DECLINED;
        }

        len = ngx_http_sp_spool_take(spool, p + 1, size);

        if (len != 0) {
            break;
        }

        ngx_free(p);

        if ((off_t) size == rest) {
            ngx_http_sp_spool_advance(spool, segment, segment->size);
            return NGX_DECLINED;
        }

        /* a turn larger than the chunk */

        size *= 4;
    }

    p[0] = '[';
    p[len] = ']';

    spool->batch = p;
    spool->param.data = p;
    spool->param.len = len + 1;
    spool->source = segment;
    spool->end = segment->sent + len;

    return NGX_OK;
}


/* whole lines, separated by commas: their length, with the last separator */

static size_t
ngx_http_sp_spool_take(ngx_http_sp_spool_t *spool, u_char *p, size_t size)
{
    u_char      *last, *line, *lf;
    ngx_uint_t   max;

    max = (spool->single != 0) ? 1 : spool->batch_max;

    line = p;
    last = p + size;

    spool->turns = 0;

    while (line < last && spool->turns < max) {

        lf = ngx_strlchr(line, last, LF);

        if (lf == NULL) {
            break;
        }

        *lf = ',';
        line = lf + 1;
        spool->turns++;
    }

    return line - p;
}


static void
ngx_http_sp_spool_submit(ngx_http_sp_spool_t *spool)
{
    ngx_sp_pg_op_t  *op;

    op = &spool->op;

    ngx_memzero(op, sizeof(ngx_sp_pg_op_t));

    spool->query.statement = &ngx_http_sp_spool_sql;
    spool->query.params = &spool->param;

    op->op.done = ngx_http_sp_spool_done;
    op->op.data = spool;
    op->op.timeout = NGX_HTTP_SP_SPOOL_TIMEOUT;
    op->op.log = ngx_cycle->log;
    op->queries = &spool->query;
    op->nqueries = 1;
    ngx_str_set(&op->role, "sallyport_gateway");
    ngx_str_set(&op->claims, "");

    spool->fresh = 0;

    ngx_sp_pg_submit(spool->pg, op);
}


static void
ngx_http_sp_spool_done(ngx_sp_op_t *op)
{
    ngx_http_sp_spool_t  *spool;

    spool = op->data;

    ngx_free(spool->batch);
    spool->batch = NULL;

    if (op->result == NGX_SP_OP_OK) {
        ngx_http_sp_metric_add(spool->stored, spool->turns);
        ngx_http_sp_spool_stored(spool);

    } else if (op->result != NGX_SP_OP_REJECTED
               || ngx_http_sp_spool_rejected(spool) != NGX_OK)
    {
        ngx_http_sp_spool_failed(spool);
        return;
    }

    if (spool->backlog != 0) {

        /* a full backlog is sent batch by batch, new turns are collected */

        ngx_http_sp_spool_schedule(spool,
            (spool->backlog >= NGX_HTTP_SP_SPOOL_CHUNK
             || spool->fresh >= spool->batch_max
             || spool->single != 0) ? 1 : spool->flush_time);
    }
}


static void
ngx_http_sp_spool_stored(ngx_http_sp_spool_t *spool)
{
    ngx_http_sp_segment_t  *segment;

    segment = spool->source;

    if (spool->failures != 0) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "turn_store: PostgreSQL takes turns again, "
                      "%O bytes wait", spool->backlog);
    }

    spool->source = NULL;
    spool->failures = 0;

    if (spool->single != 0) {
        spool->single--;
    }

    ngx_http_sp_spool_advance(spool, segment, spool->end);
}


static void
ngx_http_sp_spool_failed(ngx_http_sp_spool_t *spool)
{
    ngx_msec_t  delay;

    spool->source = NULL;

    if (spool->failures++ == 0) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "turn_store: PostgreSQL takes no turns: %s, %V; "
                      "%O bytes wait on the disk",
                      ngx_sp_op_result_name(spool->op.op.result),
                      &spool->op.op.reason, spool->backlog);
    }

    delay = ngx_min((ngx_msec_t) 100 << ngx_min(spool->failures, 6),
                    NGX_HTTP_SP_SPOOL_BACKOFF);

    ngx_http_sp_spool_schedule(spool, delay + ngx_random() % 100);
}


/*
 * store_turns() keeps bad turns apart itself.  What makes the whole batch an
 * error of its data (class 22) is looked for turn by turn, and given up;
 * anything else is to be repaired in the database, and waited for.
 */

static ngx_int_t
ngx_http_sp_spool_rejected(ngx_http_sp_spool_t *spool)
{
    ngx_http_sp_segment_t  *segment;

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "turn_store: PostgreSQL refused %ui turns: %V %V",
                  spool->turns, &spool->op.sqlstate, &spool->op.message);

    if (spool->op.sqlstate.len != 5
        || ngx_strncmp(spool->op.sqlstate.data, "22", 2) != 0)
    {
        return NGX_DECLINED;
    }

    segment = spool->source;
    spool->source = NULL;

    if (spool->turns > 1) {
        spool->single = spool->turns;
        return NGX_OK;
    }

    if (spool->single != 0) {
        spool->single--;
    }

    ngx_http_sp_metric_add(spool->dropped, 1);
    ngx_http_sp_spool_advance(spool, segment, spool->end);

    return NGX_OK;
}


static void
ngx_http_sp_spool_advance(ngx_http_sp_spool_t *spool,
    ngx_http_sp_segment_t *segment, off_t end)
{
    spool->backlog -= end - segment->sent;

    ngx_http_sp_metric_add(spool->bytes,
                           -(ngx_int_t) (end - segment->sent));

    segment->sent = end;

    if (segment->sent != segment->size) {
        return;
    }

    if (segment != spool->current) {
        ngx_http_sp_segment_close(spool, segment);
        return;
    }

    if (ftruncate(segment->fd, 0) == 0) {
        segment->size = 0;
        segment->sent = 0;
    }
}
