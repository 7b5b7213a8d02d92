
/*
 * Copyright (C) Sallyport authors
 *
 * Walks the steps of a request, and is the only file that suspends and wakes.
 *
 *                 a step returns NGX_AGAIN
 *     running  ------------------------------>  suspended (ctx->resume set)
 *        ^                                           |
 *        |   posted event: an op is done, the body   |
 *        +---- has come, ngx_http_sp_wake() ---------+
 *
 * While suspended nothing holds the request: a client that leaves, or a
 * deadline of NGINX's own, ends it.  The request cleanup then cancels the ops
 * and the posted event, and nothing is called any more.
 */


#include "ngx_http_sp_core_int.h"


static int ngx_libc_cdecl ngx_http_sp_step_cmp(const void *one,
    const void *two);
static ngx_int_t ngx_http_sp_preaccess_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_sp_enter(ngx_http_request_t *r,
    ngx_http_sp_core_ctx_t *ctx, ngx_http_sp_walk_t *walk);
static ngx_int_t ngx_http_sp_walk(ngx_http_request_t *r,
    ngx_http_sp_walk_t *walk);
static ngx_int_t ngx_http_sp_stage(ngx_http_request_t *r,
    const ngx_http_sp_step_t **step, ngx_uint_t last,
    ngx_http_sp_walk_t *walk);
static ngx_int_t ngx_http_sp_step_result(ngx_http_request_t *r,
    const ngx_http_sp_step_t *step, ngx_int_t rc);
static ngx_int_t ngx_http_sp_refuse(ngx_http_request_t *r, ngx_int_t rc,
    ngx_uint_t step);
static ngx_int_t ngx_http_sp_suspend(ngx_http_request_t *r,
    void (*resume)(ngx_http_request_t *r));
static void ngx_http_sp_resume_access(ngx_http_request_t *r);
static void ngx_http_sp_resume_content(ngx_http_request_t *r);
static ngx_int_t ngx_http_sp_run_content(ngx_http_request_t *r);
static void ngx_http_sp_op_wake(ngx_sp_op_t *op);
static void ngx_http_sp_wake_ctx(ngx_http_sp_core_ctx_t *ctx);
static void ngx_http_sp_wake_handler(ngx_event_t *ev);


ngx_int_t
ngx_http_sp_check_abi(ngx_conf_t *cf, const char *what,
    const ngx_str_t *name, ngx_uint_t abi)
{
    if (abi == NGX_HTTP_SP_ABI) {
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "%s \"%V\" was built for ABI %ui of "
                       "ngx_http_sp_core_module, this one has ABI %ui: "
                       "build the plugin and the core from one source",
                       what, name, abi, (ngx_uint_t) NGX_HTTP_SP_ABI);

    return NGX_ERROR;
}


ngx_int_t
ngx_http_sp_add_step(ngx_conf_t *cf, const ngx_http_sp_step_t *step)
{
    const ngx_http_sp_step_t      **elt;
    ngx_http_sp_core_main_conf_t   *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    if (ngx_http_sp_check_abi(cf, "step", &step->name, step->abi) != NGX_OK) {
        return NGX_ERROR;
    }

    if (mcf->steps.nelts == NGX_HTTP_SP_MAX_STEPS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "more than %d steps, the last is \"%V\"",
                           NGX_HTTP_SP_MAX_STEPS, &step->name);
        return NGX_ERROR;
    }

    elt = ngx_array_push(&mcf->steps);
    if (elt == NULL) {
        return NGX_ERROR;
    }

    *elt = step;

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_order(ngx_int_t rank1, const ngx_str_t *name1, ngx_int_t rank2,
    const ngx_str_t *name2)
{
    if (rank1 != rank2) {
        return (rank1 < rank2) ? -1 : 1;
    }

    return ngx_memn2cmp(name1->data, name2->data, name1->len, name2->len);
}


static int ngx_libc_cdecl
ngx_http_sp_step_cmp(const void *one, const void *two)
{
    const ngx_http_sp_step_t *a = *(const ngx_http_sp_step_t * const *) one;
    const ngx_http_sp_step_t *b = *(const ngx_http_sp_step_t * const *) two;

    if (a->stage != b->stage) {
        return (a->stage < b->stage) ? -1 : 1;
    }

    return (int) ngx_http_sp_order(a->rank, &a->name, b->rank, &b->name);
}


