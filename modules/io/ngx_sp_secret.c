
/*
 * Copyright (C) Sallyport authors
 */

#include "ngx_sp_secret.h"


#define NGX_SP_SECRET_PASSWORD_MAX  1024
#define NGX_SP_SECRET_KEY_MAX       4096
#define NGX_SP_SECRET_RUN           8      /* of one letter: no chance */


static ngx_int_t ngx_sp_secret_read_fd(ngx_conf_t *cf, const ngx_str_t *path,
    ngx_fd_t fd, u_char *buf, size_t size, size_t *len);
static ngx_uint_t ngx_sp_secret_is_placeholder(const u_char *key, size_t len);
static ngx_uint_t ngx_sp_secret_is_example(u_char *text, size_t len);


/*
 * What stands in examples and is no key, in lower case and without what is
 * neither letter nor digit: "sk-your_api_key_here" has "yourapikey" in it.
 */

static ngx_str_t  ngx_sp_secret_placeholders[] = {
    ngx_string("apikeyhere"),
    ngx_string("keyhere"),
    ngx_string("tokenhere"),
    ngx_string("insertkey"),
    ngx_string("changeme"),
    ngx_string("changethis"),
    ngx_string("replaceme"),
    ngx_string("replacewith"),
    ngx_string("placeholder"),
    ngx_null_string
};


/* the same, where nothing else stands there */

static ngx_str_t  ngx_sp_secret_words[] = {
    ngx_string("todo"),
    ngx_string("tbd"),
    ngx_string("fixme"),
    ngx_string("none"),
    ngx_string("null"),
    ngx_string("key"),
    ngx_string("token"),
    ngx_string("secret"),
    ngx_string("apikey"),
    ngx_string("openaiapikey"),
    ngx_string("anthropicapikey"),
    ngx_null_string
};


ngx_int_t
ngx_sp_secret_read(ngx_conf_t *cf, ngx_str_t *path, u_char *buf, size_t size,
    size_t *len)
{
    ngx_fd_t   fd;
    ngx_int_t  rc;

    *len = 0;

    if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    /* a pipe in its place must not hold up the start */

    fd = ngx_open_file(path->data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", path);
        return NGX_ERROR;
    }

    rc = ngx_sp_secret_read_fd(cf, path, fd, buf, size, len);

    if (rc != NGX_OK) {
        ngx_explicit_memzero(buf, size);
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", path);
    }

    return rc;
}


static ngx_int_t
ngx_sp_secret_read_fd(ngx_conf_t *cf, const ngx_str_t *path, ngx_fd_t fd,
    u_char *buf, size_t size, size_t *len)
{
    ssize_t          n;
    ngx_uint_t       mode;
    ngx_file_info_t  fi;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", path);
        return NGX_ERROR;
    }

    mode = ngx_file_access(&fi);

    if (!ngx_is_file(&fi) || (mode & 077) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" holds a secret and must be a file for its "
                           "owner only: its mode is 0%ui%ui%ui, allowed are "
                           "0600 and 0400", path, mode >> 6 & 7, mode >> 3 & 7,
                           mode & 7);
        return NGX_ERROR;
    }

    n = ngx_read_fd(fd, buf, size);

    if (n == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_read_fd_n " \"%V\" failed", path);
        return NGX_ERROR;
    }

    if ((size_t) n == size) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is longer than %uz bytes", path, size - 1);
        return NGX_ERROR;
    }

    if (n > 0 && buf[n - 1] == LF) {
        n--;

        if (n > 0 && buf[n - 1] == CR) {
            n--;
        }
    }

    *len = (size_t) n;

    return NGX_OK;
}


ngx_int_t
ngx_sp_secret_password(ngx_conf_t *cf, const ngx_str_t *path,
    ngx_str_t *password)
{
    u_char     buf[NGX_SP_SECRET_PASSWORD_MAX];
    size_t     i, len;
    ngx_int_t  rc;
    ngx_str_t  file;

    file = *path;

    if (ngx_sp_secret_read(cf, &file, buf, sizeof(buf), &len) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < len; i++) {
        if (buf[i] == CR || buf[i] == LF || buf[i] == '\0') {
            break;
        }
    }

    rc = NGX_ERROR;
    password->len = i;

    if (i == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the first line of \"%V\" must hold a password",
                           &file);
        goto done;
    }

    password->data = ngx_pnalloc(cf->pool, i + 1);
    if (password->data == NULL) {
        goto done;
    }

    *ngx_cpymem(password->data, buf, i) = '\0';
    rc = NGX_OK;

