/*
 * Copyright (C) Sallyport authors
 */

#include "tap.h"

#include "sp_chat.h"
#include "sp_json.h"


#define UUID  "0f3a1c44-9d1e-4c55-8f0a-00000000c0de"
#define HI  "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}"


typedef struct {
    const char  *json;
    const char  *code;       /* NULL: accepted */
} case_t;


static const case_t  cases[] = {
    { "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}"
      "]}", NULL },
    { "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", NULL },
    { "[]", "request_not_object" },
    { "{\"model\":\"\",\"messages\":[]}", "messages_required" },
    { "{\"messages\":{}}", "messages_required" },
    { "{\"model\":\"\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
      "model_invalid" },
    { "{\"model\":1,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
      "model_invalid" },
    { "{\"messages\":[1]}", "message_invalid" },
    { "{\"messages\":[{\"content\":\"a\"}]}", "message_invalid" },
    { "{\"messages\":[{\"role\":\"root\",\"content\":\"a\"}]}",
      "role_invalid" },
    { "{\"messages\":[{\"role\":\"user\"}]}", "content_invalid" },
    { "{\"messages\":[{\"role\":\"user\",\"content\":null}]}",
      "content_invalid" },
    { "{\"messages\":[{\"role\":\"user\",\"content\":1}]}",
      "content_invalid" },
    { "{\"messages\":[{\"role\":\"user\",\"content\":[]}]}",
      "content_invalid" },
    { "{\"messages\":[{\"role\":\"user\",\"content\":[{}]}]}",
      "content_invalid" },
    { "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]"
      "}", "content_invalid" },
    { "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\""
      ",\"text\":\"hidden\"}]}]}", "content_invalid" },
    { "{\"messages\":[{\"role\":\"user\",\"content\":\"a\\u0000b\"}]}",
      "content_nul" },
    { "{\"messages\":[{\"role\":\"assistant\",\"content\":null,"
      "\"tool_calls\":[{\"id\":\"1\"}]},{\"role\":\"tool\","
      "\"tool_call_id\":\"1\",\"content\":\"x\"}]}", NULL },
    { "{\"messages\":[{\"role\":\"assistant\",\"content\":null}]}",
      "content_invalid" },
    { "{\"stream\":1,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
      "stream_invalid" },
    { "{\"stream\":null,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]"
      "}", NULL },
    { "{\"stream_options\":{},\"messages\":[{\"role\":\"user\",\"content\":"
      "\"a\"}]}", "stream_options_invalid" },
    { "{\"stream\":true,\"stream_options\":{\"include_usage\":1},"
      "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
      "stream_options_invalid" },
    { "{\"max_tokens\":0,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]"
      "}", "max_tokens_invalid" },
    { "{\"max_completion_tokens\":1.5,\"messages\":[{\"role\":\"user\","
      "\"content\":\"a\"}]}", "max_tokens_invalid" },
    { "{\"n\":129,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
      "n_invalid" },
    { "{\"metadata\":[],\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}"
      , "metadata_invalid" },
    { "{\"metadata\":{\"character_id\":\"x\"},\"messages\":[{\"role\":"
      "\"user\",\"content\":\"a\"}]}", "character_id_invalid" },
    { "{\"metadata\":{\"character_id\":\"" UUID "\"},\"messages\":[{\"role\":"
      "\"user\",\"content\":\"a\"}]}", NULL },
    { "{\"metadata\":{\"chat_id\":\"0f3a1c44x9d1e-4c55-8f0a-00000000c0de\"},"
      "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
      "chat_id_invalid" },
    { "{\"metadata\":{\"memory\":\"maybe\"},\"messages\":[{\"role\":\"user\","
      "\"content\":\"a\"}]}", "memory_invalid" },
    { "{\"model\":\"a\\u0000b\"," HI, "model_invalid" },
    { "{\"stream\":true,\"stream_options\":7," HI,
      "stream_options_invalid" },
    { "{\"n\":\"2\"," HI, "n_invalid" },
    { "{\"n\":1.5," HI, "n_invalid" },
    { "{\"n\":0," HI, "n_invalid" },
    { "{\"n\":128," HI, NULL },
    { "{\"messages\":[{\"role\":\"user\\u0000\",\"content\":\"a\"}]}",
      "role_invalid" },
    { "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
      "\"text\":\"a\\u0000b\"}]}]}", "content_nul" },
    { "{\"metadata\":{\"character_id\":\"" UUID "0\"}," HI,
      "character_id_invalid" },
    { "{\"metadata\":{\"character_id\":7}," HI, "character_id_invalid" },
    { "{\"metadata\":{\"character_id\":\"0f3a1c44-9d1e-4c55-8f0a-"
      "00000000code\"}," HI, "character_id_invalid" },
    { "{\"metadata\":{\"memory\":\"off\\u0000\"}," HI, "memory_invalid" },
    { "{\"metadata\":{\"memory\":false},\"messages\":[{\"role\":\"user\","
      "\"content\":\"a\"}]}", "memory_invalid" }
};


