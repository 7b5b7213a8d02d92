
/*
 * Copyright (C) Sallyport authors
 *
 * "redis_server", "pg_server", "chain" and the fetch client: made at
 * configuration, connected in workers only.
 */


#include "ngx_http_sp_core_int.h"


static ngx_array_t *ngx_http_sp_servers_args(ngx_conf_t *cf);
static ngx_int_t ngx_http_sp_servers_unknown(ngx_conf_t *cf,
    const char *directive, const ngx_str_t *name);
static ngx_int_t ngx_http_sp_servers_add(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf, const char *kind,
    const ngx_str_t *name, void *server, ngx_http_sp_ready_pt ready);
static ngx_int_t ngx_http_sp_servers_count(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf, const char *kind,
    const ngx_str_t *name, const void *server);
static void ngx_http_sp_servers_observe(ngx_sp_op_t *op);
static const char *ngx_http_sp_servers_redis_ready(void *data);
static const char *ngx_http_sp_servers_pg_ready(void *data);


/* set in init_process */
static ngx_http_sp_core_main_conf_t  *ngx_http_sp_servers_conf;


/* the arguments without the directive itself */

static ngx_array_t *
ngx_http_sp_servers_args(ngx_conf_t *cf)
{
    ngx_str_t    *value, *arg;
    ngx_uint_t    i;
    ngx_array_t  *args;

    value = cf->args->elts;

    args = ngx_array_create(cf->pool, cf->args->nelts, sizeof(ngx_str_t));
    if (args == NULL) {
        return NULL;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        arg = ngx_array_push(args);
        if (arg == NULL) {
            return NULL;
        }

        *arg = value[i];
    }

    return args;
}


