
/*
 * Copyright (C) Sallyport authors
 */

#ifndef _NGX_HTTP_SP_WALLET_H_INCLUDED_
#define _NGX_HTTP_SP_WALLET_H_INCLUDED_


#include "ngx_http_sp_core.h"

#include <secp256k1.h>

#include "sp_eth.h"
#include "sp_jwt.h"
#include "sp_siwe.h"


#define NGX_HTTP_SP_WALLET_BODY      16384   /* of a request */
#define NGX_HTTP_SP_WALLET_NONCE     22      /* base62 characters: 130 bits */
#define NGX_HTTP_SP_WALLET_NONCE_TTL 300     /* seconds */
#define NGX_HTTP_SP_WALLET_SKEW      60      /* of a wallet's clock, seconds */
#define NGX_HTTP_SP_WALLET_GRACE     10      /* of a lost refresh, seconds */
#define NGX_HTTP_SP_WALLET_UUID      36
#define NGX_HTTP_SP_WALLET_PARAM     64      /* of a query, at most */
#define NGX_HTTP_SP_WALLET_TOKEN     4096    /* of an access token, at most */

/* "rt1_" and base64url of session, generation, HMAC */
#define NGX_HTTP_SP_WALLET_REFRESH   (4 + sp_base64url_len(16 + 4 + 32))


typedef struct ngx_http_sp_wallet_ctx_s  ngx_http_sp_wallet_ctx_t;

typedef ngx_int_t (*ngx_http_sp_wallet_pt)(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);


typedef struct {
    ngx_str_t                   origin;    /* "https://chat.example" */
    ngx_str_t                   domain;    /* "chat.example" */
    unsigned                    secure:1;  /* https; else http on loopback */
} ngx_http_sp_wallet_domain_t;


typedef struct {
    u_char                      bytes[32];
} ngx_http_sp_wallet_secret_t;


typedef enum {
    NGX_HTTP_SP_WALLET_ACCEPTED = 0,
    NGX_HTTP_SP_WALLET_REFUSED,
    NGX_HTTP_SP_WALLET_UNAVAILABLE,
    NGX_HTTP_SP_WALLET_GUESTS,
    NGX_HTTP_SP_WALLET_ROTATED,
    NGX_HTTP_SP_WALLET_REPEATED,
    NGX_HTTP_SP_WALLET_REUSED,
    NGX_HTTP_SP_WALLET_ENDED,
    NGX_HTTP_SP_WALLET_METRICS
} ngx_http_sp_wallet_metric_e;


typedef struct {
    /* token_issuer; issuer.len 0: not configured */
    ngx_str_t                   issuer;
    ngx_str_t                   audience;
    time_t                      access;
    time_t                      refresh;
    time_t                      session;
    ngx_sp_key_file_t          *key;
    const sp_jwk_t             *signer;
    ngx_array_t                 secrets;   /* of ..._secret_t; the signer's
                                              is the first */
    ngx_http_sp_wallet_domain_t domain;    /* of the issuer's URL */

    ngx_str_t                   jwks;
    ngx_str_t                   etag;

    secp256k1_context          *secp;
    ngx_sp_metric_t            *metrics[NGX_HTTP_SP_WALLET_METRICS];
} ngx_http_sp_wallet_main_conf_t;


typedef struct {
    unsigned                    enabled:1;  /* wallet_auth */
    unsigned                    jwks:1;     /* wallet_jwks */
    ngx_sp_redis_t             *redis;
    ngx_sp_pg_t                *pg;
    ngx_array_t                *domains;   /* of ..._domain_t */
    ngx_array_t                *chains;    /* of uint64_t */
    ngx_str_t                   statement;
    ngx_flag_t                  guest;
} ngx_http_sp_wallet_loc_conf_t;


typedef enum {
    NGX_HTTP_SP_WALLET_START = 0,
    NGX_HTTP_SP_WALLET_REDIS,              /* a nonce is stored or taken */
    NGX_HTTP_SP_WALLET_PG                  /* user and session */
} ngx_http_sp_wallet_state_e;


typedef enum {
    NGX_HTTP_SP_WALLET_NOWHERE = 0,
    NGX_HTTP_SP_WALLET_COOKIE,
    NGX_HTTP_SP_WALLET_IN_BODY
} ngx_http_sp_wallet_carrier_e;


struct ngx_http_sp_wallet_ctx_s {
    ngx_http_request_t             *request;
    ngx_http_sp_wallet_pt           handler;
    ngx_http_sp_wallet_state_e      state;
    const char                     *error;      /* constant: $wallet_error */

    ngx_sp_redis_op_t               redis;
    ngx_str_t                       reply;      /* data NULL: nil */

    ngx_sp_pg_op_t                  pg;
    ngx_sp_pg_query_t               query;
    ngx_str_t                       params[4];
    ngx_uint_t                      rows;
    ngx_str_t                       row[7];

