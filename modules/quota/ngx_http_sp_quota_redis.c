
/*
 * Copyright (C) Sallyport authors
 *
 * All limits of a request in one server-side script: Redis decides and
 * charges at once, by its own clock, so any number of workers and gateways
 * agree.  A denied request writes nothing.
 */

#include "ngx_http_sp_quota.h"


#define NGX_HTTP_SP_QUOTA_NUMBER  3     /* interval, capacity, floor */


static void ngx_http_sp_quota_done(ngx_sp_op_t *op);
static ngx_int_t ngx_http_sp_quota_reply(ngx_http_sp_quota_ctx_t *ctx,
    const redisReply *reply);


/*
 * KEYS: one per limit, all of one subject.  Each holds a tat, see sp_gcra.h.
 * ARGV: interval, capacity and floor of each limit, in microseconds.  The
 * floor is how far ahead of now the limit was by what this machine remembers:
 * it brings back what Redis has lost, or never saw while it was away.
 * Reply: 1 or 0, now, the tats.  Numbers stay below 2^53.
 */

static ngx_sp_redis_script_t  ngx_http_sp_quota_script = {
    ngx_string("quota"),
    ngx_string(
        "local t = redis.call('TIME')\n"
        "local now = t[1] * 1000000 + t[2]\n"
        "local tats = redis.call('MGET', unpack(KEYS))\n"
        "local reply = {1, now}\n"
        "for i = 1, #KEYS do\n"
        "  local tat = tonumber(tats[i] or 0)\n"
        "  local low = now + ARGV[3 * i]\n"
        "  if tat < low then tat = low end\n"
        "  if tat + ARGV[3 * i - 2] - now > tonumber(ARGV[3 * i - 1]) then\n"
        "    reply[1] = 0\n"
        "  end\n"
        "  reply[i + 2] = tat\n"
        "end\n"
        "if reply[1] == 1 then\n"
        "  for i = 1, #KEYS do\n"
        "    local tat = reply[i + 2] + ARGV[3 * i - 2]\n"
        "    reply[i + 2] = tat\n"
        "    redis.call('SET', KEYS[i], string.format('%.0f', tat), 'PX',\n"
        "      string.format('%.0f', math.ceil((tat - now) / 1000) + 1))\n"
        "  end\n"
        "end\n"
        "return reply\n"),
    { 0 }
};


void
ngx_http_sp_quota_script_init(void)
{
    ngx_sp_redis_script_init(&ngx_http_sp_quota_script);
}


ngx_int_t
ngx_http_sp_quota_ask(ngx_http_request_t *r, ngx_http_sp_quota_ctx_t *ctx)
{
    u_char                         *last, *p;
    int64_t                         floor, now;
    ngx_str_t                       argv[NGX_HTTP_SP_QUOTA_LIMITS
                                         * (1 + NGX_HTTP_SP_QUOTA_NUMBER)];
    ngx_str_t                      *arg;
    ngx_uint_t                      i, n;
    ngx_http_sp_quota_limit_t      *limit;
    ngx_http_sp_quota_loc_conf_t   *qlcf;
    ngx_http_sp_quota_main_conf_t  *qmcf;

    qmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_quota_module);
    qlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_quota_module);

    n = ctx->policy->nlimits;
    now = ngx_http_sp_quota_now();

    for (i = 0; i < n; i++) {
        limit = &ctx->policy->limits[i];

        /* the script's version and, in braces, what a cluster shards by */

        p = ngx_pnalloc(r->pool, sizeof("quota1:{}::") - 1 + ctx->subject.len
                                 + qlcf->scope.len + limit->name.len
                                 + NGX_INT64_LEN);
        if (p == NULL) {
            return NGX_ERROR;
        }

        last = ngx_sprintf(p, "quota1:{%V}:%V:%V", &ctx->subject,
                           &qlcf->scope, &limit->name);
        argv[i].data = p;
        argv[i].len = last - p;

        floor = ngx_http_sp_quota_ahead(ctx->zone, ctx->hash, limit, now)
                - NGX_HTTP_SP_QUOTA_SLACK;
        p = last;
        last = ngx_sprintf(p, "%L", ngx_max(floor, 0));

        arg = &argv[n + i * NGX_HTTP_SP_QUOTA_NUMBER];
        arg[0] = limit->interval;
        arg[1] = limit->capacity;
        arg[2].data = p;
        arg[2].len = last - p;
    }

    ctx->op.op.done = ngx_http_sp_quota_done;
    ctx->op.op.data = ctx;
    ctx->op.op.log = r->connection->log;

    if (ngx_http_sp_op_attach(r, &ctx->op.op) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_sp_redis_eval(qmcf->redis, &ctx->op, &ngx_http_sp_quota_script, n,
                      n * (1 + NGX_HTTP_SP_QUOTA_NUMBER), argv);

    return NGX_OK;
}


static void
ngx_http_sp_quota_done(ngx_sp_op_t *op)
{
    ngx_http_sp_quota_ctx_t  *ctx;

    ctx = op->data;

    if (op->result == NGX_SP_OP_OK
        && ngx_http_sp_quota_reply(ctx, ctx->op.reply) == NGX_OK)
    {
        ctx->valid = 1;
        return;
    }

    ngx_log_error(NGX_LOG_WARN, op->log, 0, "quota: redis %s: %V",
                  ngx_sp_op_result_name(op->result), &op->reason);
}


static ngx_int_t
ngx_http_sp_quota_reply(ngx_http_sp_quota_ctx_t *ctx, const redisReply *reply)
{
    int64_t                      now, redis_now;
    int64_t                      tats[NGX_HTTP_SP_QUOTA_LIMITS];
    ngx_uint_t                   i, n;
    ngx_http_sp_quota_policy_t  *policy;

    policy = ctx->policy;
    n = policy->nlimits;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != n + 2) {
        return NGX_ERROR;
    }

    for (i = 0; i < n + 2; i++) {
        if (reply->element[i]->type != REDIS_REPLY_INTEGER) {
            return NGX_ERROR;
        }
    }

    ctx->allowed = (reply->element[0]->integer == 1);
    redis_now = reply->element[1]->integer;
    now = ngx_http_sp_quota_now();

    for (i = 0; i < n; i++) {
        tats[i] = reply->element[i + 2]->integer;

        ngx_http_sp_quota_remember(ctx->zone, ctx->hash, &policy->limits[i],
                                   now + tats[i] - redis_now, now);
    }

    /* what was charged is in the tats: look, cost 0; else see who denies */

    (void) sp_gcra_all(policy->gcra, tats, n, redis_now, !ctx->allowed,
                       ctx->results);

    return NGX_OK;
}
