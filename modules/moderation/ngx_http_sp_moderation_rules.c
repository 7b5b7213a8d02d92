
/*
 * Copyright (C) Sallyport authors
 *
 * Rule files.  Line by line:
 *
 *     # comment
 *     [id category=name severity=1..4 action=block|mask|flag
 *         stage=input roles=user,system,tool,assistant languages=en,de]
 *     a term               of whole words
 *     begin*               of words that begin so; *end, *within*
 *     !an exception        a hit of this rule inside it does not count
 *     \!literally          a backslash takes the next byte as it is
 *
 * The head of a rule stands on one line.  All but the id and the category
 * have defaults: severity=2 action=block stage=input
 * roles=user,system,tool.
 */

#include "ngx_http_sp_moderation.h"

#include "sp_unicode.h"


#define NGX_HTTP_SP_MODERATION_MAX_FILE  (16 * 1024 * 1024)
#define NGX_HTTP_SP_MODERATION_MAX_LINE  1024


static ngx_int_t ngx_http_sp_moderation_read(ngx_conf_t *cf, ngx_str_t *file,
    ngx_str_t *content);
static ngx_int_t ngx_http_sp_moderation_line(
    ngx_http_sp_moderation_parser_t *parser);
static ngx_int_t ngx_http_sp_moderation_add_term(
    ngx_http_sp_moderation_parser_t *parser, u_char *p);
static ngx_int_t ngx_http_sp_moderation_unescape(
    ngx_http_sp_moderation_parser_t *parser, u_char *p, u_char *last,
    u_char *out, size_t *len, unsigned *flags);
static ngx_int_t ngx_http_sp_moderation_normalize(
    ngx_http_sp_moderation_parser_t *parser, u_char *p, u_char *text,
    size_t len, sp_match_term_t *literal);


ngx_int_t
ngx_http_sp_moderation_load(ngx_conf_t *cf,
    ngx_http_sp_moderation_main_conf_t *mmcf, ngx_str_t *file)
{
    u_char                           *end, *p;
    ngx_int_t                         rc;
    ngx_str_t                         content;
    ngx_http_sp_moderation_parser_t   parser;
    uint8_t                           former[SP_SIPHASH_LEN];

    if (ngx_http_sp_moderation_read(cf, file, &content) != NGX_OK) {
        return NGX_ERROR;
    }

    /* those of the files before go into that of this one */

    ngx_memcpy(former, mmcf->digest, SP_SIPHASH_LEN);
    sp_siphash(mmcf->digest, former, content.data, content.len);

    ngx_memzero(&parser, sizeof(ngx_http_sp_moderation_parser_t));

    parser.cf = cf;
    parser.mmcf = mmcf;
    parser.file = file;

    rc = NGX_OK;
    p = content.data;
    end = content.data + content.len;

    while (p < end && rc == NGX_OK) {
        parser.line++;
        parser.start = p;
        parser.last = ngx_strlchr(p, end, '\n');

        if (parser.last == NULL) {
            parser.last = end;
        }

        p = parser.last + 1;

        rc = ngx_http_sp_moderation_line(&parser);
    }

    ngx_free(content.data);

    return rc;
}


ngx_int_t
ngx_http_sp_moderation_build(ngx_conf_t *cf,
    ngx_http_sp_moderation_main_conf_t *mmcf)
{
    void    *block, *work;
    size_t   bad, size, work_size;

    if (mmcf->literals->nelts == 0) {
        return NGX_OK;
    }

    if (sp_match_sizes(mmcf->literals->elts, mmcf->literals->nelts, &size,
                       &work_size, &bad)
        != 0)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "moderation: too many terms, %ui",
                      mmcf->literals->nelts);
        return NGX_ERROR;
    }

    block = ngx_palloc(cf->pool, size);
    if (block == NULL) {
        return NGX_ERROR;
    }

    work = ngx_alloc(work_size, cf->log);
    if (work == NULL) {
        return NGX_ERROR;
    }

    mmcf->match = sp_match_build(mmcf->literals->elts, mmcf->literals->nelts,
                                 block, size, work, work_size);
    ngx_free(work);

    if (mmcf->match == NULL) {
        return NGX_ERROR;
    }

    ngx_log_error(NGX_LOG_INFO, cf->log, 0,
                  "moderation: %ui rules, %ui terms, %uz bytes",
                  mmcf->rules->nelts, mmcf->literals->nelts, size);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_moderation_read(ngx_conf_t *cf, ngx_str_t *file,
    ngx_str_t *content)
{
    ssize_t          n;
    ngx_fd_t         fd;
    ngx_file_t       handle;
    ngx_file_info_t  info;

    content->data = NULL;

    fd = ngx_open_file(file->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", file);
        return NGX_ERROR;
    }

    if (ngx_fd_info(fd, &info) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", file);
        goto failed;
    }

    if (ngx_file_size(&info) > NGX_HTTP_SP_MODERATION_MAX_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "rule file \"%V\" is larger than 16m", file);
        goto failed;
    }

    content->len = (size_t) ngx_file_size(&info);
    content->data = ngx_alloc(content->len + 1, cf->log);

    if (content->data == NULL) {
        goto failed;
    }

    ngx_memzero(&handle, sizeof(ngx_file_t));

    handle.fd = fd;
    handle.name = *file;
    handle.log = cf->log;

    n = ngx_read_file(&handle, content->data, content->len, 0);

    if (n == NGX_ERROR || (size_t) n != content->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "rule file \"%V\" changed while it was read",
                           file);
        goto failed;
    }

    (void) ngx_close_file(fd);

    return NGX_OK;

