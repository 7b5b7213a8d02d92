
/*
 * Copyright (C) Sallyport authors
 *
 * Ids of tool calls for providers that give none: a client answers each call
 * by its id.  One of ours is "call_", 24 hexadecimal digits of the answer's
 * id, the number of the choice and that of the call, so that it is unique in
 * a history of many answers, and is known when it comes back.
 */

#ifndef _SP_CALL_ID_H_INCLUDED_
#define _SP_CALL_ID_H_INCLUDED_


#include <stddef.h>


/* what OpenAI's API takes at most */
#define SP_CALL_ID_SIZE  40


/*
 * id: a UUID, or what else has enough hexadecimal digits; the last ones
 * count.  Returns how many of the SP_CALL_ID_SIZE bytes of dst it has.
 */
size_t sp_call_id(char *dst, const char *id, size_t len, size_t choice,
    size_t call);

/* 1 when it is one of ours, which no provider knows */
int sp_call_id_ours(const char *id);


#endif /* _SP_CALL_ID_H_INCLUDED_ */
