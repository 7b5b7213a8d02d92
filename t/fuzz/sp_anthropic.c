/*
 * Copyright (C) Sallyport authors
 *
 * Three inputs by the first byte.  A stream: cut anywhere it says the same,
 * and whatever it says is written as whole events within their bound, and
 * read again.  A whole answer.  A request: what is parsed can be written for
 * either API, or is refused, and edited; all of it is strict JSON.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "sp_dialect.h"
#include "sp_json.h"


/* the deltas of a stream, as text; "to" writes them too */
typedef struct {
    char                *said;
    size_t               len;
    size_t               size;
    const sp_dialect_t  *to;
    sp_writer_t          w;
    int                  strict;
} fuzz_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_stream(const char *p, size_t size);
static int fuzz_read(const char *p, size_t size, size_t step, fuzz_t *f);
static int fuzz_sink(void *data, const sp_delta_t *delta);
static void fuzz_say(fuzz_t *f, const char *p, size_t len);
static void fuzz_write(fuzz_t *f, const sp_delta_t *delta);
static void fuzz_begin(fuzz_t *f, const sp_dialect_t *to);
static void fuzz_end(fuzz_t *f);
static void fuzz_answer(const char *p, size_t size);
static int fuzz_keep(void *data, const sp_delta_t *delta);
static void fuzz_request(const char *p, size_t size);
static void fuzz_call(const sp_call_t *call);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char  *p;

    if (size == 0) {
        return 0;
    }

    p = (const char *) data + 1;
    size--;

    switch (data[0] % 3) {

    case 0:
        fuzz_stream(p, size);
        break;

    case 1:
        fuzz_answer(p, size);
        break;

    default:
        fuzz_request(p, size);
    }

    return 0;
}


static void
fuzz_stream(const char *p, size_t size)
{
    int     rc;
    size_t  i;
    fuzz_t  one, whole;

    static const sp_dialect_t  *const to[] = { &sp_openai, &sp_anthropic };

    fuzz_begin(&whole, NULL);
    fuzz_begin(&one, NULL);

    rc = fuzz_read(p, size, size + 1, &whole);

    if (fuzz_read(p, size, 1, &one) != rc || one.len != whole.len
        || (one.len != 0 && memcmp(one.said, whole.said, one.len) != 0))
    {
        abort();
    }

    fuzz_end(&whole);
    fuzz_end(&one);

    for (i = 0; i < 2; i++) {
        fuzz_begin(&whole, to[i]);
        (void) fuzz_read(p, size, size + 1, &whole);
        fuzz_end(&whole);
    }
}


static int
fuzz_read(const char *p, size_t size, size_t step, fuzz_t *f)
{
    int              rc;
    char            *memory, *old;
    size_t           n, used;
    void            *state;
    sp_sse_t         sse;
    sp_event_t       event;
    const char      *pos;
    sp_sse_event_t   e;
    sp_sse_status_e  status;

    memset(&sse, 0, sizeof(sp_sse_t));
    state = calloc(1, sp_anthropic.reader_size);
    memory = NULL;
    rc = 0;

    for (used = 0; used < size && rc == 0; used += n) {
        n = (size - used < step) ? size - used : step;
        pos = p + used;

        for ( ;; ) {
            status = sp_sse_next(&sse, &pos, p + used + n, &e);

            if (status == SP_SSE_AGAIN) {
                break;
            }

            if (status == SP_SSE_FULL) {
                old = memory;
                memory = malloc(2 * sse.need);
                sp_sse_memory(&sse, memory, 2 * sse.need);
                free(old);
                continue;
            }

            if (e.data_len == 0) {
                continue;
            }

            rc = sp_anthropic.scan_event(state, &e, NULL, NULL, &event);

            if (rc == 0
                && sp_anthropic.scan_event(state, &e, fuzz_sink, f, &event)
                   != 0)
            {
                abort();
            }

            if (rc != 0) {
                break;
            }

            if (event.prompt_tokens < -1 || event.completion_tokens < -1) {
                abort();
            }
        }
    }

    free(memory);
    free(state);

    return rc;
}


