
/*
 * Copyright (C) Sallyport authors
 *
 * The runner of a lane: a background job of kind "mint".  One step at a
 * time, each an op whose outcome chooses the next; the narration is in
 * ngx_http_sp_mint.h.
 */


#include "ngx_http_sp_mint.h"


/* a notification may be lost with its connection: looked after anyway */
#define NGX_HTTP_SP_MINT_WAIT_MAX  5000


static void ngx_http_sp_mint_run(ngx_sp_job_t *job);
static void ngx_http_sp_mint_cancel(ngx_sp_job_t *job);
static void ngx_http_sp_mint_release(ngx_http_sp_mint_run_t *run);
static void ngx_http_sp_mint_start(ngx_http_sp_mint_run_t *run);
static void ngx_http_sp_mint_wait(ngx_http_sp_mint_run_t *run);
static void ngx_http_sp_mint_awake(ngx_sp_job_t *job);
static void ngx_http_sp_mint_notified(void *data, const ngx_str_t *lane);


typedef struct {
    const char               *name;
    ngx_http_sp_mint_run_pt   enter;
} ngx_http_sp_mint_step_t;


/* in the order of ngx_http_sp_mint_state_e */

static const ngx_http_sp_mint_step_t  ngx_http_sp_mint_steps[] = {
    { "start",    ngx_http_sp_mint_start },
    { "next",     ngx_http_sp_mint_next },
    { "wait",     ngx_http_sp_mint_wait },
    { "nonce",    ngx_http_sp_mint_nonce },
    { "init",     ngx_http_sp_mint_init },
    { "estimate", ngx_http_sp_mint_estimate },
    { "fees",     ngx_http_sp_mint_fees },
    { "assign",   ngx_http_sp_mint_assign },
    { "sign",     ngx_http_sp_mint_sign },
    { "send",     ngx_http_sp_mint_send },
    { "sent",     ngx_http_sp_mint_store_sent },
    { "head",     ngx_http_sp_mint_head },
    { "receipt",  ngx_http_sp_mint_receipt },
    { "count",    ngx_http_sp_mint_count },
    { "used",     ngx_http_sp_mint_used },
    { "logs",     ngx_http_sp_mint_logs },
    { "move",     ngx_http_sp_mint_store_move }
};


/* the runners of this worker; made in init_process */

static ngx_queue_t  ngx_http_sp_mint_runners;


ngx_int_t
ngx_http_sp_mint_runner_init(ngx_conf_t *cf)
{
    ngx_uint_t                      i, k;
    ngx_sp_job_kind_t              *kind;
    ngx_http_sp_mint_t            **mint;
    ngx_http_sp_mint_main_conf_t   *mmcf;

    static ngx_str_t  channel = ngx_string("mint_lane");

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_mint_module);
    mint = mmcf->mints.elts;

    for (i = 0; i < mmcf->mints.nelts; i++) {

        /* once per server */

        for (k = 0; k < i; k++) {
            if (mint[k]->pg == mint[i]->pg) {
                break;
            }
        }

        if (k != i) {
            continue;
        }

        kind = ngx_pcalloc(cf->pool, sizeof(ngx_sp_job_kind_t));
        if (kind == NULL) {
            return NGX_ERROR;
        }

        /*
         * set by ngx_pcalloc():
         *
         *     kind->max_attempts = 0;    a lane is never given up
         */

        kind->abi = NGX_HTTP_SP_ABI;
        ngx_str_set(&kind->name, "mint");
        kind->max_running = mmcf->mints.nelts;
        kind->lease = 5;
        kind->run = ngx_http_sp_mint_run;
        kind->cancel = ngx_http_sp_mint_cancel;
        kind->data = mmcf;

        if (ngx_http_sp_add_job_kind(cf, mint[i]->pg, kind) != NGX_OK
            || ngx_sp_pg_listen(cf, mint[i]->pg, &channel,
                                ngx_http_sp_mint_notified, mmcf) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_mint_runner_init_process(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_http_sp_mint_runners);

    return NGX_OK;
}


void
ngx_http_sp_mint_set_state(ngx_http_sp_mint_run_t *run,
    ngx_http_sp_mint_state_e state)
{
    ngx_log_debug5(NGX_LOG_DEBUG_HTTP, run->job->log, 0,
                   "mint: lane \"%V\" mint \"%V\" \"%V\": %s -> %s",
                   &run->job->lane, &run->item.id, &run->item.state,
                   ngx_http_sp_mint_state_name(run->state),
                   ngx_http_sp_mint_state_name(state));

    run->state = state;

    ngx_http_sp_mint_steps[state].enter(run);
}


const char *
ngx_http_sp_mint_state_name(ngx_http_sp_mint_state_e state)
{
    return ngx_http_sp_mint_steps[state].name;
}


void
ngx_http_sp_mint_leave(ngx_http_sp_mint_run_t *run, ngx_msec_t delay,
    const char *reason)
{
    ngx_sp_job_t       *job;

    job = run->job;

    ngx_http_sp_mint_release(run);

    if (reason == NULL) {
        ngx_sp_job_finish(job);

    } else {
        ngx_sp_job_retry(job, delay, reason);
    }
}


void
ngx_http_sp_mint_no_answer(ngx_http_sp_mint_run_t *run)
{
    ngx_sp_rpc_t  *rpc;

    rpc = &run->mint->chain->rpc;

    if (run->call.fault == NGX_SP_RPC_CHAIN) {
        ngx_http_sp_mint_leave(run, NGX_HTTP_SP_MINT_LONG,
                               "an endpoint is of another chain");
        return;
    }

    if (run->rpc != NGX_HTTP_SP_MINT_RPC_UNKNOWN) {
        ngx_sp_rpc_distrust(rpc, &run->call);

        if (++run->failures < rpc->endpoints.nelts) {
            ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_NEXT);
            return;
        }
    }

    /* each endpoint was asked */

    ngx_http_sp_mint_leave(run, 2000, "no endpoint of the chain answers");
}


