
/*
 * Copyright (C) Sallyport authors
 *
 * Calls of the runner, and what the answers of nodes mean.
 */


#include "ngx_http_sp_mint.h"


#define NGX_HTTP_SP_MINT_REASON_MAX  256


typedef struct {
    ngx_http_sp_mint_rpc_e   rpc;
    const char              *text;           /* in lower case */
} ngx_http_sp_mint_error_t;


static void ngx_http_sp_mint_rpc_done(ngx_sp_op_t *op);
static ngx_http_sp_mint_rpc_e ngx_http_sp_mint_rpc_read(
    ngx_http_sp_mint_run_t *run);
static ngx_http_sp_mint_rpc_e ngx_http_sp_mint_rpc_error(
    ngx_http_sp_mint_run_t *run);
static ngx_int_t ngx_http_sp_mint_rpc_revert(ngx_http_sp_mint_run_t *run);


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
    if (params->data == NULL) {
        ngx_http_sp_mint_leave(run, 1000, "out of memory");
        return;
    }

    ngx_memzero(&run->call, sizeof(ngx_sp_rpc_op_t));

    run->done = done;
    run->call.method = method;
    run->call.params = *params;
    run->call.op.done = ngx_http_sp_mint_rpc_done;
    run->call.op.data = run;
    run->call.op.log = run->job->log;

    ngx_sp_rpc_submit(&run->mint->chain->rpc, &run->call);
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
                                   &run->mint->signer_text, block);

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

    run->answer = run->call.answer;
    run->rpc = ngx_http_sp_mint_rpc_read(run);

    if (run->rpc == NGX_HTTP_SP_MINT_RPC_ERROR
        || run->rpc == NGX_HTTP_SP_MINT_RPC_UNKNOWN)
    {
        ngx_log_error(NGX_LOG_ERR, run->job->log, 0,
                      "mint: chain \"%V\" gives no answer in state %s, "
                      "endpoint %ui, http status %ui: \"%V\"",
                      &run->mint->chain->name,
                      ngx_http_sp_mint_state_name(run->state),
                      run->call.endpoint + 1, run->call.status,
                      &run->reason);
    }

    if (run->rpc == NGX_HTTP_SP_MINT_RPC_ERROR) {
        ngx_sp_rpc_distrust(&run->mint->chain->rpc, &run->call);
    }

    ngx_sp_metric_add(run->mint->rpc_errors, run->call.failed);

    run->done(run);
}


static ngx_http_sp_mint_rpc_e
ngx_http_sp_mint_rpc_read(ngx_http_sp_mint_run_t *run)
{
    ngx_str_null(&run->reason);

    switch (run->call.fault) {

    case NGX_SP_RPC_NONE:
        return NGX_HTTP_SP_MINT_RPC_OK;

    case NGX_SP_RPC_ERROR:
        return ngx_http_sp_mint_rpc_error(run);

    default:
        run->reason = ngx_http_sp_mint_text(run, NGX_HTTP_SP_MINT_REASON_MAX,
                                            "%V", &run->call.op.reason);

        /* it may be about this very call, so that others may be answered */

        return (run->call.fault == NGX_SP_RPC_TOO_LARGE
                || run->call.fault == NGX_SP_RPC_MALFORMED)
               ? NGX_HTTP_SP_MINT_RPC_ERROR : NGX_HTTP_SP_MINT_RPC_UNKNOWN;
    }
}


static ngx_http_sp_mint_rpc_e
ngx_http_sp_mint_rpc_error(ngx_http_sp_mint_run_t *run)
{
    size_t                           i, len;
    u_char                          *lower;
    const u_char                    *message;
    const ngx_http_sp_mint_error_t  *e;

    message = run->call.message.data;
    len = ngx_min(run->call.message.len, NGX_HTTP_SP_MINT_REASON_MAX);

    lower = ngx_pnalloc(run->item.pool, 2 * len + 2);
    if (lower == NULL) {
        return NGX_HTTP_SP_MINT_RPC_UNKNOWN;
    }

    /* a node's text goes to logs and clients: printable ASCII only */

    run->reason.data = lower + len + 1;
    run->reason.len = len;

    for (i = 0; i < len; i++) {
        run->reason.data[i] = (message[i] >= 0x20 && message[i] < 0x7f)
                              ? message[i] : '?';
        lower[i] = ngx_tolower(run->reason.data[i]);
    }

    lower[len] = '\0';

    if (ngx_http_sp_mint_rpc_revert(run) == NGX_OK) {
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
ngx_http_sp_mint_rpc_revert(ngx_http_sp_mint_run_t *run)
{
    char         text[NGX_HTTP_SP_MINT_REASON_MAX];
    size_t       data_len, len;
    uint8_t     *data;
    ngx_str_t    reason;
    const char  *hex;

    hex = json_string_value(run->call.data);

    if (run->call.code != 3 || hex == NULL) {
        return NGX_DECLINED;
    }

    len = json_string_length(run->call.data);
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
