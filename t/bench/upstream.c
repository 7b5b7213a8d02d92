
/*
 * Copyright (C) Sallyport authors
 *
 * The upstream of the load runs: HTTP/1.1 with keepalive, no work at all, so
 * that what is measured is the gateway.  Part of the process of load.c.
 *
 *     GET  /1k, /16k            a body of that size
 *     POST, "bench-1k" or "bench-16k" in the body
 *                               a chat completion with a text of that size
 *     POST, "stream":true       64 chunks, as fast as they are taken; with
 *                               "bench-paced" one every 10 ms; with
 *                               "bench-idle" one, and then nothing
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "upstream.h"


#define MAX_FD    65536
#define IN_SIZE   65536
#define CHUNKS    64


typedef enum {
    FAST = 0,
    PACED,
    IDLE
} pace_e;


typedef struct {
    char             *in;
    size_t            nin;
    const char       *out;        /* a rest that was not taken */
    size_t            nout;
    unsigned          chunk;      /* of a stream: next one; 0: none */
    pace_e            pace;
} connection_t;


typedef struct {
    char              data[32768];
    size_t            len;
} reply_t;


static void make_plain(reply_t *reply, size_t size);
static void make_chat(reply_t *reply, size_t size);
static void make_stream(void);
static size_t add_chunk(char *p, size_t room, const char *json);
static int open_listener(int port);
static void tick(void);
static void accept_all(void);
static void read_some(int fd);
static size_t take_request(int fd, connection_t *c);
static void answer(int fd, connection_t *c, const char *request, size_t head,
    size_t len);
static void send_reply(int fd, connection_t *c, const char *p, size_t len);
static void go_on(int fd);
static void send_chunks(int fd, connection_t *c, unsigned n);
static void drop(int fd);


static connection_t  *connections[MAX_FD];
static reply_t        plain_1k, plain_16k, chat_1k, chat_16k;
static reply_t        pieces[CHUNKS];    /* [0] with the head */
static reply_t        last_piece;
static int            listener, loop, ticker, top;


int
upstream_start(int port)
{
    int                 timer;
    struct epoll_event  ev;
    struct itimerspec   every;

    make_plain(&plain_1k, 1024);
    make_plain(&plain_16k, 16384);
    make_chat(&chat_1k, 1024);
    make_chat(&chat_16k, 16384);
    make_stream();

    loop = epoll_create1(0);
    listener = open_listener(port);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);

    if (listener == -1 || timer == -1) {
        return -1;
    }

    memset(&every, 0, sizeof(every));
    every.it_interval.tv_nsec = 10000000;
    every.it_value.tv_nsec = 10000000;
    (void) timerfd_settime(timer, 0, &every, NULL);

    ticker = timer;

    ev.events = EPOLLIN;
    ev.data.fd = listener;
    (void) epoll_ctl(loop, EPOLL_CTL_ADD, listener, &ev);
    ev.data.fd = timer;

    return epoll_ctl(loop, EPOLL_CTL_ADD, timer, &ev);
}


void
upstream_poll(void)
{
    int                 fd, i, n;
    struct epoll_event  events[256];

    n = epoll_wait(loop, events, 256, 0);

    for (i = 0; i < n; i++) {
        fd = events[i].data.fd;

        if (fd == listener) {
            accept_all();

        } else if (fd == ticker) {
            tick();

        } else if (connections[fd] == NULL) {
            continue;

        } else if (events[i].events & EPOLLOUT) {
            go_on(fd);

        } else {
            read_some(fd);
        }
    }
}


static void
tick(void)
{
    int       fd;
    uint64_t  ticks;

    (void) !read(ticker, &ticks, sizeof(ticks));

    for (fd = 0; fd <= top; fd++) {
        if (connections[fd] && connections[fd]->chunk
            && connections[fd]->pace == PACED)
        {
            send_chunks(fd, connections[fd], 1);
        }
    }
}


static void
make_plain(reply_t *reply, size_t size)
{
    int  n;

    n = snprintf(reply->data, sizeof(reply->data),
                 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                 "Content-Length: %zu\r\n\r\n", size);
    memset(reply->data + n, 'x', size);
    reply->len = (size_t) n + size;
}


