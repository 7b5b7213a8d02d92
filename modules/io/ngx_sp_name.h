
/*
 * Copyright (C) Sallyport authors
 *
 * The addresses of a host that the configuration names.
 *
 * They are looked up when the configuration is read, and again while the
 * gateway runs: through NGINX's resolver, when somebody is about to connect
 * and the TTL is over, or after an address has failed.  Nobody waits for the
 * answer: the last good addresses serve until it is there, and for as long as
 * the name does not resolve.  Without a connection to be made nothing is
 * asked.  Questions for one name are asked one at a time.
 *
 * What needs no resolver is asked for once: an address, "localhost" and the
 * other names of /etc/hosts.
 */

#ifndef _NGX_SP_NAME_H_INCLUDED_
#define _NGX_SP_NAME_H_INCLUDED_


#include "ngx_sp_op.h"


#define NGX_SP_NAME_ADDRS   16         /* of a name; more are not used */
#define NGX_SP_NAME_SEARCH  6          /* domains, as libc takes */


/* how names are looked up; of the cycle */
typedef struct {
    ngx_resolver_t          *resolver;
    ngx_str_t                hosts;    /* the text of /etc/hosts */

    /* of /etc/resolv.conf; not used with a resolver of the operator */

    ngx_str_t                search[NGX_SP_NAME_SEARCH];
    ngx_uint_t               nsearch;
    ngx_uint_t               ndots;
} ngx_sp_name_conf_t;


typedef struct {
    u_char                   sockaddr[sizeof(struct sockaddr_in6)];
    socklen_t                socklen;
    u_char                   text[NGX_INET6_ADDRSTRLEN + 1];  /* no port */
} ngx_sp_name_addr_t;


typedef struct {
    /* configuration */

    ngx_str_t                host;     /* lower case, NUL-terminated */
    in_port_t                port;
    unsigned                 fixed:1;  /* nothing is to be looked up */

    /* the last good ones; those of the worker since init_process */

    ngx_sp_name_addr_t       addrs[NGX_SP_NAME_ADDRS];
    ngx_uint_t               naddrs;
    ngx_uint_t               changes;  /* how often they became others */

    ngx_uint_t               next;     /* to be tried */
    time_t                   expires;
    time_t                   asked;
    ngx_resolver_ctx_t      *ctx;      /* the question in flight, or NULL */
    ngx_str_t                question;
    ngx_uint_t               candidate;  /* the next way to write the name */
    u_char                   buf[255];
    ngx_queue_t              waiting;  /* ops */
    unsigned                 failing:1;
} ngx_sp_name_t;


/*
 * In: "host", "host:port", "1.2.3.4:port", "[::1]:port".  A name that does
 * not resolve is a warning, which says the name, "directive", file and line.
 * NULL after logging what is wrong with the form of the address.
 */
ngx_sp_name_t *ngx_sp_name_create(ngx_conf_t *cf, const char *directive,
    const ngx_str_t *address, in_port_t default_port);

/*
 * The same for a host that is met while the worker runs: without a question
 * to the system.  NULL: no memory.
 */
ngx_sp_name_t *ngx_sp_name_add(ngx_pool_t *pool, const ngx_str_t *host,
    in_port_t port);

/*
 * The resolver of all names: that of the operator, or, where it is NULL or
 * has no servers, one with those of /etc/resolv.conf.
 */
ngx_int_t ngx_sp_name_configure(ngx_conf_t *cf, ngx_sp_name_conf_t *conf,
    ngx_resolver_t *resolver);

/* a worker begins, and ends: nothing is looked up any more */
void ngx_sp_name_init_process(const ngx_sp_name_conf_t *conf);
void ngx_sp_name_exit_process(void);

/*
 * The addresses to connect to, as name->addrs and name->naddrs; 0: none is
 * known yet.  Starts a lookup when one is due, and never waits for it.
 */
ngx_uint_t ngx_sp_name_addrs(ngx_sp_name_t *name);

/* the one to try now, or NULL; numeric and NUL-terminated */
const u_char *ngx_sp_name_address(ngx_sp_name_t *name);

/* it could not be connected to: the next one is tried, the name looked up */
void ngx_sp_name_failed(ngx_sp_name_t *name);

/*
 * For who can wait: an op that is OK as soon as there are addresses, and
 * UNAVAILABLE when the lookup has ended without any.  A default deadline of
 * 5 s.
 */
void ngx_sp_name_submit(ngx_sp_name_t *name, ngx_sp_op_t *op);


/* private to ngx_sp_name*.c */

/* the addresses of "host" in the text of /etc/hosts; returns how many */
ngx_uint_t ngx_sp_name_in_hosts(const ngx_str_t *text, const ngx_str_t *host,
    in_port_t port, ngx_sp_name_addr_t *addrs);

/* adds to "n" addresses where there is room; returns how many there are */
ngx_uint_t ngx_sp_name_push(ngx_sp_name_addr_t *addrs, ngx_uint_t n,
    const struct sockaddr *sockaddr, socklen_t socklen, in_port_t port);

/* makes them the good ones; sorts the array */
void ngx_sp_name_set(ngx_sp_name_t *name, ngx_sp_name_addr_t *addrs,
    ngx_uint_t n);


#endif /* _NGX_SP_NAME_H_INCLUDED_ */
