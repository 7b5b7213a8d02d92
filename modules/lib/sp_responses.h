
/*
 * Copyright (C) Sallyport authors
 *
 * Private to the dialect of OpenAI's Responses API, which clients speak:
 * see sp_dialect.h for what the functions do.  Nothing is stored: a request
 * holds its whole history.
 */

#ifndef _SP_RESPONSES_H_INCLUDED_
#define _SP_RESPONSES_H_INCLUDED_


#include "sp_chat_read.h"
#include "sp_dialect.h"


/* of one answer; more are refused */
#define SP_RESPONSES_ITEMS  512


typedef struct {
    sp_chat_request_t    *chat;
    sp_chat_room_t        room;
    size_t                source;    /* the item that is read */
    sp_chat_error_t      *error;
} sp_responses_parser_t;


/* an item of the answer that is written as a stream: where its pieces are */
typedef struct {
    sp_delta_e            kind;
    size_t                tool;
    size_t                start;     /* in the text of the state */
    size_t                name;      /* of a call */
    size_t                name_len;
    size_t                part;
    size_t                text;
    size_t                end;       /* where it goes on */
    unsigned              open:1;
    unsigned              has_part:1;
    unsigned              is_signed:1;
} sp_responses_item_t;


/* the state of a writer */
typedef struct {
    int64_t               sequence;
    char                 *text;      /* items, as they will be repeated */
    size_t                len;
    size_t                size;
    sp_responses_item_t  *items;
    size_t                nitems;
    size_t                nsize;     /* items that there is memory for */
    sp_finish_e           finish;
    unsigned              begun:1;
} sp_responses_state_t;


/* sp_responses_request.c */
sp_chat_request_t *sp_responses_parse_request(json_t *root,
    sp_chat_error_t *error);

/* -1, and *p->error with "param" in place of its own where there is one */
int sp_responses_refuse(sp_responses_parser_t *p,
    const sp_chat_error_t *error, const char *param);

/* JSON null is the same as a member that is not there */
json_t *sp_responses_member(const json_t *object, const char *key);

/* the first member that is not null and none of "names"; or NULL */
const char *sp_responses_other(json_t *object,
    const char *const *names);

/* sp_responses_input.c: 0, or -1 and *p->error */
int sp_responses_allocate(sp_responses_parser_t *p, json_t *root);
int sp_responses_read_input(sp_responses_parser_t *p);

/* sp_responses_stream.c */
size_t sp_responses_need(sp_writer_t *w, const sp_delta_t *delta);
void sp_responses_write_event(sp_writer_t *w, const sp_delta_t *delta,
    sp_out_t *out);
void sp_responses_write_extras(sp_writer_t *w, const char *json, size_t len,
    sp_out_t *out);
void sp_responses_write_end(sp_writer_t *w, const sp_event_t *usage,
    sp_out_t *out);

/* sp_responses_answer.c */
void sp_responses_write_answer(sp_writer_t *w, const sp_delta_t *deltas,
    size_t n, const sp_event_t *usage, sp_out_t *out);

/* {"id":...,"status":STATUS: up to its error */
void sp_responses_open(const sp_writer_t *w, const char *status,
    sp_out_t *out);

/* what the request has asked for, from "incomplete_details" on */
void sp_responses_echo(const sp_writer_t *w, const char *reason,
    sp_out_t *out);
void sp_responses_usage(const sp_event_t *usage, sp_out_t *out);

/* "completed" or "incomplete"; *reason NULL: complete */
const char *sp_responses_status(sp_finish_e finish, const char **reason);

/*
 * The pieces of an item, one behind the other: its head, its part with the
 * text, of reasoning perhaps a signature, its end.
 */
void sp_responses_head(const sp_writer_t *w, const sp_delta_t *delta,
    size_t index, sp_out_t *out);
void sp_responses_part(sp_delta_e kind, sp_out_t *out);
void sp_responses_text(const sp_delta_t *delta, sp_out_t *out);
void sp_responses_part_end(sp_delta_e kind, sp_out_t *out);
void sp_responses_signature(sp_out_t *out);
void sp_responses_item_end(sp_delta_e kind, int is_signed,
    const char *status, sp_out_t *out);

/* the id of an item */
void sp_responses_id(const sp_writer_t *w, sp_delta_e kind, size_t index,
    sp_out_t *out);


#endif /* _SP_RESPONSES_H_INCLUDED_ */
