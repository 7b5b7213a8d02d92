
/*
 * Copyright (C) Sallyport authors
 *
 * Calls of models beside requests: the targets of an alias, one after the
 * other, each in its own dialect, and what the answer has cost.
 */


#include "ngx_http_sp_core_int.h"


#define NGX_HTTP_SP_CALL_TIMEOUT     30000

/* of a chat */
#define NGX_HTTP_SP_CALL_ANSWER      (256 * 1024)

/* what halfvec takes in a row of one page; a number is up to 24 bytes */
#define NGX_HTTP_SP_CALL_DIMENSIONS  3900
#define NGX_HTTP_SP_CALL_VECTOR      (24 * NGX_HTTP_SP_CALL_DIMENSIONS)


static void ngx_http_sp_call_cancel(ngx_sp_op_t *op);
static void ngx_http_sp_call_next(ngx_http_sp_call_t *call,
    ngx_sp_op_result_e result, const char *reason);
static ngx_int_t ngx_http_sp_call_ask(ngx_http_sp_call_t *call,
    const ngx_http_sp_target_t *target);
static ngx_int_t ngx_http_sp_call_headers(ngx_http_sp_call_t *call,
    const ngx_http_sp_key_t *key);
static ngx_msec_t ngx_http_sp_call_share(const ngx_http_sp_call_t *call);
static ngx_int_t ngx_http_sp_call_url(ngx_http_sp_call_t *call,
    const ngx_http_sp_target_t *target, const sp_call_t *asked);
static ngx_int_t ngx_http_sp_call_chat(ngx_http_sp_call_t *call,
    const sp_dialect_t *dialect, const sp_call_t *asked);
static ngx_int_t ngx_http_sp_call_embed(ngx_http_sp_call_t *call,
    const ngx_http_sp_target_t *target);
static void ngx_http_sp_call_done(ngx_sp_op_t *op);
static ngx_http_sp_failure_e ngx_http_sp_call_failure(
    const ngx_http_sp_call_t *call, const ngx_sp_op_t *op);
static ngx_int_t ngx_http_sp_call_read(ngx_http_sp_call_t *call,
    const sp_dialect_t *dialect, sp_event_t *event);
static ngx_int_t ngx_http_sp_call_read_chat(ngx_http_sp_call_t *call,
    const sp_dialect_t *dialect, sp_event_t *event);
static int ngx_http_sp_call_delta(void *data, const sp_delta_t *delta);
static ngx_int_t ngx_http_sp_call_read_embed(ngx_http_sp_call_t *call,
    const sp_dialect_t *dialect, sp_event_t *event);
static int ngx_http_sp_call_vector(void *data, size_t index,
    const json_t *vector);
static void ngx_http_sp_call_account(ngx_http_sp_call_t *call,
    const sp_event_t *event);


#define ngx_http_sp_call_target(call)  (call)->attempt->target

#define ngx_http_sp_call_metrics(call)                                        \
    (&ngx_http_sp_call_target(call)->provider->calls[(call)->kind])


void
ngx_http_sp_call_submit(ngx_http_sp_call_t *call)
{
    call->status = 0;
    call->attempt = NULL;

    ngx_str_null(&call->text);
    call->vectors = NULL;

    ngx_memzero(&call->fetch, sizeof(ngx_sp_fetch_op_t));

    /* each fetch is counted, the call is no server of its own */

    call->op.server = call->model;

    ngx_sp_op_start(&call->op, NGX_HTTP_SP_CALL_TIMEOUT,
                    ngx_http_sp_call_cancel, NULL);

    ngx_memzero(&call->route, sizeof(ngx_http_sp_route_t));

    call->route.tries = NGX_HTTP_SP_ROUTE_TRIES;
    call->route.within = NGX_HTTP_SP_ROUTE_WITHIN;

    if (ngx_http_sp_route_start(&call->route, call->pool, call->model)
        != NGX_OK)
    {
        ngx_sp_op_finish_later(&call->op, NGX_SP_OP_UNAVAILABLE, "no memory");
        return;
    }

    if (call->span != NULL) {
        call->span->attempts = call->route.attempts;
    }

    ngx_http_sp_call_next(call, NGX_SP_OP_UNAVAILABLE, "no target");
}


