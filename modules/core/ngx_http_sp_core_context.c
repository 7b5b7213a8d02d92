
/*
 * Copyright (C) Sallyport authors
 *
 * Texts that enrich steps leave for the prompt.
 */


#include "ngx_http_sp_core_int.h"


static void ngx_http_sp_context_insert(ngx_queue_t *list,
    ngx_http_sp_context_t *context);


ngx_int_t
ngx_http_sp_add_context(ngx_http_request_t *r,
    const ngx_http_sp_context_t *context)
{
    ngx_queue_t             *q;
    ngx_http_sp_context_t   *c;
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    /* that of an earlier pass is replaced */

    for (q = ngx_queue_head(&ctx->contexts);
         q != ngx_queue_sentinel(&ctx->contexts);
         q = ngx_queue_next(q))
    {
        c = ngx_queue_data(q, ngx_http_sp_context_t, queue);

        if (c->name.len == context->name.len
            && ngx_strncmp(c->name.data, context->name.data, c->name.len)
               == 0)
        {
            ngx_queue_remove(q);
            break;
        }
    }

    c = ngx_palloc(r->pool, sizeof(ngx_http_sp_context_t));
    if (c == NULL) {
        return NGX_ERROR;
    }

    *c = *context;

    ngx_http_sp_context_insert(&ctx->contexts, c);

    return NGX_OK;
}


static void
ngx_http_sp_context_insert(ngx_queue_t *list, ngx_http_sp_context_t *context)
{
    ngx_queue_t            *q;
    ngx_http_sp_context_t  *c;

    /* the first that comes after it */

    for (q = ngx_queue_head(list);
         q != ngx_queue_sentinel(list);
         q = ngx_queue_next(q))
    {
        c = ngx_queue_data(q, ngx_http_sp_context_t, queue);

        if (c->place > context->place
            || (c->place == context->place && c->rank > context->rank))
        {
            break;
        }
    }

    ngx_queue_insert_tail(q, &context->queue);
}


/* NULL when there is no memory; in order of place and rank */

ngx_queue_t *
ngx_http_sp_contexts(ngx_http_request_t *r)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_ctx(r);

    return (ctx != NULL) ? &ctx->contexts : NULL;
}
