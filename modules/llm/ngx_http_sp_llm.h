
/*
 * Copyright (C) Sallyport authors
 */

#ifndef _NGX_HTTP_SP_LLM_H_INCLUDED_
#define _NGX_HTTP_SP_LLM_H_INCLUDED_


#include "ngx_http_sp_core.h"

#include "ngx_http_sp_relay.h"
#include "sp_eth.h"
#include "sp_extras.h"
#include "sp_json_shorten.h"
#include "sp_prompt.h"


typedef enum {
    NGX_HTTP_SP_LLM_ALLOW = 0,
    NGX_HTTP_SP_LLM_MERGE,
    NGX_HTTP_SP_LLM_REFUSE
} ngx_http_sp_llm_system_e;


/* how a client wants models to be listed */
typedef enum {
    NGX_HTTP_SP_LLM_LIST_OPENAI = 0,
    NGX_HTTP_SP_LLM_LIST_ANTHROPIC,
    NGX_HTTP_SP_LLM_LISTS
} ngx_http_sp_llm_list_e;


/* what an Idempotency-Key has led to */
typedef enum {
    NGX_HTTP_SP_LLM_REPLAY_RUN = 0,     /* it was the first one */
    NGX_HTTP_SP_LLM_REPLAY_SENT,
    NGX_HTTP_SP_LLM_REPLAY_CONFLICT,
    NGX_HTTP_SP_LLM_REPLAY_REUSED,
    NGX_HTTP_SP_LLM_REPLAY_UNAVAILABLE,
    NGX_HTTP_SP_LLM_REPLAYS
} ngx_http_sp_llm_replay_e;


/* what llm_cache has led to */
typedef enum {
    NGX_HTTP_SP_LLM_CACHE_NONE = 0,     /* it is off */
    NGX_HTTP_SP_LLM_CACHE_HIT,
    NGX_HTTP_SP_LLM_CACHE_MISS,
    NGX_HTTP_SP_LLM_CACHE_BYPASS,
    NGX_HTTP_SP_LLM_CACHE_UNAVAILABLE,  /* Redis did not tell in time */
    NGX_HTTP_SP_LLM_CACHED
} ngx_http_sp_llm_cache_e;


typedef struct ngx_http_sp_llm_cache_s  ngx_http_sp_llm_cache_t;
typedef struct ngx_http_sp_llm_flight_s  ngx_http_sp_llm_flight_t;
typedef struct ngx_http_sp_llm_limit_s  ngx_http_sp_llm_limit_t;
typedef struct ngx_http_sp_llm_locale_s  ngx_http_sp_llm_locale_t;


typedef struct {
    ngx_str_t                     lists[NGX_HTTP_SP_LLM_LISTS];
    ngx_array_t                   models;  /* see _models.c */
    ngx_sp_metric_t              *replays[NGX_HTTP_SP_LLM_REPLAYS];
    ngx_sp_metric_t              *cached[NGX_HTTP_SP_LLM_CACHED];
} ngx_http_sp_llm_main_conf_t;


/* of llm_receipt */
typedef struct {
    secp256k1_context            *secp;
    uint8_t                       key[32];      /* never logged */
    u_char                        address[SP_ETH_ADDRESS_TEXT_LEN];
} ngx_http_sp_llm_signer_t;


/* of llm_idempotency and llm_cache: where answers are kept */
typedef struct {
    ngx_sp_redis_t               *redis;
    ngx_msec_t                    ttl;
    ngx_msec_t                    wait;         /* for one that runs */
    size_t                        size;         /* bytes of a body */
    u_char                        secret[32];   /* of names; never logged */
    unsigned                      keyed:1;      /* there is one */
    unsigned                      shared:1;     /* by all users */
} ngx_http_sp_llm_store_t;


