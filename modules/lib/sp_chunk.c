
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_chunk.h"
#include "sp_scan.h"
#include "sp_utf8.h"


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

static size_t sp_chunk_run(const char *p, const char *last);
static size_t sp_chunk_cut(char *dst, size_t size, const char *p);
static int sp_chunk_hex(const char *p, const char *last);
static size_t sp_chunk_escape(const char *p, const char *last,
    uint32_t *code);
static size_t sp_chunk_utf8(char *dst, uint32_t code);


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


size_t
sp_chunk_text(char *dst, size_t size, const char *text, size_t len)
{
    char         utf8[4];
    size_t       n, out, step;
    uint32_t     code;
    const char  *last, *p;

    out = 0;
    p = text;
    last = text + len;

    while (p < last) {

        if (*p != '\\') {

            n = sp_chunk_run(p, last);

            if (n != 0) {

                if (n > size - out) {
                    return out + sp_chunk_cut(dst + out, size - out, p);
                }

                memcpy(dst + out, p, n);
                out += n;
                p += n;

                continue;
            }

            code = 0xfffd;
            step = 1;

        } else {
            step = sp_chunk_escape(p, last, &code);
        }

        n = sp_chunk_utf8(utf8, code);

        if (n > size - out) {
            return out;
        }

        memcpy(dst + out, utf8, n);
        out += n;
        p += step;
    }

    return out;
}


/* how many bytes of valid characters without an escape begin here */

static size_t
sp_chunk_run(const char *p, const char *last)
{
    size_t       n;
    uint64_t     slash, word;
    const char  *start;

    start = p;

    while (p < last) {

        /* eight bytes at once: ASCII without a backslash */

        if (last - p >= 8) {
            memcpy(&word, p, 8);

            slash = word ^ 0x5c5c5c5c5c5c5c5cu;
            slash = (slash - 0x0101010101010101u) & ~slash;

            if (((word | slash) & 0x8080808080808080u) == 0) {
                p += 8;
                continue;
            }
        }

        if (*p == '\\') {
            break;
        }

        if ((unsigned char) *p < 0x80) {
            p++;
            continue;
        }

        n = sp_utf8_char(p, (size_t) (last - p));
        if (n == 0) {
            break;
        }

        p += n;
    }

    return (size_t) (p - start);
}


/* copies what fits of a longer run of valid characters */

static size_t
sp_chunk_cut(char *dst, size_t size, const char *p)
{
    while (size != 0 && ((unsigned char) p[size] & 0xc0) == 0x80) {
        size--;
    }

    memcpy(dst, p, size);

    return size;
}


static size_t
sp_chunk_escape(const char *p, const char *last, uint32_t *code)
{
    int  high, low;

    *code = 0xfffd;

    if (last - p < 2) {
        return 1;
    }

    switch (p[1]) {

    case 'n':
        *code = '\n';
        return 2;

    case 'r':
        *code = '\r';
        return 2;

    case 't':
        *code = '\t';
        return 2;

    case 'b':
        *code = '\b';
        return 2;

    case 'f':
        *code = '\f';
        return 2;

    case '"':
    case '\\':
    case '/':
        *code = (uint32_t) p[1];
        return 2;

    case 'u':
        break;

    default:
        return 2;
    }

    high = sp_chunk_hex(p + 2, last);

    if (high < 0) {
        return 2;
    }

    if (high < 0xd800 || high > 0xdfff) {

        /* U+0000 cannot be stored as text */

        if (high != 0) {
            *code = (uint32_t) high;
        }

        return 6;
    }

    if (high > 0xdbff || last - p < 8 || p[6] != '\\' || p[7] != 'u') {
        return 6;
    }

    low = sp_chunk_hex(p + 8, last);

    if (low < 0xdc00 || low > 0xdfff) {
        return 6;
    }

    *code = 0x10000 + (((uint32_t) high - 0xd800) << 10)
            + ((uint32_t) low - 0xdc00);

    return 12;
}


static int
sp_chunk_hex(const char *p, const char *last)
{
    int  digit, i, value;

    if (last - p < 4) {
        return -1;
    }

    value = 0;

    for (i = 0; i < 4; i++) {

        if (p[i] >= '0' && p[i] <= '9') {
            digit = p[i] - '0';

        } else if ((p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'f') {
            digit = (p[i] | 0x20) - 'a' + 10;

        } else {
            return -1;
        }

        value = value * 16 + digit;
    }

    return value;
}


static size_t
sp_chunk_utf8(char *dst, uint32_t code)
{
    if (code < 0x80) {
        dst[0] = (char) code;
        return 1;
    }

    if (code < 0x800) {
        dst[0] = (char) (0xc0 | (code >> 6));
        dst[1] = (char) (0x80 | (code & 0x3f));
        return 2;
    }

    if (code < 0x10000) {
        dst[0] = (char) (0xe0 | (code >> 12));
        dst[1] = (char) (0x80 | ((code >> 6) & 0x3f));
        dst[2] = (char) (0x80 | (code & 0x3f));
        return 3;
    }

    dst[0] = (char) (0xf0 | (code >> 18));
    dst[1] = (char) (0x80 | ((code >> 12) & 0x3f));
    dst[2] = (char) (0x80 | ((code >> 6) & 0x3f));
    dst[3] = (char) (0x80 | (code & 0x3f));

    return 4;
}
