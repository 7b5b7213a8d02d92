
/*
 * Copyright (C) Sallyport authors
 *
 * What became of the bytes that were sent.  Only a receipt says "mined"; a
 * missing one proves nothing, nodes lag.
 */


#include "ngx_http_sp_mint.h"


/* looks in a row before a verdict without a receipt */
#define NGX_HTTP_SP_MINT_LOOKS_SENT       2
#define NGX_HTTP_SP_MINT_LOOKS_RECONCILE  3


typedef struct {
    uint64_t                 number;
    uint64_t                 gas_used;
    sp_u256_t                gas_price;
    uint8_t                  hash[32];
    sp_u256_t                token_id;
    unsigned                 succeeded:1;
    unsigned                 token:1;
} ngx_http_sp_mint_receipt_t;


static void ngx_http_sp_mint_head_done(ngx_http_sp_mint_run_t *run);
static void ngx_http_sp_mint_receipt_done(ngx_http_sp_mint_run_t *run);
static void ngx_http_sp_mint_no_receipt(ngx_http_sp_mint_run_t *run);
static ngx_int_t ngx_http_sp_mint_read_receipt(ngx_http_sp_mint_run_t *run,
    ngx_http_sp_mint_receipt_t *receipt);
static void ngx_http_sp_mint_find_token(ngx_http_sp_mint_run_t *run,
    ngx_http_sp_mint_receipt_t *receipt, json_t *logs);
static ngx_int_t ngx_http_sp_mint_read_log(ngx_http_sp_mint_run_t *run,
    json_t *value, sp_abi_log_t *log);
static void ngx_http_sp_mint_mined(ngx_http_sp_mint_run_t *run,
    ngx_http_sp_mint_receipt_t *receipt);
static void ngx_http_sp_mint_confirm(ngx_http_sp_mint_run_t *run,
    ngx_http_sp_mint_receipt_t *receipt);
static void ngx_http_sp_mint_count_done(ngx_http_sp_mint_run_t *run);
static void ngx_http_sp_mint_used_done(ngx_http_sp_mint_run_t *run);
static void ngx_http_sp_mint_logs_done(ngx_http_sp_mint_run_t *run);
static ngx_int_t ngx_http_sp_mint_member_uint(json_t *object,
    const char *name, uint64_t *n);
static ngx_int_t ngx_http_sp_mint_member_hash(json_t *object,
    const char *name, uint8_t *hash);


/* the head first: a node that is behind the block we know gives no verdict */

void
ngx_http_sp_mint_head(ngx_http_sp_mint_run_t *run)
{
    static ngx_str_t  params = ngx_string("[]");

    ngx_http_sp_mint_rpc(run, "eth_blockNumber", &params,
                         ngx_http_sp_mint_head_done);
}


static void
ngx_http_sp_mint_head_done(ngx_http_sp_mint_run_t *run)
{
    if (ngx_http_sp_mint_rpc_uint(run, &run->head) != NGX_OK) {
        ngx_http_sp_mint_no_answer(run);
        return;
    }

    run->failures = 0;

    if (run->head < run->item.block_number) {
        ngx_http_sp_mint_defer(run, 0, run->mint->poll);
        return;
    }

    ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_RECEIPT);
}


void
ngx_http_sp_mint_receipt(ngx_http_sp_mint_run_t *run)
{
    ngx_http_sp_mint_rpc_text(run, "eth_getTransactionReceipt",
                              &run->item.tx_hash,
                              ngx_http_sp_mint_receipt_done);
}


