
/*
 * Copyright (C) Sallyport authors
 *
 * A chat completions request, written for Gemini.
 */

#include "tap.h"

#include "sp_dialect.h"
#include "sp_json.h"


typedef struct {
    const char  *name;
    const char  *request;        /* its members */
    const char  *expected;       /* of the request that is written */
} case_t;


typedef struct {
    const char  *request;
    const char  *code;
    const char  *param;
} refusal_t;


#define HI     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define SAID                                                                  \
    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]"
#define WITH(config)  SAID ",\"generationConfig\":{" config "}}"
#define ASK(parts)                                                            \
    "\"messages\":[{\"role\":\"user\",\"content\":[" parts "]}]"
#define ASKED(parts)                                                          \
    "{\"contents\":[{\"role\":\"user\",\"parts\":[" parts "]}],"              \
    "\"generationConfig\":{}}"
#define TOOL(more)                                                            \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\""          \
    more "}}]"
#define TOOLED(more, config)                                                  \
    SAID ",\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\"" more    \
    "}]}],\"toolConfig\":{\"functionCallingConfig\":{" config "}},"           \
    "\"generationConfig\":{}}"
#define CALL(id, name, more)                                                  \
    "{\"id\":\"" id "\",\"type\":\"function\"" more ",\"function\":{"         \
    "\"name\":\"" name "\",\"arguments\":\"{\\\"x\\\":1.50}\"}}"


