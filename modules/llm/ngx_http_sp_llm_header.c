
/*
 * Copyright (C) Sallyport authors
 *
 * What a client's header says to a provider of the same dialect, which is
 * what the dialect lists; never who the client is.
 */


#include "ngx_http_sp_llm.h"


/* of all lines together */
#define NGX_HTTP_SP_LLM_HEADERS  1024


static ngx_int_t ngx_http_sp_llm_header_line(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *name, const ngx_str_t *value);
static ngx_int_t ngx_http_sp_llm_header_replace(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *name);
static ngx_int_t ngx_http_sp_llm_header_invalid(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *name);


ngx_int_t
ngx_http_sp_llm_pass_headers(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_str_t            name;
    ngx_list_t          *headers;
    const char *const   *list;
    ngx_table_elt_t     *h;

    list = ctx->attempt.dialect->headers;

    if (list == NULL || ctx->attempt.translated) {
        return NGX_OK;
    }

    headers = &ctx->request->headers_in.headers;

    for ( /* void */ ; *list != NULL; list++) {
        name.data = (u_char *) *list;
        name.len = ngx_strlen(*list);

        for (h = ngx_http_sp_next_header(headers, &name, NULL);
             h != NULL;
             h = ngx_http_sp_next_header(headers, &name, h))
        {
            rc = ngx_http_sp_llm_header_line(ctx, &name, &h->value);

            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_header_line(ngx_http_sp_llm_ctx_t *ctx, const ngx_str_t *name,
    const ngx_str_t *value)
{
    size_t      i, len;
    ngx_str_t  *lines;

    lines = &ctx->attempt.headers;
    len = name->len + 2 + value->len + 2;

    if (lines->len + len > NGX_HTTP_SP_LLM_HEADERS
        || ngx_http_sp_llm_header_replace(ctx, name) != NGX_OK)
    {
        return ngx_http_sp_llm_header_invalid(ctx, name);
    }

    for (i = 0; i < value->len; i++) {
        if (value->data[i] < 0x20 || value->data[i] > 0x7e) {
            return ngx_http_sp_llm_header_invalid(ctx, name);
        }
    }

    if (lines->data == NULL) {
        lines->data = ngx_pnalloc(ctx->request->pool,
                                  NGX_HTTP_SP_LLM_HEADERS);
        if (lines->data == NULL) {
            return NGX_ERROR;
        }
    }

    (void) ngx_sprintf(lines->data + lines->len, "%V: %V" CRLF, name, value);
    lines->len += len;

    return NGX_OK;
}


/* NGX_DECLINED: it was said before, and there is one only */

static ngx_int_t
ngx_http_sp_llm_header_replace(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *name)
{
    u_char           *p, *last, *end;
    ngx_str_t        *replaced;
    const ngx_str_t  *headers;

    headers = &ctx->attempt.entry->key->headers;
    replaced = &ctx->attempt.replaced;

    last = headers->data + headers->len;

    for (p = headers->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, LF);

        if (end == NULL) {
            break;
        }

        if ((size_t) (end - p) > name->len && p[name->len] == ':'
            && ngx_strncasecmp(p, name->data, name->len) == 0)
        {
            if (replaced->len != 0) {
                return NGX_DECLINED;
            }

            replaced->data = p;
            replaced->len = end + 1 - p;

            return NGX_OK;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_header_invalid(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_str_t *name)
{
    return ngx_http_sp_error(ctx->request, NGX_HTTP_BAD_REQUEST,
                             "header_invalid",
                             "the header \"%V\" must be printable ASCII, of "
                             "less than %d bytes, and a version there once",
                             name,
                             NGX_HTTP_SP_LLM_HEADERS);
}
