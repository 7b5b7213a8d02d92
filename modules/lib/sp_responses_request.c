
/*
 * Copyright (C) Sallyport authors
 *
 * The members of a request for /v1/responses.  Each that is not null is read,
 * or refused by its name: nothing is dropped that would change the answer.
 */


#include <stdlib.h>
#include <string.h>

#include "sp_openai.h"
#include "sp_responses.h"


typedef int (*sp_responses_read_pt)(sp_responses_parser_t *p,
    json_t *value);


static const sp_chat_error_t  sp_responses_not_object =
    { "request_not_object", NULL,
      "the request must be a JSON object" };

static const sp_chat_error_t  sp_responses_unsupported =
    { "unsupported_parameter", NULL,
      "this parameter cannot be translated for the models behind this "
      "gateway: leave it out" };

static const sp_chat_error_t  sp_responses_stateful =
    { "unsupported_parameter", NULL,
      "no response is stored here: send the whole history as \"input\", and "
      "\"store\": false or no \"store\"" };

static const sp_chat_error_t  sp_responses_invalid =
    { "parameter_invalid", NULL,
      "this parameter has a type or a value that the API does not know" };

static const sp_chat_error_t  sp_responses_max_tokens_invalid =
    { "max_tokens_invalid", "max_output_tokens",
      "\"max_output_tokens\" must be a positive integer" };

static const sp_chat_error_t  sp_responses_stream_invalid =
    { "stream_invalid", "stream",
      "\"stream\" must be true or false" };

static const sp_chat_error_t  sp_responses_include_unsupported =
    { "unsupported_parameter", "include",
      "\"include\" may hold \"reasoning.encrypted_content\" only" };

static const sp_chat_error_t  sp_responses_tool_unsupported =
    { "unsupported_tool", "tools",
      "no tool runs here: every tool must have \"type\": \"function\"" };

static const sp_chat_error_t  sp_responses_tool_invalid =
    { "tool_invalid", "tools",
      "every tool must be an object with a \"name\", its \"parameters\" an "
      "object" };

static const sp_chat_error_t  sp_responses_choice_unsupported =
    { "unsupported_parameter", "tool_choice",
      "\"tool_choice\" must be \"auto\", \"none\", \"required\" or a "
      "function with its name" };

static const sp_chat_error_t  sp_responses_format_invalid =
    { "parameter_invalid", "text.format",
      "\"text.format\" must have \"type\": \"text\", \"json_object\", or "
      "\"json_schema\" with a \"name\" and a \"schema\"" };


static int sp_responses_read_root(sp_responses_parser_t *p);
static int sp_responses_read_member(sp_responses_parser_t *p,
    const char *key, json_t *value);
