
/*
 * Copyright (C) Sallyport authors
 *
 * Metrics of a target, by the semantic conventions of OpenTelemetry for
 * generative AI, in the names that they have in Prometheus.  Labels are words
 * of the configuration, never of a client.
 */


#include "ngx_http_sp_core_int.h"


#define NGX_HTTP_SP_TARGET_LABELS                                             \
    (sizeof("gen_ai_operation_name=\"generate_content\","                     \
            "gen_ai_provider_name=\"\",gen_ai_request_model=\"\","            \
            "gen_ai_response_model=\"\"") - 1)


typedef struct {
    const char                    *name;
    const char                    *help;
    size_t                         offset;     /* of target_metrics_t */
    ngx_uint_t                     streams;    /* only of chats */
} ngx_http_sp_target_metric_t;


static const ngx_http_sp_target_metric_t  ngx_http_sp_target_list[] = {

    { "sallyport_llm_overhead_seconds",
      "Time of the gateway itself until an answer begins, without that of the "
      "client and of providers.",
      offsetof(ngx_http_sp_target_metrics_t, overhead), 0 },

    { "gen_ai_client_operation_duration_seconds",
      "Time from the first try of a request to the end of its answer.",
      offsetof(ngx_http_sp_target_metrics_t, duration), 0 },

    { "gen_ai_client_operation_time_to_first_chunk_seconds",
      "Time from the first try of a request to the first output of a stream.",
      offsetof(ngx_http_sp_target_metrics_t, first_chunk), 1 },

    { "gen_ai_client_operation_time_per_output_chunk_seconds",
      "Time from one chunk of output of a stream to the next one.",
      offsetof(ngx_http_sp_target_metrics_t, chunk), 1 },

    { NULL, NULL, 0, 0 }
};


static const char *ngx_http_sp_target_operation(ngx_http_sp_model_kind_e kind);


ngx_int_t
ngx_http_sp_target_metrics(ngx_conf_t *cf, const ngx_http_sp_model_t *model,
    ngx_http_sp_target_t *target)
{
    u_char                              *p;
    ngx_str_t                            labels;
    ngx_sp_metric_t                    **metric;
    const ngx_str_t                     *provider;
    const ngx_http_sp_target_metric_t   *item;

    provider = &target->provider->name;

    p = ngx_pnalloc(cf->pool, NGX_HTTP_SP_TARGET_LABELS
                              + 2 * (provider->len + model->alias.len
                                     + target->name.len));
    if (p == NULL) {
        return NGX_ERROR;
    }

    labels.data = p;

    p = ngx_sprintf(p, "gen_ai_operation_name=\"%s\",",
                    ngx_http_sp_target_operation(model->kind));
    p = ngx_sp_metric_label(p, "gen_ai_provider_name", provider);
    *p++ = ',';
    p = ngx_sp_metric_label(p, "gen_ai_request_model", &model->alias);
    *p++ = ',';
    p = ngx_sp_metric_label(p, "gen_ai_response_model", &target->name);

    labels.len = p - labels.data;

    for (item = ngx_http_sp_target_list; item->name != NULL; item++) {

        if (item->streams && model->kind != NGX_HTTP_SP_MODEL_CHAT) {
            continue;
        }

        metric = (ngx_sp_metric_t **) ((u_char *) &target->metrics
                                       + item->offset);

        *metric = ngx_http_sp_add_metric(cf, NGX_SP_HISTOGRAM, item->name,
                                         item->help, &labels);
        if (*metric == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static const char *
ngx_http_sp_target_operation(ngx_http_sp_model_kind_e kind)
{
    switch (kind) {

    case NGX_HTTP_SP_MODEL_CHAT:
        return "chat";

    case NGX_HTTP_SP_MODEL_EMBEDDING:
        return "embeddings";

    default: /* NGX_HTTP_SP_MODEL_IMAGE, _SPEECH, _TRANSCRIPTION */
        return "generate_content";
    }
}
