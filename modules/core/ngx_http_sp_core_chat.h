
/*
 * Copyright (C) Sallyport authors
 *
 * Part of ngx_http_sp_core.h: the texts of a chat, and what it came to.
 */

#ifndef _NGX_HTTP_SP_CORE_CHAT_H_INCLUDED_
#define _NGX_HTTP_SP_CORE_CHAT_H_INCLUDED_


/* Blocks of the prompt */

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
} ngx_http_sp_block_t;

/* enrich steps add, the llm content handler reads in order of rank */
ngx_int_t ngx_http_sp_add_block(ngx_http_request_t *r,
    const ngx_http_sp_block_t *block);
ngx_queue_t *ngx_http_sp_blocks(ngx_http_request_t *r);


/* Turns: what a chat request came to */

typedef enum {
    NGX_HTTP_SP_TURN_NONE = 0,   /* no request for a model: no account */
    NGX_HTTP_SP_TURN_REFUSED,    /* no model was asked */
    NGX_HTTP_SP_TURN_COMPLETE,
    NGX_HTTP_SP_TURN_PARTIAL,    /* the client left, text was delivered */
    NGX_HTTP_SP_TURN_FAILED,
    NGX_HTTP_SP_TURN_REPLAYED,   /* answered as before, at no cost */
    NGX_HTTP_SP_TURN_CACHED      /* by an answer to the same; a new turn */
} ngx_http_sp_finish_e;


/*
 * Why a turn is not complete, by whose fault it is: a closed vocabulary, also
 * of column "error_type" of the ledger and of sallyport_llm_errors_total
 */

typedef enum {
    NGX_HTTP_SP_TURN_OK = 0,

    NGX_HTTP_SP_CALLER_INVALID_REQUEST,
    NGX_HTTP_SP_CALLER_UNKNOWN_MODEL,
    NGX_HTTP_SP_CALLER_DISCONNECTED,

    NGX_HTTP_SP_POLICY_QUOTA,
    NGX_HTTP_SP_POLICY_MODERATION,
    NGX_HTTP_SP_POLICY_ACCESS,

    NGX_HTTP_SP_PROVIDER_UNREACHABLE,
    NGX_HTTP_SP_PROVIDER_TIMEOUT,
    NGX_HTTP_SP_PROVIDER_RATE_LIMITED,
    NGX_HTTP_SP_PROVIDER_OVERLOADED,
    NGX_HTTP_SP_PROVIDER_AUTH,
    NGX_HTTP_SP_PROVIDER_UNKNOWN_MODEL,
    NGX_HTTP_SP_PROVIDER_REFUSED_REQUEST,
    NGX_HTTP_SP_PROVIDER_INVALID_ANSWER,
    NGX_HTTP_SP_PROVIDER_CUT,
    NGX_HTTP_SP_PROVIDER_ERROR,

    NGX_HTTP_SP_GATEWAY_UNAVAILABLE,
    NGX_HTTP_SP_GATEWAY_ERROR,

    NGX_HTTP_SP_TURN_ERRORS
} ngx_http_sp_turn_error_e;


/* what a model was called for; column "kind" of the ledger */

typedef enum {
    NGX_HTTP_SP_CALL_CHAT = 0,
    NGX_HTTP_SP_CALL_EMBEDDING,
    NGX_HTTP_SP_CALL_EXTRACTION,
    NGX_HTTP_SP_CALL_IMAGE,
    NGX_HTTP_SP_CALL_SPEECH,
    NGX_HTTP_SP_CALL_TRANSCRIPTION,
    NGX_HTTP_SP_CALLS
} ngx_http_sp_call_e;


/*
 * Who writes what: "id", "request_id", "trace_id", "user_id", "begun", "total"
 * and "cost" the core; "memory" the memory step; the rest the content handler,
 * when it begins ("started", "store") and when it ends.
 *
 * Tokens are -1 where nobody has told or counted them.  What the provider has
 * told is kept as it is; an estimate is made only where that is not all, and
 * goes before it.  The prompt's hold those read from and written to the
 * provider's cache, the completion's those of reasoning.
 */

