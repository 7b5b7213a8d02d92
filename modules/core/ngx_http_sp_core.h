
/*
 * Copyright (C) Sallyport authors
 *
 * The only header that a plugin includes.
 *
 * The core owns the phase handler, the request context, suspending and
 * waking, the body, the identity, the error envelope, metrics, finished turns
 * and background jobs.  Plugins register what they do; they never call each
 * other.
 *
 * One request, downward:
 *
 *     ACCESS phase     for each stage: its steps run side by side
 *     cors -> identify -> admit -> inspect -> enrich
 *     CONTENT phase    the location's content handler (the relay stage):
 *                      llm_pass, pg_call, mint_relay, wallet_auth, ...
 *     filters          error envelope, output scan
 *     settle           usage listeners, the turn is stored; once, on every
 *                      exit path
 */

#ifndef _NGX_HTTP_SP_CORE_H_INCLUDED_
#define _NGX_HTTP_SP_CORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_sp_conf.h"
#include "ngx_sp_op.h"
#include "ngx_sp_redis.h"
#include "ngx_sp_pg.h"
#include "ngx_sp_fetch.h"
#include "ngx_sp_key.h"
#include "ngx_sp_secret.h"

#include "sp_chat.h"
#include "sp_json.h"


/* raised by every incompatible change of this header */
#define NGX_HTTP_SP_ABI  1

extern ngx_module_t  ngx_http_sp_core_module;


/*
 * A plugin that is loaded before the core makes dlopen() complain about this
 * symbol, which says what to do.
 */

extern const char  load_ngx_http_sp_core_module_before_its_plugins;

static const char *const  ngx_http_sp_load_order
    __attribute__((used)) = &load_ngx_http_sp_core_module_before_its_plugins;


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


/* Body */

/*
 * NGX_OK: *body is the whole body in one piece of memory (valid until the
 * request ends); NGX_AGAIN: return NGX_AGAIN, it is being read; or an HTTP
 * status to return.  Steps may call it before each other: it is read once.
 * Larger than "body_max_size" (default 1m) is 413.
 */
ngx_int_t ngx_http_sp_body(ngx_http_request_t *r, ngx_str_t *body);

/*
 * Another body from now on: what ngx_http_sp_body() gives and what is
 * forwarded.  It is memory of the request; the parsed value and the chat
 * request are the caller's to keep in step.
 */
ngx_int_t ngx_http_sp_replace_body(ngx_http_request_t *r,
    const ngx_str_t *body);

/*
 * The same for a JSON body: refuses other content types (415), malformed
 * UTF-8 or JSON, duplicate keys and excess depth (400), each with its own
 * code.  The value belongs to the request.
 */
ngx_int_t ngx_http_sp_json_body(ngx_http_request_t *r, json_t **value);

/*
 * The body as a chat request, parsed once per request.  The dialect is the
 * OpenAI one until the llm module brings others.
 */
ngx_int_t ngx_http_sp_chat(ngx_http_request_t *r, sp_chat_request_t **chat);


/* Identity */

typedef struct {
    ngx_str_t                 sub;       /* the user's id, a UUID of ours */
    ngx_str_t                 tier;      /* empty: none */
    ngx_str_t                 role;      /* application role; empty: none */
    ngx_str_t                 wallet;    /* EIP-55 address, or empty */
    ngx_str_t                 session;   /* sid claim, or empty */
    ngx_str_t                 token_id;  /* jti claim, or empty */
    ngx_str_t                 claims;    /* verified claims, JSON text */
    time_t                    expires;
} ngx_http_sp_identity_t;

/*
 * NULL: nobody.  Set only by an identify step, after verification; strings
 * live as long as the request.  $identity_sub, $identity_tier,
 * $identity_wallet read it.
 *
 * After an internal redirect or an error_page a location that may carry an
 * identity begins with nobody; one that does not keeps what was proven.
 */
const ngx_http_sp_identity_t *ngx_http_sp_identity(ngx_http_request_t *r);
ngx_int_t ngx_http_sp_set_identity(ngx_http_request_t *r,
    const ngx_http_sp_identity_t *identity);

/*
 * How often that made the request somebody else's: a step that keeps what it
 * found for an identity compares, and begins again.  Contexts for the prompt
 * are dropped by the core.
 */
