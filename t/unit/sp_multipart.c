
/*
 * Copyright (C) Sallyport authors
 *
 * Forms in one piece, cut in two anywhere, and byte by byte: the same parts.
 */

#include "tap.h"

#include "sp_multipart.h"


typedef struct {
    const char  *name;
    const char  *text;
    const char  *expected;   /* see read_form() */
} case_t;


#define FORM   "multipart/form-data; boundary=X-b"
#define PART(name, text)                                                      \
    "--X-b\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"      \
    text "\r\n"
#define LINE(line)   "--X-b\r\n" line "\r\n\r\nt\r\n--X-b--"
#define CD           "Content-Disposition: form-data; "


static const case_t  cases[] = {
    { "one field", PART("a", "b") "--X-b--\r\n", "a=b;" },
    { "no line end behind it", PART("a", "b") "--X-b--", "a=b;" },
    { "an empty field", PART("a", "") "--X-b--", "a=;" },
    { "two fields", PART("a", "1") PART("b", "2") "--X-b--", "a=1;b=2;" },
    { "the same twice", PART("a", "1") PART("a", "2") "--X-b--",
      "a=1;a=2;" },
    { "no part", "--X-b--", "" },
    { "a preamble", "see\r\n--X-\r\n" PART("a", "1") "--X-b--", "a=1;" },
    { "an epilogue", PART("a", "1") "--X-b--\r\n" PART("b", "2") "--X-b--",
      "a=1;" },
    { "padding", "--X-b \t\r\n" CD "name=a\r\n\r\n1\r\n--X-b--", "a=1;" },
    { "a boundary's beginning in it",
      PART("a", "\r\n--X-\r\n--X\r\r\n--X-c--X-b\r") "--X-b--",
      "a=\r\n--X-\r\n--X\r\r\n--X-c--X-b\r;" },
    { "content that begins like one", PART("a", "--X-c") "--X-b--",
      "a=--X-c;" },
    { "line ends in it", PART("a", "\r\n\r\n\n\r") "--X-b--",
      "a=\r\n\r\n\n\r;" },

    { "a file", LINE(CD "name=\"f\"; filename=\"a.mp3\"\r\n"
                     "Content-Type: audio/mpeg"), "f<a.mp3|audio/mpeg>=t;" },
    { "a file without a name", LINE(CD "name=f; filename=\"\""), "f<|>=t;" },
    { "a file's name in UTF-8", LINE(CD "name=f; filename=\"\xc3\xa9.wav\""),
      "f<\xc3\xa9.wav|>=t;" },
    { "quotes in it", LINE(CD "filename=\"a\\\"b.wav\"; name=f"),
      "f<a\\\"b.wav|>=t;" },
    { "and its other form", LINE(CD "name=f; filename=\"a.wav\"; "
                                 "filename*=utf-8''b.wav"), "f<a.wav|>=t;" },
    { "any case", LINE("CONTENT-DISPOSITION:Form-Data;NAME=a"), "a=t;" },
    { "another header", LINE(CD "name=a\r\nX-Y: z\r\n"
                             "Content-Transfer-Encoding: binary"), "a=t;" },

    { "nothing", "", "!cut" },
    { "no last boundary", PART("a", "b"), "a=b!cut" },
    { "half a boundary", PART("a", "b") "--X-", "a=b!cut" },
    { "another boundary", "--Y\r\n" CD "name=a\r\n\r\nb\r\n--Y--", "!cut" },
    { "more in its line", PART("a", "1\r\n--X-bc") "--X-b--",
      "a=1;!delimiter" },
    { "one dash", PART("a", "1") "--X-b-\r\n", "a=1;!delimiter" },
    { "padding before its dashes", PART("a", "1") "--X-b --",
      "a=1;!delimiter" },
    { "a line feed behind it", "--X-b\n" CD "name=a\n\n1\n--X-b--",
      "!delimiter" },
    { "a carriage return alone", "--X-b\rX", "!delimiter" },
    { "a blank line that is both",
      "--X-b\r\n" CD "name=a\r\n\r\n--X-b--", "a=!delimiter" },

    { "no header", LINE(""), "!disposition" },
    { "no name", LINE("Content-Disposition: form-data"), "!disposition" },
    { "an empty name", LINE(CD "name=\"\""), "!disposition" },
    { "two names", LINE(CD "name=a; name=b"), "!disposition" },
    { "two dispositions", LINE(CD "name=a\r\n" CD "name=a"),
      "!disposition" },
    { "another disposition", LINE("Content-Disposition: file; name=a"),
      "!disposition" },
    { "a name in another form", LINE(CD "name=a; name*=utf-8''b"),
      "!disposition" },
    { "an escape in a name", LINE(CD "name=\"a\\b\""), "!disposition" },
    { "a name in a file's name",
      LINE(CD "name=file; filename=\"a\\\"; name=\\\"model\""),
      "!disposition" },
    { "a quote that is open", LINE(CD "name=\"a"), "!disposition" },
    { "no semicolon", LINE(CD "name=a filename=b"), "!disposition" },
    { "a folded line", LINE(CD "name=a;\r\n filename=b"), "!line" },
    { "no colon", LINE(CD "name=a\r\nhello"), "!line" },
    { "a space before the colon", LINE("Content-Disposition : form-data; "
                                       "name=a"), "!line" },
    { "a line feed alone", LINE(CD "name=a\nX: y"), "!line" },
    { "a carriage return alone in a line", LINE(CD "name=a\rX: y"),
      "!line" },
    { "two types", LINE(CD "name=a\r\nContent-Type: x\r\nContent-Type: y"),
      "!line" },
    { "base64", LINE(CD "name=a\r\nContent-Transfer-Encoding: base64"),
      "!encoding" }
};


