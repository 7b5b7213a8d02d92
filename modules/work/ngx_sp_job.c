
/*
 * Copyright (C) Sallyport authors
 *
 * A claimed job, from its claim to its end.
 *
 *     RUNNING --- finish, retry, fail, release --> ENDING --- written --> GONE
 *        |                                             |                    ^
 *        +------------- the lease is lost -------------+--------------------+
 *
 * Every write names owner and epoch.  A job whose end could not be written is
 * claimed again when its lease is over, so handlers must be idempotent.  The
 * memory of a GONE job is freed from a posted event, because it usually ends
 * inside of the done handler of an op that lives in it.
 */


#include "ngx_sp_job_int.h"


#define NGX_SP_JOB_POOL       4096
#define NGX_SP_JOB_END_AGAIN  1000


struct ngx_sp_job_op_s {
    ngx_sp_op_t                   *op;
    ngx_sp_job_op_t               *next;
};


static ngx_int_t ngx_sp_job_fill(ngx_sp_claimed_t *c,
    const PGresult *result, int row);
static ngx_int_t ngx_sp_job_copy(ngx_pool_t *pool,
    const PGresult *result, int row, int column, ngx_str_t *to);
static void ngx_sp_job_set_state(ngx_sp_claimed_t *c,
    ngx_sp_job_state_e state);
static void ngx_sp_job_start_handler(ngx_event_t *ev);
static void ngx_sp_job_sleep_handler(ngx_event_t *ev);
static void ngx_sp_job_renew_handler(ngx_event_t *ev);
static void ngx_sp_job_renewed(ngx_sp_op_t *op);
static void ngx_sp_job_lost(ngx_sp_claimed_t *c);
static void ngx_sp_job_call(ngx_sp_claimed_t *c,
    ngx_sp_pg_op_t *op, const ngx_sp_pg_statement_t *statement,
    ngx_sp_op_handler_pt done);
static void ngx_sp_job_end(ngx_sp_claimed_t *c,
    const ngx_sp_pg_statement_t *statement, ngx_sp_metric_t *metric);
static void ngx_sp_job_end_handler(ngx_event_t *ev);
static void ngx_sp_job_ended(ngx_sp_op_t *op);
static void ngx_sp_job_quiet(ngx_sp_claimed_t *c);
static void ngx_sp_job_gone(ngx_sp_claimed_t *c);
static void ngx_sp_job_gone_handler(ngx_event_t *ev);
static void ngx_sp_job_set_reason(ngx_sp_claimed_t *c,
    ngx_str_t *param, const char *reason);


static const ngx_sp_pg_statement_t  ngx_sp_job_renew_sql = {
    ngx_string("select gateway.job_renew($1::bigint, $2, $3::bigint, "
               "make_interval(secs => $4::int))"),
    4
};


static const ngx_sp_pg_statement_t  ngx_sp_job_finish_sql = {
    ngx_string("select gateway.job_finish($1::bigint, $2, $3::bigint)"),
    3
};


static const ngx_sp_pg_statement_t  ngx_sp_job_retry_sql = {
    ngx_string("select gateway.job_retry($1::bigint, $2, $3::bigint, "
               "make_interval(secs => $4::float8 / 1000), $5)"),
    5
};


static const ngx_sp_pg_statement_t  ngx_sp_job_fail_sql = {
    ngx_string("select gateway.job_fail($1::bigint, $2, $3::bigint, $4)"),
    4
};


static const ngx_sp_pg_statement_t  ngx_sp_job_release_sql = {
    ngx_string("select gateway.job_release($1::bigint, $2, $3::bigint)"),
    3
};


/* a row of the claim; "since" is when the claim was sent */

