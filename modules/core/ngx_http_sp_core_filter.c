
/*
 * Copyright (C) Sallyport authors
 *
 * Texts on their way through the stream filters: who judges one, which of its
 * bytes wait, what becomes of the others.
 *
 *     said           safe           fed
 *      |---- goes on --|---- held ---|      edits: [from, to) of the text
 */


#include "ngx_http_sp_core_int.h"


/* held back of one text: a filter that waits for more will wait for ever */
#define NGX_HTTP_SP_HELD_MAX  65536

/* of one text; the last one takes in what would be more of them */
#define NGX_HTTP_SP_EDITS_MAX  65536


typedef struct {
    const ngx_http_sp_filter_t  *filter;
    void                        *state;
    uint64_t                     safe;
    unsigned                     open:1;
} ngx_http_sp_judge_t;


typedef struct {
    uint64_t                     from;
    uint64_t                     to;
    const ngx_str_t             *by;        /* NULL: stars */
    unsigned                     done:1;    /* "by" is out */
} ngx_http_sp_edit_t;


typedef struct {
    u_char                      *start;
    u_char                      *pos;
    u_char                      *last;
    u_char                      *end;
} ngx_http_sp_room_t;


struct ngx_http_sp_stream_s {
    ngx_http_sp_text_t           text;      /* filters have its address */
    ngx_http_sp_judge_t         *judges;
    ngx_uint_t                   njudges;
    ngx_array_t                  edits;     /* by "from" */
    ngx_uint_t                   first;     /* that is not over */
    size_t                       by;        /* bytes of all "by" */

    ngx_http_sp_room_t           held;
    ngx_http_sp_room_t           out;
    uint64_t                     said;
    uint64_t                     fed;
    ngx_int_t                    verdict;   /* NGX_OK so far */
    unsigned                     edited:1;
};


static ngx_int_t ngx_http_sp_stream_begin(ngx_http_sp_stream_t *stream);
static void ngx_http_sp_stream_cleanup(void *data);
static void ngx_http_sp_stream_ask(ngx_http_sp_stream_t *stream,
    ngx_http_sp_judge_t *judge, const ngx_str_t *piece);
static void ngx_http_sp_stream_note(ngx_http_sp_stream_t *stream,
    const ngx_str_t *filter);
static ngx_int_t ngx_http_sp_stream_hold(ngx_http_sp_stream_t *stream,
    const ngx_str_t *piece);
static ngx_int_t ngx_http_sp_text_widen(ngx_http_sp_stream_t *stream,
    uint64_t from, uint64_t to);
static u_char *ngx_http_sp_stream_apply(ngx_http_sp_stream_t *stream,
    u_char *dst, const u_char *src, uint64_t from, uint64_t to);
static u_char *ngx_http_sp_stream_edit(ngx_http_sp_edit_t *edit, u_char *dst,
    const u_char *src, const u_char *last);
static void ngx_http_sp_stream_forget(ngx_http_sp_stream_t *stream,
    uint64_t to);
static ngx_int_t ngx_http_sp_room_make(ngx_pool_t *pool,
    ngx_http_sp_room_t *room, size_t size);


ngx_int_t
ngx_http_sp_add_filter(ngx_conf_t *cf, const ngx_http_sp_filter_t *filter)
{
    ngx_uint_t                      i;
    const ngx_http_sp_filter_t    **elt;
    ngx_http_sp_core_main_conf_t   *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    if (ngx_http_sp_check_abi(cf, "filter", &filter->name, filter->abi)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (mcf->filters.nelts == NGX_HTTP_SP_MAX_FILTERS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "more than %d filters, the last is \"%V\"",
                           NGX_HTTP_SP_MAX_FILTERS, &filter->name);
        return NGX_ERROR;
    }

    if (ngx_array_push(&mcf->filters) == NULL) {
        return NGX_ERROR;
    }

    elt = mcf->filters.elts;

    for (i = mcf->filters.nelts - 1;
         i > 0 && elt[i - 1]->rank > filter->rank;
         i--)
    {
        elt[i] = elt[i - 1];
    }

    elt[i] = filter;

    return NGX_OK;
}


ngx_uint_t
ngx_http_sp_filters(ngx_http_request_t *r, ngx_http_sp_direction_e direction)
{
    ngx_uint_t                      i, wanted;
    const ngx_http_sp_filter_t    **filter;
    ngx_http_sp_core_main_conf_t   *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_sp_core_module);

    filter = mcf->filters.elts;
    wanted = 0;

    for (i = 0; i < mcf->filters.nelts; i++) {
        if ((filter[i]->directions & direction)
            && (filter[i]->wants == NULL || filter[i]->wants(r, direction)))
        {
            wanted |= (ngx_uint_t) 1 << i;
        }
    }

    return wanted;
}


