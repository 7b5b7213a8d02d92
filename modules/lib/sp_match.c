
/*
 * Copyright (C) Sallyport authors
 *
 * The walk through a text, see sp_match.h; sp_match_build.c makes the
 * automaton.
 */

#include <string.h>

#include "sp_match_int.h"


static uint32_t sp_match_node(const sp_match_t *m, uint32_t state);
static int sp_match_report(const sp_match_t *m, uint32_t node, int boundary,
    uint64_t end, sp_match_hit_pt handler, void *data);


void
sp_match_init(const sp_match_t *m, sp_match_scan_t *scan)
{
    memset(scan, 0, sizeof(sp_match_scan_t));

    scan->state = sp_match_state(m, 0);
    scan->pending = SP_MATCH_NONE;
    scan->context = SP_MATCH_OFF_WORD;
}


int
sp_match_scan(const sp_match_t *m, sp_match_scan_t *scan, const uint8_t *p,
    size_t len, sp_match_hit_pt handler, void *data)
{
    int              rc;
    uint8_t          context;
    uint16_t         symbol;
    uint32_t         pending, state;
    const uint8_t   *begin, *last;
    const uint32_t  *rows;

    begin = p;
    last = p + len;
    context = scan->context;
    pending = scan->pending;
    state = scan->state;
    rows = sp_match_row_at(m);
    rc = 0;

    for ( /* void */ ; p < last; p++) {

        /* the rest of a word that no term begins with: no row is read */

        if (state == SP_MATCH_ROOT && context == SP_MATCH_IN_WORD
            && pending == SP_MATCH_NONE)
        {
            while (m->rest[*p]) {
                if (++p == last) {
                    goto done;
                }
            }
        }

        if (pending != SP_MATCH_NONE && !sp_match_hidden(*p)) {
            rc = sp_match_report(m, pending, !sp_match_is_word(*p),
                                 scan->end, handler, data);
            pending = SP_MATCH_NONE;

            if (rc != 0) {
                break;
            }
        }

        symbol = m->symbol[context][*p];

        if (symbol == SP_MATCH_SKIP) {
            continue;
        }

        context = m->context[*p];

        if (state & SP_MATCH_SPARSE) {
            state = sp_match_state(m,
                             sp_match_step(m, state & SP_MATCH_INDEX, symbol));
        } else {
            state = rows[(state & SP_MATCH_INDEX) + symbol];
        }

        if (state & SP_MATCH_HIT) {
            pending = sp_match_node(m, state);
            scan->end = scan->offset + (uint64_t) (p + 1 - begin);
        }
    }

done:

    scan->offset += (uint64_t) (p - begin);
    scan->context = context;
    scan->pending = pending;
    scan->state = state;

    return rc;
}


int
sp_match_finish(const sp_match_t *m, sp_match_scan_t *scan,
    sp_match_hit_pt handler, void *data)
{
    uint32_t  node;

    node = scan->pending;

    if (node == SP_MATCH_NONE) {
        return 0;
    }

    scan->pending = SP_MATCH_NONE;

    return sp_match_report(m, node, 1, scan->end, handler, data);
}


const uint8_t *
sp_match_start(const sp_match_t *m, uint32_t term, const uint8_t *begin,
    const uint8_t *end)
{
    size_t          left;
    const uint8_t  *p;

    left = sp_match_entry_at(m)[term].len;

    for (p = end; p > begin && left > 0; /* void */) {
        p--;

        if (sp_match_hidden(*p)) {
            continue;
        }

        /* of a run of spaces the first one is the symbol */

        if (sp_match_is_space(*p) && p > begin && sp_match_is_space(p[-1])) {
            continue;
        }

        left--;
    }

    return p;
}


size_t
sp_match_live(const sp_match_t *m, const sp_match_scan_t *scan)
{
    uint32_t  node;

    node = sp_match_node(m, scan->state);

    if (scan->pending == SP_MATCH_NONE) {
        return sp_match_node_at(m)[node].depth;
    }

    /* the longest term that waits begins no later than the live prefix */

    return sp_match_node_at(m)[scan->pending].depth;
}


int
sp_match_is_word(uint8_t c)
{
    return c >= 0x80 || (c >= '0' && c <= '9')
           || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}


int
sp_match_is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}


uint8_t
sp_match_lower(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') ? (uint8_t) (c | 0x20) : c;
}


int
sp_match_hidden(uint8_t c)
{
    return (c < ' ' && !sp_match_is_space(c)) || c == 0x7f;
}


uint32_t
sp_match_child(const sp_match_t *m, uint32_t node, uint16_t symbol)
{
    uint32_t                i, last;
    const uint16_t         *symbols;
    const sp_match_node_t  *n;

    n = &sp_match_node_at(m)[node];
    symbols = sp_match_symbol_at(m);
    last = n->child + n->nchildren;

    for (i = n->child; i < last; i++) {
        if (symbols[i] == symbol) {
            return i;
        }
    }

    return SP_MATCH_NONE;
}


uint32_t
sp_match_step(const sp_match_t *m, uint32_t node, uint16_t symbol)
{
    uint32_t                child;
    const sp_match_node_t  *nodes;

    nodes = sp_match_node_at(m);

    for ( ;; ) {
        child = sp_match_child(m, node, symbol);

        if (child != SP_MATCH_NONE) {
            return child;
        }

        if (node == 0) {
            break;
        }

        node = nodes[node].fail;
    }

    if (m->plain[symbol]) {
        child = sp_match_child(m, 0, m->plain[symbol]);

        if (child != SP_MATCH_NONE) {
            return child;
        }
    }

    return 0;
}


uint32_t
sp_match_state(const sp_match_t *m, uint32_t node)
{
    uint32_t                state;
    const sp_match_node_t  *n;

    n = &sp_match_node_at(m)[node];

    state = (node < m->ndense) ? node * m->nsymbols : node | SP_MATCH_SPARSE;

    if (n->term != SP_MATCH_NONE || n->suffix != SP_MATCH_NONE) {
        state |= SP_MATCH_HIT;
    }

    return state;
}


static uint32_t
sp_match_node(const sp_match_t *m, uint32_t state)
{
    if (state & SP_MATCH_SPARSE) {
        return state & SP_MATCH_INDEX;
    }

    return (state & SP_MATCH_INDEX) / m->nsymbols;
}


static int
sp_match_report(const sp_match_t *m, uint32_t node, int boundary,
    uint64_t end, sp_match_hit_pt handler, void *data)
{
    int                      rc;
    uint32_t                 term;
    const sp_match_node_t   *nodes;
    const sp_match_entry_t  *entries;

    nodes = sp_match_node_at(m);
    entries = sp_match_entry_at(m);

    while (node != SP_MATCH_NONE) {
        term = nodes[node].term;

        while (term != SP_MATCH_NONE) {

            if (boundary || !(entries[term].flags & SP_MATCH_RIGHT)) {
                rc = handler(data, term, end);

                if (rc != 0) {
                    return rc;
                }
            }

            term = entries[term].next;
        }

        node = nodes[node].suffix;
    }

    return 0;
}
