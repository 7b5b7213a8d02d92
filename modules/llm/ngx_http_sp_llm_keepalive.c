
/*
 * Copyright (C) Sallyport authors
 *
 * A stream in which nothing is said: what sits between client and gateway
 * closes idle connections, so a word that says nothing is sent from time to
 * time.  Only between events: all that goes out are whole ones.
 *
 * Before the provider's header this commits the client's: status 200 is out,
 * and a failure is an event of the stream from then on.  Another target may
 * still be asked, as long as nothing of an answer was passed on.
 */


#include "ngx_http_sp_llm.h"


static void ngx_http_sp_llm_keepalive_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_sp_llm_ping(ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_commit(ngx_http_sp_llm_ctx_t *ctx);
static ngx_uint_t ngx_http_sp_llm_quiet(ngx_http_sp_llm_ctx_t *ctx);
static void ngx_http_sp_llm_keepalive_cleanup(void *data);


ngx_int_t
ngx_http_sp_llm_keepalive(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_event_t         *ev;
    ngx_http_request_t  *r;
    ngx_http_cleanup_t  *cln;

    r = ctx->request;
    ev = &ctx->keepalive.timer;

    if (!ctx->check.stream
        || r != r->main
        || ctx->check.conf->keepalive == 0
        || ctx->check.dialect->keepalive == NULL)
    {
        return NGX_OK;
    }

    if (ev->handler == NULL) {
        cln = ngx_http_cleanup_add(r, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        cln->handler = ngx_http_sp_llm_keepalive_cleanup;
        cln->data = ctx;

        ev->handler = ngx_http_sp_llm_keepalive_handler;
        ev->data = ctx;
        ev->log = r->connection->log;
    }

    ctx->keepalive.said = ngx_current_msec;

    ngx_add_timer(ev, ctx->check.conf->keepalive);

    return NGX_OK;
}


void
ngx_http_sp_llm_keepalive_stop(ngx_http_sp_llm_ctx_t *ctx)
{
    if (ctx->keepalive.timer.timer_set) {
        ngx_del_timer(&ctx->keepalive.timer);
    }
}


static void
ngx_http_sp_llm_keepalive_cleanup(void *data)
{
    ngx_http_sp_llm_keepalive_stop(data);
}


/* one timer for a request, whatever is said: it looks how long ago that was */

static void
ngx_http_sp_llm_keepalive_handler(ngx_event_t *ev)
{
    ngx_msec_t              interval, silent;
    ngx_connection_t       *c;
    ngx_http_upstream_t    *u;
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = ev->data;
    c = ctx->request->connection;
    u = ctx->request->upstream;

    /* not begun, or ended: what goes out is not a stream of ours */

    if (u == NULL || u->cleanup == NULL) {
        return;
    }

    interval = ctx->check.conf->keepalive;
    silent = ngx_current_msec - ctx->keepalive.said;

    if (silent < interval) {
        ngx_add_timer(ev, interval - silent);
        return;
    }

    if (ngx_http_sp_llm_ping(ctx) == NGX_OK) {
        ngx_add_timer(ev, interval);
        return;
    }

    /* the upstream's handler for a client that has left ends the request */

    c->error = 1;
    ngx_post_event(c->read, &ngx_posted_events);
}


static ngx_int_t
ngx_http_sp_llm_ping(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_buf_t           *b;
    ngx_chain_t          out;
    const char          *text;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (!r->header_sent && ngx_http_sp_llm_commit(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    /* with bytes that wait for the client already one more helps nobody */

    if (!ngx_http_sp_llm_quiet(ctx)) {
        return NGX_OK;
    }

    b = &ctx->keepalive.buf;
    text = ctx->check.dialect->keepalive;

    ngx_memzero(b, sizeof(ngx_buf_t));

    b->pos = (u_char *) text;
    b->last = b->pos + ngx_strlen(text);
    b->memory = 1;
    b->flush = 1;

    /* of a CR LF the LF may still come: it is the end of this line then */

    if (ctx->response.sse.cr && !ctx->attempt.rewritten) {
        b->pos = ngx_pnalloc(r->pool, ngx_strlen(text));
        if (b->pos == NULL) {
            return NGX_ERROR;
        }

        b->last = ngx_cpymem(b->pos, text, ngx_strlen(text));
        b->last[-1] = CR;
    }

    out.buf = b;
    out.next = NULL;

    ctx->keepalive.said = ngx_current_msec;

    rc = ngx_http_output_filter(r, &out);

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


/* nothing waits to be sent, no event is half sent, and the end is not */

static ngx_uint_t
ngx_http_sp_llm_quiet(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = ctx->request->upstream;

    return ctx->request->connection->buffered == 0
           && u->out_bufs == NULL
           && u->busy_bufs == NULL
           && !ctx->response.sse.pass
           && !ctx->response.done
           && !ctx->response.settled
           && !ctx->relay.stopped;
}


static ngx_int_t
ngx_http_sp_llm_commit(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_http_sp_llm_send_stream_header(ctx);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    ctx->keepalive.committed = 1;

    return NGX_OK;
}
