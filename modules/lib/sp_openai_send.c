
/*
 * Copyright (C) Sallyport authors
 *
 * A request of another dialect, as a chat completions request.
 */


#include <string.h>

#include "sp_json.h"
#include "sp_openai.h"
#include "sp_scan.h"


typedef struct {
    const sp_call_t   *call;
    sp_out_t          *out;
    sp_chat_error_t   *error;
    size_t             messages;     /* written so far */
} sp_openai_sender_t;


static const sp_chat_error_t  sp_openai_no_embeddings =
    { "unsupported_request", NULL,
      "embeddings are not translated" };

static const sp_chat_error_t  sp_openai_unsupported =
    { "unsupported_parameter", NULL,
      "the model of this request does not have this parameter: leave it "
      "out" };

static const sp_chat_error_t  sp_openai_part_unsupported =
    { "unsupported_content", "messages",
      "a part of a message is of a type that the model of this request does "
      "not take" };

static const sp_chat_error_t  sp_openai_tool_invalid =
    { "tool_invalid", "tools",
      "every tool must have a name" };

static const sp_chat_error_t  sp_openai_choice_invalid =
    { "tool_invalid", "tool_choice",
      "a tool is chosen by its name" };

static const sp_chat_error_t  sp_openai_call_invalid =
    { "tool_call_invalid", "messages",
      "every tool call must have a name and arguments" };


static const char *sp_openai_limit_name(const sp_call_t *call);
static void sp_openai_send_options(sp_openai_sender_t *s);
static int sp_openai_send_tools(sp_openai_sender_t *s);
static int sp_openai_send_messages(sp_openai_sender_t *s);
static void sp_openai_send_system(sp_openai_sender_t *s, const char *text,
    size_t len);
static int sp_openai_send_message(sp_openai_sender_t *s,
    const sp_chat_message_t *message);
static int sp_openai_is_thought(const sp_chat_message_t *message);
static int sp_openai_is_text(const sp_chat_message_t *message);
static int sp_openai_send_parts(sp_openai_sender_t *s,
    const sp_chat_message_t *message);
static int sp_openai_send_part(sp_openai_sender_t *s,
    const sp_chat_part_t *part);
static int sp_openai_send_calls(sp_openai_sender_t *s,
    const sp_chat_message_t *message);
static void sp_openai_send_data(sp_openai_sender_t *s, const json_t *data);
static void sp_openai_send_string(sp_openai_sender_t *s, const char *name,
    const char *text);
static int sp_openai_send_json(sp_openai_sender_t *s, const json_t *value,
    int quoted);
static int sp_openai_send_put(const char *text, size_t len, void *data);
static int sp_openai_send_escape(const char *text, size_t len, void *data);
static int sp_openai_refuse(sp_openai_sender_t *s,
    const sp_chat_error_t *error);


/* by sp_chat_role_e */

static const char  *const sp_openai_roles[] = {
    "system", "user", "assistant", "tool"
};


int
sp_openai_write_request(const sp_call_t *call, sp_out_t *out,
    sp_chat_error_t *error)
{
    sp_openai_sender_t        s;
    const sp_chat_request_t  *chat;

    chat = call->chat;

    s.call = call;
    s.out = out;
    s.error = error;
    s.messages = 0;

    if (chat == NULL) {
        return sp_openai_refuse(&s, &sp_openai_no_embeddings);
    }

    if (chat->foreign != NULL) {
        (void) sp_openai_refuse(&s, &sp_openai_unsupported);
        error->param = chat->foreign;

        return -1;
    }

    sp_out_str(out, "{\"model\":\"");
    sp_out_text(out, call->edit->model, call->edit->model_len);
    sp_out_str(out, "\"");

    if (call->stream) {
        sp_out_str(out, ",\"stream\":true");
    }

    if (sp_openai_usage_options(call) != NULL) {
        sp_out_str(out, ",\"stream_options\":{");
        sp_out_str(out, sp_openai_usage_options(call));
        sp_out_str(out, "}");
    }

    if (chat->max_tokens > 0) {
        sp_out_str(out, ",\"");
        sp_out_str(out, sp_openai_limit_name(call));
        sp_out_str(out, "\":");
        sp_out_integer(out, chat->max_tokens);
    }

    if (chat->n > 1) {
        sp_out_str(out, ",\"n\":");
        sp_out_integer(out, chat->n);
    }

    sp_openai_send_options(&s);

    if (sp_openai_send_tools(&s) != 0 || sp_openai_send_messages(&s) != 0) {
        return -1;
    }

    sp_out_str(out, "}");

    return 0;
}


