
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
 * Called again in each pass of a request: an internal redirect, error_page or
 * a named location begins one.  Called for subrequests too, with a context of
 * their own.  What must happen once per request, as a charge, is asked for by
 * ngx_http_sp_once().
 *
 * A refusal (a status of 300 and above, or NGX_ERROR) is kept by the core: it
 * stays through every later pass, no content handler of ours runs after it,
 * and it is answered again where one would have.  A step that has refused is
 * not called again on the way to a page of the operator, unless it refused
 * with 401 or 403: who may read the page is judged there.
 */
typedef ngx_int_t (*ngx_http_sp_run_pt)(ngx_http_request_t *r);


typedef enum {
    NGX_HTTP_SP_CORS = 0,
    NGX_HTTP_SP_IDENTIFY,
    NGX_HTTP_SP_ADMIT,
    NGX_HTTP_SP_INSPECT,
    NGX_HTTP_SP_RESERVE,   /* what it will cost is known: the body is */
    NGX_HTTP_SP_ENRICH
} ngx_http_sp_stage_e;


typedef struct {
    ngx_uint_t                abi;    /* NGX_HTTP_SP_ABI */
    ngx_str_t                 name;
    ngx_http_sp_stage_e       stage;
    ngx_int_t                 rank;   /* built in: 100, 200, ... */
    ngx_http_sp_run_pt        run;
} ngx_http_sp_step_t;


/* in the preconfiguration, or in a setter; the struct is static memory */
ngx_int_t ngx_http_sp_add_step(ngx_conf_t *cf,
    const ngx_http_sp_step_t *step);

/*
 * Whether the running step has decided this before, in another pass or part
 * of the request.  "key" names what is decided: policy and subject of a
 * charge, for instance; it is the module's own.
 *
 *   NGX_DECLINED   it has not: go on; what the step returns, now or after
 *                  NGX_AGAIN, is the decision
 *   NGX_OK         it has: return NGX_OK (a refusal is known to the core)
 *   NGX_AGAIN      another part of the request is at it: return NGX_AGAIN
 *   NGX_ERROR, or the status of a refusal in another part: return it
 */
ngx_int_t ngx_http_sp_once(ngx_http_request_t *r, const ngx_module_t *module,
    uint64_t key);

/*
 * The pass of the request: 0, 1, ...  A step that finds another one than it
 * has kept is called for another location.
 */
ngx_uint_t ngx_http_sp_pass(ngx_http_request_t *r);

/*
 * In a directive's setter: makes "run" the content handler of this location,
 * under the step contract; its final status is passed to
 * ngx_http_finalize_request() by the core.  A second content handler in one
 * location, ours or NGINX's, is refused with file and line.
 *
 * "methods" are those that it takes, NGX_HTTP_GET|NGX_HTTP_HEAD for instance,
 * 0: any.  The core answers the others, before a token is looked at or a body
 * is waited for: OPTIONS with 204, the rest with 405, both with Allow.
 */
char *ngx_http_sp_set_content(ngx_conf_t *cf, ngx_http_sp_run_pt run,
    ngx_uint_t methods);

/*
 * For a content handler whose addresses take different methods.
 * NGX_OK: the method is one of these; else the status to return
 */
ngx_int_t ngx_http_sp_allow(ngx_http_request_t *r, ngx_uint_t methods);


/* The end */

typedef struct ngx_http_sp_turn_s  ngx_http_sp_turn_t;


/* whose error was answered */

typedef enum {
    NGX_HTTP_SP_NOBODY = 0,    /* there is none, or the client left */
    NGX_HTTP_SP_GATEWAY,       /* a step, or the gateway itself */
    NGX_HTTP_SP_UPSTREAM       /* whom the request was passed to */
} ngx_http_sp_source_e;


typedef struct {
    ngx_uint_t                status;    /* answered; 499: the client left */
    ngx_http_sp_source_e      source;
    const char               *code;      /* of the error; NULL: none */
    const ngx_str_t          *step;      /* that has refused; NULL: none */
    const ngx_str_t          *filter;    /* that has, a text; NULL: none */
    const ngx_http_sp_turn_t *turn;      /* settled; NULL: none */
    off_t                     received;  /* bytes, with the header */
    off_t                     sent;
    ngx_msec_t                duration;
} ngx_http_sp_outcome_t;


typedef struct {
    ngx_uint_t                abi;       /* NGX_HTTP_SP_ABI */
    ngx_str_t                 name;
    ngx_int_t                 rank;
    void                    (*handler)(ngx_http_request_t *r,
                                  const ngx_http_sp_outcome_t *outcome);
} ngx_http_sp_end_t;

/*
 * In the preconfiguration, or in a setter; the struct is static memory.  The
 * handler is called exactly once for every request that has a context, on
 * every way it can end: answered, refused, cut, left by the client, out of
 * memory.  Those of one rank come by the order of their names.  It is the
 * last that sees the request: the ops of the request are cancelled, and memory
 * of it is gone when the handler returns.  What has to go on is a job
 * (ngx_sp_job_enqueue()) or a detached op (ngx_sp_detached_create()), with
 * copies of what it needs.
 */
ngx_int_t ngx_http_sp_add_end(ngx_conf_t *cf, const ngx_http_sp_end_t *end);


/* Request context */

/*
 * The plugin's zeroed per-request struct, made on first call, NULL when out
 * of memory.  Survives internal redirects and error_page.  find() does not
 * create.
 */
void *ngx_http_sp_ctx(ngx_http_request_t *r, ngx_module_t *module,
    size_t size);
void *ngx_http_sp_find_ctx(ngx_http_request_t *r, ngx_module_t *module);

/* that of the request, or of the nearest that it is a part of */
void *ngx_http_sp_near_ctx(ngx_http_request_t *r, ngx_module_t *module);

/*
 * Ties the op to the request, before its submit: it is cancelled when the
 * request ends, and the request is woken when the op is done.  Waking is
 * posted, coalesced, and harmless when nothing is suspended.
 */
ngx_int_t ngx_http_sp_op_attach(ngx_http_request_t *r, ngx_sp_op_t *op);

/* for what is not an op, a timer of the plugin's own for instance */
void ngx_http_sp_wake(ngx_http_request_t *r);


#endif /* _NGX_HTTP_SP_CORE_STEP_H_INCLUDED_ */