static void
make_chat(reply_t *reply, size_t size)
{
    int     n;
    char    body[20000];
    size_t  len;

    len = (size_t) snprintf(body, sizeof(body),
                            "{\"id\":\"chatcmpl-bench\",\"object\":"
                            "\"chat.completion\",\"created\":1,\"model\":"
                            "\"bench\",\"choices\":[{\"index\":0,\"message\":"
                            "{\"role\":\"assistant\",\"content\":\"");
    memset(body + len, 'x', size);
    len += size;
    len += (size_t) snprintf(body + len, sizeof(body) - len,
                             "\"},\"finish_reason\":\"stop\"}],\"usage\":"
                             "{\"prompt_tokens\":9,\"completion_tokens\":64,"
                             "\"total_tokens\":73}}");

    n = snprintf(reply->data, sizeof(reply->data),
                 "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n", len);
    memcpy(reply->data + n, body, len);
    reply->len = (size_t) n + len;
}


static void
make_stream(void)
{
    char      json[512];
    size_t    n;
    unsigned  i;

    for (i = 0; i < CHUNKS; i++) {
        n = 0;

        if (i == 0) {
            n = (size_t) snprintf(pieces[0].data, sizeof(pieces[0].data),
                                  "HTTP/1.1 200 OK\r\nContent-Type: "
                                  "text/event-stream\r\nTransfer-Encoding: "
                                  "chunked\r\n\r\n");
        }

        snprintf(json, sizeof(json),
                 "{\"id\":\"chatcmpl-bench\",\"object\":"
                 "\"chat.completion.chunk\",\"created\":1,\"model\":"
                 "\"bench\",\"choices\":[{\"index\":0,\"delta\":"
                 "{\"content\":\" word%u\"},\"finish_reason\":null}]}", i);

        pieces[i].len = n + add_chunk(pieces[i].data + n,
                                      sizeof(pieces[i].data) - n, json);
    }

    n = add_chunk(last_piece.data, sizeof(last_piece.data),
                  "{\"id\":\"chatcmpl-bench\",\"object\":"
                  "\"chat.completion.chunk\",\"created\":1,\"model\":"
                  "\"bench\",\"choices\":[{\"index\":0,\"delta\":{},"
                  "\"finish_reason\":\"stop\"}]}");
    n += add_chunk(last_piece.data + n, sizeof(last_piece.data) - n,
                   "{\"id\":\"chatcmpl-bench\",\"object\":"
                   "\"chat.completion.chunk\",\"created\":1,\"model\":"
                   "\"bench\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,"
                   "\"completion_tokens\":64,\"total_tokens\":73}}");
    n += add_chunk(last_piece.data + n, sizeof(last_piece.data) - n,
                   "[DONE]");
    memcpy(last_piece.data + n, "0\r\n\r\n", 5);
    last_piece.len = n + 5;
}


static size_t
add_chunk(char *p, size_t room, const char *json)
{
    return (size_t) snprintf(p, room, "%zx\r\ndata: %s\n\n\r\n",
                             strlen(json) + 8, json);
}


static int
open_listener(int port)
{
    int                 fd, on;
    struct sockaddr_in  sin;

    on = 1;
    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons((uint16_t) port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));

    if (bind(fd, (struct sockaddr *) &sin, sizeof(sin)) != 0
        || listen(fd, 4096) != 0)
    {
        return -1;
    }

    return fd;
}


static void
accept_all(void)
{
    int                 fd, on;
    struct epoll_event  ev;

    on = 1;

    for ( ;; ) {
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

        if (fd == -1) {
            return;
        }

        if (fd >= MAX_FD) {
            (void) close(fd);
            continue;
        }

        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

        connections[fd] = calloc(1, sizeof(connection_t));
        connections[fd]->in = malloc(IN_SIZE + 1);
        top = (fd > top) ? fd : top;

        ev.events = EPOLLIN;
        ev.data.fd = fd;
        (void) epoll_ctl(loop, EPOLL_CTL_ADD, fd, &ev);
    }
}


