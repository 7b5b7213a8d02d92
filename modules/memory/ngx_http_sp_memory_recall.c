
/*
 * Copyright (C) Sallyport authors
 */

#include "ngx_http_sp_memory.h"


/* columns of mem.recall */

enum {
    NGX_HTTP_SP_MEMORY_SOURCE = 0,
    NGX_HTTP_SP_MEMORY_ROLE,
    NGX_HTTP_SP_MEMORY_CONTENT,
    NGX_HTTP_SP_MEMORY_DAY,
    NGX_HTTP_SP_MEMORY_COLUMNS
};


static void ngx_http_sp_memory_recalled(ngx_sp_op_t *op);
static ngx_int_t ngx_http_sp_memory_keep(ngx_http_sp_memory_recall_t *recall);
static ngx_int_t ngx_http_sp_memory_copy(ngx_pool_t *pool,
    const PGresult *result, int row, int column, ngx_str_t *dst);
static ngx_uint_t ngx_http_sp_memory_collect(ngx_http_sp_memory_ctx_t *ctx,
    sp_recall_item_t *items);
static ngx_uint_t ngx_http_sp_memory_visible(const sp_chat_request_t *chat,
    const sp_recall_item_t *item);
static ngx_int_t ngx_http_sp_memory_add(ngx_http_request_t *r,
    sp_recall_item_t *items, ngx_uint_t n);


#define NGX_HTTP_SP_MEMORY_SELECT                                             \
    "select source, role, left(content, 700), day from mem.recall("           \
    "$1::uuid, $2, $3, $4, $5, $6::real, $7::real, $8::real, 60, $9::int)"

static const ngx_sp_pg_statement_t  ngx_http_sp_memory_statement = {
    ngx_string(NGX_HTTP_SP_MEMORY_SELECT), 9
};

static ngx_str_t  ngx_http_sp_memory_turns = ngx_string("20");
static ngx_str_t  ngx_http_sp_memory_no_turns = ngx_string("0");


ngx_int_t
ngx_http_sp_memory_recall(ngx_http_request_t *r,
    ngx_http_sp_memory_ctx_t *ctx, ngx_http_sp_memory_recall_t *recall,
    const ngx_str_t *embedding, ngx_msec_t timeout)
{
    ngx_str_t                        params[9];
    ngx_sp_pg_op_t                  *op;
    ngx_http_sp_memory_loc_conf_t   *mlcf;
    ngx_http_sp_memory_main_conf_t  *mmcf;

    mmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_memory_module);
    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_memory_module);

    params[0].data = (u_char *) ctx->chat->character_id;
    params[0].len = ngx_strlen(ctx->chat->character_id);
    params[1] = ctx->query;
    params[3] = mmcf->embed_model;
    params[4] = ctx->before;
    params[5] = mlcf->weight_vector;
    params[6] = mlcf->weight_lexical;
    params[7] = mlcf->floor;

    /* raw turns come with the lexical call only */

    if (embedding == NULL) {
        ngx_str_null(&params[2]);
        params[8] = ngx_http_sp_memory_turns;

    } else {
        params[2] = *embedding;
        params[8] = ngx_http_sp_memory_no_turns;
    }

    recall->request = r;
    recall->query.statement = &ngx_http_sp_memory_statement;
    recall->query.params = params;

    op = &recall->op;

    op->queries = &recall->query;
    op->nqueries = 1;
    op->read_only = 1;

    ngx_http_sp_pg_identity(r, op);

    op->op.done = ngx_http_sp_memory_recalled;
    op->op.data = recall;
    op->op.log = r->connection->log;
    op->op.timeout = timeout;

    if (ngx_http_sp_op_attach(r, &op->op) != NGX_OK) {
        return NGX_ERROR;
    }

    /* copies the parameters */

    ngx_sp_pg_submit(mmcf->pg, op);

    return NGX_OK;
}


static void
ngx_http_sp_memory_recalled(ngx_sp_op_t *op)
{
    ngx_http_sp_memory_recall_t  *recall;

    recall = op->data;

    if (op->result == NGX_SP_OP_OK) {
        recall->ok = (ngx_http_sp_memory_keep(recall) == NGX_OK);
        return;
    }

    if (op->result == NGX_SP_OP_REJECTED) {
        ngx_log_error(NGX_LOG_ERR, op->log, 0,
                      "memory: recall failed, SQLSTATE %V: %V",
                      &recall->op.sqlstate, &recall->op.message);
    }
}


