
/*
 * Copyright (C) Sallyport authors
 *
 * Strict JSON for jansson: RFC 8259 text in UTF-8 with caps; duplicate keys,
 * U+0000 in strings, trailing bytes and lone surrogates are refused.
 */

#ifndef _SP_JSON_H_INCLUDED_
#define _SP_JSON_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include <jansson.h>


typedef enum {
    SP_JSON_OK = 0,
    SP_JSON_SYNTAX,
    SP_JSON_UTF8,
    SP_JSON_CODE_POINT,      /* \u0000 or a lone surrogate, at *offset */
    SP_JSON_NUMBER,          /* what neither json_int_t nor double holds */
    SP_JSON_DUPLICATE_KEY,
    SP_JSON_TOO_DEEP,
    SP_JSON_TOO_LARGE,
    SP_JSON_NO_MEMORY
} sp_json_status_e;


typedef struct {
    size_t                size;      /* bytes of text; 0: no cap */
    unsigned              depth;     /* of arrays and objects; 0: 32 */

    /* a real as near as it gets stands for a number that nothing holds */
    unsigned              any_number:1;

    /*
     * Names of members, up to a NULL, whose strings over SP_JSON_BULK bytes
     * are not copied into the tree: see sp_json_bulk(); or NULL.
     */
    const char *const    *bulky;
} sp_json_limits_t;


#define SP_JSON_BULK       65536
#define SP_JSON_BULK_HEAD  128


/* fixed text for an error answer: "the body is not valid JSON" */
const char *sp_json_strerror(sp_json_status_e status);

/*
 * In: text, len, limits (NULL: depth 32).
 * Out: *value, a new reference that the caller releases with json_decref();
 *      NULL on failure.  *offset (may be NULL) is where the error is.
 */
sp_json_status_e sp_json_parse(const char *text, size_t len,
    const sp_json_limits_t *limits, json_t **value, size_t *offset);

/*
 * 1 when value stands for a long string that was left in the text: the string
 * itself are its first SP_JSON_BULK_HEAD bytes and a NUL, which no other
 * string has; *offset and *len are where its content is, escapes included.
 */
int sp_json_bulk(const json_t *value, size_t *offset, size_t *len);

/* a string member, pointing into the value; NULL when missing, not a string */
const char *sp_json_string(const json_t *object, const char *key,
    size_t *len);

/*
 * Writes text as the inside of a JSON string (no quotes).  Returns the bytes
 * needed; writes at most "size".  dst may be NULL with size 0.  A byte that
 * is not UTF-8 becomes U+FFFD: the output is always valid JSON.
 */
size_t sp_json_escape(char *dst, size_t size, const char *text, size_t len);


#endif /* _SP_JSON_H_INCLUDED_ */
