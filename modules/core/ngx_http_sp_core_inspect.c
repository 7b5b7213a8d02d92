
/*
 * Copyright (C) Sallyport authors
 *
 * The texts of a request's body, through the stream filters.  A chat request:
 * the text of each message under its role, whatever else a message or the
 * request holds as text, but for the words of the API itself.  Any other JSON
 * body: every string in it, as the user's.  What is edited is what everyone
 * behind reads and forwards.
 */


#include "ngx_http_sp_core_int.h"


typedef struct {
    ngx_http_request_t    *r;
    ngx_http_sp_stream_t  *stream;
    sp_chat_role_e         role;
    ngx_http_sp_field_e    field;
    ngx_uint_t             chat;
    ngx_uint_t             fixed;
    ngx_uint_t             split;    /* results of tools are judged alone */
    ngx_uint_t             edited;
} ngx_http_sp_inspect_t;


static ngx_int_t ngx_http_sp_inspect(ngx_http_request_t *r);
static ngx_int_t ngx_http_sp_inspect_body(ngx_http_request_t *r, json_t *root,
    ngx_uint_t filters);
static ngx_int_t ngx_http_sp_inspect_json(ngx_http_request_t *r,
    ngx_uint_t filters);
static ngx_uint_t ngx_http_sp_inspect_is_chat(ngx_http_request_t *r,
    const json_t *root);
static ngx_int_t ngx_http_sp_inspect_chat(ngx_http_sp_inspect_t *in,
    sp_chat_request_t *chat);
static ngx_int_t ngx_http_sp_inspect_messages(ngx_http_sp_inspect_t *in,
    sp_chat_request_t *chat, json_t *items);
static ngx_int_t ngx_http_sp_inspect_item(ngx_http_sp_inspect_t *in,
    sp_chat_request_t *chat, size_t *n, size_t source, json_t *item);
static ngx_int_t ngx_http_sp_inspect_message(ngx_http_sp_inspect_t *in,
    json_t *message, ngx_uint_t split);
static ngx_int_t ngx_http_sp_inspect_content(ngx_http_sp_inspect_t *in,
    json_t *content, ngx_uint_t split);
static ngx_int_t ngx_http_sp_inspect_parts(ngx_http_sp_inspect_t *in,
    json_t *parts);
static ngx_int_t ngx_http_sp_inspect_part(ngx_http_sp_inspect_t *in,
    json_t *part);
static ngx_uint_t ngx_http_sp_inspect_is_text(const json_t *source);
static json_t *ngx_http_sp_inspect_part_text(json_t *parts, size_t i);
static void ngx_http_sp_inspect_join(json_t *parts, size_t gap,
    ngx_str_t *text);
static ngx_int_t ngx_http_sp_inspect_split(ngx_http_sp_inspect_t *in,
    json_t *parts, const ngx_str_t *text, size_t gap);
static ngx_int_t ngx_http_sp_inspect_value(ngx_http_sp_inspect_t *in,
    json_t *value, const char *except);
static ngx_int_t ngx_http_sp_inspect_member(ngx_http_sp_inspect_t *in,
    const char *key, json_t *value, const char *except);
static ngx_int_t ngx_http_sp_inspect_key(ngx_http_sp_inspect_t *in,
    const char *key);
static ngx_int_t ngx_http_sp_inspect_string(ngx_http_sp_inspect_t *in,
    json_t *string);
static ngx_int_t ngx_http_sp_inspect_text(ngx_http_sp_inspect_t *in,
    const ngx_str_t *piece, ngx_str_t *edited);


static const ngx_http_sp_step_t  ngx_http_sp_inspect_step = {
    NGX_HTTP_SP_ABI,
    ngx_string("inspect"),
    NGX_HTTP_SP_INSPECT,
    100,
    ngx_http_sp_inspect
};


ngx_int_t
ngx_http_sp_inspect_init(ngx_conf_t *cf)
{
    return ngx_http_sp_add_step(cf, &ngx_http_sp_inspect_step);
}


/* each filter once, in whatever pass it is on */

