
/*
 * Copyright (C) Sallyport authors
 *
 * Relays a request to one of several endpoints on NGINX's own upstream:
 * connect, TLS with verification, keepalive, timeouts, flow control and a
 * client that leaves are NGINX's.  It knows HTTP/1.1 and nothing of what is
 * said in it.
 *
 * One request, downward:
 *
 *     start     next() names an endpoint and writes the request for it
 *     connect   another address, or, as long as nothing was passed on to the
 *               client, the endpoint that next() names then
 *     header    begin(), header() for each line, head() at its end
 *     body      data() for each piece, without its framing; end()
 *     done      once, on every exit path
 *
 * A kept connection that the other side closes in the moment in which it is
 * used was not read from: the request is sent again to the same endpoint, up
 * to three times.
 */

#ifndef _NGX_HTTP_SP_RELAY_H_INCLUDED_
#define _NGX_HTTP_SP_RELAY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_sp_name.h"


typedef struct ngx_http_sp_relay_s        ngx_http_sp_relay_t;
typedef struct ngx_http_sp_relay_peers_s  ngx_http_sp_relay_peers_t;


/*
 * Where requests go; configuration memory, zeroed.  The first part is set by
 * its owner, before ngx_http_sp_relay_connect().
 */

typedef struct {
    ngx_str_t                      name;      /* "llm_provider openai" */
    ngx_str_t                      upstream_name;   /* upstream {}; or none */
    ngx_str_t                      trusted_certificate;
    ngx_int_t                      keepalive; /* idle connections; 0: none */
    ngx_http_upstream_conf_t       upstream;  /* timeouts, buffer_size;
                                                 read_timeout: until the
                                                 answer begins */
    ngx_msec_t                     read_timeout;    /* .. then, between two
                                                       reads */
    ngx_msec_t                     total_timeout;   /* of all of it */

    /* of ngx_http_sp_relay_url() */

    ngx_url_t                      url;
    ngx_str_t                      host;      /* Host header, with the port */
    ngx_str_t                      path;      /* without a slash at its end */
    unsigned                       ssl:1;

    /* private */

    ngx_http_upstream_conf_t       again;     /* a stale connection */
    ngx_http_upstream_conf_t       flow;      /* the answer has begun */
    ngx_http_upstream_srv_conf_t   view;
    ngx_http_upstream_srv_conf_t  *real;
    ngx_sp_name_t                 *dns;       /* NULL: nothing to look up */
    ngx_uint_t                     changes;   /* of dns, that peers are of */
    ngx_http_sp_relay_peers_t     *peers;     /* NULL: never resolved */
} ngx_http_sp_relay_endpoint_t;


/*
 * Configuration; NGX_ERROR after logging why.  url(): http or https.
 * connect(): when all parameters are there.
 */
ngx_int_t ngx_http_sp_relay_url(ngx_conf_t *cf,
    ngx_http_sp_relay_endpoint_t *endpoint, const ngx_str_t *url);
ngx_int_t ngx_http_sp_relay_connect(ngx_conf_t *cf,
    ngx_http_sp_relay_endpoint_t *endpoint);

/* after all upstreams have been initialized: in init_module */
void ngx_http_sp_relay_watch(ngx_http_sp_relay_endpoint_t *endpoint);

/*
 * The name to wait for, where a connection could not be made because it has
 * no address so far; NULL: nothing to wait for.
 */
ngx_sp_name_t *ngx_http_sp_relay_unresolved(
    ngx_http_sp_relay_endpoint_t *endpoint);

/* a worker ends */
void ngx_http_sp_relay_disconnect(ngx_http_sp_relay_endpoint_t *endpoint);


/* what has ended an endpoint's try; the owner tells what it has refused */

typedef enum {
    NGX_HTTP_SP_RELAY_FINE = 0,
    NGX_HTTP_SP_RELAY_UNREACHABLE,       /* or closed before its answer */
    NGX_HTTP_SP_RELAY_CONNECT_TIMEOUT,   /* TLS included */
    NGX_HTTP_SP_RELAY_SEND_TIMEOUT,
    NGX_HTTP_SP_RELAY_FIRST_BYTE_TIMEOUT,
    NGX_HTTP_SP_RELAY_READ_TIMEOUT,
    NGX_HTTP_SP_RELAY_TOTAL_TIMEOUT,     /* of the endpoint */
    NGX_HTTP_SP_RELAY_DEADLINE,          /* of the relay */
    NGX_HTTP_SP_RELAY_INVALID,           /* no HTTP */
    NGX_HTTP_SP_RELAY_CUT                /* closed after its header */
} ngx_http_sp_relay_failure_e;


typedef struct {
    /*
     * Sets relay->endpoint and relay->request: bufs in memory that begin at
     * "start", because they may be sent again; and relay->body, what follows
     * them, of any bufs, which are only read.  Whether there is one is the
     * same for all endpoints.  NGX_OK; NGX_DECLINED: there
     * is no further endpoint; NGX_ERROR.
     */
    ngx_int_t                    (*next)(ngx_http_sp_relay_t *relay);

    /*
     * Before an answer was passed on: relay->failure, or head() has declined.
     * Whether another endpoint is asked then is for more() to say.
     */
    void                         (*failed)(ngx_http_sp_relay_t *relay);

    /* whether next() would find one */
    ngx_uint_t                   (*more)(ngx_http_sp_relay_t *relay);

    /* a response begins, perhaps not the first one */
    void                         (*begin)(ngx_http_sp_relay_t *relay);

    /* NGX_OK, or NGX_ERROR; what nobody asks for is not passed on */
    ngx_int_t                    (*header)(ngx_http_sp_relay_t *relay,
                                     const ngx_str_t *name,
                                     const ngx_str_t *value);

    /*
     * The header is whole: NGX_OK, headers_out is set and goes out; NGX_AGAIN,
     * to be called again when more of the body is in u->buffer; NGX_DECLINED,
     * this endpoint will not do, the next one is tried.
     */
    ngx_int_t                    (*head)(ngx_http_sp_relay_t *relay);

    /* NGX_OK, or NGX_ERROR; relay->stopped: no more of it */
    ngx_int_t                    (*data)(ngx_http_sp_relay_t *relay,
                                     u_char *p, u_char *last);

    /* the body is whole, or, where "broken", its framing is not right */
    ngx_int_t                    (*end)(ngx_http_sp_relay_t *relay,
                                     ngx_uint_t broken);

    /* of ngx_http_upstream's finalize_request; relay->failure tells why */
    void                         (*done)(ngx_http_sp_relay_t *relay,
                                     ngx_int_t rc);
} ngx_http_sp_relay_handlers_t;


