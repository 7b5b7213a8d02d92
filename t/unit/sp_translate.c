/*
 * Copyright (C) Sallyport authors
 *
 * Requests that are made up, translated to another dialect and back: they
 * mean the same.  What each dialect can say is a subset that both have.
 */

#include "tap.h"

#include "sp_dialect.h"
#include "sp_json.h"


#define ROUNDS  400


typedef struct {
    char      data[16384];
    size_t    len;
} meaning_t;


static uint64_t  seed = 20261130;


static unsigned pick(unsigned n)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;

    return (unsigned) (seed >> 33) % n;
}


static const char *word(void)
{
    static const char  *const words[] = {
        "a", "two words", "\xc3\xa9\xf0\x9f\x98\x80", "\"q\" \\ /", "l1\nl2\t",
        "{\"x\":1}", "</notes>"
    };

    return words[pick(sizeof(words) / sizeof(words[0]))];
}


/* a request of chat completions that the other API can say, too */

static json_t *user_parts(void)
{
    json_t    *parts;
    unsigned   i, n;

    parts = json_array();
    n = 1 + pick(3);

    for (i = 0; i < n; i++) {
        switch (pick(4)) {

        case 0:
            json_array_append_new(parts, json_pack("{s:s, s:{s:s}}",
                "type", "image_url", "image_url", "url",
                "https://example.com/i.png?a=b"));
            break;

        case 1:
            json_array_append_new(parts, json_pack("{s:s, s:{s:s}}",
                "type", "image_url", "image_url", "url",
                "data:image/webp;base64,QUJD"));
            break;

        case 2:
            json_array_append_new(parts, json_pack("{s:s, s:{s:s, s:s}}",
                "type", "file", "file", "filename", "a b.pdf", "file_data",
                "data:application/pdf;base64,JVBERi0="));
            break;

        default:
            break;
        }

        json_array_append_new(parts, json_pack("{s:s, s:s}", "type", "text",
                                               "text", word()));
    }

    return parts;
}


static void add_calls(json_t *messages, unsigned *id)
{
    char       name[16];
    json_t    *calls;
    unsigned   first, i, n;

    static const char  *const arguments[] = {
        "{}", "{\"a\":[1,2.5,null,\"x\"]}", "{\"b\":{\"c\":\"\\u00e9\"}}"
    };

    calls = json_array();
    first = *id;
    n = 1 + pick(3);

    for (i = 0; i < n; i++) {
        (void) snprintf(name, sizeof(name), "call_%u", (*id)++);
        json_array_append_new(calls, json_pack("{s:s, s:s, s:{s:s, s:s}}",
            "id", name, "type", "function", "function", "name",
            pick(2) ? "f" : "g", "arguments", arguments[pick(3)]));
    }

    json_array_append_new(messages, json_pack("{s:s, s:s?, s:o}",
        "role", "assistant", "content", pick(2) ? word() : NULL,
        "tool_calls", calls));

    for (i = 0; i < n; i++) {
        (void) snprintf(name, sizeof(name), "call_%u", first + i);
        json_array_append_new(messages, json_pack("{s:s, s:s, s:s}",
            "role", "tool", "tool_call_id", name, "content", word()));
    }
}


