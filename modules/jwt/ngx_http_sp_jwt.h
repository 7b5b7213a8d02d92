
/*
 * Copyright (C) Sallyport authors
 */

#ifndef _NGX_HTTP_SP_JWT_H_INCLUDED_
#define _NGX_HTTP_SP_JWT_H_INCLUDED_


#include "ngx_http_sp_core.h"

#include "sp_jwt.h"
#include "sp_siphash.h"


/* how far in the future iat may be, over the leeway: clocks of issuers */
#define NGX_HTTP_SP_JWT_SKEW  60


typedef enum {
    NGX_HTTP_SP_JWT_OFF = 0,
    NGX_HTTP_SP_JWT_OPTIONAL,      /* no token: nobody; a bad one: 401 */
    NGX_HTTP_SP_JWT_REQUIRED
} ngx_http_sp_jwt_mode_e;


/* claims that are kept decoded, in this order in an entry */

typedef enum {
    NGX_HTTP_SP_JWT_SUB = 0,
    NGX_HTTP_SP_JWT_TIER,
    NGX_HTTP_SP_JWT_ROLE,
    NGX_HTTP_SP_JWT_WALLET,
    NGX_HTTP_SP_JWT_SID,
    NGX_HTTP_SP_JWT_JTI,
    NGX_HTTP_SP_JWT_SCOPE,         /* words */
    NGX_HTTP_SP_JWT_HEADER,        /* JSON text */
    NGX_HTTP_SP_JWT_CLAIMS,        /* JSON text */
    NGX_HTTP_SP_JWT_PARTS
} ngx_http_sp_jwt_part_e;


/*
 * A verified token: one piece of memory without pointers, so that the cache
 * copies it as it is.
 */
typedef struct {
    int64_t                    expires;
    int64_t                    not_before;
    int64_t                    issued_at;
    uint16_t                   len[NGX_HTTP_SP_JWT_PARTS];
    uint16_t                   size;       /* of data */
    u_char                     data[1];    /* the parts, one by one */
} ngx_http_sp_jwt_entry_t;


typedef struct {
    ngx_array_t                values;     /* of ..._complex_value_t * */
    ngx_uint_t                 status;
} ngx_http_sp_jwt_require_t;


typedef struct ngx_http_sp_jwt_cache_s  ngx_http_sp_jwt_cache_t;


typedef struct {
    size_t                     cache_size;     /* 0: off */
    ngx_shm_zone_t            *zone;
    ngx_array_t                files;          /* of ngx_sp_key_file_t * */
    ngx_sp_metric_t           *accepted;
    ngx_sp_metric_t           *refused;
    ngx_sp_metric_t           *missing;
    ngx_sp_metric_t           *hits;
    ngx_sp_metric_t           *misses;
    unsigned                   used:1;         /* some auth_jwt is on */
} ngx_http_sp_jwt_main_conf_t;


typedef struct {
    ngx_uint_t                 mode;
    ngx_http_complex_value_t  *realm;
    ngx_http_complex_value_t  *token;          /* NULL: Authorization */
    ngx_array_t               *keys;           /* of ngx_sp_key_file_t * */
    sp_jwks_t                **sets;           /* the same, for sp_jwt */
    ngx_array_t               *require;        /* of ..._require_t */
    time_t                     leeway;
    ngx_str_t                  issuer;
    ngx_str_t                  audience;

    /* what a cached verdict depends on besides the token */
    u_char                     policy[SP_SIPHASH_LEN];

    ngx_str_t                  file;           /* of auth_jwt, for errors */
    ngx_uint_t                 line;
} ngx_http_sp_jwt_loc_conf_t;


typedef struct {
    ngx_http_sp_jwt_entry_t   *entry;          /* NULL: not verified */
    const char                *error;          /* constant; NULL: none */
    json_t                    *claims;         /* parsed when first asked */
    json_t                    *header;
} ngx_http_sp_jwt_ctx_t;


extern ngx_module_t  ngx_http_sp_jwt_module;


/* step */

ngx_int_t ngx_http_sp_jwt_step(ngx_http_request_t *r);


/*
 * The token of the request.  NGX_OK, NGX_DECLINED: there is none, NGX_ERROR:
 * there are two, NGX_ABORT: out of memory.
 */
ngx_int_t ngx_http_sp_jwt_find(ngx_http_request_t *r,
    ngx_http_sp_jwt_loc_conf_t *jlcf, ngx_str_t *token);

/*
 * Verifies by keys and rules; *entry is memory of the request.  SP_JWT_OK or
 * the reason.
 */
sp_jwt_status_e ngx_http_sp_jwt_check(ngx_http_request_t *r,
    ngx_http_sp_jwt_loc_conf_t *jlcf, const ngx_str_t *token,
    const sp_jwt_rules_t *rules, ngx_http_sp_jwt_entry_t **entry);

/*
 * No control characters: whatever a claim says, it cannot end a header or a
 * line of a log that it is put in.
 */
ngx_uint_t ngx_http_sp_jwt_is_line(const ngx_str_t *text);

ngx_str_t ngx_http_sp_jwt_part(ngx_http_sp_jwt_entry_t *entry,
    ngx_http_sp_jwt_part_e part);


/*
 * Tokens that were verified before, in shared memory of fixed size.  Only
 * successes are kept.  The key is a keyed hash of policy and token; the times
 * are to be judged again after every hit.
 */

ngx_int_t ngx_http_sp_jwt_cache_init(ngx_shm_zone_t *zone, void *data);
void ngx_http_sp_jwt_cache_key(ngx_http_sp_jwt_cache_t *cache, u_char *key,
    const u_char *policy, const ngx_str_t *token);

/* *entry is memory of the pool: NGX_OK, NGX_DECLINED, NGX_ERROR */
ngx_int_t ngx_http_sp_jwt_cache_get(ngx_http_sp_jwt_cache_t *cache,
    const u_char *key, ngx_pool_t *pool, ngx_http_sp_jwt_entry_t **entry);
void ngx_http_sp_jwt_cache_put(ngx_http_sp_jwt_cache_t *cache,
    const u_char *key, const ngx_http_sp_jwt_entry_t *entry);


/* variables */

ngx_int_t ngx_http_sp_jwt_add_variables(ngx_conf_t *cf);


#endif /* _NGX_HTTP_SP_JWT_H_INCLUDED_ */
