
/*
 * Copyright (C) Sallyport authors
 *
 * A provider's key: from a file that only its owner may read, into a header
 * line, and nowhere else.
 */


#include "ngx_http_sp_llm.h"


#define NGX_HTTP_SP_LLM_MAX_KEY  4096


static ssize_t ngx_http_sp_llm_read_key(ngx_conf_t *cf, ngx_str_t *name,
    u_char *buf, size_t size);


/* what stands in examples and is no key */

static ngx_str_t  ngx_http_sp_llm_placeholders[] = {
    ngx_string("sk-..."),
    ngx_string("changeme"),
    ngx_string("change-me"),
    ngx_string("your-api-key"),
    ngx_string("your_api_key"),
    ngx_string("YOUR_API_KEY"),
    ngx_string("REPLACE_ME"),
    ngx_null_string
};


char *
ngx_http_sp_llm_key(ngx_conf_t *cf, const ngx_str_t *file, ngx_str_t *key)
{
    u_char       buf[NGX_HTTP_SP_LLM_MAX_KEY];
    ssize_t      i, n;
    ngx_str_t   *holder, name;

    name = *file;

    if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    n = ngx_http_sp_llm_read_key(cf, &name, buf, sizeof(buf));
    if (n == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    while (n > 0 && (buf[n - 1] == LF || buf[n - 1] == CR
                     || buf[n - 1] == ' '))
    {
        n--;
    }

    if (n == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "key file \"%V\" is empty", &name);
        return NGX_CONF_ERROR;
    }

    /* it becomes a header line: nothing in it may end one */

    for (i = 0; i < n; i++) {
        if (buf[i] <= 0x20 || buf[i] >= 0x7f) {
            ngx_explicit_memzero(buf, sizeof(buf));
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "key file \"%V\" must hold one line of "
                               "printable ASCII without spaces", &name);
            return NGX_CONF_ERROR;
        }
    }

    for (holder = ngx_http_sp_llm_placeholders; holder->len != 0; holder++) {
        if (holder->len == (size_t) n
            && ngx_strncmp(holder->data, buf, n) == 0)
        {
            ngx_explicit_memzero(buf, sizeof(buf));
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "key file \"%V\" holds a placeholder, "
                               "not a key", &name);
            return NGX_CONF_ERROR;
        }
    }

    key->data = ngx_pnalloc(cf->pool, n);
    if (key->data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(key->data, buf, n);
    key->len = n;

    ngx_explicit_memzero(buf, sizeof(buf));

    return NGX_CONF_OK;
}


static ssize_t
ngx_http_sp_llm_read_key(ngx_conf_t *cf, ngx_str_t *name, u_char *buf,
    size_t size)
{
    ssize_t          n;
    ngx_fd_t         fd;
    ngx_file_info_t  fi;

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    n = NGX_ERROR;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", name);

    } else if (ngx_file_access(&fi) & 077) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "key file \"%V\" may be read by others than its "
                           "owner: its mode is 0%ui%ui%ui, allowed are 0600 "
                           "and 0400", name,
                           (ngx_uint_t) ngx_file_access(&fi) >> 6,
                           ((ngx_uint_t) ngx_file_access(&fi) >> 3) & 7,
                           (ngx_uint_t) ngx_file_access(&fi) & 7);

    } else {
        n = ngx_read_fd(fd, buf, size);

        if (n == -1) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                               ngx_read_fd_n " \"%V\" failed", name);

        } else if ((size_t) n == size) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "key file \"%V\" is longer than %uz bytes",
                               name, size - 1);
            n = NGX_ERROR;
        }
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", name);
    }

    return n;
}
