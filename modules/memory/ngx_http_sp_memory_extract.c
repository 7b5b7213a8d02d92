
/*
 * Copyright (C) Sallyport authors
 *
 * The job "memory_extract": reads a range of turns, asks the model, keeps its
 * answer with the job, embeds, and writes in one fenced transaction.  Killed
 * at any line, the next attempt goes on from what was kept.
 */

#include "ngx_http_sp_memory.h"


#define NGX_HTTP_SP_MEMORY_JOB_ITEMS  12

/* attempts that wait for the embedder; the next one does without */
#define NGX_HTTP_SP_MEMORY_JOB_EMBED  3


typedef enum {
    NGX_HTTP_SP_MEMORY_READ = 0,
    NGX_HTTP_SP_MEMORY_ASK,
    NGX_HTTP_SP_MEMORY_SAVE,
    NGX_HTTP_SP_MEMORY_EMBED,
    NGX_HTTP_SP_MEMORY_APPLY
} ngx_http_sp_memory_job_state_e;


typedef struct {
    ngx_http_sp_memory_job_state_e         state;
    ngx_sp_job_t                          *job;
    const ngx_http_sp_memory_main_conf_t  *mmcf;

    /* of the payload: numbers as text, parameters of statements */
    ngx_str_t                              scope;
    ngx_str_t                              epoch;
    ngx_str_t                              from;
    ngx_str_t                              to;

    json_t                                *payload;
    json_t                                *items;
    json_t                                *refs;
    json_t                                *owner;   /* [user, character] */
    sp_chat_request_t                     *chat;

    /* items that are being embedded */
    ngx_str_t                              texts[
                                               NGX_HTTP_SP_MEMORY_JOB_ITEMS];
    ngx_uint_t                             ntexts;
    size_t                                 index[
                                               NGX_HTTP_SP_MEMORY_JOB_ITEMS];
} ngx_http_sp_memory_job_t;


static ngx_int_t ngx_http_sp_memory_job_open(ngx_http_sp_memory_job_t *ctx);
static void ngx_http_sp_memory_job_close(void *data);
static ngx_int_t ngx_http_sp_memory_job_number(ngx_http_sp_memory_job_t *ctx,
    const char *key, ngx_str_t *value);

static void ngx_http_sp_memory_job_read(ngx_http_sp_memory_job_t *ctx);
static void ngx_http_sp_memory_job_was_read(ngx_sp_op_t *op);
static void ngx_http_sp_memory_job_ask(ngx_http_sp_memory_job_t *ctx,
    json_t *input);
static void ngx_http_sp_memory_job_answered(ngx_sp_op_t *op);
static void ngx_http_sp_memory_job_save(ngx_http_sp_memory_job_t *ctx);
static void ngx_http_sp_memory_job_saved(ngx_sp_op_t *op);
static void ngx_http_sp_memory_job_embed(ngx_http_sp_memory_job_t *ctx);
static void ngx_http_sp_memory_job_embedded(ngx_sp_op_t *op);
static ngx_int_t ngx_http_sp_memory_job_vectors(
    ngx_http_sp_memory_job_t *ctx, const ngx_http_sp_call_t *call);
static void ngx_http_sp_memory_job_submit(ngx_http_sp_memory_job_t *ctx,
    ngx_http_sp_call_t *call);
static void ngx_http_sp_memory_job_apply(ngx_http_sp_memory_job_t *ctx);
static void ngx_http_sp_memory_job_applied(ngx_sp_op_t *op);

static void ngx_http_sp_memory_job_set_state(ngx_http_sp_memory_job_t *ctx,
    ngx_http_sp_memory_job_state_e state);


#if (NGX_DEBUG)

static const char *const  ngx_http_sp_memory_job_states[] = {
    "read", "ask", "save", "embed", "apply"
};

#endif

