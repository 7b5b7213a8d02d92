
/*
 * Copyright (C) Sallyport authors
 *
 * Private to sp_json.
 */

#ifndef _SP_JSON_LOAD_H_INCLUDED_
#define _SP_JSON_LOAD_H_INCLUDED_


#include <stddef.h>

#include <jansson.h>


/*
 * The first byte of [p, last) that is a quote, a backslash, a control
 * character or, with "ascii", above 0x7f; last when there is none
 */
const char *sp_json_plain(const char *p, const char *last, int ascii);

/*
 * In: valid UTF-8 without NUL bytes.  Out: a new reference, equal to what
 * jansson makes of the text, or NULL, which a text deeper than "depth" always
 * is: ask jansson.
 */
json_t *sp_json_load(const char *text, size_t len, unsigned depth);


#endif /* _SP_JSON_LOAD_H_INCLUDED_ */
