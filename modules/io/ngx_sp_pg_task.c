
/*
 * Copyright (C) Sallyport authors
 *
 * The copy of an op that a connection works on: it may outlive the op when
 * that is cancelled.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_md5.h>

#include "ngx_sp_pg_int.h"


#define NGX_SP_PG_TASK_POOL  1024


static ngx_int_t ngx_sp_pg_task_preface(ngx_sp_pg_task_t *task);
static ngx_int_t ngx_sp_pg_task_query(ngx_sp_pg_task_t *task, ngx_uint_t i,
    const ngx_sp_pg_query_t *query);
static const char *ngx_sp_pg_task_text(ngx_pool_t *pool,
    const ngx_str_t *value);
static ngx_sp_pg_entry_t *ngx_sp_pg_entry(ngx_sp_pg_t *pg,
    const ngx_sp_pg_statement_t *statement);
static ngx_uint_t ngx_sp_pg_entry_index(ngx_sp_pg_t *pg,
    const u_char *name);
static void ngx_sp_pg_task_clear(ngx_sp_pg_task_t *task);
static ngx_sp_op_result_e ngx_sp_pg_classify(const char *sqlstate);
static ngx_str_t ngx_sp_pg_field(const PGresult *result, int field);


/*
 * The parameters are role, claims and statement_timeout.  The role "none" is
 * the login role.  A session that may write is not told so: "off" would be
 * refused by a standby.
 */

static const ngx_sp_pg_statement_t  ngx_sp_pg_preface = {
    ngx_string("select set_config('role', $1, true), "
               "set_config('request.jwt.claims', $2, true), "
               "set_config('statement_timeout', $3, true)"),
    3
};


static const ngx_sp_pg_statement_t  ngx_sp_pg_preface_read_only = {
    ngx_string("select set_config('transaction_read_only', 'on', true), "
               "set_config('role', $1, true), "
               "set_config('request.jwt.claims', $2, true), "
               "set_config('statement_timeout', $3, true)"),
    3
};


/*
 * On failure *sqlstate is that of a parameter PostgreSQL cannot hold, or NULL
 * when there is no memory.
 */

ngx_sp_pg_task_t *
ngx_sp_pg_task_create(ngx_sp_pg_t *pg, ngx_sp_pg_op_t *op,
    const char **sqlstate)
{
    ngx_int_t          rc;
    ngx_uint_t         i;
    ngx_pool_t        *pool;
    ngx_sp_pg_task_t  *task;

    *sqlstate = NULL;

    pool = ngx_create_pool(NGX_SP_PG_TASK_POOL, pg->log);
    if (pool == NULL) {
        return NULL;
    }

    task = ngx_pcalloc(pool, sizeof(ngx_sp_pg_task_t));
    if (task == NULL) {
        goto failed;
    }

    task->pool = pool;
    task->pg = pg;
    task->op = op;
    task->nqueries = op->nqueries + 1;

    task->queries = ngx_pcalloc(pool, task->nqueries
                                      * sizeof(ngx_sp_pg_task_query_t));

    /* a reset, a parse and an execution of each, and the sync */

    task->steps = ngx_palloc(pool, (2 * task->nqueries + 2)
                                   * sizeof(ngx_sp_pg_step_t));

    if (task->queries == NULL || task->steps == NULL) {
        goto failed;
    }

    rc = ngx_sp_pg_task_preface(task);

    for (i = 0; rc == NGX_OK && i < op->nqueries; i++) {
        rc = ngx_sp_pg_task_query(task, i + 1, &op->queries[i]);
    }

    if (rc == NGX_OK) {
        return task;
    }

    if (rc == NGX_DECLINED) {
        *sqlstate = "22021";
    }

failed:

    ngx_destroy_pool(pool);

    return NULL;
}


void
ngx_sp_pg_task_destroy(ngx_sp_pg_task_t *task)
{
    ngx_sp_pg_task_clear(task);
    ngx_destroy_pool(task->pool);
}


/* the task is complete: tells the op and destroys the task */