ngx_uint_t ngx_http_sp_identity_changes(ngx_http_request_t *r);

/*
 * Configuration.  conf_identity(): in the setter of a directive after which
 * the requests of this location may carry an identity, or with 0 do not
 * ("off").  has_identity(): whether they may; in a merge_loc_conf only.
 */
void ngx_http_sp_conf_identity(ngx_conf_t *cf, ngx_flag_t on);
ngx_flag_t ngx_http_sp_has_identity(ngx_conf_t *cf);

/*
 * role and claims of a pg op made for the identity of this request:
 * "sallyport_user" with its verified claims, or "sallyport_anon"
 */
void ngx_http_sp_pg_identity(ngx_http_request_t *r, ngx_sp_pg_op_t *op);


/*
 * The next header of this name behind "h" in headers_in.headers or
 * headers_out.headers, the first for h NULL; NULL: there is no more.
 */
ngx_table_elt_t *ngx_http_sp_next_header(ngx_list_t *headers,
    const ngx_str_t *name, ngx_table_elt_t *h);


/* Answers */

/*
 * Records what the envelope will say and returns "status":
 *     return ngx_http_sp_error(r, 429, "quota_exceeded", "...%V...", &x);
 * code is snake_case and part of the API; the message names the fix.
 */
ngx_int_t ngx_http_sp_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *fmt, ...);

/* after ngx_http_sp_error(); hint: text, details: a JSON value */
void ngx_http_sp_error_hint(ngx_http_request_t *r, const char *hint);
void ngx_http_sp_error_details(ngx_http_request_t *r,
    const ngx_str_t *json);

/* any status; name and value live as long as the request */
ngx_int_t ngx_http_sp_add_header(ngx_http_request_t *r, const char *name,
    const ngx_str_t *value);
ngx_int_t ngx_http_sp_retry_after(ngx_http_request_t *r, time_t seconds);

/*
 * Sends the body with its length; returns what the content handler returns.
 * The body is memory of the request.
 */
ngx_int_t ngx_http_sp_send(ngx_http_request_t *r, ngx_uint_t status,
    const char *content_type, const ngx_str_t *body);
ngx_int_t ngx_http_sp_send_json(ngx_http_request_t *r, ngx_uint_t status,
    const ngx_str_t *body);


/* Context for the prompt */

typedef enum {
    NGX_HTTP_SP_PREFIX = 0,    /* stable: the cacheable system prefix */
    NGX_HTTP_SP_TAIL           /* per turn: before the last user message */
} ngx_http_sp_place_e;


typedef struct {
    ngx_queue_t               queue;
    ngx_str_t                 name;      /* "persona", "memory" */
    ngx_int_t                 rank;      /* order within its place */
    ngx_http_sp_place_e       place;
    ngx_str_t                 text;      /* UTF-8 */
} ngx_http_sp_context_t;

/* enrich steps add, the llm content handler reads in order of rank */
ngx_int_t ngx_http_sp_add_context(ngx_http_request_t *r,
    const ngx_http_sp_context_t *context);
ngx_queue_t *ngx_http_sp_contexts(ngx_http_request_t *r);


/* Text inspection */

typedef enum {
    NGX_HTTP_SP_PASS = 0,
    NGX_HTTP_SP_FLAG,
    NGX_HTTP_SP_MASK,
    NGX_HTTP_SP_BLOCK
} ngx_http_sp_verdict_e;


typedef struct {
    ngx_http_sp_verdict_e     verdict;
    ngx_str_t                 rule;      /* id of the strongest rule */
    ngx_str_t                 category;
} ngx_http_sp_inspection_t;


typedef struct {
    ngx_uint_t                abi;
    ngx_str_t                 name;
    ngx_int_t                 rank;
    ngx_int_t               (*inspect)(ngx_http_request_t *r,
                                  const ngx_str_t *text,
                                  ngx_http_sp_inspection_t *out);
} ngx_http_sp_inspector_t;

/*
 * inspect(): every inspector in order of rank; the strongest verdict wins.
 * NGX_OK, or NGX_ERROR when an inspector cannot tell
 */
ngx_int_t ngx_http_sp_add_inspector(ngx_conf_t *cf,
    const ngx_http_sp_inspector_t *inspector);