    /* what was asked */
    ngx_http_sp_wallet_domain_t    *domain;
    ngx_str_t                       nonce;
    ngx_str_t                       cookie;     /* of the browser */
    ngx_http_sp_wallet_carrier_e    carrier;    /* of the refresh token */
    uint8_t                         address[SP_ETH_ADDRESS_LEN];
    uint64_t                        chain_id;
    u_char                          session[NGX_HTTP_SP_WALLET_UUID];
    uint32_t                        generation;
    unsigned                        secure:1;
};


typedef struct {
    ngx_str_t                       sub;
    ngx_str_t                       tier;
    ngx_str_t                       role;
    ngx_str_t                       wallet;
    ngx_str_t                       session;
    uint32_t                        generation;
    time_t                          idle;       /* seconds */
} ngx_http_sp_wallet_grant_t;


extern ngx_module_t  ngx_http_sp_wallet_module;


/* configuration */

char *ngx_http_sp_wallet_issuer(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sp_wallet_domain(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sp_wallet_chain_ids(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sp_wallet_statement(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sp_wallet_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_sp_wallet_jwks(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_array_t *ngx_http_sp_wallet_default_chains(ngx_conf_t *cf);


/* content handlers */

ngx_int_t ngx_http_sp_wallet_run(ngx_http_request_t *r);
ngx_int_t ngx_http_sp_wallet_run_jwks(ngx_http_request_t *r);

ngx_int_t ngx_http_sp_wallet_nonce(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);
ngx_int_t ngx_http_sp_wallet_verify(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);
ngx_int_t ngx_http_sp_wallet_guest(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);
ngx_int_t ngx_http_sp_wallet_refresh(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);
ngx_int_t ngx_http_sp_wallet_logout(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);
ngx_int_t ngx_http_sp_wallet_session(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx);

void ngx_http_sp_wallet_set_state(ngx_http_sp_wallet_ctx_t *ctx,
    ngx_http_sp_wallet_state_e state);

/* key of a nonce, and what is stored there: browser and domain */
ngx_int_t ngx_http_sp_wallet_nonce_key(ngx_http_sp_wallet_ctx_t *ctx,
    ngx_str_t *key);
ngx_int_t ngx_http_sp_wallet_nonce_value(ngx_http_sp_wallet_ctx_t *ctx,
    ngx_str_t *value);


/* ops: both answer through ctx and wake the request */

ngx_int_t ngx_http_sp_wallet_redis(ngx_http_sp_wallet_ctx_t *ctx,
    ngx_uint_t argc, const ngx_str_t *argv);

/* a parameter of the next query, of at most NGX_HTTP_SP_WALLET_PARAM bytes */
ngx_int_t ngx_http_sp_wallet_param(ngx_http_sp_wallet_ctx_t *ctx,
    ngx_uint_t n, const char *fmt, ...);
ngx_int_t ngx_http_sp_wallet_query(ngx_http_sp_wallet_ctx_t *ctx,
    const ngx_sp_pg_statement_t *statement);

/* 503 with Retry-After, and why in the log */
ngx_int_t ngx_http_sp_wallet_unavailable(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx, const char *what, ngx_sp_op_t *op);


/* HTTP */

ngx_str_t ngx_http_sp_wallet_header(ngx_http_request_t *r, const char *name);
ngx_str_t ngx_http_sp_wallet_get_cookie(ngx_http_request_t *r,
    const char *name, ngx_uint_t secure);
ngx_int_t ngx_http_sp_wallet_set_cookie(ngx_http_request_t *r,
    const char *name, const ngx_str_t *value, time_t age, ngx_uint_t secure);

/* 403 for a page of another origin; strict: also for an unknown one */
ngx_int_t ngx_http_sp_wallet_origin(ngx_http_request_t *r,
    ngx_uint_t strict);

/* the domain whose origin the request names; without one the first */
ngx_http_sp_wallet_domain_t *ngx_http_sp_wallet_origin_domain(
    ngx_http_request_t *r);

/* where "refresh" of a sign-in wants the refresh token */
ngx_http_sp_wallet_carrier_e ngx_http_sp_wallet_carrier(const json_t *body);
ngx_http_sp_wallet_domain_t *ngx_http_sp_wallet_find_domain(
    ngx_http_sp_wallet_loc_conf_t *wlcf, const u_char *name, size_t len);
void ngx_http_sp_wallet_count(ngx_http_request_t *r,
    ngx_http_sp_wallet_metric_e metric);


/* tokens */

/* the answer of verify and refresh: 200 with a new pair */
ngx_int_t ngx_http_sp_wallet_grant(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx, const ngx_http_sp_wallet_grant_t *grant);

/* NGX_OK: session and generation of the ctx are those of the token */
ngx_int_t ngx_http_sp_wallet_read_refresh(ngx_http_request_t *r,
    ngx_http_sp_wallet_ctx_t *ctx, const ngx_str_t *token);

/* the access token in Authorization; claims is the caller's reference */
sp_jwt_status_e ngx_http_sp_wallet_bearer(ngx_http_request_t *r,
    json_t **claims);

/* Out: n characters of 0-9A-Za-z, each with the same probability */
ngx_int_t ngx_http_sp_wallet_random(u_char *text, size_t n);


#endif /* _NGX_HTTP_SP_WALLET_H_INCLUDED_ */
