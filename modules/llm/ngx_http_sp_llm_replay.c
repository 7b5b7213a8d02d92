
/*
 * Copyright (C) Sallyport authors
 *
 * "Idempotency-Key": who sends a request again gets the answer of the first
 * one, which is paid for once.  One that comes while the first one runs waits
 * for it, where both are in one worker; elsewhere it is told when to come
 * again.  What was not answered whole has no answer to give: the key is free.
 */


#include "ngx_http_sp_llm_replay.h"

#include <openssl/rand.h>


#define NGX_HTTP_SP_LLM_KEY  255


static ngx_int_t ngx_http_sp_llm_replay_begin(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_http_sp_llm_store_t *store);
static ngx_int_t ngx_http_sp_llm_replay_next(
    ngx_http_sp_llm_flight_t *flight);
static ngx_int_t ngx_http_sp_llm_replay_names(
    ngx_http_sp_llm_flight_t *flight, const ngx_str_t *key);
static ngx_int_t ngx_http_sp_llm_replay_enter(
    ngx_http_sp_llm_flight_t *flight);
static ngx_int_t ngx_http_sp_llm_replay_judge(
    ngx_http_sp_llm_flight_t *flight);
static ngx_int_t ngx_http_sp_llm_replay_entry(
    ngx_http_sp_llm_flight_t *flight, const sp_replay_t *entry);
static ngx_int_t ngx_http_sp_llm_replay_again(
    ngx_http_sp_llm_flight_t *flight, const sp_replay_t *entry);
static ngx_int_t ngx_http_sp_llm_replay_conflict(
    ngx_http_sp_llm_flight_t *flight);
static ngx_int_t ngx_http_sp_llm_replay_reused(
    ngx_http_sp_llm_flight_t *flight);
static ngx_int_t ngx_http_sp_llm_replay_unkept(
    ngx_http_sp_llm_flight_t *flight);
static ngx_int_t ngx_http_sp_llm_replay_unavailable(
    ngx_http_sp_llm_flight_t *flight);
static void ngx_http_sp_llm_replay_count(ngx_http_sp_llm_flight_t *flight,
    ngx_http_sp_llm_replay_e result);


/* NGX_DECLINED: the model is asked; else as a content handler's */

