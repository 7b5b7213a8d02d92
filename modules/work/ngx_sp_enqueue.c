
/*
 * Copyright (C) Sallyport authors
 *
 * A job from where no transaction makes it necessary: the end of a request,
 * say.  The row is written by a detached op.
 */


#include "ngx_sp_work.h"


/* on their way to PostgreSQL, of one worker */
#define NGX_SP_ENQUEUE_MAX  256


typedef struct {
    ngx_sp_pg_op_t            op;          /* first: it is detached */
    ngx_sp_pg_query_t         query;
    const ngx_sp_job_kind_t  *kind;
} ngx_sp_enqueue_t;


static void ngx_sp_enqueue_done(ngx_sp_op_t *op);


static const ngx_sp_pg_statement_t  ngx_sp_enqueue_sql = {
    ngx_string("select gateway.job_enqueue($1, $2::jsonb, null, "
               "nullif($3, ''))"),
    3
};


static ngx_sp_detached_t  ngx_sp_enqueue_queue = { NGX_SP_ENQUEUE_MAX, 0, 0 };


void
ngx_sp_job_enqueue(ngx_sp_pg_t *pg, const ngx_sp_job_kind_t *kind,
    const ngx_str_t *payload, const ngx_str_t *key)
{
    ngx_str_t          params[3];
    ngx_sp_enqueue_t  *enqueue;

    enqueue = ngx_sp_detached_create(&ngx_sp_enqueue_queue,
                                     sizeof(ngx_sp_enqueue_t));
    if (enqueue == NULL) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "a job of kind \"%V\" is lost, %d are on their way; "
                      "lost so far: %ui", &kind->name, NGX_SP_ENQUEUE_MAX,
                      ngx_sp_enqueue_queue.dropped);
        return;
    }

    params[0] = kind->name;
    params[1] = *payload;
    params[2] = *key;

    enqueue->kind = kind;
    enqueue->query.statement = &ngx_sp_enqueue_sql;
    enqueue->query.params = params;
    enqueue->op.queries = &enqueue->query;
    enqueue->op.nqueries = 1;
    enqueue->op.op.done = ngx_sp_enqueue_done;
    ngx_str_set(&enqueue->op.role, "sallyport_gateway");

    /* copies the parameters */

    ngx_sp_pg_submit(pg, &enqueue->op);
}


static void
ngx_sp_enqueue_done(ngx_sp_op_t *op)
{
    ngx_sp_enqueue_t  *enqueue;

    enqueue = (ngx_sp_enqueue_t *) op;

    if (op->result != NGX_SP_OP_OK) {
        ngx_log_error(NGX_LOG_ERR, op->log, 0,
                      "a job of kind \"%V\" is lost: %s, %V",
                      &enqueue->kind->name,
                      ngx_sp_op_result_name(op->result), &op->reason);
    }
}
