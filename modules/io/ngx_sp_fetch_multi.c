
/*
 * Copyright (C) Sallyport authors
 *
 * The multi handle of a worker on the event loop.  curl tells by callbacks
 * which sockets and which timer it wants; the callbacks only write that down,
 * and curl is called from event handlers only.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <openssl/err.h>

#include "ngx_sp_fetch_int.h"


#define NGX_SP_FETCH_MAX_IDLE     32
#define NGX_SP_FETCH_BIND_AGAIN   50


typedef struct {
    ngx_queue_t                 queue;
    ngx_sp_fetch_t             *fetch;
    ngx_sp_fd_t                 fd;
    curl_socket_t               s;
    ngx_uint_t                  events;
} ngx_sp_fetch_socket_t;


static int ngx_sp_fetch_socket_callback(CURL *easy, curl_socket_t s,
    int what, void *arg, void *data);
static int ngx_sp_fetch_timer_callback(CURLM *multi, long timeout,
    void *arg);
static ngx_sp_fetch_socket_t *ngx_sp_fetch_add_socket(ngx_sp_fetch_t *fetch,
    curl_socket_t s);
static void ngx_sp_fetch_remove_socket(ngx_sp_fetch_socket_t *sock);
static void ngx_sp_fetch_want(ngx_sp_fetch_socket_t *sock);
static void ngx_sp_fetch_read_handler(ngx_sp_fd_t *fd);
static void ngx_sp_fetch_write_handler(ngx_sp_fd_t *fd);
static void ngx_sp_fetch_close_handler(ngx_sp_fd_t *fd);
static void ngx_sp_fetch_timer_handler(ngx_event_t *ev);
static void ngx_sp_fetch_unbound_handler(ngx_event_t *ev);
static void ngx_sp_fetch_action(ngx_sp_fetch_t *fetch, curl_socket_t s,
    int events);
static void ngx_sp_fetch_read_info(ngx_sp_fetch_t *fetch);


/* of this worker */

static ngx_sp_fetch_t  ngx_sp_fetch;


ngx_int_t
ngx_sp_fetch_init_process(const ngx_sp_fetch_conf_t *conf,
    ngx_cycle_t *cycle)
{
    int              bad;
    CURLM           *multi;
    ngx_sp_fetch_t  *fetch;

    fetch = &ngx_sp_fetch;

    ngx_memzero(fetch, sizeof(ngx_sp_fetch_t));

    if (curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "curl_global_init() failed");
        return NGX_ERROR;
    }

    multi = curl_multi_init();

    if (multi == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "curl_multi_init() failed");
        curl_global_cleanup();
        return NGX_ERROR;
    }

    bad = 0;

#define ngx_sp_fetch_set(option, value)                                       \
    bad |= curl_multi_setopt(multi, option, value) != CURLM_OK

    ngx_sp_fetch_set(CURLMOPT_SOCKETFUNCTION, ngx_sp_fetch_socket_callback);
    ngx_sp_fetch_set(CURLMOPT_SOCKETDATA, fetch);
    ngx_sp_fetch_set(CURLMOPT_TIMERFUNCTION, ngx_sp_fetch_timer_callback);
    ngx_sp_fetch_set(CURLMOPT_TIMERDATA, fetch);
    ngx_sp_fetch_set(CURLMOPT_PIPELINING, (long) CURLPIPE_MULTIPLEX);
    ngx_sp_fetch_set(CURLMOPT_MAXCONNECTS, (long) NGX_SP_FETCH_MAX_IDLE);

#undef ngx_sp_fetch_set

    if (bad) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "curl_multi_setopt() failed");
        (void) curl_multi_cleanup(multi);
        curl_global_cleanup();
        return NGX_ERROR;
    }

    if (ngx_array_init(&fetch->names, cycle->pool, 4,
                       sizeof(ngx_sp_name_t *))
        != NGX_OK)
    {
        (void) curl_multi_cleanup(multi);
        curl_global_cleanup();
        return NGX_ERROR;
    }

    fetch->conf = conf;
    fetch->multi = multi;
    fetch->log = cycle->log;

    ngx_queue_init(&fetch->transfers);
    ngx_queue_init(&fetch->sockets);

    fetch->timer.handler = ngx_sp_fetch_timer_handler;
    fetch->timer.data = fetch;
    fetch->timer.log = fetch->log;
    fetch->timer.cancelable = 1;

    fetch->unbound.handler = ngx_sp_fetch_unbound_handler;
    fetch->unbound.data = fetch;
    fetch->unbound.log = fetch->log;
    fetch->unbound.cancelable = 1;

    fetch->started = 1;

    return NGX_OK;
}


