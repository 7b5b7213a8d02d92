
/*
 * Copyright (C) Sallyport authors
 *
 * What the requests of all dialects have in common, for their parsers.
 */

#ifndef _SP_CHAT_READ_H_INCLUDED_
#define _SP_CHAT_READ_H_INCLUDED_


#include "sp_chat.h"


/* of chat->root: its "model"; NULL, or what is wrong with it */
const sp_chat_error_t *sp_chat_read_model(sp_chat_request_t *chat);

/* ... and what "metadata" says to this server */
const sp_chat_error_t *sp_chat_read_metadata(sp_chat_request_t *chat);

/* JSON null is the same as a member that is not there: NULL */
const json_t *sp_chat_member(const json_t *object, const char *key);

/* 1 when a string has U+0000 in it */
int sp_chat_has_nul(const json_t *value);


#endif /* _SP_CHAT_READ_H_INCLUDED_ */
