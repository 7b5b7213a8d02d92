
/*
 * Copyright (C) Sallyport authors
 *
 * What an identity may do: the scopes of its token at this gateway, and the
 * role of its application in PostgreSQL.
 */


#include "ngx_http_sp_core_int.h"


/* NAMEDATALEN - 1 */
#define NGX_HTTP_SP_PG_ROLE_MAX  63


static ngx_int_t ngx_http_sp_scope_step(ngx_http_request_t *r);
static ngx_uint_t ngx_http_sp_scope_has(const ngx_str_t *scope,
    const ngx_str_t *token);
static ngx_int_t ngx_http_sp_scope_refuse(ngx_http_request_t *r,
    const ngx_array_t *scopes);
static ngx_uint_t ngx_http_sp_scope_valid(const ngx_str_t *token);
static ngx_uint_t ngx_http_sp_pg_role_valid(const ngx_str_t *name);


/* before quota: what is refused here is not charged */

static const ngx_http_sp_step_t  ngx_http_sp_scope_admit = {
    NGX_HTTP_SP_ABI,
    ngx_string("scope"),
    NGX_HTTP_SP_ADMIT,
    10,
    ngx_http_sp_scope_step
};


ngx_int_t
ngx_http_sp_scope_init(ngx_conf_t *cf)
{
    return ngx_http_sp_add_step(cf, &ngx_http_sp_scope_admit);
}


/* require_scope off | scope ... */

char *
ngx_http_sp_require_scope_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_sp_core_loc_conf_t *lcf = conf;

    ngx_str_t   *scope, *value;
    ngx_uint_t   i;

    if (lcf->scopes != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        lcf->scopes = NULL;
        return NGX_CONF_OK;
    }

    lcf->scopes = ngx_array_create(cf->pool, cf->args->nelts,
                                   sizeof(ngx_str_t));
    if (lcf->scopes == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (!ngx_http_sp_scope_valid(&value[i])) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid scope \"%V\": allowed are visible "
                               "ASCII characters but for quotes and "
                               "backslashes, or \"off\" alone", &value[i]);
            return NGX_CONF_ERROR;
        }

        scope = ngx_array_push(lcf->scopes);
        if (scope == NULL) {
            return NGX_CONF_ERROR;
        }

        *scope = value[i];
    }

    return NGX_CONF_OK;
}


/* scope-token of RFC 6749; "off" would read as if it switched off */

static ngx_uint_t
ngx_http_sp_scope_valid(const ngx_str_t *token)
{
    size_t  i;
    u_char  c;

    for (i = 0; i < token->len; i++) {
        c = token->data[i];

        if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\') {
            return 0;
        }
    }

    return token->len != 0
           && ngx_strcmp(token->data, "off") != 0;
}


static ngx_int_t
ngx_http_sp_scope_step(ngx_http_request_t *r)
{
    ngx_str_t                     *scope, challenge;
    ngx_uint_t                     i;
    const ngx_http_sp_identity_t  *identity;
    ngx_http_sp_core_loc_conf_t   *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_core_module);

    if (lcf->scopes == NULL || r->method == NGX_HTTP_OPTIONS) {
        return NGX_DECLINED;
    }

    identity = ngx_http_sp_identity(r);

    if (identity == NULL) {
        ngx_str_set(&challenge, "Bearer");

        if (ngx_http_sp_add_header(r, "WWW-Authenticate", &challenge)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        return ngx_http_sp_error(r, NGX_HTTP_UNAUTHORIZED, "unauthorized",
                                 "a valid access token is required");
    }

    scope = lcf->scopes->elts;

    for (i = 0; i < lcf->scopes->nelts; i++) {
        if (!ngx_http_sp_scope_has(&identity->scope, &scope[i])) {
            return ngx_http_sp_scope_refuse(r, lcf->scopes);
        }
    }

    return NGX_OK;
}


/* whole words only */

static ngx_uint_t
ngx_http_sp_scope_has(const ngx_str_t *scope, const ngx_str_t *token)
{
    size_t   len;
    u_char  *last, *p;

    p = scope->data;
    last = p + scope->len;

    while (p < last) {

        for (len = 0; p + len < last && p[len] != ' '; len++) {
            /* void */
        }

        if (len == token->len && ngx_memcmp(p, token->data, len) == 0) {
            return 1;
        }

        p += len + 1;
    }

    return 0;
}