void
ngx_sp_fetch_exit_process(void)
{
    ngx_queue_t              *q;
    ngx_sp_fetch_t           *fetch;
    ngx_sp_fetch_transfer_t  *tr;

    fetch = &ngx_sp_fetch;

    if (!fetch->started) {
        return;
    }

    fetch->started = 0;

    while (!ngx_queue_empty(&fetch->transfers)) {
        q = ngx_queue_head(&fetch->transfers);
        tr = ngx_queue_data(q, ngx_sp_fetch_transfer_t, queue);

        ngx_sp_fetch_done(tr, CURLE_ABORTED_BY_CALLBACK);
    }

    (void) curl_multi_cleanup(fetch->multi);

    while (!ngx_queue_empty(&fetch->sockets)) {
        q = ngx_queue_head(&fetch->sockets);

        ngx_sp_fetch_remove_socket(ngx_queue_data(q, ngx_sp_fetch_socket_t,
                                                  queue));
    }

    if (fetch->timer.timer_set) {
        ngx_del_timer(&fetch->timer);
    }

    if (fetch->unbound.timer_set) {
        ngx_del_timer(&fetch->unbound);
    }

    curl_global_cleanup();
}


ngx_sp_fetch_t *
ngx_sp_fetch_state(void)
{
    return ngx_sp_fetch.started ? &ngx_sp_fetch : NULL;
}


/* curl_multi_assign() is the one call that curl allows here */

static int
ngx_sp_fetch_socket_callback(CURL *easy, curl_socket_t s, int what,
    void *arg, void *data)
{
    ngx_sp_fetch_t         *fetch;
    ngx_sp_fetch_socket_t  *sock;

    fetch = arg;
    sock = data;

    if (what == CURL_POLL_REMOVE) {

        if (sock != NULL) {
            (void) curl_multi_assign(fetch->multi, s, NULL);
            ngx_sp_fetch_remove_socket(sock);
        }

        return 0;
    }

    if (sock == NULL) {
        sock = ngx_sp_fetch_add_socket(fetch, s);

        if (sock == NULL) {

            /*
             * An error would make all transfers of curl fail: this one meets
             * its deadline instead.
             */

            return 0;
        }

        (void) curl_multi_assign(fetch->multi, s, sock);
    }

    sock->events = 0;

    if (what & CURL_POLL_IN) {
        sock->events |= NGX_SP_FD_READ;
    }

    if (what & CURL_POLL_OUT) {
        sock->events |= NGX_SP_FD_WRITE;
    }

    ngx_sp_fetch_want(sock);

    return 0;
}


static int
ngx_sp_fetch_timer_callback(CURLM *multi, long timeout, void *arg)
{
    ngx_sp_fetch_t  *fetch;

    fetch = arg;

    if (fetch->timer.timer_set) {
        ngx_del_timer(&fetch->timer);
    }

    if (timeout >= 0) {
        ngx_add_timer(&fetch->timer, (ngx_msec_t) timeout);
    }

    return 0;
}


static ngx_sp_fetch_socket_t *
ngx_sp_fetch_add_socket(ngx_sp_fetch_t *fetch, curl_socket_t s)
{
    ngx_sp_fetch_socket_t  *sock;

    sock = ngx_calloc(sizeof(ngx_sp_fetch_socket_t), fetch->log);
    if (sock == NULL) {
        return NULL;
    }

    sock->fetch = fetch;
    sock->s = s;

    sock->fd.data = sock;
    sock->fd.read = ngx_sp_fetch_read_handler;
    sock->fd.write = ngx_sp_fetch_write_handler;
    sock->fd.close = ngx_sp_fetch_close_handler;

    ngx_queue_insert_tail(&fetch->sockets, &sock->queue);

    return sock;
}


/*
 * curl 7.88 closes a socket that is still connecting before it tells.  The
 * kernel has forgotten it then; nobody can have taken its number meanwhile,
 * for all of it happens within one call of curl.
 */

static void
ngx_sp_fetch_remove_socket(ngx_sp_fetch_socket_t *sock)
{
    if (fcntl(sock->s, F_GETFD) == -1) {
        ngx_sp_fd_forget(&sock->fd);

    } else {
        ngx_sp_fd_unbind(&sock->fd);
    }

    ngx_queue_remove(&sock->queue);
    ngx_free(sock);
}


/*
 * The next address of a host: its socket may get the number of the one that
 * curl has just given up, and curl will not tell, as nothing seems to change.
 */

curl_socket_t
ngx_sp_fetch_open_socket(void *arg, curlsocktype purpose,
    struct curl_sockaddr *address)
{
    ngx_queue_t            *q;
    curl_socket_t           s;
    ngx_sp_fetch_t         *fetch;
    ngx_sp_fetch_socket_t  *sock;

