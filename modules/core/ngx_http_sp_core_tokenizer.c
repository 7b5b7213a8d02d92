
/*
 * Copyright (C) Sallyport authors
 *
 * llm_tokenizer NAME FILE [pattern=NAME], and which model has which.
 *
 * A vocabulary is built once, while the configuration is read, into pages
 * that nobody writes afterwards: workers share them.
 */


#include "ngx_http_sp_core_int.h"

#include <sys/mman.h>


/* of models whose vocabulary is public, by how their names begin */

typedef struct {
    ngx_str_t                 name;
    sp_bpe_pattern_e          pattern;
    ngx_uint_t                dot;           /* "gpt-5.1" is one of "gpt-5" */
} ngx_http_sp_family_t;


typedef struct {
    void                     *block;
    size_t                    size;
} ngx_http_sp_pages_t;


static ngx_http_sp_tokenizer_t *ngx_http_sp_tokenizer_get(ngx_conf_t *cf,
    const ngx_str_t *name);
static ngx_http_sp_tokenizer_t *ngx_http_sp_tokenizer_find(
    const ngx_http_sp_core_main_conf_t *mcf, const ngx_str_t *name);
static ngx_int_t ngx_http_sp_tokenizer_pattern(ngx_conf_t *cf,
    ngx_http_sp_tokenizer_t *tokenizer);
static ngx_int_t ngx_http_sp_tokenizer_read(ngx_conf_t *cf,
    const ngx_str_t *path, ngx_str_t *text);
static ngx_int_t ngx_http_sp_tokenizer_read_fd(ngx_conf_t *cf,
    const ngx_str_t *path, ngx_fd_t fd, ngx_str_t *text);
static ngx_int_t ngx_http_sp_tokenizer_build(ngx_conf_t *cf,
    ngx_http_sp_tokenizer_t *tokenizer, const ngx_str_t *path,
    const ngx_str_t *text);
static void ngx_http_sp_tokenizer_refuse(ngx_conf_t *cf,
    const ngx_str_t *path, const sp_bpe_error_t *error);
static void ngx_http_sp_tokenizer_unmap(void *data);
static void ngx_http_sp_tokenizer_target(ngx_http_sp_core_main_conf_t *mcf,
    ngx_http_sp_target_t *target);
static const ngx_http_sp_family_t *ngx_http_sp_tokenizer_family(
    const ngx_str_t *model);


/* by sp_bpe_pattern_e */

static const ngx_str_t  ngx_http_sp_patterns[] = {
    ngx_string("o200k_base"),
    ngx_string("cl100k_base")
};


static const ngx_http_sp_family_t  ngx_http_sp_families[] = {
    { ngx_string("gpt-5"), SP_BPE_O200K_BASE, 1 },
    { ngx_string("gpt-4.1"), SP_BPE_O200K_BASE, 0 },
    { ngx_string("gpt-4.5"), SP_BPE_O200K_BASE, 0 },
    { ngx_string("gpt-4o"), SP_BPE_O200K_BASE, 0 },
    { ngx_string("chatgpt-4o"), SP_BPE_O200K_BASE, 0 },
    { ngx_string("gpt-oss"), SP_BPE_O200K_BASE, 0 },
    { ngx_string("o1"), SP_BPE_O200K_BASE, 0 },
    { ngx_string("o3"), SP_BPE_O200K_BASE, 0 },
    { ngx_string("o4"), SP_BPE_O200K_BASE, 0 },
    { ngx_string("gpt-4"), SP_BPE_CL100K_BASE, 0 },
    { ngx_string("gpt-3.5"), SP_BPE_CL100K_BASE, 0 },
    { ngx_string("gpt-35"), SP_BPE_CL100K_BASE, 0 },
    { ngx_string("text-embedding-3"), SP_BPE_CL100K_BASE, 0 },
    { ngx_string("text-embedding-ada-002"), SP_BPE_CL100K_BASE, 0 },
    { ngx_null_string, SP_BPE_O200K_BASE, 0 }
};


