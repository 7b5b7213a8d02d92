
/*
 * Copyright (C) Sallyport authors
 *
 * Files that hold a password or a key.  The master reads them while it reads
 * the configuration; each must be a regular file for its owner only.  What is
 * wrong is logged with file and line of the directive.
 */

#ifndef _NGX_SP_SECRET_H_INCLUDED_
#define _NGX_SP_SECRET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * In: path, relative to the configuration; made absolute.
 * Out: the content without a line end after it, less than "size" bytes; on
 *      failure the buffer is wiped.  The caller wipes it when it is done.
 */
ngx_int_t ngx_sp_secret_read(ngx_conf_t *cf, ngx_str_t *path, u_char *buf,
    size_t size, size_t *len);

/* a password: the first line of the file; NUL-terminated */
ngx_int_t ngx_sp_secret_password(ngx_conf_t *cf, const ngx_str_t *path,
    ngx_str_t *password);

/* a key for a header: one line of printable ASCII, and no placeholder */
ngx_int_t ngx_sp_secret_api_key(ngx_conf_t *cf, const ngx_str_t *path,
    ngx_str_t *key);


#endif /* _NGX_SP_SECRET_H_INCLUDED_ */
