
/*
 * Copyright (C) Sallyport authors
 *
 * The runner's statements.  All of them are functions of the schema "mint"
 * (sql/functions/mint), fenced by the epoch of the job that holds the lane.
 */


#include "ngx_http_sp_mint.h"


#define NGX_HTTP_SP_MINT_PARAMS  8

/* columns of mint.lane_next() */

#define NGX_HTTP_SP_MINT_COLUMNS                                              \
    "work, wait_ms, id, wallet, uri, deadline, salt, signature, digest, "     \
    "nonce, gas, tx_hash, '0x' || encode(raw, 'hex'), looks, sent_ms, "       \
    "acknowledged, block_number, block_hash, succeeded"


static void ngx_http_sp_mint_pg(ngx_http_sp_mint_run_t *run,
    const ngx_sp_pg_statement_t *statement, ngx_str_t *params,
    ngx_http_sp_mint_run_pt done);
static void ngx_http_sp_mint_pg_done(ngx_sp_op_t *op);
static void ngx_http_sp_mint_fence(ngx_http_sp_mint_run_t *run,
    ngx_str_t *params);
static void ngx_http_sp_mint_next_done(ngx_http_sp_mint_run_t *run);
static void ngx_http_sp_mint_again(ngx_http_sp_mint_run_t *run);
static void ngx_http_sp_mint_assign_done(ngx_http_sp_mint_run_t *run);
static void ngx_http_sp_mint_signed_done(ngx_http_sp_mint_run_t *run);
static ngx_int_t ngx_http_sp_mint_read_item(ngx_http_sp_mint_run_t *run,
    ngx_uint_t work);
static ngx_str_t ngx_http_sp_mint_column(ngx_http_sp_mint_run_t *run,
    int column);
static uint64_t ngx_http_sp_mint_number(ngx_http_sp_mint_run_t *run,
    int column);


static ngx_sp_pg_statement_t  ngx_http_sp_mint_next_sql = {
    ngx_string("select " NGX_HTTP_SP_MINT_COLUMNS
               " from mint.lane_next($1, $2, $3, $4)"), 4
};

static ngx_sp_pg_statement_t  ngx_http_sp_mint_init_sql = {
    ngx_string("select mint.lane_init($1, $2, $3, $4)"), 4
};

static ngx_sp_pg_statement_t  ngx_http_sp_mint_assign_sql = {
    ngx_string("select mint.assign($1, $2, $3, $4, $5)"), 5
};

static ngx_sp_pg_statement_t  ngx_http_sp_mint_sign_sql = {
    ngx_string("select mint.sign($1, $2, $3, $4, $5, $6, $7, $8)"), 8
};

static ngx_sp_pg_statement_t  ngx_http_sp_mint_sent_sql = {
    ngx_string("select mint.sent($1, $2, $3, $4, $5, $6, $7)"), 7
};

static ngx_sp_pg_statement_t  ngx_http_sp_mint_move_sql = {
    ngx_string("select mint.move($1, $2, $3, $4, $5, $6, $7, $8)"), 8
};


/* in the order of ngx_http_sp_mint_work_e */

static ngx_str_t  ngx_http_sp_mint_works[] = {
    ngx_string("none"),
    ngx_string("ready"),
    ngx_string("assigned"),
    ngx_string("signed"),
    ngx_string("sent"),
    ngx_string("reconcile"),
    ngx_string("mined"),
    ngx_null_string
};


void
ngx_http_sp_mint_next(ngx_http_sp_mint_run_t *run)
{
    ngx_str_t  params[NGX_HTTP_SP_MINT_PARAMS];

    /* what belonged to the mint before goes, so that a long run stays flat */

    if (run->item.pool != NULL) {
        ngx_destroy_pool(run->item.pool);
    }

    ngx_memzero(&run->item, sizeof(ngx_http_sp_mint_item_t));

    run->item.pool = ngx_create_pool(4096, run->job->log);
    if (run->item.pool == NULL) {
        ngx_http_sp_mint_leave(run, 1000, "out of memory");
        return;
    }

    ngx_http_sp_mint_fence(run, params);
    params[3] = ngx_http_sp_mint_text(run, NGX_INT_T_LEN, "%ui",
                                      run->mint->in_flight);

    ngx_http_sp_mint_pg(run, &ngx_http_sp_mint_next_sql, params,
                        ngx_http_sp_mint_next_done);
}


