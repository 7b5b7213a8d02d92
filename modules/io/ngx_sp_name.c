
/*
 * Copyright (C) Sallyport authors
 */


#include "ngx_sp_name.h"


#define NGX_SP_NAME_TIMEOUT   5000     /* of a lookup */
#define NGX_SP_NAME_MIN_TTL   5        /* seconds */
#define NGX_SP_NAME_MAX_TTL   3600
#define NGX_SP_NAME_AGAIN     2        /* after a failure */
#define NGX_SP_NAME_FILE      65536    /* of /etc/hosts that is read */
#define NGX_SP_NAME_SERVERS   3        /* as libc takes */

#define NGX_SP_NAME_HOSTS     "/etc/hosts"
#define NGX_SP_NAME_CONF      "/etc/resolv.conf"


static ngx_int_t ngx_sp_name_first(ngx_conf_t *cf, ngx_sp_name_t *name,
    const char *directive, ngx_url_t *u);
static ngx_uint_t ngx_sp_name_in_hosts(ngx_conf_t *cf, const ngx_str_t *host);
static ngx_int_t ngx_sp_name_system(ngx_conf_t *cf, ngx_str_t *servers,
    ngx_uint_t *n);
static ngx_int_t ngx_sp_name_read(ngx_conf_t *cf, const char *path,
    ngx_str_t *text);
static ngx_uint_t ngx_sp_name_word(u_char **p, u_char *last, ngx_str_t *word);
static void ngx_sp_name_lookup(ngx_sp_name_t *name);
static void ngx_sp_name_handler(ngx_resolver_ctx_t *ctx);
static void ngx_sp_name_set(ngx_sp_name_t *name, ngx_sp_name_addr_t *addrs,
    ngx_uint_t n);
static ngx_uint_t ngx_sp_name_add(ngx_sp_name_addr_t *addrs, ngx_uint_t n,
    const struct sockaddr *sockaddr, socklen_t socklen, in_port_t port);
static int ngx_libc_cdecl ngx_sp_name_cmp(const void *one, const void *two);


/* of the worker: one for all names; NULL: there is none */

static ngx_resolver_t  *ngx_sp_name_with;


ngx_sp_name_t *
ngx_sp_name_create(ngx_conf_t *cf, const char *directive,
    const ngx_str_t *address, in_port_t default_port)
{
    ngx_url_t       u;
    ngx_sp_name_t  *name;

    name = ngx_pcalloc(cf->pool, sizeof(ngx_sp_name_t));
    if (name == NULL) {
        return NULL;
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *address;
    u.default_port = default_port;
    u.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.host.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in address \"%V\" of \"%s\"",
                           (u.err != NULL) ? u.err : "no host", address,
                           directive);
        return NULL;
    }

    name->host = u.host;
    name->port = u.port;

    if (ngx_sp_name_first(cf, name, directive, &u) != NGX_OK) {
        return NULL;
    }

    return name;
}


/* while the configuration is read the system may be asked, and waited for */

static ngx_int_t
ngx_sp_name_first(ngx_conf_t *cf, ngx_sp_name_t *name, const char *directive,
    ngx_url_t *u)
{
    ngx_uint_t          i, n;
    ngx_sp_name_addr_t  addrs[NGX_SP_NAME_ADDRS];

    if (u->naddrs != 0 || ngx_sp_name_in_hosts(cf, &name->host)) {
        name->fixed = 1;
    }

    if (u->naddrs == 0 && ngx_inet_resolve_host(cf->pool, u) != NGX_OK) {

        if (u->err == NULL || name->fixed) {
            return NGX_ERROR;
        }

        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "%s \"%V\" of \"%s\"; it will be looked up while "
                           "the server runs", u->err, &name->host, directive);
        return NGX_OK;
    }

    n = 0;

    for (i = 0; i < u->naddrs; i++) {
        n = ngx_sp_name_add(addrs, n, u->addrs[i].sockaddr,
                            u->addrs[i].socklen, name->port);
    }

    ngx_sp_name_set(name, addrs, n);

    return NGX_OK;
}


static ngx_uint_t
ngx_sp_name_in_hosts(ngx_conf_t *cf, const ngx_str_t *host)
{
    u_char     *p, *line, *last;
    ngx_str_t   text, word;

    if (ngx_sp_name_read(cf, NGX_SP_NAME_HOSTS, &text) != NGX_OK) {
        return 0;
    }

    for (p = text.data; p < text.data + text.len; p = last + 1) {
        last = p;

        while (last < text.data + text.len && *last != LF && *last != '#') {
            last++;
        }

        line = p;

        /* the first word is the address */

        if (ngx_sp_name_word(&line, last, &word)) {

            while (ngx_sp_name_word(&line, last, &word)) {

                if (word.len == host->len
                    && ngx_strncasecmp(word.data, host->data, word.len) == 0)
                {
                    return 1;
                }
            }
        }

        while (last < text.data + text.len && *last != LF) {
            last++;
        }
    }

    return 0;
}


