
/*
 * Copyright (C) Sallyport authors
 *
 * The directives besides quota_policy: what they take, their defaults, what a
 * location inherits.
 */

#include "ngx_http_sp_quota.h"


static char *ngx_http_sp_quota_by(ngx_conf_t *cf,
    ngx_http_sp_quota_loc_conf_t *qlcf, ngx_str_t *by);


static const ngx_sp_metric_slot_t  ngx_http_sp_quota_metrics[] = {

    { NGX_SP_HISTOGRAM, "sallyport_quota_redis_seconds",
      "time until Redis decided", "",
      offsetof(ngx_http_sp_quota_main_conf_t, latency) },

    { NGX_SP_COUNTER, "sallyport_quota_redis_errors_total",
      "decisions that Redis did not make in time", "",
      offsetof(ngx_http_sp_quota_main_conf_t, errors) },

    { NGX_SP_COUNTER, "sallyport_quota_unsettled_total",
      "requests in flight whose end Redis was not told", "",
      offsetof(ngx_http_sp_quota_main_conf_t, unsettled) },

    { NGX_SP_COUNTER, NULL, NULL, NULL, 0 }
};


/* quota POLICY | $variable [default=POLICY] [by=identity|address|$v] | off */

char *
ngx_http_sp_quota(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_quota_loc_conf_t  *qlcf = conf;

    ngx_str_t   *value, by;
    ngx_uint_t   i;

    if (qlcf->enable != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        qlcf->enable = 0;
        return (cf->args->nelts == 2) ? NGX_CONF_OK
                                      : "takes no parameters after \"off\"";
    }

    qlcf->enable = 1;
    qlcf->scope = value[1];
    qlcf->file = cf->conf_file->file.name;
    qlcf->line = cf->conf_file->line;

    if (ngx_strlchr(value[1].data, value[1].data + value[1].len, '$')
        != NULL)
    {
        qlcf->choice = ngx_http_sp_complex_value(cf, &value[1]);

        if (qlcf->choice == NULL) {
            return NGX_CONF_ERROR;
        }

    } else {
        qlcf->name = value[1];
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (qlcf->choice != NULL && qlcf->name.len == 0
            && ngx_sp_conf_arg(&value[i], "default=", &qlcf->name)
            && qlcf->name.len > 0)
        {
            continue;
        }

        if (qlcf->by == NGX_HTTP_SP_QUOTA_BY_DEFAULT
            && ngx_sp_conf_arg(&value[i], "by=", &by))
        {
            if (ngx_http_sp_quota_by(cf, qlcf, &by) != NGX_CONF_OK) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"quota\": allowed "
                           "are \"default=POLICY\" after a variable and "
                           "\"by=identity|address|$variable\"", &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_quota_by(ngx_conf_t *cf, ngx_http_sp_quota_loc_conf_t *qlcf,
    ngx_str_t *by)
{
    if (ngx_strcmp(by->data, "identity") == 0) {
        qlcf->by = NGX_HTTP_SP_QUOTA_BY_IDENTITY;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(by->data, "address") == 0) {
        qlcf->by = NGX_HTTP_SP_QUOTA_BY_ADDRESS;
        return NGX_CONF_OK;
    }

    if (ngx_strlchr(by->data, by->data + by->len, '$') != NULL) {
        qlcf->by = NGX_HTTP_SP_QUOTA_BY_VALUE;
        qlcf->value = ngx_http_sp_complex_value(cf, by);

        return (qlcf->value == NULL) ? NGX_CONF_ERROR : NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"by=%V\" would give all requests one key: allowed "
                       "are \"by=identity\", \"by=address\" and a variable "
                       "such as \"by=$http_x_api_key\"", by);

    return NGX_CONF_ERROR;
}


char *
ngx_http_sp_quota_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_quota_main_conf_t  *qmcf = conf;

    ngx_int_t   percent;
    ngx_str_t  *value;

    if (qmcf->redis != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 3) {
        percent = NGX_ERROR;

        if (value[2].len > sizeof("lease=%") - 1
            && ngx_strncmp(value[2].data, "lease=", 6) == 0
            && value[2].data[value[2].len - 1] == '%')
        {
            percent = ngx_atoi(value[2].data + 6, value[2].len - 7);
        }

        if (percent == NGX_ERROR || percent > NGX_HTTP_SP_QUOTA_MAX_LEASE) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\": allowed is "
                               "\"lease=0%%\" to \"lease=%d%%\"", &value[2],
                               NGX_HTTP_SP_QUOTA_MAX_LEASE);
            return NGX_CONF_ERROR;
        }

        qmcf->lease = percent;
    }

    qmcf->redis = ngx_http_sp_redis(cf, &value[1]);

    return (qmcf->redis == NULL) ? NGX_CONF_ERROR : NGX_CONF_OK;
}


