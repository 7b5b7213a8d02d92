
/*
 * Copyright (C) Sallyport authors
 *
 * A reply word by word, paced by a timer.
 *
 *     ROLE -> WORDS -> USAGE -> END
 *
 * One event is on its way at a time: while the client does not read, the
 * timer rests.
 */


#include "ngx_http_sp_demo.h"


typedef enum {
    NGX_HTTP_SP_DEMO_ROLE = 0,
    NGX_HTTP_SP_DEMO_WORDS,
    NGX_HTTP_SP_DEMO_FINISH,
    NGX_HTTP_SP_DEMO_USAGE,
    NGX_HTTP_SP_DEMO_END
} ngx_http_sp_demo_state_e;


static void ngx_http_sp_demo_tick(ngx_event_t *ev);
static void ngx_http_sp_demo_writer(ngx_http_request_t *r);
static void ngx_http_sp_demo_run(ngx_http_request_t *r,
    ngx_http_sp_demo_ctx_t *ctx);
static void ngx_http_sp_demo_next(ngx_http_sp_demo_ctx_t *ctx,
    ngx_http_sp_demo_text_t *text);
static void ngx_http_sp_demo_word(ngx_http_sp_demo_ctx_t *ctx,
    ngx_str_t *word);
static void ngx_http_sp_demo_chunk(ngx_http_sp_demo_ctx_t *ctx,
    ngx_http_sp_demo_text_t *text, const char *choices);
static ngx_int_t ngx_http_sp_demo_send(ngx_http_request_t *r,
    ngx_http_sp_demo_ctx_t *ctx);
static ngx_chain_t *ngx_http_sp_demo_get_buf(ngx_http_request_t *r,
    ngx_http_sp_demo_ctx_t *ctx, size_t size);
static void ngx_http_sp_demo_cleanup(void *data);


ngx_int_t
ngx_http_sp_demo_stream(ngx_http_request_t *r, ngx_http_sp_demo_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_http_cleanup_t  *cln;

    static ngx_str_t  no_cache = ngx_string("no-cache");

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_sp_demo_cleanup;
    cln->data = ctx;

    ctx->timer.handler = ngx_http_sp_demo_tick;
    ctx->timer.data = r;
    ctx->timer.log = r->connection->log;

    r->headers_out.status = NGX_HTTP_OK;
    ngx_str_set(&r->headers_out.content_type, "text/event-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    if (ngx_http_sp_add_header(r, "Cache-Control", &no_cache) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    /* paid back by the finalization at the end of the stream */

    r->main->count++;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_sp_demo_writer;

    ngx_http_sp_demo_run(r, ctx);

    return NGX_DONE;
}


static void
ngx_http_sp_demo_tick(ngx_event_t *ev)
{
    ngx_connection_t        *c;
    ngx_http_request_t      *r;
    ngx_http_sp_demo_ctx_t  *ctx;

    r = ev->data;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ctx = ngx_http_sp_find_ctx(r, &ngx_http_sp_demo_module);

    ngx_http_sp_demo_run(r, ctx);

    ngx_http_run_posted_requests(c);
}


/* the client reads again */

static void
ngx_http_sp_demo_writer(ngx_http_request_t *r)
{
    ngx_http_sp_demo_ctx_t  *ctx;

    if (r->connection->write->timedout) {
        ngx_connection_error(r->connection, NGX_ETIMEDOUT,
                             "client timed out");
        r->connection->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    ctx = ngx_http_sp_find_ctx(r, &ngx_http_sp_demo_module);

    if (ctx->busy != NULL) {
        ngx_http_sp_demo_run(r, ctx);
    }
}


static void
ngx_http_sp_demo_run(ngx_http_request_t *r, ngx_http_sp_demo_ctx_t *ctx)
{
    ngx_int_t                      rc;
    ngx_event_t                   *wev;
    ngx_http_core_loc_conf_t      *clcf;
    ngx_http_sp_demo_loc_conf_t   *dlcf;

    dlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_demo_module);
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    wev = r->connection->write;

    for ( ;; ) {

        rc = ngx_http_sp_demo_send(r, ctx);

        if (rc == NGX_ERROR || ctx->state == NGX_HTTP_SP_DEMO_END) {
            ngx_http_finalize_request(r, rc);
            return;
        }

        if (ctx->busy != NULL) {
            break;
        }

        if (wev->timer_set) {
            ngx_del_timer(wev);
        }

        if (dlcf->delay != 0) {
            ngx_add_timer(&ctx->timer, dlcf->delay);
            return;
        }
    }

    ngx_add_timer(wev, clcf->send_timeout);

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_ERROR);
    }
}


/* the next event, or what is left of the last one */

