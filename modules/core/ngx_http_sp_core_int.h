
/*
 * Copyright (C) Sallyport authors
 *
 * Private to modules/core.
 */

#ifndef _NGX_HTTP_SP_CORE_INT_H_INCLUDED_
#define _NGX_HTTP_SP_CORE_INT_H_INCLUDED_


#include "ngx_http_sp_core.h"
#include "ngx_http_sp_compat.h"

#include "ngx_sp_work.h"


/* the steps of a request that have passed are bits of one word */
#define NGX_HTTP_SP_MAX_STEPS  64

/* and so are the filters that have judged its body */
#define NGX_HTTP_SP_MAX_FILTERS  32


typedef struct ngx_http_sp_core_ctx_s  ngx_http_sp_core_ctx_t;


typedef struct {
    ngx_str_t                      name;
    ngx_http_sp_ready_pt           handler;
    void                          *data;
} ngx_http_sp_probe_t;


/* ops of one server, by result */

typedef struct {
    const void                    *server;    /* NULL: fetch */
    ngx_sp_metric_t               *results[4];
    ngx_sp_metric_t               *duration;
} ngx_http_sp_ops_t;


/* what a role of the application is in PostgreSQL */

typedef struct {
    ngx_str_t                      role;
    ngx_str_t                      pg_role;
} ngx_http_sp_pg_role_t;


/* what the core itself counts */

typedef struct {
    ngx_sp_metric_t               *requests[6];   /* by class; 0: other */
    ngx_sp_metric_t               *duration;
    ngx_sp_metric_t               *errors[NGX_HTTP_SP_TURN_ERRORS];
} ngx_http_sp_core_counters_t;


typedef struct {
    ngx_array_t                    steps;         /* const step_t * */
    ngx_array_t                    dialects;      /* const dialect_t * */
    ngx_array_t                    filters;       /* const filter_t * */
    ngx_array_t                    ends;          /* const end_t * */
    ngx_array_t                    redis;         /* ngx_sp_redis_t * */
    ngx_array_t                    pg;            /* ngx_sp_pg_t * */
    ngx_array_t                    chains;        /* ngx_sp_chain_t * */
    ngx_array_t                    probes;        /* probe_t */
    ngx_array_t                    ops;           /* ops_t */
    ngx_array_t                    pg_roles;      /* pg_role_t */
    ngx_array_t                    providers;     /* provider_t * */
    ngx_array_t                    models;        /* model_t * */
    ngx_array_t                    model_uses;    /* model_use_t */
    ngx_array_t                    tokenizers;    /* tokenizer_t * */
    ngx_str_t                      estimated;     /* a model whose tokenizer
                                                     is known, but not here */
    ngx_array_t                    breakers;      /* breaker_t * */

    ngx_sp_fetch_conf_t            fetch;
    ngx_uint_t                     trust;         /* plugins speak TLS */
    ngx_uint_t                     spans;         /* are exported */
    ngx_sp_name_conf_t             names;
    ngx_sp_work_t                  work;
    ngx_sp_sink_t                 *turns;         /* NULL: no turn_store */
    ngx_str_t                      currency;      /* of prices */
    size_t                         metrics_size;
    ngx_http_sp_core_counters_t    counters;
    ngx_int_t                      request_id;    /* index of variable */
} ngx_http_sp_core_main_conf_t;


typedef enum {
    NGX_HTTP_SP_ERROR_JSON = 0,
    NGX_HTTP_SP_ERROR_DIALECT,
    NGX_HTTP_SP_ERROR_HTML
} ngx_http_sp_error_format_e;


