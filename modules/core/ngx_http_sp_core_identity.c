
/*
 * Copyright (C) Sallyport authors
 *
 * Who the request is from, once an identify step has proven it.
 */


#include "ngx_http_sp_core_int.h"


/*
 * A subrequest acts for whom the request acts, unless it has asked: then for
 * whom it has found, nobody included.
 */

const ngx_http_sp_identity_t *
ngx_http_sp_identity(ngx_http_request_t *r)
{
    ngx_http_sp_core_ctx_t  *ctx;

    for ( ;; ) {
        ctx = ngx_http_sp_core_find_ctx(r);

        if (ctx != NULL && (r == r->main || ctx->own)) {
            return ctx->identity;
        }

        if (r == r->main) {
            return NULL;
        }

        r = r->parent;
    }
}


ngx_int_t
ngx_http_sp_set_identity(ngx_http_request_t *r,
    const ngx_http_sp_identity_t *identity)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->own = 1;

    if (ctx->identity == NULL) {
        ctx->identity = ngx_palloc(r->pool, sizeof(ngx_http_sp_identity_t));
        if (ctx->identity == NULL) {
            return NGX_ERROR;
        }
    }

    *ctx->identity = *identity;

    return NGX_OK;
}


/*
 * A location that asks who it is judges by its own keys: what another one
 * has proven before an internal redirect or an error_page, or for the request
 * that a subrequest belongs to, does not count there.  One that does not ask
 * keeps the answer.
 */

ngx_int_t
ngx_http_sp_identity_begin(ngx_http_request_t *r)
{
    ngx_http_sp_core_ctx_t       *ctx;
    ngx_http_sp_core_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_core_module);
    ctx = ngx_http_sp_core_find_ctx(r);

    if (!lcf->identity && (ctx == NULL || !ctx->judging)) {
        return NGX_OK;
    }

    ctx = ngx_http_sp_core_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!ctx->judging) {
        ctx->before = ctx->identity;
        ctx->judging = 1;
        ctx->own = 1;
    }

    /* or the pass before this one was refused while it judged */

    ctx->identity = NULL;

    return NGX_OK;
}


/*
 * "auth_request" has asked who it is for a location that does not ask itself
 */

void
ngx_http_sp_identity_hand_up(ngx_http_request_t *r)
{
    ngx_http_sp_core_ctx_t       *ctx, *main;
    ngx_http_sp_core_loc_conf_t  *lcf;

    ctx = (r != r->main) ? ngx_http_sp_core_find_ctx(r) : NULL;

    if (ctx == NULL || ctx->identity == NULL || !ngx_http_sp_decides(r)) {
        return;
    }

    lcf = ngx_http_get_module_loc_conf(r->main, ngx_http_sp_core_module);
    main = ngx_http_sp_core_find_ctx(r->main);

    if (!lcf->identity && main->identity == NULL) {
        main->identity = ctx->identity;
    }
}


/* what was gathered for somebody is not for somebody else */

void
ngx_http_sp_identity_end(ngx_http_sp_core_ctx_t *ctx)
{
    ngx_http_sp_identity_t  *is, *was;

    if (!ctx->judging) {
        return;
    }

    is = ctx->identity;
    was = ctx->before;

    ctx->judging = 0;
    ctx->before = NULL;

    if (is == was
        || (is != NULL && was != NULL
            && is->sub.len == was->sub.len
            && ngx_memcmp(is->sub.data, was->sub.data, is->sub.len) == 0))
    {
        return;
    }

    ctx->changes++;

    ngx_queue_init(&ctx->blocks);
}


ngx_uint_t
ngx_http_sp_identity_changes(ngx_http_request_t *r)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r);

    return (ctx != NULL) ? ctx->changes : 0;
}


void
ngx_http_sp_conf_identity(ngx_conf_t *cf, ngx_flag_t on)
{
    ngx_http_sp_core_loc_conf_t  *lcf;

    lcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_sp_core_module);
    lcf->identity = on;
}


/* the core is the first module loaded, so its own merge comes first */

ngx_flag_t
ngx_http_sp_has_identity(ngx_conf_t *cf)
{
    ngx_http_sp_core_loc_conf_t  *lcf;

    lcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_sp_core_module);

    return lcf->identity == 1;
}
