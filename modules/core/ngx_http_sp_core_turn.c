
/*
 * Copyright (C) Sallyport authors
 *
 * The turn of a request, settled once, whatever way the request ends.
 */


#include "ngx_http_sp_core_int.h"


/* the record without its texts */
#define NGX_HTTP_SP_TURN_FIXED  (528 + 11 * NGX_INT64_LEN                     \
                                 + NGX_HTTP_SP_ACCOUNT)


typedef struct {
    const char                    *name;
    const ngx_str_t               *value;
} ngx_http_sp_turn_text_t;


static ngx_int_t ngx_http_sp_turn_id(u_char *id);
static ngx_int_t ngx_http_sp_turn_append(ngx_http_sp_core_main_conf_t *mcf,
    ngx_pool_t *pool, const ngx_http_sp_turn_t *turn);
static ngx_int_t ngx_http_sp_turn_line(ngx_pool_t *pool,
    const ngx_http_sp_turn_t *turn, ngx_str_t *line);
static u_char *ngx_http_sp_turn_texts(ngx_pool_t *pool,
    const ngx_http_sp_turn_text_t *texts, ngx_str_t *line);
static size_t ngx_http_sp_turn_print(u_char *p,
    const ngx_http_sp_turn_text_t *text);


ngx_http_sp_turn_t *
ngx_http_sp_turn(ngx_http_request_t *r)
{
    ngx_http_sp_turn_t      *turn;
    ngx_http_sp_core_ctx_t  *ctx;

    ctx = ngx_http_sp_core_ctx(r);
    if (ctx == NULL) {
        return NULL;
    }

    if (ctx->turn != NULL) {
        return ctx->turn;
    }

    turn = ngx_palloc(r->pool, sizeof(ngx_http_sp_turn_t));
    if (turn == NULL) {
        return NULL;
    }

    ngx_http_sp_turn_init(turn);

    if (ngx_http_sp_turn_id(turn->id) != NGX_OK) {
        return NULL;
    }

    turn->started = ngx_current_msec;
    turn->begun = ngx_sp_metric_clock();

    ctx->turn = turn;

    return turn;
}


void
ngx_http_sp_turn_leave(ngx_http_sp_turn_t *turn)
{
    turn->left = ngx_sp_metric_clock();
}


void
ngx_http_sp_turn_return(ngx_http_sp_turn_t *turn)
{
    if (turn->left != 0) {
        turn->outside += ngx_sp_metric_clock() - turn->left;
        turn->left = 0;
    }
}


void
ngx_http_sp_turn_init(ngx_http_sp_turn_t *turn)
{
    ngx_memzero(turn, sizeof(ngx_http_sp_turn_t));

    turn->prompt_tokens = -1;
    turn->completion_tokens = -1;
    turn->cached_tokens = -1;
    turn->cache_write_tokens = -1;
    turn->reasoning_tokens = -1;
    turn->estimated_prompt_tokens = -1;
    turn->estimated_completion_tokens = -1;
    turn->units = -1;
    turn->cost = -1;
}


ngx_int_t
ngx_http_sp_turn_open(ngx_http_request_t *r, ngx_http_sp_call_e kind)
{
    ngx_http_sp_turn_t            *turn;
    const ngx_http_sp_identity_t  *identity;
    ngx_http_sp_core_main_conf_t  *mcf;

    turn = ngx_http_sp_turn(r);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    /* an error_page leads to another location: what was asked stays */

    if (turn->finish == NGX_HTTP_SP_TURN_NONE) {
        turn->finish = NGX_HTTP_SP_TURN_REFUSED;
        turn->cost = 0;

        mcf = ngx_http_get_module_main_conf(r, ngx_http_sp_core_module);
        turn->currency = mcf->currency;
    }

    identity = ngx_http_sp_identity(r);

    if (identity != NULL) {
        turn->user_id = identity->sub;

    } else {
        ngx_str_null(&turn->user_id);
    }

    turn->kind = kind;

    return NGX_OK;
}


const char *
ngx_http_sp_turn_outcome(ngx_http_sp_finish_e finish)
{
    static const char  *outcomes[] = {
        "none", "refused", "complete", "partial", "failed", "replayed",
        "cached"
    };

    return outcomes[finish];
}


/*
 * A UUID of version 7: the ledger's index grows at its end
 */

