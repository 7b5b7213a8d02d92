
/*
 * Copyright (C) Sallyport authors
 *
 * What the APIs of model providers differ in, as a table of functions for
 * each.  A client and a provider that speak the same one: the bytes pass and
 * are only scanned.  Else each event is scanned by the table of the provider,
 * and what it says is written by the table of the client:
 *
 *        -> parse_request -> sp_chat_request_t -> write_request ->
 *        <- write_event   <- sp_delta_t        <- scan_event    <-
 *
 * A dialect knows no HTTP beyond a path, header lines and content types.
 */

#ifndef _SP_DIALECT_H_INCLUDED_
#define _SP_DIALECT_H_INCLUDED_


#include "sp_chat.h"
#include "sp_json_unescape.h"
#include "sp_out.h"
#include "sp_sse.h"


/*
 * The content of a JSON string in the scanned text, escapes not decoded:
 * sp_json_unescape(), sp_out_content().  data NULL: not there.
 */
typedef struct {
    const char           *data;
    size_t                len;
} sp_slice_t;


/* Answers */

typedef enum {
    SP_DELTA_TEXT = 0,
    SP_DELTA_REASONING,
    SP_DELTA_REFUSAL,
    SP_DELTA_TOOL,               /* a call begins, or its arguments go on */
    SP_DELTA_SIGNATURE,          /* opaque, of the reasoning before it, which
                                    ends: the client hands it back with its
                                    history; empty: there is none */
    SP_DELTA_FINISH              /* the choice is complete */
} sp_delta_e;


typedef enum {
    SP_FINISH_STOP = 0,
    SP_FINISH_LENGTH,
    SP_FINISH_TOOLS,
    SP_FINISH_FILTER,
    SP_FINISH_OTHER
} sp_finish_e;


/* one thing that is said in one choice */
typedef struct {
    sp_delta_e            kind;
    size_t                choice;
    size_t                tool;      /* number of the call in its choice */
    sp_slice_t            text;      /* or arguments; FINISH: the reason */
    sp_slice_t            id;        /* of a call that begins */
    sp_slice_t            name;      /* of it; FINISH: the stop sequence */
    sp_slice_t            signature; /* of a call that begins; opaque */
    sp_finish_e           finish;
    unsigned              json:1;    /* text is a JSON value, no string */
    unsigned              no_id:1;   /* the provider gives this call none
                                        with its name: sp_call_id() */
} sp_delta_t;


/* not 0: stop, the scan returns it */
typedef int (*sp_delta_pt)(void *data, const sp_delta_t *delta);


/* what an event, or a whole answer, says of the answer as such */
typedef struct {
    sp_slice_t            error;         /* message, may be empty */
    sp_slice_t            error_type;
    sp_slice_t            error_code;
    sp_slice_t            error_param;
    sp_slice_t            error_retry;   /* seconds, as "13" or "0.5", after
                                            which to ask again */

    /*
     * Running totals, -1: not said; to be replaced, never added up.  The
     * prompt's hold those read from and written to the provider's cache, the
     * completion's those of reasoning, whatever the provider calls so.
     */
    int64_t               prompt_tokens;
    int64_t               completion_tokens;
    int64_t               cached_tokens;
    int64_t               cache_write_tokens;
    int64_t               reasoning_tokens;

    int64_t               images;        /* that are complete with it */
    int64_t               seconds;       /* of audio that was heard, as told,
                                            rounded up; -1: not said */

    unsigned              has_error:1;
    unsigned              has_usage:1;
    unsigned              has_answer:1;  /* a choice, even an empty one */
    unsigned              usage_only:1;  /* nothing else, as if asked for */
    unsigned              done:1;        /* the last event */
} sp_event_t;


/* nothing is said yet */
void sp_event_init(sp_event_t *event);

/* what "event" says of the usage replaces what "totals" had of it */
void sp_event_merge(sp_event_t *totals, const sp_event_t *event);


