
/*
 * Copyright (C) Sallyport authors
 *
 * The job "memory_embed": a batch of memories that have no vector gets them.
 * People wrote or edited these, or the embedder was away when they were
 * extracted.  The rows themselves say what is to be done: a notification only
 * makes a job, and what a lost one leaves behind the next one does.
 */

#include "ngx_http_sp_memory.h"


#define NGX_HTTP_SP_MEMORY_BATCH   32
#define NGX_HTTP_SP_MEMORY_LEASE   60
#define NGX_HTTP_SP_MEMORY_LATER   10000


typedef enum {
    NGX_HTTP_SP_MEMORY_FILL_READ = 0,
    NGX_HTTP_SP_MEMORY_FILL_BATCH,
    NGX_HTTP_SP_MEMORY_FILL_EACH,
    NGX_HTTP_SP_MEMORY_FILL_APPLY
} ngx_http_sp_memory_fill_state_e;


typedef struct {
    ngx_http_sp_memory_fill_state_e        state;
    ngx_sp_job_t                          *job;
    const ngx_http_sp_memory_main_conf_t  *mmcf;

    json_t                                *input;
    json_t                                *rows;    /* [[id, hash, text]] */
    ngx_uint_t                             n;
    ngx_uint_t                             next;    /* of them, one by one */

    /* the last is for a text that nobody refuses */
    ngx_str_t                              texts[NGX_HTTP_SP_MEMORY_BATCH + 1];

    /* data NULL: the embedder refuses the text */
    ngx_str_t                              vectors[NGX_HTTP_SP_MEMORY_BATCH
                                                   + 1];
    ngx_uint_t                             taken;
} ngx_http_sp_memory_fill_t;


/* who makes jobs: the first worker */

typedef struct {
    ngx_sp_job_kind_t                      kind;
    ngx_sp_pg_t                           *pg;

    /* state of the worker */

    ngx_sp_pg_op_t                         op;
    ngx_sp_pg_query_t                      query;
    ngx_event_t                            later;
    unsigned                               again:1;
} ngx_http_sp_memory_filler_t;


static void ngx_http_sp_memory_filler_notify(void *data,
    const ngx_str_t *payload);
static void ngx_http_sp_memory_filler_submit(
    ngx_http_sp_memory_filler_t *filler);
static void ngx_http_sp_memory_filler_done(ngx_sp_op_t *op);
static void ngx_http_sp_memory_filler_later(ngx_event_t *ev);

static void ngx_http_sp_memory_fill(ngx_sp_job_t *job);
static void ngx_http_sp_memory_fill_close(void *data);
static void ngx_http_sp_memory_fill_was_read(ngx_sp_op_t *op);
static ngx_int_t ngx_http_sp_memory_fill_rows(ngx_http_sp_memory_fill_t *ctx,
    const ngx_str_t *value);
static void ngx_http_sp_memory_fill_ask(ngx_http_sp_memory_fill_t *ctx,
    ngx_uint_t first, ngx_uint_t n, ngx_sp_op_handler_pt done);
static void ngx_http_sp_memory_fill_batch_done(ngx_sp_op_t *op);
static void ngx_http_sp_memory_fill_each_done(ngx_sp_op_t *op);
static void ngx_http_sp_memory_fill_each(ngx_http_sp_memory_fill_t *ctx);
static void ngx_http_sp_memory_fill_probe_done(ngx_sp_op_t *op);
static ngx_int_t ngx_http_sp_memory_fill_answer(
    ngx_http_sp_memory_fill_t *ctx, ngx_sp_op_t *op, ngx_uint_t first,
    ngx_uint_t n);
static void ngx_http_sp_memory_fill_apply(ngx_http_sp_memory_fill_t *ctx);
static ngx_str_t ngx_http_sp_memory_fill_items(
    ngx_http_sp_memory_fill_t *ctx);
static void ngx_http_sp_memory_fill_applied(ngx_sp_op_t *op);
static void ngx_http_sp_memory_fill_set_state(ngx_http_sp_memory_fill_t *ctx,
    ngx_http_sp_memory_fill_state_e state);


