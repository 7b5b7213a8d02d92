
/*
 * Copyright (C) Sallyport authors
 *
 * Entries in Redis, which all workers and gateways share.  Of those of keys
 * only the owner of a marker replaces it: who has lost its lease changes
 * nothing.  Those of the cache are anybody's: what is put under one name is an
 * answer to the same request.
 */


#include "ngx_http_sp_llm_replay.h"


/* of one worker, in flight; what is over that is lost, and told in the log */
#define NGX_HTTP_SP_LLM_PUTS  256

/* the same of answers for the cache; there is no harm */
#define NGX_HTTP_SP_LLM_SETS  64


static ngx_int_t ngx_http_sp_llm_store_entry(ngx_pool_t *pool,
    const sp_replay_t *entry, ngx_str_t *text);
static void ngx_http_sp_llm_store_claimed(ngx_sp_op_t *op);
static void ngx_http_sp_llm_store_done(ngx_sp_op_t *op);
static void ngx_http_sp_llm_store_name(const ngx_http_sp_llm_cache_t *cache,
    u_char *text, ngx_str_t *name);
static void ngx_http_sp_llm_store_got(ngx_sp_op_t *op);
static void ngx_http_sp_llm_store_kept(ngx_sp_op_t *op);
static ngx_int_t ngx_http_sp_llm_store_copy(ngx_pool_t *pool,
    const redisReply *reply, ngx_str_t *text);


/*
 * KEYS[1], and to claim it a marker and its milliseconds: nil, it stands there
 * now; or what stands there.  To put: the marker that must be there, what
 * stands there then (empty: nothing), its milliseconds.
 *
 * One script for both: who puts has claimed with it, so Redis knows it, and it
 * is not sent once more behind what was asked in between.
 */

static ngx_sp_redis_script_t  ngx_http_sp_llm_store_script = {
    ngx_string("idempotency"),
    ngx_string(
        "local held = redis.call('GET', KEYS[1])\n"
        "if #ARGV == 2 then\n"
        "  if held then return held end\n"
        "  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
        "  return false\n"
        "end\n"
        "if held ~= ARGV[1] then return 0 end\n"
        "if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end\n"
        "redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])\n"
        "return 1\n"),
    { 0 }
};


static ngx_sp_detached_t  ngx_http_sp_llm_puts = {
    NGX_HTTP_SP_LLM_PUTS, 0, 0
};


static ngx_sp_detached_t  ngx_http_sp_llm_sets = {
    NGX_HTTP_SP_LLM_SETS, 0, 0
};


void
ngx_http_sp_llm_store_init(void)
{
    ngx_sp_redis_script_init(&ngx_http_sp_llm_store_script);
}


ngx_int_t
ngx_http_sp_llm_store_claim(ngx_http_sp_llm_flight_t *flight)
{
    u_char               lease[NGX_INT_T_LEN];
    ngx_str_t            argv[3];
    ngx_http_request_t  *r;

    r = flight->ctx->request;

    ngx_memzero(&flight->op, sizeof(ngx_sp_redis_op_t));
    ngx_str_null(&flight->reply);

    flight->op.op.done = ngx_http_sp_llm_store_claimed;
    flight->op.op.data = flight;
    flight->op.op.log = r->connection->log;

    if (ngx_http_sp_op_attach(r, &flight->op.op) != NGX_OK
        || ngx_http_sp_llm_store_entry(r->pool, &flight->marker, &argv[1])
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    argv[0] = flight->sn.str;

    argv[2].data = lease;
    argv[2].len = ngx_sprintf(lease, "%M", NGX_HTTP_SP_LLM_LEASE) - lease;

    ngx_sp_redis_eval(flight->store->redis, &flight->op,
                      &ngx_http_sp_llm_store_script, 1, 3, argv);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_store_entry(ngx_pool_t *pool, const sp_replay_t *entry,
    ngx_str_t *text)
{
    text->data = ngx_pnalloc(pool, sp_replay_size(entry));
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    text->len = sp_replay_write(entry, (char *) text->data);

    return NGX_OK;
}


/* anything but a string or nil is read as an entry that is none */

static void
ngx_http_sp_llm_store_claimed(ngx_sp_op_t *op)
{
    const redisReply          *reply;
    ngx_http_sp_llm_flight_t  *flight;

    flight = op->data;
    reply = flight->op.reply;

    if (op->result != NGX_SP_OP_OK || reply->type == REDIS_REPLY_NIL) {
        return;
    }

    if (ngx_http_sp_llm_store_copy(flight->ctx->request->pool, reply,
                                   &flight->reply)
        != NGX_OK)
    {
        flight->failed = 1;
    }
}


static ngx_int_t
ngx_http_sp_llm_store_copy(ngx_pool_t *pool, const redisReply *reply,
    ngx_str_t *text)
{
    if (reply->type != REDIS_REPLY_STRING || reply->len == 0) {
        return NGX_ERROR;
    }

    text->data = ngx_pnalloc(pool, reply->len);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(text->data, reply->str, reply->len);
    text->len = reply->len;

    return NGX_OK;
}


void
ngx_http_sp_llm_store_put(const ngx_http_sp_llm_flight_t *flight,
    const sp_replay_t *entry, ngx_msec_t ttl)
{
    u_char              time[NGX_INT_T_LEN];
    ngx_str_t           argv[4];
    ngx_pool_t         *pool;
    ngx_sp_redis_op_t  *op;

    op = ngx_sp_detached_create(&ngx_http_sp_llm_puts,
                                sizeof(ngx_sp_redis_op_t));
    if (op == NULL) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "llm: what became of an idempotency key is lost: more "
                      "than %d wait for redis \"%V\"", NGX_HTTP_SP_LLM_PUTS,
                      ngx_sp_redis_name(flight->store->redis));
        return;
    }

    pool = ngx_sp_detached_pool(&op->op);

    ngx_str_null(&argv[2]);

    if (ngx_http_sp_llm_store_entry(pool, &flight->marker, &argv[1])
        != NGX_OK
        || (entry != NULL
            && ngx_http_sp_llm_store_entry(pool, entry, &argv[2]) != NGX_OK))
    {
        ngx_sp_detached_discard(&op->op);
        return;
    }

    op->op.done = ngx_http_sp_llm_store_done;

    argv[0] = flight->sn.str;

    argv[3].data = time;
    argv[3].len = ngx_sprintf(time, "%M", ttl) - time;

    ngx_sp_redis_eval(flight->store->redis, op,
                      &ngx_http_sp_llm_store_script, 1, 4, argv);
}