/* the answer to one client; the caller zeroes "state" at its begin */
typedef struct {
    const char           *id;
    size_t                id_len;
    const char           *model;         /* as the client calls it */
    size_t                model_len;
    int64_t               created;       /* seconds of 1970 */
    int64_t               prompt_tokens; /* so far, or estimated */
    void                 *state;         /* writer_size bytes */
    const sp_chat_request_t  *chat;      /* the request; or NULL */

    /*
     * Memory that lives as long as the answer, for a dialect that repeats
     * at its end what was said: "size" bytes, the first "len" of them from
     * "old", which is given back.  NULL: there is none.
     */
    char               *(*grow)(void *data, char *old, size_t len,
                              size_t size);
    void                 *data;
    size_t                limit;         /* bytes to be kept in all */

    unsigned              usage:1;       /* the client asked for it */
    unsigned              late:1;        /* a text may go on after another
                                            one has begun */
    unsigned              full:1;        /* set by the dialect: the limit was
                                            reached, nothing more is said */
    unsigned              broken:1;      /* set by the dialect: no memory */
    unsigned              passed:1;      /* the provider's events have passed,
                                            only the last one is missing */
} sp_writer_t;


/* Errors: message is UTF-8, the rest printable ASCII */

typedef struct {
    unsigned              status;        /* of HTTP */
    const char           *code;
    const char           *type;          /* NULL: by the status */
    const char           *param;         /* or NULL */
    const char           *message;
    size_t                message_len;
    const char           *request_id;    /* not in an event */
    size_t                request_id_len;
    const sp_writer_t    *writer;        /* of the stream; or NULL */
    unsigned              event:1;       /* in a stream, not as its answer */
} sp_dialect_error_t;


/* Requests */

/* what servers of one dialect differ in; zeroed: nothing */
typedef struct {
    const char               *api_version;   /* of the path; NULL: none */
    size_t                    api_version_len;
    const char               *max_tokens;    /* its name, "max_tokens" or
                                                "max_completion_tokens";
                                                NULL: the client's */
    unsigned                  continuous_usage:1;  /* with each event */
} sp_dialect_options_t;


typedef struct {
    const sp_chat_request_t  *chat;      /* NULL: embeddings, media */
    const sp_chat_edit_t     *edit;
    const sp_dialect_options_t  *options;    /* NULL: as if zeroed */
    const char               *text;      /* the client's body */
    size_t                    len;
    unsigned                  stream:1;
} sp_call_t;


/* Embeddings: texts that become vectors */

typedef struct {
    const sp_slice_t         *texts;     /* UTF-8, not escaped */
    size_t                    n;
    const char               *model;     /* the provider's name of it */
    size_t                    model_len;
    size_t                    dimensions;    /* 0: the model's own */
} sp_embed_t;


/* the vector of text "index", a JSON array; not 0: stop */
typedef int (*sp_vector_pt)(void *data, size_t index, const json_t *vector);


/* what write_event() needs at most beside 6 bytes for each of the slices */
#define SP_DIALECT_EVENT  2048


typedef struct sp_dialect_s  sp_dialect_t;

struct sp_dialect_s {
    unsigned              abi;           /* NGX_HTTP_SP_ABI, of a plugin */
    const char           *name;
    const char           *type;          /* of an answer */
    const char           *stream_type;
    const char           *messages;      /* see sp_dialect_messages() */
    size_t                reader_size;   /* of scan_event()'s state; or 0 */
    size_t                writer_size;   /* of write_event()'s state; or 0 */
    const char *const    *bulky;         /* see sp_json_limits_t; or NULL */
    const sp_dialect_t   *like;          /* but for path and headers it is
                                            that one; or NULL */
    const sp_dialect_t   *images;        /* its API of images, ...: no
                                            dialect by itself, a request
                                            has no chat; or NULL */
    const sp_dialect_t   *speech;
    const sp_dialect_t   *transcriptions;    /* requests are forms */
    const sp_dialect_t   *translations;
    const char           *keepalive;     /* says nothing, between any events
                                            of a stream, before the first one
                                            too, and ends with LF; or NULL */
    int64_t               max_tokens;    /* of a request that tells none, as it
                                            has to; 0: it need not */
    const char *const    *headers;       /* of a client, lower case, that its
                                            provider gets, in the place of
                                            such a one of write_headers(); up
                                            to a NULL; or NULL */
    unsigned              lines:1;       /* an event is a line, no SSE */
    unsigned              eof:1;         /* a stream ends with its body, when
                                            each choice is complete */
    unsigned              versions:1;    /* its path may have a version */
    unsigned              hints:1;       /* the body of an error may tell
                                            error_retry */