#if (NGX_DEBUG)

static const char *const  ngx_http_sp_memory_fill_states[] = {
    "read", "batch", "each", "apply"
};

#endif

static const ngx_sp_pg_statement_t  ngx_http_sp_memory_fill_makes = {
    ngx_string("select mem.embed_enqueue()"), 0
};

static const ngx_sp_pg_statement_t  ngx_http_sp_memory_fill_reads = {
    ngx_string("select mem.embed_input($1::int)"), 1
};

static const ngx_sp_pg_statement_t  ngx_http_sp_memory_fill_applies = {
    ngx_string("select mem.embed_apply($1::bigint, $2::bigint, $3::jsonb, "
               "$4)"), 4
};


ngx_int_t
ngx_http_sp_memory_backfill_init(ngx_conf_t *cf,
    ngx_http_sp_memory_main_conf_t *mmcf)
{
    ngx_sp_job_kind_t            *kind;
    ngx_http_sp_memory_filler_t  *filler;

    static const ngx_str_t  channel = ngx_string("memory_embed");

    filler = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_memory_filler_t));
    if (filler == NULL) {
        return NGX_ERROR;
    }

    filler->pg = mmcf->pg;

    kind = &filler->kind;

    kind->abi = NGX_HTTP_SP_ABI;
    kind->name = channel;
    kind->max_running = 1;
    kind->lease = NGX_HTTP_SP_MEMORY_LEASE;
    kind->run = ngx_http_sp_memory_fill;
    kind->data = mmcf;

    if (ngx_http_sp_add_job_kind(cf, mmcf->pg, kind) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_sp_pg_listen(cf, mmcf->pg, &channel,
                            ngx_http_sp_memory_filler_notify, filler);
}


/* also after each connect: what was written meanwhile was not heard of */

static void
ngx_http_sp_memory_filler_notify(void *data, const ngx_str_t *payload)
{
    ngx_http_sp_memory_filler_t *filler = data;

    if (ngx_worker != 0 || ngx_exiting || ngx_terminate) {
        return;
    }

    if (ngx_sp_op_pending(&filler->op.op)) {
        filler->again = 1;
        return;
    }

    ngx_http_sp_memory_filler_submit(filler);
}


static void
ngx_http_sp_memory_filler_submit(ngx_http_sp_memory_filler_t *filler)
{
    ngx_sp_pg_op_t  *op;

    filler->again = 0;
    filler->query.statement = &ngx_http_sp_memory_fill_makes;

    op = &filler->op;

    ngx_memzero(op, sizeof(ngx_sp_pg_op_t));

    op->op.done = ngx_http_sp_memory_filler_done;
    op->op.data = filler;
    op->op.log = ngx_cycle->log;
    op->queries = &filler->query;
    op->nqueries = 1;
    ngx_str_set(&op->role, "sallyport_gateway");
    ngx_str_set(&op->claims, "");

    ngx_sp_pg_submit(filler->pg, op);
}


static void
ngx_http_sp_memory_filler_done(ngx_sp_op_t *op)
{
    ngx_http_sp_memory_filler_t  *filler;

    filler = op->data;

    if (ngx_exiting || ngx_terminate || filler->later.timer_set) {
        return;
    }

    if (op->result == NGX_SP_OP_OK && !filler->again) {
        return;
    }

    if (op->result != NGX_SP_OP_OK) {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "memory: no job for vectors was made: %s, %V",
                      ngx_sp_op_result_name(op->result), &op->reason);
    }

    filler->later.handler = ngx_http_sp_memory_filler_later;
    filler->later.data = filler;
    filler->later.log = ngx_cycle->log;
    filler->later.cancelable = 1;

    ngx_add_timer(&filler->later, (op->result == NGX_SP_OP_OK)
                                  ? 1 : NGX_HTTP_SP_MEMORY_LATER);
}


static void
ngx_http_sp_memory_filler_later(ngx_event_t *ev)
{
    ngx_http_sp_memory_filler_notify(ev->data, NULL);
}


