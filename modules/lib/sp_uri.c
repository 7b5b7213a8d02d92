
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

#include <arpa/inet.h>

#include "sp_hex.h"
#include "sp_uri.h"


static int sp_uri_chars(const char *text, size_t len, const char *more);
static int sp_uri_host_valid(const char *text, size_t len);
static int sp_uri_ip_valid(const char *text, size_t len);
static int sp_uri_port_valid(const char *text, size_t len);
static int sp_uri_is_alpha(char c);
static int sp_uri_is_unreserved(char c);
static int sp_uri_is_sub_delim(char c);
static int sp_uri_in(char c, const char *set);


int
sp_uri_valid(const char *text, size_t len)
{
    size_t       n;
    const char  *last, *p, *q;

    last = text + len;

    p = memchr(text, ':', len);
    if (p == NULL || !sp_uri_scheme_valid(text, (size_t) (p - text))) {
        return 0;
    }

    p++;

    if (last - p >= 2 && p[0] == '/' && p[1] == '/') {
        p += 2;

        for (q = p; q < last && !sp_uri_in(*q, "/?#"); q++) {
            /* void */
        }

        /* RFC 3986 lets it be empty, as in file:/// */

        if (q != p && !sp_uri_authority_valid(p, (size_t) (q - p))) {
            return 0;
        }

        p = q;
    }

    q = memchr(p, '#', (size_t) (last - p));

    if (q != NULL) {

        if (!sp_uri_chars(q + 1, (size_t) (last - q - 1), "/?")) {
            return 0;
        }

        last = q;
    }

    q = memchr(p, '?', (size_t) (last - p));

    if (q != NULL) {

        if (!sp_uri_chars(q + 1, (size_t) (last - q - 1), "/?")) {
            return 0;
        }

        last = q;
    }

    n = (size_t) (last - p);

    return sp_uri_chars(p, n, "/");
}


int
sp_uri_authority_valid(const char *text, size_t len)
{
    size_t       i, n;
    const char  *at, *port;

    if (len == 0) {
        return 0;
    }

    at = memchr(text, '@', len);

    if (at != NULL) {
        n = (size_t) (at - text);

        for (i = 0; i < n; i++) {
            if (text[i] == '@') {
                return 0;
            }
        }

        if (!sp_uri_chars(text, n, "")) {
            return 0;
        }

        text = at + 1;
        len -= n + 1;
    }

    /* the last colon outside of brackets begins the port */

    port = NULL;

    for (i = len; i != 0; i--) {

        if (text[i - 1] == ']') {
            break;
        }

        if (text[i - 1] == ':') {
            port = text + i - 1;
            break;
        }
    }

    if (port != NULL) {
        n = (size_t) (port - text);

        if (!sp_uri_port_valid(port + 1, len - n - 1)) {
            return 0;
        }

        len = n;
    }

    return sp_uri_host_valid(text, len);
}


static int
sp_uri_host_valid(const char *text, size_t len)
{
    size_t  i;

    if (len == 0) {
        return 0;
    }

    if (text[0] == '[') {
        return text[len - 1] == ']' && sp_uri_ip_valid(text + 1, len - 2);
    }

    for (i = 0; i < len; i++) {

        if (text[i] == '%') {

            if (len - i < 3 || sp_hex_digit(text[i + 1]) == -1
                || sp_hex_digit(text[i + 2]) == -1)
            {
                return 0;
            }

            i += 2;
            continue;
        }

        if (!sp_uri_is_unreserved(text[i]) && !sp_uri_is_sub_delim(text[i])) {
            return 0;
        }
    }

    return 1;
}


/* IPv6address / IPvFuture */

static int
sp_uri_ip_valid(const char *text, size_t len)
{
    char     copy[INET6_ADDRSTRLEN];
    size_t   i, n;
    uint8_t  address[16];

    if (len == 0) {
        return 0;
    }

    if (text[0] != 'v' && text[0] != 'V') {

        if (len >= sizeof(copy) || memchr(text, '\0', len) != NULL) {
            return 0;
        }

        memcpy(copy, text, len);
        copy[len] = '\0';

        return inet_pton(AF_INET6, copy, address) == 1;
    }

    for (n = 1; n < len && sp_hex_digit(text[n]) != -1; n++) {
        /* void */
    }

    if (n == 1 || n + 1 >= len || text[n] != '.') {
        return 0;
    }

    for (i = n + 1; i < len; i++) {
        if (text[i] != ':' && !sp_uri_is_unreserved(text[i])
            && !sp_uri_is_sub_delim(text[i]))
        {
            return 0;
        }
    }

    return 1;
}


static int
sp_uri_port_valid(const char *text, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return 0;
        }
    }

    return 1;
}


int
sp_uri_scheme_valid(const char *text, size_t len)
{
    size_t  i;

    if (len == 0 || !sp_uri_is_alpha(text[0])) {
        return 0;
    }

    for (i = 1; i < len; i++) {
        if (!sp_uri_is_alpha(text[i]) && !(text[i] >= '0' && text[i] <= '9')
            && !sp_uri_in(text[i], "+-."))
        {
            return 0;
        }
    }

    return 1;
}


int
sp_uri_pchars_valid(const char *text, size_t len)
{
    return sp_uri_chars(text, len, "");
}


/* pchar, complete percent escapes, and the characters of "more" */

static int
sp_uri_chars(const char *text, size_t len, const char *more)
{
    size_t  i;

    for (i = 0; i < len; i++) {

        if (text[i] == '%') {

            if (len - i < 3 || sp_hex_digit(text[i + 1]) == -1
                || sp_hex_digit(text[i + 2]) == -1)
            {
                return 0;
            }

            i += 2;
            continue;
        }

        if (!sp_uri_is_pchar(text[i]) && !sp_uri_in(text[i], more)) {
            return 0;
        }
    }

    return 1;
}


int
sp_uri_within(const char *uri, size_t len, const char *origin,
    size_t origin_len)
{
    if (len < origin_len || memcmp(uri, origin, origin_len) != 0) {
        return 0;
    }

    return len == origin_len || sp_uri_in(uri[origin_len], "/?#");
}


int
sp_uri_is_pchar(char c)
{
    return sp_uri_is_unreserved(c) || sp_uri_is_sub_delim(c)
           || sp_uri_in(c, ":@");
}


int
sp_uri_is_plain(char c)
{
    return sp_uri_is_unreserved(c) || sp_uri_is_sub_delim(c)
           || sp_uri_in(c, ":/?#[]@");
}


static int
sp_uri_is_unreserved(char c)
{
    return sp_uri_is_alpha(c) || (c >= '0' && c <= '9')
           || sp_uri_in(c, "-._~");
}


static int
sp_uri_is_sub_delim(char c)
{
    return sp_uri_in(c, "!$&'()*+,;=");
}


static int
sp_uri_is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}


static int
sp_uri_in(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}
