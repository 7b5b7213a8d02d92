
/*
 * Copyright (C) Sallyport authors
 *
 * How a provider is reached: the operator's upstream {}, or one made from the
 * url, with idle connections kept; TLS with the name sent and verified.
 */


#include "ngx_http_sp_llm.h"


#define NGX_HTTP_SP_LLM_VERIFY_DEPTH  4


static ngx_int_t ngx_http_sp_llm_named_upstream(ngx_conf_t *cf,
    ngx_http_sp_llm_provider_t *provider);
static ngx_int_t ngx_http_sp_llm_own_upstream(ngx_conf_t *cf,
    ngx_http_sp_llm_provider_t *provider);
static ngx_int_t ngx_http_sp_llm_set_keepalive(ngx_conf_t *cf,
    ngx_http_sp_llm_provider_t *provider);
static ngx_int_t ngx_http_sp_llm_run_directive(ngx_conf_t *cf,
    ngx_http_conf_ctx_t *ctx, ngx_command_t *cmd, void *conf, ngx_int_t n);
static ngx_module_t *ngx_http_sp_llm_find_module(ngx_conf_t *cf,
    const char *name);
static ngx_int_t ngx_http_sp_llm_set_ssl(ngx_conf_t *cf,
    ngx_http_sp_llm_provider_t *provider);
static ngx_int_t ngx_http_sp_llm_hide_headers(ngx_conf_t *cf,
    ngx_http_sp_llm_main_conf_t *lmcf);
static void ngx_http_sp_llm_free_sessions(
    ngx_http_upstream_rr_peers_t *peers);


