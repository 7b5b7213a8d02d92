
/*
 * Copyright (C) Sallyport authors
 *
 * Load on one address of this machine, and what came of it as one JSON
 * object.
 *
 *     load -p PORT -U PORT [-u PATH] [-c CONNECTIONS] [-d SECONDS] [-r RATE]
 *          [-H HEADER]... [-b BODY] [-s]
 *     load -i -c STREAMS ...    open so many, print "held N", wait for stdin
 *
 * With -r requests start at fixed times, whatever the answers do, and
 * latency counts from the time a request should have started.  Without,
 * each connection sends its next request when the last was answered.
 * -s: the answers are streams; first byte and gaps between reads as well.
 *
 * The upstream, on the port of -U, is the same process, which never sleeps:
 * the gateway is not charged for waking it, which on a virtual machine costs
 * more than a request, and less the busier the core is.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "upstream.h"


#define MAX_CONNECTIONS  20000
#define BUFFER           65536

/* a histogram: 2 % wide, from 1 us to 100 s */
#define BUCKETS          1000


typedef struct {
    int          fd;
    int          busy;
    double       due;           /* when the request should have started */
    double       last;          /* the last read */
    size_t       nhead;
    int          in_body;
    int          chunked;
    long         left;          /* of a body with a length */
    int          status;
    char         head[8192];
    char         tail[8];       /* the end of what was read, for chunked */
} connection_t;


typedef struct {
    uint64_t     count[BUCKETS];
    uint64_t     n;
    double       sum;
    double       max;
} histogram_t;


static double now(void);
static void record(histogram_t *h, double us);
static double percentile(const histogram_t *h, double part);
static void build_request(int argc, char **argv);
static void read_users(const char *path);
static int open_connection(connection_t *c);
static void start(connection_t *c, double due);
static int receive(connection_t *c);
static int head(connection_t *c, const char *data, size_t len);
static int body(connection_t *c, const char *data, size_t len);
static void finish(connection_t *c, int ok);
static void run(void);
static int hold(void);
static void report(double elapsed);


static int           port, upstream, count = 64, stream, idle, loop;
static double        duration = 3, rate;
static char          request[BUFFER];
static size_t        request_len;
static char         *users;              /* with -A */
static size_t        user_len, nusers, user;
static char         *user_place;         /* in the request */
static connection_t *connections;
static uint64_t      done, errors, first_bytes;
static histogram_t   latency, first, gap;


int
main(int argc, char **argv)
{
    int            i;
    struct rlimit  limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
    }

    build_request(argc, argv);

    if (port == 0 || upstream == 0 || count < 1 || count > MAX_CONNECTIONS
        || duration > 600)
    {
        fprintf(stderr, "load: see the head of load.c\n");
        return 2;
    }

    if (upstream_start(upstream) != 0) {
        perror("load: upstream");
        return 1;
    }

    connections = calloc((size_t) count, sizeof(connection_t));
    loop = epoll_create1(0);

    for (i = 0; i < count; i++) {
        connections[i].fd = -1;

        if (open_connection(&connections[i]) != 0) {
            perror("load: connect");
            return 1;
        }
    }

    if (idle) {
        return hold();
    }

    run();

    return 0;
}


static double
now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec * 1e6 + (double) ts.tv_nsec / 1e3;
}


static void
record(histogram_t *h, double us)
{
    unsigned  i;
    double    edge;

    edge = 1;

    for (i = 0; i < BUCKETS - 1 && edge < us; i++) {
        edge *= 1.02;
    }

    h->count[i]++;
    h->n++;
    h->sum += us;
    h->max = (us > h->max) ? us : h->max;
}


static double
percentile(const histogram_t *h, double part)
{
    double    edge;
    unsigned  i;
    uint64_t  seen;

    edge = 1;
    seen = 0;

    for (i = 0; i < BUCKETS; i++) {
        seen += h->count[i];

        if (seen > 0 && (double) seen >= part * (double) h->n) {
            return (edge < h->max) ? edge : h->max;
        }

        edge *= 1.02;
    }

    return h->max;
}


