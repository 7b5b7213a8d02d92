
/*
 * Copyright (C) Sallyport authors
 *
 * Part of ngx_http_sp_core.h: bodies that are multipart/form-data (RFC 7578).
 *
 * A form is read while it comes.  Its texts are kept, its files are not: they
 * stay where NGINX has the body, in memory or in a temporary file, and are
 * sent on from there.
 */

#ifndef _NGX_HTTP_SP_CORE_FORM_H_INCLUDED_
#define _NGX_HTTP_SP_CORE_FORM_H_INCLUDED_


/* bytes of a text; a "data:" URL may be longer, and is not kept then */
#define NGX_HTTP_SP_FORM_TEXT  16384


/* memory of the request */

typedef struct {
    ngx_str_t                 name;
    ngx_str_t                 filename;   /* data NULL: it is a text */
    ngx_str_t                 value;      /* of a text, UTF-8 without NUL */
    off_t                     begin;      /* in the body */
    off_t                     end;
    unsigned                  edited:1;   /* value is another one by now */
    unsigned                  bulky:1;    /* not kept; value is empty */
} ngx_http_sp_form_field_t;


typedef struct ngx_http_sp_form_s  ngx_http_sp_form_t;


/*
 * In a setter: bodies of this location are forms, of up to 32m where
 * "body_max_size" says nothing.
 */
void ngx_http_sp_conf_form(ngx_conf_t *cf);

/*
 * NGX_OK; NGX_AGAIN: return NGX_AGAIN, it is being read; or an HTTP status to
 * return: another content type is 415, what is no form, or has a text that is
 * too long or no UTF-8, 400.
 */
ngx_int_t ngx_http_sp_form(ngx_http_request_t *r, ngx_http_sp_form_t **form);

/* the fields, as they came: ngx_http_sp_form_field_t */
ngx_array_t *ngx_http_sp_form_fields(ngx_http_sp_form_t *form);

/*
 * The form with "value" in the field "name", which is added where there is
 * none: bufs that begin at what they hold, the file's among them, and how many
 * bytes these are.  What stands before or behind the form is left out.
 * NULL: no memory, or the body is not there any more.
 */
ngx_chain_t *ngx_http_sp_form_body(ngx_http_request_t *r,
    ngx_http_sp_form_t *form, const ngx_str_t *name, const ngx_str_t *value,
    off_t *length);


#endif /* _NGX_HTTP_SP_CORE_FORM_H_INCLUDED_ */
