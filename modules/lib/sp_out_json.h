
/*
 * Copyright (C) Sallyport authors
 *
 * A value of jansson, written back.
 */

#ifndef _SP_OUT_JSON_H_INCLUDED_
#define _SP_OUT_JSON_H_INCLUDED_


#include <jansson.h>

#include "sp_out.h"


/*
 * Compact.  A string that was left in the text of its document, see
 * sp_json_bulk(), is taken from there.
 */
void sp_out_json(sp_out_t *out, const json_t *value, const char *text);

/* the content of a string, without its quotes */
void sp_out_json_content(sp_out_t *out, const json_t *string,
    const char *text);


#endif /* _SP_OUT_JSON_H_INCLUDED_ */
