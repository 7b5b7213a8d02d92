
/*
 * Copyright (C) Sallyport authors
 *
 * Helpers for arguments and blocks of directives.  Each logs what was found
 * and what is allowed, with file and line.
 */

#ifndef _NGX_SP_CONF_H_INCLUDED_
#define _NGX_SP_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * If "arg" begins with "key" ("timeout="), *value is what follows and the
 * result is 1.  The rest stays NUL-terminated, as all of the configuration.
 */
ngx_uint_t ngx_sp_conf_arg(const ngx_str_t *arg, const char *key,
    ngx_str_t *value);

/*
 * The first argument of a directive as a name, which becomes a label of
 * metrics and part of answers: 1 to 64 of a-z, 0-9, "-" and "_".
 */
ngx_int_t ngx_sp_conf_name(ngx_conf_t *cf);

/* a time between 1 ms and an hour */
ngx_int_t ngx_sp_conf_msec(ngx_conf_t *cf, const char *directive,
    const char *key, const ngx_str_t *value, ngx_msec_t *out);

ngx_int_t ngx_sp_conf_number(ngx_conf_t *cf, const char *directive,
    const char *key, const ngx_str_t *value, ngx_uint_t min, ngx_uint_t max,
    ngx_uint_t *out);

/*
 * Slots of a directive table for a number (ngx_uint_t), a time (ngx_msec_t)
 * and a size (size_t), unset before; cmd->post is the bounds.
 */
typedef struct {
    ngx_int_t    min;
    ngx_int_t    max;
    const char  *expected;             /* "a time from 10ms to 1h" */
} ngx_sp_conf_bounds_t;

char *ngx_sp_conf_number_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_sp_conf_msec_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_sp_conf_size_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * In the setter of a directive with a block: parses it.  A line is found in
 * "settings" by its name, its arguments are counted (NGX_CONF_TAKE1 to 7,
 * NGX_CONF_1MORE, NGX_CONF_FLAG), and its setter is called with "conf";
 * NGX_CONF_OK or NGX_CONF_ERROR.  The table ends with ngx_null_command.
 */
typedef ngx_command_t  ngx_sp_conf_setting_t;

char *ngx_sp_conf_block(ngx_conf_t *cf, ngx_sp_conf_setting_t *settings,
    void *conf);


#endif /* _NGX_SP_CONF_H_INCLUDED_ */
