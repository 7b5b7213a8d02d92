
/*
 * Copyright (C) Sallyport authors
 *
 * A dialect for tests, for clients and providers.  A stream is lines of JSON:
 *
 *     POST /say/MODEL, X-Say-Key: KEY
 *     {"talk":[{"who":"user","says":"hi"}],"live":true}
 *
 *     {"say":"Hel"}
 *     {"call":"weather","with":{"at":"Rome"}}
 *     {"end":{"why":"done","in":3,"out":5}}
 *     {"oops":"out of words"}
 *
 * A whole answer is one object with "said" in place of "say", and all else.
 * Embeddings are {"texts":["hi"],"length":2} and {"vectors":[[0.5,1]],"in":3}.
 */


#include "ngx_http_sp_core.h"

#include "sp_scan.h"


/* what was read of an event or of an answer */
typedef struct {
    sp_slice_t    text;
    sp_slice_t    call;
    sp_slice_t    with;
    sp_slice_t    why;
    sp_event_t   *event;
} ngx_http_test_dialect_read_t;


/* both states: how many calls there were */
typedef struct {
    size_t        calls;
} ngx_http_test_dialect_state_t;


static sp_chat_request_t *ngx_http_test_dialect_parse(json_t *root,
    sp_chat_error_t *error);
static void ngx_http_test_dialect_event(sp_writer_t *w,
    const sp_delta_t *delta, sp_out_t *out);
static void ngx_http_test_dialect_end(sp_writer_t *w, const sp_event_t *usage,
    sp_out_t *out);
static void ngx_http_test_dialect_answer(sp_writer_t *w,
    const sp_delta_t *deltas, size_t n, const sp_event_t *usage,
    sp_out_t *out);
static void ngx_http_test_dialect_error(const sp_dialect_error_t *error,
    sp_out_t *out);
static void ngx_http_test_dialect_path(const sp_call_t *call, sp_out_t *out);
static void ngx_http_test_dialect_headers(const char *key, size_t key_len,
    sp_out_t *out);
static int ngx_http_test_dialect_request(const sp_call_t *call, sp_out_t *out,
    sp_chat_error_t *error);
static void ngx_http_test_dialect_turn(sp_out_t *out, const char *who,
    const char *text, size_t len);
static int ngx_http_test_dialect_scan_event(void *state,
    const sp_sse_event_t *sse, sp_delta_pt sink, void *data,
    sp_event_t *event);
static int ngx_http_test_dialect_scan_answer(const char *text, size_t len,
    sp_delta_pt sink, void *data, sp_event_t *event);
static void ngx_http_test_dialect_write_embed(const sp_embed_t *embed,
    sp_out_t *out);
static int ngx_http_test_dialect_scan_embed(const char *text, size_t len,
    sp_vector_pt sink, void *data, sp_event_t *event);
static int ngx_http_test_dialect_scan(const char *text, size_t len,
    ngx_http_test_dialect_state_t *state, sp_delta_pt sink, void *data,
    sp_event_t *event);
static int ngx_http_test_dialect_emit(
    const ngx_http_test_dialect_read_t *read, size_t calls, sp_delta_pt sink,
    void *data);
static int ngx_http_test_dialect_member(sp_scan_t *s, const char *key,
    size_t len, void *data);
static int ngx_http_test_dialect_last(sp_scan_t *s, const char *key,
    size_t len, void *data);


static const char  *const ngx_http_test_dialect_who[] = {
    "rules", "user", "model", "tool"
};

/* by sp_finish_e */
static const char  *const ngx_http_test_dialect_why[] = {
    "done", "full", "call", "no", "other"
};


const sp_dialect_t  ngx_http_test_dialect_say = {
    .abi = NGX_HTTP_SP_ABI,
    .name = "say",
    .type = "application/say",
    .stream_type = "application/x-ndjson",
    .reader_size = sizeof(ngx_http_test_dialect_state_t),
    .lines = 1,

    .parse_request = ngx_http_test_dialect_parse,
    .write_event = ngx_http_test_dialect_event,
    .write_end = ngx_http_test_dialect_end,
    .write_answer = ngx_http_test_dialect_answer,
    .write_error = ngx_http_test_dialect_error,

    .write_path = ngx_http_test_dialect_path,
    .write_headers = ngx_http_test_dialect_headers,
    .write_request = ngx_http_test_dialect_request,
    .scan_event = ngx_http_test_dialect_scan_event,
    .scan_answer = ngx_http_test_dialect_scan_answer,
    .write_embed = ngx_http_test_dialect_write_embed,
    .scan_embed = ngx_http_test_dialect_scan_embed
};