typedef struct {
    ngx_http_sp_model_t          *model;        /* of llm_pass; NULL: off */
    ngx_http_sp_model_kind_e      kind;         /* of the location's models */
    ngx_array_t                  *types;        /* ngx_str_t, of files by the
                                                   ends of their names; NULL:
                                                   any */
    ngx_http_sp_model_t          *counted;      /* of llm_count_tokens */

    ngx_uint_t                    system;
    ngx_uint_t                    message_limit;
    ngx_http_sp_llm_limit_t      *context;      /* NULL: the target's */
    size_t                        event_size;
    size_t                        answer_size;
    ngx_http_sp_llm_store_t      *cache;        /* NULL: off */
    ngx_http_sp_llm_signer_t     *signer;       /* NULL: no receipts */
    ngx_msec_t                    keepalive;    /* 0: off */
    ngx_http_sp_llm_store_t      *idempotency;  /* NULL: off */
    ngx_uint_t                    translations; /* not transcriptions */

    ngx_sp_pg_t                  *chats;        /* NULL: off */
    ngx_msec_t                    chat_timeout;
    ngx_http_complex_value_t     *chat_id;      /* of llm_chat; NULL: none */
    ngx_uint_t                    history;      /* messages of it */
    ngx_msec_t                    history_timeout;

    ngx_sp_pg_t                  *characters;
    ngx_msec_t                    character_timeout;
    ngx_msec_t                    character_cache;
    ngx_http_sp_llm_locale_t     *locale;       /* NULL: off */

    ngx_uint_t                    tries;
    ngx_msec_t                    retry_within;
    ngx_msec_t                    timeout;      /* of all tries */
} ngx_http_sp_llm_loc_conf_t;


/* what goes out beside the upstream's bytes */
typedef struct {
    const char                   *code;
    const char                   *message;
    ngx_uint_t                    status;       /* 0: 502 */
    ngx_http_sp_turn_error_e      error;        /* in the ledger */
    ngx_http_sp_failure_e         failure;      /* of the try */
} ngx_http_sp_llm_fault_t;


/* what was asked for, as llm_check has found it */
typedef struct {
    ngx_http_sp_llm_loc_conf_t   *conf;
    ngx_http_sp_model_t          *model;
    sp_chat_request_t            *chat;         /* NULL: embeddings, media */
    const sp_dialect_t           *dialect;      /* the client's */
    ngx_int_t                     images;       /* asked for; 0: none are */
    ngx_int_t                     characters;   /* to be spoken */
    ngx_http_sp_form_t           *form;         /* NULL: it was JSON */

    unsigned                      done:1;
    unsigned                      stream:1;
    unsigned                      raw:1;        /* the answer is audio, or
                                                   text: bytes */

    /* of a transcription; what comes instead is known by its type */

    unsigned                      as_stream:1;  /* a stream was asked for */
    unsigned                      as_text:1;    /* srt, vtt, plain text */
} ngx_http_sp_llm_check_t;


/* the persona step */
typedef struct {
    ngx_sp_pg_op_t                pg;
    ngx_sp_pg_query_t             query;
    ngx_str_t                     param;
    ngx_str_t                     text;
    ngx_uint_t                    state;
    ngx_uint_t                    shared;       /* public */
    ngx_uint_t                    changes;      /* for whom */
    ngx_uint_t                    extras;       /* it asks for them */
} ngx_http_sp_llm_character_t;


/* why a question is the caller's mistake */
typedef struct {
    ngx_uint_t                    status;
    const char                   *code;         /* DETAIL of the SQLSTATE */
    const char                   *param;
    const char                   *message;
} ngx_http_sp_llm_denial_t;


/* the question step */
typedef struct {
    ngx_sp_pg_op_t                pg;
    ngx_sp_pg_query_t             query;
    ngx_str_t                     line;         /* of the spool */
    ngx_uint_t                    state;
    ngx_uint_t                    changes;      /* for whom */
    const ngx_http_sp_llm_denial_t  *denial;    /* NULL: none */
    u_char                        id[36];       /* of the message, stored */
    u_char                        reply[36];    /* of what will answer it */
} ngx_http_sp_llm_question_t;


/* what the gateway keeps of a chat, see _history.c */
typedef struct {
    ngx_sp_pg_op_t                pg;
    ngx_sp_pg_query_t             query;
    ngx_http_sp_llm_loc_conf_t   *conf;         /* where it was asked for */
    json_t                       *asked;        /* owned: without history */
    ngx_str_t                     text;         /* the same */
    ngx_str_t                     id;           /* of the chat */
    json_t                       *loaded;       /* owned; NULL: none */
    ngx_str_t                     character_id;
    ngx_str_t                     parent_id;
    ngx_uint_t                    state;
    ngx_uint_t                    changes;      /* for whom */
    ngx_uint_t                    tries;        /* that found no parent */
    ngx_event_t                   timer;        /* until the next one */
    const ngx_http_sp_llm_denial_t  *denial;    /* NULL: none */
    unsigned                      again:1;      /* regenerate */
} ngx_http_sp_llm_history_t;


