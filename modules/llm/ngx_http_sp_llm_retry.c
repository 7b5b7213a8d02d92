
/*
 * Copyright (C) Sallyport authors
 *
 * A kept connection that the provider closes in the moment in which it is
 * used: the request was not read and is sent again.  NGINX does so for a GET;
 * for a POST it would with "non_idempotent", which repeats others as well.
 */


#include "ngx_http_sp_llm.h"


/* a provider that always closes is not asked for ever */
#define NGX_HTTP_SP_LLM_RETRIES  3


static ngx_int_t ngx_http_sp_llm_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
static void ngx_http_sp_llm_free_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state);
static ngx_uint_t ngx_http_sp_llm_is_stale(ngx_http_upstream_t *u,
    ngx_uint_t state);


/*
 * The provider's own view of its upstream {}, which others may use as well;
 * after all upstreams have been initialized.
 */

void
ngx_http_sp_llm_retry(ngx_http_sp_llm_provider_t *provider)
{
    provider->real = provider->upstream.upstream;

    provider->view = *provider->real;
    provider->view.peer.init = ngx_http_sp_llm_init_peer;

    provider->upstream.upstream = &provider->view;

    provider->again = provider->upstream;
    provider->again.next_upstream |= NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT;
}


static ngx_int_t
ngx_http_sp_llm_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_int_t                      rc;
    ngx_peer_connection_t         *pc;
    ngx_http_sp_llm_ctx_t         *ctx;
    ngx_http_upstream_srv_conf_t  *real;

    ctx = r->upstream->input_filter_ctx;
    real = ctx->attempt.model->provider->real;

    rc = real->peer.init(r, real);

    if (rc != NGX_OK) {
        return rc;
    }

    pc = &r->upstream->peer;

    ctx->attempt.free_peer = pc->free;
    pc->free = ngx_http_sp_llm_free_peer;

    return NGX_OK;
}


/* called with the connection that has failed, before another one is tried */

static void
ngx_http_sp_llm_free_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_upstream_t         *u;
    ngx_http_sp_llm_ctx_t       *ctx;
    ngx_http_sp_llm_provider_t  *provider;

    u = (ngx_http_upstream_t *)
            ((u_char *) pc - offsetof(ngx_http_upstream_t, peer));

    ctx = u->input_filter_ctx;
    provider = ctx->attempt.model->provider;

    u->conf = &provider->upstream;

    if (ngx_http_sp_llm_is_stale(u, state)
        && ctx->attempt.retries < NGX_HTTP_SP_LLM_RETRIES)
    {
        ctx->attempt.retries++;
        u->conf = &provider->again;

        /* which says nothing about the address */

        state &= ~NGX_PEER_FAILED;
    }

    ctx->attempt.free_peer(pc, data, state);
}


/* closed by the peer, and not a byte of an answer came: not a timeout */

static ngx_uint_t
ngx_http_sp_llm_is_stale(ngx_http_upstream_t *u, ngx_uint_t state)
{
    ngx_connection_t  *c;

    c = u->peer.connection;

    return (state & NGX_PEER_FAILED)
           && u->peer.cached
           && u->state->bytes_received == 0
           && c != NULL
           && !c->read->timedout
           && !c->write->timedout
           && (c->read->eof || c->read->error || c->write->error);
}
