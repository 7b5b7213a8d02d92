
/*
 * Copyright (C) Sallyport authors
 *
 * The mint relay, inside.  A request passes intake (verified, one commit,
 * 202); a runner per lane does the rest in the background:
 *
 *     NEXT asks the database what is due.  What is due is a mint in one of
 *     its stored states, and each has its way back to NEXT:
 *
 *     ready      ESTIMATE -> FEES -> ASSIGN -> SIGN -> SEND -> SENT
 *     assigned               FEES ----------> SIGN -> SEND -> SENT
 *     signed                                          SEND -> SENT
 *     sent       RECEIPT -> MOVE (mined)
 *                        -> COUNT -> MOVE | SEND -> SENT | MOVE (reconcile)
 *     reconcile  RECEIPT -> MOVE (mined)
 *                        -> COUNT -> USED -> LOGS -> MOVE
 *     mined      HEAD -> RECEIPT -> MOVE (confirmed, reverted, sent again)
 *
 * Whatever fails on the way leads to NEXT or ends the runner, which is
 * claimed again later: what is stored is always enough to go on.
 */

#ifndef _NGX_HTTP_SP_MINT_H_INCLUDED_
#define _NGX_HTTP_SP_MINT_H_INCLUDED_


#include "ngx_http_sp_core.h"

#include "sp_abi.h"
#include "sp_eip712.h"
#include "sp_eth.h"
#include "sp_hex.h"
#include "sp_tx.h"
#include "sp_u256.h"


#define NGX_HTTP_SP_MINT_URI_MAX   2048
#define NGX_HTTP_SP_MINT_CALL_MAX  (NGX_HTTP_SP_MINT_URI_MAX + 512)
#define NGX_HTTP_SP_MINT_RAW_MAX   (NGX_HTTP_SP_MINT_CALL_MAX + SP_TX_OVERHEAD)

/* until what will not pass by itself is tried again, in ms */
#define NGX_HTTP_SP_MINT_LONG      15000


/* one mint block; read-only after start */

typedef struct {
    ngx_str_t                name;

    ngx_str_t                chain_name;
    ngx_sp_chain_t          *chain;

    uint8_t                  contract[SP_ETH_ADDRESS_LEN];
    ngx_str_t                contract_text;  /* EIP-55 */
    ngx_str_t                domain_name;
    ngx_str_t                domain_version;
    uint8_t                  separator[SP_KECCAK256_LEN];

    uint8_t                  key[32];        /* wiped with the cycle */
    uint8_t                  signer[SP_ETH_ADDRESS_LEN];
    ngx_str_t                signer_text;    /* EIP-55 */
    ngx_str_t                lane;           /* "<id>:<signer>" */

    ngx_uint_t               in_flight;
    ngx_msec_t               poll;
    ngx_msec_t               resend;
    ngx_uint_t               max_gas;
    uint64_t                 max_fee;        /* wei per gas */
    uint64_t                 min_tip;        /* wei per gas */

    ngx_str_t                pg_name;
    ngx_sp_pg_t             *pg;

    ngx_sp_metric_t         *accepted;
    ngx_sp_metric_t         *refused;
    ngx_sp_metric_t         *confirmed;
    ngx_sp_metric_t         *reverted;
    ngx_sp_metric_t         *failed;
    ngx_sp_metric_t         *unknown_sends;
    ngx_sp_metric_t         *reorgs;
    ngx_sp_metric_t         *rpc_errors;
} ngx_http_sp_mint_t;


typedef struct {
    ngx_array_t              mints;    /* of ngx_http_sp_mint_t * */
    secp256k1_context       *secp;
} ngx_http_sp_mint_main_conf_t;


typedef struct {
    ngx_http_sp_mint_t      *mint;
} ngx_http_sp_mint_loc_conf_t;


/* of a request; a redirect may lead from one to the other */

typedef struct {
    void                    *intake;
    void                    *reader;
} ngx_http_sp_mint_ctx_t;


/* a verified authorization, in the form in which it is stored */

typedef struct {
    uint8_t                  wallet[SP_ETH_ADDRESS_LEN];
    ngx_str_t                uri;
    uint64_t                 deadline;
    uint8_t                  salt[32];
    uint8_t                  signature[SP_ETH_SIGNATURE_LEN];
    uint8_t                  digest[SP_KECCAK256_LEN];
} ngx_http_sp_mint_auth_t;


/* The runner of a lane */

typedef struct ngx_http_sp_mint_run_s  ngx_http_sp_mint_run_t;

typedef void (*ngx_http_sp_mint_run_pt)(ngx_http_sp_mint_run_t *run);


