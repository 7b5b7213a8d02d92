
/*
 * Copyright (C) Sallyport authors
 *
 * From an accepted authorization to bytes that were sent.  No nonce is spent
 * on a call that is known to revert.
 */


#include "ngx_http_sp_mint.h"


#define NGX_HTTP_SP_MINT_FEES_FRESH  3000
#define NGX_HTTP_SP_MINT_FEE_BLOCKS  5


static void ngx_http_sp_mint_nonce_done(ngx_http_sp_mint_run_t *run);
static void ngx_http_sp_mint_estimate_done(ngx_http_sp_mint_run_t *run);
static void ngx_http_sp_mint_fees_done(ngx_http_sp_mint_run_t *run);
static ngx_int_t ngx_http_sp_mint_read_fees(ngx_http_sp_mint_run_t *run);
static uint64_t ngx_http_sp_mint_market_tip(
    const ngx_http_sp_mint_t *mint, json_t *rewards);
static void ngx_http_sp_mint_priced(ngx_http_sp_mint_run_t *run);
static void ngx_http_sp_mint_send_done(ngx_http_sp_mint_run_t *run);
static ngx_int_t ngx_http_sp_mint_calldata(ngx_http_sp_mint_run_t *run,
    ngx_str_t *data);
static int ngx_libc_cdecl ngx_http_sp_mint_compare(const void *one,
    const void *two);


/* once in the life of a lane; after that the database counts */

void
ngx_http_sp_mint_nonce(ngx_http_sp_mint_run_t *run)
{
    ngx_http_sp_mint_rpc_count(run, "pending", ngx_http_sp_mint_nonce_done);
}


static void
ngx_http_sp_mint_nonce_done(ngx_http_sp_mint_run_t *run)
{
    if (ngx_http_sp_mint_rpc_uint(run, &run->count) != NGX_OK) {
        ngx_http_sp_mint_no_answer(run);
        return;
    }

    run->failures = 0;
    ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_INIT);
}


void
ngx_http_sp_mint_estimate(ngx_http_sp_mint_run_t *run)
{
    ngx_str_t  data, params;

    if (ngx_http_sp_mint_calldata(run, &data) != NGX_OK) {
        ngx_http_sp_mint_leave(run, 1000, "out of memory");
        return;
    }

    params = ngx_http_sp_mint_text(run, data.len + 256,
                 "[{\"from\":\"%V\",\"to\":\"%V\",\"data\":\"%V\"}]",
                 &run->mint->signer_text, &run->mint->contract_text, &data);

    ngx_http_sp_mint_rpc(run, "eth_estimateGas", &params,
                         ngx_http_sp_mint_estimate_done);
}


static void
ngx_http_sp_mint_estimate_done(ngx_http_sp_mint_run_t *run)
{
    uint64_t   gas;
    ngx_str_t  reason;

    if (run->rpc == NGX_HTTP_SP_MINT_RPC_UNKNOWN) {
        ngx_http_sp_mint_no_answer(run);
        return;
    }

    if (run->rpc == NGX_HTTP_SP_MINT_RPC_REVERT) {
        ngx_sp_metric_add(run->mint->failed, 1);
        ngx_http_sp_mint_move_reason(run, "failed", &run->reason);
        return;
    }

    if (ngx_http_sp_mint_rpc_uint(run, &gas) != NGX_OK || gas == 0) {
        /* about this mint or the node: others of the lane go on */

        ngx_http_sp_mint_defer(run, 0, NGX_HTTP_SP_MINT_LONG);
        return;
    }

    run->failures = 0;

    if (gas > run->mint->max_gas) {
        reason = ngx_http_sp_mint_text(run, 128,
                     "needs %uL gas, max_gas is %ui", gas,
                     run->mint->max_gas);
        ngx_sp_metric_add(run->mint->failed, 1);
        ngx_http_sp_mint_move_reason(run, "failed", &reason);
        return;
    }

    /* the state may differ when it is mined: a fifth more, inside the cap */

    run->item.gas = ngx_min(gas + gas / 5, run->mint->max_gas);

    ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_FEES);
}


void
ngx_http_sp_mint_fees(ngx_http_sp_mint_run_t *run)
{
    ngx_str_t  params;

    if (run->fees
        && ngx_current_msec - run->fees_at < NGX_HTTP_SP_MINT_FEES_FRESH)
    {
        ngx_http_sp_mint_priced(run);
        return;
    }

    params = ngx_http_sp_mint_text(run, 64, "[\"0x%xd\",\"latest\",[50]]",
                                   NGX_HTTP_SP_MINT_FEE_BLOCKS);

    ngx_http_sp_mint_rpc(run, "eth_feeHistory", &params,
                         ngx_http_sp_mint_fees_done);
}


