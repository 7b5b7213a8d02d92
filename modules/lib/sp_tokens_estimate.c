
/*
 * Copyright (C) Sallyport authors
 *
 * Tokens of a text whose vocabulary is not here.  Characters are of kinds;
 * each run of one kind costs, each character of it, and each from the ninth
 * on, which no token holds any more.  The weights are least squares over the
 * Universal Declaration of Human Rights in 29 languages, prose in English and
 * sources, for tokens of o200k_base and of cl100k_base.
 */

#include "sp_tokens.h"


#define SP_TOKENS_SHORT  8

/* no token holds more than one word: so many have as many at least */
#define SP_TOKENS_WORDS  64


typedef enum {
    SP_TOKENS_SPACE = 0,
    SP_TOKENS_WHITE,             /* other white space of ASCII */
    SP_TOKENS_DIGIT,
    SP_TOKENS_PUNCT,             /* ... and control characters */
    SP_TOKENS_LATIN,             /* of ASCII */
    SP_TOKENS_LATIN_1,
    SP_TOKENS_LATIN_EXTENDED,
    SP_TOKENS_VIETNAMESE,
    SP_TOKENS_GREEK,
    SP_TOKENS_CYRILLIC,
    SP_TOKENS_HEBREW,
    SP_TOKENS_ARABIC,
    SP_TOKENS_INDIC,             /* Devanagari to Sinhala */
    SP_TOKENS_THAI,              /* to Burmese */
    SP_TOKENS_SYMBOL,
    SP_TOKENS_KANA,
    SP_TOKENS_HAN,
    SP_TOKENS_HANGUL,
    SP_TOKENS_EMOJI,
    SP_TOKENS_OTHER,
    SP_TOKENS_KINDS
} sp_tokens_kind_e;


/* 1/1000 tokens */
typedef struct {
    uint16_t  run;
    uint16_t  character;
    uint16_t  more;              /* from the ninth on */
} sp_tokens_weight_t;


/* kinds by what follows the lead byte 0xe0 to 0xef */
typedef struct {
    uint8_t   lead;
    uint8_t   last;              /* second byte, at most */
    uint8_t   kind;
} sp_tokens_range_t;


static size_t sp_tokens_run(const uint8_t **p, const uint8_t *last,
    uint8_t kind);
static sp_tokens_kind_e sp_tokens_wide(const uint8_t *p,
    const uint8_t *last);


static const sp_tokens_weight_t  sp_tokens_weights[2][SP_TOKENS_KINDS] = {

    {   /* o200k_base */

    {    54,    70,     0 },
    {   626,    30,     0 },
    {  1300,   300,    33 },
    {   646,   172,     0 },
    {     0,   201,     0 },
    {   461,   693,     0 },
    {  1344,   120,     0 },
    {     0,   120,     0 },
    {   362,   313,     0 },
    {   902,   120,     0 },
    {   371,   346,   153 },
    {   558,   209,    19 },
    {     0,   331,    76 },
    {  1961,   168,   249 },
    {   266,   245,     0 },
    {     0,   702,     0 },
    {   671,   775,     0 },
    {   357,   580,     0 },
    {     0,  2240,     0 },
    {   494,   457,     0 }

    }, {   /* cl100k_base */

    {   114,   104,     0 },
    {   300,    60,     0 },
    {  1300,   300,    33 },
    {   689,   170,     0 },
    {     0,   189,   155 },
    {   384,  1865,     0 },
    {  2391,   120,     0 },
    {   316,   296,     0 },
    {   216,   961,   146 },
    {  2391,   120,     0 },
    {  1063,   909,   497 },
    {   746,   630,   285 },
    {     0,  1219,  1127 },
    {  3138,   595,   379 },
    {   400,   400,     0 },
    {     0,   905,     0 },
    {   982,  1185,     0 },
    {   856,   965,     0 },
    {   729,  2573,     0 },
    {  1484,  1353,     0 }

    }
};


#define S  SP_TOKENS_SPACE
#define W  SP_TOKENS_WHITE
#define D  SP_TOKENS_DIGIT
#define P  SP_TOKENS_PUNCT
#define L  SP_TOKENS_LATIN
#define X  SP_TOKENS_KINDS

static const uint8_t  sp_tokens_ascii[256] = {
    P, P, P, P, P, P, P, P, P, W, W, W, W, W, P, P,
    P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P,
    S, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P,
    D, D, D, D, D, D, D, D, D, D, P, P, P, P, P, P,
    P, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, L, L, L, L, L, L, L, L, L, L, P, P, P, P, P,
    P, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, L, L, L, L, L, L, L, L, L, L, P, P, P, P, P,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X
};