typedef enum {
    NGX_HTTP_SP_MINT_START = 0,
    NGX_HTTP_SP_MINT_NEXT,
    NGX_HTTP_SP_MINT_WAIT,
    NGX_HTTP_SP_MINT_NONCE,
    NGX_HTTP_SP_MINT_INIT,
    NGX_HTTP_SP_MINT_ESTIMATE,
    NGX_HTTP_SP_MINT_FEES,
    NGX_HTTP_SP_MINT_ASSIGN,
    NGX_HTTP_SP_MINT_SIGN,
    NGX_HTTP_SP_MINT_SEND,
    NGX_HTTP_SP_MINT_SENT,
    NGX_HTTP_SP_MINT_HEAD,
    NGX_HTTP_SP_MINT_RECEIPT,
    NGX_HTTP_SP_MINT_COUNT,
    NGX_HTTP_SP_MINT_USED,
    NGX_HTTP_SP_MINT_LOGS,
    NGX_HTTP_SP_MINT_MOVE
} ngx_http_sp_mint_state_e;


/* the stored state of the mint that is worked on */

typedef enum {
    NGX_HTTP_SP_MINT_NONE = 0,
    NGX_HTTP_SP_MINT_READY,
    NGX_HTTP_SP_MINT_ASSIGNED,
    NGX_HTTP_SP_MINT_SIGNED,
    NGX_HTTP_SP_MINT_IS_SENT,
    NGX_HTTP_SP_MINT_RECONCILE,
    NGX_HTTP_SP_MINT_MINED
} ngx_http_sp_mint_work_e;


typedef struct {
    ngx_pool_t              *pool;
    ngx_http_sp_mint_work_e  work;
    ngx_str_t                state;          /* its name */
    ngx_str_t                id;
    ngx_str_t                digest;
    ngx_http_sp_mint_auth_t  auth;
    uint64_t                 nonce;
    uint64_t                 gas;
    ngx_str_t                tx_hash;
    ngx_str_t                raw;            /* "0x..." */
    ngx_uint_t               looks;
    ngx_msec_t               since_sent;
    unsigned                 acknowledged:1;
    unsigned                 succeeded:1;
    unsigned                 missed:1;       /* its receipt, once */
    uint64_t                 block_number;
    ngx_str_t                block_hash;
} ngx_http_sp_mint_item_t;


/* how a node has answered; the order is that of severity to the caller */

typedef enum {
    NGX_HTTP_SP_MINT_RPC_OK = 0,
    NGX_HTTP_SP_MINT_RPC_REVERT,       /* the contract says no */
    NGX_HTTP_SP_MINT_RPC_KNOWN,        /* it has these very bytes */
    NGX_HTTP_SP_MINT_RPC_NONCE_LOW,
    NGX_HTTP_SP_MINT_RPC_UNDERPRICED,  /* as a replacement */
    NGX_HTTP_SP_MINT_RPC_FUNDS,
    NGX_HTTP_SP_MINT_RPC_ERROR,        /* anything else it says */
    NGX_HTTP_SP_MINT_RPC_UNKNOWN       /* no answer that can be understood */
} ngx_http_sp_mint_rpc_e;


struct ngx_http_sp_mint_run_s {
    ngx_queue_t                    queue;
    ngx_sp_job_t                  *job;
    ngx_http_sp_mint_main_conf_t  *mmcf;
    const ngx_http_sp_mint_t      *mint;
    ngx_http_sp_mint_state_e       state;
    ngx_http_sp_mint_item_t        item;

    /* fees of the chain, for as long as they are fresh */
    uint64_t                       tip;
    uint64_t                       cap;
    ngx_msec_t                     fees_at;
    unsigned                       fees:1;

    uint64_t                       head;          /* block number */
    uint64_t                       count;         /* of transactions */
    ngx_uint_t                     failures;      /* of calls in a row */

    /* the MOVE to make, or how long to WAIT */
    const char                    *to;
    ngx_str_t                      facts;
    ngx_msec_t                     delay;

    ngx_http_sp_mint_run_pt        done;          /* of the op in flight */

    ngx_sp_pg_op_t                 pg;
    ngx_sp_pg_query_t              query;
    PGresult                      *result;        /* valid in done */

    ngx_sp_rpc_op_t                call;
    ngx_http_sp_mint_rpc_e         rpc;
    json_t                        *answer;        /* valid in done */
    ngx_str_t                      reason;
};


extern ngx_module_t  ngx_http_sp_mint_module;


/* conf: the mint block */

char *ngx_http_sp_mint_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* key: NGX_OK, or NGX_ERROR after logging what is wrong, file and line */

ngx_int_t ngx_http_sp_mint_key_file(ngx_conf_t *cf, ngx_str_t *path,
    uint8_t *key);
ngx_int_t ngx_http_sp_mint_keystore(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *password_path, uint8_t *key);

