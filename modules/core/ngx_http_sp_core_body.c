
/*
 * Copyright (C) Sallyport authors
 *
 * The request body: read once, for whoever asks first, in the access or the
 * content phase; collected from memory and the temporary file.
 */


#include "ngx_http_sp_core_int.h"


/* without "body_max_size"; 1m is NGINX's own default as well */
#define NGX_HTTP_SP_BODY_MAX   (1024 * 1024)
#define NGX_HTTP_SP_BODY_LARGE  (32 * 1024 * 1024)


static ngx_http_request_body_filter_pt  ngx_http_next_request_body_filter;


static size_t ngx_http_sp_body_max(const ngx_http_sp_core_loc_conf_t *lcf);
static ngx_int_t ngx_http_sp_body_read(ngx_http_request_t *r,
    ngx_http_sp_core_ctx_t *ctx);
static void ngx_http_sp_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_sp_body_limit_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static void ngx_http_sp_body_drop(ngx_http_request_t *r);
static void ngx_http_sp_body_main_reader(ngx_http_request_t *r);
static ngx_int_t ngx_http_sp_body_collect(ngx_http_request_t *r,
    ngx_str_t *data);
static ngx_int_t ngx_http_sp_body_copy(ngx_http_request_t *r,
    ngx_chain_t *in, ngx_str_t *data);
static ngx_int_t ngx_http_sp_body_too_large(ngx_http_request_t *r,
    off_t max);


ngx_int_t
ngx_http_sp_body_init(ngx_conf_t *cf)
{
    ngx_http_next_request_body_filter = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = ngx_http_sp_body_limit_filter;

    return NGX_OK;
}


/* images ride in chats, files in forms */

static size_t
ngx_http_sp_body_max(const ngx_http_sp_core_loc_conf_t *lcf)
{
    if (lcf->body_max_size != NGX_CONF_UNSET_SIZE) {
        return lcf->body_max_size;
    }

    return (lcf->dialect != NULL || lcf->form) ? NGX_HTTP_SP_BODY_LARGE
                                               : NGX_HTTP_SP_BODY_MAX;
}


/* NGINX's own limit is no lower only because nobody has set it */

void
ngx_http_sp_body_merge(ngx_conf_t *cf, ngx_http_sp_core_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if ((conf->dialect != NULL || conf->form)
        && clcf->client_max_body_size == NGX_HTTP_SP_BODY_MAX
        && ngx_http_sp_body_max(conf) > NGX_HTTP_SP_BODY_MAX)
    {
        clcf->client_max_body_size = ngx_http_sp_body_max(conf);
    }
}


/*
 * The body is the main request's, for its subrequests too.  An error is kept:
 * the body of a request that was refused once is not asked for again.
 */

ngx_int_t
ngx_http_sp_body(ngx_http_request_t *r, ngx_str_t *data)
{
    ngx_int_t                rc;
    ngx_http_sp_core_ctx_t  *ctx;
    ngx_http_sp_body_ctx_t  *body;

    ctx = ngx_http_sp_core_ctx(r->main);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body = &ctx->body;

    if (!body->asked && r != r->main && !ngx_http_sp_decides(r)) {

        /* it goes beside the main request: what that one has read */

        return ngx_http_sp_body_collect(r, data);
    }

    rc = ngx_http_sp_body_wait(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!body->ready) {
        rc = ngx_http_sp_body_collect(r, &body->data);

        if (rc != NGX_OK) {
            body->error = rc;
            return rc;
        }

        body->ready = 1;
    }

    *data = body->data;

    return ngx_http_sp_body_limit(r, (off_t) data->len);
}


ngx_int_t
ngx_http_sp_body_wait(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_sp_core_ctx_t  *ctx;
    ngx_http_sp_body_ctx_t  *body;

    ctx = ngx_http_sp_core_ctx(r->main);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body = &ctx->body;

    if (!body->asked) {
        rc = ngx_http_sp_body_read(r, ctx);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            body->error = rc;
        }
    }

    if (body->error != NGX_OK) {
        ngx_http_sp_error_share(r);
        return body->error;
    }

    return body->done ? NGX_OK : NGX_AGAIN;
}


/* a later location, or that of a subrequest, may take less */

