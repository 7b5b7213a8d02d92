
/*
 * Copyright (C) Sallyport authors
 *
 * The block of recalled memories that goes into a prompt: which of the
 * candidates fit a budget, and how they are written so that text of a user
 * stays data.
 */

#ifndef _SP_RECALL_H_INCLUDED_
#define _SP_RECALL_H_INCLUDED_


#include <stddef.h>


/* longer texts are cut, at a character, before they are written */
#define SP_RECALL_TEXT  600


typedef struct {
    const char  *text;       /* UTF-8, borrowed */
    size_t       len;
    const char  *day;        /* "2026-05-14", 10 bytes, borrowed */
    const char  *role;       /* turns: "user" or "assistant"; facts: NULL */
    unsigned     chosen:1;   /* out */
} sp_recall_item_t;


/*
 * In: items, best first within facts and within turns; budget in tokens
 *     (estimated), for the whole block.
 * Out: "chosen" of the items that fit: facts in half of the budget, turns in
 *     what is left, then more facts.  What does not fit is skipped, not the
 *     end.  Returns their number.
 */
size_t sp_recall_choose(sp_recall_item_t *items, size_t n, size_t budget);

/*
 * Writes the chosen items, one line each: "- [2026-05-14] text", turns with
 * "user said: " before the text; by day, then text, so that the same set
 * always gives the same bytes (prompt caches).  Control characters become
 * spaces, '<' and '>' are written as JSON escapes: no text can begin a line,
 * end what the block is wrapped in, or pose as a role.  Sorts the items.
 *
 * Returns the bytes needed, 0 when nothing is chosen; writes at most "size";
 * dst may be NULL with size 0.
 */
size_t sp_recall_block(sp_recall_item_t *items, size_t n, char *dst,
    size_t size);


#endif /* _SP_RECALL_H_INCLUDED_ */