static sp_chat_request_t *parse(const char *json, sp_chat_error_t *error)
{
    json_t  *root;

    /* with NUL allowed, so that it is sp_chat that refuses it */

    root = json_loads(json, JSON_ALLOW_NUL|JSON_DECODE_ANY, NULL);

    return sp_chat_parse(SP_CHAT_OPENAI, root, error);
}


/* one of "start", n times "more" with commas between, "end" */

static void test_cap(const char *start, const char *more, size_t n,
    const char *end, const char *code)
{
    char               *json, *p;
    size_t              i, size;
    sp_chat_error_t     error;
    sp_chat_request_t  *chat;

    size = strlen(start) + n * (strlen(more) + 1) + strlen(end) + 1;
    json = malloc(size);

    p = json + sprintf(json, "%s", start);

    for (i = 0; i < n; i++) {
        p += sprintf(p, "%s%s", i != 0 && more[1] != '\0' ? "," : "", more);
    }

    (void) sprintf(p, "%s", end);

    error.code = NULL;
    chat = parse(json, &error);

    TAP_IS_STR(chat != NULL ? "accepted" : error.code, code,
               "%zu times %s", n, more);

    sp_chat_free(chat);
    free(json);
}


static void test_caps(void)
{
    static const char  part[] = "{\"type\":\"text\",\"text\":\"a\"}";
    static const char  turn[] = "{\"role\":\"user\",\"content\":\"a\"}";
    static const char  text[] = "{\"messages\":[{\"role\":\"user\","
                                "\"content\":[";

    test_cap("{\"messages\":[", turn, SP_CHAT_MAX_MESSAGES, "]}",
             "accepted");
    test_cap("{\"messages\":[", turn, SP_CHAT_MAX_MESSAGES + 1, "]}",
             "messages_too_many");

    test_cap(text, part, SP_CHAT_MAX_PARTS, "]}]}", "accepted");
    test_cap(text, part, SP_CHAT_MAX_PARTS + 1, "]}]}", "content_invalid");

    test_cap("{\"model\":\"", "m", SP_CHAT_MAX_MODEL, "\"," HI, "accepted");
    test_cap("{\"model\":\"", "m", SP_CHAT_MAX_MODEL + 1, "\"," HI,
             "model_invalid");
}


static void test_fields(void)
{
    sp_chat_error_t     error;
    sp_chat_request_t  *chat;

    chat = parse("{\"model\":\"gpt\",\"stream\":true,\"stream_options\":"
                 "{\"include_usage\":true},\"max_tokens\":5,"
                 "\"max_completion_tokens\":7,\"n\":2,\"metadata\":"
                 "{\"character_id\":\"" UUID "\",\"memory\":\"off\","
                 "\"mine\":\"1\"},\"messages\":["
                 "{\"role\":\"developer\",\"content\":\"sys\"},"
                 "{\"role\":\"user\",\"content\":[{\"type\":\"text\","
                 "\"text\":\"one\"},{\"type\":\"image_url\",\"image_url\":"
                 "{\"url\":\"https://x/y.png\"}},{\"type\":\"text\","
                 "\"text\":\"two\"}]},"
                 "{\"role\":\"assistant\",\"content\":\"ok\"}]}", &error);

    TAP_OK(chat != NULL, "a request with everything");
    TAP_IS_STR(chat->model, "gpt", "model");
    TAP_OK(chat->stream && chat->include_usage && chat->memory_off
           && chat->has_system, "flags");
    TAP_IS_INT(chat->max_tokens, 7, "the newer name wins");
    TAP_IS_INT(chat->n, 2, "n");
    TAP_IS_STR(chat->character_id, UUID, "character_id");
    TAP_OK(chat->chat_id == NULL, "no chat_id");
    TAP_IS_INT(chat->nmessages, 3, "messages");
    TAP_IS_INT(chat->last_user, 1, "the last user message");
    TAP_IS_INT(chat->messages[0].role, SP_CHAT_SYSTEM, "developer is system");
    TAP_IS_MEM(chat->messages[1].text, chat->messages[1].len + 1,
               "one\ntwo", 8, "text parts are joined, NUL-terminated");

    sp_chat_free(chat);
}


