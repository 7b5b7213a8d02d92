
/*
 * Copyright (C) Sallyport authors
 *
 * Embeddings by feature hashing: words and the letter triples of words are
 * counted into buckets chosen by a hash, and the vector is normalized.  Texts
 * that share words are near each other; nothing else is promised.
 */


#include "ngx_http_sp_demo.h"

#include <math.h>


#define NGX_HTTP_SP_DEMO_DIMENSIONS      256
#define NGX_HTTP_SP_DEMO_MAX_DIMENSIONS  4096
#define NGX_HTTP_SP_DEMO_MAX_INPUTS      2048


typedef struct {
    float          *values;
    ngx_uint_t      n;
    ngx_uint_t      base64;
} ngx_http_sp_demo_vector_t;


static ngx_int_t ngx_http_sp_demo_embed_options(ngx_http_request_t *r,
    json_t *root, ngx_http_sp_demo_vector_t *vector);
static void ngx_http_sp_demo_embed(ngx_http_sp_demo_vector_t *vector,
    const ngx_str_t *input);
static void ngx_http_sp_demo_feature(ngx_http_sp_demo_vector_t *vector,
    const u_char *p, size_t len, float weight);
static ngx_int_t ngx_http_sp_demo_write_vector(ngx_http_sp_demo_text_t *text,
    const ngx_http_sp_demo_vector_t *vector);


ngx_int_t
ngx_http_sp_demo_embeddings(ngx_http_request_t *r)
{
    size_t                      i, n, tokens;
    json_t                     *input, *item, *root;
    ngx_int_t                   rc;
    ngx_str_t                   body, line;
    ngx_http_sp_demo_text_t     text;
    ngx_http_sp_demo_vector_t   vector;

    rc = ngx_http_sp_json_body(r, &root);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memzero(&vector, sizeof(ngx_http_sp_demo_vector_t));

    rc = ngx_http_sp_demo_embed_options(r, root, &vector);

    if (rc != NGX_OK) {
        return rc;
    }

    input = json_object_get(root, "input");
    n = json_is_array(input) ? json_array_size(input) : 1;

    if (n == 0 || n > NGX_HTTP_SP_DEMO_MAX_INPUTS) {
        return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "input_invalid",
                                 "\"input\" takes 1 to 2048 texts");
    }

    ngx_memzero(&text, sizeof(ngx_http_sp_demo_text_t));
    text.pool = r->pool;
    tokens = 0;

    ngx_http_sp_demo_add_text(&text, "{\"object\":\"list\",\"data\":[");

    for (i = 0; i < n; i++) {
        item = json_is_array(input) ? json_array_get(input, i) : input;

        if (!json_is_string(item)) {
            return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST,
                                     "input_invalid",
                                     "\"input\" must be a string or an "
                                     "array of strings");
        }

        line.data = (u_char *) json_string_value(item);
        line.len = json_string_length(item);

        tokens += sp_tokens_estimate(SP_BPE_O200K_BASE, (char *) line.data,
                                     line.len);

        ngx_http_sp_demo_embed(&vector, &line);

        ngx_http_sp_demo_printf(&text, "%s{\"object\":\"embedding\","
                                "\"index\":%uz,\"embedding\":",
                                i ? "," : "", i);

        if (ngx_http_sp_demo_write_vector(&text, &vector) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_http_sp_demo_add_text(&text, "}");
    }

    ngx_http_sp_demo_printf(&text, "],\"model\":\"demo-embedding\","
                            "\"usage\":{\"prompt_tokens\":%uz,"
                            "\"total_tokens\":%uz}}", tokens, tokens);

    if (text.failed) {
        return NGX_ERROR;
    }

    body.data = text.data;
    body.len = text.len;

    return ngx_http_sp_send_json(r, NGX_HTTP_OK, &body);
}


