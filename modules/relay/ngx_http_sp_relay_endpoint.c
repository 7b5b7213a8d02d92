
/*
 * Copyright (C) Sallyport authors
 *
 * How an endpoint is reached: the operator's upstream {}, or one made from the
 * url, with idle connections kept; TLS with the name sent and verified.
 */


#include "ngx_http_sp_relay.h"


#define NGX_HTTP_SP_RELAY_VERIFY_DEPTH  4


static ngx_int_t ngx_http_sp_relay_named_upstream(ngx_conf_t *cf,
    ngx_http_sp_relay_endpoint_t *endpoint);
static ngx_int_t ngx_http_sp_relay_own_upstream(ngx_conf_t *cf,
    ngx_http_sp_relay_endpoint_t *endpoint);
static ngx_int_t ngx_http_sp_relay_set_server(ngx_conf_t *cf,
    ngx_http_sp_relay_endpoint_t *endpoint,
    ngx_http_upstream_server_t *server);
static ngx_int_t ngx_http_sp_relay_set_keepalive(ngx_conf_t *cf,
    ngx_http_sp_relay_endpoint_t *endpoint);
static ngx_int_t ngx_http_sp_relay_run_directive(ngx_conf_t *cf,
    ngx_http_conf_ctx_t *ctx, ngx_command_t *cmd, void *conf, ngx_int_t n);
static ngx_module_t *ngx_http_sp_relay_find_module(ngx_conf_t *cf,
    const char *name);
static ngx_int_t ngx_http_sp_relay_set_ssl(ngx_conf_t *cf,
    ngx_http_sp_relay_endpoint_t *endpoint);
static ngx_int_t ngx_http_sp_relay_hide_headers(ngx_conf_t *cf,
    ngx_http_upstream_conf_t *ucf);


