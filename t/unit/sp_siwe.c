
/*
 * Copyright (C) Sallyport authors
 */

#include <secp256k1.h>

#include "sp_hex.h"
#include "sp_siwe.h"
#include "sp_uri.h"

#include "tap.h"
#include "vectors.h"


#define ADDRESS  "0xe5A12547fe4E872D192E3eCecb76F2Ce1aeA4946"
#define HEAD                                                                 \
    "chat.example wants you to sign in with your Ethereum account:\n"        \
    ADDRESS "\n"
#define PLACE(chain)                                                         \
    "URI: https://chat.example/login\nVersion: 1\nChain ID: " chain "\n"
#define NONCE(nonce)  "Nonce: " nonce "\n"
#define DATE  "Issued At: 2026-11-20T21:52:00.250Z"
#define TAIL  PLACE("137") NONCE("abcdEFGH1234") DATE
#define N32  "abcdefghijklmnopABCDEFGHIJKLMNOP"
#define R8                                                                   \
    "\n- a:b\n- a:b\n- a:b\n- a:b\n- a:b\n- a:b\n- a:b\n- a:b"
#define LOWER "0xe5a12547fe4e872d192e3ececb76f2ce1aea4946"


typedef struct {
    const char  *text;
    int          accept;
    const char  *name;
} parse_row_t;


typedef struct {
    const char  *text;
    int64_t      seconds;   /* -1: refused */
    int          up;
} date_row_t;


typedef struct {
    const char  *text;
    int          valid;
} uri_row_t;


static const char *long_message(void);
static void parsing(const char *path, int accept);
static void verification(const char *path, int recovers);


static const parse_row_t  parse_rows[] = {
    { HEAD "\n\n" TAIL, 1, "no statement" },
    { HEAD "\n\n\n" TAIL, 1, "empty statement" },
    { HEAD "\nHello there\n\n" TAIL, 1, "statement" },
    { HEAD "\nHello \"there\"\n\n" TAIL, 0, "quotes in the statement" },
    { HEAD "\nHello th\xc3\xa9re\n\n" TAIL, 0, "statement is not ASCII" },
    { HEAD "\n" TAIL, 0, "one line too few" },
    { HEAD "\n\n" TAIL "\n", 0, "LF at the end" },
    { HEAD "\n\n" TAIL "\nResources:", 1, "empty resources" },
    { HEAD "\n\n" TAIL "\nResources:\n- ipfs://x\n- https://y/?a#b", 1,
      "two resources" },
    { HEAD "\n\n" TAIL "\nResources:\n- not a uri", 0, "a bad resource" },
    { HEAD "\n\n" TAIL "\nRequest ID: ", 1, "empty request id" },
    { HEAD "\n\n" TAIL "\nRequest ID: a%zz", 0, "bad escape in request id" },
    { HEAD "\n\n" TAIL "\nNot Before: 2026-02-31T00:00:00Z", 0,
      "February 31" },
    { "https://" HEAD "\n\n" TAIL, 1, "scheme" },
    { "1s://" HEAD "\n\n" TAIL, 0, "bad scheme" },
    { "a@b@" HEAD "\n\n" TAIL, 0, "two @ in the authority" },
    { " " HEAD "\n\n" TAIL, 0, "a blank in the domain" },
    { "a@" HEAD "\n\n" TAIL, 1, "a user in the authority" },
    { "a b@" HEAD "\n\n" TAIL, 0, "a blank in the user" },
    { " wants you to sign in with your Ethereum account:\n" ADDRESS "\n\n\n"
      TAIL, 0, "no domain" },
    { "chat.example wants you to sign in with your ethereum account:\n"
      ADDRESS "\n\n\n" TAIL, 0, "another sentence" },
    { HEAD "\n\nURI: https://chat.example/login\nVersion: 1\n137\n"
      NONCE("abcdEFGH1234") DATE, 0, "chain id without its name" },
    { HEAD "\n\n" PLACE("") NONCE("abcdEFGH1234") DATE, 0, "no chain id" },
    { HEAD "\n\n" PLACE("999999999999999999") NONCE("abcdEFGH1234") DATE, 1,
      "chain id of 18 digits" },
    { HEAD "\n\n" PLACE("1000000000000000000") NONCE("abcdEFGH1234") DATE, 0,
      "chain id of 19 digits" },
    { HEAD "\n\n" PLACE("1.7") NONCE("abcdEFGH1234") DATE, 0,
      "chain id with a point" },
    { HEAD "\n\n" PLACE("137") NONCE("abcd-EFGH1234") DATE, 0,
      "a dash in the nonce" },
    { HEAD "\n\n" PLACE("137") NONCE(N32 N32 N32 N32) DATE, 1,
      "nonce of 128 digits" },
    { HEAD "\n\n" PLACE("137") NONCE(N32 N32 N32 N32 "0") DATE, 0,
      "nonce of 129 digits" },
    { HEAD "\n\n" TAIL "\nResources:" R8 R8, 1, "16 resources" },
    { HEAD "\n\n" TAIL "\nResources:" R8 R8 "\n- a:b", 0, "17 resources" },
    { "evil.example\n" HEAD "\n\n" TAIL, 0, "a line before" },
    { "", 0, "empty" }
};


