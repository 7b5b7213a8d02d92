
/*
 * Copyright (C) Sallyport authors
 *
 * Texts on their way through the stream filters: who judges one, which of its
 * bytes wait, what becomes of the others.
 *
 *     said           safe           fed
 *      |---- goes on --|---- held ---|      edits: [from, to) of the text
 *
 * Arguments of a call are JSON, whose reader sees through its escapes: so do
 * the filters.  Places in such a text are of what they are shown.
 */


#include "ngx_http_sp_core_int.h"

#include "sp_json_spell.h"


/* held back of one text: a filter that waits for more will wait for ever */
#define NGX_HTTP_SP_HELD_MAX  65536


typedef struct {
    const ngx_http_sp_filter_t  *filter;
    void                        *state;
    uint64_t                     safe;
    unsigned                     open:1;
} ngx_http_sp_judge_t;


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
    ngx_http_sp_edits_t          edits;

    ngx_str_t                    piece;     /* as it was judged */
    sp_json_spell_t              spell;     /* of arguments */
    sp_json_spell_t              respell;
    ngx_http_sp_room_t           spelled;
    ngx_http_sp_room_t           respelled;

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
    ngx_http_sp_judge_t *judge);
static void ngx_http_sp_stream_note(ngx_http_sp_stream_t *stream,
    const ngx_str_t *filter);
static ngx_int_t ngx_http_sp_stream_take(ngx_http_sp_stream_t *stream,
    ngx_str_t *out);
static ngx_int_t ngx_http_sp_stream_hold(ngx_http_sp_stream_t *stream,
    const ngx_str_t *piece);
static ngx_int_t ngx_http_sp_stream_spell(ngx_http_sp_stream_t *stream,
    const ngx_str_t *piece, ngx_uint_t last);
static ngx_int_t ngx_http_sp_stream_respell(ngx_http_sp_stream_t *stream,
    ngx_str_t *out);
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
         i > 0 && ngx_http_sp_order(elt[i - 1]->rank, &elt[i - 1]->name,
                                    filter->rank, &filter->name) > 0;
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


