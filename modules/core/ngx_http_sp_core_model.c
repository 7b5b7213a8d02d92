
/*
 * Copyright (C) Sallyport authors
 *
 * The registry of models: aliases, the targets behind them, and who names
 * them.
 */


#include "ngx_http_sp_core_int.h"


/* a directive that names a model, perhaps one that is defined further down */

typedef struct {
    ngx_http_sp_model_t       *model;
    ngx_http_sp_model_kind_e   kind;
    ngx_str_t                  directive;
    ngx_str_t                  file;
    ngx_uint_t                 line;
    unsigned                   beside:1;
} ngx_http_sp_model_use_t;


static ngx_http_sp_model_t *ngx_http_sp_model_lookup(
    ngx_http_sp_core_main_conf_t *mcf, const ngx_str_t *alias);
static ngx_http_sp_model_t *ngx_http_sp_model_get(ngx_conf_t *cf,
    const ngx_str_t *alias);
static ngx_int_t ngx_http_sp_model_arg(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_http_sp_model_t *model, ngx_http_sp_target_t *target);
static ngx_int_t ngx_http_sp_model_price(ngx_conf_t *cf, const ngx_str_t *arg,
    const ngx_str_t *text, ngx_http_sp_target_t *target);
static ngx_uint_t ngx_http_sp_model_tokens(const ngx_str_t *arg,
    const char *name, size_t *tokens);
static char *ngx_http_sp_model_add_target(ngx_conf_t *cf,
    const ngx_http_sp_model_t *line, const ngx_http_sp_target_t *target);
static ngx_int_t ngx_http_sp_model_check(ngx_conf_t *cf,
    const ngx_http_sp_model_t *model, const ngx_http_sp_model_t *line,
    const ngx_http_sp_target_t *target);
static ngx_int_t ngx_http_sp_model_unfit(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf, const ngx_http_sp_model_use_t *use);
static ngx_int_t ngx_http_sp_model_beside(ngx_conf_t *cf,
    const ngx_http_sp_model_use_t *use);
static void ngx_http_sp_model_draw(const ngx_http_sp_target_t **targets,
    ngx_uint_t n);


static const char  *const ngx_http_sp_model_kinds[] = {
    "chat", "embedding", "image", "speech", "transcription"
};


ngx_int_t
ngx_http_sp_models_create(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf)
{
    if (ngx_array_init(&mcf->providers, cf->pool, 4, sizeof(void *)) != NGX_OK
        || ngx_array_init(&mcf->breakers, cf->pool, 16, sizeof(void *))
           != NGX_OK
        || ngx_array_init(&mcf->models, cf->pool, 8, sizeof(void *)) != NGX_OK
        || ngx_array_init(&mcf->tokenizers, cf->pool, 2, sizeof(void *))
           != NGX_OK
        || ngx_array_init(&mcf->model_uses, cf->pool, 8,
                          sizeof(ngx_http_sp_model_use_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_http_sp_model_t *
ngx_http_sp_model(ngx_conf_t *cf, const ngx_str_t *alias,
    ngx_http_sp_model_kind_e kind, ngx_uint_t beside)
{
    ngx_str_t                     *value;
    ngx_http_sp_model_t           *model;
    ngx_http_sp_model_use_t       *use;
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);
    value = cf->args->elts;

    if (alias->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" needs the name of a model", &value[0]);
        return NULL;
    }

    model = ngx_http_sp_model_get(cf, alias);
    use = ngx_array_push(&mcf->model_uses);

    if (model == NULL || use == NULL) {
        return NULL;
    }

    use->model = model;
    use->kind = kind;
    use->directive = value[0];
    use->file = cf->conf_file->file.name;
    use->line = cf->conf_file->line;
    use->beside = beside;

    return model;
}


ngx_http_sp_model_t *
ngx_http_sp_find_model(ngx_http_request_t *r, const ngx_str_t *alias,
    ngx_http_sp_model_kind_e kind)
{
    ngx_http_sp_model_t           *model;
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_sp_core_module);
    model = ngx_http_sp_model_lookup(mcf, alias);

    return (model != NULL && model->kind == kind && !model->internal)
           ? model : NULL;
}


const ngx_array_t *
ngx_http_sp_models(ngx_conf_t *cf)
{
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);

    return &mcf->models;
}


