
/*
 * Copyright (C) Sallyport authors
 */

#include "tap.h"

#include "sp_match.h"


#define MAX_HITS  4096


typedef struct {
    size_t               n;
    uint32_t             term[MAX_HITS];
    uint64_t             end[MAX_HITS];
} hits_t;


typedef struct {
    const sp_match_t    *m;
    void                *block;
    size_t               nterms;
    sp_match_term_t      terms[64];
} set_t;


static void test_words(void);
static void test_splits(void);
static void test_random(void);
static void test_refused(void);
static void test_start_and_live(void);

static int hit(void *data, uint32_t term, uint64_t end);
static int stop(void *data, uint32_t term, uint64_t end);
static void build(set_t *set);
static void add(set_t *set, const char *text, unsigned flags);
static void scan(const set_t *set, const uint8_t *text, size_t len,
    size_t split, hits_t *hits);
static void naive(const set_t *set, const uint8_t *text, size_t len,
    hits_t *hits);
static int is_word(int c);
static size_t symbols(const uint8_t *text, size_t len, int *symbol,
    size_t *end);
static uint32_t random_next(uint32_t *seed);


int
main(void)
{
    test_words();
    test_splits();
    test_random();
    test_refused();
    test_start_and_live();

    return tap_done();
}


static void
test_words(void)
{
    size_t   i;
    set_t    set;
    hits_t   hits;

    static const struct {
        const char  *text;
        size_t       hits;
    } cases[] = {
        { "ass", 1 },
        { "an ASS.", 1 },
        { "class", 0 },
        { "assess", 0 },
        { "a_ass_b", 1 },
        { "ass ass", 2 },
        { "Scunthorpe", 0 },
        { "kill yourself", 1 },
        { "kill \t  yourself!", 1 },
        { "killyourself", 0 },
        { "skill yourself", 0 },
        { "kill yourselfs", 0 },
        { "as\x01s", 1 },
        { "ass\x7f", 1 },
        { "ass\xc3\xa9", 0 },
        { "\xc3\xa9""ass", 0 },
        { "xbadx", 1 },
        { "bad", 1 },
        { "BADBADbad", 3 },
        { "b$d", 1 },
        { "ab$d", 1 },
        { "prefixes and preen", 2 },
        { "upre", 0 },
        { "wording suffering", 2 },
        { "ings", 0 },
        { "<|im_start|>", 1 },
        { "x<|IM_START|>x", 1 },
        { "", 0 }
    };

    memset(&set, 0, sizeof(set));
    add(&set, "ass", SP_MATCH_WORD);
    add(&set, "Kill  Yourself", SP_MATCH_WORD);
    add(&set, "bad", 0);
    add(&set, "b$d", 0);
    add(&set, "pre", SP_MATCH_LEFT);
    add(&set, "ing", SP_MATCH_RIGHT);
    add(&set, "<|im_start|>", SP_MATCH_WORD);
    add(&set, "cunt", SP_MATCH_WORD);
    build(&set);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        scan(&set, (const uint8_t *) cases[i].text, strlen(cases[i].text), 0,
             &hits);
        TAP_IS_INT(hits.n, cases[i].hits, "\"%s\"", cases[i].text);
    }

    free(set.block);
}


/* every split point, with all suffixes of one another as terms */

static void
test_splits(void)
{
    size_t        i, k, len, wrong;
    set_t         set;
    hits_t        hits, whole;
    const char   *text;

    text = "she sells hers; ushers  his\x01hers hershe \xd1\x8f he sh e she";
    len = strlen(text);

    memset(&set, 0, sizeof(set));
    add(&set, "he", 0);
    add(&set, "she", SP_MATCH_WORD);
    add(&set, "his", SP_MATCH_LEFT);
    add(&set, "hers", SP_MATCH_RIGHT);
    add(&set, "hers", 0);
    add(&set, "s h", SP_MATCH_RIGHT);
    add(&set, "e", SP_MATCH_WORD);
    add(&set, "\xd1\x8f he", SP_MATCH_WORD);
    build(&set);

    scan(&set, (const uint8_t *) text, len, 0, &whole);
    naive(&set, (const uint8_t *) text, len, &hits);

    TAP_IS_INT(whole.n, hits.n, "as many hits as a plain search");
    TAP_OK(whole.n > 12, "and not few");

    wrong = 0;

    for (i = 0; i <= len; i++) {
        scan(&set, (const uint8_t *) text, len, i, &hits);

        if (hits.n != whole.n) {
            wrong++;
            continue;
        }

        for (k = 0; k < hits.n; k++) {
            wrong += (hits.term[k] != whole.term[k]
                      || hits.end[k] != whole.end[k]);
        }
    }

    TAP_IS_INT(wrong, 0, "the same hits at every split point");

    free(set.block);
}


