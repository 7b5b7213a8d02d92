
/*
 * Copyright (C) Sallyport authors
 *
 * What has been decided about a request, whatever passes and subrequests it
 * has.
 *
 * A refusal belongs to the request and not to a pass: the first one stays, no
 * content handler of ours runs after it, and it is answered in its place.
 * One of a subrequest is that subrequest's, unless the main request waits for
 * it in the access phase ("auth_request"): then it is the main request's too.
 */


#include "ngx_http_sp_core_int.h"


static void ngx_http_sp_bar(ngx_http_request_t *r,
    ngx_http_sp_refusal_t *refusal);
static void ngx_http_sp_decision_close(ngx_http_sp_core_ctx_t *ctx,
    ngx_uint_t step, ngx_http_sp_refusal_t *refusal);
static void ngx_http_sp_error_again(ngx_http_sp_core_ctx_t *ctx,
    const ngx_http_sp_error_ctx_t *error);


/* NULL: nobody has refused the request, nor one that it is a part of */

ngx_http_sp_refusal_t *
ngx_http_sp_refusal(ngx_http_request_t *r)
{
    ngx_http_sp_core_ctx_t  *ctx;

    for ( ;; ) {
        ctx = ngx_http_sp_core_find_ctx(r);

        if (ctx != NULL && ctx->refusal != NULL) {
            return ctx->refusal;
        }

        if (r == r->main) {
            return NULL;
        }

        r = r->parent;
    }
}


/*
 * Returns the status to answer.  A second refusal, on the way to a page of
 * the operator, does not replace the first.
 */

ngx_int_t
ngx_http_sp_refuse_first(ngx_http_request_t *r, ngx_int_t status,
    ngx_uint_t step)
{
    ngx_http_sp_core_ctx_t  *ctx;
    ngx_http_sp_refusal_t   *refusal;

    refusal = ngx_http_sp_refusal(r);

    if (refusal != NULL) {
        return ngx_http_sp_refuse_again(r, refusal);
    }

    ctx = ngx_http_sp_core_ctx(r);
    refusal = ngx_palloc(r->pool, sizeof(ngx_http_sp_refusal_t));

    if (ctx == NULL || refusal == NULL) {
        return NGX_ERROR;
    }

    refusal->status = status;
    refusal->step = step;
    refusal->request = r;
    refusal->error = ctx->error;

    if (ctx->error.status != (ngx_uint_t) status) {

        /* the step has named no error */

        refusal->error.code = NULL;
    }

    ctx->refusal = refusal;

    ngx_http_sp_bar(r, refusal);

    return status;
}


/* the same status, text and headers */

ngx_int_t
ngx_http_sp_refuse_again(ngx_http_request_t *r,
    ngx_http_sp_refusal_t *refusal)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_http_sp_error_again(ctx, &refusal->error);

    if (refusal->request != r
        && ngx_http_sp_copy_headers(r, refusal->request) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r->uri_changes < 3) {

        /* an error_page leads back here again and again: no more of them */

        r->error_page = 1;
    }

    return refusal->status;
}


static void
ngx_http_sp_error_again(ngx_http_sp_core_ctx_t *ctx,
    const ngx_http_sp_error_ctx_t *error)
{
    ctx->error.status = error->status;
    ctx->error.code = error->code;
    ctx->error.hint = error->hint;
    ctx->error.param = error->param;
    ctx->error.message = error->message;
    ctx->error.details = error->details;
}


/* what a reader of the main request's body has said, for a part of it */

void
ngx_http_sp_error_share(ngx_http_request_t *r)
{
    ngx_http_sp_core_ctx_t  *ctx, *from;

    ctx = ngx_http_sp_core_ctx(r);
    from = ngx_http_sp_core_find_ctx(r->main);

    if (ctx != NULL && from != NULL && ctx != from) {
        ngx_http_sp_error_again(ctx, &from->error);
    }
}


/*
 * The main request waits for this subrequest before it goes on: it is what
 * "auth_request" has started.  One that is mirrored or included in a page
 * decides nothing but its own answer.
 */

