
/*
 * Copyright (C) Sallyport authors
 *
 * Receipts: what a request has used, signed, for who asks for one.  The text
 * that is signed is one line of JSON, its members in a fixed order; signed as
 * a message of EIP-191, so that any wallet's library can verify it.
 */


#include "ngx_http_sp_llm.h"
#include "sp_hex.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>


#define NGX_HTTP_SP_LLM_KEY_FILE  256
#define NGX_HTTP_SP_LLM_HASH      (2 * SP_KECCAK256_LEN)


static ngx_int_t ngx_http_sp_llm_receipt_key(ngx_conf_t *cf, ngx_str_t *path,
    ngx_http_sp_llm_signer_t *signer);
static ngx_int_t ngx_http_sp_llm_receipt_context(ngx_conf_t *cf,
    ngx_http_sp_llm_signer_t *signer);
static void ngx_http_sp_llm_receipt_cleanup(void *data);
static ngx_int_t ngx_http_sp_llm_receipt_make(ngx_http_request_t *r,
    ngx_http_sp_llm_signer_t *signer, ngx_http_sp_turn_t *turn);
static void ngx_http_sp_llm_receipt_text(ngx_http_request_t *r,
    const ngx_http_sp_turn_t *turn, const ngx_str_t *id, sp_out_t *out);
static void ngx_http_sp_llm_receipt_tokens(sp_out_t *out, const char *name,
    int64_t n);
static void ngx_http_sp_llm_receipt_cost(sp_out_t *out,
    const ngx_http_sp_turn_t *turn);
static ngx_int_t ngx_http_sp_llm_receipt_say(ngx_http_sp_llm_ctx_t *ctx);


/* llm_receipt off | KEY_FILE */

