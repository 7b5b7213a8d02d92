
/*
 * Copyright (C) Sallyport authors
 */

#include "sp_base64.h"

#include "tap.h"


typedef struct {
    const char  *text;
    const char  *bytes;     /* NULL: refused */
} row_t;


static const row_t  url_rows[] = {
    { "", "" },
    { "Zg", "f" },
    { "Zm8", "fo" },
    { "Zm9v", "foo" },
    { "Zm9vYg", "foob" },
    { "-_8", "\xfb\xff" },
    { "Zg==", NULL },
    { "Zg=", NULL },
    { "Z", NULL },
    { "Zm9vY", NULL },
    { "A", NULL },
    { "Zm9vA", NULL },
    { "Zh", NULL },
    { "Zm9", NULL },
    { "Zm 8", NULL },
    { "Zm8\n", NULL },
    { "+/8", NULL },
    { "Zm9\x80", NULL },
    { "????", NULL }
};


static const row_t  rows[] = {
    { "", "" },
    { "Zg==", "f" },
    { "Zm8=", "fo" },
    { "Zm9v", "foo" },
    { "+/8=", "\xfb\xff" },
    { "Zg", NULL },
    { "Zg=", NULL },
    { "Zg===", NULL },
    { "====", NULL },
    { "Zh==", NULL },
    { "Zm9=", NULL },
    { "Z===", NULL },
    { "Zg==Zg==", NULL },
    { "-_8=", NULL }
};


typedef int (*decode_pt)(uint8_t *dst, size_t size, size_t *len,
    const char *text, size_t text_len);


static void
table(const char *name, decode_pt decode, const row_t *row, size_t n)
{
    size_t   i, len;
    uint8_t  out[16];

    for (i = 0; i < n; i++) {
        memset(out, 'x', sizeof(out));

        if (row[i].bytes == NULL) {
            TAP_OK(decode(out, sizeof(out), &len, row[i].text,
                          strlen(row[i].text)) == SP_ERROR
                   && len == 0 && out[0] == 0 && out[15] == 0,
                   "%s refuses row %zu", name, i);
            continue;
        }

        TAP_OK(decode(out, sizeof(out), &len, row[i].text,
                      strlen(row[i].text)) == SP_OK
               && len == strlen(row[i].bytes)
               && memcmp(out, row[i].bytes, len) == 0,
               "%s \"%s\"", name, row[i].text);
    }
}


int
main(void)
{
    int      bad;
    char     text[1024];
    size_t   len, n;
    uint8_t  in[300], out[300];

    table("base64url", sp_base64url_decode, url_rows,
          sizeof(url_rows) / sizeof(url_rows[0]));
    table("base64", sp_base64_decode, rows, sizeof(rows) / sizeof(rows[0]));

    for (n = 0; n < sizeof(in); n++) {
        in[n] = (uint8_t) (n * 7 + 3);
    }

    bad = 0;

    for (n = 0; n < sizeof(in); n++) {
        len = sp_base64url_encode(text, in, n);

        if (len != sp_base64url_len(n)
            || sp_base64url_decode(out, n, &len, text, len) != SP_OK
            || len != n || memcmp(in, out, n) != 0)
        {
            bad++;
        }

        len = sp_base64_encode(text, in, n);

        if (len != sp_base64_len(n)
            || sp_base64_decode(out, n, &len, text, len) != SP_OK
            || len != n || memcmp(in, out, n) != 0)
        {
            bad++;
        }
    }

    TAP_IS_INT(bad, 0, "both ways for 0 to 299 bytes, into exact buffers");

    TAP_OK(sp_base64url_decode(out, 2, &len, "Zm9v", 4) == SP_ERROR,
           "the buffer is too small");

    return tap_done();
}
