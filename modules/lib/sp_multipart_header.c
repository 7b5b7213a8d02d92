
/*
 * Copyright (C) Sallyport authors
 *
 * Header lines of a part, and parameters of a value (RFC 7578 section 4.2,
 * RFC 2045 section 5.1).
 */


#include <string.h>
#include <strings.h>

#include "sp_multipart_int.h"


/* 1: a parameter; 0: there is none left; -1: malformed */
static int sp_multipart_param(const char **pos, const char *last,
    sp_slice_t *name, sp_slice_t *value);
static int sp_multipart_quoted(const char **pos, const char *last,
    sp_slice_t *value);
static sp_slice_t sp_multipart_token(const char **pos, const char *last);
static void sp_multipart_space(const char **pos, const char *last);
static sp_multipart_error_e sp_multipart_header_line(sp_multipart_t *m,
    const char *p, const char *last);
static sp_multipart_error_e sp_multipart_disposition(sp_multipart_t *m,
    const char *p, const char *last);
static int sp_multipart_is(const sp_slice_t *text, const char *word);
static int sp_multipart_twofold(const sp_slice_t *filename);


sp_multipart_error_e
sp_multipart_boundary(const char *type, size_t len, sp_slice_t *boundary)
{
    int          rc;
    size_t       i;
    const char  *last, *p;
    sp_slice_t   name, value;

    static const char  media[] = "multipart/form-data";
    static const char  marks[] = "'()+_,-./:=? ";

    p = type;
    last = type + len;

    if (len < sizeof(media) - 1
        || strncasecmp(type, media, sizeof(media) - 1) != 0)
    {
        return SP_MULTIPART_TYPE;
    }

    p += sizeof(media) - 1;

    if (p != last && *p != ';' && *p != ' ' && *p != '\t') {
        return SP_MULTIPART_TYPE;
    }

    boundary->data = NULL;
    boundary->len = 0;

    for ( ;; ) {
        rc = sp_multipart_param(&p, last, &name, &value);

        if (rc != 1) {
            break;
        }

        if (name.len < 8 || strncasecmp(name.data, "boundary", 8) != 0) {
            continue;
        }

        /* in pieces, or encoded (RFC 2231): not everybody reads that */

        if (name.len != 8) {
            return SP_MULTIPART_NO_BOUNDARY;
        }

        if (boundary->data != NULL) {
            return SP_MULTIPART_NO_BOUNDARY;
        }

        *boundary = value;
    }

    if (rc != 0 || boundary->len == 0
        || boundary->len > SP_MULTIPART_BOUNDARY
        || boundary->data[boundary->len - 1] == ' ')
    {
        return SP_MULTIPART_NO_BOUNDARY;
    }

    for (i = 0; i < boundary->len; i++) {
        p = &boundary->data[i];

        if (!((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z')
              || (*p >= 'A' && *p <= 'Z')
              || (*p != '\0' && strchr(marks, *p) != NULL)))
        {
            return SP_MULTIPART_NO_BOUNDARY;
        }
    }

    return SP_MULTIPART_OK;
}


static int
sp_multipart_param(const char **pos, const char *last, sp_slice_t *name,
    sp_slice_t *value)
{
    sp_multipart_space(pos, last);

    if (*pos == last) {
        return 0;
    }

    if (*(*pos)++ != ';') {
        return -1;
    }

    sp_multipart_space(pos, last);

    if (*pos == last) {
        return 0;
    }

    *name = sp_multipart_token(pos, last);

    if (name->len == 0 || *pos == last || *(*pos)++ != '=') {
        return -1;
    }

    if (*pos < last && **pos == '"') {
        return sp_multipart_quoted(pos, last, value);
    }

    *value = sp_multipart_token(pos, last);

    return (value->len != 0) ? 1 : -1;
}


/* as it is, with its escapes */

static int
sp_multipart_quoted(const char **pos, const char *last, sp_slice_t *value)
{
    const char  *p;

    value->data = *pos + 1;

    for (p = value->data; p < last; p++) {

        if (*p == '"') {
            value->len = (size_t) (p - value->data);
            *pos = p + 1;

            return 1;
        }

        if (*p == '\\') {
            p++;
        }
    }

    return -1;
}


/* with what browsers and old clients leave unquoted: no space, no mark */

static sp_slice_t
sp_multipart_token(const char **pos, const char *last)
{
    sp_slice_t  token;

    static const char  ends[] = " \t;=\"\\,";

    token.data = *pos;

    while (*pos < last && (unsigned char) **pos > 0x1f && **pos != 0x7f
           && strchr(ends, **pos) == NULL)
    {
        (*pos)++;
    }

    token.len = (size_t) (*pos - token.data);

    return token;
}


static void
sp_multipart_space(const char **pos, const char *last)
{
    while (*pos < last && (**pos == ' ' || **pos == '\t')) {
        (*pos)++;
    }
}


sp_multipart_error_e
sp_multipart_header(sp_multipart_t *m)
{
    const char            *end, *last, *p;
    sp_multipart_error_e   error;

    memset(&m->name, 0, sizeof(sp_slice_t));
    memset(&m->filename, 0, sizeof(sp_slice_t));
    memset(&m->type, 0, sizeof(sp_slice_t));

    last = m->header + m->header_len - 2;

    for (p = m->header; p < last; p = end + 2) {

        for (end = p; *end != '\r'; end++) {

            if (((unsigned char) *end < 0x20 && *end != '\t')
                || *end == 0x7f)
            {
                return SP_MULTIPART_LINE;
            }
        }

        if (end[1] != '\n') {
            return SP_MULTIPART_LINE;
        }

        error = sp_multipart_header_line(m, p, end);

        if (error != SP_MULTIPART_OK) {
            return error;
        }
    }

    return (m->name.data != NULL) ? SP_MULTIPART_OK
                                  : SP_MULTIPART_DISPOSITION;
}


static sp_multipart_error_e
sp_multipart_header_line(sp_multipart_t *m, const char *p, const char *last)
{
    sp_slice_t  name, value;

    name.data = p;

    while (p < last && *p != ':' && *p != ' ' && *p != '\t') {
        p++;
    }

    name.len = (size_t) (p - name.data);

    if (name.len == 0 || p == last || *p++ != ':') {
        return SP_MULTIPART_LINE;
    }

    sp_multipart_space(&p, last);

    value.data = p;
    value.len = (size_t) (last - p);

    if (sp_multipart_is(&name, "content-disposition")) {
        return sp_multipart_disposition(m, p, last);
    }

    if (sp_multipart_is(&name, "content-type")) {

        if (m->type.data != NULL) {
            return SP_MULTIPART_LINE;
        }

        m->type = value;

    } else if (sp_multipart_is(&name, "content-transfer-encoding")
               && !sp_multipart_is(&value, "binary")
               && !sp_multipart_is(&value, "8bit")
               && !sp_multipart_is(&value, "7bit"))
    {
        return SP_MULTIPART_ENCODING;
    }

    return SP_MULTIPART_OK;
}


static sp_multipart_error_e
sp_multipart_disposition(sp_multipart_t *m, const char *p, const char *last)
{
    int         rc;
    sp_slice_t  kind, name, value, *slot;

    kind = sp_multipart_token(&p, last);

    if (m->name.data != NULL || !sp_multipart_is(&kind, "form-data")) {
        return SP_MULTIPART_DISPOSITION;
    }

    for ( ;; ) {
        rc = sp_multipart_param(&p, last, &name, &value);

        if (rc != 1) {
            break;
        }

        if (sp_multipart_is(&name, "name")) {
            slot = &m->name;

        } else if (sp_multipart_is(&name, "filename")) {
            slot = &m->filename;

        } else if (sp_multipart_is(&name, "name*")) {
            return SP_MULTIPART_DISPOSITION;

        } else {
            continue;
        }

        if (slot->data != NULL) {
            return SP_MULTIPART_DISPOSITION;
        }

        *slot = value;
    }

    return (rc == 0 && m->name.len != 0
            && memchr(m->name.data, '\\', m->name.len) == NULL
            && !sp_multipart_twofold(&m->filename))
           ? SP_MULTIPART_OK : SP_MULTIPART_DISPOSITION;
}


static int
sp_multipart_is(const sp_slice_t *text, const char *word)
{
    return strlen(word) == text->len
           && strncasecmp(text->data, word, text->len) == 0;
}


/* who knows no escapes would see further parameters in this one */

static int
sp_multipart_twofold(const sp_slice_t *filename)
{
    size_t  i;

    if (filename->data == NULL
        || memchr(filename->data, ';', filename->len) == NULL)
    {
        return 0;
    }

    for (i = 1; i < filename->len; i++) {
        if (filename->data[i - 1] == '\\' && filename->data[i] == '"') {
            return 1;
        }
    }

    return 0;
}
