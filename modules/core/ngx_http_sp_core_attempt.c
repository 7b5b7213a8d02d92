
/*
 * Copyright (C) Sallyport authors
 *
 * One try at a target: how it ended, what that says about the target and its
 * key, and its place in the ledger's row.
 */


#include "ngx_http_sp_core_int.h"


/* {"key":,"status":,"class":"",...} without its texts */
#define NGX_HTTP_SP_ATTEMPT_FIXED  (256 + 8 * NGX_INT64_LEN)

#define NGX_HTTP_SP_RETRY_LONGEST  86400000


/* whose fault it is */

typedef enum {
    NGX_HTTP_SP_BLAME_NOBODY = 0,
    NGX_HTTP_SP_BLAME_TARGET,
    NGX_HTTP_SP_BLAME_KEY,
    NGX_HTTP_SP_BLAME_LIMIT
} ngx_http_sp_blame_e;


typedef struct {
    const char           *name;
    ngx_http_sp_blame_e   blame;
} ngx_http_sp_class_t;


/* by ngx_http_sp_failure_e */

static const ngx_http_sp_class_t  ngx_http_sp_classes[] = {
    { "none", NGX_HTTP_SP_BLAME_NOBODY },
    { "credentials", NGX_HTTP_SP_BLAME_KEY },
    { "rate_limit", NGX_HTTP_SP_BLAME_LIMIT },
    { "overloaded", NGX_HTTP_SP_BLAME_TARGET },
    { "server_error", NGX_HTTP_SP_BLAME_TARGET },
    { "not_found", NGX_HTTP_SP_BLAME_TARGET },
    { "request", NGX_HTTP_SP_BLAME_NOBODY },
    { "unreachable", NGX_HTTP_SP_BLAME_TARGET },
    { "connect_timeout", NGX_HTTP_SP_BLAME_TARGET },
    { "send_timeout", NGX_HTTP_SP_BLAME_TARGET },
    { "first_byte_timeout", NGX_HTTP_SP_BLAME_TARGET },
    { "read_timeout", NGX_HTTP_SP_BLAME_TARGET },
    { "total_timeout", NGX_HTTP_SP_BLAME_NOBODY },
    { "invalid_answer", NGX_HTTP_SP_BLAME_TARGET },
    { "provider_error", NGX_HTTP_SP_BLAME_TARGET },
    { "cut", NGX_HTTP_SP_BLAME_TARGET },
    { "unsupported", NGX_HTTP_SP_BLAME_NOBODY },
    { "client_closed", NGX_HTTP_SP_BLAME_NOBODY },
    { "gateway", NGX_HTTP_SP_BLAME_NOBODY }
};


static ngx_http_sp_breaker_t *ngx_http_sp_attempt_limit(
    const ngx_http_sp_attempt_t *attempt);
static void ngx_http_sp_attempt_tell(const ngx_http_sp_attempt_t *attempt,
    ngx_http_sp_verdict_e verdict);
static void ngx_http_sp_attempt_blame(const ngx_http_sp_attempt_t *attempt,
    ngx_http_sp_blame_e blame);
static u_char *ngx_http_sp_attempt_print(u_char *p,
    const ngx_http_sp_attempt_t *attempt);


/* all of it, or nothing: others may have taken a probe in between */

ngx_int_t
ngx_http_sp_attempt_take(ngx_http_sp_attempt_t *attempt)
{
    ngx_int_t                      key, limit, target;
    ngx_msec_t                     lease;
    const ngx_http_upstream_conf_t  *ucf;

    ucf = &attempt->target->provider->endpoint.upstream;

    /* an answer has begun by then, or has failed */

    lease = ucf->connect_timeout + ucf->send_timeout + ucf->read_timeout;

    target = ngx_http_sp_breaker_take(attempt->target->breaker, lease);

    if (target < 0) {
        return NGX_BUSY;
    }

    attempt->probe_target = (target == 1);

    key = ngx_http_sp_breaker_take(attempt->key->breaker, lease);
    attempt->probe_key = (key == 1);

    limit = (key < 0) ? -1
            : ngx_http_sp_breaker_take(ngx_http_sp_attempt_limit(attempt),
                                       lease);
    attempt->probe_limit = (limit == 1);

    if (limit < 0) {
        ngx_http_sp_attempt_tell(attempt, NGX_HTTP_SP_VERDICT_RELEASE);
        return NGX_BUSY;
    }

    return NGX_OK;
}


