
/*
 * Copyright (C) Sallyport authors
 *
 * POST: an authorization is verified in memory, then stored in one commit,
 * then answered with 202.  What is refused leaves no row.
 */


#include "ngx_http_sp_mint.h"

#include <openssl/sha.h>


#define NGX_HTTP_SP_MINT_KEY_MAX       255
#define NGX_HTTP_SP_MINT_DEADLINE_MAX  9007199254740991LL
#define NGX_HTTP_SP_MINT_RETRY_AFTER   2


typedef enum {
    NGX_HTTP_SP_MINT_BODY = 0,
    NGX_HTTP_SP_MINT_STORING,
    NGX_HTTP_SP_MINT_STORED
} ngx_http_sp_mint_intake_e;


typedef struct {
    ngx_http_sp_mint_intake_e  state;
    ngx_pool_t                *pool;
    ngx_str_t                  key;          /* data NULL: none */
    ngx_http_sp_mint_auth_t    auth;

    ngx_sp_pg_op_t             pg;
    ngx_sp_pg_query_t          query;
    ngx_str_t                  outcome;
    ngx_str_t                  job;
    unsigned                   unknown_user:1;
} ngx_http_sp_mint_intake_t;


static void ngx_http_sp_mint_intake_state(ngx_http_sp_mint_intake_t *ctx,
    ngx_http_sp_mint_intake_e state);
static ngx_int_t ngx_http_sp_mint_refuse(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint, ngx_http_sp_mint_intake_t *ctx);
static ngx_int_t ngx_http_sp_mint_idempotency_key(ngx_http_request_t *r,
    ngx_str_t *key);
static ngx_int_t ngx_http_sp_mint_read(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint, json_t *body,
    ngx_http_sp_mint_auth_t *auth, sp_eth_signature_t *signature);
static ngx_int_t ngx_http_sp_mint_read_place(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint, json_t *body);
static ngx_int_t ngx_http_sp_mint_unknown(ngx_http_request_t *r,
    json_t *body);
static ngx_int_t ngx_http_sp_mint_field(ngx_http_request_t *r,
    const char *name, const char *rule);
static ngx_int_t ngx_http_sp_mint_read_uri(json_t *body,
    ngx_http_sp_mint_auth_t *auth);
static ngx_int_t ngx_http_sp_mint_verify(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint, ngx_http_sp_mint_auth_t *auth,
    sp_eth_signature_t *signature);
static ngx_int_t ngx_http_sp_mint_store(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint, ngx_http_sp_mint_intake_t *ctx);
static void ngx_http_sp_mint_stored(ngx_sp_op_t *op);
static ngx_int_t ngx_http_sp_mint_answer(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint, ngx_http_sp_mint_intake_t *ctx);
static ngx_int_t ngx_http_sp_mint_accepted(ngx_http_request_t *r,
    ngx_http_sp_mint_intake_t *ctx);


static ngx_sp_pg_statement_t  ngx_http_sp_mint_accept_sql = {
    ngx_string("select outcome, job from mint.accept($1, $2, $3, $4, $5, $6, "
               "$7, $8, $9, $10, $11, $12, $13, $14)"), 14
};


#if (NGX_DEBUG)

static const char *ngx_http_sp_mint_intake_names[] = {
    "body", "storing", "stored"
};

#endif


static const char *ngx_http_sp_mint_fields[] = {
    "chain_id", "contract", "to", "uri", "deadline", "salt", "signature",
    NULL
};


