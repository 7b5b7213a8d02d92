
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_sse.h"


#define SP_SSE_PIECE  512


typedef struct {
    const char    *value;
    size_t         value_len;
    size_t         name_len;
} sp_sse_line_t;


static sp_sse_status_e sp_sse_part(sp_sse_t *sse, const char **pos,
    const char *last, sp_sse_event_t *event);
static const char *sp_sse_boundary(sp_sse_t *sse, const char *p,
    const char *last, int *complete);
static sp_sse_status_e sp_sse_gather(sp_sse_t *sse, const char *p,
    const char *end);
static sp_sse_status_e sp_sse_parse(sp_sse_t *sse, sp_sse_event_t *event);
static const char *sp_sse_line(const char *p, const char *last,
    sp_sse_line_t *line);
static const char *sp_sse_line_end(const char *p, const char *last);
static int sp_sse_is(const char *p, const sp_sse_line_t *line,
    const char *name, size_t len);
static void sp_sse_naked(sp_sse_event_t *event, const char *p,
    const char *last);
static sp_sse_status_e sp_sse_join(sp_sse_t *sse, sp_sse_event_t *event,
    const char *p, const char *last);
static void sp_sse_spent(sp_sse_t *sse);


sp_sse_status_e
sp_sse_next(sp_sse_t *sse, const char **pos, const char *last,
    sp_sse_event_t *event)
{
    int              complete;
    sp_sse_t         saved;
    const char      *end, *p;
    sp_sse_status_e  rc;

    memset(event, 0, sizeof(sp_sse_event_t));

    sp_sse_spent(sse);

    p = *pos;

    if (p == last) {
        return SP_SSE_AGAIN;
    }

    if (sse->pass) {
        return sp_sse_part(sse, pos, last, event);
    }

    saved = *sse;

    end = sp_sse_boundary(sse, p, last, &complete);

    if (complete && sse->len == 0) {
        event->raw = p;
        event->raw_len = (size_t) (end - p);

        rc = sp_sse_parse(sse, event);

    } else {
        rc = sp_sse_gather(sse, p, end);

        if (rc == SP_SSE_EVENT && complete) {
            event->raw = sse->buf;
            event->raw_len = sse->len + (size_t) (end - p);
            event->gathered = 1;

            rc = sp_sse_parse(sse, event);
        }
    }

    if (rc == SP_SSE_FULL) {

        /* nothing was consumed: the same call again with more memory */

        saved.need = sse->need;
        *sse = saved;

        memset(event, 0, sizeof(sp_sse_event_t));

        return SP_SSE_FULL;
    }

    *pos = end;

    if (!complete) {
        sse->len += (size_t) (end - p);
        return SP_SSE_AGAIN;
    }

    sse->line = 0;
    sse->started = 1;

    if (event->gathered) {
        sse->len = event->raw_len;
        sse->spent = 1;
    }

    return SP_SSE_EVENT;
}


void
sp_sse_memory(sp_sse_t *sse, char *buf, size_t size)
{
    if (sse->len != 0) {
        memcpy(buf, sse->buf, sse->len);
    }

    sse->buf = buf;
    sse->size = size;
}


void
sp_sse_take(sp_sse_t *sse)
{
    sse->buf = NULL;
    sse->size = 0;
    sse->len = 0;
    sse->spent = 0;
}


void
sp_sse_pass(sp_sse_t *sse)
{
    if (sse->len != 0) {
        sp_sse_take(sse);
    }

    sse->pass = 1;
}


static sp_sse_status_e
sp_sse_part(sp_sse_t *sse, const char **pos, const char *last,
    sp_sse_event_t *event)
{
    int          complete;
    const char  *end;

    end = sp_sse_boundary(sse, *pos, last, &complete);

    event->raw = *pos;
    event->raw_len = (size_t) (end - *pos);

    if (complete) {
        event->last = 1;

        sse->line = 0;
        sse->started = 1;
        sse->pass = 0;
    }

    *pos = end;

    return SP_SSE_PART;
}


sp_sse_status_e
sp_sse_end(sp_sse_t *sse, sp_sse_event_t *event)
{
    sp_sse_status_e  rc;

    memset(event, 0, sizeof(sp_sse_event_t));

    sp_sse_spent(sse);

    if (sse->len == 0) {
        return SP_SSE_AGAIN;
    }

    event->raw = sse->buf;
    event->raw_len = sse->len;
    event->gathered = 1;

    rc = sp_sse_parse(sse, event);

    if (rc == SP_SSE_FULL) {
        memset(event, 0, sizeof(sp_sse_event_t));
        return SP_SSE_FULL;
    }

    sse->spent = 1;
    sse->line = 0;

    return SP_SSE_EVENT;
}


/*
 * Where the current event ends, or "last".  A blank line made of CR ends the
 * event at once: a LF that follows later begins the next raw bytes.
 */

static const char *
sp_sse_boundary(sp_sse_t *sse, const char *p, const char *last, int *complete)
{
    char      c;
    unsigned  line, cr;

    line = sse->line;
    cr = sse->cr;

    *complete = 0;

    while (p < last) {

        c = *p++;

        if (c != '\n' && c != '\r') {
            line = 1;
            cr = 0;

            p = sp_sse_line_end(p, last);

            continue;
        }

        if (c == '\n' && cr) {

            /* the second half of CRLF */

            cr = 0;
            continue;
        }

        cr = (c == '\r');

        if (line && !sse->lines) {
            line = 0;
            continue;
        }

        line = 0;
        *complete = 1;

        if (cr && p < last && *p == '\n') {
            p++;
            cr = 0;
        }

        break;
    }

    sse->line = line ? 1 : 0;
    sse->cr = cr ? 1 : 0;

    return p;
}