ngx_int_t
ngx_sp_name_resolver(ngx_conf_t *cf, ngx_resolver_t **resolver)
{
    ngx_str_t   servers[NGX_SP_NAME_SERVERS];
    ngx_uint_t  n;

    if (*resolver != NULL && (*resolver)->connections.nelts != 0) {
        return NGX_OK;
    }

    *resolver = NULL;

    if (ngx_sp_name_system(cf, servers, &n) != NGX_OK) {
        return NGX_ERROR;
    }

    if (n == 0) {
        return NGX_OK;
    }

    *resolver = ngx_resolver_create(cf, servers, n);

    return (*resolver != NULL) ? NGX_OK : NGX_ERROR;
}


/* "nameserver address" of resolv.conf(5), as NGINX writes addresses */

static ngx_int_t
ngx_sp_name_system(ngx_conf_t *cf, ngx_str_t *servers, ngx_uint_t *n)
{
    u_char     *p, *last, addr6[16];
    ngx_str_t   text, word;

    *n = 0;

    if (ngx_sp_name_read(cf, NGX_SP_NAME_CONF, &text) != NGX_OK) {
        return NGX_OK;
    }

    for (p = text.data; p < text.data + text.len; p = last + 1) {

        last = ngx_strlchr(p, text.data + text.len, LF);
        if (last == NULL) {
            last = text.data + text.len;
        }

        if (*n == NGX_SP_NAME_SERVERS
            || !ngx_sp_name_word(&p, last, &word)
            || word.len != 10
            || ngx_strncmp(word.data, "nameserver", 10) != 0
            || !ngx_sp_name_word(&p, last, &word))
        {
            continue;
        }

        if (ngx_inet_addr(word.data, word.len) != INADDR_NONE) {
            servers[(*n)++] = word;

        } else if (ngx_inet6_addr(word.data, word.len, addr6) == NGX_OK) {
            servers[*n].data = ngx_pnalloc(cf->pool, word.len + 2);
            if (servers[*n].data == NULL) {
                return NGX_ERROR;
            }

            servers[*n].len = ngx_sprintf(servers[*n].data, "[%V]", &word)
                              - servers[*n].data;
            (*n)++;
        }
    }

    return NGX_OK;
}


/* NGX_DECLINED: it is not there */

static ngx_int_t
ngx_sp_name_read(ngx_conf_t *cf, const char *path, ngx_str_t *text)
{
    ssize_t   n;
    ngx_fd_t  fd;

    fd = ngx_open_file(path, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        return NGX_DECLINED;
    }

    n = -1;

    text->data = ngx_palloc(cf->temp_pool, NGX_SP_NAME_FILE);

    if (text->data != NULL) {
        n = ngx_read_fd(fd, text->data, NGX_SP_NAME_FILE);
    }

    (void) ngx_close_file(fd);

    text->len = (n > 0) ? (size_t) n : 0;

    return (n >= 0) ? NGX_OK : NGX_DECLINED;
}


static ngx_uint_t
ngx_sp_name_word(u_char **p, u_char *last, ngx_str_t *word)
{
    while (*p < last && (**p == ' ' || **p == '\t')) {
        (*p)++;
    }

    word->data = *p;

    while (*p < last && **p != ' ' && **p != '\t' && **p != CR) {
        (*p)++;
    }

    word->len = *p - word->data;

    return word->len != 0;
}


void
ngx_sp_name_init_process(ngx_resolver_t *resolver)
{
    ngx_sp_name_with = resolver;
}


/* the pool of the cycle frees the resolver and what it has in flight */

void
ngx_sp_name_exit_process(void)
{
    ngx_sp_name_with = NULL;
}


ngx_uint_t
ngx_sp_name_addrs(ngx_sp_name_t *name)
{
    if (!name->fixed && ngx_time() >= name->expires) {
        ngx_sp_name_lookup(name);
    }

    return name->naddrs;
}


const u_char *
ngx_sp_name_address(ngx_sp_name_t *name)
{
    if (ngx_sp_name_addrs(name) == 0) {
        return NULL;
    }

    return name->addrs[name->next % name->naddrs].text;
}


void
ngx_sp_name_failed(ngx_sp_name_t *name)
{
    name->next++;
    name->expires = 0;
}