ngx_int_t
ngx_http_sp_llm_replay(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_int_t                       rc;
    ngx_http_request_t             *r;
    ngx_http_sp_llm_flight_t       *flight;
    const ngx_http_sp_llm_store_t  *store;

    r = ctx->request;
    store = ctx->check.conf->idempotency;

    if (ctx->flight != NULL
        && ctx->flight->changes != ngx_http_sp_identity_changes(r))
    {
        /* another location has another identity: the key is another one */

        ngx_http_sp_llm_flight_end(ctx->flight, NULL);
        ctx->flight = NULL;
    }

    if (ctx->flight == NULL) {

        if (store == NULL || r != r->main) {
            return NGX_DECLINED;
        }

        rc = ngx_http_sp_llm_replay_begin(ctx, store);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    flight = ctx->flight;

    if (flight->status != 0) {

        /* an error_page leads to no model */

        return flight->status;
    }

    rc = ngx_http_sp_llm_replay_next(flight);

    if (rc == NGX_ERROR || rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        flight->status = (rc == NGX_ERROR) ? NGX_HTTP_INTERNAL_SERVER_ERROR
                                           : rc;
        ngx_http_sp_llm_flight_end(flight, NULL);
    }

    return rc;
}


static ngx_int_t
ngx_http_sp_llm_replay_next(ngx_http_sp_llm_flight_t *flight)
{
    switch (flight->state) {

    case NGX_HTTP_SP_LLM_WAITING:

        if (flight->late) {
            return ngx_http_sp_llm_replay_conflict(flight);
        }

        if (flight->first != NULL) {
            return NGX_AGAIN;
        }

        /* fall through */

    case NGX_HTTP_SP_LLM_IDLE:
        return ngx_http_sp_llm_replay_enter(flight);

    case NGX_HTTP_SP_LLM_ASKING:
        return ngx_sp_op_finished(&flight->op.op)
               ? ngx_http_sp_llm_replay_judge(flight) : NGX_AGAIN;

    default: /* NGX_HTTP_SP_LLM_RUNNING, NGX_HTTP_SP_LLM_ENDED */
        return NGX_DECLINED;
    }
}


static ngx_int_t
ngx_http_sp_llm_replay_begin(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_http_sp_llm_store_t *store)
{
    ngx_int_t                  rc;
    ngx_str_t                  key;
    ngx_http_request_t        *r;
    ngx_http_sp_llm_flight_t  *flight;

    r = ctx->request;

    rc = ngx_http_sp_llm_replay_key(r, &key);

    if (rc != NGX_OK) {
        return rc;
    }

    flight = ngx_pcalloc(r->pool, sizeof(ngx_http_sp_llm_flight_t));
    if (flight == NULL) {
        return NGX_ERROR;
    }

    flight->ctx = ctx;
    flight->store = store;
    flight->changes = ngx_http_sp_identity_changes(r);

    ngx_queue_init(&flight->waiters);

    rc = ngx_http_sp_llm_replay_names(flight, &key);

    if (rc == NGX_OK) {
        ctx->flight = flight;
    }

    return rc;
}


/* draft-ietf-httpapi-idempotency-key-header; the value is opaque here */

ngx_int_t
ngx_http_sp_llm_replay_key(ngx_http_request_t *r, ngx_str_t *key)
{
    size_t            i;
    ngx_list_t       *headers;
    ngx_table_elt_t  *h;

    static ngx_str_t  name = ngx_string("Idempotency-Key");

    headers = &r->headers_in.headers;

    h = ngx_http_sp_next_header(headers, &name, NULL);

    if (h == NULL) {
        return NGX_DECLINED;
    }

    *key = h->value;

    for (i = 0; i < key->len; i++) {
        if (key->data[i] < 0x20 || key->data[i] > 0x7e) {
            break;
        }
    }

    if (key->len == 0 || key->len > NGX_HTTP_SP_LLM_KEY || i != key->len
        || ngx_http_sp_next_header(headers, &name, h) != NULL)
    {
        return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST,
                                 "idempotency_key_invalid",
                                 "the header \"%V\" must be there once, with "
                                 "1 to %d characters of printable ASCII",
                                 &name, NGX_HTTP_SP_LLM_KEY);
    }

    return NGX_OK;
}


/* whose key it is, and what was asked under it */