static ngx_http_sp_model_t *
ngx_http_sp_model_lookup(ngx_http_sp_core_main_conf_t *mcf,
    const ngx_str_t *alias)
{
    ngx_uint_t             i;
    ngx_http_sp_model_t  **model;

    model = mcf->models.elts;

    for (i = 0; i < mcf->models.nelts; i++) {
        if (model[i]->alias.len == alias->len
            && ngx_memcmp(model[i]->alias.data, alias->data, alias->len) == 0)
        {
            return model[i];
        }
    }

    return NULL;
}


static ngx_http_sp_model_t *
ngx_http_sp_model_get(ngx_conf_t *cf, const ngx_str_t *alias)
{
    ngx_http_sp_model_t           *model, **elt;
    ngx_http_sp_core_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sp_core_module);
    model = ngx_http_sp_model_lookup(mcf, alias);

    if (model != NULL) {
        return model;
    }

    model = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_model_t));
    elt = ngx_array_push(&mcf->models);

    if (model == NULL
        || elt == NULL
        || ngx_array_init(&model->targets, cf->pool, 2,
                          sizeof(ngx_http_sp_target_t))
           != NGX_OK)
    {
        return NULL;
    }

    model->alias = *alias;
    *elt = model;

    return model;
}


/*
 * model REAL [as=ALIAS]
 *       [kind=chat|embedding|image|speech|transcription]
 *       [context=TOKENS] [output=TOKENS] [capabilities=LIST]
 *       [tokenizer=NAME|off] [weight=NUMBER] [backup] [internal] [price=...]
 *       [unit_price=AMOUNT]
 */

char *
ngx_http_sp_model_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_provider_t *provider = conf;

    ngx_str_t             *value;
    ngx_uint_t             i;
    ngx_http_sp_model_t    line;
    ngx_http_sp_target_t   target;

    ngx_memzero(&line, sizeof(ngx_http_sp_model_t));
    ngx_memzero(&target, sizeof(ngx_http_sp_target_t));

    value = cf->args->elts;

    line.alias = value[1];

    target.name = value[1];
    target.provider = provider;
    target.weight = 1;

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_sp_model_arg(cf, &value[i], &line, &target) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    provider->models++;
    provider->kinds |= 1 << line.kind;

    return ngx_http_sp_model_add_target(cf, &line, &target);
}


