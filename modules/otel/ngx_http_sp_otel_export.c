
/*
 * Copyright (C) Sallyport authors
 *
 * One batch: a POST, and what the collector says of it (OTLP 1.x, "OTLP/HTTP
 * Response").  429, 502, 503, 504 and no answer at all are asked again, after
 * Retry-After or else ever later; whatever else is not 2xx says that this
 * batch will never do.
 */


#include "ngx_http_sp_otel.h"


/* milliseconds: of a call, of one while the worker ends */
#define NGX_HTTP_SP_OTEL_TIMEOUT  10000
#define NGX_HTTP_SP_OTEL_GRACE    2000

/* between two tries of a batch; the last one is given up */
#define NGX_HTTP_SP_OTEL_WAIT      1000
#define NGX_HTTP_SP_OTEL_MAX_WAIT  60000
#define NGX_HTTP_SP_OTEL_TRIES     8

/* of what the collector says */
#define NGX_HTTP_SP_OTEL_ANSWER    (64 * 1024)


typedef enum {
    NGX_HTTP_SP_OTEL_TAKEN = 0,
    NGX_HTTP_SP_OTEL_REFUSED,
    NGX_HTTP_SP_OTEL_AGAIN
} ngx_http_sp_otel_verdict_e;


typedef struct {
    ngx_sp_fetch_op_t             fetch;
    ngx_http_sp_otel_conf_t      *conf;
    ngx_uint_t                    n;           /* spans of the batch */
    ngx_uint_t                    rejected;    /* of them */
    ngx_uint_t                    tries;       /* of the batch that failed */
    ngx_uint_t                    failures;    /* one after the other */
    ngx_http_sp_otel_verdict_e    verdict;
} ngx_http_sp_otel_call_t;


static void ngx_http_sp_otel_done(ngx_sp_op_t *op);
static ngx_http_sp_otel_verdict_e ngx_http_sp_otel_judge(
    const ngx_sp_fetch_op_t *fetch);
static ngx_uint_t ngx_http_sp_otel_rejected(const ngx_str_t *answer,
    ngx_uint_t n);
static void ngx_http_sp_otel_log(const ngx_http_sp_otel_call_t *call);
static void ngx_http_sp_otel_next(ngx_sp_op_t *op);
static ngx_msec_t ngx_http_sp_otel_wait(ngx_http_sp_otel_call_t *call);


/* this worker's */
static ngx_http_sp_otel_call_t  ngx_http_sp_otel_call;


ngx_uint_t
ngx_http_sp_otel_exporting(void)
{
    return ngx_http_sp_otel_call.n != 0;
}


ngx_int_t
ngx_http_sp_otel_export(ngx_http_sp_otel_conf_t *conf, ngx_uint_t n)
{
    u_char                   *p;
    ngx_sp_fetch_op_t        *fetch;
    ngx_http_sp_otel_call_t  *call;

    call = &ngx_http_sp_otel_call;
    fetch = &call->fetch;

    ngx_memzero(fetch, sizeof(ngx_sp_fetch_op_t));

    fetch->body.len = conf->head.len + ngx_http_sp_otel_copy(NULL, n)
                      + conf->tail.len;

    p = ngx_alloc(fetch->body.len, ngx_cycle->log);
    if (p == NULL) {
        return NGX_DECLINED;
    }

    fetch->body.data = p;

    p = ngx_cpymem(p, conf->head.data, conf->head.len);
    p += ngx_http_sp_otel_copy(p, n);
    (void) ngx_cpymem(p, conf->tail.data, conf->tail.len);

    fetch->url = conf->endpoint;
    fetch->headers = conf->headers.elts;
    fetch->nheaders = conf->headers.nelts;
    fetch->trusted_certificate = conf->trusted_certificate;
    fetch->max_body = NGX_HTTP_SP_OTEL_ANSWER;

    fetch->op.timeout = ngx_exiting ? NGX_HTTP_SP_OTEL_GRACE
                                    : NGX_HTTP_SP_OTEL_TIMEOUT;
    fetch->op.done = ngx_http_sp_otel_done;
    fetch->op.wake = ngx_http_sp_otel_next;
    fetch->op.log = ngx_cycle->log;

    call->conf = conf;
    call->n = n;

    ngx_sp_fetch_submit(fetch);

    ngx_free(fetch->body.data);

    return NGX_OK;
}


static void
ngx_http_sp_otel_done(ngx_sp_op_t *op)
{
    ngx_http_sp_otel_call_t  *call;

    call = &ngx_http_sp_otel_call;

    call->verdict = ngx_http_sp_otel_judge(&call->fetch);
    call->rejected = (call->verdict == NGX_HTTP_SP_OTEL_TAKEN)
                     ? ngx_http_sp_otel_rejected(&call->fetch.response,
                                                 call->n)
                     : 0;

    ngx_http_sp_otel_log(call);
}


