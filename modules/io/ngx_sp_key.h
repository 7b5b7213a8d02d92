
/*
 * Copyright (C) Sallyport authors
 *
 * JWK files, read while the configuration is read: by the master, which may
 * read what the workers may not.
 */

#ifndef _NGX_SP_KEY_H_INCLUDED_
#define _NGX_SP_KEY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "sp_jwk.h"
#include "sp_siphash.h"


typedef struct {
    ngx_str_t    path;                       /* full name */
    sp_jwks_t   *set;                        /* freed with cf->pool */
    u_char       digest[SP_SIPHASH_LEN];     /* of the text, to tell changes */
} ngx_sp_key_file_t;


/*
 * A JWK Set or a JWK.  A file with private or symmetric keys must be closed
 * to others.  Returns NULL after logging what was found and what is allowed,
 * with file and line.
 */
ngx_sp_key_file_t *ngx_sp_key_file(ngx_conf_t *cf, const ngx_str_t *name);


#endif /* _NGX_SP_KEY_H_INCLUDED_ */