static ngx_int_t
ngx_http_sp_llm_replay_names(ngx_http_sp_llm_flight_t *flight,
    const ngx_str_t *key)
{
    u_char                        *p, hash[NGX_HTTP_SP_LLM_HASH];
    ngx_int_t                      rc;
    ngx_str_t                      asked[3], whose[2];
    ngx_http_request_t            *r;
    const ngx_http_sp_identity_t  *identity;

    r = flight->ctx->request;
    identity = ngx_http_sp_identity(r);

    if (identity == NULL) {
        return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST,
                                 "idempotency_identity_required",
                                 "an \"Idempotency-Key\" is taken of a "
                                 "signed-in user only: send it with a token, "
                                 "or leave it out");
    }

    if (flight->ctx->check.form != NULL) {
        return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST,
                                 "idempotency_unsupported",
                                 "a form with a file is not sent again under "
                                 "an \"Idempotency-Key\": leave it out");
    }

    rc = ngx_http_sp_body(r, &asked[2]);

    if (rc != NGX_OK) {
        return rc;
    }

    /* the history of a chat goes on: what was asked is the same */

    if (flight->ctx->history.text.len != 0) {
        asked[2] = flight->ctx->history.text;
    }

    whose[0] = identity->sub;
    whose[1] = *key;

    asked[0] = r->unparsed_uri;
    asked[1].data = (u_char *) flight->ctx->check.dialect->name;
    asked[1].len = ngx_strlen(flight->ctx->check.dialect->name);

    if (ngx_http_sp_llm_replay_hash(whose, 2, hash) != NGX_OK
        || ngx_http_sp_llm_replay_hash(asked, 3, flight->marker.fingerprint)
           != NGX_OK
        || RAND_bytes(flight->marker.owner, SP_REPLAY_OWNER) != 1)
    {
        return NGX_ERROR;
    }

    p = ngx_cpymem(flight->name, "idempotency:", sizeof("idempotency:") - 1);
    (void) ngx_hex_dump(p, hash, sizeof(hash));

    flight->sn.str.data = flight->name;
    flight->sn.str.len = NGX_HTTP_SP_LLM_NAME;
    flight->sn.node.key = ngx_crc32_short(flight->name, NGX_HTTP_SP_LLM_NAME);

    flight->marker.state = SP_REPLAY_RUNNING;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_replay_enter(ngx_http_sp_llm_flight_t *flight)
{
    ngx_http_sp_llm_flight_t  *first;

    flight->state = NGX_HTTP_SP_LLM_IDLE;

    first = ngx_http_sp_llm_flight_list(flight);

    if (first == NULL) {

        if (ngx_http_sp_llm_store_claim(flight) != NGX_OK) {
            return NGX_ERROR;
        }

        flight->state = NGX_HTTP_SP_LLM_ASKING;

        return NGX_AGAIN;
    }

    if (ngx_memcmp(first->marker.fingerprint, flight->marker.fingerprint,
                   SP_REPLAY_FINGERPRINT)
        != 0)
    {
        return ngx_http_sp_llm_replay_reused(flight);
    }

    return (ngx_http_sp_llm_flight_wait(flight, first) == NGX_OK)
           ? NGX_AGAIN : ngx_http_sp_llm_replay_conflict(flight);
}


static ngx_int_t
ngx_http_sp_llm_replay_judge(ngx_http_sp_llm_flight_t *flight)
{
    ngx_int_t     rc;
    sp_replay_t   entry;
    ngx_sp_op_t  *op;

    op = &flight->op.op;

    if (op->result == NGX_SP_OP_OK && flight->reply.len == 0
        && !flight->failed)
    {
        ngx_http_sp_llm_flight_run(flight);
        ngx_http_sp_llm_replay_count(flight, NGX_HTTP_SP_LLM_REPLAY_RUN);

        return NGX_DECLINED;
    }

    if (op->result != NGX_SP_OP_OK || flight->failed
        || sp_replay_read(&entry, (char *) flight->reply.data,
                          flight->reply.len)
           != 0)
    {
        /* it may have been claimed all the same */

        ngx_http_sp_llm_store_put(flight, NULL, 0);
        rc = ngx_http_sp_llm_replay_unavailable(flight);

    } else {
        rc = ngx_http_sp_llm_replay_entry(flight, &entry);
    }

    flight->state = NGX_HTTP_SP_LLM_ENDED;

    ngx_http_sp_llm_flight_unlist(flight);

    return rc;
}


static ngx_int_t
ngx_http_sp_llm_replay_entry(ngx_http_sp_llm_flight_t *flight,
    const sp_replay_t *entry)
{
    if (ngx_memcmp(entry->fingerprint, flight->marker.fingerprint,
                   SP_REPLAY_FINGERPRINT)
        != 0)
    {
        return ngx_http_sp_llm_replay_reused(flight);
    }

    switch (entry->state) {

    case SP_REPLAY_RUNNING:
        return ngx_http_sp_llm_replay_conflict(flight);

    case SP_REPLAY_UNKEPT:
        return ngx_http_sp_llm_replay_unkept(flight);

    default: /* SP_REPLAY_ANSWER */
        return ngx_http_sp_llm_replay_again(flight, entry);
    }
}


/* no model is asked, so nothing is spent, and its turn was stored already */