static void
test_random(void)
{
    char      buf[64][12];
    size_t    i, k, len, pos, round, total, wrong;
    set_t     set;
    hits_t    hits, expected;
    uint8_t   text[200];
    uint32_t  seed;

    static const char  alphabet[] = "aabbA  .\x01\xc3";

    seed = 7;
    wrong = 0;
    total = 0;

    for (round = 0; round < 3000; round++) {
        memset(&set, 0, sizeof(set));

        for (i = 0; i < 1 + round % 24; i++) {
            len = 1 + random_next(&seed) % 6;

            for (k = 0; k < len; k++) {
                buf[i][k] = alphabet[random_next(&seed) % 8];
            }

            /* a term has a visible byte at both ends, as rules have */

            buf[i][0] = 'a';
            buf[i][len - 1] = (random_next(&seed) % 4) ? 'b' : '.';
            buf[i][len] = '\0';

            add(&set, buf[i], random_next(&seed) % 4);
        }

        build(&set);

        len = random_next(&seed) % sizeof(text);

        for (k = 0; k < len; k++) {
            text[k] = (uint8_t) alphabet[random_next(&seed)
                                         % (sizeof(alphabet) - 1)];
        }

        naive(&set, text, len, &expected);
        pos = len ? random_next(&seed) % (len + 1) : 0;
        scan(&set, text, len, pos, &hits);

        wrong += (hits.n != expected.n);
        total += hits.n;

        for (i = 0; i < hits.n && hits.n == expected.n; i++) {
            for (k = 0; k < expected.n; k++) {
                if (hits.term[i] == expected.term[k]
                    && hits.end[i] == expected.end[k])
                {
                    break;
                }
            }

            wrong += (k == expected.n);
        }

        free(set.block);
    }

    TAP_IS_INT(wrong, 0, "random terms and texts agree with a plain search");
    TAP_OK(total > 10000, "with many hits: %zu", total);
}


static void
test_refused(void)
{
    size_t           bad, size, work;
    uint8_t          block[64], text[SP_MATCH_MAX_TERM + 1];
    sp_match_term_t  terms[2];

    memset(text, 'a', sizeof(text));

    terms[0].data = text;
    terms[0].len = 3;
    terms[0].flags = 0;
    terms[1] = terms[0];

    terms[1].len = 0;
    TAP_IS_INT(sp_match_sizes(terms, 2, &size, &work, &bad), -1, "empty");
    TAP_IS_INT(bad, 1, "and which one");

    terms[1].len = SP_MATCH_MAX_TERM + 1;
    TAP_IS_INT(sp_match_sizes(terms, 2, &size, &work, &bad), -1, "too long");
    TAP_IS_INT(size, 0, "no size");

    terms[1].data = (const uint8_t *) "\x01\x02";
    terms[1].len = 2;
    TAP_IS_INT(sp_match_sizes(terms, 2, &size, &work, &bad), -1, "invisible");

    TAP_IS_INT(sp_match_sizes(terms, 1, &size, &work, &bad), 0, "one is fine");
    TAP_OK(sp_match_build(terms, 1, block, sizeof(block), block, 0) == NULL,
           "too little memory");
}


static void
test_start_and_live(void)
{
    int              rc;
    set_t            set;
    hits_t           hits;
    const uint8_t   *text;
    sp_match_scan_t  s;

    memset(&set, 0, sizeof(set));
    add(&set, "kill yourself", SP_MATCH_WORD);
    add(&set, "ill", 0);
    build(&set);

    text = (const uint8_t *) "x ki\x01ll  \t you";
    sp_match_init(set.m, &s);
    memset(&hits, 0, sizeof(hits));

    (void) sp_match_scan(set.m, &s, text, 2, hit, &hits);
    TAP_IS_INT(sp_match_live(set.m, &s), 0, "nothing is live");

    (void) sp_match_scan(set.m, &s, text + 2, 3, hit, &hits);
    TAP_IS_INT(sp_match_live(set.m, &s), 2, "\"ki\" is live");

    (void) sp_match_scan(set.m, &s, text + 5, 9, hit, &hits);
    TAP_IS_INT(sp_match_live(set.m, &s), 8, "\"kill you\" is live");
    TAP_IS_INT(hits.n, 1, "\"ill\" was seen");
    TAP_OK(sp_match_start(set.m, 1, text, text + hits.end[0]) == text + 3,
           "and begins at the i");

    (void) sp_match_scan(set.m, &s, (const uint8_t *) "rself", 5, hit,
                         &hits);
    TAP_IS_INT(hits.n, 1, "the end of the word is not known yet");
    TAP_IS_INT(sp_match_live(set.m, &s), 13, "all of it is live");
    (void) sp_match_finish(set.m, &s, hit, &hits);
    TAP_IS_INT(hits.n, 2, "the text ends: a hit");

    text = (const uint8_t *) "a \n kill \tyourself";
    scan(&set, text, 18, 3, &hits);
    TAP_IS_INT(hits.n, 2, "two hits");
    TAP_OK(sp_match_start(set.m, 0, text, text + hits.end[1]) == text + 4,
           "the phrase begins at the k");

    sp_match_init(set.m, &s);
    rc = sp_match_scan(set.m, &s, text, 18, stop, NULL);
    TAP_IS_INT(rc, 42, "a handler stops the scan");

    free(set.block);
}


