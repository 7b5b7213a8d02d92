
/*
 * Copyright (C) Sallyport authors
 *
 * What a character tells beside its text: its emotion, and what the user may
 * say next.  The model is asked to write it behind its reply, as JSON between
 * two marks; here it is cut out of the stream, wherever that is split.
 */

#ifndef _SP_EXTRAS_H_INCLUDED_
#define _SP_EXTRAS_H_INCLUDED_


#include <jansson.h>

#include "sp_out.h"


#define SP_EXTRAS_OPEN     "<extras>"
#define SP_EXTRAS_CLOSE    "</extras>"

/* in a character's prompt: where SP_EXTRAS_PROMPT is to stand */
#define SP_EXTRAS_ASKED    "{{extras}}"

#define SP_EXTRAS_PROMPT                                                      \
    "After each reply, on a line of its own, write " SP_EXTRAS_OPEN           \
    "{\"emotion\": \"your emotion, one word\", \"suggested_actions\": "       \
    "[\"up to three short things the user may say or do next\"]}"             \
    SP_EXTRAS_CLOSE " and nothing behind it. It is not shown to the user."

/* bytes of the JSON, as the content of a string; a longer one says nothing */
#define SP_EXTRAS_SIZE     2048

/* bytes that may be held back: space, and the begin of a mark */
#define SP_EXTRAS_HELD     32

#define SP_EXTRAS_ACTIONS  8
#define SP_EXTRAS_TEXT     256       /* bytes of a text */


/* one text of one answer; zeroed before its first piece */
typedef struct {
    char         held[SP_EXTRAS_HELD];
    size_t       nheld;
    size_t       nspace;             /* of them before the mark */
    char         tail[SP_EXTRAS_SIZE];
    size_t       len;                /* may be more than was kept */
    unsigned     inside:1;
    unsigned     found:1;
} sp_extras_t;


/* UTF-8 with a NUL, borrowed from root */
typedef struct {
    json_t      *root;               /* owned */
    const char  *emotion;            /* or NULL */
    const char  *actions[SP_EXTRAS_ACTIONS];
    size_t       nactions;
} sp_extras_said_t;


/*
 * A piece of the text, as sp_out_text() writes it into a string of JSON, not
 * cut in an escape.  What may be shown of it and of pieces before it, at most
 * len + SP_EXTRAS_HELD bytes, goes to out.
 */
void sp_extras_feed(sp_extras_t *e, const char *text, size_t len,
    sp_out_t *out);

/* another text begins, or the answer ends: what was held back */
void sp_extras_flush(sp_extras_t *e, sp_out_t *out);

/* 0; or -1: nothing was said, or nothing that is valid.  Then free it */
int sp_extras_read(const sp_extras_t *e, sp_extras_said_t *said);
void sp_extras_free(sp_extras_said_t *said);

/* a JSON object */
void sp_extras_write(const sp_extras_said_t *said, sp_out_t *out);


#endif /* _SP_EXTRAS_H_INCLUDED_ */