static void
read_some(int fd)
{
    size_t         used;
    ssize_t        n;
    connection_t  *c;

    c = connections[fd];
    n = recv(fd, c->in + c->nin, IN_SIZE - c->nin, 0);

    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) {
            drop(fd);
        }

        return;
    }

    c->nin += (size_t) n;
    c->in[c->nin] = '\0';

    used = take_request(fd, c);

    if (connections[fd] == NULL) {
        return;
    }

    if (used == 0 && c->nin == IN_SIZE) {
        drop(fd);
        return;
    }

    c->nin -= used;
    memmove(c->in, c->in + used, c->nin);
}


/* the length of a complete request, after it was answered; 0: more needed */

static size_t
take_request(int fd, connection_t *c)
{
    char    *end, *length;
    size_t   body, head;

    end = strstr(c->in, "\r\n\r\n");

    if (end == NULL) {
        return 0;
    }

    head = (size_t) (end - c->in) + 4;
    length = strcasestr(c->in, "\r\nContent-Length:");
    body = (length != NULL && length < end) ? strtoul(length + 17, NULL, 10)
                                            : 0;

    if (c->nin < head + body) {
        return 0;
    }

    answer(fd, c, c->in, head, head + body);

    return head + body;
}


static void
answer(int fd, connection_t *c, const char *request, size_t head, size_t len)
{
    reply_t     *reply;
    const char  *body;
    size_t       n;

    body = request + head;
    n = len - head;

    if (request[0] == 'G') {
        reply = strstr(request, "/16k ") ? &plain_16k : &plain_1k;
        send_reply(fd, c, reply->data, reply->len);
        return;
    }

    if (memmem(body, n, "\"stream\":true", 13) == NULL
        && memmem(body, n, "\"stream\": true", 14) == NULL)
    {
        reply = memmem(body, n, "bench-16k", 9) ? &chat_16k : &chat_1k;
        send_reply(fd, c, reply->data, reply->len);
        return;
    }

    c->pace = memmem(body, n, "bench-paced", 11) ? PACED
              : memmem(body, n, "bench-idle", 10) ? IDLE : FAST;

    c->chunk = 1;
    send_reply(fd, c, pieces[0].data, pieces[0].len);

    if (connections[fd] != NULL && c->pace == FAST) {
        send_chunks(fd, c, CHUNKS);
    }
}


static void
send_reply(int fd, connection_t *c, const char *p, size_t len)
{
    ssize_t             n;
    struct epoll_event  ev;

    n = send(fd, p, len, MSG_NOSIGNAL);

    if (n == (ssize_t) len) {
        return;
    }

    if (n < 0 && errno != EAGAIN) {
        drop(fd);
        return;
    }

    n = (n < 0) ? 0 : n;
    c->out = p + n;
    c->nout = len - (size_t) n;

    ev.events = EPOLLIN | EPOLLOUT;
    ev.data.fd = fd;
    (void) epoll_ctl(loop, EPOLL_CTL_MOD, fd, &ev);
}


static void
go_on(int fd)
{
    const char         *p;
    size_t              len;
    connection_t       *c;
    struct epoll_event  ev;

    c = connections[fd];
    p = c->out;
    len = c->nout;
    c->nout = 0;

    ev.events = EPOLLIN;
    ev.data.fd = fd;
    (void) epoll_ctl(loop, EPOLL_CTL_MOD, fd, &ev);

    send_reply(fd, c, p, len);

    if (connections[fd] != NULL && c->nout == 0 && c->chunk
        && c->pace == FAST)
    {
        send_chunks(fd, c, CHUNKS);
    }
}


static void
send_chunks(int fd, connection_t *c, unsigned n)
{
    while (n-- > 0 && c->chunk && c->nout == 0) {

        if (c->chunk == CHUNKS) {
            c->chunk = 0;
            send_reply(fd, c, last_piece.data, last_piece.len);
            return;
        }

        c->chunk++;
        send_reply(fd, c, pieces[c->chunk - 1].data,
                   pieces[c->chunk - 1].len);

        if (connections[fd] == NULL) {
            return;
        }
    }
}


static void
drop(int fd)
{
    free(connections[fd]->in);
    free(connections[fd]);
    connections[fd] = NULL;
    (void) close(fd);
}
