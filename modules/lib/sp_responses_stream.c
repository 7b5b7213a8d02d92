
/*
 * Copyright (C) Sallyport authors
 *
 * Answers of another dialect, as the events of a response.  All that was said
 * is said again at the end of its part, of its item and of the response: it
 * is kept as the text of these items, and what ends with it is a piece of it.
 */


#include <string.h>

#include "sp_responses.h"


/* two responses without what they echo, and the events of an item's begin */
#define SP_RESPONSES_EVENT  4096

/* the events of an item's end, without its text */
#define SP_RESPONSES_END    1536

/* what stands around a text, where it is kept */
#define SP_RESPONSES_FRAME  512


/* the pieces of an item, which are kept */
typedef enum {
    SP_RESPONSES_HEAD = 0,
    SP_RESPONSES_PART,
    SP_RESPONSES_TEXT,
    SP_RESPONSES_PART_END,
    SP_RESPONSES_SIGNATURE,
    SP_RESPONSES_ITEM_END
} sp_responses_piece_e;


static void sp_responses_begin(sp_writer_t *w, sp_out_t *out);
static void sp_responses_progress(sp_writer_t *w, const char *name,
    sp_out_t *out);
static sp_responses_item_t *sp_responses_find(const sp_writer_t *w,
    const sp_delta_t *delta);
static int sp_responses_same(const sp_responses_item_t *item,
    const sp_delta_t *delta);
static sp_responses_item_t *sp_responses_add(sp_writer_t *w,
    const sp_delta_t *delta, sp_out_t *out);
static int sp_responses_more_items(sp_writer_t *w);
static void sp_responses_added(sp_writer_t *w,
    const sp_responses_item_t *item, sp_out_t *out);
static void sp_responses_part_added(sp_writer_t *w,
    sp_responses_item_t *item, sp_out_t *out);
static void sp_responses_say(sp_writer_t *w, sp_responses_item_t *item,
    const sp_delta_t *delta, sp_out_t *out);
static void sp_responses_sign(sp_writer_t *w, sp_responses_item_t *item,
    const sp_delta_t *delta, sp_out_t *out);
static void sp_responses_close(sp_writer_t *w, const char *status,
    int calls, sp_out_t *out);
static void sp_responses_done(sp_writer_t *w, sp_responses_item_t *item,
    const char *status, sp_out_t *out);
static void sp_responses_part_done(sp_writer_t *w, sp_responses_item_t *item,
    sp_out_t *out);
static void sp_responses_event(sp_writer_t *w, const char *name,
    sp_out_t *out);
static void sp_responses_place(sp_writer_t *w,
    const sp_responses_item_t *item, sp_out_t *out);
static int sp_responses_room(sp_writer_t *w, size_t len);
static void sp_responses_keep(sp_writer_t *w, sp_responses_item_t *item,
    sp_responses_piece_e piece, const sp_delta_t *delta, const char *status);
static void sp_responses_write_piece(const sp_writer_t *w,
    const sp_responses_item_t *item, sp_responses_piece_e piece,
    const sp_delta_t *delta, const char *status, sp_out_t *out);


/* by sp_delta_e: the names of events that tell a text, and of its member */

static const struct {
    const char  *delta;
    const char  *done;
    const char  *text;
} sp_responses_names[] = {
    { "response.output_text.delta", "response.output_text.done", "text" },
    { "response.reasoning_summary_text.delta",
      "response.reasoning_summary_text.done", "text" },
    { "response.refusal.delta", "response.refusal.done", "refusal" },
    { "response.function_call_arguments.delta",
      "response.function_call_arguments.done", "arguments" }
};


