
/*
 * Copyright (C) Sallyport authors
 *
 * Claims jobs: when PostgreSQL notifies, when the next one is due, when one
 * has ended, and every now and then in case a notification was missed.
 */


#include "ngx_sp_work.h"
#include "ngx_sp_job_int.h"


#define NGX_SP_RUNNER_POLL    10000
#define NGX_SP_RUNNER_SOON    50
#define NGX_SP_RUNNER_TICK    250
#define NGX_SP_RUNNER_OWNER   128


static ngx_int_t ngx_sp_runner_start(ngx_sp_runner_t *runner,
    ngx_cycle_t *cycle);
static void ngx_sp_runner_notify(void *data, const ngx_str_t *payload);
static void ngx_sp_runner_poll_handler(ngx_event_t *ev);
static void ngx_sp_runner_claimed(ngx_sp_op_t *op);
static void ngx_sp_runner_schedule(ngx_sp_runner_t *runner,
    ngx_msec_t delay);
static ngx_msec_t ngx_sp_runner_due(ngx_sp_runner_t *runner);
static void ngx_sp_runner_tick_handler(ngx_event_t *ev);


static const ngx_sp_pg_statement_t  ngx_sp_runner_claim_sql = {
    ngx_string("select id::text, coalesce(lane, ''), payload::text, "
               "coalesce(result::text, ''), attempt::text, epoch::text "
               "from gateway.job_claim(array[$1]::text[], $2, "
               "make_interval(secs => $3::int), $4::int)"),
    4
};


/*
 * NULL when no job is there, and it must stay NULL: greatest() passes over it,
 * so that "nothing" would be "now".
 */

static const ngx_sp_pg_statement_t  ngx_sp_runner_due_sql = {
    ngx_string("select ceil(case when ms < 0 then 0 else ms end)::bigint "
               "from gateway.job_due($1) as ms"),
    1
};


static const ngx_sp_metric_slot_t  ngx_sp_runner_metrics[] = {

    { NGX_SP_GAUGE, "sallyport_jobs_running",
      "Jobs that run now.", "",
      offsetof(ngx_sp_runner_t, gauge) },

    { NGX_SP_COUNTER, "sallyport_jobs_total",
      "Runs of jobs by what became of them.", "result=\"done\"",
      offsetof(ngx_sp_runner_t, done) },

    { NGX_SP_COUNTER, "sallyport_jobs_total",
      "Runs of jobs by what became of them.", "result=\"retried\"",
      offsetof(ngx_sp_runner_t, retried) },

    { NGX_SP_COUNTER, "sallyport_jobs_total",
      "Runs of jobs by what became of them.", "result=\"failed\"",
      offsetof(ngx_sp_runner_t, failed) },

    { NGX_SP_COUNTER, "sallyport_jobs_total",
      "Runs of jobs by what became of them.", "result=\"lost\"",
      offsetof(ngx_sp_runner_t, lost) },

    { NGX_SP_COUNTER, "sallyport_jobs_total",
      "Runs of jobs by what became of them.", "result=\"released\"",
      offsetof(ngx_sp_runner_t, released) },

    { NGX_SP_COUNTER, NULL, NULL, NULL, 0 }
};


ngx_int_t
ngx_sp_work_add_job_kind(ngx_conf_t *cf, ngx_sp_work_t *work, ngx_sp_pg_t *pg,
    const ngx_sp_job_kind_t *kind)
{
    ngx_uint_t                      i, listening;
    ngx_sp_runner_t               **elt, *runner;

    static const ngx_str_t  channel = ngx_string("gateway_job");

    if (kind->max_running == 0 || kind->lease < 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "job kind \"%V\" has no lease, or may not run",
                           &kind->name);
        return NGX_ERROR;
    }

    elt = work->runners.elts;
    listening = 0;

    for (i = 0; i < work->runners.nelts; i++) {

        if (elt[i]->pg != pg) {
            continue;
        }

        listening = 1;

        if (elt[i]->kind->name.len == kind->name.len
            && ngx_strncmp(elt[i]->kind->name.data, kind->name.data,
                           kind->name.len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "job kind \"%V\" is registered twice",
                               &kind->name);
            return NGX_ERROR;
        }
    }

    if (!listening
        && ngx_sp_pg_listen(cf, pg, &channel, ngx_sp_runner_notify, work)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    runner = ngx_pcalloc(cf->pool, sizeof(ngx_sp_runner_t));
    if (runner == NULL) {
        return NGX_ERROR;
    }

    runner->kind = kind;
    runner->pg = pg;
    runner->lease = (ngx_msec_t) kind->lease * 1000;

    if (ngx_sp_metrics_add_table(cf, work->metrics, ngx_sp_runner_metrics,
                                 runner, "kind", &kind->name)
        != NGX_OK
        || ngx_sp_work_housekeeping(cf, work, pg) != NGX_OK)
    {
        return NGX_ERROR;
    }

    elt = ngx_array_push(&work->runners);
    if (elt == NULL) {
        return NGX_ERROR;
    }

    *elt = runner;

    return NGX_OK;
}