void
ngx_http_sp_mint_init(ngx_http_sp_mint_run_t *run)
{
    ngx_str_t  params[NGX_HTTP_SP_MINT_PARAMS];

    ngx_http_sp_mint_fence(run, params);
    params[3] = ngx_http_sp_mint_text(run, NGX_INT64_LEN, "%uL",
                                      run->count);

    ngx_http_sp_mint_pg(run, &ngx_http_sp_mint_init_sql, params,
                        ngx_http_sp_mint_again);
}


void
ngx_http_sp_mint_assign(ngx_http_sp_mint_run_t *run)
{
    ngx_str_t  params[NGX_HTTP_SP_MINT_PARAMS];

    ngx_http_sp_mint_fence(run, params);
    params[3] = run->item.id;
    params[4] = ngx_http_sp_mint_text(run, NGX_INT64_LEN, "%uL",
                                      run->item.gas);

    ngx_http_sp_mint_pg(run, &ngx_http_sp_mint_assign_sql, params,
                        ngx_http_sp_mint_assign_done);
}


void
ngx_http_sp_mint_store_signed(ngx_http_sp_mint_run_t *run,
    const ngx_str_t *hash, const ngx_str_t *raw)
{
    ngx_str_t  hex, params[NGX_HTTP_SP_MINT_PARAMS];

    hex.data = raw->data + 2;
    hex.len = raw->len - 2;

    ngx_http_sp_mint_fence(run, params);
    params[3] = run->item.id;
    params[4] = *hash;
    params[5] = ngx_http_sp_mint_text(run, hex.len + 2, "\\x%V", &hex);
    params[6] = ngx_http_sp_mint_text(run, NGX_INT64_LEN, "%uL", run->tip);
    params[7] = ngx_http_sp_mint_text(run, NGX_INT64_LEN, "%uL", run->cap);

    run->item.tx_hash = *hash;
    run->item.raw = *raw;

    ngx_http_sp_mint_pg(run, &ngx_http_sp_mint_sign_sql, params,
                        ngx_http_sp_mint_signed_done);
}


void
ngx_http_sp_mint_store_sent(ngx_http_sp_mint_run_t *run)
{
    ngx_str_t  params[NGX_HTTP_SP_MINT_PARAMS];

    ngx_http_sp_mint_fence(run, params);
    params[3] = run->item.id;
    params[4] = run->item.state;

    if (run->item.acknowledged) {
        ngx_str_set(&params[5], "t");

    } else {
        ngx_str_set(&params[5], "f");
    }

    params[6] = ngx_http_sp_mint_text(run, NGX_INT64_LEN, "%M",
                                      run->mint->poll);

    ngx_http_sp_mint_pg(run, &ngx_http_sp_mint_sent_sql, params,
                        ngx_http_sp_mint_again);
}


void
ngx_http_sp_mint_store_move(ngx_http_sp_mint_run_t *run)
{
    ngx_str_t  params[NGX_HTTP_SP_MINT_PARAMS];

    ngx_http_sp_mint_fence(run, params);
    params[3] = run->item.id;
    params[4] = run->item.state;
    params[5].data = (u_char *) run->to;
    params[5].len = ngx_strlen(run->to);
    params[6] = run->facts;
    params[7] = ngx_http_sp_mint_text(run, NGX_INT64_LEN, "%M", run->delay);

    ngx_http_sp_mint_pg(run, &ngx_http_sp_mint_move_sql, params,
                        ngx_http_sp_mint_again);
}


static void
ngx_http_sp_mint_pg(ngx_http_sp_mint_run_t *run,
    const ngx_sp_pg_statement_t *statement, ngx_str_t *params,
    ngx_http_sp_mint_run_pt done)
{
    ngx_uint_t  i;

    for (i = 0; i < statement->nparams; i++) {
        if (params[i].data == NULL) {
            ngx_http_sp_mint_leave(run, 1000, "out of memory");
            return;
        }
    }

    ngx_memzero(&run->pg, sizeof(ngx_sp_pg_op_t));
    ngx_memzero(&run->query, sizeof(ngx_sp_pg_query_t));

    run->done = done;
    run->query.statement = statement;
    run->query.params = params;
    run->pg.queries = &run->query;
    run->pg.nqueries = 1;
    ngx_str_set(&run->pg.role, "sallyport_gateway");
    run->pg.op.done = ngx_http_sp_mint_pg_done;
    run->pg.op.data = run;
    run->pg.op.log = run->job->log;

    ngx_sp_pg_submit(run->job->pg, &run->pg);
}


