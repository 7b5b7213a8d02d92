
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

#include "sp_siwe.h"
#include "sp_uri.h"


#define SP_SIWE_WANTS                                                        \
    " wants you to sign in with your Ethereum account:"


typedef struct {
    const char  *pos;
    const char  *last;
} sp_siwe_cursor_t;


static int sp_siwe_fields(sp_siwe_t *siwe, sp_siwe_cursor_t *c,
    int lower_case, const char **message);
static int sp_siwe_domain(sp_siwe_t *siwe, sp_siwe_cursor_t *c);
static int sp_siwe_address(sp_siwe_t *siwe, sp_siwe_cursor_t *c,
    int lower_case);
static int sp_siwe_statement(sp_siwe_t *siwe, sp_siwe_cursor_t *c);
static int sp_siwe_chain_id(sp_siwe_t *siwe, sp_siwe_cursor_t *c);
static int sp_siwe_nonce(sp_siwe_t *siwe, sp_siwe_cursor_t *c);
static int sp_siwe_times(sp_siwe_t *siwe, sp_siwe_cursor_t *c,
    const char **message);
static int sp_siwe_request_id(sp_siwe_t *siwe, sp_siwe_cursor_t *c);
static int sp_siwe_resources(sp_siwe_t *siwe, sp_siwe_cursor_t *c);
static int sp_siwe_skip(sp_siwe_cursor_t *c, const char *text);
static sp_siwe_text_t sp_siwe_line(sp_siwe_cursor_t *c);
static int sp_siwe_calendar(sp_siwe_cursor_t *c, int64_t *days);
static int sp_siwe_clock(sp_siwe_cursor_t *c, int *seconds);
static int sp_siwe_zone(sp_siwe_cursor_t *c, int *seconds);
static int sp_siwe_digits(sp_siwe_cursor_t *c, size_t n, int *value);
static int64_t sp_siwe_days(int year, int month, int day);


int
sp_siwe_parse(sp_siwe_t *siwe, const char *text, size_t len, int lower_case,
    const char **message)
{
    sp_siwe_cursor_t  c;

    memset(siwe, 0, sizeof(sp_siwe_t));

    if (len == 0 || len > SP_SIWE_MAX_LEN) {
        *message = "message is empty or too large";
        return SP_ERROR;
    }

    c.pos = text;
    c.last = text + len;

    if (sp_siwe_fields(siwe, &c, lower_case, message) != SP_OK) {
        memset(siwe, 0, sizeof(sp_siwe_t));
        return SP_ERROR;
    }

    return SP_OK;
}


static int
sp_siwe_fields(sp_siwe_t *siwe, sp_siwe_cursor_t *c, int lower_case,
    const char **message)
{
    *message = "scheme or domain";

    if (sp_siwe_domain(siwe, c) != SP_OK) {
        return SP_ERROR;
    }

    *message = "address";

    if (sp_siwe_address(siwe, c, lower_case) != SP_OK) {
        return SP_ERROR;
    }

    *message = "statement";

    if (sp_siwe_statement(siwe, c) != SP_OK) {
        return SP_ERROR;
    }

    *message = "uri";

    if (sp_siwe_skip(c, "\nURI: ") != SP_OK) {
        return SP_ERROR;
    }

    siwe->uri = sp_siwe_line(c);

    if (!sp_uri_valid(siwe->uri.data, siwe->uri.len)) {
        return SP_ERROR;
    }

    *message = "version";

    if (sp_siwe_skip(c, "\nVersion: 1\n") != SP_OK) {
        return SP_ERROR;
    }

    *message = "chain id";

    if (sp_siwe_chain_id(siwe, c) != SP_OK) {
        return SP_ERROR;
    }

    *message = "nonce";

    if (sp_siwe_nonce(siwe, c) != SP_OK) {
        return SP_ERROR;
    }

    if (sp_siwe_times(siwe, c, message) != SP_OK) {
        return SP_ERROR;
    }

    *message = "request id";

    if (sp_siwe_request_id(siwe, c) != SP_OK) {
        return SP_ERROR;
    }

    *message = "resources";

    if (sp_siwe_resources(siwe, c) != SP_OK) {
        return SP_ERROR;
    }

    *message = "text after the last field";

    return c->pos == c->last ? SP_OK : SP_ERROR;
}


