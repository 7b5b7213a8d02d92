
/*
 * Copyright (C) Sallyport authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_test_io.h"


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
static ngx_int_t ngx_http_test_io_values(ngx_conf_t *cf, ngx_array_t *values,
    ngx_uint_t first);
static void ngx_http_test_io_set_handler(ngx_conf_t *cf);
static ngx_int_t ngx_http_test_io_init_process(ngx_cycle_t *cycle);
static void ngx_http_test_io_exit_process(ngx_cycle_t *cycle);


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

    lcf->args = ngx_palloc(cf->pool, sizeof(ngx_array_t));

    if (lcf->args == NULL
        || ngx_http_test_io_values(cf, lcf->args, i) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_http_test_io_set_handler(cf);

    return NGX_CONF_OK;
}


static char *
ngx_http_test_io_pg(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_test_io_loc_conf_t *lcf = conf;

    ngx_str_t                 *value;
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

    if (ngx_http_test_io_values(cf, &query->args, 3) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_http_test_io_set_handler(cf);

    return NGX_CONF_OK;
}


static char *
ngx_http_test_io_fetch(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_test_io_loc_conf_t *lcf = conf;

    ngx_array_t  args;

    if (ngx_http_test_io_values(cf, &args, 1) != NGX_OK) {
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


/* the arguments from "first" on */

static ngx_int_t
ngx_http_test_io_values(ngx_conf_t *cf, ngx_array_t *values,
    ngx_uint_t first)
{
    ngx_str_t                         *value;
    ngx_uint_t                         i;
    ngx_http_compile_complex_value_t   ccv;

    if (ngx_array_init(values, cf->pool, 4, sizeof(ngx_http_complex_value_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    value = cf->args->elts;

    for (i = first; i < cf->args->nelts; i++) {
        ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

        ccv.cf = cf;
        ccv.value = &value[i];
        ccv.complex_value = ngx_array_push(values);

        if (ccv.complex_value == NULL
            || ngx_http_compile_complex_value(&ccv) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
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

    return NGX_OK;
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
}
