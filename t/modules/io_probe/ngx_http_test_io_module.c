
/*
 * Copyright (C) Sallyport authors
 *
 * For tests only: runs ops from locations and prints what became of them.
 * It has servers of its own and needs nothing of the core but the io layer.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_sp_fetch.h"
#include "ngx_sp_pg.h"
#include "ngx_sp_redis.h"


typedef struct {
    ngx_array_t                   redis;      /* ngx_sp_redis_t * */
    ngx_array_t                   pg;         /* ngx_sp_pg_t * */
    ngx_sp_fetch_conf_t           fetch;
    ngx_uint_t                    notified;
    ngx_uint_t                    relistened;
    u_char                        payload[64];
    size_t                        payload_len;
} ngx_http_test_io_main_conf_t;


typedef struct {
    ngx_sp_pg_statement_t         statement;
    ngx_array_t                   args;       /* ngx_http_complex_value_t */
} ngx_http_test_io_query_t;


typedef struct {
    ngx_sp_redis_t               *redis;
    ngx_sp_redis_script_t        *script;
    ngx_uint_t                    nkeys;
    ngx_array_t                  *args;       /* ngx_http_complex_value_t */

    ngx_sp_pg_t                  *pg;
    ngx_array_t                  *queries;
    ngx_http_complex_value_t     *role;
    ngx_http_complex_value_t     *claims;
    ngx_flag_t                    read_only;

    ngx_http_complex_value_t     *url;
    ngx_http_complex_value_t     *body;
    ngx_str_t                     method;
    ngx_array_t                  *headers;    /* ngx_str_t */
    size_t                        max_body;

    ngx_msec_t                    timeout;
    ngx_uint_t                    repeat;
    ngx_flag_t                    detached;
    ngx_flag_t                    state;
} ngx_http_test_io_loc_conf_t;


typedef struct ngx_http_test_io_ctx_s  ngx_http_test_io_ctx_t;


/* one op of a request, of any kind */

typedef struct {
    union {
        ngx_sp_op_t               op;
        ngx_sp_redis_op_t         redis;
        ngx_sp_pg_op_t            pg;
        ngx_sp_fetch_op_t         fetch;
    } u;

    ngx_http_test_io_ctx_t   *ctx;
    ngx_str_t                     text;
    ngx_uint_t                    calls;
} ngx_http_test_io_item_t;


struct ngx_http_test_io_ctx_s {
    ngx_http_request_t           *request;
    ngx_sp_join_t                 join;
    ngx_event_t                   wake;
    ngx_http_test_io_item_t  *items;
    ngx_uint_t                    nitems;
    ngx_uint_t                    submitting;
};


static ngx_int_t ngx_http_test_io_handler(ngx_http_request_t *r);
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
static void ngx_http_test_io_print(ngx_http_test_io_item_t *item,
    ngx_http_test_io_loc_conf_t *lcf);
static u_char *ngx_http_test_io_reply(u_char *p, u_char *last,
    const redisReply *reply);
static u_char *ngx_http_test_io_result(u_char *p, u_char *last,
    const PGresult *result);
static void ngx_http_test_io_joined(ngx_sp_join_t *join);
static void ngx_http_test_io_wake_handler(ngx_event_t *ev);
static void ngx_http_test_io_cleanup(void *data);
static ngx_int_t ngx_http_test_io_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *text);
static ngx_int_t ngx_http_test_io_state(ngx_http_request_t *r);
static void ngx_http_test_io_notify(void *data,
    const ngx_str_t *payload);