/* one batch; where there is more, its last transaction makes the next job */

static void
ngx_http_sp_memory_fill(ngx_sp_job_t *job)
{
    ngx_str_t                  *limit;
    ngx_pool_cleanup_t         *cln;
    ngx_http_sp_memory_fill_t  *ctx;

    ctx = ngx_pcalloc(job->pool, sizeof(ngx_http_sp_memory_fill_t));
    limit = ngx_pcalloc(job->pool, sizeof(ngx_str_t));
    cln = ngx_pool_cleanup_add(job->pool, 0);

    if (ctx == NULL || limit == NULL || cln == NULL) {
        ngx_http_sp_memory_job_again(job, "out of memory");
        return;
    }

    cln->handler = ngx_http_sp_memory_fill_close;
    cln->data = ctx;

    ctx->job = job;
    ctx->mmcf = job->kind->data;
    job->ctx = ctx;

    limit->data = ngx_pnalloc(job->pool, NGX_INT_T_LEN);

    if (limit->data != NULL) {
        limit->len = ngx_sprintf(limit->data, "%d", NGX_HTTP_SP_MEMORY_BATCH)
                     - limit->data;
    }

    if (limit->data == NULL
        || ngx_http_sp_memory_job_query(job, &ngx_http_sp_memory_fill_reads,
                                        limit,
                                        ngx_http_sp_memory_fill_was_read)
           != NGX_OK)
    {
        ngx_http_sp_memory_job_again(job, "out of memory");
    }
}


static void
ngx_http_sp_memory_fill_close(void *data)
{
    ngx_http_sp_memory_fill_t *ctx = data;

    json_decref(ctx->input);
}


static void
ngx_http_sp_memory_fill_was_read(ngx_sp_op_t *op)
{
    ngx_str_t                   value;
    ngx_http_sp_memory_fill_t  *ctx;

    ctx = op->data;

    if (op->result != NGX_SP_OP_OK) {
        ngx_http_sp_memory_job_again(ctx->job,
                                     "the memories could not be read");
        return;
    }

    value = ngx_http_sp_memory_job_value(op);

    if (value.data == NULL) {

        /* somebody else did it, or they were deleted */

        ngx_sp_job_finish(ctx->job);
        return;
    }

    if (ngx_http_sp_memory_fill_rows(ctx, &value) != NGX_OK) {
        ngx_http_sp_memory_job_again(ctx->job,
                                     "the memories could not be read");
        return;
    }

    ngx_http_sp_memory_fill_set_state(ctx, NGX_HTTP_SP_MEMORY_FILL_BATCH);
    ngx_http_sp_memory_fill_ask(ctx, 0, ctx->n,
                                ngx_http_sp_memory_fill_batch_done);
}


static ngx_int_t
ngx_http_sp_memory_fill_rows(ngx_http_sp_memory_fill_t *ctx,
    const ngx_str_t *value)
{
    json_t      *row, *text;
    ngx_uint_t   i;

    ctx->input = ngx_http_sp_memory_job_parse(value);
    ctx->rows = json_object_get(ctx->input, "rows");
    ctx->n = json_array_size(ctx->rows);

    if (ctx->n == 0 || ctx->n > NGX_HTTP_SP_MEMORY_BATCH) {
        return NGX_ERROR;
    }

    for (i = 0; i < ctx->n; i++) {
        row = json_array_get(ctx->rows, i);
        text = json_array_get(row, 2);

        if (!json_is_string(text)
            || !json_is_string(json_array_get(row, 0))
            || !json_is_string(json_array_get(row, 1)))
        {
            return NGX_ERROR;
        }

        ctx->texts[i].data = (u_char *) json_string_value(text);
        ctx->texts[i].len = json_string_length(text);
    }

    return NGX_OK;
}


