
/*
 * Copyright (C) Sallyport authors
 *
 * Personas of a worker: a bounded map, the least recently used goes first.
 * Fresh copies save a query; the last copy is what a chat goes on with while
 * PostgreSQL is away.
 */


#include "ngx_http_sp_llm.h"


#define NGX_HTTP_SP_LLM_COPIES  512
#define NGX_HTTP_SP_LLM_COPY    65536


typedef struct {
    ngx_str_node_t       sn;         /* first; the key */
    ngx_queue_t          queue;
    ngx_msec_t           loaded;
    ngx_str_t            text;
} ngx_http_sp_llm_persona_t;


typedef struct {
    ngx_rbtree_t         rbtree;
    ngx_rbtree_node_t    sentinel;
    ngx_queue_t          used;       /* most recent first */
    ngx_uint_t           n;
} ngx_http_sp_llm_copies_t;


static ngx_http_sp_llm_persona_t *ngx_http_sp_llm_copies_lookup(
    const ngx_str_t *key);
static void ngx_http_sp_llm_copies_drop(ngx_http_sp_llm_persona_t *persona);


/* per worker, made in init_process */

static ngx_http_sp_llm_copies_t  ngx_http_sp_llm_copies;


ngx_int_t
ngx_http_sp_llm_copies_init(ngx_cycle_t *cycle)
{
    ngx_rbtree_init(&ngx_http_sp_llm_copies.rbtree,
                    &ngx_http_sp_llm_copies.sentinel,
                    ngx_str_rbtree_insert_value);

    ngx_queue_init(&ngx_http_sp_llm_copies.used);

    ngx_http_sp_llm_copies.n = 0;

    return NGX_OK;
}


void
ngx_http_sp_llm_copies_exit(void)
{
    ngx_queue_t  *q;

    if (ngx_http_sp_llm_copies.rbtree.root == NULL) {
        return;
    }

    while (!ngx_queue_empty(&ngx_http_sp_llm_copies.used)) {
        q = ngx_queue_head(&ngx_http_sp_llm_copies.used);

        ngx_http_sp_llm_copies_drop(
                   ngx_queue_data(q, ngx_http_sp_llm_persona_t, queue));
    }
}


ngx_int_t
ngx_http_sp_llm_copies_find(ngx_pool_t *pool, const ngx_str_t *key,
    ngx_str_t *text, ngx_msec_t *age)
{
    ngx_http_sp_llm_persona_t  *persona;

    persona = ngx_http_sp_llm_copies_lookup(key);

    if (persona == NULL) {
        return NGX_DECLINED;
    }

    text->data = ngx_pstrdup(pool, &persona->text);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    text->len = persona->text.len;

    *age = ngx_current_msec - persona->loaded;

    ngx_queue_remove(&persona->queue);
    ngx_queue_insert_head(&ngx_http_sp_llm_copies.used, &persona->queue);

    return NGX_OK;
}


void
ngx_http_sp_llm_copies_store(const ngx_str_t *key, const ngx_str_t *text)
{
    u_char                     *p;
    ngx_queue_t                *q;
    ngx_http_sp_llm_persona_t  *persona;

    ngx_http_sp_llm_copies_forget(key);

    if (text->len > NGX_HTTP_SP_LLM_COPY) {
        return;
    }

    if (ngx_http_sp_llm_copies.n == NGX_HTTP_SP_LLM_COPIES) {
        q = ngx_queue_last(&ngx_http_sp_llm_copies.used);

        ngx_http_sp_llm_copies_drop(
                   ngx_queue_data(q, ngx_http_sp_llm_persona_t, queue));
    }

    persona = ngx_alloc(sizeof(ngx_http_sp_llm_persona_t) + key->len
                        + text->len, ngx_cycle->log);
    if (persona == NULL) {
        return;
    }

    p = (u_char *) (persona + 1);

    persona->sn.str.len = key->len;
    persona->sn.str.data = p;
    persona->sn.node.key = ngx_crc32_short(key->data, key->len);

    p = ngx_cpymem(p, key->data, key->len);

    persona->text.len = text->len;
    persona->text.data = p;
    persona->loaded = ngx_current_msec;

    ngx_memcpy(p, text->data, text->len);

    ngx_rbtree_insert(&ngx_http_sp_llm_copies.rbtree, &persona->sn.node);
    ngx_queue_insert_head(&ngx_http_sp_llm_copies.used, &persona->queue);

    ngx_http_sp_llm_copies.n++;
}


void
ngx_http_sp_llm_copies_forget(const ngx_str_t *key)
{
    ngx_http_sp_llm_persona_t  *persona;

    persona = ngx_http_sp_llm_copies_lookup(key);

    if (persona != NULL) {
        ngx_http_sp_llm_copies_drop(persona);
    }
}


static ngx_http_sp_llm_persona_t *
ngx_http_sp_llm_copies_lookup(const ngx_str_t *key)
{
    ngx_str_t  name;

    name = *key;

    return (ngx_http_sp_llm_persona_t *)
               ngx_str_rbtree_lookup(&ngx_http_sp_llm_copies.rbtree, &name,
                                     ngx_crc32_short(key->data, key->len));
}


static void
ngx_http_sp_llm_copies_drop(ngx_http_sp_llm_persona_t *persona)
{
    ngx_rbtree_delete(&ngx_http_sp_llm_copies.rbtree, &persona->sn.node);
    ngx_queue_remove(&persona->queue);

    ngx_http_sp_llm_copies.n--;

    ngx_free(persona);
}
