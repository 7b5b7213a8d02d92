
/*
 * Copyright (C) Sallyport authors
 *
 * Part of ngx_http_sp_core.h: the registry of models, and calls beside
 * requests.
 *
 * A provider is an API at an address, with a key.  Clients and directives
 * name a model by its alias, which has targets: models of providers, to be
 * asked one after the other.
 */

#ifndef _NGX_HTTP_SP_CORE_MODEL_H_INCLUDED_
#define _NGX_HTTP_SP_CORE_MODEL_H_INCLUDED_


/* an alias is not sent around for ever */
#define NGX_HTTP_SP_MODEL_TARGETS       16

/* content type, and what a dialect adds for the key */
#define NGX_HTTP_SP_PROVIDER_HEADERS    8

/* bits of a word */
#define NGX_HTTP_SP_PROVIDER_KEYS       32


typedef enum {
    NGX_HTTP_SP_MODEL_CHAT = 0,
    NGX_HTTP_SP_MODEL_EMBEDDING,
    NGX_HTTP_SP_MODEL_IMAGE,
    NGX_HTTP_SP_MODEL_SPEECH,
    NGX_HTTP_SP_MODEL_TRANSCRIPTION,    /* into another language as well */
    NGX_HTTP_SP_MODEL_KINDS
} ngx_http_sp_model_kind_e;


/* what a chat model can do, where its line says so: bits */
#define NGX_HTTP_SP_CAN_TOOLS        0x0001
#define NGX_HTTP_SP_CAN_VISION       0x0002
#define NGX_HTTP_SP_CAN_AUDIO        0x0004
#define NGX_HTTP_SP_CAN_FILES        0x0008
#define NGX_HTTP_SP_CAN_JSON_SCHEMA  0x0010
#define NGX_HTTP_SP_CAN_REASONING    0x0020


/* of one provider and one ngx_http_sp_call_e */

typedef struct {
    ngx_sp_metric_t              *complete;
    ngx_sp_metric_t              *partial;     /* of chats, of speech */
    ngx_sp_metric_t              *failed;
    ngx_sp_metric_t              *prompt_tokens;
    ngx_sp_metric_t              *completion_tokens;
    ngx_sp_metric_t              *cached_tokens;    /* of the prompt's */
    ngx_sp_metric_t              *reasoning_tokens; /* of the completion's */
    ngx_sp_metric_t              *cost;        /* 10^-9 of the currency */
} ngx_http_sp_call_metrics_t;


struct ngx_http_sp_key_s {
    ngx_str_t                     value;       /* never logged; or empty */
    ngx_str_t                     headers;     /* of every request, as text */
    ngx_str_t                     lines[NGX_HTTP_SP_PROVIDER_HEADERS];
    ngx_uint_t                    nlines;      /* of every fetch */
    ngx_http_sp_breaker_t        *breaker;
};


typedef struct {
    ngx_str_t                     name;
    const sp_dialect_t           *dialect;

    ngx_http_sp_relay_endpoint_t  endpoint;
    ngx_str_t                     url;         /* no slash at its end */
    ngx_array_t                   keys;        /* key_t; one without a value
                                                  where it wants none */
    ngx_uint_t                    max_fails;
    ngx_msec_t                    fail_timeout;
    ngx_msec_t                    cooldown;
    ngx_flag_t                    stream_usage;
    sp_dialect_options_t          options;
    ngx_int_t                     max_tokens;  /* of a request that tells
                                                  none; 0: it need not */
    ngx_uint_t                    models;      /* of the block */
    ngx_uint_t                    kinds;       /* of them: 1 << kind */

    ngx_http_sp_call_metrics_t    calls[NGX_HTTP_SP_CALLS];
    ngx_sp_metric_t              *failures[NGX_HTTP_SP_FAILURES];
    ngx_sp_metric_t              *unterminated;
} ngx_http_sp_provider_t;


/* llm_tokenizer: a vocabulary, in memory that all workers share */

typedef struct {
    ngx_str_t                     name;
    sp_bpe_pattern_e              pattern;
    const sp_bpe_t               *bpe;         /* NULL: only named so far */
    ngx_str_t                     file;        /* of a model that names it */
    ngx_uint_t                    line;
} ngx_http_sp_tokenizer_t;


/* of requests of clients that are answered by one target */

typedef struct {
    ngx_sp_metric_t              *overhead;    /* of the gateway */
    ngx_sp_metric_t              *duration;
    ngx_sp_metric_t              *first_chunk; /* NULL: of embeddings */
    ngx_sp_metric_t              *chunk;
} ngx_http_sp_target_metrics_t;


/* a model of a provider, where requests for an alias may go */