const char *
sp_openai_usage_options(const sp_call_t *call)
{
    if (!call->edit->usage || !call->chat->stream) {
        return NULL;
    }

    return (call->options != NULL && call->options->continuous_usage)
           ? "\"include_usage\":true,\"continuous_usage_stats\":true"
           : "\"include_usage\":true";
}


/* OpenAI's reasoning models refuse the older name, other servers the newer */

static const char *
sp_openai_limit_name(const sp_call_t *call)
{
    size_t       len;
    const char  *model;

    if (call->options != NULL && call->options->max_tokens != NULL) {
        return call->options->max_tokens;
    }

    model = call->edit->model;
    len = call->edit->model_len;

    if ((len > 1 && model[0] == 'o' && model[1] >= '1' && model[1] <= '9')
        || (len > 4 && memcmp(model, "gpt-", 4) == 0
            && model[4] >= '5' && model[4] <= '9'))
    {
        return "max_completion_tokens";
    }

    return "max_tokens";
}


/* in the client's spelling where its dialect has the same name */

static void
sp_openai_send_options(sp_openai_sender_t *s)
{
    size_t         i;
    sp_slice_t     raw;
    const json_t  *value;

    static const char  *const names[SP_CHAT_NOPTIONS] = {
        "temperature", "top_p", "presence_penalty", "frequency_penalty",
        "seed", "stop", "response_format", "reasoning_effort", "user",
        "parallel_tool_calls", "verbosity"
    };

    for (i = 0; i < SP_CHAT_NOPTIONS; i++) {
        value = s->call->chat->options[i];

        if (value == NULL) {
            continue;
        }

        sp_out_str(s->out, ",\"");
        sp_out_str(s->out, names[i]);
        sp_out_str(s->out, "\":");

        if (json_is_number(value)
            && sp_scan_find(s->call->text, s->call->len, names[i],
                            &raw.data, &raw.len)
               == 0)
        {
            sp_out_put(s->out, raw.data, raw.len);

        } else {
            (void) sp_openai_send_json(s, value, 0);
        }
    }
}


static int
sp_openai_send_tools(sp_openai_sender_t *s)
{
    size_t                    i;
    const sp_chat_tool_t     *tool;
    const sp_chat_request_t  *chat;

    /* by sp_chat_choice_e */

    static const char  *const choices[] = { "auto", "none", "required" };

    chat = s->call->chat;

    for (i = 0; i < chat->ntools; i++) {
        tool = &chat->tools[i];

        if (tool->name == NULL) {
            return sp_openai_refuse(s, &sp_openai_tool_invalid);
        }

        sp_out_str(s->out, i == 0 ? ",\"tools\":[" : ",");
        sp_out_str(s->out, "{\"type\":\"function\",\"function\":{\"name\":\"");
        sp_out_text(s->out, tool->name, strlen(tool->name));
        sp_out_str(s->out, "\"");

        sp_openai_send_string(s, "description", tool->description);

        if (tool->parameters != NULL) {
            sp_out_str(s->out, ",\"parameters\":");
            (void) sp_openai_send_json(s, tool->parameters, 0);
        }

        sp_out_str(s->out, tool->strict ? ",\"strict\":true}}" : "}}");
    }

    if (chat->ntools == 0) {
        return 0;
    }

    sp_out_str(s->out, "],\"tool_choice\":");

    if (chat->choice == SP_CHAT_CHOICE_NAMED) {

        if (chat->choice_name == NULL) {
            return sp_openai_refuse(s, &sp_openai_choice_invalid);
        }

        sp_out_str(s->out, "{\"type\":\"function\",\"function\":{\"name\":\"");
        sp_out_text(s->out, chat->choice_name, strlen(chat->choice_name));
        sp_out_str(s->out, "\"}}");

    } else {
        sp_out_str(s->out, "\"");
        sp_out_str(s->out, choices[chat->choice]);
        sp_out_str(s->out, "\"");
    }

    return 0;
}


