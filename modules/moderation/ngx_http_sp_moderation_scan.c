
/*
 * Copyright (C) Sallyport authors
 *
 * A text against all rules, piece by piece.  ASCII that comes whole is scanned
 * as it is.  Other texts are scanned as their view (sp_unicode.h); from where
 * something invisible was removed from it, as a second one, too, with spaces
 * in its place.
 */

#include "ngx_http_sp_moderation.h"


/* the end of a view that a term may reach back over */
#define NGX_HTTP_SP_MODERATION_TAIL  (SP_MATCH_MAX_TERM + 1)

#define NGX_HTTP_SP_MODERATION_VIEW  1024


static ngx_int_t ngx_http_sp_moderation_ascii(
    ngx_http_sp_moderation_text_t *text, const ngx_str_t *piece);
static ngx_int_t ngx_http_sp_moderation_views(
    ngx_http_sp_moderation_text_t *text);
static ngx_uint_t ngx_http_sp_moderation_is_plain(const sp_unicode_t *u,
    const ngx_str_t *piece);
static void ngx_http_sp_moderation_copy(ngx_http_sp_moderation_view_t *to,
    const ngx_http_sp_moderation_view_t *from);
static ngx_int_t ngx_http_sp_moderation_view(
    ngx_http_sp_moderation_text_t *text, ngx_http_sp_moderation_view_t *view,
    const ngx_str_t *piece, ngx_uint_t last);
static ngx_int_t ngx_http_sp_moderation_match(
    ngx_http_sp_moderation_text_t *text, ngx_http_sp_moderation_view_t *view);
static void ngx_http_sp_moderation_room(ngx_http_sp_moderation_view_t *view);
static uint64_t ngx_http_sp_moderation_live(
    const ngx_http_sp_moderation_text_t *text,
    const ngx_http_sp_moderation_view_t *view);
static int ngx_http_sp_moderation_hit(void *data, uint32_t term,
    uint64_t end);


