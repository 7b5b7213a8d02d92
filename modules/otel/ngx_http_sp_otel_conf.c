
/*
 * Copyright (C) Sallyport authors
 *
 * The directives, named as in ngx_otel_module where they say the same.
 */


#include "ngx_http_sp_otel.h"


#define NGX_HTTP_SP_OTEL_GRPC  4317


static char *ngx_http_sp_otel_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_sp_otel_url(ngx_conf_t *cf,
    ngx_http_sp_otel_conf_t *ocf, ngx_url_t *u);
static char *ngx_http_sp_otel_certificate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_otel_header(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_otel_header_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_uint_t ngx_http_sp_otel_is_secret(const ngx_str_t *name);
static char *ngx_http_sp_otel_add_header(ngx_conf_t *cf,
    ngx_http_sp_otel_conf_t *ocf, const ngx_str_t *name,
    const ngx_str_t *value);
static ngx_int_t ngx_http_sp_otel_envelope(ngx_conf_t *cf,
    ngx_http_sp_otel_conf_t *ocf);
static sp_otlp_attr_t *ngx_http_sp_otel_attr(ngx_http_sp_otel_conf_t *ocf,
    const char *key, const ngx_str_t *value);


static ngx_sp_conf_bounds_t  ngx_http_sp_otel_intervals = {
    10, 3600000, "a time from 10ms to 1h"
};

static ngx_sp_conf_bounds_t  ngx_http_sp_otel_sizes = {
    1, 10000, "a number from 1 to 10000"
};

static ngx_sp_conf_bounds_t  ngx_http_sp_otel_counts = {
    1, 100, "a number from 1 to 100"
};


static ngx_sp_conf_setting_t  ngx_http_sp_otel_settings[] = {

    { ngx_string("endpoint"), NGX_CONF_TAKE1, ngx_http_sp_otel_endpoint, 0,
      0, NULL },

    { ngx_string("trusted_certificate"), NGX_CONF_TAKE1,
      ngx_http_sp_otel_certificate, 0, 0, NULL },

    { ngx_string("header"), NGX_CONF_TAKE2, ngx_http_sp_otel_header, 0,
      0, NULL },

    { ngx_string("header_file"), NGX_CONF_TAKE2, ngx_http_sp_otel_header_file,
      0, 0, NULL },

    { ngx_string("interval"), NGX_CONF_TAKE1, ngx_sp_conf_msec_slot, 0,
      offsetof(ngx_http_sp_otel_conf_t, interval),
      &ngx_http_sp_otel_intervals },

    { ngx_string("batch_size"), NGX_CONF_TAKE1, ngx_sp_conf_number_slot, 0,
      offsetof(ngx_http_sp_otel_conf_t, batch_size),
      &ngx_http_sp_otel_sizes },

    { ngx_string("batch_count"), NGX_CONF_TAKE1, ngx_sp_conf_number_slot, 0,
      offsetof(ngx_http_sp_otel_conf_t, batch_count),
      &ngx_http_sp_otel_counts },

      ngx_null_command
};


static const ngx_sp_metric_slot_t  ngx_http_sp_otel_metrics[] = {

    { NGX_SP_COUNTER, "sallyport_otel_spans_total",
      "Spans by what became of them.", "result=\"exported\"",
      offsetof(ngx_http_sp_otel_conf_t, exported) },

    { NGX_SP_COUNTER, "sallyport_otel_spans_total",
      "Spans by what became of them.", "result=\"rejected\"",
      offsetof(ngx_http_sp_otel_conf_t, rejected) },

    { NGX_SP_COUNTER, "sallyport_otel_spans_total",
      "Spans by what became of them.", "result=\"dropped\"",
      offsetof(ngx_http_sp_otel_conf_t, dropped) },

    { NGX_SP_GAUGE, "sallyport_otel_waiting",
      "Spans that wait for the collector.", "",
      offsetof(ngx_http_sp_otel_conf_t, waiting) },

    { NGX_SP_COUNTER, "sallyport_otel_failures_total",
      "Batches that the collector has not taken, each time it was asked.", "",
      offsetof(ngx_http_sp_otel_conf_t, failures) },

    { NGX_SP_COUNTER, NULL, NULL, NULL, 0 }
};


static const ngx_http_sp_end_t  ngx_http_sp_otel_end_hook = {
    NGX_HTTP_SP_ABI,
    ngx_string("otel"),
    1000,
    ngx_http_sp_otel_end
};


void *
ngx_http_sp_otel_create_conf(ngx_conf_t *cf)
{
    ngx_http_sp_otel_conf_t  *ocf;

    ocf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_otel_conf_t));

    if (ocf == NULL
        || ngx_array_init(&ocf->headers, cf->pool, 4, sizeof(ngx_str_t))
           != NGX_OK
        || ngx_array_init(&ocf->resource, cf->pool, 4, sizeof(sp_otlp_attr_t))
           != NGX_OK)
    {
        return NULL;
    }

    ocf->interval = NGX_CONF_UNSET_MSEC;
    ocf->batch_size = NGX_CONF_UNSET_UINT;
    ocf->batch_count = NGX_CONF_UNSET_UINT;

    return ocf;
}


