
/*
 * Copyright (C) Sallyport authors
 *
 * What a model can do, in the words of its line.
 */


#include "ngx_http_sp_core_int.h"


static ngx_uint_t ngx_http_sp_capability_bit(const u_char *p, size_t len);


static const char  *const ngx_http_sp_capability_names[] = {
    "tools", "vision", "audio", "files", "json_schema", "reasoning", NULL
};


const char *
ngx_http_sp_capability(ngx_uint_t i)
{
    return ngx_http_sp_capability_names[i];
}


/* capabilities=WORD[,WORD]...; the error is logged */

ngx_int_t
ngx_http_sp_capabilities(ngx_conf_t *cf, const ngx_str_t *list,
    ngx_uint_t *capabilities)
{
    u_char      *comma, *last, *p;
    ngx_uint_t   bit;

    p = list->data;
    last = p + list->len;

    do {
        comma = ngx_strlchr(p, last, ',');

        if (comma == NULL) {
            comma = last;
        }

        bit = ngx_http_sp_capability_bit(p, comma - p);

        if (bit == 0 || (*capabilities & bit) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid word \"%*s\" in \"capabilities=%V\" "
                               "of \"model\", allowed, each once: tools, "
                               "vision, audio, files, json_schema, reasoning",
                               (size_t) (comma - p), p, list);
            return NGX_ERROR;
        }

        *capabilities |= bit;
        p = comma + 1;

    } while (comma != last);

    return NGX_OK;
}


static ngx_uint_t
ngx_http_sp_capability_bit(const u_char *p, size_t len)
{
    ngx_uint_t   i;
    const char  *name;

    for (i = 0; ngx_http_sp_capability_names[i] != NULL; i++) {
        name = ngx_http_sp_capability_names[i];

        if (ngx_strlen(name) == len && ngx_strncmp(p, name, len) == 0) {
            return 1 << i;
        }
    }

    return 0;
}
