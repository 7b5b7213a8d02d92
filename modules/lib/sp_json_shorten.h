
/*
 * Copyright (C) Sallyport authors
 *
 * JSON text without what is long in it: the content of a string of more than
 * SP_JSON_SHORTEN bytes is left out, so that of megabytes of an image a few
 * hundred bytes around it are kept.  What is left is JSON if the text is.
 *
 * A string ends with its line as well: the text may be the lines of an event
 * stream, and what is no JSON in one of them does not change the next one.
 */

#ifndef _SP_JSON_SHORTEN_H_INCLUDED_
#define _SP_JSON_SHORTEN_H_INCLUDED_


#include <stddef.h>


#define SP_JSON_SHORTEN  1024


/* dst and size are set by the caller, the rest is zero-filled to begin with */
typedef struct {
    char                 *dst;
    size_t                size;
    size_t                len;       /* of what is left so far */
    size_t                begin;     /* of the content of the string */
    unsigned              string:1;
    unsigned              escaped:1;
    unsigned              cut:1;     /* the string is left out */
    unsigned              full:1;    /* it does not fit: dst is of no use */
} sp_json_shorten_t;


/* the next piece, cut anywhere */
void sp_json_shorten(sp_json_shorten_t *s, const char *p, size_t len);


#endif /* _SP_JSON_SHORTEN_H_INCLUDED_ */
