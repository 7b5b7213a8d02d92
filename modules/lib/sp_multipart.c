
/*
 * Copyright (C) Sallyport authors
 *
 * The delimiter is CR LF "--" and the boundary.  There is no CR in a boundary,
 * so after a mismatch only the byte that did not match can begin it again.
 */


#include <string.h>

#include "sp_multipart.h"
#include "sp_multipart_int.h"


typedef enum {
    SP_MULTIPART_S_PREAMBLE = 0,
    SP_MULTIPART_S_CONTENT,
    SP_MULTIPART_S_DELIMITER,  /* behind a boundary */
    SP_MULTIPART_S_PADDING,
    SP_MULTIPART_S_LF,
    SP_MULTIPART_S_DASH,       /* the second one of the last boundary */
    SP_MULTIPART_S_HEADER,
    SP_MULTIPART_S_END,
    SP_MULTIPART_S_ERROR
} sp_multipart_state_e;


static void sp_multipart_consume(sp_multipart_t *m, const char **pos,
    const char *to);
static sp_multipart_status_e sp_multipart_content(sp_multipart_t *m,
    const char **pos, const char *last);
static sp_multipart_status_e sp_multipart_held(sp_multipart_t *m,
    const char **pos, const char *last);
static sp_multipart_status_e sp_multipart_run(sp_multipart_t *m,
    const char **pos, const char *to);
static sp_multipart_status_e sp_multipart_delimited(sp_multipart_t *m);
static sp_multipart_status_e sp_multipart_line_end(sp_multipart_t *m, char c);
static sp_multipart_status_e sp_multipart_headers(sp_multipart_t *m,
    const char **pos, const char *last);
static sp_multipart_status_e sp_multipart_fail(sp_multipart_t *m,
    sp_multipart_error_e error);


sp_multipart_error_e
sp_multipart_init(sp_multipart_t *m, const char *type, size_t len)
{
    sp_slice_t            boundary;
    sp_multipart_error_e  error;

    memset(m, 0, offsetof(sp_multipart_t, header));

    error = sp_multipart_boundary(type, len, &boundary);

    if (error != SP_MULTIPART_OK) {
        (void) sp_multipart_fail(m, error);
        return error;
    }

    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.data, boundary.len);

    m->delimiter_len = 4 + boundary.len;

    /* the first one needs no line end before it */

    m->matched = 2;
    m->imagined = 2;

    return SP_MULTIPART_OK;
}


sp_slice_t
sp_multipart_line(const sp_multipart_t *m)
{
    sp_slice_t  line;

    line.data = m->delimiter + 2;
    line.len = m->delimiter_len - 2;

    return line;
}


