
/*
 * Copyright (C) Sallyport authors
 *
 * Start and end of a relayed request.
 */


#include "ngx_http_sp_relay.h"


static ngx_int_t ngx_http_sp_relay_create_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_sp_relay_reinit_request(ngx_http_request_t *r);
static void ngx_http_sp_relay_abort_request(ngx_http_request_t *r);
static void ngx_http_sp_relay_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);


ngx_int_t
ngx_http_sp_relay_start(ngx_http_sp_relay_t *relay)
{
    ngx_int_t             rc;
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = relay->r;

    rc = relay->to->next(relay);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_HTTP_BAD_GATEWAY : rc;
    }

    if (ngx_http_upstream_create(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    u = r->upstream;

    u->output.tag = relay->tag;

    u->create_request = ngx_http_sp_relay_create_request;
    u->reinit_request = ngx_http_sp_relay_reinit_request;
    u->process_header = ngx_http_sp_relay_status_line;
    u->abort_request = ngx_http_sp_relay_abort_request;
    u->finalize_request = ngx_http_sp_relay_finalize_request;

    u->input_filter_init = ngx_http_sp_relay_filter_init;
    u->input_filter = ngx_http_sp_relay_filter;
    u->input_filter_ctx = relay;

    ngx_http_sp_relay_send_init(relay);
    ngx_http_sp_relay_aim(relay);

    relay->stopped = 0;
    relay->move = 0;
    relay->failure = NGX_HTTP_SP_RELAY_FINE;

    ngx_http_sp_relay_respond(relay);

    /* paid back by the upstream's ngx_http_finalize_request() */

    r->main->count++;

    ngx_http_upstream_init(r);

    return NGX_DONE;
}


void
ngx_http_sp_relay_aim(ngx_http_sp_relay_t *relay)
{
    ngx_http_upstream_t  *u;

    u = relay->r->upstream;

    u->conf = &relay->endpoint->upstream;
    u->ssl = relay->endpoint->ssl;
    u->request_bufs = relay->request;

    if (u->ssl) {
        ngx_str_set(&u->schema, "https://");

    } else {
        ngx_str_set(&u->schema, "http://");
    }
}


/* written by next(), before, so that the owner can still answer errors */

static ngx_int_t
ngx_http_sp_relay_create_request(ngx_http_request_t *r)
{
    ngx_http_sp_relay_aim(r->upstream->input_filter_ctx);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_relay_reinit_request(ngx_http_request_t *r)
{
    ngx_http_sp_relay_respond(r->upstream->input_filter_ctx);

    return NGX_OK;
}


static void
ngx_http_sp_relay_abort_request(ngx_http_request_t *r)
{
    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "relay: abort request");
}


static void
ngx_http_sp_relay_finalize_request(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_sp_relay_t  *relay;

    relay = r->upstream->input_filter_ctx;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "relay: finalize request: %i", rc);

    ngx_http_sp_relay_disarm(relay);

    /* of what was before the header it is known already */

    if (r->upstream->header_sent) {
        relay->failure = ngx_http_sp_relay_why(relay);
    }

    relay->to->done(relay, rc);
}