ngx_uint_t
ngx_http_sp_decides(ngx_http_request_t *r)
{
    ngx_http_request_t         *pr;
    ngx_http_core_main_conf_t  *cmcf;

    pr = r->parent;

    if (r == r->main || r->background || pr != r->main) {
        return 0;
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    return cmcf->phase_engine.handlers[pr->phase_handler].checker
           == ngx_http_core_access_phase;
}


/*
 * "auth_request" knows 401 and 403 and makes 500 of everything else: the main
 * request goes back to our own access handler, which answers the refusal.
 */

static void
ngx_http_sp_bar(ngx_http_request_t *r, ngx_http_sp_refusal_t *refusal)
{
    ngx_int_t                   i;
    ngx_http_sp_core_ctx_t     *ctx;
    ngx_http_phase_handler_t   *ph;
    ngx_http_core_main_conf_t  *cmcf;

    if (!ngx_http_sp_decides(r)) {
        return;
    }

    ctx = ngx_http_sp_core_ctx(r->main);

    if (ctx == NULL || ctx->refusal != NULL) {
        return;
    }

    ctx->refusal = refusal;
    ctx->barred = 1;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    ph = cmcf->phase_engine.handlers;

    for (i = r->main->phase_handler;
         i >= 0 && ph[i].checker == ngx_http_core_access_phase;
         i--)
    {
        if (ph[i].handler == ngx_http_sp_access_handler) {
            r->main->phase_handler = i;
            return;
        }
    }
}


/*
 * Kept by the main request.  Of two parts that come to the same question side
 * by side the second waits for the answer that the first gets.
 */

ngx_int_t
ngx_http_sp_once(ngx_http_request_t *r, const ngx_module_t *module,
    uint64_t key)
{
    ngx_http_sp_core_ctx_t  *ctx, *main;
    ngx_http_sp_decision_t  *d;

    ctx = ngx_http_sp_core_ctx(r);
    main = ngx_http_sp_core_ctx(r->main);

    if (ctx == NULL || main == NULL) {
        return NGX_ERROR;
    }

    for (d = main->decisions; d != NULL; d = d->next) {

        if (d->module != module || d->key != key) {
            continue;
        }

        if (!d->closed) {
            return (d->owner == ctx) ? NGX_OK : NGX_AGAIN;
        }

        if (d->refusal == NULL || ngx_http_sp_refusal(r) == d->refusal) {
            return NGX_OK;
        }

        return ngx_http_sp_refuse_again(r, d->refusal);
    }

    d = ngx_palloc(r->pool, sizeof(ngx_http_sp_decision_t));
    if (d == NULL) {
        return NGX_ERROR;
    }

    d->module = module;
    d->key = key;
    d->owner = ctx;
    d->step = NGX_HTTP_SP_MAX_STEPS;
    d->refusal = NULL;
    d->closed = 0;
    d->next = main->decisions;

    main->decisions = d;
    ctx->opened = d;

    return NGX_DECLINED;
}


/* a step has returned: what it has opened is its own, passed is decided */

void
ngx_http_sp_decision_note(ngx_http_request_t *r, ngx_uint_t step,
    ngx_int_t rc)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r);

    if (ctx == NULL) {
        return;
    }

    if (ctx->opened != NULL) {
        ctx->opened->step = step;
        ctx->opened = NULL;
    }

    if (rc == NGX_OK) {
        ngx_http_sp_decision_close(ctx, step, NULL);
    }
}


/* the refusal of the step is recorded by now */

void
ngx_http_sp_decision_refuse(ngx_http_request_t *r, ngx_uint_t step)
{
    ngx_http_sp_core_ctx_t  *ctx, *main;
    ngx_http_sp_decision_t  *d;

    ctx = ngx_http_sp_core_find_ctx(r);

    ngx_http_sp_decision_close(ctx, step, ngx_http_sp_refusal(r));

    if (r == r->main) {
        return;
    }

    /* a part that ends: what its other steps wait for is asked elsewhere */

    main = ngx_http_sp_core_find_ctx(r->main);

    for (d = main->decisions; d != NULL; d = d->next) {
        if (d->owner == ctx && !d->closed) {
            d->closed = 1;
            d->module = NULL;
        }
    }

    ngx_http_sp_wake_parts(main, ctx);
}


static void
ngx_http_sp_decision_close(ngx_http_sp_core_ctx_t *ctx, ngx_uint_t step,
    ngx_http_sp_refusal_t *refusal)
{
    ngx_uint_t               closed;
    ngx_http_sp_core_ctx_t  *main;
    ngx_http_sp_decision_t  *d;

    main = ngx_http_sp_core_find_ctx(ctx->request->main);
    closed = 0;

    for (d = main->decisions; d != NULL; d = d->next) {
        if (d->owner == ctx && d->step == step && !d->closed) {
            d->closed = 1;
            d->refusal = refusal;
            closed = 1;
        }
    }

    if (closed) {
        ngx_http_sp_wake_parts(main, ctx);
    }
}
