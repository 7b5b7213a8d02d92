
/*
 * Copyright (C) Sallyport authors
 *
 * Private to sp_json.
 */

#ifndef _SP_JSON_LOAD_H_INCLUDED_
#define _SP_JSON_LOAD_H_INCLUDED_


#include <stddef.h>

#include "sp_json.h"


/*
 * The first byte of [p, last) that is a quote, a backslash, a control
 * character or, with "ascii", above 0x7f; last when there is none
 */
const char *sp_json_plain(const char *p, const char *last, int ascii);

/*
 * In: valid UTF-8 without NUL bytes; limits without a 0 for the depth.
 * Out: as of sp_json_parse(); equal to what jansson makes of the text, where
 * it takes it.
 */
sp_json_status_e sp_json_load(const char *text, size_t len,
    const sp_json_limits_t *limits, json_t **value, size_t *offset);


#endif /* _SP_JSON_LOAD_H_INCLUDED_ */