void
ngx_http_sp_attempt_begun(ngx_http_sp_attempt_t *attempt)
{
    if (attempt->begun) {
        return;
    }

    attempt->begun = 1;
    attempt->first_byte = ngx_current_msec - attempt->started;

    ngx_http_sp_attempt_tell(attempt, NGX_HTTP_SP_VERDICT_ALIVE);

    attempt->probe_target = 0;
    attempt->probe_key = 0;
    attempt->probe_limit = 0;
}


void
ngx_http_sp_attempt_end(ngx_http_sp_attempt_t *attempt,
    ngx_http_sp_failure_e failure)
{
    if (attempt->ended) {
        return;
    }

    attempt->ended = 1;
    attempt->failure = failure;
    attempt->total = ngx_current_msec - attempt->started;

    switch (failure) {

    case NGX_HTTP_SP_FAILURE_NONE:
        ngx_http_sp_attempt_tell(attempt, NGX_HTTP_SP_VERDICT_PASS);
        return;

    case NGX_HTTP_SP_FAILURE_REQUEST:
        ngx_http_sp_attempt_tell(attempt, NGX_HTTP_SP_VERDICT_ALIVE);
        break;

    default:
        ngx_http_sp_attempt_blame(attempt,
                                  ngx_http_sp_classes[failure].blame);
    }

    ngx_sp_metric_add(attempt->target->provider->failures[failure], 1);
}


static ngx_http_sp_breaker_t *
ngx_http_sp_attempt_limit(const ngx_http_sp_attempt_t *attempt)
{
    const ngx_http_sp_key_t  *keys;

    keys = attempt->target->provider->keys.elts;

    return attempt->target->limits[attempt->key - keys];
}


/*
 * A success of a try that was under way when its target or key began to cool
 * down ends nothing; that of one which was forced meanwhile does.
 */

static void
ngx_http_sp_attempt_tell(const ngx_http_sp_attempt_t *attempt,
    ngx_http_sp_verdict_e verdict)
{
    ngx_uint_t  forced;

    forced = attempt->forced && verdict != NGX_HTTP_SP_VERDICT_RELEASE;

    ngx_http_sp_breaker_tell(attempt->target->breaker, verdict,
                             attempt->probe_target || forced, 0);
    ngx_http_sp_breaker_tell(attempt->key->breaker, verdict,
                             attempt->probe_key || forced, 0);
    ngx_http_sp_breaker_tell(ngx_http_sp_attempt_limit(attempt), verdict,
                             attempt->probe_limit || forced, 0);
}


/* of the others nothing was found out */

static void
ngx_http_sp_attempt_blame(const ngx_http_sp_attempt_t *attempt,
    ngx_http_sp_blame_e blame)
{
    ngx_uint_t              i;
    ngx_http_sp_verdict_e   verdict;

    const struct {
        ngx_http_sp_breaker_t  *breaker;
        ngx_http_sp_blame_e     blame;
        ngx_uint_t              probe;
    } parts[] = {
        { attempt->target->breaker, NGX_HTTP_SP_BLAME_TARGET,
          attempt->probe_target },
        { attempt->key->breaker, NGX_HTTP_SP_BLAME_KEY,
          attempt->probe_key },
        { ngx_http_sp_attempt_limit(attempt), NGX_HTTP_SP_BLAME_LIMIT,
          attempt->probe_limit }
    };

    for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {

        verdict = (parts[i].blame == blame) ? NGX_HTTP_SP_VERDICT_FAIL
                                            : NGX_HTTP_SP_VERDICT_RELEASE;

        ngx_http_sp_breaker_tell(parts[i].breaker, verdict, parts[i].probe,
                                 attempt->retry_after);
    }
}


ngx_http_sp_failure_e
ngx_http_sp_failure_status(ngx_uint_t status)
{
    switch (status) {

    case 200:
        return NGX_HTTP_SP_FAILURE_NONE;

    case 400:
    case 413:
    case 422:
        return NGX_HTTP_SP_FAILURE_REQUEST;

    case 401:
    case 402:
    case 403:
        return NGX_HTTP_SP_FAILURE_CREDENTIALS;

    case 404:
        return NGX_HTTP_SP_FAILURE_NOT_FOUND;

    case 429:
        return NGX_HTTP_SP_FAILURE_RATE_LIMIT;

    case 503:
    case 529:
        return NGX_HTTP_SP_FAILURE_OVERLOADED;

    default:
        return NGX_HTTP_SP_FAILURE_SERVER;
    }
}