char *
ngx_http_sp_servers_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_core_main_conf_t *mcf = conf;

    ngx_uint_t        i;
    ngx_array_t      *args;
    ngx_sp_redis_t  **elt, *redis;

    args = ngx_http_sp_servers_args(cf);
    if (args == NULL) {
        return NGX_CONF_ERROR;
    }

    redis = ngx_sp_redis_create(cf, args);
    if (redis == NULL) {
        return NGX_CONF_ERROR;
    }

    elt = mcf->redis.elts;

    for (i = 0; i < mcf->redis.nelts; i++) {
        if (ngx_sp_redis_name(elt[i])->len == ngx_sp_redis_name(redis)->len
            && ngx_strncmp(ngx_sp_redis_name(elt[i])->data,
                           ngx_sp_redis_name(redis)->data,
                           ngx_sp_redis_name(redis)->len) == 0)
        {
            return "has the name of an earlier one";
        }
    }

    elt = ngx_array_push(&mcf->redis);
    if (elt == NULL) {
        return NGX_CONF_ERROR;
    }

    *elt = redis;

    if (ngx_http_sp_servers_add(cf, mcf, "redis", ngx_sp_redis_name(redis),
                                redis, ngx_http_sp_servers_redis_ready)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_sp_servers_pg(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_core_main_conf_t *mcf = conf;

    ngx_uint_t     i;
    ngx_array_t   *args;
    ngx_sp_pg_t  **elt, *pg;

    args = ngx_http_sp_servers_args(cf);
    if (args == NULL) {
        return NGX_CONF_ERROR;
    }

    pg = ngx_sp_pg_create(cf, args);
    if (pg == NULL) {
        return NGX_CONF_ERROR;
    }

    elt = mcf->pg.elts;

    for (i = 0; i < mcf->pg.nelts; i++) {
        if (ngx_sp_pg_name(elt[i])->len == ngx_sp_pg_name(pg)->len
            && ngx_strncmp(ngx_sp_pg_name(elt[i])->data,
                           ngx_sp_pg_name(pg)->data,
                           ngx_sp_pg_name(pg)->len) == 0)
        {
            return "has the name of an earlier one";
        }
    }

    elt = ngx_array_push(&mcf->pg);
    if (elt == NULL) {
        return NGX_CONF_ERROR;
    }

    *elt = pg;

    if (ngx_http_sp_servers_add(cf, mcf, "pg", ngx_sp_pg_name(pg), pg,
                                ngx_http_sp_servers_pg_ready)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_sp_servers_chain(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_core_main_conf_t *mcf = conf;

    ngx_str_t        *value;
    ngx_uint_t        i;
    ngx_sp_chain_t  **elt, *chain;

    value = cf->args->elts;
    elt = mcf->chains.elts;

    for (i = 0; i < mcf->chains.nelts; i++) {
        if (elt[i]->name.len == value[1].len
            && ngx_strncmp(elt[i]->name.data, value[1].data, value[1].len)
               == 0)
        {
            return "has the name of an earlier one";
        }
    }

    chain = ngx_sp_chain_create(cf);
    if (chain == NULL) {
        return NGX_CONF_ERROR;
    }

    elt = ngx_array_push(&mcf->chains);
    if (elt == NULL) {
        return NGX_CONF_ERROR;
    }

    *elt = chain;

    if (ngx_http_sp_servers_count(cf, mcf, "rpc", &chain->name, &chain->rpc)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_sp_redis_t *
ngx_http_sp_redis(ngx_conf_t *cf, const ngx_str_t *name)
{
    ngx_uint_t                     i;
    ngx_sp_redis_t               **elt;
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    elt = mcf->redis.elts;

    for (i = 0; i < mcf->redis.nelts; i++) {
        if (ngx_sp_redis_name(elt[i])->len == name->len
            && ngx_strncmp(ngx_sp_redis_name(elt[i])->data, name->data,
                           name->len) == 0)
        {
            return elt[i];
        }
    }

    (void) ngx_http_sp_servers_unknown(cf, "redis_server", name);

    return NULL;
}


ngx_sp_pg_t *
ngx_http_sp_pg(ngx_conf_t *cf, const ngx_str_t *name)
{
    ngx_uint_t                     i;
    ngx_sp_pg_t                  **elt;
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    elt = mcf->pg.elts;

    for (i = 0; i < mcf->pg.nelts; i++) {
        if (ngx_sp_pg_name(elt[i])->len == name->len
            && ngx_strncmp(ngx_sp_pg_name(elt[i])->data, name->data,
                           name->len) == 0)
        {
            return elt[i];
        }
    }

    (void) ngx_http_sp_servers_unknown(cf, "pg_server", name);

    return NULL;
}


ngx_sp_chain_t *
ngx_http_sp_chain(ngx_conf_t *cf, const ngx_str_t *name)
{
    ngx_uint_t                     i;
    ngx_sp_chain_t               **elt;
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    elt = mcf->chains.elts;

    for (i = 0; i < mcf->chains.nelts; i++) {
        if (elt[i]->name.len == name->len
            && ngx_strncmp(elt[i]->name.data, name->data, name->len) == 0)
        {
            return elt[i];
        }
    }

    (void) ngx_http_sp_servers_unknown(cf, "chain", name);

    return NULL;
}


static ngx_int_t
ngx_http_sp_servers_unknown(ngx_conf_t *cf, const char *directive,
    const ngx_str_t *name)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "there is no \"%s %V ...\" above this line",
                       directive, name);
    return NGX_DECLINED;
}


static const char *
ngx_http_sp_servers_redis_ready(void *data)
{
    ngx_sp_redis_t *redis = data;

    return ngx_sp_redis_ready(redis) ? NULL : "not connected";
}


static const char *
ngx_http_sp_servers_pg_ready(void *data)
{
    ngx_sp_pg_t *pg = data;

    return ngx_sp_pg_ready(pg) ? NULL : "not connected";
}


/* the name of its probe is "redis main" */

static ngx_int_t
ngx_http_sp_servers_add(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf,
    const char *kind, const ngx_str_t *name, void *server,
    ngx_http_sp_ready_pt ready)
{
    u_char  *p;

    p = ngx_pnalloc(cf->pool, ngx_strlen(kind) + 1 + name->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(p, "%s %V%Z", kind, name);

    if (ngx_http_sp_add_ready(cf, (char *) p, ready, server) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_servers_count(cf, mcf, kind, name, server);
}


/* fetch is always there */

ngx_int_t
ngx_http_sp_servers_create(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf)
{
    ngx_str_t  name;

    ngx_str_set(&name, "");

    return ngx_http_sp_servers_count(cf, mcf, "fetch", &name, NULL);
}


static ngx_int_t
ngx_http_sp_servers_count(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf,
    const char *kind, const ngx_str_t *name, const void *server)
{
    u_char             *p;
    ngx_str_t           labels;
    ngx_uint_t          i;
    ngx_http_sp_ops_t  *ops;

    ops = ngx_array_push(&mcf->ops);
    if (ops == NULL) {
        return NGX_ERROR;
    }

    ops->server = server;

    for (i = 0; i < 4; i++) {

        p = ngx_pnalloc(cf->pool, 64 + ngx_strlen(kind) + name->len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        labels.data = p;
        labels.len = ngx_sprintf(p, "kind=\"%s\",server=\"%V\","
                                 "result=\"%s\"", kind, name,
                                 ngx_sp_op_result_name(i))
                     - p;

        ops->results[i] = ngx_http_sp_add_metric(cf, NGX_SP_COUNTER,
            "sallyport_ops_total",
            "Calls of servers, by what became of them.", &labels);

        if (ops->results[i] == NULL) {
            return NGX_ERROR;
        }
    }

    /* the same text without the result */

    labels.len = ngx_strlen(kind) + name->len
                 + sizeof("kind=\"\",server=\"\"") - 1;

    ops->duration = ngx_http_sp_add_metric(cf, NGX_SP_HISTOGRAM,
        "sallyport_op_seconds",
        "Time of these calls, waiting for a connection included.", &labels);

    return (ops->duration != NULL) ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_sp_servers_observe(ngx_sp_op_t *op)
{
    ngx_uint_t          i;
    ngx_http_sp_ops_t  *ops;

    ops = ngx_http_sp_servers_conf->ops.elts;

    for (i = 0; i < ngx_http_sp_servers_conf->ops.nelts; i++) {

        if (ops[i].server == op->server) {
            ngx_sp_metric_add(ops[i].results[op->result], 1);
            ngx_sp_metric_observe(ops[i].duration, 1000 * op->elapsed, 1);
            return;
        }
    }
}


ngx_int_t
ngx_http_sp_servers_init_process(ngx_http_sp_core_main_conf_t *mcf,
    ngx_cycle_t *cycle)
{
    ngx_uint_t        i;
    ngx_sp_pg_t     **pg;
    ngx_sp_redis_t  **redis;

    ngx_http_sp_servers_conf = mcf;
    ngx_sp_op_observe(ngx_http_sp_servers_observe);

    ngx_sp_name_init_process(&mcf->names);

    redis = mcf->redis.elts;

    for (i = 0; i < mcf->redis.nelts; i++) {
        if (ngx_sp_redis_init_process(redis[i], cycle) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    pg = mcf->pg.elts;

    for (i = 0; i < mcf->pg.nelts; i++) {
        if (ngx_sp_pg_init_process(pg[i], cycle) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_sp_fetch_init_process(&mcf->fetch, cycle);
}


void
ngx_http_sp_servers_exit_process(ngx_http_sp_core_main_conf_t *mcf)
{
    ngx_uint_t        i;
    ngx_sp_pg_t     **pg;
    ngx_sp_redis_t  **redis;

    ngx_sp_fetch_exit_process();

    pg = mcf->pg.elts;

    for (i = 0; i < mcf->pg.nelts; i++) {
        ngx_sp_pg_exit_process(pg[i]);
    }

    redis = mcf->redis.elts;

    for (i = 0; i < mcf->redis.nelts; i++) {
        ngx_sp_redis_exit_process(redis[i]);
    }

    ngx_sp_name_exit_process();

    ngx_sp_op_observe(NULL);
}
