
/*
 * Copyright (C) Sallyport authors
 *
 * Outgoing HTTP side calls (embeddings, moderation, JSON-RPC, webhooks) with
 * libcurl multi on the event loop: connection reuse, HTTP/2, TLS verification
 * always on, body caps.  The LLM stream does not pass here.
 */

#ifndef _NGX_SP_FETCH_H_INCLUDED_
#define _NGX_SP_FETCH_H_INCLUDED_


#include "ngx_sp_op.h"


typedef struct {
    ngx_sp_op_t        op;         /* first */

    /* all of it is copied by submit */

    ngx_str_t          method;     /* empty: POST with a body, else GET */
    ngx_str_t          url;        /* http or https; from configuration */
    const ngx_str_t   *headers;    /* "Name: value" */
    ngx_uint_t         nheaders;
    ngx_str_t          body;
    size_t             max_body;   /* of the response; 0 is 1 MiB */
    ngx_str_t          trusted_certificate;   /* empty: fetch_...'s */

    /* valid in "done" when the result is OK */

    ngx_uint_t         status;     /* any HTTP status is OK */
    ngx_msec_t         retry_after;     /* of the header; 0: none */
    ngx_str_t          content_type;
    ngx_str_t          response;
} ngx_sp_fetch_op_t;


typedef struct {
    ngx_str_t          trusted_certificate;  /* empty: the system's */
    ngx_msec_t         timeout;              /* default deadline */
    ngx_msec_t         connect_timeout;
    ngx_uint_t         max_active;           /* more are UNAVAILABLE */
    ngx_array_t       *trusts;               /* see ngx_sp_fetch_trust() */
} ngx_sp_fetch_conf_t;


/*
 * Reads the certificates of "file", which is NUL-terminated; empty: the
 * system's.  What an op trusts that was not read here is read in the worker,
 * for each connection.
 */
ngx_int_t ngx_sp_fetch_trust(ngx_conf_t *cf, ngx_sp_fetch_conf_t *conf,
    const ngx_str_t *file);


/* one multi handle per worker; conf lives as long as the cycle */
ngx_int_t ngx_sp_fetch_init_process(const ngx_sp_fetch_conf_t *conf,
    ngx_cycle_t *cycle);
void ngx_sp_fetch_exit_process(void);

void ngx_sp_fetch_submit(ngx_sp_fetch_op_t *op);

/* 0: what is submitted now is UNAVAILABLE, and it is not the server's fault */
ngx_uint_t ngx_sp_fetch_room(void);


#endif /* _NGX_SP_FETCH_H_INCLUDED_ */
