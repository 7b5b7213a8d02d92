
/*
 * Copyright (C) Sallyport authors
 *
 * LISTEN on a connection of its own, in every worker.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_sp_pg_int.h"


static void ngx_sp_pg_listener_connected(ngx_sp_pg_link_t *link);
static void ngx_sp_pg_listener_readable(ngx_sp_pg_link_t *link);
static void ngx_sp_pg_listener_lost(ngx_sp_pg_link_t *link,
    const char *reason);
static void ngx_sp_pg_listener_timer_handler(ngx_event_t *ev);
static void ngx_sp_pg_listener_again(ngx_sp_pg_listener_t *listener);
static ngx_int_t ngx_sp_pg_listener_results(ngx_sp_pg_listener_t *listener);
static void ngx_sp_pg_listener_deliver(ngx_sp_pg_t *pg,
    const PGnotify *notify);


ngx_int_t
ngx_sp_pg_listener_start(ngx_sp_pg_t *pg, ngx_cycle_t *cycle)
{
    ngx_sp_pg_listener_t  *listener;

    listener = ngx_pcalloc(cycle->pool, sizeof(ngx_sp_pg_listener_t));
    if (listener == NULL) {
        return NGX_ERROR;
    }

    pg->listener = listener;

    ngx_sp_pg_link_init(&listener->link, pg, listener);

    listener->link.connected = ngx_sp_pg_listener_connected;
    listener->link.readable = ngx_sp_pg_listener_readable;
    listener->link.lost = ngx_sp_pg_listener_lost;

    listener->timer.handler = ngx_sp_pg_listener_timer_handler;
    listener->timer.data = listener;
    listener->timer.log = pg->log;
    listener->timer.cancelable = 1;

    ngx_add_timer(&listener->timer, 1);

    return NGX_OK;
}


void
ngx_sp_pg_listener_stop(ngx_sp_pg_t *pg)
{
    ngx_sp_pg_listener_t  *listener;

    listener = pg->listener;

    if (listener == NULL) {
        return;
    }

    if (listener->timer.timer_set) {
        ngx_del_timer(&listener->timer);
    }

    ngx_sp_pg_link_close(&listener->link);
}


static void
ngx_sp_pg_listener_connected(ngx_sp_pg_link_t *link)
{
    u_char                *p, *sql;
    size_t                 len;
    ngx_int_t              rc;
    ngx_uint_t             i;
    ngx_sp_pg_t           *pg;
    ngx_sp_pg_channel_t   *channel;
    ngx_sp_pg_listener_t  *listener;

    pg = link->pg;
    listener = link->data;
    channel = pg->channels.elts;

    len = 1;

    for (i = 0; i < pg->channels.nelts; i++) {
        len += sizeof("listen \"\";") - 1 + channel[i].channel.len;
    }

    sql = ngx_alloc(len, pg->log);
    if (sql == NULL) {
        ngx_sp_pg_link_fail(link, "no memory");
        return;
    }

    p = sql;

    for (i = 0; i < pg->channels.nelts; i++) {
        p = ngx_sprintf(p, "listen \"%V\";", &channel[i].channel);
    }

    *p = '\0';

    rc = PQsendQuery(link->pgconn, (char *) sql);

    ngx_free(sql);

    if (rc == 0 || ngx_sp_pg_link_flush(link) != NGX_OK) {
        ngx_sp_pg_link_fail(link, PQerrorMessage(link->pgconn));
        return;
    }

    /* the answer is awaited as long as a connection is */

    ngx_add_timer(&listener->timer, pg->connect_timeout);
}


