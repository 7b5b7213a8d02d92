
/*
 * Copyright (C) Sallyport authors
 *
 * A value whose strings were replaced, as text.
 */

#ifndef _SP_JSON_REWRITE_H_INCLUDED_
#define _SP_JSON_REWRITE_H_INCLUDED_


#include <stddef.h>

#include <jansson.h>


/*
 * Writes value in the spelling of the text that it was parsed from; strings
 * may have been replaced by others meanwhile.  Returns the bytes needed,
 * writes at most "size"; 0 when the text is not that of the value.
 */
size_t sp_json_rewrite(const json_t *value, const char *text, size_t len,
    char *dst, size_t size);


#endif /* _SP_JSON_REWRITE_H_INCLUDED_ */
