
/*
 * Copyright (C) Sallyport authors
 *
 * JSON-RPC calls of the runner, and what the answers of nodes mean.
 */


#include "ngx_http_sp_mint.h"


#define NGX_HTTP_SP_MINT_RPC_BODY    1048576
#define NGX_HTTP_SP_MINT_REASON_MAX  256


typedef struct {
    ngx_http_sp_mint_rpc_e   rpc;
    const char              *text;           /* in lower case */
} ngx_http_sp_mint_error_t;


static void ngx_http_sp_mint_rpc_done(ngx_sp_op_t *op);
static ngx_http_sp_mint_rpc_e ngx_http_sp_mint_rpc_read(
    ngx_http_sp_mint_run_t *run);
static ngx_http_sp_mint_rpc_e ngx_http_sp_mint_rpc_error(
    ngx_http_sp_mint_run_t *run, json_t *error);
static ngx_int_t ngx_http_sp_mint_rpc_revert(ngx_http_sp_mint_run_t *run,
    json_t *error);
static void ngx_http_sp_mint_rpc_free(void *data);


/*
 * The first match decides.  Codes tell nothing: every client has its own.
 * A revert comes first, because a contract may quote any of the others.
 */

static const ngx_http_sp_mint_error_t  ngx_http_sp_mint_errors[] = {
    { NGX_HTTP_SP_MINT_RPC_REVERT, "execution reverted" },
    { NGX_HTTP_SP_MINT_RPC_REVERT, "vm exception" },

    { NGX_HTTP_SP_MINT_RPC_KNOWN, "already known" },
    { NGX_HTTP_SP_MINT_RPC_KNOWN, "already imported" },
    { NGX_HTTP_SP_MINT_RPC_KNOWN, "alreadyknown" },
    { NGX_HTTP_SP_MINT_RPC_KNOWN, "existing txn with same hash" },
    { NGX_HTTP_SP_MINT_RPC_ERROR, "unknown transaction" },
    { NGX_HTTP_SP_MINT_RPC_KNOWN, "known transaction" },

    { NGX_HTTP_SP_MINT_RPC_NONCE_LOW, "nonce too low" },
    { NGX_HTTP_SP_MINT_RPC_NONCE_LOW, "nonce is too low" },
    { NGX_HTTP_SP_MINT_RPC_NONCE_LOW, "oldnonce" },
    { NGX_HTTP_SP_MINT_RPC_NONCE_LOW, "ownnoncealreadyused" },
    { NGX_HTTP_SP_MINT_RPC_NONCE_LOW, "invalid transaction nonce" },

    { NGX_HTTP_SP_MINT_RPC_UNDERPRICED, "replacement transaction" },
    { NGX_HTTP_SP_MINT_RPC_UNDERPRICED, "could not replace existing" },
    { NGX_HTTP_SP_MINT_RPC_UNDERPRICED, "replacementnotallowed" },
    { NGX_HTTP_SP_MINT_RPC_UNDERPRICED, "feetoolowtocompete" },

    { NGX_HTTP_SP_MINT_RPC_FUNDS, "insufficient funds" },
    { NGX_HTTP_SP_MINT_RPC_FUNDS, "upfront cost exceeds" },

    { NGX_HTTP_SP_MINT_RPC_ERROR, NULL }
};


void
ngx_http_sp_mint_rpc(ngx_http_sp_mint_run_t *run, const char *method,
    const ngx_str_t *params, ngx_http_sp_mint_run_pt done)
{
    size_t      size;
    ngx_str_t  *url;

    static const ngx_str_t  headers[] = {
        ngx_string("Content-Type: application/json"),
        ngx_string("Accept: application/json")
    };

    ngx_memzero(&run->fetch, sizeof(ngx_sp_fetch_op_t));

    size = sizeof("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\",\"params\":}")
           + ngx_strlen(method) + params->len;

    run->fetch.body = ngx_http_sp_mint_text(run, size,
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%V}",
        method, params);

    if (run->fetch.body.data == NULL || params->data == NULL) {
        ngx_http_sp_mint_leave(run, 1000, "out of memory");
        return;
    }

    url = run->chain->rpc->elts;

    run->done = done;
    run->fetch.url = url[run->endpoint];
    run->fetch.headers = headers;
    run->fetch.nheaders = 2;
    run->fetch.max_body = NGX_HTTP_SP_MINT_RPC_BODY;
    run->fetch.op.done = ngx_http_sp_mint_rpc_done;
    run->fetch.op.data = run;
    run->fetch.op.timeout = run->chain->rpc_timeout;
    run->fetch.op.log = run->job->log;

    ngx_sp_fetch_submit(&run->fetch);
}


