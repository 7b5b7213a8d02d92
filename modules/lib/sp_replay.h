
/*
 * Copyright (C) Sallyport authors
 *
 * An answer as it is kept for who asks again, and the marker that stands in
 * its place while the first one is answered.  Binary, of one version: another
 * one is not read.
 *
 *     magic[4] state[1] fingerprint[32] owner[16]
 *     and of an answer:  type, body, text and finish, each as size[4]
 *                        bytes[size]
 *
 * Sizes are big-endian and add up to what is there.
 */

#ifndef _SP_REPLAY_H_INCLUDED_
#define _SP_REPLAY_H_INCLUDED_


#include "sp_dialect.h"


#define SP_REPLAY_FINGERPRINT  32
#define SP_REPLAY_OWNER        16
#define SP_REPLAY_HEAD         (4 + 1 + SP_REPLAY_FINGERPRINT                 \
                                + SP_REPLAY_OWNER)


typedef enum {
    SP_REPLAY_RUNNING = 'r',   /* the owner is at it */
    SP_REPLAY_ANSWER = 'a',
    SP_REPLAY_UNKEPT = 'u'     /* answered, with more than is kept */
} sp_replay_state_e;


typedef struct {
    sp_replay_state_e  state;
    uint8_t            fingerprint[SP_REPLAY_FINGERPRINT];
    uint8_t            owner[SP_REPLAY_OWNER];

    /* of an answer; each below 4 GiB */
    sp_slice_t         type;       /* its Content-Type */
    sp_slice_t         body;       /* as it was sent */
    sp_slice_t         text;       /* what the assistant says in it, for a
                                      turn that is stored again; or empty */
    sp_slice_t         finish;     /* the provider's reason; or empty */
} sp_replay_t;


/* the bytes that write() needs */
size_t sp_replay_size(const sp_replay_t *entry);
size_t sp_replay_write(const sp_replay_t *entry, char *dst);

/* 0; -1: it is none.  Slices point into "data" */
int sp_replay_read(sp_replay_t *entry, const char *data, size_t len);


#endif /* _SP_REPLAY_H_INCLUDED_ */
