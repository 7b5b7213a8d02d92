
/*
 * Copyright (C) Sallyport authors
 *
 * Texts that enrich steps leave for the prompt.
 */


#include "ngx_http_sp_core_int.h"


static void ngx_http_sp_block_insert(ngx_queue_t *list,
    ngx_http_sp_block_t *block);


ngx_int_t
ngx_http_sp_add_block(ngx_http_request_t *r, const ngx_http_sp_block_t *block)
{
    ngx_queue_t             *q;
    ngx_http_sp_block_t     *c;
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    /* that of an earlier pass is replaced */

    for (q = ngx_queue_head(&ctx->blocks);
         q != ngx_queue_sentinel(&ctx->blocks);
         q = ngx_queue_next(q))
    {
        c = ngx_queue_data(q, ngx_http_sp_block_t, queue);

        if (c->name.len == block->name.len
            && ngx_strncmp(c->name.data, block->name.data, c->name.len)
               == 0)
        {
            ngx_queue_remove(q);
            break;
        }
    }

    c = ngx_palloc(r->pool, sizeof(ngx_http_sp_block_t));
    if (c == NULL) {
        return NGX_ERROR;
    }

    *c = *block;

    ngx_http_sp_block_insert(&ctx->blocks, c);

    return NGX_OK;
}


static void
ngx_http_sp_block_insert(ngx_queue_t *list, ngx_http_sp_block_t *block)
{
    ngx_queue_t          *q;
    ngx_http_sp_block_t  *c;

    /* the first that comes after it */

    for (q = ngx_queue_head(list);
         q != ngx_queue_sentinel(list);
         q = ngx_queue_next(q))
    {
        c = ngx_queue_data(q, ngx_http_sp_block_t, queue);

        if (c->place > block->place
            || (c->place == block->place && c->rank > block->rank))
        {
            break;
        }
    }

    ngx_queue_insert_tail(q, &block->queue);
}


/* NULL when there is no memory; in order of place and rank */

ngx_queue_t *
ngx_http_sp_blocks(ngx_http_request_t *r)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_ctx(r);

    return (ctx != NULL) ? &ctx->blocks : NULL;
}
