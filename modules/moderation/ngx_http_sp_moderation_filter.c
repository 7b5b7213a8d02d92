
/*
 * Copyright (C) Sallyport authors
 *
 * The stream filter: what becomes of a text that matches.  A block ends it
 * before the match, a mask edits it, a flag is only told.  The request is
 * counted once for each direction, by the strongest rule, when it ends.
 */

#include "ngx_http_sp_moderation.h"


/* of a text, between two looks at its hits */
#define NGX_HTTP_SP_MODERATION_PART  1024


/* what was found in all texts of a direction */

typedef struct {
    ngx_http_sp_moderation_rule_t  *rule;      /* the strongest; or NULL */
    unsigned                        scanned:1;
} ngx_http_sp_moderation_found_t;


typedef struct {
    ngx_http_sp_moderation_found_t  found[2];
} ngx_http_sp_moderation_ctx_t;


static ngx_uint_t ngx_http_sp_moderation_wants(ngx_http_request_t *r,
    ngx_http_sp_direction_e direction);
static ngx_int_t ngx_http_sp_moderation_open(void *state,
    ngx_http_sp_text_t *text);
static ngx_int_t ngx_http_sp_moderation_feed(void *state,
    ngx_http_sp_text_t *text, const ngx_str_t *piece);
static ngx_int_t ngx_http_sp_moderation_part(
    ngx_http_sp_moderation_text_t *mod, ngx_http_sp_text_t *text,
    const ngx_str_t *part, ngx_uint_t last);
static ngx_int_t ngx_http_sp_moderation_rest(
    ngx_http_sp_moderation_text_t *mod, ngx_http_sp_text_t *text,
    uint64_t from);
static void ngx_http_sp_moderation_close(void *state);
static const ngx_str_t *ngx_http_sp_moderation_policy(ngx_http_request_t *r);
static ngx_int_t ngx_http_sp_moderation_judge(
    ngx_http_sp_moderation_text_t *mod, ngx_http_sp_text_t *text);
static ngx_uint_t ngx_http_sp_moderation_excepted(
    const ngx_http_sp_moderation_text_t *mod,
    const ngx_http_sp_moderation_hit_t *hit);
static ngx_int_t ngx_http_sp_moderation_act(ngx_http_sp_text_t *text,
    const ngx_http_sp_moderation_hit_t *hit);
static void ngx_http_sp_moderation_forget(ngx_http_sp_moderation_text_t *mod);
static ngx_int_t ngx_http_sp_moderation_note(const ngx_http_sp_text_t *text,
    ngx_http_sp_moderation_rule_t *rule);
static ngx_int_t ngx_http_sp_moderation_refuse(ngx_http_request_t *r,
    const ngx_http_sp_moderation_rule_t *rule);
static void ngx_http_sp_moderation_count(ngx_http_request_t *r,
    const ngx_http_sp_outcome_t *outcome);


const ngx_http_sp_filter_t  ngx_http_sp_moderation_filter = {
    NGX_HTTP_SP_ABI,
    ngx_string("moderation"),
    100,
    NGX_HTTP_SP_INPUT|NGX_HTTP_SP_OUTPUT,
    sizeof(ngx_http_sp_moderation_text_t),
    ngx_http_sp_moderation_wants,
    ngx_http_sp_moderation_open,
    ngx_http_sp_moderation_feed,
    ngx_http_sp_moderation_close,
    ngx_http_sp_moderation_policy
};


const ngx_http_sp_end_t  ngx_http_sp_moderation_end = {
    NGX_HTTP_SP_ABI,
    ngx_string("moderation"),
    100,
    ngx_http_sp_moderation_count
};


static ngx_uint_t
ngx_http_sp_moderation_wants(ngx_http_request_t *r,
    ngx_http_sp_direction_e direction)
{
    ngx_http_sp_moderation_loc_conf_t  *mlcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_moderation_module);

    return (mlcf->stages & direction) != 0;
}


