
/*
 * Copyright (C) Sallyport authors
 *
 * JSON text as a reader of its strings has it, and back.  Escapes in strings
 * become the characters they stand for, except a quote, a backslash, U+0000
 * and half of a surrogate pair; so a text "a\nb" has a line feed, which JSON
 * does not allow, and the way back makes escapes of such.  What is no JSON is
 * passed as it came, but the backslash of a broken escape is a text then.
 */

#ifndef _SP_JSON_SPELL_H_INCLUDED_
#define _SP_JSON_SPELL_H_INCLUDED_


#include <stddef.h>


/* the longest escape, a surrogate pair */
#define SP_JSON_SPELL  12


/* zero-filled to begin with */
typedef struct {
    char                  held[SP_JSON_SPELL];   /* an escape so far */
    unsigned              nheld;
    unsigned              string:1;
    unsigned              escaped:1;             /* of the way back */
} sp_json_spell_t;


/*
 * Pieces may be cut anywhere.  dst has 2 * len + SP_JSON_SPELL bytes; "last":
 * the text ends with this piece.
 */
size_t sp_json_spell(sp_json_spell_t *s, char *dst, const char *p, size_t len,
    int last);

/* the way back, with a state of its own; dst has 6 * len bytes */
size_t sp_json_respell(sp_json_spell_t *s, char *dst, const char *p,
    size_t len);


#endif /* _SP_JSON_SPELL_H_INCLUDED_ */