void
ngx_sp_pg_task_finish(ngx_sp_pg_task_t *task)
{
    ngx_uint_t       i;
    ngx_sp_pg_op_t  *op;

    op = task->op;

    if (op == NULL) {
        ngx_sp_pg_task_destroy(task);
        return;
    }

    task->op = NULL;

    if (task->error != NULL) {
        op->op.slot = NULL;
        op->op.cancel = NULL;

        op->failed = (task->failed != 0) ? task->failed - 1 : 0;

        op->sqlstate = ngx_sp_pg_field(task->error, PG_DIAG_SQLSTATE);
        op->message = ngx_sp_pg_field(task->error, PG_DIAG_MESSAGE_PRIMARY);
        op->detail = ngx_sp_pg_field(task->error, PG_DIAG_MESSAGE_DETAIL);
        op->hint = ngx_sp_pg_field(task->error, PG_DIAG_MESSAGE_HINT);

        ngx_sp_op_finish(&op->op,
                         ngx_sp_pg_classify((char *) op->sqlstate.data),
                         (char *) op->message.data);

    } else {
        for (i = 1; i < task->nqueries; i++) {
            op->queries[i - 1].result = task->queries[i].result;
        }

        ngx_sp_op_finish(&op->op, NGX_SP_OP_OK, NULL);
    }

    ngx_sp_pg_task_destroy(task);
}


void
ngx_sp_pg_task_fail(ngx_sp_pg_task_t *task, const char *reason)
{
    ngx_sp_pg_op_t  *op;

    op = task->op;
    task->op = NULL;

    ngx_sp_pg_task_destroy(task);

    if (op != NULL) {
        ngx_sp_op_finish(&op->op, NGX_SP_OP_UNAVAILABLE, reason);
    }
}


/*
 * The server forgot a prepared statement (26000) or its plan no longer fits
 * (0A000).  The transaction was rolled back: it is run again, once.
 */

ngx_uint_t
ngx_sp_pg_task_retry(ngx_sp_pg_task_t *task)
{
    const char  *sqlstate;

    if (task->error == NULL || task->retried || task->op == NULL) {
        return 0;
    }

    sqlstate = ngx_sp_pg_task_sqlstate(task);

    if (ngx_strcmp(sqlstate, "26000") != 0
        && ngx_strcmp(sqlstate, "0A000") != 0)
    {
        return 0;
    }

    ngx_sp_pg_task_clear(task);
    task->retried = 1;

    return 1;
}


const char *
ngx_sp_pg_task_sqlstate(const ngx_sp_pg_task_t *task)
{
    if (task->error == NULL) {
        return "";
    }

    return (const char *) ngx_sp_pg_field(task->error,
                                          PG_DIAG_SQLSTATE).data;
}


static ngx_int_t
ngx_sp_pg_task_preface(ngx_sp_pg_task_t *task)
{
    ngx_str_t          params[3];
    ngx_sp_pg_op_t    *op;
    ngx_sp_pg_query_t  query;

    op = task->op;

    if (op->role.len != 0) {
        params[0] = op->role;

    } else {
        ngx_str_set(&params[0], "none");
    }

    if (op->claims.len != 0) {
        params[1] = op->claims;

    } else {
        ngx_str_set(&params[1], "");
    }

    ngx_str_set(&params[2], "0");

    query.statement = op->read_only ? &ngx_sp_pg_preface_read_only
                                    : &ngx_sp_pg_preface;
    query.params = params;

    if (ngx_sp_pg_task_query(task, 0, &query) != NGX_OK) {
        return NGX_DECLINED;
    }

    /* known when it is sent */

    task->queries[0].params[2] = (char *) task->statement_timeout;

    return NGX_OK;
}


/* NGX_DECLINED: a parameter has a NUL byte */

