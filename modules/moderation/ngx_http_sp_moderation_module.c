
/*
 * Copyright (C) Sallyport authors
 *
 * Directives, configuration and registration.
 */

#include "ngx_http_sp_moderation.h"


static char *ngx_http_sp_moderation_files(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_moderation_glob(ngx_conf_t *cf,
    ngx_http_sp_moderation_main_conf_t *mmcf, ngx_str_t *pattern);
static char *ngx_http_sp_moderation(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_sp_moderation_preconfiguration(ngx_conf_t *cf);
static void *ngx_http_sp_moderation_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_sp_moderation_init_main_conf(ngx_conf_t *cf,
    void *conf);
static void *ngx_http_sp_moderation_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_sp_moderation_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);


static ngx_command_t  ngx_http_sp_moderation_commands[] = {

    { ngx_string("moderation_rules"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_sp_moderation_files,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("moderation"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_sp_moderation,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_sp_moderation_module_ctx = {
    ngx_http_sp_moderation_preconfiguration,   /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_sp_moderation_create_main_conf,   /* create main configuration */
    ngx_http_sp_moderation_init_main_conf, /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_sp_moderation_create_loc_conf,    /* create location conf */
    ngx_http_sp_moderation_merge_loc_conf  /* merge location configuration */
};


ngx_module_t  ngx_http_sp_moderation_module = {
    NGX_MODULE_V1,
    &ngx_http_sp_moderation_module_ctx,    /* module context */
    ngx_http_sp_moderation_commands,       /* module directives */
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


/* moderation_rules FILE ...; with wildcards, relative to nginx.conf */

static char *
ngx_http_sp_moderation_files(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_moderation_main_conf_t  *mmcf = conf;

    char        *rv;
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_conf_full_name(cf->cycle, &value[i], 1) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        rv = ngx_http_sp_moderation_glob(cf, mmcf, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_moderation_glob(ngx_conf_t *cf,
    ngx_http_sp_moderation_main_conf_t *mmcf, ngx_str_t *pattern)
{
    char        *rv;
    ngx_int_t    n;
    ngx_str_t    file, name;
    ngx_uint_t   loaded;
    ngx_glob_t   gl;

    if (strpbrk((char *) pattern->data, "*?[") == NULL) {
        return (ngx_http_sp_moderation_load(cf, mmcf, pattern) == NGX_OK)
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    ngx_memzero(&gl, sizeof(ngx_glob_t));

    gl.pattern = pattern->data;
    gl.log = cf->log;
    gl.test = 1;

    if (ngx_open_glob(&gl) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_glob_n " \"%V\" failed", pattern);
        return NGX_CONF_ERROR;
    }

    rv = NGX_CONF_OK;
    loaded = 0;

    for ( ;; ) {
        n = ngx_read_glob(&gl, &name);

        if (n != NGX_OK) {
            break;
        }

        file.len = name.len;
        file.data = ngx_pnalloc(cf->pool, name.len + 1);
        if (file.data == NULL) {
            rv = NGX_CONF_ERROR;
            break;
        }

        (void) ngx_cpystrn(file.data, name.data, name.len + 1);
        loaded++;

        if (ngx_http_sp_moderation_load(cf, mmcf, &file) != NGX_OK) {
            rv = NGX_CONF_ERROR;
            break;
        }
    }

    ngx_close_glob(&gl);

    if (rv == NGX_CONF_OK && loaded == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no rule file matches \"%V\"", pattern);
        return NGX_CONF_ERROR;
    }

    return rv;
}


/* moderation input | output ... | off */

static char *
ngx_http_sp_moderation(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_moderation_loc_conf_t  *mlcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i, stage;

    if (mlcf->stages != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mlcf->stages = 0;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        stage = (ngx_strcmp(value[i].data, "input") == 0)
                ? NGX_HTTP_SP_INPUT
                : (ngx_strcmp(value[i].data, "output") == 0)
                ? NGX_HTTP_SP_OUTPUT : 0;

        if (stage == 0 || (mlcf->stages & stage)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of \"moderation\": "
                               "allowed are \"input\", \"output\" and "
                               "\"off\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        mlcf->stages |= stage;
    }

    mlcf->file = cf->conf_file->file.name;
    mlcf->line = cf->conf_file->line;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_sp_moderation_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_sp_add_filter(cf, &ngx_http_sp_moderation_filter) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sp_add_end(cf, &ngx_http_sp_moderation_end);
}


static void *
ngx_http_sp_moderation_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_sp_moderation_main_conf_t  *mmcf;

    mmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_moderation_main_conf_t));
    if (mmcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     mmcf->match = NULL;
     *     mmcf->digest = { 0 };
     *     mmcf->scanned = { NULL, NULL };
     */

    mmcf->rules = ngx_array_create(cf->pool, 16,
                                   sizeof(ngx_http_sp_moderation_rule_t *));
    mmcf->terms = ngx_array_create(cf->pool, 256,
                                   sizeof(ngx_http_sp_moderation_term_t));
    mmcf->literals = ngx_array_create(cf->pool, 256,
                                      sizeof(sp_match_term_t));

    if (mmcf->rules == NULL || mmcf->terms == NULL || mmcf->literals == NULL)
    {
        return NULL;
    }

    mmcf->policy.data = mmcf->digest;
    mmcf->policy.len = SP_SIPHASH_LEN;

    return mmcf;
}


static char *
ngx_http_sp_moderation_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_sp_moderation_main_conf_t  *mmcf = conf;

    ngx_uint_t  i;

    static ngx_str_t  labels[] = {
        ngx_string("stage=\"input\""),
        ngx_string("stage=\"output\"")
    };

    if (ngx_http_sp_moderation_build(cf, mmcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (mmcf->match == NULL) {
        return NGX_CONF_OK;
    }

    for (i = 0; i < 2; i++) {
        mmcf->scanned[i] = ngx_http_sp_add_metric(cf, NGX_SP_COUNTER,
                               "sallyport_moderation_scanned_total",
                               "requests whose text was scanned", &labels[i]);

        if (mmcf->scanned[i] == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_sp_moderation_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_sp_moderation_loc_conf_t  *mlcf;

    mlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_moderation_loc_conf_t));
    if (mlcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     mlcf->file = { 0, NULL };
     *     mlcf->line = 0;
     */

    mlcf->stages = NGX_CONF_UNSET_UINT;

    return mlcf;
}


static char *
ngx_http_sp_moderation_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_sp_moderation_loc_conf_t  *prev = parent;
    ngx_http_sp_moderation_loc_conf_t  *conf = child;

    ngx_uint_t                           own;
    ngx_http_core_loc_conf_t            *clcf;
    ngx_http_sp_moderation_main_conf_t  *mmcf;

    own = (conf->stages != NGX_CONF_UNSET_UINT);

    if (!own) {
        conf->stages = (prev->stages == NGX_CONF_UNSET_UINT) ? 0
                                                             : prev->stages;
        conf->file = prev->file;
        conf->line = prev->line;
    }

    if (conf->stages == 0) {
        return NGX_CONF_OK;
    }

    mmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_sp_moderation_module);

    if (mmcf->match == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"moderation\" in %V:%ui has no rules: add "
                      "\"moderation_rules\" to the http block",
                      &conf->file, conf->line);
        return NGX_CONF_ERROR;
    }

    /* a server hands it down to locations that no model answers */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (own && clcf->name.len > 0
        && (conf->stages & NGX_HTTP_SP_OUTPUT)
        && !ngx_http_sp_has_model(cf))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"moderation output\" in %V:%ui scans nothing: no "
                      "\"llm_pass\" answers location \"%V\", allowed there "
                      "are \"input\" and \"off\"",
                      &conf->file, conf->line, &clcf->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
