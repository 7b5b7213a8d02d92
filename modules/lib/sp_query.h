
/*
 * Copyright (C) Sallyport authors
 *
 * The query string of a URL as a JSON object of strings.
 */

#ifndef _SP_QUERY_H_INCLUDED_
#define _SP_QUERY_H_INCLUDED_


#include <stddef.h>

#include <jansson.h>


typedef enum {
    SP_QUERY_OK = 0,
    SP_QUERY_ESCAPE,           /* a bad %XX, or one that is NUL */
    SP_QUERY_UTF8,
    SP_QUERY_DUPLICATE,        /* a name that occurs twice */
    SP_QUERY_TOO_LARGE,        /* bytes, or number of parameters */
    SP_QUERY_NO_MEMORY
} sp_query_status_e;


/* fixed text for an error answer: "a query parameter occurs twice" */
const char *sp_query_strerror(sp_query_status_e status);

/*
 * In: the bytes after "?", without a fragment; "+" and "%20" are a space, a
 * parameter without "=" has the value "", empty ones ("a=1&&b=2") are
 * skipped.  At most "max" parameters and 16 KiB of text.
 * Out: *object, a new reference that the caller releases with json_decref();
 * NULL on failure.
 */
sp_query_status_e sp_query_parse(const char *text, size_t len, size_t max,
    json_t **object);


#endif /* _SP_QUERY_H_INCLUDED_ */
