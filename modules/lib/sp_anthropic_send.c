
/*
 * Copyright (C) Sallyport authors
 *
 * A request of another dialect, as a Messages request.  Messages of the same
 * role that follow each other are one; a tool's result is in a user's.
 */


#include <string.h>

#include "sp_anthropic.h"
#include "sp_json.h"


/* in the place of the turn of a user that an API demands at the head */
#define SP_ANTHROPIC_GREETED  "."


static const sp_chat_error_t  sp_anthropic_no_embeddings =
    { "unsupported_request", NULL,
      "embeddings are not translated" };

static const sp_chat_error_t  sp_anthropic_unsupported =
    { "unsupported_parameter", NULL,
      "the model of this request does not have this parameter: leave it "
      "out" };

static const sp_chat_error_t  sp_anthropic_call_invalid =
    { "tool_call_invalid", "messages",
      "every tool call must have an id, a name and arguments, and every "
      "result the id of its call" };


static void sp_anthropic_send_system(sp_anthropic_sender_t *s);
static void sp_anthropic_send_prompt(sp_anthropic_sender_t *s,
    const sp_chat_message_t *message);
static int sp_anthropic_send_messages(sp_anthropic_sender_t *s);
static int sp_anthropic_send_message(sp_anthropic_sender_t *s, size_t i);
static void sp_anthropic_send_open(sp_anthropic_sender_t *s,
    sp_chat_role_e role);
static void sp_anthropic_send_close(sp_anthropic_sender_t *s);
static size_t sp_anthropic_text_len(const sp_anthropic_sender_t *s,
    const sp_chat_message_t *message);
static int sp_anthropic_send_parts(sp_anthropic_sender_t *s,
    const sp_chat_message_t *message);
static int sp_anthropic_send_call(sp_anthropic_sender_t *s,
    const sp_chat_call_t *call);
static int sp_anthropic_send_result(sp_anthropic_sender_t *s,
    const sp_chat_message_t *message);
static void sp_anthropic_send_text(sp_anthropic_sender_t *s, const char *text,
    size_t len);
static void sp_anthropic_send_id(sp_anthropic_sender_t *s, const char *id);


int
sp_anthropic_write_request(const sp_call_t *call, sp_out_t *out,
    sp_chat_error_t *error)
{
    sp_anthropic_sender_t  s;

    memset(&s, 0, sizeof(sp_anthropic_sender_t));

    s.call = call;
    s.out = out;
    s.error = error;

    if (call->chat == NULL) {
        return sp_anthropic_refuse(&s, &sp_anthropic_no_embeddings);
    }

    if (call->chat->foreign != NULL) {
        (void) sp_anthropic_refuse(&s, &sp_anthropic_unsupported);
        error->param = call->chat->foreign;

        return -1;
    }

    s.first = sp_anthropic_first(call->chat, call->edit);

    sp_out_str(out, "{\"model\":\"");
    sp_out_text(out, call->edit->model, call->edit->model_len);
    sp_out_str(out, call->stream ? "\",\"stream\":true" : "\"");

    if (sp_anthropic_send_options(&s) != 0
        || sp_anthropic_send_tools(&s) != 0)
    {
        return -1;
    }

    sp_anthropic_send_system(&s);

    if (sp_anthropic_send_messages(&s) != 0) {
        return -1;
    }

    sp_out_str(out, "}");

    return 0;
}


size_t
sp_anthropic_first(const sp_chat_request_t *chat, const sp_chat_edit_t *edit)
{
    size_t  first;

    first = edit->first;

    while (first != 0 && first < edit->anchor && first < chat->nmessages
           && chat->messages[first].role != SP_CHAT_USER)
    {
        first++;
    }

    return first;
}


/* wherever they were said: the API has one place for them */

