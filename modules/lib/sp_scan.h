
/*
 * Copyright (C) Sallyport authors
 *
 * Walks over JSON text without building a tree: members of objects, elements
 * of arrays, the rest skipped.  Of what is skipped only strings and brackets
 * are looked at: where more is needed, the text was parsed strictly before.
 */

#ifndef _SP_SCAN_H_INCLUDED_
#define _SP_SCAN_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <string.h>


#define SP_SCAN_MAX_DEPTH  64


typedef struct {
    const char    *pos;
    const char    *last;
    unsigned       depth;
} sp_scan_t;


/*
 * Called with pos on the value of a member; must consume it.  The key is the
 * content of its string, escapes not decoded.  Not 0: stop, it is returned.
 */
typedef int (*sp_scan_member_pt)(sp_scan_t *s, const char *key, size_t len,
    void *data);
typedef int (*sp_scan_element_pt)(sp_scan_t *s, void *data);


/* all of these return 0, or -1 when the text is malformed */

int sp_scan_object(sp_scan_t *s, sp_scan_member_pt member, void *data);
int sp_scan_array(sp_scan_t *s, sp_scan_element_pt element, void *data);
int sp_scan_skip(sp_scan_t *s);

/* the content between the quotes, escapes not decoded */
int sp_scan_string(sp_scan_t *s, const char **text, size_t *len);

/* a value that is no non-negative integer is skipped and *value kept */
int sp_scan_integer(sp_scan_t *s, int64_t *value);

/* the text of the value of a member of the root; -1: there is none */
int sp_scan_find(const char *text, size_t len, const char *name,
    const char **value, size_t *value_len);

/* of sp_scan_is(): a key that is longer than the name */
int sp_scan_is_escaped(const char *key, size_t len, const char *name);


static inline void
sp_scan_space(sp_scan_t *s)
{
    while (s->pos < s->last
           && (*s->pos == ' ' || *s->pos == '\n'
               || *s->pos == '\r' || *s->pos == '\t'))
    {
        s->pos++;
    }
}


/* 1 when the next byte is c */

static inline int
sp_scan_at(const sp_scan_t *s, char c)
{
    return s->pos < s->last && *s->pos == c;
}


/* 1 when the key is that name, also when it was written with escapes */

static inline int
sp_scan_is(const char *key, size_t len, const char *name)
{
    size_t  n;

    n = strlen(name);

    if (len == n) {
        return memcmp(key, name, n) == 0;
    }

    return len > n && sp_scan_is_escaped(key, len, name);
}


#endif /* _SP_SCAN_H_INCLUDED_ */