static const case_t  cases[] = {

    { "text", HI, WITH("") },
    { "options",
      HI ",\"temperature\":0.70,\"top_p\":1e-1,\"presence_penalty\":1,"
      "\"frequency_penalty\":-2,\"seed\":7,\"max_completion_tokens\":9,"
      "\"n\":2,\"stop\":\"a\\\"\",\"user\":\"u\",\"parallel_tool_calls\":"
      "true,\"metadata\":{\"a\":\"b\"},\"stream\":true,\"stream_options\":"
      "{\"include_usage\":true}",
      WITH("\"maxOutputTokens\":9,\"candidateCount\":2,\"temperature\":0.70,"
           "\"topP\":1e-1,\"presencePenalty\":1,\"frequencyPenalty\":-2,"
           "\"seed\":7,\"stopSequences\":[\"a\\\"\"]") },
    { "several stops", HI ",\"stop\":[\"a\",\"b\"]",
      WITH("\"stopSequences\":[\"a\",\"b\"]") },
    { "null is nothing", HI ",\"temperature\":null,\"logprobs\":null",
      WITH("") },

    /* formats */

    { "text format", HI ",\"response_format\":{\"type\":\"text\"}",
      WITH("") },
    { "JSON", HI ",\"response_format\":{\"type\":\"json_object\"}",
      WITH("\"responseMimeType\":\"application/json\"") },
    { "a schema", HI ",\"response_format\":{\"type\":\"json_schema\","
      "\"json_schema\":{\"name\":\"n\",\"strict\":true,\"schema\":{\"type\":"
      "\"object\",\"required\":[\"a\"],\"x\":[1,2.5,null,true]}}}",
      WITH("\"responseMimeType\":\"application/json\","
           "\"responseJsonSchema\":{\"type\":\"object\",\"required\":[\"a\"],"
           "\"x\":[1,2.5,null,true]}") },

    /* reasoning; the model is gemini-2.5-flash, and behind "~" a newer one */

    { "effort", HI ",\"reasoning_effort\":\"medium\"",
      WITH("\"thinkingConfig\":{\"thinkingBudget\":8192,"
           "\"includeThoughts\":true}") },
    { "none", HI ",\"reasoning_effort\":\"none\"",
      WITH("\"thinkingConfig\":{\"thinkingBudget\":0}") },
    { "~effort", HI ",\"reasoning_effort\":\"low\"",
      WITH("\"thinkingConfig\":{\"thinkingLevel\":\"LOW\","
           "\"includeThoughts\":true}") },

    /* system messages */

    { "system messages",
      "\"messages\":[{\"role\":\"system\",\"content\":\"a\"},{\"role\":"
      "\"user\",\"content\":\"hi\"},{\"role\":\"developer\",\"content\":["
      "{\"type\":\"text\",\"text\":\"b\"},{\"type\":\"text\",\"text\":"
      "\"c\"}]}]",
      "{\"systemInstruction\":{\"parts\":[{\"text\":\"a\"},{\"text\":"
      "\"b\\nc\"}]},\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":"
      "\"hi\"}]}],\"generationConfig\":{}}" },
    { "+prefix and tail",
      "\"messages\":[{\"role\":\"system\",\"content\":\"a\"},{\"role\":"
      "\"user\",\"content\":\"hi\"}]",
      "{\"systemInstruction\":{\"parts\":[{\"text\":\"before\"},{\"text\":"
      "\"a\"},{\"text\":\"behind\"}]},\"contents\":[{\"role\":\"user\","
      "\"parts\":[{\"text\":\"hi\"}]}],\"generationConfig\":{}}" },

    /* turns */

    { "turns of one side are one",
      "\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":"
      "\"user\",\"content\":\"b\"},{\"role\":\"assistant\",\"content\":"
      "\"c\"},{\"role\":\"system\",\"content\":\"s\"},{\"role\":"
      "\"assistant\",\"content\":\"d\"},{\"role\":\"user\",\"content\":"
      "\"e\"}]",
      "{\"systemInstruction\":{\"parts\":[{\"text\":\"s\"}]},\"contents\":["
      "{\"role\":\"user\",\"parts\":[{\"text\":\"a\"},{\"text\":\"b\"}]},"
      "{\"role\":\"model\",\"parts\":[{\"text\":\"c\"},{\"text\":\"d\"}]},"
      "{\"role\":\"user\",\"parts\":[{\"text\":\"e\"}]}],"
      "\"generationConfig\":{}}" },
    { "a refusal is text",
      "\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":"
      "\"refusal\",\"refusal\":\"no\"}]},{\"role\":\"user\",\"content\":"
      "\"a\"}]",
      "{\"contents\":[{\"role\":\"model\",\"parts\":[{\"text\":\"no\"}]},"
      "{\"role\":\"user\",\"parts\":[{\"text\":\"a\"}]}],"
      "\"generationConfig\":{}}" },
    { "what is empty is not said",
      "\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":"
      "\"assistant\",\"content\":\"\"},{\"role\":\"assistant\",\"content\":"
      "[{\"type\":\"text\",\"text\":\"\"},{\"type\":\"text\",\"text\":"
      "\"\"}]},{\"role\":\"user\",\"content\":["
      "{\"type\":\"text\",\"text\":\"\"},{\"type\":\"text\",\"text\":"
      "\"b\"}]}]",
      "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a\"},"
      "{\"text\":\"b\"}]}],\"generationConfig\":{}}" },

    /* tools */

    { "a tool", HI "," TOOL(",\"description\":\"d\",\"parameters\":{\"type\":"
                            "\"object\",\"properties\":{}}"),
      TOOLED(",\"description\":\"d\",\"parametersJsonSchema\":{\"type\":"
             "\"object\",\"properties\":{}}", "\"mode\":\"AUTO\"") },
    { "a tool must be called", HI "," TOOL("") ",\"tool_choice\":"
      "\"required\"", TOOLED("", "\"mode\":\"ANY\"") },
    { "none", HI "," TOOL("") ",\"tool_choice\":\"none\"",
      TOOLED("", "\"mode\":\"NONE\"") },
    { "this one", HI "," TOOL("") ",\"tool_choice\":{\"type\":\"function\","
      "\"function\":{\"name\":\"f\"}}",
      TOOLED("", "\"mode\":\"ANY\",\"allowedFunctionNames\":[\"f\"]") },
    { "calls and results",
      "\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":"
      "\"assistant\",\"content\":null,\"tool_calls\":["
      CALL("i1", "f", ",\"extra_content\":{\"google\":{"
           "\"thought_signature\":\"Zm8=\"}}") ","
      CALL("call_ac96774bbcceb302099a8057_0_1", "g", "") "]},"
      "{\"role\":\"tool\",\"tool_call_id\":"
      "\"call_ac96774bbcceb302099a8057_0_1\",\"content\":[{\"type\":"
      "\"text\",\"text\":\"r\\\"2\"}]},{\"role\":\"tool\",\"tool_call_id\":"
      "\"i1\",\"content\":\"r1\"},{\"role\":\"user\",\"content\":\"b\"}]",
      "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a\"}]},"
      "{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"name\":\"f\","
      "\"id\":\"i1\",\"args\":{\"x\":1.50}},\"thoughtSignature\":\"Zm8=\"},"
      "{\"functionCall\":{\"name\":\"g\",\"args\":{\"x\":1.50}}}]},"
      "{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"name\":\"g\","
      "\"response\":{\"output\":\"r\\\"2\"}}},{\"functionResponse\":{"
      "\"name\":\"f\",\"id\":\"i1\",\"response\":{\"output\":\"r1\"}}},"
      "{\"text\":\"b\"}]}],\"generationConfig\":{}}" },
    { "~calls that no Gemini has made",
      "\"messages\":[{\"role\":\"assistant\",\"content\":\"t\","
      "\"tool_calls\":[" CALL("i1", "f", "") "," CALL("i2", "g", "") "]},"
      "{\"role\":\"tool\",\"tool_call_id\":\"i2\",\"content\":\"\"}]",
      "{\"contents\":[{\"role\":\"model\",\"parts\":[{\"text\":\"t\"},"
      "{\"functionCall\":{\"name\":\"f\",\"id\":\"i1\",\"args\":{\"x\":1.50}},"
      "\"thoughtSignature\":\"skip_thought_signature_validator\"},"
      "{\"functionCall\":{\"name\":\"g\",\"id\":\"i2\",\"args\":{\"x\":1.50}}}"
      "]},{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"name\":"
      "\"g\",\"id\":\"i2\",\"response\":{\"output\":\"\"}}}]}],"
      "\"generationConfig\":{}}" },
    { "no arguments, and a name in place of an id",
      "\"messages\":[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":"
      "[{\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]},{\"role\":"
      "\"function\",\"name\":\"f\",\"content\":\"r\"}]",
      "{\"contents\":[{\"role\":\"model\",\"parts\":[{\"functionCall\":{"
      "\"name\":\"f\",\"args\":{}}}]},{\"role\":\"user\",\"parts\":[{"
      "\"functionResponse\":{\"name\":\"f\",\"response\":{\"output\":"
      "\"r\"}}}]}],\"generationConfig\":{}}" },

    /* images, audio, files */

    { "an image", ASK("{\"type\":\"text\",\"text\":\"see\"},{\"type\":"
                      "\"image_url\",\"image_url\":{\"url\":"
                      "\"data:image/png;base64,AA+/\"}}"),
      ASKED("{\"text\":\"see\"},{\"inlineData\":{\"mimeType\":\"image/png\","
            "\"data\":\"AA+/\"}}") },
    { "an image with a parameter of its type",
      ASK("{\"type\":\"image_url\",\"image_url\":{\"url\":"
          "\"data:image/svg+xml;charset=utf-8;BASE64,AA\"}}"),
      ASKED("{\"inlineData\":{\"mimeType\":\"image/svg+xml\",\"data\":"
            "\"AA\"}}") },
    { "an image elsewhere",
      ASK("{\"type\":\"image_url\",\"image_url\":{\"url\":"
          "\"https://h/a.JPG?x=.png\"}},{\"type\":\"image_url\","
          "\"image_url\":{\"url\":\"gs://b/c\"}}"),
      ASKED("{\"fileData\":{\"mimeType\":\"image/jpeg\",\"fileUri\":"
            "\"https://h/a.JPG?x=.png\"}},{\"fileData\":{\"fileUri\":"
            "\"gs://b/c\"}}") },
    { "detail", ASK("{\"type\":\"image_url\",\"image_url\":{\"url\":"
                    "\"gs://b/c\",\"detail\":\"low\"}}"),
      "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"fileData\":{"
      "\"fileUri\":\"gs://b/c\"}}]}],\"generationConfig\":{"
      "\"mediaResolution\":\"MEDIA_RESOLUTION_LOW\"}}" },
    { "audio", ASK("{\"type\":\"input_audio\",\"input_audio\":{\"data\":"
                   "\"AAAA\",\"format\":\"mp3\"}}"),
      ASKED("{\"inlineData\":{\"mimeType\":\"audio/mp3\",\"data\":"
            "\"AAAA\"}}") },
    { "files", ASK("{\"type\":\"file\",\"file\":{\"file_data\":"
                   "\"data:application/pdf;base64,AA\",\"filename\":\"a\"}},"
                   "{\"type\":\"file\",\"file\":{\"file_data\":\"BB\","
                   "\"filename\":\"b.PDF\"}},{\"type\":\"file\",\"file\":{"
                   "\"file_id\":\"https://g/v1beta/files/x\"}}"),
      ASKED("{\"inlineData\":{\"mimeType\":\"application/pdf\",\"data\":"
            "\"AA\"}},{\"inlineData\":{\"mimeType\":\"application/pdf\","
            "\"data\":\"BB\"}},{\"fileData\":{\"fileUri\":"
            "\"https://g/v1beta/files/x\"}}") }
};