static void
ngx_http_sp_llm_store_done(ngx_sp_op_t *op)
{
    if (op->result != NGX_SP_OP_OK) {
        ngx_log_error(NGX_LOG_ERR, op->log, 0,
                      "llm: what became of an idempotency key is not kept: "
                      "%s, %V", ngx_sp_op_result_name(op->result),
                      &op->reason);
    }
}


ngx_int_t
ngx_http_sp_llm_store_get(ngx_http_request_t *r,
    ngx_http_sp_llm_cache_t *cache)
{
    u_char     name[NGX_HTTP_SP_LLM_NAME];
    ngx_str_t  argv[2];

    ngx_memzero(&cache->op, sizeof(ngx_sp_redis_op_t));
    ngx_str_null(&cache->reply);

    cache->op.op.done = ngx_http_sp_llm_store_got;
    cache->op.op.data = r;
    cache->op.op.log = r->connection->log;

    if (ngx_http_sp_op_attach(r, &cache->op.op) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&argv[0], "GET");
    ngx_http_sp_llm_store_name(cache, name, &argv[1]);

    ngx_sp_redis_command(cache->store->redis, &cache->op, 2, argv);

    return NGX_OK;
}


static void
ngx_http_sp_llm_store_name(const ngx_http_sp_llm_cache_t *cache, u_char *text,
    ngx_str_t *name)
{
    u_char  *p;

    p = ngx_cpymem(text, "answer:", sizeof("answer:") - 1);

    name->data = text;
    name->len = ngx_hex_dump(p, (u_char *) cache->key, NGX_HTTP_SP_LLM_HASH)
                - text;
}


/* what cannot be copied is not there */

static void
ngx_http_sp_llm_store_got(ngx_sp_op_t *op)
{
    ngx_http_request_t     *r;
    ngx_http_sp_llm_ctx_t  *ctx;

    r = op->data;

    if (op->result == NGX_SP_OP_OK) {
        ctx = ngx_http_sp_llm_find_ctx(r);

        (void) ngx_http_sp_llm_store_copy(r->pool, ctx->cache->op.reply,
                                          &ctx->cache->reply);
    }
}


/* nobody waits for it, and an answer that is not kept is only given anew */

void
ngx_http_sp_llm_store_set(const ngx_http_sp_llm_cache_t *cache,
    const sp_replay_t *entry)
{
    u_char              name[NGX_HTTP_SP_LLM_NAME], time[NGX_INT_T_LEN];
    ngx_str_t           argv[5];
    ngx_sp_redis_op_t  *op;

    op = ngx_sp_detached_create(&ngx_http_sp_llm_sets,
                                sizeof(ngx_sp_redis_op_t));
    if (op == NULL) {
        return;
    }

    if (ngx_http_sp_llm_store_entry(ngx_sp_detached_pool(&op->op), entry,
                                    &argv[2])
        != NGX_OK)
    {
        ngx_sp_detached_discard(&op->op);
        return;
    }

    op->op.done = ngx_http_sp_llm_store_kept;

    ngx_str_set(&argv[0], "SET");
    ngx_http_sp_llm_store_name(cache, name, &argv[1]);
    ngx_str_set(&argv[3], "PX");
    argv[4].data = time;
    argv[4].len = ngx_sprintf(time, "%M", cache->store->ttl) - time;

    ngx_sp_redis_command(cache->store->redis, op, 5, argv);
}


static void
ngx_http_sp_llm_store_kept(ngx_sp_op_t *op)
{
    if (op->result != NGX_SP_OP_OK) {
        ngx_log_error(NGX_LOG_INFO, op->log, 0,
                      "llm: an answer is not kept for llm_cache: %s, %V",
                      ngx_sp_op_result_name(op->result), &op->reason);
    }
}
