
/*
 * Copyright (C) Sallyport authors
 *
 * What the requests of all dialects have in common, for their parsers.
 */

#ifndef _SP_CHAT_READ_H_INCLUDED_
#define _SP_CHAT_READ_H_INCLUDED_


#include "sp_chat.h"


/* how much of everything a request holds, at most */
typedef struct {
    size_t                messages;
    size_t                parts;
    size_t                calls;
    size_t                text;      /* bytes of joined texts, NULs too */
} sp_chat_sizes_t;


/* where the next ones go */
typedef struct {
    sp_chat_part_t       *parts;
    sp_chat_call_t       *calls;
    char                 *text;
} sp_chat_room_t;


/*
 * One block, zeroed: the request, which refers to root, its messages and
 * tools, and what they hold.  NULL: out of memory; root is the caller's then.
 */
sp_chat_request_t *sp_chat_alloc(json_t *root, const sp_chat_sizes_t *sizes,
    sp_chat_room_t *room);

/* of chat->root: its "model"; NULL, or what is wrong with it */
const sp_chat_error_t *sp_chat_read_model(sp_chat_request_t *chat);

/* ... and what "metadata" says to this server */
const sp_chat_error_t *sp_chat_read_metadata(sp_chat_request_t *chat);

/* JSON null is the same as a member that is not there: NULL */
const json_t *sp_chat_member(const json_t *object, const char *key);

/* 1 when a string has U+0000 in it */
int sp_chat_has_nul(const json_t *value);


#endif /* _SP_CHAT_READ_H_INCLUDED_ */
