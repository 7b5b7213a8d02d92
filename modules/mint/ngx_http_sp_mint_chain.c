
/*
 * Copyright (C) Sallyport authors
 *
 * The mint_chain block.
 */


#include "ngx_http_sp_mint.h"


#define NGX_HTTP_SP_MINT_NAME_MAX  64

/* JavaScript's largest exact integer: ids and nonces stay below */
#define NGX_HTTP_SP_MINT_ID_MAX    9007199254740991ULL


static ngx_http_sp_mint_chain_t *ngx_http_sp_mint_chain_create(
    ngx_conf_t *cf, ngx_http_sp_mint_main_conf_t *mmcf);
static char *ngx_http_sp_mint_set_id(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_mint_set_rpc(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_mint_set_contract(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_mint_set_domain(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_mint_set_signer(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_mint_set_wei(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_sp_mint_chain_done(ngx_conf_t *cf,
    ngx_http_sp_mint_main_conf_t *mmcf, ngx_http_sp_mint_chain_t *chain);
static void ngx_http_sp_mint_defaults(ngx_http_sp_mint_chain_t *chain);
static ngx_int_t ngx_http_sp_mint_identities(ngx_conf_t *cf,
    ngx_http_sp_mint_main_conf_t *mmcf, ngx_http_sp_mint_chain_t *chain);


static ngx_sp_conf_bounds_t  ngx_http_sp_mint_numbers = {
    1, 1000, "a number from 1 to 1000"
};

static ngx_sp_conf_bounds_t  ngx_http_sp_mint_times = {
    10, 3600000, "a time from 10ms to 1h"
};

static ngx_sp_conf_bounds_t  ngx_http_sp_mint_gas = {
    21000, 100000000, "a number from 21000 to 100000000"
};


static ngx_sp_conf_setting_t  ngx_http_sp_mint_settings[] = {

    { ngx_string("id"), NGX_CONF_TAKE1, ngx_http_sp_mint_set_id, 0, 0, NULL },

    { ngx_string("rpc"), NGX_CONF_TAKE1, ngx_http_sp_mint_set_rpc, 0,
      0, NULL },

    { ngx_string("contract"), NGX_CONF_TAKE1, ngx_http_sp_mint_set_contract, 0,
      0, NULL },

    { ngx_string("domain"), NGX_CONF_TAKE12, ngx_http_sp_mint_set_domain, 0,
      0, NULL },

    { ngx_string("signer"), NGX_CONF_TAKE12, ngx_http_sp_mint_set_signer, 0,
      0, NULL },

    { ngx_string("pg"), NGX_CONF_TAKE1, ngx_conf_set_str_slot, 0,
      offsetof(ngx_http_sp_mint_chain_t, pg_name), NULL },

    { ngx_string("confirmations"), NGX_CONF_TAKE1, ngx_sp_conf_number_slot, 0,
      offsetof(ngx_http_sp_mint_chain_t, confirmations),
      &ngx_http_sp_mint_numbers },

    { ngx_string("in_flight"), NGX_CONF_TAKE1, ngx_sp_conf_number_slot, 0,
      offsetof(ngx_http_sp_mint_chain_t, in_flight),
      &ngx_http_sp_mint_numbers },

    { ngx_string("poll"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_http_sp_mint_chain_t, poll), &ngx_http_sp_mint_times },

    { ngx_string("resend"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_http_sp_mint_chain_t, resend), &ngx_http_sp_mint_times },

    { ngx_string("rpc_timeout"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_http_sp_mint_chain_t, rpc_timeout),
      &ngx_http_sp_mint_times },

    { ngx_string("max_gas"), NGX_CONF_TAKE1, ngx_sp_conf_number_slot, 0,
      offsetof(ngx_http_sp_mint_chain_t, max_gas), &ngx_http_sp_mint_gas },

    { ngx_string("max_fee"), NGX_CONF_TAKE1, ngx_http_sp_mint_set_wei, 0,
      offsetof(ngx_http_sp_mint_chain_t, max_fee), NULL },

    { ngx_string("min_tip"), NGX_CONF_TAKE1, ngx_http_sp_mint_set_wei, 0,
      offsetof(ngx_http_sp_mint_chain_t, min_tip), NULL },

      ngx_null_command
};


static const ngx_sp_metric_slot_t  ngx_http_sp_mint_metrics[] = {

    { NGX_SP_COUNTER, "sallyport_mint_accepted_total",
      "Mint authorizations accepted", "",
      offsetof(ngx_http_sp_mint_chain_t, accepted) },

    { NGX_SP_COUNTER, "sallyport_mint_refused_total",
      "Mint authorizations refused", "",
      offsetof(ngx_http_sp_mint_chain_t, refused) },

    { NGX_SP_COUNTER, "sallyport_mint_confirmed_total",
      "Mints confirmed on the chain", "",
      offsetof(ngx_http_sp_mint_chain_t, confirmed) },

    { NGX_SP_COUNTER, "sallyport_mint_reverted_total",
      "Mint transactions reverted on the chain", "",
      offsetof(ngx_http_sp_mint_chain_t, reverted) },

    { NGX_SP_COUNTER, "sallyport_mint_failed_total",
      "Mints that failed without a token", "",
      offsetof(ngx_http_sp_mint_chain_t, failed) },

    { NGX_SP_COUNTER, "sallyport_mint_unknown_sends_total",
      "Sends whose outcome was unknown", "",
      offsetof(ngx_http_sp_mint_chain_t, unknown_sends) },

    { NGX_SP_COUNTER, "sallyport_mint_reorgs_total",
      "Mined transactions that left the chain again", "",
      offsetof(ngx_http_sp_mint_chain_t, reorgs) },

    { NGX_SP_COUNTER, "sallyport_mint_rpc_errors_total",
      "Calls to chain nodes that failed", "",
      offsetof(ngx_http_sp_mint_chain_t, rpc_errors) },

    { NGX_SP_COUNTER, NULL, NULL, NULL, 0 }
};


char *
ngx_http_sp_mint_chain_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_mint_main_conf_t *mmcf = conf;

    char                      *rv;
    ngx_http_sp_mint_chain_t  *chain;

    chain = ngx_http_sp_mint_chain_create(cf, mmcf);
    if (chain == NULL) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_sp_conf_block(cf, ngx_http_sp_mint_settings, chain);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (ngx_http_sp_mint_chain_done(cf, mmcf, chain) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_http_sp_mint_chain_t *
ngx_http_sp_mint_chain_create(ngx_conf_t *cf,
    ngx_http_sp_mint_main_conf_t *mmcf)
{
    u_char                      c;
    ngx_str_t                  *name;
    ngx_uint_t                  i;
    ngx_http_sp_mint_chain_t   *chain, **place;

    name = cf->args->elts;
    name++;

    /* it is a label of metrics, and part of answers */

    for (i = 0; i < name->len; i++) {
        c = name->data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'
              || c == '_'))
        {
            break;
        }
    }

    if (i != name->len || i == 0 || i > NGX_HTTP_SP_MINT_NAME_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "mint_chain \"%V\" needs a name of 1 to %d "
                           "characters of a-z, 0-9, \"-\" and \"_\"", name,
                           NGX_HTTP_SP_MINT_NAME_MAX);
        return NULL;
    }

    place = mmcf->chains.elts;

    for (i = 0; i < mmcf->chains.nelts; i++) {
        if (place[i]->name.len == name->len
            && ngx_strncmp(place[i]->name.data, name->data, name->len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "mint_chain \"%V\" is duplicate", name);
            return NULL;
        }
    }

    chain = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_mint_chain_t));
    if (chain == NULL) {
        return NULL;
    }

    chain->name = *name;

    chain->confirmations = NGX_CONF_UNSET_UINT;
    chain->in_flight = NGX_CONF_UNSET_UINT;
    chain->poll = NGX_CONF_UNSET_MSEC;
    chain->resend = NGX_CONF_UNSET_MSEC;
    chain->rpc_timeout = NGX_CONF_UNSET_MSEC;
    chain->max_gas = NGX_CONF_UNSET_UINT;

    chain->rpc = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
    if (chain->rpc == NULL) {
        return NULL;
    }

    /* in the list first, so that its key is wiped also when a line fails */

    place = ngx_array_push(&mmcf->chains);
    if (place == NULL) {
        return NULL;
    }

    *place = chain;

    return chain;
}


static char *
ngx_http_sp_mint_set_id(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_mint_chain_t *chain = conf;

    ngx_str_t  *value;

    if (chain->id != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (sp_u256_from_decimal(&chain->id_word, (char *) value[1].data,
                             value[1].len)
        != SP_OK
        || sp_u256_get(&chain->id_word, &chain->id) != SP_OK
        || chain->id == 0 || chain->id > NGX_HTTP_SP_MINT_ID_MAX)
    {
        return "must be a chain id in decimal, 1 to 2^53 - 1";
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_mint_set_rpc(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_mint_chain_t *chain = conf;

    ngx_str_t  *url, *value, file;

    value = cf->args->elts;

    url = ngx_array_push(chain->rpc);
    if (url == NULL) {
        return NGX_CONF_ERROR;
    }

    *url = value[1];

    /* many a provider of nodes has the key in the path: "nginx -T" shows it */

    if (url->len > 9 && ngx_strncmp(url->data, "url_file=", 9) == 0) {
        file.len = url->len - 9;
        file.data = url->data + 9;

        if (ngx_sp_secret_api_key(cf, &file, url) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (!(url->len > 7 && ngx_strncmp(url->data, "http://", 7) == 0)
        && !(url->len > 8 && ngx_strncmp(url->data, "https://", 8) == 0))
    {
        return "must be an http:// or https:// URL, or url_file=PATH of a "
               "file that holds one";
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_mint_set_contract(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_mint_chain_t *chain = conf;

    ngx_str_t  *value;

    if (chain->contract_text.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (sp_eth_address_parse_loose(chain->contract, (char *) value[1].data,
                                   value[1].len)
        != SP_OK)
    {
        return "must be an address, \"0x\" and 40 hexadecimal digits; mixed "
               "case must be its EIP-55 checksum";
    }

    chain->contract_text.data = ngx_pnalloc(cf->pool,
                                            SP_ETH_ADDRESS_TEXT_LEN);
    if (chain->contract_text.data == NULL) {
        return NGX_CONF_ERROR;
    }

    chain->contract_text.len = SP_ETH_ADDRESS_TEXT_LEN;
    sp_eth_address_encode((char *) chain->contract_text.data,
                          chain->contract);

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_mint_set_domain(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_mint_chain_t *chain = conf;

    ngx_str_t  *value;

    if (chain->domain_name.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "must not be empty";
    }

    chain->domain_name = value[1];

    if (cf->args->nelts == 3) {
        chain->domain_version = value[2];
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_mint_set_signer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_mint_chain_t *chain = conf;

    ngx_str_t   *value, key_file, keystore, password;
    ngx_uint_t   i;

    if (chain->signer_text.len != 0) {
        return "is duplicate";
    }

    ngx_str_null(&key_file);
    ngx_str_null(&keystore);
    ngx_str_null(&password);

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (!ngx_sp_conf_arg(&value[i], "key_file=", &key_file)
            && !ngx_sp_conf_arg(&value[i], "keystore=", &keystore)
            && !ngx_sp_conf_arg(&value[i], "password_file=", &password))
        {
            return "takes key_file=path, or keystore=path with "
                   "password_file=path";
        }
    }

    if (key_file.len != 0 && keystore.len == 0 && password.len == 0) {

        if (ngx_http_sp_mint_key_file(cf, &key_file, chain->key) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

    } else if (key_file.len == 0 && keystore.len != 0 && password.len != 0) {

        if (ngx_http_sp_mint_keystore(cf, &keystore, &password, chain->key)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

    } else {
        return "takes key_file=path, or keystore=path with "
               "password_file=path";
    }

    chain->signer_text.data = ngx_pnalloc(cf->pool, SP_ETH_ADDRESS_TEXT_LEN);
    if (chain->signer_text.data == NULL) {
        return NGX_CONF_ERROR;
    }

    chain->signer_text.len = SP_ETH_ADDRESS_TEXT_LEN;

    return NGX_CONF_OK;
}


/* wei per gas */

static char *
ngx_http_sp_mint_set_wei(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    size_t      len;
    uint64_t    unit, *wei;
    ngx_str_t  *value;
    sp_u256_t   n;

    wei = (uint64_t *) ((u_char *) conf + cmd->offset);

    if (*wei != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;
    unit = 1;
    len = value[1].len;

    if (len > 4 && ngx_strncmp(value[1].data + len - 4, "gwei", 4) == 0) {
        unit = 1000000000;
        len -= 4;
    }

    if (sp_u256_from_decimal(&n, (char *) value[1].data, len) != SP_OK
        || sp_u256_get(&n, wei) != SP_OK
        || *wei == 0 || *wei > NGX_HTTP_SP_MINT_ID_MAX / unit)
    {
        return "must be a number in decimal, of wei or with the suffix "
               "\"gwei\"";
    }

    *wei *= unit;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_sp_mint_chain_done(ngx_conf_t *cf,
    ngx_http_sp_mint_main_conf_t *mmcf, ngx_http_sp_mint_chain_t *chain)
{
    const char  *missing;

    missing = (chain->id == 0) ? "id"
              : (chain->rpc->nelts == 0) ? "rpc"
              : (chain->contract_text.len == 0) ? "contract"
              : (chain->signer_text.len == 0) ? "signer" : NULL;

    if (missing != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "mint_chain \"%V\" needs \"%s\"", &chain->name,
                           missing);
        return NGX_ERROR;
    }

    ngx_http_sp_mint_defaults(chain);

    chain->pg = ngx_http_sp_pg(cf, &chain->pg_name);
    if (chain->pg == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_sp_mint_identities(cf, mmcf, chain) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_add_metrics(cf, ngx_http_sp_mint_metrics, chain,
                                   "chain", &chain->name);
}


static void
ngx_http_sp_mint_defaults(ngx_http_sp_mint_chain_t *chain)
{
    if (chain->domain_name.len == 0) {
        ngx_str_set(&chain->domain_name, "Sallyport Characters");
    }

    if (chain->domain_version.len == 0) {
        ngx_str_set(&chain->domain_version, "1");
    }

    if (chain->pg_name.len == 0) {
        ngx_str_set(&chain->pg_name, "main");
    }

    ngx_conf_init_uint_value(chain->confirmations, 1);
    ngx_conf_init_uint_value(chain->in_flight, 16);
    ngx_conf_init_msec_value(chain->poll, 1000);
    ngx_conf_init_msec_value(chain->resend, 15000);
    ngx_conf_init_msec_value(chain->rpc_timeout, 5000);
    ngx_conf_init_uint_value(chain->max_gas, 1000000);

    if (chain->max_fee == 0) {
        chain->max_fee = 500ULL * 1000000000;
    }

    if (chain->min_tip == 0) {
        chain->min_tip = 1000000000;
    }
}


/* addresses, the domain separator, the name of the lane */

static ngx_int_t
ngx_http_sp_mint_identities(ngx_conf_t *cf,
    ngx_http_sp_mint_main_conf_t *mmcf, ngx_http_sp_mint_chain_t *chain)
{
    u_char                     *p;
    ngx_uint_t                  i;
    sp_eip712_domain_t          domain;
    ngx_http_sp_mint_chain_t  **other;

    if (sp_eth_key_address(mmcf->secp, chain->signer, chain->key) != SP_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the key of mint_chain \"%V\" is not a private "
                           "key of secp256k1", &chain->name);
        return NGX_ERROR;
    }

    sp_eth_address_encode((char *) chain->signer_text.data, chain->signer);

    p = ngx_pnalloc(cf->pool, NGX_INT64_LEN + 1 + SP_ETH_ADDRESS_TEXT_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    chain->lane.data = p;
    chain->lane.len = ngx_sprintf(p, "%uL:%V", chain->id,
                                  &chain->signer_text)
                      - p;

    other = mmcf->chains.elts;

    for (i = 0; i < mmcf->chains.nelts; i++) {
        if (other[i] != chain
            && other[i]->lane.len == chain->lane.len
            && ngx_strncmp(other[i]->lane.data, chain->lane.data,
                           chain->lane.len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the signer %V is that of mint_chain \"%V\" "
                               "already: a signer has one count of nonces per "
                               "chain, so each block needs its own",
                               &chain->signer_text, &other[i]->name);
            return NGX_ERROR;
        }
    }

    ngx_memzero(&domain, sizeof(sp_eip712_domain_t));

    domain.name = (char *) chain->domain_name.data;
    domain.name_len = chain->domain_name.len;
    domain.version = (char *) chain->domain_version.data;
    domain.version_len = chain->domain_version.len;
    domain.chain_id = &chain->id_word;
    domain.contract = chain->contract;

    sp_eip712_domain(chain->separator, &domain);

    return NGX_OK;
}