#define IMAGE(url)                                                            \
    ASK("{\"type\":\"image_url\",\"image_url\":{\"url\":\"" url "\"}}")
#define FILE_(file)  ASK("{\"type\":\"file\",\"file\":{" file "}}")
#define CALLED(call)                                                          \
    "\"messages\":[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[" \
    call "]}]"

static const refusal_t  refusals[] = {
    { HI ",\"logit_bias\":{}", "unsupported_parameter", "logit_bias" },
    { HI ",\"logprobs\":true", "unsupported_parameter", "logprobs" },
    { HI ",\"verbosity\":\"low\"", "unsupported_parameter", "verbosity" },
    { HI ",\"parallel_tool_calls\":false", "unsupported_parameter",
      "parallel_tool_calls" },
    { HI ",\"stop\":7", "stop_invalid", "stop" },
    { HI ",\"response_format\":{\"type\":\"grammar\"}",
      "unsupported_parameter", "response_format" },
    { HI ",\"response_format\":{\"type\":\"json_schema\"}",
      "unsupported_parameter", "response_format" },
    { HI ",\"response_format\":\"json\"", "unsupported_parameter",
      "response_format" },
    { HI ",\"reasoning_effort\":\"xhigh\"", "unsupported_parameter",
      "reasoning_effort" },
    { HI ",\"reasoning_effort\":7", "unsupported_parameter",
      "reasoning_effort" },
    { HI ",\"tools\":[{\"type\":\"web_search\"}]", "tool_invalid", "tools" },
    { HI "," TOOL("") ",\"tool_choice\":{\"type\":\"custom\"}",
      "tool_invalid", "tool_choice" },
    { "\"messages\":[{\"role\":\"system\",\"content\":\"a\"}]",
      "messages_required", "messages" },
    { "\"messages\":[{\"role\":\"system\",\"content\":[{\"type\":"
      "\"image_url\",\"image_url\":{\"url\":\"gs://b\"}}]}]",
      "unsupported_content", "messages" },
    { "\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"name\":\"n\"}]",
      "unsupported_parameter", "messages" },
    { ASK("{\"type\":\"video_url\",\"video_url\":{}}"),
      "unsupported_content", "messages" },
    { ASK("{\"type\":\"refusal\",\"refusal\":7}"), "unsupported_content",
      "messages" },
    { IMAGE("file:///etc/passwd"), "unsupported_content", "messages" },
    { IMAGE("data:image/png,AA"), "unsupported_content", "messages" },
    { IMAGE("data:;base64,AA"), "unsupported_content", "messages" },
    { IMAGE("data:image/png;base64"), "unsupported_content", "messages" },
    { ASK("{\"type\":\"image_url\"}"), "unsupported_content", "messages" },
    { ASK("{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AA\"}}"),
      "unsupported_content", "messages" },
    { FILE_("\"file_data\":\"AA\""), "unsupported_content", "messages" },
    { FILE_("\"file_data\":\"AA\",\"filename\":\"a.exe\""),
      "unsupported_content", "messages" },
    { FILE_("\"file_id\":\"file-1\""), "unsupported_content", "messages" },
    { CALLED("{\"function\":{\"arguments\":\"{}\"}}"), "tool_call_invalid",
      "messages" },
    { CALLED("{\"function\":{\"name\":\"f\"}}"), "tool_call_invalid",
      "messages" },
    { CALLED("{\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}"),
      "tool_call_invalid", "messages" },
    { CALLED("{\"function\":{\"name\":\"f\",\"arguments\":\"[1]\"}}"),
      "tool_call_invalid", "messages" },
    { CALLED("{\"function\":{\"name\":\"f\",\"arguments\":\"{},\"}}"),
      "tool_call_invalid", "messages" },
    { "\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"x\",\"content\":"
      "\"a\"}]", "tool_call_unknown", "messages" },
    { "\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"x\",\"content\":"
      "[{\"type\":\"image_url\",\"image_url\":{\"url\":\"gs://b\"}}]}]",
      "unsupported_content", "messages" }
};