char *
ngx_http_sp_tokenizer_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t                 rc;
    ngx_str_t                *value, path, text;
    ngx_http_sp_tokenizer_t  *tokenizer;

    value = cf->args->elts;

    if (ngx_sp_conf_name(cf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_strcmp(value[1].data, "off") == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"off\" is not the name of a tokenizer: "
                           "\"tokenizer=off\" of a model has none");
        return NGX_CONF_ERROR;
    }

    tokenizer = ngx_http_sp_tokenizer_get(cf, &value[1]);
    if (tokenizer == NULL) {
        return NGX_CONF_ERROR;
    }

    if (tokenizer->bpe != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate llm_tokenizer \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    path = value[2];

    if (ngx_http_sp_tokenizer_pattern(cf, tokenizer) != NGX_OK
        || ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK
        || ngx_http_sp_tokenizer_read(cf, &path, &text) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    rc = ngx_http_sp_tokenizer_build(cf, tokenizer, &path, &text);

    ngx_free(text.data);

    return (rc == NGX_OK) ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_http_sp_tokenizer_t *
ngx_http_sp_tokenizer_get(ngx_conf_t *cf, const ngx_str_t *name)
{
    ngx_http_sp_tokenizer_t       *tokenizer, **elt;
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);
    tokenizer = ngx_http_sp_tokenizer_find(mcf, name);

    if (tokenizer != NULL) {
        return tokenizer;
    }

    tokenizer = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_tokenizer_t));
    elt = ngx_array_push(&mcf->tokenizers);

    if (tokenizer == NULL || elt == NULL) {
        return NULL;
    }

    tokenizer->name = *name;
    *elt = tokenizer;

    return tokenizer;
}


static ngx_http_sp_tokenizer_t *
ngx_http_sp_tokenizer_find(const ngx_http_sp_core_main_conf_t *mcf,
    const ngx_str_t *name)
{
    ngx_uint_t                 i;
    ngx_http_sp_tokenizer_t  **tokenizer;

    tokenizer = mcf->tokenizers.elts;

    for (i = 0; i < mcf->tokenizers.nelts; i++) {
        if (tokenizer[i]->name.len == name->len
            && ngx_memcmp(tokenizer[i]->name.data, name->data, name->len)
               == 0)
        {
            return tokenizer[i];
        }
    }

    return NULL;
}


/* the name says it, or a third argument */

static ngx_int_t
ngx_http_sp_tokenizer_pattern(ngx_conf_t *cf,
    ngx_http_sp_tokenizer_t *tokenizer)
{
    ngx_str_t         *value, name;
    sp_bpe_pattern_e   i;

    value = cf->args->elts;
    name = value[1];

    if (cf->args->nelts == 4
        && !ngx_sp_conf_arg(&value[3], "pattern=", &name))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"llm_tokenizer\", "
                           "expected pattern=o200k_base or "
                           "pattern=cl100k_base", &value[3]);
        return NGX_ERROR;
    }

    for (i = SP_BPE_O200K_BASE; i <= SP_BPE_CL100K_BASE; i++) {
        if (ngx_strcmp(name.data, ngx_http_sp_patterns[i].data) == 0) {
            tokenizer->pattern = i;
            return NGX_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "llm_tokenizer \"%V\" needs to know how texts are "
                       "split: pattern=o200k_base or pattern=cl100k_base, "
                       "not \"%V\"", &value[1], &name);

    return NGX_ERROR;
}


/* *text is the caller's to free */

static ngx_int_t
ngx_http_sp_tokenizer_read(ngx_conf_t *cf, const ngx_str_t *path,
    ngx_str_t *text)
{
    ngx_fd_t   fd;
    ngx_int_t  rc;

    /* a pipe in its place must not hold up the start */

    fd = ngx_open_file(path->data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", path);
        return NGX_ERROR;
    }

    rc = ngx_http_sp_tokenizer_read_fd(cf, path, fd, text);

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", path);
    }

    return rc;
}


