
/*
 * Copyright (C) Sallyport authors
 */

#include "tap.h"

#include "sp_extras.h"


/* "text" as pieces of "step" bytes, escapes whole; what is shown and said */

static void run(const char *text, size_t step, char *shown, size_t size,
    char *said)
{
    char               piece[8192];
    size_t             i, last, n;
    sp_out_t           out, json;
    sp_extras_t        e;
    sp_extras_said_t   what;

    memset(&e, 0, sizeof(sp_extras_t));

    out.dst = shown;
    out.size = size;
    out.len = 0;

    last = strlen(text);

    for (i = 0; i < last; i += n) {
        n = (last - i < step) ? last - i : step;

        if (text[i + n - 1] == '\\' && (i + n < 2 || text[i + n - 2] != '\\'))
        {
            n++;
        }

        memcpy(piece, text + i, n);
        sp_extras_feed(&e, piece, n, &out);
        memset(piece, '#', n);
    }

    sp_extras_flush(&e, &out);
    shown[out.len < size ? out.len : size - 1] = '\0';

    strcpy(said, "-");

    if (sp_extras_read(&e, &what) == 0) {
        json.dst = said;
        json.size = 4096;
        json.len = 0;

        sp_extras_write(&what, &json);
        said[json.len] = '\0';
        sp_extras_free(&what);
    }
}


#define JOY  "{\\\"emotion\\\":\\\"joy\\\",\\\"suggested_actions\\\":" \
             "[\\\"go on\\\",\\\"stop\\\"]}"
#define SAID_JOY                                                              \
    "{\"emotion\":\"joy\",\"suggested_actions\":[\"go on\",\"stop\"]}"


static void test_cut(void)
{
    int          bad;
    char         said[4096], shown[8192];
    size_t       i, step;

    static const char *const  list[][3] = {
        /* said, shown, told */
        { "Hi.\\n<extras>" JOY "</extras>", "Hi.", SAID_JOY },
        { "Hi.\\n\\n<extras>" JOY "</extras>\\n", "Hi.\\n", SAID_JOY },
        { "<extras>" JOY "</extras>", "", SAID_JOY },
        { "Hi.<extras>" JOY, "Hi.", SAID_JOY },
        { "Hi.<extras>\\n```json\\n" JOY "\\n```</extras>", "Hi.", SAID_JOY },
        { "a <extras>" JOY "</extras> b", "a b", SAID_JOY },
        { "a<extras>{}</extras>b<extras>" JOY "</extras>", "ab", SAID_JOY },

        /* nothing told */
        { "Hi.", "Hi.", "-" }, { "", "", "-" },
        { "a  b \\n c\\n", "a  b \\n c\\n", "-" },
        { "1 <2 <e <extra <extras", "1 <2 <e <extra <extras", "-" },
        { "<<extras <Extras> </extras>", "<<extras <Extras> </extras>", "-" },
        { "a\\\"\\\\<\\\\ \\t<extras", "a\\\"\\\\<\\\\ \\t<extras", "-" },
        { "Hi.<extras>", "Hi.", "-" }, { "Hi.<extras></extras>", "Hi.", "-" },
        { "Hi.<extras>joy</extras>", "Hi.", "-" },
        { "Hi.<extras>{\\\"emotion\\\":", "Hi.", "-" },
        { "Hi.<extras>[]</extras>", "Hi.", "-" },
        { "Hi.<extras>{\\\"emotion\\\":1}</extras>", "Hi.", "-" },
        { "Hi.<extras>{\\\"emotion\\\":\\\"\\\"}</extras>", "Hi.", "-" },
        { "Hi.<extras>{\\\"emotion\\\":\\\"a\\\",\\\"emotion\\\":\\\"b\\\"}"
          "</extras>", "Hi.", "-" },

        /* a part of it */
        { "<extras>{\\\"emotion\\\":\\\"joy\\\"}</extras>", "",
          "{\"emotion\":\"joy\",\"suggested_actions\":[]}" },
        { "<extras>{\\\"suggested_actions\\\":[1,\\\"a\\\",[],\\\"\\\"],"
          "\\\"x\\\":{}}</extras>", "",
          "{\"emotion\":null,\"suggested_actions\":[\"a\"]}" },
        { "<extras>{\\\"emotion\\\":\\\"a\\\\\\\"b</extras\\\"}</extras>", "",
          "{\"emotion\":\"a\\\"b</extras\",\"suggested_actions\":[]}" },
        { "<extras>{\\\"emotion\\\":\\\"<</extras>", "", "-" },

        /* more space than is held */
        { "a                                        <extras>" JOY,
          "a                             ", SAID_JOY }
    };

    for (i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        bad = 0;

        for (step = 1; step < 80; step++) {
            run(list[i][0], step, shown, sizeof(shown), said);

            if (i == sizeof(list) / sizeof(list[0]) - 1) {
                bad += (strlen(shown) < 15 || strspn(shown + 1, " ")
                                              != strlen(shown) - 1);

            } else if (strcmp(shown, list[i][1]) != 0) {
                bad++;
            }

            bad += (strcmp(said, list[i][2]) != 0);
        }

        TAP_IS_INT(bad, 0, "however it is split: %.60s", list[i][0]);

        if (bad) {
            printf("# shown \"%s\", said %s\n", shown, said);
        }
    }
}


static void test_caps(void)
{
    char    said[4096], shown[8192], text[8192];
    size_t  i, len;

    strcpy(text, "a<extras>{\\\"emotion\\\":\\\"joy\\\",\\\"x\\\":\\\"");
    len = strlen(text);
    memset(text + len, 'x', SP_EXTRAS_SIZE);
    strcpy(text + len + SP_EXTRAS_SIZE, "\\\"}</extras>b");

    run(text, 7, shown, sizeof(shown), said);
    TAP_IS_STR(shown, "ab", "too long: cut all the same");
    TAP_IS_STR(said, "-", ".. and not told");

    strcpy(text, "<extras>{\\\"suggested_actions\\\":[");

    for (i = 0; i < SP_EXTRAS_ACTIONS + 2; i++) {
        strcat(text, i ? ",\\\"a\\\"" : "\\\"a\\\"");
    }

    strcat(text, "]}</extras>");
    run(text, 3, shown, sizeof(shown), said);
    TAP_IS_STR(said, "{\"emotion\":null,\"suggested_actions\":[\"a\",\"a\","
               "\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]}", "eight actions");

    strcpy(text, "<extras>{\\\"emotion\\\":\\\"");
    len = strlen(text);
    memset(text + len, 'x', SP_EXTRAS_TEXT + 1);
    strcpy(text + len + SP_EXTRAS_TEXT + 1, "\\\"}");
    run(text, 3, shown, sizeof(shown), said);
    TAP_IS_STR(said, "-", "too long an emotion");
}


int main(void)
{
    test_cut();
    test_caps();

    return tap_done();
}
