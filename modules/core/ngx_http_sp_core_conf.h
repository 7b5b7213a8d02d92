
/*
 * Copyright (C) Sallyport authors
 *
 * Part of ngx_http_sp_core.h: for configuration, and beside requests.
 */

#ifndef _NGX_HTTP_SP_CORE_CONF_H_INCLUDED_
#define _NGX_HTTP_SP_CORE_CONF_H_INCLUDED_


/* Variables */

/* in the preconfiguration; the table ends with ngx_http_null_variable */
ngx_int_t ngx_http_sp_add_variables(ngx_conf_t *cf,
    ngx_http_variable_t *table);

/* in a setter: a text with variables; NULL after logging what is wrong */
ngx_http_complex_value_t *ngx_http_sp_complex_value(ngx_conf_t *cf,
    ngx_str_t *text);


/* Dialects of models' APIs */

/* in the preconfiguration; the table is static memory */
ngx_int_t ngx_http_sp_add_dialect(ngx_conf_t *cf,
    const sp_dialect_t *dialect);

/* NULL after logging that the name is unknown, and which are known */
const sp_dialect_t *ngx_http_sp_dialect(ngx_conf_t *cf,
    const ngx_str_t *name);

/* in a setter: the clients of this location speak it */
void ngx_http_sp_conf_dialect(ngx_conf_t *cf, const sp_dialect_t *dialect);

/* in a merge_loc_conf only: whether a model answers this location */
ngx_flag_t ngx_http_sp_has_model(ngx_conf_t *cf);

/* of a request: that of its location, or OpenAI's */
const sp_dialect_t *ngx_http_sp_client_dialect(ngx_http_request_t *r);


/* Servers: "redis_server", "pg_server" and "chain" of the configuration */

/* NULL after logging that the name is unknown, with file and line */
ngx_sp_redis_t *ngx_http_sp_redis(ngx_conf_t *cf, const ngx_str_t *name);
ngx_sp_pg_t *ngx_http_sp_pg(ngx_conf_t *cf, const ngx_str_t *name);
ngx_sp_chain_t *ngx_http_sp_chain(ngx_conf_t *cf, const ngx_str_t *name);

/*
 * In a setter: calls of fetch will speak TLS, and trust the certificates of
 * "file", which is made absolute; empty: those of fetch_trusted_certificate.
 * NGX_ERROR after logging why.
 */
ngx_int_t ngx_http_sp_trust(ngx_conf_t *cf, ngx_str_t *file);

/*
 * This server has the schema of sql/: what has been over for long is deleted
 * there.  Once is enough; whoever adds a job kind need not call it.
 */
ngx_int_t ngx_http_sp_housekeeping(ngx_conf_t *cf, ngx_sp_pg_t *pg);


/* Metrics: counted by ngx_sp_metric.h */

/*
 * Configuration; see ngx_sp_metrics_add() and ngx_sp_metrics_add_table().
 * NULL and NGX_ERROR after logging why
 */
ngx_sp_metric_t *ngx_http_sp_add_metric(ngx_conf_t *cf,
    ngx_sp_metric_type_e type, const char *name, const char *help,
    const ngx_str_t *labels);
ngx_int_t ngx_http_sp_add_metrics(ngx_conf_t *cf,
    const ngx_sp_metric_slot_t *table, void *conf, const char *label,
    const ngx_str_t *value);


/* Readiness: a reason makes /readyz 503 */

typedef const char *(*ngx_http_sp_ready_pt)(void *data);

ngx_int_t ngx_http_sp_add_ready(ngx_conf_t *cf, const char *name,
    ngx_http_sp_ready_pt handler, void *data);


/* Background jobs: run by ngx_sp_job.h */

/* the struct is static or configuration memory */
ngx_int_t ngx_http_sp_add_job_kind(ngx_conf_t *cf, ngx_sp_pg_t *pg,
    const ngx_sp_job_kind_t *kind);


/*
 * Lines of another kind in the spool of "turn_spool", see ngx_sp_spool.h.
 * The conf is static or configuration memory; NULL after logging why
 */
ngx_sp_sink_t *ngx_http_sp_add_sink(ngx_conf_t *cf,
    const ngx_sp_sink_conf_t *conf);


#endif /* _NGX_HTTP_SP_CORE_CONF_H_INCLUDED_ */
