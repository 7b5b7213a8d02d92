
/*
 * Copyright (C) Sallyport authors
 */


#include "ngx_http_sp_llm.h"


static char *ngx_http_sp_llm_pass_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_sp_llm_form_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_sp_llm_pass_dialect(ngx_conf_t *cf);
static char *ngx_http_sp_llm_models_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_sp_llm_characters(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_sp_llm_keepalive_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_sp_llm_preconfiguration(ngx_conf_t *cf);
static void *ngx_http_sp_llm_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_sp_llm_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_sp_llm_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_sp_llm_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_sp_llm_init_process(ngx_cycle_t *cycle);
static void ngx_http_sp_llm_exit_process(ngx_cycle_t *cycle);


static ngx_conf_enum_t  ngx_http_sp_llm_system[] = {
    { ngx_string("allow"), NGX_HTTP_SP_LLM_ALLOW },
    { ngx_string("merge"), NGX_HTTP_SP_LLM_MERGE },
    { ngx_string("refuse"), NGX_HTTP_SP_LLM_REFUSE },
    { ngx_null_string, 0 }
};


static ngx_sp_conf_bounds_t  ngx_http_sp_llm_tries = {
    1, 64, "the number of tries, 1 to 64"
};


static ngx_sp_conf_bounds_t  ngx_http_sp_llm_time = {
    1, 24 * 3600 * 1000, "a time from 1ms to 24h"
};


static ngx_command_t  ngx_http_sp_llm_commands[] = {

    { ngx_string("llm_pass"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_sp_llm_pass_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      NGX_HTTP_SP_MODEL_CHAT,
      NULL },

    { ngx_string("llm_chat"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_sp_llm_chat_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("llm_embeddings"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_sp_llm_pass_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      NGX_HTTP_SP_MODEL_EMBEDDING,
      NULL },

    { ngx_string("llm_images"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_sp_llm_pass_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      NGX_HTTP_SP_MODEL_IMAGE,
      NULL },

    { ngx_string("llm_speech"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_sp_llm_pass_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      NGX_HTTP_SP_MODEL_SPEECH,
      NULL },

    { ngx_string("llm_transcriptions"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_sp_llm_form_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("llm_count_tokens"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_sp_llm_count_conf,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("llm_translations"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_sp_llm_form_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      1,
      NULL },

    { ngx_string("llm_models"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_sp_llm_models_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("llm_system_messages"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_llm_loc_conf_t, system),
      &ngx_http_sp_llm_system },

    { ngx_string("llm_message_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_llm_loc_conf_t, message_limit),
      NULL },

    { ngx_string("llm_context_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_sp_llm_context_conf,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("llm_event_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_llm_loc_conf_t, event_size),
      NULL },

    { ngx_string("llm_answer_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_llm_loc_conf_t, answer_size),
      NULL },

    { ngx_string("llm_receipt"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_sp_llm_receipt_conf,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("llm_cache"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_sp_llm_cache_conf,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("llm_keepalive"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_sp_llm_keepalive_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("llm_idempotency"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF
                        |NGX_CONF_TAKE1234,
      ngx_http_sp_llm_idempotency_conf,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("llm_chats"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_sp_llm_chats_conf,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("llm_characters"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE123,
      ngx_http_sp_llm_characters,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("llm_locale"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_sp_llm_locale_conf,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("llm_tries"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_sp_conf_number_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_llm_loc_conf_t, tries),
      &ngx_http_sp_llm_tries },

    { ngx_string("llm_retry_within"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_sp_conf_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_llm_loc_conf_t, retry_within),
      &ngx_http_sp_llm_time },

    { ngx_string("llm_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_sp_conf_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sp_llm_loc_conf_t, timeout),
      &ngx_http_sp_llm_time },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_sp_llm_module_ctx = {
    ngx_http_sp_llm_preconfiguration,      /* preconfiguration */
    ngx_http_sp_llm_postconfiguration,     /* postconfiguration */

    ngx_http_sp_llm_create_main_conf,      /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_sp_llm_create_loc_conf,       /* create location configuration */
    ngx_http_sp_llm_merge_loc_conf         /* merge location configuration */
};


ngx_module_t  ngx_http_sp_llm_module = {
    NGX_MODULE_V1,
    &ngx_http_sp_llm_module_ctx,           /* module context */
    ngx_http_sp_llm_commands,              /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_sp_llm_init_process,          /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_sp_llm_exit_process,          /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* who it is is known; nobody has refused it for what it is */

static const ngx_http_sp_step_t  ngx_http_sp_llm_account_step = {
    NGX_HTTP_SP_ABI,
    ngx_string("llm_account"),
    NGX_HTTP_SP_ADMIT,
    1,
    ngx_http_sp_llm_account
};


/* in front of moderation and memory: a refused request costs nothing */

static const ngx_http_sp_step_t  ngx_http_sp_llm_check_step = {
    NGX_HTTP_SP_ABI,
    ngx_string("llm_check"),
    NGX_HTTP_SP_INSPECT,
    50,
    ngx_http_sp_llm_check
};


static const ngx_http_sp_step_t  ngx_http_sp_llm_persona_step = {
    NGX_HTTP_SP_ABI,
    ngx_string("persona"),
    NGX_HTTP_SP_ENRICH,
    100,
    ngx_http_sp_llm_persona
};


static const ngx_http_sp_step_t  ngx_http_sp_llm_locale_step = {
    NGX_HTTP_SP_ABI,
    ngx_string("locale"),
    NGX_HTTP_SP_ENRICH,
    120,
    ngx_http_sp_llm_locale
};


/* what will be sent is known: that it is wanted is judged */

static const ngx_http_sp_step_t  ngx_http_sp_llm_history_step = {
    NGX_HTTP_SP_ABI,
    ngx_string("history"),
    NGX_HTTP_SP_RESERVE,
    50,
    ngx_http_sp_llm_history
};


static const ngx_http_sp_step_t  ngx_http_sp_llm_question_step = {
    NGX_HTTP_SP_ABI,
    ngx_string("question"),
    NGX_HTTP_SP_ENRICH,
    110,
    ngx_http_sp_llm_question
};


static const ngx_http_sp_end_t  ngx_http_sp_llm_question_hook = {
    NGX_HTTP_SP_ABI,
    ngx_string("question"),
    100,
    ngx_http_sp_llm_question_end
};


static const ngx_http_sp_end_t  ngx_http_sp_llm_end_hook = {
    NGX_HTTP_SP_ABI,
    ngx_string("llm"),
    100,
    ngx_http_sp_llm_replay_end
};


/* llm_pass ALIAS [dialect=NAME]; llm_embeddings, _images, _speech ALIAS */

static char *
ngx_http_sp_llm_pass_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_llm_loc_conf_t *llcf = conf;

    ngx_str_t  *value;

    if (llcf->model != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    llcf->kind = (ngx_http_sp_model_kind_e) cmd->offset;
    llcf->model = ngx_http_sp_model(cf, &value[1], llcf->kind, 0);

    if (llcf->model == NULL
        || (llcf->kind == NGX_HTTP_SP_MODEL_CHAT
            && ngx_http_sp_llm_pass_dialect(cf) != NGX_OK))
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_sp_set_content(cf, ngx_http_sp_llm_handler, NGX_HTTP_POST);
}


/* llm_transcriptions ALIAS [types=LIST]; llm_translations the same */

static char *
ngx_http_sp_llm_form_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_llm_loc_conf_t *llcf = conf;

    ngx_str_t  *value, list;

    if (llcf->model != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 3) {

        if (!ngx_sp_conf_arg(&value[2], "types=", &list)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of \"%V\", expected "
                               "types=LIST", &value[2], &value[0]);
            return NGX_CONF_ERROR;
        }

        if (ngx_http_sp_llm_types_conf(cf, llcf, &list) != NGX_CONF_OK) {
            return NGX_CONF_ERROR;
        }
    }

    llcf->translations = cmd->offset;
    llcf->kind = NGX_HTTP_SP_MODEL_TRANSCRIPTION;
    llcf->model = ngx_http_sp_model(cf, &value[1], llcf->kind, 0);

    if (llcf->model == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_http_sp_conf_form(cf);

    return ngx_http_sp_set_content(cf, ngx_http_sp_llm_handler, NGX_HTTP_POST);
}


static ngx_int_t
ngx_http_sp_llm_pass_dialect(ngx_conf_t *cf)
{
    ngx_str_t           *value, name;
    const sp_dialect_t  *dialect;

    value = cf->args->elts;
    dialect = &sp_openai;

    if (cf->args->nelts == 3) {

        if (!ngx_sp_conf_arg(&value[2], "dialect=", &name)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of \"llm_pass\", "
                               "expected dialect=NAME", &value[2]);
            return NGX_ERROR;
        }

        dialect = ngx_http_sp_dialect(cf, &name);

        if (dialect == NULL) {
            return NGX_ERROR;
        }

        if (dialect->parse_request == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "clients do not speak dialect \"%V\"", &name);
            return NGX_ERROR;
        }
    }

    ngx_http_sp_conf_dialect(cf, dialect);

    return NGX_OK;
}


static char *
ngx_http_sp_llm_models_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    return ngx_http_sp_set_content(cf, ngx_http_sp_llm_models_handler,
                                   NGX_HTTP_GET|NGX_HTTP_HEAD);
}


/* llm_characters off | PG [timeout=TIME] [cache=TIME] */

static char *
ngx_http_sp_llm_characters(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_llm_loc_conf_t *llcf = conf;

    ngx_int_t    time;
    ngx_str_t   *value, text;
    ngx_uint_t   i;
    ngx_msec_t  *slot;

    if (llcf->characters != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        llcf->characters = NULL;
        return NGX_CONF_OK;
    }

    llcf->characters = ngx_http_sp_pg(cf, &value[1]);
    if (llcf->characters == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_sp_conf_arg(&value[i], "timeout=", &text)) {
            slot = &llcf->character_timeout;

        } else if (ngx_sp_conf_arg(&value[i], "cache=", &text)) {
            slot = &llcf->character_cache;

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", expected "
                               "timeout=TIME or cache=TIME", &value[i]);
            return NGX_CONF_ERROR;
        }

        time = ngx_parse_time(&text, 0);

        if (time == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid time in \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        *slot = time;
    }

    return NGX_CONF_OK;
}


/* llm_keepalive off | TIME */

static char *
ngx_http_sp_llm_keepalive_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_sp_llm_loc_conf_t *llcf = conf;

    ngx_int_t   time;
    ngx_str_t  *value;

    if (llcf->keepalive != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        llcf->keepalive = 0;
        return NGX_CONF_OK;
    }

    time = ngx_parse_time(&value[1], 0);

    if (time == NGX_ERROR || time == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time \"%V\" of \"llm_keepalive\", "
                           "expected off or a time above 0", &value[1]);
        return NGX_CONF_ERROR;
    }

    llcf->keepalive = time;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_sp_llm_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_sp_add_step(cf, &ngx_http_sp_llm_account_step) != NGX_OK
        || ngx_http_sp_add_step(cf, &ngx_http_sp_llm_check_step) != NGX_OK
        || ngx_http_sp_add_step(cf, &ngx_http_sp_llm_persona_step) != NGX_OK
        || ngx_http_sp_add_step(cf, &ngx_http_sp_llm_locale_step) != NGX_OK
        || ngx_http_sp_add_step(cf, &ngx_http_sp_llm_history_step) != NGX_OK
        || ngx_http_sp_add_step(cf, &ngx_http_sp_llm_question_step) != NGX_OK
        || ngx_http_sp_add_end(cf, &ngx_http_sp_llm_question_hook) != NGX_OK
        || ngx_http_sp_add_end(cf, &ngx_http_sp_llm_end_hook) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sp_llm_variables_add(cf);
}


static void *
ngx_http_sp_llm_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_llm_main_conf_t));
}


static void *
ngx_http_sp_llm_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_sp_llm_loc_conf_t  *llcf;

    /*
     * set by ngx_pcalloc():
     *
     *     llcf->model = NULL;
     *     llcf->kind = 0;
     *     llcf->chat_id = NULL;
     *     llcf->counted = NULL;
     */

    llcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_llm_loc_conf_t));
    if (llcf == NULL) {
        return NULL;
    }

    llcf->system = NGX_CONF_UNSET_UINT;
    llcf->message_limit = NGX_CONF_UNSET_UINT;
    llcf->context = NGX_CONF_UNSET_PTR;
    llcf->event_size = NGX_CONF_UNSET_SIZE;
    llcf->answer_size = NGX_CONF_UNSET_SIZE;
    llcf->cache = NGX_CONF_UNSET_PTR;
    llcf->signer = NGX_CONF_UNSET_PTR;
    llcf->keepalive = NGX_CONF_UNSET_MSEC;
    llcf->idempotency = NGX_CONF_UNSET_PTR;
    llcf->chats = NGX_CONF_UNSET_PTR;
    llcf->chat_timeout = NGX_CONF_UNSET_MSEC;
    llcf->characters = NGX_CONF_UNSET_PTR;
    llcf->character_timeout = NGX_CONF_UNSET_MSEC;
    llcf->character_cache = NGX_CONF_UNSET_MSEC;
    llcf->locale = NGX_CONF_UNSET_PTR;
    llcf->tries = NGX_CONF_UNSET_UINT;
    llcf->retry_within = NGX_CONF_UNSET_MSEC;
    llcf->timeout = NGX_CONF_UNSET_MSEC;

    return llcf;
}


static char *
ngx_http_sp_llm_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_sp_llm_loc_conf_t *prev = parent;
    ngx_http_sp_llm_loc_conf_t *conf = child;

    ngx_conf_merge_uint_value(conf->system, prev->system,
                              NGX_HTTP_SP_LLM_ALLOW);
    ngx_conf_merge_uint_value(conf->message_limit, prev->message_limit, 1000);
    ngx_conf_merge_ptr_value(conf->context, prev->context, NULL);
    ngx_conf_merge_size_value(conf->event_size, prev->event_size, 1048576);
    ngx_conf_merge_size_value(conf->answer_size, prev->answer_size, 262144);
    ngx_conf_merge_ptr_value(conf->cache, prev->cache, NULL);
    ngx_conf_merge_ptr_value(conf->signer, prev->signer, NULL);
    ngx_conf_merge_msec_value(conf->keepalive, prev->keepalive, 15000);
    ngx_conf_merge_ptr_value(conf->idempotency, prev->idempotency, NULL);
    ngx_conf_merge_ptr_value(conf->chats, prev->chats, NULL);
    ngx_conf_merge_msec_value(conf->chat_timeout, prev->chat_timeout, 200);

    if (conf->chat_id != NULL && conf->chats == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"llm_chat\" needs \"llm_chats\" with a server");
        return NGX_CONF_ERROR;
    }

    ngx_conf_merge_ptr_value(conf->characters, prev->characters, NULL);
    ngx_conf_merge_msec_value(conf->character_timeout,
                              prev->character_timeout, 1000);
    ngx_conf_merge_msec_value(conf->character_cache,
                              prev->character_cache, 10000);
    ngx_conf_merge_ptr_value(conf->locale, prev->locale, NULL);
    ngx_conf_merge_uint_value(conf->tries, prev->tries,
                              NGX_HTTP_SP_ROUTE_TRIES);
    ngx_conf_merge_msec_value(conf->retry_within, prev->retry_within,
                              NGX_HTTP_SP_ROUTE_WITHIN);
    ngx_conf_merge_msec_value(conf->timeout, prev->timeout, 1800000);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_sp_llm_postconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_sp_llm_models_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_sp_llm_capture_init();

    return ngx_http_sp_llm_init_filter(cf);
}


static ngx_int_t
ngx_http_sp_llm_init_process(ngx_cycle_t *cycle)
{
    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    ngx_http_sp_llm_replay_init();

    return ngx_http_sp_llm_copies_init(cycle);
}


static void
ngx_http_sp_llm_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_sp_llm_copies_exit();
}