static void
ngx_sp_name_lookup(ngx_sp_name_t *name)
{
    ngx_resolver_ctx_t  *ctx, temp;

    if (name->ctx != NULL || ngx_sp_name_with == NULL || ngx_exiting
        || ngx_time() - name->asked < NGX_SP_NAME_AGAIN)
    {
        return;
    }

    name->asked = ngx_time();
    name->log = ngx_cycle->log;

    temp.name = name->host;

    ctx = ngx_resolve_start(ngx_sp_name_with, &temp);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        return;
    }

    ctx->name = name->host;
    ctx->handler = ngx_sp_name_handler;
    ctx->data = name;
    ctx->timeout = NGX_SP_NAME_TIMEOUT;

    name->ctx = ctx;

    /* on NGX_ERROR it has freed the context; the handler may be called here */

    if (ngx_resolve_name(ctx) != NGX_OK) {
        name->ctx = NULL;
    }
}


static void
ngx_sp_name_handler(ngx_resolver_ctx_t *ctx)
{
    time_t              ttl;
    ngx_uint_t          i, n;
    ngx_sp_name_t      *name;
    ngx_sp_name_addr_t  addrs[NGX_SP_NAME_ADDRS];

    name = ctx->data;
    name->ctx = NULL;

    if (ctx->state != NGX_OK || ctx->naddrs == 0) {

        if (!name->failing) {
            ngx_log_error(NGX_LOG_ERR, name->log, 0,
                          "host \"%V\" is not resolved: %s; %s", &name->host,
                          ngx_resolver_strerror(ctx->state),
                          name->naddrs ? "its last addresses are used"
                                       : "nothing can connect to it");
        }

        name->failing = 1;
        name->expires = 0;

        ngx_resolve_name_done(ctx);
        return;
    }

    n = 0;

    for (i = 0; i < ctx->naddrs; i++) {
        n = ngx_sp_name_add(addrs, n, ctx->addrs[i].sockaddr,
                            ctx->addrs[i].socklen, name->port);
    }

    ttl = ctx->valid - ngx_time();

    name->expires = ngx_time() + ngx_max(NGX_SP_NAME_MIN_TTL,
                                         ngx_min(ttl, NGX_SP_NAME_MAX_TTL));

    ngx_resolve_name_done(ctx);

    if (name->failing) {
        ngx_log_error(NGX_LOG_NOTICE, name->log, 0,
                      "host \"%V\" is resolved again", &name->host);
    }

    name->failing = 0;

    if (n != 0) {
        ngx_sp_name_set(name, addrs, n);
    }
}


/* servers send a set in changing order: in ours it is the same set */

static void
ngx_sp_name_set(ngx_sp_name_t *name, ngx_sp_name_addr_t *addrs, ngx_uint_t n)
{
    ngx_qsort(addrs, n, sizeof(ngx_sp_name_addr_t), ngx_sp_name_cmp);

    if (n == name->naddrs
        && ngx_memcmp(addrs, name->addrs, n * sizeof(ngx_sp_name_addr_t))
           == 0)
    {
        return;
    }

    ngx_memcpy(name->addrs, addrs, n * sizeof(ngx_sp_name_addr_t));

    name->naddrs = n;
    name->next = 0;
    name->changes++;
}


/* IPv4 comes first: hosts without a route for IPv6 are common */

static int ngx_libc_cdecl
ngx_sp_name_cmp(const void *one, const void *two)
{
    const ngx_sp_name_addr_t  *a = one;
    const ngx_sp_name_addr_t  *b = two;

    if (a->socklen != b->socklen) {
        return (a->socklen < b->socklen) ? -1 : 1;
    }

    return ngx_memcmp(a->sockaddr, b->sockaddr, a->socklen);
}


static ngx_uint_t
ngx_sp_name_add(ngx_sp_name_addr_t *addrs, ngx_uint_t n,
    const struct sockaddr *sockaddr, socklen_t socklen, in_port_t port)
{
    ngx_sp_name_addr_t  *a;

    if (n == NGX_SP_NAME_ADDRS || socklen > sizeof(addrs[0].sockaddr)) {
        return n;
    }

    a = &addrs[n];

    ngx_memzero(a, sizeof(ngx_sp_name_addr_t));
    ngx_memcpy(a->sockaddr, sockaddr, socklen);

    a->socklen = socklen;

    ngx_inet_set_port((struct sockaddr *) a->sockaddr, port);

    (void) ngx_sock_ntop((struct sockaddr *) a->sockaddr, socklen, a->text,
                         NGX_INET6_ADDRSTRLEN, 0);

    return n + 1;
}
