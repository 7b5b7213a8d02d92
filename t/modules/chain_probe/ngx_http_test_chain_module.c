
/*
 * Copyright (C) Sallyport authors
 *
 * For tests only: a plugin that calls the nodes of a chain, and prints what
 * became of the call.
 *
 *     chain_probe NAME METHOD PARAMS [max_body=SIZE] [timeout=TIME] [times=N]
 *                 [distrust];
 *
 * METHOD and PARAMS may have variables.  With times=N so many calls are made
 * at once.  With "distrust" no answer is good enough.
 */


#include "ngx_http_sp_core.h"


#define NGX_HTTP_TEST_CHAIN_PRINT  1024
#define NGX_HTTP_TEST_CHAIN_TIMES  16


typedef struct {
    ngx_sp_chain_t                *chain;
    ngx_http_complex_value_t      *method;
    ngx_http_complex_value_t      *params;
    ngx_uint_t                     max_body;
    ngx_uint_t                     times;
    ngx_msec_t                     timeout;
    ngx_uint_t                     distrust;
} ngx_http_test_chain_loc_conf_t;


typedef struct ngx_http_test_chain_ctx_s  ngx_http_test_chain_ctx_t;


typedef struct {
    ngx_sp_rpc_op_t                rpc;
    ngx_http_test_chain_ctx_t     *ctx;
    ngx_uint_t                     done;
} ngx_http_test_chain_call_t;


struct ngx_http_test_chain_ctx_s {
    ngx_http_request_t            *request;
    ngx_str_t                      text;
    ngx_uint_t                     pending;
    ngx_uint_t                     submitting;
    ngx_http_test_chain_call_t     calls[NGX_HTTP_TEST_CHAIN_TIMES];
};


static char *ngx_http_test_chain_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_test_chain_run(ngx_http_request_t *r);
static ngx_int_t ngx_http_test_chain_start(ngx_http_request_t *r,
    ngx_http_test_chain_ctx_t *ctx);
static void ngx_http_test_chain_done(ngx_sp_op_t *op);
static void ngx_http_test_chain_print(ngx_http_test_chain_ctx_t *ctx,
    ngx_sp_rpc_op_t *op);
static void *ngx_http_test_chain_create_loc_conf(ngx_conf_t *cf);


