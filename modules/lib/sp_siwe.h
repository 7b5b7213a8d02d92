
/*
 * Copyright (C) Sallyport authors
 *
 * Sign-In with Ethereum messages (EIP-4361): the whole grammar on the bytes
 * that were signed.  Accepts or refuses; nothing is trimmed or rebuilt.
 * Whether the content is what the server asked for is the caller's question.
 */

#ifndef _SP_SIWE_H_INCLUDED_
#define _SP_SIWE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "sp_eth.h"
#include "sp_rc.h"


#define SP_SIWE_MAX_LEN        4096
#define SP_SIWE_MAX_NONCE      128
#define SP_SIWE_MAX_RESOURCES  16


typedef struct {
    const char      *data;          /* points into the message */
    size_t           len;
} sp_siwe_text_t;


typedef struct {
    sp_siwe_text_t   scheme;        /* data NULL: not given */
    sp_siwe_text_t   domain;
    uint8_t          address[SP_ETH_ADDRESS_LEN];
    sp_siwe_text_t   statement;     /* data NULL: not given; may be empty */
    sp_siwe_text_t   uri;
    uint64_t         chain_id;
    sp_siwe_text_t   nonce;
    int64_t          issued_at;     /* seconds since the epoch, cut */
    int64_t          expires;       /* only with has_expires */
    int64_t          not_before;    /* only with has_not_before; rounded up */
    sp_siwe_text_t   request_id;    /* data NULL: not given; may be empty */
    size_t           nresources;
    unsigned         has_expires:1;
    unsigned         has_not_before:1;
    unsigned         has_resources:1;
} sp_siwe_t;


/*
 * lower_case also accepts an address in lower case, which wallets hand out
 * and which has no checksum.  *message, never NULL on failure, is constant
 * text that names the field.  On failure *siwe is zeroed.
 */
int sp_siwe_parse(sp_siwe_t *siwe, const char *text, size_t len,
    int lower_case, const char **message);

/*
 * RFC 3339 date-time.  *seconds since the epoch; a fraction is cut, or
 * rounded up where "up" is set.
 */
int sp_siwe_date(int64_t *seconds, const char *text, size_t len, int up);


#endif /* _SP_SIWE_H_INCLUDED_ */
