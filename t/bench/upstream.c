
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
 *                               "bench-slow" one every second; with
 *                               "bench-idle" one, and then nothing
 *     POST  .../messages, ...:streamGenerateContent
 *                               the same in the words of Anthropic and Gemini
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
    SLOW,
    IDLE
} pace_e;


typedef struct {
    char              data[32768];
    size_t            len;
} reply_t;


typedef struct {
    const char       *before;          /* events, and the first of text */
    const char       *format;          /* with the number of a chunk */
    const char       *after;
    reply_t           pieces[CHUNKS];  /* [0] with the head */
    reply_t           last;
} stream_t;


typedef struct {
    char             *in;
    size_t            nin;
    const char       *out;        /* a rest that was not taken */
    size_t            nout;
    const stream_t   *stream;
    unsigned          chunk;      /* of the stream: next one; 0: none */
    pace_e            pace;
} connection_t;


static void make_plain(reply_t *reply, size_t size);
static void make_chat(reply_t *reply, size_t size);
static void make_stream(stream_t *stream);
static void add_chunk(reply_t *reply, const char *events);
static int open_listener(int port);
static void tick(void);
static int due(const connection_t *c, unsigned slot, unsigned ticks);
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
static int            listener, loop, ticker, top;


static stream_t       openai = {
    .before = "",
    .format =
        "data: {\"id\":\"chatcmpl-bench\",\"object\":"
        "\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\","
        "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word%u\"},"
        "\"finish_reason\":null}]}\n\n",
    .after =
        "data: {\"id\":\"chatcmpl-bench\",\"object\":"
        "\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\","
        "\"choices\":[{\"index\":0,\"delta\":{},"
        "\"finish_reason\":\"stop\"}]}\n\n"
        "data: {\"id\":\"chatcmpl-bench\",\"object\":"
        "\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\","
        "\"choices\":[],\"usage\":{\"prompt_tokens\":9,"
        "\"completion_tokens\":64,\"total_tokens\":73}}\n\n"
        "data: [DONE]\n\n"
};


static stream_t       anthropic = {
    .before =
        "event: message_start\n"
        "data: {\"type\":\"message_start\",\"message\":{\"id\":"
        "\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\","
        "\"model\":\"bench\",\"content\":[],\"stop_reason\":null,"
        "\"stop_sequence\":null,\"usage\":{\"input_tokens\":9,"
        "\"output_tokens\":1}}}\n\n"
        "event: content_block_start\n"
        "data: {\"type\":\"content_block_start\",\"index\":0,"
        "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    .format =
        "event: content_block_delta\n"
        "data: {\"type\":\"content_block_delta\",\"index\":0,"
        "\"delta\":{\"type\":\"text_delta\",\"text\":\" word%u\"}}\n\n",
    .after =
        "event: content_block_stop\n"
        "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
        "event: message_delta\n"
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
        "\"end_turn\",\"stop_sequence\":null},\"usage\":"
        "{\"output_tokens\":64}}\n\n"
        "event: message_stop\n"
        "data: {\"type\":\"message_stop\"}\n\n"
};


static stream_t       gemini = {
    .before = "",
    .format =
        "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": "
        "\" word%u\"}],\"role\": \"model\"},\"index\": 0}],"
        "\"usageMetadata\": {\"promptTokenCount\": 9,"
        "\"totalTokenCount\": 73},\"modelVersion\": \"bench\","
        "\"responseId\": \"bench\"}\r\n\r\n",
    .after =
        "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": "
        "\"\"}],\"role\": \"model\"},\"finishReason\": \"STOP\","
        "\"index\": 0}],\"usageMetadata\": {\"promptTokenCount\": 9,"
        "\"candidatesTokenCount\": 64,\"totalTokenCount\": 73},"
        "\"modelVersion\": \"bench\",\"responseId\": \"bench\"}"
        "\r\n\r\n"
};


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
    make_stream(&openai);
    make_stream(&anthropic);
    make_stream(&gemini);

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
    int              fd;
    uint64_t         n;
    static unsigned  ticks;

    (void) !read(ticker, &n, sizeof(n));

    ticks++;

    for (fd = 0; fd <= top; fd++) {
        if (connections[fd] && due(connections[fd], (unsigned) fd, ticks)) {
            send_chunks(fd, connections[fd], 1);
        }
    }
}


/* slow ones in turn, not all at once */

static int
due(const connection_t *c, unsigned slot, unsigned ticks)
{
    return c->chunk != 0
           && (c->pace == PACED
               || (c->pace == SLOW && slot % 100 == ticks % 100));
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
make_stream(stream_t *stream)
{
    int       n;
    char      events[2048];
    reply_t  *piece;
    unsigned  i;

    stream->pieces[0].len = (size_t) sprintf(stream->pieces[0].data,
                                "HTTP/1.1 200 OK\r\nContent-Type: "
                                "text/event-stream\r\n"
                                "Transfer-Encoding: chunked\r\n\r\n");

    for (i = 0; i < CHUNKS; i++) {
        piece = &stream->pieces[i];
        n = snprintf(events, sizeof(events), "%s",
                     (i == 0) ? stream->before : "");
        (void) snprintf(events + n, sizeof(events) - (size_t) n,
                        stream->format, i);
        add_chunk(piece, events);
    }

    add_chunk(&stream->last, stream->after);

    memcpy(stream->last.data + stream->last.len, "0\r\n\r\n", 5);
    stream->last.len += 5;
}


static void
add_chunk(reply_t *reply, const char *events)
{
    reply->len += (size_t) snprintf(reply->data + reply->len,
                                    sizeof(reply->data) - reply->len,
                                    "%zx\r\n%s\r\n", strlen(events), events);
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
    size_t       line, n;

    body = request + head;
    n = len - head;
    line = strcspn(request, "\r");

    if (request[0] == 'G') {
        reply = strstr(request, "/16k ") ? &plain_16k : &plain_1k;
        send_reply(fd, c, reply->data, reply->len);
        return;
    }

    c->stream = memmem(request, line, "/messages", 9) ? &anthropic
                : memmem(request, line, ":streamGenerate", 15) ? &gemini
                : &openai;

    if (c->stream != &gemini
        && memmem(body, n, "\"stream\":true", 13) == NULL
        && memmem(body, n, "\"stream\": true", 14) == NULL)
    {
        reply = memmem(body, n, "bench-16k", 9) ? &chat_16k : &chat_1k;
        send_reply(fd, c, reply->data, reply->len);
        return;
    }

    c->pace = memmem(body, n, "bench-paced", 11) ? PACED
              : memmem(body, n, "bench-slow", 10) ? SLOW
              : memmem(body, n, "bench-idle", 10) ? IDLE : FAST;

    c->chunk = 1;
    send_reply(fd, c, c->stream->pieces[0].data, c->stream->pieces[0].len);

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
            send_reply(fd, c, c->stream->last.data, c->stream->last.len);
            return;
        }

        c->chunk++;
        send_reply(fd, c, c->stream->pieces[c->chunk - 1].data,
                   c->stream->pieces[c->chunk - 1].len);

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
