
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

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

/* bytes of dense rows; what a text visits of them fits a cache */
#define SP_MATCH_DENSE_MAX  (8 * 1024 * 1024)

/* symbols: 0 is not seen, 1 is in no term */
#define SP_MATCH_SKIP       0
#define SP_MATCH_OTHER      1

/* contexts: what the last byte was */
#define SP_MATCH_IN_WORD    0
#define SP_MATCH_OFF_WORD   1
#define SP_MATCH_IN_SPACE   2

#define sp_match_align(n)   (((n) + 15) & ~(size_t) 15)


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


/* while building: a trie with sibling lists */
typedef struct {
    uint32_t               child;
    uint32_t               sibling;
    uint32_t               term;
    uint32_t               order;      /* old number of the new node */
    uint16_t               symbol;
} sp_match_trie_t;


struct sp_match_s {
    uint16_t               symbol[3][256];
    uint8_t                context[256];
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


static int sp_match_is_word(uint8_t c);
static int sp_match_is_space(uint8_t c);
static uint8_t sp_match_lower(uint8_t c);
static int sp_match_hidden(uint8_t c);
static void sp_match_classes(sp_match_t *m, const sp_match_term_t *terms,
    size_t n);
static void sp_match_layout(sp_match_t *m, size_t total);
static size_t sp_match_symbols(const sp_match_t *m,
    const sp_match_term_t *term, uint16_t *symbols);
static void sp_match_insert(sp_match_t *m, sp_match_trie_t *trie,
    const sp_match_term_t *term, uint32_t index);
static void sp_match_number(sp_match_t *m, sp_match_trie_t *trie);
static void sp_match_link(sp_match_t *m);
static void sp_match_fill(sp_match_t *m);
static uint32_t sp_match_child(const sp_match_t *m, uint32_t node,
    uint16_t symbol);
static uint32_t sp_match_step(const sp_match_t *m, uint32_t node,
    uint16_t symbol);
static uint32_t sp_match_state(const sp_match_t *m, uint32_t node);
static uint32_t sp_match_node(const sp_match_t *m, uint32_t state);
static int sp_match_report(const sp_match_t *m, uint32_t node, int boundary,
    uint64_t end, sp_match_hit_pt handler, void *data);


#define sp_match_at(m, offset, type)                                          \
    ((type *) (void *) ((uint8_t *) (uintptr_t) (m) + (m)->offset))

#define sp_match_node_at(m)   sp_match_at(m, nodes, sp_match_node_t)
#define sp_match_symbol_at(m) sp_match_at(m, symbols, uint16_t)
#define sp_match_entry_at(m)  sp_match_at(m, entries, sp_match_entry_t)
#define sp_match_row_at(m)    sp_match_at(m, rows, uint32_t)


int
sp_match_sizes(const sp_match_term_t *terms, size_t n, size_t *size,
    size_t *work, size_t *bad)
{
    size_t      i, total;
    uint16_t    symbols[SP_MATCH_MAX_TERM];
    sp_match_t  m;

    *size = 0;
    *work = 0;
    *bad = 0;
    total = 0;

    for (i = 0; i < n; i++) {
        *bad = i;

        if (terms[i].len == 0 || terms[i].len > SP_MATCH_MAX_TERM) {
            return -1;
        }

        total += terms[i].len;

        if (total > SP_MATCH_MAX_SIZE) {
            return -1;
        }
    }

    sp_match_classes(&m, terms, n);

    for (i = 0; i < n; i++) {
        *bad = i;

        if (sp_match_symbols(&m, &terms[i], symbols) == 0) {
            return -1;
        }
    }

    *bad = 0;
    m.nterms = (uint32_t) n;

    sp_match_layout(&m, total);

    *size = m.rows + (size_t) m.ndense * m.nsymbols * sizeof(uint32_t);
    *work = (total + 1) * sizeof(sp_match_trie_t);

    return 0;
}


const sp_match_t *
sp_match_build(const sp_match_term_t *terms, size_t n, void *block,
    size_t size, void *work, size_t work_size)
{
    size_t            bad, need, need_work;
    uint32_t          i;
    sp_match_t       *m;
    sp_match_trie_t  *trie;

    if (sp_match_sizes(terms, n, &need, &need_work, &bad) != 0
        || size < need || work_size < need_work)
    {
        return NULL;
    }

    m = block;
    trie = work;

    sp_match_classes(m, terms, n);
    m->nterms = (uint32_t) n;
    sp_match_layout(m, need_work / sizeof(sp_match_trie_t) - 1);

    m->nnodes = 1;
    trie[0].child = SP_MATCH_NONE;
    trie[0].sibling = SP_MATCH_NONE;
    trie[0].term = SP_MATCH_NONE;
    trie[0].symbol = SP_MATCH_SKIP;

    for (i = 0; i < n; i++) {
        sp_match_insert(m, trie, &terms[i], i);
    }

    if (m->ndense > m->nnodes) {
        m->ndense = m->nnodes;
    }

    sp_match_number(m, trie);
    sp_match_link(m);
    sp_match_fill(m);

    return m;
}


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


static int
sp_match_is_word(uint8_t c)
{
    return c >= 0x80 || (c >= '0' && c <= '9')
           || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}


static int
sp_match_is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}


