
/*
 * Copyright (C) Sallyport authors
 *
 * Embeddings: as clients ask for them, and in the dialect that is built in.
 */

#include "tap.h"

#include "sp_dialect.h"
#include "sp_embed.h"
#include "sp_json.h"


typedef struct {
    const char  *json;
    int          rc;
    const char  *seen;       /* "index:length " of each vector */
    int64_t      tokens;
} case_t;


static const case_t  cases[] = {
    { "{\"data\":[{\"index\":0,\"embedding\":[0.5,1]}],"
      "\"usage\":{\"prompt_tokens\":3,\"total_tokens\":3}}", 0, "0:2 ", 3 },
    { "{\"data\":[{\"index\":1,\"embedding\":[1]},"
      "{\"index\":0,\"embedding\":[2,3]}]}", 0, "1:1 0:2 ", -1 },
    { "{\"data\":[{\"embedding\":[1]},{\"embedding\":[2]}]}", 0,
      "0:1 1:1 ", -1 },
    { "{\"data\":[],\"usage\":{\"prompt_tokens\":0}}", 0, "", 0 },
    { "{\"data\":[{\"index\":-1,\"embedding\":[1]}]}", -1, "", -1 },
    { "{\"data\":[{\"index\":0,\"embedding\":\"AAAA\"}]}", -1, "", -1 },
    { "{\"data\":[{\"index\":0}]}", -1, "", -1 },
    { "{\"data\":[1]}", -1, "", -1 },
    { "{\"data\":{\"embedding\":[1]}}", -1, "", -1 },
    { "{\"data\":[{\"embedding\":[1]}],\"usage\":{\"prompt_tokens\":-2}}", 0,
      "0:1 ", -1 },
    { "{\"data\":[{\"embedding\":[1]}],\"usage\":{\"prompt_tokens\":1.5}}", 0,
      "0:1 ", -1 },
    { "{\"data\":[{\"embedding\":[1]}],\"usage\":7}", 0, "0:1 ", -1 },
    { "{\"error\":{\"message\":\"no\"}}", -1, "", -1 },
    { "[]", -1, "", -1 },
    { "not JSON", -1, "", -1 },
    { "", -1, "", -1 }
};


/* of a client: how it is refused; the model where it is not */

static const struct {
    const char  *json;
    const char  *expected;
} requests[] = {
    { "{\"input\":\"x\",\"model\":\"m\"}", "m" },
    { "{\"input\":[\"x\",\"y\"],\"dimensions\":3,\"user\":\"u\"}", "" },
    { "{\"input\":[1,2],\"encoding_format\":\"base64\"}", "" },
    { "{\"input\":[[1],[2,3]],\"encoding_format\":\"float\"}", "" },
    { "{\"input\":\"x\",\"dimensions\":null,\"user\":null}", "" },
    { "[]", "request_not_object" },
    { "{}", "input_required input" },
    { "{\"input\":null}", "input_required input" },
    { "{\"input\":\"\"}", "input_invalid input" },
    { "{\"input\":[]}", "input_invalid input" },
    { "{\"input\":[\"x\",1]}", "input_invalid input" },
    { "{\"input\":[1,\"x\"]}", "input_invalid input" },
    { "{\"input\":[\"x\",[1]]}", "input_invalid input" },
    { "{\"input\":[[]]}", "input_invalid input" },
    { "{\"input\":[[1],[\"x\"]]}", "input_invalid input" },
    { "{\"input\":[-1]}", "input_invalid input" },
    { "{\"input\":[{}]}", "input_invalid input" },
    { "{\"input\":\"x\",\"model\":null}", "model_invalid model" },
    { "{\"input\":\"x\",\"model\":\"\"}", "model_invalid model" },
    { "{\"input\":\"x\",\"encoding_format\":\"int8\"}",
      "encoding_format_invalid encoding_format" },
    { "{\"input\":\"x\",\"encoding_format\":1}",
      "encoding_format_invalid encoding_format" },
    { "{\"input\":\"x\",\"dimensions\":0}", "dimensions_invalid dimensions" },
    { "{\"input\":\"x\",\"dimensions\":1.0}",
      "dimensions_invalid dimensions" },
    { "{\"input\":\"x\",\"user\":1}", "user_invalid user" }
};


