
/*
 * Copyright (C) Sallyport authors
 *
 * What servers of OpenAI's dialect differ in: Azure's path and key, names of
 * members; and members that no translation has a word for.
 */

#include "tap.h"

#include "sp_dialect.h"
#include "sp_json.h"


static void test_path(const char *model, const char *version, int embeddings,
    const char *expected)
{
    char                  buf[256];
    sp_out_t              out;
    sp_call_t             call;
    sp_chat_edit_t        edit;
    sp_chat_request_t     chat;
    sp_dialect_options_t  options;

    memset(&call, 0, sizeof(sp_call_t));
    memset(&edit, 0, sizeof(sp_chat_edit_t));
    memset(&chat, 0, sizeof(sp_chat_request_t));
    memset(&options, 0, sizeof(sp_dialect_options_t));

    edit.model = model;
    edit.model_len = strlen(model);

    if (version != NULL) {
        options.api_version = version;
        options.api_version_len = strlen(version);
        call.options = &options;
    }

    call.edit = &edit;
    call.chat = embeddings ? NULL : &chat;

    out.dst = buf;
    out.size = sizeof(buf);
    out.len = 0;

    sp_azure.write_path(&call, &out);
    TAP_IS_MEM(buf, out.len, expected, strlen(expected), "%s", expected);
}


static void test_headers(void)
{
    char      buf[64];
    sp_out_t  out;

    out.dst = buf;
    out.size = sizeof(buf);
    out.len = 0;

    sp_azure.write_headers("k", 1, &out);
    sp_azure.write_headers("", 0, &out);

    TAP_IS_MEM(buf, out.len, "api-key: k\r\n", 12, "the key of Azure");
}


/* what is written of a request of these members, or the code that refuses */

static void written(const char *members, const char *model,
    const sp_dialect_t *dialect, const sp_dialect_options_t *options,
    char *dst, size_t size)
{
    char                text[1024];
    json_t             *root;
    sp_out_t            out;
    sp_call_t           call;
    sp_chat_edit_t      edit;
    sp_chat_error_t     error;
    sp_chat_request_t  *chat;

    memset(&call, 0, sizeof(sp_call_t));
    memset(&edit, 0, sizeof(sp_chat_edit_t));

    (void) snprintf(text, sizeof(text), "{%s,\"messages\":[{\"role\":"
                    "\"user\",\"content\":\"a\"}]}", members);

    if (sp_json_parse(text, strlen(text), NULL, &root, NULL) != SP_JSON_OK) {
        abort();
    }

    chat = sp_openai.parse_request(root, &error);

    if (chat == NULL) {
        abort();
    }

    edit.model = model;
    edit.model_len = strlen(model);
    edit.anchor = chat->last_user;
    edit.usage = 1;

    call.chat = chat;
    call.edit = &edit;
    call.options = options;
    call.text = text;
    call.len = strlen(text);
    call.stream = chat->stream;

    memset(dst, 0, size);

    out.dst = dst;
    out.size = size - 1;
    out.len = 0;

    if (dialect->write_request(&call, &out, &error) != 0) {
        (void) snprintf(dst, size, "%s of %s", error.code,
                        error.param ? error.param : "nothing");
    }

    sp_chat_free(chat);
}


static void test_limit(const char *model, const char *option,
    const char *expected)
{
    char                  buf[1024];
    sp_dialect_options_t  options;

    memset(&options, 0, sizeof(sp_dialect_options_t));
    options.max_tokens = option;

    written("\"max_tokens\":5", model, &sp_openai, &options, buf,
            sizeof(buf));

    TAP_OK(strstr(buf, expected) != NULL, "%s, %s: %s", model,
           option ? option : "by its name", expected);
}