ngx_int_t
ngx_http_sp_moderation_scan(ngx_http_sp_moderation_text_t *text,
    const ngx_str_t *piece, ngx_uint_t last)
{
    ngx_uint_t                      i;
    ngx_http_sp_moderation_view_t  *views;

    if (text->fed == 0 && last
        && sp_unicode_is_ascii(piece->data, piece->len))
    {
        return ngx_http_sp_moderation_ascii(text, piece);
    }

    if (text->views == NULL && ngx_http_sp_moderation_views(text) != NGX_OK) {
        return NGX_ERROR;
    }

    views = text->views;

    /* where the second view will begin, should it be needed */

    if (text->nviews == 1
        && !ngx_http_sp_moderation_is_plain(&views[0].unicode, piece))
    {
        ngx_http_sp_moderation_copy(&views[1], &views[0]);
    }

    text->fed += piece->len;
    text->live = text->fed;

    for (i = 0; i < text->nviews; i++) {

        if (ngx_http_sp_moderation_view(text, &views[i], piece, last)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (views[0].unicode.invisible) {
            views[1].unicode.view = SP_UNICODE_SPACED;
            text->nviews = 2;
        }

        if (!last) {
            text->live = ngx_min(text->live,
                                 ngx_http_sp_moderation_live(text,
                                                             &views[i]));
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_moderation_ascii(ngx_http_sp_moderation_text_t *text,
    const ngx_str_t *piece)
{
    sp_match_scan_t    state;
    const sp_match_t  *match;

    match = text->mmcf->match;

    text->data = piece->data;
    text->spans = NULL;
    text->base = 0;
    text->fed = piece->len;
    text->live = piece->len;

    sp_match_init(match, &state);

    if (sp_match_scan(match, &state, piece->data, piece->len,
                      ngx_http_sp_moderation_hit, text)
        != 0
        || sp_match_finish(match, &state, ngx_http_sp_moderation_hit, text)
           != 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_moderation_views(ngx_http_sp_moderation_text_t *text)
{
    u_char                         *p;
    ngx_uint_t                      i;
    ngx_http_sp_moderation_view_t  *views;

    views = ngx_palloc(text->pool,
                       2 * (sizeof(ngx_http_sp_moderation_view_t)
                            + NGX_HTTP_SP_MODERATION_VIEW
                              * (sizeof(sp_unicode_span_t) + 1)));
    if (views == NULL) {
        return NGX_ERROR;
    }

    p = (u_char *) &views[2];

    for (i = 0; i < 2; i++) {
        ngx_memzero(&views[i], sizeof(ngx_http_sp_moderation_view_t));

        views[i].out.size = NGX_HTTP_SP_MODERATION_VIEW;
        views[i].out.spans = (sp_unicode_span_t *) p;
        p += NGX_HTTP_SP_MODERATION_VIEW * sizeof(sp_unicode_span_t);

        sp_unicode_init(&views[i].unicode, SP_UNICODE_JOINED);
        sp_match_init(text->mmcf->match, &views[i].match);
    }

    for (i = 0; i < 2; i++) {
        views[i].out.data = p;
        p += NGX_HTTP_SP_MODERATION_VIEW;
    }

    text->views = views;
    text->nviews = 1;

    return NGX_OK;
}


/* to its begin: the next piece is the first, whatever it is */

void
ngx_http_sp_moderation_reset(ngx_http_sp_moderation_text_t *text)
{
    ngx_http_sp_moderation_done(text);

    text->hits.nelts = 0;
    text->overflow = NULL;
    text->fed = 0;
    text->live = 0;
}


void
ngx_http_sp_moderation_done(ngx_http_sp_moderation_text_t *text)
{
    if (text->views != NULL) {
        (void) ngx_pfree(text->pool, text->views);
        text->views = NULL;
    }
}


/* nothing invisible is in it, nor in what waits before it */

static ngx_uint_t
ngx_http_sp_moderation_is_plain(const sp_unicode_t *u, const ngx_str_t *piece)
{
    u_char  c;
    size_t  i;

    if (u->npartial != 0 || u->ncluster > 1
        || (u->ncluster == 1 && u->cluster[0] >= 0x80))
    {
        return 0;
    }

    for (i = 0; i < piece->len; i++) {
        c = piece->data[i];

        if (c >= 0x7f || (c < ' ' && !(c >= '\t' && c <= '\r'))) {
            return 0;
        }
    }

    return 1;
}


static void
ngx_http_sp_moderation_copy(ngx_http_sp_moderation_view_t *to,
    const ngx_http_sp_moderation_view_t *from)
{
    sp_unicode_out_t  out;

    out = to->out;
    *to = *from;

    out.len = from->out.len;
    to->out = out;

    ngx_memcpy(to->out.data, from->out.data, from->out.len);
    ngx_memcpy(to->out.spans, from->out.spans,
               from->out.len * sizeof(sp_unicode_span_t));
}


static ngx_int_t
ngx_http_sp_moderation_view(ngx_http_sp_moderation_text_t *text,
    ngx_http_sp_moderation_view_t *view, const ngx_str_t *piece,
    ngx_uint_t last)
{
    size_t  n;

    for (n = 0; n < piece->len; /* void */ ) {

        ngx_http_sp_moderation_room(view);

        n += sp_unicode_feed(&view->unicode, piece->data + n, piece->len - n,
                             &view->out);

        if (ngx_http_sp_moderation_match(text, view) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (!last) {
        return NGX_OK;
    }

    ngx_http_sp_moderation_room(view);

    sp_unicode_finish(&view->unicode, &view->out);

    if (ngx_http_sp_moderation_match(text, view) != NGX_OK) {
        return NGX_ERROR;
    }

    return (sp_match_finish(text->mmcf->match, &view->match,
                            ngx_http_sp_moderation_hit, text)
            == 0)
           ? NGX_OK : NGX_ERROR;
}


/*
 * The end of the view is kept, so that a hit is found whole: a view has no
 * byte that the automaton skips, hence no hit is longer than its term.
 */

static void
ngx_http_sp_moderation_room(ngx_http_sp_moderation_view_t *view)
{
    size_t             keep;
    sp_unicode_out_t  *out;

    out = &view->out;

    if (out->size - out->len >= SP_UNICODE_ROOM) {
        return;
    }

    keep = ngx_min(out->len, NGX_HTTP_SP_MODERATION_TAIL);

    ngx_memmove(out->data, out->data + out->len - keep, keep);
    ngx_memmove(out->spans, out->spans + out->len - keep,
                keep * sizeof(sp_unicode_span_t));

    view->base += out->len - keep;
    view->scanned = keep;
    out->len = keep;
}


static ngx_int_t
ngx_http_sp_moderation_match(ngx_http_sp_moderation_text_t *text,
    ngx_http_sp_moderation_view_t *view)
{
    size_t  done;

    text->data = view->out.data;
    text->spans = view->out.spans;
    text->base = view->base;

    done = view->scanned;
    view->scanned = view->out.len;

    return (sp_match_scan(text->mmcf->match, &view->match,
                          view->out.data + done, view->out.len - done,
                          ngx_http_sp_moderation_hit, text)
            == 0)
           ? NGX_OK : NGX_ERROR;
}


/* the first byte that may still become part of a hit, or is not in the view */

static uint64_t
ngx_http_sp_moderation_live(const ngx_http_sp_moderation_text_t *text,
    const ngx_http_sp_moderation_view_t *view)
{
    size_t               n;
    const sp_unicode_t  *u;

    n = sp_match_live(text->mmcf->match, &view->match);

    if (n > 0) {
        return view->out.spans[view->out.len - n].from;
    }

    u = &view->unicode;

    return (u->ncluster > 0) ? u->from : u->offset - u->npartial;
}


static int
ngx_http_sp_moderation_hit(void *data, uint32_t term, uint64_t end)
{
    ngx_http_sp_moderation_text_t *text = data;

    size_t                                from, to;
    ngx_http_sp_moderation_hit_t         *hit;
    const ngx_http_sp_moderation_term_t  *found;

    found = text->mmcf->terms->elts;
    found += term;

    if (!(found->rule->stages & text->stage)
        || (text->role != 0 && !(found->rule->roles & text->role)))
    {
        return 0;
    }

    /* a text made of nothing but hits is judged as a whole */

    if (text->hits.nelts == NGX_HTTP_SP_MODERATION_HITS) {
        if (!found->exception
            && (text->overflow == NULL
                || ngx_http_sp_moderation_stronger(found->rule,
                                                   text->overflow)))
        {
            text->overflow = found->rule;
        }

        return 0;
    }

    to = (size_t) (end - text->base);
    from = sp_match_start(text->mmcf->match, term, text->data,
                          text->data + to)
           - text->data;

    /* most texts have none: a body of short strings costs no memory */

    if (text->hits.nalloc == 0
        && ngx_array_init(&text->hits, text->pool, 8,
                          sizeof(ngx_http_sp_moderation_hit_t))
           != NGX_OK)
    {
        return 1;
    }

    hit = ngx_array_push(&text->hits);
    if (hit == NULL) {
        return 1;
    }

    hit->rule = found->rule;
    hit->exception = found->exception;
    hit->from = (text->spans != NULL) ? text->spans[from].from : from;
    hit->to = (text->spans != NULL) ? text->spans[to - 1].to : to;

    return 0;
}


ngx_uint_t
ngx_http_sp_moderation_stronger(const ngx_http_sp_moderation_rule_t *a,
    const ngx_http_sp_moderation_rule_t *b)
{
    if (a->action != b->action) {
        return a->action > b->action;
    }

    return a->severity > b->severity;
}
