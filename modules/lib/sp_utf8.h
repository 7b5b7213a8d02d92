
/*
 * Copyright (C) Sallyport authors
 *
 * UTF-8 validity (RFC 3629): overlong forms, surrogates and code points above
 * U+10FFFF are refused.
 */

#ifndef _SP_UTF8_H_INCLUDED_
#define _SP_UTF8_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/*
 * The length in bytes of the valid character at "text", 0 when there is none:
 * a wrong or a cut sequence, or len is 0.
 */
size_t sp_utf8_char(const char *text, size_t len);

/* how many bytes from here are ASCII, as far as whole words of 8 go */
size_t sp_utf8_ascii(const char *text, size_t len);

/* the offset of the first byte that is not valid, or len */
size_t sp_utf8_valid(const char *text, size_t len);


#endif /* _SP_UTF8_H_INCLUDED_ */
