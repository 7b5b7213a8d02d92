
/*
 * Copyright (C) Sallyport authors
 *
 * W3C Trace Context: traceparent and tracestate.
 */


#include "sp_trace.h"

#include <string.h>


/* of tracestate (3.3.1.3) */
#define SP_TRACE_KEY     256
#define SP_TRACE_TENANT  241
#define SP_TRACE_SYSTEM  14
#define SP_TRACE_VALUE   256


static int sp_trace_hex(const char *text, size_t len);
static int sp_trace_zeros(const char *text, size_t len);
static unsigned sp_trace_byte(const char *text);
static int sp_trace_member(const char *text, size_t len);
static int sp_trace_key(const char *text, size_t len);
static int sp_trace_word(const char *text, size_t len, size_t max,
    int digit);
static int sp_trace_value(const char *text, size_t len);
static int sp_trace_space(char c);


int
sp_trace_parse(sp_trace_t *trace, const char *text, size_t len)
{
    const char  *id, *span, *flags;

    if (len < SP_TRACE_PARENT || !sp_trace_hex(text, 2)
        || memcmp(text, "ff", 2) == 0)
    {
        return SP_ERROR;
    }

    /* a later version may go on, after another dash */

    if (len > SP_TRACE_PARENT
        && (memcmp(text, "00", 2) == 0 || text[SP_TRACE_PARENT] != '-'))
    {
        return SP_ERROR;
    }

    id = text + 3;
    span = id + SP_TRACE_ID + 1;
    flags = span + SP_TRACE_SPAN + 1;

    if (id[-1] != '-' || span[-1] != '-' || flags[-1] != '-'
        || !sp_trace_hex(id, SP_TRACE_ID) || sp_trace_zeros(id, SP_TRACE_ID)
        || !sp_trace_hex(span, SP_TRACE_SPAN)
        || sp_trace_zeros(span, SP_TRACE_SPAN)
        || !sp_trace_hex(flags, 2))
    {
        return SP_ERROR;
    }

    memcpy(trace->id, id, SP_TRACE_ID);
    memcpy(trace->span, span, SP_TRACE_SPAN);
    trace->flags = sp_trace_byte(flags);

    return SP_OK;
}


/* lower case only */

static int
sp_trace_hex(const char *text, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (!((text[i] >= '0' && text[i] <= '9')
              || (text[i] >= 'a' && text[i] <= 'f')))
        {
            return 0;
        }
    }

    return 1;
}


static int
sp_trace_zeros(const char *text, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (text[i] != '0') {
            return 0;
        }
    }

    return 1;
}


static unsigned
sp_trace_byte(const char *text)
{
    size_t    i;
    unsigned  n;

    n = 0;

    for (i = 0; i < 2; i++) {
        n = n * 16 + (unsigned) (text[i] <= '9' ? text[i] - '0'
                                                : text[i] - 'a' + 10);
    }

    return n;
}


void
sp_trace_write(char *dst, const sp_trace_t *trace)
{
    memcpy(dst, "00-", 3);
    dst += 3;

    memcpy(dst, trace->id, SP_TRACE_ID);
    dst += SP_TRACE_ID;
    *dst++ = '-';

    memcpy(dst, trace->span, SP_TRACE_SPAN);
    dst += SP_TRACE_SPAN;
    *dst++ = '-';

    /* flags that this version does not know are not passed on (3.2.2.5) */

    *dst++ = '0';
    *dst = (trace->flags & SP_TRACE_SAMPLED) ? '1' : '0';
}


int
sp_trace_state(const char *text, size_t len, size_t *n)
{
    const char  *end, *last, *p, *stop;

    last = text + len;
    p = text;

    for ( ;; ) {

        end = (p < last) ? memchr(p, ',', (size_t) (last - p)) : NULL;
        stop = (end != NULL) ? end : last;

        while (p < stop && sp_trace_space(*p)) {
            p++;
        }

        while (p < stop && sp_trace_space(stop[-1])) {
            stop--;
        }

        /* an empty member is allowed, and counts for nothing */

        if (p != stop
            && (!sp_trace_member(p, (size_t) (stop - p))
                || ++*n > SP_TRACE_MEMBERS))
        {
            return SP_ERROR;
        }

        if (end == NULL) {
            return SP_OK;
        }

        p = end + 1;
    }
}


static int
sp_trace_member(const char *text, size_t len)
{
    size_t       key;
    const char  *equal;

    equal = memchr(text, '=', len);
    if (equal == NULL) {
        return 0;
    }

    key = (size_t) (equal - text);

    return sp_trace_key(text, key)
           && sp_trace_value(equal + 1, len - key - 1);
}


/* simple-key, or tenant-id "@" system-id */

static int
sp_trace_key(const char *text, size_t len)
{
    size_t       tenant;
    const char  *at;

    at = memchr(text, '@', len);

    if (at == NULL) {
        return sp_trace_word(text, len, SP_TRACE_KEY, 0);
    }

    tenant = (size_t) (at - text);

    return sp_trace_word(text, tenant, SP_TRACE_TENANT, 1)
           && sp_trace_word(at + 1, len - tenant - 1, SP_TRACE_SYSTEM, 0);
}


static int
sp_trace_word(const char *text, size_t len, size_t max, int digit)
{
    char    c;
    size_t  i;

    if (len == 0 || len > max) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        c = text[i];

        if (c >= 'a' && c <= 'z') {
            continue;
        }

        if (c >= '0' && c <= '9' && (i != 0 || digit)) {
            continue;
        }

        if (i != 0 && (c == '_' || c == '-' || c == '*' || c == '/')) {
            continue;
        }

        return 0;
    }

    return 1;
}


/* printable, without "," and "="; a space, but not as the last one */

static int
sp_trace_value(const char *text, size_t len)
{
    size_t  i;

    if (len == 0 || len > SP_TRACE_VALUE) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if (text[i] < 0x20 || text[i] > 0x7e || text[i] == ','
            || text[i] == '=')
        {
            return 0;
        }
    }

    return text[len - 1] != ' ';
}


static int
sp_trace_space(char c)
{
    return c == ' ' || c == '\t';
}
