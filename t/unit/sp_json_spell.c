
/*
 * Copyright (C) Sallyport authors
 */

#include "sp_json_spell.h"

#include "tap.h"


static const struct {
    const char  *text;
    const char  *spelled;
    const char  *back;         /* NULL: the text itself */
} cases[] = {
    { "", "", NULL },
    { "{\"a\": [1, true]}", "{\"a\": [1, true]}", NULL },
    { "{\n\t\"a\":1}", "{\n\t\"a\":1}", NULL },
    { "\"a\\nb\\tc\\r\\b\\f\"", "\"a\nb\tc\r\b\f\"", NULL },
    { "\"\\u0001\\u001f\\u000b\"", "\"\x01\x1f\x0b\"", NULL },
    { "\"\\/\"", "\"/\"", "\"/\"" },
    { "\"z\\u0065bra\"", "\"zebra\"", "\"zebra\"" },
    { "\"\\u00E9\\u20ac\"", "\"\xc3\xa9\xe2\x82\xac\"",
      "\"\xc3\xa9\xe2\x82\xac\"" },
    { "\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"",
      "\"\xf0\x9f\x98\x80\"" },
    { "\"\\\"\\\\n\\\\\\\"\"", "\"\\\"\\\\n\\\\\\\"\"", NULL },
    { "\"\\u0022\\u005c\"", "\"\\\"\\\\\"", "\"\\\"\\\\\"" },
    { "\"\\u0000\"", "\"\\u0000\"", NULL },
    { "\"\\ud83d\"", "\"\\ud83d\"", NULL },
    { "\"\\udE00\"", "\"\\udE00\"", NULL },
    { "\"\\ud83d\\n\"", "\"\\ud83d\n\"", NULL },
    { "\"\\ud83d\\u0041\"", "\"\\ud83dA\"", "\"\\ud83dA\"" },
    { "\"\\ud83d\\ud83d\\ude00\"", "\"\\ud83d\xf0\x9f\x98\x80\"",
      "\"\\ud83d\xf0\x9f\x98\x80\"" },
    { "\"\\ud83d\\u00\"x\\n", "\"\\ud83d\\\\u00\"x\\n",
      "\"\\ud83d\\\\u00\"x\\n" },
    { "\"\\u00\"\\n", "\"\\\\u00\"\\n", "\"\\\\u00\"\\n" },
    { "\"\\u00\\n\"", "\"\\\\u00\n\"", "\"\\\\u00\\n\"" },
    { "\"\\u007\\u0061\"", "\"\\\\u007a\"", "\"\\\\u007a\"" },
    { "\"\\x\\'\"", "\"\\x\\'\"", NULL },
    { "no string \\n", "no string \\n", NULL },
    { "\"open \\", "\"open \\", NULL },
    { "\"open \\ud83d\\ude0", "\"open \\ud83d\\ude0", NULL },
    { "\"raw\nline\"", "\"raw\nline\"", "\"raw\\nline\"" },
};


int
main(void)
{
    char             back[512], spelled[512];
    size_t           i, k, len, n, nback, size, step;
    const char      *want;
    sp_json_spell_t  in, out;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        len = strlen(cases[i].text);
        want = cases[i].back ? cases[i].back : cases[i].text;

        for (size = 1; size <= len + 1; size++) {
            memset(&in, 0, sizeof(in));
            memset(&out, 0, sizeof(out));

            n = 0;
            nback = 0;

            for (k = 0; k < len || k == 0; k += size) {
                step = (len - k < size) ? len - k : size;

                n += sp_json_spell(&in, spelled + n, cases[i].text + k, step,
                                   k + step == len);
            }

            TAP_IS_MEM(spelled, n, cases[i].spelled,
                       strlen(cases[i].spelled), "case %zu by %zu", i, size);

            for (k = 0; k < n; k += size) {
                step = (n - k < size) ? n - k : size;

                nback += sp_json_respell(&out, back + nback, spelled + k,
                                         step);
            }

            TAP_IS_MEM(back, nback, want, strlen(want), "and back");
        }
    }

    return tap_done();
}