/* one try at a provider, and the head of what came back */
typedef struct {
    const ngx_http_sp_target_t   *target;
    const sp_dialect_t           *dialect;      /* the provider's */

    ngx_str_t                     headers;      /* of the client, as text */
    ngx_str_t                     trace[NGX_HTTP_SP_TRACE_LINES];
    ngx_uint_t                    ntrace;       /* lines, without their ends */
    ngx_str_t                     replaced;     /* the line of the provider's
                                                   that one of them is for */
    ngx_http_sp_attempt_t        *entry;        /* of the ledger */
    ngx_http_sp_failure_e         failure;      /* as far as it is known */

    ngx_str_t                     type;         /* of a raw answer */
    ngx_uint_t                    error_status; /* answered in its place */
    ngx_str_t                     should_retry; /* "true", "false"; or none */
    const ngx_http_sp_llm_fault_t  *fault;      /* said in its place, where
                                                   the header is out */

    unsigned                      retry_ms:1;   /* its hint was that fine */

    unsigned                      event_stream:1; /* content types */
    unsigned                      json_type:1;
    unsigned                      encoded:1;
    unsigned                      refused:1;    /* an error is recorded */
    unsigned                      translated:1; /* another dialect */
    unsigned                      filtered:1;   /* what is said is judged */
    unsigned                      rewritten:1;  /* one of both: the client
                                                   gets none of the bytes */
} ngx_http_sp_llm_attempt_t;


/* the body of that answer */
typedef struct {
    sp_sse_t                      sse;
    ngx_chain_t                  *carry;        /* the memory sse writes */
    ngx_buf_t                    *slice;        /* the last one, to extend */

    sp_json_shorten_t             brief;        /* see _large.c */

    u_char                       *json;         /* a whole answer, gathered */
    size_t                        json_len;
    size_t                        json_size;

    void                         *reader;       /* state of the dialect */
    sp_event_t                    totals;       /* usage so far */
    u_char                        finished[SP_CHAT_MAX_CHOICES];
    ngx_int_t                     nfinished;    /* choices that are complete */

    sp_writer_t                   writer;       /* of a translation */
    ngx_buf_t                    *out;          /* the last one, to extend */
    ngx_array_t                  *deltas;       /* of a whole answer */
    uint64_t                      named;        /* bits: calls that have an
                                                   id */

    ngx_array_t                  *texts;        /* see _filter.c */
    ngx_str_t                     joined;       /* scratch */
    ngx_str_t                     decoded;
    ngx_str_t                     encoded;
    u_char                        refused[SP_CHAT_MAX_CHOICES];
    ngx_int_t                     nrefused;     /* choices that a filter has
                                                   ended */

    sp_extras_t                  *extras;       /* NULL: none were asked for */
    ngx_str_t                     shown;        /* scratch */

    int64_t                       images;       /* that are complete */
    off_t                         bytes;        /* of a raw answer */

    u_char                       *text;         /* the assistant's */
    size_t                        text_len;
    size_t                        text_size;

    /* bytes of JSON: all that was said, what of it is in "text", what of it
       the last count of the provider has covered */
    size_t                        said;
    size_t                        text_said;
    size_t                        counted;

    ngx_uint_t                    chunks;       /* of output, since the last
                                                   look at the clock */

    unsigned                      overflow:1;   /* of json; brief is used */
    unsigned                      done:1;       /* the last event was seen */
    unsigned                      broken:1;     /* out of memory in a scan */
    unsigned                      settled:1;
    unsigned                      curtailed:1;  /* a choice was declined, or
                                                   has not come to its own
                                                   end */
} ngx_http_sp_llm_response_t;


/* the prompt that was sent last, as the gateway has counted it */
typedef struct {
    size_t                        tokens;       /* 0: none was sent */
    ngx_uint_t                    estimated;
} ngx_http_sp_llm_counted_t;


/* see _keepalive.c */
typedef struct {
    ngx_event_t                   timer;
    ngx_buf_t                     buf;
    ngx_msec_t                    said;         /* something, the last time */
    unsigned                      committed:1;  /* the header was sent before
                                                   that of a provider */
} ngx_http_sp_llm_keepalive_t;


