/*
 * Copyright (C) Sallyport authors
 */

#include "tap.h"

#include "sp_dialect.h"
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
    { "{\"metadata\":{\"parent_id\":\"" UUID "\"}," HI, NULL },
    { "{\"metadata\":{\"parent_id\":\"root\"}," HI, NULL },
    { "{\"metadata\":{\"parent_id\":\"Root\"}," HI, "parent_id_invalid" },
    { "{\"metadata\":{\"parent_id\":\"root\\u0000\"}," HI,
      "parent_id_invalid" },
    { "{\"metadata\":{\"parent_id\":\"\"}," HI, "parent_id_invalid" },
    { "{\"metadata\":{\"parent_id\":0}," HI, "parent_id_invalid" },
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

    return sp_openai.parse_request(root, error);
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
    size_t              size;
    sp_call_t           call;
    sp_slice_t          pieces[3];
    sp_chat_error_t     error;
    sp_chat_request_t  *chat;

    chat = parse(json, &error);

    memset(&call, 0, sizeof(sp_call_t));

    call.chat = chat;
    call.edit = edit;
    call.text = json;
    call.len = strlen(json);

    size = sp_openai.edit_size(&call);
    dst = malloc(size);

    TAP_IS_INT(sp_openai.edit(&call, dst, pieces), 1, "in one piece");
    TAP_IS_MEM(pieces[0].data, pieces[0].len, expected, strlen(expected),
               "edited");
    TAP_OK(pieces[0].len <= size, "within its bound");

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
              "\"parent_id\":\"root\","
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


/* a long message is pointed to, what is around it is copied */

static void test_pieces(void)
{
    char               *dst, *joined, *p, *text;
    size_t              i, len, n, size;
    sp_call_t           call;
    sp_slice_t          pieces[SP_DIALECT_PIECES(400000)];
    sp_chat_edit_t      edit;
    sp_chat_error_t     error;
    sp_chat_request_t  *chat;

    static const char  begin[] = "{\"messages\":[{\"role\":\"user\","
                                 "\"content\":\"";
    static const char  end[] = "\"}],\"metadata\":{\"memory\":\"on\"}}";

    len = 300000;
    text = malloc(len + 1);
    memset(text, 'x', len);
    memcpy(text, begin, sizeof(begin) - 1);
    memcpy(text + len - sizeof(end) + 1, end, sizeof(end) - 1);
    text[len] = '\0';

    chat = parse(text, &error);

    memset(&call, 0, sizeof(sp_call_t));
    memset(&edit, 0, sizeof(sp_chat_edit_t));

    edit.model = "m";
    edit.model_len = 1;

    call.chat = chat;
    call.edit = &edit;
    call.text = text;
    call.len = len;

    size = sp_openai.edit_size(&call);
    dst = malloc(size);

    n = sp_openai.edit(&call, dst, pieces);

    TAP_OK(size < 200, "little is copied: %zu bytes", size);
    TAP_IS_INT(n, 3, "three pieces");
    TAP_OK(pieces[1].data == text + 13, "of which one is the client's");

    joined = malloc(len + 200);
    p = joined;

    for (i = 0; i < n; i++) {
        memcpy(p, pieces[i].data, pieces[i].len);
        p += pieces[i].len;
    }

    memcpy(text + len - sizeof(end) + 1, "\"}]}", 4);

    TAP_OK(memcmp(joined, "{\"model\":\"m\",\"messages\":[", 25) == 0
           && memcmp(joined + 25, text + 13, (size_t) (p - joined) - 25) == 0,
           "together they are the request");

    free(joined);
    free(dst);
    free(text);
    sp_chat_free(chat);
}