static const date_row_t  date_rows[] = {
    { "1970-01-01T00:00:00Z", 0, 0 },
    { "2026-11-20T21:52:00Z", 1795211520, 0 },
    { "2026-11-20t21:52:00.999z", 1795211520, 0 },
    { "2026-11-20T21:52:00.001Z", 1795211521, 1 },
    { "2026-11-20T21:52:00.000Z", 1795211520, 1 },
    { "2026-11-20T23:22:00+01:30", 1795211520, 0 },
    { "2026-11-20T20:52:00-01:00", 1795211520, 0 },
    { "2024-02-29T12:00:00Z", 1709208000, 0 },
    { "2000-02-29T00:00:00Z", 951782400, 0 },
    { "1900-02-29T00:00:00Z", -1, 0 },
    { "2026-02-29T00:00:00Z", -1, 0 },
    { "2026-13-01T00:00:00Z", -1, 0 },
    { "2026-00-01T00:00:00Z", -1, 0 },
    { "2026-01-00T00:00:00Z", -1, 0 },
    { "2026-01-01T24:00:00Z", -1, 0 },
    { "2026-01-01T00:60:00Z", -1, 0 },
    { "2026-01-01T00:00:61Z", -1, 0 },
    { "2026-01-01T00:00:00", -1, 0 },
    { "2026-01-01T00:00:00.Z", -1, 0 },
    { "2026-01-01T00:00:00+24:00", -1, 0 },
    { "2026-01-01T00:00:00+0100", -1, 0 },
    { "2026-01-01 00:00:00Z", -1, 0 },
    { "2026-01-0100:00:00Z", -1, 0 },
    { "2026-01-01T00:00:0001:00", -1, 0 },
    { "2026-01-01", -1, 0 },
    { "2026-01-01T00:00:00Zx", -1, 0 },
    { "202601-01T00:00:00Z", -1, 0 },
    { "2026-0101T00:00:00Z", -1, 0 },
    { "202-01-01T00:00:00Z", -1, 0 },
    { "2026-1-01T00:00:00Z", -1, 0 },
    { "2026-01-1T00:00:00Z", -1, 0 },
    { "2026-01-01T0:00:00Z", -1, 0 },
    { "2026-01-01T00:0:00Z", -1, 0 },
    { "2026-01-01T00:00:0Z", -1, 0 },
    { "2026-01-01T0000:00Z", -1, 0 },
    { "2026-01-01T00:0000Z", -1, 0 },
    { "2026-01-01T00:00:00+1:00", -1, 0 },
    { "2026-01-01T00:00:00+01:0", -1, 0 },
    { "2026/01-01T00:00:00Z", -1, 0 },
    { "2026-01/01T00:00:00Z", -1, 0 },
    { "2026-x1-01T00:00:00Z", -1, 0 },
    { "2026-01-x1T00:00:00Z", -1, 0 },
    { "2026-01-1/T00:00:00Z", -1, 0 },
    { "2026-01-1:T00:00:00Z", -1, 0 },
    { "2026-01-01Tx0:00:00Z", -1, 0 },
    { "2026-01-01T00.00:00Z", -1, 0 },
    { "2026-01-01T00:x0:00Z", -1, 0 },
    { "2026-01-01T00:00.00Z", -1, 0 },
    { "2026-01-01T00:00:x0Z", -1, 0 },
    { "2026-01-01T00:00:00+x1:00", -1, 0 },
    { "2026-01-01T00:00:00+01:x0", -1, 0 },
    { "2026-01-01T00:00:00+01:60", -1, 0 },
    { "", -1, 0 }
};


