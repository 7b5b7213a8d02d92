
/*
 * Copyright (C) Sallyport authors
 *
 * One PGconn on the event loop.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "ngx_sp_pg_int.h"


#define NGX_SP_PG_REASON_LEN  512


static ngx_int_t ngx_sp_pg_link_wait(ngx_sp_pg_link_t *link,
    ngx_uint_t events);
static void ngx_sp_pg_link_unreachable(ngx_sp_pg_link_t *link);
static void ngx_sp_pg_link_poll(ngx_sp_pg_link_t *link);
static void ngx_sp_pg_link_connected(ngx_sp_pg_link_t *link);
static void ngx_sp_pg_link_read_handler(ngx_sp_fd_t *fd);
static void ngx_sp_pg_link_write_handler(ngx_sp_fd_t *fd);
static ngx_uint_t ngx_sp_pg_link_buffered(ngx_sp_pg_link_t *link);
static void ngx_sp_pg_link_close_handler(ngx_sp_fd_t *fd);
static void ngx_sp_pg_link_timer_handler(ngx_event_t *ev);
static void ngx_sp_pg_link_notice(void *data, const char *message);
static char *ngx_sp_pg_line(char *buf, const char *text);


void
ngx_sp_pg_link_init(ngx_sp_pg_link_t *link, ngx_sp_pg_t *pg, void *data)
{
    link->pg = pg;
    link->data = data;

    link->fd.data = link;
    link->fd.read = ngx_sp_pg_link_read_handler;
    link->fd.write = ngx_sp_pg_link_write_handler;
    link->fd.close = ngx_sp_pg_link_close_handler;

    link->timer.handler = ngx_sp_pg_link_timer_handler;
    link->timer.data = link;
    link->timer.log = pg->log;
    link->timer.cancelable = 1;
}


/* on NGX_ERROR the link is closed, and the cause logged */

ngx_int_t
ngx_sp_pg_link_open(ngx_sp_pg_link_t *link)
{
    char          line[NGX_SP_PG_REASON_LEN];
    ngx_uint_t    level;
    ngx_sp_pg_t  *pg;
    const char   *text;

    pg = link->pg;
    text = "no memory";

    link->ready = 0;

    if (pg->host != NULL) {
        pg->values[pg->hostaddr] = (char *) ngx_sp_name_address(pg->host);

        if (pg->values[pg->hostaddr] == NULL) {
            text = "its name is not resolved";
            goto failed;
        }
    }

    link->pgconn = PQconnectStartParams(pg->keywords, pg->values, 0);

    if (link->pgconn == NULL) {
        goto failed;
    }

    if (PQstatus(link->pgconn) == CONNECTION_BAD) {
        text = PQerrorMessage(link->pgconn);
        goto failed;
    }

    PQsetNoticeProcessor(link->pgconn, ngx_sp_pg_link_notice, link);

    /* the first poll comes when the socket is writable */

    if (ngx_sp_pg_link_wait(link, NGX_SP_FD_WRITE) != NGX_OK) {
        text = "no event could be added";
        goto failed;
    }

    ngx_add_timer(&link->timer, pg->connect_timeout);

    return NGX_OK;

failed:

    ngx_sp_pg_link_unreachable(link);

    level = (pg->failures == 0) ? NGX_LOG_ERR : NGX_LOG_INFO;

    ngx_log_error(level, pg->log, 0, "pg \"%V\" at %V: %s",
                  &pg->name, &pg->address, ngx_sp_pg_line(line, text));

    ngx_sp_pg_link_close(link);

    return NGX_ERROR;
}


void
ngx_sp_pg_link_close(ngx_sp_pg_link_t *link)
{
    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    /* on EOF, and out of step, libpq closes the socket by itself */

    if (link->pgconn != NULL && PQsocket(link->pgconn) == -1) {
        ngx_sp_fd_forget(&link->fd);

    } else {
        ngx_sp_fd_unbind(&link->fd);
    }

    if (link->pgconn != NULL) {
        PQfinish(link->pgconn);
        link->pgconn = NULL;
    }

    /* NGINX raises an alert about errors it finds in the queue */

    ERR_clear_error();

    link->ready = 0;
}


void
ngx_sp_pg_link_fail(ngx_sp_pg_link_t *link, const char *reason)
{
    char  line[NGX_SP_PG_REASON_LEN];

    (void) ngx_sp_pg_line(line, reason);

    if (!link->ready) {
        ngx_sp_pg_link_unreachable(link);
    }

    ngx_sp_pg_link_close(link);

    link->lost(link, line);
}


static void
ngx_sp_pg_link_unreachable(ngx_sp_pg_link_t *link)
{
    if (link->pg->host != NULL) {
        ngx_sp_name_failed(link->pg->host);
    }
}


/* sends what libpq holds, and waits for what is needed next */

ngx_int_t
ngx_sp_pg_link_flush(ngx_sp_pg_link_t *link)
{
    int  rc;

    rc = PQflush(link->pgconn);

    if (rc == -1) {
        return NGX_ERROR;
    }

    /*
     * What is left may be blocked because the server waits for us to read:
     * both directions are watched.
     */

    return ngx_sp_fd_want(&link->fd, (rc == 1)
                                     ? NGX_SP_FD_READ|NGX_SP_FD_WRITE
                                     : NGX_SP_FD_READ);
}


