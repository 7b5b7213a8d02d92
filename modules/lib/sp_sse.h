
/*
 * Copyright (C) Sallyport authors
 *
 * Incremental parser of event streams (WHATWG HTML, "Server-sent events"):
 * safe at any byte split; CR, LF and CRLF; comments; several data lines.  JSON
 * that stands between events without "data:" is not lost: see "naked".
 *
 * It is made for forwarding: every event comes with its raw bytes, so that
 * what is passed on is what was received.  An event that lies in one input is
 * not copied; only one that is split over inputs is gathered in memory the
 * caller gives.
 */

#ifndef _SP_SSE_H_INCLUDED_
#define _SP_SSE_H_INCLUDED_


#include <stddef.h>


typedef enum {
    SP_SSE_EVENT = 0,    /* *event is filled, *pos is behind it */
    SP_SSE_AGAIN,        /* the input is used up */
    SP_SSE_FULL,         /* more memory is needed: sp_sse_memory(), again */
    SP_SSE_PART          /* after sp_sse_pass(): raw is more of that event */
} sp_sse_status_e;


typedef struct {
    const char           *raw;       /* with its terminating blank line */
    size_t                raw_len;
    const char           *data;      /* lines joined by LF; NULL: no data */
    size_t                data_len;
    const char           *name;      /* of the "event" field; NULL: none */
    size_t                name_len;
    unsigned              gathered:1;    /* raw is in the caller's memory */
    unsigned              naked:1;       /* no field at all: data is JSON as
                                            it stands there, which is how
                                            some servers say an error */
    unsigned              last:1;    /* of a part: the event ends with it */
} sp_sse_event_t;


/* zero-filled to begin with */
typedef struct {
    char                 *buf;
    size_t                size;
    size_t                len;       /* bytes of a split event so far */
    size_t                need;      /* of memory, after SP_SSE_FULL */
    unsigned              line:1;    /* the current line has bytes */
    unsigned              cr:1;      /* the last byte was CR */
    unsigned              started:1; /* behind a possible byte order mark */
    unsigned              spent:1;   /* buf holds an event handed out */
    unsigned              pass:1;    /* parts are handed out */
    unsigned              lines:1;   /* set before: no SSE, each line that
                                        is not empty is an event's data */
} sp_sse_t;


/*
 * In: [*pos, last), the bytes received.  Out: *pos moves to what is not yet
 * consumed.  The event is valid until the next call, its raw and data bytes
 * as long as the input or the given memory they lie in.
 */
sp_sse_status_e sp_sse_next(sp_sse_t *sse, const char **pos,
    const char *last, sp_sse_event_t *event);

/*
 * Gives memory of at least sse->need bytes; what was gathered is copied into
 * it.  The caller sets the cap: it stops instead of giving more.
 */
void sp_sse_memory(sp_sse_t *sse, char *buf, size_t size);

/*
 * After an event with "gathered" set: the memory stays the caller's and will
 * not be written again; the next split event asks for other memory.
 */
void sp_sse_take(sp_sse_t *sse);

/*
 * After SP_SSE_FULL, in place of memory: the event will not be gathered.  The
 * len bytes of it in the given memory are the caller's, which is not written
 * again; what follows comes in parts, with their raw bytes only.
 */
void sp_sse_pass(sp_sse_t *sse);

/*
 * At the end of the input.  The specification discards an event without its
 * blank line; a forwarder wants to see it: SP_SSE_EVENT when something is
 * left (raw is what was received), else SP_SSE_AGAIN.  SP_SSE_FULL as above.
 */
sp_sse_status_e sp_sse_end(sp_sse_t *sse, sp_sse_event_t *event);


#endif /* _SP_SSE_H_INCLUDED_ */