typedef struct {
    ngx_http_sp_run_pt             content;
    ngx_uint_t                     methods;       /* it takes; 0: any */
    ngx_str_t                      content_name;  /* directive, where it is */
    ngx_str_t                      content_file;
    ngx_uint_t                     content_line;
    const sp_dialect_t            *dialect;       /* of clients, or NULL */
    ngx_uint_t                     form;          /* bodies are forms */
    ngx_http_sp_shape_pt           shape;         /* of bodies, or NULL */
    const sp_dialect_t            *error_dialect;
    ngx_uint_t                     error_format;
    size_t                         body_max_size;
    ngx_flag_t                     trace;
    ngx_uint_t                     trace_sample;  /* of 10000 */
    ngx_flag_t                     identity;
    ngx_array_t                   *scopes;        /* ngx_str_t */
    ngx_uint_t                     health_ready;
    ngx_array_t                   *health_ignore; /* ngx_str_t */
} ngx_http_sp_core_loc_conf_t;


typedef struct ngx_http_sp_attached_s  ngx_http_sp_attached_t;

struct ngx_http_sp_attached_s {
    ngx_sp_op_t                   *op;
    ngx_http_sp_attached_t        *next;
};


typedef struct {
    ngx_str_t                      data;
    ngx_int_t                      error;     /* status, once it failed */
    json_t                        *json;
    sp_chat_request_t             *chat;
    sp_chat_request_t             *renewed;   /* holds what chat points to */
    const sp_dialect_t            *dialect;   /* of chat */
    ngx_http_sp_form_t            *form;      /* NULL: nobody wants one */
    off_t                          max;
    off_t                          seen;      /* bytes read so far */
    unsigned                       asked:1;
    unsigned                       reading:1;
    unsigned                       calling:1; /* inside of the read call */
    unsigned                       done:1;    /* read */
    unsigned                       ready:1;   /* collected in "data" */
    unsigned                       form_late:1;     /* not read as it came */
} ngx_http_sp_body_ctx_t;


typedef struct {
    ngx_uint_t                     status;
    const char                    *code;
    const char                    *hint;
    const char                    *param;     /* a member of the request */
    const char                    *type;      /* NULL: by the status */
    ngx_str_t                      message;
    ngx_str_t                      details;   /* JSON */
    ngx_uint_t                     page;      /* err_status of error_page */
    ngx_buf_t                     *body;      /* replaces a special one */
    unsigned                       sent:1;
} ngx_http_sp_error_ctx_t;


/* that a step, or the core, has refused the request; the first one stays */

typedef struct {
    ngx_int_t                      status;
    ngx_uint_t                     step;      /* MAX_STEPS: the core */
    ngx_http_sp_error_ctx_t        error;     /* its text */
    ngx_http_request_t            *request;   /* whose headers say more */
} ngx_http_sp_refusal_t;


/* see ngx_http_sp_once(); those of all parts are kept by the main request */

typedef struct ngx_http_sp_decision_s  ngx_http_sp_decision_t;

struct ngx_http_sp_decision_s {
    const ngx_module_t            *module;
    uint64_t                       key;
    ngx_http_sp_core_ctx_t        *owner;     /* whose step decides */
    ngx_uint_t                     step;
    ngx_http_sp_refusal_t         *refusal;   /* NULL: passed */
    ngx_http_sp_decision_t        *next;
    unsigned                       closed:1;
};


/* the walk of one pass */

typedef struct {
    uint64_t                       passed;    /* steps, by bit */
    ngx_uint_t                     first;     /* step of the open stage */
    ngx_uint_t                     step;      /* that was called last */
} ngx_http_sp_walk_t;


/*
 * One per request, subrequests included; lives in a pool cleanup, where it is
 * found again after an internal redirect has zeroed the module contexts.
 */

struct ngx_http_sp_core_ctx_s {
    ngx_http_request_t            *request;
    void                         **plugins;   /* by ctx_index */
    ngx_http_sp_attached_t        *attached;
    ngx_http_sp_core_ctx_t        *parts;     /* subrequests, by the main */

    /* waking */

    ngx_event_t                    wake;
    void                         (*resume)(ngx_http_request_t *r);

    /* the pass through the pipeline */

    ngx_http_sp_walk_t             walk;
    ngx_uint_t                     pass;      /* 0, 1, ... */
    ngx_http_sp_refusal_t         *refusal;
    ngx_http_sp_decision_t        *decisions; /* of a main request */
    ngx_http_sp_decision_t        *opened;    /* by the step that runs */

