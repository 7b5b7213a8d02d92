
/*
 * Copyright (C) Sallyport authors
 *
 * moderation: term rules on what clients send.
 *
 *     _module.c   directives, configuration, registration
 *     _rules.c    rule files, _head.c the heads of rules
 *     _scan.c     one text against all rules
 *     _step.c     the inspect step: which texts, and what a verdict does
 */

#ifndef _NGX_HTTP_SP_MODERATION_H_INCLUDED_
#define _NGX_HTTP_SP_MODERATION_H_INCLUDED_


#include "ngx_http_sp_core.h"

#include "sp_match.h"


/* who says it: bits of a rule */
#define NGX_HTTP_SP_MODERATION_USER       1
#define NGX_HTTP_SP_MODERATION_SYSTEM     2
#define NGX_HTTP_SP_MODERATION_TOOL       4
#define NGX_HTTP_SP_MODERATION_ASSISTANT  8
#define NGX_HTTP_SP_MODERATION_ANYONE     15


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
    ngx_uint_t                       roles;
    ngx_sp_metric_t                 *metric;
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
    ngx_sp_metric_t              *scanned;
} ngx_http_sp_moderation_main_conf_t;


typedef struct {
    ngx_flag_t                    input;
    ngx_str_t                     file;      /* where it was enabled */
    ngx_uint_t                    line;
} ngx_http_sp_moderation_loc_conf_t;


typedef struct {
    uint32_t                      from;      /* bytes [from, to) of the text */
    uint32_t                      to;
} ngx_http_sp_moderation_span_t;


/* zeroed before the first scan; several texts may add to one verdict */
typedef struct {
    ngx_http_sp_moderation_rule_t  *rule;    /* the strongest; NULL: pass */
    ngx_array_t                    *masks;   /* spans; NULL: none */
} ngx_http_sp_moderation_verdict_t;


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

/* "roles": whose text it is; masks are of this text */
ngx_int_t ngx_http_sp_moderation_scan(ngx_pool_t *pool,
    const ngx_http_sp_moderation_main_conf_t *mmcf, const ngx_str_t *text,
    ngx_uint_t roles, ngx_http_sp_moderation_verdict_t *verdict);

/*
 * Replaces each character of the spans by "*".  The result is not longer.
 * Spans may overlap.
 */
ngx_int_t ngx_http_sp_moderation_mask(ngx_pool_t *pool, const ngx_str_t *text,
    const ngx_array_t *masks, ngx_str_t *masked);

/* _step.c */

ngx_int_t ngx_http_sp_moderation_run(ngx_http_request_t *r);


#endif /* _NGX_HTTP_SP_MODERATION_H_INCLUDED_ */
