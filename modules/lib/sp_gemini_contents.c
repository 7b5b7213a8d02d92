
/*
 * Copyright (C) Sallyport authors
 *
 * The messages of a chat, as contents: those of one side that follow on each
 * other are one, and results of tools are the user's.
 */


#include <string.h>

#include "sp_call_id.h"
#include "sp_gemini.h"
#include "sp_json.h"
#include "sp_out_json.h"


/* a result is looked for among so many calls */
#define SP_GEMINI_CALLS  SP_CHAT_MAX_PARTS

/*
 * What the documentation of signatures names for calls that no Gemini has
 * made: of another provider, or of a client without signatures
 */
#define SP_GEMINI_UNSIGNED  "skip_thought_signature_validator"


static const sp_chat_error_t  sp_gemini_no_contents =
    { "messages_required", "messages",
      "the model of this request needs a message that is not a system "
      "message" };

static const sp_chat_error_t  sp_gemini_name_unsupported =
    { "unsupported_parameter", "messages",
      "the model of this request has no \"name\" of who speaks: leave it "
      "out" };

static const sp_chat_error_t  sp_gemini_part_unsupported =
    { "unsupported_content", "messages",
      "a part of a message is of a type that the model of this request "
      "does not take" };

static const sp_chat_error_t  sp_gemini_too_many_calls =
    { "tool_call_invalid", "messages",
      "a message may hold at most 256 tool calls" };

static const sp_chat_error_t  sp_gemini_call_invalid =
    { "tool_call_invalid", "messages",
      "every tool call must have a name and arguments" };

static const sp_chat_error_t  sp_gemini_args_invalid =
    { "tool_call_invalid", "messages",
      "the arguments of a tool call must be a JSON object" };

static const sp_chat_error_t  sp_gemini_result_invalid =
    { "unsupported_content", "messages",
      "the result of a tool is text only" };

static const sp_chat_error_t  sp_gemini_result_unknown =
    { "tool_call_unknown", "messages",
      "the result of a tool has no call before it with the same id" };


static int sp_gemini_write_message(sp_gemini_sender_t *s,
    const sp_chat_message_t *message);
static int sp_gemini_says(const sp_chat_message_t *message);
static void sp_gemini_turn(sp_gemini_sender_t *s, sp_gemini_role_e role);
static int sp_gemini_write_parts(sp_gemini_sender_t *s,
    const sp_chat_message_t *message);
static int sp_gemini_write_part(sp_gemini_sender_t *s,
    const sp_chat_part_t *part);
static void sp_gemini_write_text(sp_gemini_sender_t *s, const char *text,
    size_t len);
static void sp_gemini_write_thought(sp_gemini_sender_t *s,
    const sp_chat_part_t *part);
static int sp_gemini_write_calls(sp_gemini_sender_t *s,
    const sp_chat_message_t *message);
static int sp_gemini_write_call(sp_gemini_sender_t *s,
    const sp_chat_call_t *call);
static int sp_gemini_write_args(sp_gemini_sender_t *s, const json_t *args);
static int sp_gemini_is_signed(const sp_chat_message_t *message);
static int sp_gemini_write_result(sp_gemini_sender_t *s,
    const sp_chat_message_t *message);
static const char *sp_gemini_call_name(const sp_gemini_sender_t *s,
    const sp_chat_message_t *message);
static void sp_gemini_write_id(sp_gemini_sender_t *s, const char *id);


int
sp_gemini_write_contents(sp_gemini_sender_t *s)
{
    size_t                    i;
    const sp_chat_message_t  *message;
    const sp_chat_request_t  *chat;

    chat = s->call->chat;

    sp_out_str(s->out, "\"contents\":[");

    for (i = 0; i < chat->nmessages; i++) {
        message = &chat->messages[i];

        if (message->role == SP_CHAT_SYSTEM
            || !sp_chat_keeps(chat, s->call->edit, i))
        {
            continue;
        }

        if (sp_gemini_write_message(s, message) != 0) {
            return -1;
        }
    }

    if (s->role == SP_GEMINI_NOBODY) {
        return sp_gemini_refuse(s, &sp_gemini_no_contents);
    }

    sp_out_str(s->out, "]}]");

    return 0;
}