static void
ngx_http_sp_mint_pg_done(ngx_sp_op_t *op)
{
    ngx_http_sp_mint_run_t  *run;

    run = op->data;

    switch (op->result) {

    case NGX_SP_OP_OK:
        run->result = run->query.result;
        run->done(run);
        return;

    case NGX_SP_OP_REJECTED:

        if (ngx_strncmp(run->pg.sqlstate.data, "SP002", 5) == 0) {

            /* our view was old: a commit of ours that seemed lost */

            ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_NEXT);
            return;
        }

        if (ngx_strncmp(run->pg.sqlstate.data, "SP001", 5) == 0) {
            ngx_http_sp_mint_leave(run, 1000, "the lane was lost");
            return;
        }

        ngx_log_error(NGX_LOG_ERR, run->job->log, 0,
                      "mint: lane \"%V\" state %s was refused: %V \"%V\"",
                      &run->job->lane,
                      ngx_http_sp_mint_state_name(run->state),
                      &run->pg.sqlstate, &run->pg.message);

        ngx_http_sp_mint_leave(run, 2000, "the database refused");
        return;

    case NGX_SP_OP_TIMEOUT:
    case NGX_SP_OP_UNAVAILABLE:
        break;
    }

    /* it may have been committed; the next runner reads what is there */

    ngx_http_sp_mint_leave(run, 1000, "the database is away");
}


/* lane, job and epoch are the first three parameters of every statement */

static void
ngx_http_sp_mint_fence(ngx_http_sp_mint_run_t *run, ngx_str_t *params)
{
    params[0] = run->job->lane;
    params[1] = run->job->id;
    params[2] = run->job->epoch;
}


static void
ngx_http_sp_mint_next_done(ngx_http_sp_mint_run_t *run)
{
    ngx_str_t   work;
    ngx_uint_t  i;

    if (PQntuples(run->result) != 1) {
        ngx_http_sp_mint_leave(run, 2000, "mint.lane_next() has no row");
        return;
    }

    work = ngx_sp_pg_value(run->result, 0, 0);

    if (work.len == 4 && ngx_strncmp(work.data, "none", 4) == 0) {
        ngx_http_sp_mint_leave(run, 0, NULL);
        return;
    }

    if (work.len == 4 && ngx_strncmp(work.data, "wait", 4) == 0) {
        run->delay = (ngx_msec_t) ngx_http_sp_mint_number(run, 1);
        ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_WAIT);
        return;
    }

    if (work.len == 4 && ngx_strncmp(work.data, "init", 4) == 0) {
        ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_NONCE);
        return;
    }

    for (i = 1; ngx_http_sp_mint_works[i].len != 0; i++) {
        if (work.len == ngx_http_sp_mint_works[i].len
            && ngx_strncmp(work.data, ngx_http_sp_mint_works[i].data,
                           work.len) == 0)
        {
            break;
        }
    }

    if (ngx_http_sp_mint_works[i].len == 0
        || ngx_http_sp_mint_read_item(run, i) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ALERT, run->job->log, 0,
                      "mint: lane \"%V\" has a row that cannot be read, "
                      "state \"%V\"", &run->job->lane, &work);
        ngx_http_sp_mint_leave(run, 30000, "a row cannot be read");
        return;
    }

    switch (run->item.work) {

    case NGX_HTTP_SP_MINT_READY:
        ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_ESTIMATE);
        return;

    case NGX_HTTP_SP_MINT_ASSIGNED:
        ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_FEES);
        return;

    case NGX_HTTP_SP_MINT_SIGNED:
        ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_SEND);
        return;

    case NGX_HTTP_SP_MINT_MINED:
        ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_HEAD);
        return;

    default: /* sent, reconcile */
        ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_RECEIPT);
        return;
    }
}


static void
ngx_http_sp_mint_again(ngx_http_sp_mint_run_t *run)
{
    ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_NEXT);
}


