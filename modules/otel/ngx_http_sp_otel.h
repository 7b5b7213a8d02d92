
/*
 * Copyright (C) Sallyport authors
 *
 * otel: requests for a model as spans, exported over OTLP/HTTP.
 *
 *     _module.c   directives, registration
 *     _conf.c     what the directives take
 *     _span.c     the end hook: a turn and its attempts become spans
 *     _queue.c    spans of this worker that wait, and when they are sent
 *     _export.c   one batch: the call, and what the collector says
 *
 *     end hook -> queue (text of spans, bounded) -> batch -> fetch
 */

#ifndef _NGX_HTTP_SP_OTEL_H_INCLUDED_
#define _NGX_HTTP_SP_OTEL_H_INCLUDED_


#include "ngx_http_sp_core.h"

#include "sp_otlp.h"


typedef struct {
    ngx_str_t                     endpoint;    /* where it is POSTed to */
    ngx_str_t                     trusted_certificate;
    ngx_array_t                   headers;     /* ngx_str_t: lines */
    ngx_msec_t                    interval;
    ngx_uint_t                    batch_size;  /* spans */
    ngx_uint_t                    batch_count; /* of them, that may wait */
    unsigned                      tls:1;

    ngx_str_t                     service;     /* unset: the default */
    ngx_array_t                   resource;    /* sp_otlp_attr_t */

    ngx_str_t                     head;        /* of each batch */
    ngx_str_t                     tail;

    ngx_sp_metric_t              *exported;    /* spans */
    ngx_sp_metric_t              *rejected;
    ngx_sp_metric_t              *dropped;
    ngx_sp_metric_t              *waiting;
    ngx_sp_metric_t              *failures;    /* batches, tries */
} ngx_http_sp_otel_conf_t;


extern ngx_module_t  ngx_http_sp_otel_module;


/* ngx_http_sp_otel_conf.c */

void *ngx_http_sp_otel_create_conf(ngx_conf_t *cf);
char *ngx_http_sp_otel_init_conf(ngx_conf_t *cf, void *conf);
char *ngx_http_sp_otel_exporter(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sp_otel_resource_attr(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ngx_http_sp_otel_span.c */

void ngx_http_sp_otel_end(ngx_http_request_t *r,
    const ngx_http_sp_outcome_t *outcome);

/* ngx_http_sp_otel_queue.c */

/* memory for the text of one more span, to be filled at once; NULL: dropped */
u_char *ngx_http_sp_otel_push(ngx_http_sp_otel_conf_t *conf, size_t len);

/* the first "n" spans with a comma between them; NULL: their length */
size_t ngx_http_sp_otel_copy(u_char *p, ngx_uint_t n);

/* a call is over: the first "n" spans are done with; 0: they wait on */
void ngx_http_sp_otel_sent(ngx_uint_t n, ngx_msec_t wait);

/* nothing will be sent any more */
void ngx_http_sp_otel_give_up(void);

void ngx_http_sp_otel_exit(void);

/* ngx_http_sp_otel_export.c */

/* NGX_DECLINED: there is no memory for it now */
ngx_int_t ngx_http_sp_otel_export(ngx_http_sp_otel_conf_t *conf,
    ngx_uint_t n);
ngx_uint_t ngx_http_sp_otel_exporting(void);


#endif /* _NGX_HTTP_SP_OTEL_H_INCLUDED_ */
