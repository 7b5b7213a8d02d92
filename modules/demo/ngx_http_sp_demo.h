
/*
 * Copyright (C) Sallyport authors
 *
 * A development tool: answers like an OpenAI server, without a model.
 */

#ifndef _NGX_HTTP_SP_DEMO_H_INCLUDED_
#define _NGX_HTTP_SP_DEMO_H_INCLUDED_


#include "ngx_http_sp_core.h"

#include "sp_prompt.h"


typedef struct {
    ngx_flag_t            enable;
    ngx_msec_t            delay;         /* between two words */
} ngx_http_sp_demo_loc_conf_t;


/* a growing text in a pool; "failed" is looked at once, at the end */
typedef struct {
    ngx_pool_t           *pool;
    u_char               *data;
    size_t                len;
    size_t                size;
    ngx_uint_t            failed;
} ngx_http_sp_demo_text_t;


typedef struct {
    sp_chat_request_t    *chat;
    ngx_str_t             reply;
    size_t                sent;          /* bytes of the reply */
    size_t                prompt_tokens;
    size_t                completion_tokens;
    ngx_uint_t            state;
    ngx_event_t           timer;
    ngx_chain_t          *free;
    ngx_chain_t          *busy;
    u_char                id[sizeof("chatcmpl-demo-") - 1 + 16];
    unsigned              cut:1;         /* by max_tokens */
} ngx_http_sp_demo_ctx_t;


/* ngx_http_sp_demo_handler.c */
ngx_int_t ngx_http_sp_demo_handler(ngx_http_request_t *r);

/* ngx_http_sp_demo_stream.c */
ngx_int_t ngx_http_sp_demo_stream(ngx_http_request_t *r,
    ngx_http_sp_demo_ctx_t *ctx);

/* ngx_http_sp_demo_reply.c */
ngx_int_t ngx_http_sp_demo_reply(ngx_http_request_t *r,
    ngx_http_sp_demo_ctx_t *ctx);

/* ngx_http_sp_demo_extract.c */
ngx_uint_t ngx_http_sp_demo_wants_memories(const sp_chat_request_t *chat);
void ngx_http_sp_demo_extract(ngx_http_sp_demo_text_t *text,
    const sp_chat_request_t *chat);

/* ngx_http_sp_demo_embed.c */
ngx_int_t ngx_http_sp_demo_embeddings(ngx_http_request_t *r);

/* ngx_http_sp_demo_text.c */
void ngx_http_sp_demo_add(ngx_http_sp_demo_text_t *text, const void *data,
    size_t len);
void ngx_http_sp_demo_add_json(ngx_http_sp_demo_text_t *text,
    const void *data, size_t len);
void ngx_http_sp_demo_printf(ngx_http_sp_demo_text_t *text, const char *fmt,
    ...);
ngx_uint_t ngx_http_sp_demo_next_word(ngx_str_t *text, ngx_str_t *word);
ngx_uint_t ngx_http_sp_demo_next_line(ngx_str_t *text, ngx_str_t *line);


#define ngx_http_sp_demo_add_text(text, s)                                    \
    ngx_http_sp_demo_add(text, s, sizeof(s) - 1)


extern ngx_module_t  ngx_http_sp_demo_module;


#endif /* _NGX_HTTP_SP_DEMO_H_INCLUDED_ */
