
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_json_spell.h"
#include "sp_json_unescape.h"


typedef enum {
    SP_JSON_SPELL_MORE = 0,     /* the escape goes on */
    SP_JSON_SPELL_KEEP,         /* it is one, and stays as it is */
    SP_JSON_SPELL_READ,         /* it stands for a character */
    SP_JSON_SPELL_NONE          /* with the last byte it is none */
} sp_json_spell_e;


static size_t sp_json_spell_byte(sp_json_spell_t *s, char *dst, char c);
static sp_json_spell_e sp_json_spell_escape(const char *p, unsigned n);
static sp_json_spell_e sp_json_spell_code(const char *p);
static size_t sp_json_spell_read(char *dst, const char *p, size_t n);
static size_t sp_json_spell_put(sp_json_spell_t *s, char *dst, unsigned n);
static int sp_json_spell_hex(char c);
static int sp_json_spell_high(const char *p);


size_t
sp_json_spell(sp_json_spell_t *s, char *dst, const char *p, size_t len,
    int last)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < len; i++) {
        n += sp_json_spell_byte(s, dst + n, p[i]);
    }

    if (last) {
        n += sp_json_spell_put(s, dst + n, s->nheld);
    }

    return n;
}


static size_t
sp_json_spell_byte(sp_json_spell_t *s, char *dst, char c)
{
    size_t           n;
    sp_json_spell_e  what;

    n = 0;

    while (s->nheld != 0) {
        s->held[s->nheld++] = c;

        what = sp_json_spell_escape(s->held, s->nheld);

        switch (what) {

        case SP_JSON_SPELL_MORE:
            return n;

        case SP_JSON_SPELL_KEEP:
            return n + sp_json_spell_put(s, dst + n, s->nheld);

        case SP_JSON_SPELL_READ:
            n += sp_json_spell_read(dst + n, s->held, s->nheld);
            s->nheld = 0;
            return n;

        case SP_JSON_SPELL_NONE:
            break;
        }

        /*
         * The first half of a pair stays; what followed is looked at again.
         * A broken escape is kept from becoming one by what follows.
         */

        s->nheld--;

        if (s->nheld < 6) {
            dst[n++] = '\\';
        }

        n += sp_json_spell_put(s, dst + n, s->nheld > 6 ? 6 : s->nheld);
    }

    if (c == '"') {
        s->string = s->string ? 0 : 1;

    } else if (c == '\\' && s->string) {
        s->held[s->nheld++] = c;
        return n;
    }

    dst[n++] = c;

    return n;
}


static sp_json_spell_e
sp_json_spell_escape(const char *p, unsigned n)
{
    if (n == 2) {
        return (p[1] == 'u') ? SP_JSON_SPELL_MORE
               : (memchr("nrtbf/", p[1], 6) != NULL) ? SP_JSON_SPELL_READ
               : SP_JSON_SPELL_KEEP;
    }

    if (n == 7) {
        return (p[6] == '\\') ? SP_JSON_SPELL_MORE : SP_JSON_SPELL_NONE;
    }

    if (n == 8) {
        return (p[7] == 'u') ? SP_JSON_SPELL_MORE : SP_JSON_SPELL_NONE;
    }

    if (!sp_json_spell_hex(p[n - 1])) {
        return SP_JSON_SPELL_NONE;
    }

    if (n == 6) {
        return sp_json_spell_code(p);
    }

    if (n < SP_JSON_SPELL) {
        return SP_JSON_SPELL_MORE;
    }

    /* DC00 to DFFF */

    return ((p[8] | 0x20) == 'd' && memchr("cdefCDEF", p[9], 8) != NULL)
           ? SP_JSON_SPELL_READ : SP_JSON_SPELL_NONE;
}


/* \uXXXX */

static sp_json_spell_e
sp_json_spell_code(const char *p)
{
    if (sp_json_spell_high(p)) {
        return SP_JSON_SPELL_MORE;
    }

    if (((p[2] | 0x20) == 'd' && p[3] > '7') || memcmp(p, "\\u0000", 6) == 0) {
        return SP_JSON_SPELL_KEEP;
    }

    return SP_JSON_SPELL_READ;
}


static size_t
sp_json_spell_read(char *dst, const char *p, size_t n)
{
    size_t  len;

    len = sp_json_unescape(dst, n, p, n);

    if (*dst == '"' || *dst == '\\') {
        dst[1] = *dst;
        dst[0] = '\\';
        len = 2;
    }

    return len;
}


/* the first n bytes of what is held, as they are */

static size_t
sp_json_spell_put(sp_json_spell_t *s, char *dst, unsigned n)
{
    memcpy(dst, s->held, n);
    memmove(s->held, s->held + n, s->nheld - n);

    s->nheld -= n;

    return n;
}


static int
sp_json_spell_hex(char c)
{
    return (c >= '0' && c <= '9')
           || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}


/* D800 to DBFF */

static int
sp_json_spell_high(const char *p)
{
    return (p[2] | 0x20) == 'd' && memchr("89abAB", p[3], 6) != NULL;
}


size_t
sp_json_respell(sp_json_spell_t *s, char *dst, const char *p, size_t len)
{
    char    c;
    size_t  i, n;

    static const char  hex[] = "0123456789abcdef";
    static const char  names[] = "btn\0fr";       /* from U+0008 on */

    n = 0;

    for (i = 0; i < len; i++) {
        c = p[i];

        if (s->escaped) {
            s->escaped = 0;

        } else if (c == '"') {
            s->string = s->string ? 0 : 1;

        } else if (c == '\\') {
            s->escaped = s->string;

        } else if (s->string && (unsigned char) c < ' ') {

            dst[n++] = '\\';

            if (c >= 8 && c <= 13 && names[c - 8] != '\0') {
                dst[n++] = names[c - 8];
                continue;
            }

            memcpy(dst + n, "u00", 3);
            dst[n + 3] = hex[c >> 4];
            dst[n + 4] = hex[c & 0xf];
            n += 5;

            continue;
        }

        dst[n++] = c;
    }

    return n;
}
