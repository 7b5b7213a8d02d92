
/*
 * Copyright (C) Sallyport authors
 *
 * A chain, as whoever reads it or writes to it needs to know it: the "chain"
 * block.
 */

#ifndef _NGX_SP_CHAIN_H_INCLUDED_
#define _NGX_SP_CHAIN_H_INCLUDED_


#include "ngx_sp_rpc.h"


/* JavaScript's largest exact integer: ids stay below */
#define NGX_SP_CHAIN_ID_MAX  9007199254740991ULL


/* read-only after the start, but for what is a worker's in "rpc" */

typedef struct {
    ngx_str_t       name;
    uint64_t        id;
    ngx_sp_rpc_t    rpc;
    ngx_uint_t      confirmations;   /* blocks until one is final */
} ngx_sp_chain_t;


/*
 * In the setter of a block with one argument, the name: parses the block.
 * NULL after logging what is wrong
 */
ngx_sp_chain_t *ngx_sp_chain_create(ngx_conf_t *cf);


#endif /* _NGX_SP_CHAIN_H_INCLUDED_ */
