
/*
 * Copyright (C) Sallyport authors
 */

#include "sp_abi.h"
#include "sp_hex.h"

#include "tap.h"


/* mint(address,string,uint256,bytes32,bytes), by ethers */

static const char  mint_call[] =
    "d9b542f200000000000000000000000019e7e376e7c213b7e7e7e46cc70a5dd0"
    "86daff2a00000000000000000000000000000000000000000000000000000000"
    "000000a000000000000000000000000000000000000000000000000000000000"
    "6955b900abababababababababababababababababababababababababababab"
    "abababab00000000000000000000000000000000000000000000000000000000"
    "0000012000000000000000000000000000000000000000000000000000000000"
    "00000042697066733a2f2f62616679626569676479727a74357366703775646d"
    "37687537367568377932366e6633656675796c71616266336f636c6774717935"
    "3566627a64690000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000000000"
    "00000041b775321e9ff57a7c8eb519aa4c9c278c254ad7e4092a488155093109"
    "b347ccf17eda047fe650fbad221006cf23cda992b11614f6fcd97dd850a714b0"
    "7ef19f421b000000000000000000000000000000000000000000000000000000"
    "00000000";

static const char  signature_hex[] =
    "b775321e9ff57a7c8eb519aa4c9c278c254ad7e4092a488155093109b347ccf1"
    "7eda047fe650fbad221006cf23cda992b11614f6fcd97dd850a714b07ef19f42"
    "1b";


static const struct {
    const char  *data;
    const char  *text;
} reverts[] = {
    { "08c379a000000000000000000000000000000000000000000000000000000000"
      "0000002000000000000000000000000000000000000000000000000000000000"
      "0000000d6e6f7420746865206f776e6572000000000000000000000000000000"
      "00000000",
      "not the owner" },
    { "02a045eeabababababababababababababababababababababababababababab"
      "abababab",
      "custom error 0x02a045ee" },
    { "4e487b71"
      "0000000000000000000000000000000000000000000000000000000000000011",
      "panic 0x11" },
    { "", "no reason" },
    { "08c379", "no reason" },
    { "08c379a0", "custom error 0x08c379a0" },
    { "08c379a0"
      "0000000000000000000000000000000000000000000000000000000000000020"
      "00000000000000000000000000000000000000000000000000000000000000ff"
      "6e6f7420746865206f776e657200000000000000000000000000000000000000",
      "custom error 0x08c379a0" },
    { "08c379a0"
      "0000000000000000000000000000000000000000000000000000000000000020"
      "0000000000000000000000000000000000000000000000000000000000000003"
      "610a7f0000000000000000000000000000000000000000000000000000000000",
      "a??" },
};


static void check_mint(void);
static void check_decode(void);
static void check_transfer(void);


int
main(void)
{
    char     text[64];
    size_t   i, len, n;
    uint8_t  data[512];

    check_mint();
    check_decode();
    check_transfer();

    for (i = 0; i < sizeof(reverts) / sizeof(reverts[0]); i++) {
        (void) sp_hex_decode(data, sizeof(data), &len, reverts[i].data,
                             strlen(reverts[i].data));
        n = sp_abi_revert(text, sizeof(text), data, len);
        TAP_IS_MEM(text, n, reverts[i].text, strlen(reverts[i].text),
                   "revert \"%s\"", reverts[i].text);
    }

    n = sp_abi_revert(text, 5, (const uint8_t *) "", 0);
    TAP_IS_MEM(text, n, "no re", 5, "cut at the caller's size");

    return tap_done();
}


