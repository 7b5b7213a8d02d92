
/*
 * Copyright (C) Sallyport authors
 *
 * Embeddings as OpenAI has them: POST /embeddings.
 */


#include <string.h>

#include "sp_json.h"
#include "sp_openai.h"


static int sp_openai_scan_vectors(const json_t *list, sp_vector_pt sink,
    void *data);
static void sp_openai_embed_usage(const json_t *root, sp_event_t *event);


void
sp_openai_write_embed(const sp_embed_t *embed, sp_out_t *out)
{
    size_t  i;

    sp_out_str(out, "{\"model\":\"");
    sp_out_text(out, embed->model, embed->model_len);
    sp_out_str(out, "\",\"encoding_format\":\"float\",");

    if (embed->dimensions != 0) {
        sp_out_str(out, "\"dimensions\":");
        sp_out_integer(out, (int64_t) embed->dimensions);
        sp_out_str(out, ",");
    }

    sp_out_str(out, "\"input\":[");

    for (i = 0; i < embed->n; i++) {
        sp_out_str(out, (i == 0) ? "\"" : ",\"");
        sp_out_text(out, embed->texts[i].data, embed->texts[i].len);
        sp_out_str(out, "\"");
    }

    sp_out_str(out, "]}");
}


int
sp_openai_scan_embed(const char *text, size_t len, sp_vector_pt sink,
    void *data, sp_event_t *event)
{
    int      rc;
    json_t  *list, *root;

    sp_event_init(event);

    if (sp_json_parse(text, len, NULL, &root, NULL) != SP_JSON_OK) {
        return -1;
    }

    rc = -1;
    list = json_object_get(root, "data");

    if (json_is_array(list)) {
        event->has_answer = 1;
        sp_openai_embed_usage(root, event);

        rc = sp_openai_scan_vectors(list, sink, data);
    }

    json_decref(root);

    return rc;
}


static int
sp_openai_scan_vectors(const json_t *list, sp_vector_pt sink, void *data)
{
    int      rc;
    size_t   i;
    json_t  *index, *item, *vector;

    for (i = 0; i < json_array_size(list); i++) {
        item = json_array_get(list, i);
        index = json_object_get(item, "index");
        vector = json_object_get(item, "embedding");

        if (!json_is_array(vector)
            || (json_is_integer(index) && json_integer_value(index) < 0))
        {
            return -1;
        }

        /* without an index: in order */

        rc = sink(data, json_is_integer(index)
                        ? (size_t) json_integer_value(index) : i, vector);

        if (rc != 0) {
            return rc;
        }
    }

    return 0;
}


static void
sp_openai_embed_usage(const json_t *root, sp_event_t *event)
{
    const json_t  *tokens;

    tokens = json_object_get(json_object_get(root, "usage"),
                             "prompt_tokens");

    if (json_is_integer(tokens) && json_integer_value(tokens) >= 0) {
        event->has_usage = 1;
        event->prompt_tokens = json_integer_value(tokens);
        event->completion_tokens = 0;
    }
}
