
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

#include <utf8proc.h>

#include "sp_unicode.h"


/* after decomposition: at most SP_UNICODE_ROOM bytes with their spaces */
#define SP_UNICODE_POINTS   64

/* the longest compatibility decomposition of one code point is 18 */
#define SP_UNICODE_EXPAND   20

#define SP_UNICODE_OPTIONS                                                    \
    (UTF8PROC_STABLE|UTF8PROC_DECOMPOSE|UTF8PROC_COMPAT|UTF8PROC_CASEFOLD     \
     |UTF8PROC_IGNORE)


typedef enum {
    SP_UNICODE_LETTER = 0,
    SP_UNICODE_MARK,
    SP_UNICODE_SPACE,
    SP_UNICODE_ALONE,        /* a word by itself */
    SP_UNICODE_HIDDEN
} sp_unicode_class_e;


typedef struct {
    int32_t  first;
    int32_t  last;
} sp_unicode_range_t;


/* scripts without spaces between words; Hangul joins particles to words */
static const sp_unicode_range_t  sp_unicode_unspaced[] = {
    { 0x0e00, 0x0eff },      /* Thai, Lao */
    { 0x1000, 0x109f },      /* Myanmar */
    { 0x1100, 0x11ff },      /* Hangul Jamo */
    { 0x1780, 0x17ff },      /* Khmer */
    { 0x2e80, 0x2fdf },      /* radicals */
    { 0x3005, 0x3007 },
    { 0x3040, 0x33ff },      /* kana, Bopomofo, Hangul, CJK forms */
    { 0x3400, 0x4dbf },
    { 0x4e00, 0x9fff },
    { 0xa960, 0xa97f },
    { 0xaa60, 0xaa7f },
    { 0xac00, 0xd7ff },      /* Hangul syllables */
    { 0xf900, 0xfaff },
    { 0x1b000, 0x1b16f },
    { 0x20000, 0x3ffff }
};


static sp_unicode_class_e sp_unicode_class(int32_t cp);
static int32_t sp_unicode_plain(int32_t cp);
static int sp_unicode_extends(int32_t cp);
static size_t sp_unicode_ascii(sp_unicode_t *u, const uint8_t *p, size_t len,
    sp_unicode_out_t *out);
static void sp_unicode_byte(sp_unicode_t *u, uint8_t c,
    sp_unicode_out_t *out);
static int sp_unicode_follows(const sp_unicode_t *u, uint8_t c);
static int32_t sp_unicode_decode(const uint8_t *p, unsigned n);
static void sp_unicode_point(sp_unicode_t *u, int32_t cp, uint32_t from,
    sp_unicode_out_t *out);
static void sp_unicode_flush(sp_unicode_t *u, sp_unicode_out_t *out);
static void sp_unicode_sort(int32_t *points, size_t n);
static void sp_unicode_write(sp_unicode_t *u, int32_t cp,
    sp_unicode_out_t *out);
static void sp_unicode_put(sp_unicode_t *u, uint8_t c, sp_unicode_out_t *out);
static void sp_unicode_space(sp_unicode_t *u, sp_unicode_out_t *out);


int
sp_unicode_is_ascii(const uint8_t *p, size_t len)
{
    uint64_t  bits, word;

    bits = 0;

    for ( /* void */ ; len >= sizeof(word); len -= sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        bits |= word;
        p += sizeof(word);
    }

    for ( /* void */ ; len > 0; len--) {
        bits |= *p++;
    }

    return (bits & UINT64_C(0x8080808080808080)) == 0;
}


void
sp_unicode_init(sp_unicode_t *u, sp_unicode_view_e view)
{
    memset(u, 0, sizeof(sp_unicode_t));

    u->view = view;
}


size_t
sp_unicode_feed(sp_unicode_t *u, const uint8_t *p, size_t len,
    sp_unicode_out_t *out)
{
    size_t  i;

    i = 0;

    while (i < len && out->size - out->len >= SP_UNICODE_ROOM) {

        if (p[i] < 0x80 && u->npartial == 0) {
            i += sp_unicode_ascii(u, p + i, len - i, out);
            continue;
        }

        sp_unicode_byte(u, p[i++], out);
    }

    return i;
}


void
sp_unicode_finish(sp_unicode_t *u, sp_unicode_out_t *out)
{
    if (u->npartial) {
        u->npartial = 0;
        u->invalid = 1;
    }

    sp_unicode_flush(u, out);
}


/*
 * A run of ASCII, except its last byte, which may be the base of combining
 * marks: that one becomes a cluster.
 */

