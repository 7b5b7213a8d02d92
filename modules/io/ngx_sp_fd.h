
/*
 * Copyright (C) Sallyport authors
 *
 * The socket of a foreign library (libpq, hiredis, libcurl) on the event
 * loop.  Level-triggered, because such libraries read a bounded piece per
 * event.  NGINX never closes the socket: unbind first, then let the library
 * close it.
 */

#ifndef _NGX_SP_FD_H_INCLUDED_
#define _NGX_SP_FD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


#define NGX_SP_FD_READ   1
#define NGX_SP_FD_WRITE  2


typedef struct ngx_sp_fd_s  ngx_sp_fd_t;

typedef void (*ngx_sp_fd_handler_pt)(ngx_sp_fd_t *fd);


/* zero-filled, then the handlers set; embedded in the owner's struct */

struct ngx_sp_fd_s {
    ngx_connection_t         *connection;   /* NULL: not bound */
    void                     *data;
    ngx_sp_fd_handler_pt      read;
    ngx_sp_fd_handler_pt      write;

    /*
     * The worker shuts down and the socket is idle, or
     * worker_shutdown_timeout has passed.  The owner closes.
     */
    ngx_sp_fd_handler_pt      close;
};


/*
 * Takes one of worker_connections; NGX_ERROR when there is none, or the
 * socket is invalid.  No interest is set.
 */
ngx_int_t ngx_sp_fd_bind(ngx_sp_fd_t *fd, int s, ngx_log_t *log);

/*
 * Sets the interest to exactly "events" (NGX_SP_FD_READ, NGX_SP_FD_WRITE,
 * both or 0).
 */
ngx_int_t ngx_sp_fd_want(ngx_sp_fd_t *fd, ngx_uint_t events);

/* idle: a graceful shutdown may close it at once */
void ngx_sp_fd_set_idle(ngx_sp_fd_t *fd, ngx_uint_t idle);

/* idempotent; the socket is still open and now belongs to the library only */
void ngx_sp_fd_unbind(ngx_sp_fd_t *fd);

/* the same when the library has closed the socket already */
void ngx_sp_fd_forget(ngx_sp_fd_t *fd);


#define ngx_sp_fd_bound(fd)  ((fd)->connection != NULL)


#endif /* _NGX_SP_FD_H_INCLUDED_ */