static int
hit(void *data, uint32_t term, uint64_t end)
{
    hits_t  *hits;

    hits = data;

    if (hits->n < MAX_HITS) {
        hits->term[hits->n] = term;
        hits->end[hits->n++] = end;
    }

    return 0;
}


static int
stop(void *data, uint32_t term, uint64_t end)
{
    (void) data;
    (void) term;
    (void) end;

    return 42;
}


static void
add(set_t *set, const char *text, unsigned flags)
{
    sp_match_term_t  *term;

    term = &set->terms[set->nterms++];
    term->data = (const uint8_t *) text;
    term->len = strlen(text);
    term->flags = flags;
}


static void
build(set_t *set)
{
    void    *work;
    size_t   bad, size, work_size;

    if (sp_match_sizes(set->terms, set->nterms, &size, &work_size, &bad) != 0)
    {
        printf("Bail out! term %zu is refused\n", bad);
        exit(1);
    }

    set->block = malloc(size);
    work = malloc(work_size);

    memset(set->block, 0xa5, size);
    memset(work, 0x5a, work_size);

    set->m = sp_match_build(set->terms, set->nterms, set->block, size, work,
                            work_size);
    free(work);
}


static void
scan(const set_t *set, const uint8_t *text, size_t len, size_t split,
    hits_t *hits)
{
    sp_match_scan_t  s;

    memset(hits, 0, sizeof(hits_t));

    sp_match_init(set->m, &s);
    (void) sp_match_scan(set->m, &s, text, split, hit, hits);
    (void) sp_match_scan(set->m, &s, text + split, len - split, hit, hits);
    (void) sp_match_finish(set->m, &s, hit, hits);
}


/* the same meaning, told the slow way */

static void
naive(const set_t *set, const uint8_t *text, size_t len, hits_t *hits)
{
    int                     sym[512], term[512];
    size_t                  e[512], i, k, n, nterm, t;
    const sp_match_term_t  *st;

    memset(hits, 0, sizeof(hits_t));
    n = symbols(text, len, sym, e);

    for (t = 0; t < set->nterms; t++) {
        st = &set->terms[t];
        nterm = symbols(st->data, st->len, term, NULL);

        for (i = 0; i + nterm <= n; i++) {
            for (k = 0; k < nterm && sym[i + k] == term[k]; k++) {
                /* void */
            }

            if (k < nterm) {
                continue;
            }

            if ((st->flags & SP_MATCH_LEFT) && is_word(term[0])
                && i > 0 && is_word(sym[i - 1]))
            {
                continue;
            }

            if ((st->flags & SP_MATCH_RIGHT) && is_word(term[nterm - 1])
                && i + nterm < n && is_word(sym[i + nterm]))
            {
                continue;
            }

            (void) hit(hits, (uint32_t) t, e[i + nterm - 1]);
        }
    }
}


static size_t
symbols(const uint8_t *text, size_t len, int *symbol, size_t *end)
{
    int     c;
    size_t  i, n;

    n = 0;

    for (i = 0; i < len; i++) {
        c = text[i];

        if (c == ' ' || (c >= '\t' && c <= '\r')) {
            c = ' ';

            if (n > 0 && symbol[n - 1] == ' ') {
                continue;
            }
        }

        if (c < ' ' || c == 0x7f) {
            continue;
        }

        if (end != NULL) {
            end[n] = i + 1;
        }

        symbol[n++] = (c >= 'A' && c <= 'Z') ? c + 32 : c;
    }

    return n;
}


static int
is_word(int c)
{
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
           || (c >= 'A' && c <= 'Z');
}


static uint32_t
random_next(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;

    return *seed >> 3;
}