size_t
sp_responses_need(sp_writer_t *w, const sp_delta_t *delta)
{
    size_t                       i, n;
    sp_out_t                     echo;
    const sp_responses_item_t   *item;
    const sp_responses_state_t  *st;

    st = w->state;

    memset(&echo, 0, sizeof(sp_out_t));

    n = SP_RESPONSES_EVENT + 12 * (w->id_len + w->model_len);

    if (delta != NULL) {
        n += 12 * (delta->text.len + delta->id.len + delta->name.len
                   + delta->signature.len);
    }

    if (!st->begun || delta == NULL) {
        sp_responses_echo(w, NULL, &echo);
        n += 3 * echo.len + st->len;
    }

    if (delta != NULL && delta->kind != SP_DELTA_FINISH
        && delta->kind != SP_DELTA_SIGNATURE
        && sp_responses_find(w, delta) != NULL)
    {
        return n;
    }

    for (i = 0; i < st->nitems; i++) {
        item = &st->items[i];

        if (item->open) {
            n += SP_RESPONSES_END + 12 * w->id_len
                 + 3 * (item->end - item->start) + item->name_len;
        }
    }

    return n;
}


void
sp_responses_write_event(sp_writer_t *w, const sp_delta_t *delta,
    sp_out_t *out)
{
    const char            *reason, *status;
    sp_responses_item_t   *item;
    sp_responses_state_t  *st;

    st = w->state;

    /* what was judged is not always what was signed */

    if (delta->choice != 0 || w->full || w->broken
        || (delta->kind == SP_DELTA_SIGNATURE && w->late))
    {
        return;
    }

    sp_responses_begin(w, out);

    if (delta->kind == SP_DELTA_FINISH) {
        st->finish = delta->finish;
        status = sp_responses_status(st->finish, &reason);
        sp_responses_close(w, status, 1, out);

        return;
    }

    item = sp_responses_find(w, delta);

    if (item == NULL) {
        item = sp_responses_add(w, delta, out);
    }

    if (item == NULL) {
        return;
    }

    if (delta->kind == SP_DELTA_SIGNATURE) {
        sp_responses_sign(w, item, delta, out);

    } else if (delta->text.len != 0) {
        sp_responses_say(w, item, delta, out);
    }
}


void
sp_responses_write_end(sp_writer_t *w, const sp_event_t *usage, sp_out_t *out)
{
    const char            *reason, *status;
    sp_responses_state_t  *st;

    st = w->state;

    if (w->full || w->broken) {
        return;
    }

    sp_responses_begin(w, out);

    status = sp_responses_status(st->finish, &reason);
    sp_responses_close(w, status, 1, out);

    sp_responses_event(w, reason ? "response.incomplete"
                                 : "response.completed", out);
    sp_out_str(out, ",\"response\":");
    sp_responses_open(w, status, out);
    sp_out_str(out, ",\"error\":null");
    sp_responses_echo(w, reason, out);
    sp_out_str(out, ",\"output\":[");
    sp_out_put(out, st->text, st->len);
    sp_out_str(out, "],\"usage\":");
    sp_responses_usage(usage, out);
    sp_out_str(out, "}}\n\n");
}


/*
 * OpenAI's SDK fails at a type of event that it does not know: of those that
 * say nothing of the response this one fits.
 */

void
sp_responses_write_extras(sp_writer_t *w, const char *json, size_t len,
    sp_out_t *out)
{
    if (w->full || w->broken) {
        return;
    }

    sp_responses_event(w, "keepalive", out);
    sp_out_str(out, ",\"extras\":");
    sp_out_put(out, json, len);
    sp_out_str(out, "}\n\n");
}


static void
sp_responses_begin(sp_writer_t *w, sp_out_t *out)
{
    sp_responses_state_t  *st;

    st = w->state;

    if (!st->begun) {
        st->begun = 1;

        sp_responses_progress(w, "response.created", out);
        sp_responses_progress(w, "response.in_progress", out);
    }
}


static void
sp_responses_progress(sp_writer_t *w, const char *name, sp_out_t *out)
{
    sp_responses_event(w, name, out);
    sp_out_str(out, ",\"response\":");
    sp_responses_open(w, "in_progress", out);
    sp_out_str(out, ",\"error\":null");
    sp_responses_echo(w, NULL, out);
    sp_out_str(out, ",\"output\":[],\"usage\":null}}\n\n");
}


/* the open item that the delta is a part of */

static sp_responses_item_t *
sp_responses_find(const sp_writer_t *w, const sp_delta_t *delta)
{
    size_t                 i;
    sp_responses_state_t  *st;

    st = w->state;

    for (i = st->nitems; i != 0; i--) {

        if (sp_responses_same(&st->items[i - 1], delta)) {
            return &st->items[i - 1];
        }

        /* only of calls, and where texts overlap, others are open, too */

        if (delta->kind != SP_DELTA_TOOL && !w->late) {
            break;
        }
    }

    return NULL;
}


