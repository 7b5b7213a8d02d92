
/*
 * Copyright (C) Sallyport authors
 *
 * The inspect step.  A chat request: the text of each message under its role,
 * whatever else a message or the request holds as text.  Any other JSON body:
 * every string in it, as the user's.
 *
 *     START -> (body is read) -> DONE
 */

#include "ngx_http_sp_moderation.h"


typedef struct {
    ngx_uint_t                           done;
    ngx_http_sp_moderation_verdict_t     verdict;  /* of all texts */
    ngx_uint_t                           masked;   /* text was rewritten */
    ngx_uint_t                           stuck;    /* or could not be */
} ngx_http_sp_moderation_ctx_t;


typedef struct {
    ngx_http_request_t                  *r;
    ngx_http_sp_moderation_main_conf_t  *mmcf;
    ngx_http_sp_moderation_ctx_t        *ctx;
    ngx_uint_t                           roles;
    ngx_uint_t                           rewrite;  /* masks can be applied */
} ngx_http_sp_moderation_walk_t;


static ngx_int_t ngx_http_sp_moderation_chat(
    ngx_http_sp_moderation_walk_t *walk, sp_chat_request_t *chat);
static ngx_int_t ngx_http_sp_moderation_message(
    ngx_http_sp_moderation_walk_t *walk, sp_chat_message_t *message);
static ngx_int_t ngx_http_sp_moderation_parts(
    ngx_http_sp_moderation_walk_t *walk, sp_chat_message_t *message,
    json_t *parts);
static ngx_int_t ngx_http_sp_moderation_part(
    ngx_http_sp_moderation_walk_t *walk, json_t *part);
static void ngx_http_sp_moderation_join(json_t *parts, size_t gap,
    ngx_str_t *text);
static ngx_int_t ngx_http_sp_moderation_split(
    ngx_http_sp_moderation_walk_t *walk, json_t *parts,
    const ngx_str_t *text, size_t gap);
static ngx_int_t ngx_http_sp_moderation_value(
    ngx_http_sp_moderation_walk_t *walk, json_t *value, const char *except);
static ngx_int_t ngx_http_sp_moderation_key(
    ngx_http_sp_moderation_walk_t *walk, const char *key);
static ngx_int_t ngx_http_sp_moderation_string(
    ngx_http_sp_moderation_walk_t *walk, json_t *string);
static ngx_int_t ngx_http_sp_moderation_text(
    ngx_http_sp_moderation_walk_t *walk, const ngx_str_t *text,
    ngx_array_t **masks);
static ngx_int_t ngx_http_sp_moderation_verdict(ngx_http_request_t *r,
    ngx_http_sp_moderation_ctx_t *ctx);
static ngx_uint_t ngx_http_sp_moderation_is_chat(const json_t *root);
static json_t *ngx_http_sp_moderation_part_text(json_t *parts, size_t i);


/* by sp_chat_role_e */
static const ngx_uint_t  ngx_http_sp_moderation_roles[] = {
    NGX_HTTP_SP_MODERATION_SYSTEM,
    NGX_HTTP_SP_MODERATION_USER,
    NGX_HTTP_SP_MODERATION_ASSISTANT,
    NGX_HTTP_SP_MODERATION_TOOL
};