/* [ scheme "://" ] authority, then the fixed text and LF */

static int
sp_siwe_domain(sp_siwe_t *siwe, sp_siwe_cursor_t *c)
{
    size_t           i, wants;
    sp_siwe_text_t   line;

    line = sp_siwe_line(c);
    wants = sizeof(SP_SIWE_WANTS) - 1;

    if (line.len <= wants
        || memcmp(line.data + line.len - wants, SP_SIWE_WANTS, wants) != 0)
    {
        return SP_ERROR;
    }

    line.len -= wants;

    for (i = 0; i + 3 <= line.len; i++) {

        if (memcmp(line.data + i, "://", 3) != 0) {
            continue;
        }

        siwe->scheme.data = line.data;
        siwe->scheme.len = i;

        if (!sp_uri_scheme_valid(line.data, i)) {
            return SP_ERROR;
        }

        line.data += i + 3;
        line.len -= i + 3;
        break;
    }

    siwe->domain = line;

    return sp_uri_authority_valid(line.data, line.len) ? SP_OK : SP_ERROR;
}


static int
sp_siwe_address(sp_siwe_t *siwe, sp_siwe_cursor_t *c, int lower_case)
{
    int             rc;
    sp_siwe_text_t  line;

    if (sp_siwe_skip(c, "\n") != SP_OK) {
        return SP_ERROR;
    }

    line = sp_siwe_line(c);

    rc = lower_case
         ? sp_eth_address_parse_loose(siwe->address, line.data, line.len)
         : sp_eth_address_parse(siwe->address, line.data, line.len);

    return rc == SP_OK ? sp_siwe_skip(c, "\n\n") : SP_ERROR;
}


/*
 * Without a statement one more LF follows and then the URI, with an empty one
 * two.  The LF before "URI: " is left to the caller.
 */

static int
sp_siwe_statement(sp_siwe_t *siwe, sp_siwe_cursor_t *c)
{
    size_t            i;
    sp_siwe_cursor_t  ahead;

    ahead = *c;

    if (sp_siwe_skip(&ahead, "\nURI: ") == SP_OK) {
        return SP_OK;
    }

    siwe->statement = sp_siwe_line(c);

    for (i = 0; i < siwe->statement.len; i++) {
        if (siwe->statement.data[i] != ' '
            && !sp_uri_is_plain(siwe->statement.data[i]))
        {
            return SP_ERROR;
        }
    }

    return sp_siwe_skip(c, "\n");
}


static int
sp_siwe_chain_id(sp_siwe_t *siwe, sp_siwe_cursor_t *c)
{
    size_t          i;
    sp_siwe_text_t  line;

    if (sp_siwe_skip(c, "Chain ID: ") != SP_OK) {
        return SP_ERROR;
    }

    line = sp_siwe_line(c);

    if (line.len == 0 || line.len > 18) {
        return SP_ERROR;
    }

    for (i = 0; i < line.len; i++) {

        if (line.data[i] < '0' || line.data[i] > '9') {
            return SP_ERROR;
        }

        siwe->chain_id = siwe->chain_id * 10 + (uint64_t) (line.data[i] - '0');
    }

    return SP_OK;
}


