
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
    NGX_HTTP_SP_TURN_NONE = 0,   /* no model was called */
    NGX_HTTP_SP_TURN_COMPLETE,
    NGX_HTTP_SP_TURN_PARTIAL,    /* the client left, text was delivered */
    NGX_HTTP_SP_TURN_FAILED
} ngx_http_sp_finish_e;


/* what a model was called for; column "kind" of the ledger */

typedef enum {
    NGX_HTTP_SP_CALL_CHAT = 0,
    NGX_HTTP_SP_CALL_EMBEDDING,
    NGX_HTTP_SP_CALL_EXTRACTION,
    NGX_HTTP_SP_CALLS
} ngx_http_sp_call_e;


/*
 * Who writes what: "id", "total" the core; "memory" the memory step; the rest
 * the content handler, when it begins ("started", "store") and when it ends.
 */

struct ngx_http_sp_turn_s {
    u_char                    id[36];          /* UUID, made by the core */
    ngx_http_sp_call_e        kind;
    ngx_str_t                 character_id;    /* empty: none */
    ngx_str_t                 chat_id;         /* empty: none */
    ngx_str_t                 provider;
    ngx_str_t                 model;           /* the provider's name of it */
    ngx_str_t                 alias;           /* the client's */
    ngx_str_t                 user_text;
    ngx_str_t                 assistant_text;
    ngx_str_t                 finish_reason;   /* the provider's */
    ngx_http_sp_finish_e      finish;
    ngx_uint_t                status;          /* HTTP status answered */
    const ngx_array_t        *attempts;        /* attempt_t *, in order */
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
};


/* made on first call; filled by the content handler; NULL: no memory */
ngx_http_sp_turn_t *ngx_http_sp_turn(ngx_http_request_t *r);

/*
 * Where "turn_store" is configured, accepts the turn: it is in the spool
 * file (survives kill -9 of the worker) when this returns NGX_OK, and in
 * PostgreSQL with the next batch.  Call it before the last byte is sent; the
 * core calls it at the end of every request that has a turn if nobody has.
 * The second call does nothing.
 */
ngx_int_t ngx_http_sp_settle(ngx_http_request_t *r);


#endif /* _NGX_HTTP_SP_CORE_CHAT_H_INCLUDED_ */