static ngx_int_t
ngx_http_sp_turn_id(u_char *id)
{
    u_char       b[16], *p;
    uint64_t     msec;
    ngx_uint_t   i;
    ngx_time_t  *tp;

    if (ngx_http_sp_random(&b[6], 10) != NGX_OK) {
        return NGX_ERROR;
    }

    tp = ngx_timeofday();
    msec = (uint64_t) tp->sec * 1000 + tp->msec;

    for (i = 0; i < 6; i++) {
        b[i] = (u_char) (msec >> (8 * (5 - i)));
    }

    b[6] = (b[6] & 0x0f) | 0x70;
    b[8] = (b[8] & 0x3f) | 0x80;

    p = id;

    for (i = 0; i < 16; i++) {

        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *p++ = '-';
        }

        p = ngx_hex_dump(p, &b[i], 1);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_settle(ngx_http_request_t *r)
{
    ngx_http_sp_turn_t            *turn;
    const ngx_http_sp_trace_t     *trace;
    ngx_http_sp_core_ctx_t        *ctx;
    ngx_http_sp_core_main_conf_t  *mcf;

    ctx = ngx_http_sp_core_find_ctx(r);

    if (ctx == NULL || ctx->turn == NULL || ctx->settled) {
        return NGX_OK;
    }

    ctx->settled = 1;

    turn = ctx->turn;
    turn->total = ngx_current_msec - turn->started;

    if (turn->status == 0) {
        turn->status = ngx_http_sp_status(r);
    }

    if (turn->finish == NGX_HTTP_SP_TURN_NONE) {
        return NGX_OK;
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_sp_core_module);

    turn->error = ngx_http_sp_blame(ctx);

    if (turn->error != NGX_HTTP_SP_TURN_OK) {
        ngx_sp_metric_add(mcf->counters.errors[turn->error], 1);
    }

    if (ngx_http_sp_request_id(r, &turn->request_id) != NGX_OK) {
        return NGX_ERROR;
    }

    trace = ngx_http_sp_trace(r);

    if (trace != NULL) {
        turn->trace_id.data = (u_char *) trace->trace.id;
        turn->trace_id.len = SP_TRACE_ID;
    }

    return ngx_http_sp_turn_append(mcf, r->pool, turn);
}


ngx_int_t
ngx_http_sp_turn_store(ngx_pool_t *pool, ngx_http_sp_turn_t *turn)
{
    ngx_http_sp_core_main_conf_t  *mcf;

    if (ngx_http_sp_turn_id(turn->id) != NGX_OK) {
        return NGX_ERROR;
    }

    turn->total = ngx_current_msec - turn->started;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_sp_core_module);

    return ngx_http_sp_turn_append(mcf, pool, turn);
}


/* what has cost nothing gives way to what has */

static ngx_int_t
ngx_http_sp_turn_append(ngx_http_sp_core_main_conf_t *mcf, ngx_pool_t *pool,
    const ngx_http_sp_turn_t *turn)
{
    ngx_str_t  line;

    if (mcf->turns == NULL) {
        return NGX_OK;
    }

    if (ngx_http_sp_turn_line(pool, turn, &line) != NGX_OK) {
        return NGX_ERROR;
    }

    if (turn->finish == NGX_HTTP_SP_TURN_REFUSED) {
        return ngx_sp_spool_offer(mcf->turns, &line);
    }

    if (ngx_sp_spool_append(mcf->turns, &line) != NGX_OK) {
        return NGX_ERROR;
    }

    if (turn->at_once) {
        ngx_sp_spool_flush(mcf->turns);
    }

    return NGX_OK;
}


/* the record of gateway.store_turns(), and the line of the spool */