int
sp_multipart_ends(const sp_multipart_t *m, const char *text, size_t len)
{
    const char  *p, *last;
    sp_slice_t   line;

    line = sp_multipart_line(m);
    last = text + len;

    if (len >= line.len && memcmp(text, line.data, line.len) == 0) {
        return 1;
    }

    for (p = text; p < last; p++) {

        p = memchr(p, '\r', (size_t) (last - p));

        if (p == NULL) {
            break;
        }

        if ((size_t) (last - p) >= m->delimiter_len
            && memcmp(p, m->delimiter, m->delimiter_len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


sp_multipart_status_e
sp_multipart_next(sp_multipart_t *m, const char **pos, const char *last)
{
    sp_multipart_status_e  status;

    for ( ;; ) {

        switch (m->state) {

        case SP_MULTIPART_S_END:
            return SP_MULTIPART_END;

        case SP_MULTIPART_S_ERROR:
            return SP_MULTIPART_ERROR;

        default:
            break;
        }

        if (*pos == last) {
            return SP_MULTIPART_AGAIN;
        }

        switch (m->state) {

        case SP_MULTIPART_S_PREAMBLE:
        case SP_MULTIPART_S_CONTENT:
            status = sp_multipart_content(m, pos, last);

            if (status == SP_MULTIPART_DATA
                && m->state == SP_MULTIPART_S_PREAMBLE)
            {
                status = SP_MULTIPART_AGAIN;
            }

            break;

        case SP_MULTIPART_S_HEADER:
            status = sp_multipart_headers(m, pos, last);
            break;

        default:
            status = sp_multipart_line_end(m, **pos);
            sp_multipart_consume(m, pos, *pos + 1);

            if (m->state == SP_MULTIPART_S_END) {
                m->last = m->offset;
            }
        }

        if (status != SP_MULTIPART_AGAIN) {
            return status;
        }
    }
}


static void
sp_multipart_consume(sp_multipart_t *m, const char **pos, const char *to)
{
    m->offset += (uint64_t) (to - *pos);
    *pos = to;
}


/* up to the delimiter, or to the end of what is there */

static sp_multipart_status_e
sp_multipart_content(sp_multipart_t *m, const char **pos, const char *last)
{
    size_t       n;
    const char  *cr, *p;

    if (m->matched != 0) {
        return sp_multipart_held(m, pos, last);
    }

    for (p = *pos; p < last; p = cr + 1) {

        cr = memchr(p, '\r', (size_t) (last - p));

        if (cr == NULL) {
            break;
        }

        for (n = 1; n < m->delimiter_len && cr + n < last; n++) {
            if (cr[n] != m->delimiter[n]) {
                break;
            }
        }

        if (n != m->delimiter_len && cr + n != last) {
            continue;
        }

        /* what is before it goes first, it is found again then */

        if (cr != *pos) {
            return sp_multipart_run(m, pos, cr);
        }

        sp_multipart_consume(m, pos, cr + n);
        m->matched = n;

        return (n == m->delimiter_len) ? sp_multipart_delimited(m)
                                       : SP_MULTIPART_AGAIN;
    }

    return sp_multipart_run(m, pos, last);
}


/* the bytes of before that match so far are gone: they are the delimiter's */

static sp_multipart_status_e
sp_multipart_held(sp_multipart_t *m, const char **pos, const char *last)
{
    const char  *p;

    for (p = *pos; p < last && m->matched < m->delimiter_len; p++) {

        if (*p != m->delimiter[m->matched]) {
            break;
        }

        m->matched++;
    }

    sp_multipart_consume(m, pos, p);

    if (m->matched == m->delimiter_len) {
        return sp_multipart_delimited(m);
    }

    if (p == last) {
        return SP_MULTIPART_AGAIN;
    }

    m->data.data = m->delimiter + m->imagined;
    m->data.len = m->matched - m->imagined;

    m->matched = 0;
    m->imagined = 0;

    return (m->data.len != 0) ? SP_MULTIPART_DATA : SP_MULTIPART_AGAIN;
}


static sp_multipart_status_e
sp_multipart_run(sp_multipart_t *m, const char **pos, const char *to)
{
    m->data.data = *pos;
    m->data.len = (size_t) (to - *pos);

    sp_multipart_consume(m, pos, to);

    return SP_MULTIPART_DATA;
}


static sp_multipart_status_e
sp_multipart_delimited(sp_multipart_t *m)
{
    unsigned  state;

    state = m->state;

    if (state == SP_MULTIPART_S_PREAMBLE) {
        m->first = m->offset - (m->delimiter_len - 2);

    } else if (m->imagined != 0) {

        /* the blank line before it is both: some readers see no delimiter */

        return sp_multipart_fail(m, SP_MULTIPART_DELIMITER);
    }

    m->matched = 0;
    m->imagined = 0;
    m->state = SP_MULTIPART_S_DELIMITER;

    if (state == SP_MULTIPART_S_PREAMBLE) {
        return SP_MULTIPART_AGAIN;
    }

    m->end = m->offset - m->delimiter_len;

    return SP_MULTIPART_PART_END;
}


/* of a line with a boundary */

static sp_multipart_status_e
sp_multipart_line_end(sp_multipart_t *m, char c)
{
    switch (m->state) {

    case SP_MULTIPART_S_DASH:

        if (c == '-') {
            m->state = SP_MULTIPART_S_END;
            return SP_MULTIPART_END;
        }

        break;

    case SP_MULTIPART_S_LF:

        if (c == '\n') {

            if (m->parts++ == SP_MULTIPART_PARTS) {
                return sp_multipart_fail(m, SP_MULTIPART_TOO_MANY);
            }

            m->header_len = 0;
            m->state = SP_MULTIPART_S_HEADER;

            return SP_MULTIPART_AGAIN;
        }

        break;

    default: /* SP_MULTIPART_S_DELIMITER, SP_MULTIPART_S_PADDING */

        if (c == '-' && m->state == SP_MULTIPART_S_DELIMITER) {
            m->state = SP_MULTIPART_S_DASH;
            return SP_MULTIPART_AGAIN;
        }

        if (c == ' ' || c == '\t') {
            m->state = SP_MULTIPART_S_PADDING;
            return SP_MULTIPART_AGAIN;
        }

        if (c == '\r') {
            m->state = SP_MULTIPART_S_LF;
            return SP_MULTIPART_AGAIN;
        }
    }

    return sp_multipart_fail(m, SP_MULTIPART_DELIMITER);
}


/* gathered up to the blank line behind them */

static sp_multipart_status_e
sp_multipart_headers(sp_multipart_t *m, const char **pos, const char *last)
{
    char                  *h;
    size_t                 n;
    const char            *lf;
    sp_multipart_error_e   error;

    lf = memchr(*pos, '\n', (size_t) (last - *pos));
    n = (size_t) ((lf != NULL ? lf + 1 : last) - *pos);

    if (n > SP_MULTIPART_HEADER - m->header_len) {
        return sp_multipart_fail(m, SP_MULTIPART_TOO_LARGE);
    }

    memcpy(m->header + m->header_len, *pos, n);
    m->header_len += n;

    sp_multipart_consume(m, pos, *pos + n);

    h = m->header + m->header_len;

    if (lf != NULL && (m->header_len < 2 || h[-2] != '\r')) {
        return sp_multipart_fail(m, SP_MULTIPART_LINE);
    }

    if (lf == NULL
        || !((m->header_len == 2 && m->header[0] == '\r')
             || (m->header_len >= 4 && memcmp(h - 4, "\r\n\r\n", 4) == 0)))
    {
        return SP_MULTIPART_AGAIN;
    }

    error = sp_multipart_header(m);

    if (error != SP_MULTIPART_OK) {
        return sp_multipart_fail(m, error);
    }

    m->begin = m->offset;
    m->end = m->offset;
    m->matched = 2;
    m->imagined = 2;
    m->state = SP_MULTIPART_S_CONTENT;

    return SP_MULTIPART_PART;
}


static sp_multipart_status_e
sp_multipart_fail(sp_multipart_t *m, sp_multipart_error_e error)
{
    m->error = error;
    m->state = SP_MULTIPART_S_ERROR;

    return SP_MULTIPART_ERROR;
}


sp_multipart_error_e
sp_multipart_end(sp_multipart_t *m)
{
    if (m->state != SP_MULTIPART_S_END && m->state != SP_MULTIPART_S_ERROR) {
        (void) sp_multipart_fail(m, SP_MULTIPART_CUT);
    }

    return m->error;
}


const char *
sp_multipart_strerror(sp_multipart_error_e error)
{
    static const char  *const texts[] = {
        "it is fine",
        "the Content-Type must be \"multipart/form-data\"",
        "the Content-Type must have one \"boundary\" of RFC 2046",
        "a boundary must have a line of its own",
        "a header line of a part is malformed",
        "a part must have one \"Content-Disposition\" with one \"name\"",
        "a part has a Content-Transfer-Encoding",
        "the header of a part is larger than 4096 bytes",
        "there are more than 64 parts",
        "the last boundary is missing"
    };

    return texts[error];
}
