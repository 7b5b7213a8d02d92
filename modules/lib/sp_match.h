
/*
 * Copyright (C) Sallyport authors
 *
 * Many literal terms at once: an Aho-Corasick automaton over bytes.
 *
 * ASCII case does not matter, a run of white space is one space, other ASCII
 * control characters are not seen.  Terms and texts beyond ASCII pass
 * sp_unicode first.  Word bytes are ASCII letters, digits and all bytes
 * above 0x7f.
 *
 * The left word boundary is part of the automaton: a word byte that follows a
 * non-word byte is a symbol of its own, so bounded terms leave the root only
 * at the start of a word and most bytes of a text stay in one table row.  The
 * right boundary is decided by the next byte, which may come later.
 */

#ifndef _SP_MATCH_H_INCLUDED_
#define _SP_MATCH_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


#define SP_MATCH_LEFT      1      /* the term begins a word */
#define SP_MATCH_RIGHT     2      /* the term ends a word */
#define SP_MATCH_WORD      (SP_MATCH_LEFT|SP_MATCH_RIGHT)

#define SP_MATCH_MAX_TERM  255    /* bytes of one term */
#define SP_MATCH_MAX_SIZE  (64 * 1024 * 1024)    /* bytes of all terms */


typedef struct {
    const uint8_t         *data;
    size_t                 len;
    unsigned               flags;
} sp_match_term_t;


typedef struct sp_match_s  sp_match_t;


/* where a scan is; zeroed by sp_match_init(), copied freely */
typedef struct {
    uint32_t               state;
    uint32_t               pending;     /* hit that waits for a boundary */
    uint64_t               offset;      /* bytes scanned */
    uint64_t               end;         /* of the pending hit */
    uint8_t                context;
} sp_match_scan_t;


/* offset "end" is one past the last byte of the hit; not 0: stop the scan */
typedef int (*sp_match_hit_pt)(void *data, uint32_t term, uint64_t end);


/*
 * Bytes needed for the automaton and for building it.  Returns -1 when a
 * term is empty, too long or has no visible byte, with its index in *bad.
 */
int sp_match_sizes(const sp_match_term_t *terms, size_t n, size_t *size,
    size_t *work, size_t *bad);

/*
 * Builds into block (size bytes, aligned for pointers), which must live as
 * long as the automaton; work is free afterwards, and so are the terms.  The
 * block holds no pointer to itself.
 */
const sp_match_t *sp_match_build(const sp_match_term_t *terms, size_t n,
    void *block, size_t size, void *work, size_t work_size);

void sp_match_init(const sp_match_t *m, sp_match_scan_t *scan);

/*
 * Scans a further piece of the text.  Hits are reported in order of their
 * end, as indices of the term array.  Returns what the handler returned when
 * not 0, else 0.
 */
int sp_match_scan(const sp_match_t *m, sp_match_scan_t *scan,
    const uint8_t *p, size_t len, sp_match_hit_pt handler, void *data);

/* the text has ended here */
int sp_match_finish(const sp_match_t *m, sp_match_scan_t *scan,
    sp_match_hit_pt handler, void *data);

/*
 * The first byte of a hit, walking back from its end over [begin, end) as
 * scanned; begin when the term does not fit, which no hit can cause
 */
const uint8_t *sp_match_start(const sp_match_t *m, uint32_t term,
    const uint8_t *begin, const uint8_t *end);

/*
 * How many symbols at the end of what was scanned may still become part of a
 * hit; 0: none of it
 */
size_t sp_match_live(const sp_match_t *m, const sp_match_scan_t *scan);


#endif /* _SP_MATCH_H_INCLUDED_ */
