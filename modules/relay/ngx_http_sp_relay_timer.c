
/*
 * Copyright (C) Sallyport authors
 *
 * How long a try may take in all, beside NGINX's timers between two events,
 * and which of them was it.
 */


#include "ngx_http_sp_relay.h"


static void ngx_http_sp_relay_expire(ngx_event_t *ev);


/* called with the connection: from then on NGINX ends the try, by done() */

void
ngx_http_sp_relay_arm(ngx_http_sp_relay_t *relay)
{
    ngx_msec_t       left, wait;
    ngx_event_t     *timer;
    ngx_msec_int_t   rest;

    timer = &relay->timer;

    if (timer->timer_set) {
        return;
    }

    wait = relay->endpoint->total_timeout;

    if (relay->deadline != 0) {
        rest = (ngx_msec_int_t) (relay->deadline - ngx_current_msec);
        left = (rest > 0) ? (ngx_msec_t) rest : 1;

        wait = (wait != 0) ? ngx_min(wait, left) : left;
    }

    if (wait == 0) {
        return;
    }

    timer->handler = ngx_http_sp_relay_expire;
    timer->data = relay;
    timer->log = relay->r->connection->log;

    ngx_add_timer(timer, wait);
}


void
ngx_http_sp_relay_disarm(ngx_http_sp_relay_t *relay)
{
    if (relay->timer.timer_set) {
        ngx_del_timer(&relay->timer);
    }
}


/* as if NGINX's own timer of the connection had fired: it knows what to do */

static void
ngx_http_sp_relay_expire(ngx_event_t *ev)
{
    ngx_connection_t     *c;
    ngx_http_sp_relay_t  *relay;

    relay = ev->data;
    c = relay->r->upstream->peer.connection;

    if (c == NULL) {
        return;
    }

    relay->expired = 1;

    /* the handshake looks at the other one */

    c->read->timedout = 1;
    c->write->timedout = 1;

    c->read->handler(c->read);
}


ngx_http_sp_relay_failure_e
ngx_http_sp_relay_why(const ngx_http_sp_relay_t *relay)
{
    ngx_connection_t     *c;
    ngx_http_upstream_t  *u;

    u = relay->r->upstream;
    c = u->peer.connection;

    if (relay->expired) {
        return (relay->deadline != 0
                && (ngx_msec_int_t) (relay->deadline - ngx_current_msec) <= 0)
               ? NGX_HTTP_SP_RELAY_DEADLINE
               : NGX_HTTP_SP_RELAY_TOTAL_TIMEOUT;
    }

    if (c != NULL && (c->write->timedout || c->read->timedout)) {

        if (!u->request_sent) {
            return NGX_HTTP_SP_RELAY_CONNECT_TIMEOUT;
        }

        if (!u->request_body_sent) {
            return NGX_HTTP_SP_RELAY_SEND_TIMEOUT;
        }

        return u->header_sent ? NGX_HTTP_SP_RELAY_READ_TIMEOUT
                              : NGX_HTTP_SP_RELAY_FIRST_BYTE_TIMEOUT;
    }

    if (relay->invalid) {
        return NGX_HTTP_SP_RELAY_INVALID;
    }

    return u->header_sent ? NGX_HTTP_SP_RELAY_CUT
                          : NGX_HTTP_SP_RELAY_UNREACHABLE;
}
