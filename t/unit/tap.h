/*
 * Copyright (C) Sallyport authors
 *
 * TAP for unit tests in C.  A test is one file of this folder with a main();
 * `prove t/unit` compiles it with modules/lib and runs it.
 *
 *     TAP_OK(sp_hex_digit('g') == -1, "\"%c\" is no digit", 'g');
 *     TAP_IS_INT(len, 4, "length");
 *     TAP_IS_MEM(got, got_len, "abcd", 4, "decoded");
 *     return tap_done();
 */

#ifndef _SP_TAP_H_INCLUDED_
#define _SP_TAP_H_INCLUDED_


#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static int  tap_count;
static int  tap_failed;


static int tap_result(int ok, const char *file, int line, const char *fmt,
    va_list args)
{
    tap_count++;

    printf("%sok %d - ", ok ? "" : "not ", tap_count);
    vprintf(fmt, args);
    printf("\n");

    if (!ok) {
        tap_failed++;
        printf("#   failed at %s line %d\n", file, line);
    }

    fflush(stdout);

    return ok;
}


__attribute__((unused, format(printf, 4, 5)))
static int tap_ok(int ok, const char *file, int line, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    ok = tap_result(ok, file, line, fmt, args);
    va_end(args);

    return ok;
}


__attribute__((unused, format(printf, 5, 6)))
static int tap_is_int(int64_t got, int64_t expected, const char *file,
    int line, const char *fmt, ...)
{
    int      ok;
    va_list  args;

    va_start(args, fmt);
    ok = tap_result(got == expected, file, line, fmt, args);
    va_end(args);

    if (!ok) {
        printf("#   got %lld, expected %lld\n", (long long) got,
               (long long) expected);
    }

    return ok;
}


static void tap_print(const char *label, const void *data, size_t len)
{
    size_t                i;
    const unsigned char  *p;

    p = data;

    printf("#   %s (%zu bytes): ", label, len);

    for (i = 0; i < len && i < 400; i++) {
        if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\') {
            putchar(p[i]);

        } else {
            printf("\\x%02x", p[i]);
        }
    }

    printf("%s\n", i < len ? "..." : "");
}


__attribute__((unused, format(printf, 7, 8)))
static int tap_is_mem(const void *got, size_t got_len, const void *expected,
    size_t expected_len, const char *file, int line, const char *fmt, ...)
{
    int      ok;
    va_list  args;

    ok = got_len == expected_len
         && (got_len == 0 || memcmp(got, expected, got_len) == 0);

    va_start(args, fmt);
    ok = tap_result(ok, file, line, fmt, args);
    va_end(args);

    if (!ok) {
        tap_print("got     ", got, got_len);
        tap_print("expected", expected, expected_len);
    }

    return ok;
}


__attribute__((unused))
static int tap_done(void)
{
    printf("1..%d\n", tap_count);

    return tap_failed == 0 ? 0 : 1;
}


#define TAP_OK(ok, ...)                                                       \
    tap_ok((ok) ? 1 : 0, __FILE__, __LINE__, __VA_ARGS__)

#define TAP_IS_INT(got, expected, ...)                                        \
    tap_is_int((int64_t) (got), (int64_t) (expected), __FILE__, __LINE__,     \
               __VA_ARGS__)

#define TAP_IS_MEM(got, got_len, expected, expected_len, ...)                 \
    tap_is_mem(got, got_len, expected, expected_len, __FILE__, __LINE__,      \
               __VA_ARGS__)

/* NUL-terminated text */
#define TAP_IS_STR(got, expected, ...)                                        \
    tap_is_mem(got, strlen(got), expected, strlen(expected), __FILE__,        \
               __LINE__, __VA_ARGS__)


#endif /* _SP_TAP_H_INCLUDED_ */