ngx_int_t
ngx_http_sp_mint_intake(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint)
{
    ngx_int_t                   rc;
    ngx_http_sp_mint_ctx_t     *mctx;
    ngx_http_sp_mint_intake_t  *ctx;

    mctx = ngx_http_sp_ctx(r, &ngx_http_sp_mint_module,
                           sizeof(ngx_http_sp_mint_ctx_t));
    if (mctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (mctx->intake == NULL) {
        mctx->intake = ngx_pcalloc(r->pool,
                                   sizeof(ngx_http_sp_mint_intake_t));
        if (mctx->intake == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ctx = mctx->intake;

    switch (ctx->state) {

    case NGX_HTTP_SP_MINT_BODY:
        rc = ngx_http_sp_mint_refuse(r, mint, ctx);

        if (rc == NGX_OK) {
            return ngx_http_sp_mint_store(r, mint, ctx);
        }

        if (rc != NGX_AGAIN) {
            ngx_sp_metric_add(mint->refused, 1);
        }

        return rc;

    case NGX_HTTP_SP_MINT_STORING:
        return NGX_AGAIN;

    case NGX_HTTP_SP_MINT_STORED:
        break;
    }

    return ngx_http_sp_mint_answer(r, mint, ctx);
}


void
ngx_http_sp_mint_digest(const ngx_http_sp_mint_t *mint,
    ngx_http_sp_mint_auth_t *auth)
{
    uint8_t           hash[SP_KECCAK256_LEN];
    sp_eip712_mint_t  message;

    ngx_memzero(&message, sizeof(sp_eip712_mint_t));

    ngx_memcpy(message.to, auth->wallet, SP_ETH_ADDRESS_LEN);
    message.uri = (char *) auth->uri.data;
    message.uri_len = auth->uri.len;
    sp_u256_set(&message.deadline, auth->deadline);
    ngx_memcpy(message.salt, auth->salt, sizeof(message.salt));

    sp_eip712_mint(hash, &message);
    sp_eip712_digest(auth->digest, mint->separator, hash);
}


static void
ngx_http_sp_mint_intake_state(ngx_http_sp_mint_intake_t *ctx,
    ngx_http_sp_mint_intake_e state)
{
    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ctx->pg.op.log, 0,
                   "mint: intake %s -> %s",
                   ngx_http_sp_mint_intake_names[ctx->state],
                   ngx_http_sp_mint_intake_names[state]);

    ctx->state = state;
}


/* NGX_OK: verified; NGX_AGAIN: the body is being read; or the refusal */

static ngx_int_t
ngx_http_sp_mint_refuse(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint, ngx_http_sp_mint_intake_t *ctx)
{
    json_t                        *body;
    ngx_int_t                      rc;
    sp_eth_signature_t             signature;
    const ngx_http_sp_identity_t  *identity;

    identity = ngx_http_sp_identity(r);

    if (identity == NULL) {
        return ngx_http_sp_error(r, NGX_HTTP_UNAUTHORIZED,
                                 "authentication_required",
                                 "sign in with a wallet to mint");
    }

    if (identity->wallet.len == 0) {
        return ngx_http_sp_error(r, NGX_HTTP_FORBIDDEN, "mint_wallet_required",
                                 "this session has no wallet; sign in with "
                                 "one to mint");
    }

    rc = ngx_http_sp_json_body(r, &body);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_sp_mint_idempotency_key(r, &ctx->key);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_sp_mint_read(r, mint, body, &ctx->auth, &signature);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_sp_mint_verify(r, mint, &ctx->auth, &signature);
}


/* visible ASCII; the draft's quotes are part of the key */

static ngx_int_t
ngx_http_sp_mint_idempotency_key(ngx_http_request_t *r, ngx_str_t *key)
{
    size_t            k;
    ngx_list_t       *headers;
    ngx_uint_t        found;
    ngx_table_elt_t  *h;

    static const ngx_str_t  name = ngx_string("idempotency-key");

    ngx_str_null(key);

    found = 0;
    headers = &r->headers_in.headers;

    for (h = ngx_http_sp_next_header(headers, &name, NULL);
         h != NULL;
         h = ngx_http_sp_next_header(headers, &name, h))
    {
        *key = h->value;
        found++;
    }

    if (found == 0) {
        return NGX_OK;
    }

    for (k = 0; k < key->len; k++) {
        if (key->data[k] <= 0x20 || key->data[k] >= 0x7f) {
            break;
        }
    }

    if (found > 1 || key->len == 0 || key->len > NGX_HTTP_SP_MINT_KEY_MAX
        || k != key->len)
    {
        return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST,
                                 "idempotency_key_invalid",
                                 "send one Idempotency-Key of 1 to %d visible "
                                 "ASCII characters", NGX_HTTP_SP_MINT_KEY_MAX);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_mint_read(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint, json_t *body,
    ngx_http_sp_mint_auth_t *auth, sp_eth_signature_t *signature)
{
    size_t       len;
    json_t      *deadline;
    uint8_t      bytes[SP_ETH_SIGNATURE_LEN];
    ngx_int_t    rc;
    const char  *text;

    if (!json_is_object(body)) {
        return ngx_http_sp_error(r, NGX_HTTP_BAD_REQUEST, "invalid_body",
                                 "the body must be a JSON object");
    }

    rc = ngx_http_sp_mint_unknown(r, body);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_sp_mint_read_place(r, mint, body);
    if (rc != NGX_OK) {
        return rc;
    }

    text = sp_json_string(body, "to", &len);

    if (text == NULL
        || sp_eth_address_parse_loose(auth->wallet, text, len) != SP_OK)
    {
        return ngx_http_sp_mint_field(r, "to", "must be an address");
    }

    if (ngx_http_sp_mint_read_uri(body, auth) != NGX_OK) {
        return ngx_http_sp_mint_field(r, "uri", "must be an ipfs://, ar:// or "
                                      "https:// URI of at most 2048 bytes");
    }

    deadline = json_object_get(body, "deadline");

    if (!json_is_integer(deadline)
        || json_integer_value(deadline) < 0
        || json_integer_value(deadline) > NGX_HTTP_SP_MINT_DEADLINE_MAX)
    {
        return ngx_http_sp_mint_field(r, "deadline", "must be an integer, "
                                      "seconds since 1970");
    }

    auth->deadline = (uint64_t) json_integer_value(deadline);

    text = sp_json_string(body, "salt", &len);

    if (text == NULL
        || sp_hex_decode_fixed(auth->salt, 32, text, len) != SP_OK)
    {
        return ngx_http_sp_mint_field(r, "salt", "must be \"0x\" and 64 "
                                      "hexadecimal digits");
    }

    text = sp_json_string(body, "signature", &len);

    if (text == NULL
        || sp_hex_decode_data(bytes, sizeof(bytes), &len, text, len) != SP_OK
        || sp_eth_signature_parse(signature, bytes, len) != SP_OK)
    {
        return ngx_http_sp_error(r, 422, "mint_bad_signature",
                                 "the signature is not one of 65 bytes with a "
                                 "low s");
    }

    sp_eth_signature_encode(auth->signature, signature);

    return NGX_OK;
}


/* the chain and the contract, which the location decides */

static ngx_int_t
ngx_http_sp_mint_read_place(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint, json_t *body)
{
    size_t       len;
    json_t      *id;
    uint8_t      contract[SP_ETH_ADDRESS_LEN];
    const char  *text;

    id = json_object_get(body, "chain_id");

    if (!json_is_integer(id)) {
        return ngx_http_sp_mint_field(r, "chain_id", "must be an integer");
    }

    if ((uint64_t) json_integer_value(id) != mint->chain->id) {
        return ngx_http_sp_error(r, 422, "mint_wrong_chain",
                                 "this endpoint mints on chain %uL",
                                 mint->chain->id);
    }

    text = sp_json_string(body, "contract", &len);

    if (text == NULL
        || sp_eth_address_parse_loose(contract, text, len) != SP_OK)
    {
        return ngx_http_sp_mint_field(r, "contract", "must be an address");
    }

    if (ngx_memcmp(contract, mint->contract, SP_ETH_ADDRESS_LEN) != 0) {
        return ngx_http_sp_error(r, 422, "mint_wrong_contract",
                                 "this endpoint mints with the contract %V",
                                 &mint->contract_text);
    }

    return NGX_OK;
}


/* a misspelled field would silently not count */

static ngx_int_t
ngx_http_sp_mint_unknown(ngx_http_request_t *r, json_t *body)
{
    json_t      *value;
    ngx_uint_t   i;
    const char  *key;

    json_object_foreach(body, key, value) {

        for (i = 0; ngx_http_sp_mint_fields[i] != NULL; i++) {
            if (ngx_strcmp(key, ngx_http_sp_mint_fields[i]) == 0) {
                break;
            }
        }

        if (ngx_http_sp_mint_fields[i] == NULL) {
            return ngx_http_sp_error(r, 422, "unknown_field",
                                     "the body has a field that is not known "
                                     "here; known are chain_id, contract, to, "
                                     "uri, deadline, salt and signature");
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_mint_field(ngx_http_request_t *r, const char *name,
    const char *rule)
{
    return ngx_http_sp_error(r, 422, "invalid_field", "\"%s\" %s", name,
                             rule);
}


static ngx_int_t
ngx_http_sp_mint_read_uri(json_t *body, ngx_http_sp_mint_auth_t *auth)
{
    size_t             i, len;
    const char        *text;
    const ngx_str_t   *scheme;

    static const ngx_str_t  schemes[] = {
        ngx_string("ipfs://"),
        ngx_string("ar://"),
        ngx_string("https://"),
        ngx_null_string
    };

    text = sp_json_string(body, "uri", &len);

    if (text == NULL || len > NGX_HTTP_SP_MINT_URI_MAX) {
        return NGX_ERROR;
    }

    for (scheme = schemes; scheme->len != 0; scheme++) {
        if (len > scheme->len
            && ngx_strncmp(text, scheme->data, scheme->len) == 0)
        {
            break;
        }
    }

    if (scheme->len == 0) {
        return NGX_ERROR;
    }

    for (i = 0; i < len; i++) {
        if ((u_char) text[i] <= 0x20 || text[i] == 0x7f) {
            return NGX_ERROR;
        }
    }

    auth->uri.data = (u_char *) text;
    auth->uri.len = len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_mint_verify(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint, ngx_http_sp_mint_auth_t *auth,
    sp_eth_signature_t *signature)
{
    uint8_t                        session[SP_ETH_ADDRESS_LEN];
    uint8_t                        signer[SP_ETH_ADDRESS_LEN];
    const ngx_http_sp_identity_t  *identity;
    ngx_http_sp_mint_main_conf_t  *mmcf;

    identity = ngx_http_sp_identity(r);

    if (sp_eth_address_parse_loose(session, (char *) identity->wallet.data,
                                   identity->wallet.len) != SP_OK
        || ngx_memcmp(session, auth->wallet, SP_ETH_ADDRESS_LEN) != 0)
    {
        return ngx_http_sp_error(r, NGX_HTTP_FORBIDDEN, "mint_wrong_wallet",
                                 "\"to\" must be the wallet of the session");
    }

    if (auth->deadline <= (uint64_t) ngx_time()) {
        return ngx_http_sp_error(r, 422, "mint_expired",
                                 "the deadline of the authorization has "
                                 "passed");
    }

    ngx_http_sp_mint_digest(mint, auth);

    mmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_mint_module);

    if (sp_eth_recover(mmcf->secp, signer, auth->digest, signature) != SP_OK
        || ngx_memcmp(signer, auth->wallet, SP_ETH_ADDRESS_LEN) != 0)
    {
        (void) ngx_http_sp_error(r, 422, "mint_bad_signature",
                                 "the signature is not that of \"to\" over "
                                 "this authorization");
        ngx_http_sp_error_hint(r, "compare domain and types with those that "
                                  "GET .../domain answers");
        return 422;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_mint_store(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint, ngx_http_sp_mint_intake_t *ctx)
{
    u_char     *p;
    uint8_t     hash[SHA256_DIGEST_LENGTH], text[128];
    ngx_str_t   params[14], wallet;
    ngx_uint_t  i;

    wallet.data = ngx_pnalloc(r->pool, SP_ETH_ADDRESS_TEXT_LEN);
    p = ngx_pnalloc(r->pool, 2 * NGX_INT64_LEN + 64);

    if (wallet.data == NULL || p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    wallet.len = SP_ETH_ADDRESS_TEXT_LEN;
    sp_eth_address_encode((char *) wallet.data, ctx->auth.wallet);

    params[0] = ngx_http_sp_identity(r)->sub;
    params[1] = mint->lane;
    params[2] = mint->chain->name;

    params[3].data = p;
    p = ngx_sprintf(p, "%uL", mint->chain->id);
    params[3].len = p - params[3].data;

    params[4] = mint->signer_text;
    params[5] = mint->contract_text;
    params[6] = wallet;
    params[7] = ctx->auth.uri;

    params[8].data = p;
    p = ngx_sprintf(p, "%uL", ctx->auth.deadline);
    params[8].len = p - params[8].data;

    params[9] = ngx_http_sp_mint_hex(r->pool, ctx->auth.salt, 32);
    params[10] = ngx_http_sp_mint_hex(r->pool, ctx->auth.signature,
                                      SP_ETH_SIGNATURE_LEN);
    params[11] = ngx_http_sp_mint_hex(r->pool, ctx->auth.digest, 32);
    params[12] = ctx->key;

    /* "the same request" is the same authorization, however it is written */

    ngx_memcpy(text, ctx->auth.digest, 32);
    ngx_memcpy(text + 32, ctx->auth.signature, SP_ETH_SIGNATURE_LEN);
    (void) SHA256(text, 32 + SP_ETH_SIGNATURE_LEN, hash);

    sp_hex_encode((char *) p, hash, sizeof(hash));
    params[13].data = p;
    params[13].len = 2 * sizeof(hash);

    for (i = 0; i < 14; i++) {
        if (params[i].data == NULL && i != 12) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ctx->pool = r->pool;
    ctx->query.statement = &ngx_http_sp_mint_accept_sql;
    ctx->query.params = params;
    ctx->pg.queries = &ctx->query;
    ctx->pg.nqueries = 1;
    ngx_str_set(&ctx->pg.role, "sallyport_gateway");
    ctx->pg.op.done = ngx_http_sp_mint_stored;
    ctx->pg.op.data = ctx;
    ctx->pg.op.log = r->connection->log;

    if (ngx_http_sp_op_attach(r, &ctx->pg.op) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_sp_mint_intake_state(ctx, NGX_HTTP_SP_MINT_STORING);
    ngx_sp_pg_submit(mint->pg, &ctx->pg);

    return NGX_AGAIN;
}


static void
ngx_http_sp_mint_stored(ngx_sp_op_t *op)
{
    ngx_str_t                   value;
    ngx_uint_t                  level;
    ngx_http_sp_mint_intake_t  *ctx;

    ctx = op->data;
    ngx_http_sp_mint_intake_state(ctx, NGX_HTTP_SP_MINT_STORED);

    if (op->result == NGX_SP_OP_REJECTED) {

        /* the subject is no UUID, or not one of a user of ours */

        ctx->unknown_user =
                   (ngx_strncmp(ctx->pg.sqlstate.data, "22P02", 5) == 0
                    || ngx_strncmp(ctx->pg.sqlstate.data, "23503", 5) == 0);

        level = ctx->unknown_user ? NGX_LOG_INFO : NGX_LOG_ERR;

        ngx_log_error(level, op->log, 0,
                      "mint: the database refused: %V \"%V\"",
                      &ctx->pg.sqlstate, &ctx->pg.message);
        return;
    }

    if (op->result != NGX_SP_OP_OK || PQntuples(ctx->query.result) != 1) {
        return;
    }

    value = ngx_sp_pg_value(ctx->query.result, 0, 1);

    if (value.data != NULL) {
        ctx->job.data = ngx_pstrdup(ctx->pool, &value);
        ctx->job.len = (ctx->job.data != NULL) ? value.len : 0;
    }

    value = ngx_sp_pg_value(ctx->query.result, 0, 0);

    if (value.data != NULL) {
        ctx->outcome.data = ngx_pstrdup(ctx->pool, &value);
        ctx->outcome.len = (ctx->outcome.data != NULL) ? value.len : 0;
    }
}


static ngx_int_t
ngx_http_sp_mint_answer(ngx_http_request_t *r,
    const ngx_http_sp_mint_t *mint, ngx_http_sp_mint_intake_t *ctx)
{
    if (ctx->unknown_user) {
        return ngx_http_sp_error(r, NGX_HTTP_FORBIDDEN, "mint_unknown_user",
                                 "the session belongs to no user here");
    }

    if (ctx->pg.op.result != NGX_SP_OP_OK) {
        return ngx_http_sp_mint_pg_error(r, &ctx->pg);
    }

    if (ctx->outcome.len == 7
        && ngx_strncmp(ctx->outcome.data, "created", 7) == 0)
    {
        ngx_sp_metric_add(mint->accepted, 1);
        return ngx_http_sp_mint_accepted(r, ctx);
    }

    if (ctx->outcome.len == 4
        && ngx_strncmp(ctx->outcome.data, "same", 4) == 0)
    {
        return ngx_http_sp_mint_accepted(r, ctx);
    }

    if (ctx->outcome.len == 12
        && ngx_strncmp(ctx->outcome.data, "key_conflict", 12) == 0)
    {
        ngx_sp_metric_add(mint->refused, 1);
        return ngx_http_sp_error(r, NGX_HTTP_CONFLICT,
                                 "idempotency_key_conflict",
                                 "this Idempotency-Key was used for another "
                                 "request; use a new one");
    }

    if (ctx->outcome.len == 4
        && ngx_strncmp(ctx->outcome.data, "used", 4) == 0)
    {
        ngx_sp_metric_add(mint->refused, 1);
        (void) ngx_http_sp_error(r, NGX_HTTP_CONFLICT,
                                 "mint_authorization_used",
                                 "this authorization was accepted before; "
                                 "sign one with a new salt to mint again");

        if (ctx->job.len != 0) {
            ngx_http_sp_error_details(r, &ctx->job);
        }

        return NGX_HTTP_CONFLICT;
    }

    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* 202 with the mint, and where to look after it */

static ngx_int_t
ngx_http_sp_mint_accepted(ngx_http_request_t *r,
    ngx_http_sp_mint_intake_t *ctx)
{
    size_t                     len;
    json_t                    *job;
    u_char                    *p;
    ngx_str_t                  location;
    const char                *id;
    ngx_http_core_loc_conf_t  *clcf;

    if (sp_json_parse((char *) ctx->job.data, ctx->job.len, NULL, &job, NULL)
        != SP_JSON_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    id = sp_json_string(job, "id", &len);
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    p = (id == NULL) ? NULL : ngx_pnalloc(r->pool, clcf->name.len + 1 + len);

    if (p == NULL) {
        json_decref(job);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    location.data = p;
    p = ngx_cpymem(p, clcf->name.data, clcf->name.len);

    if (clcf->name.len == 0 || clcf->name.data[clcf->name.len - 1] != '/') {
        *p++ = '/';
    }

    p = ngx_cpymem(p, id, len);
    location.len = p - location.data;

    json_decref(job);

    if (ngx_http_sp_add_header(r, "Location", &location) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_sp_send_json(r, NGX_HTTP_ACCEPTED, &ctx->job);
}
