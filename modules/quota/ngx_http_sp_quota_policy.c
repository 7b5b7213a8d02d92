
/*
 * Copyright (C) Sallyport authors
 *
 * The quota_policy block:
 *
 *     quota_policy free {
 *         requests 60/m burst=10;
 *         requests 2000/h;
 *         concurrency 4;
 *         enforce;
 *     }
 */

#include "ngx_http_sp_quota.h"


/* counted in shared memory with room to spare */
#define NGX_HTTP_SP_QUOTA_MAX_CONCURRENCY  10000


static char *ngx_http_sp_quota_requests(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_quota_concurrency(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_quota_mode(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_quota_rate_limit(ngx_conf_t *cf,
    ngx_http_sp_quota_policy_t *policy, ngx_http_sp_quota_limit_t *limit,
    ngx_str_t *rate);
static ngx_http_sp_quota_limit_t *ngx_http_sp_quota_add(ngx_conf_t *cf,
    ngx_http_sp_quota_policy_t *policy, ngx_http_sp_quota_kind_e kind);
static char *ngx_http_sp_quota_twice(ngx_conf_t *cf,
    ngx_http_sp_quota_policy_t *policy);
static ngx_int_t ngx_http_sp_quota_rate(const ngx_str_t *value,
    ngx_int_t *units, ngx_int_t *window);
static ngx_int_t ngx_http_sp_quota_units(u_char *p, size_t len);
static char *ngx_http_sp_quota_finish(ngx_conf_t *cf,
    ngx_http_sp_quota_policy_t *policy);
static ngx_int_t ngx_http_sp_quota_policy_header(ngx_conf_t *cf,
    ngx_http_sp_quota_policy_t *policy);


static ngx_sp_conf_setting_t  ngx_http_sp_quota_settings[] = {

    { ngx_string("requests"), NGX_CONF_TAKE12, ngx_http_sp_quota_requests, 0,
      0, NULL },

    { ngx_string("concurrency"), NGX_CONF_TAKE1,
      ngx_http_sp_quota_concurrency, 0,
      0, NULL },

    { ngx_string("enforce"), NGX_CONF_NOARGS, ngx_http_sp_quota_mode, 0,
      0, NULL },

    { ngx_string("shadow"), NGX_CONF_NOARGS, ngx_http_sp_quota_mode, 0,
      1, NULL },

      ngx_null_command
};


const ngx_str_t  ngx_http_sp_quota_results[] = {
    ngx_string("none"),
    ngx_string("allowed"),
    ngx_string("denied"),
    ngx_string("shadow"),
    ngx_string("local"),
    ngx_string("local_denied"),
    ngx_string("open"),
    ngx_string("closed")
};


char *
ngx_http_sp_quota_policy(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_quota_main_conf_t  *qmcf = conf;

    char                         *rv;
    u_char                        c;
    ngx_str_t                    *value;
    ngx_uint_t                    i;
    ngx_http_sp_quota_policy_t   *policy, **slot;

    value = cf->args->elts;

    for (i = 0; i < value[1].len; i++) {
        c = value[1].data[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
            || (c >= '0' && c <= '9') || c == '_' || c == '-')
        {
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" of a quota_policy: letters, "
                           "digits, \"_\" and \"-\" are allowed", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_sp_quota_find(qmcf, &value[1]) != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate quota_policy \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    policy = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_quota_policy_t));
    if (policy == NULL) {
        return NGX_CONF_ERROR;
    }

    policy->name = value[1];
    policy->id = ngx_crc32_long(value[1].data, value[1].len) | 1;
    policy->shadow = NGX_CONF_UNSET;

    slot = ngx_array_push(&qmcf->policies);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = policy;

    rv = ngx_sp_conf_block(cf, ngx_http_sp_quota_settings, policy);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_sp_quota_finish(cf, policy);
}


ngx_http_sp_quota_policy_t *
ngx_http_sp_quota_find(const ngx_http_sp_quota_main_conf_t *qmcf,
    const ngx_str_t *name)
{
    ngx_uint_t                    i;
    ngx_http_sp_quota_policy_t  **policies;

    policies = qmcf->policies.elts;

    for (i = 0; i < qmcf->policies.nelts; i++) {
        if (policies[i]->name.len == name->len
            && ngx_strncmp(policies[i]->name.data, name->data, name->len)
               == 0)
        {
            return policies[i];
        }
    }

    return NULL;
}


/* enforce, shadow: cmd->offset is what they mean */

static char *
ngx_http_sp_quota_mode(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_quota_policy_t *policy = conf;

    if (policy->shadow != NGX_CONF_UNSET) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "quota_policy \"%V\" has \"enforce\" or "
                           "\"shadow\" already", &policy->name);
        return NGX_CONF_ERROR;
    }

    policy->shadow = cmd->offset;

    return NGX_CONF_OK;
}


/* requests N/window [burst=N]; */

static char *
ngx_http_sp_quota_requests(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_quota_policy_t *policy = conf;

    ngx_str_t                  *value;
    ngx_http_sp_quota_limit_t  *limit;

    value = cf->args->elts;

    limit = ngx_http_sp_quota_add(cf, policy, NGX_HTTP_SP_QUOTA_REQUESTS);
    if (limit == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_sp_quota_rate(&value[1], &limit->units, &limit->window)
        != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid rate \"%V\": allowed is a number of "
                           "requests, \"/\" and a window such as \"s\", "
                           "\"10s\", \"m\", \"h\", \"d\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 3) {
        if (ngx_strncmp(value[2].data, "burst=", 6) == 0) {
            limit->burst = ngx_http_sp_quota_units(value[2].data + 6,
                                                   value[2].len - 6);
        }

        if (limit->burst < 1) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\": allowed is "
                               "\"burst=N\", N at least 1", &value[2]);
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_sp_quota_rate_limit(cf, policy, limit, &value[1]);
}


static char *
ngx_http_sp_quota_rate_limit(ngx_conf_t *cf,
    ngx_http_sp_quota_policy_t *policy, ngx_http_sp_quota_limit_t *limit,
    ngx_str_t *rate)
{
    u_char           *p;
    sp_gcra_limit_t  *gcra;

    gcra = &policy->gcra[policy->nlimits - 1];

    if (sp_gcra_limit(limit->units, limit->window * SP_GCRA_SECOND,
                      limit->burst, gcra)
        != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "rate \"%V\" is out of range: at most %d/s, a "
                           "window of at most 366d", rate,
                           SP_GCRA_MAX_RATE);
        return NGX_CONF_ERROR;
    }

    limit->burst = gcra->capacity / gcra->interval;

    p = ngx_pnalloc(cf->pool, sizeof("requests-") - 1 + NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    limit->name.data = p;
    limit->name.len = ngx_sprintf(p, "requests-%i", limit->window) - p;

    return ngx_http_sp_quota_twice(cf, policy);
}


/* concurrency N; */

static char *
ngx_http_sp_quota_concurrency(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_quota_policy_t *policy = conf;

    ngx_str_t                  *value;
    ngx_http_sp_quota_limit_t  *limit;

    value = cf->args->elts;

    limit = ngx_http_sp_quota_add(cf, policy, NGX_HTTP_SP_QUOTA_CONCURRENCY);
    if (limit == NULL) {
        return NGX_CONF_ERROR;
    }

    limit->units = ngx_atoi(value[1].data, value[1].len);

    if (limit->units < 1 || limit->units > NGX_HTTP_SP_QUOTA_MAX_CONCURRENCY) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number \"%V\" of \"concurrency\": "
                           "allowed is 1 to %d requests in flight",
                           &value[1], NGX_HTTP_SP_QUOTA_MAX_CONCURRENCY);
        return NGX_CONF_ERROR;
    }

    ngx_str_set(&limit->name, "concurrency");

    limit->burst = limit->units;
    policy->gcra[policy->nlimits - 1].capacity = limit->units;
    policy->held = 1;

    return ngx_http_sp_quota_twice(cf, policy);
}


