
/*
 * Copyright (C) Sallyport authors
 *
 * Images, speech and transcriptions as OpenAI has them: POST
 * /images/generations, /audio/speech, /audio/transcriptions and
 * /audio/translations.  Requests pass but for their model; of an answer only
 * what it has cost and whether it is whole is read.
 */


#include <string.h>

#include "sp_openai.h"
#include "sp_scan.h"


static void sp_openai_images_path(const sp_call_t *call, sp_out_t *out);
static void sp_openai_speech_path(const sp_call_t *call, sp_out_t *out);
static void sp_openai_transcriptions_path(const sp_call_t *call,
    sp_out_t *out);
static void sp_openai_translations_path(const sp_call_t *call,
    sp_out_t *out);
static void sp_openai_media_end(sp_writer_t *w, const sp_event_t *usage,
    sp_out_t *out);
static int sp_openai_media_event(void *state, const sp_sse_event_t *sse,
    sp_delta_pt sink, void *data, sp_event_t *event);
static int sp_openai_media_answer(const char *text, size_t len,
    sp_delta_pt sink, void *data, sp_event_t *event);
static int sp_openai_audio_event(void *state, const sp_sse_event_t *sse,
    sp_delta_pt sink, void *data, sp_event_t *event);
static int sp_openai_audio_answer(const char *text, size_t len,
    sp_delta_pt sink, void *data, sp_event_t *event);
