
/*
 * Copyright (C) Sallyport authors
 *
 * One text against all rules.  ASCII is scanned as it is.  Other texts are
 * scanned as their view (sp_unicode.h), block by block; when something
 * invisible was removed from it, a second time with spaces in its place.
 */

#include "ngx_http_sp_moderation.h"

#include "sp_unicode.h"


#define NGX_HTTP_SP_MODERATION_BLOCK  4096

/* hits of one text that are told apart */
#define NGX_HTTP_SP_MODERATION_HITS   1024


typedef struct {
    ngx_http_sp_moderation_rule_t             *rule;
    ngx_http_sp_moderation_span_t              span;
    ngx_flag_t                                 exception;
} ngx_http_sp_moderation_hit_t;


typedef struct {
    ngx_pool_t                                *pool;
    const ngx_http_sp_moderation_main_conf_t  *mmcf;
    ngx_uint_t                                 roles;
    ngx_array_t                                hits;   /* unset before one */
    ngx_uint_t                                 exceptions;
    ngx_http_sp_moderation_rule_t             *overflow;

    /* what "end" of a hit refers to */

    const u_char                              *data;   /* text, or view */
    const sp_unicode_span_t                   *spans;  /* NULL: text */
    uint64_t                                   base;   /* offset of data */
} ngx_http_sp_moderation_scan_t;


static ngx_int_t ngx_http_sp_moderation_view(ngx_pool_t *pool,
    ngx_http_sp_moderation_scan_t *scan, const ngx_str_t *text,
    sp_unicode_t *u);
static int ngx_http_sp_moderation_hit(void *data, uint32_t term,
    uint64_t end);
static ngx_int_t ngx_http_sp_moderation_judge(ngx_pool_t *pool,
    ngx_http_sp_moderation_scan_t *scan,
    ngx_http_sp_moderation_verdict_t *verdict);
static ngx_int_t ngx_http_sp_moderation_rest(ngx_pool_t *pool,
    const ngx_http_sp_moderation_scan_t *scan,
    ngx_http_sp_moderation_verdict_t *verdict);
static ngx_http_sp_moderation_span_t *ngx_http_sp_moderation_add_mask(
    ngx_pool_t *pool, ngx_http_sp_moderation_verdict_t *verdict);
static ngx_uint_t ngx_http_sp_moderation_excepted(
    const ngx_http_sp_moderation_scan_t *scan,
    const ngx_http_sp_moderation_hit_t *hit);
static ngx_uint_t ngx_http_sp_moderation_stronger(
    const ngx_http_sp_moderation_rule_t *a,
    const ngx_http_sp_moderation_rule_t *b);
static int ngx_libc_cdecl ngx_http_sp_moderation_cmp_spans(const void *one,
    const void *two);