static void
sp_anthropic_send_system(sp_anthropic_sender_t *s)
{
    size_t                    i;
    const sp_chat_edit_t     *edit;
    const sp_chat_request_t  *chat;

    chat = s->call->chat;
    edit = s->call->edit;

    s->blocks = 0;

    if (edit->prefix_len != 0) {
        sp_out_str(s->out, ",\"system\":[");
        sp_anthropic_send_text(s, edit->prefix, edit->prefix_len);
    }

    for (i = 0; i < chat->nmessages && !edit->merge; i++) {
        if (chat->messages[i].role == SP_CHAT_SYSTEM
            && chat->messages[i].len != 0)
        {
            sp_out_str(s->out, s->blocks == 0 ? ",\"system\":[" : "");
            sp_anthropic_send_prompt(s, &chat->messages[i]);
        }
    }

    sp_out_str(s->out, s->blocks != 0 ? "]" : "");
}


static void
sp_anthropic_send_prompt(sp_anthropic_sender_t *s,
    const sp_chat_message_t *message)
{
    size_t                 i;
    const sp_chat_part_t  *part;

    if (message->parts == NULL) {
        sp_anthropic_send_text(s, message->text, message->len);
        return;
    }

    for (i = 0; i < message->nparts; i++) {
        part = &message->parts[i];

        if (part->kind == SP_CHAT_PART_TEXT
            && json_string_length(part->data) != 0)
        {
            (void) sp_anthropic_send_part(s, part);
        }
    }
}


static int
sp_anthropic_send_messages(sp_anthropic_sender_t *s)
{
    size_t                    i;
    const sp_chat_request_t  *chat;

    chat = s->call->chat;

    sp_out_str(s->out, ",\"messages\":[");

    for (i = 0; i < chat->nmessages; i++) {

        if (chat->messages[i].role != SP_CHAT_SYSTEM && i >= s->first
            && sp_anthropic_send_message(s, i) != 0)
        {
            return -1;
        }
    }

    sp_anthropic_send_close(s);
    sp_out_str(s->out, "]");

    return 0;
}


static int
sp_anthropic_send_message(sp_anthropic_sender_t *s, size_t i)
{
    size_t                    k;
    const sp_chat_message_t  *message;

    message = &s->call->chat->messages[i];

    if (message->role == SP_CHAT_TOOL) {
        sp_anthropic_send_open(s, SP_CHAT_USER);
        return sp_anthropic_send_result(s, message);
    }

    if (message->role == SP_CHAT_ASSISTANT && s->messages == 0) {
        sp_anthropic_send_open(s, SP_CHAT_USER);
        sp_anthropic_send_text(s, SP_ANTHROPIC_GREETED,
                               sizeof(SP_ANTHROPIC_GREETED) - 1);
    }

    if (i == s->call->edit->anchor && s->call->edit->tail_len != 0) {
        sp_anthropic_send_open(s, SP_CHAT_USER);
        sp_anthropic_send_text(s, s->call->edit->tail,
                               s->call->edit->tail_len);
    }

    if (sp_anthropic_send_parts(s, message) != 0) {
        return -1;
    }

    for (k = 0; k < message->ncalls; k++) {
        sp_anthropic_send_open(s, SP_CHAT_ASSISTANT);

        if (sp_anthropic_send_call(s, &message->calls[k]) != 0) {
            return -1;
        }
    }

    return 0;
}


/* by who has something to say: the API refuses a message without content */

static void
sp_anthropic_send_open(sp_anthropic_sender_t *s, sp_chat_role_e role)
{
    if (s->open && s->role == role) {
        return;
    }

    sp_anthropic_send_close(s);

    s->open = 1;
    s->role = role;
    s->blocks = 0;

    sp_out_str(s->out, s->messages++ != 0 ? "," : "");
    sp_out_str(s->out, role == SP_CHAT_USER
                       ? "{\"role\":\"user\",\"content\":["
                       : "{\"role\":\"assistant\",\"content\":[");
}


static void
sp_anthropic_send_close(sp_anthropic_sender_t *s)
{
    if (s->open) {
        s->open = 0;
        sp_out_str(s->out, "]}");
    }
}


/* a beginning of the answer that ends with space is refused by the API */

static size_t
sp_anthropic_text_len(const sp_anthropic_sender_t *s,
    const sp_chat_message_t *message)
{
    size_t                    len;
    const sp_chat_request_t  *chat;

    chat = s->call->chat;
    len = message->len;

    if (message->role != SP_CHAT_ASSISTANT || message->ncalls != 0
        || message != &chat->messages[chat->nmessages - 1])
    {
        return len;
    }

    while (len != 0 && strchr(" \t\r\n", message->text[len - 1]) != NULL) {
        len--;
    }

    return len;
}


