
/*
 * Copyright (C) Sallyport authors
 *
 * moderation: term rules on what clients send and models answer.
 *
 *     _module.c   directives, configuration, registration
 *     _rules.c    rule files, _head.c the heads of rules
 *     _scan.c     a text, piece by piece: what matches
 *     _filter.c   the stream filter: what a match does
 */

#ifndef _NGX_HTTP_SP_MODERATION_H_INCLUDED_
#define _NGX_HTTP_SP_MODERATION_H_INCLUDED_


#include "ngx_http_sp_core.h"

#include "sp_match.h"
#include "sp_siphash.h"
#include "sp_unicode.h"


/* who says it, of an input: bits of a rule, 1 << sp_chat_role_e */
#define NGX_HTTP_SP_MODERATION_SYSTEM     1
#define NGX_HTTP_SP_MODERATION_USER       2
#define NGX_HTTP_SP_MODERATION_ASSISTANT  4
#define NGX_HTTP_SP_MODERATION_TOOL       8

/* of arrays that are by direction: 0 or 1 */
#define NGX_HTTP_SP_MODERATION_N(direction)  ((direction) >> 1)

/* hits of one text that wait at a time */
#define NGX_HTTP_SP_MODERATION_HITS       1024


/* the stronger one counts */

typedef enum {
    NGX_HTTP_SP_MODERATION_FLAG = 1,
    NGX_HTTP_SP_MODERATION_MASK,
    NGX_HTTP_SP_MODERATION_BLOCK
} ngx_http_sp_moderation_action_e;


typedef struct {
    ngx_str_t                        id;
    ngx_str_t                        category;
    ngx_http_sp_moderation_action_e  action;
    ngx_uint_t                       severity;     /* 1 to 4 */
    ngx_uint_t                       stages;       /* directions, bits */
    ngx_uint_t                       roles;
    ngx_sp_metric_t                 *metrics[2];   /* by direction */
} ngx_http_sp_moderation_rule_t;


typedef struct {
    ngx_http_sp_moderation_rule_t  *rule;
    ngx_flag_t                      exception;
} ngx_http_sp_moderation_term_t;


typedef struct {
    ngx_array_t                  *rules;     /* pointers to rules */
    ngx_array_t                  *terms;     /* ..._term_t */
    ngx_array_t                  *literals;  /* sp_match_term_t, the same */
    const sp_match_t             *match;     /* NULL: no rules */
    ngx_str_t                     policy;    /* a digest of all files */
    u_char                        digest[SP_SIPHASH_LEN];
    ngx_sp_metric_t              *scanned[2];  /* by direction */
} ngx_http_sp_moderation_main_conf_t;


typedef struct {
    ngx_uint_t                    stages;    /* directions, bits */
    ngx_str_t                     file;      /* where it was enabled */
    ngx_uint_t                    line;
} ngx_http_sp_moderation_loc_conf_t;


/* bytes [from, to) of a text */

typedef struct {
    uint64_t                        from;
    uint64_t                        to;
    ngx_http_sp_moderation_rule_t  *rule;
    ngx_flag_t                      exception;
} ngx_http_sp_moderation_hit_t;


/* a view of a text (sp_unicode.h), of which the end is kept */

typedef struct {
    sp_unicode_t                    unicode;
    sp_unicode_out_t                out;
    size_t                          scanned;   /* of out */
    uint64_t                        base;      /* of out, in the view */
    sp_match_scan_t                 match;
} ngx_http_sp_moderation_view_t;


/* the state of one text, zeroed before it */

typedef struct {
    ngx_pool_t                     *pool;
    const ngx_http_sp_moderation_main_conf_t  *mmcf;
    ngx_uint_t                      stage;     /* a bit */
    ngx_uint_t                      role;      /* a bit; 0: all rules */

    ngx_http_sp_moderation_view_t  *views;     /* NULL, or two */
    ngx_uint_t                      nviews;    /* that are scanned */
    uint64_t                        fed;

    /*
     * A hit that begins before "live" is known for good: no exception that
     * is still to come can have it inside.
     */
    ngx_array_t                     hits;      /* unset before one */
    uint64_t                        live;
    ngx_http_sp_moderation_rule_t  *overflow;  /* of hits beyond the limit */

    /* what "end" of a hit refers to */
    const u_char                   *data;      /* text, or view */
    const sp_unicode_span_t        *spans;     /* NULL: text */
    uint64_t                        base;      /* offset of data */
} ngx_http_sp_moderation_text_t;


/* of a rule file */
typedef struct {
    ngx_conf_t                          *cf;
    ngx_http_sp_moderation_main_conf_t  *mmcf;
    ngx_http_sp_moderation_rule_t       *rule;   /* the current one */
    ngx_str_t                           *file;
    ngx_uint_t                           line;
    u_char                              *start;  /* of the line */
    u_char                              *last;
    ngx_uint_t                           seen;   /* keys of the head */
} ngx_http_sp_moderation_parser_t;


extern ngx_module_t  ngx_http_sp_moderation_module;


/* _rules.c */

/* appends what the file holds, or logs name:line:column of what is wrong */
ngx_int_t ngx_http_sp_moderation_load(ngx_conf_t *cf,
    ngx_http_sp_moderation_main_conf_t *mmcf, ngx_str_t *file);

/* after the last file */
ngx_int_t ngx_http_sp_moderation_build(ngx_conf_t *cf,
    ngx_http_sp_moderation_main_conf_t *mmcf);

/* logs with file, line and column "p"; fmt takes "found"; NGX_ERROR */
ngx_int_t ngx_http_sp_moderation_error(
    ngx_http_sp_moderation_parser_t *parser, u_char *p, const char *fmt,
    const ngx_str_t *found);

/* _head.c: p is the "[" */

ngx_int_t ngx_http_sp_moderation_head(
    ngx_http_sp_moderation_parser_t *parser, u_char *p);

/* _scan.c */

/* adds to text->hits and sets text->live; "last": the text ends */
ngx_int_t ngx_http_sp_moderation_scan(ngx_http_sp_moderation_text_t *text,
    const ngx_str_t *piece, ngx_uint_t last);
void ngx_http_sp_moderation_reset(ngx_http_sp_moderation_text_t *text);
void ngx_http_sp_moderation_done(ngx_http_sp_moderation_text_t *text);

ngx_uint_t ngx_http_sp_moderation_stronger(
    const ngx_http_sp_moderation_rule_t *a,
    const ngx_http_sp_moderation_rule_t *b);

/* _filter.c */

extern const ngx_http_sp_filter_t  ngx_http_sp_moderation_filter;
extern const ngx_http_sp_end_t     ngx_http_sp_moderation_end;


#endif /* _NGX_HTTP_SP_MODERATION_H_INCLUDED_ */
