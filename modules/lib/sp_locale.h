
/*
 * Copyright (C) Sallyport authors
 *
 * Language tags (RFC 5646) and what of a list of them a user prefers: by the
 * tag of a profile, or by Accept-Language (RFC 9110, 12.5.4; RFC 4647).
 */

#ifndef _SP_LOCALE_H_INCLUDED_
#define _SP_LOCALE_H_INCLUDED_


#include <stddef.h>


/* a longer tag is none; RFC 5646, 4.4.1 asks for 35 at least */
#define SP_LOCALE_MAX_TAG     64

/* a longer header says nothing, ranges beyond these neither */
#define SP_LOCALE_MAX_HEADER  4096
#define SP_LOCALE_MAX_RANGES  32


typedef struct {
    const char  *data;
    size_t       len;
} sp_locale_tag_t;


/*
 * 1: well-formed (RFC 5646, 2.2.9), whatever the registry has of it, private
 * use included.  The 17 irregular grandfathered tags ("i-klingon") are not.
 */
int sp_locale_is_tag(const char *text, size_t len);

/*
 * Of n well-formed tags the index of the one for a user's tag, "_" for "-"
 * allowed (OpenID Connect Core 1.0, 5.1); n: none.  Equal comes first, then
 * one that is more special ("pt" finds "pt-BR"), then what RFC 4647, 3.4 finds
 * ("de-AT" finds "de").
 */
size_t sp_locale_find(const char *text, size_t len,
    const sp_locale_tag_t *tags, size_t n);

/*
 * Likewise, for the value of Accept-Language: the range of the highest quality
 * that finds one, of equal ones the first.  What is refused with q=0 is not
 * found; "*" finds nothing, since it prefers nothing.  A malformed member of
 * the list is left out.
 */
size_t sp_locale_accept(const char *text, size_t len,
    const sp_locale_tag_t *tags, size_t n);


#endif /* _SP_LOCALE_H_INCLUDED_ */
