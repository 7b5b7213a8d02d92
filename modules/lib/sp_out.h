
/*
 * Copyright (C) Sallyport authors
 *
 * Text that is written into memory of the caller.  What does not fit is only
 * counted: with no memory at all a writer tells how much it needs.
 */

#ifndef _SP_OUT_H_INCLUDED_
#define _SP_OUT_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


typedef struct {
    char                 *dst;
    size_t                size;
    size_t                len;       /* needed; above "size" it is cut */
} sp_out_t;


void sp_out_put(sp_out_t *out, const char *p, size_t len);

/* a NUL-terminated text, as it is */
void sp_out_str(sp_out_t *out, const char *text);

/* UTF-8, as the content of a JSON string: at most 6 * len bytes */
void sp_out_text(sp_out_t *out, const char *text, size_t len);

/*
 * The content of a JSON string that nobody has checked, as such a content:
 * escapes stay as they are, what is none, and control characters, are escaped.
 * At most 6 * len.
 */
void sp_out_content(sp_out_t *out, const char *text, size_t len);

/*
 * One segment of a path (RFC 3986): what is not unreserved is escaped.  At
 * most 3 * len.
 */
void sp_out_segment(sp_out_t *out, const char *text, size_t len);

void sp_out_integer(sp_out_t *out, int64_t n);


#endif /* _SP_OUT_H_INCLUDED_ */