static int
sp_responses_same(const sp_responses_item_t *item, const sp_delta_t *delta)
{
    if (!item->open) {
        return 0;
    }

    if (delta->kind == SP_DELTA_SIGNATURE) {
        return item->kind == SP_DELTA_REASONING;
    }

    return item->kind == delta->kind && item->tool == delta->tool
           && !item->is_signed;
}


static sp_responses_item_t *
sp_responses_add(sp_writer_t *w, const sp_delta_t *delta, sp_out_t *out)
{
    sp_out_t               name;
    sp_responses_item_t   *item;
    sp_responses_state_t  *st;

    st = w->state;

    if (!w->late) {
        sp_responses_close(w, "completed", 0, out);
    }

    if (sp_responses_more_items(w) != 0
        || sp_responses_room(w, 6 * (delta->id.len + delta->name.len
                                     + delta->signature.len))
           != 0)
    {
        return NULL;
    }

    if (st->nitems != 0) {
        st->text[st->len++] = ',';
    }

    item = &st->items[st->nitems++];

    memset(item, 0, sizeof(sp_responses_item_t));

    item->kind = (delta->kind == SP_DELTA_SIGNATURE) ? SP_DELTA_REASONING
                                                     : delta->kind;
    item->tool = delta->tool;
    item->open = 1;
    item->start = st->len;
    item->end = st->len;

    sp_responses_keep(w, item, SP_RESPONSES_HEAD, delta, NULL);

    if (item->kind == SP_DELTA_TOOL) {
        memset(&name, 0, sizeof(sp_out_t));
        sp_out_content(&name, delta->name.data, delta->name.len);

        /* behind it are a quote and a comma */

        item->name = item->end - 2 - name.len;
        item->name_len = name.len;
    }

    sp_responses_added(w, item, out);

    if (delta->kind != SP_DELTA_SIGNATURE) {
        sp_responses_part_added(w, item, out);
    }

    return item;
}


static int
sp_responses_more_items(sp_writer_t *w)
{
    char                  *items;
    size_t                 size;
    sp_responses_state_t  *st;

    st = w->state;

    if (st->nitems < st->nsize) {
        return 0;
    }

    if (st->nitems == SP_RESPONSES_ITEMS) {
        w->full = 1;
        return -1;
    }

    size = (st->nsize != 0) ? 2 * st->nsize : 4;

    items = w->grow(w->data, (char *) st->items,
                    st->nitems * sizeof(sp_responses_item_t),
                    size * sizeof(sp_responses_item_t));
    if (items == NULL) {
        w->broken = 1;
        return -1;
    }

    st->items = (sp_responses_item_t *) (void *) items;
    st->nsize = size;

    return 0;
}


/* the item as it is so far, which is but its head */

static void
sp_responses_added(sp_writer_t *w, const sp_responses_item_t *item,
    sp_out_t *out)
{
    sp_responses_state_t  *st;

    st = w->state;

    sp_responses_event(w, "response.output_item.added", out);
    sp_out_str(out, ",\"output_index\":");
    sp_out_integer(out, (int64_t) (item - st->items));
    sp_out_str(out, ",\"item\":");
    sp_out_put(out, st->text + item->start, item->end - item->start);
    sp_out_str(out, item->kind == SP_DELTA_TOOL ? "\"arguments\":\"\"" : "");
    sp_responses_item_end(item->kind, 0, "in_progress", out);
    sp_out_str(out, "}\n\n");
}


static void
sp_responses_part_added(sp_writer_t *w, sp_responses_item_t *item,
    sp_out_t *out)
{
    sp_responses_state_t  *st;

    st = w->state;

    item->part = item->end;
    sp_responses_keep(w, item, SP_RESPONSES_PART, NULL, NULL);

    item->text = item->end;
    item->has_part = 1;

    if (item->kind == SP_DELTA_TOOL) {
        return;
    }

    sp_responses_event(w, item->kind == SP_DELTA_REASONING
                          ? "response.reasoning_summary_part.added"
                          : "response.content_part.added", out);
    sp_responses_place(w, item, out);
    sp_out_str(out, ",\"part\":");
    sp_out_put(out, st->text + item->part, item->end - item->part);
    sp_out_str(out, "\"}}\n\n");
}


