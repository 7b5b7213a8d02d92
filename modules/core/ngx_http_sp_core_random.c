
/*
 * Copyright (C) Sallyport authors
 */


#include "ngx_http_sp_core_int.h"

#include <openssl/rand.h>


/* a call costs OpenSSL half a microsecond, however few bytes it is for */

ngx_int_t
ngx_http_sp_random(u_char *p, size_t len)
{
    static u_char  random[640];
    static size_t  left;

    if (left < len) {
        if (RAND_bytes(random, sizeof(random)) != 1) {
            return NGX_ERROR;
        }

        left = sizeof(random);
    }

    left -= len;

    ngx_memcpy(p, random + left, len);

    return NGX_OK;
}