static void
ngx_http_sp_mint_receipt_done(ngx_http_sp_mint_run_t *run)
{
    ngx_http_sp_mint_receipt_t  receipt;

    if (run->rpc != NGX_HTTP_SP_MINT_RPC_OK) {
        ngx_http_sp_mint_no_answer(run);
        return;
    }

    if (json_is_null(run->answer)) {
        run->failures = 0;
        ngx_http_sp_mint_no_receipt(run);
        return;
    }

    if (ngx_http_sp_mint_read_receipt(run, &receipt) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, run->job->log, 0,
                      "mint: the receipt of %V cannot be read",
                      &run->item.tx_hash);
        ngx_http_sp_mint_no_answer(run);
        return;
    }

    run->failures = 0;

    if (run->item.work == NGX_HTTP_SP_MINT_MINED) {
        ngx_http_sp_mint_confirm(run, &receipt);
        return;
    }

    ngx_http_sp_mint_mined(run, &receipt);
}


static void
ngx_http_sp_mint_no_receipt(ngx_http_sp_mint_run_t *run)
{
    ngx_str_t  facts;

    if (run->item.work != NGX_HTTP_SP_MINT_MINED) {
        ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_COUNT);
        return;
    }

    /* it may have left between the two questions: is the head behind now? */

    if (!run->item.missed) {
        run->item.missed = 1;
        ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_HEAD);
        return;
    }

    /* the head is not behind, and the block we knew is not there any more */

    ngx_log_error(NGX_LOG_WARN, run->job->log, 0,
                  "mint: \"%V\" left the chain \"%V\" in a reorganization of "
                  "block %uL", &run->item.id, &run->mint->chain->name,
                  run->item.block_number);

    ngx_sp_metric_add(run->mint->reorgs, 1);

    ngx_str_set(&facts, "{\"block_number\":null,\"block_hash\":null,"
                        "\"succeeded\":null,\"token_id\":null}");

    ngx_http_sp_mint_move(run, "sent", facts, 0);
}


