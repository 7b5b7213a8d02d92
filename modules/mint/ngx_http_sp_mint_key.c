
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


static ngx_int_t
ngx_http_sp_mint_read_secret(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *text)
{
    text->data = ngx_pnalloc(cf->temp_pool, NGX_HTTP_SP_MINT_FILE_MAX);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    return ngx_sp_secret_read(cf, path, text->data, NGX_HTTP_SP_MINT_FILE_MAX,
                              &text->len);
}


static void
ngx_http_sp_mint_wipe(ngx_str_t *text)
{
    OPENSSL_cleanse(text->data, NGX_HTTP_SP_MINT_FILE_MAX);
    ngx_str_null(text);
}