static const struct {
    const char            *type;
    sp_multipart_error_e   error;
} types[] = {
    { "multipart/form-data; boundary=a", SP_MULTIPART_OK },
    { "Multipart/Form-Data;Boundary=\"a b\"", SP_MULTIPART_OK },
    { "multipart/form-data; charset=utf-8; boundary=a;", SP_MULTIPART_OK },
    { "multipart/form-data; boundary="
      "12345678901234567890123456789012345"
      "67890123456789012345678901234567890",
      SP_MULTIPART_OK },
    { "multipart/form-data; boundary="
      "12345678901234567890123456789012345"
      "678901234567890123456789012345678901",
      SP_MULTIPART_NO_BOUNDARY },
    { "multipart/form-data", SP_MULTIPART_NO_BOUNDARY },
    { "multipart/form-data; boundary=", SP_MULTIPART_NO_BOUNDARY },
    { "multipart/form-data; boundary=\"\"", SP_MULTIPART_NO_BOUNDARY },
    { "multipart/form-data; boundary=\"a ", SP_MULTIPART_NO_BOUNDARY },
    { "multipart/form-data; boundary=\"a \"", SP_MULTIPART_NO_BOUNDARY },
    { "multipart/form-data; boundary=\"a\\b\"", SP_MULTIPART_NO_BOUNDARY },
    { "multipart/form-data; boundary=a; boundary=b",
      SP_MULTIPART_NO_BOUNDARY },
    { "multipart/form-data; boundary=a; boundary*=utf-8''b",
      SP_MULTIPART_NO_BOUNDARY },
    { "multipart/form-data; boundary=\xc3\xa9", SP_MULTIPART_NO_BOUNDARY },
    { "multipart/form-data, boundary=a", SP_MULTIPART_TYPE },
    { "multipart/form-database; boundary=a", SP_MULTIPART_TYPE },
    { "multipart/mixed; boundary=a", SP_MULTIPART_TYPE },
    { "application/json", SP_MULTIPART_TYPE },
    { "", SP_MULTIPART_TYPE }
};


static char            out[65536];
static size_t          len;
static sp_multipart_t  form;


static void
put(const char *text, size_t n)
{
    if (len + n > sizeof(out) - 1) {
        abort();
    }

    memcpy(out + len, text, n);
    len += n;
    out[len] = '\0';
}


/*
 * name=content; or name<filename|type>=content; of each part, then "!" and
 * what is wrong.  Each step gets memory of its own: what was before is gone.
 */

static void
read_form(const char *text, size_t n, size_t first, size_t step)
{
    char                   *piece;
    size_t                  at, k;
    const char             *pos;
    sp_multipart_status_e   status;

    static const char  *const errors[] = {
        "", "type", "boundary", "delimiter", "line", "disposition",
        "encoding", "large", "many", "cut"
    };

    (void) sp_multipart_init(&form, FORM, sizeof(FORM) - 1);

    len = 0;
    out[0] = '\0';

    for (at = 0; at < n; at += k) {
        k = (at == 0) ? first : step;

        if (k > n - at) {
            k = n - at;
        }

        piece = malloc(k + 1);
        memcpy(piece, text + at, k);
        pos = piece;

        while ((status = sp_multipart_next(&form, &pos, piece + k))
               != SP_MULTIPART_AGAIN)
        {
            if (status == SP_MULTIPART_PART) {
                put(form.name.data, form.name.len);

                if (form.filename.data != NULL) {
                    put("<", 1);
                    put(form.filename.data, form.filename.len);
                    put("|", 1);
                    put(form.type.data != NULL ? form.type.data : "",
                        form.type.len);
                    put(">", 1);
                }

                put("=", 1);

            } else if (status == SP_MULTIPART_DATA) {
                put(form.data.data, form.data.len);

            } else if (status == SP_MULTIPART_PART_END) {
                put(";", 1);

            } else {
                break;
            }
        }

        free(piece);
    }

    if (sp_multipart_end(&form) != SP_MULTIPART_OK) {
        put("!", 1);
        put(errors[form.error], strlen(errors[form.error]));
    }
}


