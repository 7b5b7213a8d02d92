
/*
 * Copyright (C) Sallyport authors
 */

#include "tap.h"

#include "sp_dialect.h"
#include "sp_json.h"


/* what is read of a request, or how it is refused */

typedef struct {
    const char  *json;
    const char  *expected;
} parse_t;


static const parse_t  parses[] = {

    { "{\"input\":\"hi\"}", "user:hi" },
    { "{\"input\":\"hi\",\"instructions\":\"be kind\"}",
      "system:be kind user:hi" },
    { "{\"input\":[{\"role\":\"developer\",\"content\":\"a\"},"
      "{\"type\":\"message\",\"role\":\"user\",\"content\":"
      "[{\"type\":\"input_text\",\"text\":\"b\"},"
      "{\"type\":\"input_text\",\"text\":\"c\"}]}]}",
      "system:a user:b\nc[tt]" },
    { "{\"input\":[{\"role\":\"user\",\"content\":"
      "[{\"type\":\"input_text\",\"text\":\"b\"}]}]}", "user:b" },
    { "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\","
      "\"image_url\":\"http://x/y.png\",\"detail\":\"low\"}]}]}",
      "user:[i=http://x/y.png]" },
    { "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_file\","
      "\"file_data\":\"QQ==\",\"filename\":\"a.pdf\"}]}]}",
      "user:[f=QQ==]" },

    /* one turn of the assistant is one message */

    { "{\"input\":[{\"role\":\"user\",\"content\":\"q\"},"
      "{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":"
      "[{\"type\":\"summary_text\",\"text\":\"hm\"}],"
      "\"encrypted_content\":\"SIG\"},"
      "{\"type\":\"message\",\"id\":\"msg_1\",\"status\":\"completed\","
      "\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\","
      "\"text\":\"I look\",\"annotations\":[],\"logprobs\":[]}]},"
      "{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\","
      "\"arguments\":\"{}\"},"
      "{\"type\":\"function_call\",\"call_id\":\"c2\",\"name\":\"g\","
      "\"arguments\":\"[]\",\"id\":\"fc_2\",\"status\":\"completed\"},"
      "{\"type\":\"function_call_output\",\"call_id\":\"c1\","
      "\"output\":\"1\"},"
      "{\"type\":\"function_call_output\",\"call_id\":\"c2\","
      "\"output\":[{\"type\":\"input_text\",\"text\":\"2\"}]}]}",
      "user:q assistant:I look[r=hm(SIG)t](c1 f {})(c2 g []) "
      "tool:1{c1} tool:2{c2}" },
    { "{\"input\":[{\"role\":\"assistant\",\"content\":\"a\"},"
      "{\"role\":\"assistant\",\"content\":[{\"type\":\"refusal\","
      "\"refusal\":\"no\"}]},{\"role\":\"user\",\"content\":\"q\"}]}",
      "assistant:a[tn] user:q" },
    { "{\"input\":[{\"type\":\"reasoning\",\"summary\":[],"
      "\"encrypted_content\":\"E\"},{\"type\":\"function_call\","
      "\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"}]}",
      "assistant:[r(E)](c f {})" },
    { "{\"input\":[{\"type\":\"reasoning\",\"summary\":[],\"content\":"
      "[{\"type\":\"reasoning_text\",\"text\":\"x\"}]},"
      "{\"role\":\"assistant\",\"content\":\"y\"}]}", "assistant:y[r=xt]" },

    { "{\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\","
      "\"name\":\"f\",\"arguments\":\"{}\",\"extra_content\":"
      "{\"google\":{\"thought_signature\":\"S\"}}},"
      "{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":"
      "[{\"type\":\"input_text\",\"text\":\"1\"}]}]}",
      "assistant:(c f {} S) tool:1{c}" },

    /* options */

    { "{\"input\":\"x\",\"stream\":true,\"max_output_tokens\":7,"
      "\"temperature\":0.1,\"top_p\":1,\"parallel_tool_calls\":false,"
      "\"reasoning\":{\"effort\":\"low\",\"summary\":\"auto\"},"
      "\"text\":{\"verbosity\":\"high\"},\"user\":\"u\",\"store\":false,"
      "\"include\":[\"reasoning.encrypted_content\"],"
      "\"truncation\":\"auto\",\"service_tier\":\"default\","
      "\"prompt_cache_key\":\"k\",\"background\":null,"
      "\"client_metadata\":{\"a\":\"b\"},"
      "\"previous_response_id\":null,\"tool_choice\":\"none\"}",
      "user:x +stream +max=7 +temperature=0.1 +top_p=1 +effort=\"low\" "
      "+user=\"u\" +parallel=false +verbosity=\"high\" +choice=1" },
    { "{\"input\":\"x\",\"user\":\"u\",\"safety_identifier\":\"s\"}",
      "user:x +user=\"s\"" },
    { "{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_schema\","
      "\"name\":\"n\",\"schema\":{\"a\":1},\"strict\":true,"
      "\"description\":null}}}",
      "user:x +format={\"json_schema\":{\"name\":\"n\",\"schema\":{\"a\":1},"
      "\"strict\":true},\"type\":\"json_schema\"}" },
    { "{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_object\"}}}",
      "user:x +format={\"type\":\"json_object\"}" },
    { "{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"text\"}}}",
      "user:x" },
    { "{\"input\":\"x\",\"tools\":[{\"type\":\"function\",\"name\":\"f\","
      "\"description\":\"d\",\"parameters\":{\"type\":\"object\"},"
      "\"strict\":true}],\"tool_choice\":{\"type\":\"function\","
      "\"name\":\"f\"}}", "user:x +choice=3 f <f d {\"type\":\"object\"} !>" },

    /* what is refused, by the name of its member */

    { "[]", "!request_not_object" },
    { "{}", "!messages_required input" },
    { "{\"input\":[]}", "!messages_required input" },
    { "{\"input\":7}", "!messages_required input" },
    { "{\"input\":\"x\",\"model\":7}", "!model_invalid model" },
    { "{\"input\":\"x\",\"metadata\":{\"chat_id\":\"7\"}}",
      "!chat_id_invalid metadata.chat_id" },
    { "{\"input\":[7]}", "!message_invalid input" },
    { "{\"input\":[{\"content\":\"x\"}]}", "!message_invalid input" },
    { "{\"input\":[{\"type\":7}]}", "!message_invalid input" },
    { "{\"input\":[{\"type\":\"item_reference\",\"id\":\"msg_1\"}]}",
      "!unsupported_item input" },
    { "{\"input\":[{\"type\":\"web_search_call\",\"id\":\"ws_1\"}]}",
      "!unsupported_item input" },
    { "{\"input\":[{\"role\":\"tool\",\"content\":\"x\"}]}",
      "!role_invalid input" },
    { "{\"input\":[{\"role\":\"user\",\"content\":[]}]}",
      "!content_invalid input" },
    { "{\"input\":[{\"role\":\"user\",\"content\":[{\"text\":\"x\"}]}]}",
      "!content_invalid input" },
    { "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\"}"
      "]}]}", "!content_invalid input" },
    { "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\","
      "\"data\":\"x\"}]}]}", "!unsupported_content input" },
    { "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\","
      "\"file_id\":\"file_1\"}]}]}", "!unsupported_content input" },
    { "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_file\","
      "\"file_url\":\"http://x\"}]}]}", "!unsupported_content input" },
    { "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\","
      "\"detail\":\"low\"}]}]}", "!content_invalid input" },
    { "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
      "\"text\":\"x\",\"prompt_cache_breakpoint\":{\"mode\":\"explicit\"}}]}"
      "]}", "!unsupported_parameter prompt_cache_breakpoint" },
    { "{\"input\":[{\"role\":\"user\",\"content\":\"x\",\"phase\":\"y\"}]}",
      "!unsupported_parameter phase" },
    { "{\"input\":[{\"type\":\"function_call\",\"name\":\"f\","
      "\"arguments\":\"{}\"}]}", "!tool_call_invalid input" },
    { "{\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\","
      "\"name\":\"f\",\"arguments\":{}}]}", "!tool_call_invalid input" },
    { "{\"input\":[{\"type\":\"function_call_output\",\"call_id\":\"c\"}]}",
      "!tool_call_invalid input" },
    { "{\"input\":[{\"type\":\"reasoning\",\"summary\":[7]}]}",
      "!reasoning_invalid input" },
    { "{\"input\":[{\"type\":\"reasoning\",\"summary\":\"x\"}]}",
      "!reasoning_invalid input" },
    { "{\"input\":\"x\",\"stream\":1}", "!stream_invalid stream" },
    { "{\"input\":\"x\",\"max_output_tokens\":0}",
      "!max_tokens_invalid max_output_tokens" },
    { "{\"input\":\"x\",\"temperature\":\"1\"}",
      "!parameter_invalid temperature" },
    { "{\"input\":\"x\",\"instructions\":[]}",
      "!parameter_invalid instructions" },
    { "{\"input\":\"x\",\"previous_response_id\":\"resp_1\"}",
      "!unsupported_parameter previous_response_id" },
    { "{\"input\":\"x\",\"conversation\":\"c\"}",
      "!unsupported_parameter conversation" },
    { "{\"input\":\"x\",\"prompt\":{\"id\":\"p\"}}",
      "!unsupported_parameter prompt" },
    { "{\"input\":\"x\",\"background\":true}",
      "!unsupported_parameter background" },
    { "{\"input\":\"x\",\"store\":true}", "!unsupported_parameter store" },
    { "{\"input\":\"x\",\"max_tool_calls\":3}",
      "!unsupported_parameter max_tool_calls" },
    { "{\"input\":\"x\",\"top_logprobs\":3}",
      "!unsupported_parameter top_logprobs" },
    { "{\"input\":\"x\",\"service_tier\":\"flex\"}",
      "!unsupported_parameter service_tier" },
    { "{\"input\":\"x\",\"include\":[\"message.output_text.logprobs\"]}",
      "!unsupported_parameter include" },
    { "{\"input\":\"x\",\"stream_options\":{\"include_obfuscation\":true}}",
      "!unsupported_parameter include_obfuscation" },
    { "{\"input\":\"x\",\"stream_options\":{\"include_obfuscation\":false}}",
      "user:x" },
    { "{\"input\":\"x\",\"reasoning\":{\"effort\":3}}",
      "!parameter_invalid reasoning" },
    { "{\"input\":\"x\",\"reasoning\":{\"depth\":3}}",
      "!unsupported_parameter depth" },
    { "{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"grammar\"}}}",
      "!parameter_invalid text.format" },
    { "{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_schema\"}}}",
      "!parameter_invalid text.format" },
    { "{\"input\":\"x\",\"truncation\":\"maybe\"}",
      "!parameter_invalid truncation" },
    { "{\"input\":\"x\",\"client_metadata\":1}",
      "!parameter_invalid client_metadata" },
    { "{\"input\":\"x\",\"tools\":{}}", "!tool_invalid tools" },
    { "{\"input\":\"x\",\"tools\":[{\"type\":\"web_search\"}]}",
      "!unsupported_tool tools" },
    { "{\"input\":\"x\",\"tools\":[{\"type\":\"custom\",\"name\":\"p\"}]}",
      "!unsupported_tool tools" },
    { "{\"input\":\"x\",\"tools\":[{\"type\":\"function\"}]}",
      "!tool_invalid tools" },
    { "{\"input\":\"x\",\"tools\":[{\"type\":\"function\",\"name\":\"f\","
      "\"output_schema\":{}}]}", "!unsupported_parameter output_schema" },
    { "{\"input\":\"x\",\"tool_choice\":{\"type\":\"file_search\"}}",
      "!unsupported_parameter tool_choice" },
    { "{\"input\":\"x\",\"tool_choice\":\"most\"}",
      "!unsupported_parameter tool_choice" },
    { "{\"input\":\"x\",\"frequency_penalty\":1}",
      "!unsupported_parameter frequency_penalty" }
};


