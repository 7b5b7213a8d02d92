
/*
 * Copyright (C) Sallyport authors
 *
 * Tools and options of a request of another dialect.
 */


#include <string.h>

#include "sp_anthropic.h"
#include "sp_scan.h"


/* the API takes no smaller budget */
#define SP_ANTHROPIC_MIN_BUDGET  1024


static const sp_chat_error_t  sp_anthropic_no_option =
    { "unsupported_parameter", NULL,
      "the model of this request does not have this parameter: leave it "
      "out" };

static const sp_chat_error_t  sp_anthropic_no_effort =
    { "unsupported_parameter", "reasoning_effort",
      "reasoning takes 1024 tokens or more of the answer's: raise "
      "\"max_tokens\", or leave \"reasoning_effort\" out" };

static const sp_chat_error_t  sp_anthropic_no_format =
    { "unsupported_parameter", "response_format",
      "the model of this request answers in JSON by a schema only: use the "
      "type json_schema, or leave it out" };

static const sp_chat_error_t  sp_anthropic_tool_invalid =
    { "tool_invalid", "tools",
      "every tool must have a name" };

static const sp_chat_error_t  sp_anthropic_choice_invalid =
    { "tool_invalid", "tool_choice",
      "a tool is chosen by its name" };


static int sp_anthropic_check_options(sp_anthropic_sender_t *s);
static int sp_anthropic_send_tokens(sp_anthropic_sender_t *s);
static int sp_anthropic_budget(const sp_chat_request_t *chat,
    int64_t *budget);
static unsigned sp_anthropic_in_turn(const sp_chat_request_t *chat);
static void sp_anthropic_send_number(sp_anthropic_sender_t *s,
    sp_chat_option_e option, const char *name);
static void sp_anthropic_send_stop(sp_anthropic_sender_t *s);
static int sp_anthropic_send_format(sp_anthropic_sender_t *s);
static void sp_anthropic_send_tool(sp_anthropic_sender_t *s,
    const sp_chat_tool_t *tool);
static int sp_anthropic_send_choice(sp_anthropic_sender_t *s);


int
sp_anthropic_send_options(sp_anthropic_sender_t *s)
{
    const json_t             *user;
    const sp_chat_request_t  *chat;

    chat = s->call->chat;

    if (sp_anthropic_check_options(s) != 0
        || sp_anthropic_send_tokens(s) != 0
        || sp_anthropic_send_format(s) != 0)
    {
        return -1;
    }

    sp_anthropic_send_number(s, SP_CHAT_TEMPERATURE, "temperature");
    sp_anthropic_send_number(s, SP_CHAT_TOP_P, "top_p");
    sp_anthropic_send_stop(s);

    user = chat->options[SP_CHAT_END_USER];

    if (json_is_string(user)) {
        sp_out_str(s->out, ",\"metadata\":{\"user_id\":\"");
        sp_out_text(s->out, json_string_value(user),
                    json_string_length(user));
        sp_out_str(s->out, "\"}");
    }

    return 0;
}


/* a penalty of 0 asks for nothing */

static int
sp_anthropic_check_options(sp_anthropic_sender_t *s)
{
    size_t                    i;
    const json_t             *value;
    const sp_chat_request_t  *chat;

    static const struct {
        sp_chat_option_e   option;
        const char        *name;
    } without[] = {
        { SP_CHAT_PRESENCE_PENALTY, "presence_penalty" },
        { SP_CHAT_FREQUENCY_PENALTY, "frequency_penalty" },
        { SP_CHAT_SEED, "seed" }
    };

    chat = s->call->chat;

    for (i = 0; i < sizeof(without) / sizeof(without[0]); i++) {
        value = chat->options[without[i].option];

        if (value != NULL
            && (without[i].option == SP_CHAT_SEED
                || !json_is_number(value)
                || json_number_value(value) > 0
                || json_number_value(value) < 0))
        {
            (void) sp_anthropic_refuse(s, &sp_anthropic_no_option);
            s->error->param = without[i].name;

            return -1;
        }
    }

    if (chat->n > 1) {
        (void) sp_anthropic_refuse(s, &sp_anthropic_no_option);
        s->error->param = "n";

        return -1;
    }

    return 0;
}