static int
sp_siwe_nonce(sp_siwe_t *siwe, sp_siwe_cursor_t *c)
{
    char    ch;
    size_t  i;

    if (sp_siwe_skip(c, "\nNonce: ") != SP_OK) {
        return SP_ERROR;
    }

    siwe->nonce = sp_siwe_line(c);

    if (siwe->nonce.len < 8 || siwe->nonce.len > SP_SIWE_MAX_NONCE) {
        return SP_ERROR;
    }

    for (i = 0; i < siwe->nonce.len; i++) {
        ch = siwe->nonce.data[i];

        if (!(ch >= '0' && ch <= '9') && !(ch >= 'a' && ch <= 'z')
            && !(ch >= 'A' && ch <= 'Z'))
        {
            return SP_ERROR;
        }
    }

    return SP_OK;
}


static int
sp_siwe_times(sp_siwe_t *siwe, sp_siwe_cursor_t *c, const char **message)
{
    sp_siwe_text_t  line;

    *message = "issued at";

    if (sp_siwe_skip(c, "\nIssued At: ") != SP_OK) {
        return SP_ERROR;
    }

    line = sp_siwe_line(c);

    if (sp_siwe_date(&siwe->issued_at, line.data, line.len, 0) != SP_OK) {
        return SP_ERROR;
    }

    *message = "expiration time";

    if (sp_siwe_skip(c, "\nExpiration Time: ") == SP_OK) {
        line = sp_siwe_line(c);
        siwe->has_expires = 1;

        if (sp_siwe_date(&siwe->expires, line.data, line.len, 0) != SP_OK) {
            return SP_ERROR;
        }
    }

    *message = "not before";

    if (sp_siwe_skip(c, "\nNot Before: ") == SP_OK) {
        line = sp_siwe_line(c);
        siwe->has_not_before = 1;

        if (sp_siwe_date(&siwe->not_before, line.data, line.len, 1) != SP_OK) {
            return SP_ERROR;
        }
    }

    return SP_OK;
}


static int
sp_siwe_request_id(sp_siwe_t *siwe, sp_siwe_cursor_t *c)
{
    if (sp_siwe_skip(c, "\nRequest ID: ") != SP_OK) {
        return SP_OK;
    }

    siwe->request_id = sp_siwe_line(c);

    return sp_uri_pchars_valid(siwe->request_id.data, siwe->request_id.len)
           ? SP_OK : SP_ERROR;
}


static int
sp_siwe_resources(sp_siwe_t *siwe, sp_siwe_cursor_t *c)
{
    sp_siwe_text_t  line;

    if (sp_siwe_skip(c, "\nResources:") != SP_OK) {
        return SP_OK;
    }

    siwe->has_resources = 1;

    while (sp_siwe_skip(c, "\n- ") == SP_OK) {
        line = sp_siwe_line(c);

        if (!sp_uri_valid(line.data, line.len)
            || siwe->nresources++ == SP_SIWE_MAX_RESOURCES)
        {
            return SP_ERROR;
        }
    }

    return SP_OK;
}


static int
sp_siwe_skip(sp_siwe_cursor_t *c, const char *text)
{
    size_t  len;

    len = strlen(text);

    if ((size_t) (c->last - c->pos) < len || memcmp(c->pos, text, len) != 0) {
        return SP_ERROR;
    }

    c->pos += len;

    return SP_OK;
}


/* up to the LF, which is left */

static sp_siwe_text_t
sp_siwe_line(sp_siwe_cursor_t *c)
{
    const char      *end;
    sp_siwe_text_t   line;

    end = memchr(c->pos, '\n', (size_t) (c->last - c->pos));

    if (end == NULL) {
        end = c->last;
    }

    line.data = c->pos;
    line.len = (size_t) (end - c->pos);
    c->pos = end;

    return line;
}


