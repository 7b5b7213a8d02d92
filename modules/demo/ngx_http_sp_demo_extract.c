
/*
 * Copyright (C) Sallyport authors
 *
 * Memory extraction by simple rules: a sentence of the user about himself is
 * a memory, a question is not.  The transcript has one message a line, its
 * number first: "12 user: my dog is called Rex".
 */


#include "ngx_http_sp_demo.h"


#define NGX_HTTP_SP_DEMO_MEMORIES  12
#define NGX_HTTP_SP_DEMO_MAX_TEXT  300


typedef struct {
    const char    *start;
    const char    *kind;
} ngx_http_sp_demo_rule_t;


static ngx_uint_t ngx_http_sp_demo_parse_line(ngx_str_t *line,
    ngx_uint_t *seq);
static ngx_uint_t ngx_http_sp_demo_next_sentence(ngx_str_t *text,
    ngx_str_t *sentence);
static const ngx_http_sp_demo_rule_t *ngx_http_sp_demo_match(
    const ngx_str_t *sentence);
static void ngx_http_sp_demo_memory(ngx_http_sp_demo_text_t *text,
    const ngx_http_sp_demo_rule_t *rule, const ngx_str_t *sentence,
    ngx_uint_t seq, ngx_uint_t n);
static void ngx_http_sp_demo_subject(const ngx_str_t *sentence,
    ngx_str_t *subject);


static const ngx_http_sp_demo_rule_t  ngx_http_sp_demo_rules[] = {
    { "my favourite ", "preference" },
    { "my favorite ", "preference" },
    { "my ", "profile" },
    { "i am ", "profile" },
    { "i'm ", "profile" },
    { "i live ", "profile" },
    { "i work ", "profile" },
    { "i have ", "profile" },
    { "call me ", "profile" },
    { "i like ", "preference" },
    { "i love ", "preference" },
    { "i hate ", "preference" },
    { "i prefer ", "preference" },
    { "i will ", "promise" },
    { "remember ", "event" },
    { NULL, NULL }
};


ngx_uint_t
ngx_http_sp_demo_wants_memories(const sp_chat_request_t *chat)
{
    json_t      *format;
    const char  *name;

    format = json_object_get(chat->root, "response_format");
    format = json_object_get(format, "json_schema");
    name = json_string_value(json_object_get(format, "name"));

    return name != NULL && ngx_strcmp(name, "memories") == 0;
}


void
ngx_http_sp_demo_extract(ngx_http_sp_demo_text_t *text,
    const sp_chat_request_t *chat)
{
    ngx_str_t                       line, lines, sentence;
    ngx_uint_t                      n, seq;
    const sp_chat_message_t        *message;
    const ngx_http_sp_demo_rule_t  *rule;

    n = 0;

    ngx_http_sp_demo_add_text(text, "{\"memories\":[");

    ngx_str_null(&lines);

    if (chat->last_user < chat->nmessages) {
        message = &chat->messages[chat->last_user];

        lines.data = (u_char *) message->text;
        lines.len = message->len;
    }

    while (ngx_http_sp_demo_next_line(&lines, &line)) {

        if (!ngx_http_sp_demo_parse_line(&line, &seq)) {
            continue;
        }

        while (ngx_http_sp_demo_next_sentence(&line, &sentence)) {

            rule = ngx_http_sp_demo_match(&sentence);

            if (rule == NULL || n == NGX_HTTP_SP_DEMO_MEMORIES) {
                continue;
            }

            ngx_http_sp_demo_memory(text, rule, &sentence, seq, n);
            n++;
        }
    }

    ngx_http_sp_demo_add_text(text, "]}");
}


/* "12 user: text", also "[12] user: text": *line becomes the text */

static ngx_uint_t
ngx_http_sp_demo_parse_line(ngx_str_t *line, ngx_uint_t *seq)
{
    u_char  *last, *p;

    p = line->data;
    last = p + line->len;

    while (p < last && (*p == ' ' || *p == '[' || *p == '#')) {
        p++;
    }

    if (p == last || *p < '0' || *p > '9') {
        return 0;
    }

    *seq = 0;

    while (p < last && *p >= '0' && *p <= '9' && *seq < 1000000000) {
        *seq = *seq * 10 + (*p++ - '0');
    }

    while (p < last && (*p == ' ' || *p == ']' || *p == '.' || *p == ':')) {
        p++;
    }

    if (last - p < 5 || ngx_strncasecmp(p, (u_char *) "user:", 5) != 0) {
        return 0;
    }

    line->data = p + 5;
    line->len = last - line->data;

    return 1;
}


/* a question keeps its mark */

static ngx_uint_t
ngx_http_sp_demo_next_sentence(ngx_str_t *text, ngx_str_t *sentence)
{
    u_char  *last, *p;

    p = text->data;
    last = p + text->len;

    while (p < last && (*p == ' ' || *p == '.' || *p == '!' || *p == '?')) {
        p++;
    }

    sentence->data = p;

    while (p < last && *p != '.' && *p != '!' && *p != '?') {
        p++;
    }

    sentence->len = p - sentence->data;

    if (p < last && *p == '?') {
        sentence->len++;
    }

    text->data = p;
    text->len = last - p;

    return sentence->len != 0;
}


static const ngx_http_sp_demo_rule_t *
ngx_http_sp_demo_match(const ngx_str_t *sentence)
{
    size_t                          len;
    const ngx_http_sp_demo_rule_t  *rule;

    if (sentence->len > NGX_HTTP_SP_DEMO_MAX_TEXT
        || sentence->data[sentence->len - 1] == '?')
    {
        return NULL;
    }

    for (rule = ngx_http_sp_demo_rules; rule->start != NULL; rule++) {

        len = ngx_strlen(rule->start);

        if (sentence->len > len
            && ngx_strncasecmp(sentence->data, (u_char *) rule->start, len)
               == 0)
        {
            return rule;
        }
    }

    return NULL;
}


static void
ngx_http_sp_demo_memory(ngx_http_sp_demo_text_t *text,
    const ngx_http_sp_demo_rule_t *rule, const ngx_str_t *sentence,
    ngx_uint_t seq, ngx_uint_t n)
{
    ngx_str_t  subject;

    ngx_http_sp_demo_subject(sentence, &subject);

    ngx_http_sp_demo_printf(text, "%s{\"op\":\"add\",\"ref\":null,"
                            "\"text\":\"", n ? "," : "");
    ngx_http_sp_demo_add_json(text, sentence->data, sentence->len);
    ngx_http_sp_demo_printf(text, "\",\"kind\":\"%s\",\"subject\":\"",
                            rule->kind);
    ngx_http_sp_demo_add_json(text, subject.data, subject.len);
    ngx_http_sp_demo_printf(text, "\",\"importance\":5,"
                            "\"event_on\":null,\"src_seq\":%ui}", seq);
}


/* "dog" of "my dog is called Rex", else the user */

static void
ngx_http_sp_demo_subject(const ngx_str_t *sentence, ngx_str_t *subject)
{
    ngx_str_t  rest, word;

    rest = *sentence;

    (void) ngx_http_sp_demo_next_word(&rest, &word);

    if (word.len == 2
        && ngx_strncasecmp(word.data, (u_char *) "my", 2) == 0
        && ngx_http_sp_demo_next_word(&rest, &word)
        && word.len <= 64)
    {
        *subject = word;
        return;
    }

    ngx_str_set(subject, "user");
}