static void describe(const sp_chat_request_t *chat, char *text);
static void describe_message(const sp_chat_message_t *m, char *text);
static void test_parse(void);


static void
describe(const sp_chat_request_t *chat, char *text)
{
    char        *value;
    size_t       i;

    static const char  *const names[] = {
        "temperature", "top_p", "", "", "", "", "format", "effort", "user",
        "parallel", "verbosity"
    };

    for (i = 0; i < chat->nmessages; i++) {
        strcat(text, i != 0 ? " " : "");
        describe_message(&chat->messages[i], text + strlen(text));
    }

    strcat(text, chat->stream ? " +stream" : "");

    if (chat->max_tokens > 0) {
        sprintf(text + strlen(text), " +max=%d", (int) chat->max_tokens);
    }

    for (i = 0; i < SP_CHAT_NOPTIONS; i++) {
        if (chat->options[i] != NULL) {
            value = json_dumps(chat->options[i],
                               JSON_ENCODE_ANY|JSON_COMPACT|JSON_SORT_KEYS
                               |JSON_REAL_PRECISION(15));
            sprintf(text + strlen(text), " +%s=%s", names[i], value);
            free(value);
        }
    }

    if (chat->choice != SP_CHAT_CHOICE_AUTO) {
        sprintf(text + strlen(text), " +choice=%d%s%s", (int) chat->choice,
                chat->choice_name ? " " : "",
                chat->choice_name ? chat->choice_name : "");
    }

    for (i = 0; i < chat->ntools; i++) {
        value = json_dumps(chat->tools[i].parameters, JSON_COMPACT);
        sprintf(text + strlen(text), " <%s %s %s%s>", chat->tools[i].name,
                chat->tools[i].description, value,
                chat->tools[i].strict ? " !" : "");
        free(value);
    }
}