/* one line */

static const char *
shown(void)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (out[i] == '\r' || out[i] == '\n') {
            out[i] = '$';
        }
    }

    return out;
}


static void
read_case(const case_t *c)
{
    int     ok;
    size_t  i, n;

    n = strlen(c->text);

    read_form(c->text, n, n, n);
    ok = (strcmp(out, c->expected) == 0);
    TAP_OK(ok, "%s: %s", c->name, shown());

    for (i = 1; i < n; i++) {
        read_form(c->text, n, i, n);

        if (strcmp(out, c->expected) != 0) {
            TAP_OK(0, "%s, cut at %zu: %s", c->name, i, shown());
            return;
        }
    }

    read_form(c->text, n, 1, 1);
    ok = (strcmp(out, c->expected) == 0);
    TAP_OK(ok, "%s, byte by byte: %s", c->name, shown());
}


static void
places(void)
{
    size_t       i, n, seen;
    const char  *pos, *text;

    text = "\r\n" PART("a", "one") PART("b", "two") "--X-b--\r\nmore";
    n = strlen(text);

    for (i = 1; i <= n; i++) {
        (void) sp_multipart_init(&form, FORM, sizeof(FORM) - 1);

        pos = text;
        seen = 0;

        while (pos < text + n) {
            const char             *last;
            sp_multipart_status_e   status;

            last = ((size_t) (text + n - pos) > i) ? pos + i : text + n;
            status = sp_multipart_next(&form, &pos, last);

            if (status == SP_MULTIPART_END) {
                break;
            }

            if (status == SP_MULTIPART_PART_END) {
                seen += (form.end - form.begin == 3
                         && memcmp(text + form.begin,
                                   seen == 0 ? "one" : "two", 3) == 0);
            }
        }

        if (seen != 2 || form.first != 2 || form.last != n - 6) {
            break;
        }
    }

    TAP_IS_INT(i, n + 1, "places of contents, of the first and last boundary");
}


static void
limits(void)
{
    char    *text;
    size_t   i, n;

    text = malloc(1 << 16);

    for (i = 0, n = 0; i < SP_MULTIPART_PARTS + 1; i++) {
        n += (size_t) sprintf(text + n, PART("a", "b"));

        if (i == SP_MULTIPART_PARTS - 1) {
            read_form(text, n, n, n);
            TAP_OK(strstr(out, "!cut") != NULL, "64 parts");
        }
    }

    read_form(text, n, n, n);
    TAP_OK(strstr(out, "!many") != NULL, "65 parts");

    n = (size_t) sprintf(text, "--X-b\r\n" CD "name=a; filename=\"");
    memset(text + n, 'x', 5000);
    n += 5000;

    read_form(text, n, n, n);
    TAP_IS_STR(out, "!large", "a header above its size");

    read_form(text, n, 1, 7);
    TAP_IS_STR(out, "!large", "the same in pieces");

    free(text);
}


int
main(void)
{
    size_t  i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        read_case(&cases[i]);
    }

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        TAP_IS_INT(sp_multipart_init(&form, types[i].type,
                                     strlen(types[i].type)),
                   types[i].error, "type: %s", types[i].type);
    }

    places();
    limits();

    (void) sp_multipart_init(&form, FORM, sizeof(FORM) - 1);

    TAP_OK(sp_multipart_ends(&form, "--X-b", 5), "content that is one");
    TAP_OK(sp_multipart_ends(&form, "a\r\r\n--X-b", 10), "one in it");
    TAP_OK(!sp_multipart_ends(&form, "a--X-b\r\n--X-", 12), "none in it");

    for (i = 0; i <= SP_MULTIPART_CUT; i++) {
        TAP_OK(strlen(sp_multipart_strerror((sp_multipart_error_e) i)) > 0,
               "text %zu", i);
    }

    return tap_done();
}