static ngx_int_t
ngx_sp_pg_task_query(ngx_sp_pg_task_t *task, ngx_uint_t i,
    const ngx_sp_pg_query_t *query)
{
    ngx_uint_t               n;
    ngx_sp_pg_task_query_t  *tq;

    tq = &task->queries[i];

    tq->entry = ngx_sp_pg_entry(task->pg, query->statement);
    if (tq->entry == NULL) {
        return NGX_ERROR;
    }

    tq->params = ngx_pcalloc(task->pool, (query->statement->nparams + 1)
                                         * sizeof(char *));
    if (tq->params == NULL) {
        return NGX_ERROR;
    }

    for (n = 0; n < query->statement->nparams; n++) {

        if (query->params[n].data == NULL) {
            continue;
        }

        if (memchr(query->params[n].data, '\0', query->params[n].len)
            != NULL)
        {
            return NGX_DECLINED;
        }

        tq->params[n] = ngx_sp_pg_task_text(task->pool, &query->params[n]);
        if (tq->params[n] == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static const char *
ngx_sp_pg_task_text(ngx_pool_t *pool, const ngx_str_t *value)
{
    u_char  *p;

    p = ngx_pnalloc(pool, value->len + 1);
    if (p == NULL) {
        return NULL;
    }

    ngx_memcpy(p, value->data, value->len);
    p[value->len] = '\0';

    return (const char *) p;
}


/* statements are few, and static: entries live as long as the worker */

static ngx_sp_pg_entry_t *
ngx_sp_pg_entry(ngx_sp_pg_t *pg, const ngx_sp_pg_statement_t *statement)
{
    u_char             *p, digest[16];
    ngx_md5_t           md5;
    ngx_rbtree_key_t    key;
    ngx_rbtree_node_t  *node;
    ngx_sp_pg_entry_t  *entry;

    key = (ngx_rbtree_key_t) (uintptr_t) statement;
    node = pg->entries.root;

    while (node != &pg->sentinel) {

        if (key == node->key) {
            return (ngx_sp_pg_entry_t *) node;
        }

        node = (key < node->key) ? node->left : node->right;
    }

    entry = ngx_calloc(sizeof(ngx_sp_pg_entry_t), pg->log);
    if (entry == NULL) {
        return NULL;
    }

    ngx_md5_init(&md5);
    ngx_md5_update(&md5, statement->sql.data, statement->sql.len);
    ngx_md5_final(digest, &md5);

    p = ngx_cpymem(entry->name, "sp_", sizeof("sp_") - 1);
    p = ngx_hex_dump(p, digest, sizeof(digest));
    *p = '\0';

    entry->node.key = key;
    entry->statement = statement;
    entry->index = ngx_sp_pg_entry_index(pg, entry->name);

    ngx_rbtree_insert(&pg->entries, &entry->node);

    return entry;
}


/* equal SQL in two places is one prepared statement */

static ngx_uint_t
ngx_sp_pg_entry_index(ngx_sp_pg_t *pg, const u_char *name)
{
    ngx_rbtree_node_t  *node;
    ngx_sp_pg_entry_t  *entry;

    if (pg->entries.root != &pg->sentinel) {

        node = ngx_rbtree_min(pg->entries.root, &pg->sentinel);

        for ( /* void */ ;
             node != NULL;
             node = ngx_rbtree_next(&pg->entries, node))
        {
            entry = (ngx_sp_pg_entry_t *) node;

            if (ngx_memcmp(entry->name, name, NGX_SP_PG_NAME_LEN) == 0) {
                return entry->index;
            }
        }
    }

    return pg->nentries++;
}


static void
ngx_sp_pg_task_clear(ngx_sp_pg_task_t *task)
{
    ngx_uint_t  i;

    for (i = 0; i < task->nqueries; i++) {
        PQclear(task->queries[i].result);
        task->queries[i].result = NULL;
    }

    PQclear(task->error);
    task->error = NULL;
    task->failed = 0;
}


static ngx_sp_op_result_e
ngx_sp_pg_classify(const char *sqlstate)
{
    /* our own statement_timeout: rolled back just before the deadline */

    if (ngx_strcmp(sqlstate, "57014") == 0) {
        return NGX_SP_OP_TIMEOUT;
    }

    /* connection exceptions, shutdown, no slots, a read-only standby */

    if (ngx_strncmp(sqlstate, "08", 2) == 0
        || ngx_strncmp(sqlstate, "57P", 3) == 0
        || ngx_strncmp(sqlstate, "53", 2) == 0)
    {
        return NGX_SP_OP_UNAVAILABLE;
    }

    return NGX_SP_OP_REJECTED;
}


static ngx_str_t
ngx_sp_pg_field(const PGresult *result, int field)
{
    ngx_str_t  value;

    value.data = (u_char *) PQresultErrorField(result, field);

    if (value.data == NULL) {
        value.data = (u_char *) "";
    }

    value.len = ngx_strlen(value.data);

    return value;
}


ngx_str_t
ngx_sp_pg_value(const PGresult *result, int row, int column)
{
    ngx_str_t  value;

    if (row < 0 || row >= PQntuples(result)
        || column < 0 || column >= PQnfields(result)
        || PQgetisnull(result, row, column))
    {
        ngx_str_null(&value);
        return value;
    }

    value.data = (u_char *) PQgetvalue(result, row, column);
    value.len = (size_t) PQgetlength(result, row, column);

    return value;
}