static void test_typed(void)
{
    sp_chat_error_t           error;
    sp_chat_request_t        *chat;
    const sp_chat_message_t  *message;

    chat = parse("{\"temperature\":0.5,\"stop\":null,\"tools\":["
                 "{\"type\":\"function\",\"function\":{\"name\":\"f\","
                 "\"description\":\"d\",\"parameters\":{}}}],"
                 "\"tool_choice\":{\"type\":\"function\",\"function\":"
                 "{\"name\":\"f\"}},\"service_tier\":\"x\",\"messages\":["
                 "{\"role\":\"user\",\"content\":[{\"type\":\"text\","
                 "\"text\":\"t\"},{\"type\":\"image_url\",\"image_url\":"
                 "{\"url\":\"data:x\",\"detail\":\"low\"}},{\"type\":"
                 "\"input_audio\",\"input_audio\":{\"data\":\"AA\","
                 "\"format\":\"mp3\"}},{\"type\":\"file\",\"file\":"
                 "{\"file_data\":\"BB\",\"filename\":\"b.pdf\"}},"
                 "{\"type\":\"odd\"}]},{\"role\":\"assistant\",\"content\":"
                 "null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\","
                 "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},7]},"
                 "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":"
                 "\"r\"}]}", &error);

    TAP_OK(chat != NULL, "parts, tools and calls");

    message = &chat->messages[0];

    TAP_IS_INT(message->nparts, 5, "parts");
    TAP_OK(message->parts[0].kind == SP_CHAT_PART_TEXT
           && message->parts[1].kind == SP_CHAT_PART_IMAGE
           && message->parts[2].kind == SP_CHAT_PART_AUDIO
           && message->parts[3].kind == SP_CHAT_PART_FILE
           && message->parts[4].kind == SP_CHAT_PART_OTHER, "their kinds");
    TAP_IS_STR(json_string_value(message->parts[1].data), "data:x",
               "an image");
    TAP_IS_STR(message->parts[2].format, "mp3", "audio");
    TAP_IS_STR(message->parts[3].name, "b.pdf", "a file");

    message = &chat->messages[1];

    TAP_OK(message->ncalls == 2 && message->calls[1].name == NULL
           && strcmp(message->calls[0].id, "c") == 0
           && strcmp(message->calls[0].name, "f") == 0, "calls");
    TAP_IS_STR(chat->messages[2].call_id, "c", "a result");

    TAP_OK(chat->ntools == 1 && strcmp(chat->tools[0].name, "f") == 0
           && chat->choice == SP_CHAT_CHOICE_NAMED
           && strcmp(chat->choice_name, "f") == 0, "tools");
    TAP_OK(chat->options[SP_CHAT_TEMPERATURE] != NULL
           && chat->options[SP_CHAT_STOP] == NULL, "options");
    TAP_IS_STR(chat->foreign, "service_tier", "what nothing holds");

    sp_chat_free(chat);
}


/* as a dialect of another client would send it */

static void test_request(const char *json, const char *expected)
{
    char                buf[2048];
    sp_out_t            out;
    sp_call_t           call;
    sp_chat_edit_t      edit;
    sp_chat_error_t     error;
    sp_chat_request_t  *chat;

    memset(&call, 0, sizeof(sp_call_t));
    memset(&edit, 0, sizeof(sp_chat_edit_t));
    memset(&error, 0, sizeof(sp_chat_error_t));

    edit.model = "m";
    edit.model_len = 1;
    edit.prefix = "p";
    edit.prefix_len = 1;
    edit.anchor = (size_t) -1;

    chat = parse(json, &error);

    call.chat = chat;
    call.edit = &edit;
    call.text = json;
    call.len = strlen(json);
    call.stream = chat->stream;

    out.dst = buf;
    out.size = sizeof(buf);
    out.len = 0;

    if (sp_openai.write_request(&call, &out, &error) == 0) {
        TAP_IS_MEM(buf, out.len, expected, strlen(expected), "written");

    } else {
        TAP_IS_STR(error.code, expected, "refused");
    }

    sp_chat_free(chat);
}


static void test_requests(void)
{
    test_request("{\"seed\":9223372036854775807,\"top_p\":1.0e-1,"
                 "\"stream\":true,\"n\":2,\"max_tokens\":5,\"stop\":[\"x\"],"
                 "\"tools\":[{\"function\":{\"name\":\"f\",\"parameters\":"
                 "{\"a\":1}}}],\"tool_choice\":\"required\","
                 "\"messages\":[{\"role\":\"developer\",\"content\":\"s\"},"
                 "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
                 "\"image_url\":{\"url\":\"u\"}}]},{\"role\":\"assistant\","
                 "\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"f\","
                 "\"arguments\":{\"b\":\"\\\"\"}}}]}]}",
                 "{\"model\":\"m\",\"stream\":true,\"max_tokens\":5,\"n\":2,"
                 "\"top_p\":1.0e-1,\"seed\":9223372036854775807,"
                 "\"stop\":[\"x\"],\"tools\":[{\"type\":\"function\","
                 "\"function\":{\"name\":\"f\",\"parameters\":{\"a\":1}}}],"
                 "\"tool_choice\":\"required\",\"messages\":[{\"role\":"
                 "\"system\",\"content\":\"p\"},{\"role\":\"system\","
                 "\"content\":\"s\"},{\"role\":\"user\",\"content\":["
                 "{\"type\":\"image_url\",\"image_url\":{\"url\":\"u\"}}]},"
                 "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
                 "{\"type\":\"function\",\"id\":\"c\",\"function\":{\"name\":"
                 "\"f\",\"arguments\":\"{\\\"b\\\":\\\"\\\\\\\"\\\"}\"}}]}]}");

    test_request("{\"audio\":{}," HI, "unsupported_parameter");
    test_request("{\"messages\":[{\"role\":\"user\",\"content\":["
                 "{\"type\":\"odd\"}]}]}", "unsupported_content");
    test_request("{\"tools\":[{}]," HI, "tool_invalid");
    test_request("{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":"
                 "[{}]}]}", "tool_call_invalid");
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

    test_pieces();
    test_typed();
    test_requests();

    return tap_done();
}