static sp_chat_request_t *
ngx_http_test_dialect_parse(json_t *root, sp_chat_error_t *error)
{
    size_t              i, k, n;
    json_t             *talk, *turn;
    const char         *who;
    sp_chat_message_t  *message;
    sp_chat_request_t  *chat;

    talk = json_object_get(root, "talk");
    n = json_array_size(talk);

    error->code = "talk_required";
    error->param = "talk";
    error->message = "\"talk\" must be an array of turns";

    chat = (n != 0) ? calloc(1, sizeof(sp_chat_request_t)
                                + n * sizeof(sp_chat_message_t)) : NULL;
    if (chat == NULL) {
        json_decref(root);
        return NULL;
    }

    chat->root = root;
    chat->model = sp_json_string(root, "model", &chat->model_len);
    chat->messages = (sp_chat_message_t *) (void *) (chat + 1);
    chat->nmessages = n;
    chat->last_user = n;
    chat->max_tokens = -1;
    chat->n = 1;
    chat->stream = json_is_true(json_object_get(root, "live")) ? 1 : 0;
    chat->include_usage = 1;

    for (i = 0; i < n; i++) {
        turn = json_array_get(talk, i);
        message = &chat->messages[i];

        message->value = turn;
        message->text = sp_json_string(turn, "says", &message->len);
        who = json_string_value(json_object_get(turn, "who"));

        for (k = 0; k < 4; k++) {
            if (who != NULL
                && strcmp(who, ngx_http_test_dialect_who[k]) == 0)
            {
                break;
            }
        }

        if (k == 4 || message->text == NULL) {
            sp_chat_free(chat);
            return NULL;
        }

        message->role = (sp_chat_role_e) k;

        if (message->role == SP_CHAT_USER) {
            chat->last_user = i;
        }
    }

    return chat;
}


static void
ngx_http_test_dialect_event(sp_writer_t *w, const sp_delta_t *delta,
    sp_out_t *out)
{
    if (delta->kind == SP_DELTA_TEXT && delta->choice == 0) {
        sp_out_str(out, "{\"say\":\"");
        sp_out_content(out, delta->text.data, delta->text.len);
        sp_out_str(out, "\"}\n");
    }
}


static void
ngx_http_test_dialect_end(sp_writer_t *w, const sp_event_t *usage,
    sp_out_t *out)
{
    sp_out_str(out, "{\"end\":{\"why\":\"done\",\"in\":");
    sp_out_integer(out, usage->prompt_tokens);
    sp_out_str(out, ",\"out\":");
    sp_out_integer(out, usage->completion_tokens);
    sp_out_str(out, "}}\n");
}


static void
ngx_http_test_dialect_answer(sp_writer_t *w, const sp_delta_t *deltas,
    size_t n, const sp_event_t *usage, sp_out_t *out)
{
    size_t  i;

    sp_out_str(out, "{\"said\":\"");

    for (i = 0; i < n; i++) {
        if (deltas[i].kind == SP_DELTA_TEXT && deltas[i].choice == 0) {
            sp_out_content(out, deltas[i].text.data, deltas[i].text.len);
        }
    }

    sp_out_str(out, "\",");

    for (i = 0; i < n; i++) {
        if (deltas[i].kind == SP_DELTA_FINISH) {
            sp_out_str(out, "\"why\":\"");
            sp_out_str(out, ngx_http_test_dialect_why[deltas[i].finish]);
            sp_out_str(out, "\",");
            break;
        }
    }

    sp_out_str(out, "\"out\":");
    sp_out_integer(out, usage->completion_tokens);
    sp_out_str(out, "}");
}


