
/*
 * Copyright (C) Sallyport authors
 */

#include "ngx_http_sp_jwt.h"


#define NGX_HTTP_SP_JWT_CACHE_SIZE  (8 * 1024 * 1024)
#define NGX_HTTP_SP_JWT_CACHE_MIN   (8 * ngx_pagesize)


static char *ngx_http_sp_jwt(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_sp_jwt_key_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_sp_key_file_t *ngx_http_sp_jwt_file(ngx_conf_t *cf,
    ngx_http_sp_jwt_main_conf_t *jmcf, ngx_str_t *name);
static char *ngx_http_sp_jwt_require(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_jwt_token_cache(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void *ngx_http_sp_jwt_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_sp_jwt_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_sp_jwt_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_sp_jwt_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_sp_jwt_keys(ngx_conf_t *cf,
    ngx_http_sp_jwt_loc_conf_t *conf);
static ngx_int_t ngx_http_sp_jwt_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_sp_jwt_postconfiguration(ngx_conf_t *cf);


static const ngx_http_sp_step_t  ngx_http_sp_jwt_identify_step = {
    NGX_HTTP_SP_ABI,
    ngx_string("jwt"),
    NGX_HTTP_SP_IDENTIFY,
    100,
    ngx_http_sp_jwt_step
};


static const ngx_sp_metric_slot_t  ngx_http_sp_jwt_metrics[] = {

    { NGX_SP_COUNTER, "sallyport_jwt_tokens_total",
      "Access tokens looked for.", "result=\"accepted\"",
      offsetof(ngx_http_sp_jwt_main_conf_t, accepted) },

    { NGX_SP_COUNTER, "sallyport_jwt_tokens_total",
      "Access tokens looked for.", "result=\"refused\"",
      offsetof(ngx_http_sp_jwt_main_conf_t, refused) },

    { NGX_SP_COUNTER, "sallyport_jwt_tokens_total",
      "Access tokens looked for.", "result=\"missing\"",
      offsetof(ngx_http_sp_jwt_main_conf_t, missing) },

    { NGX_SP_COUNTER, "sallyport_jwt_cache_total",
      "Lookups of verified tokens.", "result=\"hit\"",
      offsetof(ngx_http_sp_jwt_main_conf_t, hits) },

    { NGX_SP_COUNTER, "sallyport_jwt_cache_total",
      "Lookups of verified tokens.", "result=\"miss\"",
      offsetof(ngx_http_sp_jwt_main_conf_t, misses) },

    { NGX_SP_COUNTER, NULL, NULL, NULL, 0 }
};


static ngx_command_t  ngx_http_sp_jwt_commands[] = {

    { ngx_string("auth_jwt"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_HTTP_LMT_CONF
                        |NGX_CONF_TAKE123,
      ngx_http_sp_jwt,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("auth_jwt_key_file"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_HTTP_LMT_CONF
                        |NGX_CONF_TAKE1,
      ngx_http_sp_jwt_key_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("auth_jwt_require"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_HTTP_LMT_CONF
                        |NGX_CONF_1MORE,
      ngx_http_sp_jwt_require,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("auth_jwt_leeway"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_jwt_loc_conf_t, leeway),
      NULL },

    { ngx_string("auth_jwt_issuer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_jwt_loc_conf_t, issuer),
      NULL },

    { ngx_string("auth_jwt_audience"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_jwt_loc_conf_t, audience),
      NULL },

    { ngx_string("auth_jwt_token_cache"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_sp_jwt_token_cache,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_sp_jwt_module_ctx = {
    ngx_http_sp_jwt_preconfiguration,      /* preconfiguration */
    ngx_http_sp_jwt_postconfiguration,     /* postconfiguration */

    ngx_http_sp_jwt_create_main_conf,      /* create main configuration */
    ngx_http_sp_jwt_init_main_conf,        /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_sp_jwt_create_loc_conf,       /* create location configuration */
    ngx_http_sp_jwt_merge_loc_conf         /* merge location configuration */
};


ngx_module_t  ngx_http_sp_jwt_module = {
    NGX_MODULE_V1,
    &ngx_http_sp_jwt_module_ctx,           /* module context */
    ngx_http_sp_jwt_commands,              /* module directives */
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


static char *
ngx_http_sp_jwt(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_jwt_loc_conf_t  *jlcf = conf;

    ngx_str_t   *value, token;
    ngx_uint_t   i;

    if (jlcf->mode != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    jlcf->file = cf->conf_file->file.name;
    jlcf->line = cf->conf_file->line;

    if (ngx_strcmp(value[1].data, "off") == 0) {

        if (cf->args->nelts != 2) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" after \"off\", which "
                               "takes none", &value[2]);
            return NGX_CONF_ERROR;
        }

        jlcf->mode = NGX_HTTP_SP_JWT_OFF;
        ngx_http_sp_conf_identity(cf, 0);

        return NGX_CONF_OK;
    }

    jlcf->mode = NGX_HTTP_SP_JWT_REQUIRED;
    ngx_http_sp_conf_identity(cf, 1);

    jlcf->realm = ngx_http_sp_complex_value(cf, &value[1]);
    if (jlcf->realm == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "optional") == 0) {
            jlcf->mode = NGX_HTTP_SP_JWT_OPTIONAL;
            continue;
        }

        if (ngx_sp_conf_arg(&value[i], "token=", &token)
            && token.len > 1 && token.data[0] == '$')
        {
            jlcf->token = ngx_http_sp_complex_value(cf, &token);
            if (jlcf->token == NULL) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\"; allowed are "
                           "\"optional\" and \"token=$variable\"", &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_jwt_key_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_jwt_loc_conf_t   *jlcf = conf;

    ngx_str_t                    *value;
    ngx_sp_key_file_t            *key, **slot;
    ngx_http_sp_jwt_main_conf_t  *jmcf;

    value = cf->args->elts;

    if (ngx_http_script_variables_count(&value[1]) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" has a variable; allowed is the name of a "
                           "file, which is read when NGINX starts or reloads",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    jmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_jwt_module);

    key = ngx_http_sp_jwt_file(cf, jmcf, &value[1]);
    if (key == NULL) {
        return NGX_CONF_ERROR;
    }

    if (jlcf->keys == NULL) {
        jlcf->keys = ngx_array_create(cf->pool, 2,
                                      sizeof(ngx_sp_key_file_t *));
        if (jlcf->keys == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    slot = ngx_array_push(jlcf->keys);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = key;

    return NGX_CONF_OK;
}


/* the same file in many locations is loaded once */

static ngx_sp_key_file_t *
ngx_http_sp_jwt_file(ngx_conf_t *cf, ngx_http_sp_jwt_main_conf_t *jmcf,
    ngx_str_t *name)
{
    ngx_str_t           path;
    ngx_uint_t          i;
    ngx_sp_key_file_t  *file, **slot;

    path = *name;

    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) {
        return NULL;
    }

    slot = jmcf->files.elts;

    for (i = 0; i < jmcf->files.nelts; i++) {
        if (slot[i]->path.len == path.len
            && ngx_strncmp(slot[i]->path.data, path.data, path.len) == 0)
        {
            return slot[i];
        }
    }

    file = ngx_sp_key_file(cf, name);
    if (file == NULL) {
        return NULL;
    }

    slot = ngx_array_push(&jmcf->files);
    if (slot == NULL) {
        return NULL;
    }

    *slot = file;

    return file;
}


static char *
ngx_http_sp_jwt_require(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_jwt_loc_conf_t        *jlcf = conf;

    ngx_str_t                         *value;
    ngx_uint_t                         i;
    ngx_http_complex_value_t         **cv;
    ngx_http_sp_jwt_require_t         *require;

    value = cf->args->elts;

    if (jlcf->require == NULL) {
        jlcf->require = ngx_array_create(cf->pool, 2,
                                         sizeof(ngx_http_sp_jwt_require_t));
        if (jlcf->require == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    require = ngx_array_push(jlcf->require);
    if (require == NULL) {
        return NGX_CONF_ERROR;
    }

    require->status = NGX_HTTP_UNAUTHORIZED;

    if (ngx_array_init(&require->values, cf->pool, cf->args->nelts,
                       sizeof(ngx_http_complex_value_t *))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "error=401") == 0) {
            continue;
        }

        if (ngx_strcmp(value[i].data, "error=403") == 0) {
            require->status = NGX_HTTP_FORBIDDEN;
            continue;
        }

        if (value[i].len < 2 || value[i].data[0] != '$') {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\"; allowed are values that "
                               "begin with a variable, \"error=401\" and "
                               "\"error=403\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        cv = ngx_array_push(&require->values);
        if (cv == NULL) {
            return NGX_CONF_ERROR;
        }

        *cv = ngx_http_sp_complex_value(cf, &value[i]);
        if (*cv == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (require->values.nelts == 0) {
        return "needs at least one variable";
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_jwt_token_cache(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_jwt_main_conf_t  *jmcf = conf;

    ssize_t                       size;
    ngx_str_t                    *value;

    if (jmcf->cache_size != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        jmcf->cache_size = 0;
        return NGX_CONF_OK;
    }

    size = ngx_parse_size(&value[1]);

    if (size == NGX_ERROR || size < (ssize_t) NGX_HTTP_SP_JWT_CACHE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\"; allowed are \"off\" and a "
                           "size of at least %uz bytes", &value[1],
                           (size_t) NGX_HTTP_SP_JWT_CACHE_MIN);
        return NGX_CONF_ERROR;
    }

    jmcf->cache_size = (size_t) size;

    return NGX_CONF_OK;
}


static void *
ngx_http_sp_jwt_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_sp_jwt_main_conf_t  *jmcf;

    jmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_jwt_main_conf_t));
    if (jmcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     jmcf->zone = NULL;
     *     jmcf->accepted, refused, missing, hits, misses = NULL;
     *     jmcf->used = 0;
     */

    jmcf->cache_size = NGX_CONF_UNSET_SIZE;

    if (ngx_array_init(&jmcf->files, cf->pool, 2,
                       sizeof(ngx_sp_key_file_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return jmcf;
}


static char *
ngx_http_sp_jwt_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_sp_jwt_main_conf_t  *jmcf = conf;

    ngx_conf_init_size_value(jmcf->cache_size, NGX_HTTP_SP_JWT_CACHE_SIZE);

    return NGX_CONF_OK;
}


static void *
ngx_http_sp_jwt_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_sp_jwt_loc_conf_t  *jlcf;

    jlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_jwt_loc_conf_t));
    if (jlcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     jlcf->realm = NULL;
     *     jlcf->token = NULL;
     *     jlcf->keys = NULL;
     *     jlcf->sets = NULL;
     *     jlcf->require = NULL;
     *     jlcf->issuer = { 0, NULL };
     *     jlcf->audience = { 0, NULL };
     *     jlcf->policy = { 0 };
     *     jlcf->file = { 0, NULL };
     *     jlcf->line = 0;
     */

    jlcf->mode = NGX_CONF_UNSET_UINT;
    jlcf->leeway = NGX_CONF_UNSET;

    return jlcf;
}


static char *
ngx_http_sp_jwt_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_sp_jwt_loc_conf_t   *prev = parent;
    ngx_http_sp_jwt_loc_conf_t   *conf = child;

    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_sp_jwt_main_conf_t  *jmcf;

    if (conf->mode == NGX_CONF_UNSET_UINT) {
        conf->mode = prev->mode == NGX_CONF_UNSET_UINT
                     ? NGX_HTTP_SP_JWT_OFF : prev->mode;
        conf->realm = prev->realm;
        conf->token = prev->token;
        conf->file = prev->file;
        conf->line = prev->line;
    }

    if (conf->keys == NULL) {
        conf->keys = prev->keys;
    }

    if (conf->require == NULL) {
        conf->require = prev->require;
    }

    ngx_conf_merge_sec_value(conf->leeway, prev->leeway, 0);
    ngx_conf_merge_str_value(conf->issuer, prev->issuer, "");
    ngx_conf_merge_str_value(conf->audience, prev->audience, "");

    /* for the library NULL means any */

    if (conf->issuer.len == 0) {
        conf->issuer.data = NULL;
    }

    if (conf->audience.len == 0) {
        conf->audience.data = NULL;
    }

    if (conf->mode == NGX_HTTP_SP_JWT_OFF) {
        return NGX_CONF_OK;
    }

    jmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_jwt_module);
    jmcf->used = 1;

    if (conf->keys == NULL) {
        clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

        /*
         * a server whose locations bring their own keys is legal; outside of
         * them requests are answered with 500
         */

        if (clcf->name.len == 0 && !clcf->noname) {
            return NGX_CONF_OK;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"auth_jwt\" in %V:%ui has no key in location \"%V\"; "
                      "\"auth_jwt_key_file\" is needed there or above it",
                      &conf->file, conf->line, &clcf->name);
        return NGX_CONF_ERROR;
    }

    return ngx_http_sp_jwt_keys(cf, conf) == NGX_OK ? NGX_CONF_OK
                                                    : NGX_CONF_ERROR;
}


/* the sets as sp_jwt takes them, and the digest of all that judges a token */

static ngx_int_t
ngx_http_sp_jwt_keys(ngx_conf_t *cf, ngx_http_sp_jwt_loc_conf_t *conf)
{
    u_char                  *p, *text;
    size_t                   len;
    ngx_uint_t               i;
    ngx_sp_key_file_t      **key;

    static const u_char      zero[SP_SIPHASH_KEY_LEN];

    key = conf->keys->elts;

    conf->sets = ngx_palloc(cf->pool, conf->keys->nelts * sizeof(sp_jwks_t *));
    if (conf->sets == NULL) {
        return NGX_ERROR;
    }

    len = conf->keys->nelts * SP_SIPHASH_LEN + conf->issuer.len + 1
          + conf->audience.len;

    text = ngx_pnalloc(cf->pool, len);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = text;

    for (i = 0; i < conf->keys->nelts; i++) {
        conf->sets[i] = key[i]->set;
        p = ngx_cpymem(p, key[i]->digest, SP_SIPHASH_LEN);
    }

    p = ngx_cpymem(p, conf->issuer.data, conf->issuer.len);
    *p++ = '\0';
    ngx_memcpy(p, conf->audience.data, conf->audience.len);

    sp_siphash(conf->policy, zero, text, len);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_jwt_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_sp_add_step(cf, &ngx_http_sp_jwt_identify_step) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_jwt_add_variables(cf);
}


static ngx_int_t
ngx_http_sp_jwt_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_sp_jwt_main_conf_t  *jmcf;

    static ngx_str_t  zone = ngx_string("auth_jwt_token_cache");

    jmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_jwt_module);

    if (!jmcf->used) {
        return NGX_OK;
    }

    if (ngx_http_sp_add_metrics(cf, ngx_http_sp_jwt_metrics, jmcf, NULL, NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (jmcf->cache_size == 0) {
        return NGX_OK;
    }

    jmcf->zone = ngx_shared_memory_add(cf, &zone, jmcf->cache_size,
                                       &ngx_http_sp_jwt_module);
    if (jmcf->zone == NULL) {
        return NGX_ERROR;
    }

    jmcf->zone->init = ngx_http_sp_jwt_cache_init;

    return NGX_OK;
}