static void
build_request(int argc, char **argv)
{
    int          c;
    char         headers[16384];
    size_t       n;
    const char  *content, *path;

    n = 0;
    headers[0] = '\0';
    content = NULL;
    path = "/";

    while ((c = getopt(argc, argv, "p:U:u:c:d:r:H:A:b:si")) != -1) {
        switch (c) {
        case 'p': port = atoi(optarg); break;
        case 'U': upstream = atoi(optarg); break;
        case 'u': path = optarg; break;
        case 'c': count = atoi(optarg); break;
        case 'd': duration = atof(optarg); break;
        case 'r': rate = atof(optarg); break;
        case 'b': content = optarg; break;
        case 's': stream = 1; break;
        case 'i': idle = 1; stream = 1; break;

        case 'H':
            n += (size_t) snprintf(headers + n, sizeof(headers) - n,
                                   "%s\r\n", optarg);
            break;

        case 'A':
            read_users(optarg);
            n += (size_t) snprintf(headers + n, sizeof(headers) - n,
                                   "%.*s\r\n", (int) user_len, users);
            break;

        default:
            exit(2);
        }
    }

    if (content == NULL) {
        n = (size_t) snprintf(request, sizeof(request),
                              "GET %s HTTP/1.1\r\nHost: bench\r\n%s\r\n",
                              path, headers);

    } else {
        n = (size_t) snprintf(request, sizeof(request),
                              "POST %s HTTP/1.1\r\nHost: bench\r\n"
                              "Content-Type: application/json\r\n"
                              "Content-Length: %zu\r\n%s\r\n%s",
                              path, strlen(content), headers, content);
    }

    request_len = n;

    if (nusers != 0) {
        user_place = memmem(request, n, users, user_len);
    }
}


/* header lines of one length: each request carries the next */

static void
read_users(const char *path)
{
    FILE    *f;
    long     size;

    f = fopen(path, "r");

    if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) <= 0) {
        perror(path);
        exit(1);
    }

    rewind(f);
    users = malloc((size_t) size + 1);

    if (users == NULL || fread(users, 1, (size_t) size, f) != (size_t) size) {
        fprintf(stderr, "load: cannot read %s\n", path);
        exit(1);
    }

    (void) fclose(f);

    users[size] = '\0';
    user_len = strcspn(users, "\n");
    nusers = (size_t) size / (user_len + 1);
}


static int
open_connection(connection_t *c)
{
    int                 on;
    struct sockaddr_in  sin;
    struct epoll_event  ev;

    if (c->fd != -1) {
        (void) close(c->fd);
    }

    on = 1;
    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons((uint16_t) port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    c->busy = 0;

    if (c->fd == -1
        || connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) != 0)
    {
        return -1;
    }

    (void) setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    ev.events = EPOLLIN;
    ev.data.ptr = c;

    return epoll_ctl(loop, EPOLL_CTL_ADD, c->fd, &ev);
}


static void
start(connection_t *c, double due)
{
    c->busy = 1;
    c->due = due;
    c->last = 0;
    c->nhead = 0;
    c->in_body = 0;
    c->status = 0;
    memset(c->tail, 0, sizeof(c->tail));

    if (user_place != NULL) {
        memcpy(user_place, users + user * (user_len + 1), user_len);
        user = (user + 1) % nusers;
    }

    if (send(c->fd, request, request_len, MSG_NOSIGNAL)
        != (ssize_t) request_len)
    {
        finish(c, 0);
    }
}


/* 1: the answer is complete */

static int
receive(connection_t *c)
{
    char     data[BUFFER];
    double   t;
    ssize_t  n;

    n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN) {
        return 0;
    }

    if (n <= 0 || !c->busy) {
        finish(c, 0);
        return 0;
    }

    if (stream) {
        t = now();

        if (c->last == 0) {
            record(&first, t - c->due);
            first_bytes++;

        } else {
            record(&gap, t - c->last);
        }

        c->last = t;
    }

    return c->in_body ? body(c, data, (size_t) n)
                      : head(c, data, (size_t) n);
}