ngx_int_t
ngx_http_sp_body_limit(ngx_http_request_t *r, off_t size)
{
    off_t                         max;
    ngx_http_sp_core_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_core_module);
    max = (off_t) ngx_http_sp_body_max(lcf);

    if (size > max) {
        return ngx_http_sp_body_too_large(r, max);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_body_read(ngx_http_request_t *r, ngx_http_sp_core_ctx_t *ctx)
{
    ngx_int_t                     rc;
    ngx_http_request_t           *mr;
    ngx_http_event_handler_pt     handler;
    ngx_http_sp_core_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_core_module);
    mr = r->main;

    ctx->body.asked = 1;
    ctx->body.max = (off_t) ngx_http_sp_body_max(lcf);

    if (mr->headers_in.content_length_n > ctx->body.max) {
        return ngx_http_sp_body_too_large(mr, ctx->body.max);
    }

    if (mr->request_body == NULL) {
        mr->request_body_in_single_buf = 1;
    }

    mr->preserve_body = 1;

    ctx->body.reading = 1;
    ctx->body.calling = 1;

    handler = mr->write_event_handler;

    rc = ngx_http_read_client_request_body(mr, ngx_http_sp_body_handler);

    ctx->body.calling = 0;

    /* what has been read at once leaves a handler that goes nowhere */

    mr->write_event_handler = handler;

    if (!ctx->body.done && ctx->turn != NULL) {
        ngx_http_sp_turn_leave(ctx->turn);
    }

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        ctx->body.reading = 0;
        return rc;
    }

    /*
     * Pays back the count that the reader took: from here on the request is
     * held by its phase, and a reader that fails later finalizes that.
     */

    ngx_http_finalize_request(mr, NGX_DONE);

    return NGX_OK;
}


/*
 * Called by the reader: inside of the read call when the body is here
 * already, else from the event loop.
 */

static void
ngx_http_sp_body_handler(ngx_http_request_t *r)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r);

    ctx->body.reading = 0;
    ctx->body.done = 1;

    if (ctx->body.calling) {
        return;
    }

    if (ctx->turn != NULL) {
        ngx_http_sp_turn_return(ctx->turn);
    }

    /* until the wake comes, a client that leaves must be seen */

    r->read_event_handler = ngx_http_test_reading;

    ngx_http_sp_wake_parts(ctx, NULL);
}


/*
 * A subrequest that waits gets the events of the connection, the reader is
 * the main request's.
 */

ngx_uint_t
ngx_http_sp_body_reading(ngx_http_request_t *r)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(r->main);

    if (!ctx->body.reading) {
        return 0;
    }

    if (r != r->main) {
        r->read_event_handler = ngx_http_sp_body_main_reader;
    }

    return 1;
}


static void
ngx_http_sp_body_main_reader(ngx_http_request_t *r)
{
    r->main->read_event_handler(r->main);
}


/*
 * A body without Content-Length is refused as soon as it has become too
 * large, not when it has filled the disk.
 */

static ngx_int_t
ngx_http_sp_body_limit_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t                rc;
    ngx_chain_t             *cl;
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_sp_core_module);

    if (ctx != NULL && ctx->body.reading) {

        for (cl = in; cl != NULL; cl = cl->next) {
            ctx->body.seen += ngx_buf_size(cl->buf);
        }

        if (ctx->body.seen > ctx->body.max) {
            ctx->body.error = ngx_http_sp_body_too_large(r, ctx->body.max);
            return ctx->body.error;
        }

        if (ctx->body.form != NULL && !ctx->body.form_late) {
            rc = ngx_http_sp_form_feed(r, ctx->body.form, in);

            if (rc != NGX_OK) {
                ctx->body.error = rc;
                return rc;
            }
        }
    }

    return ngx_http_next_request_body_filter(r, in);
}


static ngx_int_t
ngx_http_sp_body_too_large(ngx_http_request_t *r, off_t max)
{
    return ngx_http_sp_error(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                             "body_too_large",
                             "the body is larger than %O bytes", max);
}


