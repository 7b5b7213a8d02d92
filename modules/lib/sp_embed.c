
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_embed.h"
#include "sp_json.h"


static const sp_chat_error_t  sp_embed_not_object =
    { "request_not_object", NULL,
      "the request must be a JSON object" };

static const sp_chat_error_t  sp_embed_model_invalid =
    { "model_invalid", "model",
      "\"model\" must be a string of 1 to 256 bytes" };

static const sp_chat_error_t  sp_embed_input_required =
    { "input_required", "input",
      "\"input\" must be a string or an array" };

static const sp_chat_error_t  sp_embed_input_invalid =
    { "input_invalid", "input",
      "\"input\" must be a string, or an array of strings, of tokens or of "
      "arrays of tokens, none of them empty" };

static const sp_chat_error_t  sp_embed_input_too_many =
    { "input_too_many", "input",
      "\"input\" may hold at most 2048 texts" };

static const sp_chat_error_t  sp_embed_format_invalid =
    { "encoding_format_invalid", "encoding_format",
      "\"encoding_format\" must be \"float\" or \"base64\"" };

static const sp_chat_error_t  sp_embed_dimensions_invalid =
    { "dimensions_invalid", "dimensions",
      "\"dimensions\" must be a positive integer" };

static const sp_chat_error_t  sp_embed_user_invalid =
    { "user_invalid", "user",
      "\"user\" must be a string" };


static const sp_chat_error_t *sp_embed_read_input(const json_t *input);
static const sp_chat_error_t *sp_embed_read_options(const json_t *root);
static int sp_embed_is_tokens(const json_t *value);
static const json_t *sp_embed_member(const json_t *root, const char *name);


int
sp_embed_parse(const json_t *root, sp_embed_request_t *request,
    sp_chat_error_t *error)
{
    const json_t           *model;
    const sp_chat_error_t  *failed;

    memset(request, 0, sizeof(sp_embed_request_t));

    if (!json_is_object(root)) {
        *error = sp_embed_not_object;
        return -1;
    }

    failed = sp_embed_read_input(json_object_get(root, "input"));

    if (failed == NULL) {
        failed = sp_embed_read_options(root);
    }

    model = json_object_get(root, "model");

    if (model != NULL) {
        request->model = sp_json_string(root, "model", &request->model_len);

        if (failed == NULL
            && (request->model == NULL || request->model_len == 0
                || request->model_len > SP_CHAT_MAX_MODEL))
        {
            failed = &sp_embed_model_invalid;
        }
    }

    if (failed != NULL) {
        *error = *failed;
        return -1;
    }

    return 0;
}


static const sp_chat_error_t *
sp_embed_read_input(const json_t *input)
{
    size_t         i;
    const json_t  *item;

    if (json_is_string(input)) {
        return (json_string_length(input) != 0) ? NULL
                                                : &sp_embed_input_invalid;
    }

    if (!json_is_array(input)) {
        return &sp_embed_input_required;
    }

    if (sp_embed_is_tokens(input)) {
        return NULL;
    }

    if (json_array_size(input) > SP_EMBED_MAX_INPUTS) {
        return &sp_embed_input_too_many;
    }

    for (i = 0; i < json_array_size(input); i++) {
        item = json_array_get(input, i);

        if (json_string_length(item) == 0 && !sp_embed_is_tokens(item)) {
            return &sp_embed_input_invalid;
        }

        if (json_typeof(item) != json_typeof(json_array_get(input, 0))) {
            return &sp_embed_input_invalid;
        }
    }

    return (i != 0) ? NULL : &sp_embed_input_invalid;
}


static const sp_chat_error_t *
sp_embed_read_options(const json_t *root)
{
    const char    *text;
    const json_t  *value;

    value = sp_embed_member(root, "encoding_format");
    text = json_string_value(value);

    if (value != NULL
        && (text == NULL || (strcmp(text, "float") != 0
                             && strcmp(text, "base64") != 0)))
    {
        return &sp_embed_format_invalid;
    }

    value = sp_embed_member(root, "dimensions");

    if (value != NULL
        && (!json_is_integer(value) || json_integer_value(value) < 1))
    {
        return &sp_embed_dimensions_invalid;
    }

    value = sp_embed_member(root, "user");

    return (value == NULL || json_is_string(value)) ? NULL
                                                    : &sp_embed_user_invalid;
}


static int
sp_embed_is_tokens(const json_t *value)
{
    size_t         i;
    const json_t  *token;

    for (i = 0; i < json_array_size(value); i++) {
        token = json_array_get(value, i);

        if (!json_is_integer(token) || json_integer_value(token) < 0) {
            return 0;
        }
    }

    return i != 0;
}


/* JSON null is the same as a member that is not there */

static const json_t *
sp_embed_member(const json_t *root, const char *name)
{
    const json_t  *value;

    value = json_object_get(root, name);

    return json_is_null(value) ? NULL : value;
}