struct ngx_http_sp_turn_s {
    u_char                    id[36];          /* UUID, made by the core */
    ngx_http_sp_call_e        kind;
    ngx_str_t                 request_id;      /* empty: beside requests */
    ngx_str_t                 trace_id;        /* empty: there is none */
    ngx_str_t                 user_id;         /* empty: nobody */
    ngx_str_t                 character_id;    /* empty: none */
    ngx_str_t                 chat_id;         /* empty: none */
    ngx_str_t                 parent_id;       /* "root"; empty: the leaf */
    ngx_str_t                 question_id;     /* empty: that of the turn */
    ngx_str_t                 provider;
    ngx_str_t                 model;           /* the provider's name of it */
    ngx_str_t                 alias;           /* the client's */
    ngx_str_t                 user_text;
    ngx_str_t                 assistant_text;
    ngx_str_t                 finish_reason;   /* the provider's */
    ngx_http_sp_finish_e      finish;
    ngx_http_sp_turn_error_e  error;           /* OK: the core finds it */
    ngx_uint_t                status;          /* HTTP status answered */
    const ngx_array_t        *attempts;        /* attempt_t *, in order */

    int64_t                   prompt_tokens;   /* of the provider */
    int64_t                   completion_tokens;
    int64_t                   cached_tokens;
    int64_t                   cache_write_tokens;
    int64_t                   reasoning_tokens;
    int64_t                   estimated_prompt_tokens;
    int64_t                   estimated_completion_tokens;
    int64_t                   units;           /* images of the answer,
                                                  characters that were to be
                                                  spoken, or seconds that were
                                                  heard; -1: none */
    int64_t                   cost;            /* 10^-9 of the currency; -1:
                                                  there is no price */
    ngx_str_t                 currency;
    ngx_str_t                 receipt;         /* JSON; empty: none */

    uint64_t                  begun;           /* ngx_sp_metric_clock() */
    uint64_t                  outside;         /* us that others took, so far:
                                                  client, providers */
    uint64_t                  left;            /* ... since then too; 0: none
                                                  is waited for */
    ngx_msec_t                started;         /* ngx_current_msec */
    ngx_msec_t                first_byte;      /* since started; 0: none */
    ngx_msec_t                total;           /* since started */
    unsigned                  stream:1;
    unsigned                  store:1;         /* messages, not only ledger */
    unsigned                  memory:1;        /* counts for extraction */
    unsigned                  at_once:1;       /* does not wait in the spool
                                                  for other turns */
};


/* "complete"; "provider_timeout", or empty */
const char *ngx_http_sp_turn_outcome(ngx_http_sp_finish_e finish);
const char *ngx_http_sp_turn_error_name(ngx_http_sp_turn_error_e error);

/* made on first call; filled by the content handler; NULL: no memory */
ngx_http_sp_turn_t *ngx_http_sp_turn(ngx_http_request_t *r);

/*
 * The request is one for a model: it has a row of the ledger from now on,
 * whatever becomes of it, for the identity that it has now.
 */
ngx_int_t ngx_http_sp_turn_open(ngx_http_request_t *r,
    ngx_http_sp_call_e kind);

/*
 * From now on somebody outside is waited for, and no more: what is left of the
 * time since "begun" is the gateway's own.
 */
void ngx_http_sp_turn_leave(ngx_http_sp_turn_t *turn);
void ngx_http_sp_turn_return(ngx_http_sp_turn_t *turn);

/*
 * Where "turn_store" is configured, accepts the turn: it is in the spool
 * file (survives kill -9 of the worker) when this returns NGX_OK, and in
 * PostgreSQL with the next batch.  Call it before the last byte is sent; the
 * core calls it at the end of every request that has a turn if nobody has.
 * The second call does nothing.
 */
ngx_int_t ngx_http_sp_settle(ngx_http_request_t *r);

/*
 * What the user says in a turn, before it is answered: the line that the spool
 * and chat.ask() take.  Its id is the turn's, or its own, so it is stored
 * once, whoever comes first.
 */
ngx_int_t ngx_http_sp_turn_question(ngx_pool_t *pool,
    const ngx_http_sp_turn_t *turn, ngx_str_t *line);

/* into the spool of "turn_store", which conf_turns() says is there, so far */
ngx_int_t ngx_http_sp_turn_spool(ngx_http_request_t *r,
    const ngx_str_t *line);
ngx_flag_t ngx_http_sp_conf_turns(ngx_conf_t *cf);


#endif /* _NGX_HTTP_SP_CORE_CHAT_H_INCLUDED_ */
