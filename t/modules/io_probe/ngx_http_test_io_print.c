
/*
 * Copyright (C) Sallyport authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_test_io.h"


static u_char *ngx_http_test_io_reply(u_char *p, u_char *last,
    const redisReply *reply);
static u_char *ngx_http_test_io_result(u_char *p, u_char *last,
    const PGresult *result);


void
ngx_http_test_io_print(ngx_http_test_io_item_t *item,
    ngx_http_test_io_loc_conf_t *lcf)
{
    u_char       *p, *last;
    ngx_uint_t    i;
    ngx_sp_op_t  *op;

    op = &item->u.op;

    p = ngx_pnalloc(item->ctx->request->pool, NGX_HTTP_TEST_IO_PRINT);
    if (p == NULL) {
        return;
    }

    last = p + NGX_HTTP_TEST_IO_PRINT - 1;
    item->text.data = p;

    p = ngx_slprintf(p, last, "%s sent=%d elapsed=%M reason=\"%V\"",
                     ngx_sp_op_result_name(op->result), op->sent,
                     op->elapsed, &op->reason);

    if (lcf->redis != NULL) {
        p = ngx_http_test_io_reply(p, last, item->u.redis.reply);

    } else if (lcf->pg != NULL && op->result == NGX_SP_OP_OK) {

        for (i = 0; i < item->u.pg.nqueries; i++) {
            p = ngx_http_test_io_result(p, last,
                                            item->u.pg.queries[i].result);
        }

    } else if (lcf->pg != NULL) {
        p = ngx_slprintf(p, last, " failed=%ui sqlstate=%V message=\"%V\" "
                         "detail=\"%V\" hint=\"%V\"", item->u.pg.failed,
                         &item->u.pg.sqlstate, &item->u.pg.message,
                         &item->u.pg.detail, &item->u.pg.hint);

    } else {
        p = ngx_slprintf(p, last, " status=%ui type=\"%V\" length=%uz "
                         "body=%V", item->u.fetch.status,
                         &item->u.fetch.content_type,
                         item->u.fetch.response.len,
                         &item->u.fetch.response);
    }

    *p++ = LF;

    item->text.len = p - item->text.data;
}


static u_char *
ngx_http_test_io_reply(u_char *p, u_char *last, const redisReply *reply)
{
    size_t  i;

    if (reply == NULL) {
        return ngx_slprintf(p, last, " none");
    }

    switch (reply->type) {

    case REDIS_REPLY_INTEGER:
        return ngx_slprintf(p, last, " %L", (int64_t) reply->integer);

    case REDIS_REPLY_NIL:
        return ngx_slprintf(p, last, " nil");

    case REDIS_REPLY_ARRAY:
        p = ngx_slprintf(p, last, " [");

        for (i = 0; i < (size_t) reply->elements; i++) {
            p = ngx_http_test_io_reply(p, last, reply->element[i]);
        }

        return ngx_slprintf(p, last, " ]");

    default:
        return ngx_slprintf(p, last, " \"%*s\"", (size_t) reply->len,
                            reply->str);
    }
}


static u_char *
ngx_http_test_io_result(u_char *p, u_char *last, const PGresult *result)
{
    int        i, j;
    ngx_str_t  value;

    p = ngx_slprintf(p, last, " (");

    for (i = 0; i < PQntuples(result); i++) {

        for (j = 0; j < PQnfields(result); j++) {
            value = ngx_sp_pg_value(result, i, j);

            if (value.data == NULL) {
                ngx_str_set(&value, "NULL");
            }

            p = ngx_slprintf(p, last, "%s%V", (i || j) ? "," : "", &value);
        }
    }

    return ngx_slprintf(p, last, ")");
}


ngx_int_t
ngx_http_test_io_state(ngx_http_request_t *r)
{
    u_char                            *p, *last;
    ngx_str_t                          text;
    ngx_uint_t                         i;
    ngx_sp_pg_t                      **pg;
    ngx_sp_redis_t                   **redis;
    ngx_http_test_io_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_test_io_module);

    p = ngx_pnalloc(r->pool, NGX_HTTP_TEST_IO_PRINT);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text.data = p;
    last = p + NGX_HTTP_TEST_IO_PRINT;
    redis = pmcf->redis.elts;
    pg = pmcf->pg.elts;

    for (i = 0; i < pmcf->redis.nelts; i++) {
        p = ngx_slprintf(p, last, "redis %V ready=%ui\n",
                         ngx_sp_redis_name(redis[i]),
                         ngx_sp_redis_ready(redis[i]));
    }

    for (i = 0; i < pmcf->pg.nelts; i++) {
        p = ngx_slprintf(p, last, "pg %V ready=%ui\n",
                         ngx_sp_pg_name(pg[i]), ngx_sp_pg_ready(pg[i]));
    }

    p = ngx_slprintf(p, last, "notified=%ui relistened=%ui payload=%*s\n"
                     "detached active=%ui dropped=%ui\npid=%P\n",
                     pmcf->notified, pmcf->relistened, pmcf->payload_len,
                     pmcf->payload, ngx_http_test_io_detached.active,
                     ngx_http_test_io_detached.dropped, ngx_pid);

    text.len = p - text.data;

    return ngx_http_test_io_send(r, NGX_HTTP_OK, &text);
}
