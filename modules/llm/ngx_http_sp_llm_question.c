
/*
 * Copyright (C) Sallyport authors
 *
 * What the user says is stored before a model is asked, beside the character
 * and the memories, so that it costs no time of its own.  A question that the
 * database does not take in time goes into the spool, as does one whose client
 * leaves meanwhile: it has its id, and is stored once whatever comes first.
 *
 *     NEW -> STORING -> READY
 *                   \-> refused: no such chat, no such message in it
 */


#include "ngx_http_sp_llm_replay.h"


typedef enum {
    NGX_HTTP_SP_LLM_NEW = 0,
    NGX_HTTP_SP_LLM_STORING,
    NGX_HTTP_SP_LLM_READY
} ngx_http_sp_llm_question_e;


static ngx_uint_t ngx_http_sp_llm_question_applies(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_question_ask(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_question_key(ngx_http_request_t *r,
    ngx_http_sp_turn_t *turn);
static void ngx_http_sp_llm_question_done(ngx_sp_op_t *op);
static void ngx_http_sp_llm_question_refused(ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_question_asked(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_question_headers(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);


static const ngx_http_sp_llm_denial_t  ngx_http_sp_llm_denials[] = {

    { NGX_HTTP_NOT_FOUND, "chat_not_found", "metadata.chat_id",
      "the chat does not exist" },

    { NGX_HTTP_CONFLICT, "chat_of_another_character", "metadata.chat_id",
      "the chat is with another character" },

    { NGX_HTTP_NOT_FOUND, "parent_not_found", "metadata.parent_id",
      "the chat has no message with this id" },

    { NGX_HTTP_NOT_FOUND, "character_not_found", "metadata.character_id",
      "the character does not exist" },

    { 0, NULL, NULL, NULL }
};


static ngx_sp_pg_statement_t  ngx_http_sp_llm_question_sql = {
    ngx_string("select question_id, chat_id, parent_id "
               "from chat.ask($1::jsonb)"), 1
};


/* llm_chats off | PG [timeout=TIME] */

char *
ngx_http_sp_llm_chats_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_llm_loc_conf_t *llcf = conf;

    ngx_str_t  *value, text;

    if (llcf->chats != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        llcf->chats = NULL;
        return NGX_CONF_OK;
    }

    llcf->chats = ngx_http_sp_pg(cf, &value[1]);
    if (llcf->chats == NULL) {
        return NGX_CONF_ERROR;
    }

    if (!ngx_http_sp_conf_turns(cf)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"llm_chats\" needs \"turn_store\" above it: a "
                           "question that waits is in its spool");
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (!ngx_sp_conf_arg(&value[2], "timeout=", &text)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"llm_chats\", "
                           "expected timeout=TIME", &value[2]);
        return NGX_CONF_ERROR;
    }

    if (ngx_sp_conf_msec(cf, "llm_chats", "timeout=", &text,
                         &llcf->chat_timeout)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_sp_llm_question(ngx_http_request_t *r)
{
    ngx_uint_t              changes;
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = ngx_http_sp_llm_find_ctx(r);

    if (ctx == NULL || !ngx_http_sp_llm_question_applies(r, ctx)) {
        return NGX_DECLINED;
    }

    changes = ngx_http_sp_identity_changes(r);

    if (ctx->question.changes != changes) {

        /* an earlier pass has asked as somebody else */

        ngx_sp_op_cancel(&ctx->question.pg.op);

        ctx->question.state = NGX_HTTP_SP_LLM_NEW;
        ctx->question.changes = changes;
    }

    switch (ctx->question.state) {

    case NGX_HTTP_SP_LLM_READY:
        return NGX_OK;

    case NGX_HTTP_SP_LLM_STORING:

        if (!ngx_sp_op_finished(&ctx->question.pg.op)) {
            return NGX_AGAIN;
        }

        return ngx_http_sp_llm_question_asked(r, ctx);

    default: /* NGX_HTTP_SP_LLM_NEW */
        return ngx_http_sp_llm_question_ask(r, ctx);
    }
}


/* somebody, with a character, who wants it to be kept */

static ngx_uint_t
ngx_http_sp_llm_question_applies(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx)
{
    const sp_chat_request_t  *chat;

    chat = ctx->check.chat;

    return chat != NULL
           && ctx->check.conf->chats != NULL
           && ngx_http_sp_identity(r) != NULL
           && !chat->memory_off
           && chat->character_id != NULL
           && chat->last_user < chat->nmessages
           && chat->messages[chat->last_user].len > 0;
}


static ngx_int_t
ngx_http_sp_llm_question_ask(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_int_t                    rc;
    ngx_http_sp_turn_t          *turn;
    ngx_http_sp_llm_question_t  *question;

    question = &ctx->question;

    turn = ngx_http_sp_turn(r);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    ngx_http_sp_llm_turn_chat(r, ctx->check.chat, turn);

    if (ctx->check.conf->idempotency != NULL) {
        rc = ngx_http_sp_llm_question_key(r, turn);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }
    }

    if (ngx_http_sp_turn_question(r->pool, turn, &question->line) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&question->pg, sizeof(ngx_sp_pg_op_t));

    question->query.statement = &ngx_http_sp_llm_question_sql;
    question->query.params = &question->line;

    question->pg.queries = &question->query;
    question->pg.nqueries = 1;
    ngx_str_set(&question->pg.role, "sallyport_gateway");
    ngx_str_set(&question->pg.claims, "");

    question->pg.op.done = ngx_http_sp_llm_question_done;
    question->pg.op.data = ctx;
    question->pg.op.timeout = ctx->check.conf->chat_timeout;
    question->pg.op.log = r->connection->log;

    if (ngx_http_sp_op_attach(r, &question->pg.op) != NGX_OK) {
        return NGX_ERROR;
    }

    question->id[0] = '\0';
    question->denial = NULL;
    question->state = NGX_HTTP_SP_LLM_STORING;

    ngx_sp_pg_submit(ctx->check.conf->chats, &question->pg);

    return NGX_AGAIN;
}


/*
 * A request with an "Idempotency-Key" may be one that was answered before,
 * which is known later than this: its question has the id that it had then.
 */

static ngx_int_t
ngx_http_sp_llm_question_key(ngx_http_request_t *r, ngx_http_sp_turn_t *turn)
{
    u_char     *p, hash[NGX_HTTP_SP_LLM_HASH];
    ngx_int_t   rc;
    ngx_str_t   parts[6];
    ngx_uint_t  i;

    rc = ngx_http_sp_llm_replay_key(r, &parts[0]);

    if (rc != NGX_OK) {
        return rc;
    }

    parts[1] = ngx_http_sp_identity(r)->sub;
    parts[2] = turn->character_id;
    parts[3] = turn->chat_id;
    parts[4] = turn->parent_id;
    parts[5] = turn->user_text;

    p = ngx_pnalloc(r->pool, 36);

    if (p == NULL || ngx_http_sp_llm_replay_hash(parts, 6, hash) != NGX_OK) {
        return NGX_ERROR;
    }

    turn->question_id.len = 36;
    turn->question_id.data = p;

    /* a UUID of version 8: RFC 9562, 5.8 */

    hash[6] = (hash[6] & 0x0f) | 0x80;
    hash[8] = (hash[8] & 0x3f) | 0x80;

    for (i = 0; i < 16; i++) {

        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *p++ = '-';
        }

        p = ngx_hex_dump(p, &hash[i], 1);
    }

    return NGX_OK;
}


static void
ngx_http_sp_llm_question_done(ngx_sp_op_t *op)
{
    ngx_str_t               id;
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = op->data;

    if (op->result == NGX_SP_OP_REJECTED) {
        ngx_http_sp_llm_question_refused(ctx);
        return;
    }

    if (op->result != NGX_SP_OP_OK
        || PQntuples(ctx->question.query.result) != 1)
    {
        return;
    }

    id = ngx_sp_pg_value(ctx->question.query.result, 0, 0);

    if (id.len == sizeof(ctx->question.id)) {
        ngx_memcpy(ctx->question.id, id.data, id.len);
    }
}


/*
 * SQLSTATE PTnnn: the caller is wrong, by the code in DETAIL.  Anything else
 * is the gateway's own trouble, and no reason to be silent.
 */

static void
ngx_http_sp_llm_question_refused(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_http_sp_llm_question_t  *question;

    question = &ctx->question;

    question->denial = ngx_http_sp_llm_denied(&question->pg,
                                              ngx_http_sp_llm_denials);
    if (question->denial != NULL) {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                  "llm: a question is not stored: SQLSTATE %V, %V",
                  &question->pg.sqlstate, &question->pg.message);
}


const ngx_http_sp_llm_denial_t *
ngx_http_sp_llm_denied(const ngx_sp_pg_op_t *op,
    const ngx_http_sp_llm_denial_t *denials)
{
    for (/* void */ ; denials->code != NULL; denials++) {

        if (op->detail.len == ngx_strlen(denials->code)
            && ngx_strncmp(op->detail.data, denials->code, op->detail.len)
               == 0)
        {
            return denials;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_sp_llm_question_asked(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_http_sp_llm_question_t       *question;
    const ngx_http_sp_llm_denial_t  *denial;

    question = &ctx->question;
    question->state = NGX_HTTP_SP_LLM_READY;

    denial = question->denial;

    if (denial != NULL) {
        (void) ngx_http_sp_error(r, denial->status, denial->code, "%s",
                                 denial->message);

        return ngx_http_sp_error_param(r, denial->param);
    }

    if (question->pg.op.result != NGX_SP_OP_OK) {

        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "llm: a question is not stored yet: %s, it goes into "
                      "the spool",
                      ngx_sp_op_result_name(question->pg.op.result));

        /* one that does not fit there is lost: counted and logged */

        (void) ngx_http_sp_turn_spool(r, &question->line);
    }

    return ngx_http_sp_llm_question_headers(r, ctx);
}


/*
 * By these a client names them later.  The reply has the id of its turn, as a
 * UUID of version 8; the message's own is known when it is stored.
 */

static ngx_int_t
ngx_http_sp_llm_question_headers(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_str_t                    value;
    ngx_http_sp_turn_t          *turn;
    ngx_http_sp_llm_question_t  *question;

    question = &ctx->question;

    turn = ngx_http_sp_turn(r);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(question->reply, turn->id, sizeof(question->reply));
    question->reply[14] = '8';

    value.len = sizeof(question->reply);
    value.data = question->reply;

    if (ngx_http_sp_add_header(r, "X-Reply-Id", &value) != NGX_OK) {
        return NGX_ERROR;
    }

    if (question->id[0] == '\0') {
        return NGX_OK;
    }

    value.data = question->id;

    return ngx_http_sp_add_header(r, "X-Message-Id", &value);
}


/* the client has left while it was being stored: perhaps it was, or not */

void
ngx_http_sp_llm_question_end(ngx_http_request_t *r,
    const ngx_http_sp_outcome_t *outcome)
{
    ngx_http_sp_llm_ctx_t  *ctx;

    ctx = ngx_http_sp_llm_find_ctx(r);

    if (ctx == NULL
        || ctx->question.state != NGX_HTTP_SP_LLM_STORING
        || ctx->question.denial != NULL
        || (ngx_sp_op_finished(&ctx->question.pg.op)
            && ctx->question.pg.op.result == NGX_SP_OP_OK))
    {
        return;
    }

    (void) ngx_http_sp_turn_spool(r, &ctx->question.line);
}