    ngx_http_sp_body_ctx_t         body;
    ngx_http_sp_error_ctx_t        error;
    ngx_http_sp_identity_t        *identity;
    ngx_http_sp_identity_t        *before;    /* that of earlier passes */
    ngx_uint_t                     changes;   /* of the identity */
    ngx_uint_t                     inspected; /* by which filters, bits */
    const ngx_str_t               *filter;    /* that has refused a text */
    ngx_queue_t                    blocks;    /* of the prompt */
    ngx_http_sp_turn_t            *turn;
    ngx_http_sp_trace_t           *trace;     /* of a main request */
    ngx_http_sp_span_t            *spans;     /* the same; the last first */

    unsigned                       resuming:1;
    unsigned                       barred:1;  /* by a subrequest of its own */
    unsigned                       judging:1; /* the identity, anew */
    unsigned                       own:1;     /* a subrequest's identity */
    unsigned                       released:1;
    unsigned                       settled:1;
    unsigned                       ended:1;
};


/* ngx_http_sp_core_ctx.c */

ngx_http_sp_core_ctx_t *ngx_http_sp_core_ctx(ngx_http_request_t *r);
ngx_http_sp_core_ctx_t *ngx_http_sp_core_find_ctx(ngx_http_request_t *r);

/* ngx_http_sp_core_pipeline.c */

ngx_int_t ngx_http_sp_pipeline_init(ngx_conf_t *cf);

/*
 * Of two steps of a stage, filters or end hooks, as memcmp() does: by rank and
 * name, never by the order of load_module lines.
 */
ngx_int_t ngx_http_sp_order(ngx_int_t rank1, const ngx_str_t *name1,
    ngx_int_t rank2, const ngx_str_t *name2);
ngx_int_t ngx_http_sp_access_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_sp_content_handler(ngx_http_request_t *r);

/* every part of a main request that waits, but for one */
void ngx_http_sp_wake_parts(ngx_http_sp_core_ctx_t *main,
    const ngx_http_sp_core_ctx_t *except);

/* the end of a request: nothing is called for it any more */
void ngx_http_sp_pipeline_release(ngx_http_sp_core_ctx_t *ctx);

/* ngx_http_sp_core_content.c */

/* the directives of a location agree on who answers it */
char *ngx_http_sp_content_merge(ngx_conf_t *cf,
    ngx_http_sp_core_loc_conf_t *prev, ngx_http_sp_core_loc_conf_t *conf);
ngx_int_t ngx_http_sp_content_init(ngx_conf_t *cf);

/* ngx_http_sp_core_refusal.c */

ngx_http_sp_refusal_t *ngx_http_sp_refusal(ngx_http_request_t *r);
ngx_int_t ngx_http_sp_refuse_first(ngx_http_request_t *r, ngx_int_t status,
    ngx_uint_t step);
ngx_int_t ngx_http_sp_refuse_again(ngx_http_request_t *r,
    ngx_http_sp_refusal_t *refusal);
ngx_uint_t ngx_http_sp_decides(ngx_http_request_t *r);
void ngx_http_sp_error_share(ngx_http_request_t *r);
void ngx_http_sp_decision_note(ngx_http_request_t *r, ngx_uint_t step,
    ngx_int_t rc);
void ngx_http_sp_decision_refuse(ngx_http_request_t *r, ngx_uint_t step);

/* ngx_http_sp_core_send.c */

ngx_int_t ngx_http_sp_copy_headers(ngx_http_request_t *r,
    ngx_http_request_t *from);

/* ngx_http_sp_core_random.c */

/* of a cryptographic generator; at most 640 bytes */
ngx_int_t ngx_http_sp_random(u_char *p, size_t len);

/* ngx_http_sp_core_identity.c */

/* a pass begins, has gone through the identify stage, is over */
ngx_int_t ngx_http_sp_identity_begin(ngx_http_request_t *r);
void ngx_http_sp_identity_end(ngx_http_sp_core_ctx_t *ctx);
void ngx_http_sp_identity_hand_up(ngx_http_request_t *r);