/* also at the deadline of all: then the last one was too slow */

static void
ngx_http_sp_call_cancel(ngx_sp_op_t *op)
{
    ngx_http_sp_call_t *call = (ngx_http_sp_call_t *) op;

    if (call->attempt != NULL && ngx_sp_op_pending(&call->fetch.op)) {

        if (op->timer.timedout) {
            ngx_sp_metric_add(ngx_http_sp_call_metrics(call)->failed, 1);
        }

        ngx_http_sp_attempt_end(call->attempt, op->timer.timedout
                                ? NGX_HTTP_SP_FAILURE_FIRST_BYTE_TIMEOUT
                                : NGX_HTTP_SP_FAILURE_CLIENT);
    }

    ngx_sp_op_cancel(&call->fetch.op);
}


/* result and reason: of the one before, for when there is none left */

static void
ngx_http_sp_call_next(ngx_http_sp_call_t *call, ngx_sp_op_result_e result,
    const char *reason)
{
    ngx_http_sp_failure_e  failure;

    failure = NGX_HTTP_SP_FAILURE_NONE;

    for ( ;; ) {

        if (call->attempt != NULL) {
            failure = call->attempt->failure;
        }

        if (!ngx_http_sp_route_more(&call->route, failure)) {
            break;
        }

        call->attempt = ngx_http_sp_route_next(&call->route);

        if (call->attempt == NULL) {
            break;
        }

        switch (ngx_http_sp_call_ask(call, ngx_http_sp_call_target(call))) {

        case NGX_OK:
            ngx_sp_fetch_submit(&call->fetch);
            return;

        case NGX_DECLINED:
            ngx_http_sp_attempt_end(call->attempt,
                                    NGX_HTTP_SP_FAILURE_UNSUPPORTED);
            reason = "the request cannot be said in the provider's dialect";
            result = NGX_SP_OP_REJECTED;
            call->status = 0;
            break;

        default:
            ngx_http_sp_attempt_end(call->attempt,
                                    NGX_HTTP_SP_FAILURE_GATEWAY);
            reason = "no memory";
            result = NGX_SP_OP_UNAVAILABLE;
        }
    }

    ngx_sp_op_finish_later(&call->op, result, reason);
}


static ngx_int_t
ngx_http_sp_call_ask(ngx_http_sp_call_t *call,
    const ngx_http_sp_target_t *target)
{
    ngx_int_t            rc;
    sp_call_t            asked;
    sp_chat_edit_t       edit;
    ngx_sp_fetch_op_t   *fetch;
    const sp_dialect_t  *dialect;

    fetch = &call->fetch;
    dialect = target->provider->dialect;

    ngx_memzero(fetch, sizeof(ngx_sp_fetch_op_t));
    ngx_memzero(&edit, sizeof(sp_chat_edit_t));
    ngx_memzero(&asked, sizeof(sp_call_t));

    edit.model = (char *) target->name.data;
    edit.model_len = target->name.len;
    edit.max_tokens = target->provider->max_tokens;

    asked.chat = call->chat;
    asked.edit = &edit;
    asked.options = &target->provider->options;

    if (ngx_http_sp_call_url(call, target, &asked) != NGX_OK) {
        return NGX_ERROR;
    }

    if (call->chat != NULL) {
        edit.anchor = call->chat->last_user;
        rc = ngx_http_sp_call_chat(call, dialect, &asked);

    } else {
        rc = ngx_http_sp_call_embed(call, target);
    }

    if (ngx_http_sp_call_headers(call, call->attempt->key) != NGX_OK) {
        return NGX_ERROR;
    }

    fetch->trusted_certificate =
                              target->provider->endpoint.trusted_certificate;

    fetch->op.done = ngx_http_sp_call_done;
    fetch->op.data = call;
    fetch->op.log = call->op.log;
    fetch->op.timeout = ngx_http_sp_call_share(call);

    return rc;
}