static int sp_responses_read_none(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_stateful(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_switch(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_instructions(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_hint(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_note(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_tier(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_truncation(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_stream(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_stream_options(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_max_tokens(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_temperature(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_top_p(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_parallel(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_user(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_safety(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_include(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_reasoning(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_text(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_format(sp_responses_parser_t *p,
    json_t *format);
static int sp_responses_read_tools(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_read_tool(sp_responses_parser_t *p,
    sp_chat_tool_t *tool, json_t *value);
static int sp_responses_read_choice(sp_responses_parser_t *p,
    json_t *value);
static int sp_responses_is_one(const json_t *value, const char *const *words);


static const struct {
    const char            *name;
    sp_responses_read_pt   read;
} sp_responses_members[] = {
    { "background", sp_responses_read_switch },
    { "client_metadata", sp_responses_read_note },
    { "conversation", sp_responses_read_stateful },
    { "include", sp_responses_read_include },
    { "input", sp_responses_read_none },
    { "instructions", sp_responses_read_instructions },
    { "max_output_tokens", sp_responses_read_max_tokens },
    { "metadata", sp_responses_read_none },
    { "model", sp_responses_read_none },
    { "parallel_tool_calls", sp_responses_read_parallel },
    { "previous_response_id", sp_responses_read_stateful },
    { "prompt", sp_responses_read_stateful },
    { "prompt_cache_key", sp_responses_read_hint },
    { "prompt_cache_retention", sp_responses_read_hint },
    { "reasoning", sp_responses_read_reasoning },
    { "safety_identifier", sp_responses_read_safety },
    { "service_tier", sp_responses_read_tier },
    { "store", sp_responses_read_switch },
    { "stream", sp_responses_read_stream },
    { "stream_options", sp_responses_read_stream_options },
    { "temperature", sp_responses_read_temperature },
    { "text", sp_responses_read_text },
    { "tool_choice", sp_responses_read_choice },
    { "tools", sp_responses_read_tools },
    { "top_p", sp_responses_read_top_p },
    { "truncation", sp_responses_read_truncation },
    { "user", sp_responses_read_user }
};


sp_chat_request_t *
sp_responses_parse_request(json_t *root, sp_chat_error_t *error)
{
    sp_responses_parser_t  p;

    memset(error, 0, sizeof(sp_chat_error_t));
    memset(&p, 0, sizeof(sp_responses_parser_t));

    p.error = error;

    if (root == NULL) {
        return NULL;
    }

    if (!json_is_object(root)) {
        (void) sp_responses_refuse(&p, &sp_responses_not_object, NULL);
        json_decref(root);

        return NULL;
    }

    /* from here on the root is the chat's */

    if (sp_responses_allocate(&p, root) != 0) {
        json_decref(root);
        return NULL;
    }

    if (sp_responses_read_root(&p) != 0
        || sp_responses_read_input(&p) != 0)
    {
        sp_chat_free(p.chat);
        return NULL;
    }

    return p.chat;
}


static int
sp_responses_read_root(sp_responses_parser_t *p)
{
    json_t                 *value;
    const char             *key;
    const sp_chat_error_t  *failed;

    failed = sp_openai_read_model(p->chat);

    if (failed == NULL) {
        failed = sp_openai_read_metadata(p->chat);
    }

    if (failed != NULL) {
        return sp_responses_refuse(p, failed, NULL);
    }

    json_object_foreach(p->chat->root, key, value) {
        if (!json_is_null(value)
            && sp_responses_read_member(p, key, value) != 0)
        {
            if (p->error->code != NULL && p->error->param == NULL) {
                p->error->param = key;
            }

            return -1;
        }
    }

    return 0;
}


static int
sp_responses_read_member(sp_responses_parser_t *p, const char *key,
    json_t *value)
{
    size_t  i, n;

    n = sizeof(sp_responses_members) / sizeof(sp_responses_members[0]);

    for (i = 0; i < n; i++) {
        if (strcmp(sp_responses_members[i].name, key) == 0) {
            return sp_responses_members[i].read(p, value);
        }
    }

    return sp_responses_refuse(p, &sp_responses_unsupported, key);
}


/* read elsewhere */

static int
sp_responses_read_none(sp_responses_parser_t *p, json_t *value)
{
    return 0;
}


static int
sp_responses_read_stateful(sp_responses_parser_t *p, json_t *value)
{
    return sp_responses_refuse(p, &sp_responses_stateful, NULL);
}


static int
sp_responses_read_switch(sp_responses_parser_t *p, json_t *value)
{
    return json_is_false(value)
           ? 0 : sp_responses_refuse(p, &sp_responses_stateful, NULL);
}


static int
sp_responses_read_instructions(sp_responses_parser_t *p, json_t *value)
{
    return json_is_string(value)
           ? 0 : sp_responses_refuse(p, &sp_responses_invalid, NULL);
}


/* how a provider finds its cache: nothing of the answer */

static int
sp_responses_read_hint(sp_responses_parser_t *p, json_t *value)
{
    return json_is_string(value)
           ? 0 : sp_responses_refuse(p, &sp_responses_invalid, NULL);
}


/* what Codex tells of itself */

static int
sp_responses_read_note(sp_responses_parser_t *p, json_t *value)
{
    return json_is_object(value)
           ? 0 : sp_responses_refuse(p, &sp_responses_invalid, NULL);
}


static int
sp_responses_read_tier(sp_responses_parser_t *p, json_t *value)
{
    static const char  *const words[] = { "auto", "default", NULL };

    return sp_responses_is_one(value, words)
           ? 0 : sp_responses_refuse(p, &sp_responses_unsupported, NULL);
}


/* a history that is too long for its model is trimmed anyway */

static int
sp_responses_read_truncation(sp_responses_parser_t *p, json_t *value)
{
    static const char  *const words[] = { "auto", "disabled", NULL };

    return sp_responses_is_one(value, words)
           ? 0 : sp_responses_refuse(p, &sp_responses_invalid, NULL);
}


static int
sp_responses_read_stream(sp_responses_parser_t *p, json_t *value)
{
    if (!json_is_boolean(value)) {
        return sp_responses_refuse(p, &sp_responses_stream_invalid, NULL);
    }

    p->chat->stream = json_is_true(value) ? 1 : 0;

    return 0;
}


/* padding against who counts bytes: none is written, none need be */

static int
sp_responses_read_stream_options(sp_responses_parser_t *p,
    json_t *value)
{
    const char    *other;
    const json_t  *padding;

    static const char  *const names[] = { "include_obfuscation", NULL };

    padding = sp_responses_member(value, "include_obfuscation");

    if (!json_is_object(value)
        || (padding != NULL && !json_is_boolean(padding)))
    {
        return sp_responses_refuse(p, &sp_responses_invalid, NULL);
    }

    other = sp_responses_other(value, names);

    if (other != NULL || json_is_true(padding)) {
        return sp_responses_refuse(p, &sp_responses_unsupported,
                                   other ? other : names[0]);
    }

    return 0;
}


static int
sp_responses_read_max_tokens(sp_responses_parser_t *p, json_t *value)
{
    if (!json_is_integer(value) || json_integer_value(value) < 1) {
        return sp_responses_refuse(p, &sp_responses_max_tokens_invalid, NULL);
    }

    p->chat->max_tokens = json_integer_value(value);

    return 0;
}


static int
sp_responses_read_temperature(sp_responses_parser_t *p, json_t *value)
{
    p->chat->options[SP_CHAT_TEMPERATURE] = value;

    return json_is_number(value)
           ? 0 : sp_responses_refuse(p, &sp_responses_invalid, NULL);
}


static int
sp_responses_read_top_p(sp_responses_parser_t *p, json_t *value)
{
    p->chat->options[SP_CHAT_TOP_P] = value;

    return json_is_number(value)
           ? 0 : sp_responses_refuse(p, &sp_responses_invalid, NULL);
}


static int
sp_responses_read_parallel(sp_responses_parser_t *p, json_t *value)
{
    p->chat->options[SP_CHAT_PARALLEL_CALLS] = value;

    return json_is_boolean(value)
           ? 0 : sp_responses_refuse(p, &sp_responses_invalid, NULL);
}


/* the older name of "safety_identifier" */

static int
sp_responses_read_user(sp_responses_parser_t *p, json_t *value)
{
    if (sp_responses_member(p->chat->root, "safety_identifier") == NULL) {
        return sp_responses_read_safety(p, value);
    }

    return json_is_string(value)
           ? 0 : sp_responses_refuse(p, &sp_responses_invalid, NULL);
}


static int
sp_responses_read_safety(sp_responses_parser_t *p, json_t *value)
{
    p->chat->options[SP_CHAT_END_USER] = value;

    return json_is_string(value)
           ? 0 : sp_responses_refuse(p, &sp_responses_invalid, NULL);
}


static int
sp_responses_read_include(sp_responses_parser_t *p, json_t *value)
{
    size_t  i;

    static const char  *const words[] = {
        "reasoning.encrypted_content", NULL
    };

    for (i = 0; i < json_array_size(value); i++) {
        if (!sp_responses_is_one(json_array_get(value, i), words)) {
            return sp_responses_refuse(p, &sp_responses_include_unsupported,
                                       NULL);
        }
    }

    return json_is_array(value)
           ? 0 : sp_responses_refuse(p, &sp_responses_invalid, NULL);
}


/* what a provider tells of its reasoning is the summary, of any length */

static int
sp_responses_read_reasoning(sp_responses_parser_t *p, json_t *value)
{
    const char    *other;
    const json_t  *effort, *summary;

    static const char  *const names[] = {
        "effort", "summary", "generate_summary", NULL
    };

    static const char  *const words[] = {
        "auto", "concise", "detailed", "none", NULL
    };

    effort = sp_responses_member(value, "effort");
    summary = sp_responses_member(value, "summary");

    if (summary == NULL) {
        summary = sp_responses_member(value, "generate_summary");
    }

    if (!json_is_object(value)
        || (effort != NULL && !json_is_string(effort))
        || (summary != NULL && !sp_responses_is_one(summary, words)))
    {
        return sp_responses_refuse(p, &sp_responses_invalid, NULL);
    }

    other = sp_responses_other(value, names);

    if (other != NULL) {
        return sp_responses_refuse(p, &sp_responses_unsupported, other);
    }

    p->chat->options[SP_CHAT_EFFORT] = effort;

    return 0;
}


static int
sp_responses_read_text(sp_responses_parser_t *p, json_t *value)
{
    json_t      *format, *verbosity;
    const char  *other;

    static const char  *const names[] = { "format", "verbosity", NULL };

    format = sp_responses_member(value, "format");
    verbosity = sp_responses_member(value, "verbosity");

    if (!json_is_object(value)
        || (verbosity != NULL && !json_is_string(verbosity)))
    {
        return sp_responses_refuse(p, &sp_responses_invalid, NULL);
    }

    other = sp_responses_other(value, names);

    if (other != NULL) {
        return sp_responses_refuse(p, &sp_responses_unsupported, other);
    }

    p->chat->options[SP_CHAT_VERBOSITY] = verbosity;

    return (format != NULL) ? sp_responses_read_format(p, format) : 0;
}


/* the same as OpenAI's response_format, but for an object less around it */

static int
sp_responses_read_format(sp_responses_parser_t *p, json_t *format)
{
    size_t       i;
    json_t      *made, *schema, *value;
    const char  *other, *type;

    static const char  *const names[] = {
        "type", "name", "schema", "strict", "description", NULL
    };

    type = json_string_value(json_object_get(format, "type"));

    if (type != NULL && strcmp(type, "text") == 0) {
        return 0;
    }

    if (type != NULL && strcmp(type, "json_object") == 0) {
        p->chat->options[SP_CHAT_FORMAT] = format;
        return 0;
    }

    if (type == NULL || strcmp(type, "json_schema") != 0
        || !json_is_string(json_object_get(format, "name"))
        || !json_is_object(json_object_get(format, "schema")))
    {
        return sp_responses_refuse(p, &sp_responses_format_invalid, NULL);
    }

    other = sp_responses_other(format, names);

    if (other != NULL) {
        return sp_responses_refuse(p, &sp_responses_unsupported, other);
    }

    schema = json_object();

    for (i = 1; names[i] != NULL; i++) {
        value = json_object_get(format, names[i]);

        if (value != NULL && !json_is_null(value)
            && json_object_set(schema, names[i], value) != 0)
        {
            json_decref(schema);
            return -1;
        }
    }

    made = json_pack("{s:s,s:o}", "type", "json_schema", "json_schema",
                     schema);

    p->chat->options[SP_CHAT_FORMAT] = made;
    p->chat->made = made;

    return (made != NULL) ? 0 : -1;
}


static int
sp_responses_read_tools(sp_responses_parser_t *p, json_t *value)
{
    size_t  i;

    if (!json_is_array(value)) {
        return sp_responses_refuse(p, &sp_responses_tool_invalid, NULL);
    }

    p->chat->ntools = json_array_size(value);

    for (i = 0; i < p->chat->ntools; i++) {
        if (sp_responses_read_tool(p, &p->chat->tools[i],
                                   json_array_get(value, i))
            != 0)
        {
            return -1;
        }
    }

    return 0;
}


static int
sp_responses_read_tool(sp_responses_parser_t *p, sp_chat_tool_t *tool,
    json_t *value)
{
    const char    *other, *type;
    const json_t  *description, *parameters;

    static const char  *const names[] = {
        "type", "name", "description", "parameters", "strict", NULL
    };

    type = json_string_value(json_object_get(value, "type"));

    if (type == NULL || strcmp(type, "function") != 0) {
        return sp_responses_refuse(p, &sp_responses_tool_unsupported, NULL);
    }

    other = sp_responses_other(value, names);

    if (other != NULL) {
        return sp_responses_refuse(p, &sp_responses_unsupported, other);
    }

    description = sp_responses_member(value, "description");
    parameters = sp_responses_member(value, "parameters");

    tool->name = json_string_value(json_object_get(value, "name"));
    tool->description = json_string_value(description);
    tool->parameters = parameters;
    tool->strict = json_is_true(json_object_get(value, "strict")) ? 1 : 0;

    return (tool->name != NULL
            && (description == NULL || json_is_string(description))
            && (parameters == NULL || json_is_object(parameters)))
           ? 0 : sp_responses_refuse(p, &sp_responses_tool_invalid, NULL);
}


static int
sp_responses_read_choice(sp_responses_parser_t *p, json_t *value)
{
    size_t       i;
    const char  *text, *type;

    /* by sp_chat_choice_e */

    static const char  *const words[] = { "auto", "none", "required" };

    static const char  *const names[] = { "type", "name", NULL };

    text = json_string_value(value);

    for (i = 0; text != NULL && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i], text) == 0) {
            p->chat->choice = (sp_chat_choice_e) i;
            return 0;
        }
    }

    type = json_string_value(json_object_get(value, "type"));
    text = json_string_value(json_object_get(value, "name"));

    if (type == NULL || strcmp(type, "function") != 0 || text == NULL
        || sp_responses_other(value, names) != NULL)
    {
        return sp_responses_refuse(p, &sp_responses_choice_unsupported, NULL);
    }

    p->chat->choice = SP_CHAT_CHOICE_NAMED;
    p->chat->choice_name = text;

    return 0;
}


static int
sp_responses_is_one(const json_t *value, const char *const *words)
{
    const char  *text;

    text = json_string_value(value);

    for ( /* void */ ; text != NULL && *words != NULL; words++) {
        if (strcmp(*words, text) == 0) {
            return 1;
        }
    }

    return 0;
}


json_t *
sp_responses_member(const json_t *object, const char *key)
{
    json_t  *value;

    value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}


const char *
sp_responses_other(json_t *object, const char *const *names)
{
    json_t      *value;
    size_t       i;
    const char  *key;

    json_object_foreach(object, key, value) {

        for (i = 0; names[i] != NULL && strcmp(names[i], key) != 0; i++) {
            /* void */
        }

        if (names[i] == NULL && !json_is_null(value)) {
            return key;
        }
    }

    return NULL;
}


int
sp_responses_refuse(sp_responses_parser_t *p, const sp_chat_error_t *error,
    const char *param)
{
    *p->error = *error;

    if (param != NULL) {
        p->error->param = param;
    }

    return -1;
}