static ngx_int_t
ngx_http_sp_demo_send(ngx_http_request_t *r, ngx_http_sp_demo_ctx_t *ctx)
{
    ngx_int_t                 rc;
    ngx_buf_t                *b;
    ngx_chain_t              *cl;
    ngx_http_sp_demo_text_t   text;

    cl = NULL;

    if (ctx->busy == NULL) {
        ngx_memzero(&text, sizeof(ngx_http_sp_demo_text_t));
        text.pool = r->pool;

        ngx_http_sp_demo_next(ctx, &text);

        if (text.failed) {
            return NGX_ERROR;
        }

        cl = ngx_http_sp_demo_get_buf(r, ctx, text.len);
        if (cl == NULL) {
            return NGX_ERROR;
        }

        b = cl->buf;

        b->pos = b->start;
        b->last = ngx_cpymem(b->pos, text.data, text.len);
        b->flush = 1;
        b->last_buf = (ctx->state == NGX_HTTP_SP_DEMO_END);

        (void) ngx_pfree(r->pool, text.data);
    }

    rc = ngx_http_output_filter(r, cl);

    ngx_chain_update_chains(r->pool, &ctx->free, &ctx->busy, &cl,
                            (ngx_buf_tag_t) &ngx_http_sp_demo_module);

    return rc;
}


static ngx_chain_t *
ngx_http_sp_demo_get_buf(ngx_http_request_t *r, ngx_http_sp_demo_ctx_t *ctx,
    size_t size)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ctx->free;

    if (cl != NULL && (size_t) (cl->buf->end - cl->buf->start) >= size) {
        ctx->free = cl->next;
        cl->next = NULL;
        return cl;
    }

    cl = ngx_alloc_chain_link(r->pool);
    b = ngx_create_temp_buf(r->pool, ngx_max(size, 1024));

    if (cl == NULL || b == NULL) {
        return NULL;
    }

    b->tag = (ngx_buf_tag_t) &ngx_http_sp_demo_module;

    cl->buf = b;
    cl->next = NULL;

    return cl;
}


static void
ngx_http_sp_demo_next(ngx_http_sp_demo_ctx_t *ctx,
    ngx_http_sp_demo_text_t *text)
{
    ngx_str_t  word;

    switch (ctx->state) {

    case NGX_HTTP_SP_DEMO_ROLE:
        ngx_http_sp_demo_chunk(ctx, text, "[{\"index\":0,\"delta\":"
                               "{\"role\":\"assistant\",\"content\":\"\"},"
                               "\"finish_reason\":null}]");
        ctx->state = NGX_HTTP_SP_DEMO_WORDS;
        break;

    case NGX_HTTP_SP_DEMO_WORDS:
        ngx_http_sp_demo_word(ctx, &word);

        ngx_http_sp_demo_chunk(ctx, text, "[{\"index\":0,\"delta\":"
                               "{\"content\":\"");
        ngx_http_sp_demo_add_json(text, word.data, word.len);
        ngx_http_sp_demo_add_text(text, "\"},\"finish_reason\":null}]");

        if (ctx->sent == ctx->reply.len) {
            ctx->state = NGX_HTTP_SP_DEMO_FINISH;
        }

        break;

    case NGX_HTTP_SP_DEMO_FINISH:
        ngx_http_sp_demo_chunk(ctx, text, ctx->cut
                               ? "[{\"index\":0,\"delta\":{},"
                                 "\"finish_reason\":\"length\"}]"
                               : "[{\"index\":0,\"delta\":{},"
                                 "\"finish_reason\":\"stop\"}]");

        ctx->state = NGX_HTTP_SP_DEMO_USAGE;
        break;

    default: /* NGX_HTTP_SP_DEMO_USAGE */

        if (ctx->chat->include_usage) {
            ngx_http_sp_demo_chunk(ctx, text, "[]");
            ngx_http_sp_demo_printf(text, ",\"usage\":{"
                                    "\"prompt_tokens\":%uz,"
                                    "\"completion_tokens\":%uz,"
                                    "\"total_tokens\":%uz}}\n\n",
                                    ctx->prompt_tokens,
                                    ctx->completion_tokens,
                                    ctx->prompt_tokens
                                    + ctx->completion_tokens);
        }

        ngx_http_sp_demo_add_text(text, "data: [DONE]\n\n");
        ctx->state = NGX_HTTP_SP_DEMO_END;
        return;
    }

    ngx_http_sp_demo_add_text(text, "}\n\n");
}


/* up to and with the space behind it */

static void
ngx_http_sp_demo_word(ngx_http_sp_demo_ctx_t *ctx, ngx_str_t *word)
{
    size_t  i;

    i = ctx->sent;

    while (i < ctx->reply.len && ctx->reply.data[i] != ' ') {
        i++;
    }

    if (i < ctx->reply.len) {
        i++;
    }

    word->data = ctx->reply.data + ctx->sent;
    word->len = i - ctx->sent;

    ctx->sent = i;
}


static void
ngx_http_sp_demo_chunk(ngx_http_sp_demo_ctx_t *ctx,
    ngx_http_sp_demo_text_t *text, const char *choices)
{
    ngx_http_sp_demo_printf(text, "data: {\"id\":\"%*s\",\"object\":"
                            "\"chat.completion.chunk\",\"created\":%T,"
                            "\"model\":\"demo\",\"choices\":%s",
                            sizeof(ctx->id), ctx->id, ngx_time(), choices);
}


static void
ngx_http_sp_demo_cleanup(void *data)
{
    ngx_http_sp_demo_ctx_t *ctx = data;

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }
}
