
/*
 * Copyright (C) Sallyport authors
 *
 * Private to sp_match: the automaton's memory.
 */

#ifndef _SP_MATCH_INT_H_INCLUDED_
#define _SP_MATCH_INT_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "sp_match.h"


/*
 * The block: this header, then nodes, symbols, terms and dense rows, found by
 * offsets.  Nodes are numbered in breadth-first order, so that the children
 * of a node are neighbours and the nodes near the root, which have dense
 * rows, come first.  Deeper nodes are followed by a search among their few
 * children and by failure links.
 *
 * A state is a number: of a node, with SP_MATCH_SPARSE set, or the start of
 * its dense row.  SP_MATCH_HIT tells that a term ends there.
 */

#define SP_MATCH_HIT        0x80000000u
#define SP_MATCH_SPARSE     0x40000000u
#define SP_MATCH_INDEX      0x3fffffffu

#define SP_MATCH_NONE       0xffffffffu

/* the state of node 0, always a dense row */
#define SP_MATCH_ROOT       0

/* symbols: 0 is not seen, 1 is in no term */
#define SP_MATCH_SKIP       0
#define SP_MATCH_OTHER      1

/* contexts: what the last byte was */
#define SP_MATCH_IN_WORD    0
#define SP_MATCH_OFF_WORD   1
#define SP_MATCH_IN_SPACE   2


typedef struct {
    uint32_t               fail;
    uint32_t               child;      /* first one */
    uint32_t               term;       /* first that ends here, or NONE */
    uint32_t               suffix;     /* nearest failure node with a term */
    uint16_t               nchildren;
    uint16_t               depth;
} sp_match_node_t;


typedef struct {
    uint32_t               next;       /* of the same text */
    uint8_t                len;        /* in symbols */
    uint8_t                flags;
} sp_match_entry_t;


struct sp_match_s {
    uint16_t               symbol[3][256];
    uint8_t                context[256];
    uint8_t                rest[256];   /* inside of a word: nothing begins */
    uint16_t               plain[512];  /* of a word-start symbol */
    uint32_t               nsymbols;
    uint32_t               nnodes;
    uint32_t               ndense;
    uint32_t               nterms;
    size_t                 nodes;       /* offsets from the header */
    size_t                 symbols;
    size_t                 entries;
    size_t                 rows;
};


#define sp_match_at(m, offset, type)                                          \
    ((type *) (void *) ((uint8_t *) (uintptr_t) (m) + (m)->offset))

#define sp_match_node_at(m)   sp_match_at(m, nodes, sp_match_node_t)
#define sp_match_symbol_at(m) sp_match_at(m, symbols, uint16_t)
#define sp_match_entry_at(m)  sp_match_at(m, entries, sp_match_entry_t)
#define sp_match_row_at(m)    sp_match_at(m, rows, uint32_t)


int sp_match_is_word(uint8_t c);
int sp_match_is_space(uint8_t c);
uint8_t sp_match_lower(uint8_t c);
int sp_match_hidden(uint8_t c);

/* a node, or SP_MATCH_NONE */
uint32_t sp_match_child(const sp_match_t *m, uint32_t node, uint16_t symbol);

/* a node: the child, or that of the nearest failure node that has one */
uint32_t sp_match_step(const sp_match_t *m, uint32_t node, uint16_t symbol);

uint32_t sp_match_state(const sp_match_t *m, uint32_t node);


#endif /* _SP_MATCH_INT_H_INCLUDED_ */