static void test_usage(void)
{
    char                  buf[1024];
    sp_dialect_options_t  options;

    memset(&options, 0, sizeof(sp_dialect_options_t));

    written("\"stream\":true", "m", &sp_openai, &options, buf, sizeof(buf));
    TAP_OK(strstr(buf, "\"stream_options\":{\"include_usage\":true}")
           != NULL, "usage");

    options.continuous_usage = 1;

    written("\"stream\":true", "m", &sp_openai, &options, buf, sizeof(buf));
    TAP_OK(strstr(buf, "\"stream_options\":{\"include_usage\":true,"
                  "\"continuous_usage_stats\":true}") != NULL,
           "usage with each event");

    written("\"stream\":false", "m", &sp_openai, &options, buf, sizeof(buf));
    TAP_OK(strstr(buf, "stream_options") == NULL, "none of a whole answer");
}


/* each is refused by its name, in every translation: none is left out */

static void test_members(void)
{
    char    buf[1024], expected[128], member[128];
    size_t  i;

    static const char  *const names[] = {
        "audio", "frequency_bias", "function_call", "functions",
        "logit_bias", "logprobs", "modalities", "moderation", "prediction",
        "prompt_cache_key", "prompt_cache_retention", "safety_identifier",
        "service_tier", "store", "top_k", "top_logprobs",
        "web_search_options"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void) snprintf(member, sizeof(member), "\"%s\":7", names[i]);
        (void) snprintf(expected, sizeof(expected),
                        "unsupported_parameter of %s", names[i]);

        written(member, "m", &sp_openai, NULL, buf, sizeof(buf));
        TAP_IS_STR(buf, expected, "%s, written for OpenAI", names[i]);

        written(member, "m", &sp_gemini, NULL, buf, sizeof(buf));
        TAP_IS_STR(buf, expected, "%s, written for Gemini", names[i]);

        (void) snprintf(member, sizeof(member), "\"%s\":null", names[i]);

        written(member, "m", &sp_openai, NULL, buf, sizeof(buf));
        TAP_OK(buf[0] == '{', "%s: null is nothing", names[i]);
    }

    written("\"store\":false", "m", &sp_gemini, NULL, buf, sizeof(buf));
    TAP_OK(buf[0] == '{', "what is not to be stored is not");

    written("\"store\":true", "m", &sp_gemini, NULL, buf, sizeof(buf));
    TAP_IS_STR(buf, "unsupported_parameter of store", "what is, is refused");
}


static void test_strict(void)
{
    char  buf[1024];

    static const char  tool[] =
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
        "\"strict\":true}}]";

    written(tool, "m", &sp_openai, NULL, buf, sizeof(buf));
    TAP_OK(strstr(buf, "{\"name\":\"f\",\"strict\":true}") != NULL,
           "a strict tool");

    written(tool, "m", &sp_gemini, NULL, buf, sizeof(buf));
    TAP_OK(strstr(buf, "{\"mode\":\"VALIDATED\"}") != NULL,
           "is a mode of Gemini");
}


int main(void)
{
    test_path("gpt", NULL, 0, "/openai/v1/chat/completions");
    test_path("gpt", NULL, 1, "/openai/v1/embeddings");
    test_path("a b/..", "2024-10-21", 0,
              "/openai/deployments/a%20b%2F../chat/completions"
              "?api-version=2024-10-21");
    test_path("e", "2024-10-21", 1,
              "/openai/deployments/e/embeddings?api-version=2024-10-21");

    test_headers();

    test_limit("gpt-4o", NULL, "\"max_tokens\":5");
    test_limit("gpt-5", NULL, "\"max_completion_tokens\":5");
    test_limit("gpt-5.2-mini", NULL, "\"max_completion_tokens\":5");
    test_limit("o3-mini", NULL, "\"max_completion_tokens\":5");
    test_limit("olmo", NULL, "\"max_tokens\":5");
    test_limit("gpt-oss", NULL, "\"max_tokens\":5");
    test_limit("o", NULL, "\"max_tokens\":5");
    test_limit("o3", "max_tokens", "\"max_tokens\":5");
    test_limit("m", "max_completion_tokens", "\"max_completion_tokens\":5");

    test_usage();
    test_members();
    test_strict();

    return tap_done();
}
