
/*
 * Copyright (C) Sallyport authors
 *
 * Values of the directives.
 */

#include "ngx_http_sp_wallet.h"

#include "sp_uri.h"


#define NGX_HTTP_SP_WALLET_NAME_MAX       256  /* of issuer and audience */
#define NGX_HTTP_SP_WALLET_STATEMENT_MAX  1024


static char *ngx_http_sp_wallet_issuer_option(ngx_conf_t *cf,
    ngx_http_sp_wallet_main_conf_t *wmcf, ngx_str_t *value);
static char *ngx_http_sp_wallet_issuer_time(ngx_conf_t *cf,
    ngx_str_t *value, ngx_str_t *text, time_t least, time_t most,
    time_t *result);
static char *ngx_http_sp_wallet_issuer_keys(ngx_conf_t *cf,
    ngx_http_sp_wallet_main_conf_t *wmcf);
static ngx_int_t ngx_http_sp_wallet_issuer_jwks(ngx_conf_t *cf,
    ngx_http_sp_wallet_main_conf_t *wmcf);
static char *ngx_http_sp_wallet_parse_domain(ngx_conf_t *cf,
    const ngx_str_t *text, ngx_http_sp_wallet_domain_t *domain);
static ngx_uint_t ngx_http_sp_wallet_loopback(const ngx_str_t *domain);


char *
ngx_http_sp_wallet_issuer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_wallet_main_conf_t  *wmcf = conf;

    char                            *rv;
    u_char                          *p;
    ngx_str_t                       *value, origin;
    ngx_uint_t                       i;

    if (wmcf->issuer.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    wmcf->issuer = value[1];
    wmcf->access = 15 * 60;
    wmcf->refresh = 7 * 24 * 60 * 60;
    wmcf->session = 0;
    ngx_str_set(&wmcf->audience, "sallyport");

    /* the URL may have a path, its origin is where people sign in */

    origin = value[1];
    p = (u_char *) ngx_strstr(origin.data, "://");

    if (p == NULL || origin.len > NGX_HTTP_SP_WALLET_NAME_MAX
        || !sp_uri_valid((char *) origin.data, origin.len))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid issuer \"%V\"; allowed is a URL of at "
                           "most 256 characters: \"https://chat.example\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    for (p += 3; *p != '\0' && *p != '/' && *p != '?' && *p != '#'; p++) {
        /* void */
    }

    origin.len = p - origin.data;

    rv = ngx_http_sp_wallet_parse_domain(cf, &origin, &wmcf->domain);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_http_sp_wallet_issuer_option(cf, wmcf, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (wmcf->session == 0) {
        wmcf->session = ngx_max(wmcf->refresh, 30 * 24 * 60 * 60);
    }

    if (wmcf->key == NULL) {
        return "has no key_file=, which names the JWK that signs";
    }

    if (wmcf->session < wmcf->refresh) {
        return "has session= shorter than refresh=";
    }

    return ngx_http_sp_wallet_issuer_keys(cf, wmcf);
}


