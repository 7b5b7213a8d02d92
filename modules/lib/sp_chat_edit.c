
/*
 * Copyright (C) Sallyport authors
 *
 * The text of a request, edited: what nobody changes is copied as it came,
 * numbers in their own spelling included.
 */


#include <string.h>

#include "sp_chat.h"
#include "sp_json.h"
#include "sp_scan.h"


#define SP_CHAT_SYSTEM_HEAD  "{\"role\":\"system\",\"content\":\""
#define SP_CHAT_SYSTEM_TAIL  "\"}"


typedef struct {
    const sp_chat_request_t  *chat;
    const sp_chat_edit_t     *edit;
    char                     *dst;
    size_t                    index;     /* of the message */
    size_t                    members;   /* written to the open object */
} sp_chat_editor_t;


static int sp_chat_edit_member(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_chat_edit_messages(sp_scan_t *s, sp_chat_editor_t *e);
static int sp_chat_edit_message(sp_scan_t *s, void *data);
static int sp_chat_edit_options(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_chat_edit_metadata(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_chat_edit_nested(sp_scan_t *s, sp_chat_editor_t *e,
    const char *name, sp_scan_member_pt member, const char *add);
static int sp_chat_edit_copy(sp_scan_t *s, sp_chat_editor_t *e,
    const char *key, size_t len);
static void sp_chat_edit_key(sp_chat_editor_t *e, const char *key,
    size_t len);
static void sp_chat_edit_system(sp_chat_editor_t *e, const char *text,
    size_t len);
static void sp_chat_edit_put(sp_chat_editor_t *e, const char *p, size_t len);
static size_t sp_chat_edit_escape(char *dst, const char *text, size_t len);


size_t
sp_chat_edit_size(size_t len, const sp_chat_edit_t *edit)
{
    return len + 256
           + sp_json_escape(NULL, 0, edit->model, edit->model_len)
           + sp_json_escape(NULL, 0, edit->prefix, edit->prefix_len)
           + sp_json_escape(NULL, 0, edit->tail, edit->tail_len);
}


size_t
sp_chat_edit(const sp_chat_request_t *chat, const char *text, size_t len,
    const sp_chat_edit_t *edit, char *dst)
{
    sp_scan_t         s;
    sp_chat_editor_t  e;

    s.pos = text;
    s.last = text + len;
    s.depth = 0;

    e.chat = chat;
    e.edit = edit;
    e.dst = dst;
    e.index = 0;
    e.members = 1;

    sp_chat_edit_put(&e, "{\"model\":\"", 10);
    e.dst += sp_chat_edit_escape(e.dst, edit->model, edit->model_len);
    sp_chat_edit_put(&e, "\"", 1);

    if (edit->usage && chat->stream
        && json_object_get(chat->root, "stream_options") == NULL)
    {
        sp_chat_edit_put(&e, ",\"stream_options\":"
                         "{\"include_usage\":true}", 40);
    }

    sp_scan_space(&s);

    if (sp_scan_object(&s, sp_chat_edit_member, &e) != 0
        || e.index != chat->nmessages)
    {
        return 0;
    }

    sp_chat_edit_put(&e, "}", 1);

    return (size_t) (e.dst - dst);
}


static int
sp_chat_edit_member(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_chat_editor_t *e = data;

    if (sp_scan_is(key, len, "model")) {
        return sp_scan_skip(s);
    }

    if (sp_scan_is(key, len, "messages")) {
        return sp_chat_edit_messages(s, e);
    }

    if (sp_scan_is(key, len, "stream_options")
        && e->edit->usage && e->chat->stream)
    {
        return sp_chat_edit_nested(s, e, "stream_options",
                                   sp_chat_edit_options,
                                   "\"include_usage\":true");
    }

    if (sp_scan_is(key, len, "metadata")) {
        return sp_chat_edit_nested(s, e, "metadata", sp_chat_edit_metadata,
                                   NULL);
    }

    return sp_chat_edit_copy(s, e, key, len);
}


static int
sp_chat_edit_messages(sp_scan_t *s, sp_chat_editor_t *e)
{
    size_t  members;

    sp_chat_edit_key(e, "messages", 8);
    sp_chat_edit_put(e, "[", 1);

    members = e->members;
    e->members = 0;

    sp_chat_edit_system(e, e->edit->prefix, e->edit->prefix_len);

    if (sp_scan_array(s, sp_chat_edit_message, e) != 0) {
        return -1;
    }

    sp_chat_edit_put(e, "]", 1);

    e->members = members;

    return 0;
}


static int
sp_chat_edit_message(sp_scan_t *s, void *data)
{
    sp_chat_editor_t *e = data;

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
        sp_chat_edit_system(e, e->edit->tail, e->edit->tail_len);
    }

    if (e->chat->messages[i].role == SP_CHAT_SYSTEM) {
        if (e->edit->merge) {
            return 0;
        }

    } else if (i < e->edit->first) {
        return 0;
    }

    if (e->members++ != 0) {
        sp_chat_edit_put(e, ",", 1);
    }

    sp_chat_edit_put(e, start, (size_t) (s->pos - start));

    return 0;
}


/* merged into what the client asked for, never in its place */

static int
sp_chat_edit_options(sp_scan_t *s, const char *key, size_t len, void *data)
{
    if (sp_scan_is(key, len, "include_usage")) {
        return sp_scan_skip(s);
    }

    return sp_chat_edit_copy(s, data, key, len);
}


static int
sp_chat_edit_metadata(sp_scan_t *s, const char *key, size_t len, void *data)
{
    if (sp_scan_is(key, len, "character_id")
        || sp_scan_is(key, len, "chat_id")
        || sp_scan_is(key, len, "memory"))
    {
        return sp_scan_skip(s);
    }

    return sp_chat_edit_copy(s, data, key, len);
}


/* an object whose members are chosen; left out when none remains */

static int
sp_chat_edit_nested(sp_scan_t *s, sp_chat_editor_t *e, const char *name,
    sp_scan_member_pt member, const char *add)
{
    char    *start;
    size_t   members;

    start = e->dst;
    members = e->members;

    sp_chat_edit_key(e, name, strlen(name));
    sp_chat_edit_put(e, "{", 1);

    e->members = 0;

    if (add != NULL) {
        sp_chat_edit_put(e, add, strlen(add));
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

    sp_chat_edit_put(e, "}", 1);

    if (e->members == 0) {
        e->dst = start;
        e->members = members;
        return 0;
    }

    e->members = members + 1;

    return 0;
}


static int
sp_chat_edit_copy(sp_scan_t *s, sp_chat_editor_t *e, const char *key,
    size_t len)
{
    const char  *start;

    start = s->pos;

    if (sp_scan_skip(s) != 0) {
        return -1;
    }

    sp_chat_edit_key(e, key, len);
    sp_chat_edit_put(e, start, (size_t) (s->pos - start));

    return 0;
}


static void
sp_chat_edit_key(sp_chat_editor_t *e, const char *key, size_t len)
{
    if (e->members++ != 0) {
        sp_chat_edit_put(e, ",", 1);
    }

    sp_chat_edit_put(e, "\"", 1);
    sp_chat_edit_put(e, key, len);
    sp_chat_edit_put(e, "\":", 2);
}


static void
sp_chat_edit_system(sp_chat_editor_t *e, const char *text, size_t len)
{
    if (len == 0) {
        return;
    }

    if (e->members++ != 0) {
        sp_chat_edit_put(e, ",", 1);
    }

    sp_chat_edit_put(e, SP_CHAT_SYSTEM_HEAD, sizeof(SP_CHAT_SYSTEM_HEAD) - 1);
    e->dst += sp_chat_edit_escape(e->dst, text, len);
    sp_chat_edit_put(e, SP_CHAT_SYSTEM_TAIL, sizeof(SP_CHAT_SYSTEM_TAIL) - 1);
}


static void
sp_chat_edit_put(sp_chat_editor_t *e, const char *p, size_t len)
{
    memcpy(e->dst, p, len);
    e->dst += len;
}


/* dst has room: sp_chat_edit_size() */

static size_t
sp_chat_edit_escape(char *dst, const char *text, size_t len)
{
    return sp_json_escape(dst, (size_t) -1, text, len);
}