static size_t
sp_unicode_ascii(sp_unicode_t *u, const uint8_t *p, size_t len,
    sp_unicode_out_t *out)
{
    size_t   i;
    uint8_t  c;

    sp_unicode_flush(u, out);

    for (i = 0; i + 1 < len && p[i + 1] < 0x80; i++) {

        if (out->size - out->len < SP_UNICODE_ROOM) {
            return i;
        }

        c = p[i];
        u->from = u->offset++;
        u->to = u->offset;

        if (c == ' ' || (c >= '\t' && c <= '\r')) {
            sp_unicode_space(u, out);

        } else if (c < ' ' || c == 0x7f) {
            u->invisible = 1;

            if (u->view == SP_UNICODE_SPACED) {
                sp_unicode_space(u, out);
            }

        } else {
            sp_unicode_put(u, (c >= 'A' && c <= 'Z') ? c | 0x20 : c, out);
        }
    }

    /* the feed loop saw to the room; flush() before has used part of it */

    if (out->size - out->len < SP_UNICODE_ROOM) {
        return i;
    }

    u->offset++;
    sp_unicode_point(u, p[i], u->offset - 1, out);

    return i + 1;
}


static void
sp_unicode_byte(sp_unicode_t *u, uint8_t c, sp_unicode_out_t *out)
{
    unsigned  need;

    if (u->npartial && !sp_unicode_follows(u, c)) {
        u->npartial = 0;
        u->invalid = 1;
    }

    u->offset++;

    if (u->npartial == 0) {

        if (c < 0x80) {
            sp_unicode_point(u, c, u->offset - 1, out);

        } else if (c >= 0xc2 && c <= 0xf4) {
            u->partial[u->npartial++] = c;

        } else {
            u->invalid = 1;
        }

        return;
    }

    u->partial[u->npartial++] = c;

    c = u->partial[0];
    need = (c < 0xe0) ? 2 : (c < 0xf0) ? 3 : 4;

    if (u->npartial == need) {
        u->npartial = 0;
        sp_unicode_point(u, sp_unicode_decode(u->partial, need),
                         u->offset - need, out);
    }
}


/* whether the byte continues the sequence: RFC 3629, section 4 */

static int
sp_unicode_follows(const sp_unicode_t *u, uint8_t c)
{
    uint8_t  high, low;

    low = 0x80;
    high = 0xbf;

    if (u->npartial == 1) {
        switch (u->partial[0]) {

        case 0xe0:
            low = 0xa0;
            break;

        case 0xed:
            high = 0x9f;
            break;

        case 0xf0:
            low = 0x90;
            break;

        case 0xf4:
            high = 0x8f;
            break;

        default:
            break;
        }
    }

    return c >= low && c <= high;
}


static int32_t
sp_unicode_decode(const uint8_t *p, unsigned n)
{
    int32_t   cp;
    unsigned  i;

    cp = p[0] & (0x7f >> n);

    for (i = 1; i < n; i++) {
        cp = (cp << 6) | (p[i] & 0x3f);
    }

    return cp;
}


static void
sp_unicode_point(sp_unicode_t *u, int32_t cp, uint32_t from,
    sp_unicode_out_t *out)
{
    int  hidden;

    hidden = (sp_unicode_class(cp) == SP_UNICODE_HIDDEN);

    if (hidden) {
        u->invisible = 1;

        if (u->view == SP_UNICODE_JOINED) {
            return;
        }

        /* tag characters spell ASCII that only a model reads */

        cp = (cp >= 0xe0020 && cp <= 0xe007e) ? cp - 0xe0000 : ' ';
    }

    if (u->ncluster == 0 || hidden || !sp_unicode_extends(cp)) {
        sp_unicode_flush(u, out);
        u->from = from;
    }

    u->to = u->offset;

    if (u->ncluster < SP_UNICODE_CLUSTER) {
        u->cluster[u->ncluster++] = cp;
    }
}


static void
sp_unicode_flush(sp_unicode_t *u, sp_unicode_out_t *out)
{
    int                 bound;
    size_t              i, n;
    int32_t             base, points[SP_UNICODE_POINTS];
    utf8proc_ssize_t    rc;
    sp_unicode_class_e  class;

    /* most of what is said; the form of an ASCII letter is the small one */

    if (u->ncluster == 1 && u->cluster[0] < 0x80) {
        u->ncluster = 0;
        base = u->cluster[0];
        sp_unicode_write(u, (base >= 'A' && base <= 'Z') ? base | 0x20 : base,
                         out);
        return;
    }

    n = 0;
    bound = 0;

    /* also before folding, which makes a letter of the iota subscript */

    sp_unicode_sort(u->cluster, u->ncluster);

    for (i = 0; i < u->ncluster; i++) {
        if (SP_UNICODE_POINTS - n < SP_UNICODE_EXPAND) {
            break;
        }

        rc = utf8proc_decompose_char(u->cluster[i], &points[n],
                                     SP_UNICODE_EXPAND, SP_UNICODE_OPTIONS,
                                     &bound);

        if (rc > 0 && rc <= SP_UNICODE_EXPAND) {
            n += (size_t) rc;
        }
    }

    u->ncluster = 0;

    if (n == 0) {
        return;
    }

    sp_unicode_sort(points, n);
    base = points[0];

    rc = utf8proc_normalize_utf32(points, (utf8proc_ssize_t) n,
                                  UTF8PROC_COMPOSE|UTF8PROC_STABLE);
    if (rc > 0) {
        n = (size_t) rc;
    }

    for (i = 0; i < n; i++) {
        class = sp_unicode_class(points[i]);

        if (class == SP_UNICODE_MARK && i > 0 && base < 0x80) {
            u->invisible = 1;
            continue;
        }

        sp_unicode_write(u, points[i], out);
    }
}


