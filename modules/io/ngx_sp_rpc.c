
/*
 * Copyright (C) Sallyport authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_sp_rpc.h"

#include "sp_json.h"
#include "sp_u256.h"


#define NGX_SP_RPC_BODY  1048576


/* what is in flight; the op may be gone before it */

typedef struct {
    ngx_sp_rpc_t        *rpc;
    ngx_sp_rpc_op_t     *op;
    ngx_pool_t          *pool;
    ngx_sp_fetch_op_t    fetch;

    ngx_str_t            body;
    ngx_str_t            check;       /* the call for the chain id */
    uint64_t             id;          /* of both */
    size_t               max_body;

    ngx_uint_t           endpoint;
    json_t              *root;        /* of the last response */
    unsigned             checking:1;
} ngx_sp_rpc_call_t;


static void ngx_sp_rpc_clear(ngx_sp_rpc_op_t *op, ngx_uint_t endpoint);
static ngx_sp_rpc_call_t *ngx_sp_rpc_create(ngx_sp_rpc_t *rpc,
    ngx_sp_rpc_op_t *op);
static ngx_int_t ngx_sp_rpc_text(ngx_sp_rpc_call_t *call, ngx_str_t *text,
    const char *method, const ngx_str_t *params);
static void ngx_sp_rpc_free(ngx_sp_rpc_call_t *call);
static void ngx_sp_rpc_cancel(ngx_sp_op_t *op);
static void ngx_sp_rpc_finish(ngx_sp_rpc_call_t *call,
    ngx_sp_op_result_e result, const char *reason);
static void ngx_sp_rpc_send(ngx_sp_rpc_call_t *call);
static void ngx_sp_rpc_done(ngx_sp_op_t *op);
static void ngx_sp_rpc_checked(ngx_sp_rpc_call_t *call,
    ngx_sp_rpc_fault_e fault);
static void ngx_sp_rpc_failed(ngx_sp_rpc_call_t *call,
    ngx_sp_rpc_fault_e fault, const char *reason);
static void ngx_sp_rpc_skip(ngx_sp_rpc_t *rpc, ngx_uint_t endpoint);
static ngx_uint_t ngx_sp_rpc_refuses(ngx_uint_t status);
static ngx_uint_t ngx_sp_rpc_is_limit(int64_t code);
static ngx_sp_rpc_fault_e ngx_sp_rpc_read(ngx_sp_rpc_call_t *call,
    const char **reason);
static ngx_sp_rpc_fault_e ngx_sp_rpc_read_answer(ngx_sp_rpc_call_t *call,
    const char **reason);


/* of a worker; 0 is nobody's */
static uint64_t  ngx_sp_rpc_last_id;


void
ngx_sp_rpc_submit(ngx_sp_rpc_t *rpc, ngx_sp_rpc_op_t *op)
{
    ngx_sp_rpc_call_t  *call;

    ngx_sp_rpc_clear(op, rpc->first);

    op->failed = 0;
    op->op.server = rpc;

    call = ngx_sp_rpc_create(rpc, op);

    ngx_sp_op_start(&op->op, rpc->endpoints.nelts * rpc->timeout,
                    ngx_sp_rpc_cancel, call);

    if (call == NULL) {
        ngx_sp_op_finish_later(&op->op, NGX_SP_OP_UNAVAILABLE, "no memory");
        return;
    }

    if (!ngx_sp_fetch_room()) {
        ngx_sp_rpc_free(call);
        ngx_sp_op_finish_later(&op->op, NGX_SP_OP_UNAVAILABLE,
                               "too many transfers");
        return;
    }

    ngx_sp_rpc_send(call);
}


void
ngx_sp_rpc_distrust(ngx_sp_rpc_t *rpc, ngx_sp_rpc_op_t *op)
{
    if (op->fault < NGX_SP_RPC_TRANSPORT) {
        ngx_sp_rpc_skip(rpc, op->endpoint);
        op->failed++;
    }
}


/* of this endpoint nothing has come yet */

