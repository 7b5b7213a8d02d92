
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_chunk.h"
#include "sp_scan.h"


typedef struct {
    int64_t        index;
    const char    *text;
    size_t         text_len;
    const char    *finish;
    size_t         finish_len;
} sp_chunk_choice_t;


typedef struct {
    sp_chunk_t    *chunk;
    int64_t        n;
} sp_chunk_choices_t;


static int sp_chunk_root(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_chunk_element(sp_scan_t *s, void *data);
static int sp_chunk_choice(sp_scan_t *s, const char *key,
    size_t len, void *data);
static int sp_chunk_message(sp_scan_t *s, const char *key,
    size_t len, void *data);
static int sp_chunk_usage(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_chunk_details(sp_scan_t *s, const char *key,
    size_t len, void *data);
static int sp_chunk_error(sp_scan_t *s, const char *key, size_t len,
    void *data);


int
sp_chunk_scan(const char *json, size_t len, sp_chunk_t *chunk)
{
    sp_scan_t  s;

    memset(chunk, 0, sizeof(sp_chunk_t));

    chunk->prompt_tokens = -1;
    chunk->completion_tokens = -1;
    chunk->cached_tokens = -1;

    s.pos = json;
    s.last = json + len;
    s.depth = 0;

    sp_scan_space(&s);

    if (sp_scan_object(&s, sp_chunk_root, chunk) == 0) {
        sp_scan_space(&s);

        if (s.pos == s.last) {
            return 0;
        }
    }

    memset(chunk, 0, sizeof(sp_chunk_t));

    return -1;
}


static int
sp_chunk_root(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_chunk_t          *chunk = data;

    sp_chunk_choices_t   choices;

    if (sp_scan_is(key, len, "choices") && sp_scan_at(s, '[')) {
        chunk->has_choices = 1;

        choices.chunk = chunk;
        choices.n = 0;

        return sp_scan_array(s, sp_chunk_element, &choices);
    }

    if (sp_scan_is(key, len, "usage") && sp_scan_at(s, '{')) {
        chunk->has_usage = 1;
        return sp_scan_object(s, sp_chunk_usage, chunk);
    }

    if (sp_scan_is(key, len, "error") && !sp_scan_at(s, 'n')) {
        chunk->has_error = 1;

        if (sp_scan_at(s, '{')) {
            return sp_scan_object(s, sp_chunk_error, chunk);
        }
    }

    return sp_scan_skip(s);
}


static int
sp_chunk_element(sp_scan_t *s, void *data)
{
    sp_chunk_choices_t  *choices = data;

    sp_chunk_t          *chunk;
    sp_chunk_choice_t    choice;

    chunk = choices->chunk;
    chunk->has_choice = 1;

    memset(&choice, 0, sizeof(sp_chunk_choice_t));
    choice.index = choices->n++;

    if (!sp_scan_at(s, '{')) {
        return sp_scan_skip(s);
    }

    if (sp_scan_object(s, sp_chunk_choice, &choice) != 0) {
        return -1;
    }

    if (choice.index == 0) {
        chunk->text = choice.text;
        chunk->text_len = choice.text_len;
        chunk->finish = choice.finish;
        chunk->finish_len = choice.finish_len;
    }

    return 0;
}


static int
sp_chunk_choice(sp_scan_t *s, const char *key, size_t len,
    void *data)
{
    sp_chunk_choice_t  *choice = data;

    if (sp_scan_is(key, len, "index")) {
        return sp_scan_integer(s, &choice->index);
    }

    if ((sp_scan_is(key, len, "delta") || sp_scan_is(key, len, "message"))
        && sp_scan_at(s, '{'))
    {
        return sp_scan_object(s, sp_chunk_message, choice);
    }

    if (sp_scan_is(key, len, "finish_reason") && sp_scan_at(s, '"')) {
        return sp_scan_string(s, &choice->finish, &choice->finish_len);
    }

    return sp_scan_skip(s);
}


static int
sp_chunk_message(sp_scan_t *s, const char *key, size_t len,
    void *data)
{
    sp_chunk_choice_t  *choice = data;

    if (sp_scan_is(key, len, "content") && sp_scan_at(s, '"')) {
        return sp_scan_string(s, &choice->text, &choice->text_len);
    }

    return sp_scan_skip(s);
}


static int
sp_chunk_usage(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_chunk_t  *chunk = data;

    if (sp_scan_is(key, len, "prompt_tokens")) {
        return sp_scan_integer(s, &chunk->prompt_tokens);
    }

    if (sp_scan_is(key, len, "completion_tokens")) {
        return sp_scan_integer(s, &chunk->completion_tokens);
    }

    if (sp_scan_is(key, len, "prompt_tokens_details")
        && sp_scan_at(s, '{'))
    {
        return sp_scan_object(s, sp_chunk_details, chunk);
    }

    return sp_scan_skip(s);
}


static int
sp_chunk_details(sp_scan_t *s, const char *key, size_t len,
    void *data)
{
    sp_chunk_t  *chunk = data;

    if (sp_scan_is(key, len, "cached_tokens")) {
        return sp_scan_integer(s, &chunk->cached_tokens);
    }

    return sp_scan_skip(s);
}


static int
sp_chunk_error(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_chunk_t  *chunk = data;

    if (sp_scan_is(key, len, "message") && sp_scan_at(s, '"')) {
        return sp_scan_string(s, &chunk->error, &chunk->error_len);
    }

    return sp_scan_skip(s);
}