static int sp_openai_audio_member(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_openai_audio_seconds(sp_scan_t *s, int64_t *seconds);
static int sp_openai_media_object(const char *text, size_t len,
    sp_scan_member_pt member, sp_event_t *event);
static int sp_openai_media_member(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_openai_media_type(sp_scan_t *s, sp_event_t *event);
static int sp_openai_media_image(sp_scan_t *s, void *data);
static int sp_openai_media_usage(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_openai_media_details(sp_scan_t *s, const char *key, size_t len,
    void *data);


/* a stream of images has no event for its end but that of its last image */

const sp_dialect_t  sp_openai_images = {
    .name = "openai",
    .type = "application/json",
    .stream_type = "text/event-stream",
    .eof = 1,

    .write_end = sp_openai_media_end,
    .write_error = sp_openai_write_error,

    .write_path = sp_openai_images_path,
    .edit_size = sp_openai_edit_size,
    .edit = sp_openai_edit,
    .scan_event = sp_openai_media_event,
    .scan_answer = sp_openai_media_answer
};


const sp_dialect_t  sp_openai_speech = {
    .name = "openai",
    .type = "application/octet-stream",
    .stream_type = "text/event-stream",

    .write_end = sp_openai_media_end,
    .write_error = sp_openai_write_error,

    .write_path = sp_openai_speech_path,
    .edit_size = sp_openai_edit_size,
    .edit = sp_openai_edit,
    .scan_event = sp_openai_media_event,
    .scan_answer = sp_openai_media_answer
};


/* the boundary of a form is the client's */

static const char *const  sp_openai_form_headers[] = { "content-type", NULL };


const sp_dialect_t  sp_openai_transcriptions = {
    .name = "openai",
    .type = "application/json",
    .stream_type = "text/event-stream",
    .headers = sp_openai_form_headers,

    .write_end = sp_openai_media_end,
    .write_error = sp_openai_write_error,

    .write_path = sp_openai_transcriptions_path,
    .edit_size = sp_openai_edit_size,
    .edit = sp_openai_edit,
    .scan_event = sp_openai_audio_event,
    .scan_answer = sp_openai_audio_answer
};


const sp_dialect_t  sp_openai_translations = {
    .name = "openai",
    .type = "application/json",
    .stream_type = "text/event-stream",
    .headers = sp_openai_form_headers,

    .write_end = sp_openai_media_end,
    .write_error = sp_openai_write_error,

    .write_path = sp_openai_translations_path,
    .edit_size = sp_openai_edit_size,
    .edit = sp_openai_edit,
    .scan_event = sp_openai_audio_event,
    .scan_answer = sp_openai_audio_answer
};


static void
sp_openai_images_path(const sp_call_t *call, sp_out_t *out)
{
    (void) call;

    sp_out_str(out, "/images/generations");
}


static void
sp_openai_speech_path(const sp_call_t *call, sp_out_t *out)
{
    (void) call;

    sp_out_str(out, "/audio/speech");
}


static void
sp_openai_transcriptions_path(const sp_call_t *call, sp_out_t *out)
{
    (void) call;

    sp_out_str(out, "/audio/transcriptions");
}


static void
sp_openai_translations_path(const sp_call_t *call, sp_out_t *out)
{
    (void) call;

    sp_out_str(out, "/audio/translations");
}


/* all that the provider says has passed */

static void
sp_openai_media_end(sp_writer_t *w, const sp_event_t *usage, sp_out_t *out)
{
    (void) w;
    (void) usage;
    (void) out;
}


static int
sp_openai_media_event(void *state, const sp_sse_event_t *sse,
    sp_delta_pt sink, void *data, sp_event_t *event)
{
    (void) state;

    if (sse->data_len >= 6 && memcmp(sse->data, "[DONE]", 6) == 0) {
        sp_event_init(event);
        event->done = 1;

        return 0;
    }

    return sp_openai_media_answer(sse->data, sse->data_len, sink, data,
                                  event);
}


static int
sp_openai_media_answer(const char *text, size_t len, sp_delta_pt sink,
    void *data, sp_event_t *event)
{
    (void) sink;
    (void) data;

    return sp_openai_media_object(text, len, sp_openai_media_member, event);
}


static int
sp_openai_audio_event(void *state, const sp_sse_event_t *sse,
    sp_delta_pt sink, void *data, sp_event_t *event)
{
    if (sse->data_len >= 6 && memcmp(sse->data, "[DONE]", 6) == 0) {
        return sp_openai_media_event(state, sse, sink, data, event);
    }

    return sp_openai_audio_answer(sse->data, sse->data_len, sink, data,
                                  event);
}


static int
sp_openai_audio_answer(const char *text, size_t len, sp_delta_pt sink,
    void *data, sp_event_t *event)
{
    (void) sink;
    (void) data;

    return sp_openai_media_object(text, len, sp_openai_audio_member, event);
}


/*
 * A whole transcript tells how long it was, in a number or in a string; its
 * usage tells what of it is paid for.
 */

static int
sp_openai_audio_member(sp_scan_t *s, const char *key, size_t len, void *data)
{
    int64_t      seconds;
    sp_event_t  *event = data;

    if (sp_scan_is(key, len, "text") && sp_scan_at(s, '"')) {
        event->has_answer = 1;
        return sp_scan_skip(s);
    }

    if (sp_scan_is(key, len, "duration")) {
        seconds = -1;

        if (sp_openai_audio_seconds(s, &seconds) != 0) {
            return -1;
        }

        if (event->seconds < 0) {
            event->seconds = seconds;
        }

        return 0;
    }

    return sp_openai_media_member(s, key, len, data);
}


/* a decimal, rounded up; what is none is skipped and *seconds kept */

static int
sp_openai_audio_seconds(sp_scan_t *s, int64_t *seconds)
{
    int          point, rest;
    int64_t      n;
    const char  *last, *p;

    p = s->pos;

    if (sp_scan_skip(s) != 0) {
        return -1;
    }

    last = s->pos;

    if (last - p > 2 && *p == '"') {
        p++;
        last--;
    }

    n = 0;
    point = 0;
    rest = 0;

    /* a year and some days at most */

    if (p == last || *p == '.' || last - p > 24) {
        return 0;
    }

    for ( /* void */ ; p < last; p++) {

        if (*p == '.' && !point) {
            point = 1;

        } else if (*p < '0' || *p > '9' || n > 9999999) {
            return 0;

        } else if (point) {
            rest |= (*p != '0');

        } else {
            n = n * 10 + (*p - '0');
        }
    }

    *seconds = n + rest;

    return 0;
}


static int
sp_openai_media_object(const char *text, size_t len,
    sp_scan_member_pt member, sp_event_t *event)
{
    sp_scan_t  s;

    sp_event_init(event);

    s.pos = text;
    s.last = text + len;
    s.depth = 0;

    sp_scan_space(&s);

    if (sp_scan_object(&s, member, event) != 0) {
        return -1;
    }

    sp_scan_space(&s);

    return (s.pos == s.last) ? 0 : -1;
}


static int
sp_openai_media_member(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_event_t *event = data;

    if (sp_scan_is(key, len, "data") && sp_scan_at(s, '[')) {
        event->has_answer = 1;
        return sp_scan_array(s, sp_openai_media_image, event);
    }

    if (sp_scan_is(key, len, "type") && sp_scan_at(s, '"')) {
        return sp_openai_media_type(s, event);
    }

    if (sp_scan_is(key, len, "usage") && sp_scan_at(s, '{')) {
        event->has_usage = 1;
        return sp_scan_object(s, sp_openai_media_usage, event);
    }

    if (sp_scan_is(key, len, "error") && !sp_scan_at(s, 'n')) {
        event->has_error = 1;

        if (sp_scan_at(s, '{')) {
            return sp_scan_object(s, sp_openai_scan_error, event);
        }
    }

    return sp_scan_skip(s);
}


static int
sp_openai_media_type(sp_scan_t *s, sp_event_t *event)
{
    size_t       len;
    const char  *type;

    if (sp_scan_string(s, &type, &len) != 0) {
        return -1;
    }

    if (sp_scan_is(type, len, "image_generation.completed")) {
        event->has_answer = 1;
        event->images = 1;

    } else if (sp_scan_is(type, len, "speech.audio.done")
               || sp_scan_is(type, len, "transcript.text.done")
               || sp_scan_is(type, len, "transcription.done"))
    {
        event->has_answer = 1;
        event->done = 1;
    }

    return 0;
}


static int
sp_openai_media_image(sp_scan_t *s, void *data)
{
    sp_event_t *event = data;

    if (sp_scan_skip(s) != 0) {
        return -1;
    }

    event->images++;

    return 0;
}


/* in the words of OpenAI, and of Mistral, whose API is like it */

static int
sp_openai_media_usage(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_event_t *event = data;

    if (sp_scan_is(key, len, "input_tokens")
        || sp_scan_is(key, len, "prompt_tokens"))
    {
        return sp_scan_integer(s, &event->prompt_tokens);
    }

    if (sp_scan_is(key, len, "output_tokens")
        || sp_scan_is(key, len, "completion_tokens"))
    {
        return sp_scan_integer(s, &event->completion_tokens);
    }

    if (sp_scan_is(key, len, "seconds")
        || sp_scan_is(key, len, "prompt_audio_seconds"))
    {
        return sp_openai_audio_seconds(s, &event->seconds);
    }

    if (sp_scan_is(key, len, "input_tokens_details") && sp_scan_at(s, '{')) {
        return sp_scan_object(s, sp_openai_media_details, event);
    }

    return sp_scan_skip(s);
}


static int
sp_openai_media_details(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_event_t *event = data;

    if (sp_scan_is(key, len, "cached_tokens")) {
        return sp_scan_integer(s, &event->cached_tokens);
    }

    return sp_scan_skip(s);
}
