
/*
 * Copyright (C) Sallyport authors
 *
 * Web3 secret storage, version 3: a private key under a password, with
 * scrypt or PBKDF2, AES-128-CTR and a Keccak-256 MAC.  Deriving the key takes
 * up to seconds and hundreds of megabytes by design: at start only.
 */

#ifndef _SP_KEYSTORE_H_INCLUDED_
#define _SP_KEYSTORE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "sp_rc.h"


#define SP_KEYSTORE_KEY_LEN  32

/* work that a file may ask for: geth's own files need 256 MiB */
#define SP_KEYSTORE_MEMORY   (320ULL * 1024 * 1024)
#define SP_KEYSTORE_ROUNDS   10000000


/*
 * In: the file's text and the password.
 * Out: the key; shorter keys are padded on the left.  On failure it is
 * zeroed and *reason (constant) says why: a broken file, parameters over
 * the limits above, a wrong password.
 */
int sp_keystore_open(uint8_t key[SP_KEYSTORE_KEY_LEN], const char *text,
    size_t len, const char *password, size_t password_len,
    const char **reason);


#endif /* _SP_KEYSTORE_H_INCLUDED_ */