static void
describe_message(const sp_chat_message_t *m, char *text)
{
    size_t  i;

    static const char  *const roles[] = {
        "system", "user", "assistant", "tool"
    };

    sprintf(text, "%s:%.*s", roles[m->role], (int) m->len, m->text);
    strcat(text, m->nparts != 0 ? "[" : "");

    for (i = 0; i < m->nparts; i++) {
        sprintf(text + strlen(text), "%c", "tniafr"[m->parts[i].kind]);

        if (m->parts[i].data != NULL
            && m->parts[i].kind >= SP_CHAT_PART_IMAGE)
        {
            sprintf(text + strlen(text), "=%s",
                    json_string_value(m->parts[i].data));
        }

        if (m->parts[i].signature != NULL) {
            sprintf(text + strlen(text), "(%s)",
                    json_string_value(m->parts[i].signature));
        }
    }

    strcat(text, m->nparts != 0 ? "]" : "");

    for (i = 0; i < m->ncalls; i++) {
        sprintf(text + strlen(text), "(%s %s %s%s%s)", m->calls[i].id,
                m->calls[i].name, json_string_value(m->calls[i].arguments),
                m->calls[i].signature ? " " : "",
                m->calls[i].signature
                ? json_string_value(m->calls[i].signature) : "");
    }

    if (m->call_id != NULL) {
        sprintf(text + strlen(text), "{%s}", m->call_id);
    }
}


static void
test_parse(void)
{
    char                got[1024];
    size_t              i;
    json_t             *root;
    sp_chat_error_t     error;
    sp_chat_request_t  *chat;

    for (i = 0; i < sizeof(parses) / sizeof(parses[0]); i++) {
        got[0] = '\0';

        if (sp_json_parse(parses[i].json, strlen(parses[i].json), NULL, &root,
                          NULL)
            != SP_JSON_OK)
        {
            TAP_OK(0, "not JSON: %s", parses[i].json);
            continue;
        }

        /* the names of members are the request's own */

        json_incref(root);

        chat = sp_responses.parse_request(root, &error);

        if (chat != NULL) {
            describe(chat, got);
            sp_chat_free(chat);

        } else {
            sprintf(got, "!%s%s%s", error.code, error.param ? " " : "",
                    error.param ? error.param : "");
        }

        json_decref(root);

        TAP_IS_STR(got, parses[i].expected, "%s", parses[i].json);
    }
}


int
main(void)
{
    test_parse();

    return tap_done();
}