/* see _clock.c; microseconds of ngx_sp_metric_clock() */
typedef struct {
    uint64_t                      asked;        /* the first try began */
    uint64_t                      chunk;        /* of output, the last one;
                                                   0: none so far */
} ngx_http_sp_llm_clock_t;


/* the bytes that were sent, see _replay_capture.c */
typedef struct {
    u_char                       *data;
    size_t                        len;
    size_t                        size;
    size_t                        max;
    unsigned                      on:1;
    unsigned                      over:1;       /* more than max */
    unsigned                      whole:1;
} ngx_http_sp_llm_capture_t;


/* attempt and response begin anew with each try */
typedef struct {
    ngx_http_request_t           *request;
    ngx_http_sp_turn_t           *turn;

    ngx_http_sp_llm_check_t       check;
    ngx_http_sp_llm_character_t   persona;
    ngx_uint_t                    located;      /* there is a block of it */
    size_t                        context;      /* tokens; 0: the target's */
    ngx_http_sp_llm_history_t     history;
    ngx_http_sp_llm_question_t    question;

    ngx_http_sp_route_t           route;
    ngx_sp_op_t                   lookup;       /* of the only one's name */

    ngx_http_sp_llm_keepalive_t   keepalive;
    ngx_http_sp_relay_t           relay;
    ngx_http_sp_llm_counted_t     counted;
    ngx_http_sp_llm_clock_t       clock;
    ngx_http_sp_llm_flight_t     *flight;       /* NULL: no key was sent */
    ngx_http_sp_llm_cache_t      *cache;        /* NULL: llm_cache is off */
    ngx_http_sp_llm_capture_t     capture;
    ngx_http_sp_llm_attempt_t     attempt;
    ngx_http_sp_llm_response_t    response;
} ngx_http_sp_llm_ctx_t;


#define ngx_http_sp_llm_find_ctx(r)                                           \
    (ngx_http_sp_llm_ctx_t *)                                                 \
        ngx_http_sp_find_ctx(r, &ngx_http_sp_llm_module)


/* where requests like this one are counted, of the provider that is asked */
#define ngx_http_sp_llm_metrics(ctx)                                          \
    (&(ctx)->attempt.target->provider->calls[                                 \
        ngx_http_sp_llm_call_kind((ctx)->check.conf->kind)])


/* ngx_http_sp_llm_step.c */
ngx_http_sp_call_e ngx_http_sp_llm_call_kind(ngx_http_sp_model_kind_e kind);
ngx_int_t ngx_http_sp_llm_account(ngx_http_request_t *r);
ngx_int_t ngx_http_sp_llm_check(ngx_http_request_t *r);
ngx_int_t ngx_http_sp_llm_check_model(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, const char *name, size_t len);

/* ngx_http_sp_llm_media.c: images, speech and transcriptions */

/* the table of an API in the place of that of its dialect */
const sp_dialect_t *ngx_http_sp_llm_api(const sp_dialect_t *dialect,
    const ngx_http_sp_llm_loc_conf_t *conf);

