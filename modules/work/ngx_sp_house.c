
/*
 * Copyright (C) Sallyport authors
 *
 * Housekeeping: the first worker has rows that have been over for long
 * deleted, a batch at a time, soon after its start and every now and then.
 */


#include "ngx_sp_work.h"


#define NGX_SP_HOUSE_FIRST    1000
#define NGX_SP_HOUSE_MORE     200
#define NGX_SP_HOUSE_AGAIN    60000
#define NGX_SP_HOUSE_PERIOD   600000
#define NGX_SP_HOUSE_TIMEOUT  10000


/* one server that has our schema */

typedef struct {
    ngx_sp_pg_t                   *pg;

    /* state of the worker, since init_process */

    ngx_event_t                    timer;
    ngx_sp_pg_op_t                 op;
    ngx_sp_pg_query_t              query;
} ngx_sp_house_t;


static void ngx_sp_house_schedule(ngx_sp_house_t *house,
    ngx_msec_t delay);
static void ngx_sp_house_handler(ngx_event_t *ev);
static void ngx_sp_house_done(ngx_sp_op_t *op);


static const ngx_sp_pg_statement_t  ngx_sp_house_sql = {
    ngx_string("select gateway.housekeeping()"),
    0
};


ngx_int_t
ngx_sp_work_housekeeping(ngx_conf_t *cf, ngx_sp_work_t *work, ngx_sp_pg_t *pg)
{
    ngx_uint_t                      i;
    ngx_sp_house_t                **elt, *house;

    elt = work->houses.elts;

    for (i = 0; i < work->houses.nelts; i++) {
        if (elt[i]->pg == pg) {
            return NGX_OK;
        }
    }

    house = ngx_pcalloc(cf->pool, sizeof(ngx_sp_house_t));
    if (house == NULL) {
        return NGX_ERROR;
    }

    house->pg = pg;

    elt = ngx_array_push(&work->houses);
    if (elt == NULL) {
        return NGX_ERROR;
    }

    *elt = house;

    return NGX_OK;
}


void
ngx_sp_houses_init_process(ngx_sp_work_t *work,
    ngx_cycle_t *cycle)
{
    ngx_uint_t             i;
    ngx_sp_house_t       **house;

    if (ngx_worker != 0) {
        return;
    }

    house = work->houses.elts;

    for (i = 0; i < work->houses.nelts; i++) {
        house[i]->timer.handler = ngx_sp_house_handler;
        house[i]->timer.data = house[i];
        house[i]->timer.log = cycle->log;
        house[i]->timer.cancelable = 1;

        ngx_sp_house_schedule(house[i], NGX_SP_HOUSE_FIRST);
    }
}


void
ngx_sp_houses_exit_process(ngx_sp_work_t *work)
{
    ngx_uint_t             i;
    ngx_sp_house_t       **house;

    house = work->houses.elts;

    for (i = 0; i < work->houses.nelts; i++) {
        ngx_sp_op_cancel(&house[i]->op.op);
    }
}


/* with some jitter, so that gateways do not meet */

static void
ngx_sp_house_schedule(ngx_sp_house_t *house, ngx_msec_t delay)
{
    ngx_add_timer(&house->timer, delay + ngx_random() % delay / 4);
}


static void
ngx_sp_house_handler(ngx_event_t *ev)
{
    ngx_sp_pg_op_t       *op;
    ngx_sp_house_t       *house;

    house = ev->data;

    if (ngx_exiting || ngx_terminate) {
        return;
    }

    house->query.statement = &ngx_sp_house_sql;

    op = &house->op;

    ngx_memzero(op, sizeof(ngx_sp_pg_op_t));

    op->op.done = ngx_sp_house_done;
    op->op.data = house;
    op->op.log = ngx_cycle->log;
    op->op.timeout = NGX_SP_HOUSE_TIMEOUT;
    op->queries = &house->query;
    op->nqueries = 1;
    ngx_str_set(&op->role, "sallyport_gateway");
    ngx_str_set(&op->claims, "");

    ngx_sp_pg_submit(house->pg, op);
}


static void
ngx_sp_house_done(ngx_sp_op_t *op)
{
    ngx_str_t             more;
    ngx_uint_t            level;
    ngx_sp_house_t       *house;

    house = op->data;

    if (op->result != NGX_SP_OP_OK) {

        /* that a server is away is for others to say */

        level = (op->result == NGX_SP_OP_UNAVAILABLE) ? NGX_LOG_INFO
                                                      : NGX_LOG_WARN;

        ngx_log_error(level, ngx_cycle->log, 0,
                      "housekeeping in pg \"%V\": %s, %V",
                      ngx_sp_pg_name(house->pg),
                      ngx_sp_op_result_name(op->result), &op->reason);

        ngx_sp_house_schedule(house, (op->result == NGX_SP_OP_REJECTED)
                                     ? NGX_SP_HOUSE_PERIOD
                                     : NGX_SP_HOUSE_AGAIN);
        return;
    }

    more = ngx_sp_pg_value(house->query.result, 0, 0);

    ngx_sp_house_schedule(house, (more.len == 1 && more.data[0] == 't')
                                 ? NGX_SP_HOUSE_MORE
                                 : NGX_SP_HOUSE_PERIOD);
}