static sp_sse_status_e
sp_sse_gather(sp_sse_t *sse, const char *p, const char *end)
{
    size_t  n;

    n = (size_t) (end - p);

    if (sse->size - sse->len < n) {
        sse->need = sse->len + n;
        return SP_SSE_FULL;
    }

    memcpy(sse->buf + sse->len, p, n);

    return SP_SSE_EVENT;
}


static sp_sse_status_e
sp_sse_parse(sp_sse_t *sse, sp_sse_event_t *event)
{
    size_t          n;
    const char     *last, *next, *p, *start;
    sp_sse_line_t   line;

    start = event->raw;
    last = start + event->raw_len;

    if (!sse->started && last - start >= 3
        && memcmp(start, "\xef\xbb\xbf", 3) == 0)
    {
        start += 3;
    }

    if (sse->lines) {

        /* the LF of a CR LF that was split */

        while (start < last && (*start == '\n' || *start == '\r')) {
            start++;
        }

        if (start < last) {
            event->data = start;
            event->data_len = (size_t) (sp_sse_line_end(start, last) - start);
        }

        return SP_SSE_EVENT;
    }

    n = 0;

    for (p = start; p < last; p = next) {
        next = sp_sse_line(p, last, &line);

        if (sp_sse_is(p, &line, "data", 4)) {
            event->data = line.value;
            event->data_len = line.value_len;
            n++;

        } else if (sp_sse_is(p, &line, "event", 5)) {
            event->name = line.value;
            event->name_len = line.value_len;
        }
    }

    if (n > 1) {
        return sp_sse_join(sse, event, start, last);
    }

    if (n == 0) {
        sp_sse_naked(event, start, last);
    }

    return SP_SSE_EVENT;
}


/*
 * The first CR or LF, or "last".  Piece by piece: where only one of them ends
 * the lines the other must not be looked for in all of the text, each time.
 */

static const char *
sp_sse_line_end(const char *p, const char *last)
{
    size_t       n;
    const char  *cr, *lf;

    while (p < last) {
        n = (size_t) (last - p);

        if (n > SP_SSE_PIECE) {
            n = SP_SSE_PIECE;
        }

        lf = memchr(p, '\n', n);

        if (lf != NULL) {
            n = (size_t) (lf - p);
        }

        cr = memchr(p, '\r', n);

        if (cr != NULL) {
            return cr;
        }

        if (lf != NULL) {
            return lf;
        }

        p += n;
    }

    return last;
}


/* splits "name: value"; returns where the next line begins */

static const char *
sp_sse_line(const char *p, const char *last, sp_sse_line_t *line)
{
    const char  *colon, *end;

    end = sp_sse_line_end(p, last);

    line->value = end;
    line->value_len = 0;
    line->name_len = (size_t) (end - p);

    if (end != p) {
        colon = memchr(p, ':', (size_t) (end - p));

        if (colon != NULL) {
            line->name_len = (size_t) (colon - p);

            colon++;

            if (colon < end && *colon == ' ') {
                colon++;
            }

            line->value = colon;
            line->value_len = (size_t) (end - colon);
        }
    }

    return (end < last) ? end + 1 : end;
}


static int
sp_sse_is(const char *p, const sp_sse_line_t *line, const char *name,
    size_t len)
{
    return line->name_len == len && memcmp(p, name, len) == 0;
}


/* an object or an array, of one line or of several */

static void
sp_sse_naked(sp_sse_event_t *event, const char *p, const char *last)
{
    while (p < last && memchr(" \t\r\n", *p, 4) != NULL) {
        p++;
    }

    while (p < last && memchr(" \t\r\n", last[-1], 4) != NULL) {
        last--;
    }

    if (p < last && (*p == '{' || *p == '[')) {
        event->data = p;
        event->data_len = (size_t) (last - p);
        event->naked = 1;
    }
}


/* several data lines: joined in the caller's memory, behind the raw bytes */

static sp_sse_status_e
sp_sse_join(sp_sse_t *sse, sp_sse_event_t *event, const char *p,
    const char *last)
{
    char           *dst;
    size_t          n, used;
    const char     *next;
    sp_sse_line_t   line;

    used = event->gathered ? event->raw_len : 0;

    /* the joined lines are never longer than the raw bytes */

    if (sse->size - used < event->raw_len) {
        sse->need = used + event->raw_len;
        return SP_SSE_FULL;
    }

    n = 0;

    dst = sse->buf + used;
    event->data = dst;

    for ( /* void */ ; p < last; p = next) {
        next = sp_sse_line(p, last, &line);

        if (!sp_sse_is(p, &line, "data", 4)) {
            continue;
        }

        if (n++ != 0) {
            *dst++ = '\n';
        }

        memcpy(dst, line.value, line.value_len);
        dst += line.value_len;
    }

    event->data_len = (size_t) (dst - event->data);

    return SP_SSE_EVENT;
}


/* the memory of an event that was not taken is used again */

static void
sp_sse_spent(sp_sse_t *sse)
{
    if (sse->spent) {
        sse->spent = 0;
        sse->len = 0;
    }
}
