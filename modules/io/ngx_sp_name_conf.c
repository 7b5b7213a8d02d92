
/*
 * Copyright (C) Sallyport authors
 *
 * Names while the configuration is read, when files may be read and the
 * system may be asked, and waited for: hosts(5), resolv.conf(5).
 */


#include "ngx_sp_name.h"


#define NGX_SP_NAME_FILE      65536    /* of a file that is read */
#define NGX_SP_NAME_SERVERS   3        /* as libc takes */
#define NGX_SP_NAME_MAX_DOTS  15       /* the same */

#define NGX_SP_NAME_HOSTS     "/etc/hosts"
#define NGX_SP_NAME_RESOLV    "/etc/resolv.conf"


typedef struct {
    ngx_str_t                servers[NGX_SP_NAME_SERVERS];
    ngx_uint_t               nservers;
} ngx_sp_name_system_t;


static ngx_int_t ngx_sp_name_first(ngx_conf_t *cf, ngx_sp_name_t *name,
    const char *directive, ngx_url_t *u);
static ngx_int_t ngx_sp_name_resolv(ngx_conf_t *cf, ngx_sp_name_conf_t *conf,
    ngx_sp_name_system_t *system);
static ngx_int_t ngx_sp_name_server(ngx_conf_t *cf,
    ngx_sp_name_system_t *system, const ngx_str_t *word);
static void ngx_sp_name_options(ngx_sp_name_conf_t *conf,
    const ngx_str_t *word);
static ngx_uint_t ngx_sp_name_host_line(u_char *p, u_char *last,
    const ngx_str_t *host, ngx_str_t *address);
static ngx_int_t ngx_sp_name_read(ngx_pool_t *pool, const char *path,
    ngx_str_t *text);
static ngx_uint_t ngx_sp_name_line(u_char **p, u_char *end, ngx_str_t *line);
static ngx_uint_t ngx_sp_name_word(u_char **p, u_char *last, ngx_str_t *word);
static ngx_uint_t ngx_sp_name_is(const ngx_str_t *word, const char *text);


ngx_sp_name_t *
ngx_sp_name_create(ngx_conf_t *cf, const char *directive,
    const ngx_str_t *address, in_port_t default_port)
{
    ngx_url_t       u;
    ngx_sp_name_t  *name;

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

    name = ngx_sp_name_add(cf->pool, &u.host, u.port);

    if (name == NULL
        || ngx_sp_name_first(cf, name, directive, &u) != NGX_OK)
    {
        return NULL;
    }

    return name;
}


static ngx_int_t
ngx_sp_name_first(ngx_conf_t *cf, ngx_sp_name_t *name, const char *directive,
    ngx_url_t *u)
{
    ngx_str_t           hosts;
    ngx_uint_t          i, n;
    ngx_sp_name_addr_t  addrs[NGX_SP_NAME_ADDRS];

    if (ngx_sp_name_read(cf->temp_pool, NGX_SP_NAME_HOSTS, &hosts)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (u->naddrs != 0
        || ngx_sp_name_in_hosts(&hosts, &name->host, name->port, addrs) != 0)
    {
        name->fixed = 1;
    }

    if (u->naddrs == 0 && ngx_inet_resolve_host(cf->pool, u) != NGX_OK) {

        if (u->err == NULL) {
            return NGX_ERROR;
        }

        name->fixed = 0;

        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "%s \"%V\" of \"%s\"; it will be looked up while "
                           "the server runs", u->err, &name->host, directive);
        return NGX_OK;
    }

    n = 0;

    for (i = 0; i < u->naddrs; i++) {
        n = ngx_sp_name_push(addrs, n, u->addrs[i].sockaddr,
                             u->addrs[i].socklen, name->port);
    }

    ngx_sp_name_set(name, addrs, n);

    return NGX_OK;
}