static ngx_int_t
ngx_http_sp_inspect(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_uint_t                    filters;
    ngx_http_sp_core_ctx_t       *ctx;
    ngx_http_sp_core_loc_conf_t  *lcf;

    if (r->method == NGX_HTTP_OPTIONS
        || (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked))
    {
        return NGX_DECLINED;
    }

    filters = ngx_http_sp_filters(r, NGX_HTTP_SP_INPUT);

    if (filters == 0) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_sp_core_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    filters &= ~ctx->inspected;

    if (filters == 0) {
        return NGX_OK;
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_core_module);

    rc = lcf->form ? ngx_http_sp_inspect_form(r, filters)
                   : ngx_http_sp_inspect_json(r, filters);

    if (rc == NGX_OK) {
        ctx->inspected |= filters;
    }

    return rc;
}


static ngx_int_t
ngx_http_sp_inspect_json(ngx_http_request_t *r, ngx_uint_t filters)
{
    json_t     *root;
    ngx_int_t   rc;

    rc = ngx_http_sp_json_body(r, &root);

    return (rc == NGX_OK) ? ngx_http_sp_inspect_body(r, root, filters) : rc;
}


static ngx_int_t
ngx_http_sp_inspect_body(ngx_http_request_t *r, json_t *root,
    ngx_uint_t filters)
{
    ngx_int_t               rc;
    sp_chat_request_t      *chat;
    ngx_http_sp_inspect_t   in;

    in.r = r;
    in.role = SP_CHAT_USER;
    in.field = NGX_HTTP_SP_OTHER;
    in.chat = ngx_http_sp_inspect_is_chat(r, root);
    in.fixed = 0;
    in.split = 0;
    in.edited = 0;

    in.stream = ngx_http_sp_stream_create(r, filters);
    if (in.stream == NULL) {
        return NGX_ERROR;
    }

    if (in.chat) {
        rc = ngx_http_sp_chat(r, &chat);

        if (rc == NGX_OK) {
            rc = ngx_http_sp_inspect_chat(&in, chat);
        }

    } else {
        rc = ngx_http_sp_inspect_value(&in, root, NULL);
    }

    ngx_http_sp_stream_close(in.stream);

    if (rc == NGX_OK && in.edited) {
        rc = ngx_http_sp_rewrite_json_body(r);

        if (rc == NGX_OK) {
            rc = ngx_http_sp_renew_chat(r);
        }
    }

    return rc;
}


/*
 * Where llm_pass answers it is one.  Elsewhere the shape tells: the step does
 * not know what answers the location.
 */

static ngx_uint_t
ngx_http_sp_inspect_is_chat(ngx_http_request_t *r, const json_t *root)
{
    json_t                       *messages;
    ngx_http_sp_core_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_sp_core_module);

    if (lcf->dialect != NULL) {
        return 1;
    }

    messages = json_object_get(root, "messages");

    return json_is_string(json_object_get(json_array_get(messages, 0),
                                          "role"));
}


