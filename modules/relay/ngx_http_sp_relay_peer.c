
/*
 * Copyright (C) Sallyport authors
 *
 * Which connection a request goes to, when one has failed.
 *
 *     stale       kept, and closed by the other side as it was used: not read
 *                 there, so it is sent again to the same endpoint.  NGINX
 *                 does so for a GET; for a POST it would with
 *                 "non_idempotent", which repeats others as well
 *     not sent    another address of the endpoint, as NGINX does
 *     else        the next endpoint, while nothing was passed on.  What was
 *                 sent may have been paid for: it is the operator who has
 *                 named several endpoints
 *
 * NGINX calls free() of a balancer with the connection that has failed, and
 * then decides, by u->conf and u->peer.tries, whether to call get() again.
 */


#include "ngx_http_sp_relay.h"


/* an endpoint that always closes is not asked for ever */
#define NGX_HTTP_SP_RELAY_REPEATS  3

#define NGX_HTTP_SP_RELAY_ANYTHING                                            \
    (NGX_CONF_BITMASK_SET                                                     \
     |NGX_HTTP_UPSTREAM_FT_ERROR                                              \
     |NGX_HTTP_UPSTREAM_FT_TIMEOUT                                            \
     |NGX_HTTP_UPSTREAM_FT_INVALID_HEADER                                     \
     |NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT)


static ngx_int_t ngx_http_sp_relay_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_sp_relay_take(ngx_http_sp_relay_t *relay);
static ngx_int_t ngx_http_sp_relay_next(ngx_http_sp_relay_t *relay);
static ngx_int_t ngx_http_sp_relay_get_peer(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_sp_relay_free_peer(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t state);
static void ngx_http_sp_relay_failed(ngx_http_sp_relay_t *relay,
    ngx_http_sp_relay_failure_e why);
static ngx_uint_t ngx_http_sp_relay_is_stale(ngx_http_upstream_t *u,
    ngx_uint_t state);


/*
 * The endpoint's own view of its upstream {}, which others may use as well.
 */

void
ngx_http_sp_relay_watch(ngx_http_sp_relay_endpoint_t *endpoint)
{
    endpoint->real = endpoint->upstream.upstream;

    endpoint->view = *endpoint->real;
    endpoint->view.peer.init = ngx_http_sp_relay_init_peer;

    endpoint->upstream.upstream = &endpoint->view;

    endpoint->again = endpoint->upstream;
    endpoint->again.next_upstream = NGX_HTTP_SP_RELAY_ANYTHING;

    endpoint->flow = endpoint->upstream;
    endpoint->flow.read_timeout = endpoint->read_timeout;
}


static ngx_int_t
ngx_http_sp_relay_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us)
{
    return ngx_http_sp_relay_take(r->upstream->input_filter_ctx);
}


/* the balancer of relay->endpoint becomes that of the upstream */

static ngx_int_t
ngx_http_sp_relay_take(ngx_http_sp_relay_t *relay)
{
    ngx_int_t               rc;
    ngx_http_request_t     *r;
    ngx_peer_connection_t  *pc;

    r = relay->r;

    if (ngx_http_sp_relay_peers(relay) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = relay->endpoint->real->peer.init(r, relay->endpoint->real);

    if (rc != NGX_OK) {
        return rc;
    }

    pc = &r->upstream->peer;

    relay->get_peer = pc->get;
    relay->free_peer = pc->free;

    pc->get = ngx_http_sp_relay_get_peer;
    pc->free = ngx_http_sp_relay_free_peer;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_relay_get_peer(ngx_peer_connection_t *pc, void *data)
{
    ngx_int_t             rc;
    ngx_http_upstream_t  *u;
    ngx_http_sp_relay_t  *relay;

    u = (ngx_http_upstream_t *)
            ((u_char *) pc - offsetof(ngx_http_upstream_t, peer));

    relay = u->input_filter_ctx;

    for ( ;; ) {

        if (relay->move) {
            relay->move = 0;

            rc = ngx_http_sp_relay_next(relay);

            if (rc != NGX_OK) {
                return rc;
            }
        }

        rc = relay->get_peer(pc, pc->data);

        if (rc != NGX_BUSY) {
            ngx_http_sp_relay_send_again(relay);
            ngx_http_sp_relay_arm(relay);
            return rc;
        }

        /* all its addresses have failed lately */

        ngx_http_sp_relay_failed(relay, NGX_HTTP_SP_RELAY_UNREACHABLE);

        if (!relay->to->more(relay)) {
            return rc;
        }

        relay->move = 1;
    }
}


/* NGX_BUSY: there is none, NGINX answers as if all addresses were down */

static ngx_int_t
ngx_http_sp_relay_next(ngx_http_sp_relay_t *relay)
{
    if (relay->to->next(relay) != NGX_OK) {
        return NGX_BUSY;
    }

    ngx_http_sp_relay_aim(relay);

    relay->repeats = 0;
    relay->failure = NGX_HTTP_SP_RELAY_FINE;
    relay->declined = 0;

    return ngx_http_sp_relay_take(relay);
}


static void
ngx_http_sp_relay_free_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_upstream_t           *u;
    ngx_http_sp_relay_t           *relay;
    ngx_http_sp_relay_failure_e    why;
    ngx_http_sp_relay_endpoint_t  *endpoint;

    u = (ngx_http_upstream_t *)
            ((u_char *) pc - offsetof(ngx_http_upstream_t, peer));

    relay = u->input_filter_ctx;
    endpoint = relay->endpoint;

    u->conf = &endpoint->upstream;

    if (ngx_http_sp_relay_is_stale(u, state)
        && relay->repeats < NGX_HTTP_SP_RELAY_REPEATS)
    {
        relay->repeats++;
        u->conf = &endpoint->again;

        /* which says nothing about the address */

        state &= ~NGX_PEER_FAILED;

        relay->free_peer(pc, data, state);
        return;
    }

    why = ngx_http_sp_relay_why(relay);

    /* who has answered, whatever it was, is there */

    if (relay->declined) {
        state &= ~NGX_PEER_FAILED;
        state |= NGX_PEER_NEXT;
    }

    if ((state & NGX_PEER_FAILED) && endpoint->dns != NULL) {
        ngx_sp_name_failed(endpoint->dns);
    }

    relay->free_peer(pc, data, state);

    if (state == 0 || u->header_sent
        || (pc->tries != 0 && !u->request_sent && !relay->expired))
    {
        return;
    }

    ngx_http_sp_relay_failed(relay, why);

    if (!relay->to->more(relay)) {
        return;
    }

    /* with the conf of "again", whatever it was that has failed */

    relay->move = 1;
    pc->tries = 1;
    u->conf = &endpoint->again;
}


/* the try is over; a timer of the next one begins with its connection */

static void
ngx_http_sp_relay_failed(ngx_http_sp_relay_t *relay,
    ngx_http_sp_relay_failure_e why)
{
    ngx_http_sp_relay_disarm(relay);

    relay->failure = why;
    relay->to->failed(relay);

    relay->expired = 0;
}


/* closed by the peer, and not a byte of an answer came: not a timeout */

static ngx_uint_t
ngx_http_sp_relay_is_stale(ngx_http_upstream_t *u, ngx_uint_t state)
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
