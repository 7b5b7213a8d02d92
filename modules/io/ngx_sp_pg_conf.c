
/*
 * Copyright (C) Sallyport authors
 *
 * "pg_server": everything that libpq would look up at run time (names, the
 * home directory, password and service files) is decided here.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_sp_conf.h"
#include "ngx_sp_secret.h"
#include "ngx_sp_pg_int.h"


#define NGX_SP_PG_DIRECTIVE    "pg_server"
#define NGX_SP_PG_PORT         5432
#define NGX_SP_PG_MAX_OPTIONS  64

/* "not a directory": never exists, and libpq takes it for absent */
#define NGX_SP_PG_NO_FILE      "/dev/null/none"


typedef struct {
    const char                   *keyword;
    const char                   *value;
} ngx_sp_pg_option_t;


static ngx_int_t ngx_sp_pg_conf_arg(ngx_conf_t *cf, ngx_sp_pg_t *pg,
    const ngx_str_t *arg, ngx_str_t *password);
static ngx_int_t ngx_sp_pg_conf_string(ngx_conf_t *cf, ngx_sp_pg_t *pg,
    const char *conninfo);
static ngx_int_t ngx_sp_pg_conf_options(ngx_conf_t *cf, ngx_sp_pg_t *pg,
    PQconninfoOption *options);
static ngx_int_t ngx_sp_pg_conf_host(ngx_conf_t *cf, ngx_sp_pg_t *pg,
    ngx_uint_t *n);
static const char *ngx_sp_pg_conf_get(const ngx_sp_pg_t *pg, ngx_uint_t n,
    const char *keyword);
static void ngx_sp_pg_conf_set(ngx_sp_pg_t *pg, ngx_uint_t *n,
    const char *keyword, const char *value);


/* not for us: blocking, or without meaning for one host and a pool */

static const char  *ngx_sp_pg_refused[] = {
    "service", "passfile", "replication", "gssencmode", NULL
};


static const ngx_sp_pg_option_t  ngx_sp_pg_defaults[] = {
    { "application_name",    "sallyport" },
    { "client_encoding",     "UTF8" },
    { "gssencmode",          "disable" },
    { "passfile",            NGX_SP_PG_NO_FILE },
    { "sslmode",             "prefer" },
    { "sslcert",             NGX_SP_PG_NO_FILE },
    { "sslkey",              NGX_SP_PG_NO_FILE },
    { "sslrootcert",         NGX_SP_PG_NO_FILE },
    { "sslcrl",              NGX_SP_PG_NO_FILE },
    { "keepalives_idle",     "30" },
    { "keepalives_interval", "10" },
    { "keepalives_count",    "3" },
    { "tcp_user_timeout",    "30000" },
    { NULL, NULL }
};


ngx_sp_pg_t *
ngx_sp_pg_create(ngx_conf_t *cf, ngx_array_t *args)
{
    ngx_str_t    *value, password;
    ngx_uint_t    i, n;
    ngx_sp_pg_t  *pg;

    if (args->nelts < 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"" NGX_SP_PG_DIRECTIVE "\" needs a name and a "
                           "connection string");
        return NULL;
    }

    pg = ngx_pcalloc(cf->pool, sizeof(ngx_sp_pg_t));
    if (pg == NULL) {
        return NULL;
    }

    value = args->elts;

    pg->name = value[0];
    pg->max_conns = 8;
    pg->max_queue = 1024;
    pg->timeout = 2000;
    pg->connect_timeout = 2000;
    pg->idle_timeout = 10000;

    if (ngx_array_init(&pg->channels, cf->pool, 2,
                       sizeof(ngx_sp_pg_channel_t))
        != NGX_OK)
    {
        return NULL;
    }

    ngx_str_null(&password);

    for (i = 2; i < args->nelts; i++) {
        if (ngx_sp_pg_conf_arg(cf, pg, &value[i], &password) != NGX_OK) {
            return NULL;
        }
    }

    if (ngx_sp_pg_conf_string(cf, pg, (char *) value[1].data) != NGX_OK) {
        return NULL;
    }

    for (n = 0; pg->keywords[n] != NULL; n++) { /* void */ }

    if (password.len != 0) {
        ngx_sp_pg_conf_set(pg, &n, "password", (char *) password.data);
    }

    if (ngx_sp_pg_conf_host(cf, pg, &n) != NGX_OK) {
        return NULL;
    }

    return pg;
}


