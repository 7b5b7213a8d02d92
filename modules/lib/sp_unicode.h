
/*
 * Copyright (C) Sallyport authors
 *
 * The view of a text in which words are looked for.  Rule terms and texts
 * pass the same function, so the form itself is private to the two:
 *
 *   - NFKC_CF: compatibility forms and case folded, composed (utf8proc)
 *   - invisible characters (default ignorable, format, control) removed
 *   - a combining mark that does not compose with an ASCII letter removed
 *   - typographic quotes and dashes become ASCII, white space and other
 *     punctuation beyond ASCII one space
 *   - symbols (emoji) and letters of scripts written without spaces between
 *     words (Han, kana, Hangul, Thai, ...) stand between spaces, so that each
 *     is a word of its own; runs of spaces are one space
 *
 * Work is incremental: a text may be fed in pieces cut anywhere.  For each
 * byte of the view the span of the source it came from is given.
 */

#ifndef _SP_UNICODE_H_INCLUDED_
#define _SP_UNICODE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/* code points of one character with its marks; further marks are dropped */
#define SP_UNICODE_CLUSTER  32

/* what one feed() step may write at most: give at least this much room */
#define SP_UNICODE_ROOM     512


typedef enum {
    SP_UNICODE_JOINED = 0,   /* invisible characters vanish */
    SP_UNICODE_SPACED        /* they separate; tag characters are decoded */
} sp_unicode_view_e;


typedef struct {
    uint32_t            from;       /* source bytes [from, to) */
    uint32_t            to;
} sp_unicode_span_t;


typedef struct {
    uint8_t            *data;
    sp_unicode_span_t  *spans;      /* as many as bytes; NULL: not wanted */
    size_t              size;
    size_t              len;        /* appended to */
} sp_unicode_out_t;


typedef struct {
    sp_unicode_view_e   view;
    int32_t             cluster[SP_UNICODE_CLUSTER];
    unsigned            ncluster;
    unsigned            npartial;
    uint8_t             partial[4];
    uint32_t            offset;     /* source bytes seen, up to 4 GiB */
    uint32_t            from;       /* of the cluster */
    uint32_t            to;
    unsigned            space:1;    /* the last byte written is a space */
    unsigned            invisible:1;  /* something was removed */
    unsigned            invalid:1;  /* not UTF-8 somewhere; bytes removed */
} sp_unicode_t;


/* 1 when every byte is below 0x80: the view is then the lower-cased text */
int sp_unicode_is_ascii(const uint8_t *p, size_t len);

void sp_unicode_init(sp_unicode_t *u, sp_unicode_view_e view);

/*
 * Appends the view of [p, p + len) to *out until the input is used up or less
 * than SP_UNICODE_ROOM is left.  Returns the bytes of input consumed.
 */
size_t sp_unicode_feed(sp_unicode_t *u, const uint8_t *p, size_t len,
    sp_unicode_out_t *out);

/* the text has ended; needs SP_UNICODE_ROOM.  Call init() before reuse */
void sp_unicode_finish(sp_unicode_t *u, sp_unicode_out_t *out);


#endif /* _SP_UNICODE_H_INCLUDED_ */
