
/*
 * Copyright (C) Sallyport authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_sp_conf.h"


#define NGX_SP_CONF_MSEC_MAX  (3600 * 1000)
#define NGX_SP_CONF_NAME_MAX  64


typedef struct {
    ngx_str_t               directive;
    ngx_sp_conf_setting_t  *settings;
    void                   *conf;
} ngx_sp_conf_block_t;


static char *ngx_sp_conf_bounded(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf, ngx_int_t n);
static char *ngx_sp_conf_line(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf);
static char *ngx_sp_conf_unknown(ngx_conf_t *cf,
    const ngx_sp_conf_block_t *block);


ngx_uint_t
ngx_sp_conf_arg(const ngx_str_t *arg, const char *key, ngx_str_t *value)
{
    size_t  len;

    len = ngx_strlen(key);

    if (arg->len < len || ngx_strncmp(arg->data, key, len) != 0) {
        return 0;
    }

    value->data = arg->data + len;
    value->len = arg->len - len;

    return 1;
}


ngx_int_t
ngx_sp_conf_name(ngx_conf_t *cf)
{
    u_char       c;
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;

    for (i = 0; i < value[1].len; i++) {
        c = value[1].data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'
              || c == '_'))
        {
            break;
        }
    }

    if (i != value[1].len || i == 0 || i > NGX_SP_CONF_NAME_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V \"%V\" needs a name of 1 to %d characters of "
                           "a-z, 0-9, \"-\" and \"_\"", &value[0],
                           &value[1], NGX_SP_CONF_NAME_MAX);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_sp_conf_msec(ngx_conf_t *cf, const char *directive, const char *key,
    const ngx_str_t *value, ngx_msec_t *out)
{
    ngx_int_t  n;
    ngx_str_t  text;

    text = *value;
    n = ngx_parse_time(&text, 0);

    if (n == NGX_ERROR || n < 1 || n > NGX_SP_CONF_MSEC_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%s%V\" in \"%s\", "
                           "a time from \"1ms\" to \"1h\" is expected",
                           key, value, directive);
        return NGX_ERROR;
    }

    *out = (ngx_msec_t) n;

    return NGX_OK;
}


ngx_int_t
ngx_sp_conf_number(ngx_conf_t *cf, const char *directive, const char *key,
    const ngx_str_t *value, ngx_uint_t min, ngx_uint_t max, ngx_uint_t *out)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    if (n == NGX_ERROR || (ngx_uint_t) n < min || (ngx_uint_t) n > max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%s%V\" in \"%s\", "
                           "a number from %ui to %ui is expected",
                           key, value, directive, min, max);
        return NGX_ERROR;
    }

    *out = (ngx_uint_t) n;

    return NGX_OK;
}


char *
ngx_sp_conf_number_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    return ngx_sp_conf_bounded(cf, cmd, conf,
                               ngx_atoi(value[1].data, value[1].len));
}


char *
ngx_sp_conf_msec_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    return ngx_sp_conf_bounded(cf, cmd, conf, ngx_parse_time(&value[1], 0));
}


char *
ngx_sp_conf_size_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    return ngx_sp_conf_bounded(cf, cmd, conf, ngx_parse_size(&value[1]));
}


/* the three types are as wide as ngx_int_t, and unset is -1 in each */

static char *
ngx_sp_conf_bounded(ngx_conf_t *cf, ngx_command_t *cmd, void *conf,
    ngx_int_t n)
{
    ngx_int_t                   *field;
    ngx_str_t                   *value;
    const ngx_sp_conf_bounds_t  *bounds;

    field = (ngx_int_t *) ((u_char *) conf + cmd->offset);
    bounds = cmd->post;

    if (*field != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    if (n == NGX_ERROR || n < bounds->min || n > bounds->max) {
        value = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" is \"%V\", expected "
                           "%s", &value[0], &value[1], bounds->expected);
        return NGX_CONF_ERROR;
    }

    *field = n;

    return NGX_CONF_OK;
}


char *
ngx_sp_conf_block(ngx_conf_t *cf, ngx_sp_conf_setting_t *settings,
    void *conf)
{
    char                 *rv;
    ngx_str_t            *value;
    ngx_conf_t            save;
    ngx_sp_conf_block_t   block;

    value = cf->args->elts;

    block.directive = value[0];
    block.settings = settings;
    block.conf = conf;

    save = *cf;
    cf->handler = ngx_sp_conf_line;
    cf->handler_conf = (void *) &block;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    return rv;
}


static char *
ngx_sp_conf_line(ngx_conf_t *cf, ngx_command_t *dummy, void *conf)
{
    ngx_sp_conf_block_t *block = conf;

    char                   *rv;
    ngx_str_t              *value;
    ngx_uint_t              n;
    ngx_sp_conf_setting_t  *cmd;

    value = cf->args->elts;
    n = cf->args->nelts - 1;

    for (cmd = block->settings; cmd->name.len != 0; cmd++) {

        if (cmd->name.len != value[0].len
            || ngx_strncmp(cmd->name.data, value[0].data, value[0].len) != 0)
        {
            continue;
        }

        if ((n < NGX_CONF_MAX_ARGS && (cmd->type & (NGX_CONF_NOARGS << n)))
            || (n >= 1 && (cmd->type & NGX_CONF_1MORE))
            || (n == 1 && (cmd->type & NGX_CONF_FLAG)))
        {
            rv = cmd->set(cf, cmd, block->conf);

        } else {
            rv = "has a wrong number of arguments";
        }

        if (rv == NGX_CONF_OK || rv == NGX_CONF_ERROR) {
            return rv;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" of %V %s",
                           &value[0], &block->directive, rv);
        return NGX_CONF_ERROR;
    }

    return ngx_sp_conf_unknown(cf, block);
}


static char *
ngx_sp_conf_unknown(ngx_conf_t *cf, const ngx_sp_conf_block_t *block)
{
    u_char                 *p;
    size_t                  len;
    ngx_str_t              *value, known;
    ngx_sp_conf_setting_t  *cmd;

    len = 0;

    for (cmd = block->settings; cmd->name.len != 0; cmd++) {
        len += cmd->name.len + sizeof(" or ") - 1;
    }

    known.data = ngx_pnalloc(cf->temp_pool, len);
    if (known.data == NULL) {
        return NGX_CONF_ERROR;
    }

    p = known.data;

    for (cmd = block->settings; cmd->name.len != 0; cmd++) {

        if (cmd != block->settings) {
            p = ngx_sprintf(p, cmd[1].name.len != 0 ? ", " : " or ");
        }

        p = ngx_cpymem(p, cmd->name.data, cmd->name.len);
    }

    known.len = p - known.data;
    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown parameter \"%V\" in %V, expected %V",
                       &value[0], &block->directive, &known);

    return NGX_CONF_ERROR;
}
