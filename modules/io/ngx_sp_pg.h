
/*
 * Copyright (C) Sallyport authors
 *
 * PostgreSQL over non-blocking libpq in pipeline mode: a pool of connections
 * per worker and server, a bounded queue with deadlines, prepared statements,
 * LISTEN.
 *
 * One op is one implicit transaction: [set_config(...)] query... Sync.  An
 * error in any query rolls all of them back and leaves the connection idle
 * and clean.  On a deadline the connection is closed, never "repaired".
 */

#ifndef _NGX_SP_PG_H_INCLUDED_
#define _NGX_SP_PG_H_INCLUDED_


#include "ngx_sp_op.h"

#include <libpq-fe.h>


typedef struct ngx_sp_pg_s  ngx_sp_pg_t;


/*
 * Static or configuration memory, NUL-terminated; lives as long as the
 * worker.  Prepared on first use of each connection under a name derived
 * from its SQL; prepared again once on 26000 and 0A000.
 */
typedef struct {
    ngx_str_t                     sql;
    ngx_uint_t                    nparams;
} ngx_sp_pg_statement_t;


typedef struct {
    const ngx_sp_pg_statement_t  *statement;

    /*
     * statement->nparams values in text format, copied by submit; data NULL
     * is SQL NULL.  An embedded NUL byte makes the op REJECTED (22021)
     */
    const ngx_str_t              *params;

    /* valid in "done" when the op is OK */
    PGresult                     *result;
} ngx_sp_pg_query_t;


typedef struct {
    ngx_sp_op_t                   op;       /* first */

    ngx_sp_pg_query_t            *queries;  /* lives until "done" */
    ngx_uint_t                    nqueries;

    /*
     * set for this transaction only: role, request.jwt.claims (JSON text),
     * transaction_read_only, and statement_timeout from the op's deadline.
     * An empty role leaves the login role
     */
    ngx_str_t                     role;
    ngx_str_t                     claims;
    unsigned                      read_only:1;

    /* valid in "done" when the op is REJECTED */
    ngx_uint_t                    failed;   /* index of the query */
    ngx_str_t                     sqlstate; /* five characters */
    ngx_str_t                     message;
    ngx_str_t                     detail;
    ngx_str_t                     hint;
} ngx_sp_pg_op_t;


typedef void (*ngx_sp_pg_notify_pt)(void *data, const ngx_str_t *payload);


/*
 * Configuration: args are those of "pg_server", without the directive:
 *     name conninfo [connections=8] [queue=1024] [timeout=2s]
 *     [connect_timeout=2s] [password_file=path]
 * conninfo takes one host, looked up as ngx_sp_name.h says.
 */
ngx_sp_pg_t *ngx_sp_pg_create(ngx_conf_t *cf, ngx_array_t *args);
const ngx_str_t *ngx_sp_pg_name(const ngx_sp_pg_t *pg);

/*
 * Configuration: the handler is called in every worker for each NOTIFY of
 * the channel, and once with a NULL payload after each (re)connect of the
 * listening connection: what was missed meanwhile must be polled.
 */
ngx_int_t ngx_sp_pg_listen(ngx_conf_t *cf, ngx_sp_pg_t *pg,
    const ngx_str_t *channel, ngx_sp_pg_notify_pt handler, void *data);

ngx_int_t ngx_sp_pg_init_process(ngx_sp_pg_t *pg, ngx_cycle_t *cycle);
void ngx_sp_pg_exit_process(ngx_sp_pg_t *pg);

/* 1 when at least one connection of this worker is usable */
ngx_uint_t ngx_sp_pg_ready(const ngx_sp_pg_t *pg);

void ngx_sp_pg_submit(ngx_sp_pg_t *pg, ngx_sp_pg_op_t *op);

/* row 0 of a result as a string that points into it; data NULL for SQL NULL */
ngx_str_t ngx_sp_pg_value(const PGresult *result, int row, int column);


#endif /* _NGX_SP_PG_H_INCLUDED_ */
