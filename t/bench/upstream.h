
/*
 * Copyright (C) Sallyport authors
 */

#ifndef _SP_BENCH_UPSTREAM_H_INCLUDED_
#define _SP_BENCH_UPSTREAM_H_INCLUDED_


/* listens on 127.0.0.1; not 0: errno tells why */
int upstream_start(int port);

/* answers what has come and returns at once */
void upstream_poll(void);


#endif /* _SP_BENCH_UPSTREAM_H_INCLUDED_ */