void
ngx_http_sp_mint_rpc_text(ngx_http_sp_mint_run_t *run, const char *method,
    const ngx_str_t *text, ngx_http_sp_mint_run_pt done)
{
    ngx_str_t  params;

    params = ngx_http_sp_mint_text(run, text->len + 8, "[\"%V\"]", text);

    ngx_http_sp_mint_rpc(run, method, &params, done);
}


void
ngx_http_sp_mint_rpc_count(ngx_http_sp_mint_run_t *run, const char *block,
    ngx_http_sp_mint_run_pt done)
{
    ngx_str_t  params;

    params = ngx_http_sp_mint_text(run, 128, "[\"%V\",\"%s\"]",
                                   &run->chain->signer_text, block);

    ngx_http_sp_mint_rpc(run, "eth_getTransactionCount", &params, done);
}


ngx_int_t
ngx_http_sp_mint_rpc_uint(ngx_http_sp_mint_run_t *run, uint64_t *n)
{
    *n = 0;

    if (run->rpc != NGX_HTTP_SP_MINT_RPC_OK || !json_is_string(run->answer)) {
        return NGX_ERROR;
    }

    if (sp_u256_hex_uint64(n, json_string_value(run->answer),
                           json_string_length(run->answer))
        != SP_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_sp_mint_rpc_done(ngx_sp_op_t *op)
{
    ngx_http_sp_mint_run_t  *run;

    run = op->data;

    run->answer = NULL;
    ngx_str_null(&run->reason);

    run->rpc = ngx_http_sp_mint_rpc_read(run);

    if (run->rpc == NGX_HTTP_SP_MINT_RPC_ERROR
        || run->rpc == NGX_HTTP_SP_MINT_RPC_UNKNOWN)
    {
        ngx_log_error(NGX_LOG_ERR, run->job->log, 0,
                      "mint: chain \"%V\" endpoint %ui failed in state %s, "
                      "http status %ui, \"%V\"", &run->chain->name,
                      run->endpoint + 1,
                      ngx_http_sp_mint_state_name(run->state),
                      run->fetch.status, &run->reason);

        ngx_sp_metric_add(run->chain->rpc_errors, 1);

        /* the next call goes to the next one, if it is of the same chain */

        if (run->chain->rpc->nelts > 1) {
            run->endpoint = (run->endpoint + 1) % run->chain->rpc->nelts;
            run->unchecked = 1;
        }
    }

    run->done(run);
}


/* a status other than 200 may still carry an error object */

static ngx_http_sp_mint_rpc_e
ngx_http_sp_mint_rpc_read(ngx_http_sp_mint_run_t *run)
{
    json_t              *error, *root;
    ngx_pool_cleanup_t  *cln;

    if (run->fetch.op.result != NGX_SP_OP_OK) {
        run->reason = ngx_http_sp_mint_text(run, NGX_HTTP_SP_MINT_REASON_MAX,
                                            "%V", &run->fetch.op.reason);
        return NGX_HTTP_SP_MINT_RPC_UNKNOWN;
    }

    /*
     * Not sp_json_parse(): nodes put the arguments of a contract's error into
     * their messages, NUL characters included, and a contract must not be
     * able to make the answer about its own call unreadable.
     */

    root = json_loadb((char *) run->fetch.response.data,
                      run->fetch.response.len,
                      JSON_REJECT_DUPLICATES|JSON_ALLOW_NUL, NULL);

    if (root == NULL) {
        ngx_str_set(&run->reason, "the answer is not JSON");

        /* a proxy's error page, or what a node says about this very call */

        return (run->fetch.status == NGX_HTTP_OK)
               ? NGX_HTTP_SP_MINT_RPC_ERROR : NGX_HTTP_SP_MINT_RPC_UNKNOWN;
    }

    cln = ngx_pool_cleanup_add(run->item.pool, 0);
    if (cln == NULL) {
        json_decref(root);
        return NGX_HTTP_SP_MINT_RPC_UNKNOWN;
    }

    cln->handler = ngx_http_sp_mint_rpc_free;
    cln->data = root;

    error = json_object_get(root, "error");

    if (error != NULL && !json_is_null(error)) {
        return ngx_http_sp_mint_rpc_error(run, error);
    }

    run->answer = json_object_get(root, "result");

    if (run->answer == NULL) {
        ngx_str_set(&run->reason, "the answer has neither result nor error");
        return NGX_HTTP_SP_MINT_RPC_UNKNOWN;
    }

    return NGX_HTTP_SP_MINT_RPC_OK;
}


static ngx_http_sp_mint_rpc_e
ngx_http_sp_mint_rpc_error(ngx_http_sp_mint_run_t *run, json_t *error)
{
    size_t                           i, len;
    u_char                          *lower;
    const char                      *message;
    const ngx_http_sp_mint_error_t  *e;

    message = sp_json_string(error, "message", &len);

    if (message == NULL) {
        message = "";
    }

    len = ngx_min(len, NGX_HTTP_SP_MINT_REASON_MAX);

    lower = ngx_pnalloc(run->item.pool, 2 * len + 2);
    if (lower == NULL) {
        return NGX_HTTP_SP_MINT_RPC_UNKNOWN;
    }

    /* a node's text goes to logs and clients: printable ASCII only */

    run->reason.data = lower + len + 1;
    run->reason.len = len;

    for (i = 0; i < len; i++) {
        run->reason.data[i] = (message[i] >= 0x20 && message[i] < 0x7f)
                              ? (u_char) message[i] : '?';
        lower[i] = ngx_tolower(run->reason.data[i]);
    }

    lower[len] = '\0';

    if (ngx_http_sp_mint_rpc_revert(run, error) == NGX_OK) {
        return NGX_HTTP_SP_MINT_RPC_REVERT;
    }

    for (e = ngx_http_sp_mint_errors; e->text != NULL; e++) {
        if (ngx_strstr(lower, e->text) != NULL) {
            break;
        }
    }

    return e->rpc;
}


/* code 3 with revert data, which says more than the message */

static ngx_int_t
ngx_http_sp_mint_rpc_revert(ngx_http_sp_mint_run_t *run, json_t *error)
{
    char         text[NGX_HTTP_SP_MINT_REASON_MAX];
    size_t       data_len, len;
    uint8_t     *data;
    ngx_str_t    reason;
    const char  *hex;

    hex = sp_json_string(error, "data", &len);

    if (json_integer_value(json_object_get(error, "code")) != 3
        || hex == NULL)
    {
        return NGX_DECLINED;
    }

    data = ngx_pnalloc(run->item.pool, len / 2 + 1);

    if (data == NULL
        || sp_hex_decode_data(data, len / 2 + 1, &data_len, hex, len)
           != SP_OK)
    {
        return NGX_DECLINED;
    }

    reason.data = (u_char *) text;
    reason.len = sp_abi_revert(text, sizeof(text), data, data_len);

    run->reason = ngx_http_sp_mint_text(run, reason.len, "%V", &reason);

    return NGX_OK;
}


static void
ngx_http_sp_mint_rpc_free(void *data)
{
    json_decref(data);
}


ngx_str_t
ngx_http_sp_mint_text(ngx_http_sp_mint_run_t *run, size_t size,
    const char *fmt, ...)
{
    va_list    args;
    ngx_str_t  text;

    ngx_str_null(&text);

    text.data = ngx_pnalloc(run->item.pool, size + 1);
    if (text.data == NULL) {
        return text;
    }

    va_start(args, fmt);
    text.len = ngx_vslprintf(text.data, text.data + size, fmt, args)
               - text.data;
    va_end(args);

    return text;
}


ngx_str_t
ngx_http_sp_mint_hex(ngx_pool_t *pool, const uint8_t *bytes, size_t len)
{
    ngx_str_t  text;

    ngx_str_null(&text);

    text.data = ngx_pnalloc(pool, 2 * len + 2);
    if (text.data == NULL) {
        return text;
    }

    text.data[0] = '0';
    text.data[1] = 'x';
    sp_hex_encode((char *) text.data + 2, bytes, len);
    text.len = 2 * len + 2;

    return text;
}