static void *ngx_http_test_io_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_test_io_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_test_io_server(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_sp_redis_t *ngx_http_test_io_find_redis(ngx_conf_t *cf,
    ngx_str_t *name);
static ngx_sp_pg_t *ngx_http_test_io_find_pg(ngx_conf_t *cf,
    ngx_str_t *name);
static char *ngx_http_test_io_listen(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_test_io_fetch_conf(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_test_io_redis(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_test_io_pg(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_test_io_fetch(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_test_io_header(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_test_io_show(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_test_io_push(ngx_conf_t *cf, ngx_array_t *args,
    ngx_str_t *value);
static void ngx_http_test_io_set_handler(ngx_conf_t *cf);
static ngx_int_t ngx_http_test_io_init_process(ngx_cycle_t *cycle);
static void ngx_http_test_io_exit_process(ngx_cycle_t *cycle);


#define NGX_HTTP_TEST_IO_PRINT  8192


static ngx_sp_detached_t  ngx_http_test_io_detached = { 4, 0, 0 };


static ngx_command_t  ngx_http_test_io_commands[] = {

    { ngx_string("io_probe_redis_server"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_test_io_server,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("io_probe_pg_server"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_test_io_server,
      NGX_HTTP_MAIN_CONF_OFFSET,
      1,
      NULL },

    { ngx_string("io_probe_listen"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_test_io_listen,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("io_probe_fetch_conf"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE3|NGX_CONF_TAKE4,
      ngx_http_test_io_fetch_conf,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    /* name command argument... */

    { ngx_string("io_probe_redis"),
      NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_test_io_redis,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    /* name nkeys script argument... */

    { ngx_string("io_probe_eval"),
      NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_test_io_redis,
      NGX_HTTP_LOC_CONF_OFFSET,
      1,
      NULL },

    /* name sql argument...; repeated: queries of one op */

    { ngx_string("io_probe_pg"),
      NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_test_io_pg,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("io_probe_role"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_test_io_loc_conf_t, role),
      NULL },

    { ngx_string("io_probe_claims"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_test_io_loc_conf_t, claims),
      NULL },

    { ngx_string("io_probe_read_only"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_test_io_loc_conf_t, read_only),
      NULL },

    /* url [body] */

    { ngx_string("io_probe_fetch"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_test_io_fetch,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("io_probe_method"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_test_io_loc_conf_t, method),
      NULL },

    { ngx_string("io_probe_header"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_test_io_header,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("io_probe_max_body"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_test_io_loc_conf_t, max_body),
      NULL },

    { ngx_string("io_probe_timeout"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_test_io_loc_conf_t, timeout),
      NULL },

    { ngx_string("io_probe_repeat"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_test_io_loc_conf_t, repeat),
      NULL },

    { ngx_string("io_probe_detached"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_test_io_loc_conf_t, detached),
      NULL },

    { ngx_string("io_probe_state"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_http_test_io_show,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_test_io_loc_conf_t, state),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_test_io_module_ctx = {
    NULL,                                   /* preconfiguration */
    NULL,                                   /* postconfiguration */

    ngx_http_test_io_create_main_conf,  /* create main configuration */
    NULL,                                   /* init main configuration */

    NULL,                                   /* create server configuration */
    NULL,                                   /* merge server configuration */

    ngx_http_test_io_create_loc_conf,   /* create location configuration */
    NULL                                    /* merge location configuration */
};


ngx_module_t  ngx_http_test_io_module = {
    NGX_MODULE_V1,
    &ngx_http_test_io_module_ctx,       /* module context */
    ngx_http_test_io_commands,          /* module directives */
    NGX_HTTP_MODULE,                        /* module type */
    NULL,                                   /* init master */
    NULL,                                   /* init module */
    ngx_http_test_io_init_process,      /* init process */
    NULL,                                   /* init thread */
    NULL,                                   /* exit thread */
    ngx_http_test_io_exit_process,      /* exit process */
    NULL,                                   /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
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


static ngx_int_t
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


static ngx_int_t
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


static void
ngx_http_test_io_notify(void *data, const ngx_str_t *payload)
{
    ngx_http_test_io_main_conf_t  *pmcf;

    pmcf = data;

    if (payload == NULL) {
        pmcf->relistened++;
        return;
    }

    pmcf->notified++;
    pmcf->payload_len = ngx_min(payload->len, sizeof(pmcf->payload));
    ngx_memcpy(pmcf->payload, payload->data, pmcf->payload_len);
}


static void *
ngx_http_test_io_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_test_io_main_conf_t  *pmcf;

    pmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_test_io_main_conf_t));
    if (pmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&pmcf->redis, cf->pool, 2, sizeof(ngx_sp_redis_t *))
        != NGX_OK
        || ngx_array_init(&pmcf->pg, cf->pool, 2, sizeof(ngx_sp_pg_t *))
           != NGX_OK)
    {
        return NULL;
    }

    return pmcf;
}


static void *
ngx_http_test_io_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_test_io_loc_conf_t  *lcf;

    lcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_test_io_loc_conf_t));
    if (lcf == NULL) {
        return NULL;
    }

    lcf->timeout = NGX_CONF_UNSET_MSEC;
    lcf->repeat = NGX_CONF_UNSET_UINT;
    lcf->detached = NGX_CONF_UNSET;
    lcf->state = NGX_CONF_UNSET;
    lcf->read_only = NGX_CONF_UNSET;
    lcf->max_body = NGX_CONF_UNSET_SIZE;

    return lcf;
}


static char *
ngx_http_test_io_server(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_test_io_main_conf_t *pmcf = conf;

    void         *server, **elt;
    ngx_str_t    *value;
    ngx_array_t   args;

    value = cf->args->elts;

    args = *cf->args;
    args.elts = &value[1];
    args.nelts--;

    if (cmd->offset == 1) {
        server = ngx_sp_pg_create(cf, &args);
        elt = ngx_array_push(&pmcf->pg);

    } else {
        server = ngx_sp_redis_create(cf, &args);
        elt = ngx_array_push(&pmcf->redis);
    }

    if (server == NULL || elt == NULL) {
        return NGX_CONF_ERROR;
    }

    *elt = server;

    return NGX_CONF_OK;
}


static ngx_sp_redis_t *
ngx_http_test_io_find_redis(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t                          i;
    ngx_sp_redis_t                    **redis;
    ngx_http_test_io_main_conf_t   *pmcf;

    pmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_test_io_module);
    redis = pmcf->redis.elts;

    for (i = 0; i < pmcf->redis.nelts; i++) {
        if (ngx_strcmp(ngx_sp_redis_name(redis[i])->data, name->data) == 0) {
            return redis[i];
        }
    }

    return NULL;
}


static ngx_sp_pg_t *
ngx_http_test_io_find_pg(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t                          i;
    ngx_sp_pg_t                       **pg;
    ngx_http_test_io_main_conf_t   *pmcf;

    pmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_test_io_module);
    pg = pmcf->pg.elts;

    for (i = 0; i < pmcf->pg.nelts; i++) {
        if (ngx_strcmp(ngx_sp_pg_name(pg[i])->data, name->data) == 0) {
            return pg[i];
        }
    }

    return NULL;
}


static char *
ngx_http_test_io_listen(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t    *value;
    ngx_sp_pg_t  *pg;

    value = cf->args->elts;
    pg = ngx_http_test_io_find_pg(cf, &value[1]);

    if (pg == NULL) {
        return "names no server";
    }

    if (ngx_sp_pg_listen(cf, pg, &value[2], ngx_http_test_io_notify,
                         conf)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* timeout connect_timeout max_active [trusted_certificate] */

static char *
ngx_http_test_io_fetch_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_test_io_main_conf_t *pmcf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    pmcf->fetch.timeout = ngx_parse_time(&value[1], 0);
    pmcf->fetch.connect_timeout = ngx_parse_time(&value[2], 0);
    pmcf->fetch.max_active = ngx_atoi(value[3].data, value[3].len);

    if (cf->args->nelts > 4) {
        pmcf->fetch.trusted_certificate = value[4];
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_test_io_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_test_io_loc_conf_t *lcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;
    lcf->redis = ngx_http_test_io_find_redis(cf, &value[1]);

    if (lcf->redis == NULL) {
        return "names no server";
    }

    i = 2;

    if (cmd->offset == 1) {
        lcf->nkeys = ngx_atoi(value[2].data, value[2].len);

        lcf->script = ngx_pcalloc(cf->pool, sizeof(ngx_sp_redis_script_t));
        if (lcf->script == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_str_set(&lcf->script->name, "probe");
        lcf->script->source = value[3];
        ngx_sp_redis_script_init(lcf->script);

        i = 4;
    }

    lcf->args = ngx_array_create(cf->pool, 4,
                                 sizeof(ngx_http_complex_value_t));
    if (lcf->args == NULL) {
        return NGX_CONF_ERROR;
    }

    for ( /* void */ ; i < cf->args->nelts; i++) {
        if (ngx_http_test_io_push(cf, lcf->args, &value[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    ngx_http_test_io_set_handler(cf);

    return NGX_CONF_OK;
}


static char *
ngx_http_test_io_pg(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_test_io_loc_conf_t *lcf = conf;

    ngx_str_t                     *value;
    ngx_uint_t                     i;
    ngx_http_test_io_query_t  *query;

    value = cf->args->elts;
    lcf->pg = ngx_http_test_io_find_pg(cf, &value[1]);

    if (lcf->pg == NULL) {
        return "names no server";
    }

    if (lcf->queries == NULL) {
        lcf->queries = ngx_array_create(cf->pool, 8,
                                        sizeof(ngx_http_test_io_query_t));
        if (lcf->queries == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    query = ngx_array_push(lcf->queries);
    if (query == NULL) {
        return NGX_CONF_ERROR;
    }

    query->statement.sql = value[2];
    query->statement.nparams = cf->args->nelts - 3;

    if (ngx_array_init(&query->args, cf->pool, 4,
                       sizeof(ngx_http_complex_value_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 3; i < cf->args->nelts; i++) {
        if (ngx_http_test_io_push(cf, &query->args, &value[i])
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    ngx_http_test_io_set_handler(cf);

    return NGX_CONF_OK;
}


static char *
ngx_http_test_io_fetch(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_test_io_loc_conf_t *lcf = conf;

    ngx_str_t    *value;
    ngx_array_t   args;

    value = cf->args->elts;

    if (ngx_array_init(&args, cf->pool, 2, sizeof(ngx_http_complex_value_t))
        != NGX_OK
        || ngx_http_test_io_push(cf, &args, &value[1]) != NGX_OK
        || (cf->args->nelts > 2
            && ngx_http_test_io_push(cf, &args, &value[2]) != NGX_OK))
    {
        return NGX_CONF_ERROR;
    }

    lcf->url = args.elts;

    if (args.nelts > 1) {
        lcf->body = lcf->url + 1;
    }

    ngx_http_test_io_set_handler(cf);

    return NGX_CONF_OK;
}


static char *
ngx_http_test_io_header(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_test_io_loc_conf_t *lcf = conf;

    ngx_str_t  *value, *header;

    value = cf->args->elts;

    if (lcf->headers == NULL) {
        lcf->headers = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
        if (lcf->headers == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    header = ngx_array_push(lcf->headers);
    if (header == NULL) {
        return NGX_CONF_ERROR;
    }

    *header = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_http_test_io_show(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_test_io_set_handler(cf);

    return ngx_conf_set_flag_slot(cf, cmd, conf);
}


static ngx_int_t
ngx_http_test_io_push(ngx_conf_t *cf, ngx_array_t *args,
    ngx_str_t *value)
{
    ngx_http_complex_value_t          *cv;
    ngx_http_compile_complex_value_t   ccv;

    cv = ngx_array_push(args);
    if (cv == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = cv;

    return ngx_http_compile_complex_value(&ccv);
}


static void
ngx_http_test_io_set_handler(ngx_conf_t *cf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_test_io_handler;
}


static ngx_int_t
ngx_http_test_io_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                          i;
    ngx_sp_pg_t                       **pg;
    ngx_sp_redis_t                    **redis;
    ngx_http_test_io_main_conf_t   *pmcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    pmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_test_io_module);
    if (pmcf == NULL) {
        return NGX_OK;
    }

    redis = pmcf->redis.elts;
    pg = pmcf->pg.elts;

    for (i = 0; i < pmcf->redis.nelts; i++) {
        if (ngx_sp_redis_init_process(redis[i], cycle) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < pmcf->pg.nelts; i++) {
        if (ngx_sp_pg_init_process(pg[i], cycle) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (pmcf->fetch.timeout == 0) {
        return NGX_OK;
    }

    return ngx_sp_fetch_init_process(&pmcf->fetch, cycle);
}


static void
ngx_http_test_io_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                          i;
    ngx_sp_pg_t                       **pg;
    ngx_sp_redis_t                    **redis;
    ngx_http_test_io_main_conf_t   *pmcf;

    pmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_test_io_module);
    if (pmcf == NULL) {
        return;
    }

    redis = pmcf->redis.elts;
    pg = pmcf->pg.elts;

    for (i = 0; i < pmcf->redis.nelts; i++) {
        ngx_sp_redis_exit_process(redis[i]);
    }

    for (i = 0; i < pmcf->pg.nelts; i++) {
        ngx_sp_pg_exit_process(pg[i]);
    }

    if (pmcf->fetch.timeout != 0) {
        ngx_sp_fetch_exit_process();
    }
}