static ngx_int_t
ngx_http_sp_memory_keep(ngx_http_sp_memory_recall_t *recall)
{
    int                i, n;
    ngx_str_t          day, role, text;
    ngx_pool_t        *pool;
    const PGresult    *result;
    sp_recall_item_t  *item;

    result = recall->query.result;
    pool = recall->request->pool;

    if (PQnfields(result) != NGX_HTTP_SP_MEMORY_COLUMNS) {
        return NGX_ERROR;
    }

    n = ngx_min(PQntuples(result), NGX_HTTP_SP_MEMORY_ITEMS);

    if (n == 0) {
        return NGX_OK;
    }

    recall->items = ngx_pcalloc(pool, n * sizeof(sp_recall_item_t));
    if (recall->items == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        item = &recall->items[i];

        if (ngx_http_sp_memory_copy(pool, result, i,
                                    NGX_HTTP_SP_MEMORY_CONTENT, &text)
            != NGX_OK
            || ngx_http_sp_memory_copy(pool, result, i,
                                       NGX_HTTP_SP_MEMORY_DAY, &day)
               != NGX_OK
            || day.len != 10)
        {
            return NGX_ERROR;
        }

        /* one of two words, by a check of the table; NULL: a fact */

        role = ngx_sp_pg_value(result, i, NGX_HTTP_SP_MEMORY_ROLE);

        if (role.data != NULL) {
            item->role = (role.len == 4) ? "user" : "assistant";
        }

        item->text = (char *) text.data;
        item->len = text.len;
        item->day = (char *) day.data;

        recall->nitems++;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_memory_copy(ngx_pool_t *pool, const PGresult *result, int row,
    int column, ngx_str_t *dst)
{
    ngx_str_t  value;

    value = ngx_sp_pg_value(result, row, column);

    dst->len = value.len;
    dst->data = ngx_pnalloc(pool, value.len + 1);

    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(dst->data, value.data, value.len);

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_memory_inject(ngx_http_request_t *r,
    ngx_http_sp_memory_ctx_t *ctx)
{
    size_t                          chosen;
    ngx_uint_t                      n;
    sp_recall_item_t               *items;
    ngx_http_sp_memory_loc_conf_t  *mlcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_memory_module);

    n = ctx->lexical.nitems + ctx->vector.nitems;

    if (n == 0) {
        return 0;
    }

    items = ngx_palloc(r->pool, n * sizeof(sp_recall_item_t));
    if (items == NULL) {
        return NGX_ERROR;
    }

    n = ngx_http_sp_memory_collect(ctx, items);

    chosen = sp_recall_choose(items, n, mlcf->block);

    if (chosen > 0 && ngx_http_sp_memory_add(r, items, n) != NGX_OK) {
        return NGX_ERROR;
    }

    return chosen;
}


/*
 * Facts of the fused call when it came in time, else of the lexical one;
 * turns that the model does not see anyway.
 */

static ngx_uint_t
ngx_http_sp_memory_collect(ngx_http_sp_memory_ctx_t *ctx,
    sp_recall_item_t *items)
{
    ngx_uint_t                    i, n;
    sp_recall_item_t             *item;
    ngx_http_sp_memory_recall_t  *recall;

    n = 0;
    recall = ctx->vector.ok ? &ctx->vector : &ctx->lexical;

    for (i = 0; i < recall->nitems; i++) {
        item = &recall->items[i];

        if (item->role == NULL) {
            items[n++] = *item;
        }
    }

    recall = &ctx->lexical;

    for (i = 0; i < recall->nitems; i++) {
        item = &recall->items[i];

        if (item->role != NULL
            && !ngx_http_sp_memory_visible(ctx->chat, item))
        {
            items[n++] = *item;
        }
    }

    return n;
}


/* the statement cuts a turn at 700 characters: then its beginning counts */

static ngx_uint_t
ngx_http_sp_memory_visible(const sp_chat_request_t *chat,
    const sp_recall_item_t *item)
{
    size_t                    i;
    const sp_chat_message_t  *message;

    for (i = 0; i < chat->nmessages; i++) {
        message = &chat->messages[i];

        if (message->len >= item->len
            && (message->len == item->len || item->len >= 700)
            && ngx_memcmp(message->text, item->text, item->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_sp_memory_add(ngx_http_request_t *r, sp_recall_item_t *items,
    ngx_uint_t n)
{
    ngx_http_sp_block_t  block;

    ngx_memzero(&block, sizeof(ngx_http_sp_block_t));

    ngx_str_set(&block.name, "memory");
    block.rank = 200;
    block.place = NGX_HTTP_SP_TAIL;

    block.text.len = sp_recall_block(items, n, NULL, 0);

    block.text.data = ngx_pnalloc(r->pool, block.text.len);
    if (block.text.data == NULL) {
        return NGX_ERROR;
    }

    sp_recall_block(items, n, (char *) block.text.data, block.text.len);

    return ngx_http_sp_add_block(r, &block);
}
