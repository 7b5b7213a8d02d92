
/*
 * Copyright (C) Sallyport authors
 *
 * W3C Trace Context (Recommendation of 23 November 2021): the headers
 * "traceparent" (3.2) and "tracestate" (3.3).
 */

#ifndef _SP_TRACE_H_INCLUDED_
#define _SP_TRACE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "sp_rc.h"


#define SP_TRACE_ID        32      /* characters: lower case hexadecimal */
#define SP_TRACE_SPAN      16

/* "00-" trace "-" span "-" flags */
#define SP_TRACE_PARENT    55

#define SP_TRACE_SAMPLED   0x01

/* list members of a tracestate, over all of its header lines (3.3.1.1) */
#define SP_TRACE_MEMBERS   32


typedef struct {
    char       id[SP_TRACE_ID];
    char       span[SP_TRACE_SPAN];
    unsigned   flags;                  /* 0..255 */
} sp_trace_t;


/*
 * Out: trace.  SP_ERROR: invalid, as are the version ff and ids of zeros; of
 * a version above 00 what this one knows is read (4.3, 3.2.4).
 */
int sp_trace_parse(sp_trace_t *trace, const char *text, size_t len);

/* SP_TRACE_PARENT characters, of version 00; of the flags only "sampled" */
void sp_trace_write(char *dst, const sp_trace_t *trace);

/*
 * One header line of a tracestate: *n is raised by its list members.
 * SP_ERROR: it is malformed, or *n is above SP_TRACE_MEMBERS.
 */
int sp_trace_state(const char *text, size_t len, size_t *n);


#endif /* _SP_TRACE_H_INCLUDED_ */
