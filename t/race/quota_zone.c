
/*
 * Copyright (C) Sallyport authors
 *
 * Processes that fight for the entries of the smallest quota zone.  Two of
 * them fill it with slices and with limits of a month, two ask for subjects
 * that nobody has seen, which nothing may deny.
 *
 *     quota_zone SECONDS
 *
 * Prints how many were asked for, and how many were denied.
 */

#include "ngx_http_sp_quota.h"

#include <sys/mman.h>


#define WORKERS  4
#define SIZE     65536
#define BATCH    50


typedef struct {
    ngx_atomic_t  asked;
    ngx_atomic_t  denied;
} count_t;


static void worker(ngx_uint_t n, ngx_msec_t last, count_t *count);
static void fill(ngx_http_sp_quota_ctx_t *ctx);
static void policy_of(ngx_http_sp_quota_policy_t *policy, ngx_int_t units,
    ngx_int_t window);
static uint64_t random_next(uint64_t *seed);
static void update_time(void);


/* what the module takes of NGINX and of the core */

ngx_uint_t           ngx_pagesize = 4096;
ngx_pid_t            ngx_pid;
volatile ngx_msec_t  ngx_current_msec;
ngx_module_t         ngx_http_sp_quota_module;
const char           load_ngx_http_sp_core_module_before_its_plugins;

static ngx_shm_zone_t   zone;
static ngx_slab_pool_t  pool;
static u_char          *memory;


int
main(int argc, char **argv)
{
    count_t                        *count;
    ngx_msec_t                      last;
    ngx_uint_t                      n;
    ngx_http_sp_quota_main_conf_t   qmcf;

    count = mmap(NULL, 2 * SIZE, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANON,
                 -1, 0);
    if (argc != 2 || count == MAP_FAILED) {
        return 2;
    }

    memory = (u_char *) count + NGX_CPU_CACHE_LINE;

    ngx_memzero(&qmcf, sizeof(ngx_http_sp_quota_main_conf_t));
    qmcf.size = SIZE;

    zone.shm.addr = (u_char *) &pool;
    zone.shm.size = SIZE;
    pool.pfree = SIZE / ngx_pagesize;

    if (ngx_http_sp_quota_zone_add(NULL, &qmcf) != NGX_CONF_OK
        || zone.init(&zone, NULL) != NGX_OK)
    {
        return 2;
    }

    update_time();
    last = ngx_current_msec + atoi(argv[1]) * 1000;

    for (n = 0; n < WORKERS; n++) {
        if (fork() == 0) {
            ngx_pid = getpid();
            worker(n, last, count);
            _exit(0);
        }
    }

    while (wait(NULL) > 0) { /* void */ }

    printf("asked %lu denied %lu\n", count->asked, count->denied);

    return 0;
}


static void
worker(ngx_uint_t n, ngx_msec_t last, count_t *count)
{
    uint64_t                    seed;
    ngx_uint_t                  i;
    ngx_http_sp_quota_ctx_t     ctx;
    ngx_http_sp_quota_policy_t  month, second;

    policy_of(&month, 1000, 30 * 86400);
    policy_of(&second, 100, 1);

    seed = (n + 1) * 0x9e3779b97f4a7c15ull;

    while (ngx_current_msec < last) {
        update_time();

        for (i = 0; i < BATCH; i++) {
            ngx_memzero(&ctx, sizeof(ngx_http_sp_quota_ctx_t));

            ctx.zone = &zone;
            ctx.hash = random_next(&seed);
            ctx.policy = (n % 2) ? &second : &month;

            if (n % 2 == 0) {
                fill(&ctx);
                continue;
            }

            (void) ngx_atomic_fetch_add(&count->asked, 1);

            if (!ngx_http_sp_quota_local(&zone, &ctx)) {
                (void) ngx_atomic_fetch_add(&count->denied, 1);
            }
        }
    }
}


/* what the answer of a Redis that grants all does */

static void
fill(ngx_http_sp_quota_ctx_t *ctx)
{
    int64_t  now;

    now = ngx_http_sp_quota_now();

    ngx_http_sp_quota_slice_want(ctx);
    ngx_http_sp_quota_remember(&zone, ctx->hash, &ctx->policy->limits[0],
                               now + 20 * 86400 * SP_GCRA_SECOND, now);
    (void) ngx_http_sp_quota_slice_keep(ctx, ctx->units);
    (void) ngx_http_sp_quota_slice_spend(ctx, 1);
}


static void
policy_of(ngx_http_sp_quota_policy_t *policy, ngx_int_t units,
    ngx_int_t window)
{
    ngx_memzero(policy, sizeof(ngx_http_sp_quota_policy_t));

    policy->burst = units;
    policy->slice = ngx_http_sp_quota_slice_max(units, 1);
    policy->nlimits = 1;
    policy->limits[0].units = units;
    policy->limits[0].window = window;

    (void) sp_gcra_limit(units, window * SP_GCRA_SECOND, 0, policy->gcra);
}


static uint64_t
random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;

    return *seed;
}


static void
update_time(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    ngx_current_msec = (ngx_msec_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


ngx_shm_zone_t *
ngx_shared_memory_add(ngx_conf_t *cf, ngx_str_t *name, size_t size, void *tag)
{
    return &zone;
}


void *
ngx_slab_calloc(ngx_slab_pool_t *slab, size_t size)
{
    u_char  *p;

    p = memory;
    memory += ngx_align(size, NGX_CPU_CACHE_LINE);

    return p;
}


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
}