static int
sp_openai_send_messages(sp_openai_sender_t *s)
{
    size_t                    i;
    const sp_chat_edit_t     *edit;
    const sp_chat_request_t  *chat;

    chat = s->call->chat;
    edit = s->call->edit;

    sp_out_str(s->out, ",\"messages\":[");

    sp_openai_send_system(s, edit->prefix, edit->prefix_len);

    for (i = 0; i < chat->nmessages; i++) {

        if (i == edit->anchor) {
            sp_openai_send_system(s, edit->tail, edit->tail_len);
        }

        if (sp_chat_keeps(chat, edit, i)
            && !sp_openai_is_thought(&chat->messages[i])
            && sp_openai_send_message(s, &chat->messages[i]) != 0)
        {
            return -1;
        }
    }

    sp_out_str(s->out, "]");

    return 0;
}


static void
sp_openai_send_system(sp_openai_sender_t *s, const char *text, size_t len)
{
    if (len == 0) {
        return;
    }

    sp_out_str(s->out, s->messages++ != 0 ? "," : "");
    sp_out_str(s->out, "{\"role\":\"system\",\"content\":\"");
    sp_out_text(s->out, text, len);
    sp_out_str(s->out, "\"}");
}


static int
sp_openai_send_message(sp_openai_sender_t *s,
    const sp_chat_message_t *message)
{
    sp_out_str(s->out, s->messages++ != 0 ? "," : "");
    sp_out_str(s->out, "{\"role\":\"");
    sp_out_str(s->out, sp_openai_roles[message->role]);
    sp_out_str(s->out, "\"");

    sp_openai_send_string(s, "name", message->name);
    sp_openai_send_string(s, "tool_call_id", message->call_id);

    if (message->parts != NULL && !sp_openai_is_text(message)) {

        if (sp_openai_send_parts(s, message) != 0) {
            return -1;
        }

    } else if (message->len == 0 && message->ncalls != 0) {
        sp_out_str(s->out, ",\"content\":null");

    } else {
        sp_out_str(s->out, ",\"content\":\"");
        sp_out_text(s->out, message->text, message->len);
        sp_out_str(s->out, "\"");
    }

    if (message->ncalls != 0 && sp_openai_send_calls(s, message) != 0) {
        return -1;
    }

    sp_out_str(s->out, "}");

    return 0;
}


/*
 * A chat completions request has no place for what the assistant thought
 * before, and needs none of it
 */

static int
sp_openai_is_thought(const sp_chat_message_t *message)
{
    size_t  i;

    for (i = 0; i < message->nparts; i++) {
        if (message->parts[i].kind != SP_CHAT_PART_REASONING) {
            return 0;
        }
    }

    return message->nparts != 0 && message->ncalls == 0;
}


/* what is left beside thoughts is one text at most */

static int
sp_openai_is_text(const sp_chat_message_t *message)
{
    size_t  i, n, thoughts;

    n = 0;
    thoughts = 0;

    for (i = 0; i < message->nparts; i++) {
        if (message->parts[i].kind == SP_CHAT_PART_REASONING) {
            thoughts++;

        } else if (message->parts[i].kind == SP_CHAT_PART_TEXT) {
            n++;

        } else {
            return 0;
        }
    }

    return thoughts != 0 && n <= 1;
}


static int
sp_openai_send_parts(sp_openai_sender_t *s, const sp_chat_message_t *message)
{
    size_t       i;
    const char  *comma;

    comma = "";

    sp_out_str(s->out, ",\"content\":[");

    for (i = 0; i < message->nparts; i++) {

        if (message->parts[i].kind == SP_CHAT_PART_REASONING) {
            continue;
        }

        sp_out_str(s->out, comma);
        comma = ",";

        if (sp_openai_send_part(s, &message->parts[i]) != 0) {
            return -1;
        }
    }

    sp_out_str(s->out, "]");

    return 0;
}