static uint8_t
sp_match_lower(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') ? (uint8_t) (c | 0x20) : c;
}


static int
sp_match_hidden(uint8_t c)
{
    return (c < ' ' && !sp_match_is_space(c)) || c == 0x7f;
}


static void
sp_match_classes(sp_match_t *m, const sp_match_term_t *terms, size_t n)
{
    size_t    i, k;
    uint8_t   c, context;
    unsigned  b;
    uint16_t  id[2][256];

    memset(m, 0, sizeof(sp_match_t));
    memset(id, 0, sizeof(id));

    m->nsymbols = SP_MATCH_OTHER + 1;

    for (b = 0; b < 256; b++) {
        c = (uint8_t) b;

        if (sp_match_is_space(c)) {
            m->context[b] = SP_MATCH_IN_SPACE;

        } else if (sp_match_is_word(c)) {
            m->context[b] = SP_MATCH_IN_WORD;

        } else {
            m->context[b] = SP_MATCH_OFF_WORD;
        }
    }

    /* only symbols that terms hold get a number: [1] are word starts */

    for (i = 0; i < n; i++) {
        context = (terms[i].flags & SP_MATCH_LEFT) ? SP_MATCH_OFF_WORD
                                                   : SP_MATCH_IN_WORD;

        for (k = 0; k < terms[i].len; k++) {
            c = sp_match_is_space(terms[i].data[k]) ? ' '
                : sp_match_lower(terms[i].data[k]);

            if (sp_match_hidden(c)) {
                continue;
            }

            b = (context != SP_MATCH_IN_WORD && sp_match_is_word(c));
            context = m->context[c];

            if (id[b][c] == 0) {
                id[b][c] = (uint16_t) m->nsymbols++;
            }
        }
    }

    for (b = 0; b < 256; b++) {
        c = sp_match_is_space((uint8_t) b) ? ' '
            : sp_match_lower((uint8_t) b);

        if (sp_match_hidden(c)) {
            continue;
        }

        m->symbol[0][b] = id[0][c] ? id[0][c] : SP_MATCH_OTHER;
        m->symbol[1][b] = id[1][c] ? id[1][c] : m->symbol[0][b];
        m->symbol[2][b] = (c == ' ') ? SP_MATCH_SKIP : m->symbol[1][b];

        if (id[1][c] && id[0][c]) {
            m->plain[id[1][c]] = id[0][c];
        }
    }
}


/* offsets of the parts, for at most "total" nodes besides the root */

static void
sp_match_layout(sp_match_t *m, size_t total)
{
    size_t  dense;

    dense = SP_MATCH_DENSE_MAX / (m->nsymbols * sizeof(uint32_t));

    m->ndense = (uint32_t) (dense < total + 1 ? dense : total + 1);
    m->nodes = sp_match_align(sizeof(sp_match_t));
    m->symbols = sp_match_align(m->nodes
                                + (total + 1) * sizeof(sp_match_node_t));
    m->entries = sp_match_align(m->symbols + (total + 1) * sizeof(uint16_t));
    m->rows = sp_match_align(m->entries
                             + m->nterms * sizeof(sp_match_entry_t));
}


static size_t
sp_match_symbols(const sp_match_t *m, const sp_match_term_t *term,
    uint16_t *symbols)
{
    size_t    i, n;
    uint8_t   c, context;
    uint16_t  symbol;

    n = 0;
    context = (term->flags & SP_MATCH_LEFT) ? SP_MATCH_OFF_WORD
                                            : SP_MATCH_IN_WORD;

    for (i = 0; i < term->len; i++) {
        c = term->data[i];
        symbol = m->symbol[context][c];

        if (symbol != SP_MATCH_SKIP) {
            context = m->context[c];
            symbols[n++] = symbol;
        }
    }

    return n;
}