ngx_http_sp_stream_t *
ngx_http_sp_stream_open(const ngx_http_sp_text_t *text)
{
    ngx_http_sp_stream_t  *stream;

    stream = ngx_http_sp_stream_create(text->request,
                                       ngx_http_sp_filters(text->request,
                                                           text->direction));
    if (stream == NULL
        || ngx_http_sp_stream_reopen(stream, text) != NGX_OK)
    {
        return NULL;
    }

    return stream;
}


ngx_http_sp_stream_t *
ngx_http_sp_stream_create(ngx_http_request_t *r, ngx_uint_t filters)
{
    ngx_uint_t                      i;
    ngx_pool_cleanup_t             *cln;
    ngx_http_sp_judge_t            *judge;
    ngx_http_sp_stream_t           *stream;
    const ngx_http_sp_filter_t    **filter;
    ngx_http_sp_core_main_conf_t   *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_sp_core_module);

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_sp_stream_t));
    if (cln == NULL) {
        return NULL;
    }

    stream = cln->data;

    ngx_memzero(stream, sizeof(ngx_http_sp_stream_t));

    stream->judges = ngx_pcalloc(r->pool, mcf->filters.nelts
                                          * sizeof(ngx_http_sp_judge_t));
    if (stream->judges == NULL) {
        return NULL;
    }

    filter = mcf->filters.elts;

    for (i = 0; i < mcf->filters.nelts; i++) {

        if (!(filters & ((ngx_uint_t) 1 << i))) {
            continue;
        }

        judge = &stream->judges[stream->njudges++];

        judge->filter = filter[i];
        judge->state = ngx_palloc(r->pool, filter[i]->size);
        if (judge->state == NULL) {
            return NULL;
        }
    }

    cln->handler = ngx_http_sp_stream_cleanup;

    return stream;
}


ngx_int_t
ngx_http_sp_stream_reopen(ngx_http_sp_stream_t *stream,
    const ngx_http_sp_text_t *text)
{
    ngx_http_sp_stream_close(stream);

    stream->text = *text;
    stream->edits.nelts = 0;
    stream->first = 0;
    stream->by = 0;
    stream->held.pos = stream->held.start;
    stream->held.last = stream->held.start;
    stream->said = 0;
    stream->fed = 0;
    stream->verdict = NGX_OK;
    stream->edited = 0;

    return ngx_http_sp_stream_begin(stream);
}