/* ngx_http_sp_core_form.c */

ngx_int_t ngx_http_sp_form_feed(ngx_http_request_t *r,
    ngx_http_sp_form_t *form, const ngx_chain_t *in);
ngx_int_t ngx_http_sp_form_edit(ngx_http_request_t *r,
    ngx_http_sp_form_t *form, ngx_http_sp_form_field_t *field,
    const ngx_str_t *value);


/* ngx_http_sp_core_inspect_form.c */

ngx_int_t ngx_http_sp_inspect_form(ngx_http_request_t *r,
    ngx_uint_t filters);


/* ngx_http_sp_core_json.c */

/* NGX_OK, or the status of a refusal: bodies are not compressed */
ngx_int_t ngx_http_sp_body_encoding(ngx_http_request_t *r);


/* ngx_http_sp_core_body.c */

ngx_int_t ngx_http_sp_body_init(ngx_conf_t *cf);

/* it is read, and not collected: NGX_OK, NGX_AGAIN or a status */
ngx_int_t ngx_http_sp_body_wait(ngx_http_request_t *r);

/* NGX_OK, or the status of a refusal */
ngx_int_t ngx_http_sp_body_limit(ngx_http_request_t *r, off_t size);

void ngx_http_sp_body_merge(ngx_conf_t *cf, ngx_http_sp_core_loc_conf_t *conf);
void ngx_http_sp_body_abandon(ngx_http_request_t *r,
    ngx_http_sp_core_ctx_t *ctx);
void ngx_http_sp_body_refuse(ngx_http_request_t *r,
    ngx_http_sp_core_ctx_t *ctx);
ngx_int_t ngx_http_sp_body_failed(ngx_http_request_t *r,
    ngx_http_sp_core_ctx_t *ctx);
ngx_uint_t ngx_http_sp_body_reading(ngx_http_request_t *r);
void ngx_http_sp_body_release(ngx_http_sp_core_ctx_t *ctx);
ngx_int_t ngx_http_sp_renew_chat(ngx_http_request_t *r);

/* ngx_http_sp_core_dialect.c */