static void
ngx_http_sp_memory_fill_ask(ngx_http_sp_memory_fill_t *ctx, ngx_uint_t first,
    ngx_uint_t n, ngx_sp_op_handler_pt done)
{
    const char          *owner;
    ngx_http_sp_call_t  *call;

    call = ngx_http_sp_memory_job_call(ctx->job, &ctx->mmcf->embedder,
                                       NGX_HTTP_SP_CALL_EMBEDDING, done);
    if (call == NULL) {
        ngx_http_sp_memory_job_again(ctx->job, "out of memory");
        return;
    }

    call->texts = &ctx->texts[first];
    call->ntexts = n;

    owner = sp_json_string(ctx->input, "user_id", &call->user_id.len);
    call->user_id.data = (u_char *) owner;

    owner = sp_json_string(ctx->input, "character_id",
                           &call->character_id.len);
    call->character_id.data = (u_char *) owner;

    ngx_http_sp_call_submit(call);
}


/* one text that the embedder refuses must not keep the others from theirs */

static void
ngx_http_sp_memory_fill_batch_done(ngx_sp_op_t *op)
{
    ngx_int_t                   rc;
    ngx_http_sp_memory_fill_t  *ctx;

    ctx = op->data;

    rc = ngx_http_sp_memory_fill_answer(ctx, op, 0, ctx->n);

    if (rc == NGX_OK) {
        ngx_http_sp_memory_fill_apply(ctx);
        return;
    }

    if (rc == NGX_ERROR) {
        ngx_http_sp_memory_job_again(ctx->job,
                                     "the embedder did not answer");
        return;
    }

    ngx_http_sp_memory_fill_set_state(ctx, NGX_HTTP_SP_MEMORY_FILL_EACH);
    ngx_http_sp_memory_fill_each(ctx);
}


static void
ngx_http_sp_memory_fill_each(ngx_http_sp_memory_fill_t *ctx)
{
    if (ctx->next < ctx->n) {
        ngx_http_sp_memory_fill_ask(ctx, ctx->next, 1,
                                    ngx_http_sp_memory_fill_each_done);
        return;
    }

    if (ctx->taken != 0) {
        ngx_http_sp_memory_fill_apply(ctx);
        return;
    }

    /* is it these texts, or would it refuse any? */

    ngx_str_set(&ctx->texts[ctx->n], "hello");

    ngx_http_sp_memory_fill_ask(ctx, ctx->n, 1,
                                ngx_http_sp_memory_fill_probe_done);
}


static void
ngx_http_sp_memory_fill_probe_done(ngx_sp_op_t *op)
{
    ngx_http_sp_memory_fill_t  *ctx;

    ctx = op->data;

    if (ngx_http_sp_memory_fill_answer(ctx, op, ctx->n, 1) != NGX_OK) {
        ngx_http_sp_memory_job_again(ctx->job,
                                     "the embedder refuses every text: are "
                                     "its model and dimensions right?");
        return;
    }

    ngx_http_sp_memory_fill_apply(ctx);
}


static void
ngx_http_sp_memory_fill_each_done(ngx_sp_op_t *op)
{
    ngx_int_t                   rc;
    ngx_http_sp_memory_fill_t  *ctx;

    ctx = op->data;

    rc = ngx_http_sp_memory_fill_answer(ctx, op, ctx->next, 1);

    if (rc == NGX_ERROR) {
        ngx_http_sp_memory_job_again(ctx->job,
                                     "the embedder did not answer");
        return;
    }

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_WARN, ctx->job->log, 0,
                      "memory: the embedder refuses %s with %ui",
                      json_string_value(json_array_get(
                                    json_array_get(ctx->rows, ctx->next), 0)),
                      ((ngx_http_sp_call_t *) op)->status);

        ngx_str_null(&ctx->vectors[ctx->next]);

    } else {
        ctx->taken++;
    }

    ctx->next++;

    ngx_http_sp_memory_fill_each(ctx);
}


/* NGX_OK: vectors; NGX_DECLINED: it will never take this; NGX_ERROR */

static ngx_int_t
ngx_http_sp_memory_fill_answer(ngx_http_sp_memory_fill_t *ctx,
    ngx_sp_op_t *op, ngx_uint_t first, ngx_uint_t n)
{
    ngx_uint_t           i;
    ngx_http_sp_call_t  *call;

    call = (ngx_http_sp_call_t *) op;

    if (op->result == NGX_SP_OP_REJECTED && call->status != 0) {
        return NGX_DECLINED;
    }

    if (op->result != NGX_SP_OP_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        ctx->vectors[first + i] = call->vectors[i];
    }

    return NGX_OK;
}