ngx_int_t
ngx_http_sp_moderation_scan(ngx_pool_t *pool,
    const ngx_http_sp_moderation_main_conf_t *mmcf, const ngx_str_t *text,
    ngx_uint_t roles, ngx_http_sp_moderation_verdict_t *verdict)
{
    sp_unicode_t                    u;
    sp_match_scan_t                 state;
    ngx_http_sp_moderation_scan_t   scan;

    if (mmcf->match == NULL || text->len == 0) {
        return NGX_OK;
    }

    ngx_memzero(&scan, sizeof(ngx_http_sp_moderation_scan_t));

    scan.pool = pool;
    scan.mmcf = mmcf;
    scan.roles = roles;

    if (sp_unicode_is_ascii(text->data, text->len)) {
        scan.data = text->data;

        sp_match_init(mmcf->match, &state);

        if (sp_match_scan(mmcf->match, &state, text->data, text->len,
                          ngx_http_sp_moderation_hit, &scan)
            != 0
            || sp_match_finish(mmcf->match, &state,
                               ngx_http_sp_moderation_hit, &scan)
               != 0)
        {
            return NGX_ERROR;
        }

        return ngx_http_sp_moderation_judge(pool, &scan, verdict);
    }

    sp_unicode_init(&u, SP_UNICODE_JOINED);

    if (ngx_http_sp_moderation_view(pool, &scan, text, &u) != NGX_OK) {
        return NGX_ERROR;
    }

    if (u.invisible) {
        sp_unicode_init(&u, SP_UNICODE_SPACED);

        if (ngx_http_sp_moderation_view(pool, &scan, text, &u) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_sp_moderation_judge(pool, &scan, verdict);
}


/*
 * The view of the text, in blocks.  The end of a block is kept before the
 * next one, so that a hit is found whole: a view has no byte that the
 * automaton skips, hence no hit is longer than its term.
 */

static ngx_int_t
ngx_http_sp_moderation_view(ngx_pool_t *pool,
    ngx_http_sp_moderation_scan_t *scan, const ngx_str_t *text,
    sp_unicode_t *u)
{
    int                 rc;
    size_t              done, keep, n, size;
    sp_match_scan_t     state;
    sp_unicode_out_t    out;

    size = NGX_HTTP_SP_MODERATION_BLOCK + SP_MATCH_MAX_TERM + 1;

    out.len = 0;
    out.size = size;
    out.data = ngx_pnalloc(pool, size);
    out.spans = ngx_palloc(pool, size * sizeof(sp_unicode_span_t));

    if (out.data == NULL || out.spans == NULL) {
        return NGX_ERROR;
    }

    scan->data = out.data;
    scan->spans = out.spans;
    scan->base = 0;

    sp_match_init(scan->mmcf->match, &state);

    done = 0;
    n = 0;
    rc = 0;

    while (n < text->len && rc == 0) {

        n += sp_unicode_feed(u, text->data + n, text->len - n, &out);

        if (n == text->len && out.size - out.len >= SP_UNICODE_ROOM) {
            sp_unicode_finish(u, &out);
        }

        rc = sp_match_scan(scan->mmcf->match, &state, out.data + done,
                           out.len - done, ngx_http_sp_moderation_hit, scan);

        keep = ngx_min(out.len, SP_MATCH_MAX_TERM + 1);

        ngx_memmove(out.data, out.data + out.len - keep, keep);
        ngx_memmove(out.spans, out.spans + out.len - keep,
                    keep * sizeof(sp_unicode_span_t));

        scan->base += out.len - keep;
        out.len = keep;
        done = keep;
    }

    /* a last character that the room did not suffice for */

    sp_unicode_finish(u, &out);

    if (rc == 0) {
        rc = sp_match_scan(scan->mmcf->match, &state, out.data + done,
                           out.len - done, ngx_http_sp_moderation_hit, scan);
    }

    if (rc == 0) {
        rc = sp_match_finish(scan->mmcf->match, &state,
                             ngx_http_sp_moderation_hit, scan);
    }

    (void) ngx_pfree(pool, out.data);
    (void) ngx_pfree(pool, out.spans);

    return (rc == 0) ? NGX_OK : NGX_ERROR;
}


static int
ngx_http_sp_moderation_hit(void *data, uint32_t term, uint64_t end)
{
    ngx_http_sp_moderation_scan_t *scan = data;

    size_t                                from, to;
    ngx_http_sp_moderation_hit_t         *hit;
    const ngx_http_sp_moderation_term_t  *terms;

    terms = scan->mmcf->terms->elts;

    if (!(terms[term].rule->roles & scan->roles)) {
        return 0;
    }

    /*
     * A text made of nothing but hits is judged as a whole, see
     * ngx_http_sp_moderation_rest().
     */

    if (scan->hits.nelts == NGX_HTTP_SP_MODERATION_HITS) {
        if (!terms[term].exception
            && (scan->overflow == NULL
                || ngx_http_sp_moderation_stronger(terms[term].rule,
                                                   scan->overflow)))
        {
            scan->overflow = terms[term].rule;
        }

        return 0;
    }

    to = (size_t) (end - scan->base);
    from = sp_match_start(scan->mmcf->match, term, scan->data,
                          scan->data + to)
           - scan->data;

    /* most texts have none: a body of short strings costs no memory */

    if (scan->hits.nalloc == 0
        && ngx_array_init(&scan->hits, scan->pool, 8,
                          sizeof(ngx_http_sp_moderation_hit_t))
           != NGX_OK)
    {
        return 1;
    }

    hit = ngx_array_push(&scan->hits);
    if (hit == NULL) {
        return 1;
    }

    hit->rule = terms[term].rule;
    hit->exception = terms[term].exception;
    hit->span.from = (uint32_t) from;
    hit->span.to = (uint32_t) to;

    if (scan->spans != NULL) {
        hit->span.from = scan->spans[from].from;
        hit->span.to = scan->spans[to - 1].to;
    }

    if (hit->exception) {
        scan->exceptions = 1;
    }

    return 0;
}


static ngx_int_t
ngx_http_sp_moderation_judge(ngx_pool_t *pool,
    ngx_http_sp_moderation_scan_t *scan,
    ngx_http_sp_moderation_verdict_t *verdict)
{
    ngx_uint_t                      i;
    ngx_http_sp_moderation_hit_t   *hit;
    ngx_http_sp_moderation_span_t  *span;

    hit = scan->hits.elts;

    for (i = 0; i < scan->hits.nelts; i++) {

        if (hit[i].exception
            || (scan->exceptions
                && ngx_http_sp_moderation_excepted(scan, &hit[i])))
        {
            continue;
        }

        if (verdict->rule == NULL
            || ngx_http_sp_moderation_stronger(hit[i].rule, verdict->rule))
        {
            verdict->rule = hit[i].rule;
        }

        if (hit[i].rule->action != NGX_HTTP_SP_MODERATION_MASK) {
            continue;
        }

        span = ngx_http_sp_moderation_add_mask(pool, verdict);
        if (span == NULL) {
            return NGX_ERROR;
        }

        *span = hit[i].span;
    }

    return (scan->overflow == NULL)
           ? NGX_OK : ngx_http_sp_moderation_rest(pool, scan, verdict);
}


/* more hits than were recorded: the whole text is masked */

static ngx_int_t
ngx_http_sp_moderation_rest(ngx_pool_t *pool,
    const ngx_http_sp_moderation_scan_t *scan,
    ngx_http_sp_moderation_verdict_t *verdict)
{
    ngx_http_sp_moderation_span_t  *span;

    if (verdict->rule == NULL
        || ngx_http_sp_moderation_stronger(scan->overflow, verdict->rule))
    {
        verdict->rule = scan->overflow;
    }

    if (scan->overflow->action != NGX_HTTP_SP_MODERATION_MASK) {
        return NGX_OK;
    }

    span = ngx_http_sp_moderation_add_mask(pool, verdict);
    if (span == NULL) {
        return NGX_ERROR;
    }

    span->from = 0;
    span->to = UINT32_MAX;

    return NGX_OK;
}


static ngx_http_sp_moderation_span_t *
ngx_http_sp_moderation_add_mask(ngx_pool_t *pool,
    ngx_http_sp_moderation_verdict_t *verdict)
{
    if (verdict->masks == NULL) {
        verdict->masks = ngx_array_create(pool, 8,
                                      sizeof(ngx_http_sp_moderation_span_t));
        if (verdict->masks == NULL) {
            return NULL;
        }
    }

    return ngx_array_push(verdict->masks);
}


static ngx_uint_t
ngx_http_sp_moderation_excepted(const ngx_http_sp_moderation_scan_t *scan,
    const ngx_http_sp_moderation_hit_t *hit)
{
    ngx_uint_t                           i;
    const ngx_http_sp_moderation_hit_t  *hits;

    hits = scan->hits.elts;

    for (i = 0; i < scan->hits.nelts; i++) {
        if (hits[i].exception && hits[i].rule == hit->rule
            && hits[i].span.from <= hit->span.from
            && hits[i].span.to >= hit->span.to)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_sp_moderation_stronger(const ngx_http_sp_moderation_rule_t *a,
    const ngx_http_sp_moderation_rule_t *b)
{
    if (a->action != b->action) {
        return a->action > b->action;
    }

    return a->severity > b->severity;
}


ngx_int_t
ngx_http_sp_moderation_mask(ngx_pool_t *pool, const ngx_str_t *text,
    const ngx_array_t *masks, ngx_str_t *masked)
{
    u_char                         *p;
    size_t                          i, last;
    ngx_uint_t                      k;
    ngx_http_sp_moderation_span_t  *span;

    span = masks->elts;
    ngx_qsort(span, masks->nelts, sizeof(ngx_http_sp_moderation_span_t),
              ngx_http_sp_moderation_cmp_spans);

    p = ngx_pnalloc(pool, text->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    masked->data = p;
    i = 0;

    for (k = 0; k < masks->nelts; k++) {
        last = ngx_min(span[k].to, text->len);

        if (last <= i) {
            continue;
        }

        if (span[k].from > i) {
            p = ngx_cpymem(p, text->data + i, span[k].from - i);
            i = span[k].from;
        }

        for ( /* void */ ; i < last; i++) {
            if ((text->data[i] & 0xc0) != 0x80) {
                *p++ = '*';
            }
        }
    }

    p = ngx_cpymem(p, text->data + i, text->len - i);
    *p = '\0';

    masked->len = p - masked->data;

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_http_sp_moderation_cmp_spans(const void *one, const void *two)
{
    const ngx_http_sp_moderation_span_t  *a = one;
    const ngx_http_sp_moderation_span_t  *b = two;

    if (a->from == b->from) {
        return 0;
    }

    return (a->from < b->from) ? -1 : 1;
}
