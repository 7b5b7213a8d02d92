
/*
 * Copyright (C) Sallyport authors
 *
 * A request of another dialect, as a GenerateContentRequest.  What Gemini has
 * no word for is refused by its name; left out is only what changes nothing
 * of the answer: "user", and markers of the prompt cache, which Gemini finds
 * out by itself.
 */


#include <string.h>

#include "sp_gemini.h"


static const sp_chat_error_t  sp_gemini_no_embeddings =
    { "unsupported_request", NULL,
      "embeddings are not translated" };

static const sp_chat_error_t  sp_gemini_unsupported =
    { "unsupported_parameter", NULL,
      "the model of this request does not have this parameter: leave it "
      "out" };

static const sp_chat_error_t  sp_gemini_system_invalid =
    { "unsupported_content", "messages",
      "a system message is text only" };


static int sp_gemini_write_system(sp_gemini_sender_t *s);
static void sp_gemini_system_text(sp_gemini_sender_t *s, const char *text,
    size_t len);


int
sp_gemini_write_request(const sp_call_t *call, sp_out_t *out,
    sp_chat_error_t *error)
{
    sp_gemini_sender_t  s;

    memset(&s, 0, sizeof(sp_gemini_sender_t));

    s.call = call;
    s.out = out;
    s.error = error;

    if (call->chat == NULL) {
        return sp_gemini_refuse(&s, &sp_gemini_no_embeddings);
    }

    if (call->chat->foreign != NULL) {
        (void) sp_gemini_refuse(&s, &sp_gemini_unsupported);
        error->param = call->chat->foreign;

        return -1;
    }

    sp_out_str(out, "{");

    if (sp_gemini_write_system(&s) != 0
        || sp_gemini_write_contents(&s) != 0
        || sp_gemini_write_tools(&s) != 0
        || sp_gemini_write_config(&s) != 0)
    {
        return -1;
    }

    sp_out_str(out, "}");

    return 0;
}


/* there is one place for all of them, whatever they stood between */

static int
sp_gemini_write_system(sp_gemini_sender_t *s)
{
    size_t                    i, k;
    const sp_chat_edit_t     *edit;
    const sp_chat_message_t  *message;
    const sp_chat_request_t  *chat;

    chat = s->call->chat;
    edit = s->call->edit;

    s->items = 0;

    sp_gemini_system_text(s, edit->prefix, edit->prefix_len);

    for (i = 0; i < chat->nmessages; i++) {
        message = &chat->messages[i];

        if (message->role != SP_CHAT_SYSTEM
            || !sp_chat_keeps(chat, edit, i))
        {
            continue;
        }

        for (k = 0; k < message->nparts; k++) {
            if (message->parts[k].kind != SP_CHAT_PART_TEXT) {
                return sp_gemini_refuse(s, &sp_gemini_system_invalid);
            }
        }

        sp_gemini_system_text(s, message->text, message->len);
    }

    sp_gemini_system_text(s, edit->tail, edit->tail_len);

    if (s->items != 0) {
        sp_out_str(s->out, "]},");
    }

    return 0;
}


static void
sp_gemini_system_text(sp_gemini_sender_t *s, const char *text, size_t len)
{
    if (len == 0) {
        return;
    }

    if (s->items == 0) {
        sp_out_str(s->out, "\"systemInstruction\":{\"parts\":[");
    }

    sp_gemini_next(s);
    sp_out_str(s->out, "{\"text\":\"");
    sp_out_text(s->out, text, len);
    sp_out_str(s->out, "\"}");
}


void
sp_gemini_next(sp_gemini_sender_t *s)
{
    if (s->items++ != 0) {
        sp_out_str(s->out, ",");
    }
}


int
sp_gemini_refuse(sp_gemini_sender_t *s, const sp_chat_error_t *error)
{
    *s->error = *error;

    return -1;
}


/* "gemini-2.5-flash", but not "gemini-3-pro" or "gemini-flash-latest" */

int
sp_gemini_is_old(const sp_gemini_sender_t *s)
{
    const char  *model;

    model = s->call->edit->model;

    return s->call->edit->model_len > 8
           && memcmp(model, "gemini-", 7) == 0
           && (model[7] == '1' || model[7] == '2');
}