void
ngx_http_sp_mint_defer(ngx_http_sp_mint_run_t *run, ngx_uint_t looks,
    ngx_msec_t delay)
{
    ngx_http_sp_mint_move(run, (char *) run->item.state.data,
                          ngx_http_sp_mint_text(run, NGX_INT_T_LEN + 16,
                                                "{\"looks\":%ui}", looks),
                          delay);
}


void
ngx_http_sp_mint_move(ngx_http_sp_mint_run_t *run, const char *to,
    ngx_str_t facts, ngx_msec_t delay)
{
    run->to = to;
    run->facts = facts;
    run->delay = delay;

    ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_MOVE);
}


void
ngx_http_sp_mint_move_reason(ngx_http_sp_mint_run_t *run, const char *to,
    const ngx_str_t *reason)
{
    char       text[1024];
    ngx_str_t  escaped;

    escaped.data = (u_char *) text;
    escaped.len = sp_json_escape(text, sizeof(text), (char *) reason->data,
                                 reason->len);

    if (escaped.len > sizeof(text)) {
        escaped.len = 0;
    }

    ngx_log_error(NGX_LOG_WARN, run->job->log, 0,
                  "mint: \"%V\" goes from %V to %s: \"%V\"", &run->item.id,
                  &run->item.state, to, reason);

    ngx_http_sp_mint_move(run, to,
                          ngx_http_sp_mint_text(run, escaped.len + 16,
                                                "{\"reason\":\"%V\"}",
                                                &escaped),
                          0);
}


static void
ngx_http_sp_mint_run(ngx_sp_job_t *job)
{
    ngx_uint_t                      i;
    ngx_http_sp_mint_t            **mint;
    ngx_http_sp_mint_run_t         *run;
    ngx_http_sp_mint_main_conf_t   *mmcf;

    mmcf = job->kind->data;
    mint = mmcf->mints.elts;

    for (i = 0; i < mmcf->mints.nelts; i++) {
        if (mint[i]->lane.len == job->lane.len
            && ngx_strncmp(mint[i]->lane.data, job->lane.data,
                           job->lane.len) == 0)
        {
            break;
        }
    }

    if (i == mmcf->mints.nelts) {

        /* another gateway's, or of a configuration that is gone */

        ngx_sp_job_retry(job, 10000, "no mint here has this lane");
        return;
    }

    run = ngx_pcalloc(job->pool, sizeof(ngx_http_sp_mint_run_t));
    if (run == NULL) {
        ngx_sp_job_retry(job, 1000, "out of memory");
        return;
    }

    run->item.pool = ngx_create_pool(1024, job->log);
    if (run->item.pool == NULL) {
        ngx_sp_job_retry(job, 1000, "out of memory");
        return;
    }

    run->job = job;
    run->mmcf = mmcf;
    run->mint = mint[i];
    job->ctx = run;

    ngx_queue_insert_tail(&ngx_http_sp_mint_runners, &run->queue);

    ngx_http_sp_mint_start(run);
}


static void
ngx_http_sp_mint_cancel(ngx_sp_job_t *job)
{
    if (job->ctx != NULL) {
        ngx_http_sp_mint_release(job->ctx);
    }
}


/* what the runner holds beside the job's pool */

static void
ngx_http_sp_mint_release(ngx_http_sp_mint_run_t *run)
{
    ngx_sp_op_cancel(&run->pg.op);
    ngx_sp_op_cancel(&run->call.op);

    ngx_queue_remove(&run->queue);

    if (run->item.pool != NULL) {
        ngx_destroy_pool(run->item.pool);
    }

    run->item.pool = NULL;
    run->job->ctx = NULL;
}


static void
ngx_http_sp_mint_start(ngx_http_sp_mint_run_t *run)
{
    ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_NEXT);
}


static void
ngx_http_sp_mint_wait(ngx_http_sp_mint_run_t *run)
{
    run->delay = ngx_min(run->delay, NGX_HTTP_SP_MINT_WAIT_MAX);

    ngx_sp_job_sleep(run->job, run->delay, ngx_http_sp_mint_awake);
}


static void
ngx_http_sp_mint_awake(ngx_sp_job_t *job)
{
    ngx_http_sp_mint_set_state(job->ctx, NGX_HTTP_SP_MINT_NEXT);
}


/* lane NULL: notifications may have been missed */

static void
ngx_http_sp_mint_notified(void *data, const ngx_str_t *lane)
{
    ngx_queue_t             *q;
    ngx_http_sp_mint_run_t  *run;

    for (q = ngx_queue_head(&ngx_http_sp_mint_runners);
         q != ngx_queue_sentinel(&ngx_http_sp_mint_runners);
         q = ngx_queue_next(q))
    {
        run = ngx_queue_data(q, ngx_http_sp_mint_run_t, queue);

        if (run->state != NGX_HTTP_SP_MINT_WAIT) {
            continue;
        }

        if (lane == NULL
            || (lane->len == run->job->lane.len
                && ngx_strncmp(lane->data, run->job->lane.data, lane->len)
                   == 0))
        {
            ngx_sp_job_sleep(run->job, 1, ngx_http_sp_mint_awake);
        }
    }
}
