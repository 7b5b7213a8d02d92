
/*
 * Copyright (C) Sallyport authors
 *
 * Answers that are given again: private to ngx_http_sp_llm_replay*.c.
 *
 *     replay.c          "Idempotency-Key": what it leads to
 *     replay_conf.c     llm_idempotency
 *     cache.c           llm_cache: what it leads to
 *     cache_conf.c      its directive
 *     cache_key.c       which requests have the same answer
 *     replay_flight.c   requests that run, and those that wait for them
 *     replay_store.c    entries in Redis
 *     replay_capture.c  what was sent
 *     replay_send.c     a kept answer, sent
 *     replay_hash.c     names of entries
 */

#ifndef _NGX_HTTP_SP_LLM_REPLAY_H_INCLUDED_
#define _NGX_HTTP_SP_LLM_REPLAY_H_INCLUDED_


#include "ngx_http_sp_llm.h"

#include "sp_replay.h"
#include "sp_scan.h"

#include <openssl/evp.h>


/* milliseconds: what a killed worker has left is gone after the lease */
#define NGX_HTTP_SP_LLM_LEASE  (ngx_msec_t) 30000
#define NGX_HTTP_SP_LLM_RENEW  (ngx_msec_t) 10000

/* bytes of a hash, and of the names that are made of one */
#define NGX_HTTP_SP_LLM_HASH   32
#define NGX_HTTP_SP_LLM_NAME   (sizeof("idempotency:") - 1                    \
                                + 2 * NGX_HTTP_SP_LLM_HASH)


typedef enum {
    NGX_HTTP_SP_LLM_IDLE = 0,
    NGX_HTTP_SP_LLM_WAITING,       /* for another request of this worker */
    NGX_HTTP_SP_LLM_ASKING,        /* Redis */
    NGX_HTTP_SP_LLM_RUNNING,       /* it is the first one */
    NGX_HTTP_SP_LLM_ENDED
} ngx_http_sp_llm_flight_e;


/* a request with a key; memory of the request */
struct ngx_http_sp_llm_flight_s {
    ngx_str_node_t                   sn;        /* first; its name */
    ngx_http_sp_llm_ctx_t           *ctx;
    const ngx_http_sp_llm_store_t   *store;
    ngx_http_sp_llm_flight_e         state;
    ngx_uint_t                       changes;   /* of the identity */

    ngx_queue_t                      waiters;   /* who wait for this one */
    ngx_uint_t                       nwaiters;
    ngx_http_sp_llm_flight_t        *first;     /* who is waited for */
    ngx_queue_t                      queue;
    ngx_event_t                      timer;     /* of the wait or the lease */

    ngx_sp_redis_op_t                op;
    ngx_str_t                        reply;     /* empty: it was claimed */
    ngx_uint_t                       failed;    /* no memory for it */
    ngx_int_t                        status;    /* refused; 0: it is not */

    sp_replay_t                      marker;
    u_char                           name[NGX_HTTP_SP_LLM_NAME];

    unsigned                         listed:1;
    unsigned                         late:1;    /* it has waited too long */
};


/* a request where llm_cache is on; memory of the request */
struct ngx_http_sp_llm_cache_s {
    const ngx_http_sp_llm_store_t   *store;
    ngx_sp_redis_op_t                op;
    ngx_str_t                        reply;     /* empty: there is none */
    ngx_http_sp_llm_cache_e          status;
    u_char                           key[NGX_HTTP_SP_LLM_HASH];

    unsigned                         known:1;   /* the key */
    unsigned                         keep:1;    /* an answer that is whole */
};


typedef struct {
    EVP_MD_CTX                      *md;
    ngx_uint_t                       ok;
} ngx_http_sp_llm_hash_t;

/* ngx_http_sp_llm_replay.c */

/* the key of the request; NGX_DECLINED: it has none; or a status */
ngx_int_t ngx_http_sp_llm_replay_key(ngx_http_request_t *r, ngx_str_t *key);

/* ngx_http_sp_llm_replay_flight.c */

