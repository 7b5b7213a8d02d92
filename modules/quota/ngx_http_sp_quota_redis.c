
/*
 * Copyright (C) Sallyport authors
 *
 * All limits of a request in one server-side script: Redis decides and
 * charges at once, by its own clock, so any number of workers and gateways
 * agree.  A denied request writes nothing.
 *
 * What was charged under an id is reserved: a second script settles it with
 * what it was in the end.
 */

#include "ngx_http_sp_quota.h"


/* numbers of a limit in the arguments; of a reply before the states */
#define NGX_HTTP_SP_QUOTA_FIELDS  5
#define NGX_HTTP_SP_QUOTA_HEAD    2

/* milliseconds: a question that was dropped is asked again by then */
#define NGX_HTTP_SP_QUOTA_AGAIN  (ngx_msec_t) 10000


static size_t ngx_http_sp_quota_pack(const ngx_http_sp_quota_ctx_t *ctx,
    u_char *p);
static u_char *ngx_http_sp_quota_put_limit(u_char *p,
    const ngx_http_sp_quota_policy_t *policy, ngx_uint_t i);
static u_char *ngx_http_sp_quota_put(u_char *p, int64_t n);
static int64_t ngx_http_sp_quota_get(const u_char **p);
static void ngx_http_sp_quota_done(ngx_sp_op_t *op);
static ngx_int_t ngx_http_sp_quota_reply(ngx_http_sp_quota_ctx_t *ctx,
    const redisReply *reply);


/*
 * KEYS[1], of a subject and scope: kind, window and tat (see sp_gcra.h) of
 * each of its limits, so that there is one read and one write however many.
 * KEYS[2], of a reservation: what was charged for each limit.
 * KEYS[3], of a subject and scope: the ids that are in flight, by the time at
 * which they are over anyhow.
 *
 * Packed numbers are 8 bytes, big-endian, and stay below 2^53.  A limit is
 * named by its kind and window; one with an interval of 0 is held.
 */

#define NGX_HTTP_SP_QUOTA_LUA_READ                                            \
    "local time = redis.call('TIME')\n"                                       \
    "local now = time[1] * 1000000 + time[2]\n"                               \
    "local stored = redis.call('GET', KEYS[1]) or ''\n"                       \
    "local tats = {}\n"                                                       \
    "for i = 1, #stored, 16 do\n"                                             \
    "  local name, tat = struct.unpack('>I8I8', stored, i)\n"                 \
    "  tats[name] = tat\n"                                                    \
    "end\n"

#define NGX_HTTP_SP_QUOTA_LUA_WRITE                                           \
    "local ttl, packed = 0, ''\n"                                             \
    "for name, tat in pairs(tats) do\n"                                       \
    "  if tat > now then\n"                                                   \
    "    packed = packed .. struct.pack('>I8I8', name, tat)\n"                \
    "    if tat - now > ttl then ttl = tat - now end\n"                       \
    "  end\n"                                                                 \
    "end\n"                                                                   \
    "if ttl > 0 then\n"                                                       \
    "  redis.call('SET', KEYS[1], packed, 'PX',\n"                            \
    "    string.format('%.0f', math.ceil(ttl / 1000) + 1))\n"                 \
    "elseif stored ~= '' then\n"                                              \
    "  redis.call('DEL', KEYS[1])\n"                                          \
    "end\n"


/*
 * ARGV: name, interval, capacity, floor (microseconds) and cost of each limit,
 * packed; how often that is wanted; units of an earlier lease left unused; the
 * id of the reservation, and the milliseconds that it lasts.  The last two,
 * KEYS[2] and KEYS[3] come together or not at all.
 * The floor is how far ahead of now the limit was by what this machine
 * remembers: it brings back what Redis has lost, or never saw while it was
 * away.
 * Reply, packed: how often it is granted, 0 to what was wanted; now; for each
 * limit its tat, or how many are held.  An id that has been granted is not
 * charged again.
 */