static void
ngx_http_test_dialect_error(const sp_dialect_error_t *error, sp_out_t *out)
{
    sp_out_str(out, "{\"oops\":\"");
    sp_out_text(out, error->code, strlen(error->code));
    sp_out_str(out, "\",\"at\":\"");

    if (error->param != NULL) {
        sp_out_text(out, error->param, strlen(error->param));
    }

    sp_out_str(out, "\"}\n");
}


static void
ngx_http_test_dialect_path(const sp_call_t *call, sp_out_t *out)
{
    sp_out_str(out, "/say/");
    sp_out_put(out, call->edit->model, call->edit->model_len);
}


static void
ngx_http_test_dialect_headers(const char *key, size_t key_len, sp_out_t *out)
{
    sp_out_str(out, "X-Say-Key: ");
    sp_out_put(out, key, key_len);
    sp_out_str(out, "\r\n");
}


static int
ngx_http_test_dialect_request(const sp_call_t *call, sp_out_t *out,
    sp_chat_error_t *error)
{
    size_t                    i;
    const sp_chat_message_t  *message;

    if (call->chat->ntools != 0 || call->chat->foreign != NULL) {
        error->code = "unsupported_parameter";
        error->param = call->chat->foreign ? call->chat->foreign : "tools";
        error->message = "this model does not have this parameter";

        return -1;
    }

    sp_out_str(out, "{\"talk\":[");

    if (call->edit->prefix_len != 0) {
        ngx_http_test_dialect_turn(out, "rules", call->edit->prefix,
                                   call->edit->prefix_len);
        sp_out_str(out, ",");
    }

    for (i = 0; i < call->chat->nmessages; i++) {
        message = &call->chat->messages[i];

        if (sp_chat_keeps(call->chat, call->edit, i)) {
            ngx_http_test_dialect_turn(out,
                                    ngx_http_test_dialect_who[message->role],
                                    message->text, message->len);
            sp_out_str(out, (i + 1 < call->chat->nmessages) ? "," : "");
        }
    }

    sp_out_str(out, call->stream ? "],\"live\":true}" : "],\"live\":false}");

    return 0;
}


static void
ngx_http_test_dialect_turn(sp_out_t *out, const char *who, const char *text,
    size_t len)
{
    sp_out_str(out, "{\"who\":\"");
    sp_out_str(out, who);
    sp_out_str(out, "\",\"says\":\"");
    sp_out_text(out, text, len);
    sp_out_str(out, "\"}");
}


static int
ngx_http_test_dialect_scan_event(void *state, const sp_sse_event_t *sse,
    sp_delta_pt sink, void *data, sp_event_t *event)
{
    return ngx_http_test_dialect_scan(sse->data, sse->data_len, state, sink,
                                      data, event);
}


static int
ngx_http_test_dialect_scan_answer(const char *text, size_t len,
    sp_delta_pt sink, void *data, sp_event_t *event)
{
    ngx_http_test_dialect_state_t  state;

    state.calls = 0;

    return ngx_http_test_dialect_scan(text, len, &state, sink, data, event);
}


static void
ngx_http_test_dialect_write_embed(const sp_embed_t *embed, sp_out_t *out)
{
    size_t  i;

    sp_out_str(out, "{\"texts\":[");

    for (i = 0; i < embed->n; i++) {
        sp_out_str(out, (i == 0) ? "\"" : ",\"");
        sp_out_text(out, embed->texts[i].data, embed->texts[i].len);
        sp_out_str(out, "\"");
    }

    sp_out_str(out, "],\"length\":");
    sp_out_integer(out, (int64_t) embed->dimensions);
    sp_out_str(out, "}");
}


static int
ngx_http_test_dialect_scan_embed(const char *text, size_t len,
    sp_vector_pt sink, void *data, sp_event_t *event)
{
    int      rc;
    size_t   i;
    json_t  *root, *vectors;

    sp_event_init(event);

    if (sp_json_parse(text, len, NULL, &root, NULL) != SP_JSON_OK) {
        return -1;
    }

    vectors = json_object_get(root, "vectors");

    event->has_answer = json_is_array(vectors);
    event->has_usage = 1;
    event->prompt_tokens = json_integer_value(json_object_get(root, "in"));

    rc = 0;

    for (i = 0; rc == 0 && i < json_array_size(vectors); i++) {
        rc = sink(data, i, json_array_get(vectors, i));
    }

    json_decref(root);

    return rc;
}


