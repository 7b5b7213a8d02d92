
/*
 * Copyright (C) Sallyport authors
 *
 * Puts together what the model reads: a stable system prefix (persona,
 * profile), the history within a token budget, and per-turn notes (recalled
 * memory) right before the last user message, so that the prefix stays
 * cacheable at the provider.
 */

#ifndef _SP_PROMPT_H_INCLUDED_
#define _SP_PROMPT_H_INCLUDED_


#include <stddef.h>

#include "sp_chat.h"
#include "sp_tokens.h"


/* turns among so many of the newest messages are the last to be dropped */
#define SP_PROMPT_RECENT  8


typedef enum {
    SP_PROMPT_SYSTEM_ALLOW = 0,  /* client system messages stay in place */
    SP_PROMPT_SYSTEM_MERGE       /* ... are appended to our prefix */
} sp_prompt_system_e;


typedef enum {
    SP_PROMPT_OK = 0,
    SP_PROMPT_TOO_LONG,          /* what must not be dropped exceeds budget */
    SP_PROMPT_NO_MEMORY
} sp_prompt_status_e;


/* text is valid UTF-8; name is printable ASCII without quotes */
typedef struct {
    const char               *name;
    size_t                    name_len;
    const char               *text;
    size_t                    len;
} sp_prompt_block_t;


typedef struct {
    /* in */

    const sp_chat_request_t  *chat;
    const sp_prompt_block_t  *prefix;    /* instructions, as they are */
    size_t                    nprefix;
    const sp_prompt_block_t  *tail;      /* data: quoted, defanged */
    size_t                    ntail;
    sp_prompt_system_e        system;
    sp_tokens_t              *counter;
    size_t                    budget;    /* tokens; 0: no limit */
    size_t                    margin;    /* of it, where tokens had to be
                                            estimated; then budget is less */

    /* out */

    sp_chat_edit_t            edit;      /* without the model */
    size_t                    tokens;    /* of the whole prompt */
    size_t                    dropped;   /* messages of the history */
    unsigned                  tail_dropped:1;

    char                     *memory;    /* of the texts of edit */
} sp_prompt_t;


/*
 * Over budget, old history goes first, then the tail, then what remains
 * before the last user message.  History goes by whole turns: what stays of
 * it begins with a user message, so that no call of a tool and no reasoning
 * is torn from what follows it.  The prefix, client system messages and
 * everything from the last user message on are never dropped; where that has
 * results of tools in it, everything from the user message before their
 * calls.  prompt->edit is valid until sp_prompt_free(), which is called in
 * any case.
 *
 * The newest is counted first: what would be dropped anyway is not counted.
 */
sp_prompt_status_e sp_prompt_assemble(sp_prompt_t *prompt);
void sp_prompt_free(sp_prompt_t *prompt);

/* code points of valid UTF-8 */
size_t sp_prompt_length(const char *text, size_t len);


#endif /* _SP_PROMPT_H_INCLUDED_ */
