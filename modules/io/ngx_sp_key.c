
/*
 * Copyright (C) Sallyport authors
 */

#include "ngx_sp_key.h"


static ngx_int_t ngx_sp_key_read(ngx_conf_t *cf,
    ngx_sp_key_file_t *key, ngx_uint_t *mode);
static ngx_int_t ngx_sp_key_parse(ngx_conf_t *cf,
    ngx_sp_key_file_t *key, const u_char *text, size_t len);
static ngx_int_t ngx_sp_key_mode(ngx_conf_t *cf,
    ngx_sp_key_file_t *key, ngx_uint_t mode);
static void ngx_sp_key_cleanup(void *data);


ngx_sp_key_file_t *
ngx_sp_key_file(ngx_conf_t *cf, const ngx_str_t *name)
{
    ngx_uint_t           mode;
    ngx_pool_cleanup_t  *cln;
    ngx_sp_key_file_t   *key;

    key = ngx_pcalloc(cf->pool, sizeof(ngx_sp_key_file_t));
    if (key == NULL) {
        return NULL;
    }

    key->path = *name;

    if (ngx_conf_full_name(cf->cycle, &key->path, 1) != NGX_OK) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_sp_key_cleanup;
    cln->data = key;

    if (ngx_sp_key_read(cf, key, &mode) != NGX_OK
        || ngx_sp_key_mode(cf, key, mode) != NGX_OK)
    {
        return NULL;
    }

    return key;
}


static ngx_int_t
ngx_sp_key_read(ngx_conf_t *cf, ngx_sp_key_file_t *key,
    ngx_uint_t *mode)
{
    u_char           *text;
    size_t            size;
    ssize_t           n;
    ngx_int_t         rc;
    ngx_file_t        file;
    ngx_file_info_t   fi;

    rc = NGX_ERROR;
    text = NULL;
    size = 0;

    ngx_memzero(&file, sizeof(ngx_file_t));
    file.name = key->path;
    file.log = cf->log;

    file.fd = ngx_open_file(key->path.data, NGX_FILE_RDONLY, NGX_FILE_OPEN,
                            0);
    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", &key->path);
        return NGX_ERROR;
    }

    if (ngx_fd_info(file.fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", &key->path);
        goto done;
    }

    *mode = fi.st_mode & 0777;

    if (ngx_file_size(&fi) > SP_JWK_MAX_TEXT) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "key file \"%V\" has %O bytes, at most %d are "
                           "allowed", &key->path, (off_t) ngx_file_size(&fi),
                           SP_JWK_MAX_TEXT);
        goto done;
    }

    size = (size_t) ngx_file_size(&fi);

    text = ngx_alloc(size + 1, cf->log);
    if (text == NULL) {
        goto done;
    }

    n = ngx_read_file(&file, text, size, 0);

    if (n == NGX_ERROR || (size_t) n != size) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_read_file_n " \"%V\" failed", &key->path);
        goto done;
    }

    rc = ngx_sp_key_parse(cf, key, text, size);

done:

    if (text != NULL) {
        ngx_explicit_memzero(text, size);
        ngx_free(text);
    }

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", &key->path);
    }

    return rc;
}


static ngx_int_t
ngx_sp_key_parse(ngx_conf_t *cf, ngx_sp_key_file_t *key,
    const u_char *text, size_t len)
{
    sp_jwk_error_t       error;

    static const u_char  zero[SP_SIPHASH_KEY_LEN];

    key->set = sp_jwks_parse((const char *) text, len, &error);

    if (key->set == NULL) {

        if (error.message == NULL) {
            error.message = "out of memory";
        }

        if (error.at_key) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "key file \"%V\", key %uz: %s; allowed is a "
                               "JWK Set or a JWK (RFC 7517)",
                               &key->path, error.index, error.message);

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "key file \"%V\": %s; allowed is a JWK Set or "
                               "a JWK (RFC 7517)",
                               &key->path, error.message);
        }

        return NGX_ERROR;
    }

    if (key->set->skipped != 0) {
        ngx_conf_log_error(NGX_LOG_NOTICE, cf, 0,
                           "key file \"%V\": %uz keys are not for signatures "
                           "that are supported here and are not used",
                           &key->path, key->set->skipped);
    }

    sp_siphash(key->digest, zero, text, len);

    return NGX_OK;
}


static ngx_int_t
ngx_sp_key_mode(ngx_conf_t *cf, ngx_sp_key_file_t *key,
    ngx_uint_t mode)
{
    size_t  i;

    for (i = 0; i < key->set->nkeys; i++) {

        if (key->set->keys[i].secret && (mode & 0027) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "key file \"%V\" holds a private or symmetric "
                               "key and has mode 0%ui%ui%ui; allowed is 0600, "
                               "or 0640 for a group", &key->path,
                               mode >> 6 & 7, mode >> 3 & 7, mode & 7);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_sp_key_cleanup(void *data)
{
    ngx_sp_key_file_t *key = data;

    sp_jwks_free(key->set);
    key->set = NULL;
}
