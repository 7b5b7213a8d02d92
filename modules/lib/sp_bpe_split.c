
/*
 * Copyright (C) Sallyport authors
 *
 * The split patterns of tiktoken, by hand.  Of alternatives the first that
 * matches counts, and each takes as much as it can:
 *
 *     cl100k_base                        o200k_base
 *
 *     '(s|d|m|t|ll|ve|re)                C?U*L+('(s|d|m|t|ll|ve|re))?
 *     C?\p{L}+                           C?U+L*('(s|d|m|t|ll|ve|re))?
 *     \p{N}{1,3}                         \p{N}{1,3}
 *      ?[^\s\p{L}\p{N}]+[\r\n]*           ?[^\s\p{L}\p{N}]+[\r\n/]*
 *     \s+$
 *     \s*[\r\n]                          \s*[\r\n]+
 *     \s+(?!\S)                          \s+(?!\S)
 *     \s                                 \s+
 *
 * C is [^\r\n\p{L}\p{N}], U is [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and L is
 * [\p{Ll}\p{Lm}\p{Lo}\p{M}].  \s is Unicode's White_Space, as in Rust, where
 * tiktoken is written; JavaScript takes U+FEFF for a space, U+0085 for none.
 */

#include <utf8proc.h>

#include "sp_bpe_int.h"


#define SP_BPE_SPACE    0x01         /* but \r and \n */
#define SP_BPE_NEWLINE  0x02
#define SP_BPE_NUMBER   0x04
#define SP_BPE_UPPER    0x08         /* Lu, Lt */
#define SP_BPE_LOWER    0x10         /* Ll */
#define SP_BPE_CASELESS 0x20         /* Lm, Lo */
#define SP_BPE_MARK     0x40         /* M */
#define SP_BPE_SYMBOL   0x80         /* anything else */

#define SP_BPE_WHITE    (SP_BPE_SPACE|SP_BPE_NEWLINE)
#define SP_BPE_LETTER   (SP_BPE_UPPER|SP_BPE_LOWER|SP_BPE_CASELESS)
#define SP_BPE_OTHER    (SP_BPE_MARK|SP_BPE_SYMBOL)
#define SP_BPE_BEFORE   (SP_BPE_SPACE|SP_BPE_OTHER)
#define SP_BPE_BOTH     (SP_BPE_CASELESS|SP_BPE_MARK)
#define SP_BPE_HEAD     (SP_BPE_UPPER|SP_BPE_BOTH)
#define SP_BPE_TAIL     (SP_BPE_LOWER|SP_BPE_BOTH)


static const char *sp_bpe_cl100k(const char *p, const char *last);
static const char *sp_bpe_o200k(const char *p, const char *last);
static const char *sp_bpe_word(const char *p, const char *last,
    const char **head);
static const char *sp_bpe_contraction(const char *p, const char *last);
static const char *sp_bpe_number(const char *p, const char *last);
static const char *sp_bpe_symbols(const char *p, const char *last,
    char also);
static const char *sp_bpe_white(const char *p, const char *last,
    int whole);
static const char *sp_bpe_run(const char *p, const char *last,
    unsigned classes);
static inline size_t sp_bpe_char(const char *p, const char *last,
    unsigned *class);
static size_t sp_bpe_wide(const char *p, const char *last, unsigned *class);


