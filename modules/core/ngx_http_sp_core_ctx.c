
/*
 * Copyright (C) Sallyport authors
 *
 * The request context of the core, and those of the plugins in it.
 */


#include "ngx_http_sp_core_int.h"


static void ngx_http_sp_core_request_cleanup(void *data);
static void ngx_http_sp_core_pool_cleanup(void *data);


/*
 * An internal redirect, error_page and a filter that fails zero the contexts
 * of all modules; the cleanup of the pool keeps ours.  Subrequests share the
 * pool, hence the comparison.
 */

ngx_http_sp_core_ctx_t *
ngx_http_sp_core_find_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t      *cln;
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_sp_core_module);

    if (ctx != NULL || (!r->internal && !r->filter_finalize)) {
        return ctx;
    }

    for (cln = r->pool->cleanup; cln != NULL; cln = cln->next) {

        if (cln->handler != ngx_http_sp_core_pool_cleanup) {
            continue;
        }

        ctx = cln->data;

        if (ctx->request == r) {
            ngx_http_set_ctx(r, ctx, ngx_http_sp_core_module);
            return ctx;
        }
    }

    return NULL;
}


ngx_http_sp_core_ctx_t *
ngx_http_sp_core_ctx(ngx_http_request_t *r)
{
    ngx_http_cleanup_t      *rcln;
    ngx_pool_cleanup_t      *cln;
    ngx_http_sp_core_ctx_t  *ctx, *main;

    ctx = ngx_http_sp_core_find_ctx(r);
    if (ctx != NULL) {
        return ctx;
    }

    main = NULL;

    if (r != r->main) {
        main = ngx_http_sp_core_ctx(r->main);
        if (main == NULL) {
            return NULL;
        }
    }

    rcln = ngx_http_cleanup_add(r, 0);
    if (rcln == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_sp_core_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_sp_core_ctx_t));

    ctx->plugins = ngx_pcalloc(r->pool, sizeof(void *) * ngx_http_max_module);
    if (ctx->plugins == NULL) {
        return NULL;
    }

    ctx->request = r;
    ngx_queue_init(&ctx->blocks);

    cln->handler = ngx_http_sp_core_pool_cleanup;

    rcln->handler = ngx_http_sp_core_request_cleanup;
    rcln->data = ctx;

    if (main != NULL) {
        ctx->parts = main->parts;
        main->parts = ctx;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_sp_core_module);

    return ctx;
}


/* runs before the request is logged, also when it is terminated */

static void
ngx_http_sp_core_request_cleanup(void *data)
{
    ngx_http_sp_core_ctx_t *ctx = data;

    ngx_http_sp_pipeline_release(ctx);
}


static void
ngx_http_sp_core_pool_cleanup(void *data)
{
    ngx_http_sp_core_ctx_t *ctx = data;

    /* the request cleanup is lost when the log phase made the context */
    ngx_http_sp_pipeline_release(ctx);
    ngx_http_sp_body_release(ctx);
}


void *
ngx_http_sp_ctx(ngx_http_request_t *r, ngx_module_t *module, size_t size)
{
    void                    *plugin;
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_ctx(r);
    if (ctx == NULL) {
        return NULL;
    }

    plugin = ctx->plugins[module->ctx_index];

    if (plugin == NULL) {
        plugin = ngx_pcalloc(r->pool, size);
        ctx->plugins[module->ctx_index] = plugin;
    }

    return plugin;
}


void *
ngx_http_sp_find_ctx(ngx_http_request_t *r, ngx_module_t *module)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r);

    return (ctx != NULL) ? ctx->plugins[module->ctx_index] : NULL;
}


void *
ngx_http_sp_near_ctx(ngx_http_request_t *r, ngx_module_t *module)
{
    void  *plugin;

    for ( ;; ) {
        plugin = ngx_http_sp_find_ctx(r, module);

        if (plugin != NULL || r == r->main) {
            return plugin;
        }

        r = r->parent;
    }
}