static void
sp_responses_say(sp_writer_t *w, sp_responses_item_t *item,
    const sp_delta_t *delta, sp_out_t *out)
{
    size_t                 at;
    sp_responses_state_t  *st;

    st = w->state;
    at = item->end;

    if (sp_responses_room(w, 6 * delta->text.len) != 0) {
        return;
    }

    sp_responses_keep(w, item, SP_RESPONSES_TEXT, delta, NULL);

    sp_responses_event(w, sp_responses_names[item->kind].delta, out);
    sp_responses_place(w, item, out);
    sp_out_str(out, ",\"delta\":\"");
    sp_out_put(out, st->text + at, item->end - at);
    sp_out_str(out, item->kind == SP_DELTA_TEXT ? "\",\"logprobs\":[]}\n\n"
                                                : "\"}\n\n");
}


/* it is told with the whole item */

static void
sp_responses_sign(sp_writer_t *w, sp_responses_item_t *item,
    const sp_delta_t *delta, sp_out_t *out)
{
    if (sp_responses_room(w, 6 * delta->text.len) != 0) {
        return;
    }

    if (!item->is_signed) {
        sp_responses_part_done(w, item, out);
        sp_responses_keep(w, item, SP_RESPONSES_SIGNATURE, NULL, NULL);

        item->is_signed = 1;
    }

    sp_responses_keep(w, item, SP_RESPONSES_TEXT, delta, NULL);
}


/* ends what is open; "calls": calls, too, whose arguments may still come */

static void
sp_responses_close(sp_writer_t *w, const char *status, int calls,
    sp_out_t *out)
{
    size_t                 i;
    sp_responses_item_t   *item;
    sp_responses_state_t  *st;

    st = w->state;

    for (i = 0; i < st->nitems; i++) {
        item = &st->items[i];

        if (item->open && (calls || item->kind != SP_DELTA_TOOL)
            && sp_responses_room(w, 0) == 0)
        {
            sp_responses_done(w, item, status, out);
        }
    }
}


static void
sp_responses_done(sp_writer_t *w, sp_responses_item_t *item,
    const char *status, sp_out_t *out)
{
    sp_responses_state_t  *st;

    st = w->state;

    if (!item->is_signed) {
        sp_responses_part_done(w, item, out);
    }

    sp_responses_keep(w, item, SP_RESPONSES_ITEM_END, NULL, status);

    item->open = 0;

    sp_responses_event(w, "response.output_item.done", out);
    sp_out_str(out, ",\"output_index\":");
    sp_out_integer(out, (int64_t) (item - st->items));
    sp_out_str(out, ",\"item\":");
    sp_out_put(out, st->text + item->start, item->end - item->start);
    sp_out_str(out, "}\n\n");
}


static void
sp_responses_part_done(sp_writer_t *w, sp_responses_item_t *item,
    sp_out_t *out)
{
    sp_responses_state_t  *st;

    if (!item->has_part) {
        return;
    }

    st = w->state;

    sp_responses_event(w, sp_responses_names[item->kind].done, out);
    sp_responses_place(w, item, out);
    sp_out_str(out, ",\"");
    sp_out_str(out, sp_responses_names[item->kind].text);
    sp_out_str(out, "\":\"");
    sp_out_put(out, st->text + item->text, item->end - item->text);

    sp_responses_keep(w, item, SP_RESPONSES_PART_END, NULL, NULL);

    if (item->kind == SP_DELTA_TOOL) {
        sp_out_str(out, "\",\"name\":\"");
        sp_out_put(out, st->text + item->name, item->name_len);
        sp_out_str(out, "\"}\n\n");
        return;
    }

    sp_out_str(out, item->kind == SP_DELTA_TEXT ? "\",\"logprobs\":[]}\n\n"
                                                : "\"}\n\n");

    sp_responses_event(w, item->kind == SP_DELTA_REASONING
                          ? "response.reasoning_summary_part.done"
                          : "response.content_part.done", out);
    sp_responses_place(w, item, out);
    sp_out_str(out, ",\"part\":");
    sp_out_put(out, st->text + item->part, item->end - item->part);
    sp_out_str(out, "}\n\n");
}


