
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_edit.h"


static int sp_edit_metadata_member(sp_scan_t *s, const char *key, size_t len,
    void *data);
static void sp_edit_piece(sp_edit_t *e, size_t len);


/* each byte that is added may become an escape of six; members have names */

size_t
sp_edit_bound(const sp_call_t *call)
{
    return call->len + 256
           + 6 * (call->edit->model_len + call->edit->prefix_len
                  + call->edit->tail_len);
}


void
sp_edit_begin(sp_edit_t *e, size_t len, char *dst, sp_slice_t *pieces)
{
    memset(e, 0, sizeof(sp_edit_t));

    e->out.dst = dst;
    e->out.size = (dst != NULL) ? (size_t) -1 : 0;
    e->pieces = pieces;
    e->large = (len > SP_DIALECT_PIECE) ? SP_DIALECT_PIECE : (size_t) -1;
}


void
sp_edit_put(sp_edit_t *e, const char *p, size_t len)
{
    if (len < e->large) {
        sp_out_put(&e->out, p, len);
        sp_edit_piece(e, len);
        return;
    }

    if (e->pieces != NULL) {
        e->pieces[e->npieces].data = p;
        e->pieces[e->npieces].len = len;
    }

    e->npieces++;
}


void
sp_edit_str(sp_edit_t *e, const char *text)
{
    sp_edit_put(e, text, strlen(text));
}


void
sp_edit_escape(sp_edit_t *e, const char *text, size_t len)
{
    size_t  before;

    before = e->out.len;

    sp_out_text(&e->out, text, len);
    sp_edit_piece(e, e->out.len - before);
}


void
sp_edit_integer(sp_edit_t *e, int64_t value)
{
    size_t  before;

    before = e->out.len;

    sp_out_integer(&e->out, value);
    sp_edit_piece(e, e->out.len - before);
}


void
sp_edit_next(sp_edit_t *e)
{
    if (e->members++ != 0) {
        sp_edit_put(e, ",", 1);
    }
}


void
sp_edit_key(sp_edit_t *e, const char *key, size_t len)
{
    sp_edit_next(e);
    sp_edit_put(e, "\"", 1);
    sp_edit_put(e, key, len);
    sp_edit_put(e, "\":", 2);
}


int
sp_edit_copy(sp_scan_t *s, sp_edit_t *e, const char *key, size_t len)
{
    const char  *start;

    start = s->pos;

    if (sp_scan_skip(s) != 0) {
        return -1;
    }

    sp_edit_key(e, key, len);
    sp_edit_put(e, start, (size_t) (s->pos - start));

    return 0;
}


int
sp_edit_nested(sp_scan_t *s, sp_edit_t *e, const char *name,
    sp_scan_member_pt member, void *data, const char *add)
{
    size_t     members;
    sp_edit_t  start;

    start = *e;
    members = e->members;

    sp_edit_key(e, name, strlen(name));
    sp_edit_put(e, "{", 1);

    e->members = 0;

    if (add != NULL) {
        sp_edit_str(e, add);
        e->members++;
    }

    if (!sp_scan_at(s, '{')) {

        /* null */

        if (sp_scan_skip(s) != 0) {
            return -1;
        }

    } else if (sp_scan_object(s, member, data) != 0) {
        return -1;
    }

    sp_edit_put(e, "}", 1);

    if (e->members == 0) {

        /* taken back; what was written is the end of the last piece */

        if (e->pieces != NULL) {
            e->pieces[e->npieces - 1].len -= e->out.len - start.out.len;
        }

        *e = start;

        return 0;
    }

    e->members = members + 1;

    return 0;
}


int
sp_edit_metadata(sp_scan_t *s, sp_edit_t *e)
{
    return sp_edit_nested(s, e, "metadata", sp_edit_metadata_member, e, NULL);
}


static int
sp_edit_metadata_member(sp_scan_t *s, const char *key, size_t len, void *data)
{
    if (sp_scan_is(key, len, "character_id")
        || sp_scan_is(key, len, "chat_id")
        || sp_scan_is(key, len, "parent_id")
        || sp_scan_is(key, len, "memory"))
    {
        return sp_scan_skip(s);
    }

    return sp_edit_copy(s, data, key, len);
}


/* "len" bytes were copied: of the last piece, or the begin of one */

static void
sp_edit_piece(sp_edit_t *e, size_t len)
{
    char        *start;
    sp_slice_t  *last;

    if (e->pieces == NULL || len == 0) {
        return;
    }

    start = e->out.dst + e->out.len - len;

    if (e->npieces != 0) {
        last = &e->pieces[e->npieces - 1];

        if (last->data + last->len == start) {
            last->len += len;
            return;
        }
    }

    e->pieces[e->npieces].data = start;
    e->pieces[e->npieces].len = len;
    e->npieces++;
}