static void
ngx_sp_rpc_clear(ngx_sp_rpc_op_t *op, ngx_uint_t endpoint)
{
    op->fault = NGX_SP_RPC_TRANSPORT;
    op->endpoint = endpoint;
    op->status = 0;
    op->answer = NULL;
    op->code = 0;
    ngx_str_null(&op->message);
    op->data = NULL;
}


static ngx_sp_rpc_call_t *
ngx_sp_rpc_create(ngx_sp_rpc_t *rpc, ngx_sp_rpc_op_t *op)
{
    ngx_pool_t         *pool;
    ngx_sp_rpc_call_t  *call;

    static const ngx_str_t  none = ngx_string("[]");

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    call = ngx_pcalloc(pool, sizeof(ngx_sp_rpc_call_t));
    if (call == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    call->rpc = rpc;
    call->op = op;
    call->pool = pool;
    call->id = ++ngx_sp_rpc_last_id;
    call->max_body = (op->max_body != 0) ? op->max_body : NGX_SP_RPC_BODY;
    call->endpoint = rpc->first;

    if (ngx_sp_rpc_text(call, &call->body, op->method,
                        (op->params.len != 0) ? &op->params : &none)
        != NGX_OK
        || ngx_sp_rpc_text(call, &call->check, "eth_chainId", &none)
           != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    return call;
}


static ngx_int_t
ngx_sp_rpc_text(ngx_sp_rpc_call_t *call, ngx_str_t *text, const char *method,
    const ngx_str_t *params)
{
    size_t  size;

    size = sizeof("{\"jsonrpc\":\"2.0\",\"id\":,\"method\":\"\",\"params\":}")
           + NGX_INT64_LEN + ngx_strlen(method) + params->len;

    text->data = ngx_pnalloc(call->pool, size);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    text->len = ngx_snprintf(text->data, size,
                             "{\"jsonrpc\":\"2.0\",\"id\":%uL,"
                             "\"method\":\"%s\",\"params\":%V}",
                             call->id, method, params)
                - text->data;

    return NGX_OK;
}


static void
ngx_sp_rpc_free(ngx_sp_rpc_call_t *call)
{
    json_decref(call->root);
    ngx_destroy_pool(call->pool);
}


static void
ngx_sp_rpc_cancel(ngx_sp_op_t *op)
{
    ngx_sp_rpc_call_t  *call;

    call = op->slot;

    ngx_sp_op_cancel(&call->fetch.op);

    if (call->fetch.op.sent && !call->checking) {
        op->sent = 1;
    }

    /* the deadline: it is the endpoint that was slow */

    if (op->timer.timedout) {
        ngx_sp_rpc_skip(call->rpc, call->endpoint);
        call->op->failed++;
    }

    ngx_sp_rpc_free(call);
}


static void
ngx_sp_rpc_finish(ngx_sp_rpc_call_t *call, ngx_sp_op_result_e result,
    const char *reason)
{
    /* in "done" the op may go, or be submitted again */

    ngx_sp_op_finish(&call->op->op, result, reason);
    ngx_sp_rpc_free(call);
}


static void
ngx_sp_rpc_send(ngx_sp_rpc_call_t *call)
{
    ngx_sp_rpc_endpoint_t  *endpoint;

    static const ngx_str_t  headers[] = {
        ngx_string("Content-Type: application/json"),
        ngx_string("Accept: application/json")
    };

    endpoint = call->rpc->endpoints.elts;
    endpoint += call->endpoint;

    call->checking = (call->rpc->chain_id != 0 && !endpoint->checked);

    ngx_sp_rpc_clear(call->op, call->endpoint);
    ngx_memzero(&call->fetch, sizeof(ngx_sp_fetch_op_t));

    call->fetch.url = endpoint->url;
    call->fetch.headers = headers;
    call->fetch.nheaders = 2;
    call->fetch.body = call->checking ? call->check : call->body;
    call->fetch.max_body = call->checking ? NGX_SP_RPC_BODY : call->max_body;
    call->fetch.op.done = ngx_sp_rpc_done;
    call->fetch.op.data = call;
    call->fetch.op.timeout = call->rpc->timeout;
    call->fetch.op.log = call->op->op.log;

    ngx_sp_fetch_submit(&call->fetch);
}


static void
ngx_sp_rpc_done(ngx_sp_op_t *op)
{
    const char          *reason;
    ngx_sp_rpc_call_t   *call;
    ngx_sp_rpc_fault_e   fault;

    call = op->data;
    reason = NULL;

    call->op->status = call->fetch.status;

    if (op->sent && !call->checking) {
        call->op->op.sent = 1;
    }

    fault = ngx_sp_rpc_read(call, &reason);

    if (fault >= NGX_SP_RPC_TRANSPORT) {
        ngx_sp_rpc_failed(call, fault, reason);
        return;
    }

    if (call->checking) {
        ngx_sp_rpc_checked(call, fault);
        return;
    }

    if (fault == NGX_SP_RPC_ERROR && ngx_sp_rpc_is_limit(call->op->code)
        && call->op->failed + 1 < call->rpc->endpoints.nelts)
    {
        ngx_sp_rpc_failed(call, NGX_SP_RPC_HTTP, "it is over its limit");
        return;
    }

    call->op->fault = fault;

    ngx_sp_rpc_finish(call, (fault == NGX_SP_RPC_NONE) ? NGX_SP_OP_OK
                                                       : NGX_SP_OP_REJECTED,
                      reason);
}


/* the endpoint was asked for its chain */

static void
ngx_sp_rpc_checked(ngx_sp_rpc_call_t *call, ngx_sp_rpc_fault_e fault)
{
    uint64_t                id;
    ngx_sp_rpc_endpoint_t  *endpoint;

    if (fault != NGX_SP_RPC_NONE
        || !json_is_string(call->op->answer)
        || sp_u256_hex_uint64(&id, json_string_value(call->op->answer),
                              json_string_length(call->op->answer))
           != SP_OK)
    {
        ngx_sp_rpc_failed(call, NGX_SP_RPC_CHAIN, "it tells no chain id");
        return;
    }

    if (id != call->rpc->chain_id) {
        ngx_log_error(NGX_LOG_ERR, call->op->op.log, 0,
                      "rpc: endpoint %ui of \"%V\" has the chain id %uL, "
                      "configured is %uL", call->endpoint + 1,
                      &call->rpc->name, id, call->rpc->chain_id);
        ngx_sp_rpc_failed(call, NGX_SP_RPC_CHAIN, "it is of another chain");
        return;
    }

    endpoint = call->rpc->endpoints.elts;
    endpoint[call->endpoint].checked = 1;

    ngx_sp_rpc_send(call);
}


static void
ngx_sp_rpc_failed(ngx_sp_rpc_call_t *call, ngx_sp_rpc_fault_e fault,
    const char *reason)
{
    ngx_sp_op_result_e  result;

    ngx_sp_rpc_clear(call->op, call->endpoint);

    call->op->fault = fault;
    call->op->status = call->fetch.status;

    /* the transfer was one of fetch, so there is room, or the worker ends */

    if (ngx_sp_fetch_room()) {
        ngx_log_error(NGX_LOG_ERR, call->op->op.log, 0,
                      "rpc: endpoint %ui of \"%V\" has failed, http status "
                      "%ui: %s", call->endpoint + 1, &call->rpc->name,
                      call->fetch.status, reason);

        ngx_sp_rpc_skip(call->rpc, call->endpoint);
        call->op->failed++;

        if (call->op->failed < call->rpc->endpoints.nelts) {
            call->endpoint = (call->endpoint + 1)
                             % call->rpc->endpoints.nelts;
            ngx_sp_rpc_send(call);
            return;
        }
    }

    result = (call->fetch.op.result == NGX_SP_OP_TIMEOUT)
             ? NGX_SP_OP_TIMEOUT : NGX_SP_OP_UNAVAILABLE;

    ngx_sp_rpc_finish(call, result, reason);
}


/* others may have gone on to the next one already */

static void
ngx_sp_rpc_skip(ngx_sp_rpc_t *rpc, ngx_uint_t endpoint)
{
    ngx_sp_rpc_endpoint_t  *endpoints;

    endpoints = rpc->endpoints.elts;
    endpoints[endpoint].checked = 0;

    if (rpc->first == endpoint) {
        rpc->first = (endpoint + 1) % rpc->endpoints.nelts;
    }
}


/* statuses about whom the endpoint serves, not about the call */

static ngx_uint_t
ngx_sp_rpc_refuses(ngx_uint_t status)
{
    return status == 401 || status == 403 || status == 429
           || (status >= 502 && status <= 504);
}


/*
 * Codes of the same in an error object, often with status 200: "limit
 * exceeded" of EIP-1474, and what hosted nodes have of their own
 */

static ngx_uint_t
ngx_sp_rpc_is_limit(int64_t code)
{
    return code == -32005 || code == -32007 || code == -32016 || code == 429;
}


static ngx_sp_rpc_fault_e
ngx_sp_rpc_read(ngx_sp_rpc_call_t *call, const char **reason)
{
    ngx_sp_fetch_op_t   *fetch;
    ngx_sp_rpc_fault_e   fault;

    fetch = &call->fetch;

    if (fetch->op.result != NGX_SP_OP_OK) {
        *reason = (const char *) fetch->op.reason.data;

        /* rejected, and sent: there was more of it than we read */

        return (fetch->op.result == NGX_SP_OP_REJECTED && fetch->op.sent)
               ? NGX_SP_RPC_TOO_LARGE : NGX_SP_RPC_TRANSPORT;
    }

    if (ngx_sp_rpc_refuses(fetch->status)) {
        *reason = "it serves no calls";
        return NGX_SP_RPC_HTTP;
    }

    fault = ngx_sp_rpc_read_answer(call, reason);

    return (fault == NGX_SP_RPC_MALFORMED && fetch->status != 200)
           ? NGX_SP_RPC_HTTP : fault;
}


static ngx_sp_rpc_fault_e
ngx_sp_rpc_read_answer(ngx_sp_rpc_call_t *call, const char **reason)
{
    size_t   len;
    json_t  *error, *id;

    json_decref(call->root);

    /*
     * Not sp_json_parse(): nodes put the arguments of a contract's error into
     * their messages, NUL characters included, and a contract must not be
     * able to make the answer about its own call unreadable.
     */

    call->root = json_loadb((char *) call->fetch.response.data,
                            call->fetch.response.len,
                            JSON_REJECT_DUPLICATES|JSON_ALLOW_NUL, NULL);

    if (call->root == NULL) {
        *reason = "the answer is not JSON";
        return NGX_SP_RPC_MALFORMED;
    }

    id = json_object_get(call->root, "id");
    error = json_object_get(call->root, "error");

    /* a node that could not read the call does not know its id */

    if (!(json_is_integer(id)
          && (uint64_t) json_integer_value(id) == call->id)
        && !(json_is_null(id) && json_is_object(error)))
    {
        *reason = "the answer is to another call";
        return NGX_SP_RPC_MALFORMED;
    }

    if (json_is_object(error)) {
        *reason = "the node says no";
        call->op->code = json_integer_value(json_object_get(error, "code"));
        call->op->message.data = (u_char *) sp_json_string(error, "message",
                                                           &len);
        call->op->message.len = (call->op->message.data != NULL) ? len : 0;
        call->op->data = json_object_get(error, "data");
        return NGX_SP_RPC_ERROR;
    }

    call->op->answer = json_object_get(call->root, "result");

    if (call->op->answer == NULL) {
        *reason = "the answer has neither result nor error";
        return NGX_SP_RPC_MALFORMED;
    }

    return NGX_SP_RPC_NONE;
}
