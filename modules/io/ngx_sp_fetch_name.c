
/*
 * Copyright (C) Sallyport authors
 *
 * Host names of transfers: curl is given addresses, for each of its own
 * lookups would be a thread.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_sp_fetch_int.h"


/* the urls are the operator's: this many hosts are a mistake */
#define NGX_SP_FETCH_HOSTS  256

/* ",[address]" */
#define NGX_SP_FETCH_ADDRESS_LEN  (NGX_INET6_ADDRSTRLEN + 3)


static ngx_int_t ngx_sp_fetch_find_name(ngx_sp_fetch_transfer_t *tr,
    const char *host, const char *port);


/* NGX_OK without a name: the url has an address, or is for curl to refuse */

ngx_int_t
ngx_sp_fetch_set_name(ngx_sp_fetch_transfer_t *tr, const char *text)
{
    char       *host, *port;
    CURLU      *url;
    ngx_int_t   rc;

    rc = NGX_OK;
    host = NULL;
    port = NULL;

    url = curl_url();
    if (url == NULL) {
        return NGX_ERROR;
    }

    if (curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK
        && curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK
        && curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT)
           == CURLUE_OK)
    {
        rc = ngx_sp_fetch_find_name(tr, host, port);
    }

    curl_free(host);
    curl_free(port);
    curl_url_cleanup(url);

    return rc;
}


static ngx_int_t
ngx_sp_fetch_find_name(ngx_sp_fetch_transfer_t *tr, const char *host,
    const char *port)
{
    ngx_str_t        text;
    ngx_int_t        number;
    ngx_uint_t       i;
    ngx_array_t     *names;
    ngx_sp_name_t  **name;

    text.data = (u_char *) host;
    text.len = ngx_strlen(host);

    number = ngx_atoi((u_char *) port, ngx_strlen(port));

    if (text.len == 0 || number < 1 || number > 65535
        || host[0] == '['
        || ngx_inet_addr(text.data, text.len) != INADDR_NONE)
    {
        return NGX_OK;
    }

    names = &tr->fetch->names;
    name = names->elts;

    for (i = 0; i < names->nelts; i++) {

        if (name[i]->port == (in_port_t) number
            && name[i]->host.len == text.len
            && ngx_strncasecmp(name[i]->host.data, text.data, text.len) == 0)
        {
            tr->name = name[i];
            return NGX_OK;
        }
    }

    if (names->nelts == NGX_SP_FETCH_HOSTS) {
        ngx_log_error(NGX_LOG_ERR, tr->fetch->log, 0,
                      "fetch from \"%V\" failed: more than %d hosts", &text,
                      NGX_SP_FETCH_HOSTS);
        return NGX_ERROR;
    }

    tr->name = ngx_sp_name_add(names->pool, &text, (in_port_t) number);
    if (tr->name == NULL) {
        return NGX_ERROR;
    }

    name = ngx_array_push(names);
    if (name == NULL) {
        return NGX_ERROR;
    }

    *name = tr->name;

    return NGX_OK;
}


/* "host:port:address,[address]": what curl would find in its own cache */

ngx_int_t
ngx_sp_fetch_set_addresses(ngx_sp_fetch_transfer_t *tr)
{
    u_char         *p, *text;
    ngx_uint_t      i;
    ngx_sp_name_t  *name;

    name = tr->name;

    if (name == NULL) {
        return NGX_OK;
    }

    text = ngx_pnalloc(tr->pool, name->host.len + sizeof(":65535:")
                                 + name->naddrs * NGX_SP_FETCH_ADDRESS_LEN);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(text, "%V:%d:", &name->host, (int) name->port);

    for (i = 0; i < name->naddrs; i++) {

        p = ngx_sprintf(p,
                        (name->addrs[i].socklen == sizeof(struct sockaddr_in))
                        ? "%s%s" : "%s[%s]",
                        (i != 0) ? "," : "", name->addrs[i].text);
    }

    *p = '\0';

    tr->resolve = curl_slist_append(NULL, (char *) text);

    if (tr->resolve == NULL
        || curl_easy_setopt(tr->easy, CURLOPT_RESOLVE, tr->resolve)
           != CURLE_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}
