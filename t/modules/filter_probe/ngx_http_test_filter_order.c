
/*
 * Copyright (C) Sallyport authors
 *
 * For tests only: stream filters and end hooks of one rank, registered against
 * the order of their names, which tell in the log that they are asked.
 */


#include "ngx_http_sp_core.h"


ngx_uint_t ngx_http_test_filter_wants(ngx_http_request_t *r,
    ngx_http_sp_direction_e direction);
ngx_int_t ngx_http_test_filter_order(ngx_conf_t *cf);

static ngx_int_t ngx_http_test_order_alpha(void *state,
    ngx_http_sp_text_t *text, const ngx_str_t *piece);
static ngx_int_t ngx_http_test_order_beta(void *state,
    ngx_http_sp_text_t *text, const ngx_str_t *piece);
static void ngx_http_test_order_end_alpha(ngx_http_request_t *r,
    const ngx_http_sp_outcome_t *outcome);
static void ngx_http_test_order_end_beta(ngx_http_request_t *r,
    const ngx_http_sp_outcome_t *outcome);


static const ngx_http_sp_filter_t  ngx_http_test_order_filters[] = {

    { NGX_HTTP_SP_ABI, ngx_string("beta"), 700, NGX_HTTP_SP_INPUT, 1,
      ngx_http_test_filter_wants, NULL, ngx_http_test_order_beta, NULL, NULL },

    { NGX_HTTP_SP_ABI, ngx_string("alpha"), 700, NGX_HTTP_SP_INPUT, 1,
      ngx_http_test_filter_wants, NULL, ngx_http_test_order_alpha, NULL, NULL }
};


static const ngx_http_sp_end_t  ngx_http_test_order_ends[] = {

    { NGX_HTTP_SP_ABI, ngx_string("beta"), 700,
      ngx_http_test_order_end_beta },

    { NGX_HTTP_SP_ABI, ngx_string("alpha"), 700,
      ngx_http_test_order_end_alpha }
};


ngx_int_t
ngx_http_test_filter_order(ngx_conf_t *cf)
{
    ngx_uint_t  i;

    for (i = 0; i < 2; i++) {
        if (ngx_http_sp_add_filter(cf, &ngx_http_test_order_filters[i])
            != NGX_OK
            || ngx_http_sp_add_end(cf, &ngx_http_test_order_ends[i])
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_test_order_alpha(void *state, ngx_http_sp_text_t *text,
    const ngx_str_t *piece)
{
    ngx_log_error(NGX_LOG_INFO, text->request->connection->log, 0,
                  "order: filter alpha");

    return NGX_OK;
}


static ngx_int_t
ngx_http_test_order_beta(void *state, ngx_http_sp_text_t *text,
    const ngx_str_t *piece)
{
    ngx_log_error(NGX_LOG_INFO, text->request->connection->log, 0,
                  "order: filter beta");

    return NGX_OK;
}


static void
ngx_http_test_order_end_alpha(ngx_http_request_t *r,
    const ngx_http_sp_outcome_t *outcome)
{
    if (ngx_http_test_filter_wants(r, NGX_HTTP_SP_INPUT)) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "order: end alpha");
    }
}


static void
ngx_http_test_order_end_beta(ngx_http_request_t *r,
    const ngx_http_sp_outcome_t *outcome)
{
    if (ngx_http_test_filter_wants(r, NGX_HTTP_SP_INPUT)) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "order: end beta");
    }
}
