
/*
 * Copyright (C) Sallyport authors
 *
 * Part of ngx_http_sp_core.h: the way of a request through the pipeline.
 */

#ifndef _NGX_HTTP_SP_CORE_STEP_H_INCLUDED_
#define _NGX_HTTP_SP_CORE_STEP_H_INCLUDED_


/* Steps */

/*
 * Called again after each wake, until it returns something else than
 * NGX_AGAIN; it keeps its state in ngx_http_sp_ctx().
 *
 *   NGX_DECLINED   off here
 *   NGX_OK         passed
 *   NGX_AGAIN      an attached op is in flight, or the body was asked for
 *   NGX_DONE       content handlers only: the request is taken, the handler
 *                  has arranged for its finalization
 *   NGX_ERROR, or an HTTP status: stop; the core answers with the envelope
 *
 * Steps of one stage do not wait for each other: while one is suspended the
 * others of its stage run, so that their ops overlap in time.  The next stage
 * begins when all of them have passed.  Stages with a lower number are
 * finished first, ranks order the start within a stage.
 *
 * Not called for subrequests.  Called again on internal redirects: a step
 * that charges keeps in its ctx that it has.
 */
typedef ngx_int_t (*ngx_http_sp_run_pt)(ngx_http_request_t *r);


typedef enum {
    NGX_HTTP_SP_CORS = 0,
    NGX_HTTP_SP_IDENTIFY,
    NGX_HTTP_SP_ADMIT,
    NGX_HTTP_SP_INSPECT,
    NGX_HTTP_SP_ENRICH
} ngx_http_sp_stage_e;


typedef struct {
    ngx_uint_t                abi;    /* NGX_HTTP_SP_ABI */
    ngx_str_t                 name;
    ngx_http_sp_stage_e       stage;
    ngx_int_t                 rank;   /* built in: 100, 200, ... */
    ngx_http_sp_run_pt        run;
} ngx_http_sp_step_t;


/* in the plugin's preconfiguration; the struct is static memory */
ngx_int_t ngx_http_sp_add_step(ngx_conf_t *cf,
    const ngx_http_sp_step_t *step);

/*
 * In a directive's setter: makes "run" the content handler of this location,
 * under the step contract; its final status is passed to
 * ngx_http_finalize_request() by the core.  A second content handler in one
 * location is refused with file and line.
 */
char *ngx_http_sp_set_content(ngx_conf_t *cf, ngx_http_sp_run_pt run);


/* Request context */

/*
 * The plugin's zeroed per-request struct, made on first call, NULL when out
 * of memory.  Survives internal redirects and error_page.  find() does not
 * create.
 */
void *ngx_http_sp_ctx(ngx_http_request_t *r, ngx_module_t *module,
    size_t size);
void *ngx_http_sp_find_ctx(ngx_http_request_t *r, ngx_module_t *module);

/*
 * Ties the op to the request, before its submit: it is cancelled when the
 * request ends, and the request is woken when the op is done.  Waking is
 * posted, coalesced, and harmless when nothing is suspended.
 */
ngx_int_t ngx_http_sp_op_attach(ngx_http_request_t *r, ngx_sp_op_t *op);

/* for what is not an op, a timer of the plugin's own for instance */
void ngx_http_sp_wake(ngx_http_request_t *r);


#endif /* _NGX_HTTP_SP_CORE_STEP_H_INCLUDED_ */
