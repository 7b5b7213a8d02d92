
/*
 * Copyright (C) Sallyport authors
 *
 * The spans of a request for a model, when it has ended.
 *
 *     SERVER  "chat default"        the request, with all of its tries: what
 *       |                           the semantic conventions for generative
 *       |                           AI say of an operation, tokens once
 *       +- CLIENT  "POST openai"    each try, as an HTTP call; its id is what
 *       |                           the provider was told in "traceparent"
 *       +- CLIENT  "search_memory"  what plugins have made spans of
 *            +- CLIENT  "POST ..."  the calls of models in it
 *
 * No text of a user and of a model is in them.
 */


#include "ngx_http_sp_otel.h"

#include <time.h>


/* attributes of one span, at most */
#define NGX_HTTP_SP_OTEL_ATTRS  24


typedef struct {
    ngx_http_sp_otel_conf_t      *conf;
    const ngx_http_sp_trace_t    *trace;
    uint64_t                      start;       /* of the request, ns */
    uint64_t                      end;

    sp_otlp_span_t                span;
    sp_otlp_attr_t                attrs[NGX_HTTP_SP_OTEL_ATTRS];
} ngx_http_sp_otel_spans_t;


static void ngx_http_sp_otel_request(ngx_http_sp_otel_spans_t *spans,
    const ngx_http_sp_turn_t *turn, const ngx_http_sp_outcome_t *outcome);
static void ngx_http_sp_otel_usage(ngx_http_sp_otel_spans_t *spans,
    const ngx_http_sp_turn_t *turn);
static void ngx_http_sp_otel_part(ngx_http_sp_otel_spans_t *spans,
    const ngx_http_sp_span_t *part);
static void ngx_http_sp_otel_attempts(ngx_http_sp_otel_spans_t *spans,
    const ngx_array_t *attempts, const char *parent);
static void ngx_http_sp_otel_attempt(ngx_http_sp_otel_spans_t *spans,
    const ngx_http_sp_attempt_t *attempt, ngx_uint_t resend,
    const char *parent);
static void ngx_http_sp_otel_time(ngx_http_sp_otel_spans_t *spans,
    ngx_msec_t started, ngx_msec_t total);
static void ngx_http_sp_otel_open(ngx_http_sp_otel_spans_t *spans,
    sp_otlp_kind_e kind, const char *verb, const ngx_str_t *object);
static void ngx_http_sp_otel_close(ngx_http_sp_otel_spans_t *spans);
static sp_otlp_attr_t *ngx_http_sp_otel_add(ngx_http_sp_otel_spans_t *spans,
    const char *key, sp_otlp_type_e type);
static void ngx_http_sp_otel_string(ngx_http_sp_otel_spans_t *spans,
    const char *key, const ngx_str_t *text);
static void ngx_http_sp_otel_word(ngx_http_sp_otel_spans_t *spans,
    const char *key, const char *text);
static void ngx_http_sp_otel_number(ngx_http_sp_otel_spans_t *spans,
    const char *key, int64_t n);
static const char *ngx_http_sp_otel_operation(ngx_http_sp_call_e kind);
static const char *ngx_http_sp_otel_output(ngx_http_sp_call_e kind);


/* gen_ai.provider.name where it is not another one */
static ngx_str_t  ngx_http_sp_otel_gateway = ngx_string("sallyport");


