
/*
 * Copyright (C) Sallyport authors
 *
 * All limits of a request in one server-side script: Redis decides and
 * charges at once, by its own clock, so any number of workers and gateways
 * agree.  A denied request writes nothing.
 */

#include "ngx_http_sp_quota.h"


/* numbers of a limit in the arguments; of a reply before the tats */
#define NGX_HTTP_SP_QUOTA_FIELDS  4
#define NGX_HTTP_SP_QUOTA_HEAD    2


static size_t ngx_http_sp_quota_pack(const ngx_http_sp_quota_ctx_t *ctx,
    u_char *p);
static u_char *ngx_http_sp_quota_put(u_char *p, int64_t n);
static int64_t ngx_http_sp_quota_get(const u_char **p);
static void ngx_http_sp_quota_done(ngx_sp_op_t *op);
static ngx_int_t ngx_http_sp_quota_reply(ngx_http_sp_quota_ctx_t *ctx,
    const redisReply *reply);


/*
 * KEYS: one, of a subject and scope: window and tat (see sp_gcra.h) of each
 * of its limits, so that there is one read and one write however many.
 * ARGV: window (seconds), interval, capacity and floor (microseconds) of each
 * limit, packed; the units wanted; those of an earlier lease left unused.
 * The floor is how far ahead of now the limit was by what this machine
 * remembers: it brings back what Redis has lost, or never saw while it was
 * away.
 * Reply, packed: the units granted, 0 to those wanted; now; the tats.
 * Packed numbers are 8 bytes, big-endian, and stay below 2^53.
 */