char *
ngx_http_sp_llm_receipt_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_llm_loc_conf_t *llcf = conf;

    ngx_str_t                 *value;
    ngx_http_sp_llm_signer_t  *signer;

    if (llcf->signer != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        llcf->signer = NULL;
        return NGX_CONF_OK;
    }

    signer = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_llm_signer_t));

    if (signer == NULL
        || ngx_http_sp_llm_receipt_context(cf, signer) != NGX_OK
        || ngx_http_sp_llm_receipt_key(cf, &value[1], signer) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    llcf->signer = signer;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_sp_llm_receipt_context(ngx_conf_t *cf,
    ngx_http_sp_llm_signer_t *signer)
{
    uint8_t              seed[32];
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    signer->secp = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    if (signer->secp == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_sp_llm_receipt_cleanup;
    cln->data = signer;

    /* blinds signing against side channels; what is signed is the same */

    if (RAND_bytes(seed, sizeof(seed)) != 1
        || secp256k1_context_randomize(signer->secp, seed) != 1)
    {
        return NGX_ERROR;
    }

    OPENSSL_cleanse(seed, sizeof(seed));

    return NGX_OK;
}


static void
ngx_http_sp_llm_receipt_cleanup(void *data)
{
    ngx_http_sp_llm_signer_t *signer = data;

    OPENSSL_cleanse(signer->key, sizeof(signer->key));
    secp256k1_context_destroy(signer->secp);
}


static ngx_int_t
ngx_http_sp_llm_receipt_key(ngx_conf_t *cf, ngx_str_t *path,
    ngx_http_sp_llm_signer_t *signer)
{
    int      rc;
    size_t   len;
    u_char  *p, text[NGX_HTTP_SP_LLM_KEY_FILE];
    uint8_t  address[SP_ETH_ADDRESS_LEN];

    if (ngx_sp_secret_read(cf, path, text, sizeof(text), &len) != NGX_OK) {
        return NGX_ERROR;
    }

    p = text;

    if (len >= 2 && p[0] == '0' && p[1] == 'x') {
        p += 2;
        len -= 2;
    }

    rc = sp_hex_decode(signer->key, sizeof(signer->key), &len, (char *) p,
                       len);
    OPENSSL_cleanse(text, sizeof(text));

    if (rc != SP_OK || len != sizeof(signer->key)
        || sp_eth_key_address(signer->secp, address, signer->key) != SP_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of \"llm_receipt\" must hold a private "
                           "key of secp256k1 as 64 hexadecimal digits", path);
        return NGX_ERROR;
    }

    sp_eth_address_encode((char *) signer->address, address);

    return NGX_OK;
}


/* the turn has ended, and nothing of its account changes any more */

ngx_int_t
ngx_http_sp_llm_receipt(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_http_request_t        *r;
    ngx_http_sp_llm_signer_t  *signer;

    r = ctx->request;
    signer = ctx->check.conf->signer;

    ngx_str_null(&ctx->turn->receipt);

    if (!ngx_http_sp_llm_receipt_wanted(ctx)) {
        return NGX_OK;
    }

    if (ngx_http_sp_llm_receipt_make(r, signer, ctx->turn) != NGX_OK) {
        return NGX_ERROR;
    }

    /* in front of the last event: who leaves asks for it later */

    return (ctx->check.stream && r->header_sent
            && ctx->turn->error != NGX_HTTP_SP_CALLER_DISCONNECTED)
           ? ngx_http_sp_llm_receipt_say(ctx) : NGX_OK;
}


ngx_uint_t
ngx_http_sp_llm_receipt_wanted(const ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_table_elt_t     *h;
    ngx_http_request_t  *r;

    static ngx_str_t  name = ngx_string("X-Receipt");

    if (ctx->check.conf->signer == NULL) {
        return 0;
    }

    r = ctx->request;

    h = ngx_http_sp_next_header(&r->headers_in.headers, &name, NULL);

    return h != NULL && h->value.len == 1 && h->value.data[0] == '1';
}


static ngx_int_t
ngx_http_sp_llm_receipt_make(ngx_http_request_t *r,
    ngx_http_sp_llm_signer_t *signer, ngx_http_sp_turn_t *turn)
{
    char                hex[2 * SP_ETH_SIGNATURE_LEN];
    uint8_t             bytes[SP_ETH_SIGNATURE_LEN];
    uint8_t             hash[SP_KECCAK256_LEN];
    sp_out_t            text, out;
    ngx_str_t           id;
    ngx_uint_t          i;
    sp_eth_signature_t  signature;

    if (ngx_http_sp_request_id(r, &id) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&text, sizeof(sp_out_t));
    ngx_http_sp_llm_receipt_text(r, turn, &id, &text);

    text.dst = ngx_pnalloc(r->pool, text.len);
    if (text.dst == NULL) {
        return NGX_ERROR;
    }

    text.size = text.len;
    text.len = 0;

    ngx_http_sp_llm_receipt_text(r, turn, &id, &text);

    sp_eth_personal_hash(hash, text.dst, text.len);

    if (sp_eth_sign(signer->secp, &signature, hash, signer->key) != SP_OK) {
        return NGX_ERROR;
    }

    sp_eth_signature_encode(bytes, &signature);
    sp_hex_encode(hex, bytes, sizeof(bytes));

    ngx_memzero(&out, sizeof(sp_out_t));

    for (i = 0; i < 2; i++) {

        if (i == 1) {
            out.dst = ngx_pnalloc(r->pool, out.len);
            if (out.dst == NULL) {
                return NGX_ERROR;
            }

            out.size = out.len;
            out.len = 0;
        }

        sp_out_str(&out, "{\"receipt\":\"");
        sp_out_text(&out, text.dst, text.len);
        sp_out_str(&out, "\",\"signature\":\"0x");
        sp_out_put(&out, hex, sizeof(hex));
        sp_out_str(&out, "\",\"signer\":\"");
        sp_out_put(&out, (char *) signer->address, SP_ETH_ADDRESS_TEXT_LEN);
        sp_out_str(&out, "\"}");
    }

    turn->receipt.data = (u_char *) out.dst;
    turn->receipt.len = out.len;

    return NGX_OK;
}


/* docs/ledger.md: whoever changes a byte of it changes the version */

static void
ngx_http_sp_llm_receipt_text(ngx_http_request_t *r,
    const ngx_http_sp_turn_t *turn, const ngx_str_t *id, sp_out_t *out)
{
    char                           hex[NGX_HTTP_SP_LLM_HASH];
    uint8_t                        hash[SP_KECCAK256_LEN];
    ngx_str_t                      wallet;
    const ngx_http_sp_identity_t  *identity;

    ngx_str_null(&wallet);
    identity = ngx_http_sp_identity(r);

    if (identity != NULL) {
        wallet = identity->wallet;
    }

    sp_keccak256(hash, turn->assistant_text.data, turn->assistant_text.len);
    sp_hex_encode(hex, hash, sizeof(hash));

    sp_out_str(out, "{\"version\":1,\"request_id\":\"");
    sp_out_text(out, (char *) id->data, id->len);
    sp_out_str(out, "\",\"time\":");
    sp_out_integer(out, (int64_t) ngx_time());
    sp_out_str(out, ",\"subject\":\"");
    sp_out_text(out, (char *) turn->user_id.data, turn->user_id.len);
    sp_out_str(out, "\",\"wallet\":\"");
    sp_out_text(out, (char *) wallet.data, wallet.len);
    sp_out_str(out, "\",\"model\":\"");
    sp_out_text(out, (char *) turn->alias.data, turn->alias.len);
    sp_out_str(out, "\",\"outcome\":\"");
    sp_out_str(out, ngx_http_sp_turn_outcome(turn->finish));
    sp_out_str(out, "\"");

    ngx_http_sp_llm_receipt_tokens(out, "prompt_tokens",
                                   turn->prompt_tokens);
    ngx_http_sp_llm_receipt_tokens(out, "completion_tokens",
                                   turn->completion_tokens);
    ngx_http_sp_llm_receipt_tokens(out, "cached_tokens",
                                   turn->cached_tokens);
    ngx_http_sp_llm_receipt_tokens(out, "cache_write_tokens",
                                   turn->cache_write_tokens);
    ngx_http_sp_llm_receipt_tokens(out, "reasoning_tokens",
                                   turn->reasoning_tokens);
    ngx_http_sp_llm_receipt_tokens(out, "estimated_prompt_tokens",
                                   turn->estimated_prompt_tokens);
    ngx_http_sp_llm_receipt_tokens(out, "estimated_completion_tokens",
                                   turn->estimated_completion_tokens);
    ngx_http_sp_llm_receipt_cost(out, turn);

    sp_out_str(out, ",\"content_bytes\":");
    sp_out_integer(out, (int64_t) turn->assistant_text.len);
    sp_out_str(out, ",\"content_hash\":\"0x");
    sp_out_put(out, hex, sizeof(hex));
    sp_out_str(out, "\"}");
}


static void
ngx_http_sp_llm_receipt_tokens(sp_out_t *out, const char *name, int64_t n)
{
    sp_out_str(out, ",\"");
    sp_out_str(out, name);
    sp_out_str(out, "\":");

    if (n >= 0) {
        sp_out_integer(out, n);

    } else {
        sp_out_str(out, "null");
    }
}


/* a string: a reader would make a double of a number */

static void
ngx_http_sp_llm_receipt_cost(sp_out_t *out, const ngx_http_sp_turn_t *turn)
{
    u_char  *last, text[sizeof("\"\"") + NGX_INT64_LEN + 10];

    if (turn->cost < 0) {
        sp_out_str(out, ",\"cost\":null,\"currency\":null");
        return;
    }

    last = ngx_sprintf(text, "\"%L.%09L\"", turn->cost / SP_PRICE_UNIT,
                       turn->cost % SP_PRICE_UNIT);

    sp_out_str(out, ",\"cost\":");
    sp_out_put(out, (char *) text, (size_t) (last - text));
    sp_out_str(out, ",\"currency\":\"");
    sp_out_put(out, (char *) turn->currency.data, turn->currency.len);
    sp_out_str(out, "\"");
}


/*
 * A comment, which every reader of events leaves out.  No blank line behind
 * it: some would take it for the end of an event.
 */

static ngx_int_t
ngx_http_sp_llm_receipt_say(ngx_http_sp_llm_ctx_t *ctx)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (ctx->check.dialect->lines) {
        return NGX_OK;
    }

    cl = ngx_http_sp_llm_get_buf(ctx, ctx->turn->receipt.len
                                      + sizeof(": receipt \n") - 1);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b = cl->buf;
    b->pos = b->start;
    b->last = ngx_sprintf(b->start, ": receipt %V\n", &ctx->turn->receipt);

    ngx_http_sp_llm_append(ctx, cl);

    return NGX_OK;
}
