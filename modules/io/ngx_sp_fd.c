
/*
 * Copyright (C) Sallyport authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_sp_fd.h"


static void ngx_sp_fd_read_handler(ngx_event_t *rev);
static void ngx_sp_fd_write_handler(ngx_event_t *wev);
static void ngx_sp_fd_empty_handler(ngx_sp_fd_t *fd);
static void ngx_sp_fd_release(ngx_sp_fd_t *fd, ngx_uint_t flags);


ngx_int_t
ngx_sp_fd_bind(ngx_sp_fd_t *fd, int s, ngx_log_t *log)
{
    ngx_connection_t  *c;

    if (s < 0) {
        return NGX_ERROR;
    }

    c = ngx_get_connection(s, log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = fd;
    c->pool = NULL;
    c->log = log;

    c->read->handler = ngx_sp_fd_read_handler;
    c->read->log = log;

    c->write->handler = ngx_sp_fd_write_handler;
    c->write->log = log;

    if (fd->read == NULL) {
        fd->read = ngx_sp_fd_empty_handler;
    }

    if (fd->write == NULL) {
        fd->write = ngx_sp_fd_empty_handler;
    }

    fd->connection = c;

    return NGX_OK;
}


ngx_int_t
ngx_sp_fd_want(ngx_sp_fd_t *fd, ngx_uint_t events)
{
    ngx_int_t          rc;
    ngx_event_t       *rev, *wev;
    ngx_connection_t  *c;

    c = fd->connection;

    if (c == NULL) {
        return NGX_ERROR;
    }

    rev = c->read;
    wev = c->write;
    rc = NGX_OK;

    if ((events & NGX_SP_FD_READ) && !rev->active) {
        rc = ngx_add_event(rev, NGX_READ_EVENT, NGX_LEVEL_EVENT);

    } else if (!(events & NGX_SP_FD_READ) && rev->active) {
        rc = ngx_del_event(rev, NGX_READ_EVENT, 0);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if ((events & NGX_SP_FD_WRITE) && !wev->active) {
        rc = ngx_add_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);

    } else if (!(events & NGX_SP_FD_WRITE) && wev->active) {
        rc = ngx_del_event(wev, NGX_WRITE_EVENT, 0);
    }

    return (rc == NGX_OK) ? NGX_OK : NGX_ERROR;
}


void
ngx_sp_fd_set_idle(ngx_sp_fd_t *fd, ngx_uint_t idle)
{
    if (fd->connection != NULL) {
        fd->connection->idle = idle ? 1 : 0;
    }
}


void
ngx_sp_fd_unbind(ngx_sp_fd_t *fd)
{
    ngx_sp_fd_release(fd, 0);
}


void
ngx_sp_fd_forget(ngx_sp_fd_t *fd)
{
    ngx_sp_fd_release(fd, NGX_CLOSE_EVENT);
}


static void
ngx_sp_fd_release(ngx_sp_fd_t *fd, ngx_uint_t flags)
{
    ngx_connection_t  *c;

    c = fd->connection;

    if (c == NULL) {
        return;
    }

    fd->connection = NULL;

    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, flags);
    }

    if (c->write->active) {
        (void) ngx_del_event(c->write, NGX_WRITE_EVENT, flags);
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    c->data = NULL;

    ngx_free_connection(c);

    /* the events of a free connection are told by its fd */

    c->fd = (ngx_socket_t) -1;
}


static void
ngx_sp_fd_read_handler(ngx_event_t *rev)
{
    ngx_sp_fd_t       *fd;
    ngx_connection_t  *c;

    c = rev->data;
    fd = c->data;

    if (c->close) {
        c->close = 0;
        fd->close(fd);
        return;
    }

    fd->read(fd);
}


static void
ngx_sp_fd_write_handler(ngx_event_t *wev)
{
    ngx_sp_fd_t       *fd;
    ngx_connection_t  *c;

    c = wev->data;
    fd = c->data;

    fd->write(fd);
}


static void
ngx_sp_fd_empty_handler(ngx_sp_fd_t *fd)
{
    /* void */
}
