
/*
 * Copyright (C) Sallyport authors
 *
 * RFC 3986 grammar: is this text a URI, an authority.  Nothing is decoded or
 * normalized.
 */

#ifndef _SP_URI_H_INCLUDED_
#define _SP_URI_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/* these return 1 or 0 */

/* scheme ":" hier-part [ "?" query ] [ "#" fragment ] */
int sp_uri_valid(const char *text, size_t len);

/* [ userinfo "@" ] host [ ":" port ], where host is not empty */
int sp_uri_authority_valid(const char *text, size_t len);

int sp_uri_scheme_valid(const char *text, size_t len);

/* one character of pchar without "%", of reserved or unreserved */
int sp_uri_is_pchar(char c);
int sp_uri_is_plain(char c);

/* *pchar with complete percent escapes */
int sp_uri_pchars_valid(const char *text, size_t len);

/*
 * Is the URI the origin ("https://host:port") itself or below it?  Bytes are
 * compared: another spelling of the same host is another origin.
 */
int sp_uri_within(const char *uri, size_t len, const char *origin,
    size_t origin_len);


#endif /* _SP_URI_H_INCLUDED_ */