static void
ngx_http_sp_mint_fees_done(ngx_http_sp_mint_run_t *run)
{
    if (run->rpc == NGX_HTTP_SP_MINT_RPC_UNKNOWN) {
        ngx_http_sp_mint_no_answer(run);
        return;
    }

    if (run->rpc != NGX_HTTP_SP_MINT_RPC_OK
        || ngx_http_sp_mint_read_fees(run) != NGX_OK)
    {
        ngx_http_sp_mint_defer(run, 0, NGX_HTTP_SP_MINT_LONG);
        return;
    }

    run->failures = 0;
    ngx_http_sp_mint_priced(run);
}


/* cap: six full blocks of rising base fee, and the tip */

static ngx_int_t
ngx_http_sp_mint_read_fees(ngx_http_sp_mint_run_t *run)
{
    size_t                           n;
    json_t                          *base, *bases;
    uint64_t                         fee;
    const ngx_http_sp_mint_t  *mint;

    mint = run->mint;
    bases = json_object_get(run->answer, "baseFeePerGas");
    n = json_array_size(bases);

    /* the last one is that of the next block */

    base = (n != 0) ? json_array_get(bases, n - 1) : NULL;

    if (!json_is_string(base)
        || sp_u256_hex_uint64(&fee, json_string_value(base),
                              json_string_length(base))
           != SP_OK)
    {
        ngx_log_error(NGX_LOG_ERR, run->job->log, 0,
                      "mint: chain \"%V\" tells no base fee",
                      &mint->chain->name);
        return NGX_ERROR;
    }

    if (fee >= mint->max_fee) {
        ngx_log_error(NGX_LOG_WARN, run->job->log, 0,
                      "mint: chain \"%V\" waits, the base fee is %uL, max_fee "
                      "is %uL", &mint->chain->name, fee, mint->max_fee);
        return NGX_DECLINED;
    }

    run->tip = ngx_http_sp_mint_market_tip(mint,
                   json_object_get(run->answer, "reward"));

    /* both are at most max_fee, which is below 2^53 */

    run->cap = ngx_min(2 * fee + run->tip, mint->max_fee);
    run->tip = ngx_min(run->tip, run->cap);
    run->fees_at = ngx_current_msec;
    run->fees = 1;

    return NGX_OK;
}


/* the median of what was paid; empty blocks say 0 and do not count */

static uint64_t
ngx_http_sp_mint_market_tip(const ngx_http_sp_mint_t *mint,
    json_t *rewards)
{
    size_t     i, n;
    json_t    *tip;
    uint64_t   tips[NGX_HTTP_SP_MINT_FEE_BLOCKS];

    n = 0;

    for (i = 0; i < json_array_size(rewards); i++) {

        tip = json_array_get(json_array_get(rewards, i), 0);

        if (n < NGX_HTTP_SP_MINT_FEE_BLOCKS
            && json_is_string(tip)
            && sp_u256_hex_uint64(&tips[n], json_string_value(tip),
                                  json_string_length(tip)) == SP_OK
            && tips[n] != 0)
        {
            n++;
        }
    }

    if (n == 0) {
        return mint->min_tip;
    }

    ngx_qsort(tips, n, sizeof(uint64_t), ngx_http_sp_mint_compare);

    return ngx_min(ngx_max(tips[n / 2], mint->min_tip), mint->max_fee);
}


static void
ngx_http_sp_mint_priced(ngx_http_sp_mint_run_t *run)
{
    ngx_http_sp_mint_set_state(run,
                               run->item.work == NGX_HTTP_SP_MINT_READY
                               ? NGX_HTTP_SP_MINT_ASSIGN
                               : NGX_HTTP_SP_MINT_SIGN);
}