int
sp_siwe_date(int64_t *seconds, const char *text, size_t len, int up)
{
    int                offset, second;
    int64_t            days;
    sp_siwe_cursor_t   c;

    *seconds = 0;
    c.pos = text;
    c.last = text + len;

    if (sp_siwe_calendar(&c, &days) != SP_OK
        || (sp_siwe_skip(&c, "T") != SP_OK && sp_siwe_skip(&c, "t") != SP_OK)
        || sp_siwe_clock(&c, &second) != SP_OK)
    {
        return SP_ERROR;
    }

    if (sp_siwe_skip(&c, ".") == SP_OK) {
        text = c.pos;

        while (c.pos < c.last && *c.pos >= '0' && *c.pos <= '9') {

            if (up && *c.pos != '0') {
                second++;
                up = 0;
            }

            c.pos++;
        }

        if (c.pos == text) {
            return SP_ERROR;
        }
    }

    if (sp_siwe_zone(&c, &offset) != SP_OK || c.pos != c.last) {
        return SP_ERROR;
    }

    *seconds = days * 86400 + second - offset;

    return SP_OK;
}


static int
sp_siwe_calendar(sp_siwe_cursor_t *c, int64_t *days)
{
    int               day, month, year;

    static const int  lengths[] = { 31, 28, 31, 30, 31, 30,
                                    31, 31, 30, 31, 30, 31 };

    if (sp_siwe_digits(c, 4, &year) != SP_OK
        || sp_siwe_skip(c, "-") != SP_OK
        || sp_siwe_digits(c, 2, &month) != SP_OK
        || sp_siwe_skip(c, "-") != SP_OK
        || sp_siwe_digits(c, 2, &day) != SP_OK
        || month < 1 || month > 12 || day < 1)
    {
        return SP_ERROR;
    }

    if (day > lengths[month - 1]
              + (month == 2 && year % 4 == 0
                 && (year % 100 != 0 || year % 400 == 0)))
    {
        return SP_ERROR;
    }

    *days = sp_siwe_days(year, month, day);

    return SP_OK;
}


static int
sp_siwe_clock(sp_siwe_cursor_t *c, int *seconds)
{
    int  hour, minute, second;

    /* 60 is a leap second */

    if (sp_siwe_digits(c, 2, &hour) != SP_OK
        || sp_siwe_skip(c, ":") != SP_OK
        || sp_siwe_digits(c, 2, &minute) != SP_OK
        || sp_siwe_skip(c, ":") != SP_OK
        || sp_siwe_digits(c, 2, &second) != SP_OK
        || hour > 23 || minute > 59 || second > 60)
    {
        return SP_ERROR;
    }

    *seconds = hour * 3600 + minute * 60 + second;

    return SP_OK;
}


static int
sp_siwe_zone(sp_siwe_cursor_t *c, int *seconds)
{
    int  hour, minute, sign;

    *seconds = 0;

    if (sp_siwe_skip(c, "Z") == SP_OK || sp_siwe_skip(c, "z") == SP_OK) {
        return SP_OK;
    }

    sign = sp_siwe_skip(c, "-") == SP_OK ? -1 : 1;

    if ((sign == 1 && sp_siwe_skip(c, "+") != SP_OK)
        || sp_siwe_digits(c, 2, &hour) != SP_OK
        || sp_siwe_skip(c, ":") != SP_OK
        || sp_siwe_digits(c, 2, &minute) != SP_OK
        || hour > 23 || minute > 59)
    {
        return SP_ERROR;
    }

    *seconds = sign * (hour * 3600 + minute * 60);

    return SP_OK;
}


static int
sp_siwe_digits(sp_siwe_cursor_t *c, size_t n, int *value)
{
    size_t  i;

    *value = 0;

    if ((size_t) (c->last - c->pos) < n) {
        return SP_ERROR;
    }

    for (i = 0; i < n; i++) {

        if (*c->pos < '0' || *c->pos > '9') {
            return SP_ERROR;
        }

        *value = *value * 10 + (*c->pos++ - '0');
    }

    return SP_OK;
}


/* days since 1970-01-01, Gregorian; the year begins in March here */

static int64_t
sp_siwe_days(int year, int month, int day)
{
    int64_t  era, of_era, of_year, y;

    y = year - (month <= 2);
    era = (y >= 0 ? y : y - 399) / 400;
    of_era = y - era * 400;
    of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year
           - 719468;
}