static ngx_int_t
ngx_http_sp_call_headers(ngx_http_sp_call_t *call,
    const ngx_http_sp_key_t *key)
{
    ngx_str_t          *lines;
    ngx_uint_t          n;
    ngx_sp_fetch_op_t  *fetch;

    fetch = &call->fetch;

    fetch->headers = key->lines;
    fetch->nheaders = key->nlines;

    if (call->trace == NULL) {
        return NGX_OK;
    }

    lines = ngx_palloc(call->pool, (key->nlines + NGX_HTTP_SP_TRACE_LINES)
                                   * sizeof(ngx_str_t));
    if (lines == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(lines, key->lines, key->nlines * sizeof(ngx_str_t));

    if (ngx_http_sp_trace_lines(call->pool, call->trace, call->attempt->span,
                                lines + key->nlines, &n)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    fetch->headers = lines;
    fetch->nheaders += n;

    return NGX_OK;
}


/* one that is silent leaves the others the time that they need */

static ngx_msec_t
ngx_http_sp_call_share(const ngx_http_sp_call_t *call)
{
    ngx_msec_t  elapsed;

    elapsed = ngx_current_msec - call->op.started;

    if (elapsed >= call->op.timeout) {
        return 1;
    }

    return ngx_max((call->op.timeout - elapsed)
                   / (ngx_http_sp_route_left(&call->route) + 1), 1);
}


static ngx_int_t
ngx_http_sp_call_url(ngx_http_sp_call_t *call,
    const ngx_http_sp_target_t *target, const sp_call_t *asked)
{
    u_char              *p;
    sp_out_t             out;
    ngx_str_t           *url;
    const sp_dialect_t  *dialect;

    url = &call->fetch.url;
    dialect = target->provider->dialect;

    ngx_memzero(&out, sizeof(sp_out_t));

    dialect->write_path(asked, &out);

    url->len = target->provider->url.len + out.len;
    url->data = ngx_pnalloc(call->pool, url->len);

    if (url->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(url->data, target->provider->url.data,
                   target->provider->url.len);

    out.dst = (char *) p;
    out.size = out.len;
    out.len = 0;

    dialect->write_path(asked, &out);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_call_chat(ngx_http_sp_call_t *call, const sp_dialect_t *dialect,
    const sp_call_t *asked)
{
    sp_out_t          out;
    sp_chat_error_t   error;

    ngx_memzero(&out, sizeof(sp_out_t));

    if (dialect->write_request(asked, &out, &error) != 0) {
        return NGX_DECLINED;
    }

    out.dst = ngx_pnalloc(call->pool, out.len);
    if (out.dst == NULL) {
        return NGX_ERROR;
    }

    out.size = out.len;
    out.len = 0;

    (void) dialect->write_request(asked, &out, &error);

    call->fetch.body.data = (u_char *) out.dst;
    call->fetch.body.len = out.len;
    call->fetch.max_body = NGX_HTTP_SP_CALL_ANSWER;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_call_embed(ngx_http_sp_call_t *call,
    const ngx_http_sp_target_t *target)
{
    sp_out_t             out;
    sp_slice_t          *texts;
    sp_embed_t           embed;
    ngx_uint_t           i;
    const sp_dialect_t  *dialect;

    dialect = target->provider->dialect;

    texts = ngx_palloc(call->pool, call->ntexts * sizeof(sp_slice_t));
    if (texts == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < call->ntexts; i++) {
        texts[i].data = (char *) call->texts[i].data;
        texts[i].len = call->texts[i].len;
    }

    embed.texts = texts;
    embed.n = call->ntexts;
    embed.model = (char *) target->name.data;
    embed.model_len = target->name.len;
    embed.dimensions = call->dimensions;

    ngx_memzero(&out, sizeof(sp_out_t));

    dialect->write_embed(&embed, &out);

    out.dst = ngx_pnalloc(call->pool, out.len);
    if (out.dst == NULL) {
        return NGX_ERROR;
    }

    out.size = out.len;
    out.len = 0;

    dialect->write_embed(&embed, &out);

    call->fetch.body.data = (u_char *) out.dst;
    call->fetch.body.len = out.len;
    call->fetch.max_body = 4096 + call->ntexts * NGX_HTTP_SP_CALL_VECTOR;

    return NGX_OK;
}


static void
ngx_http_sp_call_done(ngx_sp_op_t *op)
{
    sp_event_t                   event;
    const char                  *reason;
    ngx_http_sp_call_t          *call;
    ngx_sp_op_result_e           result;
    ngx_http_sp_attempt_t       *attempt;
    const ngx_http_sp_target_t  *target;

    call = op->data;
    attempt = call->attempt;
    target = attempt->target;

    result = op->result;
    reason = "the provider did not answer";

    call->status = call->fetch.status;

    attempt->status = call->status;
    attempt->retry_after = call->fetch.retry_after;

    if (result == NGX_SP_OP_OK) {

        if (call->status == NGX_HTTP_OK
            && ngx_http_sp_call_read(call, target->provider->dialect, &event)
               == NGX_OK)
        {
            ngx_http_sp_attempt_begun(attempt);
            ngx_http_sp_call_account(call, &event);
            ngx_sp_op_finish(&call->op, NGX_SP_OP_OK, NULL);
            return;
        }

        result = NGX_SP_OP_UNAVAILABLE;
        reason = "the provider gave no answer of its dialect";
    }

    ngx_sp_metric_add(ngx_http_sp_call_metrics(call)->failed, 1);

    ngx_http_sp_attempt_end(attempt, ngx_http_sp_call_failure(call, op));

    ngx_log_error(NGX_LOG_WARN, call->op.log, 0,
                  "llm: provider \"%V\" failed for model \"%V\", key %ui, "
                  "%s: %s, status %ui", &target->provider->name,
                  &call->model->alias, ngx_http_sp_attempt_key(attempt),
                  ngx_http_sp_failure_name(attempt->failure),
                  ngx_sp_op_result_name(result), call->status);

    if (attempt->failure == NGX_HTTP_SP_FAILURE_REQUEST) {
        ngx_sp_op_finish(&call->op, NGX_SP_OP_REJECTED,
                         "the provider refuses the request");
        return;
    }

    ngx_http_sp_call_next(call, result, reason);
}


static ngx_http_sp_failure_e
ngx_http_sp_call_failure(const ngx_http_sp_call_t *call,
    const ngx_sp_op_t *op)
{
    switch (op->result) {

    case NGX_SP_OP_OK:
        return (call->status == NGX_HTTP_OK)
               ? NGX_HTTP_SP_FAILURE_ANSWER
               : ngx_http_sp_failure_status(call->status);

    case NGX_SP_OP_TIMEOUT:
        return NGX_HTTP_SP_FAILURE_FIRST_BYTE_TIMEOUT;

    default:

        /* nothing was sent for lack of room: not its fault */

        return (op->sent || ngx_sp_fetch_room() != 0)
               ? NGX_HTTP_SP_FAILURE_UNREACHABLE
               : NGX_HTTP_SP_FAILURE_GATEWAY;
    }
}


static ngx_int_t
ngx_http_sp_call_read(ngx_http_sp_call_t *call, const sp_dialect_t *dialect,
    sp_event_t *event)
{
    ngx_int_t  rc;

    rc = (call->chat != NULL)
         ? ngx_http_sp_call_read_chat(call, dialect, event)
         : ngx_http_sp_call_read_embed(call, dialect, event);

    return (rc == NGX_OK && event->has_answer && !event->has_error)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_sp_call_read_chat(ngx_http_sp_call_t *call,
    const sp_dialect_t *dialect, sp_event_t *event)
{
    const ngx_str_t  *answer;

    answer = &call->fetch.response;

    /* decoded, a text may be three times as long */

    call->text.len = 0;
    call->text.data = ngx_pnalloc(call->pool, 3 * answer->len + 1);

    if (call->text.data == NULL) {
        return NGX_ERROR;
    }

    return (dialect->scan_answer((char *) answer->data, answer->len,
                                 ngx_http_sp_call_delta, &call->text, event)
            == 0)
           ? NGX_OK : NGX_ERROR;
}


static int
ngx_http_sp_call_delta(void *data, const sp_delta_t *delta)
{
    ngx_str_t *text = data;

    if (delta->kind == SP_DELTA_TEXT && delta->choice == 0) {
        text->len += sp_json_unescape((char *) text->data + text->len,
                                      3 * delta->text.len, delta->text.data,
                                      delta->text.len);
    }

    return 0;
}


static ngx_int_t
ngx_http_sp_call_read_embed(ngx_http_sp_call_t *call,
    const sp_dialect_t *dialect, sp_event_t *event)
{
    const ngx_str_t  *answer;

    answer = &call->fetch.response;

    call->found = 0;
    call->vectors = ngx_pcalloc(call->pool, call->ntexts * sizeof(ngx_str_t));

    if (call->vectors == NULL) {
        return NGX_ERROR;
    }

    return (dialect->scan_embed((char *) answer->data, answer->len,
                                ngx_http_sp_call_vector, call, event)
            == 0
            && call->found == call->ntexts)
           ? NGX_OK : NGX_ERROR;
}


/* one for each text, of numbers, as many as were asked for */

static int
ngx_http_sp_call_vector(void *data, size_t index, const json_t *vector)
{
    ngx_http_sp_call_t *call = data;

    size_t      flags, i, n;
    ngx_str_t  *text;

    n = json_array_size(vector);

    if (index >= call->ntexts || call->vectors[index].data != NULL
        || n == 0 || n > NGX_HTTP_SP_CALL_DIMENSIONS
        || (call->dimensions != 0 && n != call->dimensions))
    {
        return -1;
    }

    for (i = 0; i < n; i++) {
        if (!json_is_number(json_array_get(vector, i))) {
            return -1;
        }
    }

    text = &call->vectors[index];

    /* six digits are more than a halfvec holds */

    flags = JSON_COMPACT|JSON_REAL_PRECISION(6);

    text->len = json_dumpb(vector, NULL, 0, flags);
    text->data = ngx_pnalloc(call->pool, text->len);

    if (text->data == NULL) {
        return -1;
    }

    (void) json_dumpb(vector, (char *) text->data, text->len, flags);

    call->found++;

    return 0;
}


/* tokens that the provider does not tell are not guessed here */

static void
ngx_http_sp_call_account(ngx_http_sp_call_t *call, const sp_event_t *event)
{
    ngx_http_sp_turn_t           turn;
    const ngx_http_sp_target_t  *target;

    target = ngx_http_sp_call_target(call);

    ngx_http_sp_turn_init(&turn);

    turn.kind = call->kind;
    turn.user_id = call->user_id;
    turn.character_id = call->character_id;
    turn.provider = target->provider->name;
    turn.model = target->name;
    turn.alias = call->model->alias;
    turn.finish = NGX_HTTP_SP_TURN_COMPLETE;
    turn.status = call->status;
    turn.attempts = call->route.attempts;
    turn.started = call->op.started;

    turn.prompt_tokens = event->prompt_tokens;
    turn.completion_tokens = event->completion_tokens;
    turn.cached_tokens = event->cached_tokens;
    turn.cache_write_tokens = event->cache_write_tokens;
    turn.reasoning_tokens = event->reasoning_tokens;

    call->attempt->prompt_tokens = turn.prompt_tokens;
    call->attempt->completion_tokens = turn.completion_tokens;

    ngx_http_sp_attempt_end(call->attempt, NGX_HTTP_SP_FAILURE_NONE);

    ngx_sp_metric_add(ngx_http_sp_call_metrics(call)->complete, 1);

    ngx_http_sp_account(&turn, target);

    /* what is lost is logged and counted by the spool */

    (void) ngx_http_sp_turn_store(call->pool, &turn);
}
