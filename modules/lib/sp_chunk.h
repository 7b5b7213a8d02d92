
/*
 * Copyright (C) Sallyport authors
 *
 * Reads the few members that matter out of an OpenAI chat completion, or of a
 * chunk of a stream, in one pass and without building a tree: the bytes
 * themselves are passed on untouched.
 */

#ifndef _SP_CHUNK_H_INCLUDED_
#define _SP_CHUNK_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/* the slices point into the scanned text and are JSON string contents */
typedef struct {
    const char    *text;           /* choice 0: delta or message content */
    size_t         text_len;
    const char    *finish;         /* choice 0: finish_reason */
    size_t         finish_len;
    const char    *error;          /* error.message, may be empty */
    size_t         error_len;

    /* -1: not there */
    int64_t        prompt_tokens;
    int64_t        completion_tokens;
    int64_t        cached_tokens;

    unsigned       has_error:1;    /* "error" is there and not null */
    unsigned       has_usage:1;    /* "usage" is an object */
    unsigned       has_choices:1;  /* "choices" is an array */
    unsigned       has_choice:1;   /* ... that is not empty */
} sp_chunk_t;


/*
 * In: one JSON object.  Out: *chunk.  Returns 0, or -1 when the text is not
 * an object with balanced structure; *chunk is then zeroed.
 */
int sp_chunk_scan(const char *json, size_t len, sp_chunk_t *chunk);


#endif /* _SP_CHUNK_H_INCLUDED_ */
