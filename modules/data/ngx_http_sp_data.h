
/*
 * Copyright (C) Sallyport authors
 *
 * pg_call: method + path + query + JSON body -> SQL function -> JSON.
 */

#ifndef _NGX_HTTP_SP_DATA_H_INCLUDED_
#define _NGX_HTTP_SP_DATA_H_INCLUDED_


#include "ngx_http_sp_core.h"


typedef struct {
    ngx_sp_metric_t          *calls;
    ngx_sp_metric_t          *errors;     /* answered 5xx */
    ngx_sp_metric_t          *duration;
} ngx_http_sp_data_main_conf_t;


typedef struct {
    ngx_sp_pg_t              *pg;         /* NULL: off here */
    ngx_sp_pg_statement_t    *statement;
    size_t                    max_result;
    ngx_msec_t                timeout;
} ngx_http_sp_data_loc_conf_t;


/* what a finished op leaves, in memory of the request */

typedef struct {
    ngx_sp_op_result_e        result;
    ngx_uint_t                status;
    ngx_str_t                 body;
    ngx_str_t                 location;
    ngx_str_t                 allow;

    /* of a rejection */

    u_char                    sqlstate[5];
    ngx_str_t                 message;
    ngx_str_t                 detail;
    ngx_str_t                 hint;

    unsigned                  sent:1;
    unsigned                  too_large:1;
    unsigned                  no_memory:1;
    unsigned                  malformed:1;
} ngx_http_sp_data_answer_t;


extern ngx_module_t  ngx_http_sp_data_module;


/* the content handler */
ngx_int_t ngx_http_sp_data_handler(ngx_http_request_t *r);

/* the error answer to an op that is not OK; returns its status */
ngx_int_t ngx_http_sp_data_error(ngx_http_request_t *r,
    const ngx_http_sp_data_answer_t *answer);


#endif /* _NGX_HTTP_SP_DATA_H_INCLUDED_ */
