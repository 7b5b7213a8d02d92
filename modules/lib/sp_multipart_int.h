
/*
 * Copyright (C) Sallyport authors
 */

#ifndef _SP_MULTIPART_INT_H_INCLUDED_
#define _SP_MULTIPART_INT_H_INCLUDED_


#include "sp_multipart.h"


/* sp_multipart_header.c */

/* of the value of a Content-Type, which *boundary is a part of */
sp_multipart_error_e sp_multipart_boundary(const char *type, size_t len,
    sp_slice_t *boundary);

/* m->header, with its blank line, into name, filename and type */
sp_multipart_error_e sp_multipart_header(sp_multipart_t *m);


#endif /* _SP_MULTIPART_INT_H_INCLUDED_ */
