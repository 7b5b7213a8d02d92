
/*
 * Copyright (C) Sallyport authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_sp_conf.h"
#include "ngx_sp_secret.h"
#include "ngx_sp_redis_int.h"


#define NGX_SP_REDIS_DIRECTIVE  "redis_server"
#define NGX_SP_REDIS_PORT       6379


static ngx_int_t ngx_sp_redis_conf_arg(ngx_conf_t *cf,
    ngx_sp_redis_t *redis, const ngx_str_t *arg);
static ngx_int_t ngx_sp_redis_conf_address(ngx_conf_t *cf,
    ngx_sp_redis_t *redis);


ngx_sp_redis_t *
ngx_sp_redis_create(ngx_conf_t *cf, ngx_array_t *args)
{
    ngx_str_t       *value;
    ngx_uint_t       i;
    ngx_sp_redis_t  *redis;

    if (args->nelts < 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"" NGX_SP_REDIS_DIRECTIVE "\" needs a name and "
                           "an address");
        return NULL;
    }

    redis = ngx_pcalloc(cf->pool, sizeof(ngx_sp_redis_t));
    if (redis == NULL) {
        return NULL;
    }

    value = args->elts;

    redis->name = value[0];
    redis->address = value[1];
    redis->timeout = 20;
    redis->connect_timeout = 1000;
    redis->max_queue = 4096;

    for (i = 2; i < args->nelts; i++) {
        if (ngx_sp_redis_conf_arg(cf, redis, &value[i]) != NGX_OK) {
            return NULL;
        }
    }

    if (redis->user.len != 0 && redis->password.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"user=\" of \"" NGX_SP_REDIS_DIRECTIVE "\" "
                           "needs \"password_file=\"");
        return NULL;
    }

    if (ngx_sp_redis_conf_address(cf, redis) != NGX_OK) {
        return NULL;
    }

    return redis;
}


const ngx_str_t *
ngx_sp_redis_name(const ngx_sp_redis_t *redis)
{
    return &redis->name;
}


static ngx_int_t
ngx_sp_redis_conf_arg(ngx_conf_t *cf, ngx_sp_redis_t *redis,
    const ngx_str_t *arg)
{
    ngx_str_t    value;
    const char  *directive;

    directive = NGX_SP_REDIS_DIRECTIVE;

    if (ngx_sp_conf_arg(arg, "timeout=", &value)) {
        return ngx_sp_conf_msec(cf, directive, "timeout=", &value,
                                &redis->timeout);
    }

    if (ngx_sp_conf_arg(arg, "connect_timeout=", &value)) {
        return ngx_sp_conf_msec(cf, directive, "connect_timeout=", &value,
                                &redis->connect_timeout);
    }

    if (ngx_sp_conf_arg(arg, "db=", &value)) {
        return ngx_sp_conf_number(cf, directive, "db=", &value, 0, 65535,
                                  &redis->db);
    }

    if (ngx_sp_conf_arg(arg, "queue=", &value)) {
        return ngx_sp_conf_number(cf, directive, "queue=", &value, 1, 1000000,
                                  &redis->max_queue);
    }

    if (ngx_sp_conf_arg(arg, "user=", &value)) {
        redis->user = value;
        return NGX_OK;
    }

    if (ngx_sp_conf_arg(arg, "password_file=", &value)) {
        return ngx_sp_secret_password(cf, &value, &redis->password);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown parameter \"%V\" of \"%s\", it must be one "
                       "of \"timeout=\", \"connect_timeout=\", \"db=\", "
                       "\"queue=\", \"user=\", \"password_file=\"",
                       arg, directive);

    return NGX_ERROR;
}


static ngx_int_t
ngx_sp_redis_conf_address(ngx_conf_t *cf, ngx_sp_redis_t *redis)
{
    ngx_str_t           path;
    struct sockaddr_un  sun;

    if (!ngx_sp_conf_arg(&redis->address, "unix:", &path)) {
        redis->host = ngx_sp_name_create(cf, NGX_SP_REDIS_DIRECTIVE,
                                         &redis->address, NGX_SP_REDIS_PORT);

        return (redis->host != NULL) ? NGX_OK : NGX_ERROR;
    }

    if (path.len == 0 || path.len >= sizeof(sun.sun_path)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the path of the socket \"%V\" must have 1 to %uz "
                           "bytes", &redis->address,
                           sizeof(sun.sun_path) - 1);
        return NGX_ERROR;
    }

    redis->path = path;

    return NGX_OK;
}
