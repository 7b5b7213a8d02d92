
/*
 * Copyright (C) Sallyport authors
 *
 * Inside of sp_jwk: the key material of a JWK to and from OpenSSL.
 */

#ifndef _SP_JWK_KEY_H_INCLUDED_
#define _SP_JWK_KEY_H_INCLUDED_


#include <jansson.h>

#include "sp_jwk.h"


/*
 * In: key->jwa and key->secret.  Out: key->pkey or key->mac.  On failure
 * *message says what is wrong with the key, NULL: out of memory.
 */
int sp_jwk_key_load(sp_jwk_t *key, const json_t *jwk, const char **message);


#endif /* _SP_JWK_KEY_H_INCLUDED_ */