static const uint8_t  sp_bpe_categories[] = {
    SP_BPE_SYMBOL,                                   /* Cn */
    SP_BPE_UPPER, SP_BPE_LOWER, SP_BPE_UPPER,        /* Lu Ll Lt */
    SP_BPE_CASELESS, SP_BPE_CASELESS,                /* Lm Lo */
    SP_BPE_MARK, SP_BPE_MARK, SP_BPE_MARK,           /* Mn Mc Me */
    SP_BPE_NUMBER, SP_BPE_NUMBER, SP_BPE_NUMBER,     /* Nd Nl No */
    SP_BPE_SYMBOL, SP_BPE_SYMBOL, SP_BPE_SYMBOL,     /* Pc Pd Ps */
    SP_BPE_SYMBOL, SP_BPE_SYMBOL, SP_BPE_SYMBOL,     /* Pe Pi Pf */
    SP_BPE_SYMBOL, SP_BPE_SYMBOL, SP_BPE_SYMBOL,     /* Po Sm Sc */
    SP_BPE_SYMBOL, SP_BPE_SYMBOL,                    /* Sk So */
    SP_BPE_SPACE, SP_BPE_SPACE, SP_BPE_SPACE,        /* Zs Zl Zp */
    SP_BPE_SYMBOL, SP_BPE_SYMBOL, SP_BPE_SYMBOL,     /* Cc Cf Cs */
    SP_BPE_SYMBOL                                    /* Co */
};


#define X  SP_BPE_SYMBOL
#define S  SP_BPE_SPACE
#define R  SP_BPE_NEWLINE
#define N  SP_BPE_NUMBER
#define U  SP_BPE_UPPER
#define L  SP_BPE_LOWER

static const uint8_t  sp_bpe_ascii[128] = {
    X, X, X, X, X, X, X, X, X, S, R, S, S, R, X, X,
    X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    S, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
    N, N, N, N, N, N, N, N, N, N, X, X, X, X, X, X,
    X, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U,
    U, U, U, U, U, U, U, U, U, U, U, X, X, X, X, X,
    X, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, L, L, L, L, L, L, L, L, L, L, X, X, X, X, X
};

#undef X
#undef S
#undef R
#undef N
#undef U
#undef L


const char *
sp_bpe_split(sp_bpe_pattern_e pattern, const char *p, const char *last)
{
    return (pattern == SP_BPE_O200K_BASE) ? sp_bpe_o200k(p, last)
                                          : sp_bpe_cl100k(p, last);
}


static const char *
sp_bpe_cl100k(const char *p, const char *last)
{
    size_t       n;
    unsigned     class, next;
    const char  *end;

    end = sp_bpe_contraction(p, last);

    if (end != p) {
        return end;
    }

    n = sp_bpe_char(p, last, &class);

    if (class & SP_BPE_LETTER) {
        return sp_bpe_run(p + n, last, SP_BPE_LETTER);
    }

    if (class == SP_BPE_NUMBER) {
        return sp_bpe_number(p, last);
    }

    if ((class & SP_BPE_BEFORE) && p + n < last) {
        (void) sp_bpe_char(p + n, last, &next);

        if (next & SP_BPE_LETTER) {
            return sp_bpe_run(p + n, last, SP_BPE_LETTER);
        }

        if (*p == ' ' && (next & SP_BPE_OTHER)) {
            return sp_bpe_symbols(p + 1, last, '\n');
        }
    }

    return (class & SP_BPE_OTHER) ? sp_bpe_symbols(p, last, '\n')
                                  : sp_bpe_white(p, last, 1);
}


static const char *
sp_bpe_o200k(const char *p, const char *last)
{
    size_t       n;
    unsigned     class, next;
    const char  *end, *head, *own;

    n = sp_bpe_char(p, last, &class);

    if (class & SP_BPE_LETTER) {
        end = sp_bpe_word(p, last, &head);
        return sp_bpe_contraction((end != NULL) ? end : head, last);
    }

    if (class == SP_BPE_NUMBER) {
        return sp_bpe_number(p, last);
    }

    if (class & SP_BPE_BEFORE) {
        end = sp_bpe_word(p + n, last, &head);

        /* a mark may also begin a word itself */

        if (end == NULL && class == SP_BPE_MARK) {
            end = sp_bpe_word(p, last, &own);
        }

        if (end == NULL && head != p + n) {
            end = head;
        }

        if (end != NULL) {
            return sp_bpe_contraction(end, last);
        }
    }

    if (*p == ' ' && p + 1 < last) {
        (void) sp_bpe_char(p + 1, last, &next);

        if (next & SP_BPE_OTHER) {
            return sp_bpe_symbols(p + 1, last, '/');
        }
    }

    return (class & SP_BPE_OTHER) ? sp_bpe_symbols(p, last, '/')
                                  : sp_bpe_white(p, last, 0);
}