ngx_int_t
ngx_http_sp_pipeline_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt           *h;
    ngx_http_core_main_conf_t     *cmcf;
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);
    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    ngx_qsort(mcf->steps.elts, mcf->steps.nelts,
              sizeof(ngx_http_sp_step_t *), ngx_http_sp_step_cmp);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_sp_access_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_sp_preaccess_handler;

    return NGX_OK;
}


/* NGINX skips the access phase of subrequests */

static ngx_int_t
ngx_http_sp_preaccess_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    if (r == r->main) {
        return NGX_DECLINED;
    }

    rc = ngx_http_sp_access_handler(r);

    /* NGX_OK would skip the other handlers of this phase */

    return (rc == NGX_OK) ? NGX_DECLINED : rc;
}


/*
 * Entered at the begin of every pass (an internal redirect begins a new one)
 * and, "resuming", after each wake.  The context is made when it is needed:
 * requests that no step cares for do not pay for it.
 */

ngx_int_t
ngx_http_sp_access_handler(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_http_sp_walk_t            walk;
    ngx_http_sp_core_ctx_t       *ctx;
    ngx_http_sp_core_loc_conf_t  *lcf;

    ctx = ngx_http_sp_core_find_ctx(r);

    ngx_memzero(&walk, sizeof(ngx_http_sp_walk_t));

    rc = ngx_http_sp_enter(r, ctx, &walk);

    if (rc == NGX_OK) {
        rc = ngx_http_sp_walk(r, &walk);
    }

    if (rc == NGX_OK) {
        ngx_http_sp_identity_hand_up(r);

        /*
         * only an identity that this location asked for may grant access
         * under "satisfy any"
         */

        lcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_core_module);

        return (lcf->identity && ngx_http_sp_identity(r) != NULL)
               ? NGX_OK : NGX_DECLINED;
    }

    if (rc != NGX_AGAIN) {
        return ngx_http_sp_refuse(r, rc, walk.step);
    }

    ctx = ngx_http_sp_core_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->walk = walk;

    if (ngx_http_sp_suspend(r, ngx_http_sp_resume_access) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_AGAIN;
}


/* NGX_OK: the steps are walked, from where "walk" says; or a refusal */

static ngx_int_t
ngx_http_sp_enter(ngx_http_request_t *r, ngx_http_sp_core_ctx_t *ctx,
    ngx_http_sp_walk_t *walk)
{
    ngx_http_sp_refusal_t  *refusal;

    if (ctx != NULL && ctx->resuming) {
        *walk = ctx->walk;

        ctx->resuming = 0;
        ctx->resume = NULL;

        return NGX_OK;
    }

    walk->step = NGX_HTTP_SP_MAX_STEPS;

    if (ctx != NULL) {
        ctx->resume = NULL;

        if (ctx->barred) {

            /* by the subrequest that this request has waited for */

            ctx->barred = 0;
            return ctx->refusal->status;
        }

        ctx->pass++;

        if (ngx_http_sp_body_failed(r, ctx) != NGX_OK
            && ngx_http_sp_refuse_first(r, ctx->body.error, walk->step)
               == NGX_ERROR)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (ctx != NULL || r != r->main) {
        refusal = ngx_http_sp_refusal(r);

        if (refusal != NULL) {

            if (r->content_handler == ngx_http_sp_content_handler) {
                return refusal->status;
            }

            if (refusal->step < NGX_HTTP_SP_MAX_STEPS
                && refusal->status != NGX_HTTP_UNAUTHORIZED
                && refusal->status != NGX_HTTP_FORBIDDEN)
            {
                walk->passed = (uint64_t) 1 << refusal->step;
            }
        }

        return ngx_http_sp_identity_begin(r);
    }

    return NGX_OK;
}


/* NGX_OK: all have passed; NGX_AGAIN: a stage is open; else a refusal */

static ngx_int_t
ngx_http_sp_walk(ngx_http_request_t *r, ngx_http_sp_walk_t *walk)
{
    ngx_int_t                       rc;
    ngx_uint_t                      last, n;
    ngx_http_sp_core_ctx_t         *ctx;
    const ngx_http_sp_step_t      **step;
    ngx_http_sp_core_main_conf_t   *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_sp_core_module);

    step = mcf->steps.elts;
    n = mcf->steps.nelts;

    while (walk->first < n) {

        last = walk->first;

        while (last < n && step[last]->stage == step[walk->first]->stage) {
            last++;
        }

        rc = ngx_http_sp_stage(r, step, last, walk);

        if (rc != NGX_OK) {
            return rc;
        }

        if (step[walk->first]->stage == NGX_HTTP_SP_IDENTIFY) {
            ctx = ngx_http_sp_core_find_ctx(r);

            if (ctx != NULL) {
                ngx_http_sp_identity_end(ctx);
            }
        }

        walk->first = last;
    }

    return NGX_OK;
}


