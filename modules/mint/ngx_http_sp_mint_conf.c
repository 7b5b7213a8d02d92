
/*
 * Copyright (C) Sallyport authors
 *
 * The mint block.
 */


#include "ngx_http_sp_mint.h"


static ngx_http_sp_mint_t *ngx_http_sp_mint_create(ngx_conf_t *cf,
    ngx_http_sp_mint_main_conf_t *mmcf);
static char *ngx_http_sp_mint_set_contract(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_mint_set_domain(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_mint_set_signer(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_mint_set_wei(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_sp_mint_complete(ngx_conf_t *cf,
    ngx_http_sp_mint_main_conf_t *mmcf, ngx_http_sp_mint_t *mint);
static void ngx_http_sp_mint_defaults(ngx_http_sp_mint_t *mint);
static ngx_int_t ngx_http_sp_mint_identities(ngx_conf_t *cf,
    ngx_http_sp_mint_main_conf_t *mmcf, ngx_http_sp_mint_t *mint);


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

    { ngx_string("chain"), NGX_CONF_TAKE1, ngx_conf_set_str_slot, 0,
      offsetof(ngx_http_sp_mint_t, chain_name), NULL },

    { ngx_string("contract"), NGX_CONF_TAKE1, ngx_http_sp_mint_set_contract, 0,
      0, NULL },

    { ngx_string("domain"), NGX_CONF_TAKE12, ngx_http_sp_mint_set_domain, 0,
      0, NULL },

    { ngx_string("signer"), NGX_CONF_TAKE12, ngx_http_sp_mint_set_signer, 0,
      0, NULL },

    { ngx_string("pg"), NGX_CONF_TAKE1, ngx_conf_set_str_slot, 0,
      offsetof(ngx_http_sp_mint_t, pg_name), NULL },

    { ngx_string("in_flight"), NGX_CONF_TAKE1, ngx_sp_conf_number_slot, 0,
      offsetof(ngx_http_sp_mint_t, in_flight),
      &ngx_http_sp_mint_numbers },

    { ngx_string("poll"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_http_sp_mint_t, poll), &ngx_http_sp_mint_times },

    { ngx_string("resend"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_http_sp_mint_t, resend), &ngx_http_sp_mint_times },

    { ngx_string("max_gas"), NGX_CONF_TAKE1, ngx_sp_conf_number_slot, 0,
      offsetof(ngx_http_sp_mint_t, max_gas), &ngx_http_sp_mint_gas },

    { ngx_string("max_fee"), NGX_CONF_TAKE1, ngx_http_sp_mint_set_wei, 0,
      offsetof(ngx_http_sp_mint_t, max_fee), NULL },

    { ngx_string("min_tip"), NGX_CONF_TAKE1, ngx_http_sp_mint_set_wei, 0,
      offsetof(ngx_http_sp_mint_t, min_tip), NULL },

      ngx_null_command
};


static const ngx_sp_metric_slot_t  ngx_http_sp_mint_metrics[] = {

    { NGX_SP_COUNTER, "sallyport_mint_accepted_total",
      "Mint authorizations accepted", "",
      offsetof(ngx_http_sp_mint_t, accepted) },

    { NGX_SP_COUNTER, "sallyport_mint_refused_total",
      "Mint authorizations refused", "",
      offsetof(ngx_http_sp_mint_t, refused) },

    { NGX_SP_COUNTER, "sallyport_mint_confirmed_total",
      "Mints confirmed on the chain", "",
      offsetof(ngx_http_sp_mint_t, confirmed) },

    { NGX_SP_COUNTER, "sallyport_mint_reverted_total",
      "Mint transactions reverted on the chain", "",
      offsetof(ngx_http_sp_mint_t, reverted) },

    { NGX_SP_COUNTER, "sallyport_mint_failed_total",
      "Mints that failed without a token", "",
      offsetof(ngx_http_sp_mint_t, failed) },

    { NGX_SP_COUNTER, "sallyport_mint_unknown_sends_total",
      "Sends whose outcome was unknown", "",
      offsetof(ngx_http_sp_mint_t, unknown_sends) },

    { NGX_SP_COUNTER, "sallyport_mint_reorgs_total",
      "Mined transactions that left the chain again", "",
      offsetof(ngx_http_sp_mint_t, reorgs) },

    { NGX_SP_COUNTER, "sallyport_mint_rpc_errors_total",
      "Calls to chain nodes that failed", "",
      offsetof(ngx_http_sp_mint_t, rpc_errors) },

    { NGX_SP_COUNTER, NULL, NULL, NULL, 0 }
};


char *
ngx_http_sp_mint_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_mint_main_conf_t *mmcf = conf;

    char                *rv;
    ngx_http_sp_mint_t  *mint;

    mint = ngx_http_sp_mint_create(cf, mmcf);
    if (mint == NULL) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_sp_conf_block(cf, ngx_http_sp_mint_settings, mint);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (ngx_http_sp_mint_complete(cf, mmcf, mint) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_http_sp_mint_t *
ngx_http_sp_mint_create(ngx_conf_t *cf, ngx_http_sp_mint_main_conf_t *mmcf)
{
    ngx_str_t           *value;
    ngx_uint_t           i;
    ngx_http_sp_mint_t  *mint, **place;

    if (ngx_sp_conf_name(cf) != NGX_OK) {
        return NULL;
    }

    value = cf->args->elts;
    place = mmcf->mints.elts;

    for (i = 0; i < mmcf->mints.nelts; i++) {
        if (place[i]->name.len == value[1].len
            && ngx_strncmp(place[i]->name.data, value[1].data, value[1].len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "mint \"%V\" is "
                               "duplicate", &value[1]);
            return NULL;
        }
    }

    mint = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_mint_t));
    if (mint == NULL) {
        return NULL;
    }

    mint->name = value[1];

    mint->in_flight = NGX_CONF_UNSET_UINT;
    mint->poll = NGX_CONF_UNSET_MSEC;
    mint->resend = NGX_CONF_UNSET_MSEC;
    mint->max_gas = NGX_CONF_UNSET_UINT;

    /* in the list first, so that its key is wiped also when a line fails */

    place = ngx_array_push(&mmcf->mints);
    if (place == NULL) {
        return NULL;
    }

    *place = mint;

    return mint;
}


static char *
ngx_http_sp_mint_set_contract(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_mint_t *mint = conf;

    ngx_str_t  *value;

    if (mint->contract_text.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (sp_eth_address_parse_loose(mint->contract, (char *) value[1].data,
                                   value[1].len)
        != SP_OK)
    {
        return "must be an address, \"0x\" and 40 hexadecimal digits; mixed "
               "case must be its EIP-55 checksum";
    }

    mint->contract_text.data = ngx_pnalloc(cf->pool,
                                            SP_ETH_ADDRESS_TEXT_LEN);
    if (mint->contract_text.data == NULL) {
        return NGX_CONF_ERROR;
    }

    mint->contract_text.len = SP_ETH_ADDRESS_TEXT_LEN;
    sp_eth_address_encode((char *) mint->contract_text.data,
                          mint->contract);

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_mint_set_domain(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_mint_t *mint = conf;

    ngx_str_t  *value;

    if (mint->domain_name.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "must not be empty";
    }

    mint->domain_name = value[1];

    if (cf->args->nelts == 3) {
        mint->domain_version = value[2];
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_mint_set_signer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_mint_t *mint = conf;

    ngx_str_t   *value, key_file, keystore, password;
    ngx_uint_t   i;

    if (mint->signer_text.len != 0) {
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

        if (ngx_http_sp_mint_key_file(cf, &key_file, mint->key) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

    } else if (key_file.len == 0 && keystore.len != 0 && password.len != 0) {

        if (ngx_http_sp_mint_keystore(cf, &keystore, &password, mint->key)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

    } else {
        return "takes key_file=path, or keystore=path with "
               "password_file=path";
    }

    mint->signer_text.data = ngx_pnalloc(cf->pool, SP_ETH_ADDRESS_TEXT_LEN);
    if (mint->signer_text.data == NULL) {
        return NGX_CONF_ERROR;
    }

    mint->signer_text.len = SP_ETH_ADDRESS_TEXT_LEN;

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
        || *wei == 0 || *wei > NGX_SP_CHAIN_ID_MAX / unit)
    {
        return "must be a number in decimal, of wei or with the suffix "
               "\"gwei\"";
    }

    *wei *= unit;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_sp_mint_complete(ngx_conf_t *cf,
    ngx_http_sp_mint_main_conf_t *mmcf, ngx_http_sp_mint_t *mint)
{
    const char  *missing;

    missing = (mint->chain_name.len == 0) ? "chain"
              : (mint->contract_text.len == 0) ? "contract"
              : (mint->signer_text.len == 0) ? "signer" : NULL;

    if (missing != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "mint \"%V\" needs \"%s\"", &mint->name, missing);
        return NGX_ERROR;
    }

    ngx_http_sp_mint_defaults(mint);

    mint->chain = ngx_http_sp_chain(cf, &mint->chain_name);
    if (mint->chain == NULL) {
        return NGX_ERROR;
    }

    mint->pg = ngx_http_sp_pg(cf, &mint->pg_name);
    if (mint->pg == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_sp_mint_identities(cf, mmcf, mint) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sp_add_metrics(cf, ngx_http_sp_mint_metrics, mint,
                                   "mint", &mint->name);
}


static void
ngx_http_sp_mint_defaults(ngx_http_sp_mint_t *mint)
{
    if (mint->domain_name.len == 0) {
        ngx_str_set(&mint->domain_name, "Sallyport Characters");
    }

    if (mint->domain_version.len == 0) {
        ngx_str_set(&mint->domain_version, "1");
    }

    if (mint->pg_name.len == 0) {
        ngx_str_set(&mint->pg_name, "main");
    }

    ngx_conf_init_uint_value(mint->in_flight, 16);
    ngx_conf_init_msec_value(mint->poll, 1000);
    ngx_conf_init_msec_value(mint->resend, 15000);
    ngx_conf_init_uint_value(mint->max_gas, 1000000);

    if (mint->max_fee == 0) {
        mint->max_fee = 500ULL * 1000000000;
    }

    if (mint->min_tip == 0) {
        mint->min_tip = 1000000000;
    }
}


/* addresses, the domain separator, the name of the lane */

static ngx_int_t
ngx_http_sp_mint_identities(ngx_conf_t *cf,
    ngx_http_sp_mint_main_conf_t *mmcf, ngx_http_sp_mint_t *mint)
{
    u_char               *p;
    sp_u256_t             id;
    ngx_uint_t            i;
    sp_eip712_domain_t    domain;
    ngx_http_sp_mint_t  **other;

    if (sp_eth_key_address(mmcf->secp, mint->signer, mint->key) != SP_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the key of mint \"%V\" is not a private key "
                           "of secp256k1", &mint->name);
        return NGX_ERROR;
    }

    sp_eth_address_encode((char *) mint->signer_text.data, mint->signer);

    p = ngx_pnalloc(cf->pool, NGX_INT64_LEN + 1 + SP_ETH_ADDRESS_TEXT_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    mint->lane.data = p;
    mint->lane.len = ngx_sprintf(p, "%uL:%V", mint->chain->id,
                                 &mint->signer_text)
                     - p;

    other = mmcf->mints.elts;

    for (i = 0; i < mmcf->mints.nelts; i++) {
        if (other[i] != mint
            && other[i]->lane.len == mint->lane.len
            && ngx_strncmp(other[i]->lane.data, mint->lane.data,
                           mint->lane.len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the signer %V is that of mint \"%V\" "
                               "already: a signer has one count of nonces per "
                               "chain, so each block needs its own",
                               &mint->signer_text, &other[i]->name);
            return NGX_ERROR;
        }
    }

    sp_u256_set(&id, mint->chain->id);

    ngx_memzero(&domain, sizeof(sp_eip712_domain_t));

    domain.name = (char *) mint->domain_name.data;
    domain.name_len = mint->domain_name.len;
    domain.version = (char *) mint->domain_version.data;
    domain.version_len = mint->domain_version.len;
    domain.chain_id = &id;
    domain.contract = mint->contract;

    sp_eip712_domain(mint->separator, &domain);

    return NGX_OK;
}