static ngx_int_t
ngx_http_sp_model_arg(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_http_sp_model_t *model, ngx_http_sp_target_t *target)
{
    ngx_str_t   text;
    ngx_uint_t  kind;

    if (ngx_sp_conf_arg(arg, "as=", &text) && text.len != 0) {
        model->alias = text;
        return NGX_OK;
    }

    if (ngx_sp_conf_arg(arg, "kind=", &text)) {

        for (kind = 0; kind < NGX_HTTP_SP_MODEL_KINDS; kind++) {

            if (ngx_strcmp(text.data, ngx_http_sp_model_kinds[kind]) == 0) {
                model->kind = (ngx_http_sp_model_kind_e) kind;
                return NGX_OK;
            }
        }
    }

    if (ngx_http_sp_model_tokens(arg, "context=", &target->context)
        || ngx_http_sp_model_tokens(arg, "output=", &target->output))
    {
        return NGX_OK;
    }

    if (ngx_sp_conf_arg(arg, "capabilities=", &text)) {
        return ngx_http_sp_capabilities(cf, &text, &model->capabilities);
    }

    if (ngx_sp_conf_arg(arg, "tokenizer=", &text) && text.len != 0) {
        return ngx_http_sp_tokenizer_arg(cf, &text, target);
    }

    if (ngx_sp_conf_arg(arg, "weight=", &text)) {
        return ngx_sp_conf_number(cf, "model", "weight=", &text, 1, 1000,
                                  &target->weight);
    }

    if (ngx_sp_conf_arg(arg, "price=", &text)
        || ngx_sp_conf_arg(arg, "unit_price=", &text))
    {
        return ngx_http_sp_model_price(cf, arg, &text, target);
    }

    if (ngx_strcmp(arg->data, "backup") == 0) {
        target->backup = 1;
        return NGX_OK;
    }

    if (ngx_strcmp(arg->data, "internal") == 0) {
        model->internal = 1;
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"model\", expected "
                       "as=ALIAS, kind=chat, kind=embedding, kind=image, "
                       "kind=speech, kind=transcription, context=TOKENS, "
                       "output=TOKENS, capabilities=LIST, tokenizer=NAME, "
                       "weight=NUMBER, price=INPUT/OUTPUT, "
                       "unit_price=AMOUNT, backup or internal", arg);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_sp_model_price(ngx_conf_t *cf, const ngx_str_t *arg,
    const ngx_str_t *text, ngx_http_sp_target_t *target)
{
    if (arg->data[0] == 'p') {

        if (sp_price_parse(&target->price, (char *) text->data, text->len)
            == SP_OK)
        {
            target->priced = 1;
            return NGX_OK;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid price in \"%V\" of \"model\", expected "
                           "price=INPUT/OUTPUT[/CACHED[/CACHE_WRITE]], each "
                           "for a million tokens, 0 to 1000000 with up to "
                           "9 decimals", arg);
        return NGX_ERROR;
    }

    if (sp_price_amount(&target->unit_price, (char *) text->data, text->len)
        == SP_OK)
    {
        target->unit_priced = 1;
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid price in \"%V\" of \"model\", expected "
                       "unit_price=AMOUNT, for one image, character or "
                       "second, 0 to 1000000 with up to 9 decimals", arg);

    return NGX_ERROR;
}


static ngx_uint_t
ngx_http_sp_model_tokens(const ngx_str_t *arg, const char *name,
    size_t *tokens)
{
    ssize_t    n;
    ngx_str_t  text;

    if (!ngx_sp_conf_arg(arg, name, &text)) {
        return 0;
    }

    n = ngx_parse_size(&text);

    if (n <= 0) {
        return 0;
    }

    *tokens = n;

    return 1;
}


/* an alias of several targets: where one fails the next one is asked */

static char *
ngx_http_sp_model_add_target(ngx_conf_t *cf, const ngx_http_sp_model_t *line,
    const ngx_http_sp_target_t *target)
{
    ngx_http_sp_model_t   *model;
    ngx_http_sp_target_t  *t;

    model = ngx_http_sp_model_get(cf, &line->alias);

    if (model == NULL
        || ngx_http_sp_model_check(cf, model, line, target) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    model->kind = line->kind;
    model->internal = line->internal;
    model->capabilities = line->capabilities;

    t = ngx_array_push(&model->targets);
    if (t == NULL) {
        return NGX_CONF_ERROR;
    }

    *t = *target;

    return (ngx_http_sp_target_metrics(cf, model, t) == NGX_OK)
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_sp_model_check(ngx_conf_t *cf, const ngx_http_sp_model_t *model,
    const ngx_http_sp_model_t *line, const ngx_http_sp_target_t *target)
{
    ngx_uint_t             i;
    ngx_http_sp_target_t  *t;

    t = model->targets.elts;

    if (model->targets.nelts != 0 && model->kind != line->kind) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is kind=%s here and kind=%s in "
                           "llm_provider \"%V\"", &model->alias,
                           ngx_http_sp_model_kinds[line->kind],
                           ngx_http_sp_model_kinds[model->kind],
                           &t[0].provider->name);
        return NGX_ERROR;
    }

    if (model->targets.nelts != 0 && model->internal != line->internal) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is internal here or in llm_provider "
                           "\"%V\": say it in both, or in none",
                           &model->alias, &t[0].provider->name);
        return NGX_ERROR;
    }

    if (model->targets.nelts != 0
        && model->capabilities != line->capabilities)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" has other capabilities here than in "
                           "llm_provider \"%V\": say the same in both, or "
                           "none", &model->alias, &t[0].provider->name);
        return NGX_ERROR;
    }

    if (line->capabilities != 0 && line->kind != NGX_HTTP_SP_MODEL_CHAT) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"capabilities\" are of models with kind=chat, "
                           "\"%V\" is kind=%s", &line->alias,
                           ngx_http_sp_model_kinds[line->kind]);
        return NGX_ERROR;
    }

    if (target->unit_priced && line->kind < NGX_HTTP_SP_MODEL_IMAGE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"unit_price\" is of models with kind=image, "
                           "speech or transcription, \"%V\" is kind=%s",
                           &line->alias, ngx_http_sp_model_kinds[line->kind]);
        return NGX_ERROR;
    }

    for (i = 0; i < model->targets.nelts; i++) {
        if (t[i].provider == target->provider
            && t[i].name.len == target->name.len
            && ngx_memcmp(t[i].name.data, target->name.data, t[i].name.len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "model \"%V\" is named twice for \"%V\" in "
                               "llm_provider \"%V\"", &target->name,
                               &model->alias, &target->provider->name);
            return NGX_ERROR;
        }
    }

    if (model->targets.nelts == NGX_HTTP_SP_MODEL_TARGETS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" has more than %d models",
                           &model->alias, NGX_HTTP_SP_MODEL_TARGETS);
        return NGX_ERROR;
    }

    return NGX_OK;
}