char *
ngx_http_sp_llm_connect(ngx_conf_t *cf, ngx_http_sp_llm_main_conf_t *lmcf,
    ngx_http_sp_llm_provider_t *provider)
{
    ngx_int_t  rc;

    if (ngx_http_sp_llm_hide_headers(cf, lmcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    provider->upstream.hide_headers_hash = lmcf->hide_headers;

    if (provider->upstream_name.len != 0) {
        rc = ngx_http_sp_llm_named_upstream(cf, provider);

    } else {
        rc = ngx_http_sp_llm_own_upstream(cf, provider);
    }

    if (rc != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (provider->ssl && ngx_http_sp_llm_set_ssl(cf, provider) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* NGINX itself refuses a name that no upstream {} defines */

static ngx_int_t
ngx_http_sp_llm_named_upstream(ngx_conf_t *cf,
    ngx_http_sp_llm_provider_t *provider)
{
    ngx_url_t  u;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = provider->upstream_name;
    u.no_resolve = 1;

    provider->upstream.upstream = ngx_http_upstream_add(cf, &u, 0);

    return provider->upstream.upstream != NULL ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_sp_llm_own_upstream(ngx_conf_t *cf,
    ngx_http_sp_llm_provider_t *provider)
{
    u_char                        *p;
    ngx_url_t                     *url, u;
    ngx_http_upstream_server_t    *server;
    ngx_http_upstream_srv_conf_t  *uscf;

    url = &provider->url;

    if (url->naddrs == 0 && ngx_inet_resolve_host(cf->pool, url) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in the url of llm_provider \"%V\"",
                           url->err ? url->err : "host not found",
                           &provider->name);
        return NGX_ERROR;
    }

    /* the name shows in logs; no upstream {} can take it */

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.host.len = sizeof("llm_provider ") - 1 + provider->name.len;
    u.host.data = ngx_pnalloc(cf->pool, u.host.len);
    if (u.host.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(u.host.data, "llm_provider ",
                   sizeof("llm_provider ") - 1);
    ngx_memcpy(p, provider->name.data, provider->name.len);

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

    server->name = url->host;
    server->addrs = url->addrs;
    server->naddrs = url->naddrs;
    server->weight = 1;
    server->max_fails = 1;
    server->fail_timeout = 10;

    provider->upstream.upstream = uscf;

    return ngx_http_sp_llm_set_keepalive(cf, provider);
}


/* what "keepalive N;" inside of upstream {} does */

static ngx_int_t
ngx_http_sp_llm_set_keepalive(ngx_conf_t *cf,
    ngx_http_sp_llm_provider_t *provider)
{
    ngx_module_t                  *keepalive;
    ngx_command_t                 *cmd;
    ngx_http_module_t             *module;
    ngx_http_conf_ctx_t           *ctx, *http_ctx;
    ngx_http_upstream_srv_conf_t  *uscf;

    keepalive = ngx_http_sp_llm_find_module(cf,
                                        "ngx_http_upstream_keepalive_module");

    if (provider->keepalive == 0 || keepalive == NULL) {
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

    uscf = provider->upstream.upstream;

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

    return ngx_http_sp_llm_run_directive(cf, ctx, cmd,
                                         ctx->srv_conf[keepalive->ctx_index],
                                         provider->keepalive);
}


static ngx_int_t
ngx_http_sp_llm_run_directive(ngx_conf_t *cf, ngx_http_conf_ctx_t *ctx,
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
ngx_http_sp_llm_find_module(ngx_conf_t *cf, const char *name)
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
ngx_http_sp_llm_set_ssl(ngx_conf_t *cf, ngx_http_sp_llm_provider_t *provider)
{
    ngx_ssl_t                 *ssl;
    ngx_pool_cleanup_t        *cln;
    ngx_http_upstream_conf_t  *ucf;

    ucf = &provider->upstream;

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

    if (provider->trusted_certificate.len != 0) {

        if (ngx_ssl_trusted_certificate(cf, ssl,
                                        &provider->trusted_certificate,
                                        NGX_HTTP_SP_LLM_VERIFY_DEPTH)
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

    ucf->ssl_name->value = provider->url.host;

    return NGX_OK;
}


/*
 * Required by the upstream module.  Nothing needs to be hidden: only headers
 * that we know are taken from a provider's response at all.
 */

static ngx_int_t
ngx_http_sp_llm_hide_headers(ngx_conf_t *cf,
    ngx_http_sp_llm_main_conf_t *lmcf)
{
    ngx_int_t                 rc;
    ngx_hash_init_t           hash;
    ngx_http_upstream_conf_t  conf, prev;

    static ngx_str_t  names[] = {
        ngx_string("Set-Cookie"),
        ngx_null_string
    };

    if (lmcf->hide_headers.buckets != NULL) {
        return NGX_OK;
    }

    ngx_memzero(&conf, sizeof(ngx_http_upstream_conf_t));
    ngx_memzero(&prev, sizeof(ngx_http_upstream_conf_t));

    conf.hide_headers = NGX_CONF_UNSET_PTR;
    conf.pass_headers = NGX_CONF_UNSET_PTR;
    prev.hide_headers = NGX_CONF_UNSET_PTR;
    prev.pass_headers = NGX_CONF_UNSET_PTR;

    hash.max_size = 64;
    hash.bucket_size = ngx_align(64, ngx_cacheline_size);
    hash.name = "llm_headers_hash";

    rc = ngx_http_upstream_hide_headers_hash(cf, &conf, &prev, names, &hash);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    lmcf->hide_headers = conf.hide_headers_hash;

    return NGX_OK;
}


/* TLS sessions that the balancer keeps, and nobody else would free */

void
ngx_http_sp_llm_disconnect(ngx_http_sp_llm_main_conf_t *lmcf)
{
    ngx_uint_t                    i;
    ngx_http_sp_llm_provider_t  **provider;

    provider = lmcf->providers.elts;

    for (i = 0; i < lmcf->providers.nelts; i++) {

        /* of upstream {} the operator, and NGINX, take care */

        if (provider[i]->ssl && provider[i]->upstream_name.len == 0) {
            ngx_http_sp_llm_free_sessions(
                                provider[i]->upstream.upstream->peer.data);
        }
    }
}


static void
ngx_http_sp_llm_free_sessions(ngx_http_upstream_rr_peers_t *peers)
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