ngx_int_t
ngx_sp_job_create(ngx_sp_runner_t *runner, const PGresult *result,
    int row, ngx_msec_t since)
{
    ngx_pool_t             *pool;
    ngx_sp_claimed_t       *c;

    pool = ngx_create_pool(NGX_SP_JOB_POOL, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    c = ngx_pcalloc(pool, sizeof(ngx_sp_claimed_t));
    if (c == NULL) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    c->runner = runner;
    c->job.kind = runner->kind;
    c->job.pool = pool;
    c->job.log = ngx_cycle->log;
    c->job.pg = runner->pg;

    if (ngx_sp_job_fill(c, result, row) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    c->deadline = since + runner->lease;

    c->start.handler = ngx_sp_job_start_handler;
    c->start.data = c;
    c->start.log = c->job.log;

    c->sleep.handler = ngx_sp_job_sleep_handler;
    c->sleep.data = c;
    c->sleep.log = c->job.log;
    c->sleep.cancelable = 1;

    c->renew.handler = ngx_sp_job_renew_handler;
    c->renew.data = c;
    c->renew.log = c->job.log;
    c->renew.cancelable = 1;

    c->end.handler = ngx_sp_job_end_handler;
    c->end.data = c;
    c->end.log = c->job.log;
    c->end.cancelable = 1;

    c->gone.handler = ngx_sp_job_gone_handler;
    c->gone.data = c;
    c->gone.log = c->job.log;

    ngx_queue_insert_tail(&runner->jobs, &c->queue);
    runner->running++;
    ngx_sp_metric_add(runner->gauge, 1);

    ngx_add_timer(&c->renew, runner->lease / 3);

    /* not here: this is inside of the done handler of the claim */

    ngx_post_event(&c->start, &ngx_posted_events);

    return NGX_OK;
}


static ngx_int_t
ngx_sp_job_fill(ngx_sp_claimed_t *c, const PGresult *result,
    int row)
{
    ngx_int_t   n;
    ngx_str_t   attempt;
    ngx_pool_t *pool;

    pool = c->job.pool;

    if (ngx_sp_job_copy(pool, result, row, 0, &c->job.id) != NGX_OK
        || ngx_sp_job_copy(pool, result, row, 1, &c->job.lane) != NGX_OK
        || ngx_sp_job_copy(pool, result, row, 2, &c->job.payload)
           != NGX_OK
        || ngx_sp_job_copy(pool, result, row, 3, &c->job.result)
           != NGX_OK
        || ngx_sp_job_copy(pool, result, row, 4, &attempt) != NGX_OK
        || ngx_sp_job_copy(pool, result, row, 5, &c->job.epoch)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = ngx_atoi(attempt.data, attempt.len);
    c->job.attempt = (n > 0) ? (ngx_uint_t) n : 1;

    c->params[0] = c->job.id;
    c->params[1] = c->runner->owner;
    c->params[2] = c->job.epoch;

    return NGX_OK;
}


static ngx_int_t
ngx_sp_job_copy(ngx_pool_t *pool, const PGresult *result, int row,
    int column, ngx_str_t *to)
{
    ngx_str_t  value;

    value = ngx_sp_pg_value(result, row, column);

    to->data = ngx_pnalloc(pool, value.len + 1);
    if (to->data == NULL) {
        return NGX_ERROR;
    }

    to->len = value.len;

    ngx_memcpy(to->data, value.data, value.len);
    to->data[value.len] = '\0';

    return NGX_OK;
}


static void
ngx_sp_job_set_state(ngx_sp_claimed_t *c,
    ngx_sp_job_state_e state)
{
#if (NGX_DEBUG)
    static const char  *names[] = { "running", "ending", "gone" };
#endif

    ngx_log_debug4(NGX_LOG_DEBUG_CORE, c->job.log, 0,
                   "job %V \"%V\" %s -> %s", &c->job.id, &c->job.kind->name,
                   names[c->state], names[state]);

    c->state = state;
}


static void
ngx_sp_job_start_handler(ngx_event_t *ev)
{
    ngx_sp_claimed_t       *c;

    c = ev->data;

    if (c->state != NGX_SP_JOB_RUNNING) {
        return;
    }

    /* it kills whoever runs it, or takes them past their lease */

    if (c->job.kind->max_attempts != 0
        && c->job.attempt > c->job.kind->max_attempts)
    {
        ngx_sp_job_fail(&c->job, "too many attempts");
        return;
    }

    c->job.kind->run(&c->job);
}


ngx_int_t
ngx_sp_job_attach(ngx_sp_job_t *job, ngx_sp_op_t *op)
{
    ngx_sp_job_op_t        *node;
    ngx_sp_claimed_t       *c;

    c = (ngx_sp_claimed_t *) job;

    if (c->state != NGX_SP_JOB_RUNNING) {
        return NGX_ERROR;
    }

    for (node = c->ops; node != NULL; node = node->next) {
        if (node->op == op) {
            return NGX_OK;
        }
    }

    node = ngx_palloc(job->pool, sizeof(ngx_sp_job_op_t));
    if (node == NULL) {
        return NGX_ERROR;
    }

    node->op = op;
    node->next = c->ops;
    c->ops = node;

    return NGX_OK;
}


void
ngx_sp_job_sleep(ngx_sp_job_t *job, ngx_msec_t delay,
    ngx_sp_job_handler_pt handler)
{
    ngx_sp_claimed_t       *c;

    c = (ngx_sp_claimed_t *) job;

    if (c->state != NGX_SP_JOB_RUNNING) {
        return;
    }

    if (c->sleep.timer_set) {
        ngx_del_timer(&c->sleep);
    }

    c->awake = handler;

    ngx_add_timer(&c->sleep, delay);
}


static void
ngx_sp_job_sleep_handler(ngx_event_t *ev)
{
    ngx_sp_claimed_t       *c;

    c = ev->data;

    c->awake(&c->job);
}


static void
ngx_sp_job_renew_handler(ngx_event_t *ev)
{
    ngx_sp_claimed_t       *c;

    c = ev->data;

    if ((ngx_msec_int_t) (c->deadline - ngx_current_msec) <= 0) {
        ngx_sp_job_lost(c);
        return;
    }

    ngx_add_timer(ev, c->runner->lease / 3);

    if (c->state != NGX_SP_JOB_RUNNING
        || ngx_sp_op_pending(&c->renew_op.op))
    {
        return;
    }

    c->renew_params[0] = c->job.id;
    c->renew_params[1] = c->runner->owner;
    c->renew_params[2] = c->job.epoch;
    c->renew_params[3] = c->runner->lease_text;

    c->renew_query.params = c->renew_params;
    c->renewing = ngx_current_msec;

    ngx_memzero(&c->renew_op, sizeof(ngx_sp_pg_op_t));
    c->renew_op.queries = &c->renew_query;

    ngx_sp_job_call(c, &c->renew_op, &ngx_sp_job_renew_sql,
                    ngx_sp_job_renewed);
}


static void
ngx_sp_job_renewed(ngx_sp_op_t *op)
{
    ngx_str_t               held;
    ngx_sp_claimed_t       *c;

    c = op->data;

    if (op->result != NGX_SP_OP_OK) {

        /* the next try comes before the lease is over, or it is lost then */

        ngx_log_error(NGX_LOG_WARN, c->job.log, 0,
                      "job %V \"%V\": lease not renewed: %s, %V",
                      &c->job.id, &c->job.kind->name,
                      ngx_sp_op_result_name(op->result), &op->reason);
        return;
    }

    held = ngx_sp_pg_value(c->renew_query.result, 0, 0);

    if (held.len == 1 && held.data[0] == 't') {
        c->deadline = c->renewing + c->runner->lease;
        return;
    }

    ngx_sp_job_lost(c);
}


static void
ngx_sp_job_lost(ngx_sp_claimed_t *c)
{
    ngx_log_error(NGX_LOG_WARN, c->job.log, 0,
                  "job %V \"%V\" lost its lease", &c->job.id,
                  &c->job.kind->name);

    ngx_sp_metric_add(c->runner->lost, 1);

    if (c->state == NGX_SP_JOB_RUNNING && c->job.kind->cancel != NULL) {
        c->job.kind->cancel(&c->job);
    }

    ngx_sp_job_gone(c);
}


static void
ngx_sp_job_call(ngx_sp_claimed_t *c, ngx_sp_pg_op_t *op,
    const ngx_sp_pg_statement_t *statement, ngx_sp_op_handler_pt done)
{
    op->queries->statement = statement;
    op->nqueries = 1;

    op->op.done = done;
    op->op.data = c;
    op->op.log = c->job.log;
    ngx_str_set(&op->role, "sallyport_gateway");
    ngx_str_set(&op->claims, "");

    ngx_sp_pg_submit(c->runner->pg, op);
}


void
ngx_sp_job_finish(ngx_sp_job_t *job)
{
    ngx_sp_claimed_t       *c;

    c = (ngx_sp_claimed_t *) job;

    ngx_sp_job_end(c, &ngx_sp_job_finish_sql, c->runner->done);
}


void
ngx_sp_job_retry(ngx_sp_job_t *job, ngx_msec_t delay,
    const char *reason)
{
    ngx_sp_claimed_t       *c;

    c = (ngx_sp_claimed_t *) job;

    if (job->kind->max_attempts != 0
        && job->attempt >= job->kind->max_attempts)
    {
        ngx_sp_job_fail(job, reason);
        return;
    }

    if (c->state != NGX_SP_JOB_RUNNING) {
        return;
    }

    c->params[3].data = c->delay;
    c->params[3].len = ngx_sprintf(c->delay, "%M", delay) - c->delay;

    ngx_sp_job_set_reason(c, &c->params[4], reason);

    ngx_sp_job_end(c, &ngx_sp_job_retry_sql, c->runner->retried);
}


void
ngx_sp_job_fail(ngx_sp_job_t *job, const char *reason)
{
    ngx_sp_claimed_t       *c;

    c = (ngx_sp_claimed_t *) job;

    if (c->state != NGX_SP_JOB_RUNNING) {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, job->log, 0, "job %V \"%V\" failed: %s",
                  &job->id, &job->kind->name, reason);

    ngx_sp_job_set_reason(c, &c->params[3], reason);

    ngx_sp_job_end(c, &ngx_sp_job_fail_sql, c->runner->failed);
}


/* the text may live in what the plugin frees before the end is written */

static void
ngx_sp_job_set_reason(ngx_sp_claimed_t *c, ngx_str_t *param,
    const char *reason)
{
    ngx_str_t  text;

    text.data = (u_char *) reason;
    text.len = ngx_strlen(reason);

    param->data = ngx_pstrdup(c->job.pool, &text);
    param->len = (param->data != NULL) ? text.len : 0;

    if (param->data == NULL) {
        ngx_str_set(param, "out of memory");
    }
}


/* the worker exits: somebody else may have the job at once */

void
ngx_sp_job_release(ngx_sp_claimed_t *c)
{
    if (c->state != NGX_SP_JOB_RUNNING) {
        return;
    }

    if (c->job.kind->cancel != NULL) {
        c->job.kind->cancel(&c->job);
    }

    ngx_sp_job_end(c, &ngx_sp_job_release_sql,
                   c->runner->released);
}


static void
ngx_sp_job_end(ngx_sp_claimed_t *c,
    const ngx_sp_pg_statement_t *statement, ngx_sp_metric_t *metric)
{
    if (c->state != NGX_SP_JOB_RUNNING) {
        return;
    }

    ngx_sp_job_set_state(c, NGX_SP_JOB_ENDING);
    ngx_sp_job_quiet(c);

    c->statement = statement;
    c->metric = metric;

    ngx_sp_job_end_handler(&c->end);
}


static void
ngx_sp_job_end_handler(ngx_event_t *ev)
{
    ngx_sp_claimed_t       *c;

    c = ev->data;

    ngx_memzero(&c->end_op, sizeof(ngx_sp_pg_op_t));

    c->end_query.params = c->params;
    c->end_op.queries = &c->end_query;

    ngx_sp_job_call(c, &c->end_op, c->statement, ngx_sp_job_ended);
}


static void
ngx_sp_job_ended(ngx_sp_op_t *op)
{
    ngx_str_t               held;
    ngx_sp_claimed_t       *c;

    c = op->data;

    if (op->result == NGX_SP_OP_OK) {
        held = ngx_sp_pg_value(c->end_query.result, 0, 0);

        if (held.len != 1 || held.data[0] != 't') {
            ngx_sp_job_lost(c);
            return;
        }

        ngx_sp_metric_add(c->metric, 1);
        ngx_sp_job_gone(c);
        return;
    }

    ngx_log_error(NGX_LOG_WARN, c->job.log, 0,
                  "job %V \"%V\": its end is not written: %s, %V",
                  &c->job.id, &c->job.kind->name,
                  ngx_sp_op_result_name(op->result), &op->reason);

    if (ngx_exiting
        || op->result == NGX_SP_OP_REJECTED
        || (ngx_msec_int_t) (c->deadline - ngx_current_msec)
           <= NGX_SP_JOB_END_AGAIN)
    {
        ngx_sp_job_lost(c);
        return;
    }

    ngx_add_timer(&c->end, NGX_SP_JOB_END_AGAIN);
}


/* the plugin is not called any more */

static void
ngx_sp_job_quiet(ngx_sp_claimed_t *c)
{
    ngx_sp_job_op_t       *node;

    for (node = c->ops; node != NULL; node = node->next) {
        ngx_sp_op_cancel(node->op);
    }

    c->ops = NULL;

    if (c->start.posted) {
        ngx_delete_posted_event(&c->start);
    }

    if (c->sleep.timer_set) {
        ngx_del_timer(&c->sleep);
    }

    ngx_sp_op_cancel(&c->renew_op.op);
}


static void
ngx_sp_job_gone(ngx_sp_claimed_t *c)
{
    if (c->state == NGX_SP_JOB_GONE) {
        return;
    }

    ngx_sp_job_set_state(c, NGX_SP_JOB_GONE);
    ngx_sp_job_quiet(c);

    ngx_sp_op_cancel(&c->end_op.op);

    if (c->end.timer_set) {
        ngx_del_timer(&c->end);
    }

    if (c->renew.timer_set) {
        ngx_del_timer(&c->renew);
    }

    c->runner->running--;
    ngx_sp_metric_add(c->runner->gauge, -1);

    ngx_post_event(&c->gone, &ngx_posted_events);
}


static void
ngx_sp_job_gone_handler(ngx_event_t *ev)
{
    ngx_sp_runner_t        *runner;
    ngx_sp_claimed_t       *c;

    c = ev->data;
    runner = c->runner;

    ngx_queue_remove(&c->queue);
    ngx_destroy_pool(c->job.pool);

    /* there is room, and the lane of this one is free */

    ngx_sp_runner_claim(runner);
}


/* exit_process: the lease runs out, another worker goes on */

void
ngx_sp_job_destroy(ngx_sp_claimed_t *c)
{
    if (c->state == NGX_SP_JOB_RUNNING && c->job.kind->cancel != NULL) {
        c->job.kind->cancel(&c->job);
    }

    ngx_sp_job_gone(c);

    if (c->gone.posted) {
        ngx_delete_posted_event(&c->gone);
    }

    ngx_queue_remove(&c->queue);
    ngx_destroy_pool(c->job.pool);
}
