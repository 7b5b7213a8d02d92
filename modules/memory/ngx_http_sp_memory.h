
/*
 * Copyright (C) Sallyport authors
 *
 * Long-term memory: recall before the model is called, extraction afterwards.
 */

#ifndef _NGX_HTTP_SP_MEMORY_H_INCLUDED_
#define _NGX_HTTP_SP_MEMORY_H_INCLUDED_


#include "ngx_http_sp_core.h"

#include "sp_recall.h"


/* candidates that one recall brings */
#define NGX_HTTP_SP_MEMORY_FACTS  60
#define NGX_HTTP_SP_MEMORY_TURNS  20
#define NGX_HTTP_SP_MEMORY_ITEMS                                              \
    (NGX_HTTP_SP_MEMORY_FACTS + NGX_HTTP_SP_MEMORY_TURNS)


/* a model that is called from the side */

typedef struct {
    ngx_http_sp_model_t      *model;       /* NULL: off */
    ngx_str_t                 file;        /* where it is named */
    ngx_uint_t                line;
    ngx_msec_t                timeout;
    ngx_uint_t                dimensions;  /* 0: the model's own */
} ngx_http_sp_memory_model_t;


typedef struct {
    ngx_sp_pg_t              *pg;

    ngx_http_sp_memory_model_t  embedder;
    ngx_str_t                 embed_model; /* id stored with each vector */
    ngx_uint_t                cache;       /* entries per worker */

    ngx_http_sp_memory_model_t  extractor;
    ngx_sp_job_kind_t         job;

    /* counters of recalls by outcome */
    ngx_sp_metric_t          *used;
    ngx_sp_metric_t          *none;
    ngx_sp_metric_t          *late;
    ngx_sp_metric_t          *off;
    ngx_sp_metric_t          *lexical;     /* used or none, but no vector */
    ngx_sp_metric_t          *cached;
    ngx_sp_metric_t          *duration;
    ngx_sp_metric_t          *extracted;
} ngx_http_sp_memory_main_conf_t;


typedef struct {
    ngx_flag_t                enable;
    ngx_str_t                 file;        /* where it was enabled */
    ngx_uint_t                line;
    ngx_msec_t                timeout;
    ngx_uint_t                block;       /* tokens */

    /* as text, parameters of the statement */
    ngx_str_t                 weight_vector;
    ngx_str_t                 weight_lexical;
    ngx_str_t                 floor;
} ngx_http_sp_memory_loc_conf_t;


typedef enum {
    NGX_HTTP_SP_MEMORY_START = 0,
    NGX_HTTP_SP_MEMORY_RECALL,
    NGX_HTTP_SP_MEMORY_DONE
} ngx_http_sp_memory_state_e;


/* one call of mem.recall */

typedef struct {
    ngx_sp_pg_op_t            op;
    ngx_sp_pg_query_t         query;
    ngx_http_request_t       *request;
    sp_recall_item_t         *items;
    ngx_uint_t                nitems;
    ngx_uint_t                ok;          /* it answered, items are ours */
} ngx_http_sp_memory_recall_t;


typedef struct {
    ngx_http_sp_memory_state_e   state;
    ngx_http_request_t          *request;
    sp_chat_request_t           *chat;
    ngx_http_sp_turn_t          *turn;         /* that counts for memory */
    ngx_msec_t                   started;
    ngx_str_t                    query;    /* the last user message, capped */
    ngx_str_t                    before;   /* the assistant's, before it */

    ngx_http_sp_memory_recall_t  lexical;
    ngx_http_sp_memory_recall_t  vector;

    ngx_http_sp_span_t          *span;       /* of the recall; or NULL */
    ngx_http_sp_call_t           embed;
    ngx_str_t                    embedding;  /* "[0.1,...]"; empty: none */

    ngx_uint_t                   changes;    /* whose it is */
    unsigned                     embed_done:1;
} ngx_http_sp_memory_ctx_t;


extern ngx_module_t  ngx_http_sp_memory_module;


/* memory_embedder, memory_extractor */
char *ngx_http_sp_memory_embedder(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sp_memory_extractor(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* all models are known: NGX_ERROR after logging what does not fit */
ngx_int_t ngx_http_sp_memory_models(ngx_conf_t *cf,
    ngx_http_sp_memory_main_conf_t *mmcf);

/* step: enrich, rank 200 */
ngx_int_t ngx_http_sp_memory_step(ngx_http_request_t *r);

/*
 * recall: submits mem.recall for the identity of the request; without an
 * embedding it is the lexical one
 */
ngx_int_t ngx_http_sp_memory_recall(ngx_http_request_t *r,
    ngx_http_sp_memory_ctx_t *ctx, ngx_http_sp_memory_recall_t *recall,
    const ngx_str_t *embedding, ngx_msec_t timeout);

/* adds the block to the prompt; returns the items used, or NGX_ERROR */
ngx_int_t ngx_http_sp_memory_inject(ngx_http_request_t *r,
    ngx_http_sp_memory_ctx_t *ctx);

/* the cache of the worker: NGX_OK and a copy, or NGX_DECLINED */
ngx_int_t ngx_http_sp_memory_cache_get(ngx_pool_t *pool,
    const ngx_str_t *text, ngx_str_t *vector);
void ngx_http_sp_memory_cache_put(const ngx_str_t *text,
    const ngx_str_t *vector);
ngx_int_t ngx_http_sp_memory_cache_init(ngx_uint_t entries);
void ngx_http_sp_memory_cache_exit(void);

/* what a job waits for after its first failure */
#define NGX_HTTP_SP_MEMORY_JOB_DELAY  30000

/*
 * job: a statement in a transaction of the gateway, and its one value; a
 * call to be submitted.  "done" gets job->ctx
 */
ngx_int_t ngx_http_sp_memory_job_query(ngx_sp_job_t *job,
    const ngx_sp_pg_statement_t *statement, const ngx_str_t *params,
    ngx_sp_op_handler_pt done);
ngx_str_t ngx_http_sp_memory_job_value(ngx_sp_op_t *op);
ngx_http_sp_call_t *ngx_http_sp_memory_job_call(ngx_sp_job_t *job,
    const ngx_http_sp_memory_model_t *model, ngx_http_sp_call_e kind,
    ngx_sp_op_handler_pt done);
json_t *ngx_http_sp_memory_job_parse(const ngx_str_t *text);
void ngx_http_sp_memory_job_again(ngx_sp_job_t *job,
    const char *reason);

/* backfill: the job, and who makes it */
ngx_int_t ngx_http_sp_memory_backfill_init(ngx_conf_t *cf,
    ngx_http_sp_memory_main_conf_t *mmcf);

/* extract: the job */
void ngx_http_sp_memory_extract(ngx_sp_job_t *job);

/*
 * extractor: what the model is asked about what mem.extract_input gave, to be
 * freed; and the items of its answer; NULL: it is not what was asked for
 */
sp_chat_request_t *ngx_http_sp_memory_extract_request(json_t *input);
json_t *ngx_http_sp_memory_extract_response(const ngx_str_t *text);

/* a JSON value as text from the pool; data NULL: no memory */
ngx_str_t ngx_http_sp_memory_dump(ngx_pool_t *pool, const json_t *value);


#endif /* _NGX_HTTP_SP_MEMORY_H_INCLUDED_ */
