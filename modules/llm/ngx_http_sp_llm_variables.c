
/*
 * Copyright (C) Sallyport authors
 *
 * What the gateway itself has counted and decided, for logs.
 */


#include "ngx_http_sp_llm_replay.h"


static ngx_int_t ngx_http_sp_llm_variable_tokens(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_sp_llm_variable_tokenizer(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_sp_llm_variable_cache(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_http_sp_llm_ctx_t *ngx_http_sp_llm_variable_ctx(
    ngx_http_request_t *r, ngx_http_variable_value_t *v);
static void ngx_http_sp_llm_variable_set(ngx_http_variable_value_t *v,
    u_char *data, size_t len);


static ngx_http_variable_t  ngx_http_sp_llm_variables[] = {

    { ngx_string("llm_prompt_tokens"), NULL, ngx_http_sp_llm_variable_tokens,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("llm_tokenizer"), NULL, ngx_http_sp_llm_variable_tokenizer,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("llm_cache_status"), NULL, ngx_http_sp_llm_variable_cache,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_sp_llm_variables_add(ngx_conf_t *cf)
{
    return ngx_http_sp_add_variables(cf, ngx_http_sp_llm_variables);
}


static ngx_int_t
ngx_http_sp_llm_variable_tokens(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                 *p;
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = ngx_http_sp_llm_variable_ctx(r, v);

    if (ctx == NULL) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_SIZE_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_http_sp_llm_variable_set(v, p,
                                 ngx_sprintf(p, "%uz", ctx->counted.tokens)
                                 - p);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_variable_tokenizer(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_sp_llm_ctx_t    *ctx;
    ngx_http_sp_tokenizer_t  *tokenizer;

    ctx = ngx_http_sp_llm_variable_ctx(r, v);

    if (ctx == NULL) {
        return NGX_OK;
    }

    tokenizer = ctx->attempt.target->tokenizer;

    if (tokenizer == NULL || ctx->counted.estimated) {
        ngx_http_sp_llm_variable_set(v, (u_char *) "estimate",
                                     sizeof("estimate") - 1);
        return NGX_OK;
    }

    ngx_http_sp_llm_variable_set(v, tokenizer->name.data,
                                 tokenizer->name.len);

    return NGX_OK;
}


/* in the words of $upstream_cache_status */

static ngx_int_t
ngx_http_sp_llm_variable_cache(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t               word;
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = ngx_http_sp_llm_find_ctx(r);

    if (ctx == NULL
        || ctx->cache == NULL
        || ctx->cache->status == NGX_HTTP_SP_LLM_CACHE_NONE)
    {
        v->not_found = 1;
        return NGX_OK;
    }

    switch (ctx->cache->status) {

    case NGX_HTTP_SP_LLM_CACHE_HIT:
        ngx_str_set(&word, "HIT");
        break;

    case NGX_HTTP_SP_LLM_CACHE_MISS:
        ngx_str_set(&word, "MISS");
        break;

    default: /* NGX_HTTP_SP_LLM_CACHE_BYPASS, _UNAVAILABLE */
        ngx_str_set(&word, "BYPASS");
    }

    ngx_http_sp_llm_variable_set(v, word.data, word.len);

    return NGX_OK;
}


/* NULL, and *v not found, before a prompt was sent */

static ngx_http_sp_llm_ctx_t *
ngx_http_sp_llm_variable_ctx(ngx_http_request_t *r,
    ngx_http_variable_value_t *v)
{
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = ngx_http_sp_llm_find_ctx(r);

    if (ctx == NULL || ctx->counted.tokens == 0) {
        v->not_found = 1;
        return NULL;
    }

    return ctx;
}


static void
ngx_http_sp_llm_variable_set(ngx_http_variable_value_t *v, u_char *data,
    size_t len)
{
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;
    v->len = len;
    v->data = data;
}