static void
test_requests(void)
{
    char                 got[128];
    size_t               i;
    json_t              *root;
    sp_chat_error_t      error;
    sp_embed_request_t   request;

    for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        (void) sp_json_parse(requests[i].json, strlen(requests[i].json), NULL,
                             &root, NULL);

        if (sp_embed_parse(root, &request, &error) != 0) {
            (void) sprintf(got, "%s%s%s", error.code, error.param ? " " : "",
                           error.param ? error.param : "");

        } else {
            (void) sprintf(got, "%.*s", (int) request.model_len,
                           request.model ? request.model : "");
        }

        json_decref(root);

        TAP_IS_STR(got, requests[i].expected, "%s", requests[i].json);
    }

    root = json_pack("{s:[]}", "input");

    for (i = 0; i < SP_EMBED_MAX_INPUTS; i++) {
        (void) json_array_append_new(json_object_get(root, "input"),
                                     json_string("x"));
    }

    TAP_IS_INT(sp_embed_parse(root, &request, &error), 0, "2048 texts");

    (void) json_array_append_new(json_object_get(root, "input"),
                                 json_string("x"));

    TAP_IS_INT(sp_embed_parse(root, &request, &error), -1, "2049 texts");
    TAP_IS_STR(error.code, "input_too_many", "are too many");

    json_decref(root);
}


static int
sink(void *data, size_t index, const json_t *vector)
{
    char *seen = data;

    (void) sprintf(seen + strlen(seen), "%zu:%zu ", index,
                   json_array_size(vector));

    return 0;
}


static int
stop(void *data, size_t index, const json_t *vector)
{
    size_t *n = data;

    (*n)++;

    return 7;
}


static void
test_write(const sp_embed_t *embed, const char *expected)
{
    char      buf[256];
    sp_out_t  out;

    out.dst = NULL;
    out.size = 0;
    out.len = 0;

    sp_openai.write_embed(embed, &out);
    TAP_IS_INT(out.len, strlen(expected), "the length");

    out.dst = buf;
    out.size = sizeof(buf);
    out.len = 0;

    sp_openai.write_embed(embed, &out);
    TAP_IS_MEM(buf, out.len, expected, strlen(expected), "%s", expected);
}


int main(void)
{
    char        seen[64];
    size_t      i, n;
    sp_embed_t  embed;
    sp_event_t  event;

    static const sp_slice_t  texts[] = {
        { "a \"b\"\n", 6 }, { "\303\251", 2 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        seen[0] = '\0';

        TAP_IS_INT(sp_openai.scan_embed(cases[i].json, strlen(cases[i].json),
                                        sink, seen, &event),
                   cases[i].rc, "%s", cases[i].json);
        TAP_OK(strcmp(seen, cases[i].seen) == 0, "its vectors: %s", seen);

        if (cases[i].rc == 0) {
            TAP_IS_INT(event.prompt_tokens, cases[i].tokens, "its tokens");
            TAP_OK(event.has_usage == (cases[i].tokens >= 0), "told or not");
        }
    }

    test_requests();

    n = 0;

    TAP_IS_INT(sp_openai.scan_embed(cases[1].json, strlen(cases[1].json),
                                    stop, &n, &event), 7, "the sink stops it");
    TAP_IS_INT(n, 1, "at once");

    embed.texts = texts;
    embed.n = 2;
    embed.model = "m";
    embed.model_len = 1;
    embed.dimensions = 0;

    test_write(&embed, "{\"model\":\"m\",\"encoding_format\":\"float\","
                       "\"input\":[\"a \\\"b\\\"\\n\",\"\303\251\"]}");

    embed.n = 1;
    embed.dimensions = 256;

    test_write(&embed, "{\"model\":\"m\",\"encoding_format\":\"float\","
                       "\"dimensions\":256,\"input\":[\"a \\\"b\\\"\\n\"]}");

    return tap_done();
}