static ngx_sp_redis_script_t  ngx_http_sp_quota_script = {
    ngx_string("quota"),
    ngx_string(
        "local time = redis.call('TIME')\n"
        "local now = time[1] * 1000000 + time[2]\n"
        "local units, unused = tonumber(ARGV[2]), tonumber(ARGV[3])\n"
        "local tats, mine = {}, {}\n"
        "local stored = redis.call('GET', KEYS[1]) or ''\n"
        "for i = 1, #stored, 16 do\n"
        "  local window, tat = struct.unpack('>I8I8', stored, i)\n"
        "  tats[window] = tat\n"
        "end\n"
        "for i = 1, #ARGV[1], 32 do\n"
        "  local window, interval, capacity, floor =\n"
        "    struct.unpack('>I8I8I8I8', ARGV[1], i)\n"
        "  local tat = (tats[window] or 0) - unused * interval\n"
        "  if tat < now + floor then tat = now + floor end\n"
        "  local free = math.floor((capacity - (tat - now)) / interval)\n"
        "  if free < units then units = free < 0 and 0 or free end\n"
        "  tats[window] = tat\n"
        "  mine[#mine + 1], mine[#mine + 2] = window, interval\n"
        "end\n"
        "local reply = struct.pack('>I8I8', units, now)\n"
        "for i = 1, #mine, 2 do\n"
        "  local tat = tats[mine[i]] + units * mine[i + 1]\n"
        "  tats[mine[i]] = tat\n"
        "  reply = reply .. struct.pack('>I8', tat)\n"
        "end\n"
        "if units > 0 or unused > 0 then\n"
        "  local ttl = 0\n"
        "  stored = ''\n"
        "  for window, tat in pairs(tats) do\n"
        "    if tat > now then\n"
        "      stored = stored .. struct.pack('>I8I8', window, tat)\n"
        "      if tat - now > ttl then ttl = tat - now end\n"
        "    end\n"
        "  end\n"
        "  redis.call('SET', KEYS[1], stored, 'PX',\n"
        "    string.format('%.0f', math.ceil(ttl / 1000) + 1))\n"
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
    u_char                         *p;
    u_char                          units[NGX_INT_T_LEN];
    u_char                          unused[NGX_INT_T_LEN];
    u_char                          limits[NGX_HTTP_SP_QUOTA_LIMITS
                                           * NGX_HTTP_SP_QUOTA_FIELDS
                                           * sizeof(int64_t)];
    ngx_str_t                       argv[4];
    ngx_http_sp_quota_loc_conf_t   *qlcf;
    ngx_http_sp_quota_main_conf_t  *qmcf;

    qmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_quota_module);
    qlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_quota_module);

    /* the script's version and, in braces, what a cluster shards by */

    p = ngx_pnalloc(r->pool, sizeof("quota2:{}:") - 1 + ctx->subject.len
                             + qlcf->scope.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    argv[0].data = p;
    p = ngx_cpymem(p, "quota2:{", sizeof("quota2:{") - 1);
    p = ngx_cpymem(p, ctx->subject.data, ctx->subject.len);
    *p++ = '}';
    *p++ = ':';
    p = ngx_cpymem(p, qlcf->scope.data, qlcf->scope.len);
    argv[0].len = p - argv[0].data;

    argv[1].data = limits;
    argv[1].len = ngx_http_sp_quota_pack(ctx, limits);

    argv[2].data = units;
    argv[2].len = ngx_sprintf(units, "%ui", ctx->units) - units;

    argv[3].data = unused;
    argv[3].len = ngx_sprintf(unused, "%ui", ctx->unused) - unused;

    ctx->op.op.done = ngx_http_sp_quota_done;
    ctx->op.op.data = ctx;
    ctx->op.op.log = r->connection->log;

    if (ngx_http_sp_op_attach(r, &ctx->op.op) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_sp_redis_eval(qmcf->redis, &ctx->op, &ngx_http_sp_quota_script, 1, 4,
                      argv);

    return NGX_OK;
}


static size_t
ngx_http_sp_quota_pack(const ngx_http_sp_quota_ctx_t *ctx, u_char *p)
{
    u_char                 *start;
    ngx_uint_t              i;
    const sp_gcra_limit_t  *gcra;

    start = p;

    for (i = 0; i < ctx->policy->nlimits; i++) {
        gcra = &ctx->policy->gcra[i];

        p = ngx_http_sp_quota_put(p, ctx->policy->limits[i].window);
        p = ngx_http_sp_quota_put(p, gcra->interval);
        p = ngx_http_sp_quota_put(p, gcra->capacity);
        p = ngx_http_sp_quota_put(p, ctx->floors[i]);
    }

    return p - start;
}


static u_char *
ngx_http_sp_quota_put(u_char *p, int64_t n)
{
    ngx_uint_t  shift;

    for (shift = 64; shift > 0; /* void */ ) {
        shift -= 8;
        *p++ = (u_char) ((uint64_t) n >> shift);
    }

    return p;
}


static int64_t
ngx_http_sp_quota_get(const u_char **p)
{
    uint64_t    n;
    ngx_uint_t  i;

    n = 0;

    for (i = 0; i < sizeof(int64_t); i++) {
        n = n << 8 | *(*p)++;
    }

    return (int64_t) n;
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
    int64_t        granted, now, redis_now;
    int64_t        tats[NGX_HTTP_SP_QUOTA_LIMITS];
    ngx_uint_t     i, n;
    const u_char  *p;

    n = ctx->policy->nlimits;

    if (reply->type != REDIS_REPLY_STRING
        || (size_t) reply->len != (NGX_HTTP_SP_QUOTA_HEAD + n)
                                  * sizeof(int64_t))
    {
        return NGX_ERROR;
    }

    p = (u_char *) reply->str;

    granted = ngx_http_sp_quota_get(&p);
    redis_now = ngx_http_sp_quota_get(&p);
    now = ngx_http_sp_quota_now();

    if (granted < 0 || (ngx_uint_t) granted > ctx->units) {
        return NGX_ERROR;
    }

    /* by the clock of this machine */

    for (i = 0; i < n; i++) {
        tats[i] = ngx_http_sp_quota_get(&p) - redis_now + now;
    }

    ngx_http_sp_quota_learn(ctx, tats, (ngx_uint_t) granted, now);

    return NGX_OK;
}