done:

    ngx_explicit_memzero(buf, sizeof(buf));

    return rc;
}


ngx_int_t
ngx_sp_secret_api_key(ngx_conf_t *cf, const ngx_str_t *path, ngx_str_t *key)
{
    u_char     buf[NGX_SP_SECRET_KEY_MAX];
    size_t     i, len;
    ngx_int_t  rc;
    ngx_str_t  file;

    file = *path;

    if (ngx_sp_secret_read(cf, &file, buf, sizeof(buf), &len) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    while (len > 0 && (buf[len - 1] == LF || buf[len - 1] == CR
                       || buf[len - 1] == ' '))
    {
        len--;
    }

    if (len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "key file \"%V\" is empty", &file);
        goto done;
    }

    /* it becomes a header line: nothing in it may end one */

    for (i = 0; i < len; i++) {
        if (buf[i] <= 0x20 || buf[i] >= 0x7f) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "key file \"%V\" must hold one line of "
                               "printable ASCII without spaces", &file);
            goto done;
        }
    }

    if (ngx_sp_secret_is_placeholder(buf, len)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "key file \"%V\" holds a placeholder, not a key: "
                           "put the key that your provider gave you there",
                           &file);
        goto done;
    }

    key->len = len;

    key->data = ngx_pnalloc(cf->pool, len);
    if (key->data == NULL) {
        goto done;
    }

    ngx_memcpy(key->data, buf, len);
    rc = NGX_OK;

done:

    ngx_explicit_memzero(buf, sizeof(buf));

    return rc;
}


static ngx_uint_t
ngx_sp_secret_is_placeholder(const u_char *key, size_t len)
{
    u_char      c, text[NGX_SP_SECRET_KEY_MAX];
    size_t      i, n;
    ngx_uint_t  found;

    /* "<key>", "${KEY}", "{{ key }}", "$KEY": what was never filled in */

    if (key[0] == '<' || key[0] == '$' || key[0] == '{') {
        return 1;
    }

    n = 0;

    for (i = 0; i < len; i++) {
        c = ngx_tolower(key[i]);

        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
            text[n++] = c;
        }
    }

    found = ngx_sp_secret_is_example(text, n);

    ngx_explicit_memzero(text, sizeof(text));

    return found;
}


static ngx_uint_t
ngx_sp_secret_is_example(u_char *text, size_t len)
{
    u_char           *last, *your;
    size_t            run;
    const ngx_str_t  *p;

    last = text + len;

    /* "sk-...", "xxxx", "0000", "sk-proj-xxxxxxxx": one letter again */

    if (len >= 2 && text[0] == 's' && text[1] == 'k') {
        text += 2;
    }

    for (run = 1; last - text > (ptrdiff_t) run; run++) {
        if (last[-1] != last[-1 - (ptrdiff_t) run]) {
            break;
        }
    }

    if (last - text <= (ptrdiff_t) run || run >= NGX_SP_SECRET_RUN) {
        return 1;
    }

    for (p = ngx_sp_secret_words; p->len != 0; p++) {

        if ((size_t) (last - text) == p->len
            && ngx_strncmp(text, p->data, p->len) == 0)
        {
            return 1;
        }
    }

    for (p = ngx_sp_secret_placeholders; p->len != 0; p++) {
        if (ngx_strlcasestrn(text, last, p->data, p->len - 1) != NULL) {
            return 1;
        }
    }

    /* "your_api_key", "your-openai-token" */

    your = ngx_strlcasestrn(text, last, (u_char *) "your", 4 - 1);

    return your != NULL
           && (ngx_strlcasestrn(your, last, (u_char *) "key", 3 - 1) != NULL
               || ngx_strlcasestrn(your, last, (u_char *) "token", 5 - 1)
                  != NULL
               || ngx_strlcasestrn(your, last, (u_char *) "secret", 6 - 1)
                  != NULL);
}