static ngx_int_t
ngx_http_sp_inspect_chat(ngx_http_sp_inspect_t *in, sp_chat_request_t *chat)
{
    json_t      *value;
    ngx_int_t    rc;
    const char  *key, *messages;

    messages = sp_dialect_messages(ngx_http_sp_client_dialect(in->r));

    rc = ngx_http_sp_inspect_messages(in, chat,
                                      json_object_get(chat->root, messages));
    if (rc != NGX_OK) {
        return rc;
    }

    /*
     * Descriptions of tools, schemas, metadata: the client's text, too.  The
     * request model points into some of it, so it is not rewritten.
     */

    in->role = SP_CHAT_SYSTEM;
    in->fixed = 1;

    json_object_foreach(chat->root, key, value) {

        /* a system prompt beside the messages was one of them */

        if (ngx_strcmp(key, messages) == 0
            || (chat->nmessages != 0 && value == chat->messages[0].value))
        {
            continue;
        }

        rc = ngx_http_sp_inspect_value(in, value, NULL);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/*
 * An item is a message, has several of them (results of tools), or goes on
 * with the one before; what stands beside the items comes before them.
 */

static ngx_int_t
ngx_http_sp_inspect_messages(ngx_http_sp_inspect_t *in,
    sp_chat_request_t *chat, json_t *items)
{
    size_t     i, n;
    json_t    *item;
    ngx_int_t  rc;

    n = 0;
    rc = ngx_http_sp_inspect_item(in, chat, &n, SP_CHAT_BESIDE, NULL);

    if (rc != NGX_OK) {
        return rc;
    }

    json_array_foreach(items, i, item) {
        rc = ngx_http_sp_inspect_item(in, chat, &n, i, item);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    /* of a dialect that has its messages elsewhere */

    for (rc = NGX_OK; rc == NGX_OK && n < chat->nmessages; /* void */ ) {
        rc = ngx_http_sp_inspect_item(in, chat, &n, chat->messages[n].source,
                                      NULL);
    }

    return rc;
}


/* the messages of one item, from number *n on; an item without goes on */

static ngx_int_t
ngx_http_sp_inspect_item(ngx_http_sp_inspect_t *in, sp_chat_request_t *chat,
    size_t *n, size_t source, json_t *item)
{
    ngx_int_t           rc;
    sp_chat_message_t  *message;

    if (item != NULL
        && (*n == chat->nmessages || chat->messages[*n].source != source))
    {
        return ngx_http_sp_inspect_message(in, item, 0);
    }

    while (*n < chat->nmessages && chat->messages[*n].source == source) {
        message = &chat->messages[(*n)++];
        in->role = message->role;

        rc = ngx_http_sp_inspect_message(in, message->value, message->split);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_inspect_message(ngx_http_sp_inspect_t *in, json_t *message,
    ngx_uint_t split)
{
    json_t      *value;
    ngx_int_t    rc;
    const char  *key;

    if (!json_is_object(message)) {
        return ngx_http_sp_inspect_content(in, message, split);
    }

    json_object_foreach(message, key, value) {

        if (ngx_strcmp(key, "role") == 0) {
            continue;
        }

        /* beside the content: name, refusal, arguments of tool calls */

        rc = (ngx_strcmp(key, "content") == 0
              || ngx_strcmp(key, "output") == 0)
             ? ngx_http_sp_inspect_content(in, value, split)
             : ngx_http_sp_inspect_member(in, key, value, NULL);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_inspect_content(ngx_http_sp_inspect_t *in, json_t *content,
    ngx_uint_t split)
{
    ngx_int_t  rc;

    in->field = NGX_HTTP_SP_CONTENT;
    in->split = split;

    rc = json_is_array(content) ? ngx_http_sp_inspect_parts(in, content)
                                : ngx_http_sp_inspect_value(in, content, NULL);

    in->field = NGX_HTTP_SP_OTHER;

    return rc;
}


/*
 * A term may be spread over parts, and a provider may join them with or
 * without a break: both are looked at.
 */

static ngx_int_t
ngx_http_sp_inspect_parts(ngx_http_sp_inspect_t *in, json_t *parts)
{
    json_t     *string;
    size_t      gap, i, n, size;
    ngx_int_t   rc;
    ngx_str_t   text;

    n = 0;
    size = 0;

    for (i = 0; i < json_array_size(parts); i++) {
        string = ngx_http_sp_inspect_part_text(parts, i);

        if (string != NULL) {
            n++;
            size += json_string_length(string) + 1;
        }

        rc = ngx_http_sp_inspect_part(in, json_array_get(parts, i));

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (n == 0) {
        return NGX_OK;
    }

    text.data = ngx_pnalloc(in->r->pool, size + 1);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    for (gap = (n > 1) ? 0 : 1; gap < 2; gap++) {
        ngx_http_sp_inspect_join(parts, gap, &text);

        rc = ngx_http_sp_inspect_split(in, parts, &text, gap);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/*
 * What a part has beside its "text": a refusal, the name of a file, the
 * result of a tool.  The bytes of an image, a sound or a file are no text;
 * only where the type says that they are such bytes.  A signature is no text
 * either, and worth nothing when edited.
 */

static ngx_int_t
ngx_http_sp_inspect_part(ngx_http_sp_inspect_t *in, json_t *part)
{
    json_t      *item;
    ngx_int_t    rc;
    ngx_uint_t   i;
    const char  *key, *type;

    static const struct {
        const char  *type;
        const char  *member;
        const char  *bytes;      /* in it; NULL: it is */
    } known[] = {
        { "text", NULL, NULL },
        { "refusal", NULL, NULL },
        { "image_url", "image_url", "url" },
        { "input_audio", "input_audio", "data" },
        { "file", "file", "file_data" },
        { "input_text", NULL, NULL },
        { "output_text", NULL, NULL },
        { "input_image", "image_url", NULL },
        { "input_file", "file_data", NULL },
        { "image", "source", "data" },
        { "document", "source", "data" },
        { "thinking", "signature", NULL },
        { "redacted_thinking", "data", NULL },
        { NULL, NULL, NULL }
    };

    type = json_string_value(json_object_get(part, "type"));

    if (type == NULL) {
        type = "";
    }

    for (i = 0; known[i].type != NULL; i++) {
        if (ngx_strcmp(type, known[i].type) == 0) {
            break;
        }
    }

    if (in->split && ngx_strcmp(type, "tool_result") == 0) {
        return NGX_OK;
    }

    json_object_foreach(part, key, item) {

        if (ngx_strcmp(key, "type") == 0) {
            rc = (known[i].type != NULL)
                 ? NGX_OK : ngx_http_sp_inspect_key(in, type);

        } else if (ngx_strcmp(key, "text") == 0) {
            rc = NGX_OK;

        } else if (known[i].member == NULL
                   || ngx_strcmp(key, known[i].member) != 0
                   || ngx_http_sp_inspect_is_text(item))
        {
            rc = ngx_http_sp_inspect_member(in, key, item, NULL);

        } else if (known[i].bytes != NULL) {
            rc = ngx_http_sp_inspect_member(in, key, item, known[i].bytes);

        } else {
            rc = json_is_string(item)
                 ? NGX_OK : ngx_http_sp_inspect_value(in, item, NULL);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/* a source, as Anthropic has it, may be a text */

static ngx_uint_t
ngx_http_sp_inspect_is_text(const json_t *source)
{
    const char  *type;

    type = json_string_value(json_object_get(source, "type"));

    return type != NULL && ngx_strcmp(type, "base64") != 0;
}


static json_t *
ngx_http_sp_inspect_part_text(json_t *parts, size_t i)
{
    json_t  *text;

    text = json_object_get(json_array_get(parts, i), "text");

    return json_is_string(text) ? text : NULL;
}


/* into text->data, which has room; with a line feed between when "gap" */

static void
ngx_http_sp_inspect_join(json_t *parts, size_t gap, ngx_str_t *text)
{
    u_char  *p;
    json_t  *string;
    size_t   i;

    p = text->data;

    for (i = 0; i < json_array_size(parts); i++) {
        string = ngx_http_sp_inspect_part_text(parts, i);

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


/* judges joined parts and gives each part its share of the edited text */

static ngx_int_t
ngx_http_sp_inspect_split(ngx_http_sp_inspect_t *in, json_t *parts,
    const ngx_str_t *text, size_t gap)
{
    json_t     *string;
    size_t      i, len, offset;
    ngx_int_t   rc;
    ngx_str_t   part;

    rc = ngx_http_sp_inspect_text(in, text, NULL);

    if (rc != NGX_OK || !ngx_http_sp_stream_edited(in->stream)) {
        return rc;
    }

    offset = 0;

    for (i = 0; i < json_array_size(parts); i++) {
        string = ngx_http_sp_inspect_part_text(parts, i);

        if (string == NULL) {
            continue;
        }

        if (gap && offset != 0) {
            offset++;
        }

        len = json_string_length(string);

        if (ngx_http_sp_stream_cut(in->stream, text->data + offset, offset,
                                   offset + len, &part)
            != NGX_OK
            || json_string_setn(string, (char *) part.data, part.len) != 0)
        {
            return NGX_ERROR;
        }

        offset += len;
    }

    return NGX_OK;
}


/* every string below, keys too; "except" of the top level is left out */

static ngx_int_t
ngx_http_sp_inspect_value(ngx_http_sp_inspect_t *in, json_t *value,
    const char *except)
{
    size_t       i;
    json_t      *item;
    ngx_int_t    rc;
    const char  *key;

    switch (json_typeof(value)) {

    case JSON_STRING:
        return ngx_http_sp_inspect_string(in, value);

    case JSON_ARRAY:
        json_array_foreach(value, i, item) {
            rc = ngx_http_sp_inspect_value(in, item, NULL);

            if (rc != NGX_OK) {
                return rc;
            }
        }

        return NGX_OK;

    case JSON_OBJECT:
        json_object_foreach(value, key, item) {

            if (except != NULL && ngx_strcmp(key, except) == 0) {
                continue;
            }

            rc = ngx_http_sp_inspect_member(in, key, item, NULL);

            if (rc != NGX_OK) {
                return rc;
            }
        }

        return NGX_OK;

    default:
        return NGX_OK;
    }
}


static ngx_int_t
ngx_http_sp_inspect_member(ngx_http_sp_inspect_t *in, const char *key,
    json_t *value, const char *except)
{
    ngx_int_t            rc;
    ngx_http_sp_field_e  field;

    rc = ngx_http_sp_inspect_key(in, key);

    if (rc != NGX_OK) {
        return rc;
    }

    if (in->chat && ngx_strcmp(key, "type") == 0 && json_is_string(value)
        && ngx_http_sp_is_word(json_string_value(value)))
    {
        return NGX_OK;
    }

    field = in->field;

    /* JSON in a string, of a tool call */

    if (ngx_strcmp(key, "arguments") == 0 && json_is_string(value)) {
        in->field = NGX_HTTP_SP_ARGUMENTS;
    }

    rc = ngx_http_sp_inspect_value(in, value, except);

    in->field = field;

    return rc;
}


/* a member's name can hide text as well as its value, but not be edited */

static ngx_int_t
ngx_http_sp_inspect_key(ngx_http_sp_inspect_t *in, const char *key)
{
    ngx_int_t   rc;
    ngx_str_t   text;
    ngx_uint_t  fixed;

    if (in->chat && ngx_http_sp_is_word(key)) {
        return NGX_OK;
    }

    text.data = (u_char *) key;
    text.len = ngx_strlen(key);

    fixed = in->fixed;
    in->fixed = 1;

    rc = ngx_http_sp_inspect_text(in, &text, NULL);

    in->fixed = fixed;

    return rc;
}


static ngx_int_t
ngx_http_sp_inspect_string(ngx_http_sp_inspect_t *in, json_t *string)
{
    ngx_int_t  rc;
    ngx_str_t  edited, text;

    text.data = (u_char *) json_string_value(string);
    text.len = json_string_length(string);

    rc = ngx_http_sp_inspect_text(in, &text, &edited);

    if (rc != NGX_OK || edited.data == text.data) {
        return rc;
    }

    return (json_string_setn(string, (char *) edited.data, edited.len) == 0)
           ? NGX_OK : NGX_ERROR;
}


/* *edited is the piece itself where nothing was; NULL: edits stay to be cut */

static ngx_int_t
ngx_http_sp_inspect_text(ngx_http_sp_inspect_t *in, const ngx_str_t *piece,
    ngx_str_t *edited)
{
    ngx_int_t           rc;
    ngx_http_sp_text_t  text;

    ngx_memzero(&text, sizeof(ngx_http_sp_text_t));

    text.request = in->r;
    text.direction = NGX_HTTP_SP_INPUT;
    text.role = in->role;
    text.field = in->field;
    text.fixed = in->fixed ? 1 : 0;

    if (ngx_http_sp_stream_reopen(in->stream, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    if (edited == NULL) {
        rc = ngx_http_sp_stream_judge(in->stream, piece, 1);
        in->edited |= ngx_http_sp_stream_edited(in->stream);

        return rc;
    }

    rc = ngx_http_sp_stream_whole(in->stream, piece, edited);
    in->edited |= (edited->data != piece->data);

    return rc;
}
