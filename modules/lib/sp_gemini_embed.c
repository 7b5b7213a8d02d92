
/*
 * Copyright (C) Sallyport authors
 *
 * Embeddings as the Gemini API has them: models/MODEL:batchEmbedContents.
 */


#include <string.h>

#include "sp_gemini.h"
#include "sp_json.h"


void
sp_gemini_write_embed(const sp_embed_t *embed, sp_out_t *out)
{
    size_t  i;

    sp_out_str(out, "{\"requests\":[");

    for (i = 0; i < embed->n; i++) {
        sp_out_str(out, (i == 0) ? "" : ",");
        sp_out_str(out, "{\"model\":\"models/");
        sp_out_text(out, embed->model, embed->model_len);
        sp_out_str(out, "\",\"content\":{\"parts\":[{\"text\":\"");
        sp_out_text(out, embed->texts[i].data, embed->texts[i].len);
        sp_out_str(out, "\"}]}");

        if (embed->dimensions != 0) {
            sp_out_str(out, ",\"outputDimensionality\":");
            sp_out_integer(out, (int64_t) embed->dimensions);
        }

        sp_out_str(out, "}");
    }

    sp_out_str(out, "]}");
}


/* the vectors are in the order of the texts */

int
sp_gemini_scan_embed(const char *text, size_t len, sp_vector_pt sink,
    void *data, sp_event_t *event)
{
    int            rc;
    size_t         i;
    json_t        *list, *root, *vector;
    const json_t  *tokens;

    sp_event_init(event);

    if (sp_json_parse(text, len, NULL, &root, NULL) != SP_JSON_OK) {
        return -1;
    }

    list = json_object_get(root, "embeddings");
    rc = json_is_array(list) ? 0 : -1;

    event->has_answer = (rc == 0);

    for (i = 0; rc == 0 && i < json_array_size(list); i++) {
        vector = json_object_get(json_array_get(list, i), "values");

        rc = json_is_array(vector) ? sink(data, i, vector) : -1;
    }

    tokens = json_object_get(json_object_get(root, "usageMetadata"),
                             "promptTokenCount");

    if (json_is_integer(tokens) && json_integer_value(tokens) >= 0) {
        event->has_usage = 1;
        event->prompt_tokens = json_integer_value(tokens);
        event->completion_tokens = 0;
    }

    json_decref(root);

    return rc;
}