/* every step of the stage that has not passed yet is called once */

static ngx_int_t
ngx_http_sp_stage(ngx_http_request_t *r, const ngx_http_sp_step_t **step,
    ngx_uint_t last, ngx_http_sp_walk_t *walk)
{
    ngx_int_t   rc;
    ngx_uint_t  i, pending;

    pending = 0;

    for (i = walk->first; i < last; i++) {

        if (walk->passed & ((uint64_t) 1 << i)) {
            continue;
        }

        walk->step = i;

        rc = step[i]->run(r);

        if (rc == NGX_DECLINED) {
            walk->passed |= (uint64_t) 1 << i;
            continue;
        }

        rc = ngx_http_sp_step_result(r, step[i], rc);

        ngx_http_sp_decision_note(r, i, rc);

        if (rc > NGX_OK) {
            return rc;
        }

        if (rc == NGX_AGAIN) {
            pending = 1;
            continue;
        }

        walk->passed |= (uint64_t) 1 << i;
    }

    return pending ? NGX_AGAIN : NGX_OK;
}


static ngx_int_t
ngx_http_sp_step_result(ngx_http_request_t *r,
    const ngx_http_sp_step_t *step, ngx_int_t rc)
{
    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "step \"%V\": %i", &step->name, rc);

    if (rc == NGX_OK || rc == NGX_AGAIN || rc >= NGX_HTTP_OK) {
        return rc;
    }

    if (rc != NGX_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "step \"%V\" returned %i", &step->name, rc);
    }

    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/*
 * A refusal is final, also under "satisfy any": NGINX would go on past 401
 * and 403 to its other access modules, and the stages after ours would never
 * be walked.  What is not a refusal is an answer: 204 to OPTIONS.
 */

static ngx_int_t
ngx_http_sp_refuse(ngx_http_request_t *r, ngx_int_t rc, ngx_uint_t step)
{
    ngx_http_sp_core_ctx_t    *ctx;
    ngx_http_core_loc_conf_t  *clcf;

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        rc = ngx_http_sp_refuse_first(r, rc, step);
    }

    ctx = ngx_http_sp_core_find_ctx(r);

    if (ctx != NULL) {

        ngx_http_sp_decision_refuse(r, step);
        ngx_http_sp_body_refuse(r, ctx);
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->satisfy == NGX_HTTP_SATISFY_ALL
        && rc >= NGX_HTTP_SPECIAL_RESPONSE)
    {
        return rc;
    }

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_sp_suspend(ngx_http_request_t *r,
    void (*resume)(ngx_http_request_t *r))
{
    ngx_event_t             *rev;
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r);

    ctx->resume = resume;
    r->write_event_handler = resume;

    if (ngx_http_sp_body_reading(r)) {

        /* the reader owns the read event and sees a client that leaves */

        return NGX_OK;
    }

    r->read_event_handler = ngx_http_test_reading;

#if (NGX_HTTP_V2)

    if (r->stream != NULL) {
        return NGX_OK;
    }

#endif

    rev = r->connection->read;

    if (rev->ready || rev->pending_eof) {

        /* what was read before has eaten the edge */

        ngx_post_event(rev, &ngx_posted_events);
        return NGX_OK;
    }

    return ngx_handle_read_event(rev, 0);
}


static void
ngx_http_sp_resume_access(ngx_http_request_t *r)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r);

    if (ctx->resume == NULL) {
        return;
    }

    ctx->resume = NULL;
    ctx->resuming = 1;

    /* a later handler of the phase may wait for a subrequest */

    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
}


