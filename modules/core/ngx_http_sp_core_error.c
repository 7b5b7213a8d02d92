
/*
 * Copyright (C) Sallyport authors
 *
 * One envelope for every error that this server makes itself: those of our
 * modules and NGINX's own special responses.  What an upstream or an
 * error_page of the operator says passes untouched.
 */


#include "ngx_http_sp_core_int.h"


#define NGX_HTTP_SP_MESSAGE_MAX  512

/* bytes, as NGINX's own */
#define NGX_HTTP_SP_REQUEST_ID   16


typedef struct {
    ngx_uint_t       status;
    const char      *code;
    const char      *message;
} ngx_http_sp_error_text_t;


static ngx_int_t ngx_http_sp_error_rewrite_handler(ngx_http_request_t *r);
static ngx_uint_t ngx_http_sp_error_is_page(ngx_http_request_t *r,
    ngx_http_sp_core_ctx_t *ctx);
static ngx_int_t ngx_http_sp_error_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_sp_error_replace(ngx_http_request_t *r,
    const ngx_str_t *id);
static void ngx_http_sp_error_default(ngx_http_sp_error_ctx_t *error,
    ngx_uint_t status);
static ngx_buf_t *ngx_http_sp_error_render(ngx_http_request_t *r,
    const ngx_http_sp_error_ctx_t *error, const ngx_str_t *id);
static u_char *ngx_http_sp_error_json(u_char *p,
    const ngx_http_sp_error_ctx_t *error, const ngx_str_t *message,
    const ngx_str_t *hint, const ngx_str_t *id);
static ngx_buf_t *ngx_http_sp_error_dialect(ngx_http_request_t *r,
    const ngx_http_sp_error_ctx_t *error, const sp_dialect_t *dialect,
    const ngx_str_t *id);
static ngx_int_t ngx_http_sp_error_escape(ngx_pool_t *pool,
    const u_char *text, size_t len, ngx_str_t *out);
static ngx_int_t ngx_http_sp_error_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);


static u_char  ngx_http_sp_error_mark[] = "";


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


/* the last is for every status that is not named */

static const ngx_http_sp_error_text_t  ngx_http_sp_error_texts[] = {
    { 400, "bad_request", "the request is malformed" },
    { 401, "unauthorized", "a valid access token is required" },
    { 402, "payment_required", "payment is required" },
    { 403, "forbidden", "this is not allowed" },
    { 404, "not_found", "there is nothing at this address" },
    { 405, "method_not_allowed", "this method is not allowed here" },
    { 406, "not_acceptable", "no acceptable representation exists" },
    { 408, "request_timeout", "the request did not arrive in time" },
    { 409, "conflict", "the request conflicts with the present state" },
    { 410, "gone", "this has gone" },
    { 411, "length_required", "Content-Length is required" },
    { 412, "precondition_failed", "a precondition of the request failed" },
    { 413, "body_too_large", "the body is too large" },
    { 414, "uri_too_long", "the address is too long" },
    { 415, "unsupported_media_type", "the type of the body is not taken" },
    { 416, "range_not_satisfiable", "the range cannot be satisfied" },
    { 421, "misdirected_request", "the request is for another server" },
    { 422, "unprocessable", "the content cannot be processed" },
    { 429, "too_many_requests", "too many requests, try again later" },
    { 500, "internal_error", "the server failed to serve the request" },
    { 501, "not_implemented", "the server does not implement this" },
    { 502, "bad_gateway", "the upstream failed to answer" },
    { 503, "unavailable", "the service is unavailable, try again later" },
    { 504, "gateway_timeout", "the upstream did not answer in time" },
    { 505, "version_not_supported", "this HTTP version is not supported" },
    { 507, "insufficient_storage", "there is no space left" },
    { 0, "error", "the request failed" }
};


ngx_int_t
ngx_http_sp_error_init(ngx_conf_t *cf)
{
    ngx_str_t                      name;
    ngx_http_handler_pt           *h;
    ngx_http_core_main_conf_t     *cmcf;
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);
    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    ngx_str_set(&name, "request_id");

    mcf->request_id = ngx_http_get_variable_index(cf, &name);
    if (mcf->request_id == NGX_ERROR) {
        return NGX_ERROR;
    }

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_sp_error_rewrite_handler;

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_sp_error_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_sp_error_body_filter;

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_error(ngx_http_request_t *r, ngx_uint_t status, const char *code,
    const char *fmt, ...)
{
    u_char                  *p, *last;
    va_list                  args;
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_pnalloc(r->pool, NGX_HTTP_SP_MESSAGE_MAX);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    va_start(args, fmt);
    last = ngx_vslprintf(p, p + NGX_HTTP_SP_MESSAGE_MAX, fmt, args);
    va_end(args);

    ctx->error.status = status;
    ctx->error.code = code;
    ctx->error.hint = NULL;
    ctx->error.param = NULL;
    ctx->error.type = NULL;
    ctx->error.message.data = p;
    ctx->error.message.len = last - p;
    ngx_str_null(&ctx->error.details);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "refused with %ui %s", status, code);

    return status;
}


