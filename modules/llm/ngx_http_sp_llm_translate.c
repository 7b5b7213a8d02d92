
/*
 * Copyright (C) Sallyport authors
 *
 * What a provider's events say, written in the client's dialect: it speaks
 * another one, or not all may be said that it says.
 */


#include "ngx_http_sp_llm.h"

#include "sp_call_id.h"


#define NGX_HTTP_SP_LLM_OUT  4096


/* writes something of a stream into out */
typedef void (*ngx_http_sp_llm_write_pt)(ngx_http_sp_llm_ctx_t *ctx,
    const sp_delta_t *delta, sp_out_t *out);


static ngx_int_t ngx_http_sp_llm_writer(ngx_http_sp_llm_ctx_t *ctx);
static char *ngx_http_sp_llm_writer_grow(void *data, char *old, size_t len,
    size_t size);
static size_t ngx_http_sp_llm_need(ngx_http_sp_llm_ctx_t *ctx,
    const sp_delta_t *delta);
static ngx_int_t ngx_http_sp_llm_name_call(ngx_http_sp_llm_ctx_t *ctx,
    sp_delta_t *delta);
static ngx_int_t ngx_http_sp_llm_write(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_llm_write_pt write, const sp_delta_t *delta, size_t need);
static void ngx_http_sp_llm_delta_out(ngx_http_sp_llm_ctx_t *ctx,
    const sp_delta_t *delta, sp_out_t *out);
static void ngx_http_sp_llm_end_out(ngx_http_sp_llm_ctx_t *ctx,
    const sp_delta_t *delta, sp_out_t *out);


/* what both sides keep of an answer */

