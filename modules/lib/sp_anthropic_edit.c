
/*
 * Copyright (C) Sallyport authors
 *
 * The text of a request, edited.  A message of the client is one of ours, or
 * several: results of tools stand before what else is in it.
 */


#include <string.h>

#include "sp_anthropic.h"
#include "sp_edit.h"


#define SP_ANTHROPIC_TEXT_HEAD  "{\"type\":\"text\",\"text\":\""
#define SP_ANTHROPIC_TEXT_TAIL  "\"}"


typedef struct {
    sp_edit_t                 to;        /* first */
    const sp_chat_request_t  *chat;
    const sp_chat_edit_t     *edit;
    size_t                    first;     /* of our messages that stay */
    size_t                    index;     /* of our messages */
    size_t                    source;    /* of the client's */

    /* the message that is open */

    unsigned                  tail:1;    /* is to be put into it */
    unsigned                  results:1; /* of tools are left out */
    unsigned                  bare:1;    /* so is reasoning not signed */
} sp_anthropic_editor_t;


/* what tells whether a block stays */
typedef struct {
    sp_slice_t                type;
    sp_slice_t                signature;
} sp_anthropic_label_t;


static int sp_anthropic_edit_text(const sp_call_t *call,
    sp_anthropic_editor_t *e);
static int sp_anthropic_edit_member(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_anthropic_edit_system(sp_scan_t *s, sp_anthropic_editor_t *e);
static int sp_anthropic_edit_messages(sp_scan_t *s,
    sp_anthropic_editor_t *e);
static int sp_anthropic_edit_message(sp_scan_t *s, void *data);
static unsigned sp_anthropic_edit_keeps(sp_anthropic_editor_t *e);
static int sp_anthropic_edit_inside(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_anthropic_edit_content(sp_scan_t *s, sp_anthropic_editor_t *e);
static int sp_anthropic_edit_element(sp_scan_t *s, void *data);
static int sp_anthropic_edit_block(sp_scan_t *s, void *data);
static int sp_anthropic_edit_label(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_anthropic_edit_string(sp_scan_t *s, sp_anthropic_editor_t *e);
static void sp_anthropic_edit_add(sp_anthropic_editor_t *e, const char *text,
    size_t len);


/* measured where a bound would be much more than is needed */

size_t
sp_anthropic_edit_size(const sp_call_t *call)
{
    sp_anthropic_editor_t  e;

    if (call->len <= SP_DIALECT_PIECE) {
        return sp_edit_bound(call);
    }

    sp_edit_begin(&e.to, call->len, NULL, NULL);

    /* a member that is taken back at the end was there for a moment */

    return (sp_anthropic_edit_text(call, &e) == 0) ? e.to.out.len + 64 : 1;
}


size_t
sp_anthropic_edit(const sp_call_t *call, char *dst, sp_slice_t *pieces)
{
    sp_anthropic_editor_t  e;

    sp_edit_begin(&e.to, call->len, dst, pieces);

    return (sp_anthropic_edit_text(call, &e) == 0) ? e.to.npieces : 0;
}


static int
sp_anthropic_edit_text(const sp_call_t *call, sp_anthropic_editor_t *e)
{
    sp_scan_t              s;
    const json_t          *system;
    const sp_chat_edit_t  *edit;

    s.pos = call->text;
    s.last = call->text + call->len;
    s.depth = 0;

    edit = call->edit;

    e->chat = call->chat;
    e->edit = edit;
    e->first = sp_anthropic_first(call->chat, edit);
    e->index = 0;
    e->source = 0;
    e->to.members = 1;

    sp_edit_str(&e->to, "{\"model\":\"");
    sp_edit_escape(&e->to, edit->model, edit->model_len);
    sp_edit_str(&e->to, "\"");

    /* it stands beside the messages */

    system = json_object_get(call->chat->root, "system");

    if (edit->prefix_len != 0
        && (edit->merge || system == NULL || json_is_null(system)))
    {
        sp_edit_key(&e->to, "system", 6);
        sp_edit_str(&e->to, "\"");
        sp_edit_escape(&e->to, edit->prefix, edit->prefix_len);
        sp_edit_str(&e->to, "\"");
    }

    sp_scan_space(&s);

    if (sp_scan_object(&s, sp_anthropic_edit_member, e) != 0
        || e->index != e->chat->nmessages)
    {
        return -1;
    }

    sp_edit_str(&e->to, "}");

    return 0;
}


static int
sp_anthropic_edit_member(sp_scan_t *s, const char *key, size_t len,
    void *data)
{
    sp_anthropic_editor_t *e = data;

    if (sp_scan_is(key, len, "model")) {
        return sp_scan_skip(s);
    }

    if (sp_scan_is(key, len, "system")) {
        return sp_anthropic_edit_system(s, e);
    }

    if (sp_scan_is(key, len, "messages")) {
        return sp_anthropic_edit_messages(s, e);
    }

    if (sp_scan_is(key, len, "metadata")) {
        return sp_edit_metadata(s, &e->to);
    }

    return sp_edit_copy(s, &e->to, key, len);
}


static int
sp_anthropic_edit_system(sp_scan_t *s, sp_anthropic_editor_t *e)
{
    size_t  members;

    if (e->edit->merge || sp_scan_at(s, 'n')) {
        return sp_scan_skip(s);
    }

    if (e->edit->prefix_len == 0) {
        return sp_edit_copy(s, &e->to, "system", 6);
    }

    sp_edit_key(&e->to, "system", 6);
    sp_edit_str(&e->to, "[");

    members = e->to.members;
    e->to.members = 0;

    sp_anthropic_edit_add(e, e->edit->prefix, e->edit->prefix_len);

    if ((sp_scan_at(s, '[') ? sp_scan_array(s, sp_anthropic_edit_element, e)
                            : sp_anthropic_edit_string(s, e))
        != 0)
    {
        return -1;
    }

    sp_edit_str(&e->to, "]");

    e->to.members = members;

    return 0;
}


static int
sp_anthropic_edit_messages(sp_scan_t *s, sp_anthropic_editor_t *e)
{
    size_t  members;

    /* a system prompt was first, wherever it stands */

    if (e->chat->messages[0].source == SP_CHAT_BESIDE) {
        e->index++;
    }

    sp_edit_key(&e->to, "messages", 8);
    sp_edit_str(&e->to, "[");

    members = e->to.members;
    e->to.members = 0;

    if (sp_scan_array(s, sp_anthropic_edit_message, e) != 0) {
        return -1;
    }

    sp_edit_str(&e->to, "]");

    e->to.members = members;

    return 0;
}


static int
sp_anthropic_edit_message(sp_scan_t *s, void *data)
{
    sp_anthropic_editor_t *e = data;

    size_t  members;

    if (e->index >= e->chat->nmessages
        || e->chat->messages[e->index].source != e->source)
    {
        return -1;
    }

    if (!sp_anthropic_edit_keeps(e)) {
        return sp_scan_skip(s);
    }

    if (!e->tail && !e->results && !e->bare) {
        return sp_anthropic_edit_element(s, e);
    }

    sp_edit_next(&e->to);
    sp_edit_str(&e->to, "{");

    members = e->to.members;
    e->to.members = 0;

    if (sp_scan_object(s, sp_anthropic_edit_inside, e) != 0) {
        return -1;
    }

    sp_edit_str(&e->to, "}");

    e->to.members = members;

    return 0;
}


/* of the next message of the client; and what is to be changed in it */

static unsigned
sp_anthropic_edit_keeps(sp_anthropic_editor_t *e)
{
    size_t                    i;
    unsigned                  keeps;
    const sp_chat_message_t  *message;

    keeps = 0;
    e->tail = 0;
    e->results = 0;
    e->bare = 0;

    for (i = e->index; i < e->chat->nmessages; i++) {
        message = &e->chat->messages[i];

        if (message->source != e->source) {
            break;
        }

        if (i == e->edit->anchor && e->edit->tail_len != 0) {
            e->tail = 1;
        }

        if (message->role == SP_CHAT_SYSTEM ? !e->edit->merge : i >= e->first)
        {
            e->bare |= message->bare;

            /* nothing would be left of reasoning alone */

            keeps |= !(message->bare && message->len == 0
                       && message->ncalls == 0);

        } else if (message->role == SP_CHAT_TOOL) {
            e->results = 1;
        }
    }

    e->index = i;
    e->source++;

    return keeps;
}


static int
sp_anthropic_edit_inside(sp_scan_t *s, const char *key, size_t len,
    void *data)
{
    sp_anthropic_editor_t *e = data;

    return sp_scan_is(key, len, "content")
           ? sp_anthropic_edit_content(s, e)
           : sp_edit_copy(s, &e->to, key, len);
}


static int
sp_anthropic_edit_content(sp_scan_t *s, sp_anthropic_editor_t *e)
{
    int     rc;
    size_t  members;

    sp_edit_key(&e->to, "content", 7);
    sp_edit_str(&e->to, "[");

    members = e->to.members;
    e->to.members = 0;

    if (sp_scan_at(s, '[')) {
        rc = sp_scan_array(s, sp_anthropic_edit_block, e);

    } else {
        sp_anthropic_edit_add(e, e->edit->tail, e->edit->tail_len);
        rc = sp_anthropic_edit_string(s, e);
    }

    sp_edit_str(&e->to, "]");

    e->to.members = members;

    return rc;
}


/* as it is */

static int
sp_anthropic_edit_element(sp_scan_t *s, void *data)
{
    sp_anthropic_editor_t *e = data;

    const char  *start;

    start = s->pos;

    if (sp_scan_skip(s) != 0) {
        return -1;
    }

    sp_edit_next(&e->to);
    sp_edit_put(&e->to, start, (size_t) (s->pos - start));

    return 0;
}


/* the API wants results of tools first, and reasoning as it was signed */

static int
sp_anthropic_edit_block(sp_scan_t *s, void *data)
{
    sp_anthropic_editor_t *e = data;

    int                   result;
    sp_scan_t             look;
    sp_anthropic_label_t  label;

    memset(&label, 0, sizeof(sp_anthropic_label_t));

    look = *s;

    if (sp_scan_object(&look, sp_anthropic_edit_label, &label) != 0
        || label.type.data == NULL)
    {
        return -1;
    }

    result = sp_scan_is(label.type.data, label.type.len, "tool_result");

    if ((result && e->results)
        || (e->bare && label.signature.len == 0
            && sp_scan_is(label.type.data, label.type.len, "thinking")))
    {
        return sp_scan_skip(s);
    }

    if (e->tail && !result) {
        e->tail = 0;
        sp_anthropic_edit_add(e, e->edit->tail, e->edit->tail_len);
    }

    return sp_anthropic_edit_element(s, e);
}


static int
sp_anthropic_edit_label(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_anthropic_label_t *label = data;

    sp_slice_t  *slice;

    if (!sp_scan_at(s, '"')) {
        return sp_scan_skip(s);
    }

    slice = sp_scan_is(key, len, "type") ? &label->type
            : sp_scan_is(key, len, "signature") ? &label->signature : NULL;

    return (slice != NULL) ? sp_scan_string(s, &slice->data, &slice->len)
                           : sp_scan_skip(s);
}


/* a string, as a block; the API takes none that is empty */

static int
sp_anthropic_edit_string(sp_scan_t *s, sp_anthropic_editor_t *e)
{
    size_t       len;
    const char  *text;

    if (sp_scan_string(s, &text, &len) != 0) {
        return -1;
    }

    if (len != 0) {
        sp_edit_next(&e->to);
        sp_edit_str(&e->to, SP_ANTHROPIC_TEXT_HEAD);
        sp_edit_put(&e->to, text, len);
        sp_edit_str(&e->to, SP_ANTHROPIC_TEXT_TAIL);
    }

    return 0;
}


static void
sp_anthropic_edit_add(sp_anthropic_editor_t *e, const char *text, size_t len)
{
    if (len != 0) {
        sp_edit_next(&e->to);
        sp_edit_str(&e->to, SP_ANTHROPIC_TEXT_HEAD);
        sp_edit_escape(&e->to, text, len);
        sp_edit_str(&e->to, SP_ANTHROPIC_TEXT_TAIL);
    }
}