ngx_int_t
ngx_sp_runners_init_process(ngx_sp_work_t *work,
    ngx_cycle_t *cycle)
{
    ngx_uint_t              i;
    ngx_sp_runner_t       **runner;

    runner = work->runners.elts;

    for (i = 0; i < work->runners.nelts; i++) {
        if (ngx_sp_runner_start(runner[i], cycle) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sp_runner_start(ngx_sp_runner_t *runner, ngx_cycle_t *cycle)
{
    u_char  *p, *last;

    ngx_queue_init(&runner->jobs);

    p = ngx_pnalloc(cycle->pool, NGX_SP_RUNNER_OWNER);
    if (p == NULL) {
        return NGX_ERROR;
    }

    /* a pid is used again, also by the same host after its restart */

    last = ngx_snprintf(p, NGX_SP_RUNNER_OWNER, "%P.%T.%xi@%V",
                        ngx_pid, ngx_time(), ngx_random(), &cycle->hostname);

    runner->owner.data = p;
    runner->owner.len = last - p;

    p = ngx_pnalloc(cycle->pool, NGX_TIME_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    runner->lease_text.data = p;
    runner->lease_text.len = ngx_sprintf(p, "%T", runner->kind->lease) - p;

    runner->poll.handler = ngx_sp_runner_poll_handler;
    runner->poll.data = runner;
    runner->poll.log = cycle->log;
    runner->poll.cancelable = 1;

    runner->tick.handler = ngx_sp_runner_tick_handler;
    runner->tick.data = runner;
    runner->tick.log = cycle->log;

    runner->started = 1;

    ngx_add_timer(&runner->poll, 1 + ngx_random() % NGX_SP_RUNNER_SOON);

    return NGX_OK;
}


void
ngx_sp_runners_exit_process(ngx_sp_work_t *work)
{
    ngx_uint_t              i;
    ngx_queue_t            *q;
    ngx_sp_runner_t       **elt, *runner;

    elt = work->runners.elts;

    for (i = 0; i < work->runners.nelts; i++) {
        runner = elt[i];

        if (!runner->started) {
            continue;
        }

        runner->started = 0;

        ngx_sp_op_cancel(&runner->op.op);

        while (!ngx_queue_empty(&runner->jobs)) {
            q = ngx_queue_head(&runner->jobs);
            ngx_sp_job_destroy(ngx_queue_data(q, ngx_sp_claimed_t,
                                              queue));
        }
    }
}


/* the payload is the kind; NULL: connected again, some may be missed */

static void
ngx_sp_runner_notify(void *data, const ngx_str_t *payload)
{
    ngx_sp_work_t *work = data;

    ngx_uint_t              i;
    ngx_sp_runner_t       **runner;

    runner = work->runners.elts;

    for (i = 0; i < work->runners.nelts; i++) {

        if (payload == NULL
            || (payload->len == runner[i]->kind->name.len
                && ngx_strncmp(payload->data, runner[i]->kind->name.data,
                               payload->len) == 0))
        {
            runner[i]->failures = 0;
            ngx_sp_runner_claim(runner[i]);
        }
    }
}


static void
ngx_sp_runner_poll_handler(ngx_event_t *ev)
{
    ngx_sp_runner_claim(ev->data);
}


void
ngx_sp_runner_claim(ngx_sp_runner_t *runner)
{
    ngx_sp_pg_op_t                *op;
    const ngx_sp_job_kind_t       *kind;

    kind = runner->kind;

    if (ngx_exiting || ngx_terminate || !runner->started) {
        return;
    }

    op = &runner->op;

    if (ngx_sp_op_pending(&op->op)) {
        runner->again = 1;
        return;
    }

    if (runner->running >= kind->max_running) {

        /* the end of one of them claims again */

        return;
    }

    runner->again = 0;
    runner->room = kind->max_running - runner->running;
    runner->since = ngx_current_msec;

    runner->params[0] = kind->name;
    runner->params[1] = runner->owner;
    runner->params[2] = runner->lease_text;
    runner->params[3].data = runner->room_text;
    runner->params[3].len = ngx_sprintf(runner->room_text, "%ui",
                                        runner->room)
                            - runner->room_text;

    runner->queries[0].statement = &ngx_sp_runner_claim_sql;
    runner->queries[0].params = runner->params;
    runner->queries[1].statement = &ngx_sp_runner_due_sql;
    runner->queries[1].params = runner->params;

    ngx_memzero(op, sizeof(ngx_sp_pg_op_t));

    op->op.done = ngx_sp_runner_claimed;
    op->op.data = runner;
    op->op.log = ngx_cycle->log;
    op->queries = runner->queries;
    op->nqueries = 2;
    ngx_str_set(&op->role, "sallyport_gateway");
    ngx_str_set(&op->claims, "");

    ngx_sp_pg_submit(runner->pg, op);
}


static void
ngx_sp_runner_claimed(ngx_sp_op_t *op)
{
    int                    i, rows;
    ngx_sp_runner_t       *runner;

    runner = op->data;

    if (op->result != NGX_SP_OP_OK) {

        if (runner->failures++ == 0) {
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "jobs \"%V\" cannot be claimed: %s, %V",
                          &runner->kind->name,
                          ngx_sp_op_result_name(op->result), &op->reason);
        }

        ngx_sp_runner_schedule(runner,
                               ngx_min(runner->failures * 500,
                                       NGX_SP_RUNNER_POLL));
        return;
    }

    runner->failures = 0;

    rows = PQntuples(runner->queries[0].result);

    for (i = 0; i < rows; i++) {

        /* without memory the lease runs out and somebody else has it */

        (void) ngx_sp_job_create(runner, runner->queries[0].result, i,
                                 runner->since);
    }

    if (runner->running != 0 && !runner->tick.timer_set) {
        ngx_add_timer(&runner->tick, NGX_SP_RUNNER_TICK);
    }

    ngx_sp_runner_schedule(runner,
                           runner->again ? 1
                           : ngx_sp_runner_due(runner));
}


/* when to look again: with some jitter, so that workers do not meet */

static ngx_msec_t
ngx_sp_runner_due(ngx_sp_runner_t *runner)
{
    ngx_int_t   ms;
    ngx_str_t   due;

    due = ngx_sp_pg_value(runner->queries[1].result, 0, 0);

    ms = (due.data != NULL) ? ngx_atoi(due.data, due.len) : NGX_ERROR;

    if (ms == NGX_ERROR || ms > NGX_SP_RUNNER_POLL) {
        return NGX_SP_RUNNER_POLL
               + ngx_random() % (NGX_SP_RUNNER_POLL / 4);
    }

    /* what is due and was not given is being taken by somebody else */

    return ngx_max(ms, NGX_SP_RUNNER_SOON)
           + ngx_random() % NGX_SP_RUNNER_SOON;
}


static void
ngx_sp_runner_schedule(ngx_sp_runner_t *runner, ngx_msec_t delay)
{
    if (runner->poll.timer_set) {
        ngx_del_timer(&runner->poll);
    }

    ngx_add_timer(&runner->poll, delay);
}


/*
 * NGINX tells a module that a worker exits only when it is too late for a
 * query.  This timer holds the exit open while jobs run, and gives them back.
 */

static void
ngx_sp_runner_tick_handler(ngx_event_t *ev)
{
    ngx_queue_t            *q, *next;
    ngx_sp_runner_t        *runner;

    runner = ev->data;

    if (runner->running == 0) {
        return;
    }

    if (ngx_exiting) {

        for (q = ngx_queue_head(&runner->jobs);
             q != ngx_queue_sentinel(&runner->jobs);
             q = next)
        {
            next = ngx_queue_next(q);
            ngx_sp_job_release(ngx_queue_data(q, ngx_sp_claimed_t,
                                              queue));
        }
    }

    ngx_add_timer(ev, NGX_SP_RUNNER_TICK);
}