ngx_int_t
ngx_sp_name_configure(ngx_conf_t *cf, ngx_sp_name_conf_t *conf,
    ngx_resolver_t *resolver)
{
    ngx_sp_name_system_t  system;

    if (ngx_sp_name_read(cf->pool, NGX_SP_NAME_HOSTS, &conf->hosts)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (resolver != NULL && resolver->connections.nelts != 0) {
        conf->resolver = resolver;
        return NGX_OK;
    }

    system.nservers = 0;
    conf->ndots = 1;

    if (ngx_sp_name_resolv(cf, conf, &system) != NGX_OK) {
        return NGX_ERROR;
    }

    /* what libc takes where none is named */

    if (system.nservers == 0) {
        ngx_str_set(&system.servers[0], "127.0.0.1");
        system.nservers = 1;
    }

    conf->resolver = ngx_resolver_create(cf, system.servers, system.nservers);

    return (conf->resolver != NULL) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_sp_name_resolv(ngx_conf_t *cf, ngx_sp_name_conf_t *conf,
    ngx_sp_name_system_t *system)
{
    u_char      *p, *end, *last, *q;
    ngx_str_t    key, line, text, word;
    ngx_uint_t   list;

    if (ngx_sp_name_read(cf->pool, NGX_SP_NAME_RESOLV, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    p = text.data;
    end = text.data + text.len;

    while (ngx_sp_name_line(&p, end, &line)) {

        q = line.data;
        last = line.data + line.len;

        if (!ngx_sp_name_word(&q, last, &key)) {
            continue;
        }

        list = (ngx_sp_name_is(&key, "search")
                || ngx_sp_name_is(&key, "domain"));

        /* the last list is the one that counts */

        if (list) {
            conf->nsearch = 0;
        }

        while (ngx_sp_name_word(&q, last, &word)) {

            if (ngx_sp_name_is(&key, "nameserver")) {

                if (ngx_sp_name_server(cf, system, &word) != NGX_OK) {
                    return NGX_ERROR;
                }

                break;
            }

            if (ngx_sp_name_is(&key, "options")) {
                ngx_sp_name_options(conf, &word);

            } else if (list && conf->nsearch < NGX_SP_NAME_SEARCH) {
                conf->search[conf->nsearch++] = word;
            }
        }
    }

    return NGX_OK;
}


/* as NGINX writes addresses; what is none, or has a zone, is left out */

static ngx_int_t
ngx_sp_name_server(ngx_conf_t *cf, ngx_sp_name_system_t *system,
    const ngx_str_t *word)
{
    u_char      addr6[16];
    ngx_str_t  *server;

    if (system->nservers == NGX_SP_NAME_SERVERS) {
        return NGX_OK;
    }

    server = &system->servers[system->nservers];

    if (ngx_inet_addr(word->data, word->len) != INADDR_NONE) {
        *server = *word;
        system->nservers++;
        return NGX_OK;
    }

    if (ngx_inet6_addr(word->data, word->len, addr6) != NGX_OK) {
        return NGX_OK;
    }

    server->data = ngx_pnalloc(cf->pool, word->len + 2);
    if (server->data == NULL) {
        return NGX_ERROR;
    }

    server->len = ngx_sprintf(server->data, "[%V]", word) - server->data;
    system->nservers++;

    return NGX_OK;
}


static void
ngx_sp_name_options(ngx_sp_name_conf_t *conf, const ngx_str_t *word)
{
    ngx_int_t  n;

    if (word->len > 6 && ngx_strncmp(word->data, "ndots:", 6) == 0) {
        n = ngx_atoi(word->data + 6, word->len - 6);

        if (n != NGX_ERROR) {
            conf->ndots = ngx_min((ngx_uint_t) n, NGX_SP_NAME_MAX_DOTS);
        }
    }
}


ngx_uint_t
ngx_sp_name_in_hosts(const ngx_str_t *text, const ngx_str_t *host,
    in_port_t port, ngx_sp_name_addr_t *addrs)
{
    u_char               *p, *end;
    ngx_str_t             line, address;
    ngx_uint_t            n;
    struct sockaddr_in    sin;
    struct sockaddr_in6   sin6;

    n = 0;
    p = text->data;
    end = text->data + text->len;

    ngx_memzero(&sin, sizeof(struct sockaddr_in));
    ngx_memzero(&sin6, sizeof(struct sockaddr_in6));

    sin.sin_family = AF_INET;
    sin6.sin6_family = AF_INET6;

    while (ngx_sp_name_line(&p, end, &line)) {

        if (!ngx_sp_name_host_line(line.data, line.data + line.len, host,
                                   &address))
        {
            continue;
        }

        sin.sin_addr.s_addr = ngx_inet_addr(address.data, address.len);

        if (sin.sin_addr.s_addr != INADDR_NONE) {
            n = ngx_sp_name_push(addrs, n, (struct sockaddr *) &sin,
                                 sizeof(struct sockaddr_in), port);

        } else if (ngx_inet6_addr(address.data, address.len,
                                  sin6.sin6_addr.s6_addr)
                   == NGX_OK)
        {
            n = ngx_sp_name_push(addrs, n, (struct sockaddr *) &sin6,
                                 sizeof(struct sockaddr_in6), port);
        }
    }

    return n;
}


/* "address name name ..." */

static ngx_uint_t
ngx_sp_name_host_line(u_char *p, u_char *last, const ngx_str_t *host,
    ngx_str_t *address)
{
    ngx_str_t  word;

    if (!ngx_sp_name_word(&p, last, address)) {
        return 0;
    }

    while (ngx_sp_name_word(&p, last, &word)) {

        if (word.len == host->len
            && ngx_strncasecmp(word.data, host->data, word.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* a file that is not there is an empty one */

static ngx_int_t
ngx_sp_name_read(ngx_pool_t *pool, const char *path, ngx_str_t *text)
{
    ssize_t   n;
    ngx_fd_t  fd;
    u_char    buf[NGX_SP_NAME_FILE];

    ngx_str_null(text);

    fd = ngx_open_file(path, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        return NGX_OK;
    }

    n = ngx_read_fd(fd, buf, sizeof(buf));

    (void) ngx_close_file(fd);

    if (n <= 0) {
        return NGX_OK;
    }

    text->data = ngx_pnalloc(pool, n);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(text->data, buf, n);
    text->len = n;

    return NGX_OK;
}


/* without its comment */

static ngx_uint_t
ngx_sp_name_line(u_char **p, u_char *end, ngx_str_t *line)
{
    u_char  *last;

    if (*p == end) {
        return 0;
    }

    last = ngx_strlchr(*p, end, LF);
    if (last == NULL) {
        last = end;
    }

    line->data = *p;
    line->len = 0;

    while (line->data + line->len < last && line->data[line->len] != '#'
           && line->data[line->len] != ';')
    {
        line->len++;
    }

    *p = (last == end) ? end : last + 1;

    return 1;
}


static ngx_uint_t
ngx_sp_name_word(u_char **p, u_char *last, ngx_str_t *word)
{
    while (*p < last && (**p == ' ' || **p == '\t' || **p == CR)) {
        (*p)++;
    }

    word->data = *p;

    while (*p < last && **p != ' ' && **p != '\t' && **p != CR) {
        (*p)++;
    }

    word->len = *p - word->data;

    return word->len != 0;
}


static ngx_uint_t
ngx_sp_name_is(const ngx_str_t *word, const char *text)
{
    return word->len == ngx_strlen(text)
           && ngx_strncmp(word->data, text, word->len) == 0;
}
