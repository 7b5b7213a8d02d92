
/*
 * Copyright (C) Sallyport authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_test_io.h"


static ngx_int_t ngx_http_test_io_detach(ngx_http_request_t *r);
static void ngx_http_test_io_detached_done(ngx_sp_op_t *op);
static ngx_int_t ngx_http_test_io_submit(ngx_http_request_t *r,
    ngx_pool_t *pool, ngx_http_test_io_item_t *item);
static ngx_int_t ngx_http_test_io_values(ngx_http_request_t *r,
    ngx_pool_t *pool, ngx_array_t *args, ngx_str_t **out);
static ngx_int_t ngx_http_test_io_pg_submit(ngx_http_request_t *r,
    ngx_pool_t *pool, ngx_sp_pg_op_t *op);
static ngx_int_t ngx_http_test_io_fetch_submit(ngx_http_request_t *r,
    ngx_sp_fetch_op_t *op);
static void ngx_http_test_io_done(ngx_sp_op_t *op);
static void ngx_http_test_io_joined(ngx_sp_join_t *join);
static void ngx_http_test_io_wake_handler(ngx_event_t *ev);
static void ngx_http_test_io_cleanup(void *data);


ngx_sp_detached_t  ngx_http_test_io_detached = { 4, 0, 0 };


ngx_int_t
ngx_http_test_io_handler(ngx_http_request_t *r)
{
    ngx_int_t                         rc;
    ngx_uint_t                        i;
    ngx_http_cleanup_t               *cln;
    ngx_http_test_io_ctx_t       *ctx;
    ngx_http_test_io_loc_conf_t  *lcf;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_test_io_module);

    if (lcf->state == 1) {
        return ngx_http_test_io_state(r);
    }

    if (lcf->detached == 1) {
        return ngx_http_test_io_detach(r);
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_test_io_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->nitems = (lcf->repeat == NGX_CONF_UNSET_UINT) ? 1 : lcf->repeat;
    ctx->request = r;

    ctx->items = ngx_pcalloc(r->pool, ctx->nitems
                                      * sizeof(ngx_http_test_io_item_t));
    if (ctx->items == NULL) {
        return NGX_ERROR;
    }

    ctx->wake.handler = ngx_http_test_io_wake_handler;
    ctx->wake.data = ctx;
    ctx->wake.log = r->connection->log;

    ctx->join.handler = ngx_http_test_io_joined;
    ctx->join.data = ctx;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_test_io_cleanup;
    cln->data = ctx;

    ctx->submitting = 1;

    for (i = 0; i < ctx->nitems; i++) {
        ctx->items[i].ctx = ctx;
        ctx->items[i].u.op.done = ngx_http_test_io_done;
        ctx->items[i].u.op.data = &ctx->items[i];
        ctx->items[i].u.op.log = r->connection->log;
        ctx->items[i].u.op.join = &ctx->join;

        if (ngx_http_test_io_submit(r, r->pool, &ctx->items[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ctx->submitting = 0;

    r->read_event_handler = ngx_http_test_reading;

    /* paid back by the finalization of the wake handler */

    r->main->count++;

    return NGX_DONE;
}


static ngx_int_t
ngx_http_test_io_detach(ngx_http_request_t *r)
{
    ngx_pool_t                   *pool;
    ngx_http_test_io_item_t  *item;

    static ngx_str_t  full = ngx_string("full\n");
    static ngx_str_t  accepted = ngx_string("accepted\n");

    item = ngx_sp_detached_create(&ngx_http_test_io_detached,
                                  sizeof(ngx_http_test_io_item_t));
    if (item == NULL) {
        return ngx_http_test_io_send(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                         &full);
    }

    pool = ngx_sp_detached_pool(&item->u.op);
    item->u.op.done = ngx_http_test_io_detached_done;

    if (ngx_http_test_io_submit(r, pool, item) != NGX_OK) {
        ngx_sp_detached_discard(&item->u.op);
        return NGX_ERROR;
    }

    return ngx_http_test_io_send(r, NGX_HTTP_ACCEPTED, &accepted);
}


static void
ngx_http_test_io_detached_done(ngx_sp_op_t *op)
{
    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "io probe: detached op %s %V",
                  ngx_sp_op_result_name(op->result), &op->reason);
}