/* handler, intake: the content handler */

ngx_int_t ngx_http_sp_mint_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_sp_mint_intake(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint);
ngx_int_t ngx_http_sp_mint_pg_error(ngx_http_request_t *r,
    ngx_sp_pg_op_t *op);
void ngx_http_sp_mint_digest(const ngx_http_sp_mint_t *mint,
    ngx_http_sp_mint_auth_t *auth);

/* runner: the states, and what all of them use */

ngx_int_t ngx_http_sp_mint_runner_init(ngx_conf_t *cf);
ngx_int_t ngx_http_sp_mint_runner_init_process(ngx_cycle_t *cycle);
void ngx_http_sp_mint_set_state(ngx_http_sp_mint_run_t *run,
    ngx_http_sp_mint_state_e state);
const char *ngx_http_sp_mint_state_name(ngx_http_sp_mint_state_e state);

/* ends this claim: the lane is looked at again after the delay */
void ngx_http_sp_mint_leave(ngx_http_sp_mint_run_t *run, ngx_msec_t delay,
    const char *reason);

/* what was answered, or nothing, is no use: the next one, or the lane later */
void ngx_http_sp_mint_no_answer(ngx_http_sp_mint_run_t *run);

/* stays in the stored state with so many looks, looks after the delay */
void ngx_http_sp_mint_defer(ngx_http_sp_mint_run_t *run, ngx_uint_t looks,
    ngx_msec_t delay);

/* facts: a JSON object for mint.set_state() */
void ngx_http_sp_mint_move(ngx_http_sp_mint_run_t *run, const char *to,
    ngx_str_t facts, ngx_msec_t delay);
void ngx_http_sp_mint_move_reason(ngx_http_sp_mint_run_t *run,
    const char *to, const ngx_str_t *reason);

/* store: statements; each starts the op of its state */

void ngx_http_sp_mint_next(ngx_http_sp_mint_run_t *run);
void ngx_http_sp_mint_init(ngx_http_sp_mint_run_t *run);
void ngx_http_sp_mint_assign(ngx_http_sp_mint_run_t *run);
void ngx_http_sp_mint_store_signed(ngx_http_sp_mint_run_t *run,
    const ngx_str_t *hash, const ngx_str_t *raw);
void ngx_http_sp_mint_store_sent(ngx_http_sp_mint_run_t *run);
void ngx_http_sp_mint_store_move(ngx_http_sp_mint_run_t *run);

/* prepare: from the first nonce to the bytes that are sent */

void ngx_http_sp_mint_nonce(ngx_http_sp_mint_run_t *run);
void ngx_http_sp_mint_estimate(ngx_http_sp_mint_run_t *run);
void ngx_http_sp_mint_fees(ngx_http_sp_mint_run_t *run);
void ngx_http_sp_mint_sign(ngx_http_sp_mint_run_t *run);
void ngx_http_sp_mint_send(ngx_http_sp_mint_run_t *run);

/* watch: what became of a transaction */

void ngx_http_sp_mint_head(ngx_http_sp_mint_run_t *run);
void ngx_http_sp_mint_receipt(ngx_http_sp_mint_run_t *run);
void ngx_http_sp_mint_count(ngx_http_sp_mint_run_t *run);
void ngx_http_sp_mint_used(ngx_http_sp_mint_run_t *run);
void ngx_http_sp_mint_logs(ngx_http_sp_mint_run_t *run);

/*
 * rpc: one call at a time.  "done" finds run->rpc, and run->answer for OK
 * (JSON null is an answer) or run->reason for the rest.
 */

void ngx_http_sp_mint_rpc(ngx_http_sp_mint_run_t *run, const char *method,
    const ngx_str_t *params, ngx_http_sp_mint_run_pt done);

/* with one text, and how many transactions of the signer there are */
void ngx_http_sp_mint_rpc_text(ngx_http_sp_mint_run_t *run,
    const char *method, const ngx_str_t *text, ngx_http_sp_mint_run_pt done);
void ngx_http_sp_mint_rpc_count(ngx_http_sp_mint_run_t *run,
    const char *block, ngx_http_sp_mint_run_pt done);

/* NGX_OK: the call was answered with a number */
ngx_int_t ngx_http_sp_mint_rpc_uint(ngx_http_sp_mint_run_t *run,
    uint64_t *n);

/* text in the item's pool; data NULL: out of memory */
ngx_str_t ngx_http_sp_mint_text(ngx_http_sp_mint_run_t *run, size_t size,
    const char *fmt, ...);
ngx_str_t ngx_http_sp_mint_hex(ngx_pool_t *pool, const uint8_t *bytes,
    size_t len);


#endif /* _NGX_HTTP_SP_MINT_H_INCLUDED_ */
