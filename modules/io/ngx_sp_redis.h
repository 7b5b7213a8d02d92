
/*
 * Copyright (C) Sallyport authors
 *
 * Redis over hiredis async: one pipelined connection per worker and server,
 * reconnect with back-off, a breaker, EVALSHA with NOSCRIPT recovery.
 * Written to the hiredis 0.14 subset.
 */

#ifndef _NGX_SP_REDIS_H_INCLUDED_
#define _NGX_SP_REDIS_H_INCLUDED_


#include "ngx_sp_op.h"

#include <hiredis/hiredis.h>


typedef struct ngx_sp_redis_s  ngx_sp_redis_t;


typedef struct {
    ngx_sp_op_t        op;       /* first */

    /* valid in "done" when the result is OK or REJECTED */
    const redisReply  *reply;
} ngx_sp_redis_op_t;


/* static or configuration memory; sha1 is filled at first use per worker */
typedef struct {
    ngx_str_t          name;     /* for logs */
    ngx_str_t          source;
    u_char             sha1[40]; /* hex; set by ngx_sp_redis_script_init() */
} ngx_sp_redis_script_t;


/*
 * Configuration: args are those of "redis_server", without the directive:
 *     name address [timeout=20ms] [connect_timeout=1s] [db=0]
 *     [user=name] [password_file=path] [queue=4096]
 * A host name is looked up as ngx_sp_name.h says.  Returns NULL after
 * logging what is wrong with file and line.
 */
ngx_sp_redis_t *ngx_sp_redis_create(ngx_conf_t *cf, ngx_array_t *args);
const ngx_str_t *ngx_sp_redis_name(const ngx_sp_redis_t *redis);

/* in a worker; the first connection is started at once */
ngx_int_t ngx_sp_redis_init_process(ngx_sp_redis_t *redis,
    ngx_cycle_t *cycle);
void ngx_sp_redis_exit_process(ngx_sp_redis_t *redis);

/* 1 when connected and the breaker is closed */
ngx_uint_t ngx_sp_redis_ready(const ngx_sp_redis_t *redis);

/* argv is copied before the call returns */
void ngx_sp_redis_command(ngx_sp_redis_t *redis, ngx_sp_redis_op_t *op,
    ngx_uint_t argc, const ngx_str_t *argv);

/*
 * Computes the SHA-1 of the source: call once at configuration time.
 * eval(): EVALSHA; on NOSCRIPT the source is sent once, inside the same
 * deadline.  The first nkeys of argv are KEYS, the rest ARGV.
 */
void ngx_sp_redis_script_init(ngx_sp_redis_script_t *script);
void ngx_sp_redis_eval(ngx_sp_redis_t *redis, ngx_sp_redis_op_t *op,
    const ngx_sp_redis_script_t *script, ngx_uint_t nkeys, ngx_uint_t argc,
    const ngx_str_t *argv);


#endif /* _NGX_SP_REDIS_H_INCLUDED_ */
