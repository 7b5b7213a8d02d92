
/*
 * Copyright (C) Sallyport authors
 *
 * Transfers: from the op to an easy handle and back.  The events and timers
 * of the multi handle are in ngx_sp_fetch_multi.c.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <openssl/err.h>

#include "ngx_sp_fetch_int.h"


#define NGX_SP_FETCH_POOL      4096
#define NGX_SP_FETCH_MAX_BODY  (1024 * 1024)
#define NGX_SP_FETCH_MIN_BUF   4096
#define NGX_SP_FETCH_AGENT     "sallyport"

/* seconds that a server may ask to be left alone: a day */
#define NGX_SP_FETCH_WAIT      86400

/*
 * Seconds.  Below the idle timeouts of servers: curl 7.88 takes what one has
 * said at its timeout (a 408) for the answer to the next request.
 */
#define NGX_SP_FETCH_MAX_IDLE_TIME  45L


static ngx_int_t ngx_sp_fetch_begin(ngx_sp_fetch_transfer_t *tr);
static void ngx_sp_fetch_looked_up(ngx_sp_op_t *op);
static ngx_sp_fetch_transfer_t *ngx_sp_fetch_create(ngx_sp_fetch_t *fetch,
    ngx_sp_fetch_op_t *op, ngx_sp_op_result_e *result, const char **reason);
static ngx_int_t ngx_sp_fetch_check(const ngx_sp_fetch_op_t *op,
    const char **reason);
static ngx_int_t ngx_sp_fetch_has_control(const ngx_str_t *value);
static char *ngx_sp_fetch_text(ngx_pool_t *pool, const ngx_str_t *value);
static ngx_int_t ngx_sp_fetch_set_headers(ngx_sp_fetch_transfer_t *tr);
static ngx_int_t ngx_sp_fetch_add_header(ngx_sp_fetch_transfer_t *tr,
    const char *header);
static ngx_int_t ngx_sp_fetch_set_request(ngx_sp_fetch_transfer_t *tr);
static ngx_int_t ngx_sp_fetch_set_limits(ngx_sp_fetch_transfer_t *tr);
static size_t ngx_sp_fetch_write(char *data, size_t size, size_t n,
    void *arg);
static size_t ngx_sp_fetch_header(char *data, size_t size, size_t n,
    void *arg);
static ngx_int_t ngx_sp_fetch_reserve(ngx_sp_fetch_transfer_t *tr,
    size_t n);
static void ngx_sp_fetch_cancel(ngx_sp_op_t *op);
static ngx_sp_op_result_e ngx_sp_fetch_result(ngx_sp_fetch_transfer_t *tr,
    CURLcode code);


void
ngx_sp_fetch_submit(ngx_sp_fetch_op_t *op)
{
    const char               *reason;
    ngx_sp_fetch_t           *fetch;
    ngx_sp_op_result_e        result;
    ngx_sp_fetch_transfer_t  *tr;

    op->status = 0;
    ngx_str_null(&op->content_type);
    ngx_str_null(&op->response);

    fetch = ngx_sp_fetch_state();

    op->op.server = NULL;

    ngx_sp_op_start(&op->op, (fetch != NULL) ? fetch->conf->timeout : 1000,
                    ngx_sp_fetch_cancel, NULL);

    if (fetch == NULL) {
        ngx_sp_op_finish_later(&op->op, NGX_SP_OP_UNAVAILABLE,
                               "fetch is not started in this process");
        return;
    }

    if (!ngx_sp_fetch_room()) {
        ngx_sp_op_finish_later(&op->op, NGX_SP_OP_UNAVAILABLE,
                               "too many transfers");
        return;
    }

    tr = ngx_sp_fetch_create(fetch, op, &result, &reason);

    if (tr == NULL) {
        ngx_sp_op_finish_later(&op->op, result, reason);
        return;
    }

    if (tr->name != NULL && ngx_sp_name_addrs(tr->name) == 0) {
        tr->lookup.done = ngx_sp_fetch_looked_up;
        tr->lookup.data = tr;
        tr->lookup.log = fetch->log;

        ngx_sp_name_submit(tr->name, &tr->lookup);

    } else if (ngx_sp_fetch_begin(tr) != NGX_OK) {
        ngx_sp_fetch_destroy(tr);
        ngx_sp_op_finish_later(&op->op, NGX_SP_OP_UNAVAILABLE,
                               "curl takes no transfer");
        return;
    }

    op->op.slot = tr;

    ngx_queue_insert_tail(&fetch->transfers, &tr->queue);
    fetch->nactive++;
}