const char *
ngx_http_sp_model_kind(ngx_http_sp_model_kind_e kind)
{
    return ngx_http_sp_model_kinds[kind];
}


/* when all providers are there: whoever names a model names a fit one */

ngx_int_t
ngx_http_sp_models_init(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf)
{
    ngx_uint_t                i;
    ngx_http_sp_model_use_t  *use;

    if (ngx_http_sp_tokenizers_init(cf, mcf) != NGX_OK) {
        return NGX_ERROR;
    }

    use = mcf->model_uses.elts;

    for (i = 0; i < mcf->model_uses.nelts; i++) {

        if (use[i].model->targets.nelts == 0
            || use[i].model->kind != use[i].kind)
        {
            return ngx_http_sp_model_unfit(cf, mcf, &use[i]);
        }

        if (use[i].beside
            && ngx_http_sp_model_beside(cf, &use[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_model_unfit(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf,
    const ngx_http_sp_model_use_t *use)
{
    u_char                *p, *last, text[NGX_MAX_CONF_ERRSTR];
    ngx_uint_t             i;
    ngx_http_sp_model_t  **model;

    model = mcf->models.elts;
    p = text;
    last = text + sizeof(text);

    for (i = 0; i < mcf->models.nelts; i++) {
        if (model[i]->targets.nelts != 0 && model[i]->kind == use->kind) {
            p = ngx_slprintf(p, last, ", %V", &model[i]->alias);
        }
    }

    if (p == text) {
        p = ngx_slprintf(p, last, ", none is there");
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "no llm_provider has a model \"%V\" with kind=%s for "
                  "\"%V\", allowed: %*s in %V:%ui", &use->model->alias,
                  ngx_http_sp_model_kinds[use->kind], &use->directive,
                  (size_t) (p - text - 2), text + 2, &use->file, use->line);

    return NGX_ERROR;
}


/* a fetch connects by itself */

static ngx_int_t
ngx_http_sp_model_beside(ngx_conf_t *cf, const ngx_http_sp_model_use_t *use)
{
    ngx_uint_t                     i;
    const char                    *what;
    ngx_http_sp_target_t          *target;
    ngx_http_sp_relay_endpoint_t  *endpoint;

    target = use->model->targets.elts;

    for (i = 0; i < use->model->targets.nelts; i++) {
        endpoint = &target[i].provider->endpoint;

        what = (endpoint->upstream_name.len != 0) ? "an \"upstream\""
               : (endpoint->url.family == AF_UNIX) ? "a unix socket" : NULL;

        if (what != NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "llm_provider \"%V\" of model \"%V\" has %s, "
                          "\"%V\" needs a host in its \"url\" and nothing "
                          "else in %V:%ui", &target[i].provider->name,
                          &use->model->alias, what, &use->directive,
                          &use->file, use->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_http_sp_model_order(const ngx_http_sp_model_t *model,
    const ngx_http_sp_target_t **targets)
{
    ngx_uint_t                   backup, first, i, n;
    const ngx_http_sp_target_t  *target;

    target = model->targets.elts;
    n = 0;

    for (backup = 0; backup < 2; backup++) {
        first = n;

        for (i = 0; i < model->targets.nelts; i++) {
            if (target[i].backup == backup) {
                targets[n++] = &target[i];
            }
        }

        ngx_http_sp_model_draw(targets + first, n - first);
    }
}


/* each place goes to one of those that are left, as likely as its weight */

static void
ngx_http_sp_model_draw(const ngx_http_sp_target_t **targets, ngx_uint_t n)
{
    ngx_uint_t                   i, sum, x;
    const ngx_http_sp_target_t  *drawn;

    for ( /* void */ ; n > 1; targets++, n--) {

        sum = 0;

        for (i = 0; i < n; i++) {
            sum += targets[i]->weight;
        }

        x = ngx_random() % sum;

        for (i = 0; x >= targets[i]->weight; i++) {
            x -= targets[i]->weight;
        }

        drawn = targets[i];
        targets[i] = targets[0];
        targets[0] = drawn;
    }
}
