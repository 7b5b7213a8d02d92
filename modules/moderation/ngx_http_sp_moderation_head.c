
/*
 * Copyright (C) Sallyport authors
 *
 * The head of a rule: "[id category=name severity=1 ...]".
 */

#include "ngx_http_sp_moderation.h"


typedef struct {
    ngx_str_t                            name;
    ngx_int_t                          (*set)(
                                    ngx_http_sp_moderation_parser_t *parser,
                                    ngx_str_t *value);
} ngx_http_sp_moderation_key_t;


static ngx_int_t ngx_http_sp_moderation_new(
    ngx_http_sp_moderation_parser_t *parser, ngx_str_t *id);
static ngx_int_t ngx_http_sp_moderation_pair(
    ngx_http_sp_moderation_parser_t *parser, ngx_str_t *token);
static ngx_int_t ngx_http_sp_moderation_finish(
    ngx_http_sp_moderation_parser_t *parser);
static ngx_sp_metric_t *ngx_http_sp_moderation_metric(
    ngx_http_sp_moderation_parser_t *parser, ngx_uint_t direction);
static const ngx_str_t *ngx_http_sp_moderation_name(
    const ngx_conf_enum_t *names, ngx_uint_t value);
static ngx_int_t ngx_http_sp_moderation_category(
    ngx_http_sp_moderation_parser_t *parser, ngx_str_t *value);
static ngx_int_t ngx_http_sp_moderation_severity(
    ngx_http_sp_moderation_parser_t *parser, ngx_str_t *value);
static ngx_int_t ngx_http_sp_moderation_action(
    ngx_http_sp_moderation_parser_t *parser, ngx_str_t *value);
static ngx_int_t ngx_http_sp_moderation_stage(
    ngx_http_sp_moderation_parser_t *parser, ngx_str_t *value);
static ngx_int_t ngx_http_sp_moderation_roles(
    ngx_http_sp_moderation_parser_t *parser, ngx_str_t *value);
static ngx_int_t ngx_http_sp_moderation_words(
    ngx_http_sp_moderation_parser_t *parser, ngx_str_t *value,
    const ngx_conf_enum_t *names, ngx_uint_t *bits, const char *unknown);
static ngx_int_t ngx_http_sp_moderation_languages(
    ngx_http_sp_moderation_parser_t *parser, ngx_str_t *value);
static ngx_uint_t ngx_http_sp_moderation_is_name(const ngx_str_t *value);


static const ngx_http_sp_moderation_key_t  ngx_http_sp_moderation_keys[] = {
    { ngx_string("category"), ngx_http_sp_moderation_category },
    { ngx_string("severity"), ngx_http_sp_moderation_severity },
    { ngx_string("action"), ngx_http_sp_moderation_action },
    { ngx_string("stage"), ngx_http_sp_moderation_stage },
    { ngx_string("roles"), ngx_http_sp_moderation_roles },
    { ngx_string("languages"), ngx_http_sp_moderation_languages },
    { ngx_null_string, NULL }
};


static const ngx_conf_enum_t  ngx_http_sp_moderation_actions[] = {
    { ngx_string("block"), NGX_HTTP_SP_MODERATION_BLOCK },
    { ngx_string("mask"), NGX_HTTP_SP_MODERATION_MASK },
    { ngx_string("flag"), NGX_HTTP_SP_MODERATION_FLAG },
    { ngx_null_string, 0 }
};


/* by NGX_HTTP_SP_MODERATION_N() */
static const ngx_conf_enum_t  ngx_http_sp_moderation_stages[] = {
    { ngx_string("input"), NGX_HTTP_SP_INPUT },
    { ngx_string("output"), NGX_HTTP_SP_OUTPUT },
    { ngx_null_string, 0 }
};


static const ngx_conf_enum_t  ngx_http_sp_moderation_role_names[] = {
    { ngx_string("user"), NGX_HTTP_SP_MODERATION_USER },
    { ngx_string("system"), NGX_HTTP_SP_MODERATION_SYSTEM },
    { ngx_string("tool"), NGX_HTTP_SP_MODERATION_TOOL },
    { ngx_string("assistant"), NGX_HTTP_SP_MODERATION_ASSISTANT },
    { ngx_null_string, 0 }
};