static void
ngx_http_sp_resume_content(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r);

    if (ctx->resume == NULL) {
        return;
    }

    rc = ngx_http_sp_run_content(r);

    if (rc != NGX_AGAIN) {

        /* pays back the count of ngx_http_sp_content_handler() */

        ngx_http_finalize_request(r, rc);
        return;
    }

    if (ngx_http_sp_suspend(r, ngx_http_sp_resume_content) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


ngx_int_t
ngx_http_sp_content_handler(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_http_sp_refusal_t  *refusal;

    refusal = ngx_http_sp_refusal(r);

    if (refusal != NULL) {
        return ngx_http_sp_refuse_again(r, refusal);
    }

    rc = ngx_http_sp_run_content(r);

    if (rc != NGX_AGAIN) {
        return rc;
    }

    if (ngx_http_sp_suspend(r, ngx_http_sp_resume_content) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* paid back by the finalization in ngx_http_sp_resume_content() */

    r->main->count++;

    return NGX_DONE;
}


static ngx_int_t
ngx_http_sp_run_content(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_http_sp_core_ctx_t       *ctx;
    ngx_http_sp_core_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_core_module);

    ctx = ngx_http_sp_core_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->resume = NULL;

    rc = lcf->content(r);

    if (rc != NGX_AGAIN && rc != NGX_DONE) {
        ngx_http_sp_body_abandon(r, ctx);
    }

    if (rc == NGX_ERROR && !r->header_sent) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return rc;
}


ngx_int_t
ngx_http_sp_op_attach(ngx_http_request_t *r, ngx_sp_op_t *op)
{
    ngx_http_sp_attached_t  *a;
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_ctx(r);

    if (ctx == NULL || ctx->released) {
        return NGX_ERROR;
    }

    op->wake = ngx_http_sp_op_wake;
    op->waker = ctx;

    for (a = ctx->attached; a != NULL; a = a->next) {
        if (a->op == op) {
            return NGX_OK;
        }
    }

    a = ngx_palloc(r->pool, sizeof(ngx_http_sp_attached_t));
    if (a == NULL) {
        return NGX_ERROR;
    }

    a->op = op;
    a->next = ctx->attached;
    ctx->attached = a;

    return NGX_OK;
}


void
ngx_http_sp_wake(ngx_http_request_t *r)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r);

    if (ctx != NULL) {
        ngx_http_sp_wake_ctx(ctx);
    }
}


static void
ngx_http_sp_op_wake(ngx_sp_op_t *op)
{
    ngx_http_sp_wake_ctx(op->waker);
}


/*
 * Posted, because the caller is inside of a library or of another request;
 * once, however many ops are done meanwhile.
 */

static void
ngx_http_sp_wake_ctx(ngx_http_sp_core_ctx_t *ctx)
{
    if (ctx->released) {
        return;
    }

    ctx->wake.handler = ngx_http_sp_wake_handler;
    ctx->wake.data = ctx;
    ctx->wake.log = ctx->request->connection->log;

    ngx_post_event(&ctx->wake, &ngx_posted_events);
}


void
ngx_http_sp_wake_parts(ngx_http_sp_core_ctx_t *main,
    const ngx_http_sp_core_ctx_t *except)
{
    ngx_http_sp_core_ctx_t  *ctx;

    if (main != except) {
        ngx_http_sp_wake_ctx(main);
    }

    for (ctx = main->parts; ctx != NULL; ctx = ctx->parts) {
        if (ctx != except) {
            ngx_http_sp_wake_ctx(ctx);
        }
    }
}


static void
ngx_http_sp_wake_handler(ngx_event_t *ev)
{
    ngx_connection_t        *c;
    ngx_http_request_t      *r;
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ev->data;
    r = ctx->request;
    c = r->connection;

    if (ctx->resume == NULL) {
        return;
    }

    ngx_http_set_log_request(c->log, r);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "wake: \"%V?%V\"", &r->uri, &r->args);

    ctx->resume(r);

    /* r may be gone, c is memory of the worker */

    ngx_http_run_posted_requests(c);
}


ngx_uint_t
ngx_http_sp_pass(ngx_http_request_t *r)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r);

    return (ctx != NULL) ? ctx->pass : 0;
}


void
ngx_http_sp_pipeline_release(ngx_http_sp_core_ctx_t *ctx)
{
    ngx_http_sp_attached_t  *a;

    ctx->released = 1;
    ctx->resume = NULL;

    if (ctx->wake.posted) {
        ngx_delete_posted_event(&ctx->wake);
    }

    for (a = ctx->attached; a != NULL; a = a->next) {
        ngx_sp_op_cancel(a->op);
    }

    ctx->attached = NULL;
}