static int
fuzz_sink(void *data, const sp_delta_t *delta)
{
    fuzz_t *f = data;

    char  head[2];

    head[0] = (char) ('a' + delta->kind);
    head[1] = (char) delta->tool;

    fuzz_say(f, head, 2);
    fuzz_say(f, delta->text.data, delta->text.len);
    fuzz_say(f, delta->id.data, delta->id.len);
    fuzz_say(f, delta->name.data, delta->name.len);

    if (f->to != NULL) {
        fuzz_write(f, delta);
    }

    return 0;
}


static void
fuzz_say(fuzz_t *f, const char *p, size_t len)
{
    if (len == 0) {
        return;
    }

    if (f->size - f->len < len) {
        f->size = 2 * (f->size + len);
        f->said = realloc(f->said, f->size);
    }

    memcpy(f->said + f->len, p, len);
    f->len += len;
}


static void
fuzz_write(fuzz_t *f, const sp_delta_t *delta)
{
    void            *state;
    sp_out_t         out;
    sp_sse_t         sse;
    sp_event_t       event;
    const char      *pos;
    sp_sse_event_t   e;

    out.size = SP_DIALECT_EVENT + 6 * (delta->text.len + delta->id.len
                                       + delta->name.len);
    out.dst = malloc(out.size);
    out.len = 0;

    f->to->write_event(&f->w, delta, &out);

    if (out.len > out.size) {
        abort();
    }

    /* whole events, which its own reader takes */

    memset(&sse, 0, sizeof(sp_sse_t));
    state = calloc(1, f->to->reader_size + 1);
    pos = out.dst;

    while (pos < out.dst + out.len) {
        if (sp_sse_next(&sse, &pos, out.dst + out.len, &e) != SP_SSE_EVENT
            || f->to->scan_event(state, &e, NULL, NULL, &event) != 0)
        {
            abort();
        }
    }

    free(state);
    free(out.dst);
}


static void
fuzz_begin(fuzz_t *f, const sp_dialect_t *to)
{
    memset(f, 0, sizeof(fuzz_t));

    f->to = to;
    f->w.id = "i";
    f->w.id_len = 1;
    f->w.model = "m";
    f->w.model_len = 1;
    f->w.state = (to != NULL) ? calloc(1, to->writer_size) : NULL;
}


static void
fuzz_end(fuzz_t *f)
{
    char        buf[SP_DIALECT_EVENT];
    sp_out_t    out;
    sp_event_t  usage;

    if (f->to != NULL) {
        sp_event_init(&usage);

        out.dst = buf;
        out.size = sizeof(buf);
        out.len = 0;

        f->to->write_end(&f->w, &usage, &out);

        if (out.len > out.size) {
            abort();
        }
    }

    free(f->w.state);
    free(f->said);
}


typedef struct {
    sp_delta_t  deltas[64];
    size_t      n;
} fuzz_kept_t;


static int
fuzz_keep(void *data, const sp_delta_t *delta)
{
    fuzz_kept_t *kept = data;

    if (kept->n < 64) {
        kept->deltas[kept->n++] = *delta;
    }

    return 0;
}


