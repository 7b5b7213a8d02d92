
/*
 * Copyright (C) Sallyport authors
 *
 * Which content handler a location has, and the methods that it takes.
 */


#include "ngx_http_sp_core_int.h"


#define NGX_HTTP_SP_METHODS_LEN                                               \
    (sizeof("GET, HEAD, POST, PUT, PATCH, DELETE") - 1)


static const char *ngx_http_sp_content_theirs(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf);
static ngx_int_t ngx_http_sp_method_step(ngx_http_request_t *r);
static ngx_int_t ngx_http_sp_method_names(ngx_http_request_t *r,
    ngx_uint_t methods, ngx_str_t *names);


/* behind what answers a preflight, before anybody is asked or waited for */

static const ngx_http_sp_step_t  ngx_http_sp_content_method = {
    NGX_HTTP_SP_ABI,
    ngx_string("method"),
    NGX_HTTP_SP_CORS,
    1000,
    ngx_http_sp_method_step
};


ngx_int_t
ngx_http_sp_content_init(ngx_conf_t *cf)
{
    return ngx_http_sp_add_step(cf, &ngx_http_sp_content_method);
}


char *
ngx_http_sp_set_content(ngx_conf_t *cf, ngx_http_sp_run_pt run,
    ngx_uint_t methods)
{
    ngx_str_t                    *value;
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_sp_core_loc_conf_t  *lcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    lcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_sp_core_module);

    value = cf->args->elts;

    if (lcf->content != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" conflicts with \"%V\" in %V:%ui: a "
                           "location has one content handler", &value[0],
                           &lcf->content_name, &lcf->content_file,
                           lcf->content_line);
        return NGX_CONF_ERROR;
    }

    if (clcf->handler != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" conflicts with %s above it: a location "
                           "has one content handler", &value[0],
                           ngx_http_sp_content_theirs(cf, clcf));
        return NGX_CONF_ERROR;
    }

    clcf->handler = ngx_http_sp_content_handler;

    lcf->content = run;
    lcf->methods = methods;
    lcf->content_name = value[0];
    lcf->content_file = cf->conf_file->file.name;
    lcf->content_line = cf->conf_file->line;

    return NGX_CONF_OK;
}


/* a directive below ours has replaced the handler: NGINX does not mind */

char *
ngx_http_sp_content_merge(ngx_conf_t *cf, ngx_http_sp_core_loc_conf_t *prev,
    ngx_http_sp_core_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->content != NULL) {

        if (clcf->handler == ngx_http_sp_content_handler) {
            return NGX_CONF_OK;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" in %V:%ui conflicts with %s below it: a "
                      "location has one content handler",
                      &conf->content_name, &conf->content_file,
                      conf->content_line,
                      ngx_http_sp_content_theirs(cf, clcf));
        return NGX_CONF_ERROR;
    }

    if (clcf->handler == NULL && (clcf->noname || clcf->lmt_excpt)) {

        /* "if" and "limit_except" keep the handler of their location */

        conf->content = prev->content;
        conf->methods = prev->methods;

        if (clcf->lmt_excpt && conf->content != NULL) {
            clcf->handler = ngx_http_sp_content_handler;
        }
    }

    return NGX_CONF_OK;
}


/*
 * Nothing says whose a handler is.  The configurations of NGINX's proxies
 * begin with that of their upstream, which tells whether one is passed to.
 */

static const char *
ngx_http_sp_content_theirs(ngx_conf_t *cf, ngx_http_core_loc_conf_t *clcf)
{
    ngx_uint_t                 i, k;
    ngx_module_t             **module;
    ngx_http_upstream_conf_t  *conf;

    static const struct {
        const char  *module;
        const char  *directive;
    } known[] = {
        { "ngx_http_proxy_module", "\"proxy_pass\"" },
        { "ngx_http_fastcgi_module", "\"fastcgi_pass\"" },
        { "ngx_http_uwsgi_module", "\"uwsgi_pass\"" },
        { "ngx_http_scgi_module", "\"scgi_pass\"" },
        { "ngx_http_grpc_module", "\"grpc_pass\"" },
        { "ngx_http_memcached_module", "\"memcached_pass\"" },
        { NULL, NULL }
    };

    module = cf->cycle->modules;

    for (i = 0; module[i] != NULL; i++) {
        for (k = 0; known[k].module != NULL; k++) {

            if (ngx_strcmp(module[i]->name, known[k].module) != 0) {
                continue;
            }

            conf = clcf->loc_conf[module[i]->ctx_index];

            if (conf->upstream != NULL) {
                return known[k].directive;
            }
        }
    }

    return "another that answers the location";
}


static ngx_int_t
ngx_http_sp_method_step(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_http_sp_core_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_core_module);

    if (lcf->methods == 0
        || r->content_handler != ngx_http_sp_content_handler)
    {
        return NGX_DECLINED;
    }

    rc = ngx_http_sp_allow(r, lcf->methods);

    return (rc == NGX_OK) ? NGX_DECLINED : rc;
}


ngx_int_t
ngx_http_sp_allow(ngx_http_request_t *r, ngx_uint_t methods)
{
    ngx_str_t  names;

    /* NGINX makes GET of the method of most subrequests */

    if (methods & (r->method | r->main->method)) {
        return NGX_OK;
    }

    if (ngx_http_sp_method_names(r, methods, &names) != NGX_OK
        || ngx_http_sp_add_header(r, "Allow", &names) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r->method == NGX_HTTP_OPTIONS) {
        return NGX_HTTP_NO_CONTENT;
    }

    return ngx_http_sp_error(r, NGX_HTTP_NOT_ALLOWED, "method_not_allowed",
                             "this endpoint takes %V", &names);
}


static ngx_int_t
ngx_http_sp_method_names(ngx_http_request_t *r, ngx_uint_t methods,
    ngx_str_t *names)
{
    u_char      *p;
    ngx_uint_t   i;

    static const struct {
        ngx_uint_t   method;
        const char  *name;
    } known[] = {
        { NGX_HTTP_GET, "GET" },
        { NGX_HTTP_HEAD, "HEAD" },
        { NGX_HTTP_POST, "POST" },
        { NGX_HTTP_PUT, "PUT" },
        { NGX_HTTP_PATCH, "PATCH" },
        { NGX_HTTP_DELETE, "DELETE" },
        { 0, NULL }
    };

    p = ngx_pnalloc(r->pool, NGX_HTTP_SP_METHODS_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    names->data = p;

    for (i = 0; known[i].name != NULL; i++) {
        if (methods & known[i].method) {
            p = ngx_sprintf(p, "%s%s", (p != names->data) ? ", " : "",
                            known[i].name);
        }
    }

    names->len = p - names->data;

    return NGX_OK;
}