static ngx_int_t
ngx_http_sp_tokenizer_read_fd(ngx_conf_t *cf, const ngx_str_t *path,
    ngx_fd_t fd, ngx_str_t *text)
{
    ssize_t          n;
    ngx_file_info_t  info;

    if (ngx_fd_info(fd, &info) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", path);
        return NGX_ERROR;
    }

    if (!ngx_is_file(&info) || ngx_file_size(&info) > SP_BPE_MAX_BYTES) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not a vocabulary: a file of at most "
                           "16m, one \"base64 rank\" a line", path);
        return NGX_ERROR;
    }

    text->len = (size_t) ngx_file_size(&info);
    text->data = ngx_alloc(text->len + 1, cf->log);

    if (text->data == NULL) {
        return NGX_ERROR;
    }

    n = ngx_read_fd(fd, text->data, text->len);

    if (n < 0 || (size_t) n != text->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, (n < 0) ? ngx_errno : 0,
                           ngx_read_fd_n " \"%V\" failed", path);
        ngx_free(text->data);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_tokenizer_build(ngx_conf_t *cf,
    ngx_http_sp_tokenizer_t *tokenizer, const ngx_str_t *path,
    const ngx_str_t *text)
{
    sp_bpe_error_t        error;
    ngx_pool_cleanup_t   *cln;
    ngx_http_sp_pages_t  *pages;

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(ngx_http_sp_pages_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    pages = cln->data;

    if (sp_bpe_size((char *) text->data, text->len, &pages->size, &error)
        != SP_OK)
    {
        ngx_http_sp_tokenizer_refuse(cf, path, &error);
        return NGX_ERROR;
    }

    pages->block = mmap(NULL, pages->size, PROT_READ|PROT_WRITE,
                        MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);

    if (pages->block == MAP_FAILED) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "mmap(%uz) failed", pages->size);
        return NGX_ERROR;
    }

    cln->handler = ngx_http_sp_tokenizer_unmap;

    tokenizer->bpe = sp_bpe_build((char *) text->data, text->len,
                                  tokenizer->pattern, pages->block, &error);

    if (tokenizer->bpe == NULL) {
        ngx_http_sp_tokenizer_refuse(cf, path, &error);
        return NGX_ERROR;
    }

    if (mprotect(pages->block, pages->size, PROT_READ) == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno, "mprotect() failed");
        return NGX_ERROR;
    }

    ngx_log_error(NGX_LOG_INFO, cf->log, 0,
                  "llm_tokenizer \"%V\": %uz tokens, %uz bytes",
                  &tokenizer->name, sp_bpe_tokens(tokenizer->bpe),
                  pages->size);

    return NGX_OK;
}


static void
ngx_http_sp_tokenizer_refuse(ngx_conf_t *cf, const ngx_str_t *path,
    const sp_bpe_error_t *error)
{
    if (error->line == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not a vocabulary: %s", path,
                           error->reason);
        return;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V:%uz\" is not a vocabulary: %s", path,
                       error->line, error->reason);
}


static void
ngx_http_sp_tokenizer_unmap(void *data)
{
    ngx_http_sp_pages_t *pages = data;

    (void) munmap(pages->block, pages->size);
}


