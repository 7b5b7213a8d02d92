
/*
 * Copyright (C) Sallyport authors
 *
 * Makes the automaton from the terms: a trie, its nodes in breadth-first
 * order, their failure links, the dense rows.
 */

#include <string.h>

#include "sp_match_int.h"


/* bytes of dense rows; what a text visits of them fits a cache */
#define SP_MATCH_DENSE_MAX  (8 * 1024 * 1024)

#define sp_match_align(n)   (((n) + 15) & ~(size_t) 15)


/* while building: a trie with sibling lists */
typedef struct {
    uint32_t               child;
    uint32_t               sibling;
    uint32_t               term;
    uint32_t               order;      /* old number of the new node */
    uint16_t               symbol;
} sp_match_trie_t;


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

    for (i = 0; i < 256; i++) {
        m->rest[i] = (m->context[i] == SP_MATCH_IN_WORD
                      && rows[m->symbol[SP_MATCH_IN_WORD][i]]
                         == SP_MATCH_ROOT);
    }
}
