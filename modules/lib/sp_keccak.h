
/*
 * Copyright (C) Sallyport authors
 *
 * Keccak-256 as Ethereum uses it: the padding of the submission (0x01), not
 * the one of SHA3-256 (0x06).
 */

#ifndef _SP_KECCAK_H_INCLUDED_
#define _SP_KECCAK_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


#define SP_KECCAK256_LEN   32
#define SP_KECCAK256_RATE  136


typedef struct {
    uint64_t  state[25];
    size_t    pos;                          /* bytes absorbed, < rate */
} sp_keccak_t;


void sp_keccak256_init(sp_keccak_t *keccak);
void sp_keccak256_update(sp_keccak_t *keccak, const void *data, size_t len);

/* the state is wiped */
void sp_keccak256_final(sp_keccak_t *keccak, uint8_t hash[SP_KECCAK256_LEN]);

void sp_keccak256(uint8_t hash[SP_KECCAK256_LEN], const void *data,
    size_t len);


#endif /* _SP_KECCAK_H_INCLUDED_ */
