
/*
 * Copyright (C) Sallyport authors
 *
 * Private to the dialect of OpenAI's chat completions, which many other
 * servers speak: see sp_dialect.h for what the functions do.
 */

#ifndef _SP_OPENAI_H_INCLUDED_
#define _SP_OPENAI_H_INCLUDED_


#include "sp_dialect.h"
#include "sp_scan.h"


/* sp_openai_request.c */
sp_chat_request_t *sp_openai_parse_request(json_t *root,
    sp_chat_error_t *error);

/* sp_openai_tools.c: tools of the request, parts and calls of a message */
void sp_openai_parse_tools(sp_chat_request_t *chat);
void sp_openai_parse_options(sp_chat_request_t *chat);
void sp_openai_parse_part(sp_chat_part_t *part, const json_t *value);
void sp_openai_parse_calls(sp_chat_message_t *message);

/* sp_openai_edit.c */
size_t sp_openai_edit_size(const sp_call_t *call);
size_t sp_openai_edit(const sp_call_t *call, char *dst, sp_slice_t *pieces);

/* sp_openai_scan.c */
int sp_openai_scan_event(void *state, const sp_sse_event_t *sse,
    sp_delta_pt sink, void *data, sp_event_t *event);
int sp_openai_scan_answer(const char *text, size_t len, sp_delta_pt sink,
    void *data, sp_event_t *event);

/* a member of an error; data: sp_event_t */
int sp_openai_scan_error(sp_scan_t *s, const char *key, size_t len,
    void *data);

/* sp_openai_write.c */
void sp_openai_write_event(sp_writer_t *w, const sp_delta_t *delta,
    sp_out_t *out);
void sp_openai_write_extras(sp_writer_t *w, const char *json, size_t len,
    sp_out_t *out);
void sp_openai_write_end(sp_writer_t *w, const sp_event_t *usage,
    sp_out_t *out);
void sp_openai_write_answer(sp_writer_t *w, const sp_delta_t *deltas,
    size_t n, const sp_event_t *usage, sp_out_t *out);

/* sp_openai_send.c */

/* the members that stream_options get; NULL: nothing is asked for */
const char *sp_openai_usage_options(const sp_call_t *call);

int sp_openai_write_request(const sp_call_t *call, sp_out_t *out,
    sp_chat_error_t *error);

/* sp_openai.c */
void sp_openai_write_error(const sp_dialect_error_t *error, sp_out_t *out);

/* sp_openai_media.c */
extern const sp_dialect_t  sp_openai_images;
extern const sp_dialect_t  sp_openai_speech;
extern const sp_dialect_t  sp_openai_transcriptions;
extern const sp_dialect_t  sp_openai_translations;

/* sp_openai_embed.c */
void sp_openai_write_embed(const sp_embed_t *embed, sp_out_t *out);
int sp_openai_scan_embed(const char *text, size_t len, sp_vector_pt sink,
    void *data, sp_event_t *event);


#endif /* _SP_OPENAI_H_INCLUDED_ */