static ngx_int_t
ngx_http_sp_turn_line(ngx_pool_t *pool, const ngx_http_sp_turn_t *turn,
    ngx_str_t *line)
{
    u_char      *p;
    ngx_str_t    id;
    ngx_time_t  *tp;

    static const char  *kinds[] = {
        "chat", "embedding", "extraction", "image", "speech",
        "transcription"
    };

    ngx_http_sp_turn_text_t  texts[] = {
        { "id", &id },
        { "request_id", &turn->request_id },
        { "trace_id", &turn->trace_id },
        { "user_id", &turn->user_id },
        { "character_id", &turn->character_id },
        { "chat_id", &turn->chat_id },
        { "parent_id", &turn->parent_id },
        { "question_id", &turn->question_id },
        { "provider", &turn->provider },
        { "model", &turn->model },
        { "alias", &turn->alias },
        { "finish_reason", &turn->finish_reason },
        { "user_text", &turn->user_text },
        { "assistant_text", &turn->assistant_text },
        { NULL, NULL }
    };

    id.data = (u_char *) turn->id;
    id.len = sizeof(turn->id);

    line->len = NGX_HTTP_SP_TURN_FIXED + turn->receipt.len
                + ngx_http_sp_attempts_size(turn->attempts);

    p = ngx_http_sp_turn_texts(pool, texts, line);
    if (p == NULL) {
        return NGX_ERROR;
    }

    tp = ngx_timeofday();

    p = ngx_http_sp_account_print(p, turn);

    if (turn->receipt.len != 0) {
        p = ngx_sprintf(p, "\"receipt\":%V,", &turn->receipt);
    }

    p = ngx_sprintf(p, "\"attempts\":");
    p = ngx_http_sp_attempts_print(p, turn->attempts);

    p = ngx_sprintf(p, ",\"kind\":\"%s\","
                    "\"outcome\":\"%s\",\"error_type\":\"%s\","
                    "\"status\":%ui,"
                    "\"first_byte_ms\":%M,"
                    "\"total_ms\":%M,\"stream\":%s,"
                    "\"store\":%s,\"memory\":%s,\"at\":%T.%03M}\n",
                    kinds[turn->kind], ngx_http_sp_turn_outcome(turn->finish),
                    ngx_http_sp_turn_error_name(turn->error), turn->status,
                    turn->first_byte, turn->total,
                    turn->stream ? "true" : "false",
                    turn->store ? "true" : "false",
                    turn->memory ? "true" : "false", tp->sec, tp->msec);

    line->len = p - line->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_turn_question(ngx_pool_t *pool, const ngx_http_sp_turn_t *turn,
    ngx_str_t *line)
{
    u_char      *p;
    ngx_str_t    id;
    ngx_time_t  *tp;

    ngx_http_sp_turn_text_t  texts[] = {
        { "id", &id },
        { "user_id", &turn->user_id },
        { "character_id", &turn->character_id },
        { "chat_id", &turn->chat_id },
        { "parent_id", &turn->parent_id },
        { "question_id", &turn->question_id },
        { "user_text", &turn->user_text },
        { NULL, NULL }
    };

    id.data = (u_char *) turn->id;
    id.len = sizeof(turn->id);

    line->len = sizeof("{\"kind\":\"question\",\"at\":.000}\n")
                + NGX_TIME_T_LEN;

    p = ngx_http_sp_turn_texts(pool, texts, line);
    if (p == NULL) {
        return NGX_ERROR;
    }

    tp = ngx_timeofday();

    p = ngx_sprintf(p, "\"kind\":\"question\",\"at\":%T.%03M}\n", tp->sec,
                    tp->msec);

    line->len = p - line->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_turn_spool(ngx_http_request_t *r, const ngx_str_t *line)
{
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_sp_core_module);

    return ngx_sp_spool_append(mcf->turns, line);
}


ngx_flag_t
ngx_http_sp_conf_turns(ngx_conf_t *cf)
{
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    return mcf->turns != NULL;
}


/*
 * Memory for them beside the line->len bytes that the caller wants, and the
 * first of the record in it: where it goes on, or NULL.
 */

static u_char *
ngx_http_sp_turn_texts(ngx_pool_t *pool,
    const ngx_http_sp_turn_text_t *texts, ngx_str_t *line)
{
    u_char      *p;
    ngx_uint_t   i;

    for (i = 0; texts[i].name != NULL; i++) {
        line->len += ngx_http_sp_turn_print(NULL, &texts[i]);
    }

    p = ngx_pnalloc(pool, line->len);
    if (p == NULL) {
        return NULL;
    }

    line->data = p;
    *p++ = '{';

    for (i = 0; texts[i].name != NULL; i++) {
        p += ngx_http_sp_turn_print(p, &texts[i]);
    }

    return p;
}


/*
 * "name":"value", or its length when p is NULL.  A jsonb holds no zero byte:
 * it becomes a space.
 */

static size_t
ngx_http_sp_turn_print(u_char *p, const ngx_http_sp_turn_text_t *text)
{
    size_t   len, need, n, rest;
    u_char  *from, *zero;

    n = ngx_strlen(text->name);
    need = n + sizeof("\"\":\"\",") - 1;

    if (p != NULL) {
        p = ngx_sprintf(p, "\"%s\":\"", text->name);
    }

    from = text->value->data;
    rest = text->value->len;

    while (rest > 0) {
        zero = memchr(from, '\0', rest);
        len = (zero != NULL) ? (size_t) (zero - from) : rest;

        n = sp_json_escape((char *) p, (p != NULL) ? 6 * len : 0,
                           (char *) from, len);

        need += n;
        p = (p != NULL) ? p + n : NULL;

        if (zero != NULL) {
            len++;
            need++;

            if (p != NULL) {
                *p++ = ' ';
            }
        }

        from += len;
        rest -= len;
    }

    if (p != NULL) {
        *p++ = '"';
        *p = ',';
    }

    return need;
}