static ngx_http_sp_otel_verdict_e
ngx_http_sp_otel_judge(const ngx_sp_fetch_op_t *fetch)
{
    switch (fetch->op.result) {

    case NGX_SP_OP_OK:
        break;

    case NGX_SP_OP_REJECTED:
        return NGX_HTTP_SP_OTEL_REFUSED;

    default:
        return NGX_HTTP_SP_OTEL_AGAIN;
    }

    switch (fetch->status) {

    case NGX_HTTP_TOO_MANY_REQUESTS:
    case NGX_HTTP_BAD_GATEWAY:
    case NGX_HTTP_SERVICE_UNAVAILABLE:
    case NGX_HTTP_GATEWAY_TIME_OUT:
        return NGX_HTTP_SP_OTEL_AGAIN;

    default:
        return (fetch->status / 100 == 2) ? NGX_HTTP_SP_OTEL_TAKEN
                                          : NGX_HTTP_SP_OTEL_REFUSED;
    }
}


/*
 * {"partialSuccess":{"rejectedSpans":"1"}}: an int64 is a string, and those
 * who write a number are understood
 */

static ngx_uint_t
ngx_http_sp_otel_rejected(const ngx_str_t *answer, ngx_uint_t n)
{
    json_t        *root;
    long long      rejected;
    const json_t  *value;

    if (answer->len == 0) {
        return 0;
    }

    root = json_loadb((char *) answer->data, answer->len, 0, NULL);

    value = json_object_get(json_object_get(root, "partialSuccess"),
                            "rejectedSpans");

    rejected = json_is_string(value)
               ? ngx_atoi((u_char *) json_string_value(value),
                          json_string_length(value))
               : json_integer_value(value);

    json_decref(root);

    return ngx_min((ngx_uint_t) ngx_max(rejected, 0), n);
}


static void
ngx_http_sp_otel_log(const ngx_http_sp_otel_call_t *call)
{
    const ngx_sp_op_t  *op;

    op = &call->fetch.op;

    if (call->verdict == NGX_HTTP_SP_OTEL_TAKEN) {

        if (call->rejected != 0) {
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "otel: the collector has rejected %ui of %ui spans",
                          call->rejected, call->n);
        }

        return;
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "otel: the collector has not taken %ui spans: %s, "
                  "status %ui", call->n, ngx_sp_op_result_name(op->result),
                  call->fetch.status);
}


/* "done" has returned: another call may be made */

static void
ngx_http_sp_otel_next(ngx_sp_op_t *op)
{
    ngx_uint_t                n;
    ngx_msec_t                wait;
    ngx_http_sp_otel_call_t  *call;
    ngx_http_sp_otel_conf_t  *conf;

    call = &ngx_http_sp_otel_call;
    conf = call->conf;

    n = call->n;
    call->n = 0;

    if (call->verdict == NGX_HTTP_SP_OTEL_TAKEN) {
        ngx_sp_metric_add(conf->exported, n - call->rejected);
        ngx_sp_metric_add(conf->rejected, call->rejected);

        call->tries = 0;
        call->failures = 0;
        ngx_http_sp_otel_sent(n, 0);
        return;
    }

    ngx_sp_metric_add(conf->failures, 1);

    if (ngx_exiting || ngx_terminate) {
        ngx_http_sp_otel_give_up();
        return;
    }

    if (call->verdict == NGX_HTTP_SP_OTEL_REFUSED) {
        ngx_sp_metric_add(conf->rejected, n);

        call->tries = 0;
        ngx_http_sp_otel_sent(n, 0);
        return;
    }

    wait = ngx_http_sp_otel_wait(call);

    if (++call->tries < NGX_HTTP_SP_OTEL_TRIES) {
        ngx_http_sp_otel_sent(0, wait);
        return;
    }

    ngx_sp_metric_add(conf->dropped, n);

    call->tries = 0;
    ngx_http_sp_otel_sent(n, wait);
}


/* half of it by chance: workers do not come all at once */

static ngx_msec_t
ngx_http_sp_otel_wait(ngx_http_sp_otel_call_t *call)
{
    ngx_msec_t  wait;

    wait = NGX_HTTP_SP_OTEL_WAIT << ngx_min(call->failures, 6);
    wait = ngx_min(wait, NGX_HTTP_SP_OTEL_MAX_WAIT);

    call->failures++;

    if (call->fetch.retry_after != 0) {
        return call->fetch.retry_after;
    }

    return wait / 2 + (ngx_msec_t) ngx_random() % (wait / 2);
}
