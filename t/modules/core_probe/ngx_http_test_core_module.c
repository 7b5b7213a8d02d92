
/*
 * Copyright (C) Sallyport authors
 *
 * For tests only: steps, a content handler and turns that do what the
 * arguments of the request say, and leave a trace in X-Trace.
 *
 * A step or the handler is told by its argument, as in "?a=wait:50,refuse":
 *
 *     wait:n    suspended for n ms, once
 *     body      asks for the body; json and chat likewise
 *     refuse    429 with a code of its own
 *     error     NGX_ERROR
 *     pg:n      an op that takes n ms in PostgreSQL
 */


#include "ngx_http_sp_core.h"


#define NGX_HTTP_TEST_STEPS  7


typedef struct {
    ngx_sp_pg_t                   *pg;
} ngx_http_test_core_main_conf_t;


typedef struct {
    ngx_flag_t                     steps;
} ngx_http_test_core_loc_conf_t;


typedef struct {
    ngx_http_request_t            *request;
    ngx_event_t                    timer;
    ngx_sp_pg_op_t                 op;
    ngx_sp_pg_query_t              query;
    ngx_str_t                      param;
    ngx_uint_t                     next;      /* action, by position */
    unsigned                       waited:1;
    unsigned                       submitted:1;
} ngx_http_test_core_unit_t;


typedef struct {
    u_char                        *trace;
    size_t                         len;
    ngx_http_test_core_unit_t      units[NGX_HTTP_TEST_STEPS + 1];
} ngx_http_test_core_ctx_t;


ngx_int_t ngx_http_test_core_job_kinds(ngx_conf_t *cf, ngx_sp_pg_t *pg);
ngx_int_t ngx_http_test_core_ends(ngx_conf_t *cf, ngx_sp_pg_t *pg);