static json_t *make_request(void)
{
    json_t    *messages, *root;
    unsigned   i, id, n;

    messages = json_array();
    id = 0;
    n = 1 + pick(4);

    if (pick(2)) {
        json_array_append_new(messages, json_pack("{s:s, s:s}", "role",
                                                  "system", "content",
                                                  word()));
    }

    for (i = 0; i < n; i++) {
        json_array_append_new(messages, json_pack("{s:s, s:o}", "role",
            "user", "content", pick(2) ? user_parts() : json_string(word())));

        if (pick(2)) {
            add_calls(messages, &id);
        }

        json_array_append_new(messages, json_pack("{s:s, s:s}", "role",
                                                  "assistant", "content",
                                                  word()));
    }

    json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "user",
                                              "content", "the last one"));

    root = json_pack("{s:i, s:o}", "max_tokens", (int) (2000 + pick(9000)),
                     "messages", messages);

    if (pick(2)) {
        json_object_set_new(root, "temperature", json_real(0.25));
        json_object_set_new(root, "stop", json_pack("[s]", word()));
        json_object_set_new(root, "user", json_string("u-1"));
    }

    if (id != 0 || pick(2)) {
        json_object_set_new(root, "tools", json_pack(
            "[{s:s, s:{s:s, s:s, s:b, s:{s:s}}}, {s:s, s:{s:s, s:{s:s}}}]",
            "type", "function", "function", "name", "f", "description",
            word(), "strict", (int) pick(2), "parameters", "type", "object",
            "type", "function", "function", "name", "g", "parameters",
            "type", "object"));

        switch (pick(4)) {

        case 0:
            json_object_set_new(root, "tool_choice", json_string("none"));
            break;

        case 1:
            json_object_set_new(root, "tool_choice", json_string("required"));
            json_object_set_new(root, "parallel_tool_calls", json_false());
            break;

        case 2:
            json_object_set_new(root, "tool_choice", json_pack(
                "{s:s, s:{s:s}}", "type", "function", "function", "name",
                "g"));
            break;

        default:
            break;
        }
    }

    if (pick(4) == 0) {
        json_object_set_new(root, "response_format", json_pack(
            "{s:s, s:{s:s, s:{s:s}}}", "type", "json_schema", "json_schema",
            "name", "answer", "schema", "type", "object"));
    }

    return root;
}


/* What a request means: who says what, in order, whatever holds it */

static void mean(meaning_t *m, const char *label, const char *text,
    size_t len)
{
    m->len += (size_t) snprintf(m->data + m->len, sizeof(m->data) - m->len,
                                "%s=%.*s;", label, (int) len, text);

    if (m->len > sizeof(m->data) - 1) {
        m->len = sizeof(m->data) - 1;
    }
}


static void mean_json(meaning_t *m, const char *label, const json_t *value)
{
    char    *text;
    json_t  *parsed;

    /* arguments are an object here and its text there */

    if (json_is_string(value)) {
        parsed = json_loads(json_string_value(value), JSON_DECODE_ANY, NULL);

    } else {
        parsed = json_incref((json_t *) value);
    }

    text = json_dumps(parsed, JSON_SORT_KEYS|JSON_ENCODE_ANY|JSON_COMPACT);
    mean(m, label, text ? text : "", text ? strlen(text) : 0);

    free(text);
    json_decref(parsed);
}


static void mean_part(meaning_t *m, const sp_chat_part_t *part)
{
    char  url[256];

    static const char  *const kinds[] = {
        "text", "refusal", "image", "audio", "file", "reasoning", "other"
    };

    (void) snprintf(url, sizeof(url), "%s%s%s%s",
                    part->media ? "data:" : "", part->media ? part->media : "",
                    part->media ? ";base64," : "",
                    part->data ? json_string_value(part->data) : "");

    mean(m, kinds[part->kind], url, strlen(url));

    if (part->name != NULL) {
        mean(m, "name", part->name, strlen(part->name));
    }
}


static void mean_message(meaning_t *m, const sp_chat_message_t *message)
{
    size_t  i;

    static const char  *const roles[] = {
        "system", "user", "assistant", "tool"
    };

    if (message->parts == NULL && message->len != 0) {
        mean(m, roles[message->role], "", 0);
        mean(m, "text", message->text, message->len);
    }

    for (i = 0; i < message->nparts; i++) {
        mean(m, roles[message->role], "", 0);
        mean_part(m, &message->parts[i]);
    }

    for (i = 0; i < message->ncalls; i++) {
        mean(m, "call", message->calls[i].id, strlen(message->calls[i].id));
        mean(m, "of", message->calls[i].name,
             strlen(message->calls[i].name));
        mean_json(m, "with", message->calls[i].arguments);
    }

    if (message->call_id != NULL) {
        mean(m, "result of", message->call_id, strlen(message->call_id));
    }
}


