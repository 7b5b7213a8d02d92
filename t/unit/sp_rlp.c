
/*
 * Copyright (C) Sallyport authors
 */

#include "sp_hex.h"
#include "sp_rlp.h"

#include "vectors.h"


/* JSON in the manner of ethereum/tests: "#123" is a number */

static const char *valid[][2] = {
    { "\"\"", "80" },
    { "\"\\u007f\"", "7f" },
    { "\"dog\"", "83646f67" },
    { "0", "80" },
    { "127", "7f" },
    { "128", "8180" },
    { "1000", "8203e8" },
    { "\"#83729609699884896815286331701780722\"",
      "8f102030405060708090a0b0c0d0e0f2" },
    { "[]", "c0" },
    { "[\"zw\", [4], 1]", "c6827a77c10401" },
    { "[[], [[]], [[], [[]]]]", "c7c0c1c0c3c0c1c0" },
};

static const char *invalid[] = {
    "", "8100", "817f", "81", "b800", "b837", "b90001", "b8", "c1", "c180ff",
    "8080", "f800", "f80180", "ff0f000000000000021111", "c28100", "c3c2817f",
    "bfffffffffffffffff", "ffffffffffffffffff00",
};


static void put(sp_rlp_writer_t *w, json_t *value);
static void check_valid(const char *name, json_t *value, const char *hex);
static int check(const char *hex);
static void vectors(void);


int
main(void)
{
    size_t           i;
    json_t          *value;
    uint8_t          small[4];
    sp_rlp_item_t    item;
    sp_rlp_reader_t  r;
    sp_rlp_writer_t  w;
    uint64_t         n;

    for (i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {
        value = json_loads(valid[i][0], JSON_DECODE_ANY, NULL);
        check_valid(valid[i][0], value, valid[i][1]);
        json_decref(value);
    }

    for (i = 0; i < sizeof(invalid) / sizeof(char *); i++) {
        TAP_OK(check(invalid[i]) == SP_ERROR, "\"%s\" is refused",
               invalid[i]);
    }

    memset(&w, 0, sizeof(w));
    w.start = small;
    w.size = sizeof(small);
    sp_rlp_put_bytes(&w, (const uint8_t *) "dog", 3);
    TAP_OK(!w.overflow && w.len == 4, "fits exactly");
    sp_rlp_end(&w, 0);
    TAP_OK(w.overflow, "no room for the header of a list");

    r.pos = (const uint8_t *) "\x82\x00\x01";
    r.end = r.pos + 3;
    TAP_OK(sp_rlp_next(&r, &item) == SP_OK && item.len == 2, "two bytes");
    TAP_OK(sp_rlp_uint(&item, &n) == SP_ERROR && n == 0,
           "an integer with a leading zero");

    r.pos = (const uint8_t *) "\xc1\xc0";
    r.end = r.pos + 2;
    TAP_OK(sp_rlp_check(r.pos, 2, 1) == SP_ERROR
           && sp_rlp_check(r.pos, 2, 2) == SP_OK, "depth is capped");

    vectors();

    return tap_done();
}


static void
put(sp_rlp_writer_t *w, json_t *value)
{
    size_t       begin, i;
    json_t      *element;
    sp_u256_t    number;
    const char  *text;

    if (json_is_array(value)) {
        begin = sp_rlp_begin(w);

        json_array_foreach (value, i, element) {
            put(w, element);
        }

        sp_rlp_end(w, begin);
        return;
    }

    if (json_is_integer(value)) {
        sp_rlp_put_uint(w, (uint64_t) json_integer_value(value));
        return;
    }

    text = json_string_value(value);

    if (text[0] == '#') {

        /* 2^256 is one bit too large for a word: written as bytes */

        if (sp_u256_from_decimal(&number, text + 1, strlen(text + 1))
            == SP_OK)
        {
            sp_rlp_put_u256(w, &number);
            return;
        }

        sp_rlp_put_bytes(w, (const uint8_t *)
                         "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                         "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 33);
        return;
    }

    sp_rlp_put_bytes(w, (const uint8_t *) text, json_string_length(value));
}


static void
check_valid(const char *name, json_t *value, const char *hex)
{
    char             text[8192];
    uint8_t          buf[4096];
    sp_rlp_writer_t  w;

    memset(&w, 0, sizeof(w));
    w.start = buf;
    w.size = sizeof(buf);

    put(&w, value);
    sp_hex_encode(text, buf, w.len);

    TAP_OK(!w.overflow && w.len * 2 == strlen(hex)
           && memcmp(text, hex, w.len * 2) == 0, "%s", name);
    TAP_OK(sp_rlp_check(buf, w.len, 16) == SP_OK, "%s is canonical", name);
}


static int
check(const char *hex)
{
    size_t   len;
    uint8_t  buf[8192];

    if (sp_hex_decode(buf, sizeof(buf), &len, hex, strlen(hex)) != SP_OK) {
        return SP_OK;
    }

    return sp_rlp_check(buf, len, 64);
}


static void
vectors(void)
{
    int          refused;
    json_t      *entry, *in, *root;
    size_t       n;
    const char  *name, *out;

    static const char *files[] = {
        "chain/ethereum-tests/RLPTests/rlptest.json",
        "chain/ethereum-tests/RLPTests/invalidRLPTest.json",
        "chain/ethereum-tests/RLPTests/RandomRLPTests/example.json",
    };

    for (n = 0; n < sizeof(files) / sizeof(char *); n++) {
        root = vectors_json(files[n]);

        json_object_foreach (root, name, entry) {
            in = json_object_get(entry, "in");
            out = json_string_value(json_object_get(entry, "out"));

            /* two of them are written without "0x" */

            if (out[1] == 'x') {
                out += 2;
            }

            if (json_is_string(in)
                && strcmp(json_string_value(in), "INVALID") == 0)
            {
                refused = (check(out) == SP_ERROR);
                TAP_OK(refused, "%s is refused", name);

            } else if (json_is_string(in)
                       && strcmp(json_string_value(in), "VALID") == 0)
            {
                TAP_OK(check(out) == SP_OK, "%s is accepted", name);

            } else {
                check_valid(name, in, out);
            }
        }

        json_decref(root);
    }
}
