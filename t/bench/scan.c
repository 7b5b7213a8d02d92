
/*
 * Copyright (C) Sallyport authors
 *
 * The keyword scan alone: 4,500 made-up terms over prose that holds none of
 * them, and over prose in chunks of 4 bytes, as streams bring it.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sp_match.h"


#define TERMS   4500
#define ROUNDS  2000


static double now(void);
static void make_terms(sp_match_term_t *terms);
static const sp_match_t *build(const sp_match_term_t *terms);
static int hit(void *data, uint32_t term, uint64_t end);


static const char  prose[] =
    "Down by the harbour the lamps come on one after the other, and whoever "
    "has nothing to mend tonight sits on the wall, talks about the weather of "
    "last year, and waits for the ferry that is late as always. ";


int
main(void)
{
    int                i;
    size_t             at, len;
    double             begin, chunk, whole;
    uint64_t           hits;
    static char        text[64 * 1024];
    sp_match_scan_t    scan;
    const sp_match_t  *m;

    static sp_match_term_t  terms[TERMS];

    for (len = 0; len + sizeof(prose) < sizeof(text); len += strlen(prose)) {
        memcpy(text + len, prose, strlen(prose));
    }

    make_terms(terms);

    m = build(terms);
    if (m == NULL) {
        fprintf(stderr, "scan: cannot build the automaton\n");
        return 1;
    }

    hits = 0;
    begin = now();

    for (i = 0; i < ROUNDS; i++) {
        sp_match_init(m, &scan);
        (void) sp_match_scan(m, &scan, (uint8_t *) text, len, hit, &hits);
    }

    whole = (now() - begin) / ROUNDS;
    begin = now();

    for (i = 0; i < ROUNDS / 10; i++) {
        sp_match_init(m, &scan);

        for (at = 0; at + 4 <= len; at += 4) {
            (void) sp_match_scan(m, &scan, (uint8_t *) text + at, 4, hit,
                                 &hits);
        }
    }

    chunk = (now() - begin) / (ROUNDS / 10) / (double) (len / 4);

    printf("%.0f MB/s, %.1f ns for a chunk of 4 bytes, %lu hits\n",
           (double) len / whole / 1e6, chunk * 1e9, (unsigned long) hits);

    return 0;
}


static double
now(void)
{
    struct timespec  t;

    (void) clock_gettime(CLOCK_MONOTONIC, &t);

    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}


/* of 4 to 11 letters, none of which is a word; a vowel now and then */

static void
make_terms(sp_match_term_t *terms)
{
    int          i, k, len;
    uint32_t     seed;
    static char  pool[TERMS][12];

    static const char  letters[] = "aeioubcdfghjklmnpqrstvwxyz";

    seed = 1;

    for (i = 0; i < TERMS; i++) {
        len = 4 + i % 8;

        for (k = 0; k < len; k++) {
            seed = seed * 1664525 + 1013904223;
            pool[i][k] = letters[(seed >> 16) % (sizeof(letters) - 1)];
        }

        terms[i].data = (uint8_t *) pool[i];
        terms[i].len = (size_t) len;
        terms[i].flags = SP_MATCH_WORD;
    }
}


static const sp_match_t *
build(const sp_match_term_t *terms)
{
    void    *block, *work;
    size_t   bad, need, size;

    if (sp_match_sizes(terms, TERMS, &size, &need, &bad) != 0) {
        return NULL;
    }

    block = malloc(size);
    work = malloc(need);

    if (block == NULL || work == NULL) {
        return NULL;
    }

    return sp_match_build(terms, TERMS, block, size, work, need);
}


static int
hit(void *data, uint32_t term, uint64_t end)
{
    (void) term;
    (void) end;

    (*(uint64_t *) data)++;

    return 0;
}
