
/*
 * Copyright (C) Sallyport authors
 *
 * What the configurations of plugins have in common: tables of variables and
 * of metrics, values with variables.
 */


#include "ngx_http_sp_core_int.h"


static ngx_int_t ngx_http_sp_join_labels(ngx_conf_t *cf, ngx_str_t *labels,
    const char *label, const ngx_str_t *value);


ngx_int_t
ngx_http_sp_add_variables(ngx_conf_t *cf, ngx_http_variable_t *table)
{
    ngx_http_variable_t  *var, *v;

    for (v = table; v->name.len != 0; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_add_metrics(ngx_conf_t *cf, const ngx_http_sp_metric_slot_t *table,
    void *conf, const char *label, const ngx_str_t *value)
{
    ngx_str_t                         labels;
    ngx_http_sp_metric_t            **metric;
    const ngx_http_sp_metric_slot_t  *slot;

    for (slot = table; slot->name != NULL; slot++) {

        labels.data = (u_char *) slot->labels;
        labels.len = ngx_strlen(slot->labels);

        if (label != NULL
            && ngx_http_sp_join_labels(cf, &labels, label, value) != NGX_OK)
        {
            return NGX_ERROR;
        }

        metric = (ngx_http_sp_metric_t **) ((u_char *) conf + slot->offset);

        *metric = ngx_http_sp_add_metric(cf, slot->type, slot->name,
                                         slot->help, &labels);
        if (*metric == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_join_labels(ngx_conf_t *cf, ngx_str_t *labels, const char *label,
    const ngx_str_t *value)
{
    u_char     *p;
    ngx_str_t   own;

    own = *labels;

    p = ngx_pnalloc(cf->pool, ngx_strlen(label) + sizeof("=\"\",") - 1
                              + value->len + own.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    labels->data = p;
    labels->len = ngx_sprintf(p, "%s=\"%V\"%s%V", label, value,
                              own.len != 0 ? "," : "", &own)
                  - p;

    return NGX_OK;
}


ngx_http_complex_value_t *
ngx_http_sp_complex_value(ngx_conf_t *cf, ngx_str_t *text)
{
    ngx_http_complex_value_t          *cv;
    ngx_http_compile_complex_value_t   ccv;

    cv = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (cv == NULL) {
        return NULL;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = text;
    ccv.complex_value = cv;

    return (ngx_http_compile_complex_value(&ccv) == NGX_OK) ? cv : NULL;
}
