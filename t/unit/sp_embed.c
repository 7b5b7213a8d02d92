
/*
 * Copyright (C) Sallyport authors
 *
 * Embeddings, in the dialect that is built in.
 */

#include "tap.h"

#include "sp_dialect.h"
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
