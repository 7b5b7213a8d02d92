
/*
 * Copyright (C) Sallyport authors
 *
 * Private to the dialect of Anthropic's Messages API: see sp_dialect.h for
 * what the functions do.
 */

#ifndef _SP_ANTHROPIC_H_INCLUDED_
#define _SP_ANTHROPIC_H_INCLUDED_


#include "sp_dialect.h"
#include "sp_scan.h"


/* of a client's stop sequence more is not told again */
#define SP_ANTHROPIC_SEQUENCE   64

/* tool calls of an answer that may be written in turns */
#define SP_ANTHROPIC_CALLS      128


/* the blocks of an answer that are told apart */
typedef enum {
    SP_ANTHROPIC_NONE = 0,       /* none is open */
    SP_ANTHROPIC_TEXT,
    SP_ANTHROPIC_THINKING,
    SP_ANTHROPIC_TOOL,
    SP_ANTHROPIC_OTHER           /* passes, but is not translated */
} sp_anthropic_block_e;


/* of one sampling; -1: not said */
typedef struct {
    int64_t               input;
    int64_t               created;   /* written to the cache, beside input */
    int64_t               read;      /* from it */
    int64_t               output;
    int64_t               thinking;  /* of the output */
} sp_anthropic_counts_t;


/* where there were several samplings, each is an iteration */
typedef struct {
    sp_anthropic_counts_t  counts;
    sp_anthropic_counts_t  sums;     /* of the iterations */
    unsigned               iterations:1;
} sp_anthropic_usage_t;


/* state of scan_event() */
typedef struct {
    sp_anthropic_block_e  block;
    size_t                ncalls;
    unsigned              json:1;    /* the open call has arguments */

    sp_anthropic_counts_t counts;    /* of the input, so far */
    unsigned              counted:1;
} sp_anthropic_reader_t;


/* state of write_event() */
typedef struct {
    sp_anthropic_block_e  block;
    size_t                nblocks;   /* so far, the open one with them */
    size_t                tool;      /* of the open one */
    size_t                ncalls;
    const char           *reason;    /* NULL: not finished */
    size_t                sequence_len;
    char                  sequence[SP_ANTHROPIC_SEQUENCE];
    uint16_t              calls[SP_ANTHROPIC_CALLS];  /* block number + 1 */
    unsigned              started:1;
    unsigned              refusal:1;
} sp_anthropic_writer_t;


/* sp_anthropic_request.c */
sp_chat_request_t *sp_anthropic_parse_request(json_t *root,
    sp_chat_error_t *error);

/* sp_anthropic_part.c: blocks of a message */
void sp_anthropic_parse_part(sp_chat_part_t *part, const json_t *value);

/* sp_anthropic_tools.c: tools and options of the request */
void sp_anthropic_parse_tools(sp_chat_request_t *chat);
void sp_anthropic_parse_options(sp_chat_request_t *chat);

/* sp_anthropic_edit.c */
size_t sp_anthropic_edit_size(const sp_call_t *call);
size_t sp_anthropic_edit(const sp_call_t *call, char *dst,
    sp_slice_t *pieces);

/* sp_anthropic_scan.c */
int sp_anthropic_scan_event(void *state, const sp_sse_event_t *sse,
    sp_delta_pt sink, void *data, sp_event_t *event);
int sp_anthropic_scan_answer(const char *text, size_t len, sp_delta_pt sink,
    void *data, sp_event_t *event);

/* sp_anthropic_usage.c */
void sp_anthropic_usage_init(sp_anthropic_usage_t *usage);

/* a member of "usage": sp_scan_member_pt, for a sp_anthropic_usage_t */
int sp_anthropic_scan_usage(sp_scan_t *s, const char *key, size_t len,
    void *data);

/* what the usage comes to, with what was said before of the input */
void sp_anthropic_count(sp_anthropic_reader_t *state,
    const sp_anthropic_usage_t *usage, sp_event_t *event);

/* sp_anthropic_write.c */
void sp_anthropic_write_event(sp_writer_t *w, const sp_delta_t *delta,
    sp_out_t *out);
void sp_anthropic_write_extras(sp_writer_t *w, const char *json, size_t len,
    sp_out_t *out);
void sp_anthropic_write_end(sp_writer_t *w, const sp_event_t *usage,
    sp_out_t *out);

/* sp_anthropic_answer.c */
void sp_anthropic_write_answer(sp_writer_t *w, const sp_delta_t *deltas,
    size_t n, const sp_event_t *usage, sp_out_t *out);

/* the members of a message, of one that begins or of a whole one */
void sp_anthropic_write_head(const sp_writer_t *w, sp_out_t *out);
void sp_anthropic_write_usage(const sp_event_t *usage, sp_out_t *out);

/* of a call that the provider gave none: one that is the answer's own */
void sp_anthropic_write_id(const sp_writer_t *w, const sp_delta_t *delta,
    sp_out_t *out);

/* the reason as it is called here; the provider's own where that is one */
const char *sp_anthropic_reason(const sp_delta_t *delta);
sp_finish_e sp_anthropic_finish(const sp_slice_t *reason);

/* sp_anthropic_input.c */

/*
 * Arguments of a call, JSON text, as the object that this API has in their
 * place.  What is none, as models say now and then, is its one member
 * "arguments", a string.
 */
void sp_anthropic_write_input(const char *text, size_t len, sp_out_t *out);

/* sp_anthropic_send.c */
typedef struct {
    const sp_call_t      *call;
    sp_out_t             *out;
    sp_chat_error_t      *error;
    size_t                first;     /* of the messages that stay */
    size_t                messages;  /* written so far */
    size_t                blocks;    /* of the open one */
    sp_chat_role_e        role;      /* of it: USER or ASSISTANT */
    unsigned              open:1;
} sp_anthropic_sender_t;

int sp_anthropic_write_request(const sp_call_t *call, sp_out_t *out,
    sp_chat_error_t *error);

/*
 * The first message of the history that stays: what begins with an answer was
 * cut in the midst of a turn.
 */
size_t sp_anthropic_first(const sp_chat_request_t *chat,
    const sp_chat_edit_t *edit);

int sp_anthropic_refuse(sp_anthropic_sender_t *s,
    const sp_chat_error_t *error);

/* sp_anthropic_send_options.c */
int sp_anthropic_send_options(sp_anthropic_sender_t *s);
int sp_anthropic_send_tools(sp_anthropic_sender_t *s);

/* sp_anthropic_send_part.c */
int sp_anthropic_send_part(sp_anthropic_sender_t *s,
    const sp_chat_part_t *part);
void sp_anthropic_send_cache(sp_anthropic_sender_t *s, const json_t *cache);
void sp_anthropic_send_json(sp_anthropic_sender_t *s, const json_t *value);


#endif /* _SP_ANTHROPIC_H_INCLUDED_ */