static ngx_int_t
ngx_sp_pg_conf_string(ngx_conf_t *cf, ngx_sp_pg_t *pg, const char *conninfo)
{
    char              *message;
    ngx_int_t          rc;
    PQconninfoOption  *options;

    message = NULL;
    options = PQconninfoParse(conninfo, &message);

    if (options == NULL) {

        /* the text of libpq may quote a password: only that it is wrong */

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid connection string of "
                           "\"" NGX_SP_PG_DIRECTIVE " %V\", "
                           "\"host=... port=... dbname=... user=...\" "
                           "is expected", &pg->name);
        PQfreemem(message);
        return NGX_ERROR;
    }

    rc = ngx_sp_pg_conf_options(cf, pg, options);

    PQconninfoFree(options);

    return rc;
}


const ngx_str_t *
ngx_sp_pg_name(const ngx_sp_pg_t *pg)
{
    return &pg->name;
}


ngx_int_t
ngx_sp_pg_listen(ngx_conf_t *cf, ngx_sp_pg_t *pg, const ngx_str_t *channel,
    ngx_sp_pg_notify_pt handler, void *data)
{
    u_char                c;
    ngx_uint_t            i;
    ngx_sp_pg_channel_t  *ch;

    for (i = 0; i < channel->len; i++) {
        c = channel->data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9') || c == '_'))
        {
            break;
        }
    }

    if (i != channel->len || i == 0 || i > 63) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid channel \"%V\", 1 to 63 of "
                           "\"A-Za-z0-9_\" are expected", channel);
        return NGX_ERROR;
    }

    ch = ngx_array_push(&pg->channels);
    if (ch == NULL) {
        return NGX_ERROR;
    }

    ch->channel = *channel;
    ch->handler = handler;
    ch->data = data;

    return NGX_OK;
}


static ngx_int_t
ngx_sp_pg_conf_arg(ngx_conf_t *cf, ngx_sp_pg_t *pg, const ngx_str_t *arg,
    ngx_str_t *password)
{
    ngx_str_t    value;
    const char  *directive;

    directive = NGX_SP_PG_DIRECTIVE;

    if (ngx_sp_conf_arg(arg, "connections=", &value)) {
        return ngx_sp_conf_number(cf, directive, "connections=", &value,
                                  1, 1000, &pg->max_conns);
    }

    if (ngx_sp_conf_arg(arg, "queue=", &value)) {
        return ngx_sp_conf_number(cf, directive, "queue=", &value,
                                  1, 1000000, &pg->max_queue);
    }

    if (ngx_sp_conf_arg(arg, "timeout=", &value)) {
        return ngx_sp_conf_msec(cf, directive, "timeout=", &value,
                                &pg->timeout);
    }

    if (ngx_sp_conf_arg(arg, "connect_timeout=", &value)) {
        return ngx_sp_conf_msec(cf, directive, "connect_timeout=", &value,
                                &pg->connect_timeout);
    }

    if (ngx_sp_conf_arg(arg, "idle_timeout=", &value)) {
        return ngx_sp_conf_msec(cf, directive, "idle_timeout=", &value,
                                &pg->idle_timeout);
    }

    if (ngx_sp_conf_arg(arg, "password_file=", &value)) {
        return ngx_sp_secret_password(cf, &value, password);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown parameter \"%V\" of \"%s\", it must be one "
                       "of \"connections=\", \"queue=\", \"timeout=\", "
                       "\"connect_timeout=\", \"idle_timeout=\", "
                       "\"password_file=\"",
                       arg, directive);

    return NGX_ERROR;
}


