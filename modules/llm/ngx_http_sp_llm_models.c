
/*
 * Copyright (C) Sallyport authors
 *
 * The models that clients may name, as they ask for them: GET /v1/models and
 * GET /v1/models/ID are answered from the configuration.  SDKs of OpenAI and
 * of Anthropic go to the same address; the latter say so in a header.
 */


#include "ngx_http_sp_llm.h"


/* a model, as one object */
typedef struct {
    ngx_str_t                   alias;
    ngx_str_t                   text[NGX_HTTP_SP_LLM_LISTS];
} ngx_http_sp_llm_listed_t;


typedef void (*ngx_http_sp_llm_list_pt)(const void *what, sp_out_t *out);


static ngx_int_t ngx_http_sp_llm_models_text(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_sp_llm_list_pt write, const void *what);
static void ngx_http_sp_llm_list_openai(const void *what, sp_out_t *out);
static void ngx_http_sp_llm_list_anthropic(const void *what, sp_out_t *out);
static void ngx_http_sp_llm_list_end(const ngx_array_t *models,
    ngx_uint_t i, const char *name, sp_out_t *out);
static void ngx_http_sp_llm_list_all(const ngx_array_t *models,
    ngx_uint_t form, sp_out_t *out);
static void ngx_http_sp_llm_model_openai(const void *what, sp_out_t *out);
static void ngx_http_sp_llm_model_can(const ngx_http_sp_model_t *model,
    sp_out_t *out);
static void ngx_http_sp_llm_model_anthropic(const void *what, sp_out_t *out);
static void ngx_http_sp_llm_model_tokens(const ngx_http_sp_model_t *model,
    size_t field, sp_out_t *out);
static ngx_uint_t ngx_http_sp_llm_list_form(ngx_http_request_t *r);


static const struct {
    ngx_http_sp_llm_list_pt     list;
    ngx_http_sp_llm_list_pt     model;
} ngx_http_sp_llm_forms[NGX_HTTP_SP_LLM_LISTS] = {
    { ngx_http_sp_llm_list_openai, ngx_http_sp_llm_model_openai },
    { ngx_http_sp_llm_list_anthropic, ngx_http_sp_llm_model_anthropic }
};