/*
 * What the client grants includes its reasoning; where it grants nothing, what
 * is granted for it does not.
 */

static int
sp_anthropic_send_tokens(sp_anthropic_sender_t *s)
{
    int64_t                   budget, tokens;
    const sp_chat_request_t  *chat;

    chat = s->call->chat;
    tokens = chat->max_tokens;

    if (sp_anthropic_budget(chat, &budget) != 0) {
        (void) sp_anthropic_refuse(s, &sp_anthropic_no_option);
        s->error->param = "reasoning_effort";

        return -1;
    }

    if (tokens <= 0) {
        tokens = budget + (s->call->edit->max_tokens > 0
                           ? s->call->edit->max_tokens
                           : sp_anthropic.max_tokens);

    } else if (budget != 0 && tokens <= SP_ANTHROPIC_MIN_BUDGET) {
        return sp_anthropic_refuse(s, &sp_anthropic_no_effort);

    } else if (budget >= tokens) {
        budget = tokens - 1;
    }

    sp_out_str(s->out, ",\"max_tokens\":");
    sp_out_integer(s->out, tokens);

    if (budget != 0) {
        sp_out_str(s->out, ",\"thinking\":{\"type\":\"enabled\","
                           "\"budget_tokens\":");
        sp_out_integer(s->out, budget);
        sp_out_str(s->out, "}");
    }

    return 0;
}


/* 0: no reasoning, or none that the API would go on with */

static int
sp_anthropic_budget(const sp_chat_request_t *chat, int64_t *budget)
{
    size_t         i;
    const json_t  *effort;

    static const struct {
        const char  *effort;
        int64_t      budget;
    } efforts[] = {
        { "none", 0 },
        { "minimal", 1024 },
        { "low", 1024 },
        { "medium", 4096 },
        { "high", 16384 },
        { "xhigh", 32768 }
    };

    *budget = chat->budget;
    effort = chat->options[SP_CHAT_EFFORT];

    if (effort != NULL) {

        for (i = 0; i < sizeof(efforts) / sizeof(efforts[0]); i++) {
            if (json_is_string(effort)
                && strcmp(efforts[i].effort, json_string_value(effort)) == 0)
            {
                break;
            }
        }

        if (i == sizeof(efforts) / sizeof(efforts[0])) {
            return -1;
        }

        *budget = efforts[i].budget;
    }

    if (*budget <= 0 || sp_anthropic_in_turn(chat)) {
        *budget = 0;

    } else if (*budget < SP_ANTHROPIC_MIN_BUDGET) {
        *budget = SP_ANTHROPIC_MIN_BUDGET;
    }

    return 0;
}


/*
 * A turn that has called tools goes on with the reasoning that it began with,
 * signed: who has none of it, as a client of another API, goes on without.
 */

static unsigned
sp_anthropic_in_turn(const sp_chat_request_t *chat)
{
    size_t                    i, k;
    const sp_chat_message_t  *message;

    i = (chat->last_user < chat->nmessages) ? chat->last_user : 0;

    for ( /* void */ ; i < chat->nmessages; i++) {
        message = &chat->messages[i];

        if (message->role != SP_CHAT_ASSISTANT || message->ncalls == 0) {
            continue;
        }

        for (k = 0; k < message->nparts; k++) {
            if (message->parts[k].kind == SP_CHAT_PART_REASONING
                && json_string_length(message->parts[k].signature) != 0)
            {
                break;
            }
        }

        if (k == message->nparts) {
            return 1;
        }
    }

    return 0;
}


/* in the client's spelling where its dialect has the same name */

static void
sp_anthropic_send_number(sp_anthropic_sender_t *s, sp_chat_option_e option,
    const char *name)
{
    sp_slice_t     raw;
    const json_t  *value;

    value = s->call->chat->options[option];

    if (value == NULL) {
        return;
    }

    sp_out_str(s->out, ",\"");
    sp_out_str(s->out, name);
    sp_out_str(s->out, "\":");

    if (json_is_number(value)
        && sp_scan_find(s->call->text, s->call->len, name, &raw.data,
                        &raw.len)
           == 0)
    {
        sp_out_put(s->out, raw.data, raw.len);

    } else {
        sp_anthropic_send_json(s, value);
    }
}


