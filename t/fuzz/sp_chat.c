
/*
 * Copyright (C) Sallyport authors
 *
 * A chat request that is accepted can be assembled and written.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sp_dialect.h"
#include "sp_json.h"
#include "sp_prompt.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_translate(const sp_chat_request_t *chat,
    const sp_chat_edit_t *edit, const char *text, size_t len);


/* written anew, it is a request that says the same */

static void
fuzz_translate(const sp_chat_request_t *chat, const sp_chat_edit_t *edit,
    const char *text, size_t len)
{
    json_t             *root;
    sp_out_t            out;
    sp_call_t           call;
    sp_chat_error_t     error;
    sp_json_limits_t    limits;
    sp_chat_request_t  *again;

    memset(&out, 0, sizeof(sp_out_t));
    memset(&call, 0, sizeof(sp_call_t));
    memset(&limits, 0, sizeof(sp_json_limits_t));

    limits.any_number = 1;

    call.chat = chat;
    call.edit = edit;
    call.text = text;
    call.len = len;
    call.stream = chat->stream;

    if (sp_openai.write_request(&call, &out, &error) != 0) {
        if (error.code == NULL) {
            abort();
        }

        return;
    }

    out.size = out.len;
    out.dst = malloc(out.size);
    out.len = 0;

    if (sp_openai.write_request(&call, &out, &error) != 0
        || out.len != out.size
        || sp_json_parse(out.dst, out.len, &limits, &root, NULL)
           != SP_JSON_OK)
    {
        abort();
    }

    again = sp_openai.parse_request(root, &error);

    if (again == NULL ? error.code == NULL
                      : again->n != chat->n
                        || again->max_tokens != chat->max_tokens
                        || again->stream != chat->stream
                        || again->ntools != chat->ntools)
    {
        abort();
    }

    sp_chat_free(again);
    free(out.dst);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char               *text;
    size_t              n;
    json_t             *root;
    sp_call_t           call;
    sp_slice_t          pieces[3];
    sp_dialect_options_t  options;
    sp_prompt_t         prompt;
    sp_tokens_t         counter;
    sp_chat_error_t     error;
    sp_prompt_block_t   block;
    sp_json_limits_t    limits;
    sp_chat_request_t  *chat;

    memset(&limits, 0, sizeof(sp_json_limits_t));
    limits.any_number = 1;

    if (size == 0
        || sp_json_parse((const char *) data + 1, size - 1, &limits, &root,
                         NULL)
           != SP_JSON_OK)
    {
        return 0;
    }

    chat = sp_openai.parse_request(root, &error);

    if (chat == NULL) {
        if (error.code == NULL) {
            abort();
        }

        return 0;
    }

    block.name = "memory";
    block.name_len = 6;
    block.text = chat->messages[0].text;
    block.len = chat->messages[0].len;

    memset(&prompt, 0, sizeof(sp_prompt_t));
    memset(&counter, 0, sizeof(sp_tokens_t));

    prompt.chat = chat;
    prompt.counter = &counter;
    prompt.tail = &block;
    prompt.ntail = 1;
    prompt.budget = data[0];
    prompt.system = (data[0] & 1) ? SP_PROMPT_SYSTEM_MERGE
                                  : SP_PROMPT_SYSTEM_ALLOW;

    if (sp_prompt_assemble(&prompt) == SP_PROMPT_OK) {

        if (prompt.budget != 0 && prompt.tokens > prompt.budget) {
            abort();
        }

        prompt.edit.model = "m";
        prompt.edit.model_len = 1;
        prompt.edit.usage = 1;

        fuzz_translate(chat, &prompt.edit, (const char *) data + 1, size - 1);

        memset(&call, 0, sizeof(sp_call_t));

        memset(&options, 0, sizeof(sp_dialect_options_t));
        options.continuous_usage = (data[0] & 2) ? 1 : 0;
        options.max_tokens = (data[0] & 4) ? "max_completion_tokens" : NULL;

        call.chat = chat;
        call.edit = &prompt.edit;
        call.options = &options;
        call.text = (const char *) data + 1;
        call.len = size - 1;

        n = sp_openai.edit_size(&call);
        text = malloc(n);

        if (call.len > SP_DIALECT_PIECE
            || sp_openai.edit(&call, text, pieces) != 1
            || pieces[0].len > n
            || sp_json_parse(pieces[0].data, pieces[0].len, &limits, &root,
                             NULL)
               != SP_JSON_OK)
        {
            abort();
        }

        /* the provider must not see another model than we chose */

        if (strcmp(json_string_value(json_object_get(root, "model")), "m")
            != 0)
        {
            abort();
        }

        free(text);
        json_decref(root);
    }

    sp_prompt_free(&prompt);
    sp_chat_free(chat);

    return 0;
}