ngx_int_t
ngx_http_sp_relay_url(ngx_conf_t *cf, ngx_http_sp_relay_endpoint_t *endpoint,
    const ngx_str_t *url)
{
    size_t      add;
    ngx_url_t  *u;

    u = &endpoint->url;

    if (ngx_strncmp(url->data, "https://", 8) == 0) {
        add = 8;
        endpoint->ssl = 1;
        u->default_port = 443;

    } else if (ngx_strncmp(url->data, "http://", 7) == 0) {
        add = 7;
        u->default_port = 80;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"url\" is \"%V\", expected http:// or https://",
                           url);
        return NGX_ERROR;
    }

    u->url.len = url->len - add;
    u->url.data = url->data + add;
    u->uri_part = 1;
    u->no_resolve = 1;

    if (ngx_parse_url(cf->pool, u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in \"url\" \"%V\"",
                           u->err ? u->err : "an error", url);
        return NGX_ERROR;
    }

    if (u->family == AF_UNIX) {

        if (endpoint->ssl) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "https over a unix socket is not supported "
                               "in \"url\" \"%V\"", url);
            return NGX_ERROR;
        }

        ngx_str_set(&endpoint->host, "localhost");

    } else {
        endpoint->host.len = u->host.len;
        endpoint->host.data = u->host.data;

        /* host and port stand side by side in the url */

        if (u->port != u->default_port && !u->no_port) {
            endpoint->host.len += u->port_text.len + 1;
        }
    }

    endpoint->path = u->uri;

    while (endpoint->path.len != 0
           && endpoint->path.data[endpoint->path.len - 1] == '/')
    {
        endpoint->path.len--;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_relay_connect(ngx_conf_t *cf,
    ngx_http_sp_relay_endpoint_t *endpoint)
{
    ngx_int_t  rc;

    if (ngx_http_sp_relay_hide_headers(cf, &endpoint->upstream) != NGX_OK) {
        return NGX_ERROR;
    }

    /*
     * another address of the same endpoint, as long as nothing of the
     * request was sent: see ngx_http_sp_relay_peer.c for the others
     */

    endpoint->upstream.next_upstream = NGX_CONF_BITMASK_SET
                                       |NGX_HTTP_UPSTREAM_FT_ERROR
                                       |NGX_HTTP_UPSTREAM_FT_TIMEOUT;

    if (endpoint->upstream_name.len != 0) {
        rc = ngx_http_sp_relay_named_upstream(cf, endpoint);

    } else {
        rc = ngx_http_sp_relay_own_upstream(cf, endpoint);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    return endpoint->ssl ? ngx_http_sp_relay_set_ssl(cf, endpoint) : NGX_OK;
}


/* NGINX itself refuses a name that no upstream {} defines */

static ngx_int_t
ngx_http_sp_relay_named_upstream(ngx_conf_t *cf,
    ngx_http_sp_relay_endpoint_t *endpoint)
{
    ngx_url_t  u;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = endpoint->upstream_name;
    u.no_resolve = 1;

    endpoint->upstream.upstream = ngx_http_upstream_add(cf, &u, 0);

    return endpoint->upstream.upstream != NULL ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_sp_relay_own_upstream(ngx_conf_t *cf,
    ngx_http_sp_relay_endpoint_t *endpoint)
{
    ngx_url_t                      u;
    ngx_http_upstream_server_t    *server;
    ngx_http_upstream_srv_conf_t  *uscf;

    /* the name shows in logs; no upstream {} can take it */

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.host = endpoint->name;
    u.no_resolve = 1;
    u.no_port = 1;

    uscf = ngx_http_upstream_add(cf, &u, NGX_HTTP_UPSTREAM_CREATE
                                         |NGX_HTTP_UPSTREAM_MAX_FAILS
                                         |NGX_HTTP_UPSTREAM_FAIL_TIMEOUT);
    if (uscf == NULL) {
        return NGX_ERROR;
    }

    uscf->servers = ngx_array_create(cf->pool, 1,
                                     sizeof(ngx_http_upstream_server_t));
    if (uscf->servers == NULL) {
        return NGX_ERROR;
    }

    server = ngx_array_push(uscf->servers);
    if (server == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(server, sizeof(ngx_http_upstream_server_t));

    if (ngx_http_sp_relay_set_server(cf, endpoint, server) != NGX_OK) {
        return NGX_ERROR;
    }

    endpoint->upstream.upstream = uscf;

    return ngx_http_sp_relay_set_keepalive(cf, endpoint);
}


/* a name that is not known yet stands for an address that is down */

static ngx_int_t
ngx_http_sp_relay_set_server(ngx_conf_t *cf,
    ngx_http_sp_relay_endpoint_t *endpoint, ngx_http_upstream_server_t *server)
{
    ngx_url_t  *url;

    url = &endpoint->url;

    server->name = url->host;
    server->weight = 1;
    server->max_fails = 1;
    server->fail_timeout = 10;

    if (url->naddrs == 0) {

        endpoint->dns = ngx_sp_name_create(cf, (char *) endpoint->name.data,
                                           &endpoint->host, url->port);
        if (endpoint->dns == NULL) {
            return NGX_ERROR;
        }

        server->addrs = ngx_http_sp_relay_addrs(cf->pool, endpoint->dns);
        server->naddrs = ngx_max(endpoint->dns->naddrs, 1);
        server->down = (endpoint->dns->naddrs == 0);

        return (server->addrs != NULL) ? NGX_OK : NGX_ERROR;
    }

    server->addrs = url->addrs;
    server->naddrs = url->naddrs;

    return NGX_OK;
}


/* what "keepalive N;" inside of upstream {} does */

static ngx_int_t
ngx_http_sp_relay_set_keepalive(ngx_conf_t *cf,
    ngx_http_sp_relay_endpoint_t *endpoint)
{
    ngx_module_t                  *keepalive;
    ngx_command_t                 *cmd;
    ngx_http_module_t             *module;
    ngx_http_conf_ctx_t           *ctx, *http_ctx;
    ngx_http_upstream_srv_conf_t  *uscf;

    keepalive = ngx_http_sp_relay_find_module(cf,
                                        "ngx_http_upstream_keepalive_module");

    if (endpoint->keepalive == 0 || keepalive == NULL) {
        return NGX_OK;
    }

    for (cmd = keepalive->commands; cmd->name.len != 0; cmd++) {
        if (ngx_strcmp(cmd->name.data, "keepalive") == 0) {
            break;
        }
    }

    if (cmd->name.len == 0) {
        return NGX_OK;
    }

    uscf = endpoint->upstream.upstream;

    ctx = ngx_pcalloc(cf->pool, sizeof(ngx_http_conf_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    http_ctx = cf->ctx;
    ctx->main_conf = http_ctx->main_conf;
    ctx->loc_conf = http_ctx->loc_conf;

    ctx->srv_conf = ngx_pcalloc(cf->pool,
                                sizeof(void *) * ngx_http_max_module);
    if (ctx->srv_conf == NULL) {
        return NGX_ERROR;
    }

    module = keepalive->ctx;

    ctx->srv_conf[ngx_http_upstream_module.ctx_index] = uscf;
    ctx->srv_conf[keepalive->ctx_index] = module->create_srv_conf(cf);

    if (ctx->srv_conf[keepalive->ctx_index] == NULL) {
        return NGX_ERROR;
    }

    uscf->srv_conf = ctx->srv_conf;

    return ngx_http_sp_relay_run_directive(cf, ctx, cmd,
                                         ctx->srv_conf[keepalive->ctx_index],
                                         endpoint->keepalive);
}


static ngx_int_t
ngx_http_sp_relay_run_directive(ngx_conf_t *cf, ngx_http_conf_ctx_t *ctx,
    ngx_command_t *cmd, void *conf, ngx_int_t n)
{
    char         *rv;
    u_char       *p;
    ngx_str_t    *value;
    ngx_conf_t    save;
    ngx_array_t  *args;

    args = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
    p = ngx_pnalloc(cf->pool, NGX_INT_T_LEN);

    if (args == NULL || p == NULL) {
        return NGX_ERROR;
    }

    value = ngx_array_push_n(args, 2);

    value[0] = cmd->name;
    value[1].data = p;
    value[1].len = ngx_sprintf(p, "%i", n) - p;

    save = *cf;
    cf->ctx = ctx;
    cf->args = args;

    rv = cmd->set(cf, cmd, conf);

    *cf = save;

    return rv == NGX_CONF_OK ? NGX_OK : NGX_ERROR;
}


static ngx_module_t *
ngx_http_sp_relay_find_module(ngx_conf_t *cf, const char *name)
{
    ngx_uint_t  i;

    for (i = 0; cf->cycle->modules[i] != NULL; i++) {
        if (ngx_strcmp(cf->cycle->modules[i]->name, name) == 0) {
            return cf->cycle->modules[i];
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_sp_relay_set_ssl(ngx_conf_t *cf,
    ngx_http_sp_relay_endpoint_t *endpoint)
{
    ngx_ssl_t                 *ssl;
    ngx_pool_cleanup_t        *cln;
    ngx_http_upstream_conf_t  *ucf;

    ucf = &endpoint->upstream;

    ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (ssl == NULL) {
        return NGX_ERROR;
    }

    ssl->log = cf->log;

    if (ngx_ssl_create(ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        ngx_ssl_cleanup_ctx(ssl);
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = ssl;

    if (endpoint->trusted_certificate.len != 0) {

        if (ngx_ssl_trusted_certificate(cf, ssl,
                                        &endpoint->trusted_certificate,
                                        NGX_HTTP_SP_RELAY_VERIFY_DEPTH)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else if (SSL_CTX_set_default_verify_paths(ssl->ctx) != 1) {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                      "SSL_CTX_set_default_verify_paths() failed");
        return NGX_ERROR;
    }

    if (ngx_ssl_client_session_cache(cf, ssl, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    ucf->ssl = ssl;
    ucf->ssl_session_reuse = 1;
    ucf->ssl_server_name = 1;
    ucf->ssl_verify = 1;

    ucf->ssl_name = ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (ucf->ssl_name == NULL) {
        return NGX_ERROR;
    }

    ucf->ssl_name->value = endpoint->url.host;

    return NGX_OK;
}


/*
 * Required by the upstream module.  Nothing needs to be hidden: only headers
 * that we know are taken from a provider's response at all.
 */

static ngx_int_t
ngx_http_sp_relay_hide_headers(ngx_conf_t *cf, ngx_http_upstream_conf_t *ucf)
{
    ngx_hash_init_t           hash;
    ngx_http_upstream_conf_t  prev;

    static ngx_str_t  names[] = {
        ngx_string("Set-Cookie"),
        ngx_null_string
    };

    ngx_memzero(&prev, sizeof(ngx_http_upstream_conf_t));

    ucf->hide_headers = NGX_CONF_UNSET_PTR;
    ucf->pass_headers = NGX_CONF_UNSET_PTR;
    prev.hide_headers = NGX_CONF_UNSET_PTR;
    prev.pass_headers = NGX_CONF_UNSET_PTR;

    hash.max_size = 64;
    hash.bucket_size = ngx_align(64, ngx_cacheline_size);
    hash.name = "relay_headers_hash";

    return ngx_http_upstream_hide_headers_hash(cf, ucf, &prev, names, &hash);
}


/* TLS sessions that the balancer keeps, and nobody else would free */

void
ngx_http_sp_relay_disconnect(ngx_http_sp_relay_endpoint_t *endpoint)
{
    /* of upstream {} the operator, and NGINX, take care */

    if (endpoint->dns != NULL) {
        ngx_http_sp_relay_forget_peers(endpoint);

    } else if (endpoint->ssl && endpoint->upstream_name.len == 0) {
        ngx_http_sp_relay_free_sessions(endpoint->real->peer.data);
    }
}


void
ngx_http_sp_relay_free_sessions(ngx_http_upstream_rr_peers_t *peers)
{
    ngx_http_upstream_rr_peer_t  *peer;

    if (peers == NULL) {
        return;
    }

    for (peer = peers->peer; peer != NULL; peer = peer->next) {

        if (peer->ssl_session != NULL) {
            ngx_ssl_free_session(peer->ssl_session);
            peer->ssl_session = NULL;
        }
    }
}
