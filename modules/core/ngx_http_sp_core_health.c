
/*
 * Copyright (C) Sallyport authors
 *
 * "health live": this worker serves.  "health ready": and so does everything
 * it depends on; each failing probe is named.
 */


#include "ngx_http_sp_core_int.h"


static ngx_int_t ngx_http_sp_health_ready(ngx_http_request_t *r);
static ngx_uint_t ngx_http_sp_health_ignored(
    const ngx_http_sp_core_loc_conf_t *lcf, const ngx_str_t *name);
static ngx_int_t ngx_http_sp_health_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *body);


ngx_int_t
ngx_http_sp_add_ready(ngx_conf_t *cf, const char *name,
    ngx_http_sp_ready_pt handler, void *data)
{
    ngx_http_sp_probe_t           *probe;
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    probe = ngx_array_push(&mcf->probes);
    if (probe == NULL) {
        return NGX_ERROR;
    }

    probe->name.data = (u_char *) name;
    probe->name.len = ngx_strlen(name);
    probe->handler = handler;
    probe->data = data;

    return NGX_OK;
}


/* health live | ready [ignore=name]... */

char *
ngx_http_sp_health_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_core_loc_conf_t *lcf = conf;

    ngx_str_t   *value, *name, arg;
    ngx_uint_t   i;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "ready") == 0) {
        lcf->health_ready = 1;

    } else if (ngx_strcmp(value[1].data, "live") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"health\", "
                           "it must be \"live\" or \"ready\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts > 2) {
        lcf->health_ignore = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
        if (lcf->health_ignore == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (!lcf->health_ready
            || !ngx_sp_conf_arg(&value[i], "ignore=", &arg)
            || arg.len == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"health\", "
                               "\"ready\" takes \"ignore=name\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        name = ngx_array_push(lcf->health_ignore);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = arg;
    }

    return ngx_http_sp_set_content(cf, ngx_http_sp_health_handler,
                                   NGX_HTTP_GET|NGX_HTTP_HEAD);
}


ngx_int_t
ngx_http_sp_health_handler(ngx_http_request_t *r)
{
    ngx_str_t                     body;
    ngx_http_sp_core_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_core_module);

    if (lcf->health_ready) {
        return ngx_http_sp_health_ready(r);
    }

    ngx_str_set(&body, "{\"status\":\"live\"}\n");

    return ngx_http_sp_health_send(r, NGX_HTTP_OK, &body);
}


static ngx_int_t
ngx_http_sp_health_ready(ngx_http_request_t *r)
{
    u_char                        *p;
    size_t                         size;
    ngx_str_t                      body;
    ngx_uint_t                     i, ready;
    const char                   **reason;
    ngx_http_sp_probe_t           *probe;
    ngx_http_sp_core_loc_conf_t   *lcf;
    ngx_http_sp_core_main_conf_t  *mcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_core_module);
    mcf = ngx_http_get_module_main_conf(r, ngx_http_sp_core_module);

    probe = mcf->probes.elts;
    size = sizeof("{\"status\":\"unready\",\"checks\":[]}\n");
    ready = 1;

    reason = ngx_palloc(r->pool, mcf->probes.nelts * sizeof(char *) + 1);
    if (reason == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < mcf->probes.nelts; i++) {
        reason[i] = probe[i].handler(probe[i].data);

        if (reason[i] != NULL
            && !ngx_http_sp_health_ignored(lcf, &probe[i].name))
        {
            ready = 0;
        }

        size += sizeof("{\"name\":\"\",\"ok\":false,\"reason\":\"null\"},")
                + probe[i].name.len
                + ((reason[i] != NULL) ? ngx_strlen(reason[i]) : 0);
    }

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body.data = p;

    p = ngx_sprintf(p, "{\"status\":\"%s\",\"checks\":[",
                    ready ? "ready" : "unready");

    for (i = 0; i < mcf->probes.nelts; i++) {
        p = ngx_sprintf(p, "%s{\"name\":\"%V\",\"ok\":%s,\"reason\":",
                        (i == 0) ? "" : ",", &probe[i].name,
                        (reason[i] == NULL) ? "true" : "false");

        if (reason[i] == NULL) {
            p = ngx_sprintf(p, "null}");

        } else {
            p = ngx_sprintf(p, "\"%s\"}", reason[i]);
        }
    }

    p = ngx_sprintf(p, "]}\n");

    body.len = p - body.data;

    return ngx_http_sp_health_send(r, ready ? NGX_HTTP_OK
                                   : NGX_HTTP_SERVICE_UNAVAILABLE, &body);
}


/* "redis main", or "redis" for all of its kind */

static ngx_uint_t
ngx_http_sp_health_ignored(const ngx_http_sp_core_loc_conf_t *lcf,
    const ngx_str_t *name)
{
    ngx_str_t   *ignore;
    ngx_uint_t   i;

    if (lcf->health_ignore == NULL) {
        return 0;
    }

    ignore = lcf->health_ignore->elts;

    for (i = 0; i < lcf->health_ignore->nelts; i++) {

        if (name->len >= ignore[i].len
            && ngx_strncmp(name->data, ignore[i].data, ignore[i].len) == 0
            && (name->len == ignore[i].len
                || name->data[ignore[i].len] == ' '))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_sp_health_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *body)
{
    ngx_str_t  value;

    ngx_str_set(&value, "no-store");

    if (ngx_http_sp_add_header(r, "Cache-Control", &value) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_send_json(r, status, body);
}