void
ngx_http_sp_mint_sign(ngx_http_sp_mint_run_t *run)
{
    int              rc;
    size_t           len;
    uint8_t          hash[SP_KECCAK256_LEN], raw[NGX_HTTP_SP_MINT_RAW_MAX];
    sp_tx_t          tx;
    ngx_str_t        data, hash_text, raw_text;

    if (ngx_http_sp_mint_calldata(run, &data) != NGX_OK) {
        ngx_http_sp_mint_leave(run, 1000, "out of memory");
        return;
    }

    ngx_memzero(&tx, sizeof(sp_tx_t));

    tx.chain_id = run->mint->chain->id;
    tx.nonce = run->item.nonce;
    tx.gas = run->item.gas;
    sp_u256_set(&tx.tip, run->tip);
    sp_u256_set(&tx.cap, run->cap);
    ngx_memcpy(tx.to, run->mint->contract, SP_ETH_ADDRESS_LEN);

    /* the text becomes its bytes again, in place */

    (void) sp_hex_decode_data(data.data, data.len, &tx.data_len,
                              (char *) data.data, data.len);
    tx.data = data.data;

    rc = sp_tx_sign(run->mmcf->secp, raw, sizeof(raw), &len, hash, &tx,
                    run->mint->key);

    if (rc != SP_OK) {
        ngx_log_error(NGX_LOG_ALERT, run->job->log, 0,
                      "mint: \"%V\" cannot be signed", &run->item.id);
        ngx_http_sp_mint_leave(run, NGX_HTTP_SP_MINT_LONG, "cannot sign");
        return;
    }

    hash_text = ngx_http_sp_mint_hex(run->item.pool, hash, sizeof(hash));
    raw_text = ngx_http_sp_mint_hex(run->item.pool, raw, len);

    if (hash_text.data == NULL || raw_text.data == NULL) {
        ngx_http_sp_mint_leave(run, 1000, "out of memory");
        return;
    }

    ngx_http_sp_mint_store_signed(run, &hash_text, &raw_text);
}


void
ngx_http_sp_mint_send(ngx_http_sp_mint_run_t *run)
{
    ngx_http_sp_mint_rpc_text(run, "eth_sendRawTransaction", &run->item.raw,
                              ngx_http_sp_mint_send_done);
}


/*
 * Whatever is said here, the nonce stays with this mint: what became of the
 * bytes is learned from the chain, and until then they are sent again.
 */

static void
ngx_http_sp_mint_send_done(ngx_http_sp_mint_run_t *run)
{
    switch (run->rpc) {

    case NGX_HTTP_SP_MINT_RPC_OK:
    case NGX_HTTP_SP_MINT_RPC_KNOWN:
        run->failures = 0;
        run->item.acknowledged = 1;
        break;

    case NGX_HTTP_SP_MINT_RPC_FUNDS:
        ngx_log_error(NGX_LOG_CRIT, run->job->log, 0,
                      "mint: the signer %V of chain \"%V\" cannot pay: \"%V\"",
                      &run->mint->signer_text, &run->mint->chain->name,
                      &run->reason);
        ngx_http_sp_mint_defer(run, 0, NGX_HTTP_SP_MINT_LONG);
        return;

    case NGX_HTTP_SP_MINT_RPC_NONCE_LOW:
    case NGX_HTTP_SP_MINT_RPC_UNDERPRICED:
        run->item.acknowledged = 0;
        break;

    default:
        ngx_sp_metric_add(run->mint->unknown_sends, 1);
        run->item.acknowledged = 0;
        break;
    }

    if (run->item.work == NGX_HTTP_SP_MINT_RECONCILE
        && !run->item.acknowledged)
    {
        ngx_http_sp_mint_defer(run, 0, run->mint->resend);
        return;
    }

    ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_SENT);
}


/* "0x" and the call of mint() as hex */

static ngx_int_t
ngx_http_sp_mint_calldata(ngx_http_sp_mint_run_t *run, ngx_str_t *data)
{
    size_t                    len;
    uint8_t                   call[NGX_HTTP_SP_MINT_CALL_MAX];
    uint8_t                   selector[SP_ABI_SELECTOR_LEN];
    sp_u256_t                 deadline;
    sp_abi_value_t            v[5];
    ngx_http_sp_mint_auth_t  *auth;

    auth = &run->item.auth;

    sp_u256_set(&deadline, auth->deadline);
    sp_abi_selector(selector, "mint(address,string,uint256,bytes32,bytes)");

    v[0].type = SP_ABI_ADDRESS;
    v[0].data = auth->wallet;
    v[0].len = SP_ETH_ADDRESS_LEN;

    v[1].type = SP_ABI_BYTES;
    v[1].data = auth->uri.data;
    v[1].len = auth->uri.len;

    v[2].type = SP_ABI_UINT;
    v[2].data = deadline.bytes;
    v[2].len = SP_U256_LEN;

    v[3].type = SP_ABI_FIXED;
    v[3].data = auth->salt;
    v[3].len = sizeof(auth->salt);

    v[4].type = SP_ABI_BYTES;
    v[4].data = auth->signature;
    v[4].len = sizeof(auth->signature);

    if (sp_abi_encode(call, sizeof(call), &len, selector, v, 5) != SP_OK) {
        return NGX_ERROR;
    }

    *data = ngx_http_sp_mint_hex(run->item.pool, call, len);

    return (data->data != NULL) ? NGX_OK : NGX_ERROR;
}


static int ngx_libc_cdecl
ngx_http_sp_mint_compare(const void *one, const void *two)
{
    const uint64_t  *a, *b;

    a = one;
    b = two;

    return (*a > *b) - (*a < *b);
}
