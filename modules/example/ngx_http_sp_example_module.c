
/*
 * Copyright (C) Sallyport authors
 *
 * prompt_canary: a random word in the prompt that no answer may hold.  A model
 * that writes it gives its prompt away: the answer ends before the word, and
 * whoever should know gets a POST, also if the worker dies meanwhile.
 *
 *     step     the word goes into the prompt
 *     filter   it does not come out
 *     end      that it would have becomes a job in PostgreSQL
 *     job      which becomes the POST, as often as it takes
 */


#include "ngx_http_sp_core.h"


typedef struct {
    ngx_sp_pg_t  *pg;
    ngx_str_t     url;
    ngx_str_t     word;        /* in text */
    u_char        text[32];
} ngx_http_sp_example_conf_t;


static ngx_int_t ngx_http_sp_example_run(ngx_http_request_t *r);
static ngx_int_t ngx_http_sp_example_feed(void *state,
    ngx_http_sp_text_t *text, const ngx_str_t *piece);
static void ngx_http_sp_example_posted(ngx_sp_op_t *op);
static void ngx_http_sp_example_post(ngx_sp_job_t *job);
static void ngx_http_sp_example_told(ngx_http_request_t *r,
    const ngx_http_sp_outcome_t *outcome);
static char *ngx_http_sp_example_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void *ngx_http_sp_example_create_conf(ngx_conf_t *cf);


ngx_module_t  ngx_http_sp_example_module;


/* the step: called for every request, so first what it is not for */

static ngx_int_t
ngx_http_sp_example_run(ngx_http_request_t *r)
{
    ngx_http_sp_block_t          block;
    ngx_http_sp_example_conf_t  *ecf;

    if (r->method != NGX_HTTP_POST) {
        return NGX_DECLINED;
    }

    ecf = ngx_http_get_module_main_conf(r, ngx_http_sp_example_module);

    ngx_memzero(&block, sizeof(ngx_http_sp_block_t));

    ngx_str_set(&block.name, "canary");
    block.text = ecf->word;

    return ngx_http_sp_add_block(r, &block);
}


static const ngx_http_sp_step_t  ngx_http_sp_example_step = {
    NGX_HTTP_SP_ABI, ngx_string("prompt_canary"), NGX_HTTP_SP_ENRICH, 900,
    ngx_http_sp_example_run
};


/* the filter: its state is how much of the word ends the text so far */

static ngx_int_t
ngx_http_sp_example_feed(void *state, ngx_http_sp_text_t *text,
    const ngx_str_t *piece)
{
    size_t                       i, *matched = state;
    ngx_http_sp_example_conf_t  *ecf;

    ecf = ngx_http_get_module_main_conf(text->request,
                                        ngx_http_sp_example_module);

    /* the word's first byte is in it once: a mismatch can only begin anew */

    for (i = 0; i < piece->len && *matched < ecf->word.len; i++) {
        *matched = (piece->data[i] == ecf->word.data[*matched])
                   ? *matched + 1 : piece->data[i] == ecf->word.data[0];
    }

    text->safe_upto -= piece->len - i + *matched;

    if (*matched < ecf->word.len) {
        return NGX_OK;
    }

    return ngx_http_sp_error(text->request, 422, "prompt_leaked",
                             "the model gave its prompt away");
}


static const ngx_http_sp_filter_t  ngx_http_sp_example_out = {
    NGX_HTTP_SP_ABI, ngx_string("prompt_canary"), 900, NGX_HTTP_SP_OUTPUT,
    sizeof(size_t), NULL, NULL, ngx_http_sp_example_feed, NULL, NULL
};


/* the job: done when the receiver says so, else tried again */

static void
ngx_http_sp_example_posted(ngx_sp_op_t *op)
{
    ngx_sp_fetch_op_t *fetch = (ngx_sp_fetch_op_t *) op;

    if (op->result == NGX_SP_OP_OK && fetch->status / 100 == 2) {
        ngx_sp_job_finish(op->data);

    } else {
        ngx_sp_job_retry(op->data, 1000, "the receiver does not take it");
    }
}


static void
ngx_http_sp_example_post(ngx_sp_job_t *job)
{
    ngx_sp_fetch_op_t           *fetch;
    ngx_http_sp_example_conf_t  *ecf;

    ecf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_sp_example_module);
    fetch = ngx_pcalloc(job->pool, sizeof(ngx_sp_fetch_op_t));

    if (fetch == NULL || ngx_sp_job_attach(job, &fetch->op) != NGX_OK) {
        ngx_sp_job_retry(job, 1000, "out of memory");
        return;
    }

    fetch->url = ecf->url;
    fetch->body = job->payload;
    fetch->op.done = ngx_http_sp_example_posted;
    fetch->op.data = job;

    ngx_sp_fetch_submit(fetch);
}


static const ngx_sp_job_kind_t  ngx_http_sp_example_job = {
    NGX_HTTP_SP_ABI, ngx_string("prompt_canary"),
    4, 10, 30,                 /* running in a worker, attempts, lease in s */
    ngx_http_sp_example_post, NULL, NULL
};


/* the end hook: the last that sees the request */

static void
ngx_http_sp_example_told(ngx_http_request_t *r,
    const ngx_http_sp_outcome_t *outcome)
{
    u_char                       text[64];
    ngx_str_t                    id, payload;
    ngx_http_sp_example_conf_t  *ecf;

    if (outcome->filter != &ngx_http_sp_example_out.name) {
        return;
    }

    ecf = ngx_http_get_module_main_conf(r, ngx_http_sp_example_module);

    id.data = (u_char *) outcome->turn->id;
    id.len = sizeof(outcome->turn->id);
    payload.data = text;
    payload.len = ngx_sprintf(text, "{\"turn\":\"%V\"}", &id) - text;

    ngx_sp_job_enqueue(ecf->pg, &ngx_http_sp_example_job, &payload, &id);
}


static const ngx_http_sp_end_t  ngx_http_sp_example_end = {
    NGX_HTTP_SP_ABI, ngx_string("prompt_canary"), 900,
    ngx_http_sp_example_told
};


/* prompt_canary PG_SERVER URL: where it is not, nothing is registered */

static char *
ngx_http_sp_example_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                   *value = cf->args->elts;
    ngx_http_sp_example_conf_t  *ecf = conf;

    ecf->pg = ngx_http_sp_pg(cf, &value[1]);
    ecf->url = value[2];
    ecf->word.data = ecf->text;
    ecf->word.len = ngx_sprintf(ecf->text, "canary-%l", ngx_random())
                    - ecf->text;

    return (ecf->pg != NULL
            && ngx_http_sp_add_job_kind(cf, ecf->pg, &ngx_http_sp_example_job)
               == NGX_OK
            && ngx_http_sp_add_step(cf, &ngx_http_sp_example_step) == NGX_OK
            && ngx_http_sp_add_filter(cf, &ngx_http_sp_example_out) == NGX_OK
            && ngx_http_sp_add_end(cf, &ngx_http_sp_example_end) == NGX_OK)
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_command_t  ngx_http_sp_example_commands[] = {
    { ngx_string("prompt_canary"), NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_sp_example_set, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL },
    ngx_null_command
};


static void *
ngx_http_sp_example_create_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_example_conf_t));
}


static ngx_http_module_t  ngx_http_sp_example_module_ctx = {
    NULL, NULL, ngx_http_sp_example_create_conf, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  ngx_http_sp_example_module = {
    NGX_MODULE_V1, &ngx_http_sp_example_module_ctx,
    ngx_http_sp_example_commands, NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING
};