/* the request of those members; NULL: refused, *error tells why */

static char *write_request(const char *text, const char *model, int around,
    size_t *len, sp_chat_error_t *error)
{
    size_t              measured;
    json_t             *root;
    sp_out_t            out;
    sp_call_t           call;
    sp_chat_edit_t      edit;
    sp_json_limits_t    limits;
    sp_chat_request_t  *chat;

    memset(&limits, 0, sizeof(sp_json_limits_t));
    memset(&call, 0, sizeof(sp_call_t));
    memset(&edit, 0, sizeof(sp_chat_edit_t));
    memset(&out, 0, sizeof(sp_out_t));

    limits.any_number = 1;
    limits.bulky = sp_openai.bulky;

    if (sp_json_parse(text, strlen(text), &limits, &root, NULL)
        != SP_JSON_OK)
    {
        printf("# no JSON: %s\n", text);
        abort();
    }

    chat = sp_openai.parse_request(root, error);

    if (chat == NULL) {
        printf("# %s: %.300s\n", error->code, text);
        abort();
    }

    edit.model = model;
    edit.model_len = strlen(model);
    edit.anchor = chat->last_user;

    if (around) {
        edit.prefix = "before";
        edit.prefix_len = 6;
        edit.tail = "behind";
        edit.tail_len = 6;
    }

    call.chat = chat;
    call.edit = &edit;
    call.text = text;
    call.len = strlen(text);
    call.stream = chat->stream;

    if (sp_gemini.write_request(&call, &out, error) != 0) {

        /* what is refused may lie in the request */

        error->param = error->param ? strdup(error->param) : NULL;
        sp_chat_free(chat);

        return NULL;
    }

    measured = out.len;

    out.dst = malloc(out.len);
    out.size = out.len;
    out.len = 0;

    TAP_OK(sp_gemini.write_request(&call, &out, error) == 0
           && out.len == measured, "written as it was measured");

    sp_chat_free(chat);

    *len = out.len;

    return out.dst;
}