static char *
ngx_http_sp_wallet_issuer_option(ngx_conf_t *cf,
    ngx_http_sp_wallet_main_conf_t *wmcf, ngx_str_t *value)
{
    ngx_str_t  text;

    if (ngx_sp_conf_arg(value, "key_file=", &text) && text.len > 0) {
        wmcf->key = ngx_sp_key_file(cf, &text);

        return wmcf->key != NULL ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    if (ngx_sp_conf_arg(value, "audience=", &text) && text.len > 0
        && value->len <= NGX_HTTP_SP_WALLET_NAME_MAX)
    {
        wmcf->audience = text;

        return NGX_CONF_OK;
    }

    if (ngx_sp_conf_arg(value, "access=", &text)) {
        return ngx_http_sp_wallet_issuer_time(cf, value, &text, 60, 86400,
                                              &wmcf->access);
    }

    if (ngx_sp_conf_arg(value, "refresh=", &text)) {
        return ngx_http_sp_wallet_issuer_time(cf, value, &text, 3600,
                                              366 * 86400, &wmcf->refresh);
    }

    if (ngx_sp_conf_arg(value, "session=", &text)) {
        return ngx_http_sp_wallet_issuer_time(cf, value, &text, 3600,
                                              366 * 86400, &wmcf->session);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\"; allowed are key_file=, "
                       "access=, refresh=, session= and audience=", value);
    return NGX_CONF_ERROR;
}


static char *
ngx_http_sp_wallet_issuer_time(ngx_conf_t *cf, ngx_str_t *value,
    ngx_str_t *text, time_t least, time_t most, time_t *result)
{
    *result = ngx_parse_time(text, 1);

    if (*result == (time_t) NGX_ERROR || *result < least || *result > most) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time in \"%V\"; allowed are %T to %T "
                           "seconds", value, least, most);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_wallet_issuer_keys(ngx_conf_t *cf,
    ngx_http_sp_wallet_main_conf_t *wmcf)
{
    ngx_uint_t                    i;
    const sp_jwk_t               *key;
    ngx_http_sp_wallet_secret_t  *secret;

    wmcf->signer = sp_jwks_signer(wmcf->key->set);

    if (wmcf->signer == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "key file \"%V\" has no private key that may sign; "
                           "allowed are OKP Ed25519, EC P-256 and RSA with "
                           "\"d\"", &wmcf->key->path);
        return NGX_CONF_ERROR;
    }

    if (ngx_array_init(&wmcf->secrets, cf->pool, 2,
                       sizeof(ngx_http_sp_wallet_secret_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    /*
     * the signer is the first private key of the file, so its secret is the
     * first here; older keys go on to verify
     */

    for (i = 0; i < wmcf->key->set->nkeys; i++) {
        key = &wmcf->key->set->keys[i];

        if (!key->signs || key->pkey == NULL) {
            continue;
        }

        secret = ngx_array_push(&wmcf->secrets);
        if (secret == NULL
            || sp_jwk_derive(key, "sallyport refresh token 1", secret->bytes)
               != SP_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_sp_wallet_issuer_jwks(cf, wmcf) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* public keys only, built once */

static ngx_int_t
ngx_http_sp_wallet_issuer_jwks(ngx_conf_t *cf,
    ngx_http_sp_wallet_main_conf_t *wmcf)
{
    u_char          *p;
    size_t           len, n;
    sp_jwks_t       *set;
    ngx_uint_t       i;
    const sp_jwk_t  *key;

    set = wmcf->key->set;

    p = ngx_pnalloc(cf->pool, 16 + set->nkeys * (SP_JWK_PUBLIC_LEN + 1));
    if (p == NULL) {
        return NGX_ERROR;
    }

    wmcf->jwks.data = p;
    p = ngx_cpymem(p, "{\"keys\":[", 9);
    n = 0;

    for (i = 0; i < set->nkeys; i++) {
        key = &set->keys[i];

        if (key->pkey == NULL) {
            continue;
        }

        if (n++ != 0) {
            *p++ = ',';
        }

        if (sp_jwk_public(key, (char *) p, SP_JWK_PUBLIC_LEN, &len) != SP_OK) {
            return NGX_ERROR;
        }

        p += len;
    }

    p = ngx_cpymem(p, "]}", 2);
    wmcf->jwks.len = p - wmcf->jwks.data;

    p = ngx_pnalloc(cf->pool, 2 * SP_SIPHASH_LEN + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    wmcf->etag.data = p;
    *p++ = '"';
    p = ngx_hex_dump(p, wmcf->key->digest, SP_SIPHASH_LEN);
    *p++ = '"';
    wmcf->etag.len = p - wmcf->etag.data;

    return NGX_OK;
}


char *
ngx_http_sp_wallet_domain(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_wallet_loc_conf_t  *wlcf = conf;

    char                           *rv;
    ngx_str_t                      *value;
    ngx_uint_t                      i;
    ngx_http_sp_wallet_domain_t    *domain;

    if (wlcf->domains != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    wlcf->domains = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                     sizeof(ngx_http_sp_wallet_domain_t));
    if (wlcf->domains == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        domain = ngx_array_push(wlcf->domains);
        if (domain == NULL) {
            return NGX_CONF_ERROR;
        }

        rv = ngx_http_sp_wallet_parse_domain(cf, &value[i], domain);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


/* "host[:port]", which is https, or the same after "https://", "http://" */

static char *
ngx_http_sp_wallet_parse_domain(ngx_conf_t *cf, const ngx_str_t *text,
    ngx_http_sp_wallet_domain_t *domain)
{
    u_char  *p;

    domain->domain = *text;
    domain->origin = *text;
    domain->secure = 1;

    if (ngx_strncmp(text->data, "https://", 8) == 0) {
        domain->domain.data += 8;
        domain->domain.len -= 8;

    } else if (ngx_strncmp(text->data, "http://", 7) == 0) {
        domain->domain.data += 7;
        domain->domain.len -= 7;
        domain->secure = 0;

    } else {
        domain->origin.len = text->len + 8;

        p = ngx_pnalloc(cf->pool, domain->origin.len);
        if (p == NULL) {
            return NGX_CONF_ERROR;
        }

        domain->origin.data = p;
        ngx_memcpy(ngx_cpymem(p, "https://", 8), text->data, text->len);
    }

    if (!sp_uri_authority_valid((char *) domain->domain.data,
                                domain->domain.len)
        || ngx_strlchr(domain->domain.data,
                       domain->domain.data + domain->domain.len, '@') != NULL
        || domain->domain.len > NGX_HTTP_SP_WALLET_NAME_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid domain \"%V\"; allowed is host[:port], "
                           "with https:// or http:// before it", text);
        return NGX_CONF_ERROR;
    }

    if (!domain->secure && !ngx_http_sp_wallet_loopback(&domain->domain)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not encrypted; http:// is allowed for "
                           "localhost, 127.0.0.1 and [::1] only, for "
                           "development", text);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_http_sp_wallet_loopback(const ngx_str_t *domain)
{
    ngx_uint_t        i;

    static ngx_str_t  hosts[] = {
        ngx_string("localhost"), ngx_string("127.0.0.1"), ngx_string("[::1]")
    };

    for (i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {

        if (domain->len >= hosts[i].len
            && ngx_strncmp(domain->data, hosts[i].data, hosts[i].len) == 0
            && (domain->len == hosts[i].len
                || domain->data[hosts[i].len] == ':'))
        {
            return 1;
        }
    }

    return 0;
}


char *
ngx_http_sp_wallet_chain_ids(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_wallet_loc_conf_t  *wlcf = conf;

    off_t                           id;
    uint64_t                       *chain;
    ngx_str_t                      *value;
    ngx_uint_t                      i;

    if (wlcf->chains != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    wlcf->chains = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                    sizeof(uint64_t));
    if (wlcf->chains == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        id = ngx_atoof(value[i].data, value[i].len);

        if (id == (off_t) NGX_ERROR || id == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid chain id \"%V\"; allowed are positive "
                               "decimal numbers", &value[i]);
            return NGX_CONF_ERROR;
        }

        chain = ngx_array_push(wlcf->chains);
        if (chain == NULL) {
            return NGX_CONF_ERROR;
        }

        *chain = (uint64_t) id;
    }

    return NGX_CONF_OK;
}


/* one that EIP-4361 has no place for could never be signed */

char *
ngx_http_sp_wallet_statement(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_wallet_loc_conf_t  *wlcf = conf;

    ngx_str_t                      *value;
    ngx_uint_t                      i;

    if (wlcf->statement.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; i < value[1].len; i++) {
        if (value[1].data[i] != ' '
            && !sp_uri_is_plain((char) value[1].data[i]))
        {
            break;
        }
    }

    if (i != value[1].len || value[1].len > NGX_HTTP_SP_WALLET_STATEMENT_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid statement \"%V\"; allowed are at most "
                           "%d letters, digits, spaces and "
                           "-._~:/?#[]@!$&'()*+,;= (EIP-4361)",
                           &value[1], NGX_HTTP_SP_WALLET_STATEMENT_MAX);
        return NGX_CONF_ERROR;
    }

    wlcf->statement = value[1];

    return NGX_CONF_OK;
}


/* Ethereum, Optimism, BSC, Polygon, Base, Arbitrum, Avalanche */

ngx_array_t *
ngx_http_sp_wallet_default_chains(ngx_conf_t *cf)
{
    uint64_t               *chain;
    ngx_uint_t              i;
    ngx_array_t            *chains;

    static const uint64_t   ids[] = { 1, 10, 56, 137, 8453, 42161, 43114 };

    chains = ngx_array_create(cf->pool, sizeof(ids) / sizeof(ids[0]),
                              sizeof(uint64_t));
    if (chains == NULL) {
        return NULL;
    }

    for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        chain = ngx_array_push(chains);
        if (chain == NULL) {
            return NULL;
        }

        *chain = ids[i];
    }

    return chains;
}


char *
ngx_http_sp_wallet_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_wallet_loc_conf_t  *wlcf = conf;

    ngx_str_t                      *value, pg, redis;
    ngx_uint_t                      i;

    if (wlcf->enabled) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ngx_str_set(&pg, "main");
    ngx_str_set(&redis, "main");

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_sp_conf_arg(&value[i], "pg=", &pg)
            || ngx_sp_conf_arg(&value[i], "redis=", &redis))
        {
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\"; allowed are redis= and "
                           "pg=", &value[i]);
        return NGX_CONF_ERROR;
    }

    wlcf->redis = ngx_http_sp_redis(cf, &redis);
    if (wlcf->redis == NULL) {
        return NGX_CONF_ERROR;
    }

    wlcf->pg = ngx_http_sp_pg(cf, &pg);
    if (wlcf->pg == NULL
        || ngx_http_sp_housekeeping(cf, wlcf->pg) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    wlcf->enabled = 1;

    /* each endpoint has methods of its own */

    return ngx_http_sp_set_content(cf, ngx_http_sp_wallet_run, 0);
}


char *
ngx_http_sp_wallet_jwks(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_wallet_loc_conf_t  *wlcf = conf;

    wlcf->jwks = 1;

    return ngx_http_sp_set_content(cf, ngx_http_sp_wallet_run_jwks,
                                   NGX_HTTP_GET|NGX_HTTP_HEAD);
}
