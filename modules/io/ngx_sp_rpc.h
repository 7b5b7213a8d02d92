
/*
 * Copyright (C) Sallyport authors
 *
 * JSON-RPC 2.0 calls of nodes, over HTTP.  Several endpoints are one node to
 * the caller: where one fails, the same call goes to the next one, within the
 * deadline of the op.  So a call may reach more than one of them: only what
 * may be repeated is called this way, a signed transaction for instance.
 *
 * The endpoint that answers is asked first the next time, until it fails.
 * With a chain id, an endpoint gets nothing before it has told that id, and
 * again after it has failed: no other chain sees a call, or is believed.
 *
 * What is a failure of an endpoint, and what is an answer:
 *
 *     connection refused, lost, late          failure
 *     401, 403, 429, 502, 503, 504            failure, whatever the body says
 *     another status, and no answer in it     failure
 *     not JSON, an answer to another call     failure
 *     another chain's id, or none             failure
 *     a result                                OK
 *     an error object, with any status        REJECTED
 *     .. that says: over its limit            failure, if another one is left
 *     a body over its cap                     REJECTED
 */

#ifndef _NGX_SP_RPC_H_INCLUDED_
#define _NGX_SP_RPC_H_INCLUDED_


#include <jansson.h>

#include "ngx_sp_fetch.h"


typedef enum {
    NGX_SP_RPC_NONE = 0,
    NGX_SP_RPC_ERROR,        /* an error object */
    NGX_SP_RPC_TOO_LARGE,    /* a body over its cap */

    /* no endpoint has answered; the last one failed by: */

    NGX_SP_RPC_TRANSPORT,    /* no response */
    NGX_SP_RPC_HTTP,         /* its status */
    NGX_SP_RPC_MALFORMED,    /* 200, but no answer to this call */
    NGX_SP_RPC_CHAIN         /* it is of another chain */
} ngx_sp_rpc_fault_e;


typedef struct {
    ngx_str_t            url;
    unsigned             checked:1;   /* its chain id; of a worker */
} ngx_sp_rpc_endpoint_t;


/* configuration, but for what is said to be of a worker */

typedef struct {
    ngx_str_t            name;        /* for the log */
    ngx_array_t          endpoints;   /* ngx_sp_rpc_endpoint_t; at least 1 */
    ngx_msec_t           timeout;     /* of one endpoint */
    uint64_t             chain_id;    /* 0: of any chain */
    ngx_uint_t           first;       /* to be asked; of a worker */
} ngx_sp_rpc_t;


typedef struct {
    ngx_sp_op_t          op;          /* first */

    /*
     * All of it is copied by submit.  The default deadline is the timeout of
     * all endpoints, one after the other.
     */

    const char          *method;      /* written as it is */
    ngx_str_t            params;      /* JSON; empty: [] */
    size_t               max_body;    /* of the response; 0 is 1 MiB */

    /* in "done", whatever the result */

    ngx_sp_rpc_fault_e   fault;       /* NONE: OK */
    ngx_uint_t           endpoint;    /* the last one asked, from 0 */
    ngx_uint_t           status;      /* its HTTP status, or 0 */
    ngx_uint_t           failed;      /* endpoints, on the way */

    /* valid in "done" when the result is OK; may be JSON's null */

    json_t              *answer;

    /*
     * Valid in "done" when the fault is ERROR.  The message is the node's: of
     * any length, and any bytes may be in it.
     */

    int64_t              code;
    ngx_str_t            message;
    json_t              *data;        /* or NULL */
} ngx_sp_rpc_op_t;


void ngx_sp_rpc_submit(ngx_sp_rpc_t *rpc, ngx_sp_rpc_op_t *op);

/*
 * In "done": if an endpoint has answered, then with something that is no use.
 * It has failed: the next call begins with the one after it.
 */
void ngx_sp_rpc_distrust(ngx_sp_rpc_t *rpc, ngx_sp_rpc_op_t *op);


#endif /* _NGX_SP_RPC_H_INCLUDED_ */
