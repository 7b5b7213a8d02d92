
/*
 * Copyright (C) Sallyport authors
 */

#include "tap.h"

#include "sp_locale.h"


static const sp_locale_tag_t  tags[] = {
    { "en", 2 }, { "de", 2 }, { "pt-BR", 5 }, { "pt-PT", 5 },
    { "zh-Hant", 7 }, { "sr-Latn-RS", 10 }, { "x-pirate", 8 }
};

#define NTAGS  (sizeof(tags) / sizeof(tags[0]))


static const char *name_of(size_t i)
{
    return (i < NTAGS) ? tags[i].data : (i == NTAGS) ? "none" : "beyond";
}


static void test_tags(void)
{
    size_t  i;

    /* those of RFC 5646, appendix A, and of 2.1.1 and 2.2 */

    static const char *const  good[] = {
        "de", "fr", "ja", "zh-Hant", "zh-Hans", "sr-Cyrl", "sr-Latn",
        "zh-cmn-Hans-CN", "cmn-Hans-CN", "zh-yue-HK", "yue-HK",
        "zh-Hans-CN", "sr-Latn-RS", "sl-rozaj", "sl-rozaj-biske",
        "sl-nedis", "de-CH-1901", "sl-IT-nedis", "hy-Latn-IT-arevela",
        "de-DE", "en-US", "es-419", "de-CH-x-phonebk",
        "az-Arab-x-AZE-derbend", "x-whatever", "qaa-Qaaa-QM-x-southern",
        "de-Qaaa", "sr-Latn-QM", "sr-Qaaa-RS", "en-US-u-islamcal",
        "zh-CN-a-myext-x-private", "en-a-myext-b-another", "ar-a-aaa-b-bbb",
        "mn-Cyrl-MN", "MN-cYRL-mn", "abcd", "abcdefgh", "de-1996-a-1b-1c",
        "en-a-bbb-x-a-ccc", "x-a-1-12345678", "zh-min-nan"
    };
    static const char *const  bad[] = {
        "", "a", "1", "12", "de-", "-de", "de--DE", "de_DE", "de DE", "*",
        "a-DE", "ar-a-aaa-b-bbb-a-ccc", "de-419-DE", "i-klingon", "en-GB-oed",
        "abcdefghi", "de-abcdefghi", "sl-rozaj-ROZAJ", "de-x", "x", "x-",
        "de-a", "de-a-b-cc", "de-a-x-y", "zh-gan-yue-cmn-hak", "d1",
        "en-US-", "de-DE-DE", "de-\xc3\xa4", "de-1e1-1", "abcd-abc",
        "aaaaaaaa-bbbbbbbb-cccccccc-dddddddd-eeeeeeee-ffffffff-gggggggg-hh"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        TAP_OK(sp_locale_is_tag(good[i], strlen(good[i])), "a tag: %s",
               good[i]);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        TAP_OK(!sp_locale_is_tag(bad[i], strlen(bad[i])), "none: %s", bad[i]);
    }

    TAP_OK(!sp_locale_is_tag("de\0x", 4), "none: a NUL in it");
}


static void test_find(void)
{
    size_t  i;

    static const char *const  list[][2] = {
        { "de", "de" }, { "DE", "de" }, { "de-AT", "de" }, { "pt", "pt-BR" },
        { "pt-pt", "pt-PT" }, { "pt-AO", "none" }, { "zh-hant-tw", "zh-Hant" },
        { "zh", "zh-Hant" }, { "zh-Hans", "none" }, { "zh-TW", "none" },
        { "sr", "sr-Latn-RS" }, { "sr-Latn", "sr-Latn-RS" },
        { "sr-Cyrl-RS", "none" }, { "de_AT", "de" }, { "pt_BR", "pt-BR" },
        { "x-pirate", "x-pirate" }, { "x-parrot", "none" }, { "x", "none" },
        { "de-x-a", "de" }, { "den", "none" }, { "d", "none" },
        { "", "none" }, { "*", "none" },
        { "de, en", "none" }
    };

    for (i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        TAP_IS_STR(name_of(sp_locale_find(list[i][0], strlen(list[i][0]),
                                          tags, NTAGS)),
                   list[i][1], "a profile with \"%s\"", list[i][0]);
    }

    TAP_IS_INT(sp_locale_find("de", 2, NULL, 0), 0, "nothing to find");
}


