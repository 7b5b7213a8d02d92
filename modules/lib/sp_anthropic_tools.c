
/*
 * Copyright (C) Sallyport authors
 *
 * What only translations need of a Messages request beside its messages:
 * tools and options.  Nothing is refused here.
 */


#include <string.h>

#include "sp_anthropic.h"
#include "sp_chat_read.h"


static void sp_anthropic_parse_tool(sp_chat_request_t *chat,
    sp_chat_tool_t *tool, const json_t *value);
static void sp_anthropic_parse_choice(sp_chat_request_t *chat);
static void sp_anthropic_parse_output(sp_chat_request_t *chat);
static void sp_anthropic_parse_thinking(sp_chat_request_t *chat);
static void sp_anthropic_parse_foreign(sp_chat_request_t *chat,
    const json_t *object, const char *const *names);


/* cache_control at the root asks for what other APIs do unasked */

static const char  *const sp_anthropic_members[] = {
    "model", "messages", "system", "max_tokens", "stream", "metadata",
    "temperature", "top_p", "stop_sequences", "tools", "tool_choice",
    "thinking", "output_config", "cache_control", NULL
};

/* eager_input_streaming is how other APIs stream arguments anyway */

static const char  *const sp_anthropic_tool_members[] = {
    "type", "name", "description", "input_schema", "strict", "cache_control",
    "eager_input_streaming", NULL
};


void
sp_anthropic_parse_tools(sp_chat_request_t *chat)
{
    size_t   i;
    json_t  *tools;

    tools = json_object_get(chat->root, "tools");

    chat->ntools = json_array_size(tools);

    for (i = 0; i < chat->ntools; i++) {
        sp_anthropic_parse_tool(chat, &chat->tools[i],
                                json_array_get(tools, i));
    }

    sp_anthropic_parse_choice(chat);
}


/* one with a type of its own runs at the provider */

static void
sp_anthropic_parse_tool(sp_chat_request_t *chat, sp_chat_tool_t *tool,
    const json_t *value)
{
    const char    *type;
    const json_t  *schema, *cache;

    type = json_string_value(json_object_get(value, "type"));

    if (type != NULL && strcmp(type, "custom") != 0) {
        chat->foreign = (chat->foreign != NULL) ? chat->foreign : type;
        return;
    }

    schema = json_object_get(value, "input_schema");
    cache = json_object_get(value, "cache_control");

    tool->name = json_string_value(json_object_get(value, "name"));
    tool->description = json_string_value(json_object_get(value,
                                                          "description"));
    tool->parameters = json_is_object(schema) ? schema : NULL;
    tool->cache = json_is_object(cache) ? cache : NULL;
    tool->strict = json_is_true(json_object_get(value, "strict")) ? 1 : 0;

    sp_anthropic_parse_foreign(chat, value, sp_anthropic_tool_members);
}


static void
sp_anthropic_parse_choice(sp_chat_request_t *chat)
{
    const char    *type;
    const json_t  *choice;

    choice = json_object_get(chat->root, "tool_choice");
    type = json_string_value(json_object_get(choice, "type"));

    if (type == NULL) {
        return;
    }

    if (strcmp(type, "none") == 0) {
        chat->choice = SP_CHAT_CHOICE_NONE;

    } else if (strcmp(type, "any") == 0) {
        chat->choice = SP_CHAT_CHOICE_REQUIRED;

    } else if (strcmp(type, "tool") == 0) {
        chat->choice = SP_CHAT_CHOICE_NAMED;
        chat->choice_name = json_string_value(json_object_get(choice,
                                                              "name"));
    }

    if (json_is_true(json_object_get(choice, "disable_parallel_tool_use"))) {
        chat->options[SP_CHAT_PARALLEL_CALLS] = json_false();
    }
}


void
sp_anthropic_parse_options(sp_chat_request_t *chat)
{
    const json_t  *root;

    root = chat->root;

    chat->options[SP_CHAT_TEMPERATURE] = sp_chat_member(root, "temperature");
    chat->options[SP_CHAT_TOP_P] = sp_chat_member(root, "top_p");
    chat->options[SP_CHAT_STOP] = sp_chat_member(root, "stop_sequences");
    chat->options[SP_CHAT_END_USER] =
                   sp_chat_member(json_object_get(root, "metadata"),
                                  "user_id");

    sp_anthropic_parse_output(chat);
    sp_anthropic_parse_thinking(chat);
    sp_anthropic_parse_foreign(chat, root, sp_anthropic_members);
}


static void
sp_anthropic_parse_output(sp_chat_request_t *chat)
{
    const json_t  *config, *schema;

    static const char  *const names[] = { "effort", "format", NULL };

    config = json_object_get(chat->root, "output_config");
    schema = json_object_get(json_object_get(config, "format"), "schema");

    chat->options[SP_CHAT_EFFORT] = sp_chat_member(config, "effort");
    chat->schema = json_is_object(schema) ? schema : NULL;

    sp_anthropic_parse_foreign(chat, config, names);
}


/* "adaptive" and "disabled" give no number */

static void
sp_anthropic_parse_thinking(sp_chat_request_t *chat)
{
    const char    *type;
    const json_t  *budget, *thinking;

    thinking = json_object_get(chat->root, "thinking");
    type = json_string_value(json_object_get(thinking, "type"));
    budget = json_object_get(thinking, "budget_tokens");

    if (type != NULL && strcmp(type, "enabled") == 0
        && json_is_integer(budget) && json_integer_value(budget) > 0)
    {
        chat->budget = json_integer_value(budget);
    }
}


/* the first one is named */

static void
sp_anthropic_parse_foreign(sp_chat_request_t *chat, const json_t *object,
    const char *const *names)
{
    size_t       i;
    json_t      *value;
    const char  *key;

    json_object_foreach((json_t *) object, key, value) {

        if (chat->foreign != NULL) {
            return;
        }

        for (i = 0; names[i] != NULL; i++) {
            if (strcmp(names[i], key) == 0) {
                break;
            }
        }

        if (names[i] == NULL && !json_is_null(value)) {
            chat->foreign = key;
        }
    }
}