#undef S
#undef W
#undef D
#undef P
#undef L
#undef X


static const sp_tokens_range_t  sp_tokens_ranges[] = {
    { 0xe0, 0xa3, SP_TOKENS_ARABIC },
    { 0xe0, 0xb7, SP_TOKENS_INDIC },
    { 0xe0, 0xbf, SP_TOKENS_THAI },
    { 0xe1, 0x83, SP_TOKENS_THAI },
    { 0xe1, 0xb7, SP_TOKENS_OTHER },
    { 0xe1, 0xbb, SP_TOKENS_VIETNAMESE },
    { 0xe1, 0xbf, SP_TOKENS_GREEK },
    { 0xe2, 0xbf, SP_TOKENS_SYMBOL },
    { 0xe3, 0x80, SP_TOKENS_SYMBOL },
    { 0xe3, 0x83, SP_TOKENS_KANA },
    { 0xe9, 0xbf, SP_TOKENS_HAN },
    { 0xea, 0xaf, SP_TOKENS_OTHER },
    { 0xed, 0xbf, SP_TOKENS_HANGUL },
    { 0xef, 0xbb, SP_TOKENS_OTHER },
    { 0xef, 0xbd, SP_TOKENS_SYMBOL },
    { 0xff, 0xff, SP_TOKENS_OTHER }
};


size_t
sp_tokens_estimate(sp_bpe_pattern_e pattern, const char *text, size_t len)
{
    size_t                     all, n, sum, words;
    uint8_t                    before, kind;
    const uint8_t             *last, *p, *start;
    const sp_tokens_weight_t  *weight;

    p = (const uint8_t *) text;
    last = p + len;
    all = 0;
    sum = 0;
    words = 0;
    before = SP_TOKENS_SPACE;

    for ( /* void */ ; p < last; before = kind) {
        start = p;
        kind = sp_tokens_ascii[*p];

        if (kind != SP_TOKENS_KINDS) {

            while (p < last && sp_tokens_ascii[*p] == kind) {
                p++;
            }

            n = (size_t) (p - start);

        } else {
            kind = (uint8_t) sp_tokens_wide(p, last);
            n = sp_tokens_run(&p, last, kind);
        }

        if (before <= SP_TOKENS_WHITE && kind > SP_TOKENS_WHITE
            && words++ == SP_TOKENS_WORDS)
        {
            all += (sum > SP_TOKENS_WORDS * 1000) ? sum
                                                  : SP_TOKENS_WORDS * 1000;
            sum = 0;
            words = 1;
        }

        weight = &sp_tokens_weights[pattern][kind];

        sum += weight->run + n * weight->character;

        if (n > SP_TOKENS_SHORT) {
            sum += (n - SP_TOKENS_SHORT) * weight->more;
        }
    }

    all += (sum > words * 1000) ? sum : words * 1000;

    return (all + 999) / 1000;
}


/* characters of one kind beyond ASCII; *p is moved behind them */

static size_t
sp_tokens_run(const uint8_t **p, const uint8_t *last, uint8_t kind)
{
    size_t          n;
    const uint8_t  *q;

    n = 0;
    q = *p;

    do {
        q++;
        n++;

        while (q < last && (*q & 0xc0) == 0x80) {
            q++;
        }

    } while (q < last && *q >= 0x80 && sp_tokens_wide(q, last) == kind);

    *p = q;

    return n;
}


static sp_tokens_kind_e
sp_tokens_wide(const uint8_t *p, const uint8_t *last)
{
    uint8_t                   c, next;
    const sp_tokens_range_t  *range;

    c = *p;

    if (c < 0xe0) {
        return (c < 0xc2) ? SP_TOKENS_OTHER
               : (c < 0xc3) ? SP_TOKENS_SYMBOL
               : (c < 0xc4) ? SP_TOKENS_LATIN_1
               : (c < 0xcd) ? SP_TOKENS_LATIN_EXTENDED
               : (c < 0xd0) ? SP_TOKENS_GREEK
               : (c < 0xd6) ? SP_TOKENS_CYRILLIC
               : (c < 0xd8) ? SP_TOKENS_HEBREW : SP_TOKENS_ARABIC;
    }

    next = (last - p > 1) ? p[1] : 0xff;

    if (c >= 0xf0) {
        return (c == 0xf0 && next == 0x9f) ? SP_TOKENS_EMOJI
                                           : SP_TOKENS_OTHER;
    }

    for (range = sp_tokens_ranges;
         c > range->lead || (c == range->lead && next > range->last);
         range++)
    {
        /* void */
    }

    return (sp_tokens_kind_e) range->kind;
}
