
/*
 * Copyright (C) Sallyport authors
 *
 * Private to the example: what its files share.
 */

#ifndef _NGX_HTTP_SP_EXAMPLE_H_INCLUDED_
#define _NGX_HTTP_SP_EXAMPLE_H_INCLUDED_


#include "ngx_http_sp_core.h"


typedef struct {
    ngx_int_t                  version;    /* index of the variable */
    ngx_sp_metric_t           *refused;
} ngx_http_sp_example_main_conf_t;


typedef struct {
    ngx_uint_t                 minimum;    /* 0: off */
} ngx_http_sp_example_loc_conf_t;


ngx_int_t ngx_http_sp_example_step(ngx_http_request_t *r);


extern ngx_module_t  ngx_http_sp_example_module;


#endif /* _NGX_HTTP_SP_EXAMPLE_H_INCLUDED_ */