static const uri_row_t  uri_rows[] = {
    { "https://chat.example", 1 },
    { "https://chat.example:8443/a/b?c=d#e", 1 },
    { "http://[::1]:8080/", 1 },
    { "http://[v1.a:b]/", 1 },
    { "http://[::g]/", 0 },
    { "http://[]/", 0 },
    { "https://a b/", 0 },
    { "https://a/%4", 0 },
    { "https://a/%41", 1 },
    { "https://a:b/", 0 },
    { "https://u:p@a:1/", 1 },
    { "https://u@p@a/", 0 },
    { "file:///etc/passwd", 1 },
    { "did:key:z6Mk", 1 },
    { "urn:a#b#c", 0 },
    { ":nothing", 0 },
    { "nothing", 0 },
    { "1a:b", 0 },
    { "a_b:c", 0 },
    { "urn:a?b c", 0 },
    { "urn:a?b/c?d", 1 },
    { "urn:a%4x", 0 },
    { "urn:a%x1", 0 },
    { "https://a:+1/", 0 },
    { "https://:80/", 0 },
    { "https://u p@a/", 0 },
    { "https://a%41/", 1 },
    { "https://a%4", 0 },
    { "https://a%x1/", 0 },
    { "https://a%1x/", 0 },
    { "http://[1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19:20]/", 0 },
    { "http://[v.a]/", 0 },
    { "http://[v1.]/", 0 },
    { "http://[v1a]/", 0 },
    { "http://[v1xa]/", 0 },
    { "http://[v1.a/b]/", 0 },
    { "http://[v1.a%b]/", 0 }
};


int
main(void)
{
    size_t           i;
    int64_t          seconds;
    sp_siwe_t        siwe;
    const char      *message, *text;
    const date_row_t *date;

    for (i = 0; i < sizeof(parse_rows) / sizeof(parse_rows[0]); i++) {
        text = parse_rows[i].text;

        TAP_IS_INT(sp_siwe_parse(&siwe, text, strlen(text), 0, &message),
                   parse_rows[i].accept ? SP_OK : SP_ERROR, "%s",
                   parse_rows[i].name);
    }

    text = HEAD "\nHi\n\n" TAIL "\nExpiration Time: 2026-11-20T22:00:00Z";
    TAP_OK(sp_siwe_parse(&siwe, text, strlen(text), 0, &message) == SP_OK
           && siwe.has_expires && !siwe.has_not_before
           && siwe.expires - siwe.issued_at == 480 && siwe.chain_id == 137,
           "numbers of the fields");
    TAP_IS_MEM(siwe.nonce.data, siwe.nonce.len, "abcdEFGH1234", 12, "nonce");
    TAP_IS_MEM(siwe.statement.data, siwe.statement.len, "Hi", 2, "statement");

    text = "chat.example wants you to sign in with your Ethereum account:\n"
           LOWER "\n\n\n" TAIL;
    TAP_OK(sp_siwe_parse(&siwe, text, strlen(text), 0, &message) == SP_ERROR
           && strcmp(message, "address") == 0, "lower case is no checksum");
    TAP_OK(sp_siwe_parse(&siwe, text, strlen(text), 1, &message) == SP_OK,
           "lower case where it is allowed");

    for (i = 0; i < sizeof(date_rows) / sizeof(date_rows[0]); i++) {
        date = &date_rows[i];

        if (sp_siwe_date(&seconds, date->text, strlen(date->text), date->up)
            != SP_OK)
        {
            seconds = -1;
        }

        TAP_IS_INT(seconds, date->seconds, "date \"%s\"", date->text);
    }

    for (i = 0; i < sizeof(uri_rows) / sizeof(uri_rows[0]); i++) {
        TAP_IS_INT(sp_uri_valid(uri_rows[i].text, strlen(uri_rows[i].text)),
                   uri_rows[i].valid, "uri \"%s\"", uri_rows[i].text);
    }

    TAP_OK(sp_uri_within("https://a/x", 11, "https://a", 9), "within");
    TAP_OK(!sp_uri_within("https://a.evil", 14, "https://a", 9),
           "a longer host is another origin");
    TAP_OK(!sp_uri_within("https://b/x", 11, "https://a", 9),
           "another host of the same length");

    text = long_message();
    TAP_OK(sp_siwe_parse(&siwe, text, SP_SIWE_MAX_LEN, 0, &message) == SP_OK,
           "as long as allowed");
    TAP_OK(sp_siwe_parse(&siwe, text, SP_SIWE_MAX_LEN + 1, 0, &message)
           == SP_ERROR && strcmp(message, "message is empty or too large")
                          == 0,
           "a byte longer");

    parsing("auth/siwe-spruce/parsing_positive.json", 1);
    parsing("auth/siwe-spruce/parsing_negative.json", 0);
    verification("auth/siwe-spruce/verification_positive.json", 4);
    verification("auth/siwe-spruce/verification_negative.json", 5);

    return tap_done();
}