static int
sp_gemini_write_message(sp_gemini_sender_t *s,
    const sp_chat_message_t *message)
{
    if (message->role == SP_CHAT_TOOL) {
        sp_gemini_turn(s, SP_GEMINI_USER);
        return sp_gemini_write_result(s, message);
    }

    if (message->name != NULL) {
        return sp_gemini_refuse(s, &sp_gemini_name_unsupported);
    }

    /* a content without a part, or a part without a text, is refused there */

    if (!sp_gemini_says(message)) {
        return 0;
    }

    sp_gemini_turn(s, message->role == SP_CHAT_ASSISTANT ? SP_GEMINI_MODEL
                                                         : SP_GEMINI_USER);

    if (message->parts != NULL) {

        if (sp_gemini_write_parts(s, message) != 0) {
            return -1;
        }

    } else {
        sp_gemini_write_text(s, message->text, message->len);
    }

    return (message->ncalls != 0) ? sp_gemini_write_calls(s, message) : 0;
}


static int
sp_gemini_says(const sp_chat_message_t *message)
{
    size_t  i;

    for (i = 0; i < message->nparts; i++) {
        if (message->parts[i].kind != SP_CHAT_PART_TEXT) {
            return 1;
        }
    }

    /* parts of text alone may be as empty as no text */

    for (i = 0; i < message->len; i++) {
        if (message->text[i] != '\n' || message->parts == NULL) {
            return 1;
        }
    }

    return message->ncalls != 0;
}


static void
sp_gemini_turn(sp_gemini_sender_t *s, sp_gemini_role_e role)
{
    if (s->role == role) {
        return;
    }

    sp_out_str(s->out, s->role != SP_GEMINI_NOBODY ? "]}," : "");
    sp_out_str(s->out, role == SP_GEMINI_USER
                       ? "{\"role\":\"user\",\"parts\":["
                       : "{\"role\":\"model\",\"parts\":[");

    s->role = role;
    s->items = 0;
}


