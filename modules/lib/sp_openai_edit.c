
/*
 * Copyright (C) Sallyport authors
 *
 * The text of a request, edited: what nobody changes is copied as it came,
 * numbers in their own spelling included.
 */


#include <string.h>

#include "sp_openai.h"
#include "sp_scan.h"


#define SP_OPENAI_SYSTEM_HEAD  "{\"role\":\"system\",\"content\":\""
#define SP_OPENAI_SYSTEM_TAIL  "\"}"


typedef struct {
    const sp_chat_request_t  *chat;      /* NULL: embeddings */
    const sp_chat_edit_t     *edit;
    const char               *usage;     /* stream_options that we add */
    const char               *limit;     /* name of max_tokens; or NULL */
    sp_out_t                  out;
    sp_slice_t               *pieces;    /* NULL: only measured */
    size_t                    npieces;
    size_t                    large;     /* a piece of it is not copied */
    size_t                    index;     /* of the message */
    size_t                    members;   /* written to the open object */
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
static int sp_openai_edit_metadata(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_openai_edit_nested(sp_scan_t *s, sp_openai_editor_t *e,
    const char *name, sp_scan_member_pt member, const char *add);
static int sp_openai_edit_copy(sp_scan_t *s, sp_openai_editor_t *e,
    const char *key, size_t len);
static void sp_openai_edit_key(sp_openai_editor_t *e, const char *key,
    size_t len);
static void sp_openai_edit_system(sp_openai_editor_t *e, const char *text,
    size_t len);
static void sp_openai_edit_put(sp_openai_editor_t *e, const char *p,
    size_t len);
static void sp_openai_edit_escape(sp_openai_editor_t *e, const char *text,
    size_t len);
static void sp_openai_edit_piece(sp_openai_editor_t *e, size_t len);


/* measured where a bound would be much more than is needed */

size_t
sp_openai_edit_size(const sp_call_t *call)
{
    sp_openai_editor_t  e;

    if (call->len <= SP_DIALECT_PIECE) {
        return call->len + 256
               + 6 * (call->edit->model_len + call->edit->prefix_len
                      + call->edit->tail_len);
    }

    memset(&e, 0, sizeof(sp_openai_editor_t));

    /* a member that is taken back at the end was there for a moment */

    return (sp_openai_edit_text(call, &e) == 0) ? e.out.len + 64 : 1;
}


size_t
sp_openai_edit(const sp_call_t *call, char *dst, sp_slice_t *pieces)
{
    sp_openai_editor_t  e;

    memset(&e, 0, sizeof(sp_openai_editor_t));

    e.out.dst = dst;
    e.out.size = (size_t) -1;
    e.pieces = pieces;

    return (sp_openai_edit_text(call, &e) == 0) ? e.npieces : 0;
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
    e->members = 1;
    e->large = (call->len > SP_DIALECT_PIECE) ? SP_DIALECT_PIECE
                                              : (size_t) -1;

    sp_openai_edit_begin(call, e);

    sp_scan_space(&s);

    if (sp_scan_object(&s, sp_openai_edit_member, e) != 0
        || (e->chat != NULL && e->index != e->chat->nmessages))
    {
        return -1;
    }

    sp_openai_edit_put(e, "}", 1);

    return 0;
}


/* what is new stands first */

static void
sp_openai_edit_begin(const sp_call_t *call, sp_openai_editor_t *e)
{
    size_t  before;

    if (e->chat != NULL) {
        e->usage = sp_openai_usage_options(call);
        e->limit = (call->options != NULL) ? call->options->max_tokens : NULL;
    }

    sp_openai_edit_put(e, "{\"model\":\"", 10);
    sp_openai_edit_escape(e, e->edit->model, e->edit->model_len);
    sp_openai_edit_put(e, "\"", 1);

    if (e->usage != NULL
        && json_object_get(e->chat->root, "stream_options") == NULL)
    {
        sp_openai_edit_put(e, ",\"stream_options\":{", 19);
        sp_openai_edit_put(e, e->usage, strlen(e->usage));
        sp_openai_edit_put(e, "}", 1);
    }

    if (e->limit != NULL && e->chat->max_tokens > 0) {
        sp_openai_edit_key(e, e->limit, strlen(e->limit));

        before = e->out.len;
        sp_out_integer(&e->out, e->chat->max_tokens);
        sp_openai_edit_piece(e, e->out.len - before);
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
        return sp_openai_edit_copy(s, e, key, len);
    }

    if (sp_scan_is(key, len, "messages")) {
        return sp_openai_edit_messages(s, e);
    }

    if (sp_scan_is(key, len, "stream_options") && e->usage != NULL) {
        return sp_openai_edit_nested(s, e, "stream_options",
                                     sp_openai_edit_options, e->usage);
    }

    if (e->limit != NULL
        && (sp_scan_is(key, len, "max_tokens")
            || sp_scan_is(key, len, "max_completion_tokens")))
    {
        return sp_scan_skip(s);
    }

    if (sp_scan_is(key, len, "metadata")) {
        return sp_openai_edit_nested(s, e, "metadata", sp_openai_edit_metadata,
                                   NULL);
    }

    return sp_openai_edit_copy(s, e, key, len);
}


static int
sp_openai_edit_messages(sp_scan_t *s, sp_openai_editor_t *e)
{
    size_t  members;

    sp_openai_edit_key(e, "messages", 8);
    sp_openai_edit_put(e, "[", 1);

    members = e->members;
    e->members = 0;

    sp_openai_edit_system(e, e->edit->prefix, e->edit->prefix_len);

    if (sp_scan_array(s, sp_openai_edit_message, e) != 0) {
        return -1;
    }

    sp_openai_edit_put(e, "]", 1);

    e->members = members;

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

    if (e->members++ != 0) {
        sp_openai_edit_put(e, ",", 1);
    }

    sp_openai_edit_put(e, start, (size_t) (s->pos - start));

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

    return sp_openai_edit_copy(s, data, key, len);
}


static int
sp_openai_edit_metadata(sp_scan_t *s, const char *key, size_t len, void *data)
{
    if (sp_scan_is(key, len, "character_id")
        || sp_scan_is(key, len, "chat_id")
        || sp_scan_is(key, len, "memory"))
    {
        return sp_scan_skip(s);
    }

    return sp_openai_edit_copy(s, data, key, len);
}


/* an object whose members are chosen; left out when none remains */

static int
sp_openai_edit_nested(sp_scan_t *s, sp_openai_editor_t *e, const char *name,
    sp_scan_member_pt member, const char *add)
{
    size_t            members;
    sp_openai_editor_t  start;

    start = *e;
    members = e->members;

    sp_openai_edit_key(e, name, strlen(name));
    sp_openai_edit_put(e, "{", 1);

    e->members = 0;

    if (add != NULL) {
        sp_openai_edit_put(e, add, strlen(add));
        e->members++;
    }

    if (!sp_scan_at(s, '{')) {

        /* null */

        if (sp_scan_skip(s) != 0) {
            return -1;
        }

    } else if (sp_scan_object(s, member, e) != 0) {
        return -1;
    }

    sp_openai_edit_put(e, "}", 1);

    if (e->members == 0) {

        /* taken back; what was written is the end of the last piece */

        if (e->pieces != NULL) {
            e->pieces[e->npieces - 1].len -= e->out.len - start.out.len;
        }

        *e = start;

        return 0;
    }

    e->members = members + 1;

    return 0;
}


static int
sp_openai_edit_copy(sp_scan_t *s, sp_openai_editor_t *e, const char *key,
    size_t len)
{
    const char  *start;

    start = s->pos;

    if (sp_scan_skip(s) != 0) {
        return -1;
    }

    sp_openai_edit_key(e, key, len);
    sp_openai_edit_put(e, start, (size_t) (s->pos - start));

    return 0;
}


static void
sp_openai_edit_key(sp_openai_editor_t *e, const char *key, size_t len)
{
    if (e->members++ != 0) {
        sp_openai_edit_put(e, ",", 1);
    }

    sp_openai_edit_put(e, "\"", 1);
    sp_openai_edit_put(e, key, len);
    sp_openai_edit_put(e, "\":", 2);
}


static void
sp_openai_edit_system(sp_openai_editor_t *e, const char *text, size_t len)
{
    if (len == 0) {
        return;
    }

    if (e->members++ != 0) {
        sp_openai_edit_put(e, ",", 1);
    }

    sp_openai_edit_put(e, SP_OPENAI_SYSTEM_HEAD,
                       sizeof(SP_OPENAI_SYSTEM_HEAD) - 1);
    sp_openai_edit_escape(e, text, len);
    sp_openai_edit_put(e, SP_OPENAI_SYSTEM_TAIL,
                       sizeof(SP_OPENAI_SYSTEM_TAIL) - 1);
}


static void
sp_openai_edit_put(sp_openai_editor_t *e, const char *p, size_t len)
{
    if (len < e->large) {
        sp_out_put(&e->out, p, len);
        sp_openai_edit_piece(e, len);
        return;
    }

    if (e->pieces != NULL) {
        e->pieces[e->npieces].data = p;
        e->pieces[e->npieces].len = len;
    }

    e->npieces++;
}


static void
sp_openai_edit_escape(sp_openai_editor_t *e, const char *text, size_t len)
{
    size_t  before;

    before = e->out.len;

    sp_out_text(&e->out, text, len);
    sp_openai_edit_piece(e, e->out.len - before);
}


/* "len" bytes were copied: of the last piece, or the begin of one */

static void
sp_openai_edit_piece(sp_openai_editor_t *e, size_t len)
{
    char        *start;
    sp_slice_t  *last;

    if (e->pieces == NULL || len == 0) {
        return;
    }

    start = e->out.dst + e->out.len - len;

    if (e->npieces != 0) {
        last = &e->pieces[e->npieces - 1];

        if (last->data + last->len == start) {
            last->len += len;
            return;
        }
    }

    e->pieces[e->npieces].data = start;
    e->pieces[e->npieces].len = len;
    e->npieces++;
}