void
ngx_http_sp_error_hint(ngx_http_request_t *r, const char *hint)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r);

    if (ctx != NULL) {
        ctx->error.hint = hint;
    }
}


void
ngx_http_sp_error_details(ngx_http_request_t *r, const ngx_str_t *json)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r);

    if (ctx != NULL) {
        ctx->error.details = *json;
    }
}


ngx_int_t
ngx_http_sp_error_param(ngx_http_request_t *r, const char *param)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r);

    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->error.param = param;

    return ctx->error.status;
}


void
ngx_http_sp_error_type(ngx_http_request_t *r, const char *type)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r);

    if (ctx != NULL) {
        ctx->error.type = type;
    }
}


/*
 * A pass that begins with err_status set is on its way to an error_page.  It
 * may end in a special response all the same: such a one, and an upstream's
 * answer, clear content_type_lowcase, which nobody else writes to before the
 * filters.
 */

static ngx_int_t
ngx_http_sp_error_rewrite_handler(ngx_http_request_t *r)
{
    ngx_http_sp_core_ctx_t  *ctx;

    if (r->err_status == 0 || r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_sp_core_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->error.page = r->err_status;
    r->headers_out.content_type_lowcase = ngx_http_sp_error_mark;

    return NGX_DECLINED;
}


/* the answer is the operator's page, or what an upstream said in its place */

static ngx_uint_t
ngx_http_sp_error_is_page(ngx_http_request_t *r, ngx_http_sp_core_ctx_t *ctx)
{
    ngx_uint_t  marked;

    if (ctx == NULL || ctx->error.page == 0) {
        return 0;
    }

    marked = (r->headers_out.content_type_lowcase == ngx_http_sp_error_mark);

    if (marked) {
        r->headers_out.content_type_lowcase = NULL;
    }

    /* a special response without a text leaves the mark, but no type */

    return ctx->error.page == r->err_status
           && ((marked && r->headers_out.content_type.len != 0)
               || (r->upstream != NULL
                   && r->upstream->headers_in.status_n != 0));
}


static ngx_int_t
ngx_http_sp_error_header_filter(ngx_http_request_t *r)
{
    ngx_str_t                     id;
    ngx_uint_t                    page;
    ngx_http_sp_core_ctx_t       *ctx;
    ngx_http_sp_core_loc_conf_t  *lcf;

    if (r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    ctx = ngx_http_sp_core_find_ctx(r);

    if (ctx != NULL && ctx->body.reading) {

        /* the reader has finalized the request with an error of its own */

        ctx->resume = NULL;
        ngx_http_sp_body_abandon(r, ctx);
    }

    if (ngx_http_sp_request_id(r, &id) != NGX_OK
        || ngx_http_sp_add_header(r, "X-Request-Id", &id) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_sp_status_line(r);

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_core_module);
    page = ngx_http_sp_error_is_page(r, ctx);

    if (r->err_status < NGX_HTTP_BAD_REQUEST
        || lcf->error_format == NGX_HTTP_SP_ERROR_HTML
        || page)
    {
        return ngx_http_next_header_filter(r);
    }

    if (ngx_http_sp_error_replace(r, &id) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}


/* $request_id: where nobody has asked for it yet, it is made here, cheaper */

ngx_int_t
ngx_http_sp_request_id(ngx_http_request_t *r, ngx_str_t *id)
{
    u_char                         random[NGX_HTTP_SP_REQUEST_ID];
    ngx_http_variable_value_t     *v;
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_sp_core_module);

    v = &r->variables[mcf->request_id];

    if (!v->valid) {
        id->data = ngx_pnalloc(r->pool, 2 * sizeof(random));

        if (id->data == NULL
            || ngx_http_sp_random(random, sizeof(random)) != NGX_OK)
        {
            return NGX_ERROR;
        }

        (void) ngx_hex_dump(id->data, random, sizeof(random));

        v->data = id->data;
        v->len = 2 * sizeof(random);
        v->valid = 1;
        v->no_cacheable = 0;
        v->not_found = 0;
    }

    id->data = v->data;
    id->len = v->len;

    return NGX_OK;
}


/* makes the body, and the headers that describe it */

static ngx_int_t
ngx_http_sp_error_replace(ngx_http_request_t *r, const ngx_str_t *id)
{
    ngx_http_sp_core_ctx_t       *ctx;
    ngx_http_sp_core_loc_conf_t  *lcf;

    ctx = ngx_http_sp_core_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_core_module);

    if (ctx->error.code == NULL || ctx->error.status != r->err_status) {
        ngx_http_sp_error_default(&ctx->error, r->err_status);
    }

    if (lcf->error_format == NGX_HTTP_SP_ERROR_DIALECT) {
        ctx->error.body = ngx_http_sp_error_dialect(r, &ctx->error,
                                                    lcf->error_dialect, id);

    } else {
        ctx->error.body = ngx_http_sp_error_render(r, &ctx->error, id);
    }

    if (ctx->error.body == NULL) {
        return NGX_ERROR;
    }

    ctx->error.body->last_buf = 1;
    ctx->error.body->last_in_chain = 1;

    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.charset.len = 0;

    ngx_http_clear_content_length(r);
    r->headers_out.content_length_n = ctx->error.body->last
                                      - ctx->error.body->pos;

    return NGX_OK;
}


static void
ngx_http_sp_error_default(ngx_http_sp_error_ctx_t *error, ngx_uint_t status)
{
    const ngx_http_sp_error_text_t  *text;

    text = ngx_http_sp_error_texts;

    while (text->status != 0 && text->status != status) {
        text++;
    }

    error->status = status;
    error->code = text->code;
    error->message.data = (u_char *) text->message;
    error->message.len = ngx_strlen(text->message);
    error->hint = NULL;
    error->param = NULL;
    error->type = NULL;
    ngx_str_null(&error->details);
}


static ngx_buf_t *
ngx_http_sp_error_render(ngx_http_request_t *r,
    const ngx_http_sp_error_ctx_t *error, const ngx_str_t *id)
{
    size_t      len;
    ngx_buf_t  *b;
    ngx_str_t   hint, message;

    if (ngx_http_sp_error_escape(r->pool, error->message.data,
                                 error->message.len, &message)
        != NGX_OK)
    {
        return NULL;
    }

    ngx_str_null(&hint);

    if (error->hint != NULL
        && ngx_http_sp_error_escape(r->pool, (u_char *) error->hint,
                                    ngx_strlen(error->hint), &hint)
           != NGX_OK)
    {
        return NULL;
    }

    len = sizeof("{\"error\":{\"code\":\"\",\"message\":\"\","
                 "\"details\":null,\"hint\":\"null\","
                 "\"request_id\":\"\"}}\n")
          + ngx_strlen(error->code) + message.len + hint.len + id->len
          + error->details.len;

    b = ngx_create_temp_buf(r->pool, len);
    if (b == NULL) {
        return NULL;
    }

    b->last = ngx_http_sp_error_json(b->last, error, &message, &hint, id);

    return b;
}


static u_char *
ngx_http_sp_error_json(u_char *p, const ngx_http_sp_error_ctx_t *error,
    const ngx_str_t *message, const ngx_str_t *hint, const ngx_str_t *id)
{
    p = ngx_sprintf(p, "{\"error\":{\"code\":\"%s\",\"message\":\"%V\","
                    "\"details\":", error->code, message);

    if (error->details.len != 0) {
        p = ngx_sprintf(p, "%V", &error->details);

    } else {
        p = ngx_sprintf(p, "null");
    }

    if (error->hint != NULL) {
        p = ngx_sprintf(p, ",\"hint\":\"%V\"", hint);

    } else {
        p = ngx_sprintf(p, ",\"hint\":null");
    }

    return ngx_sprintf(p, ",\"request_id\":\"%V\"}}\n", id);
}


static ngx_buf_t *
ngx_http_sp_error_dialect(ngx_http_request_t *r,
    const ngx_http_sp_error_ctx_t *error, const sp_dialect_t *dialect,
    const ngx_str_t *id)
{
    sp_out_t             out;
    ngx_buf_t           *b;
    sp_dialect_error_t   what;

    ngx_memzero(&what, sizeof(sp_dialect_error_t));

    what.status = error->status;
    what.code = error->code;
    what.type = error->type;
    what.param = error->param;
    what.message = (char *) error->message.data;
    what.message_len = error->message.len;
    what.request_id = (char *) id->data;
    what.request_id_len = id->len;

    ngx_memzero(&out, sizeof(sp_out_t));

    dialect->write_error(&what, &out);

    b = ngx_create_temp_buf(r->pool, out.len);
    if (b == NULL) {
        return NULL;
    }

    out.dst = (char *) b->pos;
    out.size = out.len;
    out.len = 0;

    dialect->write_error(&what, &out);

    b->last = b->pos + out.len;

    return b;
}


static ngx_int_t
ngx_http_sp_error_escape(ngx_pool_t *pool, const u_char *text, size_t len,
    ngx_str_t *out)
{
    out->len = sp_json_escape(NULL, 0, (const char *) text, len);

    out->data = ngx_pnalloc(pool, out->len + 1);
    if (out->data == NULL) {
        return NGX_ERROR;
    }

    (void) sp_json_escape((char *) out->data, out->len, (const char *) text,
                          len);

    return NGX_OK;
}


/* the special response is swallowed, ours goes out in its place, once */

static ngx_int_t
ngx_http_sp_error_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_chain_t              out, *cl;
    ngx_http_sp_core_ctx_t  *ctx;

    if (in == NULL || r != r->main) {
        return ngx_http_next_body_filter(r, in);
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_sp_core_module);

    if (ctx == NULL || ctx->error.body == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    for (cl = in; cl != NULL; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;
    }

    if (ctx->error.sent) {
        return ngx_http_next_body_filter(r, NULL);
    }

    ctx->error.sent = 1;

    out.buf = ctx->error.body;
    out.next = NULL;

    return ngx_http_next_body_filter(r, &out);
}
