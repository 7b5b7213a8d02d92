
/*
 * Copyright (C) Sallyport authors
 *
 * The language of the user, as one line of the prefix: that of the profile,
 * or what the client's Accept-Language prefers.  The line has the operator's
 * spelling of a tag of the operator's list, and nothing of the client's.
 */


#include "ngx_http_sp_llm.h"

#include "sp_locale.h"


/* behind the character */
#define NGX_HTTP_SP_LLM_LOCALE_RANK  110

#define NGX_HTTP_SP_LLM_LOCALES      64


struct ngx_http_sp_llm_locale_s {
    ngx_array_t                tags;     /* of sp_locale_tag_t */
    ngx_array_t                lines;    /* of ngx_str_t, one of each */
    ngx_http_complex_value_t  *profile;  /* NULL: none is asked */
    ngx_http_complex_value_t  *accept;
};


static ngx_int_t ngx_http_sp_llm_locale_tag(ngx_conf_t *cf,
    ngx_http_sp_llm_locale_t *locale, const ngx_str_t *value);
static ngx_int_t ngx_http_sp_llm_locale_choose(ngx_http_request_t *r,
    const ngx_http_sp_llm_locale_t *locale, ngx_uint_t *found);


/* llm_locale off | TAG ... [profile=$variable] */

char *
ngx_http_sp_llm_locale_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_llm_loc_conf_t *llcf = conf;

    ngx_str_t                 *value, text;
    ngx_uint_t                 i;
    ngx_http_sp_llm_locale_t  *locale;

    static ngx_str_t  accept = ngx_string("$http_accept_language");

    if (llcf->locale != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        llcf->locale = NULL;
        return NGX_CONF_OK;
    }

    locale = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_llm_locale_t));
    if (locale == NULL
        || ngx_array_init(&locale->tags, cf->pool, 4, sizeof(sp_locale_tag_t))
           != NGX_OK
        || ngx_array_init(&locale->lines, cf->pool, 4, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    llcf->locale = locale;

    for (i = 1; i < cf->args->nelts; i++) {

        if (locale->profile == NULL && i == cf->args->nelts - 1 && i > 1
            && ngx_sp_conf_arg(&value[i], "profile=", &text)
            && ngx_strlchr(text.data, text.data + text.len, '$') != NULL)
        {
            locale->profile = ngx_http_sp_complex_value(cf, &text);

            if (locale->profile == NULL) {
                return NGX_CONF_ERROR;
            }

        } else if (ngx_http_sp_llm_locale_tag(cf, locale, &value[i])
                   != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    locale->accept = ngx_http_sp_complex_value(cf, &accept);

    return (locale->accept != NULL) ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_sp_llm_locale_tag(ngx_conf_t *cf, ngx_http_sp_llm_locale_t *locale,
    const ngx_str_t *value)
{
    ngx_str_t        *line;
    ngx_uint_t        i;
    sp_locale_tag_t  *tag;

    static const char  format[] = "The user's language is %V: answer in it, "
                                  "unless the user writes in another one or "
                                  "asks for it.";

    if (ngx_strcmp(value->data, "off") == 0
        || !sp_locale_is_tag((char *) value->data, value->len)
        || locale->tags.nelts == NGX_HTTP_SP_LLM_LOCALES)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"llm_locale\": "
                           "allowed are 1 to %d language tags of RFC 5646, "
                           "such as \"pt-BR\", then "
                           "\"profile=$variable\", or only \"off\"",
                           value, NGX_HTTP_SP_LLM_LOCALES);
        return NGX_ERROR;
    }

    tag = locale->tags.elts;

    for (i = 0; i < locale->tags.nelts; i++) {
        if (tag[i].len == value->len
            && ngx_strncasecmp((u_char *) tag[i].data, value->data,
                               value->len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate language \"%V\" in \"llm_locale\"",
                               value);
            return NGX_ERROR;
        }
    }

    tag = ngx_array_push(&locale->tags);
    line = ngx_array_push(&locale->lines);

    if (tag == NULL || line == NULL) {
        return NGX_ERROR;
    }

    tag->data = (char *) value->data;
    tag->len = value->len;

    line->data = ngx_pnalloc(cf->pool, sizeof(format) + value->len);
    if (line->data == NULL) {
        return NGX_ERROR;
    }

    line->len = ngx_sprintf(line->data, format, value) - line->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_sp_llm_locale(ngx_http_request_t *r)
{
    ngx_uint_t                 found;
    ngx_http_sp_block_t        block;
    ngx_http_sp_llm_ctx_t     *ctx;
    ngx_http_sp_llm_locale_t  *locale;

    ctx = ngx_http_sp_llm_find_ctx(r);

    if (ctx == NULL || ctx->check.chat == NULL) {
        return NGX_DECLINED;
    }

    ngx_memzero(&block, sizeof(ngx_http_sp_block_t));

    locale = ctx->check.conf->locale;

    if (locale != NULL) {

        if (ngx_http_sp_llm_locale_choose(r, locale, &found) != NGX_OK) {
            return NGX_ERROR;
        }

        if (found != locale->tags.nelts) {
            block.text = ((ngx_str_t *) locale->lines.elts)[found];
        }
    }

    /* an earlier pass may have said one, which an empty one replaces */

    if (block.text.len == 0 && !ctx->located) {
        return NGX_DECLINED;
    }

    ngx_str_set(&block.name, "locale");
    block.rank = NGX_HTTP_SP_LLM_LOCALE_RANK;
    block.place = NGX_HTTP_SP_PREFIX;

    ctx->located = 1;

    return ngx_http_sp_add_block(r, &block);
}


/* *found is the number of tags where nothing is known */

static ngx_int_t
ngx_http_sp_llm_locale_choose(ngx_http_request_t *r,
    const ngx_http_sp_llm_locale_t *locale, ngx_uint_t *found)
{
    ngx_str_t               value;
    const sp_locale_tag_t  *tags;

    tags = locale->tags.elts;
    *found = locale->tags.nelts;

    if (locale->profile != NULL) {

        if (ngx_http_complex_value(r, locale->profile, &value) != NGX_OK) {
            return NGX_ERROR;
        }

        *found = sp_locale_find((char *) value.data, value.len, tags,
                                locale->tags.nelts);
    }

    if (*found != locale->tags.nelts) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, locale->accept, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    *found = sp_locale_accept((char *) value.data, value.len, tags,
                              locale->tags.nelts);

    return NGX_OK;
}