failed:

    if (content->data != NULL) {
        ngx_free(content->data);
    }

    (void) ngx_close_file(fd);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_sp_moderation_line(ngx_http_sp_moderation_parser_t *parser)
{
    u_char  *p;

    while (parser->last > parser->start
           && (parser->last[-1] == ' ' || parser->last[-1] == '\t'
               || parser->last[-1] == '\r'))
    {
        parser->last--;
    }

    for (p = parser->start; p < parser->last; p++) {
        if (*p != ' ' && *p != '\t') {
            break;
        }
    }

    if (p == parser->last || *p == '#') {
        return NGX_OK;
    }

    if (parser->last - parser->start > NGX_HTTP_SP_MODERATION_MAX_LINE) {
        return ngx_http_sp_moderation_error(parser, p,
                   "the line is longer than 1024 bytes", NULL);
    }

    if (*p == '[') {
        return ngx_http_sp_moderation_head(parser, p);
    }

    if (parser->rule == NULL) {
        return ngx_http_sp_moderation_error(parser, p,
                   "a term before the first rule: begin with "
                   "\"[id category=name]\"", NULL);
    }

    return ngx_http_sp_moderation_add_term(parser, p);
}


static ngx_int_t
ngx_http_sp_moderation_add_term(ngx_http_sp_moderation_parser_t *parser,
    u_char *p)
{
    u_char                          text[NGX_HTTP_SP_MODERATION_MAX_LINE];
    size_t                          len;
    unsigned                        flags;
    ngx_flag_t                      exception;
    sp_match_term_t                *literal;
    ngx_http_sp_moderation_term_t  *term;

    exception = (*p == '!');

    if (exception) {
        p++;
    }

    if (ngx_http_sp_moderation_unescape(parser, p, parser->last, text, &len,
                                        &flags)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    term = ngx_array_push(parser->mmcf->terms);
    literal = ngx_array_push(parser->mmcf->literals);

    if (term == NULL || literal == NULL) {
        return NGX_ERROR;
    }

    term->rule = parser->rule;
    term->exception = exception;
    literal->flags = flags;

    return ngx_http_sp_moderation_normalize(parser, p, text, len, literal);
}


static ngx_int_t
ngx_http_sp_moderation_unescape(ngx_http_sp_moderation_parser_t *parser,
    u_char *p, u_char *last, u_char *out, size_t *len, unsigned *flags)
{
    u_char  *start;

    *len = 0;
    *flags = SP_MATCH_WORD;
    start = p;

    for ( /* void */ ; p < last; p++) {

        if (*p == '*') {
            if (p == start) {
                *flags &= ~SP_MATCH_LEFT;
                continue;
            }

            if (p == last - 1) {
                *flags &= ~SP_MATCH_RIGHT;
                continue;
            }

            return ngx_http_sp_moderation_error(parser, p,
                       "\"*\" is allowed at the ends of a term only: "
                       "write \"\\*\" for a literal one", NULL);
        }

        if (*p == '\\') {
            p++;

            if (p == last) {
                return ngx_http_sp_moderation_error(parser, p - 1,
                           "nothing follows the \"\\\"", NULL);
            }
        }

        out[(*len)++] = *p;
    }

    return NGX_OK;
}


/* terms pass the same function as texts; see sp_unicode.h */

static ngx_int_t
ngx_http_sp_moderation_normalize(ngx_http_sp_moderation_parser_t *parser,
    u_char *p, u_char *text, size_t len, sp_match_term_t *literal)
{
    u_char            *data;
    uint8_t            view[NGX_HTTP_SP_MODERATION_MAX_LINE * 16];
    size_t             n;
    sp_unicode_t       u;
    sp_unicode_out_t   out;

    ngx_memzero(&out, sizeof(sp_unicode_out_t));

    out.data = view;
    out.size = sizeof(view);

    sp_unicode_init(&u, SP_UNICODE_JOINED);
    n = sp_unicode_feed(&u, text, len, &out);
    sp_unicode_finish(&u, &out);

    if (u.invalid || n != len) {
        return ngx_http_sp_moderation_error(parser, p,
                                            "the term is not UTF-8", NULL);
    }

    data = view;

    while (out.len > 0 && *data == ' ') {
        data++;
        out.len--;
    }

    while (out.len > 0 && data[out.len - 1] == ' ') {
        out.len--;
    }

    if (out.len < 2) {
        return ngx_http_sp_moderation_error(parser, p,
                   "a term needs at least two visible bytes", NULL);
    }

    if (out.len > SP_MATCH_MAX_TERM) {
        return ngx_http_sp_moderation_error(parser, p,
                   "the term is longer than 255 bytes", NULL);
    }

    literal->len = out.len;
    literal->data = ngx_pnalloc(parser->cf->pool, out.len);
    if (literal->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy((u_char *) literal->data, data, out.len);

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_moderation_error(ngx_http_sp_moderation_parser_t *parser,
    u_char *p, const char *fmt, const ngx_str_t *found)
{
    u_char  text[NGX_MAX_CONF_ERRSTR], *last;

    last = ngx_snprintf(text, sizeof(text) - 1, fmt, found);
    *last = '\0';

    ngx_conf_log_error(NGX_LOG_EMERG, parser->cf, 0, "%V:%ui:%ui: %s",
                       parser->file, parser->line,
                       (ngx_uint_t) (p - parser->start) + 1, text);

    return NGX_ERROR;
}