static ngx_sp_redis_script_t  ngx_http_sp_quota_reserve_script = {
    ngx_string("quota reserve"),
    ngx_string(
        NGX_HTTP_SP_QUOTA_LUA_READ
        "local wanted, unused = tonumber(ARGV[2]), tonumber(ARGV[3])\n"
        "local again = KEYS[2] and redis.call('EXISTS', KEYS[2]) == 1\n"
        "if again then wanted = 1 end\n"
        "local limits, n, record, held = {}, 0, '', false\n"
        "for i = 1, #ARGV[1], 40 do\n"
        "  local name, interval, capacity, floor, cost =\n"
        "    struct.unpack('>I8I8I8I8I8', ARGV[1], i)\n"
        "  local state, free\n"
        "  if interval == 0 then\n"
        "    redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)\n"
        "    state, held = redis.call('ZCARD', KEYS[3]), cost > 0\n"
        "    free = capacity - state\n"
        "  else\n"
        "    state = (tats[name] or 0) - unused * interval\n"
        "    if state < now + floor then state = now + floor end\n"
        "    tats[name] = state\n"
        "    free = math.floor((capacity - (state - now)) / interval)\n"
        "  end\n"
        "  if again then cost = 0 end\n"
        "  if cost > 0 and free < wanted * cost then\n"
        "    wanted = free < cost and 0 or math.floor(free / cost)\n"
        "  end\n"
        "  if KEYS[2] then\n"
        "    record = record .. struct.pack('>I8I8', name, cost)\n"
        "  end\n"
        "  limits[n + 1], limits[n + 2] = name, interval\n"
        "  limits[n + 3], limits[n + 4] = cost, state\n"
        "  n = n + 4\n"
        "end\n"
        "local reply = struct.pack('>I8I8', wanted, now)\n"
        "for i = 1, n, 4 do\n"
        "  local name, interval = limits[i], limits[i + 1]\n"
        "  local cost, state = wanted * limits[i + 2], limits[i + 3]\n"
        "  if interval == 0 then\n"
        "    state = state + cost\n"
        "  else\n"
        "    state = state + cost * interval\n"
        "    tats[name] = state\n"
        "  end\n"
        "  reply = reply .. struct.pack('>I8', state)\n"
        "end\n"
        "if wanted > 0 or unused > 0 then\n"
        NGX_HTTP_SP_QUOTA_LUA_WRITE
        "end\n"
        "if KEYS[2] and wanted > 0 and not again then\n"
        "  redis.call('SET', KEYS[2], record, 'PX', ARGV[5])\n"
        "  if held then\n"
        "    redis.call('ZADD', KEYS[3],\n"
        "      string.format('%.0f', now + ARGV[5] * 1000), ARGV[4])\n"
        "    redis.call('PEXPIRE', KEYS[3], ARGV[5])\n"
        "  end\n"
        "end\n"
        "return reply\n"),
    { 0 }
};


/*
 * ARGV: name, interval and the cost in the end of each limit, packed; the id.
 * Reply: 1, or 0 when the id is not known: never granted, settled before, or
 * over.
 */

static ngx_sp_redis_script_t  ngx_http_sp_quota_settle_script = {
    ngx_string("quota settle"),
    ngx_string(
        "local record = redis.call('GET', KEYS[2])\n"
        "if not record then return 0 end\n"
        "redis.call('DEL', KEYS[2])\n"
        NGX_HTTP_SP_QUOTA_LUA_READ
        "local reserved, changed = {}, false\n"
        "for i = 1, #record, 16 do\n"
        "  local name, cost = struct.unpack('>I8I8', record, i)\n"
        "  reserved[name] = cost\n"
        "end\n"
        "for i = 1, #ARGV[1], 24 do\n"
        "  local name, interval, cost =\n"
        "    struct.unpack('>I8I8I8', ARGV[1], i)\n"
        "  local more = cost - (reserved[name] or cost)\n"
        "  if interval == 0 then\n"
        "    if more < 0 then redis.call('ZREM', KEYS[3], ARGV[2]) end\n"
        "  elseif more ~= 0 then\n"
        "    local tat = tats[name] or 0\n"
        "    if more > 0 and tat < now then tat = now end\n"
        "    tats[name], changed = tat + more * interval, true\n"
        "  end\n"
        "end\n"
        "if changed then\n"
        NGX_HTTP_SP_QUOTA_LUA_WRITE
        "end\n"
        "return 1\n"),
    { 0 }
};


void
ngx_http_sp_quota_script_init(void)
{
    ngx_sp_redis_script_init(&ngx_http_sp_quota_reserve_script);
    ngx_sp_redis_script_init(&ngx_http_sp_quota_settle_script);
}