/* up to its number */

static void
sp_responses_event(sp_writer_t *w, const char *name, sp_out_t *out)
{
    sp_responses_state_t  *st;

    st = w->state;

    sp_out_str(out, "event: ");
    sp_out_str(out, name);
    sp_out_str(out, "\ndata: {\"type\":\"");
    sp_out_str(out, name);
    sp_out_str(out, "\",\"sequence_number\":");
    sp_out_integer(out, st->sequence++);
}


/* the part of the item that an event is about */

static void
sp_responses_place(sp_writer_t *w, const sp_responses_item_t *item,
    sp_out_t *out)
{
    size_t                 index;
    sp_responses_state_t  *st;

    st = w->state;
    index = (size_t) (item - st->items);

    sp_out_str(out, ",\"item_id\":\"");
    sp_responses_id(w, item->kind, index, out);
    sp_out_str(out, "\",\"output_index\":");
    sp_out_integer(out, (int64_t) index);
    sp_out_str(out, item->kind == SP_DELTA_TOOL ? ""
                    : item->kind == SP_DELTA_REASONING
                    ? ",\"summary_index\":0" : ",\"content_index\":0");
}


/* for "len" bytes and what stands around them; -1: there is none */

static int
sp_responses_room(sp_writer_t *w, size_t len)
{
    char                  *text;
    size_t                 need, size;
    sp_responses_state_t  *st;

    st = w->state;

    if (w->full || w->broken) {
        return -1;
    }

    need = st->len + len + SP_RESPONSES_FRAME + 2 * w->id_len;

    if (need <= st->size) {
        return 0;
    }

    if (need > w->limit) {
        w->full = 1;
        return -1;
    }

    size = (2 * st->size > need) ? 2 * st->size : need;

    if (size > w->limit) {
        size = w->limit;
    }

    text = w->grow(w->data, st->text, st->len, size);
    if (text == NULL) {
        w->broken = 1;
        return -1;
    }

    st->text = text;
    st->size = size;

    return 0;
}


/* at the end of the item, where there is room; others may be behind it */

static void
sp_responses_keep(sp_writer_t *w, sp_responses_item_t *item,
    sp_responses_piece_e piece, const sp_delta_t *delta, const char *status)
{
    char                  *at;
    size_t                 len;
    sp_out_t               out;
    sp_responses_item_t   *behind;
    sp_responses_state_t  *st;

    st = w->state;

    memset(&out, 0, sizeof(sp_out_t));
    sp_responses_write_piece(w, item, piece, delta, status, &out);

    len = out.len;
    at = st->text + item->end;

    memmove(at + len, at, st->len - item->end);

    out.dst = at;
    out.size = len;
    out.len = 0;

    sp_responses_write_piece(w, item, piece, delta, status, &out);

    st->len += len;
    item->end += len;

    for (behind = item + 1; behind < st->items + st->nitems; behind++) {
        behind->start += len;
        behind->name += len;
        behind->part += len;
        behind->text += len;
        behind->end += len;
    }
}


static void
sp_responses_write_piece(const sp_writer_t *w,
    const sp_responses_item_t *item, sp_responses_piece_e piece,
    const sp_delta_t *delta, const char *status, sp_out_t *out)
{
    sp_responses_state_t  *st;

    st = w->state;

    switch (piece) {

    case SP_RESPONSES_HEAD:
        sp_responses_head(w, delta, (size_t) (item - st->items), out);
        return;

    case SP_RESPONSES_PART:
        sp_responses_part(item->kind, out);
        return;

    case SP_RESPONSES_TEXT:
        sp_responses_text(delta, out);
        return;

    case SP_RESPONSES_PART_END:
        sp_responses_part_end(item->kind, out);
        return;

    case SP_RESPONSES_SIGNATURE:
        sp_responses_signature(out);
        return;

    case SP_RESPONSES_ITEM_END:
        sp_responses_item_end(item->kind, item->is_signed, status, out);
    }
}