static void
ngx_http_sp_mint_assign_done(ngx_http_sp_mint_run_t *run)
{
    run->item.nonce = ngx_http_sp_mint_number(run, 0);
    run->item.work = NGX_HTTP_SP_MINT_ASSIGNED;
    run->item.state = ngx_http_sp_mint_works[NGX_HTTP_SP_MINT_ASSIGNED];

    ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_SIGN);
}


static void
ngx_http_sp_mint_signed_done(ngx_http_sp_mint_run_t *run)
{
    run->item.work = NGX_HTTP_SP_MINT_SIGNED;
    run->item.state = ngx_http_sp_mint_works[NGX_HTTP_SP_MINT_SIGNED];

    ngx_http_sp_mint_set_state(run, NGX_HTTP_SP_MINT_SEND);
}


/* what was stored by us is read as strictly as what comes from outside */

static ngx_int_t
ngx_http_sp_mint_read_item(ngx_http_sp_mint_run_t *run, ngx_uint_t work)
{
    ngx_str_t                 salt, signature, wallet;
    ngx_http_sp_mint_item_t  *item;

    item = &run->item;

    item->work = work;
    item->state = ngx_http_sp_mint_works[work];
    item->id = ngx_http_sp_mint_column(run, 2);
    item->auth.uri = ngx_http_sp_mint_column(run, 4);
    item->auth.deadline = ngx_http_sp_mint_number(run, 5);
    item->digest = ngx_http_sp_mint_column(run, 8);
    item->nonce = ngx_http_sp_mint_number(run, 9);
    item->gas = ngx_http_sp_mint_number(run, 10);
    item->tx_hash = ngx_http_sp_mint_column(run, 11);
    item->raw = ngx_http_sp_mint_column(run, 12);
    item->looks = (ngx_uint_t) ngx_http_sp_mint_number(run, 13);
    item->since_sent = (ngx_msec_t) ngx_http_sp_mint_number(run, 14);
    item->acknowledged = (ngx_http_sp_mint_column(run, 15).len == 1
                          && ngx_http_sp_mint_column(run, 15).data[0] == 't');
    item->block_number = ngx_http_sp_mint_number(run, 16);
    item->block_hash = ngx_http_sp_mint_column(run, 17);
    item->succeeded = (ngx_http_sp_mint_column(run, 18).len == 1
                       && ngx_http_sp_mint_column(run, 18).data[0] == 't');

    wallet = ngx_sp_pg_value(run->result, 0, 3);
    salt = ngx_sp_pg_value(run->result, 0, 6);
    signature = ngx_sp_pg_value(run->result, 0, 7);

    if (item->id.len == 0 || item->auth.uri.len == 0
        || sp_eth_address_parse(item->auth.wallet, (char *) wallet.data,
                                wallet.len) != SP_OK
        || sp_hex_decode_fixed(item->auth.salt, 32, (char *) salt.data,
                               salt.len) != SP_OK
        || sp_hex_decode_fixed(item->auth.signature, SP_ETH_SIGNATURE_LEN,
                               (char *) signature.data, signature.len)
           != SP_OK)
    {
        return NGX_ERROR;
    }

    if (work >= NGX_HTTP_SP_MINT_SIGNED
        && (item->raw.len == 0 || item->tx_hash.len == 0))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* a copy for as long as the item; NULL and out of memory are empty */

static ngx_str_t
ngx_http_sp_mint_column(ngx_http_sp_mint_run_t *run, int column)
{
    ngx_str_t  copy, value;

    ngx_str_null(&copy);

    value = ngx_sp_pg_value(run->result, 0, column);

    if (value.data != NULL) {
        copy.data = ngx_pstrdup(run->item.pool, &value);
        copy.len = (copy.data != NULL) ? value.len : 0;
    }

    return copy;
}


/* NULL is 0 */

static uint64_t
ngx_http_sp_mint_number(ngx_http_sp_mint_run_t *run, int column)
{
    uint64_t   n;
    ngx_str_t  value;
    sp_u256_t  word;

    value = ngx_sp_pg_value(run->result, 0, column);

    if (value.data == NULL
        || sp_u256_from_decimal(&word, (char *) value.data, value.len)
           != SP_OK
        || sp_u256_get(&word, &n) != SP_OK)
    {
        return 0;
    }

    return n;
}
