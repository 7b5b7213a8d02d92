
/*
 * Copyright (C) Sallyport authors
 *
 * Part of ngx_http_sp_core.h: stream filters, which judge texts as they flow.
 *
 * Whatever a client sends and a model answers is a number of texts, each said
 * by a role, in a field.  Filters are shown a text decoded, in pieces that are
 * cut anywhere between two characters, and all of them are shown the same
 * one: what a filter changes is changed when the text goes on.  The core holds
 * back what may not go on yet, so a filter keeps no text.
 *
 *     body of a request   core_inspect.c: each text is one piece
 *     answer of a model   llm_filter.c: a piece for each event
 */

#ifndef _NGX_HTTP_SP_CORE_FILTER_H_INCLUDED_
#define _NGX_HTTP_SP_CORE_FILTER_H_INCLUDED_


typedef enum {                 /* bits */
    NGX_HTTP_SP_INPUT = 1,     /* of a client */
    NGX_HTTP_SP_OUTPUT = 2     /* of a model */
} ngx_http_sp_direction_e;


typedef enum {
    NGX_HTTP_SP_CONTENT = 0,
    NGX_HTTP_SP_REASONING,
    NGX_HTTP_SP_REFUSAL_TEXT,  /* the model declines in it */
    NGX_HTTP_SP_ARGUMENTS,     /* of a tool call: JSON, its escapes read */
    NGX_HTTP_SP_OTHER          /* a name, a description, a member's name */
} ngx_http_sp_field_e;


typedef struct {
    ngx_http_request_t        *request;
    ngx_http_sp_direction_e    direction;
    sp_chat_role_e             role;
    ngx_http_sp_field_e        field;
    unsigned                   fixed:1;   /* may be refused, not edited */
    unsigned                   last:1;    /* with this piece the text ends */

    /*
     * The bytes of the text before it may go on, edited as they are.  At a
     * feed() the core sets it to the end of the piece, which is right for who
     * needs no more than the piece.  It never goes back.
     */
    uint64_t                   safe_upto;
} ngx_http_sp_text_t;


typedef struct {
    ngx_uint_t                 abi;       /* NGX_HTTP_SP_ABI */
    ngx_str_t                  name;
    ngx_int_t                  rank;      /* built in: 100, 200, ... */
    ngx_uint_t                 directions;  /* bits */
    size_t                     size;      /* of the state of one text */

    /* whether texts of this direction are judged here; NULL: everywhere */
    ngx_uint_t               (*wants)(ngx_http_request_t *r,
                                   ngx_http_sp_direction_e direction);

    /*
     * NGX_OK; NGX_DECLINED: not this text; NGX_ERROR; or NULL.  "state" is
     * zeroed
     */
    ngx_int_t                (*open)(void *state, ngx_http_sp_text_t *text);

    /*
     * "piece" may be empty when it is the last.  NGX_OK; NGX_ERROR; or, as a
     * step does, the status of a refusal after ngx_http_sp_error().  The
     * status answers a request; an answer ends before safe_upto, and the
     * client is told the reason "content_filter".  An answer that another
     * filter refuses with this piece is shown all the same.
     */
    ngx_int_t                (*feed)(void *state, ngx_http_sp_text_t *text,
                                   const ngx_str_t *piece);

    /* once for each open(), also when the request is cut; or NULL */
    void                     (*close)(void *state);

    /*
     * What it judges by, memory of the configuration: an answer that was
     * judged by the same may be given again unasked.  NULL: it does not tell,
     * so what it judges is judged each time.
     */
    const ngx_str_t         *(*policy)(ngx_http_request_t *r);
} ngx_http_sp_filter_t;


/*
 * In the preconfiguration, or in a setter; the struct is static memory.  Those
 * of one rank are asked by the order of their names.
 */
ngx_int_t ngx_http_sp_add_filter(ngx_conf_t *cf,
    const ngx_http_sp_filter_t *filter);

/*
 * In feed(), unless the text is fixed: bytes [from, to) of the text, at or
 * above what was safe before, become "by", memory of the request; NULL: a "*"
 * for each character.  Of edits that overlap the one that begins first wins.
 * In arguments "by" has quotes and backslashes as JSON has them in a string.
 */
ngx_int_t ngx_http_sp_text_edit(ngx_http_sp_text_t *text, uint64_t from,
    uint64_t to, const ngx_str_t *by);


/* For those who have texts */

typedef struct ngx_http_sp_stream_s  ngx_http_sp_stream_t;


ngx_uint_t ngx_http_sp_filters(ngx_http_request_t *r,
    ngx_http_sp_direction_e direction);

/*
 * By which filters, and by what, texts of this direction are judged here, in
 * memory of the request; NGX_DECLINED: one of them does not tell
 */
ngx_int_t ngx_http_sp_filters_policy(ngx_http_request_t *r,
    ngx_http_sp_direction_e direction, ngx_str_t *policy);

/* a text begins, in memory of the request that *text names; NULL: none left */
ngx_http_sp_stream_t *ngx_http_sp_stream_open(const ngx_http_sp_text_t *text);

/* ... and another one after it; NGX_OK, or NGX_ERROR */
ngx_int_t ngx_http_sp_stream_reopen(ngx_http_sp_stream_t *stream,
    const ngx_http_sp_text_t *text);

/* 1 when a filter has edited something of the text */
ngx_uint_t ngx_http_sp_stream_edited(const ngx_http_sp_stream_t *stream);

/*
 * *out is what may go on now: the piece itself, or memory that is valid until
 * the next call.  NGX_OK; NGX_DECLINED: refused, *out is the end of what may
 * be said, and later pieces give nothing more; NGX_ERROR.
 */
ngx_int_t ngx_http_sp_stream_feed(ngx_http_sp_stream_t *stream,
    const ngx_str_t *piece, ngx_uint_t last, ngx_str_t *out);


#endif /* _NGX_HTTP_SP_CORE_FILTER_H_INCLUDED_ */
