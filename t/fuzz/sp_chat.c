
/*
 * Copyright (C) Sallyport authors
 *
 * A chat request that is accepted can be assembled and written.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sp_chat.h"
#include "sp_json.h"
#include "sp_prompt.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char               *text;
    size_t              n;
    json_t             *root;
    sp_prompt_t         prompt;
    sp_chat_error_t     error;
    sp_prompt_block_t   block;
    sp_chat_request_t  *chat;

    if (size == 0
        || sp_json_parse((const char *) data + 1, size - 1, NULL, &root, NULL)
           != SP_JSON_OK)
    {
        return 0;
    }

    chat = sp_chat_parse(SP_CHAT_OPENAI, root, &error);

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

    prompt.chat = chat;
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

        text = malloc(sp_chat_edit_size(size - 1, &prompt.edit));
        n = sp_chat_edit(chat, (const char *) data + 1, size - 1,
                         &prompt.edit, text);

        if (n == 0 || n > sp_chat_edit_size(size - 1, &prompt.edit)
            || sp_json_parse(text, n, NULL, &root, NULL) != SP_JSON_OK)
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