    fetch = arg;

    s = socket(address->family, address->socktype|SOCK_CLOEXEC,
               address->protocol);

    if (s == CURL_SOCKET_BAD) {
        return s;
    }

    for (q = ngx_queue_head(&fetch->sockets);
         q != ngx_queue_sentinel(&fetch->sockets);
         q = ngx_queue_next(q))
    {
        sock = ngx_queue_data(q, ngx_sp_fetch_socket_t, queue);

        if (sock->s == s) {
            ngx_sp_fd_forget(&sock->fd);
            ngx_sp_fetch_want(sock);
            break;
        }
    }

    return s;
}


/* out of worker_connections: tried again while the deadline lasts */

static void
ngx_sp_fetch_want(ngx_sp_fetch_socket_t *sock)
{
    ngx_sp_fetch_t  *fetch;

    fetch = sock->fetch;

    if ((!ngx_sp_fd_bound(&sock->fd)
         && ngx_sp_fd_bind(&sock->fd, sock->s, fetch->log) != NGX_OK)
        || ngx_sp_fd_want(&sock->fd, sock->events) != NGX_OK)
    {
        ngx_sp_fd_unbind(&sock->fd);

        if (!fetch->unbound.timer_set) {
            ngx_add_timer(&fetch->unbound, NGX_SP_FETCH_BIND_AGAIN);
        }
    }
}


static void
ngx_sp_fetch_unbound_handler(ngx_event_t *ev)
{
    ngx_queue_t            *q;
    ngx_sp_fetch_t         *fetch;
    ngx_sp_fetch_socket_t  *sock;

    fetch = ev->data;

    for (q = ngx_queue_head(&fetch->sockets);
         q != ngx_queue_sentinel(&fetch->sockets);
         q = ngx_queue_next(q))
    {
        sock = ngx_queue_data(q, ngx_sp_fetch_socket_t, queue);

        if (!ngx_sp_fd_bound(&sock->fd)) {
            ngx_sp_fetch_want(sock);
        }
    }
}


static void
ngx_sp_fetch_read_handler(ngx_sp_fd_t *fd)
{
    ngx_sp_fetch_socket_t  *sock;

    sock = fd->data;

    ngx_sp_fetch_action(sock->fetch, sock->s, CURL_CSELECT_IN);
}


static void
ngx_sp_fetch_write_handler(ngx_sp_fd_t *fd)
{
    ngx_sp_fetch_socket_t  *sock;

    sock = fd->data;

    ngx_sp_fetch_action(sock->fetch, sock->s, CURL_CSELECT_OUT);
}


/* worker_shutdown_timeout: curl meets a broken socket, the transfer ends */

static void
ngx_sp_fetch_close_handler(ngx_sp_fd_t *fd)
{
    ngx_sp_fetch_socket_t  *sock;

    sock = fd->data;

    (void) shutdown(sock->s, SHUT_RDWR);

    ngx_sp_fetch_action(sock->fetch, sock->s,
                        CURL_CSELECT_IN|CURL_CSELECT_ERR);
}


static void
ngx_sp_fetch_timer_handler(ngx_event_t *ev)
{
    ngx_sp_fetch_action(ev->data, CURL_SOCKET_TIMEOUT, 0);
}


static void
ngx_sp_fetch_action(ngx_sp_fetch_t *fetch, curl_socket_t s, int events)
{
    int        running;
    CURLMcode  rc;

    rc = curl_multi_socket_action(fetch->multi, s, events, &running);

    if (rc != CURLM_OK) {
        ngx_log_error(NGX_LOG_ALERT, fetch->log, 0,
                      "curl_multi_socket_action() failed: %s",
                      curl_multi_strerror(rc));
    }

    /* NGINX raises an alert about errors it finds in the queue */

    ERR_clear_error();

    ngx_sp_fetch_read_info(fetch);
}


static void
ngx_sp_fetch_read_info(ngx_sp_fetch_t *fetch)
{
    int                       left;
    char                     *data;
    CURL                     *easy;
    CURLMsg                  *msg;
    CURLcode                  code;
    ngx_sp_fetch_transfer_t  *tr;

    for ( ;; ) {
        msg = curl_multi_info_read(fetch->multi, &left);

        if (msg == NULL) {
            return;
        }

        if (msg->msg != CURLMSG_DONE) {
            continue;
        }

        /* the message dies with the removal of the handle */

        easy = msg->easy_handle;
        code = msg->data.result;
        data = NULL;

        (void) curl_easy_getinfo(easy, CURLINFO_PRIVATE, &data);

        tr = (ngx_sp_fetch_transfer_t *) (void *) data;

        ngx_sp_fetch_done(tr, code);
    }
}