static ngx_int_t
ngx_http_test_io_submit(ngx_http_request_t *r, ngx_pool_t *pool,
    ngx_http_test_io_item_t *item)
{
    ngx_str_t                        *values;
    ngx_http_test_io_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_test_io_module);

    if (lcf->timeout != NGX_CONF_UNSET_MSEC) {
        item->u.op.timeout = lcf->timeout;
    }

    if (lcf->pg != NULL) {
        return ngx_http_test_io_pg_submit(r, pool, &item->u.pg);
    }

    if (lcf->url != NULL) {
        return ngx_http_test_io_fetch_submit(r, &item->u.fetch);
    }

    if (ngx_http_test_io_values(r, pool, lcf->args, &values) != NGX_OK) {
        return NGX_ERROR;
    }

    if (lcf->script != NULL) {
        ngx_sp_redis_eval(lcf->redis, &item->u.redis, lcf->script,
                          lcf->nkeys, lcf->args->nelts, values);

    } else {
        ngx_sp_redis_command(lcf->redis, &item->u.redis, lcf->args->nelts,
                             values);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_test_io_values(ngx_http_request_t *r, ngx_pool_t *pool,
    ngx_array_t *args, ngx_str_t **out)
{
    ngx_str_t                 *values;
    ngx_uint_t                 i;
    ngx_http_complex_value_t  *cv;

    values = ngx_pcalloc(pool, (args->nelts + 1) * sizeof(ngx_str_t));
    if (values == NULL) {
        return NGX_ERROR;
    }

    cv = args->elts;

    for (i = 0; i < args->nelts; i++) {

        if (ngx_http_complex_value(r, &cv[i], &values[i]) != NGX_OK) {
            return NGX_ERROR;
        }

        if (values[i].len == 4
            && ngx_strncmp(values[i].data, "NULL", 4) == 0)
        {
            ngx_str_null(&values[i]);

        } else if (values[i].len == 3
                   && ngx_strncmp(values[i].data, "NUL", 3) == 0)
        {
            values[i].data = (u_char *) "a\0b";
        }
    }

    *out = values;

    return NGX_OK;
}


static ngx_int_t
ngx_http_test_io_pg_submit(ngx_http_request_t *r, ngx_pool_t *pool,
    ngx_sp_pg_op_t *op)
{
    ngx_str_t                        *values;
    ngx_uint_t                        i;
    ngx_http_test_io_query_t     *query;
    ngx_http_test_io_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_test_io_module);
    query = lcf->queries->elts;

    op->nqueries = lcf->queries->nelts;
    op->queries = ngx_pcalloc(pool, op->nqueries * sizeof(ngx_sp_pg_query_t));
    if (op->queries == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < op->nqueries; i++) {

        if (ngx_http_test_io_values(r, pool, &query[i].args, &values)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        op->queries[i].statement = &query[i].statement;
        op->queries[i].params = values;
    }

    if (lcf->role != NULL
        && ngx_http_complex_value(r, lcf->role, &op->role) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (lcf->claims != NULL
        && ngx_http_complex_value(r, lcf->claims, &op->claims) != NGX_OK)
    {
        return NGX_ERROR;
    }

    op->read_only = (lcf->read_only == 1);

    ngx_sp_pg_submit(lcf->pg, op);

    return NGX_OK;
}


static ngx_int_t
ngx_http_test_io_fetch_submit(ngx_http_request_t *r,
    ngx_sp_fetch_op_t *op)
{
    ngx_http_test_io_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_test_io_module);

    if (ngx_http_complex_value(r, lcf->url, &op->url) != NGX_OK) {
        return NGX_ERROR;
    }

    if (lcf->body != NULL
        && ngx_http_complex_value(r, lcf->body, &op->body) != NGX_OK)
    {
        return NGX_ERROR;
    }

    op->method = lcf->method;

    if (lcf->headers != NULL) {
        op->headers = lcf->headers->elts;
        op->nheaders = lcf->headers->nelts;
    }

    if (lcf->max_body != NGX_CONF_UNSET_SIZE) {
        op->max_body = lcf->max_body;
    }

    ngx_sp_fetch_submit(op);

    return NGX_OK;
}


static void
ngx_http_test_io_done(ngx_sp_op_t *op)
{
    ngx_http_test_io_item_t      *item;
    ngx_http_test_io_loc_conf_t  *lcf;

    item = op->data;
    item->calls++;

    if (item->ctx->submitting || item->calls != 1) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "io probe: done called %ui times, inside submit: %ui",
                      item->calls, item->ctx->submitting);
    }

    lcf = ngx_http_get_module_loc_conf(item->ctx->request,
                                       ngx_http_test_io_module);

    ngx_http_test_io_print(item, lcf);
}


static void
ngx_http_test_io_joined(ngx_sp_join_t *join)
{
    ngx_http_test_io_ctx_t  *ctx;

    ctx = join->data;

    ngx_post_event(&ctx->wake, &ngx_posted_events);
}


static void
ngx_http_test_io_wake_handler(ngx_event_t *ev)
{
    u_char                      *p;
    size_t                       len;
    ngx_str_t                    text;
    ngx_uint_t                   i;
    ngx_connection_t            *c;
    ngx_http_request_t          *r;
    ngx_http_test_io_ctx_t  *ctx;

    ctx = ev->data;
    r = ctx->request;
    c = r->connection;

    len = 0;

    for (i = 0; i < ctx->nitems; i++) {
        len += ctx->items[i].text.len;
    }

    p = ngx_pnalloc(r->pool, len + 1);

    if (p == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);

    } else {
        text.data = p;
        text.len = len;

        for (i = 0; i < ctx->nitems; i++) {
            p = ngx_cpymem(p, ctx->items[i].text.data,
                           ctx->items[i].text.len);
        }

        ngx_http_finalize_request(r, ngx_http_test_io_send(r,
                                                     NGX_HTTP_OK, &text));
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_test_io_cleanup(void *data)
{
    ngx_uint_t                   i;
    ngx_http_test_io_ctx_t  *ctx;

    ctx = data;

    for (i = 0; i < ctx->nitems; i++) {
        ngx_sp_op_cancel(&ctx->items[i].u.op);

        /* what a late answer writes here, a sanitizer sees */

        ngx_memset(&ctx->items[i].u, 0x5a, sizeof(ctx->items[i].u));
    }

    if (ctx->wake.posted) {
        ngx_delete_posted_event(&ctx->wake);
    }
}


ngx_int_t
ngx_http_test_io_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *text)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    r->headers_out.status = status;
    r->headers_out.content_length_n = text->len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = text->data;
    b->last = text->data + text->len;
    b->memory = (text->len != 0);
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