static void
fuzz_answer(const char *p, size_t size)
{
    int           rc, strict;
    json_t       *root;
    sp_out_t      out;
    sp_event_t    event, again;
    sp_writer_t   w;
    fuzz_kept_t   kept;

    kept.n = 0;

    rc = sp_anthropic.scan_answer(p, size, fuzz_keep, &kept, &event);
    strict = (sp_json_parse(p, size, NULL, &root, NULL) == SP_JSON_OK
              && json_is_object(root));

    json_decref(root);

    if (strict && rc != 0) {
        abort();
    }

    if (rc != 0) {
        return;
    }

    memset(&w, 0, sizeof(sp_writer_t));
    memset(&out, 0, sizeof(sp_out_t));

    w.id = "i";
    w.id_len = 1;
    w.model = "m";
    w.model_len = 1;

    sp_anthropic.write_answer(&w, kept.deltas, kept.n, &event, &out);

    out.size = out.len;
    out.dst = malloc(out.len);
    out.len = 0;

    sp_anthropic.write_answer(&w, kept.deltas, kept.n, &event, &out);

    if (out.len != out.size
        || sp_anthropic.scan_answer(out.dst, out.len, NULL, NULL, &again) != 0
        || !again.has_answer)
    {
        abort();
    }

    if (strict
        && sp_json_parse(out.dst, out.len, NULL, &root, NULL) != SP_JSON_OK)
    {
        abort();
    }

    if (strict) {
        json_decref(root);
    }

    free(out.dst);
}


static void
fuzz_request(const char *p, size_t size)
{
    size_t              i;
    json_t             *root;
    sp_call_t           call;
    sp_chat_edit_t      edit;
    sp_chat_error_t     error;
    sp_chat_request_t  *chat;

    static const sp_dialect_t  *const from[] = { &sp_anthropic, &sp_openai };

    for (i = 0; i < 2; i++) {

        if (sp_json_parse(p, size, NULL, &root, NULL) != SP_JSON_OK) {
            return;
        }

        chat = from[i]->parse_request(root, &error);

        if (chat == NULL) {
            continue;
        }

        memset(&call, 0, sizeof(sp_call_t));
        memset(&edit, 0, sizeof(sp_chat_edit_t));

        call.chat = chat;
        call.edit = &edit;
        call.text = p;
        call.len = size;

        edit.model = "m";
        edit.model_len = 1;
        edit.anchor = chat->last_user;
        edit.prefix = "p\"";
        edit.prefix_len = 2;
        edit.tail = "t\n";
        edit.tail_len = 2;
        edit.first = (chat->last_user < chat->nmessages) ? chat->last_user / 2
                                                         : 0;
        edit.merge = size & 1;

        if (i == 0) {
            fuzz_call(&call);
        }

        call.chat = chat;

        {
            sp_out_t  out;

            memset(&out, 0, sizeof(sp_out_t));

            if (sp_anthropic.write_request(&call, &out, &error) == 0) {
                out.size = out.len;
                out.dst = malloc(out.len);
                out.len = 0;

                (void) sp_anthropic.write_request(&call, &out, &error);

                if (out.len != out.size
                    || sp_json_parse(out.dst, out.len, NULL, &root, NULL)
                       != SP_JSON_OK)
                {
                    abort();
                }

                json_decref(root);
                free(out.dst);
            }
        }

        sp_chat_free(chat);
    }
}


/* the same dialect: pieces of the text and what is new */

static void
fuzz_call(const sp_call_t *call)
{
    char               *dst, *got;
    size_t              i, len, n, size;
    json_t             *root;
    sp_slice_t         *pieces;
    sp_chat_error_t     error;
    sp_chat_request_t  *chat;

    size = sp_anthropic.edit_size(call);
    dst = malloc(size);
    pieces = calloc(SP_DIALECT_PIECES(call->len), sizeof(sp_slice_t));

    n = sp_anthropic.edit(call, dst, pieces);

    if (n == 0) {
        abort();
    }

    len = 0;

    for (i = 0; i < n; i++) {
        len += pieces[i].len;
    }

    got = malloc(len);
    len = 0;

    for (i = 0; i < n; i++) {
        memcpy(got + len, pieces[i].data, pieces[i].len);
        len += pieces[i].len;
    }

    if (sp_json_parse(got, len, NULL, &root, NULL) != SP_JSON_OK) {
        abort();
    }

    chat = sp_anthropic.parse_request(root, &error);

    /* the history may be gone, but nothing else */

    if (chat == NULL && strcmp(error.code, "messages_required") != 0) {
        abort();
    }

    sp_chat_free(chat);
    free(got);
    free(pieces);
    free(dst);
}