ngx_msec_t
ngx_sp_pg_backoff(ngx_uint_t failures)
{
    ngx_msec_t  delay;

    delay = ngx_min((ngx_msec_t) NGX_SP_PG_BACKOFF_MIN
                    << ngx_min(failures, 6),
                    NGX_SP_PG_BACKOFF_MAX);

    /* workers must not come back all at once */

    return delay - (ngx_msec_t) ngx_random() % (delay / 4);
}


/* binds again: libpq may have opened another socket under the same number */

static ngx_int_t
ngx_sp_pg_link_wait(ngx_sp_pg_link_t *link, ngx_uint_t events)
{
    if (ngx_sp_fd_bind(&link->fd, PQsocket(link->pgconn), link->pg->log)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_sp_fd_want(&link->fd, events);
}


static void
ngx_sp_pg_link_poll(ngx_sp_pg_link_t *link)
{
    ngx_uint_t                 events;
    PostgresPollingStatusType  status;

    /* PQconnectPoll() may close the socket */

    ngx_sp_fd_unbind(&link->fd);

    status = PQconnectPoll(link->pgconn);

    switch (status) {

    case PGRES_POLLING_READING:
        events = NGX_SP_FD_READ;
        break;

    case PGRES_POLLING_WRITING:
        events = NGX_SP_FD_WRITE;
        break;

    case PGRES_POLLING_OK:
        ngx_sp_pg_link_connected(link);
        return;

    default:
        ngx_sp_pg_link_fail(link, PQerrorMessage(link->pgconn));
        return;
    }

    if (ngx_sp_pg_link_wait(link, events) != NGX_OK) {
        ngx_sp_pg_link_fail(link, "no event could be added");
    }
}


static void
ngx_sp_pg_link_connected(ngx_sp_pg_link_t *link)
{
    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    if (PQsetnonblocking(link->pgconn, 1) != 0) {
        ngx_sp_pg_link_fail(link, PQerrorMessage(link->pgconn));
        return;
    }

    if (ngx_sp_pg_link_wait(link, NGX_SP_FD_READ) != NGX_OK) {
        ngx_sp_pg_link_fail(link, "no event could be added");
        return;
    }

    link->ready = 1;
    link->since = ngx_current_msec;

    link->connected(link);
}


static void
ngx_sp_pg_link_read_handler(ngx_sp_fd_t *fd)
{
    ngx_sp_pg_link_t  *link;

    link = fd->data;

    if (!link->ready) {
        ngx_sp_pg_link_poll(link);
        return;
    }

    do {
        if (PQconsumeInput(link->pgconn) == 0) {
            ngx_sp_pg_link_fail(link, PQerrorMessage(link->pgconn));
            return;
        }

    } while (ngx_sp_pg_link_buffered(link));

    if (ngx_sp_pg_link_flush(link) != NGX_OK) {
        ngx_sp_pg_link_fail(link, PQerrorMessage(link->pgconn));
        return;
    }

    link->readable(link);
}


/*
 * A TLS record may be longer than the room libpq had for it; what is left of
 * it makes no event on the socket.
 */

static ngx_uint_t
ngx_sp_pg_link_buffered(ngx_sp_pg_link_t *link)
{
    SSL  *ssl;

    if (!PQsslInUse(link->pgconn)) {
        return 0;
    }

    ssl = PQsslStruct(link->pgconn, "OpenSSL");

    return ssl != NULL && SSL_pending(ssl) > 0;
}


static void
ngx_sp_pg_link_write_handler(ngx_sp_fd_t *fd)
{
    ngx_sp_pg_link_t  *link;

    link = fd->data;

    if (!link->ready) {
        ngx_sp_pg_link_poll(link);
        return;
    }

    if (ngx_sp_pg_link_flush(link) != NGX_OK) {
        ngx_sp_pg_link_fail(link, PQerrorMessage(link->pgconn));
    }
}


static void
ngx_sp_pg_link_close_handler(ngx_sp_fd_t *fd)
{
    ngx_sp_pg_link_fail(fd->data, "worker shuts down");
}


static void
ngx_sp_pg_link_timer_handler(ngx_event_t *ev)
{
    ngx_sp_pg_link_fail(ev->data, "connect timed out");
}


static void
ngx_sp_pg_link_notice(void *data, const char *message)
{
    char               line[NGX_SP_PG_REASON_LEN];
    ngx_sp_pg_t       *pg;
    ngx_sp_pg_link_t  *link;

    link = data;
    pg = link->pg;

    ngx_log_error(NGX_LOG_INFO, pg->log, 0, "pg \"%V\" notice: %s",
                  &pg->name, ngx_sp_pg_line(line, message));
}


/* what libpq says in several lines, in one without control characters */

static char *
ngx_sp_pg_line(char *buf, const char *text)
{
    size_t  i;

    for (i = 0; i < NGX_SP_PG_REASON_LEN - 1 && text[i] != '\0'; i++) {
        buf[i] = ((u_char) text[i] < 0x20 || text[i] == 0x7f) ? ' ' : text[i];
    }

    while (i > 0 && buf[i - 1] == ' ') {
        i--;
    }

    buf[i] = '\0';

    return buf;
}