static ngx_int_t
ngx_http_sp_moderation_open(void *state, ngx_http_sp_text_t *text)
{
    ngx_http_sp_moderation_text_t *mod = state;

    ngx_http_sp_moderation_ctx_t        *ctx;
    ngx_http_sp_moderation_main_conf_t  *mmcf;

    mmcf = ngx_http_get_module_main_conf(text->request,
                                         ngx_http_sp_moderation_module);

    /* that of the main request, whose end is told */

    ctx = ngx_http_sp_ctx(text->request->main, &ngx_http_sp_moderation_module,
                          sizeof(ngx_http_sp_moderation_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->found[NGX_HTTP_SP_MODERATION_N(text->direction)].scanned = 1;

    mod->pool = text->request->pool;
    mod->mmcf = mmcf;
    mod->stage = text->direction;
    mod->role = (text->direction == NGX_HTTP_SP_INPUT) ? 1 << text->role : 0;

    return NGX_OK;
}


/*
 * A whole text is scanned at once, and the strongest of its rules is named.
 * Where it has more hits than are kept it is scanned as a stream is: hits are
 * judged after each part.
 */

static ngx_int_t
ngx_http_sp_moderation_feed(void *state, ngx_http_sp_text_t *text,
    const ngx_str_t *piece)
{
    ngx_http_sp_moderation_text_t *mod = state;

    size_t      rest;
    uint64_t    from;
    ngx_int_t   rc;
    ngx_str_t   part;

    if (mod->fed == 0 && text->last) {
        rc = ngx_http_sp_moderation_part(mod, text, piece, 1);

        if (rc != NGX_DECLINED) {
            return rc;
        }

        ngx_http_sp_moderation_reset(mod);
    }

    part.data = piece->data;
    rest = piece->len;

    do {
        part.len = ngx_min(rest, NGX_HTTP_SP_MODERATION_PART);
        rest -= part.len;
        from = mod->live;

        rc = ngx_http_sp_moderation_part(mod, text, &part,
                                         text->last && rest == 0);
        if (rc == NGX_DECLINED) {
            rc = ngx_http_sp_moderation_rest(mod, text, from);
        }

        part.data += part.len;

    } while (rc == NGX_OK && rest != 0);

    return rc;
}


/* NGX_DECLINED: more hits than are kept, and none of them is judged */

static ngx_int_t
ngx_http_sp_moderation_part(ngx_http_sp_moderation_text_t *mod,
    ngx_http_sp_text_t *text, const ngx_str_t *part, ngx_uint_t last)
{
    if (ngx_http_sp_moderation_scan(mod, part, last) != NGX_OK) {
        return NGX_ERROR;
    }

    text->safe_upto = mod->live;

    return (mod->overflow == NULL) ? ngx_http_sp_moderation_judge(mod, text)
                                   : NGX_DECLINED;
}


/* of a part that is nothing but hits: all that was not judged is one */

static ngx_int_t
ngx_http_sp_moderation_rest(ngx_http_sp_moderation_text_t *mod,
    ngx_http_sp_text_t *text, uint64_t from)
{
    ngx_int_t                     rc;
    ngx_http_sp_moderation_hit_t  hit;

    rc = ngx_http_sp_moderation_judge(mod, text);

    if (rc != NGX_OK) {
        return rc;
    }

    hit.from = from;
    hit.to = mod->fed;
    hit.rule = mod->overflow;
    mod->overflow = NULL;

    rc = ngx_http_sp_moderation_act(text, &hit);

    return (rc == NGX_DECLINED)
           ? ngx_http_sp_moderation_refuse(text->request, hit.rule) : rc;
}


static void
ngx_http_sp_moderation_close(void *state)
{
    ngx_http_sp_moderation_done(state);
}


static const ngx_str_t *
ngx_http_sp_moderation_policy(ngx_http_request_t *r)
{
    const ngx_http_sp_moderation_main_conf_t  *mmcf;

    mmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_moderation_module);

    return &mmcf->policy;
}


static ngx_int_t
ngx_http_sp_moderation_judge(ngx_http_sp_moderation_text_t *mod,
    ngx_http_sp_text_t *text)
{
    ngx_int_t                            rc;
    ngx_uint_t                           i;
    const ngx_http_sp_moderation_hit_t  *hit, *refused;

    hit = mod->hits.elts;
    refused = NULL;

    for (i = 0; i < mod->hits.nelts; i++) {

        if (hit[i].exception || hit[i].from >= mod->live
            || ngx_http_sp_moderation_excepted(mod, &hit[i]))
        {
            continue;
        }

        rc = ngx_http_sp_moderation_act(text, &hit[i]);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        /* the strongest one is named, whichever comes first */

        if (rc == NGX_DECLINED
            && (refused == NULL
                || ngx_http_sp_moderation_stronger(hit[i].rule,
                                                   refused->rule)))
        {
            refused = &hit[i];
        }
    }

    if (refused != NULL) {
        return ngx_http_sp_moderation_refuse(text->request, refused->rule);
    }

    ngx_http_sp_moderation_forget(mod);

    return NGX_OK;
}


static ngx_uint_t
ngx_http_sp_moderation_excepted(const ngx_http_sp_moderation_text_t *mod,
    const ngx_http_sp_moderation_hit_t *hit)
{
    ngx_uint_t                           i;
    const ngx_http_sp_moderation_hit_t  *hits;

    hits = mod->hits.elts;

    for (i = 0; i < mod->hits.nelts; i++) {
        if (hits[i].exception && hits[i].rule == hit->rule
            && hits[i].from <= hit->from && hits[i].to >= hit->to)
        {
            return 1;
        }
    }

    return 0;
}


/* NGX_DECLINED: refused, the text ends before it */

static ngx_int_t
ngx_http_sp_moderation_act(ngx_http_sp_text_t *text,
    const ngx_http_sp_moderation_hit_t *hit)
{
    if (ngx_http_sp_moderation_note(text, hit->rule) != NGX_OK) {
        return NGX_ERROR;
    }

    switch (hit->rule->action) {

    case NGX_HTTP_SP_MODERATION_FLAG:
        return NGX_OK;

    case NGX_HTTP_SP_MODERATION_MASK:
        if (!text->fixed) {
            return ngx_http_sp_text_edit(text, hit->from, hit->to, NULL);
        }

        break;

    case NGX_HTTP_SP_MODERATION_BLOCK:
        break;
    }

    text->safe_upto = ngx_min(text->safe_upto, hit->from);

    return NGX_DECLINED;
}


/* hits that are judged, and exceptions that no hit can be inside any more */

static void
ngx_http_sp_moderation_forget(ngx_http_sp_moderation_text_t *mod)
{
    ngx_uint_t                     i, n;
    ngx_http_sp_moderation_hit_t  *hit;

    hit = mod->hits.elts;

    for (i = 0, n = 0; i < mod->hits.nelts; i++) {
        if (hit[i].exception ? hit[i].to > mod->live
                             : hit[i].from >= mod->live)
        {
            hit[n++] = hit[i];
        }
    }

    mod->hits.nelts = n;
}


static ngx_int_t
ngx_http_sp_moderation_note(const ngx_http_sp_text_t *text,
    ngx_http_sp_moderation_rule_t *rule)
{
    ngx_str_t                        header;
    ngx_http_sp_moderation_ctx_t    *ctx;
    ngx_http_sp_moderation_found_t  *found;

    ctx = ngx_http_sp_find_ctx(text->request->main,
                               &ngx_http_sp_moderation_module);

    found = &ctx->found[NGX_HTTP_SP_MODERATION_N(text->direction)];

    if (found->rule != NULL
        && !ngx_http_sp_moderation_stronger(rule, found->rule))
    {
        return NGX_OK;
    }

    found->rule = rule;

    /* the header of an answer that is scanned may be out */

    if (text->direction == NGX_HTTP_SP_OUTPUT
        || rule->action == NGX_HTTP_SP_MODERATION_BLOCK)
    {
        return NGX_OK;
    }

    if (rule->action == NGX_HTTP_SP_MODERATION_MASK) {
        ngx_str_set(&header, "masked");

    } else {
        ngx_str_set(&header, "flagged");
    }

    return ngx_http_sp_add_header(text->request, "X-Moderation", &header);
}


static ngx_int_t
ngx_http_sp_moderation_refuse(ngx_http_request_t *r,
    const ngx_http_sp_moderation_rule_t *rule)
{
    u_char     *p;
    ngx_int_t   rc;
    ngx_str_t   details;

    p = ngx_pnalloc(r->pool, sizeof("{\"rule\":\"\",\"category\":\"\"}")
                             + rule->id.len + rule->category.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    details.data = p;
    details.len = ngx_sprintf(p, "{\"rule\":\"%V\",\"category\":\"%V\"}",
                              &rule->id, &rule->category)
                  - p;

    rc = ngx_http_sp_error(r, 422, "content_blocked",
                           "the text matches a rule against \"%V\" and was "
                           "not forwarded", &rule->category);
    ngx_http_sp_error_details(r, &details);

    return rc;
}


/* the end hook; never the text: ids only */

static void
ngx_http_sp_moderation_count(ngx_http_request_t *r,
    const ngx_http_sp_outcome_t *outcome)
{
    ngx_uint_t                           i;
    ngx_http_sp_moderation_ctx_t        *ctx;
    ngx_http_sp_moderation_rule_t       *rule;
    ngx_http_sp_moderation_main_conf_t  *mmcf;

    static char  *directions[] = { "input", "output" };

    ctx = ngx_http_sp_find_ctx(r, &ngx_http_sp_moderation_module);

    if (ctx == NULL) {
        return;
    }

    mmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_moderation_module);

    for (i = 0; i < 2; i++) {

        if (ctx->found[i].scanned) {
            ngx_sp_metric_add(mmcf->scanned[i], 1);
        }

        rule = ctx->found[i].rule;

        if (rule != NULL) {
            ngx_sp_metric_add(rule->metrics[i], 1);

            ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                          "moderation: %s matches rule \"%V\", category "
                          "\"%V\"", directions[i], &rule->id,
                          &rule->category);
        }
    }
}
