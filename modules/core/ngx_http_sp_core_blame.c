
/*
 * Copyright (C) Sallyport authors
 *
 * Whose fault it is that a turn is not complete.
 */


#include "ngx_http_sp_core_int.h"


static ngx_http_sp_turn_error_e ngx_http_sp_blame_refusal(
    const ngx_http_sp_core_ctx_t *ctx);


/* by ngx_http_sp_turn_error_e; a CHECK of gateway.ledger has them, too */

static const char  *const ngx_http_sp_turn_error_names[] = {
    "",
    "caller_invalid_request",
    "caller_unknown_model",
    "caller_disconnected",
    "policy_quota",
    "policy_moderation",
    "policy_access",
    "provider_unreachable",
    "provider_timeout",
    "provider_rate_limited",
    "provider_overloaded",
    "provider_auth",
    "provider_unknown_model",
    "provider_refused_request",
    "provider_invalid_answer",
    "provider_cut",
    "provider_error",
    "gateway_unavailable",
    "gateway_error"
};


const char *
ngx_http_sp_turn_error_name(ngx_http_sp_turn_error_e error)
{
    return ngx_http_sp_turn_error_names[error];
}


ngx_int_t
ngx_http_sp_blame_init(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf)
{
    u_char      text[64];
    ngx_str_t   labels;
    ngx_uint_t  i;

    for (i = NGX_HTTP_SP_TURN_OK + 1; i < NGX_HTTP_SP_TURN_ERRORS; i++) {

        labels.data = text;
        labels.len = ngx_sprintf(text, "type=\"%s\"",
                                 ngx_http_sp_turn_error_names[i])
                     - text;

        labels.data = ngx_pstrdup(cf->pool, &labels);
        if (labels.data == NULL) {
            return NGX_ERROR;
        }

        mcf->counters.errors[i] = ngx_http_sp_add_metric(cf, NGX_SP_COUNTER,
            "sallyport_llm_errors_total",
            "Requests for a model that were not answered completely, by "
            "whose fault that is.", &labels);

        if (mcf->counters.errors[i] == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* what the content handler has said of its target goes before */

ngx_http_sp_turn_error_e
ngx_http_sp_blame(const ngx_http_sp_core_ctx_t *ctx)
{
    const ngx_http_sp_turn_t  *turn;

    turn = ctx->turn;

    if (turn->error != NGX_HTTP_SP_TURN_OK) {
        return turn->error;
    }

    if (ctx->filter != NULL) {

        /* also of an answer that it has ended: that one is complete */

        return NGX_HTTP_SP_POLICY_MODERATION;
    }

    switch (turn->finish) {

    case NGX_HTTP_SP_TURN_COMPLETE:
    case NGX_HTTP_SP_TURN_REPLAYED:
    case NGX_HTTP_SP_TURN_CACHED:
        return NGX_HTTP_SP_TURN_OK;

    case NGX_HTTP_SP_TURN_PARTIAL:
        return NGX_HTTP_SP_CALLER_DISCONNECTED;

    case NGX_HTTP_SP_TURN_FAILED:
        return NGX_HTTP_SP_PROVIDER_ERROR;

    default: /* NGX_HTTP_SP_TURN_REFUSED */
        return ngx_http_sp_blame_refusal(ctx);
    }
}


static ngx_http_sp_turn_error_e
ngx_http_sp_blame_refusal(const ngx_http_sp_core_ctx_t *ctx)
{
    ngx_uint_t                    status;
    const ngx_http_sp_refusal_t  *refusal;

    refusal = ctx->refusal;

    /* to NGINX a body that ends too early is malformed */

    if (ctx->request->connection->error
        && (refusal == NULL || refusal->error.code == NULL))
    {
        return NGX_HTTP_SP_CALLER_DISCONNECTED;
    }

    /* an error_page may have answered another status */

    if (refusal != NULL) {
        status = refusal->status;

    } else if (ctx->turn->status < NGX_HTTP_BAD_REQUEST) {
        status = ctx->error.status;

    } else {
        status = ctx->turn->status;
    }

    switch (status) {

    case 402:
    case NGX_HTTP_TOO_MANY_REQUESTS:
        return NGX_HTTP_SP_POLICY_QUOTA;

    case NGX_HTTP_UNAUTHORIZED:
    case NGX_HTTP_FORBIDDEN:
        return NGX_HTTP_SP_POLICY_ACCESS;

    case NGX_HTTP_REQUEST_TIME_OUT:
    case NGX_HTTP_CLIENT_CLOSED_REQUEST:
        return NGX_HTTP_SP_CALLER_DISCONNECTED;

    case NGX_HTTP_SERVICE_UNAVAILABLE:
    case NGX_HTTP_GATEWAY_TIME_OUT:
        return NGX_HTTP_SP_GATEWAY_UNAVAILABLE;
    }

    return (status >= NGX_HTTP_BAD_REQUEST
            && status < NGX_HTTP_INTERNAL_SERVER_ERROR)
           ? NGX_HTTP_SP_CALLER_INVALID_REQUEST
           : NGX_HTTP_SP_GATEWAY_ERROR;
}
