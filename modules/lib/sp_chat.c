
/*
 * Copyright (C) Sallyport authors
 */


#include <stdlib.h>

#include "sp_chat.h"


void
sp_chat_free(sp_chat_request_t *chat)
{
    if (chat == NULL) {
        return;
    }

    json_decref(chat->root);
    json_decref(chat->made);
    free(chat);
}


int
sp_chat_keeps(const sp_chat_request_t *chat, const sp_chat_edit_t *edit,
    size_t i)
{
    if (chat->messages[i].role == SP_CHAT_SYSTEM) {
        return !edit->merge;
    }

    return i >= edit->first;
}