ngx_int_t
ngx_http_sp_quota_ask(ngx_http_request_t *r, ngx_http_sp_quota_ctx_t *ctx)
{
    u_char                          wanted[NGX_INT_T_LEN];
    u_char                          unused[NGX_INT_T_LEN];
    u_char                          lasts[NGX_INT_T_LEN];
    u_char                          limits[NGX_HTTP_SP_QUOTA_LIMITS
                                           * NGX_HTTP_SP_QUOTA_FIELDS
                                           * sizeof(int64_t)];
    ngx_str_t                       argv[8], *arg;
    ngx_http_sp_quota_main_conf_t  *qmcf;

    qmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_quota_module);

    arg = argv;
    *arg++ = ctx->key;

    if (ctx->hold != NULL) {
        *arg++ = ctx->hold->record;
        *arg++ = ctx->hold->open;
    }

    arg->data = limits;
    arg++->len = ngx_http_sp_quota_pack(ctx, limits);

    arg->data = wanted;
    arg++->len = ngx_sprintf(wanted, "%ui", ctx->units) - wanted;

    arg->data = unused;
    arg++->len = ngx_sprintf(unused, "%ui", ctx->unused) - unused;

    if (ctx->hold != NULL) {
        *arg++ = ctx->hold->id;

        arg->data = lasts;
        arg++->len = ngx_sprintf(lasts, "%M", ctx->policy->held
                                              ? ctx->policy->hold
                                              : NGX_HTTP_SP_QUOTA_AGAIN)
                     - lasts;

        ctx->hold->asked = 1;
    }

    ctx->op.op.done = ngx_http_sp_quota_done;
    ctx->op.op.data = ctx;
    ctx->op.op.log = r->connection->log;

    if (ngx_http_sp_op_attach(r, &ctx->op.op) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_sp_redis_eval(qmcf->redis, &ctx->op,
                      &ngx_http_sp_quota_reserve_script,
                      (ctx->hold != NULL) ? 3 : 1, arg - argv, argv);

    return NGX_OK;
}


static size_t
ngx_http_sp_quota_pack(const ngx_http_sp_quota_ctx_t *ctx, u_char *p)
{
    u_char                           *start;
    ngx_uint_t                        i;
    const ngx_http_sp_quota_limit_t  *limit;

    start = p;
    limit = ctx->policy->limits;

    for (i = 0; i < ctx->policy->nlimits; i++) {
        p = ngx_http_sp_quota_put_limit(p, ctx->policy, i);
        p = ngx_http_sp_quota_put(p, ctx->policy->gcra[i].capacity);
        p = ngx_http_sp_quota_put(p, ctx->floors[i]);
        p = ngx_http_sp_quota_put(p, ctx->costs[limit[i].kind]);
    }

    return p - start;
}


/* the name, and the interval */

static u_char *
ngx_http_sp_quota_put_limit(u_char *p,
    const ngx_http_sp_quota_policy_t *policy, ngx_uint_t i)
{
    p = ngx_http_sp_quota_put(p, policy->limits[i].id);

    return ngx_http_sp_quota_put(p, policy->gcra[i].interval);
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
    int64_t        states[NGX_HTTP_SP_QUOTA_LIMITS];
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

    for (i = 0; i < n; i++) {
        states[i] = ngx_http_sp_quota_get(&p);

        if (ctx->policy->limits[i].window != 0) {

            /* by the clock of this machine */

            states[i] += now - redis_now;
        }
    }

    ngx_http_sp_quota_learn(ctx, states, (ngx_uint_t) granted, now);

    return NGX_OK;
}


void
ngx_http_sp_quota_tell(ngx_sp_redis_t *redis, ngx_sp_redis_op_t *op,
    const ngx_http_sp_quota_hold_t *hold,
    const ngx_http_sp_quota_costs_t costs)
{
    u_char                            *p;
    u_char                             limits[NGX_HTTP_SP_QUOTA_LIMITS
                                              * NGX_HTTP_SP_QUOTA_FIELDS
                                              * sizeof(int64_t)];
    ngx_str_t                          argv[5];
    ngx_uint_t                         i;
    const ngx_http_sp_quota_policy_t  *policy;

    policy = hold->policy;
    p = limits;

    for (i = 0; i < policy->nlimits; i++) {
        p = ngx_http_sp_quota_put_limit(p, policy, i);
        p = ngx_http_sp_quota_put(p, costs[policy->limits[i].kind]);
    }

    argv[0] = hold->key;
    argv[1] = hold->record;
    argv[2] = hold->open;
    argv[3].data = limits;
    argv[3].len = p - limits;
    argv[4] = hold->id;

    ngx_sp_redis_eval(redis, op, &ngx_http_sp_quota_settle_script, 3, 5,
                      argv);
}