static void
check_mint(void)
{
    char            text[1024];
    size_t          len, n;
    uint8_t         args[512], deadline[4], salt[32], selector[4];
    uint8_t         signature[65], to[20];
    sp_abi_value_t  v[5];

    static const char  uri[] = "ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3ef"
                               "uylqabf3oclgtqy55fbzdi";

    (void) sp_eth_address_parse(to,
               "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A", 42);
    (void) sp_hex_decode(signature, 65, &len, signature_hex, 130);
    (void) sp_hex_decode(deadline, 4, &len, "6955b900", 8);
    memset(salt, 0xab, sizeof(salt));

    v[0] = (sp_abi_value_t) { SP_ABI_ADDRESS, to, 20 };
    v[1] = (sp_abi_value_t) { SP_ABI_BYTES, (const uint8_t *) uri,
                              sizeof(uri) - 1 };
    v[2] = (sp_abi_value_t) { SP_ABI_UINT, deadline, 4 };
    v[3] = (sp_abi_value_t) { SP_ABI_FIXED, salt, 32 };
    v[4] = (sp_abi_value_t) { SP_ABI_BYTES, signature, 65 };

    sp_abi_selector(selector,
                    "mint(address,string,uint256,bytes32,bytes)");

    TAP_OK(sp_abi_encode(args, sizeof(args), &len, selector, v, 5) == SP_OK,
           "mint is encoded");
    sp_hex_encode(text, args, len);
    TAP_IS_MEM(text, 2 * len, mint_call, strlen(mint_call), "as by ethers");

    for (n = 0; n < len; n++) {
        size_t  got;

        if (sp_abi_encode(args, n, &got, selector, v, 5) == SP_OK
            || got != 0)
        {
            break;
        }
    }

    TAP_IS_INT(n, len, "refused with less room");

    v[0].len = 19;
    TAP_OK(sp_abi_encode(args, sizeof(args), &len, selector, v, 5)
           == SP_ERROR && len == 0, "an address of 19 bytes");
    v[0].len = 20;
    v[2].len = 33;
    TAP_OK(sp_abi_encode(args, sizeof(args), &len, selector, v, 5)
           == SP_ERROR && len == 0, "a number of 33 bytes");
}


static void
check_decode(void)
{
    size_t          len, n;
    uint8_t         data[512];
    sp_abi_value_t  v[5];

    static const sp_abi_type_e  types[] = {
        SP_ABI_ADDRESS, SP_ABI_BYTES, SP_ABI_UINT, SP_ABI_FIXED, SP_ABI_BYTES
    };

    (void) sp_hex_decode(data, sizeof(data), &len, mint_call + 8,
                         strlen(mint_call) - 8);
    memset(v, 0, sizeof(v));

    for (n = 0; n < 5; n++) {
        v[n].type = types[n];
        v[n].len = 32;
    }

    TAP_OK(sp_abi_decode(data, len, v, 5) == SP_OK && v[0].len == 20
           && v[0].data[0] == 0x19 && v[1].len == 66
           && memcmp(v[1].data, "ipfs://", 7) == 0 && v[4].len == 65,
           "mint is decoded");

    for (n = 0; n < len; n++) {
        v[3].len = 32;

        if (sp_abi_decode(data, n, v, 5) == SP_OK || v[1].data != NULL) {
            break;
        }
    }

    TAP_IS_INT(n, len, "every truncation is refused");

    data[0] = 1;
    v[3].len = 32;
    TAP_OK(sp_abi_decode(data, len, v, 5) == SP_ERROR, "dirty address");
    data[0] = 0;
    data[len - 1] = 1;
    v[3].len = 32;
    TAP_OK(sp_abi_decode(data, len, v, 5) == SP_ERROR, "dirty padding");
    data[len - 1] = 0;
    memset(data + 32, 0xff, 32);
    v[3].len = 32;
    TAP_OK(sp_abi_decode(data, len, v, 5) == SP_ERROR, "offset of 2^256 - 1");
}


static void
check_transfer(void)
{
    uint8_t            hash[32];
    sp_abi_log_t       log;
    sp_abi_transfer_t  transfer;

    static const char  event[] = "Transfer(address,address,uint256)";

    memset(&log, 0, sizeof(log));
    sp_keccak256(hash, event, sizeof(event) - 1);
    memcpy(log.topics[0], hash, 32);
    memset(log.topics[2] + 12, 0x22, 20);
    log.topics[3][31] = 7;
    log.ntopics = 4;

    TAP_OK(sp_abi_transfer(&log, &transfer) == SP_OK
           && transfer.to[0] == 0x22 && transfer.token_id.bytes[31] == 7,
           "an ERC-721 transfer");

    log.ntopics = 3;
    TAP_OK(sp_abi_transfer(&log, &transfer) == SP_ERROR
           && transfer.token_id.bytes[31] == 0, "ERC-20 has three topics");

    log.ntopics = 4;
    log.topics[2][11] = 1;
    TAP_OK(sp_abi_transfer(&log, &transfer) == SP_ERROR, "dirty address");

    log.topics[2][11] = 0;
    log.topics[0][0] ^= 1;
    TAP_OK(sp_abi_transfer(&log, &transfer) == SP_ERROR, "another event");
}