void
ngx_http_sp_otel_end(ngx_http_request_t *r,
    const ngx_http_sp_outcome_t *outcome)
{
    uint64_t                    took;
    struct timespec             now;
    const ngx_http_sp_span_t   *span;
    const ngx_http_sp_turn_t   *turn;
    ngx_http_sp_otel_spans_t    spans;

    turn = outcome->turn;

    if (turn == NULL || turn->finish == NGX_HTTP_SP_TURN_NONE) {
        return;
    }

    spans.trace = ngx_http_sp_trace(r);

    if (spans.trace == NULL
        || !(spans.trace->trace.flags & SP_TRACE_SAMPLED))
    {
        return;
    }

    spans.conf = ngx_http_get_module_main_conf(r, ngx_http_sp_otel_module);

    (void) clock_gettime(CLOCK_REALTIME, &now);

    took = ngx_sp_metric_clock() - turn->begun;

    spans.end = (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
    spans.start = spans.end - took * 1000;

    ngx_http_sp_otel_request(&spans, turn, outcome);

    ngx_http_sp_otel_attempts(&spans, turn->attempts,
                              spans.trace->trace.span);

    for (span = ngx_http_sp_spans(r); span != NULL; span = span->next) {
        ngx_http_sp_otel_part(&spans, span);
        ngx_http_sp_otel_attempts(&spans, span->attempts, span->id);
    }
}


static void
ngx_http_sp_otel_request(ngx_http_sp_otel_spans_t *spans,
    const ngx_http_sp_turn_t *turn, const ngx_http_sp_outcome_t *outcome)
{
    const char                 *operation, *output;
    const ngx_http_sp_trace_t  *trace;

    trace = spans->trace;
    operation = ngx_http_sp_otel_operation(turn->kind);
    output = ngx_http_sp_otel_output(turn->kind);

    ngx_http_sp_otel_open(spans, SP_OTLP_SERVER, operation, &turn->alias);

    spans->span.span = trace->trace.span;
    spans->span.parent = trace->remote ? trace->parent : NULL;
    spans->span.remote = trace->remote;

    ngx_http_sp_otel_word(spans, "gen_ai.operation.name", operation);
    ngx_http_sp_otel_string(spans, "gen_ai.provider.name",
                            turn->provider.len != 0
                            ? &turn->provider : &ngx_http_sp_otel_gateway);
    ngx_http_sp_otel_string(spans, "gen_ai.request.model", &turn->alias);
    ngx_http_sp_otel_string(spans, "gen_ai.response.model", &turn->model);
    ngx_http_sp_otel_string(spans, "gen_ai.conversation.id", &turn->chat_id);

    if (output != NULL) {
        ngx_http_sp_otel_word(spans, "gen_ai.output.type", output);
    }

    if (turn->stream) {
        ngx_http_sp_otel_add(spans, "gen_ai.request.stream",
                             SP_OTLP_BOOLEAN)->n = 1;

        if (turn->first_byte != 0) {
            ngx_http_sp_otel_add(spans, "gen_ai.response.time_to_first_chunk",
                                 SP_OTLP_DECIMAL)->n =
                                         (int64_t) turn->first_byte * 1000000;
        }
    }

    ngx_http_sp_otel_usage(spans, turn);

    ngx_http_sp_otel_string(spans, "sallyport.request_id", &turn->request_id);
    ngx_http_sp_otel_word(spans, "sallyport.outcome",
                          ngx_http_sp_turn_outcome(turn->finish));
    ngx_http_sp_otel_number(spans, "http.response.status_code",
                            (int64_t) outcome->status);

    if (turn->error != NGX_HTTP_SP_TURN_OK) {
        ngx_http_sp_otel_word(spans, "error.type",
                              ngx_http_sp_turn_error_name(turn->error));

        /* what is the client's fault is no error of a server */

        spans->span.failed =
                       (turn->error >= NGX_HTTP_SP_PROVIDER_UNREACHABLE);
    }

    ngx_http_sp_otel_close(spans);
}


/* as the ledger has it: what was told, or else what was counted */

static void
ngx_http_sp_otel_usage(ngx_http_sp_otel_spans_t *spans,
    const ngx_http_sp_turn_t *turn)
{
    sp_otlp_attr_t  *attr;

    ngx_http_sp_otel_number(spans, "gen_ai.usage.input_tokens",
                            (turn->estimated_prompt_tokens >= 0)
                            ? turn->estimated_prompt_tokens
                            : turn->prompt_tokens);
    ngx_http_sp_otel_number(spans, "gen_ai.usage.output_tokens",
                            (turn->estimated_completion_tokens >= 0)
                            ? turn->estimated_completion_tokens
                            : turn->completion_tokens);
    ngx_http_sp_otel_number(spans, "gen_ai.usage.cache_read.input_tokens",
                            turn->cached_tokens);
    ngx_http_sp_otel_number(spans, "gen_ai.usage.cache_write.input_tokens",
                            turn->cache_write_tokens);
    ngx_http_sp_otel_number(spans, "gen_ai.usage.reasoning.output_tokens",
                            turn->reasoning_tokens);

    if (turn->estimated_prompt_tokens >= 0
        || turn->estimated_completion_tokens >= 0)
    {
        ngx_http_sp_otel_add(spans, "sallyport.usage.estimated",
                             SP_OTLP_BOOLEAN)->n = 1;
    }

    if (turn->cost >= 0) {
        ngx_http_sp_otel_add(spans, "sallyport.cost", SP_OTLP_DECIMAL)->n =
                                                                  turn->cost;
        ngx_http_sp_otel_string(spans, "sallyport.currency", &turn->currency);
    }

    if (turn->finish_reason.len != 0) {
        attr = ngx_http_sp_otel_add(spans, "gen_ai.response.finish_reasons",
                                    SP_OTLP_STRINGS);

        attr->text = (char *) turn->finish_reason.data;
        attr->len = turn->finish_reason.len;
    }
}


/* what a plugin has made a span of */

static void
ngx_http_sp_otel_part(ngx_http_sp_otel_spans_t *spans,
    const ngx_http_sp_span_t *part)
{
    const char  *error;

    static ngx_str_t  none = ngx_null_string;

    ngx_http_sp_otel_open(spans, SP_OTLP_CLIENT, part->operation, &none);

    spans->span.span = part->id;
    spans->span.parent = spans->trace->trace.span;

    error = part->error;

    if (part->ended) {
        ngx_http_sp_otel_time(spans, part->started, part->total);

    } else {
        ngx_http_sp_otel_time(spans, part->started,
                              ngx_current_msec - part->started);
        error = "cancelled";
    }

    ngx_http_sp_otel_word(spans, "gen_ai.operation.name", part->operation);
    ngx_http_sp_otel_string(spans, "gen_ai.provider.name",
                            &ngx_http_sp_otel_gateway);

    if (error != NULL) {
        ngx_http_sp_otel_word(spans, "error.type", error);
        spans->span.failed = 1;
    }

    ngx_http_sp_otel_close(spans);
}


static void
ngx_http_sp_otel_attempts(ngx_http_sp_otel_spans_t *spans,
    const ngx_array_t *attempts, const char *parent)
{
    ngx_uint_t               i;
    ngx_http_sp_attempt_t  **attempt;

    if (attempts == NULL) {
        return;
    }

    attempt = attempts->elts;

    for (i = 0; i < attempts->nelts; i++) {

        /* one that its dialect has no words for was no call */

        if (attempt[i]->span[0] != '\0') {
            ngx_http_sp_otel_attempt(spans, attempt[i], i, parent);
        }
    }
}


/* by the conventions for HTTP clients */

static void
ngx_http_sp_otel_attempt(ngx_http_sp_otel_spans_t *spans,
    const ngx_http_sp_attempt_t *attempt, ngx_uint_t resend,
    const char *parent)
{
    const ngx_url_t               *url;
    const ngx_http_sp_provider_t  *provider;

    provider = attempt->target->provider;
    url = &provider->endpoint.url;

    ngx_http_sp_otel_open(spans, SP_OTLP_CLIENT, "POST", &provider->name);

    spans->span.span = attempt->span;
    spans->span.parent = parent;

    ngx_http_sp_otel_time(spans, attempt->started, attempt->total);

    ngx_http_sp_otel_word(spans, "http.request.method", "POST");
    ngx_http_sp_otel_string(spans, "server.address", &url->host);

    if (url->port != 0) {
        ngx_http_sp_otel_number(spans, "server.port", url->port);
    }

    if (attempt->status != 0) {
        ngx_http_sp_otel_number(spans, "http.response.status_code",
                                (int64_t) attempt->status);
    }

    if (resend != 0) {
        ngx_http_sp_otel_number(spans, "http.request.resend_count",
                                (int64_t) resend);
    }

    ngx_http_sp_otel_string(spans, "sallyport.provider", &provider->name);
    ngx_http_sp_otel_string(spans, "sallyport.model", &attempt->target->name);

    if (attempt->failure != NGX_HTTP_SP_FAILURE_NONE) {
        ngx_http_sp_otel_word(spans, "error.type",
                              ngx_http_sp_failure_name(attempt->failure));
        spans->span.failed = 1;
    }

    ngx_http_sp_otel_close(spans);
}


/* within its request, whose clock is a finer one */

static void
ngx_http_sp_otel_time(ngx_http_sp_otel_spans_t *spans, ngx_msec_t started,
    ngx_msec_t total)
{
    uint64_t  ago, took;

    ago = (uint64_t) (ngx_current_msec - started) * 1000000;
    took = (uint64_t) total * 1000000;

    spans->span.start = ngx_max(spans->end - ago, spans->start);
    spans->span.end = ngx_min(spans->span.start + took, spans->end);
}


static void
ngx_http_sp_otel_open(ngx_http_sp_otel_spans_t *spans, sp_otlp_kind_e kind,
    const char *verb, const ngx_str_t *object)
{
    sp_otlp_span_t  *span;

    span = &spans->span;

    ngx_memzero(span, sizeof(sp_otlp_span_t));

    span->trace = spans->trace->trace.id;
    span->state = (char *) spans->trace->state.data;
    span->state_len = spans->trace->state.len;
    span->kind = kind;
    span->verb = verb;
    span->object = (char *) object->data;
    span->object_len = object->len;
    span->start = spans->start;
    span->end = spans->end;
    span->attrs = spans->attrs;
}


/* a span that finds no room is counted by the queue */

static void
ngx_http_sp_otel_close(ngx_http_sp_otel_spans_t *spans)
{
    sp_out_t  out;

    ngx_memzero(&out, sizeof(sp_out_t));

    sp_otlp_span(&out, &spans->span);

    out.dst = (char *) ngx_http_sp_otel_push(spans->conf, out.len);

    if (out.dst != NULL) {
        out.size = out.len;
        out.len = 0;

        sp_otlp_span(&out, &spans->span);
    }
}


static sp_otlp_attr_t *
ngx_http_sp_otel_add(ngx_http_sp_otel_spans_t *spans, const char *key,
    sp_otlp_type_e type)
{
    sp_otlp_attr_t  *attr;

    attr = &spans->attrs[spans->span.nattrs++];

    ngx_memzero(attr, sizeof(sp_otlp_attr_t));

    attr->key = key;
    attr->type = type;

    return attr;
}


static void
ngx_http_sp_otel_string(ngx_http_sp_otel_spans_t *spans, const char *key,
    const ngx_str_t *text)
{
    sp_otlp_attr_t  *attr;

    if (text->len != 0) {
        attr = ngx_http_sp_otel_add(spans, key, SP_OTLP_STRING);

        attr->text = (char *) text->data;
        attr->len = text->len;
    }
}


static void
ngx_http_sp_otel_word(ngx_http_sp_otel_spans_t *spans, const char *key,
    const char *text)
{
    sp_otlp_attr_t  *attr;

    attr = ngx_http_sp_otel_add(spans, key, SP_OTLP_STRING);

    attr->text = text;
    attr->len = ngx_strlen(text);
}


/* negative: nobody knows */

static void
ngx_http_sp_otel_number(ngx_http_sp_otel_spans_t *spans, const char *key,
    int64_t n)
{
    if (n >= 0) {
        ngx_http_sp_otel_add(spans, key, SP_OTLP_INTEGER)->n = n;
    }
}


/* gen_ai.operation.name, as in the metrics of a target */

static const char *
ngx_http_sp_otel_operation(ngx_http_sp_call_e kind)
{
    switch (kind) {

    case NGX_HTTP_SP_CALL_CHAT:
        return "chat";

    case NGX_HTTP_SP_CALL_EMBEDDING:
        return "embeddings";

    default:
        return "generate_content";
    }
}


static const char *
ngx_http_sp_otel_output(ngx_http_sp_call_e kind)
{
    switch (kind) {

    case NGX_HTTP_SP_CALL_IMAGE:
        return "image";

    case NGX_HTTP_SP_CALL_SPEECH:
        return "speech";

    default:
        return NULL;
    }
}