static ngx_int_t
ngx_http_sp_mint_read_receipt(ngx_http_sp_mint_run_t *run,
    ngx_http_sp_mint_receipt_t *receipt)
{
    size_t       len;
    json_t      *answer;
    uint64_t     status;
    const char  *price;

    ngx_memzero(receipt, sizeof(ngx_http_sp_mint_receipt_t));

    answer = run->answer;

    if (ngx_http_sp_mint_member_uint(answer, "status", &status) != NGX_OK
        || status > 1
        || ngx_http_sp_mint_member_uint(answer, "blockNumber",
                                        &receipt->number) != NGX_OK
        || ngx_http_sp_mint_member_uint(answer, "gasUsed",
                                        &receipt->gas_used) != NGX_OK
        || ngx_http_sp_mint_member_hash(answer, "blockHash", receipt->hash)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    price = sp_json_string(answer, "effectiveGasPrice", &len);

    if (price != NULL) {
        (void) sp_u256_from_hex(&receipt->gas_price, price, len);
    }

    receipt->succeeded = (status == 1);

    if (receipt->succeeded) {
        ngx_http_sp_mint_find_token(run, receipt,
                                    json_object_get(answer, "logs"));
    }

    return NGX_OK;
}


/* our contract's Transfer from nobody to the wallet */

static void
ngx_http_sp_mint_find_token(ngx_http_sp_mint_run_t *run,
    ngx_http_sp_mint_receipt_t *receipt, json_t *logs)
{
    size_t             i;
    sp_abi_log_t       log;
    sp_abi_transfer_t  transfer;

    static const uint8_t  nobody[SP_ETH_ADDRESS_LEN];

    for (i = 0; i < json_array_size(logs); i++) {

        if (ngx_http_sp_mint_read_log(run, json_array_get(logs, i), &log)
            != NGX_OK
            || ngx_memcmp(log.address, run->mint->contract,
                          SP_ETH_ADDRESS_LEN) != 0
            || sp_abi_transfer(&log, &transfer) != SP_OK)
        {
            continue;
        }

        if (ngx_memcmp(transfer.from, nobody, SP_ETH_ADDRESS_LEN) == 0
            && ngx_memcmp(transfer.to, run->item.auth.wallet,
                          SP_ETH_ADDRESS_LEN) == 0)
        {
            receipt->token_id = transfer.token_id;
            receipt->token = 1;
            return;
        }
    }
}


static ngx_int_t
ngx_http_sp_mint_read_log(ngx_http_sp_mint_run_t *run, json_t *value,
    sp_abi_log_t *log)
{
    size_t       i, len;
    json_t      *topic, *topics;
    const char  *address;

    ngx_memzero(log, sizeof(sp_abi_log_t));

    address = sp_json_string(value, "address", &len);

    if (address == NULL
        || json_is_true(json_object_get(value, "removed"))
        || sp_hex_decode_fixed(log->address, SP_ETH_ADDRESS_LEN, address, len)
           != SP_OK)
    {
        return NGX_ERROR;
    }

    topics = json_object_get(value, "topics");
    log->ntopics = json_array_size(topics);

    if (log->ntopics > SP_ABI_TOPICS) {
        return NGX_ERROR;
    }

    for (i = 0; i < log->ntopics; i++) {

        topic = json_array_get(topics, i);

        if (!json_is_string(topic)
            || sp_hex_decode_fixed(log->topics[i], SP_ABI_WORD,
                                   json_string_value(topic),
                                   json_string_length(topic))
               != SP_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_sp_mint_mined(ngx_http_sp_mint_run_t *run,
    ngx_http_sp_mint_receipt_t *receipt)
{
    size_t      n;
    u_char      price[SP_U256_DECIMAL_MAX], token[SP_U256_DECIMAL_MAX + 2];
    ngx_str_t   facts, hash, price_text, token_text;

    ngx_str_set(&token_text, "null");

    if (receipt->token) {
        n = sp_u256_to_decimal((char *) token + 1, &receipt->token_id);
        token[0] = '"';
        token[n + 1] = '"';
        token_text.data = token;
        token_text.len = n + 2;
    }

    price_text.data = price;
    price_text.len = sp_u256_to_decimal((char *) price, &receipt->gas_price);

    hash = ngx_http_sp_mint_hex(run->item.pool, receipt->hash, 32);
    if (hash.data == NULL) {
        ngx_http_sp_mint_leave(run, 1000, "out of memory");
        return;
    }

    facts = ngx_http_sp_mint_text(run, 512,
                "{\"block_number\":%uL,\"block_hash\":\"%V\","
                "\"succeeded\":%s,\"token_id\":%V,\"gas_used\":%uL,"
                "\"gas_price\":\"%V\"}",
                receipt->number, &hash,
                receipt->succeeded ? "true" : "false", &token_text,
                receipt->gas_used, &price_text);

    ngx_http_sp_mint_move(run, "mined", facts, 0);
}


/* still in the same block, and deep enough? */

static void
ngx_http_sp_mint_confirm(ngx_http_sp_mint_run_t *run,
    ngx_http_sp_mint_receipt_t *receipt)
{
    ngx_str_t  hash, reason;

    hash = ngx_http_sp_mint_hex(run->item.pool, receipt->hash, 32);
    if (hash.data == NULL) {
        ngx_http_sp_mint_leave(run, 1000, "out of memory");
        return;
    }

    if (hash.len != run->item.block_hash.len
        || ngx_strncmp(hash.data, run->item.block_hash.data, hash.len) != 0)
    {
        ngx_log_error(NGX_LOG_WARN, run->job->log, 0,
                      "mint: \"%V\" was moved to another block, %uL",
                      &run->item.id, receipt->number);
        ngx_sp_metric_add(run->mint->reorgs, 1);
        ngx_http_sp_mint_mined(run, receipt);
        return;
    }

    if (run->head - receipt->number + 1 < run->mint->chain->confirmations) {
        ngx_http_sp_mint_defer(run, 0, run->mint->poll);
        return;
    }

    if (receipt->succeeded && receipt->token) {
        ngx_sp_metric_add(run->mint->confirmed, 1);
        ngx_str_set(&reason, "{}");
        ngx_http_sp_mint_move(run, "confirmed", reason, 0);
        return;
    }

    if (receipt->succeeded) {
        ngx_str_set(&reason, "the transaction has no Transfer to the wallet");

    } else {
        ngx_str_set(&reason, "the transaction was reverted");
    }

    ngx_sp_metric_add(run->mint->reverted, 1);
    ngx_http_sp_mint_move_reason(run, "reverted", &reason);
}


/*
 * Without a receipt: has the chain used up the nonce?  For "sent" the latest
 * block may raise the question, for "reconcile" only a final one answers.
 */

void
ngx_http_sp_mint_count(ngx_http_sp_mint_run_t *run)
{
    const char  *block;

    block = (run->item.work == NGX_HTTP_SP_MINT_RECONCILE) ? "finalized"
                                                            : "latest";

    ngx_http_sp_mint_rpc_count(run, block, ngx_http_sp_mint_count_done);
}


static void
ngx_http_sp_mint_count_done(ngx_http_sp_mint_run_t *run)
{
    ngx_str_t                 facts;
    ngx_http_sp_mint_item_t  *item;

    item = &run->item;

    if (ngx_http_sp_mint_rpc_uint(run, &run->count) != NGX_OK) {
        ngx_http_sp_mint_no_answer(run);
        return;
    }

    run->failures = 0;

    if (run->count <= item->nonce) {

        if (!item->acknowledged || item->since_sent >= run->mint->resend) {
            ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_SEND);
            return;
        }

        ngx_http_sp_mint_defer(run, 0, run->mint->poll);
        return;
    }

    /* it may have been mined between the two questions: look again */

    if (item->work == NGX_HTTP_SP_MINT_IS_SENT) {

        if (item->looks + 1 < NGX_HTTP_SP_MINT_LOOKS_SENT) {
            ngx_http_sp_mint_defer(run, item->looks + 1, 0);
            return;
        }

        ngx_log_error(NGX_LOG_WARN, run->job->log, 0,
                      "mint: \"%V\" has no receipt, but its nonce %uL is used",
                      &item->id, item->nonce);

        ngx_str_set(&facts, "{}");
        ngx_http_sp_mint_move(run, "reconcile", facts, run->mint->poll);
        return;
    }

    if (item->looks + 1 < NGX_HTTP_SP_MINT_LOOKS_RECONCILE) {
        ngx_http_sp_mint_defer(run, item->looks + 1, run->mint->poll);
        return;
    }

    ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_USED);
}


/* the nonce is gone for good; was the authorization used with it? */

void
ngx_http_sp_mint_used(ngx_http_sp_mint_run_t *run)
{
    uint8_t    selector[SP_ABI_SELECTOR_LEN];
    ngx_str_t  digest, hex, params;

    sp_abi_selector(selector, "authorizationUsed(bytes32)");

    hex = ngx_http_sp_mint_hex(run->item.pool, selector, sizeof(selector));

    if (hex.data == NULL || run->item.digest.len != 66) {
        ngx_http_sp_mint_leave(run, 1000, "out of memory");
        return;
    }

    digest.data = run->item.digest.data + 2;
    digest.len = run->item.digest.len - 2;

    params = ngx_http_sp_mint_text(run, 256,
                 "[{\"to\":\"%V\",\"data\":\"%V%V\"},\"finalized\"]",
                 &run->mint->contract_text, &hex, &digest);

    ngx_http_sp_mint_rpc(run, "eth_call", &params,
                         ngx_http_sp_mint_used_done);
}


static void
ngx_http_sp_mint_used_done(ngx_http_sp_mint_run_t *run)
{
    uint64_t   used;
    ngx_str_t  reason;

    if (ngx_http_sp_mint_rpc_uint(run, &used) != NGX_OK) {
        ngx_http_sp_mint_no_answer(run);
        return;
    }

    if (used) {
        ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_LOGS);
        return;
    }

    /*
     * None of our bytes can be mined any more.  The mint ends here rather
     * than with another nonce: the wallet may sign a new authorization.
     */

    reason = ngx_http_sp_mint_text(run, 128,
                 "nonce %uL was used by another transaction of the signer",
                 run->item.nonce);

    ngx_sp_metric_add(run->mint->failed, 1);
    ngx_http_sp_mint_move_reason(run, "failed", &reason);
}


void
ngx_http_sp_mint_logs(ngx_http_sp_mint_run_t *run)
{
    uint8_t    topic[SP_KECCAK256_LEN];
    ngx_str_t  hex, params;

    static const char  event[] = "AuthorizationUsed(bytes32,uint256)";

    sp_keccak256(topic, event, sizeof(event) - 1);
    hex = ngx_http_sp_mint_hex(run->item.pool, topic, sizeof(topic));

    if (hex.data == NULL) {
        ngx_http_sp_mint_leave(run, 1000, "out of memory");
        return;
    }

    params = ngx_http_sp_mint_text(run, 512,
                 "[{\"address\":\"%V\",\"fromBlock\":\"earliest\","
                 "\"toBlock\":\"finalized\",\"topics\":[\"%V\",\"%V\"]}]",
                 &run->mint->contract_text, &hex, &run->item.digest);

    ngx_http_sp_mint_rpc(run, "eth_getLogs", &params,
                         ngx_http_sp_mint_logs_done);
}


static void
ngx_http_sp_mint_logs_done(ngx_http_sp_mint_run_t *run)
{
    size_t        n;
    char          token[SP_U256_DECIMAL_MAX];
    uint8_t       block[32], tx[32];
    uint64_t      number;
    ngx_str_t     block_text, facts, token_text, tx_text;
    json_t       *value;
    sp_u256_t     id;
    sp_abi_log_t  log;

    value = (run->rpc == NGX_HTTP_SP_MINT_RPC_OK)
            ? json_array_get(run->answer, 0) : NULL;

    if (value == NULL
        || ngx_http_sp_mint_read_log(run, value, &log) != NGX_OK
        || log.ntopics != 3
        || ngx_http_sp_mint_member_hash(value, "transactionHash", tx)
           != NGX_OK
        || ngx_http_sp_mint_member_hash(value, "blockHash", block) != NGX_OK
        || ngx_http_sp_mint_member_uint(value, "blockNumber", &number)
           != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, run->job->log, 0,
                      "mint: \"%V\" was minted by another transaction, which "
                      "cannot be found", &run->item.id);
        ngx_http_sp_mint_defer(run, run->item.looks, run->mint->resend);
        return;
    }

    (void) sp_u256_from_bytes(&id, log.topics[2], SP_U256_LEN);
    n = sp_u256_to_decimal(token, &id);

    token_text.data = (u_char *) token;
    token_text.len = n;

    block_text = ngx_http_sp_mint_hex(run->item.pool, block, 32);
    tx_text = ngx_http_sp_mint_hex(run->item.pool, tx, 32);

    if (block_text.data == NULL || tx_text.data == NULL) {
        ngx_http_sp_mint_leave(run, 1000, "out of memory");
        return;
    }

    facts = ngx_http_sp_mint_text(run, 512,
                "{\"tx_hash\":\"%V\",\"block_number\":%uL,"
                "\"block_hash\":\"%V\",\"succeeded\":true,"
                "\"token_id\":\"%V\"}",
                &tx_text, number, &block_text, &token_text);

    ngx_http_sp_mint_move(run, "mined", facts, 0);
}


static ngx_int_t
ngx_http_sp_mint_member_uint(json_t *object, const char *name, uint64_t *n)
{
    size_t       len;
    const char  *text;

    text = sp_json_string(object, name, &len);

    if (text == NULL || sp_u256_hex_uint64(n, text, len) != SP_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_mint_member_hash(json_t *object, const char *name, uint8_t *hash)
{
    size_t       len;
    const char  *text;

    text = sp_json_string(object, name, &len);

    if (text == NULL || sp_hex_decode_fixed(hash, 32, text, len) != SP_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;
}
