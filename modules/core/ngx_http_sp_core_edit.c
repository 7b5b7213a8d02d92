
/*
 * Copyright (C) Sallyport authors
 *
 * Edits of one text, by the place where they begin: what is put in place of
 * its bytes when these go on.
 */


#include "ngx_http_sp_core_int.h"


/* of one text; the last one takes in what would be more of them */
#define NGX_HTTP_SP_EDITS_MAX  65536


typedef struct {
    uint64_t                     from;
    uint64_t                     to;
    const ngx_str_t             *by;        /* NULL: stars */
    unsigned                     done:1;    /* "by" is out */
} ngx_http_sp_edit_t;


static ngx_int_t ngx_http_sp_edits_widen(ngx_http_sp_edits_t *edits,
    uint64_t from, uint64_t to);
static u_char *ngx_http_sp_edit_write(ngx_http_sp_edit_t *edit, u_char *dst,
    const u_char *src, const u_char *last);
static void ngx_http_sp_edits_forget(ngx_http_sp_edits_t *edits, uint64_t to);


void
ngx_http_sp_edits_clear(ngx_http_sp_edits_t *edits)
{
    edits->list.nelts = 0;
    edits->first = 0;
    edits->by = 0;
}


ngx_int_t
ngx_http_sp_edits_add(ngx_http_sp_edits_t *edits, ngx_pool_t *pool,
    uint64_t from, uint64_t to, const ngx_str_t *by)
{
    ngx_uint_t           i;
    ngx_http_sp_edit_t  *edit;

    if (edits->list.nalloc == 0
        && ngx_array_init(&edits->list, pool, 8, sizeof(ngx_http_sp_edit_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (edits->list.nelts == NGX_HTTP_SP_EDITS_MAX) {
        return ngx_http_sp_edits_widen(edits, from, to);
    }

    if (ngx_array_push(&edits->list) == NULL) {
        return NGX_ERROR;
    }

    edit = edits->list.elts;

    for (i = edits->list.nelts - 1;
         i > edits->first && edit[i - 1].from > from;
         i--)
    {
        edit[i] = edit[i - 1];
    }

    edit[i].from = from;
    edit[i].to = to;
    edit[i].by = by;
    edit[i].done = 0;

    edits->by += (by != NULL) ? by->len : 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_edits_widen(ngx_http_sp_edits_t *edits, uint64_t from,
    uint64_t to)
{
    ngx_http_sp_edit_t  *edit;

    edit = edits->list.elts;
    edit += edits->list.nelts - 1;

    if (from < edit->from) {
        return NGX_ERROR;
    }

    edit->to = ngx_max(edit->to, to);

    return NGX_OK;
}


u_char *
ngx_http_sp_edits_apply(ngx_http_sp_edits_t *edits, u_char *dst,
    const u_char *src, uint64_t from, uint64_t to)
{
    uint64_t             last;
    ngx_uint_t           i;
    ngx_http_sp_edit_t  *edit;

    edit = edits->list.elts;

    for (i = edits->first;
         i < edits->list.nelts && edit[i].from < to;
         i++)
    {

        if (edit[i].to <= from) {
            continue;
        }

        if (edit[i].from > from) {
            dst = ngx_cpymem(dst, src, edit[i].from - from);
            src += edit[i].from - from;
            from = edit[i].from;
        }

        last = ngx_min(edit[i].to, to);

        dst = ngx_http_sp_edit_write(&edit[i], dst, src, src + (last - from));
        src += last - from;
        from = last;
    }

    if (to > from) {
        dst = ngx_cpymem(dst, src, to - from);
    }

    ngx_http_sp_edits_forget(edits, to);

    return dst;
}


static u_char *
ngx_http_sp_edit_write(ngx_http_sp_edit_t *edit, u_char *dst,
    const u_char *src, const u_char *last)
{
    if (edit->by != NULL) {

        if (!edit->done) {
            edit->done = 1;
            dst = ngx_cpymem(dst, edit->by->data, edit->by->len);
        }

        return dst;
    }

    for ( /* void */ ; src < last; src++) {
        if ((*src & 0xc0) != 0x80) {
            *dst++ = '*';
        }
    }

    return dst;
}


/* one that is behind a longer one may stay a while: it is skipped */

static void
ngx_http_sp_edits_forget(ngx_http_sp_edits_t *edits, uint64_t to)
{
    ngx_uint_t           n;
    ngx_http_sp_edit_t  *edit;

    edit = edits->list.elts;
    n = edits->first;

    for ( /* void */ ; n < edits->list.nelts && edit[n].to <= to; n++) {
        edits->by -= (edit[n].by != NULL) ? edit[n].by->len : 0;
    }

    edits->first = n;

    if (n > edits->list.nelts - n) {
        edits->list.nelts -= n;
        edits->first = 0;

        ngx_memmove(edit, edit + n,
                    edits->list.nelts * sizeof(ngx_http_sp_edit_t));
    }
}
