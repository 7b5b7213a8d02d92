
/*
 * Copyright (C) Sallyport authors
 *
 * JWS signatures (RFC 7518 section 3, RFC 8037) by a prepared key.
 */

#ifndef _SP_JWS_H_INCLUDED_
#define _SP_JWS_H_INCLUDED_


#include "sp_jwt.h"


/* SP_JWT_OK, SP_JWT_SIGNATURE or SP_JWT_NO_MEMORY */
sp_jwt_status_e sp_jws_verify(const sp_jwk_t *key, const char *text,
    size_t text_len, const uint8_t *signature, size_t len);

/* Out: *len bytes; SP_ERROR also when the key is not for signing */
int sp_jws_sign(const sp_jwk_t *key, const char *text, size_t text_len,
    uint8_t *signature, size_t size, size_t *len);


#endif /* _SP_JWS_H_INCLUDED_ */
