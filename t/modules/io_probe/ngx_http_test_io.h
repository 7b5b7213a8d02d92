
/*
 * Copyright (C) Sallyport authors
 *
 * For tests only: runs ops from locations and prints what became of them.
 * It needs nothing of the core but the io layer; its redis and pg servers are
 * its own, so that the faults of a test meet nobody else.
 */

#ifndef _NGX_HTTP_TEST_IO_H_INCLUDED_
#define _NGX_HTTP_TEST_IO_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_sp_fetch.h"
#include "ngx_sp_pg.h"
#include "ngx_sp_redis.h"


#define NGX_HTTP_TEST_IO_PRINT  8192


typedef struct {
    ngx_array_t                   redis;      /* ngx_sp_redis_t * */
    ngx_array_t                   pg;         /* ngx_sp_pg_t * */
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


extern ngx_module_t       ngx_http_test_io_module;
extern ngx_sp_detached_t  ngx_http_test_io_detached;


ngx_int_t ngx_http_test_io_handler(ngx_http_request_t *r);
void ngx_http_test_io_print(ngx_http_test_io_item_t *item,
    ngx_http_test_io_loc_conf_t *lcf);
ngx_int_t ngx_http_test_io_state(ngx_http_request_t *r);
ngx_int_t ngx_http_test_io_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *text);


#endif /* _NGX_HTTP_TEST_IO_H_INCLUDED_ */