static int
sp_openai_send_part(sp_openai_sender_t *s, const sp_chat_part_t *part)
{
    /* by sp_chat_part_e: what stands before the data, and behind it */

    static const char  *const heads[] = {
        "{\"type\":\"text\",\"text\":\"",
        "{\"type\":\"refusal\",\"refusal\":\"",
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"",
        "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"",
        "{\"type\":\"file\",\"file\":{\"file_data\":\""
    };

    if (part->kind == SP_CHAT_PART_OTHER || part->data == NULL) {
        return sp_openai_refuse(s, &sp_openai_part_unsupported);
    }

    sp_out_str(s->out, heads[part->kind]);
    sp_openai_send_data(s, part->data);
    sp_out_str(s->out, "\"");

    switch (part->kind) {

    case SP_CHAT_PART_IMAGE:
        sp_openai_send_string(s, "detail", part->format);
        break;

    case SP_CHAT_PART_AUDIO:
        sp_openai_send_string(s, "format", part->format);
        break;

    case SP_CHAT_PART_FILE:
        sp_openai_send_string(s, "filename", part->name);
        break;

    default: /* SP_CHAT_PART_TEXT, SP_CHAT_PART_REFUSAL */
        sp_out_str(s->out, "}");
        return 0;
    }

    sp_out_str(s->out, "}}");

    return 0;
}


static int
sp_openai_send_calls(sp_openai_sender_t *s, const sp_chat_message_t *message)
{
    size_t                  i;
    const sp_chat_call_t   *call;

    sp_out_str(s->out, ",\"tool_calls\":[");

    for (i = 0; i < message->ncalls; i++) {
        call = &message->calls[i];

        if (call->name == NULL || call->arguments == NULL) {
            return sp_openai_refuse(s, &sp_openai_call_invalid);
        }

        sp_out_str(s->out, i != 0 ? ",{" : "{");
        sp_out_str(s->out, "\"type\":\"function\"");
        sp_openai_send_string(s, "id", call->id);
        sp_out_str(s->out, ",\"function\":{\"name\":\"");
        sp_out_text(s->out, call->name, strlen(call->name));
        sp_out_str(s->out, "\",\"arguments\":\"");

        if (json_is_string(call->arguments)) {
            sp_openai_send_data(s, call->arguments);

        } else {
            (void) sp_openai_send_json(s, call->arguments, 1);
        }

        sp_out_str(s->out, "\"}}");
    }

    sp_out_str(s->out, "]");

    return 0;
}


/* a string that is long may only be in the text of the request */

static void
sp_openai_send_data(sp_openai_sender_t *s, const json_t *data)
{
    size_t  len, offset;

    if (sp_json_bulk(data, &offset, &len)) {
        sp_out_put(s->out, s->call->text + offset, len);

    } else {
        sp_out_text(s->out, json_string_value(data),
                    json_string_length(data));
    }
}


/* behind another member; NULL: none */

static void
sp_openai_send_string(sp_openai_sender_t *s, const char *name,
    const char *text)
{
    if (text != NULL) {
        sp_out_str(s->out, ",\"");
        sp_out_str(s->out, name);
        sp_out_str(s->out, "\":\"");
        sp_out_text(s->out, text, strlen(text));
        sp_out_str(s->out, "\"");
    }
}


static int
sp_openai_send_json(sp_openai_sender_t *s, const json_t *value, int quoted)
{
    return json_dump_callback(value, quoted ? sp_openai_send_escape
                                            : sp_openai_send_put,
                              s->out, JSON_COMPACT|JSON_ENCODE_ANY);
}


static int
sp_openai_send_put(const char *text, size_t len, void *data)
{
    sp_out_put(data, text, len);

    return 0;
}


/* jansson cuts between characters */

static int
sp_openai_send_escape(const char *text, size_t len, void *data)
{
    sp_out_text(data, text, len);

    return 0;
}


static int
sp_openai_refuse(sp_openai_sender_t *s, const sp_chat_error_t *error)
{
    *s->error = *error;

    return -1;
}
