
/*
 * Copyright (C) Sallyport authors
 *
 * Return codes of library functions that have no reasons of their own.
 */

#ifndef _SP_RC_H_INCLUDED_
#define _SP_RC_H_INCLUDED_


#define SP_OK      0
#define SP_ERROR  -1


#endif /* _SP_RC_H_INCLUDED_ */
