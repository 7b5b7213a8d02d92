
/*
 * Copyright (C) Sallyport authors
 *
 * For tests only: two stream filters that edit answers where "test_filter on"
 * is.  What stands between angles becomes "{angle}", and "!" between them
 * refuses; what stands between parentheses is removed.
 */


#include "ngx_http_sp_core.h"


typedef struct {
    uint64_t     fed;
    uint64_t     from;
    ngx_uint_t   open;
} ngx_http_test_filter_state_t;


ngx_uint_t ngx_http_test_filter_wants(ngx_http_request_t *r,
    ngx_http_sp_direction_e direction);
ngx_int_t ngx_http_test_filter_order(ngx_conf_t *cf);

static ngx_int_t ngx_http_test_filter_angles(void *state,
    ngx_http_sp_text_t *text, const ngx_str_t *piece);
static ngx_int_t ngx_http_test_filter_parens(void *state,
    ngx_http_sp_text_t *text, const ngx_str_t *piece);
static ngx_int_t ngx_http_test_filter_feed(
    ngx_http_test_filter_state_t *state, ngx_http_sp_text_t *text,
    const ngx_str_t *piece, const char *marks, const ngx_str_t *by);
static ngx_int_t ngx_http_test_filter_init(ngx_conf_t *cf);
static void *ngx_http_test_filter_create_conf(ngx_conf_t *cf);


static const ngx_http_sp_filter_t  ngx_http_test_filters[] = {

    { NGX_HTTP_SP_ABI, ngx_string("angles"), 500, NGX_HTTP_SP_OUTPUT,
      sizeof(ngx_http_test_filter_state_t), ngx_http_test_filter_wants, NULL,
      ngx_http_test_filter_angles, NULL, NULL },

    { NGX_HTTP_SP_ABI, ngx_string("parens"), 600, NGX_HTTP_SP_OUTPUT,
      sizeof(ngx_http_test_filter_state_t), ngx_http_test_filter_wants, NULL,
      ngx_http_test_filter_parens, NULL, NULL }
};


static ngx_command_t  ngx_http_test_filter_commands[] = {

    { ngx_string("test_filter"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    ngx_null_command
};


static ngx_http_module_t  ngx_http_test_filter_module_ctx = {
    ngx_http_test_filter_init,             /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_test_filter_create_conf,      /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_test_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_test_filter_module_ctx,      /* module context */
    ngx_http_test_filter_commands,         /* module directives */
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


ngx_uint_t
ngx_http_test_filter_wants(ngx_http_request_t *r,
    ngx_http_sp_direction_e direction)
{
    ngx_flag_t  *on;

    on = ngx_http_get_module_loc_conf(r, ngx_http_test_filter_module);

    return *on == 1;
}


static ngx_int_t
ngx_http_test_filter_angles(void *state, ngx_http_sp_text_t *text,
    const ngx_str_t *piece)
{
    static const ngx_str_t  by = ngx_string("{angle}");

    return ngx_http_test_filter_feed(state, text, piece, "<>!", &by);
}


static ngx_int_t
ngx_http_test_filter_parens(void *state, ngx_http_sp_text_t *text,
    const ngx_str_t *piece)
{
    static const ngx_str_t  by = ngx_string("");

    return ngx_http_test_filter_feed(state, text, piece, "()", &by);
}


static ngx_int_t
ngx_http_test_filter_feed(ngx_http_test_filter_state_t *state,
    ngx_http_sp_text_t *text, const ngx_str_t *piece, const char *marks,
    const ngx_str_t *by)
{
    char    c;
    size_t  i;

    for (i = 0; i < piece->len; i++) {
        c = (char) piece->data[i];
        state->fed++;

        if (!state->open) {

            if (c == marks[0]) {
                state->open = 1;
                state->from = state->fed - 1;
            }

            continue;
        }

        if (c == marks[1]) {
            state->open = 0;

            if (ngx_http_sp_text_edit(text, state->from, state->fed, by)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

        } else if (marks[2] != '\0' && c == marks[2]) {
            text->safe_upto = state->from;

            return ngx_http_sp_error(text->request, 422, "test_refused",
                                     "refused by a test");
        }
    }

    if (state->open) {
        text->safe_upto = state->from;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_test_filter_init(ngx_conf_t *cf)
{
    if (ngx_http_sp_add_filter(cf, &ngx_http_test_filters[1]) != NGX_OK
        || ngx_http_test_filter_order(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sp_add_filter(cf, &ngx_http_test_filters[0]);
}


static void *
ngx_http_test_filter_create_conf(ngx_conf_t *cf)
{
    ngx_flag_t  *on;

    on = ngx_palloc(cf->pool, sizeof(ngx_flag_t));

    if (on != NULL) {
        *on = NGX_CONF_UNSET;
    }

    return on;
}