static int
ngx_http_test_dialect_scan(const char *text, size_t len,
    ngx_http_test_dialect_state_t *state, sp_delta_pt sink, void *data,
    sp_event_t *event)
{
    sp_scan_t                      s;
    ngx_http_test_dialect_read_t   read;

    sp_event_init(event);
    ngx_memzero(&read, sizeof(ngx_http_test_dialect_read_t));

    event->has_answer = 1;

    read.event = event;

    s.pos = text;
    s.last = text + len;
    s.depth = 0;

    if (sp_scan_object(&s, ngx_http_test_dialect_member, &read) != 0) {
        return -1;
    }

    if (sink == NULL) {
        return 0;
    }

    if (read.call.data != NULL) {
        state->calls++;
    }

    return ngx_http_test_dialect_emit(&read, state->calls, sink, data);
}


static int
ngx_http_test_dialect_emit(const ngx_http_test_dialect_read_t *read,
    size_t calls, sp_delta_pt sink, void *data)
{
    int         rc;
    size_t      i;
    sp_delta_t  delta;

    ngx_memzero(&delta, sizeof(sp_delta_t));
    rc = 0;

    if (read->text.len != 0) {
        delta.text = read->text;
        rc = sink(data, &delta);
    }

    if (rc == 0 && read->call.data != NULL) {
        delta.kind = SP_DELTA_TOOL;
        delta.tool = calls - 1;
        delta.id = read->call;
        delta.name = read->call;
        delta.text = read->with;
        delta.json = 1;

        rc = sink(data, &delta);
    }

    if (rc == 0 && read->why.data != NULL) {
        ngx_memzero(&delta, sizeof(sp_delta_t));

        delta.kind = SP_DELTA_FINISH;
        delta.text = read->why;
        delta.finish = SP_FINISH_OTHER;

        for (i = 0; i < SP_FINISH_OTHER; i++) {
            if (sp_scan_is(read->why.data, read->why.len,
                           ngx_http_test_dialect_why[i]))
            {
                delta.finish = (sp_finish_e) i;
            }
        }

        rc = sink(data, &delta);
    }

    return rc;
}


static int
ngx_http_test_dialect_member(sp_scan_t *s, const char *key, size_t len,
    void *data)
{
    ngx_http_test_dialect_read_t *read = data;

    int          rc;
    const char  *start;

    if (sp_scan_is(key, len, "say") || sp_scan_is(key, len, "said")) {
        return sp_scan_string(s, &read->text.data, &read->text.len);
    }

    if (sp_scan_is(key, len, "call")) {
        return sp_scan_string(s, &read->call.data, &read->call.len);
    }

    if (sp_scan_is(key, len, "with")) {
        start = s->pos;
        rc = sp_scan_skip(s);

        read->with.data = start;
        read->with.len = s->pos - start;

        return rc;
    }

    if (sp_scan_is(key, len, "oops")) {
        read->event->has_error = 1;
        return sp_scan_string(s, &read->event->error.data,
                              &read->event->error.len);
    }

    if (sp_scan_is(key, len, "end")) {
        read->event->done = 1;
        read->event->has_usage = 1;

        return sp_scan_object(s, ngx_http_test_dialect_last, read);
    }

    return sp_scan_skip(s);
}


static int
ngx_http_test_dialect_last(sp_scan_t *s, const char *key, size_t len,
    void *data)
{
    ngx_http_test_dialect_read_t *read = data;

    if (sp_scan_is(key, len, "why")) {
        return sp_scan_string(s, &read->why.data, &read->why.len);
    }

    if (sp_scan_is(key, len, "in")) {
        return sp_scan_integer(s, &read->event->prompt_tokens);
    }

    if (sp_scan_is(key, len, "out")) {
        return sp_scan_integer(s, &read->event->completion_tokens);
    }

    return sp_scan_skip(s);
}