/* otel_exporter { ... } */

char *
ngx_http_sp_otel_exporter(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_otel_conf_t *ocf = conf;

    static const ngx_str_t  type = ngx_string("Content-Type");
    static const ngx_str_t  json = ngx_string("application/json");

    if (ocf->endpoint.len != 0) {
        return "is duplicate";
    }

    if (ngx_http_sp_otel_add_header(cf, ocf, &type, &json) != NGX_CONF_OK
        || ngx_sp_conf_block(cf, ngx_http_sp_otel_settings, ocf)
           != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ocf->endpoint.len == 0) {
        return "needs \"endpoint\"";
    }

    ngx_conf_init_msec_value(ocf->interval, 5000);
    ngx_conf_init_uint_value(ocf->batch_size, 512);
    ngx_conf_init_uint_value(ocf->batch_count, 4);

    if (ocf->tls
        && ngx_http_sp_trust(cf, &ocf->trusted_certificate) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (!ocf->tls && ocf->trusted_certificate.len != 0) {
        return "has a \"trusted_certificate\", and an endpoint without TLS";
    }

    ngx_http_sp_conf_spans(cf);

    if (ngx_http_sp_add_metrics(cf, ngx_http_sp_otel_metrics, ocf, NULL, NULL)
        != NGX_OK
        || ngx_http_sp_add_end(cf, &ngx_http_sp_otel_end_hook) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_otel_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_otel_conf_t *ocf = conf;

    u_char     *p;
    ngx_str_t  *value;
    ngx_url_t   u;

    static const ngx_str_t  path = ngx_string("/v1/traces");

    if (ocf->endpoint.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;
    ocf->endpoint = value[1];

    if (ngx_http_sp_otel_url(cf, ocf, &u) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (u.port == NGX_HTTP_SP_OTEL_GRPC) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"endpoint\" is \"%V\": port 4317 is for "
                           "OTLP/gRPC, collectors listen for OTLP/HTTP at "
                           "4318", &value[1]);
    }

    if (u.uri.len > 1) {
        return NGX_CONF_OK;
    }

    /* of the collector: its path for spans is in the specification */

    ocf->endpoint.len = value[1].len - u.uri.len + path.len;

    p = ngx_pnalloc(cf->pool, ocf->endpoint.len);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    ocf->endpoint.data = p;
    p = ngx_cpymem(p, value[1].data, value[1].len - u.uri.len);
    ngx_memcpy(p, path.data, path.len);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_sp_otel_url(ngx_conf_t *cf, ngx_http_sp_otel_conf_t *ocf,
    ngx_url_t *u)
{
    ngx_str_t   *url;
    const char  *why;

    url = &ocf->endpoint;

    ngx_memzero(u, sizeof(ngx_url_t));

    u->url = *url;
    u->uri_part = 1;
    u->no_resolve = 1;

    if (ngx_strncmp(url->data, "http://", 7) == 0) {
        u->url.len -= 7;
        u->url.data += 7;
        u->default_port = 80;

    } else if (ngx_strncmp(url->data, "https://", 8) == 0) {
        u->url.len -= 8;
        u->url.data += 8;
        u->default_port = 443;
        ocf->tls = 1;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"endpoint\" is \"%V\", expected an http:// or "
                           "https:// URL as http://localhost:4318: spans are "
                           "exported over OTLP/HTTP, not over gRPC", url);
        return NGX_ERROR;
    }

    why = (ngx_parse_url(cf->pool, u) != NGX_OK)
          ? (u->err != NULL ? u->err : "an error")
          : (u->family == AF_UNIX) ? "a unix socket"
          : (ngx_strlchr(url->data, url->data + url->len, '@') != NULL)
          ? "a user" : NULL;

    if (why != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in \"endpoint\" \"%V\", expected "
                           "http[s]://host[:port][/path]", why, url);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static char *
ngx_http_sp_otel_certificate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_otel_conf_t *ocf = conf;

    ngx_str_t  *value;

    if (ocf->trusted_certificate.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;
    ocf->trusted_certificate = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_http_sp_otel_header(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_http_sp_otel_is_secret(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "header \"%V\" is a secret by its name, use "
                           "\"header_file %V FILE\"", &value[1], &value[1]);
        return NGX_CONF_ERROR;
    }

    return ngx_http_sp_otel_add_header(cf, conf, &value[1], &value[2]);
}


static char *
ngx_http_sp_otel_header_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value, secret;

    value = cf->args->elts;

    if (ngx_sp_secret_password(cf, &value[2], &secret) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_sp_otel_add_header(cf, conf, &value[1], &secret);
}


static ngx_uint_t
ngx_http_sp_otel_is_secret(const ngx_str_t *name)
{
    u_char            *last;
    const ngx_str_t   *word;

    static const ngx_str_t  words[] = {
        ngx_string("auth"),
        ngx_string("cookie"),
        ngx_string("key"),
        ngx_string("password"),
        ngx_string("secret"),
        ngx_string("token"),
        ngx_null_string
    };

    last = name->data + name->len;

    for (word = words; word->len != 0; word++) {
        if (ngx_strlcasestrn(name->data, last, word->data, word->len - 1)
            != NULL)
        {
            return 1;
        }
    }

    return 0;
}


static char *
ngx_http_sp_otel_add_header(ngx_conf_t *cf, ngx_http_sp_otel_conf_t *ocf,
    const ngx_str_t *name, const ngx_str_t *value)
{
    u_char      *p, c;
    size_t       i;
    ngx_str_t   *line;
    ngx_uint_t   n;

    for (i = 0; i < name->len; i++) {
        c = ngx_tolower(name->data[i]);

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9')
            && c != '-' && c != '_')
        {
            return "takes a name of letters, digits, \"-\" and \"_\"";
        }
    }

    for (i = 0; i < value->len; i++) {
        if (value->data[i] < 0x20 || value->data[i] > 0x7e) {
            return "takes a value of printable ASCII";
        }
    }

    if (name->len == 0 || value->len == 0) {
        return "takes a name and a value that are not empty";
    }

    line = ocf->headers.elts;

    for (n = 0; n < ocf->headers.nelts; n++) {
        if (line[n].data[name->len] == ':'
            && ngx_strncasecmp(line[n].data, name->data, name->len) == 0)
        {
            return "is duplicate";
        }
    }

    line = ngx_array_push(&ocf->headers);
    if (line == NULL) {
        return NGX_CONF_ERROR;
    }

    line->len = name->len + 2 + value->len;

    line->data = ngx_pnalloc(cf->pool, line->len);
    if (line->data == NULL) {
        return NGX_CONF_ERROR;
    }

    p = ngx_cpymem(line->data, name->data, name->len);
    *p++ = ':';
    *p++ = ' ';
    ngx_memcpy(p, value->data, value->len);

    return NGX_CONF_OK;
}


/* otel_resource_attr NAME VALUE */

char *
ngx_http_sp_otel_resource_attr(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_otel_conf_t *ocf = conf;

    size_t           i;
    u_char           c;
    ngx_str_t       *value;
    ngx_uint_t       n;
    sp_otlp_attr_t  *attr;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "service.name") == 0) {
        return "sets \"service.name\", use \"otel_service_name\"";
    }

    for (i = 0; i < value[1].len; i++) {
        c = value[1].data[i];

        if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\') {
            break;
        }
    }

    if (i == 0 || i != value[1].len || i > SP_OTLP_TEXT) {
        return "takes a name of printable ASCII without quotes";
    }

    attr = ocf->resource.elts;

    for (n = 0; n < ocf->resource.nelts; n++) {
        if (ngx_strcmp(attr[n].key, value[1].data) == 0) {
            return "is duplicate";
        }
    }

    return (ngx_http_sp_otel_attr(ocf, (char *) value[1].data, &value[2])
            != NULL)
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static sp_otlp_attr_t *
ngx_http_sp_otel_attr(ngx_http_sp_otel_conf_t *ocf, const char *key,
    const ngx_str_t *value)
{
    sp_otlp_attr_t  *attr;

    attr = ngx_array_push(&ocf->resource);

    if (attr != NULL) {
        ngx_memzero(attr, sizeof(sp_otlp_attr_t));

        attr->key = key;
        attr->text = (char *) value->data;
        attr->len = value->len;
    }

    return attr;
}