static int
head(connection_t *c, const char *data, size_t len)
{
    char    *end, *length;
    size_t   n;

    n = len;

    if (n > sizeof(c->head) - 1 - c->nhead) {
        n = sizeof(c->head) - 1 - c->nhead;
    }

    memcpy(c->head + c->nhead, data, n);
    c->head[c->nhead + n] = '\0';

    end = strstr(c->head, "\r\n\r\n");

    if (end == NULL) {
        c->nhead += n;

        if (c->nhead == sizeof(c->head) - 1) {
            finish(c, 0);
        }

        return 0;
    }

    n = (size_t) (end + 4 - c->head) - c->nhead;
    end[2] = '\0';

    c->in_body = 1;
    c->status = atoi(c->head + 9);
    c->chunked = strcasestr(c->head, "\r\nTransfer-Encoding: chunked") != NULL;
    length = strcasestr(c->head, "\r\nContent-Length:");
    c->left = length ? atol(length + 17) : 0;

    return body(c, data + n, len - n);
}


static int
body(connection_t *c, const char *data, size_t len)
{
    size_t  keep;

    if (!c->chunked) {
        c->left -= (long) len;
        return c->left <= 0;
    }

    /* the last bytes of a chunked body that ends so nowhere else here */

    keep = (len < 5) ? len : 5;
    memmove(c->tail, c->tail + keep, 5 - keep);
    memcpy(c->tail + 5 - keep, data + len - keep, keep);

    return memcmp(c->tail, "0\r\n\r\n", 5) == 0;
}


static void
finish(connection_t *c, int ok)
{
    if (ok && c->status == 200) {
        record(&latency, now() - c->due);
        done++;
        c->busy = 0;
        return;
    }

    errors++;

    if (ok) {
        c->busy = 0;

    } else if (open_connection(c) != 0) {
        perror("load: connect");
        exit(1);
    }
}


static void
run(void)
{
    int                  i, n;
    double               began, end, next, t;
    connection_t        *c;
    struct epoll_event   events[256];

    began = now();
    end = began + duration * 1e6;
    next = began;
    t = began;

    while (t < end) {

        for (i = 0; i < count; i++) {
            if (connections[i].busy) {
                continue;
            }

            if (rate > 0) {
                if (next > t) {
                    break;
                }

                start(&connections[i], next);
                next += 1e6 / rate;

            } else {
                start(&connections[i], t);
            }
        }

        upstream_poll();
        n = epoll_wait(loop, events, 256, 0);

        for (i = 0; i < n; i++) {
            c = events[i].data.ptr;

            if (receive(c)) {
                finish(c, 1);
            }
        }

        t = now();
    }

    report((t - began) / 1e6);
}


static int
hold(void)
{
    int                  i, n;
    char                 line[16];
    double               end;
    struct epoll_event   events[256];

    for (i = 0; i < count; i++) {
        start(&connections[i], now());
    }

    end = now() + 30e6;

    while (first_bytes < (uint64_t) count && now() < end) {
        upstream_poll();
        n = epoll_wait(loop, events, 256, 0);

        for (i = 0; i < n; i++) {
            (void) receive(events[i].data.ptr);
        }
    }

    printf("held %llu\n", (unsigned long long) (first_bytes - errors));
    fflush(stdout);

    (void) fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);

    while (read(STDIN_FILENO, line, sizeof(line)) == -1 && errno == EAGAIN) {
        upstream_poll();
        /* waits: a poll of stdin and of the upstream */
        (void) usleep(1000);
    }

    return 0;
}


static void
report(double elapsed)
{
    printf("{\"requests\":%llu,\"errors\":%llu,\"rate\":%.1f,"
           "\"mean\":%.1f,\"p50\":%.0f,\"p99\":%.0f,\"max\":%.0f",
           (unsigned long long) done, (unsigned long long) errors,
           (double) done / elapsed,
           (latency.n != 0) ? latency.sum / (double) latency.n : 0,
           percentile(&latency, 0.5),
           percentile(&latency, 0.99), latency.max);

    if (stream) {
        printf(",\"first_p50\":%.0f,\"first_p99\":%.0f,\"gap_p50\":%.0f,"
               "\"gap_p99\":%.0f", percentile(&first, 0.5),
               percentile(&first, 0.99), percentile(&gap, 0.5),
               percentile(&gap, 0.99));
    }

    printf("}\n");
}
