
/*
 * Copyright (C) Sallyport authors
 *
 * Private to ngx_sp_fetch*.c.
 */

#ifndef _NGX_SP_FETCH_INT_H_INCLUDED_
#define _NGX_SP_FETCH_INT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <curl/curl.h>

#include "ngx_sp_fd.h"
#include "ngx_sp_fetch.h"
#include "ngx_sp_name.h"


typedef struct {
    const ngx_sp_fetch_conf_t  *conf;
    CURLM                      *multi;
    ngx_log_t                  *log;
    ngx_queue_t                 transfers;
    ngx_queue_t                 sockets;
    ngx_array_t                 names;      /* ngx_sp_name_t * */
    ngx_uint_t                  nactive;
    ngx_event_t                 timer;      /* asked for by curl */
    ngx_event_t                 unbound;    /* sockets without a connection */
    unsigned                    started:1;
} ngx_sp_fetch_t;


typedef struct {
    ngx_queue_t                 queue;
    ngx_pool_t                 *pool;
    ngx_sp_fetch_t             *fetch;
    ngx_sp_fetch_op_t          *op;
    CURL                       *easy;
    struct curl_slist          *headers;
    const char                 *host;       /* for the log */

    ngx_sp_name_t              *name;       /* NULL: an address */
    ngx_sp_op_t                 lookup;     /* of its first addresses */
    struct curl_slist          *resolve;

    u_char                     *body;
    size_t                      len;
    size_t                      size;
    size_t                      max;

    char                        error[CURL_ERROR_SIZE];

    unsigned                    too_large:1;
    unsigned                    complete:1;   /* the head of the response */
} ngx_sp_fetch_transfer_t;


/* NULL when init_process was not called in this process */
ngx_sp_fetch_t *ngx_sp_fetch_state(void);

void ngx_sp_fetch_done(ngx_sp_fetch_transfer_t *tr, CURLcode code);
void ngx_sp_fetch_destroy(ngx_sp_fetch_transfer_t *tr);

/* ngx_sp_fetch_name.c */
ngx_int_t ngx_sp_fetch_set_name(ngx_sp_fetch_transfer_t *tr,
    const char *text);
ngx_int_t ngx_sp_fetch_set_addresses(ngx_sp_fetch_transfer_t *tr);

/* ngx_sp_fetch_trust.c */
ngx_int_t ngx_sp_fetch_set_trust(ngx_sp_fetch_transfer_t *tr,
    const ngx_str_t *file);

/* a callback of curl */
curl_socket_t ngx_sp_fetch_open_socket(void *arg, curlsocktype purpose,
    struct curl_sockaddr *address);


#endif /* _NGX_SP_FETCH_INT_H_INCLUDED_ */