static ngx_command_t  ngx_http_test_chain_commands[] = {

    { ngx_string("chain_probe"),
      NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_test_chain_conf,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_test_chain_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_test_chain_create_loc_conf,   /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_test_chain_module = {
    NGX_MODULE_V1,
    &ngx_http_test_chain_module_ctx,       /* module context */
    ngx_http_test_chain_commands,          /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* in the order in which ngx_sp_rpc_fault_e has them */

static const char *const  ngx_http_test_chain_faults[] = {
    "none", "error", "too_large", "transport", "http", "malformed", "chain"
};


static char *
ngx_http_test_chain_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_test_chain_loc_conf_t *lcf = conf;

    ngx_str_t   *value, text;
    ngx_uint_t   i;

    value = cf->args->elts;

    lcf->chain = ngx_http_sp_chain(cf, &value[1]);
    lcf->method = ngx_http_sp_complex_value(cf, &value[2]);
    lcf->params = (cf->args->nelts > 3)
                  ? ngx_http_sp_complex_value(cf, &value[3]) : NULL;

    if (lcf->chain == NULL || lcf->method == NULL) {
        return NGX_CONF_ERROR;
    }

    lcf->times = 1;

    for (i = 4; i < cf->args->nelts; i++) {

        if (ngx_sp_conf_arg(&value[i], "max_body=", &text)) {
            lcf->max_body = (ngx_uint_t) ngx_parse_size(&text);

        } else if (ngx_sp_conf_arg(&value[i], "timeout=", &text)) {
            lcf->timeout = (ngx_msec_t) ngx_parse_time(&text, 0);

        } else if (ngx_strcmp(value[i].data, "distrust") == 0) {
            lcf->distrust = 1;

        } else if (!ngx_sp_conf_arg(&value[i], "times=", &text)
                   || ngx_sp_conf_number(cf, "chain_probe", "times=", &text,
                                         1, NGX_HTTP_TEST_CHAIN_TIMES,
                                         &lcf->times)
                      != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_sp_set_content(cf, ngx_http_test_chain_run, NGX_HTTP_GET);
}


static ngx_int_t
ngx_http_test_chain_run(ngx_http_request_t *r)
{
    ngx_http_test_chain_ctx_t  *ctx;

    ctx = ngx_http_sp_ctx(r, &ngx_http_test_chain_module,
                          sizeof(ngx_http_test_chain_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (ctx->request == NULL) {
        ctx->request = r;
        return ngx_http_test_chain_start(r, ctx);
    }

    if (ctx->pending != 0) {
        return NGX_AGAIN;
    }

    return ngx_http_sp_send(r, NGX_HTTP_OK, "text/plain", &ctx->text);
}


static ngx_int_t
ngx_http_test_chain_start(ngx_http_request_t *r,
    ngx_http_test_chain_ctx_t *ctx)
{
    ngx_str_t                        method, params;
    ngx_uint_t                       i;
    ngx_sp_rpc_op_t                 *op;
    ngx_http_test_chain_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_test_chain_module);

    if (ngx_http_complex_value(r, lcf->method, &method) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_null(&params);

    if (lcf->params != NULL
        && ngx_http_complex_value(r, lcf->params, &params) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a string for C, which submit has to copy: it is wiped at once */

    op = NULL;
    ctx->submitting = 1;

    for (i = 0; i < lcf->times; i++) {
        op = &ctx->calls[i].rpc;

        ctx->calls[i].ctx = ctx;

        op->method = (char *) ngx_pnalloc(r->pool, method.len + 1);
        op->params.data = ngx_pnalloc(r->pool, params.len + 1);

        if (op->method == NULL || op->params.data == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_cpystrn((u_char *) op->method, method.data,
                           method.len + 1);
        ngx_memcpy(op->params.data, params.data, params.len);
        op->params.len = params.len;

        op->max_body = lcf->max_body;
        op->op.timeout = lcf->timeout;
        op->op.done = ngx_http_test_chain_done;
        op->op.data = &ctx->calls[i];
        op->op.log = r->connection->log;

        if (ngx_http_sp_op_attach(r, &op->op) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_sp_rpc_submit(&lcf->chain->rpc, op);
        ctx->pending++;

        ngx_memset((u_char *) op->method, 'x', method.len);
        ngx_memset(op->params.data, 'x', params.len);
    }

    ctx->submitting = 0;

    return NGX_AGAIN;
}


static void
ngx_http_test_chain_done(ngx_sp_op_t *op)
{
    ngx_http_test_chain_call_t      *call;
    ngx_http_test_chain_loc_conf_t  *lcf;

    call = op->data;
    call->done++;

    if (call->ctx->submitting || call->done != 1) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "chain probe: done called %ui times, inside submit: "
                      "%ui", call->done, call->ctx->submitting);
    }

    lcf = ngx_http_get_module_loc_conf(call->ctx->request,
                                       ngx_http_test_chain_module);

    if (lcf->distrust) {
        ngx_sp_rpc_distrust(&lcf->chain->rpc, &call->rpc);
    }

    call->ctx->pending--;
    ngx_http_test_chain_print(call->ctx, &call->rpc);
}


static void
ngx_http_test_chain_print(ngx_http_test_chain_ctx_t *ctx,
    ngx_sp_rpc_op_t *op)
{
    char       *answer, *data;
    u_char     *p;
    ngx_str_t   text;

    text.len = ctx->text.len + NGX_HTTP_TEST_CHAIN_PRINT;
    text.data = ngx_pnalloc(ctx->request->pool, text.len);

    if (text.data == NULL) {
        return;
    }

    answer = json_dumps(op->answer, JSON_ENCODE_ANY|JSON_COMPACT);
    data = json_dumps(op->data, JSON_ENCODE_ANY|JSON_COMPACT);

    p = ngx_cpymem(text.data, ctx->text.data, ctx->text.len);
    p = ngx_slprintf(p, text.data + text.len,
                     "%s fault=%s endpoint=%ui failed=%ui status=%ui sent=%d "
                     "elapsed=%M reason=\"%V\" code=%L message=\"%V\" "
                     "data=%s answer=%s\n",
                     ngx_sp_op_result_name(op->op.result),
                     ngx_http_test_chain_faults[op->fault], op->endpoint + 1,
                     op->failed, op->status, (int) op->op.sent,
                     op->op.elapsed, &op->op.reason, op->code, &op->message,
                     (data != NULL) ? data : "-",
                     (answer != NULL) ? answer : "-");

    text.len = p - text.data;
    ctx->text = text;

    free(answer);
    free(data);
}


static void *
ngx_http_test_chain_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_test_chain_loc_conf_t));
}
