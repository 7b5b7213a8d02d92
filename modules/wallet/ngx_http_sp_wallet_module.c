
/*
 * Copyright (C) Sallyport authors
 */

#include "ngx_http_sp_wallet.h"


static ngx_int_t ngx_http_sp_wallet_error_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void *ngx_http_sp_wallet_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_sp_wallet_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_sp_wallet_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_sp_wallet_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_sp_wallet_postconfiguration(ngx_conf_t *cf);
static void ngx_http_sp_wallet_cleanup(void *data);


static const ngx_sp_metric_slot_t  ngx_http_sp_wallet_metrics[] = {

    { NGX_SP_COUNTER, "sallyport_wallet_sign_ins_total",
      "Sign-ins by wallet.", "result=\"accepted\"",
      offsetof(ngx_http_sp_wallet_main_conf_t,
               metrics[NGX_HTTP_SP_WALLET_ACCEPTED]) },

    { NGX_SP_COUNTER, "sallyport_wallet_sign_ins_total",
      "Sign-ins by wallet.", "result=\"refused\"",
      offsetof(ngx_http_sp_wallet_main_conf_t,
               metrics[NGX_HTTP_SP_WALLET_REFUSED]) },

    { NGX_SP_COUNTER, "sallyport_wallet_sign_ins_total",
      "Sign-ins by wallet.", "result=\"unavailable\"",
      offsetof(ngx_http_sp_wallet_main_conf_t,
               metrics[NGX_HTTP_SP_WALLET_UNAVAILABLE]) },

    { NGX_SP_COUNTER, "sallyport_wallet_sign_ins_total",
      "Sign-ins by wallet.", "result=\"guest\"",
      offsetof(ngx_http_sp_wallet_main_conf_t,
               metrics[NGX_HTTP_SP_WALLET_GUESTS]) },

    { NGX_SP_COUNTER, "sallyport_wallet_refreshes_total",
      "Uses of refresh tokens.", "result=\"rotated\"",
      offsetof(ngx_http_sp_wallet_main_conf_t,
               metrics[NGX_HTTP_SP_WALLET_ROTATED]) },

    { NGX_SP_COUNTER, "sallyport_wallet_refreshes_total",
      "Uses of refresh tokens.", "result=\"repeated\"",
      offsetof(ngx_http_sp_wallet_main_conf_t,
               metrics[NGX_HTTP_SP_WALLET_REPEATED]) },

    { NGX_SP_COUNTER, "sallyport_wallet_refreshes_total",
      "Uses of refresh tokens.", "result=\"reused\"",
      offsetof(ngx_http_sp_wallet_main_conf_t,
               metrics[NGX_HTTP_SP_WALLET_REUSED]) },

    { NGX_SP_COUNTER, "sallyport_wallet_refreshes_total",
      "Uses of refresh tokens.", "result=\"refused\"",
      offsetof(ngx_http_sp_wallet_main_conf_t,
               metrics[NGX_HTTP_SP_WALLET_ENDED]) },

    { NGX_SP_COUNTER, NULL, NULL, NULL, 0 }
};