static void test_accept(void)
{
    size_t  i;

    static const char *const  list[][2] = {
        /* RFC 9110, 12.5.4 and RFC 4647, 2.3, 3.4 */
        { "da, en-gb;q=0.8, en;q=0.7", "en" },
        { "de-CH-1996", "de" },
        { "zh-Hant-CN-x-private1-private2", "zh-Hant" },

        { "pt-BR,pt;q=0.9,en-US;q=0.8,en;q=0.7", "pt-BR" },
        { "fr;q=1, de;q=0.3, en;q=0.4", "en" },
        { "de;q=0.5, en;q=0.5", "de" }, { "en, de", "en" },
        { "en;q=0.5, de;q=0.501", "de" }, { "fr", "none" }, { "", "none" },
        { " , ,, de ,", "de" }, { "de\t;\tq=0.1", "de" },
        { "de;Q=0.1", "de" }, { "*", "none" }, { "*, de;q=0.1", "de" },

        /* q=0 refuses */
        { "de;q=0", "none" }, { "de-AT, de;q=0", "none" },
        { "de-AT, *;q=0", "none" }, { "de, *;q=0", "de" },
        { "pt, pt-BR;q=0", "pt-PT" }, { "pt-BR, pt;q=0", "pt-BR" },
        { "de;q=0.000, en;q=0.001", "en" }, { "de;q=0, de", "de" },

        /* what is malformed is left out, the rest is heard */
        { "de;q=2", "none" }, { "de;q=1.001, en;q=0.1", "en" },
        { "de;q=0.1234, en;q=0.1", "en" }, { "de;q=, en;q=0.1", "en" },
        { "de;q=-1", "none" }, { "de;q=.5", "none" }, { "de;q=0,5", "none" },
        { "de;q=1;x=y", "none" }, { "de q=1", "none" }, { "de;", "none" },
        { "de;q=0.", "none" }, { "de;q=1., en;q=0.1", "de" },
        { "de;level=1", "none" }, { "de_AT", "none" }, { "..", "none" },
        { "de;q=1e0", "none" }, { "de-abcdefghi, en;q=0.1", "en" },
        { "\xff\xfe", "none" }, { "de\x01", "none" },
        { "<script>, en;q=0.1", "en" }, { ";q=1", "none" },
        { "1, en;q=0.1", "en" }
    };

    for (i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        TAP_IS_STR(name_of(sp_locale_accept(list[i][0], strlen(list[i][0]),
                                            tags, NTAGS)),
                   list[i][1], "\"%s\" accepts %s", list[i][0], list[i][1]);
    }
}


static void test_caps(void)
{
    char    text[SP_LOCALE_MAX_HEADER + 8];
    size_t  i, len;

    len = 0;

    for (i = 0; i < SP_LOCALE_MAX_RANGES - 1; i++) {
        len += (size_t) snprintf(text + len, sizeof(text) - len, "fr,");
    }

    memcpy(text + len, "de,en", 6);
    TAP_IS_STR(name_of(sp_locale_accept(text, len + 5, tags, NTAGS)), "de",
               "the last range");

    memcpy(text + len, "fr,de", 6);
    TAP_IS_STR(name_of(sp_locale_accept(text, len + 5, tags, NTAGS)), "none",
               "one more");

    memset(text, ' ', sizeof(text));
    memcpy(text, "de", 2);
    TAP_IS_STR(name_of(sp_locale_accept(text, SP_LOCALE_MAX_HEADER, tags,
                                        NTAGS)),
               "de", "a long header");
    TAP_IS_STR(name_of(sp_locale_accept(text, SP_LOCALE_MAX_HEADER + 1, tags,
                                        NTAGS)),
               "none", "one too long");
}


int main(void)
{
    test_tags();
    test_find();
    test_accept();
    test_caps();

    return tap_done();
}