static char *object(const char *members)
{
    char  *text;

    text = malloc(strlen(members) + 3);
    (void) sprintf(text, "{%s}", members);

    return text;
}


static void test_case(const case_t *c)
{
    char             *text, *written;
    size_t            len;
    json_t           *root;
    sp_chat_error_t   error;

    text = object(c->request);
    len = 0;
    root = NULL;

    written = write_request(text, c->name[0] == '~' ? "gemini-3-pro"
                                                    : "gemini-2.5-flash",
                            c->name[0] == '+', &len, &error);

    TAP_IS_MEM(written ? written : error.code,
               written ? len : strlen(error.code), c->expected,
               strlen(c->expected), "%s", c->name);

    TAP_OK(written != NULL
           && sp_json_parse(written, len, NULL, &root, NULL) == SP_JSON_OK,
           "%s: it is JSON", c->name);

    json_decref(root);
    free(written);
    free(text);
}


static void test_refusal(const refusal_t *r)
{
    char             *text;
    size_t            len;
    sp_chat_error_t   error;

    text = object(r->request);

    if (!TAP_OK(write_request(text, "gemini-3-pro", 0, &len, &error) == NULL,
                "refused: %s", r->request))
    {
        return;
    }

    TAP_IS_STR(error.code, r->code, "its code");
    TAP_IS_STR(error.param ? error.param : "", r->param, "its member");
    TAP_OK(error.message != NULL, "and why");

    free((char *) (uintptr_t) error.param);
    free(text);
}


/* strings over SP_JSON_BULK bytes are not in the tree */

static void test_bulk(const char *head, const char *comma, int works)
{
    char             *text, *written;
    size_t            len, n;
    sp_chat_error_t   error;

    static const char  before[] =
        "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"inlineData\":{"
        "\"mimeType\":\"image/png\",\"data\":\"";
    static const char  after[] =
        "\\/B\"}}]}],\"generationConfig\":{}}";

    n = 100000;

    text = malloc(n + 1024);
    len = (size_t) sprintf(text, "{\"messages\":[{\"role\":\"user\","
                           "\"content\":[{\"type\":\"image_url\","
                           "\"image_url\":{\"url\":\"%s%s", head, comma);
    memset(text + len, 'A', n);
    (void) sprintf(text + len + n, "\\/B\"}}]}]}");

    written = write_request(text, "gemini-3-pro", 0, &len, &error);

    if (!works) {
        TAP_OK(written == NULL
               && strcmp(error.code, "unsupported_content") == 0,
               "a long URL that is none: %s", head);
        free((char *) (uintptr_t) error.param);
        free(text);
        return;
    }

    TAP_OK(written != NULL && len == sizeof(before) - 1 + n + sizeof(after) - 1
           && memcmp(written, before, sizeof(before) - 1) == 0
           && memcmp(written + len - sizeof(after) + 1, after,
                     sizeof(after) - 1) == 0,
           "a long data URL: %s%s", head, comma);

    free(written);
    free(text);
}


int main(void)
{
    size_t  i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        test_case(&cases[i]);
    }

    for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        test_refusal(&refusals[i]);
    }

    test_bulk("data:image/png;base64", ",", 1);
    test_bulk("data:image\\/png;b\\u0061se64", ",", 1);
    test_bulk("data:image/png;base64", "\\u002c", 0);
    test_bulk("https://h/", "", 0);
    test_bulk("data:image/png", ",", 0);

    return tap_done();
}