ngx_int_t
ngx_http_sp_llm_models_init(ngx_conf_t *cf)
{
    ngx_uint_t                     form, i;
    const ngx_array_t             *models;
    ngx_http_sp_model_t          **model;
    ngx_http_sp_llm_listed_t      *listed;
    ngx_http_sp_llm_main_conf_t   *lmcf;

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_llm_module);
    models = ngx_http_sp_models(cf);
    model = models->elts;

    if (ngx_array_init(&lmcf->models, cf->pool, models->nelts + 1,
                       sizeof(ngx_http_sp_llm_listed_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < models->nelts; i++) {

        if (model[i]->internal) {
            continue;
        }

        /* it was made large enough */

        listed = ngx_array_push(&lmcf->models);
        listed->alias = model[i]->alias;

        for (form = 0; form < NGX_HTTP_SP_LLM_LISTS; form++) {
            if (ngx_http_sp_llm_models_text(cf, &listed->text[form],
                                            ngx_http_sp_llm_forms[form].model,
                                            model[i])
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    for (form = 0; form < NGX_HTTP_SP_LLM_LISTS; form++) {
        if (ngx_http_sp_llm_models_text(cf, &lmcf->lists[form],
                                        ngx_http_sp_llm_forms[form].list,
                                        &lmcf->models)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_llm_models_text(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_sp_llm_list_pt write, const void *what)
{
    sp_out_t  out;

    ngx_memzero(&out, sizeof(sp_out_t));

    write(what, &out);

    out.dst = ngx_pnalloc(cf->pool, out.len);
    if (out.dst == NULL) {
        return NGX_ERROR;
    }

    out.size = out.len;
    out.len = 0;

    write(what, &out);

    text->data = (u_char *) out.dst;
    text->len = out.len;

    return NGX_OK;
}


static void
ngx_http_sp_llm_list_openai(const void *what, sp_out_t *out)
{
    sp_out_str(out, "{\"object\":\"list\",\"data\":[");
    ngx_http_sp_llm_list_all(what, NGX_HTTP_SP_LLM_LIST_OPENAI, out);
    sp_out_str(out, "]}");
}


/* all of them are one page */

static void
ngx_http_sp_llm_list_anthropic(const void *what, sp_out_t *out)
{
    const ngx_array_t  *models = what;

    sp_out_str(out, "{\"data\":[");
    ngx_http_sp_llm_list_all(models, NGX_HTTP_SP_LLM_LIST_ANTHROPIC, out);
    sp_out_str(out, "],\"has_more\":false");

    ngx_http_sp_llm_list_end(models, 0, "first_id", out);
    ngx_http_sp_llm_list_end(models, models->nelts - 1, "last_id", out);

    sp_out_str(out, "}");
}


static void
ngx_http_sp_llm_list_end(const ngx_array_t *models, ngx_uint_t i,
    const char *name, sp_out_t *out)
{
    ngx_http_sp_llm_listed_t  *listed;

    sp_out_str(out, ",\"");
    sp_out_str(out, name);
    sp_out_str(out, "\":");

    if (models->nelts == 0) {
        sp_out_str(out, "null");
        return;
    }

    listed = models->elts;

    sp_out_str(out, "\"");
    sp_out_text(out, (char *) listed[i].alias.data, listed[i].alias.len);
    sp_out_str(out, "\"");
}


static void
ngx_http_sp_llm_list_all(const ngx_array_t *models, ngx_uint_t form,
    sp_out_t *out)
{
    ngx_uint_t                 i;
    ngx_http_sp_llm_listed_t  *listed;

    listed = models->elts;

    for (i = 0; i < models->nelts; i++) {
        sp_out_str(out, i != 0 ? "," : "");
        sp_out_put(out, (char *) listed[i].text[form].data,
                   listed[i].text[form].len);
    }
}


/* OpenAI's four members, and what a client must know to choose */

static void
ngx_http_sp_llm_model_openai(const void *what, sp_out_t *out)
{
    const ngx_http_sp_model_t   *model = what;

    const ngx_http_sp_target_t  *target;

    target = model->targets.elts;

    sp_out_str(out, "{\"id\":\"");
    sp_out_text(out, (char *) model->alias.data, model->alias.len);
    sp_out_str(out, "\",\"object\":\"model\",\"created\":0,\"owned_by\":\"");
    sp_out_text(out, (char *) target->provider->name.data,
                target->provider->name.len);
    sp_out_str(out, "\",\"kind\":\"");
    sp_out_str(out, ngx_http_sp_model_kind(model->kind));

    sp_out_str(out, "\",\"context_window\":");
    ngx_http_sp_llm_model_tokens(model,
                                 offsetof(ngx_http_sp_target_t, context),
                                 out);
    sp_out_str(out, ",\"max_output_tokens\":");
    ngx_http_sp_llm_model_tokens(model,
                                 offsetof(ngx_http_sp_target_t, output),
                                 out);
    ngx_http_sp_llm_model_can(model, out);
    sp_out_str(out, "}");
}


static void
ngx_http_sp_llm_model_can(const ngx_http_sp_model_t *model, sp_out_t *out)
{
    ngx_uint_t   i;
    const char  *comma, *name;

    if (model->capabilities == 0) {
        sp_out_str(out, ",\"capabilities\":null,\"modalities\":null");
        return;
    }

    sp_out_str(out, ",\"capabilities\":[");
    comma = "";

    for (i = 0; ngx_http_sp_capability(i) != NULL; i++) {

        name = ngx_http_sp_capability(i);

        if (model->capabilities & (1 << i)) {
            sp_out_str(out, comma);
            sp_out_str(out, "\"");
            sp_out_str(out, name);
            sp_out_str(out, "\"");
            comma = ",";
        }
    }

    sp_out_str(out, "],\"modalities\":{\"input\":[\"text\"");
    sp_out_str(out, model->capabilities & NGX_HTTP_SP_CAN_VISION
                    ? ",\"image\"" : "");
    sp_out_str(out, model->capabilities & NGX_HTTP_SP_CAN_AUDIO
                    ? ",\"audio\"" : "");
    sp_out_str(out, model->capabilities & NGX_HTTP_SP_CAN_FILES
                    ? ",\"file\"" : "");
    sp_out_str(out, "],\"output\":[\"text\"]}");
}


static void
ngx_http_sp_llm_model_anthropic(const void *what, sp_out_t *out)
{
    const ngx_http_sp_model_t  *model = what;

    sp_out_str(out, "{\"type\":\"model\",\"id\":\"");
    sp_out_text(out, (char *) model->alias.data, model->alias.len);
    sp_out_str(out, "\",\"display_name\":\"");
    sp_out_text(out, (char *) model->alias.data, model->alias.len);
    sp_out_str(out, "\",\"created_at\":\"1970-01-01T00:00:00Z\","
                    "\"max_input_tokens\":");
    ngx_http_sp_llm_model_tokens(model,
                                 offsetof(ngx_http_sp_target_t, context),
                                 out);
    sp_out_str(out, ",\"max_tokens\":");
    ngx_http_sp_llm_model_tokens(model,
                                 offsetof(ngx_http_sp_target_t, output),
                                 out);
    sp_out_str(out, "}");
}


/* what each target has, since any of them may be asked; null: not known */

static void
ngx_http_sp_llm_model_tokens(const ngx_http_sp_model_t *model, size_t field,
    sp_out_t *out)
{
    size_t                       least, n;
    ngx_uint_t                   i;
    const ngx_http_sp_target_t  *target;

    target = model->targets.elts;
    least = 0;

    for (i = 0; i < model->targets.nelts; i++) {
        n = *(size_t *) ((u_char *) &target[i] + field);

        if (n == 0) {
            sp_out_str(out, "null");
            return;
        }

        least = (least == 0) ? n : ngx_min(least, n);
    }

    sp_out_integer(out, (int64_t) least);
}


/* behind the location's own path may be the name of a model */

ngx_int_t
ngx_http_sp_llm_models_handler(ngx_http_request_t *r)
{
    ngx_str_t                     name;
    ngx_uint_t                    form, i;
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_sp_llm_listed_t     *listed;
    ngx_http_sp_llm_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_llm_module);
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    form = ngx_http_sp_llm_list_form(r);

    ngx_str_null(&name);

    if (clcf->name.len < r->uri.len
        && ngx_strncmp(clcf->name.data, r->uri.data, clcf->name.len) == 0)
    {
        name.data = r->uri.data + clcf->name.len;
        name.len = r->uri.len - clcf->name.len;

        if (name.data[0] == '/') {
            name.data++;
            name.len--;

        } else if (r->uri.data[clcf->name.len - 1] != '/') {
            return NGX_HTTP_NOT_FOUND;
        }
    }

    if (name.len == 0) {
        return ngx_http_sp_send_json(r, NGX_HTTP_OK, &lmcf->lists[form]);
    }

    listed = lmcf->models.elts;

    for (i = 0; i < lmcf->models.nelts; i++) {

        if (listed[i].alias.len == name.len
            && ngx_memcmp(listed[i].alias.data, name.data, name.len) == 0)
        {
            return ngx_http_sp_send_json(r, NGX_HTTP_OK,
                                         &listed[i].text[form]);
        }
    }

    (void) ngx_http_sp_error(r, NGX_HTTP_NOT_FOUND, "model_not_found",
                             "the model does not exist, GET /v1/models lists "
                             "those that do");

    return ngx_http_sp_error_param(r, "model");
}


static ngx_uint_t
ngx_http_sp_llm_list_form(ngx_http_request_t *r)
{
    static const ngx_str_t  name = ngx_string("anthropic-version");

    return (ngx_http_sp_next_header(&r->headers_in.headers, &name, NULL)
            != NULL)
           ? NGX_HTTP_SP_LLM_LIST_ANTHROPIC : NGX_HTTP_SP_LLM_LIST_OPENAI;
}