static ngx_int_t
ngx_http_sp_body_collect(ngx_http_request_t *r, ngx_str_t *data)
{
    off_t         size;
    ngx_buf_t    *b;
    ngx_chain_t  *cl, *in;

    ngx_str_set(data, "");

    if (r->main->request_body == NULL || r->main->request_body->bufs == NULL)
    {
        return NGX_OK;
    }

    in = r->main->request_body->bufs;
    size = 0;

    for (cl = in; cl != NULL; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    if (ngx_http_sp_body_limit(r, size) != NGX_OK) {
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    b = in->buf;

    if (in->next == NULL && ngx_buf_in_memory(b)) {
        data->data = b->pos;
        data->len = b->last - b->pos;
        return NGX_OK;
    }

    data->data = ngx_pnalloc(r->pool, (size_t) size + 1);
    if (data->data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_sp_body_copy(r, in, data);
}


/*
 * The temporary file was written a moment ago, so the reads are served from
 * memory; client_body_buffer_size = body_max_size avoids the file.
 */

static ngx_int_t
ngx_http_sp_body_copy(ngx_http_request_t *r, ngx_chain_t *in,
    ngx_str_t *data)
{
    u_char     *p;
    size_t      size;
    ssize_t     n;
    ngx_buf_t  *b;

    p = data->data;

    for ( /* void */ ; in != NULL; in = in->next) {
        b = in->buf;

        if (ngx_buf_in_memory(b)) {
            p = ngx_cpymem(p, b->pos, b->last - b->pos);
            continue;
        }

        if (!b->in_file) {
            continue;
        }

        size = (size_t) (b->file_last - b->file_pos);

        n = ngx_read_file(b->file, p, size, b->file_pos);

        if (n == NGX_ERROR || (size_t) n != size) {
            ngx_log_error(NGX_LOG_CRIT, r->connection->log, 0,
                          "body: read %z of %uz bytes from \"%V\"",
                          n, size, &b->file->name);
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        p += size;
    }

    data->len = p - data->data;

    return NGX_OK;
}


/*
 * The request is answered while its body is still being read: by a step that
 * refuses beside the one that asked for it, or by the reader, which has
 * failed.  Nobody reads on; what comes yet is discarded with the connection,
 * and must not be taken for the next request.
 */

void
ngx_http_sp_body_abandon(ngx_http_request_t *r, ngx_http_sp_core_ctx_t *ctx)
{
    ngx_event_t  *rev;

    if (!ctx->body.reading) {
        return;
    }

    ctx->body.reading = 0;

    if (ctx->body.error == NGX_OK) {
        ctx->body.error = NGX_HTTP_BAD_REQUEST;
    }

    r->keepalive = 0;
    r->lingering_close = 1;
    r->read_event_handler = ngx_http_block_reading;

    rev = r->connection->read;

    if (rev->timer_set) {
        ngx_del_timer(rev);
    }

#if (NGX_HTTP_V2)

    if (r->stream != NULL) {
        r->stream->skip_data = 1;
    }

#endif

    /* half a body is not forwarded to where error_page leads */

    ngx_http_sp_body_drop(r);

    ngx_http_sp_wake_parts(ctx, ctx);
}


static void
ngx_http_sp_body_drop(ngx_http_request_t *r)
{
    if (r->request_body != NULL) {
        r->request_body->bufs = NULL;
    }

    r->headers_in.content_length_n = 0;
    r->headers_in.chunked = 0;
}


/*
 * The request is refused: what was read of it goes nowhere, whatever page an
 * error_page leads to.
 */

void
ngx_http_sp_body_refuse(ngx_http_request_t *r, ngx_http_sp_core_ctx_t *ctx)
{
    if (r != r->main) {
        return;
    }

    if (ctx->body.done && ctx->refusal != NULL) {
        ngx_http_sp_body_drop(r);
    }

    ngx_http_sp_body_abandon(r, ctx);
}


/*
 * A new pass begins while the body is read: the reader has failed and has
 * finalized the request, and an error_page has led here.  That is a refusal
 * like any other.
 */

ngx_int_t
ngx_http_sp_body_failed(ngx_http_request_t *r, ngx_http_sp_core_ctx_t *ctx)
{
    if (!ctx->body.reading) {
        return NGX_OK;
    }

    if (ctx->body.error == NGX_OK
        && r->err_status >= NGX_HTTP_BAD_REQUEST)
    {
        ctx->body.error = r->err_status;
    }

    ngx_http_sp_body_abandon(r, ctx);

    return ctx->body.error;
}


ngx_int_t
ngx_http_sp_replace_body(ngx_http_request_t *r, const ngx_str_t *body)
{
    u_char                  *p;
    ngx_buf_t               *b;
    ngx_chain_t             *cl;
    ngx_http_sp_core_ctx_t  *ctx;

    /* of a subrequest: that of the main request, which it is a part of */

    r = r->main;

    ctx = ngx_http_sp_core_ctx(r);
    b = ngx_calloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);
    p = ngx_pnalloc(r->pool, NGX_SIZE_T_LEN);

    if (ctx == NULL || b == NULL || cl == NULL || p == NULL
        || r->request_body == NULL)
    {
        return NGX_ERROR;
    }

    b->start = body->data;
    b->pos = body->data;
    b->last = body->data + body->len;
    b->end = b->last;
    b->temporary = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    cl->buf = b;
    cl->next = NULL;

    ctx->body.data = *body;

    r->request_body->bufs = cl;
    r->request_body->temp_file = NULL;
    r->headers_in.content_length_n = body->len;
    r->headers_in.chunked = 0;

    if (r->headers_in.content_length != NULL) {
        r->headers_in.content_length->value.data = p;
        r->headers_in.content_length->value.len =
                                      ngx_sprintf(p, "%uz", body->len) - p;
    }

    return NGX_OK;
}


void
ngx_http_sp_body_release(ngx_http_sp_core_ctx_t *ctx)
{
    if (ctx->body.chat != NULL) {
        sp_chat_free(ctx->body.chat);
        sp_chat_free(ctx->body.renewed);
        ctx->body.chat = NULL;
        ctx->body.renewed = NULL;
    }

    if (ctx->body.json != NULL) {
        json_decref(ctx->body.json);
        ctx->body.json = NULL;
    }
}