ngx_int_t ngx_http_sp_inspect(ngx_http_request_t *r, const ngx_str_t *text,
    ngx_http_sp_inspection_t *out);


/* Turns: what a chat request came to */

typedef enum {
    NGX_HTTP_SP_TURN_NONE = 0,   /* no model was called */
    NGX_HTTP_SP_TURN_COMPLETE,
    NGX_HTTP_SP_TURN_PARTIAL,    /* the client left, text was delivered */
    NGX_HTTP_SP_TURN_FAILED
} ngx_http_sp_finish_e;


typedef struct {
    u_char                    id[36];          /* UUID, made by the core */
    ngx_str_t                 character_id;    /* empty: none */
    ngx_str_t                 chat_id;         /* empty: none */
    ngx_str_t                 provider;
    ngx_str_t                 model;
    ngx_str_t                 user_text;
    ngx_str_t                 assistant_text;
    ngx_str_t                 finish_reason;   /* the provider's */
    ngx_http_sp_finish_e      finish;
    ngx_uint_t                status;          /* HTTP status answered */
    ngx_uint_t                prompt_tokens;
    ngx_uint_t                completion_tokens;
    ngx_uint_t                cached_tokens;
    ngx_msec_t                started;         /* ngx_current_msec */
    ngx_msec_t                first_byte;      /* since started; 0: none */
    ngx_msec_t                total;           /* since started */
    unsigned                  reported:1;      /* usage is the provider's */
    unsigned                  stream:1;
    unsigned                  store:1;         /* messages, not only ledger */
    unsigned                  memory:1;        /* counts for extraction */
} ngx_http_sp_turn_t;


typedef struct {
    ngx_uint_t                abi;
    ngx_str_t                 name;
    ngx_int_t                 rank;
    void                    (*handler)(ngx_http_request_t *r,
                                  const ngx_http_sp_turn_t *turn);
} ngx_http_sp_usage_listener_t;

/* made on first call; filled by the content handler; NULL: no memory */
ngx_http_sp_turn_t *ngx_http_sp_turn(ngx_http_request_t *r);

/*
 * Calls the usage listeners and, where "turn_store" is configured, accepts
 * the turn: it is in the spool file (survives kill -9 of the worker) when
 * this returns NGX_OK, and in PostgreSQL with the next batch.  Call it
 * before the last byte is sent; the core calls it at the end of every
 * request that has a turn if nobody has.  The second call does nothing.
 */
ngx_int_t ngx_http_sp_settle(ngx_http_request_t *r);

ngx_int_t ngx_http_sp_add_usage_listener(ngx_conf_t *cf,
    const ngx_http_sp_usage_listener_t *listener);


/* Variables */

/* in the preconfiguration; the table ends with ngx_http_null_variable */
ngx_int_t ngx_http_sp_add_variables(ngx_conf_t *cf,
    ngx_http_variable_t *table);

/* in a setter: a text with variables; NULL after logging what is wrong */
ngx_http_complex_value_t *ngx_http_sp_complex_value(ngx_conf_t *cf,
    ngx_str_t *text);


/* Servers: "redis_server" and "pg_server" of the configuration */

/* NULL after logging that the name is unknown, with file and line */
ngx_sp_redis_t *ngx_http_sp_redis(ngx_conf_t *cf, const ngx_str_t *name);
ngx_sp_pg_t *ngx_http_sp_pg(ngx_conf_t *cf, const ngx_str_t *name);

/*
 * This server has the schema of sql/: what has been over for long is deleted
 * there.  Once is enough; whoever adds a job kind need not call it.
 */
ngx_int_t ngx_http_sp_housekeeping(ngx_conf_t *cf, ngx_sp_pg_t *pg);


/* Metrics */

typedef enum {
    NGX_HTTP_SP_COUNTER = 0,
    NGX_HTTP_SP_GAUGE,
    NGX_HTTP_SP_HISTOGRAM        /* of milliseconds, fixed buckets */
} ngx_http_sp_metric_type_e;

typedef struct ngx_http_sp_metric_s  ngx_http_sp_metric_t;

/*
 * Configuration: name is "sallyport_..._total" and the like; labels come from
 * configuration only: "policy=\"free\",limit=\"requests\"" or "".  The same
 * name and labels give the same metric.  Values are in shared memory and
 * survive reloads.
 */
