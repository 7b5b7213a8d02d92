
/*
 * Copyright (C) Sallyport authors
 *
 * Certificates that transfers trust.  They are read once, before the workers
 * are forked: curl would read the system's, which takes it 30 ms, in the event
 * loop and for each new connection.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_sp_fetch_int.h"


typedef struct {
    ngx_str_t     file;         /* empty: the system's */
    X509_STORE   *store;
} ngx_sp_fetch_trust_t;


static ngx_sp_fetch_trust_t *ngx_sp_fetch_trust_find(
    const ngx_sp_fetch_conf_t *conf, const ngx_str_t *file);
static X509_STORE *ngx_sp_fetch_trust_load(const ngx_str_t *file);
static void ngx_sp_fetch_trust_cleanup(void *data);
static CURLcode ngx_sp_fetch_trust_callback(CURL *easy, void *ssl_ctx,
    void *data);


ngx_int_t
ngx_sp_fetch_trust(ngx_conf_t *cf, ngx_sp_fetch_conf_t *conf,
    const ngx_str_t *file)
{
    ngx_pool_cleanup_t    *cln;
    ngx_sp_fetch_trust_t  *trust;

    if (ngx_sp_fetch_trust_find(conf, file) != NULL) {
        return NGX_OK;
    }

    if (conf->trusts == NULL) {
        conf->trusts = ngx_array_create(cf->pool, 2,
                                        sizeof(ngx_sp_fetch_trust_t));
        if (conf->trusts == NULL) {
            return NGX_ERROR;
        }
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    trust = ngx_array_push(conf->trusts);

    if (cln == NULL || trust == NULL) {
        return NGX_ERROR;
    }

    trust->file = *file;
    trust->store = ngx_sp_fetch_trust_load(file);

    if (trust->store == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "cannot read the trusted certificates \"%s\": %s",
                           file->len != 0 ? (char *) file->data
                                          : "of the system",
                           ERR_reason_error_string(ERR_peek_last_error()));
        ERR_clear_error();

        return NGX_ERROR;
    }

    cln->handler = ngx_sp_fetch_trust_cleanup;
    cln->data = trust->store;

    return NGX_OK;
}


static ngx_sp_fetch_trust_t *
ngx_sp_fetch_trust_find(const ngx_sp_fetch_conf_t *conf, const ngx_str_t *file)
{
    ngx_uint_t             i;
    ngx_sp_fetch_trust_t  *trust;

    if (conf->trusts == NULL) {
        return NULL;
    }

    trust = conf->trusts->elts;

    for (i = 0; i < conf->trusts->nelts; i++) {
        if (trust[i].file.len == file->len
            && ngx_memcmp(trust[i].file.data, file->data, file->len) == 0)
        {
            return &trust[i];
        }
    }

    return NULL;
}


/* those that curl would take, judged as curl does */

static X509_STORE *
ngx_sp_fetch_trust_load(const ngx_str_t *file)
{
    int          ok;
    X509_STORE  *store;
    const char  *path;

    store = X509_STORE_new();
    if (store == NULL) {
        return NULL;
    }

    path = (file->len != 0) ? (char *) file->data
                            : curl_version_info(CURLVERSION_NOW)->cainfo;

    ok = (path != NULL) ? X509_STORE_load_locations(store, path, NULL)
                        : X509_STORE_set_default_paths(store);

    if (!ok
        || !X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST
                                        |X509_V_FLAG_PARTIAL_CHAIN))
    {
        X509_STORE_free(store);
        return NULL;
    }

    return store;
}


static void
ngx_sp_fetch_trust_cleanup(void *data)
{
    X509_STORE_free(data);
}


/*
 * A connection is used again where CAINFO and CAPATH are the same: the name of
 * the file, in place of that of a directory, keeps those apart that trust
 * others.  Nothing is read there.
 */

ngx_int_t
ngx_sp_fetch_set_trust(ngx_sp_fetch_transfer_t *tr, const ngx_str_t *file)
{
    CURL                  *easy;
    ngx_sp_fetch_trust_t  *trust;

    easy = tr->easy;
    trust = ngx_sp_fetch_trust_find(tr->fetch->conf, file);

    if (trust == NULL) {

        /* not known when the configuration was read */

        return (file->len == 0
                || curl_easy_setopt(easy, CURLOPT_CAINFO, (char *) file->data)
                   == CURLE_OK)
               ? NGX_OK : NGX_ERROR;
    }

    return (curl_easy_setopt(easy, CURLOPT_CAINFO, NULL) == CURLE_OK
            && curl_easy_setopt(easy, CURLOPT_CAPATH,
                                file->len != 0 ? (char *) file->data : NULL)
               == CURLE_OK
            && curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION,
                                ngx_sp_fetch_trust_callback) == CURLE_OK
            && curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, trust->store)
               == CURLE_OK)
           ? NGX_OK : NGX_ERROR;
}


static CURLcode
ngx_sp_fetch_trust_callback(CURL *easy, void *ssl_ctx, void *data)
{
    SSL_CTX_set1_cert_store(ssl_ctx, data);

    return CURLE_OK;
}