struct ngx_http_sp_target_s {
    ngx_str_t                     name;        /* the provider's */
    size_t                        context;     /* tokens; 0: not known */
    size_t                        output;      /* the same, of an answer */
    ngx_uint_t                    weight;
    ngx_http_sp_provider_t       *provider;
    ngx_http_sp_tokenizer_t      *tokenizer;   /* NULL: tokens are estimated */
    sp_bpe_pattern_e              pattern;     /* ... as for these models */
    ngx_http_sp_breaker_t        *breaker;
    ngx_http_sp_breaker_t       **limits;      /* by key */
    sp_price_t                    price;
    uint64_t                      unit_price;  /* 10^-9 of the currency for one
                                                  of turn->units */
    ngx_http_sp_target_metrics_t  metrics;
    unsigned                      backup:1;
    unsigned                      priced:1;
    unsigned                      unit_priced:1;
    unsigned                      estimate:1;  /* tokenizer=off */
};


struct ngx_http_sp_model_s {
    ngx_str_t                     alias;
    ngx_http_sp_model_kind_e      kind;
    ngx_array_t                   targets;     /* ngx_http_sp_target_t */
    ngx_uint_t                    capabilities;    /* 0: not told */
    unsigned                      internal:1;  /* clients cannot name it */
};


/*
 * In a setter: the model that a directive names.  It may be defined further
 * down; what it is, and that it is at all, is checked at the end of the
 * configuration.  "beside": it is for ngx_http_sp_call_submit().  NULL after
 * logging why.
 */
ngx_http_sp_model_t *ngx_http_sp_model(ngx_conf_t *cf,
    const ngx_str_t *alias, ngx_http_sp_model_kind_e kind,
    ngx_uint_t beside);

/* at run time: one of this kind that a client may name, or NULL */
ngx_http_sp_model_t *ngx_http_sp_find_model(ngx_http_request_t *r,
    const ngx_str_t *alias, ngx_http_sp_model_kind_e kind);

/* all of them: ngx_http_sp_model_t *, in the order of the configuration */
const ngx_array_t *ngx_http_sp_models(ngx_conf_t *cf);

/* "chat" */
const char *ngx_http_sp_model_kind(ngx_http_sp_model_kind_e kind);

/* the word for the bit 1 << i of what a model can do; NULL: there is none */
const char *ngx_http_sp_capability(ngx_uint_t i);

/*
 * The order in which the targets are asked: by weight, then those that are
 * backups.  "targets" takes as many as there are.
 */
void ngx_http_sp_model_order(const ngx_http_sp_model_t *model,
    const ngx_http_sp_target_t **targets);

/*
 * A counter for the tokens of one request to this target.  It is used at once:
 * all counters of a worker share their memory.
 */
void ngx_http_sp_tokens(const ngx_http_sp_target_t *target,
    sp_tokens_t *tokens);


/*
 * What a turn that ends has cost, by the prices of the target that was asked:
 * into turn->cost and the metrics.  Once for each target.
 */
void ngx_http_sp_account(ngx_http_sp_turn_t *turn,
    const ngx_http_sp_target_t *target);


/*
 * A call beside requests, over fetch, in the dialect of each target: an op
 * like any other (see ngx_sp_op.h).  A target that cannot be reached, or that
 * gives no answer of its dialect, hands over to the next one; each has its
 * share of the time that is left.  What an answer has cost is in the ledger,
 * and in metrics, before "done" is called.
 *
 *     OK           an answer
 *     REJECTED     the request is to blame (400, 413, 422): nobody else was
 *                  asked, "status" says which
 *     TIMEOUT, UNAVAILABLE
 */

typedef struct {
    ngx_sp_op_t                   op;          /* first */

    /* set by the caller, and kept until "done" */

    const ngx_http_sp_model_t    *model;
    ngx_http_sp_call_e            kind;
    ngx_pool_t                   *pool;
    ngx_str_t                     user_id;     /* for whom; empty: nobody */
    ngx_str_t                     character_id;

    const sp_chat_request_t      *chat;        /* of a chat model, or: */
    const ngx_str_t              *texts;
    ngx_uint_t                    ntexts;
    ngx_uint_t                    dimensions;  /* 0: the model's own */

    const ngx_http_sp_trace_t    *trace;       /* NULL: of none */
    ngx_http_sp_span_t           *span;        /* that it is a part of; or
                                                  NULL */

    /* from "done" on, as long as the pool */

    ngx_uint_t                    status;      /* of HTTP; 0: no answer */
    ngx_str_t                     text;        /* of a chat */
    ngx_str_t                    *vectors;     /* "[0.1,...]", by text */

    /* private */

    ngx_sp_fetch_op_t             fetch;
    ngx_http_sp_route_t           route;
    ngx_http_sp_attempt_t        *attempt;
    ngx_uint_t                    found;       /* vectors */
} ngx_http_sp_call_t;


void ngx_http_sp_call_submit(ngx_http_sp_call_t *call);


#endif /* _NGX_HTTP_SP_CORE_MODEL_H_INCLUDED_ */