static ngx_int_t
ngx_http_sp_demo_embed_options(ngx_http_request_t *r, json_t *root,
    ngx_http_sp_demo_vector_t *vector)
{
    json_t      *value;
    const char  *format;

    vector->n = NGX_HTTP_SP_DEMO_DIMENSIONS;

    value = json_object_get(root, "dimensions");

    if (value != NULL) {

        if (!json_is_integer(value)
            || json_integer_value(value) < 1
            || json_integer_value(value) > NGX_HTTP_SP_DEMO_MAX_DIMENSIONS)
        {
            return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST,
                                     "dimensions_invalid",
                                     "\"dimensions\" must be an integer "
                                     "from 1 to 4096");
        }

        vector->n = json_integer_value(value);
    }

    value = json_object_get(root, "encoding_format");

    if (value != NULL) {
        format = json_string_value(value);

        if (format != NULL && ngx_strcmp(format, "base64") == 0) {
            vector->base64 = 1;

        } else if (format == NULL || ngx_strcmp(format, "float") != 0) {
            return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST,
                                     "encoding_format_invalid",
                                     "\"encoding_format\" must be \"float\" "
                                     "or \"base64\"");
        }
    }

    vector->values = ngx_palloc(r->pool, vector->n * sizeof(float));

    return vector->values != NULL ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_sp_demo_embed(ngx_http_sp_demo_vector_t *vector,
    const ngx_str_t *input)
{
    float       norm;
    u_char      lower[64];
    size_t      i, len;
    ngx_str_t   rest, word;

    ngx_memzero(vector->values, vector->n * sizeof(float));

    rest = *input;

    while (ngx_http_sp_demo_next_word(&rest, &word)) {

        len = ngx_min(word.len, sizeof(lower));

        ngx_strlow(lower, word.data, len);

        ngx_http_sp_demo_feature(vector, lower, len, len > 3 ? 1.0f : 0.4f);

        for (i = 0; i + 3 <= len; i++) {
            ngx_http_sp_demo_feature(vector, lower + i, 3, 0.3f);
        }
    }

    norm = 0;

    for (i = 0; i < vector->n; i++) {
        norm += vector->values[i] * vector->values[i];
    }

    if (norm == 0) {
        vector->values[0] = 1;
        return;
    }

    norm = sqrtf(norm);

    for (i = 0; i < vector->n; i++) {
        vector->values[i] /= norm;
    }
}


static void
ngx_http_sp_demo_feature(ngx_http_sp_demo_vector_t *vector, const u_char *p,
    size_t len, float weight)
{
    size_t    i;
    uint32_t  hash;

    hash = 2166136261u;

    for (i = 0; i < len; i++) {
        hash = (hash ^ p[i]) * 16777619u;
    }

    /* FNV's high bits are the better ones; the lowest gives the sign */

    i = (hash >> 8) % vector->n;

    vector->values[i] += (hash & 1) ? weight : -weight;
}


/* base64: little-endian float32, as OpenAI sends them */

static ngx_int_t
ngx_http_sp_demo_write_vector(ngx_http_sp_demo_text_t *text,
    const ngx_http_sp_demo_vector_t *vector)
{
    u_char      *p;
    uint32_t     bits;
    ngx_str_t    packed, encoded;
    ngx_uint_t   i;

    if (!vector->base64) {

        for (i = 0; i < vector->n; i++) {

            /* NGINX prints a sign only of what is not rounded to zero */

            ngx_http_sp_demo_printf(text, "%s%s%.6f", i ? "," : "[",
                                    vector->values[i] < 0 ? "-" : "",
                                    fabs((double) vector->values[i]));
        }

        ngx_http_sp_demo_add_text(text, "]");

        return NGX_OK;
    }

    packed.len = vector->n * 4;
    packed.data = ngx_pnalloc(text->pool, packed.len);

    encoded.len = ngx_base64_encoded_length(packed.len);
    encoded.data = ngx_pnalloc(text->pool, encoded.len);

    if (packed.data == NULL || encoded.data == NULL) {
        return NGX_ERROR;
    }

    p = packed.data;

    for (i = 0; i < vector->n; i++) {
        ngx_memcpy(&bits, &vector->values[i], 4);

        *p++ = (u_char) bits;
        *p++ = (u_char) (bits >> 8);
        *p++ = (u_char) (bits >> 16);
        *p++ = (u_char) (bits >> 24);
    }

    ngx_encode_base64(&encoded, &packed);

    ngx_http_sp_demo_add_text(text, "\"");
    ngx_http_sp_demo_add(text, encoded.data, encoded.len);
    ngx_http_sp_demo_add_text(text, "\"");

    return NGX_OK;
}
