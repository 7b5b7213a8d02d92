
/*
 * Copyright (C) Sallyport authors
 *
 * Pieces into tokens.  The bytes of a piece are a list of nodes; pairs that
 * are a token together wait in a heap, the lowest rank first, of one rank
 * the leftmost.  A pair that has changed since is passed over when it comes
 * up.  So a piece of n bytes costs n log n, whatever it is made of.
 */

#include "sp_bpe_int.h"


#define SP_BPE_NIL   UINT16_MAX

#define sp_bpe_entry(rank, node)  ((uint64_t) (rank) << 16 | (node))


static size_t sp_bpe_cost(size_t len);
static size_t sp_bpe_merge(const sp_bpe_t *bpe, sp_bpe_work_t *work,
    const uint8_t *p, size_t len);
static size_t sp_bpe_init(const sp_bpe_t *bpe, sp_bpe_work_t *work,
    const uint8_t *p, size_t len);
static void sp_bpe_join(sp_bpe_work_t *work, size_t node, size_t len);
static void sp_bpe_down(uint64_t *heap, size_t n, size_t i);
static void sp_bpe_push(uint64_t *heap, size_t n, uint64_t entry);
static const char *sp_bpe_piece(const sp_bpe_t *bpe, const char *p,
    const char *last);


size_t
sp_bpe_count(const sp_bpe_t *bpe, sp_bpe_work_t *work, const char *text,
    size_t len, size_t *tokens, size_t *effort)
{
    size_t       cost, n;
    const char  *end, *last, *p;

    p = text;
    last = text + len;

    while (p < last && *effort != 0) {
        end = sp_bpe_piece(bpe, p, last);
        n = (size_t) (end - p);

        if (sp_bpe_rank(bpe, (const uint8_t *) p, n) != SP_BPE_NONE) {
            cost = n;
            (*tokens)++;

        } else {
            cost = sp_bpe_cost(n);
            *tokens += sp_bpe_merge(bpe, work, (const uint8_t *) p, n);
        }

        *effort -= (cost < *effort) ? cost : *effort;
        p = end;
    }

    return (size_t) (p - text);
}


size_t
sp_bpe_encode(const sp_bpe_t *bpe, sp_bpe_work_t *work, const char *text,
    size_t len, uint32_t *ids, size_t n)
{
    size_t       node, total;
    uint32_t     rank;
    const char  *end, *last, *p;

    total = 0;
    last = text + len;

    for (p = text; p < last; p = end) {
        end = sp_bpe_piece(bpe, p, last);
        rank = sp_bpe_rank(bpe, (const uint8_t *) p, (size_t) (end - p));

        if (rank != SP_BPE_NONE) {

            if (total < n) {
                ids[total] = rank;
            }

            total++;
            continue;
        }

        (void) sp_bpe_merge(bpe, work, (const uint8_t *) p,
                            (size_t) (end - p));

        for (node = 0; node < (size_t) (end - p); node = work->next[node]) {

            if (total < n) {
                ids[total] = work->id[node];
            }

            total++;
        }
    }

    return total;
}


static const char *
sp_bpe_piece(const sp_bpe_t *bpe, const char *p, const char *last)
{
    const char  *end;

    end = sp_bpe_split(bpe->pattern, p, last);

    return (end - p > SP_BPE_PIECE) ? p + SP_BPE_PIECE : end;
}


/* n log n, as the heap has it */

static size_t
sp_bpe_cost(size_t len)
{
    size_t  cost, n;

    cost = SP_BPE_MERGE;

    for (n = len; n > 1; n /= 2) {
        cost++;
    }

    return cost * len;
}


/* returns the number of tokens: nodes from 0 on, by work->next */

static size_t
sp_bpe_merge(const sp_bpe_t *bpe, sp_bpe_work_t *work, const uint8_t *p,
    size_t len)
{
    size_t     n, node, other, tokens;
    uint32_t   rank;
    uint64_t   top, *heap;

    heap = work->heap;
    n = sp_bpe_init(bpe, work, p, len);
    tokens = len;

    while (n != 0) {
        top = heap[0];

        heap[0] = heap[--n];
        sp_bpe_down(heap, n, 0);

        node = (size_t) (top & 0xffff);

        if (work->pair[node] != (uint32_t) (top >> 16)) {
            continue;
        }

        sp_bpe_join(work, node, len);
        tokens--;

        other = work->next[node];

        if (other != len) {
            rank = sp_bpe_rank(bpe, p + node, work->next[other] - node);
            work->pair[node] = rank;

            if (rank != SP_BPE_NONE) {
                sp_bpe_push(heap, n++, sp_bpe_entry(rank, node));
            }
        }

        other = work->prev[node];

        if (other != SP_BPE_NIL) {
            rank = sp_bpe_rank(bpe, p + other, work->next[node] - other);
            work->pair[other] = rank;

            if (rank != SP_BPE_NONE) {
                sp_bpe_push(heap, n++, sp_bpe_entry(rank, other));
            }
        }
    }

    return tokens;
}


/* a node for each byte; returns the size of the heap */

static size_t
sp_bpe_init(const sp_bpe_t *bpe, sp_bpe_work_t *work, const uint8_t *p,
    size_t len)
{
    size_t    i, n;
    uint32_t  rank;

    n = 0;

    for (i = 0; i < len; i++) {
        work->id[i] = bpe->byte[p[i]];
        work->next[i] = (uint16_t) (i + 1);
        work->prev[i] = (i == 0) ? SP_BPE_NIL : (uint16_t) (i - 1);

        rank = (i + 1 < len) ? bpe->two[p[i] << 8 | p[i + 1]] : SP_BPE_NONE;
        work->pair[i] = rank;

        if (rank != SP_BPE_NONE) {
            work->heap[n++] = sp_bpe_entry(rank, i);
        }
    }

    for (i = n / 2; i != 0; i--) {
        sp_bpe_down(work->heap, n, i - 1);
    }

    return n;
}


/* a node takes the next one in */

static void
sp_bpe_join(sp_bpe_work_t *work, size_t node, size_t len)
{
    size_t  gone, next;

    gone = work->next[node];
    next = work->next[gone];

    work->id[node] = work->pair[node];
    work->next[node] = (uint16_t) next;
    work->pair[node] = SP_BPE_NONE;
    work->pair[gone] = SP_BPE_NONE;

    if (next != len) {
        work->prev[next] = (uint16_t) node;
    }
}


static void
sp_bpe_down(uint64_t *heap, size_t n, size_t i)
{
    size_t    child;
    uint64_t  entry;

    entry = heap[i];

    for ( ;; ) {
        child = 2 * i + 1;

        if (child >= n) {
            break;
        }

        if (child + 1 < n && heap[child + 1] < heap[child]) {
            child++;
        }

        if (entry <= heap[child]) {
            break;
        }

        heap[i] = heap[child];
        i = child;
    }

    heap[i] = entry;
}


static void
sp_bpe_push(uint64_t *heap, size_t n, uint64_t entry)
{
    size_t  i;

    for (i = n; i != 0 && entry < heap[(i - 1) / 2]; i = (i - 1) / 2) {
        heap[i] = heap[(i - 1) / 2];
    }

    heap[i] = entry;
}