static void
ngx_sp_pg_listener_readable(ngx_sp_pg_link_t *link)
{
    ngx_uint_t             i;
    PGnotify              *notify;
    ngx_sp_pg_t           *pg;
    ngx_sp_pg_channel_t   *channel;
    ngx_sp_pg_listener_t  *listener;

    pg = link->pg;
    listener = link->data;

    if (!listener->listening) {

        switch (ngx_sp_pg_listener_results(listener)) {

        case NGX_AGAIN:
            return;

        case NGX_ERROR:
            ngx_sp_pg_link_fail(link, PQerrorMessage(link->pgconn));
            return;

        default: /* NGX_OK */
            break;
        }

        if (listener->timer.timer_set) {
            ngx_del_timer(&listener->timer);
        }

        listener->listening = 1;
        listener->failures = 0;
        ngx_sp_fd_set_idle(&link->fd, 1);

        channel = pg->channels.elts;

        for (i = 0; i < pg->channels.nelts; i++) {
            channel[i].handler(channel[i].data, NULL);
        }
    }

    (void) PQisBusy(link->pgconn);

    for ( ;; ) {
        notify = PQnotifies(link->pgconn);

        if (notify == NULL) {
            break;
        }

        ngx_sp_pg_listener_deliver(pg, notify);
        PQfreemem(notify);
    }

    if (PQstatus(link->pgconn) != CONNECTION_OK) {
        ngx_sp_pg_link_fail(link, PQerrorMessage(link->pgconn));
    }
}


/* NGX_OK when all channels are listened to */

static ngx_int_t
ngx_sp_pg_listener_results(ngx_sp_pg_listener_t *listener)
{
    PGconn          *pgconn;
    PGresult        *result;
    ExecStatusType   status;

    pgconn = listener->link.pgconn;

    while (PQisBusy(pgconn) == 0) {

        result = PQgetResult(pgconn);

        if (result == NULL) {
            return NGX_OK;
        }

        status = PQresultStatus(result);
        PQclear(result);

        if (status != PGRES_COMMAND_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_AGAIN;
}


static void
ngx_sp_pg_listener_deliver(ngx_sp_pg_t *pg, const PGnotify *notify)
{
    size_t                len;
    ngx_str_t             payload;
    ngx_uint_t            i;
    ngx_sp_pg_channel_t  *channel;

    len = ngx_strlen(notify->relname);

    payload.data = (u_char *) notify->extra;
    payload.len = ngx_strlen(notify->extra);

    channel = pg->channels.elts;

    for (i = 0; i < pg->channels.nelts; i++) {

        if (channel[i].channel.len == len
            && ngx_memcmp(channel[i].channel.data, notify->relname, len) == 0)
        {
            channel[i].handler(channel[i].data, &payload);
        }
    }
}


static void
ngx_sp_pg_listener_lost(ngx_sp_pg_link_t *link, const char *reason)
{
    ngx_uint_t             level;
    ngx_sp_pg_t           *pg;
    ngx_sp_pg_listener_t  *listener;

    pg = link->pg;
    listener = link->data;

    if (!ngx_exiting) {
        level = (listener->failures == 0) ? NGX_LOG_ERR : NGX_LOG_INFO;

        ngx_log_error(level, pg->log, 0,
                      "pg \"%V\" at %V: listening lost: %s",
                      &pg->name, &pg->address, reason);
    }

    ngx_sp_pg_listener_again(listener);
}


static void
ngx_sp_pg_listener_again(ngx_sp_pg_listener_t *listener)
{
    listener->listening = 0;

    if (listener->timer.timer_set) {
        ngx_del_timer(&listener->timer);
    }

    /* a worker that leaves takes no new work */

    if (ngx_exiting) {
        return;
    }

    ngx_add_timer(&listener->timer, ngx_sp_pg_backoff(listener->failures));
    listener->failures++;
}


static void
ngx_sp_pg_listener_timer_handler(ngx_event_t *ev)
{
    ngx_sp_pg_listener_t  *listener;

    listener = ev->data;

    if (listener->link.pgconn != NULL) {
        ngx_sp_pg_link_fail(&listener->link, "no answer to LISTEN in time");
        return;
    }

    if (ngx_exiting) {
        return;
    }

    if (ngx_sp_pg_link_open(&listener->link) != NGX_OK) {
        ngx_sp_pg_listener_again(listener);
    }
}