/*
 * U*L+ from p, NULL where that does not match; *head is the end of U*, for
 * U+L*.  No L follows U*, else that would have matched.
 */

static const char *
sp_bpe_word(const char *p, const char *last, const char **head)
{
    size_t       n;
    unsigned     class;
    const char  *both;

    both = NULL;
    *head = p;

    while (p < last) {
        n = sp_bpe_char(p, last, &class);

        if (class == SP_BPE_LOWER) {
            return sp_bpe_run(p + n, last, SP_BPE_TAIL);
        }

        if ((class & SP_BPE_HEAD) == 0) {
            break;
        }

        p += n;
        *head = p;

        if (class & SP_BPE_BOTH) {
            both = p;
        }
    }

    return both;
}


/* p where there is none */

static const char *
sp_bpe_contraction(const char *p, const char *last)
{
    char  one, two;

    if (last - p < 2 || *p != '\'') {
        return p;
    }

    one = (char) (p[1] | 0x20);

    if (one == 's' || one == 'd' || one == 'm' || one == 't') {
        return p + 2;
    }

    if (last - p < 3) {
        return p;
    }

    two = (char) (p[2] | 0x20);

    return ((one == 'l' && two == 'l') || (one == 'v' && two == 'e')
            || (one == 'r' && two == 'e')) ? p + 3 : p;
}


static const char *
sp_bpe_number(const char *p, const char *last)
{
    size_t    i, n;
    unsigned  class;

    for (i = 0; i < 3 && p < last; i++) {
        n = sp_bpe_char(p, last, &class);

        if (class != SP_BPE_NUMBER) {
            break;
        }

        p += n;
    }

    return p;
}


/* "also" ends it, beside newlines */

static const char *
sp_bpe_symbols(const char *p, const char *last, char also)
{
    p = sp_bpe_run(p, last, SP_BPE_OTHER);

    while (p < last && (*p == '\n' || *p == '\r' || *p == also)) {
        p++;
    }

    return p;
}


/* "whole": a run at the end of the text is not cut behind its newlines */

static const char *
sp_bpe_white(const char *p, const char *last, int whole)
{
    size_t       n;
    unsigned     class;
    const char  *end, *line, *prev;

    line = NULL;
    prev = p;
    end = p;

    while (end < last) {
        n = sp_bpe_char(end, last, &class);

        if ((class & SP_BPE_WHITE) == 0) {
            break;
        }

        prev = end;
        end += n;

        if (class == SP_BPE_NEWLINE) {
            line = end;
        }
    }

    if (end == last && whole) {
        return end;
    }

    if (line != NULL) {
        return line;
    }

    /* the last one goes with what follows, if there are others */

    return (end == last || prev == p) ? end : prev;
}


static const char *
sp_bpe_run(const char *p, const char *last, unsigned classes)
{
    size_t    n;
    unsigned  class;

    while (p < last) {
        n = sp_bpe_char(p, last, &class);

        if ((class & classes) == 0) {
            break;
        }

        p += n;
    }

    return p;
}


static inline size_t
sp_bpe_char(const char *p, const char *last, unsigned *class)
{
    uint8_t  c;

    c = (uint8_t) *p;

    if (c < 0x80) {
        *class = sp_bpe_ascii[c];
        return 1;
    }

    return sp_bpe_wide(p, last, class);
}


static size_t
sp_bpe_wide(const char *p, const char *last, unsigned *class)
{
    utf8proc_int32_t    cp;
    utf8proc_ssize_t    n;

    n = utf8proc_iterate((const utf8proc_uint8_t *) p, last - p, &cp);

    if (n <= 0) {
        *class = SP_BPE_SYMBOL;
        return 1;
    }

    *class = (cp == 0x85) ? SP_BPE_SPACE
                          : sp_bpe_categories[utf8proc_category(cp)];

    return (size_t) n;
}
