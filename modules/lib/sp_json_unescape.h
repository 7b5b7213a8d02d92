
/*
 * Copyright (C) Sallyport authors
 *
 * The content of a JSON string, as a scan has found it.
 */

#ifndef _SP_JSON_UNESCAPE_H_INCLUDED_
#define _SP_JSON_UNESCAPE_H_INCLUDED_


#include <stddef.h>


/*
 * Decodes the content of a JSON string into UTF-8.  Writes at most "size"
 * bytes, never a part of a character, and returns how many: never more than
 * 3 * len.  Broken escapes, lone surrogates, U+0000 and bytes that are not
 * UTF-8 become U+FFFD: the result can be stored as it is.
 */
size_t sp_json_unescape(char *dst, size_t size, const char *text,
    size_t len);


/* an escape of one UTF-16 unit */
#define SP_JSON_ESCAPE  6

/*
 * SP_JSON_ESCAPE where the content ends with the first half of a surrogate
 * pair, whose second half may be in another string; else 0.
 */
size_t sp_json_unescape_half(const char *text, size_t len);


#endif /* _SP_JSON_UNESCAPE_H_INCLUDED_ */