ngx_int_t
ngx_http_sp_llm_begin(ngx_http_sp_llm_ctx_t *ctx)
{
    const sp_dialect_t          *dialect;
    ngx_http_sp_llm_response_t  *response;

    response = &ctx->response;
    dialect = ctx->attempt.dialect;

    response->sse.lines = dialect->lines;
    sp_event_init(&response->totals);

    if (dialect->reader_size != 0) {
        response->reader = ngx_pcalloc(ctx->request->pool,
                                       dialect->reader_size);
        if (response->reader == NULL) {
            return NGX_ERROR;
        }
    }

    return ctx->attempt.rewritten ? ngx_http_sp_llm_writer(ctx) : NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_writer(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_str_t           *alias;
    sp_writer_t         *writer;
    const sp_dialect_t  *client;

    client = ctx->check.dialect;
    writer = &ctx->response.writer;
    alias = &ctx->check.model->alias;

    writer->id = (char *) ctx->turn->id;
    writer->id_len = sizeof(ctx->turn->id);
    writer->model = (char *) alias->data;
    writer->model_len = alias->len;
    writer->created = ngx_time();
    writer->chat = ctx->check.chat;
    writer->grow = ngx_http_sp_llm_writer_grow;
    writer->data = ctx->request->pool;
    writer->limit = ctx->check.conf->event_size;

    /* what a filter holds of a text is said when all of it was judged */

    writer->late = ctx->attempt.filtered;
    writer->prompt_tokens = ctx->turn->estimated_prompt_tokens;

    /* of bytes that pass, usage has passed where the client wanted it */

    writer->usage = (ctx->attempt.rewritten
                     && ctx->check.chat->include_usage);
    writer->passed = !ctx->attempt.rewritten;

    if (client->writer_size != 0) {
        writer->state = ngx_pcalloc(ctx->request->pool, client->writer_size);
        if (writer->state == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static char *
ngx_http_sp_llm_writer_grow(void *data, char *old, size_t len, size_t size)
{
    return (char *) ngx_http_sp_llm_enlarge(data, (u_char *) old, len, size);
}


/* called for each thing that an event or a whole answer says */

int
ngx_http_sp_llm_delta(void *data, const sp_delta_t *delta)
{
    ngx_http_sp_llm_ctx_t *ctx = data;

    ngx_int_t  rc;

    /* whatever becomes of it, it was paid for */

    if (delta->kind != SP_DELTA_FINISH && delta->kind != SP_DELTA_SIGNATURE) {
        ctx->response.said += delta->text.len;
        ctx->response.chunks += (delta->text.len != 0);
    }

    rc = ctx->attempt.filtered ? ngx_http_sp_llm_filter(ctx, delta)
                               : ngx_http_sp_llm_say(ctx, delta);

    if (rc == NGX_ERROR) {
        ctx->response.broken = 1;
    }

    return (rc == NGX_OK) ? 0 : -1;
}


/* stored, and written where the bytes of the provider do not pass */

ngx_int_t
ngx_http_sp_llm_say(ngx_http_sp_llm_ctx_t *ctx, const sp_delta_t *delta)
{
    sp_delta_t  *copy, said;

    if (ngx_http_sp_llm_note_delta(ctx, delta) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!ctx->attempt.rewritten) {
        return NGX_OK;
    }

    said = *delta;

    if (said.no_id && ngx_http_sp_llm_name_call(ctx, &said) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->check.stream) {
        return ngx_http_sp_llm_write(ctx, ngx_http_sp_llm_delta_out, &said,
                                     ngx_http_sp_llm_need(ctx, &said));
    }

    copy = ngx_array_push(ctx->response.deltas);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    *copy = said;

    return NGX_OK;
}


/* a client answers a call by its id, so each has one */

static ngx_int_t
ngx_http_sp_llm_name_call(ngx_http_sp_llm_ctx_t *ctx, sp_delta_t *delta)
{
    char  *id;

    id = ngx_pnalloc(ctx->request->pool, SP_CALL_ID_SIZE);
    if (id == NULL) {
        return NGX_ERROR;
    }

    delta->id.data = id;
    delta->id.len = sp_call_id(id, (char *) ctx->turn->id,
                               sizeof(ctx->turn->id), delta->choice,
                               delta->tool);

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_llm_write_end(ngx_http_sp_llm_ctx_t *ctx)
{
    if (ctx->response.writer.id == NULL
        && ngx_http_sp_llm_writer(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sp_llm_write(ctx, ngx_http_sp_llm_end_out, NULL,
                                 ngx_http_sp_llm_need(ctx, NULL));
}


static size_t
ngx_http_sp_llm_need(ngx_http_sp_llm_ctx_t *ctx, const sp_delta_t *delta)
{
    const sp_dialect_t  *client;

    client = ctx->check.dialect;

    if (client->need != NULL) {
        return client->need(&ctx->response.writer, delta);
    }

    return (delta == NULL)
           ? SP_DIALECT_EVENT
           : SP_DIALECT_EVENT + 6 * (delta->text.len + delta->id.len
                                     + delta->name.len
                                     + delta->signature.len);
}


static void
ngx_http_sp_llm_delta_out(ngx_http_sp_llm_ctx_t *ctx, const sp_delta_t *delta,
    sp_out_t *out)
{
    sp_writer_t  *writer;

    writer = &ctx->response.writer;

    if (ctx->response.totals.prompt_tokens >= 0) {
        writer->prompt_tokens = ctx->response.totals.prompt_tokens;
    }

    ctx->check.dialect->write_event(writer, delta, out);
}


static void
ngx_http_sp_llm_end_out(ngx_http_sp_llm_ctx_t *ctx, const sp_delta_t *delta,
    sp_out_t *out)
{
    ctx->check.dialect->write_end(&ctx->response.writer,
                                  &ctx->response.totals, out);
}


/* behind what was written since the last read, or in a buffer of its own */

static ngx_int_t
ngx_http_sp_llm_write(ngx_http_sp_llm_ctx_t *ctx,
    ngx_http_sp_llm_write_pt write, const sp_delta_t *delta, size_t need)
{
    sp_out_t                     out;
    ngx_buf_t                   *b;
    ngx_chain_t                 *cl;
    ngx_http_upstream_t         *u;
    ngx_http_sp_llm_response_t  *response;

    response = &ctx->response;
    cl = NULL;
    b = response->out;

    if (b == NULL || (size_t) (b->end - b->last) < need) {

        cl = ngx_http_sp_llm_get_buf(ctx,
                                     ngx_max(need, NGX_HTTP_SP_LLM_OUT));
        if (cl == NULL) {
            return NGX_ERROR;
        }

        b = cl->buf;
        b->pos = b->start;
        b->last = b->start;
    }

    out.dst = (char *) b->last;
    out.size = b->end - b->last;
    out.len = 0;

    write(ctx, delta, &out);

    if (out.len > out.size) {
        ngx_log_error(NGX_LOG_ALERT, ctx->request->connection->log, 0,
                      "llm: dialect \"%s\" writes %uz bytes, %uz expected",
                      ctx->check.dialect->name, out.len, need);
        return NGX_ERROR;
    }

    b->last += out.len;

    if (response->writer.broken) {
        return NGX_ERROR;
    }

    if (cl == NULL) {
        return NGX_OK;
    }

    if (out.len == 0) {
        u = ctx->request->upstream;

        cl->next = u->free_bufs;
        u->free_bufs = cl;

        return NGX_OK;
    }

    ngx_http_sp_llm_append(ctx, cl);

    response->out = b;

    return NGX_OK;
}


/* a whole answer: its deltas are there, and point into what was gathered */

ngx_int_t
ngx_http_sp_llm_write_answer(ngx_http_sp_llm_ctx_t *ctx)
{
    size_t                       n;
    sp_out_t                     out;
    ngx_buf_t                   *b;
    ngx_chain_t                 *cl;
    const sp_delta_t            *deltas;
    const sp_dialect_t          *client;
    ngx_http_sp_llm_response_t  *response;

    response = &ctx->response;
    client = ctx->check.dialect;
    deltas = response->deltas->elts;
    n = response->deltas->nelts;

    ngx_memzero(&out, sizeof(sp_out_t));

    client->write_answer(&response->writer, deltas, n, &response->totals,
                         &out);

    b = ngx_create_temp_buf(ctx->request->pool, out.len);
    cl = ngx_alloc_chain_link(ctx->request->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    out.dst = (char *) b->pos;
    out.size = out.len;
    out.len = 0;

    client->write_answer(&response->writer, deltas, n, &response->totals,
                         &out);

    if (out.len > out.size) {
        return NGX_ERROR;
    }

    b->last += out.len;
    b->flush = 1;

    cl->buf = b;

    ngx_http_sp_llm_append(ctx, cl);

    return NGX_OK;
}


/* an error in the midst of a stream, as the client's dialect has it */

ngx_buf_t *
ngx_http_sp_llm_fault_event(ngx_http_sp_llm_ctx_t *ctx,
    const ngx_http_sp_llm_fault_t *fault)
{
    sp_out_t             out;
    ngx_buf_t           *b;
    sp_dialect_error_t   error;

    ngx_memzero(&error, sizeof(sp_dialect_error_t));

    error.status = fault->status ? fault->status : NGX_HTTP_BAD_GATEWAY;
    error.code = fault->code;
    error.message = fault->message;
    error.message_len = ngx_strlen(fault->message);
    error.writer = &ctx->response.writer;
    error.event = 1;

    ngx_memzero(&out, sizeof(sp_out_t));

    ctx->check.dialect->write_error(&error, &out);

    b = ngx_create_temp_buf(ctx->request->pool, out.len);
    if (b == NULL) {
        return NULL;
    }

    out.dst = (char *) b->pos;
    out.size = out.len;
    out.len = 0;

    ctx->check.dialect->write_error(&error, &out);

    b->last += out.len;
    b->flush = 1;

    return b;
}
