/*
 * Copyright (C) Sallyport authors
 *
 * What is read of images, speech and transcripts, and how their requests are
 * written.
 */

#include "tap.h"

#include "sp_dialect.h"


typedef struct {
    const char  *text;
    int          rc;
    int64_t      images;
    int64_t      tokens[3];  /* prompt, completion, cached */
    const char  *flags;      /* e: error, u: usage, 1: an answer, d: done */
} case_t;


#define UNSAID  { -1, -1, -1 }


static const case_t  cases[] = {
    { "{}", 0, 0, UNSAID, "" },
    { "", -1, 0, UNSAID, "" },
    { "[]", -1, 0, UNSAID, "" },
    { "{\"data\":[", -1, 0, UNSAID, "1" },
    { "{} x", -1, 0, UNSAID, "" },
    { "{\"data\":[]}", 0, 0, UNSAID, "1" },
    { "{\"data\":null}", 0, 0, UNSAID, "" },
    { "{\"data\":[{\"b64_json\":\"A\"},{\"url\":\"x\"}]}", 0, 2, UNSAID,
      "1" },
    { "{\"data\":[{\"data\":[1,2,3]}]}", 0, 1, UNSAID, "1" },
    { "{\"usage\":{\"input_tokens\":5,\"output_tokens\":40,"
      "\"input_tokens_details\":{\"cached_tokens\":2}},\"data\":[{}]}",
      0, 1, { 5, 40, 2 }, "u1" },
    { "{\"usage\":{\"input_tokens\":-5,\"output_tokens\":\"x\"}}",
      0, 0, UNSAID, "u" },
    { "{\"type\":\"image_generation.partial_image\",\"b64_json\":\"A\"}",
      0, 0, UNSAID, "" },
    { "{\"type\":\"image_generation.completed\",\"b64_json\":\"A\"}",
      0, 1, UNSAID, "1" },
    { "{\"type\":\"speech.audio.delta\",\"audio\":\"A\"}", 0, 0, UNSAID,
      "" },
    { "{\"type\":\"speech.audio.done\"}", 0, 0, UNSAID, "1d" },
    { "{\"type\":7}", 0, 0, UNSAID, "" },
    { "[DONE]", 0, 0, UNSAID, "d" },
    { "{\"error\":{\"message\":\"no\"}}", 0, 0, UNSAID, "e" },
    { "{\"error\":true}", 0, 0, UNSAID, "e" },
    { "{\"error\":null}", 0, 0, UNSAID, "" }
};


static const struct {
    const char  *text;
    int          rc;
    int64_t      seconds;
    const char  *flags;
} transcripts[] = {
    { "{\"text\":\"a\"}", 0, -1, "1" },
    { "{\"text\":\"\"}", 0, -1, "1" },
    { "{\"text\":null}", 0, -1, "" },
    { "{\"text\":\"a\",\"duration\":8.47}", 0, 9, "1" },
    { "{\"text\":\"a\",\"duration\":\"8.00\"}", 0, 8, "1" },
    { "{\"duration\":0}", 0, 0, "" },
    { "{\"duration\":0.001}", 0, 1, "" },
    { "{\"duration\":-1}", 0, -1, "" },
    { "{\"duration\":1e9}", 0, -1, "" },
    { "{\"duration\":\"\"}", 0, -1, "" },
    { "{\"duration\":\".5\"}", 0, -1, "" },
    { "{\"duration\":\"1.2.3\"}", 0, -1, "" },
    { "{\"duration\":{\"a\":1}}", 0, -1, "" },
    { "{\"duration\":99999999999999999999}", 0, -1, "" },
    { "{\"duration\":8.47,\"usage\":{\"type\":\"duration\","
      "\"seconds\":10}}", 0, 10, "u" },
    { "{\"usage\":{\"seconds\":10},\"duration\":8.47}", 0, 10, "u" },
    { "{\"type\":\"transcript.text.delta\",\"delta\":\"a\"}", 0, -1, "" },
    { "{\"type\":\"transcript.text.done\",\"text\":\"a\",\"usage\":"
      "{\"seconds\":3}}", 0, 3, "u1d" },
    { "{\"type\":\"transcription.done\",\"text\":\"a\",\"usage\":"
      "{\"prompt_audio_seconds\":7,\"prompt_tokens\":4}}", 0, 7, "u1d" },
    { "[DONE]", 0, -1, "d" },
    { "{\"error\":{\"message\":\"no\"}}", 0, -1, "e" },
    { "{\"duration\":}", -1, -1, "" },
    { "{\"text\":\"a", -1, -1, "1" }
};


static void
read_transcript(size_t i)
{
    int             rc;
    char            flags[8], *p;
    sp_event_t      event;
    sp_sse_event_t  sse;

    memset(&sse, 0, sizeof(sp_sse_event_t));

    sse.data = transcripts[i].text;
    sse.data_len = strlen(sse.data);

    rc = sp_openai.transcriptions->scan_event(NULL, &sse, NULL, NULL, &event);

    TAP_IS_INT(rc, transcripts[i].rc, "%s", sse.data);
    TAP_OK(event.seconds == transcripts[i].seconds, "seconds");

    p = flags;

    if (event.has_error) {
        *p++ = 'e';
    }

    if (event.has_usage) {
        *p++ = 'u';
    }

    if (event.has_answer) {
        *p++ = '1';
    }

    if (event.done) {
        *p++ = 'd';
    }

    *p = '\0';

    TAP_IS_STR(flags, transcripts[i].flags, "flags");
}


static void
read_case(const case_t *c)
{
    int             rc;
    char            flags[8], *p;
    sp_event_t      event;
    sp_sse_event_t  sse;

    memset(&sse, 0, sizeof(sp_sse_event_t));

    sse.data = c->text;
    sse.data_len = strlen(c->text);

    rc = sp_openai.images->scan_event(NULL, &sse, NULL, NULL, &event);

    p = flags;
    if (event.has_error) { *p++ = 'e'; }
    if (event.has_usage) { *p++ = 'u'; }
    if (event.has_answer) { *p++ = '1'; }
    if (event.done) { *p++ = 'd'; }
    *p = '\0';

    TAP_OK(rc == c->rc && event.images == c->images
       && event.prompt_tokens == c->tokens[0]
       && event.completion_tokens == c->tokens[1]
       && event.cached_tokens == c->tokens[2]
       && strcmp(flags, c->flags) == 0, "%s", c->text);
}


static void
path_case(const sp_dialect_t *api, const char *expected)
{
    char       text[64];
    sp_out_t   out;
    sp_call_t  call;

    memset(&call, 0, sizeof(sp_call_t));

    out.dst = text;
    out.size = sizeof(text);
    out.len = 0;

    api->write_path(&call, &out);

    TAP_OK(out.len == strlen(expected) && memcmp(text, expected, out.len) == 0,
       "%s", expected);
}


int
main(void)
{
    size_t  i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        read_case(&cases[i]);
    }

    for (i = 0; i < sizeof(transcripts) / sizeof(transcripts[0]); i++) {
        read_transcript(i);
    }

    path_case(sp_openai.images, "/images/generations");
    path_case(sp_openai.speech, "/audio/speech");
    path_case(sp_openai.transcriptions, "/audio/transcriptions");
    path_case(sp_openai.translations, "/audio/translations");

    TAP_OK(sp_gemini.images == NULL && sp_anthropic.speech == NULL
       && sp_azure.images == NULL, "dialects that have none");

    return tap_done();
}