static void meaning(meaning_t *m, const sp_chat_request_t *chat)
{
    char    numbers[128];
    size_t  i;

    m->len = 0;

    for (i = 0; i < chat->nmessages; i++) {
        mean_message(m, &chat->messages[i]);
    }

    for (i = 0; i < chat->ntools; i++) {
        mean(m, "tool", chat->tools[i].name, strlen(chat->tools[i].name));
        mean_json(m, "schema", chat->tools[i].parameters);
        mean(m, "strict", chat->tools[i].strict ? "1" : "0", 1);

        if (chat->tools[i].description != NULL) {
            mean(m, "about", chat->tools[i].description,
                 strlen(chat->tools[i].description));
        }
    }

    (void) snprintf(numbers, sizeof(numbers), "%d %s %lld %d",
                    (int) chat->choice,
                    chat->choice_name ? chat->choice_name : "",
                    (long long) chat->max_tokens,
                    json_is_false(chat->options[SP_CHAT_PARALLEL_CALLS]));
    mean(m, "numbers", numbers, strlen(numbers));

    mean_json(m, "schema", chat->schema);
    mean_json(m, "temperature", chat->options[SP_CHAT_TEMPERATURE]);
    mean_json(m, "stop", chat->options[SP_CHAT_STOP]);

    if (chat->options[SP_CHAT_END_USER] != NULL) {
        mean(m, "user", json_string_value(chat->options[SP_CHAT_END_USER]),
             json_string_length(chat->options[SP_CHAT_END_USER]));
    }
}


/* a new text, or NULL and why */

static char *translate(const sp_dialect_t *from, const sp_dialect_t *to,
    const char *text, meaning_t *m, const char **why)
{
    json_t             *root;
    sp_out_t            out;
    sp_call_t           call;
    sp_chat_edit_t      edit;
    sp_chat_error_t     error;
    sp_chat_request_t  *chat;

    memset(&call, 0, sizeof(sp_call_t));
    memset(&edit, 0, sizeof(sp_chat_edit_t));
    memset(&out, 0, sizeof(sp_out_t));

    if (sp_json_parse(text, strlen(text), NULL, &root, NULL) != SP_JSON_OK) {
        *why = "no strict JSON";
        return NULL;
    }

    chat = from->parse_request(root, &error);

    if (chat == NULL) {
        *why = error.message;
        return NULL;
    }

    meaning(m, chat);

    call.chat = chat;
    call.edit = &edit;
    call.text = text;
    call.len = strlen(text);

    edit.model = "m";
    edit.model_len = 1;
    edit.anchor = chat->last_user;

    if (to->write_request(&call, &out, &error) == 0) {
        out.size = out.len;
        out.dst = malloc(out.len + 1);
        out.len = 0;

        (void) to->write_request(&call, &out, &error);
        out.dst[out.len] = '\0';

    } else {
        *why = error.message;
    }

    sp_chat_free(chat);

    return out.dst;
}


static int same(const char *text, const char *other)
{
    int      rc;
    json_t  *a, *b;

    a = json_loads(text, 0, NULL);
    b = json_loads(other, 0, NULL);
    rc = json_equal(a, b);

    json_decref(a);
    json_decref(b);

    return rc;
}


/* A -> B -> A -> B: both meanings in each, and what B writes is the same */

static void test_round(const sp_dialect_t *a, const sp_dialect_t *b)
{
    char        *text[4];
    json_t      *root;
    size_t       i, round;
    meaning_t    m[4];
    const char  *why;

    why = "";

    for (round = 0; round < ROUNDS; round++) {
        memset(text, 0, sizeof(text));
        memset(m, 0, sizeof(m));

        root = make_request();
        text[0] = json_dumps(root, JSON_COMPACT);
        json_decref(root);

        for (i = 1; i < 4 && text[i - 1] != NULL; i++) {
            text[i] = (i % 2) ? translate(a, b, text[i - 1], &m[i - 1], &why)
                              : translate(b, a, text[i - 1], &m[i - 1], &why);
        }

        if (text[3] == NULL || strcmp(m[0].data, m[1].data) != 0
            || strcmp(m[0].data, m[2].data) != 0
            || !same(text[1], text[3]))
        {
            break;
        }

        for (i = 0; i < 4; i++) {
            free(text[i]);
        }
    }

    if (!TAP_OK(round == ROUNDS, "%s, %s and back: %zu requests mean the same",
                a->name, b->name, round))
    {
        printf("#   %s\n#   0 %s\n#   1 %s\n#   2 %s\n#   3 %s\n", why,
               text[0], text[1] ? text[1] : "", text[2] ? text[2] : "",
               text[3] ? text[3] : "");
        printf("#   %s\n#   %s\n#   %s\n", m[0].data, m[1].data, m[2].data);

        for (i = 0; i < 4; i++) {
            free(text[i]);
        }
    }
}


int main(void)
{
    test_round(&sp_openai, &sp_anthropic);

    return tap_done();
}