static const ngx_sp_pg_statement_t  ngx_http_sp_memory_job_reads = {
    ngx_string("select mem.extract_input($1::bigint, $2::int, $3::bigint, "
               "$4::bigint)"), 4
};

static const ngx_sp_pg_statement_t  ngx_http_sp_memory_job_saves = {
    ngx_string("select nullif(mem.extract_save($1::bigint, $2::bigint, "
               "$3::jsonb), false)"), 3
};

static const ngx_sp_pg_statement_t  ngx_http_sp_memory_job_applies = {
    ngx_string("select mem.extract_apply($1::bigint, $2::bigint, "
               "$3::bigint, $4::int, $5::bigint, $6::bigint, $7::jsonb, "
               "array(select jsonb_array_elements_text($8::jsonb)::uuid), "
               "$9)"), 9
};


void
ngx_http_sp_memory_extract(ngx_sp_job_t *job)
{
    ngx_http_sp_memory_job_t  *ctx;

    ctx = ngx_pcalloc(job->pool, sizeof(ngx_http_sp_memory_job_t));
    if (ctx == NULL) {
        ngx_sp_job_retry(job, NGX_HTTP_SP_MEMORY_JOB_DELAY,
                         "out of memory");
        return;
    }

    ctx->job = job;
    ctx->mmcf = job->kind->data;
    job->ctx = ctx;

    if (ngx_http_sp_memory_job_open(ctx) != NGX_OK) {
        ngx_sp_job_fail(job, "the payload is not that of an extraction");
        return;
    }

    if (ctx->items != NULL) {

        /* an earlier attempt has paid for the model */

        ngx_http_sp_memory_job_embed(ctx);
        return;
    }

    ngx_http_sp_memory_job_read(ctx);
}