ngx_uint_t
ngx_sp_fetch_room(void)
{
    ngx_sp_fetch_t  *fetch;

    fetch = ngx_sp_fetch_state();

    return fetch != NULL && fetch->nactive < fetch->conf->max_active;
}


static ngx_int_t
ngx_sp_fetch_begin(ngx_sp_fetch_transfer_t *tr)
{
    if (ngx_sp_fetch_set_addresses(tr) != NGX_OK
        || curl_multi_add_handle(tr->fetch->multi, tr->easy) != CURLM_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_sp_fetch_looked_up(ngx_sp_op_t *op)
{
    ngx_sp_fetch_transfer_t  *tr;

    tr = op->data;

    if (op->result != NGX_SP_OP_OK) {
        ngx_sp_fetch_done(tr, CURLE_COULDNT_RESOLVE_HOST);

    } else if (ngx_sp_fetch_begin(tr) != NGX_OK) {
        ngx_sp_fetch_done(tr, CURLE_OUT_OF_MEMORY);
    }
}


/* the transfer ended; called from the event loop, never from inside curl */

void
ngx_sp_fetch_done(ngx_sp_fetch_transfer_t *tr, CURLcode code)
{
    char                *type;
    long                 size, status;
    curl_off_t           wait;
    const char          *reason;
    ngx_sp_fetch_t      *fetch;
    ngx_sp_fetch_op_t   *op;
    ngx_sp_op_result_e   result;

    fetch = tr->fetch;
    op = tr->op;

    tr->op = NULL;
    ngx_queue_remove(&tr->queue);
    fetch->nactive--;

    ngx_sp_op_cancel(&tr->lookup);

    (void) curl_multi_remove_handle(fetch->multi, tr->easy);

    if (code == CURLE_COULDNT_CONNECT && tr->name != NULL) {
        ngx_sp_name_failed(tr->name);
    }

    size = 0;
    status = 0;
    wait = 0;
    type = NULL;
    reason = NULL;

    (void) curl_easy_getinfo(tr->easy, CURLINFO_REQUEST_SIZE, &size);

    op->op.sent = (size > 0);
    op->op.slot = NULL;
    op->op.cancel = NULL;

    result = ngx_sp_fetch_result(tr, code);

    if (result == NGX_SP_OP_OK) {
        (void) curl_easy_getinfo(tr->easy, CURLINFO_RESPONSE_CODE, &status);
        (void) curl_easy_getinfo(tr->easy, CURLINFO_CONTENT_TYPE, &type);

        (void) curl_easy_getinfo(tr->easy, CURLINFO_RETRY_AFTER, &wait);

        op->status = (ngx_uint_t) status;
        op->retry_after = (ngx_msec_t) ngx_min(wait, NGX_SP_FETCH_WAIT) * 1000;

        op->response.data = tr->body;
        op->response.len = tr->len;

        if (type != NULL) {
            op->content_type.data = (u_char *) type;
            op->content_type.len = ngx_strlen(type);
        }

    } else if (!fetch->started) {
        reason = "worker exits";

    } else {
        reason = tr->too_large ? "the response is over its cap"
                 : (code == CURLE_OK) ? "the head of the response was cut"
                 : curl_easy_strerror(code);

        ngx_log_error(NGX_LOG_WARN, fetch->log, 0,
                      "fetch from \"%s\" failed: %s%s%s", tr->host, reason,
                      (tr->error[0] != '\0') ? ": " : "", tr->error);
    }

    ngx_sp_op_finish(&op->op, result, reason);

    ngx_sp_fetch_destroy(tr);
}


void
ngx_sp_fetch_destroy(ngx_sp_fetch_transfer_t *tr)
{
    if (tr->easy != NULL) {
        curl_easy_cleanup(tr->easy);
    }

    /* NGINX raises an alert about errors it finds in the queue */

    ERR_clear_error();

    curl_slist_free_all(tr->headers);
    curl_slist_free_all(tr->resolve);

    if (tr->body != NULL) {
        ngx_free(tr->body);
    }

    ngx_destroy_pool(tr->pool);
}


static ngx_sp_fetch_transfer_t *
ngx_sp_fetch_create(ngx_sp_fetch_t *fetch, ngx_sp_fetch_op_t *op,
    ngx_sp_op_result_e *result, const char **reason)
{
    ngx_pool_t               *pool;
    ngx_sp_fetch_transfer_t  *tr;

    *result = NGX_SP_OP_REJECTED;

    if (ngx_sp_fetch_check(op, reason) != NGX_OK) {
        return NULL;
    }

    *result = NGX_SP_OP_UNAVAILABLE;
    *reason = "no memory";

    pool = ngx_create_pool(NGX_SP_FETCH_POOL, fetch->log);
    if (pool == NULL) {
        return NULL;
    }

    tr = ngx_pcalloc(pool, sizeof(ngx_sp_fetch_transfer_t));
    if (tr == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    tr->pool = pool;
    tr->fetch = fetch;
    tr->op = op;
    tr->max = (op->max_body != 0) ? op->max_body : NGX_SP_FETCH_MAX_BODY;
    tr->host = "";

    tr->easy = curl_easy_init();

    if (tr->easy == NULL
        || ngx_sp_fetch_set_headers(tr) != NGX_OK
        || ngx_sp_fetch_set_request(tr) != NGX_OK
        || ngx_sp_fetch_set_limits(tr) != NGX_OK)
    {
        ngx_sp_fetch_destroy(tr);
        return NULL;
    }

    return tr;
}


/* nothing of a request may smuggle a line, a byte 0 or another scheme */

static ngx_int_t
ngx_sp_fetch_check(const ngx_sp_fetch_op_t *op, const char **reason)
{
    ngx_uint_t  i;

    if (ngx_sp_fetch_has_control(&op->url)
        || ngx_sp_fetch_has_control(&op->method))
    {
        *reason = "control character in the method or the url";
        return NGX_ERROR;
    }

    for (i = 0; i < op->nheaders; i++) {
        if (ngx_sp_fetch_has_control(&op->headers[i])) {
            *reason = "control character in a header";
            return NGX_ERROR;
        }
    }

    if ((op->url.len > sizeof("http://") - 1
         && ngx_strncasecmp(op->url.data, (u_char *) "http://",
                            sizeof("http://") - 1)
            == 0)
        || (op->url.len > sizeof("https://") - 1
            && ngx_strncasecmp(op->url.data, (u_char *) "https://",
                               sizeof("https://") - 1)
               == 0))
    {
        return NGX_OK;
    }

    *reason = "the url is neither http nor https";

    return NGX_ERROR;
}


static ngx_int_t
ngx_sp_fetch_has_control(const ngx_str_t *value)
{
    u_char  c;
    size_t  i;

    for (i = 0; i < value->len; i++) {
        c = value->data[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return 1;
        }
    }

    return 0;
}


static char *
ngx_sp_fetch_text(ngx_pool_t *pool, const ngx_str_t *value)
{
    u_char  *p;

    p = ngx_pnalloc(pool, value->len + 1);
    if (p == NULL) {
        return NULL;
    }

    ngx_memcpy(p, value->data, value->len);
    p[value->len] = '\0';

    return (char *) p;
}


static ngx_int_t
ngx_sp_fetch_set_headers(ngx_sp_fetch_transfer_t *tr)
{
    char               *text;
    ngx_uint_t          i, typed;
    ngx_sp_fetch_op_t  *op;

    op = tr->op;
    typed = 0;

    /* without "Expect: 100-continue", which costs a round trip */

    if (ngx_sp_fetch_add_header(tr, "Expect:") != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < op->nheaders; i++) {
        text = ngx_sp_fetch_text(tr->pool, &op->headers[i]);

        if (text == NULL || ngx_sp_fetch_add_header(tr, text) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_strncasecmp((u_char *) text, (u_char *) "Content-Type:",
                            sizeof("Content-Type:") - 1)
            == 0)
        {
            typed = 1;
        }
    }

    /* curl would claim that it is a form */

    if (!typed && ngx_sp_fetch_add_header(tr, "Content-Type:") != NGX_OK) {
        return NGX_ERROR;
    }

    return (curl_easy_setopt(tr->easy, CURLOPT_HTTPHEADER, tr->headers)
            == CURLE_OK)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_sp_fetch_add_header(ngx_sp_fetch_transfer_t *tr, const char *header)
{
    struct curl_slist  *list;

    list = curl_slist_append(tr->headers, header);
    if (list == NULL) {
        return NGX_ERROR;
    }

    tr->headers = list;

    return NGX_OK;
}


static ngx_int_t
ngx_sp_fetch_set_request(ngx_sp_fetch_transfer_t *tr)
{
    int                 bad;
    CURL               *easy;
    char               *url, *method, *body;
    u_char             *p, *last;
    ngx_sp_fetch_op_t  *op;

    op = tr->op;
    easy = tr->easy;

    url = ngx_sp_fetch_text(tr->pool, &op->url);
    method = ngx_sp_fetch_text(tr->pool, &op->method);
    body = ngx_sp_fetch_text(tr->pool, &op->body);

    if (url == NULL || method == NULL || body == NULL) {
        return NGX_ERROR;
    }

    if (ngx_sp_fetch_set_name(tr, url) != NGX_OK) {
        return NGX_ERROR;
    }

    bad = curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK;

    if (op->body.len != 0
        || (op->method.len == 4 && ngx_strncmp(method, "POST", 4) == 0))
    {
        bad |= curl_easy_setopt(easy, CURLOPT_POST, 1L) != CURLE_OK;
        bad |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body) != CURLE_OK;
        bad |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                                (curl_off_t) op->body.len)
               != CURLE_OK;
    }

    if (op->method.len == 4 && ngx_strncmp(method, "HEAD", 4) == 0) {
        bad |= curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) != CURLE_OK;

    } else if (op->method.len != 0) {
        bad |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method)
               != CURLE_OK;
    }

    if (bad) {
        return NGX_ERROR;
    }

    /* for the log: no path, no query, they may carry a key */

    p = (u_char *) ngx_strstr(url, "://") + sizeof("://") - 1;

    for (last = p; *last != '\0'; last++) {
        if (*last == '/' || *last == '?' || *last == '#') {
            break;
        }

        if (*last == '@') {
            p = last + 1;
        }
    }

    tr->host = (char *) ngx_pnalloc(tr->pool, last - p + 1);
    if (tr->host == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn((u_char *) tr->host, p, last - p + 1);

    return NGX_OK;
}


static ngx_int_t
ngx_sp_fetch_set_limits(ngx_sp_fetch_transfer_t *tr)
{
    int                         bad;
    CURL                       *easy;
    const ngx_str_t            *trusted;
    const ngx_sp_fetch_conf_t  *conf;

    easy = tr->easy;
    conf = tr->fetch->conf;
    trusted = (tr->op->trusted_certificate.len != 0)
              ? &tr->op->trusted_certificate : &conf->trusted_certificate;

    bad = 0;

#define ngx_sp_fetch_set(option, value)                                       \
    bad |= curl_easy_setopt(easy, option, value) != CURLE_OK

    ngx_sp_fetch_set(CURLOPT_PRIVATE, tr);
    ngx_sp_fetch_set(CURLOPT_ERRORBUFFER, tr->error);
    ngx_sp_fetch_set(CURLOPT_WRITEFUNCTION, ngx_sp_fetch_write);
    ngx_sp_fetch_set(CURLOPT_WRITEDATA, tr);
    ngx_sp_fetch_set(CURLOPT_HEADERFUNCTION, ngx_sp_fetch_header);
    ngx_sp_fetch_set(CURLOPT_HEADERDATA, tr);
    ngx_sp_fetch_set(CURLOPT_OPENSOCKETFUNCTION, ngx_sp_fetch_open_socket);
    ngx_sp_fetch_set(CURLOPT_OPENSOCKETDATA, tr->fetch);
    ngx_sp_fetch_set(CURLOPT_USERAGENT, NGX_SP_FETCH_AGENT);

    /* the worker has its own signals */

    ngx_sp_fetch_set(CURLOPT_NOSIGNAL, 1L);

#if (LIBCURL_VERSION_NUM >= 0x075500)
    ngx_sp_fetch_set(CURLOPT_PROTOCOLS_STR, "http,https");
    ngx_sp_fetch_set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    ngx_sp_fetch_set(CURLOPT_PROTOCOLS,
                     (long) (CURLPROTO_HTTP|CURLPROTO_HTTPS));
#endif

    ngx_sp_fetch_set(CURLOPT_FOLLOWLOCATION, 0L);
    ngx_sp_fetch_set(CURLOPT_PROXY, "");
    ngx_sp_fetch_set(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
    ngx_sp_fetch_set(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_2TLS);
    ngx_sp_fetch_set(CURLOPT_TCP_NODELAY, 1L);
    ngx_sp_fetch_set(CURLOPT_MAXAGE_CONN, NGX_SP_FETCH_MAX_IDLE_TIME);
    ngx_sp_fetch_set(CURLOPT_CONNECTTIMEOUT_MS,
                     (long) conf->connect_timeout);

    ngx_sp_fetch_set(CURLOPT_SSL_VERIFYPEER, 1L);
    ngx_sp_fetch_set(CURLOPT_SSL_VERIFYHOST, 2L);
    ngx_sp_fetch_set(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);

#undef ngx_sp_fetch_set

    return bad ? NGX_ERROR : ngx_sp_fetch_set_trust(tr, trusted);
}


/* a callback of curl: it calls nothing of curl, and ends no op */

static size_t
ngx_sp_fetch_write(char *data, size_t size, size_t n, void *arg)
{
    ngx_sp_fetch_transfer_t  *tr;

    tr = arg;

    n *= size;

    if (n > tr->max - tr->len) {
        tr->too_large = 1;
        return 0;
    }

    if (ngx_sp_fetch_reserve(tr, n) != NGX_OK) {
        return 0;
    }

    ngx_memcpy(tr->body + tr->len, data, n);
    tr->len += n;

    return n;
}


/* curl takes a head that was cut for a whole one: the empty line tells */

static size_t
ngx_sp_fetch_header(char *data, size_t size, size_t n, void *arg)
{
    ngx_sp_fetch_transfer_t  *tr;

    tr = arg;

    n *= size;

    tr->complete = (n == 0 || data[0] == CR || data[0] == LF);

    return n;
}


static ngx_int_t
ngx_sp_fetch_reserve(ngx_sp_fetch_transfer_t *tr, size_t n)
{
    u_char  *p;
    size_t   size;

    if (n <= tr->size - tr->len) {
        return NGX_OK;
    }

    size = ngx_max(tr->size * 2, NGX_SP_FETCH_MIN_BUF);

    while (size < tr->len + n) {
        size *= 2;
    }

    p = ngx_alloc(size, tr->fetch->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (tr->body != NULL) {
        ngx_memcpy(p, tr->body, tr->len);
        ngx_free(tr->body);
    }

    tr->body = p;
    tr->size = size;

    return NGX_OK;
}


static void
ngx_sp_fetch_cancel(ngx_sp_op_t *op)
{
    long                      size;
    ngx_sp_fetch_t           *fetch;
    ngx_sp_fetch_transfer_t  *tr;

    tr = op->slot;
    op->slot = NULL;

    fetch = tr->fetch;

    size = 0;
    (void) curl_easy_getinfo(tr->easy, CURLINFO_REQUEST_SIZE, &size);
    op->sent = (size > 0);

    ngx_queue_remove(&tr->queue);
    fetch->nactive--;

    ngx_sp_op_cancel(&tr->lookup);

    (void) curl_multi_remove_handle(fetch->multi, tr->easy);

    ngx_sp_fetch_destroy(tr);
}


static ngx_sp_op_result_e
ngx_sp_fetch_result(ngx_sp_fetch_transfer_t *tr, CURLcode code)
{
    if (code == CURLE_OK && tr->complete) {
        return NGX_SP_OP_OK;
    }

    return tr->too_large ? NGX_SP_OP_REJECTED : NGX_SP_OP_UNAVAILABLE;
}
