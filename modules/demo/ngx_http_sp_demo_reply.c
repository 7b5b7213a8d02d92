
/*
 * Copyright (C) Sallyport authors
 *
 * What the demo model says: who it plays, what it was told, and the notes it
 * was given, the one that fits the question first.  The same request always
 * gets the same reply.
 */


#include "ngx_http_sp_demo.h"


#define NGX_HTTP_SP_DEMO_QUOTE  200
#define NGX_HTTP_SP_DEMO_NOTES  8


static void ngx_http_sp_demo_persona(const sp_chat_request_t *chat,
    ngx_str_t *name);
static void ngx_http_sp_demo_notes(const sp_chat_request_t *chat,
    ngx_str_t *notes);
static void ngx_http_sp_demo_recall(ngx_http_sp_demo_text_t *text,
    ngx_str_t notes, const ngx_str_t *question);
static ngx_uint_t ngx_http_sp_demo_best_note(ngx_str_t notes,
    const ngx_str_t *question, ngx_str_t *best);
static ngx_uint_t ngx_http_sp_demo_score(ngx_str_t line, ngx_str_t question);
static ngx_uint_t ngx_http_sp_demo_common(const ngx_str_t *word);
static void ngx_http_sp_demo_quote(ngx_http_sp_demo_text_t *text,
    const u_char *data, size_t len);
static void ngx_http_sp_demo_cap(ngx_http_sp_demo_ctx_t *ctx);
static u_char *ngx_http_sp_demo_find(const ngx_str_t *text, const char *s);


/* too frequent to tell anything about a note */

static const char  *ngx_http_sp_demo_stop_words[] = {
    "the", "and", "are", "was", "you", "your", "what", "who", "how", "when",
    "where", "does", "did", "called", "name", "user", "about", "tell",
    "that", "this", "with", "have", "has", "for", "not", "she", "his", "her",
    NULL
};


ngx_int_t
ngx_http_sp_demo_reply(ngx_http_request_t *r, ngx_http_sp_demo_ctx_t *ctx)
{
    ngx_str_t                  name, notes, question;
    ngx_uint_t                 i;
    sp_chat_request_t         *chat;
    ngx_http_sp_demo_text_t    text;
    const sp_chat_message_t   *message;

    ngx_memzero(&text, sizeof(ngx_http_sp_demo_text_t));
    text.pool = r->pool;

    chat = ctx->chat;

    for (i = 0; i < chat->nmessages; i++) {
        message = &chat->messages[i];

        ctx->prompt_tokens += SP_TOKENS_MESSAGE
                              + sp_tokens_estimate(SP_BPE_O200K_BASE,
                                                   message->text,
                                                   message->len);
    }

    if (ngx_http_sp_demo_wants_memories(chat)) {
        ngx_http_sp_demo_extract(&text, chat);
        goto done;
    }

    ngx_str_null(&question);

    if (chat->last_user < chat->nmessages) {
        message = &chat->messages[chat->last_user];

        question.data = (u_char *) message->text;
        question.len = message->len;
    }

    ngx_http_sp_demo_persona(chat, &name);
    ngx_http_sp_demo_notes(chat, &notes);

    if (name.len != 0) {
        ngx_http_sp_demo_add_text(&text, "This is ");
        ngx_http_sp_demo_quote(&text, name.data, name.len);
        ngx_http_sp_demo_add_text(&text, ", played by the demo model. ");

    } else {
        ngx_http_sp_demo_add_text(&text, "This is the demo model. ");
    }

    ngx_http_sp_demo_add_text(&text, "You said: \"");
    ngx_http_sp_demo_quote(&text, question.data, question.len);
    ngx_http_sp_demo_add_text(&text, "\". ");

    ngx_http_sp_demo_recall(&text, notes, &question);

done:

    if (text.failed) {
        return NGX_ERROR;
    }

    ctx->reply.data = text.data;
    ctx->reply.len = text.len;

    ngx_http_sp_demo_cap(ctx);

    return NGX_OK;
}


static void
ngx_http_sp_demo_recall(ngx_http_sp_demo_text_t *text, ngx_str_t notes,
    const ngx_str_t *question)
{
    ngx_str_t   best, line;
    ngx_uint_t  i;

    if (notes.len == 0) {
        ngx_http_sp_demo_add_text(text, "I have no notes about you yet.");
        return;
    }

    if (ngx_http_sp_demo_best_note(notes, question, &best)) {
        ngx_http_sp_demo_add_text(text, "I remember: ");
        ngx_http_sp_demo_quote(text, best.data, best.len);
        ngx_http_sp_demo_add_text(text, "\n\n");
    }

    ngx_http_sp_demo_add_text(text, "The notes I was given about you:");

    for (i = 0; i < NGX_HTTP_SP_DEMO_NOTES; i++) {

        if (!ngx_http_sp_demo_next_line(&notes, &line)) {
            break;
        }

        if (line.len != 0) {
            ngx_http_sp_demo_add_text(text, "\n");
            ngx_http_sp_demo_quote(text, line.data, line.len);
        }
    }
}


/* the gateway begins a persona with "Character: NAME" */