static ngx_int_t
ngx_http_sp_memory_job_open(ngx_http_sp_memory_job_t *ctx)
{
    json_t              *result;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(ctx->job->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_sp_memory_job_close;
    cln->data = ctx;

    ctx->payload = ngx_http_sp_memory_job_parse(&ctx->job->payload);

    if (ngx_http_sp_memory_job_number(ctx, "scope_id", &ctx->scope) != NGX_OK
        || ngx_http_sp_memory_job_number(ctx, "epoch", &ctx->epoch) != NGX_OK
        || ngx_http_sp_memory_job_number(ctx, "from", &ctx->from) != NGX_OK
        || ngx_http_sp_memory_job_number(ctx, "to", &ctx->to) != NGX_OK)
    {
        return NGX_ERROR;
    }

    result = ngx_http_sp_memory_job_parse(&ctx->job->result);

    if (json_is_array(json_object_get(result, "items"))
        && json_is_array(json_object_get(result, "refs")))
    {
        ctx->items = json_incref(json_object_get(result, "items"));
        ctx->refs = json_incref(json_object_get(result, "refs"));
        ctx->owner = json_incref(json_object_get(result, "owner"));
    }

    json_decref(result);

    return NGX_OK;
}


static void
ngx_http_sp_memory_job_close(void *data)
{
    ngx_http_sp_memory_job_t *ctx = data;

    json_decref(ctx->payload);
    json_decref(ctx->items);
    json_decref(ctx->refs);
    json_decref(ctx->owner);

    sp_chat_free(ctx->chat);
}


/* a JSON number, or a string of digits */

static ngx_int_t
ngx_http_sp_memory_job_number(ngx_http_sp_memory_job_t *ctx, const char *key,
    ngx_str_t *value)
{
    json_t  *number;

    number = json_object_get(ctx->payload, key);

    if (json_is_string(number)) {
        value->data = (u_char *) json_string_value(number);
        value->len = json_string_length(number);

        return (ngx_atoi(value->data, value->len) == NGX_ERROR) ? NGX_ERROR
                                                                : NGX_OK;
    }

    if (!json_is_integer(number)) {
        return NGX_ERROR;
    }

    value->data = ngx_pnalloc(ctx->job->pool, NGX_INT64_LEN);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    value->len = ngx_sprintf(value->data, "%L",
                             (int64_t) json_integer_value(number))
                 - value->data;

    return NGX_OK;
}


static void
ngx_http_sp_memory_job_read(ngx_http_sp_memory_job_t *ctx)
{
    ngx_str_t  params[4];

    ngx_http_sp_memory_job_set_state(ctx, NGX_HTTP_SP_MEMORY_READ);

    params[0] = ctx->scope;
    params[1] = ctx->epoch;
    params[2] = ctx->from;
    params[3] = ctx->to;

    if (ngx_http_sp_memory_job_query(ctx->job, &ngx_http_sp_memory_job_reads,
                                     params, ngx_http_sp_memory_job_was_read)
        != NGX_OK)
    {
        ngx_http_sp_memory_job_again(ctx->job, "out of memory");
    }
}


static void
ngx_http_sp_memory_job_was_read(ngx_sp_op_t *op)
{
    json_t                    *input;
    ngx_str_t                  value;
    ngx_http_sp_memory_job_t  *ctx;

    ctx = op->data;

    if (op->result != NGX_SP_OP_OK) {
        ngx_http_sp_memory_job_again(ctx->job, "the turns could not be read");
        return;
    }

    value = ngx_http_sp_memory_job_value(op);

    if (value.data == NULL) {

        /* wiped, paused, or done by an earlier attempt */

        ngx_sp_job_finish(ctx->job);
        return;
    }

    input = ngx_http_sp_memory_job_parse(&value);
    ctx->refs = json_incref(json_object_get(input, "refs"));
    ctx->owner = json_incref(json_object_get(input, "owner"));

    if (input == NULL || ctx->refs == NULL) {
        json_decref(input);
        ngx_http_sp_memory_job_again(ctx->job, "the turns could not be read");
        return;
    }

    if (json_is_string(json_object_get(input, "transcript"))) {
        ngx_http_sp_memory_job_ask(ctx, input);
        json_decref(input);
        return;
    }

    /* its turns were deleted meanwhile: nothing to ask, but it is done */

    json_decref(input);

    ctx->items = json_array();
    ngx_http_sp_memory_job_apply(ctx);
}


static void
ngx_http_sp_memory_job_ask(ngx_http_sp_memory_job_t *ctx, json_t *input)
{
    ngx_http_sp_call_t  *call;

    ngx_http_sp_memory_job_set_state(ctx, NGX_HTTP_SP_MEMORY_ASK);

    call = ngx_http_sp_memory_job_call(ctx->job, &ctx->mmcf->extractor,
                                       NGX_HTTP_SP_CALL_EXTRACTION,
                                       ngx_http_sp_memory_job_answered);

    ctx->chat = ngx_http_sp_memory_extract_request(input);

    if (call == NULL || ctx->chat == NULL) {
        ngx_http_sp_memory_job_again(ctx->job, "out of memory");
        return;
    }

    call->chat = ctx->chat;

    ngx_http_sp_memory_job_submit(ctx, call);
}


/* the account is that of the scope */

static void
ngx_http_sp_memory_job_submit(ngx_http_sp_memory_job_t *ctx,
    ngx_http_sp_call_t *call)
{
    json_t  *character, *user;

    user = json_array_get(ctx->owner, 0);
    character = json_array_get(ctx->owner, 1);

    if (json_is_string(user) && json_is_string(character)) {
        call->user_id.data = (u_char *) json_string_value(user);
        call->user_id.len = json_string_length(user);

        call->character_id.data = (u_char *) json_string_value(character);
        call->character_id.len = json_string_length(character);
    }

    ngx_http_sp_call_submit(call);
}


static void
ngx_http_sp_memory_job_answered(ngx_sp_op_t *op)
{
    ngx_http_sp_call_t        *call;
    ngx_http_sp_memory_job_t  *ctx;

    ctx = op->data;
    call = (ngx_http_sp_call_t *) op;

    if (op->result != NGX_SP_OP_OK) {
        ngx_http_sp_memory_job_again(ctx->job,
                                     "the extractor did not answer");
        return;
    }

    ctx->items = ngx_http_sp_memory_extract_response(&call->text);

    if (ctx->items == NULL) {
        ngx_log_error(NGX_LOG_ERR, ctx->job->log, 0,
                      "memory: the extractor answered without memories");

        ngx_http_sp_memory_job_again(ctx->job,
                                     "the extractor's answer is not a list "
                                     "of memories");
        return;
    }

    ngx_http_sp_memory_job_save(ctx);
}


static void
ngx_http_sp_memory_job_save(ngx_http_sp_memory_job_t *ctx)
{
    json_t     *result;
    ngx_str_t   params[3];

    ngx_http_sp_memory_job_set_state(ctx, NGX_HTTP_SP_MEMORY_SAVE);

    while (json_array_size(ctx->items) > NGX_HTTP_SP_MEMORY_JOB_ITEMS) {
        json_array_remove(ctx->items, NGX_HTTP_SP_MEMORY_JOB_ITEMS);
    }

    result = json_pack("{s:O, s:O, s:O*}", "items", ctx->items, "refs",
                       ctx->refs, "owner", ctx->owner);

    params[0] = ctx->job->id;
    params[1] = ctx->job->epoch;
    params[2] = ngx_http_sp_memory_dump(ctx->job->pool, result);

    json_decref(result);

    if (params[2].data == NULL
        || ngx_http_sp_memory_job_query(ctx->job,
                                        &ngx_http_sp_memory_job_saves, params,
                                        ngx_http_sp_memory_job_saved)
           != NGX_OK)
    {
        ngx_http_sp_memory_job_again(ctx->job, "out of memory");
    }
}


static void
ngx_http_sp_memory_job_saved(ngx_sp_op_t *op)
{
    ngx_http_sp_memory_job_t  *ctx;

    ctx = op->data;

    if (op->result != NGX_SP_OP_OK
        || ngx_http_sp_memory_job_value(op).data == NULL)
    {
        ngx_http_sp_memory_job_again(ctx->job,
                                     "the result could not be saved");
        return;
    }

    ngx_http_sp_memory_job_embed(ctx);
}


/* all new texts in one batch */

static void
ngx_http_sp_memory_job_embed(ngx_http_sp_memory_job_t *ctx)
{
    size_t               i, len;
    const char          *text;
    ngx_http_sp_call_t  *call;

    ctx->ntexts = 0;

    for (i = 0; i < json_array_size(ctx->items)
                && ctx->ntexts < NGX_HTTP_SP_MEMORY_JOB_ITEMS; i++)
    {
        text = sp_json_string(json_array_get(ctx->items, i), "text", &len);

        if (text != NULL && len > 0 && len <= 1200) {
            ctx->texts[ctx->ntexts].data = (u_char *) text;
            ctx->texts[ctx->ntexts].len = len;
            ctx->index[ctx->ntexts++] = i;
        }
    }

    if (ctx->mmcf->embedder.model == NULL || ctx->ntexts == 0) {
        ngx_http_sp_memory_job_apply(ctx);
        return;
    }

    ngx_http_sp_memory_job_set_state(ctx, NGX_HTTP_SP_MEMORY_EMBED);

    call = ngx_http_sp_memory_job_call(ctx->job, &ctx->mmcf->embedder,
                                       NGX_HTTP_SP_CALL_EMBEDDING,
                                       ngx_http_sp_memory_job_embedded);
    if (call == NULL) {
        ngx_http_sp_memory_job_again(ctx->job, "out of memory");
        return;
    }

    call->texts = ctx->texts;
    call->ntexts = ctx->ntexts;

    ngx_http_sp_memory_job_submit(ctx, call);
}


static void
ngx_http_sp_memory_job_embedded(ngx_sp_op_t *op)
{
    ngx_http_sp_memory_job_t  *ctx;

    ctx = op->data;

    if (op->result == NGX_SP_OP_OK
        && ngx_http_sp_memory_job_vectors(ctx, (ngx_http_sp_call_t *) op)
           == NGX_OK)
    {
        ngx_http_sp_memory_job_apply(ctx);
        return;
    }

    if (ctx->job->attempt <= NGX_HTTP_SP_MEMORY_JOB_EMBED) {
        ngx_http_sp_memory_job_again(ctx->job, "the embedder did not answer");
        return;
    }

    ngx_log_error(NGX_LOG_WARN, ctx->job->log, 0,
                  "memory: job %V is stored without vectors", &ctx->job->id);

    ngx_http_sp_memory_job_apply(ctx);
}


static ngx_int_t
ngx_http_sp_memory_job_vectors(ngx_http_sp_memory_job_t *ctx,
    const ngx_http_sp_call_t *call)
{
    json_t      *item, *vector;
    ngx_uint_t   i;

    for (i = 0; i < ctx->ntexts; i++) {
        item = json_array_get(ctx->items, ctx->index[i]);
        vector = ngx_http_sp_memory_job_parse(&call->vectors[i]);

        if (vector == NULL
            || json_object_set_new(item, "embedding", vector) != 0)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_sp_memory_job_apply(ngx_http_sp_memory_job_t *ctx)
{
    ngx_str_t  params[9];

    ngx_http_sp_memory_job_set_state(ctx, NGX_HTTP_SP_MEMORY_APPLY);

    params[0] = ctx->job->id;
    params[1] = ctx->job->epoch;
    params[2] = ctx->scope;
    params[3] = ctx->epoch;
    params[4] = ctx->from;
    params[5] = ctx->to;
    params[6] = ngx_http_sp_memory_dump(ctx->job->pool, ctx->items);
    params[7] = ngx_http_sp_memory_dump(ctx->job->pool, ctx->refs);
    params[8] = ctx->mmcf->embed_model;

    if (params[6].data == NULL || params[7].data == NULL
        || ngx_http_sp_memory_job_query(ctx->job,
                                        &ngx_http_sp_memory_job_applies,
                                        params,
                                        ngx_http_sp_memory_job_applied)
           != NGX_OK)
    {
        ngx_http_sp_memory_job_again(ctx->job, "out of memory");
    }
}


static void
ngx_http_sp_memory_job_applied(ngx_sp_op_t *op)
{
    ngx_str_t                  counts;
    ngx_http_sp_memory_job_t  *ctx;

    ctx = op->data;

    if (op->result != NGX_SP_OP_OK) {
        ngx_http_sp_memory_job_again(ctx->job, "the memories could not be "
                                     "written");
        return;
    }

    counts = ngx_http_sp_memory_job_value(op);

    if (counts.data != NULL) {
        ngx_sp_metric_add(ctx->mmcf->extracted, 1);
        ngx_log_error(NGX_LOG_INFO, ctx->job->log, 0,
                      "memory: job %V of scope %V: %V", &ctx->job->id,
                      &ctx->scope, &counts);
    } else {
        ngx_log_error(NGX_LOG_INFO, ctx->job->log, 0,
                      "memory: job %V of scope %V is outdated",
                      &ctx->job->id, &ctx->scope);
    }

    ngx_sp_job_finish(ctx->job);
}


static void
ngx_http_sp_memory_job_set_state(ngx_http_sp_memory_job_t *ctx,
    ngx_http_sp_memory_job_state_e state)
{
    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ctx->job->log, 0,
                   "memory job %V: %s -> %s", &ctx->job->id,
                   ngx_http_sp_memory_job_states[ctx->state],
                   ngx_http_sp_memory_job_states[state]);

    ctx->state = state;
}