char *
ngx_http_sp_otel_init_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_sp_otel_conf_t *ocf = conf;

    if (ocf->endpoint.len == 0) {

        if (ocf->service.data != NULL || ocf->resource.nelts != 0) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"otel_service_name\" and \"otel_resource_attr\" "
                          "need \"otel_exporter\"");
            return NGX_CONF_ERROR;
        }

        return NGX_CONF_OK;
    }

    /* what ngx_otel_module calls itself where nobody does */

    if (ocf->service.data == NULL) {
        ngx_str_set(&ocf->service, "unknown_service:nginx");
    }

    if (ngx_http_sp_otel_attr(ocf, "service.name", &ocf->service) == NULL) {
        return NGX_CONF_ERROR;
    }

    return (ngx_http_sp_otel_envelope(cf, ocf) == NGX_OK) ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}


/* what goes before and behind the spans of each batch */

static ngx_int_t
ngx_http_sp_otel_envelope(ngx_conf_t *cf, ngx_http_sp_otel_conf_t *ocf)
{
    size_t    len;
    sp_out_t  out;

    ngx_memzero(&out, sizeof(sp_out_t));

    sp_otlp_begin(&out, ocf->resource.elts, ocf->resource.nelts, "sallyport");
    len = out.len;
    sp_otlp_end(&out);

    out.dst = ngx_pnalloc(cf->pool, out.len);
    if (out.dst == NULL) {
        return NGX_ERROR;
    }

    out.size = out.len;
    out.len = 0;

    sp_otlp_begin(&out, ocf->resource.elts, ocf->resource.nelts, "sallyport");
    sp_otlp_end(&out);

    ocf->head.data = (u_char *) out.dst;
    ocf->head.len = len;
    ocf->tail.data = (u_char *) out.dst + len;
    ocf->tail.len = out.len - len;

    return NGX_OK;
}