/* RFC 6750, 3.1: with the scope that is necessary */

static ngx_int_t
ngx_http_sp_scope_refuse(ngx_http_request_t *r, const ngx_array_t *scopes)
{
    size_t      len;
    u_char     *p;
    ngx_str_t  *scope, names, value;
    ngx_uint_t  i;

    static ngx_str_t  head =
                   ngx_string("Bearer error=\"insufficient_scope\", scope=\"");

    scope = scopes->elts;
    len = head.len + 1;

    for (i = 0; i < scopes->nelts; i++) {
        len += scope[i].len + 1;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    p = ngx_cpymem(p, head.data, head.len);

    names.data = p;

    for (i = 0; i < scopes->nelts; i++) {
        p = ngx_sprintf(p, "%s%V", (i != 0) ? " " : "", &scope[i]);
    }

    names.len = p - names.data;

    *p++ = '"';

    value.len = p - value.data;

    if (ngx_http_sp_add_header(r, "WWW-Authenticate", &value) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_error(r, NGX_HTTP_FORBIDDEN, "insufficient_scope",
                             "this needs a token with the scope \"%V\"",
                             &names);
}


/* pg_role role pg_role */

char *
ngx_http_sp_pg_role_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_core_main_conf_t *mcf = conf;

    ngx_str_t              *value;
    ngx_uint_t              i;
    ngx_http_sp_pg_role_t  *role;

    value = cf->args->elts;

    if (value[1].len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "an empty role in \"pg_role\"");
        return NGX_CONF_ERROR;
    }

    if (!ngx_http_sp_pg_role_valid(&value[2])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" of a role in PostgreSQL: "
                           "allowed are 1 to %d of a-z, 0-9 and \"_\", not "
                           "a digit first, and not \"none\"", &value[2],
                           NGX_HTTP_SP_PG_ROLE_MAX);
        return NGX_CONF_ERROR;
    }

    role = mcf->pg_roles.elts;

    for (i = 0; i < mcf->pg_roles.nelts; i++) {
        if (role[i].role.len == value[1].len
            && ngx_memcmp(role[i].role.data, value[1].data, value[1].len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate role \"%V\" in \"pg_role\"",
                               &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    role = ngx_array_push(&mcf->pg_roles);
    if (role == NULL) {
        return NGX_CONF_ERROR;
    }

    role->role = value[1];
    role->pg_role = value[2];

    return NGX_CONF_OK;
}


/* "none" would be the role that the gateway itself signs in as */

static ngx_uint_t
ngx_http_sp_pg_role_valid(const ngx_str_t *name)
{
    size_t  i;
    u_char  c;

    for (i = 0; i < name->len; i++) {
        c = name->data[i];

        if ((c < 'a' || c > 'z') && c != '_'
            && (i == 0 || c < '0' || c > '9'))
        {
            return 0;
        }
    }

    return name->len != 0
           && name->len <= NGX_HTTP_SP_PG_ROLE_MAX
           && ngx_strcmp(name->data, "none") != 0;
}


/*
 * The role that a token names is only looked up: what reaches PostgreSQL is
 * from the configuration.
 */

void
ngx_http_sp_pg_identity(ngx_http_request_t *r, ngx_sp_pg_op_t *op)
{
    ngx_uint_t                     i;
    ngx_http_sp_pg_role_t         *role;
    const ngx_http_sp_identity_t  *identity;
    ngx_http_sp_core_main_conf_t  *mcf;

    identity = ngx_http_sp_identity(r);

    if (identity == NULL) {
        ngx_str_set(&op->role, "sallyport_anon");
        ngx_str_set(&op->claims, "");
        return;
    }

    ngx_str_set(&op->role, "sallyport_user");
    op->claims = identity->claims;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_sp_core_module);

    role = mcf->pg_roles.elts;

    for (i = 0; i < mcf->pg_roles.nelts; i++) {
        if (role[i].role.len == identity->role.len
            && ngx_memcmp(role[i].role.data, identity->role.data,
                          identity->role.len)
               == 0)
        {
            op->role = role[i].pg_role;
            return;
        }
    }
}
