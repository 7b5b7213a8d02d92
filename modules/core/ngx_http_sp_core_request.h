
/*
 * Copyright (C) Sallyport authors
 *
 * Part of ngx_http_sp_core.h: what came in, who it is from, what goes out.
 */

#ifndef _NGX_HTTP_SP_CORE_REQUEST_H_INCLUDED_
#define _NGX_HTTP_SP_CORE_REQUEST_H_INCLUDED_


/* Body */

/*
 * NGX_OK: *body is the whole body in one piece of memory (valid until the
 * request ends); NGX_AGAIN: return NGX_AGAIN, it is being read; or an HTTP
 * status to return.  Steps may call it before each other: it is read once.
 * Larger than "body_max_size" is 413.
 */
ngx_int_t ngx_http_sp_body(ngx_http_request_t *r, ngx_str_t *body);

/*
 * Another body from now on: what ngx_http_sp_body() gives and what is
 * forwarded.  It is memory of the request; the parsed value and the chat
 * request are the caller's to keep in step.
 */
ngx_int_t ngx_http_sp_replace_body(ngx_http_request_t *r,
    const ngx_str_t *body);

/*
 * The same for a JSON body: refuses other content types (415), malformed
 * UTF-8 or JSON, duplicate keys and excess depth (400), each with its own
 * code.  The value belongs to the request.  A number that neither an int64_t
 * nor a double holds is a real in it: what is forwarded is the text.
 */
ngx_int_t ngx_http_sp_json_body(ngx_http_request_t *r, json_t **value);

/* strings of that value were replaced: the body says so from now on */
ngx_int_t ngx_http_sp_rewrite_json_body(ngx_http_request_t *r);

/*
 * The body as a chat request, parsed once per request, in the dialect that
 * the clients of the location speak.
 */
ngx_int_t ngx_http_sp_chat(ngx_http_request_t *r, sp_chat_request_t **chat);

/* whether bodies of this location are chats: not those of images or the API */
ngx_uint_t ngx_http_sp_takes_chats(ngx_http_request_t *r);

/*
 * A location whose clients send another form of a chat than its dialect's: in
 * a setter.  The handler is called once, for the parsed body, which stays the
 * caller's; *made is what everybody else sees of it, a new reference, or what
 * is returned is a status, with an error.
 */
typedef ngx_int_t (*ngx_http_sp_shape_pt)(ngx_http_request_t *r,
    const json_t *body, json_t **made);

void ngx_http_sp_conf_shape(ngx_conf_t *cf, ngx_http_sp_shape_pt shape);

/*
 * Another JSON body from now on, whose reference is taken: value, text and
 * chat, which keeps its address.
 */
ngx_int_t ngx_http_sp_reset_json_body(ngx_http_request_t *r, json_t *value);


/* Identity */

typedef struct {
    ngx_str_t                 sub;       /* the user's id, a UUID of ours */
    ngx_str_t                 tier;      /* empty: none */
    ngx_str_t                 role;      /* application role; empty: none */
    ngx_str_t                 scope;     /* words, one space between */
    ngx_str_t                 wallet;    /* EIP-55 address, or empty */
    ngx_str_t                 session;   /* sid claim, or empty */
    ngx_str_t                 token_id;  /* jti claim, or empty */
    ngx_str_t                 claims;    /* verified claims, JSON text */
    time_t                    expires;
} ngx_http_sp_identity_t;

/*
 * NULL: nobody.  Set only by an identify step, after verification; strings
 * live as long as the request.  $identity_sub, $identity_tier and the like
 * read it.
 *
 * After an internal redirect or an error_page a location that may carry an
 * identity begins with nobody; one that does not keeps what was proven.
 */
const ngx_http_sp_identity_t *ngx_http_sp_identity(ngx_http_request_t *r);
ngx_int_t ngx_http_sp_set_identity(ngx_http_request_t *r,
    const ngx_http_sp_identity_t *identity);

/*
 * How often that made the request somebody else's: a step that keeps what it
 * found for an identity compares, and begins again.  Contexts for the prompt
 * are dropped by the core.
 */
ngx_uint_t ngx_http_sp_identity_changes(ngx_http_request_t *r);

/*
 * Configuration.  conf_identity(): in the setter of a directive after which
 * the requests of this location may carry an identity, or with 0 do not
 * ("off").  has_identity(): whether they may; in a merge_loc_conf only.
 */
void ngx_http_sp_conf_identity(ngx_conf_t *cf, ngx_flag_t on);
ngx_flag_t ngx_http_sp_has_identity(ngx_conf_t *cf);

/*
 * role and claims of a pg op made for the identity of this request: the role
 * that "pg_role" has for its own or else "sallyport_user", with its verified
 * claims; or "sallyport_anon"
 */
void ngx_http_sp_pg_identity(ngx_http_request_t *r, ngx_sp_pg_op_t *op);


/*
 * The next header of this name behind "h" in headers_in.headers or
 * headers_out.headers, the first for h NULL; NULL: there is no more.
 */
ngx_table_elt_t *ngx_http_sp_next_header(ngx_list_t *headers,
    const ngx_str_t *name, ngx_table_elt_t *h);


/* Answers */

/* "X-Request-Id" of the answer; memory of the request */
ngx_int_t ngx_http_sp_request_id(ngx_http_request_t *r, ngx_str_t *id);

/*
 * Records what the envelope will say and returns "status":
 *     return ngx_http_sp_error(r, 429, "quota_exceeded", "...%V...", &x);
 * code is snake_case and part of the API; the message names the fix.
 */
ngx_int_t ngx_http_sp_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *fmt, ...);

/* 404 "endpoint_not_found" for any method; the message names the address */
ngx_int_t ngx_http_sp_not_found(ngx_http_request_t *r);

/*
 * After ngx_http_sp_error().  hint: text; details: a JSON value; param: the
 * member of the request that is wrong, returns the status; type: instead of
 * that of the status.  The strings live as long as the request.
 */
ngx_int_t ngx_http_sp_error_param(ngx_http_request_t *r, const char *param);
void ngx_http_sp_error_type(ngx_http_request_t *r, const char *type);
void ngx_http_sp_error_hint(ngx_http_request_t *r, const char *hint);
void ngx_http_sp_error_details(ngx_http_request_t *r,
    const ngx_str_t *json);

/* any status; name and value live as long as the request */
ngx_int_t ngx_http_sp_add_header(ngx_http_request_t *r, const char *name,
    const ngx_str_t *value);
ngx_int_t ngx_http_sp_retry_after(ngx_http_request_t *r, time_t seconds);

/*
 * Sends the body with its length; returns what the content handler returns.
 * The body is memory of the request.
 */
ngx_int_t ngx_http_sp_send(ngx_http_request_t *r, ngx_uint_t status,
    const char *content_type, const ngx_str_t *body);
ngx_int_t ngx_http_sp_send_json(ngx_http_request_t *r, ngx_uint_t status,
    const ngx_str_t *body);


#endif /* _NGX_HTTP_SP_CORE_REQUEST_H_INCLUDED_ */
