
/*
 * Copyright (C) Sallyport authors
 *
 * A task on the wire: one pipeline that ends with one Sync, and its results
 * in the same order.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_sp_pg_int.h"


/* the server gives up that much before the deadline, not after it */
#define NGX_SP_PG_MARGIN_MAX  50


/* of conn->prepared */
#define NGX_SP_PG_UNKNOWN   0
#define NGX_SP_PG_PREPARED  1


static ngx_int_t ngx_sp_pg_prepared_grow(ngx_sp_pg_conn_t *conn);
static void ngx_sp_pg_set_statement_timeout(ngx_sp_pg_task_t *task);
static void ngx_sp_pg_push(ngx_sp_pg_task_t *task, ngx_sp_pg_kind_e kind,
    ngx_uint_t query);
static ngx_int_t ngx_sp_pg_send_query(ngx_sp_pg_conn_t *conn, ngx_uint_t i);
static ngx_int_t ngx_sp_pg_result(ngx_sp_pg_conn_t *conn,
    PGresult *result);
static void ngx_sp_pg_keep(ngx_sp_pg_conn_t *conn, ngx_sp_pg_step_t *step,
    PGresult *result);


/* the connection is idle; NGX_ERROR: it must be closed */

ngx_int_t
ngx_sp_pg_send(ngx_sp_pg_conn_t *conn, ngx_sp_pg_task_t *task)
{
    PGconn      *pgconn;
    ngx_uint_t   i;

    pgconn = conn->link.pgconn;

    conn->task = task;
    task->conn = conn;
    task->nsteps = 0;
    task->step = 0;
    task->seen = 0;

    if (task->op != NULL) {
        task->op->op.sent = 1;
    }

    if (ngx_sp_pg_prepared_grow(conn) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_sp_pg_set_statement_timeout(task);

    if (task->retried) {

        /* libpq 15 has no way to close one statement */

        if (PQsendQueryParams(pgconn, "deallocate all", 0, NULL, NULL, NULL,
                              NULL, 0)
            == 0)
        {
            return NGX_ERROR;
        }

        ngx_memzero(conn->prepared, conn->nprepared);
        ngx_sp_pg_push(task, NGX_SP_PG_RESET, 0);
    }

    for (i = 0; i < task->nqueries; i++) {
        if (ngx_sp_pg_send_query(conn, i) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (PQpipelineSync(pgconn) == 0) {
        return NGX_ERROR;
    }

    ngx_sp_pg_push(task, NGX_SP_PG_SYNC, 0);

    return ngx_sp_pg_link_flush(&conn->link);
}


static ngx_int_t
ngx_sp_pg_prepared_grow(ngx_sp_pg_conn_t *conn)
{
    u_char      *p;
    ngx_uint_t   n;

    n = conn->link.pg->nentries;

    if (n <= conn->nprepared) {
        return NGX_OK;
    }

    n = ngx_align(n, 64);

    p = ngx_calloc(n, conn->link.pg->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (conn->prepared != NULL) {
        ngx_memcpy(p, conn->prepared, conn->nprepared);
        ngx_free(conn->prepared);
    }

    conn->prepared = p;
    conn->nprepared = n;

    return NGX_OK;
}


static void
ngx_sp_pg_set_statement_timeout(ngx_sp_pg_task_t *task)
{
    u_char      *p;
    ngx_msec_t   elapsed, left;

    elapsed = ngx_current_msec - task->started;

    left = (elapsed < task->timeout) ? task->timeout - elapsed : 1;
    left -= ngx_min(left / 4, NGX_SP_PG_MARGIN_MAX);

    p = ngx_sprintf(task->statement_timeout, "%M", ngx_max(left, 1));
    *p = '\0';
}


static void
ngx_sp_pg_push(ngx_sp_pg_task_t *task, ngx_sp_pg_kind_e kind,
    ngx_uint_t query)
{
    ngx_sp_pg_step_t  *step;

    step = &task->steps[task->nsteps++];

    step->kind = kind;
    step->query = query;
}


static ngx_int_t
ngx_sp_pg_send_query(ngx_sp_pg_conn_t *conn, ngx_uint_t i)
{
    char                    *name;
    PGconn                  *pgconn;
    ngx_sp_pg_task_t        *task;
    ngx_sp_pg_entry_t       *entry;
    ngx_sp_pg_task_query_t  *query;

    task = conn->task;
    query = &task->queries[i];
    entry = query->entry;
    pgconn = conn->link.pgconn;
    name = (char *) entry->name;

    if (conn->prepared[entry->index] == NGX_SP_PG_UNKNOWN) {

        if (PQsendPrepare(pgconn, name, (char *) entry->statement->sql.data,
                          0, NULL)
            == 0)
        {
            return NGX_ERROR;
        }

        /* taken back if the server does not come to it */

        conn->prepared[entry->index] = NGX_SP_PG_PREPARED;
        ngx_sp_pg_push(task, NGX_SP_PG_PARSE, i);
    }

    if (PQsendQueryPrepared(pgconn, name, (int) entry->statement->nparams,
                            query->params, NULL, NULL, 0)
        == 0)
    {
        return NGX_ERROR;
    }

    ngx_sp_pg_push(task, NGX_SP_PG_QUERY, i);

    return NGX_OK;
}


/*
 * Reads no more than what has come: PQgetResult() would block while
 * PQisBusy() says so.
 */

ngx_int_t
ngx_sp_pg_collect(ngx_sp_pg_conn_t *conn)
{
    PGconn            *pgconn;
    PGresult          *result;
    ngx_int_t          rc;
    ngx_sp_pg_task_t  *task;

    pgconn = conn->link.pgconn;
    task = conn->task;

    while (PQisBusy(pgconn) == 0) {

        result = PQgetResult(pgconn);

        if (result != NULL) {
            rc = ngx_sp_pg_result(conn, result);

            if (rc != NGX_AGAIN) {
                return rc;
            }

            continue;
        }

        /* the end of the results of one step */

        if (!task->seen) {

            /* nothing is expected, though the sync has not come */

            if (PQstatus(pgconn) != CONNECTION_OK) {
                return NGX_ERROR;
            }

            if (PQtransactionStatus(pgconn) != PQTRANS_ACTIVE) {
                return NGX_ERROR;
            }

            continue;
        }

        task->seen = 0;
        task->step++;

        if (task->step == task->nsteps) {
            return NGX_ERROR;
        }
    }

    /* out of step, libpq has closed the socket: no event would come */

    return (PQstatus(pgconn) == CONNECTION_OK) ? NGX_AGAIN : NGX_ERROR;
}


/* takes the result over */

static ngx_int_t
ngx_sp_pg_result(ngx_sp_pg_conn_t *conn, PGresult *result)
{
    ngx_sp_pg_step_t  *step;
    ngx_sp_pg_task_t  *task;

    task = conn->task;
    step = &task->steps[task->step];

    switch (PQresultStatus(result)) {

    case PGRES_PIPELINE_SYNC:
        PQclear(result);

        return (step->kind == NGX_SP_PG_SYNC) ? NGX_OK : NGX_ERROR;

    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        task->seen = 1;
        ngx_sp_pg_keep(conn, step, result);

        return NGX_AGAIN;

    case PGRES_PIPELINE_ABORTED:
    case PGRES_FATAL_ERROR:
        task->seen = 1;

        if (step->kind == NGX_SP_PG_PARSE) {
            conn->prepared[task->queries[step->query].entry->index] =
                                                           NGX_SP_PG_UNKNOWN;
        }

        if (PQresultStatus(result) == PGRES_FATAL_ERROR
            && task->error == NULL
            && PQresultErrorField(result, PG_DIAG_SQLSTATE) != NULL)
        {
            task->error = result;
            task->failed = step->query;
            return NGX_AGAIN;
        }

        PQclear(result);

        return NGX_AGAIN;

    default:
        /* COPY and the like have no place in an op */

        PQclear(result);

        return NGX_ERROR;
    }
}


static void
ngx_sp_pg_keep(ngx_sp_pg_conn_t *conn, ngx_sp_pg_step_t *step,
    PGresult *result)
{
    size_t                   size;
    ngx_sp_pg_task_query_t  *query;

    if (step->kind != NGX_SP_PG_QUERY) {
        PQclear(result);
        return;
    }

    size = PQresultMemorySize(result);

    if (size > conn->largest) {
        conn->largest = size;
    }

    query = &conn->task->queries[step->query];

    PQclear(query->result);
    query->result = result;
}