ngx_int_t
ngx_http_sp_moderation_run(ngx_http_request_t *r)
{
    json_t                              *root;
    ngx_int_t                            rc;
    sp_chat_request_t                   *chat;
    ngx_http_sp_moderation_ctx_t        *ctx;
    ngx_http_sp_moderation_walk_t        walk;
    ngx_http_sp_moderation_loc_conf_t   *mlcf;

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_moderation_module);

    if (!mlcf->input || r->method == NGX_HTTP_OPTIONS
        || (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked))
    {
        return NGX_DECLINED;
    }

    ctx = ngx_http_sp_ctx(r, &ngx_http_sp_moderation_module,
                          sizeof(ngx_http_sp_moderation_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (ctx->done) {
        return NGX_OK;
    }

    rc = ngx_http_sp_json_body(r, &root);

    if (rc != NGX_OK) {
        return rc;
    }

    walk.r = r;
    walk.ctx = ctx;
    walk.mmcf = ngx_http_get_module_main_conf(r,
                                              ngx_http_sp_moderation_module);
    walk.roles = NGX_HTTP_SP_MODERATION_USER;
    walk.rewrite = 1;

    if (ngx_http_sp_moderation_is_chat(root)) {
        rc = ngx_http_sp_chat(r, &chat);

        if (rc != NGX_OK) {
            return rc;
        }

        rc = ngx_http_sp_moderation_chat(&walk, chat);

    } else {
        rc = ngx_http_sp_moderation_value(&walk, root, NULL);
    }

    if (rc == NGX_OK && ctx->masked) {
        rc = ngx_http_sp_rewrite_json_body(r);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_sp_metric_add(walk.mmcf->scanned, 1);

    rc = ngx_http_sp_moderation_verdict(r, ctx);

    ctx->done = (rc == NGX_OK);

    return rc;
}


static ngx_int_t
ngx_http_sp_moderation_chat(ngx_http_sp_moderation_walk_t *walk,
    sp_chat_request_t *chat)
{
    size_t       i;
    json_t      *value;
    const char  *key;

    for (i = 0; i < chat->nmessages; i++) {
        walk->roles =
                    ngx_http_sp_moderation_roles[chat->messages[i].role];

        if (ngx_http_sp_moderation_message(walk, &chat->messages[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    /*
     * Descriptions of tools, schemas, metadata: the client's text, too.  The
     * request model points into some of it, so it is not rewritten.
     */

    walk->roles = NGX_HTTP_SP_MODERATION_SYSTEM;
    walk->rewrite = 0;

    json_object_foreach(chat->root, key, value) {
        if (ngx_strcmp(key, "messages") != 0
            && ngx_http_sp_moderation_value(walk, value, NULL) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_moderation_message(ngx_http_sp_moderation_walk_t *walk,
    sp_chat_message_t *message)
{
    json_t  *content;

    content = json_object_get(message->value, "content");

    if (json_is_array(content)) {
        if (ngx_http_sp_moderation_parts(walk, message, content) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (json_is_string(content)) {
        if (ngx_http_sp_moderation_string(walk, content) != NGX_OK) {
            return NGX_ERROR;
        }

        message->text = json_string_value(content);
        message->len = json_string_length(content);
    }

    /* name, refusal, arguments of tool calls */

    return ngx_http_sp_moderation_value(walk, message->value, "content");
}


/*
 * A term may be spread over parts, and a provider may join them with or
 * without a break: both are looked at.
 */

static ngx_int_t
ngx_http_sp_moderation_parts(ngx_http_sp_moderation_walk_t *walk,
    sp_chat_message_t *message, json_t *parts)
{
    json_t     *string;
    size_t      gap, i, n, size;
    ngx_str_t   text;

    n = 0;
    size = 0;

    for (i = 0; i < json_array_size(parts); i++) {
        string = ngx_http_sp_moderation_part_text(parts, i);

        if (string != NULL) {
            n++;
            size += json_string_length(string) + 1;
        }

        if (ngx_http_sp_moderation_part(walk, json_array_get(parts, i))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (n == 0) {
        return NGX_OK;
    }

    text.data = ngx_pnalloc(walk->r->pool, size + 1);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    for (gap = (n > 1) ? 0 : 1; gap < 2; gap++) {
        ngx_http_sp_moderation_join(parts, gap, &text);

        if (ngx_http_sp_moderation_split(walk, parts, &text, gap) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    /* what the others read, masked by now */

    ngx_http_sp_moderation_join(parts, 1, &text);

    message->text = (char *) text.data;
    message->len = text.len;

    return NGX_OK;
}


/*
 * What a part has beside its "text": a refusal, the name of a file, the
 * result of a tool.  The bytes of an image, a sound or a file are no text;
 * only where the type says that they are such bytes.
 */

static ngx_int_t
ngx_http_sp_moderation_part(ngx_http_sp_moderation_walk_t *walk, json_t *part)
{
    json_t      *item;
    ngx_uint_t   i;
    const char  *bytes, *key, *type;

    static const struct {
        const char  *type;
        const char  *bytes;
    } media[] = {
        { "image_url", "url" },
        { "input_audio", "data" },
        { "file", "file_data" },
        { NULL, NULL }
    };

    /* that a part is an object with a type has been seen to by sp_chat */

    type = json_string_value(json_object_get(part, "type"));

    json_object_foreach(part, key, item) {

        if (ngx_http_sp_moderation_key(walk, key) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_strcmp(key, "text") == 0) {
            continue;
        }

        bytes = NULL;

        for (i = 0; media[i].type != NULL; i++) {
            if (ngx_strcmp(key, media[i].type) == 0
                && ngx_strcmp(type, media[i].type) == 0)
            {
                bytes = media[i].bytes;
            }
        }

        if (ngx_http_sp_moderation_value(walk, item, bytes) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* into text->data, which has room; with a line feed between when "gap" */

static void
ngx_http_sp_moderation_join(json_t *parts, size_t gap, ngx_str_t *text)
{
    u_char  *p;
    json_t  *string;
    size_t   i;

    p = text->data;

    for (i = 0; i < json_array_size(parts); i++) {
        string = ngx_http_sp_moderation_part_text(parts, i);

        if (string == NULL) {
            continue;
        }

        if (gap && p != text->data) {
            *p++ = '\n';
        }

        p = ngx_cpymem(p, json_string_value(string),
                       json_string_length(string));
    }

    *p = '\0';
    text->len = p - text->data;
}


/* scans joined parts and gives each part its share of the masked text */

static ngx_int_t
ngx_http_sp_moderation_split(ngx_http_sp_moderation_walk_t *walk,
    json_t *parts, const ngx_str_t *text, size_t gap)
{
    json_t                         *string;
    size_t                          i, len, offset;
    ngx_str_t                       masked, part;
    ngx_uint_t                      k;
    ngx_array_t                    *masks, shifted;
    ngx_http_sp_moderation_span_t  *from, *to;

    if (ngx_http_sp_moderation_text(walk, text, &masks) != NGX_OK) {
        return NGX_ERROR;
    }

    if (masks == NULL) {
        return NGX_OK;
    }

    from = masks->elts;
    offset = 0;

    for (i = 0; i < json_array_size(parts); i++) {
        string = ngx_http_sp_moderation_part_text(parts, i);

        if (string == NULL) {
            continue;
        }

        len = json_string_length(string);

        if (ngx_array_init(&shifted, walk->r->pool, masks->nelts,
                           sizeof(ngx_http_sp_moderation_span_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        for (k = 0; k < masks->nelts; k++) {
            if (from[k].to > offset && from[k].from < offset + len) {
                to = ngx_array_push(&shifted);
                to->from = (uint32_t) (ngx_max(from[k].from, offset)
                                       - offset);
                to->to = (uint32_t) (ngx_min(from[k].to, offset + len)
                                     - offset);
            }
        }

        part.data = (u_char *) json_string_value(string);
        part.len = len;

        if (shifted.nelts > 0) {
            if (ngx_http_sp_moderation_mask(walk->r->pool, &part, &shifted,
                                            &masked)
                != NGX_OK
                || json_string_setn(string, (char *) masked.data, masked.len)
                   != 0)
            {
                return NGX_ERROR;
            }
        }

        offset += len + gap;
    }

    return NGX_OK;
}


/* every string below, keys too; "except" of the top level is left out */

static ngx_int_t
ngx_http_sp_moderation_value(ngx_http_sp_moderation_walk_t *walk,
    json_t *value, const char *except)
{
    size_t       i;
    json_t      *item;
    const char  *key;

    switch (json_typeof(value)) {

    case JSON_STRING:
        return ngx_http_sp_moderation_string(walk, value);

    case JSON_ARRAY:
        json_array_foreach(value, i, item) {
            if (ngx_http_sp_moderation_value(walk, item, NULL) != NGX_OK) {
                return NGX_ERROR;
            }
        }

        return NGX_OK;

    case JSON_OBJECT:
        json_object_foreach(value, key, item) {

            if (except != NULL && ngx_strcmp(key, except) == 0) {
                continue;
            }

            if (ngx_http_sp_moderation_key(walk, key) != NGX_OK
                || ngx_http_sp_moderation_value(walk, item, NULL) != NGX_OK)
            {
                return NGX_ERROR;
            }
        }

        return NGX_OK;

    default:
        return NGX_OK;
    }
}


/* a member's name can hide text as well as its value, but not be masked */

static ngx_int_t
ngx_http_sp_moderation_key(ngx_http_sp_moderation_walk_t *walk,
    const char *key)
{
    ngx_int_t     rc;
    ngx_str_t     text;
    ngx_uint_t    rewrite;
    ngx_array_t  *masks;

    text.data = (u_char *) key;
    text.len = ngx_strlen(key);

    rewrite = walk->rewrite;
    walk->rewrite = 0;

    rc = ngx_http_sp_moderation_text(walk, &text, &masks);

    walk->rewrite = rewrite;

    return rc;
}


static ngx_int_t
ngx_http_sp_moderation_string(ngx_http_sp_moderation_walk_t *walk,
    json_t *string)
{
    ngx_str_t     masked, text;
    ngx_array_t  *masks;

    text.data = (u_char *) json_string_value(string);
    text.len = json_string_length(string);

    if (ngx_http_sp_moderation_text(walk, &text, &masks) != NGX_OK) {
        return NGX_ERROR;
    }

    if (masks == NULL || !walk->rewrite) {
        return NGX_OK;
    }

    if (ngx_http_sp_moderation_mask(walk->r->pool, &text, masks, &masked)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return (json_string_setn(string, (char *) masked.data, masked.len) == 0)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_sp_moderation_text(ngx_http_sp_moderation_walk_t *walk,
    const ngx_str_t *text, ngx_array_t **masks)
{
    ngx_http_sp_moderation_verdict_t  *verdict;

    verdict = &walk->ctx->verdict;
    verdict->masks = NULL;

    if (ngx_http_sp_moderation_scan(walk->r->pool, walk->mmcf, text,
                                    walk->roles, verdict)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    *masks = verdict->masks;

    if (verdict->masks != NULL) {
        if (walk->rewrite) {
            walk->ctx->masked = 1;

        } else {
            walk->ctx->stuck = 1;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_moderation_verdict(ngx_http_request_t *r,
    ngx_http_sp_moderation_ctx_t *ctx)
{
    u_char                         *p;
    ngx_int_t                       rc;
    ngx_str_t                       details, header;
    ngx_http_sp_moderation_rule_t  *rule;

    rule = ctx->verdict.rule;

    if (rule == NULL) {
        return NGX_OK;
    }

    ngx_sp_metric_add(rule->metric, 1);

    /* never the text: ids only */

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "moderation: input matches rule \"%V\", category \"%V\"",
                  &rule->id, &rule->category);

    if (rule->action != NGX_HTTP_SP_MODERATION_BLOCK && !ctx->stuck) {

        if (ctx->masked) {
            ngx_str_set(&header, "masked");

        } else {
            ngx_str_set(&header, "flagged");
        }

        return ngx_http_sp_add_header(r, "X-Moderation", &header);
    }

    p = ngx_pnalloc(r->pool, sizeof("{\"rule\":\"\",\"category\":\"\"}")
                             + rule->id.len + rule->category.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    details.data = p;
    details.len = ngx_sprintf(p, "{\"rule\":\"%V\",\"category\":\"%V\"}",
                              &rule->id, &rule->category)
                  - p;

    rc = ngx_http_sp_error(r, 422, "content_blocked",
                           "the text matches a rule against \"%V\" and was "
                           "not forwarded", &rule->category);
    ngx_http_sp_error_details(r, &details);

    return rc;
}


/* by its shape: the step does not know what answers the location */

static ngx_uint_t
ngx_http_sp_moderation_is_chat(const json_t *root)
{
    json_t  *messages;

    messages = json_object_get(root, "messages");

    return json_is_string(json_object_get(json_array_get(messages, 0),
                                          "role"));
}


static json_t *
ngx_http_sp_moderation_part_text(json_t *parts, size_t i)
{
    json_t  *text;

    text = json_object_get(json_array_get(parts, i), "text");

    return json_is_string(text) ? text : NULL;
}