ngx_int_t
ngx_http_sp_tokenizer_arg(ngx_conf_t *cf, const ngx_str_t *name,
    ngx_http_sp_target_t *target)
{
    if (ngx_strcmp(name->data, "off") == 0) {
        target->estimate = 1;
        return NGX_OK;
    }

    target->tokenizer = ngx_http_sp_tokenizer_get(cf, name);

    if (target->tokenizer == NULL) {
        return NGX_ERROR;
    }

    target->tokenizer->file = cf->conf_file->file.name;
    target->tokenizer->line = cf->conf_file->line;

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_tokenizers_init(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf)
{
    ngx_uint_t                 i, k;
    ngx_http_sp_model_t      **model;
    ngx_http_sp_target_t      *target;
    ngx_http_sp_tokenizer_t  **tokenizer;

    tokenizer = mcf->tokenizers.elts;

    for (i = 0; i < mcf->tokenizers.nelts; i++) {

        if (tokenizer[i]->bpe == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "no llm_tokenizer \"%V\" for \"model\" in %V:%ui",
                          &tokenizer[i]->name, &tokenizer[i]->file,
                          tokenizer[i]->line);
            return NGX_ERROR;
        }
    }

    model = mcf->models.elts;

    for (i = 0; i < mcf->models.nelts; i++) {
        target = model[i]->targets.elts;

        for (k = 0; k < model[i]->targets.nelts; k++) {
            ngx_http_sp_tokenizer_target(mcf, &target[k]);
        }
    }

    return NGX_OK;
}


/* who has no tokenizer by name may have one by the name of the model */

static void
ngx_http_sp_tokenizer_target(ngx_http_sp_core_main_conf_t *mcf,
    ngx_http_sp_target_t *target)
{
    const ngx_http_sp_family_t  *family;

    if (target->tokenizer != NULL) {
        target->pattern = target->tokenizer->pattern;
        return;
    }

    family = ngx_http_sp_tokenizer_family(&target->name);

    if (family == NULL) {
        return;
    }

    target->pattern = family->pattern;

    if (target->estimate) {
        return;
    }

    target->tokenizer = ngx_http_sp_tokenizer_find(mcf,
                                      &ngx_http_sp_patterns[family->pattern]);

    if (target->tokenizer == NULL && mcf->estimated.len == 0) {
        mcf->estimated = target->name;
    }
}


/* "openai/gpt-4o" and "ft:gpt-4o:org::id" are "gpt-4o" */

static const ngx_http_sp_family_t *
ngx_http_sp_tokenizer_family(const ngx_str_t *model)
{
    u_char                       c, *last, *p;
    size_t                       len;
    const ngx_http_sp_family_t  *family;

    last = model->data + model->len;

    for (p = last; p > model->data && p[-1] != '/'; p--) { /* void */ }

    if (last - p > 3 && ngx_strncmp(p, "ft:", 3) == 0) {
        p += 3;
    }

    for (family = ngx_http_sp_families; family->name.len != 0; family++) {
        len = family->name.len;

        if ((size_t) (last - p) < len
            || ngx_memcmp(p, family->name.data, len) != 0)
        {
            continue;
        }

        c = (p + len == last) ? '-' : p[len];

        if (c == '-' || c == ':' || c == '@' || (c == '.' && family->dot)) {
            return family;
        }
    }

    return NULL;
}


void
ngx_http_sp_tokenizers_notice(const ngx_http_sp_core_main_conf_t *mcf,
    ngx_cycle_t *cycle)
{
    const ngx_http_sp_family_t  *family;

    if (mcf->estimated.len == 0 || ngx_worker != 0) {
        return;
    }

    family = ngx_http_sp_tokenizer_family(&mcf->estimated);

    ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                  "tokens of model \"%V\" are estimated: there is no "
                  "llm_tokenizer \"%V\"", &mcf->estimated,
                  &ngx_http_sp_patterns[family->pattern]);
}


void
ngx_http_sp_tokens(const ngx_http_sp_target_t *target, sp_tokens_t *tokens)
{
    static ngx_uint_t        keyed;
    static sp_bpe_work_t     work;
    static sp_tokens_memo_t  memo;

    ngx_memzero(tokens, sizeof(sp_tokens_t));

    tokens->pattern = target->pattern;

    if (target->tokenizer == NULL) {
        return;
    }

    tokens->bpe = target->tokenizer->bpe;
    tokens->work = &work;
    tokens->effort = SP_TOKENS_EFFORT;

    /* without a key of its own a text could be made to count as another */

    if (!keyed) {
        keyed = (ngx_http_sp_random(memo.key, sizeof(memo.key)) == NGX_OK);
    }

    tokens->memo = keyed ? &memo : NULL;
}
