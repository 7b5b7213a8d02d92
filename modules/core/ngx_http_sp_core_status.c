
/*
 * Copyright (C) Sallyport authors
 *
 * Statuses: the reason phrases that NGINX does not know, and 404 for the
 * addresses of an API that do not exist.
 */


#include "ngx_http_sp_core_int.h"


#define NGX_HTTP_SP_SHOWN_METHOD  16
#define NGX_HTTP_SP_SHOWN_PATH    256


typedef struct {
    ngx_uint_t       status;
    ngx_str_t        line;
} ngx_http_sp_reason_t;


/*
 * The registry of HTTP status codes (RFC 9110 section 15, RFC 2518, 4918,
 * 5842, 6585, 7725, 8297), as far as the table of NGINX's header filter has
 * holes.
 */

static const ngx_http_sp_reason_t  ngx_http_sp_reasons[] = {
    { 203, ngx_string("203 Non-Authoritative Information") },
    { 205, ngx_string("205 Reset Content") },
    { 207, ngx_string("207 Multi-Status") },
    { 208, ngx_string("208 Already Reported") },
    { 226, ngx_string("226 IM Used") },
    { 300, ngx_string("300 Multiple Choices") },
    { 305, ngx_string("305 Use Proxy") },
    { 407, ngx_string("407 Proxy Authentication Required") },
    { 417, ngx_string("417 Expectation Failed") },
    { 422, ngx_string("422 Unprocessable Content") },
    { 423, ngx_string("423 Locked") },
    { 424, ngx_string("424 Failed Dependency") },
    { 425, ngx_string("425 Too Early") },
    { 426, ngx_string("426 Upgrade Required") },
    { 428, ngx_string("428 Precondition Required") },
    { 431, ngx_string("431 Request Header Fields Too Large") },
    { 451, ngx_string("451 Unavailable For Legal Reasons") },
    { 506, ngx_string("506 Variant Also Negotiates") },
    { 508, ngx_string("508 Loop Detected") },
    { 510, ngx_string("510 Not Extended") },
    { 511, ngx_string("511 Network Authentication Required") },
    { 0, ngx_null_string }
};


/*
 * NGINX writes such a status without a reason, "HTTP/1.1 422 ", which some
 * clients do not parse.
 */

void
ngx_http_sp_status_line(ngx_http_request_t *r)
{
    const ngx_http_sp_reason_t  *reason;

    if (r->headers_out.status_line.len != 0) {
        return;
    }

    for (reason = ngx_http_sp_reasons; reason->status != 0; reason++) {

        if (reason->status == r->headers_out.status) {
            r->headers_out.status_line = reason->line;
            return;
        }
    }
}


char *
ngx_http_sp_not_found_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_sp_set_content(cf, ngx_http_sp_not_found, 0);
}


ngx_int_t
ngx_http_sp_not_found(ngx_http_request_t *r)
{
    u_char     *end;
    ngx_str_t   method, path;

    /* of an address that does not exist no method is allowed */

    method = r->method_name;
    path = r->unparsed_uri;

    end = ngx_strlchr(path.data, path.data + path.len, '?');

    if (end != NULL) {
        path.len = end - path.data;
    }

    method.len = ngx_min(method.len, NGX_HTTP_SP_SHOWN_METHOD);
    path.len = ngx_min(path.len, NGX_HTTP_SP_SHOWN_PATH);

    return ngx_http_sp_error(r, NGX_HTTP_NOT_FOUND, "endpoint_not_found",
                             "there is no %V %V", &method, &path);
}