/* NULL: nobody is at it in this worker, and this request is from now on */
ngx_http_sp_llm_flight_t *ngx_http_sp_llm_flight_list(
    ngx_http_sp_llm_flight_t *flight);
void ngx_http_sp_llm_flight_unlist(ngx_http_sp_llm_flight_t *flight);

/* NGX_OK; NGX_DECLINED: too many wait already */
ngx_int_t ngx_http_sp_llm_flight_wait(ngx_http_sp_llm_flight_t *flight,
    ngx_http_sp_llm_flight_t *first);
void ngx_http_sp_llm_flight_run(ngx_http_sp_llm_flight_t *flight);
void ngx_http_sp_llm_flight_end(ngx_http_sp_llm_flight_t *flight,
    const ngx_http_sp_turn_t *turn);

/* ngx_http_sp_llm_replay_store.c */
ngx_int_t ngx_http_sp_llm_store_claim(ngx_http_sp_llm_flight_t *flight);

/* in the place of the marker, if that is still there; NULL: nothing */
void ngx_http_sp_llm_store_put(const ngx_http_sp_llm_flight_t *flight,
    const sp_replay_t *entry, ngx_msec_t ttl);

/* GET, for this request; and SET, which outlives it */
ngx_int_t ngx_http_sp_llm_store_get(ngx_http_request_t *r,
    ngx_http_sp_llm_cache_t *cache);
void ngx_http_sp_llm_store_set(const ngx_http_sp_llm_cache_t *cache,
    const sp_replay_t *entry);

/* ngx_http_sp_llm_replay_conf.c */

/* a parameter of a directive; not NGX_OK: it was refused, with a message */
typedef ngx_int_t (*ngx_http_sp_llm_store_arg_pt)(ngx_conf_t *cf,
    ngx_http_sp_llm_store_t *store, ngx_str_t *arg);

/* "off | REDIS [parameters]"; with NGX_CONF_OK *store is NULL if it is off */
char *ngx_http_sp_llm_store_conf(ngx_conf_t *cf,
    ngx_http_sp_llm_store_t **store, const ngx_http_sp_llm_store_t *defaults,
    ngx_http_sp_llm_store_arg_pt arg);

/* those that all have; NGX_DECLINED: it is not known */
ngx_int_t ngx_http_sp_llm_store_arg(ngx_conf_t *cf,
    ngx_http_sp_llm_store_t *store, ngx_str_t *arg);

/* ngx_http_sp_llm_replay_hash.c; end() in any case */
void ngx_http_sp_llm_hash_begin(ngx_http_sp_llm_hash_t *hash);
void ngx_http_sp_llm_hash_add(ngx_http_sp_llm_hash_t *hash,
    const ngx_str_t *part);
void ngx_http_sp_llm_hash_word(ngx_http_sp_llm_hash_t *hash,
    const char *word);
void ngx_http_sp_llm_hash_number(ngx_http_sp_llm_hash_t *hash,
    uint64_t number);
ngx_int_t ngx_http_sp_llm_hash_end(ngx_http_sp_llm_hash_t *hash,
    u_char *out);
ngx_int_t ngx_http_sp_llm_replay_hash(const ngx_str_t *parts, ngx_uint_t n,
    u_char *out);

/* ngx_http_sp_llm_cache.c */
void ngx_http_sp_llm_cache_keep(ngx_http_sp_llm_ctx_t *ctx);
void ngx_http_sp_llm_cache_end(ngx_http_sp_llm_ctx_t *ctx);

/* ngx_http_sp_llm_cache_key.c */
ngx_int_t ngx_http_sp_llm_cache_key(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_http_sp_llm_store_t *store, u_char *key);

/* ngx_http_sp_llm_replay_send.c */
ngx_int_t ngx_http_sp_llm_replay_send(ngx_http_sp_llm_ctx_t *ctx,
    const sp_replay_t *entry);


#endif /* _NGX_HTTP_SP_LLM_REPLAY_H_INCLUDED_ */