ngx_int_t ngx_http_sp_dialects_create(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf);
char *ngx_http_sp_dialect_error_format(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ngx_http_sp_core_options.c: parameters of llm_provider, and a check */
char *ngx_http_sp_option_stream_usage(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sp_option_max_tokens(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sp_option_api_version(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_sp_options_check(ngx_conf_t *cf,
    ngx_http_sp_provider_t *provider);

/* ngx_http_sp_core_trace.c */

char *ngx_http_sp_trace_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_sp_trace_variables_add(ngx_conf_t *cf);

/* "len" is SP_TRACE_ID or SP_TRACE_SPAN */
ngx_int_t ngx_http_sp_trace_id(char *id, size_t len);

/* ngx_http_sp_core_target.c */

ngx_int_t ngx_http_sp_target_metrics(ngx_conf_t *cf,
    const ngx_http_sp_model_t *model, ngx_http_sp_target_t *target);

/* ngx_http_sp_core_provider.c */

char *ngx_http_sp_provider_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
void ngx_http_sp_providers_watch(ngx_http_sp_core_main_conf_t *mcf);
void ngx_http_sp_providers_exit_process(ngx_http_sp_core_main_conf_t *mcf);

/* ngx_http_sp_core_key.c */

char *ngx_http_sp_key_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* a zeroed one: the provider wants none */
ngx_http_sp_key_t *ngx_http_sp_key_add(ngx_http_sp_provider_t *provider);

/* from 1; 0: the provider wants none */
ngx_uint_t ngx_http_sp_key_number(const ngx_http_sp_provider_t *provider,
    const ngx_http_sp_key_t *key);

/* ngx_http_sp_core_breaker.c */

/* what a try says about its target and its key */

typedef enum {
    NGX_HTTP_SP_VERDICT_RELEASE = 0,   /* nothing */
    NGX_HTTP_SP_VERDICT_ALIVE,
    NGX_HTTP_SP_VERDICT_PASS,
    NGX_HTTP_SP_VERDICT_FAIL
} ngx_http_sp_verdict_e;

ngx_int_t ngx_http_sp_breakers_init(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf);

/* ms; 0: it may be asked */
ngx_msec_t ngx_http_sp_breaker_wait(const ngx_http_sp_breaker_t *breaker);

/* as sp_breaker_take() */
ngx_int_t ngx_http_sp_breaker_take(ngx_http_sp_breaker_t *breaker,
    ngx_msec_t lease);

/*
 * probe: it was let through while others wait.  wait: of a failure, when it
 * wants to be asked again; 0: it has not said.
 */
void ngx_http_sp_breaker_tell(ngx_http_sp_breaker_t *breaker,
    ngx_http_sp_verdict_e verdict, ngx_uint_t probe, ngx_msec_t wait);

/* whose it is; NULL: of a key */
const ngx_http_sp_target_t *ngx_http_sp_breaker_target(
    const ngx_http_sp_breaker_t *breaker);

/* ngx_http_sp_core_route.c */

/* ms until it may be asked with one of its keys */
ngx_msec_t ngx_http_sp_target_wait(const ngx_http_sp_target_t *target);

/* ngx_http_sp_core_attempt.c */

/* NGX_BUSY: another request has begun to probe it */
ngx_int_t ngx_http_sp_attempt_take(ngx_http_sp_attempt_t *attempt);

size_t ngx_http_sp_attempts_size(const ngx_array_t *attempts);
u_char *ngx_http_sp_attempts_print(u_char *p, const ngx_array_t *attempts);

/* ngx_http_sp_core_up.c */

ngx_int_t ngx_http_sp_up_init(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf);
size_t ngx_http_sp_up_size(const ngx_http_sp_core_main_conf_t *mcf);
u_char *ngx_http_sp_up_print(u_char *p,
    const ngx_http_sp_core_main_conf_t *mcf);

/* ngx_http_sp_core_capability.c */

ngx_int_t ngx_http_sp_capabilities(ngx_conf_t *cf, const ngx_str_t *list,
    ngx_uint_t *capabilities);

/* ngx_http_sp_core_model.c */

ngx_int_t ngx_http_sp_models_create(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf);
char *ngx_http_sp_model_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_sp_models_init(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf);

/* ngx_http_sp_core_tokenizer.c */

char *ngx_http_sp_tokenizer_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* tokenizer=NAME of a model; it may be defined further down */
ngx_int_t ngx_http_sp_tokenizer_arg(ngx_conf_t *cf, const ngx_str_t *name,
    ngx_http_sp_target_t *target);
ngx_int_t ngx_http_sp_tokenizers_init(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf);

/* in a worker: says once what is estimated and could be counted */
void ngx_http_sp_tokenizers_notice(const ngx_http_sp_core_main_conf_t *mcf,
    ngx_cycle_t *cycle);

/* ngx_http_sp_core_turn.c */

/* nothing is known of it yet */
void ngx_http_sp_turn_init(ngx_http_sp_turn_t *turn);

/* a turn that belongs to no request */
ngx_int_t ngx_http_sp_turn_store(ngx_pool_t *pool, ngx_http_sp_turn_t *turn);

/* ngx_http_sp_core_account.c */

/* members of the record, in NGX_HTTP_SP_ACCOUNT bytes */
#define NGX_HTTP_SP_ACCOUNT  (256 + 9 * NGX_INT64_LEN)

u_char *ngx_http_sp_account_print(u_char *p, const ngx_http_sp_turn_t *turn);

char *ngx_http_sp_currency_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ngx_http_sp_core_blame.c */

ngx_http_sp_turn_error_e ngx_http_sp_blame(
    const ngx_http_sp_core_ctx_t *ctx);
ngx_int_t ngx_http_sp_blame_init(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf);

/* ngx_http_sp_core_error.c */

ngx_int_t ngx_http_sp_error_init(ngx_conf_t *cf);

/* ngx_http_sp_core_status.c */

/* in a header filter: a reason phrase where NGINX has none */
void ngx_http_sp_status_line(ngx_http_request_t *r);
char *ngx_http_sp_not_found_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ngx_http_sp_core_variables.c */

ngx_int_t ngx_http_sp_variables_add(ngx_conf_t *cf);

/* ngx_http_sp_core_scope.c */

ngx_int_t ngx_http_sp_scope_init(ngx_conf_t *cf);
char *ngx_http_sp_require_scope_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sp_pg_role_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ngx_http_sp_core_edit.c; all zero to begin with */

typedef struct {
    ngx_array_t                    list;
    ngx_uint_t                     first;     /* that is not over */
    size_t                         by;        /* bytes of all "by" */
} ngx_http_sp_edits_t;

void ngx_http_sp_edits_clear(ngx_http_sp_edits_t *edits);
ngx_int_t ngx_http_sp_edits_add(ngx_http_sp_edits_t *edits, ngx_pool_t *pool,
    uint64_t from, uint64_t to, const ngx_str_t *by);

/*
 * Bytes [from, to) of the text, which are at src, as they go on; dst has
 * to - from + edits->by bytes.  Edits before "to" are done with.
 */
u_char *ngx_http_sp_edits_apply(ngx_http_sp_edits_t *edits, u_char *dst,
    const u_char *src, uint64_t from, uint64_t to);

/* ngx_http_sp_core_filter.c: what _inspect.c needs beside the public part */

ngx_http_sp_stream_t *ngx_http_sp_stream_create(ngx_http_request_t *r,
    ngx_uint_t filters);
ngx_int_t ngx_http_sp_stream_judge(ngx_http_sp_stream_t *stream,
    const ngx_str_t *piece, ngx_uint_t last);
ngx_int_t ngx_http_sp_stream_whole(ngx_http_sp_stream_t *stream,
    const ngx_str_t *piece, ngx_str_t *out);
ngx_int_t ngx_http_sp_stream_cut(ngx_http_sp_stream_t *stream,
    const u_char *src, uint64_t from, uint64_t to, ngx_str_t *out);
void ngx_http_sp_stream_close(ngx_http_sp_stream_t *stream);

/* ngx_http_sp_core_words.c */

ngx_uint_t ngx_http_sp_is_word(const char *word);

/* ngx_http_sp_core_inspect.c */

ngx_int_t ngx_http_sp_inspect_init(ngx_conf_t *cf);

/* ngx_http_sp_core_end.c */

ngx_int_t ngx_http_sp_end_init(ngx_conf_t *cf);
ngx_uint_t ngx_http_sp_status(ngx_http_request_t *r);
ngx_http_sp_source_e ngx_http_sp_error_source(ngx_http_request_t *r);

/* ngx_http_sp_core_servers.c */

ngx_int_t ngx_http_sp_servers_create(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf);
char *ngx_http_sp_servers_redis(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sp_servers_pg(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_sp_servers_chain(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_sp_servers_init_process(
    ngx_http_sp_core_main_conf_t *mcf, ngx_cycle_t *cycle);
void ngx_http_sp_servers_exit_process(ngx_http_sp_core_main_conf_t *mcf);

/* ngx_http_sp_core_trust.c */

ngx_int_t ngx_http_sp_trust_init(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf);

/* ngx_http_sp_core_metrics.c */

ngx_int_t ngx_http_sp_metrics_handler(ngx_http_request_t *r);

/* ngx_http_sp_core_work.c */

char *ngx_http_sp_work_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_sp_work_spool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* ngx_http_sp_core_health.c */

ngx_int_t ngx_http_sp_health_handler(ngx_http_request_t *r);
char *ngx_http_sp_health_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* plugins were built for another version of ngx_http_sp_core.h */
ngx_int_t ngx_http_sp_check_abi(ngx_conf_t *cf, const char *what,
    const ngx_str_t *name, ngx_uint_t abi);


#endif /* _NGX_HTTP_SP_CORE_INT_H_INCLUDED_ */
