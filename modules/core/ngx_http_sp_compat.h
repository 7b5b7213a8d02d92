
/*
 * Copyright (C) Sallyport authors
 *
 * The only place that looks at nginx_version.
 */

#ifndef _NGX_HTTP_SP_COMPAT_H_INCLUDED_
#define _NGX_HTTP_SP_COMPAT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* 1.23.0: header lines of one name are linked */

#if (nginx_version >= 1023000)
#define ngx_http_sp_header_single(h)  (h)->next = NULL
#else
#define ngx_http_sp_header_single(h)  { /* void */ }
#endif


#endif /* _NGX_HTTP_SP_COMPAT_H_INCLUDED_ */