static void
sp_anthropic_send_stop(sp_anthropic_sender_t *s)
{
    const json_t  *stop;

    stop = s->call->chat->options[SP_CHAT_STOP];

    if (stop == NULL) {
        return;
    }

    sp_out_str(s->out, json_is_array(stop) ? ",\"stop_sequences\":"
                                           : ",\"stop_sequences\":[");
    sp_anthropic_send_json(s, stop);
    sp_out_str(s->out, json_is_array(stop) ? "" : "]");
}


static int
sp_anthropic_send_format(sp_anthropic_sender_t *s)
{
    const char               *type;
    const sp_chat_request_t  *chat;

    chat = s->call->chat;

    if (chat->schema != NULL) {
        sp_out_str(s->out, ",\"output_config\":{\"format\":"
                           "{\"type\":\"json_schema\",\"schema\":");
        sp_anthropic_send_json(s, chat->schema);
        sp_out_str(s->out, "}}");

        return 0;
    }

    if (chat->options[SP_CHAT_FORMAT] == NULL) {
        return 0;
    }

    type = json_string_value(json_object_get(chat->options[SP_CHAT_FORMAT],
                                             "type"));

    return (type != NULL && strcmp(type, "text") == 0)
           ? 0 : sp_anthropic_refuse(s, &sp_anthropic_no_format);
}


int
sp_anthropic_send_tools(sp_anthropic_sender_t *s)
{
    size_t                    i;
    const sp_chat_request_t  *chat;

    chat = s->call->chat;

    for (i = 0; i < chat->ntools; i++) {

        if (chat->tools[i].name == NULL) {
            return sp_anthropic_refuse(s, &sp_anthropic_tool_invalid);
        }

        sp_out_str(s->out, i == 0 ? ",\"tools\":[" : ",");
        sp_anthropic_send_tool(s, &chat->tools[i]);
    }

    if (chat->ntools == 0) {
        return 0;
    }

    sp_out_str(s->out, "]");

    return sp_anthropic_send_choice(s);
}


static void
sp_anthropic_send_tool(sp_anthropic_sender_t *s, const sp_chat_tool_t *tool)
{
    sp_out_str(s->out, "{\"name\":\"");
    sp_out_text(s->out, tool->name, strlen(tool->name));

    if (tool->description != NULL) {
        sp_out_str(s->out, "\",\"description\":\"");
        sp_out_text(s->out, tool->description, strlen(tool->description));
    }

    sp_out_str(s->out, "\",\"input_schema\":");

    if (tool->parameters != NULL) {
        sp_anthropic_send_json(s, tool->parameters);

    } else {
        sp_out_str(s->out, "{\"type\":\"object\",\"properties\":{}}");
    }

    sp_out_str(s->out, tool->strict ? ",\"strict\":true" : "");
    sp_anthropic_send_cache(s, tool->cache);
    sp_out_str(s->out, "}");
}


static int
sp_anthropic_send_choice(sp_anthropic_sender_t *s)
{
    unsigned                  alone;
    const sp_chat_request_t  *chat;

    /* by sp_chat_choice_e */

    static const char  *const types[] = { "auto", "none", "any", "tool" };

    chat = s->call->chat;

    alone = (chat->choice != SP_CHAT_CHOICE_NONE
             && json_is_false(chat->options[SP_CHAT_PARALLEL_CALLS]));

    if (chat->choice == SP_CHAT_CHOICE_AUTO && !alone) {
        return 0;
    }

    sp_out_str(s->out, ",\"tool_choice\":{\"type\":\"");
    sp_out_str(s->out, types[chat->choice]);

    if (chat->choice == SP_CHAT_CHOICE_NAMED) {

        if (chat->choice_name == NULL) {
            return sp_anthropic_refuse(s, &sp_anthropic_choice_invalid);
        }

        sp_out_str(s->out, "\",\"name\":\"");
        sp_out_text(s->out, chat->choice_name, strlen(chat->choice_name));
    }

    sp_out_str(s->out, alone ? "\",\"disable_parallel_tool_use\":true}"
                             : "\"}");

    return 0;
}