static ngx_command_t  ngx_http_sp_wallet_commands[] = {

    { ngx_string("token_issuer"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_sp_wallet_issuer,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("wallet_auth"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_http_sp_wallet_auth,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("wallet_jwks"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_sp_wallet_jwks,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("wallet_domain"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_sp_wallet_domain,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("wallet_chain_ids"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_sp_wallet_chain_ids,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("wallet_statement"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_sp_wallet_statement,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("wallet_guest"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_wallet_loc_conf_t, guest),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_sp_wallet_module_ctx = {
    ngx_http_sp_wallet_preconfiguration,   /* preconfiguration */
    ngx_http_sp_wallet_postconfiguration,  /* postconfiguration */

    ngx_http_sp_wallet_create_main_conf,   /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_sp_wallet_create_loc_conf,    /* create location configuration */
    ngx_http_sp_wallet_merge_loc_conf      /* merge location configuration */
};


ngx_module_t  ngx_http_sp_wallet_module = {
    NGX_MODULE_V1,
    &ngx_http_sp_wallet_module_ctx,        /* module context */
    ngx_http_sp_wallet_commands,           /* module directives */
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


static ngx_http_variable_t  ngx_http_sp_wallet_variables[] = {

    { ngx_string("wallet_error"), NULL, ngx_http_sp_wallet_error_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


static ngx_int_t
ngx_http_sp_wallet_error_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_sp_wallet_ctx_t  *ctx;

    ctx = ngx_http_sp_near_ctx(r, &ngx_http_sp_wallet_module);

    if (ctx == NULL || ctx->error == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = (u_char *) ctx->error;
    v->len = ngx_strlen(ctx->error);
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static void *
ngx_http_sp_wallet_create_main_conf(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t              *cln;
    ngx_http_sp_wallet_main_conf_t  *wmcf;

    /* zero is "token_issuer is not configured" */

    wmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_wallet_main_conf_t));
    if (wmcf == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_sp_wallet_cleanup;
    cln->data = wmcf;

    wmcf->secp = secp256k1_context_create(SECP256K1_CONTEXT_NONE);

    return wmcf;
}


static void *
ngx_http_sp_wallet_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_sp_wallet_loc_conf_t  *wlcf;

    /*
     * set by ngx_pcalloc():
     *
     *     wlcf->enabled = 0;
     *     wlcf->jwks = 0;
     *     wlcf->redis = NULL;
     *     wlcf->pg = NULL;
     *     wlcf->domains = NULL;
     *     wlcf->chains = NULL;
     *     wlcf->statement = { 0, NULL };
     */

    wlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_wallet_loc_conf_t));
    if (wlcf == NULL) {
        return NULL;
    }

    wlcf->guest = NGX_CONF_UNSET;

    return wlcf;
}


static char *
ngx_http_sp_wallet_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_sp_wallet_loc_conf_t   *prev = parent;
    ngx_http_sp_wallet_loc_conf_t   *conf = child;

    ngx_http_sp_wallet_domain_t     *domain;
    ngx_http_sp_wallet_main_conf_t  *wmcf;

    ngx_conf_merge_str_value(conf->statement, prev->statement, "");
    ngx_conf_merge_value(conf->guest, prev->guest, 0);

    if (conf->domains == NULL) {
        conf->domains = prev->domains;
    }

    if (conf->chains == NULL) {
        conf->chains = prev->chains;
    }

    if (!conf->enabled && !conf->jwks) {
        return NGX_CONF_OK;
    }

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_wallet_module);

    if (wmcf->issuer.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%s\" needs \"token_issuer\" in http",
                           conf->enabled ? "wallet_auth" : "wallet_jwks");
        return NGX_CONF_ERROR;
    }

    if (conf->domains == NULL) {
        conf->domains = ngx_array_create(cf->pool, 1,
                                         sizeof(ngx_http_sp_wallet_domain_t));
        if (conf->domains == NULL) {
            return NGX_CONF_ERROR;
        }

        domain = ngx_array_push(conf->domains);
        *domain = wmcf->domain;
    }

    if (conf->chains == NULL) {
        conf->chains = ngx_http_sp_wallet_default_chains(cf);
        if (conf->chains == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_sp_wallet_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_sp_add_variables(cf, ngx_http_sp_wallet_variables);
}


static ngx_int_t
ngx_http_sp_wallet_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_sp_wallet_main_conf_t  *wmcf;

    wmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_wallet_module);

    if (wmcf->issuer.len == 0) {
        return NGX_OK;
    }

    return ngx_http_sp_add_metrics(cf, ngx_http_sp_wallet_metrics, wmcf, NULL,
                                   NULL);
}


static void
ngx_http_sp_wallet_cleanup(void *data)
{
    ngx_http_sp_wallet_main_conf_t *wmcf = data;

    secp256k1_context_destroy(wmcf->secp);

    if (wmcf->secrets.elts != NULL) {
        ngx_explicit_memzero(wmcf->secrets.elts,
                             wmcf->secrets.nelts
                             * sizeof(ngx_http_sp_wallet_secret_t));
    }
}