static ngx_int_t ngx_http_test_core_preconfiguration(ngx_conf_t *cf);
static void *ngx_http_test_core_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_test_core_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_test_core_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_test_core_enable(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_test_core_content(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_test_core_abi(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_test_core_pg(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_test_core_cors(ngx_http_request_t *r);
static ngx_int_t ngx_http_test_core_identify(ngx_http_request_t *r);
static ngx_int_t ngx_http_test_core_a(ngx_http_request_t *r);
static ngx_int_t ngx_http_test_core_b(ngx_http_request_t *r);
static ngx_int_t ngx_http_test_core_reserve(ngx_http_request_t *r);
static ngx_int_t ngx_http_test_core_enrich(ngx_http_request_t *r);
static ngx_int_t ngx_http_test_core_admit(ngx_http_request_t *r);
static ngx_int_t ngx_http_test_core_step(ngx_http_request_t *r,
    ngx_uint_t i);
static ngx_int_t ngx_http_test_core_unit(ngx_http_request_t *r,
    ngx_http_test_core_ctx_t *ctx, ngx_uint_t i);
static ngx_int_t ngx_http_test_core_act(ngx_http_request_t *r,
    ngx_http_test_core_unit_t *unit, const ngx_str_t *action);
static ngx_int_t ngx_http_test_core_wait(ngx_http_request_t *r,
    ngx_http_test_core_unit_t *unit, ngx_msec_t ms);
static void ngx_http_test_core_timer_handler(ngx_event_t *ev);
static void ngx_http_test_core_timer_cleanup(void *data);
static ngx_int_t ngx_http_test_core_sleep(ngx_http_request_t *r,
    ngx_http_test_core_unit_t *unit, const ngx_str_t *ms);
static ngx_http_test_core_ctx_t *ngx_http_test_core_ctx(
    ngx_http_request_t *r);
static void ngx_http_test_core_trace(ngx_http_test_core_ctx_t *ctx,
    const char *name, ngx_int_t rc);
static ngx_int_t ngx_http_test_core_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_test_core_turn(ngx_http_request_t *r,
    const ngx_str_t *finish);
static ngx_int_t ngx_http_test_core_answer(ngx_http_request_t *r);


#define NGX_HTTP_TEST_TRACE  512


static const char  *ngx_http_test_core_names[] = {
    "cors", "identify", "a", "b", "reserve", "enrich", "admit",
    "content"
};


/* registered against their order, which must not matter */

static const ngx_http_sp_step_t  ngx_http_test_core_steps[] = {
    { NGX_HTTP_SP_ABI, ngx_string("test_enrich"), NGX_HTTP_SP_ENRICH, 900,
      ngx_http_test_core_enrich },
    { NGX_HTTP_SP_ABI, ngx_string("test_reserve"), NGX_HTTP_SP_RESERVE, 900,
      ngx_http_test_core_reserve },
    { NGX_HTTP_SP_ABI, ngx_string("test_b"), NGX_HTTP_SP_INSPECT, 901,
      ngx_http_test_core_b },
    { NGX_HTTP_SP_ABI, ngx_string("test_a"), NGX_HTTP_SP_INSPECT, 900,
      ngx_http_test_core_a },
    { NGX_HTTP_SP_ABI, ngx_string("test_admit"), NGX_HTTP_SP_ADMIT, 900,
      ngx_http_test_core_admit },
    { NGX_HTTP_SP_ABI, ngx_string("test_identify"), NGX_HTTP_SP_IDENTIFY, 900,
      ngx_http_test_core_identify },
    { NGX_HTTP_SP_ABI, ngx_string("test_cors"), NGX_HTTP_SP_CORS, 900,
      ngx_http_test_core_cors }
};


static const ngx_sp_pg_statement_t  ngx_http_test_core_sleep_sql = {
    ngx_string("select pg_sleep($1::float8 / 1000)"),
    1
};


static ngx_command_t  ngx_http_test_core_commands[] = {

    { ngx_string("test_steps"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_http_test_core_enable,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_test_core_loc_conf_t, steps),
      NULL },

    { ngx_string("test_content"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_test_core_content,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("test_abi"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_NOARGS,
      ngx_http_test_core_abi,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("test_pg"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_test_core_pg,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_test_core_module_ctx = {
    ngx_http_test_core_preconfiguration,   /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_test_core_create_main_conf,   /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_test_core_create_loc_conf,    /* create location configuration */
    ngx_http_test_core_merge_loc_conf      /* merge location configuration */
};


ngx_module_t  ngx_http_test_core_module = {
    NGX_MODULE_V1,
    &ngx_http_test_core_module_ctx,        /* module context */
    ngx_http_test_core_commands,           /* module directives */
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


static ngx_int_t
ngx_http_test_core_preconfiguration(ngx_conf_t *cf)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_TEST_STEPS; i++) {
        if (ngx_http_sp_add_step(cf, &ngx_http_test_core_steps[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void *
ngx_http_test_core_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_test_core_main_conf_t));
}


static void *
ngx_http_test_core_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_test_core_loc_conf_t  *tlcf;

    tlcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_test_core_loc_conf_t));
    if (tlcf == NULL) {
        return NULL;
    }

    tlcf->steps = NGX_CONF_UNSET;

    return tlcf;
}


static char *
ngx_http_test_core_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_test_core_loc_conf_t *prev = parent;
    ngx_http_test_core_loc_conf_t *conf = child;

    ngx_conf_merge_value(conf->steps, prev->steps, 0);

    return NGX_CONF_OK;
}


/* one of the steps proves an identity */

static char *
ngx_http_test_core_enable(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                          *rv;
    ngx_http_test_core_loc_conf_t *lcf = conf;

    rv = ngx_conf_set_flag_slot(cf, cmd, conf);

    if (rv == NGX_CONF_OK) {
        ngx_http_sp_conf_identity(cf, lcf->steps);
    }

    return rv;
}


static char *
ngx_http_test_core_content(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_sp_set_content(cf, ngx_http_test_core_handler, 0);
}


/* as a plugin that was built with another header */

static char *
ngx_http_test_core_abi(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    static const ngx_http_sp_step_t  step = {
        NGX_HTTP_SP_ABI + 1, ngx_string("test_old"), NGX_HTTP_SP_CORS, 1,
        ngx_http_test_core_cors
    };

    return (ngx_http_sp_add_step(cf, &step) == NGX_OK)
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* test_pg server [jobs|ends] */

static char *
ngx_http_test_core_pg(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_test_core_main_conf_t *tmcf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    tmcf->pg = ngx_http_sp_pg(cf, &value[1]);
    if (tmcf->pg == NULL) {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[2].data, "ends") == 0) {
        return (ngx_http_test_core_ends(cf, tmcf->pg) == NGX_OK)
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    return (ngx_http_test_core_job_kinds(cf, tmcf->pg) == NGX_OK)
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_test_core_cors(ngx_http_request_t *r)
{
    return ngx_http_test_core_step(r, 0);
}


static ngx_int_t
ngx_http_test_core_identify(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_str_t               sub;
    ngx_http_sp_identity_t  identity;

    rc = ngx_http_test_core_step(r, 1);

    if (rc != NGX_OK
        || ngx_http_arg(r, (u_char *) "sub", 3, &sub) != NGX_OK)
    {
        return rc;
    }

    ngx_memzero(&identity, sizeof(ngx_http_sp_identity_t));

    identity.sub = sub;
    ngx_str_set(&identity.tier, "free");
    ngx_str_set(&identity.claims, "{}");
    (void) ngx_http_arg(r, (u_char *) "role", 4, &identity.role);
    (void) ngx_http_arg(r, (u_char *) "scope", 5, &identity.scope);

    return ngx_http_sp_set_identity(r, &identity);
}


static ngx_int_t
ngx_http_test_core_a(ngx_http_request_t *r)
{
    return ngx_http_test_core_step(r, 2);
}


static ngx_int_t
ngx_http_test_core_b(ngx_http_request_t *r)
{
    return ngx_http_test_core_step(r, 3);
}


static ngx_int_t
ngx_http_test_core_reserve(ngx_http_request_t *r)
{
    return ngx_http_test_core_step(r, 4);
}


static ngx_int_t
ngx_http_test_core_enrich(ngx_http_request_t *r)
{
    return ngx_http_test_core_step(r, 5);
}


/* beside the quota: only where it is told to do something */

static ngx_int_t
ngx_http_test_core_admit(ngx_http_request_t *r)
{
    ngx_str_t  value;

    if (ngx_http_arg(r, (u_char *) "admit", sizeof("admit") - 1, &value)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_http_test_core_step(r, 6);
}


static ngx_int_t
ngx_http_test_core_step(ngx_http_request_t *r, ngx_uint_t i)
{
    ngx_int_t                       rc;
    ngx_http_test_core_ctx_t       *ctx;
    ngx_http_test_core_loc_conf_t  *tlcf;

    tlcf = ngx_http_get_module_loc_conf(r, ngx_http_test_core_module);

    if (!tlcf->steps) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_test_core_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_test_core_unit(r, ctx, i);

    ngx_http_test_core_trace(ctx, ngx_http_test_core_names[i], rc);

    return rc;
}


static ngx_http_test_core_ctx_t *
ngx_http_test_core_ctx(ngx_http_request_t *r)
{
    ngx_http_test_core_ctx_t  *ctx;

    ctx = ngx_http_sp_ctx(r, &ngx_http_test_core_module,
                          sizeof(ngx_http_test_core_ctx_t));

    if (ctx == NULL || ctx->trace != NULL) {
        return ctx;
    }

    ctx->trace = ngx_palloc(r->pool, NGX_HTTP_TEST_TRACE);

    return (ctx->trace != NULL) ? ctx : NULL;
}


static void
ngx_http_test_core_trace(ngx_http_test_core_ctx_t *ctx, const char *name,
    ngx_int_t rc)
{
    u_char  *p;

    p = ctx->trace + ctx->len;

    p = ngx_snprintf(p, NGX_HTTP_TEST_TRACE - ctx->len, "%s%s%s",
                     (ctx->len != 0) ? " " : "", name,
                     (rc == NGX_AGAIN) ? "~" : "");

    ctx->len = p - ctx->trace;
}


/* the actions of the argument, from the one that has not passed yet */

static ngx_int_t
ngx_http_test_core_unit(ngx_http_request_t *r, ngx_http_test_core_ctx_t *ctx,
    ngx_uint_t i)
{
    u_char                     *p, *last;
    ngx_int_t                   rc;
    ngx_str_t                   action, value;
    ngx_uint_t                  n;
    ngx_http_test_core_unit_t  *unit;

    unit = &ctx->units[i];
    unit->request = r;

    if (ngx_http_arg(r, (u_char *) ngx_http_test_core_names[i],
                     ngx_strlen(ngx_http_test_core_names[i]), &value)
        != NGX_OK)
    {
        return NGX_OK;
    }

    p = value.data;
    last = p + value.len;

    for (n = 0; p < last; n++) {
        action.data = p;

        while (p < last && *p != ',') {
            p++;
        }

        action.len = p - action.data;
        p++;

        if (n < unit->next) {
            continue;
        }

        rc = ngx_http_test_core_act(r, unit, &action);

        if (rc != NGX_OK) {
            return rc;
        }

        unit->next = n + 1;
        unit->waited = 0;
        unit->submitted = 0;
    }

    return NGX_OK;
}


#define ngx_http_test_core_is(action, name)                                   \
    ((action)->len >= sizeof(name) - 1                                        \
     && ngx_strncmp((action)->data, name, sizeof(name) - 1) == 0)


static ngx_int_t
ngx_http_test_core_act(ngx_http_request_t *r,
    ngx_http_test_core_unit_t *unit, const ngx_str_t *action)
{
    json_t             *value;
    ngx_str_t           arg, body;
    sp_chat_request_t  *chat;

    arg.data = (u_char *) ngx_strlchr(action->data,
                                      action->data + action->len, ':');
    arg.len = 0;

    if (arg.data != NULL) {
        arg.data++;
        arg.len = action->data + action->len - arg.data;
    }

    if (ngx_http_test_core_is(action, "wait:")) {
        return ngx_http_test_core_wait(r, unit,
                                       ngx_atoi(arg.data, arg.len));
    }

    if (ngx_http_test_core_is(action, "body")) {
        return ngx_http_sp_body(r, &body);
    }

    if (ngx_http_test_core_is(action, "raced")) {

        /* a handler that does not wait for what it has asked for */

        (void) ngx_http_sp_body(r, &body);
        return NGX_ERROR;
    }

    if (ngx_http_test_core_is(action, "json")) {
        return ngx_http_sp_json_body(r, &value);
    }

    if (ngx_http_test_core_is(action, "chat")) {
        return ngx_http_sp_chat(r, &chat);
    }

    if (ngx_http_test_core_is(action, "pg:")) {
        return ngx_http_test_core_sleep(r, unit, &arg);
    }

    if (ngx_http_test_core_is(action, "turn:")) {
        return ngx_http_test_core_turn(r, &arg);
    }

    if (ngx_http_test_core_is(action, "settle")) {
        return ngx_http_sp_settle(r);
    }

    if (ngx_http_test_core_is(action, "error")) {
        return NGX_ERROR;
    }

    if (ngx_http_test_core_is(action, "refuse")) {
        (void) ngx_http_sp_retry_after(r, 7);
        (void) ngx_http_sp_error(r, NGX_HTTP_TOO_MANY_REQUESTS,
                                 "test_refused", "refused \"%s\"", "so");
        ngx_http_sp_error_hint(r, "ask less");
        ngx_str_set(&body, "{\"left\":0}");
        ngx_http_sp_error_details(r, &body);

        return NGX_HTTP_TOO_MANY_REQUESTS;
    }

    return ngx_atoi(action->data, action->len);
}


static ngx_int_t
ngx_http_test_core_wait(ngx_http_request_t *r,
    ngx_http_test_core_unit_t *unit, ngx_msec_t ms)
{
    ngx_http_cleanup_t  *cln;

    if (unit->waited) {
        return unit->timer.timer_set ? NGX_AGAIN : NGX_OK;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_test_core_timer_cleanup;
    cln->data = unit;

    unit->waited = 1;
    unit->timer.handler = ngx_http_test_core_timer_handler;
    unit->timer.data = unit;
    unit->timer.log = r->connection->log;

    ngx_add_timer(&unit->timer, ms);

    return NGX_AGAIN;
}


static void
ngx_http_test_core_timer_handler(ngx_event_t *ev)
{
    ngx_http_test_core_unit_t *unit = ev->data;

    ngx_http_sp_wake(unit->request);
}


static void
ngx_http_test_core_timer_cleanup(void *data)
{
    ngx_http_test_core_unit_t *unit = data;

    if (unit->timer.timer_set) {
        ngx_del_timer(&unit->timer);
    }
}


static ngx_int_t
ngx_http_test_core_sleep(ngx_http_request_t *r,
    ngx_http_test_core_unit_t *unit, const ngx_str_t *ms)
{
    ngx_http_test_core_main_conf_t  *tmcf;

    tmcf = ngx_http_get_module_main_conf(r, ngx_http_test_core_module);

    if (unit->submitted) {

        if (!ngx_sp_op_finished(&unit->op.op)) {
            return NGX_AGAIN;
        }

        return (unit->op.op.result == NGX_SP_OP_OK)
               ? NGX_OK : NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    unit->submitted = 1;

    ngx_memzero(&unit->op, sizeof(ngx_sp_pg_op_t));

    unit->param = *ms;
    unit->query.statement = &ngx_http_test_core_sleep_sql;
    unit->query.params = &unit->param;
    unit->op.queries = &unit->query;
    unit->op.nqueries = 1;
    unit->op.op.log = r->connection->log;

    ngx_http_sp_pg_identity(r, &unit->op);

    if (ngx_http_sp_op_attach(r, &unit->op.op) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_sp_pg_submit(tmcf->pg, &unit->op);

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_test_core_turn(ngx_http_request_t *r, const ngx_str_t *finish)
{
    ngx_http_sp_turn_t  *turn;

    turn = ngx_http_sp_turn(r);
    if (turn == NULL) {
        return NGX_ERROR;
    }

    switch (finish->data[0]) {

    case 'c':
        turn->finish = NGX_HTTP_SP_TURN_COMPLETE;
        break;

    case 'p':
        turn->finish = NGX_HTTP_SP_TURN_PARTIAL;
        break;

    case 'f':
        turn->finish = NGX_HTTP_SP_TURN_FAILED;
        break;
    }

    ngx_str_set(&turn->provider, "test");
    ngx_str_set(&turn->model, "model \"x\"\\");
    ngx_str_set(&turn->user_text, "hello\n\xff\0end");
    ngx_str_set(&turn->assistant_text, "world");
    (void) ngx_http_arg(r, (u_char *) "text", 4, &turn->assistant_text);
    (void) ngx_http_arg(r, (u_char *) "id", 2, &turn->finish_reason);
    (void) ngx_http_arg(r, (u_char *) "chat", 4, &turn->chat_id);
    turn->prompt_tokens = 3;

    return NGX_OK;
}


static ngx_int_t
ngx_http_test_core_handler(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_http_test_core_ctx_t  *ctx;

    ctx = ngx_http_test_core_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_test_core_unit(r, ctx, NGX_HTTP_TEST_STEPS);

    ngx_http_test_core_trace(ctx, "content", rc);

    return (rc == NGX_OK) ? ngx_http_test_core_answer(r) : rc;
}


/* the body as it came, or its length and CRC with "sum" */

static ngx_int_t
ngx_http_test_core_answer(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_str_t                  body, sum, trace;
    ngx_http_test_core_ctx_t  *ctx;

    ctx = ngx_http_test_core_ctx(r);

    trace.data = ctx->trace;
    trace.len = ctx->len;

    if (ngx_http_sp_add_header(r, "X-Trace", &trace) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&body, "done\n");

    if (r->method == NGX_HTTP_POST) {

        rc = ngx_http_sp_body(r, &body);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ngx_http_arg(r, (u_char *) "sum", 3, &sum) == NGX_OK) {

        sum.data = ngx_pnalloc(r->pool, 64);
        if (sum.data == NULL) {
            return NGX_ERROR;
        }

        sum.len = ngx_sprintf(sum.data, "%uz %08xD", body.len,
                              ngx_crc32_long(body.data, body.len))
                  - sum.data;
        body = sum;
    }

    return ngx_http_sp_send(r, NGX_HTTP_OK, "text/plain", &body);
}
