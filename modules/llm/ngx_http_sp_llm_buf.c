
/*
 * Copyright (C) Sallyport authors
 *
 * Bufs on their way to the client: pieces of the upstream's buffer, and
 * memory of their own that is used again when it was sent.
 */


#include "ngx_http_sp_llm.h"


u_char *
ngx_http_sp_llm_enlarge(ngx_pool_t *pool, u_char *old, size_t len, size_t size)
{
    u_char  *p;

    p = ngx_pnalloc(pool, size);
    if (p == NULL) {
        return NULL;
    }

    if (old != NULL) {
        ngx_memcpy(p, old, len);
        (void) ngx_pfree(pool, old);
    }

    return p;
}


ngx_int_t
ngx_http_sp_llm_pass(ngx_http_sp_llm_ctx_t *ctx, u_char *p, u_char *last)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (ctx->response.slice != NULL && ctx->response.slice->last == p) {
        ctx->response.slice->last = last;
        return NGX_OK;
    }

    cl = ngx_http_sp_llm_get_buf(ctx, 0);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b = cl->buf;

    b->pos = p;
    b->last = last;

    ngx_http_sp_llm_append(ctx, cl);

    ctx->response.slice = b;

    return NGX_OK;
}


void
ngx_http_sp_llm_append(ngx_http_sp_llm_ctx_t *ctx, ngx_chain_t *cl)
{
    ngx_chain_t  **ll;

    for (ll = &ctx->request->upstream->out_bufs;
         *ll != NULL;
         ll = &(*ll)->next)
    {
        /* void */
    }

    *ll = cl;
    cl->next = NULL;

    ctx->response.slice = NULL;
    ctx->response.out = NULL;

    ctx->keepalive.said = ngx_current_msec;
}


/*
 * From the bufs that were sent: of size 0, one without memory of its own,
 * which will point into the upstream's buffer.
 */

ngx_chain_t *
ngx_http_sp_llm_get_buf(ngx_http_sp_llm_ctx_t *ctx, size_t size)
{
    ngx_buf_t            *b;
    ngx_chain_t          *cl, **ll;
    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;

    for (ll = &u->free_bufs; *ll != NULL; ll = &(*ll)->next) {
        b = (*ll)->buf;

        if (size == 0 ? b->start == NULL
                      : b->start != NULL
                        && (size_t) (b->end - b->start) >= size)
        {
            cl = *ll;
            *ll = cl->next;
            cl->next = NULL;

            return cl;
        }
    }

    cl = ngx_alloc_chain_link(ctx->request->pool);
    if (cl == NULL) {
        return NULL;
    }

    cl->next = NULL;

    if (size == 0) {
        cl->buf = ngx_calloc_buf(ctx->request->pool);

    } else {
        cl->buf = ngx_create_temp_buf(ctx->request->pool, size);
    }

    if (cl->buf == NULL) {
        return NULL;
    }

    cl->buf->temporary = 0;
    cl->buf->memory = 1;
    cl->buf->flush = 1;
    cl->buf->tag = u->output.tag;

    return cl;
}