static ngx_http_sp_quota_limit_t *
ngx_http_sp_quota_add(ngx_conf_t *cf, ngx_http_sp_quota_policy_t *policy,
    ngx_http_sp_quota_kind_e kind)
{
    ngx_http_sp_quota_limit_t  *limit;

    if (policy->nlimits == NGX_HTTP_SP_QUOTA_LIMITS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "quota_policy \"%V\" has more than %d limits",
                           &policy->name, NGX_HTTP_SP_QUOTA_LIMITS);
        return NULL;
    }

    limit = &policy->limits[policy->nlimits++];
    limit->kind = kind;

    return limit;
}


/* the last limit, read to its end: no other is of the same kind and window */

static char *
ngx_http_sp_quota_twice(ngx_conf_t *cf, ngx_http_sp_quota_policy_t *policy)
{
    ngx_uint_t                  i;
    ngx_http_sp_quota_limit_t  *limit;

    limit = &policy->limits[policy->nlimits - 1];

    limit->id = (uint32_t) limit->kind << NGX_HTTP_SP_QUOTA_WINDOW_BITS
                | (uint32_t) limit->window;

    for (i = 0; i < policy->nlimits - 1; i++) {
        if (policy->limits[i].id == limit->id) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "quota_policy \"%V\" has two limits \"%V\"",
                               &policy->name, &limit->name);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_sp_quota_rate(const ngx_str_t *value, ngx_int_t *units,
    ngx_int_t *window)
{
    u_char     *slash;
    size_t      len;
    ngx_int_t   factor, n;

    slash = ngx_strlchr(value->data, value->data + value->len, '/');

    if (slash == NULL) {
        return NGX_ERROR;
    }

    *units = ngx_http_sp_quota_units(value->data, slash - value->data);

    if (*units < 1) {
        return NGX_ERROR;
    }

    slash++;
    len = value->data + value->len - slash;

    if (len < 1) {
        return NGX_ERROR;
    }

    switch (slash[len - 1]) {

    case 's':
        factor = 1;
        break;

    case 'm':
        factor = 60;
        break;

    case 'h':
        factor = 3600;
        break;

    case 'd':
        factor = 86400;
        break;

    default:
        return NGX_ERROR;
    }

    n = (len == 1) ? 1 : ngx_atoi(slash, len - 1);

    if (n < 1 || n > SP_GCRA_MAX_PERIOD / SP_GCRA_SECOND / factor) {
        return NGX_ERROR;
    }

    *window = n * factor;

    return NGX_OK;
}


/* "60", "50k", "2m" */

static ngx_int_t
ngx_http_sp_quota_units(u_char *p, size_t len)
{
    ngx_int_t  factor, n;

    factor = 1;

    if (len > 1 && p[len - 1] == 'k') {
        factor = 1000;
        len--;

    } else if (len > 1 && p[len - 1] == 'm') {
        factor = 1000000;
        len--;
    }

    n = ngx_atoi(p, len);

    if (n < 1 || n > SP_GCRA_MAX_UNITS / factor) {
        return NGX_ERROR;
    }

    return n * factor;
}


static char *
ngx_http_sp_quota_finish(ngx_conf_t *cf, ngx_http_sp_quota_policy_t *policy)
{
    u_char      *p;
    ngx_str_t    labels;
    ngx_uint_t   i;

    if (policy->nlimits == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "quota_policy \"%V\" has no limit: add "
                           "\"requests\" or \"concurrency\", for example "
                           "\"requests 60/m;\"",
                           &policy->name);
        return NGX_CONF_ERROR;
    }

    ngx_conf_init_value(policy->shadow, 0);

    if (ngx_http_sp_quota_policy_header(cf, policy) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < NGX_HTTP_SP_QUOTA_RESULTS; i++) {
        p = ngx_pnalloc(cf->pool, sizeof("policy=\"\",result=\"\"") - 1
                                  + policy->name.len
                                  + sizeof("local_denied") - 1);
        if (p == NULL) {
            return NGX_CONF_ERROR;
        }

        labels.data = p;
        labels.len = ngx_sprintf(p, "policy=\"%V\",result=\"%V\"",
                                 &policy->name, &ngx_http_sp_quota_results[i])
                     - p;

        policy->decisions[i] = ngx_http_sp_add_metric(cf,
                                   NGX_SP_COUNTER,
                                   "sallyport_quota_decisions_total",
                                   "requests by policy and what the quota "
                                   "made of them", &labels);
        if (policy->decisions[i] == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* RateLimit-Policy */

static ngx_int_t
ngx_http_sp_quota_policy_header(ngx_conf_t *cf,
    ngx_http_sp_quota_policy_t *policy)
{
    u_char                     *p;
    ngx_uint_t                  i;
    ngx_http_sp_quota_limit_t  *limit;

    p = ngx_pnalloc(cf->pool, policy->nlimits
                    * (sizeof(", \"requests-\";q=;qu=\"concurrent-requests\"")
                       - 1 + 3 * NGX_INT64_LEN));
    if (p == NULL) {
        return NGX_ERROR;
    }

    policy->header.data = p;

    for (i = 0; i < policy->nlimits; i++) {
        limit = &policy->limits[i];

        p = ngx_sprintf(p, "%s\"%V\";q=%i", i ? ", " : "", &limit->name,
                        limit->units);

        p = (limit->window != 0)
            ? ngx_sprintf(p, ";w=%i", limit->window)
            : ngx_sprintf(p, ";qu=\"concurrent-requests\"");
    }

    policy->header.len = p - policy->header.data;

    return NGX_OK;
}
