
/*
 * Copyright (C) Sallyport authors
 *
 * A request for embeddings in OpenAI's form, which is passed on: only
 * what would surprise the gateway or its provider is looked at.
 */

#ifndef _SP_EMBED_H_INCLUDED_
#define _SP_EMBED_H_INCLUDED_


#include <jansson.h>

#include "sp_chat.h"


/* texts of one request, as of OpenAI */
#define SP_EMBED_MAX_INPUTS  2048


typedef struct {
    const char           *model;         /* points into root; NULL: none */
    size_t                model_len;
} sp_embed_request_t;


/* 0, or -1 and *error, which names the member */
int sp_embed_parse(const json_t *root, sp_embed_request_t *request,
    sp_chat_error_t *error);


#endif /* _SP_EMBED_H_INCLUDED_ */