/* see _peek.c */
typedef struct {
    ngx_http_chunked_t             chunked;
    u_char                        *data;
    size_t                         len;
    size_t                         seen;      /* of u->buffer */
} ngx_http_sp_relay_peek_t;


/* see _send.c */
typedef struct {
    const ngx_chain_t             *next;      /* what is left of the body */
    off_t                          sent;      /* of its first buf */
    u_char                        *data;      /* of a file */
    ngx_buf_t                      buf;
} ngx_http_sp_relay_send_t;


/* one request; memory of the request, zeroed, kept by its owner */

struct ngx_http_sp_relay_s {
    const ngx_http_sp_relay_handlers_t  *to;
    ngx_http_request_t            *r;
    void                          *data;      /* the owner's */
    ngx_buf_tag_t                  tag;       /* of the bufs that go out */

    ngx_http_sp_relay_endpoint_t  *endpoint;
    ngx_chain_t                   *request;
    ngx_chain_t                   *body;      /* NULL: none behind it */
    ngx_msec_t                     deadline;  /* ngx_current_msec, of all
                                                 endpoints; 0: none */

    /* of the response */

    ngx_http_status_t              status;
    off_t                          length;    /* of the body; -1: not known */
    ngx_http_sp_relay_failure_e    failure;
    unsigned                       stopped:1; /* set by the owner */
    unsigned                       fresh:1;   /* a read: what was in u->buffer
                                                 is there no more */

    /* private */

    ngx_http_chunked_t             chunked;
    ngx_http_sp_relay_peek_t       peeked;
    ngx_http_sp_relay_send_t       send;
    ngx_event_get_peer_pt          get_peer;
    ngx_event_free_peer_pt         free_peer;
    ngx_uint_t                     repeats;   /* of stale connections */
    ngx_event_t                    timer;
    size_t                         turn;      /* bytes since the last yield */
    unsigned                       move:1;    /* to the next endpoint */
    unsigned                       declined:1;      /* by head() */
    unsigned                       invalid:1;
    unsigned                       expired:1;       /* the timer */
};


/*
 * In a content handler: NGX_DONE, the request is taken; or what to return.
 * next() is called before it returns.
 */
ngx_int_t ngx_http_sp_relay_start(ngx_http_sp_relay_t *relay);

/*
 * In head(): the first bytes of the body that u->buffer holds, in one piece,
 * which is there until head() has decided.  1: with the next read there may be
 * more of them; 0 and none: the body is empty, or not framed as it should be.
 */
ngx_uint_t ngx_http_sp_relay_peek(ngx_http_sp_relay_t *relay,
    ngx_str_t *piece);


/* ngx_http_sp_relay.c: the upstream is for relay->endpoint from now on */

void ngx_http_sp_relay_aim(ngx_http_sp_relay_t *relay);

/* ngx_http_sp_relay_send.c: relay->body goes out behind the request */

void ngx_http_sp_relay_send_init(ngx_http_sp_relay_t *relay);

/* a connection begins: nothing was sent on it */
void ngx_http_sp_relay_send_again(ngx_http_sp_relay_t *relay);

/* ngx_http_sp_relay_timer.c */

/* a try at relay->endpoint begins, is over */
void ngx_http_sp_relay_arm(ngx_http_sp_relay_t *relay);
void ngx_http_sp_relay_disarm(ngx_http_sp_relay_t *relay);

/* what has ended it, as long as its connection is there */
ngx_http_sp_relay_failure_e ngx_http_sp_relay_why(
    const ngx_http_sp_relay_t *relay);

/* ngx_http_sp_relay_response.c */

void ngx_http_sp_relay_respond(ngx_http_sp_relay_t *relay);
ngx_int_t ngx_http_sp_relay_status_line(ngx_http_request_t *r);
ngx_int_t ngx_http_sp_relay_filter_init(void *data);
ngx_int_t ngx_http_sp_relay_filter(void *data, ssize_t bytes);

/* ngx_http_sp_relay_peek.c */

void ngx_http_sp_relay_forget_peeked(ngx_http_sp_relay_t *relay);

/* ngx_http_sp_relay_peers.c */

/* relay->endpoint has the addresses that its name has now */
ngx_int_t ngx_http_sp_relay_peers(ngx_http_sp_relay_t *relay);

void ngx_http_sp_relay_forget_peers(ngx_http_sp_relay_endpoint_t *endpoint);

/* those of the name; while there are none, one that nobody listens at */
ngx_addr_t *ngx_http_sp_relay_addrs(ngx_pool_t *pool, ngx_sp_name_t *name);

/* ngx_http_sp_relay_endpoint.c */

void ngx_http_sp_relay_free_sessions(ngx_http_upstream_rr_peers_t *peers);


#endif /* _NGX_HTTP_SP_RELAY_H_INCLUDED_ */