ngx_http_sp_metric_t *ngx_http_sp_add_metric(ngx_conf_t *cf,
    ngx_http_sp_metric_type_e type, const char *name, const char *help,
    const ngx_str_t *labels);

/*
 * A table of metrics and the fields of "conf" that keep them, up to one
 * without a name.  With a label, it and its value stand before those of the
 * table; or NULL.
 */
typedef struct {
    ngx_http_sp_metric_type_e    type;
    const char                  *name;
    const char                  *help;
    const char                  *labels;   /* or "" */
    size_t                       offset;   /* of an ngx_http_sp_metric_t * */
} ngx_http_sp_metric_slot_t;

ngx_int_t ngx_http_sp_add_metrics(ngx_conf_t *cf,
    const ngx_http_sp_metric_slot_t *table, void *conf, const char *label,
    const ngx_str_t *value);

void ngx_http_sp_metric_add(ngx_http_sp_metric_t *metric, ngx_int_t n);
void ngx_http_sp_metric_set(ngx_http_sp_metric_t *metric, ngx_int_t n);
void ngx_http_sp_metric_observe(ngx_http_sp_metric_t *metric,
    ngx_msec_t value);


/* Readiness: a reason makes /readyz 503 */

typedef const char *(*ngx_http_sp_ready_pt)(void *data);

ngx_int_t ngx_http_sp_add_ready(ngx_conf_t *cf, const char *name,
    ngx_http_sp_ready_pt handler, void *data);


/* Background jobs: rows of gateway.job, claimed with a lease */

typedef struct ngx_http_sp_job_s       ngx_http_sp_job_t;
typedef struct ngx_http_sp_job_kind_s  ngx_http_sp_job_kind_t;

typedef void (*ngx_http_sp_job_handler_pt)(ngx_http_sp_job_t *job);

struct ngx_http_sp_job_kind_s {
    ngx_uint_t                   abi;
    ngx_str_t                    name;
    ngx_uint_t                   max_running;  /* per worker */
    ngx_uint_t                   max_attempts; /* then "dead"; 0: never */
    time_t                       lease;        /* seconds, renewed by core */

    /*
     * Called once after the claim.  The state machine drives itself from
     * the done handlers of its ops and ends in exactly one of finish(),
     * retry(), fail().
     */
    ngx_http_sp_job_handler_pt   run;

    /* the lease was lost or the worker exits: stop, free, write nothing */
    ngx_http_sp_job_handler_pt   cancel;       /* or NULL */
    void                        *data;
};

struct ngx_http_sp_job_s {
    const ngx_http_sp_job_kind_t *kind;
    ngx_pool_t                  *pool;     /* destroyed when the job ends */
    ngx_log_t                   *log;
    ngx_sp_pg_t                 *pg;
    ngx_str_t                    id;       /* bigint, as text */
    ngx_str_t                    lane;
    ngx_str_t                    payload;  /* JSON text */
    ngx_str_t                    result;   /* saved by an earlier attempt */
    ngx_uint_t                   attempt;  /* 1.. */
    ngx_str_t                    epoch;    /* fencing token, as text */
    void                        *ctx;      /* the plugin's */
};

/* the struct is static or configuration memory */
ngx_int_t ngx_http_sp_add_job_kind(ngx_conf_t *cf, ngx_sp_pg_t *pg,
    const ngx_http_sp_job_kind_t *kind);

/* the op is cancelled when the job ends */
ngx_int_t ngx_http_sp_job_attach(ngx_http_sp_job_t *job, ngx_sp_op_t *op);

/*
 * A timer of the job: exactly one at a time, cancelled when the job ends
 */
void ngx_http_sp_job_sleep(ngx_http_sp_job_t *job, ngx_msec_t delay,
    ngx_http_sp_job_handler_pt handler);

void ngx_http_sp_job_finish(ngx_http_sp_job_t *job);
void ngx_http_sp_job_retry(ngx_http_sp_job_t *job, ngx_msec_t delay,
    const char *reason);
void ngx_http_sp_job_fail(ngx_http_sp_job_t *job, const char *reason);


#endif /* _NGX_HTTP_SP_CORE_H_INCLUDED_ */
