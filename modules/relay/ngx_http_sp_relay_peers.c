
/*
 * Copyright (C) Sallyport authors
 *
 * The addresses of an endpoint, as the balancer has them: made anew when its
 * name has got others.  Requests in flight keep those that they have begun
 * with; the last of them frees what is not used any more.
 */


#include "ngx_http_sp_relay.h"


struct ngx_http_sp_relay_peers_s {
    ngx_pool_t                    *pool;
    ngx_http_upstream_srv_conf_t   upstream;  /* the peers point into it */
    ngx_uint_t                     users;     /* requests, the endpoint */
};


static ngx_http_sp_relay_peers_t *ngx_http_sp_relay_peers_create(
    ngx_http_sp_relay_endpoint_t *endpoint);
static void ngx_http_sp_relay_peers_release(void *data);


ngx_int_t
ngx_http_sp_relay_peers(ngx_http_sp_relay_t *relay)
{
    ngx_pool_cleanup_t            *cln;
    ngx_http_sp_relay_peers_t     *peers;
    ngx_http_sp_relay_endpoint_t  *endpoint;

    endpoint = relay->endpoint;

    if (endpoint->dns == NULL) {
        return NGX_OK;
    }

    if (ngx_sp_name_addrs(endpoint->dns) != 0
        && endpoint->changes != endpoint->dns->changes)
    {
        peers = ngx_http_sp_relay_peers_create(endpoint);
        if (peers == NULL) {
            return NGX_ERROR;
        }

        if (endpoint->peers != NULL) {
            ngx_http_sp_relay_peers_release(endpoint->peers);
        }

        endpoint->peers = peers;
        endpoint->changes = endpoint->dns->changes;
        endpoint->real->peer.data = peers->upstream.peer.data;
    }

    if (endpoint->peers == NULL) {
        ngx_log_error(NGX_LOG_ERR, relay->r->connection->log, 0,
                      "relay: host \"%V\" of \"%V\" is not resolved",
                      &endpoint->dns->host, &endpoint->name);
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(relay->r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    endpoint->peers->users++;

    cln->handler = ngx_http_sp_relay_peers_release;
    cln->data = endpoint->peers;

    return NGX_OK;
}


void
ngx_http_sp_relay_forget_peers(ngx_http_sp_relay_endpoint_t *endpoint)
{
    if (endpoint->peers != NULL) {
        ngx_http_sp_relay_peers_release(endpoint->peers);
        endpoint->peers = NULL;
    }
}


ngx_sp_name_t *
ngx_http_sp_relay_unresolved(ngx_http_sp_relay_endpoint_t *endpoint)
{
    if (endpoint->dns == NULL || ngx_sp_name_addrs(endpoint->dns) != 0) {
        return NULL;
    }

    return endpoint->dns;
}


static ngx_http_sp_relay_peers_t *
ngx_http_sp_relay_peers_create(ngx_http_sp_relay_endpoint_t *endpoint)
{
    ngx_conf_t                     cf;
    ngx_pool_t                    *pool;
    ngx_array_t                    servers;
    ngx_http_sp_relay_peers_t     *peers;
    ngx_http_upstream_server_t    *server;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    peers = ngx_pcalloc(pool, sizeof(ngx_http_sp_relay_peers_t));

    if (peers == NULL
        || ngx_array_init(&servers, pool, 1,
                          sizeof(ngx_http_upstream_server_t))
           != NGX_OK)
    {
        goto failed;
    }

    server = ngx_array_push(&servers);

    ngx_memzero(server, sizeof(ngx_http_upstream_server_t));

    server->name = endpoint->url.host;
    server->weight = 1;
    server->max_fails = 1;
    server->fail_timeout = 10;
    server->naddrs = endpoint->dns->naddrs;
    server->addrs = ngx_http_sp_relay_addrs(pool, endpoint->dns);

    if (server->addrs == NULL) {
        goto failed;
    }

    /* what the round robin of NGINX makes while it reads a configuration */

    peers->upstream.host = endpoint->real->host;
    peers->upstream.servers = &servers;

    ngx_memzero(&cf, sizeof(ngx_conf_t));

    cf.pool = pool;
    cf.temp_pool = pool;
    cf.log = ngx_cycle->log;
    cf.cycle = (ngx_cycle_t *) ngx_cycle;

    if (ngx_http_upstream_init_round_robin(&cf, &peers->upstream) != NGX_OK) {
        goto failed;
    }

    peers->pool = pool;
    peers->upstream.servers = NULL;
    peers->users = 1;

    return peers;

failed:

    ngx_destroy_pool(pool);

    return NULL;
}


static void
ngx_http_sp_relay_peers_release(void *data)
{
    ngx_http_sp_relay_peers_t *peers = data;

    peers->users--;

    if (peers->users == 0) {
        ngx_http_sp_relay_free_sessions(peers->upstream.peer.data);
        ngx_destroy_pool(peers->pool);
    }
}


ngx_addr_t *
ngx_http_sp_relay_addrs(ngx_pool_t *pool, ngx_sp_name_t *name)
{
    u_char                    *p;
    ngx_uint_t                 i, n;
    ngx_addr_t                *addrs;
    ngx_sp_name_addr_t        *a;

    static struct sockaddr_in  nobody;

    nobody.sin_family = AF_INET;

    n = ngx_max(name->naddrs, 1);

    addrs = ngx_pcalloc(pool, n * sizeof(ngx_addr_t));
    if (addrs == NULL) {
        return NULL;
    }

    addrs[0].sockaddr = (struct sockaddr *) &nobody;
    addrs[0].socklen = sizeof(struct sockaddr_in);
    addrs[0].name = name->host;

    for (i = 0; i < name->naddrs; i++) {
        a = ngx_palloc(pool, sizeof(ngx_sp_name_addr_t));
        p = ngx_pnalloc(pool, NGX_SOCKADDR_STRLEN);

        if (a == NULL || p == NULL) {
            return NULL;
        }

        *a = name->addrs[i];

        addrs[i].sockaddr = (struct sockaddr *) a->sockaddr;
        addrs[i].socklen = a->socklen;
        addrs[i].name.data = p;
        addrs[i].name.len = ngx_sock_ntop(addrs[i].sockaddr, a->socklen, p,
                                          NGX_SOCKADDR_STRLEN, 1);
    }

    return addrs;
}