static ngx_int_t
ngx_sp_pg_conf_options(ngx_conf_t *cf, ngx_sp_pg_t *pg,
    PQconninfoOption *options)
{
    char                      *keyword, *value;
    ngx_uint_t                 i, n;
    PQconninfoOption          *option;
    const ngx_sp_pg_option_t  *def;

    pg->keywords = ngx_pcalloc(cf->pool, NGX_SP_PG_MAX_OPTIONS
                                         * sizeof(char *));
    pg->values = ngx_pcalloc(cf->pool, NGX_SP_PG_MAX_OPTIONS
                                       * sizeof(char *));

    if (pg->keywords == NULL || pg->values == NULL) {
        return NGX_ERROR;
    }

    n = 0;

    for (option = options; option->keyword != NULL; option++) {

        if (option->val == NULL) {
            continue;
        }

        for (i = 0; ngx_sp_pg_refused[i] != NULL; i++) {

            if (ngx_strcmp(option->keyword, ngx_sp_pg_refused[i]) == 0) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"%s\" is not allowed in the connection "
                                   "string of \"" NGX_SP_PG_DIRECTIVE "\"",
                                   option->keyword);
                return NGX_ERROR;
            }
        }

        keyword = ngx_pnalloc(cf->pool, ngx_strlen(option->keyword) + 1);
        value = ngx_pnalloc(cf->pool, ngx_strlen(option->val) + 1);

        if (keyword == NULL || value == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(keyword, option->keyword,
                   ngx_strlen(option->keyword) + 1);
        ngx_memcpy(value, option->val, ngx_strlen(option->val) + 1);

        ngx_sp_pg_conf_set(pg, &n, keyword, value);
    }

    for (def = ngx_sp_pg_defaults; def->keyword != NULL; def++) {

        if (ngx_sp_pg_conf_get(pg, n, def->keyword) == NULL) {
            ngx_sp_pg_conf_set(pg, &n, def->keyword, def->value);
        }
    }

    if (ngx_sp_pg_conf_get(pg, n, "user") == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"user=\" is missing in the connection string "
                           "of \"" NGX_SP_PG_DIRECTIVE " %V\"", &pg->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_sp_pg_conf_host(ngx_conf_t *cf, ngx_sp_pg_t *pg, ngx_uint_t *n)
{
    u_char       addr6[16];
    ngx_str_t    host;
    const char  *name, *hostaddr, *port;

    name = ngx_sp_pg_conf_get(pg, *n, "host");
    hostaddr = ngx_sp_pg_conf_get(pg, *n, "hostaddr");
    port = ngx_sp_pg_conf_get(pg, *n, "port");

    if ((name != NULL && ngx_strchr(name, ',') != NULL)
        || (hostaddr != NULL && ngx_strchr(hostaddr, ',') != NULL)
        || (port != NULL && ngx_strchr(port, ',') != NULL))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"" NGX_SP_PG_DIRECTIVE " %V\" names several "
                           "hosts, one is expected", &pg->name);
        return NGX_ERROR;
    }

    if (hostaddr != NULL) {
        pg->address.data = (u_char *) hostaddr;
        pg->address.len = ngx_strlen(hostaddr);
        return NGX_OK;
    }

    if (name == NULL) {
        ngx_str_set(&pg->address, "the default socket");
        return NGX_OK;
    }

    host.data = (u_char *) name;
    host.len = ngx_strlen(name);

    pg->address = host;

    if (name[0] == '/' || name[0] == '@' || name[0] == '\0') {
        return NGX_OK;
    }

    if (ngx_inet6_addr(host.data, host.len, addr6) == NGX_OK) {
        ngx_sp_pg_conf_set(pg, n, "hostaddr", name);
        return NGX_OK;
    }

    /* libpq would wait for the answer: it is given addresses only */

    pg->host = ngx_sp_name_create(cf, NGX_SP_PG_DIRECTIVE, &host,
                                  NGX_SP_PG_PORT);
    if (pg->host == NULL) {
        return NGX_ERROR;
    }

    pg->hostaddr = *n;
    ngx_sp_pg_conf_set(pg, n, "hostaddr", "");

    return NGX_OK;
}


static const char *
ngx_sp_pg_conf_get(const ngx_sp_pg_t *pg, ngx_uint_t n, const char *keyword)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (ngx_strcmp(pg->keywords[i], keyword) == 0) {
            return pg->values[i];
        }
    }

    return NULL;
}


/*
 * libpq knows fewer than 50 keywords, and each is set once; the arrays end
 * with NULL
 */

static void
ngx_sp_pg_conf_set(ngx_sp_pg_t *pg, ngx_uint_t *n, const char *keyword,
    const char *value)
{
    ngx_uint_t  i;

    for (i = 0; i < *n; i++) {
        if (ngx_strcmp(pg->keywords[i], keyword) == 0) {
            pg->values[i] = value;
            return;
        }
    }

    if (*n < NGX_SP_PG_MAX_OPTIONS - 1) {
        pg->keywords[*n] = keyword;
        pg->values[*n] = value;
        (*n)++;
    }
}