static void
ngx_http_sp_memory_fill_apply(ngx_http_sp_memory_fill_t *ctx)
{
    ngx_str_t  *params;

    ngx_http_sp_memory_fill_set_state(ctx, NGX_HTTP_SP_MEMORY_FILL_APPLY);

    params = ngx_pcalloc(ctx->job->pool, 4 * sizeof(ngx_str_t));

    if (params != NULL) {
        params[0] = ctx->job->id;
        params[1] = ctx->job->epoch;
        params[2] = ngx_http_sp_memory_fill_items(ctx);
        params[3] = ctx->mmcf->embed_model;
    }

    if (params == NULL
        || params[2].data == NULL
        || ngx_http_sp_memory_job_query(ctx->job,
                                        &ngx_http_sp_memory_fill_applies,
                                        params,
                                        ngx_http_sp_memory_fill_applied)
           != NGX_OK)
    {
        ngx_http_sp_memory_job_again(ctx->job, "out of memory");
    }
}


/*
 * [{"id","hash","embedding"}].  Ids and hashes are the database's own, and a
 * vector is JSON already: it is not parsed once more.
 */

static ngx_str_t
ngx_http_sp_memory_fill_items(ngx_http_sp_memory_fill_t *ctx)
{
    u_char      *p;
    size_t       len;
    json_t      *row;
    ngx_str_t    text;
    ngx_uint_t   i;

    static ngx_str_t  none = ngx_string("null");

    ngx_str_null(&text);

    len = sizeof("[]");

    for (i = 0; i < ctx->n; i++) {
        row = json_array_get(ctx->rows, i);

        if (ctx->vectors[i].data == NULL) {
            ctx->vectors[i] = none;
        }

        len += sizeof("{\"id\":\"\",\"hash\":\"\",\"embedding\":},")
               + json_string_length(json_array_get(row, 0))
               + json_string_length(json_array_get(row, 1))
               + ctx->vectors[i].len;
    }

    p = ngx_pnalloc(ctx->job->pool, len);
    if (p == NULL) {
        return text;
    }

    text.data = p;
    *p++ = '[';

    for (i = 0; i < ctx->n; i++) {
        row = json_array_get(ctx->rows, i);

        p = ngx_sprintf(p, "%s{\"id\":\"%s\",\"hash\":\"%s\",\"embedding\":",
                        (i == 0) ? "" : ",",
                        json_string_value(json_array_get(row, 0)),
                        json_string_value(json_array_get(row, 1)));
        p = ngx_cpymem(p, ctx->vectors[i].data, ctx->vectors[i].len);
        *p++ = '}';
    }

    *p++ = ']';

    text.len = p - text.data;

    return text;
}


static void
ngx_http_sp_memory_fill_applied(ngx_sp_op_t *op)
{
    ngx_str_t                   written;
    ngx_http_sp_memory_fill_t  *ctx;

    ctx = op->data;

    if (op->result != NGX_SP_OP_OK) {
        ngx_http_sp_memory_job_again(ctx->job,
                                     "the vectors could not be written");
        return;
    }

    written = ngx_http_sp_memory_job_value(op);

    ngx_log_error(NGX_LOG_INFO, ctx->job->log, 0,
                  "memory: job %V: vectors for %V of %ui memories",
                  &ctx->job->id, &written, ctx->n);

    ngx_sp_job_finish(ctx->job);
}


static void
ngx_http_sp_memory_fill_set_state(ngx_http_sp_memory_fill_t *ctx,
    ngx_http_sp_memory_fill_state_e state)
{
    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ctx->job->log, 0,
                   "memory job %V: %s -> %s", &ctx->job->id,
                   ngx_http_sp_memory_fill_states[ctx->state],
                   ngx_http_sp_memory_fill_states[state]);

    ctx->state = state;
}