static void
sp_match_insert(sp_match_t *m, sp_match_trie_t *trie,
    const sp_match_term_t *term, uint32_t index)
{
    size_t             i, n;
    uint8_t            c;
    uint16_t           symbols[SP_MATCH_MAX_TERM];
    uint32_t           child, node;
    sp_match_entry_t  *entry;

    n = sp_match_symbols(m, term, symbols);
    node = 0;

    for (i = 0; i < n; i++) {
        child = trie[node].child;

        while (child != SP_MATCH_NONE && trie[child].symbol != symbols[i]) {
            child = trie[child].sibling;
        }

        if (child == SP_MATCH_NONE) {
            child = m->nnodes++;
            trie[child].child = SP_MATCH_NONE;
            trie[child].sibling = trie[node].child;
            trie[child].term = SP_MATCH_NONE;
            trie[child].symbol = symbols[i];
            trie[node].child = child;
        }

        node = child;
    }

    /* a boundary beside a byte that is in no word is always there */

    for (i = term->len; sp_match_hidden(term->data[i - 1]); i--) {
        /* void */
    }

    c = term->data[i - 1];

    entry = &sp_match_entry_at(m)[index];
    entry->len = (uint8_t) n;
    entry->flags = 0;

    if ((term->flags & SP_MATCH_RIGHT) && sp_match_is_word(c)) {
        entry->flags = SP_MATCH_RIGHT;
    }

    entry->next = trie[node].term;
    trie[node].term = index;
}


/*
 * Breadth-first: the new nodes and their symbols.  Under the root, word-start
 * symbols come last: the failure node of a path that begins with one may be
 * the same path begun plainly, of the same depth, and must have a lower
 * number.
 */

static void
sp_match_number(sp_match_t *m, sp_match_trie_t *trie)
{
    uint16_t         *symbols;
    uint32_t          child, node, tail;
    unsigned          late, pass;
    sp_match_node_t  *nodes;

    nodes = sp_match_node_at(m);
    symbols = sp_match_symbol_at(m);

    trie[0].order = 0;
    nodes[0].depth = 0;
    symbols[0] = SP_MATCH_SKIP;
    tail = 1;

    for (node = 0; node < m->nnodes; node++) {
        nodes[node].term = trie[trie[node].order].term;
        nodes[node].fail = 0;
        nodes[node].suffix = SP_MATCH_NONE;
        nodes[node].child = tail;
        nodes[node].nchildren = 0;

        for (pass = 0; pass < 2; pass++) {
            child = trie[trie[node].order].child;

            while (child != SP_MATCH_NONE) {
                late = (node == 0 && m->plain[trie[child].symbol] != 0);

                if (late == pass) {
                    trie[tail].order = child;
                    symbols[tail] = trie[child].symbol;
                    nodes[tail].depth = (uint16_t) (nodes[node].depth + 1);
                    nodes[node].nchildren++;
                    tail++;
                }

                child = trie[child].sibling;
            }
        }
    }
}


static void
sp_match_link(sp_match_t *m)
{
    uint16_t         *symbols;
    uint32_t          child, fail, i, node;
    sp_match_node_t  *nodes;

    nodes = sp_match_node_at(m);
    symbols = sp_match_symbol_at(m);

    for (node = 0; node < m->nnodes; node++) {
        for (i = 0; i < nodes[node].nchildren; i++) {
            child = nodes[node].child + i;

            if (node != 0) {
                fail = sp_match_step(m, nodes[node].fail, symbols[child]);

            } else {
                /* a term that begins anywhere may begin with a word, too */

                fail = SP_MATCH_NONE;

                if (m->plain[symbols[child]]) {
                    fail = sp_match_child(m, 0, m->plain[symbols[child]]);
                }

                if (fail == SP_MATCH_NONE) {
                    fail = 0;
                }
            }

            nodes[child].fail = fail;
            nodes[child].suffix = (nodes[fail].term != SP_MATCH_NONE)
                                  ? fail : nodes[fail].suffix;
        }
    }
}


static void
sp_match_fill(sp_match_t *m)
{
    uint16_t         *symbols;
    uint32_t          child, i, node, *row, *rows;
    sp_match_node_t  *nodes;

    nodes = sp_match_node_at(m);
    symbols = sp_match_symbol_at(m);
    rows = sp_match_row_at(m);

    for (node = 0; node < m->ndense; node++) {
        row = &rows[node * m->nsymbols];

        if (node == 0) {
            for (i = 0; i < m->nsymbols; i++) {
                row[i] = sp_match_state(m, sp_match_step(m, 0, (uint16_t) i));
            }

            continue;
        }

        /* a failure node has a lower number: its row is there */

        memcpy(row, &rows[nodes[node].fail * m->nsymbols],
               m->nsymbols * sizeof(uint32_t));

        for (i = 0; i < nodes[node].nchildren; i++) {
            child = nodes[node].child + i;
            row[symbols[child]] = sp_match_state(m, child);
        }
    }
}


static uint32_t
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


static uint32_t
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


static uint32_t
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
