
/*
 * Copyright (C) Sallyport authors
 *
 * The character of the request: its prompt is loaded as the identity's role,
 * so that row-level security decides, and becomes the head of the prefix.
 *
 *     NEW -> LOADING -> READY
 *                   \-> refused: unknown, or no copy while PostgreSQL is away
 */


#include "ngx_http_sp_llm.h"


#define NGX_HTTP_SP_LLM_PERSONA_RANK  100


typedef enum {
    NGX_HTTP_SP_LLM_NEW = 0,
    NGX_HTTP_SP_LLM_LOADING,
    NGX_HTTP_SP_LLM_READY
} ngx_http_sp_llm_persona_e;


static ngx_int_t ngx_http_sp_llm_persona_find(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_persona_load(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static void ngx_http_sp_llm_persona_done(ngx_sp_op_t *op);
static ngx_int_t ngx_http_sp_llm_persona_loaded(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_persona_ready(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_persona_keys(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *own, ngx_str_t *shared);


static ngx_sp_pg_statement_t  ngx_http_sp_llm_persona_sql = {
    ngx_string("select name, prompt, is_public "
               "from chat.character_prompt($1)"), 1
};


ngx_int_t
ngx_http_sp_llm_persona(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_uint_t              changes;
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = ngx_http_sp_llm_find_ctx(r);

    if (ctx == NULL || ctx->check.chat == NULL) {
        return NGX_DECLINED;
    }

    changes = ngx_http_sp_identity_changes(r);

    if (ctx->persona.changes != changes) {

        /* an earlier pass has asked as somebody else */

        ngx_sp_op_cancel(&ctx->persona.pg.op);
        ngx_str_null(&ctx->persona.text);

        ctx->persona.extras = 0;
        ctx->persona.state = NGX_HTTP_SP_LLM_NEW;
        ctx->persona.changes = changes;
    }

    if (ctx->check.chat->character_id == NULL
        || ctx->check.conf->characters == NULL)
    {
        return NGX_DECLINED;
    }

    switch (ctx->persona.state) {

    case NGX_HTTP_SP_LLM_READY:
        return NGX_OK;

    case NGX_HTTP_SP_LLM_LOADING:

        if (!ngx_sp_op_finished(&ctx->persona.pg.op)) {
            return NGX_AGAIN;
        }

        return ngx_http_sp_llm_persona_loaded(r, ctx);

    default: /* NGX_HTTP_SP_LLM_NEW */
        break;
    }

    rc = ngx_http_sp_llm_persona_find(r, ctx);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    return (rc == NGX_OK) ? ngx_http_sp_llm_persona_ready(r, ctx)
                          : ngx_http_sp_llm_persona_load(r, ctx);
}


/*
 * NGX_OK: a copy that needs no question, everybody's or this caller's.
 * NGX_DECLINED: none, or one for the case that PostgreSQL does not answer.
 */

static ngx_int_t
ngx_http_sp_llm_persona_find(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_int_t   rc;
    ngx_str_t   keys[2];
    ngx_uint_t  i;
    ngx_msec_t  age;

    if (ngx_http_sp_llm_persona_keys(r, ctx, &keys[0], &keys[1]) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < 2; i++) {
        rc = ngx_http_sp_llm_copies_find(r->pool, &keys[i], &ctx->persona.text,
                                        &age);
        if (rc == NGX_ERROR
            || (rc == NGX_OK && age < ctx->check.conf->character_cache))
        {
            return rc;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_sp_llm_persona_load(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_memzero(&ctx->persona.pg, sizeof(ngx_sp_pg_op_t));

    ctx->persona.param.data = (u_char *) ctx->check.chat->character_id;
    ctx->persona.param.len = ngx_strlen(ctx->check.chat->character_id);

    ctx->persona.query.statement = &ngx_http_sp_llm_persona_sql;
    ctx->persona.query.params = &ctx->persona.param;

    ctx->persona.pg.queries = &ctx->persona.query;
    ctx->persona.pg.nqueries = 1;
    ctx->persona.pg.read_only = 1;

    ctx->persona.pg.op.done = ngx_http_sp_llm_persona_done;
    ctx->persona.pg.op.data = ctx;
    ctx->persona.pg.op.timeout = ctx->check.conf->character_timeout;
    ctx->persona.pg.op.log = r->connection->log;

    ngx_http_sp_pg_identity(r, &ctx->persona.pg);

    if (ngx_http_sp_op_attach(r, &ctx->persona.pg.op) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->persona.state = NGX_HTTP_SP_LLM_LOADING;

    ngx_sp_pg_submit(ctx->check.conf->characters, &ctx->persona.pg);

    return NGX_AGAIN;
}


static void
ngx_http_sp_llm_persona_done(ngx_sp_op_t *op)
{
    u_char                 *p;
    ngx_str_t               name, prompt, shared;
    const PGresult         *result;
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = op->data;

    if (op->result != NGX_SP_OP_OK) {
        return;
    }

    /* the copy that is too old to be used unasked gives way */

    ngx_str_null(&ctx->persona.text);

    result = ctx->persona.query.result;

    if (PQntuples(result) == 0) {
        return;
    }

    name = ngx_sp_pg_value(result, 0, 0);
    prompt = ngx_sp_pg_value(result, 0, 1);
    shared = ngx_sp_pg_value(result, 0, 2);

    ctx->persona.shared = (shared.len == 1 && shared.data[0] == 't');

    ctx->persona.text.len = sizeof("Character: \n\n") - 1 + name.len
                            + prompt.len;

    p = ngx_pnalloc(ctx->request->pool, ctx->persona.text.len);
    if (p == NULL) {
        ngx_str_null(&ctx->persona.text);
        return;
    }

    ctx->persona.text.data = p;

    (void) ngx_sprintf(p, "Character: %V\n\n%V", &name, &prompt);
}


static ngx_int_t
ngx_http_sp_llm_persona_loaded(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_str_t  own, shared;

    if (ngx_http_sp_llm_persona_keys(r, ctx, &own, &shared) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->persona.pg.op.result != NGX_SP_OP_OK) {

        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "llm: character \"%s\" not loaded: %s, %s",
                      ctx->check.chat->character_id,
                      ngx_sp_op_result_name(ctx->persona.pg.op.result),
                      ctx->persona.text.len ? "the last copy is used"
                                       : "and there is no copy");

        /* a character without its rules is not that character */

        if (ctx->persona.text.len == 0) {
            return ngx_http_sp_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                     "character_unavailable",
                                     "the character cannot be loaded now, "
                                     "try again later");
        }

        return ngx_http_sp_llm_persona_ready(r, ctx);
    }

    if (ctx->persona.text.len == 0) {
        ngx_http_sp_llm_copies_forget(&own);
        ngx_http_sp_llm_copies_forget(&shared);

        (void) ngx_http_sp_error(r, NGX_HTTP_NOT_FOUND,
                                 "character_not_found",
                                 "the character does not exist");

        return ngx_http_sp_error_param(r, "metadata.character_id");
    }

    /* one that was public, or was not, leaves no copy of that time */

    if (ctx->persona.shared) {
        ngx_http_sp_llm_copies_forget(&own);
        ngx_http_sp_llm_copies_store(&shared, &ctx->persona.text);

    } else {
        ngx_http_sp_llm_copies_forget(&shared);
        ngx_http_sp_llm_copies_store(&own, &ctx->persona.text);
    }

    return ngx_http_sp_llm_persona_ready(r, ctx);
}


static ngx_int_t
ngx_http_sp_llm_persona_ready(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_http_sp_block_t  block;

    ngx_memzero(&block, sizeof(ngx_http_sp_block_t));

    ngx_str_set(&block.name, "persona");
    block.rank = NGX_HTTP_SP_LLM_PERSONA_RANK;
    block.place = NGX_HTTP_SP_PREFIX;
    block.text = ctx->persona.text;

    if (ngx_http_sp_llm_extras_prompt(ctx, &block.text) != NGX_OK
        || ngx_http_sp_add_block(r, &block) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->persona.state = NGX_HTTP_SP_LLM_READY;

    return NGX_OK;
}


/*
 * Row-level security may show one user what another does not see; a public
 * character is the same for everybody, and its key the beginning of the other
 */

static ngx_int_t
ngx_http_sp_llm_persona_keys(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx, ngx_str_t *own, ngx_str_t *shared)
{
    u_char                        *p;
    size_t                         len;
    const ngx_http_sp_identity_t  *identity;

    identity = ngx_http_sp_identity(r);

    len = ngx_strlen(ctx->check.chat->character_id);

    own->len = len + 1 + (identity ? identity->sub.len : 0);

    p = ngx_pnalloc(r->pool, own->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    own->data = p;

    shared->data = p;
    shared->len = len;

    ngx_strlow(p, (u_char *) ctx->check.chat->character_id, len);
    p += len;

    *p++ = ' ';

    if (identity != NULL) {
        ngx_memcpy(p, identity->sub.data, identity->sub.len);
    }

    return NGX_OK;
}