static void
ngx_http_sp_demo_persona(const sp_chat_request_t *chat, ngx_str_t *name)
{
    size_t      i;
    u_char     *p;
    ngx_str_t   line, text;

    ngx_str_null(name);

    for (i = 0; i < chat->nmessages; i++) {

        if (chat->messages[i].role != SP_CHAT_SYSTEM) {
            continue;
        }

        text.data = (u_char *) chat->messages[i].text;
        text.len = chat->messages[i].len;

        p = ngx_http_sp_demo_find(&text, "Character: ");

        if (p == NULL) {
            continue;
        }

        text.len -= p - text.data;
        text.data = p;

        (void) ngx_http_sp_demo_next_line(&text, &line);

        name->data = line.data + sizeof("Character: ") - 1;
        name->len = line.len - (sizeof("Character: ") - 1);

        return;
    }
}


/* what stands between <notes name="..."> and </notes>, the last one wins */

static void
ngx_http_sp_demo_notes(const sp_chat_request_t *chat, ngx_str_t *notes)
{
    size_t      i;
    u_char     *end, *p;
    ngx_str_t   line, text;

    ngx_str_null(notes);

    for (i = 0; i < chat->nmessages; i++) {

        if (chat->messages[i].role != SP_CHAT_SYSTEM) {
            continue;
        }

        text.data = (u_char *) chat->messages[i].text;
        text.len = chat->messages[i].len;

        p = ngx_http_sp_demo_find(&text, "<notes name=");

        if (p == NULL) {
            continue;
        }

        text.len -= p - text.data;
        text.data = p;

        (void) ngx_http_sp_demo_next_line(&text, &line);

        end = ngx_http_sp_demo_find(&text, "\n</notes>");

        if (end != NULL) {
            notes->data = text.data;
            notes->len = end - text.data;
        }
    }
}


static ngx_uint_t
ngx_http_sp_demo_best_note(ngx_str_t notes, const ngx_str_t *question,
    ngx_str_t *best)
{
    ngx_str_t   line;
    ngx_uint_t  score, top;

    top = 0;

    while (ngx_http_sp_demo_next_line(&notes, &line)) {

        score = ngx_http_sp_demo_score(line, *question);

        if (score > top) {
            top = score;
            *best = line;
        }
    }

    return top;
}


/* words of the question that occur in the line */

static ngx_uint_t
ngx_http_sp_demo_score(ngx_str_t line, ngx_str_t question)
{
    ngx_str_t   rest, word, other;
    ngx_uint_t  score;

    score = 0;

    while (ngx_http_sp_demo_next_word(&question, &word)) {

        if (word.len < 3 || ngx_http_sp_demo_common(&word)) {
            continue;
        }

        rest = line;

        while (ngx_http_sp_demo_next_word(&rest, &other)) {
            if (other.len == word.len
                && ngx_strncasecmp(other.data, word.data, word.len) == 0)
            {
                score++;
                break;
            }
        }
    }

    return score;
}


static ngx_uint_t
ngx_http_sp_demo_common(const ngx_str_t *word)
{
    ngx_uint_t  i;

    for (i = 0; ngx_http_sp_demo_stop_words[i] != NULL; i++) {
        if (ngx_strlen(ngx_http_sp_demo_stop_words[i]) == word->len
            && ngx_strncasecmp((u_char *) ngx_http_sp_demo_stop_words[i],
                               word->data, word->len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* at most so many bytes, never a part of a character */

static void
ngx_http_sp_demo_quote(ngx_http_sp_demo_text_t *text, const u_char *data,
    size_t len)
{
    if (len <= NGX_HTTP_SP_DEMO_QUOTE) {
        ngx_http_sp_demo_add(text, data, len);
        return;
    }

    len = NGX_HTTP_SP_DEMO_QUOTE;

    while (len > 0 && (data[len] & 0xc0) == 0x80) {
        len--;
    }

    ngx_http_sp_demo_add(text, data, len);
    ngx_http_sp_demo_add_text(text, "...");
}


/* a token of the demo model is a word; max_tokens cuts between words */

static void
ngx_http_sp_demo_cap(ngx_http_sp_demo_ctx_t *ctx)
{
    size_t  i, max, n;

    max = ctx->chat->max_tokens > 0 ? (size_t) ctx->chat->max_tokens
                                    : (size_t) -1;
    n = 0;

    for (i = 0; i < ctx->reply.len; i++) {

        if (ctx->reply.data[i] == ' ' || i == 0) {

            if (n == max) {
                ctx->reply.len = i;
                ctx->cut = 1;
                break;
            }

            n++;
        }
    }

    ctx->completion_tokens = n;
}


static u_char *
ngx_http_sp_demo_find(const ngx_str_t *text, const char *s)
{
    size_t   len;
    u_char  *last, *p;

    len = ngx_strlen(s);

    if (text->len < len) {
        return NULL;
    }

    last = text->data + text->len - len;

    for (p = text->data; p <= last; p++) {
        if (*p == (u_char) *s && ngx_memcmp(p, s, len) == 0) {
            return p;
        }
    }

    return NULL;
}
