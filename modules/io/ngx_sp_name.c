
/*
 * Copyright (C) Sallyport authors
 *
 * Names while a worker runs.
 */


#include "ngx_sp_name.h"


#define NGX_SP_NAME_TIMEOUT   5000     /* of a question */
#define NGX_SP_NAME_MIN_TTL   5        /* seconds */
#define NGX_SP_NAME_MAX_TTL   3600
#define NGX_SP_NAME_AGAIN     2        /* after a failure */


static void ngx_sp_name_lookup(ngx_sp_name_t *name);
static ngx_int_t ngx_sp_name_ask(ngx_sp_name_t *name);
static ngx_int_t ngx_sp_name_question(ngx_sp_name_t *name);
static void ngx_sp_name_handler(ngx_resolver_ctx_t *ctx);
static void ngx_sp_name_found(ngx_sp_name_t *name,
    const ngx_resolver_ctx_t *ctx);
static void ngx_sp_name_lost(ngx_sp_name_t *name, ngx_int_t state);
static void ngx_sp_name_wake(ngx_sp_name_t *name);
static void ngx_sp_name_cancel(ngx_sp_op_t *op);
static ngx_uint_t ngx_sp_name_has_ipv6(void);
static int ngx_libc_cdecl ngx_sp_name_cmp(const void *one, const void *two);


/* of the worker; NULL: it has not begun, or ends */

static const ngx_sp_name_conf_t  *ngx_sp_name_conf;
static ngx_uint_t                 ngx_sp_name_ipv6;


void
ngx_sp_name_init_process(const ngx_sp_name_conf_t *conf)
{
    ngx_sp_name_conf = conf;
    ngx_sp_name_ipv6 = ngx_sp_name_has_ipv6();
}


/* the pool of the cycle frees the resolver and what it has in flight */

void
ngx_sp_name_exit_process(void)
{
    ngx_sp_name_conf = NULL;
}


/*
 * Whether there is a route to the rest of the world: a socket of datagrams
 * sends nothing by being connected.
 */

static ngx_uint_t
ngx_sp_name_has_ipv6(void)
{
    int                  rc;
    ngx_socket_t         s;
    struct sockaddr_in6  sin6;

    s = ngx_socket(AF_INET6, SOCK_DGRAM, 0);

    if (s == (ngx_socket_t) -1) {
        return 0;
    }

    ngx_memzero(&sin6, sizeof(struct sockaddr_in6));

    sin6.sin6_family = AF_INET6;
    sin6.sin6_port = htons(53);
    sin6.sin6_addr.s6_addr[0] = 0x20;

    rc = connect(s, (struct sockaddr *) &sin6, sizeof(struct sockaddr_in6));

    (void) ngx_close_socket(s);

    return rc == 0;
}


