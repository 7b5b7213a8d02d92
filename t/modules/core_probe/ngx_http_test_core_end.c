
/*
 * Copyright (C) Sallyport authors
 *
 * For tests only: what each request came to is a row of test.ends, written by
 * an op that outlives the request.
 */


#include "ngx_http_sp_core.h"


#define NGX_HTTP_TEST_END_MAX  4


ngx_int_t ngx_http_test_core_ends(ngx_conf_t *cf, ngx_sp_pg_t *pg);

static void ngx_http_test_core_end(ngx_http_request_t *r,
    const ngx_http_sp_outcome_t *outcome);
static void ngx_http_test_core_end_done(ngx_sp_op_t *op);


typedef struct {
    ngx_sp_pg_op_t                 op;        /* first: it is detached */
    ngx_sp_pg_query_t              query;
    ngx_str_t                      param;
} ngx_http_test_core_end_t;


static const ngx_http_sp_end_t  ngx_http_test_core_end_hook = {
    NGX_HTTP_SP_ABI,
    ngx_string("test_end"),
    900,
    ngx_http_test_core_end
};


static const ngx_sp_pg_statement_t  ngx_http_test_core_end_sql = {
    ngx_string("insert into test.ends (line) values ($1)"),
    1
};


static ngx_sp_pg_t        *ngx_http_test_core_end_pg;
static ngx_sp_detached_t   ngx_http_test_core_end_queue;


ngx_int_t
ngx_http_test_core_ends(ngx_conf_t *cf, ngx_sp_pg_t *pg)
{
    ngx_http_test_core_end_pg = pg;
    ngx_http_test_core_end_queue.max = NGX_HTTP_TEST_END_MAX;

    return ngx_http_sp_add_end(cf, &ngx_http_test_core_end_hook);
}


static void
ngx_http_test_core_end(ngx_http_request_t *r,
    const ngx_http_sp_outcome_t *outcome)
{
    ngx_str_t                  none;
    ngx_pool_t                *pool;
    ngx_http_test_core_end_t  *end;

    static const char  *sources[] = { "nobody", "gateway", "upstream" };

    end = ngx_sp_detached_create(&ngx_http_test_core_end_queue,
                                 sizeof(ngx_http_test_core_end_t));
    if (end == NULL) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "test_end: %ui dropped",
                      ngx_http_test_core_end_queue.dropped);
        return;
    }

    pool = ngx_sp_detached_pool(&end->op.op);
    end->param.data = ngx_pnalloc(pool, r->uri.len + r->args.len + 256);

    if (end->param.data == NULL) {
        ngx_sp_detached_discard(&end->op.op);
        return;
    }

    ngx_str_set(&none, "-");

    end->param.len = ngx_sprintf(end->param.data,
                         "%V?%V %ui %s %s %V turn:%s got:%s sent:%s",
                         &r->uri, &r->args, outcome->status,
                         sources[outcome->source],
                         (outcome->code != NULL) ? outcome->code : "-",
                         (outcome->step != NULL) ? outcome->step : &none,
                         (outcome->turn != NULL) ? "yes" : "no",
                         (outcome->received > 0) ? "yes" : "no",
                         (outcome->sent > 0) ? "yes" : "no")
                     - end->param.data;

    end->query.statement = &ngx_http_test_core_end_sql;
    end->query.params = &end->param;
    end->op.queries = &end->query;
    end->op.nqueries = 1;
    end->op.op.done = ngx_http_test_core_end_done;
    ngx_str_set(&end->op.role, "sallyport_gateway");

    ngx_sp_pg_submit(ngx_http_test_core_end_pg, &end->op);
}


static void
ngx_http_test_core_end_done(ngx_sp_op_t *op)
{
    if (op->result != NGX_SP_OP_OK) {
        ngx_log_error(NGX_LOG_WARN, op->log, 0, "test_end: %s: %V",
                      ngx_sp_op_result_name(op->result), &op->reason);
    }
}
