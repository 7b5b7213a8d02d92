
/*
 * Copyright (C) Sallyport authors
 */


#include "ngx_http_sp_mint.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>


static char *ngx_http_sp_mint_relay(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_sp_mint_add_context(ngx_conf_t *cf);
static void *ngx_http_sp_mint_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_sp_mint_create_loc_conf(ngx_conf_t *cf);
static void ngx_http_sp_mint_cleanup(void *data);


static ngx_command_t  ngx_http_sp_mint_commands[] = {

    { ngx_string("mint"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_sp_mint_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mint_relay"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_sp_mint_relay,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_sp_mint_module_ctx = {
    ngx_http_sp_mint_add_context,          /* preconfiguration */
    ngx_http_sp_mint_runner_init,          /* postconfiguration */

    ngx_http_sp_mint_create_main_conf,     /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_sp_mint_create_loc_conf,      /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_sp_mint_module = {
    NGX_MODULE_V1,
    &ngx_http_sp_mint_module_ctx,          /* module context */
    ngx_http_sp_mint_commands,             /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_sp_mint_runner_init_process,  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static char *
ngx_http_sp_mint_relay(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_mint_loc_conf_t *mlcf = conf;

    ngx_str_t                      *value;
    ngx_uint_t                      i;
    ngx_http_sp_mint_t            **mint;
    ngx_http_core_loc_conf_t       *clcf;
    ngx_http_sp_mint_main_conf_t   *mmcf;

    if (mlcf->mint != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_mint_module);
    mint = mmcf->mints.elts;

    for (i = 0; i < mmcf->mints.nelts; i++) {
        if (mint[i]->name.len == value[1].len
            && ngx_strncmp(mint[i]->name.data, value[1].data, value[1].len)
               == 0)
        {
            mlcf->mint = mint[i];
            break;
        }
    }

    if (mlcf->mint == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "there is no \"mint %V ...\" above this line",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->named || clcf->noname
#if (NGX_PCRE)
        || clcf->regex != NULL
#endif
        )
    {
        return "needs a location with a path: what follows the path names "
               "the mint";
    }

    return ngx_http_sp_set_content(cf, ngx_http_sp_mint_handler,
                                   NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST);
}


static ngx_int_t
ngx_http_sp_mint_add_context(ngx_conf_t *cf)
{
    uint8_t                        seed[32];
    ngx_pool_cleanup_t            *cln;
    ngx_http_sp_mint_main_conf_t  *mmcf;

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_mint_module);

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    mmcf->secp = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    if (mmcf->secp == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_sp_mint_cleanup;
    cln->data = mmcf;

    /* blinds signing against side channels */

    if (RAND_bytes(seed, sizeof(seed)) != 1
        || secp256k1_context_randomize(mmcf->secp, seed) != 1)
    {
        return NGX_ERROR;
    }

    OPENSSL_cleanse(seed, sizeof(seed));

    return NGX_OK;
}


static void *
ngx_http_sp_mint_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_sp_mint_main_conf_t  *mmcf;

    mmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_mint_main_conf_t));
    if (mmcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     mmcf->secp = NULL;
     */

    if (ngx_array_init(&mmcf->mints, cf->pool, 2,
                       sizeof(ngx_http_sp_mint_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return mmcf;
}


static void *
ngx_http_sp_mint_create_loc_conf(ngx_conf_t *cf)
{
    /* mlcf->mint is not inherited: a content handler is not either */

    return ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_mint_loc_conf_t));
}


static void
ngx_http_sp_mint_cleanup(void *data)
{
    ngx_http_sp_mint_main_conf_t *mmcf = data;

    ngx_uint_t            i;
    ngx_http_sp_mint_t  **mint;

    mint = mmcf->mints.elts;

    for (i = 0; i < mmcf->mints.nelts; i++) {
        OPENSSL_cleanse(mint[i]->key, sizeof(mint[i]->key));
    }

    secp256k1_context_destroy(mmcf->secp);
}