ngx_sp_name_t *
ngx_sp_name_add(ngx_pool_t *pool, const ngx_str_t *host, in_port_t port)
{
    ngx_sp_name_t       *name;
    ngx_sp_name_addr_t   addrs[NGX_SP_NAME_ADDRS];
    ngx_uint_t           n;

    name = ngx_pcalloc(pool, sizeof(ngx_sp_name_t));
    if (name == NULL) {
        return NULL;
    }

    name->host.data = ngx_pnalloc(pool, host->len + 1);
    if (name->host.data == NULL) {
        return NULL;
    }

    ngx_strlow(name->host.data, host->data, host->len);
    name->host.data[host->len] = '\0';
    name->host.len = host->len;

    name->port = port;

    ngx_queue_init(&name->waiting);

    if (ngx_sp_name_conf == NULL) {
        return name;
    }

    n = ngx_sp_name_in_hosts(&ngx_sp_name_conf->hosts, &name->host, port,
                             addrs);
    if (n != 0) {
        ngx_sp_name_set(name, addrs, n);
        name->fixed = 1;
    }

    return name;
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


void
ngx_sp_name_submit(ngx_sp_name_t *name, ngx_sp_op_t *op)
{
    op->server = name;

    ngx_sp_op_start(op, NGX_SP_NAME_TIMEOUT, ngx_sp_name_cancel, name);

    if (ngx_sp_name_addrs(name) != 0) {
        ngx_sp_op_finish_later(op, NGX_SP_OP_OK, NULL);
        return;
    }

    if (name->ctx == NULL) {
        ngx_sp_op_finish_later(op, NGX_SP_OP_UNAVAILABLE,
                               "the name does not resolve");
        return;
    }

    ngx_queue_insert_tail(&name->waiting, &op->queue);
}


static void
ngx_sp_name_cancel(ngx_sp_op_t *op)
{
    ngx_queue_remove(&op->queue);
}


static void
ngx_sp_name_lookup(ngx_sp_name_t *name)
{
    if (name->ctx != NULL
        || ngx_sp_name_conf == NULL
        || ngx_exiting
        || ngx_time() - name->asked < NGX_SP_NAME_AGAIN)
    {
        return;
    }

    name->asked = ngx_time();
    name->candidate = 0;

    (void) ngx_sp_name_ask(name);
}


/* NGX_DECLINED: there is no further way to write the name */

static ngx_int_t
ngx_sp_name_ask(ngx_sp_name_t *name)
{
    ngx_int_t            rc;
    ngx_resolver_ctx_t  *ctx;

    do {
        rc = ngx_sp_name_question(name);
    } while (rc == NGX_AGAIN);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_resolve_start(ngx_sp_name_conf->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        return NGX_ERROR;
    }

    ctx->name = name->question;
    ctx->handler = ngx_sp_name_handler;
    ctx->data = name;
    ctx->timeout = NGX_SP_NAME_TIMEOUT;
    ctx->cancelable = 1;

    name->ctx = ctx;

    /* on NGX_ERROR it has freed the context; the handler may be called here */

    if (ngx_resolve_name(ctx) != NGX_OK) {
        name->ctx = NULL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * As libc does it: a name with few dots is looked for in the domains of the
 * search list first, any other as it is written.  NGX_AGAIN: this one is too
 * long.
 */

static ngx_int_t
ngx_sp_name_question(ngx_sp_name_t *name)
{
    u_char                    *p;
    ngx_str_t                 *domain;
    ngx_uint_t                 dots, i, n, written;
    const ngx_sp_name_conf_t  *conf;

    conf = ngx_sp_name_conf;

    dots = 0;

    for (i = 0; i < name->host.len; i++) {
        dots += (name->host.data[i] == '.');
    }

    /* a dot at the end says that nothing may be added */

    n = (i != 0 && name->host.data[i - 1] == '.') ? 0 : conf->nsearch;
    written = (dots >= conf->ndots) ? 0 : n;

    i = name->candidate++;

    if (i > n) {
        return NGX_DECLINED;
    }

    name->question.data = name->buf;
    name->question.len = 0;

    domain = NULL;

    if (i != written) {
        domain = (ngx_str_t *) &conf->search[(i < written) ? i : i - 1];
    }

    if (name->host.len + ((domain != NULL) ? domain->len + 1 : 0)
        > sizeof(name->buf))
    {
        return NGX_AGAIN;
    }

    p = ngx_cpymem(name->buf, name->host.data, name->host.len);

    if (domain != NULL) {
        *p++ = '.';
        p = ngx_cpymem(p, domain->data, domain->len);
    }

    name->question.len = p - name->buf;

    return NGX_OK;
}


static void
ngx_sp_name_handler(ngx_resolver_ctx_t *ctx)
{
    ngx_int_t       state;
    ngx_sp_name_t  *name;

    name = ctx->data;
    name->ctx = NULL;

    state = ctx->state;

    if (state == NGX_OK && ctx->naddrs != 0) {
        ngx_sp_name_found(name, ctx);
        ngx_resolve_name_done(ctx);

    } else {
        ngx_resolve_name_done(ctx);

        if (state == NGX_RESOLVE_NXDOMAIN
            && ngx_sp_name_conf != NULL
            && ngx_sp_name_ask(name) == NGX_OK)
        {
            return;
        }

        ngx_sp_name_lost(name, state);
    }

    ngx_sp_name_wake(name);
}


static void
ngx_sp_name_found(ngx_sp_name_t *name, const ngx_resolver_ctx_t *ctx)
{
    time_t               ttl;
    ngx_uint_t           i, n;
    ngx_sp_name_addr_t   addrs[NGX_SP_NAME_ADDRS];

    n = 0;

    for (i = 0; i < ctx->naddrs; i++) {

        if (ctx->addrs[i].sockaddr->sa_family == AF_INET || ngx_sp_name_ipv6) {
            n = ngx_sp_name_push(addrs, n, ctx->addrs[i].sockaddr,
                                 ctx->addrs[i].socklen, name->port);
        }
    }

    /* no route to any of them: the failure to connect shall say so */

    for (i = 0; n == 0 && i < ctx->naddrs; i++) {
        n = ngx_sp_name_push(addrs, n, ctx->addrs[i].sockaddr,
                             ctx->addrs[i].socklen, name->port);
    }

    ttl = ctx->valid - ngx_time();

    name->expires = ngx_time() + ngx_max(NGX_SP_NAME_MIN_TTL,
                                         ngx_min(ttl, NGX_SP_NAME_MAX_TTL));

    if (name->failing) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "host \"%V\" is resolved again", &name->host);
    }

    name->failing = 0;

    ngx_sp_name_set(name, addrs, n);
}


static void
ngx_sp_name_lost(ngx_sp_name_t *name, ngx_int_t state)
{
    if (!name->failing) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "host \"%V\" is not resolved: %s; %s", &name->host,
                      ngx_resolver_strerror(state),
                      name->naddrs ? "its last addresses are used"
                                   : "nothing can connect to it");
    }

    name->failing = 1;
    name->expires = 0;
}


/* from a posted event: nothing of the resolver is to be met again there */

static void
ngx_sp_name_wake(ngx_sp_name_t *name)
{
    ngx_queue_t  *q;
    ngx_sp_op_t  *op;

    while (!ngx_queue_empty(&name->waiting)) {
        q = ngx_queue_head(&name->waiting);
        ngx_queue_remove(q);

        op = ngx_queue_data(q, ngx_sp_op_t, queue);

        if (name->naddrs != 0) {
            ngx_sp_op_finish_later(op, NGX_SP_OP_OK, NULL);

        } else {
            ngx_sp_op_finish_later(op, NGX_SP_OP_UNAVAILABLE,
                                   "the name does not resolve");
        }
    }
}


/* servers send a set in changing order: in ours it is the same set */

void
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


ngx_uint_t
ngx_sp_name_push(ngx_sp_name_addr_t *addrs, ngx_uint_t n,
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
