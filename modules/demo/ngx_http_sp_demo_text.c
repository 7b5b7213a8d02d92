
/*
 * Copyright (C) Sallyport authors
 */


#include "ngx_http_sp_demo.h"


static u_char *ngx_http_sp_demo_reserve(ngx_http_sp_demo_text_t *text,
    size_t len);
static ngx_uint_t ngx_http_sp_demo_is_word(u_char c);


static u_char *
ngx_http_sp_demo_reserve(ngx_http_sp_demo_text_t *text, size_t len)
{
    size_t   size;
    u_char  *data;

    if (text->failed) {
        return NULL;
    }

    if (text->size - text->len < len) {
        size = text->size * 2 + len + 512;

        data = ngx_pnalloc(text->pool, size);
        if (data == NULL) {
            text->failed = 1;
            return NULL;
        }

        if (text->len != 0) {
            ngx_memcpy(data, text->data, text->len);
            (void) ngx_pfree(text->pool, text->data);
        }

        text->data = data;
        text->size = size;
    }

    return text->data + text->len;
}


void
ngx_http_sp_demo_add(ngx_http_sp_demo_text_t *text, const void *data,
    size_t len)
{
    u_char  *p;

    p = ngx_http_sp_demo_reserve(text, len);

    if (p != NULL && len != 0) {
        ngx_memcpy(p, data, len);
        text->len += len;
    }
}


/* as the inside of a JSON string */

void
ngx_http_sp_demo_add_json(ngx_http_sp_demo_text_t *text, const void *data,
    size_t len)
{
    size_t   size;
    u_char  *p;

    size = sp_json_escape(NULL, 0, data, len);

    p = ngx_http_sp_demo_reserve(text, size);

    if (p != NULL) {
        text->len += sp_json_escape((char *) p, size, data, len);
    }
}


/* short pieces only */

void
ngx_http_sp_demo_printf(ngx_http_sp_demo_text_t *text, const char *fmt, ...)
{
    u_char    buf[512], *last;
    va_list   args;

    va_start(args, fmt);
    last = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);

    ngx_http_sp_demo_add(text, buf, last - buf);
}


/* letters, digits and what is not ASCII; *text moves behind the word */

ngx_uint_t
ngx_http_sp_demo_next_word(ngx_str_t *text, ngx_str_t *word)
{
    u_char  *last, *p;

    p = text->data;
    last = p + text->len;

    while (p < last && !ngx_http_sp_demo_is_word(*p)) {
        p++;
    }

    word->data = p;

    while (p < last && ngx_http_sp_demo_is_word(*p)) {
        p++;
    }

    word->len = p - word->data;

    text->data = p;
    text->len = last - p;

    return word->len != 0;
}


static ngx_uint_t
ngx_http_sp_demo_is_word(u_char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
           || (c >= 'A' && c <= 'Z') || c == '\'' || c >= 0x80;
}


ngx_uint_t
ngx_http_sp_demo_next_line(ngx_str_t *text, ngx_str_t *line)
{
    u_char  *last, *p;

    if (text->len == 0) {
        return 0;
    }

    p = text->data;
    last = p + text->len;

    line->data = p;

    while (p < last && *p != LF) {
        p++;
    }

    line->len = p - line->data;

    if (p < last) {
        p++;
    }

    text->data = p;
    text->len = last - p;

    return 1;
}