    /* client: NULL for a dialect that only providers speak */

    /*
     * Checks what the gateway itself reads and what would surprise it later.
     * Takes over the reference of root, also on failure.  NULL and *error;
     * code NULL: out of memory.
     */
    sp_chat_request_t  *(*parse_request)(json_t *root,
                              sp_chat_error_t *error);

    /* what one delta is in a stream, nothing or several events */
    void                (*write_event)(sp_writer_t *w,
                              const sp_delta_t *delta, sp_out_t *out);

    /*
     * What write_event() will need at most; delta NULL: write_end().  NULL:
     * SP_DIALECT_EVENT, and 6 bytes for each of the slices.
     */
    size_t              (*need)(sp_writer_t *w, const sp_delta_t *delta);

    /* the end of a complete stream; usage of the last event that had it */
    void                (*write_end)(sp_writer_t *w, const sp_event_t *usage,
                              sp_out_t *out);

    /*
     * A JSON object that the API has no word for, in an event that clients
     * pass over, behind the finish of a stream; SP_DIALECT_EVENT, the object
     * and 6 bytes for each of the model's at most.  NULL: there is no place.
     */
    void                (*write_extras)(sp_writer_t *w, const char *json,
                              size_t len, sp_out_t *out);

    /* a whole answer; deltas in the order of their scan */
    void                (*write_answer)(sp_writer_t *w,
                              const sp_delta_t *deltas, size_t n,
                              const sp_event_t *usage, sp_out_t *out);

    void                (*write_error)(const sp_dialect_error_t *error,
                              sp_out_t *out);

    /* provider: NULL for a dialect that only clients speak */

    /* behind the path of its url; never the client's name of the model */
    void                (*write_path)(const sp_call_t *call, sp_out_t *out);

    /* header lines, each with its CR LF; key_len 0: no key */
    void                (*write_headers)(const char *key, size_t key_len,
                              sp_out_t *out);

    /* 0, or -1 and *error: a member that cannot be translated */
    int                 (*write_request)(const sp_call_t *call,
                              sp_out_t *out, sp_chat_error_t *error);

    /*
     * The fast path for a client of the same dialect, or NULL: the bytes of
     * the client with edits.  Pieces of call->text that are long are only
     * pointed to; all else is in dst, of edit_size() bytes.  There are at
     * most SP_DIALECT_PIECES(len) pieces.  Returns how many, 0 when the text
     * is not that of the request.
     */
    size_t              (*edit_size)(const sp_call_t *call);
    size_t              (*edit)(const sp_call_t *call, char *dst,
                              sp_slice_t *pieces);

    /*
     * 0, or -1: not an event of this dialect.  "state" has reader_size
     * bytes, zeroed before the first event.  sink may be NULL: the event is
     * only looked at, and comes again.
     */
    int                 (*scan_event)(void *state,
                              const sp_sse_event_t *sse, sp_delta_pt sink,
                              void *data, sp_event_t *event);

    /* the same for a whole answer, or for the body of an HTTP error */
    int                 (*scan_answer)(const char *text, size_t len,
                              sp_delta_pt sink, void *data,
                              sp_event_t *event);

    /* embeddings: NULL for a dialect that has none */

    void                (*write_embed)(const sp_embed_t *embed,
                              sp_out_t *out);

    /*
     * The vectors, each once and in any order: nothing of their numbers is
     * checked.  0, or -1: not an answer of this dialect.
     */
    int                 (*scan_embed)(const char *text, size_t len,
                              sp_vector_pt sink, void *data,
                              sp_event_t *event);
};


/* the member of a request that holds its messages; "messages" by default */
const char *sp_dialect_messages(const sp_dialect_t *dialect);


/* a piece that is as long is pointed to, in a text that is longer still */
#define SP_DIALECT_PIECE  65536
#define SP_DIALECT_PIECES(len)  (2 * ((len) / SP_DIALECT_PIECE) + 3)


extern const sp_dialect_t  sp_openai;
extern const sp_dialect_t  sp_azure;
extern const sp_dialect_t  sp_gemini;
extern const sp_dialect_t  sp_responses;
extern const sp_dialect_t  sp_anthropic;


#endif /* _SP_DIALECT_H_INCLUDED_ */