ngx_int_t
ngx_http_sp_moderation_head(ngx_http_sp_moderation_parser_t *parser,
    u_char *p)
{
    u_char      *last;
    ngx_int_t    rc;
    ngx_str_t    token;
    ngx_uint_t   n;

    last = parser->last - 1;

    if (*last != ']') {
        return ngx_http_sp_moderation_error(parser, parser->last,
                   "the head of a rule ends with \"]\" on the same line",
                   NULL);
    }

    n = 0;
    p++;

    for ( ;; ) {
        while (p < last && (*p == ' ' || *p == '\t')) {
            p++;
        }

        if (p == last) {
            break;
        }

        token.data = p;

        while (p < last && *p != ' ' && *p != '\t') {
            p++;
        }

        token.len = p - token.data;

        rc = (n++ == 0) ? ngx_http_sp_moderation_new(parser, &token)
                        : ngx_http_sp_moderation_pair(parser, &token);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (n == 0) {
        return ngx_http_sp_moderation_error(parser, last,
                                            "a rule needs an id", NULL);
    }

    return ngx_http_sp_moderation_finish(parser);
}


static ngx_int_t
ngx_http_sp_moderation_new(ngx_http_sp_moderation_parser_t *parser,
    ngx_str_t *id)
{
    ngx_uint_t                       i;
    ngx_http_sp_moderation_rule_t   *rule, **rules;

    if (!ngx_http_sp_moderation_is_name(id)) {
        return ngx_http_sp_moderation_error(parser, id->data,
                   "invalid rule id \"%V\": allowed are a-z, 0-9, \".\", "
                   "\"_\" and \"-\"", id);
    }

    rules = parser->mmcf->rules->elts;

    for (i = 0; i < parser->mmcf->rules->nelts; i++) {
        if (rules[i]->id.len == id->len
            && ngx_strncmp(rules[i]->id.data, id->data, id->len) == 0)
        {
            return ngx_http_sp_moderation_error(parser, id->data,
                                                "duplicate rule id \"%V\"",
                                                id);
        }
    }

    rule = ngx_pcalloc(parser->cf->pool,
                       sizeof(ngx_http_sp_moderation_rule_t));
    if (rule == NULL) {
        return NGX_ERROR;
    }

    rule->id.len = id->len;
    rule->id.data = ngx_pstrdup(parser->cf->pool, id);
    if (rule->id.data == NULL) {
        return NGX_ERROR;
    }

    rule->action = NGX_HTTP_SP_MODERATION_BLOCK;
    rule->severity = 2;
    rule->stages = NGX_HTTP_SP_INPUT
                   |NGX_HTTP_SP_OUTPUT;
    rule->roles = NGX_HTTP_SP_MODERATION_USER|NGX_HTTP_SP_MODERATION_SYSTEM
                  |NGX_HTTP_SP_MODERATION_TOOL;

    rules = ngx_array_push(parser->mmcf->rules);
    if (rules == NULL) {
        return NGX_ERROR;
    }

    *rules = rule;
    parser->rule = rule;
    parser->seen = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_moderation_pair(ngx_http_sp_moderation_parser_t *parser,
    ngx_str_t *token)
{
    u_char                              *equals;
    ngx_str_t                            name, value;
    ngx_uint_t                           i;
    const ngx_http_sp_moderation_key_t  *key;

    equals = ngx_strlchr(token->data, token->data + token->len, '=');

    if (equals == NULL || equals == token->data + token->len - 1) {
        return ngx_http_sp_moderation_error(parser, token->data,
                   "\"%V\" is not of the form name=value", token);
    }

    name.data = token->data;
    name.len = equals - token->data;
    value.data = equals + 1;
    value.len = token->len - name.len - 1;

    key = ngx_http_sp_moderation_keys;

    for (i = 0; key[i].name.len; i++) {
        if (key[i].name.len != name.len
            || ngx_strncmp(key[i].name.data, name.data, name.len) != 0)
        {
            continue;
        }

        if (parser->seen & (1u << i)) {
            return ngx_http_sp_moderation_error(parser, name.data,
                                                "duplicate \"%V\"", &name);
        }

        parser->seen |= 1u << i;

        return key[i].set(parser, &value);
    }

    return ngx_http_sp_moderation_error(parser, name.data,
               "unknown \"%V\": allowed are category, severity, action, "
               "stage, roles and languages", &name);
}


static ngx_int_t
ngx_http_sp_moderation_finish(ngx_http_sp_moderation_parser_t *parser)
{
    ngx_uint_t                      i;
    ngx_http_sp_moderation_rule_t  *rule;

    rule = parser->rule;

    if (rule->category.len == 0) {
        return ngx_http_sp_moderation_error(parser, parser->last - 1,
                   "rule \"%V\" has no category=", &rule->id);
    }

    for (i = 0; i < 2; i++) {
        rule->metrics[i] = ngx_http_sp_moderation_metric(parser, i);

        if (rule->metrics[i] == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_sp_metric_t *
ngx_http_sp_moderation_metric(ngx_http_sp_moderation_parser_t *parser,
    ngx_uint_t direction)
{
    u_char                         *p;
    ngx_str_t                       labels;
    ngx_http_sp_moderation_rule_t  *rule;

    rule = parser->rule;

    p = ngx_pnalloc(parser->cf->pool,
                    sizeof("stage=\"output\",category=\"\",action=\"block\"")
                    + rule->category.len);
    if (p == NULL) {
        return NULL;
    }

    labels.data = p;
    labels.len = ngx_sprintf(p, "stage=\"%V\",category=\"%V\","
                             "action=\"%V\"",
                             &ngx_http_sp_moderation_stages[direction].name,
                             &rule->category,
                             ngx_http_sp_moderation_name(
                                 ngx_http_sp_moderation_actions,
                                 rule->action))
                 - p;

    return ngx_http_sp_add_metric(parser->cf, NGX_SP_COUNTER,
                                  "sallyport_moderation_verdicts_total",
                                  "requests by the strongest rule that "
                                  "matched", &labels);
}


static const ngx_str_t *
ngx_http_sp_moderation_name(const ngx_conf_enum_t *names, ngx_uint_t value)
{
    while (names->value != value) {
        names++;
    }

    return &names->name;
}


static ngx_int_t
ngx_http_sp_moderation_category(ngx_http_sp_moderation_parser_t *parser,
    ngx_str_t *value)
{
    if (!ngx_http_sp_moderation_is_name(value)) {
        return ngx_http_sp_moderation_error(parser, value->data,
                   "invalid category \"%V\": allowed are a-z, 0-9, \".\", "
                   "\"_\" and \"-\"", value);
    }

    parser->rule->category.len = value->len;
    parser->rule->category.data = ngx_pstrdup(parser->cf->pool, value);

    return parser->rule->category.data ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_sp_moderation_severity(ngx_http_sp_moderation_parser_t *parser,
    ngx_str_t *value)
{
    if (value->len != 1 || value->data[0] < '1' || value->data[0] > '4') {
        return ngx_http_sp_moderation_error(parser, value->data,
                   "invalid severity \"%V\": allowed are 1, 2, 3 and 4",
                   value);
    }

    parser->rule->severity = value->data[0] - '0';

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_moderation_action(ngx_http_sp_moderation_parser_t *parser,
    ngx_str_t *value)
{
    ngx_uint_t              i;
    const ngx_conf_enum_t  *action;

    action = ngx_http_sp_moderation_actions;

    for (i = 0; action[i].name.len; i++) {
        if (action[i].name.len == value->len
            && ngx_strncmp(action[i].name.data, value->data, value->len) == 0)
        {
            parser->rule->action = action[i].value;
            return NGX_OK;
        }
    }

    return ngx_http_sp_moderation_error(parser, value->data,
               "unknown action \"%V\": allowed are block, mask and flag",
               value);
}


static ngx_int_t
ngx_http_sp_moderation_stage(ngx_http_sp_moderation_parser_t *parser,
    ngx_str_t *value)
{
    return ngx_http_sp_moderation_words(parser, value,
               ngx_http_sp_moderation_stages, &parser->rule->stages,
               "unknown stage \"%V\": allowed are input and output");
}


static ngx_int_t
ngx_http_sp_moderation_roles(ngx_http_sp_moderation_parser_t *parser,
    ngx_str_t *value)
{
    return ngx_http_sp_moderation_words(parser, value,
               ngx_http_sp_moderation_role_names, &parser->rule->roles,
               "unknown role \"%V\": allowed are user, system, tool and "
               "assistant");
}


/* words with commas between, each the name of a bit */

static ngx_int_t
ngx_http_sp_moderation_words(ngx_http_sp_moderation_parser_t *parser,
    ngx_str_t *value, const ngx_conf_enum_t *names, ngx_uint_t *bits,
    const char *unknown)
{
    u_char                 *end, *p;
    ngx_str_t               word;
    const ngx_conf_enum_t  *name;

    end = value->data + value->len;
    *bits = 0;

    for (p = value->data; p <= end; p += word.len + 1) {
        word.data = p;

        while (p < end && *p != ',') {
            p++;
        }

        word.len = p - word.data;
        p = word.data;

        for (name = names; name->name.len; name++) {
            if (name->name.len == word.len
                && ngx_strncmp(name->name.data, p, word.len) == 0)
            {
                break;
            }
        }

        if (name->name.len == 0) {
            return ngx_http_sp_moderation_error(parser, p, unknown, &word);
        }

        *bits |= name->value;
    }

    return NGX_OK;
}


/* for those who read the file: all terms are looked for in every text */

static ngx_int_t
ngx_http_sp_moderation_languages(ngx_http_sp_moderation_parser_t *parser,
    ngx_str_t *value)
{
    size_t  i;
    u_char  c;

    for (i = 0; i < value->len; i++) {
        c = value->data[i];

        if (c != ',' && c != '-' && !(c >= '0' && c <= '9')
            && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
        {
            return ngx_http_sp_moderation_error(parser, &value->data[i],
                       "invalid languages \"%V\": allowed are tags such as "
                       "en,pt-BR", value);
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_sp_moderation_is_name(const ngx_str_t *value)
{
    size_t  i;
    u_char  c;

    for (i = 0; i < value->len; i++) {
        c = value->data[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9')
            && c != '.' && c != '_' && c != '-')
        {
            return 0;
        }
    }

    return value->len > 0 && value->len <= 64;
}
