
/*
 * Copyright (C) Sallyport authors
 *
 * The dialects that are known, and which one the clients of a location speak.
 */


#include "ngx_http_sp_core_int.h"


static const sp_dialect_t *ngx_http_sp_dialect_find(
    ngx_http_sp_core_main_conf_t *mcf, const ngx_str_t *name);
static void ngx_http_sp_dialect_unknown(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf, const char *what,
    const ngx_str_t *name, ngx_uint_t format);


ngx_int_t
ngx_http_sp_dialects_create(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf)
{
    ngx_uint_t            i;
    const sp_dialect_t  **dialect;

    static const sp_dialect_t  *const known[] = {
        &sp_openai, &sp_azure, &sp_responses, &sp_anthropic, &sp_gemini
    };

    if (ngx_array_init(&mcf->dialects, cf->pool, 4, sizeof(void *)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        dialect = ngx_array_push(&mcf->dialects);
        if (dialect == NULL) {
            return NGX_ERROR;
        }

        *dialect = known[i];
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_add_dialect(ngx_conf_t *cf, const sp_dialect_t *dialect)
{
    ngx_str_t                      name;
    const sp_dialect_t           **elt;
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    name.data = (u_char *) dialect->name;
    name.len = ngx_strlen(dialect->name);

    if (ngx_http_sp_check_abi(cf, "dialect", &name, dialect->abi) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_sp_dialect_find(mcf, &name) != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "duplicate dialect \"%V\"",
                           &name);
        return NGX_ERROR;
    }

    elt = ngx_array_push(&mcf->dialects);
    if (elt == NULL) {
        return NGX_ERROR;
    }

    *elt = dialect;

    return NGX_OK;
}


const sp_dialect_t *
ngx_http_sp_dialect(ngx_conf_t *cf, const ngx_str_t *name)
{
    const sp_dialect_t            *dialect;
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    dialect = ngx_http_sp_dialect_find(mcf, name);

    if (dialect == NULL) {
        ngx_http_sp_dialect_unknown(cf, mcf, "dialect", name, 0);
    }

    return dialect;
}


static void
ngx_http_sp_dialect_unknown(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf,
    const char *what, const ngx_str_t *name, ngx_uint_t format)
{
    u_char                *p, text[NGX_MAX_CONF_ERRSTR];
    ngx_uint_t             i;
    const sp_dialect_t   **dialect;

    dialect = mcf->dialects.elts;
    p = text;

    for (i = 0; i < mcf->dialects.nelts; i++) {

        /* errors are written for clients */

        if (format && dialect[i]->write_error == NULL) {
            continue;
        }

        p = ngx_slprintf(p, text + sizeof(text), ", %s", dialect[i]->name);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown %s \"%V\", allowed: %s%*s", what, name,
                       format ? "json, html, " : "",
                       (size_t) (p - text - 2), text + 2);
}


static const sp_dialect_t *
ngx_http_sp_dialect_find(ngx_http_sp_core_main_conf_t *mcf,
    const ngx_str_t *name)
{
    ngx_uint_t            i;
    const sp_dialect_t  **dialect;

    dialect = mcf->dialects.elts;

    for (i = 0; i < mcf->dialects.nelts; i++) {
        if (ngx_strlen(dialect[i]->name) == name->len
            && ngx_strncmp(dialect[i]->name, name->data, name->len) == 0)
        {
            return dialect[i];
        }
    }

    return NULL;
}


void
ngx_http_sp_conf_dialect(ngx_conf_t *cf, const sp_dialect_t *dialect)
{
    ngx_http_sp_core_loc_conf_t  *lcf;

    lcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_sp_core_module);
    lcf->dialect = dialect;
}


void
ngx_http_sp_conf_shape(ngx_conf_t *cf, ngx_http_sp_shape_pt shape)
{
    ngx_http_sp_core_loc_conf_t  *lcf;

    lcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_sp_core_module);
    lcf->shape = shape;
}


ngx_flag_t
ngx_http_sp_has_model(ngx_conf_t *cf)
{
    ngx_http_sp_core_loc_conf_t  *lcf;

    lcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_sp_core_module);

    return lcf->dialect != NULL;
}


/*
 * Who does not say so speaks OpenAI's.  What was read once stays, wherever an
 * error_page leads.
 */

const sp_dialect_t *
ngx_http_sp_client_dialect(ngx_http_request_t *r)
{
    ngx_http_sp_core_ctx_t       *ctx;
    ngx_http_sp_core_loc_conf_t  *lcf;

    ctx = ngx_http_sp_core_find_ctx(r);

    if (ctx != NULL && ctx->body.dialect != NULL) {
        return ctx->body.dialect;
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_core_module);

    return (lcf->dialect != NULL) ? lcf->dialect : &sp_openai;
}


/* error_format json | html | DIALECT */

char *
ngx_http_sp_dialect_error_format(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_sp_core_loc_conf_t *lcf = conf;

    ngx_str_t                     *value;
    const sp_dialect_t            *dialect;
    ngx_http_sp_core_main_conf_t  *mcf;

    if (lcf->error_format != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "json") == 0) {
        lcf->error_format = NGX_HTTP_SP_ERROR_JSON;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "html") == 0) {
        lcf->error_format = NGX_HTTP_SP_ERROR_HTML;
        return NGX_CONF_OK;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    dialect = ngx_http_sp_dialect_find(mcf, &value[1]);

    if (dialect == NULL) {
        ngx_http_sp_dialect_unknown(cf, mcf, "format", &value[1], 1);
        return NGX_CONF_ERROR;
    }

    if (dialect->write_error == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "clients do not speak dialect \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    lcf->error_format = NGX_HTTP_SP_ERROR_DIALECT;
    lcf->error_dialect = dialect;

    return NGX_CONF_OK;
}