char *
ngx_http_sp_quota_check_zone(ngx_conf_t *cf, void *post, void *data)
{
    size_t *size = data;

    if (*size >= 64 * 1024) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"quota_zone\" is too small: %uz bytes, at least 64k "
                       "are allowed", *size);

    return NGX_CONF_ERROR;
}


char *
ngx_http_sp_quota_check_hold(ngx_conf_t *cf, void *post, void *data)
{
    ngx_msec_t *hold = data;

    if (*hold >= 1000 && *hold <= NGX_HTTP_SP_QUOTA_MAX_HOLD) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"quota_hold\" is out of range: %M ms, \"1s\" to "
                       "\"1d\" are allowed", *hold);

    return NGX_CONF_ERROR;
}


void *
ngx_http_sp_quota_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_sp_quota_main_conf_t  *qmcf;

    qmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_quota_main_conf_t));
    if (qmcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     qmcf->redis = NULL;
     *     qmcf->zone = NULL;
     *     qmcf->latency = NULL;
     *     qmcf->errors = NULL;
     *     qmcf->unsettled = NULL;
     */

    qmcf->size = NGX_CONF_UNSET_SIZE;
    qmcf->hold = NGX_CONF_UNSET_MSEC;
    qmcf->lease = NGX_HTTP_SP_QUOTA_LEASE;

    if (ngx_array_init(&qmcf->policies, cf->pool, 4,
                       sizeof(ngx_http_sp_quota_policy_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return qmcf;
}


char *
ngx_http_sp_quota_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_sp_quota_main_conf_t  *qmcf = conf;

    ngx_uint_t                     i;
    ngx_http_sp_quota_policy_t   **policy;

    ngx_conf_init_size_value(qmcf->size, 4 * 1024 * 1024);
    ngx_conf_init_msec_value(qmcf->hold, 600000);

    if (qmcf->policies.nelts == 0) {
        return NGX_CONF_OK;
    }

    policy = qmcf->policies.elts;

    for (i = 0; i < qmcf->policies.nelts; i++) {
        policy[i]->lease = ngx_http_sp_quota_lease_max(policy[i],
                                                       qmcf->lease);
        policy[i]->hold = qmcf->hold;
    }

    if (ngx_http_sp_add_metrics(cf, ngx_http_sp_quota_metrics, qmcf, NULL,
                                NULL)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_sp_quota_table_add(cf, qmcf);
}


void *
ngx_http_sp_quota_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_sp_quota_loc_conf_t  *qlcf;

    qlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_quota_loc_conf_t));
    if (qlcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     qlcf->policy = NULL;
     *     qlcf->choice = NULL;
     *     qlcf->value = NULL;
     *     qlcf->by = NGX_HTTP_SP_QUOTA_BY_DEFAULT;
     *     qlcf->scope, name, file = { 0, NULL };
     *     qlcf->line = 0;
     */

    qlcf->enable = NGX_CONF_UNSET;
    qlcf->failure = NGX_CONF_UNSET_UINT;

    return qlcf;
}


char *
ngx_http_sp_quota_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_sp_quota_loc_conf_t  *prev = parent;
    ngx_http_sp_quota_loc_conf_t  *conf = child;

    ngx_http_core_loc_conf_t       *clcf;
    ngx_http_sp_quota_main_conf_t  *qmcf;

    ngx_conf_merge_uint_value(conf->failure, prev->failure,
                              NGX_HTTP_SP_QUOTA_FAIL_LOCAL);

    if (conf->enable == NGX_CONF_UNSET) {
        conf->enable = (prev->enable == NGX_CONF_UNSET) ? 0 : prev->enable;
        conf->choice = prev->choice;
        conf->value = prev->value;
        conf->by = prev->by;
        conf->scope = prev->scope;
        conf->name = prev->name;
        conf->file = prev->file;
        conf->line = prev->line;
    }

    if (!conf->enable) {
        return NGX_CONF_OK;
    }

    qmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_quota_module);

    if (qmcf->policies.nelts == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"quota\" in %V:%ui: no quota_policy is defined",
                      &conf->file, conf->line);
        return NGX_CONF_ERROR;
    }

    if (conf->by == NGX_HTTP_SP_QUOTA_BY_DEFAULT) {
        conf->by = NGX_HTTP_SP_QUOTA_BY_IDENTITY;
    }

    /* a server hands it down to its locations: they are looked at */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->by == NGX_HTTP_SP_QUOTA_BY_IDENTITY && clcf->name.len > 0
        && !ngx_http_sp_has_identity(cf))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"quota\" in %V:%ui has no key: nothing gives the "
                      "requests of this location an identity, add "
                      "\"by=address\" or \"by=$variable\", or \"auth_jwt\"",
                      &conf->file, conf->line);
        return NGX_CONF_ERROR;
    }

    if (conf->name.len) {
        conf->policy = ngx_http_sp_quota_find(qmcf, &conf->name);

        if (conf->policy == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "there is no quota_policy \"%V\", "
                          "used by \"quota\" in %V:%ui",
                          &conf->name, &conf->file, conf->line);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}