static int
sp_gemini_write_parts(sp_gemini_sender_t *s, const sp_chat_message_t *message)
{
    size_t  i;

    for (i = 0; i < message->nparts; i++) {
        if (sp_gemini_write_part(s, &message->parts[i]) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
sp_gemini_write_part(sp_gemini_sender_t *s, const sp_chat_part_t *part)
{
    switch (part->kind) {

    case SP_CHAT_PART_IMAGE:
    case SP_CHAT_PART_AUDIO:
    case SP_CHAT_PART_FILE:
        sp_gemini_next(s);
        return sp_gemini_write_media(s, part);

    case SP_CHAT_PART_TEXT:
    case SP_CHAT_PART_REFUSAL:
        if (part->data != NULL) {
            sp_gemini_write_text(s, json_string_value(part->data),
                                 json_string_length(part->data));
            return 0;
        }

        break;

    case SP_CHAT_PART_REASONING:
        sp_gemini_write_thought(s, part);
        return 0;

    case SP_CHAT_PART_OTHER:
        break;
    }

    return sp_gemini_refuse(s, &sp_gemini_part_unsupported);
}


static void
sp_gemini_write_text(sp_gemini_sender_t *s, const char *text, size_t len)
{
    if (len == 0) {
        return;
    }

    sp_gemini_next(s);
    sp_out_str(s->out, "{\"text\":\"");
    sp_out_text(s->out, text, len);
    sp_out_str(s->out, "\"}");
}


static void
sp_gemini_write_thought(sp_gemini_sender_t *s, const sp_chat_part_t *part)
{
    sp_gemini_next(s);
    sp_out_str(s->out, "{\"thought\":true,\"text\":\"");

    if (part->data != NULL) {
        sp_out_json_content(s->out, part->data, s->call->text);
    }

    if (part->signature != NULL) {
        sp_out_str(s->out, "\",\"thoughtSignature\":\"");
        sp_out_json_content(s->out, part->signature, s->call->text);
    }

    sp_out_str(s->out, "\"}");
}


/* one signature, at the first call, is all that a step needs */

static int
sp_gemini_write_calls(sp_gemini_sender_t *s, const sp_chat_message_t *message)
{
    size_t  i;

    if (message->ncalls > SP_GEMINI_CALLS) {
        return sp_gemini_refuse(s, &sp_gemini_too_many_calls);
    }

    s->asked = message;

    for (i = 0; i < message->ncalls; i++) {

        if (sp_gemini_write_call(s, &message->calls[i]) != 0) {
            return -1;
        }

        if (i == 0 && !sp_gemini_is_old(s) && !sp_gemini_is_signed(message)) {
            sp_out_str(s->out, ",\"thoughtSignature\":\""
                               SP_GEMINI_UNSIGNED "\"");
        }

        sp_out_str(s->out, "}");
    }

    return 0;
}


static int
sp_gemini_write_call(sp_gemini_sender_t *s, const sp_chat_call_t *call)
{
    if (call->name == NULL) {
        return sp_gemini_refuse(s, &sp_gemini_call_invalid);
    }

    sp_gemini_next(s);
    sp_out_str(s->out, "{\"functionCall\":{\"name\":\"");
    sp_out_text(s->out, call->name, strlen(call->name));
    sp_out_str(s->out, "\"");

    sp_gemini_write_id(s, call->id);

    if (sp_gemini_write_args(s, call->arguments) != 0) {
        return sp_gemini_refuse(s, &sp_gemini_args_invalid);
    }

    sp_out_str(s->out, "}");

    if (call->signature != NULL) {
        sp_out_str(s->out, ",\"thoughtSignature\":\"");
        sp_out_json_content(s->out, call->signature, s->call->text);
        sp_out_str(s->out, "\"");
    }

    return 0;
}


/* numbers keep their spelling where the arguments come as a text */

static int
sp_gemini_write_args(sp_gemini_sender_t *s, const json_t *args)
{
    int                is_object;
    json_t            *root;
    sp_json_limits_t   limits;

    if (json_is_object(args)) {
        sp_out_str(s->out, ",\"args\":");
        sp_out_json(s->out, args, s->call->text);

        return 0;
    }

    if (!json_is_string(args)) {
        return -1;
    }

    if (json_string_length(args) == 0) {
        sp_out_str(s->out, ",\"args\":{}");
        return 0;
    }

    memset(&limits, 0, sizeof(sp_json_limits_t));
    limits.any_number = 1;

    if (sp_json_parse(json_string_value(args), json_string_length(args),
                      &limits, &root, NULL)
        != SP_JSON_OK)
    {
        return -1;
    }

    is_object = json_is_object(root);

    json_decref(root);

    if (!is_object) {
        return -1;
    }

    sp_out_str(s->out, ",\"args\":");
    sp_out_put(s->out, json_string_value(args), json_string_length(args));

    return 0;
}


static int
sp_gemini_is_signed(const sp_chat_message_t *message)
{
    size_t  i;

    for (i = 0; i < message->ncalls; i++) {
        if (message->calls[i].signature != NULL) {
            return 1;
        }
    }

    return 0;
}


static int
sp_gemini_write_result(sp_gemini_sender_t *s,
    const sp_chat_message_t *message)
{
    size_t       i;
    const char  *name;

    for (i = 0; i < message->nparts; i++) {
        if (message->parts[i].kind != SP_CHAT_PART_TEXT) {
            return sp_gemini_refuse(s, &sp_gemini_result_invalid);
        }
    }

    name = sp_gemini_call_name(s, message);

    if (name == NULL) {
        return sp_gemini_refuse(s, &sp_gemini_result_unknown);
    }

    sp_gemini_next(s);
    sp_out_str(s->out, "{\"functionResponse\":{\"name\":\"");
    sp_out_text(s->out, name, strlen(name));
    sp_out_str(s->out, "\"");

    sp_gemini_write_id(s, message->call_id);

    sp_out_str(s->out, message->failed ? ",\"response\":{\"error\":\""
                                       : ",\"response\":{\"output\":\"");
    sp_out_text(s->out, message->text, message->len);
    sp_out_str(s->out, "\"}}}");

    return 0;
}


/* here a result says which function it is of, there which call */

static const char *
sp_gemini_call_name(const sp_gemini_sender_t *s,
    const sp_chat_message_t *message)
{
    size_t                 i;
    const sp_chat_call_t  *call;

    for (i = 0; s->asked != NULL && i < s->asked->ncalls; i++) {
        call = &s->asked->calls[i];

        if (call->id != NULL && message->call_id != NULL
            && strcmp(call->id, message->call_id) == 0)
        {
            return call->name;
        }
    }

    return message->name;
}


/* one of ours was not the model's, and would be unknown to it */

static void
sp_gemini_write_id(sp_gemini_sender_t *s, const char *id)
{
    if (id == NULL || sp_call_id_ours(id)) {
        return;
    }

    sp_out_str(s->out, ",\"id\":\"");
    sp_out_text(s->out, id, strlen(id));
    sp_out_str(s->out, "\"");
}