ngx_int_t
ngx_http_sp_filters_policy(ngx_http_request_t *r,
    ngx_http_sp_direction_e direction, ngx_str_t *policy)
{
    size_t                          len;
    u_char                         *p;
    ngx_uint_t                      i, wanted;
    const ngx_str_t                *by[NGX_HTTP_SP_MAX_FILTERS];
    const ngx_http_sp_filter_t    **filter;
    ngx_http_sp_core_main_conf_t   *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_sp_core_module);

    filter = mcf->filters.elts;
    wanted = ngx_http_sp_filters(r, direction);
    len = 0;

    for (i = 0; i < mcf->filters.nelts; i++) {

        if (!(wanted & ((ngx_uint_t) 1 << i))) {
            continue;
        }

        if (filter[i]->policy == NULL) {
            return NGX_DECLINED;
        }

        by[i] = filter[i]->policy(r);
        len += filter[i]->name.len + 1 + by[i]->len + 1;
    }

    p = ngx_pnalloc(r->pool, ngx_max(len, 1));
    if (p == NULL) {
        return NGX_ERROR;
    }

    policy->data = p;
    policy->len = len;

    for (i = 0; i < mcf->filters.nelts; i++) {
        if (wanted & ((ngx_uint_t) 1 << i)) {
            p = ngx_sprintf(p, "%V %V\n", &filter[i]->name, by[i]);
        }
    }

    return NGX_OK;
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
    ngx_http_sp_edits_clear(&stream->edits);
    stream->held.pos = stream->held.start;
    stream->held.last = stream->held.start;
    ngx_memzero(&stream->spell, sizeof(sp_json_spell_t));
    ngx_memzero(&stream->respell, sizeof(sp_json_spell_t));
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

    if (ngx_http_sp_stream_spell(stream, piece, last) != NGX_OK) {
        stream->verdict = NGX_ERROR;
        return NGX_ERROR;
    }

    stream->text.last = last ? 1 : 0;
    stream->fed += stream->piece.len;
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
            ngx_http_sp_stream_ask(stream, judge);
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
    ngx_http_sp_judge_t *judge)
{
    ngx_int_t            rc;
    ngx_http_sp_text_t  *text;

    text = &stream->text;
    text->safe_upto = stream->fed;

    rc = judge->filter->feed(judge->state, text, &stream->piece);

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
    out->len = 0;
    out->data = NULL;

    if (stream->verdict != NGX_OK) {
        return (stream->verdict == NGX_ERROR) ? NGX_ERROR : NGX_DECLINED;
    }

    if (ngx_http_sp_stream_judge(stream, piece, last) == NGX_ERROR
        || ngx_http_sp_stream_take(stream, out) != NGX_OK
        || ngx_http_sp_stream_respell(stream, out) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return (stream->verdict == NGX_OK) ? NGX_OK : NGX_DECLINED;
}


/* what may go on of what was judged */

static ngx_int_t
ngx_http_sp_stream_take(ngx_http_sp_stream_t *stream, ngx_str_t *out)
{
    size_t  len;

    /* nothing is held, and nothing has to be */

    if (stream->verdict == NGX_OK && stream->held.last == stream->held.pos
        && stream->edits.list.nelts == 0
        && stream->text.safe_upto == stream->fed)
    {
        *out = stream->piece;
        stream->said = stream->fed;

        return NGX_OK;
    }

    if (ngx_http_sp_stream_hold(stream, &stream->piece) != NGX_OK) {
        return NGX_ERROR;
    }

    len = (size_t) (stream->text.safe_upto - stream->said);

    stream->out.last = stream->out.start;

    if (ngx_http_sp_room_make(stream->text.request->pool, &stream->out,
                              len + stream->edits.by + 1)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    out->data = stream->out.start;
    out->len = ngx_http_sp_edits_apply(&stream->edits, out->data,
                                       stream->held.pos, stream->said,
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
    }

    return NGX_OK;
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


static ngx_int_t
ngx_http_sp_stream_spell(ngx_http_sp_stream_t *stream, const ngx_str_t *piece,
    ngx_uint_t last)
{
    ngx_http_sp_room_t  *spelled;

    stream->piece = *piece;

    if (stream->text.field != NGX_HTTP_SP_ARGUMENTS) {
        return NGX_OK;
    }

    spelled = &stream->spelled;
    spelled->last = spelled->start;

    if (ngx_http_sp_room_make(stream->text.request->pool, spelled,
                              2 * piece->len + SP_JSON_SPELL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    stream->piece.data = spelled->start;
    stream->piece.len = sp_json_spell(&stream->spell, (char *) spelled->start,
                                      (char *) piece->data, piece->len,
                                      last ? 1 : 0);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_stream_respell(ngx_http_sp_stream_t *stream, ngx_str_t *out)
{
    ngx_http_sp_room_t  *respelled;

    if (stream->text.field != NGX_HTTP_SP_ARGUMENTS || out->len == 0) {
        return NGX_OK;
    }

    respelled = &stream->respelled;
    respelled->last = respelled->start;

    if (ngx_http_sp_room_make(stream->text.request->pool, respelled,
                              6 * out->len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    out->len = sp_json_respell(&stream->respell, (char *) respelled->start,
                               (char *) out->data, out->len);
    out->data = respelled->start;

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
    ngx_http_sp_stream_t  *stream;

    stream = (ngx_http_sp_stream_t *) text;

    from = ngx_max(from, stream->said);

    if (text->fixed) {
        return NGX_ERROR;
    }

    if (from >= to) {
        return NGX_OK;
    }

    stream->edited = 1;

    return ngx_http_sp_edits_add(&stream->edits, text->request->pool, from,
                                 to, by);
}


ngx_uint_t
ngx_http_sp_stream_edited(const ngx_http_sp_stream_t *stream)
{
    return stream->edited;
}


/* *out is the piece, or memory that is valid until the next call */

ngx_int_t
ngx_http_sp_stream_whole(ngx_http_sp_stream_t *stream, const ngx_str_t *piece,
    ngx_str_t *out)
{
    ngx_int_t  rc;

    *out = *piece;

    rc = ngx_http_sp_stream_judge(stream, piece, 1);

    if (rc != NGX_OK || !ngx_http_sp_stream_edited(stream)) {
        return rc;
    }

    if (ngx_http_sp_stream_cut(stream, stream->piece.data, 0, stream->fed, out)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sp_stream_respell(stream, out);
}


/* bytes [from, to), at src, of a text that was judged whole */

ngx_int_t
ngx_http_sp_stream_cut(ngx_http_sp_stream_t *stream, const u_char *src,
    uint64_t from, uint64_t to, ngx_str_t *out)
{
    out->data = ngx_pnalloc(stream->text.request->pool,
                            (size_t) (to - from) + stream->edits.by + 1);
    if (out->data == NULL) {
        return NGX_ERROR;
    }

    out->len = ngx_http_sp_edits_apply(&stream->edits, out->data, src, from,
                                       to)
               - out->data;

    return NGX_OK;
}


