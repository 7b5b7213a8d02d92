
/*
 * Copyright (C) Sallyport authors
 *
 * The history of a chat that the gateway keeps, and whom it is with: loaded as
 * the identity's role, so that row-level security decides, when the message
 * itself has been judged, and put in front of it.
 *
 *     NEW -> LOADING -> READY
 *               |   \-> refused: no such chat or message, PostgreSQL is away
 *            WAITING: for a reply that is on its way
 */


#include "ngx_http_sp_llm.h"


/* a reply on its way to PostgreSQL is looked for again, after 5, 10, .. ms */
#define NGX_HTTP_SP_LLM_TRIES    7
#define NGX_HTTP_SP_LLM_WAIT     5

/* bytes of text; what a model has room for is decided later */
#define NGX_HTTP_SP_LLM_HISTORY  "131072"


typedef enum {
    NGX_HTTP_SP_LLM_NEW = 0,
    NGX_HTTP_SP_LLM_LOADING,
    NGX_HTTP_SP_LLM_WAITING,
    NGX_HTTP_SP_LLM_READY
} ngx_http_sp_llm_history_e;


static ngx_int_t ngx_http_sp_llm_history_begin(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static void ngx_http_sp_llm_history_cleanup(void *data);
static ngx_int_t ngx_http_sp_llm_history_load(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static void ngx_http_sp_llm_history_done(ngx_sp_op_t *op);
static ngx_int_t ngx_http_sp_llm_history_copy(ngx_http_sp_llm_ctx_t *ctx);
static ngx_int_t ngx_http_sp_llm_history_loaded(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx);
static ngx_uint_t ngx_http_sp_llm_history_retries(
    ngx_http_sp_llm_history_t *history);
static ngx_int_t ngx_http_sp_llm_history_wait(ngx_http_request_t *r,
    ngx_http_sp_llm_history_t *history);
static void ngx_http_sp_llm_history_timer(ngx_event_t *ev);
static json_t *ngx_http_sp_llm_history_join(ngx_http_sp_llm_ctx_t *ctx);
static json_t *ngx_http_sp_llm_history_metadata(
    const ngx_http_sp_llm_history_t *history);
static ngx_int_t ngx_http_sp_llm_history_id(json_t *metadata,
    const char *name, const ngx_str_t *id);


static const ngx_http_sp_llm_denial_t  ngx_http_sp_llm_history_denials[] = {

    { NGX_HTTP_NOT_FOUND, "chat_not_found", NULL, "the chat does not exist" },

    { NGX_HTTP_NOT_FOUND, "parent_not_found", "parent_id",
      "the chat has no message with this id" },

    { NGX_HTTP_CONFLICT, "parent_not_a_reply", "parent_id",
      "a message follows a reply: name one, or \"regenerate\" it" },

    { NGX_HTTP_CONFLICT, "nothing_to_answer", "regenerate",
      "the chat has no message to be answered again" },

    { 0, NULL, NULL, NULL }
};


static ngx_sp_pg_statement_t  ngx_http_sp_llm_history_sql = {
    ngx_string("select character_id, parent_id, messages "
               "from chat.context($1, $2, $3, $4, "
               NGX_HTTP_SP_LLM_HISTORY ")"), 4
};


ngx_int_t
ngx_http_sp_llm_history(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_uint_t                  changes;
    ngx_http_sp_llm_ctx_t      *ctx;
    ngx_http_sp_llm_history_t  *history;

    ctx = ngx_http_sp_llm_find_ctx(r);

    if (ctx == NULL || ctx->check.chat == NULL) {
        return NGX_DECLINED;
    }

    history = &ctx->history;

    if (history->asked == NULL) {

        if (ctx->check.conf->chat_id == NULL) {
            return NGX_DECLINED;
        }

        rc = ngx_http_sp_llm_history_begin(r, ctx);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    changes = ngx_http_sp_identity_changes(r);

    if (history->changes != changes) {

        /* an earlier pass has asked as somebody else */

        ngx_sp_op_cancel(&history->pg.op);

        if (history->timer.timer_set) {
            ngx_del_timer(&history->timer);
        }

        history->state = NGX_HTTP_SP_LLM_NEW;
        history->changes = changes;
    }

    switch (history->state) {

    case NGX_HTTP_SP_LLM_READY:
        return NGX_OK;

    case NGX_HTTP_SP_LLM_LOADING:

        if (!ngx_sp_op_finished(&history->pg.op)) {
            return NGX_AGAIN;
        }

        return ngx_http_sp_llm_history_loaded(r, ctx);

    case NGX_HTTP_SP_LLM_WAITING:
        return history->timer.timer_set ? NGX_AGAIN
                                        : ngx_http_sp_llm_history_load(r, ctx);

    default: /* NGX_HTTP_SP_LLM_NEW */
        return ngx_http_sp_llm_history_load(r, ctx);
    }
}


/* what was asked, with what moderation has made of it, and of which chat */

static ngx_int_t
ngx_http_sp_llm_history_begin(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx)
{
    json_t                     *root;
    ngx_int_t                   rc;
    ngx_pool_cleanup_t         *cln;
    ngx_http_sp_llm_history_t  *history;

    history = &ctx->history;
    history->conf = ctx->check.conf;

    rc = ngx_http_sp_json_body(r, &root);

    if (rc == NGX_OK) {
        rc = ngx_http_sp_body(r, &history->text);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_complex_value(r, history->conf->chat_id, &history->id)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_sp_llm_history_cleanup;
    cln->data = history;

    history->asked = json_incref(root);

    return NGX_OK;
}


static void
ngx_http_sp_llm_history_cleanup(void *data)
{
    ngx_http_sp_llm_history_t *history = data;

    if (history->timer.timer_set) {
        ngx_del_timer(&history->timer);
    }

    json_decref(history->asked);
    json_decref(history->loaded);
}


static ngx_int_t
ngx_http_sp_llm_history_load(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx)
{
    u_char                     *p;
    ngx_str_t                   params[4];
    const char                 *parent;
    ngx_http_sp_llm_history_t  *history;

    history = &ctx->history;

    if (ngx_http_sp_identity(r) == NULL) {
        return ngx_http_sp_error(r, NGX_HTTP_UNAUTHORIZED,
                                 "authentication_required",
                                 "sign in: a chat is somebody's");
    }

    if (!sp_chat_is_uuid((char *) history->id.data, history->id.len)) {
        return ngx_http_sp_error(r, NGX_HTTP_NOT_FOUND, "chat_not_found",
                                 "the chat does not exist");
    }

    parent = json_string_value(json_object_get(
                  json_object_get(history->asked, "metadata"), "parent_id"));

    p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    params[0] = history->id;
    params[1].data = (u_char *) parent;
    params[1].len = (parent != NULL) ? ngx_strlen(parent) : 0;
    params[3].data = p;
    params[3].len = ngx_sprintf(p, "%ui", history->conf->history) - p;

    if (history->again) {
        ngx_str_set(&params[2], "true");
    } else {
        ngx_str_set(&params[2], "false");
    }

    ngx_memzero(&history->pg, sizeof(ngx_sp_pg_op_t));

    history->query.statement = &ngx_http_sp_llm_history_sql;
    history->query.params = params;

    history->pg.queries = &history->query;
    history->pg.nqueries = 1;
    history->pg.read_only = 1;

    history->pg.op.done = ngx_http_sp_llm_history_done;
    history->pg.op.data = ctx;
    history->pg.op.timeout = history->conf->history_timeout;
    history->pg.op.log = r->connection->log;

    ngx_http_sp_pg_identity(r, &history->pg);

    if (ngx_http_sp_op_attach(r, &history->pg.op) != NGX_OK) {
        return NGX_ERROR;
    }

    json_decref(history->loaded);

    history->loaded = NULL;
    history->denial = NULL;
    history->state = NGX_HTTP_SP_LLM_LOADING;

    ngx_sp_pg_submit(history->conf->chats, &history->pg);

    return NGX_AGAIN;
}


static void
ngx_http_sp_llm_history_done(ngx_sp_op_t *op)
{
    ngx_http_sp_llm_ctx_t      *ctx;
    ngx_http_sp_llm_history_t  *history;

    ctx = op->data;
    history = &ctx->history;

    if (op->result == NGX_SP_OP_OK) {

        if (ngx_http_sp_llm_history_copy(ctx) != NGX_OK) {
            json_decref(history->loaded);
            history->loaded = NULL;
        }

    } else if (op->result == NGX_SP_OP_REJECTED) {
        history->denial = ngx_http_sp_llm_denied(&history->pg,
                                            ngx_http_sp_llm_history_denials);
        if (history->denial == NULL) {
            ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                          "llm: a chat is not loaded: SQLSTATE %V, %V",
                          &history->pg.sqlstate, &history->pg.message);
        }
    }
}


static ngx_int_t
ngx_http_sp_llm_history_copy(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_str_t                   text;
    const PGresult             *result;
    ngx_http_sp_llm_history_t  *history;

    history = &ctx->history;
    result = history->query.result;

    if (PQntuples(result) != 1) {
        return NGX_ERROR;
    }

    text = ngx_sp_pg_value(result, 0, 2);

    if (sp_json_parse((char *) text.data, text.len, NULL, &history->loaded,
                      NULL)
        != SP_JSON_OK)
    {
        history->loaded = NULL;
        return NGX_ERROR;
    }

    text = ngx_sp_pg_value(result, 0, 0);

    history->character_id.len = text.len;
    history->character_id.data = ngx_pstrdup(ctx->request->pool, &text);

    text = ngx_sp_pg_value(result, 0, 1);

    history->parent_id.len = text.len;
    history->parent_id.data = ngx_pstrdup(ctx->request->pool, &text);

    return (history->character_id.data != NULL
            && history->parent_id.data != NULL) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_sp_llm_history_loaded(ngx_http_request_t *r,
    ngx_http_sp_llm_ctx_t *ctx)
{
    json_t                          *made;
    ngx_http_sp_turn_t              *turn;
    ngx_http_sp_llm_history_t       *history;
    const ngx_http_sp_llm_denial_t  *denial;

    history = &ctx->history;
    denial = history->denial;

    if (denial != NULL && ngx_http_sp_llm_history_retries(history)) {
        return ngx_http_sp_llm_history_wait(r, history);
    }

    if (denial != NULL) {
        (void) ngx_http_sp_error(r, denial->status, denial->code, "%s",
                                 denial->message);

        return ngx_http_sp_error_param(r, denial->param);
    }

    if (history->loaded == NULL) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "llm: chat \"%V\" not loaded: %s", &history->id,
                      ngx_sp_op_result_name(history->pg.op.result));

        if (ngx_http_sp_retry_after(r, 1) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_http_sp_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                 "chat_unavailable",
                                 "the chat cannot be loaded now, try again "
                                 "later");
    }

    made = ngx_http_sp_llm_history_join(ctx);
    if (made == NULL) {
        return NGX_ERROR;
    }

    turn = ngx_http_sp_turn(r);
    if (turn == NULL) {
        json_decref(made);
        return NGX_ERROR;
    }

    /* the next message may come at once, and its history from there */

    turn->at_once = 1;

    history->state = NGX_HTTP_SP_LLM_READY;

    return ngx_http_sp_reset_json_body(r, made);
}


/*
 * A client may name a reply, by the id in its header, before the turn is
 * stored.  Ids of replies are UUIDs of version 8.
 */

static ngx_uint_t
ngx_http_sp_llm_history_retries(ngx_http_sp_llm_history_t *history)
{
    const char  *parent;

    parent = json_string_value(json_object_get(
                  json_object_get(history->asked, "metadata"), "parent_id"));

    return parent != NULL
           && ngx_strlen(parent) == 36
           && parent[14] == '8'
           && ngx_strcmp(history->denial->code, "parent_not_found") == 0
           && history->tries < NGX_HTTP_SP_LLM_TRIES;
}


static ngx_int_t
ngx_http_sp_llm_history_wait(ngx_http_request_t *r,
    ngx_http_sp_llm_history_t *history)
{
    history->timer.handler = ngx_http_sp_llm_history_timer;
    history->timer.data = r;
    history->timer.log = r->connection->log;

    history->state = NGX_HTTP_SP_LLM_WAITING;

    ngx_add_timer(&history->timer,
                  (ngx_msec_t) NGX_HTTP_SP_LLM_WAIT << history->tries);

    history->tries++;

    return NGX_AGAIN;
}


static void
ngx_http_sp_llm_history_timer(ngx_event_t *ev)
{
    ngx_http_sp_wake(ev->data);
}


static json_t *
ngx_http_sp_llm_history_join(ngx_http_sp_llm_ctx_t *ctx)
{
    json_t                     *made, *messages;
    ngx_http_sp_llm_history_t  *history;

    history = &ctx->history;

    made = json_copy(history->asked);
    messages = json_copy(history->loaded);

    /* what is answered again is the last one that was loaded */

    if (made == NULL || messages == NULL
        || (!history->again
            && json_array_extend(messages, json_object_get(history->asked,
                                                           "messages"))
               != 0))
    {
        json_decref(made);
        json_decref(messages);
        return NULL;
    }

    if (json_object_set_new(made, "messages", messages) != 0
        || json_object_set_new(made, "metadata",
                               ngx_http_sp_llm_history_metadata(history)) != 0)
    {
        json_decref(made);
        return NULL;
    }

    return made;
}


static json_t *
ngx_http_sp_llm_history_metadata(const ngx_http_sp_llm_history_t *history)
{
    json_t  *metadata;

    metadata = json_object_get(history->asked, "metadata");

    /* a chat completion that an error_page leads here may have none */

    metadata = json_is_object(metadata) ? json_copy(metadata) : json_object();

    if (metadata == NULL
        || ngx_http_sp_llm_history_id(metadata, "character_id",
                                      &history->character_id) != NGX_OK
        || ngx_http_sp_llm_history_id(metadata, "chat_id", &history->id)
           != NGX_OK
        || ngx_http_sp_llm_history_id(metadata, "parent_id",
                                      &history->parent_id) != NGX_OK)
    {
        json_decref(metadata);
        return NULL;
    }

    return metadata;
}


static ngx_int_t
ngx_http_sp_llm_history_id(json_t *metadata, const char *name,
    const ngx_str_t *id)
{
    if (id->len == 0) {
        return NGX_OK;
    }

    return json_object_set_new(metadata, name,
                               json_stringn((char *) id->data, id->len)) == 0
           ? NGX_OK : NGX_ERROR;
}