ngx_int_t ngx_http_sp_llm_check_media(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
ngx_int_t ngx_http_sp_llm_media_turn(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);

ngx_int_t ngx_http_sp_llm_media_invalid(ngx_http_request_t *r,
    const sp_chat_error_t *error);

/* of an answer that is bytes */
ngx_int_t ngx_http_sp_llm_media_type(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *value);
ngx_int_t ngx_http_sp_llm_media_feed(ngx_http_sp_llm_ctx_t *ctx, u_char *p,
    u_char *last);
ngx_int_t ngx_http_sp_llm_media_complete(ngx_http_sp_llm_ctx_t *ctx);

ngx_uint_t ngx_http_sp_llm_media_empty(const ngx_http_sp_llm_ctx_t *ctx,
    size_t len);

void ngx_http_sp_llm_media_units(ngx_http_sp_llm_ctx_t *ctx);

/* ngx_http_sp_llm_form.c: transcriptions, whose requests are forms */
char *ngx_http_sp_llm_types_conf(ngx_conf_t *cf,
    ngx_http_sp_llm_loc_conf_t *llcf, const ngx_str_t *list);
ngx_int_t ngx_http_sp_llm_check_form(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);

/* by the content type: a stream, JSON or text, whatever was asked for */
void ngx_http_sp_llm_form_type(ngx_http_sp_llm_ctx_t *ctx);

/* ngx_http_sp_llm_persona.c */
ngx_int_t ngx_http_sp_llm_persona(ngx_http_request_t *r);

/* ngx_http_sp_llm_question.c: stored before the call */
char *ngx_http_sp_llm_chats_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_sp_llm_question(ngx_http_request_t *r);
void ngx_http_sp_llm_question_end(ngx_http_request_t *r,
    const ngx_http_sp_outcome_t *outcome);

/* of an op that PostgreSQL has rejected; NULL: none of "denials" */
const ngx_http_sp_llm_denial_t *ngx_http_sp_llm_denied(
    const ngx_sp_pg_op_t *op, const ngx_http_sp_llm_denial_t *denials);

/* ngx_http_sp_llm_chat.c: a chat whose history the gateway has */
char *ngx_http_sp_llm_chat_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ngx_http_sp_llm_history.c */
ngx_int_t ngx_http_sp_llm_history(ngx_http_request_t *r);

/* ngx_http_sp_llm_locale.c */
char *ngx_http_sp_llm_locale_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_sp_llm_locale(ngx_http_request_t *r);

/* ngx_http_sp_llm_extras.c */
ngx_int_t ngx_http_sp_llm_extras_prompt(ngx_http_sp_llm_ctx_t *ctx,
    ngx_str_t *text);
ngx_int_t ngx_http_sp_llm_extras_begin(ngx_http_sp_llm_ctx_t *ctx);
ngx_int_t ngx_http_sp_llm_extras(ngx_http_sp_llm_ctx_t *ctx,
    const sp_delta_t *delta);
ngx_int_t ngx_http_sp_llm_extras_end(ngx_http_sp_llm_ctx_t *ctx);

/* ngx_http_sp_llm_copies.c: personas, per worker */
ngx_int_t ngx_http_sp_llm_copies_init(ngx_cycle_t *cycle);
ngx_int_t ngx_http_sp_llm_copies_find(ngx_pool_t *pool, const ngx_str_t *key,
    ngx_str_t *text, ngx_msec_t *age);
void ngx_http_sp_llm_copies_store(const ngx_str_t *key,
    const ngx_str_t *text);
void ngx_http_sp_llm_copies_forget(const ngx_str_t *key);
void ngx_http_sp_llm_copies_exit(void);

/* ngx_http_sp_llm_handler.c */
ngx_int_t ngx_http_sp_llm_handler(ngx_http_request_t *r);

/* the request of an attempt, into ctx->relay; or an HTTP status */
ngx_int_t ngx_http_sp_llm_request(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_attempt_t *entry);

/* ngx_http_sp_llm_context.c */
char *ngx_http_sp_llm_context_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* of the location, for this request */
ngx_int_t ngx_http_sp_llm_context(ngx_http_sp_llm_ctx_t *ctx);

/* of the target as well: the budget of the prompt, and its margin */
void ngx_http_sp_llm_budget(ngx_http_sp_llm_ctx_t *ctx, sp_prompt_t *prompt);

/* ngx_http_sp_llm_models.c */
ngx_int_t ngx_http_sp_llm_models_init(ngx_conf_t *cf);
ngx_int_t ngx_http_sp_llm_models_handler(ngx_http_request_t *r);

/* ngx_http_sp_llm_count.c */
char *ngx_http_sp_llm_count_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_sp_llm_count_handler(ngx_http_request_t *r);

/* ngx_http_sp_llm_header.c: those of the client that go on; or a status */
ngx_int_t ngx_http_sp_llm_pass_headers(ngx_http_sp_llm_ctx_t *ctx);

/* ngx_http_sp_llm_target.c */

/* the targets of a model, for one request */
ngx_int_t ngx_http_sp_llm_order(ngx_http_sp_llm_ctx_t *ctx);
ngx_int_t ngx_http_sp_llm_await(ngx_http_sp_llm_ctx_t *ctx);
ngx_int_t ngx_http_sp_llm_next(ngx_http_sp_relay_t *relay);
ngx_uint_t ngx_http_sp_llm_more(ngx_http_sp_relay_t *relay);
void ngx_http_sp_llm_failed(ngx_http_sp_relay_t *relay);

/* what to say of relay->failure, and its class */
const ngx_http_sp_llm_fault_t *ngx_http_sp_llm_fault(
    const ngx_http_sp_relay_t *relay);

/* ngx_http_sp_llm_retry.c: when it wants to be asked again, or not at all */
ngx_int_t ngx_http_sp_llm_retry_after(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *value);
ngx_int_t ngx_http_sp_llm_retry_after_ms(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *value);
ngx_int_t ngx_http_sp_llm_should_retry(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *value);
ngx_int_t ngx_http_sp_llm_pass_retry(ngx_http_sp_llm_ctx_t *ctx,
    ngx_uint_t status);

/* ngx_http_sp_llm_answer.c */
ngx_int_t ngx_http_sp_llm_start(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);

/* what a stream's header has; and such a header without a provider's */
ngx_int_t ngx_http_sp_llm_stream_header(ngx_http_sp_llm_ctx_t *ctx);
ngx_int_t ngx_http_sp_llm_send_stream_header(ngx_http_sp_llm_ctx_t *ctx);

/* ngx_http_sp_llm_keepalive.c */
ngx_int_t ngx_http_sp_llm_keepalive(ngx_http_sp_llm_ctx_t *ctx);
void ngx_http_sp_llm_keepalive_stop(ngx_http_sp_llm_ctx_t *ctx);

/* ngx_http_sp_llm_replay.c: NGX_DECLINED: the model is to be asked */
ngx_int_t ngx_http_sp_llm_replay(ngx_http_sp_llm_ctx_t *ctx);
void ngx_http_sp_llm_replay_end(ngx_http_request_t *r,
    const ngx_http_sp_outcome_t *outcome);

/* ngx_http_sp_llm_replay_conf.c, _flight.c, _store.c, _capture.c */
char *ngx_http_sp_llm_idempotency_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
void ngx_http_sp_llm_replay_init(void);
void ngx_http_sp_llm_store_init(void);
void ngx_http_sp_llm_capture_init(void);

/* before a model is asked */
void ngx_http_sp_llm_capture(ngx_http_sp_llm_ctx_t *ctx);

/* ngx_http_sp_llm_cache.c: NGX_DECLINED: the model is to be asked */
ngx_int_t ngx_http_sp_llm_cache(ngx_http_sp_llm_ctx_t *ctx);

/* ngx_http_sp_llm_cache_conf.c */
char *ngx_http_sp_llm_cache_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ngx_http_sp_llm_stream.c */
ngx_int_t ngx_http_sp_llm_feed(ngx_http_sp_llm_ctx_t *ctx, u_char *p,
    u_char *last);

/* the body has ended: NGX_DECLINED when the answer has not */
ngx_int_t ngx_http_sp_llm_complete(ngx_http_sp_llm_ctx_t *ctx);
ngx_int_t ngx_http_sp_llm_fail(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_http_sp_llm_fault_t *fault);

/* the upstream ends with rc, after the header went out */
void ngx_http_sp_llm_late(ngx_http_sp_llm_ctx_t *ctx, ngx_int_t rc,
    const ngx_http_sp_llm_fault_t *fault);

/* the end of a choice was seen for each: an end without a word is one */
ngx_uint_t ngx_http_sp_llm_finished(const ngx_http_sp_llm_ctx_t *ctx);

/* "passed": its bytes have been passed on, and only what it says is new */
ngx_int_t ngx_http_sp_llm_event(ngx_http_sp_llm_ctx_t *ctx,
    sp_sse_event_t *event, ngx_uint_t passed);

/* ngx_http_sp_llm_buf.c */

/* len bytes of old (NULL: none) in a memory of size bytes; NULL: none left */
u_char *ngx_http_sp_llm_enlarge(ngx_pool_t *pool, u_char *old, size_t len,
    size_t size);

/* a piece of the upstream's buffer; adjoining ones go out as one */
ngx_int_t ngx_http_sp_llm_pass(ngx_http_sp_llm_ctx_t *ctx, u_char *p,
    u_char *last);
ngx_chain_t *ngx_http_sp_llm_get_buf(ngx_http_sp_llm_ctx_t *ctx,
    size_t size);
void ngx_http_sp_llm_append(ngx_http_sp_llm_ctx_t *ctx, ngx_chain_t *cl);

/* ngx_http_sp_llm_large.c */
ngx_int_t ngx_http_sp_llm_large(ngx_http_sp_llm_ctx_t *ctx);
ngx_int_t ngx_http_sp_llm_large_part(ngx_http_sp_llm_ctx_t *ctx,
    const sp_sse_event_t *part);
ngx_int_t ngx_http_sp_llm_brief(ngx_http_sp_llm_ctx_t *ctx, u_char *p,
    size_t len);
ngx_int_t ngx_http_sp_llm_brief_answer(ngx_http_sp_llm_ctx_t *ctx);

/* ngx_http_sp_llm_translate.c */
ngx_int_t ngx_http_sp_llm_begin(ngx_http_sp_llm_ctx_t *ctx);
int ngx_http_sp_llm_delta(void *data, const sp_delta_t *delta);
ngx_int_t ngx_http_sp_llm_say(ngx_http_sp_llm_ctx_t *ctx,
    const sp_delta_t *delta);
ngx_int_t ngx_http_sp_llm_say_shown(ngx_http_sp_llm_ctx_t *ctx,
    const sp_delta_t *delta);
ngx_int_t ngx_http_sp_llm_write_extras(ngx_http_sp_llm_ctx_t *ctx,
    const sp_delta_t *delta);
ngx_int_t ngx_http_sp_llm_write_end(ngx_http_sp_llm_ctx_t *ctx);
ngx_int_t ngx_http_sp_llm_write_answer(ngx_http_sp_llm_ctx_t *ctx);
ngx_buf_t *ngx_http_sp_llm_fault_event(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_http_sp_llm_fault_t *fault);

/* ngx_http_sp_llm_filter.c */
ngx_int_t ngx_http_sp_llm_filter(ngx_http_sp_llm_ctx_t *ctx,
    const sp_delta_t *delta);
ngx_int_t ngx_http_sp_llm_filter_end(ngx_http_sp_llm_ctx_t *ctx);
ngx_int_t ngx_http_sp_llm_filter_word(ngx_http_sp_llm_ctx_t *ctx,
    const char **word, ngx_uint_t fixed);
u_char *ngx_http_sp_llm_scratch(ngx_http_sp_llm_ctx_t *ctx,
    ngx_str_t *scratch, size_t size);

/* ngx_http_sp_llm_error.c */
ngx_int_t ngx_http_sp_llm_error_body(ngx_http_sp_llm_ctx_t *ctx);
ngx_int_t ngx_http_sp_llm_bad_answer(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, const ngx_http_sp_llm_fault_t *fault);
ngx_int_t ngx_http_sp_llm_init_filter(ngx_conf_t *cf);

/* ngx_http_sp_llm_turn.c */
ngx_int_t ngx_http_sp_llm_turn(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, size_t prompt_tokens);
void ngx_http_sp_llm_turn_chat(ngx_http_request_t *r,
    const sp_chat_request_t *chat, ngx_http_sp_turn_t *turn);
void ngx_http_sp_llm_note(ngx_http_sp_llm_ctx_t *ctx,
    const sp_event_t *event);
ngx_int_t ngx_http_sp_llm_note_delta(ngx_http_sp_llm_ctx_t *ctx,
    const sp_delta_t *delta);
void ngx_http_sp_llm_blame(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_turn_error_e error);
ngx_int_t ngx_http_sp_llm_settle(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_finish_e finish, ngx_uint_t status);

/*
 * ngx_http_sp_llm_clock.c: a try begins; some of a stream was read; the
 * client's header is out; it is all over
 */
void ngx_http_sp_llm_clock_ask(ngx_http_sp_llm_ctx_t *ctx);
void ngx_http_sp_llm_clock_chunks(ngx_http_sp_llm_ctx_t *ctx);
void ngx_http_sp_llm_clock_pass(ngx_http_sp_llm_ctx_t *ctx);
void ngx_http_sp_llm_clock_end(ngx_http_sp_llm_ctx_t *ctx);

/* ngx_http_sp_llm_variables.c */
ngx_int_t ngx_http_sp_llm_variables_add(ngx_conf_t *cf);

/* ngx_http_sp_llm_receipt.c */
char *ngx_http_sp_llm_receipt_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_uint_t ngx_http_sp_llm_receipt_wanted(const ngx_http_sp_llm_ctx_t *ctx);
ngx_int_t ngx_http_sp_llm_receipt(ngx_http_sp_llm_ctx_t *ctx);


extern ngx_module_t  ngx_http_sp_llm_module;


#endif /* _NGX_HTTP_SP_LLM_H_INCLUDED_ */