/* canonical order: marks sorted by combining class, equal ones stay put */

static void
sp_unicode_sort(int32_t *points, size_t n)
{
    size_t   i, k;
    int32_t  cp;
    int      class;

    for (i = 1; i < n; i++) {
        cp = points[i];
        class = utf8proc_get_property(cp)->combining_class;

        if (class == 0) {
            continue;
        }

        for (k = i; k > 0; k--) {
            if (utf8proc_get_property(points[k - 1])->combining_class
                <= class)
            {
                break;
            }

            points[k] = points[k - 1];
        }

        points[k] = cp;
    }
}


static void
sp_unicode_write(sp_unicode_t *u, int32_t cp, sp_unicode_out_t *out)
{
    uint8_t             bytes[4];
    utf8proc_ssize_t    i, n;
    sp_unicode_class_e  class;

    cp = sp_unicode_plain(cp);
    class = sp_unicode_class(cp);

    if (class == SP_UNICODE_HIDDEN) {
        return;
    }

    if (class == SP_UNICODE_SPACE) {
        sp_unicode_space(u, out);
        return;
    }

    if (class == SP_UNICODE_ALONE) {
        sp_unicode_space(u, out);
    }

    n = utf8proc_encode_char(cp, bytes);

    for (i = 0; i < n; i++) {
        sp_unicode_put(u, bytes[i], out);
    }

    if (class == SP_UNICODE_ALONE) {
        sp_unicode_space(u, out);
    }
}


static void
sp_unicode_put(sp_unicode_t *u, uint8_t c, sp_unicode_out_t *out)
{
    if (out->spans != NULL) {
        out->spans[out->len].from = u->from;
        out->spans[out->len].to = u->to;
    }

    out->data[out->len++] = c;
    u->space = 0;
}


static void
sp_unicode_space(sp_unicode_t *u, sp_unicode_out_t *out)
{
    if (!u->space) {
        sp_unicode_put(u, ' ', out);
        u->space = 1;
    }
}


/* typographic quotes and dashes as a keyboard has them */

static int32_t
sp_unicode_plain(int32_t cp)
{
    switch (cp) {

    case 0x2018:
    case 0x2019:
    case 0x201b:
    case 0x02bc:
        return '\'';

    case 0x201c:
    case 0x201d:
    case 0x201f:
        return '"';

    case 0x2010:
    case 0x2011:
    case 0x2012:
    case 0x2013:
    case 0x2014:
    case 0x2015:
    case 0x2212:
        return '-';

    default:
        return cp;
    }
}


static int
sp_unicode_extends(int32_t cp)
{
    return sp_unicode_class(cp) == SP_UNICODE_MARK
           || (cp >= 0x1160 && cp <= 0x11ff);     /* Jamo vowels, finals */
}


static sp_unicode_class_e
sp_unicode_class(int32_t cp)
{
    size_t                      i;
    const utf8proc_property_t  *property;

    if (cp < 0x80) {
        if (cp == ' ' || (cp >= '\t' && cp <= '\r')) {
            return SP_UNICODE_SPACE;
        }

        return (cp < ' ' || cp == 0x7f) ? SP_UNICODE_HIDDEN
                                        : SP_UNICODE_LETTER;
    }

    property = utf8proc_get_property(cp);

    if (property->ignorable) {
        return SP_UNICODE_HIDDEN;
    }

    switch (property->category) {

    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return SP_UNICODE_MARK;

    case UTF8PROC_CATEGORY_CC:
        return (cp == 0x85) ? SP_UNICODE_SPACE : SP_UNICODE_HIDDEN;

    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
        return SP_UNICODE_HIDDEN;

    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return SP_UNICODE_SPACE;

    case UTF8PROC_CATEGORY_SO:
        return (cp == 0x2800) ? SP_UNICODE_SPACE : SP_UNICODE_ALONE;

    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CO:
        return SP_UNICODE_ALONE;

    default:
        break;
    }

    for (i = 0; i < sizeof(sp_unicode_unspaced) / sizeof(sp_unicode_range_t);
         i++)
    {
        if (cp >= sp_unicode_unspaced[i].first
            && cp <= sp_unicode_unspaced[i].last)
        {
            return SP_UNICODE_ALONE;
        }
    }

    return SP_UNICODE_LETTER;
}
