
/*
 * Copyright (C) Sallyport authors
 *
 * Private to the dialect of Google's Gemini API, v1beta generateContent and
 * batchEmbedContents: see sp_dialect.h for what the functions do.
 */

#ifndef _SP_GEMINI_H_INCLUDED_
#define _SP_GEMINI_H_INCLUDED_


#include "sp_dialect.h"
#include "sp_scan.h"


/* what a stream has said; tokens: one more than were told, 0: none were */
typedef struct {
    uint16_t                  calls[SP_CHAT_MAX_CHOICES];
    uint8_t                   ended[SP_CHAT_MAX_CHOICES];
    int64_t                   prompt;
    int64_t                   tool_prompt;
    int64_t                   candidates;
    int64_t                   thoughts;
} sp_gemini_state_t;


typedef enum {
    SP_GEMINI_NOBODY = 0,
    SP_GEMINI_USER,
    SP_GEMINI_MODEL
} sp_gemini_role_e;


/* a request that is written */
typedef struct {
    const sp_call_t          *call;
    sp_out_t                 *out;
    sp_chat_error_t          *error;
    const sp_chat_message_t  *asked;     /* the last one that called tools */
    sp_gemini_role_e          role;      /* of the open content */
    size_t                    items;     /* of what is open */
} sp_gemini_sender_t;


/* sp_gemini_request.c */
int sp_gemini_write_request(const sp_call_t *call, sp_out_t *out,
    sp_chat_error_t *error);

/* a comma where something stands before */
void sp_gemini_next(sp_gemini_sender_t *s);

/* -1, with *error */
int sp_gemini_refuse(sp_gemini_sender_t *s, const sp_chat_error_t *error);

/* the model is of a family before Gemini 3 */
int sp_gemini_is_old(const sp_gemini_sender_t *s);

/* sp_gemini_config.c: tools, generationConfig */
int sp_gemini_write_tools(sp_gemini_sender_t *s);
int sp_gemini_write_config(sp_gemini_sender_t *s);

/* sp_gemini_contents.c */
int sp_gemini_write_contents(sp_gemini_sender_t *s);

/* sp_gemini_media.c: an image, audio or a file */
int sp_gemini_write_media(sp_gemini_sender_t *s, const sp_chat_part_t *part);

/* sp_gemini_scan.c */
int sp_gemini_scan_event(void *state, const sp_sse_event_t *sse,
    sp_delta_pt sink, void *data, sp_event_t *event);
int sp_gemini_scan_answer(const char *text, size_t len, sp_delta_pt sink,
    void *data, sp_event_t *event);

/* sp_gemini_part.c: what one part of a candidate says */
int sp_gemini_scan_parts(sp_scan_t *s, sp_gemini_state_t *state,
    size_t choice, sp_delta_pt sink, void *data, sp_event_t *event);

/* sp_gemini_embed.c */
void sp_gemini_write_embed(const sp_embed_t *embed, sp_out_t *out);
int sp_gemini_scan_embed(const char *text, size_t len, sp_vector_pt sink,
    void *data, sp_event_t *event);


#endif /* _SP_GEMINI_H_INCLUDED_ */