static void test_edit(const char *json, const sp_chat_edit_t *edit,
    const char *expected)
{
    char               *dst;
    size_t              n, size;
    sp_chat_error_t     error;
    sp_chat_request_t  *chat;

    chat = parse(json, &error);
    size = sp_chat_edit_size(strlen(json), edit);
    dst = malloc(size);

    n = sp_chat_edit(chat, json, strlen(json), edit, dst);

    TAP_IS_MEM(dst, n, expected, strlen(expected), "edited");
    TAP_OK(n <= size, "within its bound");

    free(dst);
    sp_chat_free(chat);
}


static void test_edits(void)
{
    sp_chat_edit_t  edit;

    memset(&edit, 0, sizeof(sp_chat_edit_t));

    edit.model = "re\"al";
    edit.model_len = 5;
    edit.usage = 1;

    test_edit(" {\"model\":\"m\", \"messages\" : [ {\"role\":\"user\","
              "\"content\":\"a\"} ],\"temperature\":0.70,\"x\":[1 , 2],"
              "\"big\":1e40 } ", &edit,
              "{\"model\":\"re\\\"al\",\"messages\":[{\"role\":\"user\","
              "\"content\":\"a\"}],\"temperature\":0.70,\"x\":[1 , 2],"
              "\"big\":1e40}");

    test_edit("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
              "\"mod\\u0065l\":\"x\"}", &edit,
              "{\"model\":\"re\\\"al\",\"messages\":[{\"role\":\"user\","
              "\"content\":\"a\"}]}");

    test_edit("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
              "\"stream\":true}", &edit,
              "{\"model\":\"re\\\"al\",\"stream_options\":"
              "{\"include_usage\":true},\"messages\":[{\"role\":\"user\","
              "\"content\":\"a\"}],\"stream\":true}");

    test_edit("{\"stream_options\":{\"a\":1,\"include_usage\":false},"
              "\"stream\":true,\"messages\":[{\"role\":\"user\","
              "\"content\":\"a\"}]}", &edit,
              "{\"model\":\"re\\\"al\",\"stream_options\":"
              "{\"include_usage\":true,\"a\":1},\"stream\":true,"
              "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}");

    test_edit("{\"stream_options\":null,\"stream\":true,\"messages\":"
              "[{\"role\":\"user\",\"content\":\"a\"}]}", &edit,
              "{\"model\":\"re\\\"al\",\"stream_options\":"
              "{\"include_usage\":true},\"stream\":true,"
              "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}");

    edit.usage = 0;
    edit.model = "m";
    edit.model_len = 1;

    test_edit("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
              "\"metadata\":{\"character_id\":\"" UUID "\","
              "\"memory\":\"on\"},\"stream\":true}", &edit,
              "{\"model\":\"m\",\"messages\":[{\"role\":\"user\","
              "\"content\":\"a\"}],\"stream\":true}");

    test_edit("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
              "\"metadata\":{\"chat\\u005fid\":\"" UUID "\","
              "\"mine\":\"1\"}}", &edit,
              "{\"model\":\"m\",\"messages\":[{\"role\":\"user\","
              "\"content\":\"a\"}],\"metadata\":{\"mine\":\"1\"}}");

    edit.prefix = "be\nkind";
    edit.prefix_len = 7;
    edit.tail = "note";
    edit.tail_len = 4;
    edit.anchor = 3;
    edit.first = 2;

    test_edit("{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},"
              "{\"role\":\"user\",\"content\":\"old\"},"
              "{\"role\":\"assistant\",\"content\":\"]}\\\"\"},"
              "{\"role\":\"user\",\"content\":\"new\"}]}", &edit,
              "{\"model\":\"m\",\"messages\":["
              "{\"role\":\"system\",\"content\":\"be\\nkind\"},"
              "{\"role\":\"system\",\"content\":\"s\"},"
              "{\"role\":\"assistant\",\"content\":\"]}\\\"\"},"
              "{\"role\":\"system\",\"content\":\"note\"},"
              "{\"role\":\"user\",\"content\":\"new\"}]}");

    edit.merge = 1;

    test_edit("{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},"
              "{\"role\":\"user\",\"content\":\"a\"}]}", &edit,
              "{\"model\":\"m\",\"messages\":["
              "{\"role\":\"system\",\"content\":\"be\\nkind\"}]}");
}


int main(void)
{
    size_t              i;
    sp_chat_error_t     error;
    sp_chat_request_t  *chat;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        chat = parse(cases[i].json, &error);

        if (cases[i].code == NULL) {
            TAP_OK(chat != NULL, "accepted: %s", cases[i].json);

        } else {
            TAP_OK(chat == NULL && error.code != NULL
                   && strcmp(error.code, cases[i].code) == 0,
                   "%s: %s", error.code ? error.code : "none",
                   cases[i].json);
        }

        sp_chat_free(chat);
    }

    test_caps();

    test_fields();

    test_edits();

    return tap_done();
}