static ngx_int_t
ngx_http_sp_llm_replay_again(ngx_http_sp_llm_flight_t *flight,
    const sp_replay_t *entry)
{
    ngx_http_request_t     *r;
    ngx_http_sp_turn_t     *turn;
    ngx_http_sp_llm_ctx_t  *ctx;

    static ngx_str_t  yes = ngx_string("true");

    ctx = flight->ctx;
    r = ctx->request;

    ngx_http_sp_llm_replay_count(flight, NGX_HTTP_SP_LLM_REPLAY_SENT);

    turn = ngx_http_sp_turn(r);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    turn->alias = ctx->check.model->alias;
    turn->stream = ctx->check.stream;
    turn->finish = NGX_HTTP_SP_TURN_REPLAYED;
    turn->status = NGX_HTTP_OK;

    /* what cannot be accepted is logged by the core */

    (void) ngx_http_sp_settle(r);

    return (ngx_http_sp_add_header(r, "Idempotency-Replayed", &yes) == NGX_OK)
           ? ngx_http_sp_llm_replay_send(ctx, entry) : NGX_ERROR;
}


static ngx_int_t
ngx_http_sp_llm_replay_conflict(ngx_http_sp_llm_flight_t *flight)
{
    ngx_http_request_t  *r;

    r = flight->ctx->request;

    ngx_http_sp_llm_replay_count(flight, NGX_HTTP_SP_LLM_REPLAY_CONFLICT);

    if (ngx_http_sp_retry_after(r, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_error(r, NGX_HTTP_CONFLICT, "idempotency_key_in_use",
                             "the first request with this "
                             "\"Idempotency-Key\" is still answered, send "
                             "this one again when it has ended");
}


static ngx_int_t
ngx_http_sp_llm_replay_reused(ngx_http_sp_llm_flight_t *flight)
{
    ngx_http_sp_llm_replay_count(flight, NGX_HTTP_SP_LLM_REPLAY_REUSED);

    return ngx_http_sp_error(flight->ctx->request, 422,
                             "idempotency_key_reused",
                             "this \"Idempotency-Key\" was sent with another "
                             "request before, take a new one for each");
}


/* to come again would not help, to answer it anew would be paid for twice */

static ngx_int_t
ngx_http_sp_llm_replay_unkept(ngx_http_sp_llm_flight_t *flight)
{
    ngx_http_request_t  *r;

    static ngx_str_t  no = ngx_string("false");

    r = flight->ctx->request;

    ngx_http_sp_llm_replay_count(flight, NGX_HTTP_SP_LLM_REPLAY_CONFLICT);

    if (ngx_http_sp_add_header(r, "X-Should-Retry", &no) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_error(r, NGX_HTTP_CONFLICT,
                             "idempotency_answer_not_kept",
                             "the first request with this "
                             "\"Idempotency-Key\" was answered, with more "
                             "than the %uz bytes that are kept",
                             flight->store->size);
}


static ngx_int_t
ngx_http_sp_llm_replay_unavailable(ngx_http_sp_llm_flight_t *flight)
{
    ngx_http_request_t  *r;

    r = flight->ctx->request;

    ngx_http_sp_llm_replay_count(flight, NGX_HTTP_SP_LLM_REPLAY_UNAVAILABLE);

    if (ngx_http_sp_retry_after(r, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                             "idempotency_unavailable",
                             "whether this \"Idempotency-Key\" was sent "
                             "before cannot be told now, try again later");
}


static void
ngx_http_sp_llm_replay_count(ngx_http_sp_llm_flight_t *flight,
    ngx_http_sp_llm_replay_e result)
{
    ngx_http_sp_llm_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(flight->ctx->request,
                                         ngx_http_sp_llm_module);

    ngx_sp_metric_add(lmcf->replays[result], 1);
}


void
ngx_http_sp_llm_replay_end(ngx_http_request_t *r,
    const ngx_http_sp_outcome_t *outcome)
{
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = ngx_http_sp_llm_find_ctx(r);

    if (ctx == NULL) {
        return;
    }

    if (ctx->flight != NULL) {
        ngx_http_sp_llm_flight_end(ctx->flight, outcome->turn);
    }

    ngx_http_sp_llm_cache_end(ctx);
}
