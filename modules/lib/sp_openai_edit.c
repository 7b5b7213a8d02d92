
/*
 * Copyright (C) Sallyport authors
 *
 * The text of a request, edited: what nobody changes is copied as it came,
 * numbers in their own spelling included.
 */


#include <string.h>

#include "sp_edit.h"
#include "sp_openai.h"


#define SP_OPENAI_SYSTEM_HEAD  "{\"role\":\"system\",\"content\":\""
#define SP_OPENAI_SYSTEM_TAIL  "\"}"


typedef struct {
    sp_edit_t                 to;        /* first */
    const sp_chat_request_t  *chat;      /* NULL: embeddings */
    const sp_chat_edit_t     *edit;
    const char               *usage;     /* stream_options that we add */
    const char               *limit;     /* name of max_tokens; or NULL */
    size_t                    index;     /* of the message */
} sp_openai_editor_t;


static int sp_openai_edit_text(const sp_call_t *call, sp_openai_editor_t *e);
static void sp_openai_edit_begin(const sp_call_t *call,
    sp_openai_editor_t *e);
static int sp_openai_edit_member(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_openai_edit_messages(sp_scan_t *s, sp_openai_editor_t *e);
static int sp_openai_edit_message(sp_scan_t *s, void *data);
static int sp_openai_edit_options(sp_scan_t *s, const char *key, size_t len,
    void *data);
static void sp_openai_edit_system(sp_openai_editor_t *e, const char *text,
    size_t len);


/* measured where a bound would be much more than is needed */

size_t
sp_openai_edit_size(const sp_call_t *call)
{
    sp_openai_editor_t  e;

    if (call->len <= SP_DIALECT_PIECE) {
        return sp_edit_bound(call);
    }

    sp_edit_begin(&e.to, call->len, NULL, NULL);

    /* a member that is taken back at the end was there for a moment */

    return (sp_openai_edit_text(call, &e) == 0) ? e.to.out.len + 64 : 1;
}


size_t
sp_openai_edit(const sp_call_t *call, char *dst, sp_slice_t *pieces)
{
    sp_openai_editor_t  e;

    sp_edit_begin(&e.to, call->len, dst, pieces);

    return (sp_openai_edit_text(call, &e) == 0) ? e.to.npieces : 0;
}


static int
sp_openai_edit_text(const sp_call_t *call, sp_openai_editor_t *e)
{
    sp_scan_t  s;

    s.pos = call->text;
    s.last = call->text + call->len;
    s.depth = 0;

    e->chat = call->chat;
    e->edit = call->edit;
    e->index = 0;
    e->to.members = 1;

    sp_openai_edit_begin(call, e);

    sp_scan_space(&s);

    if (sp_scan_object(&s, sp_openai_edit_member, e) != 0
        || (e->chat != NULL && e->index != e->chat->nmessages))
    {
        return -1;
    }

    sp_edit_put(&e->to, "}", 1);

    return 0;
}


/* what is new stands first */

static void
sp_openai_edit_begin(const sp_call_t *call, sp_openai_editor_t *e)
{
    e->usage = NULL;
    e->limit = NULL;

    if (e->chat != NULL) {
        e->usage = sp_openai_usage_options(call);
        e->limit = (call->options != NULL) ? call->options->max_tokens : NULL;
    }

    sp_edit_put(&e->to, "{\"model\":\"", 10);
    sp_edit_escape(&e->to, e->edit->model, e->edit->model_len);
    sp_edit_put(&e->to, "\"", 1);

    if (e->usage != NULL
        && json_object_get(e->chat->root, "stream_options") == NULL)
    {
        sp_edit_str(&e->to, ",\"stream_options\":{");
        sp_edit_str(&e->to, e->usage);
        sp_edit_put(&e->to, "}", 1);
    }

    if (e->limit != NULL && e->chat->max_tokens > 0) {
        sp_edit_key(&e->to, e->limit, strlen(e->limit));
        sp_edit_integer(&e->to, e->chat->max_tokens);
    }
}


static int
sp_openai_edit_member(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_openai_editor_t *e = data;

    if (sp_scan_is(key, len, "model")) {
        return sp_scan_skip(s);
    }

    if (e->chat == NULL) {
        return sp_edit_copy(s, &e->to, key, len);
    }

    if (sp_scan_is(key, len, "messages")) {
        return sp_openai_edit_messages(s, e);
    }

    if (sp_scan_is(key, len, "stream_options") && e->usage != NULL) {
        return sp_edit_nested(s, &e->to, "stream_options",
                              sp_openai_edit_options, e, e->usage);
    }

    if (e->limit != NULL
        && (sp_scan_is(key, len, "max_tokens")
            || sp_scan_is(key, len, "max_completion_tokens")))
    {
        return sp_scan_skip(s);
    }

    if (sp_scan_is(key, len, "metadata")) {
        return sp_edit_metadata(s, &e->to);
    }

    return sp_edit_copy(s, &e->to, key, len);
}


static int
sp_openai_edit_messages(sp_scan_t *s, sp_openai_editor_t *e)
{
    size_t  members;

    sp_edit_key(&e->to, "messages", 8);
    sp_edit_put(&e->to, "[", 1);

    members = e->to.members;
    e->to.members = 0;

    sp_openai_edit_system(e, e->edit->prefix, e->edit->prefix_len);

    if (sp_scan_array(s, sp_openai_edit_message, e) != 0) {
        return -1;
    }

    sp_edit_put(&e->to, "]", 1);

    e->to.members = members;

    return 0;
}


static int
sp_openai_edit_message(sp_scan_t *s, void *data)
{
    sp_openai_editor_t *e = data;

    size_t       i;
    const char  *start;

    start = s->pos;

    if (sp_scan_skip(s) != 0) {
        return -1;
    }

    i = e->index++;

    if (i >= e->chat->nmessages) {
        return -1;
    }

    if (i == e->edit->anchor) {
        sp_openai_edit_system(e, e->edit->tail, e->edit->tail_len);
    }

    if (!sp_chat_keeps(e->chat, e->edit, i)) {
        return 0;
    }

    sp_edit_next(&e->to);
    sp_edit_put(&e->to, start, (size_t) (s->pos - start));

    return 0;
}


/* merged into what the client asked for, never in its place */

static int
sp_openai_edit_options(sp_scan_t *s, const char *key, size_t len, void *data)
{
    const sp_openai_editor_t *e = data;

    if (sp_scan_is(key, len, "include_usage")
        || (sp_scan_is(key, len, "continuous_usage_stats")
            && strstr(e->usage, "continuous_usage_stats") != NULL))
    {
        return sp_scan_skip(s);
    }

    return sp_edit_copy(s, data, key, len);
}


static void
sp_openai_edit_system(sp_openai_editor_t *e, const char *text, size_t len)
{
    if (len == 0) {
        return;
    }

    sp_edit_next(&e->to);
    sp_edit_str(&e->to, SP_OPENAI_SYSTEM_HEAD);
    sp_edit_escape(&e->to, text, len);
    sp_edit_str(&e->to, SP_OPENAI_SYSTEM_TAIL);
}


