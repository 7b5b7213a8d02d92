
/*
 * Copyright (C) Sallyport authors
 *
 * The text of a request, edited, for dialects: what nobody changes is copied
 * as it came, numbers in their own spelling included; a piece that is long is
 * only pointed to.  See edit() in sp_dialect.h.
 */

#ifndef _SP_EDIT_H_INCLUDED_
#define _SP_EDIT_H_INCLUDED_


#include "sp_dialect.h"
#include "sp_scan.h"


typedef struct {
    sp_out_t              out;
    sp_slice_t           *pieces;    /* NULL: only measured */
    size_t                npieces;
    size_t                large;     /* a piece of it is not copied */
    size_t                members;   /* written to the open object or array */
} sp_edit_t;


/* bytes that no request up to SP_DIALECT_PIECE is longer than, when edited */
size_t sp_edit_bound(const sp_call_t *call);

/* len: of the request's text; dst and pieces NULL: to measure */
void sp_edit_begin(sp_edit_t *e, size_t len, char *dst, sp_slice_t *pieces);

void sp_edit_put(sp_edit_t *e, const char *p, size_t len);
void sp_edit_str(sp_edit_t *e, const char *text);

/* UTF-8, as the content of a JSON string */
void sp_edit_escape(sp_edit_t *e, const char *text, size_t len);

void sp_edit_integer(sp_edit_t *e, int64_t value);

/* before a member of the open object or array: a comma, if it needs one */
void sp_edit_next(sp_edit_t *e);
void sp_edit_key(sp_edit_t *e, const char *key, size_t len);

/* a member as it is; 0, or -1 */
int sp_edit_copy(sp_scan_t *s, sp_edit_t *e, const char *key, size_t len);

/*
 * An object whose members "member" chooses, with "add" (or NULL) before them;
 * left out when none remains.  data is what member() is called with.
 */
int sp_edit_nested(sp_scan_t *s, sp_edit_t *e, const char *name,
    sp_scan_member_pt member, void *data, const char *add);

/* the client's metadata without what is said to this server */
int sp_edit_metadata(sp_scan_t *s, sp_edit_t *e);


#endif /* _SP_EDIT_H_INCLUDED_ */
