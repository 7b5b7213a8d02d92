
/*
 * Copyright (C) Sallyport authors
 *
 * Brings a dialect that is nothing like OpenAI's: see the other file.
 */


#include "ngx_http_sp_core.h"


static ngx_int_t ngx_http_test_dialect_preconfiguration(ngx_conf_t *cf);


extern const sp_dialect_t  ngx_http_test_dialect_say;


static ngx_http_module_t  ngx_http_test_dialect_module_ctx = {
    ngx_http_test_dialect_preconfiguration,    /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_test_dialect_module = {
    NGX_MODULE_V1,
    &ngx_http_test_dialect_module_ctx,     /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* and "hush", which is the same without embeddings */

static ngx_int_t
ngx_http_test_dialect_preconfiguration(ngx_conf_t *cf)
{
    static sp_dialect_t  hush;

    hush = ngx_http_test_dialect_say;
    hush.name = "hush";
    hush.write_embed = NULL;
    hush.scan_embed = NULL;

    if (ngx_http_sp_add_dialect(cf, &ngx_http_test_dialect_say) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_add_dialect(cf, &hush);
}
