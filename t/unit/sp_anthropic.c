/*
 * Copyright (C) Sallyport authors
 *
 * Requests of the Messages API: to a provider of chat completions and from its
 * clients, by their texts, and edited for a provider of the same API.
 */

#include "tap.h"

#include "sp_dialect.h"
#include "sp_json.h"


typedef struct {
    const char  *name;
    const char  *request;
    const char  *expected;       /* as the other dialect has it, or: */
    const char  *param;          /* refused, by this name */
} translation_t;


#define USER  "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define ASK   "\"messages\":[{\"role\":\"user\",\"content\":" \
              "[{\"type\":\"text\",\"text\":\"hi\"}]}]"


/* chat completions to a provider that speaks Messages */

static const translation_t  to_messages[] = {
    { "the least", "{" USER "}",
      "{\"model\":\"real\",\"max_tokens\":4096," ASK "}", NULL },
    { "numbers as they were written",
      "{\"temperature\":0.70,\"top_p\":1e-1,\"max_completion_tokens\":7,"
      "\"stop\":\"x\",\"user\":\"u\"," USER "}",
      "{\"model\":\"real\",\"max_tokens\":7,\"temperature\":0.70,"
      "\"top_p\":1e-1,\"stop_sequences\":[\"x\"],"
      "\"metadata\":{\"user_id\":\"u\"}," ASK "}", NULL },
    { "system messages are in one place, turns are merged",
      "{\"max_tokens\":1,\"messages\":[{\"role\":\"system\",\"content\":"
      "\"a\"},{\"role\":\"user\",\"content\":\"b\"},{\"role\":\"developer\","
      "\"content\":\"c\"},{\"role\":\"user\",\"content\":\"d\"},"
      "{\"role\":\"assistant\",\"content\":\"e\"},{\"role\":\"user\","
      "\"content\":\"f\"}]}",
      "{\"model\":\"real\",\"max_tokens\":1,\"system\":[{\"type\":\"text\","
      "\"text\":\"a\"},{\"type\":\"text\",\"text\":\"c\"}],\"messages\":["
      "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"b\"},"
      "{\"type\":\"text\",\"text\":\"d\"}]},{\"role\":\"assistant\","
      "\"content\":[{\"type\":\"text\",\"text\":\"e\"}]},{\"role\":\"user\","
      "\"content\":[{\"type\":\"text\",\"text\":\"f\"}]}]}", NULL },
    { "tools, their calls and results; ids the API takes",
      "{\"max_tokens\":1,\"tools\":[{\"type\":\"function\",\"function\":"
      "{\"name\":\"f\",\"description\":\"d\",\"strict\":true,\"parameters\":"
      "{\"type\":\"object\"}}},{\"type\":\"function\",\"function\":{\"name\":"
      "\"g\"}}],\"tool_choice\":\"required\",\"parallel_tool_calls\":false,"
      "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":"
      "\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c:1\","
      "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
      "\"{\\\"x\\\": 1.50}\"}},{\"id\":\"c2\",\"type\":\"function\","
      "\"function\":{\"name\":\"g\",\"arguments\":\"\"}},{\"id\":\"c3\","
      "\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":"
      "\"{oops\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c:1\",\"content\":"
      "\"r1\"},{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":"
      "[{\"type\":\"text\",\"text\":\"r2\"}]},{\"role\":\"user\",\"content\":"
      "\"so?\"}]}",
      "{\"model\":\"real\",\"max_tokens\":1,\"tools\":[{\"name\":\"f\","
      "\"description\":\"d\",\"input_schema\":{\"type\":\"object\"},"
      "\"strict\":true},{\"name\":\"g\",\"input_schema\":{\"type\":\"object\","
      "\"properties\":{}}}],\"tool_choice\":{\"type\":\"any\","
      "\"disable_parallel_tool_use\":true},\"messages\":[{\"role\":\"user\","
      "\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]},{\"role\":"
      "\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c_1\","
      "\"name\":\"f\",\"input\":{\"x\":1.50}},{\"type\":\"tool_use\",\"id\":"
      "\"c2\",\"name\":\"g\",\"input\":{}},{\"type\":\"tool_use\",\"id\":"
      "\"c3\",\"name\":\"g\",\"input\":{\"arguments\":\"{oops\"}}]},"
      "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
      "\"tool_use_id\":\"c_1\",\"content\":\"r1\"},{\"type\":"
      "\"tool_result\",\"tool_use_id\":\"c2\",\"content\":[{\"type\":\"text\","
      "\"text\":\"r2\"}]},{\"type\":\"text\",\"text\":\"so?\"}]}]}", NULL },
    { "images, a document, a marker of the cache",
      "{\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":["
      "{\"type\":\"image_url\",\"image_url\":{\"url\":"
      "\"data:image/png;base64,aGk=\",\"detail\":\"low\"}},{\"type\":"
      "\"image_url\",\"image_url\":{\"url\":\"https://x/y\"}},{\"type\":"
      "\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":"
      "\"data:application/pdf;name=a;base64,JVBE\"}},{\"type\":\"text\","
      "\"text\":\"t\",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":"
      "\"1h\"}}]}]}",
      "{\"model\":\"real\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\","
      "\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"base64\","
      "\"media_type\":\"image/png\",\"data\":\"aGk=\"}},{\"type\":\"image\","
      "\"source\":{\"type\":\"url\",\"url\":\"https://x/y\"}},{\"type\":"
      "\"document\",\"source\":{\"type\":\"base64\",\"media_type\":"
      "\"application/pdf\",\"data\":\"JVBE\"},\"title\":\"a.pdf\"},{\"type\":"
      "\"text\",\"text\":\"t\",\"cache_control\":{\"type\":\"ephemeral\","
      "\"ttl\":\"1h\"}}]}]}", NULL },
    { "who greets first is answered to; empty texts are none",
      "{\"max_tokens\":1,\"messages\":[{\"role\":\"assistant\",\"content\":"
      "\"Hello\"},{\"role\":\"user\",\"content\":\"hi\"},{\"role\":"
      "\"assistant\",\"content\":\"\"},{\"role\":\"user\",\"content\":"
      "\"ho\"}]}",
      "{\"model\":\"real\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\","
      "\"content\":[{\"type\":\"text\",\"text\":\".\"}]},{\"role\":"
      "\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"Hello\"}]},"
      "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"},"
      "{\"type\":\"text\",\"text\":\"ho\"}]}]}", NULL },
    { "an effort is a budget; the answer's own tokens are beside it",
      "{\"reasoning_effort\":\"medium\"," USER "}",
      "{\"model\":\"real\",\"max_tokens\":8192,\"thinking\":{\"type\":"
      "\"enabled\",\"budget_tokens\":4096}," ASK "}", NULL },
    { "a budget below what the client grants",
      "{\"reasoning_effort\":\"high\",\"max_tokens\":2000," USER "}",
      "{\"model\":\"real\",\"max_tokens\":2000,\"thinking\":{\"type\":"
      "\"enabled\",\"budget_tokens\":1999}," ASK "}", NULL },
    { "no effort", "{\"reasoning_effort\":\"none\",\"max_tokens\":5," USER "}",
      "{\"model\":\"real\",\"max_tokens\":5," ASK "}", NULL },
    { "a turn of calls goes on as it began, without reasoning",
      "{\"reasoning_effort\":\"low\",\"max_tokens\":5,\"messages\":[{\"role\":"
      "\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"tool_calls\":"
      "[{\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
      "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"r\"}]}",
      "{\"model\":\"real\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\","
      "\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]},{\"role\":"
      "\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c\","
      "\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":["
      "{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"content\":\"r\"}]}]}",
      NULL },
    { "an answer by a schema",
      "{\"max_tokens\":1,\"response_format\":{\"type\":\"json_schema\","
      "\"json_schema\":{\"name\":\"n\",\"schema\":{\"type\":\"object\"}}},"
      USER "}",
      "{\"model\":\"real\",\"max_tokens\":1,\"output_config\":{\"format\":"
      "{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\"}}}," ASK "}",
      NULL },
    { "what asks for nothing",
      "{\"max_tokens\":1,\"n\":1,\"presence_penalty\":0,\"frequency_penalty\":"
      "0.0,\"response_format\":{\"type\":\"text\"},\"tool_choice\":\"auto\","
      "\"parallel_tool_calls\":true,\"stop\":null," USER "}",
      "{\"model\":\"real\",\"max_tokens\":1," ASK "}", NULL },
    { "n", "{\"n\":2," USER "}", NULL, "n" },
    { "seed", "{\"seed\":1," USER "}", NULL, "seed" },
    { "a penalty", "{\"presence_penalty\":0.5," USER "}", NULL,
      "presence_penalty" },
    { "an effort nobody knows", "{\"reasoning_effort\":\"most\"," USER "}",
      NULL, "reasoning_effort" },
    { "an effort without tokens",
      "{\"reasoning_effort\":\"low\",\"max_tokens\":1024," USER "}", NULL,
      "reasoning_effort" },
    { "JSON without a schema",
      "{\"response_format\":{\"type\":\"json_object\"}," USER "}", NULL,
      "response_format" },
    { "logit_bias", "{\"logit_bias\":{}," USER "}", NULL, "logit_bias" },
    { "a sound",
      "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
      "\"input_audio\",\"input_audio\":{\"data\":\"x\",\"format\":\"mp3\"}}]}"
      "]}", NULL, "messages" },
    { "a data URL that is not base64",
      "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
      "\"image_url\",\"image_url\":{\"url\":\"data:image/svg+xml,<svg>\"}}]}"
      "]}", NULL, "messages" },
    { "a file at another provider",
      "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\","
      "\"file\":{\"file_id\":\"f\"}}]}]}", NULL, "messages" },
    { "a result of no call",
      "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":"
      "\"tool\",\"content\":\"r\"}]}", NULL, "messages" }
};


/* Messages to a provider that speaks chat completions */

static const translation_t  to_chat[] = {
    { "the least", "{\"max_tokens\":5," USER "}",
      "{\"model\":\"real\",\"max_tokens\":5," USER "}", NULL },
    { "options",
      "{\"max_tokens\":5,\"temperature\":0.10,\"top_p\":0.5,"
      "\"stop_sequences\":[\"a\",\"b\"],\"metadata\":{\"user_id\":\"u\"},"
      "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":4096},"
      "\"cache_control\":{\"type\":\"ephemeral\"},"
      "\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":"
      "{\"type\":\"object\"}}}," USER "}",
      "{\"model\":\"real\",\"max_tokens\":5,\"temperature\":0.10,"
      "\"top_p\":0.5,\"stop\":[\"a\",\"b\"],\"user\":\"u\","
      "\"reasoning_effort\":\"medium\",\"response_format\":{\"type\":"
      "\"json_schema\",\"json_schema\":{\"name\":\"answer\",\"strict\":true,"
      "\"schema\":{\"type\":\"object\"}}}," USER "}", NULL },
    { "an effort",
      "{\"max_tokens\":5,\"thinking\":{\"type\":\"adaptive\"},"
      "\"output_config\":{\"effort\":\"low\"}," USER "}",
      "{\"model\":\"real\",\"max_tokens\":5,\"reasoning_effort\":\"low\","
      USER "}", NULL },
    { "a system prompt in blocks, and one in between",
      "{\"max_tokens\":5,\"system\":[{\"type\":\"text\",\"text\":\"a\","
      "\"cache_control\":{\"type\":\"ephemeral\"}},{\"type\":\"text\","
      "\"text\":\"b\"}],\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"
      "{\"role\":\"system\",\"content\":\"c\"}]}",
      "{\"model\":\"real\",\"max_tokens\":5,\"messages\":[{\"role\":"
      "\"system\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
      "\"text\",\"text\":\"b\"}]},{\"role\":\"user\",\"content\":\"hi\"},"
      "{\"role\":\"system\",\"content\":\"c\"}]}", NULL },
    { "thinking stays, tools and their results go",
      "{\"max_tokens\":5,\"tools\":[{\"name\":\"f\",\"input_schema\":"
      "{\"type\":\"object\"},\"strict\":true,\"cache_control\":{\"type\":"
      "\"ephemeral\"}}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\","
      "\"disable_parallel_tool_use\":true},\"messages\":[{\"role\":\"user\","
      "\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":[{\"type\":"
      "\"thinking\",\"thinking\":\"hm\",\"signature\":\"s\"},{\"type\":"
      "\"redacted_thinking\",\"data\":\"x\"},{\"type\":\"tool_use\",\"id\":"
      "\"t1\",\"name\":\"f\",\"input\":{\"a\":[1]}},{\"type\":\"tool_use\","
      "\"id\":\"t2\",\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\","
      "\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t1\","
      "\"content\":[{\"type\":\"text\",\"text\":\"r\"}]},{\"type\":"
      "\"tool_result\",\"tool_use_id\":\"t2\",\"is_error\":true,\"content\":"
      "\"no\"},{\"type\":\"text\",\"text\":\"so?\"}]}]}",
      "{\"model\":\"real\",\"max_tokens\":5,\"parallel_tool_calls\":false,"
      "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
      "\"parameters\":{\"type\":\"object\"},\"strict\":true}}],"
      "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}},"
      "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":"
      "\"assistant\",\"content\":null,\"tool_calls\":[{\"type\":\"function\","
      "\"id\":\"t1\",\"function\":{\"name\":\"f\",\"arguments\":"
      "\"{\\\"a\\\":[1]}\"}},{\"type\":\"function\",\"id\":\"t2\","
      "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":"
      "\"tool\",\"tool_call_id\":\"t1\",\"content\":[{\"type\":\"text\","
      "\"text\":\"r\"}]},{\"role\":\"tool\",\"tool_call_id\":\"t2\","
      "\"content\":\"no\"},{\"role\":\"user\",\"content\":[{\"type\":"
      "\"text\",\"text\":\"so?\"}]}]}", NULL },
    { "images and documents",
      "{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":["
      "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":"
      "\"image/png\",\"data\":\"aGk=\"}},{\"type\":\"image\",\"source\":"
      "{\"type\":\"url\",\"url\":\"https://x/y\"}},{\"type\":\"document\","
      "\"title\":\"a.pdf\",\"source\":{\"type\":\"base64\",\"media_type\":"
      "\"application/pdf\",\"data\":\"JVBE\"}},{\"type\":\"document\","
      "\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":"
      "\"plain\"}}]}]}",
      "{\"model\":\"real\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\","
      "\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
      "\"data:image/png;base64,aGk=\"}},{\"type\":\"image_url\","
      "\"image_url\":{\"url\":\"https://x/y\"}},{\"type\":\"file\",\"file\":"
      "{\"file_data\":\"data:application/pdf;base64,JVBE\",\"filename\":"
      "\"a.pdf\"}},{\"type\":\"text\",\"text\":\"plain\"}]}]}", NULL },
    { "top_k", "{\"max_tokens\":5,\"top_k\":3," USER "}", NULL, "top_k" },
    { "container", "{\"max_tokens\":5,\"container\":\"c\"," USER "}", NULL,
      "container" },
    { "mcp_servers", "{\"max_tokens\":5,\"mcp_servers\":[]," USER "}", NULL,
      "mcp_servers" },
    { "a tool that runs there",
      "{\"max_tokens\":5,\"tools\":[{\"type\":\"web_search_20250305\","
      "\"name\":\"web_search\"}]," USER "}", NULL, "web_search_20250305" },
    { "a tool with more than a name",
      "{\"max_tokens\":5,\"tools\":[{\"name\":\"f\",\"input_schema\":{},"
      "\"defer_loading\":true}]," USER "}", NULL, "defer_loading" },
    { "a block that only they have",
      "{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":["
      "{\"type\":\"search_result\",\"title\":\"x\"}]}]}", NULL, "messages" },
    { "a file at their place",
      "{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":["
      "{\"type\":\"image\",\"source\":{\"type\":\"file\",\"file_id\":\"f\"}}]"
      "}]}", NULL, "messages" },
    { "citations",
      "{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":["
      "{\"type\":\"document\",\"citations\":{\"enabled\":true},\"source\":"
      "{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"x\"}}]}]}",
      NULL, "messages" },
    { "an image in a result",
      "{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":["
      "{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"content\":[{\"type\":"
      "\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://x\"}}]},"
      "{\"type\":\"text\",\"text\":\"x\"}]}]}", NULL, "messages" }
};


/* what no client may send: the code */

static const struct {
    const char  *request;
    const char  *code;
} refused[] = {
    { "[]", "request_not_object" },
    { "{\"max_tokens\":1}", "messages_required" },
    { "{\"max_tokens\":1,\"messages\":[]}", "messages_required" },
    { "{" USER "}", "max_tokens_required" },
    { "{\"max_tokens\":0," USER "}", "max_tokens_required" },
    { "{\"max_tokens\":1.5," USER "}", "max_tokens_required" },
    { "{\"max_tokens\":1,\"stream\":1," USER "}", "stream_invalid" },
    { "{\"max_tokens\":1,\"model\":\"\"," USER "}", "model_invalid" },
    { "{\"max_tokens\":1,\"metadata\":1," USER "}", "metadata_invalid" },
    { "{\"max_tokens\":1,\"metadata\":{\"chat_id\":\"x\"}," USER "}",
      "chat_id_invalid" },
    { "{\"max_tokens\":1,\"system\":1," USER "}", "system_invalid" },
    { "{\"max_tokens\":1,\"system\":[{\"type\":\"image\"}]," USER "}",
      "system_invalid" },
    { "{\"max_tokens\":1,\"messages\":[1]}", "message_invalid" },
    { "{\"max_tokens\":1,\"messages\":[{\"role\":\"tool\","
      "\"content\":\"x\"}]}", "role_invalid" },
    { "{\"max_tokens\":1,\"messages\":[{\"role\":\"user\"}]}",
      "content_invalid" },
    { "{\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":["
      "{\"type\":\"text\"}]}]}", "content_invalid" },
    { "{\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":["
      "{\"type\":\"image\",\"text\":\"hidden\"}]}]}", "content_invalid" },
    { "{\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":["
      "{\"type\":\"tool_result\",\"content\":1}]}]}", "content_invalid" }
};


static sp_chat_request_t *read_request(const sp_dialect_t *dialect,
    const char *text, sp_chat_error_t *error)
{
    json_t  *root;

    if (sp_json_parse(text, strlen(text), NULL, &root, NULL) != SP_JSON_OK) {
        TAP_OK(0, "JSON: %s", text);
        return NULL;
    }

    return dialect->parse_request(root, error);
}


/* the text for the other one, or NULL and *error */

static char *translate(const sp_dialect_t *from, const sp_dialect_t *to,
    const char *text, sp_chat_error_t *error)
{
    int                 rc;
    sp_out_t            out;
    sp_call_t           call;
    sp_chat_edit_t      edit;
    sp_chat_request_t  *chat;

    static char         param[64];

    chat = read_request(from, text, error);
    if (chat == NULL) {
        return NULL;
    }

    memset(&call, 0, sizeof(sp_call_t));
    memset(&edit, 0, sizeof(sp_chat_edit_t));
    memset(&out, 0, sizeof(sp_out_t));

    call.chat = chat;
    call.edit = &edit;
    call.text = text;
    call.len = strlen(text);

    edit.model = "real";
    edit.model_len = 4;
    edit.anchor = chat->last_user;

    rc = to->write_request(&call, &out, error);

    /* it may be of the request */

    if (rc != 0 && error->param != NULL) {
        (void) snprintf(param, sizeof(param), "%s", error->param);
        error->param = param;
    }

    if (rc == 0) {
        out.size = out.len;
        out.dst = malloc(out.len + 1);
        out.len = 0;

        (void) to->write_request(&call, &out, error);
        out.dst[out.len] = '\0';
    }

    sp_chat_free(chat);

    return out.dst;
}


static void test_translations(const char *what, const sp_dialect_t *from,
    const sp_dialect_t *to, const translation_t *t, size_t n)
{
    char             *text;
    size_t            i;
    json_t           *got, *expected;
    sp_chat_error_t   error;

    for (i = 0; i < n; i++) {
        memset(&error, 0, sizeof(sp_chat_error_t));

        text = translate(from, to, t[i].request, &error);

        if (t[i].expected == NULL) {
            TAP_OK(text == NULL && error.param != NULL
                   && strcmp(error.param, t[i].param) == 0,
                   "%s: %s is refused by its name", what, t[i].name);
            free(text);
            continue;
        }

        got = json_loads(text ? text : "", JSON_REJECT_DUPLICATES, NULL);
        expected = json_loads(t[i].expected, 0, NULL);

        if (!TAP_OK(expected != NULL && json_equal(got, expected), "%s: %s",
                    what, t[i].name))
        {
            printf("#   got      %s\n#   expected %s\n",
                   text ? text : error.code, t[i].expected);
        }

        json_decref(got);
        json_decref(expected);
        free(text);
    }

    text = translate(&sp_openai, &sp_anthropic, to_messages[1].request,
                     &error);
    TAP_OK(text != NULL && strstr(text, "0.70") != NULL, "numbers are spelled "
           "as they came");
    free(text);
}


static void test_refused(void)
{
    size_t              i;
    sp_chat_error_t     error;
    sp_chat_request_t  *chat;

    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        chat = read_request(&sp_anthropic, refused[i].request, &error);

        TAP_OK(chat == NULL && error.code != NULL
               && strcmp(error.code, refused[i].code) == 0,
               "%s: %s", refused[i].code, refused[i].request);
        sp_chat_free(chat);
    }
}


/* Edits */

typedef struct {
    const char  *name;
    const char  *request;
    const char  *prefix;
    const char  *tail;
    size_t       first;
    int          merge;
    const char  *expected;       /* bytes */
} edit_t;


#define TOOLS  "{\"role\":\"user\",\"content\":\"one\"}," \
    "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":" \
    "\"t\",\"name\":\"f\",\"input\":{}}]}," \
    "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\"," \
    "\"tool_use_id\":\"t\",\"content\":\"r\"}, {\"type\":\"text\"," \
    "\"text\":\"two\"}]}"


static const edit_t  edits[] = {
    { "nothing but the model",
      "{ \"max_tokens\": 5, \"temperature\":1.0e0, \"model\" : \"x\", "
      "\"messages\":[ {\"role\":\"user\" , \"content\":\"hi\\u00e9\"} ]}",
      NULL, NULL, 0, 0,
      "{\"model\":\"real\",\"max_tokens\":5,\"temperature\":1.0e0,"
      "\"messages\":[{\"role\":\"user\" , \"content\":\"hi\\u00e9\"}]}" },
    { "a persona, and no system prompt of the client",
      "{\"max_tokens\":5,\"system\":null," USER "}", "be \"kind\"", NULL, 0, 0,
      "{\"model\":\"real\",\"system\":\"be \\\"kind\\\"\",\"max_tokens\":5,"
      USER "}" },
    { "a persona before the client's, a string",
      "{\"max_tokens\":5," USER ",\"system\":\"mine\"}", "p", NULL, 0, 0,
      "{\"model\":\"real\",\"max_tokens\":5," USER ",\"system\":[{\"type\":"
      "\"text\",\"text\":\"p\"},{\"type\":\"text\",\"text\":\"mine\"}]}" },
    { "a persona before the client's, blocks",
      "{\"max_tokens\":5,\"system\":[ {\"type\":\"text\",\"text\":\"a\","
      "\"cache_control\":{\"type\":\"ephemeral\"}} ]," USER "}", "p", NULL, 0,
      0,
      "{\"model\":\"real\",\"max_tokens\":5,\"system\":[{\"type\":\"text\","
      "\"text\":\"p\"},{\"type\":\"text\",\"text\":\"a\",\"cache_control\":"
      "{\"type\":\"ephemeral\"}}]," USER "}" },
    { "an empty prompt is no block",
      "{\"max_tokens\":5,\"system\":\"\"," USER "}", "p", NULL, 0, 0,
      "{\"model\":\"real\",\"max_tokens\":5,\"system\":[{\"type\":\"text\","
      "\"text\":\"p\"}]," USER "}" },
    { "merged",
      "{\"max_tokens\":5,\"system\":\"mine\"," USER "}", "p\n\nmine", NULL, 0,
      1,
      "{\"model\":\"real\",\"system\":\"p\\n\\nmine\",\"max_tokens\":5," USER
      "}" },
    { "notes before a text",
      "{\"max_tokens\":5," USER "}", NULL, "notes", 0, 0,
      "{\"model\":\"real\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\","
      "\"content\":[{\"type\":\"text\",\"text\":\"notes\"},{\"type\":\"text\","
      "\"text\":\"hi\"}]}]}" },
    { "notes behind results of tools",
      "{\"max_tokens\":5,\"messages\":[" TOOLS "]}", NULL, "notes", 0, 0,
      "{\"model\":\"real\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\","
      "\"content\":\"one\"},{\"role\":\"assistant\",\"content\":[{\"type\":"
      "\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}]},{\"role\":"
      "\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t\","
      "\"content\":\"r\"},{\"type\":\"text\",\"text\":\"notes\"},{\"type\":"
      "\"text\",\"text\":\"two\"}]}]}" },
    { "a result does not stay without its call",
      "{\"max_tokens\":5,\"messages\":[" TOOLS "]}", NULL, "n", 3, 0,
      "{\"model\":\"real\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\","
      "\"content\":[{\"type\":\"text\",\"text\":\"n\"},{\"type\":\"text\","
      "\"text\":\"two\"}]}]}" },
    { "what is left begins with a user",
      "{\"max_tokens\":5,\"system\":\"s\",\"messages\":[{\"role\":\"user\","
      "\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"},"
      "{\"role\":\"user\",\"content\":\"c\"}]}", NULL, NULL, 2, 0,
      "{\"model\":\"real\",\"max_tokens\":5,\"system\":\"s\",\"messages\":["
      "{\"role\":\"user\",\"content\":\"c\"}]}" },
    { "what is said to us is not sent on, what is theirs is",
      "{\"max_tokens\":5,\"metadata\":{\"user_id\":\"u\",\"memory\":\"off\","
      "\"chat_id\":\"00000000-0000-4000-8000-000000000000\"}," USER "}",
      NULL, NULL, 0, 0,
      "{\"model\":\"real\",\"max_tokens\":5,\"metadata\":{\"user_id\":\"u\"},"
      USER "}" },
    { "nor is what is left of it",
      "{\"max_tokens\":5,\"metadata\":{\"memory\":\"on\"}," USER "}",
      NULL, NULL, 0, 0,
      "{\"model\":\"real\",\"max_tokens\":5," USER "}" },
    { "reasoning without a signature is taken by nobody",
      "{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"a\"},"
      "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\","
      "\"thinking\":\"x\",\"signature\":\"\"},{\"type\":\"text\",\"text\":"
      "\"b\"}]},{\"role\":\"user\",\"content\":\"c\"}]}", NULL, NULL, 0, 0,
      "{\"model\":\"real\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\","
      "\"content\":\"a\"},{\"role\":\"assistant\",\"content\":[{\"type\":"
      "\"text\",\"text\":\"b\"}]},{\"role\":\"user\",\"content\":\"c\"}]}" }
};


/* big: spaces that make the request long enough for pieces */

static void test_edit(const edit_t *e, size_t big)
{
    char               *dst, *got, *text;
    size_t              i, len, n, size;
    sp_call_t           call;
    sp_slice_t         *pieces;
    sp_chat_edit_t      edit;
    sp_chat_error_t     error;
    sp_chat_request_t  *chat;

    len = strlen(e->request);
    text = malloc(len + big + 1);
    memcpy(text, e->request, len);
    memset(text + len, ' ', big);
    text[len + big] = '\0';

    chat = read_request(&sp_anthropic, text, &error);

    if (chat == NULL) {
        TAP_OK(0, "%s: %s", e->name, error.code);
        free(text);
        return;
    }

    memset(&call, 0, sizeof(sp_call_t));
    memset(&edit, 0, sizeof(sp_chat_edit_t));

    call.chat = chat;
    call.edit = &edit;
    call.text = text;
    call.len = len + big;

    edit.model = "real";
    edit.model_len = 4;
    edit.prefix = e->prefix;
    edit.prefix_len = e->prefix ? strlen(e->prefix) : 0;
    edit.tail = e->tail;
    edit.tail_len = e->tail ? strlen(e->tail) : 0;
    edit.first = e->first;
    edit.anchor = chat->last_user;
    edit.merge = e->merge ? 1 : 0;

    size = sp_anthropic.edit_size(&call);
    dst = malloc(size);
    pieces = calloc(SP_DIALECT_PIECES(call.len), sizeof(sp_slice_t));
    got = malloc(size + call.len);

    n = sp_anthropic.edit(&call, dst, pieces);
    len = 0;

    for (i = 0; i < n; i++) {
        memcpy(got + len, pieces[i].data, pieces[i].len);
        len += pieces[i].len;
    }

    TAP_IS_MEM(got, len, e->expected, strlen(e->expected), "edit%s: %s",
               big ? ", long" : "", e->name);

    free(got);
    free(pieces);
    free(dst);
    sp_chat_free(chat);
    free(text);
}


int main(void)
{
    size_t  i;

    test_translations("to Messages", &sp_openai, &sp_anthropic, to_messages,
                      sizeof(to_messages) / sizeof(to_messages[0]));
    test_translations("to chat", &sp_anthropic, &sp_openai, to_chat,
                      sizeof(to_chat) / sizeof(to_chat[0]));
    test_refused();

    for (i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        test_edit(&edits[i], 0);
        test_edit(&edits[i], 2 * SP_DIALECT_PIECE);
    }

    return tap_done();
}