static int
sp_anthropic_send_parts(sp_anthropic_sender_t *s,
    const sp_chat_message_t *message)
{
    size_t                 i, len;
    const sp_chat_part_t  *part;

    if (message->parts == NULL) {
        len = sp_anthropic_text_len(s, message);

        if (len != 0) {
            sp_anthropic_send_open(s, message->role);
            sp_anthropic_send_text(s, message->text, len);
        }

        return 0;
    }

    for (i = 0; i < message->nparts; i++) {
        part = &message->parts[i];

        /* reasoning is taken back with its signature only */

        if (part->kind == SP_CHAT_PART_REASONING
            && json_string_length(part->signature) == 0)
        {
            continue;
        }

        if (part->kind == SP_CHAT_PART_TEXT
            && json_string_length(part->data) == 0)
        {
            continue;
        }

        sp_anthropic_send_open(s, message->role);

        if (sp_anthropic_send_part(s, part) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
sp_anthropic_send_call(sp_anthropic_sender_t *s, const sp_chat_call_t *call)
{
    if (call->id == NULL || call->name == NULL || call->arguments == NULL) {
        return sp_anthropic_refuse(s, &sp_anthropic_call_invalid);
    }

    sp_out_str(s->out, s->blocks++ != 0 ? "," : "");
    sp_out_str(s->out, "{\"type\":\"tool_use\",\"id\":\"");
    sp_anthropic_send_id(s, call->id);
    sp_out_str(s->out, "\",\"name\":\"");
    sp_out_text(s->out, call->name, strlen(call->name));
    sp_out_str(s->out, "\",\"input\":");

    if (json_is_string(call->arguments)) {
        sp_anthropic_write_input(json_string_value(call->arguments),
                                 json_string_length(call->arguments), s->out);

    } else {
        sp_anthropic_send_json(s, call->arguments);
    }

    sp_out_str(s->out, "}");

    return 0;
}


static int
sp_anthropic_send_result(sp_anthropic_sender_t *s,
    const sp_chat_message_t *message)
{
    size_t  blocks, i;

    if (message->call_id == NULL) {
        return sp_anthropic_refuse(s, &sp_anthropic_call_invalid);
    }

    sp_out_str(s->out, s->blocks++ != 0 ? "," : "");
    sp_out_str(s->out, "{\"type\":\"tool_result\",\"tool_use_id\":\"");
    sp_anthropic_send_id(s, message->call_id);
    sp_out_str(s->out, "\",\"content\":");

    if (message->parts == NULL) {
        sp_out_str(s->out, "\"");
        sp_out_text(s->out, message->text, message->len);
        sp_out_str(s->out, "\"");

    } else {
        sp_out_str(s->out, "[");

        blocks = s->blocks;
        s->blocks = 0;

        for (i = 0; i < message->nparts; i++) {
            if (sp_anthropic_send_part(s, &message->parts[i]) != 0) {
                return -1;
            }
        }

        s->blocks = blocks;
        sp_out_str(s->out, "]");
    }

    sp_out_str(s->out, message->failed ? ",\"is_error\":true}" : "}");

    return 0;
}


static void
sp_anthropic_send_text(sp_anthropic_sender_t *s, const char *text, size_t len)
{
    if (len != 0) {
        sp_out_str(s->out, s->blocks++ != 0 ? "," : "");
        sp_out_str(s->out, "{\"type\":\"text\",\"text\":\"");
        sp_out_text(s->out, text, len);
        sp_out_str(s->out, "\"}");
    }
}


/* those of other APIs may have characters that this one refuses */

static void
sp_anthropic_send_id(sp_anthropic_sender_t *s, const char *id)
{
    char  c;

    for ( /* void */ ; *id != '\0'; id++) {
        c = *id;

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9') || c == '-'))
        {
            c = '_';
        }

        sp_out_put(s->out, &c, 1);
    }
}


int
sp_anthropic_refuse(sp_anthropic_sender_t *s, const sp_chat_error_t *error)
{
    *s->error = *error;

    return -1;
}