static ngx_int_t
ngx_http_sp_stream_begin(ngx_http_sp_stream_t *stream)
{
    ngx_int_t             rc;
    ngx_uint_t            i;
    ngx_http_sp_judge_t  *judge;

    for (i = 0; i < stream->njudges; i++) {
        judge = &stream->judges[i];

        judge->safe = 0;
        ngx_memzero(judge->state, judge->filter->size);

        rc = (judge->filter->open != NULL)
             ? judge->filter->open(judge->state, &stream->text) : NGX_OK;

        if (rc == NGX_OK) {
            judge->open = 1;

        } else if (rc != NGX_DECLINED) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_http_sp_stream_close(ngx_http_sp_stream_t *stream)
{
    ngx_uint_t            i;
    ngx_http_sp_judge_t  *judge;

    for (i = 0; i < stream->njudges; i++) {
        judge = &stream->judges[i];

        if (judge->open) {
            judge->open = 0;

            if (judge->filter->close != NULL) {
                judge->filter->close(judge->state);
            }
        }
    }
}


static void
ngx_http_sp_stream_cleanup(void *data)
{
    ngx_http_sp_stream_close(data);
}


/*
 * What all filters say of a piece; text.safe_upto is the least of theirs.  An
 * answer goes on to where it is refused, so the other filters have to see that
 * far; a request does not.
 */

ngx_int_t
ngx_http_sp_stream_judge(ngx_http_sp_stream_t *stream, const ngx_str_t *piece,
    ngx_uint_t last)
{
    uint64_t              safe;
    ngx_uint_t            i;
    ngx_http_sp_judge_t  *judge;

    stream->text.last = last ? 1 : 0;
    stream->fed += piece->len;
    safe = stream->fed;

    for (i = 0; i < stream->njudges; i++) {
        judge = &stream->judges[i];

        if (!judge->open) {
            continue;
        }

        if (stream->verdict == NGX_OK
            || (stream->verdict != NGX_ERROR
                && stream->text.direction == NGX_HTTP_SP_OUTPUT))
        {
            ngx_http_sp_stream_ask(stream, judge, piece);
        }

        safe = ngx_min(safe, judge->safe);
    }

    if (last && stream->verdict == NGX_OK) {
        safe = stream->fed;
    }

    stream->text.safe_upto = safe;

    if (last || stream->verdict != NGX_OK) {
        ngx_http_sp_stream_close(stream);
    }

    return stream->verdict;
}


static void
ngx_http_sp_stream_ask(ngx_http_sp_stream_t *stream,
    ngx_http_sp_judge_t *judge, const ngx_str_t *piece)
{
    ngx_int_t            rc;
    ngx_http_sp_text_t  *text;

    text = &stream->text;
    text->safe_upto = stream->fed;

    rc = judge->filter->feed(judge->state, text, piece);

    if (rc != NGX_OK
        && (stream->verdict == NGX_OK || rc == NGX_ERROR))
    {
        stream->verdict = rc;
        ngx_http_sp_stream_note(stream, &judge->filter->name);
    }

    judge->safe = ngx_max(ngx_min(text->safe_upto, stream->fed), judge->safe);
}


/* the first one is told at the end of the request */

static void
ngx_http_sp_stream_note(ngx_http_sp_stream_t *stream, const ngx_str_t *filter)
{
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_find_ctx(stream->text.request->main);

    if (ctx != NULL && ctx->filter == NULL) {
        ctx->filter = filter;
    }
}


ngx_int_t
ngx_http_sp_stream_feed(ngx_http_sp_stream_t *stream, const ngx_str_t *piece,
    ngx_uint_t last, ngx_str_t *out)
{
    size_t     len;
    ngx_int_t  rc;

    out->len = 0;
    out->data = NULL;

    if (stream->verdict != NGX_OK) {
        return (stream->verdict == NGX_ERROR) ? NGX_ERROR : NGX_DECLINED;
    }

    rc = ngx_http_sp_stream_judge(stream, piece, last);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    /* nothing is held, and nothing has to be */

    if (rc == NGX_OK && stream->held.last == stream->held.pos
        && stream->edits.nelts == 0
        && stream->text.safe_upto == stream->fed)
    {
        *out = *piece;
        stream->said = stream->fed;

        return NGX_OK;
    }

    if (ngx_http_sp_stream_hold(stream, piece) != NGX_OK) {
        return NGX_ERROR;
    }

    len = (size_t) (stream->text.safe_upto - stream->said);

    stream->out.last = stream->out.start;

    if (ngx_http_sp_room_make(stream->text.request->pool, &stream->out,
                              len + stream->by + 1)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    out->data = stream->out.start;
    out->len = ngx_http_sp_stream_apply(stream, out->data, stream->held.pos,
                                        stream->said,
                                        stream->text.safe_upto)
               - out->data;

    stream->held.pos += len;
    stream->said += len;

    if (stream->held.last - stream->held.pos > NGX_HTTP_SP_HELD_MAX) {
        ngx_log_error(NGX_LOG_ERR, stream->text.request->connection->log, 0,
                      "a filter holds back more than %d bytes of a text: it "
                      "ends there", NGX_HTTP_SP_HELD_MAX);

        ngx_http_sp_stream_close(stream);
        stream->verdict = NGX_DECLINED;

        return NGX_DECLINED;
    }

    return (rc == NGX_OK) ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_sp_stream_hold(ngx_http_sp_stream_t *stream, const ngx_str_t *piece)
{
    ngx_http_sp_room_t  *held;

    held = &stream->held;

    if (piece->len == 0) {
        return NGX_OK;
    }

    if (ngx_http_sp_room_make(stream->text.request->pool, held, piece->len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    held->last = ngx_cpymem(held->last, piece->data, piece->len);

    return NGX_OK;
}


/* for another "size" bytes behind what is used */

static ngx_int_t
ngx_http_sp_room_make(ngx_pool_t *pool, ngx_http_sp_room_t *room, size_t size)
{
    u_char  *p;
    size_t   used;

    if ((size_t) (room->end - room->last) >= size) {
        return NGX_OK;
    }

    used = room->last - room->pos;
    p = room->start;

    if ((size_t) (room->end - room->start) < used + size) {

        size = ngx_max(2 * (used + size), 256);

        p = ngx_pnalloc(pool, size);
        if (p == NULL) {
            return NGX_ERROR;
        }

        room->end = p + size;
    }

    if (used != 0) {
        ngx_memmove(p, room->pos, used);
    }

    if (room->start != NULL && p != room->start) {
        (void) ngx_pfree(pool, room->start);
    }

    room->start = p;
    room->pos = p;
    room->last = p + used;

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_text_edit(ngx_http_sp_text_t *text, uint64_t from, uint64_t to,
    const ngx_str_t *by)
{
    ngx_uint_t             i;
    ngx_http_sp_edit_t    *edit;
    ngx_http_sp_stream_t  *stream;

    stream = (ngx_http_sp_stream_t *) text;

    from = ngx_max(from, stream->said);

    if (text->fixed) {
        return NGX_ERROR;
    }

    if (from >= to) {
        return NGX_OK;
    }

    if (stream->edits.nalloc == 0
        && ngx_array_init(&stream->edits, text->request->pool, 8,
                          sizeof(ngx_http_sp_edit_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (stream->edits.nelts == NGX_HTTP_SP_EDITS_MAX) {
        return ngx_http_sp_text_widen(stream, from, to);
    }

    if (ngx_array_push(&stream->edits) == NULL) {
        return NGX_ERROR;
    }

    edit = stream->edits.elts;

    for (i = stream->edits.nelts - 1;
         i > stream->first && edit[i - 1].from > from;
         i--)
    {
        edit[i] = edit[i - 1];
    }

    edit[i].from = from;
    edit[i].to = to;
    edit[i].by = by;
    edit[i].done = 0;

    stream->edited = 1;

    stream->by += (by != NULL) ? by->len : 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_text_widen(ngx_http_sp_stream_t *stream, uint64_t from,
    uint64_t to)
{
    ngx_http_sp_edit_t  *edit;

    edit = stream->edits.elts;
    edit += stream->edits.nelts - 1;

    if (from < edit->from) {
        return NGX_ERROR;
    }

    edit->to = ngx_max(edit->to, to);

    return NGX_OK;
}


ngx_uint_t
ngx_http_sp_stream_edited(const ngx_http_sp_stream_t *stream)
{
    return stream->edited;
}


/* bytes [from, to), at src, of a text that was judged whole */

ngx_int_t
ngx_http_sp_stream_cut(ngx_http_sp_stream_t *stream, const u_char *src,
    uint64_t from, uint64_t to, ngx_str_t *out)
{
    out->data = ngx_pnalloc(stream->text.request->pool,
                            (size_t) (to - from) + stream->by + 1);
    if (out->data == NULL) {
        return NGX_ERROR;
    }

    out->len = ngx_http_sp_stream_apply(stream, out->data, src, from, to)
               - out->data;

    return NGX_OK;
}


/* bytes [from, to), which are at src; edits before "to" are done with */

static u_char *
ngx_http_sp_stream_apply(ngx_http_sp_stream_t *stream, u_char *dst,
    const u_char *src, uint64_t from, uint64_t to)
{
    uint64_t             last;
    ngx_uint_t           i;
    ngx_http_sp_edit_t  *edit;

    edit = stream->edits.elts;

    for (i = stream->first;
         i < stream->edits.nelts && edit[i].from < to;
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

        dst = ngx_http_sp_stream_edit(&edit[i], dst, src,
                                      src + (last - from));
        src += last - from;
        from = last;
    }

    if (to > from) {
        dst = ngx_cpymem(dst, src, to - from);
    }

    ngx_http_sp_stream_forget(stream, to);

    return dst;
}


static u_char *
ngx_http_sp_stream_edit(ngx_http_sp_edit_t *edit, u_char *dst,
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
ngx_http_sp_stream_forget(ngx_http_sp_stream_t *stream, uint64_t to)
{
    ngx_uint_t           n;
    ngx_http_sp_edit_t  *edit;

    edit = stream->edits.elts;
    n = stream->first;

    for ( /* void */ ; n < stream->edits.nelts && edit[n].to <= to; n++) {
        stream->by -= (edit[n].by != NULL) ? edit[n].by->len : 0;
    }

    stream->first = n;

    if (n > stream->edits.nelts - n) {
        stream->edits.nelts -= n;
        stream->first = 0;

        ngx_memmove(edit, edit + n,
                    stream->edits.nelts * sizeof(ngx_http_sp_edit_t));
    }
}