/* good but for its length, which is one more than the cap */

static const char *
long_message(void)
{
    size_t             n;

    static char        text[SP_SIWE_MAX_LEN + 1];
    static const char  start[] = HEAD "\n\n" TAIL "\nRequest ID: ";

    n = sizeof(start) - 1;

    memcpy(text, start, n);
    memset(text + n, 'a', sizeof(text) - n);

    return text;
}


static void
parsing(const char *path, int accept)
{
    int          bad, total;
    void        *it;
    json_t      *root, *value;
    sp_siwe_t    siwe;
    const char  *message, *text;

    root = vectors_json(path);
    if (root == NULL) {
        return;
    }

    bad = 0;
    total = 0;

    for (it = json_object_iter(root);
         it != NULL;
         it = json_object_iter_next(root, it))
    {
        value = json_object_iter_value(it);
        text = json_string_value(json_is_object(value)
                                 ? json_object_get(value, "message") : value);
        total++;

        if ((sp_siwe_parse(&siwe, text, strlen(text), 0, &message) == SP_OK)
            != accept)
        {
            printf("#   \"%s\": %s\n", json_object_iter_key(it), message);
            bad++;
        }
    }

    TAP_IS_INT(bad, 0, "%s: %d cases", path, total);

    json_decref(root);
}


/*
 * The vectors hold fields, not messages; they are put together as EIP-4361
 * says.  Five of the negative ones parse and carry a good signature: they
 * fail for time, domain or nonce, which the caller judges.
 */

static void
verification(const char *path, int recovers)
{
    int                 found, total;
    char                text[4096];
    void               *it;
    size_t              len, n;
    json_t             *one, *root;
    uint8_t             address[20], hash[32], signature[65];
    sp_siwe_t           siwe;
    const char         *message, *optional;
    secp256k1_context  *secp;

    root = vectors_json(path);
    if (root == NULL) {
        return;
    }

    secp = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    found = 0;
    total = 0;

#define FIELD(name)  json_string_value(json_object_get(one, name))
#define ADD(label, name)                                                     \
    optional = FIELD(name);                                                  \
    if (optional != NULL) {                                                  \
        n += (size_t) snprintf(text + n, sizeof(text) - n, "\n%s: %s",       \
                               label, optional);                             \
    }

    for (it = json_object_iter(root);
         it != NULL;
         it = json_object_iter_next(root, it))
    {
        one = json_object_iter_value(it);
        total++;

        n = (size_t) snprintf(text, sizeof(text), "%s wants you to sign in "
                              "with your Ethereum account:\n%s\n\n%s%s\nURI: "
                              "%s\nVersion: %s\nChain ID: %d\nNonce: %s\n"
                              "Issued At: %s",
                              FIELD("domain"), FIELD("address"),
                              FIELD("statement") ? FIELD("statement") : "",
                              FIELD("statement") ? "\n" : "", FIELD("uri"),
                              FIELD("version"),
                              (int) json_integer_value(
                                            json_object_get(one, "chainId")),
                              FIELD("nonce"), FIELD("issuedAt"));
        ADD("Expiration Time", "expirationTime");
        ADD("Not Before", "notBefore");
        ADD("Request ID", "requestId");

        sp_eth_personal_hash(hash, text, n);

        if (sp_siwe_parse(&siwe, text, n, 0, &message) == SP_OK
            && sp_hex_decode_data(signature, sizeof(signature), &len,
                                  FIELD("signature"),
                                  strlen(FIELD("signature"))) == SP_OK
            && sp_eth_recover_bytes(secp, address, hash, signature, len)
               == SP_OK
            && memcmp(address, siwe.address, 20) == 0)
        {
            found++;
        }
    }

    TAP_IS_INT(found, recovers, "%s: %d of %d recover", path, recovers, total);

    secp256k1_context_destroy(secp);
    json_decref(root);
}