const char *
ngx_http_sp_failure_name(ngx_http_sp_failure_e failure)
{
    return ngx_http_sp_classes[failure].name;
}


ngx_uint_t
ngx_http_sp_attempt_key(const ngx_http_sp_attempt_t *attempt)
{
    return ngx_http_sp_key_number(attempt->target->provider, attempt->key);
}


ngx_msec_t
ngx_http_sp_retry_hint(const ngx_str_t *value, ngx_uint_t ms)
{
    size_t     len;
    time_t     when;
    ngx_int_t  hint;

    /* "1.5", or "1234.5678", of which ngx_atofp() takes no more digits */

    for (len = 0; len < value->len && value->data[len] != '.'; len++) {
        /* void */
    }

    len = ngx_min(value->len, len + 1 + 3);

    hint = ms ? ngx_atofp(value->data, len, 3) / 1000
              : ngx_atofp(value->data, len, 3);

    if (hint < 0 && !ms) {
        when = ngx_parse_http_time(value->data, value->len);

        if (when == NGX_ERROR) {
            return 0;
        }

        hint = (when > ngx_time())
               ? ngx_min(when - ngx_time(), NGX_HTTP_SP_RETRY_LONGEST / 1000)
                 * 1000
               : 1;
    }

    return ngx_min(ngx_max(hint, 0), NGX_HTTP_SP_RETRY_LONGEST);
}


/* "attempts" of a turn's line: a JSON array */

size_t
ngx_http_sp_attempts_size(const ngx_array_t *attempts)
{
    size_t                  size;
    ngx_uint_t              i;
    ngx_http_sp_attempt_t  **attempt;

    size = sizeof("[]") - 1;

    if (attempts == NULL) {
        return size;
    }

    attempt = attempts->elts;

    for (i = 0; i < attempts->nelts; i++) {
        size += NGX_HTTP_SP_ATTEMPT_FIXED
                + 6 * (attempt[i]->target->provider->name.len
                       + attempt[i]->target->name.len);
    }

    return size;
}


u_char *
ngx_http_sp_attempts_print(u_char *p, const ngx_array_t *attempts)
{
    ngx_uint_t               i;
    ngx_http_sp_attempt_t  **attempt;

    *p++ = '[';

    for (i = 0; attempts != NULL && i < attempts->nelts; i++) {
        attempt = attempts->elts;

        if (i != 0) {
            *p++ = ',';
        }

        p = ngx_http_sp_attempt_print(p, attempt[i]);
    }

    *p++ = ']';

    return p;
}


static u_char *
ngx_http_sp_attempt_print(u_char *p, const ngx_http_sp_attempt_t *attempt)
{
    ngx_uint_t                   key;
    const ngx_str_t             *provider, *model;

    provider = &attempt->target->provider->name;
    model = &attempt->target->name;

    p = ngx_cpymem(p, "{\"provider\":\"", sizeof("{\"provider\":\"") - 1);
    p += sp_json_escape((char *) p, 6 * provider->len,
                        (char *) provider->data, provider->len);

    p = ngx_cpymem(p, "\",\"model\":\"", sizeof("\",\"model\":\"") - 1);
    p += sp_json_escape((char *) p, 6 * model->len, (char *) model->data,
                        model->len);

    key = ngx_http_sp_attempt_key(attempt);

    p = (key != 0) ? ngx_sprintf(p, "\",\"key\":%ui", key)
                   : ngx_sprintf(p, "\",\"key\":null");

    p = (attempt->status != 0)
        ? ngx_sprintf(p, ",\"status\":%ui", attempt->status)
        : ngx_sprintf(p, ",\"status\":null");

    p = (attempt->failure != NGX_HTTP_SP_FAILURE_NONE)
        ? ngx_sprintf(p, ",\"class\":\"%s\"",
                      ngx_http_sp_failure_name(attempt->failure))
        : ngx_sprintf(p, ",\"class\":null");

    p = attempt->begun
        ? ngx_sprintf(p, ",\"first_byte_ms\":%M", attempt->first_byte)
        : ngx_sprintf(p, ",\"first_byte_ms\":null");

    p = ngx_sprintf(p, ",\"total_ms\":%M", attempt->total);

    if (attempt->prompt_tokens >= 0) {
        p = ngx_sprintf(p, ",\"prompt_tokens\":%L", attempt->prompt_tokens);
    }

    if (attempt->completion_tokens >= 0) {
        p = ngx_sprintf(p, ",\"completion_tokens\":%L",
                        attempt->completion_tokens);
    }

    *p++ = '}';

    return p;
}
