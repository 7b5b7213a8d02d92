
/*
 * Copyright (C) Sallyport authors
 *
 * Keys of lanes, read by the master while it reads the configuration.
 */


#include "ngx_http_sp_mint.h"
#include "sp_keystore.h"

#include <openssl/crypto.h>


#define NGX_HTTP_SP_MINT_FILE_MAX  65536


static ngx_int_t ngx_http_sp_mint_read_secret(ngx_conf_t *cf,
    ngx_str_t *path, ngx_str_t *text);
static void ngx_http_sp_mint_wipe(ngx_str_t *text);


ngx_int_t
ngx_http_sp_mint_key_file(ngx_conf_t *cf, ngx_str_t *path, uint8_t *key)
{
    int        rc;
    size_t     len;
    u_char    *p;
    ngx_str_t  text;

    if (ngx_http_sp_mint_read_secret(cf, path, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    p = text.data;
    len = text.len;

    if (len >= 2 && p[0] == '0' && p[1] == 'x') {
        p += 2;
        len -= 2;
    }

    rc = sp_hex_decode(key, 32, &len, (char *) p, len);
    ngx_http_sp_mint_wipe(&text);

    if (rc != SP_OK || len != 32) {
        OPENSSL_cleanse(key, 32);
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" must hold a private key as 64 "
                           "hexadecimal digits", path);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_mint_keystore(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *password_path, uint8_t *key)
{
    int          rc;
    ngx_str_t    password, text;
    const char  *reason;

    if (ngx_http_sp_mint_read_secret(cf, path, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_sp_mint_read_secret(cf, password_path, &password) != NGX_OK)
    {
        ngx_http_sp_mint_wipe(&text);
        return NGX_ERROR;
    }

    rc = sp_keystore_open(key, (char *) text.data, text.len,
                          (char *) password.data, password.len, &reason);

    ngx_http_sp_mint_wipe(&text);
    ngx_http_sp_mint_wipe(&password);

    if (rc != SP_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "keystore \"%V\": %s", path,
                           reason);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* a file for its owner only; a line end after its content does not count */

static ngx_int_t
ngx_http_sp_mint_read_secret(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *text)
{
    ssize_t          n;
    ngx_fd_t         fd;
    ngx_int_t        rc;
    ngx_uint_t       mode;
    ngx_file_info_t  fi;

    rc = NGX_ERROR;
    ngx_str_null(text);

    if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    fd = ngx_open_file(path->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", path);
        return NGX_ERROR;
    }

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", path);
        goto done;
    }

    mode = ngx_file_access(&fi);

    if (!ngx_is_file(&fi) || (mode & 077) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" holds a secret and must be a file for its "
                           "owner only (mode is 0%ui%ui%ui, 0600 is allowed)",
                           path, mode >> 6, (mode >> 3) & 7, mode & 7);
        goto done;
    }

    if (ngx_file_size(&fi) > NGX_HTTP_SP_MINT_FILE_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is larger than %d bytes", path,
                           NGX_HTTP_SP_MINT_FILE_MAX);
        goto done;
    }

    text->data = ngx_pnalloc(cf->temp_pool, NGX_HTTP_SP_MINT_FILE_MAX);
    if (text->data == NULL) {
        goto done;
    }

    n = ngx_read_fd(fd, text->data, NGX_HTTP_SP_MINT_FILE_MAX);

    if (n < 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_read_fd_n " \"%V\" failed", path);
        goto done;
    }

    text->len = (size_t) n;

    if (text->len != 0 && text->data[text->len - 1] == LF) {
        text->len--;
    }

    rc = NGX_OK;

done:

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", path);
    }

    return rc;
}


static void
ngx_http_sp_mint_wipe(ngx_str_t *text)
{
    OPENSSL_cleanse(text->data, NGX_HTTP_SP_MINT_FILE_MAX);
    ngx_str_null(text);
}
